"""The demo's DAGs run by a real Airflow on a real cluster: the same outputs as `kedro run`, with Airflow's small Role."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.support import cluster_demo
from tests.support.airflow_harness.harness import Airflow, Audit
from tests.support.cluster_demo import ClaimPod, DeployedDemo, deploy_demo, run_kubectl
from tests.support.environments import find_interpreter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.cluster

# What somebody types into the trigger form; the reference gets the same by `kedro run --params`.
PARAMS = {"model_options.max_iter": 40, "model_options.random_state": 7, "delay_threshold": 20}


# A busy machine must not be taken for a dead worker: no part dies here.
PATIENT = {
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "600",
    "AIRFLOW__SCHEDULER__SCHEDULER_ZOMBIE_TASK_THRESHOLD": "600",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "300",
    "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "300",
}


@pytest.fixture(scope="module")
def filled_demo(image: str, demo_copy: Path, tmp_path_factory: pytest.TempPathFactory) -> DeployedDemo:
    """The demo with `group_by: memory`, its place filled by the commands that `create` prints."""
    demo = deploy_demo(demo_copy, tmp_path_factory.mktemp("memory"), image)
    demo.run_printed_commands()
    return demo


@pytest.fixture(scope="module")
def claim(filled_demo: DeployedDemo) -> Iterator[ClaimPod]:
    """The claim of the tests."""
    opened = ClaimPod(filled_demo)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def expected(claim: ClaimPod, filled_demo: DeployedDemo) -> dict[str, str]:
    """All outputs of `kedro run` on the same raw data, with the same parameters."""
    found = claim.run_reference(filled_demo, PARAMS)
    assert len(found) > 45
    return found


@pytest.fixture
def airflow(tmp_path: Path, kubeconfig: Path) -> Iterator[Callable[[Path, str], Airflow]]:
    """Starts an Airflow that sees a folder of DAGs."""
    opened: list[Airflow] = []

    def start(dags: Path, variable: str = "KKA_PYTHON_AIRFLOW_3") -> Airflow:
        python, home = Path(find_interpreter(variable)), tmp_path / f"airflow-{len(opened)}"
        demo = Airflow(python, home, dags, kubeconfig, environment=PATIENT)
        opened.append(demo)
        demo.migrate()
        return demo

    yield start
    for demo in opened:
        demo.close()


def list_leftover_pods() -> list[str]:
    """Names of the demo's pods that Airflow started and that are still there."""
    selector = "--selector=kubernetes_pod_operator=True,app.kubernetes.io/part-of=flights"
    return run_kubectl("get", "pods", selector, "--output=name").split()


def test_triggered_run_matches_kedro_run_and_stays_within_the_role(
    airflow: Callable[..., Airflow], claim: ClaimPod, filled_demo: DeployedDemo, expected: dict[str, str]
) -> None:
    started = airflow(filled_demo.dags)
    log = Path(os.environ.get("LAB_AUDIT_LOG", ""))
    audit = Audit(log) if log.is_file() else None
    started.start()
    started.wait_dag("flights")
    started.unpause("flights")
    run_id = started.trigger("flights", conf={**PARAMS, "not_offered": "s3://elsewhere"})
    state = started.wait_run("flights", run_id, seconds=900)
    assert state == "success", started.report("flights", run_id)
    found = claim.hash_outputs(filled_demo.sub_path)
    assert found == expected
    assert list_leftover_pods() == []
    if audit is None:
        pytest.skip("no audit log (LAB_AUDIT_LOG): the outputs were compared, the Role was not")
    allowed = {
        (verb, resource)
        for rule in yaml.safe_load_all((filled_demo.project / "manifests" / "airflow-role.yml").read_text())
        for one in rule.get("rules", ())
        for resource in one["resources"]
        for verb in one["verbs"]
    }
    calls = audit.calls()
    assert {(call.verb, call.resource) for call in calls} <= allowed
    assert {call.code for call in calls}.isdisjoint({401, 403}), calls


@pytest.mark.full
def test_chain_grouped_dag_matches_kedro_run(
    airflow: Callable[..., Airflow],
    claim: ClaimPod,
    filled_demo: DeployedDemo,
    expected: dict[str, str],
    image: str,
    demo_copy: Path,
    tmp_path: Path,
) -> None:
    demo = deploy_demo(demo_copy, tmp_path, image, {"dags": {"__default__": {"group_by": "chain"}}})
    claim.copy_raw_tables(filled_demo, demo)
    run = airflow(demo.dags).run_dag_test("flights", conf=PARAMS, seconds=900)
    assert run.state == "success", run.log[-6000:]
    assert claim.hash_outputs(demo.sub_path) == expected
    assert list_leftover_pods() == []


STORED: dict[str, Any] = {
    "data": {"memory": "store", "store": {"path": "data/stored"}},
    "dags": {"__default__": {"group_by": "none"}},
}


@pytest.mark.full
def test_one_pod_per_node_with_store_matches_kedro_run(
    airflow: Callable[..., Airflow],
    claim: ClaimPod,
    filled_demo: DeployedDemo,
    expected: dict[str, str],
    image: str,
    demo_copy: Path,
    tmp_path: Path,
) -> None:
    demo = deploy_demo(demo_copy, tmp_path, image, STORED)
    claim.copy_raw_tables(filled_demo, demo)
    run = airflow(demo.dags).run_dag_test("flights", conf=PARAMS, seconds=1200)
    assert run.state == "success", run.log[-6000:]
    assert len(run.tasks) == 41
    assert claim.hash_outputs(demo.sub_path) == expected


@pytest.mark.full
def test_airflow_2_run_matches_kedro_run(
    airflow: Callable[..., Airflow],
    claim: ClaimPod,
    filled_demo: DeployedDemo,
    expected: dict[str, str],
    image: str,
    demo_copy: Path,
    tmp_path: Path,
) -> None:
    demo = deploy_demo(demo_copy, tmp_path, image)
    claim.copy_raw_tables(filled_demo, demo)
    started = airflow(demo.dags, "KKA_PYTHON_AIRFLOW_2")
    started.start()
    started.wait_dag("flights")
    started.unpause("flights")
    run_id = started.trigger("flights", conf=PARAMS)
    assert started.wait_run("flights", run_id, seconds=1200) == "success", started.report("flights", run_id)
    assert claim.hash_outputs(demo.sub_path) == expected
    assert list_leftover_pods() == []


def test_the_role_is_what_kubernetes_accepts(filled_demo: DeployedDemo) -> None:
    role = filled_demo.project / "manifests" / "airflow-role.yml"
    cluster_demo.run_command(
        ["kedro", "k8s-airflow", "manifests", "--subject", "airflow:airflow-worker"], cwd=filled_demo.project
    )
    assert "RoleBinding" in role.read_text()
    assert "dry run" in run_kubectl("apply", "--dry-run=server", "--filename", str(role))
    assert "dry run" in run_kubectl("apply", "--dry-run=server", "--filename", str(role.with_name("data-pod.yml")))
