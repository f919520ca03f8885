"""`publish` end to end: git-sync brings the repository to a running Airflow 3, whose DAGs run in the published image; and the CI recipes.

The other steps of the recipes in docs/guides/ci are tested in tests/documentation/test_recipes.py, without a registry.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.support.airflow_harness.harness import Airflow, wait_for
from tests.support.cluster_demo import NAMESPACE, ROOT, run_command, run_kubectl
from tests.support.environments import find_interpreter
from tests.support.git_sync import GitSync
from tests.support.image_project import SETTINGS, kedro, locked, small

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from typing_extensions import Self

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(
        shutil.which("podman") is None, reason="podman, which builds and pushes the images, is not here"
    ),
    pytest.mark.usefixtures("base_images"),
]

NODES = """
from kedro.pipeline import node, pipeline


def count(x):
    print(f"counted {x}")


def speak(x):
    print("words were said")


def register_pipelines():
    counting = pipeline([node(count, "params:x", None, name="count")])
    words = pipeline([node(speak, "params:x", None, name="speak")])
    return {"__default__": counting + words, "counting": counting, "words": words}
"""
CHANGED = NODES.replace("counted {x}", "doubled to {2 * x}").replace(
    'name="count")]', 'name="count"), node(speak, "params:x", None, name="announce")]'
)
COUNTING, WORDS = "small_counting", "small_words"
POD_SELECTOR = "app.kubernetes.io/part-of=small"  # the label of the project's pods
RECIPES = ROOT / "docs" / "guides" / "ci"
FOLDER = "dags"
RECORD = f"{FOLDER}/.k8s-airflow"
MANIFEST = f"{RECORD}/manifests/small.json"
# A DAG that another team has written.
FOREIGN = """
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG

with DAG({dag_id!r}, schedule=None):
    EmptyOperator(task_id="nothing")
"""
ENVIRONMENT = {
    # A file is read when it is new, and when its time is later than the end of its last reading; all files of git-sync's new work
    # tree have the time at which that was made. One that was made while the old file was still being read has to wait for this
    # interval, Airflow's own. A file that is not there any more is noticed whenever the folder is listed: each second here.
    "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "30",
    # A busy machine must not be taken for a dead worker.
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "600",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "300",
    "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "300",
}


class Repository:
    """The bare repository of a team's DAGs, and a checkout of it."""

    def __init__(self, folder: Path) -> None:
        """Create both, with a DAG of another team on branch main."""
        self.bare, self.checkout = folder / "dags.git", folder / "checkout"
        run_command(["git", "init", "--quiet", "--bare", "--initial-branch=main", self.bare])
        run_command(["git", "clone", "--quiet", self.bare, self.checkout])
        self.commit({f"{FOLDER}/team/theirs.py": FOREIGN.format(dag_id="theirs")})

    @property
    def url(self) -> str:
        return self.bare.as_uri()

    def commit(self, files: Mapping[str, str]) -> None:
        """Commit files by hand, and push."""
        for name, text in files.items():
            (self.checkout / name).parent.mkdir(parents=True, exist_ok=True)
            (self.checkout / name).write_text(text)
        run_command(["git", "add", "--all"], cwd=self.checkout)
        run_command(["git", "commit", "--quiet", "--message=By hand"], cwd=self.checkout)
        run_command(["git", "push", "--quiet", "origin", "HEAD:main"], cwd=self.checkout)

    def main_commit(self) -> str:
        """Return the commit of branch main."""
        return run_command(["git", "rev-parse", "refs/heads/main"], cwd=self.bare).strip()

    def read_file(self, name: str, branch: str = "main") -> str:
        """Return the content of a file."""
        return run_command(["git", "show", f"{branch}:{name}"], cwd=self.bare)

    def list_files(self) -> set[str]:
        """Return the paths of branch main."""
        return set(run_command(["git", "ls-tree", "-r", "--name-only", "main"], cwd=self.bare).splitlines())

    def images(self, branch: str = "main") -> set[str]:
        """Return the images that the manifest lists."""
        files = json.loads(self.read_file(MANIFEST, branch))["files"].values()
        return {image for file in files for image in file["images"].values()}

    def trailer(self, key: str) -> str:
        """Return a trailer of the last commit."""
        return run_command(
            ["git", "log", "-1", f"--format=%(trailers:key={key},valueonly)", "main"], cwd=self.bare
        ).strip()


@pytest.fixture(autouse=True)
def identity(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give git an identity, and no configuration of the machine."""
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_NAME", "Test")
        monkeypatch.setenv(f"GIT_{who}_EMAIL", "test@example.com")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """A repository of DAGs."""
    return Repository(tmp_path)


@dataclass(frozen=True)
class Project:
    """A Kedro project in a repository of its own, with a DAG for each of two pipelines."""

    folder: Path
    registry: str

    def write_and_commit(self, nodes: str = NODES, dags: tuple[str, ...] = ("counting", "words")) -> str:
        """Write the nodes and the settings; return the commit."""
        settings = {
            **SETTINGS,
            "image": f"{self.registry}/team/published",
            "data": {},
            "dags": {name: {} for name in dags},
        }
        (self.folder / "conf" / "base" / "k8s_airflow.yml").write_text(yaml.safe_dump(settings))
        (self.folder / "src" / "small" / "pipeline_registry.py").write_text(nodes)
        run_command(["git", "add", "--all"], cwd=self.folder)
        run_command(["git", "commit", "--quiet", "--message=Change"], cwd=self.folder)
        return run_command(["git", "rev-parse", "HEAD"], cwd=self.folder).strip()

    @property
    def image(self) -> str:
        """Return the image that was pushed last."""
        return f"{self.registry}/team/published@{locked(self.folder)['digest']}"

    def drift(self, against: str | Path) -> set[tuple[str, str]]:
        """Run `check --drift`; return the code of each finding and the DAG, subject or key that it is about."""
        out = self.folder.parent / "drift.json"
        options = ["--drift", "--against", str(against), "--format=json", "--output", str(out)]
        result = subprocess.run(
            [sys.executable, "-m", "kedro", "k8s-airflow", "check", *options],
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode in (0, 1), result.stdout + result.stderr
        findings = json.loads(out.read_text())["findings"]
        assert result.returncode == bool(findings), result.stdout + result.stderr
        locations = [(finding["code"], finding["location"]) for finding in findings]
        return {
            (code, location.get("dag") or location.get("subject") or ".".join(location["key"]))
            for code, location in locations
        }


@pytest.fixture
def project(registry: str, tmp_path: Path) -> Project:
    """A project that has no image yet."""
    project = Project(small(tmp_path, "uv.lock"), registry)
    (project.folder / ".gitignore").write_text("__pycache__/\n")
    run_command(["git", "init", "--quiet"], cwd=project.folder)
    project.write_and_commit()
    return project


class PodStates:
    """Every state of every pod of the project during the block, as the cluster reports it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> Self:
        watch = ["get", "pods", f"--selector={POD_SELECTOR}", "--watch", "--output=json"]
        with self._path.open("wb") as out:
            self._process = subprocess.Popen(["kubectl", "--namespace", NAMESPACE, *watch], stdout=out)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()

    def ran_digests(self) -> dict[tuple[str, str], set[str]]:
        """Return the digests of the containers that have ended, by DAG and task."""
        digests: dict[tuple[str, str], set[str]] = {}
        for pod in self._states():
            labels = pod["metadata"]["labels"]
            for status in pod["status"].get("containerStatuses", ()):
                if "terminated" in status["state"]:
                    digest = status["imageID"].rpartition("@")[2]
                    digests.setdefault((labels["dag_id"], labels["task_id"]), set()).add(digest)
        return digests

    def _states(self) -> Iterator[dict[str, Any]]:
        rest, decoder = self._path.read_text().lstrip(), json.JSONDecoder()
        with contextlib.suppress(json.JSONDecodeError):  # the last may be half written
            while rest:
                state, end = decoder.raw_decode(rest)
                yield state
                rest = rest[end:].lstrip()


@dataclass(frozen=True)
class SyncedAirflow:
    """A running Airflow with git-sync."""

    airflow: Airflow
    sync: GitSync
    repository: Repository
    folder: Path

    def wait_for_dags(self, foreign: set[str], ours: set[str]) -> None:
        """Wait until Airflow has exactly these DAGs, ours as in the repository, and no import errors."""
        airflow = self.airflow
        self.sync.wait(self.repository.main_commit())
        wait_for(
            lambda: airflow.dag_ids() == foreign | ours or None,
            90,
            lambda: f"{airflow.dag_ids()}, not {foreign | ours}: {airflow.import_errors()}",
        )
        published = {dag_id: self.repository.read_file(f"{FOLDER}/{dag_id}.py") for dag_id in ours}
        wait_for(
            lambda: {dag_id: airflow.source(dag_id) for dag_id in ours} == published or None,
            90,
            lambda: f"Airflow has other files than {published}: {[airflow.source(dag_id) for dag_id in ours]}",
        )
        assert airflow.import_errors() == {}

    def last_parsed_time(self, dag_id: str) -> str:
        """Return when the file of a DAG was parsed last."""
        return str(self.airflow.api("GET", f"/dags/{dag_id}")["last_parsed_time"])

    def run_dags(self, image: str, tasks: set[tuple[str, str]]) -> dict[str, str]:
        """Run the DAGs of these tasks in parallel; check that all succeed in the image, and return the ids of the runs."""
        airflow, runs = self.airflow, {}
        with PodStates(self.folder / "pods.json") as pods:
            for dag_id in sorted({dag_id for dag_id, _ in tasks}):
                airflow.unpause(dag_id)
                runs[dag_id] = airflow.trigger(dag_id)
            for dag_id, run_id in runs.items():
                assert airflow.wait_run(dag_id, run_id) == "success", airflow.report(dag_id, run_id)
            expected = {task: {image.rpartition("@")[2]} for task in tasks}
            wait_for(
                lambda: pods.ran_digests() == expected or None, 20, lambda: f"{pods.ran_digests()}, not {expected}"
            )
        return runs


@pytest.fixture
def stage(repository: Repository, kubeconfig: Path, tmp_path: Path) -> Iterator[SyncedAirflow]:
    """An Airflow that reads the repository through git-sync."""
    python, home = find_interpreter("KKA_PYTHON_AIRFLOW_3"), tmp_path / "airflow"
    with (
        GitSync(repository.url, tmp_path / "git-sync") as sync,
        Airflow(python, home, sync.link / FOLDER, kubeconfig, environment=ENVIRONMENT) as airflow,
    ):
        airflow.migrate()
        airflow.start()
        yield SyncedAirflow(airflow, sync, repository, tmp_path)
    run_kubectl("delete", "pod", f"--selector={POD_SELECTOR}", "--grace-period=1", "--wait=false")


def test_published_dags_appear_in_airflow_and_run(
    stage: SyncedAirflow, repository: Repository, project: Project
) -> None:
    airflow, folder = stage.airflow, project.folder
    to_checkout = ("publish", "--to", str(repository.checkout), "--push")
    to_address = ("publish", "--to", repository.url, "--push")
    stage.wait_for_dags({"theirs"}, set())

    # New DAGs, through a checkout.
    assert project.drift(repository.bare) == {("drift-missing", name) for name in (COUNTING, WORDS)}
    assert "no image was built" in kedro(folder, *to_checkout, ok=False)
    kedro(folder, "build-image", "--push")
    first = project.image
    kedro(folder, *to_checkout)
    assert project.drift(repository.bare) == set()
    assert repository.images() == {first}
    stage.wait_for_dags({"theirs"}, {COUNTING, WORDS})
    before = stage.run_dags(first, {(COUNTING, "count"), (WORDS, "speak")})
    assert "counted 1" in airflow.read_log(COUNTING, before[COUNTING], "count")

    # Other teams commit meanwhile. Airflow ignores a DAG file beside our manifest and reads one elsewhere.
    theirs = {f"{RECORD}/manifests/hidden.py": "hidden", f"{FOLDER}/team/more.py": "more"}
    repository.commit({path: FOREIGN.format(dag_id=dag_id) for path, dag_id in theirs.items()})

    # A node changes and another comes, by address.
    commit = project.write_and_commit(nodes=CHANGED)
    assert "publish-stale" in kedro(folder, *to_address, ok=False)
    assert ("drift-image", "images.default") in project.drift(repository.url)
    kedro(folder, "build-image", "--push")
    second = project.image
    assert second != first
    images = {("drift-image", name) for name in (COUNTING, WORDS)}
    assert project.drift(repository.url) == {*images, ("drift-changed", COUNTING)}
    output = kedro(folder, *to_address)
    assert "tasks added: announce" in output
    assert project.drift(repository.url) == set()
    assert (repository.images(), repository.trailer("Image-Digest")) == ({second}, second)
    assert repository.trailer("Source-Commit") == commit
    stage.wait_for_dags({"theirs", "more"}, {COUNTING, WORDS})
    assert airflow.task_ids(COUNTING) == {"count", "announce"}
    assert (airflow.versions(COUNTING), airflow.versions(WORDS)) == ([1, 2], [1, 2])
    after = stage.run_dags(second, {(COUNTING, "count"), (COUNTING, "announce")})
    assert "doubled to 2" in airflow.read_log(COUNTING, after[COUNTING], "count")
    assert airflow.run_versions(COUNTING, after[COUNTING]) == [2]
    assert airflow.run_versions(COUNTING, before[COUNTING]) == [1]

    # A DAG goes, through the checkout, which lacks the last commit.
    project.write_and_commit(nodes=CHANGED, dags=("counting",))
    read = stage.last_parsed_time(COUNTING)
    assert project.drift(repository.bare) == {("drift-extra", WORDS)}
    output = kedro(folder, *to_checkout)
    assert f"{WORDS}: removed" in output
    assert project.drift(repository.checkout) == project.drift(repository.bare) == set()
    stage.wait_for_dags({"theirs", "more"}, {COUNTING})
    ours = {f"{FOLDER}/{COUNTING}.py", MANIFEST, f"{RECORD}/.airflowignore"}
    assert repository.list_files() == {*ours, *theirs, f"{FOLDER}/team/theirs.py"}

    # What has run stays to be read, and what did not change is no new version.
    assert airflow.dag_ids(gone=True) == {"theirs", "more", COUNTING, WORDS}
    assert airflow.state(WORDS, before[WORDS]) == "success"
    assert "words were said" in airflow.read_log(WORDS, before[WORDS], "speak")
    wait_for(lambda: stage.last_parsed_time(COUNTING) != read or None, 90, f"{COUNTING} was not read again")
    assert airflow.versions(COUNTING) == [1, 2]


# Docker's engine needs a daemon; podman builds for it here, and says of a push what docker says.
DOCKER = """#!/bin/sh
if [ "$1" = push ]; then
    podman push --digestfile "$0.digest" "$2" && echo "tag: digest: $(cat "$0.digest") size: 1"
else
    exec podman "$@"
fi
"""


@dataclass(frozen=True)
class RecipeRunner:
    """What a CI server does around the steps of a recipe: a clone for each job, and the lock as an artifact."""

    folder: Path
    source: Path
    dags: Path

    def clone_repository(self, repository: Path, name: str) -> Path:
        run_command(["git", "clone", "--quiet", repository, self.folder / name])
        return self.folder / name

    def run_step(self, script: str, at: Path, env: Mapping[str, str]) -> None:
        """A script as both forges start it."""
        given = [f"{name}={value}" for name, value in env.items()]
        run_command(["env", *given, "bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script], cwd=at)

    def docker_environment(self) -> dict[str, str]:
        """Variables by which steps find a docker."""
        (bin_folder := self.folder / "bin").mkdir()
        (bin_folder / "docker").write_text(DOCKER)
        (bin_folder / "docker").chmod(0o755)
        return {"PATH": os.pathsep.join([str(bin_folder), str(Path(sys.executable).parent), os.environ["PATH"]])}


def run_github_recipe(runner: RecipeRunner) -> Path:
    """What the recipe for GitHub Actions runs for the image and to publish; the lock."""
    recipe = yaml.safe_load((RECIPES / "github-publish.yml").read_text())
    image, publish = recipe["jobs"]["image"], recipe["jobs"]["publish"]
    scripts = {step["name"]: step["run"] for job in (image, publish) for step in job["steps"] if "run" in step}
    (artifact,) = (step["with"]["path"] for step in image["steps"] if "upload-artifact" in step.get("uses", ""))
    runner.run_step(
        scripts["Build, prove and push the image"],
        runner.clone_repository(runner.source, "image/project"),
        runner.docker_environment(),
    )
    project = runner.clone_repository(runner.source, "publish/project")
    runner.clone_repository(runner.dags, "publish/airflow-dags")
    lock = shutil.copy(runner.folder / "image" / artifact, runner.folder / "publish" / artifact)
    runner.run_step(scripts["Publish to a branch"], project, {**recipe["env"], **publish["env"]})
    return Path(lock)


def run_gitlab_recipe(runner: RecipeRunner) -> Path:
    """The same of the recipe for GitLab CI, by the first engine that is found; the lab's registry wants no login."""
    recipe = yaml.safe_load((RECIPES / "gitlab-ci.yml").read_text())
    login, build = recipe["build"]["script"]
    clone, publish, _ = recipe["publish"]["script"]
    (artifact,) = recipe["build"]["artifacts"]["paths"]
    assert "login" in login
    runner.run_step(build, runner.clone_repository(runner.source, "build"), {})
    project = runner.clone_repository(runner.source, "publish")
    lock = shutil.copy(runner.folder / "build" / artifact, project / artifact)
    variables = {"CI_SERVER_URL": runner.dags.parent.as_uri(), "DAGS_PROJECT": runner.dags.stem}
    runner.run_step(f"{clone}\n{publish}", project, {**recipe["variables"], **variables})
    return Path(lock)


@pytest.mark.parametrize("recipe", [run_github_recipe, run_gitlab_recipe])
def test_recipe_publishes_the_image_built_by_its_previous_job(
    recipe: Callable[[RecipeRunner], Path], repository: Repository, project: Project, registry: str, tmp_path: Path
) -> None:
    before = repository.main_commit()
    (tmp_path / "jobs").mkdir()
    lock = json.loads(recipe(RecipeRunner(tmp_path / "jobs", project.folder, repository.bare)).read_text())
    image = f"{registry}/team/published@{lock['images']['default']['digest']}"
    assert repository.images("publish/flights") == {image}
    assert repository.main_commit() == before
    run_command(["podman", "pull", "--quiet", image])
