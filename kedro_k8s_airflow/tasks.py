"""From groups to the plan: every group becomes a task with an id, settings, an image and the folders it may write to."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from kedro_k8s_airflow import (
    arrival,
    grouping,
    handover,
    identities,
    names,
    parameters,
    quantities,
    selection,
    together,
    volumes,
)
from kedro_k8s_airflow import graph as graphs
from kedro_k8s_airflow import rules as layers
from kedro_k8s_airflow.config import DEFAULT_IMAGE
from kedro_k8s_airflow.findings import Finding, Refused, error, info, warning
from kedro_k8s_airflow.image.lock import UNBUILT, split
from kedro_k8s_airflow.plan import Crossing, Plan, Reason, Task
from kedro_k8s_airflow.reach import Places

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from kedro_k8s_airflow.config import DagSettings, Settings
    from kedro_k8s_airflow.graph import Graph
    from kedro_k8s_airflow.grouping import Group, Grouping
    from kedro_k8s_airflow.project import Project
    from kedro_k8s_airflow.rules import Rules
    from kedro_k8s_airflow.selection import Dag
    from kedro_k8s_airflow.settings import Sources

_MEBIBYTE = 2**20
# What Airflow and Kubernetes take when a task's settings say nothing.
_UNSET = {"priority_weight": 1, "terminationGracePeriodSeconds": 30, "runner": "SequentialRunner"}


def plans(
    project: Project,
    settings: Settings,
    references: Mapping[str, str],
    *,
    sources: Sources,
    pipelines: Sequence[str] = (),
    everything: bool = False,
) -> list[Plan]:
    """The plans of the DAGs that are asked for.

    Args:
        project: as it was read.
        settings: the checked settings file.
        references: how pods name each image of the project; see `image.lock.references`.
        sources: the files it came from, for messages.
        pipelines: only DAGs of these registered pipelines; all configured ones when empty.
        everything: one DAG for each registered pipeline besides the configured ones.

    Raises:
        Refused: with every error of every DAG.
    """
    file = sources.file()
    dags, notes = selection.dags(project, settings, file, pipelines, everything=everything)
    ruled = layers.rules(settings, project.pipelines, sources)
    errors: list[Finding] = list(arrival.unmatched(project, settings, file))
    made: list[Plan] = []
    for dag in dags:
        try:
            made.append(_plan(project, settings, references, dag, ruled, file))
        except Refused as refused:
            errors += refused.findings
    if errors:
        raise Refused(dict.fromkeys(errors))
    selection.unique_ids(made, file)
    if made and notes:
        made[0] = replace(made[0], findings=(*notes, *made[0].findings))
    return made


def _plan(
    project: Project, settings: Settings, references: Mapping[str, str], dag: Dag, ruled: Rules, file: str
) -> Plan:
    nodes = project.pipelines[dag.pipeline]
    mounts = volumes.mounts(project, settings, file)
    places = Places(settings.project_path, tuple(mount.path for mount in mounts if mount.claim))
    used = sorted({name for node in nodes for name in (*node.inputs, *node.outputs) if not graphs.is_parameter(name)})
    graph = graphs.build(nodes, project.catalog.entries(used), places, settings.data.reach)
    matching = [ruled.matching(node) for node in nodes]
    told = [ruled.settings(names) for names in matching]
    kinds = {key: together.kind(one) for key, one in {id(one): one for one in told}.items()}
    wishes = grouping.Wishes(
        group_by=dag.settings.group_by,
        store=settings.data.memory == "store" and dag.settings.group_by != "memory",
        pod_local=settings.data.pod_local,
        named=ruled.named(nodes),
        kinds=[kinds[id(one)] for one in told],
    )
    errors = list(arrival.ends(graph, settings, project, mounts))
    grouped, found = grouping.group(graph, wishes)
    errors += found
    known = parameters.names(project.parameters)
    params = parameters.offered(known, project, dag.settings, file, errors)
    fixed = parameters.flat(project.runtime_params)
    # What lies below an offered parameter is part of its default already.
    fixed = {name: value for name, value in fixed.items() if not any(name.startswith(f"{one}.") for one in params)}
    errors += [*parameters.leaked(fixed), *([] if project.hooked else parameters.missing(known, nodes))]
    errors += parameters.unsendable({**fixed, **params}, f"{file}: dag.params" if params else "--params")
    macros = parameters.macros(known, project, dag.settings, file, {**fixed, **params}, errors)
    if grouped is None:
        raise Refused(errors)
    try:
        tasks, group_ids = _tasks(project, settings, references, dag, graph, grouped, ruled, matching, file)
    except Refused as refused:
        raise Refused([*errors, *refused.findings]) from None
    crossings = _crossings(graph, grouped, tasks)
    errors += arrival.unknown(crossings)
    tasks = handover.told(tasks, nodes, graph, crossings)
    errors += [found for task in tasks for found in handover.too_long(task)]
    lost: list[Finding] = []
    for task in tasks:
        if task.settings.get("runner") == "kedro":
            found = list(handover.plain_run(task, {**fixed, **params, **macros}, file))
            errors += [one for one in found if one.severity == "error"]
            lost += [one for one in found if one.severity != "error"]
    store = None
    if any(task.stored for task in tasks):
        store = handover.store(settings, mounts, file, errors)
        name, image = _image(ruled.base.get("image"), references)
        like = replace(tasks[0], settings=ruled.base, image_name=name, image=image)
        tasks.append(handover.clearing(tasks, like, {*(task.id for task in tasks), *group_ids}))
    if errors:
        raise Refused(errors)
    dag_name = () if dag.name == selection.DEFAULT else (dag.name,)
    parts = (project.package, *dag_name, *((project.env,) if project.env else ()))
    return Plan(
        dag_id=names.key("_".join(parts), parts),
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
        base=ruled.base,
        base_image=_image(ruled.base.get("image"), references)[1],
        prefix=settings.build.prefix,
        params=params,
        runtime_params=fixed,
        groups=group_ids,
        tasks=tuple(tasks),
        crossings=crossings,
        findings=(*_notes(project, settings, dag.settings, grouped, tasks), *lost),
        declined=grouped.declined,
        in_image=settings.data.in_image,
        macros=macros,
        store=store,
        registered=len(project.pipelines),
        local_inputs=handover.local_inputs(graph, mounts, settings.project_path),
    )


def _image(own: str | None, references: Mapping[str, str]) -> tuple[str | None, str]:
    """Name, when it is one of the project's own, and reference of the image that a task's settings ask for."""
    name = own or DEFAULT_IMAGE
    return (name, references[name]) if name in references else (None, name)


def _image_errors(own: Mapping[str, Any], references: Mapping[str, str], node: str, file: str) -> Iterable[Finding]:
    """An error for an image that is neither one of the project's nor a whole reference."""
    image = own.get("image")
    if image is not None and image not in references and split(image)[1:] == (None, None):
        yield error(
            "image-unknown",
            f"{file}: tasks",
            f"node {node!r} asks for the image {image!r}, which `images:` does not have and which has neither tag nor digest.",
            f"Images of this project are {', '.join(references)}.",
        )


def _tasks(
    project: Project,
    settings: Settings,
    references: Mapping[str, str],
    dag: Dag,
    graph: Graph,
    grouped: Grouping,
    ruled: Rules,
    matching: Sequence[tuple[str, ...]],
    file: str,
) -> tuple[list[Task], dict[str, str]]:
    unset = {
        **_UNSET,
        "image": DEFAULT_IMAGE,
        "retries": dag.settings.retries,
        "retry_delay": dag.settings.retry_delay,
    }
    ids = identities.task_ids(graph, grouped)
    shown, group_ids = identities.task_groups(graph, grouped, set(ids))
    made: list[Task] = []
    errors: list[Finding] = []
    checked: set[int] = set()
    written: dict[int, list[str]] = defaultdict(list)
    for dataset in graph.datasets.values():
        if dataset.producer is not None and dataset.reach.kind == "pod" and dataset.reach.path:
            written[dataset.producer].append(dataset.reach.path)
    for place, group in enumerate(grouped.groups):
        rules_of = {graph.nodes[index].name: matching[index] for index in group.members}
        members = [(name, ruled.settings(names)) for name, names in rules_of.items()]
        where = partial(_where, ruled, rules_of)
        try:
            own = members[0][1] if len(members) == 1 else together.combined(members, unset, _because(group), where)
            scratch = volumes.scratch([path for index in group.members for path in written[index]], project, settings)
        except Refused as refused:
            errors += refused.findings
            continue
        if id(own) not in checked:
            errors += _pod_errors(own, settings, members[0][0], file)
            errors += _image_errors(own, references, members[0][0], file)
            checked.add(id(own))
        image_name, image = _image(own.get("image"), references)
        made.append(
            Task(
                id=ids[place],
                nodes=tuple(name for name, _ in members),
                after=tuple(sorted(ids[other] for other in grouped.after[place])),
                group=shown.get(place),
                label=names.label(ids[place]),
                pipeline=dag.pipeline,
                image_name=image_name,
                image=image,
                settings=own,
                rules=matching[group.members[0]] if len(members) == 1 else ruled.together(rules_of.values()),
                scratch=scratch,
                reasons=tuple(
                    Reason(merge.rule, merge.what, graph.nodes[merge.first].name, graph.nodes[merge.second].name)
                    for merge in group.merges
                ),
            )
        )
    if errors:
        raise Refused(errors)
    return made, group_ids


def _where(ruled: Rules, rules_of: Mapping[str, tuple[str, ...]], node: str, key: tuple[str, ...]) -> str:
    return ruled.where(rules_of[node], key)


def _because(group: Group) -> str:
    merge = next((merge for merge in group.merges if merge.rule in grouping.FORCED), group.merges[0])
    return {
        "memory": "dataset {0!r} is in memory",
        "pod": "dataset {0!r} is on the pod's disk",
        "confirms": "dataset {0!r} is confirmed",
    }.get(merge.rule, f"{merge.rule} {{0!r}}").format(merge.what)


def _crossings(graph: Graph, grouped: Grouping, tasks: Sequence[Task]) -> tuple[Crossing, ...]:
    task_of = {member: tasks[place].id for place, group in enumerate(grouped.groups) for member in group.members}
    crossings = []
    for name, dataset in graph.datasets.items():
        if dataset.producer is not None:
            home = task_of[dataset.producer]
            readers = sorted({task_of[reader] for reader in dataset.consumers} - {home})
            if readers:
                crossings.append(Crossing(name, dataset.reach, home, tuple(readers)))
    return tuple(crossings)


def _pod_errors(own: Mapping[str, Any], settings: Settings, node: str, file: str) -> Iterable[Finding]:
    """Errors for settings that Kubernetes would refuse together."""
    where = f"{file}: tasks, node {node!r}"
    resources = own.get("resources") or {}
    limits = resources.get("limits") or {}
    for resource, request in (resources.get("requests") or {}).items():
        if resource in limits and quantities.amount(request) > quantities.amount(limits[resource]):
            why = f"requests {request} {resource}, more than the limit of {limits[resource]}."
            yield error("resources", where, why, "Kubernetes refuses such a pod; raise the limit.")
    for part in ("requests", "limits"):
        memory = (resources.get(part) or {}).get("memory")
        if memory is not None and quantities.amount(memory) < _MEBIBYTE:
            yield error(
                "resources",
                where,
                f"{part} {memory} bytes of memory.",
                f"Did you mean {memory}Gi?" if memory.isdigit() else "",
            )
    taken = list(settings.data.volumes)
    for name in [volume["name"] for volume in own.get("volumes") or []]:
        if name in taken:
            yield error("volume", where, f"has two volumes of the name {name!r}.", "Rename one.")
        taken.append(name)
    known = {*taken, *volumes.OWN_NAMES}
    places = [volumes.in_pod(volume.mount, settings) for volume in settings.data.volumes.values()]
    for mount in own.get("volumeMounts") or []:
        place = mount["mountPath"].rstrip("/")
        if place in places or not place.startswith("/"):
            why = f"mounts {mount['name']!r} at {mount['mountPath']!r}, which is {'taken' if place in places else 'no absolute path'}."
            yield error("volume", where, why, "Choose another path.")
        places.append(place)
        if mount["name"] not in known:
            yield error(
                "volume", where, f"mounts {mount['name']!r}, but no volume has that name.", "Add it to `volumes`."
            )


def _hasty(told: Mapping[str, Any], dag: DagSettings) -> bool:
    """Whether a try could start while the pod of the one before is being deleted (found with provider 10.25, not deferrable)."""
    retries, delay = told.get("retries", dag.retries), told.get("retry_delay", dag.retry_delay)
    grace = told.get("terminationGracePeriodSeconds", _UNSET["terminationGracePeriodSeconds"])
    return not told.get("deferrable", False) and bool(retries) and delay.total_seconds() < grace + 5


def _notes(
    project: Project, settings: Settings, dag: DagSettings, grouped: Grouping, tasks: Sequence[Task]
) -> Iterable[Finding]:
    yield from project.findings
    for image in sorted({task.image for task in tasks if task.image_name is not None and task.image.endswith(UNBUILT)}):
        yield info(
            "image-unbuilt",
            "image",
            f"{settings.image} has neither tag nor digest and no image was built yet, so the DAG names {image}.",
            "Build it: kedro k8s-airflow build-image --push.",
        )
    if project.catalog.credentials and settings.credentials_secret is None and not project.credentials_here:
        yield warning(
            "credentials",
            "catalog",
            f"refers to credentials ({', '.join(project.catalog.credentials[:3])}) that no pod has; Kedro then starts none.",
            "Give credentials_secret: {name, key} of a Secret that holds them all as YAML.",
        )
    hasty = [task.id for task in tasks if _hasty(task.settings, dag)]
    if hasty:
        yield warning(
            "retry-early",
            f"task {hasty[0]!r}" + (f" and {len(hasty) - 1} more" if len(hasty) > 1 else ""),
            "is not deferrable and retried before a killed pod has gone: Airflow then starts a pod that nobody owns.",
            "Let retry_delay be longer than terminationGracePeriodSeconds (30 s) and some seconds, or leave deferrable on.",
        )
    for task in tasks:
        local = sorted({reason.what for reason in task.reasons if reason.rule == "pod"})
        if local:
            yield info(
                "data-pod",
                f"task {task.id!r}",
                f"holds its nodes together because of data on the pod's own disk: {', '.join(local[:3])}{' ...' if len(local) > 3 else ''}.",
                "A volume over the path would set them free.",
            )
    if settings.data.memory == "store" and not any(task.stored for task in tasks):
        yield info(
            "store-unused",
            "data.memory",
            "nothing in memory crosses between pods, so nothing is stored.",
            "`memory: store` acts with group_by none, namespace or chain.",
        )
    for text in grouped.declined:
        yield info("group-declined", text.split(":")[0], text.split(": ", 1)[1] + ".")
