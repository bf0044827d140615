# SPDX-License-Identifier: GPL-2.0-or-later
"""A failing case made smaller, without a target: functions say what fails."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import structs

from scapy_chitchat import DecodeError, decode, encode
from scapy_chitchat.fuzz import narrow
from scapy_chitchat.fuzz.building import ack, entry, section, syn_ack
from scapy_chitchat.fuzz.draw import PEOPLE
from scapy_chitchat.fuzz.narrow import Narrower, fewest
from scapy_chitchat.records.classes import KeyValueOp, SetMaxVersionOp
from scapy_chitchat.records.sections import delta_of, digest_of, sections
from scapy_chitchat.wire.protocol import MAX_DATAGRAM


def lowers(messages: tuple[bytes, ...]) -> bool:
    """As a node: whether a known node's section sets its version below one before it."""
    known = set()
    for data in messages:
        try:
            message = decode(data)
        except DecodeError:
            continue
        known |= {each.node_id for each in digest_of(message)}
        for each in sections(delta_of(message)):
            highest = 0
            for op in each.changes:
                if isinstance(op, KeyValueOp):
                    highest = op.version
                elif each.node.node_id in known and op.max_version < highest:
                    return True
    return False


def test_a_case_is_narrowed_to_messages_operations_and_values() -> None:
    noise = [encode(syn_ack([entry(each, 9, 2, 3) for each in PEOPLE], ())) for _ in range(30)]
    ops = [KeyValueOp(f"key{index}", "long value", index + 5, "Delete") for index in range(6)]
    who = PEOPLE[3]._replace(node_id="somebody")
    delta = [*section(PEOPLE[0], ops), *section(who, [*ops, SetMaxVersionOp(7), *ops[4:]], 4, 5)]
    bad = encode(syn_ack([entry(each) for each in (*PEOPLE, who)], delta, 1))
    narrower = Narrower((*noise, bad, *noise), lowers, lambda: True)
    (data,) = narrower.narrow()
    smallest: Any = decode(data)
    assert lowers((data,))
    assert [type(op).__name__ for op in smallest.delta] == ["NodeOp", "KeyValueOp", "SetMaxVersionOp"]
    assert len(smallest.digest) == 1
    assert (smallest.version, smallest.delta[1].key, smallest.delta[1].value) == (0, "", "")
    assert smallest.delta[2].max_version in (0, smallest.delta[1].version - 1)


def test_what_fits_no_datagram_is_not_tried() -> None:
    digest = [entry(PEOPLE[0]._replace(node_id="n" * 1500, generation_id=index)) for index in range(60)]
    wide = encode(syn_ack(digest, (), 1))
    assert len(wide) < MAX_DATAGRAM < len(encode(structs.replace(decode(wide), version=0)))
    tried = []

    def fails(messages: tuple[bytes, ...]) -> bool:
        tried.append(max(map(len, messages)))
        return False

    assert Narrower((wide,), fails, lambda: True).narrow() == (wide,)
    assert tried
    assert max(tried) <= MAX_DATAGRAM


def test_when_time_is_up_nothing_is_even_written(monkeypatch: pytest.MonkeyPatch) -> None:
    case_of_many = encode(ack(section(PEOPLE[0], [SetMaxVersionOp(version) for version in range(1, 3000)])))
    left = iter(range(20))
    written = []

    def counted(message: Any) -> bytes:
        written.append(message)
        return encode(message)

    monkeypatch.setattr(narrow, "encode", counted)
    Narrower((case_of_many,), lambda messages: False, lambda: next(left, None) is not None).narrow()
    assert 5 < len(written) < 30


def test_a_case_is_compressed_where_that_makes_it_short() -> None:
    long = encode(syn_ack([entry(PEOPLE[0]._replace(node_id="a" * 60_000))], ()))

    def fails(messages: tuple[bytes, ...]) -> bool:
        return any(len(each.node_id) > 50_000 for each in getattr(decode(messages[0]), "digest", ()))

    (data,) = Narrower((long,), fails, lambda: True).narrow()
    assert data[3] == decode(data).version == 1
    assert len(data) < 200


def test_fewest_keeps_what_is_needed_and_its_order() -> None:
    asked = []

    def fails(items: Any) -> bool:
        asked.append(items)
        return 3 in items and 77 in items

    assert fewest(list(range(100)), fails) == [3, 77]
    assert len(asked) < 100


def tries_until_narrowed(culprits: set[int], count: int) -> int:
    """How often a target is asked, until of ``count`` messages those that fail together are left."""
    messages = tuple(index.to_bytes(2, "big") for index in range(count))  # which no node reads: nothing else to try
    needed = {messages[index] for index in culprits}
    tries = 0

    def fails(tried: tuple[bytes, ...]) -> bool:
        nonlocal tries
        tries += 1
        return needed <= set(tried)

    assert set(Narrower(messages, fails, lambda: True).narrow()) == needed
    return tries


@pytest.mark.parametrize(
    ("culprits", "most"),
    [
        pytest.param({0}, 14, id="the first"),
        pytest.param({3000}, 14, id="one among others: its place is found by halving, and then it is tried alone"),
        pytest.param({2997, 3000}, 28, id="two that are close"),
    ],
)
def test_halving_finds_where_a_case_fails(culprits: set[int], most: int) -> None:
    assert tries_until_narrowed(culprits, 4096) <= most, "leaving out ever smaller pieces alone takes half as many more"
