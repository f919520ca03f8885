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

_SHOWN = 30
NOTHING = "nothing that runs: comments, or the order of tasks"


def describe_changes(changes: PublishDiff) -> list[str]:
    """What becomes of each DAG that changes: a line for it, and indented ones for how."""
    found = []
    for dag in changes.dags:
        if dag.status == "new" and dag.now is not None:
            found.append(f"{dag.dag_id}: new in {dag.path}, {count_of(_count(dag), 'task')}")
            found += [f"  image: {image}" for image in dict.fromkeys(dag.now.images.values())]
        elif dag.status == "removed":
            found.append(f"{dag.dag_id}: removed, {dag.path} goes; Airflow drops the DAG and keeps its runs")
        elif dag.status == "changed":
            found.append(f"{dag.dag_id}: changed in {dag.path}")
            found += [f"  {line}" for line in how(dag)]
    return found


def _count(dag: DagDiff) -> int:
    emitted = dag_file_diff.read_dag_file(dag.text)
    return len(emitted.tasks) if emitted else 0


def how(dag: DagDiff) -> list[str]:
    """In what a DAG has changed."""
    return [*describe_tasks(dag), *describe_images(dag)] or [NOTHING]


def describe_tasks(dag: DagDiff) -> list[str]:
    """In what it has changed but for the images of its pods: tasks, what all share, the DAG's own arguments."""
    was = dag_file_diff.read_dag_file(dag.was)
    now = dag_file_diff.read_dag_file(dag.text)
    if was is None or now is None:
        return ["what was there is no file of this plugin"]
    told = dag_file_diff.compare_dag_files(was, now)
    said = {
        "tasks added": told.added,
        "tasks removed": told.removed,
        "tasks changed": told.changed,
        "for all tasks": told.shared,
        "of the DAG": told.dag,
    }
    return [f"{what}: {_some(names)}" for what, names in said.items() if names]


def describe_images(dag: DagDiff) -> list[str]:
    """The images of its pods that are others by now."""
    was: Mapping[str, str] = dag.before.images if dag.before else {}
    now: Mapping[str, str] = dag.now.images if dag.now else {}
    found = []
    for name in sorted(was.keys() | now.keys()):
        if was.get(name) != now.get(name):
            called = "image" if name == "default" else f"image {name}"
            found.append(f"{called}: {was.get(name, 'none')} -> {now.get(name, 'none')}")
    return found


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def subject_line(changes: PublishDiff, manifest: OwnershipManifest) -> str:
    """The first line of the commit's message."""
    counts = {status: sum(dag.status == status for dag in changes.dags) for status in ("new", "changed", "removed")}
    told = ", ".join(f"{number} {status}" for status, number in counts.items() if number)
    env = f" ({one_line(manifest.environment)})" if manifest.environment else ""
    many = "DAG" if sum(counts.values()) == 1 else "DAGs"
    return (
        f"Publish {manifest.project}{env}: {told} {many}" if told else f"Publish {manifest.project}{env}: the manifest"
    )


def commit_message(
    changes: PublishDiff, told: Sequence[str], manifest: OwnershipManifest, source: ProjectCommit, own: str | None
) -> str:
    """The message of the commit: a subject, what has changed and how, and trailers.

    Args:
        changes: what the commit does.
        told: the lines about that.
        manifest: that it has.
        source: where it comes from.
        own: the user's words instead of the subject.
    """
    generator = changes.before.generator if changes.before else None
    parts = [(own or "").strip() or subject_line(changes, manifest), "\n".join(told)]
    if generator not in (None, manifest.generator):
        parts.append(f"Made by kedro-k8s-airflow {manifest.generator} instead of {generator}.")
    trailers = [f"Source-Commit: {source.commit}{'-dirty' if source.dirty else ''}"] if source.commit else []
    digests = sorted({image for image in manifest.images.values() if "@" in image})
    trailers += [f"Image-Digest: {image}" for image in digests]
    trailers += [f"Kedro-Project: {manifest.project}"]
    trailers += [f"Kedro-Env: {one_line(manifest.environment)}"] if manifest.environment else []
    trailers += [f"Generator-Version: {__version__}"]
    return "\n\n".join([*filter(None, parts), "\n".join(trailers)]) + "\n"
