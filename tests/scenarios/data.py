"""Data: how far each dataset reaches, and whether it is there where a pod looks for it."""

from __future__ import annotations

from typing import Any

from tests.scenarios.model import (
    IMAGE,
    SETTINGS,
    Node,
    Refused,
    Scenario,
    Works,
    default_pipeline,
    make_chain,
    node_groups,
    pickle_entries,
)

_CANARY = "CANARY-0a1b2c3d4e5f"
_NO_VOLUME = f"image: {IMAGE}\n"
_REMOTE = pickle_entries("raw", "b_out", folder="s3://bucket/data")
_NOT_INSTALLED = "not_installed_anywhere.datasets.FancyDataset"


def _passing_scenario(
    name: str, shows: str, entry: dict[str, Any] | None, *, fused: bool, says: tuple[str, ...] = (), **more: Any
) -> Scenario:
    """Two nodes that hand each other a dataset with this catalog entry: do they share a pod?"""
    catalog = {**pickle_entries("raw", "b_out"), **({"a_out": entry} if entry is not None else {})}
    return Scenario(
        name=name,
        shows=shows,
        pipelines=default_pipeline(*make_chain("a", "b")),
        catalog=catalog,
        expect=Works(together=node_groups("a b") if fused else (), before=() if fused else (("a", "b"),), says=says),
        **more,
    )


def _cached_entry(entry: dict[str, Any]) -> dict[str, Any]:
    return {"type": "CachedDataset", "dataset": entry}


def _sql_table_entry(con: str) -> dict[str, Any]:
    return {"type": "pandas.SQLTableDataset", "table_name": "t", "con": con}


_MEMORY = (
    _passing_scenario("memory-absent", "a dataset without catalog entry", None, fused=True),
    _passing_scenario("memory-entry", "MemoryDataset", {"type": "MemoryDataset", "copy_mode": "assign"}, fused=True),
    _passing_scenario("memory-full-name", "kedro.io.MemoryDataset", {"type": "kedro.io.MemoryDataset"}, fused=True),
    _passing_scenario("memory-shared", "SharedMemoryDataset", {"type": "SharedMemoryDataset"}, fused=True),
    _passing_scenario(
        "memory-protocol",
        "a memory:// path",
        {"type": "pickle.PickleDataset", "filepath": "memory://a.pkl"},
        fused=True,
    ),
    _passing_scenario(
        "memory-cached", "memory in a CachedDataset", _cached_entry({"type": "MemoryDataset"}), fused=True
    ),
    _passing_scenario(
        "memory-cached-short",
        "a CachedDataset that names only a type",
        {"type": "CachedDataset", "dataset": "MemoryDataset"},
        fused=True,
    ),
    _passing_scenario(
        "memory-nested",
        "a memory:// path in two wrappers",
        _cached_entry(_cached_entry({"type": "pickle.PickleDataset", "filepath": "memory://a.pkl"})),
        fused=True,
    ),
    _passing_scenario(
        "memory-partitioned",
        "partitions in memory://",
        {"type": "partitions.PartitionedDataset", "path": "memory://parts", "dataset": "pickle.PickleDataset"},
        fused=True,
    ),
    _passing_scenario("memory-sqlite", "a sqlite database of the process", _sql_table_entry("sqlite://"), fused=True),
    _passing_scenario(
        "memory-factory",
        "a factory that keeps all in memory",
        None,
        fused=True,
        files={"{conf}/base/catalog_more.yml": '"{name}_out": {type: MemoryDataset}\n'},
    ),
)

_STORED = (
    _passing_scenario("stored-volume", "a file on a volume", pickle_entries("a_out")["a_out"], fused=False),
    _passing_scenario(
        "stored-file-protocol",
        "a file:// path on a volume",
        {"type": "pickle.PickleDataset", "filepath": "file:///app/data/a.pkl"},
        fused=False,
    ),
    _passing_scenario(
        "stored-remote",
        "an object store",
        {"type": "pickle.PickleDataset", "filepath": "s3://bucket/a.pkl"},
        fused=False,
    ),
    _passing_scenario(
        "stored-cached",
        "a file in a CachedDataset",
        _cached_entry({"type": "pickle.PickleDataset", "filepath": "data/a.pkl"}),
        fused=False,
        says=("data-cached",),
    ),
    _passing_scenario(
        "stored-versioned",
        "a versioned file",
        {"type": "pickle.PickleDataset", "filepath": "data/a.pkl", "versioned": True},
        fused=False,
    ),
    _passing_scenario(
        "stored-partitioned",
        "partitions on a volume",
        {"type": "partitions.PartitionedDataset", "path": "data/parts", "dataset": {"type": "pickle.PickleDataset"}},
        fused=False,
    ),
    _passing_scenario(
        "stored-factory",
        "a dataset factory",
        None,
        fused=False,
        files={
            "{conf}/base/catalog_more.yml": '"{name}_out": {type: pickle.PickleDataset, filepath: "data/{name}.pkl"}\n'
        },
    ),
    _passing_scenario(
        "stored-catch-all",
        "a factory for everything",
        None,
        fused=False,
        files={"{conf}/base/catalog_more.yml": '"{any}": {type: pickle.PickleDataset, filepath: "data/{any}.pkl"}\n'},
    ),
    _passing_scenario(
        "stored-database", "a database server", _sql_table_entry("postgresql+psycopg://db.example.com/x"), fused=False
    ),
    _passing_scenario(
        "stored-sqlite", "a sqlite file on a volume", _sql_table_entry("sqlite:///data/x.db"), fused=False
    ),
    _passing_scenario(
        "stored-sqlite-absolute",
        "an absolute sqlite file on a volume",
        _sql_table_entry("sqlite:////app/data/x.db"),
        fused=False,
    ),
    _passing_scenario(
        "stored-duckdb", "a duckdb file on a volume", _sql_table_entry("duckdb:///data/x.duckdb"), fused=False
    ),
    _passing_scenario(
        "stored-ibis",
        "a duckdb file by ibis on a volume",
        {
            "type": "ibis.TableDataset",
            "table_name": "t",
            "connection": {"backend": "duckdb", "database": "data/x.duckdb"},
        },
        fused=False,
    ),
    _passing_scenario(
        "stored-ibis-server",
        "a server by ibis",
        {"type": "ibis.TableDataset", "table_name": "t", "connection": {"backend": "postgres", "host": "db"}},
        fused=False,
    ),
    _passing_scenario(
        "stored-not-installed",
        "a class that is not installed, with a path",
        {"type": _NOT_INSTALLED, "filepath": "s3://bucket/a.fancy"},
        fused=False,
    ),
    _passing_scenario(
        "stored-globals",
        "a path with OmegaConf's interpolation",
        {"type": "pickle.PickleDataset", "filepath": "${globals:root}/a.pkl"},
        fused=False,
        files={"{conf}/base/globals.yml": "root: s3://bucket\n"},
    ),
)

_ON_THE_POD = (
    Scenario(
        name="pod-between",
        shows="files of the pod's disk between two nodes",
        pipelines=default_pipeline(*make_chain("a", "b")),
        catalog={**_REMOTE, **pickle_entries("a_out", folder="tmp")},
        settings=_NO_VOLUME,
        expect=Works(together=node_groups("a b"), says=("data-fused",)),
    ),
    Scenario(
        name="pod-between-refused",
        shows="the same, refused by the settings",
        pipelines=default_pipeline(*make_chain("a", "b")),
        catalog={**_REMOTE, **pickle_entries("a_out", folder="tmp")},
        settings=_NO_VOLUME + "data: {pod_local: refuse}\n",
        expect=Refused(code="data-pod", mentions=("a_out", "/app/tmp/a_out.pkl", "data.volumes")),
    ),
    Scenario(
        name="pod-sqlite",
        shows="a sqlite file of the pod's disk",
        pipelines=default_pipeline(*make_chain("a", "b", "c")),
        catalog={**pickle_entries("raw", "b_out", "c_out"), "a_out": _sql_table_entry("sqlite:///db/x.db")},
        expect=Works(together=node_groups("a b"), before=(("b", "c"),), says=("data-fused",)),
    ),
    Scenario(
        name="pod-duckdb-ibis",
        shows="a duckdb file of the pod's disk, by ibis",
        pipelines=default_pipeline(*make_chain("a", "b")),
        catalog={
            **pickle_entries("raw", "b_out"),
            "a_out": {
                "type": "ibis.TableDataset",
                "table_name": "t",
                "connection": {"backend": "duckdb", "database": "x.duckdb"},
            },
        },
        expect=Refused(code="data-place", mentions=("x.duckdb",)),
    ),
    Scenario(
        name="pod-report",
        shows="a report that would be lost with its pod",
        pipelines=default_pipeline(*make_chain("a", "b")),
        catalog={**pickle_entries("raw", "a_out"), **pickle_entries("b_out", folder="reports")},
        expect=Refused(code="data-lost", mentions=("b_out", "/app/reports/b_out.pkl", "data.volumes", "data.discard")),
    ),
    Scenario(
        name="pod-report-fused",
        shows="fusion never saves a report",
        pipelines=default_pipeline(*make_chain("a", "b")),
        catalog={**_REMOTE, **pickle_entries("a_out", "b_out", folder="reports")},
        settings=_NO_VOLUME + "dag: {group_by: chain}\n",
        expect=Refused(code="data-lost", mentions=("b_out",)),
    ),
    Scenario(
        name="pod-report-discarded",
        shows="a report that may be lost",
        pipelines=default_pipeline(*make_chain("a", "b"), Node("a_out", "plot", "c")),
        catalog={**pickle_entries("raw", "a_out"), **pickle_entries("b_out", "plot", folder="reports")},
        settings=SETTINGS + "  discard: [b_out, pl*]\n",
        expect=Works(together=(), before=(("a", "b"), ("a", "c"))),
    ),
    Scenario(
        name="pod-input",
        shows="an input that no pod has",
        pipelines=default_pipeline(*make_chain("a")),
        catalog={**pickle_entries("a_out"), **pickle_entries("raw", folder="inputs")},
        expect=Refused(code="data-absent", mentions=("raw", "/app/inputs/raw.pkl", "data.in_image")),
    ),
    Scenario(
        name="pod-input-in-image",
        shows="an input that the image carries",
        pipelines=default_pipeline(*make_chain("a")),
        catalog={**pickle_entries("a_out"), **pickle_entries("raw", folder="inputs")},
        settings=SETTINGS + "  in_image: [inputs]\n",
        files={"inputs/raw.pkl": ""},
        expect=Works(together=()),
    ),
    Scenario(
        name="pod-input-partitions",
        shows="a folder of partitions that no pod has",
        pipelines=default_pipeline(*make_chain("a")),
        catalog={
            **pickle_entries("a_out"),
            "raw": {"type": "partitions.PartitionedDataset", "path": "inputs/parts", "dataset": "pickle.PickleDataset"},
        },
        expect=Refused(code="data-absent", mentions=("raw", "/app/inputs/parts")),
    ),
    Scenario(
        name="discard-matches-nothing",
        shows="a discarded dataset that is not there",
        pipelines=default_pipeline(*make_chain("a")),
        catalog=pickle_entries("raw", "a_out"),
        settings=SETTINGS + "  discard: [reprot]\n",
        expect=Refused(code="data-unmatched", mentions=("data.discard", "reprot")),
    ),
    Scenario(
        name="in-image-missing",
        shows="a carried path that is not there",
        pipelines=default_pipeline(*make_chain("a")),
        catalog={**pickle_entries("a_out"), **pickle_entries("raw", folder="inputs")},
        settings=SETTINGS + "  in_image: [inputs]\n",
        expect=Refused(code="image-path", mentions=("inputs", "does not exist")),
    ),
    Scenario(
        name="volume-over-source",
        shows="a volume that would hide the project's source",
        pipelines=default_pipeline(*make_chain("a")),
        catalog=pickle_entries("raw", "a_out"),
        settings=SETTINGS + "    code: {claim: x, mount: src}\n",
        expect=Refused(code="volume", mentions=("data.volumes.code.mount", "src")),
    ),
    Scenario(
        name="volumes-on-one-path",
        shows="two volumes in one place",
        pipelines=default_pipeline(*make_chain("a")),
        catalog=pickle_entries("raw", "a_out"),
        settings=SETTINGS + "    more: {claim: x, mount: data/}\n",
        expect=Refused(code="volume", mentions=("data.volumes", "/app/data")),
    ),
    Scenario(
        name="no-producer",
        shows="data that nobody makes and the catalog does not know",
        pipelines=default_pipeline(*make_chain("a")),
        catalog=pickle_entries("a_out"),
        expect=Refused(code="data-missing", mentions=("raw", "'a'")),
    ),
    Scenario(
        name="memory-with-data",
        shows="constants in the catalog",
        pipelines=default_pipeline(*make_chain("a")),
        catalog={**pickle_entries("a_out"), "raw": {"type": "MemoryDataset", "data": 3}},
        expect=Works(together=()),
    ),
    Scenario(
        name="parameter-missing",
        shows="a parameter that the project does not have",
        pipelines=default_pipeline(Node(("raw", "params:model.depth"), "a_out", "a")),
        catalog=pickle_entries("raw", "a_out"),
        parameters={"model": {"size": 1}},
        expect=Refused(code="param-missing", mentions=("params:model.depth", "'a'")),
    ),
    Scenario(
        name="parameter-given",
        shows="a parameter that --params gives",
        pipelines=default_pipeline(Node(("raw", "params:model.depth", "parameters"), "a_out", "a")),
        catalog=pickle_entries("raw", "a_out"),
        options=("--params", "model.depth=3,it's {{ x }}=$(HOME)"),
        expect=Works(together=()),
    ),
)

_UNKNOWN = (
    Scenario(
        name="unknown-crossing",
        shows="a class nobody knows between two pods",
        pipelines=default_pipeline(*make_chain("a", "b")),
        catalog={**pickle_entries("raw", "b_out"), "a_out": {"type": _NOT_INSTALLED, "model": "x"}},
        expect=Refused(code="data-unknown", mentions=("a_out", "data.reach")),
    ),
    Scenario(
        name="unknown-answered",
        shows="the same, answered by data.reach",
        pipelines=default_pipeline(*make_chain("a", "b")),
        catalog={**pickle_entries("raw", "b_out"), "a_out": {"type": _NOT_INSTALLED, "model": "x"}},
        settings=SETTINGS + "  reach: {a_out: shared}\n",
        expect=Works(together=(), before=(("a", "b"),)),
    ),
    Scenario(
        name="unknown-answered-glob",
        shows="answered for many at once",
        pipelines=default_pipeline(*make_chain("a", "b", "c")),
        catalog={
            **pickle_entries("raw", "c_out"),
            **{name: {"type": _NOT_INSTALLED, "model": "x"} for name in ("a_out", "b_out")},
        },
        settings=SETTINGS + '  reach: {"*_out": shared, b_out: memory}\n',
        expect=Works(together=node_groups("b c"), before=(("a", "b"),)),
    ),
    Scenario(
        name="unknown-inside-a-pod",
        shows="a class nobody knows that stays inside a pod",
        pipelines=default_pipeline(Node("raw", ("memory", "odd"), "a"), Node(("memory", "odd"), "out", "b")),
        catalog={**pickle_entries("raw", "out"), "odd": {"type": _NOT_INSTALLED}},
        expect=Works(together=node_groups("a b")),
    ),
    Scenario(
        name="unknown-at-the-ends",
        shows="a class nobody knows that is loaded from outside",
        pipelines=default_pipeline(*make_chain("a")),
        catalog={**pickle_entries("a_out"), "raw": {"type": _NOT_INSTALLED}},
        expect=Works(together=()),
    ),
    Scenario(
        name="reach-matches-nothing",
        shows="data.reach of a dataset that is not there",
        pipelines=default_pipeline(*make_chain("a")),
        catalog=pickle_entries("raw", "a_out"),
        settings=SETTINGS + "  reach: {a_uot: shared}\n",
        expect=Refused(code="data-unmatched", mentions=("data.reach", "a_uot")),
    ),
)

_SECRETS = (
    Scenario(
        name="credentials",
        shows="credentials in the catalog, in conf/local and in the environment's own file",
        pipelines=default_pipeline(*make_chain("a", "b", "c")),
        catalog={
            "raw": {"type": "pickle.PickleDataset", "filepath": "s3://bucket/raw.pkl", "credentials": "dev_s3"},
            "a_out": {
                "type": "pickle.PickleDataset",
                "filepath": "s3://bucket/a.pkl",
                "credentials": {"key": "me", "secret": _CANARY},
            },
            "b_out": {
                "type": "CachedDataset",
                "dataset": {"type": "pickle.PickleDataset", "filepath": "s3://b/b", "credentials": {"secret": _CANARY}},
            },
            "{x}_out": {"type": "pickle.PickleDataset", "filepath": "s3://b/{x}", "credentials": {"secret": _CANARY}},
        },
        files={
            "{conf}/local/credentials.yml": f"dev_s3: {{key: me, secret: {_CANARY}}}\n",
            "{conf}/base/credentials.yml": f"dev_s3: {{key: me, secret: {_CANARY}}}\n",
        },
        canary=_CANARY,
        expect=Works(
            together=(), before=(("a", "b"), ("b", "c")), says=("credentials", "data-cached", "secret-catalog")
        ),
    ),
    Scenario(
        name="credentials-missing",
        shows="credentials that are not there, as in CI",
        pipelines=default_pipeline(*make_chain("a", "b")),
        local=False,
        catalog={
            "raw": {"type": "pickle.PickleDataset", "filepath": "s3://bucket/raw.pkl", "credentials": "dev_s3"},
            "a_out": {
                "type": "pandas.SQLTableDataset",
                "table_name": "t",
                "credentials": "db",
                "con": "postgresql://db/x",
            },
            **pickle_entries("b_out"),
        },
        expect=Works(together=(), before=(("a", "b"),), says=("credentials",)),
    ),
    Scenario(
        name="credentials-hidden-url",
        shows="a database URL that only conf/local holds",
        pipelines=default_pipeline(*make_chain("a", "b")),
        catalog={
            **pickle_entries("raw", "b_out"),
            "a_out": {"type": "pandas.SQLTableDataset", "table_name": "t", "credentials": "db"},
        },
        files={"{conf}/local/credentials.yml": f"db: {{con: 'postgresql://u:{_CANARY}@h/d'}}\n"},
        canary=_CANARY,
        expect=Refused(code="data-unknown", mentions=("a_out", "data.reach")),
    ),
    Scenario(
        name="credentials-inline-url",
        shows="a database URL in the credentials of the entry itself",
        pipelines=default_pipeline(*make_chain("a", "b")),
        catalog={
            **pickle_entries("raw", "b_out"),
            "a_out": {
                "type": "pandas.SQLTableDataset",
                "table_name": "t",
                "credentials": {"con": f"postgresql://u:{_CANARY}@h/d"},
            },
        },
        canary=_CANARY,
        expect=Works(together=(), before=(("a", "b"),), says=("secret-catalog",)),
    ),
    Scenario(
        name="credentials-inline-file",
        shows="a database file in the credentials of the entry itself",
        pipelines=default_pipeline(*make_chain("a", "b")),
        catalog={
            **pickle_entries("raw", "b_out"),
            "a_out": {
                "type": "pandas.SQLTableDataset",
                "table_name": "t",
                "credentials": {"con": "sqlite:///db/x.db"},
            },
        },
        expect=Works(together=node_groups("a b"), says=("data-fused", "secret-catalog")),
    ),
    Scenario(
        name="credentials-in-url",
        shows="a password in the URL of a dataset",
        pipelines=default_pipeline(*make_chain("a", "b")),
        catalog={
            **pickle_entries("raw", "b_out"),
            "a_out": {
                "type": "pandas.SQLTableDataset",
                "table_name": "t",
                "con": f"postgresql://me:{_CANARY}@db.example.com/x",
            },
        },
        canary=_CANARY,
        expect=Works(together=(), before=(("a", "b"),), says=("secret-catalog",)),
    ),
    Scenario(
        name="credentials-in-path",
        shows="a password in the path of a dataset that would be lost",
        pipelines=default_pipeline(*make_chain("a", "b")),
        catalog={
            **pickle_entries("raw", "b_out"),
            "a_out": {"type": "pickle.PickleDataset", "filepath": f"ftp://me:{_CANARY}@host/a.pkl"},
        },
        canary=_CANARY,
        expect=Works(together=(), before=(("a", "b"),), says=("secret-catalog",)),
    ),
    Scenario(
        name="credentials-secret",
        shows="a Secret mounted as the credentials file",
        pipelines=default_pipeline(*make_chain("a", "b")),
        catalog=pickle_entries("raw", "a_out", "b_out"),
        settings=SETTINGS + "credentials_secret: {name: kedro-credentials, key: credentials.yml}\n",
        overlays={"prod": "namespace: prod\n"},
        options=("--env", "prod"),
        expect=Works(dag_ids=("project_prod",), before=(("a", "b"),)),
    ),
    Scenario(
        name="credentials-resolver",
        shows="credentials that an environment variable would hold",
        pipelines=default_pipeline(*make_chain("a", "b")),
        catalog=pickle_entries("raw", "a_out", "b_out"),
        files={"{conf}/base/credentials.yml": "dev: {secret: '${oc.env:A_VARIABLE_THAT_IS_NOT_SET}'}\n"},
        expect=Works(before=(("a", "b"),)),
    ),
)

_CATALOGS = (
    Scenario(
        name="catalog-unreadable",
        shows="a catalog that is no YAML",
        pipelines=default_pipeline(*make_chain("a")),
        files={"{conf}/base/catalog.yml": "raw: {type: [\n"},
        expect=Refused(code="conf", mentions=("catalog",)),
    ),
    Scenario(
        name="catalog-text",
        shows="an entry that is no dataset",
        pipelines=default_pipeline(*make_chain("a")),
        files={"{conf}/base/catalog.yml": "raw: data/raw.pkl\n"},
        expect=Refused(code="catalog", mentions=("raw",)),
    ),
    Scenario(
        name="catalog-twice",
        shows="one dataset in two files",
        pipelines=default_pipeline(*make_chain("a")),
        catalog=pickle_entries("raw", "a_out"),
        files={"{conf}/base/catalog_more.yml": "raw: {type: MemoryDataset}\n"},
        expect=Refused(code="conf", mentions=("catalog", "raw")),
    ),
    Scenario(
        name="catalog-runtime-params",
        shows="a path that needs a runtime parameter",
        pipelines=default_pipeline(*make_chain("a")),
        catalog={
            **pickle_entries("a_out"),
            "raw": {"type": "pickle.PickleDataset", "filepath": "data/${runtime_params:day}.pkl"},
        },
        expect=Refused(code="param-runtime", mentions=("day", "--params")),
    ),
    Scenario(
        name="catalog-runtime-params-given",
        shows="the same, given by --params",
        pipelines=default_pipeline(*make_chain("a")),
        catalog={
            **pickle_entries("a_out"),
            "raw": {"type": "pickle.PickleDataset", "filepath": "data/${runtime_params:day}.pkl"},
        },
        options=("--params", "day=monday"),
        expect=Works(together=()),
    ),
    Scenario(
        name="transcoded",
        shows="one dataset in two forms between groups",
        pipelines=default_pipeline(
            Node("raw", "table@pandas", "a"),
            Node("table@arrow", "memory", "b"),
            Node(("memory", "table@pandas"), "out", "c"),
        ),
        catalog={**pickle_entries("raw", "out"), **pickle_entries("table@pandas", "table@arrow")},
        expect=Works(together=node_groups("b c"), before=(("a", "b"),)),
    ),
    Scenario(
        name="transcoded-apart",
        shows="one dataset in two forms, and nothing else between two nodes",
        pipelines=default_pipeline(Node("raw", "table@spark", "a"), Node("table@pandas", "out", "b")),
        catalog=pickle_entries("raw", "out", "table@spark", "table@pandas"),
        expect=Works(together=(), before=(("a", "b"),)),
    ),
    Scenario(
        name="transcoded-half-in-memory",
        shows="one form stored, the other not",
        pipelines=default_pipeline(Node("raw", "table@pandas", "a"), Node("table@arrow", "out", "b")),
        catalog={**pickle_entries("raw", "out"), **pickle_entries("table@pandas")},
        expect=Works(together=node_groups("a b")),
    ),
)

SCENARIOS = (*_MEMORY, *_STORED, *_ON_THE_POD, *_UNKNOWN, *_SECRETS, *_CATALOGS)
