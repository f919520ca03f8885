"""Hashes of the content of an image: of the files that its build sees, independent of engine, machine and date."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING

from kedro_k8s_airflow.files import GENERATED_MARKER
from kedro_k8s_airflow.findings import Refused, refuse
from kedro_k8s_airflow.locations import Location
from kedro_k8s_airflow.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

BUILD_ARGUMENTS_PART = "build arguments"
# Used without a .dockerignore: files that are not content, and files that every build changes.
_DEFAULT_PATTERNS = ".git\n.venv\ndags\nDockerfile*\n.dockerignore\n**/__pycache__\n"
# `build-image` writes this file, so it is never part of the content.
_LOCK_NAME = "k8s-airflow.lock"


def hash_context(
    root: Path, ignore_text: str, *, texts: Mapping[Path, str] | None = None, lock_path: Path | None = None
) -> dict[str, str]:
    """Return hashes of the files that the builds of a project see.

    Args:
        root: the project's folder, which is the build context.
        ignore_text: text of the .dockerignore.
        texts: texts of files that are about to be written, by path.
        lock_path: path of the image lock, if it does not have its default name; the lock is not part of the content.

    Returns:
        SHA-256 hashes in hex by the first part of the path, such as `src` or `uv.lock`.
    """
    entries: dict[str, list[tuple[str, str, str]]] = {}
    text_by_path = {
        path.relative_to(root).as_posix(): text for path, text in (texts or {}).items() if path.is_relative_to(root)
    }
    is_left_out = _IgnoreFile(ignore_text)
    admitted = dict.fromkeys(
        [*admitted_files(root, ignore_text), *(path for path in text_by_path if not is_left_out(path))]
    )
    for path in sorted(admitted):
        if root / path == lock_path:
            continue
        entries.setdefault(path.partition("/")[0], []).append((path, *_hash_file(root / path, text_by_path.get(path))))
    return {name: _hash_json(files) for name, files in entries.items()}


def hash_parts(context: Mapping[str, str], dockerfile: str, arguments: Mapping[str, str]) -> dict[str, str]:
    """Return hashes of the parts of one image: of the context, the Dockerfile, and the build arguments if there are any.

    Args:
        context: hashes of the context.
        dockerfile: text of the Dockerfile.
        arguments: build arguments.
    """
    # The first line of a generated Dockerfile has the plugin's version, which does not change the image.
    lines = dockerfile.split("\n")
    parts = {
        **context,
        "Dockerfile": _hash_json(lines[1:] if lines[0].encode().startswith(GENERATED_MARKER) else lines),
    }
    if arguments:
        parts[BUILD_ARGUMENTS_PART] = _hash_json(sorted(arguments.items()))
    return dict(sorted(parts.items()))


def combine_hashes(parts: Mapping[str, str]) -> str:
    """Return one hash of all parts, in hex."""
    return _hash_json(sorted(parts.items()))


def changed_parts(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """Return the names of the parts that differ, sorted."""
    return sorted(name for name in {*before, *after} if before.get(name) != after.get(name))


def admitted_files(root: Path, ignore_text: str) -> Iterator[str]:
    """Yield the paths of all files and links that a .dockerignore does not exclude, relative to `root`, in POSIX form.

    Raises:
        Refused: if a pattern of the .dockerignore is invalid.
    """
    ignore_file = _IgnoreFile(ignore_text)
    for folder, names, entries in os.walk(root):
        inside = "".join(f"{part}/" for part in Path(folder).relative_to(root).parts)
        linked = [name for name in names if Path(folder, name).is_symlink()]
        names[:] = sorted(name for name in names if name not in linked and ignore_file.may_admit_below(inside + name))
        for name in sorted([*entries, *linked]):
            path = Path(folder, name)
            if (path.is_symlink() or path.is_file()) and not ignore_file(inside + name):
                yield inside + name


def find_links(root: Path, parts: Sequence[str]) -> Iterator[tuple[str, str, str | None]]:
    """Yield the links in parts of a project: path, target, and what it leads to inside the project in an image, or None.

    Args:
        root: the project's folder.
        parts: files and folders, relative to it; patterns are ignored.
    """
    for part in dict.fromkeys(parts):
        found = [root / part]
        for folder, names, entries in os.walk(root / part):
            found += [Path(folder, name) for name in (*names, *entries)]
        for path in sorted(path for path in found if path.is_symlink()):
            target = os.readlink(path)  # noqa: PTH115  keeps the target as it is written
            inside = None
            with contextlib.suppress(OSError, RuntimeError, ValueError):  # a circle, or a target outside
                inside = path.resolve(strict=True).relative_to(root.resolve()).as_posix()
            # The project is elsewhere in an image.
            yield path.relative_to(root).as_posix(), target, None if target.startswith("/") else inside


def is_ignored(ignore_text: str, path: str) -> bool:
    """Return whether a .dockerignore excludes a path."""
    return _IgnoreFile(ignore_text)(path)


class _IgnoreFile:
    """The patterns of a .dockerignore; the last one that matches a path or a folder above it decides."""

    def __init__(self, text: str) -> None:
        self._patterns: list[tuple[bool, re.Pattern[str]]] = []
        self._exceptions: list[str] = []
        for line in (text or _DEFAULT_PATTERNS).splitlines():
            pattern = line.strip()
            if not pattern or pattern.startswith("#"):
                continue
            included, pattern = (
                pattern.startswith("!"),
                posixpath.normpath(pattern.removeprefix("!").strip()).lstrip("/"),
            )
            self._patterns.append((included, _compile_pattern(pattern)))
            if included:
                self._exceptions.append(pattern)
        self._patterns.append((False, _compile_pattern(_LOCK_NAME)))

    def __call__(self, path: str) -> bool:
        parts = path.split("/")
        above = ["/".join(parts[:length]) for length in range(1, len(parts) + 1)]
        return next(
            (not included for included, pattern in reversed(self._patterns) if any(map(pattern.fullmatch, above))),
            False,
        )

    def may_admit_below(self, folder: str) -> bool:
        """Return whether a folder may contain files that are not excluded."""
        if not self(folder):
            return True
        for pattern in self._exceptions:
            prefix = re.split(r"[*?[\\]", pattern, maxsplit=1)[0]
            if prefix.startswith(f"{folder}/") or (prefix != pattern and f"{folder}/".startswith(prefix)):
                return True
        return False


def _compile_pattern(text: str) -> re.Pattern[str]:
    """Return a .dockerignore pattern as an expression: that of Go's filepath.Match, with `**` for any number of folders.

    Raises:
        Refused: if it is not a valid pattern.
    """
    parts = []
    # Only up to the last closing bracket is one looked for, else the search would begin anew at each opening one.
    end = text.rfind("]") + 1
    tokens = re.findall(r"\*\*/?|\*|\?|\[\^?[^\]]*\]|\\.|.", text[:end], re.DOTALL)
    for token in [*tokens, *re.findall(r"\*\*/?|\*|\?|\\.|.", text[end:], re.DOTALL)]:
        if token.startswith("**"):
            parts.append("(?:.*/)?" if token.endswith("/") else ".*")
        elif token in ("*", "?"):
            parts.append(f"[^/]{token.removeprefix('?')}")
        elif len(token) > 1 and token.startswith("["):
            parts.append(token)
        elif token in ("[", "\\"):  # an unclosed bracket, or a backslash at the end
            raise _invalid_pattern(text)
        else:
            parts.append(re.escape(token[-1]))
    try:
        return re.compile("".join(parts), re.DOTALL)
    except (re.error, RecursionError, OverflowError):
        raise _invalid_pattern(text) from None


def _invalid_pattern(text: str) -> Refused:
    return refuse(
        "image-ignore",
        Location(file=".dockerignore"),
        f"{printable(text)!r} is not a valid pattern.",
        "Correct the line; engines refuse it as well.",
    )


def _hash_file(path: Path, text: str | None) -> tuple[str, str]:
    """Return the kind and hash of a file: `link`, or `program` if it is executable, otherwise `file`."""
    if text is not None:
        return "file", hashlib.sha256(text.encode()).hexdigest()
    if path.is_symlink():
        return "link", hashlib.sha256(str(path.readlink()).encode("utf-8", "surrogateescape")).hexdigest()
    sha256 = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(2**20):
            sha256.update(block)
    return ("program" if path.stat().st_mode & 0o100 else "file"), sha256.hexdigest()


def _hash_json(value: Sequence[object]) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()
