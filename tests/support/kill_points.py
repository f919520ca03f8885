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

WRITES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.chmod", "os.truncate"}
MUTATES = {
    "clone", "commit-tree", "fetch", "hash-object", "init", "push", "read-tree", "remote", "update-index", "update-ref", "write-tree",
}  # fmt: skip


def describe(event: str, arguments: tuple[object, ...], roots: list[str]) -> str | None:
    """Describe a write; return None for other events and other folders."""
    if event == "subprocess.Popen":
        command = [str(word) for word in arguments[1]]
        # The first word that is neither an option nor the value of a `-c`.
        words = [word for index, word in enumerate(command[1:]) if not word.startswith("-") and command[index] != "-c"]
        return f"git {words[0]}" if command[0] == "git" and words and words[0] in MUTATES else None
    path = str(arguments[0])
    if not any(path.startswith(root) for root in roots):
        return None
    if event == "open":
        flags = arguments[2]
        writes = isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        return f"open {path}" if writes and not path.endswith(".lock") else None
    return f"{event} {path}" if event in WRITES else None


def publish_killed(publish, number: int | None, roots: list[str]) -> str | None:
    """Publish in a process that is killed before its n-th write; return that write, or None if there were fewer."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        seen = 0

        def watch(event: str, arguments: tuple[object, ...]) -> None:
            nonlocal seen
            write = describe(event, arguments, roots)
            if write is not None:
                seen += 1
                if seen == number:
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


def git(folder: str, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=False)
    return done.stdout.strip("\n") if done.returncode == 0 else f"failed: {done.stderr}"


def state(work: str | None, bare: str) -> dict[str, object]:
    """Return what a reader of the repositories sees."""
    branches = git(bare, "for-each-ref", "--format=%(refname:short) %(tree)", "refs/heads").splitlines()
    seen: dict[str, object] = {
        "bare": sorted(branches),
        "subjects": git(bare, "log", "--format=%s", "--branches").splitlines(),
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
        "head": git(work, "rev-parse", "HEAD"),
        "tree": git(work, "rev-parse", "HEAD^{tree}"),
        "subjects": git(work, "log", "--format=%s").splitlines(),
        "status": git(work, "--no-optional-locks", "status", "--porcelain", "--ignored"),
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
        killed = publish_killed(lambda: publisher.publish_dags(request, options), number, roots)
        left = state(arguments["work"], arguments["bare"])
        publish_killed(lambda: publisher.publish_dags(request, options), None, roots)
        report.append({"killed": killed, "left": left, "repaired": state(arguments["work"], arguments["bare"])})
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(temporary)
        temporary.mkdir()
        if killed is None:
            break
    json.dump(report, sys.stdout)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
