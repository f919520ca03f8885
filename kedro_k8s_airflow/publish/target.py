"""A target: a repository, a branch of it, and what to publish on by now. How it was found is the business of `open_target.py`.

Everything is decided from commits, never from the files of a work tree. With a push the remote is asked first, so that one publishes on what is
there by now.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kedro_k8s_airflow.findings import refuse
from kedro_k8s_airflow.locations import Location
from kedro_k8s_airflow.publish.git import mask_credentials
from kedro_k8s_airflow.text import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from kedro_k8s_airflow.publish.git import Git

    # Whether all that changed between two commits was published from here.
    OwnChangesCheck = Callable[[str, str], bool]

# What git calls work of the user's that has not ended: files in its folder.
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
    """What to publish on.

    Attributes:
        local: the commit that the local branch names, or None when there is none (yet).
        latest: the last commit of the branch, local or remote; None when it does not exist.
        start: the commit whose files are the state before; None in an empty repository.
        parents: of the commit that will be made.
        base: a commit that the branch lacks, when the two have gone apart.
        pushed: the commit that the remote's branch names.
    """

    local: str | None = None
    latest: str | None = None
    start: str | None = None
    parents: tuple[str, ...] = ()
    base: str | None = None
    pushed: str | None = None


@dataclass(frozen=True, kw_only=True)
class PublishTarget:
    """A repository, and a branch of it that is published to.

    Attributes:
        git: the repository on this machine.
        display_name: how the user names it, without what may be secret in an address.
        branch: None for a detached head.
        base: the branch that a new one begins at, where one is named.
        follows_base: whether a branch that exists is brought to its base, as when somebody has named that.
        remote: what is asked and pushed to: its name, or an address; None when there is none or it is not needed.
        work_tree: top of the work tree that shows the branch, or None when none does here.
        is_clone: whether the repository is one for the moment.
        fetches_remote: whether the remote is asked.
        dry_run: whether nothing of the repository may change.
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
        """The branch, for people."""
        return "the detached head" if self.branch is None else f"branch {self.branch}"

    def find_tip(self, owner: tuple[str, str | None], has_only_own_changes: OwnChangesCheck) -> BranchTip:
        """What to publish on by now.

        Args:
            owner: project and environment, whose own commits are made again where they were not pushed.
            has_only_own_changes: says whether two commits differ in nothing else than what these have published.

        Raises:
            Refused: when branches cannot be brought together, or there is no such base.
            GitError: when git does.
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
        # A branch that shows its files is never led anywhere.
        base = None if self.work_tree is not None and latest is not None else requested_base
        if latest is not None and base is not None and pushed is None and self.fetches_remote:
            since = git.query_text("merge-base", latest, base)
            if since == latest or (
                since is not None
                and self._is_published_by(since, latest, owner)
                and has_only_own_changes(since, latest)
            ):
                latest = None  # the remote has it no more, as after a merge: it begins anew
        if latest is None:
            base = base or (self._find_base(remote_branches) if self.work_tree is None else None)
            return BranchTip(local=local, start=base, parents=(base,) if base else (), pushed=pushed)
        if base is None or base == latest or git.is_ancestor(base, latest):
            return BranchTip(local=local, latest=latest, start=latest, parents=(latest,), pushed=pushed)
        if git.is_ancestor(latest, base):
            return BranchTip(local=local, latest=latest, start=base, parents=(base,), pushed=pushed)
        return BranchTip(local=local, latest=latest, start=latest, parents=(latest,), base=base, pushed=pushed)

    def refuse_in_use(self) -> None:
        """Refuse a branch that would change under somebody: of another work tree, of a rebase, of work that has not ended.

        Raises:
            Refused: saying which.
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
                    "publish-dirty", Location(subject=self.display_name), message, "End it, then publish again."
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
                        f"branch {self.branch} was checked out there meanwhile.",
                        "Publish again.",
                    )
                raise refuse(
                    "publish-branch",
                    Location(subject=self.display_name),
                    message,
                    f"Publish there (--to {path}), or to another branch.",
                )
        for name in ("rebase-merge", "rebase-apply"):
            with contextlib.suppress(OSError):
                if os.fsdecode((self.git.git_path(name) / "head-name").read_bytes()).strip() == reference:
                    message = f"is in the middle of a rebase of {self.branch}."
                    raise refuse(
                        "publish-dirty", Location(subject=self.display_name), message, "End it, then publish again."
                    )

    def _fetch(self, local: str | None, pushed: str | None, remote_base: str | None) -> None:
        """Bring what is not here, with the history where two commits have to be compared."""
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
        """The later of the local branch and that of the remote."""
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
            f"{self.branch_label} has commits that {mask_credentials(str(self.remote))} lacks, and the other way round.",
            f"Rebase it (check out {self.branch_label} in {self.display_name} and run git pull --rebase), or delete "
            f"{self.branch_label} there if everything on it was published from here; then publish again.",
        )

    def _is_published_by(self, since: str, until: str, owner: tuple[str, str | None]) -> bool:
        """Whether all commits of a range say that this project has published them."""
        form = "--format=%(trailers:key=Kedro-Project,valueonly,separator=%x2C)/%(trailers:key=Kedro-Env,valueonly,separator=%x2C)"
        lines = self.git.run_text("log", form, f"{since}..{until}").splitlines()
        return bool(lines) and set(lines) == {f"{owner[0]}/{one_line(owner[1] or '')}"}

    def _find_base(self, remote_branches: Mapping[str, str]) -> str | None:
        """The commit that a new branch begins at; None in an empty repository."""
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
            f"there is no branch {self.base!r} to begin at.",
            f"It has {', '.join(sorted(names)[:10])}.",
        )
