"""Load DAG files with Airflow's own code and report, as JSON, everything a test may want to know about them.

    python probe.py DAG_FILE... --out report.json [--home DIR] [--conf JSON|@FILE] [--jobs N] [--timeout S] [--brief]

Runs inside an Airflow environment (2.11 or 3.x) with the Kubernetes provider; needs no pytest, no Kedro, no database,
no cluster and no network. It judges nothing: what is right is for the tests that read the report to say.

How: the parent imports Airflow and the provider once, and probes a file of its own, so that what Airflow imports late is
there, too. It forks a child for each file, as Airflow's DAG processor does, so that a file that hangs, exits or breaks
the interpreter spoils no other file's entry, and a module that one file imports is new to the next. A child copies the
file alone into a fresh folder, reads the folder with a ``DagBag``, serialises, renders and builds pods, and leaves its
findings in a file.

The report (keys that begin with ``_`` in no case; absent means not applicable)::

    airflow, provider, python, hash_seed: str      seconds: float      preimport: {seconds, warnings}
    warm_up: an entry as of a file                 the probe's own file, in the parent
    files: {path as given: {
      import_errors: [str]                         what the DAG bag could not load
      warnings: [{category, message, where}]       raised while the file was executed (any category)
      bag_warnings, use_warnings: same             raised later: on checking the DAGs; on rendering and serialising them
      stability: str | null                        Airflow 3.3's static check of runtime-varying values, null is good
      output: str                                  what the file printed
      crash: str | null                            why there is nothing else: a time-out, a signal, a bug in this probe
      seconds, load_seconds: float                 all of it; the first load alone
      dags: {dag_id: {
        dag_id, schedule, timetable, timezone, start_date, end_date, catchup, max_active_runs, max_active_tasks,
        dagrun_timeout, tags, description, doc_md, dag_display_name, is_paused_upon_creation, default_args,
        on_failure_callback, on_success_callback, fields…
        params: {name: {value, schema, description}}
        groups: {group_id: {tooltip, label, parent, children, prefix}}    every task group below the root
        order: [task_id]                           as written
        sorts: {name: "ok" | error}                the sorts and graphs that Airflow's UI and API draw
        hashes: [str, str]                         Airflow's own hash of two loads from scratch; null when it fails
        serialize_error: str | null                the round trip through Airflow's serialisation
        tasks: {task_id: {
          task_id, operator, upstream: [str], downstream: [str], group: str | null,
          fields: {argument: value}                every constructor argument that is set (null is left out)
          pod: {…}                                 as ``build_pod_request_obj(None, dry_run=True)`` makes it
          rendered: {template field: value}        after Airflow's templates, in a manual run without a logical date
          rendered_pod: {…}                        the pod of that run: with Airflow's own labels
          guard: str | null                        what ``post_execute`` raises once the task was killed
          errors: {step: str}                      steps of the above that failed
        }}}}}}

Durations are seconds, dates ISO text, functions their qualified name, notifiers ``{"class": …, "fields": {…}}``.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import dataclasses
import datetime as dt
import enum
import functools
import gc
import inspect
import json
import os
import re
import shutil
import signal
import sys
import tempfile
import time
import traceback
import uuid
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

RUN_AFTER = dt.datetime(2026, 3, 4, 5, 6, 7, 89000, tzinfo=dt.timezone.utc)
RUN_ID = "manual__2026-03-04T05:06:07.089000+00:00"
TRY_NUMBER = 2

# What DAG files of ours import; Airflow's DAG processor has them loaded, too, when it executes a file.
PREIMPORT = (
    "airflow.providers.common.compat.sdk",
    "airflow.providers.cncf.kubernetes.operators.pod",
    "airflow.providers.cncf.kubernetes.secret",
    "kubernetes.client.models",
)
PREIMPORT_IF_THERE = (
    "airflow.providers.slack.notifications.slack_webhook",
    "airflow.providers.smtp.notifications.smtp",
)

# Airflow's settings for the probe. Anything already in the environment wins.
SETTINGS = {
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
    "AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT": "0",  # ours is the child's
    "AIRFLOW__CORE__DAGBAG_IMPORT_ERROR_TRACEBACK_DEPTH": "12",
    "AIRFLOW__CORE__EXECUTOR": "LocalExecutor,KubernetesExecutor",
    "AIRFLOW__LOGGING__LOGGING_LEVEL": "CRITICAL",
    "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
    "AIRFLOW__SCHEDULER__USAGE_DATA_COLLECTION_ENABLED": "False",
    "AIRFLOW__LINEAGE__DISABLED": "True",
    "AIRFLOW__TRACES__OTEL_ON": "False",
}


def main(argv: list[str] | None = None) -> int:
    """Probe the files and write the report; 0 unless the probe itself could not run."""
    args = _arguments(argv)
    started = time.monotonic()
    with contextlib.ExitStack() as stack:
        home = args.home or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="airflow-probe-")))
        home = home.resolve()
        prepare_home(home)
        report = preimport()
        options = Options(home=home, conf=_read_conf(args.conf), brief=args.brief, timeout=args.timeout)
        report["warm_up"] = warm_up(options)
        report["files"] = probe_files([str(path) for path in args.files], options, args.jobs)
    report["seconds"] = round(time.monotonic() - started, 3)
    args.out.write_text(json.dumps(report, indent=1, sort_keys=True) + "\n", encoding="ascii")
    return 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """What the children need to know. ``timeout`` is in seconds, for one file."""

    home: Path
    conf: dict[str, Any]
    brief: bool
    timeout: float


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Load DAG files with Airflow's own code and report as JSON.")
    parser.add_argument("files", nargs="+", type=Path, metavar="DAG_FILE")
    parser.add_argument("--out", required=True, type=Path, help="where the JSON report goes")
    parser.add_argument(
        "--home", type=Path, help="AIRFLOW_HOME (a temporary folder); a fixed one makes hashes comparable between runs"
    )
    parser.add_argument("--conf", default="{}", help="the run's conf, as from the trigger form: JSON, or @FILE")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="files at a time")
    parser.add_argument("--timeout", type=float, default=180.0, help="seconds for one file")
    parser.add_argument("--brief", action="store_true", help="no pods, no rendering: for very large DAGs")
    return parser.parse_args(argv)


def _read_conf(text: str) -> dict[str, Any]:
    raw = Path(text[1:]).read_text(encoding="utf-8") if text.startswith("@") else text
    conf = json.loads(raw)
    if not isinstance(conf, dict):
        raise SystemExit(f"--conf must be a JSON object, not {raw!r}")
    return conf


# --- the environment -------------------------------------------------------------------------------------------------


def prepare_home(home: Path) -> None:
    """Point Airflow at ``home``. Must come before Airflow is imported."""
    if "airflow" in sys.modules:
        raise RuntimeError("airflow was imported before AIRFLOW_HOME was set")
    home.mkdir(parents=True, exist_ok=True)
    for name in ("dags", "findings"):
        shutil.rmtree(home / name, ignore_errors=True)
        (home / name).mkdir()
    os.environ["AIRFLOW_HOME"] = str(home)
    os.environ["AIRFLOW__CORE__DAGS_FOLDER"] = str(home / "dags")
    # Never opened: DAG bag, serialisation and rendering as used here make no query.
    os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] = f"sqlite:////{home}/airflow.db"
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)


def preimport() -> dict[str, Any]:
    """Import what the children share; the head of the report."""
    started = time.monotonic()
    with record_warnings() as caught:
        airflow = __import__("airflow")
        for module in PREIMPORT:
            __import__(module)
        for module in PREIMPORT_IF_THERE:
            with contextlib.suppress(ImportError):
                __import__(module)
        _sdk()
        from airflow.providers.cncf.kubernetes import __version__ as provider
    return {
        "airflow": airflow.__version__,
        "provider": provider,
        "python": sys.version.split()[0],
        "hash_seed": os.environ.get("PYTHONHASHSEED", "random"),
        "preimport": {
            "seconds": round(time.monotonic() - started, 3),
            "warnings": [describe_warning(w) for w in caught],
        },
    }


WARM_UP_FILE = """\
from datetime import datetime, timezone

from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from airflow.providers.common.compat.sdk import DAG

with DAG("warm_up", schedule="@daily", start_date=datetime(2025, 1, 1, tzinfo=timezone.utc)):
    KubernetesPodOperator(task_id="a", name="a", image="a", arguments=["{{ run_id }}"])
"""


def warm_up(options: Options) -> dict[str, Any]:
    """Probe a small DAG in this process; return its findings. Each child would import the same modules otherwise."""
    path = options.home / "warm_up.py"
    path.write_text(WARM_UP_FILE, encoding="ascii")
    findings = probe_file(path, options.home / "dags" / "warm_up", options)
    gc.collect()
    gc.freeze()  # no child goes through all of Airflow when it collects garbage
    return findings


@functools.cache
def _major() -> int:
    import airflow

    return int(airflow.__version__.split(".")[0])


@functools.cache
def _sdk() -> dict[str, Any]:
    """Return the parts of Airflow that live in different places in 2 and 3 (imported once, in the parent)."""
    if _major() >= 3:
        from airflow.dag_processing.dagbag import DagBag
        from airflow.models.serialized_dag import SerializedDagModel
        from airflow.sdk import BaseOperator
        from airflow.sdk.api.datamodels._generated import DagRun, TIRunContext
        from airflow.sdk.definitions.taskgroup import TaskGroup
        from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance
        from airflow.serialization import serialized_objects

        return {
            "DagBag": DagBag,
            "BaseOperator": BaseOperator,
            "DagRun": DagRun,
            "TIRunContext": TIRunContext,
            "TaskInstance": RuntimeTaskInstance,
            "TaskGroup": TaskGroup,
            "Serialization": getattr(serialized_objects, "DagSerialization", serialized_objects.SerializedDAG),
            "SerializedDagModel": SerializedDagModel,
        }
    from airflow.models.baseoperator import BaseOperator
    from airflow.models.dagbag import DagBag
    from airflow.models.dagrun import DagRun
    from airflow.models.serialized_dag import SerializedDagModel
    from airflow.models.taskinstance import TaskInstance
    from airflow.serialization.serialized_objects import SerializedDAG
    from airflow.utils.task_group import TaskGroup

    return {
        "DagBag": DagBag,
        "BaseOperator": BaseOperator,
        "DagRun": DagRun,
        "TaskInstance": TaskInstance,
        "TaskGroup": TaskGroup,
        "Serialization": SerializedDAG,
        "SerializedDagModel": SerializedDagModel,
    }


# --- one child for each file -----------------------------------------------------------------------------------------


def probe_files(paths: list[str], options: Options, jobs: int) -> dict[str, Any]:
    """Probe every file in a child of its own, ``jobs`` at a time; one entry for each path, whatever happens."""
    waiting = list(enumerate(paths))
    running: dict[int, tuple[int, str, float]] = {}
    found: dict[str, Any] = {}
    while waiting or running:
        while waiting and len(running) < max(jobs, 1):
            index, path = waiting.pop(0)
            running[_start(index, path, options)] = (index, path, time.monotonic())
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid in running:
            index, path, started = running.pop(pid)
            found[path] = _collect(index, options, status)
            found[path]["seconds"] = round(time.monotonic() - started, 3)
            continue
        for pid, (index, path, started) in list(running.items()):
            if time.monotonic() - started > options.timeout:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                del running[pid]
                found[path] = {"crash": f"not done after {options.timeout:g} s", "seconds": options.timeout}
                found[path]["output"] = _output(index, options)
        time.sleep(0.003)
    return {path: found[path] for path in paths}


def _start(index: int, path: str, options: Options) -> int:
    pid = os.fork()
    if pid:
        return pid
    code = 70
    try:
        with (options.home / "findings" / f"{index}.out").open("wb") as sink:
            os.dup2(sink.fileno(), 1)
            os.dup2(sink.fileno(), 2)
        try:
            findings = probe_file(Path(path), options.home / "dags" / str(index), options)
        except BaseException:  # noqa: BLE001 - a child must always leave word
            findings = {"crash": traceback.format_exc()}
        (options.home / "findings" / f"{index}.json").write_text(to_json(findings), encoding="utf-8")
        sys.stdout.flush()
        sys.stderr.flush()
        code = 0
    finally:
        os._exit(code)


def to_json(findings: dict[str, Any]) -> str:
    """Return the JSON, with lone surrogates as the text ``\\ud83d``.

    Rendering can make them and no API takes them; a JSON reader would join two of them to the character they stand for.
    """
    text = json.dumps(findings, ensure_ascii=False)
    return re.sub("[\ud800-\udfff]", lambda match: f"\\\\u{ord(match[0]):04x}", text)


def _collect(index: int, options: Options, status: int) -> dict[str, Any]:
    path = options.home / "findings" / f"{index}.json"
    if path.exists():
        findings: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    else:
        code = os.waitstatus_to_exitcode(status)
        findings = {"crash": f"the process ended with signal {-code}" if code < 0 else f"exit code {code}"}
    findings.setdefault("crash", None)
    findings["output"] = _output(index, options)
    return findings


def _output(index: int, options: Options) -> str:
    return (options.home / "findings" / f"{index}.out").read_bytes().decode("utf-8", "replace")[-8000:]


def probe_file(path: Path, folder: Path, options: Options) -> dict[str, Any]:
    """Everything about one file. ``folder`` is made, and holds nothing but a copy of the file."""
    folder.mkdir(parents=True)
    copied = folder / path.name
    shutil.copyfile(path, copied)
    bag, seconds, caught, later = load_dags(folder)
    findings: dict[str, Any] = {
        "import_errors": [f"{name}: {text}" for name, text in bag.import_errors.items()],
        "warnings": caught,
        "bag_warnings": later,
        "load_seconds": round(seconds, 3),
        "stability": stability(copied),
        "dags": {},
    }
    again, *_ = load_dags(folder)
    with record_warnings() as used:
        for dag_id, dag in sorted(bag.dags.items()):
            findings["dags"][dag_id] = describe_dag(dag, again.dags.get(dag_id), options)
    findings["use_warnings"] = [describe_warning(w) for w in used]
    return findings


# --- loading ---------------------------------------------------------------------------------------------------------

_CAPTURED = re.compile(r"(?P<where>.*?:\d+): (?P<category>[\w.]+): (?P<message>.*)", re.DOTALL)


def load_dags(folder: Path) -> tuple[Any, float, list[dict[str, str]], list[dict[str, str]]]:
    """Read ``folder`` into a new DAG bag: the bag, seconds, warnings of executing files, warnings of checking DAGs."""
    extra = {"bundle_path": folder} if _major() >= 3 else {"include_examples": False}
    with record_warnings() as caught:
        started = time.monotonic()
        bag = _sdk()["DagBag"](dag_folder=str(folder), **extra)
        seconds = time.monotonic() - started
    executing = []
    for text in (line for lines in bag.captured_warnings.values() for line in lines):
        match = _CAPTURED.match(text)
        executing.append(match.groupdict() if match else {"where": "", "category": "", "message": text})
    # The DAG bag raises them once more when a file is done, on Airflow 3 as UserWarnings.
    seen = {(warning["where"], warning["message"]) for warning in executing}
    checking = [described for w in caught if (described := describe_warning(w)) and _key(described) not in seen]
    for warning in executing + checking:
        warning["where"] = warning["where"].replace(f"{folder}/", "")
    return bag, seconds, executing, checking


def _key(warning: dict[str, str]) -> tuple[str, str]:
    return warning["where"], warning["message"]


@contextlib.contextmanager
def record_warnings() -> Iterator[list[warnings.WarningMessage]]:
    """Record every warning, also those that Python or Airflow would hide."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield caught


def describe_warning(warning: warnings.WarningMessage) -> dict[str, str]:
    """Return the report's form of a warning."""
    category = warning.category
    name = category.__name__ if category.__module__ == "builtins" else f"{category.__module__}.{category.__name__}"
    return {"category": name, "message": str(warning.message), "where": f"{warning.filename}:{warning.lineno}"}


def stability(path: Path) -> str | None:
    """Airflow's static check that a file yields the same DAG at every parse (3.2 and later); ``None`` is good."""
    try:
        from airflow.utils.dag_version_inflation_checker import check_dag_file_stability
    except ImportError:
        return None
    text: str | None = run_step(lambda: check_dag_file_stability(str(path)).format_warnings())
    return text


def run_step(step: Callable[[], Any]) -> Any:
    """The step's result, or the text of its error."""
    try:
        return step()
    except Exception as error:  # noqa: BLE001 - reported, for the caller to judge
        return f"{type(error).__name__}: {error}"


def describe_outcome(step: Callable[[], Any]) -> str:
    """``"ok"``, or the text of the error."""
    try:
        step()
    except Exception as error:  # noqa: BLE001 - reported, for the caller to judge
        return f"{type(error).__name__}: {error}"
    return "ok"


# --- DAGs ------------------------------------------------------------------------------------------------------------

DAG_FIELDS = (
    "dag_id",
    "start_date",
    "end_date",
    "catchup",
    "max_active_runs",
    "max_active_tasks",
    "max_consecutive_failed_dag_runs",
    "dagrun_timeout",
    "description",
    "doc_md",
    "dag_display_name",
    "is_paused_upon_creation",
    "default_args",
    "on_failure_callback",
    "on_success_callback",
    "owner",
    "owner_links",
    "render_template_as_native_obj",
    "template_searchpath",
    "user_defined_macros",
    "user_defined_filters",
)


def describe_dag(dag: Any, again: Any, options: Options) -> dict[str, Any]:
    """Everything about one DAG; ``again`` is the same DAG, loaded a second time."""
    serialized, error = _round_trip(dag)
    described: dict[str, Any] = {name: to_plain_data(getattr(dag, name, None)) for name in DAG_FIELDS}
    described |= {
        "schedule": repr(dag.schedule if hasattr(dag, "schedule") else dag.schedule_interval),
        "timezone": str(getattr(dag.timezone, "key", None) or getattr(dag.timezone, "name", dag.timezone)),
        "tags": sorted(dag.tags),
        "params": {name: describe_param(dag.params.get_param(name)) for name in dag.params},
        "groups": describe_groups(dag.task_group),
        "order": [task.task_id for task in dag.tasks],
        "serialize_error": error,
        "hashes": [run_step(functools.partial(dag_hash, loaded)) if loaded else None for loaded in (dag, again)],
        "sorts": check_sorting(dag, serialized),
    }
    timetable = getattr(serialized, "timetable", None)
    described["timetable"] = timetable and {
        "class": type(timetable).__name__,
        "summary": str(timetable.summary),
        "timezone": str(getattr(timetable, "_timezone", "")),
    }
    described["tasks"] = {task.task_id: describe_task(task, options) for task in dag.tasks}
    return described


def _round_trip(dag: Any) -> tuple[Any, str | None]:
    serialization = _sdk()["Serialization"]
    try:
        return serialization.from_dict(json.loads(json.dumps(serialization.to_dict(dag)))), None
    except Exception as error:  # noqa: BLE001 - reported
        return None, f"{type(error).__name__}: {error}"


def dag_hash(dag: Any) -> str:
    """The hash by which Airflow tells whether a DAG changed (on 2.11 it covers the file's path, too)."""
    if _major() >= 3:
        from airflow.serialization.serialized_objects import LazyDeserializedDAG

        if hasattr(LazyDeserializedDAG, "from_dag"):
            return str(LazyDeserializedDAG.from_dag(dag).hash)
        return str(_sdk()["SerializedDagModel"].hash(_sdk()["Serialization"].to_dict(dag)))
    return str(_sdk()["SerializedDagModel"](dag).dag_hash)


def describe_param(param: Any) -> dict[str, Any]:
    """The value, schema and description of a ``Param``."""
    return {
        "value": to_plain_data(run_step(param.resolve)),
        "schema": to_plain_data(param.schema),
        "description": getattr(param, "description", None),
    }


def describe_groups(root: Any) -> dict[str, Any]:
    """Every task group below ``root``, by id. ``parent`` is ``None`` for those right below the root."""
    return {
        group.group_id: {
            "tooltip": group.tooltip,
            "label": group.label,
            "parent": parent.group_id,
            "prefix": group.prefix_group_id,
            "children": [child.node_id for child in group.children.values()],
        }
        for group, parent in _walk(root)
        if parent is not None
    }


def _walk(root: Any, parent: Any = None) -> Iterator[tuple[Any, Any]]:
    yield root, parent
    for child in root.children.values():
        if hasattr(child, "children"):
            yield from _walk(child, root)


def check_sorting(dag: Any, serialized: Any) -> dict[str, str]:
    """Whether what Airflow's UI and API do with a DAG's graph works: on the DAG as loaded, and as read back.

    2.11's grid calls one of the two sorts on every group (``www.views.dag_to_grid``, [webserver]
    grid_view_sorting_order); 3.x's grid, graph and structure routes do, on the DAG read back
    (``core_api.services.ui.task_group``).
    """
    found: dict[str, str] = {"check_cycle": describe_outcome(lambda: _check_cycle(dag))}
    for label, root in (("loaded", dag.task_group), ("serialized", getattr(serialized, "task_group", None))):
        if root is None:
            continue
        for name in ("topological_sort", "hierarchical_alphabetical_sort"):
            found[f"{label}.{name}"] = describe_outcome(functools.partial(_sort_all, root, name))
    if serialized is not None:
        found["edges"] = describe_outcome(lambda: _edges(serialized))
        found["graph"] = describe_outcome(lambda: _graph(serialized))
        if _major() >= 3:
            found["grid"] = describe_outcome(lambda: _grid(serialized))
    return found


def _sort_all(root: Any, name: str) -> None:
    for group, _ in _walk(root):
        getattr(group, name)()


def _check_cycle(dag: Any) -> None:
    if hasattr(dag, "check_cycle"):
        dag.check_cycle()
    else:
        from airflow.utils.dag_cycle_tester import check_cycle

        check_cycle(dag)


def _edges(serialized: Any) -> None:
    from airflow.utils.dag_edges import dag_edges

    dag_edges(serialized)


def _graph(serialized: Any) -> None:
    if _major() >= 3:
        from airflow.api_fastapi.core_api.services.ui.task_group import task_group_to_dict
    else:
        from airflow.utils.task_group import task_group_to_dict
    task_group_to_dict(serialized.task_group)


def _grid(serialized: Any) -> None:
    from airflow.api_fastapi.core_api.services.ui.task_group import task_group_to_dict_grid

    task_group_to_dict_grid(serialized.task_group)


# --- tasks -----------------------------------------------------------------------------------------------------------


def describe_task(task: Any, options: Options) -> dict[str, Any]:
    """Everything about one task."""
    group = getattr(task, "task_group", None)
    described: dict[str, Any] = {
        "task_id": task.task_id,
        "operator": type(task).__name__,
        "upstream": sorted(task.upstream_task_ids),
        "downstream": sorted(task.downstream_task_ids),
        "group": group.group_id if group is not None else None,
        "fields": describe_fields(task),
        "errors": {},
    }
    if options.brief:
        return described
    errors = described["errors"]

    def step(name: str, make: Callable[[], Any]) -> Any:
        try:
            return make()
        except Exception as error:  # noqa: BLE001 - reported
            errors[name] = f"{type(error).__name__}: {error}"
            return None

    builds_pods = hasattr(task, "build_pod_request_obj")
    if builds_pods:
        described["pod"] = step("pod", lambda: render_pod(copy_task(task), None))
    other = copy_task(task)
    context = step("context", lambda: run_context(other, options.conf))
    if context is None:
        return described
    if step("render", lambda: _render(other, context)):
        described["rendered"] = {name: to_plain_data(getattr(other, name, None)) for name in other.template_fields}
        if builds_pods:
            described["rendered_pod"] = step("rendered_pod", lambda: render_pod(other, context))
    if task._post_execute_hook is not None:
        other._killed = True
        ended = describe_outcome(lambda: task._post_execute_hook(context, None))
        described["guard"] = None if ended == "ok" else ended
        other._killed = False
        alive = describe_outcome(lambda: task._post_execute_hook(context, None))
        if alive != "ok":
            errors["guard"] = alive
    return described


def copy_task(task: Any) -> Any:
    """Copy a task as Airflow does before it runs, with templated values of its own: rendering writes into them."""
    other = task.prepare_for_execution()
    for name in other.template_fields:
        if hasattr(other, name):
            setattr(other, name, copy.deepcopy(getattr(other, name)))
    return other


def _render(task: Any, context: Any) -> bool:
    task.render_template_fields(context, task.dag.get_template_env())
    return True


def render_pod(task: Any, context: Any) -> Any:
    """The pod as the API server would get it."""
    from kubernetes.client import ApiClient

    return ApiClient().sanitize_for_serialization(task.build_pod_request_obj(context, dry_run=True))


def run_context(task: Any, conf: dict[str, Any]) -> Any:
    """A context as of a manual run without a logical date, at the second try. Real Airflow objects, no database."""
    if _major() >= 3:
        return _context_3(task, conf)
    return _context_2(task, conf)


def _context_3(task: Any, conf: dict[str, Any]) -> Any:
    sdk = _sdk()
    run = {
        "dag_id": task.dag_id,
        "run_id": RUN_ID,
        "logical_date": None,
        "data_interval_start": None,
        "data_interval_end": None,
        "run_after": RUN_AFTER,
        "start_date": RUN_AFTER,
        "end_date": None,
        "run_type": "manual",
        "state": "running",
        "conf": conf,
        "consumed_asset_events": [],
        "partition_key": None,
    }
    known = sdk["DagRun"].model_fields
    server = sdk["TIRunContext"](
        dag_run=sdk["DagRun"](**{name: value for name, value in run.items() if name in known}), max_tries=TRY_NUMBER
    )
    instance = sdk["TaskInstance"].model_construct(
        id=uuid.UUID(int=1),
        task_id=task.task_id,
        dag_id=task.dag_id,
        run_id=RUN_ID,
        try_number=TRY_NUMBER,
        map_index=-1,
        hostname="probe",
        task=task,
        bundle_instance=None,
        max_tries=TRY_NUMBER,
        start_date=RUN_AFTER,
        _ti_context_from_server=server,
    )
    return instance.get_template_context()


def _context_2(task: Any, conf: dict[str, Any]) -> Any:
    from airflow import macros
    from airflow.models.param import process_params
    from airflow.utils.context import Context

    sdk = _sdk()
    # 2.11 has no run without a logical date; its keys are left out below, so that a template cannot lean on them.
    run = sdk["DagRun"](
        dag_id=task.dag_id,
        run_id=RUN_ID,
        execution_date=RUN_AFTER,
        start_date=RUN_AFTER,
        external_trigger=True,
        conf=conf,
        run_type="manual",
        data_interval=(RUN_AFTER, RUN_AFTER),
    )
    instance = sdk["TaskInstance"](task, run_id=RUN_ID)
    instance.dag_run = run
    instance.try_number = TRY_NUMBER
    return Context(
        {
            "dag": task.dag,
            "dag_run": run,
            "macros": macros,
            "params": process_params(task.dag, task, run, suppress_exception=False),
            "run_id": RUN_ID,
            "task": task,
            "task_instance": instance,
            "ti": instance,
        }
    )


def describe_fields(task: Any) -> dict[str, Any]:
    """Every constructor argument of the task's class and of ``BaseOperator`` that is set on the task."""
    found = {}
    cls: Any = type(task)
    for name in sorted(argument_names(cls)):
        value = getattr(task, name, None)
        if name in ("pre_execute", "post_execute"):  # as attributes, those are the methods that call the hooks
            value = getattr(task, f"_{name}_hook", None)
        if value is not None and name not in ("dag", "task_group"):
            found[name] = to_plain_data(value)
    return found


@functools.cache
def argument_names(cls: Any) -> set[str]:
    """The names of a class's constructor arguments, with those of its ancestors."""
    names: set[str] = set()
    for ancestor in cls.__mro__:
        init = ancestor.__dict__.get("__init__")
        if init is not None and ancestor is not object:
            kinds = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
            parameters = inspect.signature(init).parameters.values()
            names |= {parameter.name for parameter in parameters if parameter.kind in kinds}
    return {name for name in names - {"self"} if not name.startswith("_")}


def to_plain_data(value: Any) -> Any:
    """A value as JSON can hold it: the same for equal values, without addresses."""
    match value:
        case enum.Enum():
            found = value.value
        case None | str() | bool() | int() | float():
            found = value
        case dt.timedelta():
            found = value.total_seconds()
        case dt.date():
            found = value.isoformat()
        case Mapping():
            found = {str(key): to_plain_data(item) for key, item in value.items()}
        case list() | tuple():
            found = [to_plain_data(item) for item in value]
        case set() | frozenset():
            found = sorted((to_plain_data(item) for item in value), key=repr)
        case _:
            found = _object_to_plain_data(value)
    return found


def _object_to_plain_data(value: Any) -> Any:
    cls = type(value)
    if hasattr(value, "openapi_types") and hasattr(value, "attribute_map"):
        from kubernetes.client import ApiClient

        return ApiClient().sanitize_for_serialization(value)
    if inspect.isroutine(value) or inspect.isclass(value):
        return value.__qualname__
    if hasattr(value, "notify"):
        public = {name: to_plain_data(item) for name, item in vars(value).items() if not name.startswith("_")}
        return {"class": f"{cls.__module__}.{cls.__qualname__}", "fields": public}
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value))


if __name__ == "__main__":
    sys.exit(main())
