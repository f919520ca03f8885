"""What the models learned, for people."""

from kedro.pipeline import Pipeline, node

from flights.airports import AIRPORTS

from . import nodes


def create_pipeline(**_: object) -> Pipeline:
    """Combine, explain, draw and write up the results of all airports."""
    return Pipeline(
        [
            node(
                nodes.combine_metrics,
                {airport: f"{airport}_metrics" for airport in AIRPORTS},
                ["scores", "metrics_summary"],
                name="combine_metrics",
            ),
            node(
                nodes.measure_importance,
                {
                    "features": "params:feature_columns",
                    "options": "params:importance",
                    **{f"{airport}_model": f"{airport}_delay_model" for airport in AIRPORTS},
                    **{f"{airport}_flights": f"{airport}_test_set" for airport in AIRPORTS},
                },
                "feature_importance",
                name="measure_importance",
                tags="heavy",
            ),
            node(
                nodes.rank_carriers,
                ["flights@pandas", "airlines_raw", "params:delay_threshold"],
                "carrier_ranking",
                name="rank_carriers",
            ),
            node(nodes.plot_errors, "scores", "error_plot", name="plot_errors"),
            node(
                nodes.plot_calibration,
                {airport: f"{airport}_calibration" for airport in AIRPORTS},
                "calibration_plot",
                name="plot_calibration",
            ),
            node(
                nodes.write_report,
                [
                    "scores",
                    "feature_importance",
                    "carrier_ranking",
                    "data_quality",
                    "params:delay_threshold",
                    "params:report.top_features",
                ],
                "report",
                name="write_report",
            ),
        ]
    )
