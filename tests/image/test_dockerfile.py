"""Where a Dockerfile copies the program of the pods to, and links that an image cannot follow."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kedro_k8s_airflow.image.content_hash import find_links
from kedro_k8s_airflow.image.dockerfile import find_copied_places

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = ".k8s-airflow/pod.py"


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("FROM x\nWORKDIR /home/kedro_docker\nCOPY --chown=1:1 . .\n", ["/home/kedro_docker/.k8s-airflow/pod.py"]),
        ("FROM x\nCOPY . /srv\n", ["/srv/.k8s-airflow/pod.py"]),
        ('FROM x\nWORKDIR /a\nWORKDIR b\ncopy [".", "c d/"]\n', ["/a/b/c d/.k8s-airflow/pod.py"]),
        ("FROM x\nCOPY .k8s-airflow/ /app/.k8s-airflow\n", ["/app/.k8s-airflow/pod.py"]),
        ("FROM x\nCOPY .k8s-airflow src \\\n  /app/\n", ["/app/pod.py"]),
        ("FROM x\nCOPY .k8s-airflow/pod.py /p/\nCOPY .k8s-airflow/pod.py /q.py\n", ["/p/pod.py", "/q.py"]),
        ("FROM x AS one\nCOPY . /one\nFROM one\nENV P=/two\nCOPY ./ $P\n", ["/two/.k8s-airflow/pod.py"]),
        ("FROM x\nARG P\nWORKDIR ${P:-/d}\nCOPY . .\n", ["/d/.k8s-airflow/pod.py"]),
        # Not certain:
        ("FROM x\nCOPY . .\n", []),
        ("FROM x\nARG P\nWORKDIR $P\nCOPY . .\n", []),
        ("FROM x AS one\nCOPY . /one\nFROM x\nCOPY --from=one /one /app\n", []),
        ("FROM x\nCOPY . /src\nRUN mkdir /app && cp -r /src/. /app\n", []),
        ("FROM x\nCOPY src /src\n", []),
    ],
)
def test_the_place_of_the_program_is_known_if_it_is_certain(text: str, places: list[str]) -> None:
    assert find_copied_places(text, PROGRAM) == places


def test_links_are_found_with_what_they_lead_to_in_an_image(tmp_path: Path) -> None:
    root = tmp_path / "p"
    (root / "src" / "own").mkdir(parents=True)
    (root / "data").mkdir()
    (tmp_path / "beside").mkdir()
    links = {
        "src/inside": "own",
        "src/outside": "../../beside",
        "src/absolute": str(root / "src" / "own"),
        "src/circle": "circle",
        "src/nowhere": "no",
        "src/own/data": "../../data",
        "conf": "../beside",
    }
    for name, target in links.items():
        (root / name).symlink_to(target)
    found = {path: inside for path, _, inside in find_links(root, ["src", "conf", "none"])}
    assert found == {
        "src/inside": "src/own",
        "src/outside": None,
        "src/absolute": None,
        "src/circle": None,
        "src/nowhere": None,
        "src/own/data": "data",
        "conf": None,
    }
