"""Publishing loses no work, leaves no partial update and prints no secret."""

from __future__ import annotations

import json
import os
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from tests.support.publish_checks import (
    DAG,
    assert_refused,
    configure_signing,
    push_meanwhile,
    read_repositories,
    read_trailers,
)
from tests.support.workspace import (
    GIT_IDENTITY,
    ISOLATED_GIT_ENV,
    MANIFEST_FOLDER,
    build_environment,
    build_plugin_command,
    clone_repository,
    commit_files,
    make_publish_project,
    run_git,
)

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.workspace import Workspace

MANIFEST = f"{MANIFEST_FOLDER}/project.json"


def tamper_with_manifest(workspace: Workspace, **changes: object) -> None:
    """Tamper with the manifest, in a commit."""
    commit_files(workspace.work, {MANIFEST: json.dumps({**json.loads(workspace.state()[MANIFEST]), **changes})})


# --- commits


@pytest.mark.parametrize("path", ["tool.py", "README.md", DAG, "dags/other.py"])
def test_an_amended_commit_is_not_recreated(workspace: Workspace, tmp_path: Path, path: str) -> None:
    workspace.publish()
    with (workspace.work / path).open("a") as file:
        file.write("# mine\n")
    run_git(workspace.work, "add", path)
    run_git(workspace.work, "commit", "--quiet", "--amend", "--no-edit")
    push_meanwhile(workspace, tmp_path, {"x.txt": "x\n"})
    before = run_git(workspace.work, "rev-parse", "HEAD")
    assert "[publish-diverged]" in workspace.publish("--push", code=1)
    assert run_git(workspace.work, "rev-parse", "HEAD") == before
    assert "# mine" in (workspace.work / path).read_text()


def test_a_commit_of_another_folder_is_not_recreated(workspace: Workspace, tmp_path: Path) -> None:
    workspace.publish("--subfolder", "a/dags")
    push_meanwhile(workspace, tmp_path, {"x.txt": "x\n"})
    assert "[publish-diverged]" in workspace.publish("--subfolder", "b/dags", "--push", code=1)
    assert "a/dags/project_main.py" in workspace.state()


def test_a_branch_is_not_merged_with_a_base_that_is_not_named(workspace: Workspace) -> None:
    run_git(workspace.work, "push", "--quiet", "origin", "main:release")
    commit_files(workspace.work, {"dags/unreleased.py": "# not yet\n"})
    run_git(workspace.work, "push", "--quiet")
    workspace.publish("--push", "--branch", "release", to=f"file://{workspace.bare}")
    assert "dags/unreleased.py" not in workspace.state(workspace.bare, "release")
    run_git(workspace.work, "fetch", "--quiet")
    run_git(workspace.work, "branch", "release", "origin/release")
    workspace.settings(namespace="elsewhere")
    workspace.publish("--push", "--branch", "release")
    assert "dags/unreleased.py" not in workspace.state(workspace.bare, "release")
    workspace.settings(namespace="third")
    workspace.publish("--push", "--branch", "release", "--base", "main")
    assert "dags/unreleased.py" in workspace.state(workspace.bare, "release")


@pytest.mark.parametrize("option", ["--branch", "--base"])
def test_a_full_name_of_a_branch_is_refused(workspace: Workspace, option: str) -> None:
    """A branch refs/heads/refs/heads/main makes every push of main ambiguous, for everybody."""
    for to in (workspace.work, f"file://{workspace.bare}"):
        assert_refused(workspace, "publish-branch", "--push", option, "refs/heads/main", to=to, mentions="Use main")
    assert_refused(workspace, "publish-branch", option, "origin/main", mentions="Use main")


def test_a_base_that_is_mistyped_makes_no_branch(workspace: Workspace) -> None:
    for to in (workspace.work, f"file://{workspace.bare}"):
        assert_refused(workspace, "publish-branch", "--push", "--base", "mian", to=to, mentions="'mian'")


def test_an_unfinished_rebase_is_refused(workspace: Workspace) -> None:
    commit_files(workspace.work, {"a": "1"})
    commit_files(workspace.work, {"a": "2"})
    run_git(workspace.work, "checkout", "--quiet", "-b", "feature")
    subprocess.run(
        ["git", "rebase", "--quiet", "--interactive", "HEAD~2"],
        cwd=workspace.work,
        env=build_environment(GIT_SEQUENCE_EDITOR="sed -i 1s/pick/edit/"),
        capture_output=True,
        check=True,
    )
    assert_refused(workspace, "publish-dirty", mentions="rebase")
    assert_refused(workspace, "publish-dirty", "--branch", "feature", mentions="rebase of feature")
    workspace.publish("--branch", "robot")


# --- files


@pytest.mark.parametrize("bit", ["--skip-worktree", "--assume-unchanged"])
@pytest.mark.parametrize("path", [DAG, "dags/other.py"])
def test_an_edit_that_git_status_hides_is_not_overwritten(
    workspace: Workspace, tmp_path: Path, bit: str, path: str
) -> None:
    workspace.publish("--push")
    (workspace.work / path).write_text("# hidden\n")
    run_git(workspace.work, "update-index", bit, path)
    push_meanwhile(workspace, tmp_path, {"dags/other.py": "# newer\n"})
    workspace.settings(namespace="elsewhere")
    head = run_git(workspace.work, "rev-parse", "HEAD")
    workspace.publish("--push", code=1)
    assert (workspace.work / path).read_text() == "# hidden\n"
    assert run_git(workspace.work, "rev-parse", "HEAD") == head


def test_staged_content_is_not_lost_when_the_file_equals_the_new_one(workspace: Workspace) -> None:
    workspace.publish()
    workspace.settings(namespace="elsewhere")
    workspace.publish("--branch", "next")
    (workspace.work / DAG).write_text("# staged\n")
    run_git(workspace.work, "add", DAG)
    (workspace.work / DAG).write_text(workspace.state(ref="next")[DAG] + "\n")
    assert_refused(workspace, "publish-dirty", mentions=DAG)
    assert run_git(workspace.work, "show", f":{DAG}") == "# staged"


def test_a_repository_inside_is_not_written_into(workspace: Workspace) -> None:
    inner = workspace.work / "new"
    inner.mkdir()
    run_git(inner, "init", "--quiet")
    commit_files(inner, {"project_main.py": "# theirs\n"})
    (inner / "project_main.py").write_text("# not committed\n")
    assert_refused(workspace, "publish-dirty", "--subfolder", "new")
    assert (inner / "project_main.py").read_text() == "# not committed\n"


def test_a_folder_in_the_place_of_a_file_is_left(workspace: Workspace) -> None:
    (workspace.work / DAG).mkdir()
    assert_refused(workspace, "publish-dirty", mentions=DAG)
    (workspace.work / DAG).rmdir()
    workspace.publish()
    assert workspace.clean()


def test_a_pipe_in_the_place_of_a_file_does_not_block(workspace: Workspace) -> None:
    os.mkfifo(workspace.work / DAG)
    assert_refused(workspace, "publish-dirty", mentions=DAG)
    done = workspace.run("check", "--drift", "--against", str(workspace.work))
    assert (done.code, "[file]" in done.err) == (2, True)


def test_filters_that_git_applies_are_not_edits(workspace: Workspace) -> None:
    run_git(workspace.work, "config", "filter.x.clean", "sed s/project/PROJECT/g")
    run_git(workspace.work, "config", "filter.x.smudge", "sed s/PROJECT/project/g")
    commit_files(workspace.work, {".gitattributes": "project_*.py filter=x\n"})
    workspace.publish()
    workspace.settings(namespace="elsewhere")
    workspace.publish()
    workspace.settings(namespace="third")
    workspace.publish()
    assert '"namespace": "third"' in (workspace.work / DAG).read_text()


# --- commits that others have pushed


def make_stash_conflict(workspace: Workspace) -> None:
    (workspace.work / "README.md").write_text("mine\n")
    run_git(workspace.work, "stash", "--quiet")
    commit_files(workspace.work, {"README.md": "theirs\n"})
    run_git(workspace.work, "push", "--quiet")
    run_git(workspace.work, "stash", "pop", ok=False)


def add_untracked_file(workspace: Workspace) -> None:
    (workspace.work / "more").write_text("mine\n")


def add_ignored_file(workspace: Workspace) -> None:
    (workspace.work / ".git" / "info" / "exclude").write_text("more\n")
    add_untracked_file(workspace)


def nest_repository(workspace: Workspace) -> None:
    (workspace.work / "more").mkdir()
    run_git(workspace.work / "more", "init", "--quiet")
    commit_files(workspace.work / "more", {"x": "mine\n"})


@pytest.mark.parametrize("do", [make_stash_conflict, add_untracked_file, add_ignored_file, nest_repository])
def test_a_failed_update_of_the_work_tree_changes_nothing(workspace: Workspace, tmp_path: Path, do) -> None:
    do(workspace)
    push_meanwhile(workspace, tmp_path, {"more/x": "theirs\n", "dags/other.py": "# newer\n"})
    before = read_repositories(workspace)[0]
    workspace.publish("--push", code=1)
    after = read_repositories(workspace)[0]
    unseen = (".git/FETCH_HEAD", ".git/refs/remotes/", ".git/logs/refs/remotes/")
    assert {name: content for name, content in after.items() if not name.startswith(unseen)} == {
        name: content for name, content in before.items() if not name.startswith(unseen)
    }


def test_a_switch_of_branches_during_a_publish_is_refused(workspace: Workspace, tmp_path: Path) -> None:
    run_git(workspace.work, "branch", "feature")
    slow = tmp_path / "slow"
    slow.write_text('#!/bin/sh\ntouch "$0.asked"\nsleep 2\nexec git-upload-pack "$@"\n')
    slow.chmod(0o755)
    run_git(workspace.work, "config", "remote.origin.uploadpack", str(slow))
    running = subprocess.Popen(
        build_plugin_command("publish", "--to", str(workspace.work), "--push"),
        cwd=workspace.project,
        env=build_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    while not (tmp_path / "slow.asked").exists():
        assert running.poll() is None
        time.sleep(0.05)
    run_git(workspace.work, "switch", "--quiet", "feature")
    output = running.communicate(timeout=60)[0]
    assert running.returncode == 1, output
    assert "[publish-moved]" in output
    assert workspace.log(ref="main") == ["First"]
    assert workspace.clean()


# --- branches of requests


def publish_request(workspace: Workspace, *options: str, to: Path | None = None) -> str:
    target = to or f"file://{workspace.bare}"
    return workspace.publish("--push", "--branch", "robot", "--base", "main", *options, to=target)


@pytest.mark.parametrize("squash", [False, True])
@pytest.mark.parametrize("kept", [False, True])
def test_a_branch_that_was_deleted_on_the_remote_is_not_recreated(
    workspace: Workspace, *, squash: bool, kept: bool
) -> None:
    """In a temporary clone, and in a checkout."""
    publish_request(workspace, to=workspace.work if kept else None)
    run_git(workspace.work, "fetch", "--quiet")
    run_git(
        workspace.work,
        "merge",
        "--quiet",
        *(["--squash"] if squash else ["--no-ff", "--message=Merge"]),
        "origin/robot",
    )
    if squash:
        commit_files(workspace.work, {}, "Squashed")
    run_git(workspace.work, "push", "--quiet")
    run_git(workspace.bare, "branch", "-D", "robot")
    output = publish_request(workspace, to=workspace.work if kept else None)
    assert "Already up to date: new branch robot" in output
    assert "pushed" not in output
    assert run_git(workspace.bare, "branch", "--list", "robot") == ""
    workspace.settings(namespace="elsewhere")
    publish_request(workspace, to=workspace.work if kept else None)
    assert run_git(workspace.bare, "log", "-1", "--format=%P", "robot") == run_git(workspace.work, "rev-parse", "main")


def test_what_was_merged_and_taken_back_can_be_published_again(workspace: Workspace) -> None:
    publish_request(workspace)
    run_git(workspace.work, "fetch", "--quiet")
    run_git(workspace.work, "merge", "--quiet", "--no-ff", "--message=Merge", "origin/robot")
    run_git(workspace.work, "revert", "--no-edit", "--mainline=1", "HEAD")
    run_git(workspace.work, "push", "--quiet")
    assert DAG not in workspace.state(workspace.bare, "main")
    assert "project_main: new" in publish_request(workspace)
    run_git(workspace.work, "fetch", "--quiet")
    run_git(workspace.work, "merge", "--quiet", "origin/robot")
    assert DAG in workspace.state()


def test_a_checkout_that_is_behind_is_reported_when_there_is_nothing_to_commit(
    workspace: Workspace, tmp_path: Path
) -> None:
    workspace.publish("--push", to=clone_repository(workspace.bare, tmp_path / "other"))
    output = workspace.publish("--push")
    assert "Already up to date: origin/main (local checkout is behind)." in output


def test_a_base_is_looked_for_though_the_branch_is_checked_out(workspace: Workspace) -> None:
    run_git(workspace.work, "checkout", "--quiet", "-b", "robot")
    assert_refused(
        workspace, "publish-branch", "--branch", "robot", "--base", "mian", mentions="Existing branches: main, robot."
    )
    run_git(workspace.work, "checkout", "--quiet", "--orphan", "fresh")
    run_git(workspace.work, "rm", "-rqf", ".")
    workspace.publish("--branch", "fresh", "--base", "main")
    assert {DAG, "README.md"} <= set(workspace.state())
    assert workspace.clean()


def test_a_bisect_is_refused(workspace: Workspace) -> None:
    for number in range(3):
        commit_files(workspace.work, {"n": str(number)})
    run_git(workspace.work, "bisect", "start", "HEAD", "HEAD~3")
    assert_refused(workspace, "publish-dirty", mentions="bisect")


def test_signatures_in_logs_do_not_hide_own_commits(workspace: Workspace, tmp_path: Path) -> None:
    configure_signing(workspace, tmp_path)
    run_git(workspace.work, "config", "log.showSignature", "true")
    workspace.publish()
    push_meanwhile(workspace, tmp_path, {"x.txt": "x\n"})
    workspace.publish("--push")
    assert len(workspace.log(workspace.bare, "main")) == 3


def test_repositories_that_git_is_not_to_find_by_itself(workspace: Workspace) -> None:
    more = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.bareRepository", "GIT_CONFIG_VALUE_0": "explicit"}
    workspace.publish("--push", to=f"file://{workspace.bare}", env=more)
    assert "Already up to date" in workspace.publish("--push", to=workspace.bare, env=more)
    for what in (str(workspace.bare), f"file://{workspace.bare}"):
        result = workspace.run("check", "--drift", "--against", what, env=more)
        assert result.out.endswith("no drift\n"), result


def test_a_dry_run_asks_the_remote_that_would_be_pushed_to(workspace: Workspace, tmp_path: Path) -> None:
    workspace.publish("--push", to=clone_repository(workspace.bare, tmp_path / "other"))
    before = read_repositories(workspace)
    output = workspace.publish("--push", "--dry-run")
    assert "Already up to date" in output
    workspace.settings(namespace="elsewhere")
    assert "and push" in workspace.publish("--push", "--dry-run")
    assert read_repositories(workspace) == before


# --- half done

PATCH_PROGRAM = """
import errno, os, sys
from pathlib import Path
what = sys.argv.pop(1)
{patch}
from kedro.framework.cli.cli import main
sys.path.insert(0, os.getcwd())
sys.argv[0] = "kedro"
main()
"""
DISK_FULL = """
write = Path.write_bytes
def full(self, content):
    if what in self.name and self.name.endswith(".k8s-airflow"):
        raise OSError(errno.ENOSPC, "No space left on device", str(self))
    return write(self, content)
Path.write_bytes = full
"""
FAIL_LATE = """
replace = Path.replace
def late(self, target):
    if what in self.name and "KKA_UNDONE" not in os.environ:
        os.environ["KKA_UNDONE"] = "1"
        raise OSError(errno.EACCES, "Permission denied", str(target))
    return replace(self, target)
Path.replace = late
"""
NO_LINKS = """
def link(*_, **__):
    raise OSError(errno.EPERM, "Operation not permitted")
os.link = link
"""


def publish_with_patch(workspace: Workspace, patch: str, what: str, *options: str) -> tuple[int, str]:
    """`publish` where the disk refuses something."""
    program = workspace.project.parent / "patched.py"
    program.write_text(PATCH_PROGRAM.replace("{patch}", patch))
    arguments = ("k8s-airflow", "publish", "--to", str(workspace.work), *options)
    result = workspace.kedro.run_script(
        str(program), what, *arguments, cwd=workspace.project, env={**ISOLATED_GIT_ENV, **GIT_IDENTITY}
    )
    assert "Traceback" not in result.err, result.err
    return result.code, result.output


@pytest.mark.parametrize("published", [False, True])
@pytest.mark.parametrize(
    ("patch", "what"),
    [(DISK_FULL, "project.json"), (DISK_FULL, "project_main"), (FAIL_LATE, "project_main"), (FAIL_LATE, "index")],
)
def test_a_failing_disk_leaves_everything_unchanged(
    workspace: Workspace, patch: str, what: str, *, published: bool
) -> None:
    if published:
        workspace.publish()
        workspace.settings(dags={"main": {"pipeline": "__default__", "retries": 5}, "new": {"pipeline": "side"}})
    before, head = workspace.state(), run_git(workspace.work, "rev-parse", "HEAD")
    code, output = publish_with_patch(workspace, patch, what)
    assert code == 1
    assert "Nothing has changed" in output
    assert run_git(workspace.work, "rev-parse", "HEAD") == head
    assert workspace.clean(), run_git(workspace.work, "status", "--porcelain", "--ignored")
    assert workspace.state() == before
    assert (workspace.work / "dags" / ".k8s-airflow").exists() is published
    assert {path.name for path in (workspace.work / ".git").glob("k8s*")} <= {"k8s-airflow-publish.lock"}
    workspace.publish()
    assert workspace.clean()


NEVER_RESTORED = """
write, replace = Path.write_bytes, Path.replace
def refuse(*_):
    raise OSError(errno.ENOSPC, "No space left on device")
def late(self, target):
    if "project_side" in self.name or "project_new" in self.name:
        Path.write_bytes = refuse
        refuse()
    return replace(self, target)
Path.replace = late
"""
INTERRUPTED = """
replace = Path.replace
def late(self, target):
    if "project_main" in self.name:
        raise KeyboardInterrupt
    return replace(self, target)
Path.replace = late
"""


def test_an_update_that_cannot_be_undone_is_finished_by_the_next_publish(workspace: Workspace) -> None:
    workspace.publish()
    workspace.settings(dags={"main": {"pipeline": "__default__", "retries": 5}, "new": {"pipeline": "side"}})
    head = run_git(workspace.work, "rev-parse", "HEAD")
    code, output = publish_with_patch(workspace, NEVER_RESTORED, "")
    assert code == 1
    assert "the next publish finishes the update" in output
    assert run_git(workspace.work, "rev-parse", "HEAD") == head
    assert not workspace.clean()
    assert "Finished an interrupted publish" in workspace.publish()
    assert workspace.clean()


def test_an_interrupt_is_undone(workspace: Workspace) -> None:
    workspace.publish()
    workspace.settings(namespace="elsewhere")
    before = workspace.state()
    code, output = publish_with_patch(workspace, INTERRUPTED, "")
    assert code == 1
    assert "Aborted" in output
    assert workspace.clean()
    assert workspace.state() == before
    assert not list((workspace.work / "dags").glob(".*.k8s-airflow"))


def refuse_branch_updates(workspace: Workspace) -> None:
    hook = workspace.work / ".git" / "hooks" / "reference-transaction"
    hook.write_text("#!/bin/sh\n[ $1 = prepared ] && grep -q refs/heads/main && exit 1\nexit 0\n")
    hook.chmod(0o755)


def test_untracked_files_stay_when_the_branch_cannot_move(workspace: Workspace) -> None:
    workspace.run("create", "--output", str(workspace.work / "dags"))
    refuse_branch_updates(workspace)
    before = read_repositories(workspace)[0]
    assert "Nothing has changed" in workspace.publish(code=1)
    after = read_repositories(workspace)[0]
    assert {name: content for name, content in after.items() if name != ".git/index"} == {
        name: content for name, content in before.items() if name != ".git/index"
    }


def test_a_link_is_put_back_when_the_branch_cannot_move(workspace: Workspace) -> None:
    (workspace.work / DAG).symlink_to("other.py")
    commit_files(workspace.work, {})
    refuse_branch_updates(workspace)
    workspace.publish("--force", code=1)
    assert (workspace.work / DAG).readlink().name == "other.py"
    assert workspace.clean()


MOVED_BRANCHES = """
import subprocess
run = subprocess.run
def late(command, **more):
    done = run(command, **more)
    if command[0] == "git" and "update-ref" in command:
        if what == "failed":
            done.returncode = 128
        else:
            raise KeyboardInterrupt
    return done
subprocess.run = late
"""


@pytest.mark.parametrize("what", ["failed", "interrupted"])
def test_a_branch_that_has_moved_is_not_undone(workspace: Workspace, what: str) -> None:
    """Git may fail, or be killed, after it has moved the branch."""
    workspace.publish()
    workspace.settings(namespace="elsewhere")
    code, output = publish_with_patch(workspace, MOVED_BRANCHES, what)
    assert code == (0 if what == "failed" else 1), output
    assert len(workspace.log()) == 3
    assert workspace.clean()
    assert "Already up to date" in workspace.publish()


def make_checkout_lag(workspace: Workspace, tmp_path: Path) -> None:
    push_meanwhile(workspace, tmp_path, {"a/new.txt": "new\n", "dags/other.py": "# newer\n", "z.txt": "new\n"})


@pytest.mark.parametrize("kind", ["untracked", "staged"])
def test_files_of_the_users_own_stay_when_a_lagging_branch_cannot_move(
    workspace: Workspace, tmp_path: Path, kind: str
) -> None:
    workspace.run("create", "--output", str(workspace.work / "dags"))
    if kind == "staged":
        run_git(workspace.work, "add", "dags")
    (workspace.work / "README.md").write_text("in the middle of something\n")
    make_checkout_lag(workspace, tmp_path)
    refuse_branch_updates(workspace)
    before = run_git(workspace.work, "status", "--porcelain"), (workspace.work / DAG).read_text()
    assert "Nothing has changed" in workspace.publish("--push", code=1)
    assert (run_git(workspace.work, "status", "--porcelain"), (workspace.work / DAG).read_text()) == before
    (workspace.work / ".git" / "hooks" / "reference-transaction").unlink()
    workspace.publish("--push")
    assert run_git(workspace.work, "status", "--porcelain") == " M README.md"


def test_files_that_git_updated_before_it_failed_are_restored(workspace: Workspace, tmp_path: Path) -> None:
    """As when a filter that a file needs does not work, or the disk is full."""
    run_git(workspace.work, "config", "filter.x.smudge", "false")
    run_git(workspace.work, "config", "filter.x.clean", "cat")
    run_git(workspace.work, "config", "filter.x.required", "true")
    commit_files(workspace.work, {".gitattributes": "z.txt filter=x\n"})
    run_git(workspace.work, "push", "--quiet")
    make_checkout_lag(workspace, tmp_path)
    workspace.publish("--push", code=1)
    assert workspace.clean(), run_git(workspace.work, "status", "--porcelain")
    assert not (workspace.work / "a").exists()
    run_git(workspace.work, "config", "filter.x.smudge", "cat")
    workspace.publish("--push")
    assert workspace.clean()


@pytest.mark.parametrize("lost", ["k8s-airflow-publish.index", "k8s-airflow-publish.index.lock"])
def test_leftovers_of_a_killed_publish_are_removed(workspace: Workspace, lost: str) -> None:
    (workspace.work / ".git" / lost).touch()
    workspace.publish()
    assert not (workspace.work / ".git" / lost).exists()
    assert workspace.clean()


def test_files_are_executable_as_git_has_them(workspace: Workspace, tmp_path: Path) -> None:
    workspace.publish("--push")
    other = clone_repository(workspace.bare, tmp_path / "other")
    (other / DAG).chmod(0o755)
    commit_files(other, {}, "Executable")
    run_git(other, "push", "--quiet")
    workspace.settings(namespace="elsewhere")
    workspace.publish("--push")
    assert workspace.clean()
    assert os.access(workspace.work / DAG, os.X_OK)
    workspace.settings(dags={"side": {"pipeline": "side"}})
    refuse_branch_updates(workspace)
    workspace.publish(code=1)
    assert workspace.clean()


@pytest.mark.parametrize("kind", ["ignore", "reverted"])
def test_a_local_branch_with_a_commit_of_the_users_own_does_not_begin_anew(workspace: Workspace, kind: str) -> None:
    workspace.publish("--branch", "robot", "--base", "main")
    run_git(workspace.work, "checkout", "--quiet", "robot")
    path = "dags/.k8s-airflow/.airflowignore" if kind == "ignore" else "notes.md"
    mine = commit_files(workspace.work, {path: "mine\n"}, "Mine")
    if kind == "reverted":
        run_git(workspace.work, "revert", "--no-edit", "HEAD")
    run_git(workspace.work, "checkout", "--quiet", "main")
    workspace.settings(namespace="elsewhere")
    workspace.publish("--branch", "robot", "--base", "main", "--push")
    assert mine in run_git(workspace.bare, "log", "--format=%H", "robot").splitlines()


def test_what_was_committed_without_a_push_is_joined_with_its_base_when_it_is_pushed(
    workspace: Workspace, tmp_path: Path
) -> None:
    publish_request(workspace, to=workspace.work)
    workspace.settings(namespace="elsewhere")
    workspace.publish("--branch", "robot", "--base", "main")
    other = clone_repository(workspace.bare, tmp_path / "other")
    run_git(other, "merge", "--quiet", "--squash", "origin/robot")
    commit_files(other, {"dags/other.py": "# newer\n"}, "Squashed")
    run_git(other, "push", "--quiet")
    publish_request(workspace, to=workspace.work)
    run_git(other, "fetch", "--quiet")
    run_git(other, "merge", "--quiet", "--no-edit", "origin/robot")
    assert '"namespace": "elsewhere"' in (other / DAG).read_text()
    assert (other / "dags" / "other.py").read_text() == "# newer\n"


def test_a_journal_of_a_commit_that_git_has_cleared_away_is_forgotten(workspace: Workspace) -> None:
    head = run_git(workspace.work, "rev-parse", "HEAD")
    lost = run_git(
        workspace.work, "hash-object", "-t", "commit", "-w", "--literally", "--stdin", stdin=f"tree {'1' * 40}\n\nx\n"
    )
    (workspace.work / ".git" / "k8s-airflow-publish.json").write_text(
        json.dumps({"branch": "main", "old": head, "new": lost, "own_paths": [DAG]})
    )
    workspace.publish()
    assert workspace.clean()


def test_names_with_a_common_prefix_do_not_collide(workspace: Workspace) -> None:
    long = "x" * 215
    workspace.settings(dags={f"{long}a": {"pipeline": "side"}, f"{long}b": {"pipeline": "side"}})
    workspace.publish()
    assert workspace.clean()
    assert len(list((workspace.work / "dags").glob("project_xxx*.py"))) == 2


def test_a_disk_without_links_is_supported(workspace: Workspace) -> None:
    assert publish_with_patch(workspace, NO_LINKS, "")[0] == 0
    assert workspace.clean()
    (workspace.work / ".git" / "index.lock").touch()
    workspace.settings(namespace="elsewhere")
    code, output = publish_with_patch(workspace, NO_LINKS, "")
    assert (code, "index.lock exists" in output) == (1, True)


def test_a_full_temporary_folder_is_reported(workspace: Workspace) -> None:
    nowhere = {"TMPDIR": "/proc/nowhere", "TMP": "/proc/nowhere", "TEMP": "/proc/nowhere"}
    program = workspace.project.parent / "nowhere.py"
    program.write_text(PATCH_PROGRAM.replace("{patch}", "import tempfile; tempfile.tempdir = '/proc/nowhere'"))
    for to, more in ((str(workspace.work), ()), (f"file://{workspace.bare}", ("--push",))):
        arguments = ("k8s-airflow", "publish", "--to", to, *more)
        done = workspace.kedro.run_script(
            str(program), "", *arguments, cwd=workspace.project, env={**ISOLATED_GIT_ENV, **GIT_IDENTITY, **nowhere}
        )
        assert done.code == 1
        assert "[publish-git]" in done.err
        assert "/proc/nowhere" in done.err


@pytest.mark.parametrize("number", ["SIGTERM", "SIGINT"])
def test_a_temporary_clone_is_removed_when_the_job_is_cancelled(
    workspace: Workspace, tmp_path: Path, number: str
) -> None:
    import signal

    slow = workspace.bare / "hooks" / "pre-receive"
    slow.write_text(f"#!/bin/sh\ntouch {tmp_path}/asked\nsleep 3\n")
    slow.chmod(0o755)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    running = subprocess.Popen(
        build_plugin_command("publish", "--to", f"file://{workspace.bare}", "--push"),
        cwd=workspace.project,
        env=build_environment(TMPDIR=str(temporary)),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # A process in the background inherits an ignored SIGINT, as under nohup; this one must not.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    )
    while not (tmp_path / "asked").exists():
        assert running.poll() is None, running.communicate()
        time.sleep(0.05)
    assert list(temporary.iterdir()) != []
    running.send_signal(getattr(signal, number))
    output = running.communicate(timeout=60)[0]
    assert running.returncode not in (0, None)
    assert "Traceback" not in output
    assert list(temporary.iterdir()) == []


# --- words


def test_a_token_is_never_printed(workspace: Workspace) -> None:
    instead = {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.file://{workspace.bare.parent}/.insteadOf",
        "GIT_CONFIG_VALUE_0": "https://ghp_token22@example.com/",
    }
    address = "https://ghp_token22@example.com/dags.git"
    output = workspace.publish("--push", to=address, env=instead)
    output += workspace.publish("--push", "--base", "nowhere", "--branch", "x", to=address, env=instead, code=1)
    for form in ("text", "json", "github", "sarif"):
        done = workspace.run(
            "check", "--drift", "--against", address, "--subfolder", "x", "--format", form, env=instead
        )
        assert done.code == 1
        output += done.output
    assert "token22" not in output
    assert "https://***@example.com/dags.git" in output


@pytest.mark.parametrize(
    "address",
    [
        "https://me:p@hunter22@127.0.0.1:1/x",
        "https://me:a/hunter22@127.0.0.1:1/x",
        "https://127.0.0.1:1/x?private_token=hunter22",
    ],
)
def test_a_secret_of_a_remote_is_never_printed(workspace: Workspace, address: str) -> None:
    run_git(workspace.work, "remote", "set-url", "origin", address)
    assert "hunter22" not in workspace.publish("--push", code=1)


def test_the_address_of_a_push_is_printed_without_its_password(workspace: Workspace) -> None:
    run_git(workspace.work, "config", "branch.main.pushRemote", "https://me:hunter22@example.com/dags.git")
    instead = {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.file://{workspace.bare.parent}/.insteadOf",
        "GIT_CONFIG_VALUE_0": "https://me:hunter22@example.com/",
    }
    output = workspace.publish("--push", env=instead)
    assert "pushed branch main to https://***@example.com/dags.git" in output


@pytest.mark.parametrize("target", ["", "  ", "a\nb"])
def test_an_empty_target_is_not_the_current_folder(workspace: Workspace, target: str) -> None:
    """As CI passes it where a variable is not set."""
    run_git(workspace.project, "init", "--quiet")
    result = workspace.run("publish", "--to", target)
    assert (result.code, "[publish-to]" in result.err) == (1, True)
    result = workspace.run("check", "--drift", "--against", target)
    assert (result.code, "[publish-to]" in result.err) == (2, True)


def test_a_message_that_is_not_unicode_is_a_usage_error(workspace: Workspace) -> None:
    assert workspace.run("publish", "--to", str(workspace.work), "--message", os.fsdecode(b"caf\xe9")).code == 2


def test_control_characters_are_printed_as_escapes(workspace: Workspace) -> None:
    output = workspace.publish("--dry-run", "--message", "red \x1b[31m alert")
    assert "\x1b" not in output


@pytest.mark.parametrize(
    "changes",
    [
        {"generator": "\ud800"},
        {"generator": "1\n\nKedro-Project: evil"},
        {"project": "\x1b[31m"},
        {"environment": []},
        {"environment": "\ud800"},
        {"version": "1"},
        {"files": {"\x00.py": {"sha256": "", "dag_id": "", "pipeline": "", "images": {}}}},
        {"files": {"x.py": {"sha256": "", "dag_id": "\x1b", "pipeline": "", "images": {}}}},
        {"files": {"x.py": {"sha256": "", "dag_id": "", "pipeline": 1, "images": {}}}},
        {"files": {"x.py": {"sha256": "", "dag_id": "", "pipeline": "", "images": []}}},
    ],
)
def test_a_manifest_that_was_tampered_with_is_refused(workspace: Workspace, changes: dict[str, object]) -> None:
    workspace.publish()
    tamper_with_manifest(workspace, **changes)
    assert_refused(workspace, "publish-manifest")
    done = workspace.run("check", "--drift", "--against", str(workspace.work))
    assert (done.code, "[publish-manifest]" in done.err) == (2, True), done


def test_a_manifest_that_is_not_a_file_is_refused(workspace: Workspace) -> None:
    workspace.publish()
    run_git(workspace.work, "rm", "--quiet", MANIFEST)
    run_git(
        workspace.work,
        "update-index",
        "--add",
        "--cacheinfo",
        f"160000,{run_git(workspace.work, 'rev-parse', 'HEAD')},{MANIFEST}",
    )
    run_git(workspace.work, "commit", "--quiet", "--message", "Tampered")
    assert_refused(workspace, "publish-folder", "--branch", "robot", mentions=MANIFEST)


def test_a_file_in_two_manifests_is_removed_by_neither(workspace: Workspace, tmp_path: Path) -> None:
    workspace.publish()
    workspace.publish(project=make_publish_project(tmp_path / "other", "other"))
    theirs = json.loads(workspace.state()[f"{MANIFEST_FOLDER}/other.json"])["files"]
    tamper_with_manifest(workspace, files={**json.loads(workspace.state()[MANIFEST])["files"], **theirs})
    assert_refused(workspace, "publish-owned", mentions="dags/other_main.py")
    assert_refused(workspace, "publish-owned", "--force", mentions="dags/other_main.py")


def test_another_project_of_the_same_package_name_is_distinguished_by_drift(
    workspace: Workspace, tmp_path: Path
) -> None:
    workspace.publish()
    other = make_publish_project(tmp_path / "other")
    text = (other / "pyproject.toml").read_text()
    (other / "pyproject.toml").write_text(text.replace('project_name = "project"', 'project_name = "Another"'))
    assert workspace.drift("--against", str(workspace.work), code=2, project=other) == []


@pytest.mark.parametrize("where", ["server", "here"])
def test_the_output_of_a_hook_is_not_taken_for_a_race(workspace: Workspace, where: str) -> None:
    hook = (
        (workspace.bare / "hooks" / "pre-receive")
        if where == "server"
        else (workspace.work / ".git" / "hooks" / "pre-push")
    )
    hook.write_text("#!/bin/sh\necho 'failed to update ref; please git fetch first (non-fast-forward)' >&2\nexit 1\n")
    hook.chmod(0o755)
    output = workspace.publish("--push", code=1)
    assert "[publish-git]" in output
    assert "please git fetch first" in output


# --- sources, environments, repositories


def test_source_that_was_never_committed_is_no_commit(workspace: Workspace) -> None:
    run_git(workspace.project, "init", "--quiet")
    (workspace.project / ".gitignore").write_text("__pycache__\n")
    run_git(workspace.project, "add", ".gitignore", "pyproject.toml", "conf")
    run_git(workspace.project, "commit", "--quiet", "--message", "Without the source")
    assert "[publish-uncommitted]" in workspace.publish()
    assert read_trailers(workspace)["Source-Commit"].endswith("-dirty")


def test_generated_files_are_not_changes_of_the_source(workspace: Workspace) -> None:
    run_git(workspace.project, "init", "--quiet")
    commit_files(workspace.project, {".gitignore": "__pycache__\n"})
    workspace.run("create")
    (workspace.project / "data").mkdir()
    (workspace.project / "data" / "raw.pkl").write_text("")
    assert "[publish-uncommitted]" not in workspace.publish()


@pytest.mark.parametrize(
    "more",
    [
        {"GIT_GLOB_PATHSPECS": "1"},
        {"GIT_ICASE_PATHSPECS": "1"},
        {"GIT_DEFAULT_HASH": "sha256"},
        {"LC_ALL": "C", "LANG": "C"},
        {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "i18n.commitEncoding", "GIT_CONFIG_VALUE_0": "ISO-8859-1"},
        {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "submodule.recurse", "GIT_CONFIG_VALUE_0": "true"},
        {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "status.showUntrackedFiles", "GIT_CONFIG_VALUE_0": "no"},
        {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "color.ui", "GIT_CONFIG_VALUE_0": "always"},
    ],
    ids=lambda more: more.get("GIT_CONFIG_KEY_0", next(iter(more))),
)
def test_git_configuration_makes_no_difference(workspace: Workspace, tmp_path: Path, more: dict[str, str]) -> None:
    push_meanwhile(workspace, tmp_path, {"x.txt": "x\n"})
    workspace.publish("--push", "--message", "Grüße", env=more)
    assert workspace.log(workspace.bare, "main")[:2] == ["Grüße", "Meanwhile"]
    assert workspace.clean()
    workspace.settings(namespace="elsewhere")
    workspace.publish("--push", to=f"file://{workspace.bare}", env=more)
    assert len(workspace.log(workspace.bare, "main")) == 4


def test_a_repository_of_longer_names_works(workspace: Workspace, tmp_path: Path) -> None:
    hub = tmp_path / "long.git"
    hub.mkdir()
    run_git(hub, "init", "--quiet", "--bare", "--object-format=sha256", "--initial-branch=main")
    work = tmp_path / "long"
    work.mkdir()
    run_git(work, "init", "--quiet", "--object-format=sha256", "--initial-branch=main")
    run_git(work, "remote", "add", "origin", f"file://{hub}")
    workspace.publish("--push", to=work)
    workspace.settings(dags={"main": {"pipeline": "__default__"}})
    workspace.publish("--push", to=f"file://{hub}")
    assert "dags/project_side.py" not in workspace.state(hub, "main")
    assert workspace.drift("--against", str(hub)) == []
    workspace.publish("--push", to=work)
    assert run_git(work, "status", "--porcelain") == ""


@pytest.mark.parametrize("cone", ["--cone", "--no-cone"])
def test_a_sparse_checkout_may_lack_the_folder(workspace: Workspace, tmp_path: Path, cone: str) -> None:
    workspace.publish("--push")
    work = clone_repository(workspace.bare, tmp_path / "sparse")
    run_git(work, "sparse-checkout", "set", cone, "nothing")
    assert not (work / DAG).exists()
    workspace.settings(namespace="elsewhere")
    workspace.publish("--push", to=work)
    assert '"namespace": "elsewhere"' in workspace.state(workspace.bare, "main")[DAG]
    assert run_git(work, "status", "--porcelain") == ""


def test_a_folder_may_be_named_from_home(workspace: Workspace) -> None:
    home = {"HOME": str(workspace.work.parent)}
    workspace.publish(to="~/work", env=home)
    result = workspace.run("check", "--drift", "--against", "~/work", env=home)
    assert result.out.endswith("no drift\n"), result


def test_line_ends_of_a_checkout_are_no_drift(workspace: Workspace) -> None:
    commit_files(workspace.work, {".gitattributes": "* text eol=crlf\n"})
    workspace.publish()
    run_git(workspace.work, "rm", "-rq", "--cached", ".")
    run_git(workspace.work, "reset", "--quiet", "--hard")
    assert b"\r\n" in (workspace.work / DAG).read_bytes()
    assert workspace.drift("--against", str(workspace.work)) == []


def test_the_project_may_lie_in_the_repository_that_is_published_to(workspace: Workspace) -> None:
    run_git(workspace.project, "init", "--quiet", "--initial-branch=main")
    commit_files(workspace.project, {".gitignore": "__pycache__\n"})
    workspace.publish("--subfolder", "airflow", to=".")
    assert "Already up to date" in workspace.publish("--subfolder", "airflow", to=".")
    result = workspace.run("check", "--drift", "--against", "HEAD", "--subfolder", "airflow")
    assert result.out.endswith("no drift\n"), result
    assert run_git(workspace.project, "status", "--porcelain") == ""
