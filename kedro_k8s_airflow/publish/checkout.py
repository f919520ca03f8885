"""A work tree that shows the branch: brought to the new commit, or left alone; and brought there later when this process was killed.

The commit itself is one step, the move of the branch: until then nobody sees anything, and from then on whoever reads the branch (a clone,
git-sync, a bundle) has all of it. A work tree cannot be changed in one step; so before the move a journal is written into the repository's own
folder, each file is replaced as a whole, and who finds a journal finishes what it says.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from kedro_k8s_airflow.findings import refuse
from kedro_k8s_airflow.publish.git import Failed, failed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from kedro_k8s_airflow.publish.git import Entry, Git

_JOURNAL = "k8s-airflow-publish.json"
_LOCK = "k8s-airflow-publish.lock"
_INDEX = "k8s-airflow-publish.index"
_HELD = "k8s-airflow-publish.held"
_SECONDS = 60
_LOCKED = "{} exists: another git process is at work, or was killed; delete the file if none is."


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
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


@contextlib.contextmanager
def locked(git: Git, told: str) -> Iterator[None]:
    """One publisher at a time in a repository; the lock goes with the process that has it.

    Raises:
        Refused: when another has it for a minute.
    """
    from filelock import FileLock, Timeout

    path = git.folder / git.text("rev-parse", "--git-common-dir") / _LOCK
    try:
        with FileLock(path, timeout=_SECONDS):
            yield
    except Timeout:
        why = f"is being published to by another process, for {_SECONDS} s by now."
        raise refuse("publish-moved", told, why, "Publish again when it has ended.") from None


def recover(git: Git, told: str) -> bool:
    """Finish what a killed process has begun; whether there was anything to finish.

    Raises:
        Refused: when a file was edited meanwhile.
    """
    _unlock(git)
    journal = git.path(_JOURNAL)
    try:
        step = Step(**json.loads(journal.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return False
    except (ValueError, TypeError):
        journal.unlink()  # killed before it was whole, so nothing had begun
        return False
    begun = git.commit("HEAD") == step.new and git.head() == step.branch
    if begun:
        try:
            _refuse_dirty(git, told, step, begun=True)
            _bring(git, step)
        except Failed as reason:
            raise failed(told, "git cannot bring the files to the commit", reason, "See `git status` there.") from None
    _clear(git, step)
    journal.unlink()
    return begun


def apply(git: Git, told: str, step: Step, why: str) -> None:
    """Move the branch, and bring the work tree and its index along.

    Raises:
        Refused: when that would take something that was not committed; nothing has changed then.
    """
    _refuse_dirty(git, told, step, begun=False)
    if (lock := git.path("index").with_name("index.lock")).exists():
        raise refuse("publish-git", told, _LOCKED.format(lock), "Then publish again.")
    journal = git.path(_JOURNAL)
    # Moved to its place when whole.
    half = journal.with_suffix(".half")
    half.write_text(json.dumps(asdict(step)), encoding="utf-8")
    half.replace(journal)
    try:
        git.move(step.branch, step.new, step.old, why)
    except Failed as reason:
        journal.unlink()
        raise failed(
            told, "the branch could not be moved", reason, "Somebody else has moved it; publish again."
        ) from None
    try:
        _bring(git, step)
    except Failed as reason:
        raise failed(told, "git cannot bring the files to the commit", reason, "Publish again to finish it.") from None
    journal.unlink()


def _bring(git: Git, step: Step) -> None:
    """Files and index to the new commit."""
    now = git.entries(step.new)
    contents = git.contents(now[path].id for path in step.ours if path in now)
    for path in step.ours:
        if path in now:
            _put(git.folder / path, contents[now[path].id])
        else:
            _remove(git.folder, path)
    _index(git, {path: now.get(path) for path in step.ours}, "0" * len(step.new))
    if any(path not in step.ours for path in _differ(git, step)):
        # What others have pushed meanwhile, by git itself.
        old = step.old or git.run("hash-object", "-t", "tree", "-w", "--stdin").decode().strip()
        git.run("read-tree", "-m", "-u", old, step.new)


def _differ(git: Git, step: Step) -> list[str]:
    """Paths that differ between the two commits."""
    before, now = git.entries(step.old), git.entries(step.new)
    return [path for path in {**before, **now} if before.get(path) != now.get(path)]


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.name[:200]}.k8s-airflow")


def _put(path: Path, content: bytes) -> None:
    """A file with this content, in one step."""
    with contextlib.suppress(OSError):
        if not path.is_symlink() and path.read_bytes() == content:
            return
    path.parent.mkdir(parents=True, exist_ok=True)
    made = _temporary(path)
    made.write_bytes(content)
    if path.exists() and not path.is_symlink():
        shutil.copymode(path, made)
    made.replace(path)


def _remove(top: Path, path: str) -> None:
    """A file gone, and the folders that it leaves empty, as git does."""
    (top / path).unlink(missing_ok=True)
    for folder in (top / path).parents:
        if folder == top:
            break
        try:
            folder.rmdir()
        except OSError:
            break


def _clear(git: Git, step: Step) -> None:
    """Files that were to be moved to their places."""
    for path in step.ours:
        _temporary(git.folder / path).unlink(missing_ok=True)
    git.path(_INDEX).unlink(missing_ok=True)


def _index(git: Git, entries: Mapping[str, Entry | None], nothing: str) -> None:
    """Put entries into the repository's index: under git's own lock, which is known to be ours when this process is killed."""
    index, made, held = git.path("index"), git.path(_INDEX), git.path(_HELD)
    lock = index.with_name("index.lock")
    held.touch()
    try:
        os.link(held, lock)
    except FileExistsError:
        raise Failed(_LOCKED.format(lock)) from None
    try:
        if index.exists():
            shutil.copyfile(index, made)
        lines = [f"{one.mode} {one.id} 0\t{path}" if one else f"0 {nothing} 0\t{path}" for path, one in entries.items()]
        told = "".join(f"{line}\0" for line in lines).encode("utf-8", "surrogateescape")
        git.run("update-index", "-z", "--index-info", stdin=told, index=made)
        made.replace(index)
    finally:
        lock.unlink()
        held.unlink()
    with contextlib.suppress(Failed):  # only to spare git a look at the files
        git.run("update-index", "-q", "--refresh")


def _unlock(git: Git) -> None:
    """Take away the lock of git's index when a killed publisher has left it; nobody else's."""
    held, lock = git.path(_HELD), git.path("index").with_name("index.lock")
    with contextlib.suppress(FileNotFoundError):
        if held.samefile(lock):
            lock.unlink()
    held.unlink(missing_ok=True)


def _refuse_dirty(git: Git, told: str, step: Step, *, begun: bool) -> None:
    """Refuse when files that change between two commits are not as the old one has them (or, once begun, as the new one has them)."""
    before, now = git.entries(step.old), git.entries(step.new)
    dirty = []
    for path in _changed(git, _differ(git, step)):
        # Against a head that has moved already everything differs.
        if (begun or path in step.ours) and _is(git, path, before, now, whole=begun):
            continue
        dirty.append(path)
    blocked = [path for path in step.ours if path in now and _leads_out(git.folder, path)]
    if dirty or blocked:
        names = list(dict.fromkeys([*dirty, *blocked]))
        more = f" and {len(names) - 5} more" if len(names) > 5 else ""
        raise refuse(
            "publish-dirty",
            told,
            f"has changes of yours that are not committed in what would be published: {', '.join(names[:5])}{more}.",
            "Commit, stash or undo them, then publish again.",
        )


def _changed(git: Git, paths: Sequence[str]) -> Iterator[str]:
    """Those of some paths that differ from the head, in the index or on the disk, or that nobody tracks."""
    for begin in range(0, len(paths), 500):
        told = git.run(
            *(
                "--no-optional-locks",
                "--literal-pathspecs",
                "status",
                "--porcelain",
                "-z",
                "--no-renames",
                "--untracked-files=all",
                "--ignored",
            ),
            *("--", *paths[begin : begin + 500]),
        )
        for line in os.fsdecode(told).split("\0")[:-1]:
            yield line[3:]


def _is(git: Git, path: str, before: Mapping[str, Entry], now: Mapping[str, Entry], *, whole: bool) -> bool:
    """Whether a file on the disk is what one of two commits has, or for a file that nobody tracks, what it is to be."""
    file = git.folder / path
    if file.is_symlink() or file.is_dir():
        return False
    wanted = [one.get(path) for one in ((before, now) if whole else (now,))]
    if not file.exists():
        return whole and None in wanted
    found = git.run("hash-object", "--no-filters", "--stdin", stdin=file.read_bytes()).decode().strip()
    filtered = git.run("hash-object", f"--path={path}", "--stdin", stdin=file.read_bytes()).decode().strip()
    return any(one is not None and one.id in (found, filtered) for one in wanted)


def _leads_out(top: Path, path: str) -> bool:
    """Whether a folder on the way to a file is a link, or a file is where a folder has to be."""
    above = [folder for folder in (top / path).parents if folder != top and folder.is_relative_to(top)]
    return any(folder.is_symlink() or (folder.exists() and not folder.is_dir()) for folder in above)
