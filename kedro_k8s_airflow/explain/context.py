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
    from kedro_k8s_airflow.plan.model import Plan
    from kedro_k8s_airflow.plan.task_rules import TaskRules
    from kedro_k8s_airflow.project import Project


@dataclass(frozen=True)
class ExplainContext:
    """What is asked about: the plans, and what they were made of."""

    project: Project
    settings: Settings
    sources: SettingsSources
    rules: TaskRules
    plans: Sequence[Plan]

    @cached_property
    def tasks(self) -> Mapping[tuple[str, str], str]:
        """The task of each node, by dag_id and name."""
        return {(plan.dag_id, name): task.id for plan in self.plans for task in plan.tasks for name in task.nodes}

    @cached_property
    def pipelines(self) -> Mapping[str, Sequence[str]]:
        """The registered pipelines that hold a node, by its name."""
        found: dict[str, list[str]] = {}
        for name, nodes in sorted(self.project.pipelines.items()):
            for node in nodes:
                found.setdefault(node.name, []).append(name)
        return found


@dataclass(frozen=True)
class SettingExplanation:
    """One value, and who said it.

    Attributes:
        key: dotted, below the rule.
        value: as the settings file spells it; None when it was taken away, or means never.
        said_by: the layers, in words; several when the nodes of a pod have it from different ones.
        where: `file: key` of each place that spells it.
        taken: whether null took it away.
        note: how it came about when the nodes of a pod differ.
    """

    key: str
    value: Any
    said_by: tuple[str, ...]
    where: tuple[str, ...]
    taken: bool = False
    note: str = ""


@dataclass(frozen=True)
class DatasetFlow:
    """A dataset that a task or node loads or saves: where it is, and who is on the other side."""

    dataset: str
    where: str
    others: tuple[str, ...]


@dataclass(frozen=True)
class NodeExplanation:
    """One node.

    Attributes:
        task: the task that runs it, and how many others the task runs.
        pipelines: registered ones that hold it.
        rules: those that match it, in file order.
    """

    dag: str
    name: str
    task: str
    companions: int
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
        together: why its nodes share a pod, a sentence each.
        after, before: tasks it waits for, tasks that wait for it.
        deadline: seconds after which Kubernetes ends the pod, or None.
        by_hand: the lines that run it.
    """

    dag: str
    id: str
    pipeline: str
    whole: str | None
    group: str | None
    nodes: tuple[NodeExplanation, ...]
    together: tuple[str, ...]
    after: tuple[str, ...]
    before: tuple[str, ...]
    reads: tuple[DatasetFlow, ...]
    writes: tuple[DatasetFlow, ...]
    rules: tuple[str, ...]
    settings: tuple[SettingExplanation, ...]
    deadline: int | None
    deadline_said: str
    image: str
    image_said: str
    by_hand: DebugCommands


@dataclass(frozen=True)
class NodeUse:
    """A node that loads or saves a dataset, the name it uses, and its task."""

    node: str
    task: str
    form: str


@dataclass(frozen=True)
class DatasetExplanation:
    """One dataset, its transcoded forms taken together.

    Attributes:
        reach: memory, pod, shared or unknown.
        why: why it reaches that far.
        travels: how it gets from task to task, or that it does not.
        versions: how versions are chosen, when it has any.
    """

    dag: str
    name: str
    forms: tuple[str, ...]
    reach: str
    why: str
    path: str | None
    writer: NodeUse | None
    readers: tuple[NodeUse, ...]
    crosses: bool
    travels: str
    versioned: bool
    versions: str


Explanation = TaskExplanation | NodeExplanation | DatasetExplanation
