"""The project of a pod is read-only: what a pod writes of its own goes to its HOME and TMPDIR."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.scenarios.factory import read_tree

if TYPE_CHECKING:
    from pathlib import Path

    from tests.pod.conftest import PodLauncher


def unprivileged_prefix() -> tuple[str, ...]:
    """What stands before a command so that permissions bind it; root without capabilities is like anybody."""
    if os.geteuid():
        return ()
    setpriv = shutil.which("setpriv")
    command = (setpriv or "", "--inh-caps=-all", "--bounding-set=-all")
    if setpriv is None or subprocess.run([*command, "true"], capture_output=True, check=False).returncode:
        pytest.skip("root, and setpriv cannot take its capabilities away")
    return command


def test_a_pod_runs_in_a_project_in_which_it_cannot_write(any_pods: PodLauncher, tmp_path: Path) -> None:
    before = unprivileged_prefix()
    for name in ("home", "tmp"):
        (tmp_path / name).mkdir()
    data = any_pods.project / "data"
    data.mkdir()
    paths = [any_pods.project, *any_pods.project.rglob("*")]
    for path in paths:
        if path != data:
            path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        for folder in (any_pods.project, any_pods.project / "src" / "project"):
            tried = subprocess.run(
                [*before, sys.executable, "-c", f"open({str(folder / 'x')!r}, 'w')"], capture_output=True, check=False
            )
            assert tried.returncode, "this test shows nothing"
        kept = read_tree(any_pods.project)
        variables = {"HOME": str(tmp_path / "home"), "TMPDIR": str(tmp_path / "tmp")}
        pods = any_pods.with_changes(before=before, env=variables)
        ended = pods.run_successfully("plain", "hello", "shout", options=("--memory=loud",))
        assert not ended.err
        assert {*read_tree(any_pods.project)} - {*kept} == {"data/word.txt"}
    finally:
        for path in paths:
            path.chmod(0o755 if path.is_dir() else 0o644)
