"""Topological order and cycles of a graph, in near-linear time and without recursion."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Vertex = TypeVar("Vertex")


def sort_topologically(
    edges: Mapping[Vertex, Iterable[Vertex]], rank: Mapping[Vertex, str] | None = None
) -> list[Vertex]:
    """Return the vertices so that each comes before its successors; those on a cycle, or behind one, are left out.

    Args:
        edges: the successors of every vertex.
        rank: of the vertices that are ready, the smallest comes next; any without it.
    """
    in_degree = dict.fromkeys(edges, 0)
    for successors in edges.values():
        for successor in successors:
            in_degree[successor] += 1
    position = {vertex: index for index, vertex in enumerate(edges)}
    # A heap of (rank, position): vertices themselves need not be comparable.
    ready = [
        (rank[vertex] if rank else "", position[vertex], vertex) for vertex, count in in_degree.items() if not count
    ]
    heapq.heapify(ready)
    order = []
    while ready:
        *_, vertex = heapq.heappop(ready)
        order.append(vertex)
        for successor in edges[vertex]:
            in_degree[successor] -= 1
            if not in_degree[successor]:
                heapq.heappush(ready, (rank[successor] if rank else "", position[successor], successor))
    return order


def find_cycles(edges: Mapping[Vertex, Iterable[Vertex]]) -> list[list[Vertex]]:
    """Return the strongly connected components of two or more vertices, each in the order of `edges`."""
    ordered = set(sort_topologically(edges))
    rest = [vertex for vertex in edges if vertex not in ordered]
    if not rest:
        return []
    import networkx  # slow to import, and most pipelines have no cycle

    position = {vertex: index for index, vertex in enumerate(edges)}
    digraph = networkx.DiGraph((vertex, other) for vertex in rest for other in edges[vertex])
    components = [
        sorted(component, key=position.__getitem__) for component in networkx.strongly_connected_components(digraph)
    ]
    return sorted(
        (component for component in components if len(component) > 1), key=lambda component: position[component[0]]
    )
