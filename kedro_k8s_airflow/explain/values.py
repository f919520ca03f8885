"""The effective settings of a pod, and the layers of the settings that set each of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from kedro_k8s_airflow.explain.context import SettingExplanation
from kedro_k8s_airflow.plan import provenance
from kedro_k8s_airflow.plan.settings_merge import SIZE_KEYS
from kedro_k8s_airflow.text import quote_names

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kedro_k8s_airflow.explain.context import ExplainContext
    from kedro_k8s_airflow.plan.model import Plan

    RuleNames = tuple[str, ...]

_UNITS = (("d", 86400), ("h", 3600), ("m", 60))


class _Absent:
    """Stands for a missing value."""


_ABSENT = _Absent()


def explain_settings(
    context: ExplainContext, plan: Plan, members: Sequence[tuple[str, RuleNames]], settings: Mapping[str, Any]
) -> list[SettingExplanation]:
    """Return every setting of a pod and every key removed from its settings, sorted by key.

    Args:
        context: the plans, and what they were made from.
        plan: the DAG.
        members: the pod's nodes, each with the names of the rules that match it.
        settings: the pod's settings.
    """
    nodes_of: dict[RuleNames, list[str]] = defaultdict(list)
    for name, matching in members or [("", ())]:
        nodes_of[matching].append(name)
    origin_paths = {path for matching in nodes_of for path in context.task_rules.origins_of(matching)}
    paths = [path for path, value in provenance.iterate_leaves(settings) if value != {} or path in origin_paths]
    paths += sorted(path for path in origin_paths if not any(_overlap(path, other) for other in paths))
    explanations = [setting for path in paths for setting in _explain_setting(context, nodes_of, path, settings)]
    return sorted([*explanations, *_explain_dag_settings(context, plan, settings)], key=lambda one: one.key)


def _overlap(path: provenance.KeyPath, other: provenance.KeyPath) -> bool:
    shorter = min(len(path), len(other))
    return path[:shorter] == other[:shorter]


def _explain_setting(
    context: ExplainContext,
    nodes_of: Mapping[RuleNames, Sequence[str]],
    path: provenance.KeyPath,
    settings: Mapping[str, Any],
) -> Iterator[SettingExplanation]:
    value = _value_at(settings, path)
    same = [matching for matching in nodes_of if _value_at(context.task_rules.settings_of(matching), path) == value]
    if value is _ABSENT and not same:
        return  # the task that clears the store has only some of the settings
    origins: dict[provenance.Origin, None] = {}
    for matching in same or nodes_of:
        origin = context.task_rules.origins_of(matching).get(path)
        if origin is not None:
            origins[origin] = None
    locations = (context.sources.location_of(origin.settings_key(path)) for origin in origins if origin.layer)
    yield SettingExplanation(
        key=".".join(path),
        value=None if value is _ABSENT else to_yaml_value(value),
        source=tuple(map(str, origins)),
        locations=tuple(dict.fromkeys(locations)),
        removed=value is _ABSENT,
        note=""
        if len(same) == len(nodes_of)
        else _describe_merge(
            path, [name for rule_names in same for name in nodes_of[rule_names]], absent=value is _ABSENT
        ),
    )


def _describe_merge(path: provenance.KeyPath, same: Sequence[str], *, absent: bool) -> str:
    """Describe how the setting of a pod was chosen from those of its nodes, which differ."""
    is_size = path[0] in SIZE_KEYS
    if not same:
        return "largest value, including Airflow's default" if is_size else "combined from its nodes"
    if absent:
        return f"not set for {quote_names(same)}"
    return f"{'largest value, from' if is_size else 'from'} {quote_names(same)}"


def _value_at(values: Any, path: provenance.KeyPath) -> Any:
    for key in path:
        if not isinstance(values, Mapping) or key not in values:
            return _ABSENT
        values = values[key]
    return values


def _explain_dag_settings(
    context: ExplainContext, plan: Plan, settings: Mapping[str, Any]
) -> Iterator[SettingExplanation]:
    """Yield the settings that a task takes from the DAG because no rule sets them."""
    dag_settings = context.settings.dags.get(plan.name)
    for key in ("retries", "retry_delay"):
        if key in settings:
            continue
        key_path: tuple[str, ...] = ()
        if dag_settings is not None and key in dag_settings.model_fields_set:
            key_path = ("dags", plan.name, key)
        elif key in context.settings.dag.model_fields_set:
            key_path = ("dag", key)
        layer = ".".join(key_path[:-1]) or str(provenance.BUILT_IN_ORIGIN)
        yield SettingExplanation(
            key,
            to_yaml_value(getattr(plan.dag, key)),
            (layer,),
            (context.sources.location_of(key_path),) if key_path else (),
        )


def to_yaml_value(value: Any) -> Any:
    """Return a value as the settings file and JSON spell it."""
    if isinstance(value, dict):
        return {str(key): to_yaml_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_yaml_value(item) for item in value]
    if isinstance(value, timedelta):
        seconds = int(value.total_seconds())
        unit, size = next(((unit, size) for unit, size in _UNITS if seconds and seconds % size == 0), ("s", 1))
        return f"{seconds // size}{unit}"
    return value
