"""What Airflow pays for an emitted DAG file, against the same DAG written by hand.

Of each size three files are parsed in turns by what stands in for Airflow's DAG processor (`programs/dag_processor.py`):

- emitted: what `create` writes;
- by hand: the same constants, and a loop that makes a KubernetesPodOperator of each row of a table. It is checked that both
  files serialise to the same tasks;
- bare: the same loop with BaseOperators that have nothing but an id and edges, the least a DAG of that size can cost.
"""

from __future__ import annotations

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
import options
import projects
import report

if TYPE_CHECKING:
    from collections.abc import Sequence

_PROCESSOR_PROGRAM = Path(__file__).resolve().parent / "programs" / "dag_processor.py"
# Airflow's own settings for a parse: no examples, no chatter, no database.
_AIRFLOW_SETTINGS = {
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT": "0",
    "AIRFLOW__LOGGING__LOGGING_LEVEL": "CRITICAL",
    "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
}
_FACTORY = "def kedro_task("
AIM = 1.15

_HAND_WRITTEN_TEMPLATE = """\
TASKS = [
{rows}
]

{dag}:
    tasks = {{}}
    for name, after, settings in TASKS:
        nodes, pipeline = [name], {pipeline}
        tasks[name] = {operator}(
            task_id=name,
            arguments=[*ARGUMENTS, {given}],
            labels={{**LABELS, "kedro-k8s-airflow/task": name}},
            annotations={{"kedro-k8s-airflow/nodes": name}},
            **{{**SETTINGS, **settings}},
        )
        [tasks[other] for other in after] >> tasks[name]
"""

_BARE_TEMPLATE = """\
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


class ParseCost(NamedTuple):
    """Costs of one parse in milliseconds of CPU, and the memory it took in MiB."""

    importing: float
    serializing: float
    private: float

    @property
    def total(self) -> float:
        """Importing and serialising."""
        return self.importing + self.serializing


def emit_dag(python: Path, folder: Path, nodes: int) -> str:
    """The DAG file that `create` writes for a project of `nodes` nodes."""
    project = projects.make_project(folder / f"project-{nodes}", projects.Shape(nodes))
    measure.run_command([python, "-m", "kedro", "k8s-airflow", "create", "--quiet"], project)
    return (project / "dags" / f"{projects.PACKAGE}.py").read_text(encoding="utf-8")


def write_by_hand(text: str) -> tuple[str, str]:
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
        name, upstream, own_arguments = _read_task_call(call)
        rows.append(f"    ({name}, {upstream}, {own_arguments}),")
        edges.append(f"    ({name}, {upstream}),")
    head = text[: text.index(_FACTORY)]
    return head + _HAND_WRITTEN_TEMPLATE.format(
        rows="\n".join(rows), dag=header, **_read_factory(tree)
    ), _BARE_TEMPLATE.format(rows="\n".join(edges), dag=header)


def _read_factory(tree: ast.Module) -> dict[str, str]:
    """Source of the class that the factory makes tasks of, of the arguments it gives, and of the default pipeline."""
    factory = next(
        statement
        for statement in tree.body
        if isinstance(statement, ast.FunctionDef) and statement.name == "kedro_task"
    )
    (operator,) = [
        call.func
        for call in ast.walk(factory)
        if isinstance(call, ast.Call) and any(keyword.arg == "task_id" for keyword in call.keywords)
    ]
    (given,) = [
        statement.value.elts
        for statement in factory.body
        if isinstance(statement, ast.Assign)
        and ast.unparse(statement.targets[0]) == "given"
        and isinstance(statement.value, ast.List)
    ]
    defaults = {
        argument.arg: default
        for argument, default in zip(factory.args.kwonlyargs, factory.args.kw_defaults, strict=True)
        if default is not None
    }
    return {
        "operator": ast.unparse(operator),
        "given": ", ".join(map(ast.unparse, given)),
        "pipeline": ast.unparse(defaults["pipeline"]),
    }


def _read_task_call(call: ast.Call) -> tuple[str, str, str]:
    """Source of a task's id, of what it comes after, and of its own arguments, from the call that makes it."""
    upstream, own_arguments = "()", []
    for keyword in call.keywords:
        if keyword.arg == "after":
            upstream = ast.unparse(keyword.value)
        elif keyword.arg is None:
            own_arguments.append(f"**{ast.unparse(keyword.value)}")
        elif keyword.arg != "nodes":
            own_arguments.append(f"{keyword.arg!r}: {ast.unparse(keyword.value)}")
    return ast.unparse(call.args[0]), upstream, "{" + ", ".join(own_arguments) + "}"


def measure_parses(airflow: Path, files: Sequence[Path], turns: int, home: Path) -> dict[Path, list[ParseCost]]:
    """Costs of parsing each file, turn by turn.

    Raises:
        SystemExit: when a file cannot be parsed, or the first two files are not the same DAG to Airflow.
    """
    completed = subprocess.run(
        [airflow, "-W", "ignore", _PROCESSOR_PROGRAM, str(turns), *files],
        env=measure.clean_environment(AIRFLOW_HOME=str(home), **_AIRFLOW_SETTINGS),
        cwd=home,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if completed.returncode:
        sys.exit(f"{airflow} {_PROCESSOR_PROGRAM} ended with {completed.returncode}:\n{completed.stdout[-2000:]}")
    costs: dict[Path, list[ParseCost]] = {file: [] for file in files}
    tasks: dict[Path, Any] = {}
    for line in completed.stdout.splitlines():
        if line.startswith('{"file"'):
            record = json.loads(line)
            file = Path(record["file"])
            if "serialized" in record:
                tasks[file] = record["serialized"]
            else:
                costs[file].append(ParseCost(record["import"], record["serialize"], record["private"]))
    _require_same_tasks(tasks[files[0]], tasks[files[1]], files[1])
    return costs


def _require_same_tasks(ours: Any, theirs: Any, file: Path) -> None:
    """Refuse to compare DAGs that differ in more than the names of their source files."""
    for our_task, their_task in zip(ours, theirs, strict=True):
        our_text, their_text = (
            json.dumps(task, sort_keys=True).replace(file_name, "")
            for task, file_name in ((our_task, "emitted"), (their_task, "by_hand"))
        )
        if our_text != their_text:
            sys.exit(f"{file} is not the emitted DAG:\n{our_text}\n{their_text}")


def build_section(airflow: Path, texts: dict[int, str], turns: int, folder: Path) -> report.Section:
    """Measure in one Airflow environment."""
    versions = measure.describe_versions(airflow, "apache-airflow", "apache-airflow-providers-cncf-kubernetes")
    major = versions.partition("apache-airflow ")[2].partition(".")[0]
    home = folder / f"home-{major}"
    home.mkdir()
    rows, aims = [], []
    for nodes, text in texts.items():
        print(f"parse: Airflow {major}, {nodes:,} tasks, {turns} turns", file=sys.stderr, flush=True)
        files = [folder / f"{nodes}" / f"{name}.py" for name in ("emitted", "by_hand", "bare")]
        files[0].parent.mkdir(exist_ok=True)
        for file, content in zip(files, (text, *write_by_hand(text)), strict=True):
            file.write_text(content, encoding="utf-8")
        costs = measure_parses(airflow, files, turns, home)
        ours = costs[files[0]]
        for file, label in zip(files, ("emitted", "by hand", "bare operators"), strict=True):
            rows.append(_format_row(f"{nodes:,} tasks, {label}", costs[file], ours, nodes))
        aims.append(report.Aim(f"emitted to by hand, {nodes:,} tasks", _median_ratio(ours, costs[files[1]]), AIM))
    return report.Section(
        f"parse-airflow-{major}",
        f"Parsing in Airflow {major}",
        ("", "import", "serialise", "CPU a task", "emitted is", "memory"),
        rows,
        aims,
        [f"Medians of {turns} turns. {report.describe_conditions(versions)}"],
    )


def _format_row(label: str, costs: list[ParseCost], ours: list[ParseCost], nodes: int) -> list[str]:
    importing, serializing, private = (statistics.median(figures) for figures in zip(*costs, strict=True))
    total = statistics.median(parse.total for parse in costs)
    again = "" if costs is ours else f"{_median_ratio(ours, costs):.2f} times"
    return [
        label,
        f"{importing:.0f} ms",
        f"{serializing:.0f} ms",
        f"{total / nodes:.2f} ms",
        again,
        f"{private:.1f} MiB",
    ]


def _median_ratio(ours: list[ParseCost], theirs: list[ParseCost]) -> float:
    return statistics.median(
        our_parse.total / their_parse.total for our_parse, their_parse in zip(ours, theirs, strict=True)
    )


def main(argv: list[str] | None = None) -> bool:
    """Measure and print; whether the aims were met."""
    default_pythons = [
        Path(path) for name in ("KKA_PYTHON_AIRFLOW_2", "KKA_PYTHON_AIRFLOW_3") if (path := os.environ.get(name))
    ]
    parser = options.make_parser(__doc__, turns=11)
    parser.add_argument(
        "--airflow", type=Path, action="append", metavar="PYTHON",
        help="of an Airflow environment; repeat for more (KKA_PYTHON_AIRFLOW_2 and KKA_PYTHON_AIRFLOW_3)",
    )  # fmt: skip
    parser.add_argument("--nodes", type=int, nargs="+", help="(100 and 1000; 20 with --quick)")
    arguments = options.parse_options(parser, argv)
    environments = arguments.airflow or default_pythons
    for python in environments:
        if not python.exists():
            print(f"parse: skipped, there is no {python}", file=sys.stderr)
    available_pythons = [python.absolute() for python in environments if python.exists()]
    if not available_pythons:
        parser.error("no Airflow environment: give --airflow, or KKA_PYTHON_AIRFLOW_3")
    all_met = True
    with tempfile.TemporaryDirectory(prefix="kka-parse-") as name:
        folder = Path(name).resolve()
        sizes = sorted(arguments.nodes or ([20] if arguments.quick else [100, 1000]))
        texts = {nodes: emit_dag(arguments.python, folder, nodes) for nodes in sizes}
        for python in available_pythons:
            all_met &= report.print_section(
                build_section(python, texts, arguments.turns, folder), write=arguments.write
            )
    return all_met


if __name__ == "__main__":
    main()
