"""Run the command line of this plugin, but wait for all other publishers before the target is read."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path


def wait_for_all_publishers() -> None:
    """Arrive at the gate, and return when all publishers have arrived."""
    gate = Path(os.environ["KKA_GATE"])
    (gate / os.environ["KKA_NAME"]).touch()
    end = time.monotonic() + 120
    while len(list(gate.iterdir())) < int(os.environ["KKA_PUBLISHERS"]) and time.monotonic() < end:
        time.sleep(0.002)


def main() -> None:
    from kedro.framework.cli.cli import main as kedro

    from kedro_k8s_airflow.publish import desired_state

    render_desired_state = desired_state.render_desired_state

    def render_and_wait(*arguments, **options):
        state = render_desired_state(*arguments, **options)
        wait_for_all_publishers()
        return state

    desired_state.render_desired_state = render_and_wait
    sys.argv = ["kedro", *sys.argv[1:]]
    sys.path.insert(0, os.getcwd())  # noqa: PTH109  as `python -m` does
    kedro()


if __name__ == "__main__":
    main()
