"""Every rule finds what it is for, and nothing in a project that differs as little as it can."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from kedro_k8s_airflow.checks import RULES
from tests.checks.cases import BY_CODE, CASES, Case, scenario
from tests.scenarios import make_project

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.scenarios.forge import Forge

# Shown by tests of their own, below or in tests/test_image.py.
_ELSEWHERE = {"image-stale"}


def check(
    forge: Forge, project: Path, *options: str, env: Mapping[str, str] | None = None
) -> tuple[int, list[dict[str, Any]]]:
    """Exit code and findings of `check`."""
    report = project / "report.json"
    done = forge.kedro(
        "k8s-airflow", "check", "--format", "json", "--output", str(report), *options, cwd=project, env=env
    )
    assert "Traceback" not in done.err, done.err
    return done.code, json.loads(report.read_text(encoding="utf-8"))["findings"]


def test_every_rule_has_a_case() -> None:
    rules = {rule.code for rule in RULES.values() if rule.check is not None}
    assert rules - _ELSEWHERE == set(BY_CODE)
    assert len(CASES) == len(BY_CODE)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_rule_fires_and_its_near_miss_does_not(case: Case, forge: Forge, tmp_path: Path) -> None:
    fires, near = scenario(case.code, **case.fires), scenario(case.code, **case.near)
    code, found = check(forge, make_project(fires, tmp_path / "fires"), *fires.options, env=case.environment)
    ours = [finding for finding in found if finding["code"] == case.code]
    assert ours, found
    assert {finding["severity"] for finding in ours} == {RULES[case.code].severity}
    assert case.names in f"{ours[0]['where']} {ours[0]['why']} {ours[0]['mend']}"
    assert code == int(any(finding["severity"] == "error" for finding in found))

    _, found = check(forge, make_project(near, tmp_path / "near"), *near.options, env=case.environment)
    assert case.code not in {finding["code"] for finding in found}


def test_a_project_of_two_nodes_in_a_line_has_no_finding(forge: Forge, tmp_path: Path) -> None:
    assert check(forge, make_project(scenario("none"), tmp_path / "project")) == (0, [])


@pytest.mark.parametrize("case", [case for case in CASES if RULES[case.code].severity == "error"], ids=str)
def test_create_writes_nothing_where_check_finds_an_error(case: Case, forge: Forge, tmp_path: Path) -> None:
    project = make_project(scenario(case.code, **case.fires), tmp_path / "project")
    done = forge.kedro("k8s-airflow", "create", cwd=project)
    assert done.code == 1
    assert f"[{case.code}]" in done.err
    assert not (project / "dags").exists()
