"""Explanations of tasks and nodes: their settings and the source of each, the data they load and save, why nodes share a pod."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kedro_k8s_airflow.explain import datasets, values
from kedro_k8s_airflow.explain.context import NodeExplanation, TaskExplanation
from kedro_k8s_airflow.kubernetes import debug_commands
from kedro_k8s_airflow.plan.graph import base_name, is_parameter
from kedro_k8s_airflow.plan.model import pod_deadline

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kedro_k8s_airflow.explain.context import ExplainContext
    from kedro_k8s_airflow.plan.model import MergeCause, Plan, Task
    from kedro_k8s_airflow.project.model import ProjectNode


def explain_task(context: ExplainContext, plan: Plan, task: Task) -> TaskExplanation:
    """Return the explanation of one task of a plan."""
    by_name = {node.name: node for node in plan.graph.nodes}
    nodes = [by_name[name] for name in task.nodes]
    loads = {base_name(name) for node in nodes for name in node.inputs if not is_parameter(name)}
    saves = {base_name(name) for node in nodes for name in node.outputs}
    settings = values.explain_settings(
        context, plan, [(node.name, context.task_rules.matching_rules(node)) for node in nodes], task.settings
    )
    deadline = pod_deadline(task.settings)
    return TaskExplanation(
        dag=plan.dag_id,
        id=task.id,
        pipeline=task.pipeline,
        narrowing_declined=task.narrowing_declined,
        group=plan.groups[task.group] if task.group is not None else None,
        nodes=tuple(explain_node(context, plan, task, node) for node in nodes),
        merge_reasons=tuple(dict.fromkeys(map(_describe_cause, task.merge_causes))),
        upstream=task.upstream,
        downstream=tuple(sorted(other.id for other in plan.tasks if task.id in other.upstream)),
        loads=tuple(datasets.dataset_flow(context, plan, task, name) for name in sorted(loads - saves)),
        saves=tuple(datasets.dataset_flow(context, plan, task, name) for name in sorted(saves)),
        rules=task.rules,
        settings=tuple(settings),
        deadline_seconds=deadline,
        deadline_source=_describe_deadline(task.settings, deadline),
        image=task.image,
        image_source="set by its settings" if task.image_name is None else f"the project's image {task.image_name!r}",
        debug_commands=debug_commands.build_debug_commands(plan, task),
    )


def _describe_deadline(settings: Mapping[str, Any], deadline: int | None) -> str:
    if deadline is None:
        return "never, because activeDeadlineSeconds is null"
    if "activeDeadlineSeconds" in settings:
        return "set by activeDeadlineSeconds"
    if settings.get("execution_timeout") is None:
        return "one day, because execution_timeout is not set"
    return "execution_timeout, plus the scheduling and startup timeouts, plus 10 minutes"


def _describe_cause(cause: MergeCause) -> str:
    both = f"{cause.first!r} and {cause.second!r}"
    return {
        "memory": f"{both} share {cause.name!r}, which is in memory",
        "pod": f"{both} share {cause.name!r}, a file on the pod's disk",
        "confirms": f"{cause.first!r} confirms {cause.name!r}, which {cause.second!r} loads",
        "group": f"{both} are in group {cause.name!r} of the settings",
        "namespace": f"{both} are in namespace {cause.name!r} (group_by: namespace)",
        "chain": f"{cause.second!r} directly follows {cause.first!r} (group_by: chain)",
        "between": f"{both} would otherwise run in pods that wait for each other ({cause.name})",
    }[cause.reason]


def explain_node(context: ExplainContext, plan: Plan, task: Task, node: ProjectNode) -> NodeExplanation:
    """Return the explanation of one node of a task."""
    matching = context.task_rules.matching_rules(node)
    settings = values.explain_settings(context, plan, [(node.name, matching)], context.task_rules.settings_of(matching))
    return NodeExplanation(
        dag=plan.dag_id,
        name=node.name,
        task=task.id,
        other_nodes_in_task=len(task.nodes) - 1,
        namespace=node.namespace,
        tags=tuple(sorted(node.tags)),
        inputs=node.inputs,
        outputs=node.outputs,
        pipelines=tuple(context.pipelines[node.name]),
        rules=matching,
        settings=tuple(settings),
    )
