"""A cluster to test on (`KUBECONFIG`), the demo's pods as Airflow builds them, and the demo's image inside the cluster.

The image is that of `KKA_DEMO_IMAGE` when the caller brought it into the cluster; else it is built here with podman and
loaded by the lab (`LAB`, by default beside the repository).
"""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.cluster_demo import CLAIM, NAMESPACE, copy, kubectl, run
from tests.support.fault_project.project import opened
from tests.support.paths import AIRFLOW_PROBE, ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.fault_project.project import Run, Trials

OPERATOR = "kubernetes_pod_operator"  # the label of pods that Airflow started
LAB = Path(os.environ.get("LAB", ROOT.parent / "shared" / "lab" / "lab"))
BASE, UV_IMAGE = "python:3.12-slim", "astral/uv:0.13.9"


@pytest.fixture(scope="session")
def bases() -> None:
    """The base images that Dockerfiles name are there: the lab stands in for a registry, or podman pulls them."""
    if LAB.is_file():
        run([LAB, "base", "--python", "3.12", "--as", BASE, "--uv", "0.13.9", "--as", UV_IMAGE])
        return
    for image in (BASE, UV_IMAGE):
        pulled = subprocess.run(["podman", "pull", "--quiet", image], capture_output=True, text=True, check=False)
        if pulled.returncode:
            pytest.skip(f"podman cannot pull {image}: {pulled.stderr.strip()[-300:]}")


@pytest.fixture(scope="module")
def registry() -> Iterator[str]:
    """A registry that the engines and the cluster know."""
    if not LAB.is_file():
        pytest.skip("no lab, whose registry the cluster pulls from")
    run([LAB, "registry", "up"])
    yield os.environ["LAB_REGISTRY"]
    run([LAB, "registry", "down"])


@pytest.fixture(scope="session")
def kubeconfig() -> Path:
    """What Airflow gets: `LAB_AIRFLOW_KUBECONFIG`, an identity with few rights, else the tests' own."""
    return Path(os.environ.get("LAB_AIRFLOW_KUBECONFIG") or os.environ["KUBECONFIG"])


@pytest.fixture(scope="session")
def demo_copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the demo project, with its raw tables."""
    return copy(tmp_path_factory.mktemp("copy"))


@pytest.fixture(scope="session")
def project(demo_copy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the demo project with its DAGs and image spec written."""
    made = tmp_path_factory.mktemp("demo") / "demo-project"
    shutil.copytree(demo_copy, made)
    run([sys.executable, "-m", "kedro", "k8s-airflow", "create", "--quiet"], cwd=made)
    return made


@pytest.fixture(scope="session")
def pods(project: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Rendered pods of the demo's main DAG by task id, as Airflow 3 builds them."""
    airflow = os.environ.get("KKA_PYTHON_AIRFLOW_3", "")
    if not Path(airflow).is_file():
        pytest.skip(f"KKA_PYTHON_AIRFLOW_3 names no Python with Airflow 3: {airflow!r}")
    report = tmp_path_factory.mktemp("probe") / "report.json"
    run([airflow, AIRFLOW_PROBE, project / "dags" / "flights.py", "--out", report])
    (entry,) = json.loads(report.read_text())["files"].values()
    assert entry["import_errors"] == []
    return {name: task["rendered_pod"] for name, task in entry["dags"]["flights"]["tasks"].items()}


@pytest.fixture(scope="session")
def image(project: Path) -> str:
    """The demo's image, inside the cluster."""
    given = os.environ.get("KKA_DEMO_IMAGE")
    if given:
        return given
    if shutil.which("podman") is None or not LAB.is_file():
        pytest.skip("no KKA_DEMO_IMAGE, and neither podman nor the lab to build and load one")
    tag = "flights:cluster-test"
    run(["podman", "build", "--tag", tag, project], timeout=1200)
    try:
        run([LAB, "load", tag])
    except AssertionError:
        run([LAB, "load", tag])  # containerd may clear away a layer between its steps
    return f"localhost/{tag}"


class Cluster:
    """Pods of the test, on the claim of the test; all deleted afterwards."""

    def __init__(self, image: str) -> None:
        """Pods run `image`."""
        self.image = image
        self.names: list[str] = []

    def start(self, pod: dict[str, Any]) -> str:
        """Create a pod as emitted, with this cluster's image and claim; returns its name."""
        pod = json.loads(json.dumps(pod))
        name = f"test-{uuid.uuid4().hex[:8]}"
        labels = {key: value for key, value in pod["metadata"]["labels"].items() if key != OPERATOR}
        pod["metadata"] = {**pod["metadata"], "name": name, "namespace": NAMESPACE, "labels": labels}
        container = pod["spec"]["containers"][0]
        container["image"] = self.image
        container["imagePullPolicy"] = "IfNotPresent"
        for volume in pod["spec"]["volumes"]:
            if "persistentVolumeClaim" in volume:
                volume["persistentVolumeClaim"]["claimName"] = CLAIM
        kubectl("create", "--filename", "-", stdin=json.dumps(pod))
        self.names.append(name)
        return name

    def state(self, name: str) -> dict[str, Any]:
        """Status of a pod."""
        status: dict[str, Any] = json.loads(kubectl("get", "pod", name, "--output", "json"))["status"]
        return status

    def wait(self, name: str, phases: tuple[str, ...] = ("Succeeded", "Failed"), seconds: int = 240) -> dict[str, Any]:
        """Status of a pod once it is in one of the phases."""
        end = time.monotonic() + seconds
        while (status := self.state(name))["phase"] not in phases:
            assert time.monotonic() < end, json.dumps(status)[:3000]
            time.sleep(0.5)
        return status

    def exit_code(self, pod: dict[str, Any]) -> tuple[int, str]:
        """Run a pod to its end: exit code and log."""
        name = self.start(pod)
        status = self.wait(name)
        return status["containerStatuses"][0]["state"]["terminated"]["exitCode"], kubectl("logs", name)


@pytest.fixture(scope="session")
def cluster(image: str) -> Iterator[Cluster]:
    """The cluster, holding the demo's image."""
    made = Cluster(image)
    yield made
    if made.names:
        kubectl("delete", "pod", "--grace-period=0", "--force", "--wait=false", *made.names)


@pytest.fixture(scope="session")
def keeper(cluster: Cluster, pods: dict[str, dict[str, Any]], project: Path) -> str:
    """A sleeping pod of the same form that sees the claim, filled with the raw tables."""
    pod = json.loads(json.dumps(next(iter(pods.values()))))
    pod["spec"]["containers"][0]["command"] = ["sleep", "3600"]
    pod["spec"]["containers"][0]["args"] = []
    name = cluster.start(pod)
    cluster.wait(name, ("Running",))
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        archive.add(project / "data" / "01_raw", "01_raw")
    kubectl(
        "exec",
        "--stdin",
        name,
        "--",
        "tar",
        "--extract",
        "--no-same-owner",
        "--directory=/app/data",
        stdin=packed.getvalue(),
    )
    return name


@pytest.fixture(scope="session")
def trials(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, kubeconfig: Path
) -> Iterator[Trials]:
    """The project of the trials in a real Airflow, with the runs of the selected tests begun."""
    with opened(tmp_path_factory, kubeconfig, request.session) as made:
        yield made


@pytest.fixture
def begun(trials: Trials, request: pytest.FixtureRequest) -> Run:
    """The run that a test marked by `begins` is about."""
    return trials.begun[request.function.begins.key]
