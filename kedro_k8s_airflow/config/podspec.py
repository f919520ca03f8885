"""Parts of a PodSpec and Container that a task's settings may hold, spelled as Kubernetes spells them.

Source: https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/
"""

# ruff: noqa: N815  Kubernetes spells its fields in camelCase

from __future__ import annotations

import re
from typing import Literal

from pydantic import ConfigDict, Field, model_validator

from kedro_k8s_airflow import credential_detection
from kedro_k8s_airflow.config.types import (
    DnsLabel,
    DnsName,
    Mapping,
    Model,
    Quantity,
    Resource,
    SubPath,
    Text,
    VolumeName,
)

_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


class KeyRef(Model):
    """One key of a Secret or ConfigMap."""

    name: DnsName = Field(description="Name of the Secret or ConfigMap.")
    key: Text = Field(description="Key inside it.")
    optional: bool | None = Field(default=None, description="Let the pod start when it is not there.")


class EnvSource(Model):
    """Where the value of an environment variable comes from."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1, "maxProperties": 1})

    secretKeyRef: KeyRef | None = Field(default=None, description="A key of a Secret.")
    configMapKeyRef: KeyRef | None = Field(default=None, description="A key of a ConfigMap.")
    fieldRef: Mapping | None = Field(default=None, description="A field of the pod: `{fieldPath: status.podIP}`.")
    resourceFieldRef: Mapping | None = Field(
        default=None, description="A resource of the container: `{resource: limits.memory}`."
    )

    @model_validator(mode="after")
    def _one_source(self) -> EnvSource:
        if len(self.model_fields_set) != 1:
            raise ValueError(f"give exactly one of {', '.join(type(self).model_fields)}")
        return self


class EnvVar(Model):
    """One environment variable of the container."""

    name: str = Field(description="Name of the variable.")
    value: str | None = Field(default=None, description="A literal, which the DAG file shows to everyone.")
    valueFrom: EnvSource | None = Field(default=None, description="Where the value comes from, instead of `value`.")

    @model_validator(mode="after")
    def _sound(self) -> EnvVar:
        if not _ENV_NAME.match(self.name):
            raise ValueError(f"{self.name!r} is no name of an environment variable")
        if self.name.startswith("KEDRO_K8S_AIRFLOW_"):
            raise ValueError(f"{self.name} is one of the names that pods are told things by; choose another")
        if (self.value is None) == (self.valueFrom is None):
            raise ValueError("give either value or valueFrom")
        if self.value is not None and credential_detection.is_secret_name(self.name):
            raise ValueError(
                f"{self.name} looks like a credential, and the DAG file shows it to everyone; use valueFrom.secretKeyRef"
            )
        return self


class SourceRef(Model):
    """A Secret or ConfigMap, whole."""

    name: DnsName = Field(description="Name of the Secret or ConfigMap.")
    optional: bool | None = Field(default=None, description="Let the pod start when it is not there.")


class EnvFrom(Model):
    """All keys of a Secret or ConfigMap as environment variables."""

    configMapRef: SourceRef | None = Field(default=None, description="A ConfigMap.")
    secretRef: SourceRef | None = Field(default=None, description="A Secret.")
    prefix: str | None = Field(default=None, description="Put before every name.")

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

    key: str | None = Field(default=None, description="Key of the taint; every taint if not given.")
    operator: Literal["Exists", "Equal"] | None = Field(
        default=None, description="`Exists`: whatever its value; `Equal`, the default: the value given."
    )
    value: str | None = Field(default=None, description="Value of the taint.")
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = Field(
        default=None, description="Effect of the taint; all effects if not given."
    )
    tolerationSeconds: int | None = Field(
        default=None, description="Seconds that a `NoExecute` taint is accepted; for ever if not given."
    )


class Affinity(Model):
    """Where the pod would like to run."""

    nodeAffinity: Mapping | None = Field(default=None, description="Cluster nodes it is drawn to.")
    podAffinity: Mapping | None = Field(default=None, description="Pods it is drawn to.")
    podAntiAffinity: Mapping | None = Field(default=None, description="Pods it keeps away from.")


class Capabilities(Model):
    """Rights of the container beyond those of an ordinary process."""

    add: list[Text] | None = Field(default=None, description="Capabilities to add, such as `[NET_BIND_SERVICE]`.")
    drop: list[Text] | None = Field(default=None, description="Capabilities to drop; built in: `[ALL]`.")


class ContainerSecurityContext(Model):
    """Rights of the container; null takes a default away."""

    allowPrivilegeEscalation: bool | None = Field(
        default=None, description="Whether a process may gain more rights than its parent."
    )
    appArmorProfile: Mapping | None = Field(default=None, description="AppArmor profile: `{type: RuntimeDefault}`.")
    capabilities: Capabilities | None = Field(default=None, description="Rights beyond those of an ordinary process.")
    privileged: bool | None = Field(default=None, description="All rights of the cluster node's root.")
    procMount: str | None = Field(default=None, description="Kind of `/proc`: `Default` or `Unmasked`.")
    readOnlyRootFilesystem: bool | None = Field(
        default=None, description="Whether files of the image cannot be written."
    )
    runAsGroup: int | None = Field(default=None, description="Group id of the processes.")
    runAsNonRoot: bool | None = Field(default=None, description="Refuse to start as root.")
    runAsUser: int | None = Field(default=None, description="User id of the processes.")
    seLinuxOptions: Mapping | None = Field(default=None, description="SELinux labels.")
    seccompProfile: Mapping | None = Field(default=None, description="Seccomp profile: `{type: RuntimeDefault}`.")


class PodSecurityContext(Model):
    """Rights of the pod; null takes a default away."""

    appArmorProfile: Mapping | None = Field(default=None, description="AppArmor profile: `{type: RuntimeDefault}`.")
    fsGroup: int | None = Field(default=None, description="Group id that owns the volumes.")
    fsGroupChangePolicy: Literal["OnRootMismatch", "Always"] | None = Field(
        default=None, description="When files of a volume are given to `fsGroup`."
    )
    runAsGroup: int | None = Field(default=None, description="Group id of the processes.")
    runAsNonRoot: bool | None = Field(default=None, description="Refuse to start as root.")
    runAsUser: int | None = Field(default=None, description="User id of the processes.")
    seLinuxOptions: Mapping | None = Field(default=None, description="SELinux labels.")
    seccompProfile: Mapping | None = Field(default=None, description="Seccomp profile: `{type: RuntimeDefault}`.")
    supplementalGroups: list[int] | None = Field(default=None, description="Further group ids of the processes.")
    sysctls: list[Mapping] | None = Field(default=None, description="Kernel parameters: `[{name: ..., value: ...}]`.")


class PodVolume(Model):
    """A further volume of the pod, with exactly one source."""

    name: VolumeName = Field(description="Name that `volumeMounts` refer to.")
    configMap: Mapping | None = Field(default=None, description="Files of a ConfigMap.")
    csi: Mapping | None = Field(default=None, description="An inline volume of a CSI driver.")
    downwardAPI: Mapping | None = Field(default=None, description="Files about the pod itself.")
    emptyDir: Mapping | None = Field(default=None, description="An empty folder that goes with the pod.")
    ephemeral: Mapping | None = Field(default=None, description="A claim that goes with the pod.")
    hostPath: Mapping | None = Field(default=None, description="A path of the cluster node.")
    nfs: Mapping | None = Field(default=None, description="An NFS export.")
    persistentVolumeClaim: Mapping | None = Field(default=None, description="A claim: `{claimName: ...}`.")
    projected: Mapping | None = Field(default=None, description="Several sources in one folder.")
    secret: Mapping | None = Field(default=None, description="Files of a Secret.")

    @model_validator(mode="after")
    def _one_source(self) -> PodVolume:
        sources = [name for name in type(self).model_fields if name != "name"]
        if sum(getattr(self, name) is not None for name in sources) != 1:
            raise ValueError(f"give exactly one of {', '.join(sources)}")
        return self


class VolumeMount(Model):
    """Where a volume appears in the container."""

    name: DnsLabel = Field(description="Name of the volume.")
    mountPath: Text = Field(description="Absolute path in the container.")
    subPath: SubPath | None = Field(default=None, description="Path inside the volume; all of it if not given.")
    readOnly: bool | None = Field(default=None, description="Mount it read-only.")
