"""The table of checks: what a rule is, what it reads, and how it is registered. The rules are in the modules beside this one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from kedro_k8s_airflow.checks import concurrency
from kedro_k8s_airflow.findings import Finding, Refused, Severity
from kedro_k8s_airflow.image.dependencies import find_dependency_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from kedro_k8s_airflow.checks.concurrency import DatasetUse
    from kedro_k8s_airflow.config.loader import SettingsSources
    from kedro_k8s_airflow.config.models import Settings
    from kedro_k8s_airflow.files import OutputFile
    from kedro_k8s_airflow.image.lock import LockedImage
    from kedro_k8s_airflow.locations import Location
    from kedro_k8s_airflow.plan.builder import DagDraft
    from kedro_k8s_airflow.plan.graph import Graph
    from kedro_k8s_airflow.plan.model import Plan, Task
    from kedro_k8s_airflow.plan.task_rules import TaskRules
    from kedro_k8s_airflow.project.model import Project

    RuleFinding = tuple[Location, str, str]
    SettingsFinding = tuple[tuple[tuple[str, ...], ...], str, str]
    Check = Callable[["CheckContext"], Iterable[RuleFinding]]


@dataclass(frozen=True, kw_only=True)
class CheckContext:
    """What rules read.

    Attributes:
        project: the Kedro project.
        settings: the validated settings.
        task_rules: the rules under `tasks`, resolved for each node.
        sources: the files that the settings come from.
        drafts: every DAG, with its plan if there is one.
        image_spec: the files that images are built from; empty when they could not be generated.
        lock_path: path of the image lock.
        locked_images: the images in the lock, by name.
    """

    project: Project
    settings: Settings
    task_rules: TaskRules
    sources: SettingsSources
    drafts: Sequence[DagDraft]
    image_spec: Sequence[OutputFile] = ()
    lock_path: Path
    locked_images: Mapping[str, LockedImage]

    @cached_property
    def graphs(self) -> list[Graph]:
        """Return the graph of each DAG."""
        return [draft.graph for draft in self.drafts]

    @cached_property
    def plans(self) -> list[Plan]:
        """Return the plans of the DAGs that have one."""
        return [draft.plan for draft in self.drafts if draft.plan is not None]

    @cached_property
    def tasks_by_settings(self) -> list[list[Task]]:
        """Return the tasks of the plans, those of one DAG with the same settings together."""
        groups: dict[tuple[str, int], list[Task]] = {}
        for plan in self.plans:
            for task in plan.tasks:
                groups.setdefault((plan.dag_id, id(task.settings)), []).append(task)
        return list(groups.values())

    @cached_property
    def entries(self) -> dict[str, Mapping[str, Any]]:
        """Return the resolved catalog entries of all datasets in the DAGs, by the name that nodes use."""
        return {name: entry for draft in self.drafts for name, entry in draft.entries.items()}

    @cached_property
    def dependency_files(self) -> tuple[str, list[str]] | None:
        """Return the file that lists the project's dependencies, and the requirement files; None if the compiler refuses it."""
        try:
            lock, requirements, _ = find_dependency_file(self.project.path)
        except Refused:
            return None
        return lock, requirements

    @cached_property
    def races(self) -> list[tuple[DatasetUse, DatasetUse]]:
        """Return pairs of uses of one file under two dataset names that may happen at the same time."""
        return [pair for draft in self.drafts for pair in concurrency.find_races(draft)]

    def location_of(self, *key: str) -> Location:
        """Return the location of a key of the settings, in the settings file that sets it."""
        return self.sources.location_of(key)

    def dag_location(self, plan: Plan, *key: str) -> Location:
        """Return the location of a key of a DAG: under `dags` if it is set there, else under `dag`."""
        dag_settings = self.settings.dags.get(plan.name)
        prefix = (
            ("dags", plan.name) if dag_settings is not None and key[0] in dag_settings.model_fields_set else ("dag",)
        )
        return replace(self.location_of(*prefix, *key), dag=plan.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One row of the table.

    Attributes:
        code: stable identifier.
        severity: severity of all its findings.
        family: subject of the rule; its own name for the module it is in.
        title: what it finds, in a sentence or a noun phrase.
        source: the public bug, document or measurement behind it.
        check: the function that finds it; None for a finding of the compiler itself.
    """

    code: str
    severity: Severity
    family: str
    title: str
    source: str
    check: Check | None = None

    @property
    def can_be_ignored(self) -> bool:
        """Return whether settings may ignore it. Errors of the compiler leave nothing to generate, so they always stay."""
        return self.check is not None or self.severity != "error"


RULES: dict[str, Rule] = {}


def rule(code: str, severity: Severity, *, title: str, source: str) -> Callable[[Check], Check]:
    """Return a decorator that registers a function as a rule, in the family that its module is named after.

    The function takes a `CheckContext` and yields (location, message, help) for each finding.

    Args:
        code: stable identifier.
        severity: severity of all its findings.
        title: what it finds, for the reference page and for SARIF.
        source: the public bug, document or measurement behind it.
    """

    def register(check: Check) -> Check:
        family = check.__module__.rpartition(".")[2]
        _register(Rule(code=code, severity=severity, family=family, title=title, source=source, check=check))
        return check

    return register


def compiler_code(code: str, severity: Severity, *, family: str, title: str, source: str = "") -> None:
    """Register a finding of the compiler itself; see `rule` for the arguments."""
    _register(Rule(code=code, severity=severity, family=family, title=title, source=source))


def _register(row: Rule) -> None:
    if row.code in RULES or not row.title or (row.check is not None and not row.source):
        raise ValueError(f"{row.code}: a rule needs a code of its own, a title and a source")
    RULES[row.code] = row


def run_rule(row: Rule, context: CheckContext) -> Iterator[Finding]:
    """Yield the findings of one rule."""
    try:
        for location, message, help_text in row.check(context) if row.check is not None else ():
            yield Finding(code=row.code, severity=row.severity, location=location, message=message, help=help_text)
    except Refused as refused:  # such as a malformed .dockerignore
        yield from refused.findings


def key_prefixes(path: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    """Return a key of the settings and the keys above it, for the case that only one of those is in a file."""
    return tuple(path[:length] for length in range(len(path), 0, -1))


def gather_from_tasks(
    context: CheckContext, inspect: Callable[[Mapping[str, Any]], Iterable[SettingsFinding]]
) -> Iterator[RuleFinding]:
    """Yield the problems in the settings of tasks, once for each setting that causes them.

    The location names the first task and the number of further ones.

    Args:
        context: what rules read.
        inspect: takes the settings of a task and yields (keys, message, help). The location is the first of the keys that
            a rule sets.
    """
    tasks_of: dict[RuleFinding, list[Task]] = {}
    for tasks in context.tasks_by_settings:
        for keys, message, help_text in inspect(tasks[0].settings):
            finding = _location_in(context, tasks[0], keys), message, help_text
            tasks_of.setdefault(finding, []).extend(tasks)
    for (location, message, help_text), tasks in tasks_of.items():
        yield replace(location, task=tasks[0].id, more_tasks=len(tasks) - 1), message, help_text


def _location_in(context: CheckContext, task: Task, keys: Iterable[tuple[str, ...]]) -> Location:
    locations = (context.task_rules.location_of(task.rules, key) for key in keys)
    return next(filter(None, locations), context.location_of("tasks"))
