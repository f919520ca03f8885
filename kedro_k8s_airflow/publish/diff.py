"""Compare the files to publish with those in a repository: what changes, and what prevents it. The repository is only read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from kedro_k8s_airflow.findings import Finding, Refused, error
from kedro_k8s_airflow.locations import Location
from kedro_k8s_airflow.publish import ownership_manifest
from kedro_k8s_airflow.publish.git import EXECUTABLE_MODE, FILE_MODE, SUBMODULE_MODE
from kedro_k8s_airflow.publish.ownership_manifest import OwnershipManifest, PublishedFile

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from kedro_k8s_airflow.publish.desired_state import DesiredState
    from kedro_k8s_airflow.publish.git import Git, TreeEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class DagDiff:
    """The difference of one DAG.

    Attributes:
        path: path of its file in the repository.
        status: what publishing does to the file.
        old_record: entry of the previous manifest; None for a new file.
        new_record: entry of the new manifest; None for a removed file.
        old_text: previous content of the file.
        new_text: new content of the file.
    """

    path: str
    status: Literal["new", "changed", "removed", "unchanged"]
    old_record: PublishedFile | None
    new_record: PublishedFile | None
    old_text: str
    new_text: str

    @property
    def dag_id(self) -> str:
        """Return the DAG's id in Airflow."""
        return (
            self.new_record or self.old_record or PublishedFile(sha256="", dag_id="", pipeline="", images={})
        ).dag_id


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishDiff:
    """The difference that publishing makes.

    Attributes:
        dags: all DAGs, including removed ones.
        files: new content of each file that changes, by path in the repository; None for a removed file.
        modes: file modes to keep, by path in the repository.
        old_manifest: the previous manifest, if there is one.
    """

    dags: Sequence[DagDiff]
    files: Mapping[str, bytes | None]
    modes: Mapping[str, str]
    old_manifest: OwnershipManifest | None


def compare_with_target(
    git: Git, commit: str | None, folder: str, desired: DesiredState, *, force: bool
) -> PublishDiff:
    """Compare a commit with the desired state.

    Args:
        git: the repository.
        commit: the commit to publish on; None for an empty repository.
        folder: target folder in the repository; "" for its top.
        desired: the files to publish.
        force: overwrite files that were edited by hand or that no manifest lists.

    Raises:
        Refused: with every conflict.
    """
    entries = git.read_entries(commit)
    manifest_file, ignore_path = (
        ownership_manifest.repository_path(folder, path)
        for path in (ownership_manifest.manifest_path(*desired.owner), ownership_manifest.IGNORE_FILE)
    )
    manifests = _read_related_manifests(git, entries, folder)
    old_manifest = manifests.pop(manifest_file, None)
    paths = {ownership_manifest.repository_path(folder, path): path for path in desired.texts}
    removed = {
        ownership_manifest.repository_path(folder, path): path
        for path in (old_manifest.files if old_manifest else {})
        if path not in desired.texts
    }
    errors = [
        *_check_paths_free([*paths, manifest_file, ignore_path], entries),
        *_check_other_projects(old_manifest, manifests, folder, desired.manifest, manifest_file, removed),
    ]
    blob_ids = [
        entries[path].id
        for path in [*paths, *removed, manifest_file]
        if path in entries and entries[path].mode != SUBMODULE_MODE
    ]
    contents = git.read_contents(blob_ids)
    current = {
        path: contents[entries[path].id]
        for path in [*paths, *removed]
        if path in entries and entries[path].id in contents
    }
    dags, files = [], {}
    for path, name in sorted({**paths, **removed}.items()):
        old_content, new_text = current.get(path), desired.texts.get(name)
        new_content = new_text.encode() if new_text is not None else None
        record = old_manifest.files.get(name) if old_manifest else None
        if new_content is None and path not in entries:
            continue  # already removed
        if old_content != new_content or (path in entries and entries[path].mode not in (FILE_MODE, EXECUTABLE_MODE)):
            if not force and path in entries and not any(finding.location.file == path for finding in errors):
                errors += _check_overwrite(path, old_content, record, desired.manifest)
            files[path] = new_content
        status: Literal["new", "changed", "removed", "unchanged"] = "unchanged"
        if new_content is None:
            status = "removed"
        elif old_content is None:
            status = "new"
        elif old_content != new_content:
            status = "changed"
        old_text = (old_content or b"").decode("utf-8", "replace")
        dags.append(
            DagDiff(
                path=path,
                status=status,
                old_record=record,
                new_record=desired.manifest.files.get(name),
                old_text=old_text,
                new_text=new_text or "",
            )
        )
    if manifest_file in entries and entries[manifest_file].mode not in (FILE_MODE, EXECUTABLE_MODE):
        errors.append(
            error(
                "publish-folder",
                Location(file=manifest_file),
                "is a link or a submodule in the target.",
                "Move it elsewhere.",
            )
        )
    if errors:
        raise Refused(errors)
    manifest_content = desired.manifest.to_json().encode()
    if manifest_file not in entries or contents[entries[manifest_file].id] != manifest_content:
        files[manifest_file] = manifest_content
    if ignore_path not in entries:
        # The same for every version and project, so it never changes.
        files[ignore_path] = ownership_manifest.IGNORE_FILE_TEXT.encode()
    modes = {path: entries[path].mode for path in files if path in entries and entries[path].mode == EXECUTABLE_MODE}
    return PublishDiff(dags=dags, files=files, modes=modes, old_manifest=old_manifest)


def read_owned_files(
    git: Git, commit: str | None, folder: str, project: str, environment: str | None
) -> dict[str, TreeEntry]:
    """Return the files of a project in a commit: its manifest and the files that the manifest lists."""
    entries = git.read_entries(commit)
    manifest = _read_manifest(git, entries, folder, project, environment)
    paths = [ownership_manifest.manifest_path(project, environment), *manifest.files] if manifest is not None else []
    owned_paths = {ownership_manifest.repository_path(folder, path) for path in paths}
    return {path: entries[path] for path in owned_paths if path in entries}


def has_only_own_changes(git: Git, since: str, until: str, folder: str, project: str, environment: str | None) -> bool:
    """Check whether two commits differ only in files that a project has published, unedited.

    Args:
        git: the repository.
        since: the earlier commit.
        until: the later commit.
        folder: target folder in the repository.
        project: import name of the project's package.
        environment: Kedro environment, or None.
    """
    old_entries, new_entries = git.read_entries(since), git.read_entries(until)
    owned_paths = {
        path for commit in (since, until) for path in read_owned_files(git, commit, folder, project, environment)
    }
    ignore_path = ownership_manifest.repository_path(folder, ownership_manifest.IGNORE_FILE)
    published = {*owned_paths, ignore_path}
    if any(
        old_entries.get(path) != new_entries.get(path)
        for path in {**old_entries, **new_entries}
        if path not in published
    ):
        return False
    if any(
        new_entries[path].mode != (old_entries[path].mode if path in old_entries else FILE_MODE)
        for path in owned_paths
        if path in new_entries
    ):
        return False
    if ignore_path in new_entries and new_entries[ignore_path] != old_entries.get(ignore_path):
        content = git.read_contents([new_entries[ignore_path].id])[new_entries[ignore_path].id]
        if content != ownership_manifest.IGNORE_FILE_TEXT.encode() or new_entries[ignore_path].mode != FILE_MODE:
            return False
    manifest = _read_manifest(git, new_entries, folder, project, environment)
    checksums = {
        ownership_manifest.repository_path(folder, path): file.sha256
        for path, file in (manifest.files if manifest else {}).items()
    }
    contents = git.read_contents(new_entries[path].id for path in checksums if path in new_entries)
    return all(
        path in new_entries and ownership_manifest.compute_sha256(contents[new_entries[path].id]) == sha256
        for path, sha256 in checksums.items()
    )


def _read_manifest(
    git: Git, entries: Mapping[str, TreeEntry], folder: str, project: str, environment: str | None
) -> OwnershipManifest | None:
    """Return the manifest of a project, if there is one."""
    path = ownership_manifest.repository_path(folder, ownership_manifest.manifest_path(project, environment))
    if path not in entries or entries[path].mode not in (FILE_MODE, EXECUTABLE_MODE):
        return None
    return ownership_manifest.read_manifest(
        git.read_contents([entries[path].id])[entries[path].id], Location(file=path)
    )


def _read_related_manifests(git: Git, entries: Mapping[str, TreeEntry], folder: str) -> dict[str, OwnershipManifest]:
    """Return the manifests of the target folder and of folders above and below it, which one Airflow would read together."""
    blob_ids = {}
    for path, entry in entries.items():
        other = ownership_manifest.target_folder_of(path)
        if other is not None and entry.mode in (FILE_MODE, EXECUTABLE_MODE) and _folders_overlap(folder, other):
            blob_ids[path] = entry.id
    contents = git.read_contents(blob_ids.values())
    return {
        path: ownership_manifest.read_manifest(contents[blob_id], Location(file=path))
        for path, blob_id in blob_ids.items()
    }


def _folders_overlap(first: str, second: str) -> bool:
    return not first or not second or f"{first}/".startswith(f"{second}/") or f"{second}/".startswith(f"{first}/")


def _check_paths_free(paths: Sequence[str], entries: Mapping[str, TreeEntry]) -> Iterator[Finding]:
    """Yield an error for each file where a folder is needed, and each folder where a file is needed."""
    reported = set()
    for path in paths:
        parts = path.split("/")
        for end in range(1, len(parts)):
            above = "/".join(parts[:end])
            if above in entries and above not in reported:
                reported.add(above)
                yield error(
                    "publish-folder",
                    Location(file=above),
                    "is a file, a link or a submodule in the target, but a folder is needed.",
                    "Choose another --subfolder.",
                )
    file_paths = set(paths)
    for path in entries:
        parts = path.split("/")
        for end in range(1, len(parts)):
            if "/".join(parts[:end]) in file_paths:
                above = "/".join(parts[:end])
                if above not in reported:
                    reported.add(above)
                    yield error(
                        "publish-folder",
                        Location(file=above),
                        "is a folder in the target, but a file is needed.",
                        "Move it elsewhere.",
                    )


def _check_other_projects(
    old_manifest: OwnershipManifest | None,
    others: Mapping[str, OwnershipManifest],
    folder: str,
    manifest: OwnershipManifest,
    manifest_file: str,
    removed: Iterable[str],
) -> Iterator[Finding]:
    """Yield an error for each file and DAG id that belongs to another project."""
    if old_manifest is not None and (old_manifest.project, old_manifest.environment) != (
        manifest.project,
        manifest.environment,
    ):
        yield error(
            "publish-owned",
            Location(file=manifest_file),
            f"is the manifest of {old_manifest.owner_label}, not of {manifest.owner_label}.",
            "Choose another --subfolder.",
        )
    elif old_manifest is not None and old_manifest.project_name != manifest.project_name:
        yield error(
            "publish-owned",
            Location(file=manifest_file),
            f"was published by project {old_manifest.project_name!r}. This project, {manifest.project_name!r}, has the same "
            "package name.",
            "Publish one of them to another --subfolder; rename its package if one Airflow reads both. If the project was "
            "renamed, delete that manifest and publish with --force.",
        )
    owners = {
        ownership_manifest.repository_path(ownership_manifest.target_folder_of(name) or "", path): other.owner_label
        for name, other in others.items()
        for path in other.files
    }
    for path in removed:
        if path in owners:
            yield error(
                "publish-owned",
                Location(file=path),
                f"is listed in the manifest of {manifest.owner_label}, which no longer creates it, and in that of {owners[path]}.",
                "Remove the wrong entry from its manifest by hand.",
            )
    ids = {file.dag_id: (name, other) for name, other in others.items() for file in other.files.values()}
    for name, file in manifest.files.items():
        path = ownership_manifest.repository_path(folder, name)
        if path in owners:
            yield error(
                "publish-owned",
                Location(file=path),
                f"belongs to {owners[path]}.",
                "Choose another --subfolder, or rename one of the DAGs.",
            )
        elif file.dag_id in ids:
            manifest_file, other = ids[file.dag_id]
            yield error(
                "publish-owned",
                Location(file=path),
                f"would be a second DAG {file.dag_id!r}: {other.owner_label} has published one to "
                f"{ownership_manifest.target_folder_of(manifest_file) or 'the top folder'}, and one Airflow would read both.",
                "Publish to that folder, or remove its DAG files and its manifest first.",
            )


def _check_overwrite(
    path: str, content: bytes | None, record: PublishedFile | None, manifest: OwnershipManifest
) -> Iterator[Finding]:
    """Yield an error for a file that would be overwritten or removed, but differs from what was published."""
    if record is None:
        yield error(
            "publish-foreign",
            Location(file=path),
            f"exists in the target, but the manifest of {manifest.owner_label} does not list it.",
            "Compare it with the file that `create` writes. Then overwrite it with --force, or move it elsewhere.",
        )
    elif content is None or ownership_manifest.compute_sha256(content) != record.sha256:
        yield error(
            "publish-edited",
            Location(file=path),
            "was edited by hand after it was published.",
            "Move the edit to the project or its settings. Then overwrite the file with --force.",
        )
