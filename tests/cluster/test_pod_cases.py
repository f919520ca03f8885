"""The API server of the cluster answers the cases as recorded; nothing is created (a dry run)."""

from __future__ import annotations

import json
import subprocess
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from tests.kubernetes.pod_cases import (
    ACCEPTED,
    NEVER_START,
    REFUSED,
    RESTRICTED_ACCEPTED,
    RESTRICTED_REFUSED,
    build_case_pod,
    build_restricted_pod,
)
from tests.support.cluster_demo import POD_SECURITY, run_command

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.cluster


def is_accepted(pod: dict[str, Any], namespace: str) -> bool:
    """Return whether the API server would create a pod."""
    url = f"/api/v1/namespaces/{namespace}/pods?dryRun=All&fieldValidation=Strict"
    words = ["kubectl", "create", "--raw", url, "--filename", "-"]
    return not subprocess.run(words, input=json.dumps(pod), capture_output=True, text=True, check=False).returncode


@pytest.fixture
def namespace() -> Iterator[str]:
    """A namespace without a quota, a limit range or an enforced profile, unlike that of the other tests."""
    name = f"cases-{uuid.uuid4().hex[:8]}"
    run_command(["kubectl", "create", "namespace", name])
    run_command(["kubectl", "--namespace", name, "wait", "--for=create", "serviceaccount/default", "--timeout=60s"])
    yield name
    run_command(["kubectl", "delete", "namespace", name, "--wait=false"])


def test_the_restricted_profile_is_as_recorded(namespace: str) -> None:
    run_command(["kubectl", "label", "namespace", namespace, POD_SECURITY])
    answers = {
        name: is_accepted(build_restricted_pod(text), namespace)
        for name, text in {**RESTRICTED_ACCEPTED, **RESTRICTED_REFUSED}.items()
    }
    assert answers == {name: name in RESTRICTED_ACCEPTED for name in answers}


def test_the_api_server_answers_as_recorded(namespace: str) -> None:
    version = json.loads(subprocess.run(["kubectl", "version", "-o", "json"], capture_output=True, check=True).stdout)
    if int(version["serverVersion"]["minor"].rstrip("+")) < 36:
        pytest.skip("the cases were tried on Kubernetes 1.36, and this cluster is older")
    assert [
        name for name, text in {**ACCEPTED, **NEVER_START}.items() if not is_accepted(build_case_pod(text), namespace)
    ] == []
    assert [name for name, text in REFUSED.items() if is_accepted(build_case_pod(text), namespace)] == []
