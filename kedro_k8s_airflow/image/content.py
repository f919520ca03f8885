"""What an image is made of: the files that its build sees, as hashes that no engine, machine or date has a part in."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from kedro_k8s_airflow.files import MARKER

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

ARGUMENTS = "build arguments"


def parts(
    root: Path, dockerfile: str, ignored: str, *, texts: Mapping[Path, str], arguments: Mapping[str, str]
) -> dict[str, str]:
    """Hashes of everything that goes into an image.

    Args:
        root: the project's folder, which is the build's context.
        dockerfile: its text.
        ignored: text of the .dockerignore.
        texts: of files that are about to be written, by path.
        arguments: of the build.

    Returns:
        By the first part of the path, such as `src` or `uv.lock`, a SHA-256 in hex; also of the Dockerfile, and of the
        arguments when there are any.
    """
    inside: dict[str, list[tuple[str, str, str]]] = {}
    written = {path.relative_to(root).as_posix(): text for path, text in texts.items() if path.is_relative_to(root)}
    admitted = dict.fromkeys([*files(root, ignored), *(path for path in written if not _ignores(ignored)(path))])
    for path in sorted(admitted):
        inside.setdefault(path.partition("/")[0], []).append((path, *_hash(root / path, written.get(path))))
    found = {name: _digest(entries) for name, entries in inside.items()}
    # Our first line names a version that may make the same image.
    lines = dockerfile.split("\n")
    found["Dockerfile"] = _digest(lines[1:] if lines[0].encode().startswith(MARKER) else lines)
    if arguments:
        found[ARGUMENTS] = _digest(sorted(arguments.items()))
    return dict(sorted(found.items()))


def content(found: Mapping[str, str]) -> str:
    """One hash of all parts, in hex."""
    return _digest(sorted(found.items()))


def changed(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """The parts that differ, sorted."""
    return sorted(name for name in {*before, *now} if before.get(name) != now.get(name))


def files(root: Path, ignored: str) -> Iterator[str]:
    """Paths of all files that a .dockerignore admits, relative to `root`, with forward slashes."""
    ignores = _ignores(ignored)
    readmitted = [line[1:].strip().strip("/") for line in ignored.splitlines() if line.startswith("!")]
    for folder, names, entries in os.walk(root):
        inside = "/".join(Path(folder).relative_to(root).parts)
        here = [(name, f"{inside}/{name}" if inside else name) for name in names]
        linked = [name for name, path in here if Path(folder, name).is_symlink()]
        names[:] = [
            name for name, path in here if name not in linked and (not ignores(path) or _may_hold(path, readmitted))
        ]
        for name in sorted([*entries, *linked]):
            path = f"{inside}/{name}" if inside else name
            if not ignores(path):
                yield path


def _may_hold(folder: str, readmitted: Iterable[str]) -> bool:
    """Whether a `!` pattern can name something below an ignored folder."""
    for pattern in readmitted:
        fixed = pattern[: min((pattern.index(sign) for sign in "*?[" if sign in pattern), default=len(pattern))]
        if fixed.startswith(f"{folder}/") or (fixed != pattern and f"{folder}/".startswith(fixed)):
            return True
    return False


class _ignores:  # noqa: N801  used as a function
    """Whether a .dockerignore leaves a path out."""

    def __init__(self, text: str) -> None:
        from pathspec import PathSpec

        lines = []
        for line in text.splitlines():
            pattern = line.strip()
            if not pattern or pattern.startswith("#"):
                continue
            sign, pattern = ("!", pattern[1:].strip()) if pattern.startswith("!") else ("", pattern)
            # Every pattern is relative to the context, also one without a slash.
            lines.append(f"{sign}/{pattern.strip('/').removeprefix('./')}")
        self.spec = PathSpec.from_lines("gitignore", lines)

    def __call__(self, path: str) -> bool:
        return self.spec.match_file(path)


def _hash(path: Path, text: str | None) -> tuple[str, str]:
    """Kind and hash of a file: `link`, or `file` or `program` by its executable bit."""
    if text is not None:
        return "file", hashlib.sha256(text.encode()).hexdigest()
    if path.is_symlink():
        return "link", hashlib.sha256(str(path.readlink()).encode("utf-8", "surrogateescape")).hexdigest()
    hashed = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(2**20):
            hashed.update(block)
    return ("program" if path.stat().st_mode & 0o100 else "file"), hashed.hexdigest()


def _digest(value: Sequence[object]) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()
