"""Texts of users may be long: no expression takes quadratic time on one, and no function that reads one does."""

from __future__ import annotations

import ast
import contextlib
import importlib
import pkgutil
import re
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import kedro_k8s_airflow
from kedro_k8s_airflow import credential_detection, exceptions, pod
from kedro_k8s_airflow.config.loader import SettingsSources
from kedro_k8s_airflow.findings import Refused
from kedro_k8s_airflow.image import content_hash
from kedro_k8s_airflow.output.source_lines import LineFinder
from kedro_k8s_airflow.plan.provenance import Origin, trace_origins
from kedro_k8s_airflow.publish.git import mask_credentials

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PACKAGE = Path(kedro_k8s_airflow.__file__).parent
SIZE = 20_000  # quadratic time takes seconds at this length
SECONDS = 0.2
# Called only with a text that ends in what the expression looks for; a test below calls the function.
GUARDED = {"kedro_k8s_airflow.image.content_hash"}
METHODS = {
    **{name: name for name in ("match", "fullmatch", "search")},
    **dict.fromkeys(("findall", "finditer", "sub", "split"), "findall"),
}
# Repeated, these make an expression begin anew at every letter, each time up to the end.
PIECES = [
    *"aA0 -_.:/=@#?&\\\n*[\"'~$%+",
    *(
        "eyJ-",
        "eyJaaaaaaaaaa.",
        "http://",
        "://",
        "://a:",
        "a://",
        "Bearer ",
        "-----BEGIN ",
        "A B",
        "a.",
        "a-",
        "a_",
        "a:b",
    ),
    *(
        "_KEY",
        "_API_KEY1",
        "PASSWORD_",
        "?a",
        "&a=",
        "://a",
        "1.",
        "1:",
        "[a",
        "{a",
        "${a",
        "a=",
        "a ",
        "\\a",
        "-r ",
        "#a",
    ),
    *("extra", "extra == ", "refs/", "dpkg", "gh", "xoxb-", "glpat-", "AKIA"),
]


def list_expressions() -> Iterator[tuple[str, Callable[[str], object]]]:
    """Yield every use of an expression in the package: methods of compiled ones, and calls of `re` with a literal."""
    for info in pkgutil.walk_packages([str(PACKAGE)], "kedro_k8s_airflow."):
        if info.name.endswith("__main__") or info.name in GUARDED:
            continue
        module = importlib.import_module(info.name)
        for node in ast.walk(ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)):
                continue
            pattern = getattr(module, node.value.id, None)
            if isinstance(pattern, re.Pattern) and isinstance(pattern.pattern, str) and node.attr in METHODS:
                yield f"{info.name}:{node.lineno}", getattr(pattern, METHODS[node.attr])
        for node in ast.walk(ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args):
                continue
            is_re = isinstance(node.func.value, ast.Name) and node.func.value.id == "re"
            literal = node.args[0]
            if is_re and isinstance(literal, ast.Constant) and isinstance(literal.value, str):
                method = METHODS.get(node.func.attr)
                if method:
                    yield f"{info.name}:{node.lineno}", getattr(re.compile(literal.value), method)


EXPRESSIONS = list(list_expressions())


@contextlib.contextmanager
def stop_after(seconds: float) -> Iterator[None]:
    """Interrupt what takes longer, which an expression allows."""

    def stop(*_: object) -> None:
        raise TimeoutError

    old = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, old)


def test_expressions_are_found() -> None:
    assert len(EXPRESSIONS) > 60


@pytest.mark.parametrize("piece", PIECES)
def test_no_expression_takes_quadratic_time(piece: str) -> None:
    repeated = piece * (SIZE // len(piece))
    slow = set()
    for name, call in EXPRESSIONS:
        for text in (repeated, f"a{repeated}b\x00"):
            try:
                with stop_after(SECONDS):
                    call(text)
            except TimeoutError:
                slow.add(name)
    assert slow == set()


LONG = 250_000
LONG_TEXTS = {
    "letters": "x" * LONG,
    "blanks": "a" + " " * LONG + "b",
    "tokens": "eyJ-" * (LONG // 4),
    "token": "eyJ-" * (LONG // 4) + ".eyJ",
    "addresses": "http://" * (LONG // 7),
    "schemes": "a://b:" * (LONG // 6),
    "backslashes": "\\" * LONG,
    "names": "a_KEY=" * (LONG // 6),
}
READERS = {
    "may_be_credential": credential_detection.may_be_credential,
    "find_credentials": lambda text: credential_detection.find_credentials({"env": {"a": text}}, frozenset({"env"})),
    "mask_credentials": mask_credentials,
    "describe_exception": lambda text: exceptions.describe_exception(ValueError(text)),
    "escape_interpolation": pod.escape_interpolation,
}


@pytest.mark.parametrize("text", LONG_TEXTS.values(), ids=LONG_TEXTS)
@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
def test_a_long_text_is_read_at_once(read: Callable[[str], object], text: str) -> None:
    with stop_after(0.5):
        read(text)


def test_a_long_pattern_with_open_brackets_is_refused_at_once() -> None:
    with stop_after(1.0), pytest.raises(Refused):
        content_hash.is_ignored("[b]" + "[" * 100_000, "a")


def test_many_keys_are_traced_and_found_in_linear_time(tmp_path: Path) -> None:
    keys = {f"key{number}": {"x": number} for number in range(3_000)}
    layers = [(Origin("a"), keys), (Origin("b"), dict.fromkeys(keys, 1)), (Origin("c"), keys)]
    file = tmp_path / "k8s_airflow.yml"
    file.write_text("".join(f"{key}: {{x: 1}}\n" for key in keys))
    sources, find_line = SettingsSources([file], tmp_path), LineFinder(tmp_path)
    first = sources.location_of(("key0",))
    assert find_line(first).line == 1  # the file is read once
    with stop_after(1.0):
        origins = trace_origins(layers)
        locations = [find_line(sources.location_of((key, "x"))) for key in keys]
    assert set(origins.values()) == {Origin("c")}
    assert [location.line for location in locations] == [*range(1, len(keys) + 1)]


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.x", True),
        ("token=eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0", True),
        ("a-eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0", True),
        ("eyJhbGciOiJIUzI1NiJ9", False),
        ("eyJhbGciOiJIUzI1NiJ9.eyJ", False),
        ("keyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0", False),
    ],
)
def test_a_web_token_is_a_credential(text: str, secret: bool) -> None:
    assert credential_detection.is_secret_value(text) is secret


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("fatal: https://tok@h/x and 'ssh://u:p@h/y?sig=1'", "fatal: https://***@h/x and 'ssh://u:***@h/y?***'"),
        ("https://u:p@h?x=http://a@b", "https://***@b"),
        ("HTTP://u@h", "HTTP://***@h"),
        ("ssh://git@h/x", "ssh://git@h/x"),
        ("https://h/x?token=1", "https://h/x?***"),
        ("https://h/x?", "https://h/x?"),
        ("plain text: a@b?c", "plain text: a@b?c"),
    ],
)
def test_addresses_are_masked(text: str, masked: str) -> None:
    assert mask_credentials(text) == masked
