"""Names: whatever Kedro takes as the name of a node, namespace, pipeline or package has to arrive in the pod unchanged."""

from __future__ import annotations

import itertools

from tests.scenarios.model import Node, Scenario, Works, chain, default, groups, pickled

KEYWORDS = ("import", "class", "None", "True", "lambda", "async", "match", "print", "self")
OURS = ("kedro_task", "DAG", "k8s", "TaskGroup", "SETTINGS", "verbatim", "KubernetesPodOperator", "json", "datetime")


def _called(name: str, title: str, shows: str) -> Scenario:
    """Two unnamed nodes whose functions are called so, one of them in a namespace called so, too."""
    return Scenario(
        name=name,
        shows=shows,
        pipelines=default(
            Node("raw", "first", func=f"named({title!r})"),
            Node("first", "second", func=f"named({title!r})", namespace=title),
            Node("second", "third", "last"),
        ),
        catalog=pickled("raw", "first", "second", "third"),
        expect=Works(together=(), before=((f"<{title}>", f"<{title}.{title}>"), (f"<{title}.{title}>", "last"))),
    )


def _named(name: str, shows: str, *titles: str) -> Scenario:
    """A chain of nodes with these names."""
    return Scenario(
        name=name,
        shows=shows,
        pipelines=default(*(Node(f"d{place}", f"d{place + 1}", title) for place, title in enumerate(titles))),
        catalog=pickled(*(f"d{place}" for place in range(len(titles) + 1))),
        expect=Works(together=(), before=tuple(itertools.pairwise(titles))),
    )


SCENARIOS = (
    _called("quotes", 'it\'s a "quote" \'\'\' """ \\', "quotes of every kind and a backslash"),
    _called("braces", "a{b}c}}{{d{%e%}{#f#}", "braces that are no templates"),
    _called("jinja", "{{ run_id }} {% raw %} {{ '{{' }}", "Airflow's own templates"),
    _called("dollars", "$(HOME) $$(HOME) $HOME ${HOME} {{ params.$x }} $", "what the kubelet expands"),
    _called("newlines", "one\ntwo\r\nthree\tfour\x0bfive\u2028six", "line breaks and tabs"),
    _called("newline-last", "trailing\n", "a line break at the end"),
    _called("emoji", "naïve 数据 🚀 \u202edlrow", "emoji, CJK, right-to-left"),
    _called("markup", "[bold]x[/bold] :smile: <b>&amp;</b> %s %(x)s", "markup of consoles, HTML and logging"),
    _called("symbols", "...", "nothing but symbols"),
    _called("options", "--node=x --pipeline y", "what looks like an option"),
    _called("comma", "a,b; c|d & e", "separators of lists and shells"),
    _called("template-file", "run.sh", "an ending that Airflow takes for a template file"),
    _called("long", "x" * 300, "a name of 300 characters"),
    _called("blank", " ", "a blank"),
    _named(
        "long-legal", "legal names beyond Airflow's 250 characters", "a" * 300, "a" * 299 + "b", "b" * 250, "c" * 251
    ),
    _named("digits", "leading digits", "1_load", "2", "3.14", "0x10"),
    _named("keywords", "Python's keywords and builtins", *KEYWORDS),
    _named("ours", "names of the emitted file", *OURS),
    _named("unicode", "letters that Kedro takes and Airflow does not", "größe", "データ", "ñ.é"),
    _named(
        "wide-letters",
        "letters two columns wide, at lengths around the end of a line",
        *("数" * count + "a" * more for count in range(9, 16) for more in (0, 1)),
    ),
    _named(
        "files",
        "names that Airflow could take for files with templates",
        *("run.sh", "a.yaml", "b.yml", "c.json", "d.j2", "e.sql", "f.html", "g.md", "h.py", "i.json.j2"),
    ),
    _named("dots", "dots that Airflow 3.3 refuses", "a..b", "a.b", "..", ".hidden", "end."),
    _named("dashes", "names that begin like options or end in signs", "-x", "--node", "_", "__", "-", "x-"),
    Scenario(
        name="one-slug",
        shows="different names that become one when made legal",
        pipelines=default(*chain("train.v1", "train-v1", "train_v1", "größe", "grüße", "gr_e"), *chain("Größe")),
        catalog=pickled(
            "raw", *(f"{name}_out" for name in ("train.v1", "train-v1", "train_v1", "größe", "grüße", "Größe"))
        ),
        expect=Works(together=(), before=(("train.v1", "train-v1"), ("größe", "grüße")), ids={"train.v1": "train.v1"}),
    ),
    Scenario(
        name="case",
        shows="names that differ in case alone",
        pipelines=default(*chain("load", "Load", "LOAD")),
        catalog=pickled("raw", "load_out", "Load_out", "LOAD_out"),
        expect=Works(together=(), ids={"load": "load", "Load": "Load", "LOAD": "LOAD"}),
    ),
    Scenario(
        name="unnamed",
        shows="lambdas and partials without a name",
        pipelines=default(
            Node("raw", "a", func="lambda x: x"),
            Node("a", "b", func="lambda x: x"),
            Node("b", "c", func="partial(work, 1)"),
            Node("c", "d", func="partial(lambda x, y: x, y=2)"),
            Node("d", "e", func="work"),
        ),
        catalog=pickled("raw", "a", "b", "c", "d", "e"),
        expect=Works(together=(), before=(("<partial(work)>", "<partial(<lambda>)>"),)),
    ),
    Scenario(
        name="unnamed-fused",
        shows="lambdas that share a pod",
        pipelines=default(
            Node("raw", "a", func="lambda x: x"), Node("a", "b", func="lambda y: y"), Node("b", "c", "save")
        ),
        catalog=pickled("raw", "b", "c"),
        expect=Works(before=(("<<lambda>>", "save"),)),
    ),
    Scenario(
        name="nested-namespaces",
        shows="namespaces in namespaces",
        pipelines=default(
            Node("raw", "a.x", "first", namespace="a"),
            Node("a.x", "a.b.y", "first", namespace="a.b"),
            Node("a.b.y", "a.b.c.z", "first", namespace="a.b.c"),
            Node("a.b.c.z", "d.e.z", "first", namespace="d.e"),
        ),
        catalog=pickled("raw", "a.x", "a.b.y", "a.b.c.z", "d.e.z"),
        expect=Works(
            together=(),
            before=(("a.first", "a.b.first"), ("a.b.c.first", "d.e.first")),
            ids={"a.b.c.first": "a.b.c.first"},
        ),
    ),
    Scenario(
        name="node-like-namespace",
        shows="nodes named like a namespace, and like a node in one",
        pipelines=default(
            Node("raw", "x", "a"),
            Node("x", "a.y", "b", namespace="a"),
            Node("a.y", "a.z", "c", namespace="a"),
            Node("a.z", "w", "b"),
            Node("w", "b.v", "a", namespace="b"),
        ),
        catalog=pickled("raw", "x", "a.y", "a.z", "w", "b.v"),
        expect=Works(
            together=(), before=(("a", "a.b"), ("a.c", "b"), ("b", "b.a")), ids={"a": "a", "b": "b", "a.b": "a.b"}
        ),
    ),
    Scenario(
        name="group-like-node",
        shows="a fused pod that would be named like another node",
        pipelines=default(
            Node("raw", "a.x", "one", namespace="a"), Node("a.x", "a.y", "two", namespace="a"), Node("a.y", "z", "a")
        ),
        catalog=pickled("raw", "a.y", "z"),
        expect=Works(together=groups("a.one a.two"), before=(("a.two", "a"),), ids={"a": "a"}),
    ),
    Scenario(
        name="odd-namespaces",
        shows="namespaces that no identifier could be",
        pipelines=default(
            Node("raw", "x", "n", namespace="{{ ds }}"),
            Node("x", "y", "n", namespace='it\'s "a" n.s'),
            Node("y", "z", "n", namespace="\n"),
            Node("z", "w", "n", namespace="import"),
            Node("w", "v", "n", namespace="🚀.🚀"),
        ),
        catalog=pickled("raw", "x", "y", "z", "w", "v"),
        expect=Works(together=(), before=(("{{ ds }}.n", 'it\'s "a" n.s.n'), ("import.n", "🚀.🚀.n"))),
    ),
    Scenario(
        name="pipeline-name",
        shows="pipelines with names that no file or identifier could have",
        pipelines={
            "__default__": chain("a"),
            "it's {{ run_id }}/../x": chain("a", "b"),
            "🚀 $(HOME)\n": chain("a", "b", "c"),
        },
        catalog=pickled("raw", "a_out", "b_out", "c_out"),
        options=("--all",),
        expect=Works(before=(("a", "b"),)),
    ),
    Scenario(
        name="pipeline-like-file",
        shows="pipelines that Airflow could take for files with templates",
        pipelines={"run.sh": chain("a"), "a.yaml": chain("a"), "b.json": chain("a", "b")},
        catalog=pickled("raw", "a_out", "b_out"),
        options=("--all",),
        expect=Works(before=(("a", "b"),)),
    ),
    Scenario(
        name="package-with-dashes",
        shows="dashes in the package name",
        package="flight-delays",
        pipelines=default(*chain("a", "b")),
        catalog=pickled("raw", "a_out", "b_out"),
        expect=Works(dag_ids=("flight-delays",), before=(("a", "b"),)),
    ),
    Scenario(
        name="dataset-names",
        shows="datasets and tags with names that would break a template",
        pipelines=default(
            Node("raw $(x) %s", 'it\'s "so"\n', "a", tags=("heavy",)),
            Node('it\'s "so"\n', "mem 🚀", "b"),
            Node("mem 🚀", "out", "c"),
        ),
        catalog=pickled("raw $(x) %s", 'it\'s "so"\n', "out"),
        expect=Works(together=groups("b c"), before=(("a", "b"),)),
    ),
)
