"""Update a work tree to a new commit and then move its branch, or leave both unchanged.

Moving the branch is the last step and atomic: readers of the branch (clones, git-sync, DAG bundles) see the old or the new commit. A work tree
cannot be updated atomically. A journal in git's folder therefore comes first, each file is replaced as a whole, a failure is rolled back, and the
next publish finishes the journal of a killed process.
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
from kedro_k8s_airflow.locations import Location
from kedro_k8s_airflow.publish import dirty_check, git_index
from kedro_k8s_airflow.publish.git import EXECUTABLE_MODE, LINK_MODE, GitError, refuse_git
from kedro_k8s_airflow.publish.git_index import BranchUpdate

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from kedro_k8s_airflow.publish.git import Git

_JOURNAL_FILE = "k8s-airflow-publish.json"
_LOCK_FILE = "k8s-airflow-publish.lock"
_LOCK_TIMEOUT_SECONDS = 60


@contextlib.contextmanager
def lock_repository(git: Git, display_name: str) -> Iterator[None]:
    """Hold the lock for publishing to a repository; the operating system releases it when the process ends.

    Raises:
        Refused: another process holds it for a minute.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(git.folder / git.run_text("rev-parse", "--git-common-dir") / _LOCK_FILE)
    with _refuse_errors(display_name, "cannot be locked", "Fix the cause, then publish again."):
        try:
            lock.acquire(timeout=_LOCK_TIMEOUT_SECONDS)
        except Timeout:
            message = f"is in use by another publish, which has not finished within {_LOCK_TIMEOUT_SECONDS} s."
            raise refuse(
                "publish-moved", Location(subject=display_name), message, "Publish again when it has finished."
            ) from None
    try:
        yield
    finally:
        lock.release()


def recover_interrupted_publish(git: Git, display_name: str) -> bool:
    """Finish an interrupted publish; return whether there was one.

    Raises:
        Refused: a file was edited meanwhile, or the publish cannot be finished.
    """
    git_index.release_stale_lock(git)
    journal = git.git_path(_JOURNAL_FILE)
    try:
        update = BranchUpdate(**json.loads(journal.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return False
    except (ValueError, TypeError):
        journal.unlink()  # incomplete, so nothing was changed
        return False
    _remove_temporaries(git, update)
    has_new_commit = git.query_text("ls-tree", "-r", update.new) is not None
    is_unfinished = (
        has_new_commit and git.current_branch() == update.branch and git.resolve_commit("HEAD") == update.old
    )
    if is_unfinished:
        with contextlib.suppress(GitError, OSError):
            _restore_incoming_files(git, update)
        dirty_check.refuse_dirty(git, display_name, update, resuming=True)
        with _refuse_errors(
            display_name,
            "an interrupted publish cannot be finished",
            "Fix the error that git reports above, then publish again.",
        ):
            _update_files(git, update, {})
            git.move_branch(update.branch, update.new, update.old, "finished")
    # Otherwise the branch has moved: either the publish was complete, or leftover files count as uncommitted changes.
    journal.unlink()
    return is_unfinished


def update_work_tree(git: Git, display_name: str, update: BranchUpdate, reason: str) -> None:
    """Update the work tree and its index to a commit, then move the branch.

    Raises:
        Refused: uncommitted changes would be lost, or the update fails; nothing is changed then.
    """
    if (lock_message := git_index.describe_lock(git)) is not None:
        raise refuse("publish-git", Location(subject=display_name), f"{lock_message}.", "Publish again afterwards.")
    dirty_check.refuse_dirty(git, display_name, update, resuming=False)
    if git.current_branch() != update.branch or git.resolve_commit("HEAD") != update.old:
        raise refuse(
            "publish-moved",
            Location(subject=display_name),
            "another commit was checked out during the publish.",
            "Publish again.",
        )
    journal = git.git_path(_JOURNAL_FILE)
    # Renamed when complete.
    partial = journal.with_suffix(".half")
    with _refuse_errors(
        display_name, "the commit could not be created", "Fix the cause, then publish again. Nothing has changed."
    ):
        partial.write_text(json.dumps(asdict(update)), encoding="utf-8")
        partial.replace(journal)
    old_index = git_index.read_index(git)
    touched: dict[str, bool] = {}
    try:
        _update_files(git, update, touched)
        git.move_branch(update.branch, update.new, update.old, reason)
    except BaseException as exc:
        # Includes Ctrl-C. A killed git may already have moved the branch.
        head = git.resolve_commit("HEAD")
        moved = head == update.new and git.current_branch() == update.branch
        is_head_known = head is not None or update.old is None
        undone = is_head_known and not moved and _undo_update(git, update, touched, old_index)
        if undone or moved:
            journal.unlink()
        if moved and isinstance(exc, GitError):
            return
        help_text = "Fix the cause, then publish again. "
        help_text += (
            "Nothing has changed." if undone else "Do not edit the files: the next publish finishes the update."
        )
        if isinstance(exc, GitError | OSError):
            with _refuse_errors(display_name, "the work tree could not be updated", help_text):
                raise
        raise
    journal.unlink()


@contextlib.contextmanager
def _refuse_errors(display_name: str, message: str, help_text: str) -> Iterator[None]:
    """Turn errors of git and the file system into findings."""
    try:
        yield
    except GitError as reason:
        raise refuse_git(display_name, message, reason, help_text) from None
    except OSError as reason:
        path_note = f" ({reason.filename})" if reason.filename else ""
        raise refuse(
            "publish-git",
            Location(subject=display_name),
            f"{message}: {reason.strerror or reason}{path_note}.",
            help_text,
        ) from None


def _update_files(git: Git, update: BranchUpdate, touched: dict[str, bool]) -> None:
    """Update files and index to the new commit; steps that can fail come before the first replaced file.

    Args:
        git: the repository.
        update: the update of the branch.
        touched: receives each own path that is replaced or removed, and whether it existed before.
    """
    now = git.read_entries(update.new)
    contents = git.read_contents(now[path].id for path in update.own_paths if path in now)
    to_replace = [
        path for path in update.own_paths if path in now and not _has_content(git.folder / path, contents[now[path].id])
    ]
    for path in to_replace:
        _write_temporary(git.folder / path, contents[now[path].id], now[path].mode)
    with git_index.replace_index(git, {path: now.get(path) for path in update.own_paths}, update) as index_copy:
        for path in to_replace:
            touched[path] = os.path.lexists(git.folder / path)
            _temporary_path(git.folder / path).replace(git.folder / path)
        for path in update.own_paths:
            if path not in now:
                touched[path] = os.path.lexists(git.folder / path)
                _remove_file(git.folder, path)
        if git_index.list_incoming_paths(git, update):
            # On the copy, so that a killed git leaves no lock on the index itself.
            git_index.refresh_index(git, index_copy)
            git.run("read-tree", "-m", "-u", git_index.resolve_old_tree(git, update), update.new, index=index_copy)


def _undo_update(git: Git, update: BranchUpdate, touched: Mapping[str, bool], old_index: bytes | None) -> bool:
    """Restore files and index; return whether that succeeded.

    Args:
        git: the repository.
        update: the update to undo.
        touched: own paths that were replaced or removed, and whether they existed before.
        old_index: the previous index.
    """
    before = git.read_entries(update.old)
    _remove_temporaries(git, update)
    try:
        contents = git.read_contents(before[path].id for path in touched if path in before)
        for path, existed in touched.items():
            file = git.folder / path
            if path not in before or not existed:
                _remove_file(git.folder, path)
            elif before[path].mode == LINK_MODE:
                file.unlink(missing_ok=True)
                file.symlink_to(os.fsdecode(contents[before[path].id]))
            elif not _has_content(file, contents[before[path].id]):
                _write_temporary(file, contents[before[path].id], before[path].mode)
                _temporary_path(file).replace(file)
        git_index.restore_index(git, old_index)
        undone = _restore_incoming_files(git, update)
    except (GitError, OSError):
        undone = False
    _remove_temporaries(git, update)
    for path in update.own_paths:
        if path not in before:
            _remove_empty_folders(git.folder, path)
    return undone


def _restore_incoming_files(git: Git, update: BranchUpdate) -> bool:
    """Restore files that git has updated to their state in the index; return whether that succeeded."""
    before, now = git.read_entries(update.old), git.read_entries(update.new)
    to_restore = []
    index = dirty_check.list_index(git)
    for path in git_index.list_incoming_paths(git, update):
        is_unfinished = index.get(path, (None, False))[0] == before.get(path)
        if is_unfinished and path in now and dirty_check.matches_entry(git, path, now[path]):
            if path in before:
                to_restore.append(path)
            else:
                _remove_file(git.folder, path)
    if to_restore:
        path_list = "".join(f"{path}\0" for path in to_restore).encode("utf-8", "surrogateescape")
        git.run("checkout-index", "--force", "-q", "-z", "--stdin", stdin=path_list)
        git_index.refresh_index(git)
    return not list(dirty_check.list_uncommitted_paths(git, to_restore))


def _temporary_path(path: Path) -> Path:
    short = path.name if len(path.name) <= 200 else f"{path.name[:180]}-{names.short_hash([path.name])}"
    return path.with_name(f".{short}.k8s-airflow")


def _has_content(path: Path, content: bytes) -> bool:
    """Check whether a path is a file with this content."""
    try:
        return stat.S_ISREG(path.lstat().st_mode) and path.read_bytes() == content
    except OSError:
        return False


def _write_temporary(path: Path, content: bytes, mode: str) -> None:
    """Write a file beside another that can replace it in one step, with git's executable bit."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary_path(path)
    temporary.unlink(missing_ok=True)
    temporary.write_bytes(content)
    if not path.is_symlink() and path.is_file():
        shutil.copymode(path, temporary)
    permissions = stat.S_IMODE(temporary.stat().st_mode)
    readable = (permissions & 0o444) >> 2
    temporary.chmod(permissions | readable if mode == EXECUTABLE_MODE else permissions & ~0o111)


def _remove_file(top: Path, path: str) -> None:
    """Remove a file and the folders that it leaves empty, as git does."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        (top / path).unlink()
    _remove_empty_folders(top, path)


def _remove_empty_folders(top: Path, path: str) -> None:
    """Remove the empty folders above a path."""
    for folder in (top / path).parents:
        if folder == top:
            break
        try:
            folder.rmdir()
        except OSError:
            break


def _remove_temporaries(git: Git, update: BranchUpdate) -> None:
    """Remove temporary files."""
    for path in update.own_paths:
        with contextlib.suppress(OSError):
            _temporary_path(git.folder / path).unlink(missing_ok=True)
    git_index.remove_index_copy(git)
