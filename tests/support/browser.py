"""The real Mermaid in a real browser: pictures in, what they show out. Nothing is fetched; the page is a local file."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

import pytest

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).resolve().parents[2]
MERMAID = Path(os.environ.get("KKA_MERMAID", ROOT / ".tools" / "mermaid")) / "dist" / "mermaid.min.js"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
# What is found out is written into the page as a word, because the text of a page is not what it was written from.
PAGE = """<!doctype html>
<meta charset="utf-8">
<style>body {{ margin: 12px; background: white; }}</style>
<main></main>
<script src="{mermaid}"></script>
<script>
async function draw(pictures, keep) {{
  const place = document.querySelector("main");
  const found = [];
  mermaid.initialize({{startOnLoad: false, theme: "neutral", flowchart: {{useMaxWidth: false}}}});
  for (const [number, text] of pictures.entries()) {{
    try {{
      place.innerHTML = (await mermaid.render("picture" + number, text)).svg;
      const all = what => [...place.querySelectorAll(what)];
      found.push({{
        labels: all(".node .nodeLabel, .cluster-label .nodeLabel").map(label => label.innerText),
        tags: [...new Set(all("foreignObject *").map(tag => tag.localName))],
        boxes: all("g.node").length,
        frames: all("g.cluster").length,
        arrows: all("path.flowchart-link").length,
        error: all(".error-icon, .error-text").length ? "an error is drawn" : "",
      }});
    }} catch (error) {{
      found.push({{labels: [], tags: [], boxes: 0, frames: 0, arrows: 0, error: String(error)}});
    }}
  }}
  if (!keep) document.body.innerHTML = "found:" + encodeURIComponent(JSON.stringify(found)) + ";";
}}
draw({pictures}, {keep});
</script>
"""


@dataclass(frozen=True)
class RenderedPicture:
    """What a browser shows of a picture.

    Attributes:
        labels: text of each box and frame, as a reader sees it.
        tags: names of the HTML elements in labels.
        error: what Mermaid said instead of drawing.
    """

    labels: list[str]
    boxes: int
    frames: int
    arrows: int
    tags: list[str]
    error: str


def find_browser() -> str:
    """A browser that can be driven; without one, or without Mermaid, the test is skipped and says so."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip("no Chromium on PATH: it draws pictures of plans (Debian: apt-get install chromium)")
    if not MERMAID.is_file():
        pytest.skip("mermaid is not installed: `make test` installs it by npm, see what it printed")
    return found


def render_pictures(pictures: Mapping[str, str], folder: Path) -> dict[str, RenderedPicture]:
    """What a browser shows of each picture."""
    page = _open_pictures(list(pictures.values()), folder, "--dump-dom")
    match = re.search(r"found:(\S*?);", page)
    assert match, "the page was not finished in time"
    drawn = json.loads(unquote(match[1]))
    return {name: RenderedPicture(**fields) for name, fields in zip(pictures, drawn, strict=True)}


def save_screenshot(picture: str, folder: Path, width: int, height: int, scale: float) -> Path:
    """A picture as a PNG; width and height in the browser's pixels, of which `scale` come out."""
    file = folder / "picture.png"
    size = (f"--window-size={width},{height}", f"--force-device-scale-factor={scale}", "--hide-scrollbars")
    _open_pictures([picture], folder, f"--screenshot={file}", *size)
    return file


def _open_pictures(pictures: list[str], folder: Path, *options: str) -> str:
    """Open the pictures, one after the other, in a new browser without a past; its standard output."""
    page = folder / "page.html"
    pictures_json = json.dumps(pictures).replace("<", "\\u003c")  # a text must not end the script it is in
    keep = "false" if "--dump-dom" in options else "true"
    page.write_text(PAGE.format(mermaid=MERMAID.as_uri(), pictures=pictures_json, keep=keep), encoding="utf-8")
    command = [
        find_browser(),
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        f"--user-data-dir={folder / 'profile'}",
        "--virtual-time-budget=600000",
        *options,
        page.as_uri(),
    ]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=300).stdout
