"""Detects literals that look like credentials, so that none reaches a DAG file, an image or a message.

Patterns follow the published formats of the issuers (AWS key ids, GitHub, GitLab and Slack tokens, PEM blocks, JSON web
tokens, URLs with a password or a signature). It can miss one; only a reference to a Secret is safe.
"""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

# A telling word ends a name: TOKENIZERS_PARALLELISM and max_tokens are ordinary settings.
_SECRET_NAME = re.compile(
    r"(PASSWORD|PASSWD|PASSPHRASE)(_|[0-9]|$)"
    r"|(^|_)(PASS|PWD|SECRET|[A-Z]*TOKEN|AUTH|AUTHORIZATION|PAT|CREDENTIALS?|SAS|CONNECTION_STRING"
    r"|(API|ACCESS|ACCOUNT|STORAGE|PRIVATE|SECRET|ENCRYPTION)_?KEY)(_?[0-9]+|_BASE(64)?|_VALUE|_STRING)?$"
)
_NOT_SECRET_NAME = re.compile(
    r"_(FILE|PATH|DIR|NAME|ID|URL|URI|TTL|EXPIRY|TYPE|ENDPOINT|METHOD|MODE|ENABLED|LENGTH|COUNT)$"
    r"|^(OLD)?PWD$|^GOOGLE_APPLICATION_CREDENTIALS$"
)
_WORD_END = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[^A-Za-z0-9]+")
_SECRET_VALUE = re.compile(
    r"\b(AKIA|ASIA)[0-9A-Z]{16}\b"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY"
    r"|\bgh[pousr]_[A-Za-z0-9]{30,}"
    r"|\bgithub_pat_[A-Za-z0-9_]{30,}"
    r"|\bglpat-[A-Za-z0-9_-]{20,}"
    r"|\bxox[abprs]-[A-Za-z0-9-]{10,}"
    r"|\bhooks\.slack\.com/services/"
    r"|://[^/\s:@]*:(?!x-oauth-basic@)[^/\s@$]+@"
    r"|\bAccountKey="
    r"|\bBearer\s+[A-Za-z0-9._~+/=-]{8,}"
    r"|\bBasic\s+[A-Za-z0-9+/=]{8,}"
    r"|\A[\w.-]+:[^/\s:@$]+@(?!sha256:)[A-Za-z0-9.-]+(:[0-9]+)?/"  # of a registry, before the name of an image
)
# `git@` is not a credential, and the installer replaces `${TOKEN}`.
_USER_INFO = re.compile(r"https?://(?!git@|([\w.-]*:)?\$\{\w+\}(:(\$\{\w+\}|x-oauth-basic)?)?@)[^/\s@'\"]+@")
_REGISTRY_USER = re.compile(r"\A[^/\s@]+@(?!sha256:|[a-z+]+:/)[^\s@/]+/")
_IMAGE_KEYS = (("image",), ("base",), ("uv",))
_QUERY_VALUE = re.compile(r"[?&]([A-Za-z0-9_.-]+)=([^&#\s'\"$]+)")
# Names in the query of a signed URL that say less elsewhere.
_SIGNATURES = frozenset({"sig", "signature", "x-amz-signature", "x-goog-signature"})
# Without the look behind, the search would begin anew at each letter of a long text.
_ASSIGNMENT = re.compile(r"(?<![A-Za-z0-9_-])[0-9-]*([A-Za-z_][A-Za-z0-9_-]*)\s*[=:]\s*\S")
_TOKEN = re.compile(r"[A-Za-z0-9_.-]+")
_TOKEN_PART = re.compile(r"\beyJ[A-Za-z0-9_-]{10}")


def is_secret_name(name: str) -> bool:
    """Return whether a variable or key of this name usually holds a credential; `dbPassword` and `db-password` count as `DB_PASSWORD`."""
    words = _WORD_END.sub("_", name).upper()
    return bool(_SECRET_NAME.search(words)) and not _NOT_SECRET_NAME.search(words)


def is_secret_value(value: str) -> bool:
    """Return whether the text has the form of a known credential."""
    return bool(_SECRET_VALUE.search(value)) or _has_web_token(value) or ("://" in value and _has_secret_query(value))


def _has_web_token(text: str) -> bool:
    """Return whether a text has a JSON web token: two parts that begin with `eyJ`, joined by a dot."""
    if ".eyJ" not in text:
        return False
    return any(
        _TOKEN_PART.search(before) and _TOKEN_PART.match(after)
        for token in _TOKEN.findall(text)
        for before, after in itertools.pairwise(token.split("."))
    )


def _has_secret_query(text: str) -> bool:
    """Return whether a URL in the text has a credential in its query."""
    return any(name.lower() in _SIGNATURES or is_secret_name(name) for name, _ in _QUERY_VALUE.findall(text))


def has_url_credential(text: str) -> bool:
    """Return whether a URL in the text has a user, a token or a password, such as one for a package index."""
    return is_secret_value(text) or bool(_USER_INFO.search(text))


def has_registry_user(image: str) -> bool:
    """Return whether a reference of an image begins with a user or token, which no engine accepts there."""
    return bool(_REGISTRY_USER.search(image))


def without_url_credentials(text: str) -> str:
    """Return the text without what may be a credential in its URLs: users, passwords and queries."""
    return re.sub(r"\?[^\s#'\"]+", "", re.sub(r"://[^/\s@]*@", "://", text))


def find_credentials(
    value: object, free_keys: frozenset[str] = frozenset(), path: tuple[str, ...] = ()
) -> list[tuple[str, ...]]:
    """Return the paths of all strings inside nested `value` that have the form of a credential.

    Args:
        value: maps, lists and strings.
        free_keys: keys below which users choose names; there, a string under a telling name counts, too.
        path: of `value` itself.
    """
    if isinstance(value, str):
        is_free = not free_keys.isdisjoint(path[:-1])
        has_secret_name = is_free and is_secret_name(path[-1]) and value.lower() not in ("", "true", "false")
        has_user = (is_free and has_url_credential(value)) or (path[-1:] in _IMAGE_KEYS and has_registry_user(value))
        is_secret = is_secret_value(value) or has_secret_name or has_user
        return [path] if is_secret else []
    if isinstance(value, dict):
        return [hit for key, item in value.items() for hit in find_credentials(item, free_keys, (*path, str(key)))]
    if isinstance(value, list | tuple):
        return [
            hit for index, item in enumerate(value) for hit in find_credentials(item, free_keys, (*path, str(index)))
        ]
    return []


def may_be_credential(value: object) -> bool:
    """Return whether a value, or a name or assignment inside it, may be a credential. For messages, so it errs on the safe side."""
    if isinstance(value, str):
        return (
            has_url_credential(value)
            or is_secret_name(value)
            or has_registry_user(value)
            or any(map(is_secret_name, _ASSIGNMENT.findall(value)))
        )
    if isinstance(value, dict):
        return any(is_secret_name(str(key)) or may_be_credential(item) for key, item in value.items())
    if isinstance(value, list | tuple):
        return any(map(may_be_credential, value))
    return False


def show_value(value: object, path: Sequence[str]) -> str:
    """Return a value for a message, shortened; not shown if it, or a key on the path to it, may be a credential."""
    if any(is_secret_name(part) for part in path) or may_be_credential(value):
        return "its value (not shown)"
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
