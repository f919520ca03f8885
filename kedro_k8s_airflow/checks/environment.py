"""Checks of the environment: what the project uses on this machine but a pod may not have."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from kedro_k8s_airflow.checks.registry import rule
from kedro_k8s_airflow.locations import Location

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from kedro_k8s_airflow.checks.registry import CheckContext, RuleFinding
    from kedro_k8s_airflow.project.environment_reads import VariableRead

# What generated pods set, and what every container has.
_ALWAYS_SET = frozenset({"HOME", "HOSTNAME", "PATH", "DO_NOT_TRACK", "KEDRO_DISABLE_TELEMETRY", "PYTHONUNBUFFERED"})
_KEDRO_SESSIONS = frozenset({"KedroSession", "KedroServiceSession"})
# A line that reads more variables than these copies or searches the whole environment.
_MAX_READS_PER_LINE = 3


@rule(
    "env-registry",
    "warning",
    title="An environment variable that is set here and read when the project is imported, but is not set in pods.",
    source="kedro-plugins#673, pipelines that differ once deployed.",
)
def find_missing_variables(context: CheckContext) -> Iterator[RuleFinding]:
    lines = Counter((variable.file, variable.line) for variable in context.project.variables)
    for variable in context.project.variables:
        if lines[variable.file, variable.line] > _MAX_READS_PER_LINE:
            continue
        for plan in context.plans:
            tasks = [task for task in plan.tasks if task.nodes]
            without = [task.id for task in tasks if not _has_variable(task.settings, context, variable)]
            if without:
                message = (
                    f"reads the environment variable {variable.name!r} when the project is loaded. It is set here but not "
                    f"{'in any pod' if len(without) == len(tasks) else f'in the pod of task {without[0]!r}'}, "
                    "so pipelines may differ there."
                )
                help_text = "Set it in the pods (`env` of a rule, or `build.env`), or use a parameter instead."
                yield Location(file=variable.file, line=variable.line), message, help_text
                break


def _has_variable(settings: Mapping[str, Any], context: CheckContext, variable: VariableRead) -> bool:
    if variable.name in _ALWAYS_SET or variable.name in context.settings.build.env or settings.get("envFrom"):
        return True
    return any(entry["name"] == variable.name for entry in settings.get("env") or ())


@rule(
    "session-class",
    "warning",
    title="A custom session class, which pods do not use.",
    source="kedro-mlflow#579 and #44, custom sessions in pods. Only KedroServiceSession accepts the id of a run.",
)
def find_custom_session_class(context: CheckContext) -> Iterator[RuleFinding]:
    name = context.project.session_class
    module, _, plain = name.rpartition(".")
    if not (plain in _KEDRO_SESSIONS and module.startswith("kedro.")):
        message = f"is {name}, but pods use Kedro's KedroServiceSession, so what this class adds does not run there."
        yield Location(subject="settings.SESSION_CLASS"), message, "Move its behaviour to hooks, or set runner: kedro."
