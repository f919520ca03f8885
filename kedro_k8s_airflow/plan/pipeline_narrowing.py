"""Which registered pipeline a pod loads: a smaller one that provably holds the same nodes starts faster.

The proof is Kedro's own: the registry is evaluated again with only that pipeline requested, and every node of the task
must be equal. Kedro then loads less only if the registry uses `find_pipelines()`.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

from kedro_k8s_airflow.findings import Finding, Refused, error
from kedro_k8s_airflow.locations import Location
from kedro_k8s_airflow.plan import dag_selection
from kedro_k8s_airflow.project import registry

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from kedro_k8s_airflow.plan.model import Plan, Task
    from kedro_k8s_airflow.project.model import Project, ProjectNode
    from kedro_k8s_airflow.project.registry import LoneEvaluation

    Alones = Callable[[str], LoneEvaluation]


def narrow_pipelines(project: Project, plans: Sequence[Plan]) -> list[Plan]:
    """Return the plans with the smallest pipeline for each task.

    Raises:
        Refused: naming the DAGs' pipelines that Kedro can load only together with all others.
    """
    alone: Alones = cache(registry.evaluate_alone)
    errors = find_unloadable(project, plans, alone)
    if errors:
        raise Refused(errors)
    smaller = sorted(
        (len(nodes), name, {node.name for node in nodes})
        for name, nodes in project.pipelines.items()
        if name != dag_selection.DEFAULT_PIPELINE and nodes
    )
    return [_narrowed(plan, project, smaller, alone) for plan in plans]


def find_unloadable(project: Project, plans: Sequence[Plan], alone: Alones = registry.evaluate_alone) -> list[Finding]:
    """Return an error for each DAG's pipeline that Kedro can load only together with all others."""
    errors = []
    for name in sorted({plan.pipeline for plan in plans} - {dag_selection.DEFAULT_PIPELINE}):
        found = alone(name)
        nodes = project.pipelines[name]
        message = found.problem
        if found.nodes is not None and (
            len(found.nodes) != len(nodes) or any(node.live != found.nodes.get(node.name) for node in nodes)
        ):
            message = "it has other nodes then"
        if message is not None:
            said = f"cannot be loaded by itself, as pods and `kedro run --pipelines` do: {message}."
            help_text = (
                "Register it without taking parts of it from find_pipelines(), or run it as part of __default__."
            )
            errors.append(error("pipeline-alone", Location(pipeline=name), said, help_text))
    return errors


def _narrowed(plan: Plan, project: Project, smaller: Sequence[tuple[int, str, set[str]]], alone: Alones) -> Plan:
    nodes = {node.name: node for node in project.pipelines[plan.pipeline]}
    fewer = [(name, names) for size, name, names in smaller if size < len(nodes) and name != plan.pipeline]
    tasks = []
    for task in plan.tasks:
        if not plan.dag.narrow_pipeline:
            tasks.append(replace(task, narrowing_declined="dag.narrow_pipeline is false"))
        elif not task.nodes:
            tasks.append(task)
        else:
            tasks.append(_smallest(task, nodes, fewer, alone, len(project.pipelines)))
    return replace(plan, tasks=tuple(tasks))


def _smallest(
    task: Task, nodes: Mapping[str, ProjectNode], fewer: Sequence[tuple[str, set[str]]], alone: Alones, registered: int
) -> Task:
    message = "no smaller registered pipeline holds its nodes"
    for name, names in fewer:
        if not names.issuperset(task.nodes):
            continue
        found = alone(name)
        if found.nodes is None:
            message = f"pipeline {name!r} cannot be loaded by itself: {found.problem}"
        elif found.registered >= registered:
            message = "the registry makes every pipeline, whichever Kedro asks for"
        elif other := next(
            (one for one in task.nodes if not registry.nodes_equal(nodes[one], found.nodes.get(one))), None
        ):
            message = f"node {other!r} is another one in pipeline {name!r}"
        else:
            return replace(task, pipeline=name)
    return replace(task, narrowing_declined=message)
