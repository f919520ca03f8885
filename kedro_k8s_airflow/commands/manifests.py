"""`manifests`, without the printing: the Role that Airflow needs, and a pod that fills the volumes. Nothing is written here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kedro_k8s_airflow import compiler, files
from kedro_k8s_airflow.commands.create import CreateResult
from kedro_k8s_airflow.commands.local_inputs import find_local_paths, inputs_to_bring
from kedro_k8s_airflow.findings import Refused
from kedro_k8s_airflow.kubernetes.manifests import (
    DATA_FILE,
    LIST_FILE,
    ROLE_FILE,
    build_data_pod,
    build_file_list,
    build_role,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from kedro_k8s_airflow.request import CompileRequest


def prepare_manifests(
    request: CompileRequest, *, subjects: Sequence[tuple[str, str]], folder: Path, force: bool
) -> CreateResult:
    """Return what `manifests` would write.

    Args:
        request: the project, and how it is to be read.
        subjects: namespace and name of Airflow's ServiceAccounts.
        folder: where the files go, relative to the project or absolute.
        force: overwrite files that this plugin did not write.

    Raises:
        Refused: with every error found.
    """
    compilation = compiler.compile_request(request)
    project, plans = compilation.context.project, compilation.plans()
    root = project.path / folder
    texts = {
        ROLE_FILE: build_role(plans[0], subjects),
        DATA_FILE: build_data_pod(plans[0]),
    }
    outputs = [files.OutputFile(root / name, text) for name, text in texts.items() if text is not None]
    list_text = build_file_list(find_local_paths(project.path, inputs_to_bring(project, plans)))
    changes, errors = files.compare_files(outputs, force=force)
    if list_text is not None:
        # It cannot begin with the marker, since tar would look for a file of that name. The manifest beside it tells.
        is_own = (root / DATA_FILE).exists() and files.is_generated(root / DATA_FILE)
        list_file = files.OutputFile(root / LIST_FILE, list_text)
        list_changes, list_errors = files.compare_files([list_file], force=force or is_own)
        changes += list_changes
        errors += list_errors
    if errors:
        raise Refused(errors)
    return CreateResult(project.path, tuple(plans), tuple(changes), ())
