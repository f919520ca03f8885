"""The command line of this plugin, which waits before it looks at the target until all others are there, too."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path


def wait() -> None:
    """Come to the gate, and go on when everybody has come."""
    gate = Path(os.environ["KKA_GATE"])
    (gate / os.environ["KKA_NAME"]).touch()
    end = time.monotonic() + 120
    while len(list(gate.iterdir())) < int(os.environ["KKA_PUBLISHERS"]) and time.monotonic() < end:
        time.sleep(0.002)


def main() -> None:
    from kedro.framework.cli.cli import main as kedro

    from kedro_k8s_airflow.publish import desired_state

    read = desired_state.render_desired_state

    def rendered(*arguments, **more):
        made = read(*arguments, **more)
        wait()
        return made

    desired_state.render_desired_state = rendered
    sys.argv = ["kedro", *sys.argv[1:]]
    sys.path.insert(0, os.getcwd())  # noqa: PTH109  as `python -m` does
    kedro()


if __name__ == "__main__":
    main()
