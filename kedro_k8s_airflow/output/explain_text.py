"""What `explain` prints for people: a block of facts, a table of settings, lines to copy."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from kedro_k8s_airflow.explain.context import DatasetExplanation, NodeExplanation, TaskExplanation
from kedro_k8s_airflow.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.console import Console

    from kedro_k8s_airflow.explain.context import DatasetFlow, Explanation, NodeUse, SettingExplanation

_SHOWN = 40
_Rows = list[tuple[str, list[str]]]


def print_explanations(out: Console, found: Sequence[Explanation]) -> None:
    """All that was found of one name, block after block."""
    for place, one in enumerate(found):
        if place:
            out.print()
        if isinstance(one, TaskExplanation):
            _task(out, one)
        elif isinstance(one, NodeExplanation):
            _node(out, one)
        else:
            _dataset(out, one)


def _task(out: Console, one: TaskExplanation) -> None:
    pipeline = (
        one.pipeline if one.narrowing_declined is None else f"{one.pipeline}, all of it: {one.narrowing_declined}"
    )
    rows: _Rows = [
        ("pipeline", [pipeline]),
        ("image", [f"{one.image}, {one.image_source}"]),
        ("task group", [one.group] if one.group else []),
        ("nodes", [_of_task(node) for node in one.nodes[:_SHOWN]] + _more(one.nodes)),
        ("share a pod", [*one.merge_reasons[:_SHOWN], *_more(one.merge_reasons)]),
        ("upstream", list(one.upstream)),
        ("downstream", list(one.downstream)),
        ("loads", [_flow(flow, "from") for flow in one.loads]),
        ("saves", [_flow(flow, "for") for flow in one.saves]),
        ("rules", [", ".join(one.rules)] if one.rules else []),
        (
            "ended after",
            [f"{one.deadline_seconds} s: {one.deadline_source}" if one.deadline_seconds else one.deadline_source],
        ),
    ]
    _block(out, f"{one.dag}: task {one.id}", rows)
    _settings(out, one.settings)
    out.print("\nRun it manually:")
    for note in one.debug_commands.notes:
        out.print(f"  {_on_one_line(note)}", markup=False, emoji=False)
    _lines(out, "with podman, in the project's folder", [one.debug_commands.podman])
    _lines(out, "in the cluster", one.debug_commands.kubectl)


def _node(out: Console, one: NodeExplanation) -> None:
    beside = (
        ""
        if not one.other_nodes_in_task
        else f", with {one.other_nodes_in_task} other{'s' if one.other_nodes_in_task > 1 else ''}"
    )
    rows: _Rows = [
        ("task", [f"{one.task}{beside}"]),
        ("namespace", [one.namespace] if one.namespace else []),
        ("tags", [", ".join(one.tags)] if one.tags else []),
        ("pipelines", [", ".join(one.pipelines)]),
        ("inputs", list(one.inputs)),
        ("outputs", list(one.outputs)),
        ("rules", [", ".join(one.rules)] if one.rules else []),
    ]
    _block(out, f"{one.dag}: node {one.name}", rows)
    _settings(out, one.settings)


def _dataset(out: Console, one: DatasetExplanation) -> None:
    rows: _Rows = [
        ("known as", [", ".join(one.names)] if one.names != (one.name,) else []),
        ("reach", [f"{one.reach}: {one.reach_reason}"]),
        ("saved by", [_use(one.saved_by, one)] if one.saved_by else []),
        ("loaded by", [_use(use, one) for use in one.loaded_by]),
        ("storage", [one.storage]),
        ("versions", [one.version_choice] if one.versioned else []),
    ]
    _block(out, f"{one.dag}: dataset {one.name}", rows)


def _use(use: NodeUse, dataset: DatasetExplanation) -> str:
    form = f" as {use.dataset}" if use.dataset != dataset.name else ""
    return f"node {use.node}{form}" + (f", in task {use.task}" if use.task != use.node else "")


def _flow(flow: DatasetFlow, preposition: str) -> str:
    others = f" ({preposition} {', '.join(flow.other_tasks)})" if flow.other_tasks else ""
    return f"{flow.dataset}{others}: {flow.storage}"


def _of_task(node: NodeExplanation) -> str:
    about = [f"namespace {node.namespace}"] if node.namespace else []
    about += [f"tags {', '.join(node.tags)}"] if node.tags else []
    return node.name + (f" ({'; '.join(about)})" if about else "")


def _more(listed: Sequence[Any]) -> list[str]:
    return [f"and {len(listed) - _SHOWN} more"] if len(listed) > _SHOWN else []


def _block(out: Console, title: str, rows: _Rows) -> None:
    from rich.markup import escape
    from rich.table import Table

    out.print(f"[bold]{escape(printable(title))}[/bold]", emoji=False)
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, said in rows:
        for place, text in enumerate(said):
            table.add_row(f"  {name}" if not place else "", escape(_on_one_line(text)))
    out.print(table, emoji=False)


def _settings(out: Console, settings: Iterable[SettingExplanation]) -> None:
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for title in ("setting", "value", "from"):
        table.add_column(title, overflow="fold")
    for one in settings:
        table.add_row(*(escape(_on_one_line(text)) for text in (one.key, _value(one), _from(one))))
    out.print(table, emoji=False)


def _value(one: SettingExplanation) -> str:
    if one.removed:
        return "none" if one.note else "taken away"
    if one.value is None:
        return "never"
    return one.value if isinstance(one.value, str) else json.dumps(one.value, ensure_ascii=False)


def _from(one: SettingExplanation) -> str:
    files = ", ".join(dict.fromkeys(str(location.file) for location in one.locations))
    said = ", ".join(one.source) + (f" ({files})" if files else "")
    return "; ".join(text for text in (said, one.note) if text)


def _on_one_line(text: str) -> str:
    return text if text.isprintable() else text.encode("unicode_escape").decode("ascii")


def _lines(out: Console, title: str, lines: Sequence[str]) -> None:
    """Lines to copy: as they are, since a console would fold them and read markup into them."""
    out.print(f"\n  {title}:\n")
    for line in lines:
        out.file.write(f"{line}\n")
