"""Rules: which settings a node gets. The settings of several nodes in one pod are merged in `settings_merge`.

Each layer overrides the one before: built-in defaults, then the user's rules in file order, each with its profile below it.
Profiles that nodes pick by tag come before the first rule with a `match`. Maps are merged, lists replaced, null removes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from fnmatch import translate
from typing import TYPE_CHECKING, Any

from kedro_k8s_airflow import quantities
from kedro_k8s_airflow.config.defaults import BUILT_IN
from kedro_k8s_airflow.config.models import Match
from kedro_k8s_airflow.findings import Finding, error
from kedro_k8s_airflow.locations import Location
from kedro_k8s_airflow.plan.graph import base_name
from kedro_k8s_airflow.plan.provenance import (
    BUILT_IN_ORIGIN,
    PROFILE_TAG_PREFIX,
    KeyPath,
    Origin,
    iterate_leaves,
    trace_origins,
)
from kedro_k8s_airflow.plan.resolved_settings import ResolvedSettings
from kedro_k8s_airflow.text import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from kedro_k8s_airflow.config.loader import SettingsSources
    from kedro_k8s_airflow.config.models import Settings, TaskSettings
    from kedro_k8s_airflow.project.model import ProjectNode


def overlay(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Return `above` over `below`: maps are merged, everything else is replaced, null inside a map removes the key."""
    result = dict(below)
    for key, value in above.items():
        if isinstance(value, dict):
            old = result.get(key)
            result[key] = overlay(old if isinstance(old, dict) else {}, value)
        elif value is None:
            result.pop(key, None)
        else:
            result[key] = value
    return result


class _Matcher:
    """Decides whether a node matches; patterns are compiled once."""

    def __init__(self, match: Match, pipelines_of: Mapping[str, frozenset[str]]) -> None:
        self.node = _compile_globs(match.node)
        self.reads = _compile_globs(match.reads)
        self.writes = _compile_globs(match.writes)
        self.tags = frozenset(match.tag) if match.tag is not None else None
        self.namespaces = match.namespace
        self.pipelines = frozenset(match.pipeline) if match.pipeline is not None else None
        self.pipelines_of = pipelines_of

    def __call__(self, node: ProjectNode) -> bool:
        return (
            (self.node is None or bool(self.node.match(node.name)))
            and (self.tags is None or not self.tags.isdisjoint(node.tags))
            and (self.namespaces is None or any(_is_in_namespace(node.namespace, name) for name in self.namespaces))
            and (self.pipelines is None or not self.pipelines.isdisjoint(self.pipelines_of.get(node.name, ())))
            and (self.reads is None or _matches_any(self.reads, node.inputs))
            and (self.writes is None or _matches_any(self.writes, node.outputs))
        )


def _compile_globs(patterns: Sequence[str] | None) -> re.Pattern[str] | None:
    return None if patterns is None else re.compile("|".join(translate(pattern) for pattern in patterns))


def _matches_any(pattern: re.Pattern[str], datasets: Iterable[str]) -> bool:
    return any(pattern.match(name) or pattern.match(base_name(name)) for name in datasets)


def _is_in_namespace(namespace: str | None, name: str) -> bool:
    return namespace is not None and (namespace == name or namespace.startswith(f"{name}."))


@dataclass(frozen=True)
class SettingsLayer:
    """The settings of one rule or profile.

    Attributes:
        origin: which rule or profile it is.
        matcher: which nodes it is for; None is all.
        values: the keys it sets.
    """

    origin: Origin
    matcher: _Matcher | None
    values: Mapping[str, Any]


@dataclass(frozen=True)
class TaskRules:
    """The user's rules and groups, resolved for nodes."""

    layers: tuple[SettingsLayer, ...]
    groups: tuple[tuple[str, _Matcher], ...]
    base: ResolvedSettings
    sources: SettingsSources
    findings: tuple[Finding, ...] = ()
    _resolved: dict[tuple[str, ...], ResolvedSettings] = field(default_factory=dict)
    _origins: dict[tuple[str, ...], Mapping[KeyPath, Origin]] = field(default_factory=dict)

    def matching_rules(self, node: ProjectNode) -> tuple[str, ...]:
        """Return the names of the rules that match a node, in file order; a profile picked by tag is `k8s.<profile>`."""
        rule_names = (layer.origin.layer for layer in self.layers if layer.matcher is not None and layer.matcher(node))
        return tuple(dict.fromkeys(rule_names))

    def union_of(self, rules_of_nodes: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
        """Return the rule names of several nodes, each once, in file order."""
        all_names = {name for matching in rules_of_nodes for name in matching}
        return tuple(dict.fromkeys(layer.origin.layer for layer in self.layers if layer.origin.layer in all_names))

    def settings_of(self, matching: tuple[str, ...]) -> ResolvedSettings:
        """Return the settings of nodes with these rules."""
        if not matching:
            return self.base
        if matching not in self._resolved:
            self._resolved[matching] = _resolve_layers(layer.values for layer in self._layers_of(matching))
        return self._resolved[matching]

    def _layers_of(self, matching: tuple[str, ...]) -> Iterable[SettingsLayer]:
        return (layer for layer in self.layers if layer.matcher is None or layer.origin.layer in matching)

    def origins_of(self, matching: tuple[str, ...]) -> Mapping[KeyPath, Origin]:
        """Return the layer that set, or removed, each leaf of the settings of nodes with these rules."""
        if matching not in self._origins:
            layers = ((layer.origin, layer.values) for layer in self._layers_of(matching))
            origins = trace_origins([(BUILT_IN_ORIGIN, BUILT_IN), *layers])
            for path, value in iterate_leaves({"resources": dict(self.settings_of(matching).get("resources") or {})}):
                if (
                    path[1:2] == ("requests",)
                    and origins.get(path) == BUILT_IN_ORIGIN
                    and value != _built_in_value(path)
                ):
                    origins[path] = replace(origins[path[0], "limits", path[2]], limit=True)
            self._origins[matching] = origins
        return self._origins[matching]

    def origin_names(self, matching: tuple[str, ...]) -> Mapping[str, str]:
        """Return the same by dotted key and layer name: a rule, `k8s.<profile>`, or "" for a built-in default."""
        return {".".join(path): origin.layer for path, origin in self.origins_of(matching).items()}

    def location_of(self, matching: tuple[str, ...], key: KeyPath) -> Location | None:
        """Return where the value of a key, or of something below it, is set for nodes of these rules; None if it is built in.

        Lists are set as a whole, so the rest of a key that leads into one is added to that of the list.
        """
        for path, origin in self.origins_of(matching).items():
            if origin.layer and path[: len(key)] == key[: len(path)]:
                return self.sources.location_of(origin.settings_key((*path, *key[len(path) :])))
        return None

    def nodes_by_group(self, nodes: Sequence[ProjectNode]) -> dict[str, list[int]]:
        """Return the indices of the nodes in each group of the settings; a node belongs to the first group that matches it."""
        members: dict[str, list[int]] = {}
        for index, node in enumerate(nodes):
            for name, matcher in self.groups:
                if matcher(node):
                    members.setdefault(name, []).append(index)
                    break
        return members


def _built_in_value(path: KeyPath) -> Any:
    value: Any = BUILT_IN
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def build_task_rules(
    settings: Settings, pipelines: Mapping[str, tuple[ProjectNode, ...]], sources: SettingsSources
) -> TaskRules:
    """Return the rules of the settings, with errors for those that match no node or name an unknown profile."""
    pipelines_of: dict[str, set[str]] = {}
    for pipeline, nodes in pipelines.items():
        for node in nodes:
            pipelines_of.setdefault(node.name, set()).add(pipeline)
    pipelines_by_node = {name: frozenset(names) for name, names in pipelines_of.items()}
    all_nodes = [node for nodes in pipelines.values() for node in nodes]
    profiles = {name: _explicit_settings(profile) for name, profile in settings.profiles.items() if profile is not None}
    layers: list[SettingsLayer] = []
    findings: list[Finding] = list(_find_unknown_tags(all_nodes, profiles, sources))
    for name, rule in settings.tasks.items():
        if rule is not None:
            matcher = None if rule.match is None else _Matcher(rule.match, pipelines_by_node)
            if rule.profile in profiles:
                layers.append(SettingsLayer(Origin(name, rule.profile), matcher, profiles[rule.profile]))
            elif rule.profile is not None:
                findings.append(
                    _unknown_profile_error(
                        sources.location_of(("tasks", name, "profile")), "names", rule.profile, profiles, sources
                    )
                )
            layers.append(SettingsLayer(Origin(name), matcher, _explicit_settings(rule)))
            findings += _find_unmatched(sources, ("tasks", name, "match"), rule.match, matcher, all_nodes)
    first = next((index for index, layer in enumerate(layers) if layer.matcher is not None), len(layers))
    layers[first:first] = [
        SettingsLayer(
            Origin(f"{PROFILE_TAG_PREFIX}{name}", name),
            _Matcher(Match(tag=(f"{PROFILE_TAG_PREFIX}{name}",)), pipelines_by_node),
            values,
        )
        for name, values in profiles.items()
    ]
    groups = []
    for name, match in settings.groups.items():
        if match is not None:
            groups.append((name, _Matcher(match, pipelines_by_node)))
            findings += _find_unmatched(sources, ("groups", name), match, groups[-1][1], all_nodes)
    base = _resolve_layers(layer.values for layer in layers if layer.matcher is None)
    return TaskRules(tuple(layers), tuple(groups), base, sources, tuple(findings))


def _explicit_settings(settings: TaskSettings) -> dict[str, Any]:
    return settings.model_dump(exclude_unset=True, exclude={"match", "profile"})


def _find_unknown_tags(
    nodes: Iterable[ProjectNode], profiles: Mapping[str, Any], sources: SettingsSources
) -> Iterable[Finding]:
    """Yield an error for each tag that picks an unknown profile, with the first node that has it."""
    reported: set[str] = set()
    for node in nodes:
        for tag in sorted(node.tags):
            if (
                tag.startswith(PROFILE_TAG_PREFIX)
                and tag.removeprefix(PROFILE_TAG_PREFIX) not in profiles
                and tag not in reported
            ):
                reported.add(tag)
                yield _unknown_profile_error(
                    Location(node=node.name),
                    f"has the tag {tag!r} for",
                    tag.removeprefix(PROFILE_TAG_PREFIX),
                    profiles,
                    sources,
                )


def _unknown_profile_error(
    location: Location, predicate: str, profile: str, profiles: Mapping[str, Any], sources: SettingsSources
) -> Finding:
    known = f"Defined are {', '.join(profiles)}." if profiles else "No profile is defined; add it under `profiles:`."
    guess = did_you_mean(profile, profiles)
    return error(
        "profile-unknown",
        location,
        f"{predicate} profile {profile!r}, which {sources.file_of(('profiles',))} does not define.",
        f"{guess} {known}" if guess else known,
    )


def _find_unmatched(
    sources: SettingsSources,
    key: Sequence[str],
    match: Match | None,
    matcher: _Matcher | None,
    nodes: Sequence[ProjectNode],
) -> list[Finding]:
    if matcher is None or match is None or any(matcher(node) for node in nodes):
        return []
    criteria = ", ".join(
        f"{name} {value[0] if len(value) == 1 else list(value)!r}"
        for name, value in match.model_dump(exclude_none=True).items()
    )
    return [
        error(
            "rule-unmatched",
            sources.location_of(key),
            f"{criteria} matches no node in any registered pipeline.",
            "Correct the match or remove it.",
        )
    ]


def _resolve_layers(layers: Iterable[Mapping[str, Any]]) -> ResolvedSettings:
    result: dict[str, Any] = BUILT_IN
    no_deadline = False
    user_requests: set[str] = set()
    for layer in layers:
        user_requests.update((layer.get("resources") or {}).get("requests") or {})
        if "activeDeadlineSeconds" in layer:
            no_deadline = layer["activeDeadlineSeconds"] is None
        result = overlay(result, layer)
    if no_deadline:
        result = {**result, "activeDeadlineSeconds": None}
    limits = (result.get("resources") or {}).get("limits") or {}
    lowered_requests = {
        name: limits[name]
        for name, amount in (result.get("resources", {}).get("requests") or {}).items()
        if name not in user_requests
        and name in limits
        and quantities.parse_quantity(amount) > quantities.parse_quantity(limits[name])
    }
    # A built-in request is lowered to a limit that the user set.
    return ResolvedSettings(
        overlay(result, {"resources": {"requests": lowered_requests}}) if lowered_requests else result
    )
