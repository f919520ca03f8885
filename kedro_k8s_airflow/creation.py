"""`create`, without the printing: read, plan, render, compare. Nothing is written here."""

from __future__ import annotations

import glob
import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kedro_k8s_airflow import dag, files, manifests, narrowing, project, settings, tasks
from kedro_k8s_airflow.dag.pods import PROGRAM
from kedro_k8s_airflow.findings import Refused, refuse, warning
from kedro_k8s_airflow.graph import base_name
from kedro_k8s_airflow.image import content, lock
from kedro_k8s_airflow.image.spec import IGNORE, contents
from kedro_k8s_airflow.image.spec import spec as image_spec

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from kedro.framework.startup import ProjectMetadata

    from kedro_k8s_airflow.config import Settings
    from kedro_k8s_airflow.files import Change, Output
    from kedro_k8s_airflow.findings import Finding
    from kedro_k8s_airflow.image.lock import Built
    from kedro_k8s_airflow.plan import LocalInput, Plan
    from kedro_k8s_airflow.project import Project

MANIFESTS = "manifests"


@dataclass(frozen=True)
class Created:
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
    changes: tuple[Change, ...]
    findings: tuple[Finding, ...]
    inputs: tuple[tuple[LocalInput, int | None], ...] = ()
    filling: tuple[str, ...] = ()


def create(
    metadata: ProjectMetadata,
    *,
    pipelines: Sequence[str],
    everything: bool,
    env: str | None,
    conf_source: str | None,
    params: Mapping[str, Any],
    params_text: str = "",
    folder: Path,
    force: bool,
    lock_file: Path | None = None,
) -> Created:
    """Everything `create` does short of writing.

    Args:
        metadata: of the project, as Kedro's command line has it.
        pipelines: only DAGs of these registered pipelines.
        everything: a DAG for every registered pipeline.
        env: Kedro environment the pods run with.
        conf_source: configuration folder, when it is not the project's own.
        params: Kedro's runtime parameters of every pod.
        params_text: the same as they were written, for the header of the files.
        folder: where the DAG files go, relative to the project or absolute.
        force: overwrite DAG files of somebody else's.
        lock_file: the image lock, when it is not the project's own.

    Raises:
        Refused: with every error found.
    """
    planned = _planned(metadata, env, conf_source, params, pipelines, everything=everything, lock_file=lock_file)
    _lock_there(planned, lock_file)
    read, plans = planned.project, planned.plans
    plans = narrowing.narrowed(read, plans)
    root = read.path / folder
    outputs = [
        files.Output(root / f"{plan.dag_id}.py", dag.render(plan, command=_command(env, conf_source, params_text)))
        for plan in plans
    ]
    spec, found = image_spec(read, planned.settings, plans)
    if planned.built:
        found += _stale_images(planned, spec)
    changes, errors = files.compare([*outputs, *spec], force=force)
    if errors:
        raise Refused(errors)
    stale = () if pipelines or everything else _stale(root, plans)
    findings = (
        *(finding for plan in plans for finding in plan.findings),
        *found,
        *_kept(changes, plans[0].project_path),
        *stale,
    )
    inputs = _inputs(read, plans)
    sizes = tuple((one, _size(read.path, one.here)) for one in inputs)
    options = _options(env, conf_source, params_text)
    how = manifests.filling(plans[0], inputs, _here(read.path, inputs), MANIFESTS) if inputs else ()
    filling = (f"kedro k8s-airflow manifests{options}", *how) if inputs else ()
    return Created(read.path, tuple(plans), tuple(changes), tuple(dict.fromkeys(findings)), sizes, filling)


def write_manifests(
    metadata: ProjectMetadata,
    *,
    env: str | None,
    conf_source: str | None,
    params: Mapping[str, Any],
    subjects: Sequence[tuple[str, str]],
    folder: Path,
    force: bool,
) -> Created:
    """Everything `manifests` does short of writing.

    Args:
        metadata: of the project, as Kedro's command line has it.
        env: Kedro environment the pods run with.
        conf_source: configuration folder, when it is not the project's own.
        params: Kedro's runtime parameters, for a configuration that needs them.
        subjects: namespace and name of Airflow's ServiceAccounts.
        folder: where the files go, relative to the project or absolute.
        force: overwrite files of somebody else's.

    Raises:
        Refused: with every error found.
    """
    planned = _planned(metadata, env, conf_source, params, (), everything=False)
    read, plans = planned.project, planned.plans
    root = read.path / folder
    texts = {
        manifests.ROLE_FILE: manifests.role(plans[0], subjects),
        manifests.DATA_FILE: manifests.data_pod(plans[0]),
    }
    outputs = [files.Output(root / name, text) for name, text in texts.items() if text is not None]
    listed = manifests.file_list(_here(read.path, _inputs(read, plans)))
    changes, errors = files.compare(outputs, force=force)
    if listed is not None:
        # No place for our first line: tar would look for a file of that name.
        found, _ = files.compare([files.Output(root / manifests.LIST_FILE, listed)], force=True)
        changes += found
    if errors:
        raise Refused(errors)
    return Created(read.path, tuple(plans), tuple(changes), ())


def _stale_images(planned: _Planned, spec: Sequence[Output]) -> Iterable[Finding]:
    """Warnings for images whose content is another by now, or cannot be read."""
    used = sorted({task.image_name for plan in planned.plans for task in plan.tasks if task.image_name})
    file = files.shown(planned.lock, planned.project.path)
    try:
        now = contents(planned.project.path, planned.settings, spec)
    except OSError as exc:
        return [
            warning("image-stale", file, f"{exc.filename} cannot be read ({exc.strerror}): the image may be stale.")
        ]
    return lock.stale(file, planned.built, now, used)


@dataclass(frozen=True)
class Image:
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


def write_image_spec(
    metadata: ProjectMetadata,
    *,
    env: str | None,
    conf_source: str | None,
    params: Mapping[str, Any],
    lock_file: Path | None,
) -> Image:
    """Write the image spec, as `create` does, and hand on what building needs.

    Args:
        metadata: of the project, as Kedro's command line has it.
        env: Kedro environment the pods run with.
        conf_source: configuration folder, when it is not the project's own.
        params: Kedro's runtime parameters, for a configuration that needs them.
        lock_file: the image lock, when it is not the project's own.

    Raises:
        Refused: with every error found.
    """
    planned = _planned(metadata, env, conf_source, params, (), everything=False, lock_file=lock_file)
    read = planned.project
    spec, found = image_spec(read, planned.settings, planned.plans)
    changes, errors = files.compare(spec)
    if errors:
        raise Refused(errors)
    files.write(changes)
    return Image(
        root=read.path,
        settings=planned.settings,
        plans=tuple(narrowing.narrowed(read, planned.plans)),
        conf=read.conf_folder,
        lock=planned.lock,
        findings=tuple(dict.fromkeys([*found, *_kept(changes, planned.plans[0].project_path)])),
    )


@dataclass(frozen=True)
class _Planned:
    project: Project
    settings: Settings
    plans: list[Plan]
    lock: Path
    built: Mapping[str, Built]


def _planned(
    metadata: ProjectMetadata,
    env: str | None,
    conf_source: str | None,
    params: Mapping[str, Any],
    pipelines: Sequence[str],
    *,
    everything: bool,
    lock_file: Path | None = None,
) -> _Planned:
    read = project.read(metadata, env=env, conf_source=conf_source, runtime_params=params)
    sources = project.settings_files(read)
    checked = settings.check(read.settings, sources, read.path)
    file = (
        sources[-1].relative_to(read.path).as_posix()
        if sources and sources[-1].is_relative_to(read.path)
        else settings.NAME
    )
    path = read.path / (lock_file or lock.NAME)
    built = lock.read(path)
    references = lock.references(checked, built)
    plans = tasks.plans(read, checked, references, file=file, pipelines=pipelines, everything=everything)
    return _Planned(read, checked, plans, path, built)


def _inputs(read: Project, plans: Sequence[Plan]) -> list[LocalInput]:
    """What nodes load from the volumes and no node of these DAGs makes."""
    made = {base_name(name) for plan in plans for node in read.pipelines[plan.pipeline] for name in node.outputs}
    brought = {one for plan in plans for one in plan.local_inputs if one.dataset not in made}
    return sorted(brought, key=lambda one: (one.here, one.dataset))


def _found(root: Path, here: str) -> list[str]:
    """The files and folders that a path names; it may be a glob, as some datasets take."""
    if (root / here).exists():
        return [here]
    matched = glob.glob(here, root_dir=root, recursive=True)  # noqa: PTH207  a path may be absolute
    return sorted(path.replace("\\", "/") for path in matched)


def _here(root: Path, inputs: Sequence[LocalInput]) -> list[str]:
    return sorted({path for one in inputs for path in _found(root, one.here)})


def _size(root: Path, here: str) -> int | None:
    """Bytes of what a path names, folders with all in them; None when there is nothing."""
    found = [root / path for path in _found(root, here)]
    files = [one for path in found for one in (path.rglob("*") if path.is_dir() else [path])]
    try:
        return sum(one.stat().st_size for one in files if one.is_file()) if found else None
    except OSError:
        return None


def _stale(folder: Path, plans: Sequence[Plan]) -> Iterable[Finding]:
    """Warnings for DAG files of this project and environment that the settings no longer make."""
    made = {f"{plan.dag_id}.py" for plan in plans}
    origin = dag.origin(plans[0]).partition(" of Kedro project ")[2]
    for path in sorted(folder.glob("*.py")):
        if path.name in made or not path.is_file():
            continue
        head = path.read_bytes()[:2000].decode("utf-8", "replace").splitlines()[:2]
        if len(head) > 1 and head[0].startswith(dag.MARKER) and head[1].endswith(f" of Kedro project {origin}."):
            yield warning(
                "file-stale",
                path.name,
                "the settings make no such DAG any more.",
                "Delete the file, or Airflow goes on running it.",
            )


def _kept(changes: Sequence[Change], project_path: str) -> Iterable[Finding]:
    """Warnings for image files of the user's own that pods could not start from."""
    for change in changes:
        if change.status != "kept":
            continue
        text = change.before.decode("utf-8", "replace")
        if change.output.path.name == IGNORE:
            lacks = content.leaves_out(text, PROGRAM)
        else:
            lacks = PROGRAM.split("/")[0] not in text and not re.search(r"(?im)^\s*(COPY|ADD)\s.*\s\.(/|\s|$)", text)
        if lacks:
            yield warning(
                "image-own",
                change.output.path.name,
                f"is your own and leaves .k8s-airflow out, so the image may lack the program that pods start ({PROGRAM}).",
                f"Let the image have it under {project_path}, as docs/image.md says, or move the file away and create again.",
            )


def _command(env: str | None, conf_source: str | None, params: str) -> str:
    """The command that makes these files again."""
    return f"kedro k8s-airflow create{_options(env, conf_source, params)}"


def _options(env: str | None, conf_source: str | None, params: str = "") -> str:
    given = {"--env": env, "--conf-source": conf_source, "--params": params}
    return "".join(f" {option}={shlex.quote(value)}" for option, value in given.items() if value)


@dataclass(frozen=True)
class Looked:
    """What `plan` shows.

    Attributes:
        root: the project's folder.
        plans: of the DAGs, as `create` would write them.
        findings: those that stop nothing.
    """

    root: Path
    plans: tuple[Plan, ...]
    findings: tuple[Finding, ...]


def look(
    metadata: ProjectMetadata,
    *,
    pipelines: Sequence[str],
    everything: bool,
    env: str | None,
    conf_source: str | None,
    params: Mapping[str, Any],
    lock_file: Path | None = None,
) -> Looked:
    """The plans that `create` would write with these arguments.

    Raises:
        Refused: with every error found in the project and its settings.
    """
    planned = _planned(metadata, env, conf_source, params, pipelines, everything=everything, lock_file=lock_file)
    _lock_there(planned, lock_file)
    plans = tuple(narrowing.narrowed(planned.project, planned.plans))
    findings = dict.fromkeys(finding for plan in plans for finding in plan.findings)
    return Looked(planned.project.path, plans, tuple(findings))


def _lock_there(planned: _Planned, lock_file: Path | None) -> None:
    if lock_file is not None and not planned.lock.is_file():
        raise refuse("image-lock", str(lock_file), "there is no such file.", "Name the lock that build-image wrote.")
