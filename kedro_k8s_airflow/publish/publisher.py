"""`publish` without the printing: commit the DAGs of a project to the repository that Airflow reads, in one commit or none."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from kedro_k8s_airflow import compiler
from kedro_k8s_airflow.config import types
from kedro_k8s_airflow.findings import Finding, refuse, warning
from kedro_k8s_airflow.locations import Location
from kedro_k8s_airflow.publish import desired_state, diff, worktree
from kedro_k8s_airflow.publish.git import GitError, mask_credentials, refuse_git
from kedro_k8s_airflow.publish.git_index import BranchUpdate
from kedro_k8s_airflow.publish.message import describe_changes, format_commit_message
from kedro_k8s_airflow.publish.open_target import is_address, open_target

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kedro_k8s_airflow.compiler import Compilation
    from kedro_k8s_airflow.publish.desired_state import DesiredState, ProjectCommit
    from kedro_k8s_airflow.publish.diff import PublishDiff
    from kedro_k8s_airflow.publish.git import TreeEntry
    from kedro_k8s_airflow.publish.target import BranchTip, PublishTarget
    from kedro_k8s_airflow.request import CompileRequest

MAX_ATTEMPTS = 2


@dataclass(frozen=True, kw_only=True)
class PublishOptions:
    """Options of the command line. For None the setting applies.

    Attributes:
        to: folder or address of the repository.
        subfolder: folder for the DAG files in the repository.
        branch: branch to commit to.
        base: branch that a new branch starts from.
        push: push the branch.
        message: replaces the first line of the commit message.
        dry_run: write nothing.
        allow_tag: accept images that are referenced by tag.
        force: overwrite files that were edited by hand or that no manifest lists.
    """

    to: str | None = None
    subfolder: str | None = None
    branch: str | None = None
    base: str | None = None
    push: bool = False
    message: str | None = None
    dry_run: bool = False
    allow_tag: bool = False
    force: bool = False


@dataclass(frozen=True, kw_only=True)
class PublishResult:
    """What a publish has done, or would do.

    Attributes:
        display_name: the repository, without credentials.
        branch: None for a detached HEAD.
        is_new_branch: whether neither the repository nor its remote has the branch.
        ahead_remote: the remote whose branch is ahead of the checkout; None when there is none.
        lines: describe each DAG that changes.
        message: the commit message.
        commit: the new commit, or the one that the branch points to already; None when nothing was written.
        has_changes: whether a commit was made, or would be.
        will_push: whether a push was requested.
        pushed: the remote that was pushed to.
        repaired: whether an interrupted publish was finished first.
        findings: warnings.
    """

    display_name: str
    branch: str | None
    is_new_branch: bool
    ahead_remote: str | None
    lines: Sequence[str]
    message: str
    commit: str | None
    has_changes: bool
    will_push: bool
    pushed: str | None
    repaired: bool
    findings: Sequence[Finding]


def publish_dags(request: CompileRequest, options: PublishOptions) -> PublishResult:
    """Publish the DAGs of a project.

    Raises:
        Refused: with every error; the target is unchanged.
    """
    compilation = compiler.compile_request(request)
    options = _apply_settings(options, compilation)
    desired = desired_state.render_desired_state(request, compilation, allow_tag=options.allow_tag)
    project = compilation.context.project
    source = desired_state.read_project_commit(
        project.path, compilation.context.lock_path, (project.code_folder, project.conf_folder)
    )
    findings = _collect_warnings(compilation, source)
    destination = str(options.to)
    try:
        with open_target(
            destination, branch=options.branch, base=options.base, push=options.push, dry_run=options.dry_run
        ) as target:
            if target.is_clone or options.dry_run:
                return _publish_to_target(target, desired, source, options, findings)
            with worktree.lock_repository(target.git, target.display_name):
                repaired = target.work_tree is not None and worktree.recover_interrupted_publish(
                    target.git, target.display_name
                )
                return replace(_publish_to_target(target, desired, source, options, findings), repaired=repaired)
    except GitError as reason:
        raise refuse_git(
            mask_credentials(destination), "git failed", reason, "Fix the error that git reports above."
        ) from None


def _apply_settings(options: PublishOptions, compilation: Compilation) -> PublishOptions:
    """Return the options, completed from the settings."""
    settings = compilation.context.settings.publish
    to = options.to
    if to is None:
        if settings.to is None:
            raise refuse(
                "publish-to",
                Location(subject="--to"),
                "no publish target is configured.",
                "Pass a folder or an address, or set publish.to in k8s_airflow.yml.",
            )
        to = resolve_destination(settings.to, compilation.context.project.path)
    subfolder = settings.subfolder if options.subfolder is None else parse_subfolder(options.subfolder)
    base = options.base if options.base is not None else settings.base
    branch = settings.branch if options.branch is None and options.base is None else options.branch
    return replace(options, to=to, subfolder=subfolder, branch=branch, base=base)


def resolve_destination(destination: str, project: Path) -> str:
    """Return `publish.to` of the settings as an address or an absolute folder; the setting is relative to the project."""
    return destination if is_address(destination) else str((project / Path(destination).expanduser()).resolve())


def parse_subfolder(subfolder: str) -> str:
    """Return a folder of a repository as git writes it; "" for the top.

    Raises:
        Refused: the folder is not inside the repository.
    """
    try:
        return types.check_subfolder(subfolder)
    except ValueError as exc:
        raise refuse("publish-folder", Location(subject="--subfolder"), f"{subfolder!r}: {exc}.") from None


def _collect_warnings(compilation: Compilation, source: ProjectCommit) -> list[Finding]:
    """Return the warnings of `create`, and those about the project's own commit."""
    findings = [
        finding for finding in compilation.findings if finding.severity == "warning" and finding.code != "image-stale"
    ]
    if source.unreadable_reason is not None:
        findings.append(
            warning(
                "publish-uncommitted",
                Location(file=str(compilation.context.project.path)),
                f"git cannot read the project's repository, so the commit message has no Source-Commit: {source.unreadable_reason}.",
                "Allow git to read it, for example with safe.directory.",
            )
        )
    if source.dirty:
        findings.append(
            warning(
                "publish-uncommitted",
                Location(file=str(compilation.context.project.path)),
                "has uncommitted changes, so no commit of the project matches what is published.",
                "Commit them before publishing.",
            )
        )
    return findings


def _publish_to_target(
    target: PublishTarget,
    desired: DesiredState,
    source: ProjectCommit,
    options: PublishOptions,
    findings: Sequence[Finding],
) -> PublishResult:
    """Commit to the target's branch and push; retry once when the remote branch has moved meanwhile."""
    seen_files: dict[str, TreeEntry] | None = None
    for _ in range(MAX_ATTEMPTS):
        tip, changes = _prepare_changes(
            target,
            target.find_tip(desired.owner, partial(_has_only_own_changes, target, desired, options)),
            desired,
            options,
        )
        owned_files = diff.read_owned_files(target.git, tip.pushed or tip.start, str(options.subfolder), *desired.owner)
        if seen_files is not None and seen_files != owned_files and changes.files:
            raise refuse(
                "publish-moved",
                Location(subject=target.display_name),
                f"another publisher has published {desired.manifest.owner_label} to {target.branch_label} at the same time.",
                "Review that commit; publish again to replace it.",
            )
        seen_files = owned_files
        lines = describe_changes(changes)
        commit_text = format_commit_message(changes, lines, desired.manifest, source, options.message)
        commit = None if options.dry_run else _commit_changes(target, tip, changes, commit_text)
        result = PublishResult(
            display_name=target.display_name,
            branch=target.branch,
            is_new_branch=tip.latest is None,
            ahead_remote=_find_ahead_remote(target, tip),
            lines=lines,
            message=commit_text,
            commit=commit,
            has_changes=bool(changes.files),
            will_push=options.push,
            pushed=None,
            repaired=False,
            findings=findings,
        )
        # A new branch without changes of its own is not created.
        has_something = changes.files or tip.latest is not None
        if not options.push or commit is None or commit == tip.pushed or not has_something:
            return result
        if _push_commit(target, commit, tip.pushed):
            return replace(result, pushed=mask_credentials(str(target.remote)))
    message = f"{target.branch_label} of the remote has moved during each of {MAX_ATTEMPTS} attempts to push."
    raise refuse("publish-moved", Location(subject=target.display_name), message, "Publish again.")


def _find_ahead_remote(target: PublishTarget, tip: BranchTip) -> str | None:
    """Return the remote whose branch is ahead of a checkout of the same branch."""
    is_behind = target.work_tree is not None and tip.latest is not None and tip.local != tip.latest
    return mask_credentials(str(target.remote)) if is_behind else None


def _has_only_own_changes(
    target: PublishTarget, desired: DesiredState, options: PublishOptions, since: str, until: str
) -> bool:
    """Check whether two commits differ only in files that this project has published."""
    return diff.has_only_own_changes(target.git, since, until, str(options.subfolder), *desired.owner)


def _push_commit(target: PublishTarget, commit: str, known: str | None) -> bool:
    """Push the commit; return False when the remote branch has moved."""
    try:
        return target.git.push(str(target.remote), commit, str(target.branch), known) == "pushed"
    except GitError as reason:
        help_text = "Fix the error that git reports above"
        help_text += (
            "."
            if target.is_clone
            else f", then publish again. The commit is on {target.branch_label} of {target.display_name}."
        )
        raise refuse_git(target.display_name, f"{target.branch_label} could not be pushed", reason, help_text) from None


def _prepare_changes(
    target: PublishTarget, tip: BranchTip, desired: DesiredState, options: PublishOptions
) -> tuple[BranchTip, PublishDiff]:
    """Return the tip to commit on, and the changes relative to it."""
    changes = diff.compare_with_target(target.git, tip.start, str(options.subfolder), desired, force=options.force)
    # A commit that was not pushed yet may still lack its base.
    joins = tip.base is not None and (changes.files or tip.latest != tip.pushed)
    return _merge_with_base(target, tip, changes, desired, options) if joins else (tip, changes)


def _merge_with_base(
    target: PublishTarget, tip: BranchTip, changes: PublishDiff, desired: DesiredState, options: PublishOptions
) -> tuple[BranchTip, PublishDiff]:
    """Merge a branch with its base, if the branch has only what this project has published; otherwise leave it as it is."""
    latest, base = str(tip.latest), str(tip.base)
    since = target.git.query_text("merge-base", latest, base)
    if since is None or not _has_only_own_changes(target, desired, options, since, latest):
        return tip, changes
    base_changes = diff.compare_with_target(target.git, base, str(options.subfolder), desired, force=options.force)
    # Without changes against the base, the branch still needs a commit that removes its own.
    return (replace(tip, start=base, parents=(latest, base)), base_changes) if base_changes.files else (tip, changes)


def _commit_changes(target: PublishTarget, tip: BranchTip, changes: PublishDiff, commit_text: str) -> str | None:
    """Create the commit and move the branch to it; return the commit that the branch then points to."""
    git = target.git
    commit = tip.latest or tip.start
    subject = commit_text.partition("\n")[0]
    try:
        if changes.files:
            tree = git.write_tree(tip.start, changes.files, changes.modes)
            commit = git.write_commit(tree, tip.parents, commit_text, target.display_name)
    except OSError as reason:
        message = (
            f"the commit could not be created: {reason.strerror or reason} ({reason.filename or 'temporary files'})."
        )
        raise refuse(
            "publish-git",
            Location(subject=target.display_name),
            message,
            "Fix the cause, then publish again. Nothing has changed.",
        ) from None
    if target.is_clone or commit is None:
        return commit
    if not changes.files and (tip.local is None or tip.latest is None or git.is_ancestor(tip.local, commit)):
        return commit
    target.refuse_in_use()
    if target.work_tree is not None:
        update = BranchUpdate(branch=target.branch, old=tip.local, new=commit, own_paths=sorted(changes.files))
        worktree.update_work_tree(git, target.display_name, update, subject)
    else:
        git.move_branch(target.branch, commit, tip.local, subject)
    return commit
