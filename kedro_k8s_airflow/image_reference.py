"""References of container images, `[registry/]repository[:tag][@digest]`: checked and taken apart."""

from __future__ import annotations

import re

PATTERN = re.compile(
    r"[a-z0-9]+([._-]+[a-z0-9]+)*(:[0-9]+)?(/[a-z0-9]+([._-]+[a-z0-9]+)*)*"
    r"(:(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?(@(?P<digest>sha256:[0-9a-f]{64}))?\Z"
)
_FORM = "an image is spelled [registry/]repository[:tag][@sha256:digest]"


def check_reference(value: str) -> str:
    """Return the reference of an image that pods may run.

    Raises:
        ValueError: when it is malformed, or names the moving tag `latest` without a digest.
    """
    match = PATTERN.match(value)
    if match is None:
        raise ValueError(_FORM)
    if match["tag"] == "latest" and not match["digest"]:
        raise ValueError("'latest' can be another image tomorrow; give a tag that never moves, or a digest")
    return value


def check_base_image(value: str) -> str:
    """Return the reference of an image that builds start from.

    Raises:
        ValueError: when it is malformed, or has neither a digest nor a tag other than `latest`.
    """
    match = PATTERN.match(value)
    if match is None:
        raise ValueError(_FORM)
    if not match["digest"] and match["tag"] in (None, "latest"):
        raise ValueError("two builds could start from different images; give a tag other than 'latest', or a digest")
    return value


def split_reference(image: str) -> tuple[str, str | None, str | None]:
    """Return repository, tag and digest of a reference."""
    name, _, digest = image.partition("@")
    last = name.rsplit("/", 1)[-1]
    if ":" in last:
        return name[: name.rindex(":")], last.partition(":")[2], digest or None
    return name, None, digest or None
