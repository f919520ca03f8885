"""A tag is released only when version and changelog agree with it."""

from __future__ import annotations

import pytest

from tools.release_notes import release_notes

CHANGELOG = """\
# Changelog

## [Unreleased]

## [1.2.0] - 2026-01-31

### Added

- The new.

## [1.1.0] - 2025-12-01

- The old.

[1.2.0]: https://example.com/1.2.0
"""


def test_the_notes_are_the_section_of_the_version() -> None:
    assert release_notes("v1.2.0", "1.2.0", CHANGELOG) == "### Added\n\n- The new."
    assert release_notes("v1.1.0", "1.1.0", CHANGELOG) == "- The old."


@pytest.mark.parametrize(
    ("tag", "version", "changelog", "reason"),
    [
        ("v1.2.1", "1.2.0", CHANGELOG, "expected the tag v1.2.0"),
        ("1.2.0", "1.2.0", CHANGELOG, "expected the tag v1.2.0"),
        ("v1.3.0", "1.3.0", CHANGELOG, "has no section"),
        ("v1.2.0", "1.2.0", CHANGELOG.replace("[1.2.0] - 2026-01-31", "[1.2.0]"), "has no section"),
        ("v1.2.0", "1.2.0", "# Changelog\n", "none"),
        ("v1.2.0", "1.2.0", "## [1.2.0] - 2026-01-31\n\n## [1.1.0] - 2025-12-01\n\n- The old.\n", "is empty"),
    ],
)
def test_a_disagreement_is_named(tag: str, version: str, changelog: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        release_notes(tag, version, changelog)
