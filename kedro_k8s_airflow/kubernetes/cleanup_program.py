"""Delete the finished pods of one project that nobody has deleted for a day.

Runs in a pod of its own, in the image of the project: only with the standard library, and with the token of its ServiceAccount. The
labels that select the pods, and the age in seconds, are its arguments.
"""

from __future__ import annotations

import json
import os
import ssl
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
NOT_FINISHED = ("Pending", "Running", "Unknown")
GONE_OR_REPLACED = (404, 409)


def call_api(method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return the answer of the API server."""
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
    server = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
    token = (ACCOUNT / "token").read_text(encoding="utf-8").strip()
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    request = Request(server + path, data, headers, method=method)
    with urlopen(request, timeout=30, context=ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt"))) as answer:
        return dict(json.load(answer))


def finish_time(pod: dict[str, Any]) -> float:
    """Return when the last container ended; for a pod without containers that ran, when its state last changed."""
    status = pod["status"]
    ends = [
        state["terminated"].get("finishedAt")
        for container in status.get("containerStatuses") or ()
        for state in [container.get("state") or {}]
        if "terminated" in state
    ]
    ends += [condition.get("lastTransitionTime") for condition in status.get("conditions") or ()]
    texts = [text for text in (*ends, pod["metadata"]["creationTimestamp"]) if text]
    return max(datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() for text in texts)


def delete_finished_pods(namespace: str, selector: str, age: float) -> None:
    """Delete the pods that match the labels and finished longer ago than that."""
    pods = f"/api/v1/namespaces/{namespace}/pods"
    query = {
        "labelSelector": selector,
        "fieldSelector": ",".join(f"status.phase!={phase}" for phase in NOT_FINISHED),
        "limit": "500",
    }
    deleted, more = 0, ""
    while True:
        page = call_api("GET", f"{pods}?{urlencode({**query, **({'continue': more} if more else {})})}")
        for pod in page["items"]:
            name, uid = pod["metadata"]["name"], pod["metadata"]["uid"]
            if "deletionTimestamp" in pod["metadata"] or finish_time(pod) > time.time() - age:
                continue
            try:
                call_api("DELETE", f"{pods}/{name}", {"preconditions": {"uid": uid}})
            except HTTPError as refused:
                if refused.code not in GONE_OR_REPLACED:
                    raise
            else:
                deleted += 1
                print(f"deleted {name}", flush=True)
        more = page["metadata"].get("continue") or ""
        if not more:
            break
    print(f"deleted {deleted} finished pods of {selector}", flush=True)


if __name__ == "__main__":
    delete_finished_pods((ACCOUNT / "namespace").read_text(encoding="utf-8").strip(), sys.argv[1], float(sys.argv[2]))
