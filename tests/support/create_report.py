"""Print, as JSON, what `kedro k8s-airflow create OPTIONS` plans in the current project, and what Kedro itself says.

    python create_report.py [--write] OPTIONS...

The report: {"plans": {dag_id: {tasks: [{id, nodes, after, group, label, pipeline, reasons, by_hand, ...}], crossings, params, declined,
kedro: {node: [nodes it depends on]}, ...}}, "findings": [[code, severity]], "document": ..., "picture": ...}, the last two as
`plan` gives them to programs; with --write the files are written, too.
`kedro` is Pipeline.node_dependencies: the truth that no code of this package has touched.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path


def main(options: list[str]) -> None:
    """Read, plan, print."""
    write = options[:1] == ["--write"]
    options = options[write:]
    from kedro.framework.project import pipelines
    from kedro.framework.startup import bootstrap_project

    from kedro_k8s_airflow import cli, files
    from kedro_k8s_airflow.commands import create
    from kedro_k8s_airflow.dag import mermaid
    from kedro_k8s_airflow.output import plan_json
    from kedro_k8s_airflow.request import CompileRequest

    metadata = bootstrap_project(Path.cwd())
    arguments = cli.create.make_context("create", options).params
    with cli.create.make_context("create", options):
        params = cli._parse_params(arguments["params"])
    shared = {name: arguments[name] for name in ("pipelines", "all_pipelines", "env", "conf_source")}
    request = CompileRequest(metadata=metadata, params=params, **shared)
    creation = create.prepare_create(request, folder=arguments["output"], force=arguments["force"])
    if write:
        files.write_files(creation.changes)
    report = {
        "plans": {plan.dag_id: _report_plan(plan, pipelines[plan.pipeline]) for plan in creation.plans},
        "findings": [[finding.code, finding.severity] for finding in creation.findings],
        "document": plan_json.plans_document(creation.plans),
        "picture": mermaid.draw_plans(creation.plans),
    }
    json.dump(report, sys.stdout)


def _report_plan(plan, pipeline) -> dict:
    from kedro_k8s_airflow.kubernetes import debug_commands

    return {
        "tasks": [
            {
                "id": task.id,
                "nodes": task.nodes,
                "after": task.upstream,
                "group": task.group,
                "label": task.label,
                "pipeline": task.pipeline,
                "whole": task.narrowing_declined,
                "trigger_rule": task.settings.get("trigger_rule"),
                "runner": task.settings.get("runner"),
                "memory": task.memory,
                "stored": task.stored,
                "versions": task.versions,
                "latest": task.latest,
                "flags": task.flags,
                "reasons": [[cause.reason, cause.name, cause.first, cause.second] for cause in task.merge_causes],
                "by_hand": dataclasses.asdict(debug_commands.build_debug_commands(plan, task)),
            }
            for task in plan.tasks
        ],
        "crossings": {crossing.dataset: crossing.reach.kind for crossing in plan.crossings},
        "versioned": sorted(crossing.dataset for crossing in plan.crossings if crossing.reach.versioned),
        "pipeline": plan.pipeline,
        "params": dict(plan.params),
        "macros": dict(plan.macros),
        "inputs": [local_input.local_path for local_input in plan.local_inputs],
        "runtime_params": dict(plan.runtime_params),
        "declined": [dataclasses.asdict(declined) for declined in plan.declined],
        "kedro": {
            node.name: sorted(parent.name for parent in parents) for node, parents in pipeline.node_dependencies.items()
        },
    }


if __name__ == "__main__":
    main(sys.argv[1:])
