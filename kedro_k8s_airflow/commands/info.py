"""`info`: the facts that a bug report needs, without values of settings, names of registries, or paths outside the project.

Nothing here fails: a fact that cannot be had is `unknown`, a program or package that is missing is `not found`.
"""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from kedro_k8s_airflow.findings import Refused
from kedro_k8s_airflow.image.engines import ENGINE_NAMES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from kedro.framework.startup import ProjectMetadata

    from kedro_k8s_airflow.project.model import Project

UNKNOWN = "unknown"
NOT_FOUND = "not found"
DISTRIBUTIONS = (
    "kedro-k8s-airflow",
    "kedro",
    "kedro-datasets",
    "kedro-airflow",
    "apache-airflow",
    "apache-airflow-providers-cncf-kubernetes",
)
_VERSION_COMMANDS = {
    **{name: (name, "--version") for name in (*ENGINE_NAMES, "uv", "git")},
    "kubectl": ("kubectl", "version", "--client"),
}
_VERSION = re.compile(r"(?<!\d)\d+(?:\.\d+)+(?:[-.]?(?:alpha|beta|dev|rc)\.?\d*)?")
_TIME_LIMIT = 10  # seconds for one program to print its version


@dataclass(frozen=True, kw_only=True)
class ProjectFacts:
    """What a bug report says of a project.

    Attributes:
        package: import name.
        problems: codes of the findings that keep the project from being read.
        pipelines: number of registered pipelines.
        nodes: number of nodes with different names in them.
        settings_files: relative to the project, in all environments.
        lock: file that the image's dependencies come from.
        base_image: whether the settings name a base image: `yes` or `no`.
    """

    package: str
    problems: tuple[str, ...]
    pipelines: int | str
    nodes: int | str
    settings_files: tuple[str, ...]
    lock: str
    base_image: str


@dataclass(frozen=True, kw_only=True)
class SystemInfo:
    """What a bug report says of a machine and of the project at hand.

    Attributes:
        python: version and implementation.
        system: operating system, its release and the architecture.
        packages: versions of distributions by name.
        programs: versions of programs on PATH by name.
        project: None outside a project.
    """

    python: str
    system: str
    packages: Mapping[str, str]
    programs: Mapping[str, str]
    project: ProjectFacts | None


def gather_info(open_project: Callable[[], ProjectMetadata | None]) -> SystemInfo:
    """Return the facts about this machine and project.

    Args:
        open_project: returns the project at hand, or None if there is none; may fail.
    """
    with ThreadPoolExecutor() as pool:
        versions = list(pool.map(_program_version, _VERSION_COMMANDS.values()))
    return SystemInfo(
        python=f"{platform.python_version()} ({platform.python_implementation()})",
        system=platform.platform() or UNKNOWN,
        packages={name: _package_version(name) for name in DISTRIBUTIONS},
        programs=dict(zip(_VERSION_COMMANDS, versions, strict=True)),
        project=_describe_project(open_project),
    )


def _package_version(name: str) -> str:
    try:
        return metadata.version(name) or UNKNOWN
    except metadata.PackageNotFoundError:
        return NOT_FOUND
    except Exception:  # noqa: BLE001  metadata on disk may be damaged in any way
        return UNKNOWN


def _program_version(command: tuple[str, ...]) -> str:
    """Return the version that a program prints, and nothing else of what it prints."""
    path = shutil.which(command[0])
    if path is None:
        return NOT_FOUND
    try:
        done = subprocess.run(
            [path, *command[1:]],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_TIME_LIMIT,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return UNKNOWN
    version = _VERSION.search(done.stdout)
    if done.returncode or version is None:
        return UNKNOWN
    emulated = command[0] == "docker" and "podman" in done.stdout.lower()
    return f"{version[0]} (podman)" if emulated else version[0]


def _describe_project(open_project: Callable[[], ProjectMetadata | None]) -> ProjectFacts | None:
    try:
        kedro_project = open_project()
    except (Exception, SystemExit):  # noqa: BLE001  the project's own code may raise anything
        return ProjectFacts(
            package=UNKNOWN,
            problems=("project",),
            pipelines=UNKNOWN,
            nodes=UNKNOWN,
            settings_files=(),
            lock=UNKNOWN,
            base_image=UNKNOWN,
        )
    if kedro_project is None:
        return None
    root = Path(kedro_project.project_path).resolve()
    project, problems = _read_project(kedro_project)
    return ProjectFacts(
        package=kedro_project.package_name,
        problems=problems,
        pipelines=UNKNOWN if project is None else len(project.pipelines),
        nodes=UNKNOWN
        if project is None
        else len({node.name for nodes in project.pipelines.values() for node in nodes}),
        settings_files=tuple(_find_settings_files(root, "conf" if project is None else project.conf_folder)),
        lock=_find_lock(root),
        base_image=UNKNOWN if project is None else _has_base_image(project.settings),
    )


def _read_project(kedro_project: ProjectMetadata) -> tuple[Project | None, tuple[str, ...]]:
    """Return the project, or None with the codes of what keeps it from being read."""
    try:
        from kedro_k8s_airflow.project.reader import read_project

        return read_project(kedro_project), ()
    except Refused as refused:
        return None, tuple(dict.fromkeys(finding.code for finding in refused.findings))
    except (Exception, SystemExit):  # noqa: BLE001  the project's own code may raise anything
        return None, ("project",)


def _find_settings_files(root: Path, conf_folder: str) -> Iterable[str]:
    """Yield the settings files of all environments, relative to the project; none for a configuration outside it."""
    from kedro_k8s_airflow.project.configuration import SETTINGS_NAME, glob_config_files

    try:
        conf = root / conf_folder
        environments = sorted(entry.name for entry in conf.iterdir() if entry.is_dir()) if conf_folder else []
        yield from (file.relative_to(root).as_posix() for file in glob_config_files(conf, environments, SETTINGS_NAME))
    except (OSError, ValueError):
        return


def _find_lock(root: Path) -> str:
    try:
        from kedro_k8s_airflow.image.dependencies import find_dependency_file

        name, _, _ = find_dependency_file(root)
    except Exception:  # noqa: BLE001  a requirements file or pyproject.toml may be damaged in any way
        return UNKNOWN
    return name


def _has_base_image(settings: Mapping[str, object] | None) -> str:
    """Return whether `build` or an image of `images` names a base image, without looking at which one it is."""
    images = (settings or {}).get("images")
    blocks = [(settings or {}).get("build"), *(images.values() if isinstance(images, dict) else [])]
    return "yes" if any(isinstance(block, dict) and block.get("base") for block in blocks) else "no"
