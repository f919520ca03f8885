"""`explain`, by its JSON: what it says of tasks, nodes and datasets is so, and its reasons are the real ones."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.scenarios import BY_NAME, make_project
from tests.scenarios.factory import snapshot
from tests.scenarios.model import SETTINGS, Node, Scenario, Works, pickled
from tests.support.paths import CREATE_REPORT, ROOT

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.kedro_server import Forge, Outcome

    Json = dict[str, Any]
    Told = Callable[..., list[Json]]

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
        **pickled("raw", "table@one", "table@two", "plot", "model"),
        **pickled("EWR.model", versioned=True),
        **pickled("EWR.features", folder="elsewhere"),
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
    catalog=pickled("raw", "table"),
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


def explain(forge: Forge, folder: Path, name: str, *options: str) -> Outcome:
    return forge.kedro("k8s-airflow", "explain", *options, "--", name, cwd=folder)


@pytest.fixture(scope="module")
def told(forge: Forge, folder: Path) -> Told:
    """`told(name, *options)`: the facts."""

    def get(name: str, *options: str) -> list[Json]:
        done = explain(forge, folder, name, "--format", "json", *options)
        assert done.code == 0, done.err
        return parse(done.out)

    return get


def only(facts: list[Json], kind: str, dag: str = "project") -> Json:
    (found,) = [one for one in facts if (one["kind"], one["dag"]) == (kind, dag)]
    return found


def setting(facts: Json, key: str) -> Json:
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
def test_a_setting_is_told_with_its_layer_and_the_file_that_says_it(
    key: str, value: object, source: list[str], locations: list[tuple[str, ...]], told: Told
) -> None:
    task = only(told("EWR.fit", "--env", "prod"), "task", "project_prod")
    found = setting(task, key)
    assert (found["value"], found["source"], found["removed"]) == (value, source, False)
    assert [(location["file"], *location["key"]) for location in found["locations"]] == locations


@pytest.mark.parametrize("key", ["labels", "nodeSelector.disk"])
def test_what_null_took_away_is_told_with_who_did(key: str, told: Told) -> None:
    found = setting(only(told("EWR.fit"), "task"), key)
    assert (found["value"], found["removed"], found["source"]) == (None, True, ["rule 'fit'"])


def test_what_a_dag_says_itself_wins_over_the_defaults_of_all(told: Told) -> None:
    retries = {one["dag"]: setting(one, "retries") for one in told("clean") if one["kind"] == "node"}
    assert retries["project"]["source"] == ["built in"]
    assert (retries["project_ingest"]["value"], retries["project_ingest"]["source"]) == (4, ["dags.ingest"])
    assert retries["project_ingest"]["locations"] == [{"file": BASE, "key": ["dags", "ingest", "retries"]}]


def test_a_pod_of_several_nodes_says_how_it_came_to_its_settings(told: Told) -> None:
    task = only(told("read-to-clean"), "task")
    memory, retries, timeout, labels, disk = (
        setting(task, key)
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
def test_every_setting_is_told_once_and_by_somebody(name: str, forge: Forge, tmp_path: Path) -> None:
    project = make_project(BY_NAME[name], tmp_path / name)
    for node in ("a", "b"):
        (task,) = (one for one in parse(explain(forge, project, node, "--format", "json").out) if one["settings"])
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
def test_rules_give_each_node_what_they_say(
    scenario: str,
    node: str,
    key: str,
    value: object,
    source: list[str] | None,
    forge: Forge,
    built: Callable[..., Json],
) -> None:
    folder, options = Path(built(BY_NAME[scenario])["folder"]), BY_NAME[scenario].options
    (task,) = parse(explain(forge, folder, node, "--format", "json", *options).out)
    found = {one["key"]: one for one in task["settings"] if f"{one['key']}.".startswith(f"{key}.")}
    below = {name.removeprefix(f"{key}."): one["value"] for name, one in found.items() if name != key}
    assert (below or found.get(key, {"value": "nothing"})["value"]) == value
    if source is not None:
        assert list(dict.fromkeys(layer for one in found.values() for layer in one["source"])) == source


# -- tasks and nodes --------------------------------------------------------------------------------------------------


def test_a_task_is_told_with_its_nodes_reasons_and_neighbours(told: Told) -> None:
    task = only(told("read-to-clean"), "task")
    assert [node["name"] for node in task["nodes"]] == ["read", "clean"]
    (reason,) = task["merge_reasons"]
    assert all(words in reason for words in ("'read'", "'clean'", "'mem'", "memory"))
    assert (task["upstream"], task["downstream"]) == ([], ["EWR.fit"])
    flows = {flow["dataset"]: flow["other_tasks"] for flow in (*task["loads"], *task["saves"])}
    assert flows == {"raw": [], "mem": [], "table": ["EWR.fit"]}
    later = only(told("EWR.fit"), "task")
    assert {flow["dataset"]: flow["other_tasks"] for flow in later["loads"]} == {
        "table": ["read-to-clean"],
        "EWR.features": [],
    }


def test_a_task_tells_which_pipeline_it_loads_and_why_not_a_smaller_one(told: Told) -> None:
    whole = only(told("plot"), "task")
    assert whole["pipeline"] == "__default__"
    assert whole["narrowing_declined"]


def test_the_deadline_is_the_one_of_the_pod(told: Told) -> None:
    endless, day = only(told("EWR.fit"), "task"), only(told("plot"), "task")
    assert endless["deadline_seconds"] is None
    assert "activeDeadlineSeconds" not in endless["debug_commands"]["pod"]["spec"]
    assert day["deadline_seconds"] == day["debug_commands"]["pod"]["spec"]["activeDeadlineSeconds"] == 86400


def test_a_node_in_company_is_told_by_itself(told: Told) -> None:
    node = only(told("clean"), "node")
    assert (node["task"], node["other_nodes_in_task"], node["tags"]) == ("read-to-clean", 1, ["k8s.large"])
    assert (node["rules"], node["pipelines"]) == (["k8s.large"], ["__default__", "ingest"])
    assert (node["inputs"], node["outputs"]) == (["mem"], ["table@one"])
    assert setting(node, "resources.limits.memory")["note"] == ""


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
def test_a_dataset_is_told_with_its_reach_and_how_it_travels(
    name: str, reach: str, reason: str, passed: bool, storage: str, told: Told
) -> None:
    dataset = only(told(name), "dataset")
    assert (dataset["reach"], dataset["passed_between_tasks"]) == (reach, passed)
    assert reason in dataset["reach_reason"]
    assert storage in dataset["storage"]


@pytest.mark.parametrize("name", ["table", "table@one", "table@two"])
def test_a_transcoded_dataset_is_one_by_each_of_its_names(name: str, told: Told) -> None:
    dataset = only(told(name), "dataset")
    assert dataset["names"] == ["table@one", "table@two"]
    assert dataset["saved_by"] == {"node": "clean", "task": "read-to-clean", "dataset": "table@one"}
    assert dataset["loaded_by"] == [{"node": "EWR.fit", "task": "EWR.fit", "dataset": "table@two"}]


def test_versions_are_told_where_there_are_any(told: Told) -> None:
    versioned, plain = only(told("EWR.model"), "dataset"), only(told("raw"), "dataset")
    assert versioned["versioned"]
    assert "same DAG run" in versioned["version_choice"]
    assert (plain["versioned"], plain["version_choice"]) == (False, "")


def test_memory_that_is_stored_travels_as_a_pickle(forge: Forge, tmp_path: Path) -> None:
    done = explain(forge, make_project(STORE, tmp_path / "p"), "mem", "--format", "json")
    (dataset,) = parse(done.out)
    assert (dataset["reach"], dataset["passed_between_tasks"]) == ("memory", True)
    assert "/app/data/store" in dataset["storage"]


def test_the_task_that_clears_the_store_is_told_like_any_other(forge: Forge, tmp_path: Path) -> None:
    settings = f"{STORE.settings}tasks: {{default: {{runner: ThreadRunner, pool: small}}}}\n"
    project = make_project(dataclasses.replace(STORE, settings=settings), tmp_path / "p")
    (task,) = parse(explain(forge, project, "remove_stored_data", "--format", "json").out)
    assert (task["nodes"], task["upstream"]) == ([], ["clean"])
    assert setting(task, "pool")["source"] == ["rule 'default'"]
    assert "runner" not in {one["key"] for one in task["settings"]}, "it runs no nodes"
    assert explain(forge, project, "remove_stored_data").code == 0


# -- names ------------------------------------------------------------------------------------------------------------


def test_a_name_of_several_things_shows_them_all(told: Told) -> None:
    assert sorted((one["kind"], one["dag"]) for one in told("model")) == [("dataset", "project"), ("task", "project")]
    assert sorted((one["kind"], one["dag"]) for one in told("clean")) == [
        ("node", "project"),
        ("node", "project_ingest"),
    ]
    assert [one["dag"] for one in told("clean", "--pipeline", "ingest")] == ["project_ingest"]


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
def test_a_name_of_nothing_is_refused_with_what_may_be_meant(
    name: str, mentions: str, form: str, forge: Forge, folder: Path
) -> None:
    done = explain(forge, folder, name, "--format", form)
    assert (done.code, done.out) == (1, "")
    assert "explain-unknown" in done.err
    assert mentions in done.said


def test_a_node_that_only_another_pipeline_has_is_found_there(forge: Forge, tmp_path: Path) -> None:
    pipelines = {**STORE.pipelines, "other": (Node("raw", "table", "away"),)}
    project = make_project(dataclasses.replace(STORE, pipelines=pipelines), tmp_path / "p")
    refused = explain(forge, project, "away")
    assert refused.code == 1
    assert "'other'" in refused.said
    assert explain(forge, project, "away", "--pipeline", "other").code == 0


def test_a_lock_that_is_not_there_is_refused(forge: Forge, folder: Path) -> None:
    done = explain(forge, folder, "plot", "--lock", "nowhere.lock")
    assert done.code == 1
    assert "nowhere.lock" in done.err


# -- the printed form -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["read-to-clean", "EWR.fit", "clean", "table", "model"])
def test_the_printed_form_says_what_the_json_says(name: str, forge: Forge, folder: Path, told: Told) -> None:
    done = explain(forge, folder, name)
    assert done.code == 0, done.err
    words = "".join(done.out.split())
    for facts in told(name):
        for one in facts.get("settings", ()):
            assert one["key"] in done.out
            assert all("".join(layer.split()) in words for layer in one["source"])
        if facts["kind"] == "task":
            assert facts["debug_commands"]["podman"] in done.out, "lines to copy are neither folded nor read as markup"
            assert all(line in done.out for line in facts["debug_commands"]["kubectl"])
        if facts["kind"] == "dataset":
            assert "".join(facts["storage"].split()) in words


def test_hostile_names_are_printed_as_they_are_to_be_copied(forge: Forge, tmp_path: Path) -> None:
    project = make_project(BY_NAME["markup"], tmp_path / "project")
    listed = forge.script(str(CREATE_REPORT), cwd=project)
    (plan,) = json.loads(listed.out)["plans"].values()
    for task in plan["tasks"]:
        done = explain(forge, project, task["id"])
        assert done.code == 0, done.err
        assert task["by_hand"]["podman"] in done.out


def test_explain_writes_nothing(forge: Forge, folder: Path) -> None:
    before = snapshot(folder)
    assert explain(forge, folder, "plot").code == 0
    assert snapshot(folder) == before
