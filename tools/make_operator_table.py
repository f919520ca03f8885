"""Write, or check, the table of arguments that a task's ``operator:`` settings may hold.

    python make_operator_table.py --write kedro_k8s_airflow/config/operator_arguments.json            # in one Airflow
    python make_operator_table.py --write TABLE.json --merge kedro_k8s_airflow/config/operator_arguments.json   # in the next
    python make_operator_table.py --check kedro_k8s_airflow/config/operator_arguments.json            # 1 and a diff when stale

Runs inside an Airflow environment with the Kubernetes provider. What an environment has is read from the constructors
of ``KubernetesPodOperator`` and ``BaseOperator``; what signatures can't tell stands in ``FACTS`` below. ``--merge``
takes what the other Airflow majors have from a table (the one that is being written, as a rule). Output is the same
bytes in any environment, given the same signatures: sorted, one argument a line.

The table is a list of rows::

    name        of the argument
    owner       "KubernetesPodOperator" | "BaseOperator": the class whose constructor takes it
    airflow     majors that have it, of "2.11" and "3"; empty: gone from both, kept for its successor
    type        words for the YAML values that every one of these majors takes: bool int float str list dict
                duration datetime any. Empty: it takes a Python object that YAML cannot spell
    null        whether null is a value, too
    successor   the argument to use instead, or null
    deprecated  what is wrong with it, or null
    since       the first version that has it, where that is later than the oldest we support, or null
    annotation  by major, as in the source: what ``type`` and ``null`` were read from
"""

from __future__ import annotations

import argparse
import difflib
import inspect
import json
import os
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

MAJORS = ("2.11", "3")
TYPE_LABELS = ("bool", "int", "float", "str", "list", "dict", "duration", "datetime", "any")

# Alternatives of an annotation, and the word for the YAML value that serves. What matches nothing, YAML can't spell.
PATTERNS = (
    (r"bool|int|float|str", None),  # the word itself
    (r"timedelta", "duration"),
    (r"datetime", "datetime"),
    (r"Any", "any"),
    (r"Literal\[True\]", "bool"),
    (r"WeightRuleParam", "str"),
    (r"dict|dict\[str, \w+\]|(collections\.abc\.)?MutableMapping(\[.*\])?", "dict"),
    (r"k8s\.V1\w+", "dict"),
    (r"(list|Iterable|Sequence|Container)\[(str|int|k8s\.V1\w+)\]", "list"),
)

# Where the annotation promises more than is so, or less. Measured with provider 10.25.0 on 2.11.2 and 3.3.2:
# these take models, and refuse dicts, some of them only when the pod is built. The Secret class has no plain form.
MODELS_ONLY = ("full_pod_spec", "pod_runtime_info_envs", "ports", "secrets", "volume_mounts", "volumes")
TYPES: dict[str, list[str]] = {
    **{name: [] for name in MODELS_ONLY},
    # 2.11 takes a bool alone, 3 a number: true is 2.0 there (serialized_objects), so a bool means the same in both.
    "retry_exponential_backoff": ["bool"],
    "retry_delay": ["duration"],
    "max_retry_delay": ["duration"],
    "inlets": [],
    "outlets": [],
}

NO_EMAIL = "Airflow 3 warns: use dag.on_failure or dag.on_success with a notifier"

# What signatures can't tell. Rows of names that no class takes any more have an owner here.
RESOLVED_ARGUMENTS: dict[str, dict[str, str]] = {
    "durable": {"since": "Airflow 3.3", "deprecated": "warns on Airflow below 3.3, where it does nothing"},
    "email": {"deprecated": NO_EMAIL},
    "email_on_failure": {"deprecated": f"{NO_EMAIL} (silent as long as there is no email)"},
    "email_on_retry": {"deprecated": f"{NO_EMAIL} (silent as long as there is no email)"},
    "is_delete_operator_pod": {"successor": "on_finish_action", "deprecated": "accepted and ignored by the provider"},
    "node_selectors": {
        "owner": "KubernetesPodOperator",
        "successor": "node_selector",
        "deprecated": "removed from the provider",
    },
    "reattach_on_restart": {"successor": "durable", "deprecated": "the provider warns on every Airflow"},
    "resources": {
        "successor": "container_resources",
        "deprecated": "sizes nothing in Kubernetes: it is Airflow's own bookkeeping",
    },
    "retry_policy": {"since": "Airflow 3.3"},
    "sla": {"deprecated": "Airflow 3 warns and ignores it"},
    "task_concurrency": {"successor": "max_active_tis_per_dag", "deprecated": "removed in Airflow 3, warns on 2.11"},
}

Annotations = dict[str, dict[str, dict[str, str]]]
"""By owner, by argument, by major."""


def main(argv: list[str] | None = None) -> int:
    """Write or check; 1 if the table is stale."""
    parser = argparse.ArgumentParser(description="Write, or check, the table of operator arguments.")
    mode = parser.add_mutually_exclusive_group(required=True)
    mode.add_argument("--write", type=Path, metavar="PATH")
    mode.add_argument("--check", type=Path, metavar="PATH")
    parser.add_argument("--merge", type=Path, metavar="OTHER", help="a table that holds the other Airflow majors")
    args = parser.parse_args(argv)
    other = args.check or args.merge
    old = other.read_text(encoding="utf-8") if other else None
    major, here = read_signatures()
    new = render_table(build_rows(merge_annotations(here, major, json.loads(old) if old else [])))
    if args.write:
        args.write.parent.mkdir(parents=True, exist_ok=True)
        args.write.write_text(new, encoding="utf-8")
        return 0
    if new == old:
        return 0
    arguments, expected = (old or "").splitlines(), new.splitlines()
    diff = difflib.unified_diff(arguments, expected, str(args.check), f"Airflow {major}", n=0, lineterm="")
    print(*diff, sep="\n")
    return 1


def read_signatures() -> tuple[str, Annotations]:
    """Return this environment's major, and the annotations of its two constructors."""
    with tempfile.TemporaryDirectory() as home:
        os.environ["AIRFLOW_HOME"] = home
        os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
        import airflow
        from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
        from airflow.providers.common.compat.sdk import BaseOperator

        major = next((known for known in MAJORS if f"{airflow.__version__}.".startswith(f"{known}.")), None)
        if major is None:
            raise SystemExit(f"Airflow {airflow.__version__} is none of {', '.join(MAJORS)}")
        own = constructor_annotations(KubernetesPodOperator)
        inherited = {name: text for name, text in constructor_annotations(BaseOperator).items() if name not in own}
    return major, {
        owner: {name: {major: text} for name, text in found.items()}
        for owner, found in (("KubernetesPodOperator", own), ("BaseOperator", inherited))
    }


def constructor_annotations(cls: Any) -> dict[str, str]:
    """Return the source text of the annotation of every named argument of a class's constructor."""
    named = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = inspect.signature(cls.__init__).parameters.values()
    return {p.name: _text(p.annotation) for p in parameters if p.kind in named and p.name != "self"}


def _text(annotation: Any) -> str:
    return re.sub(r"\s+", " ", annotation) if isinstance(annotation, str) else inspect.formatannotation(annotation)


def merge_annotations(here: Annotations, major: str, other: list[dict[str, Any]]) -> Annotations:
    """Add to one environment's annotations what a table has of the other majors."""
    merged = {owner: {name: dict(by_major) for name, by_major in found.items()} for owner, found in here.items()}
    for row in other:
        for theirs, text in row["annotation"].items():
            if theirs != major:
                merged[row["owner"]].setdefault(row["name"], {})[theirs] = text
    return merged


def build_rows(found: Annotations) -> list[dict[str, Any]]:
    """Return the rows, sorted by name. Raises ``SystemExit`` when majors disagree and nothing here says who wins."""
    table = [
        build_row(name, owner, {major: by_major[major] for major in MAJORS if major in by_major})
        for owner, names in found.items()
        for name, by_major in names.items()
    ]
    removed = {entry["name"] for entry in table}
    table += [
        build_row(name, facts["owner"], {})
        for name, facts in RESOLVED_ARGUMENTS.items()
        if "owner" in facts and name not in removed
    ]
    return sorted(table, key=lambda entry: (entry["name"], entry["owner"]))


def build_row(name: str, owner: str, by_major: dict[str, str]) -> dict[str, Any]:
    """Return the row of one argument from its annotations by major."""
    read = [describe_annotation(text) for text in by_major.values()]
    allowed = TYPES.get(name)
    if allowed is None:
        allowed = [word for word in TYPE_LABELS if read and all(word in one for one, _ in read)]
        if not allowed and any(one for one, _ in read):
            raise SystemExit(f"{name}: the majors take different values ({by_major}); say which in TYPES")
    facts = RESOLVED_ARGUMENTS.get(name, {})
    return {
        "name": name,
        "owner": owner,
        "airflow": list(by_major),
        "type": allowed,
        "null": bool(read) and all(null for _, null in read),
        "successor": facts.get("successor"),
        "deprecated": facts.get("deprecated"),
        "since": facts.get("since"),
        "annotation": by_major,
    }


def describe_annotation(annotation: str) -> tuple[list[str], bool]:
    """Return the words for the values that an annotation allows, and whether it allows ``None``."""
    found, null = set(), False
    for alternative in split_union(annotation):
        null = null or alternative == "None"
        for pattern, word in PATTERNS:
            if re.fullmatch(pattern, alternative):
                found.add(word or alternative)
                break
    return [word for word in TYPE_LABELS if word in found], null


def split_union(annotation: str) -> list[str]:
    """Split a union at its outermost bars: ``"list[a | b] | None"`` has two."""
    parts, depth, start = [], 0, 0
    for index, character in enumerate(annotation):
        depth += (character in "[(") - (character in "])")
        if character == "|" and depth == 0:
            parts.append(annotation[start:index])
            start = index + 1
    return [part.strip() for part in (*parts, annotation[start:])]


def render_table(table: list[dict[str, Any]]) -> str:
    """Return the file's text: a JSON list, one argument a line."""
    lines = ",\n".join(f" {json.dumps(entry)}" for entry in table)
    return f"[\n{lines}\n]\n"


if __name__ == "__main__":
    sys.exit(main())
