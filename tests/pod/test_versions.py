"""One DAG run is one Kedro run: what is saved under which version, and which version is loaded."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.pod.conftest import Pods

KEPT = ("--version-of=kept",)
OTHER: dict[str, Any] = {"run_id": "manual__2"}


def mark(text: str) -> dict[str, Any]:
    """What the writer of a version writes."""
    return {"params": {"mark": text}}


def test_a_version_is_the_time_of_the_run_the_run_and_the_try(any_pods: Pods) -> None:
    run: dict[str, Any] = {
        "run_id": "scheduled__2026-03-01T06:00:00+02:00",
        "run_after": "2026-03-01T06:00:00.123456+02:00",
    }
    any_pods.done("versions", "write", **run, **mark("a"))
    (version,) = any_pods.versions("kept.txt")
    assert re.fullmatch(r"2026-03-01T04\.00\.00\.123Z-[0-9a-f]{8}-001", version)
    any_pods.done("versions", "read", options=KEPT, **run)
    assert any_pods.data("seen.txt") == "a"


def test_versions_of_later_runs_and_tries_come_later_in_text_order(pods: Pods) -> None:
    order: list[str] = []
    for run_after, try_number in (
        ("2026-01-02T01:30:00+02:00", 1),  # the day before, in UTC
        ("2026-01-02T00:30:00+00:00", 1),
        ("2026-01-02T00:30:00+00:00", 2),
        ("2026-01-02T00:30:00+00:00", 10),
        ("2026-01-02T00:30:00.001000+00:00", 1),
    ):
        pods.done("versions", "write", run_after=run_after, try_number=try_number, **mark("a"))
        (new,) = {*pods.versions("kept.txt")} - {*order}
        order.append(new)
    assert order == sorted(order)


def test_try_10_is_read_after_try_9_and_the_reader_s_own_try_does_not_matter(any_pods: Pods) -> None:
    for number in (1, 9, 10):
        any_pods.done("versions", "write", try_number=number, **mark(f"try {number}"))
    for number in (1, 11):
        any_pods.done("versions", "read", try_number=number, options=KEPT)
        assert any_pods.data("seen.txt") == "try 10"


def test_a_task_cleared_after_the_run_has_finished_is_read_anew(pods: Pods) -> None:
    # An adopted pod writes as the try that started it, although Airflow counts on: the reader is try 2, the writer 1.
    pods.done("versions", "write", **mark("first"))
    pods.done("versions", "read", try_number=2, options=KEPT)
    assert pods.data("seen.txt") == "first"
    pods.done("versions", "write", try_number=2, **mark("cleared"))
    pods.done("versions", "read", try_number=3, options=KEPT)
    assert pods.data("seen.txt") == "cleared"
    assert len(pods.versions("kept.txt")) == 2


def test_overlapping_runs_never_mix_whether_writer_and_reader_share_a_pod_or_not(any_pods: Pods) -> None:
    any_pods.done("versions", "write", **mark("one"))
    any_pods.done("versions", "write", **OTHER, **mark("two"))
    any_pods.done("versions", "read", options=KEPT)
    assert any_pods.data("seen.txt") == "one"
    any_pods.done("versions", "write", "read", try_number=2, **mark("one again"))
    assert any_pods.data("seen.txt") == "one again"
    any_pods.done("versions", "read", options=KEPT, **OTHER)
    assert any_pods.data("seen.txt") == "two"
    assert len(any_pods.versions("kept.txt")) == 3


def test_a_pod_that_writes_and_reads_takes_its_own_though_a_greater_version_is_there(pods: Pods) -> None:
    pods.put("kept.txt/9999-12-31T00.00.00.000Z/kept.txt", "of another run")
    pods.done("versions", "write", try_number=2, **mark("greater try"))
    pods.done("versions", "write", "read", try_number=1, **mark("own"))
    assert pods.data("seen.txt") == "own"


def test_hooks_of_a_pod_that_only_writes_are_told_its_own_version(any_pods: Pods, tmp_path: Path) -> None:
    any_pods.done("versions", "write", run_after="2027-01-01T00:00:00+00:00", **OTHER, **mark("of a later run"))
    any_pods.done("versions", "write", env={"HOOK_LOG": str(tmp_path / "hooks.log")}, **mark("own"))
    own, _ = any_pods.versions("kept.txt")
    calls = [json.loads(line) for line in (tmp_path / "hooks.log").read_text(encoding="utf-8").splitlines()]
    (told,) = [call["load_versions"] for call in calls if call["spec"] == "after_catalog_created" and "who" in call][:1]
    assert told == {"kept": own}


def test_what_no_task_of_the_run_wrote_is_refused_though_others_wrote_it(any_pods: Pods) -> None:
    any_pods.done("versions", "write", **mark("one"))
    # An attempt that died between making the folder and writing the file.
    found = any_pods.project / "data" / "kept.txt" / any_pods.versions("kept.txt")[0].replace("-001", "-002")
    found.mkdir()
    refused = any_pods.run("versions", "read", options=KEPT, **OTHER)
    assert refused.code == 2
    assert "'kept'" in refused.why
    assert OTHER["run_id"] in refused.why
    any_pods.done("versions", "read", options=KEPT)
    assert any_pods.data("seen.txt") == "one"


def test_what_nobody_in_the_dag_makes_is_loaded_in_its_latest_version(pods: Pods) -> None:
    for version in ("2020-01-01T00.00.00.000Z", "2021-01-01T00.00.00.000Z"):
        pods.put(f"given.txt/{version}/given.txt", version)
    pods.done("versions", "write", **mark("made"))
    pods.done("versions", "read_given", "read_both", options=KEPT)
    assert pods.data("given_seen.txt") == "2021-01-01T00.00.00.000Z"
    assert pods.data("joined.txt") == "made 2021-01-01T00.00.00.000Z"


@pytest.mark.parametrize(
    ("dataset", "loaded"),
    [pytest.param("coded", "coded@two", id="transcoded"), pytest.param("cached", "cached", id="cached")],
)
def test_versions_are_chosen_behind_other_names_and_wrappers(pods: Pods, dataset: str, loaded: str) -> None:
    read = {"options": (f"--version-of={loaded}",)}
    refused = pods.run("versions", f"read_{dataset}", **read)
    assert refused.code == 2
    assert f"'{loaded}'" in refused.why
    for run_id, text in (("manual__1", "one"), ("manual__2", "two")):
        pods.done("versions", f"write_{dataset}", run_id=run_id, **mark(text))
    pods.done("versions", f"read_{dataset}", **read)
    assert pods.data(f"{dataset}_seen.txt") == "one"
    pods.done("versions", f"write_{dataset}", f"read_{dataset}", try_number=2, **mark("one again"))
    assert pods.data(f"{dataset}_seen.txt") == "one again"
    pods.done("versions", f"read_{dataset}", run_id="manual__2", **read)
    assert pods.data(f"{dataset}_seen.txt") == "two"


@pytest.mark.parametrize("runner", ["ThreadRunner", "ParallelRunner"])
def test_other_runners_choose_versions_likewise(pods: Pods, runner: str) -> None:
    pods.put("given.txt/2020-01-01T00.00.00.000Z/given.txt", "given")
    pods.done("versions", "write", "read", options=(f"--runner={runner}",), **mark("one"))
    pods.done("versions", "write", **OTHER, **mark("two"))
    pods.done("versions", "read", "read_both", options=(*KEPT, f"--runner={runner}"), try_number=2)
    assert pods.data("seen.txt") == "one"
    assert pods.data("joined.txt") == "one given"
