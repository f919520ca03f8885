"""What an editor makes of the settings file: the language server that VS Code and others run, asked as they ask it."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import queue
import shutil
import subprocess
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from kedro_k8s_airflow.config import schema
from tests.support.paths import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SERVER = Path(os.environ.get("KKA_YAML_LANGUAGE_SERVER", ROOT / ".tools" / "yaml-language-server"))
CONF = "demo-project/conf"
LINE = "# yaml-language-server: $schema=../../.k8s-airflow/settings.schema.json\n"
TIMEOUT_SECONDS = 30


class Editor:
    """A project, opened in an editor."""

    def __init__(self, server: subprocess.Popen[bytes], root: Path) -> None:
        self.server, self.root = server, root
        self.numbers = itertools.count()
        self.heard: queue.Queue[dict[str, Any]] = queue.Queue()
        threading.Thread(target=self._listen, daemon=True).start()
        self.request("initialize", {"processId": None, "rootUri": root.as_uri(), "capabilities": {}})
        self.notify("initialized", {})
        yaml = {"validate": True, "completion": True, "hover": True, "schemaStore": {"enable": False}}
        self.notify("workspace/didChangeConfiguration", {"settings": {"yaml": yaml}})

    def diagnose(self, text: str, env: str = "base") -> list[str]:
        """What is marked as wrong in a settings file that is opened."""
        uri = self._open(text, env)
        found = self._wait(
            lambda message: message.get("method", "").endswith("Diagnostics") and message["params"]["uri"] == uri
        )
        return [mark["message"] for mark in found["params"]["diagnostics"]]

    def request_at(self, text: str, rest: str, what: str) -> Any:
        """What the editor offers or explains between two parts of a settings file."""
        uri = self._open(text + rest, "base")
        lines = text.split("\n")
        position = {"line": len(lines) - 1, "character": len(lines[-1])}
        return self.request(f"textDocument/{what}", {"textDocument": {"uri": uri}, "position": position})

    def complete_keys(self, text: str) -> set[str]:
        return {one["label"] for one in self.request_at(text, "", "completion")["items"]}

    def _open(self, text: str, env: str) -> str:
        """The address of a new file with that text."""
        uri = (self.root / "conf" / env / f"{next(self.numbers)}.yml").as_uri()
        document = {"uri": uri, "languageId": "yaml", "version": 1, "text": text}
        self.notify("textDocument/didOpen", {"textDocument": document})
        return uri

    def notify(self, method: str, params: Any) -> None:
        self._send({"method": method, "params": params})

    def request(self, method: str, params: Any) -> Any:
        self._send({"id": method, "method": method, "params": params})
        return self._wait(lambda message: message.get("id") == method and "method" not in message)["result"]

    def _send(self, message: dict[str, Any]) -> None:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        self.server.stdin.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        self.server.stdin.flush()

    def _listen(self) -> None:
        out = self.server.stdout
        with contextlib.suppress(ValueError):  # closed while it is read
            while line := out.readline():
                length = int(line.split(b":")[1])
                while out.readline().strip():
                    pass
                self.heard.put(json.loads(out.read(length)))

    def _wait(self, matches: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        end = time.monotonic() + TIMEOUT_SECONDS
        while True:
            message = self.heard.get(timeout=max(0, end - time.monotonic()))
            if "method" in message and "id" in message:  # the server asks, too
                self._send({"id": message["id"], "result": None})
            elif matches(message):
                return message


@pytest.fixture(scope="module")
def editor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Editor]:
    """The demo's configuration with a schema beside it, opened."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("node not found: yaml-language-server is an npm package")
    program = SERVER / "bin" / "yaml-language-server"
    if not program.is_file():
        pytest.skip("yaml-language-server is not installed: `make test` installs it by npm, see what it printed")
    root = tmp_path_factory.mktemp("project")
    (root / schema.SCHEMA_PATH).parent.mkdir()
    (root / schema.SCHEMA_PATH).write_text(schema.read_schema())
    server = subprocess.Popen([node, program, "--stdio"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    yield Editor(server, root)
    server.kill()
    server.communicate()


@pytest.mark.parametrize("env", ["base", "prod"])
def test_nothing_is_marked_in_the_settings_of_the_demo(editor: Editor, env: str) -> None:
    text = (ROOT / CONF / env / "k8s_airflow.yml").read_text(encoding="utf-8")
    assert editor.diagnose(LINE + text, env) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("dag: {shedule: null}", "shedule"),
        ("tasks: {x: {match: {node: a}, retires: 1}}", "retires"),
        ("tasks: {x: {operator: {log_event: 1}}}", "log_event"),
        ("tasks: {x: {retries: many}}", "an integer"),
        ("tasks: {x: {execution_timeout: 5 hours}}", "90s"),
        ("tasks: {x: {resources: {limits: {memory: 1GB}}}}", "500m, 2, 1Gi"),
        ("dag: {schedule: '@dayly'}", "@daily"),
        ("data: {volumes: {v: {claim: My_Claim, mount: data}}}", "lowercase"),
    ],
)
def test_a_mistake_gets_one_mark_that_shows_what_is_valid(editor: Editor, text: str, expected: str) -> None:
    (mark,) = editor.diagnose(f"{LINE}image: a/b\n{text}\n")
    assert expected in mark


def test_the_keys_of_a_rule_are_offered(editor: Editor) -> None:
    offered = editor.complete_keys(f"{LINE}tasks:\n  long:\n    match: {{tag: x}}\n    ")
    assert {"execution_timeout", "resources", "nodeSelector", "operator"} <= offered
    assert "match" not in offered


@pytest.mark.parametrize(
    ("text", "offered"),
    [
        ("dag:\n  group_by: ", {"none", "memory", "namespace", "chain"}),
        ("data:\n  volumes:\n    d:\n      accessMode: ", {"ReadWriteMany", "ReadWriteOnce"}),
        ("tasks:\n  x:\n    operator:\n      ", {"log_events_on_failure", "startup_timeout_seconds"}),
        ("dag:\n  ", {"schedule", "start_date"}),
    ],
)
def test_values_and_keys_are_offered_where_they_belong(editor: Editor, text: str, offered: set[str]) -> None:
    assert offered <= editor.complete_keys(LINE + text)


def test_a_key_is_explained(editor: Editor) -> None:
    message = editor.request_at(f"{LINE}dag:\n  catch", "up: true\n", "hover")
    assert "missed since" in json.dumps(message)


def test_every_pattern_is_valid_in_javascript(editor: Editor) -> None:
    del editor  # it needs node, as this does
    script = "JSON.parse(process.argv[1], (key, value) => key === 'pattern' ? new RegExp(value, 'u') && value : value)"
    done = subprocess.run(["node", "-e", script, schema.read_schema()], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
