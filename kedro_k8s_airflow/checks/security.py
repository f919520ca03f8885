"""Checks of security: exposed credentials, and pods with more privileges than a Kedro task needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kedro_k8s_airflow.checks.registry import gather_from_tasks, rule
from kedro_k8s_airflow.credential_detection import find_credentials
from kedro_k8s_airflow.image.spec import find_ungiven_variables, image_credentials
from kedro_k8s_airflow.kubernetes.settings_pod import iterate_containers
from kedro_k8s_airflow.locations import Location, dotted
from kedro_k8s_airflow.plan.parameters import flatten_parameters, is_credential
from kedro_k8s_airflow.project.pod_environment import remove_placeholders
from kedro_k8s_airflow.text import join_some, quote_names

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from kedro_k8s_airflow.checks.registry import CheckContext, RuleFinding, SettingsFinding
    from kedro_k8s_airflow.project.credentials_files import CredentialsFile

# Capabilities that the restricted profile of Kubernetes allows pods to add.
_ALLOWED_CAPABILITIES = frozenset({"NET_BIND_SERVICE"})
# What the restricted profile asks of a container; the rest follows from the pod's own security context.
_RESTRICTED = "{allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}"
# Values of gcsfs' `token` that name a way to log in.
_TOKEN_KINDS = frozenset({"anon", "browser", "cache", "cloud", "google_default"})
# Keys of a catalog entry that configure access to its storage.
_STORAGE_KEYS = frozenset({"fs_args", "storage_options", "backend_options"})


@rule(
    "credentials",
    "warning",
    title="Credentials that the catalog uses but pods do not have.",
    source="A generated pod in which Kedro failed to start, because it resolves all credentials of the catalog first.",
)
def find_unmounted_credentials(context: CheckContext) -> Iterator[RuleFinding]:
    project = context.project
    if context.settings.credentials_secret is not None or "://" in project.conf_source:
        return
    files = [file for file in project.credentials_files if file.env in (project.base_env, project.run_env)]
    in_image = image_credentials(project, context.settings)
    available = {name for file in files if file.path in in_image for name in file.names}
    missing = [name for name in project.catalog.credentials if name not in available]
    if missing:
        message = (
            f"uses credentials ({join_some(missing)}) that are not available in the pods, so Kedro will fail to start."
        )
        help_text = "Set credentials_secret: {name, key} to a Secret that holds all of them as YAML."
        left_out = next(
            (file for file in files if file.path not in in_image and not file.names.isdisjoint(missing)), None
        )
        if left_out is not None:
            message += f" The image leaves out {left_out.path}, because {_describe_reason(left_out, context)}."
            help_text += " Or refer to variables that pods have (`env`, `envFrom`): ${oc.env:NAME}, without a default."
        yield Location(subject="catalog"), message, help_text


def _describe_reason(file: CredentialsFile, context: CheckContext) -> str:
    """Return why an image leaves out a credentials file."""
    if file.literal:
        return f"{dotted(file.literal)} is not a reference to an environment variable"
    if file.literal is None:
        return f"no pod has {', '.join(find_ungiven_variables(file.variables, context.settings)) or 'such a path'}"
    return "it cannot be read as a map, or a comment may hold a secret"


@rule(
    "secret-catalog",
    "warning",
    title="A credential in the catalog, which every image would contain.",
    source="kedro#1712, where a credential was logged.",
)
def find_credentials_in_catalog(context: CheckContext) -> Iterator[RuleFinding]:
    entries = {**context.entries, **context.project.catalog.config}
    for name in sorted({*entries, *context.project.catalog.inline_credentials}):
        entry = remove_placeholders(entries.get(name, {}), context.project.unknown_variables)
        storage = _storage_arguments(entry)
        credentials = find_credentials(storage, frozenset(storage)) if storage else []
        credentials = credentials or find_credentials(
            {key: value for key, value in entry.items() if _may_hold(key, value)}
        )
        if credentials or name in context.project.catalog.inline_credentials:
            key = ".".join(credentials[0]) if credentials else "credentials"
            message = f"has what looks like a credential ({key}), which every image would contain."
            help_text = "Move it to credentials.yml and refer to it by name. Pods read it from credentials_secret."
            yield Location(dataset=name), message, help_text


def _may_hold(key: str, value: object) -> bool:
    """Return whether a value can be a credential. A path can contain one only before an `@`."""
    return key != "type" and (key not in ("filepath", "path") or not isinstance(value, str) or "@" in value)


def _storage_arguments(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parts of an entry that configure storage access, where the name of a key is enough evidence."""
    return {key: _without_token_kinds(entry[key]) for key in sorted(_STORAGE_KEYS) if key in entry}


def _without_token_kinds(value: Any) -> Any:
    """Return storage arguments without tokens that only name a login method or a file, as in gcsfs."""
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
    title="A credential in the parameters, which every image would contain.",
    source="kedro#1712.",
)
def find_credentials_in_parameters(context: CheckContext) -> Iterator[RuleFinding]:
    values = flatten_parameters(remove_placeholders(context.project.parameters, context.project.unknown_variables))
    names = [name for name, value in values.items() if is_credential(name, value)]
    if names:
        message = f"have what looks like a credential ({quote_names(names)}), which every image would contain."
        yield (
            Location(subject="parameters"),
            message,
            "Move it to credentials.yml, or pass it to the pods with envFrom.",
        )


@rule(
    "pod-privileged",
    "warning",
    title="A pod with more privileges than the restricted profile of Kubernetes allows.",
    source="Kubernetes' pod security standards. Namespaces that enforce them reject the pod.",
)
def find_privileged_pods(context: CheckContext) -> Iterator[RuleFinding]:

    def inspect(settings: Mapping[str, Any]) -> Iterator[SettingsFinding]:
        for path, container, pod_context in iterate_containers(settings):
            reasons = list(_excess_rights(container.get("securityContext") or {}, pod_context))
            if reasons:
                message = f"allows {', '.join(reasons)}, so a namespace with the restricted profile rejects its pod."
                help_text = (
                    f"Give the container a securityContext: {_RESTRICTED}."
                    if path
                    else "Keep the defaults unless the node needs this."
                )
                keys = (path, path[:-1], path[:2]) if path else (("securityContext",), ("podSecurityContext",))
                yield keys, message, help_text

    yield from gather_from_tasks(context, inspect)


def _excess_rights(container: Mapping[str, Any], pod: Mapping[str, Any]) -> Iterator[str]:
    if container.get("privileged"):
        yield "privileged mode"
    if container.get("allowPrivilegeEscalation", True):
        yield "privilege escalation"
    capabilities = container.get("capabilities") or {}
    if "ALL" not in (capabilities.get("drop") or ()):
        yield "default capabilities"
    added = [name for name in capabilities.get("add") or () if name not in _ALLOWED_CAPABILITIES]
    if added:
        yield f"capabilities {', '.join(map(str, added))}"
    users = [context["runAsUser"] for context in (container, pod) if context.get("runAsUser") is not None]
    if users[:1] == [0] or not container.get("runAsNonRoot", pod.get("runAsNonRoot")):
        yield "root"
    profile = (container.get("seccompProfile") or pod.get("seccompProfile") or {}).get("type")
    if profile not in ("RuntimeDefault", "Localhost"):
        yield "all system calls (no seccomp profile)"


@rule(
    "pod-host",
    "warning",
    title="A pod with access to the network or files of its cluster node.",
    source="Kubernetes' pod security standards, whose baseline profile forbids both.",
)
def find_host_access(context: CheckContext) -> Iterator[RuleFinding]:

    def inspect(settings: Mapping[str, Any]) -> Iterator[SettingsFinding]:
        paths = [volume["hostPath"].get("path") for volume in settings.get("volumes") or () if volume.get("hostPath")]
        exposed = [f"folder {path}" for path in paths]
        if (settings.get("operator") or {}).get("hostnetwork"):
            exposed.append("network")
        if exposed:
            message = f"has access to its cluster node: {', '.join(exposed)}."
            yield (
                (("volumes",), ("operator", "hostnetwork")),
                message,
                "Use a claim or an object store instead of hostPath, and do not set hostnetwork.",
            )

    yield from gather_from_tasks(context, inspect)


@rule(
    "pod-token",
    "warning",
    title="A pod with a token of the Kubernetes API, which a node needs only if it starts pods itself.",
    source="Kubernetes' documentation of service accounts, which advises against it. The provider mounts one by default.",
)
def find_api_tokens(context: CheckContext) -> Iterator[RuleFinding]:

    def inspect(settings: Mapping[str, Any]) -> Iterator[SettingsFinding]:
        if settings.get("automountServiceAccountToken"):
            account = settings.get("serviceAccountName") or "default"
            message = f"mounts the token of ServiceAccount {account!r}, which all code in the pod can use."
            help_text = "Set automountServiceAccountToken: false, unless Spark starts executors from this pod."
            yield (("automountServiceAccountToken",),), message, help_text

    yield from gather_from_tasks(context, inspect)
