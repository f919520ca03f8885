"""`publish`, without the printing: the DAGs of a project into the repository that Airflow reads, by one commit or not at all."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from kedro_k8s_airflow import compiler
from kedro_k8s_airflow.config import types
from kedro_k8s_airflow.findings import Finding, refuse, warning
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

TURNS = 2


@dataclass(frozen=True, kw_only=True)
class PublishOptions:
    """What is asked of publishing; what is None is as the settings say.

    Attributes:
        to: folder or address of the repository.
        subfolder: of it, for the DAG files.
        branch, base: to publish to, and to begin it at.
        push: push the branch.
        message: instead of the first line of the commit's message.
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
        where: the repository, as the user names it.
        branch: None for a detached head.
        has: what has the DAGs already when nothing was committed.
        lines: what becomes of each DAG that changes.
        message: of the commit.
        commit: that was made, or that the branch had already; None when nothing was written.
        made: whether a commit was made (or would be).
        pushes: whether it is to be pushed.
        pushed: the remote it was pushed to.
        repaired: whether the work of a killed process was finished first.
        findings: those that stop nothing.
    """

    where: str
    branch: str | None
    has: str
    lines: Sequence[str]
    message: str
    commit: str | None
    made: bool
    pushes: bool
    pushed: str | None
    repaired: bool
    findings: Sequence[Finding]


def publish(request: CompileRequest, options: PublishOptions) -> PublishResult:
    """Publish the DAGs of a project.

    Raises:
        Refused: with everything that is in the way; the target is as it was then.
    """
    compilation = compiler.compile_request(request)
    options = _with_settings(options, compilation)
    made = desired_state.render_desired(request, compilation, allow_tag=options.allow_tag)
    project = compilation.context.project
    source = desired_state.project_commit(
        project.path, compilation.context.lock_path, (project.code, project.conf_folder)
    )
    findings = _said(compilation, source)
    told = str(options.to)
    try:
        with open_target.open_target(
            told, branch=options.branch, base=options.base, push=options.push, dry_run=options.dry_run
        ) as place:
            if place.clone or options.dry_run:
                return _published(place, made, source, options, findings)
            with worktree.lock_worktree(place.git, place.told):
                repaired = place.work is not None and worktree.recover_worktree(place.git, place.told)
                return replace(_published(place, made, source, options, findings), repaired=repaired)
    except GitError as reason:
        raise refuse_git(
            mask_credentials(told), "git cannot do what is asked of it", reason, "Mend what git says above."
        ) from None


def _with_settings(options: PublishOptions, compilation: Compilation) -> PublishOptions:
    """The wish with what the settings say of what it leaves open."""
    settings = compilation.context.settings.publish
    to = options.to
    if to is None:
        if settings.to is None:
            raise refuse(
                "publish-to",
                "--to",
                "nobody says where to publish.",
                "Give a folder or an address, or set publish.to in k8s_airflow.yml.",
            )
        to = resolve_target(settings.to, compilation.context.project.path)
    subfolder = settings.subfolder if options.subfolder is None else resolve_subfolder(options.subfolder)
    base = options.base if options.base is not None else settings.base
    branch = settings.branch if options.branch is None and options.base is None else options.branch
    return replace(options, to=to, subfolder=subfolder, branch=branch, base=base)


def resolve_target(told: str, project: Path) -> str:
    """A target of the settings: a folder there is relative to the project."""
    return told if open_target.is_address(told) else str((project / Path(told).expanduser()).resolve())


def resolve_subfolder(told: str) -> str:
    """A folder of a repository as git writes it; "" for the top.

    Raises:
        Refused: when it is not inside the repository.
    """
    try:
        return types.check_subfolder(told)
    except ValueError as exc:
        raise refuse("publish-folder", "--subfolder", f"{told!r}: {exc}.") from None


def _said(compilation: Compilation, source: ProjectCommit) -> list[Finding]:
    """What is worth saying besides: what `create` warns of, and changes that are not committed."""
    found = [one for one in compilation.findings if one.severity == "warning" and one.code != "image-stale"]
    if source.unreadable is not None:
        found.append(
            warning(
                "publish-uncommitted",
                str(compilation.context.project.path),
                f"git cannot tell the project's commit, so the message of this one leaves it out: {source.unreadable}.",
                "Let git read it (such as by safe.directory), if the commit is to be named.",
            )
        )
    if source.dirty:
        found.append(
            warning(
                "publish-uncommitted",
                str(compilation.context.project.path),
                "the project has changes that are not committed, so that no commit says what was published.",
                "Commit them first.",
            )
        )
    return found


def _published(
    place: PublishTarget,
    made: DesiredState,
    source: ProjectCommit,
    options: PublishOptions,
    findings: Sequence[Finding],
) -> PublishResult:
    """Commit on the target's branch and push it, once more when somebody else was quicker."""
    seen: dict[str, TreeEntry] | None = None
    for _ in range(TURNS):
        tip, told = _prepared(place, place.tip(made.whose, partial(_only_ours, place, made, options)), made, options)
        there = diff.check_ownership(place.git, tip.pushed or tip.start, str(options.subfolder), *made.whose)
        if seen is not None and seen != there and told.files:
            raise refuse(
                "publish-moved",
                place.told,
                f"{made.manifest.whose} was published to {place.shown} by somebody else at the same time.",
                "Look at what they have published; publish again if yours is to be the last.",
            )
        seen = there
        lines = message.describe_changes(told)
        text = message.commit_message(told, lines, made.manifest, source, options.message)
        commit = None if options.dry_run else _committed(place, tip, told, text)
        report = PublishResult(
            where=place.told,
            has=_has(place, tip),
            branch=place.branch,
            lines=lines,
            message=text,
            commit=commit,
            made=bool(told.files),
            pushes=options.push,
            pushed=None,
            repaired=False,
            findings=findings,
        )
        # A new branch that would have nothing of its own is none.
        has_something = told.files or tip.latest is not None
        if not options.push or commit is None or commit == tip.pushed or not has_something:
            return report
        if _push(place, commit, tip.pushed):
            return replace(report, pushed=mask_credentials(str(place.remote)))
    why = f"{place.shown} has moved again and again while this was to be pushed."
    raise refuse("publish-moved", place.told, why, "Publish again.")


def _has(place: PublishTarget, tip: BranchTip) -> str:
    """What has the DAGs already when there is nothing to commit."""
    if tip.latest is None:
        return f"what {place.shown} would begin at"
    lags = place.work is not None and tip.local != tip.latest
    return (
        f"{place.shown} of {mask_credentials(str(place.remote))}, which the checkout lags behind,"
        if lags
        else place.shown
    )


def _only_ours(place: PublishTarget, made: DesiredState, options: PublishOptions, since: str, until: str) -> bool:
    """Whether two commits differ in nothing but what was published from here."""
    return diff.without_others(place.git, since, until, str(options.subfolder), *made.whose)


def _push(place: PublishTarget, commit: str, known: str | None) -> bool:
    """Whether the commit could be pushed; not when the branch has moved."""
    try:
        return place.git.push(str(place.remote), commit, str(place.branch), known) == "pushed"
    except GitError as reason:
        help_text = "Mend what git says above"
        help_text += "." if place.clone else f", then publish again: the commit is on {place.shown} of {place.told}."
        raise refuse_git(place.told, f"{place.shown} could not be pushed", reason, help_text) from None


def _prepared(
    place: PublishTarget, tip: BranchTip, made: DesiredState, options: PublishOptions
) -> tuple[BranchTip, PublishDiff]:
    """What to publish on, and what that changes."""
    told = diff.compare_published(place.git, tip.start, str(options.subfolder), made, force=options.force)
    # What was not pushed yet may still lack its base.
    joins = tip.base is not None and (told.files or tip.latest != tip.pushed)
    return _merged(place, tip, told, made, options) if joins else (tip, told)


def _merged(
    place: PublishTarget, tip: BranchTip, told: PublishDiff, made: DesiredState, options: PublishOptions
) -> tuple[BranchTip, PublishDiff]:
    """A branch that lacks commits of its base, brought onto it when it has nothing but what was published from here."""
    latest, base = str(tip.latest), str(tip.base)
    since = place.git.ask("merge-base", latest, base)
    if since is None or not _only_ours(place, made, options, since, latest):
        return tip, told
    onto = diff.compare_published(place.git, base, str(options.subfolder), made, force=options.force)
    # With nothing to add to the base the branch still has to lose what it has.
    return (replace(tip, start=base, parents=(latest, base)), onto) if onto.files else (tip, told)


def _committed(place: PublishTarget, tip: BranchTip, told: PublishDiff, text: str) -> str | None:
    """Make the commit, and let the branch have it; the commit that the branch is at then."""
    git = place.git
    commit = tip.latest or tip.start
    subject = text.partition("\n")[0]
    try:
        if told.files:
            tree = git.tree(tip.start, told.files, told.modes)
            commit = git.write_commit(tree, tip.parents, text, place.told)
    except OSError as reason:
        message = f"the commit could not be made: {reason.strerror or reason} ({reason.filename or 'temporary files'})."
        raise refuse(
            "publish-git", place.told, message, "Mend that, then publish again: nothing has changed."
        ) from None
    if place.clone or commit is None:
        return commit
    if not told.files and (tip.local is None or tip.latest is None or git.is_ancestor(tip.local, commit)):
        return commit
    place.refuse_in_use()
    if place.work is not None:
        step = BranchUpdate(branch=place.branch, old=tip.local, new=commit, ours=sorted(told.files))
        worktree.apply_update(git, place.told, step, subject)
    else:
        git.move(place.branch, commit, tip.local, subject)
    return commit
