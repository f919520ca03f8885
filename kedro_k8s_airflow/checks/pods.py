"""Checks of pods: what Kubernetes or Airflow's operator rejects, and settings with surprising effects."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from kedro_k8s_airflow.checks.registry import gather_from_tasks, key_prefixes, rule
from kedro_k8s_airflow.config.defaults import PLATFORM_DEFAULTS
from kedro_k8s_airflow.kubernetes.pod_rules import NATIVE_RESOURCES
from kedro_k8s_airflow.kubernetes.settings_pod import find_newer_settings, find_settings_problems, iterate_containers
from kedro_k8s_airflow.locations import Location
from kedro_k8s_airflow.plan.data_passing import ARGUMENTS_LIMIT, arguments_size, find_kedro_run_limits
from kedro_k8s_airflow.plan.model import pod_deadline
from kedro_k8s_airflow.plan.volumes import find_hidden, path_in_pod
from kedro_k8s_airflow.quantities import parse_quantity
from kedro_k8s_airflow.text import count_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from kedro_k8s_airflow.checks.registry import CheckContext, RuleFinding, SettingsFinding
    from kedro_k8s_airflow.plan.model import Plan, Task

_MEBIBYTE = 2**20
# A number of bytes below this was probably meant as GiB, a larger one as MiB.
_MIN_MEBIBYTES = 64
# Values that the provider (cncf.kubernetes 10.25) and Airflow accept for arguments that are strings.
# Exit codes that neither the program in the pod nor Kubernetes gives a meaning to.
_SKIP_CODES = range(3, 128)
_OPERATOR_VALUES = {
    "on_finish_action": ("delete_pod", "delete_succeeded_pod", "delete_active_pod", "keep_pod"),
    "on_kill_action": ("delete_pod", "keep_pod"),
    "termination_message_policy": ("File", "FallbackToLogsOnError"),
    "weight_rule": ("downstream", "upstream", "absolute"),
}


@rule(
    "resources",
    "error",
    title="A resource request above the limit, which Kubernetes rejects.",
    source="A generated pod that the API server rejected: `must be less than or equal to ... limit`.",
)
def find_requests_over_limits(context: CheckContext) -> Iterator[RuleFinding]:

    def inspect(settings: Mapping[str, Any]) -> Iterator[SettingsFinding]:
        for path, container, _ in iterate_containers(settings):
            resources = container.get("resources") or {}
            for resource, request in (resources.get("requests") or {}).items():
                limit = (resources.get("limits") or {}).get(resource)
                if resource in NATIVE_RESOURCES and _is_greater(request, limit):
                    message = f"requests {request} of {resource}, which is above the limit of {limit}."
                    help_text = "Raise the limit or lower the request; Kubernetes rejects such a pod."
                    yield key_prefixes((*path, "resources")), message, help_text

    yield from gather_from_tasks(context, inspect)


def _is_greater(request: Any, limit: Any) -> bool:
    try:
        return limit is not None and parse_quantity(request) > parse_quantity(limit)
    except ValueError:  # `pod-refused` reports it
        return False


@rule(
    "pod-refused",
    "error",
    title="Fields of the pod that Kubernetes does not have, lacks or refuses, such as a misspelt key of `affinity` or half a GPU.",
    source=(
        "The OpenAPI of Kubernetes 1.31 and 1.36, and dry runs on an API server. Airflow's client drops unknown keys, and the rest "
        "fails only during the run."
    ),
)
def find_refused_fields(context: CheckContext) -> Iterator[RuleFinding]:
    volume_names = {mount.name for plan in context.plans for mount in plan.mounts}

    def inspect(settings: Mapping[str, Any]) -> Iterator[SettingsFinding]:
        for problem in find_settings_problems(settings, volume_names):
            yield key_prefixes(problem.path), problem.message, problem.help

    yield from gather_from_tasks(context, inspect)


@rule(
    "pod-newer",
    "warning",
    title="A field of the pod that a supported version of Kubernetes does not have yet. There it is ignored.",
    source="The OpenAPI of Kubernetes 1.31 and 1.36.",
)
def find_newer_pod_fields(context: CheckContext) -> Iterator[RuleFinding]:

    def inspect(settings: Mapping[str, Any]) -> Iterator[SettingsFinding]:
        for problem in find_newer_settings(settings):
            yield key_prefixes(problem.path), problem.message, "Make sure that your cluster is newer."

    yield from gather_from_tasks(context, inspect)


def _resources(settings: Mapping[str, Any], part: str) -> Mapping[str, Any]:
    return (settings.get("resources") or {}).get(part) or {}


@rule(
    "resources-bytes",
    "error",
    title="Memory in bytes where another unit must be meant, such as `memory: 512`.",
    source="dag-factory#520 and cosmos#1821, resources that were accepted but misread.",
)
def find_memory_in_bytes(context: CheckContext) -> Iterator[RuleFinding]:

    def inspect(settings: Mapping[str, Any]) -> Iterator[SettingsFinding]:
        for part in ("requests", "limits"):
            memory = _resources(settings, part).get("memory")
            if memory is not None and 0 < parse_quantity(memory) < _MEBIBYTE:
                unit = "Mi" if parse_quantity(memory) >= _MIN_MEBIBYTES else "Gi"
                help_text = f"Did you mean {memory}{unit}?" if memory.isdigit() else "Add a unit, such as 512Mi."
                yield (("resources", part),), f"sets {part}.memory to {memory}, which is less than one MiB.", help_text

    yield from gather_from_tasks(context, inspect)


@rule(
    "memory-unlimited",
    "warning",
    title="A task without a memory limit, which can use all memory of its cluster node.",
    source="kedro-kubeflow#45. When a cluster node runs out of memory, Kubernetes may end other pods, too.",
)
def find_unlimited_memory(context: CheckContext) -> Iterator[RuleFinding]:

    def inspect(settings: Mapping[str, Any]) -> Iterator[SettingsFinding]:
        if _resources(settings, "limits").get("memory") is None:
            yield (
                (("resources", "limits"), ("resources",)),
                "does not have a memory limit.",
                "Set resources.limits.memory.",
            )

    yield from gather_from_tasks(context, inspect)


@rule(
    "volume-mount",
    "error",
    title="Additional volumes or mounts that clash with those of `data.volumes`, or a mount that hides the project.",
    source=(
        "apache/airflow#29432 and #24669. The API server reports `must be unique` or `not found`, but only during the run."
    ),
)
def find_invalid_mounts(context: CheckContext) -> Iterator[RuleFinding]:
    settings = context.settings
    claim_paths = [path_in_pod(volume.mount, settings) for volume in settings.data.volumes.values()]

    def inspect(task_settings: Mapping[str, Any]) -> Iterator[SettingsFinding]:
        for name in [volume["name"] for volume in task_settings.get("volumes") or []]:
            if name in settings.data.volumes:
                yield (("volumes",),), f"has two volumes named {name!r}.", "Rename one of them."
        for mount in task_settings.get("volumeMounts") or []:
            path = mount["mountPath"].rstrip("/")
            if path in claim_paths or not path.startswith("/"):
                problem = "already used" if path in claim_paths else "not an absolute path"
                message = f"mounts {mount['name']!r} at {mount['mountPath']!r}, which is {problem}."
                yield (("volumeMounts",),), message, "Choose another path."
            hidden = None if mount.get("subPath") or not path.startswith("/") else _find_hidden_folder(path, context)
            if hidden:
                yield (
                    (("volumeMounts",),),
                    f"mounts {mount['name']!r} at {path}, which hides {hidden}.",
                    "Choose another path.",
                )

    yield from gather_from_tasks(context, inspect)


def _find_hidden_folder(path: str, context: CheckContext) -> str | None:
    """Return what a mounted folder hides, if anything. A new folder below a system folder, such as /etc/team, hides nothing."""
    hidden = find_hidden(path, context.project, context.settings.project_path)
    return None if hidden and path.count("/") > 1 and not hidden.startswith("the project") else hidden


@rule(
    "operator-word",
    "error",
    title="An argument under `operator:` whose value is not one of the allowed values.",
    source="The operator's own ValueError, which breaks the import of the DAG file.",
)
def find_invalid_operator_values(context: CheckContext) -> Iterator[RuleFinding]:

    def inspect(settings: Mapping[str, Any]) -> Iterator[SettingsFinding]:
        for name, value in (settings.get("operator") or {}).items():
            if name in _OPERATOR_VALUES and value not in _OPERATOR_VALUES[name]:
                yield (
                    (("operator", name),),
                    f"sets operator.{name} to {value!r}, which is not allowed.",
                    f"Use one of {', '.join(_OPERATOR_VALUES[name])}.",
                )

    yield from gather_from_tasks(context, inspect)


@rule(
    "operator-skip",
    "error",
    title="A `skip_on_exit_code` under `operator:` that does not tell a skipped task from a failed or finished one.",
    source="The exit codes of the program in the pod and of Kubernetes: 0 to 2, and those from 128 on.",
)
def find_ambiguous_skip_codes(context: CheckContext) -> Iterator[RuleFinding]:

    def inspect(settings: Mapping[str, Any]) -> Iterator[SettingsFinding]:
        given = (settings.get("operator") or {}).get("skip_on_exit_code", ())
        for code in given if isinstance(given, list | tuple) else (given,):
            if type(code) is not int or code not in _SKIP_CODES:
                message = (
                    f"sets operator.skip_on_exit_code to {code!r}, which a node cannot use to have its task skipped."
                )
                help_text = "Use a number from 3 to 127, such as 99, and end the node with sys.exit(99)."
                yield (("operator", "skip_on_exit_code"),), message, help_text

    yield from gather_from_tasks(context, inspect)


@rule(
    "init-logs-deferred",
    "warning",
    title="Init container logs of a deferrable task, which the provider does not read.",
    source="apache/airflow#72504.",
)
def find_unread_init_logs(context: CheckContext) -> Iterator[RuleFinding]:

    def inspect(settings: Mapping[str, Any]) -> Iterator[SettingsFinding]:
        if settings.get("deferrable") and (settings.get("operator") or {}).get("init_container_logs"):
            message = "sets init_container_logs, which a deferrable task ignores."
            help_text = "Set deferrable: false, or read the logs with kubectl."
            yield (("operator", "init_container_logs"),), message, help_text

    yield from gather_from_tasks(context, inspect)


@rule(
    "pool-deferred",
    "info",
    title="A deferrable task in a pool. While its pod runs, it uses a slot only if the pool counts deferred tasks.",
    source="apache/airflow#20940; `include_deferred` was added in #32709.",
)
def find_uncounted_pool_slots(context: CheckContext) -> Iterator[RuleFinding]:

    def inspect(settings: Mapping[str, Any]) -> Iterator[SettingsFinding]:
        pool = settings.get("pool")
        if pool and settings.get("deferrable"):
            message = f"is deferrable and in pool {pool!r}. By default, it does not use a slot of the pool while its pod runs."
            help_text = f"Make the pool count deferred tasks: airflow pools set {pool} <slots> '<description>' --include-deferred."
            yield (("pool",),), message, help_text

    yield from gather_from_tasks(context, inspect)


@rule(
    "active-deferred",
    "info",
    title="A limit of active tasks on a DAG with deferrable tasks, which are not counted while their pods run.",
    source="apache/airflow#40528.",
)
def find_uncounted_active_tasks(context: CheckContext) -> Iterator[RuleFinding]:
    for plan in context.plans:
        if plan.dag.max_active_tasks is not None and any(task.settings.get("deferrable") for task in plan.tasks):
            message = f"is {plan.dag.max_active_tasks}, but deferrable tasks are not counted while their pods run."
            help_text = "Use a pool that counts deferred tasks (--include-deferred), or set deferrable: false."
            yield context.dag_location(plan, "max_active_tasks"), message, help_text


@rule(
    "retry-early",
    "warning",
    title="A non-deferrable task that is retried while the pod of its last try is still being deleted.",
    source="An orphaned pod with provider 10.25; apache/airflow#10544 is a related case.",
)
def find_early_retries(context: CheckContext) -> Iterator[RuleFinding]:
    for plan in context.plans:
        early_retries = [task.id for task in plan.tasks if _retries_early(task.settings, plan)]
        if early_retries:
            location = Location(task=early_retries[0], more_tasks=len(early_retries) - 1)
            message = "is not deferrable and may be retried before its killed pod is deleted, which can leave a pod that Airflow does not track."
            help_text = "Set retry_delay at least 5 s above terminationGracePeriodSeconds (30 s by default), or keep deferrable: true."
            yield location, message, help_text


def _retries_early(settings: Mapping[str, Any], plan: Plan) -> bool:
    retries, delay = settings.get("retries", plan.dag.retries), settings.get("retry_delay", plan.dag.retry_delay)
    grace = settings.get("terminationGracePeriodSeconds", PLATFORM_DEFAULTS["terminationGracePeriodSeconds"])
    return not settings.get("deferrable", False) and bool(retries) and delay.total_seconds() < grace + 5


@rule(
    "deadline-short",
    "warning",
    title="A pod deadline that is shorter than its task's execution timeout, so Kubernetes ends the pod first.",
    source="apache/airflow#11190, and a fault test whose pods ended with DeadlineExceeded.",
)
def find_short_deadlines(context: CheckContext) -> Iterator[RuleFinding]:

    def inspect(settings: Mapping[str, Any]) -> Iterator[SettingsFinding]:
        timeout, seconds = settings.get("execution_timeout"), pod_deadline(settings)
        if timeout is not None and seconds is not None and seconds < timeout.total_seconds():
            limit = int(timeout.total_seconds())
            message = f"has activeDeadlineSeconds {seconds}, less than its execution_timeout of {limit} s, so Kubernetes ends the pod first."
            help_text = "Remove activeDeadlineSeconds; its default follows the timeout."
            yield (("activeDeadlineSeconds",), ("execution_timeout",)), message, help_text

    yield from gather_from_tasks(context, inspect)


@rule(
    "runner-kedro",
    "error",
    title="A task with `runner: kedro` that plain `kedro run` cannot run: a comma in a name, run parameters, or the store.",
    source="Kedro 1.5 to 1.7, where `kedro run --nodes` splits names at commas; kedro-airflow-k8s#101 for parameters.",
)
def find_impossible_kedro_runs(context: CheckContext) -> Iterator[RuleFinding]:
    for plan, task in _kedro_runner_tasks(context):
        parameters = {**plan.runtime_params, **plan.params, **plan.macros}
        for message, help_text in find_kedro_run_limits(task, parameters):
            location = context.task_rules.location_of(task.rules, ("runner",)) or context.location_of("tasks")
            yield replace(location, task=task.id), message, help_text


@rule(
    "runner-kedro-loses",
    "warning",
    title="A task with `runner: kedro`, which does not use the features of this plugin's pod program.",
    source="kedro-mlflow#579 and kedro-airflow-k8s#101; docs/how-it-works/how-it-runs.md lists all differences.",
)
def find_kedro_run_losses(context: CheckContext) -> Iterator[RuleFinding]:

    def inspect(settings: Mapping[str, Any]) -> Iterator[SettingsFinding]:
        if settings.get("runner") == "kedro":
            message = (
                "uses plain `kedro run`, without exit codes, progress lines, a check of the plan, or one dataset version for the "
                "whole run (every pod loads the latest)."
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
    title="A pod whose arguments are too long. etcd accepts objects of 1.5 MiB, Linux process arguments of 2 MiB.",
    source="kedro#4319, 400 nodes as containers; the limits are those of etcd and Linux.",
)
def find_oversized_pods(context: CheckContext) -> Iterator[RuleFinding]:
    for plan in context.plans:
        for task in plan.tasks:
            size = arguments_size(task)
            if size > ARGUMENTS_LIMIT:
                message = (
                    f"runs {count_of(len(task.nodes), 'node')} whose names and datasets take {size:,} bytes of arguments; the limit is "
                    f"{ARGUMENTS_LIMIT:,}."
                )
                help_text = "Add datasets between the nodes to the catalog, so that the nodes need not share a pod."
                yield Location(task=task.id), message, help_text
