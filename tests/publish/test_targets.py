"""Every kind of target: checkouts, work trees, bare repositories and addresses, branches that are there or not, and what is in the way."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.publish.test_publish import everything, refused
from tests.support.workspace import GIT, MANIFESTS, bare, clone, commit, git, project

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.workspace import Desk

DAG = "dags/project_main.py"


# --- a checkout


def test_a_linked_work_tree_is_published_to_on_its_own_branch(desk: Desk, tmp_path: Path) -> None:
    git(desk.work, "worktree", "add", "--quiet", "-b", "release", str(tmp_path / "linked"))
    desk.publish(to=tmp_path / "linked")
    assert DAG in desk.state(ref="release")
    assert DAG not in desk.state(ref="main")
    assert (tmp_path / "linked" / DAG).is_file()
    assert git(tmp_path / "linked", "status", "--porcelain") == ""
    refused(desk, "publish-branch", "--branch", "release", mentions=str(tmp_path / "linked"))


def test_a_shallow_checkout_publishes_and_pushes(desk: Desk, tmp_path: Path) -> None:
    for number in range(3):
        commit(desk.work, {"n": str(number)})
    git(desk.work, "push", "--quiet")
    shallow = clone(desk.bare, tmp_path / "shallow", "--depth=1")
    desk.publish("--push", to=shallow)
    assert DAG in desk.state(desk.bare, "main")
    assert git(shallow, "rev-parse", "--is-shallow-repository") == "true"
    assert len(desk.log(desk.bare, "main")) == 5


def test_an_unborn_branch_is_born(desk: Desk, tmp_path: Path) -> None:
    hub = bare(tmp_path / "empty.git", "trunk")
    work = clone(hub, tmp_path / "empty")
    desk.publish("--push", to=work)
    assert len(desk.log(hub, "trunk")) == 1
    assert git(work, "status", "--porcelain") == ""
    assert (work / DAG).is_file()
    desk.settings(namespace="elsewhere")
    desk.publish("--push", to=work)
    assert len(desk.log(hub, "trunk")) == 2


def test_a_branch_without_a_commit_in_a_repository_that_has_some(desk: Desk) -> None:
    git(desk.work, "checkout", "--quiet", "--orphan", "fresh")
    git(desk.work, "rm", "-rq", "--cached", ".")
    said = desk.publish()
    assert "branch fresh" in said
    assert set(desk.state(ref="fresh")) >= {DAG}
    assert "README.md" not in desk.state(ref="fresh")
    assert (desk.work / "README.md").is_file()


def test_a_detached_head_moves_along(desk: Desk) -> None:
    git(desk.work, "checkout", "--quiet", "--detach")
    said = desk.publish()
    assert "the detached head" in said
    assert git(desk.work, "symbolic-ref", "-q", "HEAD", ok=False) == ""
    assert DAG in desk.state()
    assert DAG not in desk.state(ref="main")
    assert desk.clean()


def test_a_detached_head_is_not_pushed_but_a_branch_from_it_is(desk: Desk) -> None:
    git(desk.work, "checkout", "--quiet", "--detach")
    head = git(desk.work, "rev-parse", "HEAD")
    refused(desk, "publish-branch", "--push", mentions="--branch")
    desk.publish("--push", "--branch", "robot")
    assert DAG in desk.state(desk.bare, "robot")
    assert git(desk.work, "rev-parse", "HEAD") == head
    assert not (desk.work / DAG).exists()


def test_another_branch_is_committed_to_without_touching_the_work_tree(desk: Desk) -> None:
    (desk.work / "README.md").write_text("in the middle of something\n")
    (desk.work / "dags" / "project_main.py").write_text("# a try of mine\n")
    before = git(desk.work, "status", "--porcelain")
    desk.publish("--branch", "robot", "--push")
    assert git(desk.work, "status", "--porcelain") == before
    assert DAG in desk.state(desk.bare, "robot")
    assert desk.log(ref="robot")[1] == "First"


def test_a_new_branch_begins_at_its_base(desk: Desk) -> None:
    git(desk.work, "checkout", "--quiet", "-b", "mine")
    commit(desk.work, {"mine": ""}, "Mine")
    desk.publish("--branch", "robot", "--base", "main")
    assert "mine" not in desk.state(ref="robot")
    desk.publish("--branch", "from-here")
    assert "mine" in desk.state(ref="from-here")
    refused(desk, "publish-branch", "--branch", "new", "--base", "nowhere", mentions="'nowhere'")


def test_a_base_that_only_the_remote_has(desk: Desk) -> None:
    commit(desk.work, {"live": ""}, "Live")
    git(desk.work, "push", "--quiet", "origin", "HEAD:live")
    git(desk.work, "reset", "--quiet", "--hard", "HEAD~")
    desk.publish("--branch", "robot", "--base", "live")
    assert "live" in desk.state(ref="robot")


def test_a_base_without_a_branch_is_published_to(desk: Desk) -> None:
    git(desk.work, "branch", "live")
    desk.publish("--base", "live")
    assert DAG in desk.state(ref="live")
    assert DAG not in desk.state(ref="main")


@pytest.mark.parametrize("name", ["a b", "-x", "x..y", "refs/heads/", "x.lock", "", "~"])
def test_a_branch_that_can_be_none_is_refused(desk: Desk, name: str) -> None:
    refused(desk, "publish-branch", f"--branch={name}")
    refused(desk, "publish-branch", f"--base={name}")


@pytest.mark.parametrize("name", ["robot/dags-1", "ümlaut", "HEAD2", "a.b", "odd"])
def test_a_branch_of_any_other_name_works(desk: Desk, name: str) -> None:
    desk.publish("--branch", name, "--push")
    assert DAG in desk.state(desk.bare, f"refs/heads/{name}")


# --- changes that are not committed


def test_changes_elsewhere_stay_as_they_are(desk: Desk) -> None:
    (desk.work / "README.md").write_text("changed\n")
    (desk.work / "staged").write_text("new\n")
    git(desk.work, "add", "staged")
    (desk.work / "dags" / "untracked.py").write_text("# mine\n")
    before = git(desk.work, "status", "--porcelain")
    desk.publish("--push")
    assert git(desk.work, "status", "--porcelain") == before
    assert not {"staged", "dags/untracked.py"} & set(desk.state())
    assert desk.state()["README.md"] == "DAGs"


def edit(desk: Desk) -> None:
    (desk.work / DAG).write_text("# by hand\n")


def stage(desk: Desk) -> None:
    edit(desk)
    git(desk.work, "add", DAG)


def stage_and_undo(desk: Desk) -> None:
    text = (desk.work / DAG).read_text()
    stage(desk)
    (desk.work / DAG).write_text(text)


def delete(desk: Desk) -> None:
    (desk.work / DAG).unlink()


def delete_folder(desk: Desk) -> None:
    subprocess.run(["rm", "-r", desk.work / "dags"], check=True)


def link_folder(desk: Desk) -> None:
    (desk.work / "dags").rename(desk.work / "real")
    (desk.work / "dags").symlink_to("real")


@pytest.mark.parametrize("change", [edit, stage, stage_and_undo, delete, delete_folder, link_folder])
def test_changes_of_our_own_files_are_not_overwritten(desk: Desk, change) -> None:
    desk.publish()
    desk.settings(namespace="elsewhere")
    change(desk)
    for more in ((), ("--force",)):
        refused(desk, "publish-dirty", *more, mentions=DAG)


@pytest.mark.parametrize("ignored", [False, True])
def test_a_file_that_nobody_tracks_is_not_overwritten(desk: Desk, *, ignored: bool) -> None:
    if ignored:
        commit(desk.work, {".gitignore": "dags/\n"})
    edit(desk)
    refused(desk, "publish-dirty", mentions=DAG)
    (desk.work / DAG).unlink()
    desk.publish()
    assert DAG in desk.state()


def test_a_file_that_nobody_tracks_and_that_is_the_same_is_taken(desk: Desk) -> None:
    desk.run("create", "--output", str(desk.work / "dags"))
    desk.publish()
    assert desk.clean()


def test_a_link_out_of_the_repository_is_never_followed(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (desk.work / "new").symlink_to(tmp_path / "outside")
    refused(desk, "publish-dirty", "--subfolder", "new/deep")
    assert list((tmp_path / "outside").iterdir()) == []


def test_a_merge_that_has_not_ended_is_not_mixed_with(desk: Desk) -> None:
    git(desk.work, "checkout", "--quiet", "-b", "left")
    commit(desk.work, {"README.md": "left\n"})
    git(desk.work, "checkout", "--quiet", "main")
    commit(desk.work, {"README.md": "right\n"})
    git(desk.work, "merge", "left", ok=False)
    refused(desk, "publish-dirty", mentions="in the middle of a merge")
    desk.publish("--branch", "robot", "--base", "left")


def test_the_lock_of_another_git_is_respected(desk: Desk) -> None:
    lock = desk.work / ".git" / "index.lock"
    lock.touch()
    refused(desk, "publish-git", mentions="index.lock exists")
    assert lock.exists()
    lock.unlink()
    desk.publish()


@pytest.mark.parametrize("eol", ["crlf", "lf"])
def test_line_ends_that_git_converts_are_no_changes(desk: Desk, eol: str) -> None:
    commit(desk.work, {".gitattributes": f"*.py text eol={eol}\n*.json text eol={eol}\n"})
    desk.publish()
    assert desk.clean()
    git(desk.work, "rm", "-rq", "--cached", ".")
    git(desk.work, "reset", "--quiet", "--hard")  # as a fresh clone has them
    assert (b"\r\n" in (desk.work / DAG).read_bytes()) is (eol == "crlf")
    assert "nothing to commit" in desk.publish()
    desk.settings(namespace="elsewhere")
    desk.publish()
    assert desk.clean()


def test_an_executable_file_stays_one(desk: Desk) -> None:
    desk.publish()
    (desk.work / DAG).chmod(0o755)
    commit(desk.work, {})
    desk.settings(namespace="elsewhere")
    desk.publish()
    assert git(desk.work, "ls-files", "--stage", DAG).startswith("100755")
    assert desk.clean()


# --- git itself


@pytest.mark.parametrize("to", ["checkout", "address"])
def test_no_identity_is_said_clearly(desk: Desk, to: str) -> None:
    nobody = dict.fromkeys(("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL"), "")
    more = ("--push",) if to == "address" else ()
    place = f"file://{desk.bare}" if to == "address" else desk.work
    said = refused(desk, "publish-identity", *more, to=place, env={**nobody, "EMAIL": ""})
    assert "user.name" in said


def test_a_hook_of_the_project_repository_does_not_lead_git_astray(desk: Desk) -> None:
    git(desk.project, "init", "--quiet")
    commit(desk.project, {".gitignore": "__pycache__\n"})
    inside = {"GIT_DIR": str(desk.project / ".git"), "GIT_INDEX_FILE": str(desk.project / ".git" / "index")}
    desk.publish(env=inside)
    assert DAG in desk.state()
    assert desk.clean()
    assert git(desk.project, "status", "--porcelain") == ""


def test_without_git_it_says_so(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    said = desk.publish(code=1, env={"PATH": str(tmp_path / "bin")})
    assert "git: is not on PATH" in said


def sign(desk: Desk, tmp_path: Path) -> None:
    """Let git sign commits in the checkout."""
    key = tmp_path / "key"
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode:
        pytest.skip("ssh-keygen could not make a key to sign with")
    for name, value in (("gpg.format", "ssh"), ("user.signingKey", str(key)), ("commit.gpgSign", "true")):
        git(desk.work, "config", name, value)


def test_commits_are_signed_where_git_is_set_to_sign(desk: Desk, tmp_path: Path) -> None:
    sign(desk, tmp_path)
    desk.publish()
    assert "-----BEGIN SSH SIGNATURE-----" in git(desk.work, "cat-file", "commit", "HEAD")


def test_a_password_is_never_printed(desk: Desk) -> None:
    git(desk.work, "remote", "set-url", "origin", "https://me:hunter22@127.0.0.1:1/dags.git")
    said = desk.publish("--push", code=1)
    assert "hunter22" not in said
    assert "[publish-git]" in said


def test_an_address_with_a_password_is_refused_without_printing_it(desk: Desk) -> None:
    said = refused(desk, "publish-password", "--push", to="https://me:hunter22@127.0.0.1:1/dags.git")
    assert "hunter22" not in said
    said = desk.run("check", "--drift", "--against", "https://me:hunter22@127.0.0.1:1/dags.git")
    assert said.code == 2
    assert "hunter22" not in said.said


# --- what is no target


def test_what_is_no_target_is_refused_with_what_would_be_right(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    file = tmp_path / "file"
    file.touch()
    for to in (tmp_path / "nowhere", file, "", "-x"):
        refused(desk, "publish-to", to=to or " ")
    refused(desk, "publish-git", to=tmp_path / "plain", mentions="Clone the repository")
    refused(desk, "publish-git", to=desk.work / ".git")
    refused(desk, "publish-to", to=desk.work / "dags", mentions=f"--to {desk.work} --subfolder dags")
    refused(desk, "publish-git", "--push", to="file:///nowhere.git")


def test_a_repository_without_a_remote_cannot_be_pushed(desk: Desk) -> None:
    git(desk.work, "remote", "remove", "origin")
    refused(desk, "publish-remote", "--push")
    desk.publish()


def test_the_remote_is_the_one_that_git_would_push_to(desk: Desk, tmp_path: Path) -> None:
    other = bare(tmp_path / "other.git")
    git(desk.work, "push", "--quiet", f"file://{other}", "main")
    git(desk.work, "remote", "add", "upstream", f"file://{other}")
    git(desk.work, "config", "branch.main.pushRemote", "upstream")
    desk.publish("--push")
    assert DAG in desk.state(other, "main")
    assert DAG not in desk.state(desk.bare, "main")


def test_a_branch_that_follows_one_of_another_name_is_not_pushed_by_guess(desk: Desk) -> None:
    git(desk.work, "checkout", "--quiet", "-b", "mine", "--track", "origin/main")
    refused(desk, "publish-branch", "--push", mentions="follows main of origin")
    desk.publish("--push", "--branch", "mine")
    assert DAG in desk.state(desk.bare, "mine")
    assert DAG not in desk.state(desk.bare, "main")


# --- an address


@pytest.mark.parametrize("form", ["file", "path"])
def test_an_address_is_published_to_by_a_clone_of_the_moment(desk: Desk, form: str, tmp_path: Path) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    to = f"file://{desk.bare}" if form == "file" else desk.bare
    desk.publish("--push", to=to, env={"TMPDIR": str(temporary)})
    assert DAG in desk.state(desk.bare, "main")
    assert "nothing to commit" in desk.publish("--push", to=to)
    assert list(temporary.iterdir()) == []


def test_an_address_needs_a_push_or_a_dry_run(desk: Desk) -> None:
    refused(desk, "publish-to", to=f"file://{desk.bare}", mentions="--push")
    assert "would commit to branch main" in desk.publish("--dry-run", to=f"file://{desk.bare}")


def test_an_empty_address_gets_its_first_commit_on_its_own_default_branch(desk: Desk, tmp_path: Path) -> None:
    hub = bare(tmp_path / "empty.git", "trunk")
    desk.publish("--push", to=f"file://{hub}")
    assert len(desk.log(hub, "trunk")) == 1
    other = bare(tmp_path / "other.git", "trunk")
    desk.publish("--push", "--branch", "robot", to=f"file://{other}")
    assert DAG in desk.state(other, "robot")
    refused(
        desk, "publish-branch", "--push", "--branch", "robot2", "--base", "x", to=f"file://{other}", mentions="robot"
    )


def test_a_branch_of_an_address_begins_at_its_base(desk: Desk) -> None:
    commit(desk.work, {"live": ""}, "Live")
    git(desk.work, "push", "--quiet", "origin", "HEAD:live")
    desk.publish("--push", "--branch", "robot", "--base", "live", to=f"file://{desk.bare}")
    assert "live" in desk.state(desk.bare, "robot")
    assert desk.log(desk.bare, "robot")[1:] == ["Live", "First"]


# --- a branch for a pull request


def request(desk: Desk, *options: str) -> str:
    return desk.publish("--push", "--branch", "robot", "--base", "main", *options, to=f"file://{desk.bare}")


def parents(desk: Desk, ref: str = "robot") -> list[str]:
    return git(desk.bare, "log", "-1", "--format=%P", ref).split()


def test_a_branch_that_is_there_gets_another_commit(desk: Desk) -> None:
    request(desk)
    desk.settings(namespace="elsewhere")
    request(desk)
    assert len(desk.log(desk.bare, "robot")) == 3
    assert "nothing to commit" in request(desk)


def test_a_branch_that_was_merged_begins_again_at_the_base(desk: Desk) -> None:
    request(desk)
    git(desk.work, "fetch", "--quiet")
    git(desk.work, "merge", "--quiet", "--no-ff", "--message", "Merge", "origin/robot")
    git(desk.work, "push", "--quiet")
    assert "nothing to commit" in request(desk)
    desk.settings(namespace="elsewhere")
    request(desk)
    assert parents(desk) == [git(desk.work, "rev-parse", "main")]


def test_a_branch_that_was_squashed_is_brought_onto_its_base_without_a_conflict(desk: Desk) -> None:
    request(desk)
    git(desk.work, "fetch", "--quiet")
    git(desk.work, "merge", "--quiet", "--squash", "origin/robot")
    commit(desk.work, {"dags/other.py": "# changed meanwhile\n"}, "Squashed")
    git(desk.work, "push", "--quiet")
    desk.settings(namespace="elsewhere")
    request(desk)
    base = git(desk.work, "rev-parse", "main")
    assert parents(desk)[1] == base
    assert desk.state(desk.bare, "robot")["dags/other.py"] == "# changed meanwhile"
    # What the forge would merge: our files, without a conflict.
    git(desk.work, "fetch", "--quiet")
    git(desk.work, "merge", "--quiet", "--no-edit", "origin/robot")
    assert git(desk.work, "diff", "--name-only", base).splitlines() == [
        f"{MANIFESTS}/project.json",
        DAG,
        "dags/project_side.py",
    ]


def test_a_branch_loses_what_the_project_took_back(desk: Desk) -> None:
    """Its base has moved on meanwhile, and has by itself what the project makes now."""
    desk.publish("--push")
    desk.settings(dags={"main": {"pipeline": "__default__"}, "new": {"pipeline": "side"}})
    request(desk)
    commit(desk.work, {"dags/other.py": "# changed meanwhile\n"})
    git(desk.work, "push", "--quiet")
    desk.settings(dags={"main": {"pipeline": "__default__"}, "side": {"pipeline": "side"}})
    said = request(desk)
    assert "project_new: removed" in said
    git(desk.work, "fetch", "--quiet")
    git(desk.work, "merge", "--quiet", "--no-edit", "origin/robot")
    assert git(desk.work, "diff", "--name-only", "origin/main") == ""


def test_a_new_branch_with_nothing_of_its_own_is_none(desk: Desk) -> None:
    desk.publish("--push")
    said = request(desk)
    assert "nothing to commit: what branch robot would begin at" in said
    assert git(desk.bare, "branch", "--list", "robot") == ""


def test_a_branch_with_commits_of_others_keeps_them(desk: Desk) -> None:
    request(desk)
    git(desk.work, "fetch", "--quiet")
    git(desk.work, "checkout", "--quiet", "robot")
    commit(desk.work, {"notes.md": "by a reviewer\n"}, "Notes")
    git(desk.work, "push", "--quiet")
    git(desk.work, "checkout", "--quiet", "main")
    commit(desk.work, {"dags/other.py": "# changed meanwhile\n"})
    git(desk.work, "push", "--quiet")
    desk.settings(namespace="elsewhere")
    request(desk)
    state = desk.state(desk.bare, "robot")
    assert state["notes.md"] == "by a reviewer"
    assert len(parents(desk)) == 1


def test_a_branch_of_two_projects_keeps_both(desk: Desk, tmp_path: Path) -> None:
    other = project(tmp_path / "other", "other")
    request(desk)
    desk.publish("--push", "--branch", "robot", to=f"file://{desk.bare}", project=other)
    commit(desk.work, {"dags/other.py": "# changed meanwhile\n"})
    git(desk.work, "push", "--quiet")
    desk.settings(namespace="elsewhere")
    request(desk)
    assert {DAG, "dags/other_main.py"} <= set(desk.state(desk.bare, "robot"))


# --- pushes


def test_a_commit_that_was_not_pushed_is_pushed_the_next_time(desk: Desk) -> None:
    desk.publish()
    said = desk.publish("--push")
    assert "pushed branch main" in said
    assert DAG in desk.state(desk.bare, "main")


def meanwhile(desk: Desk, tmp_path: Path, files: dict[str, str]) -> None:
    """Somebody else pushes."""
    other = clone(desk.bare, tmp_path / f"meanwhile-{len(list(tmp_path.iterdir()))}")
    commit(other, files, "Meanwhile")
    git(other, "push", "--quiet")


def test_a_checkout_that_lags_is_brought_along(desk: Desk, tmp_path: Path) -> None:
    meanwhile(desk, tmp_path, {"dags/other.py": "# newer\n", "more/x": "x\n"})
    desk.publish("--push")
    assert desk.log(desk.bare, "main")[1] == "Meanwhile"
    assert (desk.work / "dags" / "other.py").read_text() == "# newer\n"
    assert desk.clean()
    assert git(desk.work, "rev-parse", "main", "origin/main").split()[0] == git(desk.bare, "rev-parse", "main")


def test_a_checkout_that_lags_with_changes_there_is_refused(desk: Desk, tmp_path: Path) -> None:
    meanwhile(desk, tmp_path, {"dags/other.py": "# newer\n"})
    (desk.work / "dags" / "other.py").write_text("# in the middle of something\n")
    head = git(desk.work, "rev-parse", "HEAD")
    assert "[publish-dirty]" in desk.publish("--push", code=1)
    assert git(desk.work, "rev-parse", "HEAD") == head
    assert DAG not in desk.state(desk.bare, "main")


def test_own_commits_that_were_not_pushed_are_made_again_on_what_others_pushed(desk: Desk, tmp_path: Path) -> None:
    desk.publish()
    meanwhile(desk, tmp_path, {"dags/other.py": "# newer\n"})
    desk.publish("--push")
    assert desk.log(desk.bare, "main") == ["Publish project: 2 new DAGs", "Meanwhile", "First"]
    assert desk.clean()
    assert (desk.work / "dags" / "other.py").read_text() == "# newer\n"


def test_other_commits_that_were_not_pushed_are_never_thrown_away(desk: Desk, tmp_path: Path) -> None:
    desk.publish()
    commit(desk.work, {"notes.md": "mine\n"}, "Mine")
    meanwhile(desk, tmp_path, {"dags/other.py": "# newer\n"})
    said = desk.publish("--push", code=1)
    assert "[publish-diverged]" in said
    assert "pull --rebase" in said
    assert desk.log()[0] == "Mine"


def test_commits_of_another_project_that_were_not_pushed_are_never_thrown_away(desk: Desk, tmp_path: Path) -> None:
    desk.publish(project=project(tmp_path / "other", "other"))
    meanwhile(desk, tmp_path, {"dags/other.py": "# newer\n"})
    desk.publish("--push", code=1)
    assert "dags/other_main.py" in desk.state()


def test_a_server_that_refuses_is_told_with_its_own_words(desk: Desk) -> None:
    hook = desk.bare / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\necho 'main is protected; open a pull request' >&2\nexit 1\n")
    hook.chmod(0o755)
    said = desk.publish("--push", code=1)
    assert "main is protected; open a pull request" in said
    assert "the commit is on branch main" in said
    hook.unlink()
    assert "pushed branch main" in desk.publish("--push")
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    desk.settings(namespace="elsewhere")
    before = everything(desk)
    assert "[publish-git]" in desk.publish("--push", to=f"file://{desk.bare}", code=1)
    assert everything(desk) == before


def test_hooks_of_a_push_run(desk: Desk) -> None:
    hook = desk.work / ".git" / "hooks" / "pre-push"
    hook.write_text("#!/bin/sh\necho 'not on a Friday' >&2\nexit 1\n")
    hook.chmod(0o755)
    assert "not on a Friday" in desk.publish("--push", code=1)


def test_a_repository_of_somebody_else_is_refused_with_git_own_words(desk: Desk) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a folder to somebody else")
    os.chown(desk.work / ".git", 12345, 12345)
    os.chown(desk.work, 12345, 12345)
    said = desk.publish(code=1, env={**GIT, "SUDO_UID": ""})
    assert "safe.directory" in said


def test_a_project_that_git_cannot_read_is_published_without_its_commit_and_says_so(desk: Desk) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a folder to somebody else")
    git(desk.project, "init", "--quiet")
    commit(desk.project, {".gitignore": "__pycache__\n"})
    for path in (desk.project, desk.project / ".git"):
        os.chown(path, 12345, 12345)
    said = desk.publish(env={"SUDO_UID": ""})
    assert "[publish-uncommitted]" in said
    assert "dubious ownership" in said
    assert "Source-Commit" not in git(desk.work, "log", "-1", "--format=%B")
