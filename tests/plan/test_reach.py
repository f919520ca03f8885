"""How far data goes, read from catalog entries of every kind."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest

from kedro_k8s_airflow.checks.data import suggest_linux_path
from kedro_k8s_airflow.plan.graph import build_graph
from kedro_k8s_airflow.plan.reach import (
    PodPaths,
    Reach,
    find_local_paths,
    is_windows_path,
    nearer_reach,
    reach_of_entry,
)
from kedro_k8s_airflow.project.model import ProjectNode

PLACES = PodPaths(project_path="/app", mounts=("/app/data", "/mnt/big"))
MEMORY = Reach("memory")
PLAIN = Reach("memory", plain=True)
SHARED = Reach("shared")
UNKNOWN = Reach("unknown")


def reach_on_pod(path: str, **more: Any) -> Reach:
    return Reach("pod", path, **more)


def reach_on_volume(path: str, **more: Any) -> Reach:
    return Reach("shared", path, **more)


def file_entry(path: str, **more: Any) -> dict[str, Any]:
    return {"type": "pandas.CSVDataset", "filepath": path, **more}


def table_entry(con: object, kind: str = "pandas.SQLTableDataset") -> dict[str, Any]:
    return {"type": kind, "table_name": "t", "con": con}


def ibis_entry(**connection: Any) -> dict[str, Any]:
    return {"type": "ibis.TableDataset", "table_name": "t", "connection": connection}


def cached_entry(inside: Any, **more: Any) -> dict[str, Any]:
    return {"type": "CachedDataset", "dataset": inside, **more}


def partitioned_entry(path: str, inside: Any = "pandas.CSVDataset") -> dict[str, Any]:
    return {"type": "partitions.PartitionedDataset", "path": path, "dataset": inside}


CASES: dict[str, tuple[dict[str, Any] | None, Reach]] = {
    # memory
    "no entry": (None, PLAIN),
    "MemoryDataset": ({"type": "MemoryDataset"}, PLAIN),
    "MemoryDataset by module": ({"type": "kedro.io.MemoryDataset"}, PLAIN),
    "MemoryDataset by full module": ({"type": "kedro.io.memory_dataset.MemoryDataset"}, PLAIN),
    "SharedMemoryDataset": ({"type": "SharedMemoryDataset"}, PLAIN),
    "somebody's class of that name": ({"type": "flights.io.MemoryDataset"}, UNKNOWN),
    "memory path": (file_entry("memory://a.csv"), MEMORY),
    "memory path in capitals": (file_entry("MEMORY://a.csv"), MEMORY),
    "memory in a cache": (cached_entry({"type": "MemoryDataset"}), PLAIN),
    "memory in a cache, by name": (cached_entry("MemoryDataset"), PLAIN),
    "memory path in two caches": (cached_entry(cached_entry(file_entry("memory://x"))), MEMORY),
    "partitions in memory": (partitioned_entry("memory://parts"), MEMORY),
    # local files
    "relative path": (file_entry("reports/a.csv"), reach_on_pod("/app/reports/a.csv")),
    "relative path on a volume": (file_entry("data/a.csv"), reach_on_volume("/app/data/a.csv")),
    "path that only begins like a volume": (file_entry("database/a.csv"), reach_on_pod("/app/database/a.csv")),
    "path that leads out of a volume": (file_entry("data/../a.csv"), reach_on_pod("/app/a.csv")),
    "path that leads into a volume": (file_entry("./x/../data/a.csv"), reach_on_volume("/app/data/a.csv")),
    "path out of the project": (file_entry("../a.csv"), reach_on_pod("/a.csv")),
    "absolute path": (file_entry("/tmp/a.csv"), reach_on_pod("/tmp/a.csv")),  # noqa: S108  the pod's
    "absolute path on a volume": (file_entry("/mnt/big/a.csv"), reach_on_volume("/mnt/big/a.csv")),
    "absolute path of this machine": (file_entry("/home/me/flights/a.csv"), reach_on_pod("/home/me/flights/a.csv")),
    "file protocol": (file_entry("file:///mnt/big/a.csv"), reach_on_volume("/mnt/big/a.csv")),
    "file protocol in capitals": (file_entry("FILE:///srv/a.csv"), reach_on_pod("/srv/a.csv")),
    "file protocol, relative": (file_entry("file://data/a.csv"), reach_on_volume("/app/data/a.csv")),
    "versioned": (file_entry("data/a.csv", versioned=True), reach_on_volume("/app/data/a.csv", versioned=True)),
    "versioned on the pod": (file_entry("a.csv", versioned=True), reach_on_pod("/app/a.csv", versioned=True)),
    "class not installed": ({"type": "nobody.knows.FooDataset", "filepath": "a.foo"}, reach_on_pod("/app/a.foo")),
    "another key for the path": ({"type": "x.Y", "filename": "data/a"}, reach_on_volume("/app/data/a")),
    "cache of a file": (cached_entry(file_entry("data/a.csv")), reach_on_volume("/app/data/a.csv")),
    "own class, server": ({"type": "p.D", "uri": "mongodb://host/db"}, Reach("shared")),
    "own class, bucket": ({"type": "p.D", "config": {"target": "s3://bucket/x"}}, Reach("shared")),
    "own class, database file": ({"type": "p.D", "url": "sqlite:///data/x.db"}, reach_on_volume("/app/data/x.db")),
    "own class, another key": ({"type": "p.D", "file_path": "data/report.html"}, Reach("unknown")),
    "own class, file and server": ({"type": "p.D", "file_path": "data/x.csv", "proxy": "http://h:1"}, Reach("unknown")),
    "own class, server of the file system": ({"type": "p.D", "fs_args": {"url": "http://h:1"}}, Reach("unknown")),
    "own class, name with a slash": ({"type": "p.D", "dataset_name": "org/name", "url": "https://h"}, Reach("shared")),
    "a file versioned inside, which Kedro does not version": (
        cached_entry(file_entry("a.csv", versioned=True)),
        reach_on_pod("/app/a.csv"),
    ),
    "versioned cache": (cached_entry(file_entry("a.csv"), versioned=True), reach_on_pod("/app/a.csv", versioned=True)),
    "partitions": (partitioned_entry("parts"), reach_on_pod("/app/parts")),
    "partitions on a volume": (
        partitioned_entry("data/parts", {"type": "pandas.CSVDataset"}),
        reach_on_volume("/app/data/parts"),
    ),
    "partitions that are a volume": (partitioned_entry("data"), reach_on_volume("/app/data")),
    "increments": (
        {"type": "partitions.IncrementalDataset", "path": "parts", "dataset": "pandas.CSVDataset"},
        reach_on_pod("/app/parts"),
    ),
    "addresses in a chain": (file_entry("simplecache::s3://bucket/a.csv"), UNKNOWN),
    # remote files
    "S3": (file_entry("s3://bucket/a.csv"), SHARED),
    "S3 in capitals": (file_entry("S3://bucket/a.csv"), SHARED),
    "S3, versioned": (file_entry("s3://bucket/a.csv", versioned=True), Reach("shared", None, versioned=True)),
    "GCS": (file_entry("gs://bucket/a.csv"), SHARED),
    "Azure": (file_entry("abfs://container/a.csv"), SHARED),
    "HTTP": (file_entry("https://example.com/a.csv"), SHARED),
    "Databricks": ({"type": "spark.SparkDataset", "filepath": "dbfs:/mnt/a"}, SHARED),
    "HDFS": ({"type": "spark.SparkDataset", "filepath": "hdfs://name/a"}, SHARED),
    "remote partitions": (partitioned_entry("s3://bucket/parts"), SHARED),
    "remote partitions of a local type": (partitioned_entry("s3://bucket/parts", file_entry("x.csv")), SHARED),
    # databases
    "server": (table_entry("postgresql://db.example.com/x"), SHARED),
    "server with driver": (table_entry("mssql+pyodbc://host/x"), SHARED),
    "query on a server": (table_entry("mysql://h/x", "pandas.SQLQueryDataset"), SHARED),
    "server, class by full module": (table_entry("mysql://h/x", "kedro_datasets.pandas.SQLTableDataset"), SHARED),
    "sqlite": (table_entry("sqlite:///x.db"), reach_on_pod("/app/x.db")),
    "sqlite on a volume": (table_entry("sqlite:///data/x.db"), reach_on_volume("/app/data/x.db")),
    "sqlite, absolute": (table_entry("sqlite:////mnt/big/x.db"), reach_on_volume("/mnt/big/x.db")),
    "sqlite with driver and options": (table_entry("sqlite+pysqlite:///x.db?mode=ro"), reach_on_pod("/app/x.db")),
    "sqlite in memory": (table_entry("sqlite://"), MEMORY),
    "sqlite in memory, by name": (table_entry("sqlite:///:memory:"), MEMORY),
    "duckdb": (table_entry("duckdb:///data/x.duckdb"), reach_on_volume("/app/data/x.duckdb")),
    "URL in the credentials": ({"type": "pandas.SQLTableDataset", "table_name": "t"}, UNKNOWN),
    "URL that is none": (table_entry("not a url"), UNKNOWN),
    "ibis duckdb": (ibis_entry(backend="duckdb", database="data/x.db"), reach_on_volume("/app/data/x.db")),
    "ibis sqlite": (ibis_entry(backend="sqlite", database="x.db"), reach_on_pod("/app/x.db")),
    "ibis duckdb in memory": (ibis_entry(backend="duckdb"), MEMORY),
    "ibis duckdb in memory, by name": (ibis_entry(backend="duckdb", database=":memory:"), MEMORY),
    "ibis server": (ibis_entry(backend="postgres", host="h"), SHARED),
    "ibis of nothing": (ibis_entry(), UNKNOWN),
    "ibis file": (
        {
            "type": "ibis.FileDataset",
            "filepath": "a.parquet",
            "connection": {"backend": "duckdb", "database": "data/x.db"},
        },
        reach_on_pod("/app/a.parquet"),
    ),
    "ibis duckdb by MotherDuck": (ibis_entry(backend="duckdb", database="md:flights"), SHARED),
    "ibis engine of the process": (ibis_entry(backend="polars"), MEMORY),
    "BigQuery": ({"type": "pandas.GBQTableDataset", "dataset": "d", "table_name": "t"}, SHARED),
    "Snowflake": ({"type": "snowflake.SnowparkTableDataset", "table_name": "t"}, SHARED),
    "Databricks table": ({"type": "databricks.ManagedTableDataset", "table": "t"}, SHARED),
    "Redis": ({"type": "redis.PickleDataset", "key": "k"}, SHARED),
    "API": ({"type": "api.APIDataset", "url": "https://example.com"}, SHARED),
    # what nobody can know
    "class without path": ({"type": "flights.io.Fancy", "model": "x"}, UNKNOWN),
    "no type": ({"filepath": ""}, UNKNOWN),
    "path that is no text": ({"type": "x.Y", "filepath": 3}, UNKNOWN),
    "wrapper of a class without path": (cached_entry({"type": "flights.io.Fancy"}), UNKNOWN),
}


@pytest.mark.parametrize("case", CASES)
def test_reach_of_catalog_entry(case: str) -> None:
    entry, expected = CASES[case]
    assert reach_of_entry(entry, PLACES) == expected


@pytest.mark.parametrize(
    ("kinds", "nearest"),
    [("memory pod unknown shared", "memory"), ("pod unknown shared", "pod"), ("unknown shared", "unknown")],
)
def test_of_two_reaches_the_nearer_one_counts(kinds: str, nearest: str) -> None:
    for order in permutations(kinds.split()):
        reach = Reach(order[0])  # type: ignore[arg-type]
        for kind in order[1:]:
            reach = nearer_reach(reach, Reach(kind))  # type: ignore[arg-type]
        assert reach.kind == nearest


def find_reach(name: str, entries: dict[str, dict[str, Any]], declared: dict[str, str], *forms: str) -> str:
    first, last = forms[0], forms[-1]
    nodes = [
        ProjectNode("a", None, frozenset(), ("params:x",), (first,), ()),
        ProjectNode("b", None, frozenset(), (last, "parameters"), (), ()),
    ]
    return build_graph(nodes, entries, PLACES, declared).datasets[name].reach.kind


def test_a_transcoded_dataset_is_one_and_reaches_as_far_as_its_nearest_form() -> None:
    near, far = file_entry("a.csv"), file_entry("s3://b/a.csv")
    assert find_reach("x", {"x@a": far, "x@b": far}, {}, "x@a", "x@b") == "shared"
    assert find_reach("x", {"x@a": far, "x@b": near}, {}, "x@a", "x@b") == "pod"
    assert find_reach("x", {"x@a": far}, {}, "x@a", "x@b") == "memory"


def test_declared_reach_overrides_the_catalog_and_names_override_globs() -> None:
    entries = {"x": file_entry("a.csv")}
    assert find_reach("x", entries, {"x": "shared"}, "x") == "shared"
    assert find_reach("x", entries, {"*": "shared"}, "x") == "shared"
    assert find_reach("x", entries, {"*": "shared", "x": "memory"}, "x") == "memory"
    assert find_reach("x", entries, {"y": "shared"}, "x") == "pod"


def test_parameters_are_no_datasets() -> None:
    node = ProjectNode("a", None, frozenset(), ("params:x", "parameters"), ("out",), ())
    assert set(build_graph([node], {}, PLACES, {}).datasets) == {"out"}


@pytest.mark.parametrize(
    ("entry", "paths"),
    [
        ({"file_path": "data/report.html"}, ["file_path"]),
        ({"settings": {"folder": "data"}, "target": "out/x.csv"}, ["target"]),
        ({"location": "C:\\data\\x.csv"}, ["location"]),
        ({"where": "./x"}, ["where"]),
        ({"path_to": "file:///mnt/x.csv"}, ["path_to"]),
        ({"model": "llama-3.1", "host": "db.example.com", "name": "org/name", "zone": "Europe/Paris"}, []),
        ({"file_path": "s3://bucket/x.csv", "table": "schema.table"}, []),
        ({"save_args": {"file_path": "data/x.csv"}, "type": "project.data/x.Y", "query_file": "no path at all?"}, []),
    ],
)
def test_values_that_look_like_local_paths_are_found(entry: dict[str, Any], paths: list[str]) -> None:
    assert [key for key, _ in find_local_paths(entry)] == paths


@pytest.mark.parametrize(
    ("path", "advice"),
    [
        ("data\\02_mid\\a.csv", "as data/02_mid/a.csv"),
        ("data/02_mid\\a.csv", "as data/02_mid/a.csv"),
        ("C:\\work\\a.csv", "such as data/a.csv"),
        ("C:/projects/a.csv", "such as data/a.csv"),
        ("/D:/projects/parts/", "such as data/parts"),
        ("\\\\server\\share\\a.csv", "such as data/a.csv"),
        ("data/01_raw/a:b.csv", None),
        ("data/ab:/c.csv", None),
        ("/srv/a.csv", None),
    ],
)
def test_a_path_of_windows_is_known_and_spelled_for_linux(path: str, advice: str | None) -> None:
    assert is_windows_path(path) == is_windows_path(f"/app/{path}") == (advice is not None)
    assert advice is None or suggest_linux_path(path).endswith(advice)
