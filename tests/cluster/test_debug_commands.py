"""A task of the demo in a real cluster, without Airflow: by the lines that `explain` prints."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING

import pytest

from tests.support.cluster_demo import ClaimPod, deploy_demo, run_command, run_kubectl

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.cluster
TASK = "clean_airports"


def test_a_task_succeeds_by_the_lines_that_explain_prints(image: str, demo_copy: Path, tmp_path: Path) -> None:
    demo = deploy_demo(demo_copy, tmp_path, image)
    demo.run_printed_commands()
    command = ["-m", "kedro", "k8s-airflow", "explain", TASK, "--pipeline", "__default__", "--format", "json"]
    printed = run_command([sys.executable, *command], cwd=demo.project)
    (facts,) = json.loads(printed[printed.index("{\n") :])["explanations"]  # Kedro may log a line before
    name = facts["debug_commands"]["pod"]["metadata"]["name"]
    apply, logs, get, delete = facts["debug_commands"]["kubectl"]
    claim = ClaimPod(demo)
    try:
        run_command(["bash", "-c", apply])
        log = run_command(["bash", "-c", logs], timeout=300)
        end = time.monotonic() + 60
        while (phase := run_kubectl("get", "pod", name, "--output=jsonpath={.status.phase}")) == "Running":
            assert time.monotonic() < end, log
            time.sleep(1)
        assert phase == "Succeeded", log
        assert f"'{TASK}'" in log
        assert name in run_command(["bash", "-c", get])
        assert [file for file in claim.hash_outputs(demo.sub_path) if file.endswith("airports.parquet")]
        run_command(["bash", "-c", delete])
        assert name not in run_kubectl("get", "pods", "--output=name")
    finally:
        run_kubectl("delete", "pod", name, "--ignore-not-found", "--wait=false")
        claim.close()
