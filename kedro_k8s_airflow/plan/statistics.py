"""Statistics of a plan: steps, parallelism, critical path, and where data between tasks is stored.

Pure and in linear time: a chain of 20,000 tasks works.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from kedro_k8s_airflow import quantities
from kedro_k8s_airflow.plan.model import claim_over

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from kedro_k8s_airflow.plan.model import Crossing, MemoryStore, Mount, Plan, Task

Kind = Literal["volume", "object-store", "server", "store", "declared", "unknown"]
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

    kind: Kind
    volume: str | None = None
    path: str | None = None
    protocol: str | None = None


@dataclass(frozen=True, kw_only=True)
class PlanStatistics:
    """Statistics of a plan.

    Attributes:
        steps: tasks by step: those without upstream tasks first, every other task one step after its last upstream task.
        step_of: number of its step by task id, from 1.
        widest: number of the step with the most tasks, the first of several. Its tasks can run at the same time. More
            can run in parallel where branches have different lengths: the largest set of independent tasks is not computed,
            because that takes too long for thousands of tasks.
        critical_path: ids of the longest chain of tasks, by number of tasks since durations are unknown; of several, the one
            whose tasks come first in the plan.
        at_once: for each resource, the most that the pods of one step request together, sorted.
        tops: top namespace of each task whose nodes are all in one, by task id.
        places: where each dataset passed between tasks is stored, by name.
    """

    steps: tuple[tuple[Task, ...], ...]
    step_of: Mapping[str, int]
    widest: int
    critical_path: tuple[str, ...]
    at_once: Mapping[str, str]
    tops: Mapping[str, str]
    places: Mapping[str, StorageLocation]


def plan_statistics(plan: Plan) -> PlanStatistics:
    """Return the statistics of a plan."""
    step_of: dict[str, int] = {}
    before: dict[str, str] = {}
    place_of = {task.id: place for place, task in enumerate(plan.tasks)}
    for task in plan.tasks:
        last = min(task.upstream, key=lambda other: (-step_of[other], place_of[other]), default=None)
        step_of[task.id] = 1 if last is None else step_of[last] + 1
        if last is not None:
            before[task.id] = last
    steps: list[list[Task]] = [[] for _ in range(max(step_of.values(), default=0))]
    for task in plan.tasks:
        steps[step_of[task.id] - 1].append(task)
    return PlanStatistics(
        steps=tuple(map(tuple, steps)),
        step_of=step_of,
        widest=max(range(len(steps)), key=lambda step: len(steps[step]), default=-1) + 1,
        critical_path=_chain(steps[-1][0].id, before) if steps else (),
        at_once=_at_once(steps),
        tops=_tops(plan),
        places={crossing.dataset: _place(crossing, plan) for crossing in plan.crossings},
    )


def _chain(last: str, before: Mapping[str, str]) -> tuple[str, ...]:
    chain = [last]
    while chain[-1] in before:
        chain.append(before[chain[-1]])
    return tuple(reversed(chain))


def pod_requests(settings: Mapping[str, Any]) -> dict[str, str | float]:
    """Return what the scheduler reserves for a pod: its requests, and its limits where it has no request."""
    resources = settings.get("resources") or {}
    return {**(resources.get("limits") or {}), **(resources.get("requests") or {})}


def _at_once(steps: Iterable[Sequence[Task]]) -> dict[str, str]:
    most: dict[str, str] = {}
    for step in steps:
        alike: dict[int, list[Task]] = defaultdict(list)
        for task in step:
            alike[id(task.settings)].append(task)
        request: dict[str, list[str | float]] = defaultdict(list)
        for tasks in alike.values():
            for resource, amount in pod_requests(tasks[0].settings).items():
                request[resource] += [amount] * len(tasks)
        for resource, amounts in request.items():
            most[resource] = str(
                quantities.greater_quantity(most.get(resource, "0"), quantities.sum_quantities(amounts))
            )
    return dict(sorted(most.items()))


def _tops(plan: Plan) -> dict[str, str]:
    """Return the top namespace of each task; task groups differ only for namespaces on a cycle and for a single one."""
    space_of = {node.name: (node.namespace or "").partition(".")[0] for node in plan.graph.nodes}
    tops: dict[str, str] = {}
    for task in plan.tasks:
        spaces = {space_of[node] for node in task.nodes}
        if len(spaces) == 1 and (space := spaces.pop()):
            tops[task.id] = space
    return tops


def store_location(store: MemoryStore, mounts: Iterable[Mount]) -> StorageLocation:
    """Return where the store of data in memory is."""
    protocol, url, _ = store.url.partition("://")
    if url:
        return StorageLocation("store", protocol=protocol)
    mount = claim_over(store.url, mounts)
    return StorageLocation("store", mount.name if mount else None, store.url)


def _place(crossing: Crossing, plan: Plan) -> StorageLocation:
    reach = crossing.reach
    if reach.kind == "memory" and plan.store is not None:
        return store_location(plan.store, plan.mounts)
    if reach.path is not None and (mount := claim_over(reach.path, plan.mounts)) is not None:
        return StorageLocation("volume", mount.name, reach.path)
    if reach.protocol is not None:
        return StorageLocation(
            "object-store" if reach.protocol in _OBJECT_STORES else "server", protocol=reach.protocol
        )
    return StorageLocation("unknown" if reach.kind == "unknown" else "declared", path=reach.path)
