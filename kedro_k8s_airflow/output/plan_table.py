"""The plan as a table for people, with a line for each reason and for what goes between tasks."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

from kedro_k8s_airflow.plan.dag_selection import DEFAULT_PIPELINE
from kedro_k8s_airflow.plan.sections import LARGE, split_plan
from kedro_k8s_airflow.plan.statistics import plan_statistics, pod_requests
from kedro_k8s_airflow.quantities import parse_quantity
from kedro_k8s_airflow.text import count_of, first_names, printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from rich.console import Console

    from kedro_k8s_airflow.plan.model import Plan, Task
    from kedro_k8s_airflow.plan.sections import PlanSection
    from kedro_k8s_airflow.plan.statistics import PlanStatistics, StorageLocation

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


def print_short(out: Console, made: Plan) -> None:
    """The tasks of a DAG and its reasons, as `create` prints them."""
    print_title(out, made)
    if len(made.tasks) <= LARGE:
        out.print(_tasks(made, {}))
    for line in _reasons(made.tasks):
        _line(out, line)
    if made.crossings:
        versioned = [crossing.dataset for crossing in made.crossings if crossing.reach.versioned]
        names = first_names([crossing.dataset for crossing in made.crossings])
        cross = "dataset crosses" if len(made.crossings) == 1 else "datasets cross"
        _line(out, f"{len(made.crossings):,} {cross} between tasks ({names}); {len(versioned):,} versioned")
    if made.store is not None:
        stored = sorted({name for task in made.tasks for name in task.stored})
        _line(out, f"{count_of(len(stored), 'dataset')} in memory stored in {made.store.url} ({first_names(stored)})")
    _loaded(out, made)


def print_table(out: Console, made: Plan) -> None:
    """All of it, as `plan` prints it: a line for each task, or of a large DAG for each namespace or step."""
    known = plan_statistics(made)
    print_title(out, made)
    if len(made.tasks) <= LARGE:
        images = {"image": _image} if any(task.image != made.base_image for task in made.tasks) else {}
        out.print(_tasks(made, {"resources": _resources, **images}))
    else:
        out.print(_parts(split_plan(made, known)))
    for line in _reasons(made.tasks):
        _line(out, line)
    _loaded(out, made)
    _crossings(out, made, known)
    print_summary(out, made, known)


def print_title(out: Console, made: Plan) -> None:
    """The DAG's name and size."""
    from rich.markup import escape

    size = f"{count_of(len(made.tasks), 'task')}, {count_of(made.node_count, 'node')}"
    out.print(f"[bold]{escape(made.dag_id)}[/bold]: {size} of pipeline {escape(printable(made.pipeline))}")


def print_summary(out: Console, made: Plan, known: PlanStatistics) -> None:
    """How many pods there are, how many run at once, and what they ask for."""
    widest = known.steps[known.widest - 1]
    limit = made.dag.max_active_tasks
    limited = f"; max_active_tasks lets {limit} run" if limit is not None and limit < len(widest) else ""
    several = len(known.steps) > 1
    _line(out, f"pods: {len(made.tasks):,}, in {count_of(len(known.steps), 'step')}")
    _line(
        out,
        f"widest step: {count_of(len(widest), 'task')}{f' in step {known.widest:,}' if several else ''} "
        f"({first_names([task.id for task in widest])}){limited}",
    )
    path = known.critical_path
    shown = path if len(path) <= 8 else (*path[:4], "...", *path[-3:])
    _line(out, f"critical path: {count_of(len(path), 'task')}: {' > '.join(map(printable, shown))}")
    request = ", ".join(f"{amount} {resource}" for resource, amount in known.at_once.items())
    _line(out, f"requested at once by the tasks of a step: {f'up to {request}' if request else 'nothing'}")


def _line(out: Console, text: str) -> None:
    from rich.markup import escape

    out.print(f"  {escape(text)}")


def _crossings(out: Console, made: Plan, known: PlanStatistics) -> None:
    if len(made.crossings) > LARGE:
        _line(out, f"{len(made.crossings):,} datasets cross between tasks:")
        found = Counter(describe_storage(known.places[crossing.dataset], short=True) for crossing in made.crossings)
        for where, number in sorted(found.items()):
            _line(out, f"  {number:,} {where}")
        return
    if made.crossings:
        out.print("  what crosses between tasks:")
    for crossing in made.crossings:
        versioned = ", versioned" if crossing.reach.versioned else ""
        where = describe_storage(known.places[crossing.dataset])
        goes = f"{printable(crossing.saved_by)} -> {first_names(crossing.loaded_by)}"
        _line(out, f"  {printable(crossing.dataset)}: {goes}, {where}{versioned}")


def _loaded(out: Console, made: Plan) -> None:
    smaller = [task for task in made.tasks if task.pipeline != made.pipeline and task.nodes]
    pipeline = printable(made.pipeline)
    if smaller:
        of = f"{len(smaller):,} of {count_of(len([task for task in made.tasks if task.nodes]), 'task')}"
        _line(
            out,
            f"{of} load a smaller pipeline than {pipeline} ({first_names(sorted({task.pipeline for task in smaller}))})",
        )
    whole = Counter(task.narrowing_declined for task in made.tasks if task.narrowing_declined)
    for message, number in whole.items():
        if made.registered > _ALONE and made.pipeline == DEFAULT_PIPELINE:
            _line(out, f"{count_of(number, 'task')} load{'s' if number == 1 else ''} all of {pipeline}: {message}")


def _tasks(made: Plan, more: Mapping[str, Any]) -> object:
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column("task", no_wrap=True)
    for name in ("nodes", "after", "together because", *more):
        table.add_column(name, overflow="fold")
    for task in made.tasks:
        cells = (printable(task.id), first_names(task.nodes), first_names(task.upstream), describe_merges(task))
        table.add_row(*map(escape, cells), *(escape(cell(task)) for cell in more.values()))
    return table


def _parts(found: Sequence[PlanSection]) -> object:
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
    request: dict[str, list[str | float]] = defaultdict(list)
    for settings in distinct.values():
        for resource, wanted in pod_requests(settings).items():
            request[resource].append(wanted)
    texts = []
    for resource, amounts in sorted(request.items()):
        least, most = min(amounts, key=parse_quantity), max(amounts, key=parse_quantity)
        span = str(most) if parse_quantity(least) == parse_quantity(most) else f"{least} to {most}"
        texts.append(f"{span} {resource}")
    return ", ".join(texts)


def _resources(task: Task) -> str:
    """What the pod requests, and its limit where that is another."""
    limits = (task.settings.get("resources") or {}).get("limits") or {}
    texts = []
    for resource, least in sorted(pod_requests(task.settings).items()):
        most = limits.get(resource, least)
        texts.append(
            f"{least} {resource}" if parse_quantity(least) == parse_quantity(most) else f"{least} -> {most} {resource}"
        )
    return ", ".join(texts)


def _image(task: Task) -> str:
    return printable(task.image)


def describe_merges(task: Task) -> str:
    """Why the nodes of a task are together, in a few words."""
    found: dict[str, dict[str, None]] = defaultdict(dict)
    for reason in task.merge_causes:
        found[reason.reason][reason.name] = None
    return "; ".join(f"{_RULES[rule]}: {first_names(list(what))}" for rule, what in found.items())


def _reasons(tasks: Iterable[Task]) -> Iterable[str]:
    """One line for each rule that fused something."""
    fused: dict[str, dict[str, None]] = defaultdict(dict)
    pods: dict[str, int] = defaultdict(int)
    for task in tasks:
        for rule in dict.fromkeys(reason.reason for reason in task.merge_causes):
            pods[rule] += 1
        for reason in task.merge_causes:
            fused[reason.reason][reason.name] = None
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
        yield f"{pods[rule]} pod{'s' if pods[rule] > 1 else ''} {texts[rule]}: {first_names(list(what))}"


def describe_storage(location: StorageLocation, *, short: bool = False) -> str:
    """Return where a dataset is between tasks; without its path when short."""
    path = f" at {printable(location.path)}" if location.path is not None and not short else ""
    if location.kind == "volume":
        return f"on volume {location.volume}{path}"
    if location.kind == "store":
        where = f"on volume {location.volume}{path}" if location.volume is not None else f"by {location.protocol}"
        return f"in memory, pickled in the store {where}"
    if location.kind == "object-store":
        return f"in an object store ({location.protocol})"
    if location.kind == "server":
        return f"on a server ({location.protocol})"
    if location.kind == "unknown":
        return "in an unknown place"
    return "in a place that data.reach declares shared"
