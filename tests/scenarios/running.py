"""What pods are told: smaller pipelines, stored memory, runners, parameters that the run decides."""

from __future__ import annotations

from tests.scenarios.model import (
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

_FILES = pickle_entries("raw", "a_out", "b_out", "c_out", "d_out")
_FOUND = """
from kedro.framework.project import find_pipelines


def register_pipelines():
    pipelines = find_pipelines()
    pipelines["__default__"] = sum(pipelines.values())
    return pipelines
"""
_MODULE = """
from kedro.pipeline import node, pipeline

from project.shared import work
{before}

def create_pipeline():
    return pipeline([{nodes}])
"""
_STORE = SETTINGS.replace("data:\n", "data:\n  memory: store\n  store: {path: data/between}\n")
_NONE = "dag: {group_by: none}\n"


def _pipeline_module(name: str, nodes: str, before: str = "") -> dict[str, str]:
    return {f"{{package}}/pipelines/{name}/__init__.py": _MODULE.format(nodes=nodes, before=before)}


_INIT = {
    "{package}/pipelines/__init__.py": "",
    "{package}/shared.py": "def work(data):\n    return data\n",
}
_ONE = _pipeline_module("one", "node(work, 'raw', 'a_out', name='a'), node(work, 'a_out', 'b_out', name='b')")
_TWO = _pipeline_module("two", "node(work, 'b_out', 'c_out', name='c')")

_NARROWED = (
    Scenario(
        name="narrowed",
        shows="each pod loads the registered pipeline that holds its nodes",
        registry=_FOUND,
        files={**_INIT, **_ONE, **_TWO},
        catalog=_FILES,
        expect=Works(loads={"a": "one", "b": "one", "c": "two"}),
    ),
    Scenario(
        name="narrowed-off",
        shows="narrow_pipeline: false",
        registry=_FOUND,
        files={**_INIT, **_ONE, **_TWO},
        catalog=_FILES,
        settings=SETTINGS + "dag: {narrow_pipeline: false}\n",
        expect=Works(loads={}),
    ),
    Scenario(
        name="narrowed-smallest",
        shows="of two that hold a node the smaller, and none for a pod whose nodes lie in two",
        registry=_FOUND,
        files={
            **_INIT,
            **_ONE,
            **_pipeline_module("only_a", "node(work, 'raw', 'a_out', name='a')"),
            **_pipeline_module(
                "rest", "node(work, 'b_out', 'c_out', name='c'), node(work, 'c_out', 'd_out', name='d')"
            ),
        },
        catalog=pickle_entries("raw", "a_out", "d_out", "b_out"),
        expect=Works(together=node_groups("c d"), loads={"a": "only_a", "b": "one", "c": "rest", "d": "rest"}),
    ),
    Scenario(
        name="narrowed-split",
        shows="fused nodes of two pipelines load the whole",
        registry=_FOUND,
        files={**_INIT, **_ONE, **_TWO},
        catalog=pickle_entries("raw", "a_out", "c_out"),
        expect=Works(together=node_groups("b c"), loads={"a": "one"}),
    ),
    Scenario(
        name="narrowed-other-function",
        shows="a node of the same name that does something else is another node",
        registry=_FOUND.replace(
            "    return pipelines",
            "    from kedro.framework.project import pipelines as asked\n"
            "    from kedro.pipeline import node, pipeline\n"
            "    if not asked._requested_pipelines:\n"
            "        pipelines['__default__'] = pipelines['two'] + pipeline([\n"
            "            node(lambda data: data, 'raw', 'a_out', name='a'), node(lambda data: [data], 'a_out', 'b_out', name='b')])\n"
            "    return pipelines",
        ),
        files={**_INIT, **_ONE, **_TWO},
        catalog=_FILES,
        expect=Works(loads={"c": "two"}),
    ),
    Scenario(
        name="narrowed-closures",
        shows="functions made anew at each evaluation are one when their code and what they hold are",
        registry=_FOUND,
        files={
            **_INIT,
            **_pipeline_module(
                "one",
                "node(times(2), 'raw', 'a_out', name='a'), node(partial(work, data=None), None, 'b_out', name='b'), "
                "node(times([{'x': (1, None)}]), 'a_out', 'd_out', name='d'), node(times(object()), 'd_out', None, name='e'), "
                "node(walking(), 'd_out', 'w_out', name='w'), node(empty(), 'd_out', 'u_out', name='u')",
                before="from functools import partial\n\n\ndef times(many):\n    return lambda data: [data, many]\n\n\n"
                "def walking():\n    def walk(data, n=3):\n        return walk(data, n - 1) if n else data\n    return walk\n\n\n"
                "def empty():\n    def use(data):\n        return later\n    if not use:\n        later = 1\n    return use\n",
            ),
            **_TWO,
        },
        catalog={**_FILES, **pickle_entries("w_out", "u_out")},
        expect=Works(loads={"a": "one", "b": "one", "d": "one", "c": "two", "w": "one", "u": "one"}),
    ),
    Scenario(
        name="narrowed-needs-others",
        shows="a pipeline that is only found together with the others is not loaded alone",
        registry=_FOUND.replace(
            "    return pipelines",
            "    pipelines['both'] = pipelines['one'] + pipelines['two']\n    return pipelines",
        ),
        files={**_INIT, **_ONE, **_TWO},
        catalog=_FILES,
        expect=Works(loads={}),
    ),
    Scenario(
        name="narrowed-for-nothing",
        shows="a registry that makes every pipeline anyway",
        pipelines={
            "__default__": make_chain("a", "b", "c"),
            "one": make_chain("a", "b"),
            "two": (Node("b_out", "c_out", "c"),),
        },
        catalog=_FILES,
        expect=Works(loads={}),
    ),
)

_STORED = (
    Scenario(
        name="stored",
        shows="memory that crosses is stored, and a last task removes it",
        pipelines=default_pipeline(*make_chain("a", "b", "c")),
        catalog=pickle_entries("raw", "b_out"),
        settings=_STORE + _NONE,
        expect=Works(
            together=(),
            before=(("a", "b"), ("b", "c")),
            stored={"a": ("a_out",), "b": ("a_out",), "c": ()},
            clears=("c",),
        ),
    ),
    Scenario(
        name="stored-s3",
        shows="a store in an object store",
        pipelines=default_pipeline(*make_chain("a", "b")),
        catalog=pickle_entries("raw"),
        settings=_STORE.replace("data/between", "'s3://bucket/{{ between }}$(X)'") + _NONE,
        expect=Works(together=(), stored={"a": ("a_out",), "b": ("a_out",)}),
    ),
    Scenario(
        name="stored-group",
        shows="nodes of a named group keep in memory what only they need",
        pipelines=default_pipeline(*make_chain("a", "b", "c", "d")),
        catalog=pickle_entries("raw"),
        settings=_STORE + _NONE + "groups: {g: {node: [a, b]}}\n",
        expect=Works(
            together=node_groups("a b"),
            stored={"a": ("b_out",), "b": ("b_out",), "c": ("b_out", "c_out"), "d": ("c_out",)},
        ),
    ),
    Scenario(
        name="stored-chain",
        shows="chains are fused, what crosses between them is stored",
        pipelines=default_pipeline(
            Node("raw", "x", "a"), Node("x", "y", "b"), Node("y", "l", "c"), Node("y", "r", "d")
        ),
        catalog=pickle_entries("raw"),
        settings=_STORE + "dag: {group_by: chain}\n",
        expect=Works(together=node_groups("a b"), stored={"a": ("y",), "c": ("y",), "d": ("y",)}),
    ),
    Scenario(
        name="stored-namespace",
        shows="namespaces are fused, what crosses between them is stored",
        pipelines=default_pipeline(
            Node("raw", "n.x", "a", namespace="n"),
            Node("n.x", "n.y", "b", namespace="n"),
            Node("n.y", "m.z", "c", namespace="m"),
        ),
        catalog=pickle_entries("raw"),
        settings=_STORE + "dag: {group_by: namespace}\n",
        expect=Works(together=node_groups("n.a n.b"), stored={"n.a": ("n.y",), "m.c": ("n.y",)}),
    ),
    Scenario(
        name="stored-id-taken",
        shows="a node has the name of the task that clears the store",
        pipelines=default_pipeline(Node("raw", "x", "remove_stored_data"), Node("x", "y", "b")),
        catalog=pickle_entries("raw"),
        settings=_STORE + _NONE,
        expect=Works(together=(), ids={"remove_stored_data": "remove_stored_data"}),
    ),
    Scenario(
        name="stored-trigger-rule",
        shows="the store is cleared after every task when some run though one before them has failed",
        pipelines=default_pipeline(*make_chain("a", "b", "c")),
        catalog=pickle_entries("raw", "b_out"),
        settings=_STORE
        + _NONE
        + "tasks: {default: {trigger_rule: none_failed}, c: {match: {node: c}, trigger_rule: all_done}}\n",
        expect=Works(together=(), before=(("a", "b"), ("b", "c")), clears=("a", "b", "c")),
    ),
    Scenario(
        name="stored-nothing",
        shows="group_by: memory fuses what is in memory, whatever the store",
        pipelines=default_pipeline(*make_chain("a", "b")),
        catalog=pickle_entries("raw"),
        settings=_STORE,
        expect=Works(together=node_groups("a b"), says=("store-unused",)),
    ),
    Scenario(
        name="store-unsaid",
        shows="memory: store without a path",
        pipelines=default_pipeline(*make_chain("a", "b")),
        settings=SETTINGS.replace("data:\n", "data:\n  memory: store\n"),
        expect=Refused(code="settings-value", mentions=("store.path", "s3://")),
    ),
    Scenario(
        name="store-on-the-pod",
        shows="a store on no volume",
        pipelines=default_pipeline(*make_chain("a", "b")),
        catalog=pickle_entries("raw"),
        settings=_STORE.replace("data/between", "between") + _NONE,
        expect=Refused(code="store", mentions=("'between'", "is not on a volume", "data.store.path")),
    ),
    Scenario(
        name="store-file-url",
        shows="a file URL is a local path",
        pipelines=default_pipeline(*make_chain("a", "b")),
        catalog=pickle_entries("raw"),
        settings=_STORE.replace("data/between", "'file:///srv/between'") + _NONE,
        expect=Refused(code="store", mentions=("/srv/between", "is not on a volume")),
    ),
    Scenario(
        name="store-in-memory",
        shows="memory:// is the memory of one process",
        pipelines=default_pipeline(*make_chain("a", "b")),
        catalog=pickle_entries("raw"),
        settings=_STORE.replace("data/between", "'memory://between'") + _NONE,
        expect=Refused(code="store", mentions=("memory://between", "one process")),
    ),
    Scenario(
        name="store-confirms",
        shows="a confirmed dataset still needs one process",
        pipelines=default_pipeline(Node("raw", "x", "a"), Node("x", "y", "b", confirms="raw")),
        catalog=pickle_entries("raw"),
        settings=_STORE + _NONE,
        expect=Refused(code="data-confirms", mentions=("raw", "'a'", "'b'")),
    ),
)

_RUNNERS = (
    Scenario(
        name="runners",
        shows="a runner for all and another for some",
        pipelines=default_pipeline(*make_chain("a", "b", "c")),
        catalog=_FILES,
        settings=SETTINGS + "tasks: {default: {runner: ThreadRunner}, one: {match: {node: a}, runner: ParallelRunner}, "
        "two: {match: {node: b}, runner: SequentialRunner}}\n",
        expect=Works(together=()),
    ),
    Scenario(
        name="runner-kedro",
        shows="plain kedro run, and what that gives up",
        pipelines=default_pipeline(*make_chain("a", "b")),
        catalog=_FILES,
        settings=SETTINGS + "tasks: {default: {runner: kedro}}\n",
        expect=Works(together=(), says=("runner-kedro-loses",)),
    ),
    Scenario(
        name="runner-kedro-comma",
        shows="kedro run cannot be told of a node whose name has a comma",
        pipelines=default_pipeline(Node("raw", "a_out", func="named('x,y')")),
        catalog=_FILES,
        settings=SETTINGS + "tasks: {default: {runner: kedro}}\n",
        expect=Refused(code="runner-kedro", mentions=("x,y", "comma")),
    ),
    Scenario(
        name="runner-kedro-params",
        shows="kedro run cannot be handed the run's parameters",
        pipelines=default_pipeline(*make_chain("a")),
        catalog=_FILES,
        parameters={"depth": 3},
        settings=SETTINGS + "dag: {params: [depth]}\ntasks: {default: {runner: kedro}}\n",
        expect=Refused(code="runner-kedro", mentions=("depth", "dag.params")),
    ),
    Scenario(
        name="runner-clash",
        shows="two runners cannot share a pod",
        pipelines=default_pipeline(*make_chain("a", "b")),
        catalog=pickle_entries("raw", "b_out"),
        settings=SETTINGS + "tasks: {t: {match: {node: a}, runner: ThreadRunner}}\n",
        expect=Refused(code="settings-clash", mentions=("runner", "ThreadRunner", "SequentialRunner", "a_out")),
    ),
)

_RETRIES = (
    Scenario(
        name="retry-early",
        shows="a task that holds its worker is tried again before its pod can have gone",
        pipelines=default_pipeline(*make_chain("a")),
        catalog=_FILES,
        settings=SETTINGS + "dag: {retries: 1, retry_delay: 30s}\ntasks: {default: {deferrable: false}}\n",
        expect=Works(says=("retry-early",)),
    ),
    Scenario(
        name="retry-late-enough",
        shows="the same with a longer delay, and a deferrable one with a short delay",
        pipelines=default_pipeline(*make_chain("a", "b")),
        catalog=_FILES,
        settings=SETTINGS
        + "dag: {retries: 1, retry_delay: 35s}\n"
        + "tasks: {a: {match: {node: a}, deferrable: false}, b: {match: {node: b}, retry_delay: 1s}}\n",
        expect=Works(),
    ),
)

_MACROS = (
    Scenario(
        name="macros",
        shows="parameters that the run decides",
        pipelines=default_pipeline(*make_chain("a")),
        catalog=_FILES,
        parameters={"run_date": "2020-01-01", "deep": {"run": "", "try": 0}},
        settings=SETTINGS
        + "dag:\n  macros: {run_date: run_date, deep.run: '{{ run_id }}', deep.try: '{{ ti.try_number }}'}\n",
        expect=Works(),
    ),
    Scenario(
        name="macro-no-expression",
        shows="a macro that is text around an expression",
        pipelines=default_pipeline(*make_chain("a")),
        catalog=_FILES,
        parameters={"run_date": "2020-01-01"},
        settings=SETTINGS + "dag: {macros: {run_date: 'on {{ ds }}'}}\n",
        expect=Refused(code="macro", mentions=("dag.macros.run_date", "on {{ ds }}", "run_date")),
    ),
    Scenario(
        name="macro-tight",
        shows="the delimiters that take white space away",
        pipelines=default_pipeline(*make_chain("a")),
        catalog=_FILES,
        parameters={"run_date": "2020-01-01", "deep": {"run": "", "try": 0}},
        settings=SETTINGS
        + "dag:\n  macros: {run_date: run_date, deep.run: '{{- run_id -}}', deep.try: '{{+ ti.try_number }}'}\n",
        expect=Works(),
    ),
    Scenario(
        name="macro-two",
        shows="a macro of two expressions",
        pipelines=default_pipeline(*make_chain("a")),
        catalog=_FILES,
        parameters={"run_date": "2020-01-01"},
        settings=SETTINGS + "dag: {macros: {run_date: '{{ ds }}{{ ts }}'}}\n",
        expect=Refused(code="macro", mentions=("dag.macros.run_date",)),
    ),
    Scenario(
        name="macro-broken",
        shows="a macro that Jinja cannot read",
        pipelines=default_pipeline(*make_chain("a")),
        catalog=_FILES,
        parameters={"run_date": "2020-01-01"},
        settings=SETTINGS + "dag: {macros: {run_date: '{{ ds | }}'}}\n",
        expect=Refused(code="macro", mentions=("dag.macros.run_date", "ds |")),
    ),
    Scenario(
        name="macro-unknown",
        shows="a macro for a parameter that the project does not have",
        pipelines=default_pipeline(*make_chain("a")),
        catalog=_FILES,
        settings=SETTINGS + "dag: {macros: {run_date: run_date}}\n",
        expect=Refused(code="param-unknown", mentions=("dag.macros.run_date", "parameters.yml")),
    ),
    Scenario(
        name="macro-twice",
        shows="a parameter both offered and decided by the run",
        pipelines=default_pipeline(*make_chain("a")),
        catalog=_FILES,
        parameters={"run": {"date": "2020-01-01"}},
        settings=SETTINGS + "dag: {params: [run], macros: {run.date: run_date}}\n",
        expect=Refused(code="param-twice", mentions=("'run.date'", "'run'")),
    ),
    Scenario(
        name="reserved-variable",
        shows="an environment variable that the DAG itself sets",
        pipelines=default_pipeline(*make_chain("a")),
        catalog=_FILES,
        settings=SETTINGS + "tasks: {default: {env: [{name: KEDRO_K8S_AIRFLOW_RUN, value: x}]}}\n",
        expect=Refused(code="settings-value", mentions=("KEDRO_K8S_AIRFLOW_RUN", "choose another")),
    ),
)

SCENARIOS = (*_NARROWED, *_STORED, *_RUNNERS, *_RETRIES, *_MACROS)
