"""The harness in tests/support/airflow_harness, and through it what a real Airflow does with deferrable pods while its parts die."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.support.airflow_harness.harness import Airflow, AirflowError, Audit, Call, Proxy, list_session, wait_for
from tests.support.cluster_demo import NAMESPACE, run_kubectl
from tests.support.environments import find_interpreter

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.cluster, pytest.mark.full]

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


with dag("parts_quick"):
    pod("make", "echo made {{{{ dag_run.conf.get('what', 'nothing') }}}}") >> pod("use", "echo used")
with dag("parts_fails"):
    pod("make", "echo last words; exit 3", log_events_on_failure=True) >> pod("use", "echo used")
WAIT = "until [ -e /tmp/go ]; do sleep 0.2; done; echo done"
with dag("parts_waits"):
    pod("long", WAIT)
with dag("parts_works"):
    pod("long", WAIT, deferrable=False, retries=1)
"""


class RunningAirflow(NamedTuple):
    """An Airflow with all its parts, the proxy it sees the cluster through, and what it called there."""

    airflow: Airflow
    proxy: Proxy
    audit: Audit

    def start_run(self, dag_id: str, task_id: str, state: str) -> str:
        """Start a run and wait for its pod to run; the run's id."""
        airflow = self.airflow
        airflow.wait_dag(dag_id)
        airflow.unpause(dag_id)
        self.audit.mark()
        run_id = airflow.trigger(dag_id)
        airflow.wait_task(dag_id, run_id, task_id, {state})
        self.running_pod(dag_id)
        return run_id

    @staticmethod
    def running_pod(dag_id: str) -> str:
        """The running pod of a DAG, once there is one."""

        def get() -> str | None:
            pods = json.loads(run_kubectl("get", "pods", "--selector", f"dag_id={dag_id}", "--output", "json"))["items"]
            running = [pod for pod in pods if pod["status"]["phase"] == "Running"]
            names = [pod["metadata"]["name"] for pod in running if "deletionTimestamp" not in pod["metadata"]]
            return names[0] if names else None

        return wait_for(get, 60, f"no running pod of {dag_id}")

    def release_pod(self, dag_id: str) -> None:
        """Have the waiting pod of a DAG end well."""
        run_kubectl("exec", self.running_pod(dag_id), "--", "touch", "/tmp/go")  # noqa: S108 - in the pod

    def count_created_pods(self) -> int:
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
) -> Iterator[RunningAirflow]:
    """All parts of one version, for every test that leaves them running."""
    home = tmp_path_factory.mktemp(f"airflow{request.param}")
    python = find_interpreter(f"KKA_PYTHON_AIRFLOW_{request.param}")
    with (
        Proxy(identity) as proxy,
        Airflow(python, home, dags, proxy.write_kubeconfig(home / "kubeconfig")) as airflow,
    ):
        airflow.migrate()
        airflow.start()
        yield RunningAirflow(airflow, proxy, Audit(Path(os.environ.get("LAB_AUDIT_LOG", "/nonexistent"))))
        leaders = [airflow.pid(part) for part in airflow.parts]
    ids = "parts_quick,parts_fails,parts_waits,parts_works"
    run_kubectl("delete", "pod", "--selector", f"dag_id in ({ids})", "--grace-period=0", "--force", "--wait=false")
    assert [found for leader in leaders for found in list_session(leader)] == []


def test_dag_test_runs_deferrable_pods(running: RunningAirflow) -> None:
    run = running.airflow.run_dag_test("parts_quick", {"what": "tea"})
    assert run.state == "success", run.log
    assert {task.key: (task.state, task.try_number) for task in run.tasks.values()} == {
        "make": ("success", 1),
        "use": ("success", 1),
    }
    assert "made tea" in run.log


def test_dag_test_reports_a_failed_pod(running: RunningAirflow) -> None:
    run = running.airflow.run_dag_test("parts_fails")
    assert run.state == "failed", run.log
    assert {task.key: task.state for task in run.tasks.values()} == {"make": "failed", "use": "upstream_failed"}
    assert "last words" in run.log


def test_a_run_goes_from_trigger_to_success(running: RunningAirflow) -> None:
    airflow = running.airflow
    airflow.wait_dag("parts_quick")
    airflow.unpause("parts_quick")
    running.audit.mark()
    run_id = airflow.trigger("parts_quick", {"what": "tea"})
    assert airflow.wait_run("parts_quick", run_id) == "success", airflow.report("parts_quick", run_id)
    assert {task.key: task.state for task in airflow.tasks("parts_quick", run_id).values()} == {
        "make": "success",
        "use": "success",
    }
    assert "made tea" in airflow.read_log("parts_quick", run_id, "make")
    assert {call.code for call in running.audit.calls("parts-")} <= {200, 201}


def test_a_failed_task_is_reported_and_can_be_cleared(running: RunningAirflow) -> None:
    airflow = running.airflow
    airflow.unpause(airflow.wait_dag("parts_fails")["dag_id"])
    run_id = airflow.trigger("parts_fails")
    assert airflow.wait_run("parts_fails", run_id) == "failed"
    assert "make failed (1), use upstream_failed (0)" in airflow.report("parts_fails", run_id)
    assert "exit_code=3" in airflow.read_log("parts_fails", run_id, "make", 1)
    assert sorted(airflow.clear("parts_fails", run_id, only_failed=True)) == ["make", "use"]
    assert airflow.wait_run("parts_fails", run_id) == "failed"
    assert airflow.tasks("parts_fails", run_id)["make"].try_number == 2


def test_a_task_marked_failed_loses_its_pod(running: RunningAirflow) -> None:
    airflow = running.airflow
    run_id = running.start_run("parts_waits", "long", "deferred")
    name = running.running_pod("parts_waits")
    airflow.mark_task("parts_waits", run_id, "long", "failed")
    run_kubectl("wait", "--for=delete", f"pod/{name}", "--timeout=60s")
    assert airflow.wait_run("parts_waits", run_id) == "failed"


def test_a_deferred_task_outlives_the_triggerer(running: RunningAirflow) -> None:
    airflow = running.airflow
    run_id = running.start_run("parts_waits", "long", "deferred")
    airflow.kill_part("triggerer", signal.SIGTERM)
    airflow.wait_end("triggerer")
    airflow.start("triggerer")
    running.release_pod("parts_waits")
    assert airflow.wait_run("parts_waits", run_id) == "success", airflow.report("parts_waits", run_id)
    assert running.count_created_pods() == 1


def test_a_deferred_task_outlives_the_scheduler(running: RunningAirflow) -> None:
    airflow = running.airflow
    run_id = running.start_run("parts_waits", "long", "deferred")
    airflow.kill_part("scheduler", signal.SIGKILL)
    assert not airflow.running("scheduler")
    airflow.start("scheduler")
    running.release_pod("parts_waits")
    assert airflow.wait_run("parts_waits", run_id) == "success", airflow.report("parts_waits", run_id)
    task = airflow.tasks("parts_waits", run_id)["long"]
    assert (task.try_number, running.count_created_pods()) == (1, 1)


def test_a_pod_whose_worker_died_is_adopted(running: RunningAirflow) -> None:
    airflow = running.airflow
    run_id = running.start_run("parts_works", "long", "running")
    workers = airflow.workers("parts_works", run_id, "long")
    assert {workers.supervisor, workers.runner} <= {found.pid for found in list_session(airflow.pid("scheduler"))}
    airflow.kill_part("scheduler", signal.SIGKILL)
    assert list_session(airflow.pid("scheduler")) == []
    airflow.start("scheduler")
    wait_for(lambda: airflow.tasks("parts_works", run_id)["long"].try_number == 2 or None, 90, "no second try")
    airflow.wait_task("parts_works", run_id, "long", {"running"})
    # A pod that has ended by then would be made again.
    wait_for(
        lambda: "Reusing existing pod" in airflow.read_log("parts_works", run_id, "long", 2) or None, 60, "not adopted"
    )
    running.release_pod("parts_works")
    assert airflow.wait_run("parts_works", run_id) == "success", airflow.report("parts_works", run_id)
    task = airflow.tasks("parts_works", run_id)["long"]
    assert (task.try_number, running.count_created_pods()) == (2, 1)


def test_a_deferred_task_outlives_an_absent_api_server(running: RunningAirflow) -> None:
    airflow = running.airflow
    run_id = running.start_run("parts_waits", "long", "deferred")
    # While the pod starts it is 15 s; a pod that the trigger has seen running is polled for three times as long.
    wait_for(
        lambda: "has reached Running" in airflow.read_log("parts_waits", run_id, "long") or None,
        60,
        "the trigger is late",
    )
    with running.proxy.paused():
        time.sleep(20)
    running.release_pod("parts_waits")
    assert airflow.wait_run("parts_waits", run_id) == "success", airflow.report("parts_waits", run_id)
    assert running.count_created_pods() == 1


def test_missing_dag_run_or_task_is_reported(running: RunningAirflow) -> None:
    with pytest.raises(AirflowError, match="no DAG nothing"):
        running.airflow.wait_dag("nothing", seconds=1)
    with pytest.raises(AirflowError, match="404"):
        running.airflow.state("parts_quick", "no-such-run")
