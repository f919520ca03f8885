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
from tests.support.plan_factory import make_chain, make_interleaved_namespaces, make_plan, make_regions

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


def test_every_name_is_rendered_verbatim(tmp_path: Path) -> None:
    """As a task and as a node among others: Mermaid reads a label of several lines in another way."""
    plan = make_plan(dict.fromkeys(TITLES, ()), flat=True)
    fused = [
        replace(task, id=f"t{index}", nodes=("end", *task.nodes, "graph")) for index, task in enumerate(plan.tasks)
    ]
    pictures = {"alone": mermaid.draw_plans([plan]), "fused": mermaid.draw_plans([replace(plan, tasks=tuple(fused))])}
    drawn = browser.render_pictures(pictures, tmp_path)
    expected = [printable(name) for name in TITLES]
    assert [label.replace(NO_WIDTH, "") for label in drawn["alone"].labels] == expected
    assert [label.replace(NO_WIDTH, "").split("\n") for label in drawn["fused"].labels] == [
        [task.id, "end", name, "graph"] for task, name in zip(fused, expected, strict=True)
    ]
    for one in drawn.values():
        assert one.error == ""
        assert set(one.tags) <= {"div", "span", "p", "br", "b"}, "a name is no markup"


def test_wrong_diagram_is_detected(tmp_path: Path) -> None:
    assert browser.render_pictures({"wrong": "flowchart LR\n    t0[["}, tmp_path)["wrong"].error


def test_projects_with_names_of_every_kind_are_drawn_with_all_their_tasks(
    create_scenario: Callable[..., Any], tmp_path: Path
) -> None:
    browser.find_browser()
    reports = {
        scenario.name: create_scenario(scenario) for scenario in names.SCENARIOS if isinstance(scenario.expect, Works)
    }
    drawn = browser.render_pictures({name: report["picture"] for name, report in reports.items()}, tmp_path)
    for name, report in reports.items():
        assert find_missing_parts(drawn[name], report["plans"]) == [], name


def test_the_demo_is_drawn_with_all_its_tasks(create_demo: Callable[[], dict[str, Any]], tmp_path: Path) -> None:
    pytest.importorskip("kedro_datasets", reason="the demo needs kedro-datasets, which this environment lacks")
    browser.find_browser()
    report = create_demo()
    drawn = browser.render_pictures({"demo": report["picture"]}, tmp_path)["demo"]
    assert find_missing_parts(drawn, report["plans"]) == []
    assert "training" in " ".join(drawn.labels), "each DAG has its frame"


def find_missing_parts(drawn: browser.RenderedPicture, plans: dict[str, Any]) -> list[str]:
    """What a picture lacks of its plans."""
    tasks = [task for plan in plans.values() for task in plan["tasks"]]
    firsts = Counter(label.split("\n")[0].replace(NO_WIDTH, "") for label in drawn.labels)
    arrows = sum(len(task["after"]) for task in tasks)
    expected = {"error": "", "boxes": len(tasks), "arrows": arrows}
    lacks = [f"{name} is {getattr(drawn, name)}" for name, value in expected.items() if getattr(drawn, name) != value]
    return lacks + [f"no box {name}" for name in Counter(task["id"] for task in tasks) - firsts]


LARGE = {
    "namespaces": lambda: [make_regions(60, 20)],
    "chain": lambda: [make_chain(20_000)],
    "arrows": lambda: [make_plan({f"n{place}": tuple(f"n{other}" for other in range(place)) for place in range(60)})],
    "long names": lambda: [make_plan({f"{place:03}{'ü, ' * 60}": () for place in range(200)})],
    "many DAGs": lambda: [make_regions(30, 10, dag_id=f"dag_{number}") for number in range(5)],
    "woven": lambda: [make_interleaved_namespaces(40, 3)],
}


def test_a_plan_that_mermaid_would_refuse_is_drawn_in_parts(tmp_path: Path) -> None:
    plans = {name: make() for name, make in LARGE.items()}
    pictures = {name: mermaid.draw_plans(plan_parts) for name, plan_parts in plans.items()}
    for name, drawn in browser.render_pictures(pictures, tmp_path).items():
        assert drawn.error == "", name
        assert 1 < drawn.boxes < sum(len(plan.tasks) for plan in plans[name]), name
        notes = [label for label in drawn.labels if "combined because Mermaid cannot draw" in label]
        assert len(notes) == len(plans[name]), name


def test_diagram_uses_up_to_the_mermaid_arrow_limit(tmp_path: Path) -> None:
    waits = {f"n{index:03}": (f"n{index - 1:03}",) if index else () for index in range(mermaid.MAX_ARROWS + 1)}
    drawn = browser.render_pictures({"most": mermaid.draw_plans([make_plan(waits)])}, tmp_path)["most"]
    assert (drawn.error, drawn.arrows) == ("", mermaid.MAX_ARROWS)
