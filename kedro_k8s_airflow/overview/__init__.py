"""What a plan looks like to people and programs: its facts, and the table, tree, picture and JSON document that tell them."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from kedro_k8s_airflow.plan import Plan


def show(out: Console, plans: Sequence[Plan], form: str) -> None:
    """Print plans as a `table`, a `tree`, `json` or `mermaid`."""
    from kedro_k8s_airflow.overview import document, mermaid, table, tree

    if form == "json":
        out.file.write(document.text(plans))
    elif form == "mermaid":
        out.file.write(mermaid.picture(plans))
    else:
        for place, plan in enumerate(plans):
            if place:
                out.print()
            (tree.full if form == "tree" else table.full)(out, plan)


def text(plans: Sequence[Plan], form: str) -> str:
    """The same as a text."""
    from kedro_k8s_airflow.show import console

    kept = io.StringIO()
    show(console(file=kept), plans, form)
    return kept.getvalue()
