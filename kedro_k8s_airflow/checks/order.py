"""Which tasks may run at the same time, and which files they then meet in. Facts for rules, no rules."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import Any

    from kedro_k8s_airflow.checks.table import Subject
    from kedro_k8s_airflow.plan import Plan
    from kedro_k8s_airflow.tasks import Draft

_PATHS = ("filepath", "path", "filename")


@dataclass(frozen=True, slots=True)
class Use:
    """A node that loads or saves a dataset, and the task that it is in."""

    task: str
    node: str
    dataset: str
    path: str
    saves: bool


def parallel(plan: Plan) -> bool:
    """Whether any two tasks may run at the same time: in a topological order each would have to wait for the one before."""
    return any(before.id not in task.after for before, task in zip(plan.tasks, plan.tasks[1:], strict=False))


def ancestors(plan: Plan, task_id: str) -> set[str]:
    """All tasks that a task waits for, directly or not."""
    after = {task.id: task.after for task in plan.tasks}
    found: set[str] = set()
    todo = [task_id]
    while todo:
        new = set(after[todo.pop()]) - found
        found |= new
        todo += new
    return found


def uses(plan: Plan, datasets: Iterable[str], path: str = "") -> list[Use]:
    """Who saves and loads some datasets of a plan."""
    home = {name: task.id for task in plan.tasks for name in task.nodes}
    found = []
    for name in datasets:
        dataset = plan.graph.datasets[name]
        saving = [dataset.producer] if dataset.producer is not None else []
        for index, saves in (*((one, True) for one in saving), *((one, False) for one in dataset.consumers)):
            node = plan.graph.nodes[index].name
            found.append(Use(home[node], node, name, path, saves))
    return found


def unordered(plan: Plan, found: Sequence[Use]) -> Iterator[tuple[Use, Use]]:
    """Pairs of uses, at least one of them saving, of tasks of which neither waits for the other."""
    before: dict[str, set[str]] = {}
    for first, second in combinations(found, 2):
        if first.task == second.task or not (first.saves or second.saves):
            continue
        for one in (first, second):
            if one.task not in before:
                before[one.task] = ancestors(plan, one.task)
        if first.task not in before[second.task] and second.task not in before[first.task]:
            yield first, second


def racing(subject: Subject) -> Iterator[tuple[Use, Use]]:
    """Pairs of uses of one file under two names, of tasks of which neither waits for the other; one for each pair of names."""
    for draft in subject.drafts:
        if draft.plan is None:
            continue
        for path, names in _shared_files(draft).items():
            seen: set[tuple[str, str, bool]] = set()
            for first, second in unordered(draft.plan, uses(draft.plan, names, path)):
                what = (first.dataset, second.dataset, first.saves and second.saves)
                if first.dataset != second.dataset and what not in seen:
                    seen.add(what)
                    yield first, second


def _shared_files(draft: Draft) -> Mapping[str, list[str]]:
    """Files that two or more datasets name, by their path in the pod or their URL."""
    found: dict[str, list[str]] = defaultdict(list)
    for name, dataset in draft.graph.datasets.items():
        if dataset.reach.kind == "shared":
            place = dataset.reach.path or _url(draft.entries.get(name) or {})
            if place:
                found[place].append(name)
    return {place: names for place, names in found.items() if len(names) > 1}


def _url(entry: Mapping[str, Any]) -> str | None:
    """The address that a catalog entry names; None for databases, where one address holds many tables."""
    if {"con", "connection", "table_name", "table", "sql"} & set(entry):
        return None
    return next((entry[key].rstrip("/") for key in _PATHS if isinstance(entry.get(key), str) and entry[key]), None)
