"""The image spec: Dockerfiles, .dockerignore and the program in the pod, as text. Builds nothing."""

from __future__ import annotations

import posixpath
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kedro_k8s_airflow import __version__, files, templates
from kedro_k8s_airflow.config.models import DEFAULT_IMAGE
from kedro_k8s_airflow.dag.pod_arguments import POD_PROGRAM
from kedro_k8s_airflow.files import OutputFile
from kedro_k8s_airflow.findings import Finding, Refused, error, info, refuse
from kedro_k8s_airflow.image import content_hash, dependencies, imported_packages, project_metadata
from kedro_k8s_airflow.image_reference import split_reference
from kedro_k8s_airflow.locations import Location
from kedro_k8s_airflow.plan.model import CONTRACT_VERSION
from kedro_k8s_airflow.project.pod_environment import EVERY_POD
from kedro_k8s_airflow.text import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from kedro_k8s_airflow.config.loader import SettingsSources
    from kedro_k8s_airflow.config.models import BuildSettings, Settings
    from kedro_k8s_airflow.project.model import Project

DOCKERIGNORE = ".dockerignore"
VENV = "/opt/venv"
_SAFE_PATH = re.compile(r"[A-Za-z0-9._/@+*?\[\]-]+\Z")
_JAVA_PACKAGE = "default-jre-headless"


def dockerfile_name(name: str) -> str:
    """Return the Dockerfile of an image, relative to the project."""
    return "Dockerfile" if name == DEFAULT_IMAGE else f"Dockerfile.{name}"


def build_image_spec(
    project: Project, settings: Settings, sources: SettingsSources
) -> tuple[list[OutputFile], list[Finding]]:
    """Return the files that images are built from, and findings.

    Raises:
        Refused: if a Dockerfile cannot express a path, a group of dependencies is unknown, or a file holds credentials.
    """
    dependency_file, requirements, findings = dependencies.find_dependency_file(project.path)
    python, python_findings = dependencies.choose_python_version(project.path)
    if any(settings.build_of(name).base is None for name in settings.image_names):
        findings += python_findings
    copied = dict.fromkeys(["pyproject.toml", *(requirements or [dependency_file])])
    errors = [
        *_find_unknown_groups(settings, sources, project.path, dependency_file),
        *dependencies.find_credentials_in_files(project.path, copied),
    ]
    source = project.code_folder
    conf = project.conf_folder
    in_image = dict(sorted(_resolve_copy_paths(path, project, sources) for path in settings.data.in_image))
    errors += [
        error(
            "image-path",
            Location(file=path),
            "cannot be written in a Dockerfile.",
            "Rename it to use only letters, digits, '-', '_' and '.'.",
        )
        for path in (source, conf, *in_image)
        if path and not _SAFE_PATH.match(path)
    ]
    if errors:
        raise Refused(errors)
    values: dict[str, Any] = {
        "version": __version__,
        "project_path": settings.project_path,
        "lock": dependency_file,
        "requirements": requirements,
        "source": source,
        "conf": conf,
        "in_image": in_image,
        "credentials": image_credentials(project, settings),
        "package": project.package,
        "contract": CONTRACT_VERSION,
        "venv": VENV,
        "metadata": project_metadata.metadata_commands(project.path, project.source_folder, project.package),
    }
    ignore_text = templates.fill_template("dockerignore.j2", **values)
    errors += _find_excluded_paths(project, in_image, ignore_text, sources)
    if errors:
        raise Refused(errors)
    outputs = []
    for name in settings.image_names:
        build = imported_packages.without_imported(settings.build_of(name), project.imports)
        excluded = dependencies.find_excluded_packages(project.path, dependency_file, requirements, build)
        declared = (
            dependencies.find_excluded_packages(project.path, "pyproject.toml", [], build)
            if dependency_file == "uv.lock"
            else excluded
        )
        if files.is_generated(project.path / dockerfile_name(name)):
            findings += [_excluded_finding(declared, dependency_file)] if declared else []
            findings += _kept_findings(project, settings.build_of(name), dependency_file, requirements)
        dockerfile = templates.fill_template(
            "Dockerfile.j2",
            **values,
            name=name,
            build=build,
            base_image=build.base or f"python:{python}-slim",
            packages=[*build.packages, *([_JAVA_PACKAGE] if build.java else [])],
            mounts=_mount_options(build),
            install=_install_commands(
                dependency_file,
                build,
                excluded,
                hashed=dependencies.has_hashes(project.path, requirements),
                dynamic=dependencies.has_dynamic_dependencies(project.path),
            ),
        )
        outputs.append(OutputFile(project.path / dockerfile_name(name), dockerfile, keep_existing=True))
    if files.is_generated(outputs[0].path) or (project.path / DOCKERIGNORE).exists():
        # A user's own Dockerfile may copy files that the generated .dockerignore excludes.
        outputs.append(OutputFile(project.path / DOCKERIGNORE, ignore_text, keep_existing=True))
    program = (Path(__file__).parents[1] / "pod.py").read_text(encoding="utf-8")
    outputs.append(OutputFile(project.path / POD_PROGRAM, program))
    return outputs, list(dict.fromkeys(findings))


def _find_excluded_paths(
    project: Project, in_image: Iterable[str], ignore_text: str, sources: SettingsSources
) -> Iterable[Finding]:
    """Yield errors for what the image needs and the generated .dockerignore excludes, such as conf/local."""
    if not files.is_generated(project.path / DOCKERIGNORE):
        return
    needed = {path.rstrip("/"): sources.location_of(("data", "in_image")) for path in in_image}
    if project.conf_folder:
        base = posixpath.normpath(f"{project.conf_folder}/{project.base_env}")
        needed[base] = Location(subject="settings.CONFIG_LOADER_ARGS")
    for path, location in needed.items():
        found = [
            file.relative_to(project.path).as_posix()
            for matched in project.path.glob(path)
            for file in (matched, *matched.rglob("*"))
            if not file.is_dir()
        ]
        if found and all(content_hash.is_ignored(ignore_text, file) for file in found):
            yield error(
                "image-path",
                location,
                f"{path!r} is never part of an image (.dockerignore): it may hold secrets, or pods do not need it.",
                "Move what pods need to another folder, and give them secrets by credentials_secret or envFrom.",
            )


def image_credentials(project: Project, settings: Settings) -> list[str]:
    """Return the credentials files that the image has: those that hold only references to variables that pods get.

    Kedro reads all credentials when it starts, so a file whose variables no pod has would keep pods from starting. With
    `credentials_secret`, there are none. A user's own .dockerignore decides for itself.
    """
    paths = [file.path for file in project.credentials_files]
    ignore_file = project.path / DOCKERIGNORE
    if not files.is_generated(project.path / dockerfile_name(DEFAULT_IMAGE)) and not ignore_file.exists():
        return paths
    if not files.is_generated(ignore_file):
        text = read_text_if_present(ignore_file)
        return [path for path in paths if not content_hash.is_ignored(text, path)]
    if settings.credentials_secret is not None:
        return []
    return [
        file.path
        for file in project.credentials_files
        if file.literal is None
        and not find_ungiven_variables(file.variables, settings)
        and _SAFE_PATH.match(file.path)
        and not any(sign in file.path for sign in "*?[")
    ]


def find_ungiven_variables(names: Iterable[str], settings: Settings) -> list[str]:
    """Return the environment variables that the settings give to no pod; `envFrom` may give any."""
    rules = [rule for rule in (*settings.tasks.values(), *settings.profiles.values()) if rule is not None]
    if any(rule.envFrom for rule in rules):
        return []
    given = {variable.name for rule in rules for variable in rule.env or ()}.union(
        EVERY_POD, *(settings.build_of(name).env for name in settings.image_names)
    )
    return [name for name in names if name not in given]


def hash_images(
    root: Path, settings: Settings, outputs: Sequence[OutputFile], lock_path: Path | None = None
) -> dict[str, dict[str, str]]:
    """Return the current hashes of the parts of each image; see `content_hash.hash_parts`.

    Args:
        root: the project's folder.
        settings: the project's settings.
        outputs: the image spec, written or not.
        lock_path: path of the image lock, see `content_hash.hash_context`.
    """
    texts = {
        output.path: output.text for output in outputs if not output.keep_existing or files.is_generated(output.path)
    }
    # Dockerfiles are not part of their own context.
    context_texts = {
        path: text for path, text in texts.items() if not path.name.startswith(("Dockerfile", DOCKERIGNORE))
    }
    context = content_hash.hash_context(
        root, read_text_if_present(root / DOCKERIGNORE, texts), texts=context_texts, lock_path=lock_path
    )
    return {
        image_name: content_hash.hash_parts(
            context, read_text_if_present(root / dockerfile_name(image_name), texts), {}
        )
        for image_name in settings.image_names
    }


def read_text_if_present(path: Path, texts: Mapping[Path, str] | None = None) -> str:
    """Return the text of a file that is about to be written or that exists, or ""."""
    if texts and path in texts:
        return texts[path]
    try:
        return files.read_regular_text(path)
    except FileNotFoundError:
        return ""


def _mount_options(build: BuildSettings) -> list[str]:
    """Return the mounts for installing dependencies that are not part of the image: uv and build secrets."""
    uv = "--mount=type=bind,from=uv,source=/uv,target=/usr/local/bin/uv"
    return [uv, *(f"--mount=type=secret,id={name}" for name in build.secrets)]


def _install_commands(
    dependency_file: str, build: BuildSettings, excluded: Sequence[str], *, hashed: bool, dynamic: bool
) -> list[str]:
    """Return the shell commands that install the dependencies.

    Args:
        dependency_file: uv.lock, requirements.txt or pyproject.toml.
        build: what the image is built from.
        excluded: packages to leave out.
        hashed: whether the requirements have hashes.
        dynamic: whether uv cannot compare uv.lock with pyproject.toml, because that needs a build of the project.
    """
    commands = [
        f'if [ -f /run/secrets/{name} ]; then {name}="$(cat /run/secrets/{name})" && export {name}; fi'
        for name in build.secrets
    ]
    if build.build_packages:
        packages = " ".join(name if "=" in name else f'"{name}=*"' for name in build.build_packages)
        list_packages = "dpkg-query --show --showformat '${Package}\\n'"
        commands += [
            f"{list_packages} > /tmp/before",
            "apt-get update",
            f"apt-get install --yes --no-install-recommends {packages}",
            f"{list_packages} > /tmp/after",
        ]
    # kaniko does not support mounts.
    _, tag, _ = split_reference(build.uv)
    pinned = f"uv=={tag}" if tag and re.fullmatch(r"[0-9]+\.[0-9]+\.[0-9]+", tag) else "uv"
    commands.append(
        f"{{ command -v uv > /dev/null || {{ pip install --quiet --no-cache-dir {pinned}"
        " && trap 'pip uninstall --quiet --yes uv' EXIT; }; }"
    )
    commands.append(f"export UV_NO_CACHE=1 UV_PYTHON_DOWNLOADS=never UV_PROJECT_ENVIRONMENT={VENV}")
    group_options = [word for name in build.groups for word in ("--group", name)]
    group_options += [word for name in build.extras for word in ("--extra", name)]
    if dependency_file == "uv.lock":
        exclude_options = [word for name in excluded for word in ("--no-install-package", name)]
        commands.append(
            shlex.join(
                [
                    "uv",
                    "sync",
                    "--frozen" if dynamic else "--locked",
                    "--no-default-groups",
                    "--no-install-project",
                    *group_options,
                    *exclude_options,
                ]
            )
        )
    else:
        commands.append(f"uv venv {VENV}")
        exclude_options = []
        if excluded:
            commands.append(f"printf '%s\\n' {shlex.join(excluded)} > /tmp/excluded.txt")
            exclude_options = ["--excludes", "/tmp/excluded.txt"]  # noqa: S108  while an image is built, which has no users
        source = ["--require-hashes"] if hashed and not excluded else []
        commands.append(
            shlex.join(
                [
                    "uv",
                    "pip",
                    "install",
                    "--python",
                    VENV,
                    *source,
                    *exclude_options,
                    *group_options,
                    "-r",
                    dependency_file,
                ]
            )
        )
    if build.build_packages:
        commands += [
            "{ grep -vxFf /tmp/before /tmp/after > /tmp/brought || true; }",
            "xargs --no-run-if-empty --arg-file=/tmp/brought apt-get purge --yes",
            "rm -rf /var/lib/apt/lists/*",
        ]
    if excluded or build.build_packages:
        commands.append("rm -f /tmp/before /tmp/after /tmp/brought /tmp/excluded.txt")
    return commands


def _excluded_finding(names: Sequence[str], dependency_file: str) -> Finding:
    rest = ", but their dependencies stay" if dependency_file == "uv.lock" else ""
    return info(
        "image-excluded",
        Location(file="pyproject.toml" if dependency_file == "uv.lock" else dependency_file),
        f"lists {', '.join(names)}, needed only for development. The image leaves them out to be smaller and start faster{rest}.",
        "Move them to a dependency group. To keep them in the image, set `build.exclude: []`.",
    )


def _kept_findings(
    project: Project, build: BuildSettings, dependency_file: str, requirements: Sequence[str]
) -> Iterable[Finding]:
    """Yield a fact for each package that the image keeps although `exclude` names it, because the project imports it."""
    named = dependencies.find_excluded_packages(project.path, dependency_file, requirements, build)
    for package, module_import in imported_packages.find_imported_packages(named, project.imports).items():
        yield info(
            "image-imported",
            module_import.location,
            f"imports {module_import.module}, so the image keeps {package} although `build.exclude` names it.",
            "If pods can do without it, remove the import; they then start faster.",
        )


def _find_unknown_groups(
    settings: Settings, sources: SettingsSources, path: Path, dependency_file: str
) -> Iterable[Finding]:
    """Yield errors for dependency groups and extras that the project does not define."""
    known = {"groups": dependencies.read_group_names(path), "extras": dependencies.read_extra_names(path)}
    for image_name in settings.image_names:
        build = settings.build_of(image_name)
        own = settings.images.get(image_name)
        for key, defined in known.items():
            section = ("images", image_name) if own is not None and key in own.model_fields_set else ("build",)
            location = sources.location_of((*section, key))
            for group in getattr(build, key):
                if dependency_file == "requirements.txt":
                    yield error(
                        "image-groups",
                        location,
                        f"refers to {group!r}, but requirements.txt has no groups or extras.",
                        "Declare the dependencies in pyproject.toml, and run `uv lock`.",
                    )
                elif dependencies.normalize_package_name(group) not in defined:
                    yield error(
                        "image-groups",
                        location,
                        f"refers to {group!r}, which pyproject.toml does not define; it has {', '.join(sorted(defined)) or 'none'}.",
                        did_you_mean(group, sorted(defined), otherwise="Correct the name, or define it there."),
                    )


def _resolve_copy_paths(path: str, project: Project, sources: SettingsSources) -> tuple[str, str]:
    """Return the source and destination with which COPY copies a path of `data.in_image`.

    Raises:
        Refused: if it is not in the project, or COPY cannot express it.
    """
    normalized = posixpath.normpath(path)
    location = sources.location_of(("data", "in_image"))
    folder, name = posixpath.split(normalized)
    if normalized.startswith(("/", "..")) or normalized == ".":
        raise refuse(
            "image-path",
            location,
            f"{path!r} is outside the project, so it cannot be copied into the image.",
            "Use a path relative to the project.",
        )
    if (
        any(wildcard in folder for wildcard in "*?[")
        or "**" in name
        or (not folder and any(wildcard in name for wildcard in "*?["))
    ):
        raise refuse(
            "image-path",
            location,
            f"{path!r} has a pattern that COPY does not support.",
            "Use patterns in the last part of the path only.",
        )
    if any(wildcard in name for wildcard in "*?["):
        return normalized, f"{folder}/"
    if not (project.path / normalized).exists():
        raise refuse(
            "image-path",
            location,
            f"{path!r} does not exist, so it cannot be copied into the image.",
            "Correct the path.",
        )
    return (f"{normalized}/", f"{normalized}/") if (project.path / normalized).is_dir() else (normalized, normalized)
