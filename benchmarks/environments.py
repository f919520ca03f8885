"""Environments made of another one's packages: folders of links to them.

Links to folders share the bytecode that lies in them, so that environments made of one start from the same state.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_WHERE = "import sys, sysconfig; print(sysconfig.get_path('purelib'), sys.base_prefix, sys.version_info[0], sys.version_info[1])"

# What distributions and all they require have put into site-packages.
_HELD = """
import sys
from importlib.metadata import distribution
from packaging.requirements import Requirement

wanted, seen = sys.argv[1:], set()
while wanted:
    name = wanted.pop()
    if name not in seen:
        seen.add(name)
        found = distribution(name)
        print(*{path.parts[0] for path in found.files}, sep="\\n")
        requirements = map(Requirement, found.requires or ())
        wanted += [said.name for said in requirements if said.marker is None or said.marker.evaluate({"extra": ""})]
"""


def linked(folder: Path, python: Path, kept: Callable[[str], bool]) -> Path:
    """Make an environment.

    Args:
        folder: where.
        python: interpreter of the environment that has the packages.
        kept: which entries of its site-packages the new one gets.

    Returns:
        The interpreter of the new one.
    """
    where = subprocess.run([python, "-c", _WHERE], capture_output=True, text=True, check=True).stdout.split()
    packages, base, *version = where
    minor = ".".join(version)
    site = folder / "lib" / f"python{minor}" / "site-packages"
    site.mkdir(parents=True)
    for entry in Path(packages).iterdir():
        if entry.name != "__pycache__" and kept(entry.name):
            (site / entry.name).symlink_to(entry)
    home = Path(base) / "bin"
    (folder / "pyvenv.cfg").write_text(f"home = {home}\ninclude-system-site-packages = false\n", encoding="utf-8")
    interpreter = folder / "bin" / "python"
    interpreter.parent.mkdir()
    interpreter.symlink_to(home / f"python{minor}")
    return interpreter


def lean(folder: Path, python: Path, *distributions: str) -> Path:
    """Make an environment that has some distributions and what they require, without extras; its interpreter."""
    held = subprocess.run([python, "-c", _HELD, *distributions], capture_output=True, text=True, check=True)
    return linked(folder, python, frozenset(held.stdout.split("\n")).__contains__)
