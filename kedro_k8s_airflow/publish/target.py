"""A target: a repository, a branch of it, and what to publish on by now. How it was found is the business of `opening.py`.

Everything is decided from commits, never from the files of a work tree. With a push the remote is asked first, so that one publishes on what is
there by now.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kedro_k8s_airflow.findings import refuse
from kedro_k8s_airflow.publish.git import mask_credentials
from kedro_k8s_airflow.text import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from kedro_k8s_airflow.publish.git import Git

    # Whether all that changed between two commits was published from here.
    Ours = Callable[[str, str], bool]

# What git calls work of the user's that has not ended: files in its folder.
_BEGUN = {
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
        told: how the user names it, without what may be secret in an address.
        branch: None for a detached head.
        base: the branch that a new one begins at, where one is named.
        leads: whether a branch that exists is brought to its base, as when somebody has named that.
        remote: what is asked and pushed to: its name, or an address; None when there is none or it is not needed.
        work: top of the work tree that shows the branch, or None when none does here.
        clone: whether the repository is one for the moment.
        fetches: whether the remote is asked.
        dry: whether nothing of the repository may change.
    """

    git: Git
    told: str
    branch: str | None
    base: str | None
    leads: bool
    remote: str | None
    work: Path | None = None
    clone: bool = False
    fetches: bool = False
    dry: bool = False

    @property
    def shown(self) -> str:
        """The branch, for people."""
        return "the detached head" if self.branch is None else f"branch {self.branch}"

    def tip(self, whose: tuple[str, str | None], ours: Ours) -> BranchTip:
        """What to publish on by now.

        Args:
            whose: project and environment, whose own commits are made again where they were not pushed.
            ours: says whether two commits differ in nothing else than what these have published.

        Raises:
            Refused: when branches cannot be brought together, or there is no such base.
            Failed: when git does.
        """
        git = self.git
        local = None if self.clone else git.commit("HEAD" if self.branch is None else f"refs/heads/{self.branch}")
        there = git.remote_branches(self.remote)[1] if self.fetches and self.remote is not None else {}
        pushed = there.get(self.branch or "")
        based = there.get(self.base or "") if self.branch != self.base else None
        self._fetch(local, pushed, based)
        latest = self._latest(local, pushed, whose, ours)
        named = (based or self._base(there)) if self.leads and self.branch != self.base else None
        # A branch that shows its files is never led anywhere.
        base = None if self.work is not None and latest is not None else named
        if latest is not None and base is not None and pushed is None and self.fetches:
            since = git.ask("merge-base", latest, base)
            if since == latest or (since is not None and self._says(since, latest, whose) and ours(since, latest)):
                latest = None  # the remote has it no more, as after a merge: it begins anew
        if latest is None:
            base = base or (self._base(there) if self.work is None else None)
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
        if self.clone:
            return
        if self.work is not None:
            found = [what for name, what in _BEGUN.items() if self.git.path(name).exists()]
            if found:
                message = f"is in the middle of a {found[0]}."
                raise refuse("publish-dirty", self.told, message, "End it, then publish again.")
            return
        reference = f"refs/heads/{self.branch}"
        for block in self.git.text("worktree", "list", "--porcelain").split("\n\n"):
            lines = block.splitlines()
            if f"branch {reference}" in lines:
                where = lines[0].removeprefix("worktree ")
                message = f"branch {self.branch} is checked out in another work tree, {where}."
                if os.path.realpath(where) == os.path.realpath(self.git.folder):
                    raise refuse(
                        "publish-moved",
                        self.told,
                        f"branch {self.branch} was checked out there meanwhile.",
                        "Publish again.",
                    )
                raise refuse(
                    "publish-branch", self.told, message, f"Publish there (--to {where}), or to another branch."
                )
        for name in ("rebase-merge", "rebase-apply"):
            with contextlib.suppress(OSError):
                if os.fsdecode((self.git.path(name) / "head-name").read_bytes()).strip() == reference:
                    message = f"is in the middle of a rebase of {self.branch}."
                    raise refuse("publish-dirty", self.told, message, "End it, then publish again.")

    def _fetch(self, local: str | None, pushed: str | None, based: str | None) -> None:
        """Bring what is not here, with the history where two commits have to be compared."""
        if self.remote is None or not self.fetches:
            return
        alone = len({commit for commit in (local, pushed, based) if commit}) < 2
        wanted = {name: commit for name, commit in ((self.branch, pushed), (self.base, based)) if name and commit}
        lacking = [commit for commit in wanted.values() if self.git.commit(commit) is None]
        shallow = self.git.text("rev-parse", "--is-shallow-repository") == "true"
        if lacking or (shallow and not alone and wanted and not self.dry):
            self.git.fetch(self.remote, wanted, shallow=self.clone and alone, dry=self.dry)

    def _latest(self, local: str | None, pushed: str | None, whose: tuple[str, str | None], ours: Ours) -> str | None:
        """The later of the local branch and that of the remote."""
        if local is None or pushed is None or local == pushed:
            return local or pushed
        if self.git.is_ancestor(local, pushed):
            return pushed
        if self.git.is_ancestor(pushed, local):
            return local
        since = self.git.ask("merge-base", pushed, local)
        if since is not None and self._says(pushed, local, whose) and ours(since, local):
            return pushed
        raise refuse(
            "publish-diverged",
            self.told,
            f"{self.shown} has commits that {mask_credentials(str(self.remote))} lacks, and the other way round.",
            f"Bring them together (in {self.told}: git pull --rebase, with {self.shown} checked out), or delete {self.shown} there if all "
            "that it has was published from here; then publish again.",
        )

    def _says(self, since: str, until: str, whose: tuple[str, str | None]) -> bool:
        """Whether all commits of a range say that this project has published them."""
        form = "--format=%(trailers:key=Kedro-Project,valueonly,separator=%x2C)/%(trailers:key=Kedro-Env,valueonly,separator=%x2C)"
        lines = self.git.text("log", form, f"{since}..{until}").splitlines()
        return bool(lines) and set(lines) == {f"{whose[0]}/{one_line(whose[1] or '')}"}

    def _base(self, there: Mapping[str, str]) -> str | None:
        """The commit that a new branch begins at; None in an empty repository."""
        if self.base is None:
            return None if self.clone else self.git.commit("HEAD")
        names = set(there)
        if not self.clone:
            found = self.git.branch(self.base)
            if found is not None:
                return found
            names |= self.git.branches()
        if not names:
            return None
        raise refuse(
            "publish-branch",
            self.told,
            f"there is no branch {self.base!r} to begin at.",
            f"It has {', '.join(sorted(names)[:10])}.",
        )
