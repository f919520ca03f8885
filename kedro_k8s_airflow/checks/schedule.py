"""Checks of the schedule: when runs start, how long they may take, and macros that depend on their date."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import TYPE_CHECKING

from kedro_k8s_airflow.checks.registry import rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kedro_k8s_airflow.checks.registry import CheckContext, RuleFinding
    from kedro_k8s_airflow.plan.model import Plan

# Template variables that runs without a logical date lack, and those that Airflow 3 removed.
_DATED_NAMES = frozenset({"ds", "ts", "logical_date", "data_interval_start", "data_interval_end"})
_REMOVED_NAMES = frozenset(
    {"execution_date", "next_ds", "next_execution_date", "prev_ds", "tomorrow_ds", "yesterday_ds"}
)
_NAME_SUFFIXES = ("_nodash_with_tz", "_nodash", "_success")
_MAX_RUNS_PER_DAY = 4
_YEARS_AHEAD = 2


@rule(
    "dagrun-short",
    "warning",
    title="A timeout of DAG runs that is shorter than that of one of the tasks.",
    source="Airflow's documentation of `dagrun_timeout`. The run fails although the task is within its own limit.",
)
def find_short_run_timeouts(context: CheckContext) -> Iterator[RuleFinding]:
    for plan in context.plans:
        run_timeout = plan.dag.dagrun_timeout
        for task in plan.tasks:
            task_timeout = task.settings.get("execution_timeout")
            if run_timeout is not None and task_timeout is not None and task_timeout > run_timeout:
                message = f"is {run_timeout}, but task {task.id!r} alone may take {task_timeout}."
                yield (
                    context.dag_location(plan, "dagrun_timeout"),
                    message,
                    "Set it above the execution_timeout of every task.",
                )
                break


@rule(
    "schedule-catchup",
    "warning",
    title="Catch-up from the default start date. Unpausing the DAG starts every run since 2025-01-01.",
    source="kedro-airflow-k8s, where `catchup: true` and a moving start date were the defaults.",
)
def find_unintended_catchup(context: CheckContext) -> Iterator[RuleFinding]:
    for plan in context.plans:
        dag_settings = context.settings.dags.get(plan.name)
        has_start_date = "start_date" in context.settings.dag.model_fields_set or (
            dag_settings is not None and "start_date" in dag_settings.model_fields_set
        )
        if plan.dag.catchup and plan.dag.schedule is not None and not has_start_date:
            message = f"starts all runs since {plan.dag.start_date:%Y-%m-%d}, the default start_date."
            yield (
                context.dag_location(plan, "catchup"),
                message,
                "Set start_date to the first day to run.",
            )


@rule(
    "schedule-days",
    "warning",
    title="A cron expression that restricts both day of month and day of week. It runs on days that match either one.",
    source="crontab(5). croniter, which Airflow uses, does the same.",
)
def find_ambiguous_days(context: CheckContext) -> Iterator[RuleFinding]:
    for plan in context.plans:
        schedule = plan.dag.schedule
        if (
            isinstance(schedule, str)
            and len(fields := schedule.split()) == 5
            and not {"*", "?"} & {fields[2], fields[4]}
        ):
            message = f"{schedule!r} runs on day {fields[2]} of the month and also on weekday {fields[4]}."
            yield context.dag_location(plan, "schedule"), message, "Restrict only one of the two."


@rule(
    "schedule-dst",
    "info",
    title="A scheduled time that is skipped or occurs twice when daylight saving time starts or ends.",
    source=(
        "Measured with Airflow 3.3: a run scheduled for 02:30 in New York starts at 03:30 on the day that skips 02:30, "
        "and only once on the day that has it twice."
    ),
)
def find_clock_changes(context: CheckContext) -> Iterator[RuleFinding]:
    for plan in context.plans:
        odd_time = _find_odd_time(plan)
        if odd_time is not None:
            moment, change = odd_time
            message = (
                f"is {plan.dag.schedule!r} in {plan.dag.timezone}, where {moment:%H:%M} {change} on {moment:%Y-%m-%d}."
            )
            yield (
                context.dag_location(plan, "schedule"),
                message,
                "Choose a time after 03:00, or set timezone: UTC.",
            )


def _find_odd_time(plan: Plan) -> tuple[datetime, str] | None:
    """Return a scheduled time that is skipped or occurs twice within some years after the start date.

    Schedules with more than a few runs a day are left out, because a shifted run matters little there.
    """
    from zoneinfo import ZoneInfo

    schedule = plan.dag.schedule
    if not isinstance(schedule, str) or schedule.startswith("@"):
        return None
    from croniter import croniter

    zone = ZoneInfo(plan.dag.timezone)
    day = datetime.combine(plan.dag.start_date.date(), time())
    for _ in range(_YEARS_AHEAD * 366):
        next_day = day + timedelta(days=1)
        if day.replace(tzinfo=zone).utcoffset() != next_day.replace(tzinfo=zone).utcoffset():
            cron = croniter(schedule, day - timedelta(seconds=1))
            moments: list[datetime] = []
            while (moment := cron.get_next(datetime)) < next_day and len(moments) <= _MAX_RUNS_PER_DAY:
                moments.append(moment)
            for moment in moments if len(moments) <= _MAX_RUNS_PER_DAY else ():
                first, second = (moment.replace(tzinfo=zone, fold=fold).utcoffset() for fold in (0, 1))
                if first is not None and second is not None and first != second:
                    return moment, "does not exist" if first < second else "occurs twice"
        day = next_day
    return None


@rule(
    "macro-logical-date",
    "warning",
    title="A macro that needs a logical date. In Airflow 3, runs triggered manually or by an asset may not have one.",
    source="apache/airflow#46194.",
)
def find_logical_date_macros(context: CheckContext) -> Iterator[RuleFinding]:
    import jinja2
    import jinja2.meta

    environment = jinja2.Environment(autoescape=False)  # noqa: S701  Python is not HTML
    for plan in context.plans:
        for name, text in plan.dag.macros.items():
            used = jinja2.meta.find_undeclared_variables(environment.parse(text)) if "{" in text else set()
            for word in sorted(used):
                plain = next((word.removesuffix(end) for end in _NAME_SUFFIXES if word.endswith(end)), word)
                plain = "execution_date" if plain == "prev_execution_date" else plain
                if plain not in _DATED_NAMES | _REMOVED_NAMES:
                    continue
                problem = (
                    "Airflow 3 does not have" if plain in _REMOVED_NAMES else "fails in a run without a logical date"
                )
                help_text = (
                    "Use run_date, or an expression of dag_run: {{ dag_run.logical_date or dag_run.run_after }}."
                )
                yield context.dag_location(plan, "macros", name), f"uses {word!r}, which {problem}.", help_text
