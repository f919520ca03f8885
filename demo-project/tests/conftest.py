"""Small tables in the form the nodes hand to each other."""

import pandas as pd
import pytest

from flights.pipelines.ingest.nodes import parse_flights


@pytest.fixture
def flights_raw() -> pd.DataFrame:
    """Five flights of three days, out of order: one cancelled, one diverted."""
    columns = ["year", "month", "day", "dep_time", "sched_dep_time", "dep_delay", "sched_arr_time", "arr_delay"]
    columns += ["carrier", "flight", "tailnum", "origin", "dest", "distance", "minute", "time_hour"]
    rows = [
        (2013, 1, 2, 700, 700, 0, 930, -5, "UA", 10, "N1", "EWR", "ORD", 719, 0, "2013-01-02T12:00:00Z"),
        (2013, 1, 1, 705, 615, 50, 845, 40, "UA", 11, "N1", "EWR", "ORD", 719, 15, "2013-01-01T11:00:00Z"),
        (2013, 1, 1, None, 700, None, 930, None, "AA", 12, None, "EWR", "SJU", 1608, 0, "2013-01-01T12:00:00Z"),
        (2013, 1, 1, 740, 735, 5, 1000, None, "UA", 13, "N2", "EWR", "ORD", 719, 35, "2013-01-01T12:00:00Z"),
        (2013, 2, 1, 2359, 2359, 0, 345, 20, "B6", 14, "N3", "JFK", "SJU", 1598, 59, "2013-02-02T04:00:00Z"),
    ]
    return pd.DataFrame(rows, columns=columns)


@pytest.fixture
def flights(flights_raw: pd.DataFrame) -> pd.DataFrame:
    """The same flights after `parse_flights`: in order, with ids 0 to 4."""
    return parse_flights(flights_raw)
