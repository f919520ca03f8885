"""The lines that run a task by hand, run by a real shell with programs that only write down what they were given."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from kedro_k8s_airflow.kubernetes.debug_commands import to_yaml
from tests.scenarios import BY_NAME, WORKING, names
from tests.support.kubelet import expand_environment, expand_variables

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.scenarios import Scenario

    Json = dict[str, Any]
    Record = Callable[[str], list[tuple[list[str], str]]]

SCENARIOS = (*(one for one in names.SCENARIOS if one in WORKING), BY_NAME["by-hand"])


@pytest.fixture
def record_calls(tmp_path: Path) -> Record:
    """`record(line)`: runs it in bash; for each podman and kubectl that it calls, the arguments and what stdin held."""
    programs, calls = tmp_path / "bin", tmp_path / "calls"
    programs.mkdir()
    calls.mkdir()
    for name in ("podman", "kubectl"):
        # A clock in nanoseconds puts them in their order.
        program = programs / name
        program.write_text(
            f'#!/bin/bash\ncall="{calls}/$(date +%s%N)"\nprintf "%s\\0" "$@" > "$call"\n'
            f'if [[ " $* " == *" --filename - "* ]]; then cat > "$call.stdin"; fi\n'
        )
        program.chmod(0o755)

    def run(line: str) -> list[tuple[list[str], str]]:
        path = f"{programs}{os.pathsep}{os.environ['PATH']}"
        result = subprocess.run(
            ["bash", "-euc", line],
            env={"PATH": path, "HOME": "/somewhere", "LC_ALL": "C.UTF-8"},
            capture_output=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        assert (result.returncode, result.stderr) == (0, b""), result.stderr.decode()
        calls_seen = []
        for call in sorted(path for path in calls.iterdir() if not path.suffix):
            stdin = call.with_suffix(".stdin")
            text = stdin.read_text(encoding="utf-8") if stdin.exists() else ""
            calls_seen.append((call.read_bytes().decode("utf-8").split("\0")[:-1], text))
            call.unlink()
        return calls_seen

    return run


def list_tasks(report: Json) -> Iterator[Json]:
    assert report["error"] == ""
    for plan in report["plans"].values():
        yield from plan["tasks"]


def option_values(found: list[str], prefix: str) -> list[str]:
    """Values of an option."""
    return [word.removeprefix(prefix) for word in found if word.startswith(prefix)]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
def test_podman_command_matches_the_kubelet(
    scenario: Scenario, create_scenario: Callable[[Scenario], Json], record_calls: Record
) -> None:
    for task in list_tasks(create_scenario(scenario)):
        hand = task["by_hand"]
        container = hand["pod"]["spec"]["containers"][0]
        ((arguments, _),) = record_calls(hand["podman"])
        image_index = arguments.index(container["image"])
        options, program = arguments[1:image_index], arguments[image_index + 1 :]
        plain = {"env": [one for one in container["env"] if "value" in one]}
        variables = expand_environment(plain)
        assert arguments[0] == "run"
        assert program == [expand_variables(word, variables) for word in (*container["command"], *container["args"])]
        given = dict(text.partition("=")[::2] for text in option_values(options, "--env="))
        assert {name: value for name, value in given.items() if name in variables} == variables
        assert set(given) == {one["name"] for one in container["env"]}
        nodes = [word.removeprefix("--node=") for word in program if word.startswith("--node=")]
        assert nodes == task["nodes"]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
def test_kubectl_commands_create_log_and_delete_the_pod(
    scenario: Scenario, create_scenario: Callable[[Scenario], Json], record_calls: Record
) -> None:
    for task in list_tasks(create_scenario(scenario)):
        hand = task["by_hand"]
        calls = record_calls("\n".join(hand["kubectl"]))
        name, namespace = (hand["pod"]["metadata"][key] for key in ("name", "namespace"))
        assert [arguments[:3] for arguments, _ in calls] == [
            ["--namespace", namespace, verb] for verb in ("apply", "logs", "get", "delete")
        ]
        assert all(name in arguments for arguments, _ in calls[1:])
        assert yaml.safe_load(calls[0][1]) == hand["pod"]


def test_cluster_only_resources_are_replaced_or_noted(
    create_scenario: Callable[[Scenario], Json], record_calls: Record
) -> None:
    (task,) = list_tasks(create_scenario(BY_NAME["by-hand"]))
    hand = task["by_hand"]
    ((arguments, _),) = record_calls(hand["podman"])
    assert option_values(arguments, "--volume=") == ["./data:/app/data", "./fixed tables:/app/fixed tables:ro"]
    tmpfs = {text.partition(":")[0] for text in option_values(arguments, "--tmpfs=")}
    assert tmpfs == {"/tmp", "/home/kedro", "/cache"}  # noqa: S108
    assert "--env=DB_PASSWORD" in arguments, "a secret is named, never written"
    assert {"--read-only", "--user=1000:0", "--cap-drop=ALL"} <= set(arguments)
    notes = "\n".join(hand["notes"])
    for missing in (
        "build-image",
        "'db'",
        "'more'",
        "credentials_from_secret.yml",
        "/mnt/reference",
        "/etc/x",
        "RENDERED",
    ):
        assert missing in notes


def test_manifest_reads_the_same_in_yaml_1_1_and_1_2() -> None:
    """Beside PyYAML: each text that is not quoted is one for every reader (YAML 1.1, 1.2, Go's, which knows 1e3 and 0o7)."""
    odd = [
        "1e3",
        "0o17",
        "0x1F",
        "1_000",
        "12:30:45",
        "off",
        "Y",
        "~",
        "null",
        "",
        " a",
        "a: b",
        "- a",
        "2026-01-01",
        ".inf",
    ]
    lines = to_yaml({"odd": odd}).splitlines()[1:]
    assert [json.loads(line.removeprefix("- ")) for line in lines] == odd
