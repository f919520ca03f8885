"""Fields of the settings file that need more than a type: parsed, checked, and refused with what would be right."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from kedro_k8s_airflow import durations, quantities

if TYPE_CHECKING:
    from collections.abc import Callable

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
_IMAGE = re.compile(
    r"[a-z0-9]+([._-]+[a-z0-9]+)*(:[0-9]+)?(/[a-z0-9]+([._-]+[a-z0-9]+)*)*"
    r"(:(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?(@(?P<digest>sha256:[0-9a-f]{64}))?\Z"
)
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?\Z")
_LABEL_KEY = re.compile(rf"({_DNS_SUBDOMAIN}/)?[A-Za-z0-9]([A-Za-z0-9_.-]{{0,61}}[A-Za-z0-9])?\Z")


def _dns_label(value: str) -> str:
    if not re.fullmatch(_DNS_LABEL, value):
        raise ValueError("Kubernetes wants lower-case letters, digits and '-', at most 63, such as 'kedro-jobs'")
    return value


def _dns_subdomain(value: str) -> str:
    if len(value) > 253 or not re.fullmatch(_DNS_SUBDOMAIN, value):
        raise ValueError("Kubernetes wants lower-case letters, digits, '-' and '.', such as 'flights-data'")
    return value


def reference(value: str) -> str:
    """The text, when it names an image that stays the same.

    Raises:
        ValueError: saying what is wrong.
    """
    match = _IMAGE.match(value)
    if match is None:
        raise ValueError("an image is spelled [registry/]repository[:tag][@sha256:digest]")
    if match["tag"] == "latest" and not match["digest"]:
        raise ValueError("'latest' names another image tomorrow; give a tag that never moves, or a digest")
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
    quantities.amount(value)
    return str(value)


def _seconds(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    return int(durations.parse(value).total_seconds())


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
        return durations.parse(value["every"])
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


def legal_labels(value: dict[str, str | None]) -> dict[str, str | None]:
    """The labels, when Kubernetes takes them all."""
    for key, text in value.items():
        if not _LABEL_KEY.match(key):
            raise ValueError(
                f"{key!r} is not a label key; Kubernetes wants [prefix.example.com/]name, the name at most 63 characters"
            )
        if text is not None and not _LABEL_VALUE.match(text):
            raise ValueError(
                f"{text!r} (of {key}) is not a label value; at most 63 letters, digits, '-', '_' and '.', or use annotations"
            )
    return value


def legal_annotations(value: dict[str, str | None]) -> dict[str, str | None]:
    """The annotations, when Kubernetes takes all their keys."""
    for key in value:
        if not _LABEL_KEY.match(key):
            raise ValueError(f"{key!r} is not an annotation key; Kubernetes wants [prefix.example.com/]name")
    return value


def _pool(value: object) -> object:
    if isinstance(value, str) and not re.fullmatch(r"[\w.-]{1,250}", value):
        raise ValueError("Airflow wants letters, digits, '_', '-' and '.', at most 250")
    return value


Pool = Annotated[str, BeforeValidator(_pool)]


def _volume_name(value: object) -> object:
    if isinstance(value, str):
        if value in ("tmp", "home", "credentials") or value.startswith("scratch-"):
            raise ValueError("every pod has a volume of that name already; choose another")
        _dns_label(value)
    return value


def _project_path(value: object) -> object:
    if isinstance(value, str) and not re.fullmatch(r"(/[A-Za-z0-9._-]+)+", value):
        raise ValueError(
            "the project's folder in the image is an absolute path without a slash at its end, such as /app"
        )
    return value


def _sub_path(value: object) -> object:
    if isinstance(value, str) and (value.startswith("/") or ".." in value.split("/")):
        raise ValueError("a subPath is a folder inside the volume, without a slash at its beginning and without '..'")
    return value


def _resource(value: object) -> object:
    standard = ("cpu", "memory", "ephemeral-storage")
    if isinstance(value, str) and value not in standard and not value.startswith("hugepages-") and "/" not in value:
        raise ValueError(f"Kubernetes knows {', '.join(standard)}, hugepages-<size> and devices such as nvidia.com/gpu")
    return value


def _base(value: str) -> str:
    match = _IMAGE.match(value)
    if match is None:
        raise ValueError("an image is spelled [registry/]repository[:tag][@sha256:digest]")
    if not match["digest"] and match["tag"] in (None, "latest"):
        raise ValueError("two builds would start from different images; give a tag that says which, or a digest")
    return value


def _variable(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", value):
        raise ValueError("an environment variable is named by letters, digits and '_'")
    return value


def _one_line(value: str) -> str:
    if not value.isprintable():
        raise ValueError("a Dockerfile holds it on one line, so no line breaks and control characters")
    return value


def _package(value: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9+.-]+(:[a-z0-9]+)?(=[A-Za-z0-9.+:~-]+)?", value):
        raise ValueError("a Debian package is spelled name or name=version, such as libgomp1")
    return value


def _distribution(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?", value):
        raise ValueError("a name has letters, digits, '.', '-' and '_', such as kedro-viz")
    return value


def _image_name(value: str) -> str:
    if not re.fullmatch(r"[a-z0-9]([a-z0-9_.-]{0,38}[a-z0-9])?", value) or value.endswith("dockerignore"):
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


ProjectPath = Annotated[str, BeforeValidator(_project_path)]
BaseImage = Annotated[str, _of_text(_base)]
Variable = Annotated[str, _of_text(_variable)]
OneLine = Annotated[str, _of_text(_one_line)]
Package = Annotated[str, _of_text(_package)]
Distribution = Annotated[str, _of_text(_distribution)]
ImageName = Annotated[str, _of_text(_image_name)]
ProfileName = Annotated[str, _of_text(_profile_name)]
RuleName = Annotated[str, Field(min_length=1), _of_text(_rule_name)]
SubPath = Annotated[str, Field(min_length=1), BeforeValidator(_sub_path)]
Resource = Annotated[str, BeforeValidator(_resource)]
VolumeName = Annotated[str, BeforeValidator(_volume_name)]
Duration = Annotated[timedelta, BeforeValidator(durations.parse)]
Quantity = Annotated[str, BeforeValidator(_quantity)]
Seconds = Annotated[int, BeforeValidator(_seconds)]
Moment = Annotated[datetime, BeforeValidator(_moment)]
Schedule = Annotated[Any, BeforeValidator(_schedule)]
Timezone = Annotated[str, BeforeValidator(_timezone)]
Names = Annotated[tuple[str, ...], BeforeValidator(_matches)]
Image = Annotated[str, _of_text(reference)]
DnsLabel = Annotated[str, Field(strict=True), _of_text(_dns_label)]
DnsName = Annotated[str, _of_text(_dns_subdomain)]
Mount = Annotated[str, _of_text(_mount)]
Text = Annotated[str, Field(min_length=1)]
Mapping = dict[str, Any]


class Model(BaseModel):
    """What all settings share: unknown keys and wrong types are errors, nothing changes afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, arbitrary_types_allowed=True)
