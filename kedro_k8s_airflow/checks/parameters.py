"""Checks of parameters: those that nodes load, and those in the trigger form."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kedro_k8s_airflow.checks.registry import rule
from kedro_k8s_airflow.config.models import FormField
from kedro_k8s_airflow.locations import Location
from kedro_k8s_airflow.plan import trigger_form
from kedro_k8s_airflow.plan.parameters import (
    find_derived_defaults,
    flatten_parameters,
    index_parameters,
    nest_parameters,
)
from kedro_k8s_airflow.project.reader import has_references_in_parameters, reread_parameters

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
    if context.project.catalog_hooks:
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
    title="A parameter in the trigger form whose value the form changes: an untyped null, a large integer, a special text.",
    source="apache/airflow#41019 and #43433, values whose type the form changed; the forms of Airflow 2.11 and 3.3.",
)
def find_values_changed_by_the_form(context: CheckContext) -> Iterator[RuleFinding]:
    for plan in context.plans:
        for name, value in plan.params.items():
            for message, help_text in trigger_form.find_limits(name, value, plan.dag.params.get(name, FormField())):
                yield context.dag_location(plan, "params"), message, help_text


@rule(
    "param-derived",
    "warning",
    title="A parameter in the trigger form whose default depends on one that the run sets, and hides it from the pods.",
    source="OmegaConf resolves `${run_date}` when the DAG is created; `kedro run --params` resolves it in the run.",
)
def find_derived_form_parameters(context: CheckContext) -> Iterator[RuleFinding]:
    def reread(changes: dict[str, Any]) -> dict[str, Any]:
        return reread_parameters(context.project, nest_parameters({**given, **changes}))

    given = flatten_parameters(context.project.runtime_params)
    plans = [plan for plan in context.plans if plan.params]
    if not plans or not has_references_in_parameters(context.project):
        return
    for plan in plans:
        for name, source in find_derived_defaults(plan.dag, context.project.parameters, reread):
            message = (
                f"offers {name!r}, whose default depends on {source!r}. Pods get the default as it was at `create`, "
                f"whatever the run sets for {source!r}."
            )
            help_text = (
                f"Offer only those parts of {name!r} that do not depend on {source!r}, or remove it from dag.params."
            )
            yield context.dag_location(plan, "params"), message, help_text
