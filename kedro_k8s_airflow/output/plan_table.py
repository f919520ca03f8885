"""The plan as a table for people, with a line for each reason and for what goes between tasks."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

from kedro_k8s_airflow.plan.dag_selection import DEFAULT
from kedro_k8s_airflow.plan.sections import LARGE, parts
from kedro_k8s_airflow.plan.statistics import facts, requests
from kedro_k8s_airflow.quantities import amount
from kedro_k8s_airflow.text import count, place, printable, some

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from rich.console import Console

    from kedro_k8s_airflow.plan.model import Plan, Task
    from kedro_k8s_airflow.plan.sections import Part
    from kedro_k8s_airflow.plan.statistics import Facts

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


def short(out: Console, made: Plan) -> None:
    """The tasks of a DAG and its reasons, as `create` prints them."""
    title(out, made)
    if len(made.tasks) <= LARGE:
        out.print(_tasks(made, {}))
    for line in _reasons(made.tasks):
        _line(out, line)
    if made.crossings:
        versioned = [crossing.dataset for crossing in made.crossings if crossing.reach.versioned]
        names = some([crossing.dataset for crossing in made.crossings])
        cross = "dataset crosses" if len(made.crossings) == 1 else "datasets cross"
        _line(out, f"{len(made.crossings):,} {cross} between tasks ({names}); {len(versioned):,} versioned")
    if made.store is not None:
        stored = sorted({name for task in made.tasks for name in task.stored})
        _line(out, f"{count(len(stored), 'dataset')} in memory stored in {made.store.url} ({some(stored)})")
    _loaded(out, made)


def full(out: Console, made: Plan) -> None:
    """All of it, as `plan` prints it: a line for each task, or of a large DAG for each namespace or step."""
    known = facts(made)
    title(out, made)
    if len(made.tasks) <= LARGE:
        images = {"image": _image} if any(task.image != made.base_image for task in made.tasks) else {}
        out.print(_tasks(made, {"resources": _resources, **images}))
    else:
        out.print(_parts(parts(made, known)))
    for line in _reasons(made.tasks):
        _line(out, line)
    _loaded(out, made)
    _crossings(out, made, known)
    summary(out, made, known)


def title(out: Console, made: Plan) -> None:
    """The DAG's name and size."""
    from rich.markup import escape

    size = f"{count(len(made.tasks), 'task')}, {count(made.node_count, 'node')}"
    out.print(f"[bold]{escape(made.dag_id)}[/bold]: {size} of pipeline {escape(printable(made.pipeline))}")


def summary(out: Console, made: Plan, known: Facts) -> None:
    """How many pods there are, how many run at once, and what they ask for."""
    widest = known.steps[known.widest - 1]
    limit = made.dag.max_active_tasks
    limited = f"; max_active_tasks lets {limit} run" if limit is not None and limit < len(widest) else ""
    several = len(known.steps) > 1
    _line(out, f"pods: {len(made.tasks):,}, in {count(len(known.steps), 'step')}")
    _line(
        out,
        f"widest step: {count(len(widest), 'task')}{f' in step {known.widest:,}' if several else ''} "
        f"({some([task.id for task in widest])}){limited}",
    )
    path = known.critical_path
    shown = path if len(path) <= 8 else (*path[:4], "...", *path[-3:])
    _line(out, f"critical path: {count(len(path), 'task')}: {' > '.join(map(printable, shown))}")
    asked = ", ".join(f"{amount} {resource}" for resource, amount in known.at_once.items())
    _line(out, f"requested at once by the tasks of a step: {f'up to {asked}' if asked else 'nothing'}")


def _line(out: Console, text: str) -> None:
    from rich.markup import escape

    out.print(f"  {escape(text)}")


def _crossings(out: Console, made: Plan, known: Facts) -> None:
    if len(made.crossings) > LARGE:
        _line(out, f"{len(made.crossings):,} datasets cross between tasks:")
        found = Counter(place(known.places[crossing.dataset], short=True) for crossing in made.crossings)
        for where, number in sorted(found.items()):
            _line(out, f"  {number:,} {where}")
        return
    if made.crossings:
        out.print("  what crosses between tasks:")
    for crossing in made.crossings:
        versioned = ", versioned" if crossing.reach.versioned else ""
        where = place(known.places[crossing.dataset])
        goes = f"{printable(crossing.producer)} -> {some(crossing.consumers)}"
        _line(out, f"  {printable(crossing.dataset)}: {goes}, {where}{versioned}")


def _loaded(out: Console, made: Plan) -> None:
    smaller = [task for task in made.tasks if task.pipeline != made.pipeline and task.nodes]
    pipeline = printable(made.pipeline)
    if smaller:
        of = f"{len(smaller):,} of {count(len([task for task in made.tasks if task.nodes]), 'task')}"
        _line(
            out, f"{of} load a smaller pipeline than {pipeline} ({some(sorted({task.pipeline for task in smaller}))})"
        )
    whole = Counter(task.whole for task in made.tasks if task.whole)
    for why, number in whole.items():
        if made.registered > _ALONE and made.pipeline == DEFAULT:
            _line(out, f"{count(number, 'task')} load{'s' if number == 1 else ''} all of {pipeline}: {why}")


def _tasks(made: Plan, more: Mapping[str, Any]) -> object:
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column("task", no_wrap=True)
    for name in ("nodes", "after", "together because", *more):
        table.add_column(name, overflow="fold")
    for task in made.tasks:
        cells = (printable(task.id), some(task.nodes), some(task.after), why(task))
        table.add_row(*map(escape, cells), *(escape(cell(task)) for cell in more.values()))
    return table


def _parts(found: Sequence[Part]) -> object:
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column("part", no_wrap=True)
    table.add_column("tasks", justify="right")
    table.add_column("nodes", justify="right")
    table.add_column("requests of each", overflow="fold")
    for part in found:
        nodes = sum(len(task.nodes) for task in part.tasks)
        table.add_row(escape(part.name), f"{len(part.tasks):,}", f"{nodes:,}", escape(_range(part.tasks)))
    return table


def _range(tasks: Iterable[Task]) -> str:
    """The smallest and the largest request of each resource."""
    distinct = {id(task.settings): task.settings for task in tasks}
    asked: dict[str, list[str | float]] = defaultdict(list)
    for settings in distinct.values():
        for resource, wanted in requests(settings).items():
            asked[resource].append(wanted)
    texts = []
    for resource, amounts in sorted(asked.items()):
        least, most = min(amounts, key=amount), max(amounts, key=amount)
        span = str(most) if amount(least) == amount(most) else f"{least} to {most}"
        texts.append(f"{span} {resource}")
    return ", ".join(texts)


def _resources(task: Task) -> str:
    """What the pod requests, and its limit where that is another."""
    limits = (task.settings.get("resources") or {}).get("limits") or {}
    texts = []
    for resource, least in sorted(requests(task.settings).items()):
        most = limits.get(resource, least)
        texts.append(f"{least} {resource}" if amount(least) == amount(most) else f"{least} -> {most} {resource}")
    return ", ".join(texts)


def _image(task: Task) -> str:
    return printable(task.image)


def why(task: Task) -> str:
    """Why the nodes of a task are together, in a few words."""
    found: dict[str, dict[str, None]] = defaultdict(dict)
    for reason in task.reasons:
        found[reason.rule][reason.what] = None
    return "; ".join(f"{_RULES[rule]}: {some(list(what))}" for rule, what in found.items())


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
