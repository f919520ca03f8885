"""Does the data arrive? What a pod reads has to be there, what it makes has to stay."""

from __future__ import annotations

import posixpath
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from kedro_k8s_airflow import graph as graphs
from kedro_k8s_airflow.findings import Finding, error

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from kedro_k8s_airflow.config import Settings
    from kedro_k8s_airflow.graph import Graph
    from kedro_k8s_airflow.plan import Crossing, Mount
    from kedro_k8s_airflow.project import Project


def ends(graph: Graph, settings: Settings, project: Project, mounts: Sequence[Mount]) -> Iterable[Finding]:
    """Errors for what a pod would look for in vain, and for what would be lost with the pod."""
    for name, dataset in graph.datasets.items():
        if dataset.producer is None:
            reader = graph.nodes[dataset.consumers[0]].name
            if dataset.reach.kind == "memory" and not dataset.held and not project.hooked:
                yield error(
                    "data-missing",
                    f"dataset {name!r}",
                    f"node {reader!r} loads it, but no node of the pipeline saves it and the catalog has no entry for it.",
                    "Add it to the catalog, or run the pipeline that makes it in the same DAG.",
                )
            elif dataset.reach.kind == "pod" and not _in_image(dataset.reach.path or "", settings):
                yield error(
                    "data-absent",
                    f"dataset {name!r}",
                    f"node {reader!r} loads {dataset.reach.path}, which no pod has.",
                    _mend(
                        dataset.reach.path, project, settings, "or name it in data.in_image if the image carries it."
                    ),
                )
        elif (mount := _read_only(dataset.reach.path, mounts)) is not None:
            yield error(
                "data-read-only",
                f"dataset {name!r}",
                f"node {graph.nodes[dataset.producer].name!r} saves {dataset.reach.path} on volume {mount!r}, which is mounted read-only.",
                "Take readOnly from the volume, or save it on another.",
            )
        elif not dataset.consumers and dataset.reach.kind == "pod" and not _discarded(name, settings):
            yield error(
                "data-lost",
                f"dataset {name!r}",
                f"node {graph.nodes[dataset.producer].name!r} saves {dataset.reach.path}, which is gone when its pod ends.",
                _mend(dataset.reach.path, project, settings, "or name it in data.discard."),
            )


def unknown(crossings: Iterable[Crossing]) -> Iterable[Finding]:
    """Errors for data that crosses between pods when nobody says whether both see the same."""
    for crossing in crossings:
        if crossing.reach.kind == "unknown":
            yield error(
                "data-unknown",
                f"dataset {crossing.dataset!r}",
                f"task {crossing.producer!r} saves it and {crossing.consumers[0]!r} loads it in another pod, "
                "but its catalog entry does not say whether they see the same data.",
                f"Say so in the settings: data.reach: {{{crossing.dataset}: shared}}, or pod if it is local.",
            )


def unmatched(project: Project, settings: Settings, file: str) -> Iterable[Finding]:
    """Errors for names under `data:` that no dataset of any pipeline has."""
    if not settings.data.reach and not settings.data.discard:
        return
    datasets = {
        graphs.base_name(name)
        for nodes in project.pipelines.values()
        for node in nodes
        for name in (*node.inputs, *node.outputs)
    }
    for key, patterns in (("reach", tuple(settings.data.reach)), ("discard", settings.data.discard)):
        for pattern in patterns:
            if pattern not in datasets and not any(fnmatchcase(name, pattern) for name in datasets):
                yield error(
                    "data-unmatched",
                    f"{file}: data.{key}",
                    f"{pattern!r} matches no dataset of any registered pipeline.",
                    "Mend the name or remove it.",
                )


def _read_only(path: str | None, mounts: Sequence[Mount]) -> str | None:
    """The read-only volume that a path lies on, if it does; of nested mounts the innermost counts."""
    over = [
        mount for mount in mounts if mount.claim and path and (path == mount.path or path.startswith(f"{mount.path}/"))
    ]
    innermost = max(over, key=lambda mount: len(mount.path), default=None)
    return innermost.name if innermost is not None and innermost.read_only else None


def _mend(path: str | None, project: Project, settings: Settings, other: str) -> str:
    """What to do about a local file that no volume covers."""
    if (path or "").startswith(f"{project.path.as_posix()}/"):
        return "It is an absolute path of this machine: write it relative to the project."
    if "\\" in (path or ""):
        return "Pods run Linux: spell the path with '/'."
    if posixpath.dirname(path or "") == settings.project_path:
        return f"Keep it in a folder that holds only data and cover that by a volume (data.volumes), use a remote path, {other}"
    return f"Cover the path by a volume (data.volumes), use a remote path, {other}"


def _in_image(path: str, settings: Settings) -> bool:
    for pattern in settings.data.in_image:
        place = posixpath.normpath(posixpath.join(settings.project_path, pattern))
        if path == place or path.startswith(place + "/") or fnmatchcase(path, place):
            return True
    return False


def _discarded(dataset: str, settings: Settings) -> bool:
    return any(dataset == pattern or fnmatchcase(dataset, pattern) for pattern in settings.data.discard)
