"""What installing the plugin adds to `kedro --version`, in CPU milliseconds.

Kedro loads the commands of every plugin at each start inside a project. Two environments are made of links to the packages
of the given one: the first has all of them, the second all but this plugin.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import environments
import measure
import options
import projects
import report

if TYPE_CHECKING:
    from measure import Cost

_PLUGIN = "kedro_k8s_airflow"
AIM_MS = 20


def make_twin(folder: Path, python: Path, *, plugin: bool) -> Path:
    """Make an environment of the packages of another one, with or without the plugin; return its interpreter."""
    interpreter = environments.link_environment(
        folder, python, lambda name: plugin or not name.lstrip("_").startswith(_PLUGIN)
    )
    probe = subprocess.run(
        [interpreter, "-c", f"import importlib.util as u, kedro; print(u.find_spec({_PLUGIN!r}) is not None)"],
        capture_output=True,
        text=True,
        check=True,
        cwd=folder,
        env=measure.clean_environment(),
    )
    if probe.stdout.strip().splitlines()[-1] != str(plugin):
        sys.exit(f"{interpreter} {'does not have' if plugin else 'has'} the plugin")
    return interpreter


def build_section(python: Path, turns: int, folder: Path) -> report.Section:
    """Measure inside and outside a project, and put the figures together."""
    versions = measure.describe_versions(python, "kedro", "kedro-k8s-airflow")
    project = projects.make_project(folder / "project", projects.Shape(10))
    outside = folder / "outside"
    outside.mkdir()
    twins = {name: make_twin(folder / name, python, plugin=name == "with") for name in ("with", "without")}

    def start_kedro(name: str, directory: Path) -> Cost:
        return measure.run_command([twins[name], "-m", "kedro", "--version"], directory)

    rows, figures = [], {}
    for label, directory in (("inside a project", project), ("elsewhere", outside)):
        print(f"startup: {label}, {turns} turns", file=sys.stderr, flush=True)
        costs = measure.measure_in_turns({name: partial(start_kedro, name, directory) for name in twins}, turns)
        figures[label] = 1000 * measure.median_difference(costs["with"], costs["without"])
        cells = [f"{1000 * measure.median_cost(costs[name]).cpu:.0f} ms" for name in ("without", "with")]
        spread = [1000 * seconds for seconds in measure.cpu_differences(costs["with"], costs["without"])]
        half = f"{spread[turns // 4]:+.1f} to {spread[-1 - turns // 4]:+.1f} ms"
        memory = measure.median_cost(costs["with"]).peak - measure.median_cost(costs["without"]).peak
        rows.append([label, *cells, f"{figures[label]:+.1f} ms", half, f"{memory:+.1f} MiB"])
    return report.Section(
        "startup",
        "`kedro --version`",
        ("where", "without the plugin", "with it", "added CPU", "in half of the turns", "added memory"),
        rows,
        [report.Aim("added inside a project", figures["inside a project"], AIM_MS, " ms")],
        [f"Medians of {turns} turns. {report.describe_conditions(versions)}"],
    )


def main(argv: list[str] | None = None) -> bool:
    """Measure and print; return whether the aims were met."""
    arguments = options.parse_options(options.make_parser(__doc__, turns=25), argv)
    if os.name != "posix":
        sys.exit("startup.py links environments as POSIX systems lay them out")
    with tempfile.TemporaryDirectory(prefix="kka-startup-") as folder:
        section = build_section(arguments.python, arguments.turns, Path(folder).resolve())
        return report.print_section(section, write=arguments.write)


if __name__ == "__main__":
    main()
