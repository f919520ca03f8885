"""Print, as JSON, what Kedro itself says of the pipelines of the current project: python kedro_oracle.py [ENV] [CONF_SOURCE]

    {pipeline: {"nodes": {node: [nodes it depends on]}, "local": [[dataset, producer, [consumers]]]}}

`local` is data that stays in the process or on the disk of the machine that made it (data/ counts as shared storage), and
confirmations, which Kedro keeps in the process that loaded the dataset.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path


def main(env: str | None, conf_source: str | None) -> None:
    """Read and print."""
    from kedro.framework.project import pipelines
    from kedro.framework.startup import bootstrap_project

    from kedro_k8s_airflow.plan import graph
    from kedro_k8s_airflow.plan.reach import PodPaths
    from kedro_k8s_airflow.project import reader

    metadata = bootstrap_project(Path.cwd())
    read = reader.read_project(metadata, env=env, conf_source=conf_source, runtime_params={"day": "monday"})
    report = {}
    for name, pipeline in pipelines.items():
        nodes = read.pipelines[name]
        used = sorted({dataset for node in nodes for dataset in (*node.inputs, *node.outputs)})
        data_graph = graph.build_graph(nodes, read.catalog.resolve_entries(used), PodPaths("/app", ("/app/data",)), {})
        report[name] = {
            "nodes": {
                node.name: sorted(parent.name for parent in parents)
                for node, parents in pipeline.node_dependencies.items()
            },
            "local": [
                [data_set.name, nodes[data_set.producer].name, [nodes[reader].name for reader in data_set.consumers]]
                for data_set in data_graph.datasets.values()
                if data_set.producer is not None and data_set.reach.kind in ("memory", "pod")
            ]
            + [[name, nodes[one].name, [nodes[reader].name]] for name, one, reader in data_graph.confirmed],
        }
    json.dump(report, sys.stdout)


if __name__ == "__main__":
    main(*(argument or None for argument in (*sys.argv[1:3], "", "")[:2]))
