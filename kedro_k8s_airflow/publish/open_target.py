"""Open the publish target that a user names: a checkout, or a temporary clone of an address."""

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
from kedro_k8s_airflow.publish.target import MAX_BRANCHES, PublishTarget
from kedro_k8s_airflow.text import first_names

if TYPE_CHECKING:
    from collections.abc import Iterator

_ORIGIN = "origin"


def is_bare_repository(folder: Path) -> bool:
    """Check whether a folder is a repository without a work tree.

    Raises:
        GitError: the folder looks like one, but git cannot read it.
    """
    if not ((folder / "HEAD").is_file() and (folder / "objects").is_dir()):
        return False
    return Git(folder, bare=True).run_text("config", "--type=bool", "--default=false", "core.bare") == "true"


def is_address(destination: str) -> bool:
    """Check whether a target is an address, with a scheme or as `host:path`, rather than a folder."""
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", destination):
        return True
    return bool(re.match(r"[^/\\:]{2,}:", destination)) and not Path(destination).exists()


@contextlib.contextmanager
def open_target(
    destination: str, *, branch: str | None, base: str | None, push: bool, dry_run: bool
) -> Iterator[PublishTarget]:
    """Open the target that a user names.

    Args:
        destination: a folder, or an address that git can clone.
        branch: branch to publish to; by default `base`, or the branch that is checked out.
        base: start of a new branch; by default the branch that is checked out, or the remote's default branch.
        push: whether the commit will be pushed.
        dry_run: whether nothing will be written.

    Raises:
        Refused: the destination is not a repository, or the branch cannot be published to.
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
            "is not a folder.",
            "Clone the repository of your DAGs, or pass its address.",
        )
    git = Git(folder.resolve())
    try:
        top = None if is_bare_repository(git.folder) else Path(git.run_text("rev-parse", "--show-toplevel")).resolve()
    except GitError as reason:
        raise refuse_git(
            destination, "is not a usable git repository", reason, "Clone the repository of your DAGs."
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
                f"Use --to {top}.",
            )
        inside = folder.resolve().relative_to(top).as_posix()
        raise refuse(
            "publish-to",
            Location(subject=destination),
            f"is a folder inside the repository {top}.",
            f"Use --to {top} --subfolder {inside}.",
        )
    yield _open_checkout(git, destination, branch, base, push=push, dry_run=dry_run)


def check_target_names(destination: str, branch: str | None, base: str | None) -> None:
    """Check the names of a repository and its branches, and that no address has a password.

    Raises:
        Refused: naming the invalid one.
    """
    if destination.startswith("-") or not destination.isprintable() or not destination.strip():
        raise refuse("publish-to", Location(subject=repr(destination)), "is neither a folder nor an address.")
    with contextlib.suppress(ValueError):  # git reports invalid addresses
        if "://" in destination and urllib.parse.urlsplit(destination).password is not None:
            raise refuse(
                "publish-password",
                Location(subject="the address of the target"),
                "contains a password, which shells, logs and process lists would show.",
                "Remove it, and use a credential helper, GIT_ASKPASS or SSH; or publish to a checkout.",
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
                f"Use {short}.",
            )
        is_invalid = name.startswith("-") or name == "HEAD"  # accepted by git's plumbing, not by `git branch`
        if is_invalid or Git(Path.cwd()).query_text("check-ref-format", f"refs/heads/{name}") is None:
            raise refuse(
                "publish-branch",
                Location(subject=option),
                f"{name!r} is not a valid branch name.",
                "See `git help check-ref-format`.",
            )


@contextlib.contextmanager
def _open_clone(
    destination: str, address: str, branch: str | None, base: str | None, *, push: bool, dry_run: bool
) -> Iterator[PublishTarget]:
    """Open a temporary clone without a work tree; commits are fetched as needed."""
    if not (push or dry_run):
        message = "has no work tree on this machine, so a commit would be lost unless it is pushed."
        raise refuse("publish-to", Location(subject=destination), message, "Add --push, or --dry-run for a preview.")
    with _open_remote(destination, address) as (git, default, branches):
        name = base or default or (branch if branch in branches else None)
        if name is None:
            raise refuse(
                "publish-branch",
                Location(subject=mask_credentials(destination)),
                "has no default branch.",
                "Set --base.",
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
    """Open a branch of an address or a bare repository for reading.

    Args:
        destination: address or folder.
        branch: name of the branch; by default the remote's default branch.

    Yields:
        The repository, the branch's name, and its commit; None in an empty repository.

    Raises:
        Refused: the repository or the branch does not exist.
    """
    address = destination if is_address(destination) else str(Path(destination).expanduser().resolve())
    with _open_remote(destination, address) as (git, default, branches):
        name = branch or default
        if name is None:
            raise refuse(
                "publish-branch",
                Location(subject=mask_credentials(destination)),
                "has no default branch.",
                "Set --branch.",
            )
        if branches and name not in branches:
            help_text = f"Existing branches: {first_names(sorted(branches), MAX_BRANCHES)}."
            raise refuse(
                "publish-branch",
                Location(subject=mask_credentials(destination)),
                f"has no branch {name!r}.",
                help_text,
            )
        if branches:
            git.fetch(_ORIGIN, [name], shallow=True)
        yield git, name, branches.get(name)


@contextlib.contextmanager
def _open_remote(destination: str, address: str) -> Iterator[tuple[Git, str | None, dict[str, str]]]:
    """Open a temporary repository with an address as its remote; yield it, the default branch, and the commits of all branches."""
    with _temporary_folder(mask_credentials(destination)) as folder:
        git = Git(folder, bare=True)
        try:
            default, branches = Git(folder).list_remote_branches(address)
            if branches:
                # Both repositories need the same object format.
                object_format = "sha256" if any(len(commit) > 40 for commit in branches.values()) else "sha1"
                Git(folder).run("init", "--quiet", "--bare", "--template=", f"--object-format={object_format}")
                git.run("remote", "add", _ORIGIN, address)
            else:
                Git(folder).run("clone", "--quiet", "--bare", "--template=", address, ".")
                default = git.current_branch()
        except GitError as reason:
            help_text = "Check the address and git's credentials for it (SSH key, credential helper)."
            raise refuse_git(mask_credentials(destination), "cannot be read by git", reason, help_text) from None
        yield git, default, branches


@contextlib.contextmanager
def _temporary_folder(display_name: str) -> Iterator[Path]:
    """Yield a temporary folder that is also removed on SIGTERM, as for a cancelled CI job."""

    def exit_on_signal(number: int, _: object) -> None:
        sys.exit(128 + number)

    # Only the main thread may set handlers.
    old_handler = (
        signal.signal(signal.SIGTERM, exit_on_signal) if threading.current_thread() is threading.main_thread() else None
    )
    try:
        with tempfile.TemporaryDirectory(prefix="k8s-airflow-", ignore_cleanup_errors=True) as folder:
            yield Path(folder)
    except OSError as reason:
        message = f"cannot be cloned: {reason.strerror or reason} ({reason.filename or tempfile.gettempdir()})."
        raise refuse(
            "publish-git", Location(subject=display_name), message, "Free disk space, or set TMPDIR to another folder."
        ) from None
    finally:
        if old_handler is not None:
            signal.signal(signal.SIGTERM, old_handler)


def _open_checkout(
    git: Git, display_name: str, branch: str | None, base: str | None, *, push: bool, dry_run: bool
) -> PublishTarget:
    """Open a folder with a work tree."""
    head = git.current_branch()
    named_branch = branch or base
    branch = named_branch or head
    remotes = git.run_text("remote").splitlines()
    if branch is not None and branch.partition("/")[0] in remotes and "/" in branch:
        short = branch.partition("/")[2]
        message = f"{branch!r} would be a local branch of that name, not the branch of the remote."
        raise refuse("publish-branch", Location(subject=display_name), message, f"Use {short}.")
    if push and branch is None:
        message = "has a detached HEAD, so there is no branch to push."
        raise refuse("publish-branch", Location(subject=display_name), message, "Set --branch.")
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
        message = f"branch {branch} tracks {tracked}, so the branch to push is ambiguous."
        raise refuse("publish-branch", Location(subject=display_name), message, "Set --branch.")
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
