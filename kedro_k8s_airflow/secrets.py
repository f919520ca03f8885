"""Literals that look like credentials: recognised, so that none reaches a DAG file, an image or a message.

Patterns follow the published formats of the issuers (AWS key ids, GitHub, GitLab and Slack tokens, PEM blocks, JSON web
tokens, URLs with a password). A miss is possible, a Secret reference is the only safe way.
"""

from __future__ import annotations

import re

_NAME = re.compile(
    r"(^|_)(PASSWORD|PASSWD|PWD|PASSPHRASE|SECRET|TOKEN|CREDENTIALS?|(API|ACCESS|ACCOUNT|PRIVATE|SECRET|ENCRYPTION)_?KEY|CONNECTION_STRING|SAS)(_|$|[0-9])",
    re.IGNORECASE,
)
_NOT_SECRET_NAME = re.compile(r"(_(FILE|PATH|DIR|NAME|ID|URL|URI|TTL|EXPIRY|TYPE|ENDPOINT))$", re.IGNORECASE)
_VALUE = re.compile(
    r"\b(AKIA|ASIA)[0-9A-Z]{16}\b"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY"
    r"|\bgh[pousr]_[A-Za-z0-9]{30,}"
    r"|\bgithub_pat_[A-Za-z0-9_]{30,}"
    r"|\bglpat-[A-Za-z0-9_-]{20,}"
    r"|\bxox[abprs]-[A-Za-z0-9-]{10,}"
    r"|\bhooks\.slack\.com/services/"
    r"|\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}"
    r"|://[^/\s:@]*:[^/\s@$]+@"
    r"|\bAccountKey="
)


def is_secret_name(name: str) -> bool:
    """Whether a variable or key of this name usually holds a credential."""
    return bool(_NAME.search(name)) and not _NOT_SECRET_NAME.search(name)


def is_secret_value(value: str) -> bool:
    """Whether the text has the form of a known credential."""
    return bool(_VALUE.search(value))


def find(value: object, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Paths of all texts inside nested `value` that have the form of a credential."""
    if isinstance(value, str):
        return [path] if is_secret_value(value) else []
    if isinstance(value, dict):
        return [hit for key, item in value.items() for hit in find(item, (*path, str(key)))]
    if isinstance(value, list | tuple):
        return [hit for index, item in enumerate(value) for hit in find(item, (*path, str(index)))]
    return []
