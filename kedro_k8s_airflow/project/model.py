"""The model of a Kedro project: frozen data that every later stage reads."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from kedro_k8s_airflow.findings import Finding
    from kedro_k8s_airflow.project.catalog import Catalog
    from kedro_k8s_airflow.project.catalog_hooks import CatalogHook
    from kedro_k8s_airflow.project.credentials_files import CredentialsFile
    from kedro_k8s_airflow.project.environment_reads import VariableRead
    from kedro_k8s_airflow.project.imports import ModuleImport
    from kedro_k8s_airflow.project.pod_environment import ConfigVariable


@dataclass(frozen=True, slots=True)
class ProjectNode:
    """A Kedro node. Dataset names are as written, including transcoding.

    Attributes:
        kedro_node: Kedro's own node, whose function this package compares.
    """

    name: str
    namespace: str | None
    tags: frozenset[str]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    confirms: tuple[str, ...]
    kedro_node: Any = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, kw_only=True)
class Project:
    """A Kedro project as it was read.

    Attributes:
        path: absolute path of the project's folder on this machine.
        package: import name.
        source_folder: folder of the source, relative to the project, in POSIX form.
        env: the requested run environment, or None for Kedro's default.
        base_env: name of the base environment.
        run_env: the environment that pods use in addition to the base.
        conf_source: the configuration folder, relative to the project, or a URL.
        conf_source_given: whether pods need it as an argument, because it differs from the project's own settings.
        pipelines: nodes of every registered pipeline, in Kedro's topological order.
        parameters: all parameters, with environment and runtime parameters applied.
        runtime_params: the runtime parameters.
        settings: the raw content of the settings file, or None if it does not exist.
        catalog: the catalog as configuration.
        kedro_airflow: the raw content of kedro-airflow's `airflow.yml`, if it was requested and exists.
        findings: findings of the reader.
        catalog_hooks: the project's own hooks that may add to catalog and parameters.
        credentials_files: the credentials files of all environments but `local`.
        config_variables: environment variables that catalog and parameters read.
        settings_variables: names of the environment variables that the settings files read on this machine.
        variables: environment variables set here that the project's code reads while it is loaded.
        session_class: full name of the project's session class.
        context_class: full name of the project's context class.
        run_command_file: file of the project's own `run` command, relative to the project, or "" without one.
        imports: modules that the project's code imports and does not contain.
    """

    path: Path
    package: str
    source_folder: str
    env: str | None
    base_env: str
    run_env: str
    conf_source: str
    conf_source_given: bool
    pipelines: Mapping[str, tuple[ProjectNode, ...]]
    parameters: Mapping[str, Any]
    runtime_params: Mapping[str, Any]
    settings: Mapping[str, Any] | None
    catalog: Catalog
    kedro_airflow: Mapping[str, Any] | None = None
    findings: tuple[Finding, ...] = ()
    catalog_hooks: tuple[CatalogHook, ...] = ()
    credentials_files: tuple[CredentialsFile, ...] = ()
    config_variables: tuple[ConfigVariable, ...] = ()
    settings_variables: tuple[str, ...] = ()
    variables: tuple[VariableRead, ...] = ()
    session_class: str = "kedro.framework.session.session.KedroSession"
    context_class: str = "kedro.framework.context.context.KedroContext"
    run_command_file: str = ""
    imports: tuple[ModuleImport, ...] = ()

    @property
    def conf_folder(self) -> str:
        """Return the configuration folder, relative to the project, or "" if it is elsewhere."""
        return "" if "://" in self.conf_source else self.conf_source

    @property
    def unknown_variables(self) -> frozenset[str]:
        """Return the environment variables for whose values the configuration has placeholders."""
        return frozenset(variable.name for variable in self.config_variables if not variable.is_known)

    @property
    def code_folder(self) -> str:
        """Return the folder of the project's code, relative to the project: the package if there is no source folder."""
        return self.package if self.source_folder == "." else self.source_folder
