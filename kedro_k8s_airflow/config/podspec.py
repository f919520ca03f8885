"""Models of the parts of a PodSpec and Container that a task's settings may hold, spelled as in Kubernetes.

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
    JsonObject,
    Model,
    Quantity,
    Resource,
    SubPath,
    Text,
    VolumeName,
)

_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
KEDRO_ENV = "KEDRO_ENV"
KEDRO_ENV_PROBLEM = (
    "KEDRO_ENV would make pods read another environment than the DAG was made from; "
    "remove it, and run the commands with `--env`"
)


class KeyRef(Model):
    """One key of a Secret or ConfigMap."""

    name: DnsName = Field(description="Name of the Secret or ConfigMap.")
    key: Text = Field(description="Key in the Secret or ConfigMap.")
    optional: bool | None = Field(default=None, description="Let the pod start even if it does not exist.")


class EnvSource(Model):
    """Source of the value of an environment variable."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1, "maxProperties": 1})

    secretKeyRef: KeyRef | None = Field(default=None, description="A key of a Secret.")
    configMapKeyRef: KeyRef | None = Field(default=None, description="A key of a ConfigMap.")
    fieldRef: JsonObject | None = Field(default=None, description="A field of the pod: `{fieldPath: status.podIP}`.")
    resourceFieldRef: JsonObject | None = Field(
        default=None, description="A resource of the container: `{resource: limits.memory}`."
    )

    @model_validator(mode="after")
    def _check_source(self) -> EnvSource:
        if len(self.model_fields_set) != 1:
            raise ValueError(f"it needs exactly one of {', '.join(type(self).model_fields)}")
        return self


class EnvVar(Model):
    """One environment variable of the container."""

    name: str = Field(description="Name of the variable.")
    value: str | None = Field(default=None, description="A literal value; the DAG file shows it to everyone.")
    valueFrom: EnvSource | None = Field(default=None, description="Source of the value, instead of `value`.")

    @model_validator(mode="after")
    def _check_variable(self) -> EnvVar:
        if not _ENV_NAME.match(self.name):
            raise ValueError(f"{self.name!r} is not a valid name of an environment variable")
        if self.name.startswith("KEDRO_K8S_AIRFLOW_"):
            raise ValueError("the prefix KEDRO_K8S_AIRFLOW_ is reserved; choose another name")
        if self.name == KEDRO_ENV:
            raise ValueError(KEDRO_ENV_PROBLEM)
        if (self.value is None) == (self.valueFrom is None):
            raise ValueError("it needs either value or valueFrom")
        if self.value is not None and credential_detection.is_secret_name(self.name):
            raise ValueError(
                f"{self.name} looks like a credential, which the DAG file would show to everyone; use valueFrom.secretKeyRef"
            )
        return self


class SourceRef(Model):
    """A whole Secret or ConfigMap."""

    name: DnsName = Field(description="Name of the Secret or ConfigMap.")
    optional: bool | None = Field(default=None, description="Let the pod start even if it does not exist.")


class PullSecret(Model):
    """A Secret with the credentials of a registry."""

    name: DnsName = Field(description="Name of the Secret.")


class EnvFrom(Model):
    """All keys of a Secret or ConfigMap as environment variables."""

    configMapRef: SourceRef | None = Field(default=None, description="A ConfigMap.")
    secretRef: SourceRef | None = Field(default=None, description="A Secret.")
    prefix: str | None = Field(default=None, description="Prefix for every name.")

    @model_validator(mode="after")
    def _check_source(self) -> EnvFrom:
        if (self.configMapRef is None) == (self.secretRef is None):
            raise ValueError("it needs either configMapRef or secretRef")
        return self


class Resources(Model):
    """Requests and limits of the container."""

    requests: dict[Resource, Quantity | None] = Field(
        default_factory=dict, description="Resources that the scheduler reserves."
    )
    limits: dict[Resource, Quantity | None] = Field(
        default_factory=dict, description="Resources that the container may use at most."
    )


class Toleration(Model):
    """A taint of cluster nodes that the pod tolerates."""

    key: str | None = Field(default=None, description="Key of the taint; defaults to every taint.")
    operator: Literal["Exists", "Equal"] | None = Field(
        default=None, description="`Exists` matches any value, `Equal` (the default) the value given."
    )
    value: str | None = Field(default=None, description="Value of the taint.")
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = Field(
        default=None, description="Effect of the taint; defaults to all effects."
    )
    tolerationSeconds: int | None = Field(
        default=None, description="Seconds for which a `NoExecute` taint is tolerated; defaults to no limit."
    )


class Affinity(Model):
    """Scheduling preferences of the pod."""

    nodeAffinity: JsonObject | None = Field(default=None, description="Cluster nodes to prefer or require.")
    podAffinity: JsonObject | None = Field(default=None, description="Pods to run close to.")
    podAntiAffinity: JsonObject | None = Field(default=None, description="Pods to keep away from.")


class Capabilities(Model):
    """Linux capabilities of the container."""

    add: list[Text] | None = Field(default=None, description="Capabilities to add, such as `[NET_BIND_SERVICE]`.")
    drop: list[Text] | None = Field(default=None, description="Capabilities to drop; defaults to `[ALL]`.")


class ContainerSecurityContext(Model):
    """Security context of the container; null removes a default."""

    allowPrivilegeEscalation: bool | None = Field(
        default=None, description="Whether a process can gain more privileges than its parent."
    )
    appArmorProfile: JsonObject | None = Field(default=None, description="AppArmor profile: `{type: RuntimeDefault}`.")
    capabilities: Capabilities | None = Field(default=None, description="Linux capabilities to add or drop.")
    privileged: bool | None = Field(default=None, description="Run with all privileges of root on the cluster node.")
    procMount: str | None = Field(default=None, description="Type of `/proc` mount: `Default` or `Unmasked`.")
    readOnlyRootFilesystem: bool | None = Field(default=None, description="Make the root file system read-only.")
    runAsGroup: int | None = Field(default=None, description="Group ID of the processes.")
    runAsNonRoot: bool | None = Field(default=None, description="Refuse to start as root.")
    runAsUser: int | None = Field(default=None, description="User ID of the processes.")
    seLinuxOptions: JsonObject | None = Field(default=None, description="SELinux labels.")
    seccompProfile: JsonObject | None = Field(default=None, description="Seccomp profile: `{type: RuntimeDefault}`.")


class PodSecurityContext(Model):
    """Security context of the pod; null removes a default."""

    appArmorProfile: JsonObject | None = Field(default=None, description="AppArmor profile: `{type: RuntimeDefault}`.")
    fsGroup: int | None = Field(default=None, description="Group ID that owns the volumes.")
    fsGroupChangePolicy: Literal["OnRootMismatch", "Always"] | None = Field(
        default=None, description="When to change the ownership of a volume's files to `fsGroup`."
    )
    runAsGroup: int | None = Field(default=None, description="Group ID of the processes.")
    runAsNonRoot: bool | None = Field(default=None, description="Refuse to start as root.")
    runAsUser: int | None = Field(default=None, description="User ID of the processes.")
    seLinuxOptions: JsonObject | None = Field(default=None, description="SELinux labels.")
    seccompProfile: JsonObject | None = Field(default=None, description="Seccomp profile: `{type: RuntimeDefault}`.")
    supplementalGroups: list[int] | None = Field(default=None, description="Additional group IDs of the processes.")
    sysctls: list[JsonObject] | None = Field(
        default=None, description="Kernel parameters: `[{name: ..., value: ...}]`."
    )


class PodVolume(Model):
    """An additional volume of the pod, with exactly one source."""

    name: VolumeName = Field(description="Name that `volumeMounts` refer to.")
    configMap: JsonObject | None = Field(default=None, description="Files from a ConfigMap.")
    csi: JsonObject | None = Field(default=None, description="An inline volume of a CSI driver.")
    downwardAPI: JsonObject | None = Field(default=None, description="Files with information about the pod.")
    emptyDir: JsonObject | None = Field(default=None, description="An empty folder that is deleted with the pod.")
    ephemeral: JsonObject | None = Field(default=None, description="A claim that is deleted with the pod.")
    hostPath: JsonObject | None = Field(default=None, description="A path on the cluster node.")
    nfs: JsonObject | None = Field(default=None, description="An NFS export.")
    persistentVolumeClaim: JsonObject | None = Field(default=None, description="A claim: `{claimName: ...}`.")
    projected: JsonObject | None = Field(default=None, description="Several sources in one folder.")
    secret: JsonObject | None = Field(default=None, description="Files from a Secret.")

    @model_validator(mode="after")
    def _check_source(self) -> PodVolume:
        sources = [name for name in type(self).model_fields if name != "name"]
        if sum(getattr(self, name) is not None for name in sources) != 1:
            raise ValueError(f"it needs exactly one of {', '.join(sources)}")
        return self


class VolumeMount(Model):
    """Where a volume is mounted in the container."""

    name: DnsLabel = Field(description="Name of the volume.")
    mountPath: Text = Field(description="Absolute path in the container.")
    subPath: SubPath | None = Field(default=None, description="Path inside the volume; defaults to the whole volume.")
    readOnly: bool | None = Field(default=None, description="Mount it read-only.")
