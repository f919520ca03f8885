"""Pods as processes: started with what a DAG gives them, in a copy of the project."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from kedro_k8s_airflow.pod import CONTRACT_VERSION, PARAMS_VARIABLE, RUN_VARIABLE
from tests.scenarios import make_project
from tests.support.environments import find_interpreter
from tests.support.kedro_server import clean_env
from tests.support.paths import ROOT
from tests.support.pod_project.project import PROJECT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

POD = ROOT / "kedro_k8s_airflow" / "pod.py"
CONTRACT = f"--contract={CONTRACT_VERSION}"
TIMEOUT_SECONDS = 60
# Kedro imports these at every start if it finds them, and no node here needs them: the project's image has none.
HIDDEN_MODULES = ("flask", "numpy", "pandas")


@dataclass(frozen=True)
class PodResult:
    """A pod that has ended."""

    code: int
    out: str
    err: str

    @property
    def output(self) -> str:
        """All it printed."""
        return self.out + self.err

    @property
    def last_error_line(self) -> str:
        """Its last line of error output."""
        return self.err.rstrip().splitlines()[-1]

    @property
    def refusal(self) -> str:
        """The one line with which it refuses to start; no traceback precedes it."""
        (line,) = self.err.splitlines()
        return line


class RunningPod:
    """A pod that runs, in a process group of its own."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self._read: list[str] = []

    def read_until(self, word: str, times: int = 1) -> str:
        """Read its output until a word has come so often; the last line read."""
        if self.process.stdout is None:
            raise RuntimeError("the pod has no output")
        for line in self.process.stdout:
            self._read.append(line)
            times -= line.count(word)  # two processes may share a line
            if times <= 0:
                return line
        raise AssertionError(f"the pod ended and never said {word!r}: {''.join(self._read)}{self.wait_for_end().err}")

    def send_sigterm(self) -> RunningPod:
        """Send it SIGTERM, as the kubelet does to the first process of a container."""
        self.process.send_signal(signal.SIGTERM)
        return self

    def wait_for_end(self) -> PodResult:
        """Wait for its end."""
        try:
            out, err = self.process.communicate(timeout=TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise
        return PodResult(self.process.returncode, "".join(self._read) + out, err)

    def leftover_processes(self) -> list[int]:
        """Processes of its group that still run; those that just end get two seconds."""
        end = time.monotonic() + 2
        while (found := _list_processes(self.process.pid)) and time.monotonic() < end:
            time.sleep(0.02)
        return found

    def kill(self) -> None:
        """End the whole group."""
        for pid in _list_processes(self.process.pid):
            os.kill(pid, signal.SIGKILL)
        self.process.wait(TIMEOUT_SECONDS)


def _list_processes(group: int) -> list[int]:
    """Processes of a group, without those that are dead and not yet reaped."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, member_of = stat.read_text(encoding="utf-8", errors="replace").rpartition(") ")[2].split()[:3]
        except OSError:
            continue
        if member_of == str(group) and state != "Z":
            found.append(int(stat.parent.name))
    return found


# What `create` tells a pod of these nodes whatever else it is told: versioned datasets that they save, and free inputs.
NODE_OPTIONS = {
    "write": ("--version-of=kept",),
    "write_coded": ("--version-of=coded@one",),
    "write_cached": ("--version-of=cached",),
    "write_wrapped": ("--version-of=wrapped",),
    "read_given": ("--latest-of=given",),
    "read_both": ("--latest-of=given",),
}
PAIR_OPTIONS = {("write_coded", "read_coded"): ("--version-of=coded@two",)}


@dataclass(frozen=True)
class PodLauncher:
    """Starts pods of one project.

    Attributes:
        pod: the program.
        before: what stands before it on the command line.
        base: environment variables of the image.
        env: further environment variables of all pods.
        options: further options of all pods.
    """

    project: Path
    python: Path
    pod: Path = POD
    before: tuple[str, ...] = ()
    base: Mapping[str, str] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    options: tuple[str, ...] = ()
    started: list[RunningPod] = field(default_factory=list)

    def with_changes(self, **changes: Any) -> PodLauncher:
        """The same with changes."""
        return replace(self, **changes)

    def start(
        self,
        pipeline: str,
        *nodes: str,
        options: tuple[str, ...] = (),
        run_id: str = "manual__1",
        try_number: int = 1,
        run_after: str = "2026-03-01T06:00:00+00:00",
        params: Mapping[str, Any] | None = None,
        env: Mapping[str, str | None] | None = None,
    ) -> RunningPod:
        """A pod of a DAG's task, as soon as its process is there; a variable that is None is left out."""
        run = {"dag_id": "dag", "run_id": run_id, "task_id": "task", "try_number": try_number, "run_after": run_after}
        variables = {
            # Kedro's own libraries warn of each other on stderr, of which tests read what a pod says.
            **clean_env(PYTHONUNBUFFERED="1", PYTHONWARNINGS="ignore"),
            RUN_VARIABLE: json.dumps(run),
            PARAMS_VARIABLE: json.dumps(params or {}).replace("$", "\\u0024"),  # which the kubelet leaves alone
            **self.base,
            **self.env,
            **(env or {}),
        }
        command = [
            *self.before,
            str(self.python),
            str(self.pod),
            CONTRACT,
            f"--project={self.project}",
            f"--pipeline={pipeline}",
            *(f"--node={name}" for name in nodes),
            *(option for name in nodes for option in NODE_OPTIONS.get(name, ())),
            *PAIR_OPTIONS.get(nodes, ()),
            *self.options,
            *options,
        ]
        return self.start_command(command, {name: value for name, value in variables.items() if value is not None})

    def start_command(self, command: list[str], env: Mapping[str, str]) -> RunningPod:
        """Any command, of which nothing outlives the test."""
        pipe = subprocess.PIPE
        process = subprocess.Popen(
            command, env=env, cwd="/", stdout=pipe, stderr=pipe, text=True, encoding="utf-8", start_new_session=True
        )
        started = RunningPod(process)
        self.started.append(started)
        return started

    def run(self, pipeline: str, *nodes: str, **more: Any) -> PodResult:
        """A pod that has ended, however it did."""
        return self.start(pipeline, *nodes, **more).wait_for_end()

    def run_successfully(self, pipeline: str, *nodes: str, **more: Any) -> PodResult:
        """A pod that has done its work."""
        ended = self.run(pipeline, *nodes, **more)
        assert ended.code == 0, ended.output
        return ended

    def read_data(self, name: str) -> str:
        """What is in a file of the data."""
        return (self.project / "data" / name).read_text(encoding="utf-8")

    def write_data(self, name: str, content: str) -> None:
        """A file of the data."""
        path = self.project / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")

    def saved_versions(self, name: str) -> list[str]:
        """Saved versions of a dataset, oldest first."""
        return sorted(path.name for path in (self.project / "data" / name).iterdir())


@pytest.fixture(scope="session")
def lean_environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Variables that make an environment like that of a lean image."""
    folder = tmp_path_factory.mktemp("lean")
    hidden = f"import sys\n\nsys.modules.update(dict.fromkeys({HIDDEN_MODULES}))\n"  # None there is: not installed
    (folder / "sitecustomize.py").write_text(hidden, encoding="ascii")
    return {"PYTHONPATH": str(folder)}


@pytest.fixture
def pods(tmp_path: Path, lean_environment: dict[str, str]) -> Iterator[PodLauncher]:
    """Pods of a project of this test, on the Kedro that runs the tests."""
    launcher = PodLauncher(make_project(PROJECT, tmp_path / "project"), Path(sys.executable), base=lean_environment)
    yield launcher
    _end_pods(launcher)


@pytest.fixture(params=["here", "oldest"])
def any_pods(request: pytest.FixtureRequest, tmp_path: Path, lean_environment: dict[str, str]) -> Iterator[PodLauncher]:
    """The same, and once more on the oldest Kedro we support."""
    python = Path(sys.executable) if request.param == "here" else find_interpreter("KKA_PYTHON_KEDRO_OLDEST")
    launcher = PodLauncher(make_project(PROJECT, tmp_path / "project"), python, base=lean_environment)
    yield launcher
    _end_pods(launcher)


def _end_pods(pods: PodLauncher) -> None:
    for started in pods.started:
        if started.process.poll() is None or _list_processes(started.process.pid):
            started.kill()
        for stream in (started.process.stdout, started.process.stderr):
            if stream is not None:
                stream.close()
