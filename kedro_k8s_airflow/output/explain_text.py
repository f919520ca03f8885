"""Explanations for people: a block of facts, a table of settings, commands to copy. For programs see `explain_json`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from kedro_k8s_airflow.explain.context import DatasetExplanation, NodeExplanation, TaskExplanation
from kedro_k8s_airflow.text import count_of, one_line, printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.console import Console

    from kedro_k8s_airflow.explain.context import DatasetFlow, Explanation, NodeUse, SettingExplanation

_ITEMS_SHOWN = 40
_Rows = list[tuple[str, list[str]]]


def print_explanations(out: Console, explanations: Sequence[Explanation]) -> None:
    """Print the explanations of one name, block after block."""
    for index, explanation in enumerate(explanations):
        if index:
            out.print()
        if isinstance(explanation, TaskExplanation):
            _print_task(out, explanation)
        elif isinstance(explanation, NodeExplanation):
            _print_node(out, explanation)
        else:
            _print_dataset(out, explanation)


def _print_task(out: Console, task: TaskExplanation) -> None:
    pipeline_note = "" if task.narrowing_declined is None else f" (the DAG's whole pipeline: {task.narrowing_declined})"
    rows: _Rows = [
        ("pipeline", [f"{task.pipeline}{pipeline_note}"]),
        ("image", [f"{task.image} ({task.image_source})"]),
        ("task group", [task.group] if task.group else []),
        ("nodes", [_describe_node(node) for node in task.nodes[:_ITEMS_SHOWN]] + _rest_of(task.nodes)),
        ("merged because", [*task.merge_reasons[:_ITEMS_SHOWN], *_rest_of(task.merge_reasons)]),
        ("upstream", list(task.upstream)),
        ("downstream", list(task.downstream)),
        ("loads", [_describe_flow(flow, "from") for flow in task.loads]),
        ("saves", [_describe_flow(flow, "for") for flow in task.saves]),
        ("rules", [", ".join(task.rules)] if task.rules else []),
        ("deadline", [_describe_deadline(task)]),
    ]
    _print_block(out, f"{task.dag}: task {task.id}", rows)
    _print_settings(out, task.settings)
    out.print("\nRun it manually:")
    for note in task.debug_commands.notes:
        out.print(f"  {one_line(note)}", markup=False, emoji=False)
    _print_lines(out, "with podman, in the project's folder", [task.debug_commands.podman])
    _print_lines(out, "in the cluster", task.debug_commands.kubectl)


def _print_node(out: Console, node: NodeExplanation) -> None:
    others = f" (with {count_of(node.other_nodes_in_task, 'other node')})" if node.other_nodes_in_task else ""
    rows: _Rows = [
        ("task", [f"{node.task}{others}"]),
        ("namespace", [node.namespace] if node.namespace else []),
        ("tags", [", ".join(node.tags)] if node.tags else []),
        ("pipelines", [", ".join(node.pipelines)]),
        ("inputs", list(node.inputs)),
        ("outputs", list(node.outputs)),
        ("rules", [", ".join(node.rules)] if node.rules else []),
    ]
    _print_block(out, f"{node.dag}: node {node.name}", rows)
    _print_settings(out, node.settings)


def _print_dataset(out: Console, dataset: DatasetExplanation) -> None:
    rows: _Rows = [
        ("names", [", ".join(dataset.names)] if dataset.names != (dataset.name,) else []),
        ("reach", [f"{dataset.reach}: {dataset.reach_reason}"]),
        ("saved by", [_describe_use(dataset.saved_by, dataset)] if dataset.saved_by else []),
        ("loaded by", [_describe_use(use, dataset) for use in dataset.loaded_by]),
        ("storage", [dataset.storage]),
        ("versions", [dataset.version_choice] if dataset.versioned else []),
    ]
    _print_block(out, f"{dataset.dag}: dataset {dataset.name}", rows)


def _describe_use(use: NodeUse, dataset: DatasetExplanation) -> str:
    form = f" as {use.dataset}" if use.dataset != dataset.name else ""
    return f"node {use.node}{form}" + (f" in task {use.task}" if use.task != use.node else "")


def _describe_flow(flow: DatasetFlow, preposition: str) -> str:
    others = f" ({preposition} {', '.join(flow.other_tasks)})" if flow.other_tasks else ""
    return f"{flow.dataset}{others}: {flow.storage}"


def _describe_deadline(task: TaskExplanation) -> str:
    if task.deadline_seconds is None:
        return task.deadline_source
    return f"{task.deadline_seconds:,} s ({task.deadline_source})"


def _describe_node(node: NodeExplanation) -> str:
    about = [f"namespace {node.namespace}"] if node.namespace else []
    about += [f"tags {', '.join(node.tags)}"] if node.tags else []
    return node.name + (f" ({'; '.join(about)})" if about else "")


def _rest_of(listed: Sequence[Any]) -> list[str]:
    return [f"and {len(listed) - _ITEMS_SHOWN:,} more"] if len(listed) > _ITEMS_SHOWN else []


def _print_block(out: Console, title: str, rows: _Rows) -> None:
    from rich.markup import escape
    from rich.table import Table

    out.print(f"[bold]{escape(printable(title))}[/bold]", emoji=False)
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, texts in rows:
        for index, text in enumerate(texts):
            table.add_row(f"  {name}" if not index else "", escape(one_line(text)))
    out.print(table, emoji=False)


def _print_settings(out: Console, settings: Iterable[SettingExplanation]) -> None:
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for title in ("setting", "value", "source"):
        table.add_column(title, overflow="fold")
    for setting in settings:
        table.add_row(
            *(escape(one_line(text)) for text in (setting.key, _format_value(setting), _describe_source(setting)))
        )
    out.print(table, emoji=False)


def _format_value(setting: SettingExplanation) -> str:
    if setting.removed:
        return "not set" if setting.note else "removed"
    if setting.value is None:
        return "never"
    return setting.value if isinstance(setting.value, str) else json.dumps(setting.value, ensure_ascii=False)


def _describe_source(setting: SettingExplanation) -> str:
    files = ", ".join(dict.fromkeys(str(location.file) for location in setting.locations))
    origins = ", ".join(setting.source) + (f" ({files})" if files else "")
    return "; ".join(text for text in (origins, setting.note) if text)


def _print_lines(out: Console, title: str, lines: Sequence[str]) -> None:
    """Print commands to copy, unchanged: a console would wrap them and interpret markup in them."""
    out.print(f"\n  {title}:\n")
    for line in lines:
        out.file.write(f"{line}\n")
