"""The plan as a tree for people: namespaces, their tasks, and the nodes and upstream tasks of each task."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kedro_k8s_airflow.output import plan_table
from kedro_k8s_airflow.plan.sections import (
    OUTSIDE_NAMESPACES,
    SECTION_LIMIT,
    PlanSection,
    split_by_namespace,
    split_by_step,
)
from kedro_k8s_airflow.plan.statistics import compute_plan_statistics
from kedro_k8s_airflow.text import count_of, first_names, printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from rich.console import Console
    from rich.tree import Tree

    from kedro_k8s_airflow.plan.model import Plan, Task
    from kedro_k8s_airflow.plan.statistics import PlanStatistics

_SECTIONS_SHOWN = 12
_TASKS_SHOWN = 5
_NODES_SHOWN = 12


def print_tree(out: Console, plan: Plan) -> None:
    """Print a small plan in full; in a large one, sections that look alike are combined, with some tasks of each."""
    from rich.markup import escape
    from rich.tree import Tree

    statistics = compute_plan_statistics(plan)
    plan_table.print_title(out, plan)
    root = Tree("", hide_root=True)
    if len(plan.tasks) <= SECTION_LIMIT:
        _add_namespaces(root, plan, statistics)
    else:
        sections = split_by_namespace(plan, statistics, limit=len(plan.tasks)) or split_by_step(
            statistics, limit=_SECTIONS_SHOWN
        )
        for group in _limit_groups(_group_alike(sections, statistics)):
            names = first_names([section.name for section in group])
            tasks = group[0].tasks
            size = count_of(len(tasks), "task") + (" each" if len(group) > 1 else "")
            branch = root.add(f"[bold]{escape(names)}[/bold]: {size}")
            _add_tasks(branch, tasks[:_TASKS_SHOWN])
            if len(tasks) > _TASKS_SHOWN:
                branch.add(f"and {count_of(len(tasks) - _TASKS_SHOWN, 'more task')}")
    out.print(root)
    plan_table.print_summary(out, plan, statistics)


def _add_namespaces(root: Tree, plan: Plan, statistics: PlanStatistics) -> None:
    from rich.markup import escape

    by_namespace: dict[str | None, list[Task]] = {}
    for task in plan.tasks:
        by_namespace.setdefault(statistics.top_namespaces.get(task.id), []).append(task)
    if len(by_namespace) == 1:
        _add_tasks(root, plan.tasks)
        return
    without_namespace = by_namespace.pop(None, None)
    for namespace, tasks in by_namespace.items():
        _add_tasks(root.add(f"[bold]namespace {escape(printable(str(namespace)))}[/bold]"), tasks)
    if without_namespace:
        _add_tasks(root.add(f"[bold]{OUTSIDE_NAMESPACES}[/bold]"), without_namespace)


def _add_tasks(branch: Tree, tasks: Iterable[Task]) -> None:
    from rich.markup import escape

    for task in tasks:
        waits = f" [dim]after {escape(first_names(task.upstream))}[/dim]" if task.upstream else ""
        reasons = f" [dim]({escape(plan_table.describe_merges(task))})[/dim]" if task.merge_causes else ""
        leaf = branch.add(f"{escape(printable(task.id))}{waits}{reasons}")
        if task.nodes in ((task.id,), ()):
            continue
        for node in task.nodes[:_NODES_SHOWN]:
            leaf.add(escape(printable(node)))
        if len(task.nodes) > _NODES_SHOWN:
            leaf.add(f"and {count_of(len(task.nodes) - _NODES_SHOWN, 'more node')}")


def _group_alike(sections: Sequence[PlanSection], statistics: PlanStatistics) -> list[list[PlanSection]]:
    """Return sections grouped by shape, which is their tasks without the section's own name."""
    groups: dict[object, list[PlanSection]] = {}
    for section in sections:
        groups.setdefault(_shape_of(section, statistics.top_namespaces), []).append(section)
    return list(groups.values())


def _limit_groups(groups: Sequence[list[PlanSection]]) -> list[list[PlanSection]]:
    """Return the first groups, and all further sections combined as one group."""
    if len(groups) <= _SECTIONS_SHOWN:
        return list(groups)
    further_sections = [section for group in groups[_SECTIONS_SHOWN - 1 :] for section in group]
    tasks = tuple(task for section in further_sections for task in section.tasks)
    return [*groups[: _SECTIONS_SHOWN - 1], [PlanSection(f"{len(further_sections):,} more namespaces", tasks)]]


def _shape_of(section: PlanSection, tops: Mapping[str, str]) -> object:
    positions = {task.id: index for index, task in enumerate(section.tasks)}

    def without_namespace(name: str, task: Task) -> str:
        return name.removeprefix(f"{tops.get(task.id)}.")

    return tuple(
        (
            without_namespace(task.id, task),
            tuple(without_namespace(node, task) for node in task.nodes),
            tuple(sorted(positions[other] for other in task.upstream if other in positions)),
            sum(other not in positions for other in task.upstream),
        )
        for task in section.tasks
    )
