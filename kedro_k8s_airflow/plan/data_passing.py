"""How data gets from pod to pod: memory, versions and the store of each task, and the inputs that users have to upload."""

from __future__ import annotations

import posixpath
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from kedro_k8s_airflow import names
from kedro_k8s_airflow.plan import volumes
from kedro_k8s_airflow.plan.graph import base_name, is_parameter
from kedro_k8s_airflow.plan.model import LocalInput, MemoryStore, Task, find_claim
from kedro_k8s_airflow.plan.resolved_settings import ResolvedSettings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from kedro_k8s_airflow.diagnostics import Diagnostics
    from kedro_k8s_airflow.plan.context import PlanContext
    from kedro_k8s_airflow.plan.graph import Graph
    from kedro_k8s_airflow.plan.model import Crossing, Mount
    from kedro_k8s_airflow.project.model import ProjectNode

CLEARING_TASK_ID = "remove_stored_data"
ARGUMENTS_LIMIT = 1_000_000


class PassedDatasets(NamedTuple):
    """The datasets that a pod handles specially; see the attributes of `plan.model.Task` with these names."""

    memory: tuple[str, ...]
    stored: tuple[str, ...]
    versions: tuple[str, ...]
    latest: tuple[str, ...]


def find_passed_datasets(
    task_id: str, nodes: Iterable[ProjectNode], graph: Graph, crossings: Mapping[str, Crossing]
) -> PassedDatasets:
    """Return the datasets that a task keeps in memory, those it stores, and those whose version it chooses.

    Args:
        task_id: id of the task.
        nodes: its nodes.
        graph: the pipeline's graph.
        crossings: datasets passed between tasks, by name.
    """
    used = {name for node in nodes for name in (*node.inputs, *node.outputs) if not is_parameter(name)}
    name_sets: list[set[str]] = [set(), set(), set(), set()]
    memory, stored, versions, latest = name_sets
    for name in used:
        dataset = graph.datasets[base_name(name)]
        reach = dataset.reach
        if reach.versioned:
            (latest if dataset.producer is None else versions).add(name)
        if reach.kind != "memory":
            continue
        crossing = crossings.get(dataset.name)
        if crossing is not None and task_id in (crossing.saved_by, *crossing.loaded_by):
            stored.add(name)
        elif reach.plain:
            memory.add(dataset.name)
    return PassedDatasets(*(tuple(sorted(dataset_names)) for dataset_names in name_sets))


def resolve_memory_store(context: PlanContext, mounts: Sequence[Mount], diagnostics: Diagnostics) -> MemoryStore:
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
    innermost = find_claim(folder, mounts)
    if innermost is None or innermost.read_only:
        reason = "is not on a volume" if innermost is None else f"is on volume {innermost.name!r}, which is read-only"
        diagnostics.error("store", location, f"{path!r} {reason}, so other pods would not see it.", help_text)
    return MemoryStore(folder, keep)


def build_clearing_task(tasks: Sequence[Task], template: Task, used_ids: Iterable[str]) -> Task:
    """Return the task that empties the store after all others have succeeded.

    It is downstream of the last tasks, or of every task if a trigger rule lets some start after a failure.
    """
    has_trigger_rule = any(task.settings.get("trigger_rule") for task in tasks)
    ids_with_downstream = set() if has_trigger_rule else {other for task in tasks for other in task.upstream}
    task_id = (
        CLEARING_TASK_ID
        if CLEARING_TASK_ID not in set(used_ids)
        else f"{CLEARING_TASK_ID}-{names.short_hash([CLEARING_TASK_ID])}"
    )
    return replace(
        template,
        id=task_id,
        nodes=(),
        settings=ResolvedSettings(
            {key: value for key, value in template.settings.items() if key not in ("trigger_rule", "runner")}
        ),
        upstream=tuple(sorted(task.id for task in tasks if task.id not in ids_with_downstream)),
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


def find_kedro_run_limits(task: Task, parameter_names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield what plain `kedro run` cannot do for a task, each with a fix.

    Args:
        task: with `runner: kedro`.
        parameter_names: names of the run's parameters.
    """
    comma = next((name for name in task.nodes if "," in name), None)
    if comma is not None:
        message = f"runner: kedro passes node names to `kedro run --nodes`, which splits {comma!r} at its comma."
        yield message, "Rename the node, or remove `runner: kedro`."
    parameters = sorted(parameter_names)
    if parameters:
        message = f"runner: kedro cannot be given the run's parameters ({', '.join(parameters[:3])})."
        yield message, "Set none (dag.params, dag.macros, --params), or remove `runner: kedro`."
    if task.stored:
        message = f"runner: kedro does not support the store, but {task.stored[0]!r} goes through it."
        yield message, "Remove `runner: kedro`, or give the dataset a catalog entry."


def arguments_size(task: Task) -> int:
    """Return the size of a pod's arguments in bytes; more than `ARGUMENTS_LIMIT` does not fit."""
    arguments = (*task.nodes, *task.memory, *task.stored, *task.versions, *task.latest)
    return sum(len(name.encode()) + 20 for name in arguments)


def find_local_inputs(graph: Graph, mounts: Sequence[Mount], project_path: str) -> tuple[LocalInput, ...]:
    """Return what must be on the volumes before the first run: files that nodes load and no node saves."""
    local_inputs = []
    for name, dataset in graph.datasets.items():
        path = dataset.reach.path
        if dataset.producer is not None or path is None or dataset.reach.kind != "shared":
            continue
        mount = find_claim(path, mounts)
        if mount is not None:
            in_project = path == project_path or path.startswith(f"{project_path}/")
            local_path = posixpath.relpath(path, project_path) if in_project else path
            local_inputs.append(LocalInput(name, path, mount.name, local_path))
    return tuple(local_inputs)
