"""`build-image`, without the printing: build an image, let it prove the contract, push it, and write the image lock."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from fnmatch import fnmatch
from typing import TYPE_CHECKING, Any

from kedro_k8s_airflow import files
from kedro_k8s_airflow.config.models import DEFAULT_IMAGE
from kedro_k8s_airflow.findings import refuse
from kedro_k8s_airflow.image import content_hash, engines, lock, verification
from kedro_k8s_airflow.image.engines import Failed
from kedro_k8s_airflow.image.spec import IGNORE, dockerfile, text
from kedro_k8s_airflow.image_reference import split_reference

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator, Mapping, Sequence
    from pathlib import Path

    from kedro_k8s_airflow.commands.create import Image
    from kedro_k8s_airflow.config.models import Build
    from kedro_k8s_airflow.image.build_options import Wish
    from kedro_k8s_airflow.image.engines import Engine
    from kedro_k8s_airflow.image.lock import Built


@dataclass(frozen=True, kw_only=True)
class Report:
    """An image that was built: its lock entry, and what there is to tell.

    Attributes:
        name: in the settings.
        built: for the lock.
        engine: that built it.
        seconds: that took.
        size: in bytes, where the engine tells.
        proof: what the started image answered, or None when it was not asked.
        proven_by: the engine that started it.
    """

    name: str
    built: Built
    engine: str
    seconds: float
    size: int | None
    proof: Mapping[str, Any] | None
    proven_by: Engine | None


def build(made: Image, name: str, engine: Engine, wish: Wish, report: Callable[[str], None]) -> Report:
    """Build, prove and push one image, and write it into the image lock.

    Args:
        made: the project with its image spec written.
        name: of the image.
        engine: that builds.
        wish: what the command line asks for.
        report: gets every line of the engine.

    Raises:
        Refused: when the engine fails, or the image does not keep the contract.
    """
    root, settings = made.root, made.settings
    repository, said, digest = split_reference(settings.image)
    if digest and name == DEFAULT_IMAGE:
        raise refuse(
            "image-digest",
            "image",
            f"{settings.image} names one image by its digest; there is nothing to build.",
            "Leave the digest away; the image lock will hold the new one.",
        )
    if said and wish.tag and wish.tag != said:
        raise refuse(
            "image-tag",
            f"--tag {wish.tag}",
            f"is not the tag that `image` names, {said}: the DAG would go on naming that one.",
            "Leave the tag away in the settings; the image lock then says which.",
        )
    file = dockerfile(name)
    recipe = text(root / file)
    if files.is_ours(root / file):
        _checked(root, made.conf, recipe, settings.build_of(name), wish)
    # Images of several platforms are several images.
    arguments = {**wish.arguments, **({"platform": wish.platform} if wish.platform else {})}

    def now() -> dict[str, str]:
        return content_hash.parts(
            content_hash.context(root, text(root / IGNORE), lock=made.lock), text(root / file), arguments
        )

    found = now()
    whole = content_hash.content(found)
    tag = lock.tag_of(name, wish.tag or said or whole[:12])
    reference = f"{repository}:{tag}"
    started = time.monotonic()
    command = engine.build(
        root,
        file,
        reference,
        platform=wish.platform,
        arguments=wish.arguments,
        secrets=[*wish.secrets.values(), *_given(settings.build_of(name).secrets, wish.secrets, engine)],
        labels={"kedro-k8s-airflow.content": whole},
        epoch=wish.epoch,
    )
    try:
        engine.call(command, report)
        meanwhile = content_hash.changed(found, now())
        if meanwhile:
            raise refuse(
                "image-changed",
                ", ".join(meanwhile),
                "changed while the image was built, so nobody knows which of them it holds.",
                "Build it again.",
            )
        seconds = time.monotonic() - started
        runner = engines.runner(engine, reference)
        size = runner.size(reference)
        prover = runner if wish.verify else None
        proven = verification.prove(reference, made, name, prover, engine, report) if prover else None
        pushed = engine.push(reference, report) if wish.push else None
    except Failed as failed:
        raise refuse("image-build", file, f"{failed}.", failed.hint, failed.lines) from None
    built = lock.Built(
        repository=repository, tag=tag, digest=pushed, content=f"sha256:{whole}", parts=found, platform=wish.platform
    )
    # Others of this project may have been built meanwhile.
    entries = lock.text({**lock.read(made.lock), name: built})
    files.write(files.compare([files.Output(made.lock, entries)], force=True)[0])
    return Report(
        name=name, built=built, engine=engine.name, seconds=seconds, size=size, proof=proven, proven_by=prover
    )


def _checked(root: Path, conf: str, recipe: str, build: Build, wish: Wish) -> None:
    """Nothing, when our Dockerfile finds what it copies, copies no secret, and mounts all that it is given.

    Raises:
        Refused: naming what is in the way; a .dockerignore of the user's own may admit anything.
    """
    below = f"{conf}/" if conf else "\0"
    admitted = list(content_hash.files(root, text(root / IGNORE)))
    for needed in () if files.is_ours(root / IGNORE) else _copied(recipe):
        if not any(path == needed or path.startswith(f"{needed}/") or fnmatch(path, needed) for path in admitted):
            raise refuse(
                "image-ignore",
                IGNORE,
                f"is your own and leaves out {needed}, which the image needs.",
                "Let it admit that, or move it away and create again.",
            )
    for path in admitted:
        if path.endswith("/.gitkeep"):
            continue
        parts = path.removeprefix(below).split("/")
        in_conf = path.startswith(below)
        if (in_conf and (parts[0] == "local" or any(part.startswith("credentials") for part in parts))) or any(
            part in (".env", ".git") or part.startswith(".env.") for part in path.split("/")
        ):
            raise refuse(
                "image-ignore",
                IGNORE,
                f"is your own and admits {path}, which the image would hold.",
                f"Let it leave out {conf or 'conf'}/local, credentials and .env files, or move it away and create again.",
            )
    for name in wish.secrets:
        if name not in build.secrets:
            raise refuse(
                "image-secret",
                f"--secret id={name}",
                "is mounted nowhere.",
                f"Name it under build.secrets; there is {', '.join(sorted(build.secrets)) or 'none'}.",
            )


def _copied(recipe: str) -> Iterator[str]:
    """What our Dockerfile copies from the project."""
    for line in recipe.splitlines():
        words = line.split()
        if words[:1] == ["COPY"] and not words[1].startswith("--"):
            yield from (word.rstrip("/") for word in words[1:-1])


def _given(names: Sequence[str], told: Container[str], engine: Engine) -> list[str]:
    """Build secrets whose variables are set here and that the command line does not give another way."""
    return [engine.secret(name) for name in names if name not in told and name in os.environ]
