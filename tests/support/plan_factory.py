"""Plans for tests, made of nothing but task names and what each waits for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kedro_k8s_airflow.config.models import DagSettings
from kedro_k8s_airflow.plan.graph import Graph
from kedro_k8s_airflow.plan.model import Mount, Plan, Task
from kedro_k8s_airflow.plan.resolved_settings import ResolvedSettings
from kedro_k8s_airflow.project.model import ProjectNode
from tests.scenarios.model import IMAGE

if TYPE_CHECKING:
    from collections.abc import Mapping

BASE = {"resources": {"requests": {"cpu": "500m", "memory": "1Gi"}, "limits": {"memory": "2Gi"}}}


def make_plan(upstream: Mapping[str, tuple[str, ...]], *, flat: bool = False, **more: Any) -> Plan:
    """A plan of tasks that are named like their only nodes.

    Args:
        after: what each task waits for.
        flat: what stands before a dot is no namespace.
        more: other attributes of the plan, and `settings` of tasks.
    """
    task_settings = more.pop("settings", {})
    namespaces = {name: name.partition(".")[0] for name in upstream if "." in name and not flat}
    nodes = [ProjectNode(name, namespaces.get(name), frozenset(), (), (), ()) for name in upstream]
    groups = {space: space for space in sorted(set(namespaces.values()))} if len(set(namespaces.values())) > 1 else {}
    attributes: dict[str, Any] = {
        "dag_id": "project",
        "name": "__default__",
        "pipeline": "__default__",
        "env": None,
        "package": "project",
        "graph": Graph(tuple(nodes), {}, tuple(() for _ in nodes), ()),
        "dag": DagSettings(),
        "namespace": "default",
        "project_path": "/app",
        "conf_source": None,
        "home": "/home/kedro",
        "scratch_size": "2Gi",
        "mounts": (Mount("data", "/app/data", "claim"), Mount("deep", "/app/data/deep", "claim")),
        "base": BASE,
        "base_image": IMAGE,
        "params": {},
        "runtime_params": {},
        "groups": groups,
        "tasks": tuple(
            Task(
                id=name,
                nodes=(name,),
                upstream=upstream_ids,
                group=namespaces.get(name) if groups else None,
                label=name,
                pipeline="__default__",
                image=IMAGE,
                settings=ResolvedSettings(task_settings.get(name, BASE)),
            )
            for name, upstream_ids in upstream.items()
        ),
    }
    values = {**attributes, **more}
    return Plan(**{**values, "base": ResolvedSettings(values["base"])})


def make_chain(length: int) -> Plan:
    """Tasks one after the other."""
    return make_plan({f"n{index}": (f"n{index - 1}",) if index else () for index in range(length)})


def make_regions(number: int, each: int, **more: Any) -> Plan:
    """Namespaces that are alike, each a chain after one common task."""
    upstream: dict[str, tuple[str, ...]] = {"load": ()}
    for region in range(number):
        for step in range(each):
            upstream[f"r{region}.n{step}"] = (f"r{region}.n{step - 1}",) if step else ("load",)
    return make_plan(upstream, **more)


def make_interleaved_namespaces(number: int, each: int) -> Plan:
    """Namespaces of which every task waits for every task of the step before."""
    return make_plan(
        {
            f"r{region}.n{step}": tuple(f"r{other}.n{step - 1}" for other in range(number)) if step else ()
            for step in range(each)
            for region in range(number)
        }
    )
