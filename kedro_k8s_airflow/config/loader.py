"""The loader of settings: checks the raw content of the settings files, or reports file, key, value and what is valid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, get_origin

from kedro_k8s_airflow import credential_detection
from kedro_k8s_airflow.config import models
from kedro_k8s_airflow.findings import Finding, Refused, error, refuse
from kedro_k8s_airflow.locations import Location
from kedro_k8s_airflow.text import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pydantic import BaseModel
    from pydantic_core import ErrorDetails

    from kedro_k8s_airflow.config.models import Settings

SETTINGS_FILE_NAME = "k8s_airflow.yml"
# Users choose the names below these keys, so a name can indicate a credential.
_FREE_KEYS = frozenset(
    {"annotations", "args", "env", "labels", "operator", "volumeAttributes", "on_failure", "on_success"}
)

# Pydantic's kinds of errors: the name of the limit, and how it is written here, with the end of a plural.
_LIMITS = {
    "string_too_short": ("min_length", "a text of at least {0} character{1}"),
    "string_too_long": ("max_length", "a text of at most {0} character{1}"),
    "too_short": ("min_length", "a list or map of at least {0} item{1}"),
    "too_long": ("max_length", "a list or map of at most {0} item{1}"),
    "greater_than": ("gt", "more than {0}"),
    "greater_than_equal": ("ge", "{0} or more"),
    "less_than": ("lt", "less than {0}"),
    "less_than_equal": ("le", "{0} or less"),
}


class SettingsSources:
    """The settings files, overlays first, and which of them sets a key."""

    def __init__(self, files: Sequence[Path], root: Path) -> None:
        """Take the files, and the project's folder for their names in messages."""
        self.files = tuple(files)
        self._root = root

    @cached_property
    def contents(self) -> tuple[Any, ...]:
        """Return the content of each file, None for a file that cannot be read."""
        return tuple(map(_read_yaml, self.files))

    @cached_property
    def _contents_by_text(self) -> tuple[Any, ...]:
        """Return the contents with every key as text, so that one is found without a search."""
        return tuple(map(_with_text_keys, self.contents))

    def file_of(self, path: Sequence[str] = ()) -> str:
        """Return the file that sets a key or the longest part of it, overlays first."""
        best, deepest = (self.files[-1] if self.files else None), 0
        for file, content in zip(self.files, self._contents_by_text, strict=True) if path else ():
            depth = _matching_depth(content, path)
            if depth > deepest:
                best, deepest = file, depth
        if best is None or not best.is_relative_to(self._root):
            return SETTINGS_FILE_NAME
        return best.relative_to(self._root).as_posix()

    def location_of(self, path: Sequence[str]) -> Location:
        """Return where a key is set: its file, and the key."""
        return Location(file=self.file_of(path), key=tuple(path))


def _read_yaml(file: Path) -> Any:
    import yaml

    try:
        return yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return None


def _with_text_keys(content: Any) -> Any:
    if isinstance(content, dict):
        return {str(key): _with_text_keys(value) for key, value in content.items()}
    return [_with_text_keys(item) for item in content] if isinstance(content, list) else content


def _matching_depth(content: Any, path: Sequence[str]) -> int:
    """Return how many leading parts of a key the content of a file has."""
    for depth, part in enumerate(path):
        if isinstance(content, dict):
            if part not in content:
                return depth
            content = content[part]
        elif isinstance(content, list) and part.isdecimal() and len(part) < 10 and int(part) < len(content):
            content = content[int(part)]
        else:
            return depth
    return len(path)


def load_settings(raw: Mapping[str, Any] | None, files: Sequence[Path], root: Path) -> Settings:
    """Check and return the settings.

    Args:
        raw: content of the settings files, merged over environments; None if there is no such file.
        files: the files it came from, overlays first.
        root: the project's folder, for file names in messages.

    Raises:
        Refused: with one finding for each invalid key.
    """
    from pydantic import ValidationError

    sources = SettingsSources(files, root)
    if raw is None and not files:
        raise refuse(
            "settings",
            Location(file=SETTINGS_FILE_NAME),
            f"does not exist in the configuration that is read{_similar_files(root)}.",
            "Create it with `kedro k8s-airflow init`.",
        )
    leaked = credential_detection.find_credentials(raw or {}, _FREE_KEYS)
    if leaked:
        raise Refused(
            error(
                "secret",
                sources.location_of(path),
                "looks like a credential, which the DAG file would show to everyone.",
                "Refer to a Secret: use env with valueFrom.secretKeyRef, envFrom, or credentials_secret.",
            )
            for path in leaked
        )
    _refuse_unknown_drops(raw or {}, sources)
    try:
        settings = models.parse_settings(dict(raw or {}))
    except ValidationError as exc:
        raise Refused(dict.fromkeys(_describe_error(detail, sources) for detail in exc.errors())) from None
    # The models check keys only where they know them, unlike those of Airflow's operator.
    errors = [
        error(
            "settings-type",
            sources.location_of(path),
            f"the key {credential_detection.show_value(key, path[:-1])} is not text.",
            "Put it in quotes.",
        )
        for path, key in _find_keys_without_text(raw or {})
    ]
    if errors:
        raise Refused(errors)
    return settings


def _find_keys_without_text(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], object]]:
    """Yield the path of each key that is not text, and the key."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            below = (*path, str(key))
            if isinstance(key, str):
                yield from _find_keys_without_text(item, below)
            else:
                yield below, key
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _find_keys_without_text(item, (*path, str(index)))


def _similar_files(root: Path) -> str:
    """Return a clause that names files in other places or with other spellings, or ""."""
    similar = sorted(file.relative_to(root).as_posix() for file in root.glob("conf*/**/k8s[-_]airflow*.y*ml"))
    return f" (found, but not read: {', '.join(similar)})" if similar else ""


def _refuse_unknown_drops(raw: Mapping[str, Any], sources: SettingsSources) -> None:
    """Check that another file defines every rule, group and profile that null removes.

    Raises:
        Refused: for a name that is not defined; it may be misspelt.
    """
    for key in ("tasks", "groups", "profiles"):
        section = raw.get(key)
        for name, value in section.items() if isinstance(section, Mapping) else ():
            if value is not None:
                continue
            defined = [content.get(key) or {} for content in sources.contents if isinstance(content, dict)]
            if not any(isinstance(names, dict) and names.get(name) is not None for names in defined):
                known = {
                    str(other)
                    for names in defined
                    if isinstance(names, dict)
                    for other, content in names.items()
                    if content is not None
                }
                raise refuse(
                    "settings-value",
                    sources.location_of((key, str(name))),
                    "is null, but no other settings file defines it, so there is nothing to remove.",
                    did_you_mean(str(name), sorted(known), otherwise="Give it a value, or delete the key."),
                )


def _describe_error(detail: ErrorDetails, sources: SettingsSources) -> Finding:
    path = tuple(str(part) for part in detail["loc"] if part != "[key]")
    location = sources.location_of(path)
    kind, value = detail["type"], detail["input"]
    if kind == "extra_forbidden":
        return error("settings-unknown", location, "is not a setting.", _suggest_key(path))
    if kind == "missing":
        return error("settings-missing", location, "is required.", f"Add `{path[-1]}:` to the file.")
    problem = detail["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    if kind == "value_error":
        return error(
            "settings-value",
            location,
            f"{credential_detection.show_value(value, path)} cannot be used: {problem}{'' if problem.endswith('?') else '.'}",
        )
    return error(
        "settings-type",
        location,
        f"{credential_detection.show_value(value, path)} cannot be used; it must be "
        f"{_expected_type(kind, problem, value, detail.get('ctx') or {})}.",
    )


def _suggest_key(path: Sequence[str]) -> str:
    """Return a suggestion for the unknown key at the end of a path."""
    known = _known_keys(path[:-1])
    suggestion = did_you_mean(path[-1], known)
    if suggestion:
        return suggestion
    if len(path) == 1:
        sections = (("dag", models.DagSettings), ("data", models.DataSettings), ("tasks.<rule>", models.TaskRule))
        for section, model in sections:
            if path[0] in model.model_fields:
                return f"Move it under `{section}:`."
    return f"Valid keys: {', '.join(known)}."


def _expected_type(kind: str, problem: str, value: Any, limits: Mapping[str, Any]) -> str:
    """Return what a value must be, in YAML's terms."""
    if kind == "string_type":
        return "a string; put it in quotes" if isinstance(value, bool | int | float) else "a string"
    if kind in ("model_type", "model_attributes_type", "dict_type", "mapping_type"):
        return "a map of keys" if value is not None else "a map of keys; remove the key or write {}"
    if kind in _LIMITS:
        name, text = _LIMITS[kind]
        limit = limits[name]
        return text.format(limit, "" if limit == 1 else "s")
    words = {
        "tuple_type": "a list",
        "list_type": "a list",
        "bool_type": "true or false",
        "int_type": "an integer",
        "float_type": "a number",
    }
    return words.get(kind, problem)


def _known_keys(path: Sequence[str]) -> list[str]:
    """Return the keys of the model at a path of the settings."""
    model: type[BaseModel] = models.Settings
    inside_mapping = False
    for part in path:
        if inside_mapping or part.isdigit():
            inside_mapping = False
            continue
        field = model.model_fields.get(part)
        if field is None:
            return []
        inner = _model_of(field.annotation)
        if inner is None:
            return []
        model = inner
        inside_mapping = get_origin(field.annotation) is dict
    return sorted(model.model_fields)


def _model_of(annotation: Any) -> type[BaseModel] | None:
    from pydantic import BaseModel

    # On Python 3.10, dict[str, X] is also an instance of type.
    if get_origin(annotation) is None and isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in reversed(getattr(annotation, "__args__", ())):
        model = _model_of(argument)
        if model is not None:
            return model
    return None
