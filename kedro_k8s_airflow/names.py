"""Names: legal, short and stable identifiers for DAGs, tasks, task groups and labels.

A legal name is kept. A name that had to change ends in a hash of what it stands for, so that two things never share a name
and an edit elsewhere never renames anything.

Limits: Airflow keys have at most 250 characters of `[A-Za-z0-9_.-]` (`airflow.utils.helpers.validate_key`, 3.3 also refuses
`..`), task group ids no dot and at most 200 characters; Kubernetes label values at most 63 characters that begin and end with a letter or digit.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

KEY_LIMIT = 250
GROUP_LIMIT = 200
LABEL_LIMIT = 63

_NOT_IN_KEY = re.compile(r"[^A-Za-z0-9_.-]+|\.{2,}")
_NOT_IN_GROUP_ID = re.compile(r"[^A-Za-z0-9_-]+")
_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?\Z")
_NOT_IN_LABEL = re.compile(r"[^A-Za-z0-9_.-]+")


def short_hash(parts: Iterable[str]) -> str:
    """Return eight hexadecimal digits of the SHA-256 of the parts, each terminated by a NUL."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.encode("utf-8", "surrogatepass") + b"\0")
    return digest.hexdigest()[:8]


def _make_legal(name: str, members: Iterable[str], forbidden: re.Pattern[str], limit: int) -> str:
    legal = forbidden.sub("_", name)
    if not re.search(r"[A-Za-z0-9]", legal):
        legal = "x"  # the provider makes the pod's name from what letters and digits there are
    if legal == name and len(legal) <= limit:
        return name
    return f"{legal[: limit - 9]}-{short_hash(members)}"


def to_airflow_key(name: str, members: Iterable[str]) -> str:
    """Return a legal dag_id or task_id for `name`; `members` feed the hash when the name has to change."""
    return _make_legal(name, members, _NOT_IN_KEY, KEY_LIMIT)


def to_task_group_id(name: str) -> str:
    """Return a legal Airflow task group id for `name`."""
    return _make_legal(name, [name], _NOT_IN_GROUP_ID, GROUP_LIMIT)


def to_label_value(value: str) -> str:
    """Return a legal Kubernetes label value for `value`."""
    if _LABEL.match(value):
        return value
    legal = _NOT_IN_LABEL.sub("_", value)[: LABEL_LIMIT - 9].strip("_.-")
    return f"{legal or 'x'}-{short_hash([value])}"
