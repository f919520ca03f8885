"""What docs/guides/grouping.md draws: one small pipeline, grouped in every way."""

from __future__ import annotations

from tests.scenarios.model import SETTINGS, Node, Scenario, Works, default_pipeline, node_groups, pickle_entries

_DRAWN = {
    "pipelines": default_pipeline(
        Node("raw", "flights", "clean"),
        Node("flights", "train.table", "split", namespace="train"),
        Node("train.table", "model", "fit", namespace="train"),
        Node(("flights", "model"), "train.score", "judge", namespace="train"),
        Node(("flights", "model"), "predict.out", "score", namespace="predict"),
        Node("train.score", "page", "report"),
    ),
    "catalog": pickle_entries("raw", "flights", "model", "train.score", "predict.out", "page"),
}
_DRAWN_BETWEEN = default_pipeline(
    Node("raw", ("sample", "table"), "clean"),
    Node("table", "model", "fit"),
    Node(("sample", "model"), "score", "judge"),
    Node("score", "page", "report"),
)
_DRAWN_STORE = """
image: registry.example.com/team/project
data:
  volumes:
    data: {claim: project-data, mount: data}
  memory: store
  store: {path: data/between-pods}
dag: {group_by: none}
"""

SCENARIOS = (
    Scenario(
        name="page-none",
        shows="the pipeline of the page on grouping, a pod for each node",
        **_DRAWN,
        settings=_DRAWN_STORE,
        expect=Works(together=(), stored={"train.split": ("train.table",), "train.fit": ("train.table",)}),
    ),
    Scenario(
        name="page-memory",
        shows="the same, fused by memory alone",
        **_DRAWN,
        expect=Works(together=node_groups("train.split train.fit")),
    ),
    Scenario(
        name="page-namespace",
        shows="the same, fused by namespace",
        **_DRAWN,
        settings=SETTINGS + "dag: {group_by: namespace}\n",
        expect=Works(together=node_groups("train.split train.fit train.judge")),
    ),
    Scenario(
        name="page-chain",
        shows="the same, fused as chains",
        **_DRAWN,
        settings=SETTINGS + "dag: {group_by: chain}\n",
        expect=Works(together=node_groups("train.split train.fit", "train.judge report")),
    ),
    Scenario(
        name="page-groups",
        shows="the same, with a group of the user's",
        **_DRAWN,
        settings=SETTINGS + "groups: {ends: {node: [report, predict.score]}}\n",
        expect=Works(together=node_groups("train.split train.fit", "report predict.score")),
    ),
    Scenario(
        name="page-pod",
        shows="the same, with the model on the pod's own disk",
        pipelines=_DRAWN["pipelines"],
        catalog={**_DRAWN["catalog"], **pickle_entries("model", folder="scratch")},
        expect=Works(together=node_groups("train.split train.fit train.judge predict.score")),
    ),
    Scenario(
        name="page-between",
        shows="what lies between nodes that data in memory fuses",
        pipelines=_DRAWN_BETWEEN,
        catalog=pickle_entries("raw", "table", "model", "score", "page"),
        expect=Works(together=node_groups("clean fit judge"), before=(("judge", "report"),)),
    ),
)
