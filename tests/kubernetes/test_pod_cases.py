"""`find_pod_problems` answers as the API server does for every case that was tried on one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from kedro_k8s_airflow.config.defaults import BUILT_IN
from kedro_k8s_airflow.kubernetes.pod_rules import find_pod_problems
from kedro_k8s_airflow.kubernetes.pod_schema import load_pod_schema
from kedro_k8s_airflow.kubernetes.restricted_profile import find_container_rights, find_host_parts, find_pod_parts
from kedro_k8s_airflow.kubernetes.settings_pod import find_newer_settings, find_settings_problems, iterate_containers
from tests.kubernetes.pod_cases import (
    ACCEPTED,
    NEVER_START,
    REFUSED,
    RESTRICTED_ACCEPTED,
    RESTRICTED_REFUSED,
    build_case_pod,
    build_restricted_pod,
)

if TYPE_CHECKING:
    from collections.abc import Mapping


@pytest.mark.parametrize("name", ACCEPTED)
def test_what_kubernetes_accepts_has_no_problem(name: str) -> None:
    assert find_pod_problems(build_case_pod(ACCEPTED[name]), ()) == []


@pytest.mark.parametrize("name", {**REFUSED, **NEVER_START})
def test_what_kubernetes_refuses_has_a_problem(name: str) -> None:
    problems = find_pod_problems(build_case_pod({**REFUSED, **NEVER_START}[name]), ())
    assert problems
    assert all(problem.path and problem.message.endswith(".") for problem in problems)


@pytest.mark.parametrize(
    ("settings", "path"),
    [
        ({"podSecurityContext": {"runAsUser": -1}}, ("podSecurityContext", "runAsUser")),
        ({"resources": {"limits": {"a.b/c": "0.5"}}}, ("resources", "limits", "a.b/c")),
        ({"operator": {"host_aliases": [{"ip": "db"}]}}, ("operator", "host_aliases", "0", "ip")),
        ({"operator": {"dns_config": {"nameserver": []}}}, ("operator", "dns_config", "nameserver")),
        ({"operator": {"init_containers": [{"name": "a"}]}}, ("operator", "init_containers", "0")),
        ({"operator": {"hostname": "A"}}, ("operator", "hostname")),
        ({"dnsPolicy": "None"}, ("dnsPolicy",)),
        (
            {"operator": {"pod_template_dict": {"spec": {"topologySpreadConstraints": [{"maxSkew": 0}]}}}},
            ("operator", "pod_template_dict", "spec", "topologySpreadConstraints", "0"),
        ),
        (
            {"operator": {"pod_template_dict": {"spec": {"containers": [{}, {"name": "a"}]}}}},
            ("operator", "pod_template_dict", "spec", "containers", "1"),
        ),
        ({"operator": {"pod_template_dict": {"specs": {}}}}, ("operator", "pod_template_dict", "specs")),
        (
            {"operator": {"pod_template_dict": {"spec": []}}},
            ("operator", "pod_template_dict", "spec"),
        ),
    ],
)
def test_a_problem_is_at_the_key_of_the_settings(settings: Mapping[str, Any], path: tuple[str, ...]) -> None:
    assert path in [problem.path for problem in find_settings_problems(settings, ())]


def test_the_default_settings_and_a_small_template_have_no_problem() -> None:
    template = {"spec": {"containers": [{"resources": {"limits": {"cpu": 1}}}], "volumes": [{"name": "a"}]}}
    mount = {"name": "w", "image": "b:1", "volumeMounts": [{"name": "a", "mountPath": "/a"}]}
    settings = {**BUILT_IN, "operator": {"pod_template_dict": template, "init_containers": [mount]}}
    assert list(find_settings_problems(settings, ())) == []
    assert list(find_newer_settings(settings)) == []


def test_every_container_beside_the_one_of_the_nodes_is_looked_at() -> None:
    spec = {"containers": [{}, {"name": "proxy"}], "initContainers": [{"name": "first"}]}
    settings = {"operator": {"pod_template_dict": {"spec": spec}, "init_containers": [{"name": "second"}]}}
    assert [path for path, _, _ in iterate_containers(settings)] == [
        (),
        ("operator", "init_containers", "0"),
        ("operator", "pod_template_dict", "spec", "containers", "1"),
        ("operator", "pod_template_dict", "spec", "initContainers", "0"),
    ]


def test_a_credential_in_a_refused_value_is_not_shown() -> None:
    volume = {"name": "v", "csi": {"driver": "a.b", "volumeAttributes": {"password": 12345}}}
    (problem,) = find_settings_problems({"volumes": [volume]}, ())
    assert "12345" not in problem.message
    assert "volumeAttributes" in problem.path


def test_a_field_that_only_the_newer_kubernetes_has_is_named() -> None:
    settings = {"operator": {"pod_template_dict": {"spec": {"hostnameOverride": "a"}}}}
    assert [problem.path[-1] for problem in find_newer_settings(settings)] == ["hostnameOverride"]


def test_the_schema_is_of_two_versions_and_complete() -> None:
    schema = load_pod_schema()
    assert len(schema["versions"]) == 2
    references = {
        part["ref"]
        for row in schema["types"].values()
        for field in row["fields"].values()
        for part in (field, field.get("items", {}), field.get("additionalProperties", {}))
        if "ref" in part
    }
    assert references <= set(schema["types"])


@pytest.mark.parametrize("name", [*RESTRICTED_ACCEPTED, *RESTRICTED_REFUSED])
def test_the_restricted_profile_is_answered_as_by_kubernetes(name: str) -> None:
    spec = build_restricted_pod({**RESTRICTED_ACCEPTED, **RESTRICTED_REFUSED}[name])["spec"]
    containers = [*spec["containers"], *spec.get("initContainers", ())]
    excess = [right for container in containers for right in find_container_rights(container, spec["securityContext"])]
    excess += [name for _, name in (*find_pod_parts(spec), *find_host_parts(spec))]
    assert (excess == []) == (name in RESTRICTED_ACCEPTED)


@pytest.mark.parametrize(
    "broken", [{"securityContext": [1]}, {"resources": 5}, {"ports": 3}, {"resources": {"requests": []}}]
)
def test_a_container_of_wrong_types_is_reported_once_and_looked_at_no_further(broken: dict[str, Any]) -> None:
    settings = {"operator": {"init_containers": [{"name": "a", "image": "b", **broken}]}}
    assert find_settings_problems(settings, ())
    assert list(iterate_containers(settings)) == []
