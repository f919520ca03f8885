"""The table of checks: what a rule is, what it looks at, and how one is added. The rules are in the modules beside this one."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from kedro_k8s_airflow.checks import concurrency
from kedro_k8s_airflow.findings import Finding, Refused, Severity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from kedro_k8s_airflow.checks.concurrency import DatasetUse
    from kedro_k8s_airflow.config.loader import SettingsSources
    from kedro_k8s_airflow.config.models import Settings
    from kedro_k8s_airflow.files import OutputFile
    from kedro_k8s_airflow.image.lock import LockedImage
    from kedro_k8s_airflow.plan.builder import DagDraft
    from kedro_k8s_airflow.plan.graph import Graph
    from kedro_k8s_airflow.plan.model import Plan, Task
    from kedro_k8s_airflow.plan.task_rules import TaskRules
    from kedro_k8s_airflow.project import Project

    RuleFinding = tuple[str, str, str]
    Check = Callable[["CheckContext"], Iterable[RuleFinding]]


@dataclass(frozen=True, kw_only=True)
class CheckContext:
    """What rules look at.

    Attributes:
        project: as it was read.
        settings: the checked settings.
        task_rules: their rules, ready to be asked.
        sources: the files the settings come from.
        drafts: every DAG, whether it could be planned or not.
        image_spec: the files that images are built from; none when they could not be made.
        lock_path: path of the image lock.
        locked_images: the images it names.
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
        """The graph of each DAG."""
        return [draft.graph for draft in self.drafts]

    @cached_property
    def plans(self) -> list[Plan]:
        """The plans that could be made."""
        return [draft.plan for draft in self.drafts if draft.plan is not None]

    @cached_property
    def entries(self) -> dict[str, Mapping[str, Any]]:
        """Resolved catalog entries of all datasets that the DAGs use, by name as nodes spell it."""
        return {name: entry for draft in self.drafts for name, entry in draft.entries.items()}

    @cached_property
    def races(self) -> list[tuple[DatasetUse, DatasetUse]]:
        """Uses of one file under two names that may happen at the same time."""
        return [pair for draft in self.drafts for pair in concurrency.find_races(draft)]

    def location_of(self, *key: str) -> str:
        """`file: key`; of several settings files the one that says it."""
        return self.sources.location_of(key)

    def dag_location(self, plan: Plan, *key: str) -> str:
        """The same for a key of a DAG, which its own settings say or those of all DAGs."""
        own = self.settings.dags.get(plan.name)
        above = ("dags", plan.name) if own is not None and key[0] in own.model_fields_set else ("dag",)
        return self.location_of(*above, *key)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One row of the table.

    Attributes:
        code: stable identifier.
        severity: of all its findings.
        family: what it is about.
        title: what it finds, in a sentence or a noun phrase.
        source: the public bug, the fact or the failure that it comes from.
        check: what finds it; None for what the compiler itself finds on its way.
    """

    code: str
    severity: Severity
    family: str
    title: str
    source: str
    check: Check | None = None

    @property
    def can_be_ignored(self) -> bool:
        """Whether settings may leave it unsaid: nothing can be made of what the compiler itself refuses."""
        return self.check is not None or self.severity != "error"


RULES: dict[str, Rule] = {}


def rule(code: str, severity: Severity) -> Callable[[Check], Check]:
    """Put a function into the table.

    It takes a `Subject` and yields (where, why, mend) of each finding. The first paragraph of its docstring is the rule's title,
    the one that begins with `Source:` names the failure behind it.
    """

    def put(check: Check) -> Check:
        title, _, source = inspect.cleandoc(check.__doc__ or "").partition("Source:")
        title = " ".join(title.split("\n\n")[0].split())
        family = check.__module__.rpartition(".")[2]
        _register(
            Rule(code=code, severity=severity, family=family, title=title, source=" ".join(source.split()), check=check)
        )
        return check

    return put


def compiler_code(code: str, severity: Severity, family: str, title: str, source: str) -> None:
    """Put a finding of the compiler itself into the table."""
    _register(Rule(code=code, severity=severity, family=family, title=title, source=source))


def _register(made: Rule) -> None:
    if made.code in RULES or not made.title or (made.check is not None and not made.source):
        raise ValueError(f"{made.code}: a rule has a code of its own, a title and a source")
    RULES[made.code] = made


def findings_of(made: Rule, subject: CheckContext) -> Iterator[Finding]:
    """What one rule finds."""
    try:
        for where, message, help_text in made.check(subject) if made.check is not None else ():
            yield Finding(code=made.code, severity=made.severity, where=where, why=message, mend=help_text)
    except Refused as refused:  # such as a .dockerignore that is none
        yield from refused.findings


def gather_from_tasks(
    subject: CheckContext, look: Callable[[Mapping[str, Any]], Iterable[tuple[str, str, str]]]
) -> Iterator[RuleFinding]:
    """What is found in the settings of tasks, once for each place that says it, with the first task and how many more.

    Args:
        subject: what is looked at.
        look: yields (keys of a rule, blank between them, the first that a rule says is the place; why; mend).
    """
    told: dict[RuleFinding, list[str]] = {}
    for plan in subject.plans:
        found: dict[int, list[RuleFinding]] = {}
        for task in plan.tasks:
            if id(task.settings) not in found:
                found[id(task.settings)] = [
                    (_location_in(subject, task, keys), message, help_text)
                    for keys, message, help_text in look(task.settings)
                ]
            for said in found[id(task.settings)]:
                told.setdefault(said, []).append(task.id)
    for (where, why, mend), tasks in told.items():
        more = f" and {len(tasks) - 1} more" if len(tasks) > 1 else ""
        yield f"{where}, task {tasks[0]!r}{more}", why, mend


def _location_in(subject: CheckContext, task: Task, keys: str) -> str:
    places = (subject.task_rules.location_of(task.rules, tuple(key.split("."))) for key in keys.split())
    return next(filter(None, places), subject.location_of("tasks"))


def quoted(names: Sequence[str], shown: int = 3) -> str:
    """The first few of some names, quoted."""
    rest = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(map(repr, names[:shown])) + rest
