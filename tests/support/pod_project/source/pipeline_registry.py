"""The project's pipelines, one for each subject."""

from __future__ import annotations

from kedro.pipeline import Node, Pipeline
from project import misbehaviour, nodes

ODD = "odd name: ÄÖ at % ' {{ x }} 漢字"
LONG_NAME = "long_" * 60


def register_pipelines() -> dict[str, Pipeline]:
    return {
        "plain": Pipeline(
            [
                Node(nodes.hello, None, "word", name="hello"),
                Node(nodes.shout, "word", "loud", name="shout"),
                Node(nodes.give, "loud", "last", name="give_at_last"),
                Node(nodes.fail, "last", "never", name="fail"),
                Node(nodes.give, "absent", "absent_copy", name="load_absent"),
                Node(nodes.leave, None, "left", name="leave"),
                Node(nodes.talk, None, "said", name="talk"),
                Node(nodes.give, "locked", "locked_copy", name="load_locked"),
            ]
        ),
        "params": Pipeline([Node(nodes.asked, "parameters", "asked", name="ask")]),
        "waits": Pipeline(
            [
                Node(nodes.wait_in_python, None, "python_waited", name="wait_in_python"),
                Node(nodes.wait_in_python, None, "python_waited_too", name="wait_in_python_too"),
                Node(nodes.wait_and_swallow, None, "swallow_waited", name="wait_and_swallow"),
                Node(nodes.wait_in_c, None, "c_waited", name="wait_in_c"),
                Node(nodes.wait_in_c, None, "c_waited_too", name="wait_in_c_too"),
                Node(nodes.swallow_once, None, "swallowed", name="swallow_once"),
                Node(nodes.give, "swallowed", "swallowed_copy", name="after_swallow"),
                Node(nodes.hello, None, "slow_saved", name="save_slowly"),
                Node(nodes.linger, None, "lingered", name="linger"),
            ]
        ),
        "versions": Pipeline(
            [
                Node(nodes.give, "params:mark", "kept", name="write"),
                Node(nodes.give, "kept", "seen", name="read"),
                Node(nodes.give, "params:mark", "coded@one", name="write_coded"),
                Node(nodes.give, "coded@two", "coded_seen", name="read_coded"),
                Node(nodes.give, "params:mark", "cached", name="write_cached"),
                Node(nodes.give, "cached", "cached_seen", name="read_cached"),
                *(
                    node
                    for name in ("wrapped", "sealed", "versioning")
                    for node in (
                        Node(nodes.give, "params:mark", name, name=f"write_{name}"),
                        Node(nodes.give, name, f"{name}_seen", name=f"read_{name}"),
                    )
                ),
                Node(nodes.give, "given", "given_seen", name="read_given"),
                Node(nodes.join, ["kept", "given"], "joined", name="read_both"),
            ]
        ),
        "store": Pipeline(
            [
                Node(nodes.give, "params:mark", "passed", name="make"),
                Node(nodes.give, "passed", "taken", name="take"),
                Node(nodes.give, "params:mark", ODD, name="make_odd"),
                Node(nodes.give, "params:mark", LONG_NAME, name="make_long"),
                Node(nodes.give, "params:mark", LONG_NAME + "x", name="make_longer"),
                Node(nodes.join, [ODD, LONG_NAME, LONG_NAME + "x"], "odd_taken", name="take_odd"),
                Node(nodes.give, "params:mark", "explicit", name="make_explicit"),
                Node(nodes.give, "params:mark", "caught_by_pattern", name="make_caught"),
                Node(nodes.join, ["explicit", "caught_by_pattern"], "listed_taken", name="take_listed"),
                Node(nodes.unpicklable, None, "lock", name="make_lock"),
                Node(nodes.give, "lock", "lock_taken", name="take_lock"),
            ]
        ),
        "misbehaving": Pipeline([Node(misbehaviour.misbehave, None, "misbehaved", name="misbehave")]),
        "inner": Pipeline([Node(nodes.hello, None, "inner_word", name="inner")]),
        "inner_failing": Pipeline([Node(nodes.fail, "params:mark", "inner_word", name="inner_failing")]),
        "hooked": Pipeline(
            [
                Node(nodes.hello, None, "h_first", name="first"),
                Node(nodes.shout, "h_first", "h_second", name="second"),
                Node(nodes.join, ["h_first", "h_second", "params:mark"], "h_third", name="third"),
                Node(nodes.fail, "h_first", "h_failed", name="failing"),
                Node(nodes.give, "absent", "h_absent", name="unloadable"),
            ]
        ),
    }
