"""The reader of Kedro projects, which uses Kedro's own loaders."""

from __future__ import annotations

import importlib
import os
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kedro_k8s_airflow.exceptions import describe_exception
from kedro_k8s_airflow.findings import Finding, Refused, error, info, refuse, warning
from kedro_k8s_airflow.locations import Location
from kedro_k8s_airflow.project import configuration, registry
from kedro_k8s_airflow.project.catalog import build_catalog, find_entry_problems
from kedro_k8s_airflow.project.catalog_hooks import find_catalog_hooks
from kedro_k8s_airflow.project.config_problems import locate_key
from kedro_k8s_airflow.project.configuration import LOCAL_ENV, SETTINGS_NAME
from kedro_k8s_airflow.project.credentials_files import read_credentials_files
from kedro_k8s_airflow.project.environment_reads import find_reads_of_loaded_modules, watch_environment
from kedro_k8s_airflow.project.file_reads import watch_files
from kedro_k8s_airflow.project.imports import find_imports
from kedro_k8s_airflow.project.model import Project, ProjectNode
from kedro_k8s_airflow.project.pod_environment import (
    EVERY_POD,
    ConfigVariable,
    find_placeholders,
    read_as_pods,
    read_pod_variables,
)
from kedro_k8s_airflow.project.pyproject import load_own_hooks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from kedro.config import AbstractConfigLoader
    from kedro.framework.startup import ProjectMetadata
    from kedro.pipeline.node import Node as KedroNode

    from kedro_k8s_airflow.project.catalog import Catalog
    from kedro_k8s_airflow.project.catalog_hooks import CatalogHook
    from kedro_k8s_airflow.project.credentials_files import CredentialsFile


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
        session_class, context_class = settings.SESSION_CLASS, settings.CONTEXT_CLASS
    except Exception as exc:
        raise refuse(
            "project",
            Location(subject=f"{metadata.package_name}.settings"),
            f"cannot be loaded: {describe_exception(exc)}.",
        ) from exc
    catalog_hooks = find_catalog_hooks((*hooks, *load_own_hooks(path, hooks)))
    source, conf_path, given = configuration.resolve_conf_source(path, conf_default, conf_source)
    import_reads = find_reads_of_loaded_modules(path)
    with watch_environment(path) as variables, watch_files(Path(conf_path)) as conf_files:
        pipelines, findings = registry.load_pipelines(metadata.package_name, path)
    base_env = loader_args.get("base_env") or "base"
    default_env = loader_args.get("default_run_env") or LOCAL_ENV
    run_env = configuration.choose_run_env(env, default_env, base_env, conf_path)
    read_env = run_env if run_env != LOCAL_ENV else base_env
    config = _ConfigReader(
        path,
        partial(configuration.make_config_loader, conf_path, read_env, dict(runtime_params or {}), loader_args, path),
        partial(configuration.glob_config_files, Path(conf_path), (read_env, base_env)),
    )
    credentials_files = () if "://" in conf_path else read_credentials_files(Path(conf_path), path)
    raw_settings, airflow = config.read_settings(kedro_airflow=kedro_airflow)
    parameters, catalog, config_variables = config.read_rest(raw_settings or {})
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
        parameters=parameters,
        runtime_params=dict(runtime_params or {}),
        settings=raw_settings or None,
        catalog=catalog,
        kedro_airflow=airflow,
        findings=(
            *_hook_findings(catalog_hooks),
            *findings,
            *_conf_file_findings(conf_files, Path(conf_path), path, credentials_files),
        ),
        catalog_hooks=catalog_hooks,
        credentials_files=credentials_files,
        config_variables=config_variables,
        settings_variables=tuple(sorted(config.settings_variables)),
        variables=tuple({read.name: read for read in (*variables, *import_reads)}.values()),
        session_class=f"{session_class.__module__}.{session_class.__qualname__}",
        context_class=f"{context_class.__module__}.{context_class.__qualname__}",
        run_command_file=_find_run_command(metadata.package_name, path),
    )
    imports = find_imports(path, path / project.code_folder, project.package, catalog.classes)
    return replace(project, imports=imports)


def reread_parameters(project: Project, runtime_params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters that a project has with other runtime parameters.

    Raises:
        Refused: if they cannot be read.
    """
    return _reread(project, "parameters", runtime_params)


def reread_catalog(project: Project, runtime_params: Mapping[str, Any]) -> Catalog:
    """Return the catalog that a project has with other runtime parameters.

    Raises:
        Refused: if it cannot be read or resolved.
    """
    return build_catalog(_reread(project, "catalog", runtime_params))


def _reread(project: Project, name: str, runtime_params: Mapping[str, Any]) -> dict[str, Any]:
    from kedro.framework.project import settings

    source = project.conf_source
    conf_path = source if "://" in source else str(project.path / source)
    env = project.run_env if project.run_env != LOCAL_ENV else project.base_env
    loader_args = dict(settings.CONFIG_LOADER_ARGS)

    def read() -> dict[str, Any]:
        loader = configuration.make_config_loader(conf_path, env, dict(runtime_params), loader_args, project.path)
        files = configuration.glob_config_files(Path(conf_path), (env, project.base_env), name)
        return configuration.read_config(loader, name, files, project.path) or {}

    return read_as_pods(project.path, read_pod_variables(project.settings or {}), read)[0]


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


class _ConfigReader:
    """Reads the configuration: the settings in this machine's environment, the rest in that of the pods.

    Attributes:
        settings_variables: environment variables that the settings files read.
    """

    def __init__(
        self, path: Path, make_loader: Callable[[], AbstractConfigLoader], find_files: Callable[[str], list[Path]]
    ) -> None:
        """Take the project's folder, and functions that make a loader and find the files of one type of configuration."""
        self.settings_variables: set[str] = set()
        self._path = path
        self._make_loader = make_loader
        self._find_files = find_files
        self._loader, self._reads = read_as_pods(path, os.environ, make_loader)  # which reads globals

    def read_settings(self, *, kedro_airflow: bool) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
        """Return the raw content of the settings files, and of `airflow.yml` if it is requested."""

        def read() -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
            airflow = self._read(self._loader, "airflow") if kedro_airflow else None
            return self._read(self._loader, SETTINGS_NAME), airflow

        assumed = dict.fromkeys(self._reads.assumed)
        (settings, airflow), reads = read_as_pods(self._path, {**os.environ, **assumed}, read)
        for name, key in find_placeholders(settings, {*assumed, *reads.assumed}):
            raise refuse(
                "conf",
                locate_key(self._find_files(SETTINGS_NAME), key, self._path) or Location(subject=SETTINGS_NAME),
                f"needs the environment variable {name!r}, which is not set here.",
                "Set it, or write the value into the file.",
            )
        self.settings_variables |= {*reads.names} & {*os.environ}
        return settings, airflow

    def read_rest(self, settings: dict[str, Any]) -> tuple[dict[str, Any], Catalog, tuple[ConfigVariable, ...]]:
        """Return parameters, catalog, and the environment variables that they depend on.

        Args:
            settings: the raw content of the settings files.
        """
        variables = read_pod_variables(settings)
        globals_read = self._reads.names

        def read() -> tuple[dict[str, Any], dict[str, Any]]:
            # Reading globals is a part of making a loader.
            loader = self._make_loader() if globals_read else self._loader
            return self._read(loader, "parameters") or {}, self._read(loader, "catalog") or {}

        (parameters, catalog), reads = read_as_pods(self._path, variables, read)
        if globals_read and self._settings_differ(settings, variables):
            self.settings_variables |= {*globals_read} & {*os.environ}
        required = set(reads.assumed)
        for name in reads.names:
            if name in variables and name not in EVERY_POD:
                # Some pods may lack it.
                others = {other: value for other, value in variables.items() if other != name}
                try:
                    required |= read_as_pods(self._path, others, read)[1].assumed & {name}
                except Refused:  # a resolver that needs a real value
                    required.add(name)
        unknown = {name for name in reads.names if name in reads.assumed or variables.get(name, "") is None}
        keys: dict[str, list[tuple[str, ...]]] = {}
        for name, key in find_placeholders({"parameters": parameters, "catalog": catalog}, unknown):
            keys.setdefault(name, []).append(key)
        config_variables = tuple(
            ConfigVariable(
                name=name,
                required=name in required,
                is_known=name not in unknown,
                is_set_here=name in os.environ,
                is_from_here=name in reads.from_here,
                keys=tuple(keys.get(name, ())),
            )
            for name in sorted(reads.names)
        )
        self._refuse_wrong_entries(catalog)
        return parameters, build_catalog(catalog, unknown), config_variables

    def _refuse_wrong_entries(self, catalog: dict[str, Any]) -> None:
        """Check the types of values in the catalog.

        Raises:
            Refused: with every entry that Kedro cannot use.
        """
        problems = list(find_entry_problems(catalog))
        files = self._find_files("catalog") if problems else []
        if problems:
            raise Refused(
                error("catalog", locate_key(files, key, self._path) or Location(dataset=key[0]), message, help_text)
                for key, message, help_text in problems
            )

    def _read(self, loader: AbstractConfigLoader, name: str) -> dict[str, Any] | None:
        return configuration.read_config(loader, name, self._find_files(name), self._path)

    def _settings_differ(self, settings: dict[str, Any], variables: Mapping[str, str | None]) -> bool:
        """Return whether the settings would be others in the environment of the pods."""

        def read() -> dict[str, Any]:
            return self._read(self._make_loader(), SETTINGS_NAME) or {}

        return read_as_pods(self._path, variables, read)[0] != settings


def find_settings_files(project: Project) -> list[Path]:
    """Return the settings files of a project, those of the overlay first."""
    envs = dict.fromkeys(env for env in (project.run_env, project.base_env) if env != LOCAL_ENV)
    return configuration.glob_config_files(project.path / project.conf_source, envs, SETTINGS_NAME)


def _find_run_command(package: str, path: Path) -> str:
    """Return the file of the project's own `run` command, which Kedro uses instead of its own, or an empty text."""
    try:
        cli = importlib.import_module(f"{package}.cli")
        commands = cli.cli.commands
    except Exception:  # noqa: BLE001  most projects have none, and `kedro` itself reports one that cannot be loaded
        return ""
    return configuration.relative_to_project(Path(str(cli.__file__)).resolve(), path) or "" if "run" in commands else ""


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


def _conf_file_findings(
    opened: Iterable[Path], conf: Path, path: Path, credentials_files: Iterable[CredentialsFile]
) -> Iterator[Finding]:
    """Yield a warning for each file that the project has opened in its configuration and that no image has."""
    references = {file.path for file in credentials_files if file.literal is None}
    for file in opened:
        parts = file.relative_to(conf).parts
        is_secret = any(part.startswith("credentials") for part in parts)
        if parts[0] != LOCAL_ENV and not (is_secret and file.relative_to(path).as_posix() not in references):
            continue
        yield warning(
            "conf-local",
            Location(file=configuration.relative_to_project(file, path) or file.name),
            "is read while the pipelines are loaded, but it is never part of an image, so pods may register other nodes.",
            "Move what the pipelines need to the base environment, or read only that environment there.",
        )


def _hook_findings(hooks: Iterable[CatalogHook]) -> Iterator[Finding]:
    for hook in hooks:
        yield info(
            "hooks",
            Location(subject=f"hook {hook.name}"),
            f"implements {hook.spec}. Datasets that it adds to the catalog are not visible at compile time.",
            "Set how far such datasets reach in `data.reach`.",
        )
