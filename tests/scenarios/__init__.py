"""Mini Kedro projects described as data. One factory makes them, every test uses them.

To add a case, add a `Scenario` to the module of its subject; the tests find it by themselves.
"""

from __future__ import annotations

from tests.scenarios import data, grouping, layouts, names, pages, registries, rules, running
from tests.scenarios.factory import make_project
from tests.scenarios.model import Node, Refused, Scenario, Works

ALL: tuple[Scenario, ...] = tuple(
    scenario
    for module in (names, layouts, registries, data, grouping, rules, running, pages)
    for scenario in module.SCENARIOS
)
WORKING = tuple(scenario for scenario in ALL if isinstance(scenario.expect, Works))
REFUSED = tuple(scenario for scenario in ALL if isinstance(scenario.expect, Refused))
BY_NAME = {scenario.name: scenario for scenario in ALL}

if len(BY_NAME) != len(ALL):
    raise ValueError("two scenarios have one name")

__all__ = ["ALL", "BY_NAME", "REFUSED", "WORKING", "Node", "Refused", "Scenario", "Works", "make_project"]
