"""Commands that run the pod of one task manually: with podman on this machine, or with kubectl in the cluster.

Not for a whole DAG. Values that only Airflow knows, such as those of the trigger form, are replaced by defaults.
"""

from __future__ import annotations

import json
import posixpath
import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kedro_k8s_airflow.dag import pod_arguments, pod_manifest
from kedro_k8s_airflow.image.lock import is_unbuilt
from kedro_k8s_airflow.plan import trigger_form

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from kedro_k8s_airflow.plan.model import Plan, Task

BY_HAND_RUN_ID = "by-hand"
# Earlier than every real DAG run, so that versions saved manually are never the latest.
_RUN_AFTER = "2000-01-01 00:00:00+00:00"
_NAME_LIMIT = 63
# What the kubelet expands in commands, arguments and variables (Kubernetes' third_party/forked/golang/expansion).
_REFERENCE = re.compile(r"\$\$|\$\(([^)]*)\)")


@dataclass(frozen=True)
class DebugCommands:
    """How to run one task manually.

    Attributes:
        podman: one shell command, on several lines.
        kubectl: shell commands, in order.
        pod: the Pod object that kubectl applies.
        notes: what to do first, and how the commands differ from a run by Airflow.
    """

    podman: str
    kubectl: tuple[str, ...]
    pod: Mapping[str, Any]
    notes: tuple[str, ...]


def build_debug_commands(plan: Plan, task: Task) -> DebugCommands:
    """Return the commands for a task of a plan."""
    pod = pod_manifest.build_pod(
        plan, task, _pod_name(task), {"RUN": _run_json(plan, task), "RUN_PARAMS": _params_json(plan)}
    )
    podman, limitations = _build_podman_command(plan, pod)
    return DebugCommands(
        podman,
        tuple(_build_kubectl_commands(plan.namespace, pod)),
        pod,
        (*_collect_notes(plan, task, pod), *limitations),
    )


def _pod_name(task: Task) -> str:
    """Return a legal pod name that identifies the task."""
    slug = re.sub(r"[^a-z0-9]+", "-", task.label.lower()).strip("-")
    return f"by-hand-{slug}"[:_NAME_LIMIT].rstrip("-")


def _run_json(plan: Plan, task: Task) -> str:
    values = {
        "dag_id": plan.dag_id,
        "run_id": BY_HAND_RUN_ID,
        "task_id": task.id,
        "try_number": 1,
        "run_after": _RUN_AFTER,
    }
    return _to_json(values)


def _params_json(plan: Plan) -> str:
    params = {**plan.runtime_params, **plan.params}
    return _to_json({name: trigger_form.spell_value(params[name]) for name in sorted(params)})


def _to_json(value: Any) -> str:
    # As in the DAG file, because the kubelet expands `$` in the values of variables.
    return json.dumps(value, ensure_ascii=False).replace("$", "\\u0024")


def _collect_notes(plan: Plan, task: Task, pod: Mapping[str, Any]) -> Iterable[str]:
    if task.image_name is not None and is_unbuilt(task.image):
        yield "The image is not built yet. Run: kedro k8s-airflow build-image --push"
    if task.versions or task.stored:
        yield (
            f"Tasks run manually belong to one DAG run, {BY_HAND_RUN_ID!r}, and load what its other tasks saved. "
            f"To load what a DAG run of Airflow saved, set its dag_id, run_id and run_after in {pod_arguments.RUN_VARIABLE}. "
            "To run a task again, increase try_number."
        )
    if plan.macros:
        yield f"These parameters depend on the DAG run and are not set: {', '.join(sorted(plan.macros))}."
    container = pod["spec"]["containers"][0]
    templates = sorted({variable["name"] for variable in container["env"] if "{{" in (variable.get("value") or "")})
    if templates:
        yield f"Airflow templates are not rendered in {', '.join(templates)}."
    for name in pod_manifest.POD_TEMPLATE_ARGUMENTS:
        if name in (task.settings.get("operator") or {}):
            yield f"Airflow merges this pod into that of operator.{name}; these commands do not."


def _build_podman_command(plan: Plan, pod: Mapping[str, Any]) -> tuple[str, list[str]]:
    """Return the command, and notes about what it does not reproduce."""
    spec = pod["spec"]
    container = spec["containers"][0]
    security_context = {**(spec.get("securityContext") or {}), **(container.get("securityContext") or {})}
    options = ["--rm", *_security_options(security_context)]
    volume_options, limitations = _volume_options(plan, pod)
    options += volume_options
    variables: dict[str, str] = {}
    for variable in container["env"]:
        if "valueFrom" in variable:
            options.append(f"--env={variable['name']}")
            limitations.append(
                f"{variable['name']} is read from your environment instead of {_describe_source(variable)}."
            )
        else:
            variables[variable["name"]] = _expand_variables(variable.get("value") or "", variables)
            options.append(f"--env={variable['name']}={variables[variable['name']]}")
    for source in container.get("envFrom") or ():
        kind, reference = next((key, value) for key, value in source.items() if key != "prefix")
        kind_name = "Secret" if kind == "secretRef" else "ConfigMap"
        limitations.append(
            f"Add --env=NAME for each variable of the {kind_name} {reference['name']!r} that the nodes need."
        )
    if security_context.get("runAsUser"):
        group = security_context.get("runAsGroup", 0)
        limitations.append(
            f"Rootless podman needs --userns=keep-id:uid={security_context['runAsUser']},gid={group} to write to your folders."
        )
    # An empty entrypoint, because the pod's command replaces that of the image.
    words = ["--entrypoint=", container["image"]]
    program = [_expand_variables(word, variables) for word in (*container["command"], *container["args"])]
    parts = ["podman run", *map(shlex.quote, (*options, *words)), " ".join(map(shlex.quote, program))]
    return " \\\n    ".join(parts), limitations


def _security_options(security_context: Mapping[str, Any]) -> list[str]:
    capabilities = security_context.get("capabilities") or {}
    options = [f"--cap-drop={name}" for name in capabilities.get("drop") or ()]
    options += [f"--cap-add={name}" for name in capabilities.get("add") or ()]
    if security_context.get("allowPrivilegeEscalation") is False:
        options.append("--security-opt=no-new-privileges")
    if security_context.get("readOnlyRootFilesystem"):
        options.append("--read-only")
    if security_context.get("runAsUser") is not None:
        options.append(f"--user={security_context['runAsUser']}:{security_context.get('runAsGroup', 0)}")
    return options


def _volume_options(plan: Plan, pod: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Return the options for volumes, and notes about those that podman cannot mount."""
    volumes = {volume["name"]: volume for volume in pod["spec"]["volumes"]}
    options, limitations = [], []
    for mount in pod["spec"]["containers"][0]["volumeMounts"]:
        # `check` reports a mount without a volume; the commands are shown all the same.
        volume, path = volumes.get(mount["name"], {}), mount["mountPath"]
        if "emptyDir" in volume:
            options.append(f"--tmpfs={path}:mode=1777")
        elif "persistentVolumeClaim" in volume and f"{path}/".startswith(f"{plan.project_path}/"):
            host_path = posixpath.relpath(path, plan.project_path)
            options.append(f"--volume=./{host_path}:{path}{':ro' if mount.get('readOnly') else ''}")
        elif mount["name"] == "credentials" and "secret" in volume:
            limitations.append(
                f"Mount a local file instead of the Secret: --volume=./conf/local/credentials.yml:{path}:ro."
            )
        else:
            limitations.append(f"Mount a local folder instead of volume {mount['name']!r}: --volume=FOLDER:{path}.")
    return options, limitations


def _describe_source(variable: Mapping[str, Any]) -> str:
    kind, reference = next(iter(variable["valueFrom"].items()))
    words = {"secretKeyRef": "the Secret", "configMapKeyRef": "the ConfigMap"}
    if kind in words:
        return f"{words[kind]} {reference['name']!r}, key {reference['key']!r}"
    return "a field of the pod"


def _expand_variables(text: str, variables: Mapping[str, str]) -> str:
    """Return the text as the kubelet passes it to the container."""
    return _REFERENCE.sub(lambda found: "$" if found[1] is None else variables.get(found[1], found[0]), text)


def _build_kubectl_commands(namespace: str, pod: Mapping[str, Any]) -> Iterable[str]:
    name, kubectl = pod["metadata"]["name"], f"kubectl --namespace {namespace}"
    # No line of the object is just EOF: each begins with a key or a dash, and multi-line texts are quoted on one line.
    yield f"{kubectl} apply --filename - <<'EOF'\n{to_yaml(pod)}EOF"
    # There is no log before the container starts.
    yield f"until {kubectl} logs --follow {name}; do sleep 2; done"
    yield f"{kubectl} get pod {name}"
    yield f"{kubectl} delete pod {name}"


def to_yaml(value: Mapping[str, Any]) -> str:
    """Return a Kubernetes object as YAML, quoting every text that a YAML parser may read as another type."""
    import yaml

    class Dumper(yaml.SafeDumper):
        """Parsers differ in what they read as a number, a date or a boolean: 1e3, 12:30, off."""

    def represent_text(dumper: yaml.SafeDumper, scalar: str) -> yaml.ScalarNode:
        plain = re.fullmatch(r"[A-Za-z/][A-Za-z0-9_./-]*", scalar) and scalar.lower() not in _AMBIGUOUS_WORDS
        return dumper.represent_scalar("tag:yaml.org,2002:str", scalar, style=None if plain else '"')

    Dumper.add_representer(str, represent_text)
    dumped: str = yaml.dump(value, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=10**9)
    return dumped


_AMBIGUOUS_WORDS = frozenset({"y", "yes", "n", "no", "true", "false", "on", "off", "null"})
