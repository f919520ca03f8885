"""The settings of a task after all rules: immutable, and usable as a key, since many tasks share the same ones."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any


class ResolvedSettings(Mapping[str, Any]):
    """Keys of the settings file with the values that count for a task. Nested values are plain and must not be changed."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = dict(values)

    def __getitem__(self, key: str) -> Any:
        return self._values[key]

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value of a key, or the default; faster than that of `Mapping`, which catches a KeyError."""
        return self._values.get(key, default)

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"ResolvedSettings({self._values!r})"

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if isinstance(other, ResolvedSettings):
            return self._text == other._text
        return self._values == other

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _text(self) -> str:
        # The order of keys counts: the DAG file keeps it.
        return json.dumps(self._values, default=repr)

    @cached_property
    def _hash(self) -> int:
        return hash(self._text)

    @property
    def requests(self) -> Mapping[str, Any]:
        """Resources that the container requests, as Kubernetes quantities."""
        return (self._values.get("resources") or {}).get("requests") or {}

    @property
    def limits(self) -> Mapping[str, Any]:
        """Resources that the container may use at most, as Kubernetes quantities."""
        return (self._values.get("resources") or {}).get("limits") or {}

    @property
    def operator(self) -> Mapping[str, Any]:
        """Further arguments of the operator."""
        return self._values.get("operator") or {}
