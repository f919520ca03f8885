"""For each rule, a project that it reports and a similar one that it does not."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.scenarios.model import IMAGE, SETTINGS, Node, Scenario, Works, default_pipeline, make_chain, pickle_entries

if TYPE_CHECKING:
    from collections.abc import Mapping

_BUILT = IMAGE + ":1.0"
_CATALOG = pickle_entries("raw", "a_out", "b_out")
_LOCAL = pickle_entries("a_out", folder="intermediate")
_PARTITIONS = {"type": "partitions.PartitionedDataset", "path": "data/parts"}
_APPENDING = {"type": "pandas.CSVDataset", "filepath": "data/a_out.csv", "save_args": {"mode": "a"}}
_OWN = {"type": "project.datasets.OwnDataset"}
_INCREMENTAL = {"type": "partitions.IncrementalDataset", "path": "data/raw", "dataset": "pandas.CSVDataset"}
_SPARK = {"type": "spark.SparkDataset", "filepath": "data/raw.parquet", "file_format": "parquet"}
_CLI = """
import click


@click.group()
def cli():
    pass


@cli.command()
def {name}():
    pass
"""
_CLASS = """
class {name}({base}):
    pass


SESSION_CLASS = {name}
"""
_HOOK = """
from kedro.framework.hooks import hook_impl


class Own:
    @hook_impl
    def after_catalog_created(self, catalog):
        {code}


HOOKS = (Own(),)
"""
_READS_MODE = """
import os

from kedro.pipeline import Node, Pipeline


def work(*given):
    return given


MODE = os.environ.get("MODE", "small")


def register_pipelines():
    return {"__default__": Pipeline([Node(work, "raw", "a_out", name="a"), Node(work, "a_out", "b_out", name="b")])}
"""
# Kedro itself has this resolver for credentials only.
READS_VARIABLE = {
    "settings_py": "from omegaconf.resolvers import oc\n"
    'CONFIG_LOADER_ARGS = {"base_env": "base", "default_run_env": "local", "custom_resolvers": {"oc.env": oc.env}}\n'
}
_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
# Two nodes without an order.
APART = (Node("raw", "a_out", "a"), Node("raw", "b_out", "b"))


@dataclass(frozen=True)
class Case:
    """Differences from a project of two nodes in a line, which has no finding.

    Attributes:
        fires: differences of the project that the rule reports.
        near: differences of the similar project that the rule does not report.
        names: part of the finding's text.
        environment: environment variables of the command.
    """

    code: str
    violating: Mapping[str, Any]
    near_miss: Mapping[str, Any]
    names: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.code


def make_scenario(code: str, settings: str = "", **different: Any) -> Scenario:
    """Return a project with these differences; `settings` are added to the common ones."""
    whole = different.pop("whole", SETTINGS.replace(IMAGE, _BUILT))
    base: dict[str, Any] = {
        "pipelines": default_pipeline(*make_chain("a", "b")),
        "catalog": _CATALOG,
        "settings": whole + settings,
    }
    without = different.pop("without", ())
    if "registry" in different:
        base.pop("pipelines")
    files = {**different.pop("files", {}), **dict.fromkeys(without, "")}
    return Scenario(name=code, shows=code, expect=Works(), **{**base, **different, "files": files})


def _task_settings(text: str) -> dict[str, str]:
    return {"settings": f"tasks: {{all: {{{text}}}}}\n"}


def _dag_settings(text: str) -> dict[str, str]:
    return {"settings": f"dag: {{{text}}}\n"}


def _window(start: str) -> dict[str, Any]:
    return {"day": "2026-01-31", "window": {"start": start, "days": 3}}


def _volume_settings(text: str) -> dict[str, Any]:
    return {"whole": f"image: {_BUILT}\ndata: {{volumes: {{data: {{claim: c, mount: data, {text}}}}}}}\n"}


def _data_settings(text: str) -> dict[str, Any]:
    return {"whole": f"image: {_BUILT}\ndata: {{volumes: {{data: {{claim: c, mount: data}}}}, {text}}}\n"}


def _unnamed_node(name: str) -> dict[str, Any]:
    """Return a node without a name. Kedro does not check the name that it derives from the function."""
    return {"pipelines": default_pipeline(Node("raw", "a_out", func=f"named({name!r})"), Node("a_out", "b_out", "b"))}


def _first_node_named(name: str) -> dict[str, Any]:
    return {"pipelines": default_pipeline(Node("raw", "a_out", name), Node("a_out", "b_out", "b"))}


def _catalog_entry(**entry: Any) -> dict[str, Any]:
    return {"catalog": {**_CATALOG, "a_out": entry}}


def _environment_overlay(settings_py: str) -> dict[str, Any]:
    return {
        "settings": "dag: {retries: 2, owner: me}\n",
        "overlays": {"prod": "dag: {retries: 3}\n"},
        "options": ("--env", "prod"),
        "settings_py": settings_py,
    }


def _sql_entry(table: str) -> dict[str, str]:
    return {"type": "pandas.SQLTableDataset", "table_name": table, "con": "sqlite:///data/all.db"}


def _merge_strategy(strategy: str) -> str:
    return f'CONFIG_LOADER_ARGS = {{"base_env": "base", "merge_strategy": {{"k8s_airflow": "{strategy}"}}}}\n'


def _requirements_file(*lines: str) -> dict[str, dict[str, str]]:
    return {"files": {"requirements.txt": "".join(f"{line}\n" for line in ("kedro", *lines))}}


_LONG = tuple(f"{'n' * 20_000}{number}" for number in range(60))
_SPACED = (
    Node("raw", "x", "a.one", namespace="a"),
    Node("x", "y", "two"),
    Node("y", "b_out", "a.three", namespace="a"),
)
_STORED = pickle_entries("raw", "x", "y", "b_out")

CASES = (
    # data
    Case("data-missing", {"catalog": pickle_entries("a_out", "b_out")}, {}, "'raw'"),
    Case(
        "data-absent",
        {"catalog": {**_CATALOG, **pickle_entries("raw", folder="input")}},
        {"catalog": {**_CATALOG, **pickle_entries("raw", folder="input")}, **_data_settings("in_image: [input]")},
        "/app/input/raw.pkl",
    ),
    Case(
        "data-read-only",
        _volume_settings("readOnly: true"),
        {
            **_volume_settings("readOnly: true"),
            "catalog": {**_CATALOG, **pickle_entries("a_out", "b_out", folder="s3://bucket")},
        },
        "'data'",
    ),
    Case(
        "data-lost",
        {"catalog": {**_CATALOG, **pickle_entries("b_out", folder="reports")}},
        {"catalog": {**_CATALOG, **pickle_entries("b_out", folder="reports")}, **_data_settings("discard: [b_*]")},
        "/app/reports/b_out.pkl",
    ),
    Case(
        "data-unknown",
        _catalog_entry(type="somewhere.FancyDataset"),
        {**_catalog_entry(type="somewhere.FancyDataset"), **_data_settings("reach: {a_out: shared}")},
        "'a_out'",
    ),
    Case(
        "data-path-unknown",
        {"catalog": {**_CATALOG, "b_out": {**_OWN, "file_path": "reports/b_out.html"}}},
        {"catalog": {**_CATALOG, "b_out": {**_OWN, "file_path": "data/b_out.html"}}},
        "file_path: reports/b_out.html",
    ),
    Case(
        "data-cached",
        _catalog_entry(type="CachedDataset", dataset=_CATALOG["a_out"]),
        {
            **_catalog_entry(type="CachedDataset", dataset=_CATALOG["a_out"]),
            "settings": "groups: {both: {node: [a, b]}}\n",
        },
        "'a_out'",
    ),
    Case(
        "data-unversionable",
        _catalog_entry(type="CachedDataset", dataset={**_CATALOG["a_out"], "versioned": True}),
        _catalog_entry(type="CachedDataset", versioned=True, dataset=_CATALOG["a_out"]),
        "'a_out'",
    ),
    Case(
        "data-versioned-inside",
        _catalog_entry(**_PARTITIONS, dataset={"type": "pickle.PickleDataset", "versioned": True}),
        {
            **_catalog_entry(**_PARTITIONS, dataset={"type": "pickle.PickleDataset", "versioned": True}),
            **_dag_settings("group_by: chain"),
        },
        "'a_out'",
    ),
    Case("data-unmatched", _data_settings("discard: [nothing_*]"), _data_settings("discard: [b_*]"), "nothing_*"),
    Case("data-fused", {"catalog": {**_CATALOG, **_LOCAL}}, {}, "'a_out'"),
    Case(
        "data-outside",
        {"catalog": {**_CATALOG, **pickle_entries("a_out", folder="../elsewhere")}},
        {"catalog": {**_CATALOG, **_LOCAL}},
        "/elsewhere",
    ),
    Case(
        "data-same-file",
        {"pipelines": default_pipeline(*APART), "catalog": {**_CATALOG, "b_out": _CATALOG["a_out"]}},
        {"catalog": {**_CATALOG, "b_out": _CATALOG["a_out"]}},
        "/app/data/a_out.pkl",
    ),
    Case(
        "volume-once",
        {**_volume_settings("accessMode: ReadWriteOnce"), "pipelines": default_pipeline(*APART)},
        _volume_settings("accessMode: ReadWriteOnce"),
        "ReadWriteOnce",
    ),
    Case(
        "data-database",
        {
            "pipelines": default_pipeline(*APART),
            "catalog": {**_CATALOG, "a_out": _sql_entry("a"), "b_out": _sql_entry("b")},
        },
        {"catalog": {**_CATALOG, "a_out": _sql_entry("a"), "b_out": _sql_entry("b")}},
        "/app/data/all.db",
    ),
    Case(
        "store-unused",
        _data_settings("memory: store, store: {path: data/memory}"),
        {
            **_data_settings("memory: store, store: {path: data/memory}"),
            "settings": "dag: {group_by: none}\n",
            "catalog": pickle_entries("raw", "b_out"),
        },
    ),
    # runs
    Case(
        "overlap-passed",
        _dag_settings("max_active_runs: 2"),
        {
            **_dag_settings("max_active_runs: 2"),
            "catalog": {**_CATALOG, "a_out": {**_CATALOG["a_out"], "versioned": True}},
        },
        "'a_out'",
    ),
    Case(
        "overlap-saved",
        _dag_settings("max_active_runs: 2"),
        {
            **_dag_settings("max_active_runs: 2, macros: {run_date: run_date}"),
            "parameters": {"run_date": "2026-01-01"},
            "catalog": {
                **_CATALOG,
                "b_out": {**_CATALOG["b_out"], "filepath": "data/${runtime_params:run_date, none}/b.pkl"},
            },
        },
        "'b_out'",
    ),
    Case(
        "retry-append",
        {**_catalog_entry(**_APPENDING), **_dag_settings("retries: 1")},
        {**_catalog_entry(**_APPENDING), "settings": "dag: {retries: 1}\ntasks: {a: {match: {node: a}, retries: 0}}\n"},
        "save_args.mode: a",
    ),
    # graph
    Case(
        "graph-hidden-order",
        {
            "pipelines": default_pipeline(Node("raw", "x", "a"), Node("y", "b_out", "b")),
            "catalog": {**_CATALOG, **dict.fromkeys(("x", "y"), _CATALOG["a_out"])},
        },
        {
            "pipelines": default_pipeline(Node("raw", "x@one", "a"), Node("x@two", "b_out", "b")),
            "catalog": {**_CATALOG, **dict.fromkeys(("x@one", "x@two"), _CATALOG["a_out"])},
        },
        "'x'",
    ),
    Case(
        "graph-unordered",
        {"pipelines": default_pipeline(Node("raw", None, "a"), Node(None, "b_out", "b"))},
        {"pipelines": default_pipeline(Node("raw", None, "a"), Node("raw", "b_out", "b"))},
        "'b'",
    ),
    Case(
        "namespace-interrupted",
        {"pipelines": default_pipeline(*_SPACED), "catalog": _STORED, **_dag_settings("group_by: namespace")},
        {"pipelines": default_pipeline(*_SPACED[:2]), "catalog": _STORED, **_dag_settings("group_by: namespace")},
        "'two'",
    ),
    Case(
        "group-between",
        {
            "pipelines": default_pipeline(*make_chain("a", "b", "c")),
            "catalog": pickle_entries("raw", "a_out", "b_out", "c_out"),
        }
        | {"settings": "groups: {ends: {node: [a, c]}}\n"},
        {
            "pipelines": default_pipeline(*make_chain("a", "b", "c")),
            "catalog": pickle_entries("raw", "a_out", "b_out", "c_out"),
        }
        | {"settings": "groups: {ends: {node: [a, b]}}\n"},
        "'b'",
    ),
    Case(
        "group-declined",
        {"settings": "groups: {both: {node: [a, b]}}\ntasks: {x: {match: {node: a}, image: 'other:1'}}\n"},
        {"settings": "groups: {both: {node: [a, b]}}\ntasks: {x: {image: 'other:1'}}\n"},
    ),
    # names
    Case("name-task", _unnamed_node("not legal"), _unnamed_node("legal"), "'not legal__"),
    Case("name-label", _first_node_named("n" * 64), _first_node_named("n" * 63)),
    Case(
        "name-dag",
        {"settings": "dags: {not legal: {pipeline: __default__}}\n"},
        {"settings": "dags: {legal: {pipeline: __default__}}\n"},
        "not legal",
    ),
    # settings
    Case(
        "rule-shadowed",
        {"settings": "tasks: {early: {match: {node: a}, retries: 1}, late: {retries: 2}}\n"},
        {"settings": "tasks: {early: {match: {node: a}, retries: 1, pool: x}, late: {retries: 2}}\n"},
        "tasks.early",
    ),
    Case(
        "profile-unused",
        {"settings": "profiles: {gpu: {retries: 2}}\n"},
        {"settings": "profiles: {gpu: {retries: 2}}\ntasks: {all: {profile: gpu}}\n"},
        "profiles.gpu",
    ),
    Case(
        "settings-dropped",
        _environment_overlay(_merge_strategy("destructive")),
        _environment_overlay(_merge_strategy("soft")),
        "dag.owner",
    ),
    Case(
        "resources",
        _task_settings("resources: {requests: {memory: 3Gi}, limits: {memory: 2Gi}}"),
        _task_settings("resources: {requests: {memory: 2Gi}, limits: {memory: 2Gi}}"),
        "3Gi",
    ),
    Case(
        "resources-bytes",
        _task_settings("resources: {requests: {memory: 512}, limits: {memory: 512}}"),
        _task_settings("resources: {requests: {memory: 512Mi}, limits: {memory: 512Mi}}"),
        "512",
    ),
    Case(
        "memory-unlimited",
        _task_settings("resources: {limits: {memory: null}}"),
        _task_settings("resources: {limits: {cpu: 2}}"),
    ),
    Case(
        "volume-mount",
        _task_settings("volumes: [{name: x, emptyDir: {}}], volumeMounts: [{name: x, mountPath: y}]"),
        _task_settings("volumes: [{name: x, emptyDir: {}}], volumeMounts: [{name: x, mountPath: /y}]"),
        "'y'",
    ),
    Case(
        "pod-refused",
        _task_settings(f"affinity: {{podAffinity: {{{_REQUIRED}: [{{topologyKey: zone, labelSelectr: {{}}}}]}}}}"),
        _task_settings(f"affinity: {{podAffinity: {{{_REQUIRED}: [{{topologyKey: zone, labelSelector: {{}}}}]}}}}"),
        "'labelSelector'",
    ),
    Case(
        "pod-newer",
        _task_settings("operator: {pod_template_dict: {spec: {hostnameOverride: a}}}"),
        _task_settings("operator: {pod_template_dict: {spec: {hostname: a}}}"),
        "1.31",
    ),
    Case(
        "operator-word",
        _task_settings("operator: {on_finish_action: delete}"),
        _task_settings("operator: {on_finish_action: delete_active_pod}"),
        "delete_succeeded_pod",
    ),
    Case(
        "operator-skip",
        _task_settings("operator: {skip_on_exit_code: [99, 2]}"),
        _task_settings("operator: {skip_on_exit_code: [99, 98]}"),
        "to 2",
    ),
    Case(
        "init-logs-deferred",
        _task_settings("operator: {init_container_logs: true}"),
        _task_settings("operator: {init_container_logs: true}, deferrable: false"),
    ),
    Case("pool-deferred", _task_settings("pool: gpus"), _task_settings("pool: gpus, deferrable: false"), "'gpus'"),
    Case(
        "active-deferred",
        _dag_settings("max_active_tasks: 2"),
        {"settings": "dag: {max_active_tasks: 2}\ntasks: {all: {deferrable: false}}\n"},
    ),
    Case(
        "retry-early",
        _task_settings("deferrable: false, retries: 1, retry_delay: 10s"),
        _task_settings("deferrable: false, retries: 1, retry_delay: 40s"),
    ),
    Case(
        "deadline-short",
        _task_settings("execution_timeout: 2h, activeDeadlineSeconds: 1h"),
        _task_settings("execution_timeout: 2h, activeDeadlineSeconds: 3h"),
    ),
    Case(
        "dagrun-short",
        {"settings": "dag: {dagrun_timeout: 1h}\ntasks: {all: {execution_timeout: 2h}}\n"},
        {"settings": "dag: {dagrun_timeout: 2h}\ntasks: {all: {execution_timeout: 2h}}\n"},
    ),
    Case(
        "schedule-catchup",
        _dag_settings("schedule: '@daily', catchup: true"),
        _dag_settings("schedule: '@daily', catchup: true, start_date: 2026-01-01"),
        "2025-01-01",
    ),
    Case("schedule-days", _dag_settings("schedule: '0 6 1 * 1'"), _dag_settings("schedule: '0 6 * * 1'"), "weekday 1"),
    Case(
        "schedule-dst",
        _dag_settings("schedule: '30 2 * * *', timezone: America/New_York"),
        _dag_settings("schedule: '30 2 * * *', timezone: America/Phoenix"),
        "does not exist on 2025-03-09",
    ),
    Case(
        "macro-logical-date",
        {**_dag_settings("macros: {day: '{{ ds_nodash }}'}"), "parameters": {"day": "x"}},
        {**_dag_settings("macros: {day: run_date}"), "parameters": {"day": "x"}},
        "ds_nodash",
    ),
    Case(
        "runner-kedro",
        {**_unnamed_node("a, comma"), **_task_settings("runner: kedro")},
        {**_unnamed_node("no comma"), **_task_settings("runner: kedro")},
        "comma",
    ),
    Case("runner-kedro-loses", _task_settings("runner: kedro"), _task_settings("runner: ThreadRunner")),
    Case(
        "pod-size",
        {
            "pipelines": default_pipeline(*make_chain(*_LONG)),
            "catalog": pickle_entries("raw") | {f"{_LONG[-1]}_out": _CATALOG["b_out"]},
        },
        {
            "pipelines": default_pipeline(*make_chain(*_LONG[:9])),
            "catalog": pickle_entries("raw") | {f"{_LONG[8]}_out": _CATALOG["b_out"]},
        },
    ),
    Case(
        "data-windows",
        {"catalog": {**_CATALOG, "a_out": {"type": "pickle.PickleDataset", "filepath": "data\\02_mid\\a.pkl"}}},
        {"catalog": {**_CATALOG, "a_out": {"type": "pickle.PickleDataset", "filepath": "data/02_mid/a.pkl"}}},
        "write the path with '/', as data/02_mid/a.pkl",
    ),
    # parameters
    Case(
        "param-missing",
        {"pipelines": default_pipeline(Node(("raw", "params:depth"), "b_out", "a")), "parameters": {"deep": 1}},
        {"pipelines": default_pipeline(Node(("raw", "params:depth"), "b_out", "a")), "parameters": {"depth": 1}},
        "params:depth",
    ),
    Case(
        "param-form",
        {**_dag_settings("params: [depth]"), "parameters": {"depth": None}},
        {**_dag_settings("params: {depth: {type: integer}}"), "parameters": {"depth": None}},
        "'depth'",
    ),
    Case(
        "param-derived",
        {**_dag_settings("params: [window], macros: {day: run_date}"), "parameters": _window("${day}")},
        {**_dag_settings("params: [window.days], macros: {day: run_date}"), "parameters": _window("${day}")},
        "'window', whose default depends on 'day'",
    ),
    # image
    Case("image-unbuilt", {"whole": SETTINGS}, {}, IMAGE),
    Case(
        "image-own",
        {"files": {"Dockerfile": "FROM python:3.12\nCOPY src src\nUSER 1000\n"}},
        {"files": {"Dockerfile": "FROM python:3.12\nCOPY src src\nCOPY .k8s-airflow .k8s-airflow\nUSER 1000\n"}},
        "Dockerfile",
    ),
    Case(
        "image-context",
        {"files": {".dockerignore": "data\nsrc/\n", "src/project/py.typed": ""}},
        {"files": {".dockerignore": "data\nsrc/\n!src/project\n", "src/project/py.typed": ""}},
        "src/",
    ),
    Case(
        "image-user",
        {"files": {"Dockerfile": "FROM python:3.12\nCOPY . .\nUSER kedro\n"}}
        | _task_settings("podSecurityContext: {runAsUser: null}"),
        {"files": {"Dockerfile": "FROM python:3.12\nCOPY . .\nUSER 1001\n"}}
        | _task_settings("podSecurityContext: {runAsUser: null}"),
        "USER kedro",
    ),
    Case(
        "image-java",
        {"whole": SETTINGS, "catalog": {**_CATALOG, "raw": _SPARK}},
        {"whole": SETTINGS, "catalog": {**_CATALOG, "raw": _SPARK}, "settings": "build: {java: true}\n"},
        "'raw'",
    ),
    Case(
        "image-dataset",
        {"whole": SETTINGS, **_requirements_file()},
        {"whole": SETTINGS, **_requirements_file("kedro-datasets")},
        "kedro-datasets[pickle-pickledataset]",
    ),
    Case(
        "image-link",
        {"links": {"src/project/shared": "../../../shared"}},
        {"links": {"src/project/shared": "../project/nodes"}, "files": {"src/project/nodes/x.py": ""}},
        "src/project/shared: is a link to ../../../shared",
    ),
    Case(
        "image-git",
        {"files": {"requirements.txt": "kedro\nx @ git+https://git.example.com/x.git\n"}},
        {
            "files": {"requirements.txt": "kedro\nx @ git+https://git.example.com/x.git\n"},
            "settings": "build: {build_packages: [git=1]}\n",
        },
        "requirements.txt, line 2",
    ),
    Case(
        "image-kedro",
        {
            "files": {
                "requirements.txt": "kedro-datasets\n-c constraints.txt\n",
                "constraints.txt": "\nkedro~=1.4.0 # old\n",
            }
        },
        {
            "files": {
                "requirements.txt": "kedro-datasets\n-c constraints.txt\n",
                "constraints.txt": "\nkedro~=1.4 # old\n",
            }
        },
        "constraints.txt, line 2: holds kedro~=1.4.0",
    ),
    Case(
        "image-import",
        {
            "whole": SETTINGS,
            **_requirements_file("kedro-datasets"),
            "settings_py": "import pytest\n",
        },
        {
            "whole": SETTINGS,
            **_requirements_file("kedro-datasets", "pytest"),
            "settings_py": "import pytest\n",
        },
        "src/project/settings.py, line 1",
    ),
    Case(
        "image-plugins",
        {**_requirements_file("kedro-datasets", "kedro-viz"), "settings": "build: {exclude: []}\n"},
        _requirements_file("kedro-datasets", "kedro-viz"),
        "'kedro-viz'",
    ),
    # security
    Case(
        "credentials",
        _catalog_entry(type="pickle.PickleDataset", filepath="s3://bucket/a.pkl", credentials="dev"),
        _catalog_entry(type="pickle.PickleDataset", filepath="s3://bucket/a.pkl", credentials="dev")
        | {"settings": "credentials_secret: {name: s, key: k}\n"},
        "dev",
    ),
    Case(
        "secret-catalog",
        _catalog_entry(type="pickle.PickleDataset", filepath="s3://bucket/a.pkl", fs_args={"secret": "hunter2"}),
        _catalog_entry(type="pickle.PickleDataset", filepath="s3://bucket/a.pkl", fs_args={"anon": True}),
        "fs_args.secret",
    ),
    Case(
        "secret-parameters",
        {"parameters": {"url": "postgres://me:hunter2@db/x"}},
        {"parameters": {"url": "postgres://db/x", "max_tokens": 5}},
        "'url'",
    ),
    Case(
        "pod-privileged",
        _task_settings("securityContext: {privileged: true}"),
        _task_settings("securityContext: {privileged: false}"),
        "privileged",
    ),
    Case(
        "pod-host",
        _task_settings("volumes: [{name: x, hostPath: {path: /var/run}}], volumeMounts: [{name: x, mountPath: /x}]"),
        _task_settings("volumes: [{name: x, emptyDir: {}}], volumeMounts: [{name: x, mountPath: /x}]"),
        "/var/run",
    ),
    Case(
        "pod-token",
        _task_settings("automountServiceAccountToken: true"),
        _task_settings("serviceAccountName: spark"),
        "'default'",
    ),
    # environment
    Case(
        "env-registry",
        {"registry": _READS_MODE},
        {"registry": _READS_MODE, **_task_settings("env: [{name: MODE, value: large}]")},
        "src/project/pipeline_registry.py, line 11",
        {"MODE": "large"},
    ),
    Case(
        "env-config",
        {**READS_VARIABLE, **_catalog_entry(type="pickle.PickleDataset", filepath="${oc.env:BUCKET}/a.pkl")},
        {
            **READS_VARIABLE,
            **_catalog_entry(type="pickle.PickleDataset", filepath="${oc.env:BUCKET}/a.pkl"),
            "settings": "build: {env: {BUCKET: 's3://bucket'}}\n",
        },
        "'BUCKET'",
        {"BUCKET": "s3://here"},
    ),
    Case(
        "env-differs",
        {**READS_VARIABLE, "parameters": {"stage": "${oc.env:STAGE,dev}"}},
        {
            **READS_VARIABLE,
            "parameters": {"stage": "${oc.env:STAGE,dev}"},
            **_task_settings("env: [{name: STAGE, value: prod}]"),
        },
        "'STAGE'",
        {"STAGE": "here"},
    ),
    Case(
        "env-settings",
        {**READS_VARIABLE, "settings": "namespace: '${oc.env:SPACE}'\n"},
        {**READS_VARIABLE, "settings": "namespace: '${oc.env:OTHER_SPACE,space}'\n"},
        "'SPACE'",
        {"SPACE": "here"},
    ),
    Case(
        "hooks-memory",
        {"settings_py": _HOOK.format(code='catalog["a_out"] = object()'), "catalog": pickle_entries("raw", "b_out")},
        {"settings_py": _HOOK.format(code='print(catalog["a_out"])'), "catalog": pickle_entries("raw", "b_out")},
        "'a_out'",
    ),
    Case(
        "session-class",
        {
            "settings_py": "from kedro.framework.session import KedroSession\n"
            + _CLASS.format(name="Ours", base="KedroSession")
        },
        {"settings_py": "from kedro.framework.session import KedroServiceSession as SESSION_CLASS\n"},
        "project.settings.Ours",
    ),
    Case(
        "context-class",
        {
            "settings_py": "from kedro.framework.context import KedroContext\n"
            "from kedro.framework.session import KedroServiceSession as SESSION_CLASS\n"
            + _CLASS.format(name="Ours", base="KedroContext").replace("SESSION_CLASS = ", "CONTEXT_CLASS = ")
        },
        {"settings_py": "from kedro.framework.context import KedroContext as CONTEXT_CLASS\n"},
        "project.settings.Ours",
    ),
    Case(
        "run-command",
        {"files": {"{package}/cli.py": _CLI.format(name="run")}},
        {"files": {"{package}/cli.py": _CLI.format(name="walk")}},
        "cli.py",
    ),
)
BY_CODE = {case.code: case for case in CASES}
# Projects that resemble the failure behind a rule but are correct.
ALMOST: dict[str, tuple[str, Mapping[str, Any]]] = {
    "an init container with the rights of the restricted profile": (
        "pod-privileged",
        _task_settings(
            "operator: {init_containers: [{name: w, image: 'b:1', securityContext: "
            "{allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}}]}"
        ),
    ),
    "a pod template without access to its cluster node": (
        "pod-host",
        _task_settings(
            "operator: {pod_template_dict: {spec: {hostNetwork: false, volumes: [{name: a, emptyDir: {}}]}}}"
        ),
    ),
    "a template of Airflow in a selector": (
        "pod-refused",
        _task_settings("nodeSelector: {pool: '{{ var.value.pool }}'}"),
    ),
    "an init container that mounts a volume of the pod": (
        "pod-refused",
        _task_settings(
            "operator: {init_containers: [{name: w, image: 'b:1', volumeMounts: [{name: tmp, mountPath: /t}]}]}"
        ),
    ),
    "what is uploaded after it was saved": (
        "data-lost",
        {
            "catalog": {
                **_CATALOG,
                "b_out": {
                    "type": "kedro_mlflow.io.artifacts.MlflowArtifactDataset",
                    "dataset": {"type": "pickle.PickleDataset", "filepath": "reports/b_out.pkl"},
                },
            }
        },
    ),
    "what is loaded from a read-only volume without a confirmation": (
        "data-read-only",
        {
            **_volume_settings("readOnly: true"),
            "catalog": {**_CATALOG, **pickle_entries("a_out", "b_out", folder="s3://bucket"), "raw": _INCREMENTAL},
        },
    ),
    "an own class with a file of the project's code": (
        "data-path-unknown",
        {"catalog": {**_CATALOG, "raw": {**_OWN, "file_path": "src/project/raw.html"}}},
    ),
    "an own class with a server": (
        "data-unknown",
        {"catalog": {**_CATALOG, "a_out": {**_OWN, "uri": "mongodb://host/db"}}},
    ),
    "tables of one database are not one file": (
        "data-same-file",
        {
            "pipelines": default_pipeline(*APART),
            "catalog": {**_CATALOG, "a_out": _sql_entry("a"), "b_out": _sql_entry("b")},
        },
    ),
    "a table that is loaded while another is saved": (
        "graph-hidden-order",
        {
            "pipelines": default_pipeline(Node("raw", "x", "a"), Node("y", "b_out", "b")),
            "catalog": {**_CATALOG, "x": _sql_entry("x"), "y": _sql_entry("y")},
        },
    ),
    "keys with an underscore are Kedro's": (
        "settings-dropped",
        {
            "settings": "_common: {retries: 3}\ndag: {retries: 2}\n",
            "overlays": {"prod": "dag: {retries: 3}\n"},
            "options": ("--env", "prod"),
        },
    ),
    "a project that a Dockerfile copies to project_path": (
        "image-own",
        {
            "files": {
                "Dockerfile": "FROM x\nARG HOME_DIR=/srv\nWORKDIR ${HOME_DIR}\nCOPY --chown=1:0 . kedro\nUSER 1\n",
            },
            "settings": "project_path: /srv/kedro\n",
        },
    ),
    "a link that .dockerignore leaves out": ("image-link", {"links": {"src/tests": "/nowhere"}}),
    "a Dockerfile that installs something else": (
        "image-kedro",
        {
            "files": {
                "requirements.txt": "kedro==0.19.9\n",
                "Dockerfile": "FROM x\nCOPY .k8s-airflow src /app/\nUSER 1\n",
            }
        },
    ),
    "COPY . with a folder behind it": ("image-own", {"files": {"Dockerfile": "FROM x\nCOPY . /app\nUSER 1\n"}}),
    "COPY in JSON form": ("image-own", {"files": {"Dockerfile": 'FROM x\nCOPY [".", "/app"]\nUSER 1\n'}}),
    "a query that an engine in memory reads": (
        "data-missing",
        {
            "catalog": {
                **_CATALOG,
                "raw": {"type": "pandas.SQLQueryDataset", "sql": "select 1", "con": "duckdb:///:memory:"},
            }
        },
    ),
    "a class of the project's own with a client of its own": (
        "image-dataset",
        {
            "whole": SETTINGS,
            **_requirements_file("kedro-datasets"),
            "catalog": {**_CATALOG, "raw": {"type": "project.mine.BotoDataset", "filepath": "s3://b/raw"}},
        },
    ),
    "extras that an image installs": (
        "image-dataset",
        {
            "whole": SETTINGS + "build: {extras: [io]}\n",
            "files": {
                "pyproject.toml": (
                    '[project]\nname = "project"\nversion = "0"\ndependencies = ["kedro"]\n'
                    '[project.optional-dependencies]\nio = ["kedro-datasets"]\n'
                    '[tool.kedro]\npackage_name = "project"\nproject_name = "project"\n'
                    'kedro_init_version = "1.0.0"\nsource_dir = "src"\n'
                ),
            },
            "without": ("requirements.txt",),
        },
    ),
    "a word of gcsfs": (
        "secret-catalog",
        _catalog_entry(type="pickle.PickleDataset", filepath="gs://b/a.pkl", fs_args={"token": "anon"}),
    ),
    "no memory requested": ("resources-bytes", _task_settings("resources: {requests: {memory: 0}}")),
    "a question mark in a cron line": ("schedule-days", _dag_settings("schedule: '0 6 ? * 1'")),
    "an image that is built elsewhere": ("image-java", {"catalog": {**_CATALOG, "raw": _SPARK}}),
    "a variable of a Secret": (
        "env-config",
        {
            **READS_VARIABLE,
            "parameters": {"key": "${oc.env:KEY}"},
            **_task_settings("envFrom: [{secretRef: {name: s}}]"),
        },
    ),
    "a parameter that is a variable of the pods": (
        "secret-parameters",
        {
            **READS_VARIABLE,
            "parameters": {"api_token": "${oc.env:KEY}"},
            **_task_settings("envFrom: [{secretRef: {name: s}}]"),
        },
    ),
    "credentials in an entry that are variables of the pods": (
        "secret-catalog",
        {
            **READS_VARIABLE,
            **_catalog_entry(
                type="pickle.PickleDataset", filepath="s3://b/a.pkl", credentials={"key": "${oc.env:KEY}"}
            ),
            **_task_settings("envFrom: [{secretRef: {name: s}}]"),
        },
    ),
    "credentials that are variables of the pods": (
        "credentials",
        {
            **_catalog_entry(type="pickle.PickleDataset", filepath="s3://bucket/a.pkl", credentials="dev"),
            "files": {"{conf}/base/credentials.yml": "dev: {key: '${oc.env:KEY}'}\n"},
            **_task_settings("envFrom: [{secretRef: {name: s}}]"),
        },
    ),
    "a child process with the whole environment": (
        "env-registry",
        {"registry": _READS_MODE.replace('os.environ.get("MODE", "small")', "dict(os.environ)")},
    ),
    "a node that memory brought, not what lies between": (
        "group-between",
        {
            "pipelines": default_pipeline(*make_chain("a", "b", "c")),
            "catalog": pickle_entries("raw", "b_out", "c_out"),
            "settings": "groups: {ends: {node: [b, c]}}\n",
        },
    ),
}
