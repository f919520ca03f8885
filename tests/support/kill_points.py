"""Publish repeatedly, each time killed before another write, and report the state that is left and that after the next publish.

    python kill_points.py '{"options": {...}, "folders": [...], "work": ..., "bare": ..., "temporary": ...}'

Runs in a project. The folders are restored before every turn. The report is [{"killed": write, "left": state, "repaired": state}, ...]; in the
last turn nothing is killed. A state is {bare, subjects, head, tree, status, files, own}.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

WRITE_EVENTS = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.chmod", "os.truncate"}
MUTATING_GIT_COMMANDS = {
    "clone", "commit-tree", "fetch", "hash-object", "init", "push", "read-tree", "remote", "update-index", "update-ref", "write-tree",
}  # fmt: skip


def describe_write(event: str, arguments: tuple[object, ...], roots: list[str]) -> str | None:
    """Describe a write; return None for other events and other folders."""
    if event == "subprocess.Popen":
        command = [str(word) for word in arguments[1]]
        # The first word that is neither an option nor the value of a `-c`.
        words = [word for index, word in enumerate(command[1:]) if not word.startswith("-") and command[index] != "-c"]
        return f"git {words[0]}" if command[0] == "git" and words and words[0] in MUTATING_GIT_COMMANDS else None
    path = str(arguments[0])
    if not any(path.startswith(root) for root in roots):
        return None
    if event == "open":
        flags = arguments[2]
        writes = isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        return f"open {path}" if writes and not path.endswith(".lock") else None
    return f"{event} {path}" if event in WRITE_EVENTS else None


def publish_until_killed(publish, number: int | None, roots: list[str]) -> str | None:
    """Publish in a process that is killed before its n-th write; return that write, or None if there were fewer."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        write_count = 0

        def watch(event: str, arguments: tuple[object, ...]) -> None:
            nonlocal write_count
            write = describe_write(event, arguments, roots)
            if write is not None:
                write_count += 1
                if write_count == number:
                    os.write(writing, write.encode())
                    os.kill(os.getpid(), signal.SIGKILL)

        if number is not None:
            sys.addaudithook(watch)
        try:
            publish()
        except BaseException as exc:  # noqa: BLE001
            os.write(writing, f"failed: {exc}".encode())
            os._exit(1)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        output = pipe.read().decode()
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    if code == 1:
        raise AssertionError(output)
    return output if code == -signal.SIGKILL else None


def run_git(folder: str, *arguments: str) -> str:
    result = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=False)
    return result.stdout.strip("\n") if result.returncode == 0 else f"failed: {result.stderr}"


def read_repository_state(work: str | None, bare: str) -> dict[str, object]:
    """Return what a reader of the repositories sees."""
    branches = run_git(bare, "for-each-ref", "--format=%(refname:short) %(tree)", "refs/heads").splitlines()
    seen: dict[str, object] = {
        "bare": sorted(branches),
        "subjects": run_git(bare, "log", "--format=%s", "--branches").splitlines(),
    }
    if work is None:
        return seen
    files = {
        path.relative_to(work).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(Path(work).rglob("*"))
        if path.is_file() and ".git" not in path.parts
    }
    own = sorted(
        path.name for path in Path(work, ".git").iterdir() if "k8s-airflow" in path.name or path.suffix == ".lock"
    )
    return {
        **seen,
        "head": run_git(work, "rev-parse", "HEAD"),
        "tree": run_git(work, "rev-parse", "HEAD^{tree}"),
        "subjects": run_git(work, "log", "--format=%s").splitlines(),
        "status": run_git(work, "--no-optional-locks", "status", "--porcelain", "--ignored"),
        "files": files,
        "own": own,
    }


def main(arguments: dict) -> None:
    from kedro.framework.startup import bootstrap_project

    from kedro_k8s_airflow import compiler
    from kedro_k8s_airflow.publish import publisher
    from kedro_k8s_airflow.request import CompileRequest

    signal.alarm(900)  # all turns together take longer than one command of the tests may
    request = CompileRequest(metadata=bootstrap_project(Path.cwd()))
    compilation = compiler.compile_request(request)
    publisher.compiler.compile_request = lambda _: compilation  # the project is read once for all turns
    options = publisher.PublishOptions(**arguments["options"])
    saved = [(folder, f"{folder}.saved") for folder in arguments["folders"]]
    for folder, copy in saved:
        shutil.copytree(folder, copy, symlinks=True)
    temporary = Path(arguments["temporary"])
    temporary.mkdir()
    os.environ["TMPDIR"] = str(temporary)
    roots = [*arguments["folders"], str(temporary)]
    report = []
    for number in range(1, 1000):
        for folder, copy in saved:
            shutil.rmtree(folder)
            shutil.copytree(copy, folder, symlinks=True)
        killed = publish_until_killed(lambda: publisher.publish_dags(request, options), number, roots)
        left = read_repository_state(arguments["work"], arguments["bare"])
        publish_until_killed(lambda: publisher.publish_dags(request, options), None, roots)
        report.append(
            {"killed": killed, "left": left, "repaired": read_repository_state(arguments["work"], arguments["bare"])}
        )
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(temporary)
        temporary.mkdir()
        if killed is None:
            break
    json.dump(report, sys.stdout)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
