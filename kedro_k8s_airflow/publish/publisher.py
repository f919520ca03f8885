"""`publish`, without the printing: the DAGs of a project into the repository that Airflow reads, by one commit or not at all."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from kedro_k8s_airflow import compiler
from kedro_k8s_airflow.config import types
from kedro_k8s_airflow.findings import Finding, refuse, warning
from kedro_k8s_airflow.locations import Location
from kedro_k8s_airflow.publish import desired_state, diff, message, open_target, worktree
from kedro_k8s_airflow.publish.git import GitError, mask_credentials, refuse_git
from kedro_k8s_airflow.publish.git_index import BranchUpdate

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
    """What is asked of publishing; what is None is as the settings say.

    Attributes:
        to: folder or address of the repository.
        subfolder: of it, for the DAG files.
        branch, base: to publish to, and to begin it at.
        push: push the branch.
        problem: instead of the first line of the commit's message.
        dry_run: write nothing.
        allow_tag: images may be named by tags.
        force: overwrite files that were edited by hand or are of unknown origin.
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
    """What publishing came to.

    Attributes:
        display_name: the repository, as the user names it.
        branch: None for a detached head.
        up_to_date_branch: what has the DAGs already when nothing was committed.
        lines: what becomes of each DAG that changes.
        problem: of the commit.
        commit: that was made, or that the branch had already; None when nothing was written.
        has_changes: whether a commit was made (or would be).
        will_push: whether it is to be pushed.
        pushed: the remote it was pushed to.
        repaired: whether the work of a killed process was finished first.
        findings: those that stop nothing.
    """

    display_name: str
    branch: str | None
    up_to_date_branch: str
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
        Refused: with everything that is in the way; the target is as it was then.
    """
    compilation = compiler.compile_request(request)
    options = _apply_settings(options, compilation)
    desired = desired_state.render_desired_state(request, compilation, allow_tag=options.allow_tag)
    project = compilation.context.project
    source = desired_state.read_project_commit(
        project.path, compilation.context.lock_path, (project.code, project.conf_folder)
    )
    findings = _collect_warnings(compilation, source)
    destination = str(options.to)
    try:
        with open_target.open_target(
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
            mask_credentials(destination), "git cannot do what is asked of it", reason, "Mend what git says above."
        ) from None


def _apply_settings(options: PublishOptions, compilation: Compilation) -> PublishOptions:
    """The wish with what the settings say of what it leaves open."""
    settings = compilation.context.settings.publish
    to = options.to
    if to is None:
        if settings.to is None:
            raise refuse(
                "publish-to",
                Location(subject="--to"),
                "nobody says where to publish.",
                "Give a folder or an address, or set publish.to in k8s_airflow.yml.",
            )
        to = resolve_destination(settings.to, compilation.context.project.path)
    subfolder = settings.subfolder if options.subfolder is None else parse_subfolder(options.subfolder)
    base = options.base if options.base is not None else settings.base
    branch = settings.branch if options.branch is None and options.base is None else options.branch
    return replace(options, to=to, subfolder=subfolder, branch=branch, base=base)


def resolve_destination(destination: str, project: Path) -> str:
    """A target of the settings: a folder there is relative to the project."""
    return (
        destination
        if open_target.is_address(destination)
        else str((project / Path(destination).expanduser()).resolve())
    )


def parse_subfolder(subfolder: str) -> str:
    """A folder of a repository as git writes it; "" for the top.

    Raises:
        Refused: when it is not inside the repository.
    """
    try:
        return types.check_subfolder(subfolder)
    except ValueError as exc:
        raise refuse("publish-folder", Location(subject="--subfolder"), f"{subfolder!r}: {exc}.") from None


def _collect_warnings(compilation: Compilation, source: ProjectCommit) -> list[Finding]:
    """What is worth saying besides: what `create` warns of, and changes that are not committed."""
    findings = [
        finding for finding in compilation.findings if finding.severity == "warning" and finding.code != "image-stale"
    ]
    if source.unreadable_reason is not None:
        findings.append(
            warning(
                "publish-uncommitted",
                Location(file=str(compilation.context.project.path)),
                f"git cannot tell the project's commit, so the message of this one leaves it out: {source.unreadable_reason}.",
                "Let git read it (such as by safe.directory), if the commit is to be named.",
            )
        )
    if source.dirty:
        findings.append(
            warning(
                "publish-uncommitted",
                Location(file=str(compilation.context.project.path)),
                "the project has changes that are not committed, so that no commit says what was published.",
                "Commit them first.",
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
    """Commit on the target's branch and push it, once more when somebody else was quicker."""
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
                f"{desired.manifest.owner_label} was published to {target.branch_label} by somebody else at the same time.",
                "Look at what they have published; publish again if yours is to be the last.",
            )
        seen_files = owned_files
        lines = message.describe_changes(changes)
        commit_text = message.format_commit_message(changes, lines, desired.manifest, source, options.message)
        commit = None if options.dry_run else _commit_changes(target, tip, changes, commit_text)
        result = PublishResult(
            display_name=target.display_name,
            up_to_date_branch=_describe_up_to_date_branch(target, tip),
            branch=target.branch,
            lines=lines,
            message=commit_text,
            commit=commit,
            has_changes=bool(changes.files),
            will_push=options.push,
            pushed=None,
            repaired=False,
            findings=findings,
        )
        # A new branch that would have nothing of its own is none.
        has_something = changes.files or tip.latest is not None
        if not options.push or commit is None or commit == tip.pushed or not has_something:
            return result
        if _push_commit(target, commit, tip.pushed):
            return replace(result, pushed=mask_credentials(str(target.remote)))
    problem = f"{target.branch_label} has moved again and again while this was to be pushed."
    raise refuse("publish-moved", Location(subject=target.display_name), problem, "Publish again.")


def _describe_up_to_date_branch(target: PublishTarget, tip: BranchTip) -> str:
    """What has the DAGs already when there is nothing to commit."""
    if tip.latest is None:
        return f"what {target.branch_label} would begin at"
    lags = target.work_tree is not None and tip.local != tip.latest
    return (
        f"{target.branch_label} of {mask_credentials(str(target.remote))}, which the checkout lags behind,"
        if lags
        else target.branch_label
    )


def _has_only_own_changes(
    target: PublishTarget, desired: DesiredState, options: PublishOptions, since: str, until: str
) -> bool:
    """Whether two commits differ in nothing but what was published from here."""
    return diff.has_only_own_changes(target.git, since, until, str(options.subfolder), *desired.owner)


def _push_commit(target: PublishTarget, commit: str, known: str | None) -> bool:
    """Whether the commit could be pushed; not when the branch has moved."""
    try:
        return target.git.push(str(target.remote), commit, str(target.branch), known) == "pushed"
    except GitError as reason:
        help_text = "Mend what git says above"
        help_text += (
            "."
            if target.is_clone
            else f", then publish again: the commit is on {target.branch_label} of {target.display_name}."
        )
        raise refuse_git(target.display_name, f"{target.branch_label} could not be pushed", reason, help_text) from None


def _prepare_changes(
    target: PublishTarget, tip: BranchTip, desired: DesiredState, options: PublishOptions
) -> tuple[BranchTip, PublishDiff]:
    """What to publish on, and what that changes."""
    changes = diff.compare_with_target(target.git, tip.start, str(options.subfolder), desired, force=options.force)
    # What was not pushed yet may still lack its base.
    joins = tip.base is not None and (changes.files or tip.latest != tip.pushed)
    return _merge_with_base(target, tip, changes, desired, options) if joins else (tip, changes)


def _merge_with_base(
    target: PublishTarget, tip: BranchTip, changes: PublishDiff, desired: DesiredState, options: PublishOptions
) -> tuple[BranchTip, PublishDiff]:
    """A branch that lacks commits of its base, brought onto it when it has nothing but what was published from here."""
    latest, base = str(tip.latest), str(tip.base)
    since = target.git.query_text("merge-base", latest, base)
    if since is None or not _has_only_own_changes(target, desired, options, since, latest):
        return tip, changes
    base_changes = diff.compare_with_target(target.git, base, str(options.subfolder), desired, force=options.force)
    # With nothing to add to the base the branch still has to lose what it has.
    return (replace(tip, start=base, parents=(latest, base)), base_changes) if base_changes.files else (tip, changes)


def _commit_changes(target: PublishTarget, tip: BranchTip, changes: PublishDiff, commit_text: str) -> str | None:
    """Make the commit, and let the branch have it; the commit that the branch is at then."""
    git = target.git
    commit = tip.latest or tip.start
    subject = commit_text.partition("\n")[0]
    try:
        if changes.files:
            tree = git.write_tree(tip.start, changes.files, changes.modes)
            commit = git.write_commit(tree, tip.parents, commit_text, target.display_name)
    except OSError as reason:
        problem = f"the commit could not be made: {reason.strerror or reason} ({reason.filename or 'temporary files'})."
        raise refuse(
            "publish-git",
            Location(subject=target.display_name),
            problem,
            "Mend that, then publish again: nothing has changed.",
        ) from None
    if target.is_clone or commit is None:
        return commit
    if not changes.files and (tip.local is None or tip.latest is None or git.is_ancestor(tip.local, commit)):
        return commit
    target.refuse_in_use()
    if target.work_tree is not None:
        update = BranchUpdate(branch=target.branch, old=tip.local, new=commit, ours=sorted(changes.files))
        worktree.update_work_tree(git, target.display_name, update, subject)
    else:
        git.move_branch(target.branch, commit, tip.local, subject)
    return commit
