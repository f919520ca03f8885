"""The demo project on a cluster: its image, places on the claim with raw data in them, what a run leaves there."""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from tests.support.paths import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

DEMO = ROOT / "demo-project"
NAMESPACE = os.environ.get("LAB_NAMESPACE", "kedro")
POD_SECURITY = "pod-security.kubernetes.io/enforce=restricted"
CLAIM = os.environ.get("LAB_PVC", "kedro-data")
VERSION = re.compile(r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9.]+Z(-[0-9a-f]{8}-[0-9]{3})?$")
SETTINGS = Path("conf", "base", "k8s_airflow.yml")


def run_command(
    command: Sequence[str | Path], *, stdin: str | bytes | None = None, cwd: Path | None = None, timeout: int = 600
) -> str:
    """The stdout of a command that has to succeed."""
    return run_command_for_bytes(command, stdin=stdin, cwd=cwd, timeout=timeout).decode()


def run_command_for_bytes(
    command: Sequence[str | Path], *, stdin: str | bytes | None = None, cwd: Path | None = None, timeout: int = 600
) -> bytes:
    """The same as bytes."""
    data = stdin.encode() if isinstance(stdin, str) else stdin
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    result = subprocess.run(
        [str(part) for part in command],
        input=data,
        capture_output=True,
        cwd=cwd,
        timeout=timeout,
        check=False,
        env={**os.environ, "PATH": path},
    )
    assert result.returncode == 0, (
        f"{command}\n{result.stdout[-4000:].decode(errors='replace')}\n{result.stderr[-4000:].decode(errors='replace')}"
    )
    return result.stdout


def run_kubectl(*arguments: str, stdin: str | bytes | None = None) -> str:
    """The stdout of kubectl in the test namespace."""
    return run_command(["kubectl", "--namespace", NAMESPACE, *arguments], stdin=stdin)


def copy_demo(folder: Path) -> Path:
    """A copy of the demo project, with its raw tables."""
    project = folder / "demo-project"
    shutil.copytree(DEMO, project, ignore=shutil.ignore_patterns("data", "dags", "manifests", "__pycache__", ".venv"))
    (project / "data" / "01_raw").mkdir(parents=True)
    run_command([sys.executable, "raw_data.py"], cwd=project)
    return project


@dataclass(frozen=True)
class DeployedDemo:
    """A folder of the claim, and a copy of the demo whose pods have it as their `data`.

    Attributes:
        project: the copy.
        printed: what `create` printed.
        sub_path: the folder, relative to the claim.
    """

    project: Path
    create_output: str
    sub_path: str

    @property
    def dags(self) -> Path:
        """Folder of its DAG files."""
        return self.project / "dags"

    def run_printed_commands(self) -> None:
        """Run the commands that `create` printed, one after the other, in the project's folder."""
        following_lines = self.create_output.partition("To copy them, run in the project's folder:\n")[2].splitlines()
        commands = list(itertools.takewhile(lambda line: line.startswith("  "), following_lines))
        assert len(commands) == 5, self.create_output
        for command in commands:
            run_command(["bash", "-o", "pipefail", "-c", command.strip()], cwd=self.project)


def deploy_demo(source: Path, folder: Path, image: str, changes: Mapping[str, Any] | None = None) -> DeployedDemo:
    """A place of its own.

    Args:
        source: a copy of the demo.
        folder: where the new copy goes.
        image: in the cluster.
        changes: of the settings file; maps are merged.
    """
    project = folder / "demo-project"
    shutil.copytree(source, project, symlinks=True)
    sub_path = f"test-{uuid.uuid4().hex[:8]}"
    settings = yaml.safe_load((project / SETTINGS).read_text())
    volume = {"claim": CLAIM, "mount": "data", "subPath": sub_path}
    settings = merge_settings(
        settings,
        {
            "image": image,
            "namespace": NAMESPACE,
            "dag": {"schedule": None, "retry_delay": "10s"},
            "data": {"volumes": {"data": volume}},
        },
    )
    (project / SETTINGS).write_text(yaml.safe_dump(merge_settings(settings, changes or {}), sort_keys=False))
    create_output = run_command([sys.executable, "-m", "kedro", "k8s-airflow", "create"], cwd=project)
    return DeployedDemo(project, create_output, sub_path)


def merge_settings(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with others laid over them."""
    result = dict(below)
    for key, value in above.items():
        result[key] = merge_settings(result.get(key) or {}, value) if isinstance(value, dict) else value
    return result


class ClaimPod:
    """The claim of the tests, seen through a sleeping pod; what the tests leave on it is removed at the end."""

    def __init__(self, demo: DeployedDemo) -> None:
        """The pod is the one that `manifests` writes, without the sub path."""
        run_command([sys.executable, "-m", "kedro", "k8s-airflow", "manifests"], cwd=demo.project)
        self.pod = yaml.safe_load((demo.project / "manifests" / "data-pod.yml").read_text())
        self.places: list[str] = []
        self.name = self.start_pod("keeper", ["sleep", "3600"], None)
        run_kubectl("wait", "--for=condition=Ready", "--timeout=5m", f"pod/{self.name}")

    def start_pod(self, name: str, command: Sequence[str], sub_path: str | None, memory: str = "4Gi") -> str:
        """A pod of the demo's image that sees the claim, or one folder of it, at /app/data."""
        pod = json.loads(json.dumps(self.pod))
        full = f"{name}-{uuid.uuid4().hex[:6]}"
        pod["metadata"]["name"] = full
        container = pod["spec"]["containers"][0]
        container["command"] = list(command)
        container["resources"]["limits"]["memory"] = memory
        container["env"] = [{"name": "HOME", "value": "/tmp"}]  # noqa: S108
        data = next(mount for mount in container["volumeMounts"] if mount["name"] == "data")
        data.pop("subPath", None)
        if sub_path is not None:
            data["subPath"] = sub_path
        run_kubectl("create", "--filename", "-", stdin=json.dumps(pod))
        return full

    def run_shell(self, script: str) -> str:
        """Run a script where the claim is the current folder."""
        return run_kubectl("exec", self.name, "--", "sh", "-ec", f"cd /app/data; {script}")

    def copy_raw_tables(self, source: DeployedDemo, target: DeployedDemo) -> None:
        """Give a place the raw tables of another."""
        self.run_shell(f"mkdir -p {target.sub_path}; cp -r {source.sub_path}/01_raw {target.sub_path}/")

    def hash_outputs(self, sub_path: str) -> dict[str, str]:
        """Hashes of all files of a place but the raw ones, by name; every version is called VERSION."""
        archive = run_command_for_bytes(
            [
                "kubectl",
                "--namespace",
                NAMESPACE,
                "exec",
                self.name,
                "--",
                "tar",
                "-C",
                f"/app/data/{sub_path}",
                "-cf",
                "-",
                ".",
            ]
        )
        hashes: dict[str, str] = {}
        with tarfile.open(fileobj=io.BytesIO(archive)) as files:
            for member in files:
                file = files.extractfile(member)
                if file is None or member.name.startswith("./01_raw"):
                    continue
                name = "/".join("VERSION" if VERSION.match(part) else part for part in member.name.split("/")[1:])
                assert name not in hashes, f"two versions of {name} in one run"
                hashes[name] = hashlib.sha256(file.read()).hexdigest()
        return hashes

    def run_reference(self, source: DeployedDemo, params: Mapping[str, Any]) -> dict[str, str]:
        """What plain `kedro run` makes of the same raw data, in one pod of the same image."""
        sub_path = f"test-{uuid.uuid4().hex[:8]}"
        self.run_shell(f"mkdir -p {sub_path}; chmod 0777 {sub_path}; cp -r {source.sub_path}/01_raw {sub_path}/")
        params_option = ",".join(f"{name}={value}" for name, value in params.items())
        name = self.start_pod("reference", ["kedro", "run", f"--params={params_option}"], sub_path)
        end = time.monotonic() + 600
        while (phase := run_kubectl("get", "pod", name, "--output=jsonpath={.status.phase}")) not in (
            "Succeeded",
            "Failed",
        ):
            assert time.monotonic() < end, phase
            time.sleep(1)
        log = run_kubectl("logs", name)
        run_kubectl("delete", "pod", name, "--wait=false")
        assert phase == "Succeeded", log[-3000:]
        return self.hash_outputs(sub_path)

    def close(self) -> None:
        """Remove what is on the claim, and the pod."""
        self.run_shell("rm -rf test-* || true")  # the folders themselves are the kubelet's
        run_kubectl("delete", "pod", self.name, "--wait=false")
