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
from kedro_k8s_airflow.plan import pipeline_narrowing
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

MANIFESTS = "manifests"


@dataclass(frozen=True)
class CreateResult:
    """What a command came to.

    Attributes:
        root: the project's folder.
        plans: of the DAGs.
        changes: what writing would do.
        findings: those that stop nothing.
        inputs: what has to be on the volumes before the first run, with its size here in bytes or None.
        filling: the commands that bring it there.
    """

    root: Path
    plans: tuple[Plan, ...]
    changes: tuple[FileChange, ...]
    findings: tuple[Finding, ...]
    inputs: tuple[tuple[LocalInput, int | None], ...] = ()
    filling: tuple[str, ...] = ()


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
    read = compilation.context.project
    plans = pipeline_narrowing.narrow_pipelines(read, compilation.plans())
    root = read.path / folder
    command = f"kedro k8s-airflow create{request.options}"
    outputs = [files.OutputFile(root / f"{plan.dag_id}.py", render.render_dag(plan, command=command)) for plan in plans]
    changes, errors = files.compare_files(
        [*outputs, *compilation.context.image_spec, *schema.refresh_schema(read.path)], force=force
    )
    if errors:
        raise Refused(errors)
    stale = () if request.pipelines or request.all_pipelines else _find_stale_files(root, plans)
    findings = (*compilation.findings, *checks.without_ignored(stale, compilation.ignored))
    inputs = _inputs_to_bring(read, plans)
    sizes = tuple((one, _size_of(read.path, one.local_path)) for one in inputs)
    how = manifests.fill_commands(plans[0], inputs, _local_paths(read.path, inputs), MANIFESTS) if inputs else ()
    filling = (f"kedro k8s-airflow manifests{request.options}", *how) if inputs else ()
    return CreateResult(read.path, tuple(plans), tuple(changes), findings, sizes, filling)


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
    read, plans = compilation.context.project, compilation.plans()
    root = read.path / folder
    texts = {
        manifests.ROLE_FILE: manifests.build_role(plans[0], subjects),
        manifests.DATA_FILE: manifests.build_data_pod(plans[0]),
    }
    outputs = [files.OutputFile(root / name, text) for name, text in texts.items() if text is not None]
    listed = manifests.list_files(_local_paths(read.path, _inputs_to_bring(read, plans)))
    changes, errors = files.compare_files(outputs, force=force)
    if listed is not None:
        # No place for our first line: tar would look for a file of that name.
        found, _ = files.compare_files([files.OutputFile(root / manifests.LIST_FILE, listed)], force=True)
        changes += found
    if errors:
        raise Refused(errors)
    return CreateResult(read.path, tuple(plans), tuple(changes), ())


@dataclass(frozen=True)
class ImageProject:
    """What `build-image` works on, with its spec written.

    Attributes:
        root: the project's folder.
        settings: of the project.
        plans: of its DAGs.
        conf: the configuration's folder in the project, or "" when it is elsewhere.
        lock: path of the image lock.
        findings: those that stop nothing.
    """

    root: Path
    settings: Settings
    plans: tuple[Plan, ...]
    conf: str
    lock: Path
    findings: tuple[Finding, ...]


def write_image_spec(request: CompileRequest) -> ImageProject:
    """Write the image spec, as `create` does, and hand on what building needs.

    Args:
        request: the project, and how it is to be read.

    Raises:
        Refused: with every error found.
    """
    compilation = compiler.compile_request(request, new_lock=True)
    read, plans = compilation.context.project, compilation.plans()
    changes, errors = files.compare_files(compilation.context.image_spec)
    if errors:
        raise Refused(errors)
    files.write_files(changes)
    return ImageProject(
        root=read.path,
        settings=compilation.context.settings,
        plans=tuple(pipeline_narrowing.narrow_pipelines(read, plans)),
        conf=read.conf_folder,
        lock=compilation.context.lock_path,
        findings=tuple(one for one in compilation.findings if _matters_to_build(one)),
    )


def _inputs_to_bring(read: Project, plans: Sequence[Plan]) -> list[LocalInput]:
    """What nodes load from the volumes and no node of these DAGs makes."""
    made = {base_name(name) for plan in plans for node in read.pipelines[plan.pipeline] for name in node.outputs}
    brought = {one for plan in plans for one in plan.local_inputs if one.dataset not in made}
    return sorted(brought, key=lambda one: (one.local_path, one.dataset))


def _expand_path(root: Path, here: str) -> list[str]:
    """The files and folders that a path names; it may be a glob, as some datasets take."""
    if (root / here).exists():
        return [here]
    matched = glob.glob(here, root_dir=root, recursive=True)  # noqa: PTH207  a path may be absolute
    return sorted(path.replace("\\", "/") for path in matched)


def _local_paths(root: Path, inputs: Sequence[LocalInput]) -> list[str]:
    return sorted({path for one in inputs for path in _expand_path(root, one.local_path)})


def _size_of(root: Path, here: str) -> int | None:
    """Bytes of what a path names, folders with all in them; None when there is nothing."""
    found = [root / path for path in _expand_path(root, here)]
    files = [one for path in found for one in (path.rglob("*") if path.is_dir() else [path])]
    try:
        return sum(one.stat().st_size for one in files if one.is_file()) if found else None
    except OSError:
        return None


def _find_stale_files(folder: Path, plans: Sequence[Plan]) -> Iterable[Finding]:
    """Warnings for DAG files of this project and environment that the settings no longer make."""
    made = {f"{plan.dag_id}.py" for plan in plans}
    origin = render.describe_origin(plans[0]).partition(" of Kedro project ")[2]
    for path in sorted(folder.glob("*.py")):
        if path.name in made or not path.is_file():
            continue
        head = path.read_bytes()[:2000].decode("utf-8", "replace").splitlines()[:2]
        if len(head) > 1 and head[0].startswith(render.MARKER) and head[1].endswith(f" of Kedro project {origin}."):
            yield warning(
                "file-stale",
                Location(file=path.name),
                "the settings make no such DAG any more.",
                "Delete the file, or Airflow goes on running it.",
            )
