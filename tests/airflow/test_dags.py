"""Every DAG that `create` writes for the demo and the scenarios, in real Airflow: loaded, rendered, made into pods.

`probe.py` runs once in each Airflow's own environment, for all DAG files; these tests read its report.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("kubernetes_validate")

from tests.airflow.pod_checks import VERSIONS, metadata_violations, restricted_violations, validate_pod
from tests.conftest import interpreter, run
from tests.kubelet import environment, expand
from tests.scenarios import BY_NAME, WORKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HERE = Path(__file__).parent
AIRFLOWS = {"airflow-3": "KKA_PYTHON_AIRFLOW_3", "airflow-2": "KKA_PYTHON_AIRFLOW_2"}
DEMO = "demo-project"
PROJECTS = (DEMO, *(scenario.name for scenario in WORKING))
PARAMS = "KEDRO_K8S_AIRFLOW_PARAMS"

Json = dict[str, Any]


@pytest.fixture(scope="session")
def built_all(built: Callable[..., Json], built_demo: Callable[[], Json]) -> Callable[[], dict[str, Json]]:
    """`built_all()`: every project after `create`, by name."""

    @lru_cache
    def get() -> dict[str, Json]:
        return {DEMO: built_demo(), **{scenario.name: built(scenario) for scenario in WORKING}}

    return get


@pytest.fixture(scope="session", params=AIRFLOWS)
def report(request: pytest.FixtureRequest, once: Callable[..., Json], built_all: Callable[[], dict[str, Json]]) -> Json:
    """What one Airflow says of every DAG file, by path; and of itself."""
    python = interpreter(AIRFLOWS[request.param])

    def probe(folder: Path) -> Json:
        files = [file for project in built_all().values() for file in project["dags"].values()]
        done = run([python, HERE / "probe.py", *files, "--out", folder / "probe.json", "--jobs", "2"])
        assert done.returncode == 0, done.stderr
        return json.loads((folder / "probe.json").read_text(encoding="ascii"))

    return once(f"probe-{request.param}", probe)


@pytest.fixture(params=PROJECTS)
def project(request: pytest.FixtureRequest, built_all: Callable[[], dict[str, Json]]) -> Json:
    return built_all()[request.param]


@pytest.fixture
def files(project: Json, report: Json) -> dict[str, Json]:
    """The report of each DAG file of the project, by dag_id."""
    return {dag_id: report["files"][file] for dag_id, file in project["dags"].items()}


@pytest.fixture
def dags(files: dict[str, Json]) -> dict[str, Json]:
    """Each DAG of the project as Airflow has it."""
    assert not [dag_id for dag_id, file in files.items() if list(file["dags"]) != [dag_id]], "not one DAG in a file"
    return {dag_id: file["dags"][dag_id] for dag_id, file in files.items()}


def tasks_of(dags: dict[str, Json]) -> Iterator[Json]:
    for dag in dags.values():
        yield from dag["tasks"].values()


def test_airflow_is_one_that_we_support(report: Json) -> None:
    assert re.match(r"2\.11\.|3\.", report["airflow"])
    assert [int(part) for part in report["provider"].split(".")[:2]] >= [10, 25]


def test_airflow_loads_the_file_without_error_warning_or_word(files: dict[str, Json]) -> None:
    for file in files.values():
        assert file["crash"] is None
        assert file["import_errors"] == []
        assert file["warnings"] == []
        assert file["bag_warnings"] == []
        assert file["output"] == ""
        assert file["stability"] is None, "Airflow 3 would see a new version of the DAG at every parse"


def test_tasks_edges_and_groups_are_those_of_the_plan(project: Json, dags: dict[str, Json]) -> None:
    for dag_id, dag in dags.items():
        plan = {task["id"]: task for task in project["plans"][dag_id]["tasks"]}
        assert dag["order"] == list(plan)
        assert {name: task["upstream"] for name, task in dag["tasks"].items()} == {
            name: sorted(task["after"]) for name, task in plan.items()
        }
        assert {name: task["group"] for name, task in dag["tasks"].items()} == {
            name: task["group"] for name, task in plan.items()
        }
        downstream = {name: sorted(other for other in plan if name in plan[other]["after"]) for name in plan}
        assert {name: task["downstream"] for name, task in dag["tasks"].items()} == downstream


def test_the_order_of_tasks_is_that_of_kedros_own_dependencies(project: Json, dags: dict[str, Json]) -> None:
    """Beside the plan: from what arrives in the pods to Kedro's own view of the pipeline."""
    for dag_id, dag in dags.items():
        kedro = project["plans"][dag_id]["kedro"]
        arrived = {name: nodes_of(task) for name, task in dag["tasks"].items()}
        assert sorted(node for nodes in arrived.values() for node in nodes) == sorted(kedro)
        done: dict[str, set[str]] = {}
        for name in dag["order"]:
            ready = set().union(*(done[other] for other in dag["tasks"][name]["upstream"]))
            for node in arrived[name]:
                assert ready >= set(kedro[node])
                ready.add(node)
            done[name] = ready


def nodes_of(task: Json) -> list[str]:
    """The nodes that the program in the pod is told to run, after Airflow's templates and the kubelet's expansion."""
    container = task["rendered_pod"]["spec"]["containers"][0]
    variables = {**environment(container), "HOME": "expanded", "x": "expanded"}
    arguments = [expand(argument, variables) for argument in container["args"]]
    return [argument.removeprefix("--node=") for argument in arguments if argument.startswith("--node=")]


def test_what_airflow_and_the_kubelet_leave_of_the_arguments_is_what_the_plan_says(
    project: Json, dags: dict[str, Json]
) -> None:
    for dag_id, dag in dags.items():
        plan = project["plans"][dag_id]
        nodes = {task["id"]: list(task["nodes"]) for task in plan["tasks"]}
        for name, task in dag["tasks"].items():
            assert task["errors"] == {}
            assert nodes_of(task) == nodes[name]
            container = task["rendered_pod"]["spec"]["containers"][0]
            fixed = [expand(argument, {}) for argument in container["args"] if "--node=" not in argument]
            assert f"--pipeline={plan['pipeline']}" in fixed
            noted = task["rendered_pod"]["metadata"]["annotations"]["kedro-k8s-airflow/nodes"]
            assert expand(noted, {}).split("\n") == "\n".join(nodes[name])[:30000].split("\n")


def test_parameters_arrive_as_json_with_the_values_of_the_trigger_form(project: Json, dags: dict[str, Json]) -> None:
    for dag_id, dag in dags.items():
        plan = project["plans"][dag_id]
        assert {name: param["value"] for name, param in dag["params"].items()} == plan["params"]
        for task in dag["tasks"].values():
            container = task["rendered_pod"]["spec"]["containers"][0]
            arrived = environment({"env": [{"name": "HOME", "value": "expanded"}, *container["env"]]}).get(PARAMS)
            given = {**plan["runtime_params"], **plan["params"]}
            assert (json.loads(arrived) if arrived else {}) == given


def test_every_pod_is_one_that_kubernetes_takes(dags: dict[str, Json]) -> None:
    for task in tasks_of(dags):
        for pod in (task["pod"], task["rendered_pod"]):
            assert metadata_violations(pod) == []
            for version in VERSIONS:
                assert validate_pod(pod, version) == []


def test_every_pod_meets_the_restricted_profile(dags: dict[str, Json]) -> None:
    for task in tasks_of(dags):
        for pod in (task["pod"], task["rendered_pod"]):
            assert restricted_violations(pod) == []


def test_the_dag_serialises_and_two_loads_give_one_hash(dags: dict[str, Json]) -> None:
    for dag in dags.values():
        assert dag["serialize_error"] is None
        first, second = dag["hashes"]
        assert first
        assert first == second


def test_what_airflows_pages_do_with_the_graph_works(dags: dict[str, Json]) -> None:
    for dag in dags.values():
        assert {name: result for name, result in dag["sorts"].items() if result != "ok"} == {}


def test_a_killed_pod_never_ends_as_a_success(dags: dict[str, Json]) -> None:
    for task in tasks_of(dags):
        assert "killed" in (task["guard"] or "")


# -- what the settings say, on Airflow's side and in the pod ----------------------------------------------------------


@pytest.fixture
def dag_of(report: Json, built: Callable[..., Json]) -> Callable[[str, str], Json]:
    """`dag_of(scenario, dag_id)`: one DAG as Airflow has it."""

    def get(name: str, dag_id: str = "project") -> Json:
        return report["files"][built(BY_NAME[name])["dags"][dag_id]]["dags"][dag_id]

    return get


def test_every_key_of_a_dag_reaches_airflow(dag_of: Callable[..., Json]) -> None:
    dag = dag_of("dag-everything")
    expected = {
        "start_date": "2026-01-01T06:30:00-05:00",
        "end_date": "2027-12-31T00:00:00-05:00",
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
def test_a_schedule_is_the_one_that_was_asked_for(name: str, summary: str, dag_of: Callable[..., Json]) -> None:
    dag = dag_of(name)
    assert dag["timetable"]["summary"].replace("Never, external triggers only", "None") == summary


def test_every_key_of_a_task_reaches_the_pod(dag_of: Callable[..., Json]) -> None:
    task = dag_of("rules-everything")["tasks"]["a"]
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
    assert {"configMapRef": {"name": "m"}} in [{key: value for key, value in one.items() if value} for one in container["envFrom"]]
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
        "retry_delay": 60.0,
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
    assert rendered["example.com/note"] == "it's {{ a }} 🚀"


def test_a_task_takes_away_what_the_others_share(dag_of: Callable[..., Json]) -> None:
    tasks = dag_of("rules-differ")["tasks"]
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


def test_a_later_rule_wins_and_maps_are_merged(dag_of: Callable[..., Json]) -> None:
    tasks = dag_of("rules-order")["tasks"]
    assert tasks["a"]["pod"]["spec"]["nodeSelector"] == {"a": "x", "b": "y"}
    assert tasks["b"]["pod"]["spec"]["nodeSelector"] == {"b": "y", "c": "z"}
    assert [tasks[name]["fields"]["retries"] for name in ("a", "b")] == [2, 3]


def test_fused_nodes_get_the_largest_of_each_resource(dag_of: Callable[..., Json]) -> None:
    (task,) = dag_of("resources-fused")["tasks"].values()
    assert task["pod"]["spec"]["containers"][0]["resources"] == {
        "requests": {"cpu": "4", "memory": "8Gi"},
        "limits": {"memory": "8Gi"},
    }
    assert task["fields"]["execution_timeout"] == 5400.0


def test_an_environment_changes_one_field_and_drops_a_rule(dag_of: Callable[..., Json]) -> None:
    overlaid = dag_of("env-overlay", "project_prod")["tasks"]["b"]
    assert (overlaid["fields"]["retries"], overlaid["pod"]["spec"]["priorityClassName"]) == (5, "high")
    assert overlaid["pod"]["metadata"]["namespace"] == "prod"
    assert overlaid["pod"]["spec"]["nodeSelector"] == {"disk": "ssd"}
    assert "priorityClassName" not in dag_of("env-null", "project_prod")["tasks"]["b"]["pod"]["spec"]


def test_the_credentials_secret_is_one_file_of_the_run_environment(dag_of: Callable[..., Json]) -> None:
    spec = dag_of("credentials-secret", "project_prod")["tasks"]["a"]["pod"]["spec"]
    (mount,) = [one for one in spec["containers"][0]["volumeMounts"] if one["mountPath"].startswith("/app/conf")]
    assert mount["mountPath"] == "/app/conf/prod/credentials_from_secret.yml"
    assert (mount["subPath"], mount["readOnly"]) == ("credentials.yml", True)
    (volume,) = [one for one in spec["volumes"] if one["name"] == mount["name"]]
    assert volume["secret"]["secretName"] == "kedro-credentials"  # noqa: S105  the name of a Secret is none


def test_the_defaults_of_a_task_suit_production(dag_of: Callable[..., Json]) -> None:
    task = dag_of("plain")["tasks"]["a"]
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
    home = environment(spec["containers"][0])["HOME"]
    assert places == {"/tmp", home}  # noqa: S108  the pod's own
    assert all(volume["emptyDir"]["sizeLimit"] for volume in spec["volumes"] if volume["name"] in writable)
    labels = task["pod"]["metadata"]["labels"]
    assert labels["app.kubernetes.io/part-of"] == "project"
    assert labels["kedro-k8s-airflow/task"] == "a"


def test_files_of_the_pods_disk_get_a_writable_folder(dag_of: Callable[..., Json]) -> None:
    (task,) = dag_of("pod-between")["tasks"].values()
    spec = task["pod"]["spec"]
    (mount,) = [one for one in spec["containers"][0]["volumeMounts"] if one["mountPath"] == "/app/tmp"]
    assert [volume["emptyDir"] for volume in spec["volumes"] if volume["name"] == mount["name"]]


# -- the text ---------------------------------------------------------------------------------------------------------


def all_files(built_all: Callable[[], dict[str, Json]]) -> list[str]:
    return [file for project in built_all().values() for file in project["dags"].values()]


def ruff(*arguments: str) -> subprocess.CompletedProcess[str]:
    return run([Path(sys.executable).with_name("ruff"), *arguments])


def test_ruffs_airflow_rules_find_nothing(built_all: Callable[[], dict[str, Json]]) -> None:
    done = ruff("check", "--isolated", "--no-cache", "--preview", "--select", "AIR", *all_files(built_all))
    assert done.returncode == 0, done.stdout


def test_ruffs_default_rules_find_nothing(built_all: Callable[[], dict[str, Json]]) -> None:
    done = ruff("check", "--isolated", "--no-cache", "--select", "E4,E7,E9,F,I", *all_files(built_all))
    assert done.returncode == 0, done.stdout


def test_ruffs_formatter_leaves_the_files_alone(built_all: Callable[[], dict[str, Json]]) -> None:
    done = ruff("format", "--isolated", "--no-cache", "--diff", *all_files(built_all))
    assert done.returncode == 0, done.stdout
