"""Findings: what the compiler reports to a user, and the one exception that carries them.

Bugs of the compiler are not findings: they stay ordinary exceptions with a traceback.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kedro_k8s_airflow.locations import Location

Severity = Literal["error", "warning", "info"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "info")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One problem, or one fact worth knowing.

    Attributes:
        code: stable identifier of the rule, such as `data-lost`.
        severity: `error` stops everything before a byte is written.
        location: where it is.
        message: what was found there.
        help: how to fix it; empty when there is nothing to do.
        detail: output of another program, to be shown as it is.
    """

    code: str
    severity: Severity
    location: Location
    message: str
    help: str = ""
    detail: str = ""

    def __str__(self) -> str:
        text = f"{self.location}: {self.message}"
        return f"{text} {self.help}" if self.help else text


class Refused(Exception):
    """The input cannot be compiled; `findings` say why and how to fix it."""

    def __init__(self, findings: Iterable[Finding]) -> None:
        self.findings = tuple(findings)
        super().__init__("\n".join(str(finding) for finding in self.findings))


def error(code: str, location: Location, message: str, help: str = "", detail: str = "") -> Finding:  # noqa: A002
    """Return a finding that stops the command."""
    return Finding(code=code, severity="error", location=location, message=message, help=help, detail=detail)


def warning(code: str, location: Location, message: str, help: str = "") -> Finding:  # noqa: A002
    """Return a finding that is reported and does not stop the command."""
    return Finding(code=code, severity="warning", location=location, message=message, help=help)


def info(code: str, location: Location, message: str, help: str = "") -> Finding:  # noqa: A002
    """Return a fact the user may want to know; nothing is wrong."""
    return Finding(code=code, severity="info", location=location, message=message, help=help)


def refuse(code: str, location: Location, message: str, help: str = "", detail: str = "") -> Refused:  # noqa: A002
    """Return an exception with a single error, to be raised by the caller."""
    return Refused([error(code, location, message, help, detail)])
