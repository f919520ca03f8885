"""Durations as users write them: `90s`, `30m`, `2h`, `1d`."""

from __future__ import annotations

import re
from datetime import timedelta

DURATION_PATTERN = r"[0-9]+(s|m|h|d)"
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def parse_duration(value: object) -> timedelta:
    """Return the `timedelta` that `value` spells.

    Raises:
        ValueError: with the spelling that would be right.
    """
    if isinstance(value, timedelta):
        return value
    if not isinstance(value, str) or not re.fullmatch(DURATION_PATTERN, value, re.ASCII):
        raise ValueError(f"a duration is a whole number and a unit, such as 90s, 30m, 2h or 1d; got {value!r}")
    try:
        duration = timedelta(**{_UNITS[value[-1]]: int(value[:-1])})
    except OverflowError:
        raise ValueError(f"{value!r} is longer than any duration can be") from None
    if duration > timedelta(days=3650):
        raise ValueError(f"a duration is ten years at most; got {value!r}")
    if not duration:
        raise ValueError(f"a duration must be greater than zero; got {value!r}")
    return duration


def format_duration(duration: timedelta) -> str:
    """Return the shortest spelling of a duration, for display."""
    seconds = int(duration.total_seconds())
    size, unit = next(
        (size, unit) for size, unit in ((86400, "d"), (3600, "h"), (60, "m"), (1, "s")) if not seconds % size
    )
    return f"{seconds // size}{unit}"
