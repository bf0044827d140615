# SPDX-License-Identifier: GPL-2.0-or-later
"""Findings: every code can be met, with the right place."""

from __future__ import annotations

import os

import pytest
import zstandard

from scapy_chitchat import (
    ABSENT,
    Block,
    Chitchat,
    ChitchatAck,
    ChitchatBadCluster,
    ChitchatSyn,
    ChitchatSynAck,
    KeyValueOp,
    NodeDigest,
    NodeOp,
    SetMaxVersionOp,
    findings,
)
from scapy_chitchat.records.checks import CODES, finding

NODE = NodeOp(node_id="n")


def raw(message: object, version: int = 0) -> bytes:
    return bytes(Chitchat(version=version) / message)


EXAMPLES = {
    "too-short": (b"\x53\xb0", 0),
    "bad-magic": (b"\x53\xb1\0\0", 0),
    "bad-version": (b"\x53\xb0\2\0", 2),
    "bad-type": (b"\x53\xb0\0\4", 3),
    "string-short": (raw(ChitchatSyn(cluster_id="prod"))[:-1], 8),
    "bad-utf8": (raw(ChitchatSyn(cluster_id=b"pr\xffd")), 10),
    "bad-ip-version": (raw(ChitchatSyn(digest=[NodeDigest(node_id="a", ip_version=5)])), 17),
    "field-short": (raw(ChitchatSyn(digest_count=1, digest=[NodeDigest(port=ABSENT, heartbeat=ABSENT)]))[:30], 23),
    "bad-block-type": (raw(ChitchatAck(delta_blocks=[Block(type=9)])), 4),
    "block-short": (raw(ChitchatAck(delta_blocks=[Block(type=2, len=9, data=b"xy")])), 7),
    "bad-zstd": (raw(ChitchatAck(delta_blocks=[Block(type=1, data=b"not zstd"), Block(type=0)])), 4),
    "bad-tag": (raw(ChitchatAck(delta=[NODE, NodeOp(tag=7)])), len(bytes(NODE))),
    "bad-status": (raw(ChitchatAck(delta=[NODE, KeyValueOp(key="k", status=3)])), len(bytes(NODE)) + 14),
    "no-node": (raw(ChitchatAck(delta=[SetMaxVersionOp(max_version=1)])), 0),
    "duplicate-node": (raw(ChitchatAck(delta=[NODE, NODE])), len(bytes(NODE))),
    "version-order": (raw(ChitchatAck(delta=[NODE, KeyValueOp(key="k", version=0)])), len(bytes(NODE))),
    "trailing-bytes": (raw(ChitchatBadCluster()) + b"x", 4),
    "duplicate-digest": (
        raw(ChitchatSyn(digest=[NodeDigest(node_id="a")] * 2)),
        6 + len(bytes(NodeDigest(node_id="a"))),
    ),
    "unsorted-digest": (raw(ChitchatSyn(digest=[NodeDigest(node_id="b"), NodeDigest(node_id="a")])), 48),
    "unusual-blocks": (
        raw(ChitchatAck(delta_blocks=[Block(type=1, data=zstandard.compress(bytes(NODE))), Block(type=0)])),
        4,
    ),
    "digest-near-limit": (raw(ChitchatSyn(digest=[NodeDigest(node_id="x" * 60000)])), 4),
    "non-ascii-key": (raw(ChitchatAck(delta=[NODE, KeyValueOp(key="é")])), len(bytes(NODE))),
    "lowered-max-version": (
        raw(ChitchatAck(delta=[NODE, KeyValueOp(key="k", version=5), SetMaxVersionOp(max_version=3)])),
        len(bytes(NODE)) + len(bytes(KeyValueOp(key="k"))),
    ),
    "reset": (raw(ChitchatAck(delta=[NodeOp(node_id="n", last_gc_version=4)])), 0),
    "stream-limit": (
        raw(ChitchatAck(delta_blocks=[*[Block(type=1, data=zstandard.compress(b"\0" * 65535))] * 600, Block(type=0)])),
        None,
    ),
}


def test_there_is_an_example_of_every_code_but_cut_which_only_a_capture_can_show() -> None:
    assert {*EXAMPLES, "cut"} == set(CODES)


@pytest.mark.parametrize("code", EXAMPLES)
def test_each_code_is_found_where_it_is(code: str) -> None:
    data, offset = EXAMPLES[code]
    found = {each.code: each for each in findings(data)}
    assert code in found
    assert found[code].severity == CODES[code].severity
    assert found[code].text == CODES[code].text
    assert found[code].detail, "what is special about this one"
    assert found[code].detail in found[code].as_dict().values()
    if offset is not None:
        assert found[code].offset == offset


@pytest.mark.parametrize(
    "message", [ChitchatSyn(cluster_id="c", digest=[NODE_ := NodeDigest(node_id="a")]), ChitchatSynAck(), ChitchatAck()]
)
@pytest.mark.parametrize("version", [0, 1])
def test_an_ordinary_message_has_no_findings(message: object, version: int) -> None:
    assert findings(raw(message, version)) == []


def test_a_finding_in_a_stream_says_so() -> None:
    found = finding("reset", 7, "a detail", "delta")
    assert found.as_dict() == {
        "code": "reset",
        "severity": "note",
        "offset": 7,
        "text": CODES["reset"].text,
        "detail": "a detail",
        "stream": "delta",
    }
    assert {"detail", "stream"}.isdisjoint(finding("reset", 7).as_dict())


def test_a_section_from_zero_in_a_v1_digest_counts_in_the_stream() -> None:
    digest = [NodeDigest(node_id=os.fsdecode(b"b")), NodeDigest(node_id="a")]
    (found,) = findings(raw(ChitchatSyn(digest=digest), version=1))
    assert (found.code, found.stream, found.offset) == ("unsorted-digest", "digest", len(bytes(digest[0])))
