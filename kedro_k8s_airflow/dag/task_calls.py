"""The tasks of a DAG file: the settings that all tasks share, and one call for each task with what differs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from kedro_k8s_airflow import names
from kedro_k8s_airflow.config import operator_arguments
from kedro_k8s_airflow.dag import pod_arguments
from kedro_k8s_airflow.plan.model import pod_deadline
from kedro_k8s_airflow.python_source import Call, Splice, to_source

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kedro_k8s_airflow.plan.model import Plan, Task
    from kedro_k8s_airflow.plan.resolved_settings import ResolvedSettings

# Key of the settings file (and of Kubernetes) -> argument of KubernetesPodOperator.
POD_ARGUMENTS = {
    "imagePullPolicy": "image_pull_policy",
    "imagePullSecrets": "image_pull_secrets",
    "resources": "container_resources",
    "envFrom": "env_from",
    "nodeSelector": "node_selector",
    "tolerations": "tolerations",
    "affinity": "affinity",
    "serviceAccountName": "service_account_name",
    "automountServiceAccountToken": "automount_service_account_token",
    "priorityClassName": "priority_class_name",
    "runtimeClassName": "runtime_class_name",
    "schedulerName": "schedulername",
    "dnsPolicy": "dnspolicy",
    "terminationGracePeriodSeconds": "termination_grace_period",
    "podSecurityContext": "security_context",
    "securityContext": "container_security_context",
}
# Those that are fields of the container, not of the pod.
CONTAINER_KEYS = frozenset({"imagePullPolicy", "resources", "envFrom", "securityContext"})
_OPERATOR_ARGUMENTS = {
    **POD_ARGUMENTS,
    "retries": "retries",
    "retry_delay": "retry_delay",
    "execution_timeout": "execution_timeout",
    "pool": "pool",
    "priority_weight": "priority_weight",
    "queue": "queue",
    "executor": "executor",
    "trigger_rule": "trigger_rule",
    "kubernetes_conn_id": "kubernetes_conn_id",
    "in_cluster": "in_cluster",
    "cluster_context": "cluster_context",
    "deferrable": "deferrable",
}
# What the operator is given when a task takes a shared setting away and None would not mean "as if never said".
_OPERATOR_DEFAULTS = {
    "deferrable": False,
    "trigger_rule": "all_success",
    "priority_weight": 1,
    "pool": "default_pool",
    "kubernetes_conn_id": "kubernetes_default",
    "startup_timeout_seconds": 120,
    "startup_check_interval_seconds": 5,
    "poll_interval": 2,
    "log_events_on_failure": False,
    "on_finish_action": "delete_pod",
    "termination_message_policy": "File",
    "log_pod_spec_on_failure": True,
}
_RESERVED_CONSTANTS = frozenset(
    {
        "ARGUMENTS",
        "RUN",
        "RUN_PARAMS",
        "ENV_VARS",
        "VOLUMES",
        "VOLUME_MOUNTS",
        "LABELS",
        "ANNOTATIONS",
        "SETTINGS",
        "GROUPS",
        "DAG",
        "DOC_MD",
    }
)
_SettingsBlock = str | dict[str, Any]


def build_shared_arguments(plan: Plan) -> dict[str, Any]:
    """Return the operator arguments of a node that no rule matches, in the order a reader expects."""
    return {
        "image": plan.base_image,
        "namespace": plan.namespace,
        "cmds": pod_arguments.pod_command(plan, "python"),
        **_settings_arguments(plan.base),
        "do_xcom_push": False,
        **_operator_section_arguments(plan.base),
    }


def _settings_arguments(settings: Mapping[str, Any]) -> dict[str, Any]:
    arguments = {
        argument: _tuple_to_list(settings[key]) for key, argument in _OPERATOR_ARGUMENTS.items() if key in settings
    }
    if arguments.get("deferrable"):
        arguments["logging_interval"] = 60
    seconds = pod_deadline(settings)
    if seconds is not None:
        arguments["active_deadline_seconds"] = seconds
    return arguments


def _operator_section_arguments(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: operator_arguments.parse_argument(name, value) for name, value in settings.get("operator", {}).items()
    }


def _tuple_to_list(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def build_settings_blocks(
    plan: Plan, shared: Mapping[str, Any]
) -> tuple[list[_SettingsBlock], dict[str, dict[str, Any]]]:
    """Return how each task differs from the shared settings.

    Returns:
        For each task the differing arguments, or the name of a constant if several tasks differ in the same way; and the constants.
    """
    block_of: dict[ResolvedSettings, dict[str, Any]] = {plan.base: {}}
    for task in plan.tasks:
        if task.settings not in block_of:
            block_of[task.settings] = _differing_arguments(plan, task, shared)
    source_of = {settings: to_source(block) for settings, block in block_of.items()}
    blocks = [block_of[task.settings] for task in plan.tasks]
    indexes_by_source: dict[str, list[int]] = {}
    for index, task in enumerate(plan.tasks):
        if blocks[index]:
            indexes_by_source.setdefault(source_of[task.settings], []).append(index)
    constants: dict[str, dict[str, Any]] = {}
    result: list[_SettingsBlock] = list(blocks)
    for text, indexes in indexes_by_source.items():
        if len(indexes) > 1:
            name = _constant_name(plan.tasks[indexes[0]].rules, text, constants)
            constants[name] = blocks[indexes[0]]
            for index in indexes:
                result[index] = name
    return result, dict(sorted(constants.items()))


def _constant_name(rules: tuple[str, ...], text: str, used_names: Mapping[str, Any]) -> str:
    """Return a name for settings that several tasks share, made from their rules."""
    name = re.sub(r"[^A-Z0-9]+", "_", "_".join(rules).upper()).strip("_")[:60]
    if not name or not name[0].isalpha() or name in _RESERVED_CONSTANTS or name in used_names:
        return f"RULE_{names.short_hash([name, text])}".upper()
    return name


def common_metadata(plan: Plan, key: str) -> dict[str, str]:
    """Return the labels or annotations that every task has; a rule may remove one from some tasks."""
    all_values = [settings.get(key) or {} for settings in {task.settings for task in plan.tasks}]
    base = plan.base.get(key) or {}
    return {name: value for name, value in base.items() if all(name in values for values in all_values)}


def build_task_call(plan: Plan, task: Task, block: _SettingsBlock, shared: Mapping[str, Mapping[str, str]]) -> Call:
    """Return the task's call of the factory, with what differs from the shared settings, labels and annotations."""
    keywords: dict[str, Any] = {"nodes": list(task.nodes)}
    if task.upstream:
        keywords["after"] = list(task.upstream)
    if task.group:
        keywords["group"] = task.group
    if task.settings.get("runner") == "kedro" and not task.flags:
        keywords.update(
            cmds=pod_arguments.pod_command(plan, "kedro"), arguments=pod_arguments.kedro_run_arguments(plan, task)
        )
    else:
        keywords.update({name: value for name, value in _program_values(plan, task).items() if value})
    if isinstance(block, dict):
        keywords.update(block)
    keywords.update(_differing_volumes(plan, task))
    labels = _differing_metadata(task, "labels", shared)
    if task.label != task.id:
        labels[f"{pod_arguments.LABEL_PREFIX}task"] = task.label
    if labels:
        keywords["labels"] = labels
    annotations = _differing_metadata(task, "annotations", shared)
    if annotations:
        keywords["annotations"] = annotations
    return Call("kedro_task", keywords, (task.id,), (block,) if isinstance(block, str) else ())


def build_task_command(plan: Plan, task: Task) -> tuple[list[str], list[str]]:
    """Return command and arguments of a task's pod as the factory builds them, before Airflow renders templates."""
    if task.settings.get("runner") == "kedro" and not task.flags:
        return pod_arguments.pod_command(plan, "kedro"), pod_arguments.kedro_run_arguments(plan, task)
    program_values = _program_values(plan, task)
    nodes = [f"--node={node}" for node in task.nodes]
    arguments = [f"--image={task.image}", f"--pipeline={task.pipeline}", *nodes]
    for name, (option, many) in program_options(plan).items():
        values = program_values[name] if many else [program_values[name]] if program_values[name] else []
        arguments += [f"{option}={value}" for value in values]
    arguments += task.flags
    escaped = [pod_arguments.escape_template(text.replace("$", "$$")) for text in arguments]
    return pod_arguments.pod_command(plan, "python"), [*pod_arguments.program_arguments(plan), *escaped]


def _program_values(plan: Plan, task: Task) -> dict[str, Any]:
    """Return the options of the pod's program for one task, as keywords of the factory."""
    return {
        "pipeline": task.pipeline if task.pipeline != plan.pipeline else None,
        "runner": pod_arguments.runner_option(plan, task.settings),
        "memory": list(task.memory),
        "stored": list(task.stored),
        "versions": list(task.versions),
        "latest": list(task.latest),
        "skip_exit_codes": _skip_exit_codes(task),
        "flags": list(task.flags),
    }


def _skip_exit_codes(task: Task) -> list[int]:
    """Return the exit codes for which Airflow skips a task; its program makes 1 of all others with which a node ends."""
    codes = task.settings.get("operator", {}).get("skip_on_exit_code", ())
    return [codes] if isinstance(codes, int) else list(codes)


def program_options(plan: Plan) -> dict[str, tuple[str, bool]]:
    """Return the factory's keywords that the DAG uses, each with the program's option and whether it is repeatable."""
    options = {
        "runner": ("--runner", False),
        "memory": ("--memory", True),
        "stored": ("--stored", True),
        "versions": ("--version-of", True),
        "latest": ("--latest-of", True),
        "skip_exit_codes": ("--skip-exit-code", True),
    }
    used = {name for task in plan.tasks for name, value in _program_values(plan, task).items() if value}
    return {name: option for name, option in options.items() if name in used}


def _differing_metadata(task: Task, key: str, shared: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    return {name: value for name, value in (task.settings.get(key) or {}).items() if shared[key].get(name) != value}


def _differing_arguments(plan: Plan, task: Task, shared: Mapping[str, Any]) -> dict[str, Any]:
    task_arguments = {
        "image": task.image,
        **_settings_arguments(task.settings),
        **_operator_section_arguments(task.settings),
    }
    fixed = {"namespace", "cmds", "do_xcom_push"}
    defaults = {**_OPERATOR_DEFAULTS, "retries": plan.dag.retries, "retry_delay": plan.dag.retry_delay}
    different = {name: value for name, value in task_arguments.items() if name not in shared or shared[name] != value}
    for name in shared:
        if name not in task_arguments and name not in fixed:
            different[name] = defaults.get(name)
    if (plan.base.get("env") or []) != (task.settings.get("env") or []):
        base_variables, variables = (
            pod_arguments.build_environment_variables(plan, plan.base),
            pod_arguments.build_environment_variables(plan, task.settings),
        )
        extends_base = variables[: len(base_variables)] == base_variables
        different["env_vars"] = (
            Splice("ENV_VARS", tuple(variables[len(base_variables) :])) if extends_base else variables
        )
    return different


def _differing_volumes(plan: Plan, task: Task) -> dict[str, Any]:
    result: dict[str, Any] = {}
    if not task.scratch and all(plan.base.get(key) == task.settings.get(key) for key in ("volumes", "volumeMounts")):
        return result
    for argument, constant, build in (
        ("volumes", "VOLUMES", pod_arguments.build_pod_volumes),
        ("volume_mounts", "VOLUME_MOUNTS", pod_arguments.build_volume_mounts),
    ):
        base_value, task_value = build(plan, plan.base, ()), build(plan, task.settings, task.scratch)
        if task_value != base_value:
            result[argument] = (
                Splice(constant, tuple(task_value[len(base_value) :]))
                if task_value[: len(base_value)] == base_value
                else task_value
            )
    return result
