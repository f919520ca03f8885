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
def shadowed(subject: CheckContext) -> Iterator[RuleFinding]:
    task_rules = subject.task_rules
    nodes = [node for nodes in subject.project.pipelines.values() for node in nodes]
    effective = {
        layer
        for matching in {task_rules.matching_rules(node) for node in nodes}
        for layer in task_rules.origin_names(matching).values()
    }
    for name, told in subject.settings.tasks.items():
        if told is not None and name not in effective and told.model_fields_set - {"match"}:
            message = "has no effect: whatever it says, rules further down say of the same nodes."
            yield (
                subject.location_of("tasks", name),
                message,
                "Move it below them, narrow what they match, or remove it.",
            )


@rule(
    "profile-unused",
    "info",
    title="A profile that no rule names and no node's tag picks.",
    source="kedro-databricks#110, from the other side.",
)
def unused(subject: CheckContext) -> Iterator[RuleFinding]:
    tags = {tag for nodes in subject.project.pipelines.values() for node in nodes for tag in node.tags}
    named = {told.profile for told in subject.settings.tasks.values() if told is not None}
    for name, profile in subject.settings.profiles.items():
        if profile is not None and name not in named and f"{PROFILE_TAG_PREFIX}{name}" not in tags:
            message = f"is used by no rule, and no node has the tag {PROFILE_TAG_PREFIX + name!r}."
            yield subject.location_of("profiles", name), message, ""


@rule(
    "settings-dropped",
    "warning",
    title=("A key of the base settings that an overlay drops, because the project merges this file destructively."),
    source=(
        "kedro-databricks#37; destructive is what OmegaConfigLoader does unless it is told otherwise (kedro#3229)."
    ),
)
def dropped(subject: CheckContext) -> Iterator[RuleFinding]:
    contents = subject.sources.contents
    said = subject.project.settings or {}
    for place, (file, content) in enumerate(zip(subject.sources.files, contents, strict=True)):
        above = [other for other in contents[:place] if isinstance(other, dict)]
        if not isinstance(content, dict) or not above:
            continue
        lost = [
            path
            for path in _paths(content)
            if not path[0].startswith("_")  # Kedro's loader keeps those for itself
            and not _spelled(said, path)
            and not any(_spelled(other, path) or _nulled(other, path) for other in above)
        ]
        if lost:
            name = file.relative_to(subject.project.path).as_posix()
            key = ".".join(lost[0])
            message = "is dropped by the overlay, which replaces everything under its top key" + (
                f"; so are {len(lost) - 1} more." if len(lost) > 1 else "."
            )
            help_text = 'Merge softly: CONFIG_LOADER_ARGS = {"merge_strategy": {"k8s_airflow": "soft"}}.'
            yield Location(file=name, key=(key,)), message, help_text


def _paths(content: Mapping[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for key, value in content.items():
        if isinstance(value, dict) and value:
            yield from _paths(value, (*above, str(key)))
        else:
            yield (*above, str(key))


def _spelled(content: Any, path: Iterable[str]) -> bool:
    for part in path:
        if not isinstance(content, dict):
            return False
        match = next((key for key in content if str(key) == part), None)
        if match is None:
            return False
        content = content[match]
    return True


def _nulled(content: Any, path: Iterable[str]) -> bool:
    """Whether a file takes away a key, or something above it, by null or by another kind of value."""
    for part in path:
        if not isinstance(content, dict):
            return True
        match = next((key for key in content if str(key) == part), None)
        if match is None:
            return False
        content = content[match]
    return content is None
