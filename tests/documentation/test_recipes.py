"""The recipes of docs/guides/ci, tried by bash: their own steps, in order, against a bare repository on this disk.

Stand-ins are there for what a forge does by itself (checking out, handing a file from job to job) and for `gh` and `glab`, which talk to
one. The step that builds the image is left out: it wants a registry and is tried in tests/cluster; its lock is written as it writes it.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from kedro_k8s_airflow.config import models
from kedro_k8s_airflow.image import content_hash, lock
from kedro_k8s_airflow.image.spec import hash_images
from tests.support import workspace
from tests.support.kedro_server import clean_env
from tests.support.paths import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.support.kedro_server import Forge

RECIPES = ROOT / "docs" / "guides" / "ci"
BRANCH, BASE = "publish/flights", "main"
TOKEN = "token-of-the-dags"  # noqa: S105  nobody's
FOLDER = "dags"
# What is written down as it was called; `list` answers as the real one does, as far as the recipes look.
STAND_IN = """#!{python}
import json, os, pathlib, sys
arguments = sys.argv[1:]
folder = pathlib.Path({folder!r})
said = "" if sys.stdin.isatty() or "--body-file" not in arguments else sys.stdin.read()
tokens = [os.environ.get(name, "") for name in ("GH_TOKEN", "GITLAB_TOKEN")]
with (folder / "calls").open("a") as calls:
    print(json.dumps({{"arguments": arguments, "said": said, "tokens": tokens}}), file=calls)
if arguments[1] == "create":
    (folder / "open").touch()
elif arguments[1] == "list":
    found = (folder / "open").exists()
    print({answer})
"""
ANSWERS = {
    "gh": "int(found)",
    "glab": "'Showing 1 open merge request\\n\\n!7\\tdata/airflow-dags!7\\tPublish' if found else 'No open merge requests match'",
}


@dataclass
class Forged:
    """A forge, as far as a recipe sees one: repositories of the project and of the DAGs, and jobs that begin with nothing.

    Attributes:
        source, dags: bare repositories.
        lock: the image lock that the job before has made.
        tool: which of the two stand-ins is recorded.
    """

    folder: Path
    source: Path
    dags: Path
    lock: str
    tool: str
    jobs: int = 0
    printed: list[str] = field(default_factory=list)

    @property
    def calls(self) -> list[dict[str, Any]]:
        path = self.folder / "calls"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    @property
    def created(self) -> list[list[str]]:
        """The words of each pull request that was opened."""
        return [call["arguments"] for call in self.calls if call["arguments"][1] == "create"]

    def job(self) -> Path:
        """The folder of a job that begins."""
        self.jobs += 1
        made = self.folder / f"job-{self.jobs}"
        made.mkdir()
        return made

    def run(self, script: str, folder: Path, env: Mapping[str, str]) -> int:
        """A step by bash, as both forges start it; its exit code."""
        path = f"{self.folder / 'bin'}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script],
            cwd=folder,
            env={**clean_env(), **workspace.GIT, "HOME": str(self.folder), "PATH": path, **env},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        self.printed.append(done.stdout + done.stderr)
        return done.returncode

    def merge(self, *, squash: bool) -> None:
        """What a person does with an open pull request."""
        work = workspace.clone(self.dags, self.job() / "work")
        if squash:
            workspace.git(work, "merge", "--quiet", "--squash", f"origin/{BRANCH}")
            workspace.git(work, "commit", "--quiet", "--message", "Publish (#1)")
        else:
            workspace.git(work, "merge", "--quiet", "--no-ff", f"origin/{BRANCH}")
        workspace.git(work, "push", "--quiet")
        (self.folder / "open").unlink()

    def change(self, repository: Path, path: str, old: str, new: str) -> None:
        """Somebody's commit to the main branch of a repository."""
        work = workspace.clone(repository, self.job() / "work")
        text = (work / path).read_text()
        assert old in text
        workspace.commit(work, {path: text.replace(old, new)})
        workspace.git(work, "push", "--quiet")


class GitHub:
    """The recipes of GitHub Actions."""

    tool = "gh"

    def publish(self, forged: Forged) -> int:
        return self._run(forged, "github-publish.yml", "publish")

    def drift(self, forged: Forged) -> int:
        return self._run(forged, "github-drift.yml", "drift")

    def _run(self, forged: Forged, name: str, job: str) -> int:
        recipe = yaml.safe_load((RECIPES / name).read_text())
        folder = forged.job()
        defaults = recipe["defaults"]["run"]
        assert defaults["shell"] == "bash"
        known = {"steps.app.outputs.token": TOKEN, "github.repository_owner": "data", **_named("env", recipe)}
        for step in recipe["jobs"][job]["steps"]:
            told = _resolved(
                {**recipe.get("env", {}), **recipe["jobs"][job].get("env", {}), **step.get("env", {})}, known
            )
            if "uses" in step:
                self._action(forged, folder, step, known)
            elif step["name"] == "Install the project and the plugin":
                assert step["run"].startswith("python -m pip install ")
            elif code := forged.run(
                step["run"], folder / step.get("working-directory", defaults["working-directory"]), told
            ):
                return code
        return 0

    def _action(self, forged: Forged, folder: Path, step: dict[str, Any], known: Mapping[str, str]) -> None:
        """What an action leaves behind."""
        told = _resolved(step.get("with", {}), known)
        action = step["uses"].partition("@")[0]
        if action == "actions/checkout":
            assert told.get("repository", "") in ("", "data/airflow-dags")
            workspace.clone(forged.dags if "repository" in told else forged.source, folder / told["path"])
        elif action == "actions/download-artifact":
            (folder / "ci.lock").write_text(forged.lock)
        else:
            assert action in ("actions/setup-python", "actions/create-github-app-token")


class GitLab:
    """The recipe of GitLab CI."""

    tool = "glab"

    def publish(self, forged: Forged) -> int:
        return self._run(forged, "publish", forged.lock)

    def drift(self, forged: Forged) -> int:
        return self._run(forged, "drift", None)

    def _run(self, forged: Forged, job: str, given: str | None) -> int:
        recipe = yaml.safe_load((RECIPES / "gitlab-ci.yml").read_text())
        folder = workspace.clone(forged.source, forged.job() / "project")
        if given is not None:
            (folder / lock.LOCK_NAME).write_text(given)
        (temporary := folder.with_name("tmp")).mkdir()
        # One of GitLab's own, one that an administrator has set, and where `mktemp` goes.
        known = {"CI_SERVER_URL": f"file://{forged.folder}", "DAGS_TOKEN": TOKEN, "TMPDIR": str(temporary)}
        told = {**recipe["variables"], **recipe[job].get("variables", {})}
        told = {name: re.sub(r"\$(\w+)", lambda found: known[found[1]], value) for name, value in told.items()}
        assert all("pip install" in line for line in recipe["default"]["before_script"])
        return forged.run("\n".join(recipe[job]["script"]), folder, {**known, **told})


def _named(kind: str, recipe: Mapping[str, Any]) -> dict[str, str]:
    return {f"{kind}.{name}": value for name, value in recipe.get(kind, {}).items()}


def _resolved(told: Mapping[str, Any], known: Mapping[str, str]) -> dict[str, str]:
    """Values with GitHub's expressions in them; those of secrets are nobody's here."""

    def value(found: re.Match[str]) -> str:
        return "secret" if found[1].startswith("secrets.") else known[found[1]]

    return {name: re.sub(r"\$\{\{ ([\w.]+) \}\}", value, str(text)) for name, text in told.items()}


@pytest.fixture(scope="module", params=[GitHub(), GitLab()], ids=lambda recipe: recipe.tool)
def recipe(request: pytest.FixtureRequest) -> GitHub | GitLab:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def forged(recipe: GitHub | GitLab, forge: Forge, tmp_path: Path) -> Forged:
    """A project whose image was built, and a repository that has no DAG of it yet."""
    if shutil.which("bash") is None:
        pytest.skip("bash not found: the steps of the recipes are for it")
    project = workspace.project(tmp_path / "project", image="registry.example.com/team/project")
    workspace.git(project, "init", "--quiet", f"--initial-branch={BASE}")
    workspace.commit(project, {".gitignore": "__pycache__/\n"}, "The project")
    source = workspace.bare(tmp_path / "source.git")
    workspace.git(project, "push", "--quiet", str(source), BASE)
    dags = workspace.bare(tmp_path / "data" / "airflow-dags.git")
    work = workspace.clone(dags, tmp_path / "first")
    workspace.commit(work, {"README.md": "DAGs\n"}, "First")
    workspace.git(work, "push", "--quiet", "origin", BASE)
    (tmp_path / "bin").mkdir()
    stand_in = tmp_path / "bin" / recipe.tool
    stand_in.write_text(STAND_IN.format(python=sys.executable, folder=str(tmp_path), answer=ANSWERS[recipe.tool]))
    stand_in.chmod(0o755)
    return Forged(tmp_path, source, dags, _lock(forge, project), recipe.tool)


def _lock(forge: Forge, project: Path) -> str:
    """The image lock that `build-image --push` would write in this project."""
    done = forge.kedro("k8s-airflow", "create", "--quiet", cwd=project)
    assert done.code == 0, done
    settings = models.parse_settings(yaml.safe_load((project / "conf" / "base" / "k8s_airflow.yml").read_text()))
    parts = hash_images(project, settings, [])["default"]
    made = content_hash.combine_hashes(parts)
    built = lock.LockedImage(
        repository=settings.image, tag=made[:12], digest=f"sha256:{'7' * 64}", content=made, parts=parts
    )
    return lock.format_lock({"default": built})


def options(arguments: list[str]) -> dict[str, str]:
    """`--name value` of a call; what stands alone has its own name for a value."""
    pairs = zip(arguments, [*arguments[1:], ""], strict=True)
    return {name: name if value.startswith("--") else value for name, value in pairs if name.startswith("--")}


def published(forged: Forged, ref: str) -> dict[str, str]:
    """The files that a branch has for Airflow."""
    names = workspace.git(forged.dags, "ls-tree", "-r", "--name-only", ref, f"{FOLDER}/").splitlines()
    return {name: workspace.git(forged.dags, "show", f"{ref}:{name}") for name in names}


def test_a_recipe_publishes_a_branch_opens_one_request_and_sees_drift(recipe: GitHub | GitLab, forged: Forged) -> None:
    before = workspace.git(forged.dags, "rev-parse", BASE)
    assert recipe.drift(forged) == 1, forged.printed[-1]

    assert recipe.publish(forged) == 0, forged.printed
    dags = published(forged, BRANCH)
    assert {f"{FOLDER}/project_main.py", f"{FOLDER}/project_side.py"} <= set(dags)
    assert f"registry.example.com/team/project@sha256:{'7' * 64}" in dags[f"{FOLDER}/project_main.py"]
    assert workspace.git(forged.dags, "rev-parse", BASE) == before
    assert (
        workspace.git(forged.dags, "log", "-1", "--format=%an <%ae>", BRANCH)
        == "DAG publisher <dag-publisher@example.com>"
    )
    (request,) = forged.created
    asked = options(request)
    assert asked.get("--head", asked.get("--source-branch")) == BRANCH
    assert asked.get("--base", asked.get("--target-branch")) == BASE
    assert asked["--title"] == "Publish project: 2 new DAGs"
    assert "project_main: new" in (asked.get("--description") or forged.calls[-1]["said"])

    commit = workspace.git(forged.dags, "rev-parse", BRANCH)
    assert recipe.publish(forged) == 0, forged.printed
    assert workspace.git(forged.dags, "rev-parse", BRANCH) == commit
    assert len(forged.created) == 1

    forged.merge(squash=isinstance(recipe, GitHub))
    assert published(forged, BASE) == dags
    assert recipe.drift(forged) == 0, forged.printed[-1]
    assert recipe.publish(forged) == 0, forged.printed
    assert len(forged.created) == 1

    forged.change(forged.dags, f"{FOLDER}/project_main.py", "with DAG(", "x = 1\nwith DAG(")
    assert recipe.drift(forged) == 1
    assert "drift-edited" in forged.printed[-1] or "drift-edited" in (_last_job(forged) / "drift.json").read_text()


def test_a_change_goes_into_the_open_request_and_after_a_merge_into_the_next(
    recipe: GitHub | GitLab, forged: Forged
) -> None:
    settings = "conf/base/k8s_airflow.yml"
    assert recipe.publish(forged) == 0, forged.printed
    forged.change(forged.source, settings, "image:", "namespace: one\nimage:")
    assert recipe.publish(forged) == 0, forged.printed
    assert len(forged.created) == 1
    assert '"namespace": "one"' in published(forged, BRANCH)[f"{FOLDER}/project_main.py"]

    forged.merge(squash=isinstance(recipe, GitLab))
    forged.change(forged.source, settings, "namespace: one", "namespace: two")
    assert recipe.publish(forged) == 0, forged.printed
    assert len(forged.created) == 2
    changed = workspace.git(forged.dags, "diff", "--name-only", BASE, BRANCH).splitlines()
    assert f"{FOLDER}/project_main.py" in changed
    assert all(name.startswith(f"{FOLDER}/") for name in changed)


def test_what_cannot_be_published_fails_the_job_and_opens_nothing(recipe: GitHub | GitLab, forged: Forged) -> None:
    forged.change(
        forged.source, "src/project/pipeline_registry.py", "def register_pipelines", "# \ndef register_pipelines"
    )
    assert recipe.publish(forged) != 0
    assert "publish-stale" in "".join(forged.printed)
    assert forged.calls == []
    assert workspace.git(forged.dags, "branch", "--list", BRANCH) == ""


@pytest.mark.parametrize("recipe", [GitLab()], ids=["glab"])  # at GitHub that is the work of actions/checkout
def test_git_gets_the_token_when_it_asks_and_no_file_has_it(recipe: GitLab, forged: Forged) -> None:
    assert recipe.publish(forged) == 0, forged.printed
    (checkout,) = (_last_job(forged).parent / "tmp").iterdir()
    asked = "printf 'protocol=https\\nhost=gitlab.example.com\\n\\n' | git credential fill"
    assert forged.run(asked, checkout, {"DAGS_TOKEN": TOKEN}) == 0
    assert f"password={TOKEN}" in forged.printed[-1]
    for path in forged.folder.rglob("*"):
        assert path.name == "calls" or not path.is_file() or TOKEN.encode() not in path.read_bytes()


def _last_job(forged: Forged) -> Path:
    return forged.folder / f"job-{forged.jobs}" / "project"
