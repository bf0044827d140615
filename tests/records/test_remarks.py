# SPDX-License-Identifier: GPL-2.0-or-later
"""Remarks at their edges: where each begins, and what is just not one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from scapy.packet import Packet

from scapy_chitchat import (
    Block,
    Chitchat,
    ChitchatAck,
    ChitchatSyn,
    ChitchatSynAck,
    KeyValueOp,
    NodeDigest,
    NodeOp,
    SetMaxVersionOp,
    findings,
    read_messages,
)
from scapy_chitchat.wire.protocol import BLOCK_SIZE
from tests.support import PCAPS

NODE = NodeOp(node_id="n")


def codes_of(*delta: object) -> list[str]:
    """The codes of what is found in an Ack with these operations."""
    return [each.code for each in findings(bytes(Chitchat() / ChitchatAck(delta=list(delta))))]


@pytest.mark.parametrize(
    ("key", "found"), [("\x7f", []), ("\x80", ["non-ascii-key"]), ("é", ["non-ascii-key"]), ("aé", []), ("", [])]
)
def test_a_key_is_remarked_on_from_the_first_character_behind_ascii(key: str, found: list[str]) -> None:
    assert codes_of(NODE, KeyValueOp(key=key)) == found


@pytest.mark.parametrize(
    ("collected", "since", "found"),
    [(4, 0, ["reset"]), (4, 1, []), (4, 4, []), (0, 0, []), (0, 4, []), (1, 0, ["reset"])],
)
def test_only_a_section_from_zero_behind_collection_is_a_reset(collected: int, since: int, found: list[str]) -> None:
    assert codes_of(NodeOp(node_id="n", last_gc_version=collected, from_version_excluded=since)) == found


NEAR = ["digest-near-limit"]
JUST_BELOW, JUST_ABOVE = 58_956, 58_957
"""9 tenths of the 65,507 bytes that a datagram holds, and one more."""


def digest_in_v0(size: int) -> dict[str, Any]:
    """The fields of a digest of so many bytes, its count among them."""
    empty = len(bytes(NodeDigest(node_id="")))
    return {"digest": [NodeDigest(node_id="x" * (size - 2 - empty))]}


def digest_in_v1(size: int) -> dict[str, Any]:
    """The fields of a digest of so many bytes in blocks that are not compressed."""
    blocks = -(-size // (BLOCK_SIZE + 3))
    name = "x" * (size - 1 - 3 * blocks - len(bytes(NodeDigest(node_id=""))))
    held = bytes(NodeDigest(node_id=name))
    pieces = [held[at : at + BLOCK_SIZE] for at in range(0, len(held), BLOCK_SIZE)]
    return {"digest_blocks": [*(Block(type=2, data=piece) for piece in pieces), Block(type=0)]}


@pytest.mark.parametrize(("size", "found"), [(JUST_BELOW, []), (JUST_ABOVE, NEAR)])
@pytest.mark.parametrize(("version", "fields"), [(0, digest_in_v0), (1, digest_in_v1)])
@pytest.mark.parametrize("kind", [ChitchatSyn, ChitchatSynAck])
def test_a_digest_is_near_the_limit_above_9_tenths_of_a_datagram(
    kind: type[Packet], version: int, fields: Callable[[int], dict[str, Any]], size: int, found: list[str]
) -> None:
    data = bytes(Chitchat(version=version) / kind(**fields(size)))
    assert len(data) == 4 + size + (2 if kind is ChitchatSyn else 1), "a header, and an empty cluster_id or delta"
    near = [each for each in findings(data) if each.code == "digest-near-limit"]
    assert [each.code for each in near] == found
    assert [f"{size:,} bytes, entries: 1" in str(each) for each in near] == [True] * len(found)


@pytest.mark.parametrize("version", [0, 1])
def test_what_else_fills_a_datagram_is_not_near_the_limit(version: int) -> None:
    values = [KeyValueOp(key=f"k{index}", value="v" * 16000, version=index + 1) for index in range(4)]
    delta = [*(Block(type=2, data=bytes(op)) for op in [NODE, *values]), Block(type=0)]
    answer = bytes(Chitchat(version=version) / ChitchatSynAck(digest=[NodeDigest(node_id="n")], delta_blocks=delta))
    syn = bytes(Chitchat(version=version) / ChitchatSyn(cluster_id="c" * 64_000))
    assert JUST_ABOVE < len(answer) < 65_507
    for data in (answer, syn, syn[: -64_000 - 2] + bytes(64_000)):
        assert NEAR[0] not in [each.code for each in findings(data)]


def test_nodes_that_fill_their_deltas_are_healthy() -> None:
    messages = list(read_messages(PCAPS / "v0-large-fragmented.pcap.gz"))
    assert sum(len(each.data) > JUST_ABOVE for each in messages) == 10
    assert {code.code for each in messages for code in each.findings} == set()


LOWERED = ["lowered-max-version"]


@pytest.mark.parametrize(
    ("delta", "found"),
    [
        pytest.param([NODE, KeyValueOp(key="k", version=5), SetMaxVersionOp(max_version=5)], [], id="as high"),
        pytest.param([NODE, KeyValueOp(key="k", version=5), SetMaxVersionOp(max_version=4)], LOWERED, id="lower"),
        pytest.param([NODE, SetMaxVersionOp(max_version=9), SetMaxVersionOp(max_version=5)], LOWERED, id="two"),
        pytest.param(
            [
                NODE,
                KeyValueOp(key="k", version=3),
                SetMaxVersionOp(max_version=9),
                SetMaxVersionOp(max_version=8),
                SetMaxVersionOp(max_version=8),
            ],
            LOWERED,
            id="what was set counts, not what stood before it",
        ),
        pytest.param(
            [NODE, KeyValueOp(key="k", version=5), NodeOp(node_id="o"), SetMaxVersionOp(max_version=3)],
            [],
            id="another node's version does not count",
        ),
    ],
)
def test_a_max_version_is_lowered_below_what_its_own_section_has(delta: list[object], found: list[str]) -> None:
    assert codes_of(*delta) == found


def test_a_digest_with_one_entry_out_of_place_is_remarked_on_once_and_at_that_entry() -> None:
    entries = [NodeDigest(node_id=name) for name in ("a", "c", "b", "d", "a")]
    found = findings(bytes(Chitchat() / ChitchatSyn(digest=entries)))
    size = len(bytes(entries[0]))
    assert [(each.code, each.offset) for each in found] == [
        ("unsorted-digest", 6 + 2 * size),
        ("duplicate-digest", 6 + 4 * size),
    ]
