"""Where a finding is: fields for programs, one phrase for people. How lines are looked up is in `output.source_lines`."""

from __future__ import annotations

import re
from dataclasses import dataclass

_PLAIN_KEY = re.compile(r"[^.,:\s'\"\[\]]+\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Location:
    """A place in the project. Every field is optional.

    Attributes:
        file: path relative to the project's folder, in POSIX form; a path outside of it as it was given.
        line: line of the file, counted from 1.
        key: keys that lead to a value in the file, one part each: a name may hold dots.
        node: name of a Kedro node.
        dataset: name of a dataset, without its transcoding.
        task: id of a task.
        dag: name of a DAG in the settings, or its dag_id.
        pipeline: name of a registered pipeline.
        more_tasks: how many further tasks the same holds for.
        subject: what has no field of its own, such as an option of the command line, an image or a repository.
    """

    file: str | None = None
    line: int | None = None
    key: tuple[str, ...] = ()
    node: str | None = None
    dataset: str | None = None
    task: str | None = None
    dag: str | None = None
    pipeline: str | None = None
    more_tasks: int = 0
    subject: str | None = None

    def __str__(self) -> str:
        parts = [] if self.subject is None else [self.subject]
        if self.file is not None:
            line = f", line {self.line}" if self.line is not None and not self.key else ""
            key = f": {dotted(self.key)}" if self.key else ""
            parts.append(f"{self.file}{line}{key}")
        for kind in ("pipeline", "dag", "dataset", "node", "task"):
            name = getattr(self, kind)
            if name is not None:
                parts.append(f"{kind} {name!r}")
        if self.more_tasks:
            parts[-1] += f" and {self.more_tasks:,} more"
        return ", ".join(parts)


def dotted(key: tuple[str, ...]) -> str:
    """Return a key as one text; parts that hold dots, blanks or quotes are quoted, so that it reads in one way only."""
    return ".".join(part if _PLAIN_KEY.match(part) else repr(part) for part in key)
