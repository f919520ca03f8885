"""The JSON schema of the settings file, by which editors complete, explain and check it; made from the models, never by hand.

`settings.schema.json` is what `made()` says, written by `make docs`; a test fails when it is stale. The schema knows the shape of one
file. What all files and the project can tell (a key that no file has, a rule that matches nothing) is for `create` to refuse.
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

# Beside the program in the pod: a folder of ours that is committed, and that no configuration loader reads.
SCHEMA_PATH = ".k8s-airflow/settings.schema.json"
_FILE = Path(__file__).parent / "settings.schema.json"
# The loader puts in what `${...}` refers to before anything is checked, so an editor has to accept it everywhere.
_REFERENCE = r"\$\{"
_WORDS = {
    "array": "a list",
    "boolean": "true or false",
    "integer": "a whole number",
    "null": "null",
    "number": "a number",
    "object": "a map of keys",
}


def read_schema() -> str:
    """The schema as the package carries it."""
    return _FILE.read_text(encoding="utf-8")


def schema_output(root: Path) -> files.OutputFile:
    """The schema as a file of a project, which editors read."""
    return files.OutputFile(root / SCHEMA_PATH, read_schema(), keep_existing=True)


def refresh_schema(root: Path) -> list[files.OutputFile]:
    """The same, where the project has one that is ours; one that was deleted is not wanted."""
    return [schema_output(root)] if (root / SCHEMA_PATH).is_file() and files.is_generated(root / SCHEMA_PATH) else []


def relative_schema_path(folder: Path, root: Path) -> str | None:
    """The schema's path relative to a folder of the project; None where links make that doubtful."""
    if folder.resolve() != folder or not folder.is_relative_to(root.resolve()):
        return None
    return Path(os.path.relpath(root / SCHEMA_PATH, folder)).as_posix()


def build_schema(*, whole: bool = False) -> dict[str, Any]:
    """The schema, from the models.

    Args:
        whole: of all files of the settings merged. Of a single file nothing can be required but in lists, which are not
            merged: it may be an overlay that changes one field.
    """
    from pydantic import BaseModel
    from pydantic.json_schema import GenerateJsonSchema

    from kedro_k8s_airflow.config import models
    from kedro_k8s_airflow.config.defaults import BUILT_IN

    class Generated(GenerateJsonSchema):
        """pydantic's schema, with keys of maps checked, null as a type among others, and defaults as users would write them."""

        def nullable_schema(self, schema: Any) -> dict[str, Any]:
            inner = dict(self.generate_inner(schema["schema"]))
            if "enum" in inner:
                return {**inner, "enum": [*inner["enum"], None], "type": [*_types(inner), "null"]}
            if "type" in inner:
                return {**inner, "type": [*_types(inner), "null"]}
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
            return {**inner, "default": _spelled(default)}

    schema: dict[str, Any] = _tidy(models.Settings.model_json_schema(schema_generator=Generated))
    properties = schema["properties"]
    for key, said in properties.items():
        # A key whose content was commented out is null, and says nothing.
        if key not in schema["required"]:
            properties[key] = _or_null(said)
    task = schema["$defs"]["TaskRule"]["properties"]
    for key, value in BUILT_IN.items():
        if key == "operator":
            # As words: editors would write all of these below a new `operator:`.
            for name, default in value.items():
                task[key]["properties"][name]["description"] += f" {json.dumps(default)} if not given."
        else:
            task[key]["default"] = value
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$comment": f"{files.GENERATED_MARKER.decode()}; do not edit.",
        "$id": "urn:kedro-k8s-airflow:settings",
        "title": "k8s_airflow.yml",
        "description": "Settings of kedro-k8s-airflow: how a Kedro project runs as pods on Airflow.",
    }
    if not whole:
        _nothing_required(schema, schema["$defs"])
    definitions = {name: _or_reference(said) for name, said in sorted(schema.pop("$defs").items())}
    body = _inside(schema)
    # Kedro's loader drops keys that begin with `_`, once what refers to them is put in.
    body["patternProperties"] = {"^_": True}
    return {**head, **{key: said for key, said in body.items() if key not in head}, "$defs": definitions}


def write_schema(schema: dict[str, Any]) -> str:
    """A schema as it is written to a file."""
    return json.dumps(schema, indent=1, ensure_ascii=False) + "\n"


def _spelled(value: Any) -> Any:
    """A default as users would write it."""
    if isinstance(value, timedelta):
        return durations.format_duration(value)
    if isinstance(value, date):
        return value.isoformat().removesuffix("T00:00:00")
    return list(value) if isinstance(value, tuple) else value


def _types(schema: dict[str, Any]) -> list[str]:
    said = schema.get("type", [])
    return [said] if isinstance(said, str) else list(said)


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    if "type" in schema:
        return {**schema, "type": [*_types(schema), "null"]}
    if "anyOf" in schema:
        return schema
    around = {key: said for key, said in schema.items() if key != "$ref"}
    return {"anyOf": [{"$ref": schema["$ref"]}, {"type": "null"}], **around}


def _nothing_required(schema: dict[str, Any], definitions: dict[str, Any]) -> None:
    """Take away what is required of maps that files are merged in."""
    if "properties" in schema:
        schema.pop("required", None)
    inside = [*schema.get("properties", {}).values(), *schema.get("anyOf", ()), schema.get("additionalProperties")]
    for said in inside:
        if isinstance(said, dict):
            _nothing_required(definitions[said["$ref"].rpartition("/")[2]] if "$ref" in said else said, definitions)


def _tidy(schema: Any) -> Any:
    """A schema of any pydantic: without titles made of names, and with a reference's description beside it, as since 2.9."""
    if isinstance(schema, list):
        return [_tidy(said) for said in schema]
    if not isinstance(schema, dict):
        return schema
    # A key called title is a map.
    result = {key: _tidy(said) for key, said in schema.items() if not (key == "title" and isinstance(said, str))}
    wrapped = result.pop("allOf", None)
    return {**wrapped[0], **result} if wrapped else result


def _or_reference(schema: Any) -> Any:
    """A schema that accepts a text with `${...}` in every place of a value, too."""
    if not isinstance(schema, dict) or "$ref" in schema or not schema:
        return schema
    inside = _inside(schema)
    types = _types(schema)
    if "anyOf" in schema:
        return inside
    if "enum" in schema:
        around = {key: inside.pop(key) for key in ("default", "description") if key in inside}
        return {"anyOf": [inside, {"type": "string", "pattern": _REFERENCE}], **around}
    if "pattern" not in schema:
        if "string" in types:
            return inside
        words = " or ".join(_WORDS[kind] for kind in types)
        message = f"It should be {words}, or refer to it by ${{...}}."
        return {**inside, "type": [*types, "string"], "pattern": _REFERENCE, "patternErrorMessage": message}
    message = schema.get("patternErrorMessage", _such_as(schema.get("examples", ())))
    named = {"patternErrorMessage": message} if message else {}
    return {**inside, "pattern": f"{schema['pattern']}|{_REFERENCE}", **named}


def _such_as(examples: Iterable[str]) -> str:
    said = ", ".join(examples)
    return f"It is written such as {said}." if said else ""


def _inside(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema with `${...}` accepted in all places below its own."""
    result = dict(schema)
    if isinstance(schema.get("properties"), dict):
        result["properties"] = {key: _or_reference(said) for key, said in schema["properties"].items()}
    for key in ("additionalProperties", "items"):
        if key in schema:
            result[key] = _or_reference(schema[key])
    if "anyOf" in schema:
        # The other alternatives accept it.
        result["anyOf"] = [
            said if "enum" in said or said == {"type": "null"} else _or_reference(said) for said in schema["anyOf"]
        ]
    return result
