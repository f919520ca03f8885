"""Kedro's parameters in a plan: those the trigger form offers, those every pod gets, those that are missing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kedro_k8s_airflow.findings import Finding, error

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from kedro_k8s_airflow.config import DagSettings
    from kedro_k8s_airflow.project import Node, Project


def offered(project: Project, dag: DagSettings, file: str, errors: list[Finding]) -> dict[str, Any]:
    """Defaults of the parameters that the trigger form offers, by dotted name."""
    found: dict[str, Any] = {}
    for name in dag.params:
        value: Any = project.parameters
        for part in name.split("."):
            if not isinstance(value, dict) or part not in value:
                errors.append(
                    error(
                        "param-unknown",
                        f"{file}: dag.params",
                        f"the project has no parameter {name!r}.",
                        "Name it as in `params:` inputs, with dots for what is nested.",
                    )
                )
                break
            value = value[part]
        else:
            found[name] = value
    overlap = next(((one, other) for one in found for other in found if other.startswith(f"{one}.")), None)
    if overlap:
        errors.append(
            error(
                "param-twice", f"{file}: dag.params", f"{overlap[1]!r} is part of {overlap[0]!r}.", "Offer one of them."
            )
        )
    return found


def flat(params: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested parameters by dotted name."""
    dotted: dict[str, Any] = {}
    for name, value in params.items():
        if isinstance(value, dict) and value:
            dotted.update(flat(value, f"{prefix}{name}."))
        else:
            dotted[f"{prefix}{name}"] = value
    return dotted


def missing(project: Project, nodes: Sequence[Node]) -> Iterable[Finding]:
    """Parameters that a node loads and the project does not have."""
    for node in nodes:
        for given in node.inputs:
            if not given.startswith("params:"):
                continue
            value: Any = project.parameters
            for part in given.removeprefix("params:").split("."):
                if not isinstance(value, dict):
                    break  # a typed parameter; its fields are Kedro's to check
                if part not in value:
                    yield error(
                        "param-missing",
                        f"node {node.name!r}",
                        f"loads {given!r}, which the project's parameters do not have.",
                        "Add it to parameters.yml, or give it by --params.",
                    )
                    break
                value = value[part]
