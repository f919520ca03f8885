"""What the pages say of settings, findings and links is so."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from kedro_k8s_airflow.checks import RULES
from kedro_k8s_airflow.config import models
from tests.scenarios import pages
from tests.support.paths import ROOT
from tools import make_checks, make_settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.scenarios import Scenario

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.mark.parametrize("path", [make_settings.PAGE, make_settings.SCHEMA], ids=lambda path: path.name)
def test_generated_files_are_up_to_date(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == make_settings.build_outputs()[path], "run `make docs`"


def test_the_page_of_checks_has_every_finding() -> None:
    text = make_checks.PAGE.read_text(encoding="utf-8")
    assert text == make_checks.fill_page(text), "run `make docs`"
    listed = re.findall(r"^\| `([a-z-]+)` \|", text.partition("## Findings")[2], re.MULTILINE)
    assert sorted(listed) == sorted(RULES)


def test_every_setting_is_described() -> None:
    text = (ROOT / "docs" / "reference" / "settings.md").read_text()
    described = (
        models.Settings,
        models.BuildSettings,
        models.DataSettings,
        models.VolumeSettings,
        models.DagSettings,
        models.TaskSettings,
        models.Match,
        models.Notifier,
        models.PublishSettings,
    )
    missing = {name for model in described for name in model.model_fields if not re.search(rf"\b{name}\b", text)}
    assert missing == set()


def parse_settings_example(text: str) -> dict[str, Any] | None:
    """The settings that an example spells; None when it is something else. What is left out, `...`, is no example."""
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError:
        return None
    known = isinstance(content, dict) and set(content) <= set(models.Settings.model_fields) and "..." not in text
    return content if known else None


def test_every_settings_example_is_accepted() -> None:
    pages = [page.read_text() for page in PAGES]
    blocks = [block for page in pages for block in re.findall(r" *```yaml\n(.*?)```", page, re.DOTALL)]
    words = [word for page in pages for word in re.findall(r"`(\w+: \{[^`]+\})`", page)]
    for examples in (blocks, words):
        found = [content for content in map(parse_settings_example, examples) if content]
        assert len(found) >= 4
        for content in found:
            models.parse_settings({"image": "registry.example.com/x:1", **content})


def test_every_quoted_finding_code_exists() -> None:
    """As a command prints it, `[data-lost] ...`, or by its code in brackets (`data-lost`)."""
    text = "".join(page.read_text() for page in PAGES)
    quoted = {*re.findall(r"`\[([a-z-]+)\](?: |`)", text), *re.findall(r"\(`([a-z]+(?:-[a-z]+)+)`\)", text)}
    assert len(quoted) > 40
    assert quoted - {"core", "scheduler"} <= set(RULES)  # those are sections of airflow.cfg


@pytest.mark.parametrize("scenario", pages.SCENARIOS, ids=str)
def test_every_picture_of_a_grouping_is_what_plan_draws(
    scenario: Scenario, create_scenario: Callable[..., Any]
) -> None:
    """To mend one: copy `plan --format mermaid` of the scenario that is named above the picture into the page."""
    page = (ROOT / "docs" / "guides" / "grouping.md").read_text()
    pictures = dict(re.findall(r"<!-- (page-\w+) -->\n```mermaid\n(.*?)```\n", page, re.DOTALL))
    assert pictures[scenario.name] == create_scenario(scenario)["picture"]


def strip_code_blocks(page: str) -> str:
    """A page without its blocks of code."""
    return re.sub(r"^ *```.*?^ *```$", "", page, flags=re.DOTALL | re.MULTILINE)


def heading_anchors(page: Path) -> set[str]:
    """The anchors that GitHub makes of a page's headings: lower case, signs left out, '-' for spaces."""
    found = re.findall(r"^#+ (.*)$", strip_code_blocks(page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in found}


def test_every_link_to_a_heading_leads_to_one() -> None:
    dead = [
        f"{page.name}: {target}#{anchor}"
        for page in PAGES
        for target, anchor in re.findall(r"\]\(([^)#\s]*)#([^)\s]+)\)", page.read_text())
        if not target.startswith("https://") and anchor not in heading_anchors(page.parent / target if target else page)
    ]
    assert dead == []


def test_every_link_leads_somewhere() -> None:
    dead = [
        f"{page.name}: {target}"
        for page in PAGES
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text())
        if not target.startswith("https://") and not (page.parent / target).exists()
    ]
    assert dead == []
