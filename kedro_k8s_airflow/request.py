"""The options that all commands share, as one value."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from kedro.framework.startup import ProjectMetadata


@dataclass(frozen=True, kw_only=True)
class CompileRequest:
    """A project, and how to read it.

    Attributes:
        metadata: the project, as Kedro describes it.
        env: Kedro environment that the pods run with.
        conf_source: configuration folder; None for the project's own.
        params: Kedro runtime parameters for every pod.
        params_text: the same, as written on the command line.
        pipelines: registered pipelines whose DAGs are selected; empty for all DAGs of the settings.
        all_pipelines: whether every other registered pipeline gets a DAG, too.
        lock_file: image lock; None for the project's own.
    """

    metadata: ProjectMetadata
    env: str | None = None
    conf_source: str | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    params_text: str = ""
    pipelines: tuple[str, ...] = ()
    all_pipelines: bool = False
    lock_file: Path | None = None

    @property
    def options(self) -> str:
        """The options for reading the project, spelled as on a command line, each after a space."""
        option_values = {"--env": self.env, "--conf-source": self.conf_source, "--params": self.params_text}
        return "".join(f" {option}={shlex.quote(value)}" for option, value in option_values.items() if value)
