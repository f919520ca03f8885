"""Grouping: which nodes share a pod, by force or by choice, and that the result always has an order."""

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

_DETOUR = default_pipeline(
    Node("raw", ("mem", "disk"), "x"),
    Node("disk", "disk2", "y"),
    Node(("mem", "disk2"), "out", "z"),
    Node("out", "end", "w"),
)
_INTERLEAVED = default_pipeline(
    Node("raw", "one", "first", namespace="a"),
    Node("one", "two", "middle", namespace="c"),
    Node("two", "three", "last", namespace="a"),
    Node("three", "four", "end"),
)
_STORED = pickle_entries("raw", "one", "two", "three", "four")
_CHOSEN = (
    Node("raw", "s", "split"),
    Node("s", "f", "fit", tags=("model",)),
    Node("f", "p", "predict", tags=("model",)),
    Node("p", "m", "measure"),
    Node("s", "q", "plot", tags=("plots",)),
)
_CHOSEN_FILES = pickle_entries("raw", "s", "f", "p", "m", "q")


def _group_by_settings(group_by: str, more: str = "") -> str:
    return f"{SETTINGS}\ndag: {{group_by: {group_by}}}\n{more}"


SCENARIOS = (
    Scenario(
        name="memory-detour",
        shows="memory around a persisted detour: what lies between comes along",
        pipelines=_DETOUR,
        catalog=pickle_entries("raw", "disk", "disk2", "out", "end"),
        expect=Works(together=node_groups("x y z"), before=(("z", "w"),)),
    ),
    Scenario(
        name="memory-detour-long",
        shows="the same over many nodes and a side branch",
        pipelines=default_pipeline(
            Node("raw", ("mem", "d0"), "x"),
            *(Node(f"d{step}", f"d{step + 1}", f"y{step}") for step in range(6)),
            Node(("mem", "d6"), "out", "z"),
            Node("d3", "side", "side"),
        ),
        catalog=pickle_entries("raw", *(f"d{step}" for step in range(7)), "out", "side"),
        expect=Works(together=node_groups("x y0 y1 y2 y3 y4 y5 z"), before=(("x", "side"),)),
    ),
    Scenario(
        name="memory-two-detours",
        shows="two memory groups that wait for each other become one",
        pipelines=default_pipeline(
            Node("raw", ("m1", "d1"), "a"),
            Node("raw", ("m2", "d2"), "b"),
            Node(("m1", "d2"), "o1", "c"),
            Node(("m2", "d1"), "o2", "d"),
        ),
        catalog=pickle_entries("raw", "d1", "d2", "o1", "o2"),
        expect=Works(together=node_groups("a b c d")),
    ),
    Scenario(
        name="memory-fan",
        shows="memory from one node to many",
        pipelines=default_pipeline(
            Node("raw", "mem", "a"),
            *(Node("mem", f"o{number}", f"b{number}") for number in range(5)),
            Node("o1", "end", "c"),
        ),
        catalog=pickle_entries("raw", "end", *(f"o{number}" for number in range(5))),
        expect=Works(together=node_groups("a b0 b1 b2 b3 b4"), before=(("b1", "c"),)),
    ),
    Scenario(
        name="memory-long-names",
        shows="many fused nodes with long names",
        pipelines=default_pipeline(*make_chain(*(f"a_rather_long_name_of_a_node_{number:02}" for number in range(12)))),
        catalog=pickle_entries("raw", "a_rather_long_name_of_a_node_11_out"),
        expect=Works(
            together=node_groups(" ".join(f"a_rather_long_name_of_a_node_{number:02}" for number in range(12)))
        ),
    ),
    Scenario(
        name="independent",
        shows="nodes that have nothing to do with each other",
        pipelines=default_pipeline(
            *(Node("raw", f"o{number}", f"n{number}") for number in range(4)), Node("raw", None, "nothing")
        ),
        catalog=pickle_entries("raw", *(f"o{number}" for number in range(4))),
        expect=Works(together=()),
    ),
    Scenario(
        name="diamond",
        shows="a diamond, and an edge that is implied by others",
        pipelines=default_pipeline(
            Node("raw", ("l", "r", "far"), "top"),
            Node("l", "l2", "left"),
            Node("r", "r2", "right"),
            Node(("l2", "r2", "far"), "out", "bottom"),
        ),
        catalog=pickle_entries("raw", "l", "r", "far", "l2", "r2", "out"),
        expect=Works(
            together=(),
            before=(("top", "left"), ("top", "right"), ("top", "bottom"), ("left", "bottom"), ("right", "bottom")),
        ),
    ),
    Scenario(
        name="interleaved",
        shows="interleaved namespaces, each node on its own",
        pipelines=_INTERLEAVED,
        catalog=_STORED,
        expect=Works(together=(), before=(("a.first", "c.middle"), ("c.middle", "a.last"), ("a.last", "end"))),
    ),
    Scenario(
        name="interleaved-by-namespace",
        shows="interleaved namespaces under group_by namespace",
        pipelines=_INTERLEAVED,
        catalog=_STORED,
        settings=_group_by_settings("namespace"),
        expect=Works(
            together=node_groups("a.first c.middle a.last"),
            before=(("a.last", "end"),),
            says=("namespace-interrupted",),
        ),
    ),
    Scenario(
        name="by-namespace",
        shows="group_by namespace",
        pipelines=default_pipeline(
            Node("raw", "a.x", "one", namespace="a"),
            Node("a.x", "a.y", "two", namespace="a.deep"),
            Node("a.y", "b.x", "one", namespace="b"),
            Node("b.x", "b.y", "two", namespace="b"),
            Node("b.y", "out", "end"),
        ),
        catalog=pickle_entries("raw", "a.x", "a.y", "b.x", "b.y", "out"),
        settings=_group_by_settings("namespace"),
        expect=Works(
            together=node_groups("a.one a.deep.two", "b.one b.two"),
            before=(("a.one", "b.one"), ("b.two", "end")),
            ids={"a.one": "a", "b.one": "b"},
        ),
    ),
    Scenario(
        name="by-namespace-declined",
        shows="a namespace whose nodes need different images",
        pipelines=default_pipeline(
            Node("raw", "a.x", "one", namespace="a"),
            Node("a.x", "a.y", "two", namespace="a"),
            Node("a.y", "out", "three", namespace="a"),
        ),
        catalog=pickle_entries("raw", "a.x", "a.y", "out"),
        settings=_group_by_settings(
            "namespace", "tasks: {gpu: {match: {node: a.two}, image: registry.example.com/gpu:1}}\n"
        ),
        expect=Works(
            apart=node_groups("a.one a.two", "a.two a.three"), before=(("a.one", "a.two"),), says=("group-declined",)
        ),
    ),
    Scenario(
        name="by-none",
        shows="group_by none where nothing has to be fused",
        pipelines=default_pipeline(*make_chain("a", "b", "c")),
        catalog=pickle_entries("raw", "a_out", "b_out", "c_out"),
        settings=_group_by_settings("none"),
        expect=Works(together=(), before=(("a", "b"), ("b", "c"))),
    ),
    Scenario(
        name="by-none-refused",
        shows="group_by none with data in memory",
        pipelines=default_pipeline(*make_chain("a", "b", "c")),
        catalog=pickle_entries("raw", "b_out", "c_out"),
        settings=_group_by_settings("none"),
        expect=Refused(code="data-memory", mentions=("a_out", "'a'", "'b'", "group_by: memory")),
    ),
    Scenario(
        name="by-none-confirms",
        shows="group_by none with a confirmed dataset",
        pipelines=default_pipeline(Node("raw", "a_out", "a"), Node("a_out", "b_out", "b", confirms="raw")),
        catalog=pickle_entries("raw", "a_out", "b_out"),
        settings=_group_by_settings("none"),
        expect=Refused(code="data-confirms", mentions=("raw", "'a'", "'b'")),
    ),
    Scenario(
        name="by-chain",
        shows="group_by chain fuses what cannot run in parallel anyway",
        pipelines=default_pipeline(
            *make_chain("a", "b"),
            Node("b_out", "l", "left"),
            Node("b_out", "r", "right"),
            Node("l", "l2", "left2"),
            Node(("l2", "r"), "out", "join"),
            Node("out", "end", "last"),
        ),
        catalog=pickle_entries("raw", "a_out", "b_out", "l", "r", "l2", "out", "end"),
        settings=_group_by_settings("chain"),
        expect=Works(
            together=node_groups("a b", "left left2", "join last"),
            before=(("b", "left"), ("b", "right"), ("left2", "join"), ("right", "join")),
        ),
    ),
    Scenario(
        name="by-chain-images",
        shows="a chain through nodes with different images",
        pipelines=default_pipeline(*make_chain("a", "b", "c", "d")),
        catalog=pickle_entries("raw", "a_out", "b_out", "c_out", "d_out"),
        settings=_group_by_settings(
            "chain", "tasks: {gpu: {match: {node: [c, d]}, image: registry.example.com/gpu:1}}\n"
        ),
        expect=Works(together=node_groups("a b", "c d"), before=(("b", "c"),)),
    ),
    Scenario(
        name="named-group",
        shows="a group by tag",
        pipelines=default_pipeline(*_CHOSEN),
        catalog=_CHOSEN_FILES,
        settings=SETTINGS + "groups: {modelling: {tag: model}}\n",
        expect=Works(
            together=node_groups("fit predict"),
            before=(("split", "fit"), ("predict", "measure"), ("split", "plot")),
            ids={"fit": "modelling"},
        ),
    ),
    Scenario(
        name="named-group-ends",
        shows="a group of two ends takes in what lies between",
        pipelines=default_pipeline(*_CHOSEN),
        catalog=_CHOSEN_FILES,
        settings=SETTINGS + "groups: {ends: {node: [split, measure]}}\n",
        expect=Works(
            together=node_groups("split fit predict measure"), before=(("split", "plot"),), says=("group-between",)
        ),
    ),
    Scenario(
        name="named-group-odd",
        shows="a group with a name that no task could have",
        pipelines=default_pipeline(*_CHOSEN),
        catalog=_CHOSEN_FILES,
        settings=SETTINGS + 'groups: {"it\'s {{ ds }}": {tag: model}, plot: {node: [split, measure], tag: nothing}}\n',
        expect=Refused(code="rule-unmatched", mentions=("groups.plot", "nothing")),
    ),
    Scenario(
        name="named-group-unconnected",
        shows="a group of nodes that hand each other nothing",
        pipelines=default_pipeline(
            *(Node("raw", f"o{number}", f"n{number}", tags=("small",)) for number in range(3)),
            Node("o1", "end", "last"),
        ),
        catalog=pickle_entries("raw", "o0", "o1", "o2", "end"),
        settings=SETTINGS + 'groups: {"it\'s {{ ds }} 🚀": {tag: small}}\n',
        expect=Works(together=node_groups("n0 n1 n2"), before=(("n1", "last"),)),
    ),
    Scenario(
        name="named-group-declined",
        shows="a group whose nodes need different images is declined",
        pipelines=default_pipeline(*_CHOSEN),
        catalog=_CHOSEN_FILES,
        settings=SETTINGS
        + "groups: {modelling: {tag: model}}\ntasks: {gpu: {match: {node: fit}, image: registry.example.com/gpu:1}}\n",
        expect=Works(together=(), before=(("fit", "predict"),), says=("group-declined",)),
    ),
    Scenario(
        name="images-between",
        shows="what lies between two nodes of a group needs another image",
        pipelines=default_pipeline(*_CHOSEN),
        catalog=_CHOSEN_FILES,
        settings=SETTINGS
        + "groups: {ends: {node: [split, measure]}}\ntasks: {gpu: {match: {node: fit}, image: registry.example.com/gpu:1}}\n",
        expect=Works(
            apart=node_groups("split fit", "fit measure"), before=(("split", "fit"),), says=("group-declined",)
        ),
    ),
    Scenario(
        name="images-forced",
        shows="nodes that have to share a pod and need different images",
        pipelines=default_pipeline(*make_chain("a", "b")),
        catalog=pickle_entries("raw", "b_out"),
        settings=SETTINGS + "tasks: {gpu: {match: {node: b}, image: registry.example.com/gpu:1}}\n",
        expect=Refused(code="settings-clash", mentions=("'a'", "'b'", "a_out", "image", "registry.example.com/gpu")),
    ),
    Scenario(
        name="settings-forced",
        shows="nodes that have to share a pod and contradict each other otherwise",
        pipelines=default_pipeline(*make_chain("a", "b")),
        catalog=pickle_entries("raw", "b_out"),
        settings=SETTINGS
        + "tasks: {x: {match: {node: a}, nodeSelector: {zone: east}}, y: {match: {node: b}, nodeSelector: {zone: west}}}\n",
        expect=Refused(code="settings-clash", mentions=("'a'", "'b'", "a_out", "nodeSelector", "east", "west")),
    ),
    Scenario(
        name="resources-fused",
        shows="fused nodes get the largest of each resource",
        pipelines=default_pipeline(*make_chain("a", "b")),
        catalog=pickle_entries("raw", "b_out"),
        settings=SETTINGS
        + """
tasks:
  x: {match: {node: a}, resources: {requests: {cpu: 4, memory: 512Mi}, limits: {memory: 1Gi}}, execution_timeout: 1h}
  y: {match: {node: b}, resources: {requests: {cpu: 100m, memory: 8Gi}, limits: {memory: 8Gi}}, execution_timeout: 90m}
""",
        expect=Works(together=node_groups("a b")),
    ),
    Scenario(
        name="confirms",
        shows="a node that confirms what another loads",
        pipelines=default_pipeline(
            Node("stream", "a_out", "load"),
            Node("a_out", "b_out", "work"),
            Node("b_out", "c_out", "done", confirms="stream"),
        ),
        catalog={
            **pickle_entries("a_out", "b_out", "c_out"),
            "stream": {
                "type": "partitions.IncrementalDataset",
                "path": "data/stream",
                "dataset": "pickle.PickleDataset",
            },
        },
        expect=Works(together=node_groups("load work done")),
    ),
    Scenario(
        name="confirms-alone",
        shows="a node that confirms what it loads itself",
        pipelines=default_pipeline(Node("stream", "a_out", "load", confirms="stream"), Node("a_out", "b_out", "work")),
        catalog={
            **pickle_entries("a_out", "b_out"),
            "stream": {
                "type": "partitions.IncrementalDataset",
                "path": "data/stream",
                "dataset": "pickle.PickleDataset",
            },
        },
        expect=Works(together=(), before=(("load", "work"),)),
    ),
    Scenario(
        name="shared-subpipeline",
        shows="one pipeline under three namespaces",
        pipelines=default_pipeline(
            Node("raw", ("EWR.table", "JFK.table", "LGA.table"), "split"),
            *(
                node
                for space in ("EWR", "JFK", "LGA")
                for node in (
                    Node((f"{space}.table", "params:size"), f"{space}.features", "select", namespace=space),
                    Node(f"{space}.features", f"{space}.model", "fit", namespace=space),
                )
            ),
            Node(("EWR.model", "JFK.model", "LGA.model"), "report", "report"),
        ),
        catalog=pickle_entries(
            "raw", "report", *(f"{space}.{name}" for space in ("EWR", "JFK", "LGA") for name in ("table", "model"))
        ),
        parameters={"size": 0.2},
        expect=Works(
            together=node_groups("EWR.select EWR.fit", "JFK.select JFK.fit", "LGA.select LGA.fit"),
            before=(("split", "EWR.select"), ("LGA.fit", "report")),
            ids={"EWR.fit": "EWR", "split": "split"},
        ),
    ),
    Scenario(
        name="group-ids",
        shows="task groups beside tasks and datasets of the same names",
        pipelines=default_pipeline(
            Node("raw", "a.x", "b", namespace="a"),
            Node("a.x", "b.x", "a", namespace="b"),
            Node("b.x", "y", "a"),
            Node("y", "z", "b"),
            Node("z", "w", "a", namespace="c d"),
        ),
        catalog=pickle_entries("raw", "a.x", "b.x", "y", "z", "w"),
        expect=Works(together=(), before=(("a.b", "b.a"), ("a", "b"), ("b", "c d.a")), ids={"a": "a", "b": "b"}),
    ),
    Scenario(
        name="wide",
        shows="sixty tasks, half of them after two others",
        pipelines=default_pipeline(
            *(Node("raw", f"l{number}", f"load_{number}") for number in range(30)),
            *(Node((f"l{number}", f"l{(number + 1) % 30}"), f"w{number}", f"work_{number}") for number in range(30)),
        ),
        catalog=pickle_entries("raw", *(f"{kind}{number}" for kind in "lw" for number in range(30))),
        expect=Works(together=(), before=(("load_0", "work_0"), ("load_0", "work_29"))),
    ),
)
