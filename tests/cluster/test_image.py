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
import tarfile
import threading
import zipfile
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.support.cluster_demo import NAMESPACE, kubectl, run
from tests.support.environments import interpreter
from tests.support.image_project import CANARY, REPOSITORY, SETTINGS, kedro, locked, small
from tests.support.paths import AIRFLOW_PROBE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(
        shutil.which("podman") is None, reason="podman, which builds and starts the images, is not here"
    ),
    pytest.mark.usefixtures("bases"),
]


def podman(*arguments: str) -> str:
    """Podman, started as a user would: without what the lab gives to builds."""
    given = os.environ.get("LAB_CONTAINERS_CONF_RUN", os.environ.get("CONTAINERS_CONF", ""))
    done = subprocess.run(
        ["podman", *arguments],
        env={**os.environ, "CONTAINERS_CONF": given},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def holds(image: str, text: str) -> list[str]:
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
    made = small(tmp_path_factory.mktemp("small"), "uv.lock")
    kedro(made, "create")
    kedro(made, "build-image")
    return made


def test_the_image_is_built_proven_and_locked_and_the_dag_names_it(small_image: Path) -> None:
    entry = locked(small_image)
    assert entry["tag"] == entry["content"].removeprefix("sha256:")[:12]
    assert entry["digest"] is None
    kedro(small_image, "create")
    assert f'"image": "{REPOSITORY}:{entry["tag"]}"' in (small_image / "dags" / "small.py").read_text()
    assert "image-stale" not in kedro(small_image, "create", "--check")


def test_no_secret_and_no_tool_is_in_the_image(small_image: Path) -> None:
    image = f"{REPOSITORY}:{locked(small_image)['tag']}"
    assert holds(image, CANARY) == []
    assert holds(image, "the node has begun") != [], "the search finds what is there"
    assert CANARY not in (small_image / "k8s-airflow.lock").read_text()
    assert CANARY not in (small_image / "dags" / "small.py").read_text()
    assert CANARY not in podman("history", "--no-trunc", "--format=json", image)
    packages = podman(
        "run",
        "--rm",
        image,
        "python",
        "-c",
        "import importlib.metadata as m; print([d.name for d in m.distributions()])",
    )
    assert "'kedro'" in packages
    assert "kedro-viz" not in packages
    assert "pytest" not in packages


def test_a_checkout_that_only_its_owner_can_read_gives_an_image_that_all_can(tmp_path: Path) -> None:
    made = small(tmp_path, "uv.lock")
    kedro(made, "create")
    for path in [made, *made.rglob("*")]:
        path.chmod(0o700 if path.is_dir() else 0o600)
    assert "with a read-only root" in kedro(made, "build-image")


def test_any_user_of_group_0_can_start_it(small_image: Path) -> None:
    image = f"{REPOSITORY}:{locked(small_image)['tag']}"
    said = podman(
        *("run", "--rm", "--user=1000730000:0", "--read-only", "--cap-drop=ALL", "--network=none"),
        *("--tmpfs=/tmp", image, "kedro", "run", "--nodes=begin"),
    )
    assert "the node has begun" in said


def test_the_dockerignore_means_to_the_engine_what_it_means_to_the_content_hash(
    small_image: Path, tmp_path: Path
) -> None:
    from kedro_k8s_airflow.image import content_hash

    made = shutil.copytree(small_image, tmp_path / "small")
    more = [
        "src/small/conf/local/a",
        "conf/base/a/credentials_b.yml",
        "conf/prod/k8s_airflow.yml",
        "src/small/.env",
        "uv.lock.old",
    ]
    for name in [*more, "src/x/__pycache__/a.pyc", "src/x/.git/y", "conf/local/deep/z", "src/small/a.pyc"]:
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        (made / name).write_text("x")
    with (made / ".dockerignore").open("a") as file:
        file.write("\n!data/01/x.csv\n!more/a\n")
    for name in ("data/01/x.csv", "data/01/y.csv", "data/02/x.csv", "more/a/b/c", "more/a/d"):
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        (made / name).write_text("x")
    (made / "Dockerfile.all").write_text("FROM python:3.12-slim\nCOPY . /all\n")
    run(["podman", "build", "--quiet", "--tag=localhost/all:1", "--file", made / "Dockerfile.all", made])
    seen = podman("run", "--rm", "localhost/all:1", "find", "/all", "-type", "f").split()
    ignored = (made / ".dockerignore").read_text()
    assert sorted(name.removeprefix("/all/") for name in seen) == sorted(content_hash.admitted_files(made, ignored))


@pytest.mark.parametrize(
    ("kind", "engine"),
    [("requirements.txt", "podman"), pytest.param("pyproject.toml", "buildah", marks=pytest.mark.full)],
)
def test_every_engine_builds_every_kind_of_project(tmp_path: Path, kind: str, engine: str) -> None:
    made = small(tmp_path, kind)
    said = kedro(made, "build-image", "--engine", engine)
    assert f"by {engine} in" in said
    assert "contract" in said
    assert ("image-no-lock" in said) is (kind == "pyproject.toml")
    assert ("image-excluded" in said) is (kind == "requirements.txt")


def test_the_same_content_has_the_same_hash_with_another_engine_and_a_change_of_source_leaves_the_other_layers(
    small_image: Path, tmp_path: Path
) -> None:
    made = shutil.copytree(small_image, tmp_path / "small")
    before = locked(made)
    kedro(made, "build-image", "--engine", "podman", "--no-verify")
    assert locked(made) == before
    (made / "src" / "small" / "more.py").write_text("X = 1\n")
    said = kedro(made, "create")
    assert "was built before src changed" in said
    kedro(made, "build-image", "--engine", "buildah", "--no-verify")
    assert locked(made)["tag"] != before["tag"]
    layers = [
        json.loads(podman("image", "inspect", "--format={{json .RootFS.Layers}}", f"{REPOSITORY}:{entry['tag']}"))
        for entry in (before, locked(made))
    ]
    assert layers[0][:-2] == layers[1][:-2], "the source and its bytecode"
    assert layers[0][-2:] != layers[1][-2:]


def test_an_image_for_a_group_holds_it_and_uv_may_start_the_pods(tmp_path: Path) -> None:
    more = {
        "images": {"more": {"groups": ["more"], "env": {"ODD": 'a "b" $HOME'}}},
        "build": {"prefix": ["uv", "run", "--no-sync"]},
    }
    made = small(tmp_path, "uv.lock", {**more, "tasks": {"all": {"match": {"node": "*"}, "image": "more"}}})
    kedro(made, "build-image", "--image", "more")
    image = f"{REPOSITORY}:{locked(made, 'more')['tag']}"
    assert image.rpartition(":")[2].startswith("more-")
    said = podman("run", "--rm", image, "python", "-c", "import os, tabulate; print(os.environ['ODD'])")
    assert said == 'a "b" $HOME\n'
    kedro(made, "create")
    dag = (made / "dags" / "small.py").read_text()
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
        found.add(podman("image", "inspect", "--format={{.Digest}}", tag))
    assert len(found) == 1


def test_kedro_docker_builds_the_same_file(small_image: Path, tmp_path: Path) -> None:
    made = shutil.copytree(small_image, tmp_path / "small")
    python = interpreter("KKA_PYTHON_KEDRO_DOCKER")
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
    done = subprocess.run(
        [python, "-m", "kedro", *command],
        cwd=made,
        env={**os.environ, "PATH": f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    assert podman("image", "inspect", "--format={{.Config.User}}", "localhost/small:docker").strip() == "4711:0"
    assert "the node has begun" in podman("run", "--rm", "localhost/small:docker", "kedro", "run", "--nodes=begin")


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
    made = small(tmp_path, "pyproject.toml", {"build": {"java": True}})
    text = (made / "pyproject.toml").read_text()
    (made / "pyproject.toml").write_text(
        text.replace('dependencies = ["', 'dependencies = ["pyspark==3.5.*", "setuptools", "')
    )
    (made / "src" / "small" / "pipeline_registry.py").write_text(SPARK)
    kedro(made, "build-image")
    image = f"{REPOSITORY}:{locked(made)['tag']}"
    said = podman(
        *("run", "--rm", "--read-only", "--cap-drop=ALL", "--network=none", "--tmpfs=/tmp", "--tmpfs=/home/kedro"),
        *(image, "kedro", "run", "--nodes=begin"),
    )
    assert "spark has counted 499500" in said


BROKEN = {
    "a user with a name": ("RUN useradd x\nUSER x\n", "requires a numeric user"),
    "no Kedro": ("USER 1000:0\n", "has no Kedro"),
    "a secret": ("COPY .env /app/.env\nUSER 1000:0\n", ".env is in the image"),
    "no program": ("RUN rm -r /app/.k8s-airflow\nUSER 1000:0\n", "should print 'contract"),
}


def test_a_dockerfile_of_the_users_own_is_built_and_held_to_the_contract(tmp_path: Path) -> None:
    made = small(tmp_path, "pyproject.toml")
    for lines, said in BROKEN.values():
        (made / "Dockerfile").write_text(f"FROM python:3.12-slim\nWORKDIR /app\nCOPY . .\n{lines}")
        assert said in " ".join(kedro(made, "build-image", ok=False).split())
    assert not (made / "k8s-airflow.lock").exists()


@pytest.mark.parametrize("user", [None, 1000730000], ids=["as emitted", "any user"])
def test_what_was_pushed_runs_by_its_digest_in_a_pod(
    small_image: Path, registry: str, tmp_path: Path, user: int | None
) -> None:
    made = shutil.copytree(small_image, tmp_path / "small")
    security = {"runAsUser": None, "fsGroup": None} if user else {}
    settings = {**SETTINGS, "image": f"{registry}/team/small"}
    settings["tasks"] = {"default": {**SETTINGS["tasks"]["default"], "podSecurityContext": security}}
    (made / "conf" / "base" / "k8s_airflow.yml").write_text(yaml.safe_dump(settings))
    kedro(made, "build-image", "--push")
    digest = locked(made)["digest"]
    kedro(made, "create")
    report = tmp_path / "report.json"
    run([interpreter("KKA_PYTHON_AIRFLOW_3"), AIRFLOW_PROBE, made / "dags/small.py", "--out", report])
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
    kubectl("create", "--filename", "-", stdin=json.dumps(pod))
    try:
        kubectl("wait", f"pod/{name}", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=120s")
    finally:
        log = kubectl("logs", name)
        kubectl("delete", "pod", name, "--wait=false")
    assert "kedro-k8s-airflow: done: 2 nodes" in log


class _Index(http.server.BaseHTTPRequestHandler):
    """A package index of one wheel that wants a password."""

    wheel = b""
    name = "secretive-1.0-py3-none-any.whl"

    def do_GET(self) -> None:
        wanted = "Basic " + base64.b64encode(f"me:{CANARY}".encode()).decode()
        if self.headers.get("Authorization") != wanted:
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
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        info = "secretive-1.0.dist-info"
        archive.writestr("secretive.py", "")
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: secretive\nVersion: 1.0\n")
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    _Index.wheel = made.getvalue()
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Index) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/simple"
        server.shutdown()


@pytest.mark.parametrize("engine", ["podman", pytest.param("buildah", marks=pytest.mark.full)])
def test_the_password_of_a_private_index_stays_in_no_layer(tmp_path: Path, index: str, engine: str) -> None:
    secrets = ["UV_INDEX_TEAM_USERNAME", "UV_INDEX_TEAM_PASSWORD"]
    more = f"\n[[tool.uv.index]]\nname = 'team'\nurl = '{index}'\n[tool.uv.sources]\nsecretive = {{index = 'team'}}\n"
    made = small(tmp_path, "pyproject.toml", {"build": {"secrets": secrets}}, more)
    needs_secretive(made)
    said = kedro(made, "build-image", "--engine", engine, ok=False)
    assert "build.secrets" in said
    word = tmp_path / "word"
    word.write_text(CANARY)
    given = f"id=UV_INDEX_TEAM_PASSWORD,src={word}"
    said = kedro(made, "build-image", "--engine", engine, "--secret", given, UV_INDEX_TEAM_USERNAME="me")
    nowhere(made, said)


def test_an_index_url_with_a_password_is_a_build_secret_and_stays_in_no_layer(tmp_path: Path, index: str) -> None:
    made = small(tmp_path, "pyproject.toml", {"build": {"secrets": ["UV_INDEX"]}})
    needs_secretive(made)
    nowhere(made, kedro(made, "build-image", "--no-verify", UV_INDEX=index.replace("://", f"://me:{CANARY}@")))


def needs_secretive(made: Path) -> None:
    path = made / "pyproject.toml"
    path.write_text(path.read_text().replace('dependencies = ["', 'dependencies = ["secretive", "'))


def nowhere(made: Path, said: str) -> None:
    """The package of the private index is in the image, and its password nowhere."""
    image = f"{REPOSITORY}:{locked(made)['tag']}"
    assert "secretive" in podman("run", "--rm", image, "ls", "/opt/venv/lib/python3.12/site-packages")
    assert holds(image, CANARY) == []
    assert CANARY not in said + (made / "k8s-airflow.lock").read_text() + podman("history", "--no-trunc", image)
