"""Findings: what the compiler has to say to a user, and the one exception that carries them.

Not for bugs of ours: those stay ordinary exceptions with a traceback.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable

Severity = Literal["error", "warning", "info"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing worth saying.

    Attributes:
        code: stable identifier of the rule, such as `data-lost`.
        severity: `error` stops everything before a byte is written.
        where: file and key, node, dataset or path the finding is about.
        message: what was found there.
        help_text: what to do about it; empty when nothing has to be done.
        detail: lines of another program, to be shown as they are.
    """

    code: str
    severity: Severity
    where: str
    why: str
    mend: str = ""
    detail: str = ""

    def __str__(self) -> str:
        text = f"{self.where}: {self.why}"
        return f"{text} {self.mend}" if self.mend else text


class Refused(Exception):
    """The input cannot be compiled; `findings` say why and how to mend it."""

    def __init__(self, findings: Iterable[Finding]) -> None:
        self.findings = tuple(findings)
        super().__init__("\n".join(str(finding) for finding in self.findings))


def error(code: str, where: str, message: str, help_text: str = "", detail: str = "") -> Finding:
    """A finding that stops the command."""
    return Finding(code=code, severity="error", where=where, why=message, mend=help_text, detail=detail)


def warning(code: str, where: str, message: str, help_text: str = "") -> Finding:
    """A finding that is said and does not stop the command."""
    return Finding(code=code, severity="warning", where=where, why=message, mend=help_text)


def info(code: str, where: str, message: str, help_text: str = "") -> Finding:
    """A fact the user may want to know; nothing is wrong."""
    return Finding(code=code, severity="info", where=where, why=message, mend=help_text)


def refuse(code: str, where: str, message: str, help_text: str = "", detail: str = "") -> Refused:
    """An exception with a single error finding, to be raised by the caller."""
    return Refused([error(code, where, message, help_text, detail)])
