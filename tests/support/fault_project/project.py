"""Project `trials`, a tiny Kedro project for tests of faults, in a real Airflow on a cluster, with a claim that tests see.

Its image holds Kedro, kedro-datasets and s3fs, and is built from the Dockerfile that `create` writes; `KKA_TRIALS_IMAGE` and
`KKA_TRIALS_MOVED_IMAGE` name them where the caller has brought them into the cluster. To write the project for that:

    python -m tests.support.fault_project.project FOLDER [--moved]

Runs that need no hand of a test while they run start together, before the first test: see `starts_early_run`.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
import time
import uuid
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
import yaml

from kedro_k8s_airflow.plan.model import CONTRACT_VERSION
from tests.support.airflow_harness.harness import Airflow, Proxy, wait_for
from tests.support.cluster_demo import CLAIM, NAMESPACE, ROOT, merge_settings, run_command, run_kubectl
from tests.support.environments import find_interpreter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

Function = TypeVar("Function", bound="Callable[..., Any]")

SOURCE = Path(__file__).parent / "source"
LAB = Path(os.environ.get("LAB", ROOT.parent / "shared" / "lab" / "lab"))
# A quarter of the time of most tests would be the wait before a retry.
RETRY: dict[str, Any] = {"retries": 1, "retry_delay": "2s"}
POD_SELECTOR = "app.kubernetes.io/part-of=trials"
# When a worker, and when a scheduler whose workers another takes over, is taken for dead.
DEAD_AFTER = (
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD",
)
# A busy machine must not be taken for a dead one.
PATIENT = {
    **dict.fromkeys(DEAD_AFTER, "300"),
    "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "120",
}


def _json(path: str, *, versioned: bool = False) -> dict[str, Any]:
    """A catalog entry."""
    entry: dict[str, Any] = {"type": "json.JSONDataset", "filepath": f"data/{path}.json"}
    return {**entry, "versioned": True} if versioned else entry


CATALOG: dict[str, Any] = {
    **{
        name: _json(name, versioned=True) for name in ("held", "seen", "sync_held", "sync_seen", "written", "read_back")
    },
    **{name: _json(name) for name in ("stumbled", "total", "odd_list", "proof", "fault_sum")},
    # An undeclared parameter must not lead elsewhere.
    "echoed": _json("${runtime_params:folder, here}/echoed", versioned=True),
    "grouped_{which}": _json("grouped/{which}"),
    "fault_{which}": _json("faults/{which}"),
    "nap_{number}": _json("naps/{number}"),
}
# Where Kedro is to find credentials: for every entry, whether a node loads it or not.
CANARY = "canary-c0ffee-5ecret"
LOGIN = {"login": {"type": "trials.datasets.Login", "filepath": "data/login.txt", "credentials": "login"}}
PARAMETERS: dict[str, Any] = {
    "gate": "open",
    "good_try": 1,
    "text": "as it was",
    "nothing": None,
    "items": ["as", "it", "was", 1],
    "model": {"depth": 3, "names": {"first": "a"}, "untouched": True},
    "run_date": "2000-01-01",
}


def write_project(folder: Path, *, moved: bool = False) -> Path:
    """Write the project; its folder.

    Args:
        folder: where it goes.
        moved: its configuration is in `config`, which its settings.py says, and needs credentials in every environment.
    """
    project = folder / "trials"
    code = project / "src" / "trials"
    conf = project / ("config" if moved else "conf")
    for catalog_entries in (code, conf / "base", conf / "local", conf / "prod"):
        catalog_entries.mkdir(parents=True)
    files = {
        project / "pyproject.toml": (
            "[project]\nname = 'trials'\nversion = '0.1'\nrequires-python = '>=3.10,<3.14'\n\n"
            "[tool.kedro]\npackage_name = 'trials'\nproject_name = 'trials'\n"
            f"kedro_init_version = '{version('kedro')}'\nsource_dir = 'src'\n"
        ),
        project / "requirements.txt": "".join(
            f"{name}=={version(name)}\n" for name in ("kedro", "kedro-datasets", "s3fs")
        ),
        code / "__init__.py": "",
        code / "settings.py": "CONF_SOURCE = 'config'\n" if moved else "",
        conf / "base" / "catalog.yml": yaml.safe_dump({**CATALOG, **(LOGIN if moved else {})}, sort_keys=False),
        conf / "base" / "parameters.yml": yaml.safe_dump(PARAMETERS, sort_keys=False),
        # What lies about on the machine where an image is built, and must not enter it.
        conf / "local" / "credentials.yml": f"login: {{password: {CANARY}}}\n",
        project / ".env": f"PASSWORD={CANARY}\n",
        conf / "prod" / "catalog.yml": yaml.safe_dump(LOGIN),
    }
    for path, text in files.items():
        path.write_text(text, encoding="utf-8")
    for name in ("nodes.py", "datasets.py", "pipeline_registry.py"):
        shutil.copyfile(SOURCE / name, code / name)
    return project


# DAGs that need nothing but the claim; one `create` makes them.
NO_WAIT: dict[str, Any] = {"startup_timeout_seconds": 8, "schedule_timeout_seconds": 8}
SETTINGS: dict[str, Any] = {
    "dags": {
        "held": {"pipeline": "held", "params": ["gate"], **RETRY},
        # Sooner, the killed pod would still be there, which the provider does not bear without a trigger.
        "sync": {"pipeline": "sync", "params": ["gate"], "retries": 1, "retry_delay": "25s"},
        "faults": {"pipeline": "faults", "quota_wait": "20s"},
        "retry": {"pipeline": "retry", "params": ["good_try"]},
        "params": {
            "pipeline": "params",
            "params": ["text", "nothing", "items", "model.depth", "model.names"],
            "macros": {"run_date": "run_date"},
        },
        "group": {"pipeline": "group"},
    },
    "groups": {"writer": {"node": ["write", "stumble"]}},
    "tasks": {
        "sync": {"match": {"pipeline": "sync"}, "deferrable": False, "terminationGracePeriodSeconds": 15},
        "writer": {"match": {"node": ["write", "stumble"]}, "retries": 9, "retry_delay": "1s"},
        "no_image": {"match": {"node": "no_image"}, "image": "localhost/nowhere/nothing:1"},
        "no_secret": {
            "match": {"node": "no_secret"},
            "env": [{"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "no-such-secret", "key": "key"}}}],
            "operator": NO_WAIT,
        },
        "no_claim": {
            "match": {"node": "no_claim"},
            "volumes": [{"name": "more", "persistentVolumeClaim": {"claimName": "no-such-claim"}}],
            "volumeMounts": [{"name": "more", "mountPath": "/more"}],
            "operator": NO_WAIT,
        },
        "too_late": {"match": {"node": "too_late"}, "activeDeadlineSeconds": 10},
        "over_quota": {"match": {"node": "over_quota"}, "resources": {"limits": {"nvidia.com/gpu": 9}}},
        "over_range": {"match": {"node": "over_range"}, "resources": {"limits": {"memory": "65Gi"}}},
        "with_group": {"match": {"node": "with_group"}, "podSecurityContext": {"fsGroup": 2000}},
    },
}


STORED: dict[str, Any] = {
    "data": {"memory": "store", "store": {"path": "data/between"}},
    "dags": {
        "stored": {"pipeline": "stored", "group_by": "none", "params": ["gate"]},
        "odd": {"pipeline": "odd", "group_by": "none"},
    },
}


def make_settings(image: str, sub_path: str, changes: Mapping[str, Any]) -> dict[str, Any]:
    """A settings file.

    Args:
        image: in the cluster.
        place: the claim's folder that is the project's `data`.
        changes: laid over; maps are merged.
    """
    return merge_settings(
        {
            "image": image,
            "namespace": NAMESPACE,
            "data": {"volumes": {"data": {"claim": CLAIM, "mount": "data", "subPath": sub_path}}},
            "dag": {"max_active_runs": 16},
            "checks": {"ignore": ["overlap-passed", "overlap-saved"]},  # runs of one test do not share tasks
            "tasks": {
                "default": {"resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "256Mi"}}}
            },
        },
        changes,
    )


def create_dags(project: Path, dag_settings: Mapping[str, Any], env: str | None = None) -> list[Path]:
    """The DAG files that `create` makes of a project with these settings."""
    conf = next(project / name for name in ("config", "conf") if (project / name).is_dir())
    (conf / "base" / "k8s_airflow.yml").write_text(
        yaml.safe_dump(dict(dag_settings), sort_keys=False), encoding="utf-8"
    )
    shutil.rmtree(project / "dags", ignore_errors=True)
    options = [f"--env={env}"] if env else []
    run_command([sys.executable, "-m", "kedro", "k8s-airflow", "create", "--quiet", *options], cwd=project)
    return sorted((project / "dags").glob("*.py"))


def provide_image(project: Path, variable: str, tag: str) -> str:
    """The image of a project, inside the cluster."""
    given = os.environ.get(variable)
    if given:
        return given
    if shutil.which("podman") is None or not LAB.is_file():
        pytest.skip(f"no {variable}, and neither podman nor the lab to build and load one")
    create_dags(project, make_settings("localhost/none:1", "none", {"dags": {"held": {}}}))
    run_command(["podman", "build", "--tag", tag, project], timeout=1200)
    run_command([LAB, "load", tag])
    return f"localhost/{tag}"


class ClaimFolderPod:
    """A sleeping pod of the project's image that sees the claim, and a folder there that is removed at the end.

    Container `keeper` has the user of the project's pods, container `other` has another user. Both are in group 2000.
    """

    def __init__(self, image: str) -> None:
        self.folder = f"trials-{uuid.uuid4().hex[:8]}"
        self.name = f"keeper-{self.folder}"
        containers = [
            {
                "name": name,
                "image": image,
                "imagePullPolicy": "IfNotPresent",
                "command": ["sleep", "7200"],
                "volumeMounts": [{"name": "claim", "mountPath": "/claim"}],
                "securityContext": {
                    "runAsUser": user,
                    "runAsGroup": user,
                    "allowPrivilegeEscalation": False,
                    "capabilities": {"drop": ["ALL"]},
                },
            }
            for name, user in (("keeper", 1000), ("other", 3000))
        ]
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": self.name, "namespace": NAMESPACE},
            "spec": {
                "restartPolicy": "Never",
                "terminationGracePeriodSeconds": 0,
                "automountServiceAccountToken": False,
                "securityContext": {
                    "runAsNonRoot": True,
                    "supplementalGroups": [2000],
                    "seccompProfile": {"type": "RuntimeDefault"},
                },
                "containers": containers,
                "volumes": [{"name": "claim", "persistentVolumeClaim": {"claimName": CLAIM}}],
            },
        }
        run_kubectl("create", "--filename", "-", stdin=json.dumps(pod))
        run_kubectl("wait", "--for=condition=Ready", "--timeout=5m", f"pod/{self.name}")
        self.run_shell(f"mkdir -p {self.folder}; chmod 0777 {self.folder}", folder="/claim")

    def run_shell(self, script: str, *, container: str = "keeper", folder: str = "") -> str:
        """Run a script where the folder is the current one."""
        folder = folder or f"/claim/{self.folder}"
        return run_kubectl("exec", self.name, "--container", container, "--", "sh", "-ec", f"cd {folder}; {script}")

    def list_files(self, path: str = ".") -> list[str]:
        """Files below a path, sorted; none where there is nothing."""
        return self.run_shell(f"find {path} -type f 2>/dev/null | sort || true").split()

    def read_json(self, path: str) -> Any:
        """The content of a file."""
        return json.loads(self.run_shell(f"cat {path}"))

    def close(self) -> None:
        """Remove the folder and the pod."""
        self.run_shell("rm -rf grouped", container="other")
        self.run_shell(f"rm -rf {self.folder}", folder="/claim")
        run_kubectl("delete", "pod", self.name, "--wait=false")


class PodWatcher:
    """Every pod of the project that was there at any time, while this lives.

    Attributes:
        found: by run, task and pod: when it was first seen in each phase.
    """

    def __init__(self) -> None:
        self.first_seen: dict[tuple[str, str, str], dict[str, float]] = {}
        self._closed = False
        self._process: subprocess.Popen[str] | None = None
        threading.Thread(target=self._watch, name="pods", daemon=True).start()

    def _watch(self) -> None:
        labels, phase = "{.metadata.labels.run_id} {.metadata.labels.task_id}", "{.status.phase}"
        show = f"--output=jsonpath={labels} {{.metadata.name}} {phase}{{'\\n'}}"
        while not self._closed:
            self._process = subprocess.Popen(
                ["kubectl", "--namespace", NAMESPACE, "get", "pods", f"--selector={POD_SELECTOR}", "--watch", show],
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
            for line in self._process.stdout or ():
                run_id, task, pod, state = line.split()
                self.first_seen.setdefault((run_id, task, pod), {}).setdefault(state, time.time())
            time.sleep(0.5)

    def close(self) -> None:
        """Look no longer."""
        self._closed = True
        if self._process is not None:
            self._process.kill()


@dataclass(frozen=True)
class EarlyRun:
    """A run to start before the first test; see `starts_early_run`."""

    dag: str
    conf: Mapping[str, Any]

    @property
    def key(self) -> str:
        """Tests with equal ones share a run."""
        return json.dumps([self.dag, self.conf], sort_keys=True)


def starts_early_run(dag: str, conf: Mapping[str, Any] | None = None) -> Callable[[Function], Function]:
    """Mark a test whose run needs no hand while it runs: it starts before the first test; fixture `early_run` is that run."""

    def mark(function: Function) -> Function:
        function.begins = EarlyRun(dag, conf or {})  # type: ignore[attr-defined]
        return function

    return mark


@dataclass
class DagRun:
    """A DAG run."""

    environment: FaultEnvironment
    dag_id: str
    run_id: str

    def wait_for_end(self, seconds: float = 240) -> str:
        """The state it ends in."""
        return self.environment.airflow.wait_run(self.dag_id, self.run_id, seconds)

    def assert_succeeds(self, seconds: float = 240) -> None:
        """It ends in success, and leaves no pod."""
        state = self.wait_for_end(seconds)
        assert state == "success", self.report()
        self.assert_leaves_no_pod()

    def assert_fails(self, seconds: float = 240) -> None:
        """It ends in failure, and leaves no pod."""
        state = self.wait_for_end(seconds)
        assert state == "failed", self.report()
        self.assert_leaves_no_pod()

    def report(self) -> str:
        """For a failed test's message."""
        return self.environment.airflow.report(self.dag_id, self.run_id)

    def wait_for_task(self, task: str, *states: str, seconds: float = 120) -> None:
        """Until a task is in one of the states."""
        self.environment.airflow.wait_task(self.dag_id, self.run_id, task, set(states), seconds)

    def task_states(self) -> dict[str, tuple[str | None, int]]:
        """State and number of tries of every task."""
        found = self.environment.airflow.tasks(self.dag_id, self.run_id)
        return {name: (task.state, task.try_number) for name, task in found.items()}

    def read_log(self, task: str, number: int | None = None) -> str:
        """The log of a try, by default the last."""
        return self.environment.airflow.read_log(self.dag_id, self.run_id, task, number)

    def clear(self, *tasks: str, downstream: bool = False) -> None:
        """Clear tasks, or what has failed."""
        self.environment.airflow.clear(
            self.dag_id, self.run_id, tasks or None, only_failed=not tasks, downstream=downstream
        )

    @property
    def run_hash(self) -> str:
        """What the versions and the folder in the store of this run, and of no other, have in their names."""
        return hashlib.sha256(f"{self.dag_id}/{self.run_id}".encode()).hexdigest()[:8]

    def written_versions(self, dataset: str) -> dict[int, Any]:
        """What this run has written of a versioned dataset, by the number of the try."""
        names = self.environment.claim_pod.run_shell(f"ls {dataset}.json 2>/dev/null || true").split()
        return {
            int(name.rpartition("-")[2]): self.environment.claim_pod.read_json(
                f"{dataset}.json/{name}/{dataset.rpartition('/')[2]}.json"
            )
            for name in names
            if f"-{self.run_hash}-" in name
        }

    def list_pods(self, task: str | None = None) -> list[dict[str, Any]]:
        """Pods that are there, as the API server shows them."""
        selector = f"dag_id={self.dag_id},run_id={self.run_id}" + (f",task_id={task}" if task else "")
        found: list[dict[str, Any]] = json.loads(run_kubectl("get", "pods", "--selector", selector, "--output=json"))[
            "items"
        ]
        return found

    def wait_for_pod(self, task: str, seconds: float = 60) -> str:
        """The name of a task's pod once its node has begun to work."""
        wait_for(
            lambda: self.started_pods(task) or None, seconds, lambda: f"no node of {task} has begun\n{self.report()}"
        )
        return self.started_pods(task)[-1].rpartition(".")[2]

    def assert_leaves_no_pod(self, seconds: float = 90) -> None:
        """Whatever was there is gone, or goes now: Kubernetes takes the grace period, 30 s, and more when it is busy."""

        def left() -> list[str]:
            return [f"{pod['metadata']['name']} {pod['status']['phase']}" for pod in self.list_pods()]

        wait_for(lambda: None if left() else True, seconds, lambda: f"left: {left()}\n{self.report()}", interval=1)

    def started_pods(self, task: str) -> list[str]:
        """The pods in which a node that signs in began to work: `<task>.<try>.<pod>`."""
        return [
            Path(file).name
            for file in self.environment.claim_pod.list_files(f"starts/{self.run_id}")
            if f"/{task}." in file
        ]


@dataclass
class FaultEnvironment:
    """An Airflow with all its parts, a claim, and the DAGs of the project."""

    airflow: Airflow
    proxy: Proxy
    pod_watcher: PodWatcher
    claim_pod: ClaimFolderPod
    image: str
    project: Path
    early_runs: dict[str, DagRun] = field(default_factory=dict)
    exit_stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def add_dags(
        self,
        changes: Mapping[str, Any],
        *,
        env: str | None = None,
        edit: Callable[[str], str] = str,
        project: Path | None = None,
        image: str | None = None,
    ) -> dict[str, Path]:
        """Let `create` write DAGs and give them to Airflow; each file by its dag_id.

        Args:
            changes: of the settings.
            env: Kedro's environment.
            edit: what a test does to the text.
            project: another one, with an `image` of its own.
            image: in the cluster.
        """
        dag_files = {}
        dag_settings = make_settings(image or self.image, self.claim_pod.folder, changes)
        for file in create_dags(project or self.project, dag_settings, env):
            target = self.airflow.dags / file.name
            target.write_text(edit(file.read_text(encoding="utf-8")), encoding="utf-8")
            dag_files[file.stem] = target
        return dag_files

    def start_run(self, dag_id: str, conf: Mapping[str, Any] | None = None, **more: Any) -> DagRun:
        """Trigger a run over REST."""
        self.airflow.wait_dag(dag_id, seconds=120)
        self.airflow.unpause(dag_id)
        run_id = f"run-{uuid.uuid4().hex[:8]}"
        self.airflow.trigger(dag_id, conf, run_id=run_id, **more)
        return DagRun(self, dag_id, run_id)

    def start_held_run(self, dag: str = "held", conf: Mapping[str, Any] | None = None) -> tuple[DagRun, str]:
        """Start a run whose first node waits for a gate; the run and its gate."""
        gate = uuid.uuid4().hex[:8]
        return self.start_run(f"trials_{dag}", {"gate": gate, **(conf or {})}), gate

    def open_gate(self, gate: str) -> None:
        """Let those that wait go on."""
        self.claim_pod.run_shell(f"mkdir -p gates; touch gates/{gate}")

    def wait_until_idle(self, seconds: float = 300) -> None:
        """Wait until no run goes on: what comes now would disturb it."""

        def none() -> bool | None:
            answer = self.airflow.api("GET", "/dags/~/dagRuns", state=["running", "queued"], limit=1)
            return None if answer["dag_runs"] else True

        wait_for(none, seconds, "runs that do not end", interval=1)

    def pod_names(self, run: DagRun, task: str | None = None) -> set[str]:
        """The names of all pods that were ever there for a run, or for a task of it."""
        return {
            pod
            for run_id, task_id, pod in list(self.pod_watcher.first_seen)
            if run_id == run.run_id and task in {None, task_id}
        }


@contextlib.contextmanager
def open_fault_environment(
    folders: pytest.TempPathFactory, kubeconfig: Path, session: pytest.Session
) -> Iterator[FaultEnvironment]:
    """All of it, with the runs of the selected tests begun.

    Args:
        folders: for what is written here.
        kubeconfig: Airflow's identity in the cluster.
        session: with the tests that were selected.
    """
    environment = _start_environment(folders.mktemp("trials"), kubeconfig)
    with environment.exit_stack:
        for item in session.items:
            early_run: EarlyRun | None = getattr(getattr(item, "function", None), "begins", None)
            if early_run is not None and early_run.key not in environment.early_runs:
                environment.early_runs[early_run.key] = environment.start_run(f"trials_{early_run.dag}", early_run.conf)
        yield environment


def _start_environment(folder: Path, kubeconfig: Path) -> FaultEnvironment:
    """All of it, or nothing left of it."""
    python = find_interpreter("KKA_PYTHON_AIRFLOW_3")
    project = write_project(folder)
    image = provide_image(project, "KKA_TRIALS_IMAGE", "trials:cluster-test")
    dags, home = folder / "dags", folder / "airflow"
    dags.mkdir()
    home.mkdir()
    with contextlib.ExitStack() as stack:
        proxy = stack.enter_context(Proxy(kubeconfig))
        pod_watcher = PodWatcher()
        stack.callback(pod_watcher.close)
        claim_pod = ClaimFolderPod(image)
        stack.callback(claim_pod.close)
        stack.callback(_delete_pods)
        airflow = Airflow(python, home, dags, proxy.write_kubeconfig(home / "kubeconfig"), environment=PATIENT)
        stack.enter_context(airflow)
        environment = FaultEnvironment(airflow, proxy, pod_watcher, claim_pod, image, project)
        environment.add_dags(SETTINGS)
        current_contract, older_contract = (
            f"--contract={number}" for number in (CONTRACT_VERSION, CONTRACT_VERSION - 1)
        )
        environment.add_dags(STORED)
        environment.add_dags(
            {"dags": {"old": {"pipeline": "held"}}}, edit=lambda text: text.replace(current_contract, older_contract)
        )
        claim_pod.run_shell("mkdir grouped; chgrp 2000 grouped; chmod 2770 grouped", container="other")
        airflow.migrate()
        airflow.start()
        environment.exit_stack = stack.pop_all()
    return environment


def _delete_pods() -> None:
    with contextlib.suppress(AssertionError):
        run_kubectl("delete", "pod", f"--selector={POD_SELECTOR}", "--grace-period=1", "--wait=false")


if __name__ == "__main__":
    written = write_project(Path(sys.argv[1]), moved="--moved" in sys.argv)
    create_dags(written, make_settings("localhost/none:1", "none", {"dags": {"held": {}}}))
    sys.stdout.write(f"{written}\n")
