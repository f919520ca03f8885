"""What planning starts from: the project, its settings and rules, and how pods name the images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kedro_k8s_airflow.config.models import DEFAULT_IMAGE
from kedro_k8s_airflow.locations import Location

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kedro_k8s_airflow.config.models import Settings
    from kedro_k8s_airflow.plan.task_rules import TaskRules
    from kedro_k8s_airflow.project.model import Project


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanContext:
    """What every function of planning may need.

    Attributes:
        project: as it was read.
        settings: the checked settings.
        task_rules: their rules.
        image_references: how pods name each image of the project; see `image.lock.resolve_image_references`.
    """

    project: Project
    settings: Settings
    task_rules: TaskRules
    image_references: Mapping[str, str]

    def location_of(self, *key: str) -> Location:
        """Return where a key of the settings belongs: in the file that is read last."""
        return Location(file=self.task_rules.sources.file_of(), key=key)

    def image_of(self, image: str | None) -> tuple[str | None, str]:
        """Return the name, if it is one of the project's own, and the reference of the image that a task asks for."""
        name = image or DEFAULT_IMAGE
        return (name, self.image_references[name]) if name in self.image_references else (None, name)
