"""Nodes of `training`: fit and judge the models of one airport. The same nodes run for every airport.

Two questions are answered for each flight: how many minutes late it arrives (the delay model), and how likely it is to
arrive later than a threshold (the late model). A table of past means answers both as a baseline.
"""

from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.metrics import (
    brier_score_loss,
    mean_absolute_error,
    r2_score,
    roc_auc_score,
    root_mean_squared_error,
)
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OrdinalEncoder
from threadpoolctl import threadpool_limits

TARGET = "arr_delay"
# A carrier that flies rarely at some hour is pulled towards the mean of all, as if by that many average flights.
BASELINE_PRIOR_FLIGHTS = 50
CALIBRATION_BINS = 10


def split_train_test(
    model_input: pd.DataFrame, test_size: float, random_state: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Hold out whole weeks, drawn at random.

    Flights of one day share their weather and their jams, so single flights must not be spread over both sides. The
    data is one year: a cut at a date would test on a season that training never saw.

    Args:
        model_input: features and target, with `date`.
        test_size: share of the weeks to hold out, between 0 and 1.
        random_state: seed of the draw.

    Returns:
        The training and the test flights.

    Raises:
        ValueError: `test_size` is not between 0 and 1, or there are fewer than 2 weeks.
    """
    if not 0 < test_size < 1:
        raise ValueError(f"model_options.test_size is {test_size}; it must lie between 0 and 1.")
    week = model_input["date"].dt.to_period("W-SUN").dt.start_time
    weeks = np.sort(week.unique())
    if len(weeks) < 2:  # noqa: PLR2004
        raise ValueError("A split by weeks needs flights of at least 2 weeks.")
    held_out = min(max(round(len(weeks) * test_size), 1), len(weeks) - 1)
    drawn = np.random.default_rng(random_state).permutation(len(weeks))[:held_out]
    in_test = week.isin(weeks[drawn])
    return model_input[~in_test].reset_index(drop=True), model_input[in_test].reset_index(drop=True)


def _scheduled_hour(flights: pd.DataFrame) -> pd.Series:
    return (flights["sched_dep_minute"] // 60).rename("sched_dep_hour")


def fit_baseline(train_set: pd.DataFrame, delay_threshold: float) -> pd.DataFrame:
    """Average delay and share of late flights for each carrier and scheduled hour.

    Returns:
        One row for each pair, and one with the carrier `any` and hour -1 for pairs never seen. Columns `carrier`,
        `sched_dep_hour`, `delay` in minutes, `late` as a share.
    """
    flights = train_set[["carrier"]].assign(
        sched_dep_hour=_scheduled_hour(train_set),
        delay=train_set[TARGET],
        late=(train_set[TARGET] > delay_threshold).astype(float),
    )
    overall = flights[["delay", "late"]].mean()
    groups = flights.groupby(["carrier", "sched_dep_hour"])[["delay", "late"]]
    count = groups.size()
    pulled = groups.sum().add(overall * BASELINE_PRIOR_FLIGHTS).div(count + BASELINE_PRIOR_FLIGHTS, axis=0)
    never_seen = pd.DataFrame([{"carrier": "any", "sched_dep_hour": -1, **overall.to_dict()}])
    return pd.concat([pulled.reset_index(), never_seen], ignore_index=True)


def _inputs(flights: pd.DataFrame, features: dict[str, list[str]]) -> pd.DataFrame:
    return flights[features["categorical"] + features["numeric"]]


def _fit(
    estimator: type[HistGradientBoostingRegressor] | type[HistGradientBoostingClassifier],
    train_set: pd.DataFrame,
    target: pd.Series,
    features: dict[str, list[str]],
    options: dict[str, Any],
) -> Pipeline:
    """Fit an encoder of the categories, and a gradient boosting that treats them as such.

    The number of threads is fixed: taken from the machine, it would be stored in the model, and where other work wants
    the same cores (in a pod with a quota) threads that wait for each other make a fit many times slower.
    """
    categories = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan, encoded_missing_value=np.nan)
    encoder = ColumnTransformer(
        [("categories", categories, features["categorical"]), ("numbers", "passthrough", features["numeric"])]
    )
    boosting = estimator(
        learning_rate=options["learning_rate"],
        max_iter=options["max_iter"],
        max_leaf_nodes=options["max_leaf_nodes"],
        min_samples_leaf=options["min_samples_leaf"],
        l2_regularization=options["l2_regularization"],
        categorical_features=list(range(len(features["categorical"]))),
        early_stopping=False,
        random_state=options["random_state"],
    )
    with threadpool_limits(options["threads"]):
        return Pipeline([("encode", encoder), ("boost", boosting)]).fit(_inputs(train_set, features), target)


def fit_delay_model(
    train_set: pd.DataFrame, features: dict[str, list[str]], options: dict[str, Any], delay_cap: float
) -> Pipeline:
    """Fit the minutes of delay.

    Args:
        train_set: features and target.
        features: names of the `categorical` and `numeric` columns.
        options: `model_options`.
        delay_cap: minutes; longer delays count as this in training, since a handful of delays of a day would otherwise
            steer the squared error.
    """
    target = train_set[TARGET].clip(upper=delay_cap)
    return _fit(HistGradientBoostingRegressor, train_set, target, features, options)


def fit_late_model(
    train_set: pd.DataFrame, features: dict[str, list[str]], options: dict[str, Any], delay_threshold: float
) -> Pipeline:
    """Fit the probability of arriving more than `delay_threshold` minutes late."""
    late = train_set[TARGET] > delay_threshold
    return _fit(HistGradientBoostingClassifier, train_set, late, features, options)


def predict_test_set(
    test_set: pd.DataFrame,
    baseline: pd.DataFrame,
    delay_model: Pipeline,
    late_model: Pipeline,
    features: dict[str, list[str]],
    delay_threshold: float,
) -> pd.DataFrame:
    """Predict the held-out flights with the models and with the baseline.

    Returns:
        `flight_id`, the truth as `delay` (minutes) and `late`, and for each of `baseline` and `model` a
        `{name}_delay` in minutes and a `{name}_late` between 0 and 1.
    """
    never_seen = baseline.loc[baseline["carrier"] == "any", ["delay", "late"]].iloc[0]
    keys = test_set[["carrier"]].assign(sched_dep_hour=_scheduled_hour(test_set))
    expected = keys.merge(baseline, on=["carrier", "sched_dep_hour"], how="left", validate="many_to_one")
    expected = expected[["delay", "late"]].fillna(never_seen)
    inputs = _inputs(test_set, features)
    return pd.DataFrame(
        {
            "flight_id": test_set["flight_id"],
            "delay": test_set[TARGET],
            "late": test_set[TARGET] > delay_threshold,
            "baseline_delay": expected["delay"].to_numpy(),
            "baseline_late": expected["late"].to_numpy(),
            "model_delay": delay_model.predict(inputs),
            "model_late": late_model.predict_proba(inputs)[:, 1],
        }
    )


def score_predictions(predictions: pd.DataFrame) -> tuple[dict[str, float | int], pd.DataFrame]:
    """Judge the model against the baseline, and its probabilities against what happened.

    Returns:
        The scores by name: MAE and RMSE in minutes, R2, area under the ROC curve, Brier score, each for model and
        baseline, and the number and share of flights behind them. And the calibration: equally filled bins of the
        model's probability with its mean, the share that was late, and the number of flights.
    """
    delay, late = predictions["delay"], predictions["late"]
    scores: dict[str, float | int] = {"flights": len(predictions), "late_share": round(float(late.mean()), 4)}
    for name in ("model", "baseline"):
        minutes, probability = predictions[f"{name}_delay"], predictions[f"{name}_late"]
        scores |= {
            f"{name}_mae": round(float(mean_absolute_error(delay, minutes)), 4),
            f"{name}_rmse": round(float(root_mean_squared_error(delay, minutes)), 4),
            f"{name}_r2": round(float(r2_score(delay, minutes)), 4),
            f"{name}_auc": round(float(roc_auc_score(late, probability)), 4),
            f"{name}_brier": round(float(brier_score_loss(late, probability)), 4),
        }
    rank = predictions["model_late"].rank(method="first")
    bins = pd.qcut(rank, CALIBRATION_BINS, labels=range(1, CALIBRATION_BINS + 1)).astype(int).rename("bin")
    calibration = predictions.groupby(bins).agg(
        predicted=("model_late", "mean"), observed=("late", "mean"), flights=("late", "size")
    )
    return scores, calibration.round(6).reset_index()
