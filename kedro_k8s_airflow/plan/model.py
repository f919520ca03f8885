"""The plan: all tasks of one DAG and their edges, frozen and checked. `Compilation.plans` hands it out complete."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kedro_k8s_airflow.config.defaults import PROVIDER_DEFAULTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import timedelta

    from kedro_k8s_airflow.config.models import DagSettings
    from kedro_k8s_airflow.plan.graph import Graph
    from kedro_k8s_airflow.plan.grouping import DeclinedGroup
    from kedro_k8s_airflow.plan.reach import Reach
    from kedro_k8s_airflow.plan.resolved_settings import ResolvedSettings

CONTRACT_VERSION = 2


@dataclass(frozen=True, slots=True)
class MergeCause:
    """Why two nodes of a task share its pod: the reason, the dataset or name behind it, and the two nodes."""

    reason: str
    name: str
    first: str
    second: str


@dataclass(frozen=True, slots=True)
class Crossing:
    """A dataset that one task saves and others load."""

    dataset: str
    reach: Reach
    saved_by: str
    loaded_by: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One Airflow task: one group of nodes in one pod.

    Attributes:
        id: legal in Airflow and unique in the DAG.
        nodes: names of the Kedro nodes, in an order they can run in; none for the task that clears the store.
        upstream: ids of the tasks it waits for, sorted.
        group: id of the task group it is shown in, or None.
        label: the task as a Kubernetes label value.
        pipeline: registered pipeline the pod loads.
        narrowing_declined: why the pod loads the DAG's whole pipeline, when no smaller one is proven to do.
        memory: datasets that its pod keeps in memory, sorted.
        stored: datasets in memory that it hands to other tasks or gets from them, sorted.
        versions: versioned datasets that it saves, or that it loads and other tasks save, sorted, as its nodes name them.
        latest: versioned datasets that it loads and no task saves.
        flags: further arguments of the pod's program.
        image: full reference.
        image_name: the project's image that is, or None for another's.
        settings: resolved keys of the settings file that are set for it.
        rules: names of the rules with a `match` behind them, in file order.
        scratch: absolute folders in the pod, beyond the common ones, that its nodes write to and that die with the pod.
        merge_causes: why its nodes are together.
    """

    id: str
    nodes: tuple[str, ...]
    upstream: tuple[str, ...]
    group: str | None
    label: str
    pipeline: str
    image: str
    settings: ResolvedSettings
    rules: tuple[str, ...] = ()
    scratch: tuple[str, ...] = ()
    merge_causes: tuple[MergeCause, ...] = ()
    narrowing_declined: str | None = None
    memory: tuple[str, ...] = ()
    stored: tuple[str, ...] = ()
    versions: tuple[str, ...] = ()
    latest: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    image_name: str | None = "default"


def pod_deadline(settings: Mapping[str, Any]) -> int | None:
    """Return the seconds after which Kubernetes ends the pod, whatever Airflow does; None when the settings switch it off.

    Execution timeout, waits for a cluster node and the image, and ten minutes; a day when there is no timeout.
    """
    if "activeDeadlineSeconds" in settings:
        return settings["activeDeadlineSeconds"]  # type: ignore[no-any-return]
    timeout: timedelta | None = settings.get("execution_timeout")
    if timeout is None:
        return 24 * 3600
    operator = settings.get("operator", {})
    startup = operator.get("startup_timeout_seconds", PROVIDER_DEFAULTS["startup_timeout_seconds"])
    return int(timeout.total_seconds()) + int(startup) + int(operator.get("schedule_timeout_seconds", 0)) + 600


@dataclass(frozen=True, slots=True)
class Mount:
    """A volume every pod of the DAG mounts: a claim, or one key of a Secret."""

    name: str
    path: str
    claim: str | None = None
    secret: str | None = None
    key: str | None = None
    sub_path: str | None = None
    read_only: bool = False


def find_claim(path: str | None, mounts: Iterable[Mount]) -> Mount | None:
    """The claim that a path in the pod lies on; of several above each other the innermost."""
    if path is None:
        return None
    candidates = [mount for mount in mounts if mount.claim and f"{path}/".startswith(f"{mount.path}/")]
    return max(candidates, key=lambda mount: len(mount.path), default=None)


@dataclass(frozen=True, slots=True)
class MemoryStore:
    """Where datasets in memory are kept while they go from task to task: a path in the pod or a URL; seconds that leftovers stay."""

    url: str
    keep: int


@dataclass(frozen=True, slots=True)
class LocalInput:
    """A dataset that no node makes and that lies on a volume: its path in the pod and, relative to the project, on this machine."""

    dataset: str
    path: str
    mount: str
    local_path: str


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One DAG.

    Attributes:
        dag_id: `<package>[_<dag>][_<env>]`, legal in Airflow.
        name: the DAG's name in the settings.
        pipeline, env, package: what the pods run.
        graph: nodes and datasets of the pipeline.
        dag: its settings on Airflow's side.
        namespace: of the pods.
        project_path: the project in the image.
        conf_source: configuration folder that pods have to be told of, or None.
        home: the pods' HOME.
        scratch_size: limit of each writable folder, a Kubernetes quantity.
        mounts: volumes of every pod.
        base: settings of a node that no rule with a `match` speaks of.
        base_image: image of such a node.
        prefix: words before the command of every pod.
        params: Kedro parameters of Airflow's trigger form, with their defaults.
        macros: Kedro parameters that the run decides, as dotted names -> an expression of Airflow's templates.
        runtime_params: Kedro's runtime parameters of every pod, as dotted names.
        store: what holds datasets in memory between tasks, when any are.
        local_inputs: files on volumes that no node of the DAG makes.
        pipeline_count: how many pipelines the project has.
        groups: task group id -> namespace it shows.
        tasks: in topological order.
        crossings: what goes from task to task.

    Raises:
        ValueError: on a duplicate id, or a task that waits for one that is not before it (a cycle).
    """

    dag_id: str
    name: str
    pipeline: str
    env: str | None
    package: str
    graph: Graph
    dag: DagSettings
    namespace: str
    project_path: str
    conf_source: str | None
    home: str
    scratch_size: str
    mounts: tuple[Mount, ...]
    base: ResolvedSettings
    base_image: str
    prefix: tuple[str, ...] = ()
    params: Mapping[str, Any]
    runtime_params: Mapping[str, Any]
    groups: Mapping[str, str]
    tasks: tuple[Task, ...]
    crossings: tuple[Crossing, ...] = ()
    declined: tuple[DeclinedGroup, ...] = ()
    in_image: tuple[str, ...] = field(default=())
    macros: Mapping[str, str] = field(default_factory=dict)
    store: MemoryStore | None = None
    local_inputs: tuple[LocalInput, ...] = ()
    pipeline_count: int = 1

    def __post_init__(self) -> None:
        seen: set[str] = set()
        for task in self.tasks:
            if task.id in seen:
                raise ValueError(f"two tasks of {self.dag_id} have the id {task.id!r}")
            missing = [other for other in task.upstream if other not in seen]
            if missing:
                raise ValueError(
                    f"task {task.id!r} of {self.dag_id} waits for {missing[0]!r}, which does not come before it"
                )
            if task.group is not None and task.group not in self.groups:
                raise ValueError(f"task {task.id!r} of {self.dag_id} is in no known task group {task.group!r}")
            seen.add(task.id)
        if seen & set(self.groups):
            raise ValueError(f"a task group of {self.dag_id} has the id of a task")

    @property
    def node_count(self) -> int:
        """How many Kedro nodes the DAG runs."""
        return sum(len(task.nodes) for task in self.tasks)
