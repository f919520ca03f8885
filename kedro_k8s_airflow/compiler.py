"""Read, plan, check: what every command knows of a project before it makes anything of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kedro_k8s_airflow import checks, project
from kedro_k8s_airflow.checks import Subject
from kedro_k8s_airflow.config import loader
from kedro_k8s_airflow.config.loader import Sources
from kedro_k8s_airflow.findings import Refused, refuse
from kedro_k8s_airflow.image import lock
from kedro_k8s_airflow.image.spec import spec as image_spec
from kedro_k8s_airflow.locations import Locator
from kedro_k8s_airflow.plan import builder, pipeline_narrowing, task_rules

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from kedro_k8s_airflow.config.models import Settings
    from kedro_k8s_airflow.files import Output
    from kedro_k8s_airflow.findings import Finding
    from kedro_k8s_airflow.plan.model import Plan
    from kedro_k8s_airflow.project import Project
    from kedro_k8s_airflow.request import Asked


@dataclass(frozen=True)
class Examined:
    """A project with its plans, and everything there is to say about them.

    Attributes:
        subject: what was looked at.
        ignored: codes that the settings leave unsaid.
        findings: errors among them; without those that are left unsaid.
    """

    subject: Subject
    ignored: frozenset[str]
    findings: tuple[Finding, ...]

    @property
    def errors(self) -> list[Finding]:
        """What stops `create`."""
        return [finding for finding in self.findings if finding.severity == "error"]

    def plans(self) -> list[Plan]:
        """The plans of all DAGs.

        Raises:
            Refused: with every error found.
        """
        if self.errors:
            raise Refused(self.errors)
        return self.subject.plans

    def doubtful_plans(self) -> list[Plan]:
        """The plans of all DAGs with errors or without, to be looked at; each task with the pipeline that it loads.

        Raises:
            Refused: with every error found, when one of them kept a plan from being made.
        """
        if any(draft.plan is None for draft in self.subject.drafts):
            raise Refused(self.errors)
        return pipeline_narrowing.narrowed(self.subject.project, self.subject.plans)


def examined(asked: Asked, *, new_lock: bool = False) -> Examined:
    """A project, read, planned and checked.

    Args:
        asked: the project, and how it is to be read.
        new_lock: whether the image lock that is asked for may be one that is yet to be written.

    Raises:
        Refused: when the project or its settings cannot be read, or it cannot be said which DAGs there are to be.
    """
    return of(
        _read(asked),
        pipelines=asked.pipelines,
        everything=asked.everything,
        lock_file=asked.lock_file,
        new_lock=new_lock,
    )


def _read(asked: Asked) -> Project:
    return project.read(asked.metadata, env=asked.env, conf_source=asked.conf_source, runtime_params=asked.params)


def of(
    read: Project,
    told: Settings | None = None,
    *,
    pipelines: Sequence[str] = (),
    everything: bool = False,
    lock_file: Path | None = None,
    new_lock: bool = False,
    images: Mapping[str, str] | None = None,
) -> Examined:
    """A project that was read, planned and checked.

    Args:
        read: the project.
        told: other settings than its own.
        pipelines: as in `Asked`, like the next two.
        everything: a DAG for each pipeline.
        lock_file: the image lock.
        new_lock: whether that may be yet to be written.
        images: references of images, instead of those of the lock.

    Raises:
        Refused: when its settings cannot be used, or it cannot be said which DAGs there are to be.
    """
    sources = Sources(project.settings_files(read) if told is None else [], read.path)
    if told is None:
        told = loader.check(read.settings, sources.files, read.path)
    ignored = checks.codes(told.checks.ignore, sources.where(("checks", "ignore")), ignoring=True)
    path = read.path / (lock_file or lock.NAME)
    if lock_file is not None and not path.is_file() and not new_lock:
        raise refuse("image-lock", str(lock_file), "there is no such file.", "Name the lock that build-image wrote.")
    built = lock.read(path)
    references = {**lock.references(told, built), **(images or {})}
    ruled = task_rules.rules(told, read.pipelines, sources)
    drafts, found = builder.drafts(read, told, ruled, references, pipelines=pipelines, everything=everything)
    found += [*ruled.findings, *(error for draft in drafts for error in draft.errors)]
    spec: list[Output] = []
    try:
        spec, said = image_spec(read, told, sources)
    except Refused as refused:
        said = list(refused.findings)
    subject = Subject(
        project=read,
        settings=told,
        ruled=ruled,
        sources=sources,
        drafts=drafts,
        spec=spec,
        lock=path,
        built=built,
    )
    everything_said = [*read.findings, *found, *said, *checks.run(subject)]
    return Examined(subject, ignored, tuple(checks.without(dict.fromkeys(everything_said), ignored)))


@dataclass(frozen=True)
class Checked:
    """What `check` came to.

    Attributes:
        findings: all of them, errors first.
        locate: says where each is.
        could_run: whether the project could be read.
    """

    findings: tuple[Finding, ...]
    locate: Locator
    could_run: bool = True


def checked(asked: Asked) -> Checked:
    """Everything there is to say about a project. Nothing is refused."""
    root = Path(asked.metadata.project_path).resolve()
    try:
        read = _read(asked)
    except Refused as refused:
        return Checked(_errors_first(refused.findings), Locator(root), could_run=False)
    try:
        found = of(read, pipelines=asked.pipelines, everything=asked.everything, lock_file=asked.lock_file)
    except Refused as refused:
        return Checked(_errors_first([*refused.findings, *read.findings]), Locator(root, read))
    plans = found.subject.plans
    alone = pipeline_narrowing.unloadable(read, plans)
    return Checked(_errors_first(dict.fromkeys([*found.findings, *alone])), Locator(root, read, plans))


def _errors_first(found: Iterable[Finding]) -> tuple[Finding, ...]:
    order = ("error", "warning", "info")
    return tuple(sorted(found, key=lambda one: order.index(one.severity)))
