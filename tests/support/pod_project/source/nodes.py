"""What the nodes of the project do."""

# ruff: noqa: T201  tests wait for what they print
from __future__ import annotations

import atexit
import contextlib
import hashlib
import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

if os.environ.get("SLOW_IMPORT"):
    with contextlib.suppress(Exception if os.environ["SLOW_IMPORT"] == "stubborn" else ZeroDivisionError):
        print("begun", flush=True)
        time.sleep(30)

LONG = 30  # seconds, after which a node that nobody could stop is a failed test


def hello() -> str:
    print("node is at work")
    return "hello"


def give(value: Any) -> Any:
    return value


def shout(text: str) -> str:
    return text.upper()


def join(*texts: str) -> str:
    return " ".join(texts)


def fail(*_: object) -> str:
    raise ValueError("no such luck")


def leave(*_: object) -> str:
    sys.exit(0)


def asked(parameters: dict[str, Any]) -> str:
    return json.dumps(parameters)


def wait_in_python(*_: object) -> str:
    print("begun", os.getpid(), flush=True)
    end = time.monotonic() + LONG
    while time.monotonic() < end:
        time.sleep(0.02)
    return "waited"


def begun_soon() -> None:
    """Say that the node has begun when it is well inside the call that follows."""
    threading.Timer(0.2, print, ["begun"], {"flush": True}).start()


def wait_and_swallow(*_: object) -> str:
    begun_soon()
    end = time.monotonic() + LONG
    while time.monotonic() < end:
        with contextlib.suppress(Exception):
            while time.monotonic() < end:
                time.sleep(0.02)
    return "waited"


def wait_in_c(*_: object) -> str:
    begun_soon()
    return hashlib.pbkdf2_hmac("sha256", b"word", b"salt", 4_000_000 * LONG).hex()


def swallow_once(*_: object) -> str:
    begun_soon()
    try:
        time.sleep(LONG)
    except Exception:  # noqa: BLE001  as careless code does
        return "swallowed"
    return "waited"


def linger(*_: object) -> str:
    """Keep the process for a moment after its work is done."""
    atexit.register(_linger)
    return "done"


def _linger() -> None:
    print("begun", flush=True)
    time.sleep(1)


def unpicklable() -> Any:
    return threading.Lock()


def talk(*_: object) -> str:
    """Say something long, and wait for an answer."""
    print("x" * 300)
    end = time.monotonic() + LONG
    while time.monotonic() < end:
        if Path("data/answer").exists():
            return "answered"
        time.sleep(0.02)
    return "nobody heard it"
