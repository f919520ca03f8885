"""Update git's index under git's own lock, for the update of a branch from one commit to another.

The lock carries a mark, so that the next publish can remove the lock of a killed one.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kedro_k8s_airflow.publish.git import GitError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from kedro_k8s_airflow.publish.git import Git, TreeEntry

_INDEX_COPY = "k8s-airflow-publish.index"
_LOCK_MARKER = "k8s-airflow-publish.held"
_LOCKED_MESSAGE = "{} exists: another git process is running or was killed; delete the file if none is running"


@dataclass(frozen=True, slots=True, kw_only=True)
class BranchUpdate:
    """The update of a branch and its work tree.

    Attributes:
        branch: the branch that moves; None for a detached HEAD.
        old: the current commit; None for a branch without commits.
        new: the commit to move to.
        own_paths: paths that this plugin replaces itself.
    """

    branch: str | None
    old: str | None
    new: str
    own_paths: Sequence[str]


def resolve_old_tree(git: Git, update: BranchUpdate) -> str:
    """Return the old commit, or the empty tree."""
    return update.old or git.run("hash-object", "-t", "tree", "-w", "--stdin").decode().strip()


def _list_differing_paths(git: Git, update: BranchUpdate) -> list[str]:
    """Return the paths that differ between the two commits."""
    before, now = git.read_entries(update.old), git.read_entries(update.new)
    return [path for path in {**before, **now} if before.get(path) != now.get(path)]


def list_incoming_paths(git: Git, update: BranchUpdate) -> list[str]:
    """Return the paths that others have changed between the two commits; git updates them."""
    own_paths = set(update.own_paths)
    return [path for path in _list_differing_paths(git, update) if path not in own_paths]


@contextlib.contextmanager
def replace_index(git: Git, entries: Mapping[str, TreeEntry | None], update: BranchUpdate) -> Iterator[Path]:
    """Yield a copy of the index with these entries, and replace the index by it after the block.

    Git's own lock is held for the block.
    """
    index = git.git_path("index")
    with lock_index(git):
        index_copy = copy_index(git, entries, update)
        yield index_copy
        index_copy.replace(index)
    refresh_index(git)


def copy_index(git: Git, entries: Mapping[str, TreeEntry | None], update: BranchUpdate) -> Path:
    """Copy the index, set these entries in the copy, and return its path."""
    index, index_copy = git.git_path("index"), git.git_path(_INDEX_COPY)
    if index.exists():
        shutil.copyfile(index, index_copy)
    else:
        index_copy.unlink(missing_ok=True)
    null_id = "0" * len(update.new)
    lines = [
        f"{entry.mode} {entry.id} 0\t{path}" if entry else f"0 {null_id} 0\t{path}" for path, entry in entries.items()
    ]
    index_info = "".join(f"{line}\0" for line in lines).encode("utf-8", "surrogateescape")
    git.run("update-index", "-z", "--index-info", stdin=index_info, index=index_copy)
    return index_copy


@contextlib.contextmanager
def lock_index(git: Git) -> Iterator[None]:
    """Hold git's lock of its index for the block.

    Raises:
        GitError: another process holds it.
    """
    marker, lock = git.git_path(_LOCK_MARKER), _lock_path(git)
    marker.touch()
    try:
        os.link(marker, lock)
    except FileExistsError:
        marker.unlink()
        raise GitError(_LOCKED_MESSAGE.format(lock)) from None
    except OSError as exc:
        if exc.errno not in (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK):
            raise
        # A file system without links: the same lock, but its owner is unknown after a kill.
        os.close(os.open(lock, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    try:
        yield
    finally:
        lock.unlink()
        marker.unlink()


def release_stale_lock(git: Git) -> None:
    """Remove the lock of git's index if a killed publish has left it; keep any other."""
    marker, lock = git.git_path(_LOCK_MARKER), _lock_path(git)
    with contextlib.suppress(FileNotFoundError):
        if marker.samefile(lock):
            lock.unlink()
    marker.unlink(missing_ok=True)
    remove_index_copy(git)


def describe_lock(git: Git) -> str | None:
    """Return a message if another git process holds the lock of the index, or has left it."""
    return _LOCKED_MESSAGE.format(_lock_path(git)) if _lock_path(git).exists() else None


def _lock_path(git: Git) -> Path:
    return git.git_path("index").with_name("index.lock")


def read_index(git: Git) -> bytes | None:
    """Return the content of the index; None if it does not exist yet."""
    index = git.git_path("index")
    return index.read_bytes() if index.exists() else None


def restore_index(git: Git, before: bytes | None) -> None:
    """Restore the index."""
    with lock_index(git):
        if before is None:
            git.git_path("index").unlink(missing_ok=True)
        elif read_index(git) != before:
            git.git_path(_INDEX_COPY).write_bytes(before)
            git.git_path(_INDEX_COPY).replace(git.git_path("index"))
    refresh_index(git)


def refresh_index(git: Git, index: Path | None = None) -> None:
    """Refresh the file information in the index; modified files are not an error."""
    with contextlib.suppress(GitError):
        git.run("update-index", "-q", "--refresh", index=index)


def remove_index_copy(git: Git) -> None:
    """Remove a leftover copy of the index, and its lock."""
    for name in (_INDEX_COPY, f"{_INDEX_COPY}.lock"):
        with contextlib.suppress(OSError):
            git.git_path(name).unlink(missing_ok=True)
