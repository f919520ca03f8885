"""Scores and findings of all airports together."""

import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression

from flights.pipelines.reporting import nodes


def scores_of(flights: int, mae: float) -> dict[str, float]:
    names = ("mae", "rmse", "r2", "auc", "brier")
    values = {f"{who}_{name}": 0.5 for who in ("model", "baseline") for name in names}
    return {"flights": flights, "late_share": 0.2, **values, "model_mae": mae, "baseline_mae": 2 * mae}


def test_errors_of_all_flights_are_weighted_by_flights() -> None:
    table, summary = nodes.combine_metrics(LGA=scores_of(100, 10.0), EWR=scores_of(300, 20.0))
    assert table["airport"].tolist() == ["EWR", "LGA", "all"]
    assert summary["all"]["flights"] == 400
    assert summary["all"]["model_mae"] == 17.5
    assert summary["all"]["mae_saved"] == 0.5
    assert "model_auc" not in summary["all"]
    assert summary["LGA"]["model_auc"] == 0.5


def test_importance_finds_the_feature_that_matters_and_keeps_the_rest_at_zero() -> None:
    flights = pd.DataFrame({"useful": range(50), "useless": [1, 2] * 25, "arr_delay": [2.0 * x for x in range(50)]})
    model = LinearRegression().fit(flights[["useless", "useful"]].assign(useless=0), flights["arr_delay"])
    importance = nodes.measure_importance(
        {"categorical": [], "numeric": ["useless", "useful"]},
        {"flights": 40, "repeats": 2, "random_state": 0, "threads": 1},
        EWR_model=model,
        EWR_flights=flights,
    )
    assert importance["feature"].tolist() == ["useful", "useless"]
    assert importance["importance"].iloc[0] > 10
    assert importance["importance"].iloc[1] == pytest.approx(0)


def test_carriers_are_ranked_by_late_arrivals_and_named(flights: pd.DataFrame) -> None:
    airlines = pd.DataFrame({"carrier": ["AA", "B6", "UA", "ZZ"], "name": ["American", "JetBlue", "United", "None"]})
    ranking = nodes.rank_carriers(flights, airlines, delay_threshold=15).set_index("carrier")
    assert ranking["name"].to_dict() == {"B6": "JetBlue", "UA": "United", "AA": "American"}
    assert ranking.loc["UA", ["flights", "late"]].tolist() == [3, 0.5]
    assert ranking.loc["AA", "not_completed"] == 1
    assert ranking.index.tolist()[0] == "B6"


def test_plots_show_every_airport() -> None:
    table, _ = nodes.combine_metrics(EWR=scores_of(1, 1.0), JFK=scores_of(1, 1.0))
    labels = [text.get_text() for text in nodes.plot_errors(table).axes[0].get_xticklabels()]
    assert labels == ["EWR", "JFK", "all"]
    bins = pd.DataFrame({"predicted": [0.1, 0.9], "observed": [0.2, 0.8]})
    lines = nodes.plot_calibration(JFK=bins, EWR=bins).axes[0].get_lines()
    assert [line.get_label() for line in lines] == ["perfect", "EWR", "JFK"]


def test_report_says_how_much_better_the_models_are() -> None:
    table, _ = nodes.combine_metrics(EWR=scores_of(1000, 20.0))
    importance = pd.DataFrame({"airport": "EWR", "feature": ["a", "b"], "importance": [2.0, 1.0]})
    carriers = pd.DataFrame({"name": ["Worst Air", "Best Air"], "late": [0.5, 0.1]})
    quality = {"flights": 5000, "share_not_completed": 0.03}
    report = nodes.write_report(table, importance, carriers, quality, delay_threshold=15, top_features=1)
    assert "20.0 minutes, 50.0% less" in report
    assert "- EWR: a (2.00)\n" in report
    assert "Worst Air was late most often (50.0%" in report
