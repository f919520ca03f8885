"""Reading a Kedro project: the only module that touches a live one.

Nothing is run to read it: no dataset is made, no hook is called, credentials are neither loaded nor needed. What comes out
is plain frozen data; everything after this module is pure.
"""

from __future__ import annotations

import contextlib
import copy
import io
import logging
import os
import re
import sys
import warnings
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kedro_k8s_airflow.findings import Finding, Refused, error, info, refuse, warning

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from kedro.config import AbstractConfigLoader
    from kedro.framework.startup import ProjectMetadata
    from kedro.pipeline import Pipeline
    from kedro.pipeline.node import Node as KedroNode

SETTINGS_NAME = "k8s_airflow"
SETTINGS_PATTERNS = [f"{SETTINGS_NAME}*", f"{SETTINGS_NAME}*/**", f"**/{SETTINGS_NAME}*"]
LOCAL_ENV = "local"
# Kedro's own hook specs through which a project can change what the catalog holds.
_CATALOG_HOOKS = ("after_catalog_created", "after_context_created")
_SWALLOWED = re.compile(r"An error occurred while importing the '(?P<module>[^']+)' module")
_RUNTIME_PATTERN = {"{default}": {"type": "kedro.io.MemoryDataset"}}


@dataclass(frozen=True, slots=True)
class Node:
    """A Kedro node, as far as deployment cares. Dataset names are as written, transcoding included."""

    name: str
    namespace: str | None
    tags: frozenset[str]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    confirms: tuple[str, ...]


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
        findings: what was noticed while reading.
    """

    path: Path
    package: str
    source: str
    env: str | None
    base_env: str
    run_env: str
    conf_source: str
    conf_source_given: bool
    pipelines: Mapping[str, tuple[Node, ...]]
    parameters: Mapping[str, Any]
    runtime_params: Mapping[str, Any]
    settings: Mapping[str, Any] | None
    catalog: Catalog
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True)
class Catalog:
    """The project's catalog as configuration, without credentials; no dataset is ever made."""

    config: Mapping[str, Mapping[str, Any]]
    had_credentials: frozenset[str] = frozenset()
    _resolver: Any = field(default=None, repr=False, compare=False)

    def entry(self, dataset: str) -> Mapping[str, Any] | None:
        """The resolved entry of a dataset, or None when the catalog has none and Kedro would keep it in memory."""
        found = self.entries([dataset]).get(dataset)
        return None if found is None else found

    def entries(self, datasets: Iterable[str]) -> dict[str, Mapping[str, Any]]:
        """Resolved entries of those datasets that the catalog knows, dataset factories applied by Kedro's own resolver.

        Raises:
            Refused: when a factory's pattern and its entry do not fit together.
        """
        resolver = self._resolver
        found: dict[str, Mapping[str, Any]] = {}
        with _compiled_patterns(), _quiet("kedro.io.catalog_config_resolver"):
            for name in datasets:
                if name in self.config:
                    found[name] = self.config[name]
                elif resolver.match_dataset_pattern(name) or resolver.match_user_catch_all_pattern(name):
                    try:
                        found[name] = resolver.resolve_pattern(name)
                    except Exception as exc:
                        raise refuse("catalog", f"catalog, dataset {name!r}", f"its factory cannot be resolved: {exc}.") from exc
        return found


def read(
    metadata: ProjectMetadata,
    *,
    env: str | None = None,
    conf_source: str | None = None,
    runtime_params: Mapping[str, Any] | None = None,
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
    except Exception as exc:
        raise refuse("project", f"{metadata.package_name}.settings", f"cannot be used: {_said(exc)}.") from exc
    findings = list(_hook_findings(hooks))
    pipelines, found = _load_pipelines(metadata.package_name)
    findings += found
    source, conf_path, given = _conf_source(path, conf_default, conf_source)
    base_env = loader_args.get("base_env") or "base"
    default_env = loader_args.get("default_run_env") or LOCAL_ENV
    run_env = _run_env(env, default_env, base_env, conf_path)
    loader = _config_loader(conf_path, run_env if run_env != LOCAL_ENV else base_env, dict(runtime_params or {}), loader_args)
    catalog, found = _read_catalog(loader, path)
    findings += found
    return Project(
        path=path,
        package=metadata.package_name,
        source=_relative(Path(metadata.source_dir).resolve(), path) or "src",
        env=env,
        base_env=base_env,
        run_env=run_env,
        conf_source=source,
        conf_source_given=given,
        pipelines={name: tuple(_node(node) for node in pipeline.nodes) for name, pipeline in pipelines.items()},
        parameters=_read_conf(loader, "parameters") or {},
        runtime_params=dict(runtime_params or {}),
        settings=_read_settings(loader),
        catalog=catalog,
        findings=tuple(findings),
    )


def settings_files(project: Project) -> list[Path]:
    """The files the settings may come from, the overlay's first."""
    root = project.path / project.conf_source
    envs = [project.run_env, project.base_env] if project.run_env not in (LOCAL_ENV, project.base_env) else [project.base_env]
    return [
        file
        for env in envs
        for file in sorted((root / env).glob(f"**/{SETTINGS_NAME}*"))
        if file.is_file() and file.suffix in (".yml", ".yaml", ".json")
    ]


# -- pipelines --------------------------------------------------------------------------------------------------------


def _load_pipelines(package: str) -> tuple[dict[str, Pipeline], list[Finding]]:
    """All registered pipelines; whatever the project prints meanwhile goes to stderr."""
    from kedro.framework.project import pipelines
    from kedro.pipeline import Pipeline

    printed = io.StringIO()
    try:
        with warnings.catch_warnings(record=True) as caught, contextlib.redirect_stdout(printed):
            warnings.simplefilter("always")
            registry = dict(pipelines)
    except (Exception, SystemExit) as exc:
        what = "ends the process" if isinstance(exc, SystemExit) else f"fails: {_said(exc)}"
        raise refuse(
            "registry", f"{package}.pipeline_registry", f"loading the pipelines {what}.", "Mend it until `kedro registry list` works."
        ) from exc
    findings = []
    if printed.getvalue():
        sys.stderr.write(printed.getvalue())
        findings.append(
            warning(
                "registry-prints",
                f"{package}.pipeline_registry",
                "the project prints while its pipelines are loaded, and will in every pod.",
                "Log instead, inside the nodes.",
            )
        )
    swallowed = [entry for entry in caught if _SWALLOWED.search(str(entry.message))]
    if swallowed:
        raise Refused(_swallowed(str(entry.message)) for entry in swallowed)
    for entry in caught:
        if "find_pipelines" in str(entry.message):
            findings.append(warning("registry", f"{package}.pipeline_registry", str(entry.message)))
    wrong = {name: type(value).__name__ for name, value in registry.items() if not isinstance(value, Pipeline) or not isinstance(name, str)}
    if wrong:
        name, kind = next(iter(wrong.items()))
        raise refuse("registry", f"{package}.pipeline_registry", f"pipeline {name!r} is a {kind}, not a Pipeline.")
    return registry, findings


def _swallowed(message: str) -> Finding:
    module = _SWALLOWED.search(message)
    cause = [line for line in message.splitlines() if line.strip()][-1].strip()
    return error(
        "registry-swallowed",
        module["module"] if module else "pipeline_registry",
        f"find_pipelines() left its pipelines out because the import failed: {cause}",
        "Install or mend what is missing; `find_pipelines(raise_errors=True)` would have told you.",
    )


def _node(node: KedroNode) -> Node:
    return Node(node.name, node.namespace, frozenset(node.tags), tuple(node.inputs), tuple(node.outputs), tuple(node.confirms))


# -- configuration ----------------------------------------------------------------------------------------------------


def _conf_source(path: Path, default: str, given: str | None) -> tuple[str, str, bool]:
    """The configuration folder: as pods name it, as this machine finds it, and whether pods have to be told."""
    chosen = given if given is not None else default
    if re.match(r"[a-zA-Z][a-zA-Z0-9+.-]+://", chosen):
        return chosen, chosen, given is not None
    folder = Path(chosen) if Path(chosen).is_absolute() else (Path.cwd() if given is not None else path) / chosen
    folder = folder.resolve()
    if not folder.is_dir():
        raise refuse("conf-source", "--conf-source" if given is not None else "settings.CONF_SOURCE", f"{chosen!r} is not a folder.")
    relative = _relative(folder, path)
    if relative is None:
        raise refuse(
            "conf-source", "--conf-source" if given is not None else "settings.CONF_SOURCE",
            f"{chosen!r} lies outside the project, so no image would hold it.", "Move it into the project, or give a URL.",
        )
    return relative, str(folder), given is not None and relative != _relative((path / default).resolve(), path)


def _run_env(env: str | None, default_env: str, base_env: str, conf_path: str) -> str:
    """The environment pods run with; one that is asked for has to exist."""
    chosen = env or default_env
    if chosen == LOCAL_ENV:
        if env:
            raise refuse(
                "env", "--env", "conf/local never goes into an image, so pods cannot run with it.",
                "Leave --env out to use the base environment, or name another one.",
            )
        return chosen
    if "://" in conf_path or (Path(conf_path) / chosen).is_dir():
        return chosen
    known = sorted(entry.name for entry in Path(conf_path).iterdir() if entry.is_dir() and entry.name not in (LOCAL_ENV, base_env))
    raise refuse("env", "--env", f"there is no environment {chosen!r} in {Path(conf_path).name}/.", f"There {'is' if known else 'is none but'} {', '.join(known) or base_env}.")


def _config_loader(conf_path: str, env: str, runtime_params: dict[str, Any], loader_args: dict[str, Any]) -> AbstractConfigLoader:
    from kedro.framework.project import settings

    try:
        loader: AbstractConfigLoader = settings.CONFIG_LOADER_CLASS(
            conf_source=conf_path, env=env, runtime_params=runtime_params, **loader_args
        )
    except Exception as exc:
        raise refuse("conf", conf_path, f"the configuration loader cannot be made: {_said(exc)}.") from exc
    patterns = getattr(loader, "config_patterns", None)
    if isinstance(patterns, dict):
        patterns.setdefault(SETTINGS_NAME, SETTINGS_PATTERNS)
    strategy = getattr(loader, "merge_strategy", None)
    if isinstance(strategy, dict):
        strategy.setdefault(SETTINGS_NAME, "soft")
    return loader


def _read_conf(loader: AbstractConfigLoader, name: str) -> dict[str, Any] | None:
    """One kind of configuration, or None when no file holds it."""
    from kedro.config import MissingConfigException

    try:
        content = loader[name]
    except (MissingConfigException, KeyError) as exc:
        if isinstance(exc, KeyError) and name not in str(exc):
            raise refuse("conf", name, f"cannot be read: {_said(exc)}.") from exc
        return None
    except Exception as exc:
        raise _unreadable(name, exc) from exc
    return copy.deepcopy(dict(content))


def _unreadable(name: str, exc: Exception) -> Refused:
    said = _said(exc)
    mend = ""
    if "runtime_params" in said or "Runtime parameter" in said:
        mend = "Give it a default in the configuration, or a value by --params."
    elif "expanded nodes" in said or "expansion" in said:
        mend = "Raise OMEGACONF_MAX_YAML_EXPANDED_NODES, here and in the pods (`env`), or use dataset factories."
    return refuse("conf", f"configuration {name!r}", f"cannot be read: {said}.", mend)


def _read_settings(loader: AbstractConfigLoader) -> dict[str, Any] | None:
    return _read_conf(loader, SETTINGS_NAME)


def _read_catalog(loader: AbstractConfigLoader, path: Path) -> tuple[Catalog, list[Finding]]:
    from kedro.io.catalog_config_resolver import CatalogConfigResolver

    config = _read_conf(loader, "catalog") or {}
    wrong = [name for name, entry in config.items() if not isinstance(entry, dict)]
    if wrong:
        raise refuse(
            "catalog", f"catalog, entry {wrong[0]!r}", "is not a dataset.", "Kedro ignores top-level keys that begin with an underscore."
        )
    had_credentials = frozenset(name for name, entry in config.items() if _strip_credentials(entry))
    try:
        resolver = CatalogConfigResolver(config=config, credentials={}, default_runtime_patterns=_RUNTIME_PATTERN)
    except Exception as exc:
        raise refuse("catalog", "catalog", f"cannot be resolved: {_said(exc)}.") from exc
    explicit = {name: entry for name, entry in config.items() if not CatalogConfigResolver.is_pattern(name)}
    return Catalog(explicit, had_credentials, resolver), []


def _strip_credentials(entry: dict[str, Any]) -> bool:
    """Take every `credentials` key out of an entry, at any depth; whether there was one."""
    had = entry.pop("credentials", None) is not None
    for value in entry.values():
        if isinstance(value, dict):
            had |= _strip_credentials(value)
    return had


def _hook_findings(hooks: tuple[object, ...]) -> Iterator[Finding]:
    for hook in hooks:
        for spec in _CATALOG_HOOKS:
            if getattr(getattr(hook, spec, None), "kedro_impl", None) is not None:
                kind = type(hook) if not isinstance(hook, type) else hook
                yield info(
                    "hooks",
                    f"hook {kind.__module__}.{kind.__qualname__}",
                    f"implements {spec}; what it adds to catalog or context is not seen here.",
                    "`data.reach` can say how far such datasets reach.",
                )


# -- small things -----------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _compiled_patterns() -> Iterator[None]:
    """Let Kedro's resolver compile each factory pattern once instead of once for each value of each dataset.

    `parse.parse(pattern, name)` compiles anew at every call: 60 us, 20,000 times in a catalog of 5,000 datasets.
    """
    import parse
    from kedro.io import catalog_config_resolver as module

    if getattr(module, "parse", None) is not parse.parse:
        yield
        return
    compiled = cache(parse.compile)
    module.parse = lambda pattern, name: compiled(pattern).parse(name)  # type: ignore[attr-defined]
    try:
        yield
    finally:
        module.parse = parse.parse  # type: ignore[attr-defined]


@contextlib.contextmanager
def _quiet(logger_name: str) -> Iterator[None]:
    logger = logging.getLogger(logger_name)
    disabled, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = disabled


def _relative(folder: Path, path: Path) -> str | None:
    """`folder` relative to the project in POSIX form, or None when it lies outside."""
    try:
        return folder.relative_to(path).as_posix()
    except ValueError:
        return None


def _said(exc: BaseException) -> str:
    """An exception and what caused it in one line, without this machine's home folder."""
    text = f"{type(exc).__name__}: {' '.join(str(exc).split())}".rstrip(": ").replace(str(Path.home()) + os.sep, "~/").rstrip(".")
    return f"{text} ({_said(exc.__cause__)})" if exc.__cause__ is not None else text
