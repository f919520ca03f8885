"""Kedro parameters in a plan: those of the trigger form, those of every pod, and those that a run decides."""

from __future__ import annotations

import json
import re
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from kedro_k8s_airflow import credential_detection
from kedro_k8s_airflow.findings import Finding, Refused, error
from kedro_k8s_airflow.locations import Location
from kedro_k8s_airflow.plan import trigger_form
from kedro_k8s_airflow.project.pod_environment import find_placeholders

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from kedro_k8s_airflow.config.models import DagSettings
    from kedro_k8s_airflow.diagnostics import Diagnostics
    from kedro_k8s_airflow.plan.context import PlanContext


PARAMS_LIMIT = 100_000  # bytes; `pod.PARAMS_LIMIT` is the same
_DOTTED_KEY_MESSAGE = "{0!r} has a key with a dot in it, which Kedro's runtime parameters cannot override."
_DOTTED_KEY_HELP = "Write it as nested keys in the parameters file."
_TYPE_HELP = "Use texts, numbers, true, false, null, lists and maps whose keys are texts, numbers, true or false."
_EXPRESSION = re.compile(r"\s*\{\{[-+]?(.+?)[-+]?\}\}\s*\Z", re.DOTALL)
# A run has a logical date or, in Airflow 3 when triggered manually or by an asset, only run_after.
_MACROS = {"run_date": '(dag_run.logical_date or dag_run.run_after).strftime("%Y-%m-%d")'}


def index_parameters(parameters: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return every name that `params:` can load, with its value: Kedro joins the keys by dots.

    Source: `KedroContext._get_parameters`.
    """
    values: dict[str, Any] = {}
    for key, value in parameters.items():
        values[f"{prefix}{key}"] = value
        if isinstance(value, dict):
            values.update(index_parameters(value, f"{prefix}{key}."))
    return values


def resolve_offered_params(
    known: Mapping[str, Any], context: PlanContext, dag: DagSettings, diagnostics: Diagnostics
) -> dict[str, Any]:
    """Return the defaults of the parameters that the trigger form offers, by dotted name; report the wrong ones."""
    offered: dict[str, Any] = {}
    location = context.location_of("dag", "params")
    for name, field in dag.params.items():
        if name not in known:
            help_text = "Name it as `params:` inputs do, with dots for nested keys."
            diagnostics.error("param-unknown", location, f"the project has no parameter {name!r}.", help_text)
        elif not _is_reachable(name, context.project.parameters):
            diagnostics.extend([_unreachable_error(location, name, context.project.parameters)])
        elif variables := sorted(
            {found for found, _ in find_placeholders(known[name], context.project.unknown_variables)}
        ):
            message = (
                f"{name!r} depends on the environment variable {variables[0]!r} of the pods, "
                "so the form cannot show its value."
            )
            help_text = "Remove it from params, or write a value into the parameters file."
            diagnostics.error("param-environment", location, message, help_text)
        elif is_credential(name, known[name]):
            diagnostics.extend([_credential_error(location, name)])
        elif problem := next(trigger_form.find_untransportable(known[name]), None):
            diagnostics.error("param-type", location, f"{name!r} {problem}.", _TYPE_HELP)
        else:
            offered[name] = known[name]
            own_location = context.location_of("dag", "params", name)
            for message, help_text in trigger_form.find_field_errors(name, known[name], field):
                diagnostics.error("param-field", own_location, message, help_text)
    overlap = next(((name, other) for name in offered for other in offered if other.startswith(f"{name}.")), None)
    if overlap:
        diagnostics.error(
            "param-twice", location, f"{overlap[1]!r} is part of {overlap[0]!r}.", "Offer only one of them."
        )
    return offered


def parse_macros(
    known: Mapping[str, Any],
    context: PlanContext,
    dag: DagSettings,
    others: Mapping[str, Any],
    diagnostics: Diagnostics,
) -> dict[str, str]:
    """Return expressions of Airflow's templates for the parameters that the run decides; report the wrong ones.

    Args:
        known: every name that `params:` can load.
        context: the project.
        dag: settings of the DAG.
        others: parameters given in another way, by dotted name.
        diagnostics: gets what is wrong.
    """
    import jinja2

    expressions: dict[str, str] = {}
    for name, text in dag.macros.items():
        location = context.location_of("dag", "macros", name)
        if name not in known and not context.project.catalog_hooks:
            help_text = "Add it to parameters.yml; `kedro run` uses the value there."
            diagnostics.error("param-unknown", location, f"the project has no parameter {name!r}.", help_text)
        elif name in known and not _is_reachable(name, context.project.parameters):
            diagnostics.extend([_unreachable_error(location, name, context.project.parameters)])
        elif overlap := next(
            (other for other in others if f"{other}.".startswith(f"{name}.") or f"{name}.".startswith(f"{other}.")),
            None,
        ):
            message = f"{name!r} overlaps with {overlap!r}, which dag.params or --params set."
            diagnostics.error("param-twice", location, message, "Set it in one way only.")
        elif text in _MACROS:
            expressions[name] = _MACROS[text]
        else:
            match = _EXPRESSION.match(text)
            try:
                if match is None or "}}" in match[1] or "{{" in match[1]:
                    raise jinja2.TemplateSyntaxError("it is not a single expression", 1)
                jinja2.Environment(autoescape=False).parse(f"{{{{ ({match[1]}) }}}}")  # noqa: S701  Python is not HTML
            except jinja2.TemplateSyntaxError as exc:
                help_text = (
                    f"Write {', '.join(_MACROS)} or one expression of Airflow's templates, such as '{{{{ run_id }}}}'."
                )
                diagnostics.error("macro", location, f"{text!r} cannot be used: {exc.message}.", help_text)
            else:
                expressions[name] = f"({match[1].strip()})"
    return expressions


def find_derived_defaults(
    dag: DagSettings, parameters: Mapping[str, Any], reread: Callable[[dict[str, Any]], Mapping[str, Any]]
) -> Iterator[tuple[str, str]]:
    """Yield offered parameters whose default depends on one that the run can set, and the latter's name.

    Args:
        dag: settings of the DAG.
        parameters: the project's parameters.
        reread: reads the project's parameters with these runtime parameters, by dotted name.
    """
    known = index_parameters(parameters)
    for source in (*dag.macros, *dag.params):
        if source not in known or not _is_reachable(source, parameters):
            continue
        try:
            changed = index_parameters(reread({source: _change(known[source])}))
        except Refused:
            continue  # the configuration does not accept just any value
        for name in dag.params:
            related = f"{name}.".startswith(f"{source}.") or f"{source}.".startswith(f"{name}.")
            if not related and name in known and changed.get(name) != known[name]:
                yield name, source


def _change(value: Any) -> Any:
    """Return another value of the same type."""
    if isinstance(value, dict):
        return {key: _change(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_change(item) for item in value]
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    try:
        return (date.fromisoformat(value) + timedelta(days=1)).isoformat()
    except (OverflowError, TypeError, ValueError):
        return f"{value or ''}x"


def find_unsendable(params: Mapping[str, Any], location: Location) -> Iterable[Finding]:
    """Yield an error for parameters that do not fit into JSON, or into one environment variable of at most 100 KB."""
    size = 0
    for name, value in params.items():
        try:
            size += len(json.dumps({name: trigger_form.spell_value(value)}, allow_nan=False).replace("$", "\\u0024"))
        except ValueError:
            message = f"{name!r} holds a number that JSON cannot write (nan or infinity)."
            yield error("param-number", location, message, "Write it as a string, and convert it in the node.")
        except TypeError:
            yield error("param-type", location, f"{name!r} holds what JSON cannot write.", _TYPE_HELP)
    if size > PARAMS_LIMIT:
        largest = max(params, key=lambda name: len(json.dumps(params[name], default=str)))
        message = f"parameters take {size} bytes, more than the {PARAMS_LIMIT:,} that a pod can get; the largest is {largest!r}."
        yield error("param-size", location, message, "Keep large values in the project's parameters, or in a dataset.")


def is_credential(name: str, value: Any) -> bool:
    """Return whether a parameter, or anything inside it, looks like a credential."""
    if value is None or isinstance(value, bool | int | float):
        return False
    if value and any(credential_detection.is_secret_name(part) for part in name.split(".")):
        return True
    if isinstance(value, dict):
        return any(is_credential(str(key), item) for key, item in value.items())
    return bool(credential_detection.find_credentials(value))


def _credential_error(location: Location, name: str) -> Finding:
    message = f"{name!r} looks like a credential, and the DAG file would show it to everyone."
    return error(
        "secret",
        location,
        message,
        "Keep it in Kedro's credentials and mount them by credentials_secret, or use envFrom.",
    )


def find_leaked_credentials(runtime_params: Mapping[str, Any]) -> Iterable[Finding]:
    """Yield an error for each runtime parameter that looks like a credential."""
    for name, value in runtime_params.items():
        if is_credential(name, value):
            yield _credential_error(Location(subject="--params"), name)


def _is_reachable(name: str, parameters: Mapping[str, Any]) -> bool:
    value: Any = parameters
    for part in name.split("."):
        if not isinstance(value, dict) or part not in value:
            return False
        value = value[part]
    return True


def _unreachable_error(location: Location, name: str, parameters: Mapping[str, Any]) -> Finding:
    """Return the error for a name whose keys do not lead to the parameter, because one is not a text or has a dot."""
    value: Any = parameters
    for part in name.split("."):
        if not isinstance(value, dict) or part not in value:
            break
        value = value[part]
    if isinstance(value, dict) and any(not isinstance(key, str) and str(key) == part for key in value):
        message = f"{name!r} has a key that is not a text, {part}, which Kedro's runtime parameters cannot override."
        return error("param-dotted", location, message, "Offer the map that has this key.")
    return error("param-dotted", location, _DOTTED_KEY_MESSAGE.format(name), _DOTTED_KEY_HELP)


def flatten_parameters(params: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested parameters by dotted name."""
    dotted: dict[str, Any] = {}
    for name, value in params.items():
        if isinstance(value, dict) and value:
            dotted.update(flatten_parameters(value, f"{prefix}{name}."))
        else:
            dotted[f"{prefix}{name}"] = value
    return dotted


def nest_parameters(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters by dotted name as the nested maps that Kedro's loader takes."""
    nested: dict[str, Any] = {}
    for name, value in params.items():
        target = nested
        *parents, last = name.split(".")
        for parent in parents:
            target = target.setdefault(parent, {})
        target[last] = value
    return nested
