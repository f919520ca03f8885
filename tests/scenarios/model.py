"""What a scenario is: a small Kedro project, and what `create` has to make of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

IMAGE = "registry.example.com/team/project"
SETTINGS = f"""
image: {IMAGE}
data:
  volumes:
    data: {{claim: project-data, mount: data}}
"""

Names = str | tuple[str, ...] | None


@dataclass(frozen=True)
class Node:
    """A Kedro node.

    Attributes:
        func: Python expression of its function. At hand are `work` (takes and gives anything), `named(text)` (the same
            with that `__name__`) and `partial`.
    """

    inputs: Names = None
    outputs: Names = None
    name: str | None = None
    func: str = "work"
    tags: tuple[str, ...] = ()
    namespace: str | None = None
    confirms: Names = None


@dataclass(frozen=True, kw_only=True)
class Works:
    """`create` succeeds, and real Airflow loads what it wrote.

    Attributes:
        dag_ids: of all DAGs; None is the one that is named like the package.
        together: node names that share a task, for each task with more than one node. None is not checked. Nodes
            without a name of their own are written as `<function>`, without the hash that Kedro appends.
        before: pairs of node names; the task of the first is directly before the task of the second.
        apart: sets of node names of which no two share a task.
        ids: task ids by the name of a node in the task.
        says: codes of findings that must be told; there is no warning but those.
        offers: parameters of the trigger form.
        loads: the pipeline that the pod of a node loads, by node, where it is not the DAG's.
        clears: nodes of the tasks that the task which clears the store waits for.
        stored: datasets in memory that are stored, by a node of each task that stores or loads them.
    """

    dag_ids: tuple[str, ...] | None = None
    together: tuple[frozenset[str], ...] | None = None
    before: tuple[tuple[str, str], ...] = ()
    apart: tuple[frozenset[str], ...] = ()
    ids: Mapping[str, str] = field(default_factory=dict)
    says: tuple[str, ...] = ()
    offers: Mapping[str, Any] = field(default_factory=dict)
    loads: Mapping[str, str] | None = None
    stored: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    clears: tuple[str, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class Refused:
    """`create` ends with this exit code and a finding of this code, says these words, and writes nothing.

    Attributes:
        code: of the finding; None where click or Kedro refuses before we are asked.
        ours: whether it is us who refuse; Kedro may show a traceback, we never do.
    """

    code: str | None
    mentions: tuple[str, ...]
    exit: int = 1
    ours: bool = True


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """A mini project.

    Attributes:
        name: unique, for test ids.
        shows: in a few words what it is there for.
        pipelines: nodes by registered name.
        registry: source of `pipeline_registry.py` instead of `pipelines`.
        source: folder of the package, relative to the project; "." is the project itself.
        conf: the configuration folder, as it lies on the disk.
        conf_source: `settings.CONF_SOURCE`, when the project says so itself.
        settings: content of base/k8s_airflow.yml; None is no file.
        overlays: content of <env>/k8s_airflow.yml, by environment.
        catalog: of the base environment.
        files: further files by path; `{conf}` stands for the configuration folder, `{package}` for the package's folder.
        links: targets of links by path.
        settings_py: further lines of the project's settings.py.
        options: of the command line.
        canary: text that must be in nothing that `create` writes or prints.
    """

    name: str
    shows: str
    expect: Works | Refused
    pipelines: Mapping[str, tuple[Node, ...]] = field(default_factory=dict)
    registry: str | None = None
    package: str = "project"
    source: str = "src"
    conf: str = "conf"
    conf_source: str | None = None
    local: bool = True
    settings: str | None = SETTINGS
    overlays: Mapping[str, str] = field(default_factory=dict)
    catalog: Mapping[str, Any] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)
    settings_py: str = ""
    options: tuple[str, ...] = ()
    canary: str | None = None

    def __str__(self) -> str:
        return self.name


def default_pipeline(*nodes: Node) -> dict[str, tuple[Node, ...]]:
    """A registry with the default pipeline alone."""
    return {"__default__": nodes}


def make_chain(*names: str) -> tuple[Node, ...]:
    """Named nodes, each of which loads what the one before saved: `<name>_out`; the first loads `raw`."""
    return tuple(
        Node("raw" if not index else f"{names[index - 1]}_out", f"{name}_out", name) for index, name in enumerate(names)
    )


def pickle_entries(*names: str, folder: str = "data", **more: Any) -> dict[str, Any]:
    """Catalog entries of files in a folder; `data` is on the volume of the default settings."""
    return {
        name: {"type": "pickle.PickleDataset", "filepath": f"{folder}/{name.replace('.', '/')}.pkl", **more}
        for name in names
    }


def node_groups(*members: str) -> tuple[frozenset[str], ...]:
    """`groups("a b", "c d")`: nodes a and b share a task, and c and d."""
    return tuple(frozenset(text.split()) for text in members)
