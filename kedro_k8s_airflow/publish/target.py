"""A publish target: a repository and a branch, and the commit to publish on. `open_target.py` opens targets.

Everything is decided from commits, never from the files of a work tree. With a push the remote is read first.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kedro_k8s_airflow.findings import refuse
from kedro_k8s_airflow.locations import Location
from kedro_k8s_airflow.publish.git import mask_credentials
from kedro_k8s_airflow.text import first_names, one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from kedro_k8s_airflow.publish.git import Git

    # Checks whether two commits differ only in files that this project has published.
    OwnChangesCheck = Callable[[str, str], bool]

MAX_BRANCHES = 10
# Files in git's folder that show an unfinished operation.
_UNFINISHED_OPERATIONS = {
    "MERGE_HEAD": "merge",
    "CHERRY_PICK_HEAD": "cherry-pick",
    "REVERT_HEAD": "revert",
    "BISECT_START": "bisect",
    "rebase-merge": "rebase",
    "rebase-apply": "rebase",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class BranchTip:
    """The commit to publish on.

    Attributes:
        local: commit of the local branch; None if there is none.
        latest: the later commit of the local and the remote branch; None if the branch does not exist.
        start: the commit whose files are compared with; None in an empty repository.
        parents: parents of the new commit.
        base: commit of the base, if it has diverged from the branch.
        pushed: commit of the remote branch.
    """

    local: str | None = None
    latest: str | None = None
    start: str | None = None
    parents: tuple[str, ...] = ()
    base: str | None = None
    pushed: str | None = None


@dataclass(frozen=True, kw_only=True)
class PublishTarget:
    """A repository, and the branch to publish to.

    Attributes:
        git: the repository on this machine.
        display_name: the repository as the user names it, without credentials.
        branch: None for a detached HEAD.
        base: the branch that a new branch starts from, if one is named.
        follows_base: whether an existing branch is brought up to date with its base.
        remote: name or address of the remote; None if there is none or it is not needed.
        work_tree: top of the work tree where the branch is checked out, if any.
        is_clone: whether the repository is a temporary clone.
        fetches_remote: whether the remote is read.
        dry_run: whether the repository must not change.
    """

    git: Git
    display_name: str
    branch: str | None
    base: str | None
    follows_base: bool
    remote: str | None
    work_tree: Path | None = None
    is_clone: bool = False
    fetches_remote: bool = False
    dry_run: bool = False

    @property
    def branch_label(self) -> str:
        """Return the branch, for messages."""
        return "the detached HEAD" if self.branch is None else f"branch {self.branch}"

    def find_tip(self, owner: tuple[str, str | None], has_only_own_changes: OwnChangesCheck) -> BranchTip:
        """Return the commit to publish on.

        Args:
            owner: project and environment, whose unpushed commits may be recreated.
            has_only_own_changes: checks whether two commits differ only in files that the owner has published.

        Raises:
            Refused: the branches have diverged, or the base does not exist.
            GitError: git fails.
        """
        git = self.git
        local = (
            None
            if self.is_clone
            else git.resolve_commit("HEAD" if self.branch is None else f"refs/heads/{self.branch}")
        )
        remote_branches = (
            git.list_remote_branches(self.remote)[1] if self.fetches_remote and self.remote is not None else {}
        )
        pushed = remote_branches.get(self.branch or "")
        remote_base = remote_branches.get(self.base or "") if self.branch != self.base else None
        self._fetch(local, pushed, remote_base)
        latest = self._find_latest(local, pushed, owner, has_only_own_changes)
        requested_base = (
            (remote_base or self._find_base(remote_branches))
            if self.follows_base and self.branch != self.base
            else None
        )
        # A branch that is checked out is never merged with a base.
        base = None if self.work_tree is not None and latest is not None else requested_base
        if latest is not None and base is not None and pushed is None and self.fetches_remote:
            since = git.query_text("merge-base", latest, base)
            if since == latest or (
                since is not None
                and self._is_published_by(since, latest, owner)
                and has_only_own_changes(since, latest)
            ):
                latest = None  # deleted on the remote, as after a merge: start again from the base
        if latest is None:
            base = base or (self._find_base(remote_branches) if self.work_tree is None else None)
            return BranchTip(local=local, start=base, parents=(base,) if base else (), pushed=pushed)
        if base is None or base == latest or git.is_ancestor(base, latest):
            return BranchTip(local=local, latest=latest, start=latest, parents=(latest,), pushed=pushed)
        if git.is_ancestor(latest, base):
            return BranchTip(local=local, latest=latest, start=base, parents=(base,), pushed=pushed)
        return BranchTip(local=local, latest=latest, start=latest, parents=(latest,), base=base, pushed=pushed)

    def refuse_in_use(self) -> None:
        """Check that no other work tree and no unfinished git operation uses the branch.

        Raises:
            Refused: naming the work tree or the operation.
        """
        if self.is_clone:
            return
        if self.work_tree is not None:
            operations = [
                operation for name, operation in _UNFINISHED_OPERATIONS.items() if self.git.git_path(name).exists()
            ]
            if operations:
                message = f"is in the middle of a {operations[0]}."
                raise refuse(
                    "publish-dirty",
                    Location(subject=self.display_name),
                    message,
                    "Finish or abort it, then publish again.",
                )
            return
        reference = f"refs/heads/{self.branch}"
        for block in self.git.run_text("worktree", "list", "--porcelain").split("\n\n"):
            lines = block.splitlines()
            if f"branch {reference}" in lines:
                path = lines[0].removeprefix("worktree ")
                message = f"branch {self.branch} is checked out in another work tree, {path}."
                if os.path.realpath(path) == os.path.realpath(self.git.folder):
                    raise refuse(
                        "publish-moved",
                        Location(subject=self.display_name),
                        f"branch {self.branch} was checked out during the publish.",
                        "Publish again.",
                    )
                raise refuse(
                    "publish-branch",
                    Location(subject=self.display_name),
                    message,
                    f"Publish to that work tree (--to {path}), or to another branch.",
                )
        for name in ("rebase-merge", "rebase-apply"):
            with contextlib.suppress(OSError):
                if os.fsdecode((self.git.git_path(name) / "head-name").read_bytes()).strip() == reference:
                    message = f"is in the middle of a rebase of {self.branch}."
                    raise refuse(
                        "publish-dirty",
                        Location(subject=self.display_name),
                        message,
                        "Finish or abort it, then publish again.",
                    )

    def _fetch(self, local: str | None, pushed: str | None, remote_base: str | None) -> None:
        """Fetch missing commits, with their history where two commits have to be compared."""
        if self.remote is None or not self.fetches_remote:
            return
        is_single_commit = len({commit for commit in (local, pushed, remote_base) if commit}) < 2
        commits_by_branch = {
            name: commit for name, commit in ((self.branch, pushed), (self.base, remote_base)) if name and commit
        }
        missing = [commit for commit in commits_by_branch.values() if self.git.resolve_commit(commit) is None]
        shallow = self.git.run_text("rev-parse", "--is-shallow-repository") == "true"
        if missing or (shallow and not is_single_commit and commits_by_branch and not self.dry_run):
            self.git.fetch(
                self.remote, commits_by_branch, shallow=self.is_clone and is_single_commit, objects_only=self.dry_run
            )

    def _find_latest(
        self,
        local: str | None,
        pushed: str | None,
        owner: tuple[str, str | None],
        has_only_own_changes: OwnChangesCheck,
    ) -> str | None:
        """Return the later commit of the local and the remote branch."""
        if local is None or pushed is None or local == pushed:
            return local or pushed
        if self.git.is_ancestor(local, pushed):
            return pushed
        if self.git.is_ancestor(pushed, local):
            return local
        since = self.git.query_text("merge-base", pushed, local)
        if since is not None and self._is_published_by(pushed, local, owner) and has_only_own_changes(since, local):
            return pushed
        raise refuse(
            "publish-diverged",
            Location(subject=self.display_name),
            f"{self.branch_label} and that of {mask_credentials(str(self.remote))} have diverged.",
            f"Rebase the local branch (check out {self.branch_label} in {self.display_name} and run git pull --rebase), or "
            "delete it if it has only published commits. Then publish again.",
        )

    def _is_published_by(self, since: str, until: str, owner: tuple[str, str | None]) -> bool:
        """Check whether the trailers of all commits in a range name this project and environment."""
        form = "--format=%(trailers:key=Kedro-Project,valueonly,separator=%x2C)/%(trailers:key=Kedro-Env,valueonly,separator=%x2C)"
        lines = self.git.run_text("log", form, f"{since}..{until}").splitlines()
        return bool(lines) and set(lines) == {f"{owner[0]}/{one_line(owner[1] or '')}"}

    def _find_base(self, remote_branches: Mapping[str, str]) -> str | None:
        """Return the commit that a new branch starts from; None in an empty repository."""
        if self.base is None:
            return None if self.is_clone else self.git.resolve_commit("HEAD")
        names = set(remote_branches)
        if not self.is_clone:
            commit = self.git.find_branch_commit(self.base)
            if commit is not None:
                return commit
            names |= self.git.list_branches()
        if not names:
            return None
        raise refuse(
            "publish-branch",
            Location(subject=self.display_name),
            f"has no branch {self.base!r} to start from.",
            f"Existing branches: {first_names(sorted(names), MAX_BRANCHES)}.",
        )
