"""Defaults of a task's settings: those of this plugin, and those of Airflow, its provider and Kubernetes."""

from __future__ import annotations

from typing import Any

# The first layer of every task's settings, below the user's rules.
BUILT_IN: dict[str, Any] = {
    "imagePullPolicy": "IfNotPresent",
    "resources": {"requests": {"cpu": "500m", "memory": "1Gi"}, "limits": {"memory": "2Gi"}},
    "podSecurityContext": {
        "runAsNonRoot": True,
        "runAsUser": 1000,
        "fsGroup": 1000,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    },
    "securityContext": {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    },
    "automountServiceAccountToken": False,
    "deferrable": True,
    # 15 minutes to pull an image of 5 GB, half an hour to start a new cluster node.
    "operator": {
        "startup_timeout_seconds": 900,
        "schedule_timeout_seconds": 1800,
        # A task outlasts its pod by half of each on average. A poll costs the triggerer 5 ms.
        "startup_check_interval_seconds": 2,
        "poll_interval": 1.5,
        "on_finish_action": "delete_pod",
        "termination_message_policy": "FallbackToLogsOnError",
        "log_pod_spec_on_failure": False,
        # Nothing else logs the reason (OOMKilled, DeadlineExceeded) and the exit code.
        "log_events_on_failure": True,
    },
}

# What Airflow and Kubernetes use if a key is not set.
PLATFORM_DEFAULTS: dict[str, Any] = {
    "deferrable": False,
    "kubernetes_conn_id": "kubernetes_default",
    "pool": "default_pool",
    "priority_weight": 1,
    "runner": "SequentialRunner",
    "terminationGracePeriodSeconds": 30,
    "trigger_rule": "all_success",
}

# What KubernetesPodOperator (cncf.kubernetes 10.25) uses if an argument is not set, where that is not None.
PROVIDER_DEFAULTS: dict[str, Any] = {
    "log_events_on_failure": False,
    "log_pod_spec_on_failure": True,
    "on_finish_action": "delete_pod",
    "poll_interval": 2,
    "startup_check_interval_seconds": 5,
    "startup_timeout_seconds": 120,
    "termination_message_policy": "File",
}
