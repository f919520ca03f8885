"""`explain`: what there is to know of one task, node or dataset, and why it is so. Not how it is printed.

Every sentence says why: the rule, dataset, volume or layer of the settings behind it.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from kedro_k8s_airflow.explain import datasets, tasks
from kedro_k8s_airflow.explain.context import ExplainContext
from kedro_k8s_airflow.findings import refuse
from kedro_k8s_airflow.locations import Location
from kedro_k8s_airflow.plan.graph import base_name, is_parameter

if TYPE_CHECKING:
    from kedro_k8s_airflow.compiler import Compilation
    from kedro_k8s_airflow.explain.context import Explanation


def build_context(compilation: Compilation) -> ExplainContext:
    """What can be asked about: a project whose plans could be made.

    Raises:
        Refused: with every error found, when one of them kept a plan from being made.
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
    """The facts of every task, node and dataset of that name. A task and the only node in it are one.

    Raises:
        Refused: when there is nothing of that name.
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
            f"{_describe_dags(context)} no such task, node or dataset.",
            _suggest(context, name),
        )
    return explanations


def _describe_dags(context: ExplainContext) -> str:
    ids = [plan.dag_id for plan in context.plans]
    return f"DAG {ids[0]} has" if len(ids) == 1 else f"of the DAGs {', '.join(ids)}, none has"


def _suggest(context: ExplainContext, name: str) -> str:
    if name in context.pipelines:
        return f"Pipeline {context.pipelines[name][0]!r} holds it: explain --pipeline."
    known_names: set[str] = set()
    for plan in context.plans:
        known_names |= (
            {task.id for task in plan.tasks} | {node.name for node in plan.graph.nodes} | set(plan.graph.datasets)
        )
    close = difflib.get_close_matches(name, sorted(known_names), 3)
    if close:
        return f"Did you mean {' or '.join(map(repr, close))}?"
    if is_parameter(name):
        return "Parameters come with the project's configuration."
    return "`kedro k8s-airflow plan` shows the tasks."
