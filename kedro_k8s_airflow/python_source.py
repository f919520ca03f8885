"""Python source from Python values: the one way by which a value gets into an emitted file.

Nobody quotes by hand, so quoting cannot go wrong. The layout is the one `ruff format` and Black give, so that a formatter in
a team's repository leaves emitted files alone.
"""

from __future__ import annotations

import math
import unicodedata
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

WIDTH = 88
_INDENT = "    "


@dataclass(frozen=True)
class Raw:
    """Source that stands for itself, such as the name of a constant."""

    source: str


@dataclass(frozen=True)
class Call:
    """A call with keyword arguments, after optional positional ones and before the items of named dicts."""

    name: str
    keywords: Mapping[str, Any]
    positional: tuple[Any, ...] = ()
    spread: tuple[str, ...] = ()


@dataclass(frozen=True)
class Text:
    """A long string in parts, each on a line of its own."""

    parts: tuple[str, ...]


@dataclass(frozen=True)
class Splice:
    """A list that begins with the items of a named one."""

    name: str
    items: tuple[Any, ...]


def to_source(value: Any, indent: int = 0, used: int = 0, reserve: int = 0) -> str:
    """The source of a value.

    Args:
        value: None, bool, int, float, str, list, tuple, dict, datetime, timedelta, `Raw`, `Call`, `Splice` or `Text`, nested.
        indent: levels of four columns at which the value's own lines begin.
        used: columns before the value on its first line, indentation included.
        reserve: columns that follow it on its last line.

    Raises:
        TypeError: for any other type.
    """
    flat = _flat(value)
    if used + columns(flat) + reserve <= WIDTH or not isinstance(value, list | tuple | dict | Call | Splice | Text):
        return flat
    opening, parts, closing = _parts(value, indent + 1)
    if not parts:
        return flat
    inner = _INDENT * (indent + 1)
    if isinstance(value, Text):
        return opening + "\n" + "".join(f"{inner}{part}\n" for part in parts) + _INDENT * indent + closing
    return opening + "\n" + "".join(f"{inner}{part},\n" for part in parts) + _INDENT * indent + closing


def columns(written: str) -> int:
    """How wide a text is on a screen: East Asian letters and emoji take two columns, combining marks none."""
    if written.isascii():
        return len(written)
    return sum(
        0 if unicodedata.combining(sign) else 2 if unicodedata.east_asian_width(sign) in "WF" else 1 for sign in written
    )


def _parts(value: Any, indent: int) -> tuple[str, list[str], str]:
    """Opening bracket, the items each laid out on lines of its own, closing bracket."""
    left = len(_INDENT) * indent
    if isinstance(value, dict):
        parts = []
        for key, item in value.items():
            lead = f"{_flat(key)}: "
            parts.append(lead + to_source(item, indent, left + columns(lead), 1))
        return "{", parts, "}"
    if isinstance(value, Call):
        parts = [to_source(item, indent, left, 1) for item in value.positional]
        for name, item in value.keywords.items():
            parts.append(f"{name}=" + to_source(item, indent, left + len(name) + 1, 1))
        return f"{value.name}(", [*parts, *(f"**{name}" for name in value.spread)], ")"
    if isinstance(value, Text):
        return "(", [text(part) for part in value.parts], ")"
    if isinstance(value, Splice):
        return "[", [f"*{value.name}", *(to_source(item, indent, left, 1) for item in value.items)], "]"
    brackets = "()" if isinstance(value, tuple) else "[]"
    return brackets[0], [to_source(item, indent, left, 1) for item in value], brackets[1]


def _flat(value: Any) -> str:
    """The source of a value on one line."""
    # The most frequent types first: a large DAG file has some hundred thousand values.
    if isinstance(value, str):
        return text(value)
    if isinstance(value, list):
        return "[" + ", ".join(map(_flat, value)) + "]"
    if isinstance(value, Call):
        arguments = [
            *map(_flat, value.positional),
            *(f"{name}={_flat(item)}" for name, item in value.keywords.items()),
            *(f"**{name}" for name in value.spread),
        ]
        return f"{value.name}({', '.join(arguments)})"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_flat(key)}: {_flat(item)}" for key, item in value.items()) + "}"
    if value is None or isinstance(value, bool | int):
        return repr(value)
    if isinstance(value, float):
        return repr(value).replace("e+", "e") if math.isfinite(value) else f'float("{value}")'
    if isinstance(value, tuple):
        return "(" + ", ".join(map(_flat, value)) + (",)" if len(value) == 1 else ")")
    if isinstance(value, Raw):
        return value.source
    if isinstance(value, Text):
        return text("".join(value.parts))
    if isinstance(value, Splice):
        return "[" + ", ".join([f"*{value.name}", *map(_flat, value.items)]) + "]"
    if isinstance(value, datetime):
        return _datetime(value)
    if isinstance(value, timedelta):
        return _timedelta(value)
    raise TypeError(f"no source for a {type(value).__name__}")


def text(value: str) -> str:
    """The literal of a string: double quotes unless single ones need fewer escapes."""
    written = repr(value)
    if written[0] == '"' or '"' not in value:
        return f'"{written[1:-1]}"'
    # repr took single quotes because of the double ones inside; the other way round may need no more escapes.
    if value.count('"') <= value.count("'"):
        return '"' + written[1:-1].replace("\\'", "'").replace('"', '\\"') + '"'
    return written


def _datetime(value: datetime) -> str:
    parts = [value.year, value.month, value.day, value.hour, value.minute, value.second]
    while len(parts) > 3 and parts[-1] == 0:
        parts.pop()
    zone = "timezone.utc" if str(value.tzinfo) == "UTC" else f"ZoneInfo({text(str(value.tzinfo))})"
    return f"datetime({', '.join(map(str, parts))}, tzinfo={zone})"


def _timedelta(value: timedelta) -> str:
    seconds = int(value.total_seconds())
    for unit, size in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds and seconds % size == 0:
            return f"timedelta({unit}={seconds // size})"
    return f"timedelta(seconds={seconds})"
