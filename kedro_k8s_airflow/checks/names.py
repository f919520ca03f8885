"""Checks of names: which names of the project Airflow and Kubernetes do not take, and what became of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kedro_k8s_airflow import names
from kedro_k8s_airflow.checks.registry import rule
from kedro_k8s_airflow.locations import Location
from kedro_k8s_airflow.plan import dag_selection

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kedro_k8s_airflow.checks.registry import CheckContext, RuleFinding


@rule(
    "name-task",
    "info",
    title="A node whose name is no legal task id of Airflow, so that its task is called otherwise.",
    source="apache/airflow#13189 and #8829.",
)
def find_changed_task_ids(context: CheckContext) -> Iterator[RuleFinding]:
    for plan in context.plans:
        changed = [(task.nodes[0], task.id) for task in plan.tasks if len(task.nodes) == 1 and task.id != task.nodes[0]]
        if changed:
            node, task_id = changed[0]
            more = f" {len(changed) - 1} more of DAG {plan.dag_id!r} had to change, too." if len(changed) > 1 else ""
            message = f"is no legal task id (letters, digits, '_', '-' and '.', at most 250); the task is called {task_id!r}.{more}"
            yield Location(node=node), message, ""


@rule(
    "name-label",
    "info",
    title="A task whose id is no legal label of Kubernetes, so that its pods are labelled otherwise.",
    source=(
        "apache/airflow#27736; labels have at most 63 characters, `kubectl get pods --selector` needs to know them."
    ),
)
def find_changed_labels(context: CheckContext) -> Iterator[RuleFinding]:
    for plan in context.plans:
        changed = [task for task in plan.tasks if task.label != task.id]
        if changed:
            task = changed[0]
            more = f" {len(changed) - 1} more of DAG {plan.dag_id!r} had to change, too." if len(changed) > 1 else ""
            message = f"is no legal label (at most 63 characters); its pods have the label {task.label!r}.{more}"
            yield Location(task=task.id), message, ""


@rule(
    "name-dag",
    "info",
    title="A DAG whose name is no legal dag_id of Airflow, so that it is called otherwise.",
    source="`validate_key` of apache/airflow, which takes letters, digits, '_', '-' and '.', at most 250.",
)
def find_changed_dag_ids(context: CheckContext) -> Iterator[RuleFinding]:
    for plan in context.plans:
        if plan.name != dag_selection.DEFAULT_PIPELINE and names.to_airflow_key(plan.name, [plan.name]) != plan.name:
            message = f"has a name that is no legal dag_id; it is called {plan.dag_id!r}."
            yield Location(dag=plan.name), message, ""
