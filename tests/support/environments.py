"""The interpreters of the other environments, and commands run in them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

ENVIRONMENT_CONTENTS = {
    "KKA_PYTHON_AIRFLOW_3": "Airflow 3 with the Kubernetes provider",
    "KKA_PYTHON_AIRFLOW_2": "Airflow 2.11 with the Kubernetes provider",
    "KKA_PYTHON_KEDRO_OLDEST": "the oldest Kedro we support",
    "KKA_PYTHON_KEDRO_DOCKER": "kedro-docker",
    "KKA_PYTHON_SITE": "MkDocs",
    "KKA_PYTHON_310": "Python 3.10",
    "KKA_PYTHON_313": "Python 3.13",
}


def find_interpreter(variable: str) -> Path:
    """Return the Python that an environment variable names; skip the test, with the reason, when it is missing."""
    value = os.environ.get(variable)
    if not value:
        pytest.skip(
            f"{variable} is not set: it names the Python of an environment with {ENVIRONMENT_CONTENTS[variable]}"
        )
    # Not resolved: a virtual environment's Python is a link, and knows its packages by the link's place.
    if not Path(value).is_file():
        pytest.skip(f"{variable}: there is no {value}, an environment with {ENVIRONMENT_CONTENTS[variable]}")
    return Path(value)


def run_process(command: list[str | Path], **more: Any) -> subprocess.CompletedProcess[str]:
    """Run a command to its end and return its output as text."""
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, **more)
