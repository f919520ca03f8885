"""How far data goes, read from catalog entries of every kind."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest

from kedro_k8s_airflow.plan.graph import build_graph
from kedro_k8s_airflow.plan.reach import PodPaths, Reach, nearer_reach, reach_of_entry
from kedro_k8s_airflow.project.model import ProjectNode

PLACES = PodPaths(project_path="/app", mounts=("/app/data", "/mnt/big"))
MEMORY = Reach("memory")
PLAIN = Reach("memory", plain=True)
SHARED = Reach("shared")
UNKNOWN = Reach("unknown")


def on_pod(path: str, **more: Any) -> Reach:
    return Reach("pod", path, **more)


def on_volume(path: str, **more: Any) -> Reach:
    return Reach("shared", path, **more)


def file(path: str, **more: Any) -> dict[str, Any]:
    return {"type": "pandas.CSVDataset", "filepath": path, **more}


def table(con: object, kind: str = "pandas.SQLTableDataset") -> dict[str, Any]:
    return {"type": kind, "table_name": "t", "con": con}


def ibis(**connection: Any) -> dict[str, Any]:
    return {"type": "ibis.TableDataset", "table_name": "t", "connection": connection}


def cached(inside: Any, **more: Any) -> dict[str, Any]:
    return {"type": "CachedDataset", "dataset": inside, **more}


def parts(path: str, inside: Any = "pandas.CSVDataset") -> dict[str, Any]:
    return {"type": "partitions.PartitionedDataset", "path": path, "dataset": inside}


CASES: dict[str, tuple[dict[str, Any] | None, Reach]] = {
    # memory
    "no entry": (None, PLAIN),
    "MemoryDataset": ({"type": "MemoryDataset"}, PLAIN),
    "MemoryDataset by module": ({"type": "kedro.io.MemoryDataset"}, PLAIN),
    "MemoryDataset by full module": ({"type": "kedro.io.memory_dataset.MemoryDataset"}, PLAIN),
    "SharedMemoryDataset": ({"type": "SharedMemoryDataset"}, PLAIN),
    "somebody's class of that name": ({"type": "flights.io.MemoryDataset"}, UNKNOWN),
    "memory path": (file("memory://a.csv"), MEMORY),
    "memory path in capitals": (file("MEMORY://a.csv"), MEMORY),
    "memory in a cache": (cached({"type": "MemoryDataset"}), PLAIN),
    "memory in a cache, by name": (cached("MemoryDataset"), PLAIN),
    "memory path in two caches": (cached(cached(file("memory://x"))), MEMORY),
    "partitions in memory": (parts("memory://parts"), MEMORY),
    # local files
    "relative path": (file("reports/a.csv"), on_pod("/app/reports/a.csv")),
    "relative path on a volume": (file("data/a.csv"), on_volume("/app/data/a.csv")),
    "path that only begins like a volume": (file("database/a.csv"), on_pod("/app/database/a.csv")),
    "path that leads out of a volume": (file("data/../a.csv"), on_pod("/app/a.csv")),
    "path that leads into a volume": (file("./x/../data/a.csv"), on_volume("/app/data/a.csv")),
    "path out of the project": (file("../a.csv"), on_pod("/a.csv")),
    "absolute path": (file("/tmp/a.csv"), on_pod("/tmp/a.csv")),  # noqa: S108  the pod's
    "absolute path on a volume": (file("/mnt/big/a.csv"), on_volume("/mnt/big/a.csv")),
    "absolute path of this machine": (file("/home/me/flights/a.csv"), on_pod("/home/me/flights/a.csv")),
    "file protocol": (file("file:///mnt/big/a.csv"), on_volume("/mnt/big/a.csv")),
    "file protocol in capitals": (file("FILE:///srv/a.csv"), on_pod("/srv/a.csv")),
    "file protocol, relative": (file("file://data/a.csv"), on_volume("/app/data/a.csv")),
    "versioned": (file("data/a.csv", versioned=True), on_volume("/app/data/a.csv", versioned=True)),
    "versioned on the pod": (file("a.csv", versioned=True), on_pod("/app/a.csv", versioned=True)),
    "class not installed": ({"type": "nobody.knows.FooDataset", "filepath": "a.foo"}, on_pod("/app/a.foo")),
    "another key for the path": ({"type": "x.Y", "filename": "data/a"}, on_volume("/app/data/a")),
    "cache of a file": (cached(file("data/a.csv")), on_volume("/app/data/a.csv")),
    "cache of a versioned file": (
        cached(file("a.csv", versioned=True)),
        on_pod("/app/a.csv", versioned=True),
    ),
    "versioned cache": (cached(file("a.csv"), versioned=True), on_pod("/app/a.csv", versioned=True)),
    "partitions": (parts("parts"), on_pod("/app/parts")),
    "partitions on a volume": (parts("data/parts", {"type": "pandas.CSVDataset"}), on_volume("/app/data/parts")),
    "partitions that are a volume": (parts("data"), on_volume("/app/data")),
    "increments": (
        {"type": "partitions.IncrementalDataset", "path": "parts", "dataset": "pandas.CSVDataset"},
        on_pod("/app/parts"),
    ),
    "addresses in a chain": (file("simplecache::s3://bucket/a.csv"), UNKNOWN),
    # remote files
    "S3": (file("s3://bucket/a.csv"), SHARED),
    "S3 in capitals": (file("S3://bucket/a.csv"), SHARED),
    "S3, versioned": (file("s3://bucket/a.csv", versioned=True), Reach("shared", None, versioned=True)),
    "GCS": (file("gs://bucket/a.csv"), SHARED),
    "Azure": (file("abfs://container/a.csv"), SHARED),
    "HTTP": (file("https://example.com/a.csv"), SHARED),
    "Databricks": ({"type": "spark.SparkDataset", "filepath": "dbfs:/mnt/a"}, SHARED),
    "HDFS": ({"type": "spark.SparkDataset", "filepath": "hdfs://name/a"}, SHARED),
    "remote partitions": (parts("s3://bucket/parts"), SHARED),
    "remote partitions of a local type": (parts("s3://bucket/parts", file("x.csv")), SHARED),
    # databases
    "server": (table("postgresql://db.example.com/x"), SHARED),
    "server with driver": (table("mssql+pyodbc://host/x"), SHARED),
    "query on a server": (table("mysql://h/x", "pandas.SQLQueryDataset"), SHARED),
    "server, class by full module": (table("mysql://h/x", "kedro_datasets.pandas.SQLTableDataset"), SHARED),
    "sqlite": (table("sqlite:///x.db"), on_pod("/app/x.db")),
    "sqlite on a volume": (table("sqlite:///data/x.db"), on_volume("/app/data/x.db")),
    "sqlite, absolute": (table("sqlite:////mnt/big/x.db"), on_volume("/mnt/big/x.db")),
    "sqlite with driver and options": (table("sqlite+pysqlite:///x.db?mode=ro"), on_pod("/app/x.db")),
    "sqlite in memory": (table("sqlite://"), MEMORY),
    "sqlite in memory, by name": (table("sqlite:///:memory:"), MEMORY),
    "duckdb": (table("duckdb:///data/x.duckdb"), on_volume("/app/data/x.duckdb")),
    "URL in the credentials": ({"type": "pandas.SQLTableDataset", "table_name": "t"}, UNKNOWN),
    "URL that is none": (table("not a url"), UNKNOWN),
    "ibis duckdb": (ibis(backend="duckdb", database="data/x.db"), on_volume("/app/data/x.db")),
    "ibis sqlite": (ibis(backend="sqlite", database="x.db"), on_pod("/app/x.db")),
    "ibis duckdb in memory": (ibis(backend="duckdb"), MEMORY),
    "ibis duckdb in memory, by name": (ibis(backend="duckdb", database=":memory:"), MEMORY),
    "ibis server": (ibis(backend="postgres", host="h"), SHARED),
    "ibis of nothing": (ibis(), UNKNOWN),
    "ibis file": (
        {
            "type": "ibis.FileDataset",
            "filepath": "a.parquet",
            "connection": {"backend": "duckdb", "database": "data/x.db"},
        },
        on_pod("/app/a.parquet"),
    ),
    "ibis duckdb by MotherDuck": (ibis(backend="duckdb", database="md:flights"), SHARED),
    "ibis engine of the process": (ibis(backend="polars"), MEMORY),
    "BigQuery": ({"type": "pandas.GBQTableDataset", "dataset": "d", "table_name": "t"}, SHARED),
    "Snowflake": ({"type": "snowflake.SnowparkTableDataset", "table_name": "t"}, SHARED),
    "Databricks table": ({"type": "databricks.ManagedTableDataset", "table": "t"}, SHARED),
    "Redis": ({"type": "redis.PickleDataset", "key": "k"}, SHARED),
    "API": ({"type": "api.APIDataset", "url": "https://example.com"}, SHARED),
    # what nobody can know
    "class without path": ({"type": "flights.io.Fancy", "model": "x"}, UNKNOWN),
    "no type": ({"filepath": ""}, UNKNOWN),
    "path that is no text": ({"type": "x.Y", "filepath": 3}, UNKNOWN),
    "wrapper of a class without path": (cached({"type": "flights.io.Fancy"}), UNKNOWN),
}


@pytest.mark.parametrize("case", CASES)
def test_the_reach_of(case: str) -> None:
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


def reach_of(name: str, entries: dict[str, dict[str, Any]], declared: dict[str, str], *forms: str) -> str:
    first, last = forms[0], forms[-1]
    nodes = [
        ProjectNode("a", None, frozenset(), ("params:x",), (first,), ()),
        ProjectNode("b", None, frozenset(), (last, "parameters"), (), ()),
    ]
    return build_graph(nodes, entries, PLACES, declared).datasets[name].reach.kind


def test_a_transcoded_dataset_is_one_and_reaches_as_far_as_its_nearest_form() -> None:
    near, far = file("a.csv"), file("s3://b/a.csv")
    assert reach_of("x", {"x@a": far, "x@b": far}, {}, "x@a", "x@b") == "shared"
    assert reach_of("x", {"x@a": far, "x@b": near}, {}, "x@a", "x@b") == "pod"
    assert reach_of("x", {"x@a": far}, {}, "x@a", "x@b") == "memory"


def test_what_the_user_says_wins_over_the_catalog_and_a_name_over_a_glob() -> None:
    entries = {"x": file("a.csv")}
    assert reach_of("x", entries, {"x": "shared"}, "x") == "shared"
    assert reach_of("x", entries, {"*": "shared"}, "x") == "shared"
    assert reach_of("x", entries, {"*": "shared", "x": "memory"}, "x") == "memory"
    assert reach_of("x", entries, {"y": "shared"}, "x") == "pod"


def test_parameters_are_no_datasets() -> None:
    node = ProjectNode("a", None, frozenset(), ("params:x", "parameters"), ("out",), ())
    assert set(build_graph([node], {}, PLACES, {}).datasets) == {"out"}
