"""Write the map of the package into CONTRIBUTING.md, from the modules' own docstrings.

python tools/make_map.py            # or: make docs
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "CONTRIBUTING.md"
PACKAGE = "kedro_k8s_airflow"
_BEGIN = "<!-- The map: written by tools/make_map.py from the docstrings. -->\n"
_END = "<!-- end of the map -->\n"


@dataclass(frozen=True)
class Layer:
    """Packages and modules that may import everything above them in this list, and each its own package."""

    name: str
    parts: tuple[str, ...]


LAYERS = (
    Layer(
        "Shared",
        (
            "",
            "credential_detection",
            "diagnostics",
            "durations",
            "exceptions",
            "files",
            "findings",
            "image_reference",
            "locations",
            "names",
            "python_source",
            "quantities",
            "stdout",
            "templates",
            "text",
        ),
    ),
    Layer("The program in the pod", ("pod",)),
    Layer("What users may write", ("config",)),
    Layer("What the project is", ("project",)),
    Layer("What runs where", ("plan",)),
    Layer("The DAG file", ("dag",)),
    Layer("The image", ("image",)),
    Layer("Beside the DAG", ("kubernetes",)),
    Layer("What will break", ("checks",)),
    Layer("The compiler", ("request", "compiler")),
    Layer("What commands do", ("commands", "publish", "explain")),
    Layer("What commands print", ("output",)),
    Layer("The command line", ("cli", "__main__")),
)


def list_modules(package: Path) -> dict[str, Path]:
    """Return the modules of the package by dotted name."""
    found = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def short_name(module: str) -> str:
    """Return the name of a module without that of the package."""
    return module.removeprefix(PACKAGE).removeprefix(".") or "__init__"


def part_of(module: str) -> str:
    """Return the package, or the module at the root, that a module is part of."""
    return module.removeprefix(PACKAGE).removeprefix(".").partition(".")[0]


def belongs_to(module: str, part: str) -> bool:
    """Return whether a module is the named part of the package, or inside it."""
    return part_of(module) == part


def are_close(module: str, other: str) -> bool:
    """Return whether two modules of one layer may know each other: in one package, or both at the root."""
    first, second = (name.removeprefix(PACKAGE).removeprefix(".") for name in (module, other))
    return part_of(module) == part_of(other) or ("." not in first and "." not in second)


def _first_sentence(path: Path) -> str:
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    paragraph = " ".join(docstring.split("\n\n")[0].split())
    return re.split(r"(?<=[.!?]) (?=[A-Z`])", paragraph)[0]


def _lines() -> list[str]:
    known = list_modules(ROOT / PACKAGE)
    lines = []
    for layer in LAYERS:
        lines += [f"**{layer.name}**", "", "| module | |", "|---|---|"]
        lines += [
            f"| `{short_name(name)}` | {_first_sentence(path)} |"
            for part in layer.parts
            for name, path in known.items()
            if belongs_to(name, part)
        ]
        lines.append("")
    return lines


def fill_page(page: str) -> str:
    """Return the page with the map of today."""
    before, _, rest = page.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    return before + _BEGIN + "\n" + "\n".join(_lines()) + _END + after


def main() -> None:
    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(fill_page(page), encoding="utf-8")


if __name__ == "__main__":
    main()
