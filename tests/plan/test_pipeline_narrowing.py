"""Which registered pipeline a pod loads: how often the registry is evaluated to find it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.scenarios import Scenario, Works, make_project
from tests.scenarios.model import pickle_entries

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.kedro_server import KedroServer

_REGISTRY = """\
from pathlib import Path

from kedro.pipeline import Node, Pipeline


def register_pipelines():
    with Path("evaluations").open("a") as file:
        file.write(".")
    parts = {f"part_{n}": Pipeline([Node(lambda x: x, f"d{n}", f"d{n + 1}", name=f"n{n}")]) for n in range(6)}
    return {**parts, "__default__": sum(parts.values())}
"""
_SCENARIO = Scenario(
    name="parts",
    shows="a registry that makes every pipeline",
    registry=_REGISTRY,
    catalog=pickle_entries(*(f"d{number}" for number in range(7))),
    expect=Works(),
)


@pytest.mark.parametrize("options", [(), ("--pipeline", "__default__", "--pipeline", "part_0")])
def test_a_registry_that_makes_every_pipeline_is_evaluated_only_once_more(
    options: tuple[str, ...], kedro: KedroServer, tmp_path: Path
) -> None:
    project = make_project(_SCENARIO, tmp_path / "project")

    result = kedro.run_command("k8s-airflow", "create", *options, cwd=project)

    assert result.code == 0, result
    assert (project / "evaluations").read_text() == ".."
