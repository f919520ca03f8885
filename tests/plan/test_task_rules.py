"""Rules: which settings a node gets, and what nodes that share a pod get together."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from kedro_k8s_airflow.config import models
from kedro_k8s_airflow.config.defaults import BUILT_IN
from kedro_k8s_airflow.config.loader import SETTINGS_FILE_NAME, SettingsSources
from kedro_k8s_airflow.findings import Refused
from kedro_k8s_airflow.locations import Location
from kedro_k8s_airflow.plan import provenance
from kedro_k8s_airflow.plan.resolved_settings import ResolvedSettings
from kedro_k8s_airflow.plan.settings_merge import MergeContext, compatibility_key, merge_settings
from kedro_k8s_airflow.plan.task_rules import TaskRules, build_task_rules, overlay
from kedro_k8s_airflow.project.model import ProjectNode

UNSET = {
    "image": "own",
    "retries": 1,
    "retry_delay": timedelta(minutes=5),
    "priority_weight": 1,
    "terminationGracePeriodSeconds": 30,
}
NODES = {
    "load": ProjectNode("load", None, frozenset({"io"}), ("raw",), ("table@spark",), ()),
    "fit": ProjectNode(
        "EWR.fit", "EWR", frozenset({"heavy", "gpu"}), ("table@pandas", "params:size"), ("EWR.model",), ()
    ),
    "deep": ProjectNode("EWR.eval.score", "EWR.eval", frozenset(), ("EWR.model",), ("EWR.scores",), ()),
    "other": ProjectNode("EWRX.fit", "EWRX", frozenset({"heavy"}), ("table@pandas",), ("EWRX.model",), ()),
}
PIPELINES = {
    "__default__": tuple(NODES.values()),
    "ingest": (NODES["load"],),
    "train": (NODES["fit"], NODES["other"]),
}


def make_task_rules(
    tasks: dict[str, Any] | None = None, groups: dict[str, Any] | None = None, profiles: dict[str, Any] | None = None
) -> TaskRules:
    raw = {"image": "registry.example.com/x", "tasks": tasks, "groups": groups, "profiles": profiles}
    return build_task_rules(models.parse_settings(raw), PIPELINES, SettingsSources([], Path()))


def own_settings(tasks: dict[str, Any], node: str = "fit", profiles: dict[str, Any] | None = None) -> dict[str, Any]:
    """What a node is told beyond, or other than, what is built in."""
    found = make_task_rules(tasks, profiles=profiles)
    settings = found.settings_of(found.matching_rules(NODES[node]))
    return {key: value for key, value in settings.items() if BUILT_IN.get(key, "not there") != value}


# -- which nodes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("match", "nodes"),
    [
        ({"node": "load"}, "load"),
        ({"node": "EWR.fit"}, "fit"),
        ({"node": "*.fit"}, "fit other"),
        ({"node": "EWR.*"}, "fit deep"),
        ({"node": ["load", "*score"]}, "load deep"),
        ({"node": "[lf]oa?"}, "load"),
        ({"tag": "heavy"}, "fit other"),
        ({"tag": ["gpu", "io"]}, "load fit"),
        ({"namespace": "EWR"}, "fit deep"),
        ({"namespace": "EWR.eval"}, "deep"),
        ({"namespace": ["EWR.eval", "EWRX"]}, "deep other"),
        ({"pipeline": "train"}, "fit other"),
        ({"pipeline": ["ingest", "train"]}, "load fit other"),
        ({"pipeline": "__default__"}, "load fit deep other"),
        ({"reads": "raw"}, "load"),
        ({"reads": "table"}, "fit other"),
        ({"reads": "table@pandas"}, "fit other"),
        ({"reads": "params:size"}, "fit"),
        ({"writes": "*.model"}, "fit other"),
        ({"writes": "table"}, "load"),
        ({"tag": "heavy", "namespace": "EWR"}, "fit"),
        ({"pipeline": "train", "writes": "EWRX*"}, "other"),
    ],
    ids=str,
)
def test_match_selects_nodes(match: dict[str, Any], nodes: str) -> None:
    found = make_task_rules({"x": {"match": match, "retries": 9}})
    assert {name for name, node in NODES.items() if found.matching_rules(node)} == set(nodes.split())


@pytest.mark.parametrize(
    "match",
    [
        {"node": "LOAD"},
        {"tag": "hea*"},
        {"namespace": "EW"},
        {"pipeline": "trai*"},
        {"reads": "tabl"},
        {"node": "load", "tag": "gpu"},
    ],
    ids=str,
)
def test_match_without_nodes_is_refused_with_its_location(match: dict[str, Any]) -> None:
    found = make_task_rules({"x": {"match": match, "retries": 9}}, {"y": match})
    assert [finding.location for finding in found.findings] == [
        Location(file=SETTINGS_FILE_NAME, key=("tasks", "x", "match")),
        Location(file=SETTINGS_FILE_NAME, key=("groups", "y")),
    ]


def test_a_node_is_in_the_first_group_that_it_matches() -> None:
    found = make_task_rules(groups={"a": {"tag": "gpu"}, "b": {"tag": "heavy"}, "c": {"node": "*"}, "dropped": None})
    assert found.nodes_by_group(list(NODES.values())) == {"a": [1], "b": [3], "c": [0, 2]}


# -- layers -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tasks", "expected"),
    [
        ({}, {}),
        ({"x": {"retries": 1}}, {"retries": 1}),
        ({"x": {"retries": 1}, "y": {"retries": 2}}, {"retries": 2}),
        ({"y": {"match": {"tag": "gpu"}, "retries": 2}, "x": {"retries": 1}}, {"retries": 1}),
        ({"x": {"match": {"tag": "io"}, "retries": 1}}, {}),
        ({"x": None, "y": {"retries": 2}}, {"retries": 2}),
        ({"x": {"retries": 1}, "y": {"retries": None}}, {}),
        (
            {"x": {"nodeSelector": {"a": "1", "b": "1"}}, "y": {"nodeSelector": {"b": "2"}}},
            {"nodeSelector": {"a": "1", "b": "2"}},
        ),
        (
            {"x": {"nodeSelector": {"a": "1", "b": "1"}}, "y": {"nodeSelector": {"b": None}}},
            {"nodeSelector": {"a": "1"}},
        ),
        (
            {"x": {"env": [{"name": "A", "value": "1"}]}, "y": {"env": [{"name": "B", "value": "2"}]}},
            {"env": [{"name": "B", "value": "2"}]},
        ),
        ({"x": {"execution_timeout": "90m"}}, {"execution_timeout": timedelta(minutes=90)}),
        ({"x": {"activeDeadlineSeconds": "2h"}}, {"activeDeadlineSeconds": 7200}),
        ({"x": {"activeDeadlineSeconds": "2h"}, "y": {"activeDeadlineSeconds": None}}, {"activeDeadlineSeconds": None}),
        ({"x": {"activeDeadlineSeconds": None}, "y": {"activeDeadlineSeconds": 60}}, {"activeDeadlineSeconds": 60}),
    ],
    ids=str,
)
def test_rules_are_laid_over_each_other_in_file_order(tasks: dict[str, Any], expected: dict[str, Any]) -> None:
    assert own_settings(tasks) == expected


def test_one_field_of_what_is_built_in_can_be_changed_or_taken_away() -> None:
    found = own_settings(
        {
            "x": {
                "resources": {"limits": {"memory": "4Gi", "nvidia.com/gpu": 1}},
                "podSecurityContext": {"runAsUser": None},
                "operator": {"startup_timeout_seconds": 60},
            }
        }
    )
    assert found["resources"] == {
        "requests": BUILT_IN["resources"]["requests"],
        "limits": {"memory": "4Gi", "nvidia.com/gpu": "1"},
    }
    assert found["podSecurityContext"] == {
        key: value for key, value in BUILT_IN["podSecurityContext"].items() if key != "runAsUser"
    }
    assert found["operator"] == {**BUILT_IN["operator"], "startup_timeout_seconds": 60}
    assert make_task_rules({}).base == BUILT_IN, "what is built in was changed by a rule"


def test_base_settings_exclude_matched_rules() -> None:
    found = make_task_rules({"x": {"retries": 1}, "y": {"match": {"tag": "gpu"}, "retries": 2}})
    assert found.base["retries"] == 1
    assert found.settings_of(found.matching_rules(NODES["load"])) is found.base


# -- profiles ---------------------------------------------------------------------------------------------------------

SLOW = {"nodeSelector": {"disk": "slow", "zone": "a"}, "retries": 7}
FAST = {"nodeSelector": {"disk": "fast"}, "priority_weight": 5}


@pytest.mark.parametrize(
    ("tasks", "profiles", "expected"),
    [
        ({"x": {"profile": "slow"}}, {"slow": SLOW}, SLOW),
        (
            {"x": {"profile": "slow", "retries": 1, "nodeSelector": {"disk": "own"}}},
            {"slow": SLOW},
            {"nodeSelector": {"disk": "own", "zone": "a"}, "retries": 1},
        ),
        # null in the rule takes away what its profile says, and what lies below
        (
            {"below": {"retries": 1}, "x": {"profile": "slow", "retries": None, "nodeSelector": None}},
            {"slow": SLOW},
            {},
        ),
        # a profile's own null reaches what lies below the rule
        ({"below": {"retries": 1}, "x": {"profile": "p"}}, {"p": {"retries": None}}, {}),
        (
            {"x": {"profile": "slow"}, "y": {"match": {"tag": "gpu"}, "retries": 2}},
            {"slow": SLOW},
            {**SLOW, "retries": 2},
        ),
        ({"x": {"match": {"tag": "io"}, "profile": "slow"}}, {"slow": SLOW}, {}),
        ({"x": {"profile": None, "retries": 1}}, {"slow": SLOW}, {"retries": 1}),
        ({}, {"slow": SLOW, "dropped": None}, {}),
    ],
    ids=str,
)
def test_a_rule_lies_over_the_profile_that_it_names(
    tasks: dict[str, Any], profiles: dict[str, Any], expected: dict[str, Any]
) -> None:
    assert own_settings(tasks, profiles=profiles) == expected


def make_tagged_rules(tasks: dict[str, Any], profiles: dict[str, Any], *tags: str) -> tuple[ProjectNode, TaskRules]:
    """A node with tags, and the rules."""
    node = ProjectNode("n", None, frozenset(tags), (), ("n_out",), ())
    raw = {"image": "registry.example.com/x", "tasks": tasks, "profiles": profiles}
    return node, build_task_rules(
        models.parse_settings(raw), {"__default__": (node, NODES["load"])}, SettingsSources([], Path())
    )


def tagged_settings(
    tasks: dict[str, Any], profiles: dict[str, Any], *tags: str
) -> tuple[tuple[str, ...], dict[str, Any]]:
    """The rules behind a node with tags, and what they tell it beyond what is built in."""
    node, found = make_tagged_rules(tasks, profiles, *tags)
    assert found.findings == ()
    matching = found.matching_rules(node)
    settings = found.settings_of(matching)
    return matching, {key: value for key, value in settings.items() if BUILT_IN.get(key, "not there") != value}


@pytest.mark.parametrize(
    ("tasks", "tags", "behind", "expected"),
    [
        ({}, ["k8s.slow"], ("k8s.slow",), SLOW),
        ({}, ["k8s.fast", "k8s.slow"], ("k8s.slow", "k8s.fast"), overlay(SLOW, FAST)),
        ({"default": {"retries": 1}}, ["k8s.slow"], ("k8s.slow",), SLOW),
        ({"m": {"match": {"node": "n"}, "retries": 2}}, ["k8s.slow"], ("k8s.slow", "m"), {**SLOW, "retries": 2}),
        (
            {"default": {"retries": 1}, "m": {"match": {"node": "n"}, "retries": 2}, "last": {"retries": 3}},
            ["k8s.slow"],
            ("k8s.slow", "m"),
            {**SLOW, "retries": 3},
        ),
        ({"default": {"profile": "fast"}}, ["k8s.slow"], ("k8s.slow",), overlay(FAST, SLOW)),
        ({}, ["slow", "k8s"], (), {}),
    ],
    ids=str,
)
def test_a_tag_lays_a_profile_over_the_defaults_and_under_the_rules_with_a_match(
    tasks: dict[str, Any], tags: list[str], behind: tuple[str, ...], expected: dict[str, Any]
) -> None:
    assert tagged_settings(tasks, {"slow": SLOW, "fast": FAST}, *tags) == (behind, expected)


@pytest.mark.parametrize("profiles", [{}, {"gpu-large": {}}, {"gpu": None, "gpu-large": {}}], ids=str)
def test_a_profile_that_is_not_there_is_refused_with_who_asks_and_what_is_known(profiles: dict[str, Any]) -> None:
    _, by_rule = make_tagged_rules({"x": {"profile": "gpu"}}, profiles)
    _, by_tag = make_tagged_rules({}, profiles, "k8s.gpu", "other")
    assert [finding.location for finding in by_rule.findings] == [
        Location(file=SETTINGS_FILE_NAME, key=("tasks", "x", "profile"))
    ]
    assert [finding.location for finding in by_tag.findings] == [Location(node="n")]
    for finding in (*by_rule.findings, *by_tag.findings):
        assert finding.code == "profile-unknown"
        assert "'gpu'" in finding.message
        assert all(name in finding.help for name, profile in profiles.items() if profile is not None)


def test_the_right_profile_is_guessed() -> None:
    _, found = make_tagged_rules({}, {"gpu-large": {}, "memory": {}}, "k8s.gpu-lagre")
    assert "Did you mean 'gpu-large'?" in found.findings[0].help


# -- which layer said it ----------------------------------------------------------------------------------------------

_MAPS = st.dictionaries(st.sampled_from("abc"), st.sampled_from(["1", "2", None]), max_size=3)
_RULE = st.fixed_dictionaries(
    {},
    optional={
        "nodeSelector": st.one_of(st.none(), _MAPS),
        "resources": st.fixed_dictionaries(
            {},
            optional={
                part: st.dictionaries(st.sampled_from(["cpu", "memory"]), st.sampled_from(["64Mi", "3Gi", None]))
                for part in ("requests", "limits")
            },
        ),
        "env": st.one_of(st.none(), st.just([{"name": "A", "value": "1"}])),
        "retries": st.sampled_from([None, 1, 2]),
        "deferrable": st.booleans(),
        "activeDeadlineSeconds": st.sampled_from([None, 60]),
        "profile": st.sampled_from(["p", "q"]),
        "match": st.just({"tag": "gpu"}),
    },
)
_PROFILE = _RULE.map(lambda rule: {key: value for key, value in rule.items() if key not in ("match", "profile")})


def value_at(values: Any, path: tuple[str, ...]) -> Any:
    """The value at a path; "absent" when there is none."""
    for key in path:
        values = values.get(key, "absent") if isinstance(values, Mapping) else "absent"
    return values


@given(st.lists(_RULE, max_size=4), _PROFILE, _PROFILE)
def test_every_value_comes_from_its_recorded_layer(listed: list[Any], one: Any, other: Any) -> None:
    """Beside the fold: what is told at a leaf is what is written in the place that is named for it."""
    raw = {
        "image": "registry.example.com/x",
        "tasks": {f"r{index}": rule for index, rule in enumerate(listed)},
        "profiles": {"p": one, "q": other},
    }
    node = ProjectNode("n", None, frozenset({"gpu", "k8s.q"}), (), ("n_out",), ())
    found = build_task_rules(models.parse_settings(raw), {"__default__": (node,)}, SettingsSources([], Path()))
    matching = found.matching_rules(node)
    settings, origins = found.settings_of(matching), found.origins_of(matching)
    for path, value in provenance.iterate_leaves(settings):
        if path in origins:
            origin = origins[path]
            assert value == (value_at(raw, origin.settings_key(path)) if origin.layer else value_at(BUILT_IN, path))
        else:  # an empty map of which everything was taken away
            assert value == {}
            assert any(other[: len(path)] == path for other in origins)
    removed = [path for path in origins if value_at(settings, path) in ("absent", None)]
    assert all(value_at(raw, origins[path].settings_key(path)) is None for path in removed)
    assert found.origin_names(matching) == {".".join(path): origin.layer for path, origin in origins.items()}


@pytest.mark.parametrize(
    ("path", "layer", "words"),
    [
        ("imagePullPolicy", "", "built in"),
        ("retries", "default", "rule 'default'"),
        ("nodeSelector.disk", "m", "profile 'fast' by rule 'm'"),
        ("nodeSelector.zone", "k8s.slow", "profile 'slow' by tag"),
        ("priority_weight", "m", "rule 'm'"),
        ("resources.limits.memory", "m", "rule 'm'"),
        ("resources.requests.memory", "m", "the limit of rule 'm'"),
        ("resources.requests.cpu", "", "built in"),
        ("podSecurityContext.runAsUser", "default", "rule 'default'"),
    ],
)
def test_layer_has_a_readable_name(path: str, layer: str, words: str) -> None:
    tasks = {
        "default": {"podSecurityContext": {"runAsUser": None}, "retries": 1},
        "m": {
            "match": {"node": "n"},
            "profile": "fast",
            "priority_weight": 1,
            "resources": {"limits": {"memory": "512Mi"}},
        },
    }
    node = ProjectNode("n", None, frozenset({"k8s.slow"}), (), ("n_out",), ())
    profiles = {"slow": {**SLOW, "retries": 3}, "fast": FAST}
    if path == "retries":
        profiles["slow"].pop("retries")
    raw = {"image": "registry.example.com/x", "tasks": tasks, "profiles": profiles}
    found = build_task_rules(models.parse_settings(raw), {"__default__": (node,)}, SettingsSources([], Path()))
    matching = found.matching_rules(node)
    assert found.origin_names(matching)[path] == layer
    assert str(found.origins_of(matching)[tuple(path.split("."))]) == words


def test_a_key_is_found_in_the_file_that_spells_it_deepest(tmp_path: Path) -> None:
    base = {"tasks": {"x": {"match": {"tag": "gpu"}, "profile": "p", "retries": 1}}, "profiles": {"p": {"pool": "a"}}}
    prod = {"tasks": {"x": {"retries": 2}}, "profiles": {"p": {"nodeSelector": {"a": "b"}}}}
    files = [tmp_path / "prod.yml", tmp_path / "base.yml"]
    for file, content in zip(files, (prod, base), strict=True):
        file.write_text(yaml.safe_dump(content))
    raw = {"image": "registry.example.com/x", **overlay(base, prod)}
    found = build_task_rules(models.parse_settings(raw), PIPELINES, SettingsSources(files, tmp_path))
    assert found.location_of(("x",), ("retries",)) == Location(file="prod.yml", key=("tasks", "x", "retries"))
    assert found.location_of(("x",), ("pool",)) == Location(file="base.yml", key=("profiles", "p", "pool"))
    assert found.location_of(("x",), ("nodeSelector",)) == Location(
        file="prod.yml", key=("profiles", "p", "nodeSelector", "a")
    )
    assert found.location_of(("x",), ("deferrable",)) is None


def test_a_rule_of_an_overlay_that_matches_nothing_is_refused_in_that_file(tmp_path: Path) -> None:
    files = [tmp_path / "prod.yml", tmp_path / "base.yml"]
    files[0].write_text("tasks: {x: {match: {tag: nobody}}}\n")
    files[1].write_text("tasks: {x: {retries: 1}}\n")
    raw = {"image": "registry.example.com/x", "tasks": {"x": {"retries": 1, "match": {"tag": "nobody"}}}}
    found = build_task_rules(models.parse_settings(raw), PIPELINES, SettingsSources(files, tmp_path))
    assert [finding.location for finding in found.findings] == [Location(file="prod.yml", key=("tasks", "x", "match"))]


# -- a pod of several nodes -------------------------------------------------------------------------------------------


def merge_pod_settings(*settings: dict[str, Any]) -> dict[str, Any]:
    members = [(f"n{index}", ResolvedSettings(setting)) for index, setting in enumerate(settings)]
    context = MergeContext(
        unset=UNSET,
        cause="dataset 'd' is in memory",
        locate=lambda node, key: Location(file=f"{node}.yml", key=key),
    )
    return dict(merge_settings(members, context))


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ({}, {}, {}),
        ({"retries": 1}, {"retries": 3}, {"retries": 3}),
        ({"retries": 0}, {}, {"retries": 1}),
        ({"priority_weight": 5}, {"priority_weight": -1}, {"priority_weight": 5}),
        ({"execution_timeout": timedelta(1)}, {"execution_timeout": timedelta(2)}, {"execution_timeout": timedelta(2)}),
        ({"pool": "a"}, {}, {"pool": "a"}),
        ({"deferrable": True}, {"deferrable": False}, {"deferrable": False}),  # a rule wins over what is built in
        (
            {"operator": {"startup_timeout_seconds": 900}},
            {"operator": {"startup_timeout_seconds": 60}},
            {"operator": {"startup_timeout_seconds": 900}},
        ),
        ({"pool": "a"}, {"pool": "a"}, {"pool": "a"}),
        ({"nodeSelector": {"a": "1"}}, {"nodeSelector": {"b": "2"}}, {"nodeSelector": {"a": "1", "b": "2"}}),
        ({"labels": {"a": "1"}}, {}, {"labels": {"a": "1"}}),
        (
            {"env": [{"name": "A", "value": "1"}]},
            {"env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]},
            {"env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]},
        ),
        (
            {"tolerations": [{"key": "a"}]},
            {"tolerations": [{"key": "b"}]},
            {"tolerations": [{"key": "a"}, {"key": "b"}]},
        ),
        (
            {"resources": {"requests": {"cpu": "500m"}}},
            {"resources": {"requests": {"cpu": "2", "memory": "1Gi"}}},
            {"resources": {"requests": {"cpu": "2", "memory": "1Gi"}}},
        ),
        (
            {"resources": {"limits": {"memory": "1024Mi", "nvidia.com/gpu": "1"}}},
            {"resources": {"limits": {"memory": "1G"}}},
            {"resources": {"limits": {"memory": "1024Mi", "nvidia.com/gpu": "1"}}},
        ),
    ],
    ids=str,
)
def test_settings_of_nodes_in_one_pod_are_merged(
    one: dict[str, Any], other: dict[str, Any], expected: dict[str, Any]
) -> None:
    relevant = set(expected) | set(one) | set(other)
    for order in ((one, other), (other, one)):
        found = {key: value for key, value in merge_pod_settings(*order).items() if key in relevant}
        assert {key: _unordered(value) for key, value in found.items()} == {
            key: _unordered(value) for key, value in expected.items()
        }


def _unordered(value: Any) -> Any:
    return sorted(value, key=str) if isinstance(value, list) else value


@pytest.mark.parametrize(
    ("one", "other", "said"),
    [
        ({"image": "a"}, {"image": "b"}, "image"),
        ({"image": "a"}, {}, "image"),
        ({"operator": {"x": 1}}, {"operator": {"x": 2}}, "operator"),
        ({"pool": "a"}, {"pool": "b"}, "pool"),
        ({"nodeSelector": {"zone": "a"}}, {"nodeSelector": {"zone": "b"}}, "nodeSelector.zone"),
        ({"env": [{"name": "A", "value": "1"}]}, {"env": [{"name": "A", "value": "2"}]}, "'A'"),
    ],
    ids=str,
)
def test_nodes_that_share_a_pod_may_not_contradict_each_other(
    one: dict[str, Any], other: dict[str, Any], said: str
) -> None:
    for order in ((one, other), (other, one)):
        with pytest.raises(Refused) as caught:
            merge_pod_settings(*order)
        (finding,) = caught.value.findings
        assert finding.code == "settings-clash"
        assert all(words in finding.message for words in (said, "'n0'", "'n1'", "dataset 'd' is in memory"))
        assert (finding.location.file, finding.location.node) == ("n0.yml", "n0")
        assert "see also n1.yml: " in finding.message, "both nodes' rules are named"


def test_node_without_deadline_gives_a_pod_without_deadline() -> None:
    built_in = dict(BUILT_IN)
    assert (
        merge_pod_settings({**built_in, "activeDeadlineSeconds": None}, {**built_in, "activeDeadlineSeconds": 60})[
            "activeDeadlineSeconds"
        ]
        is None
    )
    assert (
        merge_pod_settings({**built_in, "activeDeadlineSeconds": 90}, {**built_in, "activeDeadlineSeconds": 60})[
            "activeDeadlineSeconds"
        ]
        == 90
    )


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({"retries": 1}, {"retries": 2}, True),
        ({"resources": {"limits": {"cpu": "1"}}}, {"resources": {}}, True),
        ({"execution_timeout": timedelta(1)}, {}, True),
        ({"image": "a"}, {"image": "b"}, False),
        ({"image": "a"}, {}, False),
        ({"nodeSelector": {"a": "1"}}, {}, False),
        ({"env": [{"name": "A", "value": "1"}]}, {}, False),
    ],
    ids=str,
)
def test_nodes_of_one_kind_are_those_that_may_be_fused_by_choice(
    one: dict[str, Any], other: dict[str, Any], same: bool
) -> None:
    assert (compatibility_key(one) == compatibility_key(other)) is same
