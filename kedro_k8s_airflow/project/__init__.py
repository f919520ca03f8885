"""Reading a Kedro project: the only package that touches a live one.

Nothing is run to read it: no dataset is made, no hook is called, credentials are neither loaded nor needed. What comes out
is plain frozen data; everything after this package is pure.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kedro_k8s_airflow.exceptions import describe_exception
from kedro_k8s_airflow.findings import Finding, info, refuse
from kedro_k8s_airflow.locations import Location
from kedro_k8s_airflow.project import catalog as catalogs
from kedro_k8s_airflow.project import configuration, registry
from kedro_k8s_airflow.project.configuration import LOCAL_ENV, SETTINGS_NAME
from kedro_k8s_airflow.project.environment_reads import watch_environment

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from kedro.framework.startup import ProjectMetadata
    from kedro.pipeline.node import Node as KedroNode

    from kedro_k8s_airflow.project.catalog import Catalog
    from kedro_k8s_airflow.project.environment_reads import VariableRead

# Kedro's own hook specs through which a project can change what the catalog holds.
_CATALOG_HOOKS = ("after_catalog_created", "after_context_created", "before_pipeline_run")


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


def read_project(
    metadata: ProjectMetadata,
    *,
    env: str | None = None,
    conf_source: str | None = None,
    runtime_params: Mapping[str, Any] | None = None,
    kedro_airflow: bool = False,
) -> Project:
    """Read the project that `metadata` describes.

    Raises:
        Refused: when anything about it keeps it from being read whole.
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
            f"cannot be used: {describe_exception(exc)}.",
        ) from exc
    hook_findings = tuple(_hook_findings(hooks))
    with watch_environment(path) as variables:
        pipelines, findings = registry.load_pipelines(metadata.package_name, path)
    source, conf_path, given = configuration.resolve_conf_source(path, conf_default, conf_source)
    base_env = loader_args.get("base_env") or "base"
    default_env = loader_args.get("default_run_env") or LOCAL_ENV
    run_env = configuration.choose_run_env(env, default_env, base_env, conf_path)
    read_env = run_env if run_env != LOCAL_ENV else base_env
    loader = configuration.make_loader(conf_path, read_env, dict(runtime_params or {}), loader_args)
    files = configuration.settings_files(Path(conf_path), (read_env, base_env))
    return Project(
        path=path,
        package=metadata.package_name,
        source=configuration.relative_to_project(Path(metadata.source_dir).resolve(), path) or "src",
        env=env,
        base_env=base_env,
        run_env=run_env,
        conf_source=source,
        conf_source_given=given,
        pipelines={name: tuple(_node(node) for node in pipeline.nodes) for name, pipeline in pipelines.items()},
        parameters=configuration.read_config(loader, "parameters") or {},
        runtime_params=dict(runtime_params or {}),
        settings=configuration.read_config(loader, SETTINGS_NAME, files, path) or None,
        catalog=catalogs.read_catalog(loader),
        kedro_airflow=configuration.read_config(loader, "airflow") if kedro_airflow else None,
        findings=(*hook_findings, *findings),
        has_catalog_hooks=bool(hook_findings),
        credentials_here=configuration.has_credentials(conf_path, (read_env, base_env)),
        variables=tuple(variables),
        session_class=f"{session_class.__module__}.{session_class.__qualname__}",
    )


def settings_files(project: Project) -> list[Path]:
    """The files the settings may come from, the overlay's first."""
    envs = dict.fromkeys(env for env in (project.run_env, project.base_env) if env != LOCAL_ENV)
    return configuration.settings_files(project.path / project.conf_source, tuple(envs))


def _node(node: KedroNode) -> ProjectNode:
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
                    f"implements {spec}; what it adds to the catalog is not seen here.",
                    "`data.reach` can say how far such datasets reach.",
                )
