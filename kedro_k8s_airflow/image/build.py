"""`build-image`, without the printing: write the spec, build, prove the contract, push, and write the image lock."""

from __future__ import annotations

import json
import os
import re
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kedro_k8s_airflow import files
from kedro_k8s_airflow import secrets as secret_texts
from kedro_k8s_airflow.config import DEFAULT_IMAGE
from kedro_k8s_airflow.findings import Finding, Refused, error, refuse
from kedro_k8s_airflow.image import content, engines, inside, lock
from kedro_k8s_airflow.image.engines import Failed
from kedro_k8s_airflow.image.spec import IGNORE, VENV, dockerfile
from kedro_k8s_airflow.plan import CONTRACT_VERSION

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from kedro_k8s_airflow.config import Build, Settings
    from kedro_k8s_airflow.creation import Image
    from kedro_k8s_airflow.files import Output
    from kedro_k8s_airflow.image.engines import Engine
    from kedro_k8s_airflow.image.lock import Built

# Nobody's: neither the image's own user nor one that its /etc/passwd knows.
_SOMEBODY = 54321
_TAIL = 15
_CONTRACT = "docs/image.md says what pods need from an image."


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What the command line asks for.

    Attributes:
        tag: instead of the content's hash.
        push: to the registry.
        platform: such as linux/arm64.
        arguments: of the build.
        secrets: build secrets, as the engine takes them: `id=NAME,src=FILE`.
        verify: start the image once.
        epoch: seconds since 1970 for all times in the image.
    """

    tag: str | None = None
    push: bool = False
    platform: str | None = None
    arguments: Mapping[str, str] = field(default_factory=dict)
    secrets: Sequence[str] = ()
    verify: bool = True
    epoch: int | None = None


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


def parts(root: Path, settings: Settings, outputs: Sequence[Output]) -> dict[str, dict[str, str]]:
    """What each image of the project is made of by now; see `content.parts`.

    Args:
        root: the project's folder.
        settings: of the project.
        outputs: the image spec, written or not.
    """
    texts = {output.path: output.text for output in outputs if not output.yields or files.is_ours(output.path)}
    # Dockerfiles are no part of their own context.
    written = {path: text for path, text in texts.items() if not path.name.startswith(("Dockerfile", IGNORE))}
    ignored = _text(root / IGNORE, texts)
    return {
        name: content.parts(root, _text(root / dockerfile(name), texts), ignored, texts=written, arguments={})
        for name in settings.image_names
    }


def _text(path: Path, texts: Mapping[Path, str]) -> str:
    if path in texts:
        return texts[path]
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""


def wish(
    *,
    tag: str | None,
    push: bool,
    platform: str | None,
    arguments: Mapping[str, str],
    secrets: Sequence[str],
    verify: bool,
) -> Wish:
    """The wish of a command line and of SOURCE_DATE_EPOCH.

    Raises:
        Refused: when one of them cannot be meant.
    """
    if tag is not None and (tag == "latest" or not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}", tag)):
        raise refuse(
            "image-tag",
            f"--tag {tag}",
            "cannot be the tag of an image that a DAG names.",
            "A tag has letters, digits, '_', '.' and '-', at most 128, and is not 'latest', which names another image tomorrow.",
        )
    if platform is not None and not re.fullmatch(r"[a-z0-9]+/[a-z0-9]+(/[a-z0-9]+)?", platform):
        raise refuse(
            "image-platform",
            f"--platform {platform}",
            "is not one platform.",
            "Write one such as linux/arm64; images for several are joined with the engine's `manifest` command.",
        )
    for secret in secrets:
        keys = dict(part.partition("=")[::2] for part in secret.split(","))
        if not keys.get("id") or not (keys.get("src") or keys.get("source") or keys.get("env")):
            raise refuse(
                "image-secret",
                "--secret",
                "one of them has no id, or says neither file nor variable.",
                "Write id=NAME,src=FILE or id=NAME,env=VARIABLE.",
            )
    for name, value in arguments.items():
        if secret_texts.is_secret_name(name) or secret_texts.is_secret_value(value):
            raise refuse(
                "secret",
                f"--build-arg {name}",
                "looks like a credential, and build arguments stay in the history of the image.",
                "Name the variable under build.secrets, and give it by --secret or by the environment.",
            )
    said = os.environ.get("SOURCE_DATE_EPOCH", "")
    if said and not re.fullmatch("[0-9]+", said):
        raise refuse(
            "image-epoch", f"SOURCE_DATE_EPOCH={said}", "is not a number of seconds.", "Unset it, or give one."
        )
    return Wish(
        tag=tag,
        push=push,
        platform=platform,
        arguments=arguments,
        secrets=secrets,
        verify=verify,
        epoch=int(said) if said else None,
    )


def chosen(settings: Settings, names: Sequence[str]) -> tuple[str, ...]:
    """The images to build: those of the command line, else all.

    Raises:
        Refused: when the settings have none of that name.
    """
    for name in names:
        if name not in settings.image_names:
            raise refuse(
                "image-unknown",
                f"--image {name}",
                "the settings have no such image.",
                f"Images of this project are {', '.join(settings.image_names)}.",
            )
    return tuple(dict.fromkeys(names)) or settings.image_names


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
    repository, said, digest = lock.split(settings.image)
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
    ours = files.is_ours(root / file)
    if ours:
        _checked(root, made.conf, settings.build_of(name), wish)
    # Images of several platforms are several images.
    arguments = {**wish.arguments, **({"platform": wish.platform} if wish.platform else {})}

    def now() -> dict[str, str]:
        return content.parts(root, _text(root / file, {}), _text(root / IGNORE, {}), texts={}, arguments=arguments)

    found = now()
    whole = content.content(found)
    tag = lock.tag_of(name, wish.tag or said or whole[:12])
    reference = f"{repository}:{tag}"
    started = time.monotonic()
    command = engine.build(
        root,
        file,
        reference,
        platform=wish.platform,
        arguments=wish.arguments,
        secrets=[*wish.secrets, *_given(settings.build_of(name).secrets, wish.secrets, engine)],
        labels={"kedro-k8s-airflow.content": whole},
        epoch=wish.epoch,
    )
    try:
        engine.call(command, report)
        meanwhile = content.changed(found, now())
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
        proof = _proven(reference, made, name, prover, engine, report) if prover else None
        pushed = engine.push(reference, report) if wish.push else None
    except Failed as failed:
        raise refuse("image-build", file, f"{failed}.", failed.hint, failed.lines) from None
    built = lock.Built(
        repository=repository, tag=tag, digest=pushed, content=f"sha256:{whole}", parts=found, platform=wish.platform
    )
    # Others of this project may have been built meanwhile.
    text = lock.text({**lock.read(made.lock), name: built})
    files.write(files.compare([files.Output(made.lock, text)], force=True)[0])
    return Report(name=name, built=built, engine=engine.name, seconds=seconds, size=size, proof=proof, proven_by=prover)


def _checked(root: Path, conf: str, build: Build, wish: Wish) -> None:
    """Nothing, when our Dockerfile would copy no secret and mount all that it is given.

    Raises:
        Refused: naming what is in the way; a .dockerignore of the user's own may admit anything.
    """
    below = f"{conf}/" if conf else "\0"
    for path in content.files(root, _text(root / IGNORE, {})):
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
    known = set(build.secrets)
    for secret in wish.secrets:
        name = dict(part.partition("=")[::2] for part in secret.split(","))["id"]
        if name not in known:
            raise refuse(
                "image-secret",
                f"--secret id={name}",
                "is mounted nowhere.",
                f"Name it under build.secrets; there is {', '.join(sorted(known)) or 'none'}.",
            )


def _given(names: Sequence[str], told: Sequence[str], engine: Engine) -> list[str]:
    """Build secrets whose variables are set here and that the command line does not give another way."""
    ids = {part.removeprefix("id=") for secret in told for part in secret.split(",") if part.startswith("id=")}
    return [engine.secret(name) for name in names if name not in ids and name in os.environ]


def _proven(
    reference: str, made: Image, name: str, prover: Engine, engine: Engine, report: Callable[[str], None]
) -> Mapping[str, Any]:
    """What the image answers when it is started once as a pod would start it.

    Raises:
        Refused: naming everything in which it does not keep the contract.
    """
    report("starting the image to prove its contract")
    user = engine.user(reference)
    match = re.fullmatch(r"([0-9]+)(?::([0-9]+))?", user)
    errors: list[Finding] = []
    if match is None or int(match[1]) == 0:
        errors.append(
            _broken(
                reference,
                f"runs as {user or 'root'}; Kubernetes starts a pod with runAsNonRoot only when the image's user is a number other than 0",
                "End the Dockerfile with a line such as USER 1000:0.",
            )
        )
    nodes: dict[str, list[str]] = {}
    for plan in made.plans:
        for task in plan.tasks:
            if task.image_name == name:
                nodes.setdefault(task.pipeline, []).extend(task.nodes)
    asked = {
        "project": made.plans[0].project_path,
        "contract": CONTRACT_VERSION,
        "prefix": list(made.settings.build.prefix),
        "conf": made.conf,
        "venv": VENV,
        "tools": _tools(made, name),
        "nodes": nodes,
    }
    source = Path(inside.__file__).read_text(encoding="utf-8")
    program = f"{source}\n\nmain(json.loads({json.dumps(asked)!r}))\n"
    code, out, err = prover.run(
        reference,
        program,
        user=f"{_SOMEBODY}:{match[2] or 0 if match else 0}",
        home=made.plans[0].home,
        variables=_variables(made, name),
    )
    line = next((line for line in out.splitlines() if line.startswith(inside.ANSWER)), None)
    if line is None:
        said = "\n".join((out + err).strip().splitlines()[-_TAIL:])
        why = f"could not be started as a pod would start it (exit code {code})."
        errors.append(error("image-contract", reference, why, _CONTRACT, said))
        raise Refused(errors)
    proof: dict[str, Any] = json.loads(line.removeprefix(inside.ANSWER))
    errors += [_broken(reference, f"{one}.", _CONTRACT) for one in proof["errors"]]
    if errors:
        raise Refused(errors)
    return proof


def _tools(made: Image, name: str) -> list[str]:
    """Programs that the image must not hold: what the user's own base, packages or Dockerfile bring is theirs to say."""
    build = made.settings.build_of(name)
    if build.base is not None or build.packages or not files.is_ours(made.root / dockerfile(name)):
        return []
    return [tool for tool in inside.TOOLS if not (tool == "uv" and build.keeps_uv)]


def _variables(made: Image, name: str) -> dict[str, str]:
    """Plain environment variables of the image's tasks: settings.py may want them."""
    found: dict[str, str] = {}
    for plan in made.plans:
        for task in plan.tasks:
            for variable in task.settings.get("env") or () if task.image_name == name else ():
                value = variable.get("value")
                if value is not None and "{" not in value and "$" not in value:
                    found.setdefault(variable["name"], value)
    return found


def _broken(reference: str, why: str, mend: str) -> Finding:
    return error("image-contract", reference, why, mend)
