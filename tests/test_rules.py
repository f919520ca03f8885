"""Rules: which settings a node gets, and what nodes that share a pod get together."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from kedro_k8s_airflow import config
from kedro_k8s_airflow.findings import Refused
from kedro_k8s_airflow.project import Node
from kedro_k8s_airflow.rules import BUILT_IN, Rules, combined, kind, rules

FILE = "conf/base/k8s_airflow.yml"
UNSET = {
    "image": "own",
    "retries": 1,
    "retry_delay": timedelta(minutes=5),
    "priority_weight": 1,
    "terminationGracePeriodSeconds": 30,
}
NODES = {
    "load": Node("load", None, frozenset({"io"}), ("raw",), ("table@spark",), ()),
    "fit": Node("EWR.fit", "EWR", frozenset({"heavy", "gpu"}), ("table@pandas", "params:size"), ("EWR.model",), ()),
    "deep": Node("EWR.eval.score", "EWR.eval", frozenset(), ("EWR.model",), ("EWR.scores",), ()),
    "other": Node("EWRX.fit", "EWRX", frozenset({"heavy"}), ("table@pandas",), ("EWRX.model",), ()),
}
PIPELINES = {
    "__default__": tuple(NODES.values()),
    "ingest": (NODES["load"],),
    "train": (NODES["fit"], NODES["other"]),
}


def ruled(tasks: dict[str, Any] | None = None, groups: dict[str, Any] | None = None) -> Rules:
    settings = config.parse({"image": "registry.example.com/x", "tasks": tasks or {}, "groups": groups or {}})
    return rules(settings, PIPELINES, FILE)


def told(tasks: dict[str, Any], node: str = "fit") -> dict[str, Any]:
    """What a node is told beyond, or other than, what is built in."""
    found = ruled(tasks)
    settings = found.settings(found.matching(NODES[node]))
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
def test_a_match_is_for(match: dict[str, Any], nodes: str) -> None:
    found = ruled({"x": {"match": match, "retries": 9}})
    assert {name for name, node in NODES.items() if found.matching(node)} == set(nodes.split())


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
def test_a_match_for_nobody_is_refused_with_its_place(match: dict[str, Any]) -> None:
    with pytest.raises(Refused) as caught:
        ruled({"x": {"match": match, "retries": 9}}, {"y": match})
    assert [finding.where for finding in caught.value.findings] == [f"{FILE}: tasks.x.match", f"{FILE}: groups.y"]


def test_a_node_is_in_the_first_group_that_it_matches() -> None:
    found = ruled(groups={"a": {"tag": "gpu"}, "b": {"tag": "heavy"}, "c": {"node": "*"}, "dropped": None})
    assert found.named(list(NODES.values())) == {"a": [1], "b": [3], "c": [0, 2]}


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
    assert told(tasks) == expected


def test_one_field_of_what_is_built_in_can_be_changed_or_taken_away() -> None:
    found = told(
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
    assert ruled({}).base == BUILT_IN, "what is built in was changed by a rule"


def test_the_base_is_what_no_match_speaks_of() -> None:
    found = ruled({"x": {"retries": 1}, "y": {"match": {"tag": "gpu"}, "retries": 2}})
    assert found.base["retries"] == 1
    assert found.settings(found.matching(NODES["load"])) is found.base


# -- a pod of several nodes -------------------------------------------------------------------------------------------


def together(*settings: dict[str, Any]) -> dict[str, Any]:
    members = [(f"n{index}", {**one}) for index, one in enumerate(settings)]
    return dict(combined(members, UNSET, "dataset 'd' is in memory", FILE))


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
def test_nodes_that_share_a_pod_get(one: dict[str, Any], other: dict[str, Any], expected: dict[str, Any]) -> None:
    relevant = set(expected) | set(one) | set(other)
    for order in ((one, other), (other, one)):
        found = {key: value for key, value in together(*order).items() if key in relevant}
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
            together(*order)
        (finding,) = caught.value.findings
        assert finding.code == "settings-clash"
        assert all(words in finding.why for words in (said, "'n0'", "'n1'", "dataset 'd' is in memory"))


def test_a_node_without_end_makes_a_pod_without_end() -> None:
    built_in = dict(BUILT_IN)
    assert (
        together({**built_in, "activeDeadlineSeconds": None}, {**built_in, "activeDeadlineSeconds": 60})[
            "activeDeadlineSeconds"
        ]
        is None
    )
    assert (
        together({**built_in, "activeDeadlineSeconds": 90}, {**built_in, "activeDeadlineSeconds": 60})[
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
    assert (kind(one) == kind(other)) is same
