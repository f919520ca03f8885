"""Kubernetes quantities (`500m`, `1Gi`, `2`): recognised and compared, never rewritten.

Grammar: https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
"""

from __future__ import annotations

import re
from decimal import Decimal

PATTERN = re.compile(
    r"(?P<number>[0-9]+(\.[0-9]*)?|\.[0-9]+)(?P<suffix>[numkMGTPE]|[KMGTPE]i|[eE][+-]?[0-9]+)?\Z", re.ASCII
)
_SCALE = {
    **{suffix: Decimal(1000) ** power for power, suffix in enumerate("kMGTPE", start=1)},
    **{suffix + "i": Decimal(1024) ** power for power, suffix in enumerate("KMGTPE", start=1)},
    "m": Decimal("1e-3"),
    "u": Decimal("1e-6"),
    "n": Decimal("1e-9"),
}


def amount(quantity: str | float) -> Decimal:
    """How much a quantity is, in its base unit (cores, bytes, pieces).

    Raises:
        ValueError: when Kubernetes would refuse the quantity.
    """
    match = PATTERN.match(str(quantity))
    if isinstance(quantity, bool) or match is None:
        raise ValueError(f"Kubernetes reads quantities such as 500m, 2, 1Gi or 1.5G; got {quantity!r}")
    suffix = match["suffix"] or ""
    if suffix[:1] in ("e", "E") and len(suffix) > 1 and suffix != "Ei":
        return Decimal(match["number"] + suffix)
    return Decimal(match["number"]) * _SCALE.get(suffix, Decimal(1))


def greater(first: str | float, second: str | float) -> str | float:
    """The larger of two quantities, spelled as it was; the first when they are equal."""
    return first if amount(first) >= amount(second) else second
