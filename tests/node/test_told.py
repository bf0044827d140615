# SPDX-License-Identifier: GPL-2.0-or-later
"""What was told in pieces, put together: sections in and out of order, resets, collections; answers lost and late."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import pytest

from scapy_chitchat import (
    Chitchat,
    ChitchatAck,
    ChitchatSynAck,
    KeyValueOp,
    NodeDigest,
    NodeOp,
    SetMaxVersionOp,
    decode,
    encode,
)
from scapy_chitchat.node.members import Member, Membership
from scapy_chitchat.node.probe import probe
from scapy_chitchat.node.told import Telling, ToldMember
from scapy_chitchat.records import classes as records


def syn_ack(*delta: Any, heartbeat: int = 9, gc: int = 0, max_version: int = 9) -> Any:
    digest = [NodeDigest(node_id="n", heartbeat=heartbeat, last_gc_version=gc, max_version=max_version)]
    return decode(bytes(Chitchat() / ChitchatSynAck(digest=digest, delta=list(delta))))


def ack(*delta: Any) -> Any:
    return decode(bytes(Chitchat() / ChitchatAck(delta=list(delta))))


def section(*versions: int, after: int = 0, gc: int = 0, deleted: tuple[int, ...] = ()) -> list[Any]:
    """A section with a key for each version."""
    ops = [KeyValueOp(key=f"k{each}", version=each, status="Delete" if each in deleted else "Set") for each in versions]
    return [NodeOp(node_id="n", from_version_excluded=after, last_gc_version=gc), *ops]


def heard(*messages: Any) -> tuple[Telling, ToldMember]:
    telling = Telling()
    for message in messages:
        telling.hear(message)
    return telling, telling.members(watched=False)[0]


def versions(member: ToldMember) -> list[int]:
    return sorted(each.version for each in member.keys)


def test_the_next_question_claims_what_was_told_and_no_heartbeat() -> None:
    telling, member = heard(syn_ack(*section(1, 4)))
    assert (member.told_up_to, member.max_version, member.complete) == (4, 9, False)
    assert telling.lacks_something
    (entry,) = telling.digest()
    assert (entry.node_id, entry.heartbeat, entry.max_version) == ("n", 0, 4)


def test_a_section_goes_on_where_the_one_before_ended() -> None:
    telling, member = heard(syn_ack(*section(1, 4)), syn_ack(*section(6, 9, after=4)))
    assert (versions(member), member.complete) == ([1, 4, 6, 9], True)
    assert not telling.lacks_something


def test_a_section_behind_a_gap_is_not_taken() -> None:
    telling, member = heard(syn_ack(*section(1, 4)))
    assert not telling.hear(ack(*section(8, 9, after=7)))
    assert telling.members(watched=False)[0].told_up_to == member.told_up_to == 4


def test_a_late_answer_says_nothing_new_and_takes_nothing_back() -> None:
    first = syn_ack(*section(1, 4), max_version=4)
    telling, _ = heard(first, syn_ack(*section(6, 9, after=4), heartbeat=11))
    assert telling.is_late(first)
    assert not telling.hear(first)
    (member,) = telling.members(watched=False)
    assert (versions(member), member.max_version, member.heartbeat) == ([1, 4, 6, 9], 9, 11)


def test_what_was_collected_meanwhile_makes_the_copy_begin_anew() -> None:
    _, member = heard(syn_ack(*section(1, 4)), syn_ack(*section(2, 9, gc=6), gc=6))
    assert (versions(member), member.last_gc_version, member.complete) == ([2, 9], 6, True)


def test_told_tombstones_go_when_the_node_has_collected_them() -> None:
    told = syn_ack(*section(1, 3, 9, deleted=(3, 9)))
    assert versions(heard(told)[1]) == [1, 3, 9]
    assert versions(heard(told, syn_ack(gc=3))[1]) == [1, 9]
    assert versions(heard(told, ack(*section(10, after=9, gc=9)))[1]) == [1, 10]


def test_a_member_that_began_anew_is_told_anew() -> None:
    telling, member = heard(syn_ack(*section(1, 9)), syn_ack(max_version=2))
    assert (member.keys, member.told_up_to, member.complete) == ([], 0, False)
    assert telling.lacks_something


def test_a_version_without_a_key_completes_a_member() -> None:
    max_version = [NodeOp(node_id="n", from_version_excluded=4), SetMaxVersionOp(max_version=9)]
    assert heard(syn_ack(*section(1, 4)), syn_ack(*max_version))[1].complete


def test_a_section_without_operations_is_stuck_if_it_had_all_the_room() -> None:
    telling, _ = heard(syn_ack(*section(1, 4)))
    assert not telling.is_stuck_at(ack(*section(6, after=4)))
    assert not telling.is_stuck_at(ack(*section(after=1)))  # late: to what was asked before
    assert not telling.is_stuck_at(ack())
    assert telling.is_stuck_at(ack(*section(after=4)))
    assert not telling.lacks_something
    assert telling.digest()[0].max_version == 9
    (member,) = telling.members(watched=False)
    assert (member.stuck, member.complete, member.told_up_to) == (True, False, 4)
    telling.hear(syn_ack(max_version=10))  # something changed: perhaps what is too large
    assert telling.lacks_something


def test_who_has_left_the_digest_is_named_no_more() -> None:
    telling, _ = heard(syn_ack(*section(1, 9)))
    telling.hear(records.SynAck(digest=(records.NodeDigest("m", 1, "127.0.0.1:1", 1, 0, 0),)))
    assert [each.node_id for each in telling.digest()] == ["m"]


@contextmanager
def unreliable(cluster: Membership, fate: str) -> Iterator[str]:
    """A made-up node. Of each question it is said, in turn, what happens: answered, lost, or answered with the answer
    before first (``.``, ``x``, ``o``)."""
    with socket.socket(type=socket.SOCK_DGRAM) as opened:
        opened.bind(("127.0.0.1", 0))
        opened.settimeout(0.2)
        done = threading.Event()

        def serve() -> None:
            count, before = 0, b""
            while not done.is_set():
                try:
                    data, asker = opened.recvfrom(65535)
                except TimeoutError:
                    continue
                happens = fate[count % len(fate)]
                count += 1
                answer = encode(cluster.answer(cast("records.Syn", decode(data))))
                if happens == "o" and before:
                    opened.sendto(before, asker)
                if happens != "x":
                    opened.sendto(answer, asker)
                    before = answer

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"127.0.0.1:{opened.getsockname()[1]}"
        finally:
            done.set()
            thread.join()


@pytest.mark.long
@pytest.mark.parametrize("fate", [".", "x.", "o", ".xo", "xxo"])
@pytest.mark.parametrize("version", [0, 1, None])
def test_lost_and_late_answers_cost_nothing_but_time(fate: str, version: int | None) -> None:
    values = {f"key-{number}": f"{number:04}" * 100 for number in range(400)}
    members = [Member(f"node-{number}", f"127.0.0.1:{number + 1}", key_values=dict(values)) for number in range(2)]
    with unreliable(Membership("c", members), fate) as target:
        answer = probe(target, "c", version=version, timeout=0.2, tries=50)
    assert answer.is_complete
    assert answer.answers > 4
    assert {each.node_id: {told.key: told.value for told in each.keys} for each in answer.members} == {
        each.node_id: values for each in members
    }
