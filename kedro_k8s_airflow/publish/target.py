"""Where to publish: a folder with a checkout, or a clone made for the moment; on which branch, and on top of which commit.

Everything is decided from commits, never from the files of a work tree. With a push the remote is asked first, so that one publishes on what is
there by now.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sys
import tempfile
import threading
import urllib.parse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kedro_k8s_airflow.findings import refuse
from kedro_k8s_airflow.overview.words import one_line
from kedro_k8s_airflow.publish.git import Failed, Git, failed, plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    # Whether all that changed between two commits was published from here.
    Ours = Callable[[str, str], bool]

_ORIGIN = "origin"
# What git calls a commit that is being made by hand, and what a user calls that.
_BEGUN = {"MERGE_HEAD": "merge", "CHERRY_PICK_HEAD": "cherry-pick", "REVERT_HEAD": "revert", "BISECT_HEAD": "bisect"}
_REBASING = ("rebase-merge", "rebase-apply")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tip:
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
class Target:
    """A repository, and a branch of it that is published to.

    Attributes:
        git: the repository on this machine.
        told: how the user names it, without what may be secret in an address.
        branch: None for a detached head.
        base: the branch that a new one begins at, where one is named.
        leads: whether a branch that exists is brought to its base, as when somebody has named that.
        remote: what is pushed to: its name, or an address; None when nothing is pushed.
        work: top of the work tree that shows the branch, or None when none does here.
        clone: whether the repository is one for the moment.
        fetches: whether the remote is asked.
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

    @property
    def shown(self) -> str:
        """The branch, for people."""
        return "the detached head" if self.branch is None else f"branch {self.branch}"

    def tip(self, whose: tuple[str, str | None], ours: Ours) -> Tip:
        """What to publish on by now.

        Args:
            whose: project and environment, whose own commits are made again where they were not pushed.
            ours: says whether two commits differ in nothing else than what these have published.

        Raises:
            Refused: when branches cannot be brought together, or there is no such base.
        """
        try:
            return self._tip(whose, ours)
        except Failed as reason:
            raise failed(self.told, "git cannot read it", reason, "See what git says above.") from None

    def _tip(self, whose: tuple[str, str | None], ours: Ours) -> Tip:
        name = "HEAD" if self.branch is None else f"refs/heads/{self.branch}"
        local = None if self.clone else self.git.commit(name)
        there = self.git.remote_branches(self.remote)[1] if self.fetches and self.remote is not None else {}
        pushed = there.get(self.branch or "")
        based = there.get(self.base or "") if self.branch != self.base else None
        self._fetch(local, pushed, based)
        latest = self._latest(local, pushed, whose, ours)
        if latest is None:
            base = None if self.work is not None else based or self._base(there)
            return Tip(start=base, parents=(base,) if base else (), pushed=pushed)
        led = self.leads and self.work is None and self.branch != self.base
        base = (based or self._base(there)) if led else None
        if base is None or base == latest or self.git.is_ancestor(base, latest):
            return Tip(local=local, latest=latest, start=latest, parents=(latest,), pushed=pushed)
        if self.git.is_ancestor(latest, base):
            return Tip(local=local, latest=latest, start=base, parents=(base,), pushed=pushed)
        return Tip(local=local, latest=latest, start=latest, parents=(latest,), base=base, pushed=pushed)

    def _fetch(self, local: str | None, pushed: str | None, based: str | None) -> None:
        """Bring what is not here, with the history where two commits have to be compared."""
        if self.remote is None or not self.fetches:
            return
        alone = len({commit for commit in (local, pushed, based) if commit}) < 2
        wanted = {name: commit for name, commit in ((self.branch, pushed), (self.base, based)) if name and commit}
        names = list(wanted)
        lacking = [name for name, commit in wanted.items() if self.git.commit(commit) is None]
        shallow = self.git.text("rev-parse", "--is-shallow-repository") == "true"
        if lacking or (shallow and not alone and names):
            self.git.fetch(self.remote, names, shallow=self.clone and alone)

    def _latest(self, local: str | None, pushed: str | None, whose: tuple[str, str | None], ours: Ours) -> str | None:
        """The later of the local branch and that of the remote."""
        if local is None or pushed is None or local == pushed:
            return local or pushed
        if self.git.is_ancestor(local, pushed):
            return pushed
        if self.git.is_ancestor(pushed, local):
            return local
        since = self.git.asked("merge-base", pushed, local)
        if since is not None and self._says(pushed, local, whose) and ours(since, local):
            return pushed
        raise refuse(
            "publish-diverged",
            self.told,
            f"{self.shown} has commits that {plain(str(self.remote))} lacks, and the other way round.",
            f"Bring them together (git -C {self.told} pull --rebase), then publish again.",
        )

    def _says(self, since: str, until: str, whose: tuple[str, str | None]) -> bool:
        """Whether all commits of a range say that this project has published them."""
        form = "--format=%(trailers:key=Kedro-Project,valueonly,separator=%x2C)/%(trailers:key=Kedro-Env,valueonly,separator=%x2C)"
        lines = self.git.text("log", form, f"{since}..{until}").splitlines()
        return bool(lines) and set(lines) == {f"{whose[0]}/{one_line(whose[1] or '')}"}

    def _base(self, there: dict[str, str]) -> str | None:
        """The commit that a new branch begins at; None in an empty repository."""
        if self.base is None:
            return None if self.clone else self.git.commit("HEAD")
        if not self.clone:
            remote = self.git.remote(None)
            names = (f"refs/heads/{self.base}", f"refs/remotes/{remote}/{self.base}")
            found = next(filter(None, map(self.git.commit, names)), None)
            if found is not None:
                return found
            there = there or dict.fromkeys(self.git.text("for-each-ref", "--format=%(refname:short)").splitlines(), "")
        if not there:
            return None
        raise refuse(
            "publish-branch",
            self.told,
            f"there is no branch {self.base!r} to begin at.",
            f"It has {', '.join(sorted(there)[:10])}.",
        )


def is_address(told: str) -> bool:
    """Whether a target is an address rather than a folder: with a scheme, or `host:path`."""
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", told):
        return True
    return bool(re.match(r"[^/\\:]{2,}:", told)) and not Path(told).exists()


@contextlib.contextmanager
def opened(told: str, *, branch: str | None, base: str | None, push: bool, dry_run: bool) -> Iterator[Target]:
    """The target that a user names.

    Args:
        told: a folder, or an address that git can clone.
        branch: to publish to; by default `base`, or what is checked out.
        base: where a new branch begins; by default what is checked out, or the remote's default branch.
        push: whether it will be pushed.
        dry_run: whether nothing will be written.

    Raises:
        Refused: when it is no repository, or there is nothing to publish to.
    """
    check_words(told, branch, base)
    if is_address(told):
        with _cloned(told, told, branch, base, push=push, dry_run=dry_run) as made:
            yield made
        return
    folder = Path(told).expanduser().absolute()
    if not folder.is_dir():
        raise refuse("publish-to", told, "is no folder.", "Clone the repository of your DAGs, or give its address.")
    git = Git(folder.resolve())
    try:
        bare = git.text("rev-parse", "--is-bare-repository") == "true"
        top = None if bare else Path(git.text("rev-parse", "--show-toplevel")).resolve()
    except Failed as reason:
        raise failed(
            told, "is no git repository that could be published to", reason, "Clone the repository of your DAGs."
        ) from None
    if top is None:
        with _cloned(told, str(folder.resolve()), branch, base, push=push, dry_run=dry_run) as made:
            yield made
        return
    if top != folder.resolve():
        if not folder.resolve().is_relative_to(top):
            raise refuse("publish-to", told, f"is not the top of its work tree, {top}.", f"Write --to {top}.")
        inside = folder.resolve().relative_to(top).as_posix()
        raise refuse(
            "publish-to", told, f"is a folder inside the repository {top}.", f"Write --to {top} --subfolder {inside}."
        )
    yield _checkout(git, told, branch, base, push=push, dry_run=dry_run)


def check_words(told: str, branch: str | None, base: str | None) -> None:
    """Refuse what can be no repository or no branch, and addresses with a password.

    Raises:
        Refused: naming it.
    """
    if told.startswith("-") or not told.isprintable() or not told.strip():
        raise refuse("publish-to", repr(told), "is neither a folder nor an address.")
    with contextlib.suppress(ValueError):  # of an address that is none, for git to say
        if "://" in told and urllib.parse.urlsplit(told).password is not None:
            raise refuse(
                "publish-password",
                "the address of the target",
                "has a password in it, which shells, logs and process lists would show.",
                "Leave it out, and let git find it: by a credential helper, GIT_ASKPASS or SSH; or check the repository out "
                "and publish to the folder.",
            )
    for option, name in (("--branch", branch), ("--base", base)):
        if name is None:
            continue
        if name.startswith("refs/"):
            short = name.removeprefix("refs/heads/")
            raise refuse(
                "publish-branch", option, f"{name!r} would be the branch refs/heads/{name}.", f"Write {short}."
            )
        odd = name.startswith("-") or name == "HEAD"  # which git's plumbing takes and `git branch` does not
        if odd or Git(Path.cwd()).asked("check-ref-format", f"refs/heads/{name}") is None:
            raise refuse("publish-branch", option, f"{name!r} can be no branch.", "See `git help check-ref-format`.")


@contextlib.contextmanager
def _cloned(
    told: str, address: str, branch: str | None, base: str | None, *, push: bool, dry_run: bool
) -> Iterator[Target]:
    """A clone without a work tree that goes when all is done; commits are fetched as they are needed."""
    if not (push or dry_run):
        why = "has no work tree on this machine, so that a commit that is not pushed would be lost."
        raise refuse("publish-to", told, why, "Add --push, or --dry-run to see what would be done.")
    shown = plain(told)
    with _temporary(shown) as folder:
        git = Git(folder)
        try:
            default, branches = git.remote_branches(address)
            if branches:
                # A repository with names of 64 digits speaks to none with names of 40.
                longer = any(len(commit) > 40 for commit in branches.values())
                git.run("init", "--quiet", "--bare", "--template=", f"--object-format={'sha256' if longer else 'sha1'}")
                git.run("remote", "add", _ORIGIN, address)
            else:
                git.run("clone", "--quiet", "--bare", "--template=", address, ".")
                default = git.head()
        except Failed as reason:
            mend = "Mend the address, or let git have the rights (SSH key, credential helper)."
            raise failed(shown, "git cannot read it", reason, mend) from None
        said, base = base, base or default or (branch if branch in branches else None)
        if base is None:
            raise refuse("publish-branch", shown, "has no default branch.", "Say which one with --base.")
        yield Target(
            git=git,
            told=shown,
            branch=branch or base,
            base=base,
            leads=said is not None,
            remote=_ORIGIN,
            clone=True,
            fetches=True,
        )


@contextlib.contextmanager
def _temporary(told: str) -> Iterator[Path]:
    """A folder that goes at the end, also when this process is told to end, as a cancelled job of CI is."""

    def end(number: int, _: object) -> None:
        sys.exit(128 + number)

    # Handlers are for the main thread to set.
    before = signal.signal(signal.SIGTERM, end) if threading.current_thread() is threading.main_thread() else None
    try:
        with tempfile.TemporaryDirectory(prefix="k8s-airflow-", ignore_cleanup_errors=True) as folder:
            yield Path(folder)
    except OSError as reason:
        why = f"cannot be cloned: {reason.strerror or reason} ({reason.filename or tempfile.gettempdir()})."
        raise refuse("publish-git", told, why, "Make room, or let TMPDIR name another folder.") from None
    finally:
        if before is not None:
            signal.signal(signal.SIGTERM, before)


def _checkout(git: Git, told: str, branch: str | None, base: str | None, *, push: bool, dry_run: bool) -> Target:
    """A folder with a work tree."""
    head = git.head()
    said = branch or base
    branch = said or head
    remotes = git.text("remote").splitlines()
    if branch is not None and branch.partition("/")[0] in remotes and "/" in branch:
        short = branch.partition("/")[2]
        why = f"{branch!r} would be a branch here beside that of the remote."
        raise refuse("publish-branch", told, why, f"Write {short}.")
    if push and branch is None:
        why = "has a detached head, so there is no branch to push."
        raise refuse("publish-branch", told, why, "Say which one with --branch.")
    remote = git.remote(branch) if push else None
    if push and remote is None:
        raise refuse("publish-remote", told, "has no remote to push to.", "Add one: git remote add origin ADDRESS.")
    follows = git.asked("config", f"branch.{branch}.merge") if push and not said else None
    if follows is not None and follows != f"refs/heads/{branch}":
        why = f"branch {branch} follows {follows.removeprefix('refs/heads/')} of {plain(str(remote))}, so it is not clear which one to push."
        raise refuse("publish-branch", told, why, "Say it with --branch.")
    shows = branch == head
    if shows:
        _refuse_begun(git, told)
    else:
        _refuse_elsewhere(git, told, str(branch))
    return Target(
        git=git,
        told=told,
        branch=branch,
        base=base,
        leads=base is not None,
        remote=remote,
        work=git.folder if shows else None,
        fetches=push and not dry_run,
    )


def _refuse_begun(git: Git, told: str) -> None:
    """A commit that is being made by hand would be mixed with ours."""
    found = [what for name, what in _BEGUN.items() if git.commit(name) is not None]
    found += ["rebase" for name in _REBASING if git.path(name).exists()]
    if found:
        raise refuse("publish-dirty", told, f"is in the middle of a {found[0]}.", "End it, then publish again.")


def _refuse_elsewhere(git: Git, told: str, branch: str) -> None:
    """A branch that another work tree shows, or that a rebase will move, would change under it."""
    for block in git.text("worktree", "list", "--porcelain").split("\n\n"):
        lines: Sequence[str] = block.splitlines()
        if f"branch refs/heads/{branch}" in lines:
            where = lines[0].removeprefix("worktree ")
            raise refuse(
                "publish-branch",
                told,
                f"branch {branch} is checked out in another work tree, {where}.",
                f"Publish there (--to {where}), or to another branch.",
            )
    for name in _REBASING:
        rebased = git.path(name) / "head-name"
        with contextlib.suppress(OSError):
            if os.fsdecode(rebased.read_bytes()).strip() == f"refs/heads/{branch}":
                raise refuse(
                    "publish-dirty", told, f"is in the middle of a rebase of {branch}.", "End it, then publish again."
                )
