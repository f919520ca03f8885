"""The registered pipelines of a project, loaded once, with everything that can go wrong said in words."""

from __future__ import annotations

import contextlib
import io
import re
import sys
import warnings
from typing import TYPE_CHECKING

from kedro_k8s_airflow.findings import Finding, Refused, error, refuse, warning
from kedro_k8s_airflow.project.words import said

if TYPE_CHECKING:
    from kedro.pipeline import Pipeline

_SWALLOWED = re.compile(r"An error occurred while importing the '(?P<module>[^']+)' module")


def load(package: str) -> tuple[dict[str, Pipeline], list[Finding]]:
    """All registered pipelines; whatever the project prints meanwhile goes to stderr."""
    from kedro.framework.project import pipelines
    from kedro.pipeline import Pipeline

    printed = io.StringIO()
    try:
        with warnings.catch_warnings(record=True) as caught, contextlib.redirect_stdout(printed):
            warnings.simplefilter("always")
            registry = dict(pipelines)
    except (Exception, SystemExit) as exc:
        what = "ends the process" if isinstance(exc, SystemExit) else f"fails: {said(exc)}"
        raise refuse(
            "registry",
            f"{package}.pipeline_registry",
            f"loading the pipelines {what}.",
            "Mend it until `kedro registry list` works.",
        ) from exc
    findings = []
    if printed.getvalue():
        sys.stderr.write(printed.getvalue())
        findings.append(
            warning(
                "registry-prints",
                f"{package}.pipeline_registry",
                "the project prints while its pipelines are loaded, and will in every pod.",
                "Log instead, inside the nodes.",
            )
        )
    swallowed = [entry for entry in caught if _SWALLOWED.search(str(entry.message))]
    if swallowed:
        raise Refused(_swallowed(str(entry.message)) for entry in swallowed)
    findings += [
        warning("registry", f"{package}.pipeline_registry", str(entry.message))
        for entry in caught
        if "find_pipelines" in str(entry.message)
    ]
    wrong = {
        name: type(value).__name__
        for name, value in registry.items()
        if not isinstance(value, Pipeline) or not isinstance(name, str)
    }
    if wrong:
        name, kind = next(iter(wrong.items()))
        raise refuse("registry", f"{package}.pipeline_registry", f"pipeline {name!r} is a {kind}, not a Pipeline.")
    return registry, findings


def _swallowed(message: str) -> Finding:
    module = _SWALLOWED.search(message)
    cause = [line for line in message.splitlines() if line.strip()][-1].strip()
    return error(
        "registry-swallowed",
        module["module"] if module else "pipeline_registry",
        f"find_pipelines() left its pipelines out because the import failed: {cause}",
        "Install or mend what is missing; `find_pipelines(raise_errors=True)` would have told you.",
    )
