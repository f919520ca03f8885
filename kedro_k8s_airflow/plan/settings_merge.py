"""The settings of a pod that runs several nodes: the largest value, the union, or a refusal where nodes contradict."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from kedro_k8s_airflow import quantities
from kedro_k8s_airflow.config.defaults import BUILT_IN
from kedro_k8s_airflow.findings import Refused, refuse
from kedro_k8s_airflow.locations import Location, dotted
from kedro_k8s_airflow.plan.model import pod_deadline
from kedro_k8s_airflow.plan.resolved_settings import ResolvedSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping, Sequence

# Keys of which nodes in one pod may have different values: the largest one counts. In everything else they must agree.
_LARGEST_KEYS = ("retries", "retry_delay", "execution_timeout", "priority_weight", "terminationGracePeriodSeconds")
SIZE_KEYS = frozenset({*_LARGEST_KEYS, "resources", "activeDeadlineSeconds"})
# Maps and lists that a pod can hold together, as long as no entry contradicts another.
_UNION_KEYS = frozenset(
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
_STRICT_KEYS = frozenset({"image", "runner"})


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeContext:
    """What merging needs besides the settings.

    Attributes:
        unset: the value of keys that a node's settings do not hold, such as the DAG's retries.
        cause: why the nodes share a pod, for messages.
        locate: returns where a key of a node's settings is set; None when no rule sets it.
    """

    unset: Mapping[str, Any]
    cause: str
    locate: Callable[[str, tuple[str, ...]], Location | None]


def compatibility_key(settings: Mapping[str, Any]) -> Hashable:
    """Return what nodes must have in common to share a pod by choice."""
    return json.dumps(
        {key: value for key, value in settings.items() if key not in SIZE_KEYS}, sort_keys=True, default=str
    )


def merge_settings(members: Sequence[tuple[str, ResolvedSettings]], context: MergeContext) -> ResolvedSettings:
    """Return the settings of a pod that runs several nodes: resources and times at their largest, the rest in agreement.

    Args:
        members: node names with their settings.
        context: what counts for keys that are not set, and words for messages.

    Raises:
        Refused: when two nodes' settings contradict each other.
    """
    first_name, result = members[0]
    distinct = {settings: name for name, settings in reversed(members)}
    for settings, name in reversed([*distinct.items()]):
        if settings is not result:
            result = ResolvedSettings(_merge_pair((first_name, result), (name, settings), context))
    return result


def _merge_pair(
    first: tuple[str, Mapping[str, Any]], second: tuple[str, Mapping[str, Any]], context: MergeContext
) -> dict[str, Any]:
    result = dict(first[1])
    for key in sorted(set(first[1]) | set(second[1])):
        left, right = first[1].get(key), second[1].get(key)
        if key in _STRICT_KEYS:
            left, right = left or context.unset[key], right or context.unset[key]
        if left == right and key != "activeDeadlineSeconds":
            continue
        if key == "activeDeadlineSeconds":
            deadlines = (pod_deadline(first[1]), pod_deadline(second[1]))
            result[key] = None if None in deadlines else max(end for end in deadlines if end is not None)
        elif key == "execution_timeout" and (left is None or right is None):
            result.pop(key, None)  # a node without a limit keeps none
        elif key in _LARGEST_KEYS:
            result[key] = max(context.unset[key] if value is None else value for value in (left, right))
        elif key == "resources":
            result[key] = _larger_resources(left or {}, right or {})
        elif key in BUILT_IN and not isinstance(BUILT_IN[key], dict) and BUILT_IN[key] in (left, right):
            result[key] = right if left == BUILT_IN[key] else left  # a rule wins over what is built in
        elif key in _UNION_KEYS:
            result[key] = _unite((first[0], left), (second[0], right), key, context)
        elif key not in _STRICT_KEYS and (left is None or right is None):
            result[key] = right if left is None else left
        else:
            raise _contradiction((first[0], left), (second[0], right), (key,), context)
    return result


def _larger_resources(left: Mapping[str, Any], right: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the larger of each; a resource that one node has no limit for has none, unless it is a device (`nvidia.com/gpu`)."""
    result: dict[str, dict[str, Any]] = {}
    for part in ("requests", "limits"):
        lefts, rights = left.get(part) or {}, right.get(part) or {}
        both = {
            resource: quantities.greater_quantity(lefts.get(resource, "0"), rights.get(resource, "0"))
            for resource in (*lefts, *(name for name in rights if name not in lefts))
            if part == "requests" or "/" in resource or (resource in lefts and resource in rights)
        }
        if both:
            result[part] = both
    return result


def _unite(first: tuple[str, Any], second: tuple[str, Any], key: str, context: MergeContext) -> Any:
    left, right = first[1] or type(second[1])(), second[1] or type(first[1])()
    if isinstance(left, dict):
        both = {**left, **right}
        for name in left:
            if name not in right or left[name] == right[name]:
                continue
            built_in = BUILT_IN["operator"].get(name) if key == "operator" else None
            if name.endswith("_timeout_seconds"):
                both[name] = max(left[name], right[name])
                continue
            if built_in is not None and built_in in (left[name], right[name]):
                both[name] = right[name] if left[name] == built_in else left[name]
                continue
            raise _contradiction((first[0], left[name]), (second[0], right[name]), (key, name), context)
        return both
    named = {item["name"]: item for item in left if "name" in item} if key in ("env", "volumes") else {}
    for item in right:
        if item.get("name") in named and named[item["name"]] != item:
            raise _contradiction((first[0], named[item["name"]]), (second[0], item), (key, item["name"]), context)
    return [*left, *(item for item in right if item not in left)]


def _contradiction(
    first: tuple[str, Any], second: tuple[str, Any], key: tuple[str, ...], context: MergeContext
) -> Refused:
    locations = {node: context.locate(node, key) for node, _ in (first, second)}
    set_by = [(node, location) for node, location in locations.items() if location is not None]
    values = ["not set" if value is None else repr(value) for _, value in (first, second)]
    others = sorted({str(location) for _, location in set_by[1:]} - {str(set_by[0][1])}) if set_by else []
    see_also = f" (see also {others[0]})" if others else ""
    return refuse(
        "settings-clash",
        replace(set_by[0][1], node=set_by[0][0]) if set_by else Location(key=("tasks",), node=first[0]),
        f"nodes {first[0]!r} and {second[0]!r} share a pod ({context.cause}), "
        f"but {dotted(key)} is {values[0]} for the first and {values[1]} for the second{see_also}.",
        "Give both the same value, or store the data between them where both pods can reach it.",
    )
