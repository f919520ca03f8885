"""Every kind of target: checkouts, work trees, bare repositories and addresses, with existing, new and conflicting branches."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.support.publish_checks import DAG, assert_refused, configure_signing, push_meanwhile, read_repositories
from tests.support.workspace import (
    ISOLATED_GIT_ENV,
    MANIFEST_FOLDER,
    clone_repository,
    commit_files,
    init_bare_repository,
    make_publish_project,
    run_git,
)

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.workspace import Workspace

# --- a checkout


def test_a_linked_work_tree_is_published_to_on_its_own_branch(workspace: Workspace, tmp_path: Path) -> None:
    run_git(workspace.work, "worktree", "add", "--quiet", "-b", "release", str(tmp_path / "linked"))
    workspace.publish(to=tmp_path / "linked")
    assert DAG in workspace.state(ref="release")
    assert DAG not in workspace.state(ref="main")
    assert (tmp_path / "linked" / DAG).is_file()
    assert run_git(tmp_path / "linked", "status", "--porcelain") == ""
    assert_refused(workspace, "publish-branch", "--branch", "release", mentions=str(tmp_path / "linked"))


def test_a_shallow_checkout_publishes_and_pushes(workspace: Workspace, tmp_path: Path) -> None:
    for number in range(3):
        commit_files(workspace.work, {"n": str(number)})
    run_git(workspace.work, "push", "--quiet")
    shallow = clone_repository(workspace.bare, tmp_path / "shallow", "--depth=1")
    workspace.publish("--push", to=shallow)
    assert DAG in workspace.state(workspace.bare, "main")
    assert run_git(shallow, "rev-parse", "--is-shallow-repository") == "true"
    assert len(workspace.log(workspace.bare, "main")) == 5


def test_unborn_branch_gets_its_first_commit(workspace: Workspace, tmp_path: Path) -> None:
    hub = init_bare_repository(tmp_path / "empty.git", "trunk")
    work = clone_repository(hub, tmp_path / "empty")
    workspace.publish("--push", to=work)
    assert len(workspace.log(hub, "trunk")) == 1
    assert run_git(work, "status", "--porcelain") == ""
    assert (work / DAG).is_file()
    workspace.settings(namespace="elsewhere")
    workspace.publish("--push", to=work)
    assert len(workspace.log(hub, "trunk")) == 2


def test_a_branch_without_a_commit_in_a_repository_that_has_some(workspace: Workspace) -> None:
    run_git(workspace.work, "checkout", "--quiet", "--orphan", "fresh")
    run_git(workspace.work, "rm", "-rq", "--cached", ".")
    output = workspace.publish()
    assert "branch fresh" in output
    assert set(workspace.state(ref="fresh")) >= {DAG}
    assert "README.md" not in workspace.state(ref="fresh")
    assert (workspace.work / "README.md").is_file()


def test_a_detached_head_moves_along(workspace: Workspace) -> None:
    run_git(workspace.work, "checkout", "--quiet", "--detach")
    output = workspace.publish()
    assert "the detached HEAD" in output
    assert run_git(workspace.work, "symbolic-ref", "-q", "HEAD", ok=False) == ""
    assert DAG in workspace.state()
    assert DAG not in workspace.state(ref="main")
    assert workspace.clean()


def test_a_detached_head_is_not_pushed_but_a_branch_from_it_is(workspace: Workspace) -> None:
    run_git(workspace.work, "checkout", "--quiet", "--detach")
    head = run_git(workspace.work, "rev-parse", "HEAD")
    assert_refused(workspace, "publish-branch", "--push", mentions="--branch")
    workspace.publish("--push", "--branch", "robot")
    assert DAG in workspace.state(workspace.bare, "robot")
    assert run_git(workspace.work, "rev-parse", "HEAD") == head
    assert not (workspace.work / DAG).exists()


def test_another_branch_is_committed_to_without_touching_the_work_tree(workspace: Workspace) -> None:
    (workspace.work / "README.md").write_text("in the middle of something\n")
    (workspace.work / "dags" / "project_main.py").write_text("# a try of mine\n")
    before = run_git(workspace.work, "status", "--porcelain")
    workspace.publish("--branch", "robot", "--push")
    assert run_git(workspace.work, "status", "--porcelain") == before
    assert DAG in workspace.state(workspace.bare, "robot")
    assert workspace.log(ref="robot")[1] == "First"


def test_a_new_branch_begins_at_its_base(workspace: Workspace) -> None:
    run_git(workspace.work, "checkout", "--quiet", "-b", "mine")
    commit_files(workspace.work, {"mine": ""}, "Mine")
    workspace.publish("--branch", "robot", "--base", "main")
    assert "mine" not in workspace.state(ref="robot")
    workspace.publish("--branch", "from-here")
    assert "mine" in workspace.state(ref="from-here")
    assert_refused(workspace, "publish-branch", "--branch", "new", "--base", "nowhere", mentions="'nowhere'")


def test_a_base_that_only_the_remote_has(workspace: Workspace) -> None:
    commit_files(workspace.work, {"live": ""}, "Live")
    run_git(workspace.work, "push", "--quiet", "origin", "HEAD:live")
    run_git(workspace.work, "reset", "--quiet", "--hard", "HEAD~")
    workspace.publish("--branch", "robot", "--base", "live")
    assert "live" in workspace.state(ref="robot")


def test_a_base_without_a_branch_is_published_to(workspace: Workspace) -> None:
    run_git(workspace.work, "branch", "live")
    workspace.publish("--base", "live")
    assert DAG in workspace.state(ref="live")
    assert DAG not in workspace.state(ref="main")


@pytest.mark.parametrize("name", ["a b", "-x", "x..y", "refs/heads/", "x.lock", "", "~"])
def test_an_invalid_branch_name_is_refused(workspace: Workspace, name: str) -> None:
    assert_refused(workspace, "publish-branch", f"--branch={name}")
    assert_refused(workspace, "publish-branch", f"--base={name}")


@pytest.mark.parametrize("name", ["robot/dags-1", "ümlaut", "HEAD2", "a.b", "odd"])
def test_a_branch_of_any_other_name_works(workspace: Workspace, name: str) -> None:
    workspace.publish("--branch", name, "--push")
    assert DAG in workspace.state(workspace.bare, f"refs/heads/{name}")


# --- changes that are not committed


def test_changes_elsewhere_stay_as_they_are(workspace: Workspace) -> None:
    (workspace.work / "README.md").write_text("changed\n")
    (workspace.work / "staged").write_text("new\n")
    run_git(workspace.work, "add", "staged")
    (workspace.work / "dags" / "untracked.py").write_text("# mine\n")
    before = run_git(workspace.work, "status", "--porcelain")
    workspace.publish("--push")
    assert run_git(workspace.work, "status", "--porcelain") == before
    assert not {"staged", "dags/untracked.py"} & set(workspace.state())
    assert workspace.state()["README.md"] == "DAGs"


def edit_dag(workspace: Workspace) -> None:
    (workspace.work / DAG).write_text("# by hand\n")


def stage_edit(workspace: Workspace) -> None:
    edit_dag(workspace)
    run_git(workspace.work, "add", DAG)


def stage_and_undo_edit(workspace: Workspace) -> None:
    text = (workspace.work / DAG).read_text()
    stage_edit(workspace)
    (workspace.work / DAG).write_text(text)


def delete_dag(workspace: Workspace) -> None:
    (workspace.work / DAG).unlink()


def delete_dag_folder(workspace: Workspace) -> None:
    subprocess.run(["rm", "-r", workspace.work / "dags"], check=True)


def replace_folder_by_link(workspace: Workspace) -> None:
    (workspace.work / "dags").rename(workspace.work / "real")
    (workspace.work / "dags").symlink_to("real")


@pytest.mark.parametrize(
    "change", [edit_dag, stage_edit, stage_and_undo_edit, delete_dag, delete_dag_folder, replace_folder_by_link]
)
def test_uncommitted_changes_of_published_files_are_not_overwritten(workspace: Workspace, change) -> None:
    workspace.publish()
    workspace.settings(namespace="elsewhere")
    change(workspace)
    for more in ((), ("--force",)):
        assert_refused(workspace, "publish-dirty", *more, mentions=DAG)


@pytest.mark.parametrize("ignored", [False, True])
def test_an_untracked_file_is_not_overwritten(workspace: Workspace, *, ignored: bool) -> None:
    if ignored:
        commit_files(workspace.work, {".gitignore": "dags/\n"})
    edit_dag(workspace)
    assert_refused(workspace, "publish-dirty", mentions=DAG)
    (workspace.work / DAG).unlink()
    workspace.publish()
    assert DAG in workspace.state()


def test_an_untracked_file_with_the_same_content_is_accepted(workspace: Workspace) -> None:
    workspace.run("create", "--output", str(workspace.work / "dags"))
    workspace.publish()
    assert workspace.clean()


def test_a_link_out_of_the_repository_is_never_followed(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (workspace.work / "new").symlink_to(tmp_path / "outside")
    assert_refused(workspace, "publish-dirty", "--subfolder", "new/deep")
    assert list((tmp_path / "outside").iterdir()) == []


def test_an_unfinished_merge_is_refused(workspace: Workspace) -> None:
    run_git(workspace.work, "checkout", "--quiet", "-b", "left")
    commit_files(workspace.work, {"README.md": "left\n"})
    run_git(workspace.work, "checkout", "--quiet", "main")
    commit_files(workspace.work, {"README.md": "right\n"})
    run_git(workspace.work, "merge", "left", ok=False)
    assert_refused(workspace, "publish-dirty", mentions="in the middle of a merge")
    workspace.publish("--branch", "robot", "--base", "left")


def test_the_lock_of_another_git_is_respected(workspace: Workspace) -> None:
    lock = workspace.work / ".git" / "index.lock"
    lock.touch()
    assert_refused(workspace, "publish-git", mentions="index.lock exists")
    assert lock.exists()
    lock.unlink()
    workspace.publish()


@pytest.mark.parametrize("eol", ["crlf", "lf"])
def test_line_ends_that_git_converts_are_not_changes(workspace: Workspace, eol: str) -> None:
    commit_files(workspace.work, {".gitattributes": f"*.py text eol={eol}\n*.json text eol={eol}\n"})
    workspace.publish()
    assert workspace.clean()
    run_git(workspace.work, "rm", "-rq", "--cached", ".")
    run_git(workspace.work, "reset", "--quiet", "--hard")  # as a fresh clone has them
    assert (b"\r\n" in (workspace.work / DAG).read_bytes()) is (eol == "crlf")
    assert "Already up to date" in workspace.publish()
    workspace.settings(namespace="elsewhere")
    workspace.publish()
    assert workspace.clean()


def test_an_executable_file_stays_one(workspace: Workspace) -> None:
    workspace.publish()
    (workspace.work / DAG).chmod(0o755)
    commit_files(workspace.work, {})
    workspace.settings(namespace="elsewhere")
    workspace.publish()
    assert run_git(workspace.work, "ls-files", "--stage", DAG).startswith("100755")
    assert workspace.clean()


# --- git itself


@pytest.mark.parametrize("to", ["checkout", "address"])
def test_a_missing_identity_is_refused(workspace: Workspace, to: str) -> None:
    nobody = dict.fromkeys(("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL"), "")
    more = ("--push",) if to == "address" else ()
    place = f"file://{workspace.bare}" if to == "address" else workspace.work
    output = assert_refused(workspace, "publish-identity", *more, to=place, env={**nobody, "EMAIL": ""})
    assert "user.name" in output


def test_a_hook_of_the_project_repository_does_not_lead_git_astray(workspace: Workspace) -> None:
    run_git(workspace.project, "init", "--quiet")
    commit_files(workspace.project, {".gitignore": "__pycache__\n"})
    inside = {"GIT_DIR": str(workspace.project / ".git"), "GIT_INDEX_FILE": str(workspace.project / ".git" / "index")}
    workspace.publish(env=inside)
    assert DAG in workspace.state()
    assert workspace.clean()
    assert run_git(workspace.project, "status", "--porcelain") == ""


def test_missing_git_is_reported(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    output = workspace.publish(code=1, env={"PATH": str(tmp_path / "bin")})
    assert "git: is not on PATH" in output


def test_commits_are_signed_where_git_is_set_to_sign(workspace: Workspace, tmp_path: Path) -> None:
    configure_signing(workspace, tmp_path)
    workspace.publish()
    assert "-----BEGIN SSH SIGNATURE-----" in run_git(workspace.work, "cat-file", "commit", "HEAD")


def test_a_password_is_never_printed(workspace: Workspace) -> None:
    run_git(workspace.work, "remote", "set-url", "origin", "https://me:hunter22@127.0.0.1:1/dags.git")
    output = workspace.publish("--push", code=1)
    assert "hunter22" not in output
    assert "[publish-git]" in output


def test_an_address_with_a_password_is_refused_without_printing_it(workspace: Workspace) -> None:
    output = assert_refused(workspace, "publish-password", "--push", to="https://me:hunter22@127.0.0.1:1/dags.git")
    assert "hunter22" not in output
    outcome = workspace.run("check", "--drift", "--against", "https://me:hunter22@127.0.0.1:1/dags.git")
    assert outcome.code == 2
    assert "hunter22" not in outcome.output


# --- invalid targets


def test_an_invalid_target_is_refused_with_a_suggestion(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    file = tmp_path / "file"
    file.touch()
    for to in (tmp_path / "nowhere", file, "", "-x"):
        assert_refused(workspace, "publish-to", to=to or " ")
    assert_refused(workspace, "publish-git", to=tmp_path / "plain", mentions="Clone the repository")
    assert_refused(workspace, "publish-git", to=workspace.work / ".git")
    assert_refused(
        workspace, "publish-to", to=workspace.work / "dags", mentions=f"--to {workspace.work} --subfolder dags"
    )
    assert_refused(workspace, "publish-git", "--push", to="file:///nowhere.git")


def test_a_repository_without_a_remote_cannot_be_pushed(workspace: Workspace) -> None:
    run_git(workspace.work, "remote", "remove", "origin")
    assert_refused(workspace, "publish-remote", "--push")
    workspace.publish()


def test_the_remote_is_the_one_that_git_would_push_to(workspace: Workspace, tmp_path: Path) -> None:
    other = init_bare_repository(tmp_path / "other.git")
    run_git(workspace.work, "push", "--quiet", f"file://{other}", "main")
    run_git(workspace.work, "remote", "add", "upstream", f"file://{other}")
    run_git(workspace.work, "config", "branch.main.pushRemote", "upstream")
    workspace.publish("--push")
    assert DAG in workspace.state(other, "main")
    assert DAG not in workspace.state(workspace.bare, "main")


def test_a_branch_that_tracks_one_of_another_name_is_not_pushed(workspace: Workspace) -> None:
    run_git(workspace.work, "checkout", "--quiet", "-b", "mine", "--track", "origin/main")
    assert_refused(workspace, "publish-branch", "--push", mentions="tracks main of origin")
    workspace.publish("--push", "--branch", "mine")
    assert DAG in workspace.state(workspace.bare, "mine")
    assert DAG not in workspace.state(workspace.bare, "main")


# --- an address


@pytest.mark.parametrize("form", ["file", "path"])
def test_an_address_is_published_to_by_a_temporary_clone(workspace: Workspace, form: str, tmp_path: Path) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    to = f"file://{workspace.bare}" if form == "file" else workspace.bare
    workspace.publish("--push", to=to, env={"TMPDIR": str(temporary)})
    assert DAG in workspace.state(workspace.bare, "main")
    assert "Already up to date" in workspace.publish("--push", to=to)
    assert list(temporary.iterdir()) == []


def test_an_address_needs_a_push_or_a_dry_run(workspace: Workspace) -> None:
    assert_refused(workspace, "publish-to", to=f"file://{workspace.bare}", mentions="--push")
    assert "would commit to branch main" in workspace.publish("--dry-run", to=f"file://{workspace.bare}")


def test_an_empty_address_gets_its_first_commit_on_its_own_default_branch(workspace: Workspace, tmp_path: Path) -> None:
    hub = init_bare_repository(tmp_path / "empty.git", "trunk")
    workspace.publish("--push", to=f"file://{hub}")
    assert len(workspace.log(hub, "trunk")) == 1
    other = init_bare_repository(tmp_path / "other.git", "trunk")
    workspace.publish("--push", "--branch", "robot", to=f"file://{other}")
    assert DAG in workspace.state(other, "robot")
    assert_refused(
        workspace,
        "publish-branch",
        "--push",
        "--branch",
        "robot2",
        "--base",
        "x",
        to=f"file://{other}",
        mentions="robot",
    )


def test_a_branch_of_an_address_begins_at_its_base(workspace: Workspace) -> None:
    commit_files(workspace.work, {"live": ""}, "Live")
    run_git(workspace.work, "push", "--quiet", "origin", "HEAD:live")
    workspace.publish("--push", "--branch", "robot", "--base", "live", to=f"file://{workspace.bare}")
    assert "live" in workspace.state(workspace.bare, "robot")
    assert workspace.log(workspace.bare, "robot")[1:] == ["Live", "First"]


# --- a branch for a pull request


def publish_request(workspace: Workspace, *options: str) -> str:
    return workspace.publish("--push", "--branch", "robot", "--base", "main", *options, to=f"file://{workspace.bare}")


def commit_parents(workspace: Workspace, ref: str = "robot") -> list[str]:
    return run_git(workspace.bare, "log", "-1", "--format=%P", ref).split()


def test_a_branch_that_is_there_gets_another_commit(workspace: Workspace) -> None:
    publish_request(workspace)
    workspace.settings(namespace="elsewhere")
    publish_request(workspace)
    assert len(workspace.log(workspace.bare, "robot")) == 3
    assert "Already up to date" in publish_request(workspace)


def test_a_branch_that_was_merged_begins_again_at_the_base(workspace: Workspace) -> None:
    publish_request(workspace)
    run_git(workspace.work, "fetch", "--quiet")
    run_git(workspace.work, "merge", "--quiet", "--no-ff", "--message", "Merge", "origin/robot")
    run_git(workspace.work, "push", "--quiet")
    assert "Already up to date" in publish_request(workspace)
    workspace.settings(namespace="elsewhere")
    publish_request(workspace)
    assert commit_parents(workspace) == [run_git(workspace.work, "rev-parse", "main")]


def test_a_branch_that_was_squashed_is_brought_onto_its_base_without_a_conflict(workspace: Workspace) -> None:
    publish_request(workspace)
    run_git(workspace.work, "fetch", "--quiet")
    run_git(workspace.work, "merge", "--quiet", "--squash", "origin/robot")
    commit_files(workspace.work, {"dags/other.py": "# changed meanwhile\n"}, "Squashed")
    run_git(workspace.work, "push", "--quiet")
    workspace.settings(namespace="elsewhere")
    publish_request(workspace)
    base = run_git(workspace.work, "rev-parse", "main")
    assert commit_parents(workspace)[1] == base
    assert workspace.state(workspace.bare, "robot")["dags/other.py"] == "# changed meanwhile"
    # What the git host would merge: the DAG files, without a conflict.
    run_git(workspace.work, "fetch", "--quiet")
    run_git(workspace.work, "merge", "--quiet", "--no-edit", "origin/robot")
    assert run_git(workspace.work, "diff", "--name-only", base).splitlines() == [
        f"{MANIFEST_FOLDER}/project.json",
        DAG,
        "dags/project_side.py",
    ]


def test_branch_drops_changes_the_project_reverted(workspace: Workspace) -> None:
    """The base has moved, and already has the files that the project creates now."""
    workspace.publish("--push")
    workspace.settings(dags={"main": {"pipeline": "__default__"}, "new": {"pipeline": "side"}})
    publish_request(workspace)
    commit_files(workspace.work, {"dags/other.py": "# changed meanwhile\n"})
    run_git(workspace.work, "push", "--quiet")
    workspace.settings(dags={"main": {"pipeline": "__default__"}, "side": {"pipeline": "side"}})
    output = publish_request(workspace)
    assert "project_new: removed" in output
    run_git(workspace.work, "fetch", "--quiet")
    run_git(workspace.work, "merge", "--quiet", "--no-edit", "origin/robot")
    assert run_git(workspace.work, "diff", "--name-only", "origin/main") == ""


def test_a_new_branch_without_changes_is_not_created(workspace: Workspace) -> None:
    workspace.publish("--push")
    output = publish_request(workspace)
    assert "Already up to date: new branch robot" in output
    assert run_git(workspace.bare, "branch", "--list", "robot") == ""


def test_a_branch_with_commits_of_others_keeps_them(workspace: Workspace) -> None:
    publish_request(workspace)
    run_git(workspace.work, "fetch", "--quiet")
    run_git(workspace.work, "checkout", "--quiet", "robot")
    commit_files(workspace.work, {"notes.md": "by a reviewer\n"}, "Notes")
    run_git(workspace.work, "push", "--quiet")
    run_git(workspace.work, "checkout", "--quiet", "main")
    commit_files(workspace.work, {"dags/other.py": "# changed meanwhile\n"})
    run_git(workspace.work, "push", "--quiet")
    workspace.settings(namespace="elsewhere")
    publish_request(workspace)
    state = workspace.state(workspace.bare, "robot")
    assert state["notes.md"] == "by a reviewer"
    assert len(commit_parents(workspace)) == 1


def test_a_branch_of_two_projects_keeps_both(workspace: Workspace, tmp_path: Path) -> None:
    other = make_publish_project(tmp_path / "other", "other")
    publish_request(workspace)
    workspace.publish("--push", "--branch", "robot", to=f"file://{workspace.bare}", project=other)
    commit_files(workspace.work, {"dags/other.py": "# changed meanwhile\n"})
    run_git(workspace.work, "push", "--quiet")
    workspace.settings(namespace="elsewhere")
    publish_request(workspace)
    assert {DAG, "dags/other_main.py"} <= set(workspace.state(workspace.bare, "robot"))


# --- pushes


def test_a_commit_that_was_not_pushed_is_pushed_the_next_time(workspace: Workspace) -> None:
    workspace.publish()
    output = workspace.publish("--push")
    assert "pushed branch main" in output
    assert DAG in workspace.state(workspace.bare, "main")


def test_a_checkout_that_is_behind_is_updated(workspace: Workspace, tmp_path: Path) -> None:
    push_meanwhile(workspace, tmp_path, {"dags/other.py": "# newer\n", "more/x": "x\n"})
    workspace.publish("--push")
    assert workspace.log(workspace.bare, "main")[1] == "Meanwhile"
    assert (workspace.work / "dags" / "other.py").read_text() == "# newer\n"
    assert workspace.clean()
    assert run_git(workspace.work, "rev-parse", "main", "origin/main").split()[0] == run_git(
        workspace.bare, "rev-parse", "main"
    )


def test_a_checkout_that_is_behind_with_conflicting_changes_is_refused(workspace: Workspace, tmp_path: Path) -> None:
    push_meanwhile(workspace, tmp_path, {"dags/other.py": "# newer\n"})
    (workspace.work / "dags" / "other.py").write_text("# in the middle of something\n")
    head = run_git(workspace.work, "rev-parse", "HEAD")
    assert "[publish-dirty]" in workspace.publish("--push", code=1)
    assert run_git(workspace.work, "rev-parse", "HEAD") == head
    assert DAG not in workspace.state(workspace.bare, "main")


def test_own_commits_that_were_not_pushed_are_made_again_on_what_others_pushed(
    workspace: Workspace, tmp_path: Path
) -> None:
    workspace.publish()
    push_meanwhile(workspace, tmp_path, {"dags/other.py": "# newer\n"})
    workspace.publish("--push")
    assert workspace.log(workspace.bare, "main") == ["Publish project: 2 new DAGs", "Meanwhile", "First"]
    assert workspace.clean()
    assert (workspace.work / "dags" / "other.py").read_text() == "# newer\n"


def test_other_commits_that_were_not_pushed_are_never_thrown_away(workspace: Workspace, tmp_path: Path) -> None:
    workspace.publish()
    commit_files(workspace.work, {"notes.md": "mine\n"}, "Mine")
    push_meanwhile(workspace, tmp_path, {"dags/other.py": "# newer\n"})
    output = workspace.publish("--push", code=1)
    assert "[publish-diverged]" in output
    assert "pull --rebase" in output
    assert workspace.log()[0] == "Mine"


def test_commits_of_another_project_that_were_not_pushed_are_never_thrown_away(
    workspace: Workspace, tmp_path: Path
) -> None:
    workspace.publish(project=make_publish_project(tmp_path / "other", "other"))
    push_meanwhile(workspace, tmp_path, {"dags/other.py": "# newer\n"})
    workspace.publish("--push", code=1)
    assert "dags/other_main.py" in workspace.state()


def test_the_message_of_a_server_that_refuses_is_shown(workspace: Workspace) -> None:
    hook = workspace.bare / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\necho 'main is protected; open a pull request' >&2\nexit 1\n")
    hook.chmod(0o755)
    output = workspace.publish("--push", code=1)
    assert "main is protected; open a pull request" in output
    assert "The commit is on branch main" in output
    hook.unlink()
    assert "pushed branch main" in workspace.publish("--push")
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    workspace.settings(namespace="elsewhere")
    before = read_repositories(workspace)
    assert "[publish-git]" in workspace.publish("--push", to=f"file://{workspace.bare}", code=1)
    assert read_repositories(workspace) == before


def test_hooks_of_a_push_run(workspace: Workspace) -> None:
    hook = workspace.work / ".git" / "hooks" / "pre-push"
    hook.write_text("#!/bin/sh\necho 'not on a Friday' >&2\nexit 1\n")
    hook.chmod(0o755)
    assert "not on a Friday" in workspace.publish("--push", code=1)


def test_a_repository_of_another_user_is_refused_with_git_s_message(workspace: Workspace) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can change the owner of a folder")
    os.chown(workspace.work / ".git", 12345, 12345)
    os.chown(workspace.work, 12345, 12345)
    output = workspace.publish(code=1, env={**ISOLATED_GIT_ENV, "SUDO_UID": ""})
    assert "safe.directory" in output


def test_a_project_that_git_cannot_read_is_published_without_its_commit(workspace: Workspace) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can change the owner of a folder")
    run_git(workspace.project, "init", "--quiet")
    commit_files(workspace.project, {".gitignore": "__pycache__\n"})
    for path in (workspace.project, workspace.project / ".git"):
        os.chown(path, 12345, 12345)
    output = workspace.publish(env={"SUDO_UID": ""})
    assert "[publish-uncommitted]" in output
    assert "dubious ownership" in output
    assert "Source-Commit" not in run_git(workspace.work, "log", "-1", "--format=%B")
