"""What a project publishes: its DAG files as `create` writes them, and what keeps them from being published. The target is not looked at."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kedro_k8s_airflow.checks.registry import RULES
from kedro_k8s_airflow.checks.registry import run_rule as found_by
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
        manifest: of all its DAGs.
        texts: of the DAG files, by path relative to the target folder.
    """

    manifest: OwnershipManifest
    texts: Mapping[str, str]

    @property
    def owner(self) -> tuple[str, str | None]:
        """Project and environment."""
        return self.manifest.project, self.manifest.environment


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectCommit:
    """Where the published files come from.

    Attributes:
        commit: of the project's repository, if it has one.
        dirty: whether files differ from it.
        unreadable_reason: why git cannot read the repository that there is.
    """

    commit: str | None
    dirty: bool = False
    unreadable_reason: str | None = None


def render_desired_state(request: CompileRequest, compilation: Compilation, *, allow_tag: bool) -> DesiredState:
    """The DAG files of a project, the same as `create` writes, with the manifest that says so.

    Raises:
        Refused: when there are errors, an image is stale, or one is not named by a digest where it has to be.
    """
    plans = compilation.plans()
    errors = [*find_stale_images(compilation.context), *_find_mutable_tags(plans, allow_tag=allow_tag)]
    if errors:
        raise Refused(errors)
    return build_desired_state(request, compilation, plans)


def build_desired_state(request: CompileRequest, compilation: Compilation, plans: Sequence[Plan]) -> DesiredState:
    """The files of some plans."""
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
    """Errors for images that were built from something else, whatever the settings leave unsaid."""
    for finding in found_by(RULES["image-stale"], context):
        yield error(
            "publish-stale",
            finding.location,
            finding.message,
            "Build and push it again: kedro k8s-airflow build-image --push.",
        )


def _find_mutable_tags(plans: Sequence[Plan], *, allow_tag: bool) -> Iterable[Finding]:
    """Errors for images whose names may mean something else tomorrow, or nothing at all."""
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
            message = f"names the image {image} by a tag, which may be another image tomorrow."
            yield error("publish-tag", location, message, "Name it by its digest, or allow it with --allow-tag.")
        elif unbuilt:
            message = f"names the image {image}, and no image was built."
            yield error("publish-tag", location, message, "Build and push it: kedro k8s-airflow build-image --push.")
        else:
            message = f"names the image {image} by a tag, which may be another image tomorrow."
            help_text = "Push it, so that the lock has its digest: kedro k8s-airflow build-image --push; or allow it with --allow-tag."
            yield error("publish-tag", location, message, help_text)


def read_project_commit(project: Path, lock: Path, source_folders: Sequence[str]) -> ProjectCommit:
    """The commit that a project is at.

    Args:
        project: its folder.
        lock: path of the image lock.
        source_folders: folders of code and configuration, relative to the project.
    """
    git = Git(project)
    commit = git.resolve_commit("HEAD")
    if commit is None:
        return ProjectCommit(commit=None, unreadable_reason=_find_repository_error(git))
    top = Path(git.run_text("rev-parse", "--show-toplevel"))
    changed = []
    # What was made beside code and configuration is no source: data, DAGs, the image spec.
    for untracked, folders in (("no", ["."]), ("normal", list(filter(None, source_folders)))):
        status = git.query_text(
            "status", "--porcelain", "-z", "--no-renames", f"--untracked-files={untracked}", "--", *folders
        )
        changed += [line[3:] for line in (status or "").split("\0") if line and "__pycache__" not in line]
    # In CI the lock is what the step before has written.
    return ProjectCommit(commit=commit, dirty=any((top / path).resolve() != lock.resolve() for path in changed))


def _find_repository_error(git: Git) -> str | None:
    """Why git cannot read a repository that is there; None when there is none, or nothing was committed yet."""
    if not any((folder / ".git").exists() for folder in (git.folder, *git.folder.parents)):
        return None
    try:
        git.run("rev-parse", "--git-dir")
    except GitError as reason:
        return str(reason).splitlines()[0].removeprefix("fatal: ").rstrip(".")
    return None
