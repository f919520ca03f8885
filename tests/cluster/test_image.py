"""`build-image` for real: engines, a registry, secrets that must stay out, a pod that runs what was pushed."""

from __future__ import annotations

import base64
import gzip
import http.server
import io
import json
import os
import shutil
import socketserver
import subprocess
import sys
import tarfile
import threading
import zipfile
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.support.cluster_demo import NAMESPACE, run_command, run_kubectl
from tests.support.environments import find_interpreter
from tests.support.image_project import CANARY, REPOSITORY, SETTINGS, UV, kedro, locked, small
from tests.support.paths import AIRFLOW_PROBE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(
        shutil.which("podman") is None, reason="podman, which builds and starts the images, is not here"
    ),
    pytest.mark.usefixtures("base_images"),
]


def podman_command(*arguments: str) -> str:
    """Podman, started as a user would: without what the lab gives to builds."""
    given = os.environ.get("LAB_CONTAINERS_CONF_RUN", os.environ.get("CONTAINERS_CONF", ""))
    result = subprocess.run(
        ["podman", *arguments],
        env={**os.environ, "CONTAINERS_CONF": given},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    return result.stdout


def find_text_in_image(image: str, text: str) -> list[str]:
    """Where a text is in an image: names of files in its layers, `history` or `config`."""
    found = []
    with subprocess.Popen(["podman", "save", "--format=docker-archive", image], stdout=subprocess.PIPE) as saved:
        assert saved.stdout is not None
        with tarfile.open(fileobj=saved.stdout, mode="r|") as archive:
            for member in archive:
                file = archive.extractfile(member) if member.isreg() else None
                data = file.read() if file else b""
                if data[:2] == b"\x1f\x8b":
                    data = gzip.decompress(data)
                if member.name.endswith(".json"):
                    found += [member.name] if text.encode() in data else []
                elif text.encode() in data:
                    with tarfile.open(fileobj=io.BytesIO(data)) as layer:
                        names = [
                            one.name
                            for one in layer
                            if one.isreg() and (inner := layer.extractfile(one)) and text.encode() in inner.read()
                        ]
                    found += names or [member.name]
    return found


@pytest.fixture(scope="module")
def small_image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project with uv.lock after `create` and `build-image`, by the first engine that is found."""
    project_folder = small(tmp_path_factory.mktemp("small"), "uv.lock")
    kedro(project_folder, "create")
    kedro(project_folder, "build-image")
    return project_folder


def test_the_image_is_built_proven_and_locked_and_the_dag_names_it(small_image: Path) -> None:
    entry = locked(small_image)
    assert entry["tag"] == entry["content"].removeprefix("sha256:")[:12]
    assert entry["digest"] is None
    kedro(small_image, "create")
    assert f'"image": "{REPOSITORY}:{entry["tag"]}"' in (small_image / "dags" / "small.py").read_text()
    assert "image-stale" not in kedro(small_image, "create", "--check")


def test_no_secret_and_no_tool_is_in_the_image(small_image: Path) -> None:
    image = f"{REPOSITORY}:{locked(small_image)['tag']}"
    assert find_text_in_image(image, CANARY) == []
    assert find_text_in_image(image, "the node has begun") != [], "the search finds what is there"
    assert CANARY not in (small_image / "k8s-airflow.lock").read_text()
    assert CANARY not in (small_image / "dags" / "small.py").read_text()
    assert CANARY not in podman_command("history", "--no-trunc", "--format=json", image)
    packages = podman_command(
        "run",
        "--rm",
        image,
        "python",
        "-c",
        "import importlib.metadata as m; print([d.name for d in m.distributions()])",
    )
    assert "'kedro'" in packages
    assert "'small'" in packages, "the project counts as installed"
    assert "kedro-viz" not in packages
    assert "pytest" not in packages


def test_a_checkout_that_only_its_owner_can_read_gives_an_image_that_all_can(tmp_path: Path) -> None:
    project_folder = small(tmp_path, "uv.lock")
    kedro(project_folder, "create")
    for path in [project_folder, *project_folder.rglob("*")]:
        path.chmod(0o700 if path.is_dir() else 0o600)
    assert "with a read-only root" in kedro(project_folder, "build-image")


def test_any_user_of_group_0_can_start_it(small_image: Path) -> None:
    image = f"{REPOSITORY}:{locked(small_image)['tag']}"
    output = podman_command(
        *("run", "--rm", "--user=1000730000:0", "--read-only", "--cap-drop=ALL", "--network=none"),
        *("--tmpfs=/tmp", image, "kedro", "run", "--nodes=begin"),
    )
    assert "the node has begun" in output


def test_engine_and_content_hash_agree_on_dockerignore(small_image: Path, tmp_path: Path) -> None:
    from kedro_k8s_airflow.image import content_hash

    project_folder = shutil.copytree(small_image, tmp_path / "small")
    more = [
        "src/small/conf/local/a",
        "conf/base/a/credentials_b.yml",
        "conf/prod/k8s_airflow.yml",
        "src/small/.env",
        "uv.lock.old",
    ]
    for name in [*more, "src/x/__pycache__/a.pyc", "src/x/.git/y", "conf/local/deep/z", "src/small/a.pyc"]:
        (project_folder / name).parent.mkdir(parents=True, exist_ok=True)
        (project_folder / name).write_text("x")
    with (project_folder / ".dockerignore").open("a") as file:
        file.write("\n!data/01/x.csv\n!more/a\n")
    for name in ("data/01/x.csv", "data/01/y.csv", "data/02/x.csv", "more/a/b/c", "more/a/d"):
        (project_folder / name).parent.mkdir(parents=True, exist_ok=True)
        (project_folder / name).write_text("x")
    (project_folder / "Dockerfile.all").write_text("FROM python:3.12-slim\nCOPY . /all\n")
    run_command(
        [
            "podman",
            "build",
            "--quiet",
            "--tag=localhost/all:1",
            "--file",
            project_folder / "Dockerfile.all",
            project_folder,
        ]
    )
    seen = podman_command("run", "--rm", "localhost/all:1", "find", "/all", "-type", "f").split()
    ignored = (project_folder / ".dockerignore").read_text()
    assert sorted(name.removeprefix("/all/") for name in seen) == sorted(
        content_hash.admitted_files(project_folder, ignored)
    )


@pytest.mark.parametrize(
    ("kind", "engine"),
    [("requirements.txt", "podman"), pytest.param("pyproject.toml", "buildah", marks=pytest.mark.full)],
)
def test_every_engine_builds_every_kind_of_project(tmp_path: Path, kind: str, engine: str) -> None:
    project_folder = small(tmp_path, kind)
    output = kedro(project_folder, "build-image", "--engine", engine)
    assert f"by {engine} in" in output
    assert "contract" in output
    assert ("image-no-lock" in output) is (kind == "pyproject.toml")
    assert ("image-excluded" in output) is (kind == "requirements.txt")


def test_content_hash_is_engine_independent_and_source_change_keeps_other_layers(
    small_image: Path, tmp_path: Path
) -> None:
    project_folder = shutil.copytree(small_image, tmp_path / "small")
    before = locked(project_folder)
    kedro(project_folder, "build-image", "--engine", "podman", "--no-verify")
    assert locked(project_folder) == before
    (project_folder / "src" / "small" / "more.py").write_text("X = 1\n")
    output = kedro(project_folder, "create")
    assert "was built before src changed" in output
    kedro(project_folder, "build-image", "--engine", "buildah", "--no-verify")
    assert locked(project_folder)["tag"] != before["tag"]
    layers = [
        json.loads(
            podman_command("image", "inspect", "--format={{json .RootFS.Layers}}", f"{REPOSITORY}:{entry['tag']}")
        )
        for entry in (before, locked(project_folder))
    ]
    assert layers[0][:-2] == layers[1][:-2], "the source and its bytecode"
    assert layers[0][-2:] != layers[1][-2:]


def test_an_image_for_a_group_holds_it_and_uv_may_start_the_pods(tmp_path: Path) -> None:
    more = {
        "images": {"more": {"groups": ["more"], "env": {"ODD": 'a "b" $HOME'}}},
        "build": {"prefix": ["uv", "run", "--no-sync"]},
    }
    project_folder = small(tmp_path, "uv.lock", {**more, "tasks": {"all": {"match": {"node": "*"}, "image": "more"}}})
    kedro(project_folder, "build-image", "--image", "more")
    image = f"{REPOSITORY}:{locked(project_folder, 'more')['tag']}"
    assert image.rpartition(":")[2].startswith("more-")
    output = podman_command("run", "--rm", image, "python", "-c", "import os, tabulate; print(os.environ['ODD'])")
    assert output == 'a "b" $HOME\n'
    kedro(project_folder, "create")
    dag = (project_folder / "dags" / "small.py").read_text()
    assert f'image="{image}"' in dag
    assert '"cmds": ["uv", "run", "--no-sync", "python"]' in dag


@pytest.mark.full
def test_the_same_content_at_the_same_date_has_the_same_digest(small_image: Path) -> None:
    from kedro_k8s_airflow.image import engines

    found = set()
    for turn in range(2):
        engine = engines.find_engine("podman")
        tag = f"localhost/dated:{turn}"
        command = engine.build_command(
            small_image, "Dockerfile", tag, platform=None, arguments={}, secrets=(), labels={}, epoch=1_700_000_000
        )
        engine.call([*command[:-1], "--no-cache", command[-1]], lambda _: None)
        found.add(podman_command("image", "inspect", "--format={{.Digest}}", tag))
    assert len(found) == 1


def test_kedro_docker_builds_the_same_file(small_image: Path, tmp_path: Path) -> None:
    project_folder = shutil.copytree(small_image, tmp_path / "small")
    python = find_interpreter("KKA_PYTHON_KEDRO_DOCKER")
    (tmp_path / "bin").mkdir()
    docker = tmp_path / "bin" / "docker"
    docker.write_text('#!/bin/sh\nexec podman "$@"\n')
    docker.chmod(0o755)
    command = [
        "docker",
        "build",
        "--uid=4711",
        "--gid=0",
        "--base-image=python:3.12-slim",
        "--image=localhost/small:docker",
    ]
    result = subprocess.run(
        [python, "-m", "kedro", *command],
        cwd=project_folder,
        env={**os.environ, "PATH": f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, (result.stdout + result.stderr)[-3000:]
    assert podman_command("image", "inspect", "--format={{.Config.User}}", "localhost/small:docker").strip() == "4711:0"
    assert "the node has begun" in podman_command(
        "run", "--rm", "localhost/small:docker", "kedro", "run", "--nodes=begin"
    )


SPARK = """
from kedro.pipeline import node, pipeline


def count():
    from pyspark.sql import SparkSession

    session = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").getOrCreate()
    found = session.range(1000).selectExpr("sum(id) as total").collect()[0]["total"]
    session.stop()
    print(f"spark has counted {found}")
    return found


def register_pipelines():
    return {"__default__": pipeline([node(count, None, "total", name="begin")])}
"""


@pytest.mark.full
def test_a_spark_node_runs_in_local_mode(tmp_path: Path) -> None:
    project_folder = small(tmp_path, "pyproject.toml", {"build": {"java": True}})
    text = (project_folder / "pyproject.toml").read_text()
    (project_folder / "pyproject.toml").write_text(
        text.replace('dependencies = ["', 'dependencies = ["pyspark==3.5.*", "setuptools", "')
    )
    (project_folder / "src" / "small" / "pipeline_registry.py").write_text(SPARK)
    kedro(project_folder, "build-image")
    image = f"{REPOSITORY}:{locked(project_folder)['tag']}"
    output = podman_command(
        *("run", "--rm", "--read-only", "--cap-drop=ALL", "--network=none", "--tmpfs=/tmp", "--tmpfs=/home/kedro"),
        *(image, "kedro", "run", "--nodes=begin"),
    )
    assert "spark has counted 499500" in output


HOOKS = """
from importlib.metadata import version

from kedro.framework.hooks import hook_impl


class Hooks:
    @hook_impl
    def after_node_run(self, node):
        print(f"version {version('small')} has run {node.name}")


hooks = Hooks()
"""
DYNAMIC = """
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[tool.setuptools.dynamic]
dependencies = {file = "requirements.in"}
version = {attr = "small.__version__"}
[tool.setuptools.packages.find]
where = ["src"]
[project.entry-points."kedro.hooks"]
small = "small.hooks:hooks"
"""


@pytest.mark.full
def test_a_project_with_dynamic_dependencies_counts_as_installed(tmp_path: Path) -> None:
    project_folder = small(tmp_path, "pyproject.toml", more=DYNAMIC)
    text = (project_folder / "pyproject.toml").read_text()
    text = text.replace('version = "0.1"', 'dynamic = ["dependencies", "version"]')
    dependencies = next(line for line in text.splitlines() if line.startswith("dependencies = ["))
    (project_folder / "pyproject.toml").write_text(text.replace(dependencies, ""))
    (project_folder / "requirements.in").write_text(dependencies.split('"')[1] + "\nkedro-airflow\n")
    (project_folder / "src" / "small" / "__init__.py").write_text('__version__ = "0.3"\n')
    (project_folder / "src" / "small" / "settings.py").write_text("import kedro_airflow\n")
    (project_folder / "src" / "small" / "hooks.py").write_text(HOOKS)
    run_command([UV, "--quiet", "lock", "--python", sys.executable], cwd=project_folder)
    assert "image-imported" in kedro(project_folder, "build-image")
    image = f"{REPOSITORY}:{locked(project_folder)['tag']}"
    output = podman_command("run", "--rm", "--read-only", "--tmpfs=/tmp", image, "kedro", "run", "--nodes=begin")
    assert "version 0.3 has run begin" in output


BROKEN = {
    "a user with a name": ("RUN useradd x\nUSER x\n", "requires a numeric user"),
    "no Kedro": ("USER 1000:0\n", "has no Kedro"),
    "a secret": ("COPY .env /app/.env\nUSER 1000:0\n", ".env is in the image"),
    "no program": ("RUN rm -r /app/.k8s-airflow\nUSER 1000:0\n", "pod.py, is not in the image"),
    "elsewhere": ("RUN mv /app /srv/project\nUSER 1000:0\n", "set `project_path: /srv/project`"),
    "an old Kedro": ("RUN pip install --quiet kedro==1.4.0\nUSER 1000:0\n", "pods can run only on Kedro"),
}


def test_custom_dockerfile_is_built_and_checked_against_the_contract(tmp_path: Path) -> None:
    project_folder = small(tmp_path, "pyproject.toml")
    for lines, output in BROKEN.values():
        (project_folder / "Dockerfile").write_text(f"FROM python:3.12-slim\nWORKDIR /app\nCOPY . .\n{lines}")
        assert output in " ".join(kedro(project_folder, "build-image", ok=False).split())
    assert not (project_folder / "k8s-airflow.lock").exists()


@pytest.mark.parametrize("user", [None, 1000730000], ids=["as emitted", "any user"])
def test_pushed_image_runs_by_digest_in_a_pod(
    small_image: Path, registry: str, tmp_path: Path, user: int | None
) -> None:
    project_folder = shutil.copytree(small_image, tmp_path / "small")
    security = {"runAsUser": None, "fsGroup": None} if user else {}
    settings = {**SETTINGS, "image": f"{registry}/team/small"}
    settings["tasks"] = {"default": {**SETTINGS["tasks"]["default"], "podSecurityContext": security}}
    (project_folder / "conf" / "base" / "k8s_airflow.yml").write_text(yaml.safe_dump(settings))
    kedro(project_folder, "build-image", "--push")
    digest = locked(project_folder)["digest"]
    kedro(project_folder, "create")
    report = tmp_path / "report.json"
    run_command(
        [find_interpreter("KKA_PYTHON_AIRFLOW_3"), AIRFLOW_PROBE, project_folder / "dags/small.py", "--out", report]
    )
    (entry,) = json.loads(report.read_text())["files"].values()
    (task,) = entry["dags"]["small"]["tasks"].values()
    pod = task["rendered_pod"]
    container = pod["spec"]["containers"][0]
    assert container["image"] == f"{registry}/team/small@{digest}"
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    if user:  # as OpenShift would
        pod["spec"]["securityContext"]["runAsUser"] = user
        pod["spec"]["securityContext"]["runAsGroup"] = 0
    name = f"image-{os.getpid()}-{user or 'plain'}"
    pod["metadata"] = {"name": name, "namespace": NAMESPACE}
    run_kubectl("create", "--filename", "-", stdin=json.dumps(pod))
    try:
        run_kubectl("wait", f"pod/{name}", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=120s")
    finally:
        log = run_kubectl("logs", name)
        run_kubectl("delete", "pod", name, "--wait=false")
    assert "kedro-k8s-airflow: done: 2 nodes" in log


class _PrivateIndex(http.server.BaseHTTPRequestHandler):
    """A package index of one wheel that wants a password."""

    wheel = b""
    name = "secretive-1.0-py3-none-any.whl"

    def do_GET(self) -> None:
        expected = "Basic " + base64.b64encode(f"me:{CANARY}".encode()).decode()
        if self.headers.get("Authorization") != expected:
            self.send_response(401)
            self.send_header("WWW-Authenticate", "Basic")
            self.end_headers()
            return
        body = self.wheel
        if self.path.endswith("/secretive/"):
            body = f'<a href="/{self.name}">{self.name}</a>'.encode()
        elif not self.path.endswith(".whl"):
            self.send_response(404)
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/html" if self.path.endswith("/") else "application/zip")
        self.end_headers()
        self.wfile.write(body)

    do_HEAD = do_GET  # noqa: N815  as http.server wants it

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def index() -> Iterator[str]:
    """The address of a private index."""
    project_folder = io.BytesIO()
    with zipfile.ZipFile(project_folder, "w") as archive:
        info = "secretive-1.0.dist-info"
        archive.writestr("secretive.py", "")
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: secretive\nVersion: 1.0\n")
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    _PrivateIndex.wheel = project_folder.getvalue()
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _PrivateIndex) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/simple"
        server.shutdown()


@pytest.mark.parametrize("engine", ["podman", pytest.param("buildah", marks=pytest.mark.full)])
def test_the_password_of_a_private_index_stays_in_no_layer(tmp_path: Path, index: str, engine: str) -> None:
    secrets = ["UV_INDEX_TEAM_USERNAME", "UV_INDEX_TEAM_PASSWORD"]
    more = f"\n[[tool.uv.index]]\nname = 'team'\nurl = '{index}'\n[tool.uv.sources]\nsecretive = {{index = 'team'}}\n"
    project_folder = small(tmp_path, "pyproject.toml", {"build": {"secrets": secrets}}, more)
    add_private_requirement(project_folder)
    output = kedro(project_folder, "build-image", "--engine", engine, ok=False)
    assert "build.secrets" in output
    word = tmp_path / "word"
    word.write_text(CANARY)
    given = f"id=UV_INDEX_TEAM_PASSWORD,src={word}"
    output = kedro(project_folder, "build-image", "--engine", engine, "--secret", given, UV_INDEX_TEAM_USERNAME="me")
    assert_password_not_in_image(project_folder, output)


def test_an_index_url_with_a_password_is_a_build_secret_and_stays_in_no_layer(tmp_path: Path, index: str) -> None:
    project_folder = small(tmp_path, "pyproject.toml", {"build": {"secrets": ["UV_INDEX"]}})
    add_private_requirement(project_folder)
    assert_password_not_in_image(
        project_folder,
        kedro(project_folder, "build-image", "--no-verify", UV_INDEX=index.replace("://", f"://me:{CANARY}@")),
    )


def add_private_requirement(project_folder: Path) -> None:
    path = project_folder / "pyproject.toml"
    path.write_text(path.read_text().replace('dependencies = ["', 'dependencies = ["secretive", "'))


def assert_password_not_in_image(project_folder: Path, output: str) -> None:
    """The package of the private index is in the image, and its password nowhere."""
    image = f"{REPOSITORY}:{locked(project_folder)['tag']}"
    assert "secretive" in podman_command("run", "--rm", image, "ls", "/opt/venv/lib/python3.12/site-packages")
    assert find_text_in_image(image, CANARY) == []
    assert CANARY not in output + (project_folder / "k8s-airflow.lock").read_text() + podman_command(
        "history", "--no-trunc", image
    )
