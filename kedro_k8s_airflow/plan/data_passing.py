"""How data gets from pod to pod: what each task is told of memory, of versions and of the store, and what a user has to bring."""

from __future__ import annotations

import posixpath
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from kedro_k8s_airflow import names
from kedro_k8s_airflow.plan import graph as graphs
from kedro_k8s_airflow.plan import volumes
from kedro_k8s_airflow.plan.model import LocalInput, MemoryStore, Task, claim_over
from kedro_k8s_airflow.plan.resolved_settings import ResolvedSettings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from kedro_k8s_airflow.diagnostics import Diagnostics
    from kedro_k8s_airflow.plan.context import PlanContext
    from kedro_k8s_airflow.plan.graph import Graph
    from kedro_k8s_airflow.plan.model import Crossing, Mount
    from kedro_k8s_airflow.project import ProjectNode

CLEARING_TASK_ID = "remove_stored_data"
POD_LIMIT = 1_000_000


class PassedDatasets(NamedTuple):
    """What a pod is told of its datasets; see the attributes of `plan.Task` with these names."""

    memory: tuple[str, ...]
    stored: tuple[str, ...]
    versions: tuple[str, ...]
    latest: tuple[str, ...]


def passed_datasets(
    task_id: str, nodes: Iterable[ProjectNode], graph: Graph, crossings: Mapping[str, Crossing]
) -> PassedDatasets:
    """The datasets that a task keeps in memory, those it stores, and those whose version it has to choose.

    Args:
        task_id: of the task.
        nodes: that it runs.
        graph: they are part of.
        crossings: what goes from task to task, by dataset.
    """
    used = {name for node in nodes for name in (*node.inputs, *node.outputs) if not graphs.is_parameter(name)}
    found: list[set[str]] = [set(), set(), set(), set()]
    memory, stored, versions, latest = found
    for name in used:
        dataset = graph.datasets[graphs.base_name(name)]
        reach = dataset.reach
        if reach.versioned:
            (latest if dataset.producer is None else versions).add(name)
        if reach.kind != "memory":
            continue
        goes = crossings.get(dataset.name)
        if goes is not None and task_id in (goes.saved_by, *goes.loaded_by):
            stored.add(name)
        elif reach.plain:
            memory.add(dataset.name)
    return PassedDatasets(*(tuple(sorted(names)) for names in found))


def memory_store(context: PlanContext, mounts: Sequence[Mount], diagnostics: Diagnostics) -> MemoryStore:
    """Return the store of the settings; report a folder that pods cannot share."""
    settings = context.settings
    location = context.location_of("data", "store", "path")
    help_text = "Name a folder on a volume (data.volumes), or a URL such as s3://bucket/folder."
    path = settings.data.store.path or ""
    keep = int(settings.data.store.keep.total_seconds())
    protocol, separator, rest = path.partition("://")
    if separator and protocol.lower() == "memory":
        diagnostics.error("store", location, f"{path!r} is the memory of one process.", help_text)
    if separator and protocol.lower() not in ("file", "local"):
        return MemoryStore(path, keep)
    folder = volumes.path_in_pod(rest if separator else path, settings)
    innermost = claim_over(folder, mounts)
    if innermost is None or innermost.read_only:
        reason = "is not on a volume" if innermost is None else f"is on volume {innermost.name!r}, which is read-only"
        diagnostics.error("store", location, f"{path!r} {reason}, so other pods would not see it.", help_text)
    return MemoryStore(folder, keep)


def store_clearing_task(tasks: Sequence[Task], like: Task, taken: Iterable[str]) -> Task:
    """The task that removes what the others have stored, when all of them have succeeded.

    It waits for the last tasks; for every task when some start although one before them has failed.
    """
    task_rules = any(task.settings.get("trigger_rule") for task in tasks)
    followed = set() if task_rules else {other for task in tasks for other in task.upstream}
    task_id = (
        CLEARING_TASK_ID
        if CLEARING_TASK_ID not in set(taken)
        else f"{CLEARING_TASK_ID}-{names.short_hash([CLEARING_TASK_ID])}"
    )
    return replace(
        like,
        id=task_id,
        nodes=(),
        settings=ResolvedSettings(
            {key: value for key, value in like.settings.items() if key not in ("trigger_rule", "runner")}
        ),
        upstream=tuple(sorted(task.id for task in tasks if task.id not in followed)),
        group=None,
        label=names.to_label_value(task_id),
        rules=(),
        scratch=(),
        merge_causes=(),
        memory=(),
        stored=(),
        versions=(),
        latest=(),
        flags=("--remove-stored",),
    )


def kedro_run_limits(task: Task, given: Iterable[str]) -> Iterator[tuple[str, str]]:
    """What plain `kedro run` cannot do for a task, with the mend of each.

    Args:
        task: with `runner: kedro`.
        given: names of the parameters that the run has.
    """
    comma = next((name for name in task.nodes if "," in name), None)
    if comma is not None:
        message = f"runner: kedro passes node names to `kedro run --nodes`, which splits {comma!r} at its comma."
        yield message, "Rename the node, or leave the runner to us."
    parameters = sorted(given)
    if parameters:
        message = f"runner: kedro cannot be given the run's parameters ({', '.join(parameters[:3])})."
        yield message, "Offer none (dag.params, dag.macros, --params), or leave the runner to us."
    if task.stored:
        message = f"runner: kedro does not know the store, and {task.stored[0]!r} goes through it."
        yield message, "Leave the runner to us, or give the dataset a catalog entry."


def arguments_size(task: Task) -> int:
    """How much a pod is told, in bytes; more than `POD_LIMIT` does not fit."""
    told = (*task.nodes, *task.memory, *task.stored, *task.versions, *task.latest)
    return sum(len(name.encode()) + 20 for name in told)


def find_local_inputs(graph: Graph, mounts: Sequence[Mount], project_path: str) -> tuple[LocalInput, ...]:
    """What has to be on the volumes before the first run: files that nodes load and no node makes."""
    found = []
    for name, dataset in graph.datasets.items():
        path = dataset.reach.path
        if dataset.producer is not None or path is None or dataset.reach.kind != "shared":
            continue
        mount = claim_over(path, mounts)
        if mount is not None:
            inside = path == project_path or path.startswith(f"{project_path}/")
            here = posixpath.relpath(path, project_path) if inside else path
            found.append(LocalInput(name, path, mount.name, here))
    return tuple(found)
