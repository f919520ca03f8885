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
from tests.support.environments import interpreter
from tests.support.kedro_server import clean_env
from tests.support.paths import ROOT
from tests.support.pod_project.project import PROJECT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

POD = ROOT / "kedro_k8s_airflow" / "pod.py"
CONTRACT = f"--contract={CONTRACT_VERSION}"
LIMIT = 60
# Kedro imports these at every start if it finds them, and no node here needs them: the project's image has none.
HEAVY = ("flask", "numpy", "pandas")


@dataclass(frozen=True)
class Ended:
    """A pod that has ended."""

    code: int
    out: str
    err: str

    @property
    def said(self) -> str:
        """All it printed."""
        return self.out + self.err

    @property
    def last(self) -> str:
        """Its last line of error output."""
        return self.err.rstrip().splitlines()[-1]

    @property
    def why(self) -> str:
        """The one line with which it refuses to start; no traceback precedes it."""
        (line,) = self.err.splitlines()
        return line


class Started:
    """A pod that runs, in a process group of its own."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self._read: list[str] = []

    def until(self, word: str, times: int = 1) -> str:
        """Read its output until a word has come so often; the last line read."""
        if self.process.stdout is None:
            raise RuntimeError("the pod has no output")
        for line in self.process.stdout:
            self._read.append(line)
            times -= line.count(word)  # two processes may share a line
            if times <= 0:
                return line
        raise AssertionError(f"the pod ended and never said {word!r}: {''.join(self._read)}{self.end().err}")

    def tell(self) -> Started:
        """Send it SIGTERM, as the kubelet does to the first process of a container."""
        self.process.send_signal(signal.SIGTERM)
        return self

    def end(self) -> Ended:
        """Wait for its end."""
        try:
            out, err = self.process.communicate(timeout=LIMIT)
        except subprocess.TimeoutExpired:
            self.kill()
            raise
        return Ended(self.process.returncode, "".join(self._read) + out, err)

    def left_over(self) -> list[int]:
        """Processes of its group that still run; those that just end get two seconds."""
        end = time.monotonic() + 2
        while (found := _running(self.process.pid)) and time.monotonic() < end:
            time.sleep(0.02)
        return found

    def kill(self) -> None:
        """End the whole group."""
        for pid in _running(self.process.pid):
            os.kill(pid, signal.SIGKILL)
        self.process.wait(LIMIT)


def _running(group: int) -> list[int]:
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
TOLD = {
    "write": ("--version-of=kept",),
    "write_coded": ("--version-of=coded@one",),
    "write_cached": ("--version-of=cached",),
    "read_given": ("--latest-of=given",),
    "read_both": ("--latest-of=given",),
}
TWINS = {("write_coded", "read_coded"): ("--version-of=coded@two",)}


@dataclass(frozen=True)
class Pods:
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
    started: list[Started] = field(default_factory=list)

    def but(self, **changes: Any) -> Pods:
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
    ) -> Started:
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
            *(option for name in nodes for option in TOLD.get(name, ())),
            *TWINS.get(nodes, ()),
            *self.options,
            *options,
        ]
        return self.command(command, {name: value for name, value in variables.items() if value is not None})

    def command(self, command: list[str], env: Mapping[str, str]) -> Started:
        """Any command, of which nothing outlives the test."""
        pipe = subprocess.PIPE
        process = subprocess.Popen(
            command, env=env, cwd="/", stdout=pipe, stderr=pipe, text=True, encoding="utf-8", start_new_session=True
        )
        started = Started(process)
        self.started.append(started)
        return started

    def run(self, pipeline: str, *nodes: str, **more: Any) -> Ended:
        """A pod that has ended, however it did."""
        return self.start(pipeline, *nodes, **more).end()

    def done(self, pipeline: str, *nodes: str, **more: Any) -> Ended:
        """A pod that has done its work."""
        ended = self.run(pipeline, *nodes, **more)
        assert ended.code == 0, ended.said
        return ended

    def data(self, name: str) -> str:
        """What is in a file of the data."""
        return (self.project / "data" / name).read_text(encoding="utf-8")

    def put(self, name: str, content: str) -> None:
        """A file of the data."""
        path = self.project / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")

    def versions(self, name: str) -> list[str]:
        """Saved versions of a dataset, oldest first."""
        return sorted(path.name for path in (self.project / "data" / name).iterdir())


@pytest.fixture(scope="session")
def lean(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Variables that make an environment like that of a lean image."""
    folder = tmp_path_factory.mktemp("lean")
    hidden = f"import sys\n\nsys.modules.update(dict.fromkeys({HEAVY}))\n"  # None there is: not installed
    (folder / "sitecustomize.py").write_text(hidden, encoding="ascii")
    return {"PYTHONPATH": str(folder)}


@pytest.fixture
def pods(tmp_path: Path, lean: dict[str, str]) -> Iterator[Pods]:
    """Pods of a project of this test, on the Kedro that runs the tests."""
    made = Pods(make_project(PROJECT, tmp_path / "project"), Path(sys.executable), base=lean)
    yield made
    _clear(made)


@pytest.fixture(params=["here", "oldest"])
def any_pods(request: pytest.FixtureRequest, tmp_path: Path, lean: dict[str, str]) -> Iterator[Pods]:
    """The same, and once more on the oldest Kedro we support."""
    python = Path(sys.executable) if request.param == "here" else interpreter("KKA_PYTHON_KEDRO_OLDEST")
    made = Pods(make_project(PROJECT, tmp_path / "project"), python, base=lean)
    yield made
    _clear(made)


def _clear(pods: Pods) -> None:
    for started in pods.started:
        if started.process.poll() is None or _running(started.process.pid):
            started.kill()
        for stream in (started.process.stdout, started.process.stderr):
            if stream is not None:
                stream.close()
