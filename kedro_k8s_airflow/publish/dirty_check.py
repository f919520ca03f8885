"""Find uncommitted changes that publishing would overwrite. `git status` hides some of them, so files and index are read directly."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from kedro_k8s_airflow.findings import refuse
from kedro_k8s_airflow.locations import Location
from kedro_k8s_airflow.publish import git_index
from kedro_k8s_airflow.publish.git import LINK_MODE, GitError, TreeEntry, refuse_git
from kedro_k8s_airflow.text import first_names

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from kedro_k8s_airflow.publish.git import Git
    from kedro_k8s_airflow.publish.git_index import BranchUpdate

_MAX_PATHS = 5


def refuse_dirty(git: Git, display_name: str, update: BranchUpdate, *, resuming: bool) -> None:
    """Check that no uncommitted change would be lost; raise Refused otherwise.

    Each file and index entry has to match the old or the new commit.

    Args:
        git: the repository.
        display_name: the repository, for messages.
        update: the update of the work tree.
        resuming: whether an interrupted publish is being finished.

    Raises:
        Refused: naming the paths.
    """
    before, now = git.read_entries(update.old), git.read_entries(update.new)
    if git.run_text("ls-files", "--unmerged"):
        raise refuse(
            "publish-dirty",
            Location(subject=display_name),
            "has unresolved merge conflicts.",
            "Resolve them, then publish again.",
        )
    index = list_index(git)
    dirty = [
        path
        for path in update.own_paths
        if index.get(path, (None, False))[0] not in (before.get(path), now.get(path))
        or not _matches_either_commit(
            git, path, before.get(path), now.get(path), absent=index.get(path, (None, False))[1], resuming=resuming
        )
    ]
    incoming = git_index.list_incoming_paths(git, update)
    dirty += [path for path in incoming if path in now and _leaves_work_tree(git.folder, path)]
    if incoming and not resuming:
        dirty += list_uncommitted_paths(git, incoming)
    dirty += [path for path in update.own_paths if path in now and _leaves_work_tree(git.folder, path)]
    if incoming and not dirty:
        _check_incoming(git, display_name, update)
    if dirty:
        dirty_paths = list(dict.fromkeys(dirty))
        if resuming:
            message = "has files that were edited after a publish was interrupted: "
            tracked = [path for path in dirty_paths if path in before]
            command = f"git -C {display_name} checkout HEAD -- {tracked[0]}" if tracked else f"delete {dirty_paths[0]}"
            help_text = f"Undo the edits ({command}), then publish again."
        else:
            message = "has uncommitted changes that publishing would overwrite: "
            help_text = "Commit, stash or undo them, then publish again."
        raise refuse(
            "publish-dirty",
            Location(subject=display_name),
            f"{message}{first_names(dirty_paths, _MAX_PATHS)}.",
            help_text,
        )


def _check_incoming(git: Git, display_name: str, update: BranchUpdate) -> None:
    """Check that git can update the work tree to the commits that others have pushed; raise Refused otherwise."""
    now = git.read_entries(update.new)
    index_copy = git_index.copy_index(git, {path: now[path] for path in update.own_paths if path in now}, update)
    try:
        git_index.refresh_index(git, index_copy)
        git.run("read-tree", "-m", "-u", "-n", git_index.resolve_old_tree(git, update), update.new, index=index_copy)
    except GitError as reason:
        help_text = "Commit, stash or undo the conflicting changes, or update the branch by hand. Then publish again."
        raise refuse_git(
            display_name, "the work tree cannot be updated to the commits that others have pushed", reason, help_text
        ) from None
    finally:
        index_copy.unlink(missing_ok=True)


def list_index(git: Git) -> dict[str, tuple[TreeEntry, bool]]:
    """Return the index: the entry of each path, and whether its file may be absent (sparse checkouts)."""
    entries = {}
    for line in os.fsdecode(git.run("ls-files", "--stage", "-t", "-z")).split("\0")[:-1]:
        head, _, path = line.partition("\t")
        tag, mode, object_id, _ = head.split(" ")
        entries[path] = (TreeEntry(mode, object_id), tag == "S")
    return entries


def _matches_either_commit(
    git: Git, path: str, before: TreeEntry | None, now: TreeEntry | None, *, absent: bool, resuming: bool
) -> bool:
    """Check whether the file on disk matches one of two commits.

    Args:
        git: the repository.
        path: path in the repository.
        before: entry of the old commit.
        now: entry of the new commit.
        absent: whether a tracked file may be absent.
        resuming: whether a file that will be removed may be absent.
    """
    file = git.folder / path
    try:
        mode = file.lstat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return before is None or absent or (resuming and now is None)
    if stat.S_ISLNK(mode):
        content = os.fsencode(os.readlink(file))  # noqa: PTH115  as bytes
        return before is not None and before.mode == LINK_MODE and _hash_object(git, content) == before.id
    if not stat.S_ISREG(mode):
        return False
    content = file.read_bytes()
    expected_ids = {entry.id for entry in (before, now) if entry is not None}
    # With or without git's filters and line-end conversion.
    return _hash_object(git, content) in expected_ids or _hash_object(git, content, path) in expected_ids


def matches_entry(git: Git, path: str, entry: TreeEntry) -> bool:
    """Check whether the link or file at a path has an object's content, with or without git's filters."""
    file = git.folder / path
    try:
        if file.is_symlink():
            return entry.mode == LINK_MODE and _hash_object(git, os.fsencode(os.readlink(file))) == entry.id  # noqa: PTH115  as bytes
        if not file.is_file():
            return False
        content = file.read_bytes()
    except OSError:
        return False
    return entry.id in (_hash_object(git, content), _hash_object(git, content, path))


def _hash_object(git: Git, content: bytes, path: str | None = None) -> str | None:
    """Return the id of the object for a content, after the filters of a path or without filters."""
    option = "--no-filters" if path is None else f"--path={path}"
    try:
        return git.run("hash-object", option, "--stdin", stdin=content).decode().strip()
    except GitError:  # a filter that does not work here
        return None


def list_uncommitted_paths(git: Git, paths: Sequence[str]) -> Iterable[str]:
    """Yield the paths that are untracked, or that differ from HEAD in the index or on disk."""
    for begin in range(0, len(paths), 500):
        status = git.run(
            *("--no-optional-locks", "--literal-pathspecs", "status", "--porcelain", "-z", "--no-renames"),
            *("--untracked-files=all", "--ignored", "--", *paths[begin : begin + 500]),
        )
        for line in os.fsdecode(status).split("\0")[:-1]:
            yield line[3:]


def _leaves_work_tree(top: Path, path: str) -> bool:
    """Check whether a parent of a path is a link, another repository or a file."""
    above = [folder for folder in (top / path).parents if folder != top and folder.is_relative_to(top)]
    return any(
        folder.is_symlink() or (folder.exists() and not folder.is_dir()) or (folder / ".git").exists()
        for folder in above
    )
