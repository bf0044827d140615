# SPDX-License-Identifier: GPL-2.0-or-later
"""What an engine that listens on and on forgets, and what it must not."""

from __future__ import annotations

import gc
from types import FunctionType, ModuleType

import pytest

from scapy_chitchat.cluster import Cluster
from scapy_chitchat.cluster.roster import Sections
from tests.cluster.telling import A, B, C, Telling, Who, introduced, kv

HOUR = 3600 * 10**9


def runs(cluster: Cluster) -> list[tuple[str, int]]:
    """All runs of the state."""
    return [(node.node_id, node.generation_id) for state in cluster.at() for node in state.nodes]


def reachable(root: object) -> int:
    """How many objects hang on this one, but for the sections that were read lately, whose number has its own bound."""
    seen: set[int] = set()
    left = [root]
    while left:
        each = left.pop()
        if id(each) not in seen and not isinstance(each, type | ModuleType | FunctionType | Sections):
            seen.add(id(each))
            left += gc.get_referents(each)
    return len(seen)


def life(told: Telling, generation: int) -> None:
    """Three nodes are started, tell of a key each, and hear of it."""
    one, two, three = (Who(number, generation) for number in (1, 2, 3))
    for mine, other in ((one, two), (two, three), (three, one)):
        told.syn(mine, other, {mine: (2, 0, 1)})
        told.syn_ack(other, mine, {mine: (2, 0, 0), other: (3, 0, 1)}, (other, 0, 0, [kv("of", 1)]))
        told.ack(mine, other, (mine, 0, 0, [kv("key", 1)]))
    for heartbeat in range(5, 9):
        told.wait(1000)
        told.syn(one, two, {one: (heartbeat, 0, 1), two: (heartbeat, 0, 1), three: (heartbeat, 0, 1)})


@pytest.mark.parametrize("forgets", [True, False])
def test_nodes_that_come_and_go_leave_nothing_behind(forgets: bool) -> None:
    told = Telling()
    sizes = []
    for generation in range(1, 31):
        life(told, generation)
        told.wait(2 * 3600 * 1000)
        if forgets:
            told.cluster.forget(told.now - HOUR)
        told.events.clear()
        sizes.append(reachable(told.cluster))
    grown = (sizes[-1] - sizes[14]) / (15 * 3)
    assert (grown < 12) == forgets, f"{grown:.0f} objects a run; its number and its name stay"


def test_what_is_gone_is_in_no_state_and_joins_anew() -> None:
    told = introduced()
    told.wait(2 * 3600 * 1000)
    told.syn(C, A, {C: (2, 0, 0)})
    told.cluster.forget(told.now - HOUR)
    assert runs(told.cluster) == [("n3", 1)]
    assert told.kinds().count("joined") == 3
    told.syn(A, C, {A: (9000, 0, 1)})
    assert told.kinds().count("joined") == 4
    assert ("n1", 1) in runs(told.cluster)


def test_who_is_named_is_not_forgotten_though_silent() -> None:
    told = introduced()
    told.wait(2 * 3600 * 1000)
    told.syn(A, C, {A: (7200, 0, 1), B: (3, 0, 0)})
    told.cluster.forget(told.now - HOUR)
    assert runs(told.cluster) == [("n1", 1), ("n2", 1)]
    assert told.keys(A, A) == {"k": ("v", 1, True)}


def test_what_waits_to_be_read_does_not_bring_it_back() -> None:
    told = introduced()
    told.wait(2 * 3600 * 1000)
    said = {A: (7200, 0, 1), C: (2, 0, 0)}
    told.syn(A, C, {**said, B: (3, 0, 0)})
    told.syn(A, C, said | {A: (7201, 0, 1)})
    told.cluster.forget(told.now - HOUR)
    assert ("n2", 1) not in runs(told.cluster)
    told.syn_ack(C, A, {C: (5, 0, 0), A: (7201, 0, 0)})
    assert "n2" not in {each.node_id for state in told.cluster.at() for o in state.observers for each in o.replicas}


def test_nothing_is_forgotten_too_early() -> None:
    told = introduced()
    before = told.cluster.at()
    told.cluster.forget(told.now - HOUR)
    assert told.cluster.at() == before
