"""Checks of the settings: what has no effect, and what is lost when the files are merged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kedro_k8s_airflow.checks.registry import rule
from kedro_k8s_airflow.locations import Location
from kedro_k8s_airflow.plan.provenance import PROFILE_TAG_PREFIX
from kedro_k8s_airflow.text import count_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from kedro_k8s_airflow.checks.registry import CheckContext, RuleFinding


@rule(
    "rule-shadowed",
    "warning",
    title="A rule without effect, because later rules override all its settings for every node that it matches.",
    source="kedro-databricks#110, an override that was silently ignored.",
)
def find_shadowed_rules(context: CheckContext) -> Iterator[RuleFinding]:
    task_rules = context.task_rules
    nodes = [node for nodes in context.project.pipelines.values() for node in nodes]
    effective = {
        layer
        for matching in {task_rules.matching_rules(node) for node in nodes}
        for layer in task_rules.origin_names(matching).values()
    }
    for name, task_settings in context.settings.tasks.items():
        if task_settings is not None and name not in effective and task_settings.model_fields_set - {"match"}:
            message = "has no effect, because later rules override all its settings for the same nodes."
            yield (
                context.location_of("tasks", name),
                message,
                "Move it below those rules, make them match fewer nodes, or remove it.",
            )


@rule(
    "profile-unused",
    "info",
    title="A profile that no rule uses and no node's tag selects.",
    source="kedro-databricks#110, a similar case.",
)
def find_unused_profiles(context: CheckContext) -> Iterator[RuleFinding]:
    tags = {tag for nodes in context.project.pipelines.values() for node in nodes for tag in node.tags}
    named_profiles = {
        task_settings.profile for task_settings in context.settings.tasks.values() if task_settings is not None
    }
    for name, profile in context.settings.profiles.items():
        if profile is not None and name not in named_profiles and f"{PROFILE_TAG_PREFIX}{name}" not in tags:
            message = f"is not used: no rule names it, and no node has the tag {PROFILE_TAG_PREFIX + name!r}."
            yield context.location_of("profiles", name), message, ""


@rule(
    "settings-dropped",
    "warning",
    title="A key of the base settings that an environment's file drops, because the files are merged destructively.",
    source="kedro-databricks#37. A destructive merge is the default of OmegaConfigLoader (kedro#3229).",
)
def find_dropped_keys(context: CheckContext) -> Iterator[RuleFinding]:
    contents = context.sources.contents
    merged = context.project.settings or {}
    for index, (file, content) in enumerate(zip(context.sources.files, contents, strict=True)):
        overlays = [other for other in contents[:index] if isinstance(other, dict)]
        if not isinstance(content, dict) or not overlays:
            continue
        dropped_paths = [
            path
            for path in _key_paths(content)
            if not path[0].startswith("_")  # reserved by Kedro's loader
            and not _has_key(merged, path)
            and not any(_has_key(other, path) or _removes_key(other, path) for other in overlays)
        ]
        if dropped_paths:
            name = file.relative_to(context.project.path).as_posix()
            more = f", with {count_of(len(dropped_paths) - 1, 'other key')}" if len(dropped_paths) > 1 else ""
            message = f"is dropped{more}, because the file of another environment replaces everything under its top-level key."
            help_text = 'Use a soft merge: CONFIG_LOADER_ARGS = {"merge_strategy": {"k8s_airflow": "soft"}}.'
            yield Location(file=name, key=dropped_paths[0]), message, help_text


def _key_paths(content: Mapping[str, Any], prefix: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for key, value in content.items():
        if isinstance(value, dict) and value:
            yield from _key_paths(value, (*prefix, str(key)))
        else:
            yield (*prefix, str(key))


def _has_key(content: Any, path: Iterable[str]) -> bool:
    for part in path:
        if not isinstance(content, dict):
            return False
        match = next((key for key in content if str(key) == part), None)
        if match is None:
            return False
        content = content[match]
    return True


def _removes_key(content: Any, path: Iterable[str]) -> bool:
    """Return whether a file removes a key or one of its parents, by null or by another kind of value."""
    for part in path:
        if not isinstance(content, dict):
            return True
        match = next((key for key in content if str(key) == part), None)
        if match is None:
            return False
        content = content[match]
    return content is None
