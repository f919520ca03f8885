"""The emitted pods and image on a real cluster: accepted by its API server, and doing what the DAG expects of them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from kedro_k8s_airflow.plan.model import CONTRACT_VERSION
from tests.scenarios import WORKING
from tests.support.cluster_demo import NAMESPACE, run_command, run_kubectl
from tests.support.environments import find_interpreter
from tests.support.paths import AIRFLOW_PROBE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.cluster.conftest import ClusterPods
    from tests.scenarios import Scenario

pytestmark = pytest.mark.cluster
TASK = "clean_airports"


def test_the_api_server_accepts_every_pod(pods: dict[str, dict[str, Any]]) -> None:
    items = [{**pod, "metadata": {**pod["metadata"], "namespace": NAMESPACE}} for pod in pods.values()]
    listed = {"apiVersion": "v1", "kind": "List", "items": items}
    answer = json.loads(
        run_kubectl("apply", "--dry-run=server", "--output", "json", "--filename", "-", stdin=json.dumps(listed))
    )
    accepted = answer.get("items", [answer])
    assert len(accepted) == len(pods) >= 10


def test_the_api_server_accepts_every_pod_of_every_scenario(
    create_scenario: Callable[[Scenario], dict[str, Any]], tmp_path: Path
) -> None:
    files = [file for scenario in WORKING for file in create_scenario(scenario)["dags"].values()]
    report = tmp_path / "report.json"
    run_command(
        [
            find_interpreter("KKA_PYTHON_AIRFLOW_3"),
            AIRFLOW_PROBE,
            *files,
            "--out",
            report,
            "--jobs",
            "2",
        ]
    )
    found = [
        task["rendered_pod"]
        for entry in json.loads(report.read_text())["files"].values()
        for dag in entry["dags"].values()
        for task in dag["tasks"].values()
    ]
    assert len(found) > len(files) > 90
    items = [_drop_references(pod) for pod in {json.dumps(pod): pod for pod in found}.values()]
    for start in range(0, len(items), 100):
        listed = {"apiVersion": "v1", "kind": "List", "items": items[start : start + 100]}
        run_kubectl("apply", "--dry-run=server", "--output", "name", "--filename", "-", stdin=json.dumps(listed))


def _drop_references(pod: dict[str, Any]) -> dict[str, Any]:
    """The pod without names of things that admission looks up, which no test cluster has."""
    absent = ("priorityClassName", "runtimeClassName", "serviceAccountName", "serviceAccount", "imagePullSecrets")
    spec = {key: value for key, value in pod["spec"].items() if key not in absent}
    return {**pod, "metadata": {**pod["metadata"], "namespace": NAMESPACE}, "spec": spec}


def test_a_pod_runs_its_nodes_and_leaves_their_data_on_the_claim(
    cluster: ClusterPods, claim_pod: str, pods: dict[str, dict[str, Any]]
) -> None:
    run_kubectl("exec", claim_pod, "--", "rm", "-rf", "/app/data/02_intermediate", "/app/data/03_primary")
    code, log = cluster.run_to_end(pods[TASK])
    assert code == 0, log
    # Not all of the claim: other tests have folders there that this pod may not read.
    written = run_kubectl(
        "exec", claim_pod, "--", "sh", "-c", "find /app/data/02_intermediate /app/data/03_primary -type f || true"
    )
    assert "airports.parquet" in written, written


def test_a_pod_of_another_contract_ends_with_2(cluster: ClusterPods, pods: dict[str, dict[str, Any]]) -> None:
    code, log = cluster.run_to_end(_replace_arguments(pods[TASK], {f"--contract={CONTRACT_VERSION}": "--contract=99"}))
    assert (code, "contract" in log) == (2, True), log


def test_a_pod_with_an_unknown_node_ends_with_2(cluster: ClusterPods, pods: dict[str, dict[str, Any]]) -> None:
    code, log = cluster.run_to_end(_replace_arguments(pods[TASK], {f"--node={TASK}": "--node=no_such_node"}))
    assert (code, "no_such_node" in log) == (2, True), log


def test_a_pod_whose_node_fails_ends_with_1(cluster: ClusterPods, pods: dict[str, dict[str, Any]]) -> None:
    broken = json.loads(json.dumps(pods[TASK]))
    for volume in broken["spec"]["volumes"]:
        if "persistentVolumeClaim" in volume:
            del volume["persistentVolumeClaim"]
            volume["emptyDir"] = {}
    code, log = cluster.run_to_end(broken)
    assert code == 1, log


def _replace_arguments(pod: dict[str, Any], replaced: dict[str, str]) -> dict[str, Any]:
    changed: dict[str, Any] = json.loads(json.dumps(pod))
    container = changed["spec"]["containers"][0]
    assert set(replaced) <= set(container["args"])
    container["args"] = [replaced.get(argument, argument) for argument in container["args"]]
    return changed
