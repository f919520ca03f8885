"""Checks of the schedule: when runs begin and end, and what depends on when they are."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, time, timedelta
from typing import TYPE_CHECKING

from kedro_k8s_airflow.checks.registry import rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kedro_k8s_airflow.checks.registry import CheckContext, RuleFinding
    from kedro_k8s_airflow.plan.model import Plan

# Names in Airflow's templates that runs without a logical date do not have, and those that Airflow 3 has no more.
_DATED = frozenset({"ds", "ts", "logical_date", "data_interval_start", "data_interval_end"})
_REMOVED = frozenset({"execution_date", "next_ds", "next_execution_date", "prev_ds", "tomorrow_ds", "yesterday_ds"})
_SHAPES = ("_nodash_with_tz", "_nodash", "_success")
_DAILY = 4
_YEARS = 2


@rule(
    "dagrun-short",
    "warning",
    title="A timeout of the DAG's runs that is shorter than that of one of its tasks.",
    source=("Airflow's documentation of `dagrun_timeout`; the run fails while the task is well within its own limit."),
)
def run_short(subject: CheckContext) -> Iterator[RuleFinding]:
    for plan in subject.plans:
        whole = plan.dag.dagrun_timeout
        for task in plan.tasks:
            own = task.settings.get("execution_timeout")
            if whole is not None and own is not None and own > whole:
                message = f"dagrun_timeout is {whole}, and task {task.id!r} alone may take {own}."
                yield (
                    replace(subject.dag_location(plan, "dagrun_timeout"), dag=plan.name),
                    message,
                    "Let a run last longer than its longest task.",
                )
                break


@rule(
    "schedule-catchup",
    "warning",
    title=(
        "Catch-up from a start date that nobody chose: every run since 2025-01-01 starts when the DAG is switched on."
    ),
    source="kedro-airflow-k8s, whose default of True with a moving date did so.",
)
def catchup(subject: CheckContext) -> Iterator[RuleFinding]:
    for plan in subject.plans:
        own = subject.settings.dags.get(plan.name)
        said = "start_date" in subject.settings.dag.model_fields_set or (
            own is not None and "start_date" in own.model_fields_set
        )
        if plan.dag.catchup and plan.dag.schedule is not None and not said:
            message = f"catches up from {plan.dag.start_date:%Y-%m-%d}, which is only our default."
            yield (
                replace(subject.dag_location(plan, "catchup"), dag=plan.name),
                message,
                "Say start_date: the first day that is to be run.",
            )


@rule(
    "schedule-days",
    "warning",
    title=(
        "A cron line that restricts the day of the month and the day of the week: it runs on days that fit "
        "either, not both."
    ),
    source="crontab(5); croniter, which Airflow uses, does the same.",
)
def days(subject: CheckContext) -> Iterator[RuleFinding]:
    for plan in subject.plans:
        schedule = plan.dag.schedule
        if (
            isinstance(schedule, str)
            and len(fields := schedule.split()) == 5
            and not {"*", "?"} & {fields[2], fields[4]}
        ):
            message = f"{schedule!r} runs on each day {fields[2]} of the month and also on each weekday {fields[4]}."
            yield replace(subject.dag_location(plan, "schedule"), dag=plan.name), message, "Restrict one of the two."


@rule(
    "schedule-dst",
    "info",
    title="A time of day that the clock skips or shows twice when summer time begins or ends.",
    source=(
        "measured with Airflow 3.3: a run at 02:30 in New York starts at 03:30 on the day the clock skips "
        "that, and once, not twice, on the other."
    ),
)
def clock_change(subject: CheckContext) -> Iterator[RuleFinding]:
    for plan in subject.plans:
        hit = _odd_time(plan)
        if hit is not None:
            moment, what = hit
            message = f"{plan.dag.schedule!r} in {plan.dag.timezone}: {moment:%H:%M} {what} on {moment:%Y-%m-%d}."
            yield (
                replace(subject.dag_location(plan, "schedule"), dag=plan.name),
                message,
                "Choose an hour after 03:00, or timezone: UTC.",
            )


def _odd_time(plan: Plan) -> tuple[datetime, str] | None:
    """A scheduled moment in the years after the start date that the clock does not show once; hourly schedules have none to lose."""
    from zoneinfo import ZoneInfo

    schedule = plan.dag.schedule
    if not isinstance(schedule, str) or schedule.startswith("@"):
        return None
    from croniter import croniter

    zone = ZoneInfo(plan.dag.timezone)
    day = datetime.combine(plan.dag.start_date.date(), time())
    for _ in range(_YEARS * 366):
        after = day + timedelta(days=1)
        if day.replace(tzinfo=zone).utcoffset() != after.replace(tzinfo=zone).utcoffset():
            line = croniter(schedule, day - timedelta(seconds=1))
            moments: list[datetime] = []
            while (moment := line.get_next(datetime)) < after and len(moments) <= _DAILY:
                moments.append(moment)
            for moment in moments if len(moments) <= _DAILY else ():
                first, second = (moment.replace(tzinfo=zone, fold=fold).utcoffset() for fold in (0, 1))
                if first is not None and second is not None and first != second:
                    return moment, "does not exist" if first < second else "comes twice"
        day = after
    return None


@rule(
    "macro-logical-date",
    "warning",
    title=(
        "A macro that needs a logical date, which runs that were triggered by hand or by an asset need not "
        "have in Airflow 3."
    ),
    source="apache/airflow#46194.",
)
def logical_date(subject: CheckContext) -> Iterator[RuleFinding]:
    import jinja2
    import jinja2.meta

    environment = jinja2.Environment(autoescape=False)  # noqa: S701  Python is not HTML
    for plan in subject.plans:
        for name, text in plan.dag.macros.items():
            used = jinja2.meta.find_undeclared_variables(environment.parse(text)) if "{" in text else set()
            for word in sorted(used):
                plain = next((word.removesuffix(end) for end in _SHAPES if word.endswith(end)), word)
                plain = "execution_date" if plain == "prev_execution_date" else plain
                if plain not in _DATED | _REMOVED:
                    continue
                what = "Airflow 3 has no more" if plain in _REMOVED else "fails in a run without a logical date"
                help_text = (
                    "Use run_date, or an expression of dag_run: {{ dag_run.logical_date or dag_run.run_after }}."
                )
                yield subject.dag_location(plan, "macros", name), f"uses {word!r}, which {what}.", help_text
