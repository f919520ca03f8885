"""A project, the bare repository of its DAGs and a checkout of it, with the commands that the tests of `publish` run there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from tests.scenarios.factory import make_project
from tests.scenarios.model import Scenario, make_chain, pickle_entries
from tests.support.kedro_server import clean_env

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.support.kedro_server import CommandResult, KedroServer

DIGEST = f"sha256:{'a' * 64}"
OTHER_DIGEST = f"sha256:{'b' * 64}"
IMAGE = f"registry.example.com/team/project@{DIGEST}"
MANIFEST_FOLDER = "dags/.k8s-airflow/manifests"
# Git uses this identity and no configuration of the machine.
GIT_IDENTITY = {
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.com",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.com",
}
ISOLATED_GIT_ENV = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
SETTINGS: dict[str, Any] = {
    "image": IMAGE,
    "data": {"volumes": {"data": {"claim": "project-data", "mount": "data"}}},
    "dags": {"main": {"pipeline": "__default__"}, "side": {"pipeline": "side"}},
}


def run_git(folder: Path, *arguments: str, ok: bool = True, stdin: str = "") -> str:
    """Run a git command and return what it prints."""
    completed = subprocess.run(
        ["git", *arguments],
        cwd=folder,
        input=stdin,
        env={**clean_env(), **ISOLATED_GIT_ENV, **GIT_IDENTITY},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (completed.returncode == 0) is ok, f"git {arguments}\n{completed.stdout}\n{completed.stderr}"
    return completed.stdout.strip("\n")


def init_bare_repository(folder: Path, branch: str = "main") -> Path:
    """Create an empty repository without a work tree."""
    folder.mkdir(parents=True)
    run_git(folder, "init", "--quiet", "--bare", f"--initial-branch={branch}")
    return folder


def clone_repository(source: Path, folder: Path, *options: str) -> Path:
    """Clone a repository with a work tree."""
    run_git(source, "clone", "--quiet", *options, f"file://{source}", str(folder))
    return folder


def commit_files(folder: Path, files: Mapping[str, str], message: str = "By hand") -> str:
    """Commit files by hand; return the commit."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    run_git(folder, "add", "--all")
    run_git(folder, "commit", "--quiet", "--message", message)
    return run_git(folder, "rev-parse", "HEAD")


def make_publish_project(folder: Path, package: str = "project", **changes: Any) -> Path:
    """Create a project of two pipelines, `__default__` (a, b, c) and `side` (x), with a DAG for each."""
    scenario = Scenario(
        name="publish",
        shows="",
        expect=None,  # type: ignore[arg-type]
        package=package,
        pipelines={"__default__": make_chain("a", "b", "c"), "side": make_chain("x")},
        catalog=pickle_entries("raw", "a_out", "b_out", "c_out", "x_out"),
        settings=yaml.safe_dump({**SETTINGS, **changes}, sort_keys=False),
        overlays={"prod": "namespace: prod\n"},
    )
    return make_project(scenario, folder)


@dataclass(frozen=True)
class Workspace:
    """A project and where it is published.

    Attributes:
        kedro: runs commands.
        project: folder of the project.
        bare: the bare repository of the DAGs.
        work: a checkout of `bare` with one commit by someone else.
    """

    kedro: KedroServer
    project: Path
    bare: Path
    work: Path

    def run(self, *options: str, project: Path | None = None, env: Mapping[str, str] | None = None) -> CommandResult:
        """Run a command of this plugin."""
        return self.kedro.run_command(
            "k8s-airflow",
            *options,
            cwd=project or self.project,
            env={**ISOLATED_GIT_ENV, **GIT_IDENTITY, **(env or {})},
        )

    def publish(
        self,
        *options: str,
        to: Path | str | None = None,
        code: int = 0,
        project: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> str:
        """Publish, by default to the checkout; check the exit code and return the output."""
        done = self.run("publish", "--to", str(to or self.work), *options, project=project, env=env)
        assert done.code == code, done
        assert "Traceback" not in done.err, done.err
        return done.output

    def drift(self, *options: str, code: int = 0, project: Path | None = None) -> list[tuple[str, str]]:
        """Run `check --drift`; return the code of each finding and the DAG, subject or key that it is about."""
        done = self.run("check", "--drift", "--format", "json", *options, project=project)
        assert done.code == code, done
        if code == 2:
            return []
        report = json.loads(done.out[done.out.index("{") :])
        return [(finding["code"], _about(finding["location"])) for finding in report["findings"]]

    def settings(self, project: Path | None = None, **changes: Any) -> None:
        """Change settings of a project."""
        path = (project or self.project) / "conf" / "base" / "k8s_airflow.yml"
        path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), **changes}, sort_keys=False))

    def state(self, folder: Path | None = None, ref: str = "HEAD") -> dict[str, str]:
        """Return the files of a commit with their contents."""
        repository = folder or self.work
        names = run_git(repository, "ls-tree", "-r", "--name-only", "--full-tree", ref).splitlines()
        return {name: run_git(repository, "show", f"{ref}:{name}") for name in names}

    def log(self, folder: Path | None = None, ref: str = "HEAD") -> list[str]:
        """Return the subjects of the commits, newest first."""
        return run_git(folder or self.work, "log", "--format=%s", ref).splitlines()

    def clean(self) -> bool:
        """Check whether the checkout has no changes and no untracked files."""
        return run_git(self.work, "status", "--porcelain", "--ignored") == ""


def _about(location: Mapping[str, Any]) -> str:
    """Return the DAG, the subject or the key that a finding is about."""
    return location.get("dag") or location.get("subject") or ".".join(location["key"])


def build_plugin_command(*options: str) -> list[str]:
    """Return the command line of a command in a process of its own."""
    return [sys.executable, "-m", "kedro", "k8s-airflow", *options]


def build_environment(**more: str) -> dict[str, str]:
    """Return the environment of such a process."""
    return {**clean_env(), **ISOLATED_GIT_ENV, **GIT_IDENTITY, **more}
