"""What the command line of `build-image` asks for, checked before an engine begins."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kedro_k8s_airflow.credential_detection import is_secret_name, is_secret_value
from kedro_k8s_airflow.findings import refuse
from kedro_k8s_airflow.locations import Location

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kedro_k8s_airflow.config.models import Settings


@dataclass(frozen=True, kw_only=True)
class BuildOptions:
    """What the command line asks for.

    Attributes:
        tag: instead of the content's hash.
        push: to the registry.
        platform: such as linux/arm64.
        arguments: of the build.
        secrets: build secrets by their id, as the engine takes them: `id=NAME,src=FILE`.
        verify: start the image once.
        epoch: seconds since 1970 for all times in the image.
    """

    tag: str | None = None
    push: bool = False
    platform: str | None = None
    arguments: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    verify: bool = True
    epoch: int | None = None


def parse_options(
    *,
    tag: str | None,
    push: bool,
    platform: str | None,
    arguments: Mapping[str, str],
    secrets: Sequence[str],
    verify: bool,
) -> BuildOptions:
    """The wish of a command line and of SOURCE_DATE_EPOCH.

    Raises:
        Refused: when one of them cannot be meant.
    """
    if tag is not None and (tag == "latest" or not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}", tag)):
        raise refuse(
            "image-tag",
            Location(subject=f"--tag {tag}"),
            "cannot be the tag of an image that a DAG names.",
            "A tag has letters, digits, '_', '.' and '-', at most 128, and is not 'latest', which names another image tomorrow.",
        )
    if platform is not None and not re.fullmatch(r"[a-z0-9]+/[a-z0-9]+(/[a-z0-9]+)?", platform):
        raise refuse(
            "image-platform",
            Location(subject=f"--platform {platform}"),
            "is not one platform.",
            "Write one such as linux/arm64; images for several are joined with the engine's `manifest` command.",
        )
    by_id = {}
    for secret in secrets:
        keys = dict(part.partition("=")[::2] for part in secret.split(","))
        if not keys.get("id") or not (keys.get("src") or keys.get("source") or keys.get("env")):
            raise refuse(
                "image-secret",
                Location(subject="--secret"),
                "one of them has no id, or says neither file nor variable.",
                "Write id=NAME,src=FILE or id=NAME,env=VARIABLE.",
            )
        by_id[keys["id"]] = secret
    for name, value in arguments.items():
        if is_secret_name(name) or is_secret_value(value):
            raise refuse(
                "secret",
                Location(subject=f"--build-arg {name}"),
                "looks like a credential, and build arguments stay in the history of the image.",
                "Name the variable under build.secrets, and give it by --secret or by the environment.",
            )
    said = os.environ.get("SOURCE_DATE_EPOCH", "")
    if said and not re.fullmatch("[0-9]+", said):
        raise refuse(
            "image-epoch",
            Location(subject=f"SOURCE_DATE_EPOCH={said}"),
            "is not a number of seconds.",
            "Unset it, or give one.",
        )
    return BuildOptions(
        tag=tag,
        push=push,
        platform=platform,
        arguments=arguments,
        secrets=by_id,
        verify=verify,
        epoch=int(said) if said else None,
    )


def select_images(settings: Settings, names: Sequence[str]) -> tuple[str, ...]:
    """The images to build: those of the command line, else all.

    Raises:
        Refused: when the settings have none of that name.
    """
    for name in names:
        if name not in settings.image_names:
            raise refuse(
                "image-unknown",
                Location(subject=f"--image {name}"),
                "the settings have no such image.",
                f"Images of this project are {', '.join(settings.image_names)}.",
            )
    return tuple(dict.fromkeys(names)) or settings.image_names
