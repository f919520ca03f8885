"""The plan as a table for people, with a line for each reason and for what goes between tasks."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from kedro_k8s_airflow.overview.words import count, printable, some
from kedro_k8s_airflow.selection import DEFAULT

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.console import Console

    from kedro_k8s_airflow.plan import Plan, Task

_TASKS_SHOWN = 40
# A pipeline and __default__: nothing smaller could be loaded.
_ALONE = 2
_RULES = {
    "memory": "in memory",
    "pod": "on the pod's disk",
    "confirms": "confirmed",
    "group": "group",
    "namespace": "namespace",
    "chain": "chain to",
    "between": "between",
}


def plan(out: Console, made: Plan) -> None:
    """The tasks of a DAG, its reasons and what crosses between tasks."""
    from rich.markup import escape

    size = f"{count(len(made.tasks), 'task')}, {count(made.node_count, 'node')}"
    out.print(f"[bold]{escape(made.dag_id)}[/bold]: {size} of pipeline {escape(made.pipeline)}")
    if len(made.tasks) <= _TASKS_SHOWN:
        out.print(_table(made.tasks))
    for line in _reasons(made.tasks):
        out.print(f"  {escape(line)}")
    if made.crossings:
        versioned = [crossing.dataset for crossing in made.crossings if crossing.reach.versioned]
        names = some([crossing.dataset for crossing in made.crossings])
        cross = "dataset crosses" if len(made.crossings) == 1 else "datasets cross"
        out.print(f"  {len(made.crossings)} {cross} between tasks ({escape(names)}); {len(versioned)} versioned")
    if made.store is not None:
        stored = sorted({name for task in made.tasks for name in task.stored})
        out.print(
            f"  {count(len(stored), 'dataset')} in memory stored in {escape(made.store.url)} ({escape(some(stored))})"
        )
    smaller = [task for task in made.tasks if task.pipeline != made.pipeline and task.nodes]
    if smaller:
        of = f"{len(smaller)} of {count(len([task for task in made.tasks if task.nodes]), 'task')}"
        names = some(sorted({task.pipeline for task in smaller}))
        out.print(f"  {of} load a smaller pipeline than {escape(made.pipeline)} ({escape(names)})")
    whole = Counter(task.whole for task in made.tasks if task.whole)
    for why, number in whole.items():
        if made.registered > _ALONE and made.pipeline == DEFAULT:
            out.print(
                f"  {count(number, 'task')} load{'s' if number == 1 else ''} all of {escape(made.pipeline)}: {escape(why)}"
            )


def _table(tasks: Sequence[Task]) -> object:
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column("task", no_wrap=True)
    table.add_column("nodes", overflow="fold")
    table.add_column("after", overflow="fold")
    table.add_column("together because", overflow="fold")
    for task in tasks:
        table.add_row(
            escape(printable(task.id)), escape(some(task.nodes)), escape(some(task.after)), escape(_why(task))
        )
    return table


def _why(task: Task) -> str:
    found: dict[str, list[str]] = defaultdict(list)
    for reason in task.reasons:
        if reason.what not in found[reason.rule]:
            found[reason.rule].append(reason.what)
    return "; ".join(f"{_RULES[rule]}: {some(what)}" for rule, what in found.items())


def _reasons(tasks: Iterable[Task]) -> Iterable[str]:
    """One line for each rule that fused something."""
    fused: dict[str, dict[str, None]] = defaultdict(dict)
    pods: dict[str, int] = defaultdict(int)
    for task in tasks:
        for rule in dict.fromkeys(reason.rule for reason in task.reasons):
            pods[rule] += 1
        for reason in task.reasons:
            fused[reason.rule][reason.what] = None
    texts = {
        "memory": "fused by data in memory",
        "pod": "fused by files of the pod's own disk",
        "confirms": "fused by confirmed datasets",
        "group": "fused as the settings ask (groups)",
        "namespace": "fused by namespace",
        "chain": "fused as chains, before",
        "between": "fused because they lie between fused nodes",
    }
    for rule, what in fused.items():
        yield f"{pods[rule]} pod{'s' if pods[rule] > 1 else ''} {texts[rule]}: {some(list(what))}"
