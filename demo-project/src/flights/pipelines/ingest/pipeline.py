"""Raw tables to clean ones."""

from kedro.pipeline import Pipeline, node

from . import nodes


def create_pipeline(**_: object) -> Pipeline:
    """Clean flights, weather, planes and airports, and report on their quality."""
    return Pipeline(
        [
            node(nodes.parse_flights, "flights_raw", "flights_parsed", name="parse_flights"),
            node(
                nodes.partition_flights_by_month,
                "flights_parsed",
                "flights@monthly",
                name="partition_flights_by_month",
            ),
            node(nodes.parse_weather, "weather_raw", "weather_parsed", name="parse_weather"),
            node(
                nodes.fill_weather_gaps,
                ["weather_parsed", "params:weather.max_gap_hours"],
                "weather",
                name="fill_weather_gaps",
            ),
            node(nodes.clean_planes, "planes_raw", "planes", name="clean_planes"),
            node(nodes.clean_airports, "airports_raw", "airports", name="clean_airports"),
            node(
                nodes.check_data_quality,
                ["flights@pandas", "weather", "planes", "airports"],
                "data_quality",
                name="check_data_quality",
            ),
        ]
    )
