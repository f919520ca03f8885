"""`create`, without the printing: read, plan, render, compare. Nothing is written here."""

from __future__ import annotations

import glob
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kedro_k8s_airflow import checks, compiler, files
from kedro_k8s_airflow.config import schema
from kedro_k8s_airflow.dag import render
from kedro_k8s_airflow.findings import Refused, warning
from kedro_k8s_airflow.kubernetes import manifests
from kedro_k8s_airflow.locations import Location
from kedro_k8s_airflow.plan.graph import base_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from kedro_k8s_airflow.config.models import Settings
    from kedro_k8s_airflow.files import FileChange
    from kedro_k8s_airflow.findings import Finding
    from kedro_k8s_airflow.plan.model import LocalInput, Plan
    from kedro_k8s_airflow.project import Project
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
    inputs = _inputs_to_bring(project, plans)
    sizes = tuple((local_input, _size_of(project.path, local_input.local_path)) for local_input in inputs)
    copy_commands = (
        manifests.build_fill_commands(plans[0], inputs, _find_local_paths(project.path, inputs), MANIFESTS_FOLDER)
        if inputs
        else ()
    )
    fill_commands = (f"kedro k8s-airflow manifests{request.options}", *copy_commands) if inputs else ()
    return CreateResult(project.path, tuple(plans), tuple(changes), findings, sizes, fill_commands)


def _matters_to_build(finding: Finding) -> bool:
    """Whether a finding matters to who builds an image; that it is stale or not built is why they build."""
    return checks.RULES[finding.code].family == "image" and finding.code not in ("image-stale", "image-unbuilt")


def prepare_manifests(
    request: CompileRequest, *, subjects: Sequence[tuple[str, str]], folder: Path, force: bool
) -> CreateResult:
    """Everything `manifests` does short of writing.

    Args:
        request: the project, and how it is to be read.
        subjects: namespace and name of Airflow's ServiceAccounts.
        folder: where the files go, relative to the project or absolute.
        force: overwrite files of somebody else's.

    Raises:
        Refused: with every error found.
    """
    compilation = compiler.compile_request(request)
    project, plans = compilation.context.project, compilation.plans()
    root = project.path / folder
    texts = {
        manifests.ROLE_FILE: manifests.build_role(plans[0], subjects),
        manifests.DATA_FILE: manifests.build_data_pod(plans[0]),
    }
    outputs = [files.OutputFile(root / name, text) for name, text in texts.items() if text is not None]
    list_text = manifests.build_file_list(_find_local_paths(project.path, _inputs_to_bring(project, plans)))
    changes, errors = files.compare_files(outputs, force=force)
    if list_text is not None:
        # No place for our first line: tar would look for a file of that name.
        list_changes, _ = files.compare_files([files.OutputFile(root / manifests.LIST_FILE, list_text)], force=True)
        changes += list_changes
    if errors:
        raise Refused(errors)
    return CreateResult(project.path, tuple(plans), tuple(changes), ())


@dataclass(frozen=True)
class ImageProject:
    """What `build-image` works on, with its spec written.

    Attributes:
        root: the project's folder.
        settings: of the project.
        plans: of its DAGs.
        conf_folder: the configuration's folder in the project, or "" when it is elsewhere.
        lock_path: path of the image lock.
        findings: those that stop nothing.
    """

    root: Path
    settings: Settings
    plans: tuple[Plan, ...]
    conf_folder: str
    lock_path: Path
    findings: tuple[Finding, ...]


def write_image_spec(request: CompileRequest) -> ImageProject:
    """Write the image spec, as `create` does, and hand on what building needs.

    Args:
        request: the project, and how it is to be read.

    Raises:
        Refused: with every error found.
    """
    compilation = compiler.compile_request(request, new_lock=True)
    project, plans = compilation.context.project, compilation.plans()
    changes, errors = files.compare_files(compilation.context.image_spec)
    if errors:
        raise Refused(errors)
    files.write_files(changes)
    return ImageProject(
        root=project.path,
        settings=compilation.context.settings,
        plans=tuple(plans),
        conf_folder=project.conf_folder,
        lock_path=compilation.context.lock_path,
        findings=tuple(finding for finding in compilation.findings if _matters_to_build(finding)),
    )


def _inputs_to_bring(project: Project, plans: Sequence[Plan]) -> list[LocalInput]:
    """What nodes load from the volumes and no node of these DAGs makes."""
    saved_names = {
        base_name(name) for plan in plans for node in project.pipelines[plan.pipeline] for name in node.outputs
    }
    inputs = {
        local_input for plan in plans for local_input in plan.local_inputs if local_input.dataset not in saved_names
    }
    return sorted(inputs, key=lambda one: (one.local_path, one.dataset))


def _expand_path(root: Path, pattern: str) -> list[str]:
    """The files and folders that a path names; it may be a glob, as some datasets take."""
    if (root / pattern).exists():
        return [pattern]
    matched = glob.glob(pattern, root_dir=root, recursive=True)  # noqa: PTH207  a path may be absolute
    return sorted(path.replace("\\", "/") for path in matched)


def _find_local_paths(root: Path, inputs: Sequence[LocalInput]) -> list[str]:
    return sorted({path for local_input in inputs for path in _expand_path(root, local_input.local_path)})


def _size_of(root: Path, pattern: str) -> int | None:
    """Bytes of what a path names, folders with all in them; None when there is nothing."""
    paths = [root / path for path in _expand_path(root, pattern)]
    entries = [entry for path in paths for entry in (path.rglob("*") if path.is_dir() else [path])]
    try:
        return sum(entry.stat().st_size for entry in entries if entry.is_file()) if paths else None
    except OSError:
        return None


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
