"""Types of fields in the settings file: parse and check a value, or refuse it with a message that shows a valid one.

A type also defines its JSON schema for editors wherever pydantic's own differs from what is accepted.
"""

from __future__ import annotations

import math
import re
from datetime import date, datetime, timedelta
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, GetJsonSchemaHandler, WithJsonSchema

from kedro_k8s_airflow import durations, image_reference, quantities
from kedro_k8s_airflow.image_reference import check_base_image, check_reference

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic_core import CoreSchema

SCHEDULE_PRESETS = ("@once", "@continuous", "@hourly", "@daily", "@weekly", "@monthly", "@quarterly", "@yearly")
_CRON_FIELDS = {
    "minute": "0-59",
    "hour": "0-23",
    "day": "1-31",
    "month": "1-12 or jan-dec",
    "weekday": "0-7 or sun-sat",
}
TRIGGER_RULES = (
    "all_success",
    "all_failed",
    "all_done",
    "all_skipped",
    "one_success",
    "one_failed",
    "one_done",
    "none_failed",
    "none_skipped",
    "none_failed_min_one_success",
    "always",
)
DNS_LABEL = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
DNS_SUBDOMAIN = rf"{DNS_LABEL}(\.{DNS_LABEL})*"
LABEL_VALUE = re.compile(r"([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?\Z")
LABEL_KEY = re.compile(rf"({DNS_SUBDOMAIN}/)?[A-Za-z0-9]([A-Za-z0-9_.-]{{0,61}}[A-Za-z0-9])?\Z")
_PROJECT_PATH = r"(/[A-Za-z0-9._-]+)+"
_VARIABLE = r"[A-Za-z_][A-Za-z0-9_]*"
_PACKAGE = r"[a-z0-9][a-z0-9+.-]+(:[a-z0-9]+)?(=[A-Za-z0-9.+:~-]+)?"
_DISTRIBUTION = r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?"
_IMAGE_NAME = r"[a-z0-9]([a-z0-9_.-]{0,38}[a-z0-9])?"
_RESOURCES = ("cpu", "memory", "ephemeral-storage")
# Only the date formats that all supported versions of Python read.
_DATE = r"[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.([0-9]{3}){1,2})?)?)?"


def _check_dns_label(value: str) -> str:
    if not re.fullmatch(DNS_LABEL, value):
        raise ValueError("Kubernetes allows at most 63 lowercase letters, digits and '-', such as 'kedro-jobs'")
    return value


def _check_dns_subdomain(value: str) -> str:
    if len(value) > 253 or not re.fullmatch(DNS_SUBDOMAIN, value):
        raise ValueError("Kubernetes allows lowercase letters, digits, '-' and '.', such as 'flights-data'")
    return value


def parse_service_account(value: str) -> tuple[str, str]:
    """Return namespace and name of a ServiceAccount that is written NAMESPACE:NAME.

    Raises:
        ValueError: if Kubernetes does not accept one of them.
    """
    namespace, colon, name = value.partition(":")
    if not colon:
        raise ValueError("write NAMESPACE:NAME of a ServiceAccount")
    return _check_dns_label(namespace), _check_dns_subdomain(name)


def _parse_mount(value: str) -> str:
    parts = value.split("/")
    clean = value.rstrip("/")
    if not clean or clean == "." or ".." in parts or "\\" in value or ":" in value:
        raise ValueError(
            "a mount path is a folder inside the project, such as 'data', or an absolute path, without '..'"
        )
    return clean.removeprefix("./")


def _parse_quantity(value: object) -> str:
    if not isinstance(value, str | int | float) or isinstance(value, bool):
        raise ValueError("a Kubernetes quantity is written like 500m, 2, 1Gi or 1.5G")  # noqa: TRY004  pydantic reports ValueError
    quantities.parse_quantity(value)
    return str(value)


def _parse_seconds(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    return int(durations.parse_duration(value).total_seconds())


def _parse_moment(value: object) -> datetime:
    if isinstance(value, datetime):
        moment = value
    elif isinstance(value, date):
        moment = datetime(value.year, value.month, value.day)  # noqa: DTZ001  `timezone` holds the zone
    else:
        try:
            moment = datetime.fromisoformat(str(value))
        except ValueError:
            raise ValueError("a date is written like 2026-01-31 or 2026-01-31T06:00") from None
    if moment.tzinfo is not None:
        raise ValueError("a date cannot have a UTC offset; set `timezone` instead")
    return moment


def _parse_schedule(value: object) -> str | timedelta | None:
    if value is None or isinstance(value, timedelta):
        return value
    if isinstance(value, dict) and set(value) == {"every"}:
        return durations.parse_duration(value["every"])
    if not isinstance(value, str):
        raise ValueError(  # noqa: TRY004  pydantic reports ValueError
            "a schedule is a cron expression, a preset such as @daily, {every: 30m}, or null for manual runs"
        )
    if value in SCHEDULE_PRESETS:
        return value
    if value.startswith("@"):
        raise ValueError(f"Airflow's presets are {', '.join(SCHEDULE_PRESETS)}")
    _check_cron(value)
    return value


def _check_cron(text: str) -> None:
    """Check a cron expression; raise ValueError with the field that is wrong."""
    from croniter import CroniterBadDateError, CroniterError, croniter

    fields = text.split()
    if len(fields) != len(_CRON_FIELDS):
        raise ValueError("a cron expression has five fields: minute hour day month weekday, such as '0 6 * * *'")
    # croniter also accepts random fields (R) and hashed ones (H); a DAG's schedule must not vary.
    if varying := next((field for field in fields if re.search(r"\b[RH]\b", field, re.IGNORECASE)), None):
        raise ValueError(f"{varying!r} would be another time on each machine; write the time itself")
    for index, (field, (name, values)) in enumerate(zip(fields, _CRON_FIELDS.items(), strict=True)):
        alone = ["*"] * len(fields)
        alone[index] = field
        if not croniter.is_valid(" ".join(alone)):
            raise ValueError(f"{field!r} is not the {name} of a cron expression ({values}, lists, ranges, steps)")
    try:
        croniter(text).get_next()
    except CroniterBadDateError:
        raise ValueError(f"it never comes: no month of {fields[3]!r} has a day {fields[2]!r}") from None
    except (CroniterError, ValueError):
        raise ValueError("croniter, which reads schedules in Airflow, does not accept it") from None


def _check_timezone(value: object) -> object:
    from zoneinfo import ZoneInfo

    if not isinstance(value, str):
        return value
    try:
        ZoneInfo(value)
    except (ValueError, OSError, KeyError):
        raise ValueError("a time zone is a name from the IANA database, such as Europe/Paris or UTC") from None
    return value


def _check_number(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError("it must be a number")
    return value


def _check_choice(value: object) -> object:
    return value if isinstance(value, str) else _check_number(value)


def _parse_names(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    if isinstance(value, list | tuple) and value and all(isinstance(item, str) for item in value):
        return tuple(value)
    raise ValueError("it must be a name or a list of names")


def check_labels(value: dict[str, str | None]) -> dict[str, str | None]:
    """Return the labels if Kubernetes accepts all of them.

    Raises:
        pydantic.ValidationError: naming each label that it does not accept.
    """
    problems = {}
    for key, text in value.items():
        if not LABEL_KEY.match(key):
            problems[key] = "a label key has the form [prefix.example.com/]name, with a name of at most 63 characters"
        elif text is not None and not LABEL_VALUE.match(text):
            problems[key] = (
                "a label value has at most 63 letters, digits, '-', '_' and '.'; use an annotation for other values"
            )
    refuse_keys(value, problems)
    return value


def check_annotations(value: dict[str, str | None]) -> dict[str, str | None]:
    """Return the annotations if Kubernetes accepts all their keys.

    Raises:
        pydantic.ValidationError: naming each key that it does not accept.
    """
    invalid = [key for key in value if not LABEL_KEY.match(key)]
    refuse_keys(value, dict.fromkeys(invalid, "an annotation key has the form [prefix.example.com/]name"))
    return value


def refuse_keys(value: dict[str, Any], problems: dict[str, str]) -> None:
    """Refuse a map by naming each of its invalid keys.

    Raises:
        pydantic.ValidationError: if there are any problems.
    """
    from pydantic_core import InitErrorDetails, ValidationError

    if problems:
        raise ValidationError.from_exception_data(
            "map",
            [
                InitErrorDetails(type="value_error", loc=(key,), input=value[key], ctx={"error": ValueError(problem)})
                for key, problem in problems.items()
            ],
        )


def _check_pool(value: object) -> object:
    if isinstance(value, str) and not re.fullmatch(r"[\w.-]{1,250}", value):
        raise ValueError("the name of an Airflow pool has at most 250 letters, digits, '_', '-' and '.'")
    return value


def _check_volume_name(value: object) -> object:
    if isinstance(value, str):
        if value in ("tmp", "home", "credentials") or value.startswith("scratch-"):
            raise ValueError("every pod already has a volume with this name; choose another name")
        _check_dns_label(value)
    return value


# Where every pod has system files or a pod-local empty folder.
_RESERVED_FOLDERS = (
    *("/bin", "/boot", "/dev", "/etc", "/home/kedro", "/lib", "/lib32", "/lib64", "/libx32", "/opt/venv", "/proc"),
    *("/run", "/sbin", "/sys", "/tmp", "/usr", "/var/run"),  # noqa: S108
)


def _check_project_path(value: object) -> object:
    if isinstance(value, str) and any(
        value == folder or value.startswith(f"{folder}/") for folder in _RESERVED_FOLDERS
    ):
        raise ValueError("this folder holds system files or files of the pod; choose another one, such as /app")
    if isinstance(value, str) and not {".", ".."}.isdisjoint(value.split("/")):
        raise ValueError("the project's folder in the image is a path without '.' and '..', such as /app")
    if isinstance(value, str) and not re.fullmatch(_PROJECT_PATH, value):
        raise ValueError("the project's folder in the image is an absolute path without a trailing slash, such as /app")
    return value


def _check_sub_path(value: object) -> object:
    if isinstance(value, str) and (value.startswith("/") or ".." in value.split("/")):
        raise ValueError("a subPath is a relative path inside the volume, without '..'")
    return value


def _is_git_folder(part: str) -> bool:
    """Return whether a name is `.git` on some file system; git silently leaves such paths out of commits."""
    # HFS+ ignores these characters; NTFS ignores blanks and dots at the end, and has a short name for `.git`.
    visible = re.sub("[\u200c-\u200f\u202a-\u202e\u206a-\u206f\ufeff]", "", part)
    return visible.rstrip(" .").lower() in (".git", "git~1")


def check_subfolder(value: str) -> str:
    """Return a folder of a git repository in git's notation, "" for its root.

    Raises:
        ValueError: if it is not a folder inside a repository.
    """
    parts = PurePosixPath(value).parts
    if not value or value.startswith("/") or ".." in parts or any(map(_is_git_folder, parts)):
        raise ValueError("a folder of a repository is a relative path such as dags/flights, without '..' and '.git'")
    if re.search(r"[\\:\x00-\x1f\x7f\ud800-\udfff]", value):
        raise ValueError("a folder of a repository cannot contain backslashes, colons or non-printable characters")
    return "/".join(parts)


def _check_resource(value: object) -> object:
    if isinstance(value, str) and value not in _RESOURCES and not value.startswith("hugepages-") and "/" not in value:
        raise ValueError(
            f"the resources of Kubernetes are {', '.join(_RESOURCES)}, hugepages-<size> and devices such as nvidia.com/gpu"
        )
    return value


def _check_variable(value: str) -> str:
    if not re.fullmatch(_VARIABLE, value):
        raise ValueError("the name of an environment variable has letters, digits and '_' only")
    return value


def _check_one_line(value: str) -> str:
    if not value.isprintable():
        raise ValueError("a Dockerfile holds it on one line, so it cannot contain line breaks or control characters")
    return value


def _check_package(value: str) -> str:
    if not re.fullmatch(_PACKAGE, value):
        raise ValueError("a Debian package is written name or name=version, such as libgomp1")
    return value


def _check_distribution(value: str) -> str:
    if not re.fullmatch(_DISTRIBUTION, value):
        raise ValueError("a package name has letters, digits, '.', '-' and '_' only, such as kedro-viz")
    return value


def _check_image_name(value: str) -> str:
    if not re.fullmatch(_IMAGE_NAME, value) or value.endswith("dockerignore"):
        raise ValueError(
            "the name of an image has at most 40 lowercase letters, digits, '-', '_' and '.', such as train"
        )
    return value


def _check_profile_name(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_.-]+", value):
        raise ValueError(
            "the name of a profile, like a Kedro tag, has letters, digits, '_', '.' and '-' only, such as gpu"
        )
    return value


def _check_rule_name(value: str) -> str:
    if value.startswith("k8s."):
        raise ValueError("the prefix `k8s.` is reserved for tags that select a profile; rename the rule")
    return value


def _text_validator(check: Callable[[str], str]) -> BeforeValidator:
    """Return a validator that checks strings and leaves other types to pydantic."""
    return BeforeValidator(lambda value: check(value) if isinstance(value, str) else value)


def _to_json_pattern(expression: str | re.Pattern[str]) -> str:
    """Return a Python expression for full matches as a JSON schema needs it: anchored, in JavaScript's grammar."""
    text = expression if isinstance(expression, str) else expression.pattern
    return f"^({re.sub(r'[(][?]P<[a-z]+>', '(', text).removesuffix(chr(92) + 'Z')})$"


def _string_schema(expression: str | re.Pattern[str], *examples: str, **more: Any) -> WithJsonSchema:
    """Return the JSON schema of a string."""
    return WithJsonSchema(
        {
            "type": "string",
            "pattern": _to_json_pattern(expression),
            **({"examples": [*examples]} if examples else {}),
            **more,
        }
    )


def forbid_null(schema: dict[str, Any]) -> None:
    """Remove null from the JSON schema of a key whose Python value may be None."""
    if "anyOf" in schema:
        (only,) = [kind for kind in schema.pop("anyOf") if kind != {"type": "null"}]
        schema.update(only)
    else:
        schema["type"] = [kind for kind in schema["type"] if kind != "null"]


class WithoutKey:
    """Removes a key from the JSON schema of a model; the enclosing model refuses the key."""

    def __init__(self, key: str) -> None:
        self.key = key

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        schema = dict(handler.resolve_ref_schema(handler(core)))
        return {**schema, "properties": {key: value for key, value in schema["properties"].items() if key != self.key}}


_DURATION = {"pattern": _to_json_pattern(durations.DURATION_PATTERN), "examples": ["90s", "30m", "2h", "1d"]}
_IMAGE_FORM = "An image reference has the form [registry/]repository[:tag][@sha256:digest]."
_LOWER_CASE = {"patternErrorMessage": "Kubernetes allows lowercase letters, digits and '-', such as flights-data."}

ProjectPath = Annotated[str, BeforeValidator(_check_project_path), _string_schema(_PROJECT_PATH, "/app")]
BaseImage = Annotated[
    str, _text_validator(check_base_image), _string_schema(image_reference.PATTERN, patternErrorMessage=_IMAGE_FORM)
]
Variable = Annotated[str, _text_validator(_check_variable), _string_schema(_VARIABLE)]
OneLine = Annotated[str, _text_validator(_check_one_line), _string_schema(r"[^\x00-\x1f\x7f]*")]
Number = Annotated[Any, BeforeValidator(_check_number), WithJsonSchema({"type": "number"})]
Choice = Annotated[Any, BeforeValidator(_check_choice), WithJsonSchema({"type": ["string", "number"]})]
Package = Annotated[str, _text_validator(_check_package), _string_schema(_PACKAGE, "libgomp1")]
Distribution = Annotated[str, _text_validator(_check_distribution), _string_schema(_DISTRIBUTION)]
ImageName = Annotated[str, _text_validator(_check_image_name), _string_schema(_IMAGE_NAME)]
ProfileName = Annotated[str, _text_validator(_check_profile_name), _string_schema(r"[A-Za-z0-9_.-]+", "gpu")]
RuleName = Annotated[str, Field(min_length=1), _text_validator(_check_rule_name), _string_schema(r"(?!k8s\.)[\s\S]+")]
SubPath = Annotated[str, Field(min_length=1), BeforeValidator(_check_sub_path), _string_schema(r"[^/][\s\S]*")]
Resource = Annotated[
    str, BeforeValidator(_check_resource), _string_schema(rf"{'|'.join(_RESOURCES)}|hugepages-[\s\S]*|[\s\S]*/[\s\S]*")
]
VolumeName = Annotated[str, BeforeValidator(_check_volume_name), _string_schema(DNS_LABEL, **_LOWER_CASE)]
Pool = Annotated[str, BeforeValidator(_check_pool), _string_schema(r"\S{1,250}")]
Duration = Annotated[
    timedelta, BeforeValidator(durations.parse_duration), WithJsonSchema({"type": "string", **_DURATION})
]
Quantity = Annotated[
    str,
    BeforeValidator(_parse_quantity),
    WithJsonSchema(
        {
            "type": ["string", "number"],
            "minimum": 0,
            "pattern": _to_json_pattern(quantities.QUANTITY_PATTERN),
            "patternErrorMessage": "A Kubernetes quantity is written like 500m, 2, 1Gi or 1.5G.",
        }
    ),
]
Seconds = Annotated[
    int, BeforeValidator(_parse_seconds), WithJsonSchema({"type": ["integer", "string"], "minimum": 0, **_DURATION})
]
Moment = Annotated[datetime, BeforeValidator(_parse_moment), _string_schema(_DATE, "2026-01-31", "2026-01-31T06:00")]
Schedule = Annotated[
    Any,
    BeforeValidator(_parse_schedule),
    WithJsonSchema(
        {
            "anyOf": [
                {"enum": [*SCHEDULE_PRESETS]},
                {"type": "string", "pattern": _to_json_pattern(r"\s*\S+(\s+\S+){4}\s*"), "examples": ["0 6 * * *"]},
                {
                    "type": "object",
                    "properties": {"every": {"description": "Time between runs.", "type": "string", **_DURATION}},
                    "required": ["every"],
                    "additionalProperties": False,
                },
                {"type": "null"},
            ]
        }
    ),
]
Timezone = Annotated[
    str, BeforeValidator(_check_timezone), WithJsonSchema({"type": "string", "examples": ["Europe/Paris", "UTC"]})
]
Names = Annotated[
    tuple[str, ...],
    BeforeValidator(_parse_names),
    WithJsonSchema({"type": ["string", "array"], "items": {"type": "string"}, "minItems": 1}),
]
Image = Annotated[
    str,
    _text_validator(check_reference),
    _string_schema(image_reference.PATTERN, "registry.example.com/team/flights", patternErrorMessage=_IMAGE_FORM),
]
DnsLabel = Annotated[
    str, Field(strict=True), _text_validator(_check_dns_label), _string_schema(DNS_LABEL, **_LOWER_CASE)
]
DnsName = Annotated[
    str, _text_validator(_check_dns_subdomain), _string_schema(DNS_SUBDOMAIN, maxLength=253, **_LOWER_CASE)
]
Mount = Annotated[str, _text_validator(_parse_mount), _string_schema(r"[^\\:]+", "data")]
Text = Annotated[str, Field(min_length=1)]
Subfolder = Annotated[
    str, _text_validator(check_subfolder), _string_schema(r"[^/\\:\x00-\x1f\x7f][^\\:\x00-\x1f\x7f]*", "dags/flights")
]
JsonObject = dict[str, Any]
_LABEL_NAMES = {"pattern": _to_json_pattern(LABEL_KEY)}
Labels = Annotated[
    dict[str, str | None],
    WithJsonSchema(
        {
            "type": "object",
            "propertyNames": _LABEL_NAMES,
            "additionalProperties": {"type": ["string", "null"], "pattern": _to_json_pattern(LABEL_VALUE)},
        }
    ),
]
Annotations = Annotated[
    dict[str, str | None],
    WithJsonSchema(
        {"type": "object", "propertyNames": _LABEL_NAMES, "additionalProperties": {"type": ["string", "null"]}}
    ),
]


class Model(BaseModel):
    """Base of all settings models: refuses unknown keys and wrong types, and is frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, arbitrary_types_allowed=True)
