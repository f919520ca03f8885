"""Publish again and again, each time killed before another write, and say what was left and what the next run made of it.

    python killed.py '{"wish": {...}, "folders": [...], "work": ..., "bare": ..., "other": ...}'

Runs in a project. The folders are put back before every turn. The report: [{"killed": which write, "before": state, "after": state}, ...],
the last of a run that nobody killed; a state is {head, tree, subjects, status, files, bare, stray}.
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
    """A write, in words; None for what is none or happens elsewhere."""
    if event == "subprocess.Popen":
        command = [str(word) for word in arguments[1]]
        # The first word that is neither an option nor the value of a `-c`.
        words = [word for place, word in enumerate(command[1:]) if not word.startswith("-") and command[place] != "-c"]
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
    """Publish in a process that is killed before its write of that number; the write, or None when there were fewer."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        seen = 0

        def watch(event: str, arguments: tuple[object, ...]) -> None:
            nonlocal seen
            told = describe(event, arguments, roots)
            if told is not None:
                seen += 1
                if seen == number:
                    os.write(writing, told.encode())
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
        said = pipe.read().decode()
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    if code == 1:
        raise AssertionError(said)
    return said if code == -signal.SIGKILL else None


def git(folder: str, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=False)
    return done.stdout.strip("\n") if done.returncode == 0 else f"failed: {done.stderr}"


def state(work: str | None, bare: str) -> dict[str, object]:
    """What a reader of the repositories sees."""
    branches = git(bare, "for-each-ref", "--format=%(refname:short) %(tree)", "refs/heads").splitlines()
    found: dict[str, object] = {
        "bare": sorted(branches),
        "subjects": git(bare, "log", "--format=%s", "--branches").splitlines(),
    }
    if work is None:
        return found
    files = {
        path.relative_to(work).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(Path(work).rglob("*"))
        if path.is_file() and ".git" not in path.parts
    }
    own = sorted(
        path.name for path in Path(work, ".git").iterdir() if "k8s-airflow" in path.name or path.suffix == ".lock"
    )
    return {
        **found,
        "head": git(work, "rev-parse", "HEAD"),
        "tree": git(work, "rev-parse", "HEAD^{tree}"),
        "subjects": git(work, "log", "--format=%s").splitlines(),
        "status": git(work, "--no-optional-locks", "status", "--porcelain", "--ignored"),
        "files": files,
        "own": own,
    }


def main(told: dict) -> None:
    from kedro.framework.startup import bootstrap_project

    from kedro_k8s_airflow import compiler
    from kedro_k8s_airflow.publish import publisher
    from kedro_k8s_airflow.request import CompileRequest

    signal.alarm(900)  # all turns together take longer than one command of the tests may
    asked = CompileRequest(metadata=bootstrap_project(Path.cwd()))
    examined = compiler.compile_request(asked)
    publisher.compiler.compile_request = lambda _: examined  # the project is read once for all turns
    wish = publisher.PublishOptions(**told["wish"])
    saved = [(folder, f"{folder}.saved") for folder in told["folders"]]
    for folder, copy in saved:
        shutil.copytree(folder, copy, symlinks=True)
    temporary = Path(told["temporary"])
    temporary.mkdir()
    os.environ["TMPDIR"] = str(temporary)
    roots = [*told["folders"], str(temporary)]
    report = []
    for number in range(1, 1000):
        for folder, copy in saved:
            shutil.rmtree(folder)
            shutil.copytree(copy, folder, symlinks=True)
        killed = publish_killed(lambda: publisher.publish_dags(asked, wish), number, roots)
        left = state(told["work"], told["bare"])
        publish_killed(lambda: publisher.publish_dags(asked, wish), None, roots)
        report.append({"killed": killed, "left": left, "mended": state(told["work"], told["bare"])})
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(temporary)
        temporary.mkdir()
        if killed is None:
            break
    json.dump(report, sys.stdout)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
