"""Fixtures of the tests of `publish`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.workspace import Workspace, bare, clone, commit, git, project

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.kedro_server import Forge


@pytest.fixture
def workspace(forge: Forge, tmp_path: Path) -> Workspace:
    """A project, a repository with one commit, and a checkout of it."""
    hub = bare(tmp_path / "dags.git")
    work = clone(hub, tmp_path / "work")
    commit(work, {"README.md": "DAGs\n", "dags/other.py": "# somebody else's\n"}, "First")
    git(work, "push", "--quiet", "origin", "main")
    return Workspace(forge, project(tmp_path / "project"), hub, work)
