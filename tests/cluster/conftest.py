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

from tests.support.cluster_demo import CLAIM, NAMESPACE, POD_SECURITY, copy_demo, run_command, run_kubectl
from tests.support.fault_project.project import open_fault_environment
from tests.support.paths import AIRFLOW_PROBE, ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.fault_project.project import DagRun, FaultEnvironment

OPERATOR = "kubernetes_pod_operator"  # the label of pods that Airflow started
LAB = Path(os.environ.get("LAB", ROOT.parent / "shared" / "lab" / "lab"))
BASE, UV_IMAGE = "python:3.12-slim", "astral/uv:0.13.9"
# What a platform team sets for a namespace. The quota counts limits of CPU, which our pods leave to the limit range.
NAMESPACE_POLICIES: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "List",
    "items": [
        {
            "apiVersion": "v1",
            "kind": "ResourceQuota",
            "metadata": {"name": "team"},
            "spec": {
                "hard": {
                    "pods": "60",
                    "requests.cpu": "40",
                    "requests.memory": "200Gi",
                    "limits.cpu": "1000",
                    "limits.memory": "400Gi",
                    "requests.nvidia.com/gpu": "8",
                }
            },
        },
        {
            "apiVersion": "v1",
            "kind": "LimitRange",
            "metadata": {"name": "team"},
            "spec": {
                "limits": [
                    {
                        "type": "Container",
                        "default": {"cpu": "16", "memory": "1Gi"},
                        "defaultRequest": {"cpu": "50m", "memory": "64Mi"},
                        "max": {"cpu": "16", "memory": "64Gi"},
                    }
                ]
            },
        },
    ],
}


@pytest.fixture(scope="session", autouse=True)
def strict_namespace() -> None:
    """The namespace of the tests enforces the restricted Pod Security level, a quota and a limit range."""
    run_kubectl("label", "--overwrite", "namespace", NAMESPACE, POD_SECURITY)
    run_kubectl("apply", "--filename", "-", stdin=json.dumps(NAMESPACE_POLICIES))


@pytest.fixture(scope="session")
def base_images() -> None:
    """The base images that Dockerfiles name are there: the lab stands in for a registry, or podman pulls them."""
    if LAB.is_file():
        run_command([LAB, "base", "--python", "3.12", "--as", BASE, "--uv", "0.13.9", "--as", UV_IMAGE])
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
    run_command([LAB, "registry", "up"])
    yield os.environ["LAB_REGISTRY"]
    run_command([LAB, "registry", "down"])


@pytest.fixture(scope="session")
def kubeconfig() -> Path:
    """What Airflow gets: `LAB_AIRFLOW_KUBECONFIG`, an identity with few rights, else the tests' own."""
    return Path(os.environ.get("LAB_AIRFLOW_KUBECONFIG") or os.environ["KUBECONFIG"])


@pytest.fixture(scope="session")
def demo_copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the demo project, with its raw tables."""
    return copy_demo(tmp_path_factory.mktemp("copy"))


@pytest.fixture(scope="session")
def project(demo_copy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the demo project with its DAGs and image spec written."""
    created = tmp_path_factory.mktemp("demo") / "demo-project"
    shutil.copytree(demo_copy, created)
    run_command([sys.executable, "-m", "kedro", "k8s-airflow", "create", "--quiet"], cwd=created)
    return created


@pytest.fixture(scope="session")
def pods(project: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Rendered pods of the demo's main DAG by task id, as Airflow 3 builds them."""
    airflow = os.environ.get("KKA_PYTHON_AIRFLOW_3", "")
    if not Path(airflow).is_file():
        pytest.skip(f"KKA_PYTHON_AIRFLOW_3 names no Python with Airflow 3: {airflow!r}")
    report = tmp_path_factory.mktemp("probe") / "report.json"
    run_command([airflow, AIRFLOW_PROBE, project / "dags" / "flights.py", "--out", report])
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
    run_command(["podman", "build", "--tag", tag, project], timeout=1200)
    try:
        run_command([LAB, "load", tag])
    except AssertionError:
        run_command([LAB, "load", tag])  # containerd may clear away a layer between its steps
    return f"localhost/{tag}"


class ClusterPods:
    """Pods of the test, on the claim of the test; all deleted afterwards."""

    def __init__(self, image: str) -> None:
        """Pods run `image`."""
        self.image = image
        self.names: list[str] = []

    def start_pod(self, pod: dict[str, Any]) -> str:
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
        run_kubectl("create", "--filename", "-", stdin=json.dumps(pod))
        self.names.append(name)
        return name

    def pod_status(self, name: str) -> dict[str, Any]:
        """Status of a pod."""
        status: dict[str, Any] = json.loads(run_kubectl("get", "pod", name, "--output", "json"))["status"]
        return status

    def wait_for_phase(
        self, name: str, phases: tuple[str, ...] = ("Succeeded", "Failed"), seconds: int = 240
    ) -> dict[str, Any]:
        """Status of a pod once it is in one of the phases."""
        end = time.monotonic() + seconds
        while (status := self.pod_status(name))["phase"] not in phases:
            assert time.monotonic() < end, json.dumps(status)[:3000]
            time.sleep(0.5)
        return status

    def run_to_end(self, pod: dict[str, Any]) -> tuple[int, str]:
        """Run a pod to its end: exit code and log."""
        name = self.start_pod(pod)
        status = self.wait_for_phase(name)
        return status["containerStatuses"][0]["state"]["terminated"]["exitCode"], run_kubectl("logs", name)


@pytest.fixture(scope="session")
def cluster(image: str) -> Iterator[ClusterPods]:
    """The cluster, holding the demo's image."""
    created = ClusterPods(image)
    yield created
    if created.names:
        run_kubectl("delete", "pod", "--grace-period=0", "--force", "--wait=false", *created.names)


@pytest.fixture(scope="session")
def claim_pod(cluster: ClusterPods, pods: dict[str, dict[str, Any]], project: Path) -> str:
    """A sleeping pod of the same form that sees the claim, filled with the raw tables."""
    pod = json.loads(json.dumps(next(iter(pods.values()))))
    pod["spec"]["containers"][0]["command"] = ["sleep", "3600"]
    pod["spec"]["containers"][0]["args"] = []
    name = cluster.start_pod(pod)
    cluster.wait_for_phase(name, ("Running",))
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        archive.add(project / "data" / "01_raw", "01_raw")
    run_kubectl(
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
def fault_environment(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, kubeconfig: Path
) -> Iterator[FaultEnvironment]:
    """The project of the trials in a real Airflow, with the runs of the selected tests begun."""
    with open_fault_environment(tmp_path_factory, kubeconfig, request.session) as created:
        yield created


@pytest.fixture
def early_run(fault_environment: FaultEnvironment, request: pytest.FixtureRequest) -> DagRun:
    """The run of a test marked by `starts_early_run`."""
    return fault_environment.early_runs[request.function.begins.key]
