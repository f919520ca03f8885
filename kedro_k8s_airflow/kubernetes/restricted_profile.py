"""What the restricted profile of Kubernetes does not allow: rights of a container, and parts of a pod.

Source: https://kubernetes.io/docs/concepts/security/pod-security-standards/, and dry runs in a namespace that enforces the profile
(tests/kubernetes/pod_cases.py). Access to the cluster node has a finding of its own, so it is a function of its own here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_ADDABLE_CAPABILITIES = frozenset({"NET_BIND_SERVICE"})
_VOLUME_TYPES = frozenset(
    {
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "hostPath",  # see find_host_parts
        "image",
        "name",
        "persistentVolumeClaim",
        "projected",
        "secret",
    }
)
_SAFE_SYSCTLS = frozenset(
    {
        "kernel.shm_rmid_forced",
        "net.ipv4.ip_local_port_range",
        "net.ipv4.ip_local_reserved_ports",
        "net.ipv4.ip_unprivileged_port_start",
        "net.ipv4.ping_group_range",
        "net.ipv4.tcp_fin_timeout",
        "net.ipv4.tcp_keepalive_intvl",
        "net.ipv4.tcp_keepalive_probes",
        "net.ipv4.tcp_keepalive_time",
        "net.ipv4.tcp_rmem",
        "net.ipv4.tcp_syncookies",
        "net.ipv4.tcp_wmem",
    }
)
_SELINUX_TYPES = frozenset({"", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"})
_HOST_NAMESPACES = {"hostNetwork": "network", "hostPID": "processes", "hostIPC": "shared memory"}


def find_container_rights(container: Mapping[str, Any], pod_context: Mapping[str, Any]) -> Iterator[str]:
    """Yield the rights of a container that the profile does not allow.

    Args:
        container: its fields.
        pod_context: the security context of its pod.
    """
    context = container.get("securityContext") or {}
    if context.get("privileged"):
        yield "privileged mode"
    if context.get("allowPrivilegeEscalation", True):
        yield "privilege escalation"
    capabilities = context.get("capabilities") or {}
    if "ALL" not in (capabilities.get("drop") or ()):
        yield "default capabilities"
    added = [name for name in capabilities.get("add") or () if name not in _ADDABLE_CAPABILITIES]
    if added:
        yield f"capabilities {', '.join(map(str, added))}"
    users = [one["runAsUser"] for one in (context, pod_context) if one.get("runAsUser") is not None]
    non_root = [one["runAsNonRoot"] for one in (context, pod_context) if one.get("runAsNonRoot") is not None]
    if users[:1] == [0] or non_root[:1] != [True]:
        yield "root"
    profile = (context.get("seccompProfile") or pod_context.get("seccompProfile") or {}).get("type")
    if profile not in ("RuntimeDefault", "Localhost"):
        yield "all system calls (no seccomp profile)"
    armor = (context.get("appArmorProfile") or pod_context.get("appArmorProfile") or {}).get("type")
    if armor == "Unconfined":
        yield "everything (no AppArmor profile)"
    labels = context.get("seLinuxOptions") or pod_context.get("seLinuxOptions") or {}
    if labels.get("user") or labels.get("role") or (labels.get("type") or "") not in _SELINUX_TYPES:
        yield "other SELinux labels"
    if context.get("procMount") not in (None, "Default"):
        yield "an unmasked /proc"
    if any(port.get("hostPort") for port in container.get("ports") or ()):
        yield "a port of the cluster node"


def find_pod_parts(spec: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield the path and a name of each part of a pod that the profile does not allow, without access to the cluster node."""
    for index, volume in enumerate(spec.get("volumes") or ()):
        for kind in sorted(set(volume) - _VOLUME_TYPES):
            if volume[kind] is not None:
                yield ("volumes", str(index)), f"a volume of type {kind}"
    for sysctl in (spec.get("securityContext") or {}).get("sysctls") or ():
        if sysctl["name"].replace("/", ".") not in _SAFE_SYSCTLS:
            yield ("securityContext", "sysctls"), f"the kernel parameter {sysctl['name']}"


def find_host_parts(spec: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield the path and a name of everything of its cluster node that a pod has access to."""
    for index, volume in enumerate(spec.get("volumes") or ()):
        if volume.get("hostPath"):
            yield ("volumes", str(index)), f"folder {volume['hostPath']['path']}"
    for field, name in _HOST_NAMESPACES.items():
        if spec.get(field):
            yield (field,), name
