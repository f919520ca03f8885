"""Killed before each of its writes, `publish` leaves the target as it was or as it is to be, and the next run finishes the rest."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.paths import KILL_POINTS
from tests.support.workspace import GIT, IDENTITY, Desk, clone, commit, git

if TYPE_CHECKING:
    from collections.abc import Mapping

DAG = "dags/project_main.py"


def killed(desk: Desk, work: Path | None, **wish: Any) -> list[dict[str, Any]]:
    """The report of publishing again and again, killed before another write each time."""
    folders = [*([work] if work else []), desk.bare]
    told = {
        "wish": {"to": str(work or f"file://{desk.bare}"), **wish},
        "folders": [str(folder) for folder in folders],
        "work": str(work) if work else None,
        "bare": str(desk.bare),
        "temporary": str(desk.bare.parent / "temporary"),
    }
    done = desk.forge.script(str(KILL_POINTS), json.dumps(told), cwd=desk.project, env={**GIT, **IDENTITY})
    assert done.code == 0, done.err[-3000:]
    report: list[dict[str, Any]] = json.loads(done.out[done.out.index("[{") :])
    assert report.pop()["killed"] is None
    return report


# What git does that changes something; a test that does not kill before each of them proves little.
ALWAYS = {"git hash-object", "git update-index", "git write-tree", "git commit-tree"}


def whole(
    report: list[dict[str, Any]], before: Mapping[str, Any], after: Mapping[str, Any], *among: str, at_least: int
) -> None:
    """Every state that a kill has left is one of the two, and every state after the next run is the second."""
    kills = [turn["killed"] for turn in report]
    assert ALWAYS | {f"git {one}" for one in among} <= set(kills)
    assert len(kills) >= at_least, kills
    for turn in report:
        told, left, mended = turn["killed"], turn["left"], turn["mended"]
        assert left["bare"] in (before["bare"], after["bare"]), told
        assert mended["bare"] == after["bare"], told
        assert len(mended["subjects"]) == len(after["subjects"]), told
        if "tree" not in left:
            continue
        assert left["tree"] in (before["tree"], after["tree"]), told
        for name, content in left["files"].items():
            if name.endswith(".k8s-airflow"):
                continue  # on its way to its place; no reader takes it for a DAG
            assert content in (before["files"].get(name), after["files"].get(name)), (told, name)
        if left["tree"] == after["tree"]:  # the branch is the last to move
            assert (left["files"], left["status"]) == (after["files"], ""), told
        gone = set(before["files"]) - set(left["files"])
        assert gone <= set(before["files"]) - set(after["files"]), told
        assert mended["tree"] == after["tree"], told
        assert mended["files"] == after["files"], told
        assert mended["status"] == "", told
        assert mended["own"] == after["own"], told


def states(desk: Desk, work: Path | None, *options: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The two states that there may be: now, and after publishing copies of both repositories."""
    folder = desk.bare.parent / "rehearsal"
    folder.mkdir()
    hub = Path(shutil.copytree(desk.bare, folder / desk.bare.name, symlinks=True))
    copied = Path(shutil.copytree(work, folder / work.name, symlinks=True)) if work else None
    if copied:
        git(copied, "remote", "set-url", "origin", f"file://{hub}")
    script = f"""
import json, sys
sys.path.insert(0, {str(KILL_POINTS.parent)!r})
from kill_points import state
json.dump(state({str(copied) if copied else None!r}, {str(hub)!r}), sys.stdout)
"""
    program = folder / "state.py"
    program.write_text(script)

    def see() -> dict[str, Any]:
        done = desk.forge.script(str(program), cwd=desk.project, env={**GIT, **IDENTITY})
        assert done.code == 0, done
        found: dict[str, Any] = json.loads(done.out)
        return found

    before = see()
    desk.publish(*options, to=copied or f"file://{hub}")
    return before, see()


def changed(desk: Desk) -> None:
    """A project that was published, and that changes one DAG, adds one and drops one."""
    desk.publish("--push")
    desk.settings(dags={"main": {"pipeline": "__default__", "retries": 5}, "new": {"pipeline": "side"}})


def test_a_checkout_with_a_push(desk: Desk) -> None:
    changed(desk)
    before, after = states(desk, desk.work, "--push")
    report = killed(desk, desk.work, push=True)
    whole(report, before, after, "update-ref", "push", at_least=35)
    assert {tuple(turn["left"]["bare"]) for turn in report} == {tuple(before["bare"])}, (
        "the push is the last of all writes"
    )


@pytest.mark.full
def test_a_checkout_that_lags_with_a_push(desk: Desk, tmp_path: Path) -> None:
    changed(desk)
    other = clone(desk.bare, tmp_path / "other")
    commit(other, {"dags/other.py": "# newer\n", "more/x": "x\n"}, "Meanwhile")
    git(other, "push", "--quiet")
    before, after = states(desk, desk.work, "--push")
    assert after["subjects"][1] == "Meanwhile"
    whole(killed(desk, desk.work, push=True), before, after, "fetch", "read-tree", "update-ref", "push", at_least=35)


@pytest.mark.full
def test_an_unborn_branch(desk: Desk, tmp_path: Path) -> None:
    work = tmp_path / "new"
    work.mkdir()
    git(work, "init", "--quiet", "--initial-branch=main")
    git(work, "remote", "add", "origin", f"file://{desk.bare}")
    before, after = states(desk, work)
    whole(killed(desk, work), before, after, "update-ref", at_least=25)


def test_another_branch_of_a_checkout(desk: Desk) -> None:
    changed(desk)
    before, after = states(desk, desk.work, "--branch", "robot", "--push")
    report = killed(desk, desk.work, branch="robot", push=True)
    whole(report, before, after, "update-ref", "push", at_least=12)
    assert {turn["left"]["status"] for turn in report} == {""}


def test_an_address(desk: Desk) -> None:
    changed(desk)
    before, after = states(desk, None, "--push")
    whole(killed(desk, None, push=True), before, after, "init", "fetch", "push", at_least=12)


@pytest.mark.parametrize("again", ["nothing", "change"])
def test_what_was_edited_after_a_kill_is_not_overwritten(desk: Desk, again: str) -> None:
    changed(desk)
    # As a kill leaves it: files and index are new, the branch has not moved, and the journal says so.
    old = git(desk.work, "rev-parse", "HEAD")
    desk.publish()
    new = git(desk.work, "rev-parse", "HEAD")
    paths = git(desk.work, "diff", "--name-only", old, new).splitlines()
    git(desk.work, "update-ref", "refs/heads/main", old)
    journal = desk.work / ".git" / "k8s-airflow-publish.json"
    journal.write_text(json.dumps({"branch": "main", "old": old, "new": new, "ours": paths}))
    (desk.work / DAG).write_text("# by hand, meanwhile\n")
    if again == "change":
        desk.settings(namespace="elsewhere")
    said = desk.publish(code=1)
    assert "[publish-dirty]" in said
    assert "edited since a publish there was stopped" in said
    assert DAG in said
    assert (desk.work / DAG).read_text() == "# by hand, meanwhile\n"
    git(desk.work, "checkout", "--quiet", "HEAD", "--", DAG)
    assert "finished what a publish that was stopped had begun" in desk.publish()
    assert desk.clean()
    assert not journal.exists()


def test_a_journal_of_what_never_happened_is_forgotten(desk: Desk) -> None:
    journal = desk.work / ".git" / "k8s-airflow-publish.json"
    head = git(desk.work, "rev-parse", "HEAD")
    for text in ("", "{", json.dumps({"branch": "main", "old": head, "new": "0" * 40, "ours": [DAG]})):
        journal.write_text(text)
        assert "finished" not in desk.publish("--message", text or "x")
        assert not journal.exists()


def test_the_index_lock_of_a_killed_publish_is_taken_away_and_no_other(desk: Desk) -> None:
    held, lock = desk.work / ".git" / "k8s-airflow-publish.held", desk.work / ".git" / "index.lock"
    held.touch()
    lock.hardlink_to(held)
    desk.publish()
    assert not lock.exists()
    assert not held.exists()
    held.touch()
    lock.touch()
    desk.settings(namespace="elsewhere")
    assert "index.lock exists" in desk.publish(code=1)
    assert lock.exists()
