"""Where an image's dependencies and its Python come from: lock files, requirement files, `pyproject.toml`."""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING, Any

from kedro_k8s_airflow import credential_detection
from kedro_k8s_airflow.findings import Finding, error, refuse, warning
from kedro_k8s_airflow.locations import Location

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from kedro_k8s_airflow.config.models import BuildSettings

# The newest Python that every dependency of Kedro has wheels for comes first.
_PYTHONS = ("3.12", "3.13", "3.11", "3.10")


# A user or token in a URL; `${TOKEN}@` is filled in by the installer, and git@ is nobody's.
_USER = re.compile(r"https?://(?!\$\{|git@)[^/\s@'\"]+@")


def find_lock(path: Path) -> tuple[str, list[str], list[Finding]]:
    """The file that names the dependencies, the requirement files it takes, and findings."""
    if (path / "uv.lock").is_file():
        return "uv.lock", [], []
    if (path / "requirements.txt").is_file():
        files = _requirement_files(path)
        return "requirements.txt", files, list(_requirement_findings(path, files))
    table = _project_table(path)
    named = table.get("dependencies", [])
    if "dependencies" in table.get("dynamic", []):
        finding = warning(
            "image-no-kedro",
            Location(file="pyproject.toml"),
            "its dependencies are dynamic and there is neither uv.lock nor requirements.txt: the image is built without "
            "the files they come from.",
            "Write requirements.txt, for example with `uv pip compile pyproject.toml -o requirements.txt`.",
        )
        return "pyproject.toml", [], [finding]
    if not any(re.match(r"kedro\b", str(name)) for name in named):
        finding = warning(
            "image-no-kedro",
            Location(file="pyproject.toml"),
            "its [project] table does not depend on kedro and there is neither uv.lock nor requirements.txt, "
            "so the image would hold no Kedro and no pod could start.",
            f"Name the dependencies there, or write requirements.txt{_other_locks(path)}.",
        )
    else:
        finding = warning(
            "image-no-lock",
            Location(file="pyproject.toml"),
            "there is neither uv.lock nor requirements.txt, so two builds of the image may differ.",
            f"Make a lock with `uv lock`{_other_locks(path)}.",
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
                    Location(file=file, line=number),
                    f"{text!r} is not in the layer that installs dependencies, so the build would stop there.",
                    "Leave it out: the project's source is on the path without it.",
                )
    if not named:
        yield warning(
            "image-no-kedro",
            Location(file="requirements.txt"),
            "it does not name kedro, so no pod could start.",
            "Add kedro to it.",
        )


def _other_locks(path: Path) -> str:
    """How to get requirements.txt from what other tools keep."""
    for name, command in (
        ("poetry.lock", "`poetry export -f requirements.txt -o requirements.txt` (plugin poetry-plugin-export)"),
        ("pdm.lock", "`pdm export --prod -f requirements -o requirements.txt`"),
        ("src/requirements.txt", "`mv src/requirements.txt requirements.txt`"),
    ):
        if (path / name).is_file():
            return f", or take what {name} says: {command}"
    return ""


def excluded_names(path: Path, file: str, requirements: Sequence[str], build: BuildSettings) -> tuple[str, ...]:
    """Those of a build's `exclude` that production dependencies name, sorted; PyPI takes '-', '_' and '.' for one.

    Args:
        path: the project's folder.
        file: that names the dependencies: uv.lock, requirements.txt or pyproject.toml.
        requirements: requirements.txt with the files it includes.
        build: with the groups that are installed.
    """
    if file == "pyproject.toml":
        chosen = _tables(path).get("dependency-groups", {})
        text = str([_project_table(path), *(chosen.get(name) for name in build.groups)])
    else:
        files = requirements or [file]
        text = "\n".join(map(_without_comments, (path / one for one in files)))
    words = {normalize_name(word) for word in re.findall(r"[A-Za-z0-9][A-Za-z0-9._-]*", text)}
    return tuple(sorted({one for one in build.exclude if normalize_name(one) in words}))


def _without_comments(file: Path) -> str:
    """A requirement or lock file without comments."""
    return re.sub(r"(?m)(^|\s)#.*$", "", file.read_text(encoding="utf-8", errors="replace"))


def normalize_name(name: str) -> str:
    """A name as PyPI compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def find_credentials_in(path: Path, files: Iterable[str]) -> Iterable[Finding]:
    """Errors for credentials in files that the image holds, such as an index URL with a password."""
    for file in files:
        lines = (path / file).read_text(encoding="utf-8", errors="replace").splitlines()
        for number, line in enumerate(lines, start=1):
            if credential_detection.is_secret_value(line) or _USER.search(line):
                yield error(
                    "secret",
                    Location(file=file, line=number),
                    "holds what looks like a credential, and the image would hold the file.",
                    "Name the index without it, and its variables under build.secrets: docs/guides/image.md, private indexes.",
                )


def has_hashes(path: Path, files: Sequence[str]) -> bool:
    """Whether requirement files come with hashes."""
    return any("--hash=" in _without_comments(path / file) for file in files)


def group_names(path: Path) -> frozenset[str]:
    """Names of the dependency groups of pyproject.toml, as PyPI compares them."""
    return frozenset(normalize_name(str(name)) for name in _tables(path).get("dependency-groups", {}))


def extra_names(path: Path) -> frozenset[str]:
    """Names of the extras of pyproject.toml, as PyPI compares them."""
    found = _project_table(path).get("optional-dependencies", {})
    return frozenset(normalize_name(str(name)) for name in found)


def _requirement_files(path: Path) -> list[str]:
    """requirements.txt and the files of the project that it includes (`-r`, `-c`), relative to the project.

    Raises:
        Refused: when one of them is not there.
    """
    found: list[str] = []
    todo = ["requirements.txt"]
    while todo:
        name = todo.pop()
        if name in found:
            continue
        if name.startswith(("..", "/")) or not (path / name).is_file():
            raise refuse(
                "image-requirements",
                Location(file="requirements.txt"),
                f"includes {name}, which is no file of the project, so no image can have it.",
                "Mend the path, or take it out.",
            )
        found.append(name)
        for line in (path / name).read_text(encoding="utf-8", errors="replace").splitlines():
            match = re.match(r"\s*(?:-r|-c|--requirement|--constraint)[ =]*([A-Za-z0-9._/-]+)\s*(?:#.*)?$", line)
            if match:
                todo.append(posixpath.normpath(posixpath.join(posixpath.dirname(name), match[1])))
    return sorted(found)


def choose_python(path: Path) -> tuple[str, list[Finding]]:
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
        Location(
            file="pyproject.toml",
            key=(
                "project",
                "requires-python",
            ),
        ),
        f"{said!r} allows none of Python {', '.join(sorted(_PYTHONS))}; the image takes {_PYTHONS[0]}.",
        "Kedro needs one of these.",
    )
    return _PYTHONS[0], [finding]


def _project_table(path: Path) -> dict[str, Any]:
    table = _tables(path).get("project", {})
    return table if isinstance(table, dict) else {}


def _tables(path: Path) -> dict[str, Any]:
    """pyproject.toml; Kedro has parsed the file before."""
    return read_toml(path / "pyproject.toml")


def read_toml(file: Path) -> dict[str, Any]:
    """A TOML file."""
    import sys

    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib  # Kedro brings it on 3.10
    read: dict[str, Any] = tomllib.loads(file.read_text(encoding="utf-8"))
    return read
