"""What is wrong in the configuration is reported with its file, and with the key or line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from kedro_k8s_airflow.findings import Refused
from kedro_k8s_airflow.project.catalog import find_entry_problems
from kedro_k8s_airflow.project.configuration import glob_config_files, make_config_loader, read_config

if TYPE_CHECKING:
    from pathlib import Path

    from kedro_k8s_airflow.findings import Finding

FILES = {
    "a list": (b"- a\n", "", "is a list"),
    "a key twice": (b"a: 1\nb: 2\na: 2\n", ", line 3", "duplicate key a"),
    "a Python object": (b"a: !!python/object:os.system x\n", ", line 1", "python/object"),
    "an unknown alias": (b"x: 1\na: *x\n", ", line 2", "undefined alias"),
    "an alias of itself": (b"a: &b {c: *b}\n", ", line 1", "recursive"),
    "no YAML": (b"a: 1\nb: [\n", ", line 3", "parsing"),
    "a tab": (b"\ta: 1\n", ", line 1", "scanning"),
    "two documents": (b"a: 1\n---\nb: 2\n", ", line 2", "another document"),
    "other bytes": (b"\xff\xfe", "", "UTF-8"),
    "a missing key": (b"a: {b: ['${nope}']}\n", ": a.b.0", "'nope' not found"),
    "an unknown resolver": (b"a: {b: '${nope:x}'}\n", ": a.b", "Unsupported interpolation type nope"),
    "half an interpolation": (b"a: {b: '${'}\n", ": a.b", "${"),
    "a missing runtime parameter": (b"a: {b: '${runtime_params:day}'}\n", ": a.b", "'day'"),
}


@pytest.mark.parametrize("kind", ["catalog", "parameters"])
@pytest.mark.parametrize(("content", "place", "phrase"), FILES.values(), ids=FILES)
def test_the_file_and_the_place_in_it_are_reported(
    kind: str, content: bytes, place: str, phrase: str, tmp_path: Path
) -> None:
    for env, name in (("base", f"{kind}.yml"), ("base", f"{kind}_more.yml"), ("prod", f"{kind}.yml")):
        (tmp_path / "conf" / env).mkdir(parents=True, exist_ok=True)
        (tmp_path / "conf" / env / name).write_text("{}\n")
    (tmp_path / "conf" / "base" / f"{kind}_more.yml").write_bytes(content)
    finding = read_finding(tmp_path, kind)
    assert str(finding.location) == f"conf/base/{kind}_more.yml{place}"
    assert phrase in finding.message
    assert str(tmp_path) not in str(finding)


def read_finding(root: Path, kind: str) -> Finding:
    """Return the finding with which reading one type of configuration is refused."""
    conf = root / "conf"
    try:
        loader = make_config_loader(str(conf), "prod", {}, {"base_env": "base", "default_run_env": "local"}, root)
        read_config(loader, kind, glob_config_files(conf, ("prod", "base"), kind), root)
    except Refused as refused:
        (finding,) = refused.findings
        return finding
    raise AssertionError("it was read")


def test_a_key_of_the_catalog_that_is_not_text_is_reported(tmp_path: Path) -> None:
    for env in ("base", "prod"):
        (tmp_path / "conf" / env).mkdir(parents=True)
    (tmp_path / "conf" / "prod" / "catalog.yml").write_text("1: {type: x.Y}\n")
    finding = read_finding(tmp_path, "catalog")
    assert str(finding.location) == "conf/prod/catalog.yml: 1"


def test_globals_are_reported_as_well(tmp_path: Path) -> None:
    for env in ("base", "prod"):
        (tmp_path / "conf" / env).mkdir(parents=True)
    for text, place in (("a: {b: '${nope}'}\n", ": a.b"), ("a: [\n", ", line 2")):
        (tmp_path / "conf" / "base" / "globals.yml").write_text(text)
        assert str(read_finding(tmp_path, "catalog").location) == f"conf/base/globals.yml{place}"


@pytest.mark.parametrize(
    ("entry", "key"),
    [
        ("text", ()),
        ({"filepath": "x"}, ()),
        ({"type": 1}, ("type",)),
        ({"type": None, "filepath": "x"}, ("type",)),
        ({"type": ["x"]}, ("type",)),
        ({"type": "json.JSONDataset", "filepath": None}, ("filepath",)),
        ({"type": "kedro_datasets.json.JSONDataset", "filepath": 5}, ("filepath",)),
        ({"type": "json.JSONDataset", "filepath": "x", "credentials": 5}, ("credentials",)),
        ({"type": "json.JSONDataset", "filepath": "x", "save_args": ["x"]}, ("save_args",)),
        ({"type": "CachedDataset", "dataset": {"type": 1}}, ("dataset", "type")),
    ],
    ids=str,
)
def test_values_of_the_wrong_type_in_the_catalog_are_found(entry: Any, key: tuple[str, ...]) -> None:
    assert [path for path, _, _ in find_entry_problems({"raw": entry})] == [("raw", *key)]


@pytest.mark.parametrize(
    "entry",
    [
        {"type": "project.files.ManyFilesDataset", "filepath": ["a", "b"], "load_args": [1]},
        {"type": "project.files.OptionalDataset", "filepath": None},
        {"type": "json.JSONDataset", "filepath": "x", "credentials": None, "load_args": None},
        {"type": "partitions.PartitionedDataset", "path": "x", "dataset": "json.JSONDataset"},
    ],
    ids=str,
)
def test_other_entries_are_left_alone(entry: dict[str, Any]) -> None:
    assert list(find_entry_problems({"raw": entry, "{pattern}": {}})) == []
