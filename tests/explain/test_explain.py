"""`explain`, by its JSON: what it says of tasks, nodes and datasets is so, and its reasons are the real ones."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.scenarios import BY_NAME, make_project
from tests.scenarios.factory import read_tree
from tests.scenarios.model import SETTINGS, Node, Scenario, Works, pickle_entries
from tests.support.paths import CREATE_REPORT, ROOT

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.kedro_server import CommandResult, KedroServer

    Json = dict[str, Any]
    ExplainFunction = Callable[..., list[Json]]

SCHEMA = json.loads((ROOT / "kedro_k8s_airflow" / "output" / "explain.schema.json").read_text())
BASE, PROD = "conf/base/k8s_airflow.yml", "conf/prod/k8s_airflow.yml"
_NODES = (
    Node("raw", "mem", "read", tags=("io",)),
    Node("mem", "table@one", "clean", tags=("k8s.large",)),
    Node(("table@two", "EWR.features"), "EWR.model", "fit", namespace="EWR"),
    Node(("EWR.model", "remote"), "plot", "plot"),
    Node("remote", "model", "model"),
)
PROJECT = Scenario(
    name="explained",
    shows="one of each",
    pipelines={"__default__": _NODES, "ingest": _NODES[:2]},
    catalog={
        **pickle_entries("raw", "table@one", "table@two", "plot", "model"),
        **pickle_entries("EWR.model", versioned=True),
        **pickle_entries("EWR.features", folder="elsewhere"),
        "remote": {"type": "pandas.CSVDataset", "filepath": "s3://bucket/remote.csv"},
    },
    settings=SETTINGS
    + """
  reach: {EWR.feat*: shared}
dag: {retry_delay: 2m}
dags: {__default__: {}, ingest: {retries: 4}}
profiles:
  large: {resources: {limits: {memory: 8Gi}}, nodeSelector: {disk: ssd}}
tasks:
  default: {labels: {team: x}, nodeSelector: {zone: a}}
  io: {match: {tag: io}, execution_timeout: 2h, retries: 2}
  fit: {match: {namespace: EWR}, profile: large, labels: null, retries: 3, nodeSelector: {disk: null}, activeDeadlineSeconds: null}
""",
    overlays={"prod": "tasks: {fit: {retries: 5}}\n"},
    expect=Works(),
)
STORE = Scenario(
    name="explained-store",
    shows="memory that is stored",
    pipelines={"__default__": (Node("raw", "mem", "read"), Node("mem", "table", "clean"))},
    catalog=pickle_entries("raw", "table"),
    settings=SETTINGS + "  memory: store\n  store: {path: data/store}\ndag: {group_by: none}\n",
    expect=Works(),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_project(PROJECT, tmp_path_factory.mktemp("explained") / "project")


def parse(document: str) -> list[Json]:
    """The explanations of a document, which is as its schema says."""
    parsed = json.loads(document)
    if importlib.util.find_spec("jsonschema") is not None:
        import jsonschema

        jsonschema.Draft202012Validator(SCHEMA).validate(parsed)
    explanations: list[Json] = parsed["explanations"]
    return explanations


def run_explain(kedro: KedroServer, folder: Path, name: str, *options: str) -> CommandResult:
    return kedro.run_command("k8s-airflow", "explain", *options, "--", name, cwd=folder)


@pytest.fixture(scope="module")
def explain_json(kedro: KedroServer, folder: Path) -> ExplainFunction:
    """`told(name, *options)`: the facts."""

    def get(name: str, *options: str) -> list[Json]:
        result = run_explain(kedro, folder, name, "--format", "json", *options)
        assert result.code == 0, result.err
        return parse(result.out)

    return get


def only_fact(facts: list[Json], kind: str, dag: str = "project") -> Json:
    (fact_,) = [fact for fact in facts if (fact["kind"], fact["dag"]) == (kind, dag)]
    return fact_


def setting_of(facts: Json, key: str) -> Json:
    (found,) = [one for one in facts["settings"] if one["key"] == key]
    return found


# -- settings ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "value", "source", "locations"),
    [
        ("retries", 5, ["rule 'fit'"], [(PROD, "tasks", "fit", "retries")]),
        ("retry_delay", "2m", ["dag"], [(BASE, "dag", "retry_delay")]),
        ("nodeSelector.zone", "a", ["rule 'default'"], [(BASE, "tasks", "default", "nodeSelector", "zone")]),
        (
            "resources.limits.memory",
            "8Gi",
            ["profile 'large' by rule 'fit'"],
            [(BASE, "profiles", "large", "resources", "limits", "memory")],
        ),
        ("resources.requests.cpu", "500m", ["built in"], []),
        ("securityContext.capabilities.drop", ["ALL"], ["built in"], []),
        ("activeDeadlineSeconds", None, ["rule 'fit'"], [(BASE, "tasks", "fit", "activeDeadlineSeconds")]),
    ],
)
def test_setting_is_explained_with_its_layer_and_file(
    key: str, value: object, source: list[str], locations: list[tuple[str, ...]], explain_json: ExplainFunction
) -> None:
    task = only_fact(explain_json("EWR.fit", "--env", "prod"), "task", "project_prod")
    found = setting_of(task, key)
    assert (found["value"], found["source"], found["removed"]) == (value, source, False)
    assert [(location["file"], *location["key"]) for location in found["locations"]] == locations


@pytest.mark.parametrize("key", ["labels", "nodeSelector.disk"])
def test_setting_removed_by_null_is_explained_with_its_source(key: str, explain_json: ExplainFunction) -> None:
    found = setting_of(only_fact(explain_json("EWR.fit"), "task"), key)
    assert (found["value"], found["removed"], found["source"]) == (None, True, ["rule 'fit'"])


def test_dag_setting_overrides_the_defaults(explain_json: ExplainFunction) -> None:
    retries = {one["dag"]: setting_of(one, "retries") for one in explain_json("clean") if one["kind"] == "node"}
    assert retries["project"]["source"] == ["built in"]
    assert (retries["project_ingest"]["value"], retries["project_ingest"]["source"]) == (4, ["dags.ingest"])
    assert retries["project_ingest"]["locations"] == [{"file": BASE, "key": ["dags", "ingest", "retries"]}]


def test_pod_of_several_nodes_explains_its_merged_settings(explain_json: ExplainFunction) -> None:
    task = only_fact(explain_json("read-to-clean"), "task")
    memory, retries, timeout, labels, disk = (
        setting_of(task, key)
        for key in ("resources.limits.memory", "retries", "execution_timeout", "labels.team", "nodeSelector.disk")
    )
    assert (memory["value"], memory["source"]) == ("8Gi", ["profile 'large' by tag"])
    assert "'clean'" in memory["note"]
    assert (retries["value"], retries["source"]) == (2, ["rule 'io'"])
    assert "'read'" in retries["note"]
    assert (timeout["value"], timeout["removed"]) == (None, True)
    assert "'clean'" in timeout["note"], "the node without a limit"
    assert (labels["source"], labels["note"]) == (["rule 'default'"], ""), "in this they agree"
    assert (disk["value"], disk["source"]) == ("ssd", ["profile 'large' by tag"])
    assert task["rules"] == ["k8s.large", "io"]


@pytest.mark.parametrize("name", ["rules-everything", "rules-differ", "rules-match", "operator-pod"])
def test_every_setting_is_explained_once_with_a_source(name: str, kedro: KedroServer, tmp_path: Path) -> None:
    project = make_project(BY_NAME[name], tmp_path / name)
    for node in ("a", "b"):
        (task,) = (one for one in parse(run_explain(kedro, project, node, "--format", "json").out) if one["settings"])
        keys = [found["key"] for found in task["settings"]]
        assert len(keys) == len(set(keys)) > 10
        assert all(found["source"] for found in task["settings"])
        assert {location["file"] for found in task["settings"] for location in found["locations"]} <= {BASE}


@pytest.mark.parametrize(
    ("scenario", "node", "key", "value", "source"),
    [
        ("rules-match", "a", "nodeSelector", {"disk": "ssd", "zone": "b"}, ["rule 'default'", "rule 'by-node'"]),
        ("rules-match", "a", "tolerations", [{"key": "two"}], ["rule 'by-node'"]),
        ("rules-match", "a", "labels", None, ["rule 'by-node'"]),
        ("rules-match", "b", "nodeSelector", {"disk": "ssd", "zone": None}, ["rule 'default'", "rule 'by-tag'"]),
        ("rules-match", "b", "tolerations", [{"key": "one"}], ["rule 'default'"]),
        ("rules-match", "EWR.deep.c", "nodeSelector", None, ["rule 'by-namespace'"]),
        ("rules-match", "d", "retries", 3, ["rule 'by-reads'"]),
        ("rules-match", "e", "retries", 4, ["rule 'by-pipeline'"]),
        ("rules-match", "f", "retries", 5, ["rule 'by-writes'"]),
        ("profile-tag", "a", "image", "registry.example.com/gpu:1", ["profile 'gpu' by tag"]),
        ("profile-tag", "b", "resources.limits", {"memory": "4Gi", "nvidia.com/gpu": "1"}, None),
        ("profile-tag", "c", "nodeSelector", "nothing", None),
        ("profile-rule", "c", "image", None, ["rule 'c'"]),
        ("profile-rule", "c", "nodeSelector", {"accelerator": "l4", "zone": "a"}, None),
        ("profile-rule", "c", "retries", 7, ["profile 'gpu' by rule 'c'"]),
        ("profile-rule", "a", "retries", 7, ["profile 'gpu' by tag"]),
        ("profile-overlay", "a", "nodeSelector", {"accelerator": "h100"}, ["profile 'gpu' by tag"]),
        ("profile-overlay", "c", "nodeSelector", {"accelerator": "h100"}, ["profile 'gpu' by rule 'c'"]),
        ("profile-overlay", "c", "retries", 2, ["rule 'c'"]),
        ("profile-overlay", "c", "image", "registry.example.com/gpu:1", ["profile 'gpu' by rule 'c'"]),
    ],
)
def test_rules_apply_their_values_to_each_node(
    scenario: str,
    node: str,
    key: str,
    value: object,
    source: list[str] | None,
    kedro: KedroServer,
    create_scenario: Callable[..., Json],
) -> None:
    folder, options = Path(create_scenario(BY_NAME[scenario])["folder"]), BY_NAME[scenario].options
    (task,) = parse(run_explain(kedro, folder, node, "--format", "json", *options).out)
    found = {one["key"]: one for one in task["settings"] if f"{one['key']}.".startswith(f"{key}.")}
    below = {name.removeprefix(f"{key}."): one["value"] for name, one in found.items() if name != key}
    assert (below or found.get(key, {"value": "nothing"})["value"]) == value
    if source is not None:
        assert list(dict.fromkeys(layer for one in found.values() for layer in one["source"])) == source


# -- tasks and nodes --------------------------------------------------------------------------------------------------


def test_task_is_explained_with_nodes_merge_reasons_and_neighbours(explain_json: ExplainFunction) -> None:
    task = only_fact(explain_json("read-to-clean"), "task")
    assert [node["name"] for node in task["nodes"]] == ["read", "clean"]
    (reason,) = task["merge_reasons"]
    assert all(words in reason for words in ("'read'", "'clean'", "'mem'", "memory"))
    assert (task["upstream"], task["downstream"]) == ([], ["EWR.fit"])
    flows = {flow["dataset"]: flow["other_tasks"] for flow in (*task["loads"], *task["saves"])}
    assert flows == {"raw": [], "mem": [], "table": ["EWR.fit"]}
    later = only_fact(explain_json("EWR.fit"), "task")
    assert {flow["dataset"]: flow["other_tasks"] for flow in later["loads"]} == {
        "table": ["read-to-clean"],
        "EWR.features": [],
    }


def test_task_explains_which_pipeline_it_loads_and_why(explain_json: ExplainFunction) -> None:
    whole = only_fact(explain_json("plot"), "task")
    assert whole["pipeline"] == "__default__"
    assert whole["narrowing_declined"]


def test_explained_deadline_equals_the_pod_deadline(explain_json: ExplainFunction) -> None:
    endless, day = only_fact(explain_json("EWR.fit"), "task"), only_fact(explain_json("plot"), "task")
    assert endless["deadline_seconds"] is None
    assert "activeDeadlineSeconds" not in endless["debug_commands"]["pod"]["spec"]
    assert day["deadline_seconds"] == day["debug_commands"]["pod"]["spec"]["activeDeadlineSeconds"] == 86400


def test_node_in_a_shared_pod_is_explained_separately(explain_json: ExplainFunction) -> None:
    node = only_fact(explain_json("clean"), "node")
    assert (node["task"], node["other_nodes_in_task"], node["tags"]) == ("read-to-clean", 1, ["k8s.large"])
    assert (node["rules"], node["pipelines"]) == (["k8s.large"], ["__default__", "ingest"])
    assert (node["inputs"], node["outputs"]) == (["mem"], ["table@one"])
    assert setting_of(node, "resources.limits.memory")["note"] == ""


# -- datasets ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "reach", "reason", "passed", "storage"),
    [
        ("raw", "shared", "volume 'data'", False, "data/raw.pkl must be on volume 'data'"),
        ("mem", "memory", "no catalog entry", False, "'read-to-clean'"),
        ("table", "shared", "volume 'data'", True, "claim project-data"),
        ("EWR.features", "shared", "data.reach.EWR.feat*", False, "/app/elsewhere/EWR/features.pkl"),
        ("remote", "shared", "object store", False, "object store"),
        ("plot", "shared", "volume 'data'", False, "no other task loads it"),
    ],
)
def test_dataset_is_explained_with_reach_and_transfer(
    name: str, reach: str, reason: str, passed: bool, storage: str, explain_json: ExplainFunction
) -> None:
    dataset = only_fact(explain_json(name), "dataset")
    assert (dataset["reach"], dataset["passed_between_tasks"]) == (reach, passed)
    assert reason in dataset["reach_reason"]
    assert storage in dataset["storage"]


@pytest.mark.parametrize("name", ["table", "table@one", "table@two"])
def test_transcoded_dataset_is_found_by_each_name(name: str, explain_json: ExplainFunction) -> None:
    dataset = only_fact(explain_json(name), "dataset")
    assert dataset["names"] == ["table@one", "table@two"]
    assert dataset["saved_by"] == {"node": "clean", "task": "read-to-clean", "dataset": "table@one"}
    assert dataset["loaded_by"] == [{"node": "EWR.fit", "task": "EWR.fit", "dataset": "table@two"}]


def test_versions_are_explained_for_versioned_datasets(explain_json: ExplainFunction) -> None:
    versioned, plain = only_fact(explain_json("EWR.model"), "dataset"), only_fact(explain_json("raw"), "dataset")
    assert versioned["versioned"]
    assert "same DAG run" in versioned["version_choice"]
    assert (plain["versioned"], plain["version_choice"]) == (False, "")


def test_stored_memory_dataset_is_passed_as_a_pickle(kedro: KedroServer, tmp_path: Path) -> None:
    result = run_explain(kedro, make_project(STORE, tmp_path / "p"), "mem", "--format", "json")
    (dataset,) = parse(result.out)
    assert (dataset["reach"], dataset["passed_between_tasks"]) == ("memory", True)
    assert "/app/data/store" in dataset["storage"]


def test_store_cleanup_task_is_explained(kedro: KedroServer, tmp_path: Path) -> None:
    settings = f"{STORE.settings}tasks: {{default: {{runner: ThreadRunner, pool: small}}}}\n"
    project = make_project(dataclasses.replace(STORE, settings=settings), tmp_path / "p")
    (task,) = parse(run_explain(kedro, project, "remove_stored_data", "--format", "json").out)
    assert (task["nodes"], task["upstream"]) == ([], ["clean"])
    assert setting_of(task, "pool")["source"] == ["rule 'default'"]
    assert "runner" not in {one["key"] for one in task["settings"]}, "it runs no nodes"
    assert run_explain(kedro, project, "remove_stored_data").code == 0


# -- names ------------------------------------------------------------------------------------------------------------


def test_ambiguous_name_shows_every_match(explain_json: ExplainFunction) -> None:
    assert sorted((one["kind"], one["dag"]) for one in explain_json("model")) == [
        ("dataset", "project"),
        ("task", "project"),
    ]
    assert sorted((one["kind"], one["dag"]) for one in explain_json("clean")) == [
        ("node", "project"),
        ("node", "project_ingest"),
    ]
    assert [one["dag"] for one in explain_json("clean", "--pipeline", "ingest")] == ["project_ingest"]


@pytest.mark.parametrize(
    ("name", "mentions"),
    [
        ("EWR.fti", "Did you mean 'EWR.fit'"),
        ("tabel", "'table'"),
        ("table@three", "'table'"),
        ("zzz", "k8s-airflow plan"),
    ],
)
@pytest.mark.parametrize("form", ["text", "json"])
def test_unknown_name_is_refused_with_suggestions(
    name: str, mentions: str, form: str, kedro: KedroServer, folder: Path
) -> None:
    result = run_explain(kedro, folder, name, "--format", form)
    assert (result.code, result.out) == (1, "")
    assert "explain-unknown" in result.err
    assert mentions in result.output


def test_node_of_another_pipeline_is_found(kedro: KedroServer, tmp_path: Path) -> None:
    pipelines = {**STORE.pipelines, "other": (Node("raw", "table", "away"),)}
    project = make_project(dataclasses.replace(STORE, pipelines=pipelines), tmp_path / "p")
    refused = run_explain(kedro, project, "away")
    assert refused.code == 1
    assert "'other'" in refused.output
    assert run_explain(kedro, project, "away", "--pipeline", "other").code == 0


def test_missing_lock_is_refused(kedro: KedroServer, folder: Path) -> None:
    result = run_explain(kedro, folder, "plot", "--lock", "nowhere.lock")
    assert result.code == 1
    assert "nowhere.lock" in result.err


# -- the printed form -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["read-to-clean", "EWR.fit", "clean", "table", "model"])
def test_the_printed_form_says_what_the_json_says(
    name: str, kedro: KedroServer, folder: Path, explain_json: ExplainFunction
) -> None:
    result = run_explain(kedro, folder, name)
    assert result.code == 0, result.err
    words = "".join(result.out.split())
    for facts in explain_json(name):
        for one in facts.get("settings", ()):
            assert one["key"] in result.out
            assert all("".join(layer.split()) in words for layer in one["source"])
        if facts["kind"] == "task":
            assert facts["debug_commands"]["podman"] in result.out, (
                "lines to copy are neither folded nor read as markup"
            )
            assert all(line in result.out for line in facts["debug_commands"]["kubectl"])
        if facts["kind"] == "dataset":
            assert "".join(facts["storage"].split()) in words


def test_unusual_names_are_printed_ready_to_copy(kedro: KedroServer, tmp_path: Path) -> None:
    project = make_project(BY_NAME["markup"], tmp_path / "project")
    listed = kedro.run_script(str(CREATE_REPORT), cwd=project)
    (plan,) = json.loads(listed.out)["plans"].values()
    for task in plan["tasks"]:
        result = run_explain(kedro, project, task["id"])
        assert result.code == 0, result.err
        assert task["by_hand"]["podman"] in result.out


def test_explain_writes_nothing(kedro: KedroServer, folder: Path) -> None:
    before = read_tree(folder)
    assert run_explain(kedro, folder, "plot").code == 0
    assert read_tree(folder) == before
