"""Each rule of ``pod_checks`` has a pod that breaks it, and one that nearly does."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("kubernetes_validate")

from tests.support.airflow_probe.pod_checks import (
    ANNOTATIONS_LIMIT,
    CONTROLS,
    NEWEST,
    OLDEST,
    VERSIONS,
    metadata_violations,
    restricted_violations,
    validate_pod,
)

if TYPE_CHECKING:
    from collections.abc import Callable

Pod = dict[str, Any]

SAFE = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
POD: Pod = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {
        "name": "split-20gk4q64",
        "namespace": "kedro",
        "labels": {"app.kubernetes.io/part-of": "flights", "task": ""},
        "annotations": {"Example.org/Nodes": "split flights, 数据"},
    },
    "spec": {
        "securityContext": {"runAsNonRoot": True, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}},
        "initContainers": [{"name": "fetch", "image": "fetch:1", "securityContext": SAFE}],
        "containers": [
            {
                "name": "base",
                "image": "flights:1",
                "env": [{"name": "KEDRO_ENV", "value": "prod"}],
                "volumeMounts": [{"name": "data", "mountPath": "/app/data"}],
                "securityContext": SAFE,
            }
        ],
        "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "flights"}}],
    },
}


class _Absent:
    """Stands for a value that is not there."""

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Any = _Absent()


def make_pod_with(path: str, value: Any) -> Pod:
    """Return the good pod with one value set, or removed (``ABSENT``).

    ``path`` is dotted; numbers are places in lists, a place in use is replaced; ``~`` stands for a dot.
    """
    pod = copy.deepcopy(POD)
    *parents, last = (part.replace("~", ".") for part in path.split("."))
    here: Any = pod
    for part in parents:
        here = here[int(part)] if isinstance(here, list) else here.setdefault(part, {})
    if value is ABSENT:
        del here[last]
    elif isinstance(here, list):
        here[int(last) :] = [value]
    else:
        here[last] = value
    return pod


def check_other_controls(rule: Callable[[Pod], Any]) -> Callable[[Pod], list[str]]:
    """Return a check that reports for every rule but this one, to show that a bad pod breaks nothing else."""
    return lambda pod: [text for control in CONTROLS if control is not rule for text in control(pod)]


BASE = "spec.containers.0.securityContext"
INIT = "spec.initContainers.0.securityContext"
CONTEXT = "spec.securityContext"
EPHEMERAL = "spec.ephemeralContainers"
APPARMOR = "metadata.annotations.container~apparmor~security~beta~kubernetes~io/base"

# control, path, a value that breaks the control, a value that nearly does
RESTRICTED = [
    ("host_process", f"{CONTEXT}.windowsOptions", {"hostProcess": True}, {}),
    ("host_process", f"{BASE}.windowsOptions", {"hostProcess": True}, {"hostProcess": False}),
    ("host_namespaces", "spec.hostNetwork", True, False),
    ("host_namespaces", "spec.hostPID", True, False),
    ("host_namespaces", "spec.hostIPC", True, None),
    ("privileged_containers", f"{BASE}.privileged", True, False),
    ("privileged_containers", f"{INIT}.privileged", True, None),
    ("capabilities", f"{BASE}.capabilities.add", ["SYS_ADMIN"], []),
    ("capabilities", f"{BASE}.capabilities.add", ["CHOWN"], ["NET_BIND_SERVICE"]),
    ("capabilities", f"{BASE}.capabilities.drop", ["NET_RAW"], ["KILL", "ALL"]),
    ("capabilities", f"{INIT}.capabilities", ABSENT, {"drop": ["ALL"]}),
    ("host_ports", "spec.containers.0.ports", [{"containerPort": 80, "hostPort": 80}], [{"containerPort": 80}]),
    ("host_ports", "spec.initContainers.0.ports", [{"hostPort": 1}], [{"hostPort": 0}]),
    ("host_probes", "spec.containers.0.livenessProbe.httpGet", {"host": "10.0.0.1", "port": 80}, {"port": 80}),
    ("host_probes", "spec.containers.0.lifecycle.preStop.tcpSocket", {"host": "db"}, {"host": ""}),
    ("app_armor", f"{CONTEXT}.appArmorProfile.type", "Unconfined", "RuntimeDefault"),
    ("app_armor", f"{BASE}.appArmorProfile.type", "Unconfined", "Localhost"),
    ("app_armor", APPARMOR, "unconfined", "localhost/flights"),
    ("se_linux", f"{CONTEXT}.seLinuxOptions", {"type": "spc_t"}, {"type": "container_t"}),
    ("se_linux", f"{BASE}.seLinuxOptions", {"user": "root"}, {"level": "s0:c1,c2"}),
    ("se_linux", f"{BASE}.seLinuxOptions", {"role": "sysadm_r"}, {"role": ""}),
    ("proc_mount", f"{BASE}.procMount", "Unmasked", "Default"),
    ("sysctls", f"{CONTEXT}.sysctls", [{"name": "kernel.msgmax"}], [{"name": "net.ipv4.tcp_syncookies"}]),
    ("volume_types", "spec.volumes.1", {"name": "n", "nfs": {}}, {"name": "nfs", "csi": {}}),
    ("volume_types", "spec.volumes.1", {"name": "emptyDir"}, {"name": "n", "emptyDir": {}}),
    ("privilege_escalation", f"{BASE}.allowPrivilegeEscalation", True, False),
    ("privilege_escalation", f"{INIT}.allowPrivilegeEscalation", ABSENT, False),
    ("run_as_non_root", f"{CONTEXT}.runAsNonRoot", ABSENT, True),
    ("run_as_non_root", f"{BASE}.runAsNonRoot", False, None),
    ("run_as_user", f"{CONTEXT}.runAsUser", 0, ABSENT),
    ("run_as_user", f"{BASE}.runAsUser", 0, 1),
    ("seccomp", f"{CONTEXT}.seccompProfile", ABSENT, {"type": "Localhost"}),
    ("seccomp", f"{CONTEXT}.seccompProfile.type", "Unconfined", "RuntimeDefault"),
    ("seccomp", f"{BASE}.seccompProfile", {"type": "Unconfined"}, {"type": "RuntimeDefault"}),
]


@pytest.mark.parametrize(("control", "path", "bad", "near"), RESTRICTED)
def test_restricted_control_reports_only_its_own_violation(control: str, path: str, bad: Any, near: Any) -> None:
    rule = next(rule for rule in CONTROLS if rule.__name__ == control)
    assert list(rule(make_pod_with(path, bad)))
    assert check_other_controls(rule)(make_pod_with(path, bad)) == []
    assert restricted_violations(make_pod_with(path, near)) == []


def test_every_control_has_a_violating_pod() -> None:
    # hostPath breaks two controls by nature, and so has a test of its own.
    assert {rule.__name__ for rule in CONTROLS} == {control for control, *_ in RESTRICTED} | {"host_path_volumes"}


def test_a_host_path_breaks_the_baseline_and_the_volume_types() -> None:
    bad = make_pod_with("spec.volumes.1", {"name": "h", "hostPath": {"path": "/"}})
    assert len(restricted_violations(bad)) == 2
    assert restricted_violations(make_pod_with("spec.volumes.1", {"name": "hostPath", "emptyDir": {}})) == []


def test_a_good_pod_passes_everything() -> None:
    assert restricted_violations(POD) == []
    assert metadata_violations(POD) == []
    assert [validate_pod(POD, version) for version in VERSIONS] == [[], []]


def test_ephemeral_containers_are_containers() -> None:
    bad = make_pod_with(EPHEMERAL, [{"name": "debug", "securityContext": {**SAFE, "privileged": True}}])
    assert restricted_violations(bad) == [
        "spec.ephemeralContainers[debug].securityContext.privileged must not be true",
    ]
    assert restricted_violations(make_pod_with(EPHEMERAL, [{"name": "debug", "securityContext": SAFE}])) == []


def test_containers_may_set_what_the_pod_omits() -> None:
    own = {**SAFE, "runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    pod = make_pod_with(CONTEXT, {})
    pod["spec"]["containers"][0]["securityContext"] = own
    assert len(restricted_violations(pod)) == 2  # the init container says neither
    pod["spec"]["initContainers"][0]["securityContext"] = own
    assert restricted_violations(pod) == []


def test_pod_level_violation_counts_even_when_containers_override_it() -> None:
    pod = make_pod_with(f"{CONTEXT}.runAsNonRoot", False)
    for container in (*pod["spec"]["containers"], *pod["spec"]["initContainers"]):
        container["securityContext"] = {**SAFE, "runAsNonRoot": True}
    assert restricted_violations(pod) == ["spec.securityContext.runAsNonRoot must not be false"]


@pytest.mark.parametrize(
    ("path", "bad", "near"),
    [
        ("spec.hostname", ["flights"], "flights"),
        ("spec.activeDeadlineSeconds", "60", 60),
        ("spec.containers.0.env", [{"name": "A", "value": 1}], [{"name": "A", "value": "1"}]),
        ("spec.containers.0.env", [{"name": "A", "valuefrom": {}}], [{"name": "A", "valueFrom": {}}]),
        ("spec.containers", ABSENT, [{"name": "base"}]),
        ("metadata.labels", {"a": 1}, {"a": "1"}),
    ],
)
@pytest.mark.parametrize("version", VERSIONS)
def test_the_schema_is_strict(version: str, path: str, bad: Any, near: Any) -> None:
    assert validate_pod(make_pod_with(path, bad), version)
    assert validate_pod(make_pod_with(path, near), version) == []


@pytest.mark.parametrize("version", VERSIONS)
def test_the_schema_refuses_unknown_fields(version: str) -> None:
    assert validate_pod(make_pod_with("spec.restartpolicy", "Never"), version)
    assert validate_pod(make_pod_with("spec.containers.0.volume_mounts", []), version)


def test_the_schema_is_that_of_the_version() -> None:
    resources_of_the_pod = make_pod_with("spec.resources", {"limits": {"memory": "1Gi"}})
    assert validate_pod(resources_of_the_pod, OLDEST)
    assert validate_pod(resources_of_the_pod, NEWEST) == []


def test_every_schema_error_is_reported() -> None:
    bad = make_pod_with("spec.activeDeadlineSeconds", "60")
    bad["spec"]["restartpolicy"] = "Never"
    assert len(validate_pod(bad, NEWEST)) == 2


def test_an_unknown_version_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"no schema of Kubernetes 9\.99"):
        validate_pod(POD, "9.99")


LABELS = "metadata.labels"
ANNOTATIONS = "metadata.annotations"
MOUNTS = "spec.containers.0.volumeMounts"


@pytest.mark.parametrize(
    ("path", "bad", "near"),
    [
        ("metadata.name", "My_Node-20gk", "my.node-20gk"),
        ("metadata.name", "a" * 254, "a" * 253),
        ("metadata.name", "node\n", "node"),
        ("metadata.name", "-node", "0node"),
        ("metadata.name", ABSENT, "n"),
        ("metadata.namespace", "team.a", "team-a"),
        ("metadata.namespace", "a" * 64, "a" * 63),
        (LABELS, {"task": "a" * 64}, {"task": "a" * 63}),
        (LABELS, {"task": "fit model"}, {"task": "fit.model_1-A"}),
        (LABELS, {"task": "fit_"}, {"task": "f"}),
        (LABELS, {"task": "fit\n"}, {"task": ""}),
        (LABELS, {"task": 1}, {"task": "1"}),
        (LABELS, {"_task": "x"}, {"Task": "x"}),
        (LABELS, {"a" * 64: "x"}, {"a" * 63: "x"}),
        (LABELS, {"Example.org/a": "x"}, {"example.org/a": "x"}),
        (LABELS, {"/a": "x"}, {"e/a": "x"}),
        (LABELS, {"a/b/c": "x"}, {"a.b/c": "x"}),
        (ANNOTATIONS, {"a b": ""}, {"A.b": ""}),
        (ANNOTATIONS, {"n": 1}, {"n": "one\ntwo é"}),
        (ANNOTATIONS, {"n": "é" * (ANNOTATIONS_LIMIT // 2)}, {"n": "x" * (ANNOTATIONS_LIMIT - 1)}),
        ("spec.containers.1", {"name": "base"}, {"name": "base2"}),
        ("spec.containers.1", {"name": "fetch"}, {"name": "fetch2"}),
        ("spec.containers.1", {"name": "Base"}, {"name": "base-0"}),
        ("spec.volumes.1", {"name": "my_data"}, {"name": "my-data"}),
        ("spec.volumes.1", {"name": "data"}, {"name": "data2"}),
        ("spec.containers.0.env", [{"name": "1A"}], [{"name": "A.1-b_c"}]),
        (MOUNTS, [{"name": "tmp", "mountPath": "/t"}], [{"name": "data", "mountPath": "/t"}]),
        (MOUNTS, [{"name": "data", "mountPath": "/a:b"}], [{"name": "data", "mountPath": "/a b"}]),
        (
            f"{MOUNTS}.1",
            {"name": "data", "mountPath": "/app/data"},
            {"name": "data", "mountPath": "/app/data/b"},
        ),
    ],
)
def test_metadata_and_names(path: str, bad: Any, near: Any) -> None:
    assert metadata_violations(make_pod_with(path, bad))
    assert metadata_violations(make_pod_with(path, near)) == []
