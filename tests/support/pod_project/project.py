"""The Kedro project that the pods run: one pipeline for each subject; its sources are in `source`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.scenarios import Scenario, Works

SOURCE = Path(__file__).parent / "source"
CANARY = "canary-7d1f-secret"
MODULES = ("datasets", "hooks", "misbehaviour", "nodes")


def text(path: str, **more: Any) -> dict[str, Any]:
    """A catalog entry of a text file."""
    return {"type": "project.datasets.TextDataset", "filepath": f"data/{path}", **more}


CATALOG: dict[str, Any] = {
    **{name: text(f"{name}.txt") for name in ("word", "last", "absent", "absent_copy", "left", "said", "asked")},
    "never": text("never.txt"),
    "locked": text("locked.txt", credentials="safe"),
    "locked_copy": text("locked_copy.txt", credentials="safe"),
    **{
        name: text(f"{name}.txt")
        for name in ("python_waited", "swallow_waited", "c_waited", "swallowed_copy", "lingered")
    },
    "slow_saved": text("slow_saved.txt", slow=True),
    "kept": text("kept.txt", versioned=True),
    "given": text("given.txt", versioned=True),
    "coded@one": text("coded.txt", versioned=True),
    "coded@two": text("coded.txt", versioned=True),
    "cached": {"type": "CachedDataset", "versioned": True, "dataset": text("cached.txt")},
    "wrapped": {"type": "project.datasets.WrappingDataset", "versioned": True, "dataset": text("wrapped.txt")},
    "sealed": {"type": "project.datasets.WrappingDataset", "dataset": text("sealed.txt")},
    "versioning": {"type": "project.datasets.VersioningDataset", "filepath": "data/versioning.txt"},
    **{f"{name}_seen": text(f"{name}_seen.txt") for name in ("wrapped", "sealed", "versioning")},
    **{name: text(f"{name}.txt") for name in ("seen", "coded_seen", "cached_seen", "given_seen", "joined")},
    **{name: text(f"{name}.txt") for name in ("taken", "odd_taken", "listed_taken", "lock_taken")},
    "explicit": {"type": "MemoryDataset", "copy_mode": "assign"},
    "caught_{rest}": text("caught.txt"),
    "{folder}_routed": text("${runtime_params:place, nowhere}/{folder}.txt"),
    "misbehaved": text("misbehaved.txt"),
    "h_third": text("h_third.txt"),
    "h_failed": text("h_failed.txt"),
    "h_absent": text("h_absent.txt"),
}

PROJECT = Scenario(
    name="pods",
    shows="what a pod has to run",
    expect=Works(),
    registry=(SOURCE / "pipeline_registry.py").read_text(encoding="utf-8"),
    catalog=CATALOG,
    parameters={"mark": "default", "model": {"depth": 3, "names": ["a"]}},
    settings_py="from project.hooks import Spoiling, recording\n\nHOOKS = (recording('project'), Spoiling())\n",
    files={
        **{"{package}/" + f"{name}.py": (SOURCE / f"{name}.py").read_text(encoding="utf-8") for name in MODULES},
        "{conf}/local/credentials.yml": f"safe: {{user: {CANARY}, password: {CANARY}}}\n",
        "{conf}/logging.yml": """
version: 1
handlers:
  file: {class: logging.FileHandler, filename: info.log}
loggers: {kedro: {level: INFO}, project: {level: DEBUG}}
root: {handlers: [file]}
""",
    },
)
