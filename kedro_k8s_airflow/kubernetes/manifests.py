"""Kubernetes objects for the one-time setup: what Airflow may do, what the pods need, a pod that fills the volumes, and one that cleans up."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kedro_k8s_airflow import __version__, names, templates
from kedro_k8s_airflow.dag.pod_arguments import project_labels

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kedro_k8s_airflow.kubernetes.cluster_needs import ClaimRequest
    from kedro_k8s_airflow.plan.model import LocalInput, Plan

ROLE_FILE = "airflow-role.yml"
DATA_FILE = "data-pod.yml"
LIST_FILE = "data-files.txt"
CLAIMS_FILE = "volume-claims.yml"
ACCOUNTS_FILE = "service-accounts.yml"
CLEANUP_FILE = "cleanup.yml"
_CLEANUP_AGE = 24 * 3600
# In a namespace with a quota, containers have to name all of these.
_CLEANUP_RESOURCES = {"cpu": "100m", "memory": "128Mi", "ephemeral-storage": "64Mi"}
_SCHEDULING_KEYS = (
    "imagePullSecrets",
    "nodeSelector",
    "tolerations",
    "affinity",
    "priorityClassName",
    "runtimeClassName",
)
# Calls of the provider's operator, trigger and hook (cncf.kubernetes 10.25.0), verified by the audit log of a cluster.
ROLE_RULES: tuple[dict[str, list[str]], ...] = (
    {"apiGroups": [""], "resources": ["pods"], "verbs": ["create", "delete", "get", "list", "patch", "watch"]},
    {"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]},
    {"apiGroups": [""], "resources": ["events"], "verbs": ["list", "watch"]},
)
_MAX_LISTED_PATHS = 20


def build_role(plan: Plan, subjects: Sequence[tuple[str, str]]) -> str:
    """Return a Role with what Airflow needs in the namespace of the pods, and a RoleBinding if there are subjects.

    Args:
        plan: any plan of the project.
        subjects: namespace and name of the ServiceAccounts of Airflow's workers, scheduler and triggerer.
    """
    objects = _build_rights(plan, f"kedro-k8s-airflow-{_slug(plan)}", ROLE_RULES, subjects)
    about = [
        f"Permissions of Airflow in namespace {plan.namespace}, where the pods run. The pods themselves need none."
    ]
    if not subjects:
        about.append(
            "To bind it to the ServiceAccounts of Airflow's workers, triggerer and scheduler: --subject NAMESPACE:NAME"
        )
    return _render_manifest(about, objects)


def _build_rights(
    plan: Plan, name: str, rules: Sequence[Mapping[str, Any]], subjects: Sequence[tuple[str, str]]
) -> list[dict[str, Any]]:
    """Return a Role, and a RoleBinding if there are subjects."""
    metadata = {"name": name, "namespace": plan.namespace, "labels": project_labels(plan)}
    api = "rbac.authorization.k8s.io"
    objects: list[dict[str, Any]] = [
        {"apiVersion": f"{api}/v1", "kind": "Role", "metadata": metadata, "rules": [dict(rule) for rule in rules]}
    ]
    if subjects:
        objects.append(
            {
                "apiVersion": f"{api}/v1",
                "kind": "RoleBinding",
                "metadata": metadata,
                "roleRef": {"apiGroup": api, "kind": "Role", "name": name},
                "subjects": [
                    {"kind": "ServiceAccount", "namespace": namespace, "name": account}
                    for namespace, account in subjects
                ],
            }
        )
    return objects


def build_claims(plan: Plan, claims: Sequence[ClaimRequest]) -> str | None:
    """Return the PersistentVolumeClaims of the settings' volumes; None without any."""
    if not claims:
        return None
    objects = [
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": claim.name, "namespace": plan.namespace, "labels": project_labels(plan)},
            "spec": _without_none(
                {
                    "accessModes": list(claim.access_modes),
                    "storageClassName": claim.storage_class,
                    "resources": {"requests": {"storage": claim.size}},
                }
            ),
        }
        for claim in claims
    ]
    about = ["The claims under `data.volumes`. Deleting one deletes its data, unless its storage class retains it."]
    return _render_manifest(about, objects)


def build_accounts(plan: Plan, accounts: Sequence[str]) -> str | None:
    """Return the ServiceAccounts that the pods name; None without any."""
    if not accounts:
        return None
    objects = [_build_account(plan, name) for name in accounts]
    about = ["The ServiceAccounts that the settings name. They have no rights in Kubernetes; pods need none."]
    return _render_manifest(about, objects)


def _build_account(plan: Plan, name: str) -> dict[str, Any]:
    metadata = {"name": name, "namespace": plan.namespace, "labels": project_labels(plan)}
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": metadata,
        "automountServiceAccountToken": False,
    }


def build_cleanup(plan: Plan) -> str:
    """Return a CronJob that deletes finished pods of the project after a day, with a ServiceAccount and a Role of its own."""
    # Kubernetes allows 52 characters for a CronJob.
    name = f"{_slug(plan)[:44].rstrip('-')}-cleanup"
    selector = ",".join(f"{key}={value}" for key, value in project_labels(plan).items())
    settings = plan.base
    container = {
        "name": "cleanup",
        "image": plan.base_image,
        "imagePullPolicy": settings.get("imagePullPolicy"),
        "command": ["python", "-I", "-c", (Path(__file__).parent / "cleanup_program.py").read_text(encoding="utf-8")],
        "args": [selector, str(_CLEANUP_AGE)],
        "resources": {"requests": dict(_CLEANUP_RESOURCES), "limits": dict(_CLEANUP_RESOURCES)},
        "securityContext": settings.get("securityContext"),
    }
    spec = {
        "activeDeadlineSeconds": 600,
        "automountServiceAccountToken": True,
        "restartPolicy": "Never",
        "securityContext": settings.get("podSecurityContext"),
        **{key: settings.get(key) for key in _SCHEDULING_KEYS},
        "serviceAccountName": name,
        "containers": [_without_none(container)],
    }
    # Without the labels of the project, by which the pods to delete are found: the job deletes its own.
    job = {
        "backoffLimit": 1,
        "template": {"metadata": {"labels": {"app.kubernetes.io/name": name}}, "spec": _without_none(spec)},
    }
    cron_job = {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": name, "namespace": plan.namespace, "labels": project_labels(plan)},
        "spec": {
            "schedule": "17 * * * *",
            "concurrencyPolicy": "Forbid",
            "startingDeadlineSeconds": 600,
            "successfulJobsHistoryLimit": 1,
            "failedJobsHistoryLimit": 1,
            "jobTemplate": {"spec": job},
        },
    }
    rules = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["delete", "list"]}]
    about = [
        "Deletes finished pods of the project a day after they ended. Airflow deletes its pods itself; after an outage some can stay.",
        "Namespace, labels and age are all that it looks at: with `on_finish_action: keep_pod`, pods are kept for that day.",
    ]
    return _render_manifest(
        about, [_build_account(plan, name), *_build_rights(plan, name, rules, [(plan.namespace, name)]), cron_job]
    )


def build_data_pod(plan: Plan) -> str | None:
    """Return a pod that sleeps for an hour with the volumes mounted, for `kubectl exec`; None without volumes."""
    claims = [mount for mount in plan.mounts if mount.claim]
    if not claims:
        return None
    settings = plan.base
    secrets = [mount for mount in plan.mounts if mount.secret]
    mounts: list[dict[str, Any]] = [
        {"name": mount.name, "mountPath": mount.path, **({"subPath": mount.sub_path} if mount.sub_path else {})}
        for mount in claims
    ]
    mounts += [
        {"name": mount.name, "mountPath": mount.path, "subPath": mount.key, "readOnly": True} for mount in secrets
    ]
    own_names = {variable["name"] for variable in settings.get("env") or ()}
    home = [] if "HOME" in own_names else [{"name": "HOME", "value": plan.home}]
    container: dict[str, Any] = {
        "name": "data",
        "image": plan.base_image,
        "imagePullPolicy": settings.get("imagePullPolicy"),
        "command": ["sleep", "3600"],
        "env": [*home, *(settings.get("env") or ())],
        "envFrom": settings.get("envFrom"),
        "resources": settings.get("resources"),
        "securityContext": settings.get("securityContext"),
        "volumeMounts": [
            *mounts,
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108
            {"name": "home", "mountPath": plan.home},
        ],
    }
    spec: dict[str, Any] = {
        "activeDeadlineSeconds": 3600,
        "automountServiceAccountToken": False,
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 0,
        "securityContext": settings.get("podSecurityContext"),
        **{key: settings.get(key) for key in (*_SCHEDULING_KEYS, "serviceAccountName")},
        "containers": [_without_none(container)],
        "volumes": [
            *({"name": mount.name, "persistentVolumeClaim": {"claimName": mount.claim}} for mount in claims),
            *({"name": mount.name, "secret": {"secretName": mount.secret}} for mount in secrets),
            *({"name": name, "emptyDir": {"sizeLimit": plan.scratch_size}} for name in ("tmp", "home")),
        ],
    }
    metadata = {"name": data_pod_name(plan), "namespace": plan.namespace, "labels": project_labels(plan)}
    about = ["A pod that mounts the volumes for an hour, to copy data to them or to inspect them."]
    return _render_manifest(
        about, [{"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": _without_none(spec)}]
    )


def data_pod_name(plan: Plan) -> str:
    """Return a legal name for the project's data pod."""
    return f"{_slug(plan)}-data"


def _slug(plan: Plan) -> str:
    return names.to_label_value(plan.package).lower().replace("_", "-").replace(".", "-")


def build_fill_commands(plan: Plan, inputs: Sequence[LocalInput], local_paths: Sequence[str], folder: str) -> list[str]:
    """Return the commands that copy local inputs to the volumes, to be run in the project's folder.

    Args:
        plan: any plan of the project.
        inputs: the inputs to copy.
        local_paths: files and folders of these inputs that exist on this machine, as `LocalInput.local_path` names them.
        folder: folder of the manifests, relative to the project's folder or absolute.
    """
    pod = data_pod_name(plan)
    kubectl = f"kubectl --namespace {plan.namespace}"
    roots = {root for local_input in inputs for root in [_root_of(local_input.local_path)]}
    lines = [
        f"kubectl apply --filename {shlex.quote(f'{folder}/{DATA_FILE}')}",
        f"{kubectl} wait --for=condition=Ready --timeout=15m pod/{pod}",
    ]
    for root in sorted(roots):
        paths = [path for path in local_paths if _root_of(path) == root]
        if not paths:
            continue
        if len(paths) > _MAX_LISTED_PATHS and not root:
            selection = f"--files-from={shlex.quote(f'{folder}/{LIST_FILE}')}"
        else:
            selection = f"-- {' '.join(shlex.quote(path.removeprefix(root)) for path in paths)}"
        source = f"--directory={root} " if root else ""
        lines.append(
            f"tar --create --file=- {source}{selection} | {kubectl} exec --stdin {pod} -- "
            f"tar --extract --file=- --no-same-owner --directory={shlex.quote(root or plan.project_path)}"
        )
    return [*lines, f"{kubectl} delete pod {pod}"]


def build_file_list(local_paths: Sequence[str]) -> str | None:
    """Return the inputs for `tar --files-from`, one per line, if they are too many for a command line; otherwise None."""
    inside = [path for path in local_paths if not _root_of(path)]
    return "".join(f"{path}\n" for path in inside) if len(inside) > _MAX_LISTED_PATHS else None


def _root_of(path: str) -> str:
    """Return `/` for a path outside the project, otherwise an empty text."""
    return "/" if path.startswith("/") else ""


def _without_none(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in settings.items() if value is not None}


def _render_manifest(about: Sequence[str], objects: Sequence[Mapping[str, Any]]) -> str:
    return templates.fill_template("manifest.yml.j2", version=__version__, about=about, objects=objects)
