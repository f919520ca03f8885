"""What Airflow pays for an emitted DAG file, against the same DAG written by hand.

Of each size three files are parsed in turns by what stands in for Airflow's DAG processor (`programs/dag_processor.py`):

- emitted: what `create` writes;
- by hand: the same constants, and a loop that makes a KubernetesPodOperator of each row of a table. It is checked that both
  files serialise to the same tasks;
- bare: the same loop with BaseOperators that have nothing but an id and edges, the least a DAG of that size can cost.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import measure
import projects
import report

if TYPE_CHECKING:
    from collections.abc import Sequence

_PROCESSOR = Path(__file__).resolve().parent / "programs" / "dag_processor.py"
# Airflow's own settings for a parse: no examples, no chatter, no database.
_AIRFLOW = {
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT": "0",
    "AIRFLOW__LOGGING__LOGGING_LEVEL": "CRITICAL",
    "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
}
_FACTORY = "def kedro_task("
AIM = 1.15

_BY_HAND = """\
TASKS = [
{rows}
]

{dag}:
    tasks = {{}}
    for name, after, own in TASKS:
        tasks[name] = {operator}(
            task_id=name,
            arguments=[*ARGUMENTS, f"--node={{name}}"],
            labels={{**LABELS, "kedro-k8s-airflow/task": name}},
            annotations={{"kedro-k8s-airflow/nodes": name}},
            **{{**SETTINGS, **own}},
        )
        [tasks[other] for other in after] >> tasks[name]
"""

_BARE = """\
from datetime import datetime, timedelta, timezone

from airflow.providers.common.compat.sdk import DAG, BaseOperator

TASKS = [
{rows}
]

{dag}:
    tasks = {{}}
    for name, after in TASKS:
        tasks[name] = BaseOperator(task_id=name)
        [tasks[other] for other in after] >> tasks[name]
"""


class Parse(NamedTuple):
    """Costs of one parse in milliseconds of CPU, and the memory it took in MiB."""

    importing: float
    serializing: float
    private: float

    @property
    def total(self) -> float:
        """Importing and serialising."""
        return self.importing + self.serializing


def emitted(python: Path, folder: Path, nodes: int) -> str:
    """The DAG file that `create` writes for a project of `nodes` nodes."""
    project = projects.make(folder / f"project-{nodes}", projects.Shape(nodes))
    measure.run([python, "-m", "kedro", "k8s-airflow", "create", "--quiet"], project)
    return (project / "dags" / f"{projects.PACKAGE}.py").read_text(encoding="utf-8")


def by_hand(text: str) -> tuple[str, str]:
    """The DAG of an emitted file as a loop over a table: of KubernetesPodOperators, and of bare operators.

    What the tasks share is taken over as it stands; only how tasks are made differs.
    """
    tree = ast.parse(text)
    block = tree.body[-1]
    assert isinstance(block, ast.With), "the last statement of an emitted file is the DAG"
    header = "with " + ", ".join(map(ast.unparse, block.items))
    rows, edges = [], []
    for statement in block.body:
        assert isinstance(statement, ast.Expr), "a DAG holds nothing but calls of the factory"
        call = statement.value
        assert isinstance(call, ast.Call), "a DAG holds nothing but calls of the factory"
        name, after, own = _task(call)
        rows.append(f"    ({name}, {after}, {own}),")
        edges.append(f"    ({name}, {after}),")
    head = text[: text.index(_FACTORY)]
    return head + _BY_HAND.format(rows="\n".join(rows), dag=header, operator=_operator(tree)), _BARE.format(
        rows="\n".join(edges), dag=header
    )


def _operator(tree: ast.Module) -> str:
    """Name of the class that the factory makes tasks of."""
    factory = next(found for found in tree.body if isinstance(found, ast.FunctionDef) and found.name == "kedro_task")
    made = next(found.value for found in factory.body if isinstance(found, ast.Assign))
    assert isinstance(made, ast.Call), "the factory begins with making the task"
    return ast.unparse(made.func)


def _task(call: ast.Call) -> tuple[str, str, str]:
    """Source of a task's id, of what it comes after, and of its own arguments, from the call that makes it."""
    after, own = "()", []
    for keyword in call.keywords:
        if keyword.arg == "after":
            after = ast.unparse(keyword.value)
        elif keyword.arg is None:
            own.append(f"**{ast.unparse(keyword.value)}")
        elif keyword.arg != "nodes":
            own.append(f"{keyword.arg!r}: {ast.unparse(keyword.value)}")
    return ast.unparse(call.args[0]), after, "{" + ", ".join(own) + "}"


def parses(airflow: Path, files: Sequence[Path], turns: int, home: Path) -> dict[Path, list[Parse]]:
    """Costs of parsing each file, turn by turn.

    Raises:
        SystemExit: when a file cannot be parsed, or the first two files are not the same DAG to Airflow.
    """
    done = subprocess.run(
        [airflow, "-W", "ignore", _PROCESSOR, str(turns), *files],
        env=measure.environment(AIRFLOW_HOME=str(home), **_AIRFLOW),
        cwd=home,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"{airflow} {_PROCESSOR} ended with {done.returncode}:\n{done.stdout[-2000:]}")
    costs: dict[Path, list[Parse]] = {file: [] for file in files}
    tasks: dict[Path, Any] = {}
    for line in done.stdout.splitlines():
        if line.startswith('{"file"'):
            told = json.loads(line)
            file = Path(told["file"])
            if "serialized" in told:
                tasks[file] = told["serialized"]
            else:
                costs[file].append(Parse(told["import"], told["serialize"], told["private"]))
    _same(tasks[files[0]], tasks[files[1]], files[1])
    return costs


def _same(ours: Any, theirs: Any, file: Path) -> None:
    """Refuse to compare DAGs that differ in more than the names of their source files."""
    for one, other in zip(ours, theirs, strict=True):
        said, wanted = (
            json.dumps(task, sort_keys=True).replace(place, "")
            for task, place in ((one, "emitted"), (other, "by_hand"))
        )
        if said != wanted:
            sys.exit(f"{file} is not the emitted DAG:\n{said}\n{wanted}")


def section(airflow: Path, texts: dict[int, str], turns: int, folder: Path) -> report.Section:
    """Measure in one Airflow environment."""
    versions = measure.versions(airflow, "apache-airflow", "apache-airflow-providers-cncf-kubernetes")
    major = versions.partition("apache-airflow ")[2].partition(".")[0]
    home = folder / f"home-{major}"
    home.mkdir()
    rows, aims = [], []
    for nodes, text in texts.items():
        print(f"parse: Airflow {major}, {nodes:,} tasks, {turns} turns", file=sys.stderr, flush=True)
        files = [folder / f"{nodes}" / f"{name}.py" for name in ("emitted", "by_hand", "bare")]
        files[0].parent.mkdir(exist_ok=True)
        for file, content in zip(files, (text, *by_hand(text)), strict=True):
            file.write_text(content, encoding="utf-8")
        costs = parses(airflow, files, turns, home)
        ours = costs[files[0]]
        for file, label in zip(files, ("emitted", "by hand", "bare operators"), strict=True):
            rows.append(_row(f"{nodes:,} tasks, {label}", costs[file], ours, nodes))
        aims.append(report.Aim(f"emitted to by hand, {nodes:,} tasks", _ratio(ours, costs[files[1]]), AIM))
    return report.Section(
        f"parse-airflow-{major}",
        f"Parsing in Airflow {major}",
        ("", "import", "serialise", "CPU a task", "emitted is", "memory"),
        rows,
        aims,
        [f"Medians of {turns} turns. {report.conditions(versions)}"],
    )


def _row(label: str, costs: list[Parse], ours: list[Parse], nodes: int) -> list[str]:
    importing, serializing, private = (statistics.median(figures) for figures in zip(*costs, strict=True))
    total = statistics.median(parse.total for parse in costs)
    again = "" if costs is ours else f"{_ratio(ours, costs):.2f} times"
    return [
        label,
        f"{importing:.0f} ms",
        f"{serializing:.0f} ms",
        f"{total / nodes:.2f} ms",
        again,
        f"{private:.1f} MiB",
    ]


def _ratio(ours: list[Parse], theirs: list[Parse]) -> float:
    return statistics.median(one.total / other.total for one, other in zip(ours, theirs, strict=True))


def main(argv: list[str] | None = None) -> bool:
    """Measure and print; whether the aims were met."""
    given = [Path(path) for name in ("KKA_PYTHON_AIRFLOW_2", "KKA_PYTHON_AIRFLOW_3") if (path := os.environ.get(name))]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", type=Path, default=Path(sys.executable), help="of a Kedro environment (this one)")
    parser.add_argument(
        "--airflow", type=Path, action="append", metavar="PYTHON",
        help="of an Airflow environment; repeat for more (KKA_PYTHON_AIRFLOW_2 and KKA_PYTHON_AIRFLOW_3)",
    )  # fmt: skip
    parser.add_argument("--nodes", type=int, nargs="+", default=[100, 1000])
    parser.add_argument("--turns", type=int, default=11)
    parser.add_argument("--write", action="store_true", help="update docs/contributing/benchmarks.md")
    options = parser.parse_args(argv)
    environments = options.airflow or given
    for python in environments:
        if not python.exists():
            print(f"parse: skipped, there is no {python}", file=sys.stderr)
    there = [python.absolute() for python in environments if python.exists()]
    if not there:
        parser.error("no Airflow environment: give --airflow, or KKA_PYTHON_AIRFLOW_3")
    met = True
    with tempfile.TemporaryDirectory(prefix="kka-parse-") as name:
        folder = Path(name).resolve()
        texts = {nodes: emitted(options.python.absolute(), folder, nodes) for nodes in sorted(options.nodes)}
        for python in there:
            met &= report.tell(section(python, texts, options.turns, folder), write=options.write)
    return met


if __name__ == "__main__":
    main()
