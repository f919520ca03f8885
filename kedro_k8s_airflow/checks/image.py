"""Checks of the image: will it hold what pods need, and is it the one that the project means?"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from kedro_k8s_airflow import files
from kedro_k8s_airflow.checks.registry import rule
from kedro_k8s_airflow.config.models import DEFAULT_IMAGE, DEVELOPMENT_PACKAGES
from kedro_k8s_airflow.dag.pod_arguments import POD_PROGRAM
from kedro_k8s_airflow.findings import Refused
from kedro_k8s_airflow.image import content_hash, dependencies, installed_packages
from kedro_k8s_airflow.image.lock import is_unbuilt
from kedro_k8s_airflow.image.spec import IGNORE_FILE, dockerfile_name, hash_images
from kedro_k8s_airflow.image_reference import split_reference
from kedro_k8s_airflow.locations import Location
from kedro_k8s_airflow.text import quote_names

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    from kedro_k8s_airflow.checks.registry import CheckContext, RuleFinding

_JAVA_PATTERN = re.compile(r"jre|jdk|java|spark", re.IGNORECASE)


@rule(
    "image-unbuilt",
    "info",
    title="An image without tag or digest that was not built yet, so that the DAG names the tag `unbuilt`.",
    source="kedro-airflow-k8s, whose DAGs named `latest`: another image tomorrow.",
)
def find_unbuilt_images(context: CheckContext) -> Iterator[RuleFinding]:
    tasks = [task for plan in context.plans for task in plan.tasks]
    for image in sorted({task.image for task in tasks if task.image_name is not None and is_unbuilt(task.image)}):
        message = (
            f"{context.settings.image} has neither tag nor digest and no image was built yet, so the DAG names {image}."
        )
        yield context.location_of("image"), message, "Build it: kedro k8s-airflow build-image --push."


@rule(
    "image-stale",
    "warning",
    title="An image that was built before what it is made of has changed.",
    source="kedro-plugins#652; copied and rebuilt by hand, the DAG and the image go apart.",
)
def find_stale_images(context: CheckContext) -> Iterator[RuleFinding]:
    if not context.locked_images or not context.image_spec:
        return
    file = files.display_path(context.lock_path, context.project.path)
    help_text = "Build it again: kedro k8s-airflow build-image."
    try:
        current_hashes = hash_images(context.project.path, context.settings, context.image_spec, context.lock_path)
    except OSError as exc:
        yield (
            Location(subject=file),
            f"{exc.filename} cannot be read ({exc.strerror}): the image may be stale.",
            help_text,
        )
        return
    used = {(task.image_name, task.image) for plan in context.plans for task in plan.tasks if task.image_name}
    for name, image in sorted((str(name), image) for name, image in used):
        if name in context.locked_images and name in current_hashes and context.locked_images[name].reference == image:
            locked_image = context.locked_images[name]
            differ = [
                part
                for part in content_hash.changed_parts(locked_image.parts, current_hashes[name])
                if part != content_hash.ARGUMENTS
            ]
            if differ:
                message = f"the image {locked_image.reference} was built before {', '.join(differ)} changed."
                yield Location(file=file, key=("images", name)), message, help_text


@rule(
    "image-own",
    "warning",
    title="A Dockerfile or .dockerignore of the user's own that leaves out the program which pods start.",
    source="the public starter astro-airflow-iris, whose .dockerignore leaves out all but a few folders.",
)
def find_images_without_program(context: CheckContext) -> Iterator[RuleFinding]:
    for name, text in _own_files(context, [IGNORE_FILE, *map(dockerfile_name, context.settings.image_names)]):
        has_program = POD_PROGRAM.split("/")[0] in text or _copies_whole_project(text)
        is_missing = content_hash.is_ignored(text, POD_PROGRAM) if name == IGNORE_FILE else not has_program
        if is_missing:
            message = f"is your own and leaves .k8s-airflow out, so the image may lack the program that pods start ({POD_PROGRAM})."
            help_text = (
                f"Let the image have it under {context.settings.project_path}, as docs/guides/image.md says, or move the file away and "
                "create again."
            )
            yield Location(file=name), message, help_text


def _copies_whole_project(recipe: str) -> bool:
    """Whether a Dockerfile copies the whole project: a COPY or ADD of `.` from the context, in either form."""
    for line in re.findall(r"(?im)^\s*(?:COPY|ADD)\s+(.*)$", recipe):
        words = [word.strip('[]", ') for word in line.split()]
        if "--from" not in line and {"./", ".", "*", "./*"} & set(words[:-1]):
            return True
    return False


@rule(
    "image-context",
    "warning",
    title=("A .dockerignore of the user's own that leaves the project's source or configuration out of the image."),
    source="the public starter astro-airflow-iris, whose .dockerignore leaves out src/.",
)
def find_incomplete_build_contexts(context: CheckContext) -> Iterator[RuleFinding]:
    project = context.project
    for name, text in _own_files(context, [IGNORE_FILE]):
        needed = [folder for folder in (project.code, project.conf_folder) if folder]
        admitted = list(content_hash.admitted_files(project.path, text))
        for folder in needed:
            if not any(path.startswith(f"{folder}/") for path in admitted):
                message = (
                    f"is your own and leaves out {folder}/, so no build can copy it, whatever the Dockerfile says."
                )
                yield Location(file=name), message, "Let it admit that, or move it away and create again."


@rule(
    "image-user",
    "warning",
    title=("A Dockerfile of the user's own without a numeric user, when the pods' settings do not say one either."),
    source=(
        "kedro-docker 0.6.2, whose image has a user by name; the kubelet then answers `image has non-numeric user`."
    ),
)
def find_missing_numeric_users(context: CheckContext) -> Iterator[RuleFinding]:
    contexts = [
        (task.settings.get("podSecurityContext") or {}, task.settings.get("securityContext") or {})
        for plan in context.plans
        for task in plan.tasks
    ]
    pods_without_user = [
        pod
        for pod, container in contexts
        if pod.get("runAsUser") is None and container.get("runAsUser") is None and pod.get("runAsNonRoot")
    ]
    if not pods_without_user:
        return
    for name, text in _own_files(context, map(dockerfile_name, context.settings.image_names)):
        last = re.split(r"(?im)^\s*FROM\s", text)[-1]
        users = re.findall(r"(?im)^\s*USER\s+(\S+)", last)
        if not users or not re.match(r"[1-9][0-9]*(:|$)|\$", users[-1]):
            message = f"{f'says USER {users[-1]}' if users else 'names no user'}, and the pods' settings take runAsUser away: none starts."
            yield (
                Location(subject=name),
                message,
                "End it with a number, such as USER 1000, or leave podSecurityContext.runAsUser as it is.",
            )


@rule(
    "image-java",
    "warning",
    title="Spark datasets in an image without Java.",
    source="jupyter/docker-stacks#1775, `JAVA_HOME is not set`.",
)
def find_missing_java(context: CheckContext) -> Iterator[RuleFinding]:
    spark = {
        name
        for name, entry in context.entries.items()
        if str(entry.get("type", "")).removeprefix("kedro_datasets.").startswith("spark.")
    }
    for plan in context.plans if spark else ():
        nodes = {node.name: node for node in plan.graph.nodes}
        for image in context.settings.image_names:
            users = [
                name
                for task in plan.tasks
                if task.image_name == image and not _uses_remote_spark(task.settings.get("env") or ())
                for name in task.nodes
                if not spark.isdisjoint((*nodes[name].inputs, *nodes[name].outputs))
            ]
            if users and not _has_java(context, image):
                used_datasets = sorted(spark & {*nodes[users[0]].inputs, *nodes[users[0]].outputs})
                message = f"node {users[0]!r} uses it in Spark, and image {image!r} has no Java."
                yield (
                    Location(dataset=used_datasets[0]),
                    message,
                    "Say build.java: true, or take a base image that has it (build.base).",
                )


def _is_built_elsewhere(context: CheckContext, image: str) -> bool:
    """Whether the settings name an image that nobody has built here: what it holds cannot be known."""
    return split_reference(context.settings.image)[1:] != (None, None) and image not in context.locked_images


def _uses_remote_spark(env: Sequence[dict[str, str]]) -> bool:
    """Whether Spark runs elsewhere (Spark Connect), so that the pod needs no Java."""
    return any(variable["name"] == "SPARK_REMOTE" for variable in env)


def _has_java(context: CheckContext, image: str) -> bool:
    build = context.settings.build_of(image)
    if (
        _is_built_elsewhere(context, image)
        or build.java
        or build.base is not None
        or "SPARK_REMOTE" in build.env
        or any(map(_JAVA_PATTERN.search, build.packages))
    ):
        return True
    return any(_JAVA_PATTERN.search(text) for _, text in _own_files(context, [dockerfile_name(image)]))


@rule(
    "image-dataset",
    "warning",
    title="A dataset whose packages the dependencies of the image do not have.",
    source="kedro#3911 and kedro#5331, a starter that lacked what its own catalog needs.",
)
def find_missing_dataset_packages(context: CheckContext) -> Iterator[RuleFinding]:
    path = context.project.path
    try:
        lock, requirements, _ = dependencies.find_lock(path)
    except Refused:
        return  # said by the compiler
    users: dict[tuple[str, ...], list[str]] = {}
    for image in context.settings.image_names:
        if _is_built_elsewhere(context, image) or not files.is_generated(path / dockerfile_name(image)):
            continue
        installed = installed_packages.installed_packages(path, lock, requirements, context.settings.build_of(image))
        if installed is not None:
            for name, missing in installed_packages.missing_packages(_used_entries(context, image), installed):
                users.setdefault(tuple(missing), []).append(name)
    for packages, names in users.items():
        more = f" ({len(names)} datasets need it)" if len(names) > 1 else ""
        message = (
            f"is a {context.entries[names[0]].get('type')}, and {lock} does not bring {' and '.join(packages)}{more}."
        )
        yield Location(dataset=names[0]), message, "Add it to the dependencies."


def _used_entries(context: CheckContext, image: str) -> dict[str, Mapping[str, Any]]:
    """Catalog entries of the datasets that tasks with an image load or save."""
    entries: dict[str, Mapping[str, Any]] = {}
    for plan in context.plans:
        nodes = {node.name: node for node in plan.graph.nodes}
        for task in plan.tasks:
            for node in task.nodes if task.image_name == image else ():
                for name in (*nodes[node].inputs, *nodes[node].outputs):
                    if name in context.entries:
                        entries[name] = context.entries[name]
    return entries


@rule(
    "image-plugins",
    "warning",
    title=("Packages for development in the production image; Kedro loads every plugin at the start of every pod."),
    source="measured, `kedro run` starts up to 2.8 times slower with them (docs/contributing/benchmarks.md); kedro#5207.",
)
def find_development_packages(context: CheckContext) -> Iterator[RuleFinding]:
    path = context.project.path
    try:
        lock, requirements, _ = dependencies.find_lock(path)
    except Refused:
        return
    for image in context.settings.image_names:
        build = context.settings.build_of(image)
        others = tuple(
            name
            for name in DEVELOPMENT_PACKAGES
            if name not in {dependencies.normalize_name(package) for package in build.exclude}
        )
        options = build.model_copy(update={"exclude": others})
        development_packages = dependencies.excluded_names(
            path, "pyproject.toml" if lock == "uv.lock" else lock, requirements, options
        )
        if development_packages:
            location = (
                context.location_of("build", "exclude")
                if image == DEFAULT_IMAGE
                else context.location_of("images", image)
            )
            yield (
                location,
                f"lets {quote_names(development_packages)} into the image, which no pod needs.",
                "Leave build.exclude as it is, or add them to it.",
            )


def _own_files(context: CheckContext, names: Iterator[str] | Sequence[str]) -> Iterator[tuple[str, str]]:
    """Those of some files of the image spec that are the user's own, with their texts."""
    for name in names:
        path = context.project.path / name
        if path.is_file() and not files.is_generated(path):
            yield name, path.read_text(encoding="utf-8", errors="replace")
