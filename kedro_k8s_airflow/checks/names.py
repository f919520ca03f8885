"""Checks of names: names of the project that Airflow or Kubernetes does not accept, and what replaces them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kedro_k8s_airflow.checks.registry import rule
from kedro_k8s_airflow.locations import Location
from kedro_k8s_airflow.names import to_airflow_key
from kedro_k8s_airflow.plan.dag_selection import DEFAULT_PIPELINE
from kedro_k8s_airflow.text import count_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kedro_k8s_airflow.checks.registry import CheckContext, RuleFinding
    from kedro_k8s_airflow.plan.model import Plan


@rule(
    "name-task",
    "info",
    title="A node whose name is not a valid Airflow task id, so its task gets a different one.",
    source="apache/airflow#13189 and #8829.",
)
def find_changed_task_ids(context: CheckContext) -> Iterator[RuleFinding]:
    for plan in context.plans:
        changed = [(task.nodes[0], task.id) for task in plan.tasks if len(task.nodes) == 1 and task.id != task.nodes[0]]
        if changed:
            node, task_id = changed[0]
            more = _same_for(len(changed) - 1, "other node", plan)
            message = f"is not a valid task id (letters, digits, '_', '-' and '.', at most 250), so the task id is {task_id!r}.{more}"
            yield Location(node=node), message, ""


@rule(
    "name-label",
    "info",
    title="A task whose id is not a valid Kubernetes label, so its pods get a different one.",
    source="apache/airflow#27736. A label has at most 63 characters, and `kubectl get pods --selector` needs it.",
)
def find_changed_labels(context: CheckContext) -> Iterator[RuleFinding]:
    for plan in context.plans:
        changed = [task for task in plan.tasks if task.label != task.id]
        if changed:
            task = changed[0]
            more = _same_for(len(changed) - 1, "other task", plan)
            message = f"is not a valid label (at most 63 characters), so its pods have the label {task.label!r}.{more}"
            yield Location(task=task.id), message, ""


@rule(
    "name-dag",
    "info",
    title="A DAG whose name is not a valid Airflow dag_id, so it gets a different one.",
    source="`validate_key` of apache/airflow, which accepts letters, digits, '_', '-' and '.', at most 250.",
)
def find_changed_dag_ids(context: CheckContext) -> Iterator[RuleFinding]:
    for plan in context.plans:
        if plan.name != DEFAULT_PIPELINE and to_airflow_key(plan.name, [plan.name]) != plan.name:
            message = f"has a name that is not a valid dag_id, so its dag_id is {plan.dag_id!r}."
            yield Location(dag=plan.name), message, ""


def _same_for(others: int, noun: str, plan: Plan) -> str:
    return f" The same applies to {count_of(others, noun)} of DAG {plan.dag_id!r}." if others else ""
