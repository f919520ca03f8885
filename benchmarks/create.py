"""What `kedro k8s-airflow create` and `check` cost, against the least possible and against `kedro airflow create`.

Projects of 10 to 5,000 nodes, and one of many pipelines; a fresh process each time; candidates take
turns. The floor is what every compiler of Kedro projects pays: import Kedro, load the pipeline, order its nodes
(`programs/floor.py`).
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import measure
import options
import projects
import report

if TYPE_CHECKING:
    from measure import Cost

FLOOR, CREATE, CHECK = "floor", "create", "check"
AIRFLOW, BY_MEMORY = "kedro airflow create", "kedro airflow create --group-by memory"
# A large project that a user has: each evaluation of its registry costs much, its imports even more.
MANY = projects.Shape(754, parts=30, import_seconds=2)
QUICK_MANY = projects.Shape(20, parts=3)
_FLOOR_PROGRAM = Path(__file__).resolve().parent / "programs" / "floor.py"


def measure_candidates(python: Path, folder: Path, turns: int) -> dict[str, list[Cost]]:
    """Costs of all candidates on the project in `folder`; each writes its files anew."""
    commands: dict[str, list[str | Path]] = {
        FLOOR: [python, _FLOOR_PROGRAM, "."],
        CREATE: [python, "-m", "kedro", "k8s-airflow", "create"],
        CHECK: [python, "-m", "kedro", "k8s-airflow", "check"],
        AIRFLOW: [python, "-m", "kedro", "airflow", "create"],
        BY_MEMORY: [python, "-m", "kedro", "airflow", "create", "--group-by", "memory"],
    }

    def run_once(name: str) -> Cost:
        for output in ("dags", "airflow_dags", ".k8s-airflow"):
            shutil.rmtree(folder / output, ignore_errors=True)
        cost = measure.run_command(commands[name], folder)
        if name == CREATE and not (folder / "dags" / f"{projects.PACKAGE}.py").is_file():
            sys.exit(f"create wrote no DAG file in {folder / 'dags'}")
        return cost

    return measure.measure_in_turns({name: partial(run_once, name) for name in commands}, turns)


def format_row(shape: projects.Shape, costs: dict[str, list[Cost]]) -> list[str]:
    """One line of the table."""
    create, floor, others = (measure.median_cost(costs[name]) for name in (CREATE, FLOOR, BY_MEMORY))
    return [
        str(shape),
        f"{create.cpu:.2f} s",
        f"{measure.median_ratio(costs[CHECK], costs[CREATE]):.2f}",
        *(f"{measure.median_ratio(costs[CREATE], costs[name]):.2f}" for name in (FLOOR, AIRFLOW, BY_MEMORY)),
        f"{create.peak:.0f} MiB",
        f"{create.peak - floor.peak:+.0f} MiB",
        f"{others.peak - floor.peak:+.0f} MiB",
    ]


def describe_growth(label: str, cpu: dict[int, float]) -> str:
    """How CPU grows with the number of nodes, the fixed part left out."""
    low, middle, high = sorted(cpu)[-3:]
    first = 1000 * (cpu[middle] - cpu[low]) / (middle - low)
    second = 1000 * (cpu[high] - cpu[middle]) / (high - middle)
    return (
        f"{label}: {first:.3f} ms of CPU a node from {low:,} to {middle:,} nodes, {second:.3f} ms from {middle:,} to "
        f"{high:,}: {second / first:.2f} times (1 is linear)."
    )


def build_section(python: Path, sizes: list[int], many: projects.Shape, turns: int, folder: Path) -> report.Section:
    """Make the projects, measure, and put the figures together."""
    versions = measure.describe_versions(python, "kedro", "kedro-airflow", "kedro-k8s-airflow")
    plain_shapes = [projects.Shape(nodes) for nodes in sorted(sizes)]
    shapes = [*plain_shapes, projects.Shape(max(sizes), memory_edges=True), many]
    results = {}
    for number, shape in enumerate(shapes):
        project = projects.make_project(folder / f"{number}", shape)
        print(f"create: nodes: {shape}; {turns} turns", file=sys.stderr, flush=True)
        results[shape] = measure_candidates(python, project, turns)
    largest = results[projects.Shape(max(sizes))]
    memory_above_floor = measure.median_cost(largest[CREATE]).peak - measure.median_cost(largest[FLOOR]).peak
    size_label = f"at {max(sizes):,} nodes"
    aims = [
        report.Aim(f"`create` to the floor, {size_label}", measure.median_ratio(largest[CREATE], largest[FLOOR]), 1.8),
        report.Aim(
            f"`create` to `--group-by memory`, {size_label}",
            measure.median_ratio(largest[CREATE], largest[BY_MEMORY]),
            0.45,
        ),
        report.Aim(f"`check` to `create`, {size_label}", measure.median_ratio(largest[CHECK], largest[CREATE]), 1.5),
        report.Aim(f"memory above the floor, {size_label}", memory_above_floor, 100, " MiB"),
        report.Aim(
            f"`create` to the floor, nodes: {many}",
            measure.median_ratio(results[many][CREATE], results[many][FLOOR]),
            1.25,
        ),
    ]
    plain = {shape.nodes: results[shape] for shape in plain_shapes}
    growths = [
        ("`create`", {nodes: measure.median_cost(costs[CREATE]).cpu for nodes, costs in plain.items()}),
        (
            "What it adds to the floor",
            {nodes: measure.median_difference(costs[CREATE], costs[FLOOR]) for nodes, costs in plain.items()},
        ),
        ("The floor", {nodes: measure.median_cost(costs[FLOOR]).cpu for nodes, costs in plain.items()}),
    ]
    return report.Section(
        "create",
        "`create`",
        (
            "nodes",
            "CPU",
            "`check` to it",
            "to the floor",
            f"to `{AIRFLOW}`",
            "to its `--group-by memory`",
            "peak",
            "above the floor",
            "`--group-by memory`",
        ),
        [format_row(shape, costs) for shape, costs in results.items()],
        aims if max(sizes) >= 5000 else (),
        [
            "\n".join(f"- {describe_growth(*figures)}" for figures in growths) if len(plain) > 2 else "",
            f"The project of {many.parts + 1} pipelines takes {many.import_seconds:g} s of CPU to import, in every candidate.",
            "The last column is the memory of `kedro airflow create --group-by memory` above the same floor.",
            f"Medians of {turns} turns. {report.describe_conditions(versions)}",
        ],
    )


def main(argv: list[str] | None = None) -> bool:
    """Measure and print; whether the aims were met."""
    parser = options.make_parser(__doc__, turns=7)
    parser.add_argument("--nodes", type=int, nargs="+", help="(10, 100, 1000 and 5000; 10 with --quick)")
    arguments = options.parse_options(parser, argv)
    sizes = arguments.nodes or ([10] if arguments.quick else [10, 100, 1000, 5000])
    many = QUICK_MANY if arguments.quick else MANY
    with tempfile.TemporaryDirectory(prefix="kka-create-") as folder:
        section = build_section(arguments.python, sizes, many, arguments.turns, Path(folder))
        return report.print_section(section, write=arguments.write)


if __name__ == "__main__":
    main()
