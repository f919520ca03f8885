"""The table of checks holds every finding there is, and nothing else."""

from __future__ import annotations

import ast
import re

import pytest

from kedro_k8s_airflow import checks
from kedro_k8s_airflow.checks import RULES
from kedro_k8s_airflow.findings import Refused, error
from tests.scenarios import REFUSED
from tests.scenarios.model import Refused as Refusal
from tests.support.paths import ROOT

SOURCES = sorted((ROOT / "kedro_k8s_airflow").rglob("*.py"))
SEVERITY = {"error": "error", "refuse": "error", "warning": "warning", "info": "info"}


def told() -> set[tuple[str, str]]:
    """Code and severity of every finding that the compiler itself tells, read from its source."""
    found = set()
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id in SEVERITY
                and node.args
            ):
                first = node.args[0]
                if isinstance(first, ast.Constant) and isinstance(first.value, str):
                    found.add((first.value, SEVERITY[node.func.id]))
    return found


def test_the_table_holds_every_finding_that_the_compiler_tells() -> None:
    by_compiler = {(rule.code, rule.severity) for rule in RULES.values() if rule.check is None}
    found = told() | {(f"data-{rule}", "error") for rule in ("memory", "pod", "confirms")}  # made of the rule's name
    assert len(found) > 50
    assert found == by_compiler


def test_every_refusal_of_the_scenarios_is_in_the_table() -> None:
    codes = {scenario.expect.code for scenario in REFUSED if isinstance(scenario.expect, Refusal)}
    assert {code for code in codes if code is not None} <= set(RULES)


# Shown where there is an engine, in tests/cluster/test_image.py, by what they say.
ENGINE = {"image-build", "image-changed", "image-contract"}


def test_every_finding_of_the_compiler_is_shown_by_some_test() -> None:
    tests = "\n".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "tests").rglob("*.py")))
    untested = [
        rule.code
        for rule in RULES.values()
        if rule.check is None and rule.code not in ENGINE and not re.search(rf"\b{rule.code}\b", tests)
    ]
    assert untested == []


def test_every_rule_says_what_it_finds_and_what_is_behind_it() -> None:
    for rule in RULES.values():
        assert rule.title.endswith("."), rule
        if rule.check is not None:
            assert rule.source, rule


def test_what_the_compiler_refuses_is_never_left_unsaid() -> None:
    found = [error("settings-unknown", "x", "y"), error("data-lost", "x", "y")]
    assert [one.code for one in checks.without_ignored(found, ["settings-unknown", "data-lost"])] == [
        "settings-unknown"
    ]


@pytest.mark.parametrize(
    ("code", "said"), [("data-lots", "Did you mean 'data-lost'?"), ("settings-unknown", "cannot be ignored")]
)
def test_a_code_that_is_none_or_cannot_be_ignored_is_refused(code: str, said: str) -> None:
    with pytest.raises(Refused, match=re.escape(said)):
        checks.resolve_codes([code], "checks.ignore", ignoring=True)
