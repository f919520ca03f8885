"""The view of a project that builds of images use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from kedro_k8s_airflow.config.models import Settings
    from kedro_k8s_airflow.findings import Finding
    from kedro_k8s_airflow.locations import Location
    from kedro_k8s_airflow.plan.model import Plan


@dataclass(frozen=True)
class ImageProject:
    """A project whose image spec is written.

    Attributes:
        root: the project's folder.
        settings: of the project.
        plans: the plans of its DAGs.
        conf_folder: the configuration's folder in the project, or "" if it is elsewhere.
        lock_path: path of the image lock.
        image_location: where the settings set `image`.
        findings: findings that do not stop a build.
        catalog_entries: names of the datasets in the plans that have an entry in the catalog.
    """

    root: Path
    settings: Settings
    plans: tuple[Plan, ...]
    conf_folder: str
    lock_path: Path
    image_location: Location
    findings: tuple[Finding, ...]
    catalog_entries: frozenset[str] = frozenset()
