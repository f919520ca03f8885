"""Every rule reports the project of its case, and not one that differs as little as possible."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from kedro.io import AbstractDataset, DatasetError

from kedro_k8s_airflow.checks import RULES
from kedro_k8s_airflow.checks.data import find_refused_versions
from kedro_k8s_airflow.project.catalog import find_append_option
from tests.checks.cases import ALMOST, APART, BY_CODE, CASES, Case, make_scenario
from tests.scenarios import make_project
from tests.scenarios.model import SETTINGS, default_pipeline, make_chain, pickle_entries
from tests.support.check_runner import check, finding_text

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.kedro_server import KedroServer

# Tested in tests/image.
_ELSEWHERE = {"image-stale"}


def test_every_rule_has_a_case() -> None:
    rules = {rule.code for rule in RULES.values() if rule.check is not None}
    assert rules - _ELSEWHERE == set(BY_CODE)
    assert len(CASES) == len(BY_CODE)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_rule_fires_and_its_near_miss_does_not(case: Case, kedro: KedroServer, tmp_path: Path) -> None:
    fires, near = make_scenario(case.code, **case.violating), make_scenario(case.code, **case.near_miss)
    code, findings = check(kedro, make_project(fires, tmp_path / "fires"), *fires.options, env=case.environment)
    fired = [finding for finding in findings if finding["code"] == case.code]
    assert fired, findings
    assert {finding["severity"] for finding in fired} == {RULES[case.code].severity}
    assert case.names in finding_text(fired[0])
    assert code == int(any(finding["severity"] == "error" for finding in findings))

    _, findings = check(kedro, make_project(near, tmp_path / "near"), *near.options, env=case.environment)
    assert case.code not in {finding["code"] for finding in findings}


@pytest.mark.parametrize("name", ALMOST)
def test_a_similar_project_has_no_such_finding(name: str, kedro: KedroServer, tmp_path: Path) -> None:
    code, different = ALMOST[name]
    similar = make_scenario(code, **different)
    project = make_project(similar, tmp_path / "project")
    for path in different.get("without", ()):
        (project / path).unlink()
    _, findings = check(kedro, project, *similar.options, env={f"MODE_{index}": "x" for index in range(9)})
    assert code not in {finding["code"] for finding in findings}


def test_a_password_in_an_address_is_not_printed(kedro: KedroServer, tmp_path: Path) -> None:
    address = "sftp://bob:CANARY0a1b@host/f.csv"
    entry = {"type": "pickle.PickleDataset", "filepath": address}
    catalog = {**pickle_entries("raw"), "a_out": entry, "b_out": entry}
    project = make_project(
        make_scenario("x", pipelines=default_pipeline(*APART), catalog=catalog), tmp_path / "project"
    )
    code, findings = check(kedro, project)
    assert (code, "data-same-file" in {finding["code"] for finding in findings}) == (1, True)
    for form in ("text", "github", "sarif"):
        assert "CANARY" not in kedro.run_command("k8s-airflow", "check", "--format", form, cwd=project).output
    assert "CANARY" not in json.dumps(findings)


def test_many_tables_of_one_database_are_checked_quickly(kedro: KedroServer, tmp_path: Path) -> None:
    """In a chain of 1,500 nodes each waits for the one before; there are a million pairs."""
    names = [f"n{index:04}" for index in range(1500)]
    tables = {
        f"{name}_out": {"type": "pandas.SQLTableDataset", "table_name": name, "con": "sqlite:///data/x.db"}
        for name in names
    }
    project = make_project(
        make_scenario(
            "x", pipelines=default_pipeline(*make_chain(*names)), catalog={**pickle_entries("raw"), **tables}
        ),
        tmp_path / "project",
    )
    _, findings = check(kedro, project)
    assert "data-database" not in {finding["code"] for finding in findings}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("requirements.txt", "kedro\n# über\n".encode("latin-1")),
        ("requirements.txt", "kedro\n".encode("utf-16")),
        ("uv.lock", b"<<<<<<< ours\nversion = 1\n"),
        ("uv.lock", b"version = 1\n[[package]]\n"),
        (".dockerignore", b"[a-\n"),
        ("Dockerfile", b"\xff\xfe\n"),
    ],
)
def test_an_invalid_file_of_the_project_gives_no_traceback(
    name: str, content: bytes, kedro: KedroServer, tmp_path: Path
) -> None:
    project = make_project(make_scenario("x", whole=SETTINGS), tmp_path / "project")
    (project / name).write_bytes(content)
    code, _ = check(kedro, project)  # asserts that there is no traceback
    assert code in (0, 1)
    assert "Traceback" not in kedro.run_command("k8s-airflow", "create", cwd=project).err


def test_a_project_without_a_plan_always_has_a_finding(kedro: KedroServer, tmp_path: Path) -> None:
    """Whatever is selected, because nothing else was checked."""
    project = make_project(make_scenario("x", settings="nonsense: 1\n"), tmp_path / "project")
    for options in (("--select", "graph"), ("--ignore", "settings")):
        code, findings = check(kedro, project, *options)
        assert (code, [finding["code"] for finding in findings]) == (1, ["settings-unknown"])


def test_one_refusal_does_not_hide_the_rest(kedro: KedroServer, tmp_path: Path) -> None:
    different = dict(BY_CODE["data-lost"].violating)
    unmatched = "tasks: {x: {match: {node: nobody}, retries: 1}}\n"
    project = make_project(make_scenario("x", **different, settings=unmatched), tmp_path / "project")
    _, findings = check(kedro, project)
    assert {"rule-unmatched", "data-lost"} <= {finding["code"] for finding in findings}


@pytest.mark.parametrize(
    ("code", "different", "phrase"),
    [
        (
            "volume-mount",
            {
                "settings": "tasks: {all: {volumes: [{name: v, emptyDir: {}}], "
                "volumeMounts: [{name: v, mountPath: /app/src}]}}\n"
            },
            "hides the project's own files",
        ),
        ("settings-value", {"settings": "project_path: /tmp\n"}, "choose another"),
        (
            "image-dataset",
            {
                "whole": SETTINGS,
                "files": {"requirements.txt": "kedro\nkedro-datasets\n"},
                "catalog": {
                    **pickle_entries("a_out", "b_out"),
                    "raw": {"type": "spark.SparkDataset", "filepath": "data/x"},
                },
            },
            "pyspark",
        ),
        ("secret-parameters", {"parameters": {"db": {"password": "hunter2hunter2"}}}, "db.password"),
    ],
)
def test_faults_that_testers_found_are_reported(
    code: str, different: dict[str, Any], phrase: str, kedro: KedroServer, tmp_path: Path
) -> None:
    _, findings = check(kedro, make_project(make_scenario(code, **different), tmp_path / "project"))
    reported = [finding for finding in findings if finding["code"] == code]
    assert reported, findings
    assert phrase in reported[0]["message"]


def test_a_password_in_an_exception_of_the_project_is_not_printed(kedro: KedroServer, tmp_path: Path) -> None:
    raises = "raise RuntimeError('cannot connect to postgres://u:CANARY0a1b@h/db')\n"
    project = make_project(make_scenario("x", registry=raises), tmp_path / "project")
    code, findings = check(kedro, project)
    assert (code, [finding["code"] for finding in findings]) == (2, ["registry"])
    assert "CANARY" not in json.dumps(findings)
    assert "cannot connect to postgres://***@h/db" in findings[0]["message"]


def test_a_registry_that_sets_up_its_stdout_is_loaded(kedro: KedroServer, tmp_path: Path) -> None:
    registry = (
        "import subprocess\nimport sys\n"
        "sys.stdout.reconfigure(line_buffering=True)\nsys.stdout.buffer.write(b'')\n"
        "subprocess.run(['true'], stdout=sys.stdout, check=True)\n"
        "from kedro.pipeline import Node, Pipeline\n\n\ndef register_pipelines():\n"
        "    return {'__default__': Pipeline([Node(lambda x: x, 'raw', 'a_out', name='a')])}\n"
    )
    assert check(kedro, make_project(make_scenario("x", registry=registry), tmp_path / "project"))[0] == 0


def test_annotations_have_paths_relative_to_the_repository(kedro: KedroServer, tmp_path: Path) -> None:
    """The project is a folder of the repository."""
    (tmp_path / "repository" / ".git").mkdir(parents=True)
    project = make_project(make_scenario("x", **BY_CODE["data-lost"].violating), tmp_path / "repository" / "sub")
    annotations = kedro.run_command("k8s-airflow", "check", "--format", "github", cwd=project).out
    assert "file=sub/conf/base/catalog.yml,line=" in annotations


def test_control_characters_of_names_do_not_reach_a_terminal(kedro: KedroServer, tmp_path: Path) -> None:
    project = make_project(make_scenario("x", settings='"a\\e[31mb": 1\n'), tmp_path / "project")
    assert "\x1b" not in kedro.run_command("k8s-airflow", "check", cwd=project).output


def test_invalid_parameters_are_a_usage_error(kedro: KedroServer, tmp_path: Path) -> None:
    project = make_project(make_scenario("x"), tmp_path / "project")
    outcome = kedro.run_command("k8s-airflow", "check", "--params", "a={1", cwd=project)
    assert (outcome.code, "Traceback" in outcome.err) == (2, False)


def test_an_output_that_cannot_be_written_is_a_usage_error(kedro: KedroServer, tmp_path: Path) -> None:
    project = make_project(make_scenario("x"), tmp_path / "project")
    (project / "file").write_text("")
    outcome = kedro.run_command("k8s-airflow", "check", "--output", "file/x.json", cwd=project)
    assert outcome.code == 2
    assert "Traceback" not in outcome.err


def test_a_project_of_two_nodes_in_a_line_has_no_finding(kedro: KedroServer, tmp_path: Path) -> None:
    assert check(kedro, make_project(make_scenario("none"), tmp_path / "project")) == (0, [])


@pytest.mark.parametrize("case", [case for case in CASES if RULES[case.code].severity == "error"], ids=str)
def test_create_writes_nothing_where_check_finds_an_error(case: Case, kedro: KedroServer, tmp_path: Path) -> None:
    project = make_project(make_scenario(case.code, **case.violating), tmp_path / "project")
    outcome = kedro.run_command("k8s-airflow", "create", cwd=project)
    assert outcome.code == 1
    assert f"[{case.code}]" in outcome.err
    assert not (project / "dags").exists()


@pytest.mark.parametrize(
    ("entry", "option"),
    [
        ({"type": "pandas.SQLTableDataset", "save_args": {"if_exists": "append"}}, "save_args.if_exists: append"),
        (
            {"type": "text.TextDataset", "fs_args": {"open_args_save": {"mode": "ab"}}},
            "fs_args.open_args_save.mode: ab",
        ),
        ({"type": "spark.SparkDataset", "save_args": {"mode": "append"}}, "save_args.mode: append"),
        ({"type": "databricks.ManagedTableDataset", "write_mode": "append"}, "write_mode: append"),
        (
            {"type": "CachedDataset", "dataset": {"type": "x.Y", "save_args": {"append": True}}},
            "dataset.save_args.append: true",
        ),
        ({"type": "partitions.IncrementalDataset", "dataset": {"type": "x.Y", "save_args": {"mode": "a"}}}, None),
        ({"type": "pandas.CSVDataset", "load_args": {"mode": "a"}, "save_args": {"mode": "w", "sep": "a"}}, None),
        ({"type": "pandas.HDFDataset", "key": "a", "save_args": {"mode": "a"}}, None),
        ({"type": "pandas.SQLTableDataset", "save_args": {"if_exists": "replace"}}, None),
    ],
)
def test_options_that_append_are_recognised(entry: dict[str, Any], option: str | None) -> None:
    assert find_append_option(entry) == option


_READ_ONLY = "data: {volumes: {data: {claim: c, mount: data, readOnly: true}, state: {claim: s, mount: state}}}\n"


@pytest.mark.parametrize(
    ("settings", "more", "place"),
    [
        (_READ_ONLY, {}, "volume 'data'"),
        (_READ_ONLY, {"checkpoint": {"filepath": "state/CHECKPOINT"}}, None),
        (_READ_ONLY, {"path": "s3://bucket/raw", "checkpoint": {"filepath": "elsewhere/CHECKPOINT"}}, "no volume"),
        ("data: {in_image: [data]}\n", {}, "no volume"),
    ],
)
def test_a_confirmation_where_pods_cannot_write_is_reported(
    kedro: KedroServer, tmp_path: Path, settings: str, more: dict[str, Any], place: str | None
) -> None:
    registry = """
from kedro.pipeline import Node, Pipeline


def work(given):
    return given


def register_pipelines():
    return {"__default__": Pipeline([Node(work, "raw", "done", name="a", confirms="raw")])}
"""
    catalog = {
        "raw": {"type": "partitions.IncrementalDataset", "path": "data/raw", "dataset": "pandas.CSVDataset", **more},
        **pickle_entries("done", folder="s3://bucket"),
    }
    whole = f"image: registry.example.com/team/project:1.0\n{settings}"
    project = make_project(make_scenario("x", registry=registry, catalog=catalog, whole=whole), tmp_path / "project")
    code, findings = check(kedro, project)
    texts = [finding_text(finding) for finding in findings if finding["code"] == "data-read-only"]
    assert (code, len(texts)) == (int(place is not None), int(place is not None))
    assert all("'raw'" in text and (place or "") in text for text in texts)


@pytest.mark.parametrize(
    "entry",
    [
        {"type": "partitions.PartitionedDataset", "path": "data/p", "dataset": "pandas.CSVDataset"},
        {"type": "kedro_datasets.pandas.SQLTableDataset", "table_name": "t", "con": "sqlite:///data/x.db"},
        {"type": "pandas.CSVDataset", "filepath": "https://host/x.csv"},
    ],
)
def test_entries_that_kedro_cannot_version_are_reported(entry: dict[str, Any]) -> None:
    with pytest.raises(DatasetError):
        AbstractDataset.from_config("raw", {**entry, "versioned": True})
    context = SimpleNamespace(entries={"raw": {**entry, "versioned": True}, "other": entry})
    assert [location.dataset for location, _, _ in find_refused_versions(context)] == ["raw"]  # type: ignore[arg-type]
