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

    from tests.support.kedro_server import KedroServer

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
class FakeForge:
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
    def recorded_calls(self) -> list[dict[str, Any]]:
        path = self.folder / "calls"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    @property
    def opened_requests(self) -> list[list[str]]:
        """The words of each pull request that was opened."""
        return [call["arguments"] for call in self.recorded_calls if call["arguments"][1] == "create"]

    def start_job(self) -> Path:
        """The folder of a job that begins."""
        self.jobs += 1
        created = self.folder / f"job-{self.jobs}"
        created.mkdir()
        return created

    def run_step(self, script: str, folder: Path, env: Mapping[str, str]) -> int:
        """A step by bash, as both forges start it; its exit code."""
        path = f"{self.folder / 'bin'}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        result = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script],
            cwd=folder,
            env={**clean_env(), **workspace.ISOLATED_GIT_ENV, "HOME": str(self.folder), "PATH": path, **env},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        self.printed.append(result.stdout + result.stderr)
        return result.returncode

    def merge_request(self, *, squash: bool) -> None:
        """What a person does with an open pull request."""
        work = workspace.clone_repository(self.dags, self.start_job() / "work")
        if squash:
            workspace.run_git(work, "merge", "--quiet", "--squash", f"origin/{BRANCH}")
            workspace.run_git(work, "commit", "--quiet", "--message", "Publish (#1)")
        else:
            workspace.run_git(work, "merge", "--quiet", "--no-ff", f"origin/{BRANCH}")
        workspace.run_git(work, "push", "--quiet")
        (self.folder / "open").unlink()

    def commit_change(self, repository: Path, path: str, old: str, new: str) -> None:
        """Somebody's commit to the main branch of a repository."""
        work = workspace.clone_repository(repository, self.start_job() / "work")
        text = (work / path).read_text()
        assert old in text
        workspace.commit_files(work, {path: text.replace(old, new)})
        workspace.run_git(work, "push", "--quiet")


class GitHub:
    """The recipes of GitHub Actions."""

    tool = "gh"

    def publish(self, fake_forge: FakeForge) -> int:
        return self._run(fake_forge, "github-publish.yml", "publish")

    def drift(self, fake_forge: FakeForge) -> int:
        return self._run(fake_forge, "github-drift.yml", "drift")

    def _run(self, fake_forge: FakeForge, name: str, job: str) -> int:
        recipe = yaml.safe_load((RECIPES / name).read_text())
        folder = fake_forge.start_job()
        defaults = recipe["defaults"]["run"]
        assert defaults["shell"] == "bash"
        known = {"steps.app.outputs.token": TOKEN, "github.repository_owner": "data", **_named_values("env", recipe)}
        for step in recipe["jobs"][job]["steps"]:
            variables = _resolve_expressions(
                {**recipe.get("env", {}), **recipe["jobs"][job].get("env", {}), **step.get("env", {})}, known
            )
            if "uses" in step:
                self._run_action(fake_forge, folder, step, known)
            elif step["name"] == "Install the project and the plugin":
                assert step["run"].startswith("python -m pip install ")
            elif code := fake_forge.run_step(
                step["run"], folder / step.get("working-directory", defaults["working-directory"]), variables
            ):
                return code
        return 0

    def _run_action(self, fake_forge: FakeForge, folder: Path, step: dict[str, Any], known: Mapping[str, str]) -> None:
        """What an action leaves behind."""
        variables = _resolve_expressions(step.get("with", {}), known)
        action = step["uses"].partition("@")[0]
        if action == "actions/checkout":
            assert variables.get("repository", "") in ("", "data/airflow-dags")
            workspace.clone_repository(
                fake_forge.dags if "repository" in variables else fake_forge.source, folder / variables["path"]
            )
        elif action == "actions/download-artifact":
            (folder / "ci.lock").write_text(fake_forge.lock)
        else:
            assert action in ("actions/setup-python", "actions/create-github-app-token")


class GitLab:
    """The recipe of GitLab CI."""

    tool = "glab"

    def publish(self, fake_forge: FakeForge) -> int:
        return self._run(fake_forge, "publish", fake_forge.lock)

    def drift(self, fake_forge: FakeForge) -> int:
        return self._run(fake_forge, "drift", None)

    def _run(self, fake_forge: FakeForge, job: str, given: str | None) -> int:
        recipe = yaml.safe_load((RECIPES / "gitlab-ci.yml").read_text())
        folder = workspace.clone_repository(fake_forge.source, fake_forge.start_job() / "project")
        if given is not None:
            (folder / lock.LOCK_NAME).write_text(given)
        (temporary := folder.with_name("tmp")).mkdir()
        # One of GitLab's own, one that an administrator has set, and where `mktemp` goes.
        known = {"CI_SERVER_URL": f"file://{fake_forge.folder}", "DAGS_TOKEN": TOKEN, "TMPDIR": str(temporary)}
        variables = {**recipe["variables"], **recipe[job].get("variables", {})}
        variables = {
            name: re.sub(r"\$(\w+)", lambda found: known[found[1]], value) for name, value in variables.items()
        }
        assert all("pip install" in line for line in recipe["default"]["before_script"])
        return fake_forge.run_step("\n".join(recipe[job]["script"]), folder, {**known, **variables})


def _named_values(kind: str, recipe: Mapping[str, Any]) -> dict[str, str]:
    return {f"{kind}.{name}": value for name, value in recipe.get(kind, {}).items()}


def _resolve_expressions(values: Mapping[str, Any], known: Mapping[str, str]) -> dict[str, str]:
    """Values with GitHub's expressions in them; those of secrets are nobody's here."""

    def value(found: re.Match[str]) -> str:
        return "secret" if found[1].startswith("secrets.") else known[found[1]]

    return {name: re.sub(r"\$\{\{ ([\w.]+) \}\}", value, str(text)) for name, text in values.items()}


@pytest.fixture(scope="module", params=[GitHub(), GitLab()], ids=lambda recipe: recipe.tool)
def recipe(request: pytest.FixtureRequest) -> GitHub | GitLab:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def fake_forge(recipe: GitHub | GitLab, kedro: KedroServer, tmp_path: Path) -> FakeForge:
    """A project whose image was built, and a repository that has no DAG of it yet."""
    if shutil.which("bash") is None:
        pytest.skip("bash not found: the steps of the recipes are for it")
    project = workspace.make_publish_project(tmp_path / "project", image="registry.example.com/team/project")
    workspace.run_git(project, "init", "--quiet", f"--initial-branch={BASE}")
    workspace.commit_files(project, {".gitignore": "__pycache__/\n"}, "The project")
    source = workspace.init_bare_repository(tmp_path / "source.git")
    workspace.run_git(project, "push", "--quiet", str(source), BASE)
    dags = workspace.init_bare_repository(tmp_path / "data" / "airflow-dags.git")
    work = workspace.clone_repository(dags, tmp_path / "first")
    workspace.commit_files(work, {"README.md": "DAGs\n"}, "First")
    workspace.run_git(work, "push", "--quiet", "origin", BASE)
    (tmp_path / "bin").mkdir()
    stand_in = tmp_path / "bin" / recipe.tool
    stand_in.write_text(STAND_IN.format(python=sys.executable, folder=str(tmp_path), answer=ANSWERS[recipe.tool]))
    stand_in.chmod(0o755)
    return FakeForge(tmp_path, source, dags, _write_lock(kedro, project), recipe.tool)


def _write_lock(kedro: KedroServer, project: Path) -> str:
    """The image lock that `build-image --push` would write in this project."""
    result = kedro.run_command("k8s-airflow", "create", "--quiet", cwd=project)
    assert result.code == 0, result
    settings = models.parse_settings(yaml.safe_load((project / "conf" / "base" / "k8s_airflow.yml").read_text()))
    parts = hash_images(project, settings, [])["default"]
    created = content_hash.combine_hashes(parts)
    built = lock.LockedImage(
        repository=settings.image, tag=created[:12], digest=f"sha256:{'7' * 64}", content=created, parts=parts
    )
    return lock.format_lock({"default": built})


def parse_options(arguments: list[str]) -> dict[str, str]:
    """`--name value` of a call; what stands alone has its own name for a value."""
    pairs = zip(arguments, [*arguments[1:], ""], strict=True)
    return {name: name if value.startswith("--") else value for name, value in pairs if name.startswith("--")}


def published_files(fake_forge: FakeForge, ref: str) -> dict[str, str]:
    """The files that a branch has for Airflow."""
    names = workspace.run_git(fake_forge.dags, "ls-tree", "-r", "--name-only", ref, f"{FOLDER}/").splitlines()
    return {name: workspace.run_git(fake_forge.dags, "show", f"{ref}:{name}") for name in names}


def test_a_recipe_publishes_a_branch_opens_one_request_and_sees_drift(
    recipe: GitHub | GitLab, fake_forge: FakeForge
) -> None:
    before = workspace.run_git(fake_forge.dags, "rev-parse", BASE)
    assert recipe.drift(fake_forge) == 1, fake_forge.printed[-1]

    assert recipe.publish(fake_forge) == 0, fake_forge.printed
    dags = published_files(fake_forge, BRANCH)
    assert {f"{FOLDER}/project_main.py", f"{FOLDER}/project_side.py"} <= set(dags)
    assert f"registry.example.com/team/project@sha256:{'7' * 64}" in dags[f"{FOLDER}/project_main.py"]
    assert workspace.run_git(fake_forge.dags, "rev-parse", BASE) == before
    assert (
        workspace.run_git(fake_forge.dags, "log", "-1", "--format=%an <%ae>", BRANCH)
        == "DAG publisher <dag-publisher@example.com>"
    )
    (request,) = fake_forge.opened_requests
    requested = parse_options(request)
    assert requested.get("--head", requested.get("--source-branch")) == BRANCH
    assert requested.get("--base", requested.get("--target-branch")) == BASE
    assert requested["--title"] == "Publish project: 2 new DAGs"
    assert "project_main: new" in (requested.get("--description") or fake_forge.recorded_calls[-1]["said"])

    commit = workspace.run_git(fake_forge.dags, "rev-parse", BRANCH)
    assert recipe.publish(fake_forge) == 0, fake_forge.printed
    assert workspace.run_git(fake_forge.dags, "rev-parse", BRANCH) == commit
    assert len(fake_forge.opened_requests) == 1

    fake_forge.merge_request(squash=isinstance(recipe, GitHub))
    assert published_files(fake_forge, BASE) == dags
    assert recipe.drift(fake_forge) == 0, fake_forge.printed[-1]
    assert recipe.publish(fake_forge) == 0, fake_forge.printed
    assert len(fake_forge.opened_requests) == 1

    fake_forge.commit_change(fake_forge.dags, f"{FOLDER}/project_main.py", "with DAG(", "x = 1\nwith DAG(")
    assert recipe.drift(fake_forge) == 1
    assert (
        "drift-edited" in fake_forge.printed[-1]
        or "drift-edited" in (_last_job_project(fake_forge) / "drift.json").read_text()
    )


def test_a_change_goes_into_the_open_request_and_after_a_merge_into_the_next(
    recipe: GitHub | GitLab, fake_forge: FakeForge
) -> None:
    settings = "conf/base/k8s_airflow.yml"
    assert recipe.publish(fake_forge) == 0, fake_forge.printed
    fake_forge.commit_change(fake_forge.source, settings, "image:", "namespace: one\nimage:")
    assert recipe.publish(fake_forge) == 0, fake_forge.printed
    assert len(fake_forge.opened_requests) == 1
    assert '"namespace": "one"' in published_files(fake_forge, BRANCH)[f"{FOLDER}/project_main.py"]

    fake_forge.merge_request(squash=isinstance(recipe, GitLab))
    fake_forge.commit_change(fake_forge.source, settings, "namespace: one", "namespace: two")
    assert recipe.publish(fake_forge) == 0, fake_forge.printed
    assert len(fake_forge.opened_requests) == 2
    changed = workspace.run_git(fake_forge.dags, "diff", "--name-only", BASE, BRANCH).splitlines()
    assert f"{FOLDER}/project_main.py" in changed
    assert all(name.startswith(f"{FOLDER}/") for name in changed)


def test_failed_publish_fails_the_job_and_opens_no_request(recipe: GitHub | GitLab, fake_forge: FakeForge) -> None:
    fake_forge.commit_change(
        fake_forge.source, "src/project/pipeline_registry.py", "def register_pipelines", "# \ndef register_pipelines"
    )
    assert recipe.publish(fake_forge) != 0
    assert "publish-stale" in "".join(fake_forge.printed)
    assert fake_forge.recorded_calls == []
    assert workspace.run_git(fake_forge.dags, "branch", "--list", BRANCH) == ""


@pytest.mark.parametrize("recipe", [GitLab()], ids=["glab"])  # at GitHub that is the work of actions/checkout
def test_git_receives_the_token_and_no_file_contains_it(recipe: GitLab, fake_forge: FakeForge) -> None:
    assert recipe.publish(fake_forge) == 0, fake_forge.printed
    (checkout,) = (_last_job_project(fake_forge).parent / "tmp").iterdir()
    requested = "printf 'protocol=https\\nhost=gitlab.example.com\\n\\n' | git credential fill"
    assert fake_forge.run_step(requested, checkout, {"DAGS_TOKEN": TOKEN}) == 0
    assert f"password={TOKEN}" in fake_forge.printed[-1]
    for path in fake_forge.folder.rglob("*"):
        assert path.name == "calls" or not path.is_file() or TOKEN.encode() not in path.read_bytes()


def _last_job_project(fake_forge: FakeForge) -> Path:
    return fake_forge.folder / f"job-{fake_forge.jobs}" / "project"
