"""The documentation site: it builds strictly, its links lead somewhere, and it loads nothing from another host."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import yaml

from tests.support.environments import find_interpreter, run_process
from tests.support.paths import ROOT

# What a browser fetches by itself, unlike the address of `<a href>`.
FETCHED = {"img": "src", "script": "src", "link": "href", "iframe": "src", "source": "src"}


@dataclass
class Html(HTMLParser):
    """The anchors and addresses in one page.

    Attributes:
        ids: what a fragment can name.
        links: addresses that a reader follows.
        fetched: addresses that the browser fetches.
    """

    ids: set[str] = field(default_factory=set)
    links: list[str] = field(default_factory=list)
    fetched: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        self.ids |= {attributes[name] for name in ("id", "name") if name in attributes}
        if tag == "a" and "href" in attributes:
            self.links.append(attributes["href"])
        if attributes.get(FETCHED.get(tag, "")) and attributes.get("rel") != "canonical":
            self.fetched.append(attributes[FETCHED[tag]])


def read_pages(site: Path) -> dict[Path, Html]:
    """Parse every page of a built site."""
    pages = {}
    for path in sorted(site.rglob("*.html")):
        pages[path] = Html()
        pages[path].feed(path.read_text(encoding="utf-8"))
    return pages


def find_dead_links(site: Path) -> list[str]:
    """Return the links within a built site whose file or anchor does not exist."""
    pages = read_pages(site)
    dead = []
    for page, html in pages.items():
        for address in [*html.links, *html.fetched]:
            parts = urlsplit(address)
            if parts.scheme or parts.netloc:
                continue
            path = unquote(parts.path)
            base = site if path.startswith("/") else page.parent
            target = (base / path.lstrip("/")).resolve() if path else page
            target = target / "index.html" if target.is_dir() else target
            fragment = unquote(parts.fragment)
            missing_anchor = fragment and target in pages and fragment not in pages[target].ids
            if not target.is_file() or missing_anchor:
                dead.append(f"{page.relative_to(site)}: {address}")
    return dead


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site, strictly, as `make site` does."""
    python = find_interpreter("KKA_PYTHON_SITE")
    mermaid = Path(os.environ.get("KKA_MERMAID", "mermaid"))
    if not (mermaid / "dist" / "mermaid.min.js").is_file():
        pytest.skip("Mermaid is not installed: `make site` installs it by npm, see what it printed")
    folder = tmp_path_factory.mktemp("site").resolve()
    result = run_process([python, "-m", "mkdocs", "build", "--strict", "--site-dir", folder], cwd=ROOT)
    assert result.returncode == 0, result.stderr
    return folder


def test_every_link_and_anchor_of_the_site_leads_somewhere(site: Path) -> None:
    assert len(read_pages(site)) > 15
    assert find_dead_links(site) == []


def test_a_dead_link_or_anchor_is_found(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "index.html").write_text('<h1 id="top">Top</h1>')
    (tmp_path / "index.html").write_text(
        '<p id="here"><a href="#here">a</a><a href="other/#top">b</a><a href="https://example.com/x#y">c</a>'
        '<a href="other/#gone">d</a><a href="#away">e</a><a href="missing/">f</a><img src="none.png">'
    )
    assert find_dead_links(tmp_path) == [
        "index.html: other/#gone",
        "index.html: #away",
        "index.html: missing/",
        "index.html: none.png",
    ]


def test_pages_load_nothing_from_another_host(site: Path) -> None:
    fetched = {address for html in read_pages(site).values() for address in html.fetched}
    assert fetched
    assert {address for address in fetched if urlsplit(address).netloc} == set()
    styles = "".join(path.read_text(encoding="utf-8") for path in site.rglob("*.css"))
    assert re.findall(r"(?:@import|url\()[\s\"']*(?:https?:)?//[^\s)]*", styles) == []


def test_a_page_with_a_picture_loads_mermaid_from_the_site(site: Path) -> None:
    pictures = [page for page in read_pages(site) if '<pre class="mermaid">' in page.read_text(encoding="utf-8")]
    assert site / "guides" / "grouping" / "index.html" in pictures
    for page, html in read_pages(site).items():
        loaded = any(address.endswith("assets/mermaid.min.js") for address in html.fetched)
        assert loaded == (page in pictures), page


def test_the_search_knows_every_page_of_the_navigation(site: Path) -> None:
    index = json.loads((site / "search" / "search_index.json").read_text(encoding="utf-8"))
    found = {entry["location"].partition("#")[0] for entry in index["docs"] if entry["text"]}
    # The tags `!!python/...` and `!ENV` of other keys are MkDocs' own.
    nav = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:\n")[2]
    pages = [
        page
        for section in yaml.safe_load(nav)
        for entries in section.values()
        for one in entries
        for page in one.values()
    ]
    assert len(pages) > 15
    for page in pages:
        assert re.sub(r"(?:(?:^|(?<=/))(?:index|README))?\.md$", "", page).rstrip("/") in {
            address.rstrip("/") for address in found
        }
