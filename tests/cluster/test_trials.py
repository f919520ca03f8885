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

from tests.support.airflow_harness.harness import Airflow, find_free_port, parse_time
from tests.support.cluster_demo import run_kubectl
from tests.support.environments import find_interpreter
from tests.support.fault_project import project
from tests.support.fault_project.project import CANARY, PARAMETERS, STORED, starts_early_run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.fault_project.project import DagRun, FaultEnvironment

pytestmark = pytest.mark.cluster


# --- versions; two runs at once and an adopted pod are in test_faults.py


@starts_early_run("retry", {"good_try": 2})
def test_readers_load_the_last_try_after_retry_and_clearing(early_run: DagRun) -> None:
    early_run.assert_succeeds()
    assert early_run.task_states() == {"writer": ("success", 2), "read": ("success", 1)}
    assert early_run.written_versions("written") == {1: {"try": 1}, 2: {"try": 2}}
    assert early_run.written_versions("read_back") == {1: {"seen": {"try": 2}}}
    early_run.clear("writer", downstream=True)
    early_run.assert_succeeds()
    assert early_run.task_states() == {"writer": ("success", 3), "read": ("success", 2)}
    assert early_run.written_versions("written")[3] == {"try": 3}
    assert early_run.written_versions("read_back")[2] == {"seen": {"try": 3}}


@starts_early_run("retry", {"good_try": 1})
def test_missing_version_exits_with_2_even_if_other_runs_have_one(
    early_run: DagRun, fault_environment: FaultEnvironment
) -> None:
    early_run.assert_succeeds()
    (name,) = (file for file in fault_environment.claim_pod.list_files("written.json") if early_run.run_hash in file)
    fault_environment.claim_pod.run_shell(
        f"rm -r '{name.rpartition('/')[0]}'; mkdir -p 'written.json/2999-01-01T00.00.00.000Z'"
    )
    fault_environment.claim_pod.run_shell("echo '{}' > written.json/2999-01-01T00.00.00.000Z/written.json")
    early_run.clear("read")
    early_run.assert_fails()
    log = early_run.read_log("read")
    assert "exit_code=2" in log, log
    assert f"no task of DAG run '{early_run.run_id}' has saved it; clear the task that saves it" in log, log


@pytest.mark.full
@starts_early_run("retry", {"good_try": 10})
def test_try_10_comes_after_try_9(early_run: DagRun) -> None:
    early_run.assert_succeeds(seconds=600)
    assert early_run.written_versions("written") == {number: {"try": number} for number in range(1, 11)}
    assert early_run.written_versions("read_back") == {1: {"seen": {"try": 10}}}


# --- parameters

HARD_TEXT = [
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
    "items": [*HARD_TEXT, None, [], {}, [1, 2.5, True, ["deep", None]]],
    "model.depth": 7,
    "model.names": {"second": {"{{ run_id }}": None, "$(HOME)": ["a", {"b": False}]}},
    # Not offered by the DAG; the first would lead a dataset elsewhere, the second is what another DAG offers.
    "folder": "elsewhere",
    "gate": "redirected",
    "model.untouched": False,
}
EXPECTED_PARAMS = {
    **PARAMETERS,
    "text": CONF["text"],
    "nothing": None,
    "items": CONF["items"],
    "model": {"depth": 7, "names": CONF["model.names"], "untouched": True},
}


@starts_early_run("params", CONF)
def test_parameters_reach_pods_unchanged(early_run: DagRun, fault_environment: FaultEnvironment) -> None:
    early_run.assert_succeeds()
    assert len(json.dumps(CONF["text"]).encode()) > 50_000
    echoed = early_run.written_versions("here/echoed")
    today = datetime.now(timezone.utc).date().isoformat()
    assert echoed == {1: {**EXPECTED_PARAMS, "run_date": today}}
    assert fault_environment.claim_pod.list_files("elsewhere") == []


def test_a_run_with_a_logical_date_has_that_day_as_its_date_and_the_parameters_of_the_project(
    fault_environment: FaultEnvironment,
) -> None:
    run = fault_environment.start_run("trials_params", logical_date=datetime(2026, 3, 1, 23, 30, tzinfo=timezone.utc))
    run.assert_succeeds()
    assert run.written_versions("here/echoed") == {1: {**PARAMETERS, "run_date": "2026-03-01"}}


@starts_early_run("params", {"text": "x" * 60_000, "items": ["y" * 45_000]})
def test_parameters_over_100_kb_are_refused_by_name_before_a_pod_is_made(
    early_run: DagRun, fault_environment: FaultEnvironment
) -> None:
    early_run.assert_fails()
    log = early_run.read_log("echo")
    assert "more than the 100,000 that a pod can get; the largest is 'text'" in log, log
    assert fault_environment.pod_names(early_run) == set()


@pytest.mark.full
def test_parameters_reach_pods_unchanged_on_airflow_2(
    fault_environment: FaultEnvironment, tmp_path: Path, kubeconfig: Path
) -> None:
    # `DAG.test()` of Airflow 2 renders what is rendered once more; its workers do not.
    conf = {**CONF, "items": [item for item in CONF["items"] if "{%" not in str(item)]}
    dags = tmp_path / "dags"
    dags.mkdir()
    shutil.copy(fault_environment.airflow.dags / "trials_params.py", dags)
    with Airflow(find_interpreter("KKA_PYTHON_AIRFLOW_2"), tmp_path / "airflow", dags, kubeconfig) as airflow:
        airflow.migrate()
        run = airflow.run_dag_test("trials_params", conf)
    assert run.state == "success", run.log
    (echoed,) = project.DagRun(fault_environment, "trials_params", run.run_id).written_versions("here/echoed").values()
    today = datetime.now(timezone.utc).date().isoformat()
    assert echoed == {**EXPECTED_PARAMS, "items": conf["items"], "run_date": today}
    assert fault_environment.claim_pod.list_files("elsewhere") == []


# --- volumes


@starts_early_run("group")
def test_a_folder_of_another_group_can_be_written_with_that_fs_group_alone(
    early_run: DagRun, fault_environment: FaultEnvironment
) -> None:
    early_run.assert_fails()
    assert early_run.task_states() == {"with_group": ("success", 1), "without_group": ("failed", 1)}
    assert "PermissionError" in early_run.read_log("without_group")
    assert fault_environment.claim_pod.list_files("grouped") == ["grouped/with.json"]
    assert fault_environment.claim_pod.run_shell("stat --format='%u %g' grouped/with.json").split() == ["1000", "2000"]


# --- memory that is stored

TOTAL = {"total": 6, "bytes": [0, 1], "try": 1}


@starts_early_run("stored", {"gate": "stored"})
def test_store_run_recovers_after_clearing_and_empties_the_store(
    early_run: DagRun, fault_environment: FaultEnvironment
) -> None:
    early_run.assert_fails()
    states = {name: state for name, (state, _) in early_run.task_states().items()}
    assert states == {"make_parts": "success", "add_parts": "failed", "remove_stored_data": "upstream_failed"}
    store = "between/trials_stored"
    assert [
        early_run.run_hash in file and file.endswith("/001/parts.pickle")
        for file in fault_environment.claim_pod.list_files(store)
    ] == [True]
    fault_environment.claim_pod.run_shell(
        f'for age in 6 8; do mkdir -p {store}/2026-01-0$age/001; touch -d "$age days ago" {store}/2026-01-0$age/001/x.pickle; done;'
        f"chmod -R 0777 {store}"
    )
    fault_environment.open_gate("stored")
    early_run.clear()
    early_run.assert_succeeds()
    assert fault_environment.claim_pod.read_json("total.json") == TOTAL
    # The run's own folder is gone; of those of other runs, that which is older than a week.
    assert fault_environment.claim_pod.list_files(store) == [f"{store}/2026-01-06/001/x.pickle"]


@starts_early_run("odd")
def test_unpicklable_dataset_fails_with_its_name_and_a_fix(early_run: DagRun) -> None:
    early_run.assert_fails()
    assert early_run.task_states()["make_odd"] == ("failed", 1)
    log = early_run.read_log("make_odd")
    assert "dataset 'odd' cannot be pickled for another pod" in log, log
    assert "run these nodes in one pod" in log, log


@pytest.fixture(scope="module")
def object_store() -> Iterator[tuple[str, Any]]:
    """An S3 server that pods can reach, and a client of it."""
    host = os.environ.get("LAB_HOST_IP")
    if not host:
        pytest.skip("LAB_HOST_IP is not set: it names an address of this machine that pods can reach")
    boto3 = pytest.importorskip("boto3")
    server = pytest.importorskip("moto.server").ThreadedMotoServer(
        ip_address=host, port=find_free_port(), verbose=False
    )
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
    run_kubectl("delete", "secret", name, "--ignore-not-found")


def test_memory_is_stored_in_s3_with_the_keys_of_a_secret(
    fault_environment: FaultEnvironment, object_store: tuple[str, Any], secret: str
) -> None:
    url, client = object_store
    literals = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": CANARY}
    run_kubectl(
        "create", "secret", "generic", secret, *(f"--from-literal={name}={it}" for name, it in literals.items())
    )
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
    (file,) = fault_environment.add_dags(changes).values()
    gate = uuid.uuid4().hex[:8]
    run = fault_environment.start_run("trials_s3", {"gate": gate})
    run.assert_fails()
    keys = [found["Key"] for found in client.list_objects_v2(Bucket="trials")["Contents"]]
    assert [run.run_hash in key and key.endswith("/001/parts.pickle") for key in keys] == [True], keys
    fault_environment.claim_pod.run_shell("rm -f total.json")
    fault_environment.open_gate(gate)
    run.clear()
    run.assert_succeeds()
    assert fault_environment.claim_pod.read_json("total.json") == TOTAL
    assert client.list_objects_v2(Bucket="trials").get("Contents", []) == []
    assert CANARY not in file.read_text() + run.read_log("make_parts") + run.read_log("add_parts")


# --- credentials


@pytest.mark.parametrize("env", ["prod", pytest.param(None, marks=pytest.mark.full)])
def test_credentials_come_from_a_secret_and_appear_nowhere(
    fault_environment: FaultEnvironment, secret: str, env: str | None, tmp_path: Path
) -> None:
    """The one without an environment has its configuration in `config`."""
    run_kubectl("create", "secret", "generic", secret, f"--from-literal=login.yml=login: {{password: {CANARY}}}")
    there, image = fault_environment.project, fault_environment.image
    if env is None:
        there = project.write_project(tmp_path, moved=True)
        image = project.provide_image(there, "KKA_TRIALS_MOVED_IMAGE", "trials-moved:cluster-test")
    changes = {"credentials_secret": {"name": secret, "key": "login.yml"}, "dags": {"safe": {"pipeline": "secret"}}}
    fault_environment.claim_pod.run_shell("touch login.txt; rm -f proof.json")
    ((dag_id, file),) = fault_environment.add_dags(changes, env=env, project=there, image=image).items()
    run = fault_environment.start_run(dag_id)
    run.assert_succeeds()
    digest = hashlib.sha256(CANARY.encode()).hexdigest()
    assert fault_environment.claim_pod.read_json("proof.json") == {"digest": digest, "uid": 1000, "writable": []}
    path = f"/dags/{dag_id}/dagRuns/{run.run_id}/taskInstances/ask"
    rendered = json.dumps(fault_environment.airflow.api("GET", path))
    assert "/app/.k8s-airflow/pod.py" in rendered
    assert CANARY not in rendered + file.read_text() + run.read_log("ask")
    if shutil.which("podman"):
        assert find_texts_in_image(image, {CANARY, FOUND_TEXT}) == {FOUND_TEXT}


FOUND_TEXT = "the crow has eaten it"  # as nodes.py has it


def find_texts_in_image(image: str, texts: set[str]) -> set[str]:
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
PROVIDER_INTERVALS = {
    '"poll_interval": 1.5': '"poll_interval": 2',
    '"startup_check_interval_seconds": 2': '"startup_check_interval_seconds": 5',
}


def use_provider_intervals(text: str) -> str:
    """The text of a DAG file with the provider's intervals."""
    for ours, theirs in PROVIDER_INTERVALS.items():
        assert ours in text
        text = text.replace(ours, theirs)
    return text


@pytest.mark.full
@pytest.mark.parametrize("whose", ["ours", "theirs"])
@pytest.mark.parametrize(("pipeline", "at_once"), [("line", 1), ("fan", 60)])
def test_many_tasks_create_each_pod_once_and_leave_none(
    fault_environment: FaultEnvironment, pipeline: str, at_once: int, whose: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """It tells what a task lasts beyond its pod, with our intervals and the provider's: one by one, and 60 at once."""
    fault_environment.wait_until_idle()
    dag = {"pipeline": pipeline, "max_active_tasks": at_once}
    # As many pods work at once as a node has fifths of a core; the others wait, as they do in a full cluster.
    resources = {"requests": {"cpu": "200m", "memory": "64Mi"}}
    changes = {"dags": {f"{pipeline}_{whose}": dag}, "tasks": {"default": {"resources": resources}}}
    fault_environment.add_dags(changes, edit=use_provider_intervals if whose == "theirs" else str)
    run = fault_environment.start_run(f"trials_{pipeline}_{whose}")
    run.assert_succeeds(seconds=1200)
    states = run.task_states()
    assert set(states.values()) == {("success", 1)}
    assert {len(fault_environment.pod_names(run, task)) for task in states} == {1}
    assert {len(run.started_pods(task)) for task in states} == {1}
    with capsys.disabled():
        print(  # noqa: T201
            f"\n{len(states)} tasks, {at_once} at once, intervals {whose}: {time_beyond_pods(fault_environment, run)}"
        )


def time_beyond_pods(fault_environment: FaultEnvironment, run: DagRun) -> str:
    """What tasks last beyond their pods, in seconds: mean and largest."""
    start, polling, end, whole = [], [], [], []
    for (run_id, task, _), phases in fault_environment.pod_watcher.first_seen.items():
        if run_id != run.run_id:
            continue
        log = run.read_log(task).splitlines()
        times = [parse_time(line.split()[0]).timestamp() for line in log if line[:2] == "20"]
        fired = next(parse_time(line.split()[0]).timestamp() for line in log if "Trigger fired event" in line)
        made, result = min(phases.values()), phases["Succeeded"]
        start.append(made - min(times))
        polling.append(fired - result)
        end.append(max(times) - fired)
        whole.append(max(times) - min(times) - (result - made))
    parts = {"before the pod": start, "pod's end seen": polling, "after": end, "beyond the pod": whole}
    return "  ".join(f"{name} {sum(them) / len(them):.1f} ({max(them):.1f})" for name, them in parts.items())
