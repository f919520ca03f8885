"""The command `check`: formats, locations, selection, exit codes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import unquote

import pytest
import yaml

from kedro_k8s_airflow.checks import RULES
from kedro_k8s_airflow.locations import Location
from kedro_k8s_airflow.output.source_lines import LineFinder
from tests.checks.cases import BY_CODE, make_scenario
from tests.scenarios import REFUSED, make_project
from tests.scenarios.factory import read_tree
from tests.scenarios.model import Node, Refused, Scenario, default_pipeline, pickle_entries
from tests.support.check_runner import check, check_document
from tests.support.kedro_server import clean_env
from tests.support.paths import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.kedro_server import CommandResult, KedroServer


def make_case_project(code: str, folder: Path) -> Path:
    return make_project(make_scenario(code, **BY_CODE[code].violating), folder)


def run_check_command(kedro: KedroServer, cwd: Path, *options: str) -> CommandResult:
    return kedro.run_command("k8s-airflow", "check", *options, cwd=cwd)


@pytest.mark.parametrize(
    ("code", "options", "exit_code"),
    [
        ("data-lost", (), 1),
        ("image-java", (), 0),
        ("image-java", ("--strict",), 1),
        ("name-dag", ("--strict",), 0),
        ("data-lost", ("--ignore", "data-lost"), 0),
        ("data-lost", ("--ignore", "data"), 0),
        ("data-lost", ("--select", "graph,settings"), 0),
        ("data-lost", ("--select", "graph", "--select", "data-lost"), 1),
        ("data-lost", ("--select", "nonsense"), 2),
        ("data-lost", ("--all", "--pipeline", "__default__"), 2),
        ("data-lost", ("--env", "nowhere"), 2),
    ],
)
def test_exit_codes(code: str, options: tuple[str, ...], exit_code: int, kedro: KedroServer, tmp_path: Path) -> None:
    outcome = run_check_command(kedro, make_case_project(code, tmp_path / "project"), *options)
    assert outcome.code == exit_code, outcome
    assert "Traceback" not in outcome.output


def test_it_writes_nothing(kedro: KedroServer, tmp_path: Path) -> None:
    folder = make_case_project("image-java", tmp_path / "project")
    before = read_tree(folder)
    run_check_command(kedro, folder)
    assert read_tree(folder) == before


def test_a_finding_ignored_in_the_settings_is_ignored_by_check_and_create(kedro: KedroServer, tmp_path: Path) -> None:
    different = dict(BY_CODE["graph-hidden-order"].violating)
    folder = make_project(
        make_scenario("x", **different, settings="checks: {ignore: [graph-hidden-order]}\n"), tmp_path / "project"
    )
    assert check(kedro, folder) == (0, [])
    assert kedro.run_command("k8s-airflow", "create", cwd=folder).code == 0


def test_the_text_ends_with_the_number_of_findings(kedro: KedroServer, tmp_path: Path) -> None:
    lines = run_check_command(kedro, make_case_project("data-lost", tmp_path / "project")).out.splitlines()
    assert [line for line in lines if line.startswith("error [data-lost]")]
    assert lines[-1] == "1 error"
    assert (
        run_check_command(kedro, make_project(make_scenario("none"), tmp_path / "none")).out.splitlines()[-1]
        == "no findings"
    )


@pytest.mark.parametrize(
    ("code", "file", "text"),
    [
        ("data-lost", "conf/base/catalog.yml", "b_out:"),
        ("resources", "conf/base/k8s_airflow.yml", "tasks:"),
        ("schedule-days", "conf/base/k8s_airflow.yml", "dag:"),
        ("graph-unordered", "src/project/pipeline_registry.py", "def work"),
        ("param-missing", "src/project/pipeline_registry.py", "def work"),
        ("settings-dropped", "conf/base/k8s_airflow.yml", "dag:"),
        ("env-registry", "src/project/pipeline_registry.py", "MODE ="),
    ],
)
def test_a_finding_has_the_line_of_its_cause(
    code: str, file: str, text: str, kedro: KedroServer, tmp_path: Path
) -> None:
    case = BY_CODE[code]
    folder = make_case_project(code, tmp_path / "project")
    options = make_scenario(code, **case.violating).options
    _, findings = check(kedro, folder, *options, env=case.environment)
    (location,) = [finding["location"] for finding in findings if finding["code"] == code]
    assert location["file"] == file
    assert (folder / file).read_text().splitlines()[location["line"] - 1].lstrip().startswith(text)


@pytest.mark.parametrize("rule", ["EWR.fit_v2", "a,b", "fit_v2", "it's: odd", "a b"])
def test_a_rule_is_located_by_its_whole_name(rule: str, kedro: KedroServer, tmp_path: Path) -> None:
    """A name may contain what separates keys in print; JSON, SARIF and annotations have the line of the rule's match."""
    tasks = {"all": {"retries": 1}, rule: {"match": {"node": "nosuch"}, "retries": 2}}
    settings = yaml.safe_dump({"tasks": tasks}, sort_keys=False)
    folder = make_project(make_scenario("rule-unmatched", settings=settings), tmp_path / "project")
    file = "conf/base/k8s_airflow.yml"
    line = 1 + (folder / file).read_text().splitlines().index("    match:")

    _, findings = check(kedro, folder)
    (location,) = [finding["location"] for finding in findings if finding["code"] == "rule-unmatched"]
    assert location == {"file": file, "line": line, "key": ["tasks", rule, "match"]}

    run_check_command(kedro, folder, "--format", "sarif", "--output", "found.sarif")
    results = json.loads((folder / "found.sarif").read_text(encoding="utf-8"))["runs"][0]["results"]
    (result,) = [result for result in results if result["ruleId"] == "rule-unmatched"]
    physical = result["locations"][0]["physicalLocation"]
    assert (physical["artifactLocation"]["uri"], physical["region"]["startLine"]) == (file, line)
    assert result["properties"]["key"] == ["tasks", rule, "match"]

    annotations = run_check_command(kedro, folder, "--format", "github").out
    assert f"::error file={file},line={line},title=rule-unmatched::" in annotations


@pytest.mark.parametrize(
    ("location", "text"),
    [
        (Location(file="x.yml", key=("tasks", "gpu", "match")), "x.yml: tasks.gpu.match"),
        (Location(file="x.yml", key=("tasks", "EWR.fit_v2", "match")), "x.yml: tasks.'EWR.fit_v2'.match"),
        (Location(file="x.yml", key=("tasks", "a,b")), "x.yml: tasks.'a,b'"),
        (Location(file="requirements.txt", line=3), "requirements.txt, line 3"),
        (Location(file="x.yml", line=3, key=("dag",)), "x.yml: dag"),
        (
            Location(file="x.yml", key=("tasks",), task="a b, c: d", more_tasks=1200),
            "x.yml: tasks, task 'a b, c: d' and 1,200 more",
        ),
        (Location(dataset="it's", node="a\nb"), "dataset \"it's\", node 'a\\nb'"),
        (Location(subject="--params"), "--params"),
        (Location(subject="catalog", pipeline="train"), "catalog, pipeline 'train'"),
    ],
)
def test_a_location_is_printed_as_one_phrase(location: Location, text: str) -> None:
    assert str(location) == text


def test_a_line_is_that_of_a_key_or_of_the_longest_part_that_the_file_has(tmp_path: Path) -> None:
    (tmp_path / "x.yml").write_text("tasks:\n  EWR:\n    fit: 1\n  EWR.fit:\n    match: {node: [a, b]}\n  'a,b': {}\n")
    find_line = LineFinder(tmp_path)

    def line_of(*key: str) -> int | None:
        return find_line(Location(file="x.yml", key=key)).line

    assert line_of("tasks", "EWR", "fit") == 3
    assert line_of("tasks", "EWR.fit") == 4
    assert line_of("tasks", "EWR.fit", "match", "node", "1") == 5
    assert line_of("tasks", "EWR.fit", "missing") == 4
    assert line_of("tasks", "a,b", "match") == 6
    assert line_of("dag") is None


def test_a_location_keeps_its_fields_when_its_line_is_looked_up(tmp_path: Path) -> None:
    (tmp_path / "x.yml").write_text("dag: {}\n")
    find_line = LineFinder(tmp_path)
    location = Location(file="x.yml", key=("dag",), task="a", more_tasks=2)
    assert find_line(location) == replace(location, line=1)
    assert find_line(replace(location, line=7)) == replace(location, line=7)
    assert find_line(Location(file="missing.yml", key=("dag",))) == Location(key=("dag",))
    assert find_line(Location(subject="--to")) == Location(subject="--to")


@pytest.mark.parametrize(
    "code",
    ["data-lost", "image-java", "name-dag", "rule-shadowed", "settings-dropped", "memory-unlimited", "env-registry"],
)
def test_the_json_is_as_its_schema_says(code: str, kedro: KedroServer, tmp_path: Path) -> None:
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not in this environment")
    schema = json.loads((ROOT / "kedro_k8s_airflow" / "output" / "check.schema.json").read_text(encoding="utf-8"))
    case = BY_CODE[code]
    folder = make_case_project(code, tmp_path / "project")
    _, document = check_document(kedro, folder, *make_scenario(code, **case.violating).options, env=case.environment)
    jsonschema.Draft202012Validator(schema).validate(document)
    assert code in {finding["code"] for finding in document["findings"]}


def test_it_works_without_docstrings(tmp_path: Path) -> None:
    folder = make_case_project("data-lost", tmp_path / "project")
    command = [sys.executable, "-m", "kedro", "k8s-airflow", "check", "--output", "found.txt"]
    env = clean_env(PYTHONOPTIMIZE="2")
    outcome = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert outcome.returncode == 1, outcome.stderr
    assert "error [data-lost] dataset 'b_out': " in (folder / "found.txt").read_text(encoding="utf-8")


def test_github_annotations_can_be_read_back(kedro: KedroServer, tmp_path: Path) -> None:
    """The runner reads properties up to the second pair of colons, and undoes escapes."""
    name = "100%: odd, really"
    nodes = default_pipeline(Node("raw", "b_out", func=f"named({name!r})"))
    folder = make_project(
        make_scenario("x", pipelines=nodes, catalog={**pickle_entries("raw"), **pickle_entries("b_out", folder="out")}),
        tmp_path / "p",
    )
    lines = [
        line
        for line in run_check_command(kedro, folder, "--format", "github").out.splitlines()
        if line.startswith("::")
    ]
    assert len(lines) == 2
    for line in lines:
        match = re.fullmatch(r"::(error|warning|notice) ([^:]*)::(.*)", line)
        assert match
        properties = dict(part.split("=", 1) for part in match[2].split(","))
        assert RULES[properties["title"]]
        assert name in unquote(match[3])
    assert any(unquote(line.partition("file=")[2]).startswith("conf/base/catalog.yml,line=") for line in lines)


def test_sarif_has_rules_and_locations(kedro: KedroServer, tmp_path: Path) -> None:
    """What GitHub's code scanning requires; for Microsoft's validator see docs/reference/checks.md."""
    folder = make_case_project("data-lost", tmp_path / "project")
    run_check_command(kedro, folder, "--format", "sarif", "--output", "found.sarif")
    report = json.loads((folder / "found.sarif").read_text())
    assert report["version"] == "2.1.0"
    (sarif_run,) = report["runs"]
    rules = sarif_run["tool"]["driver"]["rules"]
    for result in sarif_run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["message"]["text"]
        (location,) = result["locations"]
        physical = location["physicalLocation"]
        assert (folder / unquote(physical["artifactLocation"]["uri"])).is_file()
        assert physical["region"]["startLine"] >= 1
    assert [rule["defaultConfiguration"]["level"] for rule in rules if rule["id"] == "data-lost"] == ["error"]


@pytest.mark.parametrize(
    "refused", [case for case in REFUSED if isinstance(case.expect, Refused) and case.expect.code], ids=str
)
def test_check_reports_what_create_refuses(refused: Scenario, kedro: KedroServer, tmp_path: Path) -> None:
    assert isinstance(refused.expect, Refused)
    if refused.expect.code in ("file", "file-foreign") or refused.expect.exit == 2:
        return  # about files that `check` does not write, or the command line
    options = _shared_options(refused.options)
    code, findings = check(kedro, make_project(refused, tmp_path / "project"), *options)
    assert code in (1, 2)
    assert refused.expect.code in {finding["code"] for finding in findings}


def _shared_options(options: tuple[str, ...]) -> list[str]:
    """Return the options of a scenario without those that only `create` has."""
    kept, skip = [], False
    for option in options:
        skip_next = option in ("--output", "-o")
        if not skip and not skip_next and option not in ("--force", "--check", "--diff", "--quiet"):
            kept.append(option)
        skip = skip_next
    return kept
