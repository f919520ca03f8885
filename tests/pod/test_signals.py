"""A pod stopped by SIGTERM shows it by its exit code, and the project's error hooks are called before."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

import pytest

from tests.support.pod_signals import (
    GRACE_SECONDS,
    assert_ended_by_sigterm,
    read_error_hooks,
    with_logging_hooks,
    with_short_grace,
)

if TYPE_CHECKING:
    from tests.pod.conftest import PodLauncher


@pytest.mark.parametrize("imports", ["", "stubborn"])
def test_sigterm_during_imports_that_swallow_exceptions(pods: PodLauncher, imports: str) -> None:
    pod = pods.start("plain", "hello", env={"SLOW_IMPORT": imports or "plain"})
    pod.read_until("begun")
    assert_ended_by_sigterm(pod.send_sigterm().wait_for_end())


def test_sigterm_during_python_code_ends_at_once(any_pods: PodLauncher) -> None:
    pods = with_logging_hooks(any_pods)
    pod = pods.start("waits", "wait_in_python")
    pod.read_until("begun")
    began = time.monotonic()
    assert_ended_by_sigterm(pod.send_sigterm().wait_for_end())
    assert time.monotonic() - began < 15  # which is all of the patience
    assert read_error_hooks(pods) == ["on_node_error wait_in_python", "on_pipeline_error"]
    assert not (pods.project / "data" / "python_waited.txt").exists()


@pytest.mark.parametrize("node", ["wait_and_swallow", "wait_in_c"])
def test_sigterm_during_blocking_node_ends_after_the_grace_period(any_pods: PodLauncher, node: str) -> None:
    pods = with_short_grace(with_logging_hooks(any_pods))
    pod = pods.start("waits", node)
    pod.read_until("begun")
    began = time.monotonic()
    assert_ended_by_sigterm(pod.send_sigterm().wait_for_end())
    assert time.monotonic() - began >= GRACE_SECONDS
    assert read_error_hooks(pods) == [f"on_node_error {node}", "on_pipeline_error"]


def test_no_node_starts_after_a_swallowed_sigterm(pods: PodLauncher) -> None:
    pods = with_logging_hooks(pods)
    pod = pods.start("waits", "swallow_once", "after_swallow", options=("--memory=swallowed",))
    pod.read_until("begun")
    ended = pod.send_sigterm().wait_for_end()
    assert_ended_by_sigterm(ended)
    assert "'swallow_once' finished" in ended.out
    assert "'after_swallow' started" not in ended.out
    assert not (pods.project / "data" / "swallowed_copy.txt").exists()
    assert read_error_hooks(pods) == ["on_pipeline_error"]


def test_sigterm_swallowed_by_the_last_node_is_a_failure(pods: PodLauncher) -> None:
    pod = pods.start("waits", "swallow_once", options=("--memory=swallowed",))
    pod.read_until("begun")
    assert_ended_by_sigterm(pod.send_sigterm().wait_for_end())


def test_sigterm_while_saving_data(pods: PodLauncher) -> None:
    pods = with_logging_hooks(pods)
    pod = pods.start("waits", "save_slowly")
    pod.read_until("begun")
    assert_ended_by_sigterm(pod.send_sigterm().wait_for_end())
    assert read_error_hooks(pods) == ["on_pipeline_error"]  # as Kedro does when data cannot be saved


def test_sigterm_after_completion_is_a_success(pods: PodLauncher) -> None:
    pod = pods.start("waits", "linger")
    pod.read_until("begun")
    ended = pod.send_sigterm().wait_for_end()
    assert ended.code == 0
    assert pods.read_data("lingered.txt") == "done"
    assert "Traceback" not in ended.err


@pytest.mark.parametrize("nodes", [("wait_in_python", "wait_in_python_too"), ("wait_in_c", "wait_in_c_too")])
@pytest.mark.parametrize("runner", ["ThreadRunner", "ParallelRunner"])
def test_sigterm_during_parallel_nodes(pods: PodLauncher, nodes: tuple[str, ...], runner: str) -> None:
    pods = with_short_grace(with_logging_hooks(pods))
    memory = ("--memory=python_waited_too", "--memory=c_waited_too")
    pod = pods.start("waits", *nodes, options=(*memory, f"--runner={runner}"))
    pod.read_until("begun", 2)
    assert_ended_by_sigterm(pod.send_sigterm().wait_for_end())
    assert not pod.leftover_processes()
    node_hooks = [f"on_node_error {name}" for name in nodes] if runner == "ThreadRunner" else []
    assert sorted(read_error_hooks(pods)) == [*node_hooks, "on_pipeline_error"]


def test_a_process_of_the_parallel_runner_that_is_ended_alone_is_a_failure(pods: PodLauncher) -> None:
    pods = with_logging_hooks(pods)
    nodes = ("wait_in_python", "wait_in_python_too")
    pod = pods.start("waits", *nodes, options=("--memory=python_waited_too", "--runner=ParallelRunner"))
    child = int(pod.read_until("begun", 2).split()[1])
    assert child != pod.process.pid
    os.kill(child, signal.SIGTERM)
    ended = pod.wait_for_end()
    assert ended.code == 1
    assert "BrokenProcessPool" in ended.last_error_line
    assert read_error_hooks(pods) == ["on_pipeline_error"]
    assert not pod.leftover_processes()
