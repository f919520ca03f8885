"""The demo project, and with it one reviewed example of every emitted text."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.support.paths import CREATE_REPORT, ROOT

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

DEMO = ROOT / "demo-project"
GOLDEN = ROOT / "tests" / "golden"


def run_kedro(project: Path, *arguments: str, timeout: int = 600) -> subprocess.CompletedProcess[str]:
    """A kedro command in a project."""
    return subprocess.run(
        [sys.executable, "-m", "kedro", *arguments],
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
    )


@pytest.fixture
def demo(tmp_path: Path) -> Path:
    """A copy of the demo project as a fresh clone has it: no data, no outputs, no lock."""
    pytest.importorskip("kedro_datasets", reason="the demo needs kedro-datasets, which this environment lacks")
    copy = tmp_path / "flights-of-somebody"
    created_files = (
        "dags",
        "Dockerfile",
        ".dockerignore",
        ".k8s-airflow",
        "uv.lock",
        "__pycache__",
        ".venv",
        "*.csv",
        "*.parquet",
    )
    shutil.copytree(DEMO, copy, ignore=shutil.ignore_patterns(*created_files))
    return copy


def test_the_committed_dags_are_what_create_writes(demo: Path) -> None:
    result = run_kedro(demo, "k8s-airflow", "create")
    assert result.returncode == 0, result.stderr
    assert {path.name: path.read_text() for path in (demo / "dags").iterdir()} == {
        path.name: path.read_text() for path in (DEMO / "dags").glob("*.py")
    }


def test_the_image_spec_is_the_reviewed_one_and_hadolint_has_nothing_to_say(demo: Path) -> None:
    assert run_kedro(demo, "k8s-airflow", "create", "--quiet").returncode == 0
    for name in ("Dockerfile", "dockerignore"):
        emitted = demo / (name if name == "Dockerfile" else ".dockerignore")
        assert emitted.read_text() == (GOLDEN / name).read_text()
    hadolint = Path(sys.executable).with_name("hadolint")
    if not hadolint.is_file():
        pytest.skip("hadolint is not installed in this environment")
    result = subprocess.run([hadolint, "--no-color", demo / "Dockerfile"], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    ("lock", "content"), [("uv.lock", "version = 1\n"), ("requirements.txt", "-r more.txt\nkedro\n")]
)
def test_every_kind_of_lock_gives_a_dockerfile_hadolint_accepts(demo: Path, lock: str, content: str) -> None:
    (demo / lock).write_text(content)
    (demo / "more.txt").write_text("pandas\n")
    result = run_kedro(demo, "k8s-airflow", "create")
    assert result.returncode == 0, result.stderr
    assert "image-no-lock" not in result.stderr
    text = (demo / "Dockerfile").read_text()
    assert f" {lock}" in text
    hadolint = Path(sys.executable).with_name("hadolint")
    if not hadolint.is_file():
        pytest.skip("hadolint is not installed in this environment")
    checked = subprocess.run([hadolint, "--no-color", demo / "Dockerfile"], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_plan_is_worth_showing(demo: Path) -> None:
    result = subprocess.run([sys.executable, CREATE_REPORT], cwd=demo, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    plan = json.loads(result.stdout[result.stdout.index('{"plans"') :])["plans"]["flights"]
    assert len(plan["tasks"]) >= 10
    assert 25 <= sum(len(task["nodes"]) for task in plan["tasks"]) <= 40
    assert set(plan["crossings"].values()) == {"shared"}
    assert len(plan["crossings"]) >= 3
    assert len(plan["versioned"]) >= 2


@pytest.mark.full
def test_two_runs_give_the_same_files(demo: Path) -> None:
    result = subprocess.run([sys.executable, "raw_data.py"], cwd=demo, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    found = []
    for _ in range(2):
        run = run_kedro(demo, "run")
        assert run.returncode == 0, run.stdout + run.stderr
        found.append(hash_outputs(demo / "data"))
        for folder in (demo / "data").iterdir():
            if folder.name != "01_raw":
                shutil.rmtree(folder)
    assert found[0] == found[1]
    assert len(found[0]) > 20


def hash_outputs(data: Path) -> dict[str, str]:
    """Hash of every output by its path; a version's time stamp is left out."""
    hashes = {}
    for path in sorted(data.rglob("*")):
        if path.is_file() and "01_raw" not in path.parts and path.name != ".gitkeep":
            name = "/".join(
                part for part in path.relative_to(data).parts if not (part.startswith("20") and "T" in part)
            )
            hashes[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return hashes


def test_the_demo_has_no_finding_once_its_image_is_built(demo: Path) -> None:
    """A lock of its dependencies and one of its image, as `uv lock` and `build-image --push` write them."""
    from kedro_k8s_airflow.config import models
    from kedro_k8s_airflow.image import content_hash, lock
    from kedro_k8s_airflow.image.spec import hash_images

    named = tomllib.loads((demo / "pyproject.toml").read_text())["project"]["dependencies"]
    (demo / "requirements.txt").write_text("".join(f"{line}\n" for line in named))
    assert run_kedro(demo, "k8s-airflow", "create").returncode == 0
    settings = models.parse_settings(yaml.safe_load((demo / "conf" / "base" / "k8s_airflow.yml").read_text()))
    parts = hash_images(demo, settings, [])["default"]
    built = lock.LockedImage(
        repository=settings.image,
        tag="abc",
        digest="sha256:" + "0" * 64,
        content=content_hash.combine_hashes(parts),
        parts=parts,
    )
    (demo / lock.LOCK_NAME).write_text(lock.format_lock({"default": built}))

    result = run_kedro(demo, "k8s-airflow", "check", "--strict", "--format", "json", "--output", "found.json")
    assert result.returncode == 0, result.stdout
    assert json.loads((demo / "found.json").read_text())["findings"] == []

    (demo / "src" / "flights" / "new.py").write_text("")
    result = run_kedro(demo, "k8s-airflow", "check", "--strict")
    assert result.returncode == 1
    assert "[image-stale]" in result.stdout
