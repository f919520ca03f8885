"""The catalog as configuration: resolved by Kedro's own resolver, without credentials and without creating datasets."""

from __future__ import annotations

import contextlib
import logging
import re
from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from kedro_k8s_airflow.exceptions import describe_exception
from kedro_k8s_airflow.findings import refuse
from kedro_k8s_airflow.locations import Location
from kedro_k8s_airflow.project.pod_environment import find_placeholders, flatten_values, remove_placeholders

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Mapping

# Parts of an entry that have no effect on how it saves.
_LOADING_KEYS = frozenset({"load_args", "open_args_load", "credentials", "metadata", "checkpoint"})
_WRITE_OPTION = re.compile(r"mode|exists|disposition")
_APPEND_VALUE = re.compile(r"append|write_append|a\+?[bt]?\+?")
# Datasets that know what they have saved, or whose mode `a` adds to a file under names that must be new.
_NEVER_APPENDING = ("IncrementalDataset", "HDFDataset", "ExcelDataset")
_RUNTIME_PATTERN = {"{default}": {"type": "kedro.io.MemoryDataset"}}


class _Expected(NamedTuple):
    """What a value has to be."""

    types: tuple[type, ...]
    name: str


_EXPECTED_TYPES = {
    "type": _Expected((str,), "the name of a class"),
    "credentials": _Expected((str, dict, type(None)), "the name of credentials"),
}
_TYPE_NAMES = {
    type(None): "null",
    bool: "true or false",
    int: "a number",
    float: "a number",
    list: "a list",
    dict: "a map",
}
# Of the datasets in kedro-datasets; other classes have rules of their own.
_EXPECTED_OF_KEDRO = {
    **_EXPECTED_TYPES,
    "filepath": _Expected((str,), "a path or URL"),
    **dict.fromkeys(("load_args", "save_args", "fs_args"), _Expected((dict, type(None)), "a map of arguments")),
}


@dataclass(frozen=True)
class Catalog:
    """The catalog as configuration, without credentials.

    Attributes:
        config: entries by name, without dataset factories.
        credentials: names of the credentials that entries refer to, sorted.
        inline_credentials: names of entries, including factories, that contain credentials instead of a name.
        classes: names of the classes of all entries, including factories and the datasets inside others, sorted.
    """

    config: Mapping[str, Mapping[str, Any]]
    credentials: tuple[str, ...] = ()
    inline_credentials: frozenset[str] = frozenset()
    classes: tuple[str, ...] = ()
    _resolver: Any = field(default=None, repr=False, compare=False)

    def resolve_entries(self, datasets: Iterable[str]) -> dict[str, Mapping[str, Any]]:
        """Return the resolved entries of the datasets that the catalog has, with dataset factories applied.

        Raises:
            Refused: if a dataset factory cannot be resolved.
        """
        resolver = self._resolver
        resolved: dict[str, Mapping[str, Any]] = {}
        with _compiled_patterns(), _quiet("kedro.io.catalog_config_resolver"):
            for name in datasets:
                if name in self.config:
                    resolved[name] = self.config[name]
                elif resolver.match_dataset_pattern(name) or resolver.match_user_catch_all_pattern(name):
                    try:
                        resolved[name] = resolver.resolve_pattern(name)
                    except Exception as exc:
                        raise refuse(
                            "catalog", Location(dataset=name), f"has a dataset factory that cannot be resolved: {exc}."
                        ) from exc
        return resolved

    def find_pattern(self, name: str) -> str | None:
        """Return the pattern of the dataset factory for a dataset, or None if it has its own entry or none."""
        if name in self.config or self._resolver is None:
            return None
        pattern = self._resolver.match_dataset_pattern(name) or self._resolver.match_user_catch_all_pattern(name)
        return str(pattern) if pattern else None


def find_entry_problems(config: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], str, str]]:
    """Yield the key, a message and a fix for each value in the catalog that Kedro or its datasets refuse by its type."""
    for name, entry in config.items():
        if not isinstance(entry, dict):
            help_text = "Remove it, or rename it to begin with an underscore; Kedro ignores such keys."
            yield (name,), "is not a dataset.", help_text
        elif "type" not in entry and "{" not in name:
            help_text = "Add it, or rename the entry to begin with an underscore; Kedro ignores such keys."
            yield (name,), "has no `type`.", help_text
        else:
            yield from _find_wrong_types(entry, (name,))


def _find_wrong_types(entry: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str, str]]:
    kind = entry.get("type")
    of_kedro = isinstance(kind, str) and kind.removeprefix("kedro_datasets.").count(".") == 1
    for key, expected in (_EXPECTED_OF_KEDRO if of_kedro else _EXPECTED_TYPES).items():
        if key in entry and not isinstance(entry[key], expected.types):
            yield (*path, key), f"is {_TYPE_NAMES.get(type(entry[key]), 'a text')}, not {expected.name}.", ""
    if isinstance(entry.get("dataset"), dict):
        yield from _find_wrong_types(entry["dataset"], (*path, "dataset"))


def build_catalog(config: dict[str, Any], unknown: Container[str] = ()) -> Catalog:
    """Return the catalog from its configuration, which is changed.

    Args:
        config: the entries, as the config loader resolves them, without wrong ones.
        unknown: environment variables for whose values there are placeholders.

    Raises:
        Refused: if it cannot be resolved.
    """
    from kedro.io.catalog_config_resolver import CatalogConfigResolver

    names: set[str] = set()
    inline_credentials = frozenset(name for name, entry in config.items() if _strip_credentials(entry, names, unknown))
    try:
        resolver = CatalogConfigResolver(config=config, credentials={}, default_runtime_patterns=_RUNTIME_PATTERN)
    except Exception as exc:
        raise refuse("catalog", Location(subject="catalog"), f"cannot be resolved: {describe_exception(exc)}.") from exc
    explicit = {name: entry for name, entry in config.items() if not CatalogConfigResolver.is_pattern(name)}
    classes = {name for entry in config.values() for name in _class_names(entry)}
    return Catalog(explicit, tuple(sorted(names)), inline_credentials, tuple(sorted(classes)), resolver)


def _class_names(entry: Mapping[str, Any]) -> Iterator[str]:
    """Yield the class of an entry and those of the datasets inside it, except names that a factory fills in."""
    for key in ("type", "dataset"):
        value = entry.get(key)
        if isinstance(value, dict):
            yield from _class_names(value)
        elif isinstance(value, str) and "{" not in value:
            yield value


def find_append_option(entry: Mapping[str, Any]) -> str | None:
    """Return the option by which a catalog entry appends to what is there, such as `save_args.mode: a`, or None."""
    if str(entry.get("type", "")).rpartition(".")[2] in _NEVER_APPENDING:
        return None
    for key, value in entry.items():
        if key in _LOADING_KEYS:
            continue
        if isinstance(value, dict):
            option = find_append_option(value)
            if option is not None:
                return f"{key}.{option}"
        elif key == "append" and value is True:
            return f"{key}: true"
        elif isinstance(value, str) and _WRITE_OPTION.search(str(key)) and _APPEND_VALUE.fullmatch(value.lower()):
            return f"{key}: {value}"
    return None


def _strip_credentials(entry: dict[str, Any], names: set[str], unknown: Container[str]) -> bool:
    """Remove every `credentials` key from an entry, at any depth, and collect the names in them.

    Args:
        entry: a catalog entry, or a part of it.
        names: gets the names.
        unknown: environment variables for whose values there are placeholders, which are no literals.

    Returns:
        Whether any of them contained credentials instead of a name.
    """
    credentials = entry.pop("credentials", None)
    if isinstance(credentials, str):
        names.add(credentials)
    if isinstance(credentials, dict) and isinstance(credentials.get("con"), str):
        # Keep only the location of the data: database files have no secrets, server addresses may.
        dialect, _, address = credentials["con"].partition("://")
        entry.setdefault("con", f"{dialect}://{address if dialect.split('+')[0] in ('sqlite', 'duckdb') else ''}")
    inline = isinstance(credentials, dict) and bool(credentials) and not _holds_only_placeholders(credentials, unknown)
    for value in entry.values():
        if isinstance(value, dict):
            inline |= _strip_credentials(value, names, unknown)
    return inline


def _holds_only_placeholders(credentials: dict[str, Any], unknown: Container[str]) -> bool:
    """Return whether credentials consist of environment variables, and of values that are no secrets."""
    if not any(find_placeholders(credentials, unknown)):
        return False
    values = flatten_values(remove_placeholders(credentials, unknown))
    return all(value is None or value == "" or isinstance(value, bool) for value in values)


@contextlib.contextmanager
def _compiled_patterns() -> Iterator[None]:
    """Make Kedro's resolver compile each factory pattern once, and match each name once instead of once for each value.

    `parse.parse(pattern, name)` compiles the pattern in each call: 60 us, 20,000 times for a catalog of 5,000 datasets.
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
