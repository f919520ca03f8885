"""Checks of runs: what runs that overlap do to each other's data, and what a repeated try does to that of the first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kedro_k8s_airflow.checks.concurrency import is_database, unwrapped_entries
from kedro_k8s_airflow.checks.registry import rule
from kedro_k8s_airflow.findings import Refused
from kedro_k8s_airflow.locations import Location
from kedro_k8s_airflow.plan.graph import base_name
from kedro_k8s_airflow.plan.parameters import flatten_parameters, nest_parameters
from kedro_k8s_airflow.project.catalog import find_append_option
from kedro_k8s_airflow.project.reader import reread_catalog
from kedro_k8s_airflow.text import quote_names

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from kedro_k8s_airflow.checks.registry import CheckContext, RuleFinding
    from kedro_k8s_airflow.plan.builder import DagDraft
    from kedro_k8s_airflow.plan.graph import GraphDataset
    from kedro_k8s_airflow.plan.model import Plan
    from kedro_k8s_airflow.project.model import Project

_OVERLAP_HELP = (
    "Set max_active_runs: 1. Or give every run data of its own: `versioned: true` in the catalog entry, or a parameter of the "
    "run (dag.macros) in its path, such as data/${runtime_params:run_date}/x.csv."
)
# What an entry holds beside the place of its data.
_ARGUMENT_KEYS = ("load_args", "save_args", "metadata", "credentials")
# A value that no other run would give to a parameter.
_SAMPLE_VALUE = "kedro-k8s-airflow-sample-run"


@rule(
    "overlap-passed",
    "error",
    title="A file through which tasks pass data, and which runs that overlap (`max_active_runs`) share.",
    source="Three runs at the same time, which all succeeded with the data of one of them.",
)
def find_shared_by_runs(context: CheckContext) -> Iterator[RuleFinding]:
    for plan, datasets in _datasets_of_overlapping_runs(context):
        passed = {crossing.dataset for crossing in plan.crossings}
        names = [dataset.name for dataset, is_file in datasets if is_file and dataset.name in passed]
        if names:
            message = (
                f"lets {plan.dag.max_active_runs} runs of DAG {plan.dag_id!r} overlap, but all of them pass data through the same "
                f"files: {quote_names(names)}. A task may load what another run has saved."
            )
            yield context.dag_location(plan, "max_active_runs"), message, _OVERLAP_HELP


@rule(
    "overlap-saved",
    "warning",
    title="A result that runs which overlap (`max_active_runs`) save to the same place.",
    source="Three runs at the same time, of which one result was left.",
)
def find_saved_by_runs(context: CheckContext) -> Iterator[RuleFinding]:
    for plan, datasets in _datasets_of_overlapping_runs(context):
        passed = {crossing.dataset for crossing in plan.crossings}
        names = [dataset.name for dataset, is_file in datasets if not is_file or dataset.name not in passed]
        if names:
            message = (
                f"lets {plan.dag.max_active_runs} runs of DAG {plan.dag_id!r} overlap, but all of them save to the same place: "
                f"{quote_names(names)}. The run that saves last replaces the data of the others."
            )
            yield context.dag_location(plan, "max_active_runs"), message, _OVERLAP_HELP


def _datasets_of_overlapping_runs(context: CheckContext) -> Iterator[tuple[Plan, list[tuple[GraphDataset, bool]]]]:
    """Yield each plan whose runs may overlap, with what they save to the same place, and whether that is a file."""
    for draft in context.drafts:
        if draft.plan is None or draft.plan.dag.max_active_runs == 1:
            continue
        places, other_places = _find_places(draft.entries), _find_places_of_other_run(draft, context.project)
        entries = unwrapped_entries(draft)
        datasets = []
        for name, dataset in draft.graph.datasets.items():
            entry = entries.get(name, {})
            is_shared = dataset.producer is not None and dataset.reach.kind == "shared" and not dataset.reach.versioned
            if not is_shared or places.get(name) != other_places.get(name):
                continue
            appends = not dataset.consumers and find_append_option(entry) is not None
            is_file = not is_database(entry) and any(key in entry for key in ("filepath", "path", "filename"))
            if (is_file or dataset.reach.protocol not in (None, "http", "https")) and not appends:
                datasets.append((dataset, is_file))
        yield draft.plan, datasets


def _find_places(entries: Mapping[str, Mapping[str, Any]]) -> dict[str, list[object]]:
    """Return what the entries of each dataset hold without the arguments for loading and saving."""
    places: dict[str, list[object]] = {}
    for form in sorted(entries):
        place = {key: value for key, value in entries[form].items() if key not in _ARGUMENT_KEYS}
        places.setdefault(base_name(form), []).append(place)
    return places


def _find_places_of_other_run(draft: DagDraft, project: Project) -> dict[str, list[object]]:
    """Return the same with other values of the parameters that a run decides; nothing if the catalog refuses such values."""
    macros = draft.plan.macros if draft.plan is not None else {}
    if not macros:
        return _find_places(draft.entries)
    params = {**flatten_parameters(project.runtime_params), **dict.fromkeys(macros, _SAMPLE_VALUE)}
    try:
        catalog = reread_catalog(project, nest_parameters(params))
        return _find_places(catalog.resolve_entries(sorted(draft.entries)))
    except Refused:
        return {}


@rule(
    "retry-append",
    "warning",
    title="A dataset that is appended to by a task with retries. A second try writes the same rows once more.",
    source="A table with `if_exists: append` and three retries, which held every row of a failed try twice.",
)
def find_repeated_appends(context: CheckContext) -> Iterator[RuleFinding]:
    for draft in context.drafts:
        if draft.plan is None:
            continue
        outputs = {kedro_node.name: kedro_node.outputs for kedro_node in draft.graph.nodes}
        for task in draft.plan.tasks:
            retries = task.settings.get("retries", draft.plan.dag.retries)
            saved = [(name, output) for name in task.nodes for output in outputs[name]] if retries else []
            for node, output in saved:
                option = find_append_option(draft.entries.get(output, {}))
                reach = draft.graph.datasets[base_name(output)].reach
                if option is not None and reach.kind in ("shared", "unknown") and not reach.versioned:
                    message = (
                        f"is appended to by node {node!r} ({option}), and its task {task.id!r} has {_count_retries(retries)}. "
                        "A try that fails after saving leaves its rows, and the next one writes them again."
                    )
                    help_text = (
                        f"Set retries: 0 for {'the node' if len(task.nodes) == 1 else 'all nodes of the task'} in a rule under "
                        "`tasks`. Or replace the data, in a table, file or partition for each run."
                    )
                    yield Location(dataset=output), message, help_text


def _count_retries(retries: int) -> str:
    return "1 retry" if retries == 1 else f"{retries:,} retries"
