"""The first two lines of a DAG file: who generated it, and from what. Written and read back here."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kedro_k8s_airflow import __version__, files

if TYPE_CHECKING:
    from kedro_k8s_airflow.plan.model import Plan

DAG_FILE_MARKER = files.GENERATED_MARKER.decode("ascii")
_SOURCE = "# Source: pipeline "
_PROJECT = " of Kedro project "
_ENVIRONMENT = ", environment "


@dataclass(frozen=True, slots=True, kw_only=True)
class DagFileHeader:
    """What a DAG file was generated from.

    Attributes:
        pipeline: registered pipeline of the DAG.
        package: Python package of the Kedro project.
        env: Kedro environment, or None for the default one.
    """

    pipeline: str
    package: str
    env: str | None

    @classmethod
    def of_plan(cls, plan: Plan) -> DagFileHeader:
        """Return the header of the plan's DAG file."""
        return cls(pipeline=plan.pipeline, package=plan.package, env=plan.env)

    def to_lines(self) -> str:
        """Return the first two lines of the file, without the newline at the end."""
        # As JSON, a name never breaks the line and never looks like what follows it.
        env = f"{_ENVIRONMENT}{json.dumps(self.env)}" if self.env else ""
        source = f"{_SOURCE}{json.dumps(self.pipeline)}{_PROJECT}{json.dumps(self.package)}{env}"
        return f"{DAG_FILE_MARKER} {__version__}; do not edit.\n{source}"


def read_header(text: str) -> DagFileHeader | None:
    """Return the header of a DAG file, or None when the text does not begin with one."""
    marker, _, rest = text.partition("\n")
    if not marker.startswith(DAG_FILE_MARKER):
        return None
    line = rest.partition("\n")[0].rstrip("\r")
    values: list[str | None] = []
    for label in (_SOURCE, _PROJECT, _ENVIRONMENT):
        if label == _ENVIRONMENT and not line:
            values.append(None)
            continue
        if not line.startswith(label):
            return None
        try:
            value, end = json.JSONDecoder().raw_decode(line, len(label))
        except ValueError:
            return None
        if not isinstance(value, str):
            return None
        values.append(value)
        line = line[end:]
    pipeline, package, env = values
    if line or pipeline is None or package is None:
        return None
    return DagFileHeader(pipeline=pipeline, package=package, env=env)
