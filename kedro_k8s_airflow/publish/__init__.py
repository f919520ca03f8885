"""`publish`, without the printing: the DAGs of a project into the repository that Airflow reads, by one commit or not at all."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from kedro_k8s_airflow import dag, examination, fields, narrowing
from kedro_k8s_airflow.checks.table import RULES
from kedro_k8s_airflow.checks.table import findings as found_by
from kedro_k8s_airflow.findings import Finding, Refused, error, refuse, warning
from kedro_k8s_airflow.image.lock import UNBUILT
from kedro_k8s_airflow.publish import changes, checkout, message, record, target
from kedro_k8s_airflow.publish.changes import Wanted
from kedro_k8s_airflow.publish.git import Failed, Git, failed
from kedro_k8s_airflow.publish.message import Source
from kedro_k8s_airflow.publish.record import Manifest, Published

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from kedro_k8s_airflow.asked import Asked
    from kedro_k8s_airflow.checks import Subject
    from kedro_k8s_airflow.examination import Examined
    from kedro_k8s_airflow.plan import Plan
    from kedro_k8s_airflow.publish.changes import Changes
    from kedro_k8s_airflow.publish.target import Target, Tip

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
        where: the repository, as the user names it, and the branch.
        branch: None for a detached head.
        lines: what becomes of each DAG that changes.
        message: of the commit.
        commit: that was made, or that the branch had already; None when nothing was written.
        made: whether a commit was made (or would be).
        pushed: the remote it was pushed to.
        repaired: whether the work of a killed process was finished first.
        findings: those that stop nothing.
    """

    where: str
    branch: str | None
    lines: Sequence[str]
    message: str
    commit: str | None
    made: bool
    pushed: str | None
    repaired: bool
    findings: Sequence[Finding]


def publish(asked: Asked, wish: Wish) -> Report:
    """Publish the DAGs of a project.

    Raises:
        Refused: with everything that is in the way; the target is as it was then.
    """
    examined = examination.examined(asked)
    wish = _with_settings(wish, examined)
    wanted = rendered(asked, examined, allow_tag=wish.allow_tag)
    folder = str(wish.subfolder)
    source = _source(examined.subject.project.path, examined.subject.lock)
    with target.opened(str(wish.to), branch=wish.branch, base=wish.base, push=wish.push, dry_run=wish.dry_run) as place:
        if place.clone or wish.dry_run:
            return _publish(place, folder, wanted, source, wish, _said(examined, source))
        with checkout.locked(place.git, place.told):
            repaired = place.work is not None and checkout.recover(place.git, place.told)
            made = _publish(place, folder, wanted, source, wish, _said(examined, source))
            return replace(made, repaired=repaired)


def rendered(asked: Asked, examined: Examined, *, allow_tag: bool) -> Wanted:
    """The DAG files of a project, the same as `create` writes, with the manifest that says so.

    Raises:
        Refused: when there are errors, an image is stale, or one is not named by a digest where it has to be.
    """
    plans = narrowing.narrowed(examined.subject.project, examined.plans())
    errors = [*stale(examined.subject), *_tags(examined.subject, plans, allow_tag=allow_tag)]
    if errors:
        raise Refused(errors)
    return texts(asked, examined, plans)


def texts(asked: Asked, examined: Examined, plans: Sequence[Plan]) -> Wanted:
    """The files of some plans."""
    command = f"kedro k8s-airflow create{asked.options}"
    written = {f"{plan.dag_id}.py": dag.render(plan, command=command) for plan in plans}
    files = {
        path: Published(
            sha256=record.sha256(text.encode()),
            dag_id=plan.dag_id,
            pipeline=plan.pipeline,
            images={task.image_name or task.image: task.image for task in plan.tasks},
        )
        for (path, text), plan in zip(written.items(), plans, strict=True)
    }
    manifest = Manifest(
        project=examined.subject.project.package,
        name=str(asked.metadata.project_name),
        environment=asked.env,
        files=files,
    )
    return Wanted(manifest=manifest, texts=written)


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
        to = place(told.to, examined.subject.project.path)
    subfolder = told.subfolder if wish.subfolder is None else folder(wish.subfolder)
    base = wish.base if wish.base is not None else told.base
    branch = told.branch if wish.branch is None and wish.base is None else wish.branch
    return replace(wish, to=to, subfolder=subfolder, branch=branch, base=base)


def place(told: str, project: Path) -> str:
    """A target of the settings: a folder there is relative to the project."""
    return told if target.is_address(told) else str(project / Path(told).expanduser())


def folder(told: str) -> str:
    """A folder of a repository as git writes it; "" for the top.

    Raises:
        Refused: when it is not inside the repository.
    """
    try:
        return fields.subfolder(told)
    except ValueError as exc:
        raise refuse("publish-folder", "--subfolder", f"{told!r}: {exc}.") from None


def _said(examined: Examined, source: Source) -> list[Finding]:
    """What is worth saying besides: what `create` warns of, and changes that are not committed."""
    found = [one for one in examined.findings if one.severity == "warning" and one.code != "image-stale"]
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


def stale(subject: Subject) -> Iterable[Finding]:
    """Errors for images that were built from something else, whatever the settings leave unsaid."""
    for found in found_by(RULES["image-stale"], subject):
        yield error(
            "publish-stale", found.where, found.why, "Build and push it again: kedro k8s-airflow build-image --push."
        )


def _tags(subject: Subject, plans: Sequence[Plan], *, allow_tag: bool) -> Iterable[Finding]:
    """Errors for images whose names may mean something else tomorrow, or nothing at all."""
    used: dict[tuple[str, str | None], str] = {}
    for plan in plans:
        for task in plan.tasks:
            used.setdefault((task.image, task.image_name), f"dag {plan.dag_id!r}")
    for (image, name), where in used.items():
        unbuilt = name is not None and image.endswith(UNBUILT) and name not in subject.built
        if "@" in image or (allow_tag and not unbuilt):
            continue
        if name is None:
            why = f"names the image {image} by a tag, which may be another image tomorrow."
            yield error("publish-tag", where, why, "Name it by its digest, or allow it with --allow-tag.")
        elif unbuilt:
            why = f"names the image {image}, and no image was built."
            yield error("publish-tag", where, why, "Build and push it: kedro k8s-airflow build-image --push.")
        else:
            why = f"names the image {image} by a tag, which may be another image tomorrow."
            mend = "Push it, so that the lock has its digest: kedro k8s-airflow build-image --push; or allow it with --allow-tag."
            yield error("publish-tag", where, why, mend)


def _source(project: Path, lock: Path) -> Source:
    """The commit that a project is at."""
    git = Git(project)
    commit = git.commit("HEAD")
    if commit is None:
        return Source(commit=None)
    told = git.asked("status", "--porcelain", "-z", "--no-renames", "--untracked-files=no", "--", ".") or ""
    top = Path(git.text("rev-parse", "--show-toplevel"))
    # In CI the lock is what the step before has written.
    changed = [line[3:] for line in told.split("\0") if line and (top / line[3:]).resolve() != lock.resolve()]
    return Source(commit=commit, dirty=bool(changed))


def _publish(
    place: Target, folder: str, wanted: Wanted, source: Source, wish: Wish, findings: Sequence[Finding]
) -> Report:
    """Commit on the target's branch and push it, once more when somebody else was quicker."""
    ours = (wanted.manifest.project, wanted.manifest.environment)
    first: dict[str, object] | None = None
    for _ in range(TURNS):
        tip = place.tip(ours)
        start = tip.start
        told = _compare(place, start, folder, wanted, wish)
        if told.files and tip.latest and tip.latest != start:
            # Nothing to add to a branch that has it already, whatever its base has got since.
            same = _compare(place, tip.latest, folder, wanted, wish, quiet=True)
            if same is not None and not same.files:
                told, start = same, tip.latest
        elif told.files and tip.base is not None:
            tip, told = _merged(place, tip, folder, wanted, wish, told, ours)
            start = tip.start
        state: dict[str, object] = dict(changes.owned(place.git, start, folder, *ours))
        if first is not None and first != state and told.files:
            raise refuse(
                "publish-moved",
                place.told,
                f"{wanted.manifest.whose} was published to {place.shown} by somebody else at the same time.",
                "Look at what they have published; publish again if yours is to be the last.",
            )
        first = state
        text = message.commit(told, wanted.manifest, source, wish.message)
        report = Report(
            where=place.told,
            branch=place.branch,
            lines=message.lines(told),
            message=text,
            commit=start,
            made=bool(told.files),
            pushed=None,
            repaired=False,
            findings=findings,
        )
        if wish.dry_run:
            return replace(report, commit=None)
        commit = _committed(place, tip, told, text)
        report = replace(report, commit=commit)
        if not wish.push or commit is None or place.remote is None or place.branch is None or tip.pushed == commit:
            return report
        if tip.latest is None and not told.files:
            return report  # a branch that would have nothing of its own
        try:
            if place.git.push(place.remote, commit, place.branch) == "pushed":
                return replace(report, pushed=place.remote)
        except Failed as reason:
            mend = "Mend what git says above"
            mend += "." if place.clone else f", then publish again: the commit is on {place.shown} of {place.told}."
            raise failed(place.told, f"{place.shown} could not be pushed", reason, mend) from None
    raise refuse(
        "publish-moved",
        place.told,
        f"{place.shown} has moved again and again while this was to be pushed.",
        "Publish again.",
    )


def _compare(
    place: Target, commit: str | None, folder: str, wanted: Wanted, wish: Wish, *, quiet: bool = False
) -> Changes:
    try:
        return changes.compare(place.git, commit, folder, wanted, force=wish.force or quiet)
    except Failed as reason:
        raise failed(place.told, "git cannot read it", reason) from None


def _merged(
    place: Target, tip: Tip, folder: str, wanted: Wanted, wish: Wish, told: Changes, ours: tuple[str, str | None]
) -> tuple[Tip, Changes]:
    """A branch that lacks commits of its base, brought onto it when it has nothing but what was published from here."""
    git = place.git
    latest, base = str(tip.latest), str(tip.base)
    since = git.asked("merge-base", latest, base)
    if since is None:
        return tip, told
    mine = {*told.files, *changes.owned(git, latest, folder, *ours), *changes.owned(git, since, folder, *ours)}
    mine.add(f"{folder}/{record.IGNORE}".lstrip("/"))
    before, now = git.entries(since), git.entries(latest)
    if any(before.get(path) != now.get(path) for path in {**before, **now} if path not in mine):
        return tip, told
    return replace(tip, start=base, parents=(latest, base)), _compare(place, base, folder, wanted, wish)


def _committed(place: Target, tip: Tip, told: Changes, text: str) -> str | None:
    """Make the commit, and let the branch have it; the commit that the branch is at then."""
    git = place.git
    try:
        commit = tip.latest or tip.start
        if told.files:
            tree = git.tree(tip.start, told.files, told.modes)
            commit = git.write_commit(tree, tip.parents, text)
        if place.clone or commit is None:
            return commit
        if not told.files and (tip.local is None or git.is_ancestor(tip.local, commit)):
            return commit
        if place.work is not None:
            ours = sorted(told.files)
            step = checkout.Step(branch=place.branch, old=tip.local, new=commit, ours=ours)
            checkout.apply(git, place.told, step, text.partition("\n")[0])
        else:
            git.move(place.branch, commit, tip.local, text.partition("\n")[0])
    except Failed as reason:
        raise failed(place.told, "git could not commit", reason) from None
    return commit
