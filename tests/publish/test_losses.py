"""Nothing of anybody's is ever lost, nothing is half done, and no secret is told: cases that a tester has found, and their like."""

from __future__ import annotations

import json
import os
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from tests.publish.test_publish import everything, refused, trailers
from tests.publish.test_targets import DAG, meanwhile, sign
from tests.support.workspace import GIT, IDENTITY, MANIFESTS, clone, command, commit, environment, git, project

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.workspace import Desk

MANIFEST = f"{MANIFESTS}/project.json"


def manifest(desk: Desk, **changes: object) -> None:
    """Tamper with the manifest, in a commit."""
    commit(desk.work, {MANIFEST: json.dumps({**json.loads(desk.state()[MANIFEST]), **changes})})


# --- commits


@pytest.mark.parametrize("path", ["tool.py", "README.md", DAG, "dags/other.py"])
def test_a_commit_of_ours_that_somebody_has_amended_is_not_made_again(desk: Desk, tmp_path: Path, path: str) -> None:
    desk.publish()
    with (desk.work / path).open("a") as file:
        file.write("# mine\n")
    git(desk.work, "add", path)
    git(desk.work, "commit", "--quiet", "--amend", "--no-edit")
    meanwhile(desk, tmp_path, {"x.txt": "x\n"})
    before = git(desk.work, "rev-parse", "HEAD")
    assert "[publish-diverged]" in desk.publish("--push", code=1)
    assert git(desk.work, "rev-parse", "HEAD") == before
    assert "# mine" in (desk.work / path).read_text()


def test_a_commit_of_another_folder_is_not_made_again(desk: Desk, tmp_path: Path) -> None:
    desk.publish("--subfolder", "a/dags")
    meanwhile(desk, tmp_path, {"x.txt": "x\n"})
    assert "[publish-diverged]" in desk.publish("--subfolder", "b/dags", "--push", code=1)
    assert "a/dags/project_main.py" in desk.state()


def test_a_branch_is_not_brought_to_what_nobody_has_named(desk: Desk) -> None:
    git(desk.work, "push", "--quiet", "origin", "main:release")
    commit(desk.work, {"dags/unreleased.py": "# not yet\n"})
    git(desk.work, "push", "--quiet")
    desk.publish("--push", "--branch", "release", to=f"file://{desk.bare}")
    assert "dags/unreleased.py" not in desk.state(desk.bare, "release")
    git(desk.work, "fetch", "--quiet")
    git(desk.work, "branch", "release", "origin/release")
    desk.settings(namespace="elsewhere")
    desk.publish("--push", "--branch", "release")
    assert "dags/unreleased.py" not in desk.state(desk.bare, "release")
    desk.settings(namespace="third")
    desk.publish("--push", "--branch", "release", "--base", "main")
    assert "dags/unreleased.py" in desk.state(desk.bare, "release")


@pytest.mark.parametrize("option", ["--branch", "--base"])
def test_a_full_name_of_a_branch_is_refused(desk: Desk, option: str) -> None:
    """A branch refs/heads/refs/heads/main makes every push of main ambiguous, for everybody."""
    for to in (desk.work, f"file://{desk.bare}"):
        refused(desk, "publish-branch", "--push", option, "refs/heads/main", to=to, mentions="Write main")
    refused(desk, "publish-branch", option, "origin/main", mentions="Write main")


def test_a_base_that_is_mistyped_makes_no_branch(desk: Desk) -> None:
    for to in (desk.work, f"file://{desk.bare}"):
        refused(desk, "publish-branch", "--push", "--base", "mian", to=to, mentions="'mian'")


def test_a_rebase_that_has_not_ended_is_not_mixed_with(desk: Desk) -> None:
    commit(desk.work, {"a": "1"})
    commit(desk.work, {"a": "2"})
    git(desk.work, "checkout", "--quiet", "-b", "feature")
    subprocess.run(
        ["git", "rebase", "--quiet", "--interactive", "HEAD~2"],
        cwd=desk.work,
        env=environment(GIT_SEQUENCE_EDITOR="sed -i 1s/pick/edit/"),
        capture_output=True,
        check=True,
    )
    refused(desk, "publish-dirty", mentions="rebase")
    refused(desk, "publish-dirty", "--branch", "feature", mentions="rebase of feature")
    desk.publish("--branch", "robot")


# --- files


@pytest.mark.parametrize("bit", ["--skip-worktree", "--assume-unchanged"])
@pytest.mark.parametrize("path", [DAG, "dags/other.py"])
def test_an_edit_that_git_does_not_tell_of_is_not_overwritten(desk: Desk, tmp_path: Path, bit: str, path: str) -> None:
    desk.publish("--push")
    (desk.work / path).write_text("# hidden\n")
    git(desk.work, "update-index", bit, path)
    meanwhile(desk, tmp_path, {"dags/other.py": "# newer\n"})
    desk.settings(namespace="elsewhere")
    head = git(desk.work, "rev-parse", "HEAD")
    desk.publish("--push", code=1)
    assert (desk.work / path).read_text() == "# hidden\n"
    assert git(desk.work, "rev-parse", "HEAD") == head


def test_what_is_staged_is_not_lost_though_the_file_is_as_it_is_to_be(desk: Desk) -> None:
    desk.publish()
    desk.settings(namespace="elsewhere")
    desk.publish("--branch", "next")
    (desk.work / DAG).write_text("# staged\n")
    git(desk.work, "add", DAG)
    (desk.work / DAG).write_text(desk.state(ref="next")[DAG] + "\n")
    refused(desk, "publish-dirty", mentions=DAG)
    assert git(desk.work, "show", f":{DAG}") == "# staged"


def test_a_repository_inside_is_not_written_into(desk: Desk) -> None:
    inner = desk.work / "new"
    inner.mkdir()
    git(inner, "init", "--quiet")
    commit(inner, {"project_main.py": "# theirs\n"})
    (inner / "project_main.py").write_text("# not committed\n")
    refused(desk, "publish-dirty", "--subfolder", "new")
    assert (inner / "project_main.py").read_text() == "# not committed\n"


def test_a_folder_in_the_place_of_a_file_is_left(desk: Desk) -> None:
    (desk.work / DAG).mkdir()
    refused(desk, "publish-dirty", mentions=DAG)
    (desk.work / DAG).rmdir()
    desk.publish()
    assert desk.clean()


def test_a_pipe_in_the_place_of_a_file_holds_nobody_up(desk: Desk) -> None:
    os.mkfifo(desk.work / DAG)
    refused(desk, "publish-dirty", mentions=DAG)
    done = desk.run("check", "--drift", "--against", str(desk.work))
    assert (done.code, "[file]" in done.err) == (2, True)


def test_filters_that_git_applies_are_no_edits(desk: Desk) -> None:
    git(desk.work, "config", "filter.x.clean", "sed s/project/PROJECT/g")
    git(desk.work, "config", "filter.x.smudge", "sed s/PROJECT/project/g")
    commit(desk.work, {".gitattributes": "project_*.py filter=x\n"})
    desk.publish()
    desk.settings(namespace="elsewhere")
    desk.publish()
    desk.settings(namespace="third")
    desk.publish()
    assert '"namespace": "third"' in (desk.work / DAG).read_text()


# --- what others have pushed meanwhile


def stash_conflict(desk: Desk) -> None:
    (desk.work / "README.md").write_text("mine\n")
    git(desk.work, "stash", "--quiet")
    commit(desk.work, {"README.md": "theirs\n"})
    git(desk.work, "push", "--quiet")
    git(desk.work, "stash", "pop", ok=False)


def untracked_file(desk: Desk) -> None:
    (desk.work / "more").write_text("mine\n")


def ignored_file(desk: Desk) -> None:
    (desk.work / ".git" / "info" / "exclude").write_text("more\n")
    untracked_file(desk)


def nested(desk: Desk) -> None:
    (desk.work / "more").mkdir()
    git(desk.work / "more", "init", "--quiet")
    commit(desk.work / "more", {"x": "mine\n"})


@pytest.mark.parametrize("do", [stash_conflict, untracked_file, ignored_file, nested])
def test_when_it_cannot_be_brought_nothing_has_moved(desk: Desk, tmp_path: Path, do) -> None:
    do(desk)
    meanwhile(desk, tmp_path, {"more/x": "theirs\n", "dags/other.py": "# newer\n"})
    before = everything(desk)[0]
    desk.publish("--push", code=1)
    after = everything(desk)[0]
    unseen = (".git/FETCH_HEAD", ".git/refs/remotes/", ".git/logs/refs/remotes/")
    assert {name: one for name, one in after.items() if not name.startswith(unseen)} == {
        name: one for name, one in before.items() if not name.startswith(unseen)
    }


def test_a_switch_of_branches_meanwhile_is_noticed(desk: Desk, tmp_path: Path) -> None:
    git(desk.work, "branch", "feature")
    slow = tmp_path / "slow"
    slow.write_text('#!/bin/sh\ntouch "$0.asked"\nsleep 2\nexec git-upload-pack "$@"\n')
    slow.chmod(0o755)
    git(desk.work, "config", "remote.origin.uploadpack", str(slow))
    running = subprocess.Popen(
        command("publish", "--to", str(desk.work), "--push"),
        cwd=desk.project,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    while not (tmp_path / "slow.asked").exists():
        assert running.poll() is None
        time.sleep(0.05)
    git(desk.work, "switch", "--quiet", "feature")
    said = running.communicate(timeout=60)[0]
    assert running.returncode == 1, said
    assert "[publish-moved]" in said
    assert desk.log(ref="main") == ["First"]
    assert desk.clean()


# --- branches of requests


def request(desk: Desk, *options: str, to: Path | None = None) -> str:
    where = to or f"file://{desk.bare}"
    return desk.publish("--push", "--branch", "robot", "--base", "main", *options, to=where)


@pytest.mark.parametrize("squash", [False, True])
@pytest.mark.parametrize("kept", [False, True])
def test_a_branch_that_the_forge_has_deleted_does_not_come_back(desk: Desk, *, squash: bool, kept: bool) -> None:
    """In a clone of the moment, and in a checkout that is kept."""
    request(desk, to=desk.work if kept else None)
    git(desk.work, "fetch", "--quiet")
    git(desk.work, "merge", "--quiet", *(["--squash"] if squash else ["--no-ff", "--message=Merge"]), "origin/robot")
    if squash:
        commit(desk.work, {}, "Squashed")
    git(desk.work, "push", "--quiet")
    git(desk.bare, "branch", "-D", "robot")
    said = request(desk, to=desk.work if kept else None)
    assert "what branch robot would begin at" in said
    assert "pushed" not in said
    assert git(desk.bare, "branch", "--list", "robot") == ""
    desk.settings(namespace="elsewhere")
    request(desk, to=desk.work if kept else None)
    assert git(desk.bare, "log", "-1", "--format=%P", "robot") == git(desk.work, "rev-parse", "main")


def test_what_was_merged_and_taken_back_can_be_published_again(desk: Desk) -> None:
    request(desk)
    git(desk.work, "fetch", "--quiet")
    git(desk.work, "merge", "--quiet", "--no-ff", "--message=Merge", "origin/robot")
    git(desk.work, "revert", "--no-edit", "--mainline=1", "HEAD")
    git(desk.work, "push", "--quiet")
    assert DAG not in desk.state(desk.bare, "main")
    assert "project_main: new" in request(desk)
    git(desk.work, "fetch", "--quiet")
    git(desk.work, "merge", "--quiet", "origin/robot")
    assert DAG in desk.state()


def test_a_checkout_that_lags_is_told_so_when_there_is_nothing_to_commit(desk: Desk, tmp_path: Path) -> None:
    desk.publish("--push", to=clone(desk.bare, tmp_path / "other"))
    said = desk.publish("--push")
    assert "branch main of origin, which the checkout lags behind," in said


def test_a_base_is_looked_for_though_the_branch_is_checked_out(desk: Desk) -> None:
    git(desk.work, "checkout", "--quiet", "-b", "robot")
    refused(desk, "publish-branch", "--branch", "robot", "--base", "mian", mentions="It has main, robot.")
    git(desk.work, "checkout", "--quiet", "--orphan", "fresh")
    git(desk.work, "rm", "-rqf", ".")
    desk.publish("--branch", "fresh", "--base", "main")
    assert {DAG, "README.md"} <= set(desk.state())
    assert desk.clean()


def test_a_bisect_is_not_mixed_with(desk: Desk) -> None:
    for number in range(3):
        commit(desk.work, {"n": str(number)})
    git(desk.work, "bisect", "start", "HEAD", "HEAD~3")
    refused(desk, "publish-dirty", mentions="bisect")


def test_signatures_in_logs_make_no_commit_somebody_elses(desk: Desk, tmp_path: Path) -> None:
    sign(desk, tmp_path)
    git(desk.work, "config", "log.showSignature", "true")
    desk.publish()
    meanwhile(desk, tmp_path, {"x.txt": "x\n"})
    desk.publish("--push")
    assert len(desk.log(desk.bare, "main")) == 3


def test_repositories_that_git_is_not_to_find_by_itself(desk: Desk) -> None:
    more = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.bareRepository", "GIT_CONFIG_VALUE_0": "explicit"}
    desk.publish("--push", to=f"file://{desk.bare}", env=more)
    assert "nothing to commit" in desk.publish("--push", to=desk.bare, env=more)
    for what in (str(desk.bare), f"file://{desk.bare}"):
        done = desk.run("check", "--drift", "--against", what, env=more)
        assert done.out.endswith("no drift\n"), done


def test_a_dry_run_asks_the_remote_that_would_be_pushed_to(desk: Desk, tmp_path: Path) -> None:
    desk.publish("--push", to=clone(desk.bare, tmp_path / "other"))
    before = everything(desk)
    said = desk.publish("--push", "--dry-run")
    assert "nothing to commit" in said
    desk.settings(namespace="elsewhere")
    assert "and push" in desk.publish("--push", "--dry-run")
    assert everything(desk) == before


# --- half done

PATCHED = """
import errno, os, sys
from pathlib import Path
what = sys.argv.pop(1)
{patch}
from kedro.framework.cli.cli import main
sys.path.insert(0, os.getcwd())
sys.argv[0] = "kedro"
main()
"""
FULL = """
write = Path.write_bytes
def full(self, content):
    if what in self.name and self.name.endswith(".k8s-airflow"):
        raise OSError(errno.ENOSPC, "No space left on device", str(self))
    return write(self, content)
Path.write_bytes = full
"""
LATE = """
replace = Path.replace
def late(self, target):
    if what in self.name and "KKA_UNDONE" not in os.environ:
        os.environ["KKA_UNDONE"] = "1"
        raise OSError(errno.EACCES, "Permission denied", str(target))
    return replace(self, target)
Path.replace = late
"""
LINKLESS = """
def link(*_, **__):
    raise OSError(errno.EPERM, "Operation not permitted")
os.link = link
"""


def patched(desk: Desk, patch: str, what: str, *options: str) -> tuple[int, str]:
    """`publish` where the disk refuses something."""
    program = desk.project.parent / "patched.py"
    program.write_text(PATCHED.replace("{patch}", patch))
    arguments = ("k8s-airflow", "publish", "--to", str(desk.work), *options)
    done = desk.forge.script(str(program), what, *arguments, cwd=desk.project, env={**GIT, **IDENTITY})
    assert "Traceback" not in done.err, done.err
    return done.code, done.said


@pytest.mark.parametrize("published", [False, True])
@pytest.mark.parametrize(
    ("patch", "what"), [(FULL, "project.json"), (FULL, "project_main"), (LATE, "project_main"), (LATE, "index")]
)
def test_a_disk_that_refuses_leaves_all_as_it_was(desk: Desk, patch: str, what: str, *, published: bool) -> None:
    if published:
        desk.publish()
        desk.settings(dags={"main": {"pipeline": "__default__", "retries": 5}, "new": {"pipeline": "side"}})
    before, head = desk.state(), git(desk.work, "rev-parse", "HEAD")
    code, said = patched(desk, patch, what)
    assert code == 1
    assert "nothing has changed" in said
    assert git(desk.work, "rev-parse", "HEAD") == head
    assert desk.clean(), git(desk.work, "status", "--porcelain", "--ignored")
    assert desk.state() == before
    assert (desk.work / "dags" / ".k8s-airflow").exists() is published
    assert {path.name for path in (desk.work / ".git").glob("k8s*")} <= {"k8s-airflow-publish.lock"}
    desk.publish()
    assert desk.clean()


NEVER = """
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
STOPPED = """
replace = Path.replace
def late(self, target):
    if "project_main" in self.name:
        raise KeyboardInterrupt
    return replace(self, target)
Path.replace = late
"""


def test_what_cannot_be_put_back_is_finished_by_the_next_run(desk: Desk) -> None:
    desk.publish()
    desk.settings(dags={"main": {"pipeline": "__default__", "retries": 5}, "new": {"pipeline": "side"}})
    head = git(desk.work, "rev-parse", "HEAD")
    code, said = patched(desk, NEVER, "")
    assert code == 1
    assert "it finishes what was begun" in said
    assert git(desk.work, "rev-parse", "HEAD") == head
    assert not desk.clean()
    assert "finished what a publish that was stopped had begun" in desk.publish()
    assert desk.clean()


def test_an_interrupt_is_undone(desk: Desk) -> None:
    desk.publish()
    desk.settings(namespace="elsewhere")
    before = desk.state()
    code, said = patched(desk, STOPPED, "")
    assert code == 1
    assert "Aborted" in said
    assert desk.clean()
    assert desk.state() == before
    assert not list((desk.work / "dags").glob(".*.k8s-airflow"))


def refuse_to_move(desk: Desk) -> None:
    hook = desk.work / ".git" / "hooks" / "reference-transaction"
    hook.write_text("#!/bin/sh\n[ $1 = prepared ] && grep -q refs/heads/main && exit 1\nexit 0\n")
    hook.chmod(0o755)


def test_files_that_nobody_tracks_stay_when_the_branch_cannot_move(desk: Desk) -> None:
    desk.run("create", "--output", str(desk.work / "dags"))
    refuse_to_move(desk)
    before = everything(desk)[0]
    assert "nothing has changed" in desk.publish(code=1)
    after = everything(desk)[0]
    assert {name: one for name, one in after.items() if name != ".git/index"} == {
        name: one for name, one in before.items() if name != ".git/index"
    }


def test_a_link_is_put_back_when_the_branch_cannot_move(desk: Desk) -> None:
    (desk.work / DAG).symlink_to("other.py")
    commit(desk.work, {})
    refuse_to_move(desk)
    desk.publish("--force", code=1)
    assert (desk.work / DAG).readlink().name == "other.py"
    assert desk.clean()


MOVED = """
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
def test_a_branch_that_has_moved_is_not_undone(desk: Desk, what: str) -> None:
    """Git may fail, or be killed, after it has moved the branch."""
    desk.publish()
    desk.settings(namespace="elsewhere")
    code, said = patched(desk, MOVED, what)
    assert code == (0 if what == "failed" else 1), said
    assert len(desk.log()) == 3
    assert desk.clean()
    assert "nothing to commit" in desk.publish()


def lags(desk: Desk, tmp_path: Path) -> None:
    meanwhile(desk, tmp_path, {"a/new.txt": "new\n", "dags/other.py": "# newer\n", "z.txt": "new\n"})


@pytest.mark.parametrize("kind", ["untracked", "staged"])
def test_files_of_the_users_own_stay_when_a_lagging_branch_cannot_move(desk: Desk, tmp_path: Path, kind: str) -> None:
    desk.run("create", "--output", str(desk.work / "dags"))
    if kind == "staged":
        git(desk.work, "add", "dags")
    (desk.work / "README.md").write_text("in the middle of something\n")
    lags(desk, tmp_path)
    refuse_to_move(desk)
    before = git(desk.work, "status", "--porcelain"), (desk.work / DAG).read_text()
    assert "nothing has changed" in desk.publish("--push", code=1)
    assert (git(desk.work, "status", "--porcelain"), (desk.work / DAG).read_text()) == before
    (desk.work / ".git" / "hooks" / "reference-transaction").unlink()
    desk.publish("--push")
    assert git(desk.work, "status", "--porcelain") == " M README.md"


def test_what_git_has_brought_before_it_failed_is_put_back(desk: Desk, tmp_path: Path) -> None:
    """As when a filter that a file needs does not work, or the disk is full."""
    git(desk.work, "config", "filter.x.smudge", "false")
    git(desk.work, "config", "filter.x.clean", "cat")
    git(desk.work, "config", "filter.x.required", "true")
    commit(desk.work, {".gitattributes": "z.txt filter=x\n"})
    git(desk.work, "push", "--quiet")
    lags(desk, tmp_path)
    desk.publish("--push", code=1)
    assert desk.clean(), git(desk.work, "status", "--porcelain")
    assert not (desk.work / "a").exists()
    git(desk.work, "config", "filter.x.smudge", "cat")
    desk.publish("--push")
    assert desk.clean()


@pytest.mark.parametrize("lost", ["k8s-airflow-publish.index", "k8s-airflow-publish.index.lock"])
def test_what_a_killed_publish_leaves_in_the_way_is_taken_away(desk: Desk, lost: str) -> None:
    (desk.work / ".git" / lost).touch()
    desk.publish()
    assert not (desk.work / ".git" / lost).exists()
    assert desk.clean()


def test_files_are_executable_as_git_has_them(desk: Desk, tmp_path: Path) -> None:
    desk.publish("--push")
    other = clone(desk.bare, tmp_path / "other")
    (other / DAG).chmod(0o755)
    commit(other, {}, "Executable")
    git(other, "push", "--quiet")
    desk.settings(namespace="elsewhere")
    desk.publish("--push")
    assert desk.clean()
    assert os.access(desk.work / DAG, os.X_OK)
    desk.settings(dags={"side": {"pipeline": "side"}})
    refuse_to_move(desk)
    desk.publish(code=1)
    assert desk.clean()


@pytest.mark.parametrize("kind", ["ignore", "reverted"])
def test_a_local_branch_with_a_commit_of_the_users_own_does_not_begin_anew(desk: Desk, kind: str) -> None:
    desk.publish("--branch", "robot", "--base", "main")
    git(desk.work, "checkout", "--quiet", "robot")
    path = "dags/.k8s-airflow/.airflowignore" if kind == "ignore" else "notes.md"
    mine = commit(desk.work, {path: "mine\n"}, "Mine")
    if kind == "reverted":
        git(desk.work, "revert", "--no-edit", "HEAD")
    git(desk.work, "checkout", "--quiet", "main")
    desk.settings(namespace="elsewhere")
    desk.publish("--branch", "robot", "--base", "main", "--push")
    assert mine in git(desk.bare, "log", "--format=%H", "robot").splitlines()


def test_what_was_committed_without_a_push_is_joined_with_its_base_when_it_is_pushed(
    desk: Desk, tmp_path: Path
) -> None:
    request(desk, to=desk.work)
    desk.settings(namespace="elsewhere")
    desk.publish("--branch", "robot", "--base", "main")
    other = clone(desk.bare, tmp_path / "other")
    git(other, "merge", "--quiet", "--squash", "origin/robot")
    commit(other, {"dags/other.py": "# newer\n"}, "Squashed")
    git(other, "push", "--quiet")
    request(desk, to=desk.work)
    git(other, "fetch", "--quiet")
    git(other, "merge", "--quiet", "--no-edit", "origin/robot")
    assert '"namespace": "elsewhere"' in (other / DAG).read_text()
    assert (other / "dags" / "other.py").read_text() == "# newer\n"


def test_a_journal_of_a_commit_that_git_has_cleared_away_is_forgotten(desk: Desk) -> None:
    head = git(desk.work, "rev-parse", "HEAD")
    lost = git(
        desk.work, "hash-object", "-t", "commit", "-w", "--literally", "--stdin", stdin=f"tree {'1' * 40}\n\nx\n"
    )
    (desk.work / ".git" / "k8s-airflow-publish.json").write_text(
        json.dumps({"branch": "main", "old": head, "new": lost, "ours": [DAG]})
    )
    desk.publish()
    assert desk.clean()


def test_names_that_differ_only_at_their_ends_do_not_meet(desk: Desk) -> None:
    long = "x" * 215
    desk.settings(dags={f"{long}a": {"pipeline": "side"}, f"{long}b": {"pipeline": "side"}})
    desk.publish()
    assert desk.clean()
    assert len(list((desk.work / "dags").glob("project_xxx*.py"))) == 2


def test_a_disk_without_links_will_do(desk: Desk) -> None:
    assert patched(desk, LINKLESS, "")[0] == 0
    assert desk.clean()
    (desk.work / ".git" / "index.lock").touch()
    desk.settings(namespace="elsewhere")
    code, said = patched(desk, LINKLESS, "")
    assert (code, "index.lock exists" in said) == (1, True)


def test_no_room_for_temporary_files_is_said(desk: Desk) -> None:
    nowhere = {"TMPDIR": "/proc/nowhere", "TMP": "/proc/nowhere", "TEMP": "/proc/nowhere"}
    program = desk.project.parent / "nowhere.py"
    program.write_text(PATCHED.replace("{patch}", "import tempfile; tempfile.tempdir = '/proc/nowhere'"))
    for to, more in ((str(desk.work), ()), (f"file://{desk.bare}", ("--push",))):
        arguments = ("k8s-airflow", "publish", "--to", to, *more)
        done = desk.forge.script(str(program), "", *arguments, cwd=desk.project, env={**GIT, **IDENTITY, **nowhere})
        assert done.code == 1
        assert "[publish-git]" in done.err
        assert "/proc/nowhere" in done.err


@pytest.mark.parametrize("number", ["SIGTERM", "SIGINT"])
def test_a_clone_of_the_moment_goes_when_the_job_is_cancelled(desk: Desk, tmp_path: Path, number: str) -> None:
    import signal

    slow = desk.bare / "hooks" / "pre-receive"
    slow.write_text(f"#!/bin/sh\ntouch {tmp_path}/asked\nsleep 3\n")
    slow.chmod(0o755)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    running = subprocess.Popen(
        command("publish", "--to", f"file://{desk.bare}", "--push"),
        cwd=desk.project,
        env=environment(TMPDIR=str(temporary)),
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
    said = running.communicate(timeout=60)[0]
    assert running.returncode not in (0, None)
    assert "Traceback" not in said
    assert list(temporary.iterdir()) == []


# --- words


def test_a_token_is_never_told(desk: Desk) -> None:
    instead = {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.file://{desk.bare.parent}/.insteadOf",
        "GIT_CONFIG_VALUE_0": "https://ghp_token22@example.com/",
    }
    address = "https://ghp_token22@example.com/dags.git"
    said = desk.publish("--push", to=address, env=instead)
    said += desk.publish("--push", "--base", "nowhere", "--branch", "x", to=address, env=instead, code=1)
    for form in ("text", "json", "github", "sarif"):
        done = desk.run("check", "--drift", "--against", address, "--subfolder", "x", "--format", form, env=instead)
        assert done.code == 1
        said += done.said
    assert "token22" not in said
    assert "https://***@example.com/dags.git" in said


@pytest.mark.parametrize(
    "address",
    [
        "https://me:p@hunter22@127.0.0.1:1/x",
        "https://me:a/hunter22@127.0.0.1:1/x",
        "https://127.0.0.1:1/x?private_token=hunter22",
    ],
)
def test_a_secret_of_a_remote_is_never_told(desk: Desk, address: str) -> None:
    git(desk.work, "remote", "set-url", "origin", address)
    assert "hunter22" not in desk.publish("--push", code=1)


def test_an_address_to_push_to_is_told_without_its_password(desk: Desk) -> None:
    git(desk.work, "config", "branch.main.pushRemote", "https://me:hunter22@example.com/dags.git")
    instead = {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.file://{desk.bare.parent}/.insteadOf",
        "GIT_CONFIG_VALUE_0": "https://me:hunter22@example.com/",
    }
    said = desk.publish("--push", env=instead)
    assert "pushed branch main to https://***@example.com/dags.git" in said


@pytest.mark.parametrize("told", ["", "  ", "a\nb"])
def test_an_empty_target_is_not_the_current_folder(desk: Desk, told: str) -> None:
    """As CI passes it where a variable is not set."""
    git(desk.project, "init", "--quiet")
    done = desk.run("publish", "--to", told)
    assert (done.code, "[publish-to]" in done.err) == (1, True)
    done = desk.run("check", "--drift", "--against", told)
    assert (done.code, "[publish-to]" in done.err) == (2, True)


def test_a_message_that_is_no_text_is_a_usage_error(desk: Desk) -> None:
    assert desk.run("publish", "--to", str(desk.work), "--message", os.fsdecode(b"caf\xe9")).code == 2


def test_signs_that_a_terminal_obeys_are_shown_as_escapes(desk: Desk) -> None:
    said = desk.publish("--dry-run", "--message", "red \x1b[31m alert")
    assert "\x1b" not in said


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
def test_a_manifest_that_was_tampered_with_is_refused_in_words(desk: Desk, changes: dict[str, object]) -> None:
    desk.publish()
    manifest(desk, **changes)
    refused(desk, "publish-manifest")
    done = desk.run("check", "--drift", "--against", str(desk.work))
    assert (done.code, "[publish-manifest]" in done.err) == (2, True), done


def test_a_manifest_that_is_no_file_is_refused(desk: Desk) -> None:
    desk.publish()
    git(desk.work, "rm", "--quiet", MANIFEST)
    git(desk.work, "update-index", "--add", "--cacheinfo", f"160000,{git(desk.work, 'rev-parse', 'HEAD')},{MANIFEST}")
    git(desk.work, "commit", "--quiet", "--message", "Tampered")
    refused(desk, "publish-folder", "--branch", "robot", mentions=MANIFEST)


def test_a_file_in_two_manifests_is_removed_by_neither(desk: Desk, tmp_path: Path) -> None:
    desk.publish()
    desk.publish(project=project(tmp_path / "other", "other"))
    theirs = json.loads(desk.state()[f"{MANIFESTS}/other.json"])["files"]
    manifest(desk, files={**json.loads(desk.state()[MANIFEST])["files"], **theirs})
    refused(desk, "publish-owned", mentions="dags/other_main.py")
    refused(desk, "publish-owned", "--force", mentions="dags/other_main.py")


def test_another_project_of_the_same_package_name_is_told_apart_by_drift(desk: Desk, tmp_path: Path) -> None:
    desk.publish()
    other = project(tmp_path / "other")
    text = (other / "pyproject.toml").read_text()
    (other / "pyproject.toml").write_text(text.replace('project_name = "project"', 'project_name = "Another"'))
    assert desk.drift("--against", str(desk.work), code=2, project=other) == []


@pytest.mark.parametrize("where", ["server", "here"])
def test_words_of_a_hook_are_not_taken_for_a_race(desk: Desk, where: str) -> None:
    hook = (desk.bare / "hooks" / "pre-receive") if where == "server" else (desk.work / ".git" / "hooks" / "pre-push")
    hook.write_text("#!/bin/sh\necho 'failed to update ref; please git fetch first (non-fast-forward)' >&2\nexit 1\n")
    hook.chmod(0o755)
    said = desk.publish("--push", code=1)
    assert "[publish-git]" in said
    assert "please git fetch first" in said


# --- sources, environments, repositories


def test_source_that_was_never_committed_is_no_commit(desk: Desk) -> None:
    git(desk.project, "init", "--quiet")
    (desk.project / ".gitignore").write_text("__pycache__\n")
    git(desk.project, "add", ".gitignore", "pyproject.toml", "conf")
    git(desk.project, "commit", "--quiet", "--message", "Without the source")
    assert "[publish-uncommitted]" in desk.publish()
    assert trailers(desk)["Source-Commit"].endswith("-dirty")


def test_what_is_made_is_no_change_of_the_source(desk: Desk) -> None:
    git(desk.project, "init", "--quiet")
    commit(desk.project, {".gitignore": "__pycache__\n"})
    desk.run("create")
    (desk.project / "data").mkdir()
    (desk.project / "data" / "raw.pkl").write_text("")
    assert "[publish-uncommitted]" not in desk.publish()


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
def test_how_git_is_set_up_makes_no_difference(desk: Desk, tmp_path: Path, more: dict[str, str]) -> None:
    meanwhile(desk, tmp_path, {"x.txt": "x\n"})
    desk.publish("--push", "--message", "Grüße", env=more)
    assert desk.log(desk.bare, "main")[:2] == ["Grüße", "Meanwhile"]
    assert desk.clean()
    desk.settings(namespace="elsewhere")
    desk.publish("--push", to=f"file://{desk.bare}", env=more)
    assert len(desk.log(desk.bare, "main")) == 4


def test_a_repository_of_longer_names_works(desk: Desk, tmp_path: Path) -> None:
    hub = tmp_path / "long.git"
    hub.mkdir()
    git(hub, "init", "--quiet", "--bare", "--object-format=sha256", "--initial-branch=main")
    work = tmp_path / "long"
    work.mkdir()
    git(work, "init", "--quiet", "--object-format=sha256", "--initial-branch=main")
    git(work, "remote", "add", "origin", f"file://{hub}")
    desk.publish("--push", to=work)
    desk.settings(dags={"main": {"pipeline": "__default__"}})
    desk.publish("--push", to=f"file://{hub}")
    assert "dags/project_side.py" not in desk.state(hub, "main")
    assert desk.drift("--against", str(hub)) == []
    desk.publish("--push", to=work)
    assert git(work, "status", "--porcelain") == ""


@pytest.mark.parametrize("cone", ["--cone", "--no-cone"])
def test_a_sparse_checkout_may_lack_the_folder(desk: Desk, tmp_path: Path, cone: str) -> None:
    desk.publish("--push")
    work = clone(desk.bare, tmp_path / "sparse")
    git(work, "sparse-checkout", "set", cone, "nothing")
    assert not (work / DAG).exists()
    desk.settings(namespace="elsewhere")
    desk.publish("--push", to=work)
    assert '"namespace": "elsewhere"' in desk.state(desk.bare, "main")[DAG]
    assert git(work, "status", "--porcelain") == ""


def test_a_folder_may_be_named_from_home(desk: Desk) -> None:
    home = {"HOME": str(desk.work.parent)}
    desk.publish(to="~/work", env=home)
    done = desk.run("check", "--drift", "--against", "~/work", env=home)
    assert done.out.endswith("no drift\n"), done


def test_line_ends_of_a_checkout_are_no_drift(desk: Desk) -> None:
    commit(desk.work, {".gitattributes": "* text eol=crlf\n"})
    desk.publish()
    git(desk.work, "rm", "-rq", "--cached", ".")
    git(desk.work, "reset", "--quiet", "--hard")
    assert b"\r\n" in (desk.work / DAG).read_bytes()
    assert desk.drift("--against", str(desk.work)) == []


def test_the_project_may_lie_in_the_repository_that_is_published_to(desk: Desk) -> None:
    git(desk.project, "init", "--quiet", "--initial-branch=main")
    commit(desk.project, {".gitignore": "__pycache__\n"})
    desk.publish("--subfolder", "airflow", to=".")
    assert "nothing to commit" in desk.publish("--subfolder", "airflow", to=".")
    done = desk.run("check", "--drift", "--against", "HEAD", "--subfolder", "airflow")
    assert done.out.endswith("no drift\n"), done
    assert git(desk.project, "status", "--porcelain") == ""
