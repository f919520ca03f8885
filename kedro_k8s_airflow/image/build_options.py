"""The options of `build-image`, checked before an engine starts."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from kedro_k8s_airflow.credential_detection import has_registry_user, has_url_credential, is_secret_name
from kedro_k8s_airflow.findings import refuse
from kedro_k8s_airflow.locations import Location

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kedro_k8s_airflow.config.models import Settings


@dataclass(frozen=True, kw_only=True)
class BuildOptions:
    """Options of the command line and the environment.

    Attributes:
        tag: used instead of the hash of the content.
        push: whether to push to the registry.
        platform: such as linux/arm64.
        arguments: build arguments.
        secrets: build secrets by ID, in the engine's notation: `id=NAME,src=FILE`.
        verify: whether to start the image once.
        epoch: seconds since 1970 for all times in the image.
    """

    tag: str | None = None
    push: bool = False
    platform: str | None = None
    arguments: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    verify: bool = True
    epoch: int | None = None


def parse_build_options(
    *,
    tag: str | None,
    push: bool,
    platform: str | None,
    arguments: Mapping[str, str],
    secrets: Sequence[str],
    verify: bool,
) -> BuildOptions:
    """Check the options of the command line and SOURCE_DATE_EPOCH, and return them.

    Raises:
        Refused: if one of them is invalid.
    """
    if tag is not None and (tag == "latest" or not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}", tag)):
        raise refuse(
            "image-tag",
            Location(subject=f"--tag {tag}"),
            "is not a valid tag for an image in a DAG.",
            "Use at most 128 letters, digits, '_', '.' and '-'. 'latest' is refused because it can point to another image later.",
        )
    if platform is not None and not re.fullmatch(r"[a-z0-9]+/[a-z0-9]+(/[a-z0-9]+)?", platform):
        raise refuse(
            "image-platform",
            Location(subject=f"--platform {platform}"),
            "is not a single platform.",
            "Give one platform, such as linux/arm64. To combine images of several, use the engine's `manifest` command.",
        )
    by_id = {}
    for secret in secrets:
        keys = dict(part.partition("=")[::2] for part in secret.split(","))
        if not keys.get("id") or not (keys.get("src") or keys.get("source") or keys.get("env")):
            raise refuse(
                "image-secret",
                Location(subject="--secret"),
                "needs an ID, and a file or a variable.",
                "Write id=NAME,src=FILE or id=NAME,env=VARIABLE.",
            )
        source = keys.get("src") or keys.get("source")
        if source and Path(source).exists() and not Path(source).is_file():  # an engine would wait for a pipe
            raise refuse(
                "image-secret",
                Location(subject=f"--secret id={keys['id']}"),
                f"{source} is not a regular file.",
                "Write the secret to a file, or pass a variable with id=NAME,env=VARIABLE.",
            )
        by_id[keys["id"]] = secret
    for name, value in arguments.items():
        if is_secret_name(name) or has_url_credential(value) or has_registry_user(value):
            raise refuse(
                "secret",
                Location(subject=f"--build-arg {name}"),
                "looks like a credential, and build arguments stay in the image's history.",
                "List the variable under build.secrets, and pass it with --secret or through the environment.",
            )
    epoch = os.environ.get("SOURCE_DATE_EPOCH", "")
    if epoch and not re.fullmatch("[0-9]+", epoch):
        raise refuse(
            "image-epoch",
            Location(subject=f"SOURCE_DATE_EPOCH={epoch}"),
            "is not a number of seconds.",
            "Set it to the seconds since 1970, or unset it.",
        )
    return BuildOptions(
        tag=tag,
        push=push,
        platform=platform,
        arguments=arguments,
        secrets=by_id,
        verify=verify,
        epoch=int(epoch) if epoch else None,
    )


def select_images(settings: Settings, names: Sequence[str]) -> tuple[str, ...]:
    """Return the images to build: those named on the command line, or all.

    Raises:
        Refused: if the settings do not define one of them.
    """
    for name in names:
        if name not in settings.image_names:
            raise refuse(
                "image-unknown",
                Location(subject=f"--image {name}"),
                "is not defined in the settings.",
                f"Images of this project: {', '.join(settings.image_names)}.",
            )
    return tuple(dict.fromkeys(names)) or settings.image_names
