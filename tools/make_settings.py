"""Write what is made from the models of the settings: the JSON schema that the package carries, and the tables of docs/reference/settings.md.

    python tools/make_settings.py            # or: make docs
    python tools/make_settings.py --check    # 1 and a diff when something is stale

The prose of the page is written by hand, around tables between two comments:

    <!-- keys of dag, dags.* -->                    all keys of that map; `*` is any name of the user's or place in a list
    <!-- keys of tasks.* from retries until match -->  some of them, in the order of the models
    <!-- keys below tasks.* until match -->         the keys of the maps that these hold
    <!-- end -->

A key that holds a map with a table of its own on the page refers to that; other maps' keys follow in the same table, unless
`below` lists them elsewhere. So a new key or model needs no hand on the page.
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
# Its keys are Airflow's, and documented there.
FOREIGN = ("operator",)
MARKED = re.compile(
    r"<!-- keys (?P<kind>of|below) (?P<paths>.*?)(?: from (?P<start>\w+))?(?: until (?P<end>\w+))? -->\n"
    r"(?P<table>.*?)<!-- end -->",
    re.DOTALL,
)


@dataclass(frozen=True)
class Table:
    """What one pair of comments asks for.

    Attributes:
        place: the heading above it, as a link names it.
    """

    kind: str
    paths: tuple[str, ...]
    start: str | None
    end: str | None
    place: str


class Page:
    """The tables of a page, filled from a schema."""

    def __init__(self, text: str, content: dict[str, Any]) -> None:
        self.text = text
        self.schema = content
        self.tables = [self._table(match) for match in MARKED.finditer(text)]
        self.elsewhere = {path for table in self.tables if table.kind == "below" for path in table.paths}
        self.own = {
            path: (table.place, self.properties(self.at(path)))
            for table in reversed(self.tables)
            if table.kind == "of"
            for path in table.paths
        }

    def filled(self) -> str:
        """The page with all tables as they should be."""
        tables = iter(self.tables)
        return MARKED.sub(
            lambda match: match[0].partition("\n")[0] + "\n" + self.lines(next(tables)) + "<!-- end -->", self.text
        )

    def lines(self, table: Table) -> str:
        """A table's text."""
        keys = self.properties(self.at(table.paths[0]))
        names = list(keys)
        first = names.index(table.start) if table.start else 0
        last = names.index(table.end) if table.end else len(names)
        required = self.at(table.paths[0]).get("required", ())
        below = table.kind == "below" or not self.elsewhere.intersection(table.paths)
        rows = []
        for name in names[first:last]:
            if table.kind == "of":
                rows.append(self.row(name, keys[name], required=name in required))
            if below and name not in FOREIGN:
                rows += self.rows_below(name, keys[name])
        said = "".join(f"| {key} | {default} | {words} |\n" for key, default, words in rows)
        return f"\n| key | default | |\n|---|---|---|\n{said}\n"

    def rows_below(self, name: str, said: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
        """Rows for the keys of the map that a key holds, as a whole, by name or in a list."""
        path, held = self.held(name, said)
        if held is None or self.reference(held):
            return
        for key, inside in self.properties(held).items():
            yield self.row(f"{path}.{key}", inside, required=key in held.get("required", ()))
            yield from self.rows_below(f"{path}.{key}", inside)

    def row(self, name: str, said: dict[str, Any], *, required: bool) -> tuple[str, str, str]:
        default = "required" if required else f"`{_yaml(said['default'])}`" if "default" in said else ""
        words = re.sub(r"docs/([a-z/-]+)\.md", _linked, said["description"])
        _, held = self.held(name, said)
        kinds = [] if held else [kind for kind in _alternatives(said) if "enum" in kind]
        values = [value for kind in kinds for value in kind["enum"] if value is not None]
        if any(str(value) not in f"{words} {default}" for value in values):
            words += f" One of {', '.join(f'`{value}`' for value in values)}."
        place = self.reference(held) if held is not None and name not in FOREIGN else None
        if place:
            words += f" [Its keys](#{place})."
        return f"`{name}`", default, words.replace("|", "\\|")

    def held(self, name: str, said: dict[str, Any]) -> tuple[str, dict[str, Any] | None]:
        """The map with keys of ours that a key holds, and the key's name with what leads there."""
        for kind in map(self.resolved, _alternatives(said)):
            if "properties" in kind:
                return name, kind
            if isinstance(kind.get("additionalProperties"), dict):
                return self.held(f"{name}.<name>", kind["additionalProperties"])
            if "items" in kind:
                return self.held(f"{name}[]", kind["items"])
        return name, None

    def reference(self, held: dict[str, Any]) -> str | None:
        """Where on the page the keys of a map stand, when all of them are those of a table."""
        properties = self.properties(held)
        for place, keys in self.own.values():
            if properties and all(
                keys.get(key, {}).get("description") == said["description"] for key, said in properties.items()
            ):
                return place
        return None

    def at(self, path: str) -> dict[str, Any]:
        """The map at a path."""
        found = self.schema
        for part in [] if path == TOP else path.split("."):
            within = found
            if part != "*":  # `held` goes through names and lists by itself
                _, within = self.held("", found["properties"].get(part, {}))
            if within is None:
                raise SystemExit(f"{PAGE.name}: there is no map {path!r}")
            found = within
        return found

    def properties(self, said: dict[str, Any]) -> dict[str, dict[str, Any]]:
        return said.get("properties", {})

    def resolved(self, said: dict[str, Any]) -> dict[str, Any]:
        return self.schema["$defs"][said["$ref"].rpartition("/")[2]] if "$ref" in said else said

    def _table(self, match: re.Match[str]) -> Table:
        heading = re.findall(r"(?m)^#+ (.*)$", self.text[: match.start()])[-1]
        place = re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")
        paths = tuple(path.strip() for path in match["paths"].split(","))
        return Table(match["kind"], paths, match["start"], match["end"], place)


def _linked(page: re.Match[str]) -> str:
    target = ROOT / page[0]
    relative = os.path.relpath(target, PAGE.parent).replace(os.sep, "/")
    return f"[{target.stem}]({relative})" if target.exists() else page[0]


def _alternatives(said: dict[str, Any]) -> list[dict[str, Any]]:
    return said.get("anyOf", [said])


def _yaml(value: Any) -> str:
    text: str = yaml.safe_dump(value, default_flow_style=True, width=10**6, sort_keys=False)
    return text.strip().removesuffix("...").strip().strip("'")


def outputs() -> dict[Path, str]:
    """The files as they should be."""
    page = Page(PAGE.read_text(encoding="utf-8"), schema.build_schema(whole=True))
    return {SCHEMA: schema.write_schema(schema.build_schema()), PAGE: page.filled()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing")
    check = parser.parse_args().check
    stale = 0
    for path, text in outputs().items():
        before = path.read_text(encoding="utf-8") if path.exists() else ""
        if before == text:
            continue
        stale = 1
        if check:
            name = path.relative_to(ROOT).as_posix()
            lines = difflib.unified_diff(before.splitlines(True), text.splitlines(True), name, f"{name}, made again")
            sys.stdout.writelines(lines)
        else:
            path.write_text(text, encoding="utf-8")
    return stale if check else 0


if __name__ == "__main__":
    sys.exit(main())
