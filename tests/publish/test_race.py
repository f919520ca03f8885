"""Several publishers at once, each a process of its own, into one bare repository: one wins, the others try again or stop, nothing is lost."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.support.paths import BARRIER_PUBLISHER
from tests.support.workspace import MANIFESTS, clone, commit, environment, git, project

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.support.workspace import Desk

PUBLISHERS = 4


def at_once(started: Sequence[tuple[Path, Sequence[str]]], gate: Path) -> list[tuple[int, str]]:
    """Run commands, each in a project; all have read theirs before the first may go on: codes, and what was printed."""
    program = BARRIER_PUBLISHER
    env = environment(KKA_GATE=str(gate), KKA_PUBLISHERS=str(len(started)))
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
    ended = [(one, one.communicate(timeout=300)[0]) for one in running]
    for one, said in ended:
        assert "Traceback" not in said, said
        assert one.returncode in (0, 1), said
    return [(one.returncode, said) for one, said in ended]


def published(desk: Desk) -> set[str]:
    """Projects with a manifest on main, each with all its DAGs."""
    state = desk.state(desk.bare, "main")
    found = set()
    for path, text in state.items():
        if path.startswith(MANIFESTS):
            manifest = json.loads(text)
            assert {f"dags/{name}" for name in manifest["files"]} <= set(state)
            found.add(manifest["project"])
    assert git(desk.bare, "fsck", "--strict", "--no-dangling") == ""
    return found


@pytest.mark.parametrize("way", ["address", "checkouts"])
def test_projects_that_publish_at_once_lose_nothing(desk: Desk, tmp_path: Path, way: str) -> None:
    projects = {f"p{number}": project(tmp_path / f"p{number}", f"p{number}") for number in range(PUBLISHERS)}
    targets = {
        name: f"file://{desk.bare}" if way == "address" else str(clone(desk.bare, tmp_path / f"work-{name}"))
        for name in projects
    }
    turns = 0
    left = dict(projects)
    while left:
        turns += 1
        started = [(folder, ("publish", "--to", targets[name], "--push")) for name, folder in left.items()]
        ended = dict(zip(left, at_once(started, tmp_path / f"gate-{turns}"), strict=True))
        won = {name for name, (code, _) in ended.items() if code == 0}
        assert won, "at least one wins"
        assert won <= published(desk), "who was told that it is done finds it there"
        for name, (code, said) in ended.items():
            assert code == 0 or "[publish-moved]" in said, said
            left.pop(name) if code == 0 else None
        assert turns <= PUBLISHERS
    assert published(desk) == set(projects)
    # A line of commits, one for each: nothing was merged, made twice or thrown away.
    subjects = git(desk.bare, "log", "--format=%s", "main").splitlines()
    assert sorted(subjects) == sorted(["First", *(f"Publish {name}: 2 new DAGs" for name in projects)])


def test_one_project_published_twice_at_once_is_published_by_one(desk: Desk, tmp_path: Path) -> None:
    folders = []
    for number in range(2):
        folder = project(tmp_path / f"copy{number}")
        desk.settings(folder, namespace=f"from-{number}")
        folders.append(folder)
    started = [(folder, ("publish", "--to", f"file://{desk.bare}", "--push")) for folder in folders]
    ended = at_once(started, tmp_path / "gate")
    codes = [code for code, _ in ended]
    text = desk.state(desk.bare, "main")["dags/project_main.py"]
    winner = codes.index(0)
    if codes == [0, 0]:  # one came so late that it began with what the other had published
        assert len(desk.log(desk.bare, "main")) == 3
    else:
        assert sorted(codes) == [0, 1]
        assert f'"namespace": "from-{winner}"' in text
        assert "[publish-moved]" in ended[1 - winner][1]
        assert len(desk.log(desk.bare, "main")) == 2


def test_the_same_published_twice_at_once_is_no_conflict(desk: Desk, tmp_path: Path) -> None:
    folders = [desk.project, project(tmp_path / "copy")]
    started = [(folder, ("publish", "--to", f"file://{desk.bare}", "--push")) for folder in folders]
    assert [code for code, _ in at_once(started, tmp_path / "gate")] == [0, 0]
    assert len(desk.log(desk.bare, "main")) == 2


def test_publishers_in_one_checkout_take_turns(desk: Desk, tmp_path: Path) -> None:
    projects = [project(tmp_path / f"p{number}", f"p{number}") for number in range(PUBLISHERS)]
    started = [(folder, ("publish", "--to", str(desk.work), "--push")) for folder in projects]
    ended = at_once(started, tmp_path / "gate")
    assert [code for code, _ in ended] == [0] * PUBLISHERS, ended
    assert published(desk) == {f"p{number}" for number in range(PUBLISHERS)}
    assert desk.clean()


def hook(desk: Desk, script: str) -> None:
    """Let somebody else push in the moment between a publisher's look at the repository and its push."""
    path = desk.work / ".git" / "hooks" / "pre-push"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_a_push_that_comes_too_late_is_made_again_once(desk: Desk, tmp_path: Path) -> None:
    other = clone(desk.bare, tmp_path / "other")
    commit(other, {"dags/other.py": "# newer\n"}, "Meanwhile")
    hook(desk, f"git -C {other} push --quiet origin main || true")
    said = desk.publish("--push")
    assert "pushed branch main" in said
    assert desk.log(desk.bare, "main") == ["Publish project: 2 new DAGs", "Meanwhile", "First"]
    assert desk.clean()
    assert desk.log() == desk.log(desk.bare, "main")


def test_a_push_that_comes_too_late_twice_stops_with_advice(desk: Desk, tmp_path: Path) -> None:
    other = clone(desk.bare, tmp_path / "other")
    hook(
        desk,
        f"cd {other} && unset GIT_DIR && git commit --quiet --allow-empty --message Meanwhile && git push --quiet origin main",
    )
    said = desk.publish("--push", code=1)
    assert "[publish-moved]" in said
    assert "Publish again" in said
    assert desk.log(desk.bare, "main") == ["Meanwhile", "Meanwhile", "First"]
    (desk.work / ".git" / "hooks" / "pre-push").unlink()
    desk.publish("--push")
    assert desk.log(desk.bare, "main") == ["Publish project: 2 new DAGs", "Meanwhile", "Meanwhile", "First"]
    assert desk.clean()


def test_who_was_overtaken_by_the_same_project_stops(desk: Desk, tmp_path: Path) -> None:
    other = clone(desk.bare, tmp_path / "other")
    copy = project(tmp_path / "copy")
    desk.settings(copy, namespace="theirs")
    desk.publish(to=other, project=copy)
    hook(desk, f"git -C {other} push --quiet origin main || true")
    said = desk.publish("--push", code=1)
    assert "[publish-moved]" in said
    assert "by somebody else at the same time" in said
    assert '"namespace": "theirs"' in desk.state(desk.bare, "main")["dags/project_main.py"]
