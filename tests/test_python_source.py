"""Values in the emitted file: what is written is what is read, laid out as formatters do, untouched on the way to the pod."""

from __future__ import annotations

import ast
import re
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import jinja2
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kedro_k8s_airflow import names, python_source
from kedro_k8s_airflow.dag import pod_arguments
from tests.scenarios import BY_NAME
from tests.support.environments import run_process
from tests.support.kubelet import expand_variables

if TYPE_CHECKING:
    from collections.abc import Callable

# Everything UTF-8 can hold; signs that mean something to Python, Jinja, JSON, shells and the kubelet come more often.
TEXT = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"])),
    st.text(st.sampled_from("'\"\\{}%#$()\n\r\t \0\x7f\x85\u2028ab🚀é")),
)
ODD_TEXTS = (
    "{{ x }}",
    "{% raw %}",
    "{#",
    "$(HOME)",
    "$$(A)",
    "$",
    "'\"",
    '"""',
    "\\",
    "\\n",
    "\r\n",
    "a\n",
    "\n",
    "}}",
    "\x00",
    "\\u0041",
)
NUMBERS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False))
SCALARS = st.one_of(NUMBERS, TEXT)
VALUES = st.recursive(
    SCALARS,
    lambda inside: st.one_of(
        st.lists(inside, max_size=5),
        st.lists(inside, max_size=3).map(tuple),
        st.dictionaries(st.one_of(TEXT, st.integers()), inside, max_size=5),
    ),
    max_leaves=25,
)


def with_odd_texts(test: Callable[..., None]) -> Callable[..., None]:
    for text in ODD_TEXTS:
        test = example(text)(test)
    return test


@given(VALUES, st.integers(0, 4), st.integers(0, 100), st.integers(0, 5))
def test_python_reads_back_what_was_written(value: Any, indent: int, used: int, reserve: int) -> None:
    assert ast.literal_eval(python_source.to_source(value, indent, used, reserve)) == value


@with_odd_texts
@given(TEXT)
def test_a_text_is_written_on_one_line(text: str) -> None:
    written = python_source.text(text)
    assert ast.literal_eval(written) == text
    assert written.isprintable()


@given(
    st.one_of(
        st.datetimes(timezones=st.sampled_from([timezone.utc, ZoneInfo("Europe/Paris")])).map(
            lambda at: at.replace(microsecond=0)
        ),
        st.integers(1, 10**9).map(lambda seconds: timedelta(seconds=seconds)),
        st.floats(allow_nan=False),
    )
)
def test_dates_durations_and_floats_are_written_as_calls_that_give_them(value: object) -> None:
    known = {"datetime": datetime, "timedelta": timedelta, "timezone": timezone, "ZoneInfo": ZoneInfo, "float": float}
    assert eval(python_source.to_source(value), known) == value  # noqa: S307  what we wrote ourselves


def test_a_value_of_another_type_is_refused() -> None:
    with pytest.raises(TypeError, match="set"):
        python_source.to_source({1, 2})


# Letters of one and of two columns; of rarer ones formatters disagree among themselves.
LAYOUT_VALUES = st.recursive(
    st.one_of(NUMBERS, st.text(st.sampled_from("abcdefgh ij'\"\\{}\n\té数データ🚀"))),
    lambda inside: st.one_of(
        st.lists(inside, max_size=5), st.dictionaries(st.text(st.sampled_from("ab'\" é数🚀")), inside, max_size=5)
    ),
    max_leaves=25,
)


@given(st.lists(LAYOUT_VALUES, min_size=20, max_size=40))
@settings(max_examples=20)
def test_ruffs_formatter_leaves_a_written_value_alone(values: list[Any]) -> None:
    ruff = Path(sys.executable).with_name("ruff")
    if not ruff.is_file():
        pytest.skip("ruff is not in this environment")
    name = "a_name"
    text = "".join(f"{name} = {python_source.to_source(value, used=len(name) + 3)}\n" for value in values)
    result = run_process([ruff, "format", "--isolated", "--diff", "-"], input=text)
    assert result.returncode == 0, result.stdout


# -- from the file to the pod -----------------------------------------------------------------------------------------


def render_template(text: str) -> str:
    """A text after Airflow's templates: Jinja as Airflow sets it up, where a name that is not known is an error."""
    return jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False).from_string(text).render()  # noqa: S701


@with_odd_texts
@given(TEXT)
def test_a_text_survives_airflows_templates(text: str) -> None:
    assert render_template(pod_arguments.escape_template(text)) == text


@with_odd_texts
@given(TEXT)
def test_an_argument_survives_templates_and_the_kubelet(text: str) -> None:
    """Spelled as the emitted file spells it, with variables of the names that occur."""
    argument = pod_arguments.escape_template(f"--node={text}".replace("$", "$$"))
    variables = dict.fromkeys([*re.findall(r"\$\((.*?)\)", text, re.DOTALL), "HOME", "A"], "expanded")
    assert expand_variables(render_template(argument), variables) == f"--node={text}"


@given(TEXT)
def test_emitted_verbatim_function_equals_the_package_function(verbatim: Callable[[str], str], text: str) -> None:
    assert verbatim(text) == pod_arguments.escape_template(text)


@pytest.fixture(scope="module")
def verbatim(create_scenario: Callable[..., Any]) -> Callable[[str], str]:
    """The function of that name in a DAG file."""
    (file,) = create_scenario(BY_NAME["plain"])["dags"].values()
    tree = ast.parse(Path(file).read_text(encoding="utf-8"))
    found = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "verbatim"]
    names_: dict[str, Any] = {"json": __import__("json")}
    exec(compile(ast.Module(found, []), file, "exec"), names_)  # noqa: S102  a file of ours
    return names_["verbatim"]


# -- names ------------------------------------------------------------------------------------------------------------


@with_odd_texts
@given(TEXT)
def test_a_task_id_is_legal_in_airflow_and_makes_a_pod_name(text: str) -> None:
    key = names.to_airflow_key(text, [text])
    assert re.fullmatch(r"[A-Za-z0-9_.-]{1,250}", key)
    assert ".." not in key
    assert re.search("[A-Za-z0-9]", key)


@given(st.text(st.sampled_from("abAB01_-."), min_size=1, max_size=260))
def test_a_legal_task_id_is_kept(text: str) -> None:
    legal = len(text) <= 250 and ".." not in text and re.search("[A-Za-z0-9]", text)
    assert (names.to_airflow_key(text, [text]) == text) == bool(legal)


@given(st.lists(TEXT, unique=True, min_size=2, max_size=50))
def test_different_names_get_different_ids(texts: list[str]) -> None:
    assert len({names.to_airflow_key(text, [text]) for text in texts}) == len(texts)
    assert len({names.to_task_group_id(text) for text in texts}) == len(texts)
    assert len({names.to_label_value(text) for text in texts}) == len(texts)


@with_odd_texts
@given(TEXT)
def test_a_label_is_legal_in_kubernetes(text: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?", names.to_label_value(text))


@with_odd_texts
@given(TEXT)
def test_a_task_group_id_is_legal_in_airflow(text: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,200}", names.to_task_group_id(text))


@pytest.mark.parametrize(
    ("text", "variables", "expanded"),
    [
        ("$(A)", {"A": "1"}, "1"),
        ("$$(A)", {"A": "1"}, "$(A)"),
        ("$$$(A)", {"A": "1"}, "$1"),
        ("$(B)", {"A": "1"}, "$(B)"),
        ("$(A", {"A": "1"}, "$(A"),
        ("$A $ $$ $", {"A": "1"}, "$A $ $ $"),
        ("x$(A)y$(A)$(B)", {"A": "$(B)", "B": "2"}, "x$(B)y$(B)2"),
        ("$()", {}, "$()"),
    ],
)
def test_kubelet_expansion_matches_the_kubernetes_tests(text: str, variables: dict[str, str], expanded: str) -> None:
    assert expand_variables(text, variables) == expanded
