"""Checks of the settings: what does nothing, what Kubernetes or Airflow would refuse, and what means other than it seems."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import TYPE_CHECKING, Any

from kedro_k8s_airflow import handover, quantities, volumes
from kedro_k8s_airflow.checks.table import rule
from kedro_k8s_airflow.origins import TAG
from kedro_k8s_airflow.plan import deadline
from kedro_k8s_airflow.tasks import UNSET

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from kedro_k8s_airflow.checks.table import Said, Subject
    from kedro_k8s_airflow.plan import Plan, Task

_MEBIBYTE = 2**20
# Words that the provider (cncf.kubernetes 10.25) and Airflow take for arguments that are texts.
_WORDS = {
    "on_finish_action": ("delete_pod", "delete_succeeded_pod", "delete_active_pod", "keep_pod"),
    "on_kill_action": ("delete_pod", "keep_pod"),
    "termination_message_policy": ("File", "FallbackToLogsOnError"),
    "weight_rule": ("downstream", "upstream", "absolute"),
}
# Names in Airflow's templates that runs without a logical date do not have, and those that Airflow 3 has no more.
_DATED = frozenset({"ds", "ts", "logical_date", "data_interval_start", "data_interval_end"})
_REMOVED = frozenset({"execution_date", "next_ds", "next_execution_date", "prev_ds", "tomorrow_ds", "yesterday_ds"})
_SHAPES = ("_nodash_with_tz", "_nodash", "_success")
_DAILY = 4
_YEARS = 2


@rule("rule-shadowed", "warning")
def shadowed(subject: Subject) -> Iterator[Said]:
    """A rule that has no effect: for every node that it matches, later rules say all that it says.

    Source: kedro-databricks#110, an override that was ignored in silence.
    """
    ruled = subject.ruled
    nodes = [node for nodes in subject.project.pipelines.values() for node in nodes]
    effective = {
        layer for matching in {ruled.matching(node) for node in nodes} for layer in ruled.origins(matching).values()
    }
    for name, told in subject.settings.tasks.items():
        if told is not None and name not in effective and told.model_fields_set - {"match"}:
            why = "has no effect: whatever it says, rules further down say of the same nodes."
            yield (
                subject.sources.where(("tasks", name)),
                why,
                "Move it below them, narrow what they match, or remove it.",
            )


@rule("profile-unused", "info")
def unused(subject: Subject) -> Iterator[Said]:
    """A profile that no rule names and no node's tag picks.

    Source: kedro-databricks#110, from the other side.
    """
    tags = {tag for nodes in subject.project.pipelines.values() for node in nodes for tag in node.tags}
    named = {told.profile for told in subject.settings.tasks.values() if told is not None}
    for name, profile in subject.settings.profiles.items():
        if profile is not None and name not in named and f"{TAG}{name}" not in tags:
            why = f"is used by no rule, and no node has the tag {TAG + name!r}."
            yield subject.sources.where(("profiles", name)), why, ""


@rule("settings-dropped", "warning")
def dropped(subject: Subject) -> Iterator[Said]:
    """A key of the base settings that an overlay drops, because the project merges this file destructively.

    Source: kedro-databricks#37; destructive is what OmegaConfigLoader does unless it is told otherwise (kedro#3229).
    """
    contents = subject.sources.contents
    said = subject.project.settings or {}
    for place, (file, content) in enumerate(zip(subject.sources.files, contents, strict=True)):
        above = [other for other in contents[:place] if isinstance(other, dict)]
        if not isinstance(content, dict) or not above:
            continue
        lost = [
            path
            for path in _paths(content)
            if not _spelled(said, path) and not any(_spelled(other, path) or _nulled(other, path) for other in above)
        ]
        if lost:
            name = file.relative_to(subject.project.path).as_posix()
            key = ".".join(lost[0])
            why = "is dropped by the overlay, which replaces everything under its top key" + (
                f"; so are {len(lost) - 1} more." if len(lost) > 1 else "."
            )
            mend = 'Merge softly: CONFIG_LOADER_ARGS = {"merge_strategy": {"k8s_airflow": "soft"}}.'
            yield f"{name}: {key}", why, mend


def _paths(content: Mapping[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for key, value in content.items():
        if isinstance(value, dict) and value:
            yield from _paths(value, (*above, str(key)))
        else:
            yield (*above, str(key))


def _spelled(content: Any, path: Iterable[str]) -> bool:
    for part in path:
        if not isinstance(content, dict):
            return False
        match = next((key for key in content if str(key) == part), None)
        if match is None:
            return False
        content = content[match]
    return True


def _nulled(content: Any, path: Iterable[str]) -> bool:
    """Whether a file takes away a key, or something above it, by null or by another kind of value."""
    for part in path:
        if not isinstance(content, dict):
            return True
        match = next((key for key in content if str(key) == part), None)
        if match is None:
            return False
        content = content[match]
    return content is None


@rule("resources", "error")
def over_limit(subject: Subject) -> Iterator[Said]:
    """A request for more than the limit, which Kubernetes refuses.

    Source: a pod of ours that the API server refused: `must be less than or equal to ... limit`.
    """
    for _, task, told in subject.told():
        limits = (told.get("resources") or {}).get("limits") or {}
        for resource, request in ((told.get("resources") or {}).get("requests") or {}).items():
            if resource in limits and quantities.amount(request) > quantities.amount(limits[resource]):
                why = f"requests {request} {resource}, more than the limit of {limits[resource]}."
                yield place(subject, task, "resources"), why, "Kubernetes refuses such a pod; raise the limit."


@rule("resources-bytes", "error")
def bytes_meant(subject: Subject) -> Iterator[Said]:
    """Memory in bytes where another unit must have been meant: `memory: 512`.

    Source: dag-factory#520 and cosmos#1821, resources that were accepted and meant something else.
    """
    for _, task, told in subject.told():
        for part in ("requests", "limits"):
            memory = ((told.get("resources") or {}).get(part) or {}).get("memory")
            if memory is not None and quantities.amount(memory) < _MEBIBYTE:
                mend = f"Did you mean {memory}Gi?" if memory.isdigit() else "Write it with its unit, such as 512Mi."
                yield place(subject, task, "resources"), f"{part} {memory} bytes of memory.", mend


@rule("memory-unlimited", "warning")
def unlimited(subject: Subject) -> Iterator[Said]:
    """A task without a limit of memory, which can take all that its cluster node has.

    Source: kedro-kubeflow#45; when a cluster node runs out of memory, Kubernetes ends pods that did nothing wrong.
    """
    for plan in subject.plans:
        tasks = [
            task
            for task in plan.tasks
            if (task.settings.get("resources") or {}).get("limits", {}).get("memory") is None
        ]
        if tasks:
            more = f", as have {len(tasks) - 1} more of DAG {plan.dag_id!r}" if len(tasks) > 1 else ""
            why = f"has no limit of memory{more}."
            yield place(subject, tasks[0], "resources.limits"), why, "Give resources.limits.memory."


@rule("volume-mount", "error")
def mounts(subject: Subject) -> Iterator[Said]:
    """Volumes and mounts of a rule that Kubernetes refuses together: two of one name or place, or a mount of no volume.

    Source: apache/airflow#29432 and #24669; the API server says `must be unique` or `not found`, after the run has begun.
    """
    settings = subject.settings
    for _, task, told in subject.told():
        taken = list(settings.data.volumes)
        for name in [volume["name"] for volume in told.get("volumes") or []]:
            if name in taken:
                yield (
                    place(subject, task, "volumeMounts", "volumes"),
                    f"has two volumes of the name {name!r}.",
                    "Rename one.",
                )
            taken.append(name)
        known = {*taken, *volumes.OWN_NAMES}
        places = [volumes.in_pod(volume.mount, settings) for volume in settings.data.volumes.values()]
        for mount in told.get("volumeMounts") or []:
            path = mount["mountPath"].rstrip("/")
            if path in places or not path.startswith("/"):
                what = "taken" if path in places else "no absolute path"
                why = f"mounts {mount['name']!r} at {mount['mountPath']!r}, which is {what}."
                yield place(subject, task, "volumeMounts", "volumes"), why, "Choose another path."
            places.append(path)
            if mount["name"] not in known:
                why = f"mounts {mount['name']!r}, but no volume has that name."
                yield place(subject, task, "volumeMounts", "volumes"), why, "Add it to `volumes`."


@rule("operator-word", "error")
def words(subject: Subject) -> Iterator[Said]:
    """An argument under `operator:` that takes one of a few words and was given another.

    Source: the operator's own ValueError, which breaks the import of the DAG file.
    """
    for _, task, told in subject.told():
        for name, value in (told.get("operator") or {}).items():
            if name in _WORDS and value not in _WORDS[name]:
                why = f"operator.{name} is {value!r}."
                yield place(subject, task, f"operator.{name}"), why, f"It takes {', '.join(_WORDS[name])}."


@rule("init-logs-deferred", "warning")
def init_logs(subject: Subject) -> Iterator[Said]:
    """Logs of init containers of a deferrable task, which the provider does not read.

    Source: apache/airflow#72504.
    """
    for _, task, told in subject.told():
        if told.get("deferrable") and (told.get("operator") or {}).get("init_container_logs"):
            why = "asks for init_container_logs, which a deferrable task ignores."
            yield (
                place(subject, task, "operator.init_container_logs"),
                why,
                "Set deferrable: false for it, or read them in the cluster's own logs.",
            )


@rule("pool-deferred", "info")
def pools(subject: Subject) -> Iterator[Said]:
    """A deferrable task in a pool: while its pod runs it takes no slot, unless the pool counts deferred tasks.

    Source: apache/airflow#20940; `include_deferred` came with #32709.
    """
    seen: set[str] = set()
    for _, task, told in subject.told():
        pool = told.get("pool")
        if pool and told.get("deferrable") and pool not in seen:
            seen.add(pool)
            why = f"is in pool {pool!r} and deferrable: while its pod runs it takes no slot of the pool."
            mend = f"Let the pool count them: airflow pools set {pool} <slots> '<what for>' --include-deferred."
            yield place(subject, task, "pool"), why, mend


@rule("active-deferred", "info")
def active(subject: Subject) -> Iterator[Said]:
    """A limit of active tasks on a DAG whose tasks are deferrable: those whose pods run are not counted.

    Source: apache/airflow#40528.
    """
    for plan in subject.plans:
        if plan.dag.max_active_tasks is not None and any(task.settings.get("deferrable") for task in plan.tasks):
            why = (
                f"max_active_tasks is {plan.dag.max_active_tasks}, and deferrable tasks whose pods run are not counted."
            )
            mend = "Give the tasks a pool that counts them (--include-deferred), or set deferrable: false."
            yield f"dag {plan.name!r}", why, mend


@rule("retry-early", "warning")
def early(subject: Subject) -> Iterator[Said]:
    """A task that is not deferrable and is retried while the pod of its last try is still being deleted.

    Source: a pod of ours that nobody owned, with provider 10.25; apache/airflow#10544 shows the same from another side.
    """
    for plan in subject.plans:
        hasty = [task.id for task in plan.tasks if _hasty(task.settings, plan)]
        if hasty:
            where = f"task {hasty[0]!r}" + (f" and {len(hasty) - 1} more" if len(hasty) > 1 else "")
            why = "is not deferrable and retried before a killed pod has gone: Airflow then starts a pod that nobody owns."
            mend = "Let retry_delay be longer than terminationGracePeriodSeconds (30 s) and some seconds, or leave deferrable on."
            yield where, why, mend


def _hasty(told: Mapping[str, Any], plan: Plan) -> bool:
    retries, delay = told.get("retries", plan.dag.retries), told.get("retry_delay", plan.dag.retry_delay)
    grace = told.get("terminationGracePeriodSeconds", UNSET["terminationGracePeriodSeconds"])
    return not told.get("deferrable", False) and bool(retries) and delay.total_seconds() < grace + 5


@rule("deadline-short", "warning")
def short(subject: Subject) -> Iterator[Said]:
    """A deadline of the pod that is shorter than the execution timeout of its task, so that Kubernetes ends it first.

    Source: apache/airflow#11190 and the fault trial of our own pods that end with DeadlineExceeded.
    """
    for _, task, told in subject.told():
        timeout, seconds = told.get("execution_timeout"), deadline(told)
        if timeout is not None and seconds is not None and seconds < timeout.total_seconds():
            why = f"has activeDeadlineSeconds {seconds} and execution_timeout {int(timeout.total_seconds())} s: Kubernetes ends it first."
            yield (
                place(subject, task, "activeDeadlineSeconds", "execution_timeout"),
                why,
                "Leave activeDeadlineSeconds out; it follows the timeout.",
            )


@rule("dagrun-short", "warning")
def run_short(subject: Subject) -> Iterator[Said]:
    """A timeout of the DAG's runs that is shorter than that of one of its tasks.

    Source: Airflow's documentation of `dagrun_timeout`; the run fails while the task is well within its own limit.
    """
    for plan in subject.plans:
        whole = plan.dag.dagrun_timeout
        for task in plan.tasks:
            own = task.settings.get("execution_timeout")
            if whole is not None and own is not None and own > whole:
                why = f"dagrun_timeout is {whole}, and task {task.id!r} alone may take {own}."
                yield f"dag {plan.name!r}", why, "Let a run last longer than its longest task."
                break


@rule("schedule-catchup", "warning")
def catchup(subject: Subject) -> Iterator[Said]:
    """Catch-up from a start date that nobody chose: every run since 2025-01-01 starts when the DAG is switched on.

    Source: kedro-airflow-k8s, whose default of True with a moving date did so.
    """
    for plan in subject.plans:
        own = subject.settings.dags.get(plan.name)
        said = "start_date" in subject.settings.dag.model_fields_set or (
            own is not None and "start_date" in own.model_fields_set
        )
        if plan.dag.catchup and plan.dag.schedule is not None and not said:
            why = f"catches up from {plan.dag.start_date:%Y-%m-%d}, which is only our default."
            yield f"dag {plan.name!r}", why, "Say start_date: the first day that is to be run."


@rule("schedule-days", "warning")
def days(subject: Subject) -> Iterator[Said]:
    """A cron line that restricts the day of the month and the day of the week: it runs on days that fit either, not both.

    Source: crontab(5); croniter, which Airflow uses, does the same.
    """
    for plan in subject.plans:
        schedule = plan.dag.schedule
        if isinstance(schedule, str) and len(fields := schedule.split()) == 5 and "*" not in (fields[2], fields[4]):
            why = f"{schedule!r} runs on each day {fields[2]} of the month and also on each weekday {fields[4]}."
            yield f"dag {plan.name!r}", why, "Restrict one of the two."


@rule("schedule-dst", "info")
def clock_change(subject: Subject) -> Iterator[Said]:
    """A time of day that the clock skips or shows twice when summer time begins or ends.

    Source: measured with Airflow 3.3: a run at 02:30 in New York starts at 03:30 on the day the clock skips that, and once, not
    twice, on the other.
    """
    for plan in subject.plans:
        hit = _odd_time(plan)
        if hit is not None:
            moment, what = hit
            why = f"{plan.dag.schedule!r} in {plan.dag.timezone}: {moment:%H:%M} {what} on {moment:%Y-%m-%d}."
            yield f"dag {plan.name!r}", why, "Choose an hour after 03:00, or timezone: UTC."


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


@rule("macro-logical-date", "warning")
def logical_date(subject: Subject) -> Iterator[Said]:
    """A macro that needs a logical date, which runs that were triggered by hand or by an asset need not have in Airflow 3.

    Source: apache/airflow#46194.
    """
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
                mend = "Use run_date, or an expression of dag_run: {{ dag_run.logical_date or dag_run.run_after }}."
                yield f"{subject.file}: dag.macros.{name}", f"uses {word!r}, which {what}.", mend


@rule("runner-kedro", "error")
def plain_run(subject: Subject) -> Iterator[Said]:
    """A task with `runner: kedro` that plain `kedro run` could not run: a comma in a name, parameters of the run, the store.

    Source: Kedro 1.5 to 1.7, where `kedro run --nodes` splits names at commas; kedro-airflow-k8s#101 for the parameters.
    """
    for plan, task in _plain(subject):
        given = {**plan.runtime_params, **plan.params, **plan.macros}
        for why, mend in handover.impossible(task, given):
            yield place(subject, task, "runner"), why, mend


@rule("runner-kedro-loses", "warning")
def plain_run_loses(subject: Subject) -> Iterator[Said]:
    """A task with `runner: kedro`, which goes without what our program in the pod does.

    Source: kedro-mlflow#579 and kedro-airflow-k8s#101, the first of what is lost; docs/how-it-runs.md has all.
    """
    for _, task in _plain(subject):
        why = (
            "runner: kedro gives up one version for the whole run (every pod loads the latest), exit codes, progress lines, the "
            "check of the plan."
        )
        yield place(subject, task, "runner"), why, ""


def _plain(subject: Subject) -> Iterator[tuple[Plan, Task]]:
    for plan in subject.plans:
        for task in plan.tasks:
            if task.settings.get("runner") == "kedro" and task.nodes:
                yield plan, task


@rule("pod-size", "error")
def too_large(subject: Subject) -> Iterator[Said]:
    """A pod that is told so many names that it does not fit: etcd takes objects of 1.5 MiB, a process arguments of 2 MiB.

    Source: kedro#4319, 400 nodes as containers; the limits are etcd's and Linux'.
    """
    for plan in subject.plans:
        for task in plan.tasks:
            size = handover.told_bytes(task)
            if size > handover.POD_LIMIT:
                why = (
                    f"holds {len(task.nodes)} nodes, whose names and datasets take {size} bytes; a pod can be told "
                    f"{handover.POD_LIMIT}."
                )
                mend = "Give datasets between them a catalog entry, so that they need not share a pod."
                yield f"task {task.id!r}", why, mend


def place(subject: Subject, task: Task, *keys: str) -> str:
    """Where a key of a task's settings is said, and the task: of several keys the first that a rule says."""
    for key in keys:
        said = subject.ruled.where(task.rules, tuple(key.split(".")))
        if said:
            return f"{said}, task {task.id!r}"
    return f"{subject.file}: tasks, task {task.id!r}"
