"""What the pods of a project need in their namespace: claims, ServiceAccounts, and other objects that have to exist."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kedro_k8s_airflow.kubernetes.pod_schema import PodObject, walk_pod
from kedro_k8s_airflow.kubernetes.settings_pod import build_settings_pods
from kedro_k8s_airflow.quantities import greater_quantity

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from kedro_k8s_airflow.config.models import Settings, VolumeSettings
    from kedro_k8s_airflow.plan.model import Plan
    from kedro_k8s_airflow.plan.resolved_settings import ResolvedSettings

# Field of a pod that names an object -> the kind of that object.
_NAMED_OBJECTS = {
    "ConfigMapEnvSource.name": "ConfigMap",
    "ConfigMapKeySelector.name": "ConfigMap",
    "ConfigMapProjection.name": "ConfigMap",
    "ConfigMapVolumeSource.name": "ConfigMap",
    "LocalObjectReference.name": "Secret",
    "PersistentVolumeClaimVolumeSource.claimName": "PersistentVolumeClaim",
    "PodSpec.priorityClassName": "PriorityClass",
    "PodSpec.runtimeClassName": "RuntimeClass",
    "SecretEnvSource.name": "Secret",
    "SecretKeySelector.name": "Secret",
    "SecretProjection.name": "Secret",
    "SecretVolumeSource.secretName": "Secret",
}


@dataclass(frozen=True, slots=True)
class ClaimRequest:
    """A PersistentVolumeClaim to write.

    Attributes:
        name: its name.
        access_modes: the declared access modes, in the order of the settings.
        size: a Kubernetes quantity.
        storage_class: its storage class; None for the default of the cluster.
    """

    name: str
    access_modes: tuple[str, ...]
    size: str
    storage_class: str | None


@dataclass(frozen=True, slots=True, order=True)
class MissingObject:
    """An object that the pods need and `manifests` does not write.

    Attributes:
        kind: its kind in Kubernetes.
        name: its name.
        reason: why it is not written, if it could be; else an empty text.
    """

    kind: str
    name: str
    reason: str = ""


def find_claims(
    settings: Settings, sizes: Mapping[str | None, str], storage_class: str | None
) -> tuple[list[ClaimRequest], list[MissingObject]]:
    """Return the claims of the settings' volumes: those that can be written, and those that cannot.

    Args:
        settings: the settings.
        sizes: sizes by claim, which override the settings, and under None that of all others without one.
        storage_class: overrides the class of the settings.
    """
    volumes: dict[str, list[tuple[str, VolumeSettings]]] = {}
    for key, volume in settings.data.volumes.items():
        volumes.setdefault(volume.claim, []).append((key, volume))
    claims, missing = [], []
    for name, uses in volumes.items():
        key = f"data.volumes.{uses[0][0]}"
        modes = tuple(dict.fromkeys(volume.accessMode for _, volume in uses if volume.accessMode))
        size = sizes.get(name) or _largest(volume.size for _, volume in uses) or sizes.get(None)
        classes = {storage_class} if storage_class else {volume.storageClassName for _, volume in uses} - {None}
        if len(classes) > 1:
            reason = f"its volumes name several storage classes ({', '.join(sorted(map(str, classes)))})"
        elif not modes:
            reason = f"its access mode is not known; set {key}.accessMode"
        elif size is None:
            reason = f"its size is not known; set {key}.size, or use --size {name}=10Gi"
        else:
            claims.append(ClaimRequest(name, modes, size, next(iter(classes), None)))
            continue
        missing.append(MissingObject("PersistentVolumeClaim", name, reason))
    return claims, missing


def _largest(sizes: Iterable[str | None]) -> str | None:
    result: str | None = None
    for size in sizes:
        result = size if result is None or size is None else str(greater_quantity(result, size))
    return result


def find_accounts(plans: Sequence[Plan]) -> list[str]:
    """Return the ServiceAccounts that the settings name, without `default`, which every namespace has."""
    names = {settings.get("serviceAccountName") for settings in _iterate_settings(plans)}
    return sorted(name for name in names if name and name != "default")


def find_other_objects(plans: Sequence[Plan]) -> list[MissingObject]:
    """Return the objects of other kinds that pods name and that must exist, and claims that only `volumes` of a rule name."""
    found = {MissingObject("Secret", mount.secret) for plan in plans for mount in plan.mounts if mount.secret}
    for settings in _iterate_settings(plans):
        for pod in build_settings_pods(settings).values():
            for item in walk_pod(pod, "Pod"):
                if isinstance(item, PodObject) and not item.value.get("optional"):
                    found |= {
                        MissingObject(_NAMED_OBJECTS[f"{item.kind}.{field}"], str(name))
                        for field, name in item.value.items()
                        if f"{item.kind}.{field}" in _NAMED_OBJECTS
                    }
    return sorted(found)


def _iterate_settings(plans: Sequence[Plan]) -> Iterator[ResolvedSettings]:
    yield from dict.fromkeys(
        settings for plan in plans for settings in (plan.base, *(task.settings for task in plan.tasks))
    )
