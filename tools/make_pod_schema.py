"""Write the schema of pods that `kubernetes/pod_schema.py` reads, from the OpenAPI of two versions of Kubernetes.

    kubectl get --raw /openapi/v3/api/v1 > new.json                  # of a running API server, which lists allowed values
    python tools/make_pod_schema.py 1.31=old.json 1.36=new.json

A release of Kubernetes holds the same document as `api/openapi-spec/v3/api__v1_openapi.json`, without allowed values.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

TARGET = Path(__file__).resolve().parents[1] / "kedro_k8s_airflow" / "kubernetes" / "pod_schema.json"
_ROOT = "io.k8s.api.core.v1.Pod"
_REFERENCE = "#/components/schemas/"
# Their values have several JSON types, or a pod as it is created does not hold them.
_SCALARS = {"Quantity": "quantity", "IntOrString": "int-or-string", "Time": "string", "FieldsV1": "object"}
_LEFT_OUT = frozenset({"Pod.status", "PodSpec.ephemeralContainers"})


def build_schema(documents: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Return the schema of a pod: for each type its fields, each with the versions that lack it.

    Args:
        documents: the OpenAPI documents by version, the oldest first.
    """
    types: dict[str, dict[str, Any]] = {}
    for version, document in documents.items():
        for name, definition in _reachable(document["components"]["schemas"]).items():
            row = types.setdefault(name, {"required": [], "fields": {}, "versions": []})
            row["versions"].append(version)
            row["required"] = sorted({*row["required"], *definition.get("required", ())})
            for field, schema in definition["properties"].items():
                if f"{name}.{field}" not in _LEFT_OUT:
                    reduced = row["fields"].setdefault(field, {"versions": []})
                    allowed = sorted({*reduced.get("enum", ()), *schema.get("enum", ())})
                    reduced.update(_reduce(schema), **({"enum": allowed} if allowed else {}))
                    reduced["versions"].append(version)
    for row in types.values():
        for field, schema in row["fields"].items():
            lacking = [version for version in row["versions"] if version not in schema["versions"]]
            row["fields"][field] = {
                **{key: value for key, value in schema.items() if key != "versions"},
                **({"lacking": lacking} if lacking else {}),
            }
    return {"versions": [*documents], "types": types}


def _reachable(schemas: dict[str, Any]) -> dict[str, Any]:
    """Return the types that a pod consists of, by short name."""
    found: dict[str, Any] = {}
    waiting = [_ROOT]
    while waiting:
        name = waiting.pop()
        short = name.rpartition(".")[2]
        if short in found or short in _SCALARS or "properties" not in schemas[name]:
            continue
        found[short] = schemas[name]
        waiting += [
            reference
            for field, schema in schemas[name]["properties"].items()
            if f"{short}.{field}" not in _LEFT_OUT
            for reference in _references(schema)
        ]
    return found


def _references(schema: Any) -> list[str]:
    if isinstance(schema, list):
        return [reference for item in schema for reference in _references(item)]
    if not isinstance(schema, dict):
        return []
    own = [str(schema["$ref"]).removeprefix(_REFERENCE)] if "$ref" in schema else []
    return own + [reference for value in schema.values() for reference in _references(value)]


def _reduce(schema: dict[str, Any]) -> dict[str, Any]:
    """Return type, format and allowed values of a schema, without words."""
    if "allOf" in schema:
        return _reduce(schema["allOf"][0])
    if "$ref" in schema:
        name = schema["$ref"].rpartition(".")[2]
        return {"type": _SCALARS[name]} if name in _SCALARS else {"ref": name}
    reduced = {key: schema[key] for key in ("type", "format", "enum") if key in schema}
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            reduced[key] = _reduce(schema[key])
    return reduced


def format_schema(schema: dict[str, Any]) -> str:
    """Return the schema as text, with one field on a line."""
    rows = []
    for name, row in sorted(schema["types"].items()):
        fields = ",\n".join(
            f"   {json.dumps(field)}: {json.dumps(row['fields'][field], sort_keys=True)}"
            for field in sorted(row["fields"])
        )
        rows.append(f'  "{name}": {{"required": {json.dumps(row["required"])}, "fields": {{\n{fields}\n  }}}}')
    return f'{{\n "versions": {json.dumps(schema["versions"])},\n "types": {{\n' + ",\n".join(rows) + "\n }\n}\n"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("documents", nargs="+", metavar="VERSION=FILE", help="the oldest version first")
    given = dict(word.split("=", 1) for word in parser.parse_args().documents)
    loaded = {version: json.loads(Path(file).read_text(encoding="utf-8")) for version, file in given.items()}
    TARGET.write_text(format_schema(build_schema(loaded)), encoding="utf-8")
