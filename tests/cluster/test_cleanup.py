"""The CronJob of `manifests` on a real cluster: it deletes finished pods of the project that are old enough, with its own rights."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.support.cluster_demo import NAMESPACE, run_command, run_kubectl

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.cluster
NAME = "flights-cleanup"
OURS = {"app.kubernetes.io/managed-by": "kedro-k8s-airflow", "app.kubernetes.io/part-of": "flights", "test": "cleanup"}
OTHER = {**OURS, "app.kubernetes.io/part-of": "other"}


@pytest.fixture
def cron_job(project: Path) -> Iterator[dict[str, Any]]:
    """The applied manifest; deleted afterwards, with the pods and jobs of the test."""
    run_command([sys.executable, "-m", "kedro", "k8s-airflow", "manifests"], cwd=project)
    file = project / "manifests" / "cleanup.yml"
    run_kubectl("apply", "--filename", str(file))
    yield next(one for one in yaml.safe_load_all(file.read_text()) if one["kind"] == "CronJob")
    run_kubectl("delete", "--filename", str(file), "--wait=false")
    run_kubectl("delete", "job,pod", "--selector=test=cleanup", "--wait=false", "--grace-period=0", "--force")


@pytest.fixture
def start_pod(image: str, cron_job: dict[str, Any]) -> Callable[[str, dict[str, str], str], None]:
    """Creates a pod that runs a shell command with the rights of the tasks' pods."""
    template = cron_job["spec"]["jobTemplate"]["spec"]["template"]["spec"]

    def start(name: str, labels: dict[str, str], command: str) -> None:
        container = {**template["containers"][0], "image": image, "command": ["sh", "-c", command], "args": []}
        spec = {"restartPolicy": "Never", "securityContext": template["securityContext"], "containers": [container]}
        metadata = {"name": name, "labels": labels}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
        run_kubectl("create", "--filename", "-", stdin=json.dumps(pod))

    return start


def wait_for(jsonpath: str, value: str, *names: str) -> None:
    """Wait until a field of each object has a value."""
    run_kubectl("wait", f"--for=jsonpath={{{jsonpath}}}={value}", "--timeout=120s", *names)


def test_finished_pods_of_the_project_are_deleted_when_they_are_old(
    cron_job: dict[str, Any], image: str, start_pod: Callable[[str, dict[str, str], str], None]
) -> None:
    start_pod("cleanup-done", OURS, "true")
    start_pod("cleanup-failed", OURS, "exit 3")
    start_pod("cleanup-running", OURS, "sleep 300")
    start_pod("cleanup-other", OTHER, "true")
    wait_for(".status.phase", "Succeeded", "pod/cleanup-done", "pod/cleanup-other")
    wait_for(".status.phase", "Failed", "pod/cleanup-failed")
    wait_for(".status.phase", "Running", "pod/cleanup-running")
    everything = {"cleanup-done", "cleanup-failed", "cleanup-running", "cleanup-other"}
    for age, left in (("86400", everything), ("0", {"cleanup-running", "cleanup-other"})):
        time.sleep(2)
        spec = json.loads(json.dumps(cron_job["spec"]["jobTemplate"]["spec"]))
        container = spec["template"]["spec"]["containers"][0]
        container["image"], container["args"][1] = image, age
        metadata = {"name": f"cleanup-{age}", "labels": {"test": "cleanup"}}
        job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec}
        run_kubectl("create", "--filename", "-", stdin=json.dumps(job))
        run_kubectl("wait", "--for=condition=complete", "--timeout=120s", f"job/cleanup-{age}")
        listed = run_kubectl("get", "pods", "--selector=test=cleanup", "--output=jsonpath={.items[*].metadata.name}")
        assert set(listed.split()) & everything == left


def test_its_role_holds_nothing_else(cron_job: dict[str, Any]) -> None:
    account = f"system:serviceaccount:{NAMESPACE}:{NAME}"
    assert cron_job["metadata"]["name"] == NAME
    listed = run_kubectl("auth", "can-i", "--list", "--as", account)
    rows = [line.split() for line in listed.splitlines() if line.startswith("pods")]
    assert [row[-2:] for row in rows] == [["[delete", "list]"]]
