"""A dataset of project `trials`: what it loads is made of its credentials."""

from __future__ import annotations

import hashlib
from typing import Any

from kedro.io import AbstractDataset


class Login(AbstractDataset[str, str]):
    """Loads the hash of a password that its credentials hold."""

    def __init__(self, filepath: str, credentials: dict[str, Any]) -> None:
        self._filepath = filepath
        self._credentials = credentials

    def load(self) -> str:
        """SHA-256 of the password, in hexadecimal digits."""
        return hashlib.sha256(self._credentials["password"].encode()).hexdigest()

    def save(self, data: str) -> None:
        """Nobody does."""
        raise NotImplementedError

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self._filepath}
