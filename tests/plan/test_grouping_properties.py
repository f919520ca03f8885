"""Grouping, on graphs nobody thought of: what always holds, against definitions spelled out by brute force."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kedro_k8s_airflow import compiler
from kedro_k8s_airflow.config import models
from kedro_k8s_airflow.dag import render
from kedro_k8s_airflow.diagnostics import Diagnostics
from kedro_k8s_airflow.plan import task_ids
from kedro_k8s_airflow.plan.graph import Graph, build_graph
from kedro_k8s_airflow.plan.grouping import FORCED_REASONS, Grouping, GroupingOptions, group_nodes
from kedro_k8s_airflow.plan.reach import PodPaths
from kedro_k8s_airflow.project.catalog import Catalog
from kedro_k8s_airflow.project.model import Project, ProjectNode

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    Pair = tuple[int, int]
    Blocks = frozenset[frozenset[int]]

PLACES = PodPaths("/app", ("/app/data",))
ENTRIES = {
    "memory": None,
    "pod": {"type": "pickle.PickleDataset", "filepath": "local/{}.pkl"},
    "shared": {"type": "pickle.PickleDataset", "filepath": "s3://bucket/{}.pkl"},
}


@dataclass(frozen=True)
class Case:
    """A pipeline and what its user asks for."""

    nodes: tuple[ProjectNode, ...]
    reaches: dict[str, str]
    wishes: GroupingOptions

    @property
    def graph(self) -> Graph:
        entries = {
            name: {**entry, "filepath": entry["filepath"].format(name)}
            for name, reach in self.reaches.items()
            if (entry := ENTRIES[reach]) is not None
        }
        return build_graph(self.nodes, entries, PLACES, {})


def node(
    name: str, inputs: Iterable[str], outputs: Iterable[str], namespace: str | None = None, confirms: Iterable[str] = ()
) -> ProjectNode:
    return ProjectNode(name, namespace, frozenset(), tuple(inputs), tuple(outputs), tuple(confirms))


@st.composite
def cases(draw: st.DrawFn, *, wishes: bool = True) -> Case:
    """Layered graphs: each node loads what some earlier ones saved."""
    size = draw(st.integers(1, 11))
    reach = st.sampled_from(("memory", "pod", "shared", "shared", "shared"))
    nodes: list[ProjectNode] = []
    made: dict[str, str] = {"raw": "shared"}
    for index in range(size):
        inputs = draw(st.lists(st.sampled_from(sorted(made)), min_size=1, max_size=3, unique=True))
        outputs = [f"d{index}_{number}" for number in range(draw(st.integers(0, 2)))]
        confirms = draw(st.lists(st.sampled_from(sorted(made)), max_size=1)) if draw(st.integers(0, 9)) == 0 else []
        namespace = draw(st.sampled_from((None, "a", "a.b", "c")))
        nodes.append(node(f"n{index}", inputs, outputs, namespace, confirms))
        made.update({name: draw(reach) for name in outputs})
    order = draw(st.permutations(range(size)))
    nodes = [nodes[index] for index in order]
    if not wishes:
        return Case(tuple(nodes), made, GroupingOptions())
    owners = draw(st.lists(st.sampled_from((None, None, "g", "h")), min_size=size, max_size=size))
    named = {
        name: [place for place, owner in enumerate(owners) if owner == name] for name in ("g", "h") if name in owners
    }
    kinds = draw(st.one_of(st.just(()), st.lists(st.sampled_from(("cpu", "cpu", "gpu")), min_size=size, max_size=size)))
    how = draw(st.sampled_from(("memory", "namespace", "chain")))
    return Case(tuple(nodes), made, GroupingOptions(group_by=how, nodes_by_group=named, kinds=tuple(kinds)))


def grouped(case: Case) -> Grouping:
    diagnostics = Diagnostics()
    found = group_nodes(case.graph, case.wishes, diagnostics)
    assert diagnostics.findings == ()
    assert found is not None
    return found


# -- the definitions, by brute force ----------------------------------------------------------------------------------


def edges(graph: Graph) -> set[Pair]:
    return {(parent, child) for child, parents in enumerate(graph.parents) for parent in parents}


def reachable(size: int, pairs: Iterable[Pair]) -> set[Pair]:
    """All pairs with a path from the first to the second (Warshall)."""
    found = set(pairs)
    for middle in range(size):
        found |= {(a, b) for a in range(size) for b in range(size) if (a, middle) in found and (middle, b) in found}
    return found


def blocks(grouping: Grouping) -> Blocks:
    return frozenset(frozenset(one.members) for one in grouping.groups)


def finest(graph: Graph, merges: Iterable[Pair]) -> Blocks:
    """The finest partition that holds these merges and has an order: join blocks that wait for each other, until none do."""
    parts = [frozenset({index}) for index in range(len(graph.nodes))]

    def join(first: frozenset[int], second: frozenset[int]) -> None:
        if first != second:
            parts.remove(first)
            parts.remove(second)
            parts.append(first | second)

    def part(index: int) -> frozenset[int]:
        return next(one for one in parts if index in one)

    for first, second in merges:
        join(part(first), part(second))
    while True:
        place = {index: number for number, one in enumerate(parts) for index in one}
        quotient = {(place[a], place[b]) for a, b in edges(graph) if place[a] != place[b]}
        paths = reachable(len(parts), quotient)
        circle = next(((a, b) for a, b in combinations(range(len(parts)), 2) if {(a, b), (b, a)} <= paths), None)
        if circle is None:
            return frozenset(parts)
        join(parts[circle[0]], parts[circle[1]])


def forced(graph: Graph) -> set[Pair]:
    """Pairs of nodes that have to share a pod."""
    pairs = {(first, second) for _, first, second in graph.confirmed}
    for dataset in graph.datasets.values():
        if dataset.producer is not None and dataset.reach.kind in ("memory", "pod"):
            pairs |= {(dataset.producer, reader) for reader in dataset.consumers}
    return {(first, second) for first, second in pairs if first != second}


# -- what always holds ------------------------------------------------------------------------------------------------


@given(cases())
def test_groups_hold_every_node_once_and_have_an_order(case: Case) -> None:
    grouping = grouped(case)
    assert sorted(index for one in grouping.groups for index in one.members) == list(range(len(case.nodes)))
    for place, waits in enumerate(grouping.upstream):
        assert all(other < place for other in waits)


@given(cases())
def test_every_node_comes_after_all_it_depends_on(case: Case) -> None:
    graph, grouping = case.graph, grouped(case)
    place = {index: number for number, one in enumerate(grouping.groups) for index in one.members}
    waits = reachable(
        len(grouping.groups), {(other, at) for at, others in enumerate(grouping.upstream) for other in others}
    )
    for first, second in reachable(len(case.nodes), edges(graph)):
        if place[first] == place[second]:
            members = grouping.groups[place[first]].members
            assert members.index(first) < members.index(second)
        else:
            assert (place[first], place[second]) in waits


@given(cases())
def test_groups_wait_for_those_alone_that_their_nodes_depend_on(case: Case) -> None:
    grouping = grouped(case)
    place = {index: number for number, one in enumerate(grouping.groups) for index in one.members}
    needed = {(place[first], place[second]) for first, second in edges(case.graph) if place[first] != place[second]}
    assert {(other, at) for at, others in enumerate(grouping.upstream) for other in others} == needed


@given(cases())
def test_data_in_memory_or_on_a_pods_disk_never_crosses_between_pods(case: Case) -> None:
    found = blocks(grouped(case))
    for first, second in forced(case.graph):
        assert any({first, second} <= block for block in found)


@given(cases())
def test_every_group_is_held_together_by_recorded_reasons_that_are_true(case: Case) -> None:
    graph, grouping = case.graph, grouped(case)
    everywhere = forced(graph)
    for one in grouping.groups:
        joined = {one.members[0]}
        while True:
            more = {
                index
                for merge in one.merges
                for index in (merge.first, merge.second)
                if {merge.first, merge.second} & joined
            }
            if more <= joined:
                break
            joined |= more
        assert joined == set(one.members)
        for merge in one.merges:
            assert {merge.first, merge.second} <= set(one.members)
            first, second = graph.nodes[merge.first], graph.nodes[merge.second]
            if merge.reason in FORCED_REASONS:
                assert (merge.first, merge.second) in everywhere
                assert merge.name in {*second.inputs, *first.confirms}
            elif merge.reason == "group":
                assert {merge.first, merge.second} <= set(case.wishes.nodes_by_group[merge.name])
            elif merge.reason == "namespace":
                assert {str(first.namespace).split(".")[0], str(second.namespace).split(".")[0]} == {merge.name}


@given(cases(wishes=False))
def test_by_memory_nothing_is_fused_that_could_be_apart(case: Case) -> None:
    assert blocks(grouped(case)) == finest(case.graph, forced(case.graph))


@given(cases())
def test_what_lies_between_fused_nodes_comes_along_and_nothing_else(case: Case) -> None:
    grouping = grouped(replace(case, wishes=replace(case.wishes, group_by="namespace")))
    given_ = {
        (merge.first, merge.second)
        for one in grouping.groups
        for merge in one.merges
        if merge.reason not in ("between", "chain")
    }
    assert blocks(grouping) == finest(case.graph, given_)


@given(cases())
def test_a_pod_of_several_kinds_is_one_that_had_to_be(case: Case) -> None:
    """Or, by chain, a line of such pods of the same kinds: they agree about everything that can be contradicted."""
    had_to_be = finest(case.graph, forced(case.graph))
    kinds: Sequence[object] = case.wishes.kinds or [None] * len(case.nodes)
    for block in blocks(grouped(case)):
        found = {kinds[index] for index in block}
        if len(found) > 1 and block not in had_to_be:
            assert case.wishes.group_by == "chain"
            assert all({kinds[index] for index in part} == found for part in had_to_be if part <= block)


@given(cases())
def test_what_the_user_asks_for_happens_or_is_said_to_be_declined(case: Case) -> None:
    grouping = grouped(case)
    for name, members in case.wishes.nodes_by_group.items():
        together = any(set(members) <= block for block in blocks(grouping))
        assert together or any(declined.name == name for declined in grouping.declined)


@given(cases())
def test_chain_loses_no_parallelism_and_leaves_no_chain(case: Case) -> None:
    wishes = replace(case.wishes, group_by="chain", kinds=())
    before = grouped(replace(case, wishes=replace(wishes, group_by="memory")))
    after = grouped(replace(case, wishes=wishes))

    place = {index: number for number, one in enumerate(before.groups) for index in one.members}
    ordered = reachable(
        len(before.groups), {(other, at) for at, others in enumerate(before.upstream) for other in others}
    )
    for block in blocks(after):
        for first, second in combinations({place[index] for index in block}, 2):
            assert {(first, second), (second, first)} & ordered, "two pods that could run at once became one"

    place = {index: number for number, one in enumerate(after.groups) for index in one.members}
    ordered_after = reachable(
        len(after.groups), {(other, at) for at, others in enumerate(after.upstream) for other in others}
    )
    for first, second in combinations(range(len(case.nodes)), 2):
        apart = {(place[first], place[second]), (place[second], place[first])} & ordered_after
        if apart and place[first] != place[second]:
            ends = [
                next(at for at, one in enumerate(before.groups) if index in one.members) for index in (first, second)
            ]
            assert {(ends[0], ends[1]), (ends[1], ends[0])} & ordered, "chain made one pod wait for another"

    followers = [
        [at for at, others in enumerate(after.upstream) if place_ in others] for place_ in range(len(after.groups))
    ]
    assert not [at for at, found in enumerate(followers) if len(found) == 1 and after.upstream[found[0]] == (at,)]


@given(cases(), st.randoms(use_true_random=False))
def test_the_order_in_which_nodes_are_given_changes_nothing(case: Case, random: object) -> None:
    order = list(range(len(case.nodes)))
    random.shuffle(order)  # type: ignore[attr-defined]
    new = {old: place for place, old in enumerate(order)}
    shuffled = Case(
        tuple(case.nodes[old] for old in order),
        case.reaches,
        replace(
            case.wishes,
            nodes_by_group={
                name: sorted(new[old] for old in members) for name, members in case.wishes.nodes_by_group.items()
            },
            kinds=tuple(case.wishes.kinds[old] for old in order) if case.wishes.kinds else (),
        ),
    )
    assert named(case) == named(shuffled)


def named(case: Case) -> list[tuple[str, tuple[str, ...], tuple[int, ...], str]]:
    """A grouping by names: what ends up in the plan."""
    graph, grouping = case.graph, grouped(case)
    ids = task_ids.assign_task_ids(graph, grouping)
    return [
        (task_id, tuple(graph.nodes[index].name for index in one.members), waits, str(one.name))
        for task_id, one, waits in zip(ids, grouping.groups, grouping.upstream, strict=True)
    ]


@given(cases())
def test_task_ids_are_unique_and_an_edit_elsewhere_renames_nothing(case: Case) -> None:
    tasks = named(case)
    assert len({task_id for task_id, *_ in tasks}) == len(tasks)
    if case.wishes.kinds or case.wishes.group_by == "chain":
        return
    more = replace(
        case, nodes=(*case.nodes, node("zzz", ["fresh"], ["zzz_out"])), reaches={**case.reaches, "zzz_out": "shared"}
    )
    assert {task_id for task_id, *_ in named(more)} == {task_id for task_id, *_ in tasks} | {"zzz"}


# -- size -------------------------------------------------------------------------------------------------------------

LARGE = 20_000


def line(size: int, reach: str, *more: ProjectNode) -> Case:
    """A chain of nodes."""
    nodes = tuple(
        node(f"n{index:05}", ["raw" if not index else f"d{index - 1}"], [f"d{index}"]) for index in range(size)
    )
    return Case((*nodes, *more), {"raw": "shared", **{f"d{index}": reach for index in range(size)}}, GroupingOptions())


@pytest.mark.parametrize(
    ("reach", "group_by", "groups"),
    [("shared", "memory", LARGE), ("memory", "memory", 1), ("shared", "chain", 1), ("shared", "namespace", LARGE)],
)
def test_a_chain_of_20000_nodes_is_grouped(reach: str, group_by: str, groups: int) -> None:
    case = line(LARGE, reach)
    found = grouped(replace(case, wishes=GroupingOptions(group_by=group_by)))  # type: ignore[arg-type]
    assert len(found.groups) == groups
    assert len(task_ids.assign_task_ids(case.graph, found)) == groups


def test_a_circle_around_20000_nodes_is_contracted() -> None:
    case = line(LARGE, "shared")
    first, *middle, last = case.nodes
    nodes = (replace(first, outputs=("d0", "mem")), *middle, replace(last, inputs=(*last.inputs, "mem")))
    found = grouped(replace(case, nodes=nodes, reaches={**case.reaches, "mem": "memory"}))
    assert len(found.groups) == 1


def test_20000_nodes_side_by_side_and_all_in_one_are_grouped() -> None:
    wide = tuple(node(f"n{index:05}", ["raw"], [f"d{index}"]) for index in range(LARGE))
    last = node("last", [f"d{index}" for index in range(LARGE)], ["out"])
    reaches = {"raw": "shared", "out": "shared", **{f"d{index}": "shared" for index in range(LARGE)}}
    found = grouped(Case((*wide, last), reaches, GroupingOptions()))
    assert len(found.groups) == LARGE + 1
    assert len(found.upstream[-1]) == LARGE


def test_two_layers_of_namespaces_with_many_edges_are_grouped() -> None:
    """20,000 edges, each namespace waiting for each other one: a single pod."""
    first = [node(f"a{index}", ["raw"], [f"x{index}"], f"s{index % 100}") for index in range(2000)]
    second = [
        node(
            f"b{index}", [f"x{(index * 7 + step * 13) % 2000}" for step in range(10)], [f"y{index}"], f"s{index % 100}"
        )
        for index in range(2000)
    ]
    reaches = {name: "shared" for one in (*first, *second) for name in (*one.inputs, *one.outputs)}
    found = grouped(Case((*first, *second), reaches, GroupingOptions(group_by="namespace")))
    assert len(found.groups) == 1


def test_a_chain_of_20000_tasks_is_planned_and_rendered(tmp_path: Path) -> None:
    """From the project to the text of the DAG file; the file's syntax tree is read back by `render` itself."""
    nodes = line(LARGE, "shared").nodes
    stored = {f"d{index}": {"type": "x.Y", "filepath": f"s3://bucket/{index}"} for index in range(LARGE)}
    catalog = Catalog({"raw": {"type": "x.Y", "filepath": "s3://bucket/raw"}, **stored})
    read = Project(
        path=tmp_path,
        package="large",
        source_folder="src",
        env=None,
        base_env="base",
        run_env="local",
        conf_source="conf",
        conf_source_given=False,
        pipelines={"__default__": nodes},
        parameters={},
        runtime_params={},
        settings={},
        catalog=catalog,
    )
    image = "registry.example.com/x:1"
    (tmp_path / "pyproject.toml").write_text("", encoding="utf-8")
    (plan,) = compiler.compile_project(
        read, models.parse_settings({"image": image})
    ).plans()  # every check has looked at it
    text = render.render_dag(plan)
    assert len(plan.tasks) == LARGE
    assert [task.upstream for task in plan.tasks[:2]] == [(), ("n00000",)]
    assert len(text.splitlines()) > LARGE
