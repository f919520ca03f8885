"""The table of operator arguments: what `operator:` may hold.

`operator_arguments.json` is made from the real classes by `tools/make_operator_table.py`; a test in every Airflow
environment fails when it is stale.
"""

from __future__ import annotations

import difflib
import json
from datetime import datetime, timezone
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kedro_k8s_airflow import credential_detection, durations

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_MAJORS = 2
# Successors that a DAG file for every Airflow cannot use yet.
_NOT_ON_ALL = frozenset({"durable"})
# Arguments that the compiler sets itself, and the setting that reaches each.
OWNED_ARGUMENTS = {
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
def argument_table() -> dict[str, dict[str, Any]]:
    """Argument name -> row (`type`, `airflow`, `since`, `successor`)."""
    rows = json.loads((Path(__file__).parent / "operator_arguments.json").read_text(encoding="utf-8"))
    return {row["name"]: row for row in rows}


_WORDS = {
    "bool": "true or false",
    "int": "a whole number",
    "float": "a number",
    "str": "a text",
    "list": "a list",
    "dict": "a map",
    "duration": "a duration such as 90s or 2h",
    "datetime": "a date such as 2026-01-31",
}


# The same for editors, as JSON schemas.
_SHAPES: dict[str, dict[str, Any]] = {
    "bool": {"type": "boolean"},
    "int": {"type": "integer"},
    "float": {"type": "number"},
    "str": {"type": "string"},
    "list": {"type": "array"},
    "dict": {"type": "object"},
    "duration": {"type": "string", "pattern": f"^{durations.DURATION_PATTERN}$"},
    "datetime": {"type": "string"},
}


def describe_schema(schema: dict[str, Any]) -> None:
    """Tell editors the arguments that are not refused, and their types."""
    usable = [row for name, row in sorted(argument_table().items()) if row["type"] and not _unusable(name)]
    schema["additionalProperties"] = False
    schema["properties"] = {
        row["name"]: {"description": f"Argument of {row['owner']}.", **_shape(row["type"])} for row in usable
    }


def _shape(kinds: Sequence[str]) -> dict[str, Any]:
    shapes = [_SHAPES[kind] for kind in kinds]
    return shapes[0] if len(shapes) == 1 else {"type": [shape["type"] for shape in shapes]}


def find_problem(name: str, given: object) -> str | None:
    """Why an argument cannot be passed on, in words that say what would be right; None when it can."""
    unusable = _unusable(name)
    if unusable:
        return unusable
    row = argument_table()[name]
    if not row["type"]:
        return f"`{name}` takes a Python object, which YAML cannot spell"
    if given is None:
        return f"`{name}` cannot be taken away by null; give it the value it should have"
    if not any(_fits(given, kind) for kind in row["type"]):
        return f"`{name}` should be {' or '.join(_WORDS[kind] for kind in row['type'])}, not {_show_value(given)}"
    return None


def _unusable(name: str) -> str | None:
    """Why an argument cannot be passed on, whatever its value."""
    if name in OWNED_ARGUMENTS:
        instead = OWNED_ARGUMENTS[name]
        return (
            f"`{name}` is set by the compiler; use {instead if ' ' in instead else f'the key `{instead}` of the rule'}"
        )
    row = argument_table().get(name)
    if row is None:
        close = difflib.get_close_matches(name, argument_table(), 1)
        hint = f"; did you mean `{close[0]}`?" if close else ""
        return f"neither KubernetesPodOperator nor BaseOperator has an argument `{name}`{hint}"
    if row["successor"] in OWNED_ARGUMENTS:
        return f"`{name}` is no longer to be used ({row['deprecated']}); use {OWNED_ARGUMENTS[row['successor']]}"
    if row["successor"] and row["successor"] not in _NOT_ON_ALL:
        return f"`{name}` is no longer to be used ({row['deprecated']}); use `{row['successor']}`"
    if row["deprecated"]:
        return f"`{name}` cannot be used: {row['deprecated']}"
    if len(row["airflow"]) < _MAJORS:
        return f"`{name}` exists on Airflow {row['airflow'][0]} only, and one DAG file serves all"
    return None


def _show_value(given: object) -> str:
    return "its value (not shown)" if credential_detection.may_be_credential(given) else repr(given)


def parse_value(name: str, given: object) -> object:
    """The Python value of an argument that YAML spells; durations and dates are parsed."""
    kinds = argument_table()[name]["type"]
    if isinstance(given, str) and kinds == ["duration"]:
        return durations.parse_duration(given)
    if isinstance(given, str) and kinds == ["datetime"]:
        return datetime.fromisoformat(given).replace(tzinfo=timezone.utc)
    return given


def _fits(given: object, kind: str) -> bool:
    if kind == "duration":
        return isinstance(given, str) and _parses(durations.parse_duration, given)
    if kind == "datetime":
        return isinstance(given, str) and _parses(datetime.fromisoformat, given)
    if kind == "float":
        return isinstance(given, int | float) and not isinstance(given, bool)
    types: dict[str, type] = {"bool": bool, "int": int, "str": str, "list": list, "dict": dict}
    return type(given) is types[kind]


def _parses(parse: Callable[[str], object], text: str) -> bool:
    try:
        parse(text)
    except ValueError:
        return False
    return True
