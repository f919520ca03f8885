"""Rules of a Pod between several fields, which the OpenAPI does not express: what excludes, requires or repeats what.

Sources: the descriptions of the fields, https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/, and dry runs on an
API server (tests/kubernetes/pod_cases.py).
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any

from kedro_k8s_airflow.config.types import DNS_SUBDOMAIN, LABEL_KEY, LABEL_VALUE
from kedro_k8s_airflow.credential_detection import show_value
from kedro_k8s_airflow.kubernetes.pod_schema import PodObject, PodProblem, is_template, load_pod_schema, walk_pod
from kedro_k8s_airflow.kubernetes.pod_values import find_value_problems
from kedro_k8s_airflow.quantities import QUANTITY_PATTERN, parse_quantity

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    Rule = Callable[[PodObject], Iterator[PodProblem]]

NATIVE_RESOURCES = frozenset({"cpu", "memory", "ephemeral-storage"})
_HUGE_PAGES = "hugepages-"
_MAX_SEARCH_LENGTH = 2048
# Fields of which an object must have one, and may have only one.
_SOURCES: dict[str, frozenset[str]] = {
    "DownwardAPIVolumeFile": frozenset({"fieldRef", "resourceFieldRef"}),
    "EnvFromSource": frozenset({"configMapRef", "secretRef"}),
    "EnvVarSource": frozenset({"configMapKeyRef", "fieldRef", "fileKeyRef", "resourceFieldRef", "secretKeyRef"}),
    "LifecycleHandler": frozenset({"exec", "httpGet", "sleep", "tcpSocket"}),
    "PodResourceClaim": frozenset({"resourceClaimName", "resourceClaimTemplateName"}),
    "Probe": frozenset({"exec", "grpc", "httpGet", "tcpSocket"}),
    "VolumeProjection": frozenset(
        {"clusterTrustBundle", "configMap", "downwardAPI", "podCertificate", "secret", "serviceAccountToken"}
    ),
}


def find_pod_problems(pod: Any, volume_names: Collection[str] | None = None) -> list[PodProblem]:
    """Return everything in a Pod that Kubernetes refuses or does not know.

    Args:
        pod: the Pod as a map; templates of Airflow in it are accepted as values.
        volume_names: names of further volumes that its containers may mount; None to accept every name.
    """
    problems: list[PodProblem] = []
    objects: list[PodObject] = []
    for item in walk_pod(pod, "Pod"):
        if isinstance(item, PodProblem):
            problems.append(item)
        else:
            objects.append(item)
    broken = {problem.path for problem in problems}
    for found in objects:
        if not any(path[: len(found.path)] == found.path for path in broken):
            problems += find_value_problems(found)
            problems += _find_source_problems(found)
            for rule in _RULES.get(found.kind, ()):
                problems += rule(found)
            if found.kind == "PodSpec" and volume_names is not None:
                problems += _find_unknown_volumes(found, volume_names)
    return problems


def _find_source_problems(found: PodObject) -> Iterator[PodProblem]:
    sources = _SOURCES.get(found.kind)
    if found.kind == "Volume":
        sources = frozenset(load_pod_schema()["types"]["Volume"]["fields"]) - {"name"}
    if sources is None:
        return
    given = sorted(sources.intersection(found.value))
    if len(given) > 1:
        yield PodProblem(found.path, f"has {' and '.join(given)}, of which Kubernetes accepts only one.", "Keep one.")
    elif not given and found.kind != "Volume":  # a volume without a source is an empty folder
        yield PodProblem(found.path, "has no source.", f"Add one of {', '.join(sorted(sources))}.")


def _check_resources(found: PodObject) -> Iterator[PodProblem]:
    limits, requests = found.value.get("limits") or {}, found.value.get("requests") or {}
    for part, amounts in (("limits", limits), ("requests", requests)):
        for name, amount in amounts.items():
            problem = _find_resource_problem(name, amount)
            if problem:
                yield PodProblem((*found.path, part, name), *problem)
    for name, request in requests.items():
        if name in NATIVE_RESOURCES or is_template(request) or is_template(limits.get(name)):
            continue
        if limits.get(name) is None:
            message = "is requested without a limit; Kubernetes needs both for devices and huge pages."
            yield PodProblem(
                (*found.path, "requests", name), message, f"Set it under `limits` instead: {name}: {request}."
            )
        elif parse_quantity(limits[name]) != parse_quantity(request):
            message = f"is {request}, but its limit is {limits[name]}; for devices and huge pages both must be equal."
            yield PodProblem(
                (*found.path, "requests", name), message, "Remove the request, which defaults to the limit."
            )
    names = {*limits, *requests}
    if any(name.startswith(_HUGE_PAGES) for name in names) and not names & {"cpu", "memory"}:
        yield PodProblem(found.path, "has huge pages without cpu or memory.", "Add cpu or memory.")


def _find_resource_problem(name: str, amount: Any) -> tuple[str, str] | None:
    """Return what is wrong with an amount of a resource, and what would be right."""
    if name in NATIVE_RESOURCES or is_template(amount):
        return None
    if name.startswith(_HUGE_PAGES):
        size = name.removeprefix(_HUGE_PAGES)
        if not QUANTITY_PATTERN.match(size) or parse_quantity(size) <= 0:
            return "is not a size of huge pages.", "Write hugepages-<size>, such as hugepages-2Mi."
        if parse_quantity(amount) % parse_quantity(size):
            return f"is {amount}, which is not a multiple of the page size {size}.", f"Use a multiple of {size}."
        return None
    domain, _, _ = name.rpartition("/")
    if (
        not domain
        or not LABEL_KEY.match(name)
        or not re.fullmatch(DNS_SUBDOMAIN, domain)
        or name.startswith("requests.")
    ):
        return (
            "is not the name of a resource.",
            "Names are cpu, memory, ephemeral-storage, hugepages-<size> or, for devices, <vendor domain>/<name>.",
        )
    if parse_quantity(amount) % 1:
        return f"is {amount}; it must be an integer, because devices cannot be divided.", "Use a whole number."
    return None


def _check_toleration(found: PodObject) -> Iterator[PodProblem]:
    operator, value = found.value.get("operator") or "Equal", found.value.get("value") or ""
    if not found.value.get("key") and operator != "Exists":
        yield PodProblem(
            found.path, "has no key, which only `operator: Exists` allows.", "Add `key`, or `operator: Exists`."
        )
    if operator == "Exists" and value:
        message = f"has the value {value!r}, which `operator: Exists` does not allow."
        yield PodProblem(found.path, message, "Remove `value`, or use `operator: Equal`.")
    elif operator == "Equal" and not LABEL_VALUE.match(value):
        message = f"is {value!r}; it must be at most 63 letters, digits, '-', '_' and '.'."
        yield PodProblem((*found.path, "value"), message)
    elif operator in ("Gt", "Lt"):
        message = f"is {operator!r}, which Kubernetes accepts only with a feature gate that is off by default."
        yield PodProblem((*found.path, "operator"), message, "Use `Exists` or `Equal`.")
    if found.value.get("tolerationSeconds") is not None and found.value.get("effect") != "NoExecute":
        message = "has tolerationSeconds, which only `effect: NoExecute` allows."
        yield PodProblem(found.path, message, "Remove `tolerationSeconds`, or set `effect: NoExecute`.")


def _check_requirement(found: PodObject) -> Iterator[PodProblem]:
    """Check an operator of a selector and its values; nodes also have Gt and Lt."""
    of_nodes = found.kind == "NodeSelectorRequirement"
    operator, values = found.value["operator"], found.value.get("values") or ()
    path = (*found.path, "values")
    if operator in ("In", "NotIn"):
        if not values:
            yield PodProblem(found.path, f"has no values, which `operator: {operator}` needs.", "Add `values: [...]`.")
    elif operator in ("Exists", "DoesNotExist"):
        if values:
            yield PodProblem(path, f"are not allowed with `operator: {operator}`.", "Remove them, or use `In`.")
    elif operator in ("Gt", "Lt") and of_nodes:
        if [bool(re.fullmatch(r"-?[0-9]+", value)) for value in values] != [True]:
            yield PodProblem(
                found.path,
                f"has `operator: {operator}`, which needs one integer in quotes as its value.",
                'Write values: ["8"].',
            )
    else:
        words = "In, NotIn, Exists, DoesNotExist" + (", Gt, Lt" if of_nodes else "")
        yield PodProblem((*found.path, "operator"), f"is {operator!r}; it must be one of {words}.")


def _check_node_term(found: PodObject) -> Iterator[PodProblem]:
    for index, field in enumerate(found.value.get("matchFields") or ()):
        path = (*found.path, "matchFields", str(index))
        if field.get("key") != "metadata.name":
            yield PodProblem(
                (*path, "key"), f"is {field.get('key')!r}; the only field of cluster nodes is metadata.name."
            )
        elif field.get("operator") not in ("In", "NotIn") or len(field.get("values") or ()) != 1:
            yield PodProblem(path, "needs `operator: In` or `NotIn` with one value.")


def _check_match_label_keys(found: PodObject) -> Iterator[PodProblem]:
    keys = [*(found.value.get("matchLabelKeys") or ()), *(found.value.get("mismatchLabelKeys") or ())]
    if keys and found.value.get("labelSelector") is None:
        yield PodProblem(found.path, "has matchLabelKeys without a labelSelector.", "Add `labelSelector`.")
    twice = _find_repeated(keys)
    if twice:
        yield PodProblem(found.path, f"has the label key {twice!r} twice.", "Keep one.")


def _check_spread(found: PodObject) -> Iterator[PodProblem]:
    if found.value.get("minDomains") is not None and found.value["whenUnsatisfiable"] != "DoNotSchedule":
        message = "is allowed only with `whenUnsatisfiable: DoNotSchedule`."
        yield PodProblem((*found.path, "minDomains"), message, "Remove it, or change `whenUnsatisfiable`.")


def _check_profile(found: PodObject) -> Iterator[PodProblem]:
    localhost, profile = found.value["type"] == "Localhost", found.value.get("localhostProfile")
    if localhost and not profile:
        yield PodProblem(found.path, "has `type: Localhost` without `localhostProfile`.", "Add `localhostProfile`.")
    elif not localhost and profile is not None:
        yield PodProblem((*found.path, "localhostProfile"), "is allowed only with `type: Localhost`.", "Remove it.")
    elif profile and found.kind == "SeccompProfile" and (profile.startswith("/") or ".." in profile.split("/")):
        yield PodProblem((*found.path, "localhostProfile"), "must be a relative path without '..'.")


def _check_container_security(found: PodObject) -> Iterator[PodProblem]:
    added = ((found.value.get("capabilities") or {}).get("add")) or ()
    if found.value.get("allowPrivilegeEscalation") is False:
        if found.value.get("privileged"):
            message = "has `privileged: true`, which contradicts `allowPrivilegeEscalation: false`."
            yield PodProblem(found.path, message, "Remove `privileged`, or set `allowPrivilegeEscalation: true`.")
        if "CAP_SYS_ADMIN" in added:
            message = "adds the capability CAP_SYS_ADMIN, which contradicts `allowPrivilegeEscalation: false`."
            yield PodProblem(found.path, message, "Remove the capability, or set `allowPrivilegeEscalation: true`.")
    yield from _check_user(found)


def _check_user(found: PodObject) -> Iterator[PodProblem]:
    if found.value.get("runAsNonRoot") and found.value.get("runAsUser") == 0:
        message = "has `runAsUser: 0`, which contradicts `runAsNonRoot: true`; no container of the pod starts."
        yield PodProblem(found.path, message, "Choose another user, or set `runAsNonRoot: false`.")


def _check_pod_security(found: PodObject) -> Iterator[PodProblem]:
    twice = _find_repeated([sysctl["name"].replace("/", ".") for sysctl in found.value.get("sysctls") or ()])
    if twice:
        yield PodProblem((*found.path, "sysctls"), f"sets {twice!r} twice.", "Keep one.")
    yield from _check_user(found)


def _check_dns(found: PodObject) -> Iterator[PodProblem]:
    if len(" ".join(found.value.get("searches") or ())) > _MAX_SEARCH_LENGTH:
        message = f"have more than {_MAX_SEARCH_LENGTH} characters together."
        yield PodProblem((*found.path, "searches"), message, "Remove some.")


def _check_variable(found: PodObject) -> Iterator[PodProblem]:
    if found.value.get("value") and found.value.get("valueFrom"):
        yield PodProblem(found.path, "has both value and valueFrom.", "Keep one of them.")


def _check_mount(found: PodObject) -> Iterator[PodProblem]:
    if found.value.get("subPath") and found.value.get("subPathExpr"):
        yield PodProblem(found.path, "has both subPath and subPathExpr.", "Keep one of them.")
    recursive = found.value.get("recursiveReadOnly")
    if recursive is not None:
        if recursive not in ("Disabled", "Enabled", "IfPossible"):
            words = "one of Disabled, Enabled, IfPossible"
            yield PodProblem((*found.path, "recursiveReadOnly"), f"is {recursive!r}; it must be {words}.")
        elif recursive != "Disabled" and not found.value.get("readOnly"):
            yield PodProblem((*found.path, "recursiveReadOnly"), "needs `readOnly: true`.", "Add `readOnly: true`.")


def _check_empty_folder(found: PodObject) -> Iterator[PodProblem]:
    medium = found.value.get("medium") or ""
    if medium not in ("", "Memory", "HugePages") and not medium.startswith("HugePages-"):
        yield PodProblem((*found.path, "medium"), f"is {medium!r}; it must be Memory, HugePages or HugePages-<size>.")


def _check_container(found: PodObject) -> Iterator[PodProblem]:
    twice = _find_repeated(mount["mountPath"].rstrip("/") for mount in found.value.get("volumeMounts") or ())
    if twice:
        yield PodProblem((*found.path, "volumeMounts"), f"mount two volumes at {twice!r}.", "Choose another path.")
    names = _find_repeated(port["name"] for port in found.value.get("ports") or () if port.get("name"))
    if names:
        yield PodProblem((*found.path, "ports"), f"have the name {names!r} twice.", "Rename one.")
    if not (found.value.get("securityContext") or {}).get("privileged"):
        for index, mount in enumerate(found.value.get("volumeMounts") or ()):
            if mount.get("mountPropagation") == "Bidirectional":
                path = (*found.path, "volumeMounts", str(index), "mountPropagation")
                yield PodProblem(path, "is Bidirectional, which only privileged containers may use.", "Remove it.")
    liveness = [(found.value.get(name) or {}, name) for name in ("livenessProbe", "startupProbe")]
    for probe, name in liveness:
        if probe.get("successThreshold", 1) not in (0, 1):
            yield PodProblem((*found.path, name, "successThreshold"), "must be 1.")


def _check_pod(found: PodObject) -> Iterator[PodProblem]:
    spec = found.value
    first, containers = spec.get("initContainers") or (), spec["containers"]
    twice = _find_repeated(container["name"] for container in (*first, *containers))
    if twice:
        yield PodProblem(
            (*found.path, "initContainers" if first else "containers"),
            f"has two containers named {twice!r}.",
            "Rename one.",
        )
    for index, container in enumerate(first):
        yield from _check_init_container(PodObject((*found.path, "initContainers", str(index)), "Container", container))
    for index, container in enumerate(containers):
        policy = container.get("restartPolicy")
        if policy is not None:
            path = (*found.path, "containers", str(index), "restartPolicy")
            yield PodProblem(path, "is allowed only for init containers.", "Remove it.")
    claims = {claim["name"] for claim in spec.get("resourceClaims") or ()}
    for container in (*first, *containers):
        for claim in (container.get("resources") or {}).get("claims") or ():
            if claim["name"] not in claims:
                yield PodProblem(
                    found.path,
                    f"uses the resource claim {claim['name']!r}, which the pod does not have.",
                    "Add it to `resourceClaims`.",
                )
        if (container.get("securityContext") or {}).get("procMount") == "Unmasked" and spec.get(
            "hostUsers"
        ) is not False:
            message = (
                f"has the container {container['name']!r} with `procMount: Unmasked`, which needs `hostUsers: false`."
            )
            yield PodProblem(found.path, message, "Remove `procMount`.")
    twice = _find_repeated(volume["name"] for volume in spec.get("volumes") or ())
    if twice:
        yield PodProblem((*found.path, "volumes"), f"has two volumes named {twice!r}.", "Rename one of them.")
    constraints = spec.get("topologySpreadConstraints") or ()
    pair = _find_repeated((one["topologyKey"], one["whenUnsatisfiable"]) for one in constraints)
    if pair:
        message = f"has {pair[0]!r} with `whenUnsatisfiable: {pair[1]}` twice."
        yield PodProblem((*found.path, "topologySpreadConstraints"), message, "Keep one.")
    if spec.get("dnsPolicy") == "None" and not (spec.get("dnsConfig") or {}).get("nameservers"):
        message = "is None, which needs at least one nameserver."
        yield PodProblem(
            (*found.path, "dnsPolicy"), message, "Add `nameservers` to the DNS configuration (operator.dns_config)."
        )
    if spec.get("hostUsers") is False and spec.get("hostNetwork"):
        yield PodProblem(
            (*found.path, "hostUsers"), "cannot be false with the network of the cluster node.", "Remove one of them."
        )


def _check_claim(found: PodObject) -> Iterator[PodProblem]:
    if not ((found.value.get("resources") or {}).get("requests") or {}).get("storage"):
        yield PodProblem(found.path, "has no size.", "Add `resources: {requests: {storage: 10Gi}}`.")


def _check_init_container(found: PodObject) -> Iterator[PodProblem]:
    policy = found.value.get("restartPolicy")
    if policy not in (None, "Always"):
        yield PodProblem(
            (*found.path, "restartPolicy"), f"is {policy!r}; it must be Always, for a side-car, or not set."
        )
    if policy != "Always":
        for name in ("livenessProbe", "readinessProbe", "startupProbe", "lifecycle"):
            if found.value.get(name) is not None:
                message = "is not allowed for an init container that ends before the pod's program starts."
                yield PodProblem(
                    (*found.path, name), message, "Remove it, or add `restartPolicy: Always` for a side-car."
                )


def _find_unknown_volumes(found: PodObject, volume_names: Collection[str]) -> Iterator[PodProblem]:
    known = {*volume_names, *(volume["name"] for volume in found.value.get("volumes") or ())}
    for key in ("initContainers", "containers"):
        for index, container in enumerate(found.value.get(key) or ()):
            for number, mount in enumerate(container.get("volumeMounts") or ()):
                if mount["name"] not in known:
                    path = (*found.path, key, str(index), "volumeMounts", str(number))
                    message = f"mounts {show_value(mount['name'], ())}, but no volume has that name."
                    yield PodProblem(path, message, f"The volumes of the pod are {', '.join(sorted(known))}.")


def _find_repeated(values: Iterable[Any]) -> Any:
    """Return the first value that is there twice, or None."""
    return next((value for value, count in Counter(values).items() if count > 1), None)


_RULES: dict[str, tuple[Rule, ...]] = {
    "AppArmorProfile": (_check_profile,),
    "Container": (_check_container,),
    "EmptyDirVolumeSource": (_check_empty_folder,),
    "EnvVar": (_check_variable,),
    "LabelSelectorRequirement": (_check_requirement,),
    "NodeSelectorRequirement": (_check_requirement,),
    "NodeSelectorTerm": (_check_node_term,),
    "PersistentVolumeClaimSpec": (_check_claim,),
    "PodAffinityTerm": (_check_match_label_keys,),
    "PodDNSConfig": (_check_dns,),
    "PodSecurityContext": (_check_pod_security,),
    "PodSpec": (_check_pod,),
    "ResourceRequirements": (_check_resources,),
    "SeccompProfile": (_check_profile,),
    "SecurityContext": (_check_container_security,),
    "Toleration": (_check_toleration,),
    "TopologySpreadConstraint": (_check_spread, _check_match_label_keys),
    "VolumeMount": (_check_mount,),
}
