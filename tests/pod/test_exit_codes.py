"""How a pod ends, and what its last line says."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from kedro_k8s_airflow.pod import VERSION
from tests.support.pod_project.project import CANARY

if TYPE_CHECKING:
    from tests.pod.conftest import PodLauncher

LOUD = ("--memory=loud",)


def test_finished_group_exits_with_0_and_saves_data(any_pods: PodLauncher) -> None:
    ended = any_pods.run_successfully("plain", "hello", "shout", "give_at_last", options=LOUD)
    assert any_pods.read_data("last.txt") == "HELLO"
    assert not ended.err
    assert "done: 3 nodes" in ended.out.splitlines()[-1]


def test_a_node_that_raises_ends_with_1_its_traceback_and_its_name(any_pods: PodLauncher) -> None:
    any_pods.write_data("word.txt", "hello")
    ended = any_pods.run("plain", "shout", "give_at_last", "fail", options=LOUD)
    assert ended.code == 1
    assert "Traceback" in ended.err
    assert 'raise ValueError("no such luck")' in ended.err
    assert "node 3 of 3 'fail': ValueError: no such luck" in ended.last_error_line
    assert "done:" not in ended.out


@pytest.mark.parametrize("runner", ["SequentialRunner", "ThreadRunner", "ParallelRunner"])
@pytest.mark.parametrize(
    ("node", "error"),
    [
        pytest.param("load_absent", "DatasetError: absent", id="a dataset that cannot be loaded"),
        pytest.param("leave", "SystemExit: 0", id="sys.exit(0)"),
        pytest.param("fail", "ValueError: no such luck", id="an error"),
    ],
)
def test_any_node_failure_exits_with_1_and_names_the_node(
    pods: PodLauncher, node: str, error: str, runner: str
) -> None:
    pods.write_data("last.txt", "")
    ended = pods.run("plain", node, options=(f"--runner={runner}",))
    assert ended.code == 1
    assert "Traceback" in ended.err
    assert error in ended.last_error_line
    assert "done:" not in ended.out
    if runner != "ParallelRunner":
        assert f"node 1 of 1 '{node}': {error}" in ended.last_error_line
    elif node == "fail":
        assert f"node 1 of 1 '{node}' failed: {error}" in ended.err
    assert not pods.started[-1].leftover_processes()


@pytest.mark.parametrize("first", ["--contract=1", "--contract=3", "--unheard-of=5"])
def test_another_contract_is_refused_before_its_arguments_are_read(pods: PodLauncher, first: str) -> None:
    command = [str(pods.python), str(pods.pod), first, "--an-option=that-this-contract-does-not-have"]
    ended = pods.start_command(command, {}).wait_for_end()
    assert ended.code == 2
    assert "contract" in ended.refusal
    assert {first.rpartition("=")[2] if "contract" in first else "None", "2"} <= {*re.findall(r"\w+", ended.refusal)}


@pytest.mark.parametrize(
    ("pipeline", "node", "mentions"),
    [
        ("nowhere", "hello", "'nowhere'"),
        ("plain", "nobody", "'nobody'"),
    ],
)
def test_a_pipeline_or_node_that_is_not_there_ends_with_2(
    any_pods: PodLauncher, pipeline: str, node: str, mentions: str
) -> None:
    ended = any_pods.run(pipeline, node)
    assert ended.code == 2
    assert mentions in ended.refusal


@pytest.mark.parametrize(
    ("variable", "value", "mentions"),
    [
        pytest.param("KEDRO_K8S_AIRFLOW_PARAMS", "{not JSON", "not JSON", id="parameters that are not JSON"),
        pytest.param("KEDRO_K8S_AIRFLOW_PARAMS", "[1, 2]", "object", id="parameters that are a list"),
        pytest.param("KEDRO_K8S_AIRFLOW_PARAMS", '{"a": 1, "a.b": 2}', "'a.b'", id="parameters that contradict"),
        pytest.param(
            "KEDRO_K8S_AIRFLOW_PARAMS",
            json.dumps({"short": "x", "the.long.one": "y" * 100_000}),
            "'the.long.one'",
            id="parameters over 100 KB",
        ),
        pytest.param("KEDRO_K8S_AIRFLOW_RUN", None, "does not identify the DAG run", id="no run"),
        pytest.param("KEDRO_K8S_AIRFLOW_RUN", "{}", "does not identify the DAG run", id="an empty run"),
        pytest.param(
            "KEDRO_K8S_AIRFLOW_RUN",
            '{"dag_id": "d", "run_id": "r", "try_number": 1, "run_after": "noon"}',
            "does not identify the DAG run",
            id="a run without a time",
        ),
    ],
)
def test_variables_that_cannot_be_read_end_with_2(
    pods: PodLauncher, variable: str, value: str | None, mentions: str
) -> None:
    ended = pods.run("plain", "hello", env={variable: value})
    assert ended.code == 2
    assert variable in ended.refusal or "parameters" in ended.refusal
    assert mentions in ended.refusal


def test_a_project_that_cannot_be_imported_ends_with_2(any_pods: PodLauncher) -> None:
    with (any_pods.project / "src" / "project" / "nodes.py").open("a", encoding="utf-8") as file:
        file.write("\nimport a_module_that_nobody_has\n")
    ended = any_pods.run("plain", "hello")
    assert ended.code == 2
    assert "nodes.py" in ended.err
    assert "a_module_that_nobody_has" in ended.last_error_line


@pytest.mark.parametrize(
    ("pipeline", "node", "options", "named"),
    [
        pytest.param("plain", "shout", (), "loud", id="memory where a file was planned"),
        pytest.param("plain", "hello", ("--memory=word",), "word", id="a file where memory was planned"),
        pytest.param("versions", "read", (), "kept", id="versioned where it was not planned"),
        pytest.param("plain", "hello", ("--version-of=word",), "word", id="not versioned where it is saved"),
        pytest.param("plain", "shout", (*LOUD, "--version-of=word"), "word", id="not versioned where it was planned"),
        pytest.param("versions", "read", ("--version-of=kept",), "kept", id="a version that nobody wrote"),
        pytest.param(
            "versions", "read_coded", ("--version-of=coded@two",), "coded@two", id="a transcoded version nobody wrote"
        ),
    ],
)
def test_a_catalog_other_than_planned_ends_with_2_and_the_dataset(
    pods: PodLauncher, pipeline: str, node: str, options: tuple[str, ...], named: str
) -> None:
    pods.write_data("word.txt", "hello")
    pods.write_data("kept.txt/2020-01-01T00.00.00.000Z/kept.txt", "of another run")
    ended = pods.run(pipeline, node, options=options)
    assert ended.code == 2
    assert f"dataset {named!r}" in ended.refusal
    assert not (pods.project / "data" / "seen.txt").exists()


@pytest.mark.parametrize(("when", "code"), [("before_pipeline_run", 2), ("after_pipeline_run", 1)])
def test_failing_hook_is_reported(pods: PodLauncher, when: str, code: int) -> None:
    ended = pods.run("plain", "hello", env={"HOOK_FAILS": when})
    assert ended.code == code
    assert "RuntimeError: a hook of the project failed" in ended.last_error_line


def test_nothing_of_credentials_is_printed_even_where_their_dataset_fails(any_pods: PodLauncher) -> None:
    failed = any_pods.run("plain", "load_locked")
    assert failed.code == 1
    assert "locked" in failed.last_error_line
    any_pods.write_data("locked.txt", "data")
    result = any_pods.run_successfully("plain", "load_locked")
    refused = any_pods.run("plain", "load_locked", options=("--memory=locked",))
    assert refused.code == 2
    assert not [one for one in (failed, result, refused) if CANARY in one.output]


def test_output_is_plain_and_unbuffered(any_pods: PodLauncher) -> None:
    started = any_pods.start("plain", "hello", "shout", "talk", options=LOUD)
    long = started.read_until("xxx")
    assert long == "x" * 300 + "\n"
    any_pods.write_data("answer", "")
    ended = started.wait_for_end()
    assert ended.code == 0
    assert any_pods.read_data("said.txt") == "answered"
    assert not ended.err
    assert "\x1b" not in ended.out
    assert "node is at work\n" in ended.out
    for index, name in enumerate(("hello", "talk", "shout"), 1):
        assert re.search(rf"node \d of 3 '{name}' started\n", ended.out), index
        assert re.search(rf"node \d of 3 '{name}' finished in \d+\.\d s, peak memory \d+ MiB", ended.out)
    assert re.search(r"done: 3 nodes in \d+\.\d s, peak memory \d+ MiB", ended.out.splitlines()[-1])
    # Kedro's own lines: one line for each record, though some are longer than a terminal.
    assert re.search(r"INFO kedro\.\S+: Loading data from (\x1b\[[0-9;]*m)?word", ended.out)
    assert not (any_pods.project / "info.log").exists()


def test_the_first_line_names_package_and_image(pods: PodLauncher) -> None:
    image = f"registry.example.com/team/project:1@sha256:{'0' * 64}"
    ended = pods.run_successfully("plain", "hello", options=(f"--image={image}",))
    assert ended.out.splitlines()[0] == f"kedro-k8s-airflow: version {VERSION}, image {image}"


def test_logging_that_the_image_configures_wins(pods: PodLauncher) -> None:
    config = pods.project / "own.yml"
    config.write_text("""
version: 1
formatters: {own: {format: "own %(message)s"}}
handlers: {own: {class: logging.StreamHandler, stream: ext://sys.stdout, formatter: own}}
loggers: {kedro: {level: INFO}}
root: {handlers: [own]}
""")
    ended = pods.run_successfully("plain", "hello", env={"KEDRO_LOGGING_CONFIG": str(config)})
    assert [line for line in ended.out.splitlines() if line.startswith("own ")]
