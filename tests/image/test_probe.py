"""The program that runs once in a new image, here run by this Python in the project's folder."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from kedro_k8s_airflow.image import probe
from kedro_k8s_airflow.pod import CONTRACT_VERSION
from tests.scenarios import make_project
from tests.scenarios.model import Scenario, Works, default_pipeline, make_chain

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.support.kedro_server import KedroServer

POD = Path(probe.__file__).parents[1] / "pod.py"


def run_probe(
    kedro: KedroServer, folder: Path, catalog: Mapping[str, Any], run: Mapping[str, Any], **different: Any
) -> list[str]:
    """Run the probe in a project of one node, and return the errors that it reports."""
    scenario = Scenario(
        name="probe",
        shows="",
        expect=Works(),
        pipelines=default_pipeline(*make_chain("a")),
        catalog=catalog,
        **different,
    )
    project = make_project(scenario, folder / "p")
    (project / ".k8s-airflow").mkdir()
    shutil.copy(POD, project / ".k8s-airflow" / "pod.py")
    request = {
        "project": str(project),
        "contract": CONTRACT_VERSION,
        "prefix": [],
        "conf": "conf",
        "venv": "/",
        "tools": [],
        "credentials": [],
        "nodes": {"__default__": ["a"]},
        "runs": [{"env": None, "conf_source": None, "params": {}, "datasets": ["raw", "a_out"], **run}],
    }
    program = project / "run_probe.py"
    source = Path(probe.__file__).read_text(encoding="utf-8")
    program.write_text(f"{source}\n\nmain(json.loads({json.dumps(request)!r}))\n")
    result = kedro.run_script(str(program), cwd=project)
    line = next(line for line in result.out.splitlines() if line.startswith(probe.ANSWER_PREFIX))
    errors: list[str] = json.loads(line.removeprefix(probe.ANSWER_PREFIX))["errors"]
    return errors


RESOLVERS = """
from omegaconf.resolvers import oc

CONFIG_LOADER_ARGS = {"custom_resolvers": {"oc.env": oc.env}}
"""
PICKLE = {"type": "pickle.PickleDataset", "filepath": "data/x.pkl"}


@pytest.mark.parametrize(
    ("catalog", "run", "mentions"),
    [
        ({"raw": PICKLE, "a_out": PICKLE}, {}, ""),
        ({"raw": PICKLE, "{name}_out": {**PICKLE, "filepath": "data/{name}.pkl"}}, {}, ""),
        ({"raw": PICKLE}, {}, "no entry for dataset 'a_out'"),
        ({}, {}, "no entry for dataset 'raw'"),
        ({"raw": PICKLE, "a_out": {"type": "project.nothing.Table"}}, {}, "dataset 'a_out' cannot be created"),
        ({"raw": PICKLE, "a_out": {**PICKLE, "filepath": "adl://x/y.pkl"}}, {}, "dataset 'a_out' cannot be created"),
        # What only a pod has: credentials, and variables from a Secret.
        ({"raw": PICKLE, "a_out": {**PICKLE, "filepath": "adl://x/y.pkl", "credentials": "dev"}}, {}, ""),
        ({"raw": PICKLE, "a_out": {**PICKLE, "filepath": "${oc.env:ONLY_IN_A_POD}/y.pkl"}}, {}, ""),
        (
            {"raw": PICKLE, "a_out": {**PICKLE, "filepath": "data/${runtime_params:day}.pkl"}},
            {"params": {"day": 1}},
            "",
        ),
        (
            {"raw": PICKLE, "a_out": {**PICKLE, "filepath": "data/${runtime_params:day}.pkl"}},
            {},
            "'catalog' cannot be loaded",
        ),
        ({"raw": PICKLE, "a_out": PICKLE}, {"env": "prod"}, "in environment 'prod'"),
        ({"raw": PICKLE, "a_out": PICKLE}, {"conf_source": "settings"}, "the catalog is not in the image"),
    ],
)
def test_the_catalog_is_loaded_as_in_a_pod(
    kedro: KedroServer, tmp_path: Path, catalog: Mapping[str, Any], run: Mapping[str, Any], mentions: str
) -> None:
    errors = run_probe(kedro, tmp_path, catalog, run, settings_py=RESOLVERS)
    assert bool(errors) is bool(mentions), errors
    assert mentions in "\n".join(errors)


def test_the_probe_finds_a_project_that_is_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".k8s-airflow").mkdir()
    (tmp_path / ".k8s-airflow" / "pod.py").write_text("")
    monkeypatch.setattr(probe.os, "walk", lambda _: [("/", ["proc"], []), (str(tmp_path), [], [])])
    errors: list[str] = []
    probe._check_pod_program(Path("/app"), {"prefix": [], "contract": 2}, errors)
    assert errors == [
        f"the project is in {tmp_path}, but pods expect it in /app; set `project_path: {tmp_path}`, or copy it to /app"
    ]
