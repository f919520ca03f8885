"""What commands print: a short table, one line for each reason, one line for each finding. Plain when not a terminal."""

from __future__ import annotations

import contextlib
import io
import re
import sys
from collections import Counter, defaultdict
from typing import IO, TYPE_CHECKING

from kedro_k8s_airflow import files
from kedro_k8s_airflow.plan import CONTRACT_VERSION
from kedro_k8s_airflow.selection import DEFAULT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from rich.console import Console

    from kedro_k8s_airflow.files import Change
    from kedro_k8s_airflow.findings import Finding
    from kedro_k8s_airflow.image.build import Report
    from kedro_k8s_airflow.places import Locator
    from kedro_k8s_airflow.plan import LocalInput, Plan, Task

_TASKS_SHOWN = 40
_NAMES_SHOWN = 3
# A step of buildah and podman, one of BuildKit, a line of ours.
_STEP = re.compile(r"(\[\d+/\d+\] )?STEP \d+|#\d+ \[|starting the image|Writing manifest|Copying blob|.*: Pushed$")
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


def console(*, stderr: bool = False, file: IO[str] | None = None) -> Console:
    """A console for people in a terminal, for plain lines elsewhere."""
    from rich.console import Console

    if file is not None:
        return Console(file=file, highlight=False, soft_wrap=True, width=200, no_color=True, emoji=False)
    stream = sys.stderr if stderr else sys.stdout
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(
            errors="backslashreplace"
        )  # a name must not fail for want of a letter in the terminal's encoding
    made = Console(stderr=stderr, highlight=False, soft_wrap=True)
    if not made.is_terminal:
        # A file or a pipe has no width; lines are never cut there.
        return Console(stderr=stderr, highlight=False, soft_wrap=True, width=200, no_color=True, emoji=False)
    return made


def plan(out: Console, made: Plan) -> None:
    """The tasks of a DAG, its reasons and what crosses between tasks."""
    from rich.markup import escape

    size = f"{_count(len(made.tasks), 'task')}, {_count(made.node_count, 'node')}"
    out.print(f"[bold]{escape(made.dag_id)}[/bold]: {size} of pipeline {escape(made.pipeline)}")
    if len(made.tasks) <= _TASKS_SHOWN:
        out.print(_table(made.tasks))
    for line in _reasons(made.tasks):
        out.print(f"  {escape(line)}")
    if made.crossings:
        versioned = [crossing.dataset for crossing in made.crossings if crossing.reach.versioned]
        names = _some([crossing.dataset for crossing in made.crossings])
        cross = "dataset crosses" if len(made.crossings) == 1 else "datasets cross"
        out.print(f"  {len(made.crossings)} {cross} between tasks ({escape(names)}); {len(versioned)} versioned")
    if made.store is not None:
        stored = sorted({name for task in made.tasks for name in task.stored})
        out.print(
            f"  {_count(len(stored), 'dataset')} in memory stored in {escape(made.store.url)} ({escape(_some(stored))})"
        )
    smaller = [task for task in made.tasks if task.pipeline != made.pipeline and task.nodes]
    if smaller:
        of = f"{len(smaller)} of {_count(len([task for task in made.tasks if task.nodes]), 'task')}"
        names = _some(sorted({task.pipeline for task in smaller}))
        out.print(f"  {of} load a smaller pipeline than {escape(made.pipeline)} ({escape(names)})")
    whole = Counter(task.whole for task in made.tasks if task.whole)
    for why, number in whole.items():
        if made.registered > _ALONE and made.pipeline == DEFAULT:
            out.print(
                f"  {_count(number, 'task')} load{'s' if number == 1 else ''} all of {escape(made.pipeline)}: {escape(why)}"
            )


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


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
            escape(printable(task.id)), escape(_some(task.nodes)), escape(_some(task.after)), escape(_why(task))
        )
    return table


def _why(task: Task) -> str:
    found: dict[str, list[str]] = defaultdict(list)
    for reason in task.reasons:
        if reason.what not in found[reason.rule]:
            found[reason.rule].append(reason.what)
    return "; ".join(f"{_RULES[rule]}: {_some(what)}" for rule, what in found.items())


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
        yield f"{pods[rule]} pod{'s' if pods[rule] > 1 else ''} {texts[rule]}: {_some(list(what))}"


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(printable(name) for name in names[:_NAMES_SHOWN])
    return shown + (f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else "")


def printable(name: str) -> str:
    """A name on one line, at a length a table can hold."""
    text = name if name.isprintable() else name.encode("unicode_escape").decode("ascii")
    return text if len(text) <= 80 else f"{text[:60]}...{text[-17:]}"


def inputs(out: Console, found: Sequence[tuple[LocalInput, int | None]], commands: Sequence[str]) -> None:
    """What has to be on the volumes before the first run, and the commands that bring it there."""
    from rich.markup import escape

    if not found:
        return
    many = "1 input has" if len(found) == 1 else f"{len(found)} inputs have"
    out.print(f"{many} to be on the volumes before the first run:")
    for one, size in found[:_TASKS_SHOWN]:
        out.print(
            f"  {_bytes(size):>10}  {escape(printable(one.here))}  ({escape(printable(one.dataset))}, volume {one.mount})"
        )
    if len(found) > _TASKS_SHOWN:
        out.print(f"  and {len(found) - _TASKS_SHOWN} more")
    out.print("In the project's folder:")
    for command in commands:
        out.print(f"  {escape(command)}")


def _bytes(size: int | None) -> str:
    if size is None:
        return "not here"
    amount = float(size)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TiB"


@contextlib.contextmanager
def progress(out: Console, what: str, *, quiet: bool) -> Iterator[Callable[[str], None]]:
    """Shows what an engine does: its step and the time in a terminal, its steps as plain lines elsewhere.

    Yields:
        What gets every line of the engine.
    """
    from rich.markup import escape
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    if quiet:
        yield lambda _: None
        return
    if not out.is_terminal:

        def say(line: str) -> None:
            if _STEP.match(line):
                out.print(escape(f"{what}: {printable(line.strip())}"))

        yield say
        return
    columns = (SpinnerColumn(), TextColumn("[bold]{task.fields[what]}[/] {task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=out, transient=True) as bar:
        shown = bar.add_task("starts", what=what, total=None)

        def turn(line: str) -> None:
            if _STEP.match(line):
                bar.update(shown, description=escape(printable(line.strip())))

        yield turn


def built(out: Console, made: Report, lock: Path, root: Path) -> None:
    """What there is to tell about a new image."""
    from rich.markup import escape

    size = f", {_bytes(made.size)}" if made.size is not None else ""
    out.print(f"[bold]{escape(made.built.repository)}:{escape(made.built.tag)}[/bold]")
    out.print(f"  built   by {made.engine} in {made.seconds:.0f} s{size}")
    if made.proof is not None and made.proven_by is not None:
        told = made.proof
        root_said = (
            "a read-only root" if made.proven_by.read_only else f"{made.proven_by.name}, which has no read-only root"
        )
        out.print(
            f"  proven  contract {CONTRACT_VERSION}, Python {escape(told['python'])}, Kedro {escape(told['kedro'])}, "
            f"{_count(told['pipelines'], 'pipeline')} with {_count(told['nodes'], 'node')} loaded in {told['seconds']} s "
            f"by user {told['uid']} with {root_said}"
        )
    else:
        out.print("  proven  not at all (--no-verify)")
    if made.built.digest:
        out.print(f"  pushed  {made.built.digest}")
    out.print(f"  wrote   {escape(files.shown(lock, root))}; `kedro k8s-airflow create` lets the DAG name this image")


def findings(out: Console, found: Iterable[Finding]) -> None:
    """One line for each finding, errors last so that they are seen."""
    from rich.markup import escape

    colour = {"error": "red", "warning": "yellow", "info": "cyan"}
    rank = ("info", "warning", "error")
    for finding in sorted(dict.fromkeys(found), key=lambda one: rank.index(one.severity)):
        text = " ".join(str(finding).split("\n"))
        for line in finding.detail.splitlines():
            out.print(f"  {escape(line)}")
        out.print(
            f"[{colour[finding.severity]}]{finding.severity}[/] [{finding.code}] ".replace(
                f"[{finding.code}]", f"\\[{finding.code}]"
            )
            + escape(text)
        )


def report(found: Sequence[Finding], locate: Locator, form: str, output: Path | None) -> None:
    """All findings in one of the formats of `check`, on stdout or in a file."""
    import click

    from kedro_k8s_airflow import reports

    if form == "text":
        with contextlib.ExitStack() as stack:
            stream = stack.enter_context(output.open("w", encoding="utf-8")) if output is not None else None
            out = console(file=stream)
            findings(out, found)
            counts = Counter(finding.severity for finding in found)
            said = [_count(counts[one], one) for one in ("error", "warning", "info") if counts[one]]
            out.print(", ".join(said) if said else "no findings")
        return
    make = {"json": reports.as_json, "github": reports.as_github, "sarif": reports.as_sarif}[form]
    text = make(found, locate)
    if output is not None:
        output.write_text(text, encoding="utf-8")
    else:
        click.echo(text, nl=False)


def written(out: Console, changes: Sequence[Change], root: Path, *, dry: bool) -> None:
    """One line for each file: new, changed, unchanged, or kept because it is the user's own."""
    from rich.markup import escape

    words = {
        "new": "would write" if dry else "wrote",
        "changed": "would change" if dry else "changed",
        "unchanged": "unchanged",
        "kept": "kept (your own)",
    }
    for change in changes:
        path = change.output.path
        out.print(f"{words[change.status]:<16} {escape(files.shown(path, root))}")
