"""Finds and fills templates: every emitted text is in `templates/`, which the wheel holds inside the package."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kedro_k8s_airflow import python_source

if TYPE_CHECKING:
    from jinja2 import Environment

_HERE = Path(__file__).parent


@cache
def find_templates_folder() -> Path:
    """Return the folder of the templates: in the package if installed from a wheel, beside it in a checkout."""
    return next(
        folder for folder in (_HERE / "templates", _HERE.parent / "templates") if (folder / "dag.py.j2").is_file()
    )


@cache
def _make_environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(find_templates_folder()),
        undefined=StrictUndefined,
        autoescape=False,  # noqa: S701  what is emitted is Python, Dockerfiles and YAML, never HTML
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["py"] = python_source.to_source
    environment.filters["yaml"] = _to_inline_yaml
    environment.filters["block"] = _to_yaml_block
    environment.filters["quoted"] = _quote
    return environment


def _to_inline_yaml(value: Any) -> str:
    """Return a value as YAML on one line."""
    import yaml

    text: str = yaml.safe_dump(value, default_flow_style=True, width=10**6, sort_keys=False, allow_unicode=True)
    return text.strip().removesuffix("...").strip()


def _quote(value: str) -> str:
    """Return a string as a word of a Dockerfile in which no variable is expanded."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$")
    return f'"{escaped}"'


def _to_yaml_block(value: Any) -> str:
    """Return a map as YAML, one key a line; texts of several lines stay readable."""
    import yaml

    class BlockDumper(yaml.SafeDumper):
        """Writes texts of several lines as block scalars."""

    def represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
        return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)

    BlockDumper.add_representer(str, represent_text)
    text: str = yaml.dump(
        value, Dumper=BlockDumper, default_flow_style=False, width=100, sort_keys=False, allow_unicode=True
    )
    return text


def fill_template(template: str, **values: Any) -> str:
    """Return the text of a filled template.

    Raises:
        jinja2.UndefinedError: when the template uses a value that is not given.
    """
    return _make_environment().get_template(template).render(**values)
