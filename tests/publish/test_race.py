"""Several publisher processes push to one repository at once: one wins, the others retry or stop, and nothing is lost."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from kedro_k8s_airflow.publish import git as git_module
from kedro_k8s_airflow.publish.git import Git, GitError
from tests.support.paths import BARRIER_PUBLISHER
from tests.support.workspace import (
    MANIFEST_FOLDER,
    build_environment,
    clone_repository,
    commit_files,
    make_publish_project,
    run_git,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.support.workspace import Workspace

PUBLISHERS = 4


def run_at_once(started: Sequence[tuple[Path, Sequence[str]]], gate: Path) -> list[tuple[int, str]]:
    """Run commands, each in a project; none goes on before all have read their project. Return exit codes and output."""
    program = BARRIER_PUBLISHER
    env = build_environment(KKA_GATE=str(gate), KKA_PUBLISHERS=str(len(started)))
    gate.mkdir()
    running = [
        subprocess.Popen(
            [sys.executable, program, "k8s-airflow", *options],
            cwd=folder,
            env={**env, "KKA_NAME": str(number)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for number, (folder, options) in enumerate(started)
    ]
    outputs = [(process, process.communicate(timeout=300)[0]) for process in running]
    for process, output in outputs:
        assert "Traceback" not in output, output
        assert process.returncode in (0, 1), output
    assert len(list(gate.iterdir())) == len(started), "all have waited for each other"
    return [(process.returncode, output) for process, output in outputs]


def published_projects(workspace: Workspace) -> set[str]:
    """Projects with a manifest on main, each with all its DAGs."""
    state = workspace.state(workspace.bare, "main")
    owners = set()
    for path, text in state.items():
        if path.startswith(MANIFEST_FOLDER):
            manifest = json.loads(text)
            assert {f"dags/{name}" for name in manifest["files"]} <= set(state)
            owners.add(manifest["project"])
    assert run_git(workspace.bare, "fsck", "--strict", "--no-dangling") == ""
    return owners


@pytest.mark.parametrize("way", ["address", "checkouts"])
def test_projects_that_publish_at_once_lose_nothing(workspace: Workspace, tmp_path: Path, way: str) -> None:
    projects = {
        f"p{number}": make_publish_project(tmp_path / f"p{number}", f"p{number}") for number in range(PUBLISHERS)
    }
    targets = {
        name: f"file://{workspace.bare}"
        if way == "address"
        else str(clone_repository(workspace.bare, tmp_path / f"work-{name}"))
        for name in projects
    }
    turns = 0
    left = dict(projects)
    while left:
        turns += 1
        started = [(folder, ("publish", "--to", targets[name], "--push")) for name, folder in left.items()]
        ended = dict(zip(left, run_at_once(started, tmp_path / f"gate-{turns}"), strict=True))
        won = {name for name, (code, _) in ended.items() if code == 0}
        assert won, "at least one wins"
        assert won <= published_projects(workspace), "what a successful publisher committed is there"
        for name, (code, output) in ended.items():
            assert code == 0 or "[publish-moved]" in output, output
            left.pop(name) if code == 0 else None
        assert turns <= PUBLISHERS
    assert published_projects(workspace) == set(projects)
    # A line of commits, one for each: nothing was merged, made twice or thrown away.
    subjects = run_git(workspace.bare, "log", "--format=%s", "main").splitlines()
    assert sorted(subjects) == sorted(["First", *(f"Publish {name}: 2 new DAGs" for name in projects)])


def test_one_project_published_twice_at_once_is_published_by_one(workspace: Workspace, tmp_path: Path) -> None:
    folders = []
    for number in range(2):
        folder = make_publish_project(tmp_path / f"copy{number}")
        workspace.settings(folder, namespace=f"from-{number}")
        folders.append(folder)
    started = [(folder, ("publish", "--to", f"file://{workspace.bare}", "--push")) for folder in folders]
    ended = run_at_once(started, tmp_path / "gate")
    codes = [code for code, _ in ended]
    text = workspace.state(workspace.bare, "main")["dags/project_main.py"]
    winner = codes.index(0)
    if codes == [0, 0]:  # one came so late that it began with what the other had published
        assert len(workspace.log(workspace.bare, "main")) == 3
    else:
        assert sorted(codes) == [0, 1]
        assert f'"namespace": "from-{winner}"' in text
        assert "[publish-moved]" in ended[1 - winner][1]
        assert len(workspace.log(workspace.bare, "main")) == 2


def test_the_same_published_twice_at_once_is_no_conflict(workspace: Workspace, tmp_path: Path) -> None:
    folders = [workspace.project, make_publish_project(tmp_path / "copy")]
    started = [(folder, ("publish", "--to", f"file://{workspace.bare}", "--push")) for folder in folders]
    ended = run_at_once(started, tmp_path / "gate")
    assert [code for code, _ in ended] == [0, 0], ended
    assert len(workspace.log(workspace.bare, "main")) == 2


def test_publishers_in_one_checkout_wait_for_each_other(workspace: Workspace, tmp_path: Path) -> None:
    projects = [make_publish_project(tmp_path / f"p{number}", f"p{number}") for number in range(PUBLISHERS)]
    started = [(folder, ("publish", "--to", str(workspace.work), "--push")) for folder in projects]
    ended = run_at_once(started, tmp_path / "gate")
    assert [code for code, _ in ended] == [0] * PUBLISHERS, ended
    assert published_projects(workspace) == {f"p{number}" for number in range(PUBLISHERS)}
    assert workspace.clean()


def push_in_between(workspace: Workspace, script: str) -> None:
    """Run a script between the moment when a publisher reads the repository and its push."""
    path = workspace.work / ".git" / "hooks" / "pre-push"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_rejected_push_is_retried_once(workspace: Workspace, tmp_path: Path) -> None:
    other = clone_repository(workspace.bare, tmp_path / "other")
    commit_files(other, {"dags/other.py": "# newer\n"}, "Meanwhile")
    push_in_between(workspace, f"git -C {other} push --quiet origin main || true")
    output = workspace.publish("--push")
    assert "pushed branch main" in output
    assert workspace.log(workspace.bare, "main") == ["Publish project: 2 new DAGs", "Meanwhile", "First"]
    assert workspace.clean()
    assert workspace.log() == workspace.log(workspace.bare, "main")


def test_a_push_that_comes_too_late_twice_stops_with_advice(workspace: Workspace, tmp_path: Path) -> None:
    other = clone_repository(workspace.bare, tmp_path / "other")
    push_in_between(
        workspace,
        f"cd {other} && unset GIT_DIR && git commit --quiet --allow-empty --message Meanwhile && git push --quiet origin main",
    )
    output = workspace.publish("--push", code=1)
    assert "[publish-moved]" in output
    assert "Publish again" in output
    assert workspace.log(workspace.bare, "main") == ["Meanwhile", "Meanwhile", "First"]
    (workspace.work / ".git" / "hooks" / "pre-push").unlink()
    workspace.publish("--push")
    assert workspace.log(workspace.bare, "main") == ["Publish project: 2 new DAGs", "Meanwhile", "Meanwhile", "First"]
    assert workspace.clean()


def test_publisher_overtaken_by_the_same_project_stops(workspace: Workspace, tmp_path: Path) -> None:
    other = clone_repository(workspace.bare, tmp_path / "other")
    copy = make_publish_project(tmp_path / "copy")
    workspace.settings(copy, namespace="theirs")
    workspace.publish(to=other, project=copy)
    push_in_between(workspace, f"git -C {other} push --quiet origin main || true")
    output = workspace.publish("--push", code=1)
    assert "[publish-moved]" in output
    assert "at the same time" in output
    assert '"namespace": "theirs"' in workspace.state(workspace.bare, "main")["dags/project_main.py"]


def lock_branch(workspace: Workspace) -> tuple[Path, Git, str, str]:
    """Lock the remote branch as another git process does; return the lock, the checkout, its new commit and the remote's."""
    known = run_git(workspace.bare, "rev-parse", "main")
    commit = commit_files(workspace.work, {"dags/new.py": "# new\n"}, "New")
    lock = workspace.bare / "refs" / "heads" / "main.lock"
    lock.touch()
    return lock, Git(workspace.work), commit, known


def test_a_push_waits_for_a_process_that_holds_the_branch(workspace: Workspace) -> None:
    lock, git, commit, known = lock_branch(workspace)
    with pytest.raises(GitError, match="main"):  # without waiting, it is an error
        git.run("push", "origin", f"{commit}:refs/heads/main")
    release = threading.Timer(0.3, lock.unlink)
    release.start()
    assert git.push("origin", commit, "main", known) == "pushed"
    release.join()
    assert run_git(workspace.bare, "rev-parse", "main") == commit


def test_a_branch_that_moves_while_it_is_locked_has_moved(workspace: Workspace, tmp_path: Path) -> None:
    other = clone_repository(workspace.bare, tmp_path / "other")
    run_git(other, "push", "--quiet", "origin", f"{commit_files(other, {'x': ''}, 'Meanwhile')}:refs/heads/side")
    lock, git, commit, known = lock_branch(workspace)

    lock.write_text(run_git(workspace.bare, "rev-parse", "side") + "\n")
    release = threading.Timer(0.3, lock.replace, [lock.with_suffix("")])  # as git moves a branch
    release.start()
    assert git.push("origin", commit, "main", known) == "moved"
    release.join()


def test_a_branch_that_stays_locked_is_an_error(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(git_module, "LOCK_DELAYS", (0.01,))
    lock, git, commit, known = lock_branch(workspace)
    with pytest.raises(GitError, match="main"):
        git.push("origin", commit, "main", known)
    assert lock.exists()
    assert run_git(workspace.bare, "rev-parse", "main") == known


def test_a_push_that_a_hook_declines_is_not_repeated(workspace: Workspace) -> None:
    tries = workspace.bare / "tries"
    hook = workspace.bare / "hooks" / "pre-receive"
    hook.write_text(f"#!/bin/sh\necho try >> {tries}\nexit 1\n")
    hook.chmod(0o755)
    commit = commit_files(workspace.work, {"dags/new.py": "# new\n"}, "New")
    with pytest.raises(GitError, match="hook declined"):
        Git(workspace.work).push("origin", commit, "main", run_git(workspace.bare, "rev-parse", "main"))
    assert tries.read_text() == "try\n"
