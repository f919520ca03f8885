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
    pipeline = one.pipeline if one.whole is None else f"{one.pipeline}, all of it: {one.whole}"
    rows: _Rows = [
        ("pipeline", [pipeline]),
        ("image", [f"{one.image}, {one.image_said}"]),
        ("shown in", [one.group] if one.group else []),
        ("nodes", [_of_task(node) for node in one.nodes[:_SHOWN]] + _more(one.nodes)),
        ("together", [*one.together[:_SHOWN], *_more(one.together)]),
        ("waits for", list(one.after)),
        ("before", list(one.before)),
        ("loads", [_flow(flow, "from") for flow in one.reads]),
        ("saves", [_flow(flow, "for") for flow in one.writes]),
        ("rules", [", ".join(one.rules)] if one.rules else []),
        ("ended after", [f"{one.deadline} s: {one.deadline_said}" if one.deadline else one.deadline_said]),
    ]
    _block(out, f"{one.dag}: task {one.id}", rows)
    _settings(out, one.settings)
    out.print("\nBy hand:")
    for note in one.by_hand.notes:
        out.print(f"  {_on_one_line(note)}", markup=False, emoji=False)
    _lines(out, "with podman, in the project's folder", [one.by_hand.podman])
    _lines(out, "in the cluster", one.by_hand.kubectl)


def _node(out: Console, one: NodeExplanation) -> None:
    beside = "" if not one.companions else f", with {one.companions} other{'s' if one.companions > 1 else ''}"
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
        ("known as", [", ".join(one.forms)] if one.forms != (one.name,) else []),
        ("reach", [f"{one.reach}: {one.why}"]),
        ("saved by", [_use(one.writer, one)] if one.writer else []),
        ("loaded by", [_use(use, one) for use in one.readers]),
        ("travels", [one.travels]),
        ("versions", [one.versions] if one.versioned else []),
    ]
    _block(out, f"{one.dag}: dataset {one.name}", rows)


def _use(use: NodeUse, dataset: DatasetExplanation) -> str:
    form = f" as {use.form}" if use.form != dataset.name else ""
    return f"node {use.node}{form}" + (f", in task {use.task}" if use.task != use.node else "")


def _flow(flow: DatasetFlow, preposition: str) -> str:
    others = f" ({preposition} {', '.join(flow.others)})" if flow.others else ""
    return f"{flow.dataset}{others}: {flow.where}"


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
    if one.taken:
        return "none" if one.note else "taken away"
    if one.value is None:
        return "never"
    return one.value if isinstance(one.value, str) else json.dumps(one.value, ensure_ascii=False)


def _from(one: SettingExplanation) -> str:
    files = ", ".join(dict.fromkeys(where.partition(": ")[0] for where in one.where))
    said = ", ".join(one.said_by) + (f" ({files})" if files else "")
    return "; ".join(text for text in (said, one.note) if text)


def _on_one_line(text: str) -> str:
    return text if text.isprintable() else text.encode("unicode_escape").decode("ascii")


def _lines(out: Console, title: str, lines: Sequence[str]) -> None:
    """Lines to copy: as they are, since a console would fold them and read markup into them."""
    out.print(f"\n  {title}:\n")
    for line in lines:
        out.file.write(f"{line}\n")
