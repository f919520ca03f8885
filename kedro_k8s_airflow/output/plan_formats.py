"""What a plan looks like to people and programs: its facts, and the table, tree, picture and JSON document that tell them."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from kedro_k8s_airflow.plan.model import Plan


def print_plans(out: Console, plans: Sequence[Plan], form: str) -> None:
    """Print plans as a `table`, a `tree`, `json` or `mermaid`."""
    from kedro_k8s_airflow.dag import mermaid
    from kedro_k8s_airflow.output import plan_json, plan_table, plan_tree

    if form == "json":
        out.file.write(plan_json.plans_to_json(plans))
    elif form == "mermaid":
        out.file.write(mermaid.draw_plans(plans))
    else:
        for place, plan in enumerate(plans):
            if place:
                out.print()
            (plan_tree.print_tree if form == "tree" else plan_table.print_table)(out, plan)


def format_plans(plans: Sequence[Plan], form: str) -> str:
    """The same as a text."""
    from kedro_k8s_airflow.output.console import open_console

    kept = io.StringIO()
    print_plans(open_console(file=kept), plans, form)
    return kept.getvalue()
