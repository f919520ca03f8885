"""What commands print besides the plan: one line for each finding, file and input. Plain when not a terminal."""

from __future__ import annotations

import contextlib
import io
import re
import sys
from collections import Counter
from functools import partial
from typing import IO, TYPE_CHECKING

from kedro_k8s_airflow import files
from kedro_k8s_airflow.plan.model import CONTRACT_VERSION
from kedro_k8s_airflow.text import count_of, one_line, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from rich.console import Console

    from kedro_k8s_airflow.files import FileChange
    from kedro_k8s_airflow.findings import Finding
    from kedro_k8s_airflow.image.build import BuildResult
    from kedro_k8s_airflow.output.source_lines import LineFinder
    from kedro_k8s_airflow.plan.model import LocalInput
    from kedro_k8s_airflow.publish.publisher import PublishResult as Published

_INPUTS_SHOWN = 40
# A step of buildah and podman, one of BuildKit, a line of ours.
_STEP = re.compile(r"(\[\d+/\d+\] )?STEP \d+|#\d+ \[|starting the image|Writing manifest|Copying blob|.*: Pushed$")


def open_console(*, stderr: bool = False, file: IO[str] | None = None) -> Console:
    """A console for people in a terminal, for plain lines elsewhere and in `file`."""
    from rich.console import Console

    # A file or a pipe has no width; lines are never cut there.
    plain = partial(Console, highlight=False, soft_wrap=True, width=200, no_color=True, emoji=False)
    if file is not None:
        return plain(file=file)
    stream = sys.stderr if stderr else sys.stdout
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(
            errors="backslashreplace"
        )  # a name must not fail for want of a letter in the terminal's encoding
    made = Console(stderr=stderr, highlight=False, soft_wrap=True)
    return made if made.is_terminal else plain(stderr=stderr)


def print_inputs(out: Console, found: Sequence[tuple[LocalInput, int | None]], commands: Sequence[str]) -> None:
    """What has to be on the volumes before the first run, and the commands that bring it there."""
    from rich.markup import escape

    if not found:
        return
    many = "1 input has" if len(found) == 1 else f"{len(found)} inputs have"
    out.print(f"{many} to be on the volumes before the first run:")
    for one, size in found[:_INPUTS_SHOWN]:
        out.print(
            f"  {_bytes(size):>10}  {escape(printable(one.local_path))}  ({escape(printable(one.dataset))}, volume {one.mount})"
        )
    if len(found) > _INPUTS_SHOWN:
        out.print(f"  and {len(found) - _INPUTS_SHOWN} more")
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
def show_progress(out: Console, what: str, *, quiet: bool) -> Iterator[Callable[[str], None]]:
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


def print_built(out: Console, made: BuildResult, lock: Path, root: Path) -> None:
    """What there is to tell about a new image."""
    from rich.markup import escape

    size = f", {_bytes(made.size)}" if made.size is not None else ""
    out.print(f"[bold]{escape(made.built.repository)}:{escape(made.built.tag)}[/bold]")
    out.print(f"  built   by {made.engine} in {made.seconds:.0f} s{size}")
    if made.proof is not None and made.proven_by is not None:
        told = made.proof
        root_said = (
            "a read-only root"
            if made.proven_by.has_read_only_root
            else f"{made.proven_by.name}, which has no read-only root"
        )
        out.print(
            f"  proven  contract {CONTRACT_VERSION}, Python {escape(told['python'])}, Kedro {escape(told['kedro'])}, "
            f"{count_of(told['pipelines'], 'pipeline')} with {count_of(told['nodes'], 'node')} loaded in {told['seconds']} s "
            f"by user {told['uid']} with {root_said}"
        )
    else:
        out.print("  proven  not at all (--no-verify)")
    if made.built.digest:
        out.print(f"  pushed  {made.built.digest}")
    out.print(
        f"  wrote   {escape(files.display_path(lock, root))}; `kedro k8s-airflow create` lets the DAG name this image"
    )


def print_published(out: Console, made: Published, *, dry: bool) -> None:
    """What publishing has done, or would do: each DAG that changes and how, the commit, the branch."""
    from rich.markup import escape

    if made.repaired:
        out.print(f"finished what a publish that was stopped had begun in {escape(made.display_name)}")
    branch = "the detached head" if made.branch is None else f"branch {made.branch}"
    if not made.has_changes:
        out.print(f"nothing to commit: {escape(made.up_to_date_branch)} of {escape(made.display_name)} has it already")
    if made.has_changes and dry:
        and_push = " and push" if made.will_push else ""
        out.print(f"would commit to {escape(branch)} of {escape(made.display_name)}{and_push}:")
        for line in made.message.splitlines():
            out.print(escape(f"  {one_line(line)}".rstrip()))
    elif made.has_changes:
        for line in made.lines:
            out.print(escape(line))
        out.print(f"committed  {made.commit} to {escape(branch)} of {escape(made.display_name)}")
    if made.pushed:
        out.print(f"pushed     {escape(branch)} to {escape(made.pushed)}")


def print_findings(out: Console, found: Iterable[Finding]) -> None:
    """One line for each finding, errors last so that they are seen."""
    from rich.markup import escape

    colour = {"error": "red", "warning": "yellow", "info": "cyan"}
    rank = ("info", "warning", "error")
    for finding in sorted(dict.fromkeys(found), key=lambda one: rank.index(one.severity)):
        text = "".join(
            sign if sign.isprintable() else sign.encode("unicode_escape").decode("ascii")
            for sign in " ".join(str(finding).split("\n"))
        )
        for line in finding.detail.splitlines():
            out.print(f"  {escape(line)}")
        out.print(
            f"[{colour[finding.severity]}]{finding.severity}[/] [{finding.code}] ".replace(
                f"[{finding.code}]", f"\\[{finding.code}]"
            )
            + escape(text)
        )


def write_report(
    found: Sequence[Finding], find_line: LineFinder, form: str, output: Path | None, *, nothing: str = "no findings"
) -> None:
    """All findings in one of the formats of `check`, on stdout or in a file; `nothing` is said when there are none."""
    import click

    from kedro_k8s_airflow.output import finding_formats

    if form == "text" and output is None:
        _print_counted(open_console(), found, nothing)
        return
    if form == "text":
        stream = io.StringIO()
        _print_counted(open_console(file=stream), found, nothing)
        text = stream.getvalue()
    else:
        make = {
            "json": finding_formats.findings_to_json,
            "github": finding_formats.findings_to_github,
            "sarif": finding_formats.findings_to_sarif,
        }[form]
        text = make(found, find_line)
    if output is None:
        open_console()  # or a letter that the terminal lacks would be an error
        click.echo(text, nl=False)
        return
    files.write_file(output, text, force=True)


def _print_counted(out: Console, found: Sequence[Finding], nothing: str) -> None:
    """Findings, and how many there are."""
    print_findings(out, found)
    counts = Counter(finding.severity for finding in found)
    said = [count_of(counts[one], one) for one in ("error", "warning", "info") if counts[one]]
    out.print(", ".join(said) if said else nothing)


def print_written(out: Console, changes: Sequence[FileChange], root: Path, *, dry: bool) -> None:
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
        out.print(f"{words[change.status]:<16} {escape(files.display_path(path, root))}")
