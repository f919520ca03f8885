"""The trigger form: which values its fields change, and which options of a field its default contradicts."""

from __future__ import annotations

from typing import Any

import pytest

from kedro_k8s_airflow.config.models import FormField
from kedro_k8s_airflow.plan.trigger_form import LARGEST_INTEGER, find_field_errors, find_limits


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("depth", LARGEST_INTEGER + 1),
        ("depth", -LARGEST_INTEGER - 1),
        ("ids", [1, {"a": [LARGEST_INTEGER + 1]}]),
        ("origin", 1),
        ("text", "a\rb"),
        ("text", "a\0b"),
        ("text", "\nb"),
        ("nothing", None),
    ],
)
def test_a_value_that_the_form_changes_is_reported(name: str, value: Any) -> None:
    assert len(list(find_limits(name, value, FormField()))) == 1


@pytest.mark.parametrize(
    ("name", "value", "field"),
    [
        ("depth", LARGEST_INTEGER, FormField()),
        ("ids", [1, {"a": [-LARGEST_INTEGER]}], FormField()),
        ("origins", 1, FormField()),
        ("text", "a\n\nb\t", FormField()),
        ("nothing", None, FormField(type="integer")),
    ],
)
def test_a_value_that_the_form_carries_is_not_reported(name: str, value: Any, field: FormField) -> None:
    assert list(find_limits(name, value, field)) == []


@pytest.mark.parametrize(
    ("value", "options"),
    [
        (1, {"type": "string"}),
        ("a", {"minimum": 1}),
        (1, {"minimum": 0.5}),
        (1, {"minimum": 2, "maximum": 0}),
        (1, {"minimum": 2}),
        ("a", {"enum": ("b", "c")}),
        ("a", {"enum": ("a", 1)}),
        ("a", {"enum": ("a", "")}),
        ("a", {"enum": ("a", "a")}),
        ([1], {"enum": (1, 2)}),
        (1, {"format": "date"}),
        ("2026-1-31", {"format": "date"}),
        ("2026-01-31", {"format": "date", "enum": ("2026-01-31",)}),
    ],
)
def test_an_option_that_contradicts_the_default_is_reported(value: Any, options: dict[str, Any]) -> None:
    assert len(list(find_field_errors("x", value, FormField(**options)))) == 1


@pytest.mark.parametrize(
    ("value", "options"),
    [
        (None, {"type": "string"}),
        (1, {"minimum": 1, "maximum": 1}),
        (0.5, {"minimum": 0}),
        ("a", {"enum": ("a", "b")}),
        (1.5, {"enum": (1, 1.5)}),
        ("2026-01-31", {"format": "date"}),
        ("a\nb", {"format": "multiline"}),
    ],
)
def test_an_option_that_fits_the_default_is_accepted(value: Any, options: dict[str, Any]) -> None:
    assert list(find_field_errors("x", value, FormField(**options))) == []
