"""The trigger pages of Airflow 3 and 2.11 in a real browser: open, edit fields, send, and say what the DAG run got."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.support.airflow_harness.harness import Airflow
    from tests.support.devtools import Page

_BUTTON = "document.querySelector('[aria-label=\"Trigger Dag\"]')"
_SEND = {
    3: "[...document.querySelectorAll('[role=dialog] button')].filter(b => b.innerText.trim() === 'Trigger').at(-1)",
    2: "document.querySelector('#trigger_form button[type=submit]')",
}
# The editors of JSON: Monaco by id in Airflow 3, CodeMirror beside its text area in 2.11.
_EDITOR = {
    3: "document.querySelector('[id=\"element_{}\"] .view-lines')",
    2: "document.querySelector('textarea[name=\"element_{}\"] + .CodeMirror .CodeMirror-lines')",
}


@dataclass(frozen=True)
class TriggerPage:
    """The trigger page of one DAG."""

    page: Page
    airflow: Airflow
    dag_id: str

    def open(self) -> None:
        """Open the form, with its defaults."""
        self.page.open("about:blank")
        if self.airflow.major == 3:
            self.page.open(f"{self.airflow.url}/dags/{self.dag_id}")
            self.page.wait_for(_BUTTON)
            time.sleep(1)  # the button is there before the page listens to it
            self.page.evaluate(f"{_BUTTON}.click()")
        else:
            self.page.open(f"{self.airflow.url}/dags/{self.dag_id}/trigger?origin=%2Fhome")
        self.page.wait_for(f"{_SEND[self.airflow.major]} && document.querySelector('[name^=\"element_\"]')")
        time.sleep(2)  # 2.11 fills the configuration 100 ms after loading; Airflow 3 loads its editors

    def edit(self, name: str, text: str) -> None:
        """Put a text in the place of what a field has, or click into one that is switched on or off."""
        field = f"document.querySelector('[name=\"element_{name}\"]')"
        editor = _EDITOR[self.airflow.major].format(name)
        if self.page.evaluate(f"Boolean({editor})"):
            self.page.replace_text(editor, text)
            self.page.delete_rest()  # brackets that the editor has closed by itself
        elif self.page.evaluate(f"{field}.type === 'checkbox'"):
            self.page.evaluate(f"{field}.click()")
        else:
            self.page.replace_text(field, text)
            self.page.press("Tab")

    def send(self) -> Mapping[str, Any]:
        """Send the form; the configuration of the DAG run."""
        path = f"/dags/{self.dag_id}/dagRuns"
        before = {run["dag_run_id"] for run in self.airflow.api("GET", path)["dag_runs"]}
        self.page.evaluate(f"{_SEND[self.airflow.major]}.click()")
        end = time.monotonic() + 60
        while time.monotonic() < end:
            for run in self.airflow.api("GET", path)["dag_runs"]:
                if run["dag_run_id"] not in before:
                    conf: Mapping[str, Any] = run["conf"]
                    return conf
            time.sleep(0.25)
        wrong = self.page.evaluate(
            "[...document.querySelectorAll('[name^=\"element_\"]')].filter(e => e.checkValidity && !e.checkValidity())"
            ".map(e => e.name + ': ' + e.validationMessage)"
        )
        raise AssertionError(
            f"the form was not sent: {json.dumps(wrong)} {self.page.evaluate('document.body.innerText')}"
        )
