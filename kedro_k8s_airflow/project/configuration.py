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
from kedro_k8s_airflow.project import config_problems

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
    conf_path: str, env: str, runtime_params: dict[str, Any], loader_args: dict[str, Any], root: Path
) -> AbstractConfigLoader:
    """Return the project's own config loader, which also loads the settings files and those of kedro-airflow.

    Args:
        conf_path: the configuration folder.
        env: the environment to load in addition to the base.
        runtime_params: parameters that override those in the configuration.
        loader_args: arguments of the loader, from the project's settings.
        root: the project's folder.

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
        # The loader reads globals at once.
        files = glob_config_files(Path(conf_path), (env, loader_args.get("base_env") or "base"), "globals")
        problem = config_problems.find_file_problem(files, root, text_keys=False)
        problem = problem or config_problems.find_key_problem(exc, files, root)
        if problem is not None:
            raise refuse("conf", *problem) from exc
        text = describe_exception(exc).replace(str(root) + os.sep, "")
        location = Location(subject="settings.CONFIG_LOADER_ARGS")
        raise refuse("conf", location, f"the config loader cannot be created: {text}.") from exc
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


def read_config(loader: AbstractConfigLoader, name: str, files: Sequence[Path], root: Path) -> dict[str, Any] | None:
    """Return one type of configuration, or None if no file contains it.

    Args:
        loader: the project's config loader.
        name: type of configuration: `catalog`, `parameters`, ...
        files: the files it comes from, which messages name.
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
        raise _refuse_unreadable(name, exc, files, root) from exc
    return copy.deepcopy(dict(content))


def _refuse_unreadable(name: str, exc: Exception, files: Sequence[Path], root: Path) -> Refused:
    text = describe_exception(exc).replace(str(root) + os.sep, "")
    problem = config_problems.find_file_problem(files, root, text_keys=name == "catalog")
    problem = problem or config_problems.find_key_problem(exc, files, root)
    if problem is None:
        names = ", ".join(relative_to_project(file, root) or file.name for file in files)
        location = Location(file=names) if names else Location(subject=f"configuration {name!r}")
        problem = config_problems.ConfigProblem(location, f"cannot be read: {text}.")
    help_text = problem.help
    if "runtime_params" in text or "Runtime parameter" in text:
        help_text = "Add a default to the configuration, or set a value with --params."
        return refuse("param-runtime", problem.location, problem.message, help_text)
    if "expanded nodes" in text or "expansion" in text:
        help_text = "Increase OMEGACONF_MAX_YAML_EXPANDED_NODES here and in the pods (`env`), or use dataset factories."
    elif "UnsupportedInterpolationType" in text:
        help_text = "Use ${globals:...}, ${runtime_params:...} or a custom resolver (CONFIG_LOADER_ARGS)."
    return refuse("conf", problem.location, problem.message, help_text)


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
