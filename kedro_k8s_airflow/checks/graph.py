"""Checks of the graph: order that only Kedro keeps, and groups that differ from what the settings ask for."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

from kedro_k8s_airflow.checks.concurrency import TaskOrder
from kedro_k8s_airflow.checks.registry import rule
from kedro_k8s_airflow.locations import Location
from kedro_k8s_airflow.plan.graph import is_parameter
from kedro_k8s_airflow.text import quote_names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kedro_k8s_airflow.checks.registry import CheckContext, RuleFinding
    from kedro_k8s_airflow.plan.model import Plan, Task

_MAX_NODES_COMPARED = 20


@rule(
    "graph-hidden-order",
    "error",
    title="A file that one node saves under one name and another node loads under a second name, without waiting for it.",
    source="kedro#141 and kedro#164.",
)
def find_hidden_order(context: CheckContext) -> Iterator[RuleFinding]:
    # Kedro does not order such nodes either, but `kedro run` always uses the same sequence.
    for first, second in context.races:
        if first.saves and second.saves:
            continue
        saver, loader = (first, second) if first.saves else (second, first)
        message = (
            f"is loaded by node {loader.node!r} from {saver.path}. Node {saver.node!r} saves the same file as {saver.dataset!r}, "
            f"but {loader.node!r} does not wait for it."
        )
        help_text = "Use one dataset name for both, or transcoding (`name@one`, `name@other`), to order the nodes."
        yield Location(dataset=loader.dataset), message, help_text


@rule(
    "graph-unordered",
    "info",
    title="A node that saves nothing and a node that loads nothing, which no dataset puts in order.",
    source="kedro#5201 and kedro#3988. `kedro run` always uses one order; pods run in parallel.",
)
def find_unordered_nodes(context: CheckContext) -> Iterator[RuleFinding]:
    for plan in context.plans:
        pair = _find_unordered_pair(plan)
        if pair is not None:
            first, second = pair
            message = (
                f"saves nothing and node {second!r} loads nothing, so they may run in parallel, and one may not see side effects "
                "of the other."
            )
            yield Location(node=first), message, "If one needs the other, make it load a dataset that the other saves."


def _find_unordered_pair(plan: Plan) -> tuple[str, str] | None:
    """Return a node that saves nothing and a node that loads nothing, in tasks that do not wait for each other."""
    order = TaskOrder(plan)
    task_of = order.task_of
    last = [node.name for node in plan.graph.nodes if not node.outputs]
    first = [node.name for node in plan.graph.nodes if all(map(is_parameter, node.inputs))]
    for ending in last[:_MAX_NODES_COMPARED]:
        for beginning in first[:_MAX_NODES_COMPARED]:
            if task_of[beginning] != task_of[ending] and not order.waits_for(task_of[ending], task_of[beginning]):
                return ending, beginning
    return None


@rule(
    "namespace-interrupted",
    "warning",
    title="A pod of a namespace that also runs nodes outside the namespace, because they lie between its nodes.",
    source="kedro#4603, the warning that Kedro itself gives for such namespaces.",
)
def find_interrupted_namespaces(context: CheckContext) -> Iterator[RuleFinding]:
    for plan in context.plans:
        if plan.dag.group_by != "namespace":
            continue
        spaces = {node.name: node.namespace or "" for node in plan.graph.nodes}
        for task in plan.tasks:
            namespaces = {cause.name for cause in task.merge_causes if cause.reason == "namespace"}
            others = [
                name for name in _nodes_between(task) if namespaces and spaces[name].split(".")[0] not in namespaces
            ]
            if others:
                message = f"also runs {quote_names(others)}, between the nodes of namespace {quote_names(sorted(namespaces))}."
                yield (
                    Location(task=task.id),
                    message,
                    "Move those nodes into the namespace, or group by memory or chain.",
                )


@rule(
    "group-between",
    "warning",
    title="A group that also includes nodes that do not match it, because they lie between its nodes.",
    source="kedro#5778, where groups made the graph cyclic.",
)
def find_extended_groups(context: CheckContext) -> Iterator[RuleFinding]:
    for plan in context.plans:
        for task in plan.tasks:
            groups = sorted({cause.name for cause in task.merge_causes if cause.reason == "group"})
            others = _nodes_between(task) if groups else []
            if others:
                message = f"also runs {quote_names(others)}, between the nodes of group {quote_names(groups)}."
                yield Location(task=task.id), message, "Add those nodes to the group, or start the group after them."


def _nodes_between(task: Task) -> list[str]:
    """Return the nodes that are in a task only because they lie between the nodes of a group or namespace."""
    neighbours: dict[str, set[str]] = defaultdict(set)
    for reason in task.merge_causes:
        if reason.reason != "between":
            neighbours[reason.first].add(reason.second)
            neighbours[reason.second].add(reason.first)
    if not any(reason.reason == "between" for reason in task.merge_causes):
        return []
    todo = [reason.first for reason in task.merge_causes if reason.reason in ("group", "namespace")]
    seen = set(todo)
    while todo:
        new = neighbours[todo.pop()] - seen
        seen |= new
        todo += new
    return [name for name in task.nodes if name not in seen]


@rule(
    "group-declined",
    "info",
    title="A group or namespace that needs several pods, because of its nodes' settings or the nodes between them.",
    source="kedro-vertexai#129, where all nodes of a group had to use one image.",
)
def find_declined_groups(context: CheckContext) -> Iterator[RuleFinding]:
    for plan in context.plans:
        for declined in plan.declined:
            is_group = declined.reason == "group"
            location = (
                context.location_of("groups", declined.name) if is_group else context.dag_location(plan, "group_by")
            )
            subject = "" if is_group else f"{declined.reason} {declined.name!r} "
            message = (
                f"runs as {declined.pods} pods, because its nodes have settings that cannot share a pod."
                if declined.pods
                else "runs as several pods, because nodes between its nodes cannot share their pod."
            )
            yield replace(location, dag=plan.name), f"{subject}{message}", ""
