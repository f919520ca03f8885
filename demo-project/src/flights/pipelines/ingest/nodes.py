"""Nodes of `ingest`: types, identities, gaps, and what is wrong with the data. No features here."""

import pandas as pd

FLIGHT_COLUMNS = [
    "flight_id",
    "date",
    "sched_dep",
    "sched_hour",
    "origin",
    "dest",
    "carrier",
    "flight",
    "tailnum",
    "sched_dep_minute",
    "sched_arr_minute",
    "distance",
    "dep_delay",
    "arr_delay",
    "completed",
]
WEATHER_COLUMNS = ["temp", "dewp", "humid", "wind_dir", "wind_speed", "precip", "pressure", "visib"]
PLANE_COLUMNS = ["tailnum", "year", "manufacturer", "model", "engines", "seats", "engine"]
# One maker under several names, as the registry of aircraft has it.
MANUFACTURERS = {
    "AIRBUS INDUSTRIE": "AIRBUS",
    "MCDONNELL DOUGLAS AIRCRAFT CO": "MCDONNELL DOUGLAS",
    "MCDONNELL DOUGLAS CORPORATION": "MCDONNELL DOUGLAS",
    "BOMBARDIER INC": "BOMBARDIER",
    "CANADAIR LTD": "BOMBARDIER",
    "CANADAIR": "BOMBARDIER",
}


def _minute_of_day(clock: pd.Series) -> pd.Series:
    """Turn clock times written as 2359 into minutes after midnight."""
    return clock // 100 * 60 + clock % 100


def parse_flights(flights_raw: pd.DataFrame) -> pd.DataFrame:
    """Give flights types, UTC times and an identity.

    Args:
        flights_raw: one row for each scheduled flight, as published.

    Returns:
        One row for each flight in order of scheduled departure; `flight_id` counts them from 0. `sched_dep` is UTC to
        the minute, `sched_hour` the hour it lies in, `date` the local day; delays in minutes, missing when the flight
        did not leave or arrive; `completed` says that it arrived where it was meant to.
    """
    flights = flights_raw.assign(
        date=pd.to_datetime(flights_raw[["year", "month", "day"]]),
        sched_hour=pd.to_datetime(flights_raw["time_hour"], utc=True),
        sched_dep_minute=_minute_of_day(flights_raw["sched_dep_time"]),
        sched_arr_minute=_minute_of_day(flights_raw["sched_arr_time"]),
        completed=flights_raw["arr_delay"].notna(),
    )
    flights["sched_dep"] = flights["sched_hour"] + pd.to_timedelta(flights["minute"], unit="min")
    flights = flights.sort_values(["sched_dep", "origin", "carrier", "flight"], ignore_index=True)
    flights["flight_id"] = flights.index.astype("int64")
    return flights[FLIGHT_COLUMNS]


def partition_flights_by_month(flights: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Cut the flights into one table for each local month, keyed like `2013-01`."""
    months = flights["date"].dt.strftime("%Y-%m")
    return {str(month): part.reset_index(drop=True) for month, part in flights.groupby(months)}


def parse_weather(weather_raw: pd.DataFrame) -> pd.DataFrame:
    """Keep the observations worth having, one row for each airport and UTC hour.

    Gusts are left out: four in five are missing, and a missing one does not mean calm.
    """
    weather = weather_raw.assign(hour=pd.to_datetime(weather_raw["time_hour"], utc=True))
    weather = weather[["origin", "hour", *WEATHER_COLUMNS]]
    return weather.sort_values(["origin", "hour"], ignore_index=True)


def fill_weather_gaps(weather: pd.DataFrame, max_gap_hours: int) -> pd.DataFrame:
    """Make the hours complete and carry observations forward, never back: the future is not known.

    Args:
        weather: observations by `origin` and `hour`.
        max_gap_hours: how many hours an observation stays good; beyond that the value stays missing.

    Returns:
        Every hour of the period for every airport; `observed` says whether the hour itself was reported.
    """
    hours = pd.date_range(weather["hour"].min(), weather["hour"].max(), freq="h", name="hour")
    filled = []
    for origin, observations in weather.groupby("origin"):
        by_hour = observations.set_index("hour").drop(columns="origin").reindex(hours)
        carried = by_hour.ffill(limit=max_gap_hours)
        carried.insert(0, "origin", origin)
        carried["observed"] = by_hour["visib"].notna()
        filled.append(carried.reset_index())
    return pd.concat(filled, ignore_index=True)


def clean_planes(planes_raw: pd.DataFrame) -> pd.DataFrame:
    """Give each maker one name; one row for each tail number."""
    planes = planes_raw[PLANE_COLUMNS].rename(columns={"year": "built", "engine": "engine_type"})
    planes["manufacturer"] = planes["manufacturer"].replace(MANUFACTURERS)
    return planes.drop_duplicates("tailnum").sort_values("tailnum", ignore_index=True)


def clean_airports(airports_raw: pd.DataFrame) -> pd.DataFrame:
    """Keep where the airports are: degrees, feet, hours from UTC."""
    airports = airports_raw.rename(columns={"faa": "airport", "alt": "altitude", "tz": "utc_offset"})
    airports = airports[["airport", "name", "lat", "lon", "altitude", "utc_offset"]]
    return airports.drop_duplicates("airport").sort_values("airport", ignore_index=True)


def check_data_quality(
    flights: pd.DataFrame, weather: pd.DataFrame, planes: pd.DataFrame, airports: pd.DataFrame
) -> dict[str, float | int]:
    """Count what the later stages have to live with; refuse data they can't use.

    Returns:
        Counts and shares (0 to 1), by name.

    Raises:
        ValueError: flights are doubled, or a flight leaves from an airport without weather.
    """
    key = ["date", "origin", "carrier", "flight", "sched_dep_minute"]
    doubled = int(flights.duplicated(key).sum())
    if doubled:
        raise ValueError(f"{doubled} flights are in the data twice (same {', '.join(key)}).")
    without = sorted(set(flights["origin"]) - set(weather["origin"]))
    if without:
        raise ValueError(f"There is no weather for {', '.join(without)}, where flights leave.")
    return {
        "flights": len(flights),
        "flights_not_completed": int((~flights["completed"]).sum()),
        "share_not_completed": round(float((~flights["completed"]).mean()), 4),
        "share_without_plane": round(float((~flights["tailnum"].isin(planes["tailnum"])).mean()), 4),
        "share_without_airport": round(float((~flights["dest"].isin(airports["airport"])).mean()), 4),
        "weather_hours": len(weather),
        "share_of_hours_not_observed": round(float((~weather["observed"]).mean()), 4),
    }
