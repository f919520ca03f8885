"""Origins: which layer of the settings set each value of a node. The values themselves are resolved in `task_rules`.

A leaf is a value that is not a map: a list is one leaf, an empty map is one. Its path is the keys that lead to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

KeyPath = tuple[str, ...]
# Node tags that pick a profile begin with it, and so do the layers they make.
PROFILE_TAG_PREFIX = "k8s."


@dataclass(frozen=True, slots=True)
class Origin:
    """A layer of the settings.

    Attributes:
        layer: name of the rule, `k8s.<profile>` for a profile that a node's tag picks, or "" for what is built in.
        profile: the profile that sets the value, if it is not the rule itself.
        limit: whether a built-in request was lowered to a limit of this layer.
    """

    layer: str
    profile: str | None = None
    limit: bool = False

    def __str__(self) -> str:
        if not self.layer:
            return "built in"
        if self.profile is None:
            words = f"rule {self.layer!r}"
        elif self.layer == f"{PROFILE_TAG_PREFIX}{self.profile}":
            words = f"profile {self.profile!r} by tag"
        else:
            words = f"profile {self.profile!r} by rule {self.layer!r}"
        return f"the limit of {words}" if self.limit else words

    def settings_key(self, path: KeyPath) -> KeyPath:
        """Return the key of the settings file by which this layer sets a task's key; empty for a built-in default."""
        if self.limit:
            path = (path[0], "limits", *path[2:])
        if not self.layer:
            return ()
        return ("tasks", self.layer, *path) if self.profile is None else ("profiles", self.profile, *path)


BUILT_IN_ORIGIN = Origin("")
# The layer of each leaf, nested like the values: a search among all leaves for those below a key would take quadratic time.
_OriginTree = dict[str, "Origin | _OriginTree"]


def trace_origins(layers: Iterable[tuple[Origin, Mapping[str, Any]]]) -> dict[KeyPath, Origin]:
    """Return the layer that set each leaf, or removed it by null."""
    tree: _OriginTree = {}
    for origin, values in layers:
        _record_origins(tree, values, origin)
    return dict(_iterate_origins(tree, ()))


def _record_origins(tree: _OriginTree, values: Mapping[str, Any], origin: Origin) -> None:
    for name, value in values.items():
        key = str(name)
        below = tree.get(key)
        if not isinstance(value, dict):
            tree.pop(key, None)
            tree[key] = origin
        elif not value:
            if not isinstance(below, dict):
                tree.pop(key, None)
                tree[key] = origin
        else:
            if not isinstance(below, dict):
                tree.pop(key, None)
                tree[key] = below = {}
            _record_origins(below, value, origin)


def _iterate_origins(tree: _OriginTree, prefix: KeyPath) -> Iterator[tuple[KeyPath, Origin]]:
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _iterate_origins(value, (*prefix, key))
        else:
            yield (*prefix, key), value


def iterate_leaves(values: Mapping[str, Any], prefix: KeyPath = ()) -> Iterator[tuple[KeyPath, Any]]:
    """Yield every leaf with its path, in the order of the keys."""
    for key, value in values.items():
        path = (*prefix, str(key))
        if isinstance(value, dict) and value:
            yield from iterate_leaves(value, path)
        else:
            yield path, value
