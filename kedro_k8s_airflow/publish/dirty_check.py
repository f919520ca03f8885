"""What somebody has not committed: found, and left alone. Git's own `status` does not tell all of it, so files and index are looked at themselves."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from kedro_k8s_airflow.findings import refuse
from kedro_k8s_airflow.locations import Location
from kedro_k8s_airflow.publish import git_index
from kedro_k8s_airflow.publish.git import LINK_MODE, GitError, TreeEntry, refuse_git

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from kedro_k8s_airflow.publish.git import Git
    from kedro_k8s_airflow.publish.git_index import BranchUpdate


def refuse_dirty(git: Git, display_name: str, update: BranchUpdate, *, resuming: bool) -> None:
    """Refuse when anything would be lost: a file or an index entry that is neither as the old commit has it nor as the new one has it."""
    before, now = git.read_entries(update.old), git.read_entries(update.new)
    if git.run_text("ls-files", "--unmerged"):
        raise refuse(
            "publish-dirty",
            Location(subject=display_name),
            "has conflicts that are not resolved.",
            "Resolve them, then publish again.",
        )
    index = list_index(git)
    dirty = [
        path
        for path in update.ours
        if index.get(path, (None, False))[0] not in (before.get(path), now.get(path))
        or not _matches_either_commit(
            git, path, before.get(path), now.get(path), absent=index.get(path, (None, False))[1], resuming=resuming
        )
    ]
    incoming = git_index.list_incoming_paths(git, update)
    dirty += [path for path in incoming if path in now and _leaves_work_tree(git.folder, path)]
    if incoming and not resuming:
        dirty += list_uncommitted_paths(git, incoming)
    dirty += [path for path in update.ours if path in now and _leaves_work_tree(git.folder, path)]
    if incoming and not dirty:
        _check_incoming(git, display_name, update)
    if dirty:
        dirty_paths = list(dict.fromkeys(dirty))
        more = f" and {len(dirty_paths) - 5} more" if len(dirty_paths) > 5 else ""
        if resuming:
            message = "was edited since a publish there was stopped: "
            tracked = [path for path in dirty_paths if path in before]
            command = f"git -C {display_name} checkout HEAD -- {tracked[0]}" if tracked else f"delete {dirty_paths[0]}"
            help_text = f"Undo it ({command}), then publish again."
        else:
            message = "has changes of yours that are not committed in what would be published: "
            help_text = "Commit, stash or undo them, then publish again."
        raise refuse(
            "publish-dirty", Location(subject=display_name), f"{message}{', '.join(dirty_paths[:5])}{more}.", help_text
        )


def _check_incoming(git: Git, display_name: str, update: BranchUpdate) -> None:
    """Ask git whether it could bring what others have pushed, once our own files are there."""
    now = git.read_entries(update.new)
    index_copy = git_index.copy_index(git, {path: now[path] for path in update.ours if path in now}, update)
    try:
        git_index.refresh_index(git, index_copy)
        git.run("read-tree", "-m", "-u", "-n", git_index.resolve_old_tree(git, update), update.new, index=index_copy)
    except GitError as reason:
        help_text = (
            "Commit, stash or undo what is in the way, or bring the branch up to date by hand; then publish again."
        )
        raise refuse_git(
            display_name, "what others have pushed cannot be brought into the work tree", reason, help_text
        ) from None
    finally:
        index_copy.unlink(missing_ok=True)


def list_index(git: Git) -> dict[str, tuple[TreeEntry, bool]]:
    """The index: entry of each path, and whether its file may be absent (sparse checkouts)."""
    entries = {}
    for line in os.fsdecode(git.run("ls-files", "--stage", "-t", "-z")).split("\0")[:-1]:
        head, _, path = line.partition("\t")
        tag, mode, object_id, _ = head.split(" ")
        entries[path] = (TreeEntry(mode, object_id), tag == "S")
    return entries


def _matches_either_commit(
    git: Git, path: str, before: TreeEntry | None, now: TreeEntry | None, *, absent: bool, resuming: bool
) -> bool:
    """Whether what is on the disk at a path of ours is as one of two commits has it.

    Args:
        git: the repository.
        path: in it.
        before: what the old commit has there.
        now: what the new one has.
        absent: whether the file may be absent though it is tracked.
        resuming: whether a file that goes may be gone already.
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
    # As it is, or as git's filters and line ends would have it.
    return _hash_object(git, content) in expected_ids or _hash_object(git, content, path) in expected_ids


def matches_entry(git: Git, path: str, entry: TreeEntry) -> bool:
    """Whether what is at a path is an object's content: a link, or a file as it is or through git's filters."""
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
    """The object that a content would be, when it goes through the filters of a path, or through none."""
    option = "--no-filters" if path is None else f"--path={path}"
    try:
        return git.run("hash-object", option, "--stdin", stdin=content).decode().strip()
    except GitError:  # a filter that does not work here
        return None


def list_uncommitted_paths(git: Git, paths: Sequence[str]) -> Iterable[str]:
    """Those of some paths that differ from the head, in the index or on the disk, or that nobody tracks."""
    for begin in range(0, len(paths), 500):
        status = git.run(
            *("--no-optional-locks", "--literal-pathspecs", "status", "--porcelain", "-z", "--no-renames"),
            *("--untracked-files=all", "--ignored", "--", *paths[begin : begin + 500]),
        )
        for line in os.fsdecode(status).split("\0")[:-1]:
            yield line[3:]


def _leaves_work_tree(top: Path, path: str) -> bool:
    """Whether a folder on the way to a file is a link, another repository, or no folder."""
    above = [folder for folder in (top / path).parents if folder != top and folder.is_relative_to(top)]
    return any(
        folder.is_symlink() or (folder.exists() and not folder.is_dir()) or (folder / ".git").exists()
        for folder in above
    )
