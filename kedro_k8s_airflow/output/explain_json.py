"""Explanations as a JSON document for programs; `explain.schema.json` in this folder describes every field."""

from __future__ import annotations

import json
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

from kedro_k8s_airflow.explain.context import DatasetExplanation, NodeExplanation, TaskExplanation
from kedro_k8s_airflow.explain.values import to_yaml_value
from kedro_k8s_airflow.locations import Location
from kedro_k8s_airflow.output.finding_formats import location_object

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kedro_k8s_airflow.explain.context import Explanation

SCHEMA_VERSION = 1
_KINDS = {TaskExplanation: "task", NodeExplanation: "node", DatasetExplanation: "dataset"}


def explanations_to_json(explanations: Sequence[Explanation]) -> str:
    """Return one object: `schema` and `explanations`, each with its `kind`."""
    documents = [{"kind": _KINDS[type(explanation)], **_to_json_value(explanation)} for explanation in explanations]
    return json.dumps({"schema": SCHEMA_VERSION, "explanations": documents}, indent=2) + "\n"


def _to_json_value(value: Any) -> Any:
    if isinstance(value, Location):
        return location_object(value)
    if is_dataclass(value):
        return {field.name: _to_json_value(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, list | tuple):
        return [_to_json_value(item) for item in value]
    return to_yaml_value(value)
