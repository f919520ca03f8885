"""A stand-in for git-sync v4, by which Airflow's pods read a repository of DAGs: a new work tree for each commit, and a link that is swapped.

    with GitSync("file:///somewhere/dags.git", tmp_path / "git-sync") as sync:
        airflow = Airflow(..., dags=sync.link / "dags")
        ...
        sync.wait(commit)                # the link shows that commit

As git-sync does (``main.go``: SyncRepo, createWorktree, configureWorktree, publishSymlink, cleanup):

- one repository in ``root``; ``git fetch <source> <ref> --depth 1`` in every period;
- for a new commit ``git worktree add --detach --no-checkout`` at ``root/.worktrees/<sha>`` with a relative ``.git`` file, and
  ``git reset --hard`` in it, so that all its files, changed or not, are new inodes with the time of the sync;
- ``root/<link>`` is a relative symbolic link, replaced by renaming ``root/tmp-link`` over it: readers of a path through the link
  have the old files or the new, and one that is inside a folder by then is in the old;
- at once afterwards the old work tree is deleted with whatever others wrote into it (bytecode of DAG files), and pruned
  (``--stale-worktree-timeout=0``, the default).

Not done: credentials, submodules, sparse checkouts, hooks, webhooks, touch files, metrics, ``git gc``, file modes for other
users, checks and repairs of a broken ``root``. Its period is 10 s by default, ours shorter; where it tries again, this one ends,
and `wait` says why. Airflow has git-sync's volume read-only; here the two share a folder that both can write.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import threading
from typing import TYPE_CHECKING

from tests.support.airflow_harness.harness import wait_for

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from typing_extensions import Self


class GitSync:
    """What a reader of a repository sees of it, kept up to date while the block lasts."""

    def __init__(self, source: str, root: Path, *, ref: str = "main", period: float = 0.5) -> None:
        """Nothing is there before the first `sync`.

        Args:
            source: address of the repository.
            root: folder for all of it; made.
            ref: the branch that is followed.
            period: seconds between two looks at it.
        """
        self.source = source
        self.root = root.resolve()
        self.ref = ref
        self.period = period
        self.link = self.root / "current"
        self._ended = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._loop, name="git-sync", daemon=True)

    def __enter__(self) -> Self:
        self.sync()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join(30)

    @property
    def commit(self) -> str | None:
        """The commit that readers see."""
        return self.link.readlink().name if self.link.is_symlink() else None

    def sync(self) -> bool:
        """Look at the source once; whether readers see something else now."""
        if not (self.root / ".git").exists():
            self.root.mkdir(parents=True, exist_ok=True)
            self._git("init", "--quiet", "--initial-branch=git-sync")
        self._git("fetch", "--quiet", self.source, self.ref, "--prune", "--no-auto-gc", "--depth=1")
        new, old = self._git("rev-parse", "FETCH_HEAD^{}").strip(), self.commit
        if new == old:
            return False
        self._git("reset", "--soft", new)
        self._swap(self._work_tree(new))
        if old is not None:
            shutil.rmtree(self._folder(old), ignore_errors=True)
            self._git("worktree", "prune")
        return True

    def wait(self, commit: str, seconds: float = 30) -> None:
        """Until readers see a commit."""

        def get() -> bool | None:
            if self._error is not None:
                raise AssertionError(f"git-sync has ended: {self._error}") from self._error
            return True if self.commit == commit else None

        wait_for(get, seconds, lambda: f"git-sync shows {self.commit}, not {commit}", interval=0.1)

    def _loop(self) -> None:
        while not self._ended.wait(self.period):
            try:
                self.sync()
            except (AssertionError, OSError) as error:
                self._error = error
                return

    def _folder(self, commit: str) -> Path:
        return self.root / ".worktrees" / commit

    def _work_tree(self, commit: str) -> Path:
        """A new work tree with the files of a commit."""
        folder = self._folder(commit)
        if folder.exists():
            shutil.rmtree(folder)
            self._git("worktree", "prune")
        self._git("worktree", "add", "--force", "--detach", str(folder), commit, "--no-checkout")
        # So that the folder may be mounted elsewhere.
        (folder / ".git").write_text(f"gitdir: ../../.git/worktrees/{commit}\n")
        self._git("reset", "--quiet", "--hard", commit, "--", folder=folder)
        return folder

    def _swap(self, folder: Path) -> None:
        """Let readers see a work tree, from one moment to the next."""
        temporary = self.root / "tmp-link"
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
        temporary.symlink_to(os.path.relpath(folder, self.root))
        temporary.rename(self.link)

    def _git(self, *arguments: str, folder: Path | None = None) -> str:
        result = subprocess.run(
            ["git", *arguments], cwd=folder or self.root, capture_output=True, text=True, check=False
        )
        assert result.returncode == 0, f"git {' '.join(arguments)}: {result.stderr[-2000:]}"
        return result.stdout
