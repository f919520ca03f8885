"""Reach: how far the data of one dataset goes, read from its resolved catalog entry.

`memory` (one process), `pod` (a file on the pod's own disk), `shared` (an object store, a server, a mounted volume) or
`unknown`. No dataset class is imported: the entry holds what matters, and the classes need not be installed.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ReachKind = Literal["memory", "pod", "shared", "unknown"]
# From nearest to farthest; if a dataset has two entries, the nearer one counts.
REACH_ORDER: tuple[ReachKind, ...] = ("memory", "pod", "unknown", "shared")

_PACKAGE = re.compile(r"^kedro_datasets(_experimental)?\.")
_PROTOCOL = re.compile(r"(?P<name>[a-zA-Z][a-zA-Z0-9+._-]+):(//|(?=/))")
_PLACEHOLDER_START = re.compile(r"\$([A-Za-z_][A-Za-z0-9_]*)")
_PATH_KEYS = ("filepath", "path", "filename")
_ARGUMENT_KEYS = frozenset({"load_args", "save_args", "fs_args", "credentials", "metadata"})
_LOCAL_PROTOCOLS = frozenset({"file", "local", "memory"})
_PATH_KEY = re.compile(r"(path|file|filename|dir|directory|folder|location)$")
# With a folder or an extension, and without characters that hint at text, a pattern or another kind of name.
_LOCAL_PATH = re.compile(r"(?=.*[/.\\])([A-Za-z]:)?[\w./\\ ~+-]*\w/?")
_MEMORY_CLASSES = frozenset({"MemoryDataset", "SharedMemoryDataset"})
_MEMORY_MODULES = frozenset({"", "io", "kedro.io", "kedro.io.memory_dataset", "kedro.io.shared_memory_dataset"})
# Classes of kedro-datasets that always use a server, and its kind.
_SERVER_CLASSES = {
    "api.APIDataset": "http",
    "databricks.ExternalTableDataset": "databricks",
    "databricks.ManagedTableDataset": "databricks",
    "pandas.GBQQueryDataset": "bigquery",
    "pandas.GBQTableDataset": "bigquery",
    "redis.PickleDataset": "redis",
    "snowflake.SnowparkTableDataset": "snowflake",
    "spark.GBQQueryDataset": "bigquery",
    "spark.SparkHiveDataset": "hive",
    "spark.SparkJDBCDataset": "jdbc",
}
_SQL_CLASSES = frozenset({"pandas.SQLTableDataset", "pandas.SQLQueryDataset", "polars.PolarsDatabaseDataset"})
_LOCAL_DATABASES = frozenset({"sqlite", "duckdb"})
# Backends of ibis that run inside the process.
_IN_PROCESS_BACKENDS = frozenset({"polars", "datafusion"})


_WINDOWS = re.compile(r"\\|(?:^|/)[A-Za-z]:(?:/|$)")


@dataclass(frozen=True, slots=True)
class Reach:
    """How far a dataset reaches.

    Attributes:
        path: the absolute path in the pod of local data, else None.
        versioned: whether the entry itself says so; what it wraps is versioned by the class of the wrapper.
        plain: whether Kedro itself keeps it in memory: no entry, or a MemoryDataset.
        protocol: of a remote address, such as `s3` or `postgresql`; for display only.
    """

    kind: ReachKind
    path: str | None = None
    versioned: bool = False
    plain: bool = False
    protocol: str | None = field(default=None, compare=False)


MEMORY_REACH = Reach("memory")
PLAIN_MEMORY_REACH = Reach("memory", plain=True)


@dataclass(frozen=True, slots=True)
class PodPaths:
    """Where local paths lie in a pod.

    Attributes:
        project_path: the project's folder in the image, such as `/app`.
        mounts: absolute folders in the pod that a volume covers.
        unknown_variables: environment variables for whose values paths have placeholders.
    """

    project_path: str
    mounts: Sequence[str] = ()
    unknown_variables: frozenset[str] = frozenset()

    def in_pod(self, path: str) -> str:
        """Return the absolute path in the pod of a catalog entry's local path."""
        return posixpath.normpath(posixpath.join(self.project_path, path))

    def local_reach(self, path: str, *, versioned: bool = False) -> Reach:
        """Return the reach of a file or folder at a local path, or of an address that only pods know."""
        start = _PLACEHOLDER_START.match(path)
        if start is not None and start[1] in self.unknown_variables:
            return Reach("unknown", None, versioned)
        pod_path = self.in_pod(path)
        covered = any(pod_path == mount or pod_path.startswith(mount + "/") for mount in self.mounts)
        return Reach("shared" if covered else "pod", pod_path, versioned)


def reach_of_entry(entry: Mapping[str, Any] | None, pod_paths: PodPaths) -> Reach:
    """Return the reach of a resolved catalog entry; None is a dataset that the catalog does not know."""
    if entry is None:
        return PLAIN_MEMORY_REACH
    module, _, name = str(entry.get("type", "")).rpartition(".")
    short = f"{_PACKAGE.sub('', module).split('.')[0]}.{name}"
    versioned = bool(entry.get("versioned", False))
    if name in _MEMORY_CLASSES and module in _MEMORY_MODULES:
        return PLAIN_MEMORY_REACH
    if short in _SERVER_CLASSES:
        return Reach("shared", protocol=_SERVER_CLASSES[short])
    if short in _SQL_CLASSES:
        return _database_reach(entry.get("con") or entry.get("connection"), pod_paths)
    for key in _PATH_KEYS:
        path = entry.get(key)
        if isinstance(path, str) and path:
            return _path_reach(path, pod_paths, versioned=versioned)
    if isinstance(entry.get("connection"), dict):
        return _ibis_reach(entry["connection"], pod_paths)
    if isinstance(entry.get("backend"), str) and "database" in entry:
        return _ibis_reach(entry, pod_paths)
    if "dataset" in entry:
        wrapped = entry["dataset"]
        reach = reach_of_entry(wrapped if isinstance(wrapped, dict) else {"type": wrapped}, pod_paths)
        plain = reach.plain and name == "CachedDataset"
        # Kedro gives versions only to the outermost dataset, which may pass them on.
        return Reach(reach.kind, reach.path, versioned, plain, reach.protocol)
    return _reach_by_addresses(entry, pod_paths)


def _reach_by_addresses(entry: Mapping[str, Any], pod_paths: PodPaths) -> Reach:
    """Return the reach of an entry of an unknown class: that of the only kind of address in it, if there is one."""
    if find_local_paths(entry):
        return Reach("unknown")
    for _, value in _flatten_texts(entry):
        match = _PROTOCOL.match(value)
        kind = match["name"].lower().split("+")[0] if match else ""
        if kind in _LOCAL_DATABASES:
            return _database_reach(value, pod_paths)
        if kind and kind not in _LOCAL_PROTOCOLS:
            return Reach("shared", protocol=kind)
    return Reach("unknown")


def find_local_paths(entry: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the values of an entry of an unknown class that look like local paths, each with its dotted key."""
    paths = []
    for key, value in _flatten_texts(entry):
        match = _PROTOCOL.match(value)
        if match is not None and match["name"].lower() not in _LOCAL_PROTOCOLS:
            continue
        path = value[match.end() :] if match else value
        named = _PATH_KEY.search(key.rpartition(".")[2].lower()) is not None
        has_form = "/" in path and (path.startswith((".", "/")) or posixpath.splitext(path)[1] != "")
        if (named or has_form) and _LOCAL_PATH.fullmatch(path):
            paths.append((key, path))
    return paths


def _flatten_texts(entry: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Return the texts of an entry with their dotted keys, without arguments that say nothing about where the data is."""
    texts: list[tuple[str, str]] = []
    for key, value in entry.items():
        if isinstance(value, str) and key not in ("type", "code", "sql"):
            texts.append((f"{prefix}{key}", value))
        elif isinstance(value, dict) and key not in _ARGUMENT_KEYS:
            texts.extend(_flatten_texts(value, f"{prefix}{key}."))
    return texts


def is_windows_path(path: str | None) -> bool:
    """Return whether a path has backslashes or the letter of a drive; Linux takes both for parts of a name."""
    return path is not None and _WINDOWS.search(path) is not None


def _path_reach(path: str, pod_paths: PodPaths, *, versioned: bool) -> Reach:
    if "::" in path:
        return Reach("unknown", None, versioned)  # Kedro does not read fsspec's chained addresses as paths
    match = _PROTOCOL.match(path)
    protocol = match["name"].lower() if match else "file"
    if protocol == "memory":
        return MEMORY_REACH
    if protocol not in ("file", "local"):
        return Reach("shared", None, versioned, protocol=protocol)
    return pod_paths.local_reach(path[match.end() :] if match else path, versioned=versioned)


def _database_reach(url: object, pod_paths: PodPaths) -> Reach:
    if not isinstance(url, str) or not (match := _PROTOCOL.match(url)):
        return Reach("unknown")
    kind = match["name"].lower().split("+")[0]
    if kind not in _LOCAL_DATABASES:
        return Reach("shared", protocol=kind)
    # SQLAlchemy: three slashes a relative path, four an absolute one, none or :memory: a database of the process.
    path = url[match.end() :].split("?")[0].removeprefix("/")
    return pod_paths.local_reach(path) if path and path != ":memory:" else MEMORY_REACH


def _ibis_reach(connection: Mapping[str, Any], pod_paths: PodPaths) -> Reach:
    backend = str(connection.get("backend", "")).lower()
    path = connection.get("database") or connection.get("path")
    if backend in _IN_PROCESS_BACKENDS:
        return MEMORY_REACH
    if backend not in _LOCAL_DATABASES or str(path).startswith(("md:", "motherduck:")):
        return Reach("shared", protocol=backend) if backend else Reach("unknown")
    return pod_paths.local_reach(path) if isinstance(path, str) and path and path != ":memory:" else MEMORY_REACH


def nearer_reach(first: Reach, second: Reach) -> Reach:
    """Return the nearer of two reaches."""
    return first if REACH_ORDER.index(first.kind) <= REACH_ORDER.index(second.kind) else second
