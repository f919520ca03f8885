"""Checks of data: whether pods find it, whether it outlives them, and whether they write to the same place."""

from __future__ import annotations

import posixpath
import re
from collections import defaultdict
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from kedro_k8s_airflow.checks.concurrency import TaskOrder, is_database, unwrapped_entries
from kedro_k8s_airflow.checks.registry import rule
from kedro_k8s_airflow.locations import Location
from kedro_k8s_airflow.plan.graph import base_name
from kedro_k8s_airflow.plan.model import find_claim
from kedro_k8s_airflow.plan.reach import find_local_paths, is_windows_path
from kedro_k8s_airflow.text import quote_names

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from kedro_k8s_airflow.checks.registry import CheckContext, RuleFinding
    from kedro_k8s_airflow.plan.builder import DagDraft
    from kedro_k8s_airflow.plan.graph import GraphDataset

_UNVERSIONED_CLASSES = (
    "MemoryDataset",
    "SharedMemoryDataset",
    "api.APIDataset",
    "pandas.SQLQueryDataset",
    "pandas.SQLTableDataset",
    "partitions.IncrementalDataset",
    "partitions.PartitionedDataset",
)
# Classes that save a local file and then upload it.
_UPLOADING_CLASSES = ("MlflowArtifactDataset",)
_TEMPORARY_FOLDERS = ("/tmp", "/dev/shm", "/var/tmp")  # noqa: S108  paths in a pod


@rule(
    "data-missing",
    "error",
    title="A dataset that nodes load but no node saves, and that is not in the catalog.",
    source="kedro#5778. Kedro refuses to run such a pipeline, but only once a pod starts.",
)
def find_missing_datasets(context: CheckContext) -> Iterator[RuleFinding]:
    if context.project.catalog_hooks:
        return
    for graph in context.graphs:
        for name, dataset in graph.datasets.items():
            if dataset.producer is None and dataset.reach.kind == "memory" and not dataset.provided:
                reader = graph.nodes[dataset.consumers[0]].name
                message = (
                    f"is loaded by node {reader!r}, but no node of the pipeline saves it and it is not in the catalog."
                )
                help_text = (
                    "Add it to the catalog, or add the pipeline that saves it to this DAG. If something else provides it, "
                    f"set data.reach: {{{name}: shared}}."
                )
                yield Location(dataset=name), message, help_text


@rule(
    "data-windows",
    "error",
    title="A path that is spelled as on Windows. Pods run Linux, where backslashes and drive letters are parts of a file's name.",
    source="Kedro passes paths on as they are written.",
)
def find_windows_paths(context: CheckContext) -> Iterator[RuleFinding]:
    paths = {name: dataset.reach.path for graph in context.graphs for name, dataset in graph.datasets.items()}
    for name, path in paths.items():
        if path is not None and is_windows_path(path):
            written = path.removeprefix(f"{context.settings.project_path}/")
            message = f"has the path {written}, which is spelled as on Windows."
            yield Location(dataset=name), message, f"Pods run Linux: {suggest_linux_path(written)}."


def suggest_linux_path(path: str) -> str:
    """Return the advice for a path that is spelled as on Windows: on a drive, on a server, or in the project."""
    spelled = path.replace("\\", "/")
    if re.match(r"//|(.*/)?[A-Za-z]:", spelled):
        return f"write a path in the project with '/', such as data/{posixpath.basename(spelled.rstrip('/:'))}"
    return f"write the path with '/', as {spelled}"


@rule(
    "data-absent",
    "error",
    title="A local file that nodes load but no node saves, and that pods do not have.",
    source="kedro-databricks#176 and kedro#5778, where it showed only at run time.",
)
def find_absent_files(context: CheckContext) -> Iterator[RuleFinding]:
    for graph in context.graphs:
        for name, dataset in graph.datasets.items():
            path = dataset.reach.path
            if is_windows_path(path):
                continue
            if dataset.producer is None and dataset.reach.kind == "pod" and not _is_in_image(path or "", context):
                reader = graph.nodes[dataset.consumers[0]].name
                help_text = _suggest_fix(path, context, "or list it in data.in_image if the image contains it.")
                source = path or "the pod's own disk (data.reach)"
                message = f"is loaded by node {reader!r} from {source}, but no pod has it."
                yield Location(dataset=name), message, help_text


@rule(
    "data-read-only",
    "error",
    title="A dataset that a node saves or confirms where pods cannot write: on a read-only volume, or in the image.",
    source="kedro#5778. The node fails when it saves, with `Read-only file system`. A confirmation saves a checkpoint.",
)
def find_read_only_saves(context: CheckContext) -> Iterator[RuleFinding]:
    for draft in context.drafts:
        for name, dataset in draft.graph.datasets.items() if any(mount.read_only for mount in draft.mounts) else ():
            if dataset.producer is None or not dataset.reach.path:
                continue
            path = dataset.reach.path
            innermost = find_claim(path, draft.mounts)
            if innermost is not None and innermost.read_only:
                node = draft.graph.nodes[dataset.producer].name
                message = f"is saved by node {node!r} to {path}, but volume {innermost.name!r} is mounted read-only."
                yield Location(dataset=name), message, "Remove readOnly from the volume, or save to another one."
        yield from _find_read_only_confirmations(draft, context)


def _find_read_only_confirmations(draft: DagDraft, context: CheckContext) -> Iterator[RuleFinding]:
    """Yield the datasets whose checkpoint a node saves where it cannot; an IncrementalDataset has one."""
    for node in draft.graph.nodes:
        for form in dict.fromkeys(node.confirms):
            dataset = draft.graph.datasets.get(base_name(form))
            path = _checkpoint_path(draft.entries.get(form, {}), dataset, context) if dataset is not None else None
            if dataset is None or path is None:
                continue
            innermost = find_claim(path, draft.mounts)
            if innermost is not None and innermost.read_only:
                place, help_text = f"volume {innermost.name!r} is mounted read-only", "Remove readOnly from the volume."
            elif (
                innermost is None
                and dataset.producer is None
                and (dataset.reach.kind == "shared" or _is_in_image(dataset.reach.path or "", context))
            ):
                place, help_text = (
                    "no volume is mounted there",
                    "Keep it on a volume (data.volumes) or at a remote path.",
                )
            else:
                continue
            message = f"is confirmed by node {node.name!r}, which saves the checkpoint {path}, but {place}."
            yield Location(dataset=form), message, help_text


def _checkpoint_path(entry: Mapping[str, Any], dataset: GraphDataset, context: CheckContext) -> str | None:
    """Return the path in the pod of the checkpoint of an IncrementalDataset, or None if it is remote."""
    checkpoint = entry.get("checkpoint")
    given = checkpoint.get("filepath") if isinstance(checkpoint, dict) else None
    if isinstance(given, str):
        return None if "://" in given else posixpath.normpath(posixpath.join(context.settings.project_path, given))
    return f"{dataset.reach.path}/CHECKPOINT" if dataset.reach.path else None


@rule(
    "data-lost",
    "error",
    title="A file saved to the pod's own disk that no node loads. A report, plot or model is deleted with its pod.",
    source="kedro#5778. The task succeeds, and its result is lost.",
)
def find_lost_files(context: CheckContext) -> Iterator[RuleFinding]:
    for draft in context.drafts:
        graph = draft.graph
        uploaded = {base_name(name) for name, entry in draft.entries.items() if _has_type(entry, _UPLOADING_CLASSES)}
        for name, dataset in graph.datasets.items():
            if dataset.producer is None or dataset.consumers or dataset.reach.kind != "pod" or name in uploaded:
                continue
            if not is_windows_path(dataset.reach.path) and not _matches_any(name, context.settings.data.discard):
                node = graph.nodes[dataset.producer].name
                help_text = _suggest_fix(
                    dataset.reach.path, context, "or list it in data.discard if you do not need it."
                )
                target = dataset.reach.path or "the pod's own disk (data.reach)"
                message = f"is saved by node {node!r} to {target}, and is deleted when its pod ends."
                yield Location(dataset=name), message, help_text


@rule(
    "data-unknown",
    "error",
    title="Data that passes between pods when it is unknown whether both pods see the same data.",
    source="kedro-plugins#655 and #1085, where such data was misclassified and its edge silently lost.",
)
def find_unknown_reach(context: CheckContext) -> Iterator[RuleFinding]:
    for plan in context.plans:
        for crossing in plan.crossings:
            if crossing.reach.kind == "unknown":
                message = (
                    f"is saved by task {crossing.saved_by!r} and loaded by task {crossing.loaded_by[0]!r} in another pod, "
                    "but its catalog entry does not show whether both see the same data."
                )
                help_text = f"Set data.reach: {{{crossing.dataset}: shared}}, or {{{crossing.dataset}: pod}} if it is local to a pod."
                yield Location(dataset=crossing.dataset), message, help_text


@rule(
    "data-path-unknown",
    "warning",
    title="A dataset of an unknown class, with what looks like a local path that pods do not share.",
    source="A report saved by a project's own class with `file_path: data/report.html`, which was deleted with its pod.",
)
def find_unknown_paths(context: CheckContext) -> Iterator[RuleFinding]:
    for draft in context.drafts:
        crossing = {crossing.dataset for plan in (draft.plan,) if plan is not None for crossing in plan.crossings}
        for form in sorted(draft.entries):
            dataset = draft.graph.datasets[base_name(form)]
            if dataset.reach.kind != "unknown" or dataset.name in crossing:
                continue
            for key, value in find_local_paths(draft.entries[form]):
                path = posixpath.normpath(posixpath.join(context.settings.project_path, value))
                if find_claim(path, draft.mounts) is not None:
                    continue
                if dataset.producer is not None:
                    node = draft.graph.nodes[dataset.producer].name
                    message = f"is saved by node {node!r} with {key}: {value}. If that is a file, it is deleted when its pod ends."
                elif not _is_in_image(path, context) and not _is_project_file(path, context):
                    node = draft.graph.nodes[dataset.consumers[0]].name
                    message = f"is loaded by node {node!r} with {key}: {value}. If that is a file, no pod has it."
                else:
                    continue
                help_text = (
                    f"Mount a volume at that path (data.volumes), or set data.reach: {{{dataset.name}: shared}} if the data is "
                    "stored elsewhere."
                )
                yield Location(dataset=form), message, help_text


@rule(
    "data-cached",
    "warning",
    title="A CachedDataset that one pod saves and another loads. Its memory does not reach the other pod.",
    source="A table whose codes `007` became 7 in pods, because Kedro passes the object itself from node to node.",
)
def find_crossing_caches(context: CheckContext) -> Iterator[RuleFinding]:
    for draft in context.drafts:
        cached = {base_name(name) for name, entry in draft.entries.items() if _has_type(entry, ("CachedDataset",))}
        for crossing in draft.plan.crossings if draft.plan is not None and cached else ():
            if crossing.dataset in cached and crossing.reach.kind != "memory":
                message = (
                    f"is a CachedDataset that task {crossing.saved_by!r} saves and task {crossing.loaded_by[0]!r} loads. Under "
                    "`kedro run` the second gets the object from memory. In a pod it gets what the stored data becomes when "
                    "loaded, such as other types of columns."
                )
                help_text = (
                    "Run the nodes in one pod (name them in one group under `groups:`). Or remove the CachedDataset around it, so "
                    "that `kedro run` loads the stored data, too."
                )
                yield Location(dataset=crossing.dataset), message, help_text


@rule(
    "data-unversionable",
    "error",
    title="An entry with `versioned` where Kedro refuses it, so that every pod that uses the dataset fails.",
    source="kedro.io, whose CachedDataset is versioned by its own entry, and classes without versions such as PartitionedDataset.",
)
def find_refused_versions(context: CheckContext) -> Iterator[RuleFinding]:
    for name, entry in sorted(context.entries.items()):
        kind = str(entry.get("type", "")).removeprefix("kedro_datasets.").removeprefix("kedro.io.")
        inside = entry.get("dataset")
        if kind == "CachedDataset" and isinstance(inside, dict) and "versioned" in inside:
            message = "is a CachedDataset with `versioned` inside its entry, which Kedro refuses."
            yield Location(dataset=name), message, "Move `versioned` from `dataset` to the entry itself."
        elif entry.get("versioned") and kind in _UNVERSIONED_CLASSES:
            message = f"is versioned, but {kind} has no versions, so Kedro refuses it."
            yield Location(dataset=name), message, "Remove `versioned`, or use another dataset class."
        elif entry.get("versioned") and str(entry.get("filepath", "")).lower().startswith(("http://", "https://")):
            yield Location(dataset=name), "is versioned at an HTTP address, which Kedro refuses.", "Remove `versioned`."


@rule(
    "data-versioned-inside",
    "warning",
    title=(
        "A dataset with `versioned: true` inside its entry, such as that of partitions, which several pods use. The DAG run "
        "does not choose its version."
    ),
    source="A PartitionedDataset of versioned files: a task that was cleared loaded the partitions of a later run.",
)
def find_versions_inside(context: CheckContext) -> Iterator[RuleFinding]:
    for draft in context.drafts:
        if draft.plan is None:
            continue
        for name in sorted({base_name(name) for name, entry in draft.entries.items() if _is_versioned_inside(entry)}):
            uses = TaskOrder(draft.plan).uses_of([name])
            loading = sorted({use.task for use in uses if not use.saves})
            if loading and len({use.task for use in uses}) > 1:
                message = (
                    "is versioned inside its entry, where Kedro sets no versions. "
                    f"Task {loading[0]!r} loads the latest one, even if another run has saved it."
                )
                help_text = (
                    "Set `versioned: true` on the entry itself if its class supports that. Otherwise put what decides the run "
                    "into its path (dag.macros), or run one at a time and clear no older run."
                )
                yield Location(dataset=name), message, help_text


@rule(
    "data-unmatched",
    "error",
    title="A name or pattern in `data.reach` or `data.discard` that matches no dataset of any registered pipeline.",
    source="kedro-databricks#110, an override by name that was silently ignored.",
)
def find_unmatched_names(context: CheckContext) -> Iterator[RuleFinding]:
    settings = context.settings.data
    if not settings.reach and not settings.discard:
        return
    nodes = [node for nodes in context.project.pipelines.values() for node in nodes]
    datasets = {base_name(name) for node in nodes for name in (*node.inputs, *node.outputs)}
    for key, patterns in (("reach", tuple(settings.reach)), ("discard", settings.discard)):
        for pattern in patterns:
            if pattern not in datasets and not any(fnmatchcase(name, pattern) for name in datasets):
                message = f"{pattern!r} matches no dataset of any registered pipeline."
                location = context.location_of("data", key, *([pattern] if key == "reach" else []))
                yield location, message, "Correct the name or remove it."


@rule(
    "data-fused",
    "info",
    title="A task whose nodes share a pod only because of files on the pod's own disk.",
    source="kedro#4319, where nodes in one container could not have separate resources.",
)
def find_fused_tasks(context: CheckContext) -> Iterator[RuleFinding]:
    for plan in context.plans:
        for task in plan.tasks:
            local = sorted({reason.name for reason in task.merge_causes if reason.reason == "pod"})
            # `data-windows` reports the others.
            local = [name for name in local if not is_windows_path(plan.graph.datasets[name].reach.path)]
            if local:
                message = (
                    f"runs its nodes in one pod because they share data on the pod's own disk: {quote_names(local)}."
                )
                yield Location(task=task.id), message, "Mount a volume at that path to run them in separate pods."


@rule(
    "data-outside",
    "warning",
    title="A file outside the project that nodes of one pod pass to each other.",
    source="kedro-plugins#673, a catalog whose paths mean something else once deployed.",
)
def find_files_outside_project(context: CheckContext) -> Iterator[RuleFinding]:
    project = f"{context.settings.project_path}/"
    for graph in context.graphs:
        for name, dataset in graph.datasets.items():
            path = dataset.reach.path or ""
            if dataset.reach.kind != "pod" or not path or dataset.producer is None or not dataset.consumers:
                continue
            if not path.startswith((project, *(f"{folder}/" for folder in _TEMPORARY_FOLDERS))):
                message = f"is outside the project. In a pod its path is {path}, in a folder that is empty at first."
                help_text = "Move it into the project, onto a volume or to an object store."
                yield Location(dataset=name), message, help_text


@rule(
    "data-same-file",
    "error",
    title="Two nodes that save one file under two dataset names, in pods that do not wait for each other.",
    source="kedro#630, sheets of one file that must be saved in order.",
)
def find_saves_to_same_file(context: CheckContext) -> Iterator[RuleFinding]:
    for first, second in context.races:
        if first.saves and second.saves:
            message = (
                f"is saved by node {first.node!r} to {first.path}. Node {second.node!r} saves {second.dataset!r} to the same file, "
                "in another pod that may run at the same time."
            )
            help_text = "Save to two files, or make one node load what the other saves."
            yield Location(dataset=first.dataset), message, help_text


@rule(
    "volume-once",
    "warning",
    title="A claim that only one cluster node or one pod can mount at a time, in a DAG whose pods may run in parallel.",
    source=(
        "kedro-airflow-k8s, whose ReadWriteOnce claim kept all pods of a run on one cluster node; "
        "Kubernetes' `Multi-Attach error`."
    ),
)
def find_single_mount_claims(context: CheckContext) -> Iterator[RuleFinding]:
    for name, volume in context.settings.data.volumes.items():
        mode = volume.accessMode
        if mode not in ("ReadWriteOnce", "ReadWriteOncePod"):
            continue
        for plan in context.plans:
            pinned = all("kubernetes.io/hostname" in (task.settings.get("nodeSelector") or {}) for task in plan.tasks)
            if not TaskOrder(plan).is_parallel or (pinned and mode == "ReadWriteOnce"):
                continue
            mounters = "by the pods of one cluster node" if mode == "ReadWriteOnce" else "by one pod"
            message = f"is {mode}, so it can be mounted only {mounters} at a time, but tasks of DAG {plan.dag_id!r} may run in parallel."
            help_text = "Use a ReadWriteMany claim or an object store."
            yield context.location_of("data", "volumes", name, "accessMode"), message, help_text


@rule(
    "data-database",
    "warning",
    title="A database file on a volume that pods open at the same time, at least one of them to write.",
    source="kedro-viz#1991, a SQLite database that stays locked on a network file system.",
)
def find_shared_databases(context: CheckContext) -> Iterator[RuleFinding]:
    for draft in context.drafts:
        if draft.plan is None or not any(map(is_database, draft.entries.values())):
            continue
        entries = unwrapped_entries(draft)
        files: dict[str, list[str]] = defaultdict(list)
        for name, dataset in draft.graph.datasets.items():
            if dataset.reach.kind == "shared" and dataset.reach.path and is_database(entries.get(name, {})):
                files[dataset.reach.path].append(name)
        order = TaskOrder(draft.plan)
        for path, names in files.items():
            pair = next(order.unordered_pairs(order.uses_of(names)), None)
            if pair is not None:
                message = (
                    f"is in the database file {path} on a volume. Tasks {pair[0].task!r} and {pair[1].task!r} open it and may run in "
                    "parallel, but file locks may not work there."
                )
                yield Location(dataset=names[0]), message, "Use a database server, or a separate file for each task."


@rule(
    "store-unused",
    "info",
    title="A store for in-memory data when no such data passes between pods.",
    source="kedro-plugins#998, an option that silently did nothing.",
)
def find_unused_stores(context: CheckContext) -> Iterator[RuleFinding]:
    if context.settings.data.memory != "store":
        return
    unused = [plan.dag_id for plan in context.plans if not any(task.stored for task in plan.tasks)]
    if unused:
        message = f"has no effect on DAG {quote_names(unused)}, because no in-memory data passes between pods there."
        help_text = "Set group_by to none, namespace or chain, or remove `memory: store`."
        yield context.location_of("data", "memory"), message, help_text


def _has_type(entry: Mapping[str, Any], names: tuple[str, ...]) -> bool:
    """Return whether an entry, or a dataset inside it, is of one of some classes."""
    if str(entry.get("type", "")).rpartition(".")[2] in names:
        return True
    inside = entry.get("dataset")
    return isinstance(inside, dict) and _has_type(inside, names)


def _is_project_file(path: str, context: CheckContext) -> bool:
    """Return whether a path in the pod is in the project's code or configuration, which every image contains."""
    folders = (context.project.code_folder, context.project.conf_folder)
    return any(folder and path.startswith(f"{context.settings.project_path}/{folder}/") for folder in folders)


def _is_versioned_inside(entry: Mapping[str, Any]) -> bool:
    """Return whether an entry is not versioned, but a dataset inside it is."""
    if entry.get("versioned") or _has_type({"type": entry.get("type")}, ("CachedDataset",)):
        return False
    inside = entry.get("dataset")
    return isinstance(inside, dict) and (bool(inside.get("versioned")) or _is_versioned_inside(inside))


def _suggest_fix(path: str | None, context: CheckContext, alternative: str) -> str:
    """Return how to fix a local file that is not on a volume."""
    if path is None:
        return f"Keep it where every pod can reach it and set data.reach to shared, {alternative}"
    if path.startswith(f"{context.project.path.as_posix()}/"):
        return "Make the path relative to the project; it is an absolute path on this machine."
    if posixpath.dirname(path) == context.settings.project_path:
        return f"Move it to a folder that holds only data and mount a volume there (data.volumes), use a remote path, {alternative}"
    return f"Mount a volume at this path (data.volumes), use a remote path, {alternative}"


def _is_in_image(path: str, context: CheckContext) -> bool:
    for pattern in context.settings.data.in_image:
        image_path = posixpath.normpath(posixpath.join(context.settings.project_path, pattern))
        if path == image_path or path.startswith(image_path + "/") or fnmatchcase(path, image_path):
            return True
    return False


def _matches_any(dataset: str, patterns: tuple[str, ...]) -> bool:
    return any(dataset == pattern or fnmatchcase(dataset, pattern) for pattern in patterns)
