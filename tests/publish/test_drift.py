"""`check --drift`: every way in which published DAGs can differ from those that would be published, and no other."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kedro_k8s_airflow import __version__
from tests.scenarios.factory import read_tree
from tests.support.publish_checks import DAG, read_repositories, write_image_lock
from tests.support.workspace import MANIFEST_FOLDER, OTHER_DIGEST, commit_files, init_bare_repository, run_git

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.workspace import Workspace

MAIN, SIDE = "project_main", "project_side"
REPORT = {
    "type": "object",
    "required": ["schema", "summary", "findings"],
    "properties": {
        "schema": {"const": 1},
        "findings": {
            "items": {
                "required": ["code", "severity", "family", "location", "message", "help"],
                "properties": {"family": {"const": "publish"}, "severity": {"const": "error"}},
            }
        },
    },
}


@pytest.fixture
def published_workspace(workspace: Workspace) -> Workspace:
    """A workspace whose project is published, by address too."""
    workspace.publish("--push")
    return workspace


def alternative_targets(workspace: Workspace, way: str) -> tuple[str, ...]:
    """Options that name the same published DAGs in another way."""
    if way == "commit":  # of the project's own repository
        if not (workspace.project / ".git").exists():
            run_git(workspace.project, "init", "--quiet")
            run_git(workspace.project, "remote", "add", "dags", f"file://{workspace.bare}")
        run_git(workspace.project, "fetch", "--quiet", "dags")
        return ("--against", "dags/main")
    places = {
        "checkout": str(workspace.work),
        "folder": str(workspace.work / "dags"),
        "address": f"file://{workspace.bare}",
        "bare": str(workspace.bare),
    }
    return ("--against", places[way])


def change_nothing(workspace: Workspace) -> None:
    pass


def edit_dag(workspace: Workspace) -> None:
    commit_files(workspace.work, {DAG: workspace.state()[DAG] + "\n# by hand\n"})


def delete_dag(workspace: Workspace) -> None:
    run_git(workspace.work, "rm", "-q", DAG)
    commit_files(workspace.work, {})


def delete_manifest(workspace: Workspace) -> None:
    run_git(workspace.work, "rm", "-q", f"{MANIFEST_FOLDER}/project.json")
    commit_files(workspace.work, {})


def age_manifest(workspace: Workspace) -> None:
    """As another version of the plugin has published the same."""
    path = f"{MANIFEST_FOLDER}/project.json"
    commit_files(
        workspace.work, {path: workspace.state()[path].replace(f'"generator": "{__version__}"', '"generator": "0.0.9"')}
    )


def drop_dag(workspace: Workspace) -> None:
    workspace.settings(dags={"main": {"pipeline": "__default__"}})


def add_dag(workspace: Workspace) -> None:
    workspace.settings(
        dags={"main": {"pipeline": "__default__"}, "side": {"pipeline": "side"}, "more": {"pipeline": "side"}}
    )


def change_task(workspace: Workspace) -> None:
    workspace.settings(tasks={"b": {"match": {"node": "b"}, "resources": {"requests": {"cpu": "3"}}}})


def change_image(workspace: Workspace) -> None:
    workspace.settings(image=f"registry.example.com/team/project@{OTHER_DIGEST}")


def change_and_edit(workspace: Workspace) -> None:
    change_task(workspace)
    change_image(workspace)
    edit_dag(workspace)


CASES = [
    (change_nothing, []),
    (edit_dag, [("drift-edited", MAIN)]),
    (delete_dag, [("drift-missing", MAIN)]),
    (delete_manifest, [("drift-edited", MAIN), ("drift-edited", SIDE)]),
    (age_manifest, [("drift-generator", "the DAGs of project project")]),
    (drop_dag, [("drift-extra", SIDE)]),
    (add_dag, [("drift-missing", "project_more")]),
    (change_task, [("drift-changed", MAIN)]),
    (change_image, [("drift-image", MAIN), ("drift-image", SIDE)]),
    (change_and_edit, [("drift-edited", MAIN), ("drift-image", MAIN), ("drift-changed", MAIN), ("drift-image", SIDE)]),
]
WAYS = ["folder", "address", "bare", "commit"]


@pytest.mark.parametrize(
    ("do", "expected", "way"),
    [*((*case, "checkout") for case in CASES), *((*CASES[at], way) for way in WAYS for at in (0, 3, -1))],
)
def test_every_difference_is_reported(
    published_workspace: Workspace, do: Callable[[Workspace], None], expected: list[tuple[str, str]], way: str
) -> None:
    do(published_workspace)
    run_git(published_workspace.work, "push", "--quiet")
    options = alternative_targets(published_workspace, way)
    before = read_repositories(published_workspace), read_tree(published_workspace.project / "conf")
    assert published_workspace.drift(*options, code=int(bool(expected))) == expected
    assert bool(expected) or published_workspace.run("check", "--drift", *options).out.endswith("no drift\n")
    assert (read_repositories(published_workspace), read_tree(published_workspace.project / "conf")) == before
    if way == "checkout" and expected:
        # Publishing fixes it; an edit by hand needs --force.
        published_workspace.publish("--force")
        assert published_workspace.drift(*options) == []


def test_json_report_matches_the_documentation(published_workspace: Workspace) -> None:
    jsonschema = pytest.importorskip("jsonschema", reason="this environment has no jsonschema")
    change_and_edit(published_workspace)
    result = published_workspace.run("check", "--drift", "--against", str(published_workspace.work), "--format", "json")
    report = json.loads(result.out[result.out.index("{") :])
    jsonschema.validate(report, REPORT)
    assert report["summary"] == {"error": 4, "warning": 0, "info": 0}
    (changed,) = [finding for finding in report["findings"] if finding["code"] == "drift-changed"]
    assert "tasks changed: b" in changed["message"]
    assert changed["location"] == {"dag": MAIN}


def test_the_text_names_dag_file_and_difference(published_workspace: Workspace) -> None:
    change_task(published_workspace)
    result = published_workspace.run("check", "--drift", "--against", str(published_workspace.work))
    assert (result.code, result.out.splitlines()[-1]) == (1, "1 error")
    assert (
        f"error [drift-changed] dag '{MAIN}': differs from {published_workspace.work}/dags/project_main.py: tasks changed: b."
        in result.out
    )


def test_findings_can_be_chosen(published_workspace: Workspace) -> None:
    change_and_edit(published_workspace)
    assert (
        published_workspace.drift(
            "--against", str(published_workspace.work), "--ignore", "drift-edited,drift-changed,drift-image"
        )
        == []
    )
    assert published_workspace.drift(
        "--against", str(published_workspace.work), "--select", "drift-edited", code=1
    ) == [("drift-edited", MAIN)]


def test_the_settings_name_what_to_compare_with(published_workspace: Workspace) -> None:
    done = published_workspace.run("check", "--drift")
    assert done.code == 2
    assert "publish.to" in done.output
    published_workspace.settings(
        publish={"to": f"file://{published_workspace.bare}", "base": "main", "branch": "robot"}
    )
    assert published_workspace.drift() == []
    edit_dag(published_workspace)
    run_git(published_workspace.work, "push", "--quiet", "origin", "HEAD:live")
    assert published_workspace.drift() == []
    assert published_workspace.drift("--branch", "live", code=1) != []


def test_environment_is_compared_with_its_own_publication(published_workspace: Workspace) -> None:
    assert published_workspace.drift("--against", str(published_workspace.work), "--env", "prod", code=1) == [
        ("drift-missing", "project_main_prod"),
        ("drift-missing", "project_side_prod"),
    ]
    published_workspace.publish("--env", "prod")
    assert published_workspace.drift("--against", str(published_workspace.work), "--env", "prod") == []
    assert published_workspace.drift("--against", str(published_workspace.work)) == []


def test_without_a_lock_the_published_images_are_assumed(workspace: Workspace) -> None:
    write_image_lock(workspace)
    workspace.publish()
    lock = workspace.project / "k8s-airflow.lock"
    lock.rename(workspace.project.parent / "ci.lock")
    assert workspace.drift("--against", str(workspace.work)) == []
    change_task(workspace)
    assert workspace.drift("--against", str(workspace.work), code=1) == [("drift-changed", MAIN)]
    assert workspace.drift(
        "--against", str(workspace.work), "--lock", str(workspace.project.parent / "ci.lock"), code=1
    ) == [("drift-changed", MAIN)]


def test_a_lock_of_any_name_is_not_part_of_the_image(workspace: Workspace) -> None:
    """With a Dockerfile of one's own and no .dockerignore everything beside is a part of it."""
    (workspace.project / "Dockerfile").write_text("FROM python:3.12-slim\nUSER 1000\nWORKDIR /app\nCOPY . .\n")
    write_image_lock(workspace)
    (workspace.project / "k8s-airflow.lock").rename(workspace.project / "ci.lock")
    assert not (workspace.project / ".dockerignore").exists()
    workspace.publish("--lock", "ci.lock")
    assert workspace.drift("--against", str(workspace.work), "--lock", "ci.lock") == []


def test_without_a_lock_all_images_count_as_published_and_tags_too(workspace: Workspace) -> None:
    repository = "registry.example.com/team/project"
    workspace.settings(images={"gpu": {}}, tasks={"b": {"match": {"node": "b"}, "image": "gpu"}})
    write_image_lock(workspace)
    workspace.publish()
    assert OTHER_DIGEST in workspace.state()[DAG]
    lock = workspace.project / "k8s-airflow.lock"
    lock.rename(workspace.project.parent / "ci.lock")
    assert workspace.drift("--against", str(workspace.work)) == []
    workspace.settings(image=f"{repository}:1.2")
    assert workspace.drift("--against", str(workspace.work)) == []
    workspace.settings(image=f"{repository}-moved")
    assert {code for code, _ in workspace.drift("--against", str(workspace.work), code=1)} == {"drift-image"}


def test_a_tag_that_was_published_is_compared(workspace: Workspace) -> None:
    workspace.settings(image="registry.example.com/team/project:1.2")
    workspace.publish("--allow-tag")
    assert workspace.drift("--against", str(workspace.work)) == []
    workspace.settings(image="registry.example.com/team/project:1.3")
    assert {code for code, _ in workspace.drift("--against", str(workspace.work), code=1)} == {"drift-image"}


def test_branch_errors_name_the_option(published_workspace: Workspace) -> None:
    done = published_workspace.run(
        "check", "--drift", "--against", f"file://{published_workspace.bare}", "--branch", "nope"
    )
    assert "has no branch 'nope'. Existing branches: main." in done.err
    run_git(published_workspace.bare, "symbolic-ref", "HEAD", "refs/heads/gone")
    done = published_workspace.run("check", "--drift", "--against", f"file://{published_workspace.bare}")
    assert (done.code, "Set --branch" in done.err) == (2, True)
    run_git(published_workspace.project, "init", "--quiet")
    commit_files(published_workspace.project, {".gitignore": "__pycache__\n"})
    done = published_workspace.run("check", "--drift", "--against", "HEAD", "--branch", "main")
    assert (done.code, "[publish-branch]" in done.err) == (2, True)


def test_a_wrong_folder_is_named(published_workspace: Workspace) -> None:
    result = published_workspace.run(
        "check", "--drift", "--against", str(published_workspace.work), "--subfolder", "nowhere"
    )
    assert f"{published_workspace.work}/nowhere/project_main.py does not exist" in result.out


def test_an_image_whose_content_has_changed_is_stale(workspace: Workspace) -> None:
    write_image_lock(workspace)
    workspace.publish()
    (workspace.project / "src" / "project" / "more.py").write_text("x = 1\n")
    ((code, key),) = workspace.drift("--against", str(workspace.work), code=1)
    assert (code, key) == ("drift-image", "images.default")


def test_a_branch_is_read_where_it_is(published_workspace: Workspace) -> None:
    run_git(published_workspace.work, "branch", "live")
    edit_dag(published_workspace)
    run_git(published_workspace.work, "push", "--quiet", "origin", "HEAD:newest")
    for what in (str(published_workspace.work), f"file://{published_workspace.bare}", str(published_workspace.bare)):
        assert published_workspace.drift("--against", what, "--branch", "newest", code=1) == [("drift-edited", MAIN)]
        assert (
            published_workspace.drift(
                "--against", what, "--branch", "main", code=int(what == str(published_workspace.work))
            )
            is not None
        )
        done = published_workspace.run("check", "--drift", "--against", what, "--branch", "nope")
        assert (done.code, "[publish-branch]" in done.err) == (2, True), done
    assert published_workspace.drift("--against", str(published_workspace.work), "--branch", "live") == []


@pytest.mark.parametrize("what", ["nowhere", "HEAD~99", "file:///nowhere.git", "-x", "no-git"])
def test_unreadable_target_exits_with_2(published_workspace: Workspace, what: str, tmp_path: Path) -> None:
    if what == "no-git":
        (tmp_path / "gone.git").mkdir()
        what = f"file://{tmp_path / 'gone.git'}"
    assert published_workspace.drift(f"--against={what}", code=2) == []


def test_a_project_with_errors_ends_with_2(published_workspace: Workspace) -> None:
    published_workspace.settings(data={})
    result = published_workspace.run("check", "--drift", "--against", str(published_workspace.work))
    assert result.code == 2
    assert "[data-lost]" in result.output


def test_an_invalid_manifest_ends_with_2(published_workspace: Workspace) -> None:
    commit_files(published_workspace.work, {f"{MANIFEST_FOLDER}/project.json": "{}"})
    done = published_workspace.run("check", "--drift", "--against", str(published_workspace.work))
    assert done.code == 2
    assert "[publish-manifest]" in done.output


def test_empty_target_reports_every_dag_as_missing(published_workspace: Workspace, tmp_path: Path) -> None:
    empty = init_bare_repository(tmp_path / "empty.git")
    (tmp_path / "plain").mkdir()
    for what in (f"file://{empty}", str(tmp_path / "plain")):
        assert published_workspace.drift("--against", what, code=1) == [
            ("drift-missing", MAIN),
            ("drift-missing", SIDE),
        ]


def test_a_folder_needs_no_git(published_workspace: Workspace, tmp_path: Path) -> None:
    mounted = shutil.copytree(published_workspace.work / "dags", tmp_path / "mounted" / "dags")
    assert published_workspace.drift("--against", str(mounted)) == []
    assert published_workspace.drift("--against", str(mounted.parent)) == []
    (mounted / "project_main.py").unlink()
    assert published_workspace.drift("--against", str(Path(mounted)), code=1) == [("drift-missing", MAIN)]
