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
    options: GroupingOptions

    @property
    def build_case_graph(self) -> Graph:
        entries = {
            name: {**entry, "filepath": entry["filepath"].format(name)}
            for name, reach in self.reaches.items()
            if (entry := ENTRIES[reach]) is not None
        }
        return build_graph(self.nodes, entries, PLACES, {})


def make_node(
    name: str, inputs: Iterable[str], outputs: Iterable[str], namespace: str | None = None, confirms: Iterable[str] = ()
) -> ProjectNode:
    return ProjectNode(name, namespace, frozenset(), tuple(inputs), tuple(outputs), tuple(confirms))


@st.composite
def draw_cases(draw: st.DrawFn, *, options: bool = True) -> Case:
    """Layered graphs: each node loads what some earlier ones saved."""
    size = draw(st.integers(1, 11))
    reach = st.sampled_from(("memory", "pod", "shared", "shared", "shared"))
    nodes: list[ProjectNode] = []
    reach_of_dataset: dict[str, str] = {"raw": "shared"}
    for index in range(size):
        inputs = draw(st.lists(st.sampled_from(sorted(reach_of_dataset)), min_size=1, max_size=3, unique=True))
        outputs = [f"d{index}_{number}" for number in range(draw(st.integers(0, 2)))]
        confirms = (
            draw(st.lists(st.sampled_from(sorted(reach_of_dataset)), max_size=1))
            if draw(st.integers(0, 9)) == 0
            else []
        )
        namespace = draw(st.sampled_from((None, "a", "a.b", "c")))
        nodes.append(make_node(f"n{index}", inputs, outputs, namespace, confirms))
        reach_of_dataset.update({name: draw(reach) for name in outputs})
    order = draw(st.permutations(range(size)))
    nodes = [nodes[index] for index in order]
    if not options:
        return Case(tuple(nodes), reach_of_dataset, GroupingOptions())
    owners = draw(st.lists(st.sampled_from((None, None, "g", "h")), min_size=size, max_size=size))
    named = {
        name: [place for place, owner in enumerate(owners) if owner == name] for name in ("g", "h") if name in owners
    }
    kinds = draw(st.one_of(st.just(()), st.lists(st.sampled_from(("cpu", "cpu", "gpu")), min_size=size, max_size=size)))
    how = draw(st.sampled_from(("memory", "namespace", "chain")))
    return Case(tuple(nodes), reach_of_dataset, GroupingOptions(group_by=how, nodes_by_group=named, kinds=tuple(kinds)))


def group_case(case: Case) -> Grouping:
    diagnostics = Diagnostics()
    found = group_nodes(case.build_case_graph, case.options, diagnostics)
    assert diagnostics.findings == ()
    assert found is not None
    return found


# -- the definitions, by brute force ----------------------------------------------------------------------------------


def graph_edges(graph: Graph) -> set[Pair]:
    return {(parent, child) for child, parents in enumerate(graph.parents) for parent in parents}


def reachable_pairs(size: int, pairs: Iterable[Pair]) -> set[Pair]:
    """All pairs with a path from the first to the second (Warshall)."""
    found = set(pairs)
    for middle in range(size):
        found |= {(a, b) for a in range(size) for b in range(size) if (a, middle) in found and (middle, b) in found}
    return found


def member_sets(grouping: Grouping) -> Blocks:
    return frozenset(frozenset(group.members) for group in grouping.groups)


def finest_partition(graph: Graph, merges: Iterable[Pair]) -> Blocks:
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
        block_of = {index: number for number, one in enumerate(parts) for index in one}
        quotient = {(block_of[a], block_of[b]) for a, b in graph_edges(graph) if block_of[a] != block_of[b]}
        paths = reachable_pairs(len(parts), quotient)
        circle = next(((a, b) for a, b in combinations(range(len(parts)), 2) if {(a, b), (b, a)} <= paths), None)
        if circle is None:
            return frozenset(parts)
        join(parts[circle[0]], parts[circle[1]])


def forced_pairs(graph: Graph) -> set[Pair]:
    """Pairs of nodes that have to share a pod."""
    pairs = {(first, second) for _, first, second in graph.confirmed}
    for dataset in graph.datasets.values():
        if dataset.producer is not None and dataset.reach.kind in ("memory", "pod"):
            pairs |= {(dataset.producer, reader) for reader in dataset.consumers}
    return {(first, second) for first, second in pairs if first != second}


# -- what always holds ------------------------------------------------------------------------------------------------


@given(draw_cases())
def test_groups_hold_every_node_once_and_have_an_order(case: Case) -> None:
    grouping = group_case(case)
    assert sorted(index for group in grouping.groups for index in group.members) == list(range(len(case.nodes)))
    for place, waits in enumerate(grouping.upstream):
        assert all(other < place for other in waits)


@given(draw_cases())
def test_every_node_comes_after_all_it_depends_on(case: Case) -> None:
    graph, grouping = case.build_case_graph, group_case(case)
    group_of = {index: number for number, group in enumerate(grouping.groups) for index in group.members}
    waits = reachable_pairs(
        len(grouping.groups), {(other, at) for at, others in enumerate(grouping.upstream) for other in others}
    )
    for first, second in reachable_pairs(len(case.nodes), graph_edges(graph)):
        if group_of[first] == group_of[second]:
            members = grouping.groups[group_of[first]].members
            assert members.index(first) < members.index(second)
        else:
            assert (group_of[first], group_of[second]) in waits


@given(draw_cases())
def test_groups_wait_for_those_alone_that_their_nodes_depend_on(case: Case) -> None:
    grouping = group_case(case)
    group_of = {index: number for number, group in enumerate(grouping.groups) for index in group.members}
    needed = {
        (group_of[first], group_of[second])
        for first, second in graph_edges(case.build_case_graph)
        if group_of[first] != group_of[second]
    }
    assert {(other, at) for at, others in enumerate(grouping.upstream) for other in others} == needed


@given(draw_cases())
def test_data_in_memory_or_on_a_pods_disk_never_crosses_between_pods(case: Case) -> None:
    found = member_sets(group_case(case))
    for first, second in forced_pairs(case.build_case_graph):
        assert any({first, second} <= block for block in found)


@given(draw_cases())
def test_recorded_merge_causes_are_true_and_connect_every_group(case: Case) -> None:
    graph, grouping = case.build_case_graph, group_case(case)
    everywhere = forced_pairs(graph)
    for group in grouping.groups:
        joined = {group.members[0]}
        while True:
            more = {
                index
                for merge in group.merges
                for index in (merge.first, merge.second)
                if {merge.first, merge.second} & joined
            }
            if more <= joined:
                break
            joined |= more
        assert joined == set(group.members)
        for merge in group.merges:
            assert {merge.first, merge.second} <= set(group.members)
            first, second = graph.nodes[merge.first], graph.nodes[merge.second]
            if merge.reason in FORCED_REASONS:
                assert (merge.first, merge.second) in everywhere
                assert merge.name in {*second.inputs, *first.confirms}
            elif merge.reason == "group":
                assert {merge.first, merge.second} <= set(case.options.nodes_by_group[merge.name])
            elif merge.reason == "namespace":
                assert {str(first.namespace).split(".")[0], str(second.namespace).split(".")[0]} == {merge.name}


@given(draw_cases(options=False))
def test_group_by_memory_merges_only_what_must_merge(case: Case) -> None:
    assert member_sets(group_case(case)) == finest_partition(case.build_case_graph, forced_pairs(case.build_case_graph))


@given(draw_cases())
def test_only_nodes_between_merged_nodes_join_the_group(case: Case) -> None:
    grouping = group_case(replace(case, options=replace(case.options, group_by="namespace")))
    given_ = {
        (merge.first, merge.second)
        for group in grouping.groups
        for merge in group.merges
        if merge.reason not in ("between", "chain")
    }
    assert member_sets(grouping) == finest_partition(case.build_case_graph, given_)


@given(draw_cases())
def test_nodes_of_different_kinds_merge_only_when_required(case: Case) -> None:
    """Or, by chain, a line of such pods of the same kinds: they agree about everything that can be contradicted."""
    had_to_be = finest_partition(case.build_case_graph, forced_pairs(case.build_case_graph))
    kinds: Sequence[object] = case.options.kinds or [None] * len(case.nodes)
    for block in member_sets(group_case(case)):
        found = {kinds[index] for index in block}
        if len(found) > 1 and block not in had_to_be:
            assert case.options.group_by == "chain"
            assert all({kinds[index] for index in part} == found for part in had_to_be if part <= block)


@given(draw_cases())
def test_requested_groups_are_applied_or_reported_as_declined(case: Case) -> None:
    grouping = group_case(case)
    for name, members in case.options.nodes_by_group.items():
        together = any(set(members) <= block for block in member_sets(grouping))
        assert together or any(declined.name == name for declined in grouping.declined)


@given(draw_cases())
def test_group_by_chain_keeps_parallelism_and_merges_every_chain(case: Case) -> None:
    options = replace(case.options, group_by="chain", kinds=())
    before = group_case(replace(case, options=replace(options, group_by="memory")))
    after = group_case(replace(case, options=options))

    group_of = {index: number for number, group in enumerate(before.groups) for index in group.members}
    ordered = reachable_pairs(
        len(before.groups), {(other, at) for at, others in enumerate(before.upstream) for other in others}
    )
    for block in member_sets(after):
        for first, second in combinations({group_of[index] for index in block}, 2):
            assert {(first, second), (second, first)} & ordered, "two pods that could run at once became one"

    group_of = {index: number for number, group in enumerate(after.groups) for index in group.members}
    ordered_after = reachable_pairs(
        len(after.groups), {(other, at) for at, others in enumerate(after.upstream) for other in others}
    )
    for first, second in combinations(range(len(case.nodes)), 2):
        apart = {(group_of[first], group_of[second]), (group_of[second], group_of[first])} & ordered_after
        if apart and group_of[first] != group_of[second]:
            ends = [
                next(at for at, group in enumerate(before.groups) if index in group.members)
                for index in (first, second)
            ]
            assert {(ends[0], ends[1]), (ends[1], ends[0])} & ordered, "chain made one pod wait for another"

    followers = [
        [at for at, others in enumerate(after.upstream) if place_ in others] for place_ in range(len(after.groups))
    ]
    assert not [at for at, found in enumerate(followers) if len(found) == 1 and after.upstream[found[0]] == (at,)]


@given(draw_cases(), st.randoms(use_true_random=False))
def test_the_order_in_which_nodes_are_given_changes_nothing(case: Case, random: object) -> None:
    order = list(range(len(case.nodes)))
    random.shuffle(order)  # type: ignore[attr-defined]
    new = {old: index for index, old in enumerate(order)}
    shuffled = Case(
        tuple(case.nodes[old] for old in order),
        case.reaches,
        replace(
            case.options,
            nodes_by_group={
                name: sorted(new[old] for old in members) for name, members in case.options.nodes_by_group.items()
            },
            kinds=tuple(case.options.kinds[old] for old in order) if case.options.kinds else (),
        ),
    )
    assert named_grouping(case) == named_grouping(shuffled)


def named_grouping(case: Case) -> list[tuple[str, tuple[str, ...], tuple[int, ...], str]]:
    """A grouping by names: what ends up in the plan."""
    graph, grouping = case.build_case_graph, group_case(case)
    ids = task_ids.assign_task_ids(graph, grouping)
    return [
        (task_id, tuple(graph.nodes[index].name for index in one.members), waits, str(one.name))
        for task_id, one, waits in zip(ids, grouping.groups, grouping.upstream, strict=True)
    ]


@given(draw_cases())
def test_task_ids_are_unique_and_an_edit_elsewhere_renames_nothing(case: Case) -> None:
    tasks = named_grouping(case)
    assert len({task_id for task_id, *_ in tasks}) == len(tasks)
    if case.options.kinds or case.options.group_by == "chain":
        return
    more = replace(
        case,
        nodes=(*case.nodes, make_node("zzz", ["fresh"], ["zzz_out"])),
        reaches={**case.reaches, "zzz_out": "shared"},
    )
    assert {task_id for task_id, *_ in named_grouping(more)} == {task_id for task_id, *_ in tasks} | {"zzz"}


# -- size -------------------------------------------------------------------------------------------------------------

LARGE = 20_000


def make_chain_case(size: int, reach: str, *more: ProjectNode) -> Case:
    """A chain of nodes."""
    nodes = tuple(
        make_node(f"n{index:05}", ["raw" if not index else f"d{index - 1}"], [f"d{index}"]) for index in range(size)
    )
    return Case((*nodes, *more), {"raw": "shared", **{f"d{index}": reach for index in range(size)}}, GroupingOptions())


@pytest.mark.parametrize(
    ("reach", "group_by", "groups"),
    [("shared", "memory", LARGE), ("memory", "memory", 1), ("shared", "chain", 1), ("shared", "namespace", LARGE)],
)
def test_a_chain_of_20000_nodes_is_grouped(reach: str, group_by: str, groups: int) -> None:
    case = make_chain_case(LARGE, reach)
    found = group_case(replace(case, options=GroupingOptions(group_by=group_by)))  # type: ignore[arg-type]
    assert len(found.groups) == groups
    assert len(task_ids.assign_task_ids(case.build_case_graph, found)) == groups


def test_a_circle_around_20000_nodes_is_contracted() -> None:
    case = make_chain_case(LARGE, "shared")
    first, *middle, last = case.nodes
    nodes = (replace(first, outputs=("d0", "mem")), *middle, replace(last, inputs=(*last.inputs, "mem")))
    found = group_case(replace(case, nodes=nodes, reaches={**case.reaches, "mem": "memory"}))
    assert len(found.groups) == 1


def test_20000_nodes_side_by_side_and_all_in_one_are_grouped() -> None:
    wide = tuple(make_node(f"n{index:05}", ["raw"], [f"d{index}"]) for index in range(LARGE))
    last = make_node("last", [f"d{index}" for index in range(LARGE)], ["out"])
    reaches = {"raw": "shared", "out": "shared", **{f"d{index}": "shared" for index in range(LARGE)}}
    found = group_case(Case((*wide, last), reaches, GroupingOptions()))
    assert len(found.groups) == LARGE + 1
    assert len(found.upstream[-1]) == LARGE


def test_two_layers_of_namespaces_with_many_edges_are_grouped() -> None:
    """20,000 edges, each namespace waiting for each other one: a single pod."""
    first = [make_node(f"a{index}", ["raw"], [f"x{index}"], f"s{index % 100}") for index in range(2000)]
    second = [
        make_node(
            f"b{index}", [f"x{(index * 7 + step * 13) % 2000}" for step in range(10)], [f"y{index}"], f"s{index % 100}"
        )
        for index in range(2000)
    ]
    reaches = {name: "shared" for one in (*first, *second) for name in (*one.inputs, *one.outputs)}
    found = group_case(Case((*first, *second), reaches, GroupingOptions(group_by="namespace")))
    assert len(found.groups) == 1


def test_a_chain_of_20000_tasks_is_planned_and_rendered(tmp_path: Path) -> None:
    """From the project to the text of the DAG file; the file's syntax tree is read back by `render` itself."""
    nodes = make_chain_case(LARGE, "shared").nodes
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
