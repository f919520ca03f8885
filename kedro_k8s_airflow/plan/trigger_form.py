"""The trigger form: which field Airflow shows for a parameter, and which values that field cannot carry.

Airflow chooses a field by the JSON schema of a `Param`, and its two front ends choose differently: a template and a script in
Airflow 2.11, a React page in Airflow 3. Both send their values through JavaScript's JSON, which knows one kind of number.
"""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from kedro_k8s_airflow.config.models import FormField

LARGEST_INTEGER = 2**53 - 1
# Airflow 2.11 reads these names from the address of its page, where the link to it puts some of them.
PAGE_NAMES = frozenset({"conf", "execution_date", "origin", "run_id", "unpause"})
# Airflow 3's list of choices uses this text for null.
_NULL_CHOICE = "__null__"
_KINDS = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"}
_FORMATS = {
    "date": (re.compile(r"\d{4}-\d{2}-\d{2}\Z"), "2026-01-31"),
    "time": (re.compile(r"\d{2}:\d{2}:\d{2}\Z"), "06:30:00"),
    "date-time": (re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\+\d{2}:\d{2}\Z"), "2026-01-31T06:30:00+00:00"),
}


def build_schema(value: Any, field: FormField) -> dict[str, Any]:
    """Return the JSON schema with which both front ends show a field that can carry the value.

    Args:
        value: the default.
        field: what the settings say about the field.
    """
    schema: dict[str, Any] = _base_schema(value, field.type)
    if isinstance(value, str) and field.format is None and re.search(r"[\n\r]", value):
        schema["format"] = "multiline"
    described = field.model_dump(exclude_none=True, exclude={"type"})
    return {**schema, **{key: list(item) if isinstance(item, tuple) else item for key, item in described.items()}}


def _base_schema(value: Any, kind: str | None) -> dict[str, Any]:
    if value is None:
        if kind == "array":
            return _json_list("null")
        return {"type": [kind or "string", "null"]}
    if isinstance(value, list):
        return _list_schema(value)
    # A field that is not required: an empty one is sent as null.
    return {"type": ["string", "null"] if value == "" else _KINDS[type(value)]}


def _list_schema(values: list[Any]) -> dict[str, Any]:
    kinds = list(dict.fromkeys("null" if item is None else _KINDS[type(item)] for item in values))
    if kinds == ["string"] and all(map(_fits_line, values)):
        return {"type": ["array", "null"], "items": {"type": "string"}}  # one line for each text
    if not kinds or "string" in kinds:
        return _json_list()
    if "number" in kinds and "integer" in kinds:
        kinds.remove("integer")
    return {"type": "array", "items": {"type": kinds[0] if len(kinds) == 1 else kinds}}


def _json_list(*more: str) -> dict[str, Any]:
    """Return the schema of a list that both front ends edit as JSON, whatever it holds.

    For a list alone, Airflow 2.11 wants `items` without `string` and Airflow 3 wants `items` with a type. With two types, Airflow 3
    edits JSON, and Airflow 2.11 looks for `array` first.
    """
    lists = ["array", *more] if more else "array"
    return {"type": ["array", "object", *more], "items": {"anyOf": [{}]}, "allOf": [{"type": lists}]}


def _fits_line(text: str) -> bool:
    return bool(text) and text == text.strip() and not re.search(r"[\n\r\0]", text)


def find_field_errors(name: str, value: Any, field: FormField) -> Iterator[tuple[str, str]]:
    """Yield message and help for each option of a field that its parameter's default contradicts."""
    kind = "null" if value is None else _KINDS[type(value)]
    shown = json.dumps(value, ensure_ascii=False, default=str)
    if field.type is not None and value is not None:
        yield f"{name!r} has a default of its own type, so `type` has no effect.", "Remove `type`."
    bounds = {key: bound for key in ("minimum", "maximum") if (bound := getattr(field, key)) is not None}
    if bounds and (field.type or kind) not in ("integer", "number"):
        yield f"{name!r} is not a number, so {_list(bounds)} cannot apply.", f"Remove {_list(bounds)}."
    elif bounds:
        if (field.type or kind) == "integer" and any(type(bound) is float for bound in bounds.values()):
            yield f"{name!r} is an integer and has a bound with a fraction.", "Write the bounds as integers."
        if field.minimum is not None and field.maximum is not None and field.minimum > field.maximum:
            yield f"{name!r} has a minimum above its maximum.", "Exchange the two."
        elif value is not None and not (
            (field.minimum is None or field.minimum <= value) and (field.maximum is None or value <= field.maximum)
        ):
            yield f"{name!r} has the default {shown}, which is outside its bounds.", "Change the default or the bounds."
    if field.enum is not None:
        yield from _find_choice_errors(name, value, field, shown)
    if field.format is not None:
        yield from _find_format_errors(name, value, field, shown)


def _find_choice_errors(name: str, value: Any, field: FormField, shown: str) -> Iterator[tuple[str, str]]:
    choices = field.enum or ()
    if isinstance(value, bool | list | dict) or value is None:
        yield f"{name!r} is not a text or a number, so the form cannot offer choices.", "Remove `enum`."
        return
    numeric = isinstance(value, int | float)
    other = [
        choice
        for choice in choices
        if isinstance(choice, bool)
        or isinstance(choice, str) == numeric
        or (type(value) is int and type(choice) is float)
    ]
    if other:
        yield f"{name!r} has the default {shown} and the choice {other[0]!r}, of another type.", "Use one type."
        return
    if value not in choices:
        help_text = "Add the default to `enum`, or change it in parameters.yml."
        yield f"{name!r} has the default {shown}, which is not one of its choices.", help_text
    unsendable = [choice for choice in choices if choice in ("", _NULL_CHOICE) or not _is_plain(choice)]
    if unsendable:
        yield f"{name!r} has the choice {unsendable[0]!r}, which Airflow's form cannot send.", "Use another text."
    if len(set(choices)) < len(choices):
        yield f"{name!r} has a choice twice.", "Remove one."


def _find_format_errors(name: str, value: Any, field: FormField, shown: str) -> Iterator[tuple[str, str]]:
    if not isinstance(value, str):
        yield f"{name!r} is not a text, so `format` cannot apply.", "Remove `format`."
        return
    if field.enum is not None:
        yield f"{name!r} has both `format` and `enum`.", "Remove one of the two."
    if field.format == "multiline":
        return
    pattern, example = _FORMATS[field.format or ""]
    if not pattern.match(value):
        message = f"{name!r} has the default {shown}, which does not have the format {field.format}."
        yield message, f"Write it like {example!r}, in quotes."


def find_limits(name: str, value: Any, field: FormField) -> Iterator[tuple[str, str]]:
    """Yield message and help for each way in which Airflow's form changes a parameter's value."""
    if value is None and field.type is None:
        yield (
            f"offers {name!r}, whose value is null, so the trigger form passes a number typed there as text.",
            f"Set a value of the intended type in parameters.yml, or write `{name}: {{type: integer}}` in dag.params.",
        )
    if name in PAGE_NAMES:
        yield (
            f"offers {name!r}, a name that Airflow 2.11's page uses itself, so its form may show another value.",
            "Give the parameter another name, or offer its parent.",
        )
    large: float | None = next(
        (item for item in _walk(value) if type(item) is int and abs(item) > LARGEST_INTEGER), None
    )
    if isinstance(value, float) and abs(value) > LARGEST_INTEGER:
        large = value  # Airflow 3's field of a number, once it has been clicked into
    if large is not None:
        yield (
            f"offers {name!r}, which holds {large}. The trigger form changes numbers beyond {LARGEST_INTEGER}.",
            "Write it as a text, and convert it in the node.",
        )
    if isinstance(value, str) and not _is_plain(value):
        yield (
            (
                f"offers {name!r}, a text that the trigger form changes: it has a carriage return, a null character or an "
                "empty first line."
            ),
            "Remove these characters, or do not offer the parameter.",
        )


def _is_plain(value: Any) -> bool:
    """Return whether the fields of HTML carry a text unchanged."""
    return not (isinstance(value, str) and (re.search(r"[\r\0]", value) or value.startswith("\n")))


def find_untransportable(value: Any, path: str = "") -> Iterator[str]:
    """Yield what keeps a value from arriving with its type, as the end of a sentence that begins with its name."""
    if isinstance(value, dict):
        spelled: dict[str, Any] = {}
        for key, item in value.items():
            if not isinstance(key, str | bool | int | float):
                yield f"has a key of type {type(key).__name__}{_at(path)}, {key!r}"
            elif isinstance(key, float) and not math.isfinite(key):
                yield f"has the key {key}{_at(path)}"
            elif spell_key(key) in spelled:
                yield f"has the keys {spelled[spell_key(key)]!r} and {key!r}{_at(path)}, which are one key in JSON"
            else:
                spelled[spell_key(key)] = key
            yield from find_untransportable(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from find_untransportable(item, f"{path}.{index}" if path else str(index))
    elif value is not None and type(value) not in _KINDS:
        yield f"holds a value of type {type(value).__name__}{_at(path)}"


def _at(path: str) -> str:
    return f" at {path!r}" if path else ""


def spell_key(key: Any) -> str:
    """Return the text of a map's key in JSON."""
    return key if isinstance(key, str) else json.dumps(key)


def spell_value(value: Any) -> Any:
    """Return a value as JSON has it: lists, and maps whose keys are texts."""
    if isinstance(value, dict):
        return {spell_key(key): spell_value(item) for key, item in value.items()}
    return [spell_value(item) for item in value] if isinstance(value, list | tuple) else value


def needs_types(value: Any) -> bool:
    """Return whether the type of a value can change on its way through the form."""
    if value in ("", []) or _is_number(value) or (isinstance(value, str) and not _is_plain(value)):
        return True
    if isinstance(value, dict):
        return any(not isinstance(key, str) or needs_types(item) for key, item in value.items())
    # The field of a list of texts can be emptied, which is sent as null.
    return isinstance(value, list) and (isinstance(value[0], str) or any(map(needs_types, value)))


def _is_number(value: Any) -> bool:
    return isinstance(value, float) or (type(value) is int and abs(value) > LARGEST_INTEGER)


def encode_defaults(params: Mapping[str, Any]) -> list[str]:
    """Return `NAME=JSON` for each default whose type the pod gives back; `pod.decode_defaults` reads them."""
    return [
        f"{name.replace('%', '%25').replace('=', '%3D')}={json.dumps(_encode(value), ensure_ascii=False)}"
        for name, value in params.items()
        if needs_types(value)
    ]


def _encode(value: Any) -> Any:
    """Return JSON in which maps are lists of pairs, because the keys of JSON's own maps are texts."""
    if isinstance(value, dict):
        return {"pairs": [[key, _encode(item)] for key, item in value.items()]}
    return [_encode(item) for item in value] if isinstance(value, list | tuple) else value


def _walk(value: Any) -> Iterator[Any]:
    yield value
    items: Iterable[Any] = ()
    if isinstance(value, dict):
        items = value.values()
    elif isinstance(value, list):
        items = value
    for item in items:
        yield from _walk(item)


def _list(names: Iterable[str]) -> str:
    return " and ".join(f"`{name}`" for name in names)
