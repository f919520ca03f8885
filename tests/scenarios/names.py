"""Names: whatever Kedro takes as the name of a node, namespace, pipeline or package has to arrive in the pod unchanged."""

from __future__ import annotations

import itertools

from tests.scenarios.model import Node, Scenario, Works, default_pipeline, make_chain, node_groups, pickle_entries

KEYWORDS = ("import", "class", "None", "True", "lambda", "async", "match", "print", "self")
RESERVED_NAMES = (
    "kedro_task",
    "DAG",
    "k8s",
    "TaskGroup",
    "SETTINGS",
    "verbatim",
    "KubernetesPodOperator",
    "json",
    "datetime",
)


def _unnamed_nodes_scenario(name: str, title: str, shows: str) -> Scenario:
    """Two unnamed nodes whose functions are called so, one of them in a namespace called so, too."""
    return Scenario(
        name=name,
        shows=shows,
        pipelines=default_pipeline(
            Node("raw", "first", func=f"named({title!r})"),
            Node("first", "second", func=f"named({title!r})", namespace=title),
            Node("second", "third", "last"),
        ),
        catalog=pickle_entries("raw", "first", "second", "third"),
        expect=Works(together=(), before=((f"<{title}>", f"<{title}.{title}>"), (f"<{title}.{title}>", "last"))),
    )


def _named_chain_scenario(name: str, shows: str, *titles: str) -> Scenario:
    """A chain of nodes with these names."""
    return Scenario(
        name=name,
        shows=shows,
        pipelines=default_pipeline(*(Node(f"d{index}", f"d{index + 1}", title) for index, title in enumerate(titles))),
        catalog=pickle_entries(*(f"d{index}" for index in range(len(titles) + 1))),
        expect=Works(together=(), before=tuple(itertools.pairwise(titles))),
    )


SCENARIOS = (
    _unnamed_nodes_scenario("quotes", 'it\'s a "quote" \'\'\' """ \\', "quotes of every kind and a backslash"),
    _unnamed_nodes_scenario("braces", "a{b}c}}{{d{%e%}{#f#}", "braces that are no templates"),
    _unnamed_nodes_scenario("jinja", "{{ run_id }} {% raw %} {{ '{{' }}", "Airflow's own templates"),
    _unnamed_nodes_scenario("dollars", "$(HOME) $$(HOME) $HOME ${HOME} {{ params.$x }} $", "what the kubelet expands"),
    _unnamed_nodes_scenario("newlines", "one\ntwo\r\nthree\tfour\x0bfive\u2028six", "line breaks and tabs"),
    _unnamed_nodes_scenario("newline-last", "trailing\n", "a line break at the end"),
    _unnamed_nodes_scenario("emoji", "naïve 数据 🚀 \u202edlrow", "emoji, CJK, right-to-left"),
    _unnamed_nodes_scenario(
        "markup", "[bold]x[/bold] :smile: <b>&amp;</b> %s %(x)s", "markup of consoles, HTML and logging"
    ),
    _unnamed_nodes_scenario("symbols", "...", "nothing but symbols"),
    _unnamed_nodes_scenario("options", "--node=x --pipeline y", "what looks like an option"),
    _unnamed_nodes_scenario("comma", "a,b; c|d & e", "separators of lists and shells"),
    _unnamed_nodes_scenario("template-file", "run.sh", "an ending that Airflow takes for a template file"),
    _unnamed_nodes_scenario("long", "x" * 300, "a name of 300 characters"),
    _unnamed_nodes_scenario("blank", " ", "a blank"),
    _named_chain_scenario(
        "long-legal", "legal names beyond Airflow's 250 characters", "a" * 300, "a" * 299 + "b", "b" * 250, "c" * 251
    ),
    _named_chain_scenario("digits", "leading digits", "1_load", "2", "3.14", "0x10"),
    _named_chain_scenario("keywords", "Python's keywords and builtins", *KEYWORDS),
    _named_chain_scenario("ours", "names of the emitted file", *RESERVED_NAMES),
    _named_chain_scenario("unicode", "letters that Kedro takes and Airflow does not", "größe", "データ", "ñ.é"),
    _named_chain_scenario(
        "wide-letters",
        "letters two columns wide, at lengths around the end of a line",
        *("数" * count + "a" * more for count in range(9, 16) for more in (0, 1)),
    ),
    _named_chain_scenario(
        "files",
        "names that Airflow could take for files with templates",
        *("run.sh", "a.yaml", "b.yml", "c.json", "d.j2", "e.sql", "f.html", "g.md", "h.py", "i.json.j2"),
    ),
    _named_chain_scenario("dots", "dots that Airflow 3.3 refuses", "a..b", "a.b", "..", ".hidden", "end."),
    _named_chain_scenario(
        "dashes", "names that begin like options or end in signs", "-x", "--node", "_", "__", "-", "x-"
    ),
    Scenario(
        name="one-slug",
        shows="different names that become one when made legal",
        pipelines=default_pipeline(
            *make_chain("train.v1", "train-v1", "train_v1", "größe", "grüße", "gr_e"), *make_chain("Größe")
        ),
        catalog=pickle_entries(
            "raw", *(f"{name}_out" for name in ("train.v1", "train-v1", "train_v1", "größe", "grüße", "Größe"))
        ),
        expect=Works(together=(), before=(("train.v1", "train-v1"), ("größe", "grüße")), ids={"train.v1": "train.v1"}),
    ),
    Scenario(
        name="case",
        shows="names that differ in case alone",
        pipelines=default_pipeline(*make_chain("load", "Load", "LOAD")),
        catalog=pickle_entries("raw", "load_out", "Load_out", "LOAD_out"),
        expect=Works(together=(), ids={"load": "load", "Load": "Load", "LOAD": "LOAD"}),
    ),
    Scenario(
        name="unnamed",
        shows="lambdas and partials without a name",
        pipelines=default_pipeline(
            Node("raw", "a", func="lambda x: x"),
            Node("a", "b", func="lambda x: x"),
            Node("b", "c", func="partial(work, 1)"),
            Node("c", "d", func="partial(lambda x, y: x, y=2)"),
            Node("d", "e", func="work"),
        ),
        catalog=pickle_entries("raw", "a", "b", "c", "d", "e"),
        expect=Works(together=(), before=(("<partial(work)>", "<partial(<lambda>)>"),)),
    ),
    Scenario(
        name="unnamed-fused",
        shows="lambdas that share a pod",
        pipelines=default_pipeline(
            Node("raw", "a", func="lambda x: x"), Node("a", "b", func="lambda y: y"), Node("b", "c", "save")
        ),
        catalog=pickle_entries("raw", "b", "c"),
        expect=Works(before=(("<<lambda>>", "save"),)),
    ),
    Scenario(
        name="nested-namespaces",
        shows="namespaces in namespaces",
        pipelines=default_pipeline(
            Node("raw", "a.x", "first", namespace="a"),
            Node("a.x", "a.b.y", "first", namespace="a.b"),
            Node("a.b.y", "a.b.c.z", "first", namespace="a.b.c"),
            Node("a.b.c.z", "d.e.z", "first", namespace="d.e"),
        ),
        catalog=pickle_entries("raw", "a.x", "a.b.y", "a.b.c.z", "d.e.z"),
        expect=Works(
            together=(),
            before=(("a.first", "a.b.first"), ("a.b.c.first", "d.e.first")),
            ids={"a.b.c.first": "a.b.c.first"},
        ),
    ),
    Scenario(
        name="node-like-namespace",
        shows="nodes named like a namespace, and like a node in one",
        pipelines=default_pipeline(
            Node("raw", "x", "a"),
            Node("x", "a.y", "b", namespace="a"),
            Node("a.y", "a.z", "c", namespace="a"),
            Node("a.z", "w", "b"),
            Node("w", "b.v", "a", namespace="b"),
        ),
        catalog=pickle_entries("raw", "x", "a.y", "a.z", "w", "b.v"),
        expect=Works(
            together=(), before=(("a", "a.b"), ("a.c", "b"), ("b", "b.a")), ids={"a": "a", "b": "b", "a.b": "a.b"}
        ),
    ),
    Scenario(
        name="group-like-node",
        shows="a fused pod that would be named like another node",
        pipelines=default_pipeline(
            Node("raw", "a.x", "one", namespace="a"), Node("a.x", "a.y", "two", namespace="a"), Node("a.y", "z", "a")
        ),
        catalog=pickle_entries("raw", "a.y", "z"),
        expect=Works(together=node_groups("a.one a.two"), before=(("a.two", "a"),), ids={"a": "a"}),
    ),
    Scenario(
        name="odd-namespaces",
        shows="namespaces that no identifier could be",
        pipelines=default_pipeline(
            Node("raw", "x", "n", namespace="{{ ds }}"),
            Node("x", "y", "n", namespace='it\'s "a" n.s'),
            Node("y", "z", "n", namespace="\n"),
            Node("z", "w", "n", namespace="import"),
            Node("w", "v", "n", namespace="🚀.🚀"),
        ),
        catalog=pickle_entries("raw", "x", "y", "z", "w", "v"),
        expect=Works(together=(), before=(("{{ ds }}.n", 'it\'s "a" n.s.n'), ("import.n", "🚀.🚀.n"))),
    ),
    Scenario(
        name="pipeline-name",
        shows="pipelines with names that no file or identifier could have",
        pipelines={
            "__default__": make_chain("a"),
            "it's {{ run_id }}/../x": make_chain("a", "b"),
            "🚀 $(HOME)\n": make_chain("a", "b", "c"),
        },
        catalog=pickle_entries("raw", "a_out", "b_out", "c_out"),
        options=("--all",),
        expect=Works(before=(("a", "b"),)),
    ),
    Scenario(
        name="pipeline-like-file",
        shows="pipelines that Airflow could take for files with templates",
        pipelines={"run.sh": make_chain("a"), "a.yaml": make_chain("a"), "b.json": make_chain("a", "b")},
        catalog=pickle_entries("raw", "a_out", "b_out"),
        options=("--all",),
        expect=Works(before=(("a", "b"),)),
    ),
    Scenario(
        name="package-with-dashes",
        shows="dashes in the package name",
        package="flight-delays",
        pipelines=default_pipeline(*make_chain("a", "b")),
        catalog=pickle_entries("raw", "a_out", "b_out"),
        expect=Works(dag_ids=("flight-delays",), before=(("a", "b"),)),
    ),
    Scenario(
        name="dataset-names",
        shows="datasets and tags with names that would break a template",
        pipelines=default_pipeline(
            Node("raw $(x) %s", 'it\'s "so"\n', "a", tags=("heavy",)),
            Node('it\'s "so"\n', "mem 🚀", "b"),
            Node("mem 🚀", "out", "c"),
        ),
        catalog=pickle_entries("raw $(x) %s", 'it\'s "so"\n', "out"),
        expect=Works(together=node_groups("b c"), before=(("a", "b"),)),
    ),
)
