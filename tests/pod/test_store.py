"""Memory that goes from pod to pod through a folder or S3."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.pod_project.project import CANARY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.pod.conftest import PodLauncher

PASSED_DATASET = ("--stored=passed",)
BUCKET = "bucket"
REMOVE = ("--remove-stored",)


@dataclass(frozen=True)
class PodStore:
    """A place that pods can store in."""

    url: str
    env: dict[str, str]
    client: Any = None

    def options(self, *stored: str, keep: int = 3600) -> tuple[str, ...]:
        """What a DAG says of it."""
        return (f"--store={self.url}", f"--keep={keep}", *(f"--stored={name}" for name in stored))

    def list_files(self) -> list[str]:
        """What is in it: `<DAG>/<run>/<try>/<dataset>.pickle`."""
        if self.client is None:
            folder = Path(self.url)
            return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
        listed = self.client.list_objects_v2(Bucket=BUCKET).get("Contents", [])
        return sorted(one["Key"].removeprefix("in/side/") for one in listed)

    def put_foreign_file(self, name: str) -> None:
        """A file of somebody else."""
        if self.client is None:
            path = Path(self.url, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"")
        else:
            self.client.put_object(Bucket=BUCKET, Key=f"in/side/{name}", Body=b"")


@pytest.fixture
def folder(tmp_path: Path) -> PodStore:
    """A folder that is not there yet, as on a volume that pods share."""
    return PodStore(str(tmp_path / "volume" / "in side"), {})


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """The address of an S3."""
    server = pytest.importorskip("moto.server", reason="needs moto, which only the newest environment has")
    running = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    yield f"http://{host}:{port}"
    running.stop()


@pytest.fixture
def bucket(s3: str) -> Iterator[PodStore]:
    """A bucket, and what a Secret of a cluster tells pods to get at it."""
    boto3 = pytest.importorskip("boto3")
    client = boto3.client(
        "s3", endpoint_url=s3, aws_access_key_id="id", aws_secret_access_key=CANARY, region_name="us-east-1"
    )
    client.create_bucket(Bucket=BUCKET)
    env = {
        "AWS_ENDPOINT_URL": s3,
        "AWS_ACCESS_KEY_ID": "id",
        "AWS_SECRET_ACCESS_KEY": CANARY,
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    yield PodStore(f"s3://{BUCKET}/in/side", env, client)
    for one in client.list_objects_v2(Bucket=BUCKET).get("Contents", []):
        client.delete_object(Bucket=BUCKET, Key=one["Key"])
    client.delete_bucket(Bucket=BUCKET)


@pytest.fixture(params=["folder", "bucket"])
def store(request: pytest.FixtureRequest) -> PodStore:
    """Each of them."""
    found: PodStore = request.getfixturevalue(request.param)
    return found


def marked_text(text: str) -> dict[str, Any]:
    """What `make` stores."""
    return {"params": {"mark": text}}


def test_dataset_is_passed_in_its_latest_try_and_removed_at_the_end(pods: PodLauncher, store: PodStore) -> None:
    pods = pods.with_changes(env=store.env, options=store.options("passed"))
    missing = pods.run("store", "take")
    assert missing.code == 2
    assert "'passed'" in missing.refusal

    for number in (9, 10):
        pods.run_successfully("store", "make", try_number=number, **marked_text(f"try {number}"))
    assert [name.rsplit("/", 2)[1:] for name in store.list_files()] == [
        ["009", "passed.pickle"],
        ["010", "passed.pickle"],
    ]
    pods.run_successfully("store", "take")
    assert pods.read_data("taken.txt") == "try 10"

    other = pods.run("store", "take", run_id="manual__2")
    assert other.code == 2
    assert "'passed'" in other.refusal

    remove = pods.with_changes(options=()).run_successfully("store", options=(*store.options(), *REMOVE))
    assert store.list_files() == []
    gone = pods.run("store", "take")
    assert gone.code == 2
    assert "'passed'" in gone.refusal
    assert CANARY not in missing.output + remove.output + gone.output


def test_what_cannot_be_pickled_fails_by_name_and_leaves_nothing(pods: PodLauncher, store: PodStore) -> None:
    pods = pods.with_changes(env=store.env, options=store.options("lock"))
    ended = pods.run("store", "make_lock")
    assert ended.code == 1
    assert "'make_lock'" in ended.last_error_line
    assert "'lock'" in ended.last_error_line
    assert "run these nodes in one pod" in ended.last_error_line
    assert store.list_files() == []
    assert CANARY not in ended.output


def test_removing_spares_younger_runs_and_other_dags_and_takes_older_leftovers(
    pods: PodLauncher, store: PodStore
) -> None:
    pods = pods.with_changes(env=store.env)
    pods.run_successfully("store", "make", options=store.options("passed"))
    left = [
        "dag/2020-01-01T00.00.00.000Z-00000000/001/passed.pickle",
        "dag/2020-01-01T00.00.00.000Z-00000000/002/x.pickle",
    ]
    others = ["another dag/2020-01-01T00.00.00.000Z-00000000/001/passed.pickle"]
    for name in (*left, *others):
        store.put_foreign_file(name)
    time.sleep(1)  # S3 tells whole seconds
    pods.run_successfully("store", options=(*store.options(keep=3600), *REMOVE))
    assert store.list_files() == sorted((*left, *others))
    pods.run_successfully("store", options=(*store.options(keep=0), *REMOVE))
    assert store.list_files() == others
    pods.run_successfully("store", options=(*store.options(), *REMOVE))  # nothing to remove is no error


def test_a_pod_that_stores_removes_leftovers_by_their_youngest_file_and_never_its_own_run(
    pods: PodLauncher, folder: PodStore
) -> None:
    pods.run_successfully("store", "make", options=folder.options("passed"))
    (own,) = folder.list_files()
    mixed = [
        "dag/2020-01-01T00.00.00.000Z-00000000/001/old.pickle",
        "dag/2020-01-01T00.00.00.000Z-00000000/002/new.pickle",
    ]
    old = "dag/2021-01-01T00.00.00.000Z-00000000/001/old.pickle"
    for name in (*mixed, old):
        folder.put_foreign_file(name)
    for name in (mixed[0], old, own):
        os.utime(Path(folder.url, name), (0, 0))
    pods.run_successfully("store", "take", options=folder.options("passed"))
    assert folder.list_files() == sorted((own, *mixed))


def test_tries_at_the_same_time_leave_whole_files_only(pods: PodLauncher, folder: PodStore) -> None:
    pods = pods.with_changes(options=folder.options("passed"))
    started = [pods.start("store", "make", try_number=number, **marked_text(f"try {number}")) for number in (1, 2, 2)]
    assert [one.wait_for_end().code for one in started] == [0, 0, 0]
    assert [name.rsplit("/", 2)[1:] for name in folder.list_files()] == [
        ["001", "passed.pickle"],
        ["002", "passed.pickle"],
    ]
    pods.run_successfully("store", "take")
    assert pods.read_data("taken.txt") == "try 2"


def test_a_part_that_a_killed_pod_left_is_not_read(pods: PodLauncher, folder: PodStore) -> None:
    pods = pods.with_changes(options=folder.options("passed"))
    pods.run_successfully("store", "make", **marked_text("whole"))
    (file,) = folder.list_files()
    folder.put_foreign_file(f"{file.replace('/001/', '/002/')}.0123.part")
    pods.run_successfully("store", "take")
    assert pods.read_data("taken.txt") == "whole"


def test_any_name_of_a_dataset_is_a_name_of_a_file(any_pods: PodLauncher, folder: PodStore) -> None:
    odd, long = "odd name: ÄÖ at % ' {{ x }} 漢字", "long_" * 60
    pods = any_pods.with_changes(options=folder.options(odd, long, f"{long}x"))
    for number, name in enumerate(("make_odd", "make_long", "make_longer")):
        pods.run_successfully("store", name, **marked_text(f"{number}"))
    assert len(folder.list_files()) == 3
    pods.run_successfully("store", "take_odd")
    assert pods.read_data("odd_taken.txt") == "0 1 2"


def test_store_overrides_catalog_entries_and_patterns(any_pods: PodLauncher, folder: PodStore) -> None:
    stored = folder.options("explicit", "caught_by_pattern")
    any_pods.run_successfully("store", "make_explicit", "make_caught", options=stored, **marked_text("here"))
    any_pods.run_successfully("store", "take_listed", options=stored)
    assert any_pods.read_data("listed_taken.txt") == "here here"
    assert not (any_pods.project / "data" / "caught.txt").exists()
    assert len(folder.list_files()) == 2


@pytest.mark.parametrize(
    ("runner", "context"), [("ThreadRunner", "fork"), ("ParallelRunner", "fork"), ("ParallelRunner", "spawn")]
)
def test_other_runners_store_datasets(pods: PodLauncher, folder: PodStore, runner: str, context: str) -> None:
    pods = pods.with_changes(
        options=(*folder.options("passed", "explicit"), f"--runner={runner}"), env={"KEDRO_MP_CONTEXT": context}
    )
    pods.run_successfully("store", "make", "make_explicit", **marked_text("here"))
    pods.run_successfully("store", "make", "take", try_number=2, **marked_text("in one pod"))
    assert pods.read_data("taken.txt") == "in one pod"
    pods.run_successfully("store", "take")
    assert len(folder.list_files()) == 3
