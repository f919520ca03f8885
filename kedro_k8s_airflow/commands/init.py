"""`init`: a first settings file that fits the project. It belongs to the user and is never overwritten."""

from __future__ import annotations

import posixpath
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from kedro_k8s_airflow import compiler, templates
from kedro_k8s_airflow.config import loader, models, schema
from kedro_k8s_airflow.files import OutputFile
from kedro_k8s_airflow.findings import Finding, Refused, refuse
from kedro_k8s_airflow.locations import Location
from kedro_k8s_airflow.names import short_hash
from kedro_k8s_airflow.plan import dag_selection, graph, reach
from kedro_k8s_airflow.plan.reach import PodPaths
from kedro_k8s_airflow.plan.volumes import RESERVED_NAMES, find_hidden
from kedro_k8s_airflow.project.catalog import find_append_option
from kedro_k8s_airflow.project.reader import find_settings_files
from kedro_k8s_airflow.text import quote_names

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kedro_k8s_airflow.project.model import Project

_POD_PROJECT = "/app"
# Keys of kedro-airflow's airflow.yml that mean the same here.
_SHARED_KEYS = ("catchup", "owner", "retries", "max_active_runs")


def draft_settings_file(kedro_project: Project) -> tuple[list[OutputFile], list[Finding]]:
    """Return the file to write, with its schema for editors, and what is still open before `create` works.

    Raises:
        Refused: when the project already has a settings file, or its configuration is not local.
    """
    existing = find_settings_files(kedro_project)
    if existing or kedro_project.settings is not None:
        raise refuse(
            "settings-there",
            Location(
                file=existing[-1].relative_to(kedro_project.path).as_posix() if existing else loader.SETTINGS_FILE_NAME
            ),
            "already exists and is left unchanged.",
            "Edit it, or remove it first.",
        )
    if "://" in kedro_project.conf_source:
        raise refuse(
            "conf-source",
            Location(subject=kedro_project.conf_source),
            "is not a local folder, so nothing can be written there.",
            f"Add {loader.SETTINGS_FILE_NAME} there yourself.",
        )
    dag, dags, unsupported = _convert_kedro_airflow(kedro_project.kedro_airflow or {}, kedro_project)
    _drop_harmful_retries(dag, dags, unsupported, kedro_project)
    volumes, in_image = _choose_volumes_and_inputs(kedro_project)
    slug = _to_slug(kedro_project.package)
    folder = kedro_project.path / kedro_project.conf_source / kedro_project.base_env
    schema_path = schema.relative_schema_path(folder, kedro_project.path)

    def fill() -> str:
        return templates.fill_template(
            "k8s_airflow.yml.j2",
            schema=schema_path,
            image=f"registry.example.com/{slug}",
            namespace="default",
            volumes=volumes,
            in_image=in_image,
            dag=dag,
            dags=dags,
            left=unsupported,
            imported=kedro_project.kedro_airflow is not None,
        )

    text = fill()
    if _drop_harmful_overlaps(text, dag, dags, unsupported, kedro_project):
        text = fill()
    outputs = [
        OutputFile(folder / loader.SETTINGS_FILE_NAME, text, keep_existing=True),
        *([schema.schema_output_file(kedro_project.path)] if schema_path else []),
    ]
    return outputs, _remaining_findings(text, kedro_project)


def _drop_harmful_retries(
    dag: dict[str, Any], dags: Mapping[str, dict[str, Any]], notes: list[str], kedro_project: Project
) -> None:
    """Set retries to 0 if a node appends to a dataset, since a second try would append the same data again."""
    outputs = {name for nodes in kedro_project.pipelines.values() for node in nodes for name in node.outputs}
    entries = kedro_project.catalog.resolve_entries(sorted(outputs))
    appended = [name for name, entry in entries.items() if find_append_option(entry) is not None]
    for name, block in {"default": dag, **dags}.items() if appended else ():
        if block.get("retries"):
            notes.append(f"{name}.retries: {block['retries']} would append to {quote_names(appended)} again")
            block["retries"] = 0


def _drop_harmful_overlaps(
    text: str, dag: dict[str, Any], dags: Mapping[str, dict[str, Any]], notes: list[str], kedro_project: Project
) -> bool:
    """Set max_active_runs to 1 if runs that overlap would share data; return whether it was more."""
    blocks = {name: block for name, block in {"default": dag, **dags}.items() if block.get("max_active_runs", 1) > 1}
    findings = _find_problems(text, kedro_project) if blocks else []
    if not any(finding.code in ("overlap-passed", "overlap-saved") for finding in findings):
        return False
    for name, block in blocks.items():
        notes.append(f"{name}.max_active_runs: {block['max_active_runs']} runs at a time would share files")
        block["max_active_runs"] = 1
    return True


def _find_problems(text: str, kedro_project: Project) -> Sequence[Finding]:
    """Return everything there is to report about a project with a settings file of this text."""
    import yaml

    settings = loader.load_settings(yaml.safe_load(text), [], kedro_project.path)
    try:
        return compiler.compile_project(kedro_project, settings).findings
    except Refused as refused:
        return refused.findings


def _remaining_findings(text: str, kedro_project: Project) -> list[Finding]:
    """Return what `create` would refuse with the new file, as warnings."""
    import yaml

    try:
        compiler.compile_project(
            kedro_project, loader.load_settings(yaml.safe_load(text), [], kedro_project.path)
        ).plans()
    except Refused as refused:
        return [replace(finding, severity="warning", detail="") for finding in refused.findings]
    return []


def _to_slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:50].strip("-") or "kedro"


def _choose_volumes_and_inputs(kedro_project: Project) -> tuple[dict[str, dict[str, str]], list[str]]:
    """Return volumes for the folders of the catalog's local paths, and local inputs that are part of the project."""
    pod_paths = PodPaths(_POD_PROJECT, unknown_variables=kedro_project.unknown_variables)
    carried = (kedro_project.code_folder, kedro_project.conf_source)
    mounts: set[str] = set()
    in_image: set[str] = set()
    for path, saved in sorted(_find_local_paths(kedro_project, pod_paths).items()):
        inside = path.removeprefix(f"{_POD_PROJECT}/") if path.startswith(f"{_POD_PROJECT}/") else path
        mount = posixpath.dirname(inside) if inside.startswith("/") else inside.split("/", 1)[0]
        if any(inside.startswith(f"{folder}/") for folder in carried):
            if not saved and (kedro_project.path / inside).exists():
                in_image.add(inside)
        elif "/" in inside and not mount.startswith("/tmp") and not any(sign in inside for sign in ":\\"):  # noqa: S108
            mounts.add(mount)
    volumes: dict[str, dict[str, str]] = {}
    for mount in sorted(mounts):
        pod_path = pod_paths.in_pod(mount)
        if any(mount.startswith(f"{other}/") for other in mounts) or find_hidden(pod_path, kedro_project, _POD_PROJECT):
            continue
        slug = _to_slug(mount)
        name = f"data-{slug}" if slug in RESERVED_NAMES or slug.startswith("scratch-") else slug
        if name in volumes:
            name = f"{name}-{short_hash([mount])}"
        volumes[name] = {"claim": f"{_to_slug(kedro_project.package)}-{name}"[:63].rstrip("-"), "mount": mount}
    return volumes, sorted(in_image)


def _find_local_paths(kedro_project: Project, pod_paths: PodPaths) -> dict[str, bool]:
    """Return the local paths of all pipelines' datasets, and whether a node saves there."""
    loaded = {name for nodes in kedro_project.pipelines.values() for node in nodes for name in node.inputs}
    saved = {name for nodes in kedro_project.pipelines.values() for node in nodes for name in node.outputs}
    names = sorted(name for name in loaded | saved if not graph.is_parameter(name))
    paths: dict[str, bool] = {}
    for name, entry in kedro_project.catalog.resolve_entries(names).items():
        entry_reach = reach.reach_of_entry(entry, pod_paths)
        if entry_reach.kind == "pod" and entry_reach.path:
            paths[entry_reach.path] = paths.get(entry_reach.path, False) or name in saved
    return paths


def _convert_kedro_airflow(
    airflow: Mapping[str, Any], kedro_project: Project
) -> tuple[dict[str, Any], dict[str, Any], list[str]]:
    """Return kedro-airflow's settings converted: defaults, DAGs by pipeline, and notes about what was left out."""
    defaults: dict[str, Any] = {"schedule": None, "start_date": "2025-01-01", "retries": 1}
    unsupported: list[str] = []
    defaults.update(_translate(airflow.get("default") or {}, "default", unsupported))
    dags: dict[str, Any] = {}
    for name, block in airflow.items():
        if name == "default" or not isinstance(block, dict):
            continue
        if name in kedro_project.pipelines:
            dags[name] = _translate(block, name, unsupported)
        else:
            unsupported.append(f"{name}: the project has no such pipeline")
    if (
        dags
        and dag_selection.DEFAULT_PIPELINE in kedro_project.pipelines
        and dag_selection.DEFAULT_PIPELINE not in dags
    ):
        dags = {dag_selection.DEFAULT_PIPELINE: {}, **dags}
    return defaults, dags, unsupported


def _translate(block: Mapping[str, Any], name: str, unsupported: list[str]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in block.items():
        setting = {"schedule_interval": "schedule"}.get(key, key)
        candidate: Any = value
        if setting == "start_date" and isinstance(value, list):
            candidate = "-".join(f"{int(part):02d}" for part in value[:3])
        elif setting == "retry_delay" and isinstance(value, int):
            candidate = f"{value}m"
        elif setting not in (*_SHARED_KEYS, "schedule", "start_date", "retry_delay"):
            unsupported.append(
                f"{name}.{key}: {'pods take no such setting' if key.startswith('email') or key == 'depends_on_past' else 'unknown here'}"
            )
            continue
        try:
            models.DagSettings.model_validate({setting: candidate})
        except ValueError:
            unsupported.append(f"{name}.{key}: {value!r} cannot be used here")
            continue
        result[setting] = candidate
    return result
