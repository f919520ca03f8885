"""What a pod that runs several nodes gets from their settings: the largest, the union, or a refusal where they contradict."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from kedro_k8s_airflow import quantities
from kedro_k8s_airflow.findings import Refused, refuse
from kedro_k8s_airflow.locations import Location, dotted
from kedro_k8s_airflow.plan.model import pod_deadline
from kedro_k8s_airflow.plan.task_rules import BUILT_IN

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

# Keys of which nodes in one pod may have different values: the largest one counts. In everything else they must agree.
_LARGEST = ("retries", "retry_delay", "execution_timeout", "priority_weight", "terminationGracePeriodSeconds")
SIZE_KEYS = frozenset({*_LARGEST, "resources", "activeDeadlineSeconds"})
# Maps and lists that a pod can hold together, as long as no entry contradicts another.
_UNITED = frozenset(
    {
        "operator",
        "env",
        "envFrom",
        "labels",
        "annotations",
        "nodeSelector",
        "tolerations",
        "volumes",
        "volumeMounts",
        "imagePullSecrets",
    }
)
# What is never taken from one node only: the others may not work with it.
_STRICT = frozenset({"image", "runner"})
# Where a key of a node's settings is set; None when no rule sets it.
Locate = Callable[[str, tuple[str, ...]], Location | None]


def compatibility_key(settings: Mapping[str, Any]) -> Hashable:
    """What nodes must have in common to be fused by choice."""
    return json.dumps(
        {key: value for key, value in settings.items() if key not in SIZE_KEYS}, sort_keys=True, default=str
    )


def merge_settings(
    members: Sequence[tuple[str, Mapping[str, Any]]], unset: Mapping[str, Any], because: str, locate: Locate
) -> Mapping[str, Any]:
    """The settings of a pod that runs several nodes: resources and times at their largest, the rest in agreement.

    Args:
        members: node names with their settings.
        unset: what counts for keys that a node's settings do not have, such as the DAG's retries.
        because: why they share a pod, in words.
        locate: returns where a key of a node's settings is set, for messages.

    Raises:
        Refused: when two nodes' settings contradict each other.
    """
    first_name, result = members[0]
    distinct = {id(settings): (name, settings) for name, settings in reversed(members)}
    for name, settings in distinct.values():
        if settings is not result:
            result = _pair((first_name, result), (name, settings), unset, because, locate)
    return result


def _pair(
    first: tuple[str, Mapping[str, Any]],
    second: tuple[str, Mapping[str, Any]],
    unset: Mapping[str, Any],
    because: str,
    locate: Locate,
) -> dict[str, Any]:
    ours, theirs = first[1], second[1]
    result = dict(ours)
    for key in sorted(set(ours) | set(theirs)):
        one, other = ours.get(key), theirs.get(key)
        if key in _STRICT:
            one, other = one or unset[key], other or unset[key]
        if one == other and key != "activeDeadlineSeconds":
            continue
        if key == "activeDeadlineSeconds":
            ends = (pod_deadline(ours), pod_deadline(theirs))
            result[key] = None if None in ends else max(end for end in ends if end is not None)
        elif key == "execution_timeout" and (one is None or other is None):
            result.pop(key, None)  # a node that may run for ever still may
        elif key in _LARGEST:
            result[key] = max(unset[key] if value is None else value for value in (one, other))
        elif key == "resources":
            result[key] = _larger_resources(one or {}, other or {})
        elif key in BUILT_IN and not isinstance(BUILT_IN[key], dict) and BUILT_IN[key] in (one, other):
            result[key] = other if one == BUILT_IN[key] else one  # what a rule says wins over what nobody said
        elif key in _UNITED:
            result[key] = _united((first[0], one), (second[0], other), key, because, locate)
        elif key not in _STRICT and (one is None or other is None):
            result[key] = other if one is None else one
        else:
            raise _contradiction((first[0], one), (second[0], other), (key,), because, locate)
    return result


def _larger_resources(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The larger of each; a resource that one node has no limit for has none, unless it is a device (`nvidia.com/gpu`)."""
    result: dict[str, dict[str, Any]] = {}
    for part in ("requests", "limits"):
        mine, theirs = one.get(part) or {}, other.get(part) or {}
        both = {
            resource: quantities.greater_quantity(mine.get(resource, "0"), theirs.get(resource, "0"))
            for resource in (*mine, *(name for name in theirs if name not in mine))
            if part == "requests" or "/" in resource or (resource in mine and resource in theirs)
        }
        if both:
            result[part] = both
    return result


def _united(first: tuple[str, Any], second: tuple[str, Any], key: str, because: str, locate: Locate) -> Any:
    one, other = first[1] or type(second[1])(), second[1] or type(first[1])()
    if isinstance(one, dict):
        both = {**one, **other}
        for name in one:
            if name not in other or one[name] == other[name]:
                continue
            built_in = BUILT_IN["operator"].get(name) if key == "operator" else None
            if name.endswith("_timeout_seconds"):
                both[name] = max(one[name], other[name])
                continue
            if built_in is not None and built_in in (one[name], other[name]):
                both[name] = other[name] if one[name] == built_in else one[name]
                continue
            raise _contradiction((first[0], one[name]), (second[0], other[name]), (key, name), because, locate)
        return both
    named = {item["name"]: item for item in one if "name" in item} if key in ("env", "volumes") else {}
    for item in other:
        if item.get("name") in named and named[item["name"]] != item:
            mine = named[item["name"]]
            raise _contradiction((first[0], mine), (second[0], item), (key, item["name"]), because, locate)
    return [*one, *(item for item in other if item not in one)]


def _contradiction(
    first: tuple[str, Any], second: tuple[str, Any], key: tuple[str, ...], because: str, locate: Locate
) -> Refused:
    locations = [location for node, _ in (first, second) if (location := locate(node, key)) is not None]
    values = ["not set" if value is None else repr(value) for _, value in (first, second)]
    elsewhere = f" (see also {locations[1]})" if len(set(locations)) > 1 else ""
    return refuse(
        "settings-clash",
        replace(locations[0], node=second[0]) if locations else Location(key=("tasks",), node=second[0]),
        f"nodes {first[0]!r} and {second[0]!r} share a pod ({because}), "
        f"but {dotted(key)} is {values[0]} for the first and {values[1]} for the second{elsewhere}.",
        "Give both the same value, or store the data between them where both pods can reach it.",
    )
