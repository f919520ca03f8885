"""Kedro commands, each in a process of its own, without starting Python and importing Kedro each time.

A server imports Kedro and this plugin once and forks a child for each command. A child shares nothing with the others:
modules, logging and settings are as they were before the first one. `tests/test_scenarios.py` shows that the outcome is
that of `python -m kedro`.
"""

from __future__ import annotations

import contextlib
import gc
import inspect
import json
import os
import runpy
import signal
import subprocess
import sys
import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

TIMEOUT_SECONDS = 120
PREIMPORTED_MODULES = (
    "croniter",
    "fsspec.implementations.local",
    "jinja2.meta",
    "kedro.config",
    "kedro.framework.cli.cli",
    "kedro.framework.cli.project",
    "kedro.framework.context",
    "kedro.framework.context.context",
    "kedro.framework.session.session",
    "kedro.framework.session.store",
    "kedro.io",
    "kedro.pipeline",
    "networkx",
    "packaging.requirements",
    "packaging.version",
    "rich.table",
    "kedro_airflow.plugin",
    "kedro_k8s_airflow.cli",
    "kedro_k8s_airflow.commands.create",
    "kedro_k8s_airflow.dag.mermaid",
    "kedro_k8s_airflow.output.finding_formats",
    "kedro_k8s_airflow.output.plan_formats",
    "kedro_k8s_airflow.output.plan_json",
    "kedro_k8s_airflow.output.plan_table",
    "kedro_k8s_airflow.output.plan_tree",
    "kedro_k8s_airflow.output.console",
    "kedro_k8s_airflow.request",
    "kedro_telemetry.plugin",  # where it is installed
)


@dataclass(frozen=True)
class CommandResult:
    """What a command came to."""

    code: int
    out: str
    err: str

    @property
    def output(self) -> str:
        """All it printed, with every run of white space as one blank."""
        return " ".join(f"{self.out} {self.err}".split())


class KedroServer:
    """The server, seen from a test: of this Python or another one, with further environment variables."""

    def __init__(self, folder: Path, python: Path | None = None, env: Mapping[str, str] | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.server = subprocess.Popen(
            [python or sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=clean_env(**(env or {})),
        )

    def run_command(self, *arguments: str, cwd: Path, env: Mapping[str, str] | None = None) -> CommandResult:
        """`kedro ARGUMENTS` in a folder."""
        return self._run({"kedro": arguments, "cwd": str(cwd), "env": dict(env or {})})

    def run_script(self, *arguments: str, cwd: Path, env: Mapping[str, str] | None = None) -> CommandResult:
        """`python ARGUMENTS` in a folder."""
        return self._run({"script": arguments, "cwd": str(cwd), "env": dict(env or {})})

    def close(self) -> None:
        """End the server."""
        if self.server.stdin:
            self.server.stdin.close()
        self.server.wait(10)

    def _run(self, request: dict[str, object]) -> CommandResult:
        out, err = self.folder / "out", self.folder / "err"
        if self.server.stdin is None or self.server.stdout is None:
            raise RuntimeError("the server has no pipes")
        print(json.dumps({**request, "out": str(out), "err": str(err)}), file=self.server.stdin, flush=True)
        answer = self.server.stdout.readline()
        if not answer:
            raise RuntimeError(f"the server of Kedro commands died with code {self.server.poll()}")
        texts = [path.read_text(encoding="utf-8", errors="replace") for path in (out, err)]
        return CommandResult(json.loads(answer), *texts)


def clean_env(**more: str) -> dict[str, str]:
    """The environment of a command: the caller's without what would change how Kedro or Python behaves."""
    drop = ("KEDRO_", "PYTHON", "COLUMNS", "PYTEST_", "FORCE_COLOR", "NO_COLOR")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(drop)}
    return {**kept, "DO_NOT_TRACK": "1", "KEDRO_DISABLE_TELEMETRY": "1", "PYTHONIOENCODING": "utf-8", **more}


def serve() -> None:
    """Answer requests, one for each line of stdin, until there are no more."""
    sys.path.pop(0)  # this file's own folder
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what modules print while they are imported is no answer
    for module in PREIMPORTED_MODULES:
        with contextlib.suppress(ImportError):
            __import__(module)
    _fill_caches()
    gc.freeze()  # a child need not go through all this when it ends
    for line in sys.stdin:
        request = json.loads(line)
        pid = os.fork()
        if not pid:
            _run_in_child(request)
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), file=answers, flush=True)


def _fill_caches() -> None:
    """Do once what each child would do again: it takes half of a short command."""
    from kedro_k8s_airflow import templates

    inspect.stack()  # dynaconf calls it; its first call resolves the path of every module
    for path in templates.find_templates_folder().glob("*.j2"):
        templates._make_environment().get_template(path.name)


def _run_in_child(request: dict[str, object]) -> None:
    """Run the command, then end the process."""
    signal.alarm(TIMEOUT_SECONDS)
    for number, mode in ((0, None), (1, "out"), (2, "err")):
        target = os.open(str(request[mode]), os.O_WRONLY | os.O_CREAT | os.O_TRUNC) if mode else os.open(os.devnull, 0)
        os.dup2(target, number)
    code: object = 70
    try:
        os.chdir(str(request["cwd"]))
        os.environ.update(request["env"])  # type: ignore[call-overload]
        if "kedro" in request:
            from kedro.framework.cli.cli import main

            sys.path.insert(0, os.getcwd())  # noqa: PTH109  as `python -m` does
            sys.argv = ["kedro", *request["kedro"]]  # type: ignore[misc]
            main()
        else:
            sys.argv = list(request["script"])  # type: ignore[call-overload]
            runpy.run_path(sys.argv[0], run_name="__main__")
        code = 0
    except SystemExit as exit_:
        code = exit_.code
    except BaseException:  # noqa: BLE001  the child is all there is
        traceback.print_exc()
        code = 1
    if isinstance(code, str):
        sys.stderr.write(f"{code}\n")
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(int(code or 0))  # type: ignore[call-overload]


if __name__ == "__main__":
    serve()
