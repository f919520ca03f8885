"""Clean tables to one row of features for each flight."""

from kedro.pipeline import Pipeline, node

from flights.airports import AIRPORTS

from . import nodes


def create_pipeline(**_: object) -> Pipeline:
    """Build six feature tables, independent of each other, and join them for each airport."""
    return Pipeline(
        [
            node(
                nodes.build_schedule_features,
                "flights@pandas",
                "schedule_features",
                name="build_schedule_features",
            ),
            node(
                nodes.build_route_features,
                ["flights@pandas", "airports"],
                "route_features",
                name="build_route_features",
            ),
            node(
                nodes.build_plane_features,
                ["flights@pandas", "planes"],
                "plane_features",
                name="build_plane_features",
            ),
            node(
                nodes.build_weather_features,
                ["flights@pandas", "weather", "params:weather.lag_hours"],
                "weather_features",
                name="build_weather_features",
            ),
            node(
                nodes.build_disruption_features,
                ["flights@pandas", "params:disruption.window_hours"],
                "disruption_features",
                name="build_disruption_features",
            ),
            node(nodes.sum_daily_delays, "flights@pandas", "daily_delays", name="sum_daily_delays"),
            node(
                nodes.build_history_features,
                ["flights@pandas", "daily_delays", "params:history.windows"],
                "history_features",
                name="build_history_features",
            ),
            node(
                nodes.assemble_features,
                {
                    "flights": "flights@pandas",
                    "schedule": "schedule_features",
                    "route": "route_features",
                    "plane": "plane_features",
                    "weather": "weather_features",
                    "disruption": "disruption_features",
                    "history": "history_features",
                },
                "feature_table",
                name="assemble_features",
            ),
            node(
                nodes.split_by_airport,
                "feature_table",
                {airport: f"{airport}_model_input" for airport in AIRPORTS},
                name="split_by_airport",
            ),
        ]
    )
