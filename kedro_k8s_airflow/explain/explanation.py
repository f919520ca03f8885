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
    told = compilation.context
    return ExplainContext(
        told.project, told.settings, told.sources, told.task_rules, compilation.plans_despite_errors()
    )


def explain_name(subject: ExplainContext, name: str) -> list[Explanation]:
    """The facts of every task, node and dataset of that name. A task and the only node in it are one.

    Raises:
        Refused: when there is nothing of that name.
    """
    found: list[Explanation] = []
    for plan in subject.plans:
        nodes = [node for node in plan.graph.nodes if node.name == name]
        for task in plan.tasks:
            if task.id == name:
                found.append(tasks.explain_task(subject, plan, task))
            if task.nodes != (task.id,):
                found += [tasks.explain_node(subject, plan, task, node) for node in nodes if node.name in task.nodes]
        dataset = plan.graph.datasets.get(base_name(name))
        if dataset is not None and name in (dataset.name, *datasets.dataset_forms(plan, dataset)):
            found.append(datasets.explain_dataset(subject, plan, dataset))
    if not found:
        raise refuse(
            "explain-unknown",
            Location(subject=f"explain {name!r}"),
            f"{_describe_dags(subject)} no such task, node or dataset.",
            _suggest(subject, name),
        )
    return found


def _describe_dags(subject: ExplainContext) -> str:
    ids = [plan.dag_id for plan in subject.plans]
    return f"DAG {ids[0]} has" if len(ids) == 1 else f"of the DAGs {', '.join(ids)}, none has"


def _suggest(subject: ExplainContext, name: str) -> str:
    if name in subject.pipelines:
        return f"Pipeline {subject.pipelines[name][0]!r} holds it: explain --pipeline."
    known: set[str] = set()
    for plan in subject.plans:
        known |= {task.id for task in plan.tasks} | {node.name for node in plan.graph.nodes} | set(plan.graph.datasets)
    close = difflib.get_close_matches(name, sorted(known), 3)
    if close:
        return f"Did you mean {' or '.join(map(repr, close))}?"
    if is_parameter(name):
        return "Parameters come with the project's configuration."
    return "`kedro k8s-airflow plan` shows the tasks."
