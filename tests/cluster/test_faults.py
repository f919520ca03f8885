"""Whatever breaks while a DAG runs: nothing ends green that did not finish, no pod is left, a retry gives what it should."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

import pytest

from tests.support.airflow_harness.harness import wait
from tests.support.cluster_demo import kubectl
from tests.support.fault_project.project import DEAD, begins

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.fault_project.project import Run, Trials

pytestmark = pytest.mark.cluster


def right(run: Run, gate: str, written: int, prefix: str = "") -> None:
    """The run wrote one version, in that try, and its reader saw just that."""
    held, seen = run.versions(f"{prefix}held"), run.versions(f"{prefix}seen")
    assert held == {written: {"gate": gate, "try": written}}, (held, run.report())
    assert list(seen.values()) == [{"seen": held[written]}], (seen, run.report())


# --- faults of single tasks: one run, in which all of them happen


@begins("faults")
def test_a_pod_over_its_memory_limit_fails_and_the_log_names_the_setting(begun: Run) -> None:
    begun.wait("hog", "failed")
    log = begun.log("hog")
    assert "OOMKilled" in log, log
    assert "resources.limits.memory of hog in k8s_airflow.yml" in log, log


@begins("faults")
def test_a_node_that_raises_fails_its_task_with_the_traceback_in_the_log(begun: Run) -> None:
    begun.wait("crow", "failed")
    log = begun.log("crow")
    assert "Traceback (most recent call last)" in log, log
    assert 'raise ValueError("the crow has eaten it")' in log, log
    assert "kedro-k8s-airflow: failed after" in log, log
    assert "node 1 of 1 'crow': ValueError: the crow has eaten it" in log, log


@begins("faults")
def test_an_image_that_is_not_there_fails_the_task_and_is_named(begun: Run) -> None:
    begun.wait("no_image", "failed")
    log = begun.log("no_image")
    assert "ErrImagePull" in log or "ImagePullBackOff" in log, log
    assert "localhost/nowhere/nothing:1" in log, log


@begins("faults")
def test_a_missing_secret_fails_the_task_and_is_named(begun: Run) -> None:
    begun.wait("no_secret", "failed")
    log = begun.log("no_secret")
    assert 'secret "no-such-secret" not found' in log, log


@begins("faults")
def test_a_missing_claim_fails_the_task_and_is_named(begun: Run) -> None:
    begun.wait("no_claim", "failed")
    log = begun.log("no_claim")
    assert 'persistentvolumeclaim "no-such-claim" not found' in log, log


@begins("faults")
def test_a_pod_past_its_deadline_fails_and_the_log_names_the_setting(begun: Run) -> None:
    begun.wait("too_late", "failed")
    log = begun.log("too_late")
    assert "DeadlineExceeded" in log, log
    assert "activeDeadlineSeconds of too_late in k8s_airflow.yml" in log, log


@begins("faults")
def test_what_comes_after_failed_tasks_does_not_run_and_no_pod_is_left(begun: Run, trials: Trials) -> None:
    begun.fails()
    states = {name: state for name, (state, _) in begun.tasks().items()}
    assert states.pop("sum_up") == "upstream_failed"
    assert set(states.values()) == {"failed"}, states
    assert trials.made(begun, "sum_up") == set()
    assert {len(trials.made(begun, task)) for task in states} == {1}
    assert trials.keeper.files("faults") == trials.keeper.files("fault_sum.json") == []


@begins("old")
def test_an_image_of_another_contract_ends_with_2_and_says_what_to_do(begun: Run) -> None:
    begun.fails()
    log = begun.log("hold")
    assert "exit_code=2" in log, log
    assert "the DAG expects contract 1 but this image has contract 2" in log, log


# --- faults of a run that waits for the test; other runs go on meanwhile


@begins("held", {"gate": "deleted"})
def test_a_pod_deleted_while_it_runs_is_made_again_and_gives_the_right_outputs(begun: Run, trials: Trials) -> None:
    run, gate = begun, "deleted"
    pod = run.wait_pod("hold")
    kubectl("delete", "pod", pod, "--wait=false")
    wait(lambda: run.tasks()["hold"][1] == 2 or None, 60, run.report)
    assert run.wait_pod("hold") != pod or len(run.starts("hold")) == 1
    assert run.tasks()["look"][0] is None
    trials.open(gate)
    run.succeeds()
    right(run, gate, 2)
    assert len(trials.made(run, "hold")) == 2


@begins("held", {"gate": "first"})
def test_two_runs_at_once_keep_their_files_apart(begun: Run, trials: Trials) -> None:
    (one, first), (two, second) = (begun, "first"), trials.hold()
    assert one.wait_pod("hold") != two.wait_pod("hold")
    trials.open(second)
    two.succeeds()
    trials.open(first)
    one.succeeds()
    right(one, first, 1)
    right(two, second, 1)


@pytest.mark.parametrize("who", ["runner", pytest.param("supervisor", marks=pytest.mark.full)])
def test_a_worker_told_to_stop_while_its_pod_runs_never_ends_green(trials: Trials, who: str) -> None:
    run, gate = trials.hold("sync")
    run.wait_pod("sync_hold")
    workers = trials.airflow.workers(run.dag_id, run.run_id, "sync_hold")
    os.kill(getattr(workers, who), signal.SIGTERM)
    wait(lambda: run.tasks()["sync_hold"][0] != "running" or None, 60, run.report)
    assert run.tasks()["sync_hold"][0] != "success"
    trials.open(gate)
    run.succeeds()
    right(run, gate, 2, "sync_")


@pytest.mark.full
def test_a_worker_told_to_stop_while_it_submits_its_pod_never_ends_green(trials: Trials) -> None:
    run, gate = trials.hold()
    workers = trials.airflow.workers(run.dag_id, run.run_id, "hold")
    wait(lambda: trials.made(run, "hold") or None, 30, run.report, interval=0.01)
    os.kill(workers.runner, signal.SIGTERM)
    states = set()
    end = time.monotonic() + 12
    while time.monotonic() < end and ("deferred", 2) not in states:
        states.add(run.tasks()["hold"])
        time.sleep(0.25)
    assert "success" not in {state for state, _ in states}
    trials.open(gate)
    run.succeeds()
    right(run, gate, run.tasks()["hold"][1])


# --- parts of Airflow and Kubernetes that go away; nothing else runs meanwhile


@pytest.mark.full
def test_a_run_outlives_an_api_server_that_is_away_for_20_seconds(trials: Trials) -> None:
    trials.quiet()
    run, gate = trials.hold()
    run.wait_pod("hold")
    run.wait("hold", "deferred")
    with trials.proxy.paused():
        time.sleep(20)
        trials.open(gate)
    run.succeeds()
    right(run, gate, 1)
    assert len(trials.made(run, "hold")) == 1


def test_a_run_outlives_a_killed_scheduler_with_the_same_pod(trials: Trials) -> None:
    trials.quiet()
    run, gate = trials.hold()
    run.wait_pod("hold")
    run.wait("hold", "deferred")
    trials.airflow.kill("scheduler")
    trials.open(gate)
    trials.airflow.start("scheduler")
    run.succeeds()
    right(run, gate, 1)
    assert len(trials.made(run, "hold")) == 1


@pytest.mark.full
def test_a_run_outlives_a_triggerer_that_is_told_to_stop(trials: Trials) -> None:
    trials.quiet()
    run, gate = trials.hold()
    run.wait_pod("hold")
    run.wait("hold", "deferred")
    trials.airflow.kill("triggerer", signal.SIGTERM)
    trials.airflow.wait_end("triggerer")
    assert run.tasks()["hold"] == ("deferred", 1)
    trials.airflow.start("triggerer")
    assert run.tasks()["hold"] == ("deferred", 1)
    trials.open(gate)
    run.succeeds()
    right(run, gate, 1)
    assert len(trials.made(run, "hold")) == 1


@pytest.fixture
def impatient(trials: Trials) -> Iterator[None]:
    """A scheduler that is started now takes workers and schedulers without a heartbeat for dead after some seconds."""
    variables = trials.airflow.variables
    usual = {name: variables[name] for name in DEAD}
    variables.update(dict.fromkeys(DEAD, "15"))
    yield
    variables.update(usual)
    trials.airflow.restart("scheduler")


@pytest.mark.full
@pytest.mark.usefixtures("impatient")
def test_the_pod_of_a_worker_that_died_with_the_scheduler_is_adopted_and_its_version_read(trials: Trials) -> None:
    trials.quiet()
    run, gate = trials.hold("sync")
    run.wait_pod("sync_hold")
    trials.airflow.kill("scheduler")
    trials.airflow.start("scheduler")
    wait(lambda: run.tasks()["sync_hold"] == ("running", 2) or None, 90, run.report)
    trials.open(gate)
    run.succeeds()
    # The pod of try 1 has written: it is the version of try 1 that was read.
    right(run, gate, 1, "sync_")
    assert len(trials.made(run, "sync_hold")) == 1
