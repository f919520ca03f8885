"""From groups to the plan: every group becomes a task with an id, settings, an image and the folders it may write to.

Reports what keeps a plan from being made. What is merely doubtful about a plan is for `checks`.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from kedro_k8s_airflow import names
from kedro_k8s_airflow.config.defaults import PLATFORM_DEFAULTS
from kedro_k8s_airflow.config.models import DEFAULT_IMAGE
from kedro_k8s_airflow.diagnostics import Diagnostics
from kedro_k8s_airflow.findings import Refused
from kedro_k8s_airflow.image_reference import split_reference
from kedro_k8s_airflow.locations import Location
from kedro_k8s_airflow.plan import dag_selection, data_passing, grouping, parameters, settings_merge, task_ids, volumes
from kedro_k8s_airflow.plan.graph import build_graph, is_parameter
from kedro_k8s_airflow.plan.model import Crossing, MergeCause, Plan, Task
from kedro_k8s_airflow.plan.reach import PodPaths
from kedro_k8s_airflow.project.pod_environment import HOME

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kedro_k8s_airflow.findings import Finding
    from kedro_k8s_airflow.plan.context import PlanContext
    from kedro_k8s_airflow.plan.dag_selection import SelectedDag
    from kedro_k8s_airflow.plan.graph import Graph
    from kedro_k8s_airflow.plan.grouping import Grouping, NodeGroup
    from kedro_k8s_airflow.plan.model import Mount
    from kedro_k8s_airflow.plan.resolved_settings import ResolvedSettings


@dataclass(frozen=True, kw_only=True)
class DagDraft:
    """One DAG on the way to its plan.

    Attributes:
        dag: its name, its pipeline and its settings.
        graph: of the pipeline.
        entries: resolved catalog entries of the datasets that the catalog knows, by name as nodes spell it.
        mounts: volumes of every pod.
        plan: None when it could not be made.
        errors: what kept it from being made.
    """

    dag: SelectedDag
    graph: Graph
    entries: Mapping[str, Mapping[str, Any]]
    mounts: tuple[Mount, ...]
    plan: Plan | None = None
    errors: tuple[Finding, ...] = ()


def draft_dags(
    context: PlanContext, diagnostics: Diagnostics, *, pipelines: Sequence[str] = (), all_pipelines: bool = False
) -> list[DagDraft]:
    """Return the selected DAGs, each with its plan or with what kept it from being made.

    Args:
        context: the project, its settings and rules.
        diagnostics: gets what is wrong beyond single DAGs.
        pipelines: only DAGs of these registered pipelines; all configured ones when empty.
        all_pipelines: one DAG for each registered pipeline besides the configured ones.

    Raises:
        Refused: when the DAGs cannot be selected.
    """
    dags = dag_selection.select_dags(context, diagnostics, pipelines, all_pipelines=all_pipelines)
    mounts = volumes.build_mounts(context)
    drafts = [_plan_draft(_build_draft(context, dag, mounts), context) for dag in dags]
    plans = [draft.plan for draft in drafts if draft.plan is not None]
    diagnostics.extend(dag_selection.find_duplicate_ids(plans, context))
    return drafts


def _build_draft(context: PlanContext, dag: SelectedDag, mounts: tuple[Mount, ...]) -> DagDraft:
    nodes = context.project.pipelines[dag.pipeline]
    pod_paths = PodPaths(
        context.settings.project_path,
        tuple(mount.path for mount in mounts if mount.claim),
        context.project.unknown_variables,
    )
    used = sorted({name for node in nodes for name in (*node.inputs, *node.outputs) if not is_parameter(name)})
    entries = context.project.catalog.resolve_entries(used)
    graph = build_graph(nodes, entries, pod_paths, context.settings.data.reach)
    return DagDraft(dag=dag, graph=graph, entries=entries, mounts=mounts)


def _plan_draft(draft: DagDraft, context: PlanContext) -> DagDraft:
    try:
        return replace(draft, plan=_Planner(draft, context).plan())
    except Refused as refused:
        return replace(draft, errors=refused.findings)


class _Planner:
    """Makes the plan of one DAG."""

    def __init__(self, draft: DagDraft, context: PlanContext) -> None:
        self.draft = draft
        self.dag = draft.dag
        self.graph = draft.graph
        self.context = context
        self.diagnostics = Diagnostics()
        self.rules_by_node = [context.task_rules.matching_rules(node) for node in draft.graph.nodes]

    def plan(self) -> Plan:
        """Return the plan.

        Raises:
            Refused: with every error found.
        """
        context, project, settings = self.context, self.context.project, self.context.settings
        base = context.task_rules.base
        grouped = grouping.group_nodes(self.graph, self._grouping_options(), self.diagnostics)
        params, runtime_params, macros = self._resolve_parameters()
        if grouped is None:
            self.diagnostics.raise_if_errors()
            raise AssertionError("a grouping is missing without an error")
        ids = task_ids.assign_task_ids(self.graph, grouped)
        crossings = _find_crossings(self.graph, grouped, ids)
        group_of, group_ids = task_ids.assign_task_groups(self.graph, grouped, set(ids))
        tasks = self._build_tasks(grouped, ids, group_of, crossings)
        if len(tasks) < len(grouped.groups):
            self.diagnostics.raise_if_errors()  # what follows needs every task
        store = None
        if any(task.stored for task in tasks):
            store = data_passing.resolve_memory_store(context, self.draft.mounts, self.diagnostics)
            image_name, image = context.image_of(base.get("image"))
            template = replace(tasks[0], settings=base, image_name=image_name, image=image)
            tasks.append(data_passing.build_clearing_task(tasks, template, {*(task.id for task in tasks), *group_ids}))
        self.diagnostics.raise_if_errors()
        dag_name = () if self.dag.name == dag_selection.DEFAULT_PIPELINE else (self.dag.name,)
        parts = (project.package, *dag_name, *((project.env,) if project.env else ()))
        return Plan(
            dag_id=names.to_airflow_key("_".join(parts), parts),
            name=self.dag.name,
            pipeline=self.dag.pipeline,
            env=project.env,
            package=project.package,
            graph=self.graph,
            dag=self.dag.settings,
            namespace=settings.namespace,
            project_path=settings.project_path,
            conf_source=volumes.conf_in_pod(project, settings)
            if project.conf_source_given or project.conf_source != "conf"
            else None,
            home=HOME,
            scratch_size=settings.data.scratch.sizeLimit,
            mounts=self.draft.mounts,
            base=base,
            base_image=context.image_of(base.get("image"))[1],
            prefix=settings.build.prefix,
            params=params,
            runtime_params=runtime_params,
            groups=group_ids,
            tasks=tuple(tasks),
            crossings=crossings,
            declined=grouped.declined,
            in_image=settings.data.in_image,
            macros=macros,
            store=store,
            pipeline_count=len(project.pipelines),
            local_inputs=data_passing.find_local_inputs(self.graph, self.draft.mounts, settings.project_path),
        )

    def _grouping_options(self) -> grouping.GroupingOptions:
        settings, task_rules = self.context.settings, self.context.task_rules
        resolved = [task_rules.settings_of(rule_names) for rule_names in self.rules_by_node]
        keys = {
            task_settings: settings_merge.compatibility_key(task_settings) for task_settings in dict.fromkeys(resolved)
        }
        return grouping.GroupingOptions(
            group_by=self.dag.settings.group_by,
            store=settings.data.memory == "store" and self.dag.settings.group_by != "memory",
            pod_local=settings.data.pod_local,
            nodes_by_group=task_rules.nodes_by_group(self.graph.nodes),
            kinds=[keys[task_settings] for task_settings in resolved],
        )

    def _resolve_parameters(self) -> tuple[dict[str, Any], dict[str, Any], dict[str, str]]:
        """Return the parameters of the trigger form, those of every pod, and those that a run decides."""
        project, dag = self.context.project, self.dag.settings
        known = parameters.index_parameters(project.parameters)
        params = parameters.resolve_offered_params(known, self.context, dag, self.diagnostics)
        # What lies below an offered parameter is part of its default already.
        runtime_params = {
            name: value
            for name, value in parameters.flatten_parameters(project.runtime_params).items()
            if not any(name.startswith(f"{offered}.") for offered in params)
        }
        location = self.context.location_of("dag", "params") if params else Location(subject="--params")
        self.diagnostics.extend(parameters.find_leaked_credentials(runtime_params))
        self.diagnostics.extend(parameters.find_unsendable({**runtime_params, **params}, location))
        macros = parameters.parse_macros(known, self.context, dag, {**runtime_params, **params}, self.diagnostics)
        return params, runtime_params, macros

    def _build_tasks(
        self, grouped: Grouping, ids: Sequence[str], group_of: Mapping[int, str], crossings: Sequence[Crossing]
    ) -> list[Task]:
        """Return one task for each group; what keeps a group from being one is reported."""
        graph = self.graph
        crossing_of = {crossing.dataset: crossing for crossing in crossings}
        saved_paths: dict[int, list[str]] = defaultdict(list)
        for dataset in graph.datasets.values():
            if dataset.producer is not None and dataset.reach.kind == "pod" and dataset.reach.path:
                saved_paths[dataset.producer].append(dataset.reach.path)
        tasks: list[Task] = []
        checked_settings: set[ResolvedSettings] = set()
        for index, group in enumerate(grouped.groups):
            nodes = [graph.nodes[member] for member in group.members]
            with self.diagnostics.collecting():
                settings, rules = self._merge_group_settings(group)
                scratch = volumes.find_scratch_folders(
                    [path for member in group.members for path in saved_paths[member]], self.context
                )
                if settings not in checked_settings:
                    self._check_image(settings, nodes[0].name)
                    checked_settings.add(settings)
                image_name, image = self.context.image_of(settings.get("image"))
                tasks.append(
                    Task(
                        id=ids[index],
                        nodes=tuple(node.name for node in nodes),
                        upstream=tuple(sorted(ids[other] for other in grouped.upstream[index])),
                        group=group_of.get(index),
                        label=names.to_label_value(ids[index]),
                        pipeline=self.dag.pipeline,
                        image_name=image_name,
                        image=image,
                        settings=settings,
                        rules=rules,
                        scratch=scratch,
                        merge_causes=tuple(
                            MergeCause(
                                merge.reason, merge.name, graph.nodes[merge.first].name, graph.nodes[merge.second].name
                            )
                            for merge in group.merges
                        ),
                        **data_passing.find_passed_datasets(ids[index], nodes, graph, crossing_of)._asdict(),
                    )
                )
        return tasks

    def _merge_group_settings(self, group: NodeGroup) -> tuple[ResolvedSettings, tuple[str, ...]]:
        """Return the settings of a group's pod, and the rules behind them.

        Raises:
            Refused: when the settings of its nodes contradict each other.
        """
        task_rules = self.context.task_rules
        if len(group.members) == 1:
            rules = self.rules_by_node[group.members[0]]
            return task_rules.settings_of(rules), rules
        rules_of = {self.graph.nodes[member].name: self.rules_by_node[member] for member in group.members}
        members = [(name, task_rules.settings_of(rules)) for name, rules in rules_of.items()]
        merge_context = settings_merge.MergeContext(
            unset={
                **PLATFORM_DEFAULTS,
                "image": DEFAULT_IMAGE,
                "retries": self.dag.settings.retries,
                "retry_delay": self.dag.settings.retry_delay,
            },
            cause=_describe_cause(group),
            locate=partial(_locate_key, self.context, rules_of),
        )
        return settings_merge.merge_settings(members, merge_context), task_rules.union_of(rules_of.values())

    def _check_image(self, settings: Mapping[str, Any], node: str) -> None:
        """Report an image that is neither one of the project's nor a whole reference."""
        image, references = settings.get("image"), self.context.image_references
        if image is not None and image not in references and split_reference(image)[1:] == (None, None):
            self.diagnostics.error(
                "image-unknown",
                replace(self.context.location_of("tasks"), node=node),
                f"image {image!r} is not defined under `images:` and has neither a tag nor a digest.",
                f"Images of this project are {', '.join(references)}.",
            )


def _locate_key(
    context: PlanContext, rules_of: Mapping[str, tuple[str, ...]], node: str, key: tuple[str, ...]
) -> Location | None:
    return context.task_rules.location_of(rules_of[node], key)


def _describe_cause(group: NodeGroup) -> str:
    merge = next((merge for merge in group.merges if merge.reason in grouping.FORCED_REASONS), group.merges[0])
    return {
        "memory": "dataset {0!r} is in memory",
        "pod": "dataset {0!r} is on the pod's disk",
        "confirms": "dataset {0!r} is confirmed",
    }.get(merge.reason, f"{merge.reason} {{0!r}}").format(merge.name)


def _find_crossings(graph: Graph, grouped: Grouping, ids: Sequence[str]) -> tuple[Crossing, ...]:
    task_of = {member: ids[index] for index, group in enumerate(grouped.groups) for member in group.members}
    crossings = []
    for name, dataset in graph.datasets.items():
        if dataset.producer is not None:
            saved_by = task_of[dataset.producer]
            loaded_by = sorted({task_of[reader] for reader in dataset.consumers} - {saved_by})
            if loaded_by:
                crossings.append(Crossing(name, dataset.reach, saved_by, tuple(loaded_by)))
    return tuple(crossings)
