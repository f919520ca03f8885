"""What the trigger form loses of a parameter's types comes back in the pod."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from kedro_k8s_airflow import pod
from kedro_k8s_airflow.plan import trigger_form

LINES = "SELECT a\r\nFROM b\n"


def send(value: Any) -> Any:
    """A value as browsers send it: JavaScript has one kind of number, and its maps have texts as keys."""
    text = json.dumps(trigger_form.spell_value(value), sort_keys=True).replace("\\r\\n", "\\n")
    return json.loads(re.sub(r"(?<=\d)\.0(?=[,\]}]|$)", "", text).replace("9007199254740993", "9007199254740992"))


def receive(value: Any, default: Any) -> Any:
    """What a pod makes of a value that it got for a default."""
    defaults = pod.decode_defaults(trigger_form.encode_defaults({"a=%": default}))
    return pod.restore_param(value, defaults["a=%"]) if defaults else value


UNTOUCHED = (
    2.0,
    -0.0,
    1e300,
    7,
    2**53 + 1,
    True,
    None,
    "",
    LINES,
    [],
    [1.0, 2.5],
    [1, 2.0, "x", None, True],
    ["a", "b"],
    [{"a": 1.0}, {1: 2}],
    {1: "low", 2: "high"},
    {True: 5.0, False: 1.0},
    {"b": 1.0, "a": [1.0], "10": {}, "9": {0.5: {-1: ""}}},
    {1: 1, "x": {2: {3.5: [{4: 4.0}]}}},
)


@pytest.mark.parametrize("default", UNTOUCHED, ids=repr)
def test_what_nobody_touched_arrives_as_it_is_in_the_project(default: Any) -> None:
    arrived = receive(send(default), default)
    assert repr(arrived) == repr(default)  # also the type of each number, and the order of keys
    assert repr(receive(trigger_form.spell_value(default), default)) == repr(default)  # a scheduled run


EDITED = (
    # default, what the form sends, what arrives
    (2.0, 3, 3.0),
    (2.5, 3, 3.0),
    ("", None, ""),
    ([], None, []),
    ([], [1, "a"], [1, "a"]),
    (["a"], None, []),
    ([1.0, 2.0], [1, 3, 2.5], [1.0, 3.0, 2.5]),
    ([1, 2.0, 3], [2, 3, 4], [2.0, 3, 4]),
    ([{"a": 1.0}], [{"a": 2}, {"a": 3}], [{"a": 2.0}, {"a": 3.0}]),
    ({1: "low", 2: "high"}, {"1": "l", "3": "new"}, {1: "l", 3: "new"}),
    ({True: 5.0, False: 1.0}, {"true": 9, "false": 1}, {True: 9.0, False: 1.0}),
    ({0.5: "a"}, {"0.5": "a", "1": "b"}, {0.5: "a", 1.0: "b"}),
    ({"x": {1: 2.0}}, {"x": {"1": 3, "2": 4}, "y": {"3": 5}}, {"x": {1: 3.0, 2: 4.0}, "y": {3: 5.0}}),
    ({1: "a"}, {"1": "a", "x": "b"}, {1: "a", "x": "b"}),
    ({"1": 1.0}, {"1": 2, "2": 3}, {"1": 2.0, "2": 3.0}),
    ({"a": 1.0, "b": ""}, {"a": None, "b": None}, {"a": None, "b": None}),
    ({1: 1}, None, None),
)


@pytest.mark.parametrize(("default", "sent", "expected"), EDITED, ids=repr)
def test_what_was_edited_has_the_types_of_the_default(default: Any, sent: Any, expected: Any) -> None:
    assert repr(receive(sent, default)) == repr(expected)


def test_a_neighbour_of_a_large_integer_is_not_taken_for_it() -> None:
    assert receive(2**53 + 3, 2**53 + 1) == 2**53 + 3


def test_what_keeps_its_type_is_not_repeated_in_the_dag_file() -> None:
    kept = {"n": 1, "flag": True, "text": "a", "none": None, "list": [1, 2], "map": {"a": [True, "b"]}}
    assert trigger_form.encode_defaults(kept) == []
