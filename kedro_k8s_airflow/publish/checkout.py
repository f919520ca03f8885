"""A work tree that shows the branch: brought to the new commit before the branch moves, or left as it was.

The commit is one step, the move of the branch, and the last one: until then nobody who reads the branch (a clone, git-sync, a bundle) sees
anything. A work tree cannot be changed in one step. So a journal is written into the repository's own folder first, each file is replaced as a
whole, what fails on the way is undone, and who finds the journal of a killed process finishes what it says.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import stat
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from kedro_k8s_airflow.findings import refuse
from kedro_k8s_airflow.publish.git import LINK, Entry, Failed, failed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from kedro_k8s_airflow.publish.git import Git

_JOURNAL = "k8s-airflow-publish.json"
_LOCK = "k8s-airflow-publish.lock"
_INDEX = "k8s-airflow-publish.index"
_HELD = "k8s-airflow-publish.held"
_SECONDS = 60
_LOCKED = "{} exists: another git process is at work, or was killed; delete the file if none is"


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
        Refused: when a file was edited meanwhile, or it cannot be finished.
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
    _clear(git, step)
    begun = git.head() == step.branch and git.commit("HEAD") == step.old and git.commit(step.new) is not None
    if begun:
        _refuse_dirty(git, told, step, begun=True)
        with _told(
            told, "what a stopped publish has begun cannot be finished", "Mend what git says above, then publish again."
        ):
            _bring(git, step)
            git.move(step.branch, step.new, step.old, "finished")
    # Else the branch has moved: by us, then all is done; or by somebody else, then files that were left are looked at like any.
    journal.unlink()
    return begun


def apply(git: Git, told: str, step: Step, why: str) -> None:
    """Bring the work tree and its index to a commit, and let the branch have it.

    Raises:
        Refused: when that would take something that was not committed, or cannot be done; all is as it was then.
    """
    if (lock := git.path("index").with_name("index.lock")).exists():
        raise refuse("publish-git", told, f"{_LOCKED.format(lock)}.", "Then publish again.")
    _refuse_dirty(git, told, step, begun=False)
    if git.head() != step.branch or git.commit("HEAD") != step.old:
        raise refuse("publish-moved", told, "something else was checked out there meanwhile.", "Publish again.")
    journal = git.path(_JOURNAL)
    # Moved to its place when whole.
    half = journal.with_suffix(".half")
    with _told(told, "the commit could not be made", "Mend that, then publish again: nothing has changed."):
        half.write_text(json.dumps(asdict(step)), encoding="utf-8")
        half.replace(journal)
        try:
            _bring(git, step)
            git.move(step.branch, step.new, step.old, why)
        except (Failed, OSError):
            _undo(git, step)
            journal.unlink()
            raise
    journal.unlink()


@contextlib.contextmanager
def _told(told: str, what: str, mend: str) -> Iterator[None]:
    """Turns what git or the disk refuses into words."""
    try:
        yield
    except Failed as reason:
        raise failed(told, what, reason, mend) from None
    except OSError as reason:
        where = f" ({reason.filename})" if reason.filename else ""
        raise refuse("publish-git", told, f"{what}: {reason.strerror or reason}{where}.", mend) from None


def _bring(git: Git, step: Step) -> None:
    """Files and index to the new commit; what may want room or rights is done before the first file is replaced."""
    now = git.entries(step.new)
    contents = git.contents(now[path].id for path in step.ours if path in now)
    replaced = [path for path in step.ours if path in now and not _has(git.folder / path, contents[now[path].id])]
    for path in replaced:
        _prepare(git.folder / path, contents[now[path].id])
    with _index(git, {path: now.get(path) for path in step.ours}, step):
        for path in replaced:
            _temporary(git.folder / path).replace(git.folder / path)
        for path in step.ours:
            if path not in now:
                _remove(git.folder, path)
    if _others(git, step):
        git.run("read-tree", "-m", "-u", _tree(git, step), step.new)


def _undo(git: Git, step: Step) -> None:
    """Files and index as they were; as far as the disk lets it."""
    before = git.entries(step.old)
    _clear(git, step)
    with contextlib.suppress(Failed, OSError):
        if _others(git, step):
            git.run("read-tree", "-m", "-u", step.new, _tree(git, step))
    with contextlib.suppress(Failed, OSError):
        contents = git.contents(before[path].id for path in step.ours if path in before)
        for path in step.ours:
            if path not in before:
                _remove(git.folder, path)
            elif before[path].mode != LINK and not _has(git.folder / path, contents[before[path].id]):
                _prepare(git.folder / path, contents[before[path].id])
                _temporary(git.folder / path).replace(git.folder / path)
        with _index(git, {path: before.get(path) for path in step.ours}, step):
            pass
    _clear(git, step)


def _tree(git: Git, step: Step) -> str:
    """The old commit, or the empty tree."""
    return step.old or git.run("hash-object", "-t", "tree", "-w", "--stdin").decode().strip()


def _differ(git: Git, step: Step) -> list[str]:
    """Paths that differ between the two commits."""
    before, now = git.entries(step.old), git.entries(step.new)
    return [path for path in {**before, **now} if before.get(path) != now.get(path)]


def _others(git: Git, step: Step) -> list[str]:
    """Those of them that others have committed meanwhile, which git brings."""
    ours = set(step.ours)
    return [path for path in _differ(git, step) if path not in ours]


# --- files


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.name[:200]}.k8s-airflow")


def _has(path: Path, content: bytes) -> bool:
    """Whether a path is a file with this content."""
    try:
        return stat.S_ISREG(path.lstat().st_mode) and path.read_bytes() == content
    except OSError:
        return False


def _prepare(path: Path, content: bytes) -> None:
    """A file beside another that can take its place in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    made = _temporary(path)
    made.unlink(missing_ok=True)
    made.write_bytes(content)
    if not path.is_symlink() and path.is_file():
        shutil.copymode(path, made)


def _remove(top: Path, path: str) -> None:
    """A file gone, and the folders that it leaves empty, as git does."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        (top / path).unlink()
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
        with contextlib.suppress(OSError):
            _temporary(git.folder / path).unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        git.path(_INDEX).unlink(missing_ok=True)


# --- the index


@contextlib.contextmanager
def _index(git: Git, entries: Mapping[str, Entry | None], step: Step) -> Iterator[None]:
    """An index with these entries, made before the block and put in place after it.

    Git's own lock is held meanwhile; it is known to be ours when this process is killed.
    """
    index = git.path("index")
    with _held(git, index.with_name("index.lock")):
        made = _copied(git, entries, step)
        yield
        made.replace(index)
    with contextlib.suppress(Failed):  # says which files differ
        git.run("update-index", "-q", "--refresh")


def _copied(git: Git, entries: Mapping[str, Entry | None], step: Step) -> Path:
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
def _held(git: Git, lock: Path) -> Iterator[None]:
    held = git.path(_HELD)
    held.touch()
    try:
        os.link(held, lock)
    except FileExistsError:
        held.unlink()
        raise Failed(_LOCKED.format(lock)) from None
    except OSError as exc:
        if exc.errno not in (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK):
            raise
        # A disk without links: the same lock, but nobody could say whose it is after a kill.
        os.close(os.open(lock, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    try:
        yield
    finally:
        lock.unlink()
        held.unlink()


def _unlock(git: Git) -> None:
    """Take away the lock of git's index when a killed publisher has left it; nobody else's."""
    held, lock = git.path(_HELD), git.path("index").with_name("index.lock")
    with contextlib.suppress(FileNotFoundError):
        if held.samefile(lock):
            lock.unlink()
    held.unlink(missing_ok=True)


# --- what was not committed


def _refuse_dirty(git: Git, told: str, step: Step, *, begun: bool) -> None:
    """Refuse when anything would be lost: a file or an index entry that is neither as the old commit has it nor as the new one has it."""
    before, now = git.entries(step.old), git.entries(step.new)
    if git.text("ls-files", "--unmerged"):
        raise refuse("publish-dirty", told, "has conflicts that are not resolved.", "Resolve them, then publish again.")
    listed = _listed(git)
    dirty = [
        path
        for path in step.ours
        if listed.get(path, (None, False))[0] not in (before.get(path), now.get(path))
        or not _harmless(
            git, path, before.get(path), now.get(path), absent=listed.get(path, (None, False))[1], begun=begun
        )
    ]
    others = _others(git, step)
    dirty += [path for path in others if path in now and _leads_out(git.folder, path)]
    if others and not begun:
        dirty += _changed(git, others)
    dirty += [path for path in step.ours if path in now and _leads_out(git.folder, path)]
    if others and not dirty:
        _rehearse(git, told, step)
    if dirty:
        names = list(dict.fromkeys(dirty))
        more = f" and {len(names) - 5} more" if len(names) > 5 else ""
        if begun:
            why = "was edited since a publish there was stopped: "
            mend = f"Undo it (git -C {told} checkout HEAD -- FILE), then publish again."
        else:
            why = "has changes of yours that are not committed in what would be published: "
            mend = "Commit, stash or undo them, then publish again."
        raise refuse("publish-dirty", told, f"{why}{', '.join(names[:5])}{more}.", mend)


def _rehearse(git: Git, told: str, step: Step) -> None:
    """Ask git whether it could bring what others have pushed, once our own files are there."""
    now = git.entries(step.new)
    made = _copied(git, {path: now[path] for path in step.ours if path in now}, step)
    try:
        with contextlib.suppress(Failed):  # says which files differ
            git.run("update-index", "-q", "--refresh", index=made)
        git.run("read-tree", "-m", "-u", "-n", _tree(git, step), step.new, index=made)
    except Failed as reason:
        mend = "Commit, stash or undo what is in the way, or bring the branch up to date by hand; then publish again."
        raise failed(told, "what others have pushed cannot be brought into the work tree", reason, mend) from None
    finally:
        made.unlink(missing_ok=True)


def _listed(git: Git) -> dict[str, tuple[Entry, bool]]:
    """The index: entry of each path, and whether its file may be absent (sparse checkouts)."""
    found = {}
    for line in os.fsdecode(git.run("ls-files", "--stage", "-t", "-z")).split("\0")[:-1]:
        head, _, path = line.partition("\t")
        tag, mode, name, _ = head.split(" ")
        found[path] = (Entry(mode, name), tag == "S")
    return found


def _harmless(git: Git, path: str, before: Entry | None, now: Entry | None, *, absent: bool, begun: bool) -> bool:
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


def _name(git: Git, content: bytes, path: str | None = None) -> str | None:
    """The object that a content would be, when it goes through the filters of a path, or through none."""
    option = "--no-filters" if path is None else f"--path={path}"
    try:
        return git.run("hash-object", option, "--stdin", stdin=content).decode().strip()
    except Failed:  # a filter that does not work here
        return None


def _changed(git: Git, paths: Sequence[str]) -> Iterable[str]:
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
