"""Checks of pods: what Kubernetes or Airflow's operator would refuse, and what means other than it seems."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from kedro_k8s_airflow import quantities
from kedro_k8s_airflow.checks.registry import gather_from_tasks, rule
from kedro_k8s_airflow.config.defaults import PLATFORM
from kedro_k8s_airflow.locations import Location
from kedro_k8s_airflow.plan import data_passing, volumes
from kedro_k8s_airflow.plan.model import pod_deadline

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from kedro_k8s_airflow.checks.registry import CheckContext, RuleFinding, SettingsFinding
    from kedro_k8s_airflow.plan.model import Plan, Task

_MEBIBYTE = 2**20
# As a number of bytes, less than this is meant as GiB, more as MiB.
_MIN_MEBIBYTES = 64
# Words that the provider (cncf.kubernetes 10.25) and Airflow take for arguments that are texts.
_OPERATOR_VALUES = {
    "on_finish_action": ("delete_pod", "delete_succeeded_pod", "delete_active_pod", "keep_pod"),
    "on_kill_action": ("delete_pod", "keep_pod"),
    "termination_message_policy": ("File", "FallbackToLogsOnError"),
    "weight_rule": ("downstream", "upstream", "absolute"),
}


@rule(
    "resources",
    "error",
    title="A request for more than the limit, which Kubernetes refuses.",
    source="a pod of ours that the API server refused: `must be less than or equal to ... limit`.",
)
def find_requests_over_limits(context: CheckContext) -> Iterator[RuleFinding]:

    def inspect(settings: Mapping[str, Any]) -> Iterator[SettingsFinding]:
        limits = _resources(settings, "limits")
        for resource, request in _resources(settings, "requests").items():
            if resource in limits and quantities.parse_quantity(request) > quantities.parse_quantity(limits[resource]):
                message = f"requests {request} {resource}, more than the limit of {limits[resource]}."
                yield (("resources",),), message, "Kubernetes refuses such a pod; raise the limit."

    yield from gather_from_tasks(context, inspect)


def _resources(settings: Mapping[str, Any], part: str) -> Mapping[str, Any]:
    return (settings.get("resources") or {}).get(part) or {}


@rule(
    "resources-bytes",
    "error",
    title="Memory in bytes where another unit must have been meant: `memory: 512`.",
    source="dag-factory#520 and cosmos#1821, resources that were accepted and meant something else.",
)
def find_memory_in_bytes(context: CheckContext) -> Iterator[RuleFinding]:

    def inspect(settings: Mapping[str, Any]) -> Iterator[SettingsFinding]:
        for part in ("requests", "limits"):
            memory = _resources(settings, part).get("memory")
            if memory is not None and 0 < quantities.parse_quantity(memory) < _MEBIBYTE:
                unit = "Mi" if quantities.parse_quantity(memory) >= _MIN_MEBIBYTES else "Gi"
                help_text = f"Did you mean {memory}{unit}?" if memory.isdigit() else "Write its unit, such as 512Mi."
                yield (("resources", part),), f"{part} {memory} bytes of memory.", help_text

    yield from gather_from_tasks(context, inspect)


@rule(
    "memory-unlimited",
    "warning",
    title="A task without a limit of memory, which can take all that its cluster node has.",
    source=("kedro-kubeflow#45; when a cluster node runs out of memory, Kubernetes ends pods that did nothing wrong."),
)
def find_unlimited_memory(context: CheckContext) -> Iterator[RuleFinding]:

    def inspect(settings: Mapping[str, Any]) -> Iterator[SettingsFinding]:
        if _resources(settings, "limits").get("memory") is None:
            yield (("resources", "limits"), ("resources",)), "has no limit of memory.", "Give resources.limits.memory."

    yield from gather_from_tasks(context, inspect)


@rule(
    "volume-mount",
    "error",
    title=(
        "Volumes and mounts of a rule that cannot be: two of one name or place, a mount of no volume, one "
        "that hides the project."
    ),
    source=(
        "apache/airflow#29432 and #24669; the API server says `must be unique` or `not found`, after the run has begun."
    ),
)
def find_invalid_mounts(context: CheckContext) -> Iterator[RuleFinding]:
    settings = context.settings
    claim_paths = [volumes.path_in_pod(volume.mount, settings) for volume in settings.data.volumes.values()]

    def inspect(task_settings: Mapping[str, Any]) -> Iterator[SettingsFinding]:
        volume_names = list(settings.data.volumes)
        for name in [volume["name"] for volume in task_settings.get("volumes") or []]:
            if name in volume_names:
                yield (("volumes",),), f"has two volumes of the name {name!r}.", "Rename one."
            volume_names.append(name)
        known, used_paths = {*volume_names, *volumes.RESERVED_NAMES}, list(claim_paths)
        for mount in task_settings.get("volumeMounts") or []:
            path = mount["mountPath"].rstrip("/")
            if path in used_paths or not path.startswith("/"):
                problem = "taken" if path in used_paths else "no absolute path"
                message = f"mounts {mount['name']!r} at {mount['mountPath']!r}, which is {problem}."
                yield (("volumeMounts",),), message, "Choose another path."
            hidden = None if mount.get("subPath") or not path.startswith("/") else _find_hidden_folder(path, context)
            if hidden:
                yield (
                    (("volumeMounts",),),
                    f"mounts {mount['name']!r} at {path}, which hides {hidden}.",
                    "Choose another path.",
                )
            used_paths.append(path)
            if mount["name"] not in known:
                message = f"mounts {mount['name']!r}, but no volume has that name."
                yield (("volumeMounts",),), message, "Add it to `volumes`."

    yield from gather_from_tasks(context, inspect)


def _find_hidden_folder(path: str, context: CheckContext) -> str | None:
    """What a folder that is mounted would hide; a new one below the system's, such as /etc/team, hides nothing."""
    hidden = volumes.find_hidden(path, context.project, context.settings.project_path)
    return None if hidden and path.count("/") > 1 and not hidden.startswith("the project") else hidden


@rule(
    "operator-word",
    "error",
    title="An argument under `operator:` that takes one of a few words and was given another.",
    source="the operator's own ValueError, which breaks the import of the DAG file.",
)
def find_invalid_operator_values(context: CheckContext) -> Iterator[RuleFinding]:

    def inspect(settings: Mapping[str, Any]) -> Iterator[SettingsFinding]:
        for name, value in (settings.get("operator") or {}).items():
            if name in _OPERATOR_VALUES and value not in _OPERATOR_VALUES[name]:
                yield (
                    (("operator", name),),
                    f"operator.{name} is {value!r}.",
                    f"It takes {', '.join(_OPERATOR_VALUES[name])}.",
                )

    yield from gather_from_tasks(context, inspect)


@rule(
    "init-logs-deferred",
    "warning",
    title="Logs of init containers of a deferrable task, which the provider does not read.",
    source="apache/airflow#72504.",
)
def find_unread_init_logs(context: CheckContext) -> Iterator[RuleFinding]:

    def inspect(settings: Mapping[str, Any]) -> Iterator[SettingsFinding]:
        if settings.get("deferrable") and (settings.get("operator") or {}).get("init_container_logs"):
            message = "asks for init_container_logs, which a deferrable task ignores."
            help_text = "Set deferrable: false for it, or read them in the cluster's own logs."
            yield (("operator", "init_container_logs"),), message, help_text

    yield from gather_from_tasks(context, inspect)


@rule(
    "pool-deferred",
    "info",
    title=("A deferrable task in a pool: while its pod runs it takes no slot, unless the pool counts deferred tasks."),
    source="apache/airflow#20940; `include_deferred` came with #32709.",
)
def find_uncounted_pool_slots(context: CheckContext) -> Iterator[RuleFinding]:

    def inspect(settings: Mapping[str, Any]) -> Iterator[SettingsFinding]:
        pool = settings.get("pool")
        if pool and settings.get("deferrable"):
            message = f"is in pool {pool!r} and deferrable: while its pod runs it takes no slot of the pool."
            help_text = f"Let the pool count them: airflow pools set {pool} <slots> '<what for>' --include-deferred."
            yield (("pool",),), message, help_text

    yield from gather_from_tasks(context, inspect)


@rule(
    "active-deferred",
    "info",
    title="A limit of active tasks on a DAG whose tasks are deferrable: those whose pods run are not counted.",
    source="apache/airflow#40528.",
)
def find_uncounted_active_tasks(context: CheckContext) -> Iterator[RuleFinding]:
    for plan in context.plans:
        if plan.dag.max_active_tasks is not None and any(task.settings.get("deferrable") for task in plan.tasks):
            message = (
                f"max_active_tasks is {plan.dag.max_active_tasks}, and deferrable tasks whose pods run are not counted."
            )
            help_text = "Give the tasks a pool that counts them (--include-deferred), or set deferrable: false."
            yield replace(context.dag_location(plan, "max_active_tasks"), dag=plan.name), message, help_text


@rule(
    "retry-early",
    "warning",
    title="A task that is not deferrable and is retried while the pod of its last try is still being deleted.",
    source=(
        "a pod of ours that nobody owned, with provider 10.25; apache/airflow#10544 shows the same from another side."
    ),
)
def find_early_retries(context: CheckContext) -> Iterator[RuleFinding]:
    for plan in context.plans:
        early_retries = [task.id for task in plan.tasks if _retries_early(task.settings, plan)]
        if early_retries:
            location = Location(task=early_retries[0], more_tasks=len(early_retries) - 1)
            message = "is not deferrable and retried before a killed pod has gone: Airflow then starts a pod that nobody owns."
            help_text = "Let retry_delay be longer than terminationGracePeriodSeconds (30 s) and some seconds, or leave deferrable on."
            yield location, message, help_text


def _retries_early(settings: Mapping[str, Any], plan: Plan) -> bool:
    retries, delay = settings.get("retries", plan.dag.retries), settings.get("retry_delay", plan.dag.retry_delay)
    grace = settings.get("terminationGracePeriodSeconds", PLATFORM["terminationGracePeriodSeconds"])
    return not settings.get("deferrable", False) and bool(retries) and delay.total_seconds() < grace + 5


@rule(
    "deadline-short",
    "warning",
    title=(
        "A deadline of the pod that is shorter than the execution timeout of its task, so that Kubernetes "
        "ends it first."
    ),
    source="apache/airflow#11190 and the fault trial of our own pods that end with DeadlineExceeded.",
)
def find_short_deadlines(context: CheckContext) -> Iterator[RuleFinding]:

    def inspect(settings: Mapping[str, Any]) -> Iterator[SettingsFinding]:
        timeout, seconds = settings.get("execution_timeout"), pod_deadline(settings)
        if timeout is not None and seconds is not None and seconds < timeout.total_seconds():
            lasts = int(timeout.total_seconds())
            message = f"has activeDeadlineSeconds {seconds} and execution_timeout {lasts} s: Kubernetes ends it first."
            help_text = "Leave activeDeadlineSeconds out; it follows the timeout."
            yield (("activeDeadlineSeconds",), ("execution_timeout",)), message, help_text

    yield from gather_from_tasks(context, inspect)


@rule(
    "runner-kedro",
    "error",
    title=(
        "A task with `runner: kedro` that plain `kedro run` could not run: a comma in a name, parameters of "
        "the run, the store."
    ),
    source=(
        "Kedro 1.5 to 1.7, where `kedro run --nodes` splits names at commas; kedro-airflow-k8s#101 for the parameters."
    ),
)
def find_impossible_kedro_runs(context: CheckContext) -> Iterator[RuleFinding]:
    for plan, task in _kedro_runner_tasks(context):
        parameters = {**plan.runtime_params, **plan.params, **plan.macros}
        for message, help_text in data_passing.kedro_run_limits(task, parameters):
            location = context.task_rules.location_of(task.rules, ("runner",)) or context.location_of("tasks")
            yield replace(location, task=task.id), message, help_text


@rule(
    "runner-kedro-loses",
    "warning",
    title="A task with `runner: kedro`, which goes without what our program in the pod does.",
    source="kedro-mlflow#579 and kedro-airflow-k8s#101, the first of what is lost; docs/how-it-works/how-it-runs.md has all.",
)
def find_kedro_run_losses(context: CheckContext) -> Iterator[RuleFinding]:

    def inspect(settings: Mapping[str, Any]) -> Iterator[SettingsFinding]:
        if settings.get("runner") == "kedro":
            message = (
                "runner: kedro gives up one version for the whole run (every pod loads the latest), exit codes, progress lines, "
                "the check of the plan."
            )
            yield (("runner",),), message, ""

    yield from gather_from_tasks(context, inspect)


def _kedro_runner_tasks(context: CheckContext) -> Iterator[tuple[Plan, Task]]:
    for plan in context.plans:
        for task in plan.tasks:
            if task.settings.get("runner") == "kedro" and task.nodes:
                yield plan, task


@rule(
    "pod-size",
    "error",
    title=(
        "A pod that is told so many names that it does not fit: etcd takes objects of 1.5 MiB, a process "
        "arguments of 2 MiB."
    ),
    source="kedro#4319, 400 nodes as containers; the limits are etcd's and Linux'.",
)
def find_oversized_pods(context: CheckContext) -> Iterator[RuleFinding]:
    for plan in context.plans:
        for task in plan.tasks:
            size = data_passing.arguments_size(task)
            if size > data_passing.POD_LIMIT:
                message = (
                    f"holds {len(task.nodes)} nodes, whose names and datasets take {size} bytes; a pod can be told "
                    f"{data_passing.POD_LIMIT}."
                )
                help_text = "Give datasets between them a catalog entry, so that they need not share a pod."
                yield Location(task=task.id), message, help_text
