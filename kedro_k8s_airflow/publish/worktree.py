"""A work tree that shows the branch: brought to the new commit before the branch moves, or left as it was.

The commit is one step, the move of the branch, and the last one: until then nobody who reads the branch (a clone, git-sync, a bundle) sees
anything. A work tree cannot be changed in one step. So a journal is written into the repository's own folder first, each file is replaced as a
whole, what fails on the way is undone, and who finds the journal of a killed process finishes what it says.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import stat
from dataclasses import asdict
from typing import TYPE_CHECKING

from kedro_k8s_airflow import names
from kedro_k8s_airflow.findings import refuse
from kedro_k8s_airflow.publish import dirty_check, git_index
from kedro_k8s_airflow.publish.git import EXECUTABLE, LINK, GitError, refuse_git
from kedro_k8s_airflow.publish.git_index import BranchUpdate

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from kedro_k8s_airflow.publish.git import Git

_JOURNAL = "k8s-airflow-publish.json"
_LOCK = "k8s-airflow-publish.lock"
_SECONDS = 60


@contextlib.contextmanager
def lock_worktree(git: Git, told: str) -> Iterator[None]:
    """One publisher at a time in a repository; the lock goes with the process that has it.

    Raises:
        Refused: when another has it for a minute.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(git.folder / git.text("rev-parse", "--git-common-dir") / _LOCK)
    with _told(told, "it cannot be locked", "Mend that, then publish again."):
        try:
            lock.acquire(timeout=_SECONDS)
        except Timeout:
            message = f"is being published to by another process, for {_SECONDS} s by now."
            raise refuse("publish-moved", told, message, "Publish again when it has ended.") from None
    try:
        yield
    finally:
        lock.release()


def recover_worktree(git: Git, told: str) -> bool:
    """Finish what a killed process has begun; whether there was anything to finish.

    Raises:
        Refused: when a file was edited meanwhile, or it cannot be finished.
    """
    git_index.unlock(git)
    journal = git.path(_JOURNAL)
    try:
        step = BranchUpdate(**json.loads(journal.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return False
    except (ValueError, TypeError):
        journal.unlink()  # killed before it was whole, so nothing had begun
        return False
    _clear(git, step)
    here = git.ask("ls-tree", "-r", step.new) is not None
    begun = here and git.head() == step.branch and git.commit("HEAD") == step.old
    if begun:
        with contextlib.suppress(GitError, OSError):
            _put_back(git, step)
        dirty_check.refuse_dirty(git, told, step, begun=True)
        with _told(
            told, "what a stopped publish has begun cannot be finished", "Mend what git says above, then publish again."
        ):
            _bring(git, step, {})
            git.move(step.branch, step.new, step.old, "finished")
    # Else the branch has moved: by us, then all is done; or by somebody else, then files that were left are looked at like any.
    journal.unlink()
    return begun


def apply_update(git: Git, told: str, step: BranchUpdate, message: str) -> None:
    """Bring the work tree and its index to a commit, and let the branch have it.

    Raises:
        Refused: when that would take something that was not committed, or cannot be done; all is as it was then.
    """
    if (why_not := git_index.is_blocked(git)) is not None:
        raise refuse("publish-git", told, f"{why_not}.", "Then publish again.")
    dirty_check.refuse_dirty(git, told, step, begun=False)
    if git.head() != step.branch or git.commit("HEAD") != step.old:
        raise refuse("publish-moved", told, "something else was checked out there meanwhile.", "Publish again.")
    journal = git.path(_JOURNAL)
    # Moved to its place when whole.
    half = journal.with_suffix(".half")
    with _told(told, "the commit could not be made", "Mend that, then publish again: nothing has changed."):
        half.write_text(json.dumps(asdict(step)), encoding="utf-8")
        half.replace(journal)
    kept = git_index.content(git)
    done: dict[str, bool] = {}
    try:
        _bring(git, step, done)
        git.move(step.branch, step.new, step.old, message)
    except BaseException as exc:
        # Ctrl-C, too. A git that was killed may have moved the branch before.
        head = git.commit("HEAD")
        moved = head == step.new and git.head() == step.branch
        known = head is not None or step.old is None
        undone = known and not moved and _undo(git, step, done, kept)
        if undone or moved:
            journal.unlink()
        if moved and isinstance(exc, GitError):
            return
        help_text = "Mend that, then publish again: "
        help_text += "nothing has changed." if undone else "it finishes what was begun; leave the files as they are."
        if isinstance(exc, GitError | OSError):
            with _told(told, "the commit could not be made", help_text):
                raise
        raise
    journal.unlink()


@contextlib.contextmanager
def _told(told: str, what: str, help_text: str) -> Iterator[None]:
    """Turns what git or the disk refuses into words."""
    try:
        yield
    except GitError as reason:
        raise refuse_git(told, what, reason, help_text) from None
    except OSError as reason:
        where = f" ({reason.filename})" if reason.filename else ""
        raise refuse("publish-git", told, f"{what}: {reason.strerror or reason}{where}.", help_text) from None


def _bring(git: Git, step: BranchUpdate, done: dict[str, bool]) -> None:
    """Files and index to the new commit; what may want room or rights is done before the first file is replaced.

    Args:
        git: the repository.
        step: what is brought where.
        done: gets each path of ours that is replaced or removed, and whether there was anything before.
    """
    now = git.entries(step.new)
    contents = git.contents(now[path].id for path in step.ours if path in now)
    replaced = [path for path in step.ours if path in now and not _has(git.folder / path, contents[now[path].id])]
    for path in replaced:
        _prepare(git.folder / path, contents[now[path].id], now[path].mode)
    with git_index.replace_index(git, {path: now.get(path) for path in step.ours}, step) as made:
        for path in replaced:
            done[path] = os.path.lexists(git.folder / path)
            _temporary(git.folder / path).replace(git.folder / path)
        for path in step.ours:
            if path not in now:
                done[path] = os.path.lexists(git.folder / path)
                _remove(git.folder, path)
        if git_index.other_entries(git, step):
            # On the copy, so that a git that is killed leaves no lock of its own in the way.
            git_index.refresh(git, made)
            git.run("read-tree", "-m", "-u", git_index.write_tree(git, step), step.new, index=made)


def _undo(git: Git, step: BranchUpdate, done: Mapping[str, bool], kept: bytes | None) -> bool:
    """Files and index as they were; whether that could be done.

    Args:
        git: the repository.
        step: what was being brought where.
        done: paths of ours that are replaced or removed by now, and whether there was anything before.
        kept: the index before.
    """
    before = git.entries(step.old)
    _clear(git, step)
    try:
        contents = git.contents(before[path].id for path in done if path in before)
        for path, existed in done.items():
            file = git.folder / path
            if path not in before or not existed:
                _remove(git.folder, path)
            elif before[path].mode == LINK:
                file.unlink(missing_ok=True)
                file.symlink_to(os.fsdecode(contents[before[path].id]))
            elif not _has(file, contents[before[path].id]):
                _prepare(file, contents[before[path].id], before[path].mode)
                _temporary(file).replace(file)
        git_index.restore(git, kept)
        undone = _put_back(git, step)
    except (GitError, OSError):
        undone = False
    _clear(git, step)
    for path in step.ours:
        if path not in before:
            _prune(git.folder, path)
    return undone


def _put_back(git: Git, step: BranchUpdate) -> bool:
    """Files of others that git has brought, as the index has them; whether all could be."""
    before, now = git.entries(step.old), git.entries(step.new)
    back = []
    listed = dirty_check.list_uncommitted(git)
    for path in git_index.other_entries(git, step):
        stopped = listed.get(path, (None, False))[0] == before.get(path)
        if stopped and path in now and dirty_check.is_content(git, path, now[path]):
            if path in before:
                back.append(path)
            else:
                _remove(git.folder, path)
    if back:
        told = "".join(f"{path}\0" for path in back).encode("utf-8", "surrogateescape")
        git.run("checkout-index", "--force", "-q", "-z", "--stdin", stdin=told)
        git_index.refresh(git)
    return not list(dirty_check.changed_paths(git, back))


def _temporary(path: Path) -> Path:
    short = path.name if len(path.name) <= 200 else f"{path.name[:180]}-{names.short_hash([path.name])}"
    return path.with_name(f".{short}.k8s-airflow")


def _has(path: Path, content: bytes) -> bool:
    """Whether a path is a file with this content."""
    try:
        return stat.S_ISREG(path.lstat().st_mode) and path.read_bytes() == content
    except OSError:
        return False


def _prepare(path: Path, content: bytes, mode: str) -> None:
    """A file beside another that can take its place in one step, executable or not as git has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    made = _temporary(path)
    made.unlink(missing_ok=True)
    made.write_bytes(content)
    if not path.is_symlink() and path.is_file():
        shutil.copymode(path, made)
    rights = stat.S_IMODE(made.stat().st_mode)
    readable = (rights & 0o444) >> 2
    made.chmod(rights | readable if mode == EXECUTABLE else rights & ~0o111)


def _remove(top: Path, path: str) -> None:
    """A file gone, and the folders that it leaves empty, as git does."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        (top / path).unlink()
    _prune(top, path)


def _prune(top: Path, path: str) -> None:
    """Empty folders above a path gone."""
    for folder in (top / path).parents:
        if folder == top:
            break
        try:
            folder.rmdir()
        except OSError:
            break


def _clear(git: Git, step: BranchUpdate) -> None:
    """Files that were to be moved to their places."""
    for path in step.ours:
        with contextlib.suppress(OSError):
            _temporary(git.folder / path).unlink(missing_ok=True)
    git_index.clear(git)
