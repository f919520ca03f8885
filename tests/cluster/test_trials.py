"""One DAG run is one Kedro run, on a real Airflow and cluster: versions, parameters, volumes, stored memory, credentials."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import uuid
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.airflow_harness.harness import Airflow, free_port, parse_time
from tests.support.cluster_demo import kubectl
from tests.support.environments import interpreter
from tests.support.fault_project import project
from tests.support.fault_project.project import CANARY, PARAMETERS, STORED, begins

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.fault_project.project import Run, Trials

pytestmark = pytest.mark.cluster


# --- versions; two runs at once and an adopted pod are in test_faults.py


@begins("retry", {"good_try": 2})
def test_readers_take_what_the_last_try_wrote_in_a_retry_and_after_clearing(begun: Run) -> None:
    begun.succeeds()
    assert begun.tasks() == {"writer": ("success", 2), "read": ("success", 1)}
    assert begun.versions("written") == {1: {"try": 1}, 2: {"try": 2}}
    assert begun.versions("read_back") == {1: {"seen": {"try": 2}}}
    begun.clear("writer", downstream=True)
    begun.succeeds()
    assert begun.tasks() == {"writer": ("success", 3), "read": ("success", 2)}
    assert begun.versions("written")[3] == {"try": 3}
    assert begun.versions("read_back")[2] == {"seen": {"try": 3}}


@begins("retry", {"good_try": 1})
def test_a_version_that_is_not_there_ends_with_2_though_other_runs_have_one(begun: Run, trials: Trials) -> None:
    begun.succeeds()
    (name,) = (file for file in trials.keeper.files("written.json") if begun.mark in file)
    trials.keeper.sh(f"rm -r '{name.rpartition('/')[0]}'; mkdir -p 'written.json/2999-01-01T00.00.00.000Z'")
    trials.keeper.sh("echo '{}' > written.json/2999-01-01T00.00.00.000Z/written.json")
    begun.clear("read")
    begun.fails()
    log = begun.log("read")
    assert "exit_code=2" in log, log
    assert f"no task of DAG run '{begun.run_id}' has saved it; clear the task that saves it" in log, log


@pytest.mark.full
@begins("retry", {"good_try": 10})
def test_try_10_comes_after_try_9(begun: Run) -> None:
    begun.succeeds(seconds=600)
    assert begun.versions("written") == {number: {"try": number} for number in range(1, 11)}
    assert begun.versions("read_back") == {1: {"seen": {"try": 10}}}


# --- parameters

NASTY = [
    "quotes \" and ' and \\",
    "braces { } {{ 7*7 }} {% raw %} {# gone? #} }}",
    "$(HOME) $$ $$(HOME) ${HOME} \\${HOME} ${oc.env:HOME} $HOME",
    "two\nlines\r\n and\ta tab ",
    "ünï 東京 \U0001f986 \u2028",
    "<a href='x'>&amp;</a>",
    "",
    "null",
    "1e3",
]
CONF: dict[str, Any] = {
    "text": ("{{ 7*7 }} $(HOME) é\n" * 3000)[:45_000],
    "nothing": None,
    "items": [*NASTY, None, [], {}, [1, 2.5, True, ["deep", None]]],
    "model.depth": 7,
    "model.names": {"second": {"{{ run_id }}": None, "$(HOME)": ["a", {"b": False}]}},
    # Not offered by the DAG; the first would lead a dataset elsewhere, the second is what another DAG offers.
    "folder": "elsewhere",
    "gate": "redirected",
    "model.untouched": False,
}
GIVEN = {
    **PARAMETERS,
    "text": CONF["text"],
    "nothing": None,
    "items": CONF["items"],
    "model": {"depth": 7, "names": {"first": "a", **CONF["model.names"]}, "untouched": True},
}


@begins("params", CONF)
def test_parameters_arrive_as_they_were_given_and_nothing_else_does(begun: Run, trials: Trials) -> None:
    begun.succeeds()
    assert len(json.dumps(CONF["text"]).encode()) > 50_000
    echoed = begun.versions("here/echoed")
    today = datetime.now(timezone.utc).date().isoformat()
    assert echoed == {1: {**GIVEN, "run_date": today}}
    assert trials.keeper.files("elsewhere") == []


def test_a_run_with_a_logical_date_has_that_day_as_its_date_and_the_parameters_of_the_project(trials: Trials) -> None:
    run = trials.start("trials_params", logical_date=datetime(2026, 3, 1, 23, 30, tzinfo=timezone.utc))
    run.succeeds()
    assert run.versions("here/echoed") == {1: {**PARAMETERS, "run_date": "2026-03-01"}}


@begins("params", {"text": "x" * 60_000, "items": ["y" * 45_000]})
def test_parameters_over_100_kb_are_refused_by_name_before_a_pod_is_made(begun: Run, trials: Trials) -> None:
    begun.fails()
    log = begun.log("echo")
    assert "more than the 100,000 that a pod can get; the largest is 'text'" in log, log
    assert trials.made(begun) == set()


@pytest.mark.full
def test_parameters_arrive_as_they_were_given_on_airflow_2(trials: Trials, tmp_path: Path, kubeconfig: Path) -> None:
    # `DAG.test()` of Airflow 2 renders what is rendered once more; its workers do not.
    conf = {**CONF, "items": [item for item in CONF["items"] if "{%" not in str(item)]}
    dags = tmp_path / "dags"
    dags.mkdir()
    shutil.copy(trials.airflow.dags / "trials_params.py", dags)
    with Airflow(interpreter("KKA_PYTHON_AIRFLOW_2"), tmp_path / "airflow", dags, kubeconfig) as airflow:
        airflow.migrate()
        run = airflow.dag_test("trials_params", conf)
    assert run.state == "success", run.log
    (echoed,) = project.Run(trials, "trials_params", run.run_id).versions("here/echoed").values()
    today = datetime.now(timezone.utc).date().isoformat()
    assert echoed == {**GIVEN, "items": conf["items"], "run_date": today}
    assert trials.keeper.files("elsewhere") == []


# --- volumes


@begins("group")
def test_a_folder_of_another_group_can_be_written_with_that_fs_group_alone(begun: Run, trials: Trials) -> None:
    begun.fails()
    assert begun.tasks() == {"with_group": ("success", 1), "without_group": ("failed", 1)}
    assert "PermissionError" in begun.log("without_group")
    assert trials.keeper.files("grouped") == ["grouped/with.json"]
    assert trials.keeper.sh("stat --format='%u %g' grouped/with.json").split() == ["1000", "2000"]


# --- memory that is stored

TOTAL = {"total": 6, "bytes": [0, 1], "try": 1}


@begins("stored", {"gate": "stored"})
def test_a_run_with_stored_memory_is_mended_and_cleared_and_leaves_nothing_in_the_store(
    begun: Run, trials: Trials
) -> None:
    begun.fails()
    states = {name: state for name, (state, _) in begun.tasks().items()}
    assert states == {"make_parts": "success", "add_parts": "failed", "remove_stored_data": "upstream_failed"}
    store = "between/trials_stored"
    assert [begun.mark in file and file.endswith("/001/parts.pickle") for file in trials.keeper.files(store)] == [True]
    trials.keeper.sh(
        f'for age in 6 8; do mkdir -p {store}/2026-01-0$age/001; touch -d "$age days ago" {store}/2026-01-0$age/001/x.pickle; done;'
        f"chmod -R 0777 {store}"
    )
    trials.open("stored")
    begun.clear()
    begun.succeeds()
    assert trials.keeper.json("total.json") == TOTAL
    # The run's own folder is gone; of those of other runs, that which is older than a week.
    assert trials.keeper.files(store) == [f"{store}/2026-01-06/001/x.pickle"]


@begins("odd")
def test_what_cannot_be_pickled_fails_with_its_name_and_what_to_do(begun: Run) -> None:
    begun.fails()
    assert begun.tasks()["make_odd"] == ("failed", 1)
    log = begun.log("make_odd")
    assert "dataset 'odd' cannot be pickled for another pod" in log, log
    assert "run these nodes in one pod" in log, log


@pytest.fixture(scope="module")
def objects() -> Iterator[tuple[str, Any]]:
    """An S3 server that pods can reach, and a client of it."""
    host = os.environ.get("LAB_HOST_IP")
    if not host:
        pytest.skip("LAB_HOST_IP is not set: it names an address of this machine that pods can reach")
    boto3 = pytest.importorskip("boto3")
    server = pytest.importorskip("moto.server").ThreadedMotoServer(ip_address=host, port=free_port(), verbose=False)
    server.start()
    url = f"http://{host}:{server._port}"
    client = boto3.client(
        "s3", endpoint_url=url, region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key=CANARY
    )
    client.create_bucket(Bucket="trials")
    yield url, client
    server.stop()


@pytest.fixture
def secret() -> Iterator[str]:
    """The name of a Secret that a test makes, and that is removed."""
    name = f"trials-{uuid.uuid4().hex[:8]}"
    yield name
    kubectl("delete", "secret", name, "--ignore-not-found")


def test_memory_is_stored_in_s3_with_the_keys_of_a_secret(
    trials: Trials, objects: tuple[str, Any], secret: str
) -> None:
    url, client = objects
    literals = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": CANARY}
    kubectl("create", "secret", "generic", secret, *(f"--from-literal={name}={it}" for name, it in literals.items()))
    changes = {
        **STORED,
        "data": {"memory": "store", "store": {"path": "s3://trials/between"}},
        "dags": {"s3": STORED["dags"]["stored"]},
        "tasks": {
            "default": {
                "env": [
                    {"name": "AWS_ENDPOINT_URL", "value": url},
                    {"name": "AWS_DEFAULT_REGION", "value": "us-east-1"},
                ],
                "envFrom": [{"secretRef": {"name": secret}}],
            }
        },
    }
    (file,) = trials.add(changes).values()
    gate = uuid.uuid4().hex[:8]
    run = trials.start("trials_s3", {"gate": gate})
    run.fails()
    keys = [found["Key"] for found in client.list_objects_v2(Bucket="trials")["Contents"]]
    assert [run.mark in key and key.endswith("/001/parts.pickle") for key in keys] == [True], keys
    trials.keeper.sh("rm -f total.json")
    trials.open(gate)
    run.clear()
    run.succeeds()
    assert trials.keeper.json("total.json") == TOTAL
    assert client.list_objects_v2(Bucket="trials").get("Contents", []) == []
    assert CANARY not in file.read_text() + run.log("make_parts") + run.log("add_parts")


# --- credentials


@pytest.mark.parametrize("env", ["prod", pytest.param(None, marks=pytest.mark.full)])
def test_credentials_come_from_a_secret_and_are_seen_nowhere(
    trials: Trials, secret: str, env: str | None, tmp_path: Path
) -> None:
    """The one without an environment has its configuration in `config`."""
    kubectl("create", "secret", "generic", secret, f"--from-literal=login.yml=login: {{password: {CANARY}}}")
    there, image = trials.project, trials.image
    if env is None:
        there = project.write_project(tmp_path, moved=True)
        image = project.image_of(there, "KKA_TRIALS_MOVED_IMAGE", "trials-moved:cluster-test")
    changes = {"credentials_secret": {"name": secret, "key": "login.yml"}, "dags": {"safe": {"pipeline": "secret"}}}
    trials.keeper.sh("touch login.txt; rm -f proof.json")
    ((dag_id, file),) = trials.add(changes, env=env, project=there, image=image).items()
    run = trials.start(dag_id)
    run.succeeds()
    digest = hashlib.sha256(CANARY.encode()).hexdigest()
    assert trials.keeper.json("proof.json") == {"digest": digest, "uid": 1000, "writable": []}
    path = f"/dags/{dag_id}/dagRuns/{run.run_id}/taskInstances/ask"
    rendered = json.dumps(trials.airflow.api("GET", path))
    assert "/app/.k8s-airflow/pod.py" in rendered
    assert CANARY not in rendered + file.read_text() + run.log("ask")
    if shutil.which("podman"):
        assert in_image(image, {CANARY, CARRIED}) == {CARRIED}


CARRIED = "the crow has eaten it"  # as nodes.py has it


def in_image(image: str, texts: set[str]) -> set[str]:
    """Those of the texts that are anywhere in the layers of an image."""
    found: set[str] = set()
    with subprocess.Popen(["podman", "save", "--format=docker-archive", image], stdout=subprocess.PIPE) as saved:
        assert saved.stdout
        tail = b""
        while block := saved.stdout.read(2**20):
            tail = tail[-100:] + block
            found |= {text for text in texts if text.encode() in tail}
    assert saved.returncode == 0
    return found


# --- many tasks

# The provider's intervals, where ours are others.
THEIRS = {
    '"poll_interval": 1.5': '"poll_interval": 2',
    '"startup_check_interval_seconds": 2': '"startup_check_interval_seconds": 5',
}


def with_theirs(text: str) -> str:
    """The text of a DAG file with the provider's intervals."""
    for ours, theirs in THEIRS.items():
        assert ours in text
        text = text.replace(ours, theirs)
    return text


@pytest.mark.full
@pytest.mark.parametrize("whose", ["ours", "theirs"])
@pytest.mark.parametrize(("pipeline", "at_once"), [("line", 1), ("fan", 60)])
def test_no_pod_of_many_tasks_is_made_twice_or_left(
    trials: Trials, pipeline: str, at_once: int, whose: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """It tells what a task lasts beyond its pod, with our intervals and the provider's: one by one, and 60 at once."""
    trials.quiet()
    dag = {"pipeline": pipeline, "max_active_tasks": at_once}
    # As many pods work at once as a node has fifths of a core; the others wait, as they do in a full cluster.
    resources = {"requests": {"cpu": "200m", "memory": "64Mi"}}
    changes = {"dags": {f"{pipeline}_{whose}": dag}, "tasks": {"default": {"resources": resources}}}
    trials.add(changes, edit=with_theirs if whose == "theirs" else str)
    run = trials.start(f"trials_{pipeline}_{whose}")
    run.succeeds(seconds=1200)
    states = run.tasks()
    assert set(states.values()) == {("success", 1)}
    assert {len(trials.made(run, task)) for task in states} == {1}
    assert {len(run.starts(task)) for task in states} == {1}
    with capsys.disabled():
        print(f"\n{len(states)} tasks, {at_once} at once, intervals {whose}: {beyond(trials, run)}")  # noqa: T201


def beyond(trials: Trials, run: Run) -> str:
    """What tasks last beyond their pods, in seconds: mean and largest."""
    start, polling, end, whole = [], [], [], []
    for (run_id, task, _), phases in trials.seen.found.items():
        if run_id != run.run_id:
            continue
        log = run.log(task).splitlines()
        times = [parse_time(line.split()[0]).timestamp() for line in log if line[:2] == "20"]
        fired = next(parse_time(line.split()[0]).timestamp() for line in log if "Trigger fired event" in line)
        made, done = min(phases.values()), phases["Succeeded"]
        start.append(made - min(times))
        polling.append(fired - done)
        end.append(max(times) - fired)
        whole.append(max(times) - min(times) - (done - made))
    parts = {"before the pod": start, "pod's end seen": polling, "after": end, "beyond the pod": whole}
    return "  ".join(f"{name} {sum(them) / len(them):.1f} ({max(them):.1f})" for name, them in parts.items())
