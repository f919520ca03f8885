"""The JSON documents of `check`, `plan` and `explain`: their schemas, and the page that describes them."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from tests.scenarios import BY_NAME, make_project
from tests.support.paths import ROOT
from tools import make_json_examples

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.kedro_server import KedroServer

NAMES = ("check", "plan", "explain")
SCHEMAS: dict[str, dict[str, Any]] = {
    name: json.loads((ROOT / "kedro_k8s_airflow" / "output" / f"{name}.schema.json").read_text()) for name in NAMES
}
PAGE = (ROOT / "docs" / "reference" / "json.md").read_text(encoding="utf-8")


def validate(name: str, document: object) -> None:
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not in this environment")
    jsonschema.Draft202012Validator(SCHEMAS[name]).validate(document)


def objects(part: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every part of a schema below a definition, with its path."""
    yield path, part
    for name, field in part.get("properties", {}).items():
        yield from objects(field, f"{path}.{name}")
    if "items" in part:
        yield from objects(part["items"], f"{path}[]")


def definitions(name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for definition, part in {"": SCHEMAS[name], **SCHEMAS[name]["$defs"]}.items():
        yield from objects(part, definition)


@pytest.mark.parametrize("name", NAMES)
def test_a_schema_is_valid_closed_and_describes_every_field(name: str) -> None:
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not in this environment")
    jsonschema.Draft202012Validator.check_schema(SCHEMAS[name])
    for path, part in definitions(name):
        is_field = not path.endswith("[]")
        assert "$ref" in part or not is_field or part.get("description"), path
        if "properties" in part:
            assert part["additionalProperties"] is False, path
            # Of a location only the fields that apply are there.
            assert path == "location" or set(part["required"]) == set(part["properties"]), path


def test_a_location_is_the_same_in_all_documents() -> None:
    assert SCHEMAS["check"]["$defs"]["location"] == SCHEMAS["explain"]["$defs"]["location"]


@pytest.mark.parametrize(
    "name", ["by-hand", "rules-everything", "nested-namespaces", "pod-between", "profile-rule", "markup"]
)
def test_the_documents_of_a_project_are_as_their_schemas_say(name: str, kedro: KedroServer, tmp_path: Path) -> None:
    """Of `explain`: a task with its node, a node in a task of several if there is one, and a dataset."""
    project = make_project(BY_NAME[name], tmp_path / "project")
    options = BY_NAME[name].options

    def document(command: str, *arguments: str) -> Any:
        done = kedro.run_command("k8s-airflow", command, *options, "--format", "json", *arguments, cwd=project)
        assert done.code == 0, done.err
        parsed = json.loads(done.out)
        validate(command, parsed)
        return parsed

    document("check")
    (dag, *_) = document("plan")["dags"]
    nodes = [node for task in dag["tasks"] for node in task["nodes"] if len(task["nodes"]) > 1]
    datasets = [passed["dataset"] for passed in dag["passed_datasets"]]
    kinds = set()
    for explained in (dag["tasks"][0]["id"], *nodes[:1], *datasets[:1]):
        kinds |= {found["kind"] for found in document("explain", "--", explained)["explanations"]}
    assert kinds == {"task", *(["node"] if nodes else []), *(["dataset"] if datasets else [])}


def test_a_refused_project_has_a_document_with_errors(kedro: KedroServer, tmp_path: Path) -> None:
    project = make_project(BY_NAME["pod-report"], tmp_path / "project")
    done = kedro.run_command("k8s-airflow", "check", "--format", "json", cwd=project)
    assert done.code == 1
    document = json.loads(done.out)
    validate("check", document)
    assert document["summary"]["error"] >= 1


@pytest.mark.parametrize("name", NAMES)
def test_the_page_names_every_field_and_links_the_schema(name: str) -> None:
    fields = {field for _, part in definitions(name) for field in part.get("properties", {})}
    prose = re.sub(r"```.*?```", "", PAGE, flags=re.DOTALL)
    assert {field for field in fields if f"`{field}`" not in prose} == set()
    assert f"output/{name}.schema.json" in PAGE


@pytest.mark.parametrize("name", NAMES)
def test_the_examples_of_the_page_are_real_output(name: str, tmp_path: Path) -> None:
    pytest.importorskip("kedro_datasets", reason="the demo needs kedro-datasets, which this environment lacks")
    example = make_json_examples.read_examples(PAGE)[name]
    validate(name, example)
    printed = make_json_examples.make_example(name, make_json_examples.copy_demo(tmp_path))
    assert example == printed, "write the page again: make docs"
