"""The console script: the commands of `kedro k8s-airflow`, with nothing but results on standard output."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest
from click.testing import CliRunner

from kedro_k8s_airflow import __version__, cli
from tests.support import workspace
from tests.support.kedro_server import clean_env

if TYPE_CHECKING:
    from collections.abc import Mapping

SCRIPT = (str(Path(sys.executable).with_name("kedro-k8s-airflow")),)
MODULE = (sys.executable, "-m", "kedro_k8s_airflow")
KEDRO = (sys.executable, "-m", "kedro", "k8s-airflow")
PLUGINS = ("kedro_airflow", "kedro_docker", "kedro_viz")
DOCUMENTS = (
    ("check", "--format", "json"),
    ("plan", "--format", "json"),
    ("explain", "a", "--format", "json"),
)
OUTSIDE = (("--help",), ("-h",), ("--version",), ("check", "--help"), ("schema",), ("info",))
LOUD_SETTINGS = """
import atexit, logging, os, subprocess, sys

print("printed by settings")
atexit.register(print, "printed at exit")
sys.__stdout__.write("written to sys.__stdout__\\n")
os.write(1, b"written to the descriptor\\n")
subprocess.run([sys.executable, "-c", "print('printed by a child process')"])
logging.getLogger("project").addHandler(logging.StreamHandler(sys.stdout))
logging.getLogger("project").warning("logged by settings")
"""
NOISE = (
    "printed by settings",
    "printed at exit",
    "written to sys.__stdout__",
    "written to the descriptor",
    "printed by a child process",
    "logged by settings",
)
# A logging configuration as older Kedro starters have it.
LOGGING = """
version: 1
disable_existing_loggers: false
handlers:
  console: {class: logging.StreamHandler, stream: "ext://sys.stdout"}
loggers:
  kedro: {level: INFO}
root: {handlers: [console]}
"""


def run(
    command: tuple[str, ...], *arguments: str, cwd: Path, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command in a process of its own."""
    return subprocess.run(
        [*command, *arguments],
        cwd=cwd,
        env={**clean_env(), **(env or {})},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that no test changes."""
    return workspace.make_publish_project(tmp_path_factory.mktemp("cli") / "project")


@pytest.fixture(scope="module")
def quiet_kedro(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment in which Kedro's own command line logs to standard error."""
    file = tmp_path_factory.mktemp("logging") / "logging.yml"
    file.write_text(LOGGING.replace("sys.stdout", "sys.stderr"))
    return {"KEDRO_LOGGING_CONFIG": str(file)}


@pytest.fixture
def plugins(tmp_path: Path) -> dict[str, str]:
    """An environment with plugins of Kedro that print when they are imported."""
    site = tmp_path / "site"
    for name in PLUGINS:
        (site / name).mkdir(parents=True)
        (site / name / "__init__.py").write_text(
            f"import click\n\nprint('{name} is imported')\n\n\n@click.group()\ndef commands():\n    pass\n"
        )
        info = site / f"{name}-99.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 99\n")
        (info / "entry_points.txt").write_text(f"[kedro.project_commands]\n{name} = {name}:commands\n")
    return {"PYTHONPATH": str(site)}


@pytest.mark.parametrize("arguments", DOCUMENTS, ids=lambda arguments: arguments[0])
@pytest.mark.parametrize("command", [SCRIPT, MODULE], ids=["script", "module"])
def test_stdout_is_the_document_in_a_subfolder_of_the_project(
    command: tuple[str, ...], arguments: tuple[str, ...], project: Path
) -> None:
    result = run(command, *arguments, cwd=project / "conf" / "base")
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        *((arguments, 0) for arguments in DOCUMENTS),
        (("plan", "--format", "mermaid"), 0),
        (("create", "--diff"), 0),
        (("create", "--check"), 1),
        (("explain", "nosuch"), 1),
        (("plan", "--params", "a=1"), 0),
        (("plan", "--params", "a"), 2),
        (("check", "--env", "nosuch", "--format", "json"), 2),
        (("check", "--all", "--pipeline", "side"), 2),
        (("nosuch",), 2),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else str(value),
)
def test_results_and_exit_codes_are_those_of_the_kedro_commands(
    arguments: tuple[str, ...], code: int, project: Path, quiet_kedro: dict[str, str]
) -> None:
    ours = run(SCRIPT, *arguments, cwd=project)
    theirs = run(KEDRO, *arguments, cwd=project, env=quiet_kedro)
    assert (ours.returncode, ours.stdout) == (theirs.returncode, theirs.stdout)
    assert ours.returncode == code


def test_what_the_project_prints_goes_to_stderr(tmp_path: Path) -> None:
    project = workspace.make_publish_project(tmp_path / "project")
    package = project / "src" / "project"
    settings, registry = package / "settings.py", package / "pipeline_registry.py"
    settings.write_text(LOUD_SETTINGS + settings.read_text())
    registry.write_text("print('printed by the registry')\n" + registry.read_text())
    (project / "conf" / "logging.yml").write_text(LOGGING)
    result = run(SCRIPT, "check", "--format", "json", cwd=project)
    codes = {finding["code"] for finding in json.loads(result.stdout)["findings"]}
    assert "registry-prints" in codes
    assert [
        text for text in (*NOISE, "printed by the registry", "as logging configuration") if text not in result.stderr
    ] == []


def test_no_other_plugin_is_imported(project: Path, plugins: dict[str, str]) -> None:
    theirs = run(KEDRO, "check", "--format", "json", cwd=project, env=plugins)
    assert all(f"{name} is imported" in theirs.stdout for name in PLUGINS)
    ours = run((sys.executable, "-X", "importtime", *MODULE[1:]), "check", cwd=project, env=plugins)
    imported = {line.rpartition("|")[2].strip() for line in ours.stderr.splitlines() if line.startswith("import time:")}
    assert "kedro.framework.startup" in imported
    packages = {name.partition(".")[0] for name in imported}
    assert packages & {*PLUGINS, "kedro_telemetry"} == set()
    assert "kedro.framework.cli" not in imported
    assert ours.returncode == 0


def test_outside_a_project_there_is_one_message(tmp_path: Path) -> None:
    result = run(SCRIPT, "check", cwd=tmp_path)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("Error: not inside a Kedro project")
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize("arguments", OUTSIDE, ids=" ".join)
def test_what_needs_no_project_works_outside_one(arguments: tuple[str, ...], tmp_path: Path) -> None:
    result = run(SCRIPT, *arguments, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert result.stdout


def test_the_version_is_that_of_the_plugin(tmp_path: Path) -> None:
    assert run(SCRIPT, "--version", cwd=tmp_path).stdout == f"kedro-k8s-airflow, version {__version__}\n"


@pytest.mark.parametrize("broken", ['kedro_init_version = "0.19.0"', "package_name = "], ids=["version", "syntax"])
def test_a_project_that_kedro_cannot_open_is_reported_without_a_traceback(broken: str, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(f'[tool.kedro]\npackage_name = "x"\nproject_name = "x"\n{broken}\n')
    result = run(SCRIPT, "check", cwd=tmp_path)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.splitlines()[-1].startswith("Error: Kedro cannot open the project")
    assert "Traceback" not in result.stderr


def test_a_reader_that_closes_the_pipe_is_no_crash(project: Path) -> None:
    process = subprocess.Popen(
        [*SCRIPT, "plan", "--format", "json"],
        cwd=project,
        env=clean_env(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    errors = process.stderr.read()
    process.stderr.close()
    assert process.wait(60) == 1
    assert "Traceback" not in errors
    assert "BrokenPipeError" not in errors


def test_it_runs_without_standard_output(project: Path) -> None:
    command = " ".join([*SCRIPT, "check", ">&-"])
    result = run(("sh", "-c", command), cwd=project)
    assert result.returncode == 0, result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize(
    ("command", "arguments", "code"),
    [
        (SCRIPT, ("plan", "--format", "json"), 1),  # printed when the project is left
        (SCRIPT, ("check",), 2),
        (SCRIPT, ("info",), 1),
        (SCRIPT, ("check", "--help"), 1),
        (KEDRO, ("explain", "a"), 1),
        (KEDRO, ("--version",), 1),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else str(value),
)
def test_a_full_standard_output_is_one_message(
    command: tuple[str, ...], arguments: tuple[str, ...], code: int, project: Path, quiet_kedro: dict[str, str]
) -> None:
    result = run(("sh", "-c", '"$@" > /dev/full', "sh", *command), *arguments, cwd=project, env=quiet_kedro)
    assert result.returncode == code, result.stderr
    assert result.stderr.splitlines()[-1] == "Error: standard output: No space left on device"
    assert "Traceback" not in result.stderr
    assert "Exception ignored" not in result.stderr


@pytest.mark.parametrize(
    ("arguments", "name"),
    [(("plan", "--format", "json"), "/dev/stdout"), (("check", "--format", "json"), "-"), (("schema",), "-")],
    ids=lambda value: value[0] if isinstance(value, tuple) else None,
)
def test_an_output_named_standard_output_is_the_document(arguments: tuple[str, ...], name: str, project: Path) -> None:
    result = run(SCRIPT, *arguments, "--output", name, cwd=project)
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)
    assert not (project / "-").exists()


@pytest.mark.parametrize(
    "subject",
    ["A_b:x\ny", "airflow", "a:b:c", ":x", "a:", "Airflow:x", "a.b:x", "a:X", "a: x", "a:-x", f"{'a' * 64}:x", "a:b\n"],
)
def test_a_subject_that_kubernetes_refuses_is_a_usage_error(subject: str) -> None:
    command = cli.k8s_airflow.commands["manifests"]
    result = CliRunner().invoke(command, ["--subject", "airflow:worker.a-1", "--subject", subject])
    assert (result.exit_code, "--subject" in result.output) == (2, True)
    assert "Traceback" not in result.output


def help_of(*arguments: str) -> str:
    return CliRunner().invoke(cli.commands, ["k8s-airflow", *arguments, "--help"], terminal_width=80).output


def test_the_list_of_commands_is_not_cut_off() -> None:
    lines = help_of().splitlines()
    listed = lines[lines.index("Commands:") + 1 :]
    assert [line.split()[0] for line in listed] == sorted(cli.k8s_airflow.commands)  # one line for each, none wrapped
    assert [line for line in lines if line.endswith("...") or len(line) > 80] == [
        "Usage: Kubernetes on Airflow k8s-airflow [OPTIONS] COMMAND [ARGS]..."
    ]


def test_kedro_lists_the_commands_without_cutting_them_off(project: Path, quiet_kedro: dict[str, str]) -> None:
    lines = run(KEDRO, "--help", cwd=project, env={**quiet_kedro, "COLUMNS": "80"}).stdout.splitlines()
    commands = lines[lines.index("Commands:") + 1 :]
    assert len(commands) == len(cli.k8s_airflow.commands)
    assert [line for line in commands if line.endswith("...")] == []


@pytest.mark.parametrize("name", sorted(cli.k8s_airflow.commands))
def test_every_command_and_option_has_a_help(name: str) -> None:
    command = cli.k8s_airflow.commands[name]
    assert command.short_help
    assert command.help
    options = [option for option in command.params if isinstance(option, click.Option)]
    assert [option.name for option in options if not option.help or not option.help.endswith(".")] == []
    assert max(map(len, help_of(name).splitlines())) <= 80
