"""The proof of the contract: a new image is started once, as a pod would start it, and says what it finds."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kedro_k8s_airflow import files
from kedro_k8s_airflow.findings import Finding, Refused, error
from kedro_k8s_airflow.image import probe
from kedro_k8s_airflow.image.spec import VENV, dockerfile_name
from kedro_k8s_airflow.locations import Location
from kedro_k8s_airflow.plan.model import CONTRACT_VERSION

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from kedro_k8s_airflow.image.engines import Engine
    from kedro_k8s_airflow.image.image_project import ImageProject

# Nobody's: neither the image's own user nor one that its /etc/passwd knows.
_SOMEBODY = 54321
_TAIL = 15
_CONTRACT = "docs/guides/image.md says what pods need from an image."


def verify_image(
    reference: str, made: ImageProject, name: str, prover: Engine, engine: Engine, report: Callable[[str], None]
) -> Mapping[str, Any]:
    """What the image answers when it is started once as a pod would start it.

    Raises:
        Refused: naming everything in which it does not keep the contract.
    """
    report("starting the image to prove its contract")
    user = engine.user_of(reference)
    match = re.fullmatch(r"([0-9]+)(?::([0-9]+))?", user)
    errors: list[Finding] = []
    if match is None or int(match[1]) == 0:
        errors.append(
            _broken(
                reference,
                f"runs as {user or 'root'}; Kubernetes starts a pod with runAsNonRoot only when the image's user is a number other than 0",
                "End the Dockerfile with a line such as USER 1000:0.",
            )
        )
    nodes: dict[str, list[str]] = {}
    for plan in made.plans:
        for task in plan.tasks:
            if task.image_name == name:
                nodes.setdefault(task.pipeline, []).extend(task.nodes)
    request = {
        "project": made.plans[0].project_path,
        "contract": CONTRACT_VERSION,
        "prefix": list(made.settings.build.prefix),
        "conf": made.conf_folder,
        "venv": VENV,
        "tools": _tools(made, name),
        "nodes": nodes,
    }
    source = Path(probe.__file__).read_text(encoding="utf-8")
    program = f"{source}\n\nmain(json.loads({json.dumps(request)!r}))\n"
    code, out, err = prover.run_program(
        reference,
        program,
        user=f"{_SOMEBODY}:{match[2] or 0 if match else 0}",
        home=made.plans[0].home,
        variables=_variables(made, name),
    )
    line = next((line for line in out.splitlines() if line.startswith(probe.ANSWER)), None)
    if line is None:
        said = "\n".join((out + err).strip().splitlines()[-_TAIL:])
        message = f"could not be started as a pod would start it (exit code {code})."
        errors.append(error("image-contract", Location(subject=reference), message, _CONTRACT, said))
        raise Refused(errors)
    proof: dict[str, Any] = json.loads(line.removeprefix(probe.ANSWER))
    errors += [_broken(reference, f"{one}.", _CONTRACT) for one in proof["errors"]]
    if errors:
        raise Refused(errors)
    return proof


def _tools(made: ImageProject, name: str) -> list[str]:
    """Programs that the image must not hold: what the user's own base, packages or Dockerfile bring is theirs to say."""
    build = made.settings.build_of(name)
    if build.base is not None or build.packages or not files.is_generated(made.root / dockerfile_name(name)):
        return []
    return [tool for tool in probe.TOOLS if not (tool == "uv" and build.keeps_uv)]


def _variables(made: ImageProject, name: str) -> dict[str, str]:
    """Plain environment variables of the image's tasks: settings.py may want them."""
    found: dict[str, str] = {}
    for plan in made.plans:
        for task in plan.tasks:
            for variable in task.settings.get("env") or () if task.image_name == name else ():
                value = variable.get("value")
                if value is not None and "{" not in value and "$" not in value:
                    found.setdefault(variable["name"], value)
    return found


def _broken(reference: str, message: str, help_text: str) -> Finding:
    return error("image-contract", Location(subject=reference), message, help_text)
