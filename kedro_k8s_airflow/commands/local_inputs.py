"""The files that have to be on the volumes before the first run: which they are, and where they are on this machine."""

from __future__ import annotations

import glob
from typing import TYPE_CHECKING

from kedro_k8s_airflow.plan.graph import base_name

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from kedro_k8s_airflow.plan.model import LocalInput, Plan
    from kedro_k8s_airflow.project.model import Project


def inputs_to_bring(project: Project, plans: Sequence[Plan]) -> list[LocalInput]:
    """Return what nodes load from the volumes and no node of these DAGs saves, sorted by path."""
    saved_names = {
        base_name(name) for plan in plans for node in project.pipelines[plan.pipeline] for name in node.outputs
    }
    inputs = {
        local_input for plan in plans for local_input in plan.local_inputs if local_input.dataset not in saved_names
    }
    return sorted(inputs, key=lambda local_input: (local_input.local_path, local_input.dataset))


def _expand_path(root: Path, pattern: str) -> list[str]:
    """Return the files and folders that a path names; it may be a glob, as some datasets take."""
    if (root / pattern).exists():
        return [pattern]
    matched = glob.glob(pattern, root_dir=root, recursive=True)  # noqa: PTH207  a path may be absolute
    return sorted(path.replace("\\", "/") for path in matched)


def find_local_paths(root: Path, inputs: Sequence[LocalInput]) -> list[str]:
    """Return the files and folders on this machine that inputs name, relative to the project, sorted."""
    return sorted({path for local_input in inputs for path in _expand_path(root, local_input.local_path)})


def size_of(root: Path, pattern: str) -> int | None:
    """Return the bytes of what a path names, folders with everything in them; None when nothing is there."""
    paths = [root / path for path in _expand_path(root, pattern)]
    entries = [entry for path in paths for entry in (path.rglob("*") if path.is_dir() else [path])]
    try:
        return sum(entry.stat().st_size for entry in entries if entry.is_file()) if paths else None
    except OSError:
        return None
