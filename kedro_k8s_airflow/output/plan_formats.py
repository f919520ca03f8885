"""Print plans in the format that the user chooses: table, tree, JSON or Mermaid."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from kedro_k8s_airflow.plan.model import Plan


def print_plans(out: Console, plans: Sequence[Plan], format_name: str) -> None:
    """Print plans as a `table`, a `tree`, `json` or `mermaid`."""
    from kedro_k8s_airflow.dag import mermaid
    from kedro_k8s_airflow.output import plan_json, plan_table, plan_tree

    if format_name == "json":
        out.file.write(plan_json.plans_to_json(plans))
    elif format_name == "mermaid":
        out.file.write(mermaid.draw_plans(plans))
    else:
        for index, plan in enumerate(plans):
            if index:
                out.print()
            (plan_tree.print_tree if format_name == "tree" else plan_table.print_table)(out, plan)


def format_plans(plans: Sequence[Plan], format_name: str) -> str:
    """Return plans in one of these formats as text."""
    from kedro_k8s_airflow.output.console import open_console

    stream = io.StringIO()
    print_plans(open_console(file=stream), plans, format_name)
    return stream.getvalue()
