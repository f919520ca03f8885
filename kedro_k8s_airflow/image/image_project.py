"""The project as building an image sees it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from kedro_k8s_airflow.config.models import Settings
    from kedro_k8s_airflow.findings import Finding
    from kedro_k8s_airflow.plan.model import Plan


@dataclass(frozen=True)
class ImageProject:
    """What `build-image` works on, with its spec written.

    Attributes:
        root: the project's folder.
        settings: of the project.
        plans: of its DAGs.
        conf_folder: the configuration's folder in the project, or "" when it is elsewhere.
        lock_path: path of the image lock.
        findings: those that stop nothing.
    """

    root: Path
    settings: Settings
    plans: tuple[Plan, ...]
    conf_folder: str
    lock_path: Path
    findings: tuple[Finding, ...]
