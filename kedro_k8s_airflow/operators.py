"""The table of operator arguments: what `operator:` may hold.

`operator_arguments.json` is made from the real classes by `tests/airflow/make_operator_table.py`; a test in every Airflow
environment fails when it is stale.
"""

from __future__ import annotations

import difflib
import json
from functools import cache
from pathlib import Path
from typing import Any

from kedro_k8s_airflow import durations

# Arguments that the compiler sets itself, and the setting that reaches each.
OWNED = {
    "affinity": "affinity",
    "annotations": "annotations",
    "active_deadline_seconds": "activeDeadlineSeconds",
    "arguments": "(the nodes; nothing to set)",
    "automount_service_account_token": "automountServiceAccountToken",
    "cluster_context": "cluster_context",
    "cmds": "(the pod's program; nothing to set)",
    "configmaps": "envFrom",
    "container_resources": "resources",
    "container_security_context": "securityContext",
    "dag": "(the DAG; nothing to set)",
    "deferrable": "deferrable",
    "dnspolicy": "dnsPolicy",
    "do_xcom_push": "(Kedro data needs no XCom)",
    "env_from": "envFrom",
    "env_vars": "env",
    "execution_timeout": "execution_timeout",
    "executor": "executor",
    "image": "image",
    "image_pull_policy": "imagePullPolicy",
    "image_pull_secrets": "imagePullSecrets",
    "in_cluster": "in_cluster",
    "kubernetes_conn_id": "kubernetes_conn_id",
    "labels": "labels",
    "name": "(the provider makes a legal pod name)",
    "namespace": "the top-level key `namespace`",
    "node_selector": "nodeSelector",
    "pool": "pool",
    "post_execute": "(guards against killed pods; nothing to set)",
    "priority_class_name": "priorityClassName",
    "priority_weight": "priority_weight",
    "queue": "queue",
    "retries": "retries",
    "retry_delay": "retry_delay",
    "runtime_class_name": "runtimeClassName",
    "schedulername": "schedulerName",
    "secrets": "env with valueFrom, envFrom or volumes",
    "security_context": "podSecurityContext",
    "service_account_name": "serviceAccountName",
    "task_group": "(one for each namespace; nothing to set)",
    "task_id": "(named after the nodes; nothing to set)",
    "termination_grace_period": "terminationGracePeriodSeconds",
    "tolerations": "tolerations",
    "trigger_rule": "trigger_rule",
    "volume_mounts": "volumeMounts",
    "volumes": "volumes",
}


@cache
def table() -> dict[str, dict[str, Any]]:
    """Argument name -> row (`type`, `airflow`, `since`, `successor`)."""
    rows = json.loads((Path(__file__).parent / "operator_arguments.json").read_text(encoding="utf-8"))
    return {row["name"]: row for row in rows}


def problem(name: str, value: object) -> str | None:
    """Why an argument cannot be passed on, in words that say what would be right; None when it can."""
    return None


def value(name: str, value: object) -> Any:
    return value
