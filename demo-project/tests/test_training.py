"""The split, the models and the scores of one airport."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from flights.pipelines.training import nodes

FEATURES = {"categorical": ["carrier"], "numeric": ["sched_dep_minute", "recent_delay"]}


@pytest.fixture
def options() -> dict[str, Any]:
    return {
        "test_size": 0.25,
        "random_state": 1,
        "learning_rate": 0.2,
        "max_iter": 20,
        "max_leaf_nodes": 7,
        "min_samples_leaf": 5,
        "l2_regularization": 0.0,
        "threads": 1,
    }


@pytest.fixture
def model_input() -> pd.DataFrame:
    """Eight weeks of flights whose delay follows from `recent_delay` and the carrier."""
    random = np.random.default_rng(0)
    size = 8 * 7 * 20
    carrier = random.choice(["AA", "UA"], size)
    recent = random.uniform(0, 60, size)
    return pd.DataFrame(
        {
            "flight_id": range(size),
            "date": pd.Timestamp("2013-01-07") + pd.to_timedelta(np.arange(size) // 20, unit="D"),
            "carrier": carrier,
            "sched_dep_minute": random.integers(300, 1380, size),
            "recent_delay": recent,
            "arr_delay": (recent + np.where(carrier == "UA", 10, -20)).round(),
        }
    )


def split(model_input: pd.DataFrame, test_size: float = 0.25, random_state: int = 1) -> tuple[Any, Any]:
    return nodes.split_train_test(model_input, test_size, random_state)


def test_split_holds_out_whole_weeks(model_input: pd.DataFrame) -> None:
    train, test = split(model_input)
    weeks = [set(part["date"].dt.isocalendar().week) for part in (train, test)]
    assert len(weeks[1]) == 2
    assert weeks[0].isdisjoint(weeks[1])
    assert sorted([*train["flight_id"], *test["flight_id"]]) == model_input["flight_id"].tolist()


def test_split_follows_its_parameters(model_input: pd.DataFrame) -> None:
    weeks = {seed: tuple(split(model_input, random_state=seed)[1]["date"].unique()) for seed in range(5)}
    assert len(set(weeks.values())) > 1
    assert len(split(model_input, test_size=0.5)[1]) == len(model_input) / 2
    pd.testing.assert_frame_equal(split(model_input)[1], split(model_input)[1])


@pytest.mark.parametrize("test_size", [0, 1, -0.5, 20])
def test_split_refuses_an_impossible_share(model_input: pd.DataFrame, test_size: float) -> None:
    with pytest.raises(ValueError, match=r"model_options\.test_size"):
        split(model_input, test_size)


def test_baseline_averages_by_carrier_and_hour_and_pulls_rare_pairs_to_the_mean() -> None:
    train = pd.DataFrame(
        {"carrier": ["UA"] * 950 + ["AA"], "sched_dep_minute": [6 * 60 + 5] * 951, "arr_delay": [10.0] * 950 + [970.0]}
    )
    baseline = nodes.fit_baseline(train, delay_threshold=15).set_index("carrier")
    mean = train["arr_delay"].mean()
    assert baseline.loc["any", "delay"] == mean
    assert baseline.loc["UA", "delay"] == pytest.approx(10, abs=0.1)
    assert baseline.loc["AA", "delay"] == pytest.approx((970 + 50 * mean) / 51)
    assert baseline.loc["UA", "late"] < 0.001 < baseline.loc["AA", "late"]
    assert baseline.loc["UA", "sched_dep_hour"] == 6


def test_models_beat_the_baseline_where_there_is_something_to_learn(
    model_input: pd.DataFrame, options: dict[str, Any]
) -> None:
    train, test = split(model_input)
    predictions = nodes.predict_test_set(
        test,
        nodes.fit_baseline(train, 15),
        nodes.fit_delay_model(train, FEATURES, options, delay_cap=360),
        nodes.fit_late_model(train, FEATURES, options, delay_threshold=15),
        FEATURES,
        delay_threshold=15,
    )
    assert predictions["flight_id"].tolist() == test["flight_id"].tolist()
    assert predictions["model_late"].between(0, 1).all()
    scores, calibration = nodes.score_predictions(predictions)
    assert scores["model_mae"] < 0.3 * scores["baseline_mae"]
    assert scores["model_auc"] > 0.95 > scores["baseline_auc"]
    assert scores["flights"] == len(test) == calibration["flights"].sum()
    assert calibration["observed"].iloc[0] == 0
    assert calibration["observed"].iloc[-1] == 1


def test_a_pair_that_training_never_saw_gets_the_overall_mean(
    model_input: pd.DataFrame, options: dict[str, Any]
) -> None:
    train, test = split(model_input)
    baseline = nodes.fit_baseline(train, 15)
    models = (
        nodes.fit_delay_model(train, FEATURES, options, 360),
        nodes.fit_late_model(train, FEATURES, options, 15),
    )
    strange = test.head(1).assign(carrier="ZZ")
    predictions = nodes.predict_test_set(strange, baseline, *models, FEATURES, 15)
    assert predictions["baseline_delay"].iloc[0] == pytest.approx(train["arr_delay"].mean())
    assert np.isfinite(predictions["model_delay"].iloc[0])


def test_fits_are_the_same_twice(model_input: pd.DataFrame, options: dict[str, Any]) -> None:
    first, second = (nodes.fit_delay_model(model_input, FEATURES, options, 360) for _ in range(2))
    columns = FEATURES["categorical"] + FEATURES["numeric"]
    np.testing.assert_array_equal(first.predict(model_input[columns]), second.predict(model_input[columns]))


def test_delays_beyond_the_cap_do_not_steer_the_fit(model_input: pd.DataFrame, options: dict[str, Any]) -> None:
    extreme = model_input.assign(arr_delay=model_input["arr_delay"].mask(model_input["arr_delay"] > 30, 5000))
    model = nodes.fit_delay_model(extreme, FEATURES, options, delay_cap=60)
    assert model.predict(model_input[FEATURES["categorical"] + FEATURES["numeric"]]).max() < 70
