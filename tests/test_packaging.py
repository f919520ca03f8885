"""What users install: the built wheel alone, in an empty environment beside a Kedro project."""

import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest

from tests.support.paths import ROOT

LOCKS = sorted((ROOT / "tests" / "requirements").glob("*.txt"))
UV = shutil.which(os.environ.get("KKA_UV", "uv"))

# All that the plugin may add to an environment that has Kedro.
ADDED_DISTRIBUTIONS = {
    "kedro-k8s-airflow",
    "croniter",
    "filelock",
    "pytz",  # croniter 6 wants it, 7 no longer
    "networkx",
    "pydantic",
    "pydantic-core",
    "annotated-types",
    "typing-inspection",
}

needs_uv = pytest.mark.skipif(UV is None, reason="uv not found: KKA_UV is set by make, or have uv on PATH")


def run_clean(*command: object, cwd: Path = ROOT) -> str:
    """Standard output of a command that must succeed, free of what this environment would add."""
    ours = {"PYTHONPATH", "VIRTUAL_ENV", "KEDRO_ENV", "PYTHONDONTWRITEBYTECODE"}
    environment = {name: value for name, value in os.environ.items() if name not in ours}
    result = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=environment | {"DO_NOT_TRACK": "1", "COLUMNS": "200"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, f"{command}\n{result.stdout}\n{result.stderr}"
    return result.stdout


def installed_distributions(python: Path) -> set[str]:
    """Names of what is installed."""
    listed = run_clean(UV, "--quiet", "pip", "freeze", "--python", python)
    return {re.split(r"==| @ ", line)[0].lower() for line in listed.splitlines()}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the source distribution as a release is."""
    target = tmp_path_factory.mktemp("dist")
    run_clean(sys.executable, "-m", "build", "--no-isolation", "--outdir", target)
    (built,) = target.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> Message:
    """What the wheel tells installers."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        return Parser().parsestr(archive.read(name).decode())


@pytest.fixture(scope="module")
def empty_environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, set[str]]:
    """The Python of an environment with the wheel and its dependencies, and what the wheel added to Kedro."""
    folder = tmp_path_factory.mktemp("user") / "venv"
    run_clean(UV, "--quiet", "venv", "--python", sys.executable, folder)
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    # The versions of the environment that runs this test, so that tomorrow's releases cannot break it.
    here = folder.parent / "constraints.txt"
    frozen = run_clean(UV, "--quiet", "pip", "freeze", "--python", sys.executable, "--exclude-editable")
    here.write_text("".join(line for line in frozen.splitlines(keepends=True) if " @ " not in line))
    install = (UV, "--quiet", "pip", "install", "--python", python, "--constraints", here)
    run_clean(*install, "kedro")
    before = installed_distributions(python)
    run_clean(*install, wheel)
    return python, installed_distributions(python) - before


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A small Kedro project of two nodes that hand each other a file on a claim; its path has a space."""
    root = tmp_path / "mini project"
    files = {
        "pyproject.toml": """
            [tool.kedro]
            package_name = "mini"
            project_name = "mini"
            kedro_init_version = "1.5.0"
            source_dir = "src"
            """,
        "src/mini/__init__.py": "",
        "src/mini/settings.py": "",
        "src/mini/text.py": """
            from pathlib import Path

            from kedro.io import AbstractDataset


            class TextDataset(AbstractDataset[str, str]):
                def __init__(self, filepath: str) -> None:
                    self._path = Path(filepath)

                def _load(self) -> str:
                    return self._path.read_text()

                def _save(self, data: str) -> None:
                    self._path.write_text(data)

                def _describe(self) -> dict[str, str]:
                    return {"filepath": str(self._path)}
            """,
        "src/mini/pipeline_registry.py": """
            from kedro.pipeline import Pipeline, node, pipeline


            def write(word: str) -> str:
                return word


            def shout(text: str) -> str:
                return text.upper()


            def register_pipelines() -> dict[str, Pipeline]:
                nodes = [
                    node(write, "params:word", "text", name="write"),
                    node(shout, "text", "shouted", name="shout"),
                ]
                return {"__default__": pipeline(nodes)}
            """,
        "conf/base/catalog.yml": """
            text: {type: mini.text.TextDataset, filepath: data/text.txt}
            shouted: {type: mini.text.TextDataset, filepath: data/shouted.txt}
            """,
        "conf/base/parameters.yml": "word: hello\n",
        "conf/base/k8s_airflow.yml": """
            image: registry.example.com/team/mini:1.0
            namespace: kedro
            data: {volumes: {data: {claim: mini-data, mount: data}}}
            """,
        "conf/local/.gitkeep": "",
        "requirements.txt": "kedro\n",
    }
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text).lstrip())
    return root


@needs_uv
def test_create_of_an_installed_wheel_writes_a_dag_that_compiles(
    empty_environment: tuple[Path, set[str]], project: Path
) -> None:
    python, _ = empty_environment
    printed = run_clean(python.with_name("kedro"), "k8s-airflow", "create", cwd=project)
    (dag,) = (project / "dags").glob("*.py")
    compile(dag.read_text(), dag.name, "exec")
    assert dag.name in printed
    assert (project / "Dockerfile").is_file()


@needs_uv
def test_an_installed_wheel_brings_the_console_script(empty_environment: tuple[Path, set[str]], project: Path) -> None:
    python, _ = empty_environment
    report = run_clean(python.with_name("kedro-k8s-airflow"), "check", "--format", "json", cwd=project / "conf")
    assert json.loads(report)["summary"]["error"] == 0


@needs_uv
def test_an_installed_wheel_imports_nothing_of_this_checkout(
    empty_environment: tuple[Path, set[str]], tmp_path: Path
) -> None:
    python, _ = empty_environment
    source = run_clean(python, "-c", "import kedro_k8s_airflow; print(kedro_k8s_airflow.__file__)", cwd=tmp_path)
    assert ROOT not in Path(source).parents


@needs_uv
def test_the_plugin_adds_little_to_plain_kedro(empty_environment: tuple[Path, set[str]]) -> None:
    _, added = empty_environment
    assert "kedro-k8s-airflow" in added
    assert added <= ADDED_DISTRIBUTIONS


def test_the_wheel_carries_every_template_and_nothing_besides_the_package(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    templates = {f"kedro_k8s_airflow/templates/{path.name}" for path in (ROOT / "templates").glob("*.j2")}
    assert templates
    assert {name for name in packed if name.endswith(".j2")} == templates
    assert {name.split("/")[0] for name in packed} == {"kedro_k8s_airflow"}


def test_wheel_metadata_names_licence_and_pythons_without_airflow_or_kubernetes(metadata: Message) -> None:
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["License-File"] == "LICENSE"
    assert set(metadata["Requires-Python"].split(",")) == {">=3.10", "<3.14"}
    needed = {re.split(r"[^\w-]", line)[0] for line in metadata.get_all("Requires-Dist")}
    assert {"kedro", "pydantic"} <= needed
    assert not {name for name in needed if "airflow" in name or "kubernetes" in name}


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.stem)
def test_a_locked_file_names_no_host_and_hashes_every_requirement(lock: Path) -> None:
    text = lock.read_text()
    assert "://" not in text
    assert "--index" not in text
    assert "--find-links" not in text
    requirements = re.sub(r"\\\n", "", re.sub(r"(?m)^\s*#.*\n", "", text)).splitlines()
    assert requirements
    assert not [line for line in requirements if "--hash=sha256:" not in line]


@pytest.mark.parametrize("major", [2, 3])
def test_the_airflow_environments_hold_no_kedro(major: int) -> None:
    locked = (ROOT / "tests" / "requirements" / f"airflow-{major}.txt").read_text()
    assert re.search(rf"(?m)^apache-airflow=={major}\.", locked)
    assert "kedro" not in locked


def test_every_classifier_is_one_that_the_index_accepts(metadata: Message) -> None:
    known = pytest.importorskip("trove_classifiers", reason="trove-classifiers is only in the environment kedro")
    classifiers = metadata.get_all("Classifier")
    assert "Framework :: Kedro" in classifiers
    assert set(classifiers) <= known.classifiers
