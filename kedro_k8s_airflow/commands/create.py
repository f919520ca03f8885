"""`create`, without the printing: read, plan, render, compare. Nothing is written here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kedro_k8s_airflow import checks, compiler, files
from kedro_k8s_airflow.commands.local_inputs import find_local_paths, inputs_to_bring, size_of
from kedro_k8s_airflow.config import schema
from kedro_k8s_airflow.dag import render
from kedro_k8s_airflow.dag.header import DagFileHeader, read_header
from kedro_k8s_airflow.findings import Refused, warning
from kedro_k8s_airflow.kubernetes import manifests
from kedro_k8s_airflow.locations import Location

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from kedro_k8s_airflow.files import FileChange
    from kedro_k8s_airflow.findings import Finding
    from kedro_k8s_airflow.plan.model import LocalInput, Plan
    from kedro_k8s_airflow.request import CompileRequest

MANIFESTS_FOLDER = "manifests"


@dataclass(frozen=True)
class CreateResult:
    """What `create` or `manifests` would write, and what to report.

    Attributes:
        root: the project's folder.
        plans: the plans of the DAGs.
        changes: what writing would do.
        findings: warnings and facts.
        inputs: what must be on the volumes before the first run, each with its local size in bytes or None.
        fill_commands: the commands that upload it.
    """

    root: Path
    plans: tuple[Plan, ...]
    changes: tuple[FileChange, ...]
    findings: tuple[Finding, ...]
    inputs: tuple[tuple[LocalInput, int | None], ...] = ()
    fill_commands: tuple[str, ...] = ()


def prepare_create(request: CompileRequest, *, folder: Path, force: bool) -> CreateResult:
    """Return what `create` would write.

    Args:
        request: the project, and how it is to be read.
        folder: where the DAG files go, relative to the project or absolute.
        force: overwrite DAG files that this plugin did not generate.

    Raises:
        Refused: with every error found.
    """
    compilation = compiler.compile_request(request)
    project = compilation.context.project
    plans = compilation.plans()
    root = project.path / folder
    command = f"kedro k8s-airflow create{request.options}"
    outputs = [files.OutputFile(root / f"{plan.dag_id}.py", render.render_dag(plan, command=command)) for plan in plans]
    changes, errors = files.compare_files(
        [*outputs, *compilation.context.image_spec, *schema.schema_output_if_present(project.path)], force=force
    )
    if errors:
        raise Refused(errors)
    stale = () if request.pipelines or request.all_pipelines else _find_stale_files(root, plans)
    findings = (*compilation.findings, *checks.without_ignored(stale, compilation.ignored_codes))
    inputs = inputs_to_bring(project, plans)
    sizes = tuple((local_input, size_of(project.path, local_input.local_path)) for local_input in inputs)
    copy_commands = (
        manifests.build_fill_commands(plans[0], inputs, find_local_paths(project.path, inputs), MANIFESTS_FOLDER)
        if inputs
        else ()
    )
    fill_commands = (f"kedro k8s-airflow manifests{request.options}", *copy_commands) if inputs else ()
    return CreateResult(project.path, tuple(plans), tuple(changes), findings, sizes, fill_commands)


def _find_stale_files(folder: Path, plans: Sequence[Plan]) -> Iterable[Finding]:
    """Yield a warning for each DAG file of this project and environment that the settings no longer define."""
    current_names = {f"{plan.dag_id}.py" for plan in plans}
    own = DagFileHeader.of_plan(plans[0])
    for path in sorted(folder.glob("*.py")):
        if path.name in current_names or not path.is_file():
            continue
        header = read_header(path.read_text(encoding="utf-8", errors="replace"))
        if header is not None and (header.package, header.env) == (own.package, own.env):
            yield warning(
                "file-stale",
                Location(file=path.name),
                "was generated for a DAG that the settings no longer define.",
                "Delete the file; until then Airflow keeps running the DAG.",
            )
