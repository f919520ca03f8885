"""What a project publishes: the DAG files that `create` writes, and the errors that prevent it. The target is not read here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kedro_k8s_airflow.checks.registry import RULES, run_rule
from kedro_k8s_airflow.dag import render
from kedro_k8s_airflow.findings import Finding, Refused, error
from kedro_k8s_airflow.image.lock import is_unbuilt
from kedro_k8s_airflow.locations import Location
from kedro_k8s_airflow.publish import ownership_manifest
from kedro_k8s_airflow.publish.git import Git, GitError
from kedro_k8s_airflow.publish.ownership_manifest import OwnershipManifest, PublishedFile

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from kedro_k8s_airflow.checks import CheckContext
    from kedro_k8s_airflow.compiler import Compilation
    from kedro_k8s_airflow.plan.model import Plan
    from kedro_k8s_airflow.request import CompileRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class DesiredState:
    """What a project publishes.

    Attributes:
        manifest: lists all its DAGs.
        texts: content of the DAG files by path, relative to the target folder.
    """

    manifest: OwnershipManifest
    texts: Mapping[str, str]

    @property
    def owner(self) -> tuple[str, str | None]:
        """Return project and environment."""
        return self.manifest.project, self.manifest.environment


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectCommit:
    """The commit that the published files come from.

    Attributes:
        commit: HEAD of the project's repository; None without one.
        dirty: whether files differ from it.
        unreadable_reason: why git cannot read an existing repository.
    """

    commit: str | None
    dirty: bool = False
    unreadable_reason: str | None = None


def render_desired_state(request: CompileRequest, compilation: Compilation, *, allow_tag: bool) -> DesiredState:
    """Render the DAG files of a project as `create` writes them, and their manifest.

    Raises:
        Refused: the project has errors, an image is stale, or an image has no digest where it needs one.
    """
    plans = compilation.plans()
    errors = [*find_stale_images(compilation.context), *_find_mutable_tags(plans, allow_tag=allow_tag)]
    if errors:
        raise Refused(errors)
    return build_desired_state(request, compilation, plans)


def build_desired_state(request: CompileRequest, compilation: Compilation, plans: Sequence[Plan]) -> DesiredState:
    """Render the DAG files of some plans, and their manifest."""
    command = f"kedro k8s-airflow create{request.options}"
    texts = {f"{plan.dag_id}.py": render.render_dag(plan, command=command) for plan in plans}
    files = {
        path: PublishedFile(
            sha256=ownership_manifest.compute_sha256(text.encode()),
            dag_id=plan.dag_id,
            pipeline=plan.pipeline,
            images={task.image_name or task.image: task.image for task in plan.tasks},
        )
        for (path, text), plan in zip(texts.items(), plans, strict=True)
    }
    manifest = OwnershipManifest(
        project=compilation.context.project.package,
        project_name=str(request.metadata.project_name),
        environment=request.env,
        files=files,
    )
    return DesiredState(manifest=manifest, texts=texts)


def find_stale_images(context: CheckContext) -> Iterable[Finding]:
    """Yield an error for each image that was built from other content, even where `checks.ignore` lists the rule."""
    for finding in run_rule(RULES["image-stale"], context):
        yield error(
            "publish-stale",
            finding.location,
            finding.message,
            "Rebuild and push the image: kedro k8s-airflow build-image --push.",
        )


def _find_mutable_tags(plans: Sequence[Plan], *, allow_tag: bool) -> Iterable[Finding]:
    """Yield an error for each image that is referenced by a mutable tag, or that was never built."""
    used: dict[tuple[str, str | None], str] = {}
    for plan in plans:
        for task in plan.tasks:
            used.setdefault((task.image, task.image_name), plan.dag_id)
    for (image, name), dag_id in used.items():
        location = Location(dag=dag_id)
        unbuilt = name is not None and is_unbuilt(image)
        if "@" in image or (allow_tag and not unbuilt):
            continue
        if name is None:
            message = f"uses the image {image} by its tag, which can be moved to another image."
            yield error("publish-tag", location, message, "Use its digest, or allow tags with --allow-tag.")
        elif unbuilt:
            message = f"uses the image {image}, but no image was built."
            yield error("publish-tag", location, message, "Build and push it: kedro k8s-airflow build-image --push.")
        else:
            message = f"uses the image {image} by its tag, which can be moved to another image."
            help_text = (
                "Push it to record its digest in the lock (kedro k8s-airflow build-image --push), "
                "or allow tags with --allow-tag."
            )
            yield error("publish-tag", location, message, help_text)


def read_project_commit(project: Path, lock: Path, source_folders: Sequence[str]) -> ProjectCommit:
    """Return the commit that a project is at.

    Args:
        project: folder of the project.
        lock: path of the image lock, whose changes do not count.
        source_folders: folders of code and configuration, relative to the project.
    """
    git = Git(project)
    commit = git.resolve_commit("HEAD")
    if commit is None:
        return ProjectCommit(commit=None, unreadable_reason=_find_repository_error(git))
    top = Path(git.run_text("rev-parse", "--show-toplevel"))
    changed = []
    # Untracked files elsewhere are output rather than source: data, DAGs, the image spec.
    for untracked, folders in (("no", ["."]), ("normal", list(filter(None, source_folders)))):
        status = git.query_text(
            "status", "--porcelain", "-z", "--no-renames", f"--untracked-files={untracked}", "--", *folders
        )
        changed += [line[3:] for line in (status or "").split("\0") if line and "__pycache__" not in line]
    # In CI the previous step has written the lock.
    return ProjectCommit(commit=commit, dirty=any((top / path).resolve() != lock.resolve() for path in changed))


def _find_repository_error(git: Git) -> str | None:
    """Return why git cannot read an existing repository; None without a repository, or before its first commit."""
    if not any((folder / ".git").exists() for folder in (git.folder, *git.folder.parents)):
        return None
    try:
        git.run("rev-parse", "--git-dir")
    except GitError as reason:
        return str(reason).splitlines()[0].removeprefix("fatal: ").rstrip(".")
    return None
