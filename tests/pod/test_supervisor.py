"""A pod is green only when its nodes have said so, whatever they do to the process that runs them."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kedro_k8s_airflow import pod
from tests.support.pod_signals import (
    assert_ended_by_sigterm,
    read_error_hooks,
    with_logging_hooks,
    with_short_grace,
)

if TYPE_CHECKING:
    from tests.pod.conftest import PodLauncher, PodResult, RunningPod

NODE = "node 1 of 1 'misbehave'"
MIB = 1024


def start(pods: PodLauncher, misbehaviour: str, *options: str, **env: str) -> RunningPod:
    """A pod whose node does that."""
    return pods.start("misbehaving", "misbehave", options=options, env={"MISBEHAVIOUR": misbehaviour, **env})


def run(pods: PodLauncher, misbehaviour: str, *options: str) -> PodResult:
    """The same, when it has ended."""
    return start(pods, misbehaviour, *options).wait_for_end()


@pytest.mark.parametrize(
    ("ended", "result", "is_stopped", "was_killed", "code"),
    [
        pytest.param(0, 0, False, False, 0, id="done"),
        pytest.param(0, 0, True, False, 0, id="done before SIGTERM"),
        pytest.param(0, None, False, False, 1, id="exit(0) in a node"),
        pytest.param(2, None, False, False, 1, id="exit(2) in a node"),
        pytest.param(0, None, True, False, 143, id="exit(0) in a handler of SIGTERM"),
        pytest.param(0, 1, False, False, 1, id="failed, and exit(0) in an exit handler"),
        pytest.param(3, 0, False, False, 3, id="done, and exit(3) in an exit handler"),
        pytest.param(1, 1, False, False, 1, id="failed"),
        pytest.param(2, 2, False, False, 2, id="not started"),
        pytest.param(143, 143, True, False, 143, id="stopped"),
        pytest.param(-signal.SIGTERM, None, False, False, 143, id="stopped by somebody else"),
        pytest.param(-signal.SIGKILL, None, False, False, 137, id="killed"),
        pytest.param(-signal.SIGKILL, None, True, True, 143, id="killed as it did not react to SIGTERM"),
        pytest.param(-signal.SIGSEGV, None, False, False, 139, id="crashed"),
        pytest.param(-signal.SIGSEGV, 0, False, False, 139, id="crashed after it was done"),
    ],
)
def test_exit_code_is_0_only_when_the_nodes_are_done(
    ended: int, result: int | None, is_stopped: bool, was_killed: bool, code: int
) -> None:
    handover = pod.Handover(-1)
    handover.last_node = "node 1 of 2 'ä'"
    if result is not None:
        handover.result = result
    if is_stopped:
        handover.stop()
    judged, problem = pod._judge_end(ended, handover, was_killed=was_killed)
    assert judged == code
    assert ("node 1 of 2 'ä'" in problem) is (result is None)
    assert bool(problem) is (result is None or ended not in {0, result})


@pytest.mark.parametrize("misbehaviour", ["os_exit", "os_exit_2", "c_exit", "execute", "os_exit_99"])
def test_a_node_that_ends_the_process_is_a_failure_that_names_it(pods: PodLauncher, misbehaviour: str) -> None:
    ended = run(pods, misbehaviour)
    assert ended.code == 1
    assert NODE in ended.last_error_line
    assert "exit code" in ended.last_error_line


@pytest.mark.parametrize(
    ("misbehaviour", "code", "expected"),
    [("leave_with_99", 99, 99), ("os_exit_99", 99, 99), ("leave_with_99", 98, 1), ("os_exit", 99, 1)],
)
def test_only_exit_codes_that_skip_the_task_are_passed_on(
    pods: PodLauncher, misbehaviour: str, code: int, expected: int
) -> None:
    ended = run(pods, misbehaviour, "--skip-exit-code=98", f"--skip-exit-code={code}")
    assert ended.code == expected
    assert NODE in ended.last_error_line
    assert "done:" not in ended.out


@pytest.mark.parametrize(
    ("misbehaviour", "number"),
    [
        ("crash", signal.SIGSEGV),
        ("be_killed", signal.SIGKILL),
        ("kill_group", signal.SIGKILL),
        ("leave_a_copy", signal.SIGKILL),
    ],
)
def test_a_process_ended_by_a_signal_shows_it_by_its_exit_code(
    pods: PodLauncher, misbehaviour: str, number: int
) -> None:
    ended = run(pods, misbehaviour)
    assert ended.code == 128 + number
    assert NODE in ended.last_error_line
    assert f"signal {int(number)} " in ended.last_error_line


@pytest.mark.parametrize(
    "misbehaviour",
    ["close_descriptors", "close_stdout", "lose_stdout", "close_descriptor_of_stdout", "empty_path", "leave_a_daemon"],
)
def test_a_node_that_is_done_succeeds_whatever_else_it_has_done(pods: PodLauncher, misbehaviour: str) -> None:
    ended = run(pods, misbehaviour)
    assert ended.code == 0, ended.output
    assert pods.read_data("misbehaved.txt") == "done"


def test_error_is_printed_though_the_node_has_closed_stderr(pods: PodLauncher) -> None:
    ended = run(pods, "fail_with_closed_stderr")
    assert ended.code == 1
    assert f"{NODE}: ValueError: no such luck" in ended.last_error_line
    assert "Traceback" in ended.err


def test_a_thread_that_outlives_the_nodes_does_not_hold_the_pod(pods: PodLauncher) -> None:
    began = time.monotonic()
    ended = run(pods, "leave_a_thread")
    assert ended.code == 0
    assert time.monotonic() - began < 30  # which is what the thread lasts
    assert "left" in ended.last_error_line
    assert "exit handler" in ended.out


@pytest.mark.parametrize(
    ("misbehaviour", "hooks"),
    [
        ("wait_without_descriptors", ["on_node_error misbehave", "on_pipeline_error"]),
        ("reset_sigterm", ["on_node_error misbehave", "on_pipeline_error"]),
        ("exit_on_sigterm", ["on_node_error misbehave", "on_pipeline_error"]),
        ("ignore_sigterm", ["on_node_error misbehave", "on_pipeline_error"]),
        ("end_well_on_sigterm", ["on_pipeline_error"]),
    ],
)
def test_sigterm_is_noticed_whatever_handlers_a_node_has_set(
    pods: PodLauncher, misbehaviour: str, hooks: list[str]
) -> None:
    pods = with_short_grace(with_logging_hooks(pods))
    started = start(pods, misbehaviour)
    started.read_until("begun")
    assert_ended_by_sigterm(started.send_sigterm().wait_for_end())
    assert read_error_hooks(pods) == hooks
    assert not (pods.project / "data" / "misbehaved.txt").exists()


@pytest.mark.parametrize("misbehaviour", ["os_exit_on_sigterm", "hold_the_lock"])
def test_sigterm_ends_a_process_that_calls_no_hooks(pods: PodLauncher, misbehaviour: str) -> None:
    started = start(with_short_grace(pods), misbehaviour)
    started.read_until("begun")
    began = time.monotonic()
    ended = started.send_sigterm().wait_for_end()
    assert_ended_by_sigterm(ended)
    assert NODE in ended.last_error_line
    assert time.monotonic() - began < 15


def test_the_process_of_the_nodes_ends_when_the_first_one_dies(pods: PodLauncher) -> None:
    started = start(with_logging_hooks(pods), "wait")
    started.read_until("begun")
    os.kill(started.process.pid, signal.SIGKILL)
    assert "stopped by SIGTERM" in started.wait_for_end().last_error_line


def test_the_first_process_stays_small(pods: PodLauncher) -> None:
    started = start(pods, "wait")
    started.read_until("begun")
    status = Path(f"/proc/{started.process.pid}/status").read_text(encoding="utf-8")
    (memory,) = [int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:")]
    assert memory < 12 * MIB
    assert_ended_by_sigterm(started.send_sigterm().wait_for_end())


def test_a_kedro_run_within_a_node_is_its_own(any_pods: PodLauncher) -> None:
    ended = run(any_pods, "run_kedro")
    assert ended.code == 0, ended.output
    assert any_pods.read_data("misbehaved.txt") == "default"
    assert "'inner'" not in "".join(line for line in ended.out.splitlines() if line.startswith("kedro-k8s-airflow"))


def test_error_hooks_are_called_after_a_kedro_run_within_the_node_has_failed(pods: PodLauncher) -> None:
    pods = with_short_grace(with_logging_hooks(pods))
    started = start(pods, "run_kedro", WAIT="1")
    started.read_until("begun")
    assert_ended_by_sigterm(started.send_sigterm().wait_for_end())
    assert read_error_hooks(pods)[-2:] == ["on_node_error misbehave", "on_pipeline_error"]
