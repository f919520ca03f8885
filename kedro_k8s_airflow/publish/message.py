"""The words about what publishing changes: of each DAG how, for people and for the commit's message."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kedro_k8s_airflow import __version__
from kedro_k8s_airflow.dag import dag_file_diff
from kedro_k8s_airflow.text import count_of, one_line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kedro_k8s_airflow.publish.desired_state import ProjectCommit
    from kedro_k8s_airflow.publish.diff import DagDiff, PublishDiff
    from kedro_k8s_airflow.publish.ownership_manifest import OwnershipManifest

_MAX_NAMES = 30
NO_RUNTIME_CHANGE = "nothing that runs: comments, or the order of tasks"


def describe_changes(changes: PublishDiff) -> list[str]:
    """What becomes of each DAG that changes: a line for it, and indented ones for how."""
    lines = []
    for dag in changes.dags:
        if dag.status == "new" and dag.new_record is not None:
            lines.append(f"{dag.dag_id}: new in {dag.path}, {count_of(_count_tasks(dag), 'task')}")
            lines += [f"  image: {image}" for image in dict.fromkeys(dag.new_record.images.values())]
        elif dag.status == "removed":
            lines.append(f"{dag.dag_id}: removed, {dag.path} goes; Airflow drops the DAG and keeps its runs")
        elif dag.status == "changed":
            lines.append(f"{dag.dag_id}: changed in {dag.path}")
            lines += [f"  {line}" for line in describe_dag(dag)]
    return lines


def _count_tasks(dag: DagDiff) -> int:
    emitted = dag_file_diff.read_dag_file(dag.new_text)
    return len(emitted.tasks) if emitted else 0


def describe_dag(dag: DagDiff) -> list[str]:
    """In what a DAG has changed."""
    return [*describe_task_changes(dag), *describe_image_changes(dag)] or [NO_RUNTIME_CHANGE]


def describe_task_changes(dag: DagDiff) -> list[str]:
    """In what it has changed but for the images of its pods: tasks, what all share, the DAG's own arguments."""
    old = dag_file_diff.read_dag_file(dag.old_text)
    new = dag_file_diff.read_dag_file(dag.new_text)
    if old is None or new is None:
        return ["what was there is no file of this plugin"]
    difference = dag_file_diff.compare_dag_files(old, new)
    names_by_label = {
        "tasks added": difference.added,
        "tasks removed": difference.removed,
        "tasks changed": difference.changed,
        "for all tasks": difference.shared,
        "of the DAG": difference.dag,
    }
    return [f"{label}: {_join_names(names)}" for label, names in names_by_label.items() if names]


def describe_image_changes(dag: DagDiff) -> list[str]:
    """The images of its pods that are others by now."""
    old_images: Mapping[str, str] = dag.old_record.images if dag.old_record else {}
    new_images: Mapping[str, str] = dag.new_record.images if dag.new_record else {}
    lines = []
    for name in sorted(old_images.keys() | new_images.keys()):
        if old_images.get(name) != new_images.get(name):
            label = "image" if name == "default" else f"image {name}"
            lines.append(f"{label}: {old_images.get(name, 'none')} -> {new_images.get(name, 'none')}")
    return lines


def _join_names(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MAX_NAMES:,} more" if len(names) > _MAX_NAMES else ""
    return ", ".join(names[:_MAX_NAMES]) + more


def format_subject(changes: PublishDiff, manifest: OwnershipManifest) -> str:
    """The first line of the commit's message."""
    counts = {status: sum(dag.status == status for dag in changes.dags) for status in ("new", "changed", "removed")}
    summary = ", ".join(f"{number} {status}" for status, number in counts.items() if number)
    env = f" ({one_line(manifest.environment)})" if manifest.environment else ""
    noun = "DAG" if sum(counts.values()) == 1 else "DAGs"
    return (
        f"Publish {manifest.project}{env}: {summary} {noun}"
        if summary
        else f"Publish {manifest.project}{env}: the manifest"
    )


def format_commit_message(
    changes: PublishDiff,
    lines: Sequence[str],
    manifest: OwnershipManifest,
    source: ProjectCommit,
    own_subject: str | None,
) -> str:
    """The message of the commit: a subject, what has changed and how, and trailers.

    Args:
        changes: what the commit does.
        lines: the lines about that.
        manifest: that it has.
        source: where it comes from.
        own_subject: the user's words instead of the subject.
    """
    old_generator = changes.old_manifest.generator if changes.old_manifest else None
    parts = [(own_subject or "").strip() or format_subject(changes, manifest), "\n".join(lines)]
    if old_generator not in (None, manifest.generator):
        parts.append(f"Made by kedro-k8s-airflow {manifest.generator} instead of {old_generator}.")
    trailers = [f"Source-Commit: {source.commit}{'-dirty' if source.dirty else ''}"] if source.commit else []
    digests = sorted({image for image in manifest.images.values() if "@" in image})
    trailers += [f"Image-Digest: {image}" for image in digests]
    trailers += [f"Kedro-Project: {manifest.project}"]
    trailers += [f"Kedro-Env: {one_line(manifest.environment)}"] if manifest.environment else []
    trailers += [f"Generator-Version: {__version__}"]
    return "\n\n".join([*filter(None, parts), "\n".join(trailers)]) + "\n"
