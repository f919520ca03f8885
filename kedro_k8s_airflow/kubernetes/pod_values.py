"""Values of single fields of a Pod that Kubernetes accepts: names, ranges and lengths that the OpenAPI only describes in words.

Sources: the descriptions of the fields, https://kubernetes.io/docs/concepts/overview/working-with-objects/names/, and dry runs on an API
server (tests/kubernetes/pod_cases.py).
"""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, Any

from kedro_k8s_airflow.config.types import DNS_LABEL, DNS_SUBDOMAIN, LABEL_KEY, LABEL_VALUE
from kedro_k8s_airflow.credential_detection import show_value
from kedro_k8s_airflow.kubernetes.pod_schema import PodObject, PodProblem, is_template

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Format = tuple[Callable[[str], bool], str]

_MAX_INT32 = 2**31 - 1
_FIELD_PATH = re.compile(
    r"(metadata\.(name|namespace|uid|labels|annotations)"
    r"|metadata\.(labels|annotations)\['[^']+'\]"
    r"|spec\.(nodeName|serviceAccountName)|status\.(hostIP|hostIPs|podIP|podIPs))\Z"
)
_CONTAINER_RESOURCE = re.compile(r"(limits|requests)\.(cpu|memory|ephemeral-storage|hugepages-[0-9]+([KMGTPE]i?)?)\Z")
_PORT_NAME = re.compile(r"(?=.*[a-z])[a-z0-9]([a-z0-9]|-(?!-)){0,13}[a-z0-9]\Z|[a-z]\Z")
_SYSCTL = re.compile(r"([a-z0-9]([-_a-z0-9]*[a-z0-9])?[./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?\Z")


def _is_address(value: str) -> bool:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return False
    return not any(part != "0" and part.startswith("0") for part in value.split(".") if "." in value)


def _is_subdomain(value: str) -> bool:
    return len(value) <= 253 and re.fullmatch(DNS_SUBDOMAIN, value) is not None


def _is_inside(value: str) -> bool:
    return bool(value) and not value.startswith("/") and ".." not in value.split("/")


_LABEL: Format = (
    lambda value: re.fullmatch(DNS_LABEL, value) is not None,
    "at most 63 lowercase letters, digits and '-'",
)
_SUBDOMAIN: Format = (_is_subdomain, "at most 253 lowercase letters, digits, '-' and '.'")
_SEARCH: Format = (
    lambda value: value == "." or _is_subdomain(value.removesuffix(".").replace("_", "x")),
    "a domain, such as svc.cluster.local",
)
_KEY: Format = (
    lambda value: LABEL_KEY.match(value) is not None,
    "a label key: [prefix.example.com/]name, with a name of at most 63 letters, digits, '-', '_' and '.'",
)
_VALUE: Format = (
    lambda value: LABEL_VALUE.match(value) is not None,
    "a label value: at most 63 letters, digits, '-', '_' and '.', with a letter or digit at both ends",
)
_ADDRESS: Format = (_is_address, "an IP address")
_NOT_EMPTY: Format = (bool, "not empty")
_INSIDE: Format = (_is_inside, "a relative path without '..'")
_NO_PARENT: Format = (lambda value: bool(value) and ".." not in value.split("/"), "a path without '..'")
_ABSOLUTE: Format = (lambda value: value.startswith("/"), "an absolute path")
_IMAGE: Format = (lambda value: bool(value) and value == value.strip(), "an image reference without blanks around it")
_VARIABLE: Format = (
    lambda value: bool(value) and "=" not in value and value.isascii() and value.isprintable(),
    "a name of printable ASCII characters without '='",
)
_DATA_KEY: Format = (
    lambda value: re.fullmatch(r"[-._a-zA-Z0-9]{1,253}", value) is not None and value not in (".", ".."),
    "a key of at most 253 letters, digits, '-', '_' and '.'",
)
_PORT: Format = (
    lambda value: _PORT_NAME.match(value) is not None,
    "a port name: at most 15 lowercase letters, digits and '-'",
)
_FIELD: Format = (
    lambda value: _FIELD_PATH.match(value) is not None,
    "a field such as metadata.name, metadata.labels['key'], spec.nodeName or status.podIP",
)
_RESOURCE: Format = (
    lambda value: _CONTAINER_RESOURCE.match(value) is not None,
    "a resource such as limits.cpu or requests.memory",
)

# Texts, and items of lists of texts.
FORMATS: dict[str, Format] = {
    "ConfigMapEnvSource.name": _SUBDOMAIN,
    "ConfigMapKeySelector.key": _DATA_KEY,
    "ConfigMapKeySelector.name": _SUBDOMAIN,
    "ConfigMapProjection.name": _SUBDOMAIN,
    "ConfigMapVolumeSource.name": _SUBDOMAIN,
    "CSIVolumeSource.driver": _NOT_EMPTY,
    "Container.image": _IMAGE,
    "Container.name": _LABEL,
    "ContainerPort.hostIP": _ADDRESS,
    "ContainerPort.name": _PORT,
    "DownwardAPIVolumeFile.path": _INSIDE,
    "EnvFromSource.prefix": (lambda value: not value or _VARIABLE[0](value), _VARIABLE[1]),
    "EnvVar.name": _VARIABLE,
    "HostAlias.hostnames": _SUBDOMAIN,
    "HostAlias.ip": _ADDRESS,
    "HostPathVolumeSource.path": _NO_PARENT,
    "HTTPGetAction.path": _NOT_EMPTY,
    "KeyToPath.key": _DATA_KEY,
    "KeyToPath.path": _INSIDE,
    "LabelSelectorRequirement.key": _KEY,
    "LabelSelectorRequirement.values": _VALUE,
    "LocalObjectReference.name": _SUBDOMAIN,
    "NFSVolumeSource.path": _ABSOLUTE,
    "NFSVolumeSource.server": _NOT_EMPTY,
    "NodeSelectorRequirement.key": _KEY,
    "ObjectFieldSelector.fieldPath": _FIELD,
    "PersistentVolumeClaimVolumeSource.claimName": _SUBDOMAIN,
    "PodAffinityTerm.matchLabelKeys": _KEY,
    "PodAffinityTerm.mismatchLabelKeys": _KEY,
    "PodAffinityTerm.namespaces": _LABEL,
    "PodAffinityTerm.topologyKey": _KEY,
    "PodDNSConfig.nameservers": _ADDRESS,
    "PodDNSConfig.searches": _SEARCH,
    "PodOS.name": (lambda value: value in ("linux", "windows"), "linux or windows"),
    "PodReadinessGate.conditionType": _KEY,
    "PodSchedulingGate.name": _KEY,
    "PodSpec.hostname": _LABEL,
    "PodSpec.nodeName": _SUBDOMAIN,
    "PodSpec.priorityClassName": _SUBDOMAIN,
    "PodSpec.runtimeClassName": _SUBDOMAIN,
    "PodSpec.schedulerName": _SUBDOMAIN,
    "PodSpec.serviceAccountName": _SUBDOMAIN,
    "PodSpec.subdomain": _LABEL,
    "ResourceFieldSelector.resource": _RESOURCE,
    "SecretEnvSource.name": _SUBDOMAIN,
    "SecretKeySelector.key": _DATA_KEY,
    "SecretKeySelector.name": _SUBDOMAIN,
    "SecretProjection.name": _SUBDOMAIN,
    "SecretVolumeSource.secretName": _SUBDOMAIN,
    "ServiceAccountTokenProjection.path": _INSIDE,
    "Sysctl.name": (
        lambda value: len(value) <= 253 and _SYSCTL.match(value) is not None,
        "a kernel parameter such as net.core.somaxconn",
    ),
    "Toleration.key": (lambda value: not value or _KEY[0](value), _KEY[1]),
    "TopologySpreadConstraint.matchLabelKeys": _KEY,
    "TopologySpreadConstraint.topologyKey": _KEY,
    "Volume.name": _LABEL,
    "VolumeDevice.devicePath": _NO_PARENT,
    "VolumeMount.mountPath": _NOT_EMPTY,
    "VolumeMount.name": _NOT_EMPTY,
    "VolumeMount.subPath": (lambda value: not value or _INSIDE[0](value), _INSIDE[1]),
    "VolumeMount.subPathExpr": (lambda value: not value or _INSIDE[0](value), _INSIDE[1]),
}

# Keys and values of maps of labels.
LABEL_MAPS: dict[str, tuple[Format, Format | None]] = {
    "LabelSelector.matchLabels": (_KEY, _VALUE),
    "ObjectMeta.annotations": (_KEY, None),
    "ObjectMeta.labels": (_KEY, _VALUE),
    "PodSpec.nodeSelector": (_KEY, _VALUE),
}

# The smallest and the largest integer, also of the items of a list.
RANGES: dict[str, tuple[int, int]] = {
    "ConfigMapVolumeSource.defaultMode": (0, 0o777),
    "ContainerPort.containerPort": (1, 65535),
    "ContainerPort.hostPort": (1, 65535),
    "DownwardAPIVolumeFile.mode": (0, 0o777),
    "DownwardAPIVolumeSource.defaultMode": (0, 0o777),
    "GRPCAction.port": (1, 65535),
    "KeyToPath.mode": (0, 0o777),
    "PodSecurityContext.fsGroup": (0, _MAX_INT32),
    "PodSecurityContext.runAsGroup": (0, _MAX_INT32),
    "PodSecurityContext.runAsUser": (0, _MAX_INT32),
    "PodSecurityContext.supplementalGroups": (0, _MAX_INT32),
    "PodSpec.activeDeadlineSeconds": (1, _MAX_INT32),
    "PreferredSchedulingTerm.weight": (1, 100),
    "Probe.failureThreshold": (0, _MAX_INT32),
    "Probe.initialDelaySeconds": (0, _MAX_INT32),
    "Probe.periodSeconds": (0, _MAX_INT32),
    "Probe.successThreshold": (0, _MAX_INT32),
    "Probe.timeoutSeconds": (0, _MAX_INT32),
    "ProjectedVolumeSource.defaultMode": (0, 0o777),
    "SecretVolumeSource.defaultMode": (0, 0o777),
    "SecurityContext.runAsGroup": (0, _MAX_INT32),
    "SecurityContext.runAsUser": (0, _MAX_INT32),
    "ServiceAccountTokenProjection.expirationSeconds": (600, 2**32),
    "TopologySpreadConstraint.maxSkew": (1, _MAX_INT32),
    "TopologySpreadConstraint.minDomains": (1, _MAX_INT32),
    "WeightedPodAffinityTerm.weight": (1, 100),
}

# The largest number of items.
LENGTHS = {"PodDNSConfig.nameservers": 3, "PodDNSConfig.searches": 32}

# Fields that have to be there, although the OpenAPI does not say so.
REQUIRED: dict[str, tuple[str, ...]] = {
    "ConfigMapEnvSource": ("name",),
    "ConfigMapKeySelector": ("name",),
    "ConfigMapProjection": ("name",),
    "ConfigMapVolumeSource": ("name",),
    "Container": ("image",),
    "ImageVolumeSource": ("reference",),
    "PersistentVolumeClaimSpec": ("accessModes", "resources"),
    "PodDNSConfigOption": ("name",),
    "SecretEnvSource": ("name",),
    "SecretKeySelector": ("name",),
    "SecretProjection": ("name",),
    "SecretVolumeSource": ("secretName",),
}

# Lists that must not be empty.
NOT_EMPTY = frozenset({"NodeSelector.nodeSelectorTerms", "PodSpec.containers"})


def find_value_problems(found: PodObject) -> Iterator[PodProblem]:
    """Yield the fields of an object whose values Kubernetes refuses, whatever the other fields are."""
    for name in REQUIRED.get(found.kind, ()):
        if not found.value.get(name):
            yield PodProblem(found.path, f"has no `{name}`, which Kubernetes requires.", f"Add `{name}`.")
    for name, value in found.value.items():
        field, path = f"{found.kind}.{name}", (*found.path, name)
        items = enumerate(value) if isinstance(value, list | tuple) else ((None, value),)
        for index, item in items:
            words = _find_problem(field, item)
            if words:
                place = path if index is None else (*path, str(index))
                yield PodProblem(place, f"is {show_value(item, place)}; it must be {words}.")
        if field in LABEL_MAPS:
            yield from _find_label_problems(value, LABEL_MAPS[field], path)
        if len(value) > LENGTHS[field] if field in LENGTHS else field in NOT_EMPTY and not value:
            words = f"at most {LENGTHS[field]} entries" if field in LENGTHS else "at least one entry"
            yield PodProblem(path, f"has {len(value)} entries; it must have {words}.")


def _find_problem(field: str, value: Any) -> str | None:
    """Return what a value must be, or None if it is that."""
    if field in FORMATS and not is_template(value):
        is_valid, words = FORMATS[field]
        return None if is_valid(value) else words
    if field in RANGES:
        low, high = RANGES[field]
        return None if low <= value <= high else f"between {low} and {high}"
    return None


def _find_label_problems(
    labels: dict[str, str], formats: tuple[Format, Format | None], path: tuple[str, ...]
) -> Iterator[PodProblem]:
    (is_key, key_words), value_format = formats
    for key, value in labels.items():
        if not is_key(key):
            yield PodProblem((*path, key), f"is not {key_words}.")
        if value_format is not None and value is not None and not is_template(value) and not value_format[0](value):
            yield PodProblem((*path, key), f"is {show_value(value, (*path, key))}; it must be {value_format[1]}.")
