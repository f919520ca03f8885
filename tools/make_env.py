"""Make one environment of the Makefile: a virtual environment that holds exactly what its locked file says.

Prints why and makes nothing when this machine has none of the wanted Pythons and uv cannot bring one; with --optional
that is no failure, and the tests that need the environment are skipped with their reason. Runs on any Python 3.8+.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path


def main() -> int:
    """Make the environment and its stamp; 0 when made (or missing but optional), else 1."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--uv", required=True, help="the uv to use")
    parser.add_argument("--python", required=True, help="wanted versions, best first: 3.11,3.12")
    parser.add_argument("--lock", required=True, type=Path, help="requirements with hashes")
    parser.add_argument(
        "--editable", action="append", default=[], help="folder to install editable, without dependencies"
    )
    parser.add_argument("--optional", action="store_true", help="a missing Python is no failure")
    parser.add_argument("stamp", type=Path, help="file to write at the end, inside the environment")
    options = parser.parse_args()

    folder = options.stamp.parent
    versions = options.python.split(",")
    interpreter = find_python(options.uv, versions)
    if interpreter is None:
        print(
            f"{folder.name}: not made: no Python {' or '.join(versions)} on this machine, and uv cannot download one. "
            + ("What needs it is skipped, and says so." if options.optional else "Install one, then run make again."),
            file=sys.stderr,
        )
        return 0 if options.optional else 1

    print(f"{folder.name}: Python {interpreter}, {options.lock}", flush=True)
    pip = [options.uv, "--quiet", "pip"]
    into = ["--python", str(folder)]
    steps = [[*pip, "sync", *into, "--require-hashes", "--compile-bytecode", str(options.lock)]]
    if python_version(str(folder / "bin" / "python")) != python_version(interpreter):
        steps.insert(0, [options.uv, "--quiet", "venv", "--clear", "--python", interpreter, str(folder)])
    # The build backend is in the locked file too: nothing unlocked is fetched.
    steps += [[*pip, "install", *into, "--no-deps", "--no-build-isolation", "--editable", e] for e in options.editable]
    for step in steps:
        if subprocess.run(step, check=False).returncode:
            print(f"{folder.name}: failed: {' '.join(step)}", file=sys.stderr)
            return 1
    options.stamp.write_text(f"{interpreter}\n", encoding="utf-8")
    return 0


def find_python(uv: str, versions: list[str]) -> str | None:
    """Path of the first wanted Python: one that is here, else one that uv downloads; None if there is none."""
    for requested in versions:
        for command in (pyenv_command(requested), [uv, "python", "find", "--no-python-downloads", requested]):
            path = command_output(command)
            if path:
                return path
    for requested in versions:
        if command_output([uv, "python", "install", requested]) is not None:
            return command_output([uv, "python", "find", requested])
    return None


def pyenv_command(requested: str) -> list[str]:
    """Command that asks pyenv's newest Python of this version for its path; uv sees only the activated one."""
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    found = [
        path for path in root.glob(f"versions/{requested}.*/bin/python") if path.parts[-3].replace(".", "").isdigit()
    ]
    newest = max(found, key=lambda path: [int(part) for part in path.parts[-3].split(".")], default=None)
    return [str(newest), "-c", "import sys; print(sys.executable)"] if newest else []


def python_version(python: str) -> str | None:
    """What a Python says of itself, such as 3.11.7; None if it does not run."""
    return command_output([python, "-c", "import platform; print(platform.python_version())"])


def command_output(command: list[str]) -> str | None:
    """What the command prints; None if it is empty, not there, or fails."""
    if not command:
        return None
    try:
        result = subprocess.run(command, check=False, capture_output=True, text=True)
    except OSError:
        return None
    return result.stdout.strip() if result.returncode == 0 else None


if __name__ == "__main__":
    sys.exit(main())
