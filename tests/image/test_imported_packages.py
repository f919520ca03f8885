"""What the project imports is in the image: what loading it loaded decides, whatever `build.exclude` names."""

from __future__ import annotations

import sys
import types
from typing import TYPE_CHECKING

import pytest

from kedro_k8s_airflow.image import imported_packages
from kedro_k8s_airflow.project.imports import ModuleImport, find_imports
from tests.scenarios import make_project
from tests.scenarios.model import SETTINGS, Scenario, Works, default_pipeline, make_chain, pickle_entries
from tests.support.check_runner import check

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.kedro_server import KedroServer

REQUIREMENTS = "kedro\nkedro-datasets\nkedro-airflow\n"


def find(root: Path, monkeypatch: pytest.MonkeyPatch, loaded: str, *classes: str, **files: str) -> set[str]:
    """What the package `own` in `src` imports, when its module `loaded` is loaded; an optional import ends in `?`."""
    for name, text in {"own__init__": "", **files}.items():
        path = root / "src" / "own" / f"{name.replace('own__init__', '__init__')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    module = types.ModuleType(f"own.{loaded}")
    module.__file__ = str(root / "src" / "own" / f"{loaded}.py")
    monkeypatch.setitem(sys.modules, f"own.{loaded}", module)
    found = find_imports(root, root / "src", "own", classes)
    return {one.module + "?" * one.is_optional for one in found}


@pytest.mark.parametrize(
    ("text", "modules"),
    [
        ("import other.part, json\nfrom third import x\n", {"other.part", "third"}),
        ("def f():\n    from other import x\n", {"other"}),
        ("try:\n    import other\nexcept ImportError:\n    import third\n", {"other?", "third?"}),
        ("try:\n    import other\nfinally:\n    import third\n", {"other", "third"}),
        ("try:\n    import other\nexcept (KeyError, ModuleNotFoundError):\n    pass\n", {"other?"}),
        ("import contextlib\nwith contextlib.suppress(ImportError):\n    import other\n", {"other?"}),
        ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import other\nelse:\n    import third\n", {"third"}),
        ("if __name__ == '__main__':\n    import other\n", set()),
        ("import importlib\nX = importlib.import_module('other.part')\n", {"other.part"}),
        ('"""\nimport other\n"""\nfrom own import __name__\nimport kedro.io\n', set()),
        ("match 1:\n    case 1:\n        import other\n", {"other"}),
        ("import third\nx = (\n", set()),
    ],
)
def test_imports_are_read_from_the_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, modules: set[str]
) -> None:
    assert find(tmp_path, monkeypatch, "nodes", nodes=text) == modules


@pytest.mark.parametrize("alias", ["__main__", "__mp_main__"])
def test_the_running_program_is_no_part_of_the_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, alias: str
) -> None:
    script = tmp_path / ".venv" / "bin" / "kedro-k8s-airflow"
    script.parent.mkdir(parents=True)
    script.write_text("import other\n")
    program = types.ModuleType("__main__")
    program.__file__ = str(script)
    monkeypatch.setitem(sys.modules, "__main__", program)
    monkeypatch.setitem(sys.modules, alias, program)
    assert find(tmp_path, monkeypatch, "nodes", nodes="import third\n") == {"third"}


def test_modules_that_a_function_or_the_catalog_loads_count_and_others_do_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = find(
        tmp_path,
        monkeypatch,
        "nodes",
        *("own.data.Table", "pandas.CSVDataset", "elsewhere.tables.Table"),
        nodes="def f():\n    from .late import g\n    from own import later\n",
        late="import other\n",
        later="import third\n",
        data="import tables\n",
        never="import unused\n",
        cli="import shell\n",
    )
    assert found == {"other", "third", "tables", "elsewhere.tables"}


def test_imports_of_the_command_line_are_optional(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find(tmp_path, monkeypatch, "cli", cli="import shell\n") == {"shell?"}


def test_a_file_beside_the_source_is_found_with_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    beside = types.ModuleType("beside")
    beside.__file__ = str(tmp_path / "beside.py")
    (tmp_path / "beside.py").write_text("import other\n")
    monkeypatch.setitem(sys.modules, "beside", beside)
    find(tmp_path, monkeypatch, "nodes", nodes="import beside\n")
    found = find_imports(tmp_path, tmp_path / "src", "own")
    assert {(one.module, one.file, one.line, one.origin) for one in found} == {
        ("beside", "src/own/nodes.py", 1, "beside.py"),
        ("other", "beside.py", 1, None),
    }


def test_a_package_is_imported_by_the_name_of_its_modules_or_through_another() -> None:
    imports = [ModuleImport("yaml", "src/x.py", 1), ModuleImport("kedro_viz.integrations", "src/y.py", 2)]
    found = imported_packages.find_imported_packages(["PyYAML", "Kedro.Viz", "notebook"], imports)
    assert {name: one.line for name, one in found.items()} == {"PyYAML": 1, "Kedro.Viz": 2}
    # kedro-datasets requires kedro, which requires omegaconf.
    through = imported_packages.find_imported_packages(
        ["omegaconf", "pandas"], [ModuleImport("kedro_datasets", "z", 3)]
    )
    assert set(through) == {"omegaconf"}


@pytest.mark.parametrize(
    ("files", "is_excluded", "codes"),
    [
        ({"requirements.txt": REQUIREMENTS}, True, {"image-excluded"}),
        (
            {"requirements.txt": REQUIREMENTS, "{package}/settings.py": "import kedro_airflow.plugin\n"},
            False,
            {"image-imported"},
        ),
        (
            {
                "requirements.txt": REQUIREMENTS,
                "{package}/settings.py": "from project.late import f\n",
                "{package}/late.py": "def f():\n    import kedro_airflow\n",
            },
            False,
            {"image-imported"},
        ),
        (
            {"requirements.txt": "kedro\nkedro-datasets\n", "{package}/settings.py": "import kedro_airflow\n"},
            False,
            {"image-import"},
        ),
    ],
    ids=["not-imported", "imported", "imported-in-a-function", "not-listed"],
)
def test_an_excluded_package_stays_if_the_project_imports_it(
    kedro: KedroServer, tmp_path: Path, files: dict[str, str], is_excluded: bool, codes: set[str]
) -> None:
    scenario = Scenario(
        name="imports",
        shows="",
        expect=Works(),
        pipelines=default_pipeline(*make_chain("a")),
        catalog=pickle_entries("raw", "a_out"),
        settings=SETTINGS,
        files=files,
    )
    project = make_project(scenario, tmp_path / "p")
    _, findings = check(kedro, project)
    about = {one["code"] for one in findings if one["code"].startswith(("image-ex", "image-im", "image-pl"))}
    assert about == codes
    assert kedro.run_command("k8s-airflow", "create", cwd=project).code == 0
    assert ("kedro-airflow" in (project / "Dockerfile").read_text()) is is_excluded
