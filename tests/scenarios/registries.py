"""Registries: pipelines that are empty, missing, or that cannot be loaded."""

from __future__ import annotations

from tests.scenarios.model import SETTINGS, Node, Refused, Scenario, Works, default_pipeline, make_chain, pickle_entries

_FILES = pickle_entries("raw", "a_out", "b_out")
_NO_PIPELINE = "from kedro.pipeline import Node, Pipeline\n\n\ndef register_pipelines():\n"
_FOUND = (
    "from kedro.framework.project import find_pipelines\n\n\n"
    "def register_pipelines():\n"
    "    pipelines = find_pipelines()\n"
    "    pipelines['__default__'] = sum(pipelines.values())\n"
    "    return pipelines\n"
)
_GOOD = (
    "from kedro.pipeline import Node, Pipeline\n\n\n"
    "def create_pipeline(**kwargs):\n"
    "    return Pipeline([Node(lambda x: x, 'raw', 'a_out', name='a')])\n"
)

SCENARIOS = (
    Scenario(
        name="empty-registry",
        shows="no pipeline at all",
        registry=_NO_PIPELINE + "    return {}\n",
        expect=Refused(code="registry", mentions=("does not register any pipeline", "kedro pipeline create")),
    ),
    Scenario(
        name="empty-registry-all",
        shows="--all of nothing",
        registry=_NO_PIPELINE + "    return {}\n",
        options=("--all",),
        expect=Refused(code="registry", mentions=("does not register any pipeline",)),
    ),
    Scenario(
        name="empty-pipeline",
        shows="a default pipeline without nodes, as in a new project",
        pipelines=default_pipeline(),
        expect=Refused(code="pipeline-empty", mentions=("__default__", "has no nodes")),
    ),
    Scenario(
        name="some-empty",
        shows="--all leaves out what is empty, and says so",
        pipelines={"__default__": make_chain("a", "b"), "empty": ()},
        catalog=_FILES,
        options=("--all",),
        expect=Works(dag_ids=("project",), says=("pipeline-skipped",)),
    ),
    Scenario(
        name="no-default",
        shows="no __default__",
        pipelines={"train": make_chain("a"), "score": make_chain("b")},
        catalog=_FILES,
        expect=Refused(code="pipeline", mentions=("__default__", "train", "score")),
    ),
    Scenario(
        name="no-default-named",
        shows="no __default__, but the pipeline is named",
        pipelines={"train": make_chain("a", "b")},
        catalog=_FILES,
        options=("--pipeline", "train"),
        expect=Works(dag_ids=("project_train",), before=(("a", "b"),)),
    ),
    Scenario(
        name="all-pipelines",
        shows="--all: one DAG for each pipeline, each with an id of its own",
        pipelines={"__default__": make_chain("a", "b"), "train": make_chain("a"), "score": make_chain("a", "b")},
        catalog=_FILES,
        options=("--all",),
        expect=Works(dag_ids=("project", "project_score", "project_train")),
    ),
    Scenario(
        name="two-pipelines",
        shows="--pipeline twice",
        pipelines={"__default__": make_chain("a", "b"), "train": make_chain("a"), "score": make_chain("a", "b")},
        catalog=_FILES,
        options=("-p", "train", "-p", "score"),
        expect=Works(dag_ids=("project_score", "project_train")),
    ),
    Scenario(
        name="pipeline-misspelt",
        shows="a pipeline that is not registered",
        pipelines={"__default__": make_chain("a"), "training": make_chain("a")},
        catalog=_FILES,
        options=("--pipeline", "trainig"),
        expect=Refused(code="pipeline", mentions=("trainig", "training")),
    ),
    Scenario(
        name="dag-pipeline-misspelt",
        shows="a configured DAG of a pipeline that is not registered",
        pipelines={"__default__": make_chain("a"), "training": make_chain("a")},
        catalog=_FILES,
        settings=SETTINGS + "dags: {weekly: {pipeline: trainig}}\n",
        expect=Refused(code="pipeline", mentions=("dags.weekly", "trainig", "training")),
    ),
    Scenario(
        name="all-and-one",
        shows="--all with --pipeline",
        pipelines=default_pipeline(*make_chain("a")),
        catalog=_FILES,
        options=("--all", "--pipeline", "__default__"),
        expect=Refused(code=None, mentions=("--all", "--pipeline"), exit=2),
    ),
    Scenario(
        name="unknown-option",
        shows="an option that is not there",
        pipelines=default_pipeline(*make_chain("a")),
        catalog=_FILES,
        options=("--pipelines", "x"),
        expect=Refused(code=None, mentions=("--pipelines",), exit=2),
    ),
    Scenario(
        name="registry-raises",
        shows="a registry that raises",
        registry=_NO_PIPELINE + "    raise ValueError('no luck today')\n",
        expect=Refused(code="registry", mentions=("pipeline_registry", "ValueError", "no luck today")),
    ),
    Scenario(
        name="registry-import",
        shows="a registry that imports what is not installed",
        registry="import a_module_that_is_not_there\n",
        expect=Refused(code="registry", mentions=("pipeline_registry", "a_module_that_is_not_there")),
    ),
    Scenario(
        name="registry-syntax",
        shows="a registry that is no Python",
        registry="def register_pipelines(:\n",
        expect=Refused(code="registry", mentions=("pipeline_registry", "SyntaxError")),
    ),
    Scenario(
        name="registry-missing-function",
        shows="a registry without register_pipelines",
        registry="x = 1\n",
        expect=Refused(code="registry", mentions=("pipeline_registry",)),
    ),
    Scenario(
        name="registry-exits",
        shows="a registry that ends the process",
        registry="import sys\n\nsys.exit(0)\n",
        expect=Refused(code="registry", mentions=("pipeline_registry", "exited the process")),
    ),
    Scenario(
        name="registry-exits-later",
        shows="register_pipelines() that ends the process",
        registry="def register_pipelines():\n    raise SystemExit('bye')\n",
        expect=Refused(code="registry", mentions=("pipeline_registry", "exited the process")),
    ),
    Scenario(
        name="registry-prints",
        shows="a registry that prints",
        registry=_NO_PIPELINE + "    print('hello from the registry')\n"
        "    return {'__default__': Pipeline([Node(lambda x: x, 'raw', 'a_out', name='a')])}\n",
        catalog=_FILES,
        expect=Works(says=("registry-prints",)),
    ),
    Scenario(
        name="registry-wrong-type",
        shows="a registry that holds what is no pipeline",
        registry=_NO_PIPELINE + "    return {'__default__': [1, 2]}\n",
        expect=Refused(code="registry", mentions=("__default__", "list")),
    ),
    Scenario(
        name="registry-none",
        shows="a registry that returns nothing",
        registry=_NO_PIPELINE + "    return None\n",
        expect=Refused(code="registry", mentions=("pipeline_registry",)),
    ),
    Scenario(
        name="found",
        shows="find_pipelines() that found all",
        registry=_FOUND,
        files={"{package}/pipelines/__init__.py": "", "{package}/pipelines/good/__init__.py": _GOOD},
        catalog=_FILES,
        expect=Works(together=()),
    ),
    Scenario(
        name="found-swallowed",
        shows="find_pipelines() that swallowed an ImportError",
        registry=_FOUND,
        files={
            "{package}/pipelines/__init__.py": "",
            "{package}/pipelines/good/__init__.py": _GOOD,
            "{package}/pipelines/broken/__init__.py": "import a_module_that_is_not_there\n",
        },
        catalog=_FILES,
        expect=Refused(code="registry-swallowed", mentions=("pipelines.broken", "a_module_that_is_not_there")),
    ),
    Scenario(
        name="found-other-error",
        shows="find_pipelines() that swallowed another error",
        registry=_FOUND,
        files={
            "{package}/pipelines/__init__.py": "",
            "{package}/pipelines/good/__init__.py": _GOOD,
            "{package}/pipelines/broken/__init__.py": "raise ZeroDivisionError('oh')\n",
        },
        catalog=_FILES,
        expect=Refused(code="registry-swallowed", mentions=("pipelines.broken", "ZeroDivisionError")),
    ),
    Scenario(
        name="found-without-function",
        shows="find_pipelines() that met a module without create_pipeline",
        registry=_FOUND,
        files={
            "{package}/pipelines/__init__.py": "",
            "{package}/pipelines/good/__init__.py": _GOOD,
            "{package}/pipelines/bare/__init__.py": "",
        },
        catalog=_FILES,
        expect=Works(says=("registry-warns",)),
    ),
    Scenario(
        name="same-nodes-twice",
        shows="a node in several pipelines is matched by any of them",
        pipelines={
            "__default__": (*make_chain("a", "b"), Node("b_out", None, "c")),
            "train": make_chain("a", "b"),
        },
        catalog=_FILES,
        settings=SETTINGS + "tasks: {train: {match: {pipeline: train}, retries: 3}}\n",
        expect=Works(before=(("a", "b"), ("b", "c"))),
    ),
)
