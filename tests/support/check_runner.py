"""Runs `check` in a project and reads its JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from kedro_k8s_airflow.locations import Location

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.support.kedro_server import KedroServer


def check_document(
    kedro: KedroServer, project: Path, *options: str, env: Mapping[str, str] | None = None
) -> tuple[int, dict[str, Any]]:
    """Return the exit code and the JSON document of `check`."""
    report = project / "report.json"
    outcome = kedro.run_command(
        "k8s-airflow", "check", "--format", "json", "--output", str(report), *options, cwd=project, env=env
    )
    assert "Traceback" not in outcome.err, outcome.err
    return outcome.code, json.loads(report.read_text(encoding="utf-8"))


def check(
    kedro: KedroServer, project: Path, *options: str, env: Mapping[str, str] | None = None
) -> tuple[int, list[dict[str, Any]]]:
    """Return the exit code and the findings of `check`."""
    code, document = check_document(kedro, project, *options, env=env)
    return code, document["findings"]


def finding_text(finding: Mapping[str, Any]) -> str:
    """Return what `check` prints of a finding: location, message and help."""
    fields = {**finding["location"], "key": tuple(finding["location"].get("key", ()))}
    return f"{Location(**fields)}: {finding['message']} {finding['help']}"
