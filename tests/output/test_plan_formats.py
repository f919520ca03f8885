"""`plan`: what it tells of a project, in each of its forms."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from kedro_k8s_airflow.dag import mermaid
from kedro_k8s_airflow.output import plan_formats
from kedro_k8s_airflow.plan.model import Crossing, MemoryStore, Plan
from kedro_k8s_airflow.plan.reach import PLAIN_MEMORY_REACH, PodPaths, Reach, reach_of_entry
from kedro_k8s_airflow.plan.statistics import compute_plan_statistics
from kedro_k8s_airflow.quantities import sum_quantities
from tests.scenarios import BY_NAME, WORKING, make_project
from tests.scenarios.model import IMAGE
from tests.support.kedro_server import clean_env
from tests.support.paths import ROOT
from tests.support.plan_factory import make_chain, make_plan, make_regions

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.scenarios import Scenario
    from tests.support.kedro_server import KedroServer

SCHEMA = json.loads((ROOT / "kedro_k8s_airflow" / "output" / "plan.schema.json").read_text())


def format_plan(plan: Plan, form: str) -> str:
    return plan_formats.format_plans([plan], form)


# --- facts


def test_a_step_comes_after_the_last_of_what_its_tasks_wait_for() -> None:
    known = compute_plan_statistics(make_plan({"a": (), "b": ("a",), "c": (), "d": ("a", "b"), "e": ("c",)}))
    assert [[task.id for task in step] for step in known.steps] == [["a", "c"], ["b", "e"], ["d"]]
    assert known.step_of["d"] == 3
    assert known.widest_step == 1


def test_the_critical_path_is_the_longest_chain_and_the_first_of_several() -> None:
    assert compute_plan_statistics(make_plan({"a": (), "b": ("a",), "c": (), "d": ("b", "c")})).critical_path == (
        "a",
        "b",
        "d",
    )
    assert compute_plan_statistics(make_plan({"a": (), "b": (), "c": ("a", "b"), "d": ("b",)})).critical_path == (
        "a",
        "c",
    )


def test_a_chain_of_20000_tasks_is_read_and_shown() -> None:
    plan = make_chain(20_000)
    known = compute_plan_statistics(plan)
    assert len(known.steps) == len(known.critical_path) == 20_000
    for form in ("table", "tree"):
        assert format_plan(plan, form).count("\n") < 100
    assert len(mermaid.draw_plans([plan])) < mermaid.MAX_CHARACTERS


def test_peak_request_is_that_of_the_largest_step() -> None:
    big = {"resources": {"requests": {"memory": "8Gi"}, "limits": {"memory": "8Gi", "nvidia.com/gpu": 1}}}
    plan = make_plan({"a": (), "b": (), "c": (), "d": ("a",)}, settings={"d": big})
    assert compute_plan_statistics(plan).peak_requests == {"cpu": "1500m", "memory": "8Gi", "nvidia.com/gpu": "1"}


def test_plan_without_requests_has_no_peak_request() -> None:
    assert compute_plan_statistics(make_plan({"a": ()}, settings={"a": {}})).peak_requests == {}


PLACES = PodPaths("/app", ("/app/data", "/app/data/deep"))


@pytest.mark.parametrize(
    ("reach", "place"),
    [
        (PLACES.local_reach("data/x.csv"), ("volume", "data", "/app/data/x.csv", None)),
        (PLACES.local_reach("data/deep/x.csv"), ("volume", "deep", "/app/data/deep/x.csv", None)),
        (reach_of_entry({"type": "x.Y", "filepath": "s3://bucket/x"}, PLACES), ("object-store", None, None, "s3")),
        (reach_of_entry({"type": "x.Y", "filepath": "https://example.com/x"}, PLACES), ("server", None, None, "https")),
        (
            reach_of_entry({"type": "pandas.SQLTableDataset", "con": "postgresql+psycopg://me:pw@db/x"}, PLACES),
            ("server", None, None, "postgresql"),
        ),
        (reach_of_entry({"type": "snowflake.SnowparkTableDataset"}, PLACES), ("server", None, None, "snowflake")),
        (
            reach_of_entry({"type": "ibis.TableDataset", "connection": {"backend": "bigquery"}}, PLACES),
            ("server", None, None, "bigquery"),
        ),
        (
            reach_of_entry({"type": "CachedDataset", "dataset": {"type": "x.Y", "filepath": "gs://bucket/x"}}, PLACES),
            ("object-store", None, None, "gs"),
        ),
        (Reach("shared"), ("declared", None, None, None)),
        (Reach("unknown"), ("unknown", None, None, None)),
        (PLAIN_MEMORY_REACH, ("store", "data", "/app/data/store", None)),
    ],
)
def test_passed_dataset_is_shown_with_its_storage(reach: Reach, place: tuple[str | None, ...]) -> None:
    crossing = Crossing("x", reach, "a", ("b",))
    plan = make_plan({"a": (), "b": ("a",)}, crossings=(crossing,), store=MemoryStore("/app/data/store", 60))
    found = compute_plan_statistics(plan).storage["x"]
    assert (found.kind, found.volume, found.path, found.protocol) == place


def test_remote_store_is_shown_by_its_protocol() -> None:
    plan = make_plan(
        {"a": (), "b": ("a",)},
        crossings=(Crossing("x", PLAIN_MEMORY_REACH, "a", ("b",)),),
        store=MemoryStore("s3://bucket/x", 60),
    )
    found = compute_plan_statistics(plan).storage["x"]
    assert (found.kind, found.volume, found.protocol) == ("store", None, "s3")


# --- for people


@pytest.mark.parametrize("form", ["table", "tree"])
def test_a_small_plan_is_shown_task_by_task(form: str) -> None:
    plan = make_plan({"load": (), "a.fit": ("load",), "b.fit": ("load",), "[bold]x[/bold]": ("a.fit", "b.fit")})
    text = format_plan(plan, form)
    lines = text.splitlines()
    for task in plan.tasks:
        assert [line for line in lines if task.id in line]
    assert [line for line in lines if "critical path" in line and "load > a.fit > [bold]x[/bold]" in line]


@pytest.mark.parametrize("form", ["table", "tree"])
@pytest.mark.parametrize(
    "plan",
    [
        pytest.param(lambda: make_regions(100, 10), id="namespaces"),
        pytest.param(lambda: make_regions(3, 400), id="few namespaces"),
        pytest.param(lambda: make_chain(1000), id="chain"),
        pytest.param(lambda: make_plan({f"n{index}": () for index in range(1000)}), id="independent"),
    ],
)
def test_a_plan_of_a_thousand_tasks_stays_readable(form: str, plan: Callable[[], Plan]) -> None:
    lines = format_plan(plan(), form).splitlines()
    assert 5 < len(lines) < 100
    assert max(map(len, lines)) < 250


def test_the_rows_of_a_large_table_hold_every_task_once() -> None:
    plan = make_regions(60, 3)
    rows = [
        line.split()
        for line in format_plan(plan, "table").splitlines()
        if line.startswith(("namespace", "outside", "21 "))
    ]
    tasks = [int(next(word for word in row[2:] if word.isdigit())) for row in rows]
    assert sum(tasks) == len(plan.tasks)


def test_tree_collapses_similar_namespaces() -> None:
    lines = format_plan(make_regions(20, 4), "tree").splitlines()
    assert len([line for line in lines if "n3" in line and "after" in line]) == 1


def test_table_shows_images_only_where_they_differ() -> None:
    plan = make_plan({"a": (), "b": ("a",)}, base_image="registry.example.com/other:1")
    assert IMAGE in format_plan(plan, "table")
    assert IMAGE not in format_plan(make_plan({"a": (), "b": ("a",)}), "table")


# --- for programs


@pytest.mark.parametrize("scenario", WORKING, ids=str)
def test_json_plan_of_every_project_matches_the_schema(scenario: Scenario, create_scenario: Callable[..., Any]) -> None:
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not in this environment")
    report = create_scenario(scenario)
    jsonschema.Draft202012Validator(SCHEMA).validate(report["document"])
    for dag in report["document"]["dags"]:
        plan = report["plans"][dag["dag_id"]]
        assert [(task["id"], task["nodes"], task["upstream"]) for task in dag["tasks"]] == [
            (task["id"], list(task["nodes"]), list(task["after"])) for task in plan["tasks"]
        ]
        assert {passed["dataset"] for passed in dag["passed_datasets"]} == set(plan["crossings"])
    if scenario.canary:
        assert scenario.canary not in json.dumps([report["document"], report["picture"]])


def test_json_plan_of_the_demo_matches_the_schema(create_demo: Callable[[], dict[str, Any]]) -> None:
    pytest.importorskip("kedro_datasets", reason="the demo needs kedro-datasets, which this environment lacks")
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not in this environment")
    document = create_demo()["document"]
    jsonschema.Draft202012Validator(SCHEMA).validate(document)
    flights = next(dag for dag in document["dags"] if dag["dag_id"] == "flights")
    assert flights["pods"] == len(flights["tasks"])
    assert {passed["storage"]["volume"] for passed in flights["passed_datasets"]} == {"data"}
    assert len(flights["critical_path"]) == flights["steps"]


def test_no_format_prints_environment_or_annotation_values(kedro: KedroServer, tmp_path: Path) -> None:
    scenario = BY_NAME["plain"]
    project = make_project(scenario, tmp_path / "project")
    settings = project / "conf" / "base" / "k8s_airflow.yml"
    json_result = "tasks: {x: {env: [{name: COLOUR, value: hidden-one}], annotations: {note: hidden-two}}}\n"
    settings.write_text(settings.read_text() + json_result)
    for form in ("table", "tree", "json", "mermaid"):
        result = kedro.run_command("k8s-airflow", "plan", "--format", form, cwd=project)
        assert result.code == 0, result.err
        assert "hidden" not in result.output
        if form == "json":
            assert "COLOUR" in result.out


# --- the command


def read_project(project: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(project)): path.read_bytes()
        for path in project.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


@pytest.mark.parametrize("form", ["table", "tree", "json", "mermaid"])
def test_plan_writes_the_file_it_is_asked_for_and_nothing_else(form: str, kedro: KedroServer, tmp_path: Path) -> None:
    project = make_project(BY_NAME["nested-namespaces"], tmp_path / "project")
    before = read_project(project)
    printed = kedro.run_command("k8s-airflow", "plan", "--format", form, cwd=project)
    assert printed.code == 0, printed.err
    assert read_project(project) == before

    file = tmp_path / "made" / "plan.txt"
    for _ in range(2):
        result = kedro.run_command("k8s-airflow", "plan", "--format", form, "--output", str(file), cwd=project)
        assert result.code == 0, result.err
        assert file.read_text() == printed.out
    assert read_project(project) == before


def test_plan_shows_what_create_writes(kedro: KedroServer, tmp_path: Path) -> None:
    """Options included: DAGs are chosen, pipelines narrowed and environments read as `create` does."""
    scenario = BY_NAME["pipeline-name"]
    project = make_project(scenario, tmp_path / "project")
    planned_ = kedro.run_command("k8s-airflow", "plan", "--format", "json", *scenario.options, cwd=project)
    created = kedro.run_command("k8s-airflow", "create", *scenario.options, cwd=project)
    assert (planned_.code, created.code) == (0, 0)
    dags = json.loads(planned_.out)["dags"]
    assert {f"{dag['dag_id']}.py" for dag in dags} == {path.name for path in (project / "dags").iterdir()}

    one = kedro.run_command("k8s-airflow", "plan", "--format", "json", "-p", "__default__", cwd=project)
    assert [dag["pipeline"] for dag in json.loads(one.out)["dags"]] == ["__default__"]


@pytest.mark.parametrize("name", ["registry-raises", "images-forced", "pod-between-refused"])
def test_plan_and_create_refuse_with_the_same_message(name: str, kedro: KedroServer, tmp_path: Path) -> None:
    project = make_project(BY_NAME[name], tmp_path / "project")
    outcomes = [
        kedro.run_command("k8s-airflow", command, *BY_NAME[name].options, cwd=project) for command in ("create", "plan")
    ]
    assert [result.code for result in outcomes] == [1, 1]
    assert outcomes[0].err == outcomes[1].err
    assert outcomes[1].out == ""


def test_plan_with_errors_can_still_be_shown(kedro: KedroServer, tmp_path: Path) -> None:
    """To see why: here a report that would be lost with its pod."""
    project = make_project(BY_NAME["pod-report"], tmp_path / "project")
    refused = kedro.run_command("k8s-airflow", "create", cwd=project)
    result = kedro.run_command("k8s-airflow", "plan", "--quiet", "--format", "json", cwd=project)
    assert (refused.code, result.code) == (1, 1)
    assert result.err == refused.err
    assert json.loads(result.out)["dags"]


def test_a_lock_that_is_not_there_and_options_that_exclude_each_other_are_refused(
    kedro: KedroServer, tmp_path: Path
) -> None:
    project = make_project(BY_NAME["plain"], tmp_path / "project")
    lock = kedro.run_command("k8s-airflow", "plan", "--lock", "ci.lock", cwd=project)
    assert (lock.code, "image-lock" in lock.err) == (1, True)
    assert kedro.run_command("k8s-airflow", "plan", "--all", "-p", "x", cwd=project).code == 2
    assert kedro.run_command("k8s-airflow", "plan", "--format", "svg", cwd=project).code == 2


def test_findings_go_to_stderr_and_quiet_leaves_them_out(kedro: KedroServer, tmp_path: Path) -> None:
    project = make_project(BY_NAME["pod-between"], tmp_path / "project")
    json_result = kedro.run_command("k8s-airflow", "plan", "--format", "json", cwd=project)
    assert "[data-fused]" in json_result.err
    quiet = kedro.run_command("k8s-airflow", "plan", "--format", "json", "--quiet", cwd=project)
    assert (quiet.out, quiet.err) == (json_result.out, "")


def test_json_is_complete_in_an_ascii_terminal(kedro: KedroServer, tmp_path: Path) -> None:
    project = make_project(BY_NAME["emoji"], tmp_path / "project")
    command = [sys.executable, "-m", "kedro", "k8s-airflow", "plan", "--format", "json"]
    env = clean_env(PYTHONIOENCODING="ascii", PYTHONUTF8="0", LC_ALL="C")
    result = subprocess.run(command, cwd=project, env=env, capture_output=True, text=True, check=False)
    json_result = kedro.run_command("k8s-airflow", "plan", "--format", "json", cwd=project)
    assert result.returncode == 0, result.stderr
    (dag,) = json.loads(result.stdout[result.stdout.index('{\n  "schema"') :])["dags"]
    assert any("🚀" in node for task in dag["tasks"] for node in task["nodes"])
    assert [dag] == json.loads(json_result.out)["dags"]


def test_a_file_that_cannot_be_written_is_refused_by_name(kedro: KedroServer, tmp_path: Path) -> None:
    project = make_project(BY_NAME["plain"], tmp_path / "project")
    (tmp_path / "file").write_text("")
    result = kedro.run_command("k8s-airflow", "plan", "--output", str(tmp_path / "file" / "plan.txt"), cwd=project)
    assert result.code == 1
    assert "[file]" in result.err
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("quantities", "sum_"),
    [
        ((), "0"),
        (("500m", "500m"), "1"),
        (("250m", 1), "1250m"),
        (("1Gi", "512Mi"), "1536Mi"),
        (("1G", "500M"), "1500M"),
        (("1Gi", "1"), "1073741825"),
        (("100u",), "1m"),
        ((2, "1"), "3"),
    ],
)
def test_quantities_are_added_up_exactly(quantities: tuple[str | int, ...], sum_: str) -> None:
    assert sum_quantities(quantities) == sum_
