"""What the nodes of project `trials` do: wait for a file, fail, take memory, hand on what is hard to hand on."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from pathlib import Path
from typing import Any, NoReturn

DATA = Path("data")


def run() -> dict[str, Any]:
    """The DAG run, the task and its try, as the DAG says them."""
    said: dict[str, Any] = json.loads(os.environ["KEDRO_K8S_AIRFLOW_RUN"])
    return said


def sign_in() -> int:
    """Leave a file for this pod, by which tests count pods; the try."""
    said = run()
    place = DATA / "starts" / said["run_id"]
    place.mkdir(parents=True, exist_ok=True)
    (place / f"{said['task_id']}.{said['try_number']}.{socket.gethostname()}").touch()
    return int(said["try_number"])


def hold(gate: str) -> dict[str, Any]:
    """Wait until a file of that name is on the claim."""
    number = sign_in()
    print(f"waiting for {gate}", flush=True)  # noqa: T201
    end = time.monotonic() + 300
    while not (DATA / "gates" / gate).exists():
        if time.monotonic() > end:
            raise TimeoutError(gate)
        time.sleep(0.1)
    return {"gate": gate, "try": number}


def look(held: dict[str, Any]) -> dict[str, Any]:
    """What a reader in another pod is given."""
    return {"seen": held}


def hog() -> dict[str, Any]:
    """Take more memory than any pod of the tests has."""
    taken = []
    while True:
        taken.append(bytearray(os.urandom(1)) * 2**24)


def crow() -> NoReturn:
    """Fail."""
    raise ValueError("the crow has eaten it")


def nothing() -> dict[str, Any]:
    """For pods that never come to run it."""
    return {}


def sleep() -> dict[str, Any]:
    """Longer than any test waits."""
    time.sleep(300)
    return {}


def sum_up(*found: dict[str, Any]) -> int:
    """After all that fail."""
    return len(found)


def write() -> dict[str, Any]:
    """Say which try wrote it."""
    return {"try": sign_in()}


def stumble(written: dict[str, Any], good_try: int) -> dict[str, Any]:
    """Fail in every try before a certain one, after `write` has written."""
    if written["try"] < good_try:
        raise RuntimeError(f"stumbled in try {written['try']}")
    return written


def echo(parameters: dict[str, Any]) -> dict[str, Any]:
    """All parameters."""
    return parameters


def make_parts() -> dict[str, Any]:
    """What no text format would take."""
    return {"numbers": {1, 2, 3}, "bytes": b"\0\1", "try": run()["try_number"]}


def add_parts(parts: dict[str, Any], gate: str) -> dict[str, Any]:
    """Fail as long as a file is missing."""
    if not (DATA / "gates" / gate).exists():
        raise FileNotFoundError(gate)
    return {"total": sum(parts["numbers"]), "bytes": list(parts["bytes"]), "try": parts["try"]}


def make_odd() -> Any:
    """Nothing that can be pickled."""
    return (number for number in range(3))


def use_odd(odd: Any) -> list[int]:
    """Take it."""
    return list(odd)


def ask(digest: str) -> dict[str, Any]:
    """Say what came of the credentials, and what this process may do."""
    writable = []
    for path in ("/app/probe", "/probe", "/opt/venv/probe"):
        with contextlib.suppress(OSError):
            Path(path).touch()
            writable.append(path)
    return {"digest": digest, "uid": os.getuid(), "writable": writable}


def nap() -> dict[str, Any]:
    """A second of work; when it was done."""
    sign_in()
    started = time.time()
    time.sleep(1)
    return {"started": started, "ended": time.time()}
