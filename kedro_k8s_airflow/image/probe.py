"""The program that runs once in a new image and reports whether the image meets the contract.

`verification` appends a call of `main` and passes the text to the image's Python on stdin. So the module uses only the standard
library and Kedro.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ANSWER_PREFIX = "kedro-k8s-airflow answers: "
# Programs that do not belong in the image of a pod, unless the user's own base or packages contain them.
FORBIDDEN_TOOLS = ("gcc", "cc", "g++", "git", "uv")


def main(request: dict[str, Any]) -> None:
    """Print the report as one line of JSON."""
    project = Path(request["project"])
    report: dict[str, Any] = {"errors": [], "python": sys.version.split()[0], "uid": os.getuid()}
    errors: list[str] = report["errors"]
    _check_pod_program(project, request, errors)
    errors += _find_forbidden(project, request)
    _check_kedro(report, errors)
    if not errors:
        started = time.monotonic()
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            _load_project(project, request, report, errors)
        report["seconds"] = round(time.monotonic() - started, 2)
    sys.stdout.write(f"\n{ANSWER_PREFIX}{json.dumps(report)}\n")


def _check_pod_program(project: Path, request: dict[str, Any], errors: list[str]) -> None:
    """Check that the program of the pods runs and has the contract version of the DAG."""
    program = project / ".k8s-airflow" / "pod.py"
    command = [*request["prefix"], "python", str(program), "--contract-version"]
    try:
        completed = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as exc:
        errors.append(f"`{command[0]}` cannot be started: {exc.strerror}")
        return
    expected = f"contract {request['contract']}"
    if completed.returncode != 0 or completed.stdout.strip() != expected:
        output = (completed.stdout + completed.stderr).strip().splitlines()[-1:] or ["nothing"]
        errors.append(f"`{' '.join(command)}` should print {expected!r} but printed: {output[0]}")


def _check_kedro(report: dict[str, Any], errors: list[str]) -> None:
    """Check that `python` on PATH has the project's dependencies, namely Kedro."""
    try:
        from importlib.metadata import version

        report["kedro"] = version("kedro")
    except ImportError:
        errors.append(f"the `python` on PATH ({sys.executable}) has no Kedro")


def _find_forbidden(project: Path, request: dict[str, Any]) -> list[str]:
    """Return errors for files and programs that must not be in the image."""
    programs = [shutil.which(tool) for tool in request["tools"]]
    references = {tuple(path.split("/")) for path in request["credentials"]}
    problems = [f"{path} is in the image" for path in programs if path and not path.startswith(request["venv"])]
    for folder, names, files in os.walk(project):
        inside = Path(folder).relative_to(project).parts
        problems += [f"{folder}/{name} is in the image" for name in names if name == ".git"]
        names[:] = [name for name in names if name not in (".git", ".venv", "node_modules")]
        conf = tuple(Path(request["conf"]).parts)
        in_conf = bool(conf) and inside[: len(conf)] == conf
        below = inside[len(conf) :]
        local = in_conf and (below[:1] == ("local",) or any(part.startswith("credentials") for part in below))
        problems += [
            f"{folder}/{file} is in the image"
            for file in files
            if (*inside, file) not in references
            and (
                (local and file != ".gitkeep")
                or file == ".env"
                or file.startswith(".env.")
                or (in_conf and file.startswith("credentials"))
            )
        ]
    return problems[:20]


def _load_project(project: Path, request: dict[str, Any], report: dict[str, Any], errors: list[str]) -> None:
    """Import the project, and check that its pipelines contain the nodes of the DAGs."""
    os.chdir(project)
    os.environ.setdefault("DO_NOT_TRACK", "1")
    try:
        from kedro.framework.project import pipelines
        from kedro.framework.startup import bootstrap_project

        bootstrap_project(project)
        registered = list(pipelines)
    except Exception as exc:  # noqa: BLE001  a project may raise anything on import
        errors.append(f"the project cannot be imported: {type(exc).__name__}: {exc}")
        return
    report["pipelines"] = len(registered)
    names = set()
    for name in registered:
        try:
            names |= {node.name for node in pipelines[name].nodes}
        except Exception as exc:  # noqa: BLE001  a project may raise anything
            errors.append(f"pipeline {name!r} cannot be loaded: {type(exc).__name__}: {exc}")
    report["nodes"] = len(names)
    for pipeline, expected in request["nodes"].items():
        if pipeline not in registered:
            errors.append(f"the DAG runs pipeline {pipeline!r}, which does not exist in the image")
            continue
        missing = sorted(set(expected) - {node.name for node in pipelines[pipeline].nodes})
        if missing:
            errors.append(
                f"pipeline {pipeline!r} has no node {missing[0]!r}"
                + (f" and {len(missing) - 1} more" if missing[1:] else "")
            )
