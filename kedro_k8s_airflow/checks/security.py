"""Checks of security: secrets that would be seen, and pods with more rights than a task of Kedro needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kedro_k8s_airflow import credential_detection
from kedro_k8s_airflow.checks.registry import gather_from_tasks, rule
from kedro_k8s_airflow.locations import Location
from kedro_k8s_airflow.plan import parameters as params
from kedro_k8s_airflow.text import quote_names

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from kedro_k8s_airflow.checks.registry import CheckContext, RuleFinding, SettingsFinding

# What the restricted profile of Kubernetes allows to be added.
_ALLOWED_CAPABILITIES = frozenset({"NET_BIND_SERVICE"})
# Words for how to get in that gcsfs takes as a token.
_TOKEN_KINDS = frozenset({"anon", "browser", "cache", "cloud", "google_default"})
# Keys of a catalog entry that say how a place is reached.
_STORAGE_KEYS = frozenset({"fs_args", "storage_options", "backend_options"})


@rule(
    "credentials",
    "warning",
    title="Credentials that the catalog refers to and no pod has.",
    source="a pod of ours, which Kedro did not start: it resolves all credentials of the catalog first.",
)
def find_unmounted_credentials(context: CheckContext) -> Iterator[RuleFinding]:
    project = context.project
    if project.catalog.credentials and context.settings.credentials_secret is None and not project.credentials_here:
        names = ", ".join(project.catalog.credentials[:3])
        message = f"refers to credentials ({names}) that no pod has; Kedro then starts none."
        yield (
            Location(subject="catalog"),
            message,
            "Give credentials_secret: {name, key} of a Secret that holds them all as YAML.",
        )


@rule(
    "secret-catalog",
    "warning",
    title="A credential in the catalog itself, which every image would hold.",
    source="kedro#1712, where one reached the logs.",
)
def find_credentials_in_catalog(context: CheckContext) -> Iterator[RuleFinding]:
    entries = {**context.entries, **context.project.catalog.config}
    for name in sorted({*entries, *context.project.catalog.literal}):
        entry = entries.get(name, {})
        storage = _storage_arguments(entry)
        credentials = credential_detection.find_credentials(storage, frozenset(storage)) if storage else []
        credentials = credentials or credential_detection.find_credentials(
            {key: value for key, value in entry.items() if _may_hold(key, value)}
        )
        if credentials or name in context.project.catalog.literal:
            key = ".".join(credentials[0]) if credentials else "credentials"
            message = f"holds what looks like a credential ({key}), and every image would have it."
            yield (
                Location(dataset=name),
                message,
                "Move it to credentials and refer to it by name; pods get those by credentials_secret.",
            )


def _may_hold(key: str, value: object) -> bool:
    """Whether a value can be a credential: a path can hold one only as the user of an address."""
    return key != "type" and (key not in ("filepath", "path") or not isinstance(value, str) or "@" in value)


def _storage_arguments(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Parts of an entry in which a telling name is enough: how a place is reached, not what is done with the data."""
    return {key: _without_token_kinds(entry[key]) for key in sorted(_STORAGE_KEYS) if key in entry}


def _without_token_kinds(value: Any) -> Any:
    """Arguments of a storage without tokens that only say which kind or file to take, as gcsfs has them."""
    if not isinstance(value, dict):
        return value
    return {
        key: _without_token_kinds(item)
        for key, item in value.items()
        if not (key == "token" and isinstance(item, str) and (item in _TOKEN_KINDS or "/" in item))
    }


@rule(
    "secret-parameters",
    "warning",
    title="A credential among the parameters, which every image would hold.",
    source="kedro#1712.",
)
def find_credentials_in_parameters(context: CheckContext) -> Iterator[RuleFinding]:
    values = params.flatten(context.project.parameters)
    names = [name for name, value in values.items() if params.is_credential(name, value)]
    if names:
        message = f"{quote_names(names)}: what looks like a credential, and every image would have it."
        yield Location(subject="parameters"), message, "Keep it in credentials, or give it to the pods by envFrom."


@rule(
    "pod-privileged",
    "warning",
    title="A pod with more rights than the restricted profile of Kubernetes allows.",
    source="Kubernetes' pod security standards; namespaces that enforce them refuse the pod.",
)
def find_privileged_pods(context: CheckContext) -> Iterator[RuleFinding]:

    def inspect(settings: Mapping[str, Any]) -> Iterator[SettingsFinding]:
        reasons = list(_excess_rights(settings))
        if reasons:
            message = f"asks for {', '.join(reasons)}: a namespace with the restricted profile refuses its pod."
            yield (
                (("securityContext",), ("podSecurityContext",)),
                message,
                "Leave it to our defaults, unless the node cannot do without.",
            )

    yield from gather_from_tasks(context, inspect)


def _excess_rights(settings: Mapping[str, Any]) -> Iterator[str]:
    container, pod = settings.get("securityContext") or {}, settings.get("podSecurityContext") or {}
    if container.get("privileged"):
        yield "privileged"
    if container.get("allowPrivilegeEscalation", True):
        yield "privilege escalation"
    capabilities = container.get("capabilities") or {}
    if "ALL" not in (capabilities.get("drop") or ()):
        yield "the runtime's capabilities"
    added = [name for name in capabilities.get("add") or () if name not in _ALLOWED_CAPABILITIES]
    if added:
        yield f"capabilities {', '.join(map(str, added))}"
    users = [context["runAsUser"] for context in (container, pod) if context.get("runAsUser") is not None]
    if users[:1] == [0] or not container.get("runAsNonRoot", pod.get("runAsNonRoot")):
        yield "root"
    profile = (container.get("seccompProfile") or pod.get("seccompProfile") or {}).get("type")
    if profile not in ("RuntimeDefault", "Localhost"):
        yield "no seccomp profile"


@rule(
    "pod-host",
    "warning",
    title="A pod that sees its cluster node: its network, or its files.",
    source="Kubernetes' pod security standards, whose baseline profile forbids both.",
)
def find_host_access(context: CheckContext) -> Iterator[RuleFinding]:

    def inspect(settings: Mapping[str, Any]) -> Iterator[SettingsFinding]:
        paths = [volume["hostPath"].get("path") for volume in settings.get("volumes") or () if volume.get("hostPath")]
        seen = [f"its folder {path}" for path in paths]
        if (settings.get("operator") or {}).get("hostnetwork"):
            seen.append("its network")
        if seen:
            message = f"sees the cluster node: {', '.join(seen)}."
            yield (
                (("volumes",), ("operator", "hostnetwork")),
                message,
                "Use a claim or an object store, and the pod's own network.",
            )

    yield from gather_from_tasks(context, inspect)


@rule(
    "pod-token",
    "warning",
    title=("A pod that holds a token of Kubernetes' API, which no node of Kedro needs unless it starts pods itself."),
    source="Kubernetes' documentation of service accounts advises against it; the provider's default mounts one.",
)
def find_api_tokens(context: CheckContext) -> Iterator[RuleFinding]:

    def inspect(settings: Mapping[str, Any]) -> Iterator[SettingsFinding]:
        if settings.get("automountServiceAccountToken"):
            account = settings.get("serviceAccountName") or "default"
            message = f"mounts the token of ServiceAccount {account!r}: whatever the node imports can use it."
            help_text = "Leave automountServiceAccountToken off, but where Spark starts executors."
            yield (("automountServiceAccountToken",),), message, help_text

    yield from gather_from_tasks(context, inspect)
