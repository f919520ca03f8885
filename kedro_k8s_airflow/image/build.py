"""Builds of images, without output: build, verify and push an image, and write the image lock."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from fnmatch import fnmatch
from typing import TYPE_CHECKING, Any

from kedro_k8s_airflow import files
from kedro_k8s_airflow.config.models import DEFAULT_IMAGE
from kedro_k8s_airflow.findings import Refused, refuse
from kedro_k8s_airflow.image import content_hash, engines, lock, verification
from kedro_k8s_airflow.image.engines import EngineError
from kedro_k8s_airflow.image.spec import DOCKERIGNORE, dockerfile_name, read_text_if_present
from kedro_k8s_airflow.image_reference import split_reference
from kedro_k8s_airflow.locations import Location
from kedro_k8s_airflow.project import credentials_files

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
    """A built image: its lock entry, and facts to print.

    Attributes:
        name: name in the settings.
        image: the lock entry.
        engine: the engine that built it.
        seconds: duration of the build.
        size: in bytes, if the engine reports it.
        probe_report: the report of the started image, or None if it was not verified.
        verified_by: the engine that started it.
    """

    name: str
    image: LockedImage
    engine: str
    seconds: float
    size: int | None
    probe_report: Mapping[str, Any] | None
    verified_by: Engine | None


def build_image(
    project: ImageProject, name: str, engine: Engine, options: BuildOptions, report: Callable[[str], None]
) -> BuildResult:
    """Build, verify and push one image, and write it into the image lock.

    Args:
        project: the project, with its image spec written.
        name: name of the image.
        engine: the engine that builds it.
        options: options of the command line.
        report: receives every line of the engine's output.

    Raises:
        Refused: if the engine fails, or the image does not meet the contract.
    """
    root, settings = project.root, project.settings
    repository, fixed_tag, digest = split_reference(settings.image)
    if digest and name == DEFAULT_IMAGE:
        raise refuse(
            "image-digest",
            project.image_location,
            f"{settings.image} refers to an existing image by its digest, so there is nothing to build.",
            "Remove the digest from the settings; the image lock will hold the new one.",
        )
    if fixed_tag and options.tag and options.tag != fixed_tag:
        raise refuse(
            "image-tag",
            Location(subject=f"--tag {options.tag}"),
            f"differs from the tag in the setting `image`, {fixed_tag}, which the DAG would still use.",
            "Remove the tag from the settings, so that the DAG uses the tag in the image lock.",
        )
    file = dockerfile_name(name)
    dockerfile = read_text_if_present(root / file)
    if files.is_generated(root / file):
        _check_context(root, project.conf_folder, dockerfile, settings.build_of(name), options)
    # Each platform has an image of its own.
    arguments = {**options.arguments, **({"platform": options.platform} if options.platform else {})}

    def hash_content() -> dict[str, str]:
        return content_hash.hash_parts(
            content_hash.hash_context(root, read_text_if_present(root / DOCKERIGNORE), lock_path=project.lock_path),
            read_text_if_present(root / file),
            arguments,
        )

    parts = hash_content()
    content = content_hash.combine_hashes(parts)
    tag = lock.image_tag(name, options.tag or fixed_tag or content[:12])
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
        labels={"kedro-k8s-airflow.content": content},
        epoch=options.epoch,
    )
    try:
        engine.call(command, report)
        changed = content_hash.changed_parts(parts, hash_content())
        if changed:
            raise refuse(
                "image-changed",
                Location(subject=", ".join(changed)),
                "changed during the build, so the content of the image is unknown.",
                "Build the image again.",
            )
        seconds = time.monotonic() - started
        runner = engines.find_runner(engine, reference)
        size = runner.size_of(reference)
        verifier = runner if options.verify else None
        probe_report = (
            verification.verify_image(reference, project, name, verifier, engine, report) if verifier else None
        )
        pushed_digest = engine.push(reference, report) if options.push else None
    except EngineError as exc:
        is_own = not files.is_generated(root / file)
        own_hint = (
            f"{file} is your own file. To use the generated one, move it away and run `create`." if is_own else ""
        )
        help_text = " ".join(filter(None, [exc.hint, own_hint]))
        raise refuse("image-build", Location(file=file), f"{exc}.", help_text, exc.lines) from None
    image = lock.LockedImage(
        repository=repository,
        tag=tag,
        digest=pushed_digest,
        content=f"sha256:{content}",
        parts=parts,
        platform=options.platform,
    )
    # Another build may have added other images of this project in the meantime.
    entries = lock.format_lock({**lock.read_lock(project.lock_path), name: image})
    lock_changes, errors = files.compare_files([files.OutputFile(project.lock_path, entries)], force=True)
    if errors:
        raise Refused(errors)
    files.write_files(lock_changes)
    return BuildResult(
        name=name,
        image=image,
        engine=engine.name,
        seconds=seconds,
        size=size,
        probe_report=probe_report,
        verified_by=verifier,
    )


def _check_context(root: Path, conf: str, dockerfile: str, build: BuildSettings, options: BuildOptions) -> None:
    """Check a generated Dockerfile: its files are in the context, secrets are not, and each build secret is mounted.

    Raises:
        Refused: otherwise; a user's own .dockerignore may include or exclude anything.
    """
    conf_prefix = f"{conf}/" if conf else "\0"
    admitted = list(content_hash.admitted_files(root, read_text_if_present(root / DOCKERIGNORE)))
    for needed in () if files.is_generated(root / DOCKERIGNORE) else _copied_paths(dockerfile):
        if not any(path == needed or path.startswith(f"{needed}/") or fnmatch(path, needed) for path in admitted):
            raise refuse(
                "image-ignore",
                Location(file=DOCKERIGNORE),
                f"is your own file and excludes {needed}, which the image needs.",
                "Include it, or delete the file and run `create` again.",
            )
    references = credentials_files.find_reference_files(root, conf)
    for path in admitted:
        if path.endswith("/.gitkeep") or path in references:
            continue
        parts = path.removeprefix(conf_prefix).split("/")
        in_conf = path.startswith(conf_prefix)
        if (in_conf and (parts[0] == "local" or any(part.startswith("credentials") for part in parts))) or any(
            part in (".env", ".git") or part.startswith(".env.") for part in path.split("/")
        ):
            raise refuse(
                "image-ignore",
                Location(file=DOCKERIGNORE),
                f"is your own file and does not exclude {path}, which would end up in the image.",
                f"Exclude {conf or 'conf'}/local, credentials and .env files, or delete the file and run `create` again.",
            )
    for name in options.secrets:
        if name not in build.secrets:
            raise refuse(
                "image-secret",
                Location(subject=f"--secret id={name}"),
                "is not used by the Dockerfile.",
                f"Add it to build.secrets, which has {', '.join(sorted(build.secrets)) or 'no names'}.",
            )


def _copied_paths(dockerfile: str) -> Iterator[str]:
    """Yield the paths that a generated Dockerfile copies from the project."""
    for line in dockerfile.splitlines():
        words = line.split()
        if words[:1] == ["COPY"] and not words[1].startswith("--"):
            yield from (word.rstrip("/") for word in words[1:-1])


def _secrets_from_environment(names: Sequence[str], given: Container[str], engine: Engine) -> list[str]:
    """Return options for build secrets that are set as variables here and not given on the command line."""
    return [engine.secret_option(name) for name in names if name not in given and name in os.environ]
