"""`info` shows what a bug report needs, never fails, and gives nothing away."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib import metadata
from typing import TYPE_CHECKING, Any

import pytest

from kedro_k8s_airflow.image import engines
from tests.support import workspace
from tests.support.kedro_server import clean_env

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.support.kedro_server import KedroServer

CANARY = "CANARY-b5d1f0"
REGISTRY = "registry.canary.example"
CATALOG = f"""
raw:
  type: pandas.SQLTableDataset
  table_name: flights
  credentials: {{con: "postgresql://user:{CANARY}@{REGISTRY}/db"}}
"""


def run_info(cwd: Path, *options: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run the console script."""
    return subprocess.run(
        [sys.executable, "-m", "kedro_k8s_airflow", "info", *options],
        cwd=cwd,
        env={**clean_env(), **(env or {})},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def facts(cwd: Path, env: Mapping[str, str] | None = None) -> dict[str, Any]:
    result = run_info(cwd, "--format", "json", env=env)
    assert result.returncode == 0, result.stderr
    document: dict[str, Any] = json.loads(result.stdout)
    return document


def program(folder: Path, name: str, script: str) -> None:
    """Put a program on a PATH of its own."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


def test_the_facts_are_those_of_machine_and_project(tmp_path: Path) -> None:
    project = workspace.make_publish_project(tmp_path / "project", build={"base": f"{REGISTRY}/python:3.12"})
    (project / "requirements.txt").write_text("kedro\n")
    found = facts(project / "conf")
    assert found["schema"] == 1
    assert found["packages"]["kedro"] == metadata.version("kedro")
    assert found["packages"]["kedro-k8s-airflow"] == metadata.version("kedro-k8s-airflow")
    assert found["python"].startswith(".".join(map(str, sys.version_info[:3])))
    assert {*engines.ENGINE_NAMES, "uv", "git", "kubectl"} == set(found["programs"])
    assert found["project"] == {
        "package": "project",
        "problems": [],
        "pipelines": 2,
        "nodes": 4,
        "settings_files": ["conf/base/k8s_airflow.yml", "conf/prod/k8s_airflow.yml"],
        "lock": "requirements.txt",
        "base_image": "yes",
    }


def installed(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not found"


def test_packages_have_their_version_or_are_not_found(tmp_path: Path) -> None:
    packages = facts(tmp_path)["packages"]
    assert {"kedro-datasets", "kedro-airflow", "apache-airflow"} <= set(packages)
    assert packages == {name: installed(name) for name in packages}


def test_outside_a_project_there_are_no_project_facts(tmp_path: Path) -> None:
    assert facts(tmp_path)["project"] is None
    assert "not inside a Kedro project" in run_info(tmp_path).stdout


def test_the_kedro_command_shows_the_same(tmp_path: Path, kedro: KedroServer) -> None:
    project = workspace.make_publish_project(tmp_path / "project")
    result = kedro.run_command("k8s-airflow", "info", "--format", "json", cwd=project)
    assert result.code == 0, result.err
    assert json.loads(result.out[result.out.index("{") :]) == facts(project)


def test_of_a_program_only_the_version_is_shown(tmp_path: Path) -> None:
    path = tmp_path / "bin"
    program(path, "podman", f"echo 'podman version 5.4.2 {CANARY}'")
    program(path, "docker", "echo 'podman version 5.4.2'")
    program(path, "git", f"echo {CANARY}")
    program(path, "uv", "echo 'uv 0.13.9'; exit 3")
    program(
        path, "kubectl", '[ "$*" = "version --client" ] && printf "Client Version: v1.34.0-rc.1\\nKustomize: v5.7.1\\n"'
    )
    result = run_info(tmp_path, "--format", "json", env={"PATH": str(path)})
    assert json.loads(result.stdout)["programs"] == {
        "buildah": "not found",
        "podman": "5.4.2",
        "docker": "5.4.2 (podman)",
        "uv": "unknown",
        "git": "unknown",
        "kubectl": "1.34.0-rc.1",
    }
    assert CANARY not in result.stdout


@pytest.mark.parametrize(
    ("file", "text", "problems"),
    [
        ("src/project/pipeline_registry.py", "raise ValueError", ["registry"]),
        ("src/project/pipeline_registry.py", "raise SystemExit", ["registry"]),
        ("src/project/settings.py", "import sys; sys.exit()", ["project"]),
        ("conf/base/k8s_airflow.yml", "{", ["conf"]),
        ("pyproject.toml", '[tool.kedro]\npackage_name = "project"\n', ["project"]),
    ],
)
def test_a_broken_project_has_the_codes_of_its_problems(
    file: str, text: str, problems: list[str], tmp_path: Path
) -> None:
    project = workspace.make_publish_project(tmp_path / "project")
    (project / file).write_text(text)
    found = facts(project)["project"]
    assert (found["problems"], found["pipelines"], found["base_image"]) == (problems, "unknown", "unknown")


@pytest.mark.parametrize("options", [(), ("--format", "json")], ids=["text", "json"])
@pytest.mark.parametrize("broken", [False, True], ids=["sound", "broken"])
def test_it_gives_nothing_away(options: tuple[str, ...], broken: bool, tmp_path: Path) -> None:
    home = tmp_path / f"home-{CANARY}"
    project = workspace.make_publish_project(
        home / "project",
        image=f"{REGISTRY}/team/project:{CANARY}",
        build={"base": f"{REGISTRY}/python:3.12", "args": {"TOKEN": CANARY}},
        env={"ENDPOINT": f"https://{CANARY}.{REGISTRY}"},
        publish={"to": f"https://git.{REGISTRY}/{CANARY}.git"},
    )
    (project / "conf" / "base" / "catalog.yml").write_text(CATALOG)
    (project / "conf" / "base" / "credentials.yml").write_text(f"db: {{password: {CANARY}}}\n")
    if broken:
        registry = project / "src" / "project" / "pipeline_registry.py"
        registry.write_text(f"raise ValueError('{CANARY} at {REGISTRY}')\n")
    result = run_info(
        project, *options, env={"HOME": str(home), "API_TOKEN": CANARY, "DOCKER_HOST": f"tcp://{CANARY}:1"}
    )
    assert result.returncode == 0, result.stderr
    assert ("registry" if broken else "project") in result.stdout
    leaked = [text for text in (CANARY, REGISTRY, str(tmp_path), os.sep + "home") if text in result.stdout]
    assert leaked == []
