"""`publish`, killed before each of its writes, leaves the old or the new state, and the next run finishes the rest."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.paths import KILL_POINTS
from tests.support.publish_checks import DAG
from tests.support.workspace import GIT_IDENTITY, ISOLATED_GIT_ENV, Workspace, clone_repository, commit_files, run_git

if TYPE_CHECKING:
    from collections.abc import Mapping


def publish_with_kills(workspace: Workspace, work: Path | None, **options: Any) -> list[dict[str, Any]]:
    """Publish repeatedly, killed before another write each time; return the report."""
    folders = [*([work] if work else []), workspace.bare]
    arguments = {
        "options": {"to": str(work or f"file://{workspace.bare}"), **options},
        "folders": [str(folder) for folder in folders],
        "work": str(work) if work else None,
        "bare": str(workspace.bare),
        "temporary": str(workspace.bare.parent / "temporary"),
    }
    result = workspace.kedro.run_script(
        str(KILL_POINTS), json.dumps(arguments), cwd=workspace.project, env={**ISOLATED_GIT_ENV, **GIT_IDENTITY}
    )
    assert result.code == 0, result.err[-3000:]
    report: list[dict[str, Any]] = json.loads(result.out[result.out.index("[{") :])
    assert report.pop()["killed"] is None
    return report


# Git commands that write; the test has to kill the publish before each of them.
ALWAYS_KILLED_BEFORE = {"git hash-object", "git update-index", "git write-tree", "git commit-tree"}


def assert_atomic(
    report: list[dict[str, Any]], before: Mapping[str, Any], after: Mapping[str, Any], *among: str, at_least: int
) -> None:
    """Check that every kill leaves the old or the new state, and that the next run leads to the new one."""
    kills = [turn["killed"] for turn in report]
    assert ALWAYS_KILLED_BEFORE | {f"git {command}" for command in among} <= set(kills)
    assert len(kills) >= at_least, kills
    for turn in report:
        killed_before, left, repaired = turn["killed"], turn["left"], turn["repaired"]
        assert left["bare"] in (before["bare"], after["bare"]), killed_before
        assert repaired["bare"] == after["bare"], killed_before
        assert len(repaired["subjects"]) == len(after["subjects"]), killed_before
        if "tree" not in left:
            continue
        assert left["tree"] in (before["tree"], after["tree"]), killed_before
        for name, content in left["files"].items():
            if name.endswith(".k8s-airflow"):
                continue  # on its way to its place; no reader takes it for a DAG
            assert content in (before["files"].get(name), after["files"].get(name)), (killed_before, name)
        if left["tree"] == after["tree"]:  # the branch is the last to move
            assert (left["files"], left["status"]) == (after["files"], ""), killed_before
        gone = set(before["files"]) - set(left["files"])
        assert gone <= set(before["files"]) - set(after["files"]), killed_before
        assert repaired["tree"] == after["tree"], killed_before
        assert repaired["files"] == after["files"], killed_before
        assert repaired["status"] == "", killed_before
        assert repaired["own"] == after["own"], killed_before


def expected_states(workspace: Workspace, work: Path | None, *options: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the current state, and the state after publishing to copies of both repositories."""
    folder = workspace.bare.parent / "rehearsal"
    folder.mkdir()
    remote_copy = Path(shutil.copytree(workspace.bare, folder / workspace.bare.name, symlinks=True))
    checkout_copy = Path(shutil.copytree(work, folder / work.name, symlinks=True)) if work else None
    if checkout_copy:
        run_git(checkout_copy, "remote", "set-url", "origin", f"file://{remote_copy}")
    script = f"""
import json, sys
sys.path.insert(0, {str(KILL_POINTS.parent)!r})
from kill_points import read_repository_state
json.dump(read_repository_state({str(checkout_copy) if checkout_copy else None!r}, {str(remote_copy)!r}), sys.stdout)
"""
    program = folder / "state.py"
    program.write_text(script)

    def see() -> dict[str, Any]:
        result = workspace.kedro.run_script(
            str(program), cwd=workspace.project, env={**ISOLATED_GIT_ENV, **GIT_IDENTITY}
        )
        assert result.code == 0, result
        seen: dict[str, Any] = json.loads(result.out)
        return seen

    before = see()
    workspace.publish(*options, to=checkout_copy or f"file://{remote_copy}")
    return before, see()


def publish_and_change(workspace: Workspace) -> None:
    """Publish the project, then change one DAG, add one and remove one."""
    workspace.publish("--push")
    workspace.settings(dags={"main": {"pipeline": "__default__", "retries": 5}, "new": {"pipeline": "side"}})


def test_a_checkout_with_a_push(workspace: Workspace) -> None:
    publish_and_change(workspace)
    before, after = expected_states(workspace, workspace.work, "--push")
    report = publish_with_kills(workspace, workspace.work, push=True)
    assert_atomic(report, before, after, "update-ref", "push", at_least=35)
    assert {tuple(turn["left"]["bare"]) for turn in report} == {tuple(before["bare"])}, (
        "the push is the last of all writes"
    )


@pytest.mark.full
def test_a_checkout_that_lags_with_a_push(workspace: Workspace, tmp_path: Path) -> None:
    publish_and_change(workspace)
    other = clone_repository(workspace.bare, tmp_path / "other")
    commit_files(other, {"dags/other.py": "# newer\n", "more/x": "x\n"}, "Meanwhile")
    run_git(other, "push", "--quiet")
    before, after = expected_states(workspace, workspace.work, "--push")
    assert after["subjects"][1] == "Meanwhile"
    assert_atomic(
        publish_with_kills(workspace, workspace.work, push=True),
        before,
        after,
        "fetch",
        "read-tree",
        "update-ref",
        "push",
        at_least=35,
    )


@pytest.mark.full
def test_an_unborn_branch(workspace: Workspace, tmp_path: Path) -> None:
    work = tmp_path / "new"
    work.mkdir()
    run_git(work, "init", "--quiet", "--initial-branch=main")
    run_git(work, "remote", "add", "origin", f"file://{workspace.bare}")
    before, after = expected_states(workspace, work)
    assert_atomic(publish_with_kills(workspace, work), before, after, "update-ref", at_least=25)


def test_another_branch_of_a_checkout(workspace: Workspace) -> None:
    publish_and_change(workspace)
    before, after = expected_states(workspace, workspace.work, "--branch", "robot", "--push")
    report = publish_with_kills(workspace, workspace.work, branch="robot", push=True)
    assert_atomic(report, before, after, "update-ref", "push", at_least=12)
    assert {turn["left"]["status"] for turn in report} == {""}


def test_an_address(workspace: Workspace) -> None:
    publish_and_change(workspace)
    before, after = expected_states(workspace, None, "--push")
    assert_atomic(publish_with_kills(workspace, None, push=True), before, after, "init", "fetch", "push", at_least=12)


@pytest.mark.parametrize("again", ["nothing", "change"])
def test_what_was_edited_after_a_kill_is_not_overwritten(workspace: Workspace, again: str) -> None:
    publish_and_change(workspace)
    # As a kill leaves it: files and index are new, the branch has not moved, and the journal says so.
    old = run_git(workspace.work, "rev-parse", "HEAD")
    workspace.publish()
    new = run_git(workspace.work, "rev-parse", "HEAD")
    paths = run_git(workspace.work, "diff", "--name-only", old, new).splitlines()
    run_git(workspace.work, "update-ref", "refs/heads/main", old)
    journal = workspace.work / ".git" / "k8s-airflow-publish.json"
    journal.write_text(json.dumps({"branch": "main", "old": old, "new": new, "own_paths": paths}))
    (workspace.work / DAG).write_text("# by hand, meanwhile\n")
    if again == "change":
        workspace.settings(namespace="elsewhere")
    output = workspace.publish(code=1)
    assert "[publish-dirty]" in output
    assert "edited after a publish was interrupted" in output
    assert DAG in output
    assert (workspace.work / DAG).read_text() == "# by hand, meanwhile\n"
    run_git(workspace.work, "checkout", "--quiet", "HEAD", "--", DAG)
    assert "Finished an interrupted publish" in workspace.publish()
    assert workspace.clean()
    assert not journal.exists()


def test_a_journal_of_what_never_happened_is_forgotten(workspace: Workspace) -> None:
    journal = workspace.work / ".git" / "k8s-airflow-publish.json"
    head = run_git(workspace.work, "rev-parse", "HEAD")
    for text in ("", "{", json.dumps({"branch": "main", "old": head, "new": "0" * 40, "own_paths": [DAG]})):
        journal.write_text(text)
        assert "Finished" not in workspace.publish("--message", text or "x")
        assert not journal.exists()


def test_the_index_lock_of_a_killed_publish_is_taken_away_and_no_other(workspace: Workspace) -> None:
    kept, lock = workspace.work / ".git" / "k8s-airflow-publish.held", workspace.work / ".git" / "index.lock"
    kept.touch()
    lock.hardlink_to(kept)
    workspace.publish()
    assert not lock.exists()
    assert not kept.exists()
    kept.touch()
    lock.touch()
    workspace.settings(namespace="elsewhere")
    assert "index.lock exists" in workspace.publish(code=1)
    assert lock.exists()
