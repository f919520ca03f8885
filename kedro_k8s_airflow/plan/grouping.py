"""Grouping: which nodes run together in one pod, and why.

Three steps. First come nodes that must share a pod: data in memory, files on the pod's disk, confirmations. Then come the
groups of the settings. Last comes everything on a path between two merged nodes, because a pod cannot pause and wait for
another one. The result is acyclic by construction, and every merge keeps its reason.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from kedro_k8s_airflow.findings import Finding, error
from kedro_k8s_airflow.locations import Location
from kedro_k8s_airflow.plan.ordering import find_cycles, sort_topologically
from kedro_k8s_airflow.text import join_some, quote_names

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence

    from kedro_k8s_airflow.diagnostics import Diagnostics
    from kedro_k8s_airflow.plan.graph import Graph

MergeReason = Literal["memory", "pod", "confirms", "group", "namespace", "chain", "between"]
FORCED_REASONS: tuple[MergeReason, ...] = ("memory", "pod", "confirms")


@dataclass(frozen=True, slots=True)
class NodeMerge:
    """Why two nodes share a pod.

    Attributes:
        reason: why they are merged; `between` for nodes on a path between two merged nodes.
        name: the dataset, group or namespace; for `between`, the merges that closed a cycle, in words.
        first, second: indices of the two nodes.
    """

    reason: MergeReason
    name: str
    first: int
    second: int


@dataclass(frozen=True, slots=True)
class NodeGroup:
    """The nodes of one pod, in an order they can run in.

    Attributes:
        members: indices of the nodes.
        merges: why they are together; empty for a single node.
        name: the group's name in the settings, if it holds exactly the nodes of that group.
    """

    members: tuple[int, ...]
    merges: tuple[NodeMerge, ...] = ()
    name: str | None = None


@dataclass(frozen=True, slots=True, order=True)
class DeclinedGroup:
    """A group or namespace that was to be one pod and is several.

    Attributes:
        reason: `group` or `namespace`.
        name: name of the group or namespace.
        pods: how many pods it is, because its nodes' settings cannot share one; 0 when it is what lies between its nodes
            that cannot share their pod.
    """

    reason: MergeReason
    name: str
    pods: int = 0


@dataclass(frozen=True)
class Grouping:
    """All groups of a pipeline, in topological order, with the upstream groups of each.

    Raises:
        ValueError: when a node is not in exactly one group, or a group is upstream of an earlier one.
    """

    groups: tuple[NodeGroup, ...]
    upstream: tuple[tuple[int, ...], ...]
    declined: tuple[DeclinedGroup, ...] = ()
    _size: int = field(default=0, repr=False)

    def __post_init__(self) -> None:
        members = [member for group in self.groups for member in group.members]
        if sorted(members) != list(range(self._size)):
            raise ValueError("a grouping holds every node exactly once")
        if len(self.upstream) != len(self.groups) or any(
            index >= position for position, upstream in enumerate(self.upstream) for index in upstream
        ):
            raise ValueError("the groups of a grouping are in topological order")


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupingOptions:
    """The grouping that the settings ask for, beyond merges that are necessary.

    Attributes:
        group_by: `none` forbids every merge, `memory` allows only necessary ones.
        store: data in memory is stored between pods, so it forces no merge.
        pod_local: `refuse` makes it an error when nodes pass files on the pod's disk.
        nodes_by_group: nodes by group name.
        kinds: for each node, a value that nodes must share to be merged by choice (image, operator, ...).
    """

    group_by: Literal["none", "memory", "namespace", "chain"] = "memory"
    store: bool = False
    pod_local: Literal["fuse", "refuse"] = "fuse"
    nodes_by_group: Mapping[str, Sequence[int]] = field(default_factory=dict)
    kinds: Sequence[Hashable] = ()


class _Sets:
    """Disjoint sets of indices that remember why they were joined. Union by size, path halving: near-linear."""

    def __init__(self, size: int) -> None:
        self.parent = list(range(size))
        self.size = [1] * size
        self.merges: list[NodeMerge] = []

    def find(self, index: int) -> int:
        parent = self.parent
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    def join(self, merge: NodeMerge) -> None:
        self.merges.append(merge)  # also when the two are joined already: fixing one reason then shows the next
        first, second = self.find(merge.first), self.find(merge.second)
        if first == second:
            return
        if self.size[first] < self.size[second]:
            first, second = second, first
        self.parent[second] = first
        self.size[first] += self.size[second]


def group_nodes(graph: Graph, options: GroupingOptions, diagnostics: Diagnostics) -> Grouping | None:
    """Group the nodes of a graph.

    Returns:
        The grouping; None when nodes have to share a pod and the settings forbid it, which is reported.
    """
    forced = list(_find_forced_merges(graph, store=options.store))
    forbidden = list(_find_forbidden_merges(graph, forced, options))
    if forbidden:
        diagnostics.extend(forbidden)
        return None
    kinds = options.kinds or [None] * len(graph.nodes)
    has_chosen_merges = bool(options.nodes_by_group) or options.group_by == "namespace"
    chosen, declined = (
        _choose_merges(graph, options, _find_pod_kinds(graph, forced, kinds)) if has_chosen_merges else ([], set())
    )
    while True:
        sets = _Sets(len(graph.nodes))
        for merge in (*forced, *chosen):
            sets.join(merge)
        _join_cycles(graph, sets)
        clashing = dict.fromkeys(_find_clashing_merges(sets, chosen, kinds))
        if not clashing:
            break
        declined |= {DeclinedGroup(merge.reason, merge.name) for merge in clashing}
        chosen = [merge for merge in chosen if merge not in clashing]
    if options.group_by == "chain":
        _join_chains(graph, sets, kinds)
    return _build_grouping(graph, sets, options, tuple(sorted(declined)))


def _find_forced_merges(graph: Graph, *, store: bool) -> Iterable[NodeMerge]:
    for name, dataset in graph.datasets.items():
        if dataset.reach.kind == "memory" and store:
            continue
        if dataset.producer is not None and dataset.reach.kind in ("memory", "pod"):
            for reader in dataset.consumers:
                if reader != dataset.producer:
                    yield NodeMerge(dataset.reach.kind, name, dataset.producer, reader)
    for name, confirmer, reader in graph.confirmed:
        yield NodeMerge("confirms", name, confirmer, reader)


def _find_forbidden_merges(graph: Graph, forced: Sequence[NodeMerge], options: GroupingOptions) -> Iterable[Finding]:
    """Yield an error for each necessary merge that the settings forbid."""
    merges_by_cause: dict[tuple[str, str], list[NodeMerge]] = defaultdict(list)
    for merge in forced:
        if options.group_by == "none" or (merge.reason == "pod" and options.pod_local == "refuse"):
            merges_by_cause[merge.reason, merge.name].append(merge)
    for (reason, dataset), merges in merges_by_cause.items():
        first = graph.nodes[merges[0].first].name
        second = quote_names([graph.nodes[merge.second].name for merge in merges], shown=1)
        path = graph.datasets[dataset].reach.path
        if reason == "memory":
            message = f"is in memory, but {second} would load it in another pod than {first!r}, which saves it."
            help_text = "Give it a catalog entry on a volume or in an object store, set group_by: memory, or data.memory: store."
        elif reason == "pod":
            message = (
                f"is a file on the pod's own disk ({path}), but {second} would load it in another pod than {first!r}."
            )
            help_text = "Mount a volume over the path (data.volumes), or use a remote path."
        else:
            message = f"is confirmed by {first!r} and loaded by {second}, which must share a process."
            help_text = "Set group_by: memory."
        yield error(f"data-{reason}", Location(dataset=dataset), message, help_text)


def _find_pod_kinds(graph: Graph, forced: Sequence[NodeMerge], kinds: Sequence[Hashable]) -> list[Hashable]:
    """Return, for each node, the kind of the pod that necessary merges put it in; a pod of several kinds is a kind of its own."""
    sets = _Sets(len(graph.nodes))
    for merge in forced:
        sets.join(merge)
    _join_cycles(graph, sets)
    kinds_by_root: dict[int, set[Hashable]] = defaultdict(set)
    for index, kind in enumerate(kinds):
        kinds_by_root[sets.find(index)].add(kind)
    roots = [sets.find(index) for index in range(len(graph.nodes))]
    return [kinds[index] if len(kinds_by_root[root]) == 1 else ("mixed", root) for index, root in enumerate(roots)]


def _choose_merges(
    graph: Graph, options: GroupingOptions, kinds: Sequence[Hashable]
) -> tuple[list[NodeMerge], set[DeclinedGroup]]:
    """Return the merges that the settings ask for, between nodes of one kind, and the groups that were declined."""
    candidates: list[tuple[MergeReason, str, Sequence[int]]] = [
        ("group", name, members) for name, members in options.nodes_by_group.items()
    ]
    if options.group_by == "namespace":
        namespaces: dict[str, list[int]] = defaultdict(list)
        for index, node in enumerate(graph.nodes):
            if node.namespace:
                namespaces[node.namespace.split(".")[0]].append(index)
        candidates += [("namespace", name, members) for name, members in sorted(namespaces.items())]
    merges: list[NodeMerge] = []
    declined: set[DeclinedGroup] = set()
    for reason, name, members in candidates:
        by_kind: dict[Hashable, list[int]] = defaultdict(list)
        for index in members:
            by_kind[kinds[index]].append(index)
        if len(by_kind) > 1:
            declined.add(DeclinedGroup(reason, name, len(by_kind)))
        for same in by_kind.values():
            merges += [NodeMerge(reason, name, same[0], other) for other in same[1:]]
    return merges, declined


def _build_quotient_graph(graph: Graph, find: Callable[[int], int]) -> dict[int, set[int]]:
    """Return the edges between sets: root of the upstream set -> roots of its downstream sets."""
    edges: dict[int, set[int]] = {find(index): set() for index in range(len(graph.nodes))}
    for index, parents in enumerate(graph.parents):
        root = find(index)
        for parent in parents:
            other = find(parent)
            if other != root:
                edges[other].add(root)
    return edges


def _join_cycles(graph: Graph, sets: _Sets) -> None:
    """Join sets on a cycle: contract the strongly connected components."""
    reasons: dict[int, list[NodeMerge]] = defaultdict(list)
    cycles = find_cycles(_build_quotient_graph(graph, sets.find))
    for merge in sets.merges if cycles else ():
        reasons[sets.find(merge.first)].append(merge)
    for cycle in sorted(map(sorted, cycles)):
        causes = sorted({f"{merge.reason} {merge.name!r}" for root in cycle for merge in reasons[root]})
        for root in cycle[1:]:
            sets.join(NodeMerge("between", join_some(causes), cycle[0], root))


def _find_clashing_merges(sets: _Sets, chosen: Sequence[NodeMerge], kinds: Sequence[Hashable]) -> list[NodeMerge]:
    """Return the chosen merges in sets where contracting a cycle brought nodes of several kinds together."""
    between = {sets.find(merge.first) for merge in sets.merges if merge.reason == "between"}
    if not between or not chosen:
        return []
    kinds_by_root: dict[int, set[Hashable]] = defaultdict(set)
    for index, kind in enumerate(kinds):
        root = sets.find(index)
        if root in between:
            kinds_by_root[root].add(kind)
    return [merge for merge in chosen if len(kinds_by_root.get(sets.find(merge.first), ())) > 1]


def _join_chains(graph: Graph, sets: _Sets, kinds: Sequence[Hashable]) -> None:
    """Join each set with its only successor if that has no other predecessor; this loses no parallelism."""
    edges = _build_quotient_graph(graph, sets.find)
    predecessor_counts: dict[int, int] = defaultdict(int)
    for successors in edges.values():
        for successor in successors:
            predecessor_counts[successor] += 1
    kinds_by_root: dict[int, set[Hashable]] = defaultdict(set)
    for index, kind in enumerate(kinds):
        kinds_by_root[sets.find(index)].add(kind)
    links = [
        (root, successor)
        for root, successors in edges.items()
        if len(successors) == 1
        and predecessor_counts[successor := next(iter(successors))] == 1
        and kinds_by_root[root] == kinds_by_root[successor]
    ]
    for root, successor in links:
        sets.join(NodeMerge("chain", graph.nodes[successor].name, root, successor))


def _build_grouping(
    graph: Graph, sets: _Sets, options: GroupingOptions, declined: tuple[DeclinedGroup, ...]
) -> Grouping:
    members: dict[int, list[int]] = defaultdict(list)
    for index in range(len(graph.nodes)):
        members[sets.find(index)].append(index)
    merges: dict[int, list[NodeMerge]] = defaultdict(list)
    for merge in sets.merges:
        merges[sets.find(merge.first)].append(merge)
    names_by_members = {frozenset(nodes): name for name, nodes in options.nodes_by_group.items()}
    groups = {
        root: NodeGroup(
            _order_members(graph, indices),
            tuple(merges[root]),
            names_by_members.get(frozenset(indices)) if names_by_members and len(indices) > 1 else None,
        )
        for root, indices in members.items()
    }
    edges = _build_quotient_graph(graph, sets.find)
    order = sort_topologically(edges, {root: graph.nodes[group.members[0]].name for root, group in groups.items()})
    position = {root: index for index, root in enumerate(order)}
    upstream: list[set[int]] = [set() for _ in order]
    for root, successors in edges.items():
        for successor in successors:
            upstream[position[successor]].add(position[root])
    return Grouping(
        tuple(groups[root] for root in order),
        tuple(tuple(sorted(indices)) for indices in upstream),
        declined,
        len(graph.nodes),
    )


def _order_members(graph: Graph, members: list[int]) -> tuple[int, ...]:
    """Return the members in an order that depends only on the group, so that edits elsewhere never rename it."""
    if len(members) == 1:
        return tuple(members)
    member_set = set(members)
    edges: dict[int, set[int]] = {index: set() for index in members}
    for index in members:
        for parent in graph.parents[index]:
            if parent in member_set:
                edges[parent].add(index)
    return tuple(sort_topologically(edges, {index: graph.nodes[index].name for index in members}))
