"""Checks of the graph: order that Kedro keeps and Airflow cannot see, and groups that became other than they were asked for."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from kedro_k8s_airflow.checks import concurrency
from kedro_k8s_airflow.checks.registry import rule
from kedro_k8s_airflow.locations import Location
from kedro_k8s_airflow.plan import graph as graphs
from kedro_k8s_airflow.text import quote_names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kedro_k8s_airflow.checks.registry import CheckContext, RuleFinding
    from kedro_k8s_airflow.plan.model import Plan, Task

_MAX_NODES_COMPARED = 20


@rule(
    "graph-hidden-order",
    "error",
    title=(
        "A file that one node saves under one name and another node loads under another, in pods of which "
        "neither waits."
    ),
    source="kedro#141 and kedro#164.",
)
def find_hidden_order(context: CheckContext) -> Iterator[RuleFinding]:
    """Kedro knows no order between them either, but `kedro run` always takes the same one."""
    for first, second in context.races:
        if first.saves and second.saves:
            continue
        saver, loader = (first, second) if first.saves else (second, first)
        message = (
            f"is the file {saver.path}, which node {saver.node!r} saves as {saver.dataset!r}; node {loader.node!r} loads it and "
            "does not wait for that."
        )
        help_text = "Use one name for both, or transcoding (`name@one`, `name@other`), so that the order can be seen."
        yield Location(dataset=loader.dataset), message, help_text


@rule(
    "graph-unordered",
    "info",
    title="Nodes that save nothing, and nodes that load nothing: no dataset says which of them comes first.",
    source="kedro#5201 and kedro#3988; `kedro run` takes one order, always, and pods run at the same time.",
)
def find_unordered_nodes(context: CheckContext) -> Iterator[RuleFinding]:
    for plan in context.plans:
        pair = _find_unordered_pair(plan)
        if pair is not None:
            first, second = pair
            message = (
                f"saves nothing, and node {second!r} loads nothing: whatever the one leaves for the other, they run at the same "
                "time."
            )
            yield Location(node=first), message, "If one needs the other, let it load a dataset that the other saves."


def _find_unordered_pair(plan: Plan) -> tuple[str, str] | None:
    """A node that saves nothing and one that loads nothing, in tasks of which neither waits for the other."""
    order = concurrency.TaskOrder(plan)
    home = order.task_of
    last = [node.name for node in plan.graph.nodes if not node.outputs]
    first = [node.name for node in plan.graph.nodes if all(map(graphs.is_parameter, node.inputs))]
    for ending in last[:_MAX_NODES_COMPARED]:
        for beginning in first[:_MAX_NODES_COMPARED]:
            if home[beginning] != home[ending] and not order.waits_for(home[ending], home[beginning]):
                return ending, beginning
    return None


@rule(
    "namespace-interrupted",
    "warning",
    title=(
        "A namespace that was asked for as one pod and took nodes from outside with it, because they lie "
        "between its own."
    ),
    source="kedro#4603, by which Kedro itself warns of such namespaces.",
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
                message = f"the pod of namespace {quote_names(sorted(namespaces))} also runs {quote_names(others)}, which lies between its nodes."
                yield Location(task=task.id), message, "Give those nodes the namespace, or group by memory or chain."


@rule(
    "group-between",
    "warning",
    title="A group that took nodes with it that nobody put there, because they lie between its own.",
    source="kedro#5778, point by point: groups that make a circle of the graph.",
)
def find_extended_groups(context: CheckContext) -> Iterator[RuleFinding]:
    for plan in context.plans:
        for task in plan.tasks:
            groups = sorted({cause.name for cause in task.merge_causes if cause.reason == "group"})
            others = _nodes_between(task) if groups else []
            if others:
                message = f"group {quote_names(groups)} also holds {quote_names(others)}, which lies between its nodes."
                yield Location(task=task.id), message, "Put them into the group, or let the group begin after them."


def _nodes_between(task: Task) -> list[str]:
    """Nodes that are in a task only because they lie between others: nothing else joins them with what was asked for."""
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
    title=(
        "A group or namespace that is more than one pod, because its nodes' settings or what lies between do "
        "not fit into one."
    ),
    source="kedro-vertexai#129, where one image for all was the only way.",
)
def find_declined_groups(context: CheckContext) -> Iterator[RuleFinding]:
    for plan in context.plans:
        for declined in plan.declined:
            is_group = declined.reason == "group"
            location = (
                context.location_of("groups", declined.name) if is_group else context.dag_location(plan, "group_by")
            )
            subject = f"{declined.reason} {declined.name!r}"
            message = (
                f"{subject} is {declined.pods} pods, because its nodes have settings that cannot share one pod."
                if declined.pods
                else f"{subject} is several pods, because what lies between its nodes cannot share their pod."
            )
            yield location, message, ""
