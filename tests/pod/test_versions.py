"""One DAG run is one Kedro run: what is saved under which version, and which version is loaded."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from kedro_k8s_airflow import pod

if TYPE_CHECKING:
    from pathlib import Path

    from tests.pod.conftest import PodLauncher

DATASET = ("--version-of=kept",)
OTHER_DATASET: dict[str, Any] = {"run_id": "manual__2"}


def version_text(text: str) -> dict[str, Any]:
    """What the writer of a version writes."""
    return {"params": {"mark": text}}


def test_a_version_is_the_time_of_the_run_the_run_and_the_try(any_pods: PodLauncher) -> None:
    run: dict[str, Any] = {
        "run_id": "scheduled__2026-03-01T06:00:00+02:00",
        "run_after": "2026-03-01T06:00:00.123456+02:00",
    }
    any_pods.run_successfully("versions", "write", **run, **version_text("a"))
    (version,) = any_pods.saved_versions("kept.txt")
    assert re.fullmatch(r"2026-03-01T04\.00\.00\.123Z-[0-9a-f]{8}-001", version)
    any_pods.run_successfully("versions", "read", options=DATASET, **run)
    assert any_pods.read_data("seen.txt") == "a"


def test_versions_of_later_runs_and_tries_come_later_in_text_order(pods: PodLauncher) -> None:
    order: list[str] = []
    for run_after, try_number in (
        ("2026-01-02T01:30:00+02:00", 1),  # the day before, in UTC
        ("2026-01-02T00:30:00+00:00", 1),
        ("2026-01-02T00:30:00+00:00", 2),
        ("2026-01-02T00:30:00+00:00", 10),
        ("2026-01-02T00:30:00.001000+00:00", 1),
    ):
        pods.run_successfully("versions", "write", run_after=run_after, try_number=try_number, **version_text("a"))
        (new,) = {*pods.saved_versions("kept.txt")} - {*order}
        order.append(new)
    assert order == sorted(order)


def test_try_10_is_read_after_try_9_and_the_reader_s_own_try_does_not_matter(any_pods: PodLauncher) -> None:
    for number in (1, 9, 10):
        any_pods.run_successfully("versions", "write", try_number=number, **version_text(f"try {number}"))
    for number in (1, 11):
        any_pods.run_successfully("versions", "read", try_number=number, options=DATASET)
        assert any_pods.read_data("seen.txt") == "try 10"


def test_a_task_cleared_after_the_run_has_finished_is_read_anew(pods: PodLauncher) -> None:
    # An adopted pod writes as the try that started it, although Airflow counts on: the reader is try 2, the writer 1.
    pods.run_successfully("versions", "write", **version_text("first"))
    pods.run_successfully("versions", "read", try_number=2, options=DATASET)
    assert pods.read_data("seen.txt") == "first"
    pods.run_successfully("versions", "write", try_number=2, **version_text("cleared"))
    pods.run_successfully("versions", "read", try_number=3, options=DATASET)
    assert pods.read_data("seen.txt") == "cleared"
    assert len(pods.saved_versions("kept.txt")) == 2


def test_overlapping_runs_never_mix_versions(any_pods: PodLauncher) -> None:
    any_pods.run_successfully("versions", "write", **version_text("one"))
    any_pods.run_successfully("versions", "write", **OTHER_DATASET, **version_text("two"))
    any_pods.run_successfully("versions", "read", options=DATASET)
    assert any_pods.read_data("seen.txt") == "one"
    any_pods.run_successfully("versions", "write", "read", try_number=2, **version_text("one again"))
    assert any_pods.read_data("seen.txt") == "one again"
    any_pods.run_successfully("versions", "read", options=DATASET, **OTHER_DATASET)
    assert any_pods.read_data("seen.txt") == "two"
    assert len(any_pods.saved_versions("kept.txt")) == 3


def test_a_pod_that_writes_and_reads_takes_its_own_though_a_greater_version_is_there(pods: PodLauncher) -> None:
    pods.write_data("kept.txt/9999-12-31T00.00.00.000Z/kept.txt", "of another run")
    pods.run_successfully("versions", "write", try_number=2, **version_text("greater try"))
    pods.run_successfully("versions", "write", "read", try_number=1, **version_text("own"))
    assert pods.read_data("seen.txt") == "own"


@pytest.mark.parametrize("moment", ["before_pipeline_run", "before_dataset_saved"])
def test_hooks_find_the_former_version_until_the_pod_has_saved_its_own(pods: PodLauncher, moment: str) -> None:
    pods.write_data("notes", "")
    (pods.project / "src" / "project" / "settings.py").write_text(f"""
from pathlib import Path

from kedro.framework.hooks import hook_impl


class Comparing:
    @hook_impl
    def after_catalog_created(self, catalog, load_versions):
        self.catalog = catalog
        self.note("at first", load_versions or None)

    @hook_impl
    def {moment}(self):
        self.note("before", self.catalog.load("kept") if self.catalog.exists("kept") else None)

    @hook_impl
    def after_dataset_saved(self, dataset_name):
        self.note("after", self.catalog.load("kept"))

    def note(self, when, what):
        with open("data/notes", "a") as file:
            file.write(f"{{when}}: {{what}}\\n")


HOOKS = (Comparing(),)
""")
    pods.run_successfully("versions", "write", run_id="manual__0", **version_text("one"))
    assert pods.read_data("notes").splitlines() == ["at first: None", "before: None", "after: one"]
    pods.write_data("kept.txt/9999-12-31T00.00.00.000Z/kept.txt", "of a later run")
    pods.run_successfully("versions", "write", **version_text("two"))
    assert pods.read_data("notes").splitlines()[3:] == ["at first: None", "before: of a later run", "after: two"]


def test_version_missing_in_this_run_is_refused(any_pods: PodLauncher) -> None:
    any_pods.run_successfully("versions", "write", **version_text("one"))
    # An attempt that died between making the folder and writing the file.
    found = any_pods.project / "data" / "kept.txt" / any_pods.saved_versions("kept.txt")[0].replace("-001", "-002")
    found.mkdir()
    refused = any_pods.run("versions", "read", options=DATASET, **OTHER_DATASET)
    assert refused.code == 2
    assert "'kept'" in refused.refusal
    assert OTHER_DATASET["run_id"] in refused.refusal
    any_pods.run_successfully("versions", "read", options=DATASET)
    assert any_pods.read_data("seen.txt") == "one"


def test_free_input_is_loaded_in_the_latest_version_of_the_run_s_time(pods: PodLauncher) -> None:
    for version in ("2020-01-01T00.00.00.000Z", "2021-01-01T00.00.00.000Z", "2026-03-01T06.00.00.001Z"):
        pods.write_data(f"given.txt/{version}/given.txt", version)
    pods.run_successfully("versions", "write", **version_text("made"))
    pods.run_successfully("versions", "read_given", "read_both", options=DATASET)
    assert pods.read_data("given_seen.txt") == "2021-01-01T00.00.00.000Z"
    assert pods.read_data("joined.txt") == "made 2021-01-01T00.00.00.000Z"


@pytest.mark.parametrize(
    ("versions", "expected"),
    [
        pytest.param(
            ("2026-02-28T00.00.00.000Z", "2026-03-01T05.59.59.999Z", "2026-03-02T00.00.00.000Z"), 1, id="later"
        ),
        pytest.param(("2026-03-02T00.00.00.000Z", "2026-03-03T00.00.00.000Z"), 0, id="all are later, as in a backfill"),
        pytest.param(("2026-02-28T00.00.00.000Z", "2026-03-01T06.00.00.000Z-0a1b2c3d-002"), 1, id="same time"),
        pytest.param(("2026-03-02T00.00.00.000Z", "v02"), 1, id="a name without a time"),
    ],
)
def test_a_free_input_has_one_version_for_the_whole_run(
    tmp_path: Path, versions: tuple[str, ...], expected: int
) -> None:
    for version in versions:
        (tmp_path / "given.txt" / version).mkdir(parents=True)
        (tmp_path / "given.txt" / version / "given.txt").write_text("x")
    config = {"type": "text.TextDataset", "filepath": str(tmp_path / "given.txt"), "versioned": True}
    loader = {"catalog": {"given": config}, "credentials": {}}
    run = pod.DagRun("dag", "manual__1", "2026-03-01T06:00:00+00:00", 2)
    chosen = pod.choose_versions(SimpleNamespace(config_loader=loader), [], ["given"], [], run)
    assert chosen == {"given": versions[expected]}


def test_a_wrapper_of_the_project_s_own_is_versioned_by_the_run(any_pods: PodLauncher) -> None:
    for run_id, text in (("manual__1", "one"), ("manual__2", "two")):
        any_pods.run_successfully("versions", "write_wrapped", run_id=run_id, **version_text(text))
    any_pods.run_successfully("versions", "read_wrapped", options=("--version-of=wrapped",))
    assert any_pods.read_data("wrapped_seen.txt") == "one"


@pytest.mark.parametrize("dataset", ["sealed", "versioning"])
def test_a_class_that_versions_its_data_by_itself_loads_the_latest_version(pods: PodLauncher, dataset: str) -> None:
    for run_id, text in (("manual__1", "one"), ("manual__2", "two")):
        pods.run_successfully("versions", f"write_{dataset}", run_id=run_id, **version_text(text))
    pods.run_successfully("versions", f"read_{dataset}")
    assert pods.read_data(f"{dataset}_seen.txt") == "two"


@pytest.mark.parametrize(
    ("dataset", "loaded"),
    [
        pytest.param("coded", "coded@two", id="transcoded"),
        pytest.param("cached", "cached", id="cached"),
    ],
)
def test_versions_are_chosen_behind_other_names_and_wrappers(pods: PodLauncher, dataset: str, loaded: str) -> None:
    read = {"options": (f"--version-of={loaded}",)}
    refused = pods.run("versions", f"read_{dataset}", **read)
    assert refused.code == 2
    assert f"'{loaded}'" in refused.refusal
    for run_id, text in (("manual__1", "one"), ("manual__2", "two")):
        pods.run_successfully("versions", f"write_{dataset}", run_id=run_id, **version_text(text))
    pods.run_successfully("versions", f"read_{dataset}", **read)
    assert pods.read_data(f"{dataset}_seen.txt") == "one"
    pods.run_successfully("versions", f"write_{dataset}", f"read_{dataset}", try_number=2, **version_text("one again"))
    assert pods.read_data(f"{dataset}_seen.txt") == "one again"
    pods.run_successfully("versions", f"read_{dataset}", run_id="manual__2", **read)
    assert pods.read_data(f"{dataset}_seen.txt") == "two"


@pytest.mark.parametrize("runner", ["ThreadRunner", "ParallelRunner"])
def test_other_runners_choose_versions(pods: PodLauncher, runner: str) -> None:
    pods.write_data("given.txt/2020-01-01T00.00.00.000Z/given.txt", "given")
    pods.run_successfully("versions", "write", "read", options=(f"--runner={runner}",), **version_text("one"))
    pods.run_successfully("versions", "write", **OTHER_DATASET, **version_text("two"))
    pods.run_successfully("versions", "read", "read_both", options=(*DATASET, f"--runner={runner}"), try_number=2)
    assert pods.read_data("seen.txt") == "one"
    assert pods.read_data("joined.txt") == "one given"
