"""Which packages an image will hold, as far as that can be known without building it, and which ones datasets need."""

from __future__ import annotations

import re
from collections import defaultdict
from functools import cache
from typing import TYPE_CHECKING, Any

from kedro_k8s_airflow.image import dependencies

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from packaging.requirements import Requirement

    from kedro_k8s_airflow.config.models import BuildSettings

_DATASETS = "kedro-datasets"
# What an extra of kedro-datasets brings for some uses of its class only.
_FOR_SOME = frozenset({"adlfs", "compress-pickle", "delta-spark", "gcsfs", "hdfs", "s3fs"})
# Extras of kedro-datasets 9 for Spark do not bring Spark itself (kedro#5331).
_SPARKS = frozenset({"databricks-connect", "pyspark", "pyspark-client", "pyspark-connect"})
_OWN_CLIENTS = ("databricks.", "ibis.", "polars.", "snowflake.", "spark.")
_EXTRA = re.compile(r"extra\s*==\s*['\"]([^'\"]+)['\"]")
# What fsspec needs for a protocol.
_PROTOCOLS = {"s3": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "abfs": "adlfs", "abfss": "adlfs", "az": "adlfs"}


def installed_packages(
    path: Path, lock: str, requirements: Sequence[str], build: BuildSettings
) -> frozenset[str] | None:
    """Names of the packages that an image will hold, as PyPI compares them; None when it cannot be known.

    Args:
        path: the project's folder.
        lock: the file that names the dependencies: uv.lock, requirements.txt or pyproject.toml.
        requirements: requirements.txt with the files it includes.
        build: what the image is built from.
    """
    if lock == "uv.lock":
        try:
            return _of_uv_lock(dependencies.read_toml(path / lock), build)
        except (ValueError, KeyError, TypeError, AttributeError):
            return None  # no lock of uv's; the build says so
    if lock == "requirements.txt":
        lines = [
            line
            for file in requirements
            for line in (path / file).read_text(encoding="utf-8", errors="replace").splitlines()
        ]
        wanted = _parsed(re.split(r"\s+--hash|\s+#|\s+\\", line.strip(), maxsplit=1)[0] for line in lines)
        if wanted is None:
            return None
        if dependencies.has_hashes(path, requirements):
            return frozenset(dependencies.normalize_name(one.name) for one in wanted)
        return _with_dependencies(_installed(wanted, build))
    table = dependencies.read_toml(path / lock)
    own = table.get("project", {})
    lines = [*own.get("dependencies", [])]
    for groups, request in (
        (own.get("optional-dependencies", {}), build.extras),
        (table.get("dependency-groups", {}), build.groups),
    ):
        named = {dependencies.normalize_name(name): content for name, content in groups.items()}
        lines += [
            line
            for name in request
            for line in named.get(dependencies.normalize_name(name), [])
            if isinstance(line, str)
        ]
    wanted = _parsed(lines)
    return _with_dependencies(_installed(wanted, build)) if wanted else None


def _installed(wanted: Iterable[Requirement], build: BuildSettings) -> list[Requirement]:
    """Requirements without those that stay out of the image."""
    excluded = {dependencies.normalize_name(name) for name in build.exclude}
    return [one for one in wanted if dependencies.normalize_name(one.name) not in excluded]


def missing_packages(entries: Mapping[str, Mapping[str, Any]], held: frozenset[str]) -> Iterator[tuple[str, list[str]]]:
    """Datasets whose packages are not held, and what is lacking, as one would write it into a requirement file.

    Args:
        entries: resolved catalog entries by dataset.
        held: what the image holds.
    """

    @cache
    def extra(kind: str) -> str | None:
        """The extra of kedro-datasets that brings a class, when something of it is not held."""
        parts = kind.removeprefix("kedro_datasets.").split(".")
        name = dependencies.normalize_name(f"{parts[0]}-{parts[-1]}")
        needs = None if kind.startswith("kedro.") else _needs(name)
        return name if needs is not None and not held.issuperset({_DATASETS, *needs}) else None

    for dataset in sorted(entries):
        entry = entries[dataset]
        kind = str(entry.get("type"))
        brings = extra(kind)
        lacks = [f"{_DATASETS}[{brings}]"] if brings is not None else []
        if kind.removeprefix("kedro_datasets.").startswith("spark.") and held.isdisjoint(_SPARKS):
            lacks.append("pyspark")
        place = entry.get("filepath") or entry.get("path") or ""
        if isinstance(place, str) and "://" in place and _takes_fsspec(kind):
            client = _PROTOCOLS.get(place.partition("://")[0].lower())
            lacks += [client] if client is not None and client not in held else []
        if lacks:
            yield dataset, lacks


def _takes_fsspec(kind: str) -> bool:
    """Whether a class reaches remote files by fsspec: kedro-datasets' own do, but for engines with clients of theirs."""
    name = kind.removeprefix("kedro_datasets.")
    engine = name.startswith(_OWN_CLIENTS) or "Delta" in name
    return name.count(".") == 1 and not name.startswith("kedro.") and not engine


def _of_uv_lock(lock: Mapping[str, Any], build: BuildSettings) -> frozenset[str] | None:
    """What the project itself needs of all that a uv.lock holds; it also holds groups for development."""
    by_name: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for package in lock.get("package", []):
        by_name[package["name"]].append(package)
    root = [one for one in lock.get("package", []) if {"virtual", "editable"} & set(one.get("source", {}))]
    if len(root) != 1:
        return None
    todo = [(root[0]["name"], extra) for extra in (None, *map(dependencies.normalize_name, build.extras))]
    for group in map(dependencies.normalize_name, build.groups):
        todo += [
            (one["name"], None) for one in root[0].get("dev-dependencies", {}).get(group, []) if isinstance(one, dict)
        ]
    seen: set[tuple[str, str | None]] = set()
    while todo:
        name, extra = todo.pop()
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        for package in by_name[name]:
            found = package.get("dependencies", []) if extra is None else []
            found = [*found, *package.get("optional-dependencies", {}).get(extra, [])] if extra else found
            for one in found:
                todo += [(one["name"], wanted) for wanted in (None, *one.get("extra", []))]
    return frozenset(name for name, _ in seen)


def _parsed(lines: Iterable[str]) -> list[Requirement] | None:
    """Requirements that apply here; None when a line is something else than a name, such as a URL."""
    from packaging.requirements import InvalidRequirement, Requirement

    found = []
    for line in lines:
        if not line or line.startswith(("#", "-r", "-c", "--")):
            continue
        try:
            wanted = Requirement(line)
        except InvalidRequirement:
            return None
        if wanted.marker is None or wanted.marker.evaluate():
            found.append(wanted)
    return found


def _with_dependencies(wanted: Iterable[Requirement]) -> frozenset[str] | None:
    """Names of requirements and of all they need, as what is installed here says; None when something is not installed."""
    from importlib.metadata import PackageNotFoundError, requires

    from packaging.requirements import InvalidRequirement, Requirement

    todo = [
        (dependencies.normalize_name(one.name), dependencies.normalize_name(extra))
        for one in wanted
        for extra in ("", *one.extras)
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
            named = _EXTRA.search(line)
            if (dependencies.normalize_name(named[1]) if named else "") != extra:
                continue  # what has no extra was gone through with the package itself
            try:
                one = Requirement(line)
            except InvalidRequirement:
                return None
            if one.marker is None or one.marker.evaluate({"extra": named[1] if named else ""}):
                todo += [
                    (dependencies.normalize_name(one.name), dependencies.normalize_name(wanted))
                    for wanted in ("", *one.extras)
                ]
    return frozenset(name for name, _ in seen)


def _needs(extra: str) -> set[str] | None:
    """What an extra of the kedro-datasets that is installed here needs; None when there is none of that name."""
    from importlib.metadata import PackageNotFoundError, requires

    from packaging.requirements import InvalidRequirement, Requirement

    try:
        lines = requires(_DATASETS) or []
    except PackageNotFoundError:
        return None
    if not any((named := _EXTRA.search(line)) and dependencies.normalize_name(named[1]) == extra for line in lines):
        return None
    found: set[str] = set()
    todo, seen = [extra], set()
    while todo:
        name = todo.pop()
        seen.add(name)
        for line in lines:
            named = _EXTRA.search(line)
            if named is None or dependencies.normalize_name(named[1]) != name:
                continue
            try:
                one = Requirement(line)
            except InvalidRequirement:
                continue
            if one.marker is not None and not one.marker.evaluate({"extra": named[1]}):
                continue
            if dependencies.normalize_name(one.name) == _DATASETS:
                todo += {dependencies.normalize_name(other) for other in one.extras} - seen
            else:
                found.add(dependencies.normalize_name(one.name))
    return found - _FOR_SOME
