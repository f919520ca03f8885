"""What Airflow's DAG processor does with DAG files, with the CPU milliseconds of each step as JSON lines on stdout.

    AIRFLOW_HOME=... python dag_processor.py TURNS DAG_FILE...

As in the DAG processor, a long-lived parent has Airflow and the `airflow.*` modules that the files import at their top, and
forks a child for each parse. The child reads the file alone with a `DagBag`, after Airflow 3.3's static check of it, and
serialises its DAG. The files take turns, a turn that does not count first. Bytecode of DAG files is not written: DAG folders
are usually read-only to Airflow.

A line: `{"file", "turn", "tasks", "import", "serialize", "private"}`, `private` in MiB; a last one for each file holds what
its tasks say when they are serialised: `{"file", "serialized"}`.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

sys.dont_write_bytecode = True

import airflow  # noqa: E402
from airflow.utils.file import iter_airflow_imports  # noqa: E402

if airflow.__version__.startswith("2."):
    from airflow.models.dagbag import DagBag
    from airflow.serialization.serialized_objects import SerializedDAG as Serialization
else:
    from airflow.dag_processing.dagbag import DagBag
    from airflow.serialization import serialized_objects

    Serialization = getattr(serialized_objects, "DagSerialization", None) or serialized_objects.SerializedDAG
try:
    from airflow.utils.dag_version_inflation_checker import check_dag_file_stability as static_check
except ImportError:  # before Airflow 3.3

    def static_check(file: str) -> None:
        """There was none."""


def parse_file(file: Path) -> dict[str, Any]:
    """What a child does with a file, and its cost."""
    before = private_memory()
    started = time.process_time()
    static_check(str(file))
    bag = DagBag(dag_folder=str(file))
    imported = time.process_time()
    if bag.import_errors or len(bag.dags) != 1:
        raise RuntimeError(f"{file}: {bag.import_errors or list(bag.dags)}")
    (dag,) = bag.dags.values()
    dumped = Serialization.to_dict(dag)
    ended = time.process_time()
    return {
        "file": str(file),
        "tasks": len(dag.task_dict),
        "import": 1000 * (imported - started),
        "serialize": 1000 * (ended - imported),
        "private": private_memory() - before,
        "serialized": dumped["dag"]["tasks"],
    }


def private_memory() -> float:
    """Memory of this process that no other shares, in MiB; 0 where the system does not say."""
    try:
        lines = Path("/proc/self/smaps_rollup").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_Dirty")) / 1024


def parse_in_child(file: Path) -> dict[str, Any]:
    """The same, in a forked child."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        code = 1
        try:
            os.close(reading)
            with os.fdopen(writing, "w", encoding="utf-8") as pipe:
                json.dump(parse_file(file), pipe, default=str)
            code = 0
        finally:
            if code:
                sys.excepthook(*sys.exc_info())
            os._exit(code)
    os.close(writing)
    with os.fdopen(reading, encoding="utf-8") as pipe:
        output = pipe.read()
    if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]):
        sys.exit(f"{file} could not be parsed")
    found: dict[str, Any] = json.loads(output)
    return found


def main(turns: int, files: list[Path]) -> None:
    """Parse every file once a turn."""
    for file in files:
        for module in iter_airflow_imports(str(file)):
            importlib.import_module(module)
    gc.collect()
    gc.freeze()
    serialized = {}
    for turn in range(turns + 1):
        for file in files:
            found = parse_in_child(file)
            serialized[file] = found.pop("serialized")
            if turn:
                sys.stdout.write(json.dumps({**found, "turn": turn}) + "\n")
    for file, tasks in serialized.items():
        sys.stdout.write(json.dumps({"file": str(file), "serialized": tasks}) + "\n")


if __name__ == "__main__":
    main(int(sys.argv[1]), list(map(Path, sys.argv[2:])))
