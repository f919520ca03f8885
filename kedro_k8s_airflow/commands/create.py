"""`create`, without the printing: read, plan, render, compare. Nothing is written here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kedro_k8s_airflow import checks, compiler, files
from kedro_k8s_airflow.commands.local_inputs import find_local_paths, inputs_to_bring, size_of
from kedro_k8s_airflow.config import schema
from kedro_k8s_airflow.dag import render
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
    """What a command came to.

    Attributes:
        root: the project's folder.
        plans: of the DAGs.
        changes: what writing would do.
        findings: those that stop nothing.
        inputs: what has to be on the volumes before the first run, with its size here in bytes or None.
        fill_commands: the commands that bring it there.
    """

    root: Path
    plans: tuple[Plan, ...]
    changes: tuple[FileChange, ...]
    findings: tuple[Finding, ...]
    inputs: tuple[tuple[LocalInput, int | None], ...] = ()
    fill_commands: tuple[str, ...] = ()


def prepare_create(request: CompileRequest, *, folder: Path, force: bool) -> CreateResult:
    """Everything `create` does short of writing.

    Args:
        request: the project, and how it is to be read.
        folder: where the DAG files go, relative to the project or absolute.
        force: overwrite DAG files of somebody else's.

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
        [*outputs, *compilation.context.image_spec, *schema.refresh_schema(project.path)], force=force
    )
    if errors:
        raise Refused(errors)
    stale = () if request.pipelines or request.all_pipelines else _find_stale_files(root, plans)
    findings = (*compilation.findings, *checks.without_ignored(stale, compilation.ignored))
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
    """Warnings for DAG files of this project and environment that the settings no longer make."""
    current_names = {f"{plan.dag_id}.py" for plan in plans}
    origin = render.describe_origin(plans[0]).partition(" of Kedro project ")[2]
    for path in sorted(folder.glob("*.py")):
        if path.name in current_names or not path.is_file():
            continue
        head = path.read_bytes()[:2000].decode("utf-8", "replace").splitlines()[:2]
        if (
            len(head) > 1
            and head[0].startswith(render.DAG_FILE_MARKER)
            and head[1].endswith(f" of Kedro project {origin}.")
        ):
            yield warning(
                "file-stale",
                Location(file=path.name),
                "the settings make no such DAG any more.",
                "Delete the file, or Airflow goes on running it.",
            )
