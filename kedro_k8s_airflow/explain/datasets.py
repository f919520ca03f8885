"""Explanations of datasets: their reach and its reason, the nodes that save and load them, their storage."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from kedro_k8s_airflow.explain.context import DatasetExplanation, DatasetFlow, NodeUse
from kedro_k8s_airflow.plan.graph import base_name
from kedro_k8s_airflow.plan.model import find_claim

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kedro_k8s_airflow.explain.context import ExplainContext
    from kedro_k8s_airflow.plan.graph import GraphDataset
    from kedro_k8s_airflow.plan.model import Crossing, Plan, Task


def dataset_forms(plan: Plan, dataset: GraphDataset) -> tuple[str, ...]:
    """Return the names under which nodes load and save the dataset."""
    users = [plan.graph.nodes[index] for index in dataset.consumers]
    if dataset.producer is not None:
        users.append(plan.graph.nodes[dataset.producer])
    return tuple(
        sorted({name for node in users for name in (*node.inputs, *node.outputs) if base_name(name) == dataset.name})
    )


def explain_dataset(context: ExplainContext, plan: Plan, dataset: GraphDataset) -> DatasetExplanation:
    """Return the explanation of one dataset of a plan."""
    writer, readers = _find_users(context, plan, dataset)
    crossing = _find_crossing(plan, dataset)
    return DatasetExplanation(
        dag=plan.dag_id,
        name=dataset.name,
        names=dataset_forms(plan, dataset),
        reach=dataset.reach.kind,
        reach_reason=_explain_reach(context, plan, dataset),
        path=dataset.reach.path,
        saved_by=writer,
        loaded_by=readers,
        passed_between_tasks=crossing is not None,
        storage=_describe_transfer(plan, dataset, writer, crossing),
        versioned=dataset.reach.versioned,
        version_choice=_describe_versions(dataset),
    )


def dataset_flow(context: ExplainContext, plan: Plan, task: Task, name: str) -> DatasetFlow:
    """Return where a dataset of a task is stored, and which other tasks save or load it."""
    dataset = plan.graph.datasets[name]
    writer, readers = _find_users(context, plan, dataset)
    if writer is not None and writer.task != task.id:
        return DatasetFlow(name, _storage_of(plan, dataset), (writer.task,))
    loading = {reader.task for reader in readers} - {task.id} if writer is not None else set()
    return DatasetFlow(name, _storage_of(plan, dataset), tuple(sorted(loading)))


def _find_users(
    context: ExplainContext, plan: Plan, dataset: GraphDataset
) -> tuple[NodeUse | None, tuple[NodeUse, ...]]:
    def list_uses(index: int, *, loads: bool) -> Iterator[NodeUse]:
        node = plan.graph.nodes[index]
        for form in node.inputs if loads else node.outputs:
            if base_name(form) == dataset.name:
                yield NodeUse(node.name, context.task_of_node[plan.dag_id, node.name], form)

    readers = tuple(use for index in dataset.consumers for use in list_uses(index, loads=True))
    return None if dataset.producer is None else next(list_uses(dataset.producer, loads=False)), readers


def _find_crossing(plan: Plan, dataset: GraphDataset) -> Crossing | None:
    return next((crossing for crossing in plan.crossings if crossing.dataset == dataset.name), None)


def _explain_reach(context: ExplainContext, plan: Plan, dataset: GraphDataset) -> str:
    declared = context.settings.data.reach
    key = dataset.name if dataset.name in declared else None
    patterns = (
        name for name in declared if any(character in name for character in "*?[") and fnmatchcase(dataset.name, name)
    )
    key = key or next(patterns, None)
    if key is not None:
        return f"set by data.reach.{key} in {context.sources.file_of(('data', 'reach', key))}"
    entries = context.project.catalog.resolve_entries(dataset_forms(plan, dataset))
    kinds = sorted({str(entry.get("type")) for entry in entries.values()})
    kind = f" ({', '.join(kinds)})" if kinds else ""
    path, mount = dataset.reach.path, find_claim(dataset.reach.path, plan.mounts)
    if not entries:
        return "it has no catalog entry"
    if dataset.reach.kind == "memory":
        return f"its catalog entry keeps it in memory{kind}"
    if mount is not None:
        return f"its path {path} is on volume {mount.name!r}{kind}"
    if path is not None:
        return f"its path {path} is not on a volume{kind}"
    if dataset.reach.kind == "shared":
        return f"its catalog entry refers to a server or an object store{kind}"
    return f"its catalog entry does not show where the data is{kind}"


def _storage_of(plan: Plan, dataset: GraphDataset) -> str:
    """Return where a dataset is stored."""
    path, mount = dataset.reach.path, find_claim(dataset.reach.path, plan.mounts)
    if dataset.reach.kind == "memory":
        is_stored = plan.store is not None and _find_crossing(plan, dataset) is not None
        return f"a pickle in the store {plan.store.url}" if is_stored and plan.store is not None else "memory"
    if dataset.reach.kind == "pod":
        return f"the pod's disk, {path}" if path else "the pod's disk"
    if mount is not None:
        return f"volume {mount.name!r} (claim {mount.claim}), {path}"
    if path is not None:
        return f"{path}, which data.reach declares shared by all pods"
    return "a server or an object store" if dataset.reach.kind == "shared" else "an unknown location"


def _describe_transfer(plan: Plan, dataset: GraphDataset, writer: NodeUse | None, crossing: Crossing | None) -> str:
    storage = _storage_of(plan, dataset)
    if writer is None:
        local_input = next((candidate for candidate in plan.local_inputs if candidate.dataset == dataset.name), None)
        if local_input is not None:
            return f"no task saves it; {local_input.local_path} must be on volume {local_input.mount!r} before the first run"
        return f"no task saves it; it is loaded from {storage}"
    if crossing is not None:
        return f"passes between tasks via {storage}"
    if dataset.reach.kind == "memory":
        return f"stays in the memory of task {writer.task!r}"
    if dataset.reach.kind == "pod":
        return f"stays on the disk of the pod of task {writer.task!r}, and is lost when the pod ends"
    return f"no other task loads it; it is saved to {storage}"


def _describe_versions(dataset: GraphDataset) -> str:
    if not dataset.reach.versioned:
        return ""
    if dataset.producer is None:
        return "no task saves it, so the latest version that is not later than the DAG run is loaded"
    return "each try saves a version of its own; tasks of this DAG load the latest version saved by the same DAG run"
