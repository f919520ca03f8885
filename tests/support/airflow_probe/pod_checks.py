"""Would a cluster take this pod? Checks of a pod as a plain dict, spelled as the Kubernetes API spells it.

Three questions, each answered by a list of sentences (empty is good):

* ``validate_pod``: does the API know every field, in this Kubernetes version? (kubernetes-validate's strict schemas;
  they know types, not the words a field takes: ``restartPolicy: never`` passes)
* ``restricted_violations``: does the pod meet the *restricted* Pod Security Standard?
* ``metadata_violations``: are names, labels and annotations legal, and do the mounts fit the volumes?

Needs kubernetes-validate, not Airflow, not a cluster. Not for what only an admission controller or a node can tell:
quotas, webhooks, whether a claim or an image exists.
"""

from __future__ import annotations

import re
from collections import Counter
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import jsonschema
from kubernetes_validate import utils as schemas
from referencing import Registry, Resource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

OLDEST = "1.30"
NEWEST = schemas.major_minor(schemas.latest_version())
VERSIONS = (OLDEST, NEWEST)
"""The Kubernetes versions to check against: the oldest one we support, the newest one kubernetes-validate knows."""

Pod = dict[str, Any]


# --- the schema ------------------------------------------------------------------------------------------------------


def validate_pod(pod: Pod, version: str) -> list[str]:
    """Return what the strict schema of a Kubernetes version (``"1.30"``) refuses: unknown, missing, ill-typed fields.

    Raises ``ValueError`` for a version that kubernetes-validate has no schema of.
    """
    errors = sorted(_validator(version).iter_errors(pod), key=lambda error: list(map(str, error.path)))
    return [f"{_format_path(error.absolute_path)}: {error.message}" for error in errors]


@lru_cache
def _validator(version: str) -> Any:
    # The package's own validate() reads megabytes of JSON at each call and stops at the first error.
    known = [full for full in schemas.all_versions() if schemas.major_minor(full) == version and "-" not in full]
    if not known:
        raise ValueError(f"kubernetes-validate {schemas.__version__} has no schema of Kubernetes {version}")
    folder = f"kubernetes-json-schema/v{known[-1]}-local-strict"
    schema, definitions = (
        schemas.schema_contents(f"{folder}/{name}", version) for name in ("pod-v1.json", "_definitions.json")
    )
    registry: Any = Registry()
    for contents in (schema, definitions):
        registry = Resource.from_contents(contents) @ registry
    return jsonschema.Draft202012Validator(schema, registry=registry)


def _format_path(path: Any) -> str:
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".") or "pod"


# --- the restricted Pod Security Standard ----------------------------------------------------------------------------

BASELINE_CAPABILITIES = frozenset(
    {
        "AUDIT_WRITE",
        "CHOWN",
        "DAC_OVERRIDE",
        "FOWNER",
        "FSETID",
        "KILL",
        "MKNOD",
        "NET_BIND_SERVICE",
        "SETFCAP",
        "SETGID",
        "SETPCAP",
        "SETUID",
        "SYS_CHROOT",
    }
)
RESTRICTED_CAPABILITIES = frozenset({"NET_BIND_SERVICE"})
SELINUX_TYPES = frozenset({"", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"})
SAFE_SYSCTLS = frozenset(
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
VOLUME_TYPES = frozenset(
    {
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "persistentVolumeClaim",
        "projected",
        "secret",
    }
)
SECCOMP_TYPES = frozenset({"RuntimeDefault", "Localhost"})
APPARMOR_ANNOTATION = "container.apparmor.security.beta.kubernetes.io/"
CONTAINER_LISTS = ("initContainers", "containers", "ephemeralContainers")
HANDLERS = (
    ("livenessProbe",),
    ("readinessProbe",),
    ("startupProbe",),
    ("lifecycle", "postStart"),
    ("lifecycle", "preStop"),
)


def restricted_violations(pod: Pod) -> list[str]:
    """Return how a Linux pod offends against the *restricted* profile, the baseline profile included.

    https://kubernetes.io/docs/concepts/security/pod-security-standards/, "Baseline" and "Restricted", control by
    control, in the latest version of the standard. A control counts for every container, init container and
    ephemeral container; a pod-level value stands in for a container's only where the page says so (runAsNonRoot,
    seccomp). Stricter than the page: no allowances for Windows pods, nor for pods in a user namespace. The volume
    types are the page's; the admission controller takes image volumes, too (kubernetes/kubernetes#130394).
    """
    return [violation for control in CONTROLS for violation in control(pod)]


def host_process(pod: Pod) -> Iterator[str]:
    """Baseline, "HostProcess": windowsOptions.hostProcess of pod and containers is undefined or false."""
    for where, context in _contexts(pod):
        if _in(context, "windowsOptions").get("hostProcess"):
            yield f"{where}.windowsOptions.hostProcess must not be true"


def host_namespaces(pod: Pod) -> Iterator[str]:
    """Baseline, "Host Namespaces": hostNetwork, hostPID and hostIPC are undefined or false."""
    for name in ("hostNetwork", "hostPID", "hostIPC"):
        if _spec(pod).get(name):
            yield f"spec.{name} must not be true"


def privileged_containers(pod: Pod) -> Iterator[str]:
    """Baseline, "Privileged Containers": privileged is undefined or false."""
    for where, context in _container_contexts(pod):
        if context.get("privileged"):
            yield f"{where}.privileged must not be true"


def capabilities(pod: Pod) -> Iterator[str]:
    """Baseline and restricted, "Capabilities": every container drops ALL and adds at most NET_BIND_SERVICE.

    The baseline's longer list (``BASELINE_CAPABILITIES``) only decides which profile a violation is said to break.
    """
    for where, context in _container_contexts(pod):
        held = _in(context, "capabilities")
        for name in held.get("add") or []:
            if name not in RESTRICTED_CAPABILITIES:
                profile = "restricted" if name in BASELINE_CAPABILITIES else "baseline"
                yield f"{where}.capabilities.add must not hold {name} ({profile} profile)"
        if "ALL" not in (held.get("drop") or []):
            yield f"{where}.capabilities.drop must hold ALL"


def host_path_volumes(pod: Pod) -> Iterator[str]:
    """Baseline, "HostPath Volumes": no volume has hostPath."""
    for volume in _spec(pod).get("volumes") or []:
        if "hostPath" in volume:
            yield f"spec.volumes[{volume.get('name')}].hostPath is forbidden"


def host_ports(pod: Pod) -> Iterator[str]:
    """Baseline, "Host Ports": hostPort is undefined or 0."""
    for where, container in _containers(pod):
        for port in container.get("ports") or []:
            if port.get("hostPort"):
                yield f"{where}.ports: hostPort {port['hostPort']} is forbidden"


def host_probes(pod: Pod) -> Iterator[str]:
    """Baseline, "Host Probes / Lifecycle Hooks" (1.34): no host in the httpGet and tcpSocket of probes and hooks."""
    for where, container in _containers(pod):
        for path in HANDLERS:
            for action in ("httpGet", "tcpSocket"):
                if _in(container, *path, action).get("host"):
                    yield f"{where}.{'.'.join(path)}.{action}.host must be empty"


def app_armor(pod: Pod) -> Iterator[str]:
    """Baseline, "AppArmor": appArmorProfile.type is undefined, RuntimeDefault or Localhost; so are old annotations."""
    for where, context in _contexts(pod):
        profile = _in(context, "appArmorProfile").get("type")
        if profile not in (None, "RuntimeDefault", "Localhost"):
            yield f"{where}.appArmorProfile.type must not be {profile}"
    for key, value in (_metadata(pod).get("annotations") or {}).items():
        allowed = value in ("", "runtime/default") or str(value).startswith("localhost/")
        if key.startswith(APPARMOR_ANNOTATION) and not allowed:
            yield f"metadata.annotations[{key}] must not be {value}"


def se_linux(pod: Pod) -> Iterator[str]:
    """Baseline, "SELinux": type is undefined or one of the container types; user and role are undefined."""
    for where, context in _contexts(pod):
        options = _in(context, "seLinuxOptions")
        if (options.get("type") or "") not in SELINUX_TYPES:
            yield f"{where}.seLinuxOptions.type must not be {options['type']}"
        for name in ("user", "role"):
            if options.get(name):
                yield f"{where}.seLinuxOptions.{name} must not be set"


def proc_mount(pod: Pod) -> Iterator[str]:
    """Baseline, "/proc Mount Type": procMount is undefined or Default."""
    for where, context in _container_contexts(pod):
        if context.get("procMount") not in (None, "Default"):
            yield f"{where}.procMount must be Default"


def sysctls(pod: Pod) -> Iterator[str]:
    """Baseline, "Sysctls": only those that are safe."""
    for sysctl in _pod_context(pod).get("sysctls") or []:
        if sysctl.get("name") not in SAFE_SYSCTLS:
            yield f"spec.securityContext.sysctls: {sysctl.get('name')} is forbidden"


def volume_types(pod: Pod) -> Iterator[str]:
    """Restricted, "Volume Types": every volume is of one of eight kinds."""
    for volume in _spec(pod).get("volumes") or []:
        kinds = sorted(set(volume) - {"name"})
        if not set(kinds) & VOLUME_TYPES or set(kinds) - VOLUME_TYPES - {"hostPath"}:
            yield f"spec.volumes[{volume.get('name')}]: {', '.join(kinds) or 'no type'} is not an allowed type"


def privilege_escalation(pod: Pod) -> Iterator[str]:
    """Restricted, "Privilege Escalation": every container says allowPrivilegeEscalation false."""
    for where, context in _container_contexts(pod):
        if context.get("allowPrivilegeEscalation") is not False:
            yield f"{where}.allowPrivilegeEscalation must be false"


def run_as_non_root(pod: Pod) -> Iterator[str]:
    """Restricted, "Running as Non-root": runAsNonRoot is true; containers may leave it to the pod, none may deny it."""
    pod_level = _pod_context(pod).get("runAsNonRoot")
    if pod_level is False:
        yield "spec.securityContext.runAsNonRoot must not be false"
    for where, context in _container_contexts(pod):
        own = context.get("runAsNonRoot")
        if own is False or (own is None and pod_level is not True):
            yield f"{where}.runAsNonRoot must be true, here or for the pod"


def run_as_user(pod: Pod) -> Iterator[str]:
    """Restricted, "Running as Non-root user" (1.23): runAsUser is undefined or not 0, in pod and containers."""
    for where, context in _contexts(pod):
        if context.get("runAsUser") == 0:
            yield f"{where}.runAsUser must not be 0"


def seccomp(pod: Pod) -> Iterator[str]:
    """Restricted, "Seccomp" (1.19): RuntimeDefault or Localhost; containers may leave it to the pod, and it to them."""
    pod_level = _in(_pod_context(pod), "seccompProfile").get("type")
    if pod_level is not None and pod_level not in SECCOMP_TYPES:
        yield f"spec.securityContext.seccompProfile.type must not be {pod_level}"
    for where, context in _container_contexts(pod):
        own = _in(context, "seccompProfile").get("type")
        if (pod_level if own is None else own) not in SECCOMP_TYPES:
            yield f"{where}.seccompProfile.type must be RuntimeDefault or Localhost, here or for the pod"


CONTROLS: tuple[Callable[[Pod], Iterator[str]], ...] = (
    host_process,
    host_namespaces,
    privileged_containers,
    capabilities,
    host_path_volumes,
    host_ports,
    host_probes,
    app_armor,
    se_linux,
    proc_mount,
    sysctls,
    volume_types,
    privilege_escalation,
    run_as_non_root,
    run_as_user,
    seccomp,
)


# --- names, labels, annotations --------------------------------------------------------------------------------------

DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
DNS_SUBDOMAIN = re.compile(rf"{DNS_LABEL.pattern}(\.{DNS_LABEL.pattern})*")
NAME_PART = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")
ENV_NAME = re.compile(r"[-._a-zA-Z][-._a-zA-Z0-9]*")
LABEL_LIMIT = 63
"""Characters of a DNS label, of the name part of a label key, of a label value."""
SUBDOMAIN_LIMIT = 253
"""Characters of a pod name, of the prefix of a label key."""
ANNOTATIONS_LIMIT = 256 * 1024
"""Bytes of all annotation keys and values together (apimachinery, ``TotalAnnotationSizeLimitB``)."""


def metadata_violations(pod: Pod) -> list[str]:
    """Return the names, labels, annotations and mounts that the API server would refuse, though the schema does not.

    https://kubernetes.io/docs/concepts/overview/working-with-objects/names/, …/labels/ ("Syntax and character set"),
    …/annotations/. Environment names by the rule before Kubernetes 1.30, which newer clusters only widen.
    """
    return [*_names(pod), *_labels(pod), *_annotations(pod), *_containers_and_volumes(pod)]


def _names(pod: Pod) -> Iterator[str]:
    metadata = _metadata(pod)
    name, namespace = metadata.get("name"), metadata.get("namespace")
    if not (isinstance(name, str) and len(name) <= SUBDOMAIN_LIMIT and DNS_SUBDOMAIN.fullmatch(name)):
        yield f"metadata.name: {name!r} is not a DNS subdomain of at most {SUBDOMAIN_LIMIT} characters"
    if namespace is not None and not _is_label(namespace):
        yield f"metadata.namespace: {namespace!r} is not a DNS label of at most {LABEL_LIMIT} characters"


def _labels(pod: Pod) -> Iterator[str]:
    for key, value in (_metadata(pod).get("labels") or {}).items():
        yield from (f"metadata.labels: {problem}" for problem in _key_problems(key))
        legal = isinstance(value, str) and len(value) <= LABEL_LIMIT and (not value or NAME_PART.fullmatch(value))
        if not legal:
            yield f"metadata.labels[{key}]: {value!r} is not a label value"


def _annotations(pod: Pod) -> Iterator[str]:
    annotations = _metadata(pod).get("annotations") or {}
    for key, value in annotations.items():
        yield from (f"metadata.annotations: {problem}" for problem in _key_problems(key.lower()))
        if not isinstance(value, str):
            yield f"metadata.annotations[{key}]: {value!r} is not text"
    size = sum(len(str(part).encode("utf-8", "surrogatepass")) for item in annotations.items() for part in item)
    if size > ANNOTATIONS_LIMIT:
        yield f"metadata.annotations: {size} bytes, more than {ANNOTATIONS_LIMIT}"


def _key_problems(key: str) -> Iterator[str]:
    prefix, slash, name = key.rpartition("/")
    if slash and not (len(prefix) <= SUBDOMAIN_LIMIT and DNS_SUBDOMAIN.fullmatch(prefix)):
        yield f"the prefix of {key!r} is not a DNS subdomain"
    if len(name) > LABEL_LIMIT or not NAME_PART.fullmatch(name):
        yield f"{key!r} is not a legal key"


def _containers_and_volumes(pod: Pod) -> Iterator[str]:
    containers = list(_containers(pod))
    volumes = [volume.get("name") for volume in _spec(pod).get("volumes") or []]
    names = [container.get("name") for _, container in containers]
    for kind, given in (("containers", names), ("volumes", volumes)):
        yield from (f"spec.{kind}: {name!r} is not a DNS label" for name in given if not _is_label(name))
        yield from (f"spec.{kind}: two are named {name!r}" for name, count in Counter(given).items() if count > 1)
    for where, container in containers:
        for variable in container.get("env") or []:
            if not ENV_NAME.fullmatch(str(variable.get("name"))):
                yield f"{where}.env: {variable.get('name')!r} is not the name of a variable"
        mounts = container.get("volumeMounts") or []
        for mount in mounts:
            if mount.get("name") not in volumes:
                yield f"{where}.volumeMounts: there is no volume {mount.get('name')!r}"
            if ":" in str(mount.get("mountPath")):
                yield f"{where}.volumeMounts: {mount.get('mountPath')!r} must not contain a colon"
        for path, count in Counter(mount.get("mountPath") for mount in mounts).items():
            if count > 1:
                yield f"{where}.volumeMounts: {path!r} is mounted twice"


def _is_label(name: object) -> bool:
    return isinstance(name, str) and len(name) <= LABEL_LIMIT and bool(DNS_LABEL.fullmatch(name))


# --- finding one's way in a pod --------------------------------------------------------------------------------------


def _in(mapping: dict[str, Any], *path: str) -> dict[str, Any]:
    for name in path:
        mapping = mapping.get(name) or {}
    return mapping


def _spec(pod: Pod) -> dict[str, Any]:
    return _in(pod, "spec")


def _metadata(pod: Pod) -> dict[str, Any]:
    return _in(pod, "metadata")


def _pod_context(pod: Pod) -> dict[str, Any]:
    return _in(pod, "spec", "securityContext")


def _containers(pod: Pod) -> Iterator[tuple[str, dict[str, Any]]]:
    for kind in CONTAINER_LISTS:
        for container in _spec(pod).get(kind) or []:
            yield f"spec.{kind}[{container.get('name')}]", container


def _container_contexts(pod: Pod) -> Iterator[tuple[str, dict[str, Any]]]:
    for where, container in _containers(pod):
        yield f"{where}.securityContext", _in(container, "securityContext")


def _contexts(pod: Pod) -> Iterator[tuple[str, dict[str, Any]]]:
    yield "spec.securityContext", _pod_context(pod)
    yield from _container_contexts(pod)
