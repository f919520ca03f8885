"""Checks of the environment: what the project uses on this machine but a pod may not have."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from kedro_k8s_airflow.checks.registry import rule
from kedro_k8s_airflow.files import is_generated
from kedro_k8s_airflow.image.spec import dockerfile_name, image_credentials, read_text_if_present
from kedro_k8s_airflow.locations import Location
from kedro_k8s_airflow.plan.graph import base_name
from kedro_k8s_airflow.project.config_problems import locate_key
from kedro_k8s_airflow.project.configuration import glob_config_files
from kedro_k8s_airflow.project.pod_environment import EVERY_POD
from kedro_k8s_airflow.text import count_of, quote_names

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from kedro_k8s_airflow.checks.registry import CheckContext, RuleFinding
    from kedro_k8s_airflow.plan.model import Task
    from kedro_k8s_airflow.project.environment_reads import VariableRead
    from kedro_k8s_airflow.project.pod_environment import ConfigVariable

_KEDRO_CONTEXT = "kedro.framework.context.context.KedroContext"
_KEDRO_SESSIONS = frozenset({"KedroSession", "KedroServiceSession"})
# A line that reads more variables than these copies or searches the whole environment.
_MAX_READS_PER_LINE = 3


@rule(
    "env-registry",
    "warning",
    title="An environment variable that is read when the project is imported, and whose value in pods is not the one here.",
    source="kedro-plugins#673, pipelines that differ once deployed.",
)
def find_missing_variables(context: CheckContext) -> Iterator[RuleFinding]:
    lines = Counter((variable.file, variable.line) for variable in context.project.variables)
    for variable in context.project.variables:
        if lines[variable.file, variable.line] > _MAX_READS_PER_LINE or variable.name in EVERY_POD:
            continue
        for plan in context.plans:
            tasks = [task for task in plan.tasks if task.nodes]
            differing = [(task.id, problem) for task in tasks if (problem := _difference(task, context, variable))]
            if differing:
                first, problem = differing[0]
                same = [task for task, other in differing if other == problem]
                pods = "any pod" if len(same) == len(tasks) else f"the pod of task {first!r}"
                message = (
                    f"reads the environment variable {variable.name!r} when the project is loaded. "
                    f"{problem.format(pods)}, so pipelines may differ there."
                )
                help_text = (
                    "Give it the same value in the pods (`env` of a rule, or `build.env`), or use a parameter instead."
                )
                yield Location(file=variable.file, line=variable.line), message, help_text
                break


def _difference(task: Task, context: CheckContext, variable: VariableRead) -> str | None:
    """Return how the value of a variable in the pod of a task differs from the one here; `{}` stands for the pod."""
    if not _has_variable(task, context, variable.name):
        return None if variable.value is None else "It is set here but not in {}"
    literal = _literal_of(task, context, variable.name)
    if variable.value is None:
        return None if literal is None else "It is not set here, as it is in {}"
    return None if literal in (None, variable.value) else "It has another value here than in {}"


@rule(
    "env-config",
    "error",
    title="An environment variable that the configuration needs and that a pod does not have.",
    source="kedro-plugins#673. Kedro resolves the whole configuration when a pod starts, and fails at such a variable.",
)
def find_missing_config_variables(context: CheckContext) -> Iterator[RuleFinding]:
    help_text = "Set it in the pods: `env` or `envFrom` of tasks.default, or `build.env` if it is not a secret."
    for name, location in _needed_variables(context).items():
        for plan in context.plans:
            tasks = [task for task in plan.tasks if task.nodes]
            without = [task.id for task in tasks if not _has_variable(task, context, name)]
            if without:
                owner = "no pod has" if len(without) == len(tasks) else f"the pod of task {without[0]!r} does not have"
                message = f"needs the environment variable {name!r}, which {owner}, so Kedro cannot start there."
                yield location, message, help_text
                break


def _needed_variables(context: CheckContext) -> dict[str, Location]:
    """Return the variables that the configuration in the image cannot be read without, and where each is read."""
    project = context.project
    needed = {
        variable.name: _location_of_reader(context, variable)
        for variable in project.config_variables
        if variable.required
    }
    in_image = set(image_credentials(project, context.settings))
    for file in project.credentials_files:
        if file.path in in_image and file.env in (project.base_env, project.run_env):
            for name in file.variables:
                needed.setdefault(name, Location(file=file.path))
    return needed


def _location_of_reader(context: CheckContext, variable: ConfigVariable) -> Location:
    """Return the first value of the configuration that a variable is part of."""
    if not variable.keys:
        return Location(subject="configuration")
    kind, *key = variable.keys[0]
    if kind == "catalog":
        return Location(dataset=key[0])
    project = context.project
    folder = project.path / project.conf_folder
    files = glob_config_files(folder, (project.run_env, project.base_env), kind) if project.conf_folder else []
    return locate_key(files, key, project.path) or Location(subject=kind)


@rule(
    "env-differs",
    "warning",
    title="An environment variable of the configuration whose value here, or in some pods, is not the one that the DAG is made with.",
    source="kedro-plugins#673, a catalog whose paths mean something else once deployed.",
)
def find_differing_config_variables(context: CheckContext) -> Iterator[RuleFinding]:
    for variable in context.project.config_variables:
        location = _location_of_reader(context, variable)
        if variable.name in EVERY_POD:
            continue
        tasks = [task for plan in context.plans for task in plan.tasks if task.nodes]
        values = {_literal_of(task, context, variable.name) for task in tasks}
        if len(values) > 1:
            message = f"reads the environment variable {variable.name!r}, which differs between pods. The DAG is made with one value."
            yield (
                location,
                message,
                "Give all pods the same value (`env` of tasks.default), or use a parameter instead.",
            )
            continue
        in_pods = any(_has_variable(task, context, variable.name) for task in tasks)
        if variable.is_set_here and not variable.required and not in_pods:
            message = f"reads the environment variable {variable.name!r}, which is set here but not in the pods. " + (
                "The DAG is made with it." if variable.is_from_here else "They use the default, and so does the DAG."
            )
            yield location, message, "Set it in the pods (`env` of tasks.default, or `build.env`), or unset it here."


@rule(
    "env-settings",
    "warning",
    title="An environment variable of this machine that the settings files read, so that the DAG depends on it.",
    source="kedro-plugins#673. On another machine, the same commit gives another DAG.",
)
def find_settings_variables(context: CheckContext) -> Iterator[RuleFinding]:
    for name in context.project.settings_variables:
        message = f"read the environment variable {name!r} of this machine, so another one may make another DAG."
        yield (
            Location(file=context.sources.file_of()),
            message,
            "Write the value into the file, or into that of an environment (`--env`).",
        )


def _literal_of(task: Task, context: CheckContext, name: str) -> str | None:
    """Return the literal value of a variable in the pod of a task; None if it has none, or only elsewhere."""
    for entry in task.settings.get("env") or ():
        if entry["name"] == name:
            value: str | None = entry.get("value")
            return value
    return _image_variables(task, context).get(name)


def _image_variables(task: Task, context: CheckContext) -> Mapping[str, str]:
    return {} if task.image_name is None else context.settings.build_of(task.image_name).env


def _has_variable(task: Task, context: CheckContext, name: str) -> bool:
    if name in EVERY_POD or name in _image_variables(task, context):
        return True
    if any(entry["name"] == name for entry in task.settings.get("env") or ()):
        return True
    if any(name.startswith(source.get("prefix") or "") for source in task.settings.get("envFrom") or ()):
        return True
    own = context.project.path / dockerfile_name(task.image_name) if task.image_name is not None else None
    if own is None or is_generated(own):
        return False
    return bool(re.search(rf"(?im)^\s*ENV\s(.*\s)?{re.escape(name)}[=\s]", read_text_if_present(own)))


@rule(
    "hooks-memory",
    "warning",
    title="A hook that may add to the catalog, in a project with datasets that have no catalog entry.",
    source="A hook that registered its tables in after_catalog_created: every pod ended with exit code 2.",
)
def find_datasets_of_hooks(context: CheckContext) -> Iterator[RuleFinding]:
    names = sorted(
        {
            name
            for draft in context.drafts
            for name, dataset in draft.graph.datasets.items()
            if dataset.reach.plain and not dataset.provided
        }
        - {base_name(name) for name in context.entries}
    )
    for hook in context.project.catalog_hooks if names else ():
        if not hook.only_reads:
            message = (
                f"implements {hook.spec} and may add to the catalog. {count_of(len(names), 'dataset')} without an entry "
                f"{'is' if len(names) == 1 else 'are'} planned as data in memory: {quote_names(names)}. "
                "If the hook adds one of them as stored data, its pods end with exit code 2."
            )
            help_text = (
                f"Set data.reach: {{{names[0]}: shared}} for each dataset that it adds, or `pod` for files on the pod's own disk. "
                "If it adds none, ignore this finding (checks.ignore)."
            )
            yield Location(subject=f"hook {hook.name}"), message, help_text


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


@rule(
    "context-class",
    "warning",
    title="A custom context class, whose changes of catalog and parameters only pods see.",
    source="Kedro's KedroServiceSession, which uses CONTEXT_CLASS; plans are made from the configuration alone.",
)
def find_custom_context_class(context: CheckContext) -> Iterator[RuleFinding]:
    name = context.project.context_class
    if name != _KEDRO_CONTEXT:
        message = f"is {name}, which pods use, but what it changes in the catalog or the parameters is not visible at compile time."
        help_text = (
            "Move its behaviour to the configuration or to hooks, and set how far datasets reach in `data.reach`."
        )
        yield Location(subject="settings.CONTEXT_CLASS"), message, help_text


@rule(
    "run-command",
    "warning",
    title="A `run` command of the project's own, which pods do not use.",
    source="Kedro's documentation on adding or modifying commands: cli.py of the package replaces `kedro run`.",
)
def find_own_run_command(context: CheckContext) -> Iterator[RuleFinding]:
    if context.project.run_command_file:
        tasks = [task for plan in context.plans for task in plan.tasks if task.nodes]
        if any(task.settings.get("runner") != "kedro" for task in tasks):
            message = "replaces `kedro run` by a command of its own, which pods do not use, so what it adds does not run there."
            help_text = "Move its behaviour to hooks or to the configuration, or set runner: kedro."
            yield Location(file=context.project.run_command_file), message, help_text
