"""Print findings, files, inputs and the results of build-image and publish; plain lines outside a terminal."""

from __future__ import annotations

import contextlib
import io
import re
import sys
from collections import Counter
from functools import partial
from typing import IO, TYPE_CHECKING

from kedro_k8s_airflow import files
from kedro_k8s_airflow.findings import SEVERITIES
from kedro_k8s_airflow.plan.model import CONTRACT_VERSION
from kedro_k8s_airflow.stdout import result_stream
from kedro_k8s_airflow.text import count_of, one_line, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from rich.console import Console

    from kedro_k8s_airflow.files import FileChange
    from kedro_k8s_airflow.findings import Finding
    from kedro_k8s_airflow.image.build import BuildResult
    from kedro_k8s_airflow.kubernetes.cluster_needs import MissingObject
    from kedro_k8s_airflow.output.source_lines import LineFinder
    from kedro_k8s_airflow.plan.model import LocalInput
    from kedro_k8s_airflow.publish.publisher import PublishResult as Published

_INPUTS_SHOWN = 40
# Steps of buildah and podman, steps of BuildKit, and messages of this package.
_STEP_PATTERN = re.compile(
    r"(\[\d+/\d+\] )?STEP \d+|#\d+ \[|starting the image|Writing manifest|Copying blob|.*: Pushed$"
)


def open_console(*, stderr: bool = False, file: IO[str] | None = None) -> Console:
    """Return a console with colors and a width for a terminal, or with plain lines elsewhere and for `file`."""
    from rich.console import Console

    # A file or a pipe has no width, so lines are never cut there.
    plain = partial(Console, highlight=False, soft_wrap=True, width=200, no_color=True, emoji=False)
    if file is not None:
        return plain(file=file)
    stream = sys.stderr if stderr else result_stream()
    if hasattr(stream, "reconfigure"):
        # A name with characters outside the terminal's encoding must not fail.
        stream.reconfigure(errors="backslashreplace")
    console = Console(file=stream, highlight=False, soft_wrap=True)
    return console if console.is_terminal else plain(file=stream)


def print_inputs(out: Console, inputs: Sequence[tuple[LocalInput, int | None]], commands: Sequence[str]) -> None:
    """Print the inputs that must be on the volumes before the first run, and the commands that copy them."""
    from rich.markup import escape

    if not inputs:
        return
    out.print(f"{count_of(len(inputs), 'input')} must be on the volumes before the first run:")
    for local_input, size in inputs[:_INPUTS_SHOWN]:
        out.print(
            f"  {_format_size(size):>10}  {escape(printable(local_input.local_path))}  "
            f"({escape(printable(local_input.dataset))}, volume {local_input.mount})"
        )
    if len(inputs) > _INPUTS_SHOWN:
        out.print(f"  and {len(inputs) - _INPUTS_SHOWN:,} more")
    out.print("To copy them, run in the project's folder:")
    for command in commands:
        out.print(f"  {escape(command)}")


def _format_size(size: int | None) -> str:
    if size is None:
        return "missing"
    amount = float(size)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TiB"


@contextlib.contextmanager
def show_progress(out: Console, label: str, *, quiet: bool) -> Iterator[Callable[[str], None]]:
    """Show the progress of an engine: its step and the time in a terminal, its steps as plain lines elsewhere.

    Yields:
        A function to call with every line that the engine prints.
    """
    from rich.markup import escape
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    if quiet:
        yield lambda _: None
        return
    if not out.is_terminal:

        def print_step(line: str) -> None:
            if _STEP_PATTERN.match(line):
                out.print(escape(f"{label}: {printable(line.strip())}"))

        yield print_step
        return
    columns = (SpinnerColumn(), TextColumn("[bold]{task.fields[what]}[/] {task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=out, transient=True) as bar:
        progress_task = bar.add_task("starts", what=label, total=None)

        def update_step(line: str) -> None:
            if _STEP_PATTERN.match(line):
                bar.update(progress_task, description=escape(printable(line.strip())))

        yield update_step


def print_build_result(out: Console, result: BuildResult, lock: Path, root: Path) -> None:
    """Print the result of building an image."""
    from rich.markup import escape

    size = f", {_format_size(result.size)}" if result.size is not None else ""
    out.print(f"[bold]{escape(result.image.repository)}:{escape(result.image.tag)}[/bold]")
    out.print(f"  built     by {result.engine} in {result.seconds:.0f} s{size}")
    if result.probe_report is not None and result.verified_by is not None:
        proof = result.probe_report
        root_description = (
            "a read-only root"
            if result.verified_by.supports_read_only_root
            else f"{result.verified_by.name}, which does not support a read-only root"
        )
        out.print(
            f"  verified  contract {CONTRACT_VERSION}, Python {escape(proof['python'])}, Kedro {escape(proof['kedro'])}, "
            f"{count_of(proof['pipelines'], 'pipeline')} with {count_of(proof['nodes'], 'node')} loaded in {proof['seconds']} s "
            f"by user {proof['uid']} with {root_description}"
        )
    else:
        out.print("  verified  no (--no-verify)")
    if result.image.digest:
        out.print(f"  pushed    {result.image.digest}")
    out.print(
        f"  wrote     {escape(files.display_path(lock, root))}; run `kedro k8s-airflow create` to use this image in the DAG"
    )


def print_publish_result(out: Console, result: Published, *, dry: bool) -> None:
    """Print what publish has done or would do: the changes of each DAG, the commit and the branch."""
    from rich.markup import escape

    if result.repaired:
        out.print(f"Finished an interrupted publish in {escape(result.display_name)}.")
    branch = "the detached HEAD" if result.branch is None else f"branch {result.branch}"
    if not result.has_changes and result.ahead_remote is not None:
        remote_branch = f"{result.ahead_remote}/{result.branch}"
        out.print(f"Already up to date: {escape(remote_branch)} (local checkout is behind).")
    elif not result.has_changes and result.is_new_branch:
        out.print(f"Already up to date: new {escape(branch)} of {escape(result.display_name)} would equal its base.")
    elif not result.has_changes:
        out.print(f"Already up to date: {escape(branch)} of {escape(result.display_name)}.")
    if result.has_changes and dry:
        and_push = " and push" if result.will_push else ""
        out.print(f"would commit to {escape(branch)} of {escape(result.display_name)}{and_push}:")
        for line in result.message.splitlines():
            out.print(escape(f"  {one_line(line)}".rstrip()))
    elif result.has_changes:
        for line in result.lines:
            out.print(escape(line))
        out.print(f"committed  {result.commit} to {escape(branch)} of {escape(result.display_name)}")
    if result.pushed:
        out.print(f"pushed     {escape(branch)} to {escape(result.pushed)}")


def print_findings(out: Console, findings: Iterable[Finding]) -> None:
    """Print one line for each finding, errors last so that they are not overlooked."""
    from rich.markup import escape

    colour = {"error": "red", "warning": "yellow", "info": "cyan"}
    order = ("info", "warning", "error")
    for finding in sorted(dict.fromkeys(findings), key=lambda one: order.index(one.severity)):
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
    findings: Sequence[Finding],
    find_line: LineFinder,
    format_name: str,
    output: Path | None,
    *,
    empty_text: str = "no findings",
) -> None:
    """Write all findings in one of the formats of `check` to standard output or a file; `empty_text` if there are none."""
    import click

    from kedro_k8s_airflow.output import finding_formats

    if format_name == "text" and output is None:
        _print_counted(open_console(), findings, empty_text)
        return
    if format_name == "text":
        stream = io.StringIO()
        _print_counted(open_console(file=stream), findings, empty_text)
        text = stream.getvalue()
    else:
        to_text = {
            "json": finding_formats.findings_to_json,
            "github": finding_formats.findings_to_github,
            "sarif": finding_formats.findings_to_sarif,
        }[format_name]
        text = to_text(findings, find_line)
    if output is None:
        open_console()  # so that characters outside the terminal's encoding are not an error
        click.echo(text, nl=False, file=result_stream())
        return
    files.write_file(output, text, force=True)


def _print_counted(out: Console, findings: Sequence[Finding], empty_text: str) -> None:
    """Print findings and the number of each severity."""
    print_findings(out, findings)
    counts = Counter(finding.severity for finding in findings)
    counted = [count_of(counts[severity], severity) for severity in SEVERITIES if counts[severity]]
    out.print(", ".join(counted) if counted else empty_text)


def print_file_changes(out: Console, changes: Sequence[FileChange], root: Path, *, dry: bool) -> None:
    """Print one line for each file: new, changed, unchanged, or kept because this package did not generate it."""
    from rich.markup import escape

    labels = {
        "new": "would write" if dry else "wrote",
        "changed": "would change" if dry else "changed",
        "unchanged": "unchanged",
        "kept": "kept (your own)",
    }
    for change in changes:
        path = change.output.path
        out.print(f"{labels[change.status]:<16} {escape(files.display_path(path, root))}")


def print_missing_objects(out: Console, missing: Sequence[MissingObject], namespace: str) -> None:
    """Print one line for each object that the pods need in their namespace and that was not written."""
    from rich.markup import escape

    for thing in missing:
        reason = thing.reason or f"it has to exist in namespace {namespace}"
        if thing.kind in ("PriorityClass", "RuntimeClass"):
            reason = "it has to exist in the cluster"
        out.print(f"{'not written':<16} {thing.kind} {escape(thing.name)}: {escape(reason)}")
