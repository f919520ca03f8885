"""What an image costs: its build, cold and after a change; its size; what is pushed again; its first `kedro run`.

The demo project with one set of dependencies, as the spec that `create` writes, as kedro-docker's Dockerfile with its .dockerignore,
and as a plain `pip install`; all by podman, in turns. Needs podman, and the base images where podman finds them.
"""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import measure
import options
import report

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ROOT = Path(__file__).resolve().parent.parent
BUILD_IMAGE, KEDRO_DOCKER, PIP = "build-image", "kedro-docker", "pip"
BASE = "python:3.12-slim"
PIP_DOCKERFILE = f"""\
FROM {BASE}
COPY requirements.txt /tmp/requirements.txt
RUN pip install --no-cache-dir -r /tmp/requirements.txt
WORKDIR /home/kedro
COPY . .
USER 1000:0
CMD ["kedro", "run"]
"""
_ADDED_REQUIREMENT = "tabulate==0.9.0"
_COLD_BUILD_NOTE = (
    "The cold build misses its aim: both commit some 500 MB in 8 s, and ours compiles bytecode for 6 s, which kedro-docker leaves "
    "to every pod; the index is near, so there is little else to save."
)
_TIMED_PROGRAM = """
import json, os, resource, subprocess, sys
done = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
if done.returncode:
    sys.exit(done.stderr[-3000:])
print(json.dumps(used.ru_utime + used.ru_stime))
"""


class Figures(NamedTuple):
    """Of one candidate in one turn: seconds by the clock, bytes, CPU seconds."""

    cold: float
    source: float
    conf: float
    dependency: float
    source_bytes: int
    conf_bytes: int
    dependency_bytes: int
    size: int
    start: float


class Candidate(NamedTuple):
    """A project folder with its Dockerfile, and what else its build is told."""

    name: str
    project: Path
    options: tuple[str, ...] = ()

    @property
    def tag(self) -> str:
        """Of its image."""
        return f"localhost/bench-{self.name}:1"


def run_command(*command: object, cwd: Path | None = None) -> str:
    """The stdout of a command that has to succeed."""
    completed = subprocess.run([str(part) for part in command], cwd=cwd, capture_output=True, text=True, check=False)
    if completed.returncode:
        sys.exit(f"{command}\n{(completed.stdout + completed.stderr)[-4000:]}")
    return completed.stdout


def make_candidates(folder: Path, uv: Path, kedro_docker: Path) -> list[Candidate]:
    """The three candidates, each with its own copy of the demo."""
    leave = shutil.ignore_patterns(
        "data", "dags", ".venv", "__pycache__", ".*_cache", "uv.lock", "Dockerfile", ".dockerignore", ".k8s-airflow"
    )
    folders = {name: folder / name for name in (BUILD_IMAGE, KEDRO_DOCKER, PIP)}
    for project in folders.values():
        shutil.copytree(ROOT / "demo-project", project, ignore=leave)
        run_command(uv, "--quiet", "lock", "--python", sys.executable, cwd=project)
        write_requirements(project, uv)
    run_command(sys.executable, "-m", "kedro", "k8s-airflow", "create", "--quiet", cwd=folders[BUILD_IMAGE])
    template = next(kedro_docker.parents[1].glob("lib/python*/site-packages/kedro_docker/template"))
    for name in (KEDRO_DOCKER, PIP):
        shutil.copy(template / ".dockerignore", folders[name] / ".dockerignore")
        (folders[name] / "uv.lock").unlink()
    shutil.copy(template / "Dockerfile.simple", folders[KEDRO_DOCKER] / "Dockerfile")
    (folders[PIP] / "Dockerfile").write_text(PIP_DOCKERFILE)
    arguments = (f"--build-arg=BASE_IMAGE={BASE}", "--build-arg=KEDRO_UID=1000", "--build-arg=KEDRO_GID=0")
    return [
        Candidate(BUILD_IMAGE, folders[BUILD_IMAGE]),
        Candidate(KEDRO_DOCKER, folders[KEDRO_DOCKER], arguments),
        Candidate(PIP, folders[PIP]),
    ]


def write_requirements(project: Path, uv: Path) -> None:
    """requirements.txt with what uv.lock says."""
    export_options = (
        "--no-default-groups",
        "--no-emit-project",
        "--no-hashes",
        "--no-annotate",
        "--no-header",
        "--format=requirements.txt",
    )
    (project / "requirements.txt").write_text(
        run_command(uv, "--quiet", "export", "--locked", *export_options, cwd=project)
    )


def build_image(candidate: Candidate, *more: str) -> float:
    """Seconds by the clock of a build."""
    started = time.monotonic()
    run_command("podman", "build", "--quiet", f"--tag={candidate.tag}", *candidate.options, *more, candidate.project)
    return time.monotonic() - started


def compressed_layers(candidate: Candidate, folder: Path) -> dict[str, int]:
    """The compressed layers that a registry would get, with their bytes, by digest."""
    target = folder / "pushed"
    shutil.rmtree(target, ignore_errors=True)
    run_command("podman", "push", "--quiet", "--format=oci", candidate.tag, f"oci:{target}:1")
    layer_sizes = {path.name: path.stat().st_size for path in (target / "blobs" / "sha256").iterdir()}
    shutil.rmtree(target)
    return layer_sizes


def start_container(candidate: Candidate, data: Path) -> float:
    """CPU seconds of the first `kedro run` of one node in a fresh container, without network."""
    workdir = run_command("podman", "image", "inspect", "--format={{.Config.WorkingDir}}", candidate.tag).strip()
    output = run_command(
        *("podman", "run", "--rm", "--network=none", f"--volume={data}:{workdir}/data", "--env=DO_NOT_TRACK=1"),
        *("--env=KEDRO_DISABLE_TELEMETRY=1", "--env=HOME=/tmp", candidate.tag, "python", "-c", _TIMED_PROGRAM),
        *("kedro", "run", "--pipelines=ingest", "--nodes=clean_airports"),
    )
    return float(json.loads(output.strip().splitlines()[-1]))


def list_changes(uv: Path, turn: int) -> dict[str, Callable[[Path], None]]:
    """What a developer does between two builds."""

    def source(project: Path) -> None:
        (project / "src" / "flights" / f"more_{turn}.py").write_text(f"X = {turn}\n")

    def conf(project: Path) -> None:
        (project / "conf" / "base" / f"parameters_more_{turn}.yml").write_text(f"more_{turn}: 1\n")

    def dependency(project: Path) -> None:
        path, mark = project / "pyproject.toml", uuid.uuid4().hex  # or an engine takes the layer from its cache
        text = path.read_text()
        path.write_text(text.replace("dependencies = [", f'dependencies = [  # {mark}\n  "{_ADDED_REQUIREMENT}",', 1))
        if (project / "uv.lock").exists():
            run_command(uv, "--quiet", "lock", "--python", sys.executable, cwd=project)
        with (project / "requirements.txt").open("a") as file:
            file.write(f"{_ADDED_REQUIREMENT}  # {mark}\n")

    return {"source": source, "conf": conf, "dependency": dependency}


def measure_candidate(candidate: Candidate, uv: Path, data: Path, folder: Path, turn: int) -> Figures:
    """One turn of one candidate."""
    cold = build_image(candidate, "--no-cache")
    size = int(run_command("podman", "image", "inspect", "--format={{.Size}}", candidate.tag))
    first = start_container(candidate, data)
    # Without the cache nothing was put there that the next build could take.
    build_image(candidate)
    before = compressed_layers(candidate, folder)
    seconds, pushed = {}, {}
    for name, change in list_changes(uv, turn).items():
        change(candidate.project)
        seconds[name] = build_image(candidate)
        current = compressed_layers(candidate, folder)
        pushed[name] = sum(size for digest, size in current.items() if digest not in before)
        before = current
    return Figures(
        cold,
        seconds["source"],
        seconds["conf"],
        seconds["dependency"],
        pushed["source"],
        pushed["conf"],
        pushed["dependency"],
        size,
        first,
    )


def build_section(names: Sequence[str], uv: Path, kedro_docker: Path, turns: int, folder: Path) -> report.Section:
    """Measure, and put the figures together."""
    data = folder / "data"
    (data / "01_raw").mkdir(parents=True)
    run_command(sys.executable, "raw_data.py", cwd=ROOT / "demo-project")
    shutil.copytree(ROOT / "demo-project" / "data" / "01_raw", data / "01_raw", dirs_exist_ok=True)
    run_command("chmod", "-R", "a+rwX", data)
    figures: dict[str, list[Figures]] = {}
    for turn in range(turns):
        turn_folder = folder / f"turn-{turn}"
        for candidate in make_candidates(turn_folder, uv, kedro_docker):
            if candidate.name not in names:
                continue
            print(f"image: turn {turn + 1} of {turns}, {candidate.name}", file=sys.stderr, flush=True)
            figures.setdefault(candidate.name, []).append(measure_candidate(candidate, uv, data, folder, turn))
    medians = {
        name: Figures(*(statistics.median(column) for column in zip(*candidate_figures, strict=True)))
        for name, candidate_figures in figures.items()
    }

    def median_ratio(field: str) -> float:
        pairs = zip(figures[BUILD_IMAGE], figures[KEDRO_DOCKER], strict=True)
        return statistics.median(getattr(ours, field) / getattr(other, field) for ours, other in pairs)

    ours, other = medians[BUILD_IMAGE], medians[KEDRO_DOCKER]
    bytecode = int(
        run_command(
            "podman",
            "run",
            "--rm",
            f"localhost/bench-{BUILD_IMAGE}:1",
            "sh",
            "-c",
            "find / -xdev -name '*.pyc' -print0 | du -cb --files0-from=- | tail -1 | cut -f1",
        ).strip()
    )
    rows = [
        [
            name,
            *(f"{seconds:.1f} s" for seconds in (them.cold, them.source, them.conf, them.dependency)),
            *(f"{size / 1e6:.2f} MB" for size in (them.source_bytes, them.conf_bytes, them.dependency_bytes)),
            f"{them.size / 1e6:.0f} MB",
            f"{them.start:.2f} s",
        ]
        for name, them in medians.items()
    ]
    return report.Section(
        "image",
        "The image",
        (
            "",
            "cold build",
            "after a source change",
            "conf",
            "dependency",
            "pushed again: source",
            "conf",
            "dependency",
            "size",
            "first `kedro run`, CPU",
        ),
        rows,
        [
            report.Aim(f"cold build to {KEDRO_DOCKER}", median_ratio("cold"), 0.7),
            report.Aim("build after a source change", ours.source, 5, " s"),
            report.Aim("pushed again after a source change", ours.source_bytes / 1e6, 1, " MB"),
            report.Aim(f"first `kedro run` to {KEDRO_DOCKER}", median_ratio("start"), 0.45),
            report.Aim(f"size to {KEDRO_DOCKER} and our bytecode", ours.size / (other.size + bytecode), 1),
        ],
        [
            _COLD_BUILD_NOTE,
            f"Medians of {turns} turns, podman, `--no-cache` for the cold build. All hold the same versions of the demo's dependencies; ours "
            f"holds {bytecode / 1e6:.0f} MB of bytecode, which the others' pods make anew at every start. "
            + report.describe_conditions(measure.describe_versions(kedro_docker, "kedro", "kedro-docker")),
        ],
    )


def main(argv: list[str] | None = None) -> bool:
    """Measure and print; whether the aims were met."""
    parser = options.make_parser(__doc__, turns=3, python=False)
    parser.add_argument("--uv", type=Path, default=ROOT / ".tools" / "uv" / "bin" / "uv")
    parser.add_argument("--kedro-docker", type=Path, default=ROOT / ".venvs" / "kedro-docker" / "bin" / "python")
    arguments = options.parse_options(parser, argv)
    names = (BUILD_IMAGE, KEDRO_DOCKER) if arguments.quick else (BUILD_IMAGE, KEDRO_DOCKER, PIP)
    with tempfile.TemporaryDirectory(prefix="kka-image-") as folder:
        there = Path(folder).resolve()
        report_section = build_section(
            names, arguments.uv.absolute(), arguments.kedro_docker.absolute(), arguments.turns, there
        )
        return report.print_section(report_section, write=arguments.write)


if __name__ == "__main__":
    main()
