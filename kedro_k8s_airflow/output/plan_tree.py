"""The plan as a tree for people: namespaces, their tasks, the nodes of each, and what each waits for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kedro_k8s_airflow.output import plan_table
from kedro_k8s_airflow.plan.sections import LARGE, OUTSIDE, PlanSection, namespace_sections, step_sections
from kedro_k8s_airflow.plan.statistics import plan_statistics
from kedro_k8s_airflow.text import count_of, first_names, printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from rich.console import Console
    from rich.tree import Tree

    from kedro_k8s_airflow.plan.model import Plan, Task
    from kedro_k8s_airflow.plan.statistics import PlanStatistics

_PARTS_SHOWN = 12
_TASKS_SHOWN = 5
_NODES_SHOWN = 12


def print_tree(out: Console, made: Plan) -> None:
    """All of a small plan; of a large one parts that look alike as one, with some tasks of each."""
    from rich.markup import escape
    from rich.tree import Tree

    known = plan_statistics(made)
    plan_table.print_title(out, made)
    root = Tree("", hide_root=True)
    if len(made.tasks) <= LARGE:
        _whole(root, made, known)
    else:
        found = namespace_sections(made, known, most=len(made.tasks)) or step_sections(known, most=_PARTS_SHOWN)
        for alike in _shown(_alike(found, known)):
            names = first_names([part.name for part in alike])
            tasks = alike[0].tasks
            size = count_of(len(tasks), "task") + (" each" if len(alike) > 1 else "")
            branch = root.add(f"[bold]{escape(names)}[/bold]: {size}")
            _add(branch, tasks[:_TASKS_SHOWN])
            if len(tasks) > _TASKS_SHOWN:
                branch.add(f"and {count_of(len(tasks) - _TASKS_SHOWN, 'more task')}")
    out.print(root)
    plan_table.print_summary(out, made, known)


def _whole(root: Tree, made: Plan, known: PlanStatistics) -> None:
    from rich.markup import escape

    spaces: dict[str | None, list[Task]] = {}
    for task in made.tasks:
        spaces.setdefault(known.tops.get(task.id), []).append(task)
    if len(spaces) == 1:
        _add(root, made.tasks)
        return
    outside = spaces.pop(None, None)
    for space, tasks in spaces.items():
        _add(root.add(f"[bold]namespace {escape(printable(str(space)))}[/bold]"), tasks)
    if outside:
        _add(root.add(f"[bold]{OUTSIDE}[/bold]"), outside)


def _add(branch: Tree, tasks: Iterable[Task]) -> None:
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


def _alike(found: Sequence[PlanSection], known: PlanStatistics) -> list[list[PlanSection]]:
    """Parts by what they look like when their own names are taken out of their tasks' names."""
    alike: dict[object, list[PlanSection]] = {}
    for part in found:
        alike.setdefault(_looks(part, known.tops), []).append(part)
    return list(alike.values())


def _shown(found: Sequence[list[PlanSection]]) -> list[list[PlanSection]]:
    """The first kinds of parts, and the tasks of all others as one part."""
    if len(found) <= _PARTS_SHOWN:
        return list(found)
    rest = [part for alike in found[_PARTS_SHOWN - 1 :] for part in alike]
    tasks = tuple(task for part in rest for task in part.tasks)
    return [*found[: _PARTS_SHOWN - 1], [PlanSection(f"{len(rest):,} more namespaces", tasks)]]


def _looks(part: PlanSection, tops: Mapping[str, str]) -> object:
    inside = {task.id: place for place, task in enumerate(part.tasks)}

    def bare(name: str, task: Task) -> str:
        return name.removeprefix(f"{tops.get(task.id)}.")

    return tuple(
        (
            bare(task.id, task),
            tuple(bare(node, task) for node in task.nodes),
            tuple(sorted(inside[other] for other in task.upstream if other in inside)),
            sum(other not in inside for other in task.upstream),
        )
        for task in part.tasks
    )
