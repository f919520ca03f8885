"""The program of the CronJob deletes only pods that finished long ago, page by page."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any
from urllib.error import HTTPError
from urllib.parse import parse_qs, urlsplit

import pytest

from kedro_k8s_airflow.kubernetes import cleanup_program

Json = dict[str, Any]
NOW = datetime.now(timezone.utc)
DAY = 24 * 3600


def make_pod(name: str, hours: float, **status: Any) -> Json:
    """Return a pod that was made that many hours ago."""
    return {"metadata": {"name": name, "uid": f"uid-{name}", "creationTimestamp": stamp(hours)}, "status": status}


def stamp(hours: float) -> str:
    return (NOW - timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%SZ")


def ended(hours: float) -> list[Json]:
    return [{"name": "base", "state": {"terminated": {"finishedAt": stamp(hours)}}}]


class FakeApi:
    """Answers with two pages of pods, and keeps the calls."""

    def __init__(self, *pods: Json, refuse: tuple[int, ...] = ()) -> None:
        self.pods, self.refuse = pods, list(refuse)
        self.deleted: list[tuple[str, Json | None]] = []
        self.queries: list[dict[str, list[str]]] = []

    def call(self, method: str, path: str, body: Json | None = None) -> Json:
        if method == "DELETE":
            if self.refuse:
                raise HTTPError(path, self.refuse.pop(), "refused", None, None)  # type: ignore[arg-type]
            self.deleted.append((path, body))
            return {}
        query = parse_qs(urlsplit(path).query)
        self.queries.append(query)
        first = "continue" not in query
        return {"items": self.pods[:1] if first else self.pods[1:], "metadata": {"continue": "more"} if first else {}}


def clean(api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Run the program and return the names of the deleted pods."""
    monkeypatch.setattr(cleanup_program, "call_api", api.call)
    cleanup_program.delete_finished_pods("jobs", "a=b", DAY)
    return [path.rpartition("/")[2] for path, _ in api.deleted]


def test_pods_that_ended_a_day_ago_are_deleted_on_every_page(monkeypatch: pytest.MonkeyPatch) -> None:
    api = FakeApi(
        make_pod("old", 50, containerStatuses=ended(25)),
        make_pod("late", 50, containerStatuses=ended(23)),
        make_pod("evicted", 30, conditions=[{"lastTransitionTime": stamp(29)}]),
        make_pod("just-evicted", 30, conditions=[{"lastTransitionTime": stamp(1)}]),
        make_pod("without-status", 25),
    )
    assert clean(api, monkeypatch) == ["old", "evicted", "without-status"]
    assert api.deleted[0] == ("/api/v1/namespaces/jobs/pods/old", {"preconditions": {"uid": "uid-old"}})
    assert api.queries[0]["labelSelector"] == ["a=b"]
    assert set(api.queries[0]["fieldSelector"][0].split(",")) == {
        "status.phase!=Pending",
        "status.phase!=Running",
        "status.phase!=Unknown",
    }


def test_a_pod_that_is_being_deleted_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    pod = make_pod("old", 50, containerStatuses=ended(25))
    pod["metadata"]["deletionTimestamp"] = stamp(1)
    assert clean(FakeApi(pod), monkeypatch) == []


@pytest.mark.parametrize("code", cleanup_program.GONE_OR_REPLACED)
def test_a_pod_that_is_gone_meanwhile_does_not_stop_it(code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    assert clean(FakeApi(make_pod("a", 50), make_pod("b", 50), refuse=(code,)), monkeypatch) == ["b"]


def test_a_missing_right_ends_it_with_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(HTTPError):
        clean(FakeApi(make_pod("a", 50), refuse=(403,)), monkeypatch)
