"""Which tasks may run at the same time, and which files they then share. Facts for rules, not rules."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import TYPE_CHECKING, Any

from kedro_k8s_airflow.plan.graph import base_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from kedro_k8s_airflow.plan.builder import DagDraft
    from kedro_k8s_airflow.plan.model import Plan

_PATH_KEYS = ("filepath", "path", "filename")
# Of more uses of one file, only neighbours are compared. This finds a pair if there is one, though not every pair.
_MAX_USES_FOR_ALL_PAIRS = 40


@dataclass(frozen=True, slots=True)
class DatasetUse:
    """A node that loads or saves a dataset.

    Attributes:
        task: id of the task that runs the node.
        node: name of the node.
        dataset: name of the dataset.
        path: path or address of the file, without credentials; may be empty.
        saves: whether the node saves the dataset; else it loads it.
    """

    task: str
    node: str
    dataset: str
    path: str
    saves: bool


class TaskOrder:
    """The order of the tasks of a plan."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.upstream = {task.id: task.upstream for task in plan.tasks}
        self.position = {task.id: index for index, task in enumerate(plan.tasks)}
        self.task_of = {name: task.id for task in plan.tasks for name in task.nodes}

    @property
    def is_parallel(self) -> bool:
        """Return whether any two tasks may run at the same time."""
        tasks = self.plan.tasks
        return any(previous.id not in task.upstream for previous, task in pairwise(tasks))

    def waits_for(self, later: str, earlier: str) -> bool:
        """Return whether a task waits for another, directly or not. Tasks before the other one are not visited."""
        seen: set[str] = set()
        todo = [later]
        while todo:
            for other in self.upstream[todo.pop()]:
                if other == earlier:
                    return True
                if other not in seen and self.position[other] > self.position[earlier]:
                    seen.add(other)
                    todo.append(other)
        return False

    def uses_of(self, datasets: Iterable[str], path: str = "") -> list[DatasetUse]:
        """Return the nodes that save or load some datasets, in the order of the tasks."""
        graph = self.plan.graph
        uses = []
        for name in datasets:
            dataset = graph.datasets[name]
            saving = [(dataset.producer, True)] if dataset.producer is not None else []
            for index, saves in (*saving, *((consumer, False) for consumer in dataset.consumers)):
                node = graph.nodes[index].name
                uses.append(DatasetUse(self.task_of[node], node, name, path, saves))
        return sorted(uses, key=lambda use: (self.position[use.task], use.node, use.dataset))

    def unordered_pairs(self, uses: Sequence[DatasetUse]) -> Iterator[tuple[DatasetUse, DatasetUse]]:
        """Yield pairs of uses, at least one of which saves, by tasks that do not wait for each other."""
        pairs = combinations(uses, 2) if len(uses) <= _MAX_USES_FOR_ALL_PAIRS else pairwise(uses)
        for first, second in pairs:
            is_candidate = first.task != second.task and (first.saves or second.saves)
            if is_candidate and not self.waits_for(second.task, first.task):
                yield first, second


def find_races(draft: DagDraft) -> Iterator[tuple[DatasetUse, DatasetUse]]:
    """Yield pairs of uses of one file under two names, by tasks that do not wait for each other; one for each pair of names."""
    shared = _shared_files(draft) if draft.plan is not None else {}
    if draft.plan is None or not shared:
        return
    order = TaskOrder(draft.plan)
    for path, names in shared.items():
        seen: set[tuple[str, str, bool]] = set()
        for first, second in order.unordered_pairs(order.uses_of(names, _without_credentials(path))):
            key = (first.dataset, second.dataset, first.saves and second.saves)
            if first.dataset != second.dataset and key not in seen:
                seen.add(key)
                yield first, second


def unwrapped_entries(draft: DagDraft) -> dict[str, Mapping[str, Any]]:
    """Return one catalog entry for each dataset: transcoded forms merged, wrapping datasets removed."""
    entries: dict[str, Mapping[str, Any]] = {}
    for form in sorted(draft.entries):
        entry = draft.entries[form]
        while isinstance(entry.get("dataset"), dict) and not any(key in entry for key in _PATH_KEYS):
            entry = entry["dataset"]
        entries.setdefault(base_name(form), entry)
    return entries


def is_database(entry: Mapping[str, Any]) -> bool:
    """Return whether an entry is a table or query of a database, where one address holds many tables."""
    return not {"con", "connection"}.isdisjoint(entry) or {"backend", "database"} <= set(entry)


def _shared_files(draft: DagDraft) -> Mapping[str, list[str]]:
    """Return the files that two or more datasets use, by path in the pod or URL."""
    by_name = unwrapped_entries(draft)
    names_by_path: dict[str, list[str]] = defaultdict(list)
    for name, dataset in draft.graph.datasets.items():
        entry = by_name.get(name, {})
        if dataset.reach.kind == "shared" and not is_database(entry):
            path = dataset.reach.path or _url(entry)
            if path:
                names_by_path[path].append(name)
    return {path: names for path, names in names_by_path.items() if len(names) > 1}


def _url(entry: Mapping[str, Any]) -> str | None:
    """Return the address in a catalog entry, if it has one."""
    if not {"table_name", "table", "sql"}.isdisjoint(entry):
        return None
    return next((entry[key].rstrip("/") for key in _PATH_KEYS if isinstance(entry.get(key), str) and entry[key]), None)


def _without_credentials(address: str) -> str:
    """Return a path or address without user, password and query, for messages."""
    return re.sub(r"://[^/]*@", "://", address).partition("?")[0]
