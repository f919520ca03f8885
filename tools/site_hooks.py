"""Hooks of MkDocs: what the documentation site holds besides docs/, and where its links lead.

Four things that MkDocs does not do by itself:

- Some files of the repository are pages of the site, too (`PUBLISHED`), and so is every JSON schema of the package.
- A link of a page to a file of the repository works on GitHub. Here it leads to that file's page, else to the repository on
  the web where its address is known, else it becomes plain text.
- Headings get GitHub's anchors, so that a link to one works in both places.
- Pictures are drawn by the Mermaid that make has installed. Material for MkDocs would fetch it from a public host, unless
  the page has loaded it before. It weighs 3 MB, so only pages with a picture load it.
"""

from __future__ import annotations

import os
import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
DOCS = "docs"
PUBLISHED = {
    "CHANGELOG.md": "reference/changelog.md",
    "CONTRIBUTING.md": "contributing/contributing.md",
    "benchmarks/README.md": "contributing/making-benchmarks.md",
    "demo-project/README.md": "demo-project.md",
}
SCHEMAS = "schemas"
MERMAID = "assets/mermaid.min.js"
LINK = re.compile(r"\[(?P<text>[^\[\]]*)\]\((?P<target>[^()#\s]+)(?P<anchor>#[^()\s]*)?\)")


def published_files() -> dict[str, str]:
    """Return the place on the site of each file outside docs/ that the site holds."""
    schemas = sorted((ROOT / "kedro_k8s_airflow").rglob("*.schema.json"))
    return PUBLISHED | {path.relative_to(ROOT).as_posix(): f"{SCHEMAS}/{path.name}" for path in schemas}


def installed_mermaid() -> Path:
    """Return the Mermaid for browsers that make has installed."""
    installed = Path(os.environ.get("KKA_MERMAID", "mermaid")) / "dist" / "mermaid.min.js"
    if not installed.is_file():
        raise PluginError("Mermaid, which draws the pictures, is not installed: call `make site`, which needs npm.")
    return installed


def heading_anchor(heading: str, separator: str) -> str:
    """Return the anchor of a heading: lower case, signs left out, a separator for each space."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", separator)


def on_config(config: MkDocsConfig) -> None:
    """Give headings their anchors, and show the repository in the footer where its address is known."""
    config.mdx_configs["toc"]["slugify"] = heading_anchor
    repository = config.extra["repository"]
    if repository:
        config.extra["social"] = [{"icon": "fontawesome/brands/github", "link": repository, "name": "Repository"}]


def on_files(files: Files, *, config: MkDocsConfig) -> None:
    """Add the published files and Mermaid to those of docs/."""
    for source, site_path in published_files().items():
        files.append(File.generated(config, site_path, abs_src_path=str(ROOT / source)))
    files.append(File.generated(config, MERMAID, abs_src_path=str(installed_mermaid())))


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001
    """Point the page's links at the places that files have on the site."""
    places = published_files()
    sources = {target_path: source for source, target_path in places.items()}
    here = page.file.src_uri
    source = sources.get(here, f"{DOCS}/{here}")

    def placed(link: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), link["target"]))
        if ":" in link["target"] or not (ROOT / target).exists():
            return link[0]  # an address; or a dead link, which MkDocs reports
        place = target.removeprefix(f"{DOCS}/") if target.startswith(f"{DOCS}/") else places.get(target)
        if place:
            return f"[{link['text']}]({posixpath.relpath(place, posixpath.dirname(here))}{link['anchor'] or ''})"
        if config.extra["repository"]:
            return f"[{link['text']}]({config.extra['repository']}/blob/main/{target}{link['anchor'] or ''})"
        return link["text"]

    return LINK.sub(placed, markdown)


def on_post_page(output: str, *, page: Page, config: MkDocsConfig) -> str:  # noqa: ARG001
    """Load Mermaid from the site itself, before Material looks for it."""
    if 'class="mermaid"' not in output:
        return output
    script = posixpath.relpath(MERMAID, posixpath.dirname(page.file.dest_uri) or ".")
    head, end, tail = output.rpartition("</head>")
    return f'{head}<script defer src="{script}"></script>{end}{tail}'
