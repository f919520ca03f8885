"""`check --drift`: compare the published DAGs with those that this checkout would publish. Nothing is written.

Files are compared, not Airflow's serialised DAGs: Airflow serialises only some of an operator's arguments.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kedro_k8s_airflow import __version__, compiler
from kedro_k8s_airflow.compiler import CheckResult
from kedro_k8s_airflow.findings import Finding, Refused, error, refuse
from kedro_k8s_airflow.image.lock import is_unbuilt
from kedro_k8s_airflow.image_reference import split_reference
from kedro_k8s_airflow.locations import Location
from kedro_k8s_airflow.publish import desired_state, ownership_manifest
from kedro_k8s_airflow.publish.diff import DagDiff
from kedro_k8s_airflow.publish.git import SUBMODULE_MODE, Git, GitError, mask_credentials, refuse_git
from kedro_k8s_airflow.publish.message import NO_RUNTIME_CHANGE, describe_image_changes, describe_task_changes
from kedro_k8s_airflow.publish.open_target import check_target_names, is_address, is_bare_repository, open_branch
from kedro_k8s_airflow.publish.publisher import parse_subfolder, resolve_destination

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from kedro_k8s_airflow.compiler import Compilation
    from kedro_k8s_airflow.publish.desired_state import DesiredState
    from kedro_k8s_airflow.publish.ownership_manifest import OwnershipManifest
    from kedro_k8s_airflow.request import CompileRequest


@dataclass(frozen=True, kw_only=True)
class DriftTarget:
    """What to compare with. For None the setting applies.

    Attributes:
        reference: a folder, an address, or a commit of the project's own repository.
        subfolder: folder of the DAG files.
        branch: branch of a folder or an address.
    """

    reference: str | None = None
    subfolder: str | None = None
    branch: str | None = None


@dataclass(frozen=True, kw_only=True)
class PublishedState:
    """The published DAG files.

    Attributes:
        location_of: returns where a file is, for messages.
        manifest: manifest of this project and environment, if there is one.
        files: content of the existing DAG files, by path relative to the target folder.
    """

    location_of: Callable[[str], str]
    manifest: OwnershipManifest | None
    files: Mapping[str, bytes]


def check_drift(request: CompileRequest, against: DriftTarget) -> CheckResult:
    """Return every difference as an error.

    Raises:
        Refused: the project has errors, or the published files cannot be read.
    """
    compilation = compiler.compile_request(request)
    if compilation.errors:
        raise Refused(compilation.errors)
    project = compilation.context.project
    settings = compilation.context.settings.publish
    subfolder = settings.subfolder if against.subfolder is None else parse_subfolder(against.subfolder)
    reference = against.reference
    if reference is None:
        if settings.to is None:
            help_text = "Pass a folder, an address or a commit, or set publish.to in k8s_airflow.yml."
            raise refuse("publish-to", Location(subject="--against"), "no publish target is configured.", help_text)
        reference = resolve_destination(settings.to, project.path)
    manifest_file = ownership_manifest.manifest_path(project.package, request.env)
    paths = [f"{plan.dag_id}.py" for plan in compilation.context.plans]
    try:
        published = _read_published_state(
            reference, against, settings.base, subfolder, manifest_file, paths, project.path
        )
    except GitError as reason:
        raise refuse_git(mask_credentials(reference), "cannot be read by git", reason) from None
    if published.manifest is not None and (
        published.manifest.project,
        published.manifest.project_name,
        published.manifest.environment,
    ) != (
        project.package,
        str(request.metadata.project_name),
        request.env,
    ):
        message = f"is the manifest of another project: {published.manifest.owner_label}, {published.manifest.project_name!r}."
        raise refuse(
            "publish-owned",
            Location(subject=published.location_of(manifest_file)),
            message,
            "Compare with the target of this project.",
        )
    compilation = _with_published_images(request, compilation, published)
    plans = compilation.plans()
    publish_command = f"kedro k8s-airflow publish{request.options}"
    findings = list(
        _find_differences(
            desired_state.build_desired_state(request, compilation, plans), published, compilation, publish_command
        )
    )
    return CheckResult(tuple(dict.fromkeys(findings)), project.path, project, tuple(plans))


def _with_published_images(request: CompileRequest, compilation: Compilation, published: PublishedState) -> Compilation:
    """Return the compilation with published references for images that the lock does not have: CI may not commit the lock."""
    published_images = published.manifest.images if published.manifest else {}
    images = {}
    for plan in compilation.context.plans:
        for task in plan.tasks:
            name, image = str(task.image_name), task.image
            if (
                task.image_name is None
                or "@" in image
                or name in compilation.context.locked_images
                or name not in published_images
            ):
                continue
            # The digest is unknown here where the settings have a tag or no image.
            if split_reference(image)[0] == split_reference(published_images[name])[0] and (
                is_unbuilt(image) or "@" in published_images[name]
            ):
                images[name] = published_images[name]
    if not images:
        return compilation
    return compilation.with_images(request, images)


def _find_differences(
    desired: DesiredState, published: PublishedState, compilation: Compilation, command: str
) -> Iterator[Finding]:
    """Yield all differences, DAG by DAG; `command` is the publish command for the help texts."""
    help_text = f"Publish: {command}."
    manifest = published.manifest
    known_dags = manifest.files if manifest else {}
    for finding in desired_state.find_stale_images(compilation.context):
        yield error("drift-image", finding.location, finding.message, finding.help)
    for name, file in desired.manifest.files.items():
        content, record = published.files.get(name), known_dags.get(name)
        location = Location(dag=file.dag_id)
        if content is None:
            yield error(
                "drift-missing", location, f"is not published: {published.location_of(name)} does not exist.", help_text
            )
            continue
        if record is None:
            yield error(
                "drift-edited",
                location,
                f"exists as {published.location_of(name)}, but no manifest lists it.",
                help_text,
            )
        elif ownership_manifest.compute_sha256(content) != record.sha256:
            message = f"was edited by hand after it was published: {published.location_of(name)}."
            yield error(
                "drift-edited", location, message, f"Move the edit to the project, then publish: {command} --force."
            )
        new_text = desired.texts[name]
        # Compare with what was published: an edit by hand is not a change of the project.
        if content == new_text.encode() or (record is not None and record.sha256 == file.sha256):
            continue
        old_text = content.decode("utf-8", "replace")
        dag_diff = DagDiff(
            path=name, status="changed", old_record=record, new_record=file, old_text=old_text, new_text=new_text
        )
        image_changes = describe_image_changes(dag_diff) if record else []
        if image_changes:
            yield error(
                "drift-image",
                location,
                f"uses other images than the published DAG: {'; '.join(image_changes)}.",
                help_text,
            )
        task_changes = describe_task_changes(dag_diff)
        other_generator = manifest is not None and manifest.generator != __version__
        if task_changes or not (image_changes or other_generator):
            yield error(
                "drift-changed",
                location,
                f"differs from {published.location_of(name)}: {'; '.join(task_changes) or NO_RUNTIME_CHANGE}.",
                help_text,
            )
    for name, file in known_dags.items():
        if name not in desired.manifest.files and name in published.files:
            message = f"is published as {published.location_of(name)}, but this project does not create it."
            yield error("drift-extra", Location(dag=file.dag_id), message, f"Publish to remove it: {command}.")
    if manifest is not None and manifest.generator != __version__:
        message = f"were published by kedro-k8s-airflow {manifest.generator}; this is {__version__}."
        yield error("drift-generator", Location(subject=f"the DAGs of {manifest.owner_label}"), message, help_text)


def _read_published_state(
    reference: str,
    against: DriftTarget,
    base: str | None,
    folder: str,
    manifest_file: str,
    paths: Sequence[str],
    project: Path,
) -> PublishedState:
    """Read the published files from a folder, an address or a commit."""
    check_target_names(reference, against.branch, base)
    top = Path(reference).expanduser()
    if is_address(reference) or (top.is_dir() and is_bare_repository(top.resolve())):
        return _read_address(reference, against.branch or base, folder, manifest_file, paths)
    if top.is_dir() and against.branch is None:
        return _read_folder(top, reference, folder, manifest_file, paths)
    git = Git(top.resolve() if top.is_dir() else project)
    if against.branch is None:
        commit, commit_note = git.resolve_commit(reference), f"in {reference}"
    elif top.is_dir():
        commit, commit_note = git.find_branch_commit(against.branch), f"on branch {against.branch} of {reference}"
    else:
        raise refuse(
            "publish-branch",
            Location(subject="--branch"),
            f"applies to a folder or an address, but {reference!r} is neither.",
            "Remove the option.",
        )
    if commit is None and against.branch is not None:
        raise refuse(
            "publish-branch", Location(subject=reference), f"has no branch {against.branch!r}.", "Correct --branch."
        )
    if commit is None:
        message = f"{reference!r} is neither a folder, nor an address, nor a commit of the project's repository."
        raise refuse(
            "publish-to",
            Location(subject="--against"),
            message,
            "Pass the folder or the address of the publish target.",
        )
    return _read_commit(git, commit, commit_note, folder, manifest_file, paths)


def _read_folder(top: Path, display_name: str, folder: str, manifest_file: str, paths: Sequence[str]) -> PublishedState:
    """Read the files of a folder as Airflow does; the folder may be the one with the DAG files."""
    is_target_folder = not (top / folder).is_dir() and any((top / path).exists() for path in (manifest_file, *paths))
    target_folder = top if is_target_folder else top / folder

    def read_content(path: str) -> bytes | None:
        file = target_folder / path
        try:
            if file.exists() and not file.is_file():
                raise refuse("file", Location(file=str(file)), "is not a file.", "Move it elsewhere.")
            # DAG files have LF line ends; git may convert them in a work tree.
            return file.read_bytes().replace(b"\r\n", b"\n")
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as exc:
            raise refuse("file", Location(file=str(file)), f"cannot be read: {exc.strerror or exc}.") from None

    display_folder = display_name if is_target_folder or not folder else f"{display_name}/{folder}"
    return _build_published_state(read_content, lambda name: f"{display_folder}/{name}", manifest_file, paths)


def _read_address(
    address: str, branch: str | None, folder: str, manifest_file: str, paths: Sequence[str]
) -> PublishedState:
    """Read the files of a branch from a temporary clone."""
    with open_branch(address, branch) as (git, name, commit):
        return _read_commit(
            git, commit, f"on branch {name} of {mask_credentials(address)}", folder, manifest_file, paths
        )


def _read_commit(
    git: Git, commit: str | None, commit_note: str, folder: str, manifest_file: str, paths: Sequence[str]
) -> PublishedState:
    """Read the files of a commit; None has no files."""
    entries = git.read_entries(commit)

    def read_content(path: str) -> bytes | None:
        entry = entries.get(ownership_manifest.repository_path(folder, path))
        return git.read_contents([entry.id])[entry.id] if entry is not None and entry.mode != SUBMODULE_MODE else None

    return _build_published_state(
        read_content,
        lambda name: f"{ownership_manifest.repository_path(folder, name)} {commit_note}",
        manifest_file,
        paths,
    )


def _build_published_state(
    read_content: Callable[[str], bytes | None],
    location_of: Callable[[str], str],
    manifest_file: str,
    paths: Sequence[str],
) -> PublishedState:
    """Read the manifest, and the files that the manifest or this project lists."""
    raw = read_content(manifest_file)
    manifest = (
        ownership_manifest.read_manifest(raw, Location(subject=location_of(manifest_file))) if raw is not None else None
    )
    names = dict.fromkeys([*paths, *(manifest.files if manifest else ())])
    contents = {name: read_content(name) for name in names}
    return PublishedState(
        location_of=location_of,
        manifest=manifest,
        files={name: content for name, content in contents.items() if content is not None},
    )
