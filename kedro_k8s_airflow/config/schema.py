"""The JSON schema of the settings file, generated from the models, with which editors complete, explain and check it.

`make docs` writes `settings.schema.json` from `build_schema()`; a test fails if it is stale. The schema covers a single file.
`create` refuses what only all files and the project show: a missing key, or a rule that matches no node.
"""

from __future__ import annotations

import json
import os
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kedro_k8s_airflow import durations, files

if TYPE_CHECKING:
    from collections.abc import Iterable

# In the folder of the pod's program, which is committed and which no configuration loader reads.
SCHEMA_PATH = ".k8s-airflow/settings.schema.json"
_SCHEMA_FILE = Path(__file__).parent / "settings.schema.json"
# The loader resolves `${...}` before anything is checked, so an editor has to accept it everywhere.
_REFERENCE = r"\$\{"
_TYPE_WORDS = {
    "array": "a list",
    "boolean": "true or false",
    "integer": "an integer",
    "null": "null",
    "number": "a number",
    "object": "a map of keys",
}


def read_schema() -> str:
    """Return the schema that is part of the package."""
    return _SCHEMA_FILE.read_text(encoding="utf-8")


def schema_output_file(root: Path) -> files.OutputFile:
    """Return the schema as a file in a project, for editors."""
    return files.OutputFile(root / SCHEMA_PATH, read_schema(), keep_existing=True)


def schema_output_if_present(root: Path) -> list[files.OutputFile]:
    """Return the schema file if the project has a generated one; a deleted one is not written again."""
    return (
        [schema_output_file(root)] if (root / SCHEMA_PATH).is_file() and files.is_generated(root / SCHEMA_PATH) else []
    )


def relative_schema_path(folder: Path, root: Path) -> str | None:
    """Return the schema's path relative to a folder of the project, or None if symbolic links are involved."""
    if folder.resolve() != folder or not folder.is_relative_to(root.resolve()):
        return None
    return Path(os.path.relpath(root / SCHEMA_PATH, folder)).as_posix()


def build_schema(*, merged: bool = False) -> dict[str, Any]:
    """Return the schema of the models.

    Args:
        merged: for the merged content of all files. A single file may be an overlay that changes one field, so its schema
            requires keys only in lists, which are not merged.
    """
    from pydantic import BaseModel
    from pydantic.json_schema import GenerateJsonSchema

    from kedro_k8s_airflow.config import models
    from kedro_k8s_airflow.config.defaults import BUILT_IN

    class Generated(GenerateJsonSchema):
        """Adds checks of map keys, null as one type of several, and defaults in the spelling of the file."""

        def nullable_schema(self, schema: Any) -> dict[str, Any]:
            inner = dict(self.generate_inner(schema["schema"]))
            if "enum" in inner:
                return {**inner, "enum": [*inner["enum"], None], "type": [*_type_names(inner), "null"]}
            if "type" in inner:
                return {**inner, "type": [*_type_names(inner), "null"]}
            if {"type": "null"} in inner.get("anyOf", ()):
                return inner
            return {"anyOf": [*inner.get("anyOf", [inner]), {"type": "null"}]}

        def dict_schema(self, schema: Any) -> dict[str, Any]:
            keys = dict(self.generate_inner(schema["keys_schema"])) if "keys_schema" in schema else {}
            keys.pop("type", None)
            values = self.generate_inner(schema["values_schema"]) if "values_schema" in schema else {}
            named = {"propertyNames": keys} if keys else {}
            return {"type": "object", **named, "additionalProperties": values or True}

        def default_schema(self, schema: Any) -> dict[str, Any]:
            inner = self.generate_inner(schema["schema"])
            default = schema.get("default")
            if default is None or default == () or isinstance(default, BaseModel):
                return inner
            return {**inner, "default": _spell_default(default)}

    schema: dict[str, Any] = _normalize_schema(models.Settings.model_json_schema(schema_generator=Generated))
    properties = schema["properties"]
    for key, property_schema in properties.items():
        # YAML reads a key whose content is commented out as null; it counts as not set.
        if key not in schema["required"]:
            properties[key] = _allow_null(property_schema)
    task = schema["$defs"]["TaskRule"]["properties"]
    for key, value in BUILT_IN.items():
        if key == "operator":
            # In the description: from `default`, editors would insert all of these below a new `operator:`.
            for name, default in value.items():
                task[key]["properties"][name]["description"] += f" Defaults to {json.dumps(default)}."
        else:
            task[key]["default"] = value
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$comment": f"{files.GENERATED_MARKER.decode()}; do not edit.",
        "$id": "urn:kedro-k8s-airflow:settings",
        "title": "k8s_airflow.yml",
        "description": "Settings of kedro-k8s-airflow: how a Kedro project runs in Kubernetes pods on Airflow.",
    }
    if not merged:
        _drop_required(schema, schema["$defs"])
    definitions = {name: _allow_reference(definition) for name, definition in sorted(schema.pop("$defs").items())}
    body = _allow_references_inside(schema)
    # Kedro's loader drops keys that begin with `_` after it has resolved references to them.
    body["patternProperties"] = {"^_": True}
    return {**head, **{key: value for key, value in body.items() if key not in head}, "$defs": definitions}


def format_schema(schema: dict[str, Any]) -> str:
    """Return the text of a schema file."""
    return json.dumps(schema, indent=1, ensure_ascii=False) + "\n"


def _spell_default(value: Any) -> Any:
    """Return a default as users write it in YAML."""
    if isinstance(value, timedelta):
        return durations.format_duration(value)
    if isinstance(value, date):
        return value.isoformat().removesuffix("T00:00:00")
    return list(value) if isinstance(value, tuple) else value


def _type_names(schema: dict[str, Any]) -> list[str]:
    types = schema.get("type", [])
    return [types] if isinstance(types, str) else list(types)


def _allow_null(schema: dict[str, Any]) -> dict[str, Any]:
    if "type" in schema:
        return {**schema, "type": [*_type_names(schema), "null"]}
    if "anyOf" in schema:
        return schema
    around = {key: value for key, value in schema.items() if key != "$ref"}
    return {"anyOf": [{"$ref": schema["$ref"]}, {"type": "null"}], **around}


def _drop_required(schema: dict[str, Any], definitions: dict[str, Any]) -> None:
    """Remove `required` from maps that are merged across files."""
    if "properties" in schema:
        schema.pop("required", None)
    children = [*schema.get("properties", {}).values(), *schema.get("anyOf", ()), schema.get("additionalProperties")]
    for child in children:
        if isinstance(child, dict):
            _drop_required(definitions[child["$ref"].rpartition("/")[2]] if "$ref" in child else child, definitions)


def _normalize_schema(schema: Any) -> Any:
    """Return the same schema for every pydantic: without generated titles, and with descriptions beside references."""
    if isinstance(schema, list):
        return [_normalize_schema(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    # The schema of a setting called `title` is a map.
    result = {
        key: _normalize_schema(value)
        for key, value in schema.items()
        if not (key == "title" and isinstance(value, str))
    }
    wrapped = result.pop("allOf", None)
    return {**wrapped[0], **result} if wrapped else result


def _allow_reference(schema: Any) -> Any:
    """Return a schema that also accepts a string with `${...}` for every value."""
    if not isinstance(schema, dict) or "$ref" in schema or not schema:
        return schema
    inside = _allow_references_inside(schema)
    types = _type_names(schema)
    if "anyOf" in schema:
        return inside
    if "enum" in schema:
        around = {key: inside.pop(key) for key in ("default", "description") if key in inside}
        return {"anyOf": [inside, {"type": "string", "pattern": _REFERENCE}], **around}
    if "pattern" not in schema:
        if "string" in types:
            return inside
        words = " or ".join(_TYPE_WORDS[kind] for kind in types)
        message = f"It must be {words}, or a reference ${{...}} to it."
        return {**inside, "type": [*types, "string"], "pattern": _REFERENCE, "patternErrorMessage": message}
    message = schema.get("patternErrorMessage", _list_examples(schema.get("examples", ())))
    named = {"patternErrorMessage": message} if message else {}
    return {**inside, "pattern": f"{schema['pattern']}|{_REFERENCE}", **named}


def _list_examples(examples: Iterable[str]) -> str:
    text = ", ".join(examples)
    return f"Examples: {text}." if text else ""


def _allow_references_inside(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema that also accepts `${...}` for every value below its own."""
    result = dict(schema)
    if isinstance(schema.get("properties"), dict):
        result["properties"] = {key: _allow_reference(value) for key, value in schema["properties"].items()}
    for key in ("additionalProperties", "items"):
        if key in schema:
            result[key] = _allow_reference(schema[key])
    if "anyOf" in schema:
        # The other alternatives accept it.
        result["anyOf"] = [
            kind if "enum" in kind or kind == {"type": "null"} else _allow_reference(kind) for kind in schema["anyOf"]
        ]
    return result
