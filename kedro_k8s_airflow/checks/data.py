"""Checks of data: is it there where a pod looks for it, does it stay, and do pods get in each other's way?"""

from __future__ import annotations

import posixpath
from collections import defaultdict
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from kedro_k8s_airflow.checks import concurrency
from kedro_k8s_airflow.checks.registry import rule
from kedro_k8s_airflow.locations import Location
from kedro_k8s_airflow.plan import graph as graphs
from kedro_k8s_airflow.plan.model import claim_over
from kedro_k8s_airflow.text import quote_names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kedro_k8s_airflow.checks.registry import CheckContext, RuleFinding

_TEMPORARY_FOLDERS = ("/tmp", "/dev/shm", "/var/tmp")  # noqa: S108  paths in a pod


@rule(
    "data-missing",
    "error",
    title="A dataset that nodes load, that no node saves, and that the catalog does not have.",
    source="kedro#5778; Kedro itself refuses to run such a pipeline, one pod at a time.",
)
def find_missing_datasets(context: CheckContext) -> Iterator[RuleFinding]:
    if context.project.has_catalog_hooks:
        return
    for graph in context.graphs:
        for name, dataset in graph.datasets.items():
            if dataset.producer is None and dataset.reach.kind == "memory" and not dataset.provided:
                reader = graph.nodes[dataset.consumers[0]].name
                message = f"node {reader!r} loads it, but no node of the pipeline saves it and the catalog has no entry for it."
                help_text = (
                    "Add it to the catalog, run the pipeline that makes it in the same DAG, or say where it is "
                    f"(data.reach: {{{name}: shared}}) when something else brings it."
                )
                yield Location(dataset=name), message, help_text


@rule(
    "data-absent",
    "error",
    title="A local file that nodes load, that no node saves, and that no pod has.",
    source="kedro-databricks#176 and kedro#5778, the same found at run time.",
)
def find_absent_files(context: CheckContext) -> Iterator[RuleFinding]:
    for graph in context.graphs:
        for name, dataset in graph.datasets.items():
            path = dataset.reach.path
            if dataset.producer is None and dataset.reach.kind == "pod" and not _is_in_image(path or "", context):
                reader = graph.nodes[dataset.consumers[0]].name
                help_text = _suggest_fix(path, context, "or name it in data.in_image if the image carries it.")
                target = path or "it from the pod's own disk (data.reach)"
                yield Location(dataset=name), f"node {reader!r} loads {target}, which no pod has.", help_text


@rule(
    "data-read-only",
    "error",
    title="A dataset that a node saves on a volume that is mounted read-only.",
    source="kedro#5778; the node fails at its very end, with `Read-only file system`.",
)
def find_read_only_saves(context: CheckContext) -> Iterator[RuleFinding]:
    for draft in context.drafts:
        for name, dataset in draft.graph.datasets.items() if any(mount.read_only for mount in draft.mounts) else ():
            if dataset.producer is None or not dataset.reach.path:
                continue
            path = dataset.reach.path
            innermost = claim_over(path, draft.mounts)
            if innermost is not None and innermost.read_only:
                node = draft.graph.nodes[dataset.producer].name
                message = f"node {node!r} saves {path} on volume {innermost.name!r}, which is mounted read-only."
                yield Location(dataset=name), message, "Take readOnly from the volume, or save it on another."


@rule(
    "data-lost",
    "error",
    title=(
        "A file of the pod's own disk that no other node loads: a report, a plot or a model that is gone when"
        " the pod ends."
    ),
    source="kedro#5778; the task is green and the result is nowhere.",
)
def find_lost_files(context: CheckContext) -> Iterator[RuleFinding]:
    for graph in context.graphs:
        for name, dataset in graph.datasets.items():
            if dataset.producer is None or dataset.consumers or dataset.reach.kind != "pod":
                continue
            if not _matches_any(name, context.settings.data.discard):
                node = graph.nodes[dataset.producer].name
                help_text = _suggest_fix(dataset.reach.path, context, "or name it in data.discard.")
                target = dataset.reach.path or "it on the pod's own disk (data.reach)"
                yield (
                    Location(dataset=name),
                    f"node {node!r} saves {target}, which is gone when its pod ends.",
                    help_text,
                )


@rule(
    "data-unknown",
    "error",
    title="Data that goes from pod to pod when nobody says whether both see the same.",
    source="kedro-plugins#655 and #1085, where data was misjudged and the edge lost in silence.",
)
def find_unknown_reach(context: CheckContext) -> Iterator[RuleFinding]:
    for plan in context.plans:
        for crossing in plan.crossings:
            if crossing.reach.kind == "unknown":
                message = (
                    f"task {crossing.saved_by!r} saves it and {crossing.loaded_by[0]!r} loads it in another pod, "
                    "but its catalog entry does not say whether they see the same data."
                )
                help_text = (
                    f"Say so in the settings: data.reach: {{{crossing.dataset}: shared}}, or pod if it is local."
                )
                yield Location(dataset=crossing.dataset), message, help_text


@rule(
    "data-unmatched",
    "error",
    title="A name under `data.reach` or `data.discard` that no dataset of any registered pipeline has.",
    source="kedro-databricks#110, an override by name that was ignored in silence.",
)
def find_unmatched_names(context: CheckContext) -> Iterator[RuleFinding]:
    settings = context.settings.data
    if not settings.reach and not settings.discard:
        return
    nodes = [node for nodes in context.project.pipelines.values() for node in nodes]
    datasets = {graphs.base_name(name) for node in nodes for name in (*node.inputs, *node.outputs)}
    for key, patterns in (("reach", tuple(settings.reach)), ("discard", settings.discard)):
        for pattern in patterns:
            if pattern not in datasets and not any(fnmatchcase(name, pattern) for name in datasets):
                message = f"{pattern!r} matches no dataset of any registered pipeline."
                yield context.location_of("data", key), message, "Mend the name or remove it."


@rule(
    "data-fused",
    "info",
    title="A task whose nodes are in one pod only because of files on the pod's own disk.",
    source="kedro#4319, where nodes in one container could not have resources of their own.",
)
def find_fused_tasks(context: CheckContext) -> Iterator[RuleFinding]:
    for plan in context.plans:
        for task in plan.tasks:
            local = sorted({reason.name for reason in task.merge_causes if reason.reason == "pod"})
            if local:
                message = f"holds its nodes together because of data on the pod's own disk: {quote_names(local)}."
                yield Location(task=task.id), message, "A volume over the path would set them free."


@rule(
    "data-outside",
    "warning",
    title="A file outside the project that nodes of one pod hand each other.",
    source=("kedro-plugins#673, a catalog that means another place where it is deployed than where it was written."),
)
def find_files_outside_project(context: CheckContext) -> Iterator[RuleFinding]:
    project = f"{context.settings.project_path}/"
    for graph in context.graphs:
        for name, dataset in graph.datasets.items():
            path = dataset.reach.path or ""
            if dataset.reach.kind != "pod" or not path or dataset.producer is None or not dataset.consumers:
                continue
            if not path.startswith((project, *(f"{folder}/" for folder in _TEMPORARY_FOLDERS))):
                message = f"lies outside the project: in a pod that is {path}, an empty folder of its own."
                yield (
                    Location(dataset=name),
                    message,
                    "Give it a path inside the project, on a volume, or in an object store.",
                )


@rule(
    "data-same-file",
    "error",
    title="Two nodes that save one file under two names, in pods of which neither waits for the other.",
    source="kedro#630, sheets of one file that have to be saved in one order.",
)
def find_saves_to_same_file(context: CheckContext) -> Iterator[RuleFinding]:
    for first, second in context.races:
        if first.saves and second.saves:
            message = (
                f"node {first.node!r} saves {first.path}, and so does node {second.node!r} (as {second.dataset!r}), in another pod "
                "that may run at the same time."
            )
            help_text = "Save two files, or let one node load what the other has saved."
            yield Location(dataset=first.dataset), message, help_text


@rule(
    "volume-once",
    "warning",
    title=(
        "A claim that one cluster node, or one pod, can mount at a time, in a DAG with pods that may run at "
        "the same time."
    ),
    source=(
        "kedro-airflow-k8s, whose ReadWriteOnce claim held all pods of a run on one node; Kubernetes' `Multi-"
        "Attach error`."
    ),
)
def find_single_mount_claims(context: CheckContext) -> Iterator[RuleFinding]:
    for name, volume in context.settings.data.volumes.items():
        mode = volume.accessMode
        if mode not in ("ReadWriteOnce", "ReadWriteOncePod"):
            continue
        for plan in context.plans:
            pinned = all("kubernetes.io/hostname" in (task.settings.get("nodeSelector") or {}) for task in plan.tasks)
            if not concurrency.TaskOrder(plan).is_parallel or (pinned and mode == "ReadWriteOnce"):
                continue
            mounters = "pods on one cluster node" if mode == "ReadWriteOnce" else "one pod"
            message = (
                f"can be mounted by {mounters} at a time, and DAG {plan.dag_id!r} has tasks that run at the same time."
            )
            help_text = "Use a claim that is ReadWriteMany, or an object store."
            yield context.location_of("data", "volumes", name, "accessMode"), f"{mode} {message}", help_text


@rule(
    "data-database",
    "warning",
    title=(
        "A database in a file on a volume, which pods that run at the same time open, at least one of them to write."
    ),
    source="kedro-viz#1991, a SQLite database that stays locked on a network file system.",
)
def find_shared_databases(context: CheckContext) -> Iterator[RuleFinding]:
    for draft in context.drafts:
        if draft.plan is None or not any(map(concurrency.is_database, draft.entries.values())):
            continue
        entries = concurrency.unwrapped_entries(draft)
        files: dict[str, list[str]] = defaultdict(list)
        for name, dataset in draft.graph.datasets.items():
            if dataset.reach.kind == "shared" and dataset.reach.path and concurrency.is_database(entries.get(name, {})):
                files[dataset.reach.path].append(name)
        ordered = concurrency.TaskOrder(draft.plan)
        for path, names in files.items():
            pair = next(ordered.unordered_pairs(ordered.uses_of(names)), None)
            if pair is not None:
                message = (
                    f"is the file {path} on a volume; tasks {pair[0].task!r} and {pair[1].task!r} open it and may run at the "
                    "same time, and its locks may not hold there."
                )
                yield Location(dataset=names[0]), message, "Use a database server, or files of their own for each task."


@rule(
    "store-unused",
    "info",
    title="A store for data in memory, when none crosses between pods.",
    source="kedro-plugins#998, an option that did nothing and did not say so.",
)
def find_unused_stores(context: CheckContext) -> Iterator[RuleFinding]:
    if context.settings.data.memory == "store":
        for plan in context.plans:
            if not any(task.stored for task in plan.tasks):
                message = "nothing in memory crosses between pods, so nothing is stored."
                yield (
                    context.location_of("data", "memory"),
                    message,
                    "`memory: store` acts with group_by none, namespace or chain.",
                )


def _suggest_fix(path: str | None, context: CheckContext, alternative: str) -> str:
    """What to do about a local file that no volume covers."""
    if path is None:
        return f"Keep it where every pod reaches it, and say so (data.reach: shared), {alternative}"
    if path.startswith(f"{context.project.path.as_posix()}/"):
        return "It is an absolute path of this machine: write it relative to the project."
    if "\\" in path:
        return "Pods run Linux: spell the path with '/'."
    if posixpath.dirname(path) == context.settings.project_path:
        return f"Keep it in a folder that holds only data and cover that by a volume (data.volumes), use a remote path, {alternative}"
    return f"Cover the path by a volume (data.volumes), use a remote path, {alternative}"


def _is_in_image(path: str, context: CheckContext) -> bool:
    for pattern in context.settings.data.in_image:
        image_path = posixpath.normpath(posixpath.join(context.settings.project_path, pattern))
        if path == image_path or path.startswith(image_path + "/") or fnmatchcase(path, image_path):
            return True
    return False


def _matches_any(dataset: str, patterns: tuple[str, ...]) -> bool:
    return any(dataset == pattern or fnmatchcase(dataset, pattern) for pattern in patterns)
