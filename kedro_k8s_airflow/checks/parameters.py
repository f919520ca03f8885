"""Checks of parameters: those that nodes load, and those in the trigger form."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kedro_k8s_airflow.checks.registry import rule
from kedro_k8s_airflow.locations import Location
from kedro_k8s_airflow.plan.parameters import index_parameters

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kedro_k8s_airflow.checks.registry import CheckContext, RuleFinding


@rule(
    "param-missing",
    "error",
    title="A parameter that a node loads but the project does not have.",
    source="kedro-databricks#145.",
)
def find_missing_parameters(context: CheckContext) -> Iterator[RuleFinding]:
    # A field may also come from the type annotation of a node that loads the whole parameter. Kedro checks that.
    if context.project.has_catalog_hooks:
        return
    known = index_parameters(context.project.parameters)
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
                    message = f"loads {input_name!r}, but the project does not have this parameter."
                    yield Location(node=node.name), message, "Add it to parameters.yml, or pass it with --params."


@rule(
    "param-form",
    "warning",
    title="A parameter in the trigger form whose value is null, so that the form passes whatever is typed as text.",
    source="apache/airflow#41019 and #43433, values whose type the form changed.",
)
def find_untyped_form_parameters(context: CheckContext) -> Iterator[RuleFinding]:
    for plan in context.plans:
        for name, value in plan.params.items():
            if value is None:
                message = (
                    f"offers {name!r}, whose value is null, so the trigger form passes a number typed there as text."
                )
                yield (
                    context.dag_location(plan, "params"),
                    message,
                    "Set a value of the intended type in parameters.yml.",
                )
