"""Folders in the pod: claims and the credentials Secret of every pod, and writable folders for files that are lost with it."""

from __future__ import annotations

import itertools
import posixpath
from typing import TYPE_CHECKING

from kedro_k8s_airflow.findings import refuse
from kedro_k8s_airflow.locations import Location
from kedro_k8s_airflow.plan.model import Mount
from kedro_k8s_airflow.plan.reach import is_windows_path
from kedro_k8s_airflow.project.pod_environment import find_placeholders

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kedro_k8s_airflow.config.models import Settings
    from kedro_k8s_airflow.plan.context import PlanContext
    from kedro_k8s_airflow.project.model import Project


# Names of volumes that every pod has.
RESERVED_NAMES = ("tmp", "home", "credentials")
_SYSTEM_FOLDERS = ("/bin", "/dev", "/etc", "/lib", "/lib64", "/opt/venv", "/proc", "/sbin", "/sys", "/usr")


def build_mounts(context: PlanContext) -> tuple[Mount, ...]:
    """Return the volumes of every pod: the claims of the settings and the credentials' Secret.

    Raises:
        Refused: when a mount would hide the project's own files, or two are in one place.
    """
    project, settings = context.project, context.settings
    mounts: list[Mount] = []
    for name, volume in settings.data.volumes.items():
        path = path_in_pod(volume.mount, settings)
        hidden = find_hidden(path, project, settings.project_path)
        if hidden:
            raise refuse(
                "volume",
                context.location_of("data", "volumes", name, "mount"),
                f"{volume.mount!r} would hide {hidden} in the image.",
                "Mount a folder that holds only data.",
            )
        mounts.append(
            Mount(name=name, path=path, claim=volume.claim, sub_path=volume.subPath, read_only=volume.readOnly)
        )
    paths = [mount.path for mount in mounts]
    duplicate = next((path for path in paths if paths.count(path) > 1), None)
    if duplicate:
        raise refuse(
            "volume",
            context.location_of("data", "volumes"),
            f"two volumes are mounted at {duplicate}.",
            "Mount each at its own folder.",
        )
    if settings.credentials_secret is not None:
        secret = settings.credentials_secret
        if "://" in project.conf_source:
            raise refuse(
                "volume",
                context.location_of("credentials_secret"),
                f"cannot be mounted into the configuration at {project.conf_source}.",
                "Keep the configuration in the project, or give credentials by envFrom.",
            )
        path = posixpath.join(conf_in_pod(project, settings), project.run_env, "credentials_from_secret.yml")
        mounts.append(Mount(name="credentials", path=path, secret=secret.name, key=secret.key, read_only=True))
    return tuple(mounts)


def path_in_pod(path: str, settings: Settings) -> str:
    """Return the absolute path in the pod of a path that is relative to the project."""
    return posixpath.normpath(posixpath.join(settings.project_path, path))


def find_hidden(path: str, project: Project, project_path: str) -> str | None:
    """Return what a volume at `path` would hide in the image: the project's own files, or the system's; None if nothing."""
    if path in ("/", "/opt", "/home") or any(
        path == system_folder or path.startswith(f"{system_folder}/") for system_folder in _SYSTEM_FOLDERS
    ):
        return "the system's own files"
    conf = project.conf_folder
    for folder in ("", project.code_folder, conf, ".k8s-airflow"):
        own = posixpath.normpath(posixpath.join(project_path, folder))
        if own == path or own.startswith(f"{path}/"):
            return f"the project's own files ({own})"
        if folder not in ("", ".") and path.startswith(f"{own}/"):
            path_in_project = project.path / posixpath.relpath(path, project_path)
            if folder != project.code_folder or any(path_in_project.rglob("*.py")):
                return f"the project's own files ({path})"
    return None


def conf_in_pod(project: Project, settings: Settings) -> str:
    """Return the configuration folder as pods name it."""
    if "://" in project.conf_source:
        return project.conf_source
    return posixpath.normpath(posixpath.join(settings.project_path, project.conf_source))


def _known_part(path: str, project: Project) -> str:
    """Return a path up to the first folder or file whose name depends on an environment variable of the pods."""
    parts = path.split("/")
    known = itertools.takewhile(lambda part: not any(find_placeholders(part, project.unknown_variables)), parts)
    depth = len(list(known))
    return path if depth == len(parts) else "/".join(parts[: depth + 1])


def find_scratch_folders(paths: Sequence[str], context: PlanContext) -> tuple[str, ...]:
    """Return the folders that must be writable in the pod for local files that are lost with it.

    Raises:
        Refused: when such a file would lie beside the project's own files, or in a folder of the image.
    """
    if not paths:
        return ()
    project, settings = context.project, context.settings
    folders: set[str] = set()
    conf = project.conf_folder
    project_folders = [path_in_pod(name, settings) for name in ("", project.code_folder, conf)]
    for path in paths:
        if is_windows_path(path):
            continue  # `data-windows` reports it
        folder = posixpath.dirname(_known_part(path, project))
        if (
            any(own == folder or own.startswith(f"{folder}/") for own in project_folders)
            and not posixpath.splitext(path)[1]
        ):
            folder = path  # a folder of partitions, directly in the project
        hidden = next(
            (own for own in project_folders if own == folder or own.startswith(f"{folder.rstrip('/')}/")), None
        )
        if hidden is not None:
            raise refuse(
                "data-place",
                Location(file=path),
                f"is beside the project's own files ({hidden}), where pods cannot write.",
                "Save it in a folder that holds only data.",
            )
        for pattern in settings.data.in_image:
            image_folder = path_in_pod(pattern, settings)
            if image_folder == folder or image_folder.startswith(folder + "/") or folder.startswith(image_folder + "/"):
                raise refuse(
                    "data-place",
                    Location(file=path),
                    f"is written into {folder}, which the image carries (data.in_image: {pattern}).",
                    "Save it in another folder.",
                )
        folders.add(folder)
    return tuple(folder for folder in sorted(folders) if not any(folder.startswith(other + "/") for other in folders))
