"""A text file, which is all that the project keeps."""

# ruff: noqa: T201  tests wait for what it prints
from __future__ import annotations

import time
from pathlib import Path, PurePosixPath
from typing import Any

from kedro.io import AbstractVersionedDataset, Version


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
