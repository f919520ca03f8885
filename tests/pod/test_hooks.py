"""What the project's hooks see in a pod is what they see under `kedro run` of the same nodes."""

from __future__ import annotations

import inspect
import json
import os
from typing import TYPE_CHECKING, Any

import pytest
from kedro.framework.hooks import specs

from tests.support.kedro_server import clean_env

if TYPE_CHECKING:
    from pathlib import Path

    from tests.pod.conftest import PodLauncher

ALL_SPECS = {
    name
    for title, one in vars(specs).items()
    if inspect.isclass(one) and title.endswith("Specs")
    for name, func in vars(one).items()
    if hasattr(func, "kedro_spec")
}
WORKS = ("first", "second", "third")
GROUPS = {"works": WORKS, "node fails": ("first", "failing"), "load fails": ("first", "unloadable")}
CODES = {"works": 0, "node fails": 1, "load fails": 1}
ERRORS = {"on_node_error", "on_pipeline_error"}


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    """A folder with an installed distribution whose entry point gives Kedro hooks."""
    folder = tmp_path / "site"
    info = folder / "noting-0.1.dist-info"
    info.mkdir(parents=True)
    (folder / "noting.py").write_text("from project.hooks import recording\n\nhooks = recording('plugin')\n")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: noting\nVersion: 0.1\n")
    (info / "entry_points.txt").write_text("[kedro.hooks]\nnoting = noting:hooks\n")
    return folder


def read_calls(log: Path) -> list[dict[str, Any]]:
    """Every call of a hook, in order."""
    return [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]


def run_pod_and_kedro(
    pods: PodLauncher, plugin: Path, nodes: tuple[str, ...], runner: str
) -> list[tuple[int, list[Any]]]:
    """Exit code and calls of the pod, then those of `kedro run`, which runs at the same time."""
    logs = [plugin.parent / f"{name}.log" for name in ("pod", "kedro")]
    env = {"PYTHONPATH": os.pathsep.join([str(plugin), pods.base["PYTHONPATH"]]), "HOOK_LOG": str(logs[0])}
    memory = ("--memory=h_first", "--memory=h_second")
    pod = pods.start("hooked", *nodes, options=(*memory, f"--runner={runner}"), env=env)
    run = ["run", "--pipelines=hooked", f"--nodes={','.join(nodes)}", f"--runner={runner}"]
    start = f"import os; os.chdir({str(pods.project)!r}); from kedro.framework.cli.cli import main; main()"
    kedro = pods.start_command([str(pods.python), "-c", start, *run], clean_env(**{**env, "HOOK_LOG": str(logs[1])}))
    ended = [pod.wait_for_end(), kedro.wait_for_end()]
    return [(one.code, read_calls(log)) for one, log in zip(ended, logs, strict=True)]


@pytest.mark.parametrize("group", GROUPS)
def test_every_hook_is_called_as_by_kedro_run(any_pods: PodLauncher, plugin: Path, group: str) -> None:
    pod, kedro = run_pod_and_kedro(any_pods, plugin, GROUPS[group], "SequentialRunner")
    assert pod == kedro
    code, seen = pod
    assert code == CODES[group]
    for who in ("project", "plugin"):
        called = {call["spec"] for call in seen if call["who"] == who}
        if group == "works":
            assert called == ALL_SPECS - ERRORS
        elif group == "node fails":
            assert called >= ERRORS
        else:
            assert called & ERRORS == {"on_pipeline_error"}


@pytest.mark.parametrize("runner", ["ThreadRunner", "ParallelRunner"])
@pytest.mark.parametrize("group", ["works", "node fails"])
def test_other_runners_call_hooks_as_by_kedro_run(pods: PodLauncher, plugin: Path, group: str, runner: str) -> None:
    pod, kedro = run_pod_and_kedro(pods, plugin, GROUPS[group], runner)
    assert pod == kedro
    code, seen = pod
    assert code == CODES[group]
    assert "on_pipeline_error" in {call["spec"] for call in seen} or group == "works"
    assert "after_node_run" in {call["spec"] for call in seen}


def test_hook_return_value_replaces_node_inputs(pods: PodLauncher) -> None:
    pods.write_data("word.txt", "hello")
    pods.run_successfully("plain", "shout", "give_at_last", options=("--memory=loud",), env={"HOOK_REPLACES": "1"})
    assert pods.read_data("last.txt") == "REPLACED"


def test_hooks_learn_dag_task_and_try_from_the_environment_and_versions_from_kedro(
    pods: PodLauncher, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    (pods.project / "src" / "project" / "settings.py").write_text("""
import json
import os
from pathlib import Path

from kedro.framework.hooks import hook_impl


class Telling:
    @hook_impl
    def before_pipeline_run(self, run_params):
        run = json.loads(os.environ["KEDRO_K8S_AIRFLOW_RUN"])
        Path(os.environ["HOOK_LOG"]).write_text(json.dumps([run, run_params["run_id"], run_params["load_versions"]]))


HOOKS = (Telling(),)
""")
    pods.run_successfully("versions", "write", "read", try_number=3, env={"HOOK_LOG": str(log)})
    run, run_id, load_versions = json.loads(log.read_text())
    assert (run["dag_id"], run["task_id"], run["try_number"]) == ("dag", "task", 3)
    assert pods.saved_versions("kept.txt") == [run_id]
    assert not load_versions
    pods.run_successfully("versions", "read", options=("--version-of=kept",), env={"HOOK_LOG": str(log)})
    assert json.loads(log.read_text())[2] == {"kept": run_id}
