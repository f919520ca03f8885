"""`build-image` before an engine begins: write the image spec, and gather what building needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kedro_k8s_airflow import compiler, files
from kedro_k8s_airflow.checks import RULES
from kedro_k8s_airflow.findings import Refused
from kedro_k8s_airflow.image.image_project import ImageProject

if TYPE_CHECKING:
    from kedro_k8s_airflow.findings import Finding
    from kedro_k8s_airflow.request import CompileRequest


def write_image_spec(request: CompileRequest) -> ImageProject:
    """Write the image spec, as `create` does, and hand on what building needs.

    Args:
        request: the project, and how it is to be read.

    Raises:
        Refused: with every error found.
    """
    compilation = compiler.compile_request(request, new_lock=True)
    project, plans = compilation.context.project, compilation.plans()
    changes, errors = files.compare_files(compilation.context.image_spec)
    if errors:
        raise Refused(errors)
    files.write_files(changes)
    return ImageProject(
        root=project.path,
        settings=compilation.context.settings,
        plans=tuple(plans),
        conf_folder=project.conf_folder,
        lock_path=compilation.context.lock_path,
        image_location=compilation.context.location_of("image"),
        findings=tuple(finding for finding in compilation.findings if _matters_to_build(finding)),
        catalog_entries=frozenset(compilation.context.entries),
    )


def _matters_to_build(finding: Finding) -> bool:
    """Return whether a finding matters when an image is built; that it is stale or missing is why it is built."""
    return RULES[finding.code].family == "image" and finding.code not in ("image-stale", "image-unbuilt")
