"""Task ids and task groups: the names of a pipeline's groups in Airflow."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from kedro_k8s_airflow import names
from kedro_k8s_airflow.plan.ordering import find_cycles

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from kedro_k8s_airflow.plan.graph import Graph
    from kedro_k8s_airflow.plan.grouping import Grouping


def assign_task_ids(graph: Graph, grouped: Grouping) -> list[str]:
    """Return task ids: the node's name, else the group's, else the namespace if the group is all of it, else first-to-last."""
    sizes: dict[str, int] = defaultdict(int)
    for node in graph.nodes:
        for space in _iterate_namespaces(node.namespace):
            sizes[space] += 1
    candidates: list[tuple[str, list[str]]] = []
    for group in grouped.groups:
        members = [graph.nodes[index] for index in group.members]
        if len(members) == 1:
            candidates.append((members[0].name, [members[0].name]))
            continue
        group_names = {merge.name for merge in group.merges if merge.reason == "group"}
        space = _common_namespace([node.namespace for node in members])
        if len(group_names) == 1:
            name = group_names.pop()
        elif space and (
            sizes[space] == len(members)
            or any(merge.reason == "namespace" and merge.name == space for merge in group.merges)
        ):
            name = space
        else:
            name = f"{members[0].name}-to-{members[-1].name}"
        candidates.append((name, sorted(node.name for node in members)))
    ids = [names.to_airflow_key(name, node_names) for name, node_names in candidates]
    positions_by_id: dict[str, list[int]] = defaultdict(list)
    for position, task_id in enumerate(ids):
        positions_by_id[task_id].append(position)
    for positions in positions_by_id.values():
        # A single node keeps its own name; others with the same id get a hash of their members.
        for position in positions:
            if len(positions) > 1 and len(candidates[position][1]) > 1:
                ids[position] = f"{ids[position][: names.KEY_LIMIT - 9]}-{names.short_hash(candidates[position][1])}"
    return ids


def _iterate_namespaces(namespace: str | None) -> Iterable[str]:
    """Yield a namespace and all its parents."""
    while namespace:
        yield namespace
        namespace = namespace.rpartition(".")[0]


def _common_namespace(namespaces: Sequence[str | None]) -> str:
    """Return the longest namespace that holds all."""
    parts = [(namespace or "").split(".") for namespace in namespaces]
    common = []
    for level in zip(*parts, strict=False):
        if len(set(level)) > 1:
            break
        common.append(level[0])
    return ".".join(common)


def assign_task_groups(graph: Graph, grouped: Grouping, task_ids: set[str]) -> tuple[dict[int, str], dict[str, str]]:
    """Return the task group of each task by its position, and the namespace that each group shows.

    There is one for each top namespace, if there are two or more. A namespace on a cycle with other tasks is left out:
    Airflow's grid orders task groups as wholes and fails on a cycle of them.
    """
    tops: dict[int, str] = {}
    for position, group in enumerate(grouped.groups):
        spaces = {(graph.nodes[index].namespace or "").split(".")[0] for index in group.members}
        if len(spaces) == 1 and (space := spaces.pop()):
            tops[position] = space
    circular = _find_circular_namespaces(grouped, tops)
    shown = sorted(set(tops.values()) - circular)
    if len(shown) < 2:
        return {}, {}
    ids: dict[str, str] = {}
    # Airflow reserves the ids of a group's ends, such as <group>.upstream_join_id.
    reserved = task_ids | {task.partition(".upstream_join")[0] for task in task_ids}
    for space in shown:
        group_id = names.to_task_group_id(space)
        while group_id in reserved:
            group_id = f"{group_id[: names.GROUP_LIMIT - 9]}-{names.short_hash([space, group_id])}"
        reserved.add(group_id)
        ids[space] = group_id
    return {position: ids[space] for position, space in tops.items() if space in ids}, {
        group_id: space for space, group_id in ids.items()
    }


def _find_circular_namespaces(grouped: Grouping, tops: Mapping[int, str]) -> set[str]:
    """Return the namespaces on a cycle when each is one vertex."""
    edges: dict[object, set[object]] = {}
    for index, upstream in enumerate(grouped.upstream):
        vertex: object = tops.get(index, index)
        edges.setdefault(vertex, set())
        for other in upstream:
            predecessor: object = tops.get(other, other)
            if predecessor != vertex:
                edges.setdefault(predecessor, set()).add(vertex)
    return {vertex for cycle in find_cycles(edges) for vertex in cycle if isinstance(vertex, str)}
