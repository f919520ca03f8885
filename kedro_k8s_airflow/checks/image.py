"""Checks of the image: whether it has what pods need, and whether it is up to date."""

from __future__ import annotations

import posixpath
import re
from importlib.metadata import version
from typing import TYPE_CHECKING

from kedro_k8s_airflow.checks.registry import rule
from kedro_k8s_airflow.config.models import DEFAULT_IMAGE, DEVELOPMENT_PACKAGES
from kedro_k8s_airflow.dag.pod_arguments import POD_PROGRAM
from kedro_k8s_airflow.files import display_path, is_generated
from kedro_k8s_airflow.image.content_hash import (
    BUILD_ARGUMENTS_PART,
    admitted_files,
    changed_parts,
    find_links,
    is_ignored,
)
from kedro_k8s_airflow.image.dependencies import (
    find_excluded_packages,
    find_git_dependency,
    find_unsupported_kedro,
    normalize_package_name,
    supported_kedro,
)
from kedro_k8s_airflow.image.dockerfile import find_copied_places
from kedro_k8s_airflow.image.imported_packages import find_imported_packages, find_missing_imports, without_imported
from kedro_k8s_airflow.image.installed_packages import find_installed_packages, find_missing_packages
from kedro_k8s_airflow.image.lock import is_unbuilt
from kedro_k8s_airflow.image.spec import DOCKERIGNORE, dockerfile_name, hash_images, read_text_if_present
from kedro_k8s_airflow.image_reference import split_reference
from kedro_k8s_airflow.locations import Location
from kedro_k8s_airflow.text import count_of, quote_names

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    from kedro_k8s_airflow.checks.registry import CheckContext, RuleFinding
    from kedro_k8s_airflow.config.models import BuildSettings

_JAVA_PATTERN = re.compile(r"jre|jdk|java|spark", re.IGNORECASE)


@rule(
    "image-unbuilt",
    "info",
    title="An image without tag or digest that is not built yet, so the DAG uses the tag `unbuilt`.",
    source="kedro-airflow-k8s, whose DAGs used `latest`, which may be a different image tomorrow.",
)
def find_unbuilt_images(context: CheckContext) -> Iterator[RuleFinding]:
    tasks = [task for plan in context.plans for task in plan.tasks]
    for image in sorted({task.image for task in tasks if task.image_name is not None and is_unbuilt(task.image)}):
        message = (
            f"is {context.settings.image}, without tag or digest, and it is not built yet, so the DAG uses {image}."
        )
        yield context.location_of("image"), message, "Run: kedro k8s-airflow build-image --push."


@rule(
    "image-stale",
    "warning",
    title="An image that was built before its content changed.",
    source="kedro-plugins#652. When both are updated by hand, the DAG and the image diverge.",
)
def find_stale_images(context: CheckContext) -> Iterator[RuleFinding]:
    if not context.locked_images or not context.image_spec:
        return
    file = display_path(context.lock_path, context.project.path)
    help_text = "Build the image again: kedro k8s-airflow build-image."
    try:
        current_hashes = hash_images(context.project.path, context.settings, context.image_spec, context.lock_path)
    except OSError as exc:
        message = f"cannot be compared, because {exc.filename} cannot be read ({exc.strerror}). The image may be stale."
        yield Location(file=file), message, help_text
        return
    used = {(task.image_name, task.image) for plan in context.plans for task in plan.tasks if task.image_name}
    for name, image in sorted((str(name), image) for name, image in used):
        if name in context.locked_images and name in current_hashes and context.locked_images[name].reference == image:
            locked_image = context.locked_images[name]
            differ = [
                part for part in changed_parts(locked_image.parts, current_hashes[name]) if part != BUILD_ARGUMENTS_PART
            ]
            if differ:
                message = f"is {locked_image.reference}, which was built before {', '.join(differ)} changed."
                yield Location(file=file, key=("images", name)), message, help_text


@rule(
    "image-own",
    "warning",
    title="A custom Dockerfile or .dockerignore that leaves out the program that pods start, or copies it elsewhere.",
    source="The public starter astro-airflow-iris, whose .dockerignore excludes all but a few folders; kedro-docker, whose "
    "images have the project in /home/kedro_docker.",
)
def find_images_without_program(context: CheckContext) -> Iterator[RuleFinding]:
    for name, text in _own_files(context, [DOCKERIGNORE, *map(dockerfile_name, context.settings.image_names)]):
        has_program = POD_PROGRAM.split("/")[0] in text or _copies_whole_project(text)
        is_missing = is_ignored(text, POD_PROGRAM) if name == DOCKERIGNORE else not has_program
        if is_missing:
            message = f"is not generated and leaves out .k8s-airflow, so the image may lack the program that pods start ({POD_PROGRAM})."
            help_text = (
                f"Add the program to the image under {context.settings.project_path} (see docs/guides/image.md), or move the file away and run "
                "`create` again."
            )
            yield Location(file=name), message, help_text
        elif name != DOCKERIGNORE:
            expected = f"{context.settings.project_path}/{POD_PROGRAM}"
            places = find_copied_places(text, POD_PROGRAM)
            if places and expected not in places:
                place = places[0].removesuffix(f"/{POD_PROGRAM}") or "/"
                message = f"copies the project to {place}, but pods expect it in {context.settings.project_path} (project_path)."
                yield (
                    Location(file=name),
                    message,
                    f"Set `project_path: {place}`, or copy it to {context.settings.project_path}.",
                )


def _copies_whole_project(recipe: str) -> bool:
    """Return whether a Dockerfile has a COPY or ADD of `.` from the build context, in either form."""
    for line in re.findall(r"(?im)^[^\S\n]*(?:COPY|ADD)\s+(.*)$", recipe):
        words = [word.strip('[]", ') for word in line.split()]
        if "--from" not in line and {"./", ".", "*", "./*"} & set(words[:-1]):
            return True
    return False


@rule(
    "image-context",
    "warning",
    title="A custom .dockerignore that excludes the project's source or configuration from the image.",
    source="The public starter astro-airflow-iris, whose .dockerignore excludes src/.",
)
def find_incomplete_build_contexts(context: CheckContext) -> Iterator[RuleFinding]:
    project = context.project
    for name, text in _own_files(context, [DOCKERIGNORE]):
        folders = [folder for folder in (project.code_folder, project.conf_folder) if folder]
        admitted = list(admitted_files(project.path, text))
        for folder in folders:
            if not any(path.startswith(f"{folder}/") for path in admitted):
                message = f"is not generated and excludes {folder}/, so the Dockerfile cannot copy it."
                yield Location(file=name), message, "Include that folder, or move the file away and run `create` again."


@rule(
    "image-link",
    "warning",
    title="A link in the source or configuration to something that the image does not contain.",
    source="A project whose source had a link to code beside the project: `ModuleNotFoundError` in every pod.",
)
def find_links_that_leave_the_image(context: CheckContext) -> Iterator[RuleFinding]:
    project = context.project
    if not any(is_generated(project.path / dockerfile_name(name)) for name in context.settings.image_names):
        return
    texts = {output.path: output.text for output in context.image_spec}
    ignore_file = project.path / DOCKERIGNORE
    text = read_text_if_present(ignore_file, texts if is_generated(ignore_file) else None)
    copied = [project.code_folder, project.conf_folder, *map(posixpath.normpath, context.settings.data.in_image)]
    files = ["pyproject.toml", "requirements.txt", "uv.lock"]
    parts = [part for part in (*copied, *files) if part and part != "."]
    for link, target, resolved in find_links(project.path, parts):
        if is_ignored(text, link):
            continue
        if resolved is None:
            problem = "which is outside the project or does not exist there"
        elif any(resolved == part or resolved.startswith(f"{part}/") for part in parts) and not is_ignored(
            text, resolved
        ):
            continue
        else:
            problem = "which is not part of the image"
        message = f"is a link to {target}, {problem}, so it leads nowhere in the image."
        yield Location(subject=link), message, "Replace the link by a copy, or install shared code as a package."


@rule(
    "image-user",
    "warning",
    title="A custom Dockerfile without a numeric user, when the pods' settings do not set one either.",
    source="kedro-docker 0.6.2, whose image has a named user. The kubelet reports `image has non-numeric user`.",
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
        last = re.split(r"(?im)^[^\S\n]*FROM\s", text)[-1]
        users = re.findall(r"(?im)^[^\S\n]*USER\s+(\S+)", last)
        if not users or not re.match(r"[1-9][0-9]*(:|$)|\$", users[-1]):
            message = f"{f'sets USER {users[-1]}' if users else 'does not set USER'}, and the settings remove runAsUser, so pods do not start."
            help_text = (
                "End it with a numeric user, such as USER 1000, or keep the default podSecurityContext.runAsUser."
            )
            yield Location(file=name), message, help_text


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
                message = f"is used in Spark by node {users[0]!r}, but image {image!r} does not have Java."
                yield (
                    Location(dataset=used_datasets[0]),
                    message,
                    "Set build.java: true, or use a base image that has Java (build.base).",
                )


def _is_built_elsewhere(context: CheckContext, image: str) -> bool:
    """Return whether the image is built elsewhere, so that its content is unknown."""
    return split_reference(context.settings.image)[1:] != (None, None) and image not in context.locked_images


def _uses_remote_spark(env: Sequence[dict[str, str]]) -> bool:
    """Return whether Spark runs elsewhere (Spark Connect), so that the pod does not need Java."""
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
    title="A dataset that needs packages missing from the image's dependencies.",
    source="kedro#3911 and kedro#5331, a starter without the packages that its catalog needs.",
)
def find_missing_dataset_packages(context: CheckContext) -> Iterator[RuleFinding]:
    path = context.project.path
    if context.dependency_files is None:
        return
    lock, requirements = context.dependency_files
    users: dict[tuple[str, ...], list[str]] = {}
    for image in context.settings.image_names:
        if _is_built_elsewhere(context, image) or not is_generated(path / dockerfile_name(image)):
            continue
        installed = find_installed_packages(path, lock, requirements, _build_of(context, image))
        if installed is not None:
            for name, missing in find_missing_packages(_used_entries(context, image), installed):
                users.setdefault(tuple(missing), []).append(name)
    for packages, names in users.items():
        more = f" (needed by {count_of(len(names), 'dataset')})" if len(names) > 1 else ""
        message = (
            f"is a {context.entries[names[0]].get('type')}, but {lock} does not include {' and '.join(packages)}{more}."
        )
        yield Location(dataset=names[0]), message, "Add the missing packages to the dependencies."


def _build_of(context: CheckContext, image: str) -> BuildSettings:
    """Return what an image is built from; it excludes nothing that the project imports."""
    return without_imported(context.settings.build_of(image), context.project.imports)


@rule(
    "image-import",
    "warning",
    title="A module that the project imports and that the image does not contain.",
    source="Four of 28 public projects, whose settings.py imports kedro-viz, which their images left out.",
)
def find_imports_outside_the_image(context: CheckContext) -> Iterator[RuleFinding]:
    project = context.project
    if context.dependency_files is None:
        return
    lock, requirements = context.dependency_files
    folders = [project.code_folder, *(posixpath.normpath(path) for path in context.settings.data.in_image)]
    found: dict[RuleFinding, None] = {}
    for image in context.settings.image_names:
        if _is_built_elsewhere(context, image) or not is_generated(project.path / dockerfile_name(image)):
            continue
        installed = find_installed_packages(project.path, lock, requirements, _build_of(context, image))
        for missing in find_missing_imports(project.imports, installed, folders):
            imported = missing.module_import
            if missing.packages:
                packages = " or ".join(missing.packages)
                message = f"imports {imported.module}, but {lock} does not include {packages}, so the image does not contain it."
                help_text = f"Add {packages} to the dependencies{' or to build.groups' if lock == 'uv.lock' else ''}."
            else:
                message = f"imports {imported.module} from {imported.origin}, which is not part of the image."
                help_text = f"Move it into {project.code_folder}/, from which pods import."
            found[imported.location, message, help_text] = None
    yield from found


def _used_entries(context: CheckContext, image: str) -> dict[str, Mapping[str, Any]]:
    """Return the catalog entries of the datasets that tasks with this image load or save."""
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
    "image-kedro",
    "error",
    title="A requirements or lock file that admits no Kedro on which pods can run.",
    source="Two of five public projects, whose images failed only after a build of two minutes.",
)
def find_unsupported_kedro_versions(context: CheckContext) -> Iterator[RuleFinding]:
    path = context.project.path
    if context.dependency_files is None:
        return
    lock, requirements = context.dependency_files
    files = [lock, *requirements]
    own = dict(_own_files(context, map(dockerfile_name, context.settings.image_names)))
    if len(own) == len(context.settings.image_names) and not any(
        _copies_whole_project(text) or any(file in text for file in files) for text in own.values()
    ):
        return  # the user's own Dockerfiles install something else
    for location, requirement in find_unsupported_kedro(path, lock, requirements):
        message = f"holds {requirement}, but pods can run only on Kedro {supported_kedro()}."
        help_text = f"Raise it, for example to the version that runs here: kedro~={version('kedro')}"
        lock_hint = " in pyproject.toml, and run `uv lock --upgrade-package kedro`" if lock == "uv.lock" else ""
        yield location, message, f"{help_text}{lock_hint}."


@rule(
    "image-git",
    "warning",
    title="A dependency from a Git repository, without git where the dependencies are installed.",
    source="uv's error `Git executable not found`, which ends a build.",
)
def find_git_dependencies(context: CheckContext) -> Iterator[RuleFinding]:
    path = context.project.path
    if context.dependency_files is None:
        return
    lock, requirements = context.dependency_files
    location = find_git_dependency(path, lock, requirements)
    if location is None:
        return
    for image in context.settings.image_names:
        build = context.settings.build_of(image)
        packages = {name.partition("=")[0] for name in (*build.packages, *build.build_packages)}
        if build.base is None and "git" not in packages and is_generated(path / dockerfile_name(image)):
            message = f"names a Git repository, but image {image!r} is built without git, so the build would fail."
            yield (
                location,
                message,
                "Set `build.build_packages: [git]`, or install the dependency from a package index.",
            )


@rule(
    "image-plugins",
    "warning",
    title="Development packages in the production image. Kedro loads every plugin at the start of every pod.",
    source="Measured: `kedro run` starts up to 2.8 times slower with them (docs/contributing/benchmarks.md); kedro#5207.",
)
def find_development_packages(context: CheckContext) -> Iterator[RuleFinding]:
    path = context.project.path
    if context.dependency_files is None:
        return
    lock, requirements = context.dependency_files
    for image in context.settings.image_names:
        build = context.settings.build_of(image)
        excluded = {normalize_package_name(package) for package in build.exclude}
        imported = find_imported_packages(DEVELOPMENT_PACKAGES, context.project.imports)
        others = tuple(name for name in DEVELOPMENT_PACKAGES if name not in excluded and name not in imported)
        options = build.model_copy(update={"exclude": others})
        development_packages = find_excluded_packages(
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
                f"leaves development packages in the image that pods do not need: {quote_names(development_packages)}.",
                "Keep the default of build.exclude, or add them to it.",
            )


def _own_files(context: CheckContext, names: Iterator[str] | Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield name and text of the given files that exist and are not generated."""
    for name in names:
        path = context.project.path / name
        if path.is_file() and not is_generated(path):
            yield name, path.read_text(encoding="utf-8", errors="replace")
