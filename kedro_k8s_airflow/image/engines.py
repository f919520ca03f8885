"""The engines that build images: buildah, podman and docker, as command lines. Their differences are known here only."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
import threading
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kedro_k8s_airflow.findings import refuse
from kedro_k8s_airflow.locations import Location

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

NAMES = ("buildah", "podman", "docker")
_TAIL = 40
_PATIENCE = 600  # seconds for loading a project
_HINTS = (
    (r"no space left on device", "The disk is full; the engine's `system prune` or `rmi --prune` frees some."),
    (
        r"lack of valid authentication credentials|index URL .*(401|403)",
        "The package index wants credentials: name the variable under build.secrets, and set it when you build.",
    ),
    (
        r"unauthorized|authentication required|no basic auth|requested access to the resource is denied|denied: (access|requested)",
        "Log in to the registry first, with `{engine} login`.",
    ),
    (
        r"needs to be updated, but `--(locked|frozen)` was provided",
        "uv.lock is older than pyproject.toml; `uv lock` brings it up to date.",
    ),
    (
        r"short-name .* did not resolve|unqualified-search registries",
        "Images without a registry need unqualified-search-registries in registries.conf; or give build.base and build.uv with one.",
    ),
    (
        r"buildx component is missing",
        "Install Docker's buildx plugin, or buildah or podman, which need no daemon.",
    ),
    (
        r"Cannot connect to the Docker daemon|docker\.sock|docker daemon",
        "Start Docker, or install buildah or podman, which need no daemon.",
    ),
    (r"manifest unknown|not found: manifest|name unknown", "The registry has no such image; mend its name or tag."),
    (
        r"dns error|Temporary failure in name resolution|Could not resolve|connection refused|timed out",
        "The build could not reach a package index or a registry.",
    ),
    (
        r"\b(gcc|cc|cargo|rustc|cmake)\b.*(not found|No such file)|command '.*\bg?cc' failed",
        "A dependency has no wheel for this Python and is compiled; name what that needs under build.build_packages.",
    ),
    (
        r"python3?: (not found|command not found)|\"python\": executable file not found",
        "build.base has no `python`; name one that has.",
    ),
    (
        r"Git executable not found|git.*executable file not found",
        "A dependency comes from git; add git to build.build_packages.",
    ),
    (r"Unable to locate package|has no installation candidate", "Debian has no such package; mend build.packages."),
)


class EngineError(Exception):
    """An engine's command failed.

    Attributes:
        lines: the last ones that it said.
        hint: what to do about it, where that is known.
    """

    def __init__(self, what: str, lines: str = "", hint: str = "") -> None:
        super().__init__(what)
        self.lines = lines
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Engine:
    """An engine on this machine: its name and the path of its program."""

    name: str
    path: str

    def build_command(
        self,
        context: Path,
        dockerfile: str,
        tag: str,
        *,
        platform: str | None,
        arguments: Mapping[str, str],
        secrets: Sequence[str],
        labels: Mapping[str, str],
        epoch: int | None,
    ) -> list[str]:
        """The command that builds.

        Args:
            context: the project's folder.
            dockerfile: relative to it.
            tag: the whole reference.
            platform: such as linux/arm64; this machine's when None.
            arguments: of the build.
            secrets: as the engine's own option takes them.
            labels: of the image.
            epoch: seconds since 1970 that all times in the image are set to.
        """
        command = [self.path, "build", f"--file={context / dockerfile}", f"--tag={tag}"]
        if self.name == "buildah":
            command.append("--layers")  # podman's default: else nothing is ever taken from the cache
        if self.name != "docker" and (context / ".dockerignore").is_file():
            command.append(f"--ignorefile={context / '.dockerignore'}")  # a .containerignore would come first
        if platform:
            command.append(f"--platform={platform}")
        if epoch is not None:
            command += self._dated(epoch)
        command += [f"--build-arg={name}={value}" for name, value in arguments.items()]
        command += [f"--secret={secret}" for secret in secrets]
        command += [f"--label={name}={value}" for name, value in labels.items()]
        return [*command, str(context)]

    def _dated(self, epoch: int) -> list[str]:
        if self.name == "docker":
            return [f"--build-arg=SOURCE_DATE_EPOCH={epoch}"]
        return [f"--timestamp={epoch}"]

    def secret_option(self, name: str) -> str:
        """The option's value for a build secret that is a variable of this process."""
        return f"id={name},env={name}" if self.name == "docker" else f"id={name},type=env,src={name}"

    def push(self, tag: str, report: Callable[[str], None]) -> str:
        """Push an image; its digest.

        Raises:
            Failed: when the registry refuses it, or tells no digest.
        """
        if self.name == "docker":
            said = self.call([self.path, "push", tag], report)
            found = re.findall(r"digest: (sha256:[0-9a-f]{64})", said)
            digest = found[-1] if found else ""
        else:
            with tempfile.TemporaryDirectory(prefix="kedro-k8s-airflow-") as folder:
                file = Path(folder, "digest")
                self.call([self.path, "push", f"--digestfile={file}", tag], report)
                digest = file.read_text(encoding="utf-8").strip()
        if not re.fullmatch(r"sha256:[0-9a-f]{64}", digest):
            raise EngineError(f"{self.name} told no digest of {tag}")
        return digest

    def size_of(self, tag: str) -> int | None:
        """Bytes of an image on this machine, as far as the engine tells."""
        if self.name == "buildah":
            return None
        said = subprocess.run(
            [self.path, "image", "inspect", "--format={{.Size}}", tag], capture_output=True, text=True, check=False
        ).stdout.strip()
        return int(said) if said.isdigit() else None

    def user_of(self, tag: str) -> str:
        """The user that an image's containers have when nothing else is asked for."""
        if self.name == "buildah":
            command = [self.path, "inspect", "--type=image", "--format={{.OCIv1.Config.User}}", tag]
        else:
            command = [self.path, "image", "inspect", "--format={{.Config.User}}", tag]
        return self.call(command, _ignore_line).strip()

    def run_program(
        self, tag: str, program: str, *, user: str, home: str, variables: Mapping[str, str]
    ) -> tuple[int, str, str]:
        """Start an image once, without network, with a read-only root, and let its Python run a program.

        Args:
            tag: the image.
            program: text of the program.
            user: `uid:gid`.
            home: folder that can be written, beside /tmp.
            variables: of the environment.

        Returns:
            Exit code, stdout, stderr.
        """
        if self.name == "buildah":
            return self._run_buildah(tag, program, user, variables)
        command = [
            *(self.path, "run", "--rm", "--interactive", "--pull=never", "--network=none", f"--user={user}"),
            *("--cap-drop=ALL", "--security-opt=no-new-privileges", "--read-only"),
            *(
                "--tmpfs=/tmp:mode=1777",
                f"--tmpfs={home}:mode=1777",
                *(f"--env={name}={value}" for name, value in variables.items()),
            ),
            *("--entrypoint=python", tag, "-"),
        ]
        return _run_with_input(command, program)

    def _run_buildah(self, tag: str, program: str, user: str, variables: Mapping[str, str]) -> tuple[int, str, str]:
        container = self.call([self.path, "from", "--pull-never", tag], _ignore_line).split()[-1]
        try:
            command = [
                self.path,
                "run",
                f"--user={user}",
                "--cap-drop=ALL",
                "--network=none",
                *(f"--env={name}={value}" for name, value in variables.items()),
                container,
                "--",
                "python",
                "-",
            ]
            return _run_with_input(command, program)
        finally:
            subprocess.run([self.path, "rm", container], capture_output=True, check=False)

    @property
    def has_read_only_root(self) -> bool:
        """Whether it can start an image with a read-only root."""
        return self.name != "buildah"

    def call(self, command: Sequence[str], report: Callable[[str], None]) -> str:
        """Run a command and hand on its lines as they come; its stdout.

        Raises:
            Failed: with the last lines and a hint, when it ends with another code than 0.
        """
        environment = {**os.environ, "DOCKER_BUILDKIT": "1", "BUILDKIT_PROGRESS": "plain"}
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                encoding="utf-8",
                errors="replace",
                env=environment,
            )
        except OSError as exc:
            raise EngineError(f"{command[0]}: {exc.strerror}") from exc
        last: deque[str] = deque(maxlen=_TAIL)
        said: list[str] = []

        def read(stream: object, kept: list[str] | None) -> None:
            for line in stream or ():  # type: ignore[attr-defined]
                if kept is not None:
                    kept.append(line)
                last.append(line.rstrip())
                report(line.rstrip())

        with process:
            try:
                errors = threading.Thread(target=read, args=(process.stderr, None), daemon=True)
                errors.start()
                read(process.stdout, said)
                errors.join()
                code = process.wait()
            except BaseException:
                process.terminate()
                raise
        if code != 0:
            text = "\n".join(last)
            hint = next((hint for pattern, hint in _HINTS if re.search(pattern, text, re.IGNORECASE)), "")
            raise EngineError(f"{self.name} {command[1]} ended with {code}", text, hint.format(engine=self.name))
        return "".join(said)


def find_engine(name: str | None) -> Engine:
    """The engine of that name, or the first of buildah, podman and docker that is there.

    Raises:
        Refused: when there is none.
    """
    for one in (name,) if name else NAMES:
        path = shutil.which(one)
        if path:
            return Engine(one, path)
    raise refuse(
        "image-engine",
        Location(subject=name or ", ".join(NAMES)),
        "no such program is on PATH, and building an image needs one.",
        "Install buildah or podman (neither needs a daemon), or docker.",
    )


def find_runner(engine: Engine, tag: str) -> Engine:
    """What starts an image of an engine: podman, where it sees that of buildah, because it knows a read-only root."""
    if engine.name == "buildah":
        path = shutil.which("podman")
        if path and subprocess.run([path, "image", "exists", tag], capture_output=True, check=False).returncode == 0:
            return Engine("podman", path)
    return engine


def _ignore_line(_: str) -> None:
    """For commands whose lines nobody needs."""


def _run_with_input(command: Sequence[str], program: str) -> tuple[int, str, str]:
    try:
        done = subprocess.run(
            command,
            input=program,
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            timeout=_PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return 1, "", f"It did not end within {_PATIENCE} s."
    return done.returncode, done.stdout, done.stderr
