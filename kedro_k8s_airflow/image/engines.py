"""The engines that build images: buildah, podman and docker. Only this module knows their differences."""

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

ENGINE_NAMES = ("buildah", "podman", "docker")
_TAIL = 40
_RUN_TIMEOUT = 600  # seconds; the program loads the project
_HINTS = (
    (r"no space left on device", "The disk is full. Free space with the engine's `system prune` or `rmi --prune`."),
    (
        r"lack of valid authentication credentials|index URL .*(401|403)",
        "The package index requires credentials. List the variable under build.secrets, and set it for the build.",
    ),
    (
        r"unauthorized|authentication required|no basic auth|requested access to the resource is denied|denied: (access|requested)",
        "Log in to the registry with `{engine} login`.",
    ),
    (
        r"needs to be updated, but `--(locked|frozen)` was provided",
        "uv.lock does not match pyproject.toml. Run `uv lock`.",
    ),
    (
        r"short-name .* did not resolve|unqualified-search registries",
        "Set build.base and build.uv with a registry, or configure unqualified-search-registries in registries.conf.",
    ),
    (
        r"buildx component is missing",
        "Install Docker's buildx plugin, or use buildah or podman, which need no daemon.",
    ),
    (
        r"Cannot connect to the Docker daemon|docker\.sock|docker daemon",
        "Start Docker, or use buildah or podman, which need no daemon.",
    ),
    (
        r"manifest unknown|not found: manifest|name unknown",
        "The registry does not have this image. Check its name and tag.",
    ),
    (
        r"dns error|Temporary failure in name resolution|Could not resolve|connection refused|timed out",
        "The build could not reach a package index or registry. Check the network and the proxy settings.",
    ),
    (
        r"\b(gcc|cc|cargo|rustc|cmake)\b.*(not found|No such file)|command '.*\bg?cc' failed",
        "A dependency without a wheel for this Python must be compiled. Add the packages it needs to build.build_packages.",
    ),
    (
        r"python3?: (not found|command not found)|\"python\": executable file not found",
        "The base image has no `python`. Set build.base to an image with Python.",
    ),
    (
        r"Git executable not found|git.*executable file not found",
        "A dependency is installed from git. Add git to build.build_packages.",
    ),
    (
        r"Unable to locate package|has no installation candidate",
        "Debian does not have this package. Check build.packages and build.build_packages.",
    ),
)


class EngineError(Exception):
    """A command of an engine failed.

    Attributes:
        lines: the last lines of its output.
        hint: how to fix the problem, if that is known.
    """

    def __init__(self, message: str, lines: str = "", hint: str = "") -> None:
        super().__init__(message)
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
        """Return the build command.

        Args:
            context: the project's folder.
            dockerfile: path of the Dockerfile, relative to the context.
            tag: the whole reference.
            platform: such as linux/arm64; None for that of this machine.
            arguments: build arguments.
            secrets: values of the engine's secret option.
            labels: labels of the image.
            epoch: seconds since 1970 for all times in the image.
        """
        command = [self.path, "build", f"--file={context / dockerfile}", f"--tag={tag}"]
        if self.name == "buildah":
            command.append("--layers")  # podman's default; needed to use the cache
        if self.name != "docker" and (context / ".dockerignore").is_file():
            command.append(f"--ignorefile={context / '.dockerignore'}")  # a .containerignore would take precedence
        if platform:
            command.append(f"--platform={platform}")
        if epoch is not None:
            command += self._timestamp_options(epoch)
        command += [f"--build-arg={name}={value}" for name, value in arguments.items()]
        command += [f"--secret={secret}" for secret in secrets]
        command += [f"--label={name}={value}" for name, value in labels.items()]
        return [*command, str(context)]

    def _timestamp_options(self, epoch: int) -> list[str]:
        if self.name == "docker":
            return [f"--build-arg=SOURCE_DATE_EPOCH={epoch}"]
        return [f"--timestamp={epoch}"]

    def secret_option(self, name: str) -> str:
        """Return the option for a build secret that is an environment variable of this process."""
        return f"id={name},env={name}" if self.name == "docker" else f"id={name},type=env,src={name}"

    def push(self, tag: str, report: Callable[[str], None]) -> str:
        """Push an image and return its digest.

        Raises:
            EngineError: if the push fails, or the digest cannot be determined.
        """
        if self.name == "docker":
            output = self.call([self.path, "push", tag], report)
            digests = re.findall(r"digest: (sha256:[0-9a-f]{64})", output)
            digest = digests[-1] if digests else ""
        else:
            with tempfile.TemporaryDirectory(prefix="kedro-k8s-airflow-") as folder:
                file = Path(folder, "digest")
                self.call([self.path, "push", f"--digestfile={file}", tag], report)
                digest = file.read_text(encoding="utf-8").strip()
        if not re.fullmatch(r"sha256:[0-9a-f]{64}", digest):
            raise EngineError(f"could not determine the digest of {tag} after `{self.name} push`")
        return digest

    def size_of(self, tag: str) -> int | None:
        """Return the size of an image in bytes, or None if the engine does not report it."""
        if self.name == "buildah":
            return None
        size = subprocess.run(
            [self.path, "image", "inspect", "--format={{.Size}}", tag], capture_output=True, text=True, check=False
        ).stdout.strip()
        return int(size) if size.isdigit() else None

    def user_of(self, tag: str) -> str:
        """Return the default user of an image."""
        if self.name == "buildah":
            command = [self.path, "inspect", "--type=image", "--format={{.OCIv1.Config.User}}", tag]
        else:
            command = [self.path, "image", "inspect", "--format={{.Config.User}}", tag]
        return self.call(command, _ignore_line).strip()

    def run_program(
        self, tag: str, program: str, *, user: str, home: str, variables: Mapping[str, str]
    ) -> tuple[int, str, str]:
        """Run a program with the Python of an image, without network and with a read-only root if the engine supports it.

        Args:
            tag: the image.
            program: text of the program.
            user: `uid:gid`.
            home: a writable folder, besides /tmp.
            variables: environment variables.

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
    def supports_read_only_root(self) -> bool:
        """Return whether the engine can start an image with a read-only root."""
        return self.name != "buildah"

    def call(self, command: Sequence[str], report: Callable[[str], None]) -> str:
        """Run a command, report its lines as they arrive, and return its stdout.

        Raises:
            EngineError: with the last lines and a hint, if the exit code is not 0.
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
        output: list[str] = []

        def read_stream(stream: object, lines: list[str] | None) -> None:
            for line in stream or ():  # type: ignore[attr-defined]
                if lines is not None:
                    lines.append(line)
                last.append(line.rstrip())
                report(line.rstrip())

        with process:
            try:
                errors = threading.Thread(target=read_stream, args=(process.stderr, None), daemon=True)
                errors.start()
                read_stream(process.stdout, output)
                errors.join()
                code = process.wait()
            except BaseException:
                process.terminate()
                raise
        if code != 0:
            text = "\n".join(last)
            hint = next((hint for pattern, hint in _HINTS if re.search(pattern, text, re.IGNORECASE)), "")
            raise EngineError(
                f"`{self.name} {command[1]}` failed with exit code {code}", text, hint.format(engine=self.name)
            )
        return "".join(output)


def find_engine(name: str | None) -> Engine:
    """Return the engine of that name, or the first of buildah, podman and docker that is installed.

    Raises:
        Refused: if it is not installed.
    """
    for candidate in (name,) if name else ENGINE_NAMES:
        path = shutil.which(candidate)
        if path:
            return Engine(candidate, path)
    raise refuse(
        "image-engine",
        Location(subject=name or ", ".join(ENGINE_NAMES)),
        "is not on PATH." if name else "are not on PATH, and building an image needs one of them.",
        "Install buildah or podman, which need no daemon, or docker.",
    )


def find_runner(engine: Engine, tag: str) -> Engine:
    """Return the engine that starts an image: podman for buildah's images if possible, as it supports a read-only root."""
    if engine.name == "buildah":
        path = shutil.which("podman")
        if path and subprocess.run([path, "image", "exists", tag], capture_output=True, check=False).returncode == 0:
            return Engine("podman", path)
    return engine


def _ignore_line(_: str) -> None:
    """Ignore a line of output."""


def _run_with_input(command: Sequence[str], program: str) -> tuple[int, str, str]:
    try:
        completed = subprocess.run(
            command,
            input=program,
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            timeout=_RUN_TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return 1, "", f"The program did not finish within {_RUN_TIMEOUT} s."
    return completed.returncode, completed.stdout, completed.stderr
