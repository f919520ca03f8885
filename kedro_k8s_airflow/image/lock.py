"""The image lock: a JSON file that records which image was built from which content."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from kedro_k8s_airflow.config.models import DEFAULT_IMAGE
from kedro_k8s_airflow.files import read_regular_file
from kedro_k8s_airflow.findings import refuse
from kedro_k8s_airflow.image_reference import check_reference, split_reference
from kedro_k8s_airflow.locations import Location

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from kedro_k8s_airflow.config.models import Settings

LOCK_NAME = "k8s-airflow.lock"
UNBUILT_TAG = "unbuilt"
_LOCK_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedImage:
    """A built image.

    Attributes:
        repository: with its registry, without a tag.
        tag: never `latest`.
        digest: `sha256:...`, once the image is pushed.
        content: hash of all parts.
        parts: hashes of its parts, see `content_hash.hash_parts`.
        platform: such as linux/arm64, if one was requested.
    """

    repository: str
    tag: str
    digest: str | None
    content: str
    parts: Mapping[str, str]
    platform: str | None = None

    @property
    def reference(self) -> str:
        """Return the reference that pods use: with the digest if the image is pushed, otherwise with the tag."""
        return f"{self.repository}@{self.digest}" if self.digest else f"{self.repository}:{self.tag}"


def read_lock(path: Path) -> dict[str, LockedImage]:
    """Return the images of a lock file by name, none if the file does not exist.

    Raises:
        Refused: if it cannot be read, or is not an image lock.
    """
    try:
        raw = json.loads(read_regular_file(path).decode())
        if raw["version"] != _LOCK_VERSION:
            raise refuse(
                "image-lock",
                Location(file=str(path)),
                f"has version {raw['version']}, but this release reads version {_LOCK_VERSION}.",
                "Delete the file and build the image again.",
            )
        return {str(name): _parse_image(entry) for name, entry in raw["images"].items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as exc:
        raise refuse(
            "image-lock",
            Location(file=str(path)),
            f"is not a valid image lock ({type(exc).__name__}: {exc}).",
            "Restore the file from version control, or delete it and build the image again.",
        ) from None


def _parse_image(entry: Mapping[str, Any]) -> LockedImage:
    image = LockedImage(**entry)
    for text in (image.content, image.platform or "", *image.parts.values()):
        if not isinstance(text, str):
            raise TypeError(f"{text!r} is not a string")
    if image.digest is not None and not re.fullmatch(r"sha256:[0-9a-f]{64}", image.digest):
        raise ValueError(f"{image.digest!r} is not a digest")
    check_reference(f"{image.repository}:{image.tag}")
    return image


def format_lock(images: Mapping[str, LockedImage]) -> str:
    """Return the text of a lock file, sorted so that only changed images change it."""
    entries = {name: asdict(image) for name, image in images.items()}
    return json.dumps({"version": _LOCK_VERSION, "images": entries}, indent=2, sort_keys=True) + "\n"


def image_tag(name: str, tag: str) -> str:
    """Return the tag of an image, which begins with its name unless it is the default image."""
    return tag if name == DEFAULT_IMAGE else f"{name}-{tag}"


def is_unbuilt(image: str) -> bool:
    """Return whether a reference is that of an image that is not built yet."""
    _, tag, digest = split_reference(image)
    return digest is None and tag is not None and (tag == UNBUILT_TAG or tag.endswith(f"-{UNBUILT_TAG}"))


def resolve_image_references(settings: Settings, locked_images: Mapping[str, LockedImage]) -> dict[str, str]:
    """Return the reference that pods use for each image: that of the lock, otherwise that of the settings."""
    repository, tag, digest = split_reference(settings.image)
    references = {}
    for name in settings.image_names:
        expected_tag = image_tag(name, tag or UNBUILT_TAG)
        image = locked_images.get(name)
        if name == DEFAULT_IMAGE and digest:
            references[name] = settings.image
        elif image is not None and image.repository == repository and (tag is None or image.tag == expected_tag):
            references[name] = image.reference
        else:
            references[name] = f"{repository}:{expected_tag}"
    return references
