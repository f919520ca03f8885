"""The Pod that a task's settings describe, without what the compiler adds, and which key of the settings each field comes from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kedro_k8s_airflow.dag.pod_manifest import CONTAINER_ARGUMENTS, SPEC_ARGUMENTS
from kedro_k8s_airflow.dag.task_calls import CONTAINER_KEYS, POD_ARGUMENTS
from kedro_k8s_airflow.kubernetes.pod_rules import find_pod_problems
from kedro_k8s_airflow.kubernetes.pod_schema import PodObject, PodProblem, find_newer_fields, walk_pod
from kedro_k8s_airflow.plan.volumes import RESERVED_NAMES

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    Path = tuple[str, ...]

_BASE: Path = ("spec", "containers", "0")
_TEMPLATE: Path = ("operator", "pod_template_dict")
# Key of the settings -> field of the Pod.
_PLACES: dict[Path, Path] = {
    **{(key,): (*_BASE, key) if key in CONTAINER_KEYS else ("spec", key) for key in POD_ARGUMENTS},
    **{(key,): (*_BASE, key) for key in ("env", "volumeMounts")},
    **{(key,): ("spec", key) for key in ("activeDeadlineSeconds", "volumes")},
    **{(key,): ("metadata", key) for key in ("labels", "annotations")},
    **{("operator", name): ("spec", field) for name, field in SPEC_ARGUMENTS.items()},
    **{("operator", name): (*_BASE, field) for name, field in CONTAINER_ARGUMENTS.items()},
    ("podSecurityContext",): ("spec", "securityContext"),
}
_SETTINGS_KEYS = {place: key for key, place in _PLACES.items()}


def find_settings_problems(settings: Mapping[str, Any], volume_names: Collection[str]) -> Iterator[PodProblem]:
    """Yield what Kubernetes refuses in the pod of a task; paths are keys of its settings.

    Args:
        settings: the settings of a task.
        volume_names: names of the volumes that the compiler adds to the pod.
    """
    pods = build_settings_pods(settings)
    mountable = {*volume_names, *RESERVED_NAMES, *(name for pod in pods.values() for name in _volume_names(pod))}
    for place, pod in pods.items():
        for problem in find_pod_problems(pod, mountable):
            yield PodProblem(settings_path(place, problem.path), problem.message, problem.help)


def find_newer_settings(settings: Mapping[str, Any]) -> Iterator[PodProblem]:
    """Yield the fields of a task's pod that not every known version of Kubernetes has; paths are keys of its settings."""
    for place, pod in build_settings_pods(settings).items():
        for found in walk_pod(pod, "Pod"):
            if isinstance(found, PodObject):
                for problem in find_newer_fields(found):
                    yield PodProblem(settings_path(place, problem.path), problem.message, problem.help)


def iterate_specs(settings: Mapping[str, Any]) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    """Yield the PodSpec of a task's settings, and that of its pod template; one with wrong types is left out.

    Yields:
        An empty path or the key of the template, and the spec.
    """
    for place, pod in build_settings_pods(settings).items():
        if not any(isinstance(item, PodProblem) for item in walk_pod(pod, "Pod")):
            yield place, pod.get("spec") or {}


def iterate_containers(settings: Mapping[str, Any]) -> Iterator[tuple[Path, Mapping[str, Any], Mapping[str, Any]]]:
    """Yield every container of a task's pod: where its settings are, its fields, and the security context of the pod.

    The container that runs the nodes is the first one, with an empty path. A first container of a pod template is left out: Airflow merges
    it with that one. So are containers with wrong types, which `find_settings_problems` reports.
    """
    context = settings.get("podSecurityContext") or {}
    for place, spec in iterate_specs(settings):
        shared = context or spec.get("securityContext") or {}
        for key in ("containers", "initContainers"):
            for index, container in enumerate(spec.get(key) or ()):
                path = ("spec", key, str(index))
                if path == _BASE and not place:
                    yield (), container, shared
                elif path != _BASE:
                    yield settings_path(place, path), container, shared


def build_settings_pods(settings: Mapping[str, Any]) -> dict[Path, Any]:
    """Return the Pod of the settings, and the pod template by its key if there is one."""
    pod: dict[str, Any] = {"metadata": {}, "spec": {"containers": [{"name": "base", "image": "image"}]}}
    parts: dict[Path, dict[str, Any]] = {
        ("metadata",): pod["metadata"],
        ("spec",): pod["spec"],
        _BASE: pod["spec"]["containers"][0],
    }
    for key, place in _PLACES.items():
        value: Any = settings
        for part in key:
            value = (value or {}).get(part)
        if value is not None:
            parts[place[:-1]][place[-1]] = value
    template = (settings.get("operator") or {}).get(_TEMPLATE[1])
    return {(): pod} if template is None else {(): pod, _TEMPLATE: _complete_template(template)}


def _complete_template(template: Any) -> Any:
    """Return a pod template with what Airflow adds to it: the container that runs the nodes."""
    spec = template.get("spec") if isinstance(template, dict) else None
    spec = {} if spec is None else spec
    if not isinstance(template, dict) or not isinstance(spec, dict):
        return template
    containers = spec.get("containers") or [{}]
    if isinstance(containers, list) and isinstance(containers[0], dict):
        containers = [{"name": "base", "image": "image", **containers[0]}, *containers[1:]]
    return {**template, "spec": {**spec, "containers": containers}}


def _volume_names(pod: Any) -> list[str]:
    return (
        [str(volume.get("name")) for volume in _list_of_maps(pod.get("spec"), "volumes")]
        if isinstance(pod, dict)
        else []
    )


def _list_of_maps(spec: Any, key: str) -> list[dict[str, Any]]:
    """Return the maps in a list that may not have been checked yet."""
    items = spec.get(key) if isinstance(spec, dict) else None
    return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []


def settings_path(place: Path, path: Path) -> Path:
    """Return the key of the settings that a path of a pod comes from.

    Args:
        place: an empty path for the pod of the settings, else the key of the pod template.
        path: the path in the pod.
    """
    if place:
        return (*place, *path)
    for length in range(len(path), 0, -1):
        key = _SETTINGS_KEYS.get(path[:length])
        if key is not None:
            return (*key, *path[length:])
    return ()
