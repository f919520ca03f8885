"""The demo's DAGs run by a real Airflow on a real cluster: the same outputs as `kedro run`, with Airflow's small Role."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.support import cluster_demo
from tests.support.airflow_harness.harness import Airflow, Audit
from tests.support.cluster_demo import Claim, Place, kubectl, place
from tests.support.environments import interpreter

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
def filled(image: str, demo_copy: Path, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """The demo with `group_by: memory`, its place filled by the commands that `create` prints."""
    made = place(demo_copy, tmp_path_factory.mktemp("memory"), image)
    made.fill()
    return made


@pytest.fixture(scope="module")
def claim(filled: Place) -> Iterator[Claim]:
    """The claim of the tests."""
    opened = Claim(filled)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def expected(claim: Claim, filled: Place) -> dict[str, str]:
    """All outputs of `kedro run` on the same raw data, with the same parameters."""
    found = claim.kedro_run(filled, PARAMS)
    assert len(found) > 45
    return found


@pytest.fixture
def airflow(tmp_path: Path, kubeconfig: Path) -> Iterator[Callable[[Path, str], Airflow]]:
    """Starts an Airflow that sees a folder of DAGs."""
    opened: list[Airflow] = []

    def start(dags: Path, variable: str = "KKA_PYTHON_AIRFLOW_3") -> Airflow:
        python, home = Path(interpreter(variable)), tmp_path / f"airflow-{len(opened)}"
        made = Airflow(python, home, dags, kubeconfig, environment=PATIENT)
        opened.append(made)
        made.migrate()
        return made

    yield start
    for made in opened:
        made.close()


def pods_left() -> list[str]:
    """Names of the demo's pods that Airflow started and that are still there."""
    selector = "--selector=kubernetes_pod_operator=True,app.kubernetes.io/part-of=flights"
    return kubectl("get", "pods", selector, "--output=name").split()


def test_a_triggered_run_leaves_what_kedro_run_leaves_and_uses_no_more_than_the_role(
    airflow: Callable[..., Airflow], claim: Claim, filled: Place, expected: dict[str, str]
) -> None:
    started = airflow(filled.dags)
    log = Path(os.environ.get("LAB_AUDIT_LOG", ""))
    audit = Audit(log) if log.is_file() else None
    started.start()
    started.wait_dag("flights")
    started.unpause("flights")
    run_id = started.trigger("flights", conf={**PARAMS, "not_offered": "s3://elsewhere"})
    state = started.wait_run("flights", run_id, seconds=900)
    assert state == "success", started.report("flights", run_id)
    found = claim.outputs(filled.sub_path)
    assert found == expected
    assert pods_left() == []
    if audit is None:
        pytest.skip("no audit log (LAB_AUDIT_LOG): the outputs were compared, the Role was not")
    allowed = {
        (verb, resource)
        for rule in yaml.safe_load_all((filled.project / "manifests" / "airflow-role.yml").read_text())
        for one in rule.get("rules", ())
        for resource in one["resources"]
        for verb in one["verbs"]
    }
    calls = audit.calls()
    assert {(call.verb, call.resource) for call in calls} <= allowed
    assert {call.code for call in calls}.isdisjoint({401, 403}), calls


@pytest.mark.full
def test_a_dag_of_chains_leaves_what_kedro_run_leaves(
    airflow: Callable[..., Airflow],
    claim: Claim,
    filled: Place,
    expected: dict[str, str],
    image: str,
    demo_copy: Path,
    tmp_path: Path,
) -> None:
    made = place(demo_copy, tmp_path, image, {"dags": {"__default__": {"group_by": "chain"}}})
    claim.raw_copied(filled, made)
    run = airflow(made.dags).dag_test("flights", conf=PARAMS, seconds=900)
    assert run.state == "success", run.log[-6000:]
    assert claim.outputs(made.sub_path) == expected
    assert pods_left() == []


STORED: dict[str, Any] = {
    "data": {"memory": "store", "store": {"path": "data/stored"}},
    "dags": {"__default__": {"group_by": "none"}},
}


@pytest.mark.full
def test_a_pod_for_every_node_with_stored_memory_leaves_what_kedro_run_leaves(
    airflow: Callable[..., Airflow],
    claim: Claim,
    filled: Place,
    expected: dict[str, str],
    image: str,
    demo_copy: Path,
    tmp_path: Path,
) -> None:
    made = place(demo_copy, tmp_path, image, STORED)
    claim.raw_copied(filled, made)
    run = airflow(made.dags).dag_test("flights", conf=PARAMS, seconds=1200)
    assert run.state == "success", run.log[-6000:]
    assert len(run.tasks) == 41
    assert claim.outputs(made.sub_path) == expected


@pytest.mark.full
def test_airflow_2_leaves_what_kedro_run_leaves(
    airflow: Callable[..., Airflow],
    claim: Claim,
    filled: Place,
    expected: dict[str, str],
    image: str,
    demo_copy: Path,
    tmp_path: Path,
) -> None:
    made = place(demo_copy, tmp_path, image)
    claim.raw_copied(filled, made)
    started = airflow(made.dags, "KKA_PYTHON_AIRFLOW_2")
    started.start()
    started.wait_dag("flights")
    started.unpause("flights")
    run_id = started.trigger("flights", conf=PARAMS)
    assert started.wait_run("flights", run_id, seconds=1200) == "success", started.report("flights", run_id)
    assert claim.outputs(made.sub_path) == expected
    assert pods_left() == []


def test_the_role_is_what_kubernetes_accepts(filled: Place) -> None:
    role = filled.project / "manifests" / "airflow-role.yml"
    cluster_demo.run(["kedro", "k8s-airflow", "manifests", "--subject", "airflow:airflow-worker"], cwd=filled.project)
    assert "RoleBinding" in role.read_text()
    assert "dry run" in kubectl("apply", "--dry-run=server", "--filename", str(role))
    assert "dry run" in kubectl("apply", "--dry-run=server", "--filename", str(role.with_name("data-pod.yml")))
