"""Checks of pods: what Kubernetes or Airflow's operator would refuse, and what means other than it seems."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kedro_k8s_airflow import quantities
from kedro_k8s_airflow.checks.registry import gathered, rule
from kedro_k8s_airflow.plan import data_passing, volumes
from kedro_k8s_airflow.plan.builder import UNSET
from kedro_k8s_airflow.plan.model import deadline

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from kedro_k8s_airflow.checks.registry import Said, Subject
    from kedro_k8s_airflow.plan.model import Plan, Task

_MEBIBYTE = 2**20
# As a number of bytes, less than this is meant as GiB, more as MiB.
_MANY = 64
# Words that the provider (cncf.kubernetes 10.25) and Airflow take for arguments that are texts.
_WORDS = {
    "on_finish_action": ("delete_pod", "delete_succeeded_pod", "delete_active_pod", "keep_pod"),
    "on_kill_action": ("delete_pod", "keep_pod"),
    "termination_message_policy": ("File", "FallbackToLogsOnError"),
    "weight_rule": ("downstream", "upstream", "absolute"),
}


@rule("resources", "error")
def over_limit(subject: Subject) -> Iterator[Said]:
    """A request for more than the limit, which Kubernetes refuses.

    Source: a pod of ours that the API server refused: `must be less than or equal to ... limit`.
    """

    def look(told: Mapping[str, Any]) -> Iterator[Said]:
        limits = _resources(told, "limits")
        for resource, request in _resources(told, "requests").items():
            if resource in limits and quantities.amount(request) > quantities.amount(limits[resource]):
                why = f"requests {request} {resource}, more than the limit of {limits[resource]}."
                yield "resources", why, "Kubernetes refuses such a pod; raise the limit."

    yield from gathered(subject, look)


def _resources(told: Mapping[str, Any], part: str) -> Mapping[str, Any]:
    return (told.get("resources") or {}).get(part) or {}


@rule("resources-bytes", "error")
def bytes_meant(subject: Subject) -> Iterator[Said]:
    """Memory in bytes where another unit must have been meant: `memory: 512`.

    Source: dag-factory#520 and cosmos#1821, resources that were accepted and meant something else.
    """

    def look(told: Mapping[str, Any]) -> Iterator[Said]:
        for part in ("requests", "limits"):
            memory = _resources(told, part).get("memory")
            if memory is not None and 0 < quantities.amount(memory) < _MEBIBYTE:
                unit = "Mi" if quantities.amount(memory) >= _MANY else "Gi"
                mend = f"Did you mean {memory}{unit}?" if memory.isdigit() else "Write its unit, such as 512Mi."
                yield f"resources.{part}", f"{part} {memory} bytes of memory.", mend

    yield from gathered(subject, look)


@rule("memory-unlimited", "warning")
def unlimited(subject: Subject) -> Iterator[Said]:
    """A task without a limit of memory, which can take all that its cluster node has.

    Source: kedro-kubeflow#45; when a cluster node runs out of memory, Kubernetes ends pods that did nothing wrong.
    """

    def look(told: Mapping[str, Any]) -> Iterator[Said]:
        if _resources(told, "limits").get("memory") is None:
            yield "resources.limits resources", "has no limit of memory.", "Give resources.limits.memory."

    yield from gathered(subject, look)


@rule("volume-mount", "error")
def mounts(subject: Subject) -> Iterator[Said]:
    """Volumes and mounts of a rule that cannot be: two of one name or place, a mount of no volume, one that hides the project.

    Source: apache/airflow#29432 and #24669; the API server says `must be unique` or `not found`, after the run has begun.
    """
    settings = subject.settings
    claimed = [volumes.in_pod(volume.mount, settings) for volume in settings.data.volumes.values()]

    def look(told: Mapping[str, Any]) -> Iterator[Said]:
        taken = list(settings.data.volumes)
        for name in [volume["name"] for volume in told.get("volumes") or []]:
            if name in taken:
                yield "volumes", f"has two volumes of the name {name!r}.", "Rename one."
            taken.append(name)
        known, places = {*taken, *volumes.OWN_NAMES}, list(claimed)
        for mount in told.get("volumeMounts") or []:
            path = mount["mountPath"].rstrip("/")
            if path in places or not path.startswith("/"):
                what = "taken" if path in places else "no absolute path"
                why = f"mounts {mount['name']!r} at {mount['mountPath']!r}, which is {what}."
                yield "volumeMounts", why, "Choose another path."
            hidden = None if mount.get("subPath") or not path.startswith("/") else _hidden(path, subject)
            if hidden:
                yield (
                    "volumeMounts",
                    f"mounts {mount['name']!r} at {path}, which hides {hidden}.",
                    "Choose another path.",
                )
            places.append(path)
            if mount["name"] not in known:
                why = f"mounts {mount['name']!r}, but no volume has that name."
                yield "volumeMounts", why, "Add it to `volumes`."

    yield from gathered(subject, look)


def _hidden(path: str, subject: Subject) -> str | None:
    """What a folder that is mounted would hide; a new one below the system's, such as /etc/team, hides nothing."""
    hidden = volumes.hides(path, subject.project, subject.settings.project_path)
    return None if hidden and path.count("/") > 1 and not hidden.startswith("the project") else hidden


@rule("operator-word", "error")
def words(subject: Subject) -> Iterator[Said]:
    """An argument under `operator:` that takes one of a few words and was given another.

    Source: the operator's own ValueError, which breaks the import of the DAG file.
    """

    def look(told: Mapping[str, Any]) -> Iterator[Said]:
        for name, value in (told.get("operator") or {}).items():
            if name in _WORDS and value not in _WORDS[name]:
                yield f"operator.{name}", f"operator.{name} is {value!r}.", f"It takes {', '.join(_WORDS[name])}."

    yield from gathered(subject, look)


@rule("init-logs-deferred", "warning")
def init_logs(subject: Subject) -> Iterator[Said]:
    """Logs of init containers of a deferrable task, which the provider does not read.

    Source: apache/airflow#72504.
    """

    def look(told: Mapping[str, Any]) -> Iterator[Said]:
        if told.get("deferrable") and (told.get("operator") or {}).get("init_container_logs"):
            why = "asks for init_container_logs, which a deferrable task ignores."
            mend = "Set deferrable: false for it, or read them in the cluster's own logs."
            yield "operator.init_container_logs", why, mend

    yield from gathered(subject, look)


@rule("pool-deferred", "info")
def pools(subject: Subject) -> Iterator[Said]:
    """A deferrable task in a pool: while its pod runs it takes no slot, unless the pool counts deferred tasks.

    Source: apache/airflow#20940; `include_deferred` came with #32709.
    """

    def look(told: Mapping[str, Any]) -> Iterator[Said]:
        pool = told.get("pool")
        if pool and told.get("deferrable"):
            why = f"is in pool {pool!r} and deferrable: while its pod runs it takes no slot of the pool."
            mend = f"Let the pool count them: airflow pools set {pool} <slots> '<what for>' --include-deferred."
            yield "pool", why, mend

    yield from gathered(subject, look)


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
            yield f"{subject.dag_where(plan, 'max_active_tasks')}, dag {plan.name!r}", why, mend


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

    def look(told: Mapping[str, Any]) -> Iterator[Said]:
        timeout, seconds = told.get("execution_timeout"), deadline(told)
        if timeout is not None and seconds is not None and seconds < timeout.total_seconds():
            lasts = int(timeout.total_seconds())
            why = f"has activeDeadlineSeconds {seconds} and execution_timeout {lasts} s: Kubernetes ends it first."
            mend = "Leave activeDeadlineSeconds out; it follows the timeout."
            yield "activeDeadlineSeconds execution_timeout", why, mend

    yield from gathered(subject, look)


@rule("runner-kedro", "error")
def plain_run(subject: Subject) -> Iterator[Said]:
    """A task with `runner: kedro` that plain `kedro run` could not run: a comma in a name, parameters of the run, the store.

    Source: Kedro 1.5 to 1.7, where `kedro run --nodes` splits names at commas; kedro-airflow-k8s#101 for the parameters.
    """
    for plan, task in _plain(subject):
        given = {**plan.runtime_params, **plan.params, **plan.macros}
        for why, mend in data_passing.impossible(task, given):
            at = subject.ruled.where(task.rules, ("runner",)) or subject.where("tasks")
            yield f"{at}, task {task.id!r}", why, mend


@rule("runner-kedro-loses", "warning")
def plain_run_loses(subject: Subject) -> Iterator[Said]:
    """A task with `runner: kedro`, which goes without what our program in the pod does.

    Source: kedro-mlflow#579 and kedro-airflow-k8s#101, the first of what is lost; docs/how-it-works/how-it-runs.md has all.
    """

    def look(told: Mapping[str, Any]) -> Iterator[Said]:
        if told.get("runner") == "kedro":
            why = (
                "runner: kedro gives up one version for the whole run (every pod loads the latest), exit codes, progress lines, "
                "the check of the plan."
            )
            yield "runner", why, ""

    yield from gathered(subject, look)


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
            size = data_passing.told_bytes(task)
            if size > data_passing.POD_LIMIT:
                why = (
                    f"holds {len(task.nodes)} nodes, whose names and datasets take {size} bytes; a pod can be told "
                    f"{data_passing.POD_LIMIT}."
                )
                mend = "Give datasets between them a catalog entry, so that they need not share a pod."
                yield f"task {task.id!r}", why, mend
