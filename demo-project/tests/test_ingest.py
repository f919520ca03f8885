"""Types, identities and gaps."""

import pandas as pd
import pytest

from flights.pipelines.ingest import nodes


def weather_of(hours: list[int], temperatures: list[float | None]) -> pd.DataFrame:
    hour = pd.to_datetime("2013-01-01", utc=True) + pd.to_timedelta(hours, unit="h")
    values = dict.fromkeys(nodes.WEATHER_COLUMNS, 1.0) | {"temp": temperatures}
    return pd.DataFrame({"origin": "EWR", "hour": hour, **values})


def test_flights_are_numbered_in_order_of_scheduled_departure(flights: pd.DataFrame) -> None:
    assert flights["flight"].tolist() == [11, 12, 13, 10, 14]
    assert flights["flight_id"].tolist() == [0, 1, 2, 3, 4]


def test_scheduled_departure_is_utc_to_the_minute(flights: pd.DataFrame) -> None:
    assert flights["sched_dep"].iloc[0] == pd.Timestamp("2013-01-01T11:15:00Z")
    assert flights["sched_dep_minute"].iloc[0] == 6 * 60 + 15


def test_cancelled_and_diverted_flights_are_kept_but_not_completed(flights: pd.DataFrame) -> None:
    assert flights["completed"].tolist() == [True, False, False, True, True]


def test_order_of_the_raw_rows_does_not_matter(flights_raw: pd.DataFrame, flights: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(nodes.parse_flights(flights_raw.iloc[::-1]), flights)


def test_partitions_hold_every_flight_once_under_its_local_month(flights: pd.DataFrame) -> None:
    parts = nodes.partition_flights_by_month(flights)
    assert {month: len(part) for month, part in parts.items()} == {"2013-01": 4, "2013-02": 1}
    pd.testing.assert_frame_equal(pd.concat(parts.values(), ignore_index=True), flights)


def test_gaps_are_filled_forward_and_not_for_longer_than_allowed() -> None:
    filled = nodes.fill_weather_gaps(weather_of([0, 1, 5], [None, 40.0, 50.0]), max_gap_hours=2)
    assert filled["temp"].isna().tolist() == [True, False, False, False, True, False]
    assert filled["temp"].dropna().tolist() == [40.0, 40.0, 40.0, 50.0]
    assert filled["observed"].tolist() == [True, True, False, False, False, True]


def test_makers_have_one_name_and_tail_numbers_one_row() -> None:
    raw = pd.DataFrame(
        {
            "tailnum": ["N2", "N1", "N1"],
            "year": [2000.0, None, None],
            "manufacturer": ["AIRBUS INDUSTRIE", "BOEING", "BOEING"],
            "model": "x",
            "engines": 2,
            "seats": 100,
            "engine": "Turbo-fan",
        }
    )
    planes = nodes.clean_planes(raw)
    assert planes["tailnum"].tolist() == ["N1", "N2"]
    assert planes["manufacturer"].tolist() == ["BOEING", "AIRBUS"]


@pytest.fixture
def quality_inputs(flights: pd.DataFrame) -> dict[str, pd.DataFrame]:
    weather = nodes.fill_weather_gaps(weather_of([0, 2], [30.0, 31.0]), max_gap_hours=1)
    return {
        "flights": flights,
        "weather": pd.concat([weather, weather.assign(origin="JFK")]),
        "planes": pd.DataFrame({"tailnum": ["N1", "N2", "N3"]}),
        "airports": pd.DataFrame({"airport": ["ORD"]}),
    }


def test_quality_counts_what_is_missing(quality_inputs: dict[str, pd.DataFrame]) -> None:
    quality = nodes.check_data_quality(**quality_inputs)
    assert quality["flights"] == 5
    assert quality["flights_not_completed"] == 2
    assert quality["share_without_plane"] == 0.2
    assert quality["share_without_airport"] == 0.4
    assert quality["share_of_hours_not_observed"] == pytest.approx(1 / 3, abs=1e-4)


def test_quality_refuses_doubled_flights(quality_inputs: dict[str, pd.DataFrame]) -> None:
    flights = quality_inputs["flights"]
    with pytest.raises(ValueError, match="1 flights are in the data twice"):
        nodes.check_data_quality(**{**quality_inputs, "flights": pd.concat([flights, flights.head(1)])})


def test_quality_refuses_an_airport_without_weather(quality_inputs: dict[str, pd.DataFrame]) -> None:
    weather = quality_inputs["weather"]
    with pytest.raises(ValueError, match="no weather for JFK"):
        nodes.check_data_quality(**{**quality_inputs, "weather": weather[weather["origin"] == "EWR"]})
