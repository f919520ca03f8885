"""A text file, which is all that the project keeps, and datasets that wrap one."""

# ruff: noqa: T201  tests wait for what it prints
from __future__ import annotations

import time
from pathlib import Path, PurePosixPath
from typing import Any

from kedro.io import AbstractDataset, AbstractVersionedDataset, Version


class TextDataset(AbstractVersionedDataset[str, str]):
    """Text in a file; it can be slow to save, and it knows its credentials."""

    def __init__(
        self,
        filepath: str,
        version: Version | None = None,
        credentials: dict[str, Any] | None = None,
        slow: bool = False,
    ) -> None:
        super().__init__(PurePosixPath(filepath), version)
        self._credentials = credentials
        self._slow = slow

    def load(self) -> str:
        return Path(self._get_load_path()).read_text(encoding="utf-8")

    def save(self, data: str) -> None:
        if self._slow:
            print("begun", flush=True)
            time.sleep(30)
        path = Path(self._get_save_path())
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(data, encoding="utf-8")

    def _exists(self) -> bool:
        return Path(self._get_load_path()).exists()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self._filepath, "version": self._version}


class WrappingDataset(AbstractDataset[str, str]):
    """A wrapper that gives its version, if it has one, to the dataset inside it."""

    def __init__(self, dataset: dict[str, Any], version: Version | None = None) -> None:
        versions = {"load_version": version.load, "save_version": version.save} if version else {}
        self._inside = AbstractDataset.from_config("inside", {**dataset, "versioned": True}, **versions)

    def load(self) -> str:
        return str(self._inside.load())

    def save(self, data: str) -> None:
        self._inside.save(data)

    def _exists(self) -> bool:
        return self._inside.exists()

    def _describe(self) -> dict[str, Any]:
        return {"dataset": repr(self._inside)}


class VersioningDataset(TextDataset):
    """A text file that is always versioned, whatever its catalog entry says."""

    def __init__(self, filepath: str) -> None:
        super().__init__(filepath, Version(None, None))
