"""What `kedro k8s-airflow create` and `check` cost, against the least possible and against `kedro airflow create`.

Projects of 10 to 5,000 nodes; a fresh process each time; candidates take turns. The floor is what every compiler of Kedro
projects pays: import Kedro, load the pipeline, order its nodes (`programs/floor.py`).
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import measure
import projects
import report

if TYPE_CHECKING:
    from measure import Cost

FLOOR, CREATE, CHECK = "floor", "create", "check"
AIRFLOW, BY_MEMORY = "kedro airflow create", "kedro airflow create --group-by memory"
_FLOOR_PROGRAM = Path(__file__).resolve().parent / "programs" / "floor.py"


def measured(python: Path, folder: Path, turns: int) -> dict[str, list[Cost]]:
    """Costs of all candidates on the project in `folder`; each writes its files anew."""
    commands: dict[str, list[str | Path]] = {
        FLOOR: [python, _FLOOR_PROGRAM, "."],
        CREATE: [python, "-m", "kedro", "k8s-airflow", "create"],
        CHECK: [python, "-m", "kedro", "k8s-airflow", "check"],
        AIRFLOW: [python, "-m", "kedro", "airflow", "create"],
        BY_MEMORY: [python, "-m", "kedro", "airflow", "create", "--group-by", "memory"],
    }

    def once(name: str) -> Cost:
        for made in ("dags", "airflow_dags", ".k8s-airflow"):
            shutil.rmtree(folder / made, ignore_errors=True)
        cost = measure.run(commands[name], folder)
        if name == CREATE and not (folder / "dags" / f"{projects.PACKAGE}.py").is_file():
            sys.exit(f"create wrote no DAG file in {folder / 'dags'}")
        return cost

    return measure.in_turns({name: partial(once, name) for name in commands}, turns)


def row(shape: projects.Shape, costs: dict[str, list[Cost]]) -> list[str]:
    """One line of the table."""
    create, floor, others = (measure.median(costs[name]) for name in (CREATE, FLOOR, BY_MEMORY))
    return [
        f"{shape.nodes:,}" + (", a fifth of the edges in memory" if shape.memory_edges else ""),
        f"{create.cpu:.2f} s",
        f"{measure.ratio(costs[CHECK], costs[CREATE]):.2f}",
        *(f"{measure.ratio(costs[CREATE], costs[name]):.2f}" for name in (FLOOR, AIRFLOW, BY_MEMORY)),
        f"{create.peak:.0f} MiB",
        f"{create.peak - floor.peak:+.0f} MiB",
        f"{others.peak - floor.peak:+.0f} MiB",
    ]


def growth(what: str, cpu: dict[int, float]) -> str:
    """How CPU grows with the number of nodes, the fixed part left out."""
    low, middle, high = sorted(cpu)[-3:]
    first = 1000 * (cpu[middle] - cpu[low]) / (middle - low)
    second = 1000 * (cpu[high] - cpu[middle]) / (high - middle)
    return (
        f"{what}: {first:.3f} ms of CPU a node from {low:,} to {middle:,} nodes, {second:.3f} ms from {middle:,} to "
        f"{high:,}: {second / first:.2f} times (1 is linear)."
    )


def section(python: Path, sizes: list[int], turns: int, folder: Path) -> report.Section:
    """Make the projects, measure, and put the figures together."""
    versions = measure.versions(python, "kedro", "kedro-airflow", "kedro-k8s-airflow")
    shapes = [*map(projects.Shape, sorted(sizes)), projects.Shape(max(sizes), memory_edges=True)]
    results = {}
    for shape in shapes:
        made = projects.make(folder / f"{shape.nodes}-{shape.memory_edges}", shape)
        print(f"create: {row_name(shape)}, {turns} turns", file=sys.stderr, flush=True)
        results[shape] = measured(python, made, turns)
    largest = results[projects.Shape(max(sizes))]
    above = measure.median(largest[CREATE]).peak - measure.median(largest[FLOOR]).peak
    at = f"at {max(sizes):,} nodes"
    aims = [
        report.Aim(f"`create` to the floor, {at}", measure.ratio(largest[CREATE], largest[FLOOR]), 1.8),
        report.Aim(f"`create` to `--group-by memory`, {at}", measure.ratio(largest[CREATE], largest[BY_MEMORY]), 0.45),
        report.Aim(f"`check` to `create`, {at}", measure.ratio(largest[CHECK], largest[CREATE]), 1.5),
        report.Aim(f"memory above the floor, {at}", above, 100, " MiB"),
    ]
    plain = {shape.nodes: costs for shape, costs in results.items() if not shape.memory_edges}
    grown = [
        ("`create`", {nodes: measure.median(costs[CREATE]).cpu for nodes, costs in plain.items()}),
        (
            "What it adds to the floor",
            {nodes: measure.difference(costs[CREATE], costs[FLOOR]) for nodes, costs in plain.items()},
        ),
        ("The floor", {nodes: measure.median(costs[FLOOR]).cpu for nodes, costs in plain.items()}),
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
        [row(shape, costs) for shape, costs in results.items()],
        aims if max(sizes) >= 5000 else (),
        [
            "\n".join(f"- {growth(*figures)}" for figures in grown) if len(plain) > 2 else "",
            "The last column is the memory of `kedro airflow create --group-by memory` above the same floor.",
            f"Medians of {turns} turns. {report.conditions(versions)}",
        ],
    )


def row_name(shape: projects.Shape) -> str:
    """A shape in words."""
    return f"{shape.nodes:,} nodes" + (", memory edges" if shape.memory_edges else "")


def main(argv: list[str] | None = None) -> bool:
    """Measure and print; whether the aims were met."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", type=Path, default=Path(sys.executable), help="of a Kedro environment (this one)")
    parser.add_argument("--nodes", type=int, nargs="+", default=[10, 100, 1000, 5000])
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--write", action="store_true", help="update docs/contributing/benchmarks.md")
    given = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="kka-create-") as folder:
        return report.tell(section(given.python.absolute(), given.nodes, given.turns, Path(folder)), write=given.write)


if __name__ == "__main__":
    main()
