"""The dependencies and the Python of an image, read from lock files, requirement files and `pyproject.toml`."""

from __future__ import annotations

import codecs
import posixpath
import re
from functools import cache
from typing import TYPE_CHECKING, Any

from kedro_k8s_airflow import credential_detection
from kedro_k8s_airflow.findings import Finding, Refused, error, refuse, warning
from kedro_k8s_airflow.locations import Location
from kedro_k8s_airflow.project.pyproject import read_toml

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from packaging.specifiers import SpecifierSet

    from kedro_k8s_airflow.config.models import BuildSettings

# First the newest Python for which every dependency of Kedro has wheels.
_PYTHON_VERSIONS = ("3.12", "3.13", "3.11", "3.10", "3.14")


def find_dependency_file(path: Path) -> tuple[str, list[str], list[Finding]]:
    """Return the file that lists the dependencies, the requirement files it includes, and findings.

    Raises:
        Refused: if pyproject.toml is malformed, or an included file does not exist.
    """
    errors = list(_find_malformed_keys(_read_pyproject(path)))
    if errors:
        raise Refused(errors)
    if (path / "uv.lock").is_file():
        return "uv.lock", [], list(_lock_findings(path))
    if (path / "requirements.txt").is_file():
        files = _find_requirement_files(path)
        return "requirements.txt", files, list(_requirement_findings(path, files))
    table = _read_project_table(path)
    declared = table.get("dependencies", [])
    if "dependencies" in table.get("dynamic", []):
        finding = warning(
            "image-no-kedro",
            Location(file="pyproject.toml"),
            "has dynamic dependencies, but the project has neither uv.lock nor requirements.txt. The build does not see the "
            "files that the dependencies come from.",
            "Create requirements.txt, for example with `uv pip compile pyproject.toml -o requirements.txt`.",
        )
        return "pyproject.toml", [], [finding]
    if not any(re.match(r"kedro\b", str(name)) for name in declared):
        finding = warning(
            "image-no-kedro",
            Location(file="pyproject.toml"),
            "does not list kedro in its [project] table, and the project has neither uv.lock nor requirements.txt. Pods could "
            "not start because the image would not contain Kedro.",
            f"List the dependencies there, or create requirements.txt{_export_hint(path)}.",
        )
    elif any((folder / "uv.lock").is_file() for folder in path.resolve().parents):
        finding = warning(
            "image-no-lock",
            Location(file="pyproject.toml"),
            "is part of a workspace whose uv.lock is outside the project, where the build does not see it, so two builds of "
            "the image may differ.",
            "Create requirements.txt with `uv export --no-emit-workspace --no-dev -o requirements.txt`; move code of other "
            "members into the project's source, or install it from a package index.",
        )
    else:
        finding = warning(
            "image-no-lock",
            Location(file="pyproject.toml"),
            "is not accompanied by uv.lock or requirements.txt, so two builds of the image may differ.",
            f"Create a lock with `uv lock`{_export_hint(path)}.",
        )
    return "pyproject.toml", [], [finding]


def _lock_findings(path: Path) -> Iterable[Finding]:
    """Yield a warning for each package of uv.lock that is a folder or file beside the project."""
    try:
        packages = read_toml(path / "uv.lock").get("package", [])
        sources = [(str(package["name"]), package.get("source", {})) for package in packages]
        local = [
            (name, str(source[kind]))
            for name, source in sources
            for kind in ("directory", "editable", "path", "virtual")
            if source.get(kind, ".") != "."
        ]
    except (ValueError, KeyError, TypeError, AttributeError):
        return  # not a lock of uv; the build reports it
    for name, place in local:
        yield warning(
            "image-local",
            Location(file="uv.lock"),
            f"{name!r} is the path {place!r}, which is not available in the layer that installs dependencies, so the build "
            "would fail.",
            "Move its code into the project's source, or install it from a package index or a Git repository.",
        )


def find_git_dependency(path: Path, file: str, requirements: Sequence[str]) -> Location | None:
    """Return the first place in the dependencies that names a Git repository, or None. Installing it needs the program git."""
    pattern = (
        r"(?m)^source = \{ git = " if file == "uv.lock" else r"(?m)^[^#\n]*(?:@\s*|^)\"?git\+(?:https?|ssh|file)://"
    )
    for name in requirements or [file]:
        text = read_requirement_file(path / name)
        found = re.search(pattern, text)
        if found:
            return Location(file=name, line=text.count("\n", 0, found.start()) + 1)
    return None


def has_dynamic_dependencies(path: Path) -> bool:
    """Return whether the dependencies of a project are known only after its build, which needs the project's files."""
    dynamic = _read_project_table(path).get("dynamic", [])
    return not {"dependencies", "optional-dependencies", "requires-python"}.isdisjoint(dynamic)


def _find_malformed_keys(content: Mapping[str, Any]) -> Iterable[Finding]:
    """Yield an error for each key of pyproject.toml about dependencies that has not the form of the standards."""

    def malformed(key: Sequence[str], value: object, form: str) -> Finding:
        message = f"{credential_detection.show_value(value, key)} is not {form}."
        return error("image-pyproject", Location(file="pyproject.toml", key=tuple(key)), message, "Correct it.")

    def is_list_of_strings(value: object) -> bool:
        return isinstance(value, list) and all(isinstance(item, str) for item in value)

    project = content.get("project", {})
    if not isinstance(project, dict):
        yield malformed(("project",), project, "a table, which is written [project]")
        project = {}
    for key in ("dependencies", "dynamic"):
        if not is_list_of_strings(project.get(key, [])):
            yield malformed(("project", key), project[key], "a list of strings")
    for key in ("name", "version", "requires-python"):
        if not isinstance(project.get(key, ""), str):
            yield malformed(("project", key), project[key], "a string")
    extras = project.get("optional-dependencies", {})
    if not isinstance(extras, dict):
        yield malformed(("project", "optional-dependencies"), extras, "a table of lists of strings")
    for name, packages in extras.items() if isinstance(extras, dict) else ():
        if not is_list_of_strings(packages):
            yield malformed(("project", "optional-dependencies", name), packages, "a list of strings")
    groups = content.get("dependency-groups", {})
    if not isinstance(groups, dict):
        yield malformed(("dependency-groups",), groups, "a table of lists")
    for name, packages in groups.items() if isinstance(groups, dict) else ():
        if not isinstance(packages, list) or not all(map(_is_group_entry, packages)):
            form = "a list of strings and of tables such as {include-group = 'test'}"
            yield malformed(("dependency-groups", name), packages, form)


def _is_group_entry(entry: object) -> bool:
    is_include = isinstance(entry, dict) and set(entry) == {"include-group"} and isinstance(entry["include-group"], str)
    return is_include or isinstance(entry, str)


def _requirement_findings(path: Path, files: Sequence[str]) -> Iterable[Finding]:
    """Yield warnings for requirement files from which a build fails or pods cannot start."""
    lists_kedro = False
    for file in files:
        for number, line in enumerate(read_requirement_file(path / file).splitlines(), start=1):
            text = re.split(r"(?:^|\s)#", line)[0].strip()
            lists_kedro |= bool(re.match(r"kedro\b", text))
            problem = _describe_uninstallable(text)
            if problem:
                shown = credential_detection.without_url_credentials(text)
                yield warning("image-local", Location(file=file, line=number), f"{shown!r} {problem[0]}", problem[1])
    if not lists_kedro:
        yield warning(
            "image-no-kedro",
            Location(file="requirements.txt"),
            "does not list kedro, so pods could not start.",
            "Add kedro.",
        )


def _describe_uninstallable(text: str) -> tuple[str, str] | None:
    """Return why the layer of the dependencies cannot install a requirement, and what to do; None if nothing is known."""
    editable = re.match(r"(?:-e|--editable)(?:\s+|=)\s*(.*)", text)
    target = editable[1].strip("'\"") if editable else text
    url = re.match(r"(?:(?:[\w.-]+)(?:\[[^\]]*\])?\s*@\s*)?(?!file:)([A-Za-z][A-Za-z0-9+.-]*://\S*)", target)
    if url and editable:
        name = re.search(r"[#&]egg=([\w.-]+)", url[1])
        requirement = f"{name[1] if name else 'NAME'} @ {url[1].partition('#')[0]}"
        return (
            "is an editable URL, which uv does not install, so the build would fail.",
            f"Write `{credential_detection.without_url_credentials(requirement)}`"
            + ("; git itself has to be in build.build_packages." if url[1].startswith("git+") else "."),
        )
    if re.match(r"\.(?:\[[^\]]*\])?$", target):
        return (
            "is not available in the layer that installs dependencies, so the build would fail.",
            "Remove it; the project's source is importable without it.",
        )
    if url or (text.startswith("-") and not editable):
        return None
    is_archive = re.search(r"\.(whl|zip|tar\.gz)(\s|;|$)", target)
    is_path = re.match(r"(?:[\w.-]+(?:\[[^\]]*\])?\s*@\s*)?(?:file:|\.{1,2}/|/|[\w.-]+/)", target)
    if editable or is_path or is_archive:
        return (
            "is a path that is not available in the layer that installs dependencies, so the build would fail.",
            "Move its code into the project's source, or install it from a package index or a Git repository.",
        )
    return None


def read_requirement_file(file: Path) -> str:
    """Return the text of a requirement or lock file, decoded by its byte order mark as the installer decodes it."""
    content = file.read_bytes()
    marked = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return content.decode("utf-16" if marked else "utf-8-sig", errors="replace")


def _export_hint(path: Path) -> str:
    """Return how to create requirements.txt from the file of another tool, or ""."""
    for name, command in (
        ("poetry.lock", "`poetry export -f requirements.txt -o requirements.txt` (plugin poetry-plugin-export)"),
        ("pdm.lock", "`pdm export --prod -f requirements -o requirements.txt`"),
        ("src/requirements.txt", "`mv src/requirements.txt requirements.txt`"),
    ):
        if (path / name).is_file():
            return f", or convert {name}: {command}"
    return ""


def find_excluded_packages(path: Path, file: str, requirements: Sequence[str], build: BuildSettings) -> tuple[str, ...]:
    """Return the names of a build's `exclude` that are among its dependencies, sorted.

    Args:
        path: the project's folder.
        file: the file that lists the dependencies: uv.lock, requirements.txt or pyproject.toml.
        requirements: requirements.txt and the files it includes.
        build: the build, with the groups to install.
    """
    if file == "pyproject.toml":
        groups = _read_pyproject(path).get("dependency-groups", {})
        text = str([_read_project_table(path), *(groups.get(name) for name in build.groups)])
    else:
        files = requirements or [file]
        text = "\n".join(map(_read_without_comments, (path / name for name in files)))
    words = {normalize_package_name(word) for word in re.findall(r"[A-Za-z0-9][A-Za-z0-9._-]*", text)}
    return tuple(sorted({name for name in build.exclude if normalize_package_name(name) in words}))


def _read_without_comments(file: Path) -> str:
    """Return the text of a requirement or lock file without comments."""
    return re.sub(r"(?m)(^|\s)#.*$", "", read_requirement_file(file))


def normalize_package_name(name: str) -> str:
    """Return a package name in normalized form, in which '-', '_' and '.' are the same."""
    return re.sub(r"[-_.]+", "-", name).lower()


def find_credentials_in_files(path: Path, files: Iterable[str]) -> Iterable[Finding]:
    """Yield errors for credentials in files that go into the image, such as an index URL with a password."""
    for file in files:
        for number, line in enumerate(read_requirement_file(path / file).splitlines(), start=1):
            if credential_detection.has_url_credential(line):
                yield error(
                    "secret",
                    Location(file=file, line=number),
                    "contains what looks like a credential, and the file would be part of the image.",
                    "Remove it from the URL, and list its variables under build.secrets; see docs/guides/image.md, private indexes.",
                )


@cache
def supported_kedro() -> SpecifierSet:
    """Return the versions of Kedro that the program in the pods runs on: those that this package requires."""
    from importlib.metadata import requires

    from packaging.requirements import Requirement

    return next(one.specifier for one in map(Requirement, requires("kedro-k8s-airflow") or ()) if one.name == "kedro")


def find_unsupported_kedro(path: Path, file: str, requirements: Sequence[str]) -> Iterator[tuple[Location, str]]:
    """Yield each place in the dependencies that admits no supported Kedro, and what it admits.

    Args:
        path: the project's folder.
        file: the file that lists the dependencies: uv.lock, requirements.txt or pyproject.toml.
        requirements: requirements.txt and the files it includes.
    """
    if file == "uv.lock":
        text = read_requirement_file(path / file)
        locked = re.findall(r'(?m)^name = "kedro"\r?\nversion = "([^"]+)"', text)
        if locked and not any(supported_kedro().contains(version, prereleases=True) for version in locked):
            number = text.partition('name = "kedro"')[0].count("\n") + 1
            yield Location(file=file, line=number), f"kedro=={', '.join(locked)}"
    elif file == "requirements.txt":
        for name in requirements:
            for number, line in enumerate(read_requirement_file(path / name).splitlines(), start=1):
                text = " ".join(line.split())
                if not _admits_supported_kedro(re.split(r" (?:--hash|#|\\)", text)[0]):
                    yield Location(file=name, line=number), re.split(r" ?(?:;|--hash| #|\\)", text)[0]
    else:
        for line in _read_project_table(path).get("dependencies", []):
            if not _admits_supported_kedro(str(line)):
                yield Location(file=file, key=("project", "dependencies")), str(line).partition(";")[0].strip()


def _admits_supported_kedro(line: str) -> bool:
    """Return whether a requirement is not one of Kedro, or admits a version that is supported."""
    from packaging.requirements import InvalidRequirement, Requirement

    if not re.match(r"kedro\b(?![.-])", line, re.IGNORECASE):
        return True
    try:
        requirement = Requirement(line)
    except InvalidRequirement:
        return True  # the installer reports it
    if requirement.url or (requirement.marker is not None and not requirement.marker.evaluate()):
        return True
    supported = supported_kedro()
    named = [specifier.version for specifier in requirement.specifier if not specifier.version.endswith("*")]
    versions = [*named, *(f"1.{minor}.{patch}" for minor in range(100) for patch in range(30))]
    return any(
        requirement.specifier.contains(version, prereleases=True) and supported.contains(version, prereleases=True)
        for version in versions
    )


def has_hashes(path: Path, files: Sequence[str]) -> bool:
    """Return whether requirement files contain hashes."""
    return any("--hash=" in _read_without_comments(path / file) for file in files)


def read_group_names(path: Path) -> frozenset[str]:
    """Return the normalized names of the dependency groups of pyproject.toml."""
    return frozenset(normalize_package_name(str(name)) for name in _read_pyproject(path).get("dependency-groups", {}))


def read_extra_names(path: Path) -> frozenset[str]:
    """Return the normalized names of the extras of pyproject.toml."""
    extras = _read_project_table(path).get("optional-dependencies", {})
    return frozenset(normalize_package_name(str(name)) for name in extras)


def _find_requirement_files(path: Path) -> list[str]:
    """Return requirements.txt and the files that it includes (`-r`, `-c`), relative to the project.

    Raises:
        Refused: if one of them does not exist in the project.
    """
    files: list[str] = []
    todo = ["requirements.txt"]
    while todo:
        name = todo.pop()
        if name in files:
            continue
        if name.startswith(("..", "/")) or not (path / name).is_file():
            raise refuse(
                "image-requirements",
                Location(file="requirements.txt"),
                f"includes {name}, which is not a file in the project.",
                "Correct the path, or remove the line.",
            )
        files.append(name)
        text = read_requirement_file(path / name)
        if "\ufffd" in text or "\0" in text:
            raise refuse(
                "image-requirements",
                Location(file=name),
                "is not a text in UTF-8, nor in UTF-16 with a byte order mark, so it cannot be installed.",
                "Save it as UTF-8.",
            )
        for line in text.splitlines():
            match = re.match(r"\s*(?:-r|-c|--requirement|--constraint)[ =]*([A-Za-z0-9._/-]+)\s*(?:#.*)?$", line)
            if match:
                todo.append(posixpath.normpath(posixpath.join(posixpath.dirname(name), match[1])))
    return sorted(files)


def choose_python_version(path: Path) -> tuple[str, list[Finding]]:
    """Return the Python of the base image, and findings: that of `.python-version`, or the first that `requires-python` allows."""
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    requires_python = str(_read_project_table(path).get("requires-python", ""))
    try:
        allowed = SpecifierSet(requires_python)
    except InvalidSpecifier:
        allowed = SpecifierSet("<0")
    named = re.match(r"\s*(?:cpython[@-]?|python)?(3\.\d+)", _read_if_present(path / ".python-version"))
    versions = sorted(_PYTHON_VERSIONS, key=lambda version: named is None or version != named[1])
    for version in versions:
        if any(allowed.contains(f"{version}.{patch}") for patch in range(40)):
            return version, []
    finding = warning(
        "image-python",
        Location(
            file="pyproject.toml",
            key=("project", "requires-python"),
        ),
        f"{requires_python!r} does not allow any Python that this version of the plugin knows, so the image uses "
        f"{_PYTHON_VERSIONS[0]}.",
        f"Set `build.base` to an image with that Python, or allow one of {', '.join(sorted(_PYTHON_VERSIONS, key=_minor_of))}.",
    )
    return _PYTHON_VERSIONS[0], [finding]


def _read_if_present(file: Path) -> str:
    return file.read_text(encoding="utf-8", errors="replace") if file.is_file() else ""


def _minor_of(version: str) -> int:
    return int(version.partition(".")[2])


def _read_project_table(path: Path) -> dict[str, Any]:
    table = _read_pyproject(path).get("project", {})
    return table if isinstance(table, dict) else {}


def _read_pyproject(path: Path) -> dict[str, Any]:
    """Return the content of pyproject.toml, which Kedro has already parsed without error."""
    return read_toml(path / "pyproject.toml")
