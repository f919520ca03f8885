"""Findings for programs: JSON, annotations of GitHub Actions, SARIF. For people see `output.console`."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from kedro_k8s_airflow import __version__
from kedro_k8s_airflow.checks import RULES
from kedro_k8s_airflow.findings import SEVERITIES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kedro_k8s_airflow.findings import Finding
    from kedro_k8s_airflow.locations import Location
    from kedro_k8s_airflow.output.source_lines import LineFinder

SCHEMA_VERSION = 1
_SARIF_LEVELS = {"error": "error", "warning": "warning", "info": "note"}
_GITHUB_COMMANDS = {"error": "error", "warning": "warning", "info": "notice"}
_SARIF_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
# SARIF needs a file and a line for every result; a finding without one is about the project.
_PROJECT_FILE = "pyproject.toml"


def findings_to_json(findings: Sequence[Finding], find_line: LineFinder) -> str:
    """Return one object: `schema`, `summary` (how many of each severity) and `findings`; see `check.schema.json`."""
    counts = Counter(finding.severity for finding in findings)
    report = {
        "schema": SCHEMA_VERSION,
        "summary": {severity: counts[severity] for severity in SEVERITIES},
        "findings": [_finding_object(finding, find_line(finding.location)) for finding in findings],
    }
    return json.dumps(report, indent=2) + "\n"


def _finding_object(finding: Finding, location: Location) -> dict[str, Any]:
    return {
        "code": finding.code,
        "severity": finding.severity,
        "family": RULES[finding.code].family,
        "message": finding.message,
        "help": finding.help,
        "location": location_object(location),
    }


def location_object(location: Location) -> dict[str, Any]:
    """Return the fields of a location that say something."""
    values = {field.name: getattr(location, field.name) for field in fields(location)}
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in values.items()
        if value not in (None, (), 0)
    }


def findings_to_github(findings: Sequence[Finding], find_line: LineFinder) -> str:
    """Return workflow commands, one line each: the log of a step shows them, and a pull request at their lines.

    Source: docs.github.com, "Workflow commands for GitHub Actions"; what has to be escaped is in actions/toolkit.
    """
    lines = []
    for finding in findings:
        location = find_line(finding.location)
        values = {"file": find_line.in_repository(location.file), "line": location.line, "title": finding.code}
        properties = ",".join(
            f"{key}={_escape(str(value), ':,')}" for key, value in values.items() if value is not None
        )
        lines.append(f"::{_GITHUB_COMMANDS[finding.severity]} {properties}::{_escape(str(finding))}\n")
    return "".join(lines)


def _escape(text: str, more: str = "") -> str:
    for sign in f"%\r\n{more}":
        text = text.replace(sign, f"%{ord(sign):02X}")
    return text


def findings_to_sarif(findings: Sequence[Finding], find_line: LineFinder) -> str:
    """Return SARIF 2.1.0 (OASIS), for code scanning and editors."""
    codes = sorted({finding.code for finding in findings})
    rules = [
        {
            "id": code,
            "shortDescription": {"text": RULES[code].title},
            "fullDescription": {"text": f"{RULES[code].title} Source: {RULES[code].source or 'the compiler'}"},
            "help": {"text": f"{RULES[code].title} See the reference of checks."},
            "defaultConfiguration": {"level": _SARIF_LEVELS[RULES[code].severity]},
            "properties": {"family": RULES[code].family},
        }
        for code in codes
    ]
    driver = {"name": "kedro-k8s-airflow", "version": __version__, "semanticVersion": __version__, "rules": rules}
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "results": [
            _sarif_result(finding, _locate_in_repository(find_line, finding), codes.index(finding.code))
            for finding in findings
        ],
    }
    return json.dumps({"$schema": _SARIF_SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2) + "\n"


def _locate_in_repository(find_line: LineFinder, finding: Finding) -> Location:
    """Return the location of a finding, its file as the repository names it."""
    location = find_line(finding.location)
    return replace(location, file=find_line.in_repository(location.file or _PROJECT_FILE))


def _sarif_result(finding: Finding, location: Location, index: int) -> dict[str, Any]:
    from urllib.parse import quote

    physical = {
        "artifactLocation": {"uri": quote(location.file or _PROJECT_FILE)},
        "region": {"startLine": location.line or 1},
    }
    sarif_location: dict[str, Any] = {"physicalLocation": physical}
    logical = [
        {"name": name, "kind": kind}
        for kind in ("dataset", "node", "task", "dag", "pipeline")
        if (name := getattr(location, kind)) is not None
    ]
    if logical:
        sarif_location["logicalLocations"] = logical
    return {
        "ruleId": finding.code,
        "ruleIndex": index,
        "level": _SARIF_LEVELS[finding.severity],
        "message": {"text": str(finding)},
        "locations": [sarif_location],
        "properties": {"help": finding.help, "key": list(location.key)},
    }
