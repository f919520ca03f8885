"""Which registered pipeline a pod loads: a smaller one that provably holds the same nodes starts faster.

The proof is Kedro's own: the registry is evaluated again with only that pipeline requested, and every node of the task
must be equal. Kedro then loads less only if the registry uses `find_pipelines()`. Once a registry returned every pipeline
although one was requested, it is not evaluated again, since that may take seconds in a large project.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
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
    from kedro_k8s_airflow.project.registry import PipelineEvaluation

    EvaluateAlone = Callable[[str], PipelineEvaluation]


_FUTILE = "the registry makes every pipeline, whichever Kedro asks for"


def narrow_pipelines(project: Project, plans: Sequence[Plan]) -> list[Plan]:
    """Return the plans with the smallest pipeline for each task.

    Raises:
        Refused: naming the DAGs' pipelines that Kedro can load only together with all others.
    """
    evaluate: EvaluateAlone = cache(registry.evaluate_pipeline_alone)
    errors = find_unloadable(project, plans, evaluate)
    if errors:
        raise Refused(errors)
    pipelines_by_size = sorted(
        (len(nodes), name, {node.name for node in nodes})
        for name, nodes in project.pipelines.items()
        if name != dag_selection.DEFAULT_PIPELINE and nodes
    )
    pipeline_count = len(project.pipelines)
    evaluated = {plan.pipeline for plan in plans} - {dag_selection.DEFAULT_PIPELINE}
    futile = any(evaluate(name).registered >= pipeline_count for name in evaluated)
    narrowing = _Narrowing(evaluate, pipeline_count, futile)
    return [_narrow_plan(plan, project, pipelines_by_size, narrowing) for plan in plans]


def find_unloadable(
    project: Project, plans: Sequence[Plan], evaluate: EvaluateAlone = registry.evaluate_pipeline_alone
) -> list[Finding]:
    """Return an error for each DAG's pipeline that Kedro can load only together with all others."""
    errors = []
    for name in sorted({plan.pipeline for plan in plans} - {dag_selection.DEFAULT_PIPELINE}):
        evaluation = evaluate(name)
        nodes = project.pipelines[name]
        reason = evaluation.problem
        if evaluation.nodes is not None and (
            len(evaluation.nodes) != len(nodes)
            or any(node.kedro_node != evaluation.nodes.get(node.name) for node in nodes)
        ):
            reason = "it has other nodes then"
        if reason is not None:
            message = f"cannot be loaded by itself, as pods and `kedro run --pipelines` do: {reason}."
            help_text = (
                "Register it without taking parts of it from find_pipelines(), or run it as part of __default__."
            )
            errors.append(error("pipeline-alone", Location(pipeline=name), message, help_text))
    return errors


@dataclass
class _Narrowing:
    """The evaluations of the registry for all tasks.

    Attributes:
        evaluate: evaluates the registry for one pipeline, once.
        pipeline_count: number of pipelines in the registry.
        futile: whether the registry returned every pipeline although one was requested.
    """

    evaluate: EvaluateAlone
    pipeline_count: int
    futile: bool

    def find_obstacle(self, task: Task, name: str, nodes: Mapping[str, ProjectNode]) -> str | None:
        """Return why a task's pod cannot load a pipeline instead of the DAG's, or None if it can."""
        if self.futile:
            return _FUTILE
        evaluation = self.evaluate(name)
        if evaluation.nodes is None:
            return f"pipeline {name!r} cannot be loaded by itself: {evaluation.problem}"
        if evaluation.registered >= self.pipeline_count:
            self.futile = True
            return _FUTILE
        for node_name in task.nodes:
            if not registry.are_nodes_equal(nodes[node_name], evaluation.nodes.get(node_name)):
                return f"node {node_name!r} is another one in pipeline {name!r}"
        return None


def _narrow_plan(
    plan: Plan, project: Project, pipelines_by_size: Sequence[tuple[int, str, set[str]]], narrowing: _Narrowing
) -> Plan:
    nodes = {node.name: node for node in project.pipelines[plan.pipeline]}
    candidates = [
        (name, names) for size, name, names in pipelines_by_size if size < len(nodes) and name != plan.pipeline
    ]
    tasks = []
    for task in plan.tasks:
        if not plan.dag.narrow_pipeline:
            tasks.append(replace(task, narrowing_declined="dag.narrow_pipeline is false"))
        elif not task.nodes:
            tasks.append(task)
        else:
            tasks.append(_narrow_task(task, nodes, candidates, narrowing))
    return replace(plan, tasks=tuple(tasks))


def _narrow_task(
    task: Task, nodes: Mapping[str, ProjectNode], candidates: Sequence[tuple[str, set[str]]], narrowing: _Narrowing
) -> Task:
    obstacle: str | None = "no smaller registered pipeline holds its nodes"
    for name, names in candidates:
        if names.issuperset(task.nodes):
            obstacle = narrowing.find_obstacle(task, name, nodes)
            if obstacle is None:
                return replace(task, pipeline=name)
    return replace(task, narrowing_declined=obstacle)
