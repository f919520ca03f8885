"""Tasks and nodes: what runs together and why, on what settings, between which data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kedro_k8s_airflow.explain import datasets, values
from kedro_k8s_airflow.explain.context import NodeFacts, TaskFacts
from kedro_k8s_airflow.kubernetes import debug_commands
from kedro_k8s_airflow.plan.graph import base_name, is_parameter
from kedro_k8s_airflow.plan.model import deadline

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kedro_k8s_airflow.explain.context import Subject
    from kedro_k8s_airflow.plan.model import Plan, Reason, Task
    from kedro_k8s_airflow.project import Node


def task_facts(subject: Subject, plan: Plan, task: Task) -> TaskFacts:
    """All about one task of a plan."""
    by_name = {node.name: node for node in plan.graph.nodes}
    nodes = [by_name[name] for name in task.nodes]
    loads = {base_name(name) for node in nodes for name in node.inputs if not is_parameter(name)}
    saves = {base_name(name) for node in nodes for name in node.outputs}
    settings = values.settings(
        subject, plan, [(node.name, subject.rules.matching(node)) for node in nodes], task.settings
    )
    ends = deadline(task.settings)
    return TaskFacts(
        dag=plan.dag_id,
        id=task.id,
        pipeline=task.pipeline,
        whole=task.whole,
        group=plan.groups[task.group] if task.group is not None else None,
        nodes=tuple(node_facts(subject, plan, task, node) for node in nodes),
        together=tuple(dict.fromkeys(map(_together, task.reasons))),
        after=task.after,
        before=tuple(sorted(other.id for other in plan.tasks if task.id in other.after)),
        reads=tuple(datasets.flow(subject, plan, task, name) for name in sorted(loads - saves)),
        writes=tuple(datasets.flow(subject, plan, task, name) for name in sorted(saves)),
        rules=task.rules,
        settings=tuple(settings),
        deadline=ends,
        deadline_said=_deadline(task.settings, ends),
        image=task.image,
        image_said="an image of its own" if task.image_name is None else f"the project's image {task.image_name!r}",
        by_hand=debug_commands.lines(plan, task),
    )


def _deadline(told: Mapping[str, Any], ends: int | None) -> str:
    if ends is None:
        return "never, as activeDeadlineSeconds is null"
    if "activeDeadlineSeconds" in told:
        return "activeDeadlineSeconds"
    if told.get("execution_timeout") is None:
        return "a day, as there is no execution_timeout"
    return "execution_timeout, the waits for a node and the image, and ten minutes"


def _together(reason: Reason) -> str:
    both = f"{reason.first!r} and {reason.second!r}"
    return {
        "memory": f"{both} hand each other {reason.what!r}, which is in memory",
        "pod": f"{both} hand each other {reason.what!r}, a file on the pod's own disk",
        "confirms": f"{reason.first!r} confirms {reason.what!r}, which {reason.second!r} loads",
        "group": f"{both} are in the group {reason.what!r} of the settings",
        "namespace": f"{both} are in the namespace {reason.what!r} (group_by: namespace)",
        "chain": f"{reason.second!r} comes after {reason.first!r} alone (group_by: chain)",
        "between": f"{both} are joined, as otherwise their pods would wait for each other ({reason.what})",
    }[reason.rule]


def node_facts(subject: Subject, plan: Plan, task: Task, node: Node) -> NodeFacts:
    """All about one node of a task."""
    matching = subject.rules.matching(node)
    settings = values.settings(subject, plan, [(node.name, matching)], subject.rules.settings(matching))
    return NodeFacts(
        dag=plan.dag_id,
        name=node.name,
        task=task.id,
        companions=len(task.nodes) - 1,
        namespace=node.namespace,
        tags=tuple(sorted(node.tags)),
        inputs=node.inputs,
        outputs=node.outputs,
        pipelines=tuple(subject.pipelines[node.name]),
        rules=matching,
        settings=tuple(settings),
    )
