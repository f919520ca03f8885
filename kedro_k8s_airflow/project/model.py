"""What is known of a Kedro project, as plain frozen data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from kedro_k8s_airflow.findings import Finding
    from kedro_k8s_airflow.project.catalog import Catalog
    from kedro_k8s_airflow.project.environment_reads import VariableRead


@dataclass(frozen=True, slots=True)
class ProjectNode:
    """A Kedro node, as far as deployment cares. Dataset names are as written, transcoding included.

    Attributes:
        live: Kedro's own, for what only this package can compare: its function.
    """

    name: str
    namespace: str | None
    tags: frozenset[str]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    confirms: tuple[str, ...]
    live: Any = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, kw_only=True)
class Project:
    """What is known of a project.

    Attributes:
        path: absolute folder of the project on this machine.
        package: import name.
        source: folder of the source, relative to the project, in POSIX form.
        env: the run environment asked for, or None for Kedro's default.
        base_env: name of the environment every other one is laid over.
        run_env: the folder of the configuration that pods read besides the base.
        conf_source: the project's configuration folder, relative to the project, or a URL.
        conf_source_given: whether it differs from what the project's own settings say, so that pods have to be told.
        pipelines: nodes of every registered pipeline, in Kedro's topological order.
        parameters: all parameters, with environment and runtime parameters applied.
        settings: the raw content of the settings file, or None when there is none.
        kedro_airflow: the raw content of kedro-airflow's `airflow.yml`, when it was asked for and there is one.
        findings: what was noticed while reading.
        has_catalog_hooks: whether hooks of the project's own may add to catalog and parameters.
        credentials_here: whether the configuration that images carry has a credentials file.
        variables: environment variables set here that the project's code reads while it is loaded.
        session_class: full name of the session class that the project has chosen.
    """

    path: Path
    package: str
    source: str
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
    has_catalog_hooks: bool = False
    credentials_here: bool = True
    variables: tuple[VariableRead, ...] = ()
    session_class: str = "kedro.framework.session.session.KedroSession"

    @property
    def conf_folder(self) -> str:
        """The configuration's folder, relative to the project, or "" when it is elsewhere."""
        return "" if "://" in self.conf_source else self.conf_source

    @property
    def code(self) -> str:
        """The folder of the project's own code, relative to the project: the package when there is no source folder."""
        return self.package if self.source == "." else self.source
