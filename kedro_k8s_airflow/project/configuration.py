"""The configuration of a project: its folder, the run environment of the pods, and its content, read with its own loader."""

from __future__ import annotations

import contextlib
import copy
import os
import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kedro_k8s_airflow.exceptions import describe_exception
from kedro_k8s_airflow.findings import Refused, refuse
from kedro_k8s_airflow.locations import Location

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from kedro.config import AbstractConfigLoader

SETTINGS_NAME = "k8s_airflow"
SETTINGS_PATTERNS = [f"{SETTINGS_NAME}*", f"{SETTINGS_NAME}*/**", f"**/{SETTINGS_NAME}*"]
LOCAL_ENV = "local"


def resolve_conf_source(path: Path, default: str, given: str | None) -> tuple[str, str, bool]:
    """Return the configuration folder for pods, its path on this machine, and whether pods need it as an argument.

    Args:
        path: the project's folder.
        default: the folder in the project's settings.
        given: the folder or URL on the command line, if any.

    Raises:
        Refused: if it is not a folder inside the project.
    """
    chosen = given if given is not None else default
    if re.match(r"[a-zA-Z][a-zA-Z0-9+.-]+://", chosen):
        return chosen, chosen, given is not None
    folder = Path(chosen) if Path(chosen).is_absolute() else (Path.cwd() if given is not None else path) / chosen
    folder = folder.resolve()
    if not folder.is_dir():
        raise refuse(
            "conf-source",
            Location(subject="--conf-source" if given is not None else "settings.CONF_SOURCE"),
            f"{chosen!r} is not a folder.",
        )
    relative = relative_to_project(folder, path)
    if relative is None:
        raise refuse(
            "conf-source",
            Location(subject="--conf-source" if given is not None else "settings.CONF_SOURCE"),
            f"{chosen!r} is outside the project, so it would not be part of the image.",
            "Move the folder into the project, or use a URL.",
        )
    if relative == ".":
        raise refuse(
            "conf-source",
            Location(subject="--conf-source" if given is not None else "settings.CONF_SOURCE"),
            f"{chosen!r} is the project's own folder, so its configuration cannot be told apart from data, local files "
            "and secrets beside it.",
            'Move the configuration to a folder such as conf/base, and set CONF_SOURCE = "conf".',
        )
    return (
        relative,
        str(folder),
        given is not None and relative != relative_to_project((path / default).resolve(), path),
    )


def choose_run_env(env: str | None, default_env: str, base_env: str, conf_path: str) -> str:
    """Return the run environment of the pods.

    Raises:
        Refused: if the requested environment does not exist, or is `local`.
    """
    chosen = env or default_env
    origin = "KEDRO_ENV" if env and env == os.environ.get("KEDRO_ENV") else "--env"
    location = Location(subject=origin)
    if env and (env in (".", "..") or "/" in env or "\\" in env):
        raise refuse(
            "env",
            location,
            f"{env!r} is not the name of an environment.",
            "Use the name of a folder in the configuration.",
        )
    if chosen == LOCAL_ENV:
        if env:
            raise refuse(
                "env",
                location,
                "cannot be local, because conf/local is never part of an image.",
                f"Remove {origin} to use the base environment, or set another one.",
            )
        return chosen
    if "://" in conf_path or (Path(conf_path) / chosen).is_dir():
        return chosen
    known = sorted(
        entry.name for entry in Path(conf_path).iterdir() if entry.is_dir() and entry.name not in (LOCAL_ENV, base_env)
    )
    raise refuse(
        "env",
        location,
        f"environment {chosen!r} does not exist in {Path(conf_path).name}/.",
        f"Available environments: {', '.join(known) or base_env}.",
    )


def make_config_loader(
    conf_path: str, env: str, runtime_params: dict[str, Any], loader_args: dict[str, Any]
) -> AbstractConfigLoader:
    """Return the project's own config loader, which also loads the settings files and those of kedro-airflow.

    Raises:
        Refused: if it cannot be created.
    """
    from kedro.framework.project import settings

    try:
        with _suppress_known_warnings():
            loader: AbstractConfigLoader = settings.CONFIG_LOADER_CLASS(
                conf_source=conf_path, env=env, runtime_params=runtime_params, **loader_args
            )
    except Exception as exc:
        raise refuse(
            "conf", Location(file=conf_path), f"the config loader cannot be created: {describe_exception(exc)}."
        ) from exc
    patterns = getattr(loader, "config_patterns", None)
    if isinstance(patterns, dict):
        patterns.setdefault(SETTINGS_NAME, SETTINGS_PATTERNS)
        patterns.setdefault("airflow", ["airflow*", "airflow/**"])
    strategy = getattr(loader, "merge_strategy", None)
    if isinstance(strategy, dict):
        strategy.setdefault(SETTINGS_NAME, "soft")
    return loader


def glob_config_files(conf: Path, envs: Iterable[str], name: str) -> list[Path]:
    """Return the files of one type of configuration in the folders of some environments, in their order.

    Args:
        conf: the configuration folder.
        envs: environments, which may be listed twice.
        name: `catalog`, `parameters`, ...
    """
    return [
        file
        for env in dict.fromkeys(envs)
        for file in sorted({*(conf / env).glob(f"**/{name}*"), *(conf / env).glob(f"{name}*/**/*")})
        if file.is_file() and file.suffix in (".yml", ".yaml", ".json")
    ]


def locate_key(files: Iterable[Path], key: Sequence[str], root: Path) -> Location | None:
    """Return the first of some files that holds a key at its top level, as a location; None if there is none.

    Args:
        files: YAML files.
        key: keys that lead to a value.
        root: the project's folder.
    """
    import yaml

    for file in files:
        try:
            content = yaml.safe_load(file.read_text(encoding="utf-8"))
        except (OSError, ValueError, yaml.YAMLError):
            continue
        if isinstance(content, dict) and key[0] in map(str, content):
            return Location(file=relative_to_project(file, root) or file.name, key=tuple(key))
    return None


def read_config(
    loader: AbstractConfigLoader, name: str, files: Sequence[Path] = (), root: Path | None = None
) -> dict[str, Any] | None:
    """Return one type of configuration, or None if no file contains it.

    Args:
        loader: the project's config loader.
        name: type of configuration: `catalog`, `parameters`, ...
        files: the files it comes from, which messages name relative to `root`.
        root: the project's folder.

    Raises:
        Refused: if a file cannot be read.
    """
    from kedro.config import MissingConfigException

    try:
        with _suppress_known_warnings():
            content = loader[name]
    except MissingConfigException:
        return None
    except Exception as exc:
        if isinstance(exc, KeyError) and name in str(exc) and "config patterns" in str(exc):
            return None  # a custom loader without this type of configuration
        names = [
            file.relative_to(root).as_posix() if root and file.is_relative_to(root) else file.name for file in files
        ]
        location = Location(file=", ".join(names)) if names else Location(subject=f"configuration {name!r}")
        raise _refuse_unreadable(location, exc) from exc
    return copy.deepcopy(dict(content))


def _refuse_unreadable(location: Location, exc: Exception) -> Refused:
    text = describe_exception(exc)
    help_text = ""
    if "runtime_params" in text or "Runtime parameter" in text:
        help_text = "Add a default to the configuration, or set a value with --params."
        return refuse("param-runtime", location, f"cannot be read: {text}.", help_text)
    if "expanded nodes" in text or "expansion" in text:
        help_text = "Increase OMEGACONF_MAX_YAML_EXPANDED_NODES here and in the pods (`env`), or use dataset factories."
    elif "UnsupportedInterpolationType" in text:
        help_text = "Use ${globals:...}, ${runtime_params:...} or a custom resolver (CONFIG_LOADER_ARGS)."
    elif "ListConfig" in text:
        text, help_text = "it is a list", "Change its top level to a map of keys."
    return refuse("conf", location, f"cannot be read: {text}.", help_text)


@contextlib.contextmanager
def _suppress_known_warnings() -> Iterator[None]:
    """Suppress a deprecation warning that Kedro's own loader causes with omegaconf 2.4."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"\s*register_new_resolver\(\)")
        yield


def relative_to_project(folder: Path, path: Path) -> str | None:
    """Return a folder relative to the project in POSIX form, or None if it is outside."""
    try:
        return folder.relative_to(path).as_posix()
    except ValueError:
        return None
