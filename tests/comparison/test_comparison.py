"""The page about kedro-airflow is of the scenarios as they are now; `make comparison` makes it again."""

from __future__ import annotations

import re

import pytest

from tests.scenarios import BY_NAME, Works
from tests.support.paths import ROOT

pytest.importorskip("kedro_airflow", reason="kedro-airflow is not in this environment")

from tools.compare import KEDRO_AIRFLOW_VARIANTS, THIS_PLUGIN, select_scenarios


def test_the_page_has_a_row_for_each_scenario_and_ours_are_all_right_or_refused() -> None:
    text = (ROOT / "docs" / "how-it-works" / "comparison.md").read_text(encoding="utf-8")
    table = text[text.index("| scenario |") :].splitlines()
    rows = {
        cells[1]: cells[3]
        for line in table[2:]
        if len(cells := [part.strip() for part in line.split("|")]) == 5 + len(KEDRO_AIRFLOW_VARIANTS)
    }
    assert table[0].split("|")[3].strip() == THIS_PLUGIN
    assert list(rows) == [scenario.name for scenario in select_scenarios()]
    for name, ours in rows.items():
        works = isinstance(BY_NAME[name].expect, Works)
        assert re.match("right" if works else "refuses", ours), name
