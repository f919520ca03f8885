"""Checks of the environment: what the project takes from this machine and a pod may not have."""

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

# What our pods set, and what every container has.
_ALWAYS_SET = frozenset({"HOME", "HOSTNAME", "PATH", "DO_NOT_TRACK", "KEDRO_DISABLE_TELEMETRY", "PYTHONUNBUFFERED"})
_KEDRO_SESSIONS = frozenset({"KedroSession", "KedroServiceSession"})
# A line that reads more variables than these takes the whole environment, for a child process or to look for some.
_MAX_READS_PER_LINE = 3


@rule(
    "env-registry",
    "warning",
    title=(
        "An environment variable that is set here, that the project's code reads while it is imported, and "
        "that pods do not have."
    ),
    source="kedro-plugins#673, pipelines that come out different where they are deployed.",
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
                    f"reads the environment variable {variable.name!r} while the project is loaded; it is set here and "
                    f"{'no pod has it' if len(without) == len(tasks) else f'the pod of task {without[0]!r} does not have it'}, "
                    "so that pipelines may come out different there."
                )
                help_text = "Give it to the pods (`env` of a rule, `build.env`), or take the choice from parameters or the configuration."
                yield Location(file=variable.file, line=variable.line), message, help_text
                break


def _has_variable(settings: Mapping[str, Any], context: CheckContext, variable: VariableRead) -> bool:
    if variable.name in _ALWAYS_SET or variable.name in context.settings.build.env or settings.get("envFrom"):
        return True
    return any(entry["name"] == variable.name for entry in settings.get("env") or ())


@rule(
    "session-class",
    "warning",
    title="A session class of the project's own, which pods do not use.",
    source=(
        "kedro-mlflow#579 and #44, sessions of a project's own in pods; only KedroServiceSession takes a run's own id."
    ),
)
def find_custom_session_class(context: CheckContext) -> Iterator[RuleFinding]:
    name = context.project.session_class
    module, _, plain = name.rpartition(".")
    if not (plain in _KEDRO_SESSIONS and module.startswith("kedro.")):
        message = f"is {name}; pods run Kedro's own KedroServiceSession, so what the class adds does not happen there."
        yield Location(subject="settings.SESSION_CLASS"), message, "Move what it does into hooks, or use runner: kedro."
