"""Which credentials files hold only references to environment variables."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kedro_k8s_airflow.project.credentials_files import read_credentials_files

if TYPE_CHECKING:
    from pathlib import Path

REFERENCES = {
    "a variable": ("s: {key: '${oc.env:KEY}'}", ("KEY",)),
    "several, at any depth": ("s: {a: ['${oc.env:B}${oc.env:A}'], port: null, tls: true}", ("A", "B")),
    "a variable with an empty default": ("s: {key: '${oc.env:KEY,null}', other: '${oc.env:KEY, }'}", ()),
    "a variable inside a default": ("s: {key: '${oc.env:KEY,${oc.env:OTHER}}'}", ("OTHER",)),
    "a decoded variable": ("s: {key: '${oc.decode:${oc.env:KEY}}'}", ("KEY",)),
    "another key": ("s: {key: '${oc.env:KEY}', again: '${.key}', more: '${globals:more}'}", ("KEY",)),
    "a comment": ("# From the Secret `store`, see https://example.com/store\ns: {key: '${oc.env:KEY}'}", ("KEY",)),
}
LITERALS = {
    "a text": ("s: {key: hunter2}", ("s", "key")),
    "a number": ("s: {pin: 1234}", ("s", "pin")),
    "a default": ("s: {key: '${oc.env:KEY,hunter2}'}", ("s", "key")),
    "a default inside a default": ("s: {key: '${oc.env:KEY,${oc.env:OTHER,hunter2}}'}", ("s", "key")),
    "a text beside a variable": ("s: {con: 'postgresql://me:hunter2@${oc.env:HOST}/x'}", ("s", "con")),
    "an escaped reference": ("s: {key: '\\${oc.env:KEY}'}", ("s", "key")),
    "an argument of another resolver": ("s: {key: '${decrypt:aHVudGVyMg==}'}", ("s", "key")),
    "a comment that was an entry": ("# key: hunter2\ns: {key: '${oc.env:KEY}'}", ()),
    "no map": ("hunter2", ()),
    "no YAML": ("s: {key: '${oc.env:KEY}'", ()),
}


def write_credentials(folder: Path, text: str, name: str = "base/credentials.yml") -> Path:
    path = folder / "conf" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return folder


@pytest.mark.parametrize(("text", "variables"), REFERENCES.values(), ids=REFERENCES)
def test_a_file_of_references_has_no_literal(text: str, variables: tuple[str, ...], tmp_path: Path) -> None:
    (file,) = read_credentials_files(write_credentials(tmp_path, text) / "conf", tmp_path)
    assert (file.path, file.env, file.names) == ("conf/base/credentials.yml", "base", {"s"})
    assert (file.literal, file.variables) == (None, variables)


@pytest.mark.parametrize(("text", "literal"), LITERALS.values(), ids=LITERALS)
def test_a_literal_is_found_by_its_key(text: str, literal: tuple[str, ...], tmp_path: Path) -> None:
    (file,) = read_credentials_files(write_credentials(tmp_path, text) / "conf", tmp_path)
    assert file.literal == literal
    assert "hunter2" not in repr(file)


def test_files_of_the_local_environment_are_not_read(tmp_path: Path) -> None:
    for name in (
        "local/credentials.yml",
        "prod/sub/credentials_s3.yaml",
        "prod/credentials/all.json",
        "prod/credentials.txt",
    ):
        write_credentials(tmp_path, '{"s": {"key": "${oc.env:KEY}"}}', name)
    found = [file.path for file in read_credentials_files(tmp_path / "conf", tmp_path)]
    assert found == ["conf/prod/credentials/all.json", "conf/prod/sub/credentials_s3.yaml"]
