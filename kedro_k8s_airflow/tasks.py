"""From groups to the plan: every group becomes a task with an id, settings, an image and the folders it may write to.

Also the checks that decide whether the data arrives: what a pod reads has to be there, what it makes has to stay.
"""

from __future__ import annotations

import difflib
import posixpath
from collections import defaultdict
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from kedro_k8s_airflow import graph as graphs
from kedro_k8s_airflow import grouping, names, quantities
from kedro_k8s_airflow import rules as layers
from kedro_k8s_airflow.findings import Finding, Refused, error, info, refuse, warning
from kedro_k8s_airflow.plan import Crossing, Mount, Plan, Reason, Task
from kedro_k8s_airflow.reach import Places

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from kedro_k8s_airflow.config import DagSettings, Settings
    from kedro_k8s_airflow.graph import Graph
    from kedro_k8s_airflow.grouping import Group, Grouping
    from kedro_k8s_airflow.project import Project
    from kedro_k8s_airflow.rules import Rules

DEFAULT = "__default__"
UNBUILT = "unbuilt"


@dataclass(frozen=True, slots=True)
class Dag:
    """A DAG that is to be: its name, its pipeline and its settings."""

    name: str
    pipeline: str
    settings: DagSettings


def plans(
    project: Project, settings: Settings, *, file: str, pipelines: Sequence[str] = (), everything: bool = False
) -> list[Plan]:
    """The plans of the DAGs that are asked for.

    Args:
        project: as it was read.
        settings: the checked settings file.
        file: its name, for messages.
        pipelines: only DAGs of these registered pipelines; all configured ones when empty.
        everything: one DAG for each registered pipeline besides the configured ones.

    Raises:
        Refused: with every error of every DAG.
    """
    dags, notes = _dags(project, settings, file, pipelines, everything=everything)
    ruled = layers.rules(settings, project.pipelines, file)
    errors: list[Finding] = list(_unmatched_data(project, settings, file))
    made: list[Plan] = []
    for dag in dags:
        try:
            made.append(_plan(project, settings, dag, ruled, file))
        except Refused as refused:
            errors += refused.findings
    if errors:
        raise Refused(dict.fromkeys(errors))
    _unique_ids(made, file)
    if made and notes:
        object.__setattr__(made[0], "findings", (*notes, *made[0].findings))
    return made


# -- which DAGs -------------------------------------------------------------------------------------------------------


def _dags(
    project: Project, settings: Settings, file: str, pipelines: Sequence[str], *, everything: bool
) -> tuple[list[Dag], list[Finding]]:
    configured = [
        Dag(name, own.pipeline or name, settings.dag.overlaid_by(own)) for name, own in settings.dags.items()
    ]
    for dag in configured:
        if dag.pipeline not in project.pipelines:
            raise _no_pipeline(f"{file}: dags.{dag.name}", dag.pipeline, project)
    for name in pipelines:
        if name not in project.pipelines:
            raise _no_pipeline("--pipeline", name, project)
    if everything:
        wanted = list(project.pipelines)
    elif pipelines:
        wanted = list(dict.fromkeys(pipelines))
    elif configured:
        return _with_nodes(configured, project, ()), []
    else:
        wanted = [DEFAULT]
    if wanted == [DEFAULT] and DEFAULT not in project.pipelines:
        raise _no_pipeline("pipeline registry", DEFAULT, project)
    chosen = [dag for dag in configured if everything or dag.pipeline in wanted]
    covered = {dag.pipeline for dag in chosen}
    chosen += [Dag(name, name, settings.dag) for name in wanted if name not in covered]
    notes: list[Finding] = []
    if everything:
        empty = [dag for dag in chosen if not project.pipelines[dag.pipeline]]
        notes = [warning("pipeline-empty", f"pipeline {dag.pipeline!r}", "has no nodes; no DAG is made of it.") for dag in empty]
        if len(empty) < len(chosen):
            chosen = [dag for dag in chosen if dag not in empty]
    return _with_nodes(chosen, project, ()), notes


def _with_nodes(dags: list[Dag], project: Project, _: tuple[()]) -> list[Dag]:
    if not dags:
        raise refuse("registry", "pipeline registry", "the project registers no pipeline.", "Create one with `kedro pipeline create`.")
    for dag in dags:
        if not project.pipelines[dag.pipeline]:
            raise refuse("pipeline-empty", f"pipeline {dag.pipeline!r}", "has no nodes, so there is nothing to run.", "Register nodes in it, or name another with --pipeline.")
    return dags


def _no_pipeline(where: str, name: str, project: Project) -> Refused:
    known = sorted(project.pipelines)
    if not known:
        return refuse("registry", "pipeline registry", "the project registers no pipeline.", "Create one with `kedro pipeline create`.")
    close = difflib.get_close_matches(name, known, 1)
    mend = f"Did you mean {close[0]!r}?" if close else f"Registered are {', '.join(map(repr, known[:20]))}."
    return refuse("pipeline", where, f"there is no pipeline {name!r}.", mend)


def _unique_ids(made: Sequence[Plan], file: str) -> None:
    seen: dict[str, Plan] = {}
    for plan in made:
        if plan.dag_id in seen:
            raise refuse(
                "dag-id", f"{file}: dags", f"{seen[plan.dag_id].name!r} and {plan.name!r} would both have the dag_id {plan.dag_id!r}.", "Rename one."
            )
        seen[plan.dag_id] = plan


def _unmatched_data(project: Project, settings: Settings, file: str) -> Iterable[Finding]:
    """Errors for names under `data:` that no dataset of any pipeline has."""
    if not settings.data.reach and not settings.data.discard:
        return
    datasets = {
        graphs.base_name(name) for nodes in project.pipelines.values() for node in nodes for name in (*node.inputs, *node.outputs)
    }
    for key, patterns in (("reach", tuple(settings.data.reach)), ("discard", settings.data.discard)):
        for pattern in patterns:
            if pattern not in datasets and not any(fnmatchcase(name, pattern) for name in datasets):
                yield error("data-unmatched", f"{file}: data.{key}", f"{pattern!r} matches no dataset of any registered pipeline.", "Mend the name or remove it.")


# -- one plan ---------------------------------------------------------------------------------------------------------


def _plan(project: Project, settings: Settings, dag: Dag, ruled: Rules, file: str) -> Plan:
    nodes = project.pipelines[dag.pipeline]
    mounts = _mounts(project, settings, file)
    places = Places(settings.project_path, project.path.as_posix(), tuple(mount.path for mount in mounts if mount.claim))
    used = sorted({name for node in nodes for name in (*node.inputs, *node.outputs) if not graphs.is_parameter(name)})
    graph = graphs.build(nodes, project.catalog.entries(used), places, settings.data.reach)
    told = [ruled.settings(node) for node in nodes]
    kinds = {id(one): layers.kind(one) for one in told}
    wishes = grouping.Wishes(
        group_by=dag.settings.group_by,
        pod_local=settings.data.pod_local,
        named=ruled.named(nodes),
        kinds=[kinds[id(one)] for one in told],
    )
    errors = list(_arrival(graph, settings, project))
    grouped, found = grouping.group(graph, wishes)
    errors += found
    params = _params(project, dag.settings, file, errors)
    if grouped is None or errors:
        raise Refused(errors)
    tasks, group_ids = _tasks(project, settings, dag, graph, grouped, told, file)
    crossings = _crossings(graph, grouped, tasks)
    errors = [*_unknown(crossings), *_loads(project, nodes)]
    if errors:
        raise Refused(errors)
    dag_name = () if dag.name == DEFAULT else (dag.name,)
    parts = (project.package, *dag_name, *((project.env,) if project.env else ()))
    return Plan(
        dag_id=names.key("_".join(parts), parts),
        name=dag.name,
        pipeline=dag.pipeline,
        env=project.env,
        package=project.package,
        dag=dag.settings,
        namespace=settings.namespace,
        project_path=settings.project_path,
        conf_source=_conf_in_pod(project, settings) if project.conf_source_given else None,
        home="/home/kedro",
        scratch_size=settings.data.scratch.sizeLimit,
        mounts=mounts,
        base=ruled.base,
        base_image=_image(None, settings),
        params=params,
        runtime_params=_flat(project.runtime_params),
        groups=group_ids,
        tasks=tasks,
        crossings=crossings,
        findings=tuple(_notes(project, settings, grouped, tasks)),
        declined=grouped.declined,
        in_image=settings.data.in_image,
    )


def _mounts(project: Project, settings: Settings, file: str) -> tuple[Mount, ...]:
    mounts: list[Mount] = []
    for name, volume in settings.data.volumes.items():
        path = posixpath.normpath(posixpath.join(settings.project_path, volume.mount))
        for hidden in ("", project.source, project.conf_source if "://" not in project.conf_source else ""):
            inside = posixpath.normpath(posixpath.join(settings.project_path, hidden))
            if inside == path or inside.startswith(path + "/"):
                raise refuse(
                    "volume", f"{file}: data.volumes.{name}.mount", f"{volume.mount!r} would hide the project's own files ({inside}) in the image.",
                    "Mount a folder that holds only data.",
                )
        mounts.append(Mount(name=name, path=path, claim=volume.claim, sub_path=volume.subPath, read_only=volume.readOnly))
    paths = [mount.path for mount in mounts]
    twice = next((path for path in paths if paths.count(path) > 1), None)
    if twice:
        raise refuse("volume", f"{file}: data.volumes", f"two volumes are mounted at {twice}.", "Give each a folder of its own.")
    if settings.credentials_secret is not None:
        secret = settings.credentials_secret
        path = posixpath.join(_conf_in_pod(project, settings), project.run_env, "credentials_from_secret.yml")
        mounts.append(Mount(name="credentials", path=path, secret=secret.name, key=secret.key, read_only=True))
        if "credentials" in settings.data.volumes:
            raise refuse("volume", f"{file}: data.volumes.credentials", "is the name of the credentials' own volume.", "Choose another name.")
    return tuple(mounts)


def _conf_in_pod(project: Project, settings: Settings) -> str:
    if "://" in project.conf_source:
        return project.conf_source
    return posixpath.normpath(posixpath.join(settings.project_path, project.conf_source))


def _image(own: str | None, settings: Settings) -> str:
    image = own or settings.image
    tagged = "@" in image or ":" in image.rsplit("/", 1)[-1]
    return image if tagged else f"{image}:{UNBUILT}"


def _params(project: Project, dag: DagSettings, file: str, errors: list[Finding]) -> dict[str, Any]:
    """Defaults of the parameters that the trigger form offers, by dotted name."""
    found: dict[str, Any] = {}
    for name in dag.params:
        value: Any = project.parameters
        for part in name.split("."):
            if not isinstance(value, dict) or part not in value:
                errors.append(
                    error("param-unknown", f"{file}: dag.params", f"the project has no parameter {name!r}.", "Name it as in `params:` inputs, with dots for what is nested.")
                )
                break
            value = value[part]
        else:
            found[name] = value
    overlap = next(((one, other) for one in found for other in found if other.startswith(f"{one}.")), None)
    if overlap:
        errors.append(error("param-twice", f"{file}: dag.params", f"{overlap[1]!r} is part of {overlap[0]!r}.", "Offer one of them."))
    return found


def _flat(params: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested parameters by dotted name."""
    flat: dict[str, Any] = {}
    for name, value in params.items():
        if isinstance(value, dict) and value:
            flat.update(_flat(value, f"{prefix}{name}."))
        else:
            flat[f"{prefix}{name}"] = value
    return flat


# -- does the data arrive? --------------------------------------------------------------------------------------------


def _arrival(graph: Graph, settings: Settings, project: Project) -> Iterable[Finding]:
    """Errors for what a pod would look for in vain, and for what would be lost with the pod."""
    hooked = any(finding.code == "hooks" for finding in project.findings)
    for name, dataset in graph.datasets.items():
        if dataset.producer is None:
            reader = graph.nodes[dataset.consumers[0]].name
            if dataset.reach.kind == "memory" and not dataset.held and not hooked:
                yield error(
                    "data-missing", f"dataset {name!r}", f"node {reader!r} loads it, but no node of the pipeline saves it and the catalog has no entry for it.",
                    "Add it to the catalog, or run the pipeline that makes it in the same DAG.",
                )
            elif dataset.reach.kind == "pod" and not _in_image(dataset.reach.path or "", settings):
                yield error(
                    "data-absent", f"dataset {name!r}", f"node {reader!r} loads {dataset.reach.path}, which no pod has.",
                    "Cover the path by a volume (data.volumes), use a remote path, or name it in data.in_image if the image carries it.",
                )
        elif not dataset.consumers and dataset.reach.kind == "pod" and not _discarded(name, settings):
            yield error(
                "data-lost", f"dataset {name!r}", f"node {graph.nodes[dataset.producer].name!r} saves {dataset.reach.path}, which is gone when its pod ends.",
                "Cover the path by a volume (data.volumes), use a remote path, or name it in data.discard.",
            )


def _in_image(path: str, settings: Settings) -> bool:
    for pattern in settings.data.in_image:
        place = posixpath.normpath(posixpath.join(settings.project_path, pattern))
        if path == place or path.startswith(place + "/") or fnmatchcase(path, place):
            return True
    return False


def _discarded(dataset: str, settings: Settings) -> bool:
    return any(dataset == pattern or fnmatchcase(dataset, pattern) for pattern in settings.data.discard)


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


def _unknown(crossings: Iterable[Crossing]) -> Iterable[Finding]:
    for crossing in crossings:
        if crossing.reach.kind == "unknown":
            yield error(
                "data-unknown", f"dataset {crossing.dataset!r}",
                f"task {crossing.producer!r} saves it and {crossing.consumers[0]!r} loads it in another pod, but its catalog entry does not say whether they see the same data.",
                f"Say so in the settings: data.reach: {{{crossing.dataset}: shared}}, or pod if it is local.",
            )


def _loads(project: Project, nodes: Sequence[Any]) -> Iterable[Finding]:
    """Parameters that a node loads and the project does not have."""
    for node in nodes:
        for given in node.inputs:
            if not given.startswith("params:"):
                continue
            value: Any = project.parameters
            for part in given.removeprefix("params:").split("."):
                if not isinstance(value, dict):
                    break  # a typed parameter; its fields are Kedro's to check
                if part not in value:
                    yield error("param-missing", f"node {node.name!r}", f"loads {given!r}, which the project's parameters do not have.", "Add it to parameters.yml, or give it by --params.")
                    break
                value = value[part]


# -- tasks ------------------------------------------------------------------------------------------------------------


def _tasks(
    project: Project, settings: Settings, dag: Dag, graph: Graph, grouped: Grouping, told: Sequence[Mapping[str, Any]], file: str
) -> tuple[tuple[Task, ...], dict[str, str]]:
    ids = _ids(graph, grouped)
    shown, group_ids = _display(graph, grouped, set(ids))
    made: list[Task] = []
    errors: list[Finding] = []
    checked: set[int] = set()
    written: dict[int, list[str]] = defaultdict(list)
    for dataset in graph.datasets.values():
        if dataset.producer is not None and dataset.reach.kind == "pod" and dataset.reach.path:
            written[dataset.producer].append(dataset.reach.path)
    for place, group in enumerate(grouped.groups):
        members = [(graph.nodes[index].name, told[index]) for index in group.members]
        try:
            own = members[0][1] if len(members) == 1 else layers.combined(members, _because(group), file)
            scratch = _scratch([path for index in group.members for path in written[index]], project, settings)
        except Refused as refused:
            errors += refused.findings
            continue
        if id(own) not in checked:
            errors += _resource_errors(own, members[0][0], file)
            checked.add(id(own))
        made.append(
            Task(
                id=ids[place],
                nodes=tuple(name for name, _ in members),
                after=tuple(sorted(ids[other] for other in grouped.after[place])),
                group=shown.get(place),
                label=names.label(ids[place]),
                pipeline=dag.pipeline,
                image=_image(own.get("image"), settings),
                settings=own,
                scratch=scratch,
                reasons=tuple(
                    Reason(merge.rule, merge.what, graph.nodes[merge.first].name, graph.nodes[merge.second].name) for merge in group.merges
                ),
            )
        )
    if errors:
        raise Refused(errors)
    return tuple(made), group_ids


def _because(group: Group) -> str:
    merge = next((merge for merge in group.merges if merge.rule in grouping.FORCED), group.merges[0])
    return {"memory": "dataset {0!r} is in memory", "pod": "dataset {0!r} is on the pod's disk", "confirms": "dataset {0!r} is confirmed"}.get(
        merge.rule, f"{merge.rule} {{0!r}}"
    ).format(merge.what)


def _ids(graph: Graph, grouped: Grouping) -> list[str]:
    """Task ids: the node's name, else the group's, else the namespace that the group is all of, else first-to-last."""
    sizes: dict[str, int] = defaultdict(int)
    for node in graph.nodes:
        for space in _spaces(node.namespace):
            sizes[space] += 1
    wanted: list[tuple[str, list[str]]] = []
    for group in grouped.groups:
        members = [graph.nodes[index] for index in group.members]
        if len(members) == 1:
            wanted.append((members[0].name, [members[0].name]))
            continue
        asked = {merge.what for merge in group.merges if merge.rule == "group"}
        space = _common_space([node.namespace for node in members])
        if len(asked) == 1:
            name = asked.pop()
        elif space and (sizes[space] == len(members) or any(merge.rule == "namespace" and merge.what == space for merge in group.merges)):
            name = space
        else:
            name = f"{members[0].name}-to-{members[-1].name}"
        wanted.append((name, sorted(node.name for node in members)))
    ids = [names.key(name, members) for name, members in wanted]
    taken: dict[str, list[int]] = defaultdict(list)
    for place, task_id in enumerate(ids):
        taken[task_id].append(place)
    for places in taken.values():
        # A single node keeps its own name; of what else would have the same id, each gets a hash of its members.
        for place in places:
            if len(places) > 1 and len(wanted[place][1]) > 1:
                name, members = wanted[place]
                ids[place] = f"{ids[place][: names.KEY_LIMIT - 9]}-{names.short_hash(members)}"
    return ids


def _spaces(namespace: str | None) -> Iterable[str]:
    """A namespace and all above it."""
    while namespace:
        yield namespace
        namespace = namespace.rpartition(".")[0]


def _common_space(namespaces: Sequence[str | None]) -> str:
    """The longest namespace that holds all."""
    parts = [(namespace or "").split(".") for namespace in namespaces]
    common = []
    for level in zip(*parts, strict=False):
        if len(set(level)) > 1:
            break
        common.append(level[0])
    return ".".join(common)


def _display(graph: Graph, grouped: Grouping, task_ids: set[str]) -> tuple[dict[int, str], dict[str, str]]:
    """Task groups by position of the task, and the namespace each shows.

    One for each top namespace, when there are two or more. A namespace whose tasks wait for tasks outside that wait for it
    is left out: Airflow's grid orders task groups as wholes and fails on a circle of them.
    """
    tops: dict[int, str] = {}
    for place, group in enumerate(grouped.groups):
        spaces = {(graph.nodes[index].namespace or "").split(".")[0] for index in group.members}
        if len(spaces) == 1 and (space := spaces.pop()):
            tops[place] = space
    circular = _circular(grouped, tops)
    shown = sorted(set(tops.values()) - circular)
    if len(shown) < 2:
        return {}, {}
    ids: dict[str, str] = {}
    for space in shown:
        group_id = names.group_id(space)
        while group_id in task_ids or group_id in ids.values():
            group_id = f"{group_id[: names.KEY_LIMIT - 9]}-{names.short_hash([space, group_id])}"
        ids[space] = group_id
    return {place: ids[space] for place, space in tops.items() if space in ids}, {group_id: space for space, group_id in ids.items()}


def _circular(grouped: Grouping, tops: Mapping[int, str]) -> set[str]:
    """Namespaces that lie on a circle when each is taken as one thing."""
    edges: dict[object, set[object]] = defaultdict(set)
    for place, waits in enumerate(grouped.after):
        here: object = tops.get(place, place)
        for other in waits:
            there: object = tops.get(other, other)
            if there != here:
                edges[there].add(here)
    waiting: dict[object, int] = defaultdict(int)
    things: set[object] = set(edges)
    for successors in edges.values():
        things |= successors
        for successor in successors:
            waiting[successor] += 1
    ready = [thing for thing in things if not waiting[thing]]
    while ready:
        thing = ready.pop()
        things.discard(thing)
        for successor in edges.get(thing, ()):
            waiting[successor] -= 1
            if not waiting[successor]:
                ready.append(successor)
    if not things:
        return set()
    import networkx

    digraph = networkx.DiGraph((thing, other) for thing in things for other in edges.get(thing, ()) if other in things)
    return {
        member for component in networkx.strongly_connected_components(digraph) if len(component) > 1 for member in component if isinstance(member, str)
    }


def _scratch(paths: Sequence[str], project: Project, settings: Settings) -> tuple[str, ...]:
    """Folders that have to be writable in the pod for local files that die with it."""
    if not paths:
        return ()
    folders: set[str] = set()
    for path in paths:
        folder = posixpath.dirname(path) if posixpath.splitext(path)[1] else path
        for keep in ("", project.source, project.conf_source if "://" not in project.conf_source else ""):
            kept = posixpath.normpath(posixpath.join(settings.project_path, keep))
            if kept == folder or kept.startswith(folder.rstrip("/") + "/"):
                raise refuse("data-place", f"path {path}", f"lies beside the project's own files ({kept}), which pods cannot write to.", "Save it in a folder that holds only data.")
        for pattern in settings.data.in_image:
            carried = posixpath.normpath(posixpath.join(settings.project_path, pattern))
            if carried == folder or carried.startswith(folder + "/") or folder.startswith(carried + "/"):
                raise refuse("data-place", f"path {path}", f"is written into {folder}, which the image carries (data.in_image: {pattern}).", "Save it in another folder.")
        folders.add(folder)
    return tuple(folder for folder in sorted(folders) if not any(folder.startswith(other + "/") for other in folders))


def _resource_errors(settings: Mapping[str, Any], node: str, file: str) -> Iterable[Finding]:
    resources = settings.get("resources") or {}
    limits = resources.get("limits") or {}
    for resource, request in (resources.get("requests") or {}).items():
        if resource in limits and quantities.amount(request) > quantities.amount(limits[resource]):
            yield error(
                "resources", f"{file}: tasks, node {node!r}", f"requests {request} {resource}, more than the limit of {limits[resource]}.", "Kubernetes refuses such a pod; raise the limit."
            )


def _notes(project: Project, settings: Settings, grouped: Grouping, tasks: Sequence[Task]) -> Iterable[Finding]:
    yield from project.findings
    if UNBUILT in {task.image.rsplit(":", 1)[-1] for task in tasks}:
        yield info(
            "image-unbuilt", "image", f"{settings.image} has neither tag nor digest and no image was built yet, so the DAG names {settings.image}:{UNBUILT}.", "Build and push an image and give its tag or digest."
        )
    for task in tasks:
        local = sorted({reason.what for reason in task.reasons if reason.rule == "pod"})
        if local:
            yield info(
                "data-pod", f"task {task.id!r}", f"holds its nodes together because {', '.join(local[:3])}{' ...' if len(local) > 3 else ''} lie{'s' if len(local) == 1 else ''} on the pod's own disk.", "A volume over the path would set them free."
            )
    for text in grouped.declined:
        yield info("group-declined", text.split(":")[0], text.split(": ", 1)[1] + ".")
