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
from kedro_k8s_airflow.plan.ordering import find_cycles, topological_order
from kedro_k8s_airflow.text import join_some, quote_names

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence

    from kedro_k8s_airflow.diagnostics import Diagnostics
    from kedro_k8s_airflow.plan.graph import Graph

MergeReason = Literal["memory", "pod", "confirms", "group", "namespace", "chain", "between"]
FORCED: tuple[MergeReason, ...] = ("memory", "pod", "confirms")


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
            index >= position for position, waits in enumerate(self.upstream) for index in waits
        ):
            raise ValueError("the groups of a grouping are in topological order")


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupingOptions:
    """The grouping that the settings ask for, beyond merges that are necessary.

    Attributes:
        group_by: `none` forbids every merge, `memory` allows only necessary ones.
        store: data in memory is stored between pods, so it forces no merge.
        pod_local: `refuse` makes it an error when nodes pass files on the pod's disk.
        named: nodes by group name.
        kinds: for each node, a value that nodes must share to be merged by choice (image, operator, ...).
    """

    group_by: Literal["none", "memory", "namespace", "chain"] = "memory"
    store: bool = False
    pod_local: Literal["fuse", "refuse"] = "fuse"
    named: Mapping[str, Sequence[int]] = field(default_factory=dict)
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
    forced = list(_forced_merges(graph, store=options.store))
    forbidden = list(_forbidden_merges(graph, forced, options))
    if forbidden:
        diagnostics.extend(forbidden)
        return None
    kinds = options.kinds or [None] * len(graph.nodes)
    asks = bool(options.named) or options.group_by == "namespace"
    chosen, declined = _chosen_merges(graph, options, _pod_kinds(graph, forced, kinds)) if asks else ([], set())
    while True:
        sets = _Sets(len(graph.nodes))
        for merge in (*forced, *chosen):
            sets.join(merge)
        _join_cycles(graph, sets)
        clashing = dict.fromkeys(_clashing_merges(sets, chosen, kinds))
        if not clashing:
            break
        declined |= {DeclinedGroup(merge.reason, merge.name) for merge in clashing}
        chosen = [merge for merge in chosen if merge not in clashing]
    if options.group_by == "chain":
        _join_chains(graph, sets, kinds)
    return _build_grouping(graph, sets, options, tuple(sorted(declined)))


def _forced_merges(graph: Graph, *, store: bool) -> Iterable[NodeMerge]:
    for name, dataset in graph.datasets.items():
        if dataset.reach.kind == "memory" and store:
            continue
        if dataset.producer is not None and dataset.reach.kind in ("memory", "pod"):
            for reader in dataset.consumers:
                if reader != dataset.producer:
                    yield NodeMerge(dataset.reach.kind, name, dataset.producer, reader)
    for name, confirmer, reader in graph.confirmed:
        yield NodeMerge("confirms", name, confirmer, reader)


def _forbidden_merges(graph: Graph, forced: Sequence[NodeMerge], wishes: GroupingOptions) -> Iterable[Finding]:
    """Yield an error for each necessary merge that the settings forbid."""
    seen: dict[tuple[str, str], list[NodeMerge]] = defaultdict(list)
    for merge in forced:
        if wishes.group_by == "none" or (merge.reason == "pod" and wishes.pod_local == "refuse"):
            seen[merge.reason, merge.name].append(merge)
    for (rule, dataset), merges in seen.items():
        first = graph.nodes[merges[0].first].name
        second = quote_names([graph.nodes[merge.second].name for merge in merges], shown=1)
        path = graph.datasets[dataset].reach.path
        if rule == "memory":
            message = f"is in memory, but {second} would load it in another pod than {first!r}, which saves it."
            help_text = "Give it a catalog entry on a volume or in an object store, set group_by: memory, or data.memory: store."
        elif rule == "pod":
            message = (
                f"is a file on the pod's own disk ({path}), but {second} would load it in another pod than {first!r}."
            )
            help_text = "Mount a volume over the path (data.volumes), or use a remote path."
        else:
            message = f"is confirmed by {first!r} and loaded by {second}, which must share a process."
            help_text = "Set group_by: memory."
        yield error(f"data-{rule}", Location(dataset=dataset), message, help_text)


def _pod_kinds(graph: Graph, forced: Sequence[NodeMerge], kinds: Sequence[Hashable]) -> list[Hashable]:
    """Return, for each node, the kind of the pod that necessary merges put it in; a pod of several kinds is a kind of its own."""
    sets = _Sets(len(graph.nodes))
    for merge in forced:
        sets.join(merge)
    _join_cycles(graph, sets)
    found: dict[int, set[Hashable]] = defaultdict(set)
    for index, kind in enumerate(kinds):
        found[sets.find(index)].add(kind)
    roots = [sets.find(index) for index in range(len(graph.nodes))]
    return [kinds[index] if len(found[root]) == 1 else ("mixed", root) for index, root in enumerate(roots)]


def _chosen_merges(
    graph: Graph, wishes: GroupingOptions, kinds: Sequence[Hashable]
) -> tuple[list[NodeMerge], set[DeclinedGroup]]:
    """Return the merges that the settings ask for, between nodes of one kind, and the groups that were declined."""
    wanted: list[tuple[MergeReason, str, Sequence[int]]] = [
        ("group", name, members) for name, members in wishes.named.items()
    ]
    if wishes.group_by == "namespace":
        spaces: dict[str, list[int]] = defaultdict(list)
        for index, node in enumerate(graph.nodes):
            if node.namespace:
                spaces[node.namespace.split(".")[0]].append(index)
        wanted += [("namespace", name, members) for name, members in sorted(spaces.items())]
    merges: list[NodeMerge] = []
    declined: set[DeclinedGroup] = set()
    for rule, name, members in wanted:
        by_kind: dict[Hashable, list[int]] = defaultdict(list)
        for index in members:
            by_kind[kinds[index]].append(index)
        if len(by_kind) > 1:
            declined.add(DeclinedGroup(rule, name, len(by_kind)))
        for same in by_kind.values():
            merges += [NodeMerge(rule, name, same[0], other) for other in same[1:]]
    return merges, declined


def _quotient(graph: Graph, find: Callable[[int], int]) -> dict[int, set[int]]:
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
    cycles = find_cycles(_quotient(graph, sets.find))
    for merge in sets.merges if cycles else ():
        reasons[sets.find(merge.first)].append(merge)
    for cycle in sorted(map(sorted, cycles)):
        causes = sorted({f"{merge.reason} {merge.name!r}" for root in cycle for merge in reasons[root]})
        for root in cycle[1:]:
            sets.join(NodeMerge("between", join_some(causes), cycle[0], root))


def _clashing_merges(sets: _Sets, chosen: Sequence[NodeMerge], kinds: Sequence[Hashable]) -> list[NodeMerge]:
    """Return the chosen merges in sets where contracting a cycle brought nodes of several kinds together."""
    between = {sets.find(merge.first) for merge in sets.merges if merge.reason == "between"}
    if not between or not chosen:
        return []
    found: dict[int, set[Hashable]] = defaultdict(set)
    for index, kind in enumerate(kinds):
        root = sets.find(index)
        if root in between:
            found[root].add(kind)
    return [merge for merge in chosen if len(found.get(sets.find(merge.first), ())) > 1]


def _join_chains(graph: Graph, sets: _Sets, kinds: Sequence[Hashable]) -> None:
    """Join each set with its only successor if that has no other predecessor; this loses no parallelism."""
    edges = _quotient(graph, sets.find)
    before: dict[int, int] = defaultdict(int)
    for successors in edges.values():
        for successor in successors:
            before[successor] += 1
    members: dict[int, set[Hashable]] = defaultdict(set)
    for index, kind in enumerate(kinds):
        members[sets.find(index)].add(kind)
    links = [
        (root, successor)
        for root, successors in edges.items()
        if len(successors) == 1
        and before[successor := next(iter(successors))] == 1
        and members[root] == members[successor]
    ]
    for root, successor in links:
        sets.join(NodeMerge("chain", graph.nodes[successor].name, root, successor))


def _build_grouping(
    graph: Graph, sets: _Sets, wishes: GroupingOptions, declined: tuple[DeclinedGroup, ...]
) -> Grouping:
    members: dict[int, list[int]] = defaultdict(list)
    for index in range(len(graph.nodes)):
        members[sets.find(index)].append(index)
    merges: dict[int, list[NodeMerge]] = defaultdict(list)
    for merge in sets.merges:
        merges[sets.find(merge.first)].append(merge)
    request = {frozenset(nodes): name for name, nodes in wishes.named.items()}
    groups = {
        root: NodeGroup(
            _inner_order(graph, found),
            tuple(merges[root]),
            request.get(frozenset(found)) if request and len(found) > 1 else None,
        )
        for root, found in members.items()
    }
    edges = _quotient(graph, sets.find)
    order = topological_order(edges, {root: graph.nodes[found.members[0]].name for root, found in groups.items()})
    position = {root: place for place, root in enumerate(order)}
    after: list[set[int]] = [set() for _ in order]
    for root, successors in edges.items():
        for successor in successors:
            after[position[successor]].add(position[root])
    return Grouping(
        tuple(groups[root] for root in order),
        tuple(tuple(sorted(waits)) for waits in after),
        declined,
        len(graph.nodes),
    )


def _inner_order(graph: Graph, members: list[int]) -> tuple[int, ...]:
    """Return the members in an order that depends only on the group, so that edits elsewhere never rename it."""
    if len(members) == 1:
        return tuple(members)
    inside = set(members)
    edges: dict[int, set[int]] = {index: set() for index in members}
    for index in members:
        for parent in graph.parents[index]:
            if parent in inside:
                edges[parent].add(index)
    return tuple(topological_order(edges, {index: graph.nodes[index].name for index in members}))
