"""Sections of a large plan, so that a thousand tasks can be viewed: by top namespace, or by step if there are none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kedro_k8s_airflow.text import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kedro_k8s_airflow.plan.model import Plan, Task
    from kedro_k8s_airflow.plan.statistics import PlanStatistics

SECTION_LIMIT = 40
OUTSIDE_NAMESPACES = "outside of namespaces"


@dataclass(frozen=True, slots=True)
class PlanSection:
    """Some tasks of a plan, in plan order, under one title."""

    name: str
    tasks: tuple[Task, ...]


def split_plan(plan: Plan, statistics: PlanStatistics) -> list[PlanSection]:
    """Return the plan in about `SECTION_LIMIT` sections at most: by namespace if most tasks have one, else by step."""
    return split_by_namespace(plan, statistics) or split_by_step(statistics)


def split_by_namespace(plan: Plan, statistics: PlanStatistics, limit: int = SECTION_LIMIT) -> list[PlanSection]:
    """Return at most `most` namespaces and the tasks outside; nothing if fewer than half of the tasks are in two or more."""
    if len(set(statistics.top_namespaces.values())) < 2 or 2 * len(statistics.top_namespaces) < len(plan.tasks):
        return []
    tasks_by_namespace: dict[str | None, list[Task]] = {}
    for task in plan.tasks:
        tasks_by_namespace.setdefault(statistics.top_namespaces.get(task.id), []).append(task)
    outside = tasks_by_namespace.pop(None, [])
    shown = list(tasks_by_namespace)[: limit if len(tasks_by_namespace) <= limit else limit - 1]
    sections = [PlanSection(f"namespace {printable(str(name))}", tuple(tasks_by_namespace[name])) for name in shown]
    rest = {task.id for name in list(tasks_by_namespace)[len(shown) :] for task in tasks_by_namespace[name]}
    if rest:
        name = f"{len(tasks_by_namespace) - len(shown):,} more namespaces"
        sections.append(PlanSection(name, tuple(task for task in plan.tasks if task.id in rest)))
    return [*sections, *([PlanSection(OUTSIDE_NAMESPACES, tuple(outside))] if outside else [])]


def split_by_step(statistics: PlanStatistics, limit: int = SECTION_LIMIT) -> list[PlanSection]:
    """Return the steps, combined so that there are at most `limit` sections."""
    steps_per_section = -(-len(statistics.steps) // limit) or 1
    return [
        _combine_steps(statistics.steps[first : first + steps_per_section], first + 1)
        for first in range(0, len(statistics.steps), steps_per_section)
    ]


def _combine_steps(steps: Sequence[tuple[Task, ...]], first: int) -> PlanSection:
    last = first + len(steps) - 1
    name = f"step {first:,}" if first == last else f"steps {first:,} to {last:,}"
    return PlanSection(name, tuple(task for step in steps for task in step))
