"""Write the tables of docs/reference/checks.md from the table of checks.

    python tools/make_checks.py            # or: make docs

The prose is written by hand, around tables between `<!-- findings of <family> -->` and `<!-- end -->`.
"""

from __future__ import annotations

import re
from pathlib import Path

from kedro_k8s_airflow.checks import RULES

PAGE = Path(__file__).resolve().parents[1] / "docs" / "reference" / "checks.md"
TABLE_MARKER = re.compile(r"<!-- findings of (?P<family>\w+) -->\n.*?<!-- end -->", re.DOTALL)


def fill_page(page: str) -> str:
    """The page with all tables as they should be."""
    return TABLE_MARKER.sub(
        lambda match: f"{match[0].partition(chr(10))[0]}\n{build_table(match['family'])}<!-- end -->", page
    )


def build_table(family: str) -> str:
    """Rules first, by severity; then what the compiler finds by itself."""
    order = ("error", "warning", "info")
    rules = sorted(
        (rule for rule in RULES.values() if rule.family == family),
        key=lambda rule: (rule.check is None, order.index(rule.severity), rule.code),
    )
    rows = "".join(
        f"| `{rule.code}` | {rule.severity} | {rule.title} | {rule.source} |\n".replace("|  |", "| |") for rule in rules
    )
    return f"\n| code | severity | what it finds | behind it |\n|---|---|---|---|\n{rows}\n"


if __name__ == "__main__":
    PAGE.write_text(fill_page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
