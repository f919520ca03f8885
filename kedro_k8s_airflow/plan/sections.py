"""Sections of a large plan, so that a thousand tasks can be viewed: by top namespace, or by step if there are none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kedro_k8s_airflow.text import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kedro_k8s_airflow.plan.model import Plan, Task
    from kedro_k8s_airflow.plan.statistics import PlanStatistics

LARGE = 40
OUTSIDE = "outside of namespaces"


@dataclass(frozen=True, slots=True)
class PlanSection:
    """Some tasks of a plan, in plan order, under one title."""

    name: str
    tasks: tuple[Task, ...]


def split_plan(plan: Plan, facts: PlanStatistics) -> list[PlanSection]:
    """Return the plan in about `LARGE` sections at most: by namespace if most tasks have one, else by step."""
    return namespace_sections(plan, facts) or step_sections(facts)


def namespace_sections(plan: Plan, facts: PlanStatistics, most: int = LARGE) -> list[PlanSection]:
    """Return at most `most` namespaces and the tasks outside; nothing if fewer than half of the tasks are in two or more."""
    if len(set(facts.tops.values())) < 2 or 2 * len(facts.tops) < len(plan.tasks):
        return []
    found: dict[str | None, list[Task]] = {}
    for task in plan.tasks:
        found.setdefault(facts.tops.get(task.id), []).append(task)
    outside = found.pop(None, [])
    shown = list(found)[: most if len(found) <= most else most - 1]
    made = [PlanSection(f"namespace {printable(str(name))}", tuple(found[name])) for name in shown]
    rest = {task.id for name in list(found)[len(shown) :] for task in found[name]}
    if rest:
        name = f"{len(found) - len(shown):,} more namespaces"
        made.append(PlanSection(name, tuple(task for task in plan.tasks if task.id in rest)))
    return [*made, *([PlanSection(OUTSIDE, tuple(outside))] if outside else [])]


def step_sections(facts: PlanStatistics, most: int = LARGE) -> list[PlanSection]:
    """Return the steps, combined so that there are at most `most` sections."""
    together = -(-len(facts.steps) // most) or 1
    return [_steps(facts.steps[first : first + together], first + 1) for first in range(0, len(facts.steps), together)]


def _steps(found: Sequence[tuple[Task, ...]], first: int) -> PlanSection:
    last = first + len(found) - 1
    name = f"step {first:,}" if first == last else f"steps {first:,} to {last:,}"
    return PlanSection(name, tuple(task for step in found for task in step))
