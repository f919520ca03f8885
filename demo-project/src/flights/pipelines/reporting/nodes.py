"""Nodes of `reporting`: all airports together, for people. Nothing is fitted here."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from sklearn.inspection import permutation_importance
from sklearn.pipeline import Pipeline
from threadpoolctl import threadpool_limits

COLOURS = {"baseline": "#b0b7bf", "model": "#2b6cb0"}


def combine_metrics(**metrics: dict[str, float]) -> tuple[pd.DataFrame, dict[str, dict[str, float]]]:
    """Put the scores of the airports beside each other, and of all flights together.

    Errors of all flights are the airports' errors weighted by flights (RMSE as mean squares). R2 and the area under the
    curve can't be combined so, and are given for airports only.

    Args:
        metrics: the scores of each airport, by its name.

    Returns:
        A table with one row for each airport and `all`, and the same as a nested dictionary; `mae_saved` is the share
        of the baseline's mean absolute error that the model removes.
    """
    scores = pd.DataFrame.from_dict(metrics, orient="index").sort_index()
    weights = scores["flights"] / scores["flights"].sum()
    together: dict[str, float] = {"flights": scores["flights"].sum()}
    for column in ("late_share", "model_mae", "baseline_mae", "model_brier", "baseline_brier"):
        together[column] = (scores[column] * weights).sum()
    for column in ("model_rmse", "baseline_rmse"):
        together[column] = np.sqrt((scores[column] ** 2 * weights).sum())
    scores.loc["all"] = pd.Series(together).reindex(scores.columns)
    scores["flights"] = scores["flights"].astype(int)
    scores["mae_saved"] = 1 - scores["model_mae"] / scores["baseline_mae"]
    scores = scores.round(4)
    summary = {
        airport: {name: value for name, value in row.items() if pd.notna(value)}
        for airport, row in scores.to_dict(orient="index").items()
    }
    return scores.rename_axis("airport").reset_index(), summary


def measure_importance(
    features: dict[str, list[str]], options: dict[str, int], **models_and_flights: Pipeline | pd.DataFrame
) -> pd.DataFrame:
    """Shuffle one feature at a time and see how much worse each airport's delay model gets.

    Args:
        features: names of the `categorical` and `numeric` columns.
        options: `flights` to sample for each airport, `repeats`, `random_state`, `threads`.
        models_and_flights: for each airport `{airport}_model` and `{airport}_flights`, the held-out flights.

    Returns:
        Columns `airport`, `feature`, `importance`: minutes of mean absolute error added; largest first.
    """
    columns = features["categorical"] + features["numeric"]
    airports = sorted(name.removesuffix("_model") for name in models_and_flights if name.endswith("_model"))
    tables = []
    for airport in airports:
        flights = models_and_flights[f"{airport}_flights"]
        sample = flights.sample(min(options["flights"], len(flights)), random_state=options["random_state"])
        with threadpool_limits(options["threads"]):
            result = permutation_importance(
                models_and_flights[f"{airport}_model"],
                sample[columns],
                sample["arr_delay"],
                scoring="neg_mean_absolute_error",
                n_repeats=options["repeats"],
                random_state=options["random_state"],
            )
        importance = pd.Series(result.importances_mean, index=columns).round(4)
        tables.append(pd.DataFrame({"airport": airport, "feature": columns, "importance": importance.to_numpy()}))
    table = pd.concat(tables, ignore_index=True)
    return table.sort_values(["airport", "importance", "feature"], ascending=[True, False, True], ignore_index=True)


def rank_carriers(flights: pd.DataFrame, airlines: pd.DataFrame, delay_threshold: float) -> pd.DataFrame:
    """Rank the carriers by how often they were late, over the whole year.

    Returns:
        Columns `carrier`, `name`, `flights` (scheduled), `not_completed` and `late` (shares of scheduled and of
        completed flights), `mean_delay` (minutes); the latest carrier first.
    """
    arrived = flights["completed"]
    ranking = pd.DataFrame(
        {
            "flights": flights.groupby("carrier").size(),
            "not_completed": (~arrived).groupby(flights["carrier"]).mean(),
            "late": (flights.loc[arrived, "arr_delay"] > delay_threshold).groupby(flights["carrier"]).mean(),
            "mean_delay": flights.groupby("carrier")["arr_delay"].mean(),
        }
    ).round(4)
    named = airlines.merge(ranking.reset_index(), on="carrier", how="right", validate="one_to_one")
    return named.sort_values(["late", "carrier"], ascending=[False, True], ignore_index=True)


def plot_errors(scores: pd.DataFrame) -> Figure:
    """Draw the mean absolute error of model and baseline for each airport."""
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    positions = np.arange(len(scores))
    for offset, (name, colour) in zip((-0.2, 0.2), COLOURS.items(), strict=True):
        bars = axes.bar(positions + offset, scores[f"{name}_mae"], width=0.4, color=colour, label=name)
        axes.bar_label(bars, fmt="%.1f", padding=2)
    axes.set_xticks(positions, scores["airport"])
    axes.set_ylabel("mean absolute error [min]")
    axes.set_title("Arrival delay of held-out flights")
    axes.legend(frameon=False, loc="upper left", ncols=2)
    axes.margins(y=0.2)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def plot_calibration(**calibration: pd.DataFrame) -> Figure:
    """Draw how often flights were late against how likely the model said they were, by airport."""
    figure = Figure(figsize=(5, 5), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color=COLOURS["baseline"], linestyle="--", label="perfect")
    for airport, bins in sorted(calibration.items()):
        axes.plot(bins["predicted"], bins["observed"], marker="o", label=airport)
    axes.set_xlabel("predicted probability of a late arrival")
    axes.set_ylabel("share that was late")
    axes.set_title("Calibration on held-out flights")
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def write_report(
    scores: pd.DataFrame,
    importance: pd.DataFrame,
    carriers: pd.DataFrame,
    quality: dict[str, float],
    delay_threshold: float,
    top_features: int,
) -> str:
    """Write the findings as Markdown."""
    everything = scores.set_index("airport").loc["all"]
    lines = [
        "# Arrival delays, New York 2013",
        "",
        f"{quality['flights']:,} flights were scheduled; {quality['share_not_completed']:.1%} did not arrive. "
        f"Of the {int(everything['flights']):,} held out, {everything['late_share']:.1%} came more than "
        f"{delay_threshold:g} minutes late. The models' mean absolute error is {everything['model_mae']:.1f} minutes, "
        f"{everything['mae_saved']:.1%} less than that of the mean by carrier and hour.",
        "",
        "| airport | flights | late | MAE model | MAE baseline | AUC model | AUC baseline |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in scores.itertuples():
        ranking = [f"{value:.3f}" if pd.notna(value) else "" for value in (row.model_auc, row.baseline_auc)]
        lines.append(
            f"| {row.airport} | {row.flights:,} | {row.late_share:.1%} | {row.model_mae:.2f} | "
            f"{row.baseline_mae:.2f} | {ranking[0]} | {ranking[1]} |"
        )
    lines += ["", "What the delay models lean on, in minutes of error added when it is shuffled:", ""]
    for airport, features in importance.groupby("airport"):
        named = (f"{row.feature} ({row.importance:.2f})" for row in features.head(top_features).itertuples())
        lines.append(f"- {airport}: {', '.join(named)}")
    latest, best = carriers.iloc[0], carriers.iloc[-1]
    lines += [
        "",
        f"Over the whole year {latest['name']} was late most often ({latest['late']:.1%} of its arrivals), "
        f"{best['name']} least ({best['late']:.1%}).",
    ]
    return "\n".join(lines) + "\n"
