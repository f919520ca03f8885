"""Print the changelog's section of a release; fail when the tag, the version and the changelog disagree.

python tools/release_notes.py v1.2.3
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[1]


def release_notes(tag: str, version: str, changelog: str) -> str:
    """Return the text below the version's heading; raise ValueError when there is nothing to release by this tag."""
    if tag != f"v{version}":
        raise ValueError(f"the tag is {tag}, but pyproject.toml has version {version}: expected the tag v{version}")
    sections = re.split(r"(?m)^## ", changelog)[1:]
    titles = [section.partition("\n")[0].strip() for section in sections]
    for title, section in zip(titles, sections, strict=True):
        if re.fullmatch(rf"\[?{re.escape(version)}\]? - \d{{4}}-\d\d-\d\d", title):
            # Addresses of links stand at the end of the file, below the last section.
            text = re.sub(r"(?m)^\[[^\]]+\]: \S+$", "", section.partition("\n")[2]).strip()
            if not text:
                raise ValueError(f"the section of {version} in CHANGELOG.md is empty")
            return text
    raise ValueError(f"CHANGELOG.md has no section '## [{version}] - YYYY-MM-DD', but {', '.join(titles) or 'none'}")


def main() -> int:
    """Print the notes; 1, with the reason, when there is a disagreement."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("tag", help="the tag of the release, such as v1.2.3")
    tag = parser.parse_args().tag
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    try:
        notes = release_notes(tag, project["version"], (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"))
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"{notes}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
