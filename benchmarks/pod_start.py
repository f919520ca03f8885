"""What a pod costs before its node begins: from the start of the process to the first line of the node's function.

`pod.py` with the arguments of the emitted DAG, against `kedro run --nodes=...` and against a bare runner
(`programs/pod_floor.py`), in an environment that holds Kedro, kedro-datasets and what they require. Projects of 1, 2 and 20
registered pipelines; bytecode there or not. With pipelines to choose from, also the pod that was not told a smaller one.
"""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import environments
import measure
import options
import projects
import report

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from measure import Cost

RUN, POD, NOT_NARROWED, FLOOR = "kedro run", "pod", "pod, not narrowed", "floor"
COMPILED, NO_BYTECODE, NO_LIBRARY = "", ", no bytecode", ", no bytecode of the standard library"
SECONDS = 0.25  # of CPU that a heavy pipeline costs to import
NODE = "p01_start"
_FLOOR_PROGRAM = Path(__file__).resolve().parent / "programs" / "pod_floor.py"
_LIBRARY = "import sysconfig; print(sysconfig.get_path('stdlib'))"
_RUN_VARIABLE = {
    "dag_id": projects.PACKAGE,
    "run_id": "manual",
    "task_id": NODE,
    "try_number": 1,
    "run_after": "2026-01-01T00:00:00+00:00",
}


class PodCase(NamedTuple):
    """A project, the environment it runs in, and the most that its pod should cost of `kedro run`."""

    pipelines: int
    seconds: float = 0
    pandas: bool = False
    bytecode: str = COMPILED
    aim: float | None = None

    def __str__(self) -> str:
        heavy = f" of {self.seconds} s" if self.seconds else ""
        many = "" if self.pipelines == 1 else "s"
        return f"{self.pipelines} pipeline{many}{heavy}{', pandas installed' if self.pandas else ''}{self.bytecode}"


CASES = (
    PodCase(1, aim=0.85),
    PodCase(1, SECONDS, aim=0.85),
    PodCase(2),
    PodCase(20, SECONDS, aim=0.16),
    PodCase(1, pandas=True, aim=0.85),
    PodCase(1, bytecode=NO_LIBRARY, aim=0.85),
    PodCase(1, bytecode=NO_BYTECODE, aim=0.85),
    PodCase(1, SECONDS, bytecode=NO_BYTECODE, aim=0.85),
    PodCase(20, SECONDS, bytecode=NO_BYTECODE),
)
QUICK_CASES = (PodCase(1, pandas=True), PodCase(2), PodCase(1, bytecode=NO_LIBRARY), PodCase(2, bytecode=NO_BYTECODE))


def read_pod_arguments(project: Path) -> tuple[list[str], str]:
    """What the emitted DAG passes to the interpreter to run `NODE`, with the project where it lies; and the pipeline it names."""
    tree = ast.parse((project / "dags" / f"{projects.PACKAGE}.py").read_text(encoding="utf-8"))
    shared: list[str] = next(
        ast.literal_eval(found.value)
        for found in tree.body
        if isinstance(found, ast.Assign) and ast.unparse(found.targets[0]) == "ARGUMENTS"
    )
    project_path = next(text.partition("=")[2] for text in shared if text.startswith("--project="))
    for found in ast.walk(tree):
        if isinstance(found, ast.Call) and ast.unparse(found.func) == "kedro_task":
            call_keywords: dict[str | None, Any] = {
                keyword.arg: ast.literal_eval(keyword.value) for keyword in found.keywords
            }
            if call_keywords.pop("nodes") == [NODE]:
                pipeline = call_keywords.pop("pipeline", "__default__")
                assert not call_keywords, f"arguments of a task that this program does not hand on: {call_keywords}"
                node_arguments = [f"--pipeline={pipeline}", f"--node={NODE}"]
                return [*(text.replace(project_path, str(project), 1) for text in shared), *node_arguments], pipeline
    sys.exit(f"no task of the emitted DAG is {NODE}")


def build_commands(case: PodCase, project: Path, python: Path) -> dict[str, list[str | Path]]:
    """The candidates."""
    given, pipeline = read_pod_arguments(project)
    if (pipeline == "__default__") is not (case.pipelines == 1):
        sys.exit(f"{case}: the emitted DAG loads pipeline {pipeline}")
    whole = [text if text != f"--pipeline={pipeline}" else "--pipeline=__default__" for text in given]
    return {
        RUN: [python, "-m", "kedro", "run", f"--nodes={NODE}"],
        POD: [python, *given],
        **({NOT_NARROWED: [python, *whole]} if case.pipelines > 1 and not case.seconds else {}),
        FLOOR: [python, _FLOOR_PROGRAM, f"{projects.PACKAGE}.pipelines.p01", NODE],
    }


def bytecode_environment(case: PodCase, folder: Path, python: Path, started: Callable[..., Cost]) -> dict[str, str]:
    """The environment variables that keep what a case has no bytecode of from being read or written as such."""
    if case.bytecode == COMPILED:
        return {}
    prefix = folder / "bytecode"
    shutil.rmtree(prefix, ignore_errors=True)
    if case.bytecode == NO_LIBRARY:
        for name in (RUN, POD, FLOOR):
            started(name, PYTHONPYCACHEPREFIX=str(prefix))
        library = subprocess.run([python, "-c", _LIBRARY], capture_output=True, text=True, check=True).stdout.strip()
        shutil.rmtree(prefix / Path(library).relative_to("/"))
    return {"PYTHONPYCACHEPREFIX": str(prefix), "PYTHONDONTWRITEBYTECODE": "1"}


def measure_case(case: PodCase, project: Path, python: Path, turns: int) -> dict[str, list[Cost]]:
    """Costs of the candidates."""
    candidates = build_commands(case, project, python)
    mark = project / "started"
    plain = project / "plain.yml"
    plain.write_text("version: 1\n", encoding="utf-8")
    shared = {projects.MARK: str(mark), "KEDRO_K8S_AIRFLOW_RUN": json.dumps(_RUN_VARIABLE), "PYTHONUNBUFFERED": "1"}

    def started(name: str, **more: str) -> Cost:
        mark.unlink(missing_ok=True)
        # Kedro's own logging configuration imports rich, which the floor has no need of.
        own = {"KEDRO_LOGGING_CONFIG": str(plain)} if name == FLOOR else {}
        # The node ends the process at its first line, which a pod reports as a failure.
        code = 1 if name in {POD, NOT_NARROWED} else 0
        cost = measure.run_command(candidates[name], project, code=code, **shared, **own, **more)
        if not mark.exists():
            sys.exit(f"{case}: {name} ended before the node's first line")
        return cost

    more = bytecode_environment(case, project, python, started)
    return measure.measure_in_turns({name: partial(started, name, **more) for name in candidates}, turns)


def measure_first_process(case: PodCase, project: Path, python: Path) -> float:
    """Memory in MiB of the process that waits while another one runs the nodes, as last seen before its end."""
    variables = measure.clean_environment(
        **{projects.MARK: str(project / "started"), "KEDRO_K8S_AIRFLOW_RUN": json.dumps(_RUN_VARIABLE)}
    )
    command = list(map(str, build_commands(case, project, python)[POD]))
    process = subprocess.Popen(command, env=variables, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    status = Path(f"/proc/{process.pid}/status")
    kilobytes = 0
    while process.poll() is None:
        found = re.search(r"^VmRSS:\s*(\d+) kB$", status.read_text(encoding="ascii"), re.MULTILINE)
        kilobytes = int(found[1]) if found else kilobytes  # none when it has just ended
        time.sleep(0.01)
    if process.returncode != 1:  # its node ends the process
        sys.exit(f"{case}: the pod ended with {process.returncode}")
    return kilobytes / 1024


def format_row(case: PodCase, costs: dict[str, list[Cost]]) -> list[str]:
    """One line of the table."""
    return [
        str(case),
        *(f"{measure.median_cost(costs[name]).cpu:.2f} s" for name in (RUN, POD, FLOOR)),
        f"{measure.median_ratio(costs[POD], costs[RUN]):.2f}",
        f"{measure.median_ratio(costs[POD], costs[FLOOR]):.2f}",
        f"{measure.median_ratio(costs[POD], costs[NOT_NARROWED]):.2f}" if NOT_NARROWED in costs else "",
        f"{measure.median_cost(costs[POD]).peak - measure.median_cost(costs[RUN]).peak:+.0f} MiB",
    ]


def _note(most: PodCase, without: dict[str, list[Cost]]) -> str:
    return (
        f"A pipeline of {SECONDS} s takes that much CPU to import, in every candidate that imports it: what the node itself "
        "needs. The official Python images hold no bytecode of the standard library. Without any, and "
        f"with {most.pipelines} pipelines, the floor itself is {measure.median_ratio(without[FLOOR], without[RUN]):.2f} of `{RUN}`."
    )


def build_section(python: Path, cases: Sequence[PodCase], turns: int, folder: Path) -> report.Section:
    """Make the projects and environments, measure, and put the figures together."""
    distributions = ("kedro", "kedro-datasets")
    versions = measure.describe_versions(python, "kedro", "kedro-datasets", "pandas", "kedro-k8s-airflow")
    pythons = {
        False: environments.make_lean_environment(folder / "lean", python, *distributions),
        True: environments.make_lean_environment(folder / "pandas", python, *distributions, "pandas"),
    }
    project_folders: dict[tuple[int, float], Path] = {}
    results = {}
    for case in cases:
        shape = (case.pipelines, case.seconds)
        if shape not in project_folders:
            project_folders[shape] = projects.make_pipelines(folder / f"{case.pipelines}-{case.seconds}", *shape)
            measure.run_command([python, "-m", "kedro", "k8s-airflow", "create", "--quiet"], project_folders[shape])
        print(f"pod_start: {case}, {turns} turns", file=sys.stderr, flush=True)
        results[case] = measure_case(case, project_folders[shape], pythons[case.pandas], turns)
    case = cases[0]
    first_process = measure_first_process(case, project_folders[case.pipelines, case.seconds], pythons[case.pandas])
    return report.Section(
        "pod-start",
        "The start of a pod",
        (
            "registered pipelines",
            f"`{RUN} --nodes`",
            "pod",
            "floor",
            f"pod to `{RUN}`",
            "to the floor",
            "to itself, not narrowed",
            f"peak, to `{RUN}`",
        ),
        [format_row(case, costs) for case, costs in results.items()],
        [
            report.Aim(f"pod to `{RUN}`, {case}", measure.median_ratio(costs[POD], costs[RUN]), case.aim)
            for case, costs in results.items()
            if case.aim is not None
        ]
        + [report.Aim("memory of a pod's first process", first_process, 12, " MiB")],
        [
            _note(cases[-1], results[cases[-1]]),
            f"Medians of {turns} turns. {report.describe_conditions(versions)}",
        ],
    )


def main(argv: list[str] | None = None) -> bool:
    """Measure and print; whether the aims were met."""
    arguments = options.parse_options(options.make_parser(__doc__, turns=7), argv)
    cases = QUICK_CASES if arguments.quick else CASES
    with tempfile.TemporaryDirectory(prefix="kka-pod-start-") as folder:
        section = build_section(arguments.python, cases, arguments.turns, Path(folder).resolve())
        return report.print_section(section, write=arguments.write)


if __name__ == "__main__":
    main()
