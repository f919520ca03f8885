"""Fields of the settings file that need more than a type: parsed, checked, and refused with what would be right.

Each also says what editors are told of it (a JSON schema), wherever pydantic's own would be another than what is accepted.
"""

from __future__ import annotations

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

PRESETS = ("@once", "@continuous", "@hourly", "@daily", "@weekly", "@monthly", "@quarterly", "@yearly")
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
_DNS_LABEL = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
_DNS_SUBDOMAIN = rf"{_DNS_LABEL}(\.{_DNS_LABEL})*"
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?\Z")
_LABEL_KEY = re.compile(rf"({_DNS_SUBDOMAIN}/)?[A-Za-z0-9]([A-Za-z0-9_.-]{{0,61}}[A-Za-z0-9])?\Z")
_PROJECT_PATH = r"(/[A-Za-z0-9._-]+)+"
_VARIABLE = r"[A-Za-z_][A-Za-z0-9_]*"
_PACKAGE = r"[a-z0-9][a-z0-9+.-]+(:[a-z0-9]+)?(=[A-Za-z0-9.+:~-]+)?"
_DISTRIBUTION = r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?"
_IMAGE_NAME = r"[a-z0-9]([a-z0-9_.-]{0,38}[a-z0-9])?"
_RESOURCES = ("cpu", "memory", "ephemeral-storage")
# Not every date that Python reads, but what all versions of it read.
_DATE = r"[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.([0-9]{3}){1,2})?)?)?"


def _dns_label(value: str) -> str:
    if not re.fullmatch(_DNS_LABEL, value):
        raise ValueError("Kubernetes wants lower-case letters, digits and '-', at most 63, such as 'kedro-jobs'")
    return value


def _dns_subdomain(value: str) -> str:
    if len(value) > 253 or not re.fullmatch(_DNS_SUBDOMAIN, value):
        raise ValueError("Kubernetes wants lower-case letters, digits, '-' and '.', such as 'flights-data'")
    return value


def _mount(value: str) -> str:
    parts = value.split("/")
    clean = value.rstrip("/")
    if not clean or clean == "." or ".." in parts or "\\" in value or ":" in value:
        raise ValueError("a mount is a folder inside the project, such as 'data', or an absolute path, without '..'")
    return clean.removeprefix("./")


def _quantity(value: object) -> str:
    if not isinstance(value, str | int | float) or isinstance(value, bool):
        raise ValueError("Kubernetes reads quantities such as 500m, 2, 1Gi or 1.5G")  # noqa: TRY004  pydantic reports ValueError
    quantities.parse_quantity(value)
    return str(value)


def _seconds(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    return int(durations.parse_duration(value).total_seconds())


def _moment(value: object) -> datetime:
    if isinstance(value, datetime):
        moment = value
    elif isinstance(value, date):
        moment = datetime(value.year, value.month, value.day)  # noqa: DTZ001  `timezone` says where
    else:
        try:
            moment = datetime.fromisoformat(str(value))
        except ValueError:
            raise ValueError("a date is spelled 2026-01-31 or 2026-01-31T06:00") from None
    if moment.tzinfo is not None:
        raise ValueError("a date has no offset of its own; `timezone` says where it is meant")
    return moment


def _schedule(value: object) -> str | timedelta | None:
    if value is None or isinstance(value, timedelta):
        return value
    if isinstance(value, dict) and set(value) == {"every"}:
        return durations.parse_duration(value["every"])
    if not isinstance(value, str):
        raise ValueError("a schedule is a cron line, a preset such as @daily, {every: 30m}, or null for runs by hand")  # noqa: TRY004
    if value in PRESETS:
        return value
    if value.startswith("@"):
        raise ValueError(f"Airflow's presets are {', '.join(PRESETS)}")
    from croniter import CroniterError, croniter

    try:
        # croniter also takes seconds at the end, random fields (R) and hashed ones (H); a DAG must mean the same every day.
        if len(value.split()) != 5 or re.search(r"\b[RH]\b", value, re.IGNORECASE):
            raise ValueError(value)
        croniter(value).get_next()
    except (CroniterError, ValueError):
        raise ValueError("a cron line has five fields: minute hour day month weekday, such as '0 6 * * *'") from None
    return value


def _timezone(value: object) -> object:
    from zoneinfo import ZoneInfo

    if not isinstance(value, str):
        return value
    try:
        ZoneInfo(value)
    except (ValueError, OSError, KeyError):
        raise ValueError("a timezone is a name of the IANA database, such as Europe/Paris or UTC") from None
    return value


def _matches(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    if isinstance(value, list | tuple) and value and all(isinstance(item, str) for item in value):
        return tuple(value)
    raise ValueError("write one name or a list of names")


def check_labels(value: dict[str, str | None]) -> dict[str, str | None]:
    """The labels, when Kubernetes takes them all."""
    problems = {}
    for key, text in value.items():
        if not _LABEL_KEY.match(key):
            problems[key] = (
                "Kubernetes wants a label key like [prefix.example.com/]name, the name at most 63 characters"
            )
        elif text is not None and not _LABEL_VALUE.match(text):
            problems[key] = "a label value is at most 63 letters, digits, '-', '_' and '.', or use annotations"
    refuse_each(value, problems)
    return value


def check_annotations(value: dict[str, str | None]) -> dict[str, str | None]:
    """The annotations, when Kubernetes takes all their keys."""
    wrong = [key for key in value if not _LABEL_KEY.match(key)]
    refuse_each(value, dict.fromkeys(wrong, "Kubernetes wants an annotation key like [prefix.example.com/]name"))
    return value


def refuse_each(value: dict[str, Any], problems: dict[str, str]) -> None:
    """Let pydantic name each key of a map that is wrong, not only the map.

    Raises:
        pydantic.ValidationError: when there are any problems.
    """
    from pydantic_core import InitErrorDetails, ValidationError

    if problems:
        raise ValidationError.from_exception_data(
            "map",
            [
                InitErrorDetails(type="value_error", loc=(key,), input=value[key], ctx={"error": ValueError(said)})
                for key, said in problems.items()
            ],
        )


def _pool(value: object) -> object:
    if isinstance(value, str) and not re.fullmatch(r"[\w.-]{1,250}", value):
        raise ValueError("Airflow wants letters, digits, '_', '-' and '.', at most 250")
    return value


def _volume_name(value: object) -> object:
    if isinstance(value, str):
        if value in ("tmp", "home", "credentials") or value.startswith("scratch-"):
            raise ValueError("every pod has a volume of that name already; choose another")
        _dns_label(value)
    return value


# Where every pod has an empty folder of its own, and the system's files.
_TAKEN = ("/bin", "/dev", "/etc", "/home/kedro", "/lib", "/proc", "/sbin", "/sys", "/tmp", "/usr")  # noqa: S108


def _project_path(value: object) -> object:
    if isinstance(value, str) and any(value == taken or value.startswith(f"{taken}/") for taken in _TAKEN):
        raise ValueError("pods have a folder of their own there, or the system's files; choose another, such as /app")
    if isinstance(value, str) and not re.fullmatch(_PROJECT_PATH, value):
        raise ValueError(
            "the project's folder in the image is an absolute path without a slash at its end, such as /app"
        )
    return value


def _sub_path(value: object) -> object:
    if isinstance(value, str) and (value.startswith("/") or ".." in value.split("/")):
        raise ValueError("a subPath is a folder inside the volume, without a slash at its beginning and without '..'")
    return value


def check_subfolder(value: str) -> str:
    """A folder of a git repository as git writes it; "" for its top."""
    parts = PurePosixPath(value).parts
    if not value or value.startswith("/") or ".." in parts or any(part.lower() == ".git" for part in parts):
        raise ValueError(
            "a folder of a repository is relative to its top, such as dags/flights, without '..' and '.git'"
        )
    if re.search(r"[\\:\x00-\x1f\x7f\ud800-\udfff]", value):
        raise ValueError(
            "a folder of a repository has neither a backslash nor a colon nor signs that cannot be printed"
        )
    return "/".join(parts)


def _resource(value: object) -> object:
    if isinstance(value, str) and value not in _RESOURCES and not value.startswith("hugepages-") and "/" not in value:
        raise ValueError(
            f"Kubernetes knows {', '.join(_RESOURCES)}, hugepages-<size> and devices such as nvidia.com/gpu"
        )
    return value


def _variable(value: str) -> str:
    if not re.fullmatch(_VARIABLE, value):
        raise ValueError("an environment variable is named by letters, digits and '_'")
    return value


def _one_line(value: str) -> str:
    if not value.isprintable():
        raise ValueError("a Dockerfile holds it on one line, so no line breaks and control characters")
    return value


def _package(value: str) -> str:
    if not re.fullmatch(_PACKAGE, value):
        raise ValueError("a Debian package is spelled name or name=version, such as libgomp1")
    return value


def _distribution(value: str) -> str:
    if not re.fullmatch(_DISTRIBUTION, value):
        raise ValueError("a name has letters, digits, '.', '-' and '_', such as kedro-viz")
    return value


def _image_name(value: str) -> str:
    if not re.fullmatch(_IMAGE_NAME, value) or value.endswith("dockerignore"):
        raise ValueError("an image is named by lower-case letters, digits, '-', '_' and '.', at most 40, such as train")
    return value


def _profile_name(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_.-]+", value):
        raise ValueError("a profile is named as a tag of Kedro, by letters, digits, '_', '.' and '-', such as gpu")
    return value


def _rule_name(value: str) -> str:
    if value.startswith("k8s."):
        raise ValueError("`k8s.` begins the tags by which nodes pick a profile; give the rule another name")
    return value


def _of_text(check: Callable[[str], str]) -> BeforeValidator:
    """A check of texts; other types are left to pydantic."""
    return BeforeValidator(lambda value: check(value) if isinstance(value, str) else value)


def _pattern(expression: str | re.Pattern[str]) -> str:
    """A regular expression that Python matches from end to end, as JSON schemas spell it: with anchors, in JavaScript's grammar."""
    text = expression if isinstance(expression, str) else expression.pattern
    return f"^({re.sub(r'[(][?]P<[a-z]+>', '(', text).removesuffix(chr(92) + 'Z')})$"


def _written(expression: str | re.Pattern[str], *examples: str, **more: Any) -> WithJsonSchema:
    """What editors are told of a text."""
    return WithJsonSchema(
        {"type": "string", "pattern": _pattern(expression), **({"examples": [*examples]} if examples else {}), **more}
    )


def never_null(schema: dict[str, Any]) -> None:
    """Tell editors that a key is left out rather than null, though its Python value may be None."""
    if "anyOf" in schema:
        (only,) = [kind for kind in schema.pop("anyOf") if kind != {"type": "null"}]
        schema.update(only)
    else:
        schema["type"] = [kind for kind in schema["type"] if kind != "null"]


class WithoutKey:
    """A model without one of its keys, for editors; the refusal itself is the model's around it."""

    def __init__(self, key: str) -> None:
        self.key = key

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        schema = dict(handler.resolve_ref_schema(handler(core)))
        return {**schema, "properties": {key: said for key, said in schema["properties"].items() if key != self.key}}


_DURATION = {"pattern": _pattern(durations.DURATION_PATTERN), "examples": ["90s", "30m", "2h", "1d"]}
_IMAGE_IS = "An image is spelled [registry/]repository[:tag][@sha256:digest]."
_LOWER_CASE = {"patternErrorMessage": "Kubernetes wants lower-case letters, digits and '-', such as flights-data."}

ProjectPath = Annotated[str, BeforeValidator(_project_path), _written(_PROJECT_PATH, "/app")]
BaseImage = Annotated[str, _of_text(check_base_image), _written(image_reference.PATTERN, patternErrorMessage=_IMAGE_IS)]
Variable = Annotated[str, _of_text(_variable), _written(_VARIABLE)]
OneLine = Annotated[str, _of_text(_one_line), _written(r"[^\x00-\x1f\x7f]*")]
Package = Annotated[str, _of_text(_package), _written(_PACKAGE, "libgomp1")]
Distribution = Annotated[str, _of_text(_distribution), _written(_DISTRIBUTION)]
ImageName = Annotated[str, _of_text(_image_name), _written(_IMAGE_NAME)]
ProfileName = Annotated[str, _of_text(_profile_name), _written(r"[A-Za-z0-9_.-]+", "gpu")]
RuleName = Annotated[str, Field(min_length=1), _of_text(_rule_name), _written(r"(?!k8s\.)[\s\S]+")]
SubPath = Annotated[str, Field(min_length=1), BeforeValidator(_sub_path), _written(r"[^/][\s\S]*")]
Resource = Annotated[
    str, BeforeValidator(_resource), _written(rf"{'|'.join(_RESOURCES)}|hugepages-[\s\S]*|[\s\S]*/[\s\S]*")
]
VolumeName = Annotated[str, BeforeValidator(_volume_name), _written(_DNS_LABEL, **_LOWER_CASE)]
Pool = Annotated[str, BeforeValidator(_pool), _written(r"\S{1,250}")]
Duration = Annotated[
    timedelta, BeforeValidator(durations.parse_duration), WithJsonSchema({"type": "string", **_DURATION})
]
Quantity = Annotated[
    str,
    BeforeValidator(_quantity),
    WithJsonSchema(
        {
            "type": ["string", "number"],
            "minimum": 0,
            "pattern": _pattern(quantities.QUANTITY_PATTERN),
            "patternErrorMessage": "Kubernetes reads quantities such as 500m, 2, 1Gi or 1.5G.",
        }
    ),
]
Seconds = Annotated[
    int, BeforeValidator(_seconds), WithJsonSchema({"type": ["integer", "string"], "minimum": 0, **_DURATION})
]
Moment = Annotated[datetime, BeforeValidator(_moment), _written(_DATE, "2026-01-31", "2026-01-31T06:00")]
Schedule = Annotated[
    Any,
    BeforeValidator(_schedule),
    WithJsonSchema(
        {
            "anyOf": [
                {"enum": [*PRESETS]},
                {"type": "string", "pattern": _pattern(r"\s*\S+(\s+\S+){4}\s*"), "examples": ["0 6 * * *"]},
                {
                    "type": "object",
                    "properties": {"every": {"description": "Time from run to run.", "type": "string", **_DURATION}},
                    "required": ["every"],
                    "additionalProperties": False,
                },
                {"type": "null"},
            ]
        }
    ),
]
Timezone = Annotated[
    str, BeforeValidator(_timezone), WithJsonSchema({"type": "string", "examples": ["Europe/Paris", "UTC"]})
]
Names = Annotated[
    tuple[str, ...],
    BeforeValidator(_matches),
    WithJsonSchema({"type": ["string", "array"], "items": {"type": "string"}, "minItems": 1}),
]
Image = Annotated[
    str,
    _of_text(check_reference),
    _written(image_reference.PATTERN, "registry.example.com/team/flights", patternErrorMessage=_IMAGE_IS),
]
DnsLabel = Annotated[str, Field(strict=True), _of_text(_dns_label), _written(_DNS_LABEL, **_LOWER_CASE)]
DnsName = Annotated[str, _of_text(_dns_subdomain), _written(_DNS_SUBDOMAIN, maxLength=253, **_LOWER_CASE)]
Mount = Annotated[str, _of_text(_mount), _written(r"[^\\:]+", "data")]
Text = Annotated[str, Field(min_length=1)]
Subfolder = Annotated[
    str, _of_text(check_subfolder), _written(r"[^/\\:\x00-\x1f\x7f][^\\:\x00-\x1f\x7f]*", "dags/flights")
]
Mapping = dict[str, Any]
_LABEL_NAMES = {"pattern": _pattern(_LABEL_KEY)}
Labels = Annotated[
    dict[str, str | None],
    WithJsonSchema(
        {
            "type": "object",
            "propertyNames": _LABEL_NAMES,
            "additionalProperties": {"type": ["string", "null"], "pattern": _pattern(_LABEL_VALUE)},
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
    """What all settings share: unknown keys and wrong types are errors, nothing changes afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, arbitrary_types_allowed=True)
