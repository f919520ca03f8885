"""Look up a name and explain every task, node and dataset that has it. Not how explanations are printed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kedro_k8s_airflow.explain import datasets, tasks
from kedro_k8s_airflow.explain.context import ExplainContext
from kedro_k8s_airflow.findings import refuse
from kedro_k8s_airflow.locations import Location
from kedro_k8s_airflow.plan.graph import base_name, is_parameter
from kedro_k8s_airflow.text import did_you_mean, quote_names

if TYPE_CHECKING:
    from kedro_k8s_airflow.compiler import Compilation
    from kedro_k8s_airflow.explain.context import Explanation


def build_context(compilation: Compilation) -> ExplainContext:
    """Return what explanations are made of: the project, its settings and its plans.

    Raises:
        Refused: with every error, if one of them prevents a plan.
    """
    check_context = compilation.context
    return ExplainContext(
        check_context.project,
        check_context.settings,
        check_context.sources,
        check_context.task_rules,
        compilation.plans_despite_errors(),
    )


def explain_name(context: ExplainContext, name: str) -> list[Explanation]:
    """Explain every task, node and dataset of that name. A task named like its only node is explained once.

    Raises:
        Refused: if nothing has that name.
    """
    explanations: list[Explanation] = []
    for plan in context.plans:
        nodes = [node for node in plan.graph.nodes if node.name == name]
        for task in plan.tasks:
            if task.id == name:
                explanations.append(tasks.explain_task(context, plan, task))
            if task.nodes != (task.id,):
                explanations += [
                    tasks.explain_node(context, plan, task, node) for node in nodes if node.name in task.nodes
                ]
        dataset = plan.graph.datasets.get(base_name(name))
        if dataset is not None and name in (dataset.name, *datasets.dataset_forms(plan, dataset)):
            explanations.append(datasets.explain_dataset(context, plan, dataset))
    if not explanations:
        raise refuse(
            "explain-unknown",
            Location(subject=f"explain {name!r}"),
            f"is not a task, node or dataset of {_describe_dags(context)}.",
            _suggest(context, name),
        )
    return explanations


def _describe_dags(context: ExplainContext) -> str:
    ids = [plan.dag_id for plan in context.plans]
    return f"DAG {ids[0]!r}" if len(ids) == 1 else f"the DAGs {quote_names(ids)}"


def _suggest(context: ExplainContext, name: str) -> str:
    if name in context.pipelines:
        return f"Pipeline {context.pipelines[name][0]!r} contains it: add --pipeline."
    known_names: set[str] = set()
    for plan in context.plans:
        known_names |= (
            {task.id for task in plan.tasks} | {node.name for node in plan.graph.nodes} | set(plan.graph.datasets)
        )
    otherwise = (
        "Parameters are part of the project's configuration, and explain does not cover them."
        if is_parameter(name)
        else "Run `kedro k8s-airflow plan` to list the tasks."
    )
    return did_you_mean(name, sorted(known_names), otherwise=otherwise, limit=3)
