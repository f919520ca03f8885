"""The compiler's entry: read, plan and check a project. Every command starts here."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from kedro_k8s_airflow import checks
from kedro_k8s_airflow.checks import CheckContext
from kedro_k8s_airflow.config import loader
from kedro_k8s_airflow.config.loader import SettingsSources
from kedro_k8s_airflow.diagnostics import Diagnostics
from kedro_k8s_airflow.findings import SEVERITIES, Refused, refuse
from kedro_k8s_airflow.image import lock
from kedro_k8s_airflow.image.spec import build_image_spec
from kedro_k8s_airflow.locations import Location
from kedro_k8s_airflow.plan import builder, pipeline_narrowing, task_rules
from kedro_k8s_airflow.plan.context import PlanContext
from kedro_k8s_airflow.project.reader import find_settings_files, read_project

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from kedro_k8s_airflow.config.models import Settings
    from kedro_k8s_airflow.files import OutputFile
    from kedro_k8s_airflow.findings import Finding
    from kedro_k8s_airflow.plan.model import Plan
    from kedro_k8s_airflow.project.model import Project
    from kedro_k8s_airflow.request import CompileRequest


@dataclass(frozen=True)
class Compilation:
    """A compiled project: its plans and its findings.

    Attributes:
        context: what the checks looked at.
        ignored_codes: codes that the settings ignore.
        findings: all but the ignored ones.
    """

    context: CheckContext
    ignored_codes: frozenset[str]
    findings: tuple[Finding, ...]

    @property
    def errors(self) -> list[Finding]:
        """The findings that stop `create`."""
        return [finding for finding in self.findings if finding.severity == "error"]

    @cached_property
    def _complete_plans(self) -> list[Plan]:
        """Every plan, with the registered pipeline that each pod loads."""
        return pipeline_narrowing.narrow_pipelines(self.context.project, self.context.plans)

    def plans(self) -> list[Plan]:
        """Return the plans of all DAGs, complete.

        Raises:
            Refused: with every error found.
        """
        if self.errors:
            raise Refused(self.errors)
        return self._complete_plans

    def plans_despite_errors(self) -> list[Plan]:
        """Return the plans of all DAGs whether or not there are errors, to be looked at.

        Raises:
            Refused: with every error found, when one of them kept a plan from being made.
        """
        if any(draft.plan is None for draft in self.context.drafts):
            raise Refused(self.errors)
        return self._complete_plans

    def with_images(self, request: CompileRequest, images: Mapping[str, str]) -> Compilation:
        """Return the same project compiled with other references for some of its images."""
        return compile_project(self.context.project, lock_file=request.lock_file, images=images)


def compile_request(request: CompileRequest, *, new_lock: bool = False) -> Compilation:
    """Read, plan and check a project.

    Args:
        request: the project, and how it is to be read.
        new_lock: whether the given image lock may not exist yet.

    Raises:
        Refused: when the project or its settings cannot be read, or the DAGs cannot be selected.
    """
    return compile_project(
        _read_project(request),
        pipelines=request.pipelines,
        all_pipelines=request.all_pipelines,
        lock_file=request.lock_file,
        new_lock=new_lock,
    )


def _read_project(request: CompileRequest) -> Project:
    return read_project(
        request.metadata, env=request.env, conf_source=request.conf_source, runtime_params=request.params
    )


def compile_project(
    project: Project,
    settings: Settings | None = None,
    *,
    pipelines: Sequence[str] = (),
    all_pipelines: bool = False,
    lock_file: Path | None = None,
    new_lock: bool = False,
    images: Mapping[str, str] | None = None,
) -> Compilation:
    """Plan and check a project that was read.

    Args:
        project: the project.
        settings: used instead of the project's own.
        pipelines: see `CompileRequest`, like the next two.
        all_pipelines: a DAG for each pipeline.
        lock_file: the image lock.
        new_lock: whether the image lock may not exist yet.
        images: references of images that override those of the lock.

    Raises:
        Refused: when its settings cannot be used, or the DAGs cannot be selected.
    """
    sources = SettingsSources(find_settings_files(project) if settings is None else [], project.path)
    if settings is None:
        settings = loader.load_settings(project.settings, sources.files, project.path)
    ignored_codes = checks.resolve_codes(
        settings.checks.ignore, sources.location_of(("checks", "ignore")), ignoring=True
    )
    lock_path = project.path / (lock_file or lock.LOCK_NAME)
    if lock_file is not None and not lock_path.exists() and not new_lock:
        location = Location(file=str(lock_file))
        raise refuse("image-lock", location, "does not exist.", "Name the lock that build-image wrote.")
    locked_images = lock.read_lock(lock_path)
    rules = task_rules.build_task_rules(settings, project.pipelines, sources)
    diagnostics = Diagnostics()
    diagnostics.extend(project.findings)
    plan_context = PlanContext(
        project=project,
        settings=settings,
        task_rules=rules,
        image_references={**lock.resolve_image_references(settings, locked_images), **(images or {})},
    )
    drafts = builder.draft_dags(plan_context, diagnostics, pipelines=pipelines, all_pipelines=all_pipelines)
    diagnostics.extend(rules.findings)
    for draft in drafts:
        diagnostics.extend(draft.errors)
    image_spec: list[OutputFile] = []
    with diagnostics.collecting():
        image_spec, spec_findings = build_image_spec(project, settings, sources)
        diagnostics.extend(spec_findings)
    context = CheckContext(
        project=project,
        settings=settings,
        task_rules=rules,
        sources=sources,
        drafts=drafts,
        image_spec=image_spec,
        lock_path=lock_path,
        locked_images=locked_images,
    )
    diagnostics.extend(checks.run_rules(context))
    findings = checks.without_ignored(dict.fromkeys(diagnostics.findings), ignored_codes)
    return Compilation(context, ignored_codes, tuple(findings))


@dataclass(frozen=True)
class CheckResult:
    """What `check` found.

    Attributes:
        findings: all of them, errors first.
        root: the project's folder.
        project: as it was read; None when it could not be.
        plans: those that could be made.
    """

    findings: tuple[Finding, ...]
    root: Path
    project: Project | None = None
    plans: tuple[Plan, ...] = ()


def check_request(request: CompileRequest) -> CheckResult:
    """Return everything there is to report about a project. Nothing is refused."""
    root = Path(request.metadata.project_path).resolve()
    try:
        project = _read_project(request)
    except Refused as refused:
        return CheckResult(_errors_first(refused.findings), root)
    try:
        compilation = compile_project(
            project, pipelines=request.pipelines, all_pipelines=request.all_pipelines, lock_file=request.lock_file
        )
    except Refused as refused:
        return CheckResult(_errors_first([*refused.findings, *project.findings]), root, project)
    plans = compilation.context.plans
    unloadable = pipeline_narrowing.find_unloadable(project, plans)
    findings = _errors_first(dict.fromkeys([*compilation.findings, *unloadable]))
    return CheckResult(findings, root, project, tuple(plans))


def _errors_first(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    return tuple(sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity)))
