"""Credentials files of the configuration: whether one holds only references to environment variables, and to which.

Such a file is a way to production, so the image may have it. No other credentials file ever goes into an image.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kedro_k8s_airflow import credential_detection
from kedro_k8s_airflow.project.configuration import LOCAL_ENV

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_SUFFIXES = (".yml", ".yaml", ".json")
_NAME = r"\s*[A-Za-z_][A-Za-z0-9_]*\s*"
# References in which no part is a secret, and what stands for one inside another.
_INNER = re.compile(r"(?<!\\)\$\{([^${}]*)\}")
_REPLACED = "\0"
_REFERENCE = re.compile(
    rf"oc\.env:({_NAME})(,\s*(null|\"\"|''|{_REPLACED})?\s*)?"
    rf"|oc\.decode:\s*{_REPLACED}\s*"
    r"|(globals:)?\s*\.*[A-Za-z_][A-Za-z0-9_.\[\]-]*(,\s*null)?\s*"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialsFile:
    """A credentials file of an environment other than `local`.

    Attributes:
        path: relative to the project's folder, in POSIX form.
        env: the environment that it belongs to.
        names: the credentials in it.
        variables: environment variables that it cannot be read without, sorted.
        literal: key of the first value that is not a reference; `()` for a file that cannot be read, or whose comments may
            hold a secret; None if all values are references.
    """

    path: str
    env: str
    names: frozenset[str]
    variables: tuple[str, ...]
    literal: tuple[str, ...] | None


def read_credentials_files(conf: Path, root: Path) -> tuple[CredentialsFile, ...]:
    """Return the credentials files in a configuration folder of the project, sorted; values are not kept.

    Args:
        conf: the folder.
        root: the project's folder.
    """
    if not conf.is_dir():
        return ()
    found = {*conf.glob("*/**/credentials*"), *conf.glob("*/**/credentials*/**/*")}
    files = [
        file
        for file in sorted(found)
        if file.is_file() and file.suffix in _SUFFIXES and file.relative_to(conf).parts[0] != LOCAL_ENV
    ]
    return tuple(_inspect(file, file.relative_to(conf).parts[0], root) for file in files)


def find_reference_files(root: Path, conf: str) -> list[str]:
    """Return the credentials files that hold only references, relative to the project.

    Args:
        root: the project's folder.
        conf: the configuration's folder in it, or "" if it is elsewhere.
    """
    return [file.path for file in read_credentials_files(root / conf, root) if file.literal is None] if conf else []


def _inspect(file: Path, env: str, root: Path) -> CredentialsFile:
    import yaml

    content: Any = None
    literal: tuple[str, ...] | None = ()
    variables: set[str] = set()
    try:
        text = file.read_text(encoding="utf-8")
        content = yaml.safe_load(text)
    except (OSError, ValueError, yaml.YAMLError):
        content = None
    else:
        if isinstance(content, dict) and not file.is_symlink():
            literal = next((path for path, value in _leaves(content) if not _is_reference(value, variables)), None)
            if literal is None and any(map(_may_hold_secret, _comments(text))):
                literal = ()
    names = frozenset(map(str, content)) if isinstance(content, dict) else frozenset()
    return CredentialsFile(
        path=file.relative_to(root).as_posix(),
        env=env,
        names=names,
        variables=tuple(sorted(variables)),
        literal=literal,
    )


def _leaves(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield every value inside nested maps and lists, and every key that is not text, with the keys that lead there."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _leaves(item, (*path, str(key)))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _leaves(item, (*path, str(index)))
    else:
        yield path, value


def _is_reference(value: object, variables: set[str]) -> bool:
    """Return whether a value holds no secret itself; the variables that it cannot be resolved without are added."""
    if value is None or isinstance(value, bool) or value == "":
        return True
    if not isinstance(value, str):
        return False
    text, required = value, set()
    while match := _INNER.search(text):
        reference = _REFERENCE.fullmatch(match[1])
        if reference is None:
            return False
        if reference[1] and not reference[2]:
            required.add(reference[1].strip())
        text = text[: match.start()] + _REPLACED + text[match.end() :]
    variables |= required
    return not text.replace(_REPLACED, "").strip()


def _comments(text: str) -> Iterator[str]:
    """Yield the comments of a YAML file, and of any text that looks like one."""
    for line in text.splitlines():
        _, sign, comment = line.partition("#")
        if sign:
            yield comment


def _may_hold_secret(comment: str) -> bool:
    """Return whether a comment may hold a value: it looks like an entry, or like a credential."""
    entry = re.search(r"(?<![A-Za-z0-9_-])[A-Za-z0-9_-]+(?::\s+|\s*=\s*)(\S+)", comment)
    return credential_detection.may_be_credential(comment) or (entry is not None and not entry[1].startswith("${"))
