"""The explanation of a task, a node and a dataset: plain data. Not where it comes from."""

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
    from kedro_k8s_airflow.project.model import Project


@dataclass(frozen=True)
class ExplainContext:
    """The plans, and what they were made from."""

    project: Project
    settings: Settings
    sources: SettingsSources
    task_rules: TaskRules
    plans: Sequence[Plan]

    @cached_property
    def task_of_node(self) -> Mapping[tuple[str, str], str]:
        """Id of each node's task, by dag_id and the node's name."""
        return {(plan.dag_id, name): task.id for plan in self.plans for task in plan.tasks for name in task.nodes}

    @cached_property
    def pipelines(self) -> Mapping[str, Sequence[str]]:
        """Registered pipelines that contain a node, by its name."""
        names: dict[str, list[str]] = {}
        for name, nodes in sorted(self.project.pipelines.items()):
            for node in nodes:
                names.setdefault(node.name, []).append(name)
        return names


@dataclass(frozen=True)
class SettingExplanation:
    """One effective setting and its source.

    Attributes:
        key: dotted key below the rule.
        value: the value as the settings file spells it; None if it was removed, or means never.
        source: the layers that set it; several if the nodes of a pod get it from different ones.
        locations: each file and key that sets it.
        removed: whether a null in the settings removed it.
        note: how the value was chosen if the nodes of a pod differ, otherwise empty.
    """

    key: str
    value: Any
    source: tuple[str, ...]
    locations: tuple[Location, ...]
    removed: bool = False
    note: str = ""


@dataclass(frozen=True)
class DatasetFlow:
    """A dataset that a task loads or saves, where it is stored, and the tasks that save or load it."""

    dataset: str
    storage: str
    other_tasks: tuple[str, ...]


@dataclass(frozen=True)
class NodeExplanation:
    """One node.

    Attributes:
        task: id of the task that runs it.
        other_nodes_in_task: how many other nodes that task runs.
        pipelines: registered pipelines that contain it.
        rules: rules that match it, in file order.
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
        pipeline: registered pipeline that the pod loads.
        narrowing_declined: why the pod loads the DAG's whole pipeline, or None if it loads a smaller one.
        merge_reasons: why its nodes share a pod, one sentence each.
        upstream, downstream: tasks it waits for, and tasks that wait for it.
        deadline_seconds: seconds after which Kubernetes ends the pod, or None for never.
        debug_commands: commands that run the task manually.
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
    """A node that loads or saves a dataset, its task, and the dataset's name in the node."""

    node: str
    task: str
    dataset: str


@dataclass(frozen=True)
class DatasetExplanation:
    """One dataset, including all its transcoded names.

    Attributes:
        names: names under which nodes load and save it.
        reach: memory, pod, shared or unknown.
        reach_reason: why it has that reach.
        path: absolute path in the pod, for local data.
        storage: where it is stored, and how it passes between tasks if it does.
        version_choice: which version is loaded; empty without versions.
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
