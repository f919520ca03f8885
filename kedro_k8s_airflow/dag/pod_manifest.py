"""The Pod object of one task, as Airflow's operator creates it, from the same parts as the DAG file.

Without what only a DAG run determines: its parameters, rendered templates, and the labels that Airflow adds.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from kedro_k8s_airflow.dag import pod_arguments, task_calls
from kedro_k8s_airflow.plan.model import pod_deadline
from kedro_k8s_airflow.python_source import Raw

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kedro_k8s_airflow.plan.model import Plan, Task

# Arguments under `operator:` that are fields of the container and of the pod.
CONTAINER_ARGUMENTS = {"base_container_name": "name", "termination_message_policy": "terminationMessagePolicy"}
SPEC_ARGUMENTS = {
    "hostnetwork": "hostNetwork",
    "hostname": "hostname",
    "subdomain": "subdomain",
    "dns_config": "dnsConfig",
    "host_aliases": "hostAliases",
    "init_containers": "initContainers",
}
# Arguments that merge the pod into another one, which this module does not do.
POD_TEMPLATE_ARGUMENTS = ("pod_template_file", "pod_template_dict")
_NODES_SHOWN = 30000


def build_pod(plan: Plan, task: Task, name: str, values: Mapping[str, str]) -> dict[str, Any]:
    """Return the Pod object of a task.

    Args:
        plan: the DAG.
        task: one of its tasks.
        name: name of the pod.
        values: values of the variables that the DAG run determines, by the constant that stands for them in the DAG file.
    """
    settings, operator = task.settings, task.settings.get("operator") or {}
    command, arguments = task_calls.build_task_command(plan, task)
    container = {
        "name": "base",
        "image": task.image,
        "command": [pod_arguments.unescape_template(word) for word in command],
        "args": [pod_arguments.unescape_template(text) for text in arguments],
        "env": [
            _fill_value(variable, values) for variable in pod_arguments.build_environment_variables(plan, settings)
        ],
        **{
            key: settings[key]
            for key in task_calls.POD_ARGUMENTS
            if key in task_calls.CONTAINER_KEYS and key in settings
        },
        "volumeMounts": pod_arguments.build_volume_mounts(plan, settings, task.scratch),
        **{field: operator[key] for key, field in CONTAINER_ARGUMENTS.items() if key in operator},
    }
    spec = {
        "restartPolicy": "Never",
        "activeDeadlineSeconds": pod_deadline(settings),
        **{
            _spec_field(key): settings[key]
            for key in task_calls.POD_ARGUMENTS
            if key not in task_calls.CONTAINER_KEYS and key in settings
        },
        **{field: operator[key] for key, field in SPEC_ARGUMENTS.items() if key in operator},
        "containers": [container],
        "volumes": pod_arguments.build_pod_volumes(plan, settings, task.scratch),
    }
    metadata = {
        "name": name,
        "namespace": plan.namespace,
        "labels": {
            **pod_arguments.standard_labels(plan),
            f"{pod_arguments.LABEL_PREFIX}task": task.label,
            **(settings.get("labels") or {}),
        },
        "annotations": {
            f"{pod_arguments.LABEL_PREFIX}nodes": "\n".join(task.nodes)[:_NODES_SHOWN],
            **(settings.get("annotations") or {}),
        },
    }
    pod = pod_arguments.to_kubernetes_api({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
    # Copy parts that several fields share, because a YAML writer would write references to them.
    return json.loads(json.dumps(pod))  # type: ignore[no-any-return]


def _spec_field(key: str) -> str:
    return "securityContext" if key == "podSecurityContext" else key


def _fill_value(variable: Mapping[str, Any], values: Mapping[str, str]) -> dict[str, Any]:
    value = variable.get("value")
    return {**variable, "value": values[value.source]} if isinstance(value, Raw) else dict(variable)
