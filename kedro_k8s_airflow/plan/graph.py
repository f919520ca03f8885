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
_DATA_KEYS = frozenset({"data", "sql"})


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
    pod_paths: PodPaths,
    declared: Mapping[str, str],
) -> Graph:
    """Return the graph of a pipeline.

    Args:
        nodes: the pipeline's nodes, in any order.
        entries: resolved catalog entries of those datasets the catalog knows.
        pod_paths: where local paths lie in a pod.
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
        for input_name in node.inputs:
            if not is_parameter(input_name):
                name = base_name(input_name)
                consumers.setdefault(name, set()).add(index)
                forms.setdefault(name, {})[input_name] = None
    patterns = [name for name in declared if any(sign in name for sign in "*?[")]
    datasets: dict[str, GraphDataset] = {}
    parents: list[set[int]] = [set() for _ in nodes]
    for name in sorted(forms):
        reach, provided = _find_reach(name, tuple(forms[name]), entries, pod_paths, declared, patterns)
        readers = tuple(sorted(consumers.get(name, ())))
        producer = producers.get(name)
        datasets[name] = GraphDataset(name, reach, producer, readers, provided)
        if producer is not None:
            for reader in readers:
                parents[reader].add(producer)
    return Graph(
        nodes=tuple(nodes),
        datasets=datasets,
        parents=tuple(tuple(sorted(indices)) for indices in parents),
        confirmed=tuple(_find_confirmed(nodes, datasets)),
    )


def _find_reach(
    name: str,
    forms: tuple[str, ...],
    entries: Mapping[str, Mapping[str, Any]],
    pod_paths: PodPaths,
    declared: Mapping[str, str],
    patterns: Sequence[str],
) -> tuple[Reach, bool]:
    reaches = [reach_of_entry(entries.get(form), pod_paths) for form in forms]
    nearest = reaches[0]
    for other in reaches[1:]:
        nearest = nearer_reach(nearest, other)
    provided = all(
        form in entries and (reach.kind != "memory" or not _DATA_KEYS.isdisjoint(entries[form]))
        for form, reach in zip(forms, reaches, strict=True)
    )
    declared_kind = declared.get(name) or next(
        (declared[pattern] for pattern in patterns if fnmatchcase(name, pattern)), None
    )
    if declared_kind is not None:
        plain = nearest.plain and declared_kind == "memory"
        reach = Reach(declared_kind, nearest.path, nearest.versioned, plain, nearest.protocol)  # type: ignore[arg-type]
        return reach, provided or declared_kind != "memory"
    return nearest, provided


def _find_confirmed(nodes: Sequence[ProjectNode], datasets: Mapping[str, GraphDataset]) -> list[tuple[str, int, int]]:
    """Return each dataset, the node that confirms it and each other node that loads it: the loading process keeps confirmations."""
    confirmed: list[tuple[str, int, int]] = []
    for index, node in enumerate(nodes):
        for confirm in node.confirms:
            dataset = datasets.get(base_name(confirm))
            if dataset is not None:
                confirmed.extend((dataset.name, index, reader) for reader in dataset.consumers if reader != index)
    return confirmed
