"""Nodes of `features`: what is known about a flight at the top of the hour it is scheduled to leave in.

Every feature table has one row for each flight, completed or not, keyed by `flight_id`. Nothing in them comes from the
flight itself after that moment, nor from other flights' later fate: `dep_delay` is not a feature.
"""

import numpy as np
import pandas as pd
from pandas.tseries.holiday import USFederalHolidayCalendar

EARTH_RADIUS_MILES = 3958.8
# Kept beside the features to identify, split and judge flights; none of them is shown to a model.
KEYS = ["flight_id", "date", "origin", "arr_delay"]


def build_schedule_features(flights: pd.DataFrame) -> pd.DataFrame:
    """Describe the timetable: season, day, hour, holidays, and how many flights leave in the same hour.

    Returns:
        `days_to_holiday` is the distance in days, either way, to the nearest federal holiday; `hour_departures` counts
        the flights scheduled from the same airport in the same hour, `bank_departures` those of the same carrier.
    """
    date = flights["date"]
    margin = pd.Timedelta(days=60)
    holidays = USFederalHolidayCalendar().holidays(date.min() - margin, date.max() + margin)
    days = pd.Series(date.unique())
    distance = np.abs(days.to_numpy()[:, None] - holidays.to_numpy()[None, :]).min(axis=1)
    days_to_holiday = pd.Series(distance / np.timedelta64(1, "D"), index=days)
    return pd.DataFrame(
        {
            "flight_id": flights["flight_id"],
            "carrier": flights["carrier"],
            "month": date.dt.month,
            "weekday": date.dt.day_of_week,
            "days_to_holiday": date.map(days_to_holiday),
            "sched_dep_minute": flights["sched_dep_minute"],
            "sched_arr_minute": flights["sched_arr_minute"],
            "hour_departures": flights.groupby(["origin", "sched_hour"])["flight_id"].transform("size"),
            "bank_departures": flights.groupby(["origin", "carrier", "sched_hour"])["flight_id"].transform("size"),
        }
    )


def build_route_features(flights: pd.DataFrame, airports: pd.DataFrame) -> pd.DataFrame:
    """Describe where a flight goes: distance, bearing and position of the destination.

    Args:
        flights: cleaned flights.
        airports: positions in degrees.

    Returns:
        `distance` in miles as published, `bearing` in degrees from north; position and bearing are missing for the few
        destinations that the airports table lacks (Puerto Rico, Virgin Islands).
    """
    places = airports.set_index("airport")
    start = places.reindex(flights["origin"])
    end = places.reindex(flights["dest"])
    lat_1, lat_2 = np.radians(start["lat"].to_numpy()), np.radians(end["lat"].to_numpy())
    step = np.radians(end["lon"].to_numpy() - start["lon"].to_numpy())
    bearing = np.degrees(
        np.arctan2(
            np.sin(step) * np.cos(lat_2),
            np.cos(lat_1) * np.sin(lat_2) - np.sin(lat_1) * np.cos(lat_2) * np.cos(step),
        )
    )
    return pd.DataFrame(
        {
            "flight_id": flights["flight_id"],
            "dest": flights["dest"],
            "distance": flights["distance"],
            "bearing": bearing % 360,
            "dest_lat": end["lat"].to_numpy(),
            "dest_lon": end["lon"].to_numpy(),
            "dest_altitude": end["altitude"].to_numpy(),
            "dest_utc_offset": end["utc_offset"].to_numpy(),
        }
    )


def build_plane_features(flights: pd.DataFrame, planes: pd.DataFrame) -> pd.DataFrame:
    """Describe the aircraft; a tail number the registry lacks gives missing values and the maker `unknown`.

    Returns:
        `plane_age` in years on the day of the flight's year, never negative; seats, engines, maker, engine type.
    """
    plane = planes.set_index("tailnum").reindex(flights["tailnum"]).reset_index(drop=True)
    age = flights["date"].dt.year.to_numpy() - plane["built"]
    return pd.DataFrame(
        {
            "flight_id": flights["flight_id"].to_numpy(),
            "plane_age": age.clip(lower=0),
            "seats": plane["seats"],
            "engines": plane["engines"],
            "manufacturer": plane["manufacturer"].fillna("unknown"),
            "engine_type": plane["engine_type"].fillna("unknown"),
        }
    )


def build_weather_features(flights: pd.DataFrame, weather: pd.DataFrame, lag_hours: int) -> pd.DataFrame:
    """Join the weather at the origin as it was `lag_hours` before the scheduled hour, and its recent course.

    Args:
        flights: cleaned flights.
        weather: every hour of every airport, as `fill_weather_gaps` leaves it.
        lag_hours: age in hours of the newest observation a flight may see.

    Returns:
        The observation (Fahrenheit, miles per hour, inches, millibars, miles), rain of the last 3 hours, change of
        pressure over 3 hours, wind as north and east components.
    """
    weather = weather.sort_values(["origin", "hour"], ignore_index=True)
    by_origin = weather.groupby("origin")
    direction = np.radians(weather["wind_dir"])
    observed = weather.assign(
        sched_hour=weather["hour"] + pd.Timedelta(hours=lag_hours),
        precip_3h=by_origin["precip"].transform(lambda rain: rain.rolling(3, min_periods=1).sum()),
        pressure_change_3h=by_origin["pressure"].diff(3),
        wind_north=weather["wind_speed"] * np.cos(direction),
        wind_east=weather["wind_speed"] * np.sin(direction),
    ).drop(columns=["hour", "wind_dir", "observed"])
    joined = flights[["flight_id", "origin", "sched_hour"]].merge(
        observed, on=["origin", "sched_hour"], how="left", validate="many_to_one"
    )
    return joined.drop(columns=["origin", "sched_hour"])


def build_disruption_features(flights: pd.DataFrame, window_hours: int) -> pd.DataFrame:
    """Say how late departures are running at the airport as the hour begins.

    A flight that is due but has not left counts with the delay it has run up so far, not with the one it will end with:
    at the top of the hour nobody knows more. Cancelled flights don't count.

    Args:
        flights: cleaned flights.
        window_hours: flights due in that many hours before the hour are looked at.

    Returns:
        `recent_delay`, the mean in minutes, missing when no flight was due; `recent_share_held`, the share that had
        not left yet, or left more than 30 minutes late.
    """
    left = flights.loc[flights["dep_delay"].notna(), ["origin", "sched_hour", "sched_dep", "dep_delay"]]
    seen = []
    for hours in range(1, window_hours + 1):
        at = left["sched_hour"] + pd.Timedelta(hours=hours)
        waited = (at - left["sched_dep"]) / pd.Timedelta(minutes=1)
        known = np.minimum(left["dep_delay"], waited)
        held = (left["dep_delay"] > waited) | (known > 30)  # noqa: PLR2004
        seen.append(pd.DataFrame({"origin": left["origin"], "sched_hour": at, "delay": known, "held": held}))
    state = (
        pd.concat(seen)
        .groupby(["origin", "sched_hour"], as_index=False)
        .agg(recent_delay=("delay", "mean"), recent_share_held=("held", "mean"))
    )
    joined = flights[["flight_id", "origin", "sched_hour"]].merge(
        state, on=["origin", "sched_hour"], how="left", validate="many_to_one"
    )
    return joined.drop(columns=["origin", "sched_hour"])


def sum_daily_delays(flights: pd.DataFrame) -> pd.DataFrame:
    """Sum arrival delays by day: of each carrier at each origin, and of each route.

    Returns:
        Columns `kind` (`carrier` or `route`), `key`, `date`, `delay` (minutes, the sum), `arrivals`.
    """
    arrived = flights[flights["completed"]]
    sums = []
    for kind, column in (("carrier", "carrier"), ("route", "dest")):
        key = arrived["origin"] + "-" + arrived[column]
        daily = arrived.groupby([key.rename("key"), "date"])["arr_delay"].agg(delay="sum", arrivals="size")
        sums.append(daily.reset_index().assign(kind=kind))
    return pd.concat(sums, ignore_index=True)[["kind", "key", "date", "delay", "arrivals"]]


def build_history_features(
    flights: pd.DataFrame, daily_delays: pd.DataFrame, windows: dict[str, list[int]]
) -> pd.DataFrame:
    """Average the arrival delays of the days before a flight's own day.

    Args:
        flights: cleaned flights.
        daily_delays: sums by kind, key and day, as `sum_daily_delays` leaves them.
        windows: for each kind, the lengths of the windows in days.

    Returns:
        `{kind}_delay_{days}d` in minutes, missing when nothing arrived in the window. The day itself is never in it.
    """
    keys = {"carrier": flights["origin"] + "-" + flights["carrier"], "route": flights["origin"] + "-" + flights["dest"]}
    days = pd.date_range(flights["date"].min(), flights["date"].max(), freq="D", name="date")
    features = pd.DataFrame({"flight_id": flights["flight_id"]})
    for kind, lengths in windows.items():
        daily = daily_delays[daily_delays["kind"] == kind]
        wide = daily.pivot_table(index="date", columns="key", values=["delay", "arrivals"], aggfunc="sum")
        wide = wide.reindex(days).fillna(0)
        rows = days.get_indexer(flights["date"])
        columns = wide["delay"].columns.get_indexer(keys[kind])
        for length in lengths:
            # The shift keeps the day itself out: its delays are not known when its flights leave.
            past = wide.rolling(length, min_periods=1).sum().shift(1)
            mean = (past["delay"] / past["arrivals"].where(past["arrivals"] > 0)).to_numpy()
            values = mean[rows, columns]
            features[f"{kind}_delay_{length}d"] = np.where(columns >= 0, values, np.nan)
    return features


def assemble_features(
    flights: pd.DataFrame,
    schedule: pd.DataFrame,
    route: pd.DataFrame,
    plane: pd.DataFrame,
    weather: pd.DataFrame,
    disruption: pd.DataFrame,
    history: pd.DataFrame,
) -> pd.DataFrame:
    """Put the feature tables beside the keys and the target; flights that did not arrive have no target and go.

    Raises:
        pandas.errors.MergeError: a table has a flight twice.
    """
    table = flights.loc[flights["completed"], KEYS]
    for features in (schedule, route, plane, weather, disruption, history):
        table = table.merge(features, on="flight_id", how="left", validate="one_to_one")
    return table.sort_values("flight_id", ignore_index=True)


def split_by_airport(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Give each airport of origin its own table, by the airport's name."""
    return {str(airport): part.reset_index(drop=True) for airport, part in table.groupby("origin")}
