"""The record of what was published: a manifest for each project and environment, in the target folder, and who owns which file by it.

    dags/flights.py                                a DAG
    dags/.k8s-airflow/manifests/flights.json       what project flights has published here
    dags/.k8s-airflow/manifests/flights@prod.json  the same of its environment prod
    dags/.k8s-airflow/.airflowignore               keeps Airflow out of that folder

Each publisher writes its own manifest only, so that several never change one file.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kedro_k8s_airflow import __version__, names
from kedro_k8s_airflow.dag.header import DAG_FILE_MARKER
from kedro_k8s_airflow.findings import refuse
from kedro_k8s_airflow.locations import Location

if TYPE_CHECKING:
    from collections.abc import Mapping

METADATA_FOLDER = ".k8s-airflow"
_MANIFESTS_FOLDER = f"{METADATA_FOLDER}/manifests"
IGNORE_FILE = f"{METADATA_FOLDER}/.airflowignore"
# A word without any sign that a glob (Airflow 3) and a regular expression (Airflow 2) read differently.
IGNORE_FILE_TEXT = f"{DAG_FILE_MARKER}: records of what was published, no DAGs.\nmanifests\n"
_FORMAT_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedFile:
    """One DAG file that was published.

    Attributes:
        sha256: of its bytes, in hex.
        dag_id, pipeline: what it is.
        images: references of its pods' images by the project's name for each; an image of somebody else's is its own name.
    """

    sha256: str
    dag_id: str
    pipeline: str
    images: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnershipManifest:
    """What one project has published in one environment.

    Attributes:
        generator: version of this plugin.
        project: the package's import name.
        project_name: the project's own name, as in its pyproject.toml.
        environment: Kedro environment of the pods, or None.
        files: by path, relative to the target folder.
    """

    project: str
    project_name: str
    environment: str | None
    files: Mapping[str, PublishedFile]
    generator: str = field(default=__version__)

    @property
    def images(self) -> dict[str, str]:
        """References of all images, by name."""
        return {name: image for file in self.files.values() for name, image in file.images.items()}

    @property
    def owner_label(self) -> str:
        """For messages: the project and its environment."""
        return format_owner(self.project, self.environment)

    def to_json(self) -> str:
        """The file: sorted, and nothing in it that changes when no DAG does."""
        files = {
            path: {
                "dag_id": file.dag_id,
                "images": dict(sorted(file.images.items())),
                "pipeline": file.pipeline,
                "sha256": file.sha256,
            }
            for path, file in sorted(self.files.items())
        }
        document = {
            "$comment": f"{DAG_FILE_MARKER} {self.generator}; do not edit. Written by: kedro k8s-airflow publish",
            "version": _FORMAT_VERSION,
            "generator": self.generator,
            "project": self.project,
            "project_name": self.project_name,
            "environment": self.environment,
            "files": files,
        }
        return json.dumps(document, indent=2) + "\n"


def format_owner(project: str, environment: str | None) -> str:
    """A project, and its environment when there is one."""
    return f"project {project}" + (f", environment {json.dumps(environment)}" if environment else "")


def compute_sha256(content: bytes) -> str:
    """As manifests have it."""
    return hashlib.sha256(content).hexdigest()


def manifest_path(project: str, environment: str | None) -> str:
    """Path of a manifest, relative to the target folder."""
    name = project if environment is None else f"{project}@{names.to_airflow_key(environment, [environment])}"
    if len(name) > 200:
        name = f"{name[:190]}-{names.short_hash([name])}"
    return f"{_MANIFESTS_FOLDER}/{name}.json"


def repository_path(folder: str, path: str) -> str:
    """A path of the target folder, in the repository."""
    return f"{folder}/{path}" if folder else path


def target_folder_of(path: str) -> str | None:
    """The target folder whose manifest a path of a repository is ("" for its top); None when it is no manifest."""
    above, _, name = path.rpartition("/")
    if name.endswith(".json") and (above == _MANIFESTS_FOLDER or above.endswith(f"/{_MANIFESTS_FOLDER}")):
        return above[: -len(_MANIFESTS_FOLDER)].rstrip("/")
    return None


def read_manifest(content: bytes, path: str) -> OwnershipManifest:
    """The manifest that a file holds.

    Raises:
        Refused: when it is none, or of a later version of this plugin.
    """
    try:
        raw = json.loads(content.decode("utf-8"))
        if raw["version"] != _FORMAT_VERSION:
            raise refuse(
                "publish-manifest",
                Location(file=path),
                f"has version {raw['version']!r}; this kedro-k8s-airflow {__version__} reads version {_FORMAT_VERSION}.",
                f"Publish with kedro-k8s-airflow {raw.get('generator')} or newer.",
            )
        files = {_check_file_name(path): _parse_published_file(raw_file) for path, raw_file in raw["files"].items()}
        texts = [_check_text(raw[key]) for key in ("project", "project_name", "generator")]
        environment = raw["environment"]
        if environment is not None:
            environment.encode()
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as exc:
        raise refuse(
            "publish-manifest",
            Location(file=path),
            f"is no manifest ({type(exc).__name__}: {exc}), so nobody knows whose the files are.",
            "Take it back from git's history.",
        ) from None
    return OwnershipManifest(
        project=texts[0], project_name=texts[1], generator=texts[2], environment=environment, files=files
    )


def _check_file_name(path: str) -> str:
    """A path that is a file of the target folder itself."""
    if not _check_text(path) or path in (".", "..") or "/" in path or "\\" in path:
        raise ValueError(f"{path!r} is no file of this folder")
    return path


def _parse_published_file(raw: Mapping[str, Any]) -> PublishedFile:
    file = PublishedFile(**raw)
    for text in (file.sha256, file.dag_id, *file.images, *file.images.values()):
        _check_text(text)
    file.pipeline.encode()
    return file


def _check_text(value: Any) -> str:
    """A text that can be printed as it is."""
    if not isinstance(value, str):
        raise TypeError("a text is expected")
    if not value.isprintable():
        raise ValueError(f"{value!r} cannot be printed")
    return value
