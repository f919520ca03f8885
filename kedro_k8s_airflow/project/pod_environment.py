"""The environment of the pods, in which the configuration is resolved here, so that a DAG is the same from every machine.

The settings give pods literal values and values from Secrets and ConfigMaps. The former are used as they are; the latter are
not known here, and a placeholder, `$NAME`, stands for them. What this machine has in its environment is not used.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from kedro_k8s_airflow.findings import Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator, Mapping, Sequence
    from pathlib import Path
    from types import FrameType

    Result = TypeVar("Result")

HOME = "/home/kedro"
_ENVIRONMENT_MODULES = ("os", "collections.abc", "_collections_abc", "posixpath")
_PLACEHOLDER = re.compile(r"\$([A-Za-z_][A-Za-z0-9_]*)")
# Variables that every pod has, whatever the settings are; None stands for a value that is not known here.
EVERY_POD: Mapping[str, str | None] = {
    "HOME": HOME,
    "DO_NOT_TRACK": "1",
    "KEDRO_DISABLE_TELEMETRY": "1",
    "PYTHONUNBUFFERED": "1",
    "HOSTNAME": None,
    "PATH": None,
    "KUBERNETES_SERVICE_HOST": None,
    "KUBERNETES_SERVICE_PORT": None,
}


@dataclass(frozen=True, slots=True, order=True, kw_only=True)
class ConfigVariable:
    """An environment variable that the configuration reads.

    Attributes:
        name: its name.
        required: whether the configuration cannot be read without it.
        is_known: whether what pods have is known here: a literal value, or none, so that a default applies.
        is_set_here: whether this machine's environment has it.
        is_from_here: whether a library has read the value here, because pods do not have one.
        keys: what holds its value, as far as it is not known: keys such as `("catalog", "raw")`.
    """

    name: str
    required: bool
    is_known: bool
    is_set_here: bool
    is_from_here: bool = False
    keys: tuple[tuple[str, ...], ...] = ()


def placeholder_of(name: str) -> str:
    """Return the text that stands for the value of an environment variable that is known only in pods."""
    return f"${name}"


def read_pod_variables(settings: Mapping[str, Any]) -> dict[str, str | None]:
    """Return the environment variables that settings give to pods, with their literal values.

    A variable whose value is elsewhere is None, unless `build.env` has a value for those who need one. Where tasks differ, the
    first literal counts.

    Args:
        settings: the raw content of the settings files, which may be invalid.
    """
    variables: dict[str, str | None] = {}
    for section in ("tasks", "profiles"):
        for rule in _maps(settings.get(section)):
            entries = rule.get("env")
            for entry in entries if isinstance(entries, list) else ():
                name = entry.get("name") if isinstance(entry, dict) else None
                if isinstance(name, str) and variables.get(name) is None:
                    variables[name] = _plain(entry.get("value"))
    for build in (settings.get("build"), *_maps(settings.get("images"))):
        values = build.get("env") if isinstance(build, dict) else None
        for name, value in values.items() if isinstance(values, dict) else ():
            if variables.get(str(name)) is None:
                variables[str(name)] = _plain(value)
    return {**EVERY_POD, **variables}


def _plain(value: object) -> str | None:
    """Return a literal value, or None if Airflow's templates or the kubelet may change it."""
    text = None if value is None else str(value)
    return None if text is None or "{" in text or "$" in text else text


def _maps(section: Any) -> list[dict[str, Any]]:
    return [value for value in section.values() if isinstance(value, dict)] if isinstance(section, dict) else []


@dataclass
class EnvironmentReads:
    """What was read of an environment.

    Attributes:
        names: variables that were read, in their order.
        assumed: those of them that the environment lacks and that nothing could be read without.
        from_here: those of them that a library has read from this machine's environment instead.
    """

    names: dict[str, None] = field(default_factory=dict)
    assumed: set[str] = field(default_factory=set)
    from_here: set[str] = field(default_factory=set)


def read_as_pods(
    root: Path, variables: Mapping[str, str | None], read: Callable[[], Result]
) -> tuple[Result, EnvironmentReads]:
    """Return what a function reads in the environment of the pods, and which variables that took.

    A variable that pods lack and that has no default is given a placeholder, so that the rest can be checked, too.

    Args:
        root: the project's folder, whose code and configuration see that environment. Libraries see this machine's, except for
            variables of the settings: a resolver may use one that needs a proxy or a login.
        variables: the environment; None is a value that is not known here.
        read: the function. It is called again for each variable that is missing.

    Raises:
        Refused: if it raises one for another reason.
    """
    reads = EnvironmentReads()
    while True:
        known = {name: placeholder_of(name) if value is None else value for name, value in variables.items()}
        known.update((name, placeholder_of(name)) for name in reads.assumed)
        missed: list[str] = []
        try:
            with _environment(root, known, reads, missed):
                return read(), reads
        except Refused as refused:
            if not missed:
                unknown = [name for name in reads.names if known.get(name) == placeholder_of(name)]
                raise _with_help(refused, unknown) from refused
            reads.assumed.add(missed[-1])


def _with_help(refused: Refused, unknown: Sequence[str]) -> Refused:
    """Return a refusal that explains the placeholders in its messages, which a resolver may not understand."""
    names = [name for name in unknown if any(placeholder_of(name) in finding.message for finding in refused.findings)]
    if not names:
        return refused
    help_text = (
        f"`{placeholder_of(names[0])}` stands for the environment variable {names[0]!r}, whose value is not known here. "
        "Give it a literal value: `build.env`, or `env` of tasks.default."
    )
    return Refused(replace(finding, help=f"{finding.help} {help_text}".strip()) for finding in refused.findings)


@contextlib.contextmanager
def _environment(
    root: Path, variables: Mapping[str, str], reads: EnvironmentReads, missed: list[str]
) -> Iterator[None]:
    """Let the project and the interpolations of its configuration see other environment variables.

    Args:
        root: the project's folder.
        variables: what they see.
        reads: gets the names that they read.
        missed: gets those of them that are not there.
    """
    environ_class: Any = type(os.environ)
    prefix = str(root) + os.sep

    class PodEnviron(environ_class):  # type: ignore[misc]  # keeps the content of os.environ
        def __getitem__(self, name: str) -> str:
            reader = None if name == "PATH" else _find_reader(prefix)
            if reader is None or (reader == "library" and name in EVERY_POD):
                return str(super().__getitem__(name))
            if name in variables:
                reads.names[name] = None
                return variables[name]
            if reader == "library":
                value = str(super().__getitem__(name))
                reads.names[name] = None
                reads.from_here.add(name)
                return value
            reads.names[name] = None
            missed.append(name)
            raise KeyError(name)

        def __iter__(self) -> Iterator[str]:
            return iter(variables) if _find_reader(prefix) == "project" else super().__iter__()

    os.environ.__class__ = PodEnviron
    try:
        yield
    finally:
        os.environ.__class__ = environ_class


def _find_reader(prefix: str) -> Literal["project", "library"] | None:
    """Return who reads the environment: the project or an interpolation, a library that they call, or somebody else."""
    frame: FrameType | None = sys._getframe(2)  # noqa: SLF001  there is no public equivalent
    nearest = ""
    while frame is not None:
        module, file = str(frame.f_globals.get("__name__")), frame.f_code.co_filename
        if module == __name__:
            return None
        is_project = file.startswith(prefix) and f"{os.sep}site-packages{os.sep}" not in file
        if not nearest and module not in _ENVIRONMENT_MODULES:
            nearest = module
            if is_project or module.startswith("omegaconf.resolvers"):
                return "project"
            if module.startswith("omegaconf."):
                return None  # OmegaConf has variables of its own
        if is_project or module.startswith("omegaconf."):
            return "library"
        frame = frame.f_back
    return None


def find_placeholders(
    value: object, names: Container[str], path: tuple[str, ...] = ()
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield the variables whose placeholders a nested value holds, each with the keys that lead there."""
    if isinstance(value, str):
        yield from ((name, path) for name in _PLACEHOLDER.findall(value) if name in names)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from find_placeholders(item, names, (*path, str(key)))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from find_placeholders(item, names, path)


def remove_placeholders(value: Any, names: Container[str]) -> Any:
    """Return a nested value without the placeholders in its texts: what the configuration itself holds."""
    if isinstance(value, str):
        return _PLACEHOLDER.sub(lambda match: "" if match[1] in names else match[0], value)
    if isinstance(value, dict):
        return {key: remove_placeholders(item, names) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [remove_placeholders(item, names) for item in value]
    return value


def flatten_values(value: object) -> Iterator[object]:
    """Yield every value inside nested maps and lists."""
    if isinstance(value, dict | list | tuple):
        for item in value.values() if isinstance(value, dict) else value:
            yield from flatten_values(item)
    else:
        yield value
