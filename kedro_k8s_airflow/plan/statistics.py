"""Statistics of a plan: steps, parallelism, critical path, and where data between tasks is stored.

Pure and in linear time: a chain of 20,000 tasks works.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from kedro_k8s_airflow import quantities
from kedro_k8s_airflow.plan.model import find_claim

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from kedro_k8s_airflow.plan.model import Crossing, MemoryStore, Mount, Plan, Task

StorageKind = Literal["volume", "object-store", "server", "store", "declared", "unknown"]
_OBJECT_STORES = frozenset(
    {"abfs", "abfss", "adl", "az", "gcs", "gs", "oci", "oss", "r2", "s3", "s3a", "s3n", "wasb", "wasbs"}
)


@dataclass(frozen=True, slots=True)
class StorageLocation:
    """Where a dataset is stored between tasks.

    Attributes:
        kind: volume, object store, server, store (pickled data of memory), declared (the settings say `shared` in
            data.reach) or unknown (neither catalog nor settings say; `create` refuses it).
        volume: name of the volume, for data on one.
        path: absolute path in the pod, for local data.
        protocol: such as `s3` or `postgresql`, for remote data, if the catalog says.
    """

    kind: StorageKind
    volume: str | None = None
    path: str | None = None
    protocol: str | None = None


@dataclass(frozen=True, kw_only=True)
class PlanStatistics:
    """Statistics of a plan.

    Attributes:
        steps: tasks by step: those without upstream tasks first, every other task one step after its last upstream task.
        step_of: number of its step by task id, from 1.
        widest_step: number of the step with the most tasks, the first of several. Its tasks can run at the same time. More
            can run in parallel where branches have different lengths: the largest set of independent tasks is not computed,
            because that takes too long for thousands of tasks.
        critical_path: ids of the longest chain of tasks, by number of tasks since durations are unknown; of several, the one
            whose tasks come first in the plan.
        peak_requests: for each resource, the most that the pods of one step request together, sorted.
        top_namespaces: top namespace of each task whose nodes are all in one, by task id.
        storage: where each dataset passed between tasks is stored, by name.
    """

    steps: tuple[tuple[Task, ...], ...]
    step_of: Mapping[str, int]
    widest_step: int
    critical_path: tuple[str, ...]
    peak_requests: Mapping[str, str]
    top_namespaces: Mapping[str, str]
    storage: Mapping[str, StorageLocation]


def compute_plan_statistics(plan: Plan) -> PlanStatistics:
    """Return the statistics of a plan."""
    step_of: dict[str, int] = {}
    previous: dict[str, str] = {}
    position_of = {task.id: position for position, task in enumerate(plan.tasks)}
    for task in plan.tasks:
        last = min(task.upstream, key=lambda other: (-step_of[other], position_of[other]), default=None)
        step_of[task.id] = 1 if last is None else step_of[last] + 1
        if last is not None:
            previous[task.id] = last
    steps: list[list[Task]] = [[] for _ in range(max(step_of.values(), default=0))]
    for task in plan.tasks:
        steps[step_of[task.id] - 1].append(task)
    return PlanStatistics(
        steps=tuple(map(tuple, steps)),
        step_of=step_of,
        widest_step=max(range(len(steps)), key=lambda step: len(steps[step]), default=-1) + 1,
        critical_path=_trace_chain(steps[-1][0].id, previous) if steps else (),
        peak_requests=_sum_peak_requests(steps),
        top_namespaces=_find_top_namespaces(plan),
        storage={crossing.dataset: _locate_dataset(crossing, plan) for crossing in plan.crossings},
    )


def _trace_chain(last: str, previous: Mapping[str, str]) -> tuple[str, ...]:
    chain = [last]
    while chain[-1] in previous:
        chain.append(previous[chain[-1]])
    return tuple(reversed(chain))


def pod_requests(settings: Mapping[str, Any]) -> dict[str, str | float]:
    """Return what the scheduler reserves for a pod: its requests, and its limits where it has no request."""
    resources = settings.get("resources") or {}
    return {**(resources.get("limits") or {}), **(resources.get("requests") or {})}


def _sum_peak_requests(steps: Iterable[Sequence[Task]]) -> dict[str, str]:
    peak: dict[str, str] = {}
    for step in steps:
        tasks_by_settings: dict[int, list[Task]] = defaultdict(list)
        for task in step:
            tasks_by_settings[id(task.settings)].append(task)
        amounts_by_resource: dict[str, list[str | float]] = defaultdict(list)
        for tasks in tasks_by_settings.values():
            for resource, amount in pod_requests(tasks[0].settings).items():
                amounts_by_resource[resource] += [amount] * len(tasks)
        for resource, amounts in amounts_by_resource.items():
            peak[resource] = str(
                quantities.greater_quantity(peak.get(resource, "0"), quantities.sum_quantities(amounts))
            )
    return dict(sorted(peak.items()))


def _find_top_namespaces(plan: Plan) -> dict[str, str]:
    """Return the top namespace of each task; task groups differ only for namespaces on a cycle and for a single one."""
    space_of = {node.name: (node.namespace or "").partition(".")[0] for node in plan.graph.nodes}
    top_namespaces: dict[str, str] = {}
    for task in plan.tasks:
        spaces = {space_of[node] for node in task.nodes}
        if len(spaces) == 1 and (space := spaces.pop()):
            top_namespaces[task.id] = space
    return top_namespaces


def locate_store(store: MemoryStore, mounts: Iterable[Mount]) -> StorageLocation:
    """Return where the store of data in memory is."""
    protocol, url, _ = store.url.partition("://")
    if url:
        return StorageLocation("store", protocol=protocol)
    mount = find_claim(store.url, mounts)
    return StorageLocation("store", mount.name if mount else None, store.url)


def _locate_dataset(crossing: Crossing, plan: Plan) -> StorageLocation:
    reach = crossing.reach
    if reach.kind == "memory" and plan.store is not None:
        return locate_store(plan.store, plan.mounts)
    if reach.path is not None and (mount := find_claim(reach.path, plan.mounts)) is not None:
        return StorageLocation("volume", mount.name, reach.path)
    if reach.protocol is not None:
        return StorageLocation(
            "object-store" if reach.protocol in _OBJECT_STORES else "server", protocol=reach.protocol
        )
    return StorageLocation("unknown" if reach.kind == "unknown" else "declared", path=reach.path)
