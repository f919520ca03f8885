"""Parts of a PodSpec and Container that a task's settings may hold, spelled as Kubernetes spells them.

Source: https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/
"""

# ruff: noqa: N815  Kubernetes spells its fields in camelCase

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field, model_validator

from kedro_k8s_airflow import secrets
from kedro_k8s_airflow.fields import DnsLabel, DnsName, Mapping, Model, Quantity, Resource, SubPath, Text, VolumeName

_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


class KeyRef(Model):
    """One key of a Secret or ConfigMap."""

    name: DnsName = Field(description="Name of the Secret or ConfigMap.")
    key: Text = Field(description="Key inside it.")
    optional: bool | None = None


class EnvSource(Model):
    """Where the value of an environment variable comes from."""

    secretKeyRef: KeyRef | None = None
    configMapKeyRef: KeyRef | None = None
    fieldRef: Mapping | None = None
    resourceFieldRef: Mapping | None = None

    @model_validator(mode="after")
    def _one_source(self) -> EnvSource:
        if len(self.model_fields_set) != 1:
            raise ValueError(f"give exactly one of {', '.join(type(self).model_fields)}")
        return self


class EnvVar(Model):
    """One environment variable of the container."""

    name: str
    value: str | None = None
    valueFrom: EnvSource | None = None

    @model_validator(mode="after")
    def _sound(self) -> EnvVar:
        if not _ENV_NAME.match(self.name):
            raise ValueError(f"{self.name!r} is no name of an environment variable")
        if self.name.startswith("KEDRO_K8S_AIRFLOW_"):
            raise ValueError(f"{self.name} is one of the names that pods are told things by; choose another")
        if (self.value is None) == (self.valueFrom is None):
            raise ValueError("give either value or valueFrom")
        if self.value is not None and secrets.is_secret_name(self.name):
            raise ValueError(
                f"{self.name} looks like a credential, and the DAG file shows it to everyone; use valueFrom.secretKeyRef"
            )
        return self


class SourceRef(Model):
    """A Secret or ConfigMap, whole."""

    name: DnsName
    optional: bool | None = None


class EnvFrom(Model):
    """All keys of a Secret or ConfigMap as environment variables."""

    configMapRef: SourceRef | None = None
    secretRef: SourceRef | None = None
    prefix: str | None = None

    @model_validator(mode="after")
    def _one_source(self) -> EnvFrom:
        if (self.configMapRef is None) == (self.secretRef is None):
            raise ValueError("give either configMapRef or secretRef")
        return self


class Resources(Model):
    """Requests and limits of the container."""

    requests: dict[Resource, Quantity | None] = Field(
        default_factory=dict, description="What the scheduler sets aside."
    )
    limits: dict[Resource, Quantity | None] = Field(
        default_factory=dict, description="What the container may use at most."
    )


class Toleration(Model):
    """A taint of nodes that the pod accepts."""

    key: str | None = None
    operator: Literal["Exists", "Equal"] | None = None
    value: str | None = None
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    tolerationSeconds: int | None = None


class Affinity(Model):
    """Where the pod would like to run."""

    nodeAffinity: Mapping | None = None
    podAffinity: Mapping | None = None
    podAntiAffinity: Mapping | None = None


class ContainerSecurityContext(Model):
    """Rights of the container; null takes a default away."""

    allowPrivilegeEscalation: bool | None = None
    appArmorProfile: Mapping | None = None
    capabilities: Mapping | None = None
    privileged: bool | None = None
    procMount: str | None = None
    readOnlyRootFilesystem: bool | None = None
    runAsGroup: int | None = None
    runAsNonRoot: bool | None = None
    runAsUser: int | None = None
    seLinuxOptions: Mapping | None = None
    seccompProfile: Mapping | None = None


class PodSecurityContext(Model):
    """Rights of the pod; null takes a default away."""

    appArmorProfile: Mapping | None = None
    fsGroup: int | None = None
    fsGroupChangePolicy: Literal["OnRootMismatch", "Always"] | None = None
    runAsGroup: int | None = None
    runAsNonRoot: bool | None = None
    runAsUser: int | None = None
    seLinuxOptions: Mapping | None = None
    seccompProfile: Mapping | None = None
    supplementalGroups: list[int] | None = None
    sysctls: list[Mapping] | None = None


class PodVolume(Model):
    """A further volume of the pod, with exactly one source."""

    name: VolumeName
    configMap: Mapping | None = None
    csi: Mapping | None = None
    downwardAPI: Mapping | None = None
    emptyDir: Mapping | None = None
    ephemeral: Mapping | None = None
    hostPath: Mapping | None = None
    nfs: Mapping | None = None
    persistentVolumeClaim: Mapping | None = None
    projected: Mapping | None = None
    secret: Mapping | None = None

    @model_validator(mode="after")
    def _one_source(self) -> PodVolume:
        sources = [name for name in type(self).model_fields if name != "name"]
        if sum(getattr(self, name) is not None for name in sources) != 1:
            raise ValueError(f"give exactly one of {', '.join(sources)}")
        return self


class VolumeMount(Model):
    """Where a volume appears in the container."""

    name: DnsLabel
    mountPath: Text
    subPath: SubPath | None = None
    readOnly: bool | None = None
