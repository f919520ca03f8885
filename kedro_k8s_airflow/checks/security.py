"""Checks of security: exposed credentials, and pods with more privileges than a Kedro task needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kedro_k8s_airflow.checks.registry import gather_from_tasks, key_prefixes, rule
from kedro_k8s_airflow.credential_detection import find_credentials
from kedro_k8s_airflow.image.spec import find_ungiven_variables, image_credentials
from kedro_k8s_airflow.kubernetes.restricted_profile import find_container_rights, find_host_parts, find_pod_parts
from kedro_k8s_airflow.kubernetes.settings_pod import iterate_containers, iterate_specs, settings_path
from kedro_k8s_airflow.locations import Location, dotted
from kedro_k8s_airflow.plan.parameters import flatten_parameters, is_credential
from kedro_k8s_airflow.project.pod_environment import remove_placeholders
from kedro_k8s_airflow.text import join_some, quote_names

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from kedro_k8s_airflow.checks.registry import CheckContext, RuleFinding, SettingsFinding
    from kedro_k8s_airflow.project.credentials_files import CredentialsFile

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
            rights = list(find_container_rights(container, pod_context))
            if rights and path:
                help_text = f"Give the container a securityContext: {_RESTRICTED}."
                yield key_prefixes(path), _restricted_message(rights), help_text
            elif rights:
                help_text = "Keep the defaults unless the node needs this."
                yield (("securityContext",), ("podSecurityContext",)), _restricted_message(rights), help_text
        for place, spec in iterate_specs(settings):
            for path, name in find_pod_parts(spec):
                keys = key_prefixes(settings_path(place, ("spec", *path)))
                yield keys, _restricted_message([name]), "Remove it unless the node needs it."

    yield from gather_from_tasks(context, inspect)


def _restricted_message(names: Sequence[str]) -> str:
    return f"allows {', '.join(names)}, so a namespace with the restricted profile rejects its pod."


@rule(
    "pod-host",
    "warning",
    title="A pod with access to the network or files of its cluster node.",
    source="Kubernetes' pod security standards, whose baseline profile forbids both.",
)
def find_host_access(context: CheckContext) -> Iterator[RuleFinding]:

    def inspect(settings: Mapping[str, Any]) -> Iterator[SettingsFinding]:
        for place, spec in iterate_specs(settings):
            accesses = list(find_host_parts(spec))
            if accesses:
                message = f"has access to its cluster node: {', '.join(name for _, name in accesses)}."
                yield (
                    key_prefixes(settings_path(place, ("spec", *accesses[0][0]))),
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
