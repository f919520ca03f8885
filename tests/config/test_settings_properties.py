"""Any settings file is either right or refused by file and key: drawn from the models, then broken, and drawn from the schema."""

from __future__ import annotations

import json
import re
import string
import typing
from functools import cache
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

import pytest
import yaml
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import BaseModel

from kedro_k8s_airflow import credential_detection
from kedro_k8s_airflow.config import loader, models, operator_arguments, podspec, schema, types
from kedro_k8s_airflow.findings import Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from kedro_k8s_airflow.findings import Finding

jsonschema = pytest.importorskip("jsonschema", reason="this environment has no jsonschema")

FILE = "conf/base/k8s_airflow.yml"
SCHEMA: dict[str, Any] = json.loads(schema.read_schema())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
Place = tuple[str, ...]

# --- settings that are right, from the models

WORDS = st.text(string.ascii_lowercase, min_size=1, max_size=6)
TEXTS = st.text(min_size=1, max_size=12).filter(
    lambda text: not credential_detection.may_be_credential(text) and "${" not in text
)
DURATIONS = st.builds("{}{}".format, st.integers(1, 3000), st.sampled_from("smhd"))
QUANTITIES = st.sampled_from(["500m", "2", "1Gi", "1.5G", ".5", "1e3", 2, 0.5, "0"])
LABELS = st.dictionaries(st.sampled_from(["team", "example.com/team", "A_b.c"]), WORDS | st.none(), max_size=2)
DATES = st.dates().map(str) | st.datetimes().map(lambda moment: moment.isoformat(timespec="minutes"))
IMAGES = st.sampled_from(["a", "localhost:5000/a/b", "registry.example.com/a_b:1.0", f"a/b@sha256:{'0' * 64}"])
SCHEDULES = st.one_of(
    st.sampled_from([*types.SCHEDULE_PRESETS, "0 6 * * *", "*/15 6-18 * * 1-5", None]),
    st.fixed_dictionaries({"every": DURATIONS}),
)
VALID_VALUES: list[tuple[Any, st.SearchStrategy[Any]]] = [
    (types.ProjectPath, st.sampled_from(["/app", "/srv/my-project"])),
    (types.BaseImage, st.sampled_from(["python:3.12-slim", f"a/b@sha256:{'0' * 64}"])),
    (types.Variable, WORDS.map(str.upper)),
    (types.OneLine, WORDS),
    (types.Package, st.sampled_from(["libgomp1", "curl=7.88.1-10"])),
    (types.Distribution, WORDS),
    (types.ImageName, WORDS),
    (types.SubPath, st.sampled_from(["a", "a/b c"])),
    (types.Subfolder, st.sampled_from([".", "dags", "dags/flights", "./a b/ümlaut/"])),
    (types.Resource, st.sampled_from(["cpu", "memory", "nvidia.com/gpu", "hugepages-2Mi"])),
    (types.VolumeName, WORDS.map(lambda word: f"v-{word}")),
    (types.Pool, WORDS),
    (types.Duration, DURATIONS),
    (types.Quantity, QUANTITIES),
    (types.Seconds, DURATIONS | st.integers(1, 10**6)),
    (types.Moment, DATES),
    (types.Schedule, SCHEDULES),
    (types.Timezone, st.sampled_from(["UTC", "Europe/Paris"])),
    (types.Names, TEXTS | st.lists(TEXTS, min_size=1, max_size=3)),
    (types.Image, IMAGES),
    (types.DnsLabel, WORDS),
    (types.DnsName, WORDS | st.just("a.b-c.d")),
    (types.Mount, st.sampled_from(["data", "data/", "./data/x", "/mnt/data"])),
    (types.Text, TEXTS),
    (types.Labels, LABELS),
    (types.Annotations, st.dictionaries(st.sampled_from(["team", "example.com/team"]), TEXTS | st.none(), max_size=2)),
    (types.JsonObject, st.dictionaries(WORDS, WORDS, max_size=2)),
]
ARGUMENTS = SCHEMA["$defs"]["TaskRule"]["properties"]["operator"]["properties"]
VALUES: dict[str, Any] = {
    "bool": True,
    "int": 3,
    "float": 0.5,
    "str": "x",
    "list": ["x"],
    "dict": {"x": "y"},
    "duration": "90s",
    "datetime": "2026-01-31",
}
OPERATOR = st.sets(st.sampled_from(sorted(ARGUMENTS)), max_size=3).map(
    lambda names: {name: VALUES[operator_arguments.load_argument_table()[name]["type"][0]] for name in sorted(names)}
)


def alias_strategy(annotation: Any) -> st.SearchStrategy[Any] | None:
    """What a field of fields.py may hold."""
    return next((right for alias, right in VALID_VALUES if alias is annotation), None)


def split_union(annotation: Any) -> tuple[list[Any], bool]:
    """The alternatives of an annotation, and whether null is one."""
    kinds = list(get_args(annotation)) if get_origin(annotation) in (Union, UnionType) else [annotation]
    return [kind for kind in kinds if kind is not type(None)], type(None) in kinds


def key_annotations(model: type[BaseModel]) -> dict[str, Any]:
    """The annotations of a model's keys, with what `Annotated` adds."""
    found = typing.get_type_hints(model, include_extras=True)
    return {name: found[name] for name in model.model_fields}


def is_model(kind: Any) -> bool:
    return get_origin(kind) is None and isinstance(kind, type) and issubclass(kind, BaseModel)


def valid_values(annotation: Any) -> st.SearchStrategy[Any]:
    """What is right for an annotation."""
    (kind,), nullable = split_union(annotation)
    inner = _values_of_kind(kind)
    return inner | st.none() if nullable else inner


def _values_of_kind(kind: Any) -> st.SearchStrategy[Any]:
    special = alias_strategy(kind)
    if special is not None:
        return special
    if kind == models.Retries:
        return st.integers(0, 10)
    if get_origin(kind) is Annotated:
        return st.integers(1, 10) if get_args(kind)[0] is int else valid_values(get_args(kind)[0])
    if is_model(kind):
        return valid_maps(kind)
    if get_origin(kind) is Literal:
        return st.sampled_from(get_args(kind))
    if get_origin(kind) is dict:
        return st.dictionaries(*map(valid_values, get_args(kind)), max_size=2)
    if get_origin(kind) in (list, tuple):
        return st.lists(valid_values(get_args(kind)[0]), max_size=2)
    plain = {bool: st.booleans(), int: st.integers(0, 10**6), str: TEXTS}
    return plain[kind]


@cache
def valid_maps(model: type[BaseModel]) -> st.SearchStrategy[dict[str, Any]]:
    """Maps that are right for a model: what is required, and a few other keys."""
    found = key_annotations(model)
    required = [name for name, info in model.model_fields.items() if info.is_required()]
    others = [name for name in found if name not in required]
    exact = EXACTLY_ONE.get(model)
    if exact is not None:
        chosen = st.sampled_from([name for name in others if name not in exact]).map(lambda name: [name])
    else:
        chosen = st.lists(st.sampled_from(others), unique=True, max_size=4) if others else st.just([])
    return chosen.flatmap(
        lambda names: st.fixed_dictionaries(
            {name: valid_key_values(model, name, found[name]) for name in [*required, *names]}
        )
    ).map(COMPLETED.get(model, dict))


def valid_key_values(model: type[BaseModel], name: str, annotation: Any) -> st.SearchStrategy[Any]:
    """What is right for a key of a model, where the model itself has more to say than the annotation."""
    for own in ((model, name), (None, name)):
        if own in KEY_VALUES:
            return KEY_VALUES[own]
    right = valid_values(annotation)
    return right.filter(lambda value: value is not None) if model in EXACTLY_ONE or model is models.Match else right


EXACTLY_ONE: dict[type[BaseModel], tuple[str, ...]] = {
    podspec.EnvSource: (),
    podspec.EnvVar: (),
    podspec.EnvFrom: ("prefix",),
    podspec.PodVolume: (),
}
KEY_VALUES: dict[tuple[type[BaseModel] | None, str], st.SearchStrategy[Any]] = {
    (None, "operator"): OPERATOR,
    (podspec.Toleration, "operator"): st.sampled_from(["Exists", "Equal", None]),
    (podspec.EnvVar, "name"): WORDS.map(str.upper).filter(lambda name: not credential_detection.is_secret_name(name)),
    (None, "params"): st.lists(WORDS, max_size=2),
    (None, "prefix"): st.sampled_from([[], ["uv", "run", "--no-sync"], ["nice"]]),
    (None, "doc_md"): TEXTS.filter(lambda text: not text.endswith(".md")),
    (None, "profile"): st.none(),  # of a rule: whether there is one is not the schema's to say
    (None, "profiles"): st.dictionaries(
        st.sampled_from(["gpu", "a-b.c_1"]), st.deferred(lambda: valid_maps(models.TaskSettings)), max_size=2
    ),
    (None, "match"): st.deferred(lambda: valid_maps(models.Match)),
}


def _add_store_path(data: dict[str, Any]) -> dict[str, Any]:
    return {**data, "store": {"path": "data/store"}} if data.get("memory") == "store" else data


def _drop_duplicate_env(task: dict[str, Any]) -> dict[str, Any]:
    env = task.get("env")
    return {**task, "env": list({one["name"]: one for one in env}.values())} if env else task


def _complete_settings(settings: dict[str, Any]) -> dict[str, Any]:
    result = {**settings}
    for name, annotation in key_annotations(models.Settings).items():
        if name in settings and get_origin(annotation) is dict:  # dropped by null is only what another file defines
            result[name] = {one: value for one, value in settings[name].items() if value is not None}
    if "dag" in settings:
        result["dag"] = {name: value for name, value in settings["dag"].items() if name != "pipeline"}
    if "images" in settings:
        images = settings["images"].items()
        result["images"] = {
            one: {key: v for key, v in image_settings.items() if key != "prefix"} for one, image_settings in images
        }
    return result


COMPLETED: dict[type[BaseModel], Callable[[dict[str, Any]], dict[str, Any]]] = {
    models.Match: lambda match: match or {"node": "a"},
    models.DataSettings: _add_store_path,
    models.TaskRule: _drop_duplicate_env,
    models.TaskSettings: _drop_duplicate_env,
    models.Settings: _complete_settings,
}
DOCUMENTS = valid_maps(models.Settings)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a place for its settings."""
    project_folder = tmp_path_factory.mktemp("project")
    (project_folder / FILE).parent.mkdir(parents=True)
    return project_folder


def refusal_of(content: Any, folder: Path) -> tuple[Finding, ...]:
    """Why a file of that content is refused; nothing when it is accepted."""
    try:
        check_settings(content, folder)
    except Refused as why:
        return why.findings
    return ()


def check_settings(content: Any, folder: Path) -> models.Settings:
    """The settings of a file of that content."""
    (folder / FILE).write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    return loader.load_settings(content, [folder / FILE], folder)


@given(content=DOCUMENTS)
def test_settings_that_the_models_allow_are_accepted_by_check_and_by_editors(
    folder: Path, content: dict[str, Any]
) -> None:
    # A name may look like a credential.
    assume({finding.code for finding in refusal_of(content, folder)} != {"secret"})
    assert check_settings(content, folder).image == content["image"]
    assert [error.message for error in VALIDATOR.iter_errors(content)] == []


# --- broken

ALWAYS: list[Any] = [{"wrong": "type"}, [{"wrong": "type"}]]
WRONG_VALUES: list[tuple[Any, list[Any]]] = [
    (types.Duration, ["90", 90, "5 minutes", "1w", "-1s", "0s", "", "1.5h", "٣s", True, 10**400, "9" * 400 + "d"]),
    (types.Seconds, ["90", "1w", -1, True, 1.5, "-1s", ""]),
    (types.Quantity, ["1 GB", "1GB", "-1", -1, "", "one", True, float("nan"), float("inf"), "1ei"]),
    (types.Labels, [[], "a", {"a b": "c"}, {"a": "b c"}, {"a": 1}, {"": "a"}, {"a": "b" * 64}]),
    (types.Annotations, [[], "a", {"a b": "c"}, {"a": 1}, {"a/b/c": "d"}]),
    (types.Image, ["", "Team/x", "a:latest", "a b", 1, "a@sha256:0", "a:"]),
    (types.BaseImage, ["", "python", "python:latest", 3.12]),
    (types.DnsLabel, ["", "A", "a_b", "-a", "a" * 64, 1]),
    (types.DnsName, ["", "A", "a_b", "a..b", "a" * 254, 1]),
    (types.VolumeName, ["", "A", "tmp", "scratch-0", 1]),
    (types.Mount, ["", ".", "..", "a/../b", "/", "C:\\data", 1]),
    (types.SubPath, ["", "/a", "a/..", 1]),
    (types.Subfolder, ["", "/a", "a/..", "c:x", "a\\b", ".git/hooks", "a/.GIT", "a\nb", 1]),
    (types.ProjectPath, ["", "app", "/app/", "/", "/a b", 1]),
    (types.Moment, ["", "yesterday", "2026-13-01", "2026-01-31T06:00+01:00", True, None]),
    (
        types.Schedule,
        ["", "@dayly", "0 0 * * * *", "61 * * * *", 5, {"every": "1w"}, {"each": "1h"}, True, "H * * * *"],
    ),
    (types.Timezone, ["", "Mars/Base", "../../etc/passwd", "\x00", "a" * 5000, 1]),
    (types.Names, [[], 1, True, [1], [[]]]),
    (types.Text, ["", 1, True]),
    (types.OneLine, ["a\nb", "\x00", 1]),
    (types.Variable, ["", "1A", "a-b", "a b", 1]),
    (types.Package, ["", "A", "a; rm -rf /", "a b", 1]),
    (types.Distribution, ["", "-a", "a b", 1]),
    (types.Pool, ["", "a b", "a" * 251, 1]),
    (types.JsonObject, ["a", 1, True]),
]


def break_value(content: Any, annotation: Any, above: Place = ()) -> Iterator[tuple[Place, Any, Place]]:
    """Every way to break a value that is right: where, what to put there, and the key that has to be named."""
    (kind,), nullable = split_union(annotation)
    named = next((wrong for alias, wrong in WRONG_VALUES if alias is kind), None)
    if named is not None:
        for wrong in [*named, *([] if kind in (types.Names, types.Labels) else ALWAYS)]:
            inside = tuple(wrong)[:1] if kind in (types.Labels, types.Annotations) and isinstance(wrong, dict) else ()
            if not (wrong is None and nullable) and not (kind is types.JsonObject and isinstance(wrong, dict)):
                yield above, wrong, (*above, *inside)
        return
    if get_origin(kind) is Annotated and alias_strategy(kind) is None:
        yield from break_value(content, get_args(kind)[0], above)
    elif is_model(kind):
        for wrong in ("a", 1, True, [], ["a"], *([{}] if kind is models.Match else []), *([] if nullable else [None])):
            if above and not (wrong is None and len(above) == 1):
                yield above, wrong, above
        if isinstance(content, dict):
            yield (*above, "zzz"), 1, (*above, "zzz")
            for name, found in key_annotations(kind).items():
                if name in content and name != "operator":
                    yield from break_value(content[name], found, (*above, name))
            if kind is models.TaskRule:
                yield (*above, "operator"), {"zzz": 1}, (*above, "operator", "zzz")
                yield (*above, "operator"), {"poll_interval": "soon"}, (*above, "operator", "poll_interval")
                yield (*above, "operator"), {"retries": 1}, (*above, "operator", "retries")
    elif get_origin(kind) is Literal:
        for wrong in ("zzz", 1, True, *ALWAYS):
            yield above, wrong, above
    elif get_origin(kind) is dict:
        for wrong in ("a", 1, [], *([] if nullable or len(above) == 1 else [None])):
            yield above, wrong, above
        for name, value in content.items() if isinstance(content, dict) else ():
            yield from break_value(value, get_args(kind)[1], (*above, name))
        if get_args(kind)[0] is types.Resource:
            yield (*above, "memmory"), "1Gi", (*above, "memmory")
    elif get_origin(kind) in (list, tuple):
        for wrong in ("a", 1, {"a": "b"}, *([] if nullable else [None])):
            yield above, wrong, above
        for index, value in enumerate(content if isinstance(content, list) else ()):
            yield from break_value(value, get_args(kind)[0], (*above, str(index)))
    elif kind in (bool, int, str):
        for wrong in ALWAYS + {bool: ["yes", 1], int: ["1", True, 1.5], str: [1, True]}[kind]:
            yield above, wrong, above


def replace_at(content: Any, key_path: Place, value: Any) -> Any:
    """The content with another value at a place."""
    if not key_path:
        return value
    name, *rest = key_path
    if isinstance(content, list):
        return [replace_at(one, tuple(rest), value) if str(at) == name else one for at, one in enumerate(content)]
    return {**content, name: replace_at(content.get(name, {}), tuple(rest), value)}


@given(data=st.data())
def test_settings_with_one_invalid_value_are_refused_by_its_key(folder: Path, data: st.DataObject) -> None:
    content = data.draw(DOCUMENTS)
    ways = list(break_value(content, models.Settings))
    depth = data.draw(st.sampled_from(sorted({len(place) for place, _, _ in ways})))
    place, wrong, named = data.draw(st.sampled_from([way for way in ways if len(way[0]) == depth]))
    findings = refusal_of(replace_at(content, place, wrong), folder)
    assume({finding.code for finding in findings} != {"secret"})
    assert {finding.severity for finding in findings} == {"error"}
    assert (FILE, tuple(named)) in {(finding.location.file, finding.location.key) for finding in findings}


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(data=st.data())
def test_arbitrary_values_never_cause_a_traceback(folder: Path, data: st.DataObject) -> None:
    content = data.draw(DOCUMENTS)
    key_paths = sorted({place for place, _, _ in break_value(content, models.Settings)})
    mutated = replace_at(content, data.draw(st.sampled_from(key_paths)), data.draw(ANYTHING))
    assert [one for one in refusal_of(mutated, folder) if one.location.file != FILE or not one.location.key] == []


# --- drawn from the schema


def draw_from_schema(schema: Any) -> st.SearchStrategy[Any]:
    """Values that a schema accepts; as far as ours goes, and without references by `${...}`."""
    if schema is True or not schema:
        return st.dictionaries(WORDS, WORDS, max_size=2) | WORDS
    if "$ref" in schema:
        return _definition(schema["$ref"].rpartition("/")[2])
    if "anyOf" in schema:
        return st.one_of(
            [
                draw_from_schema(one)
                for one in schema["anyOf"]
                if one.get("pattern") != r"\$\{" or "object" in one["type"]
            ]
        )
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    kinds = [schema["type"]] if isinstance(schema["type"], str) else schema["type"]
    return st.one_of(
        [_draw_kind(kind, schema) for kind in kinds if (kind, schema.get("pattern")) != ("string", r"\$\{")]
    )


@cache
def _definition(name: str) -> st.SearchStrategy[Any]:
    return st.deferred(lambda: draw_from_schema(SCHEMA["$defs"][name]))


def _draw_kind(kind: str, schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    low = schema.get("minimum")
    high = schema["exclusiveMaximum"] - 1 if "exclusiveMaximum" in schema else None
    if kind == "object":
        return _draw_object(schema)
    if kind == "array":
        return st.lists(draw_from_schema(schema.get("items", True)), min_size=schema.get("minItems", 0), max_size=3)
    if kind == "string":
        return _draw_text(schema)
    return {
        "boolean": st.booleans(),
        "integer": st.integers(low, high),
        "null": st.none(),
        "number": st.floats(low, allow_nan=False, allow_infinity=False) | st.integers(low),
    }[kind]


def _draw_text(schema: dict[str, Any]) -> st.SearchStrategy[str]:
    pattern = schema.get("pattern", "").removesuffix(r"|\$\{")
    longest = schema.get("maxLength", 300)
    if pattern:
        return st.from_regex(re.compile(pattern), fullmatch=True).filter(lambda text: len(text) <= longest)
    return st.text(min_size=schema.get("minLength", 0), max_size=min(longest, 20)).filter(lambda text: "${" not in text)


def _draw_object(schema: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    known = schema.get("properties", {})
    if not known:
        names = _draw_text(schema.get("propertyNames", {}))
        return st.dictionaries(names, draw_from_schema(schema.get("additionalProperties", True)), max_size=2)
    needed = schema.get("required", [])
    others = [name for name in known if name not in needed]
    least = max(0, schema.get("minProperties", 0) - len(needed))
    most = schema.get("maxProperties", 4)
    chosen = st.lists(st.sampled_from(others), unique=True, min_size=least, max_size=most) if others else st.just([])
    return chosen.flatmap(
        lambda names: st.fixed_dictionaries({name: draw_from_schema(known[name]) for name in [*needed, *names]})
    )


@given(content=draw_from_schema(SCHEMA), image=IMAGES)
def test_schema_valid_settings_are_refused_only_for_their_meaning(
    folder: Path, content: dict[str, Any], image: str
) -> None:
    content = {**content, "image": image}
    assert [error.message for error in VALIDATOR.iter_errors(content)] == []
    # Nothing is unknown or of a wrong type: what remains are checks of ours, and what another file may bring.
    shape = {"settings-unknown", "settings-type"}
    assert [one for one in refusal_of(content, folder) if one.code in shape] == []
