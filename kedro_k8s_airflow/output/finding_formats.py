"""Findings for programs: JSON, annotations of GitHub Actions, SARIF. For people see `show.findings`."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from kedro_k8s_airflow import __version__
from kedro_k8s_airflow.checks import RULES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kedro_k8s_airflow.findings import Finding
    from kedro_k8s_airflow.locations import Locator, Place

_LEVELS = {"error": "error", "warning": "warning", "info": "note"}
_COMMANDS = {"error": "error", "warning": "warning", "info": "notice"}
_SARIF = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
# SARIF wants a file and a line for every result; what has none is about the project.
_PROJECT = "pyproject.toml"


def as_json(found: Sequence[Finding], locate: Locator) -> str:
    """One object: `schema`, `summary` (how many of each severity) and `findings`; see docs/reference/checks.md."""
    counts = Counter(finding.severity for finding in found)
    report = {
        "schema": 1,
        "summary": {severity: counts[severity] for severity in ("error", "warning", "info")},
        "findings": [_object(finding, locate(finding.where)) for finding in found],
    }
    return json.dumps(report, indent=2) + "\n"


def _object(finding: Finding, place: Place) -> dict[str, Any]:
    said: dict[str, Any] = {
        "code": finding.code,
        "severity": finding.severity,
        "family": RULES[finding.code].family,
        "where": finding.where,
        "why": finding.why,
        "mend": finding.mend,
    }
    more = {"file": place.file, "line": place.line, "key": place.key, "kind": place.kind, "name": place.name}
    return {**said, **{name: value for name, value in more.items() if value is not None}}


def as_github(found: Sequence[Finding], locate: Locator) -> str:
    """Workflow commands, one line each: the log of a step shows them, and a pull request at their lines.

    Source: docs.github.com, "Workflow commands for GitHub Actions"; what has to be escaped is in actions/toolkit.
    """
    lines = []
    for finding in found:
        place = locate(finding.where)
        named = {"file": locate.in_repository(place.file), "line": place.line, "title": f"{finding.code}"}
        properties = ",".join(
            f"{key}={_escaped(str(value), ':,')}" for key, value in named.items() if value is not None
        )
        lines.append(f"::{_COMMANDS[finding.severity]} {properties}::{_escaped(str(finding))}\n")
    return "".join(lines)


def _escaped(text: str, more: str = "") -> str:
    for sign in f"%\r\n{more}":
        text = text.replace(sign, f"%{ord(sign):02X}")
    return text


def as_sarif(found: Sequence[Finding], locate: Locator) -> str:
    """SARIF 2.1.0 (OASIS), for code scanning and editors."""
    codes = sorted({finding.code for finding in found})
    rules = [
        {
            "id": code,
            "shortDescription": {"text": RULES[code].title},
            "fullDescription": {"text": f"{RULES[code].title} Behind it: {RULES[code].source or 'the compiler'}"},
            "help": {"text": f"{RULES[code].title} See docs/reference/checks.md."},
            "defaultConfiguration": {"level": _LEVELS[RULES[code].severity]},
            "properties": {"family": RULES[code].family},
        }
        for code in codes
    ]
    driver = {"name": "kedro-k8s-airflow", "version": __version__, "semanticVersion": __version__, "rules": rules}
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "results": [_result(finding, _in_repository(locate, finding), codes.index(finding.code)) for finding in found],
    }
    return json.dumps({"$schema": _SARIF, "version": "2.1.0", "runs": [run]}, indent=2) + "\n"


def _in_repository(locate: Locator, finding: Finding) -> Place:
    """The place of a finding, its file as the repository names it."""
    place = locate(finding.where)
    return replace(place, file=locate.in_repository(place.file or _PROJECT))


def _result(finding: Finding, place: Place, index: int) -> dict[str, Any]:
    from urllib.parse import quote

    physical = {"artifactLocation": {"uri": quote(place.file or _PROJECT)}, "region": {"startLine": place.line or 1}}
    location: dict[str, Any] = {"physicalLocation": physical}
    if place.name is not None:
        location["logicalLocations"] = [{"name": place.name, "kind": place.kind}]
    return {
        "ruleId": finding.code,
        "ruleIndex": index,
        "level": _LEVELS[finding.severity],
        "message": {"text": str(finding)},
        "locations": [location],
    }
