"""A task of the demo in a real cluster, without Airflow: by the lines that `explain` prints."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING

import pytest

from tests.support.cluster_demo import Claim, kubectl, place, run

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.cluster
TASK = "clean_airports"


def test_a_task_succeeds_by_the_lines_that_explain_prints(image: str, demo_copy: Path, tmp_path: Path) -> None:
    made = place(demo_copy, tmp_path, image)
    made.fill()
    command = ["-m", "kedro", "k8s-airflow", "explain", TASK, "--pipeline", "__default__", "--format", "json"]
    printed = run([sys.executable, *command], cwd=made.project)
    (facts,) = json.loads(printed[printed.index("{\n") :])["explanations"]  # Kedro may log a line before
    name = facts["debug_commands"]["pod"]["metadata"]["name"]
    apply, logs, get, delete = facts["debug_commands"]["kubectl"]
    claim = Claim(made)
    try:
        run(["bash", "-c", apply])
        log = run(["bash", "-c", logs], timeout=300)
        end = time.monotonic() + 60
        while (phase := kubectl("get", "pod", name, "--output=jsonpath={.status.phase}")) == "Running":
            assert time.monotonic() < end, log
            time.sleep(1)
        assert phase == "Succeeded", log
        assert f"'{TASK}'" in log
        assert name in run(["bash", "-c", get])
        assert [file for file in claim.outputs(made.sub_path) if file.endswith("airports.parquet")]
        run(["bash", "-c", delete])
        assert name not in kubectl("get", "pods", "--output=name")
    finally:
        kubectl("delete", "pod", name, "--ignore-not-found", "--wait=false")
        claim.close()
