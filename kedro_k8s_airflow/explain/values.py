"""Every value that a pod is told, and the layers of the settings behind it."""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from kedro_k8s_airflow.explain.context import SettingExplanation
from kedro_k8s_airflow.plan import provenance
from kedro_k8s_airflow.plan.settings_merge import SIZE_KEYS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from kedro_k8s_airflow.explain.context import ExplainContext
    from kedro_k8s_airflow.plan.model import Plan

    Matching = tuple[str, ...]

_UNITS = (("d", 86400), ("h", 3600), ("m", 60))
_NAMES_SHOWN = 3


class _Absent:
    """Stands for a value that is not there."""


_ABSENT = _Absent()


def explain_settings(
    subject: ExplainContext, plan: Plan, members: Sequence[tuple[str, Matching]], settings: Mapping[str, Any]
) -> list[SettingExplanation]:
    """Every leaf of what a pod is told, and every key that was taken away from it, sorted.

    Args:
        subject: what is asked about.
        plan: the DAG.
        members: the pod's nodes, with the names of the rules that match each.
        settings: the pod's settings.
    """
    nodes_of: dict[Matching, list[str]] = defaultdict(list)
    for name, matching in members or [("", ())]:
        nodes_of[matching].append(name)
    said = {path for matching in nodes_of for path in subject.task_rules.origins_of(matching)}
    paths = [path for path, value in provenance.iterate_leaves(settings) if value != {} or path in said]
    paths += sorted(path for path in said if not any(_touch(path, other) for other in paths))
    listed = [one for path in paths for one in _setting(subject, nodes_of, path, settings)]
    return sorted([*listed, *_of_the_dag(subject, plan, settings)], key=lambda one: one.key)


def _touch(one: provenance.Path, other: provenance.Path) -> bool:
    shorter = min(len(one), len(other))
    return one[:shorter] == other[:shorter]


def _setting(
    subject: ExplainContext,
    nodes_of: Mapping[Matching, Sequence[str]],
    path: provenance.Path,
    settings: Mapping[str, Any],
) -> Iterator[SettingExplanation]:
    value = _at(settings, path)
    same = [matching for matching in nodes_of if _at(subject.task_rules.settings_of(matching), path) == value]
    if value is _ABSENT and not same:
        return  # the task that clears the store is not told everything
    behind: dict[provenance.Origin, None] = {}
    for matching in same or nodes_of:
        origin = subject.task_rules.origins_of(matching).get(path)
        if origin is not None:
            behind[origin] = None
    where = (subject.sources.location_of(origin.settings_key(path)) for origin in behind if origin.layer)
    yield SettingExplanation(
        key=".".join(path),
        value=None if value is _ABSENT else to_yaml_value(value),
        source=tuple(map(str, behind)),
        locations=tuple(dict.fromkeys(where)),
        removed=value is _ABSENT,
        note=""
        if len(same) == len(nodes_of)
        else _joined(path, [name for one in same for name in nodes_of[one]], absent=value is _ABSENT),
    )


def _joined(path: provenance.Path, same: Sequence[str], *, absent: bool) -> str:
    """How the nodes of a pod, which are told different things, came to what these of them are told."""
    largest = path[0] in SIZE_KEYS
    if not same:
        return "the largest, counting what Airflow takes by itself" if largest else "of its nodes together"
    names = ", ".join(map(repr, same[:_NAMES_SHOWN]))
    more = f" and {len(same) - _NAMES_SHOWN} more" if len(same) > _NAMES_SHOWN else ""
    if absent:
        return f"as for {names}{more}"
    return f"{'the largest, of' if largest else 'of'} {names}{more}"


def _at(values: Any, path: provenance.Path) -> Any:
    for key in path:
        if not isinstance(values, dict) or key not in values:
            return _ABSENT
        values = values[key]
    return values


def _of_the_dag(subject: ExplainContext, plan: Plan, settings: Mapping[str, Any]) -> Iterator[SettingExplanation]:
    """What the DAG says of every task that has no word of its own on it."""
    own = subject.settings.dags.get(plan.name)
    for key in ("retries", "retry_delay"):
        if key in settings:
            continue
        place: tuple[str, ...] = ()
        if own is not None and key in own.model_fields_set:
            place = ("dags", plan.name, key)
        elif key in subject.settings.dag.model_fields_set:
            place = ("dag", key)
        by = ".".join(place[:-1]) or str(provenance.BUILT_IN_ORIGIN)
        yield SettingExplanation(
            key, to_yaml_value(getattr(plan.dag, key)), (by,), (subject.sources.location_of(place),) if place else ()
        )


def to_yaml_value(value: Any) -> Any:
    """A value as the settings file and JSON spell it."""
    if isinstance(value, dict):
        return {str(key): to_yaml_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_yaml_value(item) for item in value]
    if isinstance(value, timedelta):
        seconds = int(value.total_seconds())
        unit, size = next(((unit, size) for unit, size in _UNITS if seconds and seconds % size == 0), ("s", 1))
        return f"{seconds // size}{unit}"
    return value
