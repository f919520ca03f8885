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
from kedro_k8s_airflow.image.engines import EngineError
from kedro_k8s_airflow.image.spec import IGNORE_FILE, dockerfile_name, read_text
from kedro_k8s_airflow.image_reference import split_reference
from kedro_k8s_airflow.locations import Location

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator, Mapping, Sequence
    from pathlib import Path

    from kedro_k8s_airflow.config.models import BuildSettings
    from kedro_k8s_airflow.image.build_options import BuildOptions
    from kedro_k8s_airflow.image.engines import Engine
    from kedro_k8s_airflow.image.image_project import ImageProject
    from kedro_k8s_airflow.image.lock import LockedImage


@dataclass(frozen=True, kw_only=True)
class BuildResult:
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
    built: LockedImage
    engine: str
    seconds: float
    size: int | None
    proof: Mapping[str, Any] | None
    proven_by: Engine | None


def build_image(
    made: ImageProject, name: str, engine: Engine, options: BuildOptions, report: Callable[[str], None]
) -> BuildResult:
    """Build, prove and push one image, and write it into the image lock.

    Args:
        made: the project with its image spec written.
        name: of the image.
        engine: that builds.
        options: what the command line asks for.
        report: gets every line of the engine.

    Raises:
        Refused: when the engine fails, or the image does not keep the contract.
    """
    root, settings = made.root, made.settings
    repository, said, digest = split_reference(settings.image)
    if digest and name == DEFAULT_IMAGE:
        raise refuse(
            "image-digest",
            Location(subject="image"),
            f"{settings.image} names one image by its digest; there is nothing to build.",
            "Leave the digest away; the image lock will hold the new one.",
        )
    if said and options.tag and options.tag != said:
        raise refuse(
            "image-tag",
            Location(subject=f"--tag {options.tag}"),
            f"is not the tag that `image` names, {said}: the DAG would go on naming that one.",
            "Leave the tag away in the settings; the image lock then says which.",
        )
    file = dockerfile_name(name)
    recipe = read_text(root / file)
    if files.is_generated(root / file):
        _check_context(root, made.conf_folder, recipe, settings.build_of(name), options)
    # Images of several platforms are several images.
    arguments = {**options.arguments, **({"platform": options.platform} if options.platform else {})}

    def now() -> dict[str, str]:
        return content_hash.hash_parts(
            content_hash.hash_context(root, read_text(root / IGNORE_FILE), lock=made.lock_path),
            read_text(root / file),
            arguments,
        )

    found = now()
    whole = content_hash.combine_hashes(found)
    tag = lock.tag_for(name, options.tag or said or whole[:12])
    reference = f"{repository}:{tag}"
    started = time.monotonic()
    command = engine.build_command(
        root,
        file,
        reference,
        platform=options.platform,
        arguments=options.arguments,
        secrets=[
            *options.secrets.values(),
            *_secrets_from_environment(settings.build_of(name).secrets, options.secrets, engine),
        ],
        labels={"kedro-k8s-airflow.content": whole},
        epoch=options.epoch,
    )
    try:
        engine.call(command, report)
        meanwhile = content_hash.changed_parts(found, now())
        if meanwhile:
            raise refuse(
                "image-changed",
                Location(subject=", ".join(meanwhile)),
                "changed while the image was built, so nobody knows which of them it holds.",
                "Build it again.",
            )
        seconds = time.monotonic() - started
        runner = engines.find_runner(engine, reference)
        size = runner.size_of(reference)
        prover = runner if options.verify else None
        proven = verification.verify_image(reference, made, name, prover, engine, report) if prover else None
        pushed = engine.push(reference, report) if options.push else None
    except EngineError as failed:
        raise refuse("image-build", Location(file=file), f"{failed}.", failed.hint, failed.lines) from None
    built = lock.LockedImage(
        repository=repository, tag=tag, digest=pushed, content=f"sha256:{whole}", parts=found, platform=options.platform
    )
    # Others of this project may have been built meanwhile.
    entries = lock.write_lock({**lock.read_lock(made.lock_path), name: built})
    files.write_files(files.compare_files([files.OutputFile(made.lock_path, entries)], force=True)[0])
    return BuildResult(
        name=name, built=built, engine=engine.name, seconds=seconds, size=size, proof=proven, proven_by=prover
    )


def _check_context(root: Path, conf: str, recipe: str, build: BuildSettings, options: BuildOptions) -> None:
    """Nothing, when our Dockerfile finds what it copies, copies no secret, and mounts all that it is given.

    Raises:
        Refused: naming what is in the way; a .dockerignore of the user's own may admit anything.
    """
    below = f"{conf}/" if conf else "\0"
    admitted = list(content_hash.admitted_files(root, read_text(root / IGNORE_FILE)))
    for needed in () if files.is_generated(root / IGNORE_FILE) else _copied_paths(recipe):
        if not any(path == needed or path.startswith(f"{needed}/") or fnmatch(path, needed) for path in admitted):
            raise refuse(
                "image-ignore",
                Location(file=IGNORE_FILE),
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
                Location(file=IGNORE_FILE),
                f"is your own and admits {path}, which the image would hold.",
                f"Let it leave out {conf or 'conf'}/local, credentials and .env files, or move it away and create again.",
            )
    for name in options.secrets:
        if name not in build.secrets:
            raise refuse(
                "image-secret",
                Location(subject=f"--secret id={name}"),
                "is mounted nowhere.",
                f"Name it under build.secrets; there is {', '.join(sorted(build.secrets)) or 'none'}.",
            )


def _copied_paths(recipe: str) -> Iterator[str]:
    """What our Dockerfile copies from the project."""
    for line in recipe.splitlines():
        words = line.split()
        if words[:1] == ["COPY"] and not words[1].startswith("--"):
            yield from (word.rstrip("/") for word in words[1:-1])


def _secrets_from_environment(names: Sequence[str], told: Container[str], engine: Engine) -> list[str]:
    """Build secrets whose variables are set here and that the command line does not give another way."""
    return [engine.secret_option(name) for name in names if name not in told and name in os.environ]
