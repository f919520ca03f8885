"""The image spec: Dockerfile, .dockerignore and the program in the pod, as texts. Building is not done here."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kedro_k8s_airflow import __version__, templates
from kedro_k8s_airflow.dag.pods import PROGRAM
from kedro_k8s_airflow.files import Output
from kedro_k8s_airflow.findings import Finding, refuse, warning
from kedro_k8s_airflow.plan import CONTRACT_VERSION

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from kedro_k8s_airflow.plan import Plan
    from kedro_k8s_airflow.project import Project

UV_IMAGE = "astral/uv:0.13.9"
# The newest Python that every dependency of Kedro has wheels for comes first.
_PYTHONS = ("3.12", "3.13", "3.11", "3.10")
_SAFE = re.compile(r"[A-Za-z0-9._/@+*?\[\]-]+\Z")


def spec(project: Project, plans: Sequence[Plan]) -> tuple[list[Output], list[Finding]]:
    """The files an image is built from, and what there is to say about them.

    Raises:
        Refused: when a Dockerfile cannot name what it has to copy.
    """
    lock, requirements, findings = _lock(project.path)
    python, found = _python(project.path)
    findings += found
    source = project.code
    conf = "" if "://" in project.conf_source else project.conf_source
    carried = dict(sorted(_carried(path, project) for plan in plans for path in plan.in_image))
    for path in (source, conf, *carried):
        if path and not _SAFE.match(path):
            raise refuse(
                "image-path",
                f"path {path!r}",
                "cannot be named in a Dockerfile.",
                "Rename it to letters, digits, '-', '_' and '.'.",
            )
    values: dict[str, Any] = {
        "version": __version__,
        "base_image": f"python:{python}-slim",
        "uv_image": UV_IMAGE,
        "project_path": plans[0].project_path,
        "lock": lock,
        "requirements": requirements,
        "source": source,
        "conf": conf,
        "in_image": carried,
        "package": project.package,
        "contract": CONTRACT_VERSION,
    }
    program = Path(__file__).with_name("pod.py").read_text(encoding="utf-8")
    outputs = [
        Output(project.path / "Dockerfile", templates.fill("Dockerfile.j2", **values), yields=True),
        Output(project.path / ".dockerignore", templates.fill("dockerignore.j2", **values), yields=True),
        Output(project.path / PROGRAM, program),
    ]
    return outputs, findings


def _carried(path: str, project: Project) -> tuple[str, str]:
    """A path of `data.in_image` as COPY takes it: source and destination.

    Raises:
        Refused: when it is not in the project, or no COPY can name it.
    """
    clean = posixpath.normpath(path)
    where = f"data.in_image: {path}"
    folder, name = posixpath.split(clean)
    if clean.startswith(("/", "..")) or clean == ".":
        raise refuse(
            "image-path",
            where,
            "is not inside the project, so no image can carry it.",
            "Name a path relative to the project.",
        )
    if any(sign in folder for sign in "*?[") or "**" in name or (not folder and any(sign in name for sign in "*?[")):
        raise refuse(
            "image-path",
            where,
            "has a pattern that no COPY can follow.",
            "Use patterns in the last part of the path only.",
        )
    if any(sign in name for sign in "*?["):
        return clean, f"{folder}/"
    if not (project.path / clean).exists():
        raise refuse("image-path", where, "does not exist, so no image can carry it.", "Mend the path.")
    return (f"{clean}/", f"{clean}/") if (project.path / clean).is_dir() else (clean, clean)


def _lock(path: Path) -> tuple[str, list[str], list[Finding]]:
    """The file that names the dependencies, the requirement files it takes, and findings."""
    if (path / "uv.lock").is_file():
        return "uv.lock", [], []
    if (path / "requirements.txt").is_file():
        files = _requirement_files(path)
        return "requirements.txt", files, list(_requirement_findings(path, files))
    table = _project_table(path)
    named = table.get("dependencies", [])
    if "dependencies" not in table.get("dynamic", []) and not any(re.match(r"kedro\b", str(name)) for name in named):
        finding = warning(
            "image-no-kedro",
            "pyproject.toml",
            "its [project] table does not depend on kedro and there is neither uv.lock nor requirements.txt, "
            "so the image would hold no Kedro and no pod could start.",
            f"Name the dependencies there, or write requirements.txt{_other_locks(path)}.",
        )
    else:
        finding = warning(
            "image-no-lock",
            "pyproject.toml",
            "there is neither uv.lock nor requirements.txt, so two builds of the image may differ.",
            "Make a lock with `uv lock`.",
        )
    return "pyproject.toml", [], [finding]


def _requirement_findings(path: Path, files: Sequence[str]) -> Iterable[Finding]:
    """Warnings for requirement files that give no image pods could start from."""
    named = False
    for file in files:
        for number, line in enumerate(
            (path / file).read_text(encoding="utf-8", errors="replace").splitlines(), start=1
        ):
            text = line.split("#")[0].strip()
            named |= bool(re.match(r"kedro\b", text))
            if re.match(r"(-e\b|--editable\b|\.)", text):
                yield warning(
                    "image-local",
                    f"{file}, line {number}",
                    f"{text!r} is not in the layer that installs dependencies, so the build would stop there.",
                    "Leave it out: the project's source is on the path without it.",
                )
    if not named:
        yield warning(
            "image-no-kedro", "requirements.txt", "it does not name kedro, so no pod could start.", "Add kedro to it."
        )


def _other_locks(path: Path) -> str:
    """How to get requirements.txt from what other tools keep."""
    for name, command in (
        ("poetry.lock", "`poetry export -o requirements.txt`"),
        ("pdm.lock", "`pdm export -o requirements.txt`"),
        ("src/requirements.txt", "`mv src/requirements.txt requirements.txt`"),
    ):
        if (path / name).is_file():
            return f", for example with {command}"
    return ""


def _requirement_files(path: Path) -> list[str]:
    """requirements.txt and the files of the project that it includes (`-r`, `-c`), relative to the project."""
    found: list[str] = []
    todo = ["requirements.txt"]
    while todo:
        name = todo.pop()
        if name in found or name.startswith("..") or not (path / name).is_file():
            continue
        found.append(name)
        for line in (path / name).read_text(encoding="utf-8", errors="replace").splitlines():
            match = re.match(r"\s*(?:-r|-c|--requirement|--constraint)[ =]*([A-Za-z0-9._/-]+)\s*(?:#.*)?$", line)
            if match:
                todo.append(posixpath.normpath(posixpath.join(posixpath.dirname(name), match[1])))
    return sorted(found)


def _python(path: Path) -> tuple[str, list[Finding]]:
    """The Python of the base image: the first of ours that the project's `requires-python` allows; and findings."""
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    said = str(_project_table(path).get("requires-python", ""))
    try:
        allowed = SpecifierSet(said)
    except InvalidSpecifier:
        allowed = SpecifierSet("<0")
    for version in _PYTHONS:
        if any(allowed.contains(f"{version}.{patch}") for patch in range(40)):
            return version, []
    finding = warning(
        "image-python",
        "pyproject.toml: project.requires-python",
        f"{said!r} allows none of Python {', '.join(sorted(_PYTHONS))}; the image takes {_PYTHONS[0]}.",
        "Kedro needs one of these.",
    )
    return _PYTHONS[0], [finding]


def _project_table(path: Path) -> dict[str, Any]:
    """The `[project]` table of pyproject.toml; Kedro has parsed the file before."""
    import sys

    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib  # Kedro brings it on 3.10
    table = tomllib.loads((path / "pyproject.toml").read_text(encoding="utf-8")).get("project", {})
    return table if isinstance(table, dict) else {}
