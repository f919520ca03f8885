"""Dependencies as the build reads them: encodings, requirements that cannot be installed, Python versions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kedro_k8s_airflow.config.models import BuildSettings
from kedro_k8s_airflow.credential_detection import has_url_credential, may_be_credential, without_url_credentials
from kedro_k8s_airflow.image import dependencies

if TYPE_CHECKING:
    from pathlib import Path

    from kedro_k8s_airflow.findings import Finding


def find(folder: Path, text: str, encoding: str = "utf-8") -> list[Finding]:
    (folder / "pyproject.toml").write_text("[tool.kedro]\npackage_name = 'p'\n")
    (folder / "requirements.txt").write_bytes(text.encode(encoding))
    return dependencies.find_dependency_file(folder)[2]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_requirements_are_decoded_as_the_installer_decodes_them(tmp_path: Path, encoding: str) -> None:
    assert find(tmp_path, "kedro==1.7.0 --hash=sha256:00\nkedro-viz\n", encoding) == []
    assert dependencies.has_hashes(tmp_path, ["requirements.txt"])
    excluded = dependencies.find_excluded_packages(tmp_path, "requirements.txt", ["requirements.txt"], BuildSettings())
    assert excluded == ("kedro-viz",)
    find(tmp_path, "kedro\nx @ https://h/x.whl?sig=0123\n", encoding)
    assert [one.code for one in dependencies.find_credentials_in_files(tmp_path, ["requirements.txt"])] == ["secret"]


@pytest.mark.parametrize(
    ("line", "mentions"),
    [
        ("-e git+https://git.example.com/h.git@v1.2#egg=helpers", "`helpers @ git+https://git.example.com/h.git@v1.2`"),
        ("--editable=git+ssh://git@git.example.com/h.git", "build_packages"),
        ("-e https://example.com/h.tar.gz?token=0123", "`NAME @ https://example.com/h.tar.gz`"),
        ("-e .", "without it"),
        (".[dev]", "without it"),
        ("-e ./libs/shared", "is a path"),
        ("-e libs/shared[a]", "is a path"),
        ("./libs/shared", "is a path"),
        ("../shared", "is a path"),
        ("libs/shared", "is a path"),
        ("wheels/x-1.0-py3-none-any.whl", "is a path"),
        ("x-1.0-py3-none-any.whl ; python_version > '3'", "is a path"),
        ("shared @ file:///home/me/shared", "is a path"),
        ("shared[a] @ ./shared", "is a path"),
    ],
)
def test_a_requirement_that_the_build_cannot_install_is_reported(tmp_path: Path, line: str, mentions: str) -> None:
    findings = find(tmp_path, f"kedro\n{line}  # why\n")
    assert [(one.code, one.location.line) for one in findings] == [("image-local", 2)]
    assert mentions in str(findings[0])
    assert "0123" not in str(findings[0])


@pytest.mark.parametrize(
    "line",
    [
        "helpers @ git+https://git.example.com/h.git@v1.2",
        "x @ https://example.com/x-1.0-py3-none-any.whl",
        "https://example.com/x-1.0-py3-none-any.whl",
        "git+https://git.example.com/h.git#egg=h",
        "--find-links wheels/",
        "pandas[excel]>=2,<3; python_version >= '3.10'",
        "zope.interface",
    ],
)
def test_a_requirement_that_the_build_can_install_is_not_reported(tmp_path: Path, line: str) -> None:
    assert find(tmp_path, f"kedro\n{line}\n") == []


@pytest.mark.parametrize(
    ("requires", "version", "codes"),
    [
        (">=3.10", "3.12", []),
        (">=3.13", "3.13", []),
        (">=3.14", "3.14", []),
        ("~=3.14.1", "3.14", []),
        (">=3.15", "3.12", ["image-python"]),
    ],
)
def test_the_python_of_the_image_is_one_that_the_project_allows(
    tmp_path: Path, requires: str, version: str, codes: list[str]
) -> None:
    (tmp_path / "pyproject.toml").write_text(f"[project]\nname = 'p'\nrequires-python = '{requires}'\n")
    chosen, findings = dependencies.choose_python_version(tmp_path)
    assert (chosen, [one.code for one in findings]) == (version, codes)


@pytest.mark.parametrize(
    ("text", "is_credential"),
    [
        ("--index-url https://0a1b@example.com/simple", True),
        ("https://me:s3cret@example.com", True),
        ("https://h/x.whl?access_token=abc", True),
        ("https://h/x?a=1&sig=abc", True),
        ("https://${TOKEN}@example.com/simple", False),
        ("https://oauth2:${TOKEN}@example.com/x.git", False),
        ("https://${USER}:${PASSWORD}@example.com/simple", False),
        ("https://${TOKEN}:x-oauth-basic@example.com/x.git", False),
        ("git+https://git@example.com/x.git", False),
        ("https://h/x.whl?token=${TOKEN}", False),
        ("https://h/x.whl?version=3&page=2", False),
    ],
)
def test_a_credential_in_an_address_is_recognised(text: str, is_credential: bool) -> None:
    assert has_url_credential(text) is is_credential
    for secret in ("0a1b", "s3cret", "=abc"):
        assert secret not in without_url_credentials(text)


@pytest.mark.parametrize(
    ("image", "is_credential"),
    [
        ("me:s3cret@registry.example.com/x:1", True),
        ("t0ken@localhost:5000/x", True),
        ("registry.example.com:5000/x:1", False),
        ("python@sha256:00", False),
        ("me@example.com", False),
    ],
)
def test_the_user_of_a_registry_is_not_shown(image: str, is_credential: bool) -> None:
    assert may_be_credential(image) is is_credential


@pytest.mark.parametrize(
    ("file", "text", "lines"),
    [
        ("requirements.txt", "kedro==0.18.14\n", [1]),
        ("requirements.txt", "Kedro[test] ~= 0.19.3 ; python_version > '3' --hash=sha256:00\n", [1]),
        ("requirements.txt", "kedro>=2\n", [1]),
        ("requirements.txt", "kedro<1.5 \\\n    --hash=sha256:00\n", [1]),
        ("requirements.txt", "kedro>=0.18\nkedro-datasets==1.0\nkedro.x==1\n", []),
        ("requirements.txt", "kedro==1.5.*\nkedro~=1.7.0\nkedro<2\nkedro==1.7.0rc1\n", []),
        ("requirements.txt", "kedro==0.19.1; python_version < '3'\nkedro @ git+https://h/kedro.git\n", []),
        ("uv.lock", 'version = 1\n[[package]]\nname = "kedro"\nversion = "1.0.0"\n', [3]),
        ("uv.lock", 'version = 1\n[[package]]\nname = "kedro"\nversion = "1.7.0"\n', []),
        ("pyproject.toml", "[project]\ndependencies = ['pandas', 'kedro<1']\n", [None]),
        ("pyproject.toml", "[project]\ndependencies = ['pandas', 'kedro']\n", []),
    ],
)
def test_a_kedro_on_which_pods_cannot_run_is_found(
    tmp_path: Path, file: str, text: str, lines: list[int | None]
) -> None:
    (tmp_path / file).write_text(text)
    found = dependencies.find_unsupported_kedro(tmp_path, file, ["requirements.txt"])
    assert [location.line for location, _ in found] == lines


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ('editable = "."', 0),
        ('registry = "https://h/simple"', 0),
        ('directory = "libs/x"', 1),
        ('editable = "../x"', 1),
    ],
)
def test_a_path_in_the_lock_is_reported(tmp_path: Path, source: str, lines: int) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.kedro]\npackage_name = 'p'\n")
    (tmp_path / "uv.lock").write_text(f'version = 1\n[[package]]\nname = "x"\nsource = {{ {source} }}\n')
    assert [one.code for one in dependencies.find_dependency_file(tmp_path)[2]] == ["image-local"] * lines


@pytest.mark.parametrize(("field", "is_dynamic"), [("dependencies", True), ("version", False), ("readme", False)])
def test_only_dynamic_dependencies_keep_uv_from_comparing_the_lock(
    tmp_path: Path, field: str, is_dynamic: bool
) -> None:
    """Tried with uv 0.13: `--locked` builds the project for these fields, and not for a dynamic version."""
    (tmp_path / "pyproject.toml").write_text(f"[project]\nname = 'p'\ndynamic = ['{field}']\n")
    assert dependencies.has_dynamic_dependencies(tmp_path) is is_dynamic


def test_the_lock_of_a_workspace_is_named(tmp_path: Path) -> None:
    member = tmp_path / "members" / "one"
    member.mkdir(parents=True)
    (member / "pyproject.toml").write_text("[project]\nname = 'one'\ndependencies = ['kedro']\n")
    before = dependencies.find_dependency_file(member)[2]
    (tmp_path / "uv.lock").write_text("version = 1\n")
    after = dependencies.find_dependency_file(member)[2]
    assert [one.code for one in (*before, *after)] == ["image-no-lock"] * 2
    assert "uv export" in after[0].help
    assert "uv export" not in before[0].help


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("3.11\n", "3.11"),
        ("3.13.1", "3.13"),
        ("cpython@3.11", "3.11"),
        ("3.10", "3.12"),
        ("3.9", "3.12"),
        ("pypy", "3.12"),
    ],
)
def test_python_version_of_the_project_is_taken_if_it_is_allowed(tmp_path: Path, text: str, version: str) -> None:
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'p'\nrequires-python = '>=3.11'\n")
    (tmp_path / ".python-version").write_text(text)
    assert dependencies.choose_python_version(tmp_path) == (version, [])


@pytest.mark.parametrize(
    ("file", "text", "line"),
    [
        ("requirements.txt", "kedro\ngit+https://h/x.git#egg=x\n", 2),
        ("requirements.txt", "x@git+ssh://git@h/x.git\n", 1),
        ("requirements.txt", "kedro  # not git+https://h/x.git\n", None),
        ("uv.lock", 'version = 1\n[[package]]\nname = "x"\nsource = { git = "https://h/x.git#00" }\n', 4),
        ("pyproject.toml", '[project]\ndependencies = [\n  "x @ git+https://h/x.git",\n]\n', 3),
        ("pyproject.toml", '[project]\ndependencies = ["kedro"]\n', None),
    ],
)
def test_a_dependency_from_git_is_found(tmp_path: Path, file: str, text: str, line: int | None) -> None:
    (tmp_path / file).write_text(text)
    location = dependencies.find_git_dependency(tmp_path, file, [file] if file == "requirements.txt" else [])
    assert (location.line if location else None) == line
