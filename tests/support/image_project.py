"""A small Kedro project whose image the cluster tests build, and the commands that they run in it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import yaml

from tests.support.cluster_demo import NAMESPACE, run_command

if TYPE_CHECKING:
    from pathlib import Path

UV = os.environ.get("KKA_UV", "uv")
CANARY = "canary-5ecret-0f-the-build"
REPOSITORY = "registry.example.com/team/small"
NODES = """
from kedro.pipeline import node, pipeline


def begin():
    print("the node has begun")
    return [1, 2, 3]


def add(numbers):
    assert sum(numbers) == 6
    return sum(numbers)


def register_pipelines():
    made = pipeline([node(begin, None, "numbers", name="begin"), node(add, "numbers", "total", name="add")])
    return {"__default__": made, "small": made}
"""
SETTINGS: dict[str, Any] = {
    "image": REPOSITORY,
    "namespace": NAMESPACE,
    "data": {"discard": ["total"]},
    "tasks": {"default": {"resources": {"requests": {"cpu": "100m"}, "limits": {"memory": "512Mi"}}}},
}
PYPROJECT = f"""
[project]
name = "small"
version = "0.1"
requires-python = ">=3.10,<3.14"
dependencies = ["kedro=={version("kedro")}"]

[dependency-groups]
dev = ["kedro-viz", "pytest"]
more = ["tabulate"]

[tool.kedro]
package_name = "small"
project_name = "small"
kedro_init_version = "{version("kedro")}"
source_dir = "src"
"""


def small(folder: Path, kind: str, changes: dict[str, Any] | None = None, more: str = "") -> Path:
    """Write a project of two nodes that needs only Kedro, with canaries where a developer's machine has secrets."""
    project = folder / "small"
    code = project / "src" / "small"
    files = {
        project / "pyproject.toml": PYPROJECT + more,
        code / "__init__.py": "",
        code / "settings.py": "",
        code / "pipeline_registry.py": NODES,
        project / "conf" / "base" / "catalog.yml": "total: {type: MemoryDataset}\n",
        project / "conf" / "base" / "parameters.yml": "x: 1\n",
        project / "conf" / "base" / "credentials.yml": f"login: {{password: {CANARY}}}\n",
        project / "conf" / "local" / "credentials.yml": f"login: {{password: {CANARY}}}\n",
        project / ".env": f"PASSWORD={CANARY}\n",
        project / "src" / ".env.local": f"PASSWORD={CANARY}\n",
        project / "data" / "x.csv": f"{CANARY}\n",
        project / "conf" / "base" / "k8s_airflow.yml": yaml.safe_dump({**SETTINGS, **(changes or {})}),
    }
    if kind == "requirements.txt":
        files[project / kind] = f"kedro=={version('kedro')}\nkedro-viz\n"
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    if kind == "uv.lock":
        run_command([UV, "--quiet", "lock", "--python", sys.executable], cwd=project)
    return project


def kedro(folder: Path, *options: str, ok: bool = True, **env: str) -> str:
    """Run a command of this plugin and return what it prints."""
    done = subprocess.run(
        [sys.executable, "-m", "kedro", "k8s-airflow", *options],
        cwd=folder,
        env={**os.environ, "COLUMNS": "200", **env},
        capture_output=True,
        text=True,
        check=False,
    )
    output = done.stdout + done.stderr
    assert (done.returncode == 0) is ok, output[-6000:]
    return output


def locked(folder: Path, name: str = "default") -> dict[str, Any]:
    """Return the entry of an image in the lock."""
    entry: dict[str, Any] = json.loads((folder / "k8s-airflow.lock").read_text())["images"][name]
    return entry
