"""Checks of the image: will it hold what pods need, and is it the one that the project means?"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from kedro_k8s_airflow import files
from kedro_k8s_airflow.checks.registry import rule, some
from kedro_k8s_airflow.config.models import DEFAULT_IMAGE, DEVELOPMENT
from kedro_k8s_airflow.dag.pod_arguments import PROGRAM
from kedro_k8s_airflow.findings import Refused
from kedro_k8s_airflow.image import content_hash, dependencies, installed_packages
from kedro_k8s_airflow.image.lock import is_unbuilt
from kedro_k8s_airflow.image.spec import IGNORE, contents, dockerfile
from kedro_k8s_airflow.image_reference import split_reference

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    from kedro_k8s_airflow.checks.registry import Said, Subject

_JAVA = re.compile(r"jre|jdk|java|spark", re.IGNORECASE)


@rule("image-unbuilt", "info")
def unbuilt(subject: Subject) -> Iterator[Said]:
    """An image without tag or digest that was not built yet, so that the DAG names the tag `unbuilt`.

    Source: kedro-airflow-k8s, whose DAGs named `latest`: another image tomorrow.
    """
    tasks = [task for plan in subject.plans for task in plan.tasks]
    for image in sorted({task.image for task in tasks if task.image_name is not None and is_unbuilt(task.image)}):
        why = (
            f"{subject.settings.image} has neither tag nor digest and no image was built yet, so the DAG names {image}."
        )
        yield subject.where("image"), why, "Build it: kedro k8s-airflow build-image --push."


@rule("image-stale", "warning")
def stale(subject: Subject) -> Iterator[Said]:
    """An image that was built before what it is made of has changed.

    Source: kedro-plugins#652; copied and rebuilt by hand, the DAG and the image go apart.
    """
    if not subject.built or not subject.spec:
        return
    file = files.shown(subject.lock, subject.project.path)
    mend = "Build it again: kedro k8s-airflow build-image."
    try:
        now = contents(subject.project.path, subject.settings, subject.spec, subject.lock)
    except OSError as exc:
        yield file, f"{exc.filename} cannot be read ({exc.strerror}): the image may be stale.", mend
        return
    used = {(task.image_name, task.image) for plan in subject.plans for task in plan.tasks if task.image_name}
    for name, image in sorted((str(name), image) for name, image in used):
        if name in subject.built and name in now and subject.built[name].reference == image:
            before = subject.built[name]
            differ = [one for one in content_hash.changed(before.parts, now[name]) if one != content_hash.ARGUMENTS]
            if differ:
                why = f"the image {before.reference} was built before {', '.join(differ)} changed."
                yield f"{file}: images.{name}", why, mend


@rule("image-own", "warning")
def own(subject: Subject) -> Iterator[Said]:
    """A Dockerfile or .dockerignore of the user's own that leaves out the program which pods start.

    Source: the public starter astro-airflow-iris, whose .dockerignore leaves out all but a few folders.
    """
    for name, text in _own_files(subject, [IGNORE, *map(dockerfile, subject.settings.image_names)]):
        named = PROGRAM.split("/")[0] in text or _copies_all(text)
        lacks = content_hash.leaves_out(text, PROGRAM) if name == IGNORE else not named
        if lacks:
            why = f"is your own and leaves .k8s-airflow out, so the image may lack the program that pods start ({PROGRAM})."
            mend = (
                f"Let the image have it under {subject.settings.project_path}, as docs/guides/image.md says, or move the file away and "
                "create again."
            )
            yield name, why, mend


def _copies_all(recipe: str) -> bool:
    """Whether a Dockerfile copies the whole project: a COPY or ADD of `.` from the context, in either form."""
    for line in re.findall(r"(?im)^\s*(?:COPY|ADD)\s+(.*)$", recipe):
        words = [word.strip('[]", ') for word in line.split()]
        if "--from" not in line and {"./", ".", "*", "./*"} & set(words[:-1]):
            return True
    return False


@rule("image-context", "warning")
def context(subject: Subject) -> Iterator[Said]:
    """A .dockerignore of the user's own that leaves the project's source or configuration out of the image.

    Source: the public starter astro-airflow-iris, whose .dockerignore leaves out src/.
    """
    project = subject.project
    for name, text in _own_files(subject, [IGNORE]):
        needed = [folder for folder in (project.code, project.conf_folder) if folder]
        admitted = list(content_hash.files(project.path, text))
        for folder in needed:
            if not any(path.startswith(f"{folder}/") for path in admitted):
                why = f"is your own and leaves out {folder}/, so no build can copy it, whatever the Dockerfile says."
                yield name, why, "Let it admit that, or move it away and create again."


@rule("image-user", "warning")
def user(subject: Subject) -> Iterator[Said]:
    """A Dockerfile of the user's own without a numeric user, when the pods' settings do not say one either.

    Source: kedro-docker 0.6.2, whose image has a user by name; the kubelet then answers `image has non-numeric user`.
    """
    contexts = [
        (task.settings.get("podSecurityContext") or {}, task.settings.get("securityContext") or {})
        for plan in subject.plans
        for task in plan.tasks
    ]
    unsaid = [
        pod
        for pod, container in contexts
        if pod.get("runAsUser") is None and container.get("runAsUser") is None and pod.get("runAsNonRoot")
    ]
    if not unsaid:
        return
    for name, text in _own_files(subject, map(dockerfile, subject.settings.image_names)):
        last = re.split(r"(?im)^\s*FROM\s", text)[-1]
        users = re.findall(r"(?im)^\s*USER\s+(\S+)", last)
        if not users or not re.match(r"[1-9][0-9]*(:|$)|\$", users[-1]):
            why = f"{f'says USER {users[-1]}' if users else 'names no user'}, and the pods' settings take runAsUser away: none starts."
            yield name, why, "End it with a number, such as USER 1000, or leave podSecurityContext.runAsUser as it is."


@rule("image-java", "warning")
def java(subject: Subject) -> Iterator[Said]:
    """Spark datasets in an image without Java.

    Source: jupyter/docker-stacks#1775, `JAVA_HOME is not set`.
    """
    spark = {
        name
        for name, entry in subject.entries.items()
        if str(entry.get("type", "")).removeprefix("kedro_datasets.").startswith("spark.")
    }
    for plan in subject.plans if spark else ():
        nodes = {node.name: node for node in plan.graph.nodes}
        for image in subject.settings.image_names:
            users = [
                name
                for task in plan.tasks
                if task.image_name == image and not _remote(task.settings.get("env") or ())
                for name in task.nodes
                if not spark.isdisjoint((*nodes[name].inputs, *nodes[name].outputs))
            ]
            if users and not _has_java(subject, image):
                used = sorted(spark & {*nodes[users[0]].inputs, *nodes[users[0]].outputs})
                why = f"node {users[0]!r} uses it in Spark, and image {image!r} has no Java."
                yield (
                    f"dataset {used[0]!r}",
                    why,
                    "Say build.java: true, or take a base image that has it (build.base).",
                )


def _elsewhere(subject: Subject, image: str) -> bool:
    """Whether the settings name an image that nobody has built here: what it holds cannot be known."""
    return split_reference(subject.settings.image)[1:] != (None, None) and image not in subject.built


def _remote(env: Sequence[dict[str, str]]) -> bool:
    """Whether Spark runs elsewhere (Spark Connect), so that the pod needs no Java."""
    return any(variable["name"] == "SPARK_REMOTE" for variable in env)


def _has_java(subject: Subject, image: str) -> bool:
    build = subject.settings.build_of(image)
    if (
        _elsewhere(subject, image)
        or build.java
        or build.base is not None
        or "SPARK_REMOTE" in build.env
        or any(map(_JAVA.search, build.packages))
    ):
        return True
    return any(_JAVA.search(text) for _, text in _own_files(subject, [dockerfile(image)]))


@rule("image-dataset", "warning")
def datasets(subject: Subject) -> Iterator[Said]:
    """A dataset whose packages the dependencies of the image do not have.

    Source: kedro#3911 and kedro#5331, a starter that lacked what its own catalog needs.
    """
    path = subject.project.path
    try:
        lock, requirements, _ = dependencies.lock(path)
    except Refused:
        return  # said by the compiler
    users: dict[tuple[str, ...], list[str]] = {}
    for image in subject.settings.image_names:
        if _elsewhere(subject, image) or not files.is_ours(path / dockerfile(image)):
            continue
        inside = installed_packages.packages(path, lock, requirements, subject.settings.build_of(image))
        if inside is not None:
            for name, lacks in installed_packages.lacking(_used(subject, image), inside):
                users.setdefault(tuple(lacks), []).append(name)
    for packages, names in users.items():
        more = f" ({len(names)} datasets need it)" if len(names) > 1 else ""
        why = f"is a {subject.entries[names[0]].get('type')}, and {lock} does not bring {' and '.join(packages)}{more}."
        yield f"dataset {names[0]!r}", why, "Add it to the dependencies."


def _used(subject: Subject, image: str) -> dict[str, Mapping[str, Any]]:
    """Catalog entries of the datasets that tasks with an image load or save."""
    found: dict[str, Mapping[str, Any]] = {}
    for plan in subject.plans:
        nodes = {node.name: node for node in plan.graph.nodes}
        for task in plan.tasks:
            for node in task.nodes if task.image_name == image else ():
                for name in (*nodes[node].inputs, *nodes[node].outputs):
                    if name in subject.entries:
                        found[name] = subject.entries[name]
    return found


@rule("image-plugins", "warning")
def plugins(subject: Subject) -> Iterator[Said]:
    """Packages for development in the production image; Kedro loads every plugin at the start of every pod.

    Source: measured, `kedro run` starts up to 2.8 times slower with them (docs/contributing/benchmarks.md); kedro#5207.
    """
    path = subject.project.path
    try:
        lock, requirements, _ = dependencies.lock(path)
    except Refused:
        return
    for image in subject.settings.image_names:
        build = subject.settings.build_of(image)
        others = tuple(name for name in DEVELOPMENT if name not in {dependencies.same(one) for one in build.exclude})
        asked = build.model_copy(update={"exclude": others})
        named = dependencies.named(path, "pyproject.toml" if lock == "uv.lock" else lock, requirements, asked)
        if named:
            where = subject.where("build", "exclude") if image == DEFAULT_IMAGE else subject.where("images", image)
            yield (
                where,
                f"lets {some(named)} into the image, which no pod needs.",
                "Leave build.exclude as it is, or add them to it.",
            )


def _own_files(subject: Subject, names: Iterator[str] | Sequence[str]) -> Iterator[tuple[str, str]]:
    """Those of some files of the image spec that are the user's own, with their texts."""
    for name in names:
        path = subject.project.path / name
        if path.is_file() and not files.is_ours(path):
            yield name, path.read_text(encoding="utf-8", errors="replace")
