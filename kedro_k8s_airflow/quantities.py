"""Kubernetes quantities (`500m`, `1Gi`, `2`): parsed, compared and summed; a given one is never rewritten.

Grammar: https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
"""

from __future__ import annotations

import re
from decimal import ROUND_CEILING, Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

QUANTITY_PATTERN = re.compile(
    r"(?P<number>[0-9]+(\.[0-9]*)?|\.[0-9]+)(?P<suffix>[numkMGTPE]|[KMGTPE]i|[eE][+-]?[0-9]+)?\Z", re.ASCII
)
_DECIMAL = ("k", "M", "G", "T", "P", "E")
_BINARY = ("Ki", "Mi", "Gi", "Ti", "Pi", "Ei")
_SCALE = {
    **{suffix: Decimal(1000) ** power for power, suffix in enumerate(_DECIMAL, start=1)},
    **{suffix: Decimal(1024) ** power for power, suffix in enumerate(_BINARY, start=1)},
    "m": Decimal("1e-3"),
    "u": Decimal("1e-6"),
    "n": Decimal("1e-9"),
}


def parse_quantity(quantity: str | float) -> Decimal:
    """Return the amount of a quantity in its base unit (cores, bytes, pieces).

    Raises:
        ValueError: when Kubernetes would refuse the quantity.
    """
    match = QUANTITY_PATTERN.match(str(quantity))
    if isinstance(quantity, bool) or match is None:
        raise ValueError(f"Kubernetes reads quantities such as 500m, 2, 1Gi or 1.5G; got {quantity!r}")
    suffix = match["suffix"] or ""
    if suffix[:1] in ("e", "E") and len(suffix) > 1 and suffix != "Ei":
        return Decimal(match["number"] + suffix)
    return Decimal(match["number"]) * _SCALE.get(suffix, Decimal(1))


def greater_quantity(first: str | float, second: str | float) -> str | float:
    """Return the larger of two quantities as it was spelled; the first if they are equal."""
    return first if parse_quantity(first) >= parse_quantity(second) else second


def sum_quantities(quantities: Iterable[str | float]) -> str:
    """Return the sum of quantities in the largest exact unit; fractions below a thousandth are rounded up."""
    total = sum(map(parse_quantity, quantities), Decimal(0))
    if total != int(total):
        return f"{int((total * 1000).to_integral_value(ROUND_CEILING))}m"
    integer = int(total)
    for base, suffixes in ((1024, _BINARY), (1000, _DECIMAL)):
        for power in range(len(suffixes), 1, -1):  # from millions on: nobody counts cores or devices in thousands
            if integer and integer % base**power == 0:
                return f"{integer // base**power}{suffixes[power - 1]}"
    return str(integer)
