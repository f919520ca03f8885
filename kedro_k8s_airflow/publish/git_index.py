"""A step of a branch from one commit to another, and git's index on the way: entries put in, under git's own lock.

The lock is known to be ours when this process is killed, so that the next one may take it away.
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

_INDEX = "k8s-airflow-publish.index"
_HELD = "k8s-airflow-publish.held"
_LOCKED = "{} exists: another git process is at work, or was killed; delete the file if none is"


@dataclass(frozen=True, slots=True, kw_only=True)
class BranchUpdate:
    """What a work tree is being brought from and to.

    Attributes:
        branch: that moves, None for a detached head.
        old, new: commits; there is no old one when the branch is born.
        ours: paths that this plugin replaces itself.
    """

    branch: str | None
    old: str | None
    new: str
    ours: Sequence[str]


def write_tree(git: Git, step: BranchUpdate) -> str:
    """The old commit, or the empty tree."""
    return step.old or git.run("hash-object", "-t", "tree", "-w", "--stdin").decode().strip()


def _differ(git: Git, step: BranchUpdate) -> list[str]:
    """Paths that differ between the two commits."""
    before, now = git.entries(step.old), git.entries(step.new)
    return [path for path in {**before, **now} if before.get(path) != now.get(path)]


def other_entries(git: Git, step: BranchUpdate) -> list[str]:
    """Those of them that others have committed meanwhile, which git brings."""
    ours = set(step.ours)
    return [path for path in _differ(git, step) if path not in ours]


@contextlib.contextmanager
def replace_index(git: Git, entries: Mapping[str, TreeEntry | None], step: BranchUpdate) -> Iterator[Path]:
    """A copy of the index with these entries, made before the block and put in place after it.

    Git's own lock is held meanwhile; it is known to be ours when this process is killed.
    """
    index = git.path("index")
    with hold_lock(git):
        made = copy_index(git, entries, step)
        yield made
        made.replace(index)
    refresh(git)


def copy_index(git: Git, entries: Mapping[str, TreeEntry | None], step: BranchUpdate) -> Path:
    """A copy of the index with these entries."""
    index, made = git.path("index"), git.path(_INDEX)
    if index.exists():
        shutil.copyfile(index, made)
    else:
        made.unlink(missing_ok=True)
    nothing = "0" * len(step.new)
    lines = [f"{one.mode} {one.id} 0\t{path}" if one else f"0 {nothing} 0\t{path}" for path, one in entries.items()]
    told = "".join(f"{line}\0" for line in lines).encode("utf-8", "surrogateescape")
    git.run("update-index", "-z", "--index-info", stdin=told, index=made)
    return made


@contextlib.contextmanager
def hold_lock(git: Git) -> Iterator[None]:
    """Git's lock of its index, for the block.

    Raises:
        Failed: when somebody else has it.
    """
    mine, lock = git.path(_HELD), _lock(git)
    mine.touch()
    try:
        os.link(mine, lock)
    except FileExistsError:
        mine.unlink()
        raise GitError(_LOCKED.format(lock)) from None
    except OSError as exc:
        if exc.errno not in (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK):
            raise
        # A disk without links: the same lock, but nobody could say whose it is after a kill.
        os.close(os.open(lock, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    try:
        yield
    finally:
        lock.unlink()
        mine.unlink()


def unlock(git: Git) -> None:
    """Take away the lock of git's index when a killed publisher has left it; nobody else's."""
    mine, lock = git.path(_HELD), _lock(git)
    with contextlib.suppress(FileNotFoundError):
        if mine.samefile(lock):
            lock.unlink()
    mine.unlink(missing_ok=True)
    clear(git)


def is_blocked(git: Git) -> str | None:
    """What there is to say when git's index is locked, by another git or one that was killed."""
    return _LOCKED.format(_lock(git)) if _lock(git).exists() else None


def _lock(git: Git) -> Path:
    return git.path("index").with_name("index.lock")


def content(git: Git) -> bytes | None:
    """The index as it is, None when there is none yet."""
    index = git.path("index")
    return index.read_bytes() if index.exists() else None


def restore(git: Git, before: bytes | None) -> None:
    """The index as it was."""
    with hold_lock(git):
        if before is None:
            git.path("index").unlink(missing_ok=True)
        elif content(git) != before:
            git.path(_INDEX).write_bytes(before)
            git.path(_INDEX).replace(git.path("index"))
    refresh(git)


def refresh(git: Git, index: Path | None = None) -> None:
    """Let git see which files are as the index has them; that some are not is no failure."""
    with contextlib.suppress(GitError):
        git.run("update-index", "-q", "--refresh", index=index)


def clear(git: Git) -> None:
    """What is left of a copy, and git's lock of that."""
    for name in (_INDEX, f"{_INDEX}.lock"):
        with contextlib.suppress(OSError):
            git.path(name).unlink(missing_ok=True)
