"""Every scenario by the command line: it works, or it is refused in words that help and nothing is written."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.scenarios import ALL, BY_NAME, REFUSED, WORKING, Refused, Scenario, Works, make_project
from tests.scenarios.factory import read_tree
from tests.support.kedro_server import CommandResult, KedroServer, clean_env

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Any

CREATE = ("k8s-airflow", "create")
# What `create` writes besides DAG files.
SPEC = {"Dockerfile", ".dockerignore", ".k8s-airflow", ".k8s-airflow/pod.py"}


def run_create(kedro: KedroServer, scenario: Scenario, project: Path, *more: str) -> CommandResult:
    return kedro.run_command(*CREATE, *scenario.options, *more, cwd=project)


def finding_codes(outcome: CommandResult) -> set[str]:
    """Codes of the findings that were told."""
    return set(re.findall(r"^(?:error|warning|info) +\[([a-z-]+)\]", outcome.err, re.MULTILINE))


def with_parents(paths: set[str]) -> set[str]:
    """Paths with all folders above them."""
    return {path.rsplit("/", cut)[0] for path in paths for cut in range(path.count("/") + 1)}


@pytest.mark.parametrize("scenario", WORKING, ids=str)
def test_create_writes_the_dags_once_and_then_has_nothing_to_change(
    scenario: Scenario, kedro: KedroServer, tmp_path: Path
) -> None:
    expect = scenario.expect
    assert isinstance(expect, Works)
    project = make_project(scenario, tmp_path / "project")
    before = read_tree(project)

    first = run_create(kedro, scenario, project)
    assert first.code == 0, first
    assert finding_codes(first) >= set(expect.says), first.err
    written = read_tree(project)
    new = set(written) - set(before)
    folder = scenario.options[scenario.options.index("--output") + 1] if "--output" in scenario.options else "dags"
    dags = {path for path in written if path.startswith(f"{folder}/") and path.endswith(".py")}
    assert new <= with_parents(dags) | SPEC, "files that nobody asked for"
    if expect.dag_ids is not None:
        assert dags == {f"{folder}/{dag_id}.py" for dag_id in expect.dag_ids}
    elif "--all" not in scenario.options:
        assert dags == {f"{folder}/{scenario.package}.py"}
    changed = {path for path in before if written[path] != before[path]}
    assert changed <= dags, "files of the user's own"

    second = run_create(kedro, scenario, project)
    assert second.code == 0, second
    assert read_tree(project) == written
    lines = [line.split() for line in second.out.splitlines()[-len(dags) - len(SPEC & new.union(before)) + 1 :]]
    assert {words[0] for words in lines} <= {"unchanged", "kept"}, second.out

    assert run_create(kedro, scenario, project, "--check").code == 0

    if scenario.canary:
        texts = [first.out, first.err, second.out, second.err]
        texts += [content.decode() for path, content in written.items() if path in new and content is not None]
        assert not [text for text in texts if scenario.canary in text]


@pytest.mark.parametrize("name", ["plain", "quotes", "credentials", "some-empty", "foreign-dag-forced"])
def test_check_diff_and_quiet_options_work(name: str, kedro: KedroServer, tmp_path: Path) -> None:
    scenario = BY_NAME[name]
    project = make_project(scenario, tmp_path / "project")
    before = read_tree(project)

    checked = run_create(kedro, scenario, project, "--check")
    assert checked.code == 1, "files would change"
    assert read_tree(project) == before
    shown = run_create(kedro, scenario, project, "--diff")
    assert shown.code == 0
    assert read_tree(project) == before
    assert not scenario.canary or scenario.canary not in checked.output + shown.output

    quiet = run_create(kedro, scenario, project, "--quiet")
    assert (quiet.code, quiet.out, quiet.err) == (0, "", "")
    for path, content in read_tree(project).items():
        lines = [] if content is None or before.get(path) == content else content.decode().splitlines()
        assert set(lines) <= {line[1:] for line in shown.out.splitlines() if line.startswith("+")} | {""}

    again = run_create(kedro, scenario, project, "--diff")
    assert (again.code, again.out) == (0, "")
    assert run_create(kedro, scenario, project, "--check").code == 0


@pytest.mark.parametrize("scenario", WORKING, ids=str)
def test_the_plan_groups_and_orders_the_nodes_as_expected(
    scenario: Scenario, create_scenario: Callable[..., Any]
) -> None:
    expect = scenario.expect
    assert isinstance(expect, Works)
    report = create_scenario(scenario)
    assert report["error"] == ""
    *_, plan = report["plans"].values()  # of several DAGs the last one, the largest by convention
    task_of = {plain_name(node): task["id"] for task in plan["tasks"] for node in task["nodes"]}
    after = {task["id"]: set(task["after"]) for task in plan["tasks"]}

    if expect.together is not None:
        fused = {frozenset(map(plain_name, task["nodes"])) for task in plan["tasks"] if len(task["nodes"]) > 1}
        assert fused == set(expect.together)
    for first, second in expect.before:
        assert task_of[first] in after[task_of[second]], f"{second!r} does not wait for {first!r}"
    for nodes in expect.apart:
        assert len({task_of[node] for node in nodes}) == len(nodes)
    of_node = {plain_name(node): task for task in plan["tasks"] for node in task["nodes"]}
    if expect.loads is not None:
        narrowed = {node: task["pipeline"] for node, task in of_node.items() if task["pipeline"] != plan["pipeline"]}
        assert narrowed == dict(expect.loads)
    if expect.clears is not None:
        (last,) = [task for task in plan["tasks"] if not task["nodes"]]
        assert set(last["after"]) == {task_of[node] for node in expect.clears}
        assert last["trigger_rule"] in (None, "all_success")
    stored = {node: tuple(of_node[node]["stored"]) for node in expect.stored}
    assert stored == dict(expect.stored)
    assert {node: task_of[node] for node in expect.ids} == dict(expect.ids)
    assert {name: plan["params"].get(name) for name in expect.offers} == dict(expect.offers)
    assert {code for code, _ in report["findings"]} >= set(expect.says)
    assert {code for code, severity in report["findings"] if severity != "info"} <= set(expect.says)


@pytest.mark.parametrize("scenario", WORKING, ids=str)
def test_the_plan_runs_every_node_once_and_after_all_that_kedro_says_it_needs(
    scenario: Scenario, create_scenario: Callable[..., Any]
) -> None:
    plans = create_scenario(scenario)["plans"]
    assert plans
    for plan in plans.values():
        kedro = plan["kedro"]
        nodes = [node for task in plan["tasks"] for node in task["nodes"]]
        assert sorted(nodes) == sorted(kedro)
        earlier: dict[str, set[str]] = {}
        for task in plan["tasks"]:
            result = set().union(*(earlier[other] for other in task["after"]))
            for node in task["nodes"]:
                assert result >= set(kedro[node]), f"{node!r} would start too early"
                result.add(node)
            earlier[task["id"]] = result


def plain_name(node: str) -> str:
    """A node's name; of one that Kedro named, the function's in angle brackets, without the hash."""
    found = re.fullmatch(r"(.*)__[0-9a-f]{8}", node, re.DOTALL)
    return f"<{found[1]}>" if found else node


@pytest.mark.parametrize("scenario", REFUSED, ids=str)
def test_create_refuses_with_a_message_and_writes_nothing(
    scenario: Scenario, kedro: KedroServer, tmp_path: Path
) -> None:
    expect = scenario.expect
    assert isinstance(expect, Refused)
    project = make_project(scenario, tmp_path / "project")
    before = read_tree(project)

    outcome = run_create(kedro, scenario, project)

    assert outcome.code == expect.exit, outcome
    assert read_tree(project) == before
    assert "Traceback" not in outcome.output or not expect.ours, outcome.err
    if expect.code is not None:
        assert expect.code in finding_codes(outcome), outcome.err
    assert not [words for words in expect.mentions if words not in outcome.output], outcome.err
    if scenario.canary:
        assert scenario.canary not in outcome.out + outcome.err


@pytest.mark.parametrize("name", ["registry-raises", "empty-pipeline", "pod-report", "images-forced", "secret-by-form"])
def test_a_refused_project_has_nothing_written_by_force_or_elsewhere(
    name: str, kedro: KedroServer, tmp_path: Path
) -> None:
    scenario = BY_NAME[name]
    assert isinstance(scenario.expect, Refused)
    project = make_project(scenario, tmp_path / "project")
    before = read_tree(tmp_path)

    outcome = run_create(kedro, scenario, project, "--force", "--output", str(tmp_path / "a" / "b"))

    assert outcome.code == scenario.expect.exit, outcome
    assert read_tree(tmp_path) == before


@pytest.mark.parametrize("name", ["plain", "registry-raises", "quotes", "pod-report"])
def test_server_and_fresh_python_give_the_same_result(name: str, kedro: KedroServer, tmp_path: Path) -> None:
    scenario = BY_NAME[name]
    forged, fresh = (make_project(scenario, tmp_path / kind / "project") for kind in ("forged", "fresh"))

    outcome = run_create(kedro, scenario, forged)
    command = [sys.executable, "-m", "kedro", *CREATE, *scenario.options]
    result = subprocess.run(command, cwd=fresh, env=clean_env(), capture_output=True, text=True, check=False)

    assert result.returncode == outcome.code
    assert read_tree(fresh) == read_tree(forged)
    assert outcome.out in result.stdout, "Kedro prints a line of its own in front"
    assert outcome.err in result.stderr


def test_every_scenario_says_what_it_shows() -> None:
    assert not [scenario.name for scenario in ALL if not scenario.shows]
    assert len({scenario.shows for scenario in ALL}) == len(ALL)
