"""From the raw content of the settings file to checked settings, or to messages that name file, key, value and what is right."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from kedro_k8s_airflow import config, secrets
from kedro_k8s_airflow.findings import Finding, Refused, error, refuse

if TYPE_CHECKING:
    from pathlib import Path

    from pydantic import BaseModel
    from pydantic_core import ErrorDetails

    from kedro_k8s_airflow.config import Settings

NAME = "k8s_airflow.yml"


def check(raw: Mapping[str, Any] | None, files: Sequence[Path], root: Path) -> Settings:
    """The checked settings.

    Args:
        raw: content of the settings files, merged over environments; None when there is no such file.
        files: the files it came from, overlays first.
        root: the project's folder, for file names in messages.

    Raises:
        Refused: with one finding for each wrong key.
    """
    from pydantic import ValidationError

    if raw is None and not files:
        raise refuse(
            "settings",
            NAME,
            "the project has no such file in its configuration.",
            "Write one with `kedro k8s-airflow init`.",
        )
    leaked = secrets.find(raw or {})
    if leaked:
        raise Refused(
            error(
                "secret",
                _where(path, files, root),
                "holds what looks like a credential, and the DAG file would show it to everyone.",
                "Refer to a Secret: env with valueFrom.secretKeyRef, envFrom, or credentials_secret.",
            )
            for path in leaked
        )
    try:
        return config.parse(dict(raw or {}))
    except ValidationError as exc:
        raise Refused(dict.fromkeys(_finding(detail, files, root) for detail in exc.errors())) from None


def _finding(detail: ErrorDetails, files: Sequence[Path], root: Path) -> Finding:
    path = tuple(str(part) for part in detail["loc"] if part != "[key]")
    where = _where(path, files, root)
    kind, given = detail["type"], detail["input"]
    if kind == "extra_forbidden":
        known = _known_keys(path[:-1])
        close = difflib.get_close_matches(path[-1], known, 1)
        mend = f"Did you mean {close[0]!r}?" if close else f"Known are {', '.join(known)}."
        return error("settings-unknown", where, "is not a setting.", mend)
    if kind == "missing":
        return error("settings-missing", where, "is required.", f"Add `{path[-1]}:` to the file.")
    said = detail["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    if kind == "value_error":
        return error("settings-value", where, f"{_shown(given, path)} cannot be used: {said}.")
    return error("settings-type", where, f"{_shown(given, path)} cannot be used; it should be {said}.")


def _shown(value: Any, path: Sequence[str]) -> str:
    if any(secrets.is_secret_name(part) for part in path) or secrets.find(value):
        return "its value (not shown)"
    if isinstance(value, Mapping) and any(
        secrets.is_secret_name(str(part)) for part in (*value, *map(str, value.values()))
    ):
        return "its value (not shown)"
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _known_keys(path: Sequence[str]) -> list[str]:
    """The keys that the model at a path of the settings has."""
    model: type[BaseModel] = config.Settings
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
        inside_mapping = str(field.annotation).removeprefix("typing.").startswith("dict")
    return sorted(model.model_fields)


def _model_of(annotation: Any) -> type[BaseModel] | None:
    from pydantic import BaseModel

    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in reversed(getattr(annotation, "__args__", ())):
        found = _model_of(argument)
        if found is not None:
            return found
    return None


def _where(path: Sequence[str], files: Sequence[Path], root: Path) -> str:
    """`file: key`; the file is the overlay's when that one spells the key, or the longest part of it."""
    key = ".".join(path)
    best, deepest = (files[-1] if files else None), 0
    for file in files:
        depth = _depth(file, path)
        if depth > deepest:
            best, deepest = file, depth
    name = best.relative_to(root).as_posix() if best is not None and best.is_relative_to(root) else NAME
    return f"{name}: {key}" if key else name


def _depth(file: Path, path: Sequence[str]) -> int:
    """How many leading parts of a key a file spells out."""
    import yaml

    try:
        content: Any = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return 0
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
