"""Makes Kedro projects of a given size, for the benchmarks to compile.

The graph is a stack of layers about as wide as it is high; a node reads two neighbours of the layer below it. Datasets are
files on a volume, found by one dataset factory (an explicit catalog of 5,000 entries is beyond what omegaconf reads). In the
variant with memory edges two datasets in five of every other layer are in no catalog, so that a fifth of all edges stays in
memory and pods of three nodes come about. In the variant with parts the registry makes every pipeline, whichever Kedro
asks for, and sums them up, as Kedro's starters do; Kedro itself takes long to load it.

    python benchmarks/projects.py FOLDER NODES [--memory-edges] [--parts PARTS]

For the start of a pod there are projects of several registered pipelines, each of which takes a while to import.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import NamedTuple

PACKAGE = "bench"

_PYPROJECT = f"""\
[project]
name = "{PACKAGE}"
version = "0.1"
dependencies = ["kedro", "kedro-datasets"]

[tool.kedro]
package_name = "{PACKAGE}"
project_name = "{PACKAGE}"
kedro_init_version = "1.5.0"
source_dir = "src"
"""

_REGISTRY = '''\
"""The pipeline of a benchmark: {nodes} nodes in layers of {width}; and {parts} pipelines that each hold a part of it."""

import time

from kedro.pipeline import Node, Pipeline

NODES, WIDTH, MEMORY_EDGES, PARTS = {nodes}, {width}, {memory_edges}, {parts}

_UNTIL = time.process_time() + {import_seconds}
while time.process_time() < _UNTIL:
    pass


def start(seed):
    return seed


def combine(left, right):
    return left


def dataset(index):
    layer, column = divmod(index, WIDTH)
    in_memory = MEMORY_EDGES and layer % 2 == 0 and column % 5 in (0, 2)
    return f"step_{{index:05d}}_rows" if in_memory else f"step_{{index:05d}}_table"


def inputs(index):
    layer, column = divmod(index, WIDTH)
    below = (layer - 1) * WIDTH
    return [dataset(below + column), dataset(below + (column + 1) % WIDTH)] if layer else ["params:seed"]


def register_pipelines():
    nodes = [
        Node(
            combine if index >= WIDTH else start,
            inputs(index),
            dataset(index),
            name=f"step_{{index:05d}}",
            tags=["heavy"] if index % 10 == 0 else None,
        )
        for index in range(NODES)
    ]
    if not PARTS:
        return {{"__default__": Pipeline(nodes)}}
    size = -(-NODES // PARTS)
    parts = {{f"part_{{part:02d}}": Pipeline(nodes[part * size : (part + 1) * size]) for part in range(PARTS)}}
    return {{**parts, "__default__": sum(parts.values())}}
'''

_CATALOG = """\
"{name}_table":
  type: pickle.PickleDataset
  filepath: data/{name}.pkl
"""

_VOLUME_SETTINGS = """\
image: registry.example.com/team/bench:1.0
namespace: kedro
data:
  volumes:
    data: {claim: bench-data, mount: data}
"""

_SETTINGS = """\
dag:
  retries: 1
  owner: bench
tasks:
  default:
    resources: {requests: {cpu: 250m, memory: 512Mi}, limits: {memory: 1Gi}}
  heavy:
    match: {tag: heavy}
    resources: {requests: {cpu: "2", memory: 4Gi}, limits: {memory: 4Gi}}
    execution_timeout: 1h
"""

# As Kedro's starters have it.
_REGISTRY_OF_MANY = '''\
"""All pipelines that are found."""

from kedro.framework.project import find_pipelines


def register_pipelines():
    pipelines = find_pipelines(raise_errors=True)
    pipelines["__default__"] = sum(pipelines.values())
    return pipelines
'''

_PIPELINE = '''\
"""A pipeline that takes {seconds} s of CPU to import. Its node leaves a mark, and ends the process at its first line."""

import os
import time
from pathlib import Path

from kedro.pipeline import Node, Pipeline

_UNTIL = time.process_time() + {seconds}
while time.process_time() < _UNTIL:
    pass


def start(seed):
    Path(os.environ["{mark}"]).touch()
    os._exit(0)


def create_pipeline():
    return Pipeline([Node(start, "params:seed", "{name}_table", name="{name}_start")])
'''
MARK = "BENCH_MARK"


class Shape(NamedTuple):
    """What a project looks like.

    Attributes:
        nodes: number of nodes.
        memory_edges: whether a fifth of the edges is kept in memory.
        parts: number of pipelines besides the default one, each with a part of its nodes.
        import_seconds: CPU that the project's own imports cost.
    """

    nodes: int
    memory_edges: bool = False
    parts: int = 0
    import_seconds: float = 0

    def __str__(self) -> str:
        memory = ", a fifth of the edges in memory" if self.memory_edges else ""
        parts = f", in {self.parts + 1} pipelines" if self.parts else ""
        return f"{self.nodes:,}{memory}{parts}"

    @property
    def width(self) -> int:
        """Nodes in a layer; a multiple of five, so that the memory edges of neighbours never touch at the seam."""
        return max(5, 5 * round(math.sqrt(self.nodes) / 5))


def make_project(folder: Path, shape: Shape) -> Path:
    """Write a project.

    Args:
        folder: where; made if need be.
        shape: of its pipeline.

    Returns:
        The folder.
    """
    return _write_project(
        folder,
        {"pipeline_registry.py": _REGISTRY.format(**shape._asdict(), width=shape.width)},
        _VOLUME_SETTINGS + _SETTINGS,
    )


def make_pipelines(folder: Path, count: int, seconds: float) -> Path:
    """Write a project of several pipelines that Kedro finds by itself: p01, p02 and so on, each of one node, p01_start.

    Args:
        folder: where; made if need be.
        count: of pipelines.
        seconds: of CPU that each costs to import.

    Returns:
        The folder.
    """
    modules = {"pipeline_registry.py": _REGISTRY_OF_MANY, "pipelines/__init__.py": ""}
    for name in (f"p{number:02d}" for number in range(1, count + 1)):
        modules[f"pipelines/{name}/__init__.py"] = _PIPELINE.format(name=name, seconds=seconds, mark=MARK)
    return _write_project(folder, modules, _VOLUME_SETTINGS)


def _write_project(folder: Path, modules: dict[str, str], settings: str) -> Path:
    files = {
        "pyproject.toml": _PYPROJECT,
        f"src/{PACKAGE}/__init__.py": "",
        f"src/{PACKAGE}/settings.py": "",
        **{f"src/{PACKAGE}/{name}": text for name, text in modules.items()},
        "conf/base/catalog.yml": _CATALOG,
        "conf/base/parameters.yml": "seed: 1\n",
        "conf/base/k8s_airflow.yml": settings,
        "conf/local/.gitkeep": "",
    }
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


def main() -> None:
    """Write a project of the given size, from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("nodes", type=int)
    parser.add_argument("--memory-edges", action="store_true", help="keep a fifth of the edges in memory")
    parser.add_argument("--parts", type=int, default=0, help="pipelines besides the default one")
    arguments = parser.parse_args()
    print(make_project(arguments.folder, Shape(arguments.nodes, arguments.memory_edges, arguments.parts)))


if __name__ == "__main__":
    main()
