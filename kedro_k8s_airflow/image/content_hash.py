"""What an image is made of: the files that its build sees, as hashes that no engine, machine or date has a part in."""

from __future__ import annotations

import hashlib
import json
import os
import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING

from kedro_k8s_airflow.files import GENERATED_MARKER
from kedro_k8s_airflow.findings import refuse
from kedro_k8s_airflow.locations import Location

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

ARGUMENTS = "build arguments"
# Where nobody wrote a .dockerignore: what lies about in a project and changes with every build.
_USUAL = ".git\n.venv\ndags\nDockerfile*\n.dockerignore\n**/__pycache__\n"
# What our own command writes is never a part of what it builds.
_LOCK = "k8s-airflow.lock"


def hash_context(
    root: Path, ignored: str, *, texts: Mapping[Path, str] | None = None, lock: Path | None = None
) -> dict[str, str]:
    """Hashes of the files that the builds of a project see.

    Args:
        root: the project's folder, which is the build's context.
        ignored: text of the .dockerignore.
        texts: of files that are about to be written, by path.
        lock: path of the image lock, when it has another name than usual: it is written after the build, and no part of it.

    Returns:
        By the first part of the path, such as `src` or `uv.lock`, a SHA-256 in hex.
    """
    inside: dict[str, list[tuple[str, str, str]]] = {}
    given = (texts or {}).items()
    written = {path.relative_to(root).as_posix(): text for path, text in given if path.is_relative_to(root)}
    ignores = _IgnoreFile(ignored)
    admitted = dict.fromkeys([*admitted_files(root, ignored), *(path for path in written if not ignores(path))])
    for path in sorted(admitted):
        if root / path == lock:
            continue
        inside.setdefault(path.partition("/")[0], []).append((path, *_hash(root / path, written.get(path))))
    return {name: _digest(entries) for name, entries in inside.items()}


def hash_parts(seen: Mapping[str, str], dockerfile: str, arguments: Mapping[str, str]) -> dict[str, str]:
    """Hashes of everything that goes into one image: of the context, its Dockerfile, and build arguments when there are any.

    Args:
        seen: hashes of the context.
        dockerfile: text of the Dockerfile.
        arguments: of the build.
    """
    # Our first line names a version that may make the same image.
    lines = dockerfile.split("\n")
    found = {**seen, "Dockerfile": _digest(lines[1:] if lines[0].encode().startswith(GENERATED_MARKER) else lines)}
    if arguments:
        found[ARGUMENTS] = _digest(sorted(arguments.items()))
    return dict(sorted(found.items()))


def combine_hashes(found: Mapping[str, str]) -> str:
    """One hash of all parts, in hex."""
    return _digest(sorted(found.items()))


def changed_parts(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """The parts that differ, sorted."""
    return sorted(name for name in {*before, *now} if before.get(name) != now.get(name))


def admitted_files(root: Path, ignored: str) -> Iterator[str]:
    """Paths of all files and links that a .dockerignore admits, relative to `root`, with forward slashes.

    Raises:
        Refused: when a pattern of the .dockerignore is none.
    """
    ignores = _IgnoreFile(ignored)
    for folder, names, entries in os.walk(root):
        inside = "".join(f"{part}/" for part in Path(folder).relative_to(root).parts)
        linked = [name for name in names if Path(folder, name).is_symlink()]
        names[:] = sorted(name for name in names if name not in linked and ignores.may_hold(inside + name))
        for name in sorted([*entries, *linked]):
            path = Path(folder, name)
            if (path.is_symlink() or path.is_file()) and not ignores(inside + name):
                yield inside + name


def is_ignored(ignored: str, path: str) -> bool:
    """Whether a .dockerignore leaves a path out."""
    return _IgnoreFile(ignored)(path)


class _IgnoreFile:
    """Whether a .dockerignore leaves a path out: of the patterns that match it or a folder above it, the last one says."""

    def __init__(self, text: str) -> None:
        self.rules: list[tuple[bool, re.Pattern[str]]] = []
        self.readmitted: list[str] = []
        for line in (text or _USUAL).splitlines():
            pattern = line.strip()
            if not pattern or pattern.startswith("#"):
                continue
            admits, pattern = pattern.startswith("!"), posixpath.normpath(pattern.removeprefix("!").strip()).lstrip("/")
            self.rules.append((admits, _pattern(pattern)))
            if admits:
                self.readmitted.append(pattern)
        self.rules.append((False, _pattern(_LOCK)))

    def __call__(self, path: str) -> bool:
        parts = path.split("/")
        above = ["/".join(parts[:length]) for length in range(1, len(parts) + 1)]
        return next(
            (not admits for admits, pattern in reversed(self.rules) if any(map(pattern.fullmatch, above))), False
        )

    def may_hold(self, folder: str) -> bool:
        """Whether something below a folder can be admitted."""
        if not self(folder):
            return True
        for pattern in self.readmitted:
            fixed = re.split(r"[*?[\\]", pattern, maxsplit=1)[0]
            if fixed.startswith(f"{folder}/") or (fixed != pattern and f"{folder}/".startswith(fixed)):
                return True
        return False


def _pattern(text: str) -> re.Pattern[str]:
    """A pattern of a .dockerignore: as of Go's filepath.Match, with `**` for any number of folders.

    Raises:
        Refused: when it is none.
    """
    parts = []
    for sign in re.findall(r"\*\*/?|\*|\?|\[\^?[^\]]*\]|\\.|.", text, re.DOTALL):
        if sign.startswith("**"):
            parts.append("(?:.*/)?" if sign.endswith("/") else ".*")
        elif sign in ("*", "?"):
            parts.append(f"[^/]{sign.removeprefix('?')}")
        elif len(sign) > 1 and sign.startswith("["):
            parts.append(sign)
        else:
            # What is left of a bracket or a backslash that nothing follows is no pattern.
            parts.append("(" if sign in ("[", "\\") else re.escape(sign[-1]))
    try:
        return re.compile("".join(parts), re.DOTALL)
    except re.error:
        raise refuse(
            "image-ignore",
            Location(file=".dockerignore"),
            f"{text!r} is no pattern.",
            "Mend the line; engines refuse it, too.",
        ) from None


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
