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
def missing(subject: CheckContext) -> Iterator[RuleFinding]:
    """A field of a parameter may also come from the type that the signature of a node which loads the whole gives it;
    that is Kedro's to check.
    """
    if subject.project.has_catalog_hooks:
        return
    known = parameters.parameter_names(subject.project.parameters)
    for graph in subject.graphs:
        loaded = {
            given.removeprefix("params:")
            for node in graph.nodes
            for given in node.inputs
            if given.startswith("params:")
        }
        for node in graph.nodes:
            for given in node.inputs:
                name = given.removeprefix("params:")
                if name == given or name in known:
                    continue
                parts = name.split(".")
                wholes = {".".join(parts[:end]) for end in range(1, len(parts))}
                if not any(whole in known for whole in wholes & loaded):
                    message = f"loads {given!r}, which the project's parameters do not have."
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
def form(subject: CheckContext) -> Iterator[RuleFinding]:
    for plan in subject.plans:
        for name, value in plan.params.items():
            if value is None:
                message = f"offers {name!r}, whose value is null: the form has a field for text, and a number typed there arrives as text."
                yield (
                    subject.dag_location(plan, "params"),
                    message,
                    "Give it a value of the type that is meant in parameters.yml.",
                )
