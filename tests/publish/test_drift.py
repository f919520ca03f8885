"""`check --drift`: every way in which published DAGs can differ from those that would be published, and no other."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kedro_k8s_airflow import __version__
from tests.scenarios.factory import snapshot
from tests.support.publish_checks import DAG, read_repositories, write_image_lock
from tests.support.workspace import MANIFESTS, OTHER_DIGEST, bare, commit, git

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
def there(workspace: Workspace) -> Workspace:
    """A workspace whose project is published, by address too."""
    workspace.publish("--push")
    return workspace


def against(workspace: Workspace, way: str) -> tuple[str, ...]:
    """Options that name the same published DAGs in another way."""
    if way == "commit":  # of the project's own repository
        if not (workspace.project / ".git").exists():
            git(workspace.project, "init", "--quiet")
            git(workspace.project, "remote", "add", "dags", f"file://{workspace.bare}")
        git(workspace.project, "fetch", "--quiet", "dags")
        return ("--against", "dags/main")
    places = {
        "checkout": str(workspace.work),
        "folder": str(workspace.work / "dags"),
        "address": f"file://{workspace.bare}",
        "bare": str(workspace.bare),
    }
    return ("--against", places[way])


def nothing(workspace: Workspace) -> None:
    pass


def edit(workspace: Workspace) -> None:
    commit(workspace.work, {DAG: workspace.state()[DAG] + "\n# by hand\n"})


def delete(workspace: Workspace) -> None:
    git(workspace.work, "rm", "-q", DAG)
    commit(workspace.work, {})


def forget(workspace: Workspace) -> None:
    git(workspace.work, "rm", "-q", f"{MANIFESTS}/project.json")
    commit(workspace.work, {})


def age(workspace: Workspace) -> None:
    """As another version of the plugin has published the same."""
    path = f"{MANIFESTS}/project.json"
    commit(
        workspace.work, {path: workspace.state()[path].replace(f'"generator": "{__version__}"', '"generator": "0.0.9"')}
    )


def drop(workspace: Workspace) -> None:
    workspace.settings(dags={"main": {"pipeline": "__default__"}})


def add(workspace: Workspace) -> None:
    workspace.settings(
        dags={"main": {"pipeline": "__default__"}, "side": {"pipeline": "side"}, "more": {"pipeline": "side"}}
    )


def change(workspace: Workspace) -> None:
    workspace.settings(tasks={"b": {"match": {"node": "b"}, "resources": {"requests": {"cpu": "3"}}}})


def other_image(workspace: Workspace) -> None:
    workspace.settings(image=f"registry.example.com/team/project@{OTHER_DIGEST}")


def both(workspace: Workspace) -> None:
    change(workspace)
    other_image(workspace)
    edit(workspace)


CASES = [
    (nothing, []),
    (edit, [("drift-edited", MAIN)]),
    (delete, [("drift-missing", MAIN)]),
    (forget, [("drift-edited", MAIN), ("drift-edited", SIDE)]),
    (age, [("drift-generator", "the DAGs of project project")]),
    (drop, [("drift-extra", SIDE)]),
    (add, [("drift-missing", "project_more")]),
    (change, [("drift-changed", MAIN)]),
    (other_image, [("drift-image", MAIN), ("drift-image", SIDE)]),
    (both, [("drift-edited", MAIN), ("drift-image", MAIN), ("drift-changed", MAIN), ("drift-image", SIDE)]),
]
WAYS = ["folder", "address", "bare", "commit"]


@pytest.mark.parametrize(
    ("do", "expected", "way"),
    [*((*case, "checkout") for case in CASES), *((*CASES[at], way) for way in WAYS for at in (0, 3, -1))],
)
def test_every_difference_is_reported(
    there: Workspace, do: Callable[[Workspace], None], expected: list[tuple[str, str]], way: str
) -> None:
    do(there)
    git(there.work, "push", "--quiet")
    options = against(there, way)
    before = read_repositories(there), snapshot(there.project / "conf")
    assert there.drift(*options, code=int(bool(expected))) == expected
    assert bool(expected) or there.run("check", "--drift", *options).out.endswith("no drift\n")
    assert (read_repositories(there), snapshot(there.project / "conf")) == before
    if way == "checkout" and expected:
        # Publishing fixes it; an edit by hand needs --force.
        there.publish("--force")
        assert there.drift(*options) == []


def test_the_json_is_what_the_page_says(there: Workspace) -> None:
    jsonschema = pytest.importorskip("jsonschema", reason="this environment has no jsonschema")
    both(there)
    done = there.run("check", "--drift", "--against", str(there.work), "--format", "json")
    report = json.loads(done.out[done.out.index("{") :])
    jsonschema.validate(report, REPORT)
    assert report["summary"] == {"error": 4, "warning": 0, "info": 0}
    (changed,) = [finding for finding in report["findings"] if finding["code"] == "drift-changed"]
    assert "tasks changed: b" in changed["message"]
    assert changed["location"] == {"dag": MAIN}


def test_the_text_names_dag_file_and_difference(there: Workspace) -> None:
    change(there)
    done = there.run("check", "--drift", "--against", str(there.work))
    assert (done.code, done.out.splitlines()[-1]) == (1, "1 error")
    assert (
        f"error [drift-changed] dag '{MAIN}': differs from {there.work}/dags/project_main.py: tasks changed: b."
        in done.out
    )


def test_findings_can_be_chosen(there: Workspace) -> None:
    both(there)
    assert there.drift("--against", str(there.work), "--ignore", "drift-edited,drift-changed,drift-image") == []
    assert there.drift("--against", str(there.work), "--select", "drift-edited", code=1) == [("drift-edited", MAIN)]


def test_the_settings_name_what_to_compare_with(there: Workspace) -> None:
    done = there.run("check", "--drift")
    assert done.code == 2
    assert "publish.to" in done.said
    there.settings(publish={"to": f"file://{there.bare}", "base": "main", "branch": "robot"})
    assert there.drift() == []
    edit(there)
    git(there.work, "push", "--quiet", "origin", "HEAD:live")
    assert there.drift() == []
    assert there.drift("--branch", "live", code=1) != []


def test_an_environment_is_compared_with_its_own(there: Workspace) -> None:
    assert there.drift("--against", str(there.work), "--env", "prod", code=1) == [
        ("drift-missing", "project_main_prod"),
        ("drift-missing", "project_side_prod"),
    ]
    there.publish("--env", "prod")
    assert there.drift("--against", str(there.work), "--env", "prod") == []
    assert there.drift("--against", str(there.work)) == []


def test_without_a_lock_the_published_images_are_assumed(workspace: Workspace) -> None:
    write_image_lock(workspace)
    workspace.publish()
    lock = workspace.project / "k8s-airflow.lock"
    lock.rename(workspace.project.parent / "ci.lock")
    assert workspace.drift("--against", str(workspace.work)) == []
    change(workspace)
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


def test_branch_errors_name_the_option(there: Workspace) -> None:
    done = there.run("check", "--drift", "--against", f"file://{there.bare}", "--branch", "nope")
    assert "has no branch 'nope'. Existing branches: main." in done.err
    git(there.bare, "symbolic-ref", "HEAD", "refs/heads/gone")
    done = there.run("check", "--drift", "--against", f"file://{there.bare}")
    assert (done.code, "Set --branch" in done.err) == (2, True)
    git(there.project, "init", "--quiet")
    commit(there.project, {".gitignore": "__pycache__\n"})
    done = there.run("check", "--drift", "--against", "HEAD", "--branch", "main")
    assert (done.code, "[publish-branch]" in done.err) == (2, True)


def test_a_wrong_folder_is_named(there: Workspace) -> None:
    done = there.run("check", "--drift", "--against", str(there.work), "--subfolder", "nowhere")
    assert f"{there.work}/nowhere/project_main.py does not exist" in done.out


def test_an_image_whose_content_has_changed_is_stale(workspace: Workspace) -> None:
    write_image_lock(workspace)
    workspace.publish()
    (workspace.project / "src" / "project" / "more.py").write_text("x = 1\n")
    ((code, key),) = workspace.drift("--against", str(workspace.work), code=1)
    assert (code, key) == ("drift-image", "images.default")


def test_a_branch_is_read_where_it_is(there: Workspace) -> None:
    git(there.work, "branch", "live")
    edit(there)
    git(there.work, "push", "--quiet", "origin", "HEAD:newest")
    for what in (str(there.work), f"file://{there.bare}", str(there.bare)):
        assert there.drift("--against", what, "--branch", "newest", code=1) == [("drift-edited", MAIN)]
        assert there.drift("--against", what, "--branch", "main", code=int(what == str(there.work))) is not None
        done = there.run("check", "--drift", "--against", what, "--branch", "nope")
        assert (done.code, "[publish-branch]" in done.err) == (2, True), done
    assert there.drift("--against", str(there.work), "--branch", "live") == []


@pytest.mark.parametrize("what", ["nowhere", "HEAD~99", "file:///nowhere.git", "-x", "no-git"])
def test_what_cannot_be_read_ends_with_2(there: Workspace, what: str, tmp_path: Path) -> None:
    if what == "no-git":
        (tmp_path / "gone.git").mkdir()
        what = f"file://{tmp_path / 'gone.git'}"
    assert there.drift(f"--against={what}", code=2) == []


def test_a_project_with_errors_ends_with_2(there: Workspace) -> None:
    there.settings(data={})
    done = there.run("check", "--drift", "--against", str(there.work))
    assert done.code == 2
    assert "[data-lost]" in done.said


def test_an_invalid_manifest_ends_with_2(there: Workspace) -> None:
    commit(there.work, {f"{MANIFESTS}/project.json": "{}"})
    done = there.run("check", "--drift", "--against", str(there.work))
    assert done.code == 2
    assert "[publish-manifest]" in done.said


def test_an_empty_target_lacks_everything(there: Workspace, tmp_path: Path) -> None:
    empty = bare(tmp_path / "empty.git")
    (tmp_path / "plain").mkdir()
    for what in (f"file://{empty}", str(tmp_path / "plain")):
        assert there.drift("--against", what, code=1) == [("drift-missing", MAIN), ("drift-missing", SIDE)]


def test_a_folder_needs_no_git(there: Workspace, tmp_path: Path) -> None:
    mounted = shutil.copytree(there.work / "dags", tmp_path / "mounted" / "dags")
    assert there.drift("--against", str(mounted)) == []
    assert there.drift("--against", str(mounted.parent)) == []
    (mounted / "project_main.py").unlink()
    assert there.drift("--against", str(Path(mounted)), code=1) == [("drift-missing", MAIN)]
