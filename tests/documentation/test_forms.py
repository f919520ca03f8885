"""What GitHub reads besides the workflows' commands: the files have the shapes that its schemas demand."""

from __future__ import annotations

import sys
from importlib.util import find_spec

import pytest
import yaml

from tests.support.environments import run
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
def test_the_files_are_as_githubs_schemas_demand(schema: str) -> None:
    if find_spec("check_jsonschema") is None:
        pytest.skip("check-jsonschema, which carries the schemas, is not in this environment; `make test` has it")
    assert FILES[schema]
    done = run([sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, *FILES[schema]])
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_bug_report_asks_for_what_it_takes_to_repeat_the_bug() -> None:
    form = yaml.safe_load((TEMPLATES / "bug.yml").read_text(encoding="utf-8"))
    required = {
        field["id"]
        for field in form["body"]
        if field.get("validations", {}).get("required")
        or any(option.get("required") for option in field["attributes"].get("options", []))
    }
    assert required >= {"info", "command", "expected", "seen", "settings", "secrets"}
