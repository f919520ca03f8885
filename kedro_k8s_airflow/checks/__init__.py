"""Checks: what will break, or mean other than it seems, said before anything is deployed.

A rule is one function in the module of its family, put into the table by its decorator. It looks at the project, its settings
and its plans, and writes nothing.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from kedro_k8s_airflow.checks import (  # noqa: F401  each puts its rules into the table
    data,
    elsewhere,
    environment,
    graph,
    image,
    names,
    parameters,
    security,
    settings,
)
from kedro_k8s_airflow.checks.table import RULES, Rule, Subject, findings
from kedro_k8s_airflow.findings import Finding, refuse

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["RULES", "Rule", "Subject", "known", "run", "without"]


def run(subject: Subject) -> list[Finding]:
    """What all rules find, each finding once, in the order of the table."""
    return list(dict.fromkeys(found for rule in RULES.values() for found in findings(rule, subject)))


def without(found: Iterable[Finding], ignored: Sequence[str]) -> list[Finding]:
    """Findings without those that are to be left unsaid; errors of the compiler itself stay."""
    return [one for one in found if one.code not in ignored or not RULES[one.code].can_be_ignored]


def known(codes: Iterable[str], where: str, *, ignoring: bool = False) -> None:
    """Nothing, when all codes are those of findings, and can be ignored where that is asked for.

    Raises:
        Refused: naming the first that is not.
    """
    for code in codes:
        if code not in RULES:
            close = difflib.get_close_matches(code, RULES, 1)
            mend = f"Did you mean {close[0]!r}?" if close else "docs/checks.md lists them all."
            raise refuse("checks-unknown", where, f"there is no finding {code!r}.", mend)
        if ignoring and not RULES[code].can_be_ignored:
            why = f"{code!r} cannot be ignored: nothing can be made of such a project."
            raise refuse("checks-unknown", where, why, "Mend what it names.")
