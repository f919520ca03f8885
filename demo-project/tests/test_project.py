"""The project as Kedro sees it."""

from pathlib import Path

import pytest
from kedro.framework.project import pipelines
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project

from flights.airports import AIRPORTS

PROJECT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module", autouse=True)
def _project() -> None:
    bootstrap_project(PROJECT)


def test_default_pipeline_holds_all_others() -> None:
    stages = {name: set(pipelines[name].nodes) for name in ("ingest", "features", "training", "reporting")}
    assert set(pipelines["__default__"].nodes) == set.union(*stages.values())


def test_airports_are_trained_apart_from_each_other() -> None:
    training = pipelines["training"]
    for airport in AIRPORTS:
        alone = training.only_nodes_with_namespaces([airport])
        assert len(alone.nodes) == len(training.nodes) / len(AIRPORTS)
        free = {name for name in alone.inputs() if not name.startswith("params:")}
        assert free == {f"{airport}_model_input"}


@pytest.mark.parametrize("env", ["local", "prod"])
def test_every_parameter_and_every_free_input_is_configured(env: str) -> None:
    with KedroSession.create(project_path=PROJECT, env=env) as session:
        context = session.load_context()
        catalog = context.catalog
        for name in pipelines["__default__"].inputs():
            assert name in catalog, name
        features = context.params["feature_columns"]
        assert set(context.params["model_options"]) >= {"test_size", "random_state", "max_iter"}
        assert "arr_delay" not in features["numeric"]
        assert "dep_delay" not in features["numeric"]
