"""The packages that an image will contain, as far as they are known before a build, and those that datasets need."""

from __future__ import annotations

import re
from collections import defaultdict
from functools import cache
from typing import TYPE_CHECKING, Any

from kedro_k8s_airflow.image import dependencies
from kedro_k8s_airflow.project.pyproject import read_toml

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from packaging.requirements import Requirement

    from kedro_k8s_airflow.config.models import BuildSettings

_DATASETS = "kedro-datasets"
# Packages that an extra of kedro-datasets needs only for some uses of its class.
_OPTIONAL = frozenset({"adlfs", "compress-pickle", "delta-spark", "gcsfs", "hdfs", "s3fs"})
# Extras of kedro-datasets 9 for Spark do not include Spark itself (kedro#5331).
_SPARK = frozenset({"databricks-connect", "pyspark", "pyspark-client", "pyspark-connect"})
_WITHOUT_FSSPEC = ("databricks.", "ibis.", "polars.", "snowflake.", "spark.")
_EXTRA_MARKER = re.compile(r"extra\s*==\s*['\"]([^'\"]+)['\"]")
# Packages that fsspec needs, by protocol.
_PACKAGE_BY_PROTOCOL = {"s3": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "abfs": "adlfs", "abfss": "adlfs", "az": "adlfs"}


def find_installed_packages(
    path: Path, dependency_file: str, requirements: Sequence[str], build: BuildSettings
) -> frozenset[str] | None:
    """Return the normalized names of the packages that an image will contain, or None if they are unknown.

    Args:
        path: the project's folder.
        dependency_file: the file that lists the dependencies: uv.lock, requirements.txt or pyproject.toml.
        requirements: requirements.txt and the files it includes.
        build: what the image is built from.
    """
    if dependency_file == "uv.lock":
        try:
            return _packages_of_uv_lock(read_toml(path / dependency_file), build)
        except (ValueError, KeyError, TypeError, AttributeError):
            return None  # not a lock of uv; the build reports it
    if dependency_file == "requirements.txt":
        lines = [line for file in requirements for line in dependencies.read_requirement_file(path / file).splitlines()]
        # With single blanks, the search does not begin anew at each of many.
        words = (" ".join(line.split()) for line in lines)
        required = _parse_requirements(re.split(r" --hash| #| \\", text, maxsplit=1)[0] for text in words)
        if required is None:
            return None
        if dependencies.has_hashes(path, requirements):
            return frozenset(dependencies.normalize_package_name(requirement.name) for requirement in required)
        return _with_dependencies(_without_excluded(required, build))
    table = read_toml(path / dependency_file)
    project = table.get("project", {})
    lines = [*project.get("dependencies", [])]
    for groups, selected in (
        (project.get("optional-dependencies", {}), build.extras),
        (table.get("dependency-groups", {}), build.groups),
    ):
        by_name = {dependencies.normalize_package_name(name): content for name, content in groups.items()}
        lines += [
            line
            for name in selected
            for line in by_name.get(dependencies.normalize_package_name(name), [])
            if isinstance(line, str)
        ]
    required = _parse_requirements(lines)
    return _with_dependencies(_without_excluded(required, build)) if required else None


def _without_excluded(required: Iterable[Requirement], build: BuildSettings) -> list[Requirement]:
    """Return the requirements that a build does not exclude."""
    excluded = {dependencies.normalize_package_name(name) for name in build.exclude}
    return [
        requirement for requirement in required if dependencies.normalize_package_name(requirement.name) not in excluded
    ]


def find_missing_packages(
    entries: Mapping[str, Mapping[str, Any]], installed: frozenset[str]
) -> Iterator[tuple[str, list[str]]]:
    """Yield datasets whose packages are missing in an image, and the missing packages as written in requirement files.

    Args:
        entries: resolved catalog entries by dataset.
        installed: packages in the image.
    """

    @cache
    def lacking_extra(kind: str) -> str | None:
        """Return the extra of kedro-datasets for a class, if a package of it is missing."""
        parts = kind.removeprefix("kedro_datasets.").split(".")
        name = dependencies.normalize_package_name(f"{parts[0]}-{parts[-1]}")
        needs = None if kind.startswith("kedro.") else _packages_of_extra(name)
        return name if needs is not None and not installed.issuperset({_DATASETS, *needs}) else None

    for dataset in sorted(entries):
        entry = entries[dataset]
        kind = str(entry.get("type"))
        missing_extra = lacking_extra(kind)
        missing = [f"{_DATASETS}[{missing_extra}]"] if missing_extra is not None else []
        if kind.removeprefix("kedro_datasets.").startswith("spark.") and installed.isdisjoint(_SPARK):
            missing.append("pyspark")
        path = entry.get("filepath") or entry.get("path") or ""
        if isinstance(path, str) and "://" in path and _uses_fsspec(kind):
            client = _PACKAGE_BY_PROTOCOL.get(path.partition("://")[0].lower())
            missing += [client] if client is not None and client not in installed else []
        if missing:
            yield dataset, missing


def _uses_fsspec(kind: str) -> bool:
    """Return whether a class uses fsspec for remote files: those of kedro-datasets do, except engines with own clients."""
    name = kind.removeprefix("kedro_datasets.")
    engine = name.startswith(_WITHOUT_FSSPEC) or "Delta" in name
    return name.count(".") == 1 and not name.startswith("kedro.") and not engine


def _packages_of_uv_lock(lock: Mapping[str, Any], build: BuildSettings) -> frozenset[str] | None:
    """Return the packages of a uv.lock that the build installs; the lock also has groups for development."""
    by_name: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for package in lock.get("package", []):
        by_name[package["name"]].append(package)
    root = [package for package in lock.get("package", []) if {"virtual", "editable"} & set(package.get("source", {}))]
    if len(root) != 1:
        return None
    todo = [(root[0]["name"], extra) for extra in (None, *map(dependencies.normalize_package_name, build.extras))]
    for group in map(dependencies.normalize_package_name, build.groups):
        todo += [
            (entry["name"], None)
            for entry in root[0].get("dev-dependencies", {}).get(group, [])
            if isinstance(entry, dict)
        ]
    seen: set[tuple[str, str | None]] = set()
    while todo:
        name, extra = todo.pop()
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        for package in by_name[name]:
            extras = package.get("optional-dependencies", {})
            for entry in package.get("dependencies", []) if extra is None else extras.get(extra, []):
                todo += [(entry["name"], needed) for needed in (None, *entry.get("extra", []))]
    return frozenset(name for name, _ in seen)


def _parse_requirements(lines: Iterable[str]) -> list[Requirement] | None:
    """Return the requirements whose markers apply here, or None if a line is not a name, such as a URL."""
    from packaging.requirements import InvalidRequirement, Requirement

    requirements = []
    for line in lines:
        if not line or line.startswith(("#", "-r", "-c", "--")):
            continue
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            return None
        if requirement.marker is None or requirement.marker.evaluate():
            requirements.append(requirement)
    return requirements


def _with_dependencies(required: Iterable[Requirement]) -> frozenset[str] | None:
    """Return the names of requirements and all their dependencies, or None if one of them is not installed here."""
    from importlib.metadata import PackageNotFoundError, requires

    from packaging.requirements import InvalidRequirement, Requirement

    todo = [
        (dependencies.normalize_package_name(requirement.name), dependencies.normalize_package_name(extra))
        for requirement in required
        for extra in ("", *requirement.extras)
    ]
    seen: set[tuple[str, str]] = set()
    while todo:
        name, extra = todo.pop()
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        try:
            lines = requires(name) or []
        except PackageNotFoundError:
            return None
        for line in lines:
            marker = _EXTRA_MARKER.search(line)
            if (dependencies.normalize_package_name(marker[1]) if marker else "") != extra:
                continue  # lines without an extra belong to the package itself
            try:
                requirement = Requirement(line)
            except InvalidRequirement:
                return None
            if requirement.marker is None or requirement.marker.evaluate({"extra": marker[1] if marker else ""}):
                todo += [
                    (dependencies.normalize_package_name(requirement.name), dependencies.normalize_package_name(needed))
                    for needed in ("", *requirement.extras)
                ]
    return frozenset(name for name, _ in seen)


def _packages_of_extra(extra: str) -> set[str] | None:
    """Return the packages that an extra of the installed kedro-datasets needs, or None if it does not have this extra."""
    from importlib.metadata import PackageNotFoundError, requires

    from packaging.requirements import InvalidRequirement, Requirement

    try:
        lines = requires(_DATASETS) or []
    except PackageNotFoundError:
        return None
    if not any(
        (marker := _EXTRA_MARKER.search(line)) and dependencies.normalize_package_name(marker[1]) == extra
        for line in lines
    ):
        return None
    packages: set[str] = set()
    todo, seen = [extra], set()
    while todo:
        name = todo.pop()
        seen.add(name)
        for line in lines:
            marker = _EXTRA_MARKER.search(line)
            if marker is None or dependencies.normalize_package_name(marker[1]) != name:
                continue
            try:
                requirement = Requirement(line)
            except InvalidRequirement:
                continue
            if requirement.marker is not None and not requirement.marker.evaluate({"extra": marker[1]}):
                continue
            if dependencies.normalize_package_name(requirement.name) == _DATASETS:
                todo += {dependencies.normalize_package_name(other) for other in requirement.extras} - seen
            else:
                packages.add(dependencies.normalize_package_name(requirement.name))
    return packages - _OPTIONAL
