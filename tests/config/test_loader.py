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
from tests.scenarios.factory import snapshot

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.kedro_server import Forge

FILE = "conf/base/k8s_airflow.yml"
# Required fields by name: a value that is right, for when another field is the wrong one.
RIGHT = {
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


def bare(annotation: Any) -> Any:
    """An annotation without `| None` and without what `Annotated` says beside the type."""
    if get_origin(annotation) is Annotated:
        return bare(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        (only,) = [kind for kind in get_args(annotation) if kind is not type(None)]
        return bare(only)
    return annotation


def is_model(kind: Any) -> bool:
    # In Python 3.10 `dict[str, int]` passes for a type.
    return get_origin(kind) is None and isinstance(kind, type) and issubclass(kind, BaseModel)


def keys(model: type[BaseModel], above: Path_ = ()) -> Iterator[Key]:
    """Every key of a model, at any depth; `x` stands for a name of the user's, `0` for a place in a list."""
    for name, field in model.model_fields.items():
        path = (*above, name)
        yield Key(path, field.annotation, named=True)
        yield from below(field.annotation, path)


def below(annotation: Any, path: Path_) -> Iterator[Key]:
    kind = bare(annotation)
    if types.Names in (annotation, *get_args(annotation)):
        return  # judged as a whole
    if is_model(kind):
        yield from keys(kind, path)
    elif get_origin(kind) in (dict, list, tuple):
        inside = get_args(kind)[1] if get_origin(kind) is dict else get_args(kind)[0]
        place = (*path, "x" if get_origin(kind) is dict else "0")
        if bare(inside) is not Any:
            yield Key(place, inside, named=False)
            yield from below(inside, place)


KEYS = tuple(keys(models.Settings))
NAMED = tuple(key for key in KEYS if key.named)


def wrong(annotation: Any) -> Any:
    """A value that cannot be right for its type: a text where a map belongs, a map everywhere else."""
    kind = bare(annotation)
    mapping = get_origin(kind) is dict or is_model(kind)
    return "wrong" if mapping else {"wrong": "type"}


def document(path: Path_, value: Any) -> dict[str, Any]:
    """A settings file that is right but for one value."""
    return _filled(models.Settings, path, value)


def _filled(annotation: Any, path: Path_, value: Any) -> Any:
    if not path:
        return value
    kind, (name, *rest) = bare(annotation), path
    if get_origin(kind) is dict:
        return {name: _filled(get_args(kind)[1], tuple(rest), value)}
    if get_origin(kind) in (list, tuple):
        return [_filled(get_args(kind)[0], tuple(rest), value)]
    required = {field: RIGHT[field] for field, info in kind.model_fields.items() if info.is_required()}
    inside = kind.model_fields[name].annotation if name in kind.model_fields else None
    return {**required, name: _filled(inside, tuple(rest), value)}


def refused(raw: dict[str, Any], folder: Path) -> Refused:
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
    findings = refused(document(key.path, wrong(key.annotation)), tmp_path).findings

    assert {(finding.location.file, dotted(finding.location.key)) for finding in findings} == {(FILE, str(key))}
    assert {finding.severity for finding in findings} == {"error"}
    assert all("cannot be used" in finding.message for finding in findings)


@pytest.mark.parametrize("key", NAMED, ids=str)
def test_a_misspelt_key_is_refused_with_the_right_one(key: Key, tmp_path: Path) -> None:
    *above, name = key.path
    findings = refused(document((*above, f"{name}z"), wrong(key.annotation)), tmp_path).findings

    (finding,) = findings
    assert (finding.location.file, dotted(finding.location.key)) == (FILE, f"{key}z")
    assert finding.code == "settings-unknown"
    assert f"Did you mean {name!r}?" in finding.help


def test_an_unknown_key_is_refused_with_the_valid_ones(tmp_path: Path) -> None:
    (finding,) = refused({"image": RIGHT["image"], "dag": {"qqq": 1}}, tmp_path).findings
    assert "schedule" in finding.help
    assert "group_by" in finding.help


def by_parent() -> dict[Path_, list[Key]]:
    """The keys that stand side by side."""
    found: dict[Path_, list[Key]] = defaultdict(list)
    for key in KEYS:
        found[key.path[:-1]].append(key)
    return dict(found)


@pytest.mark.parametrize("parent", by_parent(), ids=lambda path: ".".join(path) or "top")
def test_create_names_every_wrong_key_at_once_and_writes_nothing(parent: Path_, forge: Forge, tmp_path: Path) -> None:
    """By the command line: all keys that stand side by side, each with a wrong value and each misspelt."""
    side_by_side = by_parent()[parent]
    values = {key.path[-1]: wrong(key.annotation) for key in side_by_side}
    misspelt = {f"{key.path[-1]}z": 1 for key in side_by_side if key.named}
    spelt: Any = {**values, **misspelt} if side_by_side[0].path[-1] != "0" else [values["0"]]
    raw = document(parent, spelt) if parent else spelt
    scenario = dataclasses.replace(BY_NAME["plain"], settings=yaml.safe_dump(raw))
    project = make_project(scenario, tmp_path / "project")
    before = snapshot(project)

    done = forge.kedro("k8s-airflow", "create", cwd=project)

    assert done.code == 1
    assert snapshot(project) == before
    assert "Traceback" not in done.err
    expected = [f"{FILE}: {'.'.join((*parent, name))}:" for name in [*values, *misspelt]]
    assert not [place for place in expected if place not in done.said], done.err


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
def test_a_hostile_file_is_refused_by_its_name(content: bytes, forge: Forge, tmp_path: Path) -> None:
    project = make_project(BY_NAME["plain"], tmp_path / "project")
    (project / FILE).write_bytes(content)
    done = forge.kedro("k8s-airflow", "create", cwd=project)
    assert done.code == 1
    assert "Traceback" not in done.err
    assert f"error {FILE}" in re.sub(r"\[[a-z-]+\] ", "", " ".join(done.err.split()))
    assert not (project / "dags").exists()
