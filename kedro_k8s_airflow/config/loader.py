"""From the raw content of the settings file to checked settings, or to messages that name file, key, value and what is right."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, get_origin

from kedro_k8s_airflow import credential_detection
from kedro_k8s_airflow.config import models
from kedro_k8s_airflow.findings import Finding, Refused, error, refuse
from kedro_k8s_airflow.locations import Location

if TYPE_CHECKING:
    from pathlib import Path

    from pydantic import BaseModel
    from pydantic_core import ErrorDetails

    from kedro_k8s_airflow.config.models import Settings

NAME = "k8s_airflow.yml"
# Below these keys users name things themselves, so that a name can betray a credential.
_FREE_MAPS = frozenset(
    {"annotations", "args", "env", "labels", "operator", "volumeAttributes", "on_failure", "on_success"}
)


class SettingsSources:
    """The settings files, overlays first: which of them says a key."""

    def __init__(self, files: Sequence[Path], root: Path) -> None:
        """The files, and the project's folder for their names in messages."""
        self.files = tuple(files)
        self._root = root

    @cached_property
    def contents(self) -> tuple[Any, ...]:
        """What is in each file; None when it cannot be read."""
        return tuple(map(_content, self.files))

    def file(self, path: Sequence[str] = ()) -> str:
        """The file that spells a key, or the longest part of it: an overlay before what it lies over."""
        best, deepest = (self.files[-1] if self.files else None), 0
        for file, content in zip(self.files, self.contents, strict=True) if path else ():
            depth = _depth(content, path)
            if depth > deepest:
                best, deepest = file, depth
        if best is None or not best.is_relative_to(self._root):
            return NAME
        return best.relative_to(self._root).as_posix()

    def location_of(self, path: Sequence[str]) -> Location:
        """Return where a key is set: its file, and the key."""
        return Location(file=self.file(path), key=tuple(path))


def _content(file: Path) -> Any:
    import yaml

    try:
        return yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return None


def _depth(content: Any, path: Sequence[str]) -> int:
    """How many leading parts of a key a file's content spells out."""
    for depth, part in enumerate(path):
        if isinstance(content, dict):
            match = next((key for key in content if str(key) == part), None)
            if match is None:
                return depth
            content = content[match]
        elif isinstance(content, list) and part.isdigit() and int(part) < len(content):
            content = content[int(part)]
        else:
            return depth
    return len(path)


def load_settings(raw: Mapping[str, Any] | None, files: Sequence[Path], root: Path) -> Settings:
    """The checked settings.

    Args:
        raw: content of the settings files, merged over environments; None when there is no such file.
        files: the files it came from, overlays first.
        root: the project's folder, for file names in messages.

    Raises:
        Refused: with one finding for each wrong key.
    """
    from pydantic import ValidationError

    sources = SettingsSources(files, root)
    if raw is None and not files:
        raise refuse(
            "settings",
            Location(file=NAME),
            f"the project has no such file in the configuration that is read{_similar_files(root)}.",
            "Write one with `kedro k8s-airflow init`.",
        )
    leaked = credential_detection.find_credentials(raw or {}, _FREE_MAPS)
    if leaked:
        raise Refused(
            error(
                "secret",
                sources.location_of(path),
                "holds what looks like a credential, and the DAG file would show it to everyone.",
                "Refer to a Secret: env with valueFrom.secretKeyRef, envFrom, or credentials_secret.",
            )
            for path in leaked
        )
    _refuse_unknown_drops(raw or {}, sources)
    try:
        return models.parse_settings(dict(raw or {}))
    except ValidationError as exc:
        raise Refused(dict.fromkeys(_describe_error(detail, sources) for detail in exc.errors())) from None


def _similar_files(root: Path) -> str:
    """Files whose name or place is nearly right, in words."""
    found = sorted(file.relative_to(root).as_posix() for file in root.glob("conf*/**/k8s[-_]airflow*.y*ml"))
    return f"; {', '.join(found)} is not" if found else ""


def _refuse_unknown_drops(raw: Mapping[str, Any], sources: SettingsSources) -> None:
    """Nothing, when every rule, group and profile that is dropped by null is one that another file defines.

    Raises:
        Refused: naming those that are not; a misspelt name would drop nothing.
    """
    for key in ("tasks", "groups", "profiles"):
        section = raw.get(key)
        for name, value in section.items() if isinstance(section, Mapping) else ():
            if value is not None:
                continue
            defined = [content.get(key) or {} for content in sources.contents if isinstance(content, dict)]
            if not any(isinstance(one, dict) and one.get(name) is not None for one in defined):
                known = sorted(
                    {
                        str(other)
                        for one in defined
                        if isinstance(one, dict)
                        for other, rule in one.items()
                        if rule is not None
                    }
                )
                close = difflib.get_close_matches(str(name), known, 1)
                help_text = f"Did you mean {close[0]!r}?" if close else "Write what it should hold, or remove it."
                raise refuse(
                    "settings-value",
                    sources.location_of((key, str(name))),
                    "is empty, and there is nothing of that name to drop.",
                    help_text,
                )


def _describe_error(detail: ErrorDetails, sources: SettingsSources) -> Finding:
    path = tuple(str(part) for part in detail["loc"] if part != "[key]")
    where = sources.location_of(path)
    kind, given = detail["type"], detail["input"]
    if kind == "extra_forbidden":
        return error("settings-unknown", where, "is not a setting.", _suggest_key(path))
    if kind == "missing":
        return error("settings-missing", where, "is required.", f"Add `{path[-1]}:` to the file.")
    said = detail["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    if kind == "value_error":
        return error(
            "settings-value",
            where,
            f"{_show_value(given, path)} cannot be used: {said}{'' if said.endswith('?') else '.'}",
        )
    return error(
        "settings-type",
        where,
        f"{_show_value(given, path)} cannot be used; it should be {_expected_type(kind, said, given)}.",
    )


def _suggest_key(path: Sequence[str]) -> str:
    """What the unknown key at the end of a path may have been meant to be."""
    known = _known_keys(path[:-1])
    close = difflib.get_close_matches(path[-1], known, 1)
    if close:
        return f"Did you mean {close[0]!r}?"
    if len(path) == 1:
        homes = (("dag", models.DagSettings), ("data", models.DataSettings), ("tasks.<rule>", models.TaskRule))
        for home, model in homes:
            if path[0] in model.model_fields:
                return f"It belongs under `{home}:`."
    return f"Known are {', '.join(known)}."


def _expected_type(kind: str, said: str, given: Any) -> str:
    """What a value should be, in the words of YAML."""
    if kind == "string_type":
        return "a text; put it in quotes" if isinstance(given, bool | int | float) else "a text"
    if kind in ("model_type", "model_attributes_type", "dict_type", "mapping_type"):
        return "a map of keys" if given is not None else "a map of keys; it is empty, so remove it or write {}"
    words = {
        "tuple_type": "a list",
        "list_type": "a list",
        "bool_type": "true or false",
        "int_type": "a whole number",
        "float_type": "a number",
    }
    return words.get(kind, said)


def _show_value(value: Any, path: Sequence[str]) -> str:
    """A value for a message, unless it may be a credential."""
    if any(credential_detection.is_secret_name(part) for part in path) or credential_detection.may_be_credential(value):
        return "its value (not shown)"
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _known_keys(path: Sequence[str]) -> list[str]:
    """The keys that the model at a path of the settings has."""
    model: type[BaseModel] = models.Settings
    inside_mapping = False
    for part in path:
        if inside_mapping or part.isdigit():
            inside_mapping = False
            continue
        field = model.model_fields.get(part)
        if field is None:
            return []
        found = _model_of(field.annotation)
        if found is None:
            return []
        model = found
        inside_mapping = get_origin(field.annotation) is dict
    return sorted(model.model_fields)


def _model_of(annotation: Any) -> type[BaseModel] | None:
    from pydantic import BaseModel

    # On Python 3.10 dict[str, X] is an instance of type, too.
    if get_origin(annotation) is None and isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in reversed(getattr(annotation, "__args__", ())):
        found = _model_of(argument)
        if found is not None:
            return found
    return None
