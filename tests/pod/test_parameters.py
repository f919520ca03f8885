"""What the run's parameters are when they arrive in the project."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import yaml

from kedro_k8s_airflow.plan.trigger_form import encode_defaults

if TYPE_CHECKING:
    from tests.pod.conftest import PodLauncher

HARD = {
    "null": None,
    "yes": True,
    "number": 1e-9,
    "list": [1, "two", None, {"three": [3]}],
    "quotes": 'it\'s "quoted" `here`',
    "braces": "{}{{}} {% raw %}",
    "template": "{{ 7*7 }}",
    "kubelet": "$(HOME) $$ $HOME $$(HOME)",
    "interpolation": "${HOME} ${oc.env:HOME} a\\${b} \\\\${c} \\ ${d.${e}} ${",
    "unicode": "Ä 漢字 🚀 \u2028",
    "control": "one\ntwo\r\n\tthree \\n",
    "empty": "",
    "blank": "  a  ",
    "looks_like_yaml": "yes: [no]",
    "large": "é" * 8_000,
    "object": {"inner": {"deep": 1, "not_resolved": ["${runtime_params:x}"]}},
}


def test_parameters_arrive_exactly_and_nested_ones_are_merged(any_pods: PodLauncher) -> None:
    given = {**HARD, "model.depth": 5, "model.options.rate": None, "fresh.one.two": ["x"]}
    any_pods.run_successfully("params", "ask", params=given)
    arrived = json.loads(any_pods.read_data("asked.txt"))
    assert {name: arrived.get(name, "nothing") for name in HARD} == HARD
    assert arrived["model"] == {"depth": 5, "names": ["a"], "options": {"rate": None}}
    assert arrived["fresh"] == {"one": {"two": ["x"]}}
    assert arrived["mark"] == "default"


def test_the_text_that_kedro_reads_as_missing_arrives(pods: PodLauncher) -> None:
    pods.run_successfully("params", "ask", params={"mark": "???", "model.names": ["a", {"b": "???"}]})
    arrived = json.loads(pods.read_data("asked.txt"))
    assert (arrived["mark"], arrived["model"]["names"]) == ("???", ["a", {"b": "???"}])


def test_a_map_of_the_form_replaces_that_of_the_project_and_its_keys_keep_their_types(any_pods: PodLauncher) -> None:
    config = any_pods.project / "conf" / "base" / "parameters.yml"
    parameters = {**yaml.safe_load(config.read_text(encoding="utf-8")), "bins": {1: 0.5, 2: 1.0}}
    config.write_text(yaml.safe_dump(parameters), encoding="utf-8")
    options = tuple(f"--default={text}" for text in encode_defaults({"bins": parameters["bins"]}))
    given = {"bins": {"1": 3, "4": 2}, "model": {"names": ["b"]}}
    any_pods.run_successfully("params", "ask", params=given, options=options)
    arrived = json.loads(any_pods.read_data("asked.txt"))
    assert (arrived["bins"], arrived["model"]) == (
        {"1": 3.0, "4": 2.0},
        {"names": ["b"]},
    )  # JSON, not the node, has texts


def test_runtime_parameters_reach_the_catalog(pods: PodLauncher) -> None:
    with (pods.project / "src" / "project" / "pipeline_registry.py").open("a", encoding="utf-8") as file:
        file.write("""

def _routed() -> Pipeline:
    return Pipeline([Node(nodes.hello, None, "any_routed", name="route")])


_registered = register_pipelines


def register_pipelines() -> dict[str, Pipeline]:
    return {**_registered(), "routed": _routed()}
""")
    pods.run_successfully("routed", "route", params={"place": "some where"})
    assert pods.read_data("some where/any.txt") == "hello"


def test_an_environment_of_the_image_does_not_replace_that_of_the_dag(pods: PodLauncher) -> None:
    ended = pods.run_successfully("params", "ask", env={"KEDRO_ENV": "missing"})
    assert "KEDRO_ENV" in ended.output
