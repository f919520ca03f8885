"""Each key of the settings file, wrong: refused with the file, the key and what would be right.

The keys come from the pydantic models themselves, so a new one is tested without being named here.
"""

from __future__ import annotations

import dataclasses
import re
from collections import defaultdict
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Union, get_args, get_origin

import pytest
import yaml
from pydantic import BaseModel

from kedro_k8s_airflow.config import loader, models, types
from kedro_k8s_airflow.findings import Refused
from kedro_k8s_airflow.locations import dotted
from tests.scenarios import BY_NAME, make_project
from tests.scenarios.factory import read_tree

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.kedro_server import KedroServer

FILE = "conf/base/k8s_airflow.yml"
_OPERATOR = ("tasks", "a", "operator")
# Required fields by name: a value that is right, for when another field is the wrong one.
VALID_VALUES = {
    "claim": "flights",
    "image": "registry.example.com/team/x",
    "key": "k",
    "mount": "data",
    "mountPath": "/x",
    "name": "n",
    "slack": "conn",
}

Path_ = tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Key:
    """A place in the settings file, and the annotation of what belongs there."""

    path: Path_
    annotation: Any
    named: bool

    def __str__(self) -> str:
        return ".".join(self.path)


def strip_annotation(annotation: Any) -> Any:
    """An annotation without `| None` and without what `Annotated` says beside the type."""
    if get_origin(annotation) is Annotated:
        return strip_annotation(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        (only,) = [kind for kind in get_args(annotation) if kind is not type(None)]
        return strip_annotation(only)
    return annotation


def is_model(kind: Any) -> bool:
    # In Python 3.10 `dict[str, int]` passes for a type.
    return get_origin(kind) is None and isinstance(kind, type) and issubclass(kind, BaseModel)


def list_keys(model: type[BaseModel], above: Path_ = ()) -> Iterator[Key]:
    """Every key of a model, at any depth; `x` stands for a name of the user's, `0` for a place in a list."""
    for name, field in model.model_fields.items():
        path = (*above, name)
        yield Key(path, field.annotation, named=True)
        yield from keys_below(field.annotation, path)


def keys_below(annotation: Any, path: Path_) -> Iterator[Key]:
    kind = strip_annotation(annotation)
    if types.Names in (annotation, *get_args(annotation)):
        return  # judged as a whole
    if is_model(kind):
        yield from list_keys(kind, path)
    elif get_origin(kind) in (dict, list, tuple):
        inside = get_args(kind)[1] if get_origin(kind) is dict else get_args(kind)[0]
        key_path = (*path, "x" if get_origin(kind) is dict else "0")
        if strip_annotation(inside) is not Any:
            yield Key(key_path, inside, named=False)
            yield from keys_below(inside, key_path)


KEYS = tuple(list_keys(models.Settings))
NAMED_KEYS = tuple(key for key in KEYS if key.named)


def make_wrong_value(annotation: Any) -> Any:
    """A value that cannot be right for its type: a text where a map belongs, a map everywhere else."""
    kind = strip_annotation(annotation)
    mapping = get_origin(kind) is dict or is_model(kind)
    return "wrong" if mapping else {"wrong": "type"}


def make_document(path: Path_, value: Any) -> dict[str, Any]:
    """A settings file that is right but for one value."""
    return _fill_path(models.Settings, path, value)


def _fill_path(annotation: Any, path: Path_, value: Any) -> Any:
    if not path:
        return value
    kind, (name, *rest) = strip_annotation(annotation), path
    if get_origin(kind) is dict:
        return {name: _fill_path(get_args(kind)[1], tuple(rest), value)}
    if get_origin(kind) in (list, tuple):
        return [_fill_path(get_args(kind)[0], tuple(rest), value)]
    required = {field: VALID_VALUES[field] for field, info in kind.model_fields.items() if info.is_required()}
    inside = kind.model_fields[name].annotation if name in kind.model_fields else None
    return {**required, name: _fill_path(inside, tuple(rest), value)}


def load_refused_settings(raw: dict[str, Any], folder: Path) -> Refused:
    file = folder / FILE
    file.parent.mkdir(parents=True)
    file.write_text(yaml.safe_dump(raw), encoding="utf-8")
    with pytest.raises(Refused) as caught:
        loader.load_settings(raw, [file], folder)
    return caught.value


def test_the_models_hold_the_keys_of_the_design() -> None:
    known = {str(key) for key in KEYS}
    assert {"image", "data.volumes.x.claim", "dag.schedule", "dags.x.pipeline", "tasks.x.match.tag"} <= known
    assert {"groups.x.tag", "tasks.x.env.0.valueFrom.secretKeyRef.key", "tasks.x.resources.limits.x"} <= known
    assert len(known) == len(KEYS) > 200


@pytest.mark.parametrize("key", KEYS, ids=str)
def test_a_value_of_the_wrong_type_is_refused_by_file_and_key(key: Key, tmp_path: Path) -> None:
    findings = load_refused_settings(make_document(key.path, make_wrong_value(key.annotation)), tmp_path).findings

    assert {(finding.location.file, dotted(finding.location.key)) for finding in findings} == {(FILE, str(key))}
    assert {finding.severity for finding in findings} == {"error"}
    assert all("cannot be used" in finding.message for finding in findings)


@pytest.mark.parametrize("key", NAMED_KEYS, ids=str)
def test_a_misspelt_key_is_refused_with_the_right_one(key: Key, tmp_path: Path) -> None:
    *above, name = key.path
    findings = load_refused_settings(
        make_document((*above, f"{name}z"), make_wrong_value(key.annotation)), tmp_path
    ).findings

    (finding,) = findings
    assert (finding.location.file, dotted(finding.location.key)) == (FILE, f"{key}z")
    assert finding.code == "settings-unknown"
    assert f"Did you mean {name!r}?" in finding.help


def test_an_unknown_key_is_refused_with_the_valid_ones(tmp_path: Path) -> None:
    (finding,) = load_refused_settings({"image": VALID_VALUES["image"], "dag": {"qqq": 1}}, tmp_path).findings
    assert "schedule" in finding.help
    assert "group_by" in finding.help


def group_keys_by_parent() -> dict[Path_, list[Key]]:
    """The keys that stand side by side."""
    found: dict[Path_, list[Key]] = defaultdict(list)
    for key in KEYS:
        found[key.path[:-1]].append(key)
    return dict(found)


@pytest.mark.parametrize("parent", group_keys_by_parent(), ids=lambda path: ".".join(path) or "top")
def test_create_names_every_wrong_key_at_once_and_writes_nothing(
    parent: Path_, kedro: KedroServer, tmp_path: Path
) -> None:
    """By the command line: all keys that stand side by side, each with a wrong value and each misspelt."""
    side_by_side = group_keys_by_parent()[parent]
    values = {key.path[-1]: make_wrong_value(key.annotation) for key in side_by_side}
    misspelt = {f"{key.path[-1]}z": 1 for key in side_by_side if key.named}
    spelt: Any = {**values, **misspelt} if side_by_side[0].path[-1] != "0" else [values["0"]]
    raw = make_document(parent, spelt) if parent else spelt
    scenario = dataclasses.replace(BY_NAME["plain"], settings=yaml.safe_dump(raw))
    project = make_project(scenario, tmp_path / "project")
    before = read_tree(project)

    result = kedro.run_command("k8s-airflow", "create", cwd=project)

    assert result.code == 1
    assert read_tree(project) == before
    assert "Traceback" not in result.err
    expected = [f"{FILE}: {'.'.join((*parent, name))}:" for name in [*values, *misspelt]]
    assert not [place for place in expected if place not in result.output], result.err


_IMAGE = b"image: registry.example.com/x\n"
HOSTILE = {
    "no-text": b"\xff\xfe\x00",
    "latin-1": b"image: \xe9\n",
    "tab": b"image:\n\t- a\n",
    "python-object": b"image: !!python/object/apply:os.system [true]\n",
    "list": b"- a\n",
    "nothing": b"",
    "null-key": _IMAGE + b"null: 1\n",
    "number-key": _IMAGE + b"1: 1\n",
    "rule-named-by-a-number": _IMAGE + b"tasks: {1: {retries: 1}}\n",
    "label-named-by-a-number": _IMAGE + b"tasks: {x: {labels: {1.5: a}}}\n",
    "recursive": _IMAGE + b"tasks: &a {x: *a}\n",
    "deep-lists": _IMAGE + b"tasks: " + b"[" * 3000 + b"]" * 3000,
    "deep-maps": _IMAGE + b"tasks: " + b"{a: " * 500 + b"1" + b"}" * 500,
    "half-a-reference": _IMAGE + b"namespace: ${x\n",
    "reference-to-nothing": _IMAGE + b"namespace: ${globals:x}\n",
    "twice": _IMAGE + b"image: b/c\n",
    "two-documents": _IMAGE + b"---\na: 1\n",
    "huge-number": _IMAGE + b"dag: {retries: " + b"9" * 5000 + b"}\n",
    "not-a-number": _IMAGE + b"dag: {retries: .nan}\n",
    "infinite": _IMAGE + b"tasks: {x: {resources: {limits: {cpu: .inf}}}}\n",
    "nul": _IMAGE + b'namespace: "a\\0b"\n',
    "set": _IMAGE + b"data: {discard: !!set {a, b}}\n",
    "bytes": _IMAGE + b"namespace: !!binary aGVsbG8=\n",
    "pairs": _IMAGE + b"tasks: !!omap [a: 1]\n",
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=list(HOSTILE))
def test_malformed_file_is_refused_by_name(content: bytes, kedro: KedroServer, tmp_path: Path) -> None:
    project = make_project(BY_NAME["plain"], tmp_path / "project")
    (project / FILE).write_bytes(content)
    result = kedro.run_command("k8s-airflow", "create", cwd=project)
    assert result.code == 1
    assert "Traceback" not in result.err
    assert f"error {FILE}" in re.sub(r"\[[a-z-]+\] ", "", " ".join(result.err.split()))
    assert not (project / "dags").exists()


@pytest.mark.parametrize(
    ("dag", "words"),
    [
        ({"tags": ["t" * 101]}, "it must be a text of at most 100 characters."),
        ({"tags": [""]}, "it must be a text of at least 1 character."),
        ({"owner": ""}, "it must be a text of at least 1 character."),
        ({"retries": -1}, "it must be 0 or more."),
        ({"retries": 2**31}, "it must be less than 2147483648."),
        ({"max_active_runs": 0}, "it must be 1 or more."),
        ({"params": {"x": {"enum": []}}}, "it must be a list or map of at least 1 item."),
        ({"params": [1]}, "1 in the list is not the name of a parameter."),
        ({"schedule": "0 6 31 2 *"}, "it never comes: no month of '2' has a day '31'."),
        ({"schedule": "0 6 31 4,jun *"}, "it never comes: no month of '4,jun' has a day '31'."),
        ({"schedule": "0 25 * * *"}, "'25' is not the hour of a cron expression (0-23, lists, ranges, steps)."),
        ({"schedule": "0 6 * * mon-xyz"}, "'mon-xyz' is not the weekday of a cron expression"),
        ({"schedule": "0 6 * * * *"}, "a cron expression has five fields"),
        ({"schedule": "H 6 * * *"}, "'H' would be another time on each machine"),
    ],
    ids=str,
)
def test_what_a_value_must_be_is_said_in_our_words(dag: dict[str, Any], words: str, tmp_path: Path) -> None:
    (finding,) = load_refused_settings({"image": VALID_VALUES["image"], "dag": dag}, tmp_path).findings
    assert words in finding.message
    assert not re.search(r"should|validation|Tuple|String", finding.message)


@pytest.mark.parametrize(
    "schedule", ["0 6 29 2 *", "0 6 31 2 1", "*/5 0-6,12 1,15 jan-mar sun", "0 0 L * *", "0 6 * * 7"]
)
def test_a_schedule_that_comes_is_taken(schedule: str) -> None:
    assert (
        models.parse_settings({"image": VALID_VALUES["image"], "dag": {"schedule": schedule}}).dag.schedule == schedule
    )


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("tasks: {a: {operator: {params: {1: x}}}}", ("tasks", "a", "operator", "params", "1")),
        (
            "tasks: {a: {operator: {executor_config: {x: [{true: y}]}}}}",
            (*_OPERATOR, "executor_config", "x", "0", "True"),
        ),
        (
            "tasks: {a: {operator: {pod_template_dict: {spec: {2.5: x}}}}}",
            (*_OPERATOR, "pod_template_dict", "spec", "2.5"),
        ),
        ("tasks: {a: {affinity: {nodeAffinity: {1: {}}}}}", ("tasks", "a", "affinity", "nodeAffinity", "1")),
        ("dag: {params: {1: {}}}", ("dag", "params", "1")),
        ("profiles: {gpu: {operator: {params: {1: x}}}}", ("profiles", "gpu", "operator", "params", "1")),
    ],
)
def test_a_key_that_is_not_text_is_refused(tmp_path: Path, text: str, path: Path_) -> None:
    file = tmp_path / FILE
    file.parent.mkdir(parents=True)
    file.write_text(f"image: registry.example.com/one:1\n{text}\n")
    with pytest.raises(Refused) as refused:
        loader.load_settings(yaml.safe_load(file.read_text()), [file], tmp_path)
    (finding,) = refused.value.findings
    assert finding.code in ("settings-type", "settings-value")
    assert (finding.location.file, finding.location.key) == (FILE, path)


@pytest.mark.parametrize("path", ["/app/../etc", "/..", "/app/./x", "/app/..", "/opt/venv", "/lib64/x", "/run/x"])
def test_a_project_path_that_leaves_its_folder_or_holds_files_of_the_system_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="project_path"):
        models.parse_settings({"image": "registry.example.com/one:1", "project_path": path})


@pytest.mark.parametrize("path", ["/app", "/opt/..x/y", "/srv/a.b", "/opt/venv2"])
def test_a_project_path_of_its_own_is_accepted(path: str) -> None:
    assert models.parse_settings({"image": "registry.example.com/one:1", "project_path": path}).project_path == path
