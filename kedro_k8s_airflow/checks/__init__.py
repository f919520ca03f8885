"""Checks: what will break, or mean other than it seems, said before anything is deployed.

A rule is one function in the module of its family, put into the table by its decorator. It looks at the project, its settings
and its plans, and writes nothing.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from kedro_k8s_airflow.checks import (  # noqa: F401  each puts its rules into the table
    compiler_codes,
    data,
    environment,
    graph,
    image,
    names,
    parameters,
    pods,
    schedule,
    security,
    settings,
)
from kedro_k8s_airflow.checks.registry import RULES, CheckContext, Rule, run_rule
from kedro_k8s_airflow.findings import Finding, refuse

if TYPE_CHECKING:
    from collections.abc import Container, Iterable

    from kedro_k8s_airflow.locations import Location

__all__ = ["RULES", "CheckContext", "Rule", "resolve_codes", "run_rules", "without_ignored"]


def run_rules(context: CheckContext) -> list[Finding]:
    """What all rules find, each finding once, in the order of the table."""
    return list(dict.fromkeys(finding for rule in RULES.values() for finding in run_rule(rule, context)))


def without_ignored(findings: Iterable[Finding], ignored: Container[str]) -> list[Finding]:
    """Findings without those that are to be left unsaid; errors of the compiler itself stay."""
    return [finding for finding in findings if finding.code not in ignored or not RULES[finding.code].can_be_ignored]


def resolve_codes(words: Iterable[str], location: Location, *, ignoring: bool = False) -> frozenset[str]:
    """The codes that words mean: each is a code, or a family for all of it.

    Raises:
        Refused: naming the first that is neither, or that cannot be ignored where that is asked for.
    """
    codes: set[str] = set()
    families = {rule.family for rule in RULES.values()}
    for word in words:
        if word in families:
            codes |= {rule.code for rule in RULES.values() if rule.family == word}
        elif word not in RULES:
            close = difflib.get_close_matches(word, [*RULES, *families], 1)
            help_text = f"Did you mean {close[0]!r}?" if close else "docs/reference/checks.md lists them all."
            raise refuse("checks-unknown", location, f"there is no finding {word!r}.", help_text)
        elif ignoring and not RULES[word].can_be_ignored:
            message = f"{word!r} cannot be ignored: nothing can be made of such a project."
            raise refuse("checks-unknown", location, message, "Mend what it names.")
        else:
            codes.add(word)
    return frozenset(codes)
