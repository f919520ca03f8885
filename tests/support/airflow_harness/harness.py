"""A real Airflow, 3.x or 2.11, driven from tests that have none: its parts as processes, its REST API, its signals.

For tests of DAG files against a cluster, where "a part of Airflow dies" or "the Kubernetes API is away" is the question.
Not for tests of what a file holds: ``tests/support/airflow_probe/probe.py`` answers those without a database and in a second.

    with Airflow(python=..., home=tmp_path / "airflow", dags=folder, kubeconfig=...) as airflow:
        airflow.migrate()                                 # once; copies a database made before where there is one
        run = airflow.dag_test("flights")                 # DAG.test(): no parts needed, triggers run inline
        assert run.tasks["clean"].state == "success", run.log

        airflow.start()                                   # all parts, until each has sent a heartbeat
        airflow.wait_dag("flights")                       # parsed and stored, else the import errors
        airflow.unpause("flights")
        run_id = airflow.trigger("flights", conf={})
        airflow.wait_task("flights", run_id, "clean", {"deferred"})
        airflow.kill("scheduler", signal.SIGKILL)         # the part, with the tasks that run in it
        airflow.start("scheduler")
        assert airflow.wait_run("flights", run_id) == "success", airflow.report("flights", run_id)
        text = airflow.log("flights", run_id, "clean")

``airflow.workers(dag_id, run_id, task_id)`` are the processes of a running task: its supervisor, and the process in it that
runs the operator. ``Proxy`` stands before the Kubernetes API server, for Airflow alone, and can go away; ``Audit`` reads which
calls the API server saw. Every process started here runs in a session of its own, by which its descendants are found and
ended, whatever process groups they made; none is ever ended that was not started here. A guard process does so when the
tests themselves were killed.

Airflow keeps its database in SQLite (write-ahead log, no syncs to disk) and runs tasks by its LocalExecutor: children of
the scheduler. Folder ``home`` holds all of it, logs included: ``home/<part>.log``, ``home/logs`` for tasks.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import functools
import http.client
import json
import os
import re
import secrets
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import yaml

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from types import TracebackType

    from typing_extensions import Self

Value = TypeVar("Value")

FINISHED = frozenset({"success", "failed", "skipped", "upstream_failed", "removed"})
PARTS = {3: ("api-server", "scheduler", "dag-processor", "triggerer"), 2: ("webserver", "scheduler", "triggerer")}
HEALTH = {"scheduler": "scheduler", "triggerer": "triggerer", "dag-processor": "dag_processor"}

# For both versions; an option that one of them does not know is ignored by it.
SETTINGS = {
    "CORE__EXECUTOR": "LocalExecutor",
    "CORE__LOAD_EXAMPLES": "False",
    "CORE__PARALLELISM": "8",
    "CORE__DAGS_ARE_PAUSED_AT_CREATION": "True",
    "CORE__MIN_SERIALIZED_DAG_UPDATE_INTERVAL": "0",
    "CORE__MIN_SERIALIZED_DAG_FETCH_INTERVAL": "0",
    "CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
    "DATABASE__LOAD_DEFAULT_CONNECTIONS": "False",
    "USAGE_DATA_COLLECTION__ENABLED": "False",
    "LOGGING__COLORED_CONSOLE_LOG": "False",
    # A loop that finds nothing to do sleeps this long: the largest cost of a task in a quiet scheduler.
    "SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",
    "SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "1",
    "SCHEDULER__JOB_HEARTBEAT_SEC": "1",
    "TRIGGERER__JOB_HEARTBEAT_SEC": "1",
    # A dead part is noticed after some seconds instead of half a minute and more.
    "SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "15",
    "SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "5",
    "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "20",
    "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "2",
    "SCHEDULER__SCHEDULER_ZOMBIE_TASK_THRESHOLD": "20",
    "SCHEDULER__ZOMBIE_DETECTION_INTERVAL": "2",
    "SCHEDULER__LOCAL_TASK_JOB_HEARTBEAT_SEC": "2",
    "SCHEDULER__TRIGGER_TIMEOUT_CHECK_INTERVAL": "2",
    "WORKERS__MIN_HEARTBEAT_INTERVAL": "2",
    "TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "15",
    # A changed file is read at once, for its time of change; an unchanged one costs a second of CPU each time.
    "DAG_PROCESSOR__REFRESH_INTERVAL": "1",
    "DAG_PROCESSOR__BUNDLE_REFRESH_CHECK_INTERVAL": "1",
    "DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "3600",
    "DAG_PROCESSOR__PARSING_PROCESSES": "1",
    "SCHEDULER__DAG_DIR_LIST_INTERVAL": "1",
    "SCHEDULER__MIN_FILE_PROCESS_INTERVAL": "3600",
    "SCHEDULER__PARSING_PROCESSES": "1",
    "API__WORKERS": "1",
    "API__AUTH_BACKENDS": "airflow.api.auth.backend.default",
    "WEBSERVER__WORKERS": "1",
    "WEBSERVER__WARN_DEPLOYMENT_EXPOSURE": "False",
}

# Read by every process of Airflow before it opens the database.
LOCAL_SETTINGS = '''
import os
from sqlalchemy import event
from sqlalchemy.engine import Engine


@event.listens_for(Engine, "connect")
def quick(connection, record):
    """No disk syncs; wait for another process's write rather than fail."""
    cursor = connection.cursor()
    cursor.execute("PRAGMA synchronous=OFF")
    cursor.execute("PRAGMA busy_timeout=60000")
    cursor.close()
'''

DAG_TEST = """
import json, os, sys, time
dags, dag_id, conf, out = sys.argv[1:]
try:
    from airflow.dag_processing.dagbag import DagBag
except ImportError:
    from airflow.models.dagbag import DagBag
bag = DagBag(dag_folder=dags)
if dag_id not in bag.dags:
    sys.exit(f"no DAG {dag_id} in {dags}: {sorted(bag.dags)} {bag.import_errors}")
started = time.monotonic()
run = bag.dags[dag_id].test(run_conf=json.loads(conf))
from airflow.utils.session import create_session
with create_session() as session:
    tasks = [
        {"task_id": ti.task_id, "map_index": ti.map_index, "state": ti.state and str(getattr(ti.state, "value", ti.state)),
         "try_number": ti.try_number, "duration": ti.duration}
        for ti in run.get_task_instances(session=session)
    ]
report = {"state": str(getattr(run.state, "value", run.state)), "run_id": run.run_id, "tasks": tasks,
          "seconds": time.monotonic() - started}
with open(out, "w") as file:
    json.dump(report, file)
"""


PRELOAD = """
import sys
import airflow.providers.common.compat.sdk
import airflow.providers.cncf.kubernetes.operators.pod
from airflow.__main__ import main
sys.argv[0] = "airflow"
main()
"""


class AirflowError(AssertionError):
    """Airflow did not do what a test needs of it; the message ends with the logs."""


@dataclasses.dataclass(frozen=True)
class Task:
    """A task instance: state is None before it was scheduled, duration in seconds once it has one."""

    task_id: str
    state: str | None
    try_number: int
    duration: float | None = None
    map_index: int = -1
    id: str | None = None

    @property
    def key(self) -> str:
        """The task id, with the index of a mapped one."""
        return self.task_id if self.map_index < 0 else f"{self.task_id}[{self.map_index}]"


@dataclasses.dataclass(frozen=True)
class DagTestResult:
    """What ``DAG.test()`` came to; `seconds` is the run alone, without the interpreter's start and the parsing."""

    __test__ = False

    state: str
    run_id: str
    tasks: dict[str, Task]
    log: str
    seconds: float


@dataclasses.dataclass
class Airflow:
    """One Airflow: an environment's interpreter, a home folder, a folder of DAG files, an identity in the cluster.

    Args:
        python: interpreter of an environment with Airflow and the Kubernetes provider.
        home: folder for everything Airflow writes; made when absent.
        dags: folder of DAG files.
        kubeconfig: what connection ``kubernetes_default`` holds.
        environment: more variables for every process, over those made here.
        connection: more extras of the connection.
        preload: have the scheduler import what a DAG file of ours imports before it forks its workers; without it each
            start of a task spends half a second of CPU on that, and each task has two.
    """

    python: Path
    home: Path
    dags: Path
    kubeconfig: Path
    environment: Mapping[str, str] = dataclasses.field(default_factory=dict)
    connection: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    preload: bool = True

    def __post_init__(self) -> None:
        self.home = self.home.resolve()
        self.dags = self.dags.absolute()  # not resolved: it may be a link that changes
        self.port = find_free_port()
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._sessions: set[int] = set()
        self._guard: subprocess.Popen[bytes] | None = None
        self._token = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # --- the environment

    @functools.cached_property
    def version(self) -> str:
        """Airflow's version."""
        code = "from importlib.metadata import version; print(version('apache-airflow'))"
        return subprocess.run([self.python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()

    @property
    def major(self) -> int:
        """3 or 2."""
        return int(self.version.partition(".")[0])

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts of this version, in the order they are started."""
        return PARTS[self.major]

    @property
    def url(self) -> str:
        """Where the API server or web server listens."""
        return f"http://127.0.0.1:{self.port}"

    @functools.cached_property
    def process_environment(self) -> dict[str, str]:
        """The environment of every process: the caller's, without what is Airflow's, Python's or Kubernetes' own."""
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("AIRFLOW", "_AIRFLOW", "PYTHON", "VIRTUAL_ENV", "KUBE", "PYTEST"))
        }
        # The provider refuses a connection that names a file while KUBECONFIG names one, too.
        extra = {"in_cluster": False, "kube_config_path": str(self.kubeconfig), **self.connection}
        secret = secrets.token_urlsafe(64)
        settings = {
            **SETTINGS,
            "CORE__DAGS_FOLDER": str(self.dags),
            "CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{self.home}/airflow.db",
            "API__BASE_URL": self.url,
            "API__HOST": "127.0.0.1",
            "API__PORT": str(self.port),
            "API__SECRET_KEY": secret,
            "API_AUTH__JWT_SECRET": secret,
            "WEBSERVER__BASE_URL": self.url,
            "WEBSERVER__WEB_SERVER_HOST": "127.0.0.1",
            "WEBSERVER__WEB_SERVER_PORT": str(self.port),
            "WEBSERVER__SECRET_KEY": secret,
        }
        return {
            **inherited,
            **{f"AIRFLOW__{name}": value for name, value in settings.items()},
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW_CONN_KUBERNETES_DEFAULT": json.dumps({"conn_type": "kubernetes", "extra": extra}),
            # 2.11 refuses SQLite for this executor; a write-ahead log and patient writers make it good enough.
            "_AIRFLOW__SKIP_DATABASE_EXECUTOR_COMPATIBILITY_CHECK": "1",
            "HOME": str(self.home),
            "NO_PROXY": "127.0.0.1,localhost",
            "no_proxy": "127.0.0.1,localhost",
            "PYTHONUNBUFFERED": "1",
            "PYTHONSAFEPATH": "1",
            "SCARF_ANALYTICS": "false",
            "DO_NOT_TRACK": "1",
            **self.environment,
        }

    def command(self, *arguments: str, seconds: float = 300) -> str:
        """Output of one of Airflow's commands, which has to succeed."""
        return self._run("command", [str(self.python), "-m", "airflow", *arguments], seconds)

    def migrate(self, template: Path | None = None) -> None:
        """Make the database and the settings files.

        Args:
            template: a database file to copy when it is there, and to leave for others when it is not (5 to 15 s each).
        """
        (self.home / "config").mkdir(parents=True, exist_ok=True)
        (self.home / "config" / "airflow_local_settings.py").write_text(LOCAL_SETTINGS, encoding="ascii")
        # 2.11 lets nobody in without a role; whoever asks on this loopback port is an administrator.
        (self.home / "webserver_config.py").write_text('AUTH_ROLE_PUBLIC = "Admin"\nWTF_CSRF_ENABLED = False\n')
        database, empty = self.home / "airflow.db", self.home / "empty.db"
        if template is not None and template.is_file():
            shutil.copyfile(template, empty)
        else:
            self._run("command", [str(self.python), "-m", "airflow", "db", "migrate"], 300, empty)
            with contextlib.closing(sqlite3.connect(empty)) as connection:
                connection.execute("PRAGMA journal_mode=WAL")
            if template is not None:
                shutil.copyfile(empty, template)
        shutil.copyfile(empty, database)

    # --- a run without parts

    def run_dag_test(
        self, dag_id: str, conf: Mapping[str, Any] | None = None, *, seconds: float = 600
    ) -> DagTestResult:
        """Run ``DAG.test()`` of a DAG in a process of its own; it never raises for a task that failed.

        Each has a database of its own: a triggerer that shared it would run its triggers, too, and delete its pods.
        """
        name = f"dag_test-{secrets.token_hex(4)}"
        database, out = self.home / f"{name}.db", self.home / f"{name}.json"
        shutil.copyfile(self.home / "empty.db", database)
        arguments = [str(self.dags), dag_id, json.dumps(dict(conf or {})), str(out)]
        log = self._run("dag_test", [str(self.python), "-c", DAG_TEST, *arguments], seconds, database)
        report = json.loads(out.read_text(encoding="utf-8"))
        tasks = [Task(**task) for task in report.pop("tasks")]
        return DagTestResult(**report, tasks={task.key: task for task in tasks}, log=log)

    def _run(self, name: str, command: list[str], seconds: float, database: Path | None = None) -> str:
        """Run a command to its end, its whole session ended with it; what it printed."""
        self.home.mkdir(parents=True, exist_ok=True)
        path = self.home / f"{name}-{secrets.token_hex(4)}.log"
        process = self._popen(command, path, database)
        try:
            code = process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AirflowError(f"{name}: not done after {seconds} s\n{read_tail(path)}") from None
        finally:
            self._end(process, signal.SIGKILL, 5)
        if code:
            raise AirflowError(f"{name}: exit code {code}\n{read_tail(path)}")
        return path.read_text(encoding="utf-8", errors="replace")

    # --- parts

    def start(self, *parts: str, seconds: float = 120) -> dict[str, float]:
        """Start parts (all of them without names) and wait until they are healthy; seconds each took."""
        parts = parts or self.parts
        begun, wall = time.monotonic(), datetime.now(timezone.utc)
        for part in parts:
            if self.running(part):
                raise AirflowError(f"{part} is running")
            self._processes[part] = self._popen(self._command(part), self.home / f"{part}.log")
        waiting, took = set(parts), {}
        while waiting:
            for part in sorted(waiting):
                if not self.running(part):
                    raise AirflowError(f"{part} ended by itself\n{read_tail(self.home / f'{part}.log')}")
            for part in self._healthy(waiting, wall):
                waiting.discard(part)
                took[part] = round(time.monotonic() - begun, 1)
            if waiting and time.monotonic() - begun > seconds:
                logs = "\n".join(f"--- {part}\n{read_tail(self.home / f'{part}.log')}" for part in sorted(waiting))
                raise AirflowError(f"not healthy after {seconds} s: {', '.join(sorted(waiting))}\n{logs}")
            time.sleep(0.25)
        return took

    def _command(self, part: str) -> list[str]:
        # Task logs are read from the folder that all parts share; nobody needs them served.
        more = ["--skip-serve-logs"] if part in {"scheduler", "triggerer"} else []
        start = ["-c", PRELOAD] if part == "scheduler" and self.preload else ["-m", "airflow"]
        return [str(self.python), *start, part, *more]

    def _healthy(self, parts: set[str], since: datetime) -> set[str]:
        """Those of the parts that answer, or whose heartbeat is newer than `since`."""
        try:
            health = self.health()
        except (OSError, http.client.HTTPException, AirflowError):
            # Without a server to ask, a part that lives has to do.
            return parts if not {"api-server", "webserver"} & self._processes.keys() else set()
        found = set()
        for part in parts:
            name = HEALTH.get(part)
            if name is None:
                found.add(part)
                continue
            part_health = health.get(name) or {}
            beat = part_health.get(f"latest_{name}_heartbeat")
            if part_health.get("status") == "healthy" and beat and parse_time(beat) >= since:
                found.add(part)
        return found

    def health(self) -> dict[str, Any]:
        """What the server says of every part, as ``{part: {status, latest_..._heartbeat}}``."""
        path = "/api/v2/monitor/health" if self.major == 3 else "/api/v1/health"
        answer: dict[str, Any] = self._request("GET", self.url + path, seconds=5)
        return answer

    def running(self, part: str) -> bool:
        """Whether the part's first process lives."""
        process = self._processes.get(part)
        return process is not None and process.poll() is None

    def pid(self, part: str) -> int:
        """The part's first process."""
        return self._processes[part].pid

    def kill_part(self, part: str, signum: signal.Signals = signal.SIGKILL, *, alone: bool = False) -> None:
        """Send a signal to all processes of a part, as when its container is killed; `alone`: to the first only.

        SIGKILL is waited for; of another signal, `wait_end` tells.
        """
        process = self._processes[part]
        targets = [process.pid] if alone else [found.pid for found in list_session(process.pid)]
        for pid in targets:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signum)
        if signum == signal.SIGKILL:
            process.wait(10)
            if not alone:
                wait_for(lambda: None if list_session(process.pid) else True, 10, f"{part}: processes outlive SIGKILL")

    def wait_end(self, part: str, seconds: float = 60) -> int:
        """The exit code of a part that was told to end; minus the signal's number when that killed it."""
        try:
            return self._processes[part].wait(seconds)
        except subprocess.TimeoutExpired:
            log = read_tail(self.home / f"{part}.log")
            raise AirflowError(f"{part} has not ended after {seconds} s\n{log}") from None

    def stop(self, part: str, seconds: float = 15) -> None:
        """End a part: SIGTERM to its first process, and SIGKILL to all that is left of it after some seconds."""
        process = self._processes.pop(part, None)
        if process is not None:
            self._end(process, signal.SIGTERM, seconds)

    def restart(self, *parts: str, seconds: float = 120) -> dict[str, float]:
        """Stop parts, and start them."""
        for part in parts:
            self.stop(part)
        return self.start(*parts, seconds=seconds)

    def close(self) -> None:
        """End every process that was started here."""
        for part in reversed(self.parts if self._processes else ()):
            self.stop(part, seconds=3)
        end_sessions(self._sessions, self.home)
        self._sessions.clear()
        if self._guard is not None:
            self._guard.communicate(timeout=30)
            self._guard = None

    def _watch(self, leader: int) -> None:
        """Have a process of its own end the session when this one has ended, however it did."""
        self._sessions.add(leader)
        if self._guard is None:
            command = [sys.executable, __file__, str(self.home)]
            self._guard = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
        pipe = self._guard.stdin
        assert pipe is not None
        pipe.write(f"{leader}\n".encode())
        pipe.flush()

    def _popen(self, command: list[str], log: Path, database: Path | None = None) -> subprocess.Popen[bytes]:
        own = {} if database is None else {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{database}"}
        with log.open("ab") as out:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                cwd=self.home,
                env={**self.process_environment, **own},
                start_new_session=True,
            )
        self._watch(process.pid)
        return process

    @staticmethod
    def _end(process: subprocess.Popen[bytes], signum: signal.Signals, seconds: float) -> None:
        """End a process and its session."""
        if process.poll() is None:
            process.send_signal(signum)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(seconds)
        for found in list_session(process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(found.pid, signal.SIGKILL)
        process.wait(10)

    # --- the processes of a task

    def workers(self, dag_id: str, run_id: str, task_id: str, *, seconds: float = 30) -> Workers:
        """The processes of a task instance that runs by now, or within some seconds."""
        return wait_for(
            lambda: self.find_workers(dag_id, run_id, task_id), seconds, f"no process of {task_id} in the scheduler"
        )

    def find_workers(self, dag_id: str, run_id: str, task_id: str) -> Workers | None:
        """The processes of a task instance, None when there are none."""
        processes = list_session(self.pid("scheduler"))
        if self.major == 3:
            # Both have the task instance's id in their title; the supervisor is the runner's parent.
            ident = self.tasks(dag_id, run_id)[task_id].id or ""
            named = {found.pid: found for found in processes if ident in found.title}
            runners = [found for found in named.values() if found.parent in named]
        else:
            title = f"airflow task runner: {dag_id} {task_id} {run_id} "
            named = {found.pid: found for found in processes}
            runners = [found for found in processes if found.title.startswith(title)]
        return Workers(supervisor=runners[0].parent, runner=runners[0].pid) if runners else None

    # --- the REST API

    def api(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        accept: str = "application/json",
        **query: Any,
    ) -> Any:
        """What the stable REST API answers; `path` is that below ``/api/v1`` or ``/api/v2``."""
        url = f"{self.url}/api/v{self.major - 1}{path}"
        if query:
            url += "?" + urllib.parse.urlencode(query, doseq=True)
        headers = {"Accept": accept}
        if self.major == 3:
            if not self._token:
                self._token = self._request("GET", f"{self.url}/auth/token")["access_token"]
            headers["Authorization"] = f"Bearer {self._token}"
        return self._request(method, url, body, headers)

    @staticmethod
    def _request(
        method: str,
        url: str,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        seconds: float = 30,
    ) -> Any:
        """What a server answers: JSON read, plain text as it is; AirflowFailed with what it says when it refuses."""
        request = urllib.request.Request(  # noqa: S310 - the address is ours
            url,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json", **(headers or {})},
        )
        try:
            with OPENER.open(request, timeout=seconds) as answer:
                text = answer.read().decode()
                plain = answer.headers.get_content_type() == "text/plain"
        except urllib.error.HTTPError as error:
            raise AirflowError(f"{method} {url}: {error.code} {error.read().decode()[:2000]}") from None
        return text if plain else json.loads(text) if text else None

    def wait_dag(self, dag_id: str, seconds: float = 60) -> dict[str, Any]:
        """What Airflow says of a DAG once its file is parsed; fails at once on import errors."""

        def get() -> dict[str, Any] | None:
            errors = self.import_errors()
            if errors:
                raise AirflowError("\n".join(f"{name}:\n{trace}" for name, trace in errors.items()))
            found = {dag["dag_id"]: dag for dag in self.api("GET", "/dags", limit=100, only_active="true")["dags"]}
            return found.get(dag_id)

        return wait_for(get, seconds, f"no DAG {dag_id}", interval=0.5)

    def dag_ids(self, *, gone: bool = False) -> set[str]:
        """The DAGs that have a file now; `gone`: with those whose files are away and whose runs are kept. Airflow 3."""
        return {dag["dag_id"] for dag in self.api("GET", "/dags", limit=100, exclude_stale=not gone)["dags"]}

    def import_errors(self) -> dict[str, str]:
        """The traceback of each file that could not be read, by its name."""
        return {error["filename"]: error["stack_trace"] for error in self.api("GET", "/importErrors")["import_errors"]}

    def versions(self, dag_id: str) -> list[int]:
        """The numbers of the versions of a DAG that Airflow 3 has seen, in their order."""
        return sorted(one["version_number"] for one in self.api("GET", f"/dags/{dag_id}/dagVersions")["dag_versions"])

    def run_versions(self, dag_id: str, run_id: str) -> list[int]:
        """The numbers of the versions that the tasks of a run are of."""
        return [one["version_number"] for one in self.api("GET", run_path(dag_id, run_id))["dag_versions"]]

    def source(self, dag_id: str, version: int | None = None) -> str:
        """The file of a DAG as Airflow 3 has stored it, for its last version or another."""
        query = {} if version is None else {"version_number": version}
        return str(self.api("GET", f"/dagSources/{dag_id}", accept="text/plain", **query))

    def task_ids(self, dag_id: str) -> set[str]:
        """The tasks of a DAG as it is now."""
        return {task["task_id"] for task in self.api("GET", f"/dags/{dag_id}/tasks")["tasks"]}

    def unpause(self, dag_id: str) -> None:
        """Let the scheduler run the DAG."""
        self.api("PATCH", f"/dags/{dag_id}", {"is_paused": False})

    def trigger(
        self,
        dag_id: str,
        conf: Mapping[str, Any] | None = None,
        *,
        run_id: str | None = None,
        logical_date: datetime | None = None,
    ) -> str:
        """Start a run; its id. Airflow 3 starts one without a logical date when there is none."""
        body: dict[str, Any] = {"conf": dict(conf or {})}
        if run_id is not None:
            body["dag_run_id"] = run_id
        if logical_date is not None or self.major == 3:
            body["logical_date"] = logical_date and logical_date.isoformat()
        return str(self.api("POST", f"/dags/{dag_id}/dagRuns", body)["dag_run_id"])

    def state(self, dag_id: str, run_id: str) -> str:
        """State of a run."""
        return str(self.api("GET", run_path(dag_id, run_id))["state"])

    def wait_run(self, dag_id: str, run_id: str, seconds: float = 180, *, interval: float = 0.5) -> str:
        """The state a run ends in; fails, with every task's state and the logs, when it does not end in time."""

        def get() -> str | None:
            state = self.state(dag_id, run_id)
            return state if state in FINISHED else None

        return wait_for(get, seconds, lambda: f"run {run_id} goes on: {self.report(dag_id, run_id)}", interval=interval)

    def tasks(self, dag_id: str, run_id: str) -> dict[str, Task]:
        """The task instances of a run, each by its id, or by ``id[index]`` when it is mapped."""
        found: list[Task] = []
        while True:
            page = self.api("GET", f"{run_path(dag_id, run_id)}/taskInstances", limit=100, offset=len(found))
            found += [
                Task(
                    task_id=task["task_id"],
                    state=task["state"],
                    try_number=task["try_number"],
                    duration=task["duration"],
                    map_index=task["map_index"],
                    id=task.get("id"),
                )
                for task in page["task_instances"]
            ]
            if len(found) >= page["total_entries"] or not page["task_instances"]:
                return {task.key: task for task in found}

    def wait_task(
        self,
        dag_id: str,
        run_id: str,
        task_id: str,
        states: Sequence[str] | frozenset[str] | set[str] = FINISHED,
        seconds: float = 120,
        *,
        interval: float = 0.25,
    ) -> Task:
        """A task instance once it is in one of the states; fails at once when it ended in another."""

        def get() -> Task | None:
            task = self.tasks(dag_id, run_id)[task_id]
            if task.state in states:
                return task
            if task.state in FINISHED:
                raise AirflowError(f"{task_id} ended {task.state}, not {states}\n{self.report(dag_id, run_id)}")
            return None

        return wait_for(
            get, seconds, lambda: f"{task_id} is not {states}: {self.report(dag_id, run_id)}", interval=interval
        )

    def read_log(
        self, dag_id: str, run_id: str, task_id: str, try_number: int | None = None, map_index: int = -1
    ) -> str:
        """The log of one try (the last without a number), the triggerer's share included; a line for each message."""
        if try_number is None:
            key = Task(task_id, None, 0, map_index=map_index).key
            try_number = max(1, self.tasks(dag_id, run_id)[key].try_number)
        path = f"{run_path(dag_id, run_id)}/taskInstances/{task_id}/logs/{try_number}"
        if self.major == 2:
            return str(self.api("GET", path, accept="text/plain", full_content="true", map_index=map_index))
        content = self.api("GET", path, full_content="true", map_index=map_index)["content"]
        return "\n".join(_line(entry) for entry in content)

    def report(self, dag_id: str, run_id: str, *, lines: int = 60) -> str:
        """For a failed test's message: every task's state, and the ends of the logs of those that did not succeed."""
        tasks = self.tasks(dag_id, run_id)
        texts = [
            f"{self.state(dag_id, run_id)}: " + ", ".join(f"{t.key} {t.state} ({t.try_number})" for t in tasks.values())
        ]
        for task in tasks.values():
            if task.try_number and task.state not in {"success", None}:
                text = self.read_log(dag_id, run_id, task.task_id, map_index=task.map_index)
                texts.append(f"--- {task.key}\n" + "\n".join(text.splitlines()[-lines:]))
        return "\n".join(texts)

    def clear(
        self,
        dag_id: str,
        run_id: str,
        task_ids: Sequence[str] | None = None,
        *,
        only_failed: bool = False,
        downstream: bool = False,
    ) -> list[str]:
        """Clear task instances (all of the run without names) and set the run running; ids of what was cleared."""
        body: dict[str, Any] = {
            "dry_run": False,
            "dag_run_id": run_id,
            "only_failed": only_failed,
            "only_running": False,
            "reset_dag_runs": True,
            "include_downstream": downstream,
        }
        if task_ids is not None:
            body["task_ids"] = list(task_ids)
        answer = self.api("POST", f"/dags/{dag_id}/clearTaskInstances", body)
        return [task["task_id"] for task in answer["task_instances"]]

    def mark_task(self, dag_id: str, run_id: str, task_id: str, state: str) -> None:
        """Set a task instance's state, as a user does: success, failed, in 3.x also skipped."""
        body = {"new_state": state} if self.major == 3 else {"new_state": state, "dry_run": False}
        self.api("PATCH", f"{run_path(dag_id, run_id)}/taskInstances/{task_id}", body)

    def mark_run(self, dag_id: str, run_id: str, state: str) -> None:
        """Set a run's state, as a user does: success, failed or queued."""
        self.api("PATCH", run_path(dag_id, run_id), {"state": state})


OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclasses.dataclass(frozen=True)
class Workers:
    """Processes of a running task: one that watches, and its child that runs the operator."""

    supervisor: int
    runner: int


@dataclasses.dataclass(frozen=True)
class Process:
    """A process of this machine."""

    pid: int
    parent: int
    title: str


def list_session(leader: int) -> list[Process]:
    """The living processes of a session, oldest first; descendants stay in it when they make process groups."""
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            # The name in parentheses may hold anything; state, parent, group and session follow it.
            state, parent, _, group = (folder / "stat").read_text().rpartition(")")[2].split()[:4]
            title = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        except OSError:
            continue
        if int(group) == leader and state not in "ZX":
            found.append(Process(int(folder.name), int(parent), title))
    return sorted(found, key=lambda process: process.pid)


def end_sessions(leaders: set[int], home: Path) -> None:
    """Kill what is left of sessions, as far as it works in the home folder: a number may have come to another's process."""
    for leader in sorted(leaders):
        for found in list_session(leader):
            with contextlib.suppress(OSError):
                if Path(f"/proc/{found.pid}/cwd").resolve() == home:
                    os.kill(found.pid, signal.SIGKILL)


class Proxy:
    """A TCP proxy on loopback before the Kubernetes API server of a kubeconfig, which a test can take away.

    with Proxy(kubeconfig) as proxy:
        mine = proxy.write_kubeconfig(tmp_path / "kubeconfig")
        ...
        with proxy.paused():     # connections are cut, new ones refused
            time.sleep(20)
    """

    def __init__(self, kubeconfig: Path) -> None:
        """Not listening yet."""
        self._config: dict[str, Any] = yaml.safe_load(kubeconfig.read_text(encoding="utf-8"))
        address = urllib.parse.urlsplit(_cluster(self._config)["server"])
        self._target = (address.hostname or "", address.port or 443)
        self.port = find_free_port()
        self.connections = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    def __enter__(self) -> Self:
        self._thread.start()
        self.resume()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.pause()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def write_kubeconfig(self, path: Path) -> Path:
        """A copy of the kubeconfig that leads through the proxy; TLS is verified as before."""
        config = json.loads(json.dumps(self._config))
        cluster = _cluster(config)
        cluster["server"] = f"https://127.0.0.1:{self.port}"
        if self._target[0] not in {"127.0.0.1", "localhost"}:
            cluster.setdefault("tls-server-name", self._target[0])
        path.touch(mode=0o600)
        path.write_text(yaml.safe_dump(config), encoding="utf-8")
        return path

    def pause(self) -> None:
        """Cut every connection, and refuse new ones."""
        self._call(self._pause())

    def resume(self) -> None:
        """Listen, again on the same port."""
        self._call(self._resume())

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Away inside the block."""
        self.pause()
        try:
            yield
        finally:
            self.resume()

    def _call(self, action: Any) -> None:
        asyncio.run_coroutine_threadsafe(action, self._loop).result(10)

    async def _resume(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, reuse_address=True)

    async def _pause(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in list(self._open):
            writer.transport.abort()
        await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._open.add(writer)
        try:
            onward_reader, onward = await asyncio.open_connection(*self._target)
        except OSError:
            self._open.discard(writer)
            writer.transport.abort()
            return
        self._open.add(onward)
        await asyncio.gather(self._pump(reader, onward), self._pump(onward_reader, writer))

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        self._open.discard(writer)
        writer.close()


@dataclasses.dataclass(frozen=True, order=True)
class Call:
    """A kind of call the API server saw: (list, pods, 200), (get, pods/log, 403)."""

    verb: str
    resource: str
    code: int


class Audit:
    """Reads an audit log of Kubernetes (JSON lines): what was called since this was made, or since `mark`."""

    def __init__(self, path: Path, user: str = "airflow") -> None:
        """From the end of the file on."""
        self.path = path
        self.user = user
        self.offset = 0
        self.mark()

    def mark(self) -> int:
        """Begin anew here; the offset in the file."""
        self.offset = self.path.stat().st_size if self.path.exists() else 0
        return self.offset

    def entries(self, name: str = "") -> list[dict[str, Any]]:
        """The finished calls of the user since the mark, as the log has them; with a name, those on objects so begun."""
        if not self.path.exists():
            return []
        with self.path.open("rb") as file:
            file.seek(self.offset)
            lines = file.read().split(b"\n")[:-1]  # the last may be half written
        entries = (json.loads(line) for line in lines if line.strip())
        return [
            entry
            for entry in entries
            if entry.get("user", {}).get("username") == self.user
            and entry.get("stage") in {"ResponseComplete", "Panic"}
            and (entry.get("objectRef") or {}).get("name", "").startswith(name)
        ]

    def counts(self, name: str = "") -> dict[Call, int]:
        """How often each kind of call was made; with a name, on objects whose names begin so."""
        found: dict[Call, int] = {}
        for entry in self.entries(name):
            what = entry.get("objectRef") or {}
            resource = "/".join(filter(None, (what.get("resource", ""), what.get("subresource"))))
            call = Call(entry["verb"], resource or entry["requestURI"], entry.get("responseStatus", {}).get("code", 0))
            found[call] = found.get(call, 0) + 1
        return found

    def calls(self, name: str = "") -> set[Call]:
        """The kinds of calls; with a name, on objects whose names begin so."""
        return set(self.counts(name))


def wait_for(
    get: Callable[[], Value | None], seconds: float, what: str | Callable[[], str], *, interval: float = 0.25
) -> Value:
    """What `get` returns once that is not None; AirflowFailed with the text of `what` after some seconds."""
    end = time.monotonic() + seconds
    while (value := get()) is None:
        if time.monotonic() > end:
            raise AirflowError(f"after {seconds} s: {what if isinstance(what, str) else what()}")
        time.sleep(interval)
    return value


def find_free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def read_tail(path: Path, lines: int = 60) -> str:
    """The end of a text file."""
    if not path.exists():
        return ""
    return "\n".join(path.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])


def parse_time(text: str) -> datetime:
    """A time as Airflow writes it; Python 3.10 knows no Z."""
    return datetime.fromisoformat(re.sub("Z$", "+00:00", text))


def run_path(dag_id: str, run_id: str) -> str:
    """Where the REST API has a run."""
    return f"/dags/{dag_id}/dagRuns/{urllib.parse.quote(run_id, safe='')}"


def _line(entry: Any) -> str:
    """A message of the log as Airflow 3 tells it, with its exception."""
    if not isinstance(entry, dict):
        return str(entry)
    text = f"{entry.get('timestamp') or ''} {(entry.get('level') or '').upper()} {entry.get('event', '')}".strip()
    for error in entry.get("error_detail") or []:
        text += f"\n{error.get('exc_type')}: {error.get('exc_value')}"
    return text


def _cluster(config: dict[str, Any]) -> dict[str, Any]:
    """The cluster of a kubeconfig's current context."""
    context = next(entry["context"] for entry in config["contexts"] if entry["name"] == config["current-context"])
    found: dict[str, Any] = next(
        entry["cluster"] for entry in config["clusters"] if entry["name"] == context["cluster"]
    )
    return found


if __name__ == "__main__":
    # The guard of one Airflow: reads its sessions, and ends what is left of them when the pipe closes.
    end_sessions({int(line) for line in sys.stdin}, Path(sys.argv[1]))
