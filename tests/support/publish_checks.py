"""Steps and checks that several test modules of `publish` share."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.scenarios.factory import read_tree
from tests.support.workspace import DIGEST, OTHER_DIGEST, clone_repository, commit_files, run_git

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.workspace import Workspace

DAG = "dags/project_main.py"
LOCK = f"""
from pathlib import Path
from kedro.framework.startup import bootstrap_project
from kedro_k8s_airflow import compiler
from kedro_k8s_airflow.commands.build_image import write_image_spec
from kedro_k8s_airflow.image import content_hash, lock, spec
from kedro_k8s_airflow.request import CompileRequest

request = CompileRequest(metadata=bootstrap_project(Path.cwd()))
image = write_image_spec(request)
parts = spec.hash_images(Path.cwd(), image.settings, compiler.compile_request(request).context.image_spec)
images = {{
    name: lock.LockedImage(
        repository=image.settings.image,
        tag=lock.image_tag(name, "0123456789ab"),
        digest="{DIGEST}" if name == "default" else "{OTHER_DIGEST}",
        content=content_hash.combine_hashes(hashes),
        parts=hashes,
    )
    for name, hashes in parts.items()
}}
Path("k8s-airflow.lock").write_text(lock.format_lock(images))
"""


def read_repositories(workspace: Workspace) -> tuple[object, ...]:
    """Return the files of both repositories, without the checkout's git objects and the lock of the publisher."""
    unseen = (".git/objects/", ".git/k8s-airflow-publish.lock")
    return {
        name: content for name, content in read_tree(workspace.work).items() if not name.startswith(unseen)
    }, read_tree(workspace.bare)


def assert_refused(workspace: Workspace, code: str, *options: str, mentions: str = "", **more: object) -> str:
    """Check that `publish` exits with 1 and this finding, and leaves the target unchanged; return the output."""
    before = read_repositories(workspace)
    output = workspace.publish(*options, code=1, **more)  # type: ignore[arg-type]
    assert f"[{code}]" in output, output
    assert mentions in output, output
    assert read_repositories(workspace) == before
    return output


def read_trailers(workspace: Workspace) -> dict[str, str]:
    """Return the trailers of the last commit."""
    lines = run_git(workspace.work, "log", "-1", "--format=%(trailers:only,unfold)").splitlines()
    return dict(line.split(": ", 1) for line in lines if line)


def write_image_lock(workspace: Workspace) -> None:
    """Write the image lock that a push of the current content would write."""
    workspace.settings(image="registry.example.com/team/project")
    script = workspace.project.parent / "lock.py"
    script.write_text(LOCK)
    outcome = workspace.kedro.run_script(str(script), cwd=workspace.project)
    assert outcome.code == 0, outcome


def push_meanwhile(workspace: Workspace, tmp_path: Path, files: dict[str, str]) -> None:
    """Push a commit from another clone."""
    other = clone_repository(workspace.bare, tmp_path / f"meanwhile-{len(list(tmp_path.iterdir()))}")
    commit_files(other, files, "Meanwhile")
    run_git(other, "push", "--quiet")


def configure_signing(workspace: Workspace, tmp_path: Path) -> None:
    """Configure git to sign commits in the checkout."""
    key = tmp_path / "key"
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode:
        pytest.skip("ssh-keygen could not make a key to sign with")
    for name, value in (("gpg.format", "ssh"), ("user.signingKey", str(key)), ("commit.gpgSign", "true")):
        run_git(workspace.work, "config", name, value)
