"""Where a user's own Dockerfile copies the project to."""

from __future__ import annotations

import json
import posixpath
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_VARIABLE = re.compile(r"\$(?:\{(\w+)(?::-([^}]*))?\}|(\w+))")


def find_copied_places(text: str, file: str) -> list[str]:
    """Return the paths in the image to which the last stage copies a file of the project; nothing if that is not certain.

    Args:
        text: of the Dockerfile.
        file: path relative to the project.
    """
    places: list[str] = []
    variables: dict[str, str] = {}
    folder: str | None = None
    for name, words in _instructions(text):
        arguments = [_substitute(word, variables) for word in words]
        if name == "FROM":
            places, folder = [], None
        elif name in ("ARG", "ENV"):
            pairs = arguments if name == "ARG" or "=" in arguments[0] else ["=".join((arguments[0], *arguments[1:2]))]
            variables.update(pair.partition("=")[::2] for pair in pairs if "=" in pair)
        elif name == "WORKDIR":
            folder = _join(folder, arguments[0])
        elif name in ("COPY", "ADD"):
            if any(word.startswith("--from") for word in arguments):
                return []  # another stage may have the project, too
            *sources, destination = [word for word in arguments if not word.startswith("--")]
            for source in sources:
                place = _place_of(file, posixpath.normpath(source), destination, is_folder=len(sources) > 1)
                if place is not None:
                    image_path = _join(folder, place)
                    if image_path is None:
                        return []
                    places.append(image_path)
        elif name == "RUN" and re.search(r"(^|[;&|]\s*)(cp|ln|mv|rsync)\s", " ".join(words)):
            return []
    return places


def _instructions(text: str) -> Iterator[tuple[str, list[str]]]:
    """Yield name and words of every instruction."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    for line in re.sub(r"\\[ \t]*\n", " ", "\n".join(lines)).splitlines():
        name, _, rest = line.strip().partition(" ")
        words = rest.split()
        if "[" in rest and name.upper() in ("COPY", "ADD"):
            try:
                flags = [word for word in words if word.startswith("--")]
                words = [*flags, *map(str, json.loads(rest[rest.index("[") :]))]
            except ValueError:
                continue
        if words:
            yield name.upper(), [word.strip("\"'") for word in words]


def _substitute(word: str, variables: Mapping[str, str]) -> str:
    """Replace the variables that the Dockerfile sets; others stay."""
    return _VARIABLE.sub(lambda found: variables.get(found[1] or found[3], found[2] or found[0]), word)


def _join(folder: str | None, path: str) -> str | None:
    """Return an absolute path, or None if it depends on what the Dockerfile does not contain."""
    if "$" in path or (folder is None and not path.startswith("/")):
        return None
    return posixpath.normpath(posixpath.join(folder or "/", path))


def _place_of(file: str, source: str, destination: str, *, is_folder: bool) -> str | None:
    """Return where COPY puts a file, relative to the working directory, or None if the source does not contain it."""
    if source == file:
        return (
            posixpath.join(destination, posixpath.basename(file))
            if is_folder or destination.endswith("/")
            else destination
        )
    if source == ".":
        return posixpath.join(destination, file)
    if file.startswith(f"{source}/"):
        return posixpath.join(destination, file.removeprefix(f"{source}/"))
    return None
