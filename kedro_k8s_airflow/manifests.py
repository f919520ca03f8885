"""Kubernetes objects that are needed once, beside the DAGs: Airflow's rights to run pods, and a pod that fills the volumes."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from kedro_k8s_airflow import __version__, names, templates

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kedro_k8s_airflow.plan import LocalInput, Plan

ROLE_FILE = "airflow-role.yml"
DATA_FILE = "data-pod.yml"
# Calls of the provider's operator, its trigger and its hook (cncf.kubernetes 10.25.0), proven by the audit log of a cluster.
RULES: tuple[dict[str, list[str]], ...] = (
    {"apiGroups": [""], "resources": ["pods"], "verbs": ["create", "delete", "get", "list", "patch", "watch"]},
    {"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]},
    {"apiGroups": [""], "resources": ["events"], "verbs": ["list", "watch"]},
)
_ROLE = "kedro-k8s-airflow"
_LISTED = 20


def role(plan: Plan, subjects: Sequence[tuple[str, str]]) -> str:
    """A Role with what Airflow needs in the namespace of the pods, and who gets it.

    Args:
        plan: any of the project's.
        subjects: namespace and name of the ServiceAccounts of Airflow's workers, scheduler and triggerer.
    """
    metadata = {"name": _ROLE, "namespace": plan.namespace, "labels": _labels(plan)}
    api = "rbac.authorization.k8s.io"
    objects: list[dict[str, Any]] = [
        {"apiVersion": f"{api}/v1", "kind": "Role", "metadata": metadata, "rules": [dict(rule) for rule in RULES]}
    ]
    if subjects:
        objects.append(
            {
                "apiVersion": f"{api}/v1",
                "kind": "RoleBinding",
                "metadata": metadata,
                "roleRef": {"apiGroup": api, "kind": "Role", "name": _ROLE},
                "subjects": [
                    {"kind": "ServiceAccount", "namespace": namespace, "name": name} for namespace, name in subjects
                ],
            }
        )
    about = [
        f"What Airflow may do in namespace {plan.namespace}, where the pods run; the pods themselves may do nothing."
    ]
    if not subjects:
        about.append("Bind it to the ServiceAccounts of Airflow's workers and triggerer: --subject NAMESPACE:NAME")
    return _text(about, objects)


def data_pod(plan: Plan) -> str | None:
    """A pod that sleeps for an hour with the volumes mounted, for `kubectl exec`; None when the project has no volumes."""
    claims = [mount for mount in plan.mounts if mount.claim]
    if not claims:
        return None
    told = plan.base
    mounts = [
        {
            "name": mount.name,
            "mountPath": mount.path,
            **({"subPath": mount.sub_path} if mount.sub_path else {}),
        }
        for mount in claims
    ]
    container: dict[str, Any] = {
        "name": "data",
        "image": plan.base_image,
        "imagePullPolicy": told.get("imagePullPolicy"),
        "command": ["sleep", "3600"],
        "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"memory": "256Mi"}},
        "securityContext": told.get("securityContext"),
        "volumeMounts": [*mounts, {"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108
    }
    same = ("imagePullSecrets", "nodeSelector", "tolerations", "affinity", "priorityClassName", "runtimeClassName")
    spec: dict[str, Any] = {
        "activeDeadlineSeconds": 3600,
        "automountServiceAccountToken": False,
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 0,
        "securityContext": told.get("podSecurityContext"),
        **{key: told.get(key) for key in (*same, "serviceAccountName")},
        "containers": [_said(container)],
        "volumes": [
            *({"name": mount.name, "persistentVolumeClaim": {"claimName": mount.claim}} for mount in claims),
            {"name": "tmp", "emptyDir": {"sizeLimit": plan.scratch_size}},
        ],
    }
    metadata = {"name": data_pod_name(plan), "namespace": plan.namespace, "labels": _labels(plan)}
    about = ["A pod that holds the volumes for an hour, to copy data to them or to look at what is there."]
    return _text(about, [{"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": _said(spec)}])


def data_pod_name(plan: Plan) -> str:
    """A legal pod name for the project's data pod."""
    return names.label(plan.package).lower().replace("_", "-").replace(".", "-") + "-data"


def filling(plan: Plan, inputs: Sequence[LocalInput], file: str) -> list[str]:
    """The commands that copy local inputs to the volumes, to be run in the project's folder.

    Args:
        plan: any of the project's.
        inputs: what is to be copied.
        file: the manifest of the data pod, as the user would name it.
    """
    pod = data_pod_name(plan)
    kubectl = f"kubectl --namespace {plan.namespace}"
    inside = sorted({one.here for one in inputs if not one.here.startswith("/")})
    outside = sorted({one.here.lstrip("/") for one in inputs if one.here.startswith("/")})
    lines = [
        f"kubectl apply --filename {shlex.quote(file)}",
        f"{kubectl} wait --for=condition=Ready --timeout=15m pod/{pod}",
    ]
    for paths, here, there in ((inside, "", plan.project_path), (outside, "--directory=/ ", "/")):
        if paths:
            folders = sorted({path.rpartition("/")[0] or path for path in paths}) if len(paths) > _LISTED else paths
            what = " ".join(shlex.quote(path) for path in folders)
            lines.append(
                f"tar --create --file=- {here}-- {what} | {kubectl} exec --stdin {pod} -- "
                f"tar --extract --file=- --no-same-owner --directory={shlex.quote(there)}"
            )
    return [*lines, f"{kubectl} delete pod {pod}"]


def _labels(plan: Plan) -> dict[str, str]:
    return {"app.kubernetes.io/managed-by": "kedro-k8s-airflow", "app.kubernetes.io/part-of": names.label(plan.package)}


def _said(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in settings.items() if value is not None}


def _text(about: Sequence[str], objects: Sequence[Mapping[str, Any]]) -> str:
    return templates.fill("manifest.yml.j2", version=__version__, about=about, objects=objects)
