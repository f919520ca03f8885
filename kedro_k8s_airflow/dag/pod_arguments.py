"""The parts of a pod as the DAG file spells them: command, environment variables, volumes, mounts and labels."""

from __future__ import annotations

import json
import posixpath
from typing import TYPE_CHECKING, Any

from kedro_k8s_airflow import names
from kedro_k8s_airflow.plan import trigger_form
from kedro_k8s_airflow.plan.model import CONTRACT_VERSION
from kedro_k8s_airflow.python_source import Call, Raw, Text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from kedro_k8s_airflow.plan.model import Plan, Task

POD_PROGRAM = ".k8s-airflow/pod.py"
PARAMS_VARIABLE = "KEDRO_K8S_AIRFLOW_PARAMS"
RUN_VARIABLE = "KEDRO_K8S_AIRFLOW_RUN"
LABEL_PREFIX = "kedro-k8s-airflow/"
_VOLUME_SOURCES = {
    "configMap": "config_map",
    "csi": "csi",
    "downwardAPI": "downward_api",
    "emptyDir": "empty_dir",
    "ephemeral": "ephemeral",
    "hostPath": "host_path",
    "nfs": "nfs",
    "persistentVolumeClaim": "persistent_volume_claim",
    "projected": "projected",
    "secret": "secret",
}


def pod_command(plan: Plan, name: str) -> list[str]:
    """Return the command that starts a program of the image, after the plan's prefix."""
    return [*(escape_template(word.replace("$", "$$")) for word in plan.prefix), name]


def program_arguments(plan: Plan) -> list[str]:
    """Return the pod's program and the arguments that all tasks share."""
    options = [
        f"--contract={CONTRACT_VERSION}",
        f"--project={plan.project_path}",
        *([f"--env={plan.env}"] if plan.env else []),
        *([f"--conf-source={plan.conf_source}"] if plan.conf_source else []),
        *([f"--store={plan.store.url}", f"--keep={plan.store.keep}"] if plan.store else []),
        *([f"--runner={plan.base['runner']}"] if _needs_runner_option(plan.base) else []),
        *(f"--default={default}" for default in trigger_form.encode_defaults(plan.params)),
    ]
    return [
        posixpath.join(plan.project_path, POD_PROGRAM),
        *(escape_template(text.replace("$", "$$")) for text in options),
    ]


def _needs_runner_option(settings: Mapping[str, Any]) -> bool:
    return settings.get("runner") not in (None, "kedro", "SequentialRunner")


def runner_option(plan: Plan, settings: Mapping[str, Any]) -> str | None:
    """Return the runner of a task if it differs from the runner that all tasks share, otherwise None."""
    runner, shared_runner = (source.get("runner") or "SequentialRunner" for source in (settings, plan.base))
    return None if runner in (shared_runner, "kedro") else runner


def kedro_run_arguments(plan: Plan, task: Task) -> list[str]:
    """Return the arguments of `kedro` for a task with `runner: kedro`."""
    arguments = [
        "run",
        f"--pipelines={task.pipeline}",
        f"--nodes={','.join(task.nodes)}",
        *([f"--env={plan.env}"] if plan.env else []),
        *([f"--conf-source={plan.conf_source}"] if plan.conf_source else []),
    ]
    return [escape_template(text.replace("$", "$$")) for text in arguments]


def escape_template(text: str) -> str:
    """Escape text so that Airflow's templates leave it unchanged; the DAG file contains the same function.

    Rendering drops a trailing newline and rewrites carriage returns even in text without braces.
    """
    if any(sign in text for sign in "{\n\r"):
        return "{{ " + json.dumps(text, ensure_ascii=False) + " }}"
    return text


def unescape_template(text: str) -> str:
    """Return what Airflow's templates render from a text that `escape_template` returned."""
    if text.startswith("{{ ") and text.endswith(" }}"):
        return str(json.loads(text[3:-3]))
    return text


def project_labels(plan: Plan) -> dict[str, str]:
    """Return the labels of every Kubernetes object of the project."""
    return {
        "app.kubernetes.io/managed-by": "kedro-k8s-airflow",
        "app.kubernetes.io/part-of": names.to_label_value(plan.package),
    }


def standard_labels(plan: Plan) -> dict[str, str]:
    """Return the labels of every pod of the DAG, without those from the settings."""
    return {**project_labels(plan), f"{LABEL_PREFIX}pipeline": names.to_label_value(plan.pipeline)}


def build_environment_variables(plan: Plan, settings: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the environment variables: fixed ones, those of the DAG run, those from the settings."""
    fixed = {"HOME": plan.home, "DO_NOT_TRACK": "1", "KEDRO_DISABLE_TELEMETRY": "1", "PYTHONUNBUFFERED": "1"}
    own_names = {variable["name"] for variable in settings.get("env") or []}
    variables: list[dict[str, Any]] = [
        {"name": name, "value": value} for name, value in fixed.items() if name not in own_names
    ]
    variables.append({"name": RUN_VARIABLE, "value": Raw("RUN")})
    if plan.params or plan.runtime_params or plan.macros:
        variables.append({"name": PARAMS_VARIABLE, "value": Raw("RUN_PARAMS")})
    return [*variables, *(settings.get("env") or [])]


def build_params_template(plan: Plan) -> Text:
    """Return the Airflow template for the parameters as JSON: of the trigger form, of the DAG run, and runtime parameters."""
    items = {name: _to_jinja(value) for name, value in plan.runtime_params.items()}
    items.update({name: f"params[{_to_jinja(name)}]" for name in plan.params})
    items.update(plan.macros)
    return _build_json_template(sorted(items.items()))


def build_run_template() -> Text:
    """Return the Airflow template that identifies DAG, DAG run, task and try as JSON.

    Without `run_after` (Airflow 2), the time is the later of the logical date and the end of the data interval. Two runs triggered
    manually on one day share the latter.
    """
    return _build_json_template(
        (
            ("dag_id", "dag.dag_id"),
            ("run_id", "run_id"),
            ("task_id", "ti.task_id"),
            ("try_number", "ti.try_number"),
            ("run_after", "(dag_run.run_after if dag_run.run_after is defined "),
        ),
        "else [dag_run.logical_date, dag_run.data_interval_end] | max) | string",
    )


def _build_json_template(items: Iterable[tuple[str, str]], rest: str = "") -> Text:
    r"""Return an Airflow template that renders to a JSON object; `rest` ends the last expression.

    `$` is written as `\u0024`, because the kubelet expands `$(X)` and `$$` in the values of variables.
    """
    *lines, last = (f"{_to_jinja(name)}: {expression}" for name, expression in items)
    ends = (last, rest) if rest else (last,)
    return Text(("{{ {", *(f"{line}, " for line in lines), *ends, '} | tojson | replace("$", "\\\\u0024") }}'))


def _to_jinja(value: Any) -> str:
    """Return a value as a literal of a Jinja expression."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return (
            "{"
            + ", ".join(f"{_to_jinja(trigger_form.spell_key(key))}: {_to_jinja(item)}" for key, item in value.items())
            + "}"
        )
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_to_jinja, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def build_pod_volumes(plan: Plan, settings: Mapping[str, Any], scratch: tuple[str, ...]) -> list[Call]:
    """Return the pod's volumes: those of the DAG, writable folders, those from the settings."""
    volumes = []
    for mount in plan.mounts:
        if mount.claim is not None:
            source = {
                "persistent_volume_claim": Call("k8s.V1PersistentVolumeClaimVolumeSource", {"claim_name": mount.claim})
            }
        else:
            source = {"secret": Call("k8s.V1SecretVolumeSource", {"secret_name": mount.secret})}
        volumes.append(Call("k8s.V1Volume", {"name": mount.name, **source}))
    for name, _ in _scratch_folders(plan, settings, scratch):
        volumes.append(
            Call(
                "k8s.V1Volume",
                {"name": name, "empty_dir": Call("k8s.V1EmptyDirVolumeSource", {"size_limit": plan.scratch_size})},
            )
        )
    for volume in settings.get("volumes") or []:
        key = next(key for key in volume if key != "name")
        volumes.append(Call("k8s.V1Volume", {"name": volume["name"], _VOLUME_SOURCES[key]: volume[key]}))
    return volumes


def build_volume_mounts(plan: Plan, settings: Mapping[str, Any], scratch: tuple[str, ...]) -> list[Call]:
    """Return the mounts of the pod's volumes in its container."""
    mounts = []
    for mount in plan.mounts:
        keywords: dict[str, Any] = {"name": mount.name, "mount_path": mount.path}
        if mount.key is not None:
            keywords["sub_path"] = mount.key
        elif mount.sub_path is not None:
            keywords["sub_path"] = mount.sub_path
        if mount.read_only:
            keywords["read_only"] = True
        mounts.append(Call("k8s.V1VolumeMount", keywords))
    for name, path in _scratch_folders(plan, settings, scratch):
        mounts.append(Call("k8s.V1VolumeMount", {"name": name, "mount_path": path}))
    for extra in settings.get("volumeMounts") or []:
        keys = {"name": "name", "mountPath": "mount_path", "subPath": "sub_path", "readOnly": "read_only"}
        mounts.append(Call("k8s.V1VolumeMount", {keys[key]: value for key, value in extra.items()}))
    return mounts


def to_kubernetes_api(value: Any) -> Any:
    """Return a value as Kubernetes' API spells it: models of its client become maps in camelCase, and null is left out."""
    if isinstance(value, Call):
        return {
            _to_camel_case(name): to_kubernetes_api(item) for name, item in value.keywords.items() if item is not None
        }
    if isinstance(value, dict):
        return {name: to_kubernetes_api(item) for name, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [to_kubernetes_api(item) for item in value]
    return value


def _to_camel_case(name: str) -> str:
    source = next((key for key, written in _VOLUME_SOURCES.items() if written == name), None)
    if source is not None:
        return source
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def _scratch_folders(plan: Plan, settings: Mapping[str, Any], extra: tuple[str, ...]) -> list[tuple[str, str]]:
    """Return volume name and path of the pod's writable folders, without those where another volume is mounted."""
    mounted_paths = {mount.path for mount in plan.mounts} | {
        mount["mountPath"].rstrip("/") for mount in settings.get("volumeMounts") or []
    }
    folders = [("tmp", "/tmp"), ("home", plan.home), *((f"scratch-{names.short_hash([path])}", path) for path in extra)]  # noqa: S108
    return [(name, path) for name, path in folders if path not in mounted_paths]
