"""An emitted file read back: each change is told as what it is, and nothing is told that is no change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from kedro_k8s_airflow.config.models import DagSettings
from kedro_k8s_airflow.dag import render
from kedro_k8s_airflow.dag.dag_file_diff import DagFileDiff, compare_dag_files, read_dag_file
from tests.scenarios import WORKING
from tests.support.plan_factory import BASE, make_plan, make_regions

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.scenarios import Scenario

AFTER = {"a": (), "b": ("a",), "c": ("b",)}
HEAVY = {**BASE, "resources": {"requests": {"cpu": "8"}}}


def compare_plans(before: Any, now: Any) -> DagFileDiff:
    first, second = read_dag_file(render.render_dag(before)), read_dag_file(render.render_dag(now))
    assert first is not None
    assert second is not None
    return compare_dag_files(first, second)


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, {}),
        ({"base_image": "registry.example.com/x:2"}, {}),
        ({"namespace": "other"}, {"shared": ("namespace",)}),
        ({"base": HEAVY}, {"shared": ("container_resources",)}),
        ({"settings": {"b": HEAVY}}, {"changed": ("b",)}),
        ({"settings": {"b": HEAVY, "c": HEAVY}}, {"changed": ("b", "c")}),
        ({"dag": DagSettings(schedule="@daily")}, {"dag": ("schedule",)}),
        ({"params": {"x": 1}}, {"dag": ("params",)}),
        ({"prefix": ("uv", "run")}, {"shared": ("cmds",)}),
    ],
)
def test_change_is_reported_at_its_location(more: dict[str, Any], expected: dict[str, tuple[str, ...]]) -> None:
    found = compare_plans(make_plan(AFTER), make_plan(AFTER, **more))
    whole = {"added": (), "removed": (), "changed": (), "shared": (), "dag": ()}
    got = {name: getattr(found, name) for name in whole}
    if "params" in more:  # the pods get a variable more, and the file a function
        assert "env_vars" in got["shared"]
        got["shared"] = ()
    if "base" in more:  # a task that says less than all others is one that says something else
        got["changed"] = ()
    if "base_image" in more:
        got["changed"] = ()
    assert got == {**whole, **expected}


@pytest.mark.parametrize("image", ["kedro", "task", "image", "a"])
def test_images_are_excluded_from_the_diff(image: str) -> None:
    assert not compare_plans(make_plan(AFTER, base_image=image), make_plan(AFTER))


def test_added_removed_and_reordered_tasks_are_reported() -> None:
    found = compare_plans(make_plan(AFTER), make_plan({"a": (), "b": ("a",), "d": ("a", "b")}))
    assert (found.added, found.removed, found.changed) == (("d",), ("c",), ())
    assert compare_plans(make_plan(AFTER), make_plan({"a": (), "b": (), "c": ("b",)})).changed == ("b",)


def test_a_constant_that_several_tasks_share_changes_them_all() -> None:
    heavier = {**BASE, "resources": {"requests": {"cpu": "16"}}}
    before = make_regions(3, 4, settings={f"r0.n{step}": HEAVY for step in range(4)})
    now = make_regions(3, 4, settings={f"r0.n{step}": heavier for step in range(4)})
    assert compare_plans(before, now).changed == ("r0.n0", "r0.n1", "r0.n2", "r0.n3")


@pytest.mark.parametrize("text", ["", "x = 1\n", "def", "\0", "with open('x'):\n    pass\n", "[" * 5000, "# nothing\n"])
def test_unrecognised_files_give_none(text: str) -> None:
    assert read_dag_file(text) is None


@pytest.mark.parametrize("scenario", WORKING, ids=str)
def test_every_emitted_file_can_be_read_back(scenario: Scenario, create_scenario: Callable[..., Any]) -> None:
    report = create_scenario(scenario)
    assert report["dags"]
    for dag_id, path in report["dags"].items():
        from pathlib import Path

        found = read_dag_file(Path(path).read_text(encoding="utf-8"))
        assert found is not None
        assert list(found.tasks) == [task["id"] for task in report["plans"][dag_id]["tasks"]]
        assert {"schedule", "start_date"} <= set(found.dag)
        assert {"image", "namespace", "kedro_task()"} <= set(found.shared)
