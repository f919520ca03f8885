"""The image lock: which image was built from which content. One JSON file, which teams commit or hand on in their CI."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from kedro_k8s_airflow.config.models import DEFAULT_IMAGE
from kedro_k8s_airflow.findings import refuse
from kedro_k8s_airflow.image_reference import check_reference, split_reference
from kedro_k8s_airflow.locations import Location

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from kedro_k8s_airflow.config.models import Settings

LOCK_NAME = "k8s-airflow.lock"
UNBUILT = "unbuilt"
_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedImage:
    """An image that was built.

    Attributes:
        repository: with its registry, without a tag.
        tag: never `latest`.
        digest: `sha256:...`, once it was pushed.
        content: hash of all parts.
        parts: what it was made of, see `content.parts`.
        platform: such as linux/arm64, when one was asked for.
    """

    repository: str
    tag: str
    digest: str | None
    content: str
    parts: Mapping[str, str]
    platform: str | None = None

    @property
    def reference(self) -> str:
        """How a pod names it: by its digest when it was pushed, else by its tag."""
        return f"{self.repository}@{self.digest}" if self.digest else f"{self.repository}:{self.tag}"


def read_lock(path: Path) -> dict[str, LockedImage]:
    """The images of a lock file by name; none when there is no such file.

    Raises:
        Refused: when it cannot be read, or is no image lock.
    """
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        if raw["version"] != _VERSION:
            raise refuse(
                "image-lock",
                Location(file=str(path)),
                f"has version {raw['version']}; this one reads version {_VERSION}.",
                "Delete it and build the image again.",
            )
        return {str(name): _parse_image(entry) for name, entry in raw["images"].items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as exc:
        raise refuse(
            "image-lock",
            Location(file=str(path)),
            f"is no image lock ({type(exc).__name__}: {exc}).",
            "Take it back from version control, or delete it and build the image again.",
        ) from None


def _parse_image(entry: Mapping[str, Any]) -> LockedImage:
    made = LockedImage(**entry)
    for text in (made.content, made.platform or "", *made.parts.values()):
        if not isinstance(text, str):
            raise TypeError("a text is expected")
    if made.digest is not None and not re.fullmatch(r"sha256:[0-9a-f]{64}", made.digest):
        raise ValueError(f"{made.digest!r} is no digest")
    # Says what is wrong with a tag or repository that no image can have.
    check_reference(f"{made.repository}:{made.tag}")
    return made


def write_lock(images: Mapping[str, LockedImage]) -> str:
    """The file: sorted, so that it changes only where an image did."""
    entries = {name: asdict(built) for name, built in images.items()}
    return json.dumps({"version": _VERSION, "images": entries}, indent=2, sort_keys=True) + "\n"


def tag_for(name: str, tag: str) -> str:
    """The tag of an image: those that are not the default one have their name in it."""
    return tag if name == DEFAULT_IMAGE else f"{name}-{tag}"


def is_unbuilt(image: str) -> bool:
    """Whether a reference is the one of an image that nobody has built."""
    _, tag, digest = split_reference(image)
    return digest is None and tag is not None and (tag == UNBUILT or tag.endswith(f"-{UNBUILT}"))


def image_references(settings: Settings, built: Mapping[str, LockedImage]) -> dict[str, str]:
    """How pods name each image of the project: as the lock says, else as the settings do."""
    repository, tag, digest = split_reference(settings.image)
    found = {}
    for name in settings.image_names:
        wanted = tag_for(name, tag or UNBUILT)
        one = built.get(name)
        if name == DEFAULT_IMAGE and digest:
            found[name] = settings.image
        elif one is not None and one.repository == repository and (tag is None or one.tag == wanted):
            found[name] = one.reference
        else:
            found[name] = f"{repository}:{wanted}"
    return found
