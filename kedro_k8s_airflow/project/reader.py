"""The reader of Kedro projects, which uses Kedro's own loaders."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kedro_k8s_airflow.exceptions import describe_exception
from kedro_k8s_airflow.findings import Finding, info, refuse
from kedro_k8s_airflow.locations import Location
from kedro_k8s_airflow.project import configuration, registry
from kedro_k8s_airflow.project.catalog import read_catalog
from kedro_k8s_airflow.project.configuration import LOCAL_ENV, SETTINGS_NAME
from kedro_k8s_airflow.project.environment_reads import watch_environment
from kedro_k8s_airflow.project.imports import find_imports
from kedro_k8s_airflow.project.model import Project, ProjectNode

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from kedro.framework.startup import ProjectMetadata
    from kedro.pipeline.node import Node as KedroNode

# Kedro's hook specifications through which a project can change its catalog.
_CATALOG_HOOKS = ("after_catalog_created", "after_context_created", "before_pipeline_run")


def read_project(
    metadata: ProjectMetadata,
    *,
    env: str | None = None,
    conf_source: str | None = None,
    runtime_params: Mapping[str, Any] | None = None,
    kedro_airflow: bool = False,
) -> Project:
    """Read the project that `metadata` describes.

    Args:
        metadata: Kedro's metadata of the project.
        env: the run environment, or None for Kedro's default.
        conf_source: the configuration folder or URL, or None for that of the project's settings.
        runtime_params: parameters that override those in the configuration.
        kedro_airflow: whether to read kedro-airflow's `airflow.yml`.

    Raises:
        Refused: if a part of it cannot be read.
    """
    from kedro.framework.project import settings, validate_settings

    path = Path(metadata.project_path).resolve()
    try:
        validate_settings()
        loader_args = dict(settings.CONFIG_LOADER_ARGS)
        conf_default = str(settings.CONF_SOURCE)
        hooks = tuple(settings.HOOKS)
        session_class = settings.SESSION_CLASS
    except Exception as exc:
        raise refuse(
            "project",
            Location(subject=f"{metadata.package_name}.settings"),
            f"cannot be loaded: {describe_exception(exc)}.",
        ) from exc
    hook_findings = tuple(_hook_findings(hooks))
    with watch_environment(path) as variables:
        pipelines, findings = registry.load_pipelines(metadata.package_name, path)
    source, conf_path, given = configuration.resolve_conf_source(path, conf_default, conf_source)
    base_env = loader_args.get("base_env") or "base"
    default_env = loader_args.get("default_run_env") or LOCAL_ENV
    run_env = configuration.choose_run_env(env, default_env, base_env, conf_path)
    read_env = run_env if run_env != LOCAL_ENV else base_env
    loader = configuration.make_config_loader(conf_path, read_env, dict(runtime_params or {}), loader_args)
    files = configuration.glob_settings_files(Path(conf_path), (read_env, base_env))
    catalog = read_catalog(loader)
    project = Project(
        path=path,
        package=metadata.package_name,
        source_folder=configuration.relative_to_project(Path(metadata.source_dir).resolve(), path) or "src",
        env=env,
        base_env=base_env,
        run_env=run_env,
        conf_source=source,
        conf_source_given=given,
        pipelines={name: tuple(_convert_node(node) for node in pipeline.nodes) for name, pipeline in pipelines.items()},
        parameters=configuration.read_config(loader, "parameters") or {},
        runtime_params=dict(runtime_params or {}),
        settings=configuration.read_config(loader, SETTINGS_NAME, files, path) or None,
        catalog=catalog,
        kedro_airflow=configuration.read_config(loader, "airflow") if kedro_airflow else None,
        findings=(*hook_findings, *findings),
        has_catalog_hooks=bool(hook_findings),
        has_credentials_file=configuration.has_credentials_file(conf_path, (read_env, base_env)),
        variables=tuple(variables),
        session_class=f"{session_class.__module__}.{session_class.__qualname__}",
    )
    imports = find_imports(path, path / project.code_folder, project.package, catalog.classes)
    return replace(project, imports=imports)


def reread_parameters(project: Project, runtime_params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters that a project has with other runtime parameters.

    Raises:
        Refused: if they cannot be read.
    """
    from kedro.framework.project import settings

    source = project.conf_source
    conf_path = source if "://" in source else str(project.path / source)
    env = project.run_env if project.run_env != LOCAL_ENV else project.base_env
    loader = configuration.make_config_loader(conf_path, env, dict(runtime_params), dict(settings.CONFIG_LOADER_ARGS))
    return configuration.read_config(loader, "parameters") or {}


def has_references_in_parameters(project: Project) -> bool:
    """Return whether a parameters file of the project contains `${...}`, or may contain it because it cannot be looked at."""
    conf = project.path / project.conf_source
    if "://" in project.conf_source:
        return True
    return any(
        b"${" in file.read_bytes()
        for env in dict.fromkeys((project.base_env, project.run_env))
        for file in (conf / env).rglob("*")
        if "parameters" in file.relative_to(conf).as_posix() and file.is_file()
    )


def find_settings_files(project: Project) -> list[Path]:
    """Return the settings files of a project, those of the overlay first."""
    envs = dict.fromkeys(env for env in (project.run_env, project.base_env) if env != LOCAL_ENV)
    return configuration.glob_settings_files(project.path / project.conf_source, tuple(envs))


def _convert_node(node: KedroNode) -> ProjectNode:
    return ProjectNode(
        node.name,
        node.namespace,
        frozenset(node.tags),
        tuple(node.inputs),
        tuple(node.outputs),
        tuple(node.confirms),
        node,
    )


def _hook_findings(hooks: tuple[object, ...]) -> Iterator[Finding]:
    for hook in hooks:
        for spec in _CATALOG_HOOKS:
            if getattr(getattr(hook, spec, None), "kedro_impl", None) is not None:
                kind = type(hook) if not isinstance(hook, type) else hook
                yield info(
                    "hooks",
                    Location(subject=f"hook {kind.__module__}.{kind.__qualname__}"),
                    f"implements {spec}. Datasets that it adds to the catalog are not visible at compile time.",
                    "Set how far such datasets reach in `data.reach`.",
                )
