"""The harness in airflow_parts.py, and through it what a real Airflow does with deferrable pods while its parts die."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.cluster.airflow_parts import Airflow, AirflowFailed, Audit, Call, Proxy, session
from tests.cluster.demo import NAMESPACE, kubectl
from tests.conftest import interpreter

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.cluster

# Any image with a shell that the cluster has.
IMAGE = os.environ.get("LAB_XCOM_IMAGE", "localhost/busybox:1")
DAG_FILE = f"""
from datetime import datetime, timedelta
from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from airflow.providers.common.compat.sdk import DAG


def pod(task_id, command, **more):
    settings = {{
        "name": "parts-" + task_id,
        "namespace": "{NAMESPACE}",
        "image": "{IMAGE}",
        "image_pull_policy": "IfNotPresent",
        "cmds": ["sh", "-c"],
        "arguments": [command],
        "automount_service_account_token": False,
        "deferrable": True,
        "do_xcom_push": False,
        "logging_interval": 60,
        "log_events_on_startup": False,
        "log_pod_spec_on_failure": False,
        "poll_interval": 1,
        "startup_check_interval_seconds": 1,
        "termination_grace_period": 1,
        "active_deadline_seconds": 300,
        "retries": 0,
        "retry_delay": timedelta(seconds=1),
        **more,
    }}
    return KubernetesPodOperator(task_id=task_id, **settings)


def dag(dag_id):
    return DAG(dag_id, start_date=datetime(2026, 1, 1), schedule=None, catchup=False)


with dag("quick"):
    pod("make", "echo made {{{{ dag_run.conf.get('what', 'nothing') }}}}") >> pod("use", "echo used")
with dag("fails"):
    pod("make", "echo last words; exit 3", log_events_on_failure=True) >> pod("use", "echo used")
with dag("waits"):
    pod("long", "for i in $(seq 12); do echo tick $i; sleep 1; done; echo done")
with dag("works"):
    pod("long", "for i in $(seq 25); do echo tick $i; sleep 1; done; echo done", deferrable=False, retries=1)
"""


class Running(NamedTuple):
    """An Airflow with all its parts, the proxy it sees the cluster through, and what it called there."""

    airflow: Airflow
    proxy: Proxy
    audit: Audit

    def begin(self, dag_id: str, task_id: str, state: str) -> str:
        """Start a run and wait for its pod to run; the run's id."""
        airflow = self.airflow
        airflow.wait_dag(dag_id)
        airflow.unpause(dag_id)
        self.audit.mark()
        run_id = airflow.trigger(dag_id)
        airflow.wait_task(dag_id, run_id, task_id, {state})
        selector = f"dag_id={dag_id},task_id={task_id}"
        kubectl("wait", "--for=condition=Ready", "pod", "--selector", selector, "--timeout=60s")
        return run_id

    def created(self) -> int:
        """How many pods Airflow has made since the run began; only an audit log can tell."""
        if not self.audit.path.is_file():
            pytest.skip("LAB_AUDIT_LOG names no audit log of the cluster")
        return self.audit.counts("parts-").get(Call("create", "pods", 201), 0)


@pytest.fixture(scope="session")
def dags(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dags")
    (folder / "parts.py").write_text(DAG_FILE, encoding="ascii")
    return folder


@pytest.fixture(scope="session")
def identity() -> Path:
    path = os.environ.get("LAB_AIRFLOW_KUBECONFIG") or os.environ.get("KUBECONFIG", "")
    return Path(path)


@pytest.fixture(scope="session", params=["3", "2"])
def running(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, dags: Path, identity: Path
) -> Iterator[Running]:
    """All parts of one version, for every test that leaves them running."""
    home = tmp_path_factory.mktemp(f"airflow{request.param}")
    python = interpreter(f"KKA_PYTHON_AIRFLOW_{request.param}")
    with (
        Proxy(identity) as proxy,
        Airflow(python, home, dags, proxy.write_kubeconfig(home / "kubeconfig")) as airflow,
    ):
        airflow.migrate()
        airflow.start()
        yield Running(airflow, proxy, Audit(Path(os.environ.get("LAB_AUDIT_LOG", "/nonexistent"))))
        leaders = [airflow.pid(part) for part in airflow.parts]
    assert [found for leader in leaders for found in session(leader)] == []


def test_dag_test_runs_deferrable_pods(running: Running) -> None:
    run = running.airflow.dag_test("quick", {"what": "tea"})
    assert run.state == "success", run.log
    assert {task.key: (task.state, task.try_number) for task in run.tasks.values()} == {
        "make": ("success", 1),
        "use": ("success", 1),
    }
    assert "made tea" in run.log


def test_dag_test_tells_of_a_failed_pod(running: Running) -> None:
    run = running.airflow.dag_test("fails")
    assert run.state == "failed", run.log
    assert {task.key: task.state for task in run.tasks.values()} == {"make": "failed", "use": "upstream_failed"}
    assert "last words" in run.log


def test_a_run_goes_from_trigger_to_success(running: Running) -> None:
    airflow = running.airflow
    airflow.wait_dag("quick")
    airflow.unpause("quick")
    running.audit.mark()
    run_id = airflow.trigger("quick", {"what": "tea"})
    assert airflow.wait_run("quick", run_id) == "success", airflow.report("quick", run_id)
    assert {task.key: task.state for task in airflow.tasks("quick", run_id).values()} == {
        "make": "success",
        "use": "success",
    }
    assert "made tea" in airflow.log("quick", run_id, "make")
    assert {call.code for call in running.audit.calls("parts-")} <= {200, 201}


def test_a_failed_task_is_reported_and_can_be_cleared(running: Running) -> None:
    airflow = running.airflow
    airflow.unpause(airflow.wait_dag("fails")["dag_id"])
    run_id = airflow.trigger("fails")
    assert airflow.wait_run("fails", run_id) == "failed"
    assert "last words" in airflow.report("fails", run_id)
    assert "exit_code=3" in airflow.log("fails", run_id, "make", 1)
    assert sorted(airflow.clear("fails", run_id, only_failed=True)) == ["make", "use"]
    assert airflow.wait_run("fails", run_id) == "failed"
    assert airflow.tasks("fails", run_id)["make"].try_number == 2


def test_a_task_marked_failed_loses_its_pod(running: Running) -> None:
    airflow = running.airflow
    run_id = running.begin("waits", "long", "deferred")
    airflow.mark_task("waits", run_id, "long", "failed")
    kubectl("wait", "--for=delete", "pod", "--selector", "dag_id=waits", "--timeout=30s")
    assert airflow.wait_run("waits", run_id) == "failed"


def test_a_deferred_task_outlives_the_triggerer(running: Running) -> None:
    airflow = running.airflow
    run_id = running.begin("waits", "long", "deferred")
    airflow.kill("triggerer", signal.SIGTERM)
    airflow.wait_end("triggerer")
    airflow.start("triggerer")
    assert airflow.wait_run("waits", run_id) == "success", airflow.report("waits", run_id)
    assert running.created() == 1


def test_a_deferred_task_outlives_the_scheduler(running: Running) -> None:
    airflow = running.airflow
    run_id = running.begin("waits", "long", "deferred")
    airflow.kill("scheduler", signal.SIGKILL)
    assert not airflow.running("scheduler")
    airflow.start("scheduler")
    assert airflow.wait_run("waits", run_id) == "success", airflow.report("waits", run_id)
    task = airflow.tasks("waits", run_id)["long"]
    assert (task.try_number, running.created()) == (1, 1)


def test_a_pod_whose_worker_died_is_adopted(running: Running) -> None:
    airflow = running.airflow
    run_id = running.begin("works", "long", "running")
    workers = airflow.workers("works", run_id, "long")
    assert {workers.supervisor, workers.runner} <= {found.pid for found in session(airflow.pid("scheduler"))}
    airflow.kill("scheduler", signal.SIGKILL)
    assert session(airflow.pid("scheduler")) == []
    airflow.start("scheduler")
    assert airflow.wait_run("works", run_id) == "success", airflow.report("works", run_id)
    task = airflow.tasks("works", run_id)["long"]
    assert (task.try_number, running.created()) == (2, 1)


def test_a_deferred_task_outlives_an_absent_api_server(running: Running) -> None:
    airflow = running.airflow
    run_id = running.begin("waits", "long", "deferred")
    with running.proxy.paused():
        time.sleep(20)
    assert airflow.wait_run("waits", run_id) == "success", airflow.report("waits", run_id)
    assert running.created() == 1


def test_what_is_not_there_is_said(running: Running) -> None:
    with pytest.raises(AirflowFailed, match="no DAG nothing"):
        running.airflow.wait_dag("nothing", seconds=1)
    with pytest.raises(AirflowFailed, match="404"):
        running.airflow.state("quick", "no-such-run")
