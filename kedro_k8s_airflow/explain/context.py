"""What is told of a task, a node and a dataset: plain data, in the words of users. Not where it comes from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kedro_k8s_airflow.config.loader import SettingsSources
    from kedro_k8s_airflow.config.models import Settings
    from kedro_k8s_airflow.kubernetes.debug_commands import DebugCommands
    from kedro_k8s_airflow.locations import Location
    from kedro_k8s_airflow.plan.model import Plan
    from kedro_k8s_airflow.plan.task_rules import TaskRules
    from kedro_k8s_airflow.project import Project


@dataclass(frozen=True)
class ExplainContext:
    """What is asked about: the plans, and what they were made of."""

    project: Project
    settings: Settings
    sources: SettingsSources
    task_rules: TaskRules
    plans: Sequence[Plan]

    @cached_property
    def task_of_node(self) -> Mapping[tuple[str, str], str]:
        """The task of each node, by dag_id and name."""
        return {(plan.dag_id, name): task.id for plan in self.plans for task in plan.tasks for name in task.nodes}

    @cached_property
    def pipelines(self) -> Mapping[str, Sequence[str]]:
        """The registered pipelines that hold a node, by its name."""
        names: dict[str, list[str]] = {}
        for name, nodes in sorted(self.project.pipelines.items()):
            for node in nodes:
                names.setdefault(node.name, []).append(name)
        return names


@dataclass(frozen=True)
class SettingExplanation:
    """One value, and who said it.

    Attributes:
        key: dotted, below the rule.
        value: as the settings file spells it; None when it was taken away, or means never.
        source: the layers, in words; several when the nodes of a pod have it from different ones.
        locations: each file and key that sets it.
        removed: whether null took it away.
        note: how it came about when the nodes of a pod differ.
    """

    key: str
    value: Any
    source: tuple[str, ...]
    locations: tuple[Location, ...]
    removed: bool = False
    note: str = ""


@dataclass(frozen=True)
class DatasetFlow:
    """A dataset that a task or node loads or saves: where it is, and who is on the other side."""

    dataset: str
    storage: str
    other_tasks: tuple[str, ...]


@dataclass(frozen=True)
class NodeExplanation:
    """One node.

    Attributes:
        task: the task that runs it, and how many others the task runs.
        pipelines: registered ones that hold it.
        task_rules: those that match it, in file order.
    """

    dag: str
    name: str
    task: str
    other_nodes_in_task: int
    namespace: str | None
    tags: tuple[str, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    pipelines: tuple[str, ...]
    rules: tuple[str, ...]
    settings: tuple[SettingExplanation, ...]


@dataclass(frozen=True)
class TaskExplanation:
    """One task.

    Attributes:
        pipeline: that the pod loads; `whole` says why it is the DAG's own, when that is not the smallest.
        merge_reasons: why its nodes share a pod, a sentence each.
        upstream, downstream: tasks it waits for, tasks that wait for it.
        deadline_seconds: seconds after which Kubernetes ends the pod, or None.
        debug_commands: the lines that run it.
    """

    dag: str
    id: str
    pipeline: str
    narrowing_declined: str | None
    group: str | None
    nodes: tuple[NodeExplanation, ...]
    merge_reasons: tuple[str, ...]
    upstream: tuple[str, ...]
    downstream: tuple[str, ...]
    loads: tuple[DatasetFlow, ...]
    saves: tuple[DatasetFlow, ...]
    rules: tuple[str, ...]
    settings: tuple[SettingExplanation, ...]
    deadline_seconds: int | None
    deadline_source: str
    image: str
    image_source: str
    debug_commands: DebugCommands


@dataclass(frozen=True)
class NodeUse:
    """A node that loads or saves a dataset, the name it uses, and its task."""

    node: str
    task: str
    dataset: str


@dataclass(frozen=True)
class DatasetExplanation:
    """One dataset, its transcoded forms taken together.

    Attributes:
        reach: memory, pod, shared or unknown.
        reach_reason: why it reaches that far.
        storage: how it gets from task to task, or that it does not.
        version_choice: how versions are chosen, when it has any.
    """

    dag: str
    name: str
    names: tuple[str, ...]
    reach: str
    reach_reason: str
    path: str | None
    saved_by: NodeUse | None
    loaded_by: tuple[NodeUse, ...]
    passed_between_tasks: bool
    storage: str
    versioned: bool
    version_choice: str


Explanation = TaskExplanation | NodeExplanation | DatasetExplanation
