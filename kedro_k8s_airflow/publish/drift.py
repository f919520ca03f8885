"""`check --drift`: what is published against what this checkout would publish. Nothing is written; no Airflow is asked.

Airflow's own versions of a DAG cannot tell: it serialises only some of an operator's arguments, so bytes of files are compared.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kedro_k8s_airflow import __version__, compiler
from kedro_k8s_airflow.compiler import CheckResult
from kedro_k8s_airflow.findings import Finding, Refused, error, refuse
from kedro_k8s_airflow.image.lock import is_unbuilt
from kedro_k8s_airflow.image_reference import split_reference
from kedro_k8s_airflow.locations import Locator
from kedro_k8s_airflow.plan import pipeline_narrowing
from kedro_k8s_airflow.publish import desired_state, message, open_target, ownership_manifest, publisher
from kedro_k8s_airflow.publish.diff import DagDiff
from kedro_k8s_airflow.publish.git import SUBMODULE, Git, GitError, mask_credentials, refuse_git

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from kedro_k8s_airflow.compiler import Compilation
    from kedro_k8s_airflow.publish.desired_state import DesiredState
    from kedro_k8s_airflow.publish.ownership_manifest import OwnershipManifest
    from kedro_k8s_airflow.request import CompileRequest


@dataclass(frozen=True, kw_only=True)
class DriftTarget:
    """What to compare with; what is None is as the settings say.

    Attributes:
        told: a folder, an address, or a commit of the project's own repository.
        subfolder: for the DAG files.
        branch: of an address.
    """

    told: str | None = None
    subfolder: str | None = None
    branch: str | None = None


@dataclass(frozen=True, kw_only=True)
class PublishedState:
    """What is published.

    Attributes:
        at: a DAG file's place, for people.
        manifest: of this project and environment, when there is one.
        files: contents of DAG files by path relative to the target folder, of those that were asked for and are there.
    """

    at: Callable[[str], str]
    manifest: OwnershipManifest | None
    files: Mapping[str, bytes]


def check_drift(request: CompileRequest, against: DriftTarget) -> CheckResult:
    """Everything in which the two differ, as errors.

    Raises:
        Refused: when it cannot be told: the project has errors, or what is published cannot be read.
    """
    compilation = compiler.compile_request(request)
    if compilation.errors:
        raise Refused(compilation.errors)
    project = compilation.context.project
    settings = compilation.context.settings.publish
    subfolder = settings.subfolder if against.subfolder is None else publisher.resolve_subfolder(against.subfolder)
    told = against.told
    if told is None:
        if settings.to is None:
            help_text = "Give a folder, an address or a commit, or set publish.to in k8s_airflow.yml."
            raise refuse("publish-to", "--against", "nobody says where it was published.", help_text)
        told = publisher.resolve_target(settings.to, project.path)
    mine = ownership_manifest.manifest_path(project.package, request.env)
    paths = [f"{plan.dag_id}.py" for plan in compilation.context.plans]
    try:
        there = _there(told, against, settings.base, subfolder, mine, paths, project.path)
    except GitError as reason:
        raise refuse_git(mask_credentials(told), "git cannot read it", reason) from None
    if there.manifest is not None and (there.manifest.project, there.manifest.name, there.manifest.environment) != (
        project.package,
        str(request.metadata.project_name),
        request.env,
    ):
        message = f"is the manifest of {there.manifest.whose}, called {there.manifest.name!r}, not of this one."
        raise refuse(
            "publish-owned", there.at(mine), message, "Compare with the folder that this project is published to."
        )
    compilation = _with_published_images(request, compilation, there)
    plans = pipeline_narrowing.narrow_pipelines(compilation.context.project, compilation.plans())
    publishing = f"kedro k8s-airflow publish{request.options}"
    found = list(_differences(desired_state.texts(request, compilation, plans), there, compilation, publishing))
    return CheckResult(tuple(dict.fromkeys(found)), Locator(project.path, project, plans))


def _with_published_images(request: CompileRequest, compilation: Compilation, there: PublishedState) -> Compilation:
    """The project once more, with the published names of images that no lock here names: in CI the lock may not be committed."""
    published = there.manifest.images if there.manifest else {}
    images = {}
    for plan in compilation.context.plans:
        for task in plan.tasks:
            name, image = str(task.image_name), task.image
            if (
                task.image_name is None
                or "@" in image
                or name in compilation.context.locked_images
                or name not in published
            ):
                continue
            # Nobody here knows the digest of what the settings name by a tag, or not at all.
            if split_reference(image)[0] == split_reference(published[name])[0] and (
                is_unbuilt(image) or "@" in published[name]
            ):
                images[name] = published[name]
    if not images:
        return compilation
    return compiler.compile_project(compilation.context.project, lock_file=request.lock_file, images=images)


def _differences(
    made: DesiredState, there: PublishedState, compilation: Compilation, command: str
) -> Iterator[Finding]:
    """All findings, DAG by DAG; `command` is the one that mends them."""
    help_text = f"Publish: {command}."
    before = there.manifest
    known = before.files if before else {}
    for found in desired_state.find_stale_images(compilation.context):
        yield error("drift-image", found.where, found.why, found.mend)
    for name, file in made.manifest.files.items():
        was, said = there.files.get(name), known.get(name)
        where = f"dag {file.dag_id!r}"
        if was is None:
            yield error("drift-missing", where, f"is not published: there is no {there.at(name)}.", help_text)
            continue
        if said is None:
            yield error(
                "drift-edited",
                where,
                f"is in {there.at(name)}, and no manifest says it was published.",
                help_text,
            )
        elif ownership_manifest.sha256(was) != said.sha256:
            why = f"was edited by hand since it was published: {there.at(name)}."
            yield error("drift-edited", where, why, f"Make the edit in the project, then: {command} --force.")
        text = made.texts[name]
        # Against what was published: an edit by hand is no change of the project.
        if was == text.encode() or (said is not None and said.sha256 == file.sha256):
            continue
        old = was.decode("utf-8", "replace")
        dag = DagDiff(path=name, status="changed", before=said, now=file, was=old, text=text)
        images = message.describe_images(dag) if said else []
        if images:
            yield error("drift-image", where, f"runs in another image than published: {'; '.join(images)}.", help_text)
        how = message.describe_tasks(dag)
        other_generator = before is not None and before.generator != __version__
        if how or not (images or other_generator):
            yield error(
                "drift-changed",
                where,
                f"differs from {there.at(name)}: {'; '.join(how) or message.NOTHING}.",
                help_text,
            )
    for name, file in known.items():
        if name not in made.manifest.files and name in there.files:
            why = f"is published in {there.at(name)}, and this project makes no such DAG."
            yield error("drift-extra", f"dag {file.dag_id!r}", why, f"{help_text[:-1]}, which removes it.")
    if before is not None and before.generator != __version__:
        why = f"were published by kedro-k8s-airflow {before.generator}; this is {__version__}."
        yield error("drift-generator", f"the DAGs of {before.whose}", why, help_text)


def _there(
    told: str, against: DriftTarget, base: str | None, folder: str, mine: str, paths: Sequence[str], project: Path
) -> PublishedState:
    """What is published, from a folder, an address or a commit."""
    open_target.check_arguments(told, against.branch, base)
    top = Path(told).expanduser()
    if open_target.is_address(told) or (top.is_dir() and open_target.is_bare(top.resolve())):
        return _of_address(told, against.branch or base, folder, mine, paths)
    if top.is_dir() and against.branch is None:
        return _of_folder(top, told, folder, mine, paths)
    git = Git(top.resolve() if top.is_dir() else project)
    if against.branch is None:
        commit, where = git.commit(told), f"in {told}"
    elif top.is_dir():
        commit, where = git.branch(against.branch), f"on branch {against.branch} of {told}"
    else:
        raise refuse(
            "publish-branch", "--branch", f"goes with a folder or an address, and {told!r} is neither.", "Leave it out."
        )
    if commit is None and against.branch is not None:
        raise refuse("publish-branch", told, f"there is no branch {against.branch!r}.", "Mend --branch.")
    if commit is None:
        message = f"{told!r} is no folder, no address and no commit of the project's repository."
        raise refuse("publish-to", "--against", message, "Give the folder or the address that was published to.")
    return _of_commit(git, commit, where, folder, mine, paths)


def _of_folder(top: Path, told: str, folder: str, mine: str, paths: Sequence[str]) -> PublishedState:
    """Files as they are, as an Airflow reads them; the folder itself may be the one with the DAG files."""
    # The folder itself may be the one with the DAG files.
    itself = not (top / folder).is_dir() and any((top / path).exists() for path in (mine, *paths))
    place = top if itself else top / folder

    def content(path: str) -> bytes | None:
        file = place / path
        try:
            if file.exists() and not file.is_file():
                raise refuse("file", str(file), "is no file.", "Move it away.")
            # As git has it, whatever ends of lines it makes in a work tree; none of ours has others.
            return file.read_bytes().replace(b"\r\n", b"\n")
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as exc:
            raise refuse("file", str(file), f"cannot be read: {exc.strerror or exc}.") from None

    above = told if itself or not folder else f"{told}/{folder}"
    return _read(content, lambda name: f"{above}/{name}", mine, paths)


def _of_address(told: str, branch: str | None, folder: str, mine: str, paths: Sequence[str]) -> PublishedState:
    """The files of a branch, by way of a clone that goes at once."""
    with open_target.choose_branch(told, branch) as (git, name, commit):
        return _of_commit(git, commit, f"on branch {name} of {mask_credentials(told)}", folder, mine, paths)


def _of_commit(git: Git, commit: str | None, told: str, folder: str, mine: str, paths: Sequence[str]) -> PublishedState:
    """The files of a commit; none without one."""
    entries = git.entries(commit)

    def content(path: str) -> bytes | None:
        entry = entries.get(ownership_manifest.published_path(folder, path))
        return git.contents([entry.id])[entry.id] if entry is not None and entry.mode != SUBMODULE else None

    return _read(content, lambda name: f"{ownership_manifest.published_path(folder, name)} {told}", mine, paths)


def _read(
    content: Callable[[str], bytes | None], at: Callable[[str], str], mine: str, paths: Sequence[str]
) -> PublishedState:
    """The manifest and the files that it or this project names."""
    raw = content(mine)
    manifest = ownership_manifest.read_manifest(raw, at(mine)) if raw is not None else None
    names = dict.fromkeys([*paths, *(manifest.files if manifest else ())])
    found = {name: content(name) for name in names}
    return PublishedState(at=at, manifest=manifest, files={name: one for name, one in found.items() if one is not None})
