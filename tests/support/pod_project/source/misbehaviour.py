"""What nodes do to the process that runs them."""

# ruff: noqa: T201  tests wait for what they print
from __future__ import annotations

import asyncio
import atexit
import contextlib
import ctypes
import os
import signal
import sys
import threading
import time

from kedro.framework.session import KedroSession

LONG = 30  # seconds


def misbehave() -> str:
    """Do what the environment asks for."""
    return globals()[os.environ["MISBEHAVIOUR"]]() or "done"


def os_exit() -> None:
    os._exit(0)


def os_exit_2() -> None:
    os._exit(2)


def c_exit() -> None:
    ctypes.CDLL(None).exit(0)


def execute() -> None:
    os.execv("/bin/true", ["true"])  # noqa: S606


def crash() -> None:
    ctypes.string_at(0)


def be_killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def kill_group() -> None:
    os.killpg(0, signal.SIGKILL)


def leave_a_copy() -> None:
    """Fork a copy that ends well, and end badly."""
    if copy := os.fork():
        os.waitpid(copy, 0)
        os.kill(os.getpid(), signal.SIGKILL)


def leave_with_99() -> None:
    sys.exit(99)


def os_exit_99() -> None:
    os._exit(99)


def close_descriptors() -> None:
    os.closerange(3, 4096)


def close_stdout() -> None:
    sys.stdout.close()


def lose_stdout() -> None:
    sys.stdout = None


def close_descriptor_of_stdout() -> None:
    os.close(1)


def empty_path() -> None:
    sys.path.clear()


def leave_a_thread() -> None:
    threading.Thread(target=time.sleep, args=(LONG,), name="left").start()
    atexit.register(print, "exit handler")


def leave_a_daemon() -> None:
    if not os.fork():
        os.setsid()
        os.closerange(0, 3)  # the test waits for the end of these
        time.sleep(LONG)
        os._exit(0)


def fail_in_exit_handler() -> None:
    atexit.register(os._exit, 3)


def fail_with_closed_stderr() -> None:
    sys.stderr.close()
    raise ValueError("no such luck")


def wait() -> None:
    print("begun", flush=True)
    time.sleep(LONG)


def wait_without_descriptors() -> None:
    os.closerange(3, 4096)
    wait()


def ignore_sigterm() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    wait()


def reset_sigterm() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # as asyncio does at its end
    wait()


def exit_on_sigterm() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    wait()


def os_exit_on_sigterm() -> None:
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    wait()


def end_well_on_sigterm() -> None:
    asyncio.run(_crawl())


async def _crawl() -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    print("begun", flush=True)
    await asyncio.wait_for(stop.wait(), LONG)


def hold_the_lock() -> None:
    print("begun", flush=True)
    ctypes.PyDLL(None).sleep(LONG)


def run_kedro() -> str:
    """Run another pipeline, then one that fails."""
    with KedroSession.create() as session:
        session.run(pipeline_name="inner")
    with contextlib.suppress(ValueError), KedroSession.create() as session:
        session.run(pipeline_name="inner_failing")
    if os.environ.get("WAIT"):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        wait()
    with KedroSession.create() as session:
        return str(session.load_context().params["mark"])
