"""Checks of the settings: what does nothing, and what is not there any more when the files are laid over each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kedro_k8s_airflow.checks.registry import rule
from kedro_k8s_airflow.locations import Location
from kedro_k8s_airflow.plan.provenance import PROFILE_TAG_PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from kedro_k8s_airflow.checks.registry import CheckContext, RuleFinding


@rule(
    "rule-shadowed",
    "warning",
    title="A rule that has no effect: for every node that it matches, later rules say all that it says.",
    source="kedro-databricks#110, an override that was ignored in silence.",
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
            message = "has no effect: whatever it says, rules further down say of the same nodes."
            yield (
                context.location_of("tasks", name),
                message,
                "Move it below them, narrow what they match, or remove it.",
            )


@rule(
    "profile-unused",
    "info",
    title="A profile that no rule names and no node's tag picks.",
    source="kedro-databricks#110, from the other side.",
)
def find_unused_profiles(context: CheckContext) -> Iterator[RuleFinding]:
    tags = {tag for nodes in context.project.pipelines.values() for node in nodes for tag in node.tags}
    named_profiles = {
        task_settings.profile for task_settings in context.settings.tasks.values() if task_settings is not None
    }
    for name, profile in context.settings.profiles.items():
        if profile is not None and name not in named_profiles and f"{PROFILE_TAG_PREFIX}{name}" not in tags:
            message = f"is used by no rule, and no node has the tag {PROFILE_TAG_PREFIX + name!r}."
            yield context.location_of("profiles", name), message, ""


@rule(
    "settings-dropped",
    "warning",
    title=("A key of the base settings that an overlay drops, because the project merges this file destructively."),
    source=(
        "kedro-databricks#37; destructive is what OmegaConfigLoader does unless it is told otherwise (kedro#3229)."
    ),
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
            if not path[0].startswith("_")  # Kedro's loader keeps those for itself
            and not _has_key(merged, path)
            and not any(_has_key(other, path) or _removes_key(other, path) for other in overlays)
        ]
        if dropped_paths:
            name = file.relative_to(context.project.path).as_posix()
            key = ".".join(dropped_paths[0])
            message = "is dropped by the overlay, which replaces everything under its top key" + (
                f"; so are {len(dropped_paths) - 1} more." if len(dropped_paths) > 1 else "."
            )
            help_text = 'Merge softly: CONFIG_LOADER_ARGS = {"merge_strategy": {"k8s_airflow": "soft"}}.'
            yield Location(file=name, key=(key,)), message, help_text


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
    """Whether a file takes away a key, or something above it, by null or by another kind of value."""
    for part in path:
        if not isinstance(content, dict):
            return True
        match = next((key for key in content if str(key) == part), None)
        if match is None:
            return False
        content = content[match]
    return content is None
