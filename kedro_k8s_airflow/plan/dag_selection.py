"""Which DAGs to make: those of the settings, or those that the command line names."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from kedro_k8s_airflow.findings import Finding, Refused, error, refuse, warning
from kedro_k8s_airflow.locations import Location
from kedro_k8s_airflow.text import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from kedro_k8s_airflow.config.models import DagSettings
    from kedro_k8s_airflow.diagnostics import Diagnostics
    from kedro_k8s_airflow.plan.context import PlanContext
    from kedro_k8s_airflow.plan.model import Plan
    from kedro_k8s_airflow.project.model import Project

DEFAULT_PIPELINE = "__default__"
_REGISTRY = Location(subject="pipeline registry")


@dataclass(frozen=True, slots=True)
class SelectedDag:
    """A DAG to make: its name, its pipeline and its settings."""

    name: str
    pipeline: str
    settings: DagSettings


def select_dags(
    context: PlanContext, diagnostics: Diagnostics, pipelines: Sequence[str], *, all_pipelines: bool
) -> list[SelectedDag]:
    """Return the DAGs to make: those of the settings, or those that the command line names.

    Raises:
        Refused: when a pipeline is not registered, or has no nodes.
    """
    project, settings = context.project, context.settings
    configured = [
        SelectedDag(name, dag_settings.pipeline or name, settings.dag.overlay_with(dag_settings))
        for name, dag_settings in settings.dags.items()
    ]
    for dag in configured:
        if dag.pipeline not in project.pipelines:
            raise _unknown_pipeline(context.location_of("dags", dag.name), dag.pipeline, project)
    for name in pipelines:
        if name not in project.pipelines:
            raise _unknown_pipeline(Location(subject="--pipeline"), name, project)
    if all_pipelines:
        names = list(project.pipelines)
    elif pipelines:
        names = list(dict.fromkeys(pipelines))
    elif configured:
        _check_dags(configured, context)
        return configured
    else:
        names = [DEFAULT_PIPELINE]
    if names == [DEFAULT_PIPELINE] and DEFAULT_PIPELINE not in project.pipelines:
        raise _unknown_pipeline(_REGISTRY, DEFAULT_PIPELINE, project)
    selected = [dag for dag in configured if all_pipelines or dag.pipeline in names]
    covered = {dag.pipeline for dag in selected}
    selected += [SelectedDag(name, name, settings.dag) for name in names if name not in covered]
    if all_pipelines:
        empty = [dag for dag in selected if not project.pipelines[dag.pipeline]]
        for dag in empty:
            diagnostics.warning(
                "pipeline-skipped", Location(pipeline=dag.pipeline), "has no nodes, so no DAG is made of it."
            )
        if len(empty) < len(selected):
            selected = [dag for dag in selected if dag not in empty]
    _check_dags(selected, context)
    return selected


def _check_dags(dags: Sequence[SelectedDag], context: PlanContext) -> None:
    """Check that Airflow can run the DAGs.

    Raises:
        Refused: naming the first problem.
    """
    if not dags:
        raise _no_pipelines()
    for dag in dags:
        location = replace(context.location_of("dag"), dag=dag.name)
        if dag.settings.schedule == "@continuous" and dag.settings.max_active_runs != 1:
            message = "the schedule @continuous allows only one active run."
            raise refuse("schedule", location, message, "Set max_active_runs to 1.")
        end = dag.settings.end_date
        if end is not None and end < dag.settings.start_date:
            message = f"end_date {end:%Y-%m-%d} is before start_date {dag.settings.start_date:%Y-%m-%d}."
            raise refuse("schedule", location, message, "Correct start_date or end_date.")
        if not context.project.pipelines[dag.pipeline]:
            raise refuse(
                "pipeline-empty",
                Location(pipeline=dag.pipeline),
                "has no nodes, so there is nothing to run.",
                "Register nodes in it, or name another pipeline with --pipeline.",
            )


def _no_pipelines() -> Refused:
    message = "the project does not register any pipeline."
    return refuse("registry", _REGISTRY, message, "Create one with `kedro pipeline create`.")


def _unknown_pipeline(location: Location, name: str, project: Project) -> Refused:
    known = sorted(project.pipelines)
    if not known:
        return _no_pipelines()
    help_text = did_you_mean(name, known, otherwise=f"Registered are {', '.join(map(repr, known[:20]))}.")
    return refuse("pipeline", location, f"pipeline {name!r} is not registered.", help_text)


def find_duplicate_ids(plans: Iterable[Plan], context: PlanContext) -> Iterable[Finding]:
    """Yield an error for each plan that has the dag_id of another, and a warning where only the case differs."""
    seen: dict[str, Plan] = {}
    by_lower_case: dict[str, Plan] = {}
    for plan in plans:
        if plan.dag_id in seen:
            other = seen[plan.dag_id]
            yield error(
                "dag-id",
                replace(context.location_of("dags"), dag=plan.name),
                f"DAG {other.name!r} (pipeline {other.pipeline!r}) and DAG {plan.name!r} "
                f"(pipeline {plan.pipeline!r}) would both have the dag_id {plan.dag_id!r}.",
                "Rename one of them.",
            )
        elif plan.dag_id.lower() in by_lower_case:
            other = by_lower_case[plan.dag_id.lower()]
            yield warning(
                "dag-case",
                replace(context.location_of("dags", plan.name), dag=plan.name),
                f"its file {plan.dag_id}.py differs from {other.dag_id}.py, that of DAG {other.name!r}, only by case. "
                "On a disk that ignores case, as on macOS and Windows, one replaces the other.",
                "Rename one of them.",
            )
        seen[plan.dag_id] = plan
        by_lower_case.setdefault(plan.dag_id.lower(), plan)
