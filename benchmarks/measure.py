"""Running programs and saying what they cost.

CPU seconds, not seconds by the clock: other people's jobs stretch the latter. What is compared takes turns within one run
and is told as the median of the ratios of each turn, since load and the processor's speed drift between runs.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

# What a caller's shell may hold that changes how Python starts. PYTHONDONTWRITEBYTECODE is the one that lies: without
# bytecode every start costs three times as much.
_DROPPED_VARIABLES = (
    "PYTHONDONTWRITEBYTECODE",
    "PYTHONPYCACHEPREFIX",
    "PYTHONHASHSEED",
    "PYTHONPATH",
    "PYTHONHOME",
    "VIRTUAL_ENV",
    "KEDRO_ENV",
    "KEDRO_LOGGING_CONFIG",
)
# Kedro's telemetry would wait for a server, and write to the project.
_ADDED_VARIABLES = {"DO_NOT_TRACK": "1", "KEDRO_DISABLE_TELEMETRY": "1"}

_VERSIONS_PROGRAM = """
import platform, sys
from importlib.metadata import version
print(", ".join([f"Python {platform.python_version()}", *(f"{name} {version(name)}" for name in sys.argv[1:])]))
"""


class Cost(NamedTuple):
    """What a process and the children it waited for used: CPU in seconds, user and system; memory at its peak in MiB."""

    cpu: float
    peak: float


def clean_environment(**more: str) -> dict[str, str]:
    """The caller's environment without what would bend a measurement, and `more`."""
    return (
        {name: value for name, value in os.environ.items() if name not in _DROPPED_VARIABLES} | _ADDED_VARIABLES | more
    )


def run_command(command: Sequence[str | Path], folder: Path, *, code: int = 0, **more: str) -> Cost:
    """Run a command in a folder, with `more` in its environment.

    Raises:
        SystemExit: when the command ends with another exit code than `code`, with the end of what it printed.
    """
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            list(map(str, command)),
            cwd=folder,
            env=clean_environment(**more),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != code:
            output.seek(0)
            sys.exit(
                f"{' '.join(map(str, command))}\nin {folder} ended with {process.returncode}:\n{output.read().decode()[-4000:]}"
            )
    kilobytes = usage.ru_maxrss if sys.platform != "darwin" else usage.ru_maxrss / 1024
    return Cost(usage.ru_utime + usage.ru_stime, kilobytes / 1024)


def describe_versions(python: Path, *distributions: str) -> str:
    """The version of an interpreter and of distributions installed for it, in words.

    Raises:
        SystemExit: when one of them is missing.
    """
    completed = subprocess.run(
        [python, "-c", _VERSIONS_PROGRAM, *distributions], capture_output=True, text=True, check=False
    )
    if completed.returncode:
        sys.exit(f"{python} needs {', '.join(distributions)}: {completed.stderr.strip().splitlines()[-1]}")
    return completed.stdout.strip()


def measure_in_turns(candidates: Mapping[str, Callable[[], Cost]], turns: int) -> dict[str, list[Cost]]:
    """Costs of each candidate, every one measured once a turn, after one turn that warms caches and writes bytecode."""
    costs: dict[str, list[Cost]] = {name: [] for name in candidates}
    for turn in range(turns + 1):
        for name, measured in candidates.items():
            cost = measured()
            if turn:
                costs[name].append(cost)
    return costs


def median_cost(costs: Sequence[Cost]) -> Cost:
    """Medians of CPU and memory, each by itself."""
    return Cost(statistics.median(cost.cpu for cost in costs), statistics.median(cost.peak for cost in costs))


def median_ratio(costs: Sequence[Cost], to: Sequence[Cost]) -> float:
    """How many times the CPU of `to`: the median over the turns."""
    return statistics.median(cost.cpu / other.cpu for cost, other in zip(costs, to, strict=True))


def cpu_differences(costs: Sequence[Cost], less: Sequence[Cost]) -> list[float]:
    """How many CPU seconds more than `less` in each turn, ascending."""
    return sorted(cost.cpu - other.cpu for cost, other in zip(costs, less, strict=True))


def median_difference(costs: Sequence[Cost], less: Sequence[Cost]) -> float:
    """How many CPU seconds more than `less`: the median over the turns."""
    return statistics.median(cpu_differences(costs, less))
