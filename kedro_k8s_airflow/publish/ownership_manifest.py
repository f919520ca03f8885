"""Manifests in the target folder, which record the DAG files that each project and environment owns.

    dags/flights.py                                a DAG
    dags/.k8s-airflow/manifests/flights.json       the files of project flights
    dags/.k8s-airflow/manifests/flights@prod.json  the files of its environment prod
    dags/.k8s-airflow/.airflowignore               keeps Airflow out of that folder

Each publisher writes only its own manifest, so that two never change the same file.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kedro_k8s_airflow import __version__, names
from kedro_k8s_airflow.dag.header import DAG_FILE_MARKER
from kedro_k8s_airflow.findings import refuse

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kedro_k8s_airflow.locations import Location

METADATA_FOLDER = ".k8s-airflow"
_MANIFESTS_FOLDER = f"{METADATA_FOLDER}/manifests"
IGNORE_FILE = f"{METADATA_FOLDER}/.airflowignore"
# A plain word: a glob (Airflow 3) and a regular expression (Airflow 2) match it alike.
IGNORE_FILE_TEXT = f"{DAG_FILE_MARKER}: records of what was published, no DAGs.\nmanifests\n"
_FORMAT_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedFile:
    """A published DAG file.

    Attributes:
        sha256: checksum of its bytes, in hex.
        dag_id: id of the DAG.
        pipeline: registered pipeline that the DAG runs.
        images: references of the images by their name in the settings; an external image is its own name.
    """

    sha256: str
    dag_id: str
    pipeline: str
    images: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnershipManifest:
    """The files that one project has published for one environment.

    Attributes:
        project: import name of the project's package.
        project_name: name of the project in its pyproject.toml.
        environment: Kedro environment of the pods, or None.
        files: the DAG files by path, relative to the target folder.
        generator: version of this plugin.
    """

    project: str
    project_name: str
    environment: str | None
    files: Mapping[str, PublishedFile]
    generator: str = field(default=__version__)

    @property
    def images(self) -> dict[str, str]:
        """Return the references of all images by name."""
        return {name: image for file in self.files.values() for name, image in file.images.items()}

    @property
    def owner_label(self) -> str:
        """Return the project and its environment, for messages."""
        return format_owner(self.project, self.environment)

    def to_json(self) -> str:
        """Return the content of the manifest file: sorted, and unchanged as long as no DAG changes."""
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
    """Return a project and its environment, if any, for messages."""
    return f"project {project}" + (f", environment {json.dumps(environment)}" if environment else "")


def compute_sha256(content: bytes) -> str:
    """Return the checksum of a file, as manifests have it."""
    return hashlib.sha256(content).hexdigest()


def manifest_path(project: str, environment: str | None) -> str:
    """Return the path of a manifest, relative to the target folder."""
    name = project if environment is None else f"{project}@{names.to_airflow_key(environment, [environment])}"
    if len(name) > 200:
        name = f"{name[:190]}-{names.short_hash([name])}"
    return f"{_MANIFESTS_FOLDER}/{name}.json"


def repository_path(folder: str, path: str) -> str:
    """Return the path in the repository for a path in the target folder."""
    return f"{folder}/{path}" if folder else path


def target_folder_of(path: str) -> str | None:
    """Return the target folder that a manifest belongs to ("" for the top); None if the path is not that of a manifest."""
    above, _, name = path.rpartition("/")
    if name.endswith(".json") and (above == _MANIFESTS_FOLDER or above.endswith(f"/{_MANIFESTS_FOLDER}")):
        return above[: -len(_MANIFESTS_FOLDER)].rstrip("/")
    return None


def read_manifest(content: bytes, location: Location) -> OwnershipManifest:
    """Parse a manifest.

    Args:
        content: content of the file.
        location: where the file is, for messages.

    Raises:
        Refused: the content is not a manifest, or a later version of this plugin has written it.
    """
    try:
        raw = json.loads(content.decode("utf-8"))
        if raw["version"] != _FORMAT_VERSION:
            raise refuse(
                "publish-manifest",
                location,
                f"has version {raw['version']!r}; this kedro-k8s-airflow {__version__} reads version {_FORMAT_VERSION}.",
                f"Use kedro-k8s-airflow {raw.get('generator')} or newer.",
            )
        files = {_check_file_name(path): _parse_published_file(raw_file) for path, raw_file in raw["files"].items()}
        texts = [_check_text(raw[key]) for key in ("project", "project_name", "generator")]
        environment = raw["environment"]
        if environment is not None:
            environment.encode()
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as exc:
        raise refuse(
            "publish-manifest",
            location,
            f"is not a valid manifest ({type(exc).__name__}: {exc}), so the owner of the files is unknown.",
            "Restore it from git's history.",
        ) from None
    return OwnershipManifest(
        project=texts[0], project_name=texts[1], generator=texts[2], environment=environment, files=files
    )


def _check_file_name(path: str) -> str:
    """Check that a path is a file name; raise ValueError otherwise."""
    if not _check_text(path) or path in (".", "..") or "/" in path or "\\" in path:
        raise ValueError(f"{path!r} is not a file name")
    return path


def _parse_published_file(raw: Mapping[str, Any]) -> PublishedFile:
    file = PublishedFile(**raw)
    for text in (file.sha256, file.dag_id, *file.images, *file.images.values()):
        _check_text(text)
    file.pipeline.encode()
    return file


def _check_text(value: Any) -> str:
    """Check that a value is a printable text; raise TypeError or ValueError otherwise."""
    if not isinstance(value, str):
        raise TypeError("expected a string")
    if not value.isprintable():
        raise ValueError(f"{value!r} is not printable")
    return value
