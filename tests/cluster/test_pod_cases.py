"""The API server of the cluster answers the cases as recorded; nothing is created (a dry run)."""

from __future__ import annotations

import json
import subprocess

import pytest

from tests.kubernetes.pod_cases import ACCEPTED, NEVER_START, REFUSED, build_case_pod
from tests.support.cluster_demo import NAMESPACE

pytestmark = pytest.mark.cluster
_URL = f"/api/v1/namespaces/{NAMESPACE}/pods?dryRun=All&fieldValidation=Strict"


def is_accepted(text: str) -> bool:
    """Return whether the API server would create the pod of a case."""
    pod = json.dumps(build_case_pod(text))
    words = ["kubectl", "create", "--raw", _URL, "--filename", "-"]
    return not subprocess.run(words, input=pod, capture_output=True, text=True, check=False).returncode


def test_the_api_server_answers_as_recorded() -> None:
    version = json.loads(subprocess.run(["kubectl", "version", "-o", "json"], capture_output=True, check=True).stdout)
    if int(version["serverVersion"]["minor"].rstrip("+")) < 36:
        pytest.skip("the cases were tried on Kubernetes 1.36, and this cluster is older")
    assert [name for name, text in {**ACCEPTED, **NEVER_START}.items() if not is_accepted(text)] == []
    assert [name for name, text in REFUSED.items() if is_accepted(text)] == []
