"""Plans as a JSON document for programs; `plan.schema.json` beside this package describes every field.

Its names are a promise: within `schema` 1 a field may be added, and none is renamed or taken away. It tells nothing that the DAG
file does not; of environment variables only the names, of annotations nothing.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from kedro_k8s_airflow.plan.statistics import plan_statistics, store_location

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kedro_k8s_airflow.plan.model import Plan, Task
    from kedro_k8s_airflow.plan.statistics import PlanStatistics, StorageLocation

SCHEMA = 1


def plans_to_json(plans: Sequence[Plan]) -> str:
    """The document, as it is written: in ASCII, which no terminal or pipe spoils."""
    return json.dumps(plans_document(plans), indent=2) + "\n"


def plans_document(plans: Sequence[Plan]) -> dict[str, Any]:
    """The document, of what JSON knows."""
    return {"schema": SCHEMA, "dags": [_dag(plan, plan_statistics(plan)) for plan in plans]}


def _dag(plan: Plan, known: PlanStatistics) -> dict[str, Any]:
    return {
        "dag_id": plan.dag_id,
        "pipeline": plan.pipeline,
        "env": plan.env,
        "package": plan.package,
        "namespace": plan.namespace,
        "group_by": plan.dag.group_by,
        "max_active_tasks": plan.dag.max_active_tasks,
        "pods": len(plan.tasks),
        "nodes": plan.node_count,
        "steps": len(known.steps),
        "widest_step": {"step": known.widest, "tasks": [task.id for task in known.steps[known.widest - 1]]},
        "critical_path": list(known.critical_path),
        "requests_at_once": dict(known.at_once),
        "groups": [{"id": group, "namespace": namespace} for group, namespace in sorted(plan.groups.items())],
        "volumes": [
            {"name": mount.name, "path": mount.path, "claim": mount.claim, "read_only": mount.read_only}
            for mount in plan.mounts
            if mount.claim
        ],
        "store": None if plan.store is None else _place(store_location(plan.store, plan.mounts)),
        "inputs": [
            {"dataset": one.dataset, "volume": one.mount, "path": one.path}
            for one in sorted(plan.local_inputs, key=lambda one: one.dataset)
        ],
        "tasks": [_task(task, plan, known) for task in plan.tasks],
        "passed_datasets": [
            {
                "dataset": crossing.dataset,
                "saved_by": crossing.saved_by,
                "loaded_by": list(crossing.loaded_by),
                "versioned": crossing.reach.versioned,
                "storage": _place(known.places[crossing.dataset]),
            }
            for crossing in plan.crossings
        ],
    }


def _place(found: StorageLocation) -> dict[str, Any]:
    return {"kind": found.kind, "volume": found.volume, "path": found.path, "protocol": found.protocol}


def _task(task: Task, plan: Plan, known: PlanStatistics) -> dict[str, Any]:
    settings = task.settings
    timeout = settings.get("execution_timeout")
    return {
        "id": task.id,
        "step": known.step_of[task.id],
        "nodes": list(task.nodes),
        "upstream": list(task.upstream),
        "group": task.group,
        "merge_reasons": [
            {"reason": cause.reason, "name": cause.name, "nodes": [cause.first, cause.second]}
            for cause in task.merge_causes
        ],
        "pipeline": task.pipeline,
        "narrowing_declined": task.narrowing_declined,
        "image": task.image,
        "rules": list(task.rules),
        "resources": _resources(settings),
        "env": sorted(variable["name"] for variable in settings.get("env") or []),
        "retries": settings.get("retries", plan.dag.retries),
        "execution_timeout_seconds": None if timeout is None else int(timeout.total_seconds()),
        "pool": settings.get("pool"),
        "memory": list(task.memory),
        "stored": list(task.stored),
    }


def _resources(settings: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    resources = settings.get("resources") or {}
    return {
        part: {name: str(amount) for name, amount in sorted((resources.get(part) or {}).items())}
        for part in ("requests", "limits")
    }
