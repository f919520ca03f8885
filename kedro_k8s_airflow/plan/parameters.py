"""Kedro's parameters in a plan: those the trigger form offers, those every pod gets, those that are missing."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from kedro_k8s_airflow import credential_detection
from kedro_k8s_airflow.findings import Finding, error
from kedro_k8s_airflow.locations import Location

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from kedro_k8s_airflow.config.models import DagSettings
    from kedro_k8s_airflow.project import Project


_LIMIT = 100_000
_EXPRESSION = re.compile(r"\s*\{\{[-+]?(.+?)[-+]?\}\}\s*\Z", re.DOTALL)
# Runs have a logical date, or (Airflow 3, triggered by hand or by an asset) only the moment they may run after.
_MACROS = {"run_date": '(dag_run.logical_date or dag_run.run_after).strftime("%Y-%m-%d")'}


def parameter_names(parameters: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Every name that `params:` can load, with its value, as Kedro makes them: keys as they are spelled, joined by dots.

    Source: `KedroContext._get_parameters`.
    """
    found: dict[str, Any] = {}
    for key, value in parameters.items():
        found[f"{prefix}{key}"] = value
        if isinstance(value, dict):
            found.update(parameter_names(value, f"{prefix}{key}."))
    return found


def offered_params(
    known: Mapping[str, Any], project: Project, dag: DagSettings, file: str, errors: list[Finding]
) -> dict[str, Any]:
    """Defaults of the parameters that the trigger form offers, by dotted name; what is wrong goes to `errors`."""
    found: dict[str, Any] = {}
    for name in dag.params:
        if name not in known:
            help_text = "Name it as in `params:` inputs, with dots for what is nested."
            errors.append(
                error(
                    "param-unknown",
                    Location(file=file, key=("dag", "params")),
                    f"the project has no parameter {name!r}.",
                    help_text,
                )
            )
        elif not _reachable(name, project.parameters):
            help_text = "Spell it as nested keys in the parameters file."
            message = f"{name!r} has a key with a dot in it, which Kedro's runtime parameters cannot override."
            errors.append(error("param-dotted", Location(file=file, key=("dag", "params")), message, help_text))
        elif is_credential(name, known[name]):
            errors.append(_credential(Location(file=file, key=("dag", "params")), name))
        else:
            found[name] = known[name]
    overlap = next(((one, other) for one in found for other in found if other.startswith(f"{one}.")), None)
    if overlap:
        message = f"{overlap[1]!r} is part of {overlap[0]!r}."
        errors.append(error("param-twice", Location(file=file, key=("dag", "params")), message, "Offer one of them."))
    return found


def parse_macros(
    known: Mapping[str, Any],
    project: Project,
    dag: DagSettings,
    file: str,
    others: Mapping[str, Any],
    errors: list[Finding],
) -> dict[str, str]:
    """Expressions of Airflow's templates for the parameters that the run decides; what is wrong goes to `errors`.

    Args:
        known: every name that `params:` can load.
        project: as it was read.
        dag: settings of the DAG.
        file: the settings file, for messages.
        others: parameters given in another way, by dotted name.
        errors: gets what is wrong.
    """
    import jinja2

    found: dict[str, str] = {}
    for name, text in dag.macros.items():
        location = Location(file=file, key=("dag", "macros", name))
        if name not in known and not project.has_catalog_hooks:
            help_text = "Add it to parameters.yml; its value there is what `kedro run` uses."
            errors.append(error("param-unknown", location, f"the project has no parameter {name!r}.", help_text))
        elif name in known and not _reachable(name, project.parameters):
            message = f"{name!r} has a key with a dot in it, which Kedro's runtime parameters cannot override."
            errors.append(error("param-dotted", location, message, "Spell it as nested keys in the parameters file."))
        elif overlap := next(
            (other for other in others if f"{other}.".startswith(f"{name}.") or f"{name}.".startswith(f"{other}.")),
            None,
        ):
            message = f"{name!r} and {overlap!r}, which is given by dag.params or --params, are one."
            errors.append(error("param-twice", location, message, "Give it in one way."))
        elif text in _MACROS:
            found[name] = _MACROS[text]
        else:
            expression = _EXPRESSION.match(text)
            try:
                if expression is None or "}}" in expression[1] or "{{" in expression[1]:
                    raise jinja2.TemplateSyntaxError("it is no single expression", 1)
                jinja2.Environment(autoescape=False).parse(f"{{{{ ({expression[1]}) }}}}")  # noqa: S701  Python is not HTML
            except jinja2.TemplateSyntaxError as exc:
                help_text = (
                    f"Write {', '.join(_MACROS)} or one expression of Airflow's templates, such as '{{{{ run_id }}}}'."
                )
                errors.append(error("macro", location, f"{text!r} cannot be used: {exc.message}.", help_text))
            else:
                found[name] = f"({expression[1].strip()})"
    return found


def find_unsendable(params: Mapping[str, Any], location: Location) -> Iterable[Finding]:
    """Errors for parameters that cannot reach a pod as JSON in one environment variable of at most 100 KB."""
    size = 0
    for name, value in params.items():
        try:
            size += len(json.dumps({name: value}, allow_nan=False).replace("$", "\\u0024"))
        except ValueError:
            message = f"{name!r} holds a number that JSON cannot write (nan or infinity)."
            yield error("param-number", location, message, "Write it as a text, and read it as a number in the node.")
        except TypeError:
            yield error(
                "param-type", location, f"{name!r} holds what JSON cannot write.", "Use texts, numbers, lists and maps."
            )
    if size > _LIMIT:
        largest = max(params, key=lambda name: len(json.dumps(params[name], default=str)))
        message = f"parameters take {size} bytes, and a pod gets 100,000 at most; the largest is {largest!r}."
        yield error("param-size", location, message, "Keep large values in the project's parameters, or in a dataset.")


def is_credential(name: str, value: Any) -> bool:
    """Whether a parameter, or anything inside it, looks like a credential."""
    if value is None or isinstance(value, bool | int | float):
        return False
    if value and any(credential_detection.is_secret_name(part) for part in name.split(".")):
        return True
    if isinstance(value, dict):
        return any(is_credential(str(key), item) for key, item in value.items())
    return bool(credential_detection.find_credentials(value))


def _credential(location: Location, name: str) -> Finding:
    message = f"{name!r} looks like a credential, and the DAG file would show it to everyone."
    return error(
        "secret",
        location,
        message,
        "Keep it in Kedro's credentials and mount them by credentials_secret, or use envFrom.",
    )


def find_leaked(runtime_params: Mapping[str, Any]) -> Iterable[Finding]:
    """Runtime parameters, by dotted name, that look like credentials."""
    for name, value in runtime_params.items():
        if is_credential(name, value):
            yield _credential(Location(subject="--params"), name)


def _reachable(name: str, parameters: Mapping[str, Any]) -> bool:
    place: Any = parameters
    for part in name.split("."):
        if not isinstance(place, dict) or part not in place:
            return False
        place = place[part]
    return True


def flatten(params: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested parameters by dotted name."""
    dotted: dict[str, Any] = {}
    for name, value in params.items():
        if isinstance(value, dict) and value:
            dotted.update(flatten(value, f"{prefix}{name}."))
        else:
            dotted[f"{prefix}{name}"] = value
    return dotted
