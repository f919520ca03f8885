"""Kubernetes objects for the one-time setup: the permissions that Airflow needs, and a pod that fills the volumes."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from kedro_k8s_airflow import __version__, names, templates
from kedro_k8s_airflow.dag.pod_arguments import project_labels

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kedro_k8s_airflow.plan.model import LocalInput, Plan

ROLE_FILE = "airflow-role.yml"
DATA_FILE = "data-pod.yml"
LIST_FILE = "data-files.txt"
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
    name = f"kedro-k8s-airflow-{_slug(plan)}"
    metadata = {"name": name, "namespace": plan.namespace, "labels": project_labels(plan)}
    api = "rbac.authorization.k8s.io"
    objects: list[dict[str, Any]] = [
        {"apiVersion": f"{api}/v1", "kind": "Role", "metadata": metadata, "rules": [dict(rule) for rule in ROLE_RULES]}
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
    about = [
        f"Permissions of Airflow in namespace {plan.namespace}, where the pods run. The pods themselves need none."
    ]
    if not subjects:
        about.append(
            "To bind it to the ServiceAccounts of Airflow's workers, triggerer and scheduler: --subject NAMESPACE:NAME"
        )
    return _render_manifest(about, objects)


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
    copied_keys = (
        "imagePullSecrets",
        "nodeSelector",
        "tolerations",
        "affinity",
        "priorityClassName",
        "runtimeClassName",
    )
    spec: dict[str, Any] = {
        "activeDeadlineSeconds": 3600,
        "automountServiceAccountToken": False,
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 0,
        "securityContext": settings.get("podSecurityContext"),
        **{key: settings.get(key) for key in (*copied_keys, "serviceAccountName")},
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
