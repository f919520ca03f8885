"""Parameters on their way through Airflow's trigger form: the pages of both front ends, and what the pod makes of it."""

from __future__ import annotations

import json
import re
import shutil
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import pytest

from kedro_k8s_airflow import pod
from kedro_k8s_airflow.config.models import FormField
from kedro_k8s_airflow.plan import trigger_form
from tests.scenarios.model import SETTINGS, Node, Scenario, Works, default_pipeline, pickle_entries
from tests.support.airflow_harness.harness import Airflow
from tests.support.devtools import Page
from tests.support.environments import find_interpreter, run_process
from tests.support.paths import AIRFLOW_PROBE
from tests.support.trigger_pages import TriggerPage

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

AIRFLOWS = {"airflow-3": "KKA_PYTHON_AIRFLOW_3", "airflow-2": "KKA_PYTHON_AIRFLOW_2"}
# name: default, options of its field, what is typed, what the pod gets then
PARAMETERS: dict[str, tuple[Any, str, str | None, Any]] = {
    "small": (0.0000123, "{maximum: 1}", "0.002", 0.002),
    "digits": (0.123456789012, "", None, None),
    "rate": (1.0, "", "3", 3.0),
    "depth": (12345, "{minimum: 0, maximum: 20000}", "7", 7),
    "flag": (True, "", "", False),
    "text": (" a b ", "{title: A text, description: Some words}", 'it\'s "x" ${y} {{ z }}', 'it\'s "x" ${y} {{ z }}'),
    "blank": ("", "", "filled", "filled"),
    "mark": ("???", "", None, None),
    "query": ("SELECT a\n FROM b\n", "", "SELECT\n  1\n", "SELECT\n  1\n"),
    "day": ("2026-01-31", "{format: date}", None, None),
    "moment": ("2026-01-31T06:30:00+00:00", "{format: date-time}", None, None),
    "clock": ("06:30:00", "{format: time}", None, None),
    "choice": ("ridge", "{enum: [lasso, ridge, ' sp ace ']}", None, None),
    "pick": (1.0, "{enum: [0.5, 1, 2.25]}", None, None),
    "no_number": (None, "{type: integer}", "4", 4),
    "no_list": (None, "{type: array}", "[1]", [1]),
    "no_map": (None, "{type: object}", '{"k": 1}', {"k": 1}),
    "nothing": (None, "{type: string}", None, None),
    "texts": (["a", "b"], "", "x\ny z", ["x", "y z"]),
    "odd_texts": (["", " a", "b\nc"], "", '["", "d"]', ["", "d"]),
    "integers": ([3, 2], "", "[9, 8]", [9, 8]),
    "floats": ([1.0, 2.5], "", "[2, 3]", [2.0, 3.0]),
    "empty": ([], "", '[1, "a", 2.5]', [1, "a", 2.5]),
    "mixed": (["x", 1, 2.0, None, True], "", '["x", 2, "a\\nb"]', ["x", 2.0, "a\nb"]),
    "maps": ([{"a": 1.0}], "", '[{"a": 2}, {"a": 3, "b": "x"}]', [{"a": 2.0}, {"a": 3.0, "b": "x"}]),
    "bins": ({2: "b", 1: "a"}, "", '{"2": "c", "5": "new"}', {2: "c", 5: "new"}),
    "switches": ({True: 5.0, False: 1.0}, "", '{"true": 9, "false": 1}', {True: 9.0, False: 1.0}),
    "no_keys": ({}, "", None, None),
    "order": ({"10": 1, "9": 2, "b": 3, "a": {1.5: [{1: ""}]}}, "", None, None),
    "model.rate": (2.0, "{minimum: 1}", "5", 5.0),
    "model.kind": ("x", "{enum: [x, y]}", None, None),
}
DEFAULTS = {name: default for name, (default, *_) in PARAMETERS.items()}
EDITED = {name: default if typed is None else expected for name, (default, _, typed, expected) in PARAMETERS.items()}
SCENARIO = Scenario(
    name="trigger-form",
    shows="a parameter of every kind in the trigger form",
    pipelines=default_pipeline(Node(("raw", "parameters"), "a_out", "a")),
    catalog=pickle_entries("raw", "a_out"),
    parameters=pod.unflatten(DEFAULTS),
    settings=SETTINGS
    + "dag:\n  params:\n"
    + "".join(f"    {name}: {options}\n" for name, (_, options, *_) in PARAMETERS.items()),
    expect=Works(),
)


@pytest.mark.full
@pytest.mark.parametrize("variable", AIRFLOWS.values(), ids=AIRFLOWS)
def test_parameters_arrive_exactly_through_the_page(
    variable: str, create_scenario: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium on PATH: it opens the trigger page (Debian: apt-get install chromium)")
    python = find_interpreter(variable)
    (file,) = create_scenario(SCENARIO)["dags"].values()
    dags = tmp_path / "dags"
    dags.mkdir()
    shutil.copy(file, dags)
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text("{}", encoding="ascii")

    def receive(conf: Any) -> dict[str, Any]:
        """What the pod's program makes of the parameters of a run with this configuration, in a pod of this Airflow."""
        (tmp_path / "conf.json").write_text(json.dumps(conf), encoding="ascii")
        report = tmp_path / "report.json"
        result = run_process([python, AIRFLOW_PROBE, file, "--out", report, "--conf", f"@{tmp_path / 'conf.json'}"])
        assert result.returncode == 0, result.stderr
        (dag,) = json.loads(report.read_text(encoding="ascii"))["files"][file]["dags"].values()
        (container,) = dag["tasks"]["a"]["rendered_pod"]["spec"]["containers"]
        values = {entry["name"]: entry.get("value", "") for entry in container["env"]}
        monkeypatch.setenv(pod.PARAMS_VARIABLE, values[pod.PARAMS_VARIABLE])
        options = [text.replace("$$", "$") for text in container["args"] if text.startswith("--default=")]
        return pod._read_params([text.removeprefix("--default=") for text in options])

    # A browser opens connections in advance, and the one worker of 2.11's web server would wait for the next request on each.
    threads = {"AIRFLOW__WEBSERVER__WORKER_CLASS": "gthread", "GUNICORN_CMD_ARGS": "--threads=8"}
    with Airflow(
        python=python, home=tmp_path / "airflow", dags=dags, kubeconfig=kubeconfig, environment=threads
    ) as airflow:
        airflow.migrate()
        airflow.command("dags", "reserialize")
        airflow.start("api-server" if airflow.major == 3 else "webserver", seconds=300)
        with Page(browser, tmp_path / "profile") as page:
            form = TriggerPage(page, airflow, "project")
            form.open()
            untouched = receive(form.send())
            form.open()
            for name, (_, _, typed, _) in PARAMETERS.items():
                if typed is not None:
                    form.edit(name, typed)
            edited = receive(form.send())
            form.open()
            for name in ("blank", "texts"):
                form.edit(name, "x")
                form.edit(name, "")
            emptied = receive(form.send())

    assert {name: repr(value) for name, value in untouched.items()} == {n: repr(v) for n, v in DEFAULTS.items()}
    assert {name: repr(value) for name, value in edited.items()} == {name: repr(v) for name, v in EDITED.items()}
    assert (emptied["blank"], emptied["texts"]) == ("", [])


class _Field(HTMLParser):
    """One field of Airflow 2.11's form: its kind, and the text a browser has in it."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.kind, self.text, self.required = "", "", False
        self._inside = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag in ("input", "textarea", "select") and given.get("id"):
            self.kind = given.get("valuetype") or given.get("type") or tag
            self.required = "required" in given
            self.text = given.get("value") or ""
            self._inside = tag == "textarea"

    def handle_endtag(self, tag: str) -> None:
        self._inside = self._inside and tag != "textarea"

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.text += data.removeprefix("\n") if not self.text else data  # as HTML has it


def field_of_airflow_2(value: Any, options: FormField) -> _Field:
    """A field by the template of the Airflow that is installed."""
    import jinja2

    site = find_interpreter("KKA_PYTHON_AIRFLOW_2").parents[1].glob("lib/python*/site-packages")
    (template,) = (folder / "airflow" / "www" / "templates" / "airflow" / "trigger.html" for folder in site)
    source = template.read_text(encoding="utf-8")
    macro = source[source.index("{% macro form_element") : source.index("{% endmacro %}") + len("{% endmacro %}")]
    details = {"value": trigger_form.spell_value(value), "schema": trigger_form.build_schema(value, options)}
    environment = jinja2.Environment(autoescape=True)
    return _Field(environment.from_string(macro + "{{ form_element('x', details) }}").render(details=details))


def field_of_airflow_3(schema: dict[str, Any]) -> str:
    """The field that Airflow 3.3's page chooses by the schema of a parameter, in the order of its rules."""
    kinds = [
        kind for kind in ([schema["type"]] if isinstance(schema["type"], str) else schema["type"]) if kind != "null"
    ]
    items = schema.get("items", {}).get("type")
    rules = (
        (len(kinds) > 1 and "enum" not in schema, "any JSON"),
        (kinds[0] == "boolean", "checkbox"),
        (kinds[0] == "string" and schema.get("format") in ("date", "time", "date-time"), schema.get("format", "")),
        (kinds[0] in ("string", "number", "integer") and "enum" in schema, "select"),
        (kinds[0] == "array" and items in (None, "string"), "lines"),
        (kinds[0] == "array", f"JSON list of {items if items in ('number', 'object') else 'anything'}"),
        (kinds[0] == "object", "JSON"),
        (kinds[0] in ("integer", "number"), "number"),
        (schema.get("format") == "multiline", "textarea"),
    )
    return next((name for holds, name in rules if holds), "text")


FIELDS = (
    # default, type of a null, fields of Airflow 2.11 and 3.3
    (1, None, "number", "number"),
    (1.5, None, "number", "number"),
    (True, None, "checkbox", "checkbox"),
    ("a", None, "text", "text"),
    ("", None, "text", "text"),
    ("a\nb\n", None, "textarea", "textarea"),
    (None, None, "text", "text"),
    (None, "integer", "number", "number"),
    (None, "array", "advancedarray", "any JSON"),
    (None, "object", "object", "JSON"),
    ({1: 2}, None, "object", "JSON"),
    ([], None, "advancedarray", "any JSON"),
    (["a", "b"], None, "array", "lines"),
    (["a", ""], None, "advancedarray", "any JSON"),
    (["a\nb"], None, "advancedarray", "any JSON"),
    (["a", 1], None, "advancedarray", "any JSON"),
    (["a", None], None, "advancedarray", "any JSON"),
    ([1, 2], None, "advancedarray", "JSON list of anything"),
    ([1, 2.5], None, "advancedarray", "JSON list of number"),
    ([1, None], None, "advancedarray", "JSON list of anything"),
    ([True], None, "advancedarray", "JSON list of anything"),
    ([{"a": 1}], None, "advancedarray", "JSON list of object"),
    ([[1], [2]], None, "advancedarray", "JSON list of anything"),
    ([{"a": 1}, 1], None, "advancedarray", "JSON list of anything"),
)


@pytest.mark.parametrize(("value", "kind", "of_2", "of_3"), FIELDS, ids=repr)
def test_both_front_ends_show_a_field_that_can_carry_the_default(value: Any, kind: Any, of_2: str, of_3: str) -> None:
    options = FormField(type=kind)
    assert field_of_airflow_3(trigger_form.build_schema(value, options)) == of_3
    field = field_of_airflow_2(value, options)
    assert field.kind == of_2
    assert not (field.required and field.text == "" and field.kind != "checkbox")
    if field.kind in ("advancedarray", "object"):
        assert json.loads(field.text or "null") == trigger_form.spell_value(value)
    elif field.kind == "array":
        assert [line.strip() for line in field.text.split("\n") if line.strip()] == value
    elif field.kind != "checkbox":
        assert field.text == ("" if value is None else str(value))


def test_a_list_of_the_schema_takes_no_map() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    for value in ([], ["a", 1], [""]):
        schema = trigger_form.build_schema(value, FormField())
        jsonschema.validate(value, schema)
        with pytest.raises(jsonschema.ValidationError, match=re.escape("is not of type 'array'")):
            jsonschema.validate({}, schema)
