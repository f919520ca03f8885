"""The program that runs once in a new image and reports whether the image meets the contract.

`verification` appends a call of `main` and passes the text to the image's Python on stdin. So the module uses only the standard
library and Kedro.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ANSWER_PREFIX = "kedro-k8s-airflow answers: "
_SEARCH_DEPTH = 4
_MAX_VARIABLES = 100
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
            for run in request["runs"] if not errors else ():
                _load_catalog(run, errors)
        report["seconds"] = round(time.monotonic() - started, 2)
    sys.stdout.write(f"\n{ANSWER_PREFIX}{json.dumps(report)}\n")


def _check_pod_program(project: Path, request: dict[str, Any], errors: list[str]) -> None:
    """Check that the program of the pods runs and has the contract version of the DAG."""
    program = project / ".k8s-airflow" / "pod.py"
    if not program.is_file():
        other = _find_project()
        errors.append(
            f"the project is in {other}, but pods expect it in {project}; set `project_path: {other}`, or copy it to {project}"
            if other
            else f"the program of the pods, {program}, is not in the image"
        )
        return
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


def _find_project() -> str | None:
    """Return a folder of the image that contains the program of the pods."""
    for folder, names, _ in os.walk("/"):
        if os.path.isfile(f"{folder}/.k8s-airflow/pod.py"):  # noqa: PTH113  twice as fast, for every folder of the image
            return folder
        if folder == "/":
            names[:] = [name for name in names if name not in ("dev", "proc", "sys")]
        elif folder.count("/") >= _SEARCH_DEPTH:
            names.clear()
    return None


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


def _load_catalog(run: dict[str, Any], errors: list[str]) -> None:
    """Load the configuration as a pod does, and the classes of the datasets. Credentials are not in the image.

    Args:
        run: environment, configuration folder and runtime parameters of a DAG, and the datasets that need an entry.
        errors: receives what is wrong.
    """
    from kedro.framework.project import settings
    from kedro.io.catalog_config_resolver import CatalogConfigResolver

    env = run["env"]  # pods ignore KEDRO_ENV
    where = f" in environment {env!r}" if env else ""

    def make_loader() -> Any:
        return settings.CONFIG_LOADER_CLASS(
            conf_source=run["conf_source"] or str(Path.cwd() / settings.CONF_SOURCE),
            env=env,
            runtime_params=run["params"],
            **settings.CONFIG_LOADER_ARGS,
        )

    config, is_complete = _read_config(make_loader, "catalog", where, errors)
    _read_config(make_loader, "parameters", where, errors)
    if config is None:
        return
    with_credentials = {name for name, entry in config.items() if isinstance(entry, dict) and _drop_credentials(entry)}
    try:
        resolver = CatalogConfigResolver(config=config, credentials={})
    except Exception as exc:  # noqa: BLE001  the catalog may be anything
        errors.append(f"the catalog{where} cannot be resolved: {type(exc).__name__}: {exc}")
        return
    for name in run["datasets"]:
        pattern = resolver.match_dataset_pattern(name) or resolver.match_user_catch_all_pattern(name)
        if name not in config and not pattern:
            errors.append(f"the catalog{where} has no entry for dataset {name!r}, which the DAG was created with")
            continue
        problem = _find_problem(name, resolver, may_create=not ({name, pattern} & with_credentials) and is_complete)
        if problem:
            errors.append(f"dataset {name!r} cannot be created{where}: {problem}")


def _read_config(make_loader: Any, kind: str, where: str, errors: list[str]) -> tuple[dict[str, Any] | None, bool]:
    """Return one kind of configuration, or None, and whether it is complete: variables that only pods have are stood in for."""
    from kedro.config import MissingConfigException

    stood_in = False
    for _ in range(_MAX_VARIABLES):
        try:
            return dict(make_loader()[kind]), not stood_in
        except MissingConfigException as exc:
            if kind == "catalog":
                errors.append(f"the catalog{where} is not in the image: {exc}")
            return None, False
        except Exception as exc:  # noqa: BLE001  the configuration may be anything
            missing = re.search(r"Environment variable '([^']+)' not found", str(exc))
            if missing:
                os.environ[missing[1]] = ""
                stood_in = True
                continue
            if not stood_in:
                errors.append(f"the configuration {kind!r}{where} cannot be loaded: {type(exc).__name__}: {exc}")
            return None, False
    return None, False


def _drop_credentials(entry: dict[str, Any]) -> bool:
    """Remove the credentials of an entry at any depth, and return whether there were any."""
    found = entry.pop("credentials", None) is not None
    for value in entry.values():
        if isinstance(value, dict):
            found |= _drop_credentials(value)
    return found


def _find_problem(name: str, resolver: Any, *, may_create: bool) -> str | None:
    """Return why the class of a dataset, or what it needs, cannot be imported.

    Args:
        name: of the dataset.
        resolver: Kedro's resolver of the catalog.
        may_create: whether the entry has all that the class needs; some classes refuse other things until they are in a pod.
    """
    from kedro.io import AbstractDataset
    from kedro.io.core import parse_dataset_definition

    config = resolver.resolve_pattern(name)
    try:
        parse_dataset_definition(dict(config))
    except Exception as exc:  # noqa: BLE001  the module of a class may raise anything
        return f"{type(exc).__name__}: {exc}"
    if may_create:
        try:
            AbstractDataset.from_config(name, dict(config))
        except Exception as exc:  # noqa: BLE001  the class may raise anything
            cause: BaseException | None = exc
            while cause is not None:
                if isinstance(cause, ImportError):
                    return f"{type(cause).__name__}: {cause}"
                cause = cause.__cause__ or cause.__context__
    return None
