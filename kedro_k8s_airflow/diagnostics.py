"""Diagnostics: collects findings on the way, so that a user sees all of them at once."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from kedro_k8s_airflow.findings import Finding, Refused, error, warning

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from kedro_k8s_airflow.locations import Location


class Diagnostics:
    """The findings of one stage of the compiler, in the order in which they were reported."""

    def __init__(self) -> None:
        self._findings: list[Finding] = []

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What was reported."""
        return tuple(self._findings)

    def error(self, code: str, location: Location, message: str, help: str = "") -> None:  # noqa: A002
        """Report what stops the command."""
        self._findings.append(error(code, location, message, help))

    def warning(self, code: str, location: Location, message: str, help: str = "") -> None:  # noqa: A002
        """Report what does not stop the command."""
        self._findings.append(warning(code, location, message, help))

    def extend(self, findings: Iterable[Finding]) -> None:
        """Report findings that were made elsewhere."""
        self._findings.extend(findings)

    @contextlib.contextmanager
    def collecting(self) -> Iterator[None]:
        """Report what is refused inside the block, and go on after it."""
        try:
            yield
        except Refused as refused:
            self._findings.extend(refused.findings)

    def raise_if_errors(self) -> None:
        """Stop here if anything reported is an error.

        Raises:
            Refused: with every error reported.
        """
        errors = [finding for finding in self._findings if finding.severity == "error"]
        if errors:
            raise Refused(errors)
