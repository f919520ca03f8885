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
from kedro_k8s_airflow.publish.git import Failed, failed, plain
from kedro_k8s_airflow.publish.git_index import Step

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kedro_k8s_airflow.compiler import Examined
    from kedro_k8s_airflow.publish.desired_state import Source, Wanted
    from kedro_k8s_airflow.publish.diff import Changes
    from kedro_k8s_airflow.publish.git import Entry
    from kedro_k8s_airflow.publish.target import Target, Tip
    from kedro_k8s_airflow.request import Asked

TURNS = 2


@dataclass(frozen=True, kw_only=True)
class Wish:
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
class Report:
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


def publish(asked: Asked, wish: Wish) -> Report:
    """Publish the DAGs of a project.

    Raises:
        Refused: with everything that is in the way; the target is as it was then.
    """
    examined = compiler.examined(asked)
    wish = _with_settings(wish, examined)
    made = desired_state.rendered(asked, examined, allow_tag=wish.allow_tag)
    project = examined.subject.project
    source = desired_state.source(project.path, examined.subject.lock, (project.code, project.conf_folder))
    findings = _said(examined, source)
    told = str(wish.to)
    try:
        with open_target.opened(
            told, branch=wish.branch, base=wish.base, push=wish.push, dry_run=wish.dry_run
        ) as place:
            if place.clone or wish.dry_run:
                return _published(place, made, source, wish, findings)
            with worktree.locked(place.git, place.told):
                repaired = place.work is not None and worktree.recover(place.git, place.told)
                return replace(_published(place, made, source, wish, findings), repaired=repaired)
    except Failed as reason:
        raise failed(plain(told), "git cannot do what is asked of it", reason, "Mend what git says above.") from None


def _with_settings(wish: Wish, examined: Examined) -> Wish:
    """The wish with what the settings say of what it leaves open."""
    told = examined.subject.settings.publish
    to = wish.to
    if to is None:
        if told.to is None:
            raise refuse(
                "publish-to",
                "--to",
                "nobody says where to publish.",
                "Give a folder or an address, or set publish.to in k8s_airflow.yml.",
            )
        to = resolved(told.to, examined.subject.project.path)
    subfolder = told.subfolder if wish.subfolder is None else folder(wish.subfolder)
    base = wish.base if wish.base is not None else told.base
    branch = told.branch if wish.branch is None and wish.base is None else wish.branch
    return replace(wish, to=to, subfolder=subfolder, branch=branch, base=base)


def resolved(told: str, project: Path) -> str:
    """A target of the settings: a folder there is relative to the project."""
    return told if open_target.is_address(told) else str((project / Path(told).expanduser()).resolve())


def folder(told: str) -> str:
    """A folder of a repository as git writes it; "" for the top.

    Raises:
        Refused: when it is not inside the repository.
    """
    try:
        return types.subfolder(told)
    except ValueError as exc:
        raise refuse("publish-folder", "--subfolder", f"{told!r}: {exc}.") from None


def _said(examined: Examined, source: Source) -> list[Finding]:
    """What is worth saying besides: what `create` warns of, and changes that are not committed."""
    found = [one for one in examined.findings if one.severity == "warning" and one.code != "image-stale"]
    if source.unreadable is not None:
        found.append(
            warning(
                "publish-uncommitted",
                str(examined.subject.project.path),
                f"git cannot tell the project's commit, so the message of this one leaves it out: {source.unreadable}.",
                "Let git read it (such as by safe.directory), if the commit is to be named.",
            )
        )
    if source.dirty:
        found.append(
            warning(
                "publish-uncommitted",
                str(examined.subject.project.path),
                "the project has changes that are not committed, so that no commit says what was published.",
                "Commit them first.",
            )
        )
    return found


def _published(place: Target, made: Wanted, source: Source, wish: Wish, findings: Sequence[Finding]) -> Report:
    """Commit on the target's branch and push it, once more when somebody else was quicker."""
    seen: dict[str, Entry] | None = None
    for _ in range(TURNS):
        tip, told = _prepared(place, place.tip(made.whose, partial(_only_ours, place, made, wish)), made, wish)
        there = diff.owned(place.git, tip.pushed or tip.start, str(wish.subfolder), *made.whose)
        if seen is not None and seen != there and told.files:
            raise refuse(
                "publish-moved",
                place.told,
                f"{made.manifest.whose} was published to {place.shown} by somebody else at the same time.",
                "Look at what they have published; publish again if yours is to be the last.",
            )
        seen = there
        lines = message.lines(told)
        text = message.commit(told, lines, made.manifest, source, wish.message)
        commit = None if wish.dry_run else _committed(place, tip, told, text)
        report = Report(
            where=place.told,
            has=_has(place, tip),
            branch=place.branch,
            lines=lines,
            message=text,
            commit=commit,
            made=bool(told.files),
            pushes=wish.push,
            pushed=None,
            repaired=False,
            findings=findings,
        )
        # A new branch that would have nothing of its own is none.
        has_something = told.files or tip.latest is not None
        if not wish.push or commit is None or commit == tip.pushed or not has_something:
            return report
        if _push(place, commit, tip.pushed):
            return replace(report, pushed=plain(str(place.remote)))
    why = f"{place.shown} has moved again and again while this was to be pushed."
    raise refuse("publish-moved", place.told, why, "Publish again.")


def _has(place: Target, tip: Tip) -> str:
    """What has the DAGs already when there is nothing to commit."""
    if tip.latest is None:
        return f"what {place.shown} would begin at"
    lags = place.work is not None and tip.local != tip.latest
    return f"{place.shown} of {plain(str(place.remote))}, which the checkout lags behind," if lags else place.shown


def _only_ours(place: Target, made: Wanted, wish: Wish, since: str, until: str) -> bool:
    """Whether two commits differ in nothing but what was published from here."""
    return diff.only_ours(place.git, since, until, str(wish.subfolder), *made.whose)


def _push(place: Target, commit: str, known: str | None) -> bool:
    """Whether the commit could be pushed; not when the branch has moved."""
    try:
        return place.git.push(str(place.remote), commit, str(place.branch), known) == "pushed"
    except Failed as reason:
        mend = "Mend what git says above"
        mend += "." if place.clone else f", then publish again: the commit is on {place.shown} of {place.told}."
        raise failed(place.told, f"{place.shown} could not be pushed", reason, mend) from None


def _prepared(place: Target, tip: Tip, made: Wanted, wish: Wish) -> tuple[Tip, Changes]:
    """What to publish on, and what that changes."""
    told = diff.compare(place.git, tip.start, str(wish.subfolder), made, force=wish.force)
    # What was not pushed yet may still lack its base.
    joins = tip.base is not None and (told.files or tip.latest != tip.pushed)
    return _merged(place, tip, told, made, wish) if joins else (tip, told)


def _merged(place: Target, tip: Tip, told: Changes, made: Wanted, wish: Wish) -> tuple[Tip, Changes]:
    """A branch that lacks commits of its base, brought onto it when it has nothing but what was published from here."""
    latest, base = str(tip.latest), str(tip.base)
    since = place.git.asked("merge-base", latest, base)
    if since is None or not _only_ours(place, made, wish, since, latest):
        return tip, told
    onto = diff.compare(place.git, base, str(wish.subfolder), made, force=wish.force)
    # With nothing to add to the base the branch still has to lose what it has.
    return (replace(tip, start=base, parents=(latest, base)), onto) if onto.files else (tip, told)


def _committed(place: Target, tip: Tip, told: Changes, text: str) -> str | None:
    """Make the commit, and let the branch have it; the commit that the branch is at then."""
    git = place.git
    commit = tip.latest or tip.start
    subject = text.partition("\n")[0]
    try:
        if told.files:
            tree = git.tree(tip.start, told.files, told.modes)
            commit = git.write_commit(tree, tip.parents, text, place.told)
    except OSError as reason:
        why = f"the commit could not be made: {reason.strerror or reason} ({reason.filename or 'temporary files'})."
        raise refuse("publish-git", place.told, why, "Mend that, then publish again: nothing has changed.") from None
    if place.clone or commit is None:
        return commit
    if not told.files and (tip.local is None or tip.latest is None or git.is_ancestor(tip.local, commit)):
        return commit
    place.refuse_in_use()
    if place.work is not None:
        step = Step(branch=place.branch, old=tip.local, new=commit, ours=sorted(told.files))
        worktree.apply(git, place.told, step, subject)
    else:
        git.move(place.branch, commit, tip.local, subject)
    return commit
