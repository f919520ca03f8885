"""The project's configuration: where it lies, which environment pods run with, and its files, read by its own loader."""

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
    from collections.abc import Iterator, Sequence

    from kedro.config import AbstractConfigLoader

SETTINGS_NAME = "k8s_airflow"
SETTINGS_PATTERNS = [f"{SETTINGS_NAME}*", f"{SETTINGS_NAME}*/**", f"**/{SETTINGS_NAME}*"]
LOCAL_ENV = "local"


def resolve_conf_source(path: Path, default: str, given: str | None) -> tuple[str, str, bool]:
    """The configuration folder: as pods name it, as this machine finds it, and whether pods have to be told."""
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
    inside = relative_to_project(folder, path)
    if inside is None:
        raise refuse(
            "conf-source",
            Location(subject="--conf-source" if given is not None else "settings.CONF_SOURCE"),
            f"{chosen!r} lies outside the project, so no image would hold it.",
            "Move it into the project, or give a URL.",
        )
    return inside, str(folder), given is not None and inside != relative_to_project((path / default).resolve(), path)


def choose_run_env(env: str | None, default_env: str, base_env: str, conf_path: str) -> str:
    """The environment pods run with; one that is asked for has to exist."""
    chosen = env or default_env
    origin = "KEDRO_ENV" if env and env == os.environ.get("KEDRO_ENV") else "--env"
    location = Location(subject=origin)
    if env and (env in (".", "..") or "/" in env or "\\" in env):
        raise refuse(
            "env",
            location,
            f"{env!r} is not the name of an environment.",
            "Give the name of one folder of the configuration.",
        )
    if chosen == LOCAL_ENV:
        if env:
            raise refuse(
                "env",
                location,
                "conf/local never goes into an image, so pods cannot run with it.",
                f"Leave {origin} out to use the base environment, or name another one.",
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
        f"there is no environment {chosen!r} in {Path(conf_path).name}/.",
        f"There {'is' if known else 'is none but'} {', '.join(known) or base_env}.",
    )


def make_loader(
    conf_path: str, env: str, runtime_params: dict[str, Any], loader_args: dict[str, Any]
) -> AbstractConfigLoader:
    """The project's own loader, which also knows where our settings and kedro-airflow's lie.

    Raises:
        Refused: when it cannot be made.
    """
    from kedro.framework.project import settings

    try:
        with _known_noise():
            made: AbstractConfigLoader = settings.CONFIG_LOADER_CLASS(
                conf_source=conf_path, env=env, runtime_params=runtime_params, **loader_args
            )
    except Exception as exc:
        raise refuse(
            "conf", Location(file=conf_path), f"the configuration loader cannot be made: {describe_exception(exc)}."
        ) from exc
    patterns = getattr(made, "config_patterns", None)
    if isinstance(patterns, dict):
        patterns.setdefault(SETTINGS_NAME, SETTINGS_PATTERNS)
        patterns.setdefault("airflow", ["airflow*", "airflow/**"])
    strategy = getattr(made, "merge_strategy", None)
    if isinstance(strategy, dict):
        strategy.setdefault(SETTINGS_NAME, "soft")
    return made


def settings_files(conf: Path, envs: Sequence[str]) -> list[Path]:
    """The files of our settings in the folders of some environments, in their order."""
    return [
        file
        for env in dict.fromkeys(envs)
        for file in sorted({*(conf / env).glob(f"**/{SETTINGS_NAME}*"), *(conf / env).glob(f"{SETTINGS_NAME}*/**/*")})
        if file.is_file() and file.suffix in (".yml", ".yaml", ".json")
    ]


def has_credentials(conf: str, envs: Sequence[str]) -> bool:
    """Whether a credentials file lies in the folders of some environments; its content is not looked at."""
    if "://" in conf:
        return True
    return any(
        file.is_file()
        for env in envs
        for pattern in ("**/credentials*", "credentials*/**/*")
        for file in (Path(conf) / env).glob(pattern)
    )


def read_config(
    loader: AbstractConfigLoader, name: str, files: Sequence[Path] = (), root: Path | None = None
) -> dict[str, Any] | None:
    """One kind of configuration, or None when no file holds it.

    Args:
        loader: the project's own.
        name: `catalog`, `parameters`, ...
        files: the files it comes from, for messages; relative to `root` there.
        root: the project's folder.

    Raises:
        Refused: when a file cannot be read.
    """
    from kedro.config import MissingConfigException

    try:
        with _known_noise():
            content = loader[name]
    except MissingConfigException:
        return None
    except Exception as exc:
        if isinstance(exc, KeyError) and name in str(exc) and "config patterns" in str(exc):
            return None  # a loader of the project's own that knows no such kind
        names = [
            file.relative_to(root).as_posix() if root and file.is_relative_to(root) else file.name for file in files
        ]
        location = Location(file=", ".join(names)) if names else Location(subject=f"configuration {name!r}")
        raise _unreadable(location, exc) from exc
    return copy.deepcopy(dict(content))


def _unreadable(location: Location, exc: Exception) -> Refused:
    text = describe_exception(exc)
    help_text = ""
    if "runtime_params" in text or "Runtime parameter" in text:
        help_text = "Give it a default in the configuration, or a value by --params."
        return refuse("param-runtime", location, f"cannot be read: {text}.", help_text)
    if "expanded nodes" in text or "expansion" in text:
        help_text = "Raise OMEGACONF_MAX_YAML_EXPANDED_NODES, here and in the pods (`env`), or use dataset factories."
    elif "UnsupportedInterpolationType" in text:
        help_text = "Use ${globals:...}, ${runtime_params:...} or a resolver of your own (CONFIG_LOADER_ARGS)."
    elif "ListConfig" in text:
        text, help_text = "it is a list", "Its top level has to be a map of keys."
    return refuse("conf", location, f"cannot be read: {text}.", help_text)


@contextlib.contextmanager
def _known_noise() -> Iterator[None]:
    """Kedro's own loader calls what omegaconf 2.4 deprecates; its users can do nothing about that."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"\s*register_new_resolver\(\)")
        yield


def relative_to_project(folder: Path, path: Path) -> str | None:
    """`folder` relative to the project in POSIX form, or None when it lies outside."""
    try:
        return folder.relative_to(path).as_posix()
    except ValueError:
        return None
