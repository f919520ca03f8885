"""The verification of a new image: starts it once as a pod would, and checks that it meets the contract."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kedro_k8s_airflow import files
from kedro_k8s_airflow.findings import Finding, Refused, error
from kedro_k8s_airflow.image import probe
from kedro_k8s_airflow.image.dependencies import supported_kedro
from kedro_k8s_airflow.image.spec import VENV, dockerfile_name
from kedro_k8s_airflow.locations import Location
from kedro_k8s_airflow.plan.model import CONTRACT_VERSION
from kedro_k8s_airflow.project import credentials_files

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from kedro_k8s_airflow.image.engines import Engine
    from kedro_k8s_airflow.image.image_project import ImageProject

# Neither the image's user nor one in its /etc/passwd.
_ARBITRARY_UID = 54321
_OUTPUT_LINES = 15
_MACRO_VALUE = "2026-01-01"  # stands in for what a run decides
_CONTRACT_HELP = "See docs/guides/image.md for what pods require of an image."


def verify_image(
    reference: str, project: ImageProject, name: str, runner: Engine, engine: Engine, report: Callable[[str], None]
) -> Mapping[str, Any]:
    """Start an image once as a pod would, and return its report.

    Args:
        reference: the image.
        project: the project.
        name: name of the image in the settings.
        runner: the engine that starts it.
        engine: the engine that built it.
        report: receives a line of progress.

    Raises:
        Refused: with one finding for each part of the contract that the image does not meet.
    """
    report("starting the image to verify it")
    user = engine.user_of(reference)
    match = re.fullmatch(r"([0-9]+)(?::([0-9]+))?", user)
    errors: list[Finding] = []
    if match is None or int(match[1]) == 0:
        errors.append(
            _contract_error(
                reference,
                f"runs as {user or 'root'}. With runAsNonRoot, Kubernetes requires a numeric user other than 0.",
                "End the Dockerfile with a line such as `USER 1000:0`.",
            )
        )
    nodes: dict[str, list[str]] = {}
    for plan in project.plans:
        for task in plan.tasks:
            if task.image_name == name:
                nodes.setdefault(task.pipeline, []).extend(task.nodes)
    request = {
        "project": project.plans[0].project_path,
        "contract": CONTRACT_VERSION,
        "prefix": list(project.settings.build.prefix),
        "conf": project.conf_folder,
        "credentials": credentials_files.find_reference_files(project.root, project.conf_folder),
        "venv": VENV,
        "tools": _forbidden_tools(project, name),
        "nodes": nodes,
        "runs": _runs(project, name),
    }
    source = Path(probe.__file__).read_text(encoding="utf-8")
    program = f"{source}\n\nmain(json.loads({json.dumps(request, default=str)!r}))\n"
    code, out, err = runner.run_program(
        reference,
        program,
        user=f"{_ARBITRARY_UID}:{match[2] or 0 if match else 0}",
        home=project.plans[0].home,
        variables=_plain_variables(project, name),
    )
    line = next((line for line in out.splitlines() if line.startswith(probe.ANSWER_PREFIX)), None)
    help_text = _contract_help(project, name)
    if line is None:
        output = "\n".join((out + err).strip().splitlines()[-_OUTPUT_LINES:])
        message = f"failed to start as it would in a pod (exit code {code})."
        errors.append(error("image-contract", Location(subject=reference), message, help_text, output))
        raise Refused(errors)
    result: dict[str, Any] = json.loads(line.removeprefix(probe.ANSWER_PREFIX))
    kedro_version = result.get("kedro")
    if kedro_version is not None and not supported_kedro().contains(kedro_version, prereleases=True):
        message = f"has Kedro {kedro_version}, but pods can run only on Kedro {supported_kedro()}."
        errors.append(_contract_error(reference, message, help_text))
    errors += [_contract_error(reference, f"{problem}.", help_text) for problem in result["errors"]]
    if errors:
        raise Refused(errors)
    return result


def _runs(project: ImageProject, name: str) -> list[dict[str, Any]]:
    """Return how the pods of each DAG with this image load the configuration, and the datasets that need an entry in it."""
    runs = []
    for plan in project.plans:
        nodes = {node.name: node for node in plan.graph.nodes}
        used = {
            dataset
            for task in plan.tasks
            if task.image_name == name
            for node in task.nodes
            for dataset in (*nodes[node].inputs, *nodes[node].outputs)
        }
        params: dict[str, Any] = {}
        for parameter, value in {
            **plan.params,
            **dict.fromkeys(plan.macros, _MACRO_VALUE),
            **plan.runtime_params,
        }.items():
            *parents, last = parameter.split(".")
            target = params
            for parent in parents:
                target = target.setdefault(parent, {})
            target[last] = value
        if used:
            runs.append(
                {
                    "env": plan.env,
                    "conf_source": plan.conf_source,
                    "params": params,
                    "datasets": sorted(used & project.catalog_entries),
                }
            )
    return runs


def _contract_help(project: ImageProject, name: str) -> str:
    """Return what to do about an image that does not meet the contract: a Dockerfile of the user's may be the reason."""
    file = dockerfile_name(name)
    if files.is_generated(project.root / file):
        return _CONTRACT_HELP
    return (
        f"{file} is your own file: correct it, or move it away and run `create`, which writes one that meets the contract. "
        f"{_CONTRACT_HELP}"
    )


def _forbidden_tools(project: ImageProject, name: str) -> list[str]:
    """Return programs that the image must not contain, unless its base, packages or Dockerfile are the user's own."""
    build = project.settings.build_of(name)
    if build.base is not None or build.packages or not files.is_generated(project.root / dockerfile_name(name)):
        return []
    return [tool for tool in probe.FORBIDDEN_TOOLS if not (tool == "uv" and build.keeps_uv)]


def _plain_variables(project: ImageProject, name: str) -> dict[str, str]:
    """Return the plain environment variables of the image's tasks, which settings.py may need."""
    variables: dict[str, str] = {}
    for plan in project.plans:
        for task in plan.tasks:
            for variable in task.settings.get("env") or () if task.image_name == name else ():
                value = variable.get("value")
                if value is not None and "{" not in value and "$" not in value:
                    variables.setdefault(variable["name"], value)
    return variables


def _contract_error(reference: str, message: str, help_text: str) -> Finding:
    return error("image-contract", Location(subject=reference), message, help_text)
