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
from tests.support.cluster_demo import NAMESPACE, run_command

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.cluster


def is_accepted(pod: dict[str, Any], namespace: str = NAMESPACE) -> bool:
    """Return whether the API server would create a pod."""
    url = f"/api/v1/namespaces/{namespace}/pods?dryRun=All&fieldValidation=Strict"
    words = ["kubectl", "create", "--raw", url, "--filename", "-"]
    return not subprocess.run(words, input=json.dumps(pod), capture_output=True, text=True, check=False).returncode


@pytest.fixture
def restricted_namespace() -> Iterator[str]:
    """A namespace that enforces the restricted profile."""
    name = f"restricted-{uuid.uuid4().hex[:8]}"
    run_command(["kubectl", "create", "namespace", name])
    run_command(["kubectl", "label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted"])
    run_command(["kubectl", "--namespace", name, "wait", "--for=create", "serviceaccount/default", "--timeout=60s"])
    yield name
    run_command(["kubectl", "delete", "namespace", name, "--wait=false"])


def test_the_restricted_profile_is_as_recorded(restricted_namespace: str) -> None:
    answers = {
        name: is_accepted(build_restricted_pod(text), restricted_namespace)
        for name, text in {**RESTRICTED_ACCEPTED, **RESTRICTED_REFUSED}.items()
    }
    assert answers == {name: name in RESTRICTED_ACCEPTED for name in answers}


def test_the_api_server_answers_as_recorded() -> None:
    version = json.loads(subprocess.run(["kubectl", "version", "-o", "json"], capture_output=True, check=True).stdout)
    if int(version["serverVersion"]["minor"].rstrip("+")) < 36:
        pytest.skip("the cases were tried on Kubernetes 1.36, and this cluster is older")
    assert [name for name, text in {**ACCEPTED, **NEVER_START}.items() if not is_accepted(build_case_pod(text))] == []
    assert [name for name, text in REFUSED.items() if is_accepted(build_case_pod(text))] == []
