"""Write the examples of docs/reference/json.md: what the commands print for the demo project, shortened.

.venvs/kedro/bin/python tools/make_json_examples.py
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "reference" / "json.md"
# Files of the demo project that only a local run adds.
_LOCAL = ("data", "dags", ".venv", "__pycache__", ".*_cache", "uv.lock", "Dockerfile", ".dockerignore", ".k8s-airflow")
# Command line, and the lists that are cut: of these keys only the one item at the index stays.
EXAMPLES: dict[str, tuple[str, dict[str, int]]] = {
    "check": ("check", {}),
    "plan": ("plan --pipeline training", {"tasks": 1, "groups": 0, "inputs": 0, "passed_datasets": 0}),
    "explain": ("explain EWR.late_model --pipeline training", {}),
}
_BLOCK = re.compile(r"(<!-- example: (?P<name>\w+) -->\n+```json\n)(?P<text>.*?)(```\n)", re.DOTALL)


def copy_demo(folder: Path) -> Path:
    """Copy the demo project as a fresh clone has it."""
    return Path(shutil.copytree(ROOT / "demo-project", folder / "demo", ignore=shutil.ignore_patterns(*_LOCAL)))


def make_example(name: str, project: Path) -> dict[str, Any]:
    """Return what the command of an example prints in the project, shortened."""
    arguments, cuts = EXAMPLES[name]
    command = [sys.executable, "-m", "kedro_k8s_airflow", *arguments.split(), "--format", "json"]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=True)
    document: dict[str, Any] = json.loads(done.stdout)
    for dag in document.get("dags", ()):
        for key, index in cuts.items():
            dag[key] = dag[key][index : index + 1]
    return document


def read_examples(page: str) -> dict[str, Any]:
    """Return the examples in the page by name."""
    return {found["name"]: json.loads(found["text"]) for found in _BLOCK.finditer(page)}


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        project = copy_demo(Path(folder))

        def fill(found: re.Match[str]) -> str:
            text = json.dumps(make_example(found["name"], project), indent=2) + "\n"
            return f"{found[1]}{text}{found[4]}"

        PAGE.write_text(_BLOCK.sub(fill, PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
