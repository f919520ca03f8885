"""What publishing changes in a repository, and what forbids it: the files that are to be against those that are there. Git is only read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from kedro_k8s_airflow.findings import Finding, Refused, error
from kedro_k8s_airflow.publish import ownership_manifest
from kedro_k8s_airflow.publish.git import EXECUTABLE, FILE, SUBMODULE
from kedro_k8s_airflow.publish.ownership_manifest import OwnershipManifest, PublishedFile

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from kedro_k8s_airflow.publish.desired_state import DesiredState
    from kedro_k8s_airflow.publish.git import Git, TreeEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class DagDiff:
    """What becomes of one DAG.

    Attributes:
        path: of its file, in the repository.
        before, now: what was published and what is to be.
        was, text: content of the file before, and what it is to be.
    """

    path: str
    status: Literal["new", "changed", "removed", "unchanged"]
    before: PublishedFile | None
    now: PublishedFile | None
    was: str
    text: str

    @property
    def dag_id(self) -> str:
        """Its id in Airflow."""
        return (self.now or self.before or PublishedFile(sha256="", dag_id="", pipeline="", images={})).dag_id


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishDiff:
    """What publishing does.

    Attributes:
        dags: every DAG, those that go among them.
        files: new content by path in the repository, None for a file that goes; only where bytes differ.
        modes: of those that are there already.
        before: manifest of the last time.
    """

    dags: Sequence[DagDiff]
    files: Mapping[str, bytes | None]
    modes: Mapping[str, str]
    before: OwnershipManifest | None


def compare_published(git: Git, commit: str | None, folder: str, wanted: DesiredState, *, force: bool) -> PublishDiff:
    """What publishing changes.

    Args:
        git: the repository.
        commit: whose files are there, or None for an empty repository.
        folder: the target folder, in the repository; "" for its top.
        wanted: what is to be.
        force: overwrite what was edited by hand, or is of unknown origin.

    Raises:
        Refused: with everything that is in the way.
    """
    entries = git.entries(commit)
    mine, ignore = (
        ownership_manifest.published_path(folder, path)
        for path in (ownership_manifest.manifest_path(*wanted.whose), ownership_manifest.IGNORE)
    )
    manifests = _manifests(git, entries, folder)
    before = manifests.pop(mine, None)
    paths = {ownership_manifest.published_path(folder, path): path for path in wanted.texts}
    gone = {
        ownership_manifest.published_path(folder, path): path
        for path in (before.files if before else {})
        if path not in wanted.texts
    }
    errors = [
        *_blocked([*paths, mine, ignore], entries),
        *_others(before, manifests, folder, wanted.manifest, mine, gone),
    ]
    held = [entries[path].id for path in [*paths, *gone, mine] if path in entries and entries[path].mode != SUBMODULE]
    contents = git.contents(held)
    there = {
        path: contents[entries[path].id] for path in [*paths, *gone] if path in entries and entries[path].id in contents
    }
    dags, files = [], {}
    for path, name in sorted({**paths, **gone}.items()):
        was, now = there.get(path), wanted.texts.get(name)
        content = now.encode() if now is not None else None
        said = before.files.get(name) if before else None
        if content is None and path not in entries:
            continue  # somebody has removed it already
        if was != content or (path in entries and entries[path].mode not in (FILE, EXECUTABLE)):
            if not force and path in entries and not any(one.where == path for one in errors):
                errors += _unlike(path, was, said, wanted.manifest)
            files[path] = content
        status: Literal["new", "changed", "removed", "unchanged"] = "unchanged"
        if content is None:
            status = "removed"
        elif was is None:
            status = "new"
        elif was != content:
            status = "changed"
        text = (was or b"").decode("utf-8", "replace")
        dags.append(
            DagDiff(
                path=path, status=status, before=said, now=wanted.manifest.files.get(name), was=text, text=now or ""
            )
        )
    if mine in entries and entries[mine].mode not in (FILE, EXECUTABLE):
        errors.append(error("publish-folder", mine, "is a link or a submodule in the target.", "Move it away."))
    if errors:
        raise Refused(errors)
    told = wanted.manifest.text().encode()
    if mine not in entries or contents[entries[mine].id] != told:
        files[mine] = told
    if ignore not in entries:
        # The same of every version and project, so nobody ever changes it.
        files[ignore] = ownership_manifest.IGNORED.encode()
    modes = {path: entries[path].mode for path in files if path in entries and entries[path].mode == EXECUTABLE}
    return PublishDiff(dags=dags, files=files, modes=modes, before=before)


def check_ownership(
    git: Git, commit: str | None, folder: str, project: str, environment: str | None
) -> dict[str, TreeEntry]:
    """The files that a project has in a commit: its manifest and what that names."""
    entries = git.entries(commit)
    manifest = _manifest(git, entries, folder, project, environment)
    paths = [ownership_manifest.manifest_path(project, environment), *manifest.files] if manifest is not None else []
    found = {ownership_manifest.published_path(folder, path) for path in paths}
    return {path: entries[path] for path in found if path in entries}


def without_others(git: Git, since: str, until: str, folder: str, project: str, environment: str | None) -> bool:
    """Whether two commits differ in nothing but what a project has published, and nobody has edited that.

    Args:
        git: the repository.
        since: the earlier commit.
        until: the later one.
        folder: that is published to.
        project: whose.
        environment: of it.
    """
    before, now = git.entries(since), git.entries(until)
    known = {path for commit in (since, until) for path in check_ownership(git, commit, folder, project, environment)}
    ignore = ownership_manifest.published_path(folder, ownership_manifest.IGNORE)
    published = {*known, ignore}
    if any(before.get(path) != now.get(path) for path in {**before, **now} if path not in published):
        return False
    if any(now[path].mode != (before[path].mode if path in before else FILE) for path in known if path in now):
        return False
    if ignore in now and now[ignore] != before.get(ignore):
        said = git.contents([now[ignore].id])[now[ignore].id]
        if said != ownership_manifest.IGNORED.encode() or now[ignore].mode != FILE:
            return False
    manifest = _manifest(git, now, folder, project, environment)
    sums = {
        ownership_manifest.published_path(folder, path): file.sha256
        for path, file in (manifest.files if manifest else {}).items()
    }
    contents = git.contents(now[path].id for path in sums if path in now)
    return all(
        path in now and ownership_manifest.sha256(contents[now[path].id]) == sha256 for path, sha256 in sums.items()
    )


def _manifest(
    git: Git, entries: Mapping[str, TreeEntry], folder: str, project: str, environment: str | None
) -> OwnershipManifest | None:
    """The manifest of a project, if there is one."""
    path = ownership_manifest.published_path(folder, ownership_manifest.manifest_path(project, environment))
    if path not in entries or entries[path].mode not in (FILE, EXECUTABLE):
        return None
    return ownership_manifest.read_manifest(git.contents([entries[path].id])[entries[path].id], path)


def _manifests(git: Git, entries: Mapping[str, TreeEntry], folder: str) -> dict[str, OwnershipManifest]:
    """The manifests that matter: of the target folder, of those above it and below it, which one Airflow would read together."""
    found = {}
    for path, entry in entries.items():
        other = ownership_manifest.folder_of(path)
        if other is not None and entry.mode in (FILE, EXECUTABLE) and _together(folder, other):
            found[path] = entry.id
    contents = git.contents(found.values())
    return {path: ownership_manifest.read_manifest(contents[name], path) for path, name in found.items()}


def _together(one: str, other: str) -> bool:
    return not one or not other or f"{one}/".startswith(f"{other}/") or f"{other}/".startswith(f"{one}/")


def _blocked(paths: Sequence[str], entries: Mapping[str, TreeEntry]) -> Iterator[Finding]:
    """Errors where a file would have to be a folder, or a folder a file."""
    told = set()
    for path in paths:
        parts = path.split("/")
        for end in range(1, len(parts)):
            above = "/".join(parts[:end])
            if above in entries and above not in told:
                told.add(above)
                yield error(
                    "publish-folder",
                    above,
                    "is a file, a link or a submodule in the target, where a folder is needed.",
                    "Choose another --subfolder.",
                )
    wanted = set(paths)
    for path in entries:
        parts = path.split("/")
        for end in range(1, len(parts)):
            if "/".join(parts[:end]) in wanted:
                above = "/".join(parts[:end])
                if above not in told:
                    told.add(above)
                    yield error(
                        "publish-folder", above, "is a folder in the target, where a file is to be.", "Move it away."
                    )


def _others(
    before: OwnershipManifest | None,
    others: Mapping[str, OwnershipManifest],
    folder: str,
    mine: OwnershipManifest,
    where: str,
    gone: Iterable[str],
) -> Iterator[Finding]:
    """Errors for what another project has published."""
    if before is not None and (before.project, before.environment) != (mine.project, mine.environment):
        yield error(
            "publish-owned",
            where,
            f"is the manifest of {before.whose}, not of {mine.whose}.",
            "Choose another --subfolder.",
        )
    elif before is not None and before.name != mine.name:
        yield error(
            "publish-owned",
            where,
            f"was published by a project called {before.name!r} with the same package name; this one is called {mine.name!r}.",
            "Two projects of one package name need two folders, and packages of different names where one Airflow reads both; if it "
            "is the same project, renamed, delete that manifest and publish with --force.",
        )
    owners = {
        ownership_manifest.published_path(ownership_manifest.folder_of(name) or "", path): other.whose
        for name, other in others.items()
        for path in other.files
    }
    for path in gone:
        if path in owners:
            yield error(
                "publish-owned",
                path,
                f"is in the manifest of {mine.whose}, which makes it no more, and in that of {owners[path]}.",
                "Take it out of the one that it is not of, by hand.",
            )
    ids = {file.dag_id: (name, other) for name, other in others.items() for file in other.files.values()}
    for name, file in mine.files.items():
        path = ownership_manifest.published_path(folder, name)
        if path in owners:
            yield error(
                "publish-owned",
                path,
                f"belongs to {owners[path]}.",
                "Choose another --subfolder, or rename one of the two.",
            )
        elif file.dag_id in ids:
            where, other = ids[file.dag_id]
            yield error(
                "publish-owned",
                path,
                f"would be a second DAG {file.dag_id!r}: {other.whose} has published one into "
                f"{ownership_manifest.folder_of(where) or 'the top folder'}, which the same Airflow would read.",
                "Publish there, or remove it there first: its DAG files and its manifest.",
            )


def _unlike(path: str, was: bytes | None, said: PublishedFile | None, mine: OwnershipManifest) -> Iterator[Finding]:
    """An error for a file that would be overwritten or removed, and is not what was published."""
    if said is None:
        yield error(
            "publish-foreign",
            path,
            f"is in the target already, and no manifest says that {mine.whose} has published it.",
            "Compare it with what `create` writes; then overwrite it with --force, or move it away.",
        )
    elif was is None or ownership_manifest.sha256(was) != said.sha256:
        yield error(
            "publish-edited",
            path,
            "was edited by hand since it was published.",
            "Make the edit in the project or its settings; then overwrite the file with --force.",
        )
