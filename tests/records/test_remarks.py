# SPDX-License-Identifier: GPL-2.0-or-later
"""Remarks at their edges: where each begins, and what is just not one."""

from __future__ import annotations

import pytest

from scapy_chitchat import Chitchat, ChitchatAck, ChitchatSyn, KeyValueOp, NodeDigest, NodeOp, SetMaxVersionOp, findings
from scapy_chitchat.wire.protocol import NEAR_DATAGRAM_LIMIT

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


@pytest.mark.parametrize(("size", "found"), [(-1, []), (0, ["near-datagram-limit"]), (1, ["near-datagram-limit"])])
def test_the_datagram_limit_is_near_from_60000_bytes_on(size: int, found: list[str]) -> None:
    empty = len(bytes(Chitchat() / ChitchatSyn(digest=[NodeDigest(node_id="")])))
    name = "x" * (NEAR_DATAGRAM_LIMIT - empty + size)
    data = bytes(Chitchat() / ChitchatSyn(digest=[NodeDigest(node_id=name)]))
    assert len(data) == 60_000 + size
    assert [each.code for each in findings(data)] == found


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
