"""A pod stopped by SIGTERM shows it by its exit code, and the project's error hooks are called before."""

from __future__ import annotations

import json
import os
import signal
import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.pod.conftest import Ended, Pods

TOLD = 143
PATIENCE = 1


def impatient(pods: Pods) -> Pods:
    """Pods that wait for a shorter time for a node to give way."""
    source = pods.pod.read_text(encoding="utf-8")
    assert source.count("\nGRACE_SECONDS = 15 ") == 1
    copy = pods.project.parent / "pod.py"
    copy.write_text(source.replace("\nGRACE_SECONDS = 15 ", f"\nGRACE_SECONDS = {PATIENCE} "), encoding="utf-8")
    return pods.but(pod=copy)


def logging_hooks(pods: Pods) -> Pods:
    """Pods whose hooks write down what they are called with."""
    return pods.but(env={"HOOK_LOG": str(pods.project.parent / "hooks.log")})


def errors(pods: Pods) -> list[str]:
    """The error hooks that were called, each with its node."""
    lines = (pods.project.parent / "hooks.log").read_text(encoding="utf-8").splitlines()
    found = [call for call in map(json.loads, lines) if call["who"] == "project" and call["spec"].startswith("on_")]
    return [f"{call['spec']} {call.get('node', '')}".strip() for call in found]


def assert_told(ended: Ended) -> None:
    assert ended.code == TOLD, ended.said
    assert "SIGTERM" in ended.last
    assert "done:" not in ended.out


@pytest.mark.parametrize("imports", ["", "stubborn"])
def test_during_imports_though_they_swallow_exceptions(pods: Pods, imports: str) -> None:
    pod = pods.start("plain", "hello", env={"SLOW_IMPORT": imports or "plain"})
    pod.until("begun")
    assert_told(pod.tell().end())


def test_during_a_node_in_python_at_once(any_pods: Pods) -> None:
    pods = logging_hooks(any_pods)
    pod = pods.start("waits", "wait_in_python")
    pod.until("begun")
    began = time.monotonic()
    assert_told(pod.tell().end())
    assert time.monotonic() - began < 15  # which is all of the patience
    assert errors(pods) == ["on_node_error wait_in_python", "on_pipeline_error"]
    assert not (pods.project / "data" / "python_waited.txt").exists()


@pytest.mark.parametrize("node", ["wait_and_swallow", "wait_in_c"])
def test_during_a_node_that_does_not_give_way_when_patience_ends(any_pods: Pods, node: str) -> None:
    pods = impatient(logging_hooks(any_pods))
    pod = pods.start("waits", node)
    pod.until("begun")
    began = time.monotonic()
    assert_told(pod.tell().end())
    assert time.monotonic() - began >= PATIENCE
    assert errors(pods) == [f"on_node_error {node}", "on_pipeline_error"]


def test_a_node_that_swallows_it_and_ends_is_the_last_one(pods: Pods) -> None:
    pods = logging_hooks(pods)
    pod = pods.start("waits", "swallow_once", "after_swallow", options=("--memory=swallowed",))
    pod.until("begun")
    ended = pod.tell().end()
    assert_told(ended)
    assert "'swallow_once' finished" in ended.out
    assert "'after_swallow' started" not in ended.out
    assert not (pods.project / "data" / "swallowed_copy.txt").exists()
    assert errors(pods) == ["on_pipeline_error"]


def test_the_last_node_may_swallow_it_too(pods: Pods) -> None:
    pod = pods.start("waits", "swallow_once", options=("--memory=swallowed",))
    pod.until("begun")
    assert_told(pod.tell().end())


def test_while_a_node_s_data_are_saved(pods: Pods) -> None:
    pods = logging_hooks(pods)
    pod = pods.start("waits", "save_slowly")
    pod.until("begun")
    assert_told(pod.tell().end())
    assert errors(pods) == ["on_pipeline_error"]  # as Kedro does when data cannot be saved


def test_after_everything_is_done_it_is_no_failure(pods: Pods) -> None:
    pod = pods.start("waits", "linger")
    pod.until("begun")
    ended = pod.tell().end()
    assert ended.code == 0
    assert pods.data("lingered.txt") == "done"
    assert "Traceback" not in ended.err


@pytest.mark.parametrize("nodes", [("wait_in_python", "wait_in_python_too"), ("wait_in_c", "wait_in_c_too")])
@pytest.mark.parametrize("runner", ["ThreadRunner", "ParallelRunner"])
def test_during_several_nodes_at_once(pods: Pods, nodes: tuple[str, ...], runner: str) -> None:
    pods = impatient(logging_hooks(pods))
    memory = ("--memory=python_waited_too", "--memory=c_waited_too")
    pod = pods.start("waits", *nodes, options=(*memory, f"--runner={runner}"))
    pod.until("begun", 2)
    assert_told(pod.tell().end())
    assert not pod.left_over()
    nodes_told = [f"on_node_error {name}" for name in nodes] if runner == "ThreadRunner" else []
    assert sorted(errors(pods)) == [*nodes_told, "on_pipeline_error"]


def test_a_process_of_the_parallel_runner_that_is_ended_alone_is_a_failure(pods: Pods) -> None:
    pods = logging_hooks(pods)
    nodes = ("wait_in_python", "wait_in_python_too")
    pod = pods.start("waits", *nodes, options=("--memory=python_waited_too", "--runner=ParallelRunner"))
    child = int(pod.until("begun", 2).split()[1])
    assert child != pod.process.pid
    os.kill(child, signal.SIGTERM)
    ended = pod.end()
    assert ended.code == 1
    assert "BrokenProcessPool" in ended.last
    assert errors(pods) == ["on_pipeline_error"]
    assert not pod.left_over()
