"""Pods that are stopped by SIGTERM: with a short grace period, and with hooks that write down their calls."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.pod.conftest import PodLauncher, PodResult

SIGTERM_CODE = 143
GRACE_SECONDS = 1


def with_short_grace(pods: PodLauncher) -> PodLauncher:
    """Pods that wait for a shorter time for a node to give way, and then for its hooks."""
    source = pods.pod.read_text(encoding="utf-8")
    for name, old, new in (("GRACE_SECONDS", 15, GRACE_SECONDS), ("KILL_SECONDS", 20, GRACE_SECONDS + 2)):
        assert source.count(f"\n{name} = {old} ") == 1
        source = source.replace(f"\n{name} = {old} ", f"\n{name} = {new} ")
    copy = pods.project.parent / "pod.py"
    copy.write_text(source, encoding="utf-8")
    return pods.with_changes(pod=copy)


def with_logging_hooks(pods: PodLauncher) -> PodLauncher:
    """Pods whose hooks write down what they are called with."""
    return pods.with_changes(env={"HOOK_LOG": str(pods.project.parent / "hooks.log")})


def read_error_hooks(pods: PodLauncher) -> list[str]:
    """The error hooks that were called, each with its node."""
    lines = (pods.project.parent / "hooks.log").read_text(encoding="utf-8").splitlines()
    found = [call for call in map(json.loads, lines) if call["who"] == "project" and call["spec"].startswith("on_")]
    return [f"{call['spec']} {call.get('node', '')}".strip() for call in found]


def assert_ended_by_sigterm(ended: PodResult) -> None:
    assert ended.code == SIGTERM_CODE, ended.output
    assert "SIGTERM" in ended.last_error_line
    assert "done:" not in ended.out
