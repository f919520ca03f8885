"""The command `check`: formats, places, selection, exit codes."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING
from urllib.parse import unquote

import pytest

from kedro_k8s_airflow.checks import RULES
from kedro_k8s_airflow.locations import Place, parsed
from tests.checks.cases import BY_CODE, scenario
from tests.checks.test_rules import check
from tests.scenarios import REFUSED, make_project
from tests.scenarios.factory import snapshot
from tests.scenarios.model import Node, Refused, Scenario, default, pickled

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.kedro_server import Forge, Outcome


def project(code: str, folder: Path) -> Path:
    return make_project(scenario(code, **BY_CODE[code].fires), folder)


def run(forge: Forge, cwd: Path, *options: str) -> Outcome:
    return forge.kedro("k8s-airflow", "check", *options, cwd=cwd)


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
def test_exit_codes(code: str, options: tuple[str, ...], exit_code: int, forge: Forge, tmp_path: Path) -> None:
    done = run(forge, project(code, tmp_path / "project"), *options)
    assert done.code == exit_code, done
    assert "Traceback" not in done.said


def test_it_writes_nothing(forge: Forge, tmp_path: Path) -> None:
    folder = project("image-java", tmp_path / "project")
    before = snapshot(folder)
    run(forge, folder)
    assert snapshot(folder) == before


def test_settings_leave_a_finding_out_of_check_and_create(forge: Forge, tmp_path: Path) -> None:
    different = dict(BY_CODE["graph-hidden-order"].fires)
    folder = make_project(
        scenario("x", **different, settings="checks: {ignore: [graph-hidden-order]}\n"), tmp_path / "project"
    )
    assert check(forge, folder) == (0, [])
    assert forge.kedro("k8s-airflow", "create", cwd=folder).code == 0


def test_the_text_counts_what_it_says(forge: Forge, tmp_path: Path) -> None:
    said = run(forge, project("data-lost", tmp_path / "project")).out.splitlines()
    assert [line for line in said if line.startswith("error [data-lost]")]
    assert said[-1] == "1 error"
    assert run(forge, make_project(scenario("none"), tmp_path / "none")).out.splitlines()[-1] == "no findings"


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
def test_a_finding_has_the_line_it_is_about(code: str, file: str, text: str, forge: Forge, tmp_path: Path) -> None:
    case = BY_CODE[code]
    folder = project(code, tmp_path / "project")
    options = scenario(code, **case.fires).options
    _, found = check(forge, folder, *options, env=case.environment)
    (finding,) = [one for one in found if one["code"] == code]
    assert finding["file"] == file
    assert (folder / file).read_text().splitlines()[finding["line"] - 1].lstrip().startswith(text)


@pytest.mark.parametrize(
    ("where", "place"),
    [
        ("conf/base/k8s_airflow.yml: tasks.gpu.match", Place("conf/base/k8s_airflow.yml", key="tasks.gpu.match")),
        ("requirements.txt, line 3", Place("requirements.txt", 3)),
        ("x.yml: tasks, task 'a b, c: d'", Place("x.yml", key="tasks", kind="task", name="a b, c: d")),
        ('dataset "it\'s"', Place(kind="dataset", name="it's")),
        ("node 'a\\nb' and 3 more", Place(kind="node", name="a\nb")),
        ("--params", Place()),
        ("catalog", Place()),
        ("group 'x'", Place(kind="group", name="x")),
    ],
)
def test_a_where_says_file_line_key_and_thing(where: str, place: Place) -> None:
    assert parsed(where) == place


def test_github_annotations_can_be_read_back(forge: Forge, tmp_path: Path) -> None:
    """As the runner does it: properties until the second pair of colons, escapes undone."""
    name = "100%: odd, really"
    nodes = default(Node("raw", "b_out", func=f"named({name!r})"))
    folder = make_project(
        scenario("x", pipelines=nodes, catalog={**pickled("raw"), **pickled("b_out", folder="out")}), tmp_path / "p"
    )
    lines = [line for line in run(forge, folder, "--format", "github").out.splitlines() if line.startswith("::")]
    assert len(lines) == 2
    for line in lines:
        match = re.fullmatch(r"::(error|warning|notice) ([^:]*)::(.*)", line)
        assert match
        properties = dict(part.split("=", 1) for part in match[2].split(","))
        assert RULES[properties["title"]]
        assert name in unquote(match[3])
    assert any(unquote(line.partition("file=")[2]).startswith("conf/base/catalog.yml,line=") for line in lines)


def test_sarif_names_rules_and_places(forge: Forge, tmp_path: Path) -> None:
    """What GitHub's code scanning asks for; the whole was read by Microsoft's validator, see docs/reference/checks.md."""
    folder = project("data-lost", tmp_path / "project")
    run(forge, folder, "--format", "sarif", "--output", "found.sarif")
    report = json.loads((folder / "found.sarif").read_text())
    assert report["version"] == "2.1.0"
    (ran,) = report["runs"]
    rules = ran["tool"]["driver"]["rules"]
    for result in ran["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["message"]["text"]
        (location,) = result["locations"]
        physical = location["physicalLocation"]
        assert (folder / unquote(physical["artifactLocation"]["uri"])).is_file()
        assert physical["region"]["startLine"] >= 1
    assert [rule["defaultConfiguration"]["level"] for rule in rules if rule["id"] == "data-lost"] == ["error"]


@pytest.mark.parametrize(
    "refused", [one for one in REFUSED if isinstance(one.expect, Refused) and one.expect.code], ids=str
)
def test_what_create_refuses_check_finds(refused: Scenario, forge: Forge, tmp_path: Path) -> None:
    assert isinstance(refused.expect, Refused)
    if refused.expect.code in ("file", "file-foreign") or refused.expect.exit == 2:
        return  # about files that `check` does not write, or the command line
    options = _shared(refused.options)
    code, found = check(forge, make_project(refused, tmp_path / "project"), *options)
    assert code in (1, 2)
    assert refused.expect.code in {finding["code"] for finding in found}


def _shared(options: tuple[str, ...]) -> list[str]:
    """The options of a scenario without those that only `create` has."""
    kept, skip = [], False
    for option in options:
        skip_next = option in ("--output", "-o")
        if not skip and not skip_next and option not in ("--force", "--check", "--diff", "--quiet"):
            kept.append(option)
        skip = skip_next
    return kept
