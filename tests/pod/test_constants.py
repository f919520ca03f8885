"""The pod's program imports nothing of the package, so what both have to agree on is compared here."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import pytest

import kedro_k8s_airflow
from kedro_k8s_airflow import pod
from kedro_k8s_airflow.dag import pod_arguments, task_calls
from kedro_k8s_airflow.dag.render import render_dag
from kedro_k8s_airflow.plan import model, parameters
from tests.support.plan_factory import make_plan


def test_the_contract_version_is_the_compiler_s() -> None:
    assert pod.CONTRACT_VERSION == model.CONTRACT_VERSION


def test_the_version_is_that_of_the_package() -> None:
    assert kedro_k8s_airflow.__version__ == pod.VERSION


def test_the_variables_are_those_of_the_dag_file() -> None:
    assert pod.PARAMS_VARIABLE == pod_arguments.PARAMS_VARIABLE
    assert pod.RUN_VARIABLE == pod_arguments.RUN_VARIABLE


def test_the_limit_of_parameters_is_the_same_in_compiler_pod_and_dag_file() -> None:
    assert pod.PARAMS_LIMIT == parameters.PARAMS_LIMIT
    text = render_dag(make_plan({"a": ()}, params={"x": 1}))
    assert f"size > {pod.PARAMS_LIMIT:_}:" in text
    assert f"more than the {pod.PARAMS_LIMIT:,}" in text


def test_the_program_prints_the_contract_version_that_build_image_expects() -> None:
    command = [sys.executable, pod.__file__, "--contract-version"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout, result.stderr) == (0, f"contract {model.CONTRACT_VERSION}\n", "")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"memory": ("one", "two")}, {"memory": ["one", "two"]}),
        ({"stored": ("one", "two")}, {"stored": ["one", "two"]}),
        ({"versions": ("one",)}, {"version_of": ["one"]}),
        ({"latest": ("one",)}, {"latest_of": ["one"]}),
        ({"flags": ("--remove-stored",)}, {"remove_stored": True}),
        ({"settings": {"runner": "ThreadRunner"}}, {"runner": "ThreadRunner"}),
        ({"settings": {"operator": {"skip_on_exit_code": 99}}}, {"skip_exit_codes": [99]}),
        ({"settings": {"operator": {"skip_on_exit_code": [98, 99]}}}, {"skip_exit_codes": [98, 99]}),
    ],
)
def test_the_program_takes_every_option_that_the_dag_file_gives_it(
    changes: dict[str, object], expected: dict[str, object]
) -> None:
    store = model.MemoryStore("/app/data/store", 7)
    plan = make_plan({"a": ()}, store=store, env="prod", conf_source="conf")
    task = dataclasses.replace(plan.tasks[0], **changes)
    plan = dataclasses.replace(plan, tasks=(task,))
    _, (_, *arguments) = task_calls.build_task_command(plan, task)
    options = vars(pod._make_parser().parse_args(arguments))
    common = {
        "contract": str(model.CONTRACT_VERSION),
        "image": task.image,
        "project": plan.project_path,
        "pipeline": plan.pipeline,
        "nodes": list(task.nodes),
        "env": "prod",
        "conf_source": "conf",
        "store": store.url,
        "keep": store.keep,
    }
    assert {name: options[name] for name in (*common, *expected)} == {**common, **expected}
