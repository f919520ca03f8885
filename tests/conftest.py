"""What tests share: Kedro commands, projects of scenarios, and the other environments' interpreters."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # `tests` is a package; nothing else puts it on the path

from tests.scenarios import Scenario, make_project  # noqa: E402
from tests.support.kedro_server import KedroServer  # noqa: E402
from tests.support.paths import CREATE_REPORT  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# The same examples in every run, and no time limit for one: a test that passes today passes tomorrow.
hypothesis.settings.register_profile("tests", derandomize=True, deadline=None, max_examples=120, database=None)
hypothesis.settings.register_profile("search", deadline=None, max_examples=5000)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "tests"))


@pytest.fixture(scope="session")
def kedro(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KedroServer]:
    """Kedro commands, each in a process of its own."""
    server = KedroServer(tmp_path_factory.mktemp("kedro"))
    yield server
    server.close()


@pytest.fixture(scope="session")
def shared_once(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Callable[[Path], Any]], Any]:
    """`once(name, make)`: what `make(folder)` returns, made by the first of all pytest processes that asks (as JSON)."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def get(name: str, make: Callable[[Path], Any]) -> Any:
        folder = shared / "once" / name
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            result = folder / "result.json"
            if not result.exists():
                value = make(folder)
                result.write_text(json.dumps(value), encoding="ascii")
        return json.loads(result.read_text(encoding="ascii"))

    return get


@pytest.fixture(scope="session")
def create_scenario(
    shared_once: Callable[[str, Callable[[Path], Any]], Any], kedro: KedroServer
) -> Callable[[Scenario], dict[str, Any]]:
    """`built(scenario)`: the project after `create`, as {folder, dags: {dag_id: file}, plans}; see create_report.py."""

    def get(scenario: Scenario) -> dict[str, Any]:
        return shared_once(
            f"built-{scenario.name}",
            lambda folder: run_create(kedro, make_project(scenario, folder / "p"), scenario.options),
        )

    return get


@pytest.fixture(scope="session")
def create_demo(
    shared_once: Callable[[str, Callable[[Path], Any]], Any], kedro: KedroServer
) -> Callable[[], dict[str, Any]]:
    """`built_demo()`: the same of a copy of the demo project."""

    def make(folder: Path) -> dict[str, Any]:
        leave = shutil.ignore_patterns("data", "dags", ".venv", "__pycache__", ".*_cache")
        return run_create(kedro, Path(shutil.copytree(ROOT / "demo-project", folder / "demo", ignore=leave)), ())

    return lambda: shared_once("built-demo", make)


def run_create(kedro: KedroServer, project: Path, options: tuple[str, ...]) -> dict[str, Any]:
    """Do what `create` does, without its command line, and say what was planned and written."""
    result = kedro.run_script(str(CREATE_REPORT), "--write", *options, cwd=project)
    if result.code:  # for the test of that project to say, not for every test
        return {"folder": str(project), "dags": {}, "plans": {}, "findings": [], "error": result.err}
    report = json.loads(result.out)
    folder = project / (options[options.index("--output") + 1] if "--output" in options else "dags")
    dags = {dag_id: str(folder / f"{dag_id}.py") for dag_id in report["plans"]}
    return {"folder": str(project), "dags": dags, "error": "", **report}
