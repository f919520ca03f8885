"""Fixtures of the tests of `publish`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.workspace import (
    Workspace,
    clone_repository,
    commit_files,
    init_bare_repository,
    make_publish_project,
    run_git,
)

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.kedro_server import KedroServer


@pytest.fixture
def workspace(kedro: KedroServer, tmp_path: Path) -> Workspace:
    """A project, a repository with one commit, and a checkout of it."""
    hub = init_bare_repository(tmp_path / "dags.git")
    work = clone_repository(hub, tmp_path / "work")
    commit_files(work, {"README.md": "DAGs\n", "dags/other.py": "# somebody else's\n"}, "First")
    run_git(work, "push", "--quiet", "origin", "main")
    return Workspace(kedro, make_publish_project(tmp_path / "project"), hub, work)
