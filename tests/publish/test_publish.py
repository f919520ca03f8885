"""`publish`: the files it writes, removes and leaves alone, and its commit message."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from kedro_k8s_airflow import __version__
from kedro_k8s_airflow.config import types
from kedro_k8s_airflow.findings import Refused
from kedro_k8s_airflow.publish.git import Git
from tests.support.publish_checks import assert_refused, read_repositories, read_trailers, write_image_lock
from tests.support.workspace import (
    DIGEST,
    IMAGE,
    MANIFEST_FOLDER,
    OTHER_DIGEST,
    commit_files,
    make_publish_project,
    run_git,
)

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.workspace import Workspace

PUBLISHED_FILES = {
    "dags/project_main.py",
    "dags/project_side.py",
    "dags/.k8s-airflow/.airflowignore",
    f"{MANIFEST_FOLDER}/project.json",
}


def read_dags(folder: Path) -> dict[str, str]:
    return {f"dags/{path.name}": path.read_text() for path in (folder / "dags").glob("*.py")}


# --- what is written


def test_the_files_that_create_writes_are_committed_and_nothing_else_is_touched(workspace: Workspace) -> None:
    before = workspace.state()
    workspace.publish()
    after = workspace.state()
    assert set(after) - set(before) == PUBLISHED_FILES
    assert {name: text for name, text in after.items() if name in before} == before
    workspace.run("create")
    written = read_dags(workspace.project)
    assert len(written) == 2
    assert {name: text.rstrip("\n") for name, text in written.items()} == {name: after[name] for name in written}
    assert workspace.clean()
    assert len(workspace.log()) == 2


def test_the_manifest_lists_what_was_published(workspace: Workspace) -> None:
    workspace.publish()
    manifest = json.loads(workspace.state()[f"{MANIFEST_FOLDER}/project.json"])
    assert (manifest["project"], manifest["environment"]) == ("project", None)
    assert manifest["generator"]
    (main, side) = manifest["files"].values()
    assert (main["dag_id"], main["pipeline"], side["pipeline"]) == ("project_main", "__default__", "side")
    assert main["images"] == {"default": IMAGE}
    assert set(manifest["files"]) == {"project_main.py", "project_side.py"}


def test_nothing_is_committed_when_no_byte_differs(workspace: Workspace) -> None:
    workspace.publish()
    head = run_git(workspace.work, "rev-parse", "HEAD")
    assert "Already up to date" in workspace.publish()
    assert run_git(workspace.work, "rev-parse", "HEAD") == head


def test_the_same_project_makes_the_same_tree_anywhere(workspace: Workspace, tmp_path: Path) -> None:
    workspace.publish()
    other = make_publish_project(tmp_path / "elsewhere" / "deep")
    run_git(workspace.work, "checkout", "--quiet", "-b", "again", "HEAD~")
    workspace.publish(project=other, env={"PYTHONHASHSEED": "7"})
    assert run_git(workspace.work, "rev-parse", "main^{tree}") == run_git(workspace.work, "rev-parse", "again^{tree}")


def test_a_dry_run_shows_the_commit_and_writes_nothing(workspace: Workspace) -> None:
    before = read_repositories(workspace)
    output = workspace.publish("--dry-run", "--push")
    assert "project_main: new in dags/project_main.py, 3 tasks" in output
    assert "would commit to branch main" in output
    assert "Image-Digest: " + IMAGE in output
    assert read_repositories(workspace) == before


def test_quiet_prints_nothing(workspace: Workspace) -> None:
    result = workspace.run("publish", "--to", str(workspace.work), "--quiet")
    assert (result.code, result.out, result.err) == (0, "", "")


# --- DAGs that go


def test_a_dag_that_is_no_longer_created_is_removed(workspace: Workspace) -> None:
    workspace.publish()
    workspace.settings(dags={"main": {"pipeline": "__default__"}})
    output = workspace.publish()
    assert "project_side: removed, deletes dags/project_side.py" in output
    after = workspace.state()
    assert "dags/project_side.py" not in after
    assert {"dags/project_main.py", "dags/other.py"} <= set(after)
    assert not (workspace.work / "dags" / "project_side.py").exists()
    assert workspace.clean()
    assert workspace.log()[0] == "Publish project: 1 removed DAG"


def test_commit_subject_counts_the_changes(workspace: Workspace) -> None:
    workspace.publish()
    workspace.settings(dags={"main": {"pipeline": "__default__", "retries": 5}, "new": {"pipeline": "side"}})
    workspace.publish()
    assert workspace.log()[0] == "Publish project: 1 new, 1 changed, 1 removed DAGs"


# --- what the commit says


def commit_body(workspace: Workspace) -> str:
    return run_git(workspace.work, "log", "-1", "--format=%B")


def test_the_message_names_changed_tasks_and_images(workspace: Workspace) -> None:
    workspace.publish()
    registry = workspace.project / "src" / "project" / "pipeline_registry.py"
    # node c goes, node dd comes, b is to wait for nothing
    text = registry.read_text()
    registry.write_text(text.replace("name='c'", "name='dd'"))
    workspace.settings(
        image=f"registry.example.com/team/project@{OTHER_DIGEST}",
        tasks={"b": {"match": {"node": "b"}, "resources": {"requests": {"cpu": "3"}}}},
    )
    workspace.publish()
    message = commit_body(workspace)
    assert "  tasks added: dd\n" in message
    assert "  tasks removed: c\n" in message
    assert "  tasks changed: b\n" in message
    assert (
        f"  image: registry.example.com/team/project@{DIGEST} -> registry.example.com/team/project@{OTHER_DIGEST}\n"
        in message
    )
    assert "changed for all tasks" not in message


def test_the_message_names_changes_of_all_tasks_and_of_the_dag(workspace: Workspace) -> None:
    workspace.publish()
    workspace.settings(dag={"schedule": "@daily"}, tasks={"default": {"resources": {"limits": {"memory": "5Gi"}}}})
    workspace.publish()
    message = commit_body(workspace)
    assert "  changed for all tasks: container_resources\n" in message
    assert "  DAG arguments changed: schedule\n" in message
    assert "tasks changed" not in message


def test_trailers_name_source_commit_and_digest(workspace: Workspace) -> None:
    run_git(workspace.project, "init", "--quiet")
    source = commit_files(workspace.project, {".gitignore": "__pycache__\n"})
    workspace.publish()
    assert read_trailers(workspace) == {
        "Source-Commit": source,
        "Image-Digest": IMAGE,
        "Kedro-Project": "project",
        "Generator-Version": __version__,
    }
    workspace.settings(namespace="elsewhere")
    assert "[publish-uncommitted]" in workspace.publish("--env", "prod")
    assert read_trailers(workspace)["Source-Commit"] == f"{source}-dirty"
    assert read_trailers(workspace)["Kedro-Env"] == "prod"


def test_the_image_lock_alone_is_no_change_of_the_source(workspace: Workspace) -> None:
    run_git(workspace.project, "init", "--quiet")
    commit_files(
        workspace.project, {".gitignore": "__pycache__\n", "k8s-airflow.lock": '{"version": 1, "images": {}}\n'}
    )
    (workspace.project / "k8s-airflow.lock").write_text('{"version": 1,  "images": {}}\n')
    assert "[publish-uncommitted]" not in workspace.publish()


def test_a_custom_message_keeps_details_and_trailers(workspace: Workspace) -> None:
    workspace.publish("--message", "Release 7\n\nWith love.")
    message = commit_body(workspace)
    assert message.startswith("Release 7\n\nWith love.\n\nproject_main: new in dags/project_main.py, 3 tasks\n")
    assert read_trailers(workspace)["Kedro-Project"] == "project"


def test_a_change_of_the_source_commit_alone_makes_no_commit(workspace: Workspace) -> None:
    run_git(workspace.project, "init", "--quiet")
    commit_files(workspace.project, {".gitignore": "__pycache__\n"})
    workspace.publish()
    commit_files(workspace.project, {"notes.md": "no DAG is made of this\n"})
    assert "Already up to date" in workspace.publish()


# --- what is refused


def test_errors_of_the_project_stop_it(workspace: Workspace) -> None:
    workspace.settings(data={})
    assert_refused(workspace, "data-lost")


@pytest.mark.parametrize("image", ["registry.example.com/team/project:1.2", "registry.example.com/team/project"])
def test_an_image_without_a_digest_is_refused(workspace: Workspace, image: str) -> None:
    workspace.settings(image=image)
    assert_refused(workspace, "publish-tag")


def test_an_allowed_tag_is_published_but_an_unbuilt_image_is_not(workspace: Workspace) -> None:
    workspace.settings(image="registry.example.com/team/project")
    assert_refused(workspace, "publish-tag", "--allow-tag", mentions="no image was built")
    workspace.settings(image="registry.example.com/team/project:1.2")
    workspace.publish("--allow-tag")
    assert "Image-Digest" not in read_trailers(workspace)
    assert '"registry.example.com/team/project:1.2"' in workspace.state()["dags/project_main.py"]


def test_an_external_image_needs_a_digest_too(workspace: Workspace) -> None:
    workspace.settings(tasks={"b": {"match": {"node": "b"}, "image": "docker.io/library/python:3.12"}})
    assert_refused(workspace, "publish-tag", mentions="docker.io/library/python:3.12")
    workspace.settings(tasks={"b": {"match": {"node": "b"}, "image": f"docker.io/library/python@{OTHER_DIGEST}"}})
    workspace.publish()
    manifest = json.loads(workspace.state()[f"{MANIFEST_FOLDER}/project.json"])
    assert sorted(manifest["files"]["project_main.py"]["images"].values()) == [
        f"docker.io/library/python@{OTHER_DIGEST}",
        IMAGE,
    ]


def test_a_stale_lock_is_an_error_even_where_checks_ignore_it(workspace: Workspace) -> None:
    write_image_lock(workspace)
    workspace.publish()
    assert read_trailers(workspace)["Image-Digest"] == IMAGE
    (workspace.project / "src" / "project" / "more.py").write_text("x = 1\n")
    assert_refused(workspace, "publish-stale", mentions="src")
    write_image_lock(workspace)
    workspace.settings(checks={"ignore": ["image-stale"]})
    workspace.publish()
    (workspace.project / "conf" / "base" / "parameters.yml").write_text("x: 1\n")
    assert_refused(workspace, "publish-stale", mentions="conf")
    assert_refused(workspace, "publish-stale", "--allow-tag", "--force", mentions="conf")


def test_a_lock_may_be_given(workspace: Workspace) -> None:
    write_image_lock(workspace)
    (workspace.project / "k8s-airflow.lock").rename(workspace.project / "ci.lock")
    assert_refused(workspace, "publish-tag", mentions="no image was built")
    assert_refused(workspace, "image-lock", "--lock", "nowhere.lock")
    workspace.publish("--lock", "ci.lock")


def test_a_file_that_was_edited_by_hand_is_not_overwritten(workspace: Workspace) -> None:
    workspace.publish()
    edited = workspace.state()["dags/project_main.py"] + "\n# by hand\n"
    commit_files(workspace.work, {"dags/project_main.py": edited})
    workspace.settings(namespace="elsewhere")
    assert_refused(workspace, "publish-edited", mentions="dags/project_main.py")
    workspace.publish("--force")
    assert "by hand" not in workspace.state()["dags/project_main.py"]


def test_a_file_that_was_edited_by_hand_is_not_removed(workspace: Workspace) -> None:
    workspace.publish()
    commit_files(workspace.work, {"dags/project_side.py": "# mine now\n"})
    workspace.settings(dags={"main": {"pipeline": "__default__"}})
    assert_refused(workspace, "publish-edited", mentions="dags/project_side.py")
    workspace.publish("--force")
    assert "dags/project_side.py" not in workspace.state()


def test_an_edit_equal_to_the_new_file_is_accepted(workspace: Workspace) -> None:
    workspace.publish()
    old = workspace.state()
    workspace.settings(namespace="elsewhere")
    workspace.publish()
    new = workspace.state()
    run_git(workspace.work, "checkout", "--quiet", "HEAD~", "--", "dags/.k8s-airflow")
    commit_files(workspace.work, {})  # the manifest of before, the files of now
    assert old[f"{MANIFEST_FOLDER}/project.json"] == workspace.state()[f"{MANIFEST_FOLDER}/project.json"]
    workspace.publish()
    assert workspace.state() == new


def test_a_file_of_unknown_origin_is_not_overwritten_unless_it_is_the_same(workspace: Workspace) -> None:
    workspace.run("create")
    texts = read_dags(workspace.project)
    # As teams do today: one copied as it is, the other one edited.
    commit_files(workspace.work, {**texts, "dags/project_side.py": "# copied long ago\n"})
    assert_refused(workspace, "publish-foreign", mentions="dags/project_side.py")
    output = workspace.publish("--force")
    assert "project_side: changed" in output
    assert "project_main" not in output
    assert set(json.loads(workspace.state()[f"{MANIFEST_FOLDER}/project.json"])["files"]) == {
        "project_main.py",
        "project_side.py",
    }


def test_a_link_or_a_folder_in_the_place_of_a_file_is_refused(workspace: Workspace) -> None:
    (workspace.work / "dags" / "project_main.py").symlink_to("other.py")
    commit_files(workspace.work, {"dags/project_side.py/x": ""})
    output = assert_refused(workspace, "publish-folder", mentions="dags/project_side.py")
    assert "[publish-foreign]" in output
    run_git(workspace.work, "rm", "-rq", "dags/project_side.py")
    commit_files(workspace.work, {})
    workspace.publish("--force")
    assert not (workspace.work / "dags" / "project_main.py").is_symlink()
    assert workspace.state()["dags/other.py"] == "# somebody else's"
    assert workspace.clean()


@pytest.mark.parametrize("folder", ["README.md", "README.md/deep", "dags/link"])
def test_a_subfolder_that_is_not_a_folder_in_the_target_is_refused(workspace: Workspace, folder: str) -> None:
    (workspace.work / "dags" / "link").symlink_to("..")
    commit_files(workspace.work, {})
    assert_refused(workspace, "publish-folder", "--subfolder", folder)


OUTSIDE = ["../out", "/abs", "a/../../b", ".git/hooks", "a\\b", "x/.GIT/y", "c:x"]
# Names that git takes for its own folder on some file system, and leaves out of a commit without an error.
LEFT_OUT = ["git~1/hooks", "a/GIT~1", "a/.git./x", ".git ", ".git . .", ".g\u200cit", ".Git\ufeff/x"]


@pytest.mark.parametrize("folder", OUTSIDE)
def test_a_subfolder_outside_the_repository_is_refused(workspace: Workspace, folder: str) -> None:
    assert_refused(workspace, "publish-folder", "--subfolder", folder)


@pytest.mark.parametrize("folder", LEFT_OUT)
def test_a_subfolder_that_git_leaves_out_is_none(folder: str) -> None:
    with pytest.raises(ValueError, match="relative path"):
        types.check_subfolder(folder)


@pytest.mark.parametrize("folder", ["git~2", ".github/dags", "a.git", ".gitx", "git", "...git"])
def test_a_subfolder_that_looks_like_gits_own_is_one(folder: str) -> None:
    assert types.check_subfolder(folder) == folder


def test_a_commit_without_its_files_is_never_published(workspace: Workspace) -> None:
    # Git does not check these names in a tree on every system, so one is let through here.
    run_git(workspace.work, "config", "core.protectHFS", "true")
    git = Git(workspace.work)
    commit = run_git(workspace.work, "rev-parse", "HEAD")
    for path in ("git~1/x.py", ".git./x.py", ".g\u200cit/x.py"):
        with pytest.raises(Refused) as refused:
            git.write_tree(commit, {path: b"", "dags/x.py": b"x"}, {})
        assert [(finding.code, finding.location.file) for finding in refused.value.findings] == [
            ("publish-folder", path)
        ]
    tree = git.write_tree(commit, {"dags/x.py": b"x", "dags/other.py": None}, {})
    assert run_git(workspace.work, "ls-tree", "-r", "--name-only", tree).splitlines() == ["README.md", "dags/x.py"]


def test_a_refused_subfolder_leaves_the_target_as_it_is(workspace: Workspace) -> None:
    workspace.settings(publish={"subfolder": "git~1/hooks"})
    before = workspace.log()
    output = workspace.publish(code=1)
    assert "[settings-value]" in output
    assert workspace.log() == before


@pytest.mark.parametrize(
    ("folder", "prefix"), [(".", ""), ("a//b/./c/", "a/b/c/"), ("ümlaut and space", "ümlaut and space/")]
)
def test_any_folder_of_the_repository_can_be_published_to(workspace: Workspace, folder: str, prefix: str) -> None:
    before = workspace.state()
    workspace.publish("--subfolder", folder)
    names = run_git(workspace.work, "ls-tree", "-rz", "--name-only", "--full-tree", "HEAD").split("\0")[:-1]
    assert set(names) - set(before) == {prefix + name.removeprefix("dags/") for name in PUBLISHED_FILES}
    assert workspace.clean()
    assert "Already up to date" in workspace.publish("--subfolder", folder)


@pytest.mark.parametrize(
    "text", ["no json", "{}", '{"version": 1, "files": {"../x.py": {}}}', '{"version": 99, "generator": "9.9"}', "[]"]
)
def test_an_invalid_manifest_is_refused(workspace: Workspace, text: str) -> None:
    workspace.publish()
    commit_files(workspace.work, {f"{MANIFEST_FOLDER}/project.json": text})
    output = assert_refused(workspace, "publish-manifest", mentions="project.json")
    assert "99" not in text or "9.9 or newer" in output


def test_paths_in_a_manifest_never_lead_out_of_the_folder(workspace: Workspace) -> None:
    workspace.publish()
    manifest = json.loads(workspace.state()[f"{MANIFEST_FOLDER}/project.json"])
    manifest["files"]["../README.md"] = manifest["files"]["project_main.py"]
    commit_files(workspace.work, {f"{MANIFEST_FOLDER}/project.json": json.dumps(manifest)})
    assert_refused(workspace, "publish-manifest")


# --- several in one repository


def test_environments_share_a_folder(workspace: Workspace) -> None:
    workspace.publish()
    base = workspace.state()
    workspace.publish("--env", "prod")
    after = workspace.state()
    assert {name: after[name] for name in base} == base
    assert set(after) - set(base) == {
        "dags/project_main_prod.py",
        "dags/project_side_prod.py",
        f"{MANIFEST_FOLDER}/project@prod.json",
    }
    workspace.settings(dags={"main": {"pipeline": "__default__"}})
    workspace.publish("--env", "prod")
    assert {"dags/project_side.py", "dags/project_main_prod.py"} <= set(workspace.state())
    assert "dags/project_side_prod.py" not in workspace.state()


def test_an_environment_of_any_name_can_be_published(workspace: Workspace) -> None:
    name = "ümläut env %/x".replace("/", "_")
    (workspace.project / "conf" / name).mkdir()
    workspace.publish("--env", name)
    assert "Already up to date" in workspace.publish("--env", name)
    (path,) = (workspace.work / MANIFEST_FOLDER).iterdir()
    assert json.loads(path.read_text())["environment"] == name
    assert read_trailers(workspace)["Kedro-Env"] == name


def test_projects_share_a_repository_in_one_folder_or_in_several(workspace: Workspace, tmp_path: Path) -> None:
    other = make_publish_project(tmp_path / "other", "other")
    workspace.publish()
    workspace.publish(project=other)
    workspace.publish("--subfolder", "teams/third", project=make_publish_project(tmp_path / "third", "third"))
    names = set(workspace.state())
    assert {"dags/project_main.py", "dags/other_main.py", "teams/third/third_main.py"} <= names
    assert {f"{MANIFEST_FOLDER}/project.json", f"{MANIFEST_FOLDER}/other.json"} <= names
    workspace.settings(other, dags={"main": {"pipeline": "__default__"}})
    workspace.publish(project=other)
    assert names - set(workspace.state()) == {"dags/other_side.py"}


def test_a_file_of_another_project_is_never_overwritten(workspace: Workspace, tmp_path: Path) -> None:
    # Two projects come to one dag_id: a_b with DAG c, and a with DAG b_c.
    first = make_publish_project(tmp_path / "first", "a_b", dags={"c": {"pipeline": "side"}})
    second = make_publish_project(tmp_path / "second", "a", dags={"b_c": {"pipeline": "side"}})
    workspace.publish(project=first)
    for more in ((), ("--force",)):
        assert_refused(workspace, "publish-owned", *more, project=second, mentions="belongs to project a_b")
    assert_refused(
        workspace, "publish-owned", "--subfolder", "dags/deep", project=second, mentions="second DAG 'a_b_c'"
    )
    assert_refused(workspace, "publish-owned", "--subfolder", ".", project=second, mentions="second DAG 'a_b_c'")
    workspace.publish("--subfolder", "elsewhere", project=second)


def test_another_project_of_the_same_package_name_is_distinguished(workspace: Workspace, tmp_path: Path) -> None:
    workspace.publish()
    other = make_publish_project(tmp_path / "other")
    text = (other / "pyproject.toml").read_text()
    (other / "pyproject.toml").write_text(text.replace('project_name = "project"', 'project_name = "Another"'))
    assert_refused(workspace, "publish-owned", project=other, mentions="'Another'")


def test_the_same_project_is_not_published_twice_where_one_airflow_reads_both(workspace: Workspace) -> None:
    workspace.publish("--subfolder", "dags/old")
    assert_refused(workspace, "publish-owned", mentions="dags/old")
    run_git(workspace.work, "rm", "-rq", "dags/old")
    commit_files(workspace.work, {})
    workspace.publish()


def test_folders_side_by_side_may_hold_the_same_dags(workspace: Workspace) -> None:
    """As where each has an Airflow of its own."""
    workspace.publish("--subfolder", "dev")
    workspace.publish("--subfolder", "stage")


# --- where to publish to


def test_the_settings_name_the_target(workspace: Workspace) -> None:
    workspace.settings(
        publish={"to": os.path.relpath(workspace.work, workspace.project), "subfolder": "air", "branch": "robot"}
    )
    done = workspace.run("publish")
    assert done.code == 0, done
    assert "air/project_main.py" in workspace.state(ref="robot")
    assert "air/project_main.py" not in workspace.state()
    # The command line goes before them.
    workspace.publish("--subfolder", "dags", "--branch", "other")
    assert "dags/project_main.py" in workspace.state(ref="other")


def test_a_missing_target_is_refused(workspace: Workspace) -> None:
    done = workspace.run("publish")
    assert (done.code, "[publish-to] --to:" in done.err) == (1, True)


def test_invalid_options_are_a_usage_error(workspace: Workspace) -> None:
    assert workspace.run("publish", "--nonsense").code == 2
    assert workspace.run("check", "--against", "x").code == 2
    assert workspace.run("check", "--drift", "--all").code == 2
