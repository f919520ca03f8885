"""Compare what this package and kedro-airflow make of the scenarios, in real Airflow 3; write docs/how-it-works/comparison.md.

    KKA_PYTHON_AIRFLOW_3=... python tools/compare.py [--only NAME...] [--out FILE]

Runs in the tests' Kedro environment, which holds both. Both get the same project; their DAG files are loaded by the same
probe. What is right is for Kedro to say (`Pipeline.node_dependencies`), see tests/support/kedro_oracle.py.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.scenarios import ALL, Scenario, Works, data, grouping, layouts, make_project, names, registries  # noqa: E402  # noqa: E402
from tests.support.kedro_server import CommandResult, KedroServer, clean_env  # noqa: E402
from tests.support.kubelet import expand_environment, expand_variables  # noqa: E402
from tests.support.paths import AIRFLOW_PROBE  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

THIS_PLUGIN = "kedro-k8s-airflow"
KEDRO_AIRFLOW_VARIANTS = {
    "kedro-airflow": (),
    "kedro-airflow -g memory": ("--group-by", "memory"),
    "kedro-airflow -g namespace": ("--group-by", "namespace"),
}
# Scenarios that are about our settings file alone: to kedro-airflow they are the plain project once more.
ABOUT_OUR_SETTINGS = re.compile(
    r"settings|foreign|own-dockerfile|output-option|no-settings|env-(null|overlay|unreadable|without)|all-and-one|unknown-option"
    r"|dag-pipeline-misspelt|discard-|in-image-|volume-over|volumes-on|reach-matches|unknown-answered|-declined|images-"
    r"|resources-|named-group|by-none|by-chain|pod-report-(discarded|fused)|pod-input-in-image|pod-between-refused|parameter-given|catalog-runtime-params-given"
)
# What a DAG file of kedro-airflow imports from Kedro; at load nothing of it is called.
STUB = {
    "kedro/__init__.py": "",
    "kedro/framework/__init__.py": "",
    "kedro/framework/session.py": "KedroSession = None\n",
    "kedro/framework/project.py": "configure_project = None\n",
}


@dataclass(frozen=True)
class Verdict:
    """What came out for one tool and scenario.

    Attributes:
        short: for the table.
        kind: right, refused (in words), crashed (a traceback), unloadable, wrong (order, nodes or ids) or lost (data).
    """

    text: str
    kind: str


def select_scenarios() -> list[Scenario]:
    """The scenarios that say something about both."""
    of_both = {id(scenario) for module in (names, layouts, registries, data, grouping) for scenario in module.SCENARIOS}
    return [one for one in ALL if id(one) in of_both and not ABOUT_OUR_SETTINGS.search(one.name)]


def main() -> int:
    """Compare and write; 0 when that worked."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", nargs="*", default=[], metavar="NAME", help="only these scenarios; prints the table")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "how-it-works" / "comparison.md")
    arguments = parser.parse_args()
    airflow = os.environ.get("KKA_PYTHON_AIRFLOW_3")
    if not airflow:
        sys.stderr.write("KKA_PYTHON_AIRFLOW_3 is not set: the Python of an environment with Airflow 3\n")
        return 2
    scenarios = [scenario for scenario in select_scenarios() if not arguments.only or scenario.name in arguments.only]
    rows, report = compare_tools(scenarios, Path(airflow))
    text = render_page(rows, report)
    if arguments.only:
        sys.stdout.write(text)
    else:
        arguments.out.parent.mkdir(exist_ok=True)
        arguments.out.write_text(text, encoding="utf-8")
    return 0


def compare_tools(
    scenarios: Iterable[Scenario], airflow: Path
) -> tuple[list[tuple[Scenario, dict[str, Verdict]]], dict[str, Any]]:
    """The verdicts by scenario and tool, and what the probe says of Airflow."""
    with tempfile.TemporaryDirectory(prefix="comparison-") as temporary:
        folder = Path(temporary)
        for name, text in STUB.items():
            path = folder / "stub" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        kedro = KedroServer(folder / "forge")
        known_warnings = usual_warnings(kedro, folder)
        results_by_scenario = [run_tools(kedro, scenario, folder / "projects") for scenario in scenarios]
        kedro.close()
        files = [file for results in results_by_scenario for result in results.values() for file in result["files"]]
        report = probe_files(airflow, files, folder)
        rows = [
            (scenario, {tool: judge_result(tool, result, report, known_warnings) for tool, result in results.items()})
            for scenario, results in zip(scenarios, results_by_scenario, strict=True)
        ]
        return rows, report


# -- making -----------------------------------------------------------------------------------------------------------


def run_tools(kedro: KedroServer, scenario: Scenario, folder: Path) -> dict[str, dict[str, Any]]:
    """Both tools on a project of their own each: outcome, DAG files, and Kedro's truth."""
    results = {}
    for number, tool in enumerate((THIS_PLUGIN, *KEDRO_AIRFLOW_VARIANTS)):
        project = make_project(scenario, folder / scenario.name / str(number))
        if tool == THIS_PLUGIN:
            truth = kedro.run_script(
                str(ROOT / "tests" / "support" / "kedro_oracle.py"), *_truth_options(scenario), cwd=project
            )
            command_result = kedro.run_command("k8s-airflow", "create", *scenario.options, cwd=project)
            files = sorted((project / "dags").glob("*.py")) if not command_result.code else []
        else:
            command_result = kedro.run_command(
                "airflow", "create", *KEDRO_AIRFLOW_VARIANTS[tool], *_their_options(scenario), cwd=project
            )
            files = sorted((project / "airflow_dags").glob("*.py")) if not command_result.code else []
        results[tool] = {
            "outcome": command_result,
            "files": [str(file) for file in files],
            "truth": json.loads(truth.out) if not truth.code else None,
            "scenario": scenario,
        }
    return results


def _options(scenario: Scenario) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    given = iter(scenario.options)
    for option in given:
        found.setdefault(option, []).append("" if option in ("--all", "--force") else next(given))
    return found


def _truth_options(scenario: Scenario) -> list[str]:
    options = _options(scenario)
    return [options.get("--env", [""])[0], options.get("--conf-source", [""])[0]]


def _their_options(scenario: Scenario) -> list[str]:
    """Our options as kedro-airflow spells them; --params means something else there and is left out."""
    options = _options(scenario)
    expected = [*options.get("--pipeline", []), *options.get("-p", [])]
    result = ["--all"] if "--all" in options else ["--pipelines", ",".join(expected)] if expected else []
    for ours, theirs in (("--env", "--env"), ("--conf-source", "--conf-source")):
        result += [part for value in options.get(ours, []) for part in (theirs, value)]
    return result


def usual_warnings(kedro: KedroServer, folder: Path) -> set[str]:
    """The words that Kedro and kedro-airflow print for a project with nothing to complain of."""
    project = make_project(next(scenario for scenario in ALL if scenario.name == "plain"), folder / "noise")
    return set(_find_warnings(kedro.run_command("airflow", "create", cwd=project)))


def _find_warnings(result: CommandResult) -> Iterator[str]:
    """Lines and paragraphs that warn."""
    for paragraph in re.split(r"\n(?=\S|\[| {10,}(?:WARNING|INFO))", f"{result.out}\n{result.err}"):
        if re.search(r"\bWARNING\b|Warning:", paragraph) and not re.search(
            r"dataset\s+names\s+contain|'partial'", paragraph
        ):
            yield " ".join(re.sub(r"\[\d+/\d+/\d+ [\d:]+\]|\w+\.py:\d+", "", paragraph).split())


# -- judging ----------------------------------------------------------------------------------------------------------


def probe_files(airflow: Path, files: list[str], folder: Path) -> dict[str, Any]:
    """What Airflow says of all files."""
    out = folder / "probe.json"
    command = [airflow, AIRFLOW_PROBE, *files, "--out", out, "--home", folder / "home"]
    env = {**clean_env(), "PYTHONPATH": str(folder / "stub")}
    subprocess.run([str(part) for part in command], check=True, env=env)
    report: dict[str, Any] = json.loads(out.read_text(encoding="ascii"))
    return report


def judge_result(tool: str, result: dict[str, Any], report: dict[str, Any], usual: set[str]) -> Verdict:
    """What came out, by the first thing that is wrong."""
    outcome: CommandResult = result["outcome"]
    if outcome.code:
        if "Traceback (most recent call last)" in outcome.err + outcome.out:
            last = [line for line in outcome.err.splitlines() if line.strip() and not line.startswith(" ")]
            return Verdict(f"traceback: {_shorten((last or ['?'])[-1])}", "crashed")
        code = re.search(r"^error \[([a-z-]+)\]", outcome.err, re.MULTILINE)
        return Verdict(f"refuses ({code[1]})" if code else "refuses", "refused")
    says = "" if set(_find_warnings(outcome)) <= usual else "; warns"
    if tool == THIS_PLUGIN and re.search(r"^warning \[(?!image-)", outcome.err, re.MULTILINE):
        says = "; warns"
    problems = list(_find_problems(tool, result, report))
    if not problems:
        works = isinstance(result["scenario"].expect, Works)
        return Verdict(f"{'right' if works else 'writes a DAG'}{says}", "right")
    kind, short = problems[0]
    return Verdict(f"{short}{says}", kind)


def _find_problems(tool: str, result: dict[str, Any], report: dict[str, Any]) -> Iterator[tuple[str, str]]:
    files = {file: report["files"][file] for file in result["files"]}
    for found in files.values():
        broken = found.get("import_errors") or ([found["crash"]] if found.get("crash") else [])
        if broken:
            yield "unloadable", f"does not load: {_shorten(_error_line(broken[0]))}"
        if not found.get("dags") and not broken:
            yield "unloadable", "does not load: no DAG in the file"
    ids = Counter(dag_id for found in files.values() for dag_id in found.get("dags", {}))
    if ids and max(ids.values()) > 1:
        yield "wrong", f"{len(files)} files, one dag_id"
    if result["truth"] is None:
        return
    for file, found in files.items():
        for dag in found.get("dags", {}).values():
            nodes = _requested_nodes(tool, file, dag)
            truth = _match_pipeline(result["truth"], nodes, file)
            nodes = {task: _resolve_nodes(requested, truth) for task, requested in nodes.items()}
            yield from _find_dag_problems(dag, nodes, truth)


def _match_pipeline(truth: dict[str, Any], nodes: dict[str, list[str]], file: str) -> dict[str, Any]:
    """The pipeline that a file is of: the one with its nodes, else the one the file names, else the default."""
    same_nodes = [
        pipeline
        for pipeline in truth.values()
        if {node for requested in nodes.values() for node in _resolve_nodes(requested, pipeline)}
        == set(pipeline["nodes"])
    ]
    named_by_file = [pipeline for name, pipeline in truth.items() if name in Path(file).stem]
    return [*same_nodes, *named_by_file, *([truth["__default__"]] if "__default__" in truth else []), *truth.values()][
        0
    ]


def _find_dag_problems(
    dag: dict[str, Any], nodes: dict[str, list[str]], truth: dict[str, Any]
) -> Iterator[tuple[str, str]]:
    task_of = {node: task for task, members in nodes.items() for node in members}
    missing = set(truth["nodes"]) - set(task_of)
    if missing or set(task_of) - set(truth["nodes"]):
        yield "wrong", f"wrong names: {len(missing)} of {len(truth['nodes'])} nodes cannot be found at run time"
        return
    before: dict[str, set[str]] = {}
    for task in _sort_tasks(dag["tasks"]):
        above = dag["tasks"][task]["upstream"]
        before[task] = {*above, *(one for other in above for one in before[other])}
    lost = [
        (first, second)
        for second, parents in truth["nodes"].items()
        for first in parents
        if task_of[first] != task_of[second] and task_of[first] not in before[task_of[second]]
    ]
    if lost:
        yield "wrong", f"wrong order: {len(lost)} dependencies lost"
    across = [name for name, maker, readers in truth["local"] if any(task_of[one] != task_of[maker] for one in readers)]
    if across:
        yield "lost", f"data lost: {len(across)} datasets stay in another task"


def _sort_tasks(tasks: dict[str, Any]) -> list[str]:
    ordered: list[str] = []
    while len(ordered) < len(tasks):
        ordered += [task for task in tasks if task not in ordered and set(tasks[task]["upstream"]) <= set(ordered)]
    return ordered


def _requested_nodes(tool: str, file: str, dag: dict[str, Any]) -> dict[str, list[str]]:
    """What each task asks Kedro for at run time: nodes, or namespaces that end in a dot."""
    if tool == THIS_PLUGIN:
        return {name: list(_requested_by_plugin(task)) for name, task in dag["tasks"].items()}
    found = {}
    for function in ast.walk(ast.parse(Path(file).read_text(encoding="utf-8"))):
        if isinstance(function, ast.FunctionDef) and function.decorator_list:
            task_id = _keyword_value(function.decorator_list[0], "task_id")
            calls = [node for node in ast.walk(function) if isinstance(node, ast.Call)]
            if task_id is not None:
                found[task_id] = [
                    *(value for call in calls for value in _keyword_value(call, "node_names") or []),
                    *(f"{value}." for call in calls for value in _keyword_value(call, "namespaces") or []),
                ]
    return {task: found.get(task, []) for task in dag["tasks"]}


def _resolve_nodes(requested: list[str], truth: dict[str, Any]) -> list[str]:
    """The nodes of what is asked for; a name that Kedro does not know stays as it is."""
    members = []
    for name in requested:
        inside = [node for node in truth["nodes"] if name.endswith(".") and node.startswith(name)]
        members += inside or [name]
    return members


def _requested_by_plugin(task: dict[str, Any]) -> Iterator[str]:
    container = task["rendered_pod"]["spec"]["containers"][0]
    for argument in container["args"]:
        text = expand_variables(argument, expand_environment(container))
        if text.startswith("--node="):
            yield text.removeprefix("--node=")


def _keyword_value(call: ast.AST, name: str) -> Any:
    keywords = call.keywords if isinstance(call, ast.Call) else []
    return next((ast.literal_eval(keyword.value) for keyword in keywords if keyword.arg == name), None)


def _error_line(error: str) -> str:
    lines = [line for line in error.splitlines() if line.strip()]
    error_lines = [line for line in lines if re.match(r"\S*(Error|Exception|Cycle\w*)\b", line.strip())]
    return (error_lines or lines)[-1].strip()


def _shorten(text: str) -> str:
    text = (
        re.sub(r"^[\w.]+\.(?=\w+(?:Error|Exception))", "", " ".join(text.split())).replace("|", "/").replace("`", "'")
    )
    text = re.sub(r"/\S*/comparison-\w+", "...", text)  # a folder of its own in every run
    return text if len(text) <= 70 else f"{text[:67]}..."


# -- the page ---------------------------------------------------------------------------------------------------------


METHOD_NOTE = """\
## How it was made, and what it does not say

Each tool got a project of its own, made from the same data (`tests/scenarios/`), and was called by the command line:
`kedro k8s-airflow create`, `kedro airflow create`, and the latter with `--group-by memory` and `--group-by namespace`.
Options such as `--all` and `--env` were passed to both. Every file was loaded by Airflow's own DAG bag, alone in a folder.
The nodes of a task are those that the file would ask Kedro for at run time. The order is right when each dependency of
Kedro's `Pipeline.node_dependencies` lies inside a task or along the DAG's edges. Data is lost when one task makes a dataset
in memory, or on a local path outside `data/`, and another task loads it. It is also lost when a task other than the one that
loads a dataset confirms it. `data/` counts as a volume that all tasks see. Only the first problem of each file is shown;
*warns* means that the command printed more than for a plain project.

The authors of this package wrote the scenarios to test it, so they favour it. Odd names are more frequent in them than in
real projects. Scenarios about our own settings file were left out. The two tools do not have the same aim. kedro-airflow
runs nodes inside the Airflow worker, where tasks may share a disk. It leaves data in memory to its user, unless
`--group-by memory` is given. It also filters by tags and takes templates, which was not tested. Nothing was run: a DAG that
loads with the right order can still fail. For kedro-airflow an empty module stood in for Kedro when its files were loaded,
because nothing of it is called then. With `--group-by memory` kedro-airflow makes every dataset of the catalog:
{libraries} of its {crashed} tracebacks come from a library or class that is not installed here, such as `s3fs` and
SQLAlchemy. Most of those would not occur on a machine that has everything.

To make this page again: `make comparison`.
"""


def render_page(rows: list[tuple[Scenario, dict[str, Verdict]]], report: dict[str, Any]) -> str:
    """The page as Markdown."""
    runnable = [(scenario, found) for scenario, found in rows if isinstance(scenario.expect, Works)]
    not_runnable = [(scenario, found) for scenario, found in rows if not isinstance(scenario.expect, Works)]
    tools = (THIS_PLUGIN, *KEDRO_AIRFLOW_VARIANTS)
    crashed = [
        found["kedro-airflow -g memory"].text for _, found in rows if found["kedro-airflow -g memory"].kind == "crashed"
    ]
    libraries = [
        message for message in crashed if re.search("Hint: If you are trying to use|Failed to instantiate", message)
    ]
    versions = f"kedro-k8s-airflow {version('kedro-k8s-airflow')} and kedro-airflow {version('kedro-airflow')}"
    lines = [
        "# Comparison with kedro-airflow",
        "",
        "<!-- Written by tools/compare.py; do not edit. -->",
        "",
        f"{versions} on the test scenarios of this repository, with Kedro {version('kedro')};",
        f"their DAG files loaded by Airflow {report['airflow']}.",
        "",
        f"## {len(runnable)} projects that can run as tasks on separate machines",
        "",
        *_count_rows(runnable, tools, VERDICT_LABELS),
        "",
        f"## {len(not_runnable)} projects that cannot",
        "",
        "Pipelines that cannot be loaded, configuration that is not there, data that would not arrive or would be lost.",
        "",
        *_count_rows(not_runnable, tools, REFUSED_VERDICT_LABELS),
        "",
        "## Each scenario",
        "",
        f"| scenario | shows | {' | '.join(tools)} |",
        f"|---|---|{'---|' * len(tools)}",
        *(
            f"| {scenario.name} | {_escape_cell(_shorten(scenario.shows))} | {' | '.join(_escape_cell(found[tool].text) for tool in tools)} |"
            for scenario, found in rows
        ),
        "",
        METHOD_NOTE.format(libraries=len(libraries), crashed=len(crashed)),
    ]
    return "\n".join(lines)


VERDICT_LABELS = {
    "a DAG that loads, with the right nodes, order and data": ("right",),
    "refuses in words": ("refused",),
    "ends in a traceback": ("crashed",),
    "a DAG that Airflow cannot load": ("unloadable",),
    "a DAG with wrong nodes, order or ids": ("wrong",),
    "a DAG whose tasks look for data in vain": ("lost",),
}
REFUSED_VERDICT_LABELS = {
    "refuses in words": ("refused",),
    "ends in a traceback": ("crashed",),
    "writes a DAG all the same": ("right", "wrong", "lost"),
    "writes a DAG that Airflow cannot load": ("unloadable",),
}


def _count_rows(
    rows: list[tuple[Scenario, dict[str, Verdict]]], tools: Iterable[str], words: dict[str, tuple[str, ...]]
) -> list[str]:
    counts = {tool: Counter(found[tool].kind for _, found in rows) for tool in tools}
    return [
        f"| outcome | {' | '.join(counts)} |",
        f"|---|{'---|' * len(counts)}",
        *(
            f"| {label} | {' | '.join(str(sum(count[kind] for kind in kinds)) for count in counts.values())} |"
            for label, kinds in words.items()
        ),
    ]


def _escape_cell(text: str) -> str:
    return re.sub(r"([<>{}*_\\\[\]])", r"\\\1", text)


if __name__ == "__main__":
    sys.exit(main())
