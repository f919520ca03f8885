"""The project's catalog as configuration: resolved by Kedro's own resolver, credentials stripped, no dataset ever made."""

from __future__ import annotations

import contextlib
import logging
from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from kedro_k8s_airflow.exceptions import describe_exception
from kedro_k8s_airflow.findings import refuse
from kedro_k8s_airflow.locations import Location
from kedro_k8s_airflow.project.configuration import read_config

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from kedro.config import AbstractConfigLoader

_RUNTIME_PATTERN = {"{default}": {"type": "kedro.io.MemoryDataset"}}


@dataclass(frozen=True)
class Catalog:
    """The project's catalog as configuration, without credentials; no dataset is ever made.

    Attributes:
        config: entries by name, dataset factories left out.
        credentials: names that entries refer to, sorted.
        literal: names of entries, factories included, that hold credentials instead of a name of some.
    """

    config: Mapping[str, Mapping[str, Any]]
    credentials: tuple[str, ...] = ()
    literal: frozenset[str] = frozenset()
    _resolver: Any = field(default=None, repr=False, compare=False)

    def entries(self, datasets: Iterable[str]) -> dict[str, Mapping[str, Any]]:
        """Resolved entries of those datasets that the catalog knows, dataset factories applied by Kedro's own resolver.

        Raises:
            Refused: when a factory's pattern and its entry do not fit together.
        """
        resolver = self._resolver
        found: dict[str, Mapping[str, Any]] = {}
        with _compiled_patterns(), _quiet("kedro.io.catalog_config_resolver"):
            for name in datasets:
                if name in self.config:
                    found[name] = self.config[name]
                elif resolver.match_dataset_pattern(name) or resolver.match_user_catch_all_pattern(name):
                    try:
                        found[name] = resolver.resolve_pattern(name)
                    except Exception as exc:
                        raise refuse(
                            "catalog", Location(dataset=name), f"its factory cannot be resolved: {exc}."
                        ) from exc
        return found

    def pattern(self, name: str) -> str | None:
        """The pattern of the factory that makes a dataset; None when it has an entry of its own, or none."""
        if name in self.config or self._resolver is None:
            return None
        found = self._resolver.match_dataset_pattern(name) or self._resolver.match_user_catch_all_pattern(name)
        return str(found) if found else None


def read_catalog(loader: AbstractConfigLoader) -> Catalog:
    """The catalog that a loader finds.

    Raises:
        Refused: when it cannot be read or resolved.
    """
    from kedro.io.catalog_config_resolver import CatalogConfigResolver

    config = read_config(loader, "catalog") or {}
    wrong = [name for name, entry in config.items() if not isinstance(entry, dict)]
    if wrong:
        raise refuse(
            "catalog",
            Location(subject=f"catalog, entry {wrong[0]!r}"),
            "is not a dataset.",
            "Kedro ignores top-level keys that begin with an underscore.",
        )
    named: set[str] = set()
    literal = frozenset(name for name, entry in config.items() if _strip_credentials(entry, named))
    try:
        resolver = CatalogConfigResolver(config=config, credentials={}, default_runtime_patterns=_RUNTIME_PATTERN)
    except Exception as exc:
        raise refuse("catalog", Location(subject="catalog"), f"cannot be resolved: {describe_exception(exc)}.") from exc
    explicit = {name: entry for name, entry in config.items() if not CatalogConfigResolver.is_pattern(name)}
    return Catalog(explicit, tuple(sorted(named)), literal, resolver)


def _strip_credentials(entry: dict[str, Any], named: set[str]) -> bool:
    """Take every `credentials` key out of an entry, at any depth; those that are names are remembered.

    Returns:
        Whether any of them held credentials itself.
    """
    credentials = entry.pop("credentials", None)
    if isinstance(credentials, str):
        named.add(credentials)
    if isinstance(credentials, dict) and isinstance(credentials.get("con"), str):
        # Of a database's URL only what says where the data is; files have no secrets, servers keep theirs.
        dialect, _, place = credentials["con"].partition("://")
        entry.setdefault("con", f"{dialect}://{place if dialect.split('+')[0] in ('sqlite', 'duckdb') else ''}")
    literal = isinstance(credentials, dict) and bool(credentials)
    for value in entry.values():
        if isinstance(value, dict):
            literal |= _strip_credentials(value, named)
    return literal


@contextlib.contextmanager
def _compiled_patterns() -> Iterator[None]:
    """Let Kedro's resolver compile each factory pattern once, and match each name once, not once for each value.

    `parse.parse(pattern, name)` compiles anew at every call: 60 us, 20,000 times in a catalog of 5,000 datasets.
    """
    import parse
    from kedro.io import catalog_config_resolver as module

    if getattr(module, "parse", None) is not parse.parse:
        yield
        return
    compiled = cache(parse.compile)

    @lru_cache(maxsize=64)
    def match(pattern: str, name: str) -> object:
        return compiled(pattern).parse(name)

    module.parse = match  # type: ignore[attr-defined]
    try:
        yield
    finally:
        module.parse = parse.parse  # type: ignore[attr-defined]


@contextlib.contextmanager
def _quiet(logger_name: str) -> Iterator[None]:
    logger = logging.getLogger(logger_name)
    disabled, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = disabled
