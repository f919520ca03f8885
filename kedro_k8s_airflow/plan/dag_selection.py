"""Which DAGs are to be: those of the settings, or those that the command line asks for."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kedro_k8s_airflow.findings import Finding, Refused, error, refuse, warning
from kedro_k8s_airflow.locations import Location

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from kedro_k8s_airflow.config.models import DagSettings, Settings
    from kedro_k8s_airflow.plan.model import Plan
    from kedro_k8s_airflow.project import Project

DEFAULT_PIPELINE = "__default__"


@dataclass(frozen=True, slots=True)
class SelectedDag:
    """A DAG that is to be: its name, its pipeline and its settings."""

    name: str
    pipeline: str
    settings: DagSettings


def select_dags(
    project: Project, settings: Settings, file: str, pipelines: Sequence[str], *, all_pipelines: bool
) -> tuple[list[SelectedDag], list[Finding]]:
    """The DAGs that are asked for, and what there is to say about them.

    Raises:
        Refused: when a pipeline is not registered, or has no nodes.
    """
    configured = [
        SelectedDag(name, own.pipeline or name, settings.dag.overlaid_by(own)) for name, own in settings.dags.items()
    ]
    for dag in configured:
        if dag.pipeline not in project.pipelines:
            raise _no_pipeline(Location(file=file, key=("dags", dag.name)), dag.pipeline, project)
    for name in pipelines:
        if name not in project.pipelines:
            raise _no_pipeline(Location(subject="--pipeline"), name, project)
    if all_pipelines:
        wanted = list(project.pipelines)
    elif pipelines:
        wanted = list(dict.fromkeys(pipelines))
    elif configured:
        return _checked(configured, project, file), []
    else:
        wanted = [DEFAULT_PIPELINE]
    if wanted == [DEFAULT_PIPELINE] and DEFAULT_PIPELINE not in project.pipelines:
        raise _no_pipeline(Location(subject="pipeline registry"), DEFAULT_PIPELINE, project)
    chosen = [dag for dag in configured if all_pipelines or dag.pipeline in wanted]
    covered = {dag.pipeline for dag in chosen}
    chosen += [SelectedDag(name, name, settings.dag) for name in wanted if name not in covered]
    notes: list[Finding] = []
    if all_pipelines:
        empty = [dag for dag in chosen if not project.pipelines[dag.pipeline]]
        notes = [
            warning("pipeline-skipped", Location(pipeline=dag.pipeline), "has no nodes; no DAG is made of it.")
            for dag in empty
        ]
        if len(empty) < len(chosen):
            chosen = [dag for dag in chosen if dag not in empty]
    return _checked(chosen, project, file), notes


def _checked(dags: list[SelectedDag], project: Project, file: str) -> list[SelectedDag]:
    if not dags:
        raise refuse(
            "registry",
            Location(subject="pipeline registry"),
            "the project registers no pipeline.",
            "Create one with `kedro pipeline create`.",
        )
    for dag in dags:
        if dag.settings.schedule == "@continuous" and dag.settings.max_active_runs != 1:
            location = Location(file=file, key=("dag",), dag=dag.name)
            raise refuse("schedule", location, "Airflow runs @continuous one at a time.", "Set max_active_runs to 1.")
        end = dag.settings.end_date
        if end is not None and end < dag.settings.start_date:
            raise refuse(
                "schedule",
                Location(file=file, key=("dag",), dag=dag.name),
                f"ends on {end:%Y-%m-%d}, before it starts.",
                "Mend start_date or end_date.",
            )
        if not project.pipelines[dag.pipeline]:
            raise refuse(
                "pipeline-empty",
                Location(pipeline=dag.pipeline),
                "has no nodes, so there is nothing to run.",
                "Register nodes in it, or name another with --pipeline.",
            )
    return dags


def _no_pipeline(location: Location, name: str, project: Project) -> Refused:
    known = sorted(project.pipelines)
    if not known:
        return refuse(
            "registry",
            Location(subject="pipeline registry"),
            "the project registers no pipeline.",
            "Create one with `kedro pipeline create`.",
        )
    close = difflib.get_close_matches(name, known, 1)
    help_text = f"Did you mean {close[0]!r}?" if close else f"Registered are {', '.join(map(repr, known[:20]))}."
    return refuse("pipeline", location, f"there is no pipeline {name!r}.", help_text)


def find_duplicate_ids(made: Iterable[Plan], file: str) -> Iterable[Finding]:
    """Errors for plans that have the dag_id of another."""
    seen: dict[str, Plan] = {}
    for plan in made:
        if plan.dag_id in seen:
            yield error(
                "dag-id",
                Location(file=file, key=("dags",)),
                f"DAG {seen[plan.dag_id].name!r} (pipeline {seen[plan.dag_id].pipeline!r}) and DAG {plan.name!r} "
                f"(pipeline {plan.pipeline!r}) would both have the dag_id {plan.dag_id!r}.",
                "Rename one.",
            )
        seen[plan.dag_id] = plan
