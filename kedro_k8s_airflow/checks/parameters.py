"""Checks of parameters: those that nodes load, and those that the trigger form offers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kedro_k8s_airflow.checks.registry import rule
from kedro_k8s_airflow.locations import Location
from kedro_k8s_airflow.plan import parameters

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kedro_k8s_airflow.checks.registry import CheckContext, RuleFinding


@rule(
    "param-missing",
    "error",
    title="A parameter that a node loads and the project does not have.",
    source="kedro-databricks#145.",
)
def find_missing_parameters(context: CheckContext) -> Iterator[RuleFinding]:
    # A field of a parameter may also come from a type in the signature of a node that loads the whole: Kedro checks that.
    if context.project.has_catalog_hooks:
        return
    known = parameters.parameter_names(context.project.parameters)
    for graph in context.graphs:
        loaded = {
            input_name.removeprefix("params:")
            for node in graph.nodes
            for input_name in node.inputs
            if input_name.startswith("params:")
        }
        for node in graph.nodes:
            for input_name in node.inputs:
                name = input_name.removeprefix("params:")
                if name == input_name or name in known:
                    continue
                parts = name.split(".")
                parents = {".".join(parts[:end]) for end in range(1, len(parts))}
                if not any(parent in known for parent in parents & loaded):
                    message = f"loads {input_name!r}, which the project's parameters do not have."
                    yield Location(node=node.name), message, "Add it to parameters.yml, or give it by --params."


@rule(
    "param-form",
    "warning",
    title=(
        "A parameter of the trigger form without a value, so that the form cannot know its type: what is "
        "typed arrives as text."
    ),
    source="apache/airflow#41019 and #43433, values that the form gave another type.",
)
def find_untyped_form_parameters(context: CheckContext) -> Iterator[RuleFinding]:
    for plan in context.plans:
        for name, value in plan.params.items():
            if value is None:
                message = f"offers {name!r}, whose value is null: the form has a field for text, and a number typed there arrives as text."
                yield (
                    context.dag_location(plan, "params"),
                    message,
                    "Give it a value of the type that is meant in parameters.yml.",
                )
