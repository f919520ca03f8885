"""Which file of the configuration, and which key or line in it, keeps the project's config loader from reading it."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, NamedTuple

from kedro_k8s_airflow.exceptions import describe_exception
from kedro_k8s_airflow.locations import Location

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path


class ConfigProblem(NamedTuple):
    """What is wrong in a file, where, and how to fix it."""

    location: Location
    message: str
    help: str = ""


def find_file_problem(files: Iterable[Path], root: Path, *, text_keys: bool) -> ConfigProblem | None:
    """Return the first file that is wrong by itself, or None.

    Args:
        files: YAML or JSON files of one type of configuration.
        root: the project's folder.
        text_keys: whether every key at the top has to be text.
    """
    from omegaconf import DictConfig, OmegaConf

    for file in files:
        name = _relative(file, root)
        try:
            content = OmegaConf.load(io.StringIO(file.read_bytes().decode()))
        except UnicodeDecodeError:
            return ConfigProblem(Location(file=name), "is not in UTF-8.", "Save it in UTF-8.")
        except Exception as exc:  # noqa: BLE001  parsers, and OmegaConf's own checks of keys
            return _describe_syntax_error(exc, name)
        if not isinstance(content, DictConfig):
            return ConfigProblem(Location(file=name), "is a list.", "Change its top level to a map of keys.")
        keys = [key for key in content if not isinstance(key, str)] if text_keys else []
        if keys:
            location = Location(file=name, key=(str(keys[0]),))
            return ConfigProblem(location, f"the key {keys[0]!r} is not a text.", "Put it in quotes.")
    return None


def _describe_syntax_error(exc: Exception, name: str) -> ConfigProblem:
    mark = getattr(exc, "problem_mark", None) or getattr(exc, "context_mark", None)
    key = str(getattr(exc, "full_key", None) or "")
    parts = [getattr(exc, part, None) for part in ("context", "problem")]
    text = ", ".join(part for part in parts if part) or _first_sentence(describe_exception(exc))
    location = Location(file=name, line=mark.line + 1 if mark else None, key=_split(key))
    return ConfigProblem(location, f"cannot be read: {text.rstrip('.')}.")


def _first_sentence(text: str) -> str:
    """Return a message of OmegaConf without the key, which the location has, and without its own types."""
    return text.partition(" full_key:")[0].rstrip(". ")


def find_key_problem(exc: BaseException, files: Iterable[Path], root: Path) -> ConfigProblem | None:
    """Return the key that could not be resolved, or None if the exception does not name one.

    Args:
        exc: raised by the loader.
        files: YAML or JSON files of one type of configuration.
        root: the project's folder.
    """
    full_key = next((str(key) for one in _causes(exc) if (key := getattr(one, "full_key", None))), None)
    if full_key is None:
        return None
    message = f"cannot be read: {_first_sentence(describe_exception(exc))}."
    matches = [
        (file, key, value)
        for file in files
        for key, value in _top_level(file)
        if f"{full_key}.".startswith((f"{key}.", f"{key}["))
    ]
    # Several environments may have the key; only one has an interpolation.
    matches.sort(key=lambda match: "${" not in str(match[2]))
    for file, key, _ in matches:
        return ConfigProblem(Location(file=_relative(file, root), key=(key, *_split(full_key[len(key) :]))), message)
    return None


def _split(full_key: str) -> tuple[str, ...]:
    """Return the parts of a key as OmegaConf writes it: `a.b[0]`."""
    return tuple(filter(None, full_key.replace("[", ".").replace("]", "").split(".")))


def _causes(exc: BaseException | None) -> Iterator[BaseException]:
    while exc is not None:
        yield exc
        exc = exc.__cause__ or exc.__context__


def _top_level(file: Path) -> Sequence[tuple[str, Any]]:
    import yaml

    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return []
    return [(str(key), value) for key, value in content.items()] if isinstance(content, dict) else []


def locate_key(files: Iterable[Path], key: Sequence[str], root: Path) -> Location | None:
    """Return the first of some files that holds a key at its top level, as a location; None if there is none."""
    for file in files:
        if any(name == key[0] for name, _ in _top_level(file)):
            return Location(file=_relative(file, root), key=tuple(key))
    return None


def _relative(file: Path, root: Path) -> str:
    return file.relative_to(root).as_posix() if file.is_relative_to(root) else file.name
