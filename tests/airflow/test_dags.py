"""Every DAG that `create` writes for the demo and the scenarios, in real Airflow: loaded, rendered, made into pods.

`probe.py` runs once in each Airflow's own environment, for all DAG files; these tests read its report.
"""

from __future__ import annotations

import copy
import json
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.paths import AIRFLOW_PROBE

pytest.importorskip("kubernetes_validate")

from tests.scenarios import BY_NAME, WORKING
from tests.support.airflow_probe.pod_checks import VERSIONS, metadata_violations, restricted_violations, validate_pod
from tests.support.environments import find_interpreter, run_process
from tests.support.kubelet import expand_environment, expand_variables

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterable, Iterator

AIRFLOWS = {"airflow-3": "KKA_PYTHON_AIRFLOW_3", "airflow-2": "KKA_PYTHON_AIRFLOW_2"}
DEMO = "demo-project"
PARAMS = "KEDRO_K8S_AIRFLOW_PARAMS"
RUN_ID = "manual__2026-03-04T05:06:07.089000+00:00"  # probe.py's

Json = dict[str, Any]


@pytest.fixture(scope="session")
def projects(create_scenario: Callable[..., Json], create_demo: Callable[[], Json]) -> dict[str, Json]:
    """Every project after `create`, by name."""
    # Two pytest processes begin at different ends, so that each makes a half.
    forwards = os.environ.get("PYTEST_XDIST_WORKER", "gw0") == "gw0"
    created = {scenario.name: create_scenario(scenario) for scenario in (WORKING if forwards else reversed(WORKING))}
    return {DEMO: create_demo(), **created}


@dataclass(frozen=True)
class CompiledDag:
    """One DAG file: what was planned, and what one Airflow has.

    Attributes:
        name: project and dag_id, for messages.
        plan: see create_report.py.
        file: the report of the file, see probe.py.
    """

    name: str
    dag_id: str
    plan: Json
    file: Json

    @property
    def in_airflow(self) -> Json:
        """The DAG as Airflow has it; nothing when it has not."""
        return self.file.get("dags", {}).get(self.dag_id) or {"tasks": {}}

    @property
    def tasks(self) -> Json:
        """Its tasks by id."""
        return self.in_airflow["tasks"]


@dataclass(frozen=True)
class AirflowReport:
    """Everything that one Airflow says."""

    report: Json
    dags: list[CompiledDag]

    def dag(self, project: str, dag_id: str = "project") -> Json:
        """One DAG as Airflow has it."""
        return next(dag.in_airflow for dag in self.dags if (dag.name, dag.dag_id) == (project, dag_id))


@pytest.fixture(scope="session", params=AIRFLOWS)
def airflow(
    request: pytest.FixtureRequest, shared_once: Callable[..., Json], projects: dict[str, Json]
) -> AirflowReport:
    """What one Airflow makes of every DAG file. Files of one content are loaded once."""
    python = find_interpreter(AIRFLOWS[request.param])
    files = {file: Path(file).read_bytes() for project in projects.values() for file in project["dags"].values()}
    first = {content: file for file, content in sorted(files.items(), reverse=True)}

    def probe(folder: Path) -> Json:
        jobs = "1" if "PYTEST_XDIST_WORKER" in os.environ else "2"  # the other process probes the other Airflow
        result = run_process([python, AIRFLOW_PROBE, *first.values(), "--out", folder / "probe.json", "--jobs", jobs])
        assert result.returncode == 0, result.stderr
        return json.loads((folder / "probe.json").read_text(encoding="ascii"))

    report = shared_once(f"probe-{request.param}", probe)
    dags = [
        CompiledDag(name, dag_id, project["plans"][dag_id], report["files"][first[files[file]]])
        for name, project in projects.items()
        for dag_id, file in project["dags"].items()
    ]
    return AirflowReport(report, dags)


def find_problems(airflow: AirflowReport, check: Callable[[CompiledDag], Iterable[object]]) -> dict[str, list[object]]:
    """What a check has to say, by DAG; empty is good."""
    found = {f"{dag.name}/{dag.dag_id}": list(check(dag)) for dag in airflow.dags}
    return {name: problems for name, problems in found.items() if problems}


def describe_difference(what: str, is_: object, should_be: object) -> Iterator[str]:
    """A sentence when two things differ."""
    if is_ != should_be:
        yield f"{what} is {is_!r}, and should be {should_be!r}"


def test_airflow_is_one_that_we_support(airflow: AirflowReport) -> None:
    assert re.match(r"2\.11\.|3\.", airflow.report["airflow"])
    assert [int(part) for part in airflow.report["provider"].split(".")[:2]] >= [10, 25]


def test_the_warm_up_of_the_probe_loads(airflow: AirflowReport) -> None:
    warm_up = airflow.report["warm_up"]
    assert list(warm_up["dags"]) == ["warm_up"]
    assert (warm_up["import_errors"], warm_up["warnings"], warm_up["bag_warnings"]) == ([], [], [])


def test_every_scenario_and_the_demo_are_loaded(airflow: AirflowReport) -> None:
    assert {dag.name for dag in airflow.dags} == {DEMO, *(scenario.name for scenario in WORKING)}
    assert find_problems(airflow, lambda dag: describe_difference("dags", list(dag.file["dags"]), [dag.dag_id])) == {}


def test_airflow_loads_every_file_without_errors_warnings_or_output(airflow: AirflowReport) -> None:
    def check(dag: CompiledDag) -> Iterator[str]:
        quiet = {
            "crash": None,
            "import_errors": [],
            "warnings": [],
            "bag_warnings": [],
            "output": "",
            "stability": None,
        }
        for name, nothing in quiet.items():
            yield from describe_difference(name, dag.file.get(name), nothing)

    assert find_problems(airflow, check) == {}


def test_tasks_edges_and_groups_are_those_of_the_plan(airflow: AirflowReport) -> None:
    def check(dag: CompiledDag) -> Iterator[str]:
        plan = {task["id"]: task for task in dag.plan["tasks"]}
        yield from describe_difference("order", dag.in_airflow["order"], list(plan))
        for name, task in plan.items():
            there = dag.tasks.get(name, {})
            below = sorted(other for other in plan if name in plan[other]["after"])
            yield from describe_difference(f"{name}: upstream", there.get("upstream"), sorted(task["after"]))
            yield from describe_difference(f"{name}: downstream", there.get("downstream"), below)
            yield from describe_difference(f"{name}: group", there.get("group"), task["group"])

    assert find_problems(airflow, check) == {}


def test_task_order_respects_kedro_dependencies(airflow: AirflowReport) -> None:
    """Beside the plan: from what arrives in the pods to Kedro's own view of the pipeline."""

    def check(dag: CompiledDag) -> Iterator[str]:
        kedro = dag.plan["kedro"]
        result: dict[str, set[str]] = {}
        for name in dag.in_airflow["order"]:
            result[name] = set().union(*(result[other] for other in dag.tasks[name]["upstream"]))
            for node in read_nodes(dag.tasks[name]):
                missing = set(kedro[node]) - result[name]
                if missing:
                    yield f"{name}: {node!r} starts before {missing}"
                result[name].add(node)
        yield from describe_difference("nodes", sorted(set().union(*result.values())), sorted(kedro))

    assert find_problems(airflow, check) == {}


def main_container(task: Json) -> Json:
    """The container of a task's pod in a run."""
    return task["rendered_pod"]["spec"]["containers"][0]


def read_nodes(task: Json) -> list[str]:
    """The nodes that the program in the pod is told to run, after Airflow's templates and the kubelet's expansion."""
    variables = {**expand_environment(main_container(task)), "HOME": "expanded", "x": "expanded"}
    arguments = [expand_variables(argument, variables) for argument in main_container(task)["args"]]
    plain = [argument.removeprefix("--nodes=").split(",") for argument in arguments if argument.startswith("--nodes=")]
    ours = [argument.removeprefix("--node=") for argument in arguments if argument.startswith("--node=")]
    return [*ours, *(name for names in plain for name in names)]


def test_pod_arguments_after_templating_and_expansion_match_the_plan(airflow: AirflowReport) -> None:
    def check(dag: CompiledDag) -> Iterator[str]:
        for task in dag.plan["tasks"]:
            there = dag.tasks[task["id"]]
            yield from describe_difference(f"{task['id']}: errors", there["errors"], {})
            given = [expand_variables(argument, {}) for argument in main_container(there)["args"]]
            if task["runner"] == "kedro":
                run = ["run", f"--pipelines={task['pipeline']}", f"--nodes={','.join(task['nodes'])}"]
                yield from describe_difference(f"{task['id']}: kedro", given[:3], run)
                continue
            yield from describe_difference(f"{task['id']}: nodes", read_nodes(there), list(task["nodes"]))
            for option, output in (
                ("pipeline", [task["pipeline"]]),
                ("memory", task["memory"]),
                ("stored", task["stored"]),
                ("version-of", task["versions"]),
                ("latest-of", task["latest"]),
            ):
                found = [text.partition("=")[2] for text in given if text.startswith(f"--{option}=")]
                yield from describe_difference(f"{task['id']}: {option}", found, output)
            for flag in task["flags"]:
                yield from describe_difference(f"{task['id']}: flag", flag in given, True)

    assert find_problems(airflow, check) == {}


def test_pod_annotations_name_the_nodes(airflow: AirflowReport) -> None:
    def check(dag: CompiledDag) -> Iterator[str]:
        for task in dag.plan["tasks"]:
            noted = dag.tasks[task["id"]]["rendered_pod"]["metadata"]["annotations"]["kedro-k8s-airflow/nodes"]
            yield from describe_difference(task["id"], noted, "\n".join(task["nodes"])[:30000])

    assert find_problems(airflow, check) == {}


def test_trigger_form_values_reach_pods_as_json(airflow: AirflowReport) -> None:
    def check(dag: CompiledDag) -> Iterator[str]:
        offered = {name: param["value"] for name, param in dag.in_airflow["params"].items()}
        yield from describe_difference("offered", offered, dag.plan["params"])
        for name, task in dag.tasks.items():
            variables = [{"name": "HOME", "value": "expanded"}, *main_container(task)["env"]]
            arrived = json.loads(expand_environment({"env": variables}).get(PARAMS, "{}"))
            decided = {macro: arrived.pop(macro, None) for macro in dag.plan["macros"]}
            yield from describe_difference(name, arrived, {**dag.plan["runtime_params"], **dag.plan["params"]})
            if decided:
                run = json.loads(expand_environment({"env": variables})["KEDRO_K8S_AIRFLOW_RUN"])
                values = {"run_date": "2026-03-04", "deep.run": run["run_id"], "deep.try": run["try_number"]}
                yield from describe_difference(f"{name}: macros", decided, values)

    assert find_problems(airflow, check) == {}


# What somebody types into the trigger form; `note` and `names.x` are not offered there.
FORM = {
    "model.depth": 9,
    "model.name": "it's {{ run_id }} $(HOME) $$ \u2028 \\ \" 🚀",
    "model.none": "now a text",
    "names": [],
    "note": "s3://elsewhere",
    "names.x": 1,
}


@pytest.mark.parametrize("variable", AIRFLOWS.values(), ids=AIRFLOWS)
def test_trigger_form_input_reaches_pods_unchanged(
    variable: str, create_scenario: Callable[..., Json], tmp_path: Path
) -> None:
    project = create_scenario(BY_NAME["params-offered"])
    (file,), (plan,) = project["dags"].values(), project["plans"].values()
    conf = tmp_path / "conf.json"
    conf.write_text(json.dumps(FORM), encoding="ascii")

    command = [find_interpreter(variable), AIRFLOW_PROBE, file, "--out", tmp_path / "out.json", "--conf", f"@{conf}"]
    result = run_process(command)

    assert result.returncode == 0, result.stderr
    (dag,) = json.loads((tmp_path / "out.json").read_text(encoding="ascii"))["files"][file]["dags"].values()
    for task in dag["tasks"].values():
        arrived = expand_environment({"env": [{"name": "HOME", "value": "expanded"}, *main_container(task)["env"]]})[
            PARAMS
        ]
        assert json.loads(arrived) == {name: FORM.get(name, value) for name, value in plan["params"].items()}


def rendered_pods(dag: CompiledDag) -> Iterator[tuple[str, Json]]:
    """Each task's pod as it is planned and as it is in a run."""
    for name, task in dag.tasks.items():
        for kind in ("pod", "rendered_pod"):
            yield f"{name}: {kind}", task.get(kind) or {}


# Labels that Airflow adds to what it was told: which run and try a pod is of.
TRY_LABELS = {
    "airflow_kpo_in_cluster",
    "airflow_version",
    "dag_id",
    "kubernetes_pod_operator",
    "map_index",
    "run_id",
    "task_id",
    "try_number",
}


def find_differences(path: str, ours: object, rendered: object, emitted: object) -> Iterator[str]:
    """Where a pod by hand differs from the one that Airflow makes, without what only a run can know.

    What the operator leaves empty or false is not said at all by hand. Templates of the user's own stand as they were written.
    """
    if isinstance(ours, dict) and isinstance(rendered, dict) and isinstance(emitted, dict):
        theirs = {key: value for key, value in rendered.items() if value not in ({}, [], False) or key in ours}
        yield from describe_difference(f"{path}: keys", sorted(ours), sorted(theirs))
        for key in set(ours) & set(theirs):
            yield from find_differences(f"{path}.{key}", ours[key], theirs[key], emitted.get(key))
    elif isinstance(ours, list) and isinstance(rendered, list) and isinstance(emitted, list):
        yield from describe_difference(f"{path}: length", len(ours), len(rendered))
        for index, parts in enumerate(zip(ours, rendered, emitted, strict=False)):
            yield from find_differences(f"{path}[{index}]", *parts)
    elif not (isinstance(ours, str) and "{{" in ours and ours == emitted):
        yield from describe_difference(path, ours, rendered)


def test_debug_manifest_equals_the_pod_airflow_builds(airflow: AirflowReport) -> None:
    def check(dag: CompiledDag) -> Iterator[str]:
        for task in dag.plan["tasks"]:
            there = dag.tasks[task["id"]]
            ours, rendered, emitted = copy.deepcopy([task["by_hand"]["pod"], there["rendered_pod"], there["pod"]])
            for pod in (ours, rendered, emitted):
                pod["metadata"].pop("name")
                for label in TRY_LABELS:
                    pod["metadata"]["labels"].pop(label, None)
            run, theirs = (run_decided_values(pod) for pod in (ours, rendered))
            run_decided_values(emitted)
            yield from find_differences(task["id"], ours, rendered, emitted)
            for key in ("dag_id", "task_id"):
                yield from describe_difference(f"{task['id']}: {key}", run["run"][key], theirs["run"][key])
            yield from describe_difference(f"{task['id']}: run", sorted(run["run"]), sorted(theirs["run"]))
            params = {name: value for name, value in theirs["params"].items() if name not in dag.plan["macros"]}
            yield from describe_difference(f"{task['id']}: params", run["params"], params)

    assert find_problems(airflow, check) == {}


def run_decided_values(pod: Json) -> Json:
    """The values of the variables that a run decides; in the pod only their names are left."""
    variables = pod["spec"]["containers"][0]["env"]
    found: Json = {"run": {}, "params": {}}
    for variable in variables:
        kind = {PARAMS: "params", "KEDRO_K8S_AIRFLOW_RUN": "run"}.get(variable["name"])
        if kind:
            text = variable.pop("value")
            found[kind] = json.loads(text) if not text.startswith("{{") else {}
    return found


@pytest.mark.parametrize("version", VERSIONS)
def test_every_debug_manifest_passes_the_kubernetes_schema(version: str, projects: dict[str, Json]) -> None:
    problems = {
        f"{name}/{dag_id}/{task['id']}": found
        for name, project in projects.items()
        for dag_id, plan in project["plans"].items()
        for task in plan["tasks"]
        for pod in [task["by_hand"]["pod"]]
        if (found := [*validate_pod(pod, version), *metadata_violations(pod), *restricted_violations(pod)])
    }
    assert problems == {}


@pytest.mark.parametrize("version", VERSIONS)
def test_every_pod_passes_the_kubernetes_schema(version: str, airflow: AirflowReport) -> None:
    def check(dag: CompiledDag) -> Iterator[str]:
        for name, pod in rendered_pods(dag):
            yield from (f"{name}: {problem}" for problem in validate_pod(pod, version))

    assert find_problems(airflow, check) == {}


@pytest.mark.parametrize("violations", [metadata_violations, restricted_violations])
def test_every_pod_has_legal_names_and_meets_the_restricted_profile(
    violations: Callable[[Json], list[str]], airflow: AirflowReport
) -> None:
    def check(dag: CompiledDag) -> Iterator[str]:
        for name, pod in rendered_pods(dag):
            yield from (f"{name}: {problem}" for problem in violations(pod))

    assert find_problems(airflow, check) == {}


def test_every_dag_serialises_and_two_loads_give_one_hash(airflow: AirflowReport) -> None:
    def check(dag: CompiledDag) -> Iterator[str]:
        yield from describe_difference("error", dag.in_airflow["serialize_error"], None)
        first, second = dag.in_airflow["hashes"]
        yield from describe_difference("second hash", second, first or "a hash")

    assert find_problems(airflow, check) == {}


def test_airflow_ui_can_process_every_graph(airflow: AirflowReport) -> None:
    def check(dag: CompiledDag) -> Iterator[str]:
        yield from (f"{name}: {result}" for name, result in dag.in_airflow["sorts"].items() if result != "ok")

    assert find_problems(airflow, check) == {}


def test_a_killed_pod_never_ends_as_a_success(airflow: AirflowReport) -> None:
    def check(dag: CompiledDag) -> Iterator[str]:
        yield from (name for name, task in dag.tasks.items() if "killed" not in (task.get("guard") or ""))

    assert find_problems(airflow, check) == {}


# -- what the settings say, on Airflow's side and in the pod ----------------------------------------------------------


def test_every_key_of_a_dag_reaches_airflow(airflow: AirflowReport) -> None:
    dag = airflow.dag("dag-everything")
    expected = {
        "start_date": "2026-01-01T11:30:00+00:00",
        "end_date": "2027-12-31T05:00:00+00:00",
        "catchup": True,
        "max_active_runs": 3,
        "max_active_tasks": 7,
        "dagrun_timeout": 86400.0,
        "description": "A \"quoted\" \\ {{ description }} with 'all' $(HOME)",
        "dag_display_name": "Flüge 🚀 {{ x }}",
        "is_paused_upon_creation": True,
        "timezone": "America/New_York",
    }
    assert {name: dag[name] for name in expected} == expected
    assert dag["doc_md"].strip() == '# Title\n\n{{ not_a_template }} and `code` and """quotes"""'
    assert set(dag["tags"]) == {"it's", "{{ x }}", "数据"}
    assert dag["timetable"]["summary"] == "*/15 6-18 * * 1-5"
    assert dag["default_args"] == {
        "owner": 'R&D "team"',
        "retries": 2,
        "retry_delay": 90.0,
        "retry_exponential_backoff": True,
    }
    failure, success = dag["on_failure_callback"], dag["on_success_callback"]
    assert failure["fields"]["slack_webhook_conn_id"] == success["fields"]["slack_webhook_conn_id"] == "slack_default"
    assert failure["fields"]["text"] == "{{ dag.dag_id }} failed in {{ run_id }}"
    task = dag["tasks"]["a"]["fields"]
    assert (task["owner"], task["retries"], task["retry_delay"]) == ('R&D "team"', 2, 90.0)


@pytest.mark.parametrize(("name", "words"), [("dag-graph", "# Title\n\n{{ x }}\n\n"), ("dag-graph-alone", "")])
def test_plan_diagram_matches_the_dag_doc(
    name: str, words: str, airflow: AirflowReport, projects: dict[str, Json]
) -> None:
    doc = airflow.dag(name)["doc_md"]
    assert doc.strip() == f"{words}```mermaid\n{projects[name]['picture']}```"
    assert doc.count("```") == 2, "no name ends the picture's block"


@pytest.mark.parametrize(
    ("name", "summary"),
    [
        ("dag-null", "None"),
        ("dag-once", "@once"),
        ("dag-continuous", "@continuous"),
        ("dag-preset", "0 0 * * *"),
        ("dag-every", "0:30:00"),
    ],
)
def test_dag_has_the_configured_schedule(name: str, summary: str, airflow: AirflowReport) -> None:
    dag = airflow.dag(name)
    assert dag["timetable"]["summary"].replace("Never, external triggers only", "None") == summary


def test_every_key_of_a_task_reaches_the_pod(airflow: AirflowReport) -> None:
    task = airflow.dag("rules-everything")["tasks"]["a"]
    spec, metadata = task["pod"]["spec"], task["pod"]["metadata"]
    container = spec["containers"][0]
    assert container["resources"] == {
        "requests": {"cpu": "500m", "memory": "1Gi", "ephemeral-storage": "1Gi"},
        "limits": {"memory": "2Gi", "cpu": "2"},
    }
    variables = {variable["name"]: variable for variable in container["env"]}
    assert variables["A"]["value"] == "1"
    assert variables["B_PASSWORD"]["valueFrom"] == {"secretKeyRef": {"name": "s", "key": "k"}}
    assert {"prefix": "P_", "secretRef": {"name": "s", "optional": True}} in container["envFrom"]
    assert {"configMapRef": {"name": "m"}} in [
        {key: value for key, value in one.items() if value} for one in container["envFrom"]
    ]
    assert {"team": "flights", "example.com/cost": "42"}.items() <= metadata["labels"].items()
    assert container["imagePullPolicy"] == "Always"
    assert spec["imagePullSecrets"] == [{"name": "regcred"}]
    assert spec["serviceAccountName"] == "kedro"
    assert spec["automountServiceAccountToken"] is False
    assert spec["nodeSelector"] == {"disk": "ssd"}
    assert spec["tolerations"] == [{"key": "spot", "operator": "Exists", "effect": "NoSchedule"}]
    terms = spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    assert terms == [{"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a"]}]}]
    assert spec["priorityClassName"] == "high"
    assert spec["runtimeClassName"] == "gvisor"
    assert spec["schedulerName"] == "default-scheduler"
    assert spec["dnsPolicy"] == "ClusterFirst"
    assert spec["terminationGracePeriodSeconds"] == 120
    assert spec["activeDeadlineSeconds"] == 3 * 3600
    assert spec["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 1234,
        "fsGroupChangePolicy": "OnRootMismatch",
        "supplementalGroups": [5],
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]},
        "readOnlyRootFilesystem": False,
    }
    assert {"name": "cache", "emptyDir": {"sizeLimit": "1Gi"}} in spec["volumes"]
    assert {"name": "conf", "configMap": {"name": "m"}} in spec["volumes"]
    assert {"name": "conf", "mountPath": "/etc/x", "subPath": "a", "readOnly": True} in container["volumeMounts"]
    fields = task["fields"]
    expected = {
        "retries": 4,
        "retry_delay": 180.0,
        "execution_timeout": 7200.0,
        "priority_weight": 5,
        "queue": "kubernetes",
        "pool": "kedro",
        "trigger_rule": "none_failed",
        "in_cluster": True,
        "deferrable": False,
        "log_events_on_startup": False,
    }
    assert {name: fields[name] for name in expected} == expected
    rendered = task["rendered_pod"]["metadata"]["annotations"]
    assert rendered["example.com/note"] == f"it's {RUN_ID} 🚀"


def test_null_removes_an_inherited_setting(airflow: AirflowReport) -> None:
    tasks = airflow.dag("rules-differ")["tasks"]
    a, b = (tasks[name]["pod"] for name in ("a", "b"))
    assert a["spec"]["nodeSelector"] == {"disk": "ssd"}
    assert a["spec"]["priorityClassName"] == "high"
    assert a["metadata"]["labels"]["a"] == "b"
    assert not b["spec"].get("nodeSelector")
    assert not b["spec"].get("priorityClassName")
    assert "a" not in b["metadata"]["labels"]
    assert "X" not in {variable["name"] for variable in b["spec"]["containers"][0]["env"]}
    assert "activeDeadlineSeconds" not in b["spec"]
    assert b["spec"]["containers"][0]["image"] == "registry.example.com/gpu:1.2"
    assert b["spec"]["containers"][0]["resources"]["limits"] == {"memory": "4Gi", "nvidia.com/gpu": "1"}
    assert "execution_timeout" not in tasks["b"]["fields"]
    assert (tasks["a"]["fields"]["deferrable"], tasks["b"]["fields"]["deferrable"]) == (True, False)


def test_a_later_rule_wins_and_maps_are_merged(airflow: AirflowReport) -> None:
    tasks = airflow.dag("rules-order")["tasks"]
    assert tasks["a"]["pod"]["spec"]["nodeSelector"] == {"a": "x", "b": "y"}
    assert tasks["b"]["pod"]["spec"]["nodeSelector"] == {"b": "y", "c": "z"}
    assert [tasks[name]["fields"]["retries"] for name in ("a", "b")] == [2, 3]


def test_fused_nodes_get_the_largest_of_each_resource(airflow: AirflowReport) -> None:
    (task,) = airflow.dag("resources-fused")["tasks"].values()
    assert task["pod"]["spec"]["containers"][0]["resources"] == {
        "requests": {"cpu": "4", "memory": "8Gi"},
        "limits": {"memory": "8Gi"},
    }
    assert task["fields"]["execution_timeout"] == 5400.0


def test_an_environment_changes_one_field_and_drops_a_rule(airflow: AirflowReport) -> None:
    overlaid = airflow.dag("env-overlay", "project_prod")["tasks"]["b"]
    assert (overlaid["fields"]["retries"], overlaid["pod"]["spec"]["priorityClassName"]) == (5, "high")
    assert overlaid["pod"]["metadata"]["namespace"] == "prod"
    assert overlaid["pod"]["spec"]["nodeSelector"] == {"disk": "ssd"}
    assert "priorityClassName" not in airflow.dag("env-null", "project_prod")["tasks"]["b"]["pod"]["spec"]


def test_the_credentials_secret_is_one_file_of_the_run_environment(airflow: AirflowReport) -> None:
    spec = airflow.dag("credentials-secret", "project_prod")["tasks"]["a"]["pod"]["spec"]
    (mount,) = [one for one in spec["containers"][0]["volumeMounts"] if one["mountPath"].startswith("/app/conf")]
    assert mount["mountPath"] == "/app/conf/prod/credentials_from_secret.yml"
    assert (mount["subPath"], mount["readOnly"]) == ("credentials.yml", True)
    (volume,) = [one for one in spec["volumes"] if one["name"] == mount["name"]]
    assert volume["secret"]["secretName"] == "kedro-credentials"


def test_the_defaults_of_a_task_suit_production(airflow: AirflowReport) -> None:
    task = airflow.dag("plain")["tasks"]["a"]
    fields, spec = task["fields"], task["pod"]["spec"]
    expected = {
        "deferrable": True,
        "do_xcom_push": False,
        "on_finish_action": "delete_pod",
        "automount_service_account_token": False,
        "termination_message_policy": "FallbackToLogsOnError",
        "log_pod_spec_on_failure": False,
        "logging_interval": 60,
    }
    assert {name: fields[name] for name in expected} == expected
    assert spec["activeDeadlineSeconds"] == 24 * 3600
    assert spec["containers"][0]["securityContext"]["readOnlyRootFilesystem"] is True
    writable = {volume["name"] for volume in spec["volumes"] if "emptyDir" in volume}
    places = {mount["mountPath"] for mount in spec["containers"][0]["volumeMounts"] if mount["name"] in writable}
    home = expand_environment(spec["containers"][0])["HOME"]
    assert places == {"/tmp", home}  # noqa: S108  the pod's own
    assert all(volume["emptyDir"]["sizeLimit"] for volume in spec["volumes"] if volume["name"] in writable)
    labels = task["pod"]["metadata"]["labels"]
    assert labels["app.kubernetes.io/part-of"] == "project"
    assert labels["kedro-k8s-airflow/task"] == "a"


def test_files_of_the_pods_disk_get_a_writable_folder(airflow: AirflowReport) -> None:
    (task,) = airflow.dag("pod-between")["tasks"].values()
    spec = task["pod"]["spec"]
    (mount,) = [one for one in spec["containers"][0]["volumeMounts"] if one["mountPath"] == "/app/tmp"]
    assert [volume["emptyDir"] for volume in spec["volumes"] if volume["name"] == mount["name"]]


# -- the text ---------------------------------------------------------------------------------------------------------


def run_ruff(projects: dict[str, Json], *arguments: str) -> subprocess.CompletedProcess[str]:
    files = [file for project in projects.values() for file in project["dags"].values()]
    return run_process([Path(sys.executable).with_name("ruff"), *arguments, "--isolated", "--no-cache", *files])


def test_ruffs_airflow_rules_find_nothing(projects: dict[str, Json]) -> None:
    result = run_ruff(projects, "check", "--preview", "--select", "AIR")
    assert result.returncode == 0, result.stdout


def test_ruffs_default_rules_and_its_order_of_imports_find_nothing(projects: dict[str, Json]) -> None:
    result = run_ruff(projects, "check", "--select", "E4,E7,E9,F,I")
    assert result.returncode == 0, result.stdout


def test_ruffs_formatter_leaves_the_files_alone(projects: dict[str, Json]) -> None:
    result = run_ruff(projects, "format", "--diff")
    assert result.returncode == 0, result.stdout
