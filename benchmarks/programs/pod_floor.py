"""The least that any program has to do to run a Kedro node: the node's own module, the catalog and a runner.

No session, no hooks, no command line, no registry. Run by `pod_start.py` in the folder of a project.
"""

from __future__ import annotations

import gc
import importlib
import sys

gc.disable()  # as the pod does, so that the floor is one
sys.path[0] = "src"

from kedro.config import OmegaConfigLoader  # noqa: E402
from kedro.io import DataCatalog  # noqa: E402
from kedro.runner import SequentialRunner  # noqa: E402

module, node = sys.argv[1:]
pipeline = importlib.import_module(module).create_pipeline()
config = OmegaConfigLoader(conf_source="conf", base_env="base", default_run_env="local")
catalog = DataCatalog.from_config(config["catalog"])
for name, value in config["parameters"].items():
    catalog[f"params:{name}"] = value
SequentialRunner().run(pipeline.filter(node_names=[node]), catalog)
