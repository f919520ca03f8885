"""What the pages say of settings, findings and links is so."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from kedro_k8s_airflow import config
from kedro_k8s_airflow.checks import RULES
from tests.documentation import make_checks, make_settings
from tests.scenarios import pages

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.scenarios import Scenario

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("path", [make_settings.PAGE, make_settings.SCHEMA], ids=lambda path: path.name)
def test_what_is_made_from_the_models_is_not_stale(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == make_settings.outputs()[path], "run `make docs`"


def test_the_page_of_checks_has_every_finding() -> None:
    text = make_checks.PAGE.read_text(encoding="utf-8")
    assert text == make_checks.filled(text), "run `make docs`"
    listed = re.findall(r"^\| `([a-z-]+)` \|", text.partition("## Findings")[2], re.MULTILINE)
    assert sorted(listed) == sorted(RULES)


def test_every_setting_has_its_words() -> None:
    text = (ROOT / "docs" / "settings.md").read_text()
    models = (
        config.Settings,
        config.Build,
        config.Data,
        config.Volume,
        config.DagSettings,
        config.TaskSettings,
        config.Match,
        config.Notifier,
    )
    missing = {name for model in models for name in model.model_fields if not re.search(rf"\b{name}\b", text)}
    assert missing == set()


def test_every_settings_example_is_accepted() -> None:
    examples = 0
    for page in PAGES:
        for block in re.findall(r"```yaml\n(.*?)```", page.read_text(), re.DOTALL):
            content = yaml.safe_load(block)
            if isinstance(content, dict) and set(content) <= set(config.Settings.model_fields):
                config.parse({"image": "registry.example.com/x:1", **content})
                examples += 1
    assert examples >= 4


@pytest.mark.parametrize("scenario", pages.SCENARIOS, ids=str)
def test_every_picture_of_a_grouping_is_what_plan_draws(scenario: Scenario, built: Callable[..., Any]) -> None:
    """To mend one: copy `plan --format mermaid` of the scenario that is named above the picture into the page."""
    page = (ROOT / "docs" / "grouping.md").read_text()
    pictures = dict(re.findall(r"<!-- (page-\w+) -->\n```mermaid\n(.*?)```\n", page, re.DOTALL))
    assert pictures[scenario.name] == built(scenario)["picture"]


def test_every_link_leads_somewhere() -> None:
    dead = [
        f"{page.name}: {target}"
        for page in PAGES
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text())
        if not target.startswith("https://") and not (page.parent / target).exists()
    ]
    assert dead == []
