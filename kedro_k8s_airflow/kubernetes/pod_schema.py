"""The schema of a Pod: which fields Kubernetes has, which it needs, and of which type each value is.

`tools/make_pod_schema.py` writes `pod_schema.json` from the published OpenAPI of two versions of Kubernetes. What a valid value is
beyond its type is in `pod_values`, and how fields of one object depend on each other in `pod_rules`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kedro_k8s_airflow.credential_detection import show_value
from kedro_k8s_airflow.quantities import parse_quantity
from kedro_k8s_airflow.text import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_PYTHON_TYPES: dict[str, tuple[type, ...]] = {
    "array": (list, tuple),
    "boolean": (bool,),
    "int-or-string": (int, str),
    "integer": (int,),
    "object": (dict,),
    "quantity": (str, int, float),
    "string": (str,),
}
_TYPE_WORDS = {
    "array": "a list",
    "boolean": "true or false",
    "int-or-string": "an integer or a string",
    "integer": "an integer",
    "object": "a map of keys",
    "quantity": "a quantity such as 500m, 2 or 1Gi",
    "string": "a string",
}
_BITS = {"int32": 31, "int64": 63}


@dataclass(frozen=True, slots=True)
class PodProblem:
    """Something in a pod that Kubernetes does not accept.

    Attributes:
        path: keys and indices that lead to it.
        message: what is wrong, as a sentence about that place.
        help: what would be right.
    """

    path: tuple[str, ...]
    message: str
    help: str = ""


@dataclass(frozen=True, slots=True)
class PodObject:
    """One object inside a pod.

    Attributes:
        path: keys and indices that lead to it.
        kind: its type in Kubernetes, such as `Toleration`.
        value: its fields, without those that are null.
    """

    path: tuple[str, ...]
    kind: str
    value: Mapping[str, Any]


@cache
def load_pod_schema() -> dict[str, Any]:
    """Return the versions of Kubernetes (`versions`), and the fields of each type (`types`)."""
    text = (Path(__file__).parent / "pod_schema.json").read_text(encoding="utf-8")
    return json.loads(text)  # type: ignore[no-any-return]


def is_template(value: object) -> bool:
    """Return whether a text is an Airflow template, whose value only a run decides."""
    return isinstance(value, str) and ("{{" in value or "{%" in value)


def walk_pod(value: Any, kind: str, path: tuple[str, ...] = ()) -> Iterator[PodProblem | PodObject]:
    """Yield what is wrong with the types and names of fields, and every object of a known type.

    Args:
        value: a pod, or a part of it.
        kind: its type in Kubernetes.
        path: where the value is.
    """
    row = load_pod_schema()["types"][kind]
    if not isinstance(value, dict):
        yield PodProblem(path, f"is {show_value(value, path)}; it must be a map of keys.")
        return
    fields = {str(name): item for name, item in value.items() if item is not None}
    for name, item in fields.items():
        if name in row["fields"]:
            yield from _walk_value(item, row["fields"][name], (*path, name))
        else:
            valid = f"Valid keys: {', '.join(sorted(row['fields']))}."
            suggestion = did_you_mean(name, row["fields"], otherwise=valid)
            yield PodProblem((*path, name), f"is not a field of Kubernetes' {kind}.", suggestion)
    for name in row["required"]:
        if name not in fields:
            yield PodProblem(path, f"has no `{name}`, which Kubernetes' {kind} requires.", f"Add `{name}`.")
    yield PodObject(path, kind, fields)


def _walk_value(value: Any, schema: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[PodProblem | PodObject]:
    if "ref" in schema:
        yield from walk_pod(value, schema["ref"], path)
        return
    problem = None if is_template(value) else _find_type_problem(value, schema)
    if problem:
        yield PodProblem(path, f"is {show_value(value, path)}; it must be {problem}.")
    elif schema["type"] == "array" and not isinstance(value, str):
        for index, item in enumerate(value):
            yield from _walk_value(item, schema.get("items", {"type": "object"}), (*path, str(index)))
    elif schema["type"] == "object" and "additionalProperties" in schema and isinstance(value, dict):
        for name, item in value.items():
            if item is not None:
                yield from _walk_value(item, schema["additionalProperties"], (*path, str(name)))


def _find_type_problem(value: Any, schema: Mapping[str, Any]) -> str | None:
    """Return what the value must be, or None if it is that."""
    kind = schema["type"]
    if not isinstance(value, _PYTHON_TYPES[kind]) or (isinstance(value, bool) and kind != "boolean"):
        quotes = "; put it in quotes" if kind == "string" and isinstance(value, bool | int | float) else ""
        return _TYPE_WORDS[kind] + quotes
    if "enum" in schema and value not in schema["enum"]:
        allowed = [f"`{word}`" for word in schema["enum"] if word]
        return f"one of {', '.join(allowed)}" if len(allowed) < 10 else f"a value such as {allowed[0]}"
    bits = _BITS.get(schema.get("format", "")) if kind == "integer" else None
    if bits is not None and not -(2**bits) <= value < 2**bits:
        return f"an integer of {bits + 1} bits"
    if kind == "quantity":
        try:
            parse_quantity(str(value))
        except ValueError:
            return _TYPE_WORDS[kind]
    return None


def find_newer_fields(found: PodObject) -> Iterator[PodProblem]:
    """Yield the fields of an object that not every known version of Kubernetes has."""
    fields = load_pod_schema()["types"][found.kind]["fields"]
    for name in found.value:
        lacking = fields.get(name, {}).get("lacking", ())
        if lacking:
            message = f"is a field that Kubernetes {', '.join(lacking)} does not have."
            yield PodProblem((*found.path, name), message)
