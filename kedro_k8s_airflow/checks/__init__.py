"""Checks: problems that would otherwise show only after deployment.

A rule is one function in the module of its family; its decorator registers it. It reads the project, its settings and its plans,
and writes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kedro_k8s_airflow.checks import (  # noqa: F401  importing a module registers its rules
    compiler_codes,
    data,
    environment,
    graph,
    image,
    names,
    parameters,
    pods,
    runs,
    schedule,
    security,
    settings,
)
from kedro_k8s_airflow.checks.registry import RULES, CheckContext, Rule, run_rule
from kedro_k8s_airflow.findings import Finding, refuse
from kedro_k8s_airflow.text import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Container, Iterable

    from kedro_k8s_airflow.locations import Location

__all__ = ["RULES", "CheckContext", "Rule", "resolve_codes", "run_rules", "without_ignored"]


def run_rules(context: CheckContext) -> list[Finding]:
    """Return the findings of all rules, without duplicates, in the order of the table."""
    return list(dict.fromkeys(finding for rule in RULES.values() for finding in run_rule(rule, context)))


def without_ignored(findings: Iterable[Finding], ignored: Container[str]) -> list[Finding]:
    """Return the findings whose codes are not ignored; errors of the compiler itself always stay."""
    return [finding for finding in findings if finding.code not in ignored or not RULES[finding.code].can_be_ignored]


def resolve_codes(words: Iterable[str], location: Location, *, ignoring: bool = False) -> frozenset[str]:
    """Return the codes that words select; each word is a code or the name of a family.

    Args:
        words: from the settings or the command line.
        location: where they are.
        ignoring: whether the codes are to be ignored; some cannot be.

    Raises:
        Refused: A word is neither a code nor a family, or its finding cannot be ignored.
    """
    codes: set[str] = set()
    families = {rule.family for rule in RULES.values()}
    for word in words:
        if word in families:
            codes |= {rule.code for rule in RULES.values() if rule.family == word}
        elif word not in RULES:
            help_text = did_you_mean(word, [*RULES, *families], otherwise="docs/reference/checks.md lists all codes.")
            raise refuse("checks-unknown", location, f"{word!r} is not the code or family of a finding.", help_text)
        elif ignoring and not RULES[word].can_be_ignored:
            message = f"{word!r} cannot be ignored, because the project cannot be compiled until it is fixed."
            raise refuse("checks-unknown", location, message, "Fix what the finding reports.")
        else:
            codes.add(word)
    return frozenset(codes)
