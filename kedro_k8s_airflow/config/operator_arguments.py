"""The table of operator arguments that `operator:` accepts.

`tools/make_operator_table.py` writes `operator_arguments.json` from the real classes; a test in every Airflow
environment fails if it is stale.
"""

from __future__ import annotations

import json
from datetime import datetime, timezone
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kedro_k8s_airflow import credential_detection, durations
from kedro_k8s_airflow.text import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_AIRFLOW_VERSIONS = 2
# Successors that a DAG file for every supported Airflow cannot use yet.
_UNUSABLE_SUCCESSORS = frozenset({"durable"})
# Arguments that the compiler sets, and the setting that controls each.
OWNED_ARGUMENTS = {
    "affinity": "affinity",
    "annotations": "annotations",
    "active_deadline_seconds": "activeDeadlineSeconds",
    "arguments": "(derived from the nodes)",
    "automount_service_account_token": "automountServiceAccountToken",
    "cluster_context": "cluster_context",
    "cmds": "(the program in the pod)",
    "configmaps": "envFrom",
    "container_resources": "resources",
    "container_security_context": "securityContext",
    "dag": "(the DAG)",
    "deferrable": "deferrable",
    "dnspolicy": "dnsPolicy",
    "do_xcom_push": "(Kedro data does not use XCom)",
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
    "name": "(the provider generates the pod name)",
    "namespace": "the top-level key `namespace`",
    "node_selector": "nodeSelector",
    "pool": "pool",
    "post_execute": "(detects killed pods)",
    "priority_class_name": "priorityClassName",
    "priority_weight": "priority_weight",
    "queue": "queue",
    "retries": "retries",
    "retry_delay": "retry_delay",
    "runtime_class_name": "runtimeClassName",
    "schedulername": "schedulerName",
    "secrets": "env with valueFrom, envFrom, or volumes",
    "security_context": "podSecurityContext",
    "service_account_name": "serviceAccountName",
    "task_group": "(derived from the namespaces)",
    "task_id": "(derived from the nodes)",
    "termination_grace_period": "terminationGracePeriodSeconds",
    "tolerations": "tolerations",
    "trigger_rule": "trigger_rule",
    "volume_mounts": "volumeMounts",
    "volumes": "volumes",
}


@cache
def load_argument_table() -> dict[str, dict[str, Any]]:
    """Return the rows of the table (`type`, `airflow`, `since`, `successor`) by argument name."""
    rows = json.loads((Path(__file__).parent / "operator_arguments.json").read_text(encoding="utf-8"))
    return {row["name"]: row for row in rows}


_TYPE_WORDS = {
    "bool": "true or false",
    "int": "an integer",
    "float": "a number",
    "str": "a string",
    "list": "a list",
    "dict": "a map",
    "duration": "a duration such as 90s or 2h",
    "datetime": "a date such as 2026-01-31",
}


# The same types as JSON schemas.
_SCHEMAS: dict[str, dict[str, Any]] = {
    "bool": {"type": "boolean"},
    "int": {"type": "integer"},
    "float": {"type": "number"},
    "str": {"type": "string"},
    "list": {"type": "array"},
    "dict": {"type": "object"},
    "duration": {"type": "string", "pattern": f"^{durations.DURATION_PATTERN}$"},
    "datetime": {"type": "string"},
}


def add_argument_schemas(schema: dict[str, Any]) -> None:
    """Add the arguments that are accepted, with their types, to the JSON schema of `operator`."""
    usable = [row for name, row in sorted(load_argument_table().items()) if row["type"] and not _find_refusal(name)]
    schema["additionalProperties"] = False
    schema["properties"] = {
        row["name"]: {"description": f"Argument of {row['owner']}.", **_schema_of(row["type"])} for row in usable
    }


def _schema_of(kinds: Sequence[str]) -> dict[str, Any]:
    schemas = [_SCHEMAS[kind] for kind in kinds]
    return schemas[0] if len(schemas) == 1 else {"type": [schema["type"] for schema in schemas]}


def find_argument_problem(name: str, value: object) -> str | None:
    """Return why an argument cannot be passed on and what to use instead, or None if it can."""
    unusable = _find_refusal(name)
    if unusable:
        return unusable
    row = load_argument_table()[name]
    if not row["type"]:
        return f"`{name}` takes a Python object, which YAML cannot express"
    if value is None:
        return f"`{name}` cannot be removed with null; set the value that it should have"
    if not any(_has_type(value, kind) for kind in row["type"]):
        return f"`{name}` must be {' or '.join(_TYPE_WORDS[kind] for kind in row['type'])}, not {_show_value(value)}"
    return None


def _find_refusal(name: str) -> str | None:
    """Return why an argument cannot be passed on, whatever its value, or None."""
    if name in OWNED_ARGUMENTS:
        instead = OWNED_ARGUMENTS[name]
        return (
            f"`{name}` is set by the compiler; use {instead if ' ' in instead else f'the key `{instead}` of the rule'}"
        )
    row = load_argument_table().get(name)
    if row is None:
        suggestion = did_you_mean(name, load_argument_table())
        problem = f"KubernetesPodOperator and BaseOperator do not have an argument `{name}`"
        return f"{problem}. {suggestion}" if suggestion else problem
    if row["successor"] in OWNED_ARGUMENTS:
        return f"`{name}` is deprecated ({row['deprecated']}); use {OWNED_ARGUMENTS[row['successor']]}"
    if row["successor"] and row["successor"] not in _UNUSABLE_SUCCESSORS:
        return f"`{name}` is deprecated ({row['deprecated']}); use `{row['successor']}`"
    if row["deprecated"]:
        return f"`{name}` cannot be used: {row['deprecated']}"
    if len(row["airflow"]) < _AIRFLOW_VERSIONS:
        return f"`{name}` exists only in Airflow {row['airflow'][0]}, but the DAG file must work in every supported version"
    return None


def _show_value(value: object) -> str:
    return "its value (not shown)" if credential_detection.may_be_credential(value) else repr(value)


def parse_argument(name: str, value: object) -> object:
    """Return the Python value of an argument, with durations and dates parsed."""
    kinds = load_argument_table()[name]["type"]
    if isinstance(value, str) and kinds == ["duration"]:
        return durations.parse_duration(value)
    if isinstance(value, str) and kinds == ["datetime"]:
        return datetime.fromisoformat(value).replace(tzinfo=timezone.utc)
    return value


def _has_type(value: object, kind: str) -> bool:
    if kind == "duration":
        return isinstance(value, str) and _can_parse(durations.parse_duration, value)
    if kind == "datetime":
        return isinstance(value, str) and _can_parse(datetime.fromisoformat, value)
    if kind == "float":
        return isinstance(value, int | float) and not isinstance(value, bool)
    types: dict[str, type] = {"bool": bool, "int": int, "str": str, "list": list, "dict": dict}
    return type(value) is types[kind]


def _can_parse(parse: Callable[[str], object], text: str) -> bool:
    try:
        parse(text)
    except ValueError:
        return False
    return True
