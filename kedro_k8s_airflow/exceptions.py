"""Exceptions of other packages, described in messages."""

from __future__ import annotations

import os
import re
from pathlib import Path

from kedro_k8s_airflow import credential_detection


def describe_exception(exc: BaseException) -> str:
    """Return an exception and its cause in one line, without this machine's home folder and without credentials."""
    text = (
        f"{type(exc).__name__}: {' '.join(str(exc).split())}".rstrip(": ")
        .replace(str(Path.home()) + os.sep, "~/")
        .rstrip(".")
    )
    text = re.sub(r"://[^/\s@]*@", "://***@", text)
    if credential_detection.is_secret_value(text):
        text = f"{type(exc).__name__} (its text looks like a credential and is not shown)"
    return f"{text} ({describe_exception(exc.__cause__)})" if exc.__cause__ is not None else text
