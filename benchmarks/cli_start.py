"""How long `kedro-k8s-airflow` takes, against `kedro k8s-airflow`, which imports Kedro's command line and every plugin.

Both are started with `python -m`, each time in a fresh process, and take turns. The figures are seconds by the clock, since
a user waits for those; the ratio of CPU stands beside them, because it suffers less from other work on the machine.
"""

from __future__ import annotations

import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import measure
import options
import projects
import report

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

KEDRO, OURS = "kedro k8s-airflow", "kedro-k8s-airflow"
_MODULES = {KEDRO: ("kedro", "k8s-airflow"), OURS: ("kedro_k8s_airflow",)}
_DEMO = Path(__file__).resolve().parent.parent / "demo-project"
_LEFT_OUT = shutil.ignore_patterns("data", "dags", ".venv", "__pycache__", ".*_cache")


class Start(NamedTuple):
    """What one process took: seconds by the clock, and CPU seconds."""

    wall: float
    cpu: float


def measured(python: Path, arguments: Sequence[str], folder: Path, turns: int) -> dict[str, list[Start]]:
    """Return what both command lines took, in turns, after a first turn that does not count."""
    starts: dict[str, list[Start]] = {name: [] for name in _MODULES}
    for turn in range(turns + 1):
        for name, module in _MODULES.items():
            begin = time.perf_counter()
            cost = measure.run_command([python, "-m", *module, *arguments], folder)
            if turn:
                starts[name].append(Start(time.perf_counter() - begin, cost.cpu))
    return starts


def ratio(starts: dict[str, list[Start]], value: Callable[[Start], float]) -> float:
    """Return how many times ours takes of what Kedro's takes: the median over the turns."""
    return statistics.median(
        value(ours) / value(kedro) for ours, kedro in zip(starts[OURS], starts[KEDRO], strict=True)
    )


def section(python: Path, turns: int, folder: Path) -> report.Section:
    """Make the projects, measure, and put the figures together."""
    versions = measure.describe_versions(python, "kedro", "kedro-airflow", "kedro-telemetry", "kedro-k8s-airflow")
    small = projects.make_project(folder / "small", projects.Shape(10))
    demo = Path(shutil.copytree(_DEMO, folder / "demo", ignore=_LEFT_OUT))
    cases = (
        ("`--version`", ("--version",), small),
        ("`check`, project of 10 nodes", ("check",), small),
        ("`check`, demo project", ("check",), demo),
    )
    rows, ratios = [], []
    for words, arguments, project in cases:
        print(f"cli_start: {words}, {turns} turns", file=sys.stderr, flush=True)
        starts = measured(python, arguments, project, turns)
        medians = [1000 * statistics.median(start.wall for start in starts[name]) for name in (KEDRO, OURS)]
        ratios.append(ratio(starts, lambda start: start.wall))
        cpu = ratio(starts, lambda start: start.cpu)
        rows.append([words, *(f"{median:.0f} ms" for median in medians), f"{ratios[-1]:.2f}", f"{cpu:.2f}"])
    return report.Section(
        "cli-start",
        f"`{OURS}`",
        ("command", f"`{KEDRO}`", f"`{OURS}`", "ratio", "ratio of CPU"),
        rows,
        [
            report.Aim("`--version`, ratio", ratios[0], 0.5),
            report.Aim("`check` of 10 nodes, ratio", ratios[1], 0.95),
        ],
        [
            "Seconds by the clock. The demo project imports pandas and scikit-learn, which both command lines wait for.",
            f"Medians of {turns} turns. {report.describe_conditions(versions)}",
        ],
    )


def main(argv: list[str] | None = None) -> bool:
    """Measure and print; return whether the aims were met."""
    arguments = options.parse_options(options.make_parser(__doc__, turns=15), argv)
    with tempfile.TemporaryDirectory(prefix="kka-cli-start-") as folder:
        return report.print_section(
            section(arguments.python, arguments.turns, Path(folder).resolve()), write=arguments.write
        )


if __name__ == "__main__":
    main()
