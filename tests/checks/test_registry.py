"""The table of checks has every finding, and nothing else."""

from __future__ import annotations

import ast
import re
import subprocess
import sys

import pytest

from kedro_k8s_airflow import checks
from kedro_k8s_airflow.checks import RULES
from kedro_k8s_airflow.findings import Refused, error
from kedro_k8s_airflow.locations import Location
from tests.scenarios import REFUSED
from tests.scenarios.model import Refused as Refusal
from tests.support.kedro_server import clean_env
from tests.support.paths import ROOT

SOURCES = sorted((ROOT / "kedro_k8s_airflow").rglob("*.py"))
SEVERITY = {"error": "error", "refuse": "error", "warning": "warning", "info": "info"}


def reported_by_compiler() -> set[tuple[str, str]]:
    """Return code and severity of every finding that the compiler itself reports, read from its source."""
    codes = set()
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not node.args:
                continue
            # `error(...)` of findings, or `diagnostics.error(...)`.
            function = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            code = node.args[0]
            if function in SEVERITY and isinstance(code, ast.Constant) and isinstance(code.value, str):
                codes.add((code.value, SEVERITY[function]))
    return codes


def test_the_table_has_every_finding_that_the_compiler_reports() -> None:
    by_compiler = {(rule.code, rule.severity) for rule in RULES.values() if rule.check is None}
    reported = reported_by_compiler() | {  # codes that are built from a name
        (f"data-{reason}", "error") for reason in ("memory", "pod", "confirms")
    }
    assert len(reported) > 50
    assert reported == by_compiler


def test_every_refusal_of_the_scenarios_is_in_the_table() -> None:
    codes = {scenario.expect.code for scenario in REFUSED if isinstance(scenario.expect, Refusal)}
    assert {code for code in codes if code is not None} <= set(RULES)


# Tested with a build engine, in tests/cluster/test_image.py.
ENGINE = {"image-build", "image-changed", "image-contract"}


def test_every_finding_of_the_compiler_is_named_in_a_test() -> None:
    tests = "\n".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "tests").rglob("*.py")))
    untested = [
        rule.code
        for rule in RULES.values()
        if rule.check is None and rule.code not in ENGINE and not re.search(rf"\b{rule.code}\b", tests)
    ]
    assert untested == []


def test_every_rule_has_a_title_and_a_source() -> None:
    for rule in RULES.values():
        assert rule.title.endswith("."), rule
        if rule.check is not None:
            assert rule.source, rule


def test_an_error_of_the_compiler_is_never_ignored() -> None:
    unknown, lost = (error(code, Location(), "") for code in ("settings-unknown", "data-lost"))
    assert checks.without_ignored([unknown, lost], ["settings-unknown", "data-lost"]) == [unknown]


@pytest.mark.parametrize(
    ("code", "phrase"), [("data-lots", "Did you mean 'data-lost'?"), ("settings-unknown", "cannot be ignored")]
)
def test_a_code_that_does_not_exist_or_cannot_be_ignored_is_refused(code: str, phrase: str) -> None:
    location = Location(file="conf/base/k8s_airflow.yml", key=("checks", "ignore"))
    with pytest.raises(Refused, match=re.escape(phrase)) as refused:
        checks.resolve_codes([code], location, ignoring=True)
    assert [(finding.code, finding.location) for finding in refused.value.findings] == [("checks-unknown", location)]


def test_checks_can_be_imported_without_docstrings() -> None:
    """A rule's title and source are data: `python -OO` removes docstrings."""
    command = [sys.executable, "-OO", "-c", "from kedro_k8s_airflow.checks import RULES; print(len(RULES))"]
    outcome = subprocess.run(command, capture_output=True, text=True, check=False, env=clean_env(), cwd=ROOT)
    assert (outcome.returncode, outcome.stdout.strip()) == (0, str(len(RULES))), outcome.stderr
