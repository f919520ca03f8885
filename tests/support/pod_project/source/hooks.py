"""Hooks that write down every call of every spec that Kedro has."""

from __future__ import annotations

import inspect
import json
import os
from typing import TYPE_CHECKING, Any

from kedro.framework.hooks import hook_impl, specs

if TYPE_CHECKING:
    from collections.abc import Callable

SAME_IN_ALL_RUNS = (
    "project_path",
    "env",
    "kedro_version",
    "tags",
    "from_nodes",
    "to_nodes",
    "node_names",
    "from_inputs",
    "to_outputs",
    "runtime_params",
    "pipeline_names",
    "namespaces",
    "only_missing_outputs",
)


def all_specs() -> dict[str, Callable[..., Any]]:
    """Functions of all specs, by name."""
    classes = [one for name, one in vars(specs).items() if inspect.isclass(one) and name.endswith("Specs")]
    return {name: func for one in classes for name, func in vars(one).items() if hasattr(func, "kedro_spec")}


def essence(name: str, value: Any) -> Any:
    """What has to be equal of an argument, as JSON."""
    if name == "node":
        return value.name
    if name == "pipeline":
        return [node.name for node in value.nodes]
    if name == "catalog":
        return [type(value).__name__, sorted(value.filter())]
    if name == "context":
        return [type(value).__name__, str(value.project_path), value.env, value.params]
    if name == "run_params":
        return {
            **{key: repr(value[key]) for key in SAME_IN_ALL_RUNS},  # an empty list is not an empty tuple
            "runner": str(value["runner"]).split(" object")[0],
            "load_versions": value["load_versions"] or None,
        }
    if name == "run_result":
        return {key: type(dataset).__name__ for key, dataset in sorted(value.items())}
    if name in {"run_id", "save_version"}:
        return type(value).__name__
    if name == "load_versions":
        return value or None
    if name == "error":
        return [type(value).__name__, str(value)]
    return json.loads(json.dumps(value, default=str, sort_keys=True))


def recorder(who: str, spec: str, arguments: list[str]) -> Callable[..., None]:
    """A hook that takes all arguments of its spec by name, as pluggy wants it."""

    def record(**given: Any) -> None:
        path = os.environ.get("HOOK_LOG")
        if not path:
            return
        said = {name: essence(name, value) for name, value in given.items()}
        line = json.dumps({"who": who, "spec": spec, **said}) + "\n"
        with open(path, "a", encoding="utf-8") as file:  # noqa: PTH123  one write, so that processes do not mix
            file.write(line)

    passed = ", ".join(f"{name}={name}" for name in arguments)
    source = f"lambda {', '.join(arguments)}: record({passed})"
    return hook_impl(eval(source, {"record": record}))  # type: ignore[no-any-return]  # noqa: S307


def recording(who: str) -> Any:
    """An object with a hook for every spec."""
    hooks = type(f"Recording_{who}", (), {})()
    for spec, func in all_specs().items():
        arguments = [name for name in inspect.signature(func).parameters if name != "self"]
        setattr(hooks, spec, recorder(who, spec, arguments))
    return hooks


class Spoiling:
    """Hooks that do what hooks may do, when the environment asks for it."""

    @hook_impl
    def after_pipeline_run(self) -> None:
        if os.environ.get("HOOK_FAILS") == "after_pipeline_run":
            raise RuntimeError("a hook of the project failed")

    @hook_impl
    def before_pipeline_run(self) -> None:
        if os.environ.get("HOOK_FAILS") == "before_pipeline_run":
            raise RuntimeError("a hook of the project failed")

    @hook_impl
    def before_node_run(self, node: Any) -> dict[str, Any] | None:
        return {"word": "replaced"} if os.environ.get("HOOK_REPLACES") and "word" in node.inputs else None
