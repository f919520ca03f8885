"""`manifests`, without the printing: the Kubernetes objects for the one-time setup. Nothing is written here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kedro_k8s_airflow import compiler, files
from kedro_k8s_airflow.commands.local_inputs import find_local_paths, inputs_to_bring
from kedro_k8s_airflow.findings import Refused
from kedro_k8s_airflow.kubernetes import cluster_needs
from kedro_k8s_airflow.kubernetes.manifests import (
    ACCOUNTS_FILE,
    CLAIMS_FILE,
    CLEANUP_FILE,
    DATA_FILE,
    LIST_FILE,
    ROLE_FILE,
    build_accounts,
    build_claims,
    build_cleanup,
    build_data_pod,
    build_file_list,
    build_role,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from kedro_k8s_airflow.files import FileChange
    from kedro_k8s_airflow.kubernetes.cluster_needs import MissingObject
    from kedro_k8s_airflow.request import CompileRequest


@dataclass(frozen=True)
class ManifestOptions:
    """The options of `manifests`.

    Attributes:
        subjects: namespace and name of Airflow's ServiceAccounts.
        sizes: sizes by claim, and under None that of all claims without one.
        storage_class: storage class of the claims; None for that of the settings.
        folder: where the files go, relative to the project or absolute.
        force: overwrite files that this plugin did not write.
    """

    subjects: Sequence[tuple[str, str]]
    sizes: Mapping[str | None, str]
    storage_class: str | None
    folder: Path
    force: bool


@dataclass(frozen=True)
class ManifestsResult:
    """What `manifests` would write, and what it would not.

    Attributes:
        root: the project's folder.
        namespace: the namespace of the pods.
        changes: what writing would do.
        missing: objects that the pods need and that are not written.
    """

    root: Path
    namespace: str
    changes: tuple[FileChange, ...]
    missing: tuple[MissingObject, ...]


def prepare_manifests(request: CompileRequest, options: ManifestOptions) -> ManifestsResult:
    """Return what `manifests` would write.

    Args:
        request: the project, and how it is to be read.
        options: the options of the command.

    Raises:
        Refused: with every error found.
    """
    compilation = compiler.compile_request(request)
    project, plans = compilation.context.project, compilation.plans()
    root = project.path / options.folder
    claims, missing = cluster_needs.find_claims(compilation.context.settings, options.sizes, options.storage_class)
    texts = {
        ROLE_FILE: build_role(plans[0], options.subjects),
        ACCOUNTS_FILE: build_accounts(plans[0], cluster_needs.find_accounts(plans)),
        CLAIMS_FILE: build_claims(plans[0], claims),
        DATA_FILE: build_data_pod(plans[0]),
        CLEANUP_FILE: build_cleanup(plans[0]),
    }
    outputs = [files.OutputFile(root / name, text) for name, text in texts.items() if text is not None]
    list_text = build_file_list(find_local_paths(project.path, inputs_to_bring(project, plans)))
    changes, errors = files.compare_files(outputs, force=options.force)
    if list_text is not None:
        # It cannot begin with the marker, since tar would look for a file of that name. The manifest beside it tells.
        is_own = (root / DATA_FILE).exists() and files.is_generated(root / DATA_FILE)
        list_file = files.OutputFile(root / LIST_FILE, list_text)
        list_changes, list_errors = files.compare_files([list_file], force=options.force or is_own)
        changes += list_changes
        errors += list_errors
    if errors:
        raise Refused(errors)
    missing += cluster_needs.find_other_objects(plans)
    return ManifestsResult(project.path, plans[0].namespace, tuple(changes), tuple(missing))
