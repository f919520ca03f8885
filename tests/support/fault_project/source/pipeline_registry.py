"""Pipelines of project `trials`, one for each subject."""

from __future__ import annotations

from kedro.pipeline import Pipeline, node
from trials import nodes

FAULTS = {
    "hog": nodes.hog,
    "crow": nodes.crow,
    "no_image": nodes.nothing,
    "no_secret": nodes.nothing,
    "no_claim": nodes.nothing,
    "too_late": nodes.sleep,
    "over_quota": nodes.nothing,
    "over_range": nodes.nothing,
}


def held(prefix: str = "") -> Pipeline:
    """A node that waits for a file, and one that reads what it wrote."""
    return Pipeline(
        [
            node(nodes.hold, "params:gate", f"{prefix}held", name=f"{prefix}hold"),
            node(nodes.look, f"{prefix}held", f"{prefix}seen", name=f"{prefix}look"),
        ]
    )


def register_pipelines() -> dict[str, Pipeline]:
    """All of them by name."""
    return {
        "held": held(),
        "sync": held("sync_"),
        "faults": Pipeline(
            [
                *(node(function, None, f"fault_{name}", name=name) for name, function in FAULTS.items()),
                node(nodes.sum_up, [f"fault_{name}" for name in FAULTS], "fault_sum", name="sum_up"),
            ]
        ),
        "retry": Pipeline(
            [
                node(nodes.write, None, "written", name="write"),
                node(nodes.stumble, ["written", "params:good_try"], "stumbled", name="stumble"),
                node(nodes.look, "written", "read_back", name="read"),
            ]
        ),
        "params": Pipeline([node(nodes.echo, "parameters", "echoed", name="echo")]),
        "group": Pipeline(
            [
                node(nodes.nothing, None, "grouped_with", name="with_group"),
                node(nodes.nothing, None, "grouped_without", name="without_group"),
            ]
        ),
        "stored": Pipeline(
            [
                node(nodes.make_parts, None, "parts", name="make_parts"),
                node(nodes.add_parts, ["parts", "params:gate"], "total", name="add_parts"),
            ]
        ),
        "odd": Pipeline(
            [
                node(nodes.make_odd, None, "odd", name="make_odd"),
                node(nodes.use_odd, "odd", "odd_list", name="use_odd"),
            ]
        ),
        "secret": Pipeline([node(nodes.ask, "login", "proof", name="ask")]),
        "fan": Pipeline([node(nodes.nap, None, f"nap_{number}", name=f"nap_{number}") for number in range(60)]),
        "line": Pipeline([node(nodes.nap, None, f"nap_line_{number}", name=f"line_{number}") for number in range(8)]),
        "__default__": held(),
    }
