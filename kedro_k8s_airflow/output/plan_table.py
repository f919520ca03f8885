"""The plan as a table for people, with lines for merge reasons and for datasets that pass between tasks."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

from kedro_k8s_airflow.plan.dag_selection import DEFAULT_PIPELINE
from kedro_k8s_airflow.plan.sections import SECTION_LIMIT, split_plan
from kedro_k8s_airflow.plan.statistics import compute_plan_statistics, pod_requests
from kedro_k8s_airflow.quantities import parse_quantity
from kedro_k8s_airflow.text import count_of, first_names, printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from rich.console import Console

    from kedro_k8s_airflow.plan.model import Plan, Task
    from kedro_k8s_airflow.plan.sections import PlanSection
    from kedro_k8s_airflow.plan.statistics import PlanStatistics, StorageLocation

# A project with one pipeline and __default__ has no smaller pipeline to load.
_SINGLE_PIPELINE = 2
_MERGE_REASONS = {
    "memory": "in memory",
    "pod": "on the pod's disk",
    "confirms": "confirmed",
    "group": "group",
    "namespace": "namespace",
    "chain": "chain to",
    "between": "between",
}


def print_short(out: Console, plan: Plan) -> None:
    """Print the tasks of a DAG and why nodes share a pod, as `create` does."""
    print_title(out, plan)
    if len(plan.tasks) <= SECTION_LIMIT:
        out.print(_tasks_table(plan, {}))
    for line in _merge_lines(plan.tasks):
        _print_line(out, line)
    if plan.crossings:
        versioned = [crossing.dataset for crossing in plan.crossings if crossing.reach.versioned]
        names = first_names([crossing.dataset for crossing in plan.crossings])
        verb = "passes" if len(plan.crossings) == 1 else "pass"
        count = count_of(len(plan.crossings), "dataset")
        _print_line(out, f"{count} {verb} between tasks ({names}); {len(versioned):,} versioned")
    if plan.store is not None:
        stored = sorted({name for task in plan.tasks for name in task.stored})
        _print_line(
            out, f"{count_of(len(stored), 'memory dataset')} stored in {plan.store.url} ({first_names(stored)})"
        )
    _print_loaded_pipelines(out, plan)


def print_table(out: Console, plan: Plan) -> None:
    """Print the whole plan, as `plan` does: a line for each task, or in a large DAG for each namespace or step."""
    statistics = compute_plan_statistics(plan)
    print_title(out, plan)
    if len(plan.tasks) <= SECTION_LIMIT:
        images = {"image": _image} if any(task.image != plan.base_image for task in plan.tasks) else {}
        out.print(_tasks_table(plan, {"resources": _resources, **images}))
    else:
        out.print(_sections_table(split_plan(plan, statistics)))
    for line in _merge_lines(plan.tasks):
        _print_line(out, line)
    _print_loaded_pipelines(out, plan)
    _print_crossings(out, plan, statistics)
    print_summary(out, plan, statistics)


def print_title(out: Console, plan: Plan) -> None:
    """Print the DAG's id and size."""
    from rich.markup import escape

    size = f"{count_of(len(plan.tasks), 'task')}, {count_of(plan.node_count, 'node')}"
    out.print(f"[bold]{escape(plan.dag_id)}[/bold]: {size} of pipeline {escape(printable(plan.pipeline))}")


def print_summary(out: Console, plan: Plan, statistics: PlanStatistics) -> None:
    """Print the number of pods, how many run at once, and what they request."""
    widest = statistics.steps[statistics.widest_step - 1]
    limit = plan.dag.max_active_tasks
    limited = f"; max_active_tasks limits it to {limit}" if limit is not None and limit < len(widest) else ""
    several = len(statistics.steps) > 1
    _print_line(out, f"pods: {len(plan.tasks):,}, in {count_of(len(statistics.steps), 'step')}")
    _print_line(
        out,
        f"widest step: {count_of(len(widest), 'task')}{f' in step {statistics.widest_step:,}' if several else ''} "
        f"({first_names([task.id for task in widest])}){limited}",
    )
    path = statistics.critical_path
    shown = path if len(path) <= 8 else (*path[:4], "...", *path[-3:])
    _print_line(out, f"critical path: {count_of(len(path), 'task')}: {' > '.join(map(printable, shown))}")
    requests = ", ".join(f"{amount} {resource}" for resource, amount in statistics.peak_requests.items())
    _print_line(out, f"requested at once by the tasks of a step: {f'up to {requests}' if requests else 'nothing'}")


def _print_line(out: Console, text: str) -> None:
    from rich.markup import escape

    out.print(f"  {escape(text)}")


def _print_crossings(out: Console, plan: Plan, statistics: PlanStatistics) -> None:
    if len(plan.crossings) > SECTION_LIMIT:
        _print_line(out, f"{len(plan.crossings):,} datasets pass between tasks:")
        locations = Counter(
            describe_storage(statistics.storage[crossing.dataset], short=True) for crossing in plan.crossings
        )
        for location, number in sorted(locations.items()):
            _print_line(out, f"  {number:,} {location}")
        return
    if plan.crossings:
        out.print("  datasets that pass between tasks:")
    for crossing in plan.crossings:
        versioned = ", versioned" if crossing.reach.versioned else ""
        location = describe_storage(statistics.storage[crossing.dataset])
        goes = f"{printable(crossing.saved_by)} -> {first_names(crossing.loaded_by)}"
        _print_line(out, f"  {printable(crossing.dataset)}: {goes}, {location}{versioned}")


def _print_loaded_pipelines(out: Console, plan: Plan) -> None:
    smaller = [task for task in plan.tasks if task.pipeline != plan.pipeline and task.nodes]
    pipeline = printable(plan.pipeline)
    if smaller:
        share = f"{len(smaller):,} of {count_of(len([task for task in plan.tasks if task.nodes]), 'task')}"
        _print_line(
            out,
            f"{share} load a smaller pipeline than {pipeline} ({first_names(sorted({task.pipeline for task in smaller}))})",
        )
    messages = Counter(task.narrowing_declined for task in plan.tasks if task.narrowing_declined)
    for message, number in messages.items():
        if plan.pipeline_count > _SINGLE_PIPELINE and plan.pipeline == DEFAULT_PIPELINE:
            _print_line(
                out, f"{count_of(number, 'task')} load{'s' if number == 1 else ''} all of {pipeline}: {message}"
            )


def _tasks_table(plan: Plan, more_columns: Mapping[str, Any]) -> object:
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column("task", no_wrap=True)
    for name in ("nodes", "upstream", "merged because", *more_columns):
        table.add_column(name, overflow="fold")
    for task in plan.tasks:
        cells = (printable(task.id), first_names(task.nodes), first_names(task.upstream), describe_merges(task))
        table.add_row(*map(escape, cells), *(escape(cell(task)) for cell in more_columns.values()))
    return table


def _sections_table(sections: Sequence[PlanSection]) -> object:
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column("section", no_wrap=True)
    table.add_column("tasks", justify="right")
    table.add_column("nodes", justify="right")
    table.add_column("requests of each task", overflow="fold")
    for section in sections:
        nodes = sum(len(task.nodes) for task in section.tasks)
        table.add_row(
            escape(section.name), f"{len(section.tasks):,}", f"{nodes:,}", escape(_request_range(section.tasks))
        )
    return table


def _request_range(tasks: Iterable[Task]) -> str:
    """Return the smallest and the largest request of each resource."""
    amounts_by_resource: dict[str, list[str | float]] = defaultdict(list)
    for settings in {task.settings for task in tasks}:
        for resource, amount in pod_requests(settings).items():
            amounts_by_resource[resource].append(amount)
    texts = []
    for resource, amounts in sorted(amounts_by_resource.items()):
        least, most = min(amounts, key=parse_quantity), max(amounts, key=parse_quantity)
        span = str(most) if parse_quantity(least) == parse_quantity(most) else f"{least} to {most}"
        texts.append(f"{span} {resource}")
    return ", ".join(texts)


def _resources(task: Task) -> str:
    """Return what the pod requests, and its limits where they differ."""
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
    """Return in a few words why the nodes of a task share a pod."""
    names_by_reason: dict[str, dict[str, None]] = defaultdict(dict)
    for cause in task.merge_causes:
        names_by_reason[cause.reason][cause.name] = None
    return "; ".join(
        f"{_MERGE_REASONS[reason]}: {first_names(list(names))}" for reason, names in names_by_reason.items()
    )


def _merge_lines(tasks: Iterable[Task]) -> Iterable[str]:
    """Yield one line for each reason for which nodes share a pod."""
    names_by_reason: dict[str, dict[str, None]] = defaultdict(dict)
    pod_counts: dict[str, int] = defaultdict(int)
    for task in tasks:
        for reason in dict.fromkeys(cause.reason for cause in task.merge_causes):
            pod_counts[reason] += 1
        for cause in task.merge_causes:
            names_by_reason[cause.reason][cause.name] = None
    texts = {
        "memory": "merged by data in memory",
        "pod": "merged by files on the pod's disk",
        "confirms": "merged by confirmed datasets",
        "group": "merged by groups in the settings",
        "namespace": "merged by namespace",
        "chain": "merged as chains, up to",
        "between": "merged because of nodes between merged nodes",
    }
    for reason, names in names_by_reason.items():
        yield f"{count_of(pod_counts[reason], 'pod')} {texts[reason]}: {first_names(list(names))}"


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
        return "in an unknown location"
    return "declared shared by data.reach"
