"""The facts of `info`, as text to paste into a bug report and as JSON."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kedro_k8s_airflow.commands.info import SystemInfo


def info_to_json(info: SystemInfo) -> str:
    """Return the facts as a JSON document."""
    return json.dumps({"schema": 1, **dataclasses.asdict(info)}, indent=2) + "\n"


def info_to_text(info: SystemInfo) -> str:
    """Return the facts, one a line, in columns."""
    rows = [*info.packages.items(), ("Python", info.python), ("system", info.system), *info.programs.items()]
    if info.project is None:
        rows.append(("project", "not inside a Kedro project"))
    else:
        facts = info.project
        rows += [
            ("project package", facts.package),
            ("project problems", ", ".join(facts.problems) or "none"),
            ("pipelines", str(facts.pipelines)),
            ("nodes", str(facts.nodes)),
            ("settings files", ", ".join(facts.settings_files) or "none"),
            ("lock", facts.lock),
            ("base image in settings", facts.base_image),
        ]
    width = max(len(label) for label, _ in rows)
    return "".join(f"{label:<{width}}  {value}\n" for label, value in rows)
