"""Whatever breaks while a DAG runs: nothing ends green that did not finish, no pod is left, a retry gives what it should."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

import pytest

from tests.support.airflow_harness.harness import wait_for
from tests.support.cluster_demo import run_kubectl
from tests.support.fault_project.project import DEAD_AFTER, starts_early_run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.fault_project.project import DagRun, FaultEnvironment

pytestmark = pytest.mark.cluster


def assert_one_version_was_read(run: DagRun, gate: str, written: int, prefix: str = "") -> None:
    """The run wrote one version, in that try, and its reader saw just that."""
    held, seen = run.written_versions(f"{prefix}held"), run.written_versions(f"{prefix}seen")
    assert held == {written: {"gate": gate, "try": written}}, (held, run.report())
    assert list(seen.values()) == [{"seen": held[written]}], (seen, run.report())


# --- faults of single tasks: one run, in which all of them happen


@starts_early_run("faults")
def test_a_pod_over_its_memory_limit_fails_and_the_log_names_the_setting(early_run: DagRun) -> None:
    early_run.wait_for_task("hog", "failed")
    log = early_run.read_log("hog")
    assert "OOMKilled" in log, log
    assert "resources.limits.memory of hog in k8s_airflow.yml" in log, log


@starts_early_run("faults")
def test_a_node_that_raises_fails_its_task_with_the_traceback_in_the_log(early_run: DagRun) -> None:
    early_run.wait_for_task("crow", "failed")
    log = early_run.read_log("crow")
    assert "Traceback (most recent call last)" in log, log
    assert 'raise ValueError("the crow has eaten it")' in log, log
    assert "kedro-k8s-airflow: failed after" in log, log
    assert "node 1 of 1 'crow': ValueError: the crow has eaten it" in log, log


@starts_early_run("faults")
def test_missing_image_fails_the_task_and_is_named(early_run: DagRun) -> None:
    early_run.wait_for_task("no_image", "failed")
    log = early_run.read_log("no_image")
    assert "ErrImagePull" in log or "ImagePullBackOff" in log, log
    assert "localhost/nowhere/nothing:1" in log, log


@starts_early_run("faults")
def test_a_missing_secret_fails_the_task_and_is_named(early_run: DagRun) -> None:
    early_run.wait_for_task("no_secret", "failed")
    log = early_run.read_log("no_secret")
    assert 'secret "no-such-secret" not found' in log, log


@starts_early_run("faults")
def test_a_missing_claim_fails_the_task_and_is_named(early_run: DagRun) -> None:
    early_run.wait_for_task("no_claim", "failed")
    log = early_run.read_log("no_claim")
    assert 'persistentvolumeclaim "no-such-claim" not found' in log, log


@starts_early_run("faults")
def test_a_pod_past_its_deadline_fails_and_the_log_names_the_setting(early_run: DagRun) -> None:
    early_run.wait_for_task("too_late", "failed")
    log = early_run.read_log("too_late")
    assert "DeadlineExceeded" in log, log
    assert "activeDeadlineSeconds of too_late in k8s_airflow.yml" in log, log


@starts_early_run("faults")
def test_a_used_up_quota_is_waited_for_then_fails_the_task_and_the_log_names_the_fixes(early_run: DagRun) -> None:
    early_run.wait_for_task("over_quota", "failed")
    log = early_run.read_log("over_quota")
    assert "The quota of the namespace is used up; next try in 30 s." in log, log
    assert "Give over_quota retries and a retry_delay" in log, log


@starts_early_run("faults")
def test_a_limit_range_that_refuses_a_pod_is_named(early_run: DagRun) -> None:
    early_run.wait_for_task("over_range", "failed")
    log = early_run.read_log("over_range")
    assert "maximum memory usage per Container is 64Gi" in log, log
    assert "A LimitRange of the namespace refuses the resources of over_range." in log, log


@starts_early_run("faults")
def test_downstream_of_failed_tasks_does_not_run_and_no_pod_remains(
    early_run: DagRun, fault_environment: FaultEnvironment
) -> None:
    early_run.assert_fails()
    states = {name: state for name, (state, _) in early_run.task_states().items()}
    assert states.pop("sum_up") == "upstream_failed"
    assert set(states.values()) == {"failed"}, states
    assert fault_environment.pod_names(early_run, "sum_up") == set()
    pods = {task: len(fault_environment.pod_names(early_run, task)) for task in states}
    assert pods == {task: 0 if task.startswith("over_") else 1 for task in states}
    assert (
        fault_environment.claim_pod.list_files("faults")
        == fault_environment.claim_pod.list_files("fault_sum.json")
        == []
    )


@starts_early_run("old")
def test_contract_mismatch_exits_with_2_and_names_the_fix(early_run: DagRun) -> None:
    early_run.assert_fails()
    log = early_run.read_log("hold")
    assert "exit_code=2" in log, log
    assert "the DAG expects contract 1 but this image has contract 2" in log, log


# --- faults of a run that waits for the test; other runs go on meanwhile


@starts_early_run("held", {"gate": "deleted"})
def test_deleted_pod_is_retried_and_outputs_are_correct(early_run: DagRun, fault_environment: FaultEnvironment) -> None:
    run, gate = early_run, "deleted"
    pod = run.wait_for_pod("hold")
    run_kubectl("delete", "pod", pod, "--wait=false")
    wait_for(lambda: run.task_states()["hold"][1] == 2 or None, 60, run.report)
    assert run.wait_for_pod("hold") != pod or len(run.started_pods("hold")) == 1
    assert run.task_states()["look"][0] is None
    fault_environment.open_gate(gate)
    run.assert_succeeds()
    assert_one_version_was_read(run, gate, 2)
    assert len(fault_environment.pod_names(run, "hold")) == 2
    log = run.read_log("hold", 1)
    assert f"Event of pod {pod}: Killing" in log, log
    assert f"Pod {pod} was deleted before Airflow saw it end" in log, log


@starts_early_run("held", {"gate": "first"})
def test_two_runs_at_once_keep_their_files_apart(early_run: DagRun, fault_environment: FaultEnvironment) -> None:
    (one, first), (two, second) = (early_run, "first"), fault_environment.start_held_run()
    assert one.wait_for_pod("hold") != two.wait_for_pod("hold")
    fault_environment.open_gate(second)
    two.assert_succeeds()
    fault_environment.open_gate(first)
    one.assert_succeeds()
    assert_one_version_was_read(one, first, 1)
    assert_one_version_was_read(two, second, 1)


@pytest.mark.parametrize("who", ["runner", pytest.param("supervisor", marks=pytest.mark.full)])
def test_stopping_worker_during_pod_run_never_yields_success(fault_environment: FaultEnvironment, who: str) -> None:
    run, gate = fault_environment.start_held_run("sync")
    run.wait_for_pod("sync_hold")
    workers = fault_environment.airflow.workers(run.dag_id, run.run_id, "sync_hold")
    os.kill(getattr(workers, who), signal.SIGTERM)
    wait_for(lambda: run.task_states()["sync_hold"][0] != "running" or None, 60, run.report)
    assert run.task_states()["sync_hold"][0] != "success"
    fault_environment.open_gate(gate)
    run.assert_succeeds()
    assert_one_version_was_read(run, gate, 2, "sync_")


@pytest.mark.full
def test_stopping_worker_during_submission_never_yields_success(fault_environment: FaultEnvironment) -> None:
    run, gate = fault_environment.start_held_run()
    workers = fault_environment.airflow.workers(run.dag_id, run.run_id, "hold")
    wait_for(lambda: fault_environment.pod_names(run, "hold") or None, 30, run.report, interval=0.01)
    os.kill(workers.runner, signal.SIGTERM)
    states = set()
    end = time.monotonic() + 12
    while time.monotonic() < end and ("deferred", 2) not in states:
        states.add(run.task_states()["hold"])
        time.sleep(0.25)
    assert "success" not in {state for state, _ in states}
    fault_environment.open_gate(gate)
    run.assert_succeeds()
    assert_one_version_was_read(run, gate, run.task_states()["hold"][1])


# --- parts of Airflow and Kubernetes that go away; nothing else runs meanwhile


@pytest.mark.full
def test_run_survives_20_second_api_server_outage(fault_environment: FaultEnvironment) -> None:
    fault_environment.wait_until_idle()
    run, gate = fault_environment.start_held_run()
    run.wait_for_pod("hold")
    run.wait_for_task("hold", "deferred")
    with fault_environment.proxy.paused():
        time.sleep(20)
        fault_environment.open_gate(gate)
    run.assert_succeeds()
    assert_one_version_was_read(run, gate, 1)
    assert len(fault_environment.pod_names(run, "hold")) == 1


def test_run_survives_killed_scheduler_with_the_same_pod(fault_environment: FaultEnvironment) -> None:
    fault_environment.wait_until_idle()
    run, gate = fault_environment.start_held_run()
    run.wait_for_pod("hold")
    run.wait_for_task("hold", "deferred")
    fault_environment.airflow.kill_part("scheduler")
    fault_environment.open_gate(gate)
    fault_environment.airflow.start("scheduler")
    run.assert_succeeds()
    assert_one_version_was_read(run, gate, 1)
    assert len(fault_environment.pod_names(run, "hold")) == 1


@pytest.mark.full
def test_run_survives_stopped_triggerer(fault_environment: FaultEnvironment) -> None:
    fault_environment.wait_until_idle()
    run, gate = fault_environment.start_held_run()
    run.wait_for_pod("hold")
    run.wait_for_task("hold", "deferred")
    fault_environment.airflow.kill_part("triggerer", signal.SIGTERM)
    fault_environment.airflow.wait_end("triggerer")
    assert run.task_states()["hold"] == ("deferred", 1)
    fault_environment.airflow.start("triggerer")
    assert run.task_states()["hold"] == ("deferred", 1)
    fault_environment.open_gate(gate)
    run.assert_succeeds()
    assert_one_version_was_read(run, gate, 1)
    assert len(fault_environment.pod_names(run, "hold")) == 1


@pytest.fixture
def short_timeouts(fault_environment: FaultEnvironment) -> Iterator[None]:
    """A scheduler that is started now takes workers and schedulers without a heartbeat for dead after some seconds."""
    variables = fault_environment.airflow.process_environment
    usual = {name: variables[name] for name in DEAD_AFTER}
    variables.update(dict.fromkeys(DEAD_AFTER, "15"))
    yield
    variables.update(usual)
    fault_environment.airflow.restart("scheduler")


@pytest.mark.full
@pytest.mark.usefixtures("short_timeouts")
def test_the_pod_of_a_worker_that_died_with_the_scheduler_is_adopted_and_its_version_read(
    fault_environment: FaultEnvironment,
) -> None:
    fault_environment.wait_until_idle()
    run, gate = fault_environment.start_held_run("sync")
    run.wait_for_pod("sync_hold")
    fault_environment.airflow.kill_part("scheduler")
    fault_environment.airflow.start("scheduler")
    wait_for(lambda: run.task_states()["sync_hold"] == ("running", 2) or None, 90, run.report)
    fault_environment.open_gate(gate)
    run.assert_succeeds()
    # The pod of try 1 has written: it is the version of try 1 that was read.
    assert_one_version_was_read(run, gate, 1, "sync_")
    assert len(fault_environment.pod_names(run, "sync_hold")) == 1
