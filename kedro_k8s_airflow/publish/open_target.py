"""From a user's words to a target: a folder with a checkout, or a clone made for the moment. What is no target is refused here."""

from __future__ import annotations

import contextlib
import re
import signal
import sys
import tempfile
import threading
import urllib.parse
from pathlib import Path
from typing import TYPE_CHECKING

from kedro_k8s_airflow.findings import refuse
from kedro_k8s_airflow.locations import Location
from kedro_k8s_airflow.publish.git import Git, GitError, mask_credentials, refuse_git
from kedro_k8s_airflow.publish.target import PublishTarget

if TYPE_CHECKING:
    from collections.abc import Iterator

_ORIGIN = "origin"


def is_bare_repository(folder: Path) -> bool:
    """Whether a folder is a repository without a work tree.

    Raises:
        GitError: when it looks like one and git does not read it.
    """
    if not ((folder / "HEAD").is_file() and (folder / "objects").is_dir()):
        return False
    return Git(folder, bare=True).run_text("config", "--type=bool", "--default=false", "core.bare") == "true"


def is_address(destination: str) -> bool:
    """Whether a target is an address rather than a folder: with a scheme, or `host:path`."""
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", destination):
        return True
    return bool(re.match(r"[^/\\:]{2,}:", destination)) and not Path(destination).exists()


@contextlib.contextmanager
def open_target(
    destination: str, *, branch: str | None, base: str | None, push: bool, dry_run: bool
) -> Iterator[PublishTarget]:
    """The target that a user names.

    Args:
        destination: a folder, or an address that git can clone.
        branch: to publish to; by default `base`, or what is checked out.
        base: where a new branch begins; by default what is checked out, or the remote's default branch.
        push: whether it will be pushed.
        dry_run: whether nothing will be written.

    Raises:
        Refused: when it is no repository, or there is nothing to publish to.
    """
    check_target_names(destination, branch, base)
    if is_address(destination):
        with _open_clone(destination, destination, branch, base, push=push, dry_run=dry_run) as target:
            yield target
        return
    folder = Path(destination).expanduser().absolute()
    if not folder.is_dir():
        raise refuse(
            "publish-to",
            Location(subject=destination),
            "is no folder.",
            "Clone the repository of your DAGs, or give its address.",
        )
    git = Git(folder.resolve())
    try:
        top = None if is_bare_repository(git.folder) else Path(git.run_text("rev-parse", "--show-toplevel")).resolve()
    except GitError as reason:
        raise refuse_git(
            destination, "is no git repository that could be published to", reason, "Clone the repository of your DAGs."
        ) from None
    if top is None:
        with _open_clone(destination, str(folder.resolve()), branch, base, push=push, dry_run=dry_run) as target:
            yield target
        return
    if top != folder.resolve():
        if not folder.resolve().is_relative_to(top):
            raise refuse(
                "publish-to",
                Location(subject=destination),
                f"is not the top of its work tree, {top}.",
                f"Write --to {top}.",
            )
        inside = folder.resolve().relative_to(top).as_posix()
        raise refuse(
            "publish-to",
            Location(subject=destination),
            f"is a folder inside the repository {top}.",
            f"Write --to {top} --subfolder {inside}.",
        )
    yield _open_checkout(git, destination, branch, base, push=push, dry_run=dry_run)


def check_target_names(destination: str, branch: str | None, base: str | None) -> None:
    """Refuse what can be no repository or no branch, and addresses with a password.

    Raises:
        Refused: naming it.
    """
    if destination.startswith("-") or not destination.isprintable() or not destination.strip():
        raise refuse("publish-to", Location(subject=repr(destination)), "is neither a folder nor an address.")
    with contextlib.suppress(ValueError):  # of an address that is none, for git to say
        if "://" in destination and urllib.parse.urlsplit(destination).password is not None:
            raise refuse(
                "publish-password",
                Location(subject="the address of the target"),
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
                "publish-branch",
                Location(subject=option),
                f"{name!r} would be the branch refs/heads/{name}.",
                f"Write {short}.",
            )
        is_invalid = name.startswith("-") or name == "HEAD"  # which git's plumbing takes and `git branch` does not
        if is_invalid or Git(Path.cwd()).query_text("check-ref-format", f"refs/heads/{name}") is None:
            raise refuse(
                "publish-branch",
                Location(subject=option),
                f"{name!r} can be no branch.",
                "See `git help check-ref-format`.",
            )


@contextlib.contextmanager
def _open_clone(
    destination: str, address: str, branch: str | None, base: str | None, *, push: bool, dry_run: bool
) -> Iterator[PublishTarget]:
    """A clone without a work tree that goes when all is done; commits are fetched as they are needed."""
    if not (push or dry_run):
        message = "has no work tree on this machine, so that a commit that is not pushed would be lost."
        raise refuse(
            "publish-to", Location(subject=destination), message, "Add --push, or --dry-run to see what would be done."
        )
    with _open_remote(destination, address) as (git, default, branches):
        name = base or default or (branch if branch in branches else None)
        if name is None:
            raise refuse(
                "publish-branch",
                Location(subject=mask_credentials(destination)),
                "has no default branch.",
                "Say which one with --base.",
            )
        yield PublishTarget(
            git=git,
            display_name=mask_credentials(destination),
            branch=branch or name,
            base=name,
            follows_base=base is not None,
            remote=_ORIGIN,
            is_clone=True,
            fetches_remote=True,
        )


@contextlib.contextmanager
def open_branch(destination: str, branch: str | None) -> Iterator[tuple[Git, str, str | None]]:
    """A branch of an address or a bare repository, to be read: where it is, its name, and its commit, None in an empty repository.

    Args:
        destination: the address or folder.
        branch: by default the default one.

    Raises:
        Refused: when there is no such repository or branch.
    """
    address = destination if is_address(destination) else str(Path(destination).expanduser().resolve())
    with _open_remote(destination, address) as (git, default, branches):
        name = branch or default
        if name is None:
            raise refuse(
                "publish-branch",
                Location(subject=mask_credentials(destination)),
                "has no default branch.",
                "Say which one with --branch.",
            )
        if branches and name not in branches:
            help_text = f"It has {', '.join(sorted(branches)[:10])}."
            raise refuse(
                "publish-branch",
                Location(subject=mask_credentials(destination)),
                f"there is no branch {name!r}.",
                help_text,
            )
        if branches:
            git.fetch(_ORIGIN, [name], shallow=True)
        yield git, name, branches.get(name)


@contextlib.contextmanager
def _open_remote(destination: str, address: str) -> Iterator[tuple[Git, str | None, dict[str, str]]]:
    """A repository for the moment that knows an address, the default branch there, and the commits of all branches."""
    with _temporary_folder(mask_credentials(destination)) as folder:
        git = Git(folder, bare=True)
        try:
            default, branches = Git(folder).list_remote_branches(address)
            if branches:
                # A repository with names of 64 digits speaks to none with names of 40.
                object_format = "sha256" if any(len(commit) > 40 for commit in branches.values()) else "sha1"
                Git(folder).run("init", "--quiet", "--bare", "--template=", f"--object-format={object_format}")
                git.run("remote", "add", _ORIGIN, address)
            else:
                Git(folder).run("clone", "--quiet", "--bare", "--template=", address, ".")
                default = git.current_branch()
        except GitError as reason:
            help_text = "Mend the address, or let git have the rights (SSH key, credential helper)."
            raise refuse_git(mask_credentials(destination), "git cannot read it", reason, help_text) from None
        yield git, default, branches


@contextlib.contextmanager
def _temporary_folder(display_name: str) -> Iterator[Path]:
    """A folder that goes at the end, also when this process is told to end, as a cancelled job of CI is."""

    def exit_on_signal(number: int, _: object) -> None:
        sys.exit(128 + number)

    # Handlers are for the main thread to set.
    old_handler = (
        signal.signal(signal.SIGTERM, exit_on_signal) if threading.current_thread() is threading.main_thread() else None
    )
    try:
        with tempfile.TemporaryDirectory(prefix="k8s-airflow-", ignore_cleanup_errors=True) as folder:
            yield Path(folder)
    except OSError as reason:
        message = f"cannot be cloned: {reason.strerror or reason} ({reason.filename or tempfile.gettempdir()})."
        raise refuse(
            "publish-git", Location(subject=display_name), message, "Make room, or let TMPDIR name another folder."
        ) from None
    finally:
        if old_handler is not None:
            signal.signal(signal.SIGTERM, old_handler)


def _open_checkout(
    git: Git, display_name: str, branch: str | None, base: str | None, *, push: bool, dry_run: bool
) -> PublishTarget:
    """A folder with a work tree."""
    head = git.current_branch()
    named_branch = branch or base
    branch = named_branch or head
    remotes = git.run_text("remote").splitlines()
    if branch is not None and branch.partition("/")[0] in remotes and "/" in branch:
        short = branch.partition("/")[2]
        message = f"{branch!r} would be a branch here beside that of the remote."
        raise refuse("publish-branch", Location(subject=display_name), message, f"Write {short}.")
    if push and branch is None:
        message = "has a detached head, so there is no branch to push."
        raise refuse("publish-branch", Location(subject=display_name), message, "Say which one with --branch.")
    remote = git.find_push_remote(branch) if push else None
    if push and remote is None:
        raise refuse(
            "publish-remote",
            Location(subject=display_name),
            "has no remote to push to.",
            "Add one: git remote add origin ADDRESS.",
        )
    upstream = git.query_text("config", f"branch.{branch}.merge") if push and not named_branch else None
    if upstream is not None and upstream != f"refs/heads/{branch}":
        tracked = f"{upstream.removeprefix('refs/heads/')} of {mask_credentials(str(remote))}"
        message = f"branch {branch} tracks {tracked}, so it is not clear which one to push."
        raise refuse("publish-branch", Location(subject=display_name), message, "Say it with --branch.")
    target = PublishTarget(
        git=git,
        display_name=display_name,
        branch=branch,
        base=base,
        follows_base=base is not None,
        remote=remote,
        work_tree=git.folder if branch == head else None,
        fetches_remote=push,
        dry_run=dry_run,
    )
    target.refuse_in_use()
    return target
