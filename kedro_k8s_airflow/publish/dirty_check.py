"""What somebody has not committed: found, and left alone. Git's own `status` does not tell all of it, so files and index are looked at themselves."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from kedro_k8s_airflow.findings import refuse
from kedro_k8s_airflow.publish import git_index
from kedro_k8s_airflow.publish.git import LINK, GitError, TreeEntry, refuse_git

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from kedro_k8s_airflow.publish.git import Git
    from kedro_k8s_airflow.publish.git_index import BranchUpdate


def refuse_dirty(git: Git, told: str, step: BranchUpdate, *, begun: bool) -> None:
    """Refuse when anything would be lost: a file or an index entry that is neither as the old commit has it nor as the new one has it."""
    before, now = git.entries(step.old), git.entries(step.new)
    if git.text("ls-files", "--unmerged"):
        raise refuse("publish-dirty", told, "has conflicts that are not resolved.", "Resolve them, then publish again.")
    there = list_uncommitted(git)
    dirty = [
        path
        for path in step.ours
        if there.get(path, (None, False))[0] not in (before.get(path), now.get(path))
        or not _harmless(
            git, path, before.get(path), now.get(path), absent=there.get(path, (None, False))[1], begun=begun
        )
    ]
    others = git_index.other_entries(git, step)
    dirty += [path for path in others if path in now and _leads_out(git.folder, path)]
    if others and not begun:
        dirty += changed_paths(git, others)
    dirty += [path for path in step.ours if path in now and _leads_out(git.folder, path)]
    if others and not dirty:
        _rehearse(git, told, step)
    if dirty:
        found = list(dict.fromkeys(dirty))
        more = f" and {len(found) - 5} more" if len(found) > 5 else ""
        if begun:
            message = "was edited since a publish there was stopped: "
            tracked = [path for path in found if path in before]
            how = f"git -C {told} checkout HEAD -- {tracked[0]}" if tracked else f"delete {found[0]}"
            help_text = f"Undo it ({how}), then publish again."
        else:
            message = "has changes of yours that are not committed in what would be published: "
            help_text = "Commit, stash or undo them, then publish again."
        raise refuse("publish-dirty", told, f"{message}{', '.join(found[:5])}{more}.", help_text)


def _rehearse(git: Git, told: str, step: BranchUpdate) -> None:
    """Ask git whether it could bring what others have pushed, once our own files are there."""
    now = git.entries(step.new)
    made = git_index.copy_index(git, {path: now[path] for path in step.ours if path in now}, step)
    try:
        git_index.refresh(git, made)
        git.run("read-tree", "-m", "-u", "-n", git_index.write_tree(git, step), step.new, index=made)
    except GitError as reason:
        help_text = (
            "Commit, stash or undo what is in the way, or bring the branch up to date by hand; then publish again."
        )
        raise refuse_git(
            told, "what others have pushed cannot be brought into the work tree", reason, help_text
        ) from None
    finally:
        made.unlink(missing_ok=True)


def list_uncommitted(git: Git) -> dict[str, tuple[TreeEntry, bool]]:
    """The index: entry of each path, and whether its file may be absent (sparse checkouts)."""
    found = {}
    for line in os.fsdecode(git.run("ls-files", "--stage", "-t", "-z")).split("\0")[:-1]:
        head, _, path = line.partition("\t")
        tag, mode, name, _ = head.split(" ")
        found[path] = (TreeEntry(mode, name), tag == "S")
    return found


def _harmless(
    git: Git, path: str, before: TreeEntry | None, now: TreeEntry | None, *, absent: bool, begun: bool
) -> bool:
    """Whether what is on the disk at a path of ours is as one of two commits has it.

    Args:
        git: the repository.
        path: in it.
        before: what the old commit has there.
        now: what the new one has.
        absent: whether the file may be absent though it is tracked.
        begun: whether a file that goes may be gone already.
    """
    file = git.folder / path
    try:
        mode = file.lstat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return before is None or absent or (begun and now is None)
    if stat.S_ISLNK(mode):
        content = os.fsencode(os.readlink(file))  # noqa: PTH115  as bytes
        return before is not None and before.mode == LINK and _name(git, content) == before.id
    if not stat.S_ISREG(mode):
        return False
    content = file.read_bytes()
    wanted = {one.id for one in (before, now) if one is not None}
    # As it is, or as git's filters and line ends would have it.
    return _name(git, content) in wanted or _name(git, content, path) in wanted


def is_content(git: Git, path: str, entry: TreeEntry) -> bool:
    """Whether what is at a path is an object's content: a link, or a file as it is or through git's filters."""
    file = git.folder / path
    try:
        if file.is_symlink():
            return entry.mode == LINK and _name(git, os.fsencode(os.readlink(file))) == entry.id  # noqa: PTH115  as bytes
        if not file.is_file():
            return False
        content = file.read_bytes()
    except OSError:
        return False
    return entry.id in (_name(git, content), _name(git, content, path))


def _name(git: Git, content: bytes, path: str | None = None) -> str | None:
    """The object that a content would be, when it goes through the filters of a path, or through none."""
    option = "--no-filters" if path is None else f"--path={path}"
    try:
        return git.run("hash-object", option, "--stdin", stdin=content).decode().strip()
    except GitError:  # a filter that does not work here
        return None


def changed_paths(git: Git, paths: Sequence[str]) -> Iterable[str]:
    """Those of some paths that differ from the head, in the index or on the disk, or that nobody tracks."""
    for begin in range(0, len(paths), 500):
        told = git.run(
            *("--no-optional-locks", "--literal-pathspecs", "status", "--porcelain", "-z", "--no-renames"),
            *("--untracked-files=all", "--ignored", "--", *paths[begin : begin + 500]),
        )
        for line in os.fsdecode(told).split("\0")[:-1]:
            yield line[3:]


def _leads_out(top: Path, path: str) -> bool:
    """Whether a folder on the way to a file is a link, another repository, or no folder."""
    above = [folder for folder in (top / path).parents if folder != top and folder.is_relative_to(top)]
    return any(
        folder.is_symlink() or (folder.exists() and not folder.is_dir()) or (folder / ".git").exists()
        for folder in above
    )
