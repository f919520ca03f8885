"""Environments made of another one's packages: folders of links to them.

Links to folders share the bytecode that lies in them, so that environments made of one start from the same state.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_LOCATE_PROGRAM = "import sys, sysconfig; print(sysconfig.get_path('purelib'), sys.base_prefix, sys.version_info[0], sys.version_info[1])"

# What distributions and all they require have put into site-packages.
_FILES_PROGRAM = """
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


def link_environment(folder: Path, python: Path, keep: Callable[[str], bool]) -> Path:
    """Make an environment.

    Args:
        folder: where.
        python: interpreter of the environment that has the packages.
        keep: which entries of its site-packages the new one gets.

    Returns:
        The interpreter of the new one.
    """
    output = subprocess.run([python, "-c", _LOCATE_PROGRAM], capture_output=True, text=True, check=True).stdout.split()
    packages, base, *version = output
    minor = ".".join(version)
    site = folder / "lib" / f"python{minor}" / "site-packages"
    site.mkdir(parents=True)
    for entry in Path(packages).iterdir():
        if entry.name != "__pycache__" and keep(entry.name):
            (site / entry.name).symlink_to(entry)
    home = Path(base) / "bin"
    (folder / "pyvenv.cfg").write_text(f"home = {home}\ninclude-system-site-packages = false\n", encoding="utf-8")
    interpreter = folder / "bin" / "python"
    interpreter.parent.mkdir()
    interpreter.symlink_to(home / f"python{minor}")
    return interpreter


def make_lean_environment(folder: Path, python: Path, *distributions: str) -> Path:
    """Make an environment that has some distributions and what they require, without extras; its interpreter."""
    top_level_names = subprocess.run(
        [python, "-c", _FILES_PROGRAM, *distributions], capture_output=True, text=True, check=True
    )
    return link_environment(folder, python, frozenset(top_level_names.stdout.split("\n")).__contains__)
