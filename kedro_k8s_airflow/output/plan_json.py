"""Plans as a JSON document for programs; `plan.schema.json` in this folder describes every field.

Within `schema` 1, fields may be added; none is renamed or removed. The document contains nothing that the DAG file does not: only
the names of environment variables, and no annotations.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from kedro_k8s_airflow.plan.statistics import compute_plan_statistics, locate_store

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kedro_k8s_airflow.plan.model import Plan, Task
    from kedro_k8s_airflow.plan.statistics import PlanStatistics, StorageLocation

SCHEMA = 1


def plans_to_json(plans: Sequence[Plan]) -> str:
    """Return the document as text, in ASCII, so that it does not depend on an encoding."""
    return json.dumps(plans_document(plans), indent=2) + "\n"


def plans_document(plans: Sequence[Plan]) -> dict[str, Any]:
    """Return the document as values that JSON has."""
    return {"schema": SCHEMA, "dags": [_dag_document(plan, compute_plan_statistics(plan)) for plan in plans]}


def _dag_document(plan: Plan, statistics: PlanStatistics) -> dict[str, Any]:
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
        "steps": len(statistics.steps),
        "widest_step": {
            "step": statistics.widest_step,
            "tasks": [task.id for task in statistics.steps[statistics.widest_step - 1]],
        },
        "critical_path": list(statistics.critical_path),
        "requests_at_once": dict(statistics.peak_requests),
        "groups": [{"id": group, "namespace": namespace} for group, namespace in sorted(plan.groups.items())],
        "volumes": [
            {"name": mount.name, "path": mount.path, "claim": mount.claim, "read_only": mount.read_only}
            for mount in plan.mounts
            if mount.claim
        ],
        "store": None if plan.store is None else _storage_document(locate_store(plan.store, plan.mounts)),
        "inputs": [
            {"dataset": local_input.dataset, "volume": local_input.mount, "path": local_input.path}
            for local_input in sorted(plan.local_inputs, key=lambda one: one.dataset)
        ],
        "tasks": [_task_document(task, plan, statistics) for task in plan.tasks],
        "passed_datasets": [
            {
                "dataset": crossing.dataset,
                "saved_by": crossing.saved_by,
                "loaded_by": list(crossing.loaded_by),
                "versioned": crossing.reach.versioned,
                "storage": _storage_document(statistics.storage[crossing.dataset]),
            }
            for crossing in plan.crossings
        ],
    }


def _storage_document(storage: StorageLocation) -> dict[str, Any]:
    return {"kind": storage.kind, "volume": storage.volume, "path": storage.path, "protocol": storage.protocol}


def _task_document(task: Task, plan: Plan, statistics: PlanStatistics) -> dict[str, Any]:
    settings = task.settings
    timeout = settings.get("execution_timeout")
    return {
        "id": task.id,
        "step": statistics.step_of[task.id],
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
