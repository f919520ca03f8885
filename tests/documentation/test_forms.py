"""What GitHub reads besides the workflows' commands: the files have the shapes that its schemas demand."""

from __future__ import annotations

import sys
from importlib.util import find_spec

import pytest
import yaml

from tests.support.environments import run_process
from tests.support.paths import ROOT

TEMPLATES = ROOT / ".github" / "ISSUE_TEMPLATE"
FORMS = sorted(path for path in TEMPLATES.glob("*.yml") if path.name != "config.yml")
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
FILES = {
    "vendor.github-issue-forms": FORMS,
    "vendor.github-issue-config": [TEMPLATES / "config.yml"],
    "vendor.github-workflows": WORKFLOWS,
    "custom.github-workflows-require-timeout": WORKFLOWS,
}


@pytest.mark.parametrize("schema", FILES)
def test_github_files_match_their_schemas(schema: str) -> None:
    if find_spec("check_jsonschema") is None:
        pytest.skip("check-jsonschema, which carries the schemas, is not in this environment; `make test` has it")
    assert FILES[schema]
    result = run_process([sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, *FILES[schema]])
    assert result.returncode == 0, result.stdout + result.stderr


def test_bug_report_form_requires_reproduction_details() -> None:
    form = yaml.safe_load((TEMPLATES / "bug.yml").read_text(encoding="utf-8"))
    required = {
        field["id"]
        for field in form["body"]
        if field.get("validations", {}).get("required")
        or any(option.get("required") for option in field["attributes"].get("options", []))
    }
    assert required >= {"info", "command", "expected", "seen", "settings", "secrets"}
