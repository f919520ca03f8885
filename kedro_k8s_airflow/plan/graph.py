"""The graph of one pipeline: which node passes which dataset to which, and how far each dataset reaches.

Pure: nodes and resolved catalog entries in, a frozen graph out. Which nodes share a pod is decided in `grouping`.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from kedro_k8s_airflow.plan.reach import Reach, nearer_reach, reach_of_entry

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kedro_k8s_airflow.plan.reach import PodPaths
    from kedro_k8s_airflow.project.model import ProjectNode


# Keys by which a catalog entry in memory provides data without any node: the data itself, or a query for an engine.
_HELD = frozenset({"data", "sql"})


def is_parameter(dataset: str) -> bool:
    """Return whether a node's input is a parameter; parameters come with the project and are not passed between nodes."""
    return dataset == "parameters" or dataset.startswith("params:")


def base_name(dataset: str) -> str:
    """Return the dataset behind a transcoded name: `flights@pandas` and `flights@arrow` are one dataset, `flights`."""
    return dataset.split("@", 1)[0]


@dataclass(frozen=True, slots=True)
class GraphDataset:
    """One dataset of the pipeline, its transcoded forms taken together.

    Attributes:
        producer: index of the node that saves it, or None for an input of the pipeline.
        consumers: indices of the nodes that load it, ascending.
        provided: whether the catalog (or its `data:`) provides it without any node saving it.
    """

    name: str
    reach: Reach
    producer: int | None
    consumers: tuple[int, ...]
    provided: bool = False


@dataclass(frozen=True, slots=True)
class Graph:
    """Nodes of one pipeline and the datasets between them; nodes are identified by index."""

    nodes: tuple[ProjectNode, ...]
    datasets: Mapping[str, GraphDataset]
    parents: tuple[tuple[int, ...], ...]
    confirmed: tuple[tuple[str, int, int], ...]

    @property
    def children(self) -> list[list[int]]:
        """For each node, the nodes that depend on it directly, ascending."""
        children: list[list[int]] = [[] for _ in self.nodes]
        for index, parents in enumerate(self.parents):
            for parent in parents:
                children[parent].append(index)
        return children


def build_graph(
    nodes: Sequence[ProjectNode],
    entries: Mapping[str, Mapping[str, Any]],
    places: PodPaths,
    declared: Mapping[str, str],
) -> Graph:
    """Return the graph of a pipeline.

    Args:
        nodes: the pipeline's nodes, in any order.
        entries: resolved catalog entries of those datasets the catalog knows.
        places: where local paths lie in a pod.
        declared: reach by dataset name or glob from the settings; it overrides the catalog.
    """
    producers: dict[str, int] = {}
    consumers: dict[str, set[int]] = {}
    forms: dict[str, dict[str, None]] = {}
    for index, node in enumerate(nodes):
        for output in node.outputs:
            name = base_name(output)
            producers[name] = index
            forms.setdefault(name, {})[output] = None
        for given in node.inputs:
            if not is_parameter(given):
                name = base_name(given)
                consumers.setdefault(name, set()).add(index)
                forms.setdefault(name, {})[given] = None
    patterns = [name for name in declared if any(sign in name for sign in "*?[")]
    datasets: dict[str, GraphDataset] = {}
    parents: list[set[int]] = [set() for _ in nodes]
    for name in sorted(forms):
        reach, held = _reach(name, tuple(forms[name]), entries, places, declared, patterns)
        readers = tuple(sorted(consumers.get(name, ())))
        producer = producers.get(name)
        datasets[name] = GraphDataset(name, reach, producer, readers, held)
        if producer is not None:
            for reader in readers:
                parents[reader].add(producer)
    return Graph(
        nodes=tuple(nodes),
        datasets=datasets,
        parents=tuple(tuple(sorted(found)) for found in parents),
        confirmed=tuple(_confirmed(nodes, datasets)),
    )


def _reach(
    name: str,
    forms: tuple[str, ...],
    entries: Mapping[str, Mapping[str, Any]],
    places: PodPaths,
    declared: Mapping[str, str],
    patterns: Sequence[str],
) -> tuple[Reach, bool]:
    found = [reach_of_entry(entries.get(form), places) for form in forms]
    nearest = found[0]
    for other in found[1:]:
        nearest = nearer_reach(nearest, other)
    held = all(
        form in entries and (reach.kind != "memory" or not _HELD.isdisjoint(entries[form]))
        for form, reach in zip(forms, found, strict=True)
    )
    said = declared.get(name) or next((declared[pattern] for pattern in patterns if fnmatchcase(name, pattern)), None)
    if said is not None:
        plain = nearest.plain and said == "memory"
        reach = Reach(said, nearest.path, nearest.versioned, plain, nearest.protocol)  # type: ignore[arg-type]
        return reach, held or said != "memory"
    return nearest, held


def _confirmed(nodes: Sequence[ProjectNode], datasets: Mapping[str, GraphDataset]) -> list[tuple[str, int, int]]:
    """Return each dataset, the node that confirms it and each other node that loads it: the loading process keeps confirmations."""
    found: list[tuple[str, int, int]] = []
    for index, node in enumerate(nodes):
        for confirm in node.confirms:
            dataset = datasets.get(base_name(confirm))
            if dataset is not None:
                found.extend((dataset.name, index, reader) for reader in dataset.consumers if reader != index)
    return found
