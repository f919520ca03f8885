"""The least that any compiler of Kedro projects has to do: import Kedro, load the project's pipeline, order its nodes.

Run by `create.py` as a process of its own. It lives in this folder because Python puts a script's folder first on its path,
and Kedro would import `benchmarks/parse.py` in place of the `parse` it depends on.
"""

from __future__ import annotations

import sys
from pathlib import Path

from kedro.framework.project import pipelines
from kedro.framework.startup import bootstrap_project

bootstrap_project(Path(sys.argv[1]))
groups = pipelines["__default__"].group_nodes_by(None)
sys.stdout.write(f"{len(groups)}\n")
