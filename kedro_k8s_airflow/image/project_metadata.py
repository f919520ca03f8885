"""The metadata of the project as a package: the image holds its name, version and entry points without a build of the project."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, Any

from kedro_k8s_airflow.project.pyproject import find_entry_points, read_toml

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?\Z")
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9.!+_-]*\Z")
_VERSION_UNKNOWN = "0"
_SITE_PACKAGES = """$(python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"""


def metadata_commands(path: Path, source_folder: str, package: str) -> list[str]:
    """Return the shell commands that write the project's metadata beside the installed packages; none without a name.

    Args:
        path: the project's folder.
        source_folder: folder of the source, relative to the project.
        package: name of the project's package.
    """
    content = read_toml(path / "pyproject.toml")
    tools = _table(content, "tool")
    project, poetry = _table(content, "project"), _table(tools, "poetry")
    name = str(project.get("name", poetry.get("name", "")))
    if not _NAME.match(name):
        return []
    version = _find_version(path, path / source_folder, package, project, tools)
    folder = f"{re.sub(r'[-_.]+', '_', name)}-{version}.dist-info"
    files = {
        "METADATA": ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"],
        "entry_points.txt": list(_entry_point_lines(find_entry_points(content))),
        "top_level.txt": [package],
    }
    return [
        f'metadata="{_SITE_PACKAGES}/{folder}"',
        'mkdir -p "$metadata"',
        *(
            f"printf '%s\\n' {shlex.join(lines)} > \"$metadata/{file}\""
            for file, lines in files.items()
            if lines and all(line.isprintable() for line in lines)
        ),
    ]


def _entry_point_lines(groups: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for group, entries in groups.items():
        yield f"[{group}]"
        yield from (f"{name} = {value}" for name, value in entries.items())


def _find_version(path: Path, source: Path, package: str, project: Mapping[str, Any], tools: Mapping[str, Any]) -> str:
    """Return the version in pyproject.toml, or in the file from which the project's build reads it, or 0."""
    dynamic = _table(_table(_table(tools, "setuptools"), "dynamic"), "version")
    attribute = str(dynamic.get("attr", ""))
    module, _, variable = attribute.rpartition(".")
    listed = dynamic.get("file", [])
    named_files = [listed] if isinstance(listed, str) else listed
    candidates = [
        project.get("version", _table(tools, "poetry").get("version")),
        *(_read_literal(file, variable) for file in _module_files(source, module)),
        *(_read_text(path / str(file)).strip() for file in named_files),
        *(
            _read_literal(
                path / str(_table(_table(tools, tool), "version").get("path", "")), r"(?:__version__|VERSION)"
            )
            for tool in ("hatch", "pdm")
        ),
        *(_read_literal(file, "__version__") for file in _module_files(source, package)),
    ]
    return next(
        (version for version in candidates if isinstance(version, str) and _VERSION.match(version)), _VERSION_UNKNOWN
    )


def _module_files(source: Path, module: str) -> list[Path]:
    file = source.joinpath(*module.split("."))
    return [file / "__init__.py", file.with_name(f"{file.name}.py")] if module else []


def _read_literal(file: Path, variable: str) -> str | None:
    """Return the text that a line of a Python file assigns to a variable."""
    found = re.search(rf"(?m)^{variable}[ \t]*(?::[^=\n]+)?=[ \t]*(['\"])([^'\"\n]+)\1", _read_text(file))
    return found[2] if found else None


def _read_text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _table(content: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = content.get(key, {})
    return value if isinstance(value, dict) else {}
