"""`publish`: what it writes, removes and leaves alone, and what its commit says."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from kedro_k8s_airflow import __version__
from tests.scenarios.factory import snapshot
from tests.support.workspace import DIGEST, IMAGE, MANIFESTS, OTHER_DIGEST, commit, git, project

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.workspace import Desk

OURS = {
    "dags/project_main.py",
    "dags/project_side.py",
    "dags/.k8s-airflow/.airflowignore",
    f"{MANIFESTS}/project.json",
}


def dags_of(folder: Path) -> dict[str, str]:
    return {f"dags/{path.name}": path.read_text() for path in (folder / "dags").glob("*.py")}


# --- what is written


def test_the_files_that_create_writes_are_committed_and_nothing_else_is_touched(desk: Desk) -> None:
    before = desk.state()
    desk.publish()
    after = desk.state()
    assert set(after) - set(before) == OURS
    assert {name: text for name, text in after.items() if name in before} == before
    desk.run("create")
    written = dags_of(desk.project)
    assert len(written) == 2
    assert {name: text.rstrip("\n") for name, text in written.items()} == {name: after[name] for name in written}
    assert desk.clean()
    assert len(desk.log()) == 2


def test_the_manifest_says_what_was_published(desk: Desk) -> None:
    desk.publish()
    manifest = json.loads(desk.state()[f"{MANIFESTS}/project.json"])
    assert (manifest["project"], manifest["environment"]) == ("project", None)
    assert manifest["generator"]
    (main, side) = manifest["files"].values()
    assert (main["dag_id"], main["pipeline"], side["pipeline"]) == ("project_main", "__default__", "side")
    assert main["images"] == {"default": IMAGE}
    assert set(manifest["files"]) == {"project_main.py", "project_side.py"}


def test_nothing_is_committed_when_no_byte_differs(desk: Desk) -> None:
    desk.publish()
    head = git(desk.work, "rev-parse", "HEAD")
    assert "nothing to commit" in desk.publish()
    assert git(desk.work, "rev-parse", "HEAD") == head


def test_the_same_project_makes_the_same_tree_anywhere(desk: Desk, tmp_path: Path) -> None:
    desk.publish()
    other = project(tmp_path / "elsewhere" / "deep")
    git(desk.work, "checkout", "--quiet", "-b", "again", "HEAD~")
    desk.publish(project=other, env={"PYTHONHASHSEED": "7"})
    assert git(desk.work, "rev-parse", "main^{tree}") == git(desk.work, "rev-parse", "again^{tree}")


def test_a_dry_run_says_everything_and_writes_nothing(desk: Desk) -> None:
    before = everything(desk)
    said = desk.publish("--dry-run", "--push")
    assert "project_main: new in dags/project_main.py, 3 tasks" in said
    assert "would commit to branch main" in said
    assert "Image-Digest: " + IMAGE in said
    assert everything(desk) == before


def test_quiet_prints_nothing(desk: Desk) -> None:
    done = desk.run("publish", "--to", str(desk.work), "--quiet")
    assert (done.code, done.out, done.err) == (0, "", "")


# --- DAGs that go


def test_a_dag_that_is_not_made_any_more_goes_and_is_named(desk: Desk) -> None:
    desk.publish()
    desk.settings(dags={"main": {"pipeline": "__default__"}})
    said = desk.publish()
    assert "project_side: removed, dags/project_side.py goes" in said
    after = desk.state()
    assert "dags/project_side.py" not in after
    assert {"dags/project_main.py", "dags/other.py"} <= set(after)
    assert not (desk.work / "dags" / "project_side.py").exists()
    assert desk.clean()
    assert desk.log()[0] == "Publish project: 1 removed DAG"


def test_the_first_line_of_a_commit_counts(desk: Desk) -> None:
    desk.publish()
    desk.settings(dags={"main": {"pipeline": "__default__", "retries": 5}, "new": {"pipeline": "side"}})
    desk.publish()
    assert desk.log()[0] == "Publish project: 1 new, 1 changed, 1 removed DAGs"


# --- what the commit says


def body(desk: Desk) -> str:
    return git(desk.work, "log", "-1", "--format=%B")


def trailers(desk: Desk) -> dict[str, str]:
    lines = git(desk.work, "log", "-1", "--format=%(trailers:only,unfold)").splitlines()
    return dict(line.split(": ", 1) for line in lines if line)


def test_the_message_says_which_tasks_and_images_changed(desk: Desk) -> None:
    desk.publish()
    registry = desk.project / "src" / "project" / "pipeline_registry.py"
    # node c goes, node dd comes, b is to wait for nothing
    text = registry.read_text()
    registry.write_text(text.replace("name='c'", "name='dd'"))
    desk.settings(
        image=f"registry.example.com/team/project@{OTHER_DIGEST}",
        tasks={"b": {"match": {"node": "b"}, "resources": {"requests": {"cpu": "3"}}}},
    )
    desk.publish()
    told = body(desk)
    assert "  tasks added: dd\n" in told
    assert "  tasks removed: c\n" in told
    assert "  tasks changed: b\n" in told
    assert (
        f"  image: registry.example.com/team/project@{DIGEST} -> registry.example.com/team/project@{OTHER_DIGEST}\n"
        in told
    )
    assert "for all tasks" not in told


def test_the_message_says_what_all_tasks_share_and_what_is_the_dags(desk: Desk) -> None:
    desk.publish()
    desk.settings(dag={"schedule": "@daily"}, tasks={"default": {"resources": {"limits": {"memory": "5Gi"}}}})
    desk.publish()
    told = body(desk)
    assert "  for all tasks: container_resources\n" in told
    assert "  of the DAG: schedule\n" in told
    assert "tasks changed" not in told


def test_trailers_name_source_commit_and_digest(desk: Desk) -> None:
    git(desk.project, "init", "--quiet")
    source = commit(desk.project, {".gitignore": "__pycache__\n"})
    desk.publish()
    assert trailers(desk) == {
        "Source-Commit": source,
        "Image-Digest": IMAGE,
        "Kedro-Project": "project",
        "Generator-Version": __version__,
    }
    desk.settings(namespace="elsewhere")
    assert "[publish-uncommitted]" in desk.publish("--env", "prod")
    assert trailers(desk)["Source-Commit"] == f"{source}-dirty"
    assert trailers(desk)["Kedro-Env"] == "prod"


def test_the_image_lock_alone_is_no_change_of_the_source(desk: Desk) -> None:
    git(desk.project, "init", "--quiet")
    commit(desk.project, {".gitignore": "__pycache__\n", "k8s-airflow.lock": '{"version": 1, "images": {}}\n'})
    (desk.project / "k8s-airflow.lock").write_text('{"version": 1,  "images": {}}\n')
    assert "[publish-uncommitted]" not in desk.publish()


def test_a_message_of_the_users_own_keeps_details_and_trailers(desk: Desk) -> None:
    desk.publish("--message", "Release 7\n\nWith love.")
    told = body(desk)
    assert told.startswith("Release 7\n\nWith love.\n\nproject_main: new in dags/project_main.py, 3 tasks\n")
    assert trailers(desk)["Kedro-Project"] == "project"


def test_a_commit_whose_source_alone_changed_is_not_made(desk: Desk) -> None:
    git(desk.project, "init", "--quiet")
    commit(desk.project, {".gitignore": "__pycache__\n"})
    desk.publish()
    commit(desk.project, {"notes.md": "no DAG is made of this\n"})
    assert "nothing to commit" in desk.publish()


# --- what is refused


def everything(desk: Desk) -> tuple[object, ...]:
    """All bytes of both repositories, but for objects that nothing refers to and the file that is locked while one publishes."""
    unseen = (".git/objects/", ".git/k8s-airflow-publish.lock")
    return {name: one for name, one in snapshot(desk.work).items() if not name.startswith(unseen)}, snapshot(desk.bare)


def refused(desk: Desk, code: str, *options: str, mentions: str = "", **more: object) -> str:
    """`publish` ends with 1 and this finding, and the target is as it was."""
    before = everything(desk)
    said = desk.publish(*options, code=1, **more)  # type: ignore[arg-type]
    assert f"[{code}]" in said, said
    assert mentions in said, said
    assert everything(desk) == before
    return said


def test_errors_of_the_project_stop_it(desk: Desk) -> None:
    desk.settings(data={})
    refused(desk, "data-lost")


@pytest.mark.parametrize("image", ["registry.example.com/team/project:1.2", "registry.example.com/team/project"])
def test_an_image_without_a_digest_is_refused(desk: Desk, image: str) -> None:
    desk.settings(image=image)
    refused(desk, "publish-tag")


def test_a_tag_is_published_when_it_is_allowed_but_not_an_image_that_nobody_built(desk: Desk) -> None:
    desk.settings(image="registry.example.com/team/project")
    refused(desk, "publish-tag", "--allow-tag", mentions="no image was built")
    desk.settings(image="registry.example.com/team/project:1.2")
    desk.publish("--allow-tag")
    assert "Image-Digest" not in trailers(desk)
    assert '"registry.example.com/team/project:1.2"' in desk.state()["dags/project_main.py"]


def test_an_image_of_somebody_else_needs_a_digest_too(desk: Desk) -> None:
    desk.settings(tasks={"b": {"match": {"node": "b"}, "image": "docker.io/library/python:3.12"}})
    refused(desk, "publish-tag", mentions="docker.io/library/python:3.12")
    desk.settings(tasks={"b": {"match": {"node": "b"}, "image": f"docker.io/library/python@{OTHER_DIGEST}"}})
    desk.publish()
    manifest = json.loads(desk.state()[f"{MANIFESTS}/project.json"])
    assert sorted(manifest["files"]["project_main.py"]["images"].values()) == [
        f"docker.io/library/python@{OTHER_DIGEST}",
        IMAGE,
    ]


def locked(desk: Desk) -> None:
    """The lock of an image that was pushed, of the content that is there."""
    desk.settings(image="registry.example.com/team/project")
    script = desk.project.parent / "lock.py"
    script.write_text(LOCK)
    made = desk.forge.script(str(script), cwd=desk.project)
    assert made.code == 0, made


LOCK = f"""
from pathlib import Path
from kedro.framework.startup import bootstrap_project
from kedro_k8s_airflow import compiler
from kedro_k8s_airflow.commands.build_image import write_image_spec
from kedro_k8s_airflow.image import content_hash, lock, spec
from kedro_k8s_airflow.request import CompileRequest

request = CompileRequest(metadata=bootstrap_project(Path.cwd()))
made = write_image_spec(request)
parts = spec.hash_images(Path.cwd(), made.settings, compiler.compile_request(request).context.image_spec)
images = {{
    name: lock.LockedImage(
        repository=made.settings.image,
        tag=lock.tag_for(name, "0123456789ab"),
        digest="{DIGEST}" if name == "default" else "{OTHER_DIGEST}",
        content=content_hash.combine_hashes(one),
        parts=one,
    )
    for name, one in parts.items()
}}
Path("k8s-airflow.lock").write_text(lock.write_lock(images))
"""


def test_a_stale_lock_is_an_error_whatever_the_settings_leave_unsaid(desk: Desk) -> None:
    locked(desk)
    desk.publish()
    assert trailers(desk)["Image-Digest"] == IMAGE
    (desk.project / "src" / "project" / "more.py").write_text("x = 1\n")
    refused(desk, "publish-stale", mentions="src")
    locked(desk)
    desk.settings(checks={"ignore": ["image-stale"]})
    desk.publish()
    (desk.project / "conf" / "base" / "parameters.yml").write_text("x: 1\n")
    refused(desk, "publish-stale", mentions="conf")
    refused(desk, "publish-stale", "--allow-tag", "--force", mentions="conf")


def test_a_lock_may_be_given(desk: Desk) -> None:
    locked(desk)
    (desk.project / "k8s-airflow.lock").rename(desk.project / "ci.lock")
    refused(desk, "publish-tag", mentions="no image was built")
    refused(desk, "image-lock", "--lock", "nowhere.lock")
    desk.publish("--lock", "ci.lock")


def test_a_file_that_was_edited_by_hand_is_not_overwritten(desk: Desk) -> None:
    desk.publish()
    edited = desk.state()["dags/project_main.py"] + "\n# by hand\n"
    commit(desk.work, {"dags/project_main.py": edited})
    desk.settings(namespace="elsewhere")
    refused(desk, "publish-edited", mentions="dags/project_main.py")
    desk.publish("--force")
    assert "by hand" not in desk.state()["dags/project_main.py"]


def test_a_file_that_was_edited_by_hand_is_not_removed(desk: Desk) -> None:
    desk.publish()
    commit(desk.work, {"dags/project_side.py": "# mine now\n"})
    desk.settings(dags={"main": {"pipeline": "__default__"}})
    refused(desk, "publish-edited", mentions="dags/project_side.py")
    desk.publish("--force")
    assert "dags/project_side.py" not in desk.state()


def test_an_edit_that_is_what_would_be_published_is_no_edit(desk: Desk) -> None:
    desk.publish()
    old = desk.state()
    desk.settings(namespace="elsewhere")
    desk.publish()
    new = desk.state()
    git(desk.work, "checkout", "--quiet", "HEAD~", "--", "dags/.k8s-airflow")
    commit(desk.work, {})  # the manifest of before, the files of now
    assert old[f"{MANIFESTS}/project.json"] == desk.state()[f"{MANIFESTS}/project.json"]
    desk.publish()
    assert desk.state() == new


def test_a_file_of_unknown_origin_is_not_overwritten_unless_it_is_the_same(desk: Desk) -> None:
    desk.run("create")
    texts = dags_of(desk.project)
    # As teams do today: one copied as it is, the other one edited.
    commit(desk.work, {**texts, "dags/project_side.py": "# copied long ago\n"})
    refused(desk, "publish-foreign", mentions="dags/project_side.py")
    said = desk.publish("--force")
    assert "project_side: changed" in said
    assert "project_main" not in said
    assert set(json.loads(desk.state()[f"{MANIFESTS}/project.json"])["files"]) == {"project_main.py", "project_side.py"}


def test_a_link_or_a_folder_in_the_place_of_a_file_is_refused(desk: Desk) -> None:
    (desk.work / "dags" / "project_main.py").symlink_to("other.py")
    commit(desk.work, {"dags/project_side.py/x": ""})
    said = refused(desk, "publish-folder", mentions="dags/project_side.py")
    assert "[publish-foreign]" in said
    git(desk.work, "rm", "-rq", "dags/project_side.py")
    commit(desk.work, {})
    desk.publish("--force")
    assert not (desk.work / "dags" / "project_main.py").is_symlink()
    assert desk.state()["dags/other.py"] == "# somebody else's"
    assert desk.clean()


@pytest.mark.parametrize("folder", ["README.md", "README.md/deep", "dags/link"])
def test_a_folder_that_is_none_in_the_target_is_refused(desk: Desk, folder: str) -> None:
    (desk.work / "dags" / "link").symlink_to("..")
    commit(desk.work, {})
    refused(desk, "publish-folder", "--subfolder", folder)


@pytest.mark.parametrize("folder", ["../out", "/abs", "a/../../b", ".git/hooks", "a\\b", "x/.GIT/y", "c:x"])
def test_a_subfolder_outside_the_repository_is_refused(desk: Desk, folder: str) -> None:
    refused(desk, "publish-folder", "--subfolder", folder)


@pytest.mark.parametrize(
    ("folder", "prefix"), [(".", ""), ("a//b/./c/", "a/b/c/"), ("ümlaut and space", "ümlaut and space/")]
)
def test_any_folder_of_the_repository_can_be_published_to(desk: Desk, folder: str, prefix: str) -> None:
    before = desk.state()
    desk.publish("--subfolder", folder)
    names = git(desk.work, "ls-tree", "-rz", "--name-only", "--full-tree", "HEAD").split("\0")[:-1]
    assert set(names) - set(before) == {prefix + name.removeprefix("dags/") for name in OURS}
    assert desk.clean()
    assert "nothing to commit" in desk.publish("--subfolder", folder)


@pytest.mark.parametrize(
    "text", ["no json", "{}", '{"version": 1, "files": {"../x.py": {}}}', '{"version": 99, "generator": "9.9"}', "[]"]
)
def test_a_manifest_that_is_none_is_refused(desk: Desk, text: str) -> None:
    desk.publish()
    commit(desk.work, {f"{MANIFESTS}/project.json": text})
    said = refused(desk, "publish-manifest", mentions="project.json")
    assert "99" not in text or "9.9 or newer" in said


def test_paths_in_a_manifest_never_lead_out_of_the_folder(desk: Desk) -> None:
    desk.publish()
    manifest = json.loads(desk.state()[f"{MANIFESTS}/project.json"])
    manifest["files"]["../README.md"] = manifest["files"]["project_main.py"]
    commit(desk.work, {f"{MANIFESTS}/project.json": json.dumps(manifest)})
    refused(desk, "publish-manifest")


# --- several in one repository


def test_environments_share_a_folder(desk: Desk) -> None:
    desk.publish()
    base = desk.state()
    desk.publish("--env", "prod")
    after = desk.state()
    assert {name: after[name] for name in base} == base
    assert set(after) - set(base) == {
        "dags/project_main_prod.py",
        "dags/project_side_prod.py",
        f"{MANIFESTS}/project@prod.json",
    }
    desk.settings(dags={"main": {"pipeline": "__default__"}})
    desk.publish("--env", "prod")
    assert {"dags/project_side.py", "dags/project_main_prod.py"} <= set(desk.state())
    assert "dags/project_side_prod.py" not in desk.state()


def test_an_environment_of_any_name_can_be_published(desk: Desk) -> None:
    name = "ümläut env %/x".replace("/", "_")
    (desk.project / "conf" / name).mkdir()
    desk.publish("--env", name)
    assert "nothing to commit" in desk.publish("--env", name)
    (path,) = (desk.work / MANIFESTS).iterdir()
    assert json.loads(path.read_text())["environment"] == name
    assert trailers(desk)["Kedro-Env"] == name


def test_projects_share_a_repository_in_one_folder_or_in_several(desk: Desk, tmp_path: Path) -> None:
    other = project(tmp_path / "other", "other")
    desk.publish()
    desk.publish(project=other)
    desk.publish("--subfolder", "teams/third", project=project(tmp_path / "third", "third"))
    names = set(desk.state())
    assert {"dags/project_main.py", "dags/other_main.py", "teams/third/third_main.py"} <= names
    assert {f"{MANIFESTS}/project.json", f"{MANIFESTS}/other.json"} <= names
    desk.settings(other, dags={"main": {"pipeline": "__default__"}})
    desk.publish(project=other)
    assert names - set(desk.state()) == {"dags/other_side.py"}


def test_a_file_of_another_project_is_never_overwritten(desk: Desk, tmp_path: Path) -> None:
    # Two projects come to one dag_id: a_b with DAG c, and a with DAG b_c.
    first = project(tmp_path / "first", "a_b", dags={"c": {"pipeline": "side"}})
    second = project(tmp_path / "second", "a", dags={"b_c": {"pipeline": "side"}})
    desk.publish(project=first)
    for more in ((), ("--force",)):
        refused(desk, "publish-owned", *more, project=second, mentions="belongs to project a_b")
    refused(desk, "publish-owned", "--subfolder", "dags/deep", project=second, mentions="second DAG 'a_b_c'")
    refused(desk, "publish-owned", "--subfolder", ".", project=second, mentions="second DAG 'a_b_c'")
    desk.publish("--subfolder", "elsewhere", project=second)


def test_another_project_of_the_same_package_name_is_told_apart(desk: Desk, tmp_path: Path) -> None:
    desk.publish()
    other = project(tmp_path / "other")
    text = (other / "pyproject.toml").read_text()
    (other / "pyproject.toml").write_text(text.replace('project_name = "project"', 'project_name = "Another"'))
    refused(desk, "publish-owned", project=other, mentions="'Another'")


def test_the_same_project_is_not_published_twice_where_one_airflow_reads_both(desk: Desk) -> None:
    desk.publish("--subfolder", "dags/old")
    refused(desk, "publish-owned", mentions="dags/old")
    git(desk.work, "rm", "-rq", "dags/old")
    commit(desk.work, {})
    desk.publish()


def test_folders_side_by_side_may_hold_the_same_dags(desk: Desk) -> None:
    """As where each has an Airflow of its own."""
    desk.publish("--subfolder", "dev")
    desk.publish("--subfolder", "stage")


# --- where to publish to


def test_settings_say_where_to_publish(desk: Desk) -> None:
    desk.settings(publish={"to": os.path.relpath(desk.work, desk.project), "subfolder": "air", "branch": "robot"})
    done = desk.run("publish")
    assert done.code == 0, done
    assert "air/project_main.py" in desk.state(ref="robot")
    assert "air/project_main.py" not in desk.state()
    # The command line goes before them.
    desk.publish("--subfolder", "dags", "--branch", "other")
    assert "dags/project_main.py" in desk.state(ref="other")


def test_nobody_says_where(desk: Desk) -> None:
    done = desk.run("publish")
    assert done.code == 1
    assert "publish.to" in done.said


def test_wrong_words_are_a_usage_error(desk: Desk) -> None:
    assert desk.run("publish", "--nonsense").code == 2
    assert desk.run("check", "--against", "x").code == 2
    assert desk.run("check", "--drift", "--all").code == 2
