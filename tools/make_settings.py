"""Write the files generated from the settings models: the package's JSON schema, and the tables of docs/reference/settings.md.

    python tools/make_settings.py            # or: make docs
    python tools/make_settings.py --check    # exit code 1 and a diff if a file is stale

The prose of the page is written by hand. Each table is between two comments:

    <!-- keys of dag, dags.* -->                       all keys of a map; `*` is a user's name or an index of a list
    <!-- keys of tasks.* from retries until match -->  some of its keys, in the order of the models
    <!-- keys below tasks.* until match -->            the keys of the maps below these keys
    <!-- end -->

If a key holds a map that has its own table on the page, its row links to that table. Otherwise the keys of the map follow in the
same table, unless a `below` table lists them. So a new key or model needs no edit of the page.
"""

from __future__ import annotations

import argparse
import difflib
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from kedro_k8s_airflow.config import schema

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "reference" / "settings.md"
SCHEMA = ROOT / "kedro_k8s_airflow" / "config" / "settings.schema.json"
TOP = "the file"
# Airflow documents the keys of these.
FOREIGN = ("operator",)
TABLE_MARKER = re.compile(
    r"<!-- keys (?P<kind>of|below) (?P<paths>.*?)(?: from (?P<start>\w+))?(?: until (?P<end>\w+))? -->\n"
    r"(?P<table>.*?)<!-- end -->",
    re.DOTALL,
)


@dataclass(frozen=True)
class TableRequest:
    """A table between two comments.

    Attributes:
        kind: `of` or `below`.
        paths: paths of the maps whose keys it lists.
        start: its first key, or None.
        end: the key after its last one, or None.
        anchor: the anchor of the heading above it.
    """

    kind: str
    paths: tuple[str, ...]
    start: str | None
    end: str | None
    anchor: str


class ReferencePage:
    """The tables of a page, filled from a schema."""

    def __init__(self, text: str, content: dict[str, Any]) -> None:
        self.text = text
        self.schema = content
        self.tables = [self._table(match) for match in TABLE_MARKER.finditer(text)]
        self.elsewhere = {path for table in self.tables if table.kind == "below" for path in table.paths}
        self.own = {
            path: (table.anchor, self.properties(self.map_at(path)))
            for table in reversed(self.tables)
            if table.kind == "of"
            for path in table.paths
        }

    def fill(self) -> str:
        """Return the page with current tables."""
        tables = iter(self.tables)
        return TABLE_MARKER.sub(
            lambda match: match[0].partition("\n")[0] + "\n" + self.table_lines(next(tables)) + "<!-- end -->",
            self.text,
        )

    def table_lines(self, table: TableRequest) -> str:
        """Return the text of a table."""
        keys = self.properties(self.map_at(table.paths[0]))
        names = list(keys)
        first = names.index(table.start) if table.start else 0
        last = names.index(table.end) if table.end else len(names)
        required = self.map_at(table.paths[0]).get("required", ())
        below = table.kind == "below" or not self.elsewhere.intersection(table.paths)
        rows = []
        for name in names[first:last]:
            if table.kind == "of":
                rows.append(self.row(name, keys[name], required=name in required))
            if below and name not in FOREIGN:
                rows += self.rows_below(name, keys[name])
        lines = "".join(f"| {key} | {default} | {description} |\n" for key, default, description in rows)
        return f"\n| key | default | |\n|---|---|---|\n{lines}\n"

    def rows_below(self, name: str, value: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
        """Yield rows for the keys of the map that a key holds, directly, by name or in a list."""
        path, inner = self.inner_map(name, value)
        if inner is None or self.anchor_of(inner):
            return
        for key, child in self.properties(inner).items():
            yield self.row(f"{path}.{key}", child, required=key in inner.get("required", ()))
            yield from self.rows_below(f"{path}.{key}", child)

    def row(self, name: str, value: dict[str, Any], *, required: bool) -> tuple[str, str, str]:
        """Return the cells of a key: its name, default and description."""
        default = "required" if required else f"`{_to_yaml(value['default'])}`" if "default" in value else ""
        description = re.sub(r"docs/([a-z/-]+)\.md", _link_page, value["description"])
        _, inner = self.inner_map(name, value)
        kinds = [] if inner else [kind for kind in _schema_alternatives(value) if "enum" in kind]
        choices = [choice for kind in kinds for choice in kind["enum"] if choice is not None]
        if any(str(choice) not in f"{description} {default}" for choice in choices):
            description += f" One of {', '.join(f'`{choice}`' for choice in choices)}."
        anchor = self.anchor_of(inner) if inner is not None and name not in FOREIGN else None
        if anchor:
            description += f" [Its keys](#{anchor})."
        return f"`{name}`", default, description.replace("|", "\\|")

    def inner_map(self, name: str, value: dict[str, Any]) -> tuple[str, dict[str, Any] | None]:
        """Return the path and schema of the map with known keys that a key holds, or None instead of the schema."""
        for kind in map(self.resolve, _schema_alternatives(value)):
            if "properties" in kind:
                return name, kind
            if isinstance(kind.get("additionalProperties"), dict):
                return self.inner_map(f"{name}.<name>", kind["additionalProperties"])
            if "items" in kind:
                return self.inner_map(f"{name}[]", kind["items"])
        return name, None

    def anchor_of(self, inner: dict[str, Any]) -> str | None:
        """Return the anchor of the table that lists all keys of a map, or None."""
        properties = self.properties(inner)
        for anchor, keys in self.own.values():
            if properties and all(
                keys.get(key, {}).get("description") == value["description"] for key, value in properties.items()
            ):
                return anchor
        return None

    def map_at(self, path: str) -> dict[str, Any]:
        """Return the schema of the map at a path."""
        current = self.schema
        for part in [] if path == TOP else path.split("."):
            inner: dict[str, Any] | None = current
            if part != "*":  # `inner_map` follows names and lists
                _, inner = self.inner_map("", current["properties"].get(part, {}))
            if inner is None:
                raise SystemExit(f"{PAGE.name}: {path!r} is not a map of the settings")
            current = inner
        return current

    def properties(self, value: dict[str, Any]) -> dict[str, dict[str, Any]]:
        return value.get("properties", {})

    def resolve(self, value: dict[str, Any]) -> dict[str, Any]:
        return self.schema["$defs"][value["$ref"].rpartition("/")[2]] if "$ref" in value else value

    def _table(self, match: re.Match[str]) -> TableRequest:
        heading = re.findall(r"(?m)^#+ (.*)$", self.text[: match.start()])[-1]
        anchor = re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")
        paths = tuple(path.strip() for path in match["paths"].split(","))
        return TableRequest(match["kind"], paths, match["start"], match["end"], anchor)


def _link_page(page: re.Match[str]) -> str:
    target = ROOT / page[0]
    relative = os.path.relpath(target, PAGE.parent).replace(os.sep, "/")
    return f"[{target.stem}]({relative})" if target.exists() else page[0]


def _schema_alternatives(value: dict[str, Any]) -> list[dict[str, Any]]:
    return value.get("anyOf", [value])


def _to_yaml(value: Any) -> str:
    text: str = yaml.safe_dump(value, default_flow_style=True, width=10**6, sort_keys=False)
    return text.strip().removesuffix("...").strip().strip("'")


def build_outputs() -> dict[Path, str]:
    """Return the current text of each generated file."""
    page = ReferencePage(PAGE.read_text(encoding="utf-8"), schema.build_schema(merged=True))
    return {SCHEMA: schema.format_schema(schema.build_schema()), PAGE: page.fill()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing")
    check = parser.parse_args().check
    stale = 0
    for path, text in build_outputs().items():
        before = path.read_text(encoding="utf-8") if path.exists() else ""
        if before == text:
            continue
        stale = 1
        if check:
            name = path.relative_to(ROOT).as_posix()
            lines = difflib.unified_diff(before.splitlines(True), text.splitlines(True), name, f"{name}, generated")
            sys.stdout.writelines(lines)
        else:
            path.write_text(text, encoding="utf-8")
    return stale if check else 0


if __name__ == "__main__":
    sys.exit(main())
