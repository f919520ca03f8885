"""Runs inside a new image, once, and says whether it keeps the contract. One file; it needs Kedro and the standard library.

`build` adds a call of `main` to this text and gives it to the image's Python on stdin.
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

ANSWER = "kedro-k8s-airflow answers: "
# What has no place in an image that pods run, unless the user's own base or packages bring it.
TOOLS = ("gcc", "cc", "g++", "git", "uv")


def main(request: dict[str, Any]) -> None:
    """Print what was found as one line of JSON."""
    project = Path(request["project"])
    found: dict[str, Any] = {"errors": [], "python": sys.version.split()[0], "uid": os.getuid()}
    errors: list[str] = found["errors"]
    _entry(project, request, errors)
    errors += _forbidden(project, request)
    _path(found, errors)
    if not errors:
        started = time.monotonic()
        noise = io.StringIO()
        with contextlib.redirect_stdout(noise):
            _load(project, request, found, errors)
        found["seconds"] = round(time.monotonic() - started, 2)
    sys.stdout.write(f"\n{ANSWER}{json.dumps(found)}\n")


def _entry(project: Path, request: dict[str, Any], errors: list[str]) -> None:
    """The program of the pods is there, runs, and has the DAG's contract."""
    program = project / ".k8s-airflow" / "pod.py"
    command = [*request["prefix"], "python", str(program), "--contract-version"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as exc:
        errors.append(f"{command[0]} cannot be started: {exc.strerror}")
        return
    expected = f"contract {request['contract']}"
    if done.returncode != 0 or done.stdout.strip() != expected:
        said = (done.stdout + done.stderr).strip().splitlines()[-1:] or ["nothing"]
        errors.append(f"`{' '.join(command)}` should answer {expected!r} and said: {said[0]}")


def _path(found: dict[str, Any], errors: list[str]) -> None:
    """`python` and `kedro` on PATH are those with the project's dependencies."""
    try:
        from importlib.metadata import version

        found["kedro"] = version("kedro")
    except ImportError:
        errors.append(f"the `python` on PATH ({sys.executable}) has no Kedro")


def _forbidden(project: Path, request: dict[str, Any]) -> list[str]:
    """What is in the image and should not be."""
    places = [(tool, shutil.which(tool)) for tool in request["tools"]]
    found = [f"{place} is in the image" for _, place in places if place and not place.startswith(request["venv"])]
    for folder, names, files in os.walk(project):
        inside = Path(folder).relative_to(project).parts
        found += [f"{folder}/{name} is in the image" for name in names if name == ".git"]
        names[:] = [name for name in names if name not in (".git", ".venv", "node_modules")]
        conf = tuple(Path(request["conf"]).parts)
        in_conf = bool(conf) and inside[: len(conf)] == conf
        below = inside[len(conf) :]
        local = in_conf and (below[:1] == ("local",) or any(part.startswith("credentials") for part in below))
        found += [
            f"{folder}/{file} is in the image"
            for file in files
            if (local and file != ".gitkeep")
            or file == ".env"
            or file.startswith(".env.")
            or (in_conf and file.startswith("credentials"))
        ]
    return found[:20]


def _load(project: Path, request: dict[str, Any], found: dict[str, Any], errors: list[str]) -> None:
    """The project imports, and its pipelines hold the nodes of the DAGs."""
    os.chdir(project)
    os.environ.setdefault("DO_NOT_TRACK", "1")
    try:
        from kedro.framework.project import pipelines
        from kedro.framework.startup import bootstrap_project

        bootstrap_project(project)
        registered = list(pipelines)
    except Exception as exc:  # noqa: BLE001  whatever a project raises on import is the answer
        errors.append(f"the project cannot be imported: {type(exc).__name__}: {exc}")
        return
    found["pipelines"] = len(registered)
    names = set()
    for name in registered:
        try:
            names |= {node.name for node in pipelines[name].nodes}
        except Exception as exc:  # noqa: BLE001  whatever a project raises is the answer
            errors.append(f"pipeline {name!r} cannot be loaded: {type(exc).__name__}: {exc}")
    found["nodes"] = len(names)
    for pipeline, wanted in request["nodes"].items():
        if pipeline not in registered:
            errors.append(f"the DAG runs pipeline {pipeline!r}, which the image has not")
            continue
        missing = sorted(set(wanted) - {node.name for node in pipelines[pipeline].nodes})
        if missing:
            errors.append(
                f"pipeline {pipeline!r} has no node {missing[0]!r}"
                + (f" and {len(missing) - 1} more" if missing[1:] else "")
            )
