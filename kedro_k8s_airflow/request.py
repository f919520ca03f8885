"""What the command line asks of a project: the options that all commands share, as one value."""

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
    """A project, and how it is to be read.

    Attributes:
        metadata: of the project, as Kedro's command line has it.
        env: Kedro environment the pods run with.
        conf_source: configuration folder, when it is not the project's own.
        params: Kedro's runtime parameters of every pod.
        params_text: the same as they were written.
        pipelines: only DAGs of these registered pipelines; those of the settings when there are none.
        all_pipelines: a DAG for every registered pipeline.
        lock_file: the image lock, when it is not the project's own.
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
        """Those that say how the project is read, as one would write them behind a command."""
        given = {"--env": self.env, "--conf-source": self.conf_source, "--params": self.params_text}
        return "".join(f" {option}={shlex.quote(value)}" for option, value in given.items() if value)
