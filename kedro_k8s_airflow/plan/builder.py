"""From groups to the plan: every group becomes a task with an id, settings, an image and the folders it may write to.

What is merely doubtful about a plan is not said here but in `checks`.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from kedro_k8s_airflow import names
from kedro_k8s_airflow.config.models import DEFAULT_IMAGE
from kedro_k8s_airflow.findings import Finding, Refused, error
from kedro_k8s_airflow.image_reference import split_reference
from kedro_k8s_airflow.locations import Location
from kedro_k8s_airflow.plan import dag_selection, data_passing, grouping, parameters, settings_merge, task_ids, volumes
from kedro_k8s_airflow.plan import graph as graphs
from kedro_k8s_airflow.plan.model import Crossing, MergeCause, Plan, Task
from kedro_k8s_airflow.plan.reach import PodPaths

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from kedro_k8s_airflow.config.models import Settings
    from kedro_k8s_airflow.plan.dag_selection import SelectedDag
    from kedro_k8s_airflow.plan.graph import Graph
    from kedro_k8s_airflow.plan.grouping import Grouping, NodeGroup
    from kedro_k8s_airflow.plan.model import Mount
    from kedro_k8s_airflow.plan.task_rules import TaskRules
    from kedro_k8s_airflow.project import Project

# What Airflow and Kubernetes take when a task's settings say nothing.
UNSET = {"priority_weight": 1, "terminationGracePeriodSeconds": 30, "runner": "SequentialRunner"}


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
    project: Project,
    settings: Settings,
    task_rules: TaskRules,
    image_references: Mapping[str, str],
    *,
    pipelines: Sequence[str] = (),
    all_pipelines: bool = False,
) -> tuple[list[DagDraft], list[Finding]]:
    """The DAGs that are asked for, each with its plan or with what kept it from being made; and what else there is to say.

    Args:
        project: as it was read.
        settings: the checked settings file.
        task_rules: its rules.
        image_references: how pods name each image of the project; see `image.lock.references`.
        pipelines: only DAGs of these registered pipelines; all configured ones when empty.
        all_pipelines: one DAG for each registered pipeline besides the configured ones.

    Raises:
        Refused: when it cannot be said which DAGs there are to be.
    """
    file = task_rules.sources.file()
    dags, notes = dag_selection.select_dags(project, settings, file, pipelines, all_pipelines=all_pipelines)
    mounts = volumes.build_mounts(project, settings, file)
    made = [
        _with_plan(_draft(project, settings, dag, mounts), project, settings, image_references, task_rules, file)
        for dag in dags
    ]
    plans = [draft.plan for draft in made if draft.plan is not None]
    return made, [*notes, *dag_selection.find_duplicate_ids(plans, file)]


def _draft(project: Project, settings: Settings, dag: SelectedDag, mounts: tuple[Mount, ...]) -> DagDraft:
    nodes = project.pipelines[dag.pipeline]
    places = PodPaths(settings.project_path, tuple(mount.path for mount in mounts if mount.claim))
    used = sorted({name for node in nodes for name in (*node.inputs, *node.outputs) if not graphs.is_parameter(name)})
    entries = project.catalog.entries(used)
    graph = graphs.build_graph(nodes, entries, places, settings.data.reach)
    return DagDraft(dag=dag, graph=graph, entries=entries, mounts=mounts)


def _with_plan(
    draft: DagDraft,
    project: Project,
    settings: Settings,
    image_references: Mapping[str, str],
    task_rules: TaskRules,
    file: str,
) -> DagDraft:
    try:
        return replace(draft, plan=_build_plan(draft, project, settings, image_references, task_rules, file))
    except Refused as refused:
        return replace(draft, errors=refused.findings)


def _build_plan(
    draft: DagDraft,
    project: Project,
    settings: Settings,
    image_references: Mapping[str, str],
    task_rules: TaskRules,
    file: str,
) -> Plan:
    dag, graph, mounts = draft.dag, draft.graph, draft.mounts
    nodes = graph.nodes
    matching = [task_rules.matching_rules(node) for node in nodes]
    told = [task_rules.settings_of(names) for names in matching]
    kinds = {key: settings_merge.compatibility_key(one) for key, one in {id(one): one for one in told}.items()}
    wishes = grouping.GroupingOptions(
        group_by=dag.settings.group_by,
        store=settings.data.memory == "store" and dag.settings.group_by != "memory",
        pod_local=settings.data.pod_local,
        named=task_rules.nodes_by_group(nodes),
        kinds=[kinds[id(one)] for one in told],
    )
    grouped, errors = grouping.group_nodes(graph, wishes)
    known = parameters.parameter_names(project.parameters)
    params = parameters.offered_params(known, project, dag.settings, file, errors)
    fixed = parameters.flatten(project.runtime_params)
    # What lies below an offered parameter is part of its default already.
    fixed = {name: value for name, value in fixed.items() if not any(name.startswith(f"{one}.") for one in params)}
    errors += parameters.find_leaked(fixed)
    errors += parameters.find_unsendable(
        {**fixed, **params}, Location(file=file, key=("dag", "params")) if params else Location(subject="--params")
    )
    macros = parameters.parse_macros(known, project, dag.settings, file, {**fixed, **params}, errors)
    if grouped is None:
        raise Refused(errors)
    ids = task_ids.assign_task_ids(graph, grouped)
    crossings = _find_crossings(graph, grouped, ids)
    try:
        tasks, group_ids = _build_tasks(
            project, settings, image_references, dag, graph, grouped, ids, crossings, task_rules, matching, file
        )
    except Refused as refused:
        raise Refused([*errors, *refused.findings]) from None
    store = None
    if any(task.stored for task in tasks):
        store = data_passing.memory_store(settings, mounts, file, errors)
        name, image = _image_of(task_rules.base.get("image"), image_references)
        like = replace(tasks[0], settings=task_rules.base, image_name=name, image=image)
        tasks.append(data_passing.store_clearing_task(tasks, like, {*(task.id for task in tasks), *group_ids}))
    if errors:
        raise Refused(errors)
    dag_name = () if dag.name == dag_selection.DEFAULT_PIPELINE else (dag.name,)
    parts = (project.package, *dag_name, *((project.env,) if project.env else ()))
    return Plan(
        dag_id=names.to_airflow_key("_".join(parts), parts),
        name=dag.name,
        pipeline=dag.pipeline,
        env=project.env,
        package=project.package,
        graph=graph,
        dag=dag.settings,
        namespace=settings.namespace,
        project_path=settings.project_path,
        conf_source=volumes.conf_in_pod(project, settings)
        if project.conf_source_given or project.conf_source != "conf"
        else None,
        home="/home/kedro",
        scratch_size=settings.data.scratch.sizeLimit,
        mounts=mounts,
        base=task_rules.base,
        base_image=_image_of(task_rules.base.get("image"), image_references)[1],
        prefix=settings.build.prefix,
        params=params,
        runtime_params=fixed,
        groups=group_ids,
        tasks=tuple(tasks),
        crossings=crossings,
        declined=grouped.declined,
        in_image=settings.data.in_image,
        macros=macros,
        store=store,
        registered=len(project.pipelines),
        local_inputs=data_passing.find_local_inputs(graph, mounts, settings.project_path),
    )


def _image_of(own: str | None, image_references: Mapping[str, str]) -> tuple[str | None, str]:
    """Name, when it is one of the project's own, and reference of the image that a task's settings ask for."""
    name = own or DEFAULT_IMAGE
    return (name, image_references[name]) if name in image_references else (None, name)


def _image_errors(
    own: Mapping[str, Any], image_references: Mapping[str, str], node: str, file: str
) -> Iterable[Finding]:
    """An error for an image that is neither one of the project's nor a whole reference."""
    image = own.get("image")
    if image is not None and image not in image_references and split_reference(image)[1:] == (None, None):
        yield error(
            "image-unknown",
            Location(file=file, key=("tasks",)),
            f"node {node!r} asks for the image {image!r}, which `images:` does not have and which has neither tag nor digest.",
            f"Images of this project are {', '.join(image_references)}.",
        )


def _build_tasks(
    project: Project,
    settings: Settings,
    image_references: Mapping[str, str],
    dag: SelectedDag,
    graph: Graph,
    grouped: Grouping,
    ids: Sequence[str],
    crossings: Iterable[Crossing],
    task_rules: TaskRules,
    matching: Sequence[tuple[str, ...]],
    file: str,
) -> tuple[list[Task], dict[str, str]]:
    unset = {
        **UNSET,
        "image": DEFAULT_IMAGE,
        "retries": dag.settings.retries,
        "retry_delay": dag.settings.retry_delay,
    }
    crossing = {one.dataset: one for one in crossings}
    shown, group_ids = task_ids.assign_task_groups(graph, grouped, set(ids))
    made: list[Task] = []
    errors: list[Finding] = []
    checked: set[int] = set()
    written: dict[int, list[str]] = defaultdict(list)
    for dataset in graph.datasets.values():
        if dataset.producer is not None and dataset.reach.kind == "pod" and dataset.reach.path:
            written[dataset.producer].append(dataset.reach.path)
    for place, group in enumerate(grouped.groups):
        nodes = [graph.nodes[index] for index in group.members]
        rules, own = matching[group.members[0]], task_rules.settings_of(matching[group.members[0]])
        try:
            if len(nodes) > 1:
                rules_of = {graph.nodes[index].name: matching[index] for index in group.members}
                members = [(name, task_rules.settings_of(names)) for name, names in rules_of.items()]
                own = settings_merge.merge_settings(
                    members, unset, _because(group), partial(_location_of, task_rules, rules_of)
                )
                rules = task_rules.union_of(rules_of.values())
            scratch = volumes.scratch_folders(
                [path for index in group.members for path in written[index]], project, settings
            )
        except Refused as refused:
            errors += refused.findings
            continue
        if id(own) not in checked:
            errors += _image_errors(own, image_references, nodes[0].name, file)
            checked.add(id(own))
        image_name, image = _image_of(own.get("image"), image_references)
        made.append(
            Task(
                id=ids[place],
                nodes=tuple(node.name for node in nodes),
                upstream=tuple(sorted(ids[other] for other in grouped.upstream[place])),
                group=shown.get(place),
                label=names.to_label_value(ids[place]),
                pipeline=dag.pipeline,
                image_name=image_name,
                image=image,
                settings=own,
                rules=rules,
                scratch=scratch,
                merge_causes=tuple(
                    MergeCause(merge.reason, merge.name, graph.nodes[merge.first].name, graph.nodes[merge.second].name)
                    for merge in group.merges
                ),
                **data_passing.passed_datasets(ids[place], nodes, graph, crossing)._asdict(),
            )
        )
    if errors:
        raise Refused(errors)
    return made, group_ids


def _location_of(
    task_rules: TaskRules, rules_of: Mapping[str, tuple[str, ...]], node: str, key: tuple[str, ...]
) -> Location | None:
    return task_rules.location_of(rules_of[node], key)


def _because(group: NodeGroup) -> str:
    merge = next((merge for merge in group.merges if merge.reason in grouping.FORCED), group.merges[0])
    return {
        "memory": "dataset {0!r} is in memory",
        "pod": "dataset {0!r} is on the pod's disk",
        "confirms": "dataset {0!r} is confirmed",
    }.get(merge.reason, f"{merge.reason} {{0!r}}").format(merge.name)


def _find_crossings(graph: Graph, grouped: Grouping, ids: Sequence[str]) -> tuple[Crossing, ...]:
    task_of = {member: ids[place] for place, group in enumerate(grouped.groups) for member in group.members}
    crossings = []
    for name, dataset in graph.datasets.items():
        if dataset.producer is not None:
            home = task_of[dataset.producer]
            readers = sorted({task_of[reader] for reader in dataset.consumers} - {home})
            if readers:
                crossings.append(Crossing(name, dataset.reach, home, tuple(readers)))
    return tuple(crossings)
