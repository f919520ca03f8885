"""What a flight may know, and what it may not."""

import numpy as np
import pandas as pd
import pytest

from flights.pipelines.features import nodes


def test_schedule_counts_the_flights_of_the_hour_and_the_days_to_a_holiday(flights: pd.DataFrame) -> None:
    features = nodes.build_schedule_features(flights)
    assert features["hour_departures"].tolist() == [1, 2, 2, 1, 1]
    assert features["bank_departures"].tolist() == [1, 1, 1, 1, 1]
    # New Year's Day; then 11 days after the birthday of Martin Luther King, on 21 January.
    assert features["days_to_holiday"].tolist() == [0, 0, 0, 1, 11]


def test_bearing_is_from_north_and_unknown_destinations_are_missing() -> None:
    flights = pd.DataFrame({"flight_id": [0, 1, 2], "origin": "A", "dest": ["N", "E", "?"], "distance": 1})
    airports = pd.DataFrame(
        {"airport": ["A", "N", "E"], "lat": [0.0, 10.0, 0.0], "lon": [0.0, 0.0, 10.0], "altitude": 0, "utc_offset": -5}
    )
    features = nodes.build_route_features(flights, airports)
    assert features["bearing"].head(2).tolist() == pytest.approx([0.0, 90.0])
    assert features[["bearing", "dest_lat"]].iloc[2].isna().all()


def test_a_plane_that_is_not_in_the_registry_is_unknown(flights: pd.DataFrame) -> None:
    planes = pd.DataFrame(
        {
            "tailnum": ["N1", "N3"],
            "built": [2003.0, 2014.0],
            "seats": [100, 150],
            "engines": 2,
            "manufacturer": "BOEING",
            "engine_type": "Turbo-fan",
        }
    )
    features = nodes.build_plane_features(flights, planes)
    assert features["manufacturer"].tolist() == ["BOEING", "unknown", "unknown", "BOEING", "BOEING"]
    assert features["plane_age"].dropna().tolist() == [10.0, 10.0, 0.0]


def test_a_flight_sees_the_weather_of_an_earlier_hour_and_only_that() -> None:
    hours = pd.date_range("2013-01-01", periods=5, freq="h", tz="UTC")
    columns = dict.fromkeys(("temp", "dewp", "humid", "visib"), 0.0)
    weather = pd.DataFrame(
        {
            "origin": "EWR",
            "hour": hours,
            **columns,
            "wind_dir": 90.0,
            "wind_speed": 10.0,
            "precip": [0.1, 0.2, 0.3, 0.4, 99.0],
            "pressure": [1000.0, 1001.0, 1002.0, 1004.0, 2000.0],
            "observed": True,
        }
    )
    flights = pd.DataFrame({"flight_id": [0], "origin": ["EWR"], "sched_hour": [hours[4]]})
    row = nodes.build_weather_features(flights, weather, lag_hours=1).iloc[0]
    assert row["precip"] == 0.4
    assert row["precip_3h"] == pytest.approx(0.9)
    assert row["pressure_change_3h"] == 4.0
    assert (row["wind_north"], row["wind_east"]) == pytest.approx((0.0, 10.0))


def test_a_delay_counts_only_as_far_as_it_is_known(flights: pd.DataFrame) -> None:
    features = nodes.build_disruption_features(flights, window_hours=1).set_index("flight_id")
    # Flight 0 was due at 11:15 and left 50 minutes late: at 12:00 it had waited 45 and was still there.
    assert features.loc[1, "recent_delay"] == 45
    assert features.loc[1, "recent_share_held"] == 1
    assert np.isnan(features.loc[0, "recent_delay"])


def test_a_longer_window_sees_the_delay_that_has_become_known(flights: pd.DataFrame) -> None:
    later = flights[flights["flight_id"].isin([0, 3])].copy()
    later.loc[later["flight_id"] == 3, "sched_hour"] = pd.Timestamp("2013-01-01T13:00:00Z")
    features = nodes.build_disruption_features(later, window_hours=2).set_index("flight_id")
    assert features.loc[3, "recent_delay"] == 50


def history_of(delays: list[float]) -> tuple[pd.DataFrame, pd.DataFrame]:
    flights = pd.DataFrame(
        {
            "flight_id": range(len(delays)),
            "date": pd.date_range("2013-01-01", periods=len(delays)),
            "origin": "EWR",
            "dest": "ORD",
            "carrier": "UA",
            "arr_delay": delays,
            "completed": True,
        }
    )
    return flights, nodes.sum_daily_delays(flights)


def test_history_averages_the_days_before_within_the_window() -> None:
    flights, daily = history_of([10.0, 20.0, 60.0, 0.0])
    features = nodes.build_history_features(flights, daily, {"carrier": [2], "route": [3]})
    assert features["carrier_delay_2d"].tolist() == pytest.approx([np.nan, 10.0, 15.0, 40.0], nan_ok=True)
    assert features["route_delay_3d"].iloc[3] == 30.0


def test_history_does_not_see_its_own_day_nor_later_ones() -> None:
    windows = {"carrier": [2], "route": [2]}
    before = nodes.build_history_features(*history_of([10.0, 20.0, 30.0]), windows)
    after = nodes.build_history_features(*history_of([10.0, 500.0, 900.0]), windows)
    pd.testing.assert_frame_equal(before.head(2), after.head(2))


def test_history_of_a_carrier_that_never_arrived_is_missing(flights: pd.DataFrame) -> None:
    features = nodes.build_history_features(flights, nodes.sum_daily_delays(flights), {"carrier": [7]})
    assert features["carrier_delay_7d"].notna().tolist() == [False, False, False, True, False]
    assert features["carrier_delay_7d"].iloc[3] == 40.0


def test_assembled_table_has_completed_flights_only_and_hides_the_departure(flights: pd.DataFrame) -> None:
    names = ("schedule", "route", "plane", "weather", "disruption", "history")
    tables = {name: pd.DataFrame({"flight_id": flights["flight_id"], f"{name}_x": 1}) for name in names}
    table = nodes.assemble_features(flights, **tables)
    assert table["flight_id"].tolist() == [0, 3, 4]
    assert "dep_delay" not in table
    assert not table.isna().any(axis=None)


def test_a_feature_table_with_a_flight_twice_is_refused(flights: pd.DataFrame) -> None:
    once = flights[["flight_id"]]
    twice = pd.concat([once, once])
    with pytest.raises(pd.errors.MergeError):
        nodes.assemble_features(flights, once, once, twice, once, once, once)


def test_each_airport_gets_its_own_flights(flights: pd.DataFrame) -> None:
    parts = nodes.split_by_airport(flights)
    assert {airport: part["flight_id"].tolist() for airport, part in parts.items()} == {"EWR": [0, 1, 2, 3], "JFK": [4]}
