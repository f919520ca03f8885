"""The pictures of plans, drawn by the real Mermaid in a real browser."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from kedro_k8s_airflow.dag import mermaid
from kedro_k8s_airflow.text import printable
from tests.scenarios import names
from tests.scenarios.model import Works
from tests.support import browser
from tests.support.plan_factory import chain, planned, regions, woven

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TITLES = (
    *(
        "end",
        "graph",
        "subgraph",
        "default",
        "click",
        "style a:#b;",
        "classDef x fill:#f00;",
        "1. one",
        "2.",
        "10) ten",
    ),
    *(
        "- dash",
        "+ plus",
        "* star",
        "_em_",
        "__strong__",
        "`code`",
        "~~~",
        "===",
        "---",
        "# title",
        "> quote",
        "[ ] todo",
    ),
    *(
        "[text](address)",
        "www.example.com",
        "https://example.com",
        "me@example.com",
        "<b>bold</b>",
        "&amp;",
        "#35;",
        "#quot;",
    ),
    *(
        "a;b",
        "a|b",
        "a--ob",
        "%%{init: {}}%%",
        "%% remark",
        "{{ run_id }}",
        "{% raw %}",
        "$$x^2$$",
        "fa:fa-car",
        ":::class",
    ),
    *('it\'s "so"', "back\\slash", "größe_é", "数据 🚀", "a_b-c.d", "1_load", "3.14", "---\ntitle: x\n---", "one\ntwo"),
)
NO_WIDTH = "\ufeff"


def test_every_name_is_shown_as_it_is_written(tmp_path: Path) -> None:
    """As a task and as a node among others: Mermaid reads a label of several lines in another way."""
    plan = planned(dict.fromkeys(TITLES, ()), flat=True)
    fused = [
        replace(task, id=f"t{place}", nodes=("end", *task.nodes, "graph")) for place, task in enumerate(plan.tasks)
    ]
    pictures = {"alone": mermaid.draw_plans([plan]), "fused": mermaid.draw_plans([replace(plan, tasks=tuple(fused))])}
    drawn = browser.draw(pictures, tmp_path)
    wanted = [printable(name) for name in TITLES]
    assert [label.replace(NO_WIDTH, "") for label in drawn["alone"].labels] == wanted
    assert [label.replace(NO_WIDTH, "").split("\n") for label in drawn["fused"].labels] == [
        [task.id, "end", name, "graph"] for task, name in zip(fused, wanted, strict=True)
    ]
    for one in drawn.values():
        assert one.error == ""
        assert set(one.tags) <= {"div", "span", "p", "br", "b"}, "a name is no markup"


def test_a_picture_that_is_wrong_is_noticed(tmp_path: Path) -> None:
    assert browser.draw({"wrong": "flowchart LR\n    t0[["}, tmp_path)["wrong"].error


def test_projects_with_names_of_every_kind_are_drawn_with_all_their_tasks(
    built: Callable[..., Any], tmp_path: Path
) -> None:
    browser.browser()
    reports = {one.name: built(one) for one in names.SCENARIOS if isinstance(one.expect, Works)}
    drawn = browser.draw({name: report["picture"] for name, report in reports.items()}, tmp_path)
    for name, report in reports.items():
        assert _same(drawn[name], report["plans"]) == [], name


def test_the_demo_is_drawn_with_all_its_tasks(built_demo: Callable[[], dict[str, Any]], tmp_path: Path) -> None:
    pytest.importorskip("kedro_datasets", reason="the demo needs kedro-datasets, which this environment lacks")
    browser.browser()
    report = built_demo()
    drawn = browser.draw({"demo": report["picture"]}, tmp_path)["demo"]
    assert _same(drawn, report["plans"]) == []
    assert "training" in " ".join(drawn.labels), "each DAG has its frame"


def _same(drawn: browser.Drawn, plans: dict[str, Any]) -> list[str]:
    """What a picture lacks of its plans."""
    tasks = [task for plan in plans.values() for task in plan["tasks"]]
    firsts = Counter(label.split("\n")[0].replace(NO_WIDTH, "") for label in drawn.labels)
    arrows = sum(len(task["after"]) for task in tasks)
    wanted = {"error": "", "boxes": len(tasks), "arrows": arrows}
    lacks = [f"{name} is {getattr(drawn, name)}" for name, value in wanted.items() if getattr(drawn, name) != value]
    return lacks + [f"no box {name}" for name in Counter(task["id"] for task in tasks) - firsts]


LARGE = {
    "namespaces": lambda: [regions(60, 20)],
    "chain": lambda: [chain(20_000)],
    "arrows": lambda: [planned({f"n{place}": tuple(f"n{other}" for other in range(place)) for place in range(60)})],
    "long names": lambda: [planned({f"{place:03}{'ü, ' * 60}": () for place in range(200)})],
    "many DAGs": lambda: [regions(30, 10, dag_id=f"dag_{number}") for number in range(5)],
    "woven": lambda: [woven(40, 3)],
}


def test_a_plan_that_mermaid_would_refuse_is_drawn_in_parts(tmp_path: Path) -> None:
    plans = {name: make() for name, make in LARGE.items()}
    pictures = {name: mermaid.draw_plans(made) for name, made in plans.items()}
    for name, drawn in browser.draw(pictures, tmp_path).items():
        assert drawn.error == "", name
        assert 1 < drawn.boxes < sum(len(plan.tasks) for plan in plans[name]), name
        notes = [label for label in drawn.labels if "combined because Mermaid cannot draw" in label]
        assert len(notes) == len(plans[name]), name


def test_as_many_arrows_as_mermaid_draws_are_drawn(tmp_path: Path) -> None:
    waits = {f"n{place:03}": (f"n{place - 1:03}",) if place else () for place in range(mermaid.MAX_ARROWS + 1)}
    drawn = browser.draw({"most": mermaid.draw_plans([planned(waits)])}, tmp_path)["most"]
    assert (drawn.error, drawn.arrows) == ("", mermaid.MAX_ARROWS)
