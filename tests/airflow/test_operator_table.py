"""The table behind `operator:` is what the real classes of each Airflow say."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.support.paths import ROOT


@pytest.mark.parametrize("variable", ["KKA_PYTHON_AIRFLOW_2", "KKA_PYTHON_AIRFLOW_3"])
def test_the_table_is_not_stale(variable: str) -> None:
    python = os.environ.get(variable, "")
    if not Path(python).is_file():
        pytest.skip(f"{variable} names no Python with Airflow: {python!r}")
    script = ROOT / "tools" / "make_operator_table.py"
    table = ROOT / "kedro_k8s_airflow" / "config" / "operator_arguments.json"
    result = subprocess.run([python, str(script), "--check", str(table)], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
