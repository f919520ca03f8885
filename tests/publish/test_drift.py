"""`check --drift`: every way in which what is published can differ from what would be published, and no other."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kedro_k8s_airflow import __version__
from tests.publish.test_publish import everything, locked
from tests.scenarios.factory import snapshot
from tests.support.workspace import MANIFESTS, OTHER_DIGEST, bare, commit, git

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.workspace import Desk

MAIN, SIDE = "project_main", "project_side"
DAG = "dags/project_main.py"
REPORT = {
    "type": "object",
    "required": ["schema", "summary", "findings"],
    "properties": {
        "schema": {"const": 1},
        "findings": {
            "items": {
                "required": ["code", "severity", "family", "where", "why", "mend"],
                "properties": {"family": {"const": "publish"}, "severity": {"const": "error"}},
            }
        },
    },
}


@pytest.fixture
def there(desk: Desk) -> Desk:
    """A desk whose project is published, by address too."""
    desk.publish("--push")
    return desk


def against(desk: Desk, way: str) -> tuple[str, ...]:
    """Options that name the same published DAGs in another way."""
    if way == "commit":  # of the project's own repository
        if not (desk.project / ".git").exists():
            git(desk.project, "init", "--quiet")
            git(desk.project, "remote", "add", "dags", f"file://{desk.bare}")
        git(desk.project, "fetch", "--quiet", "dags")
        return ("--against", "dags/main")
    places = {
        "checkout": str(desk.work),
        "folder": str(desk.work / "dags"),
        "address": f"file://{desk.bare}",
        "bare": str(desk.bare),
    }
    return ("--against", places[way])


def nothing(desk: Desk) -> None:
    pass


def edit(desk: Desk) -> None:
    commit(desk.work, {DAG: desk.state()[DAG] + "\n# by hand\n"})


def delete(desk: Desk) -> None:
    git(desk.work, "rm", "-q", DAG)
    commit(desk.work, {})


def forget(desk: Desk) -> None:
    git(desk.work, "rm", "-q", f"{MANIFESTS}/project.json")
    commit(desk.work, {})


def age(desk: Desk) -> None:
    """As another version of the plugin has published the same."""
    path = f"{MANIFESTS}/project.json"
    commit(desk.work, {path: desk.state()[path].replace(f'"generator": "{__version__}"', '"generator": "0.0.9"')})


def drop(desk: Desk) -> None:
    desk.settings(dags={"main": {"pipeline": "__default__"}})


def add(desk: Desk) -> None:
    desk.settings(
        dags={"main": {"pipeline": "__default__"}, "side": {"pipeline": "side"}, "more": {"pipeline": "side"}}
    )


def change(desk: Desk) -> None:
    desk.settings(tasks={"b": {"match": {"node": "b"}, "resources": {"requests": {"cpu": "3"}}}})


def other_image(desk: Desk) -> None:
    desk.settings(image=f"registry.example.com/team/project@{OTHER_DIGEST}")


def both(desk: Desk) -> None:
    change(desk)
    other_image(desk)
    edit(desk)


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
def test_what_differs_is_told(
    there: Desk, do: Callable[[Desk], None], expected: list[tuple[str, str]], way: str
) -> None:
    do(there)
    git(there.work, "push", "--quiet")
    options = against(there, way)
    before = everything(there), snapshot(there.project / "conf")
    assert there.drift(*options, code=int(bool(expected))) == expected
    assert bool(expected) or there.run("check", "--drift", *options).out.endswith("no drift\n")
    assert (everything(there), snapshot(there.project / "conf")) == before
    if way == "checkout" and expected:
        # Publishing is the mend; what was edited by hand wants to be forced.
        there.publish("--force")
        assert there.drift(*options) == []


def test_the_json_is_what_the_page_says(there: Desk) -> None:
    jsonschema = pytest.importorskip("jsonschema", reason="this environment has no jsonschema")
    both(there)
    done = there.run("check", "--drift", "--against", str(there.work), "--format", "json")
    report = json.loads(done.out[done.out.index("{") :])
    jsonschema.validate(report, REPORT)
    assert report["summary"] == {"error": 4, "warning": 0, "info": 0}
    (changed,) = [one for one in report["findings"] if one["code"] == "drift-changed"]
    assert "tasks changed: b" in changed["why"]
    assert (changed["kind"], changed["name"]) == ("dag", MAIN)


def test_the_text_names_dag_file_and_difference(there: Desk) -> None:
    change(there)
    done = there.run("check", "--drift", "--against", str(there.work))
    assert (done.code, done.out.splitlines()[-1]) == (1, "1 error")
    assert (
        f"error [drift-changed] dag '{MAIN}': differs from {there.work}/dags/project_main.py: tasks changed: b."
        in done.out
    )


def test_findings_can_be_chosen(there: Desk) -> None:
    both(there)
    assert there.drift("--against", str(there.work), "--ignore", "drift-edited,drift-changed,drift-image") == []
    assert there.drift("--against", str(there.work), "--select", "drift-edited", code=1) == [("drift-edited", MAIN)]


def test_settings_say_what_to_compare_with(there: Desk) -> None:
    done = there.run("check", "--drift")
    assert done.code == 2
    assert "publish.to" in done.said
    there.settings(publish={"to": f"file://{there.bare}", "base": "main", "branch": "robot"})
    assert there.drift() == []
    edit(there)
    git(there.work, "push", "--quiet", "origin", "HEAD:live")
    assert there.drift() == []
    assert there.drift("--branch", "live", code=1) != []


def test_an_environment_is_compared_with_its_own(there: Desk) -> None:
    assert there.drift("--against", str(there.work), "--env", "prod", code=1) == [
        ("drift-missing", "project_main_prod"),
        ("drift-missing", "project_side_prod"),
    ]
    there.publish("--env", "prod")
    assert there.drift("--against", str(there.work), "--env", "prod") == []
    assert there.drift("--against", str(there.work)) == []


def test_without_a_lock_the_published_images_are_taken_for_right(desk: Desk) -> None:
    locked(desk)
    desk.publish()
    lock = desk.project / "k8s-airflow.lock"
    lock.rename(desk.project.parent / "ci.lock")
    assert desk.drift("--against", str(desk.work)) == []
    change(desk)
    assert desk.drift("--against", str(desk.work), code=1) == [("drift-changed", MAIN)]
    assert desk.drift("--against", str(desk.work), "--lock", str(desk.project.parent / "ci.lock"), code=1) == [
        ("drift-changed", MAIN)
    ]


def test_a_lock_of_any_name_is_no_part_of_the_image(desk: Desk) -> None:
    """With a Dockerfile of one's own and no .dockerignore everything beside is a part of it."""
    (desk.project / "Dockerfile").write_text("FROM python:3.12-slim\nUSER 1000\nWORKDIR /app\nCOPY . .\n")
    locked(desk)
    (desk.project / "k8s-airflow.lock").rename(desk.project / "ci.lock")
    assert not (desk.project / ".dockerignore").exists()
    desk.publish("--lock", "ci.lock")
    assert desk.drift("--against", str(desk.work), "--lock", "ci.lock") == []


def test_without_a_lock_all_images_count_as_published_and_tags_too(desk: Desk) -> None:
    repository = "registry.example.com/team/project"
    desk.settings(images={"gpu": {}}, tasks={"b": {"match": {"node": "b"}, "image": "gpu"}})
    locked(desk)
    desk.publish()
    assert OTHER_DIGEST in desk.state()[DAG]
    lock = desk.project / "k8s-airflow.lock"
    lock.rename(desk.project.parent / "ci.lock")
    assert desk.drift("--against", str(desk.work)) == []
    desk.settings(image=f"{repository}:1.2")
    assert desk.drift("--against", str(desk.work)) == []
    desk.settings(image=f"{repository}-moved")
    assert {code for code, _ in desk.drift("--against", str(desk.work), code=1)} == {"drift-image"}


def test_a_tag_that_was_published_is_compared(desk: Desk) -> None:
    desk.settings(image="registry.example.com/team/project:1.2")
    desk.publish("--allow-tag")
    assert desk.drift("--against", str(desk.work)) == []
    desk.settings(image="registry.example.com/team/project:1.3")
    assert {code for code, _ in desk.drift("--against", str(desk.work), code=1)} == {"drift-image"}


def test_words_about_branches_are_those_of_the_command(there: Desk) -> None:
    done = there.run("check", "--drift", "--against", f"file://{there.bare}", "--branch", "nope")
    assert "there is no branch 'nope'. It has main." in done.err
    git(there.bare, "symbolic-ref", "HEAD", "refs/heads/gone")
    done = there.run("check", "--drift", "--against", f"file://{there.bare}")
    assert (done.code, "Say which one with --branch" in done.err) == (2, True)
    git(there.project, "init", "--quiet")
    commit(there.project, {".gitignore": "__pycache__\n"})
    done = there.run("check", "--drift", "--against", "HEAD", "--branch", "main")
    assert (done.code, "[publish-branch]" in done.err) == (2, True)


def test_a_wrong_folder_is_named(there: Desk) -> None:
    done = there.run("check", "--drift", "--against", str(there.work), "--subfolder", "nowhere")
    assert f"there is no {there.work}/nowhere/project_main.py" in done.out


def test_an_image_whose_content_has_changed_is_stale(desk: Desk) -> None:
    locked(desk)
    desk.publish()
    (desk.project / "src" / "project" / "more.py").write_text("x = 1\n")
    ((code, where),) = desk.drift("--against", str(desk.work), code=1)
    assert (code, where) == ("drift-image", "k8s-airflow.lock: images.default")


def test_a_branch_is_looked_at_where_it_is(there: Desk) -> None:
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
def test_what_cannot_be_read_ends_with_2(there: Desk, what: str, tmp_path: Path) -> None:
    if what == "no-git":
        (tmp_path / "gone.git").mkdir()
        what = f"file://{tmp_path / 'gone.git'}"
    assert there.drift(f"--against={what}", code=2) == []


def test_a_project_with_errors_ends_with_2(there: Desk) -> None:
    there.settings(data={})
    done = there.run("check", "--drift", "--against", str(there.work))
    assert done.code == 2
    assert "[data-lost]" in done.said


def test_a_manifest_that_is_none_ends_with_2(there: Desk) -> None:
    commit(there.work, {f"{MANIFESTS}/project.json": "{}"})
    done = there.run("check", "--drift", "--against", str(there.work))
    assert done.code == 2
    assert "[publish-manifest]" in done.said


def test_an_empty_target_lacks_everything(there: Desk, tmp_path: Path) -> None:
    empty = bare(tmp_path / "empty.git")
    (tmp_path / "plain").mkdir()
    for what in (f"file://{empty}", str(tmp_path / "plain")):
        assert there.drift("--against", what, code=1) == [("drift-missing", MAIN), ("drift-missing", SIDE)]


def test_a_folder_needs_no_git(there: Desk, tmp_path: Path) -> None:
    mounted = shutil.copytree(there.work / "dags", tmp_path / "mounted" / "dags")
    assert there.drift("--against", str(mounted)) == []
    assert there.drift("--against", str(mounted.parent)) == []
    (mounted / "project_main.py").unlink()
    assert there.drift("--against", str(Path(mounted)), code=1) == [("drift-missing", MAIN)]
