"""`manifests`: the objects that are written, those that are not, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml

from kedro_k8s_airflow.config.models import parse_settings
from kedro_k8s_airflow.kubernetes.cluster_needs import ClaimRequest, find_claims
from tests.checks.cases import make_scenario
from tests.scenarios import make_project
from tests.scenarios.model import Node, Scenario, Works, pickle_entries

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.kedro_server import KedroServer

_SETTINGS = """
image: registry.example.com/x:1
namespace: jobs
credentials_secret: {name: flights-credentials, key: credentials.yml}
data:
  volumes:
    raw: {claim: raw, mount: data, accessMode: ReadWriteMany, size: 20Gi, storageClassName: fast}
    out: {claim: out, mount: models, accessMode: ReadWriteOnce}
tasks:
  all:
    serviceAccountName: kedro-pods
    imagePullSecrets: [{name: registry}]
    env: [{name: A, valueFrom: {configMapKeyRef: {name: colours, key: a, optional: true}}}]
    envFrom: [{secretRef: {name: tokens}}]
    volumes: [{name: more, persistentVolumeClaim: {claimName: more}}]
    operator: {pod_template_dict: {spec: {priorityClassName: high}}}
"""


def load_objects(file: Path) -> dict[tuple[str, str], dict[str, Any]]:
    """Return the objects of a manifest by kind and name."""
    loaded = list(yaml.safe_load_all(file.read_text(encoding="utf-8")))
    return {(one["kind"], one["metadata"]["name"]): one for one in loaded}


def test_manifests_writes_what_the_pods_need_and_names_the_rest(kedro: KedroServer, tmp_path: Path) -> None:
    project = make_project(make_scenario("x", whole=_SETTINGS), tmp_path / "project")
    outcome = kedro.run_command("k8s-airflow", "manifests", "--size", "out=5Gi", cwd=project)
    assert outcome.code == 0, outcome.err
    folder = project / "manifests"
    claims = load_objects(folder / "volume-claims.yml")
    assert {name: claim["spec"] for (_, name), claim in claims.items()} == {
        "raw": {
            "accessModes": ["ReadWriteMany"],
            "storageClassName": "fast",
            "resources": {"requests": {"storage": "20Gi"}},
        },
        "out": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "5Gi"}}},
    }
    assert {claim["metadata"]["namespace"] for claim in claims.values()} == {"jobs"}
    accounts = load_objects(folder / "service-accounts.yml")
    assert [(*key, one["automountServiceAccountToken"]) for key, one in accounts.items()] == [
        ("ServiceAccount", "kedro-pods", False)
    ]
    listed = {
        tuple(line.split()[2:4])
        for line in f"{outcome.out}\n{outcome.err}".splitlines()
        if line.startswith("not written")
    }
    assert listed == {
        ("PersistentVolumeClaim", "more:"),
        ("PriorityClass", "high:"),
        ("Secret", "flights-credentials:"),
        ("Secret", "registry:"),
        ("Secret", "tokens:"),
    }

    cleanup = load_objects(folder / "cleanup.yml")
    assert {kind for kind, _ in cleanup} == {"ServiceAccount", "Role", "RoleBinding", "CronJob"}
    (name,) = {name for _, name in cleanup}
    assert cleanup["Role", name]["rules"] == [{"apiGroups": [""], "resources": ["pods"], "verbs": ["delete", "list"]}]
    pod = cleanup["CronJob", name]["spec"]["jobTemplate"]["spec"]["template"]
    (container,) = pod["spec"]["containers"]
    selector = dict(pair.split("=") for pair in container["args"][0].split(","))
    assert selector == claims["PersistentVolumeClaim", "raw"]["metadata"]["labels"]
    assert not selector.items() <= pod["metadata"]["labels"].items()  # it does not delete itself
    assert pod["spec"]["serviceAccountName"] == name
    compile(container["command"][-1], "cleanup", "exec")
    assert "$(" not in container["command"][-1]  # the kubelet would expand it


@pytest.mark.parametrize("size", ["big", "out=", "0", "5Gi --size 6Gi"])
def test_a_wrong_size_is_refused_and_nothing_is_written(size: str, kedro: KedroServer, tmp_path: Path) -> None:
    project = make_project(make_scenario("x", whole=_SETTINGS), tmp_path / "project")
    assert kedro.run_command("k8s-airflow", "manifests", "--size", *size.split(), cwd=project).code == 2
    assert not (project / "manifests").exists()


@pytest.mark.parametrize(
    ("volumes", "sizes", "storage_class", "expected"),
    [
        ({"a": {"claim": "c", "accessMode": "ReadWriteOnce"}}, {}, None, "--size c=10Gi"),
        ({"a": {"claim": "c"}}, {None: "1Gi"}, None, "data.volumes.a.accessMode"),
        (
            {"a": {"claim": "c", "accessMode": "ReadWriteOnce", "size": "1Gi"}},
            {None: "9Gi"},
            None,
            ClaimRequest("c", ("ReadWriteOnce",), "1Gi", None),
        ),
        (
            {"a": {"claim": "c", "accessMode": "ReadWriteOnce", "size": "1Gi"}},
            {"c": "9Gi"},
            "slow",
            ClaimRequest("c", ("ReadWriteOnce",), "9Gi", "slow"),
        ),
        (
            {
                "a": {"claim": "c", "accessMode": "ReadWriteMany", "size": "1Gi"},
                "b": {"claim": "c", "accessMode": "ReadOnlyMany", "size": "3Gi", "storageClassName": "s"},
            },
            {},
            None,
            ClaimRequest("c", ("ReadWriteMany", "ReadOnlyMany"), "3Gi", "s"),
        ),
        (
            {
                "a": {"claim": "c", "accessMode": "ReadWriteMany", "size": "1Gi", "storageClassName": "s"},
                "b": {"claim": "c", "storageClassName": "t"},
            },
            {},
            None,
            "several storage classes (s, t)",
        ),
    ],
)
def test_a_claim_is_written_only_when_everything_is_known(
    volumes: dict[str, Any], sizes: dict[str | None, str], storage_class: str | None, expected: ClaimRequest | str
) -> None:
    rows = {name: {"mount": f"data/{name}", **row} for name, row in volumes.items()}
    settings = parse_settings({"image": "x:1", "data": {"volumes": rows}})
    claims, missing = find_claims(settings, sizes, storage_class)
    if isinstance(expected, str):
        assert claims == []
        assert [expected in one.reason for one in missing] == [True]
    else:
        assert (claims, missing) == ([expected], [])


def test_a_list_of_files_that_is_not_ours_is_not_overwritten(kedro: KedroServer, tmp_path: Path) -> None:
    names = [f"in{number}" for number in range(30)]  # more than fit on a command line
    scenario = Scenario(
        name="many-inputs",
        shows="",
        expect=Works(),
        pipelines={"__default__": (Node(tuple(names), "out", "a"),)},
        catalog=pickle_entries(*names, "out"),
        files={f"data/{name}.pkl": "" for name in names},
    )
    project = make_project(scenario, tmp_path / "p")
    listed = project / "manifests" / "data-files.txt"
    listed.parent.mkdir()
    listed.write_text("mine\n")
    refused = kedro.run_command("k8s-airflow", "manifests", cwd=project)
    assert (refused.code, "[file-foreign]" in refused.err) == (1, True), refused.output
    assert [path.name for path in listed.parent.iterdir()] == ["data-files.txt"]
    assert listed.read_text() == "mine\n"
    listed.unlink()
    assert kedro.run_command("k8s-airflow", "manifests", cwd=project).code == 0
    (project / "data" / "in0.pkl").unlink()
    assert kedro.run_command("k8s-airflow", "manifests", cwd=project).code == 0
    assert len(listed.read_text().splitlines()) == 29
