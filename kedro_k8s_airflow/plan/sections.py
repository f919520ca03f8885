"""A large plan in parts, so that a thousand tasks can be looked at: by top namespace, or by step where there are none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kedro_k8s_airflow.text import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kedro_k8s_airflow.plan.model import Plan, Task
    from kedro_k8s_airflow.plan.statistics import Facts

LARGE = 40
OUTSIDE = "outside of namespaces"


@dataclass(frozen=True, slots=True)
class Part:
    """Some tasks of a plan, in its order, and what they have in common."""

    name: str
    tasks: tuple[Task, ...]


def parts(plan: Plan, facts: Facts) -> list[Part]:
    """The plan in about `LARGE` parts at most: its namespaces, if it has any to speak of, else its steps."""
    return namespaces(plan, facts) or steps(facts)


def namespaces(plan: Plan, facts: Facts, most: int = LARGE) -> list[Part]:
    """The plan by top namespaces, `most` and what is outside; nothing when not even half of the tasks are in two or more."""
    if len(set(facts.tops.values())) < 2 or 2 * len(facts.tops) < len(plan.tasks):
        return []
    found: dict[str | None, list[Task]] = {}
    for task in plan.tasks:
        found.setdefault(facts.tops.get(task.id), []).append(task)
    outside = found.pop(None, [])
    shown = list(found)[: most if len(found) <= most else most - 1]
    made = [Part(f"namespace {printable(str(name))}", tuple(found[name])) for name in shown]
    rest = {task.id for name in list(found)[len(shown) :] for task in found[name]}
    if rest:
        name = f"{len(found) - len(shown):,} more namespaces"
        made.append(Part(name, tuple(task for task in plan.tasks if task.id in rest)))
    return [*made, *([Part(OUTSIDE, tuple(outside))] if outside else [])]


def steps(facts: Facts, most: int = LARGE) -> list[Part]:
    """The plan's steps, each or so many together that there are no more than `most` parts."""
    together = -(-len(facts.steps) // most) or 1
    return [_steps(facts.steps[first : first + together], first + 1) for first in range(0, len(facts.steps), together)]


def _steps(found: Sequence[tuple[Task, ...]], first: int) -> Part:
    last = first + len(found) - 1
    name = f"step {first:,}" if first == last else f"steps {first:,} to {last:,}"
    return Part(name, tuple(task for step in found for task in step))
