"""Render a plan as the text of its DAG file, for Airflow 2.11 and 3.x. The same plan always gives the same bytes."""

from __future__ import annotations

import ast
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from kedro_k8s_airflow import templates
from kedro_k8s_airflow.config.models import FormField
from kedro_k8s_airflow.dag import pod_arguments, task_calls
from kedro_k8s_airflow.dag.header import DagFileHeader
from kedro_k8s_airflow.plan import parameters, trigger_form
from kedro_k8s_airflow.python_source import WIDTH, Call, Raw, Text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from kedro_k8s_airflow.config.models import Notifier
    from kedro_k8s_airflow.plan.model import Plan


def render_dag(plan: Plan, *, command: str = "kedro k8s-airflow create") -> str:
    """Return the text of the plan's DAG file, after compiling it and comparing it with the plan."""
    shared = task_calls.build_shared_arguments(plan)
    common = {key: task_calls.common_metadata(plan, key) for key in ("labels", "annotations")}
    constants: dict[str, Any] = {
        "ARGUMENTS": pod_arguments.program_arguments(plan),
        "RUN": pod_arguments.build_run_template(),
        **(
            {"RUN_PARAMS": pod_arguments.build_params_template(plan)}
            if plan.params or plan.runtime_params or plan.macros
            else {}
        ),
        "ENV_VARS": pod_arguments.build_environment_variables(plan, plan.base),
        "VOLUMES": pod_arguments.build_pod_volumes(plan, plan.base, ()),
        "VOLUME_MOUNTS": pod_arguments.build_volume_mounts(plan, plan.base, ()),
        "LABELS": {**pod_arguments.standard_labels(plan), **common["labels"]},
        **({"ANNOTATIONS": common["annotations"]} if common["annotations"] else {}),
        **({"DOC_MD": _build_doc_md(plan)} if plan.dag.doc_graph else {}),
    }
    settings = {
        **shared,
        "env_vars": Raw("ENV_VARS"),
        "volumes": Raw("VOLUMES"),
        "volume_mounts": Raw("VOLUME_MOUNTS"),
        **_choose_pre_execute(plan),
        "post_execute": Raw("fail_if_killed"),
        "on_failure_callback": Raw("explain_failure"),
        "on_retry_callback": Raw("explain_failure"),
    }
    blocks, block_constants = task_calls.build_settings_blocks(plan, shared)
    dag, tasks = (
        _build_dag_call(plan),
        [task_calls.build_task_call(plan, task, blocks[index], common) for index, task in enumerate(plan.tasks)],
    )
    own_blocks = [block for block in blocks if isinstance(block, dict) and block]
    text = templates.fill_template(
        "dag.py.j2",
        header=DagFileHeader.of_plan(plan).to_lines(),
        command=command,
        docstring=_build_docstring(plan),
        stdlib=_standard_library_imports(plan, (dag, settings, *block_constants.values(), *own_blocks)),
        imports=_third_party_imports(plan),
        constants=constants,
        annotations="ANNOTATIONS" in constants,
        settings=settings,
        shared=block_constants,
        task_label=f"{pod_arguments.LABEL_PREFIX}task",
        nodes_annotation=f"{pod_arguments.LABEL_PREFIX}nodes",
        groups=_build_task_groups(plan),
        pipeline=plan.pipeline,
        params_variable=pod_arguments.PARAMS_VARIABLE if plan.params or plan.macros else None,
        params_limit=parameters.PARAMS_LIMIT,
        quota_wait=int(plan.dag.quota_wait.total_seconds()) if plan.dag.quota_wait else None,
        options=task_calls.program_options(plan),
        flags=any(task.flags for task in plan.tasks),
        dag=dag,
        tasks=tasks,
    )
    _verify_file(text, plan)
    return text


def _choose_pre_execute(plan: Plan) -> dict[str, Raw]:
    """Return the operator's argument for what the file does before it creates a pod."""
    checks_params = bool(plan.params or plan.macros)
    if plan.dag.quota_wait:
        return {"pre_execute": Raw("prepare_pod" if checks_params else "wait_for_quota")}
    return {"pre_execute": Raw("refuse_large_params")} if checks_params else {}


def _build_docstring(plan: Plan) -> str:
    title = plan.dag.description or f"Kedro pipeline {plan.pipeline} of {plan.package}, one pod for each task."
    safe = "".join(sign if sign.isprintable() and sign not in '\\"' else " " for sign in title).strip() or plan.package
    return f'"""{safe if safe.endswith((".", "!", "?")) else safe + "."}"""'


def _standard_library_imports(plan: Plan, values: Iterable[object]) -> list[str]:
    classes = {kind for value in values for kind in _datetime_classes(value)}
    needed = ["datetime"]
    if timedelta in classes:
        needed.append("timedelta")
    # Dates in the operator's arguments are in UTC, whatever the time zone of the DAG.
    if plan.dag.timezone == "UTC" or timezone in classes:
        needed.append("timezone")
    zone = [] if plan.dag.timezone == "UTC" else ["from zoneinfo import ZoneInfo"]
    return [
        *(["import time"] if plan.dag.quota_wait else []),
        f"from datetime import {', '.join(needed)}",
        *zone,
    ]


def _datetime_classes(value: object) -> Iterable[type]:
    """Yield the classes of module datetime that the source of a value uses."""
    if isinstance(value, Call):
        for item in (*value.positional, *value.keywords.values()):
            yield from _datetime_classes(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from _datetime_classes(item)
    elif isinstance(value, timedelta):
        yield timedelta
    elif isinstance(value, datetime) and str(value.tzinfo) == "UTC":
        yield timezone


def _third_party_imports(plan: Plan) -> list[str]:
    sdk = [
        "DAG",
        *(["AirflowFailException"] if plan.params or plan.macros else []),
        *(["Param"] if plan.params else []),
        *(["TaskGroup"] if plan.groups else []),
    ]
    lines = [
        "from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator",
        _format_import("airflow.providers.common.compat.sdk", sdk),
    ]
    if plan.dag.on_failure or plan.dag.on_success:
        lines.append("from airflow.providers.slack.notifications.slack_webhook import (\n    SlackWebhookNotifier,\n)")
    return [*lines, "from kubernetes.client import models as k8s"]


def _format_import(module: str, names: Sequence[str]) -> str:
    line = f"from {module} import {', '.join(names)}"
    if len(line) <= WIDTH:
        return line
    listed = "".join(f"    {name},\n" for name in names)
    return f"from {module} import (\n{listed})"


def _build_dag_call(plan: Plan) -> Call:
    dag = plan.dag
    defaults: dict[str, Any] = {"retries": dag.retries, "retry_delay": dag.retry_delay}
    if dag.owner:
        defaults = {"owner": dag.owner, **defaults}
    if dag.retry_exponential_backoff:
        defaults["retry_exponential_backoff"] = True
    keywords: dict[str, Any] = {
        "dag_id": plan.dag_id,
        "dag_display_name": dag.dag_display_name,
        "description": dag.description or f"Kedro pipeline {plan.pipeline} of {plan.package}",
        "doc_md": Raw("DOC_MD") if dag.doc_graph else dag.doc_md,
        "schedule": dag.schedule,
        "start_date": _in_zone(dag.start_date, dag.timezone),
        "end_date": _in_zone(dag.end_date, dag.timezone) if dag.end_date else None,
        "catchup": dag.catchup,
        "max_active_runs": dag.max_active_runs,
        "max_active_tasks": dag.max_active_tasks,
        "dagrun_timeout": dag.dagrun_timeout,
        "default_args": defaults,
        "params": _build_params(plan) or None,
        "tags": list(dag.tags) or ["kedro", plan.package],
        "is_paused_upon_creation": dag.is_paused_upon_creation,
        "on_failure_callback": _build_notifier(dag.on_failure, "failed"),
        "on_success_callback": _build_notifier(dag.on_success, "succeeded"),
    }
    always = ("dag_id", "schedule", "start_date", "catchup", "max_active_runs")
    return Call("DAG", {name: value for name, value in keywords.items() if value is not None or name in always})


def _build_doc_md(plan: Plan) -> Text:
    """Return the DAG's own text and its diagram. The diagram escapes characters that could end its block."""
    from kedro_k8s_airflow.dag import mermaid

    own_text = f"{plan.dag.doc_md.rstrip()}\n\n" if plan.dag.doc_md else ""
    return Text(tuple(f"{own_text}```mermaid\n{mermaid.draw_plans([plan])}```\n".splitlines(keepends=True)))


def _in_zone(moment: datetime, zone: str) -> datetime:
    from zoneinfo import ZoneInfo

    return moment.replace(tzinfo=ZoneInfo(zone))


def _build_params(plan: Plan) -> dict[str, Call]:
    params = {}
    for name, value in plan.params.items():
        schema = trigger_form.build_schema(value, plan.dag.params.get(name, FormField()))
        params[name] = Call("Param", schema, (trigger_form.spell_value(value),))
    return params


def _build_notifier(notifier: Notifier | None, outcome: str) -> Call | None:
    if notifier is None:
        return None
    text = notifier.text or f"{{{{ dag.dag_id }}}} {outcome}: {{{{ run_id }}}}"
    return Call("SlackWebhookNotifier", {"slack_webhook_conn_id": notifier.slack, "text": text})


def _build_task_groups(plan: Plan) -> dict[str, Call]:
    groups = {}
    for group_id, namespace in plan.groups.items():
        keywords: dict[str, Any] = {"prefix_group_id": False}
        if group_id != namespace:
            keywords["tooltip"] = namespace
        groups[group_id] = Call("TaskGroup", keywords, (group_id,))
    return groups


def _verify_file(text: str, plan: Plan) -> None:
    """Compare the tasks, nodes and edges in the text with the plan, and compile the text.

    Raises:
        AssertionError: if the file differs from the plan, which is a bug in this package.
        SyntaxError: if the file cannot be compiled, likewise.
    """
    tree = ast.parse(text)
    allowed = (ast.Expr, ast.Import, ast.ImportFrom, ast.Assign, ast.FunctionDef, ast.With)
    unexpected = [statement for statement in tree.body if not isinstance(statement, allowed)]
    block = tree.body[-1]
    if unexpected or not isinstance(block, ast.With):
        raise AssertionError(f"{plan.dag_id}: unexpected statements in the emitted file")
    calls = [
        statement.value
        for statement in block.body
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call)
    ]
    written = [(_read_constant(call.args[0]), *_read_lists(call)) for call in calls]
    if written != [(task.id, task.nodes, task.upstream) for task in plan.tasks]:
        raise AssertionError(f"{plan.dag_id}: the emitted file does not contain the plan's tasks")
    compile(tree, f"{plan.dag_id}.py", "exec")


def _read_lists(call: ast.Call) -> tuple[tuple[object, ...], tuple[object, ...]]:
    """Return the literal lists `nodes` and `after` of a call."""
    lists: dict[str, tuple[object, ...]] = {"nodes": (), "after": ()}
    for keyword in call.keywords:
        if keyword.arg in lists:
            if not isinstance(keyword.value, ast.List):
                raise AssertionError("expected a list in the emitted file")
            lists[keyword.arg] = tuple(map(_read_constant, keyword.value.elts))
    return lists["nodes"], lists["after"]


def _read_constant(node: ast.expr) -> object:
    if not isinstance(node, ast.Constant):
        raise AssertionError("expected a constant in the emitted file")  # noqa: TRY004  as all of _verify_file
    return node.value
