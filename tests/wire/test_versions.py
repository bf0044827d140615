# SPDX-License-Identifier: GPL-2.0-or-later
"""What the version in the header decides: V0 alone has its digest in the open."""

from __future__ import annotations

import pytest

from scapy_chitchat import Chitchat, ChitchatSyn, ChitchatSynAck, NodeDigest

DIGEST = [NodeDigest(node_id="a"), NodeDigest(node_id="b")]


@pytest.mark.parametrize("version", [1, 2, 7, 255])
@pytest.mark.parametrize("body", [ChitchatSyn(digest=DIGEST), ChitchatSynAck(digest=DIGEST)], ids=["Syn", "SynAck"])
def test_every_version_but_v0_has_its_digest_in_blocks(version: int, body: ChitchatSyn | ChitchatSynAck) -> None:
    data = bytes(Chitchat(version=version) / body.copy())
    as_v1 = bytes(Chitchat(version=1) / body.copy())
    assert data[4:] == as_v1[4:], "built as a V1 message is, but for the version itself"


def test_a_v1_digest_is_read_from_its_blocks() -> None:
    body = Chitchat(bytes(Chitchat(version=1) / ChitchatSyn(digest=DIGEST)))[ChitchatSyn]
    assert [entry.node_id for entry in body.digest] == ["a", "b"]
    assert len(body.digest_blocks) == 2


def test_v0_has_its_digest_in_the_open() -> None:
    data = bytes(Chitchat(version=0) / ChitchatSyn(digest=DIGEST))
    assert data[4:6] == b"\2\0"
    assert data[6 : 6 + len(bytes(DIGEST[0]))] == bytes(DIGEST[0])


def test_a_body_without_a_header_is_taken_for_v0() -> None:
    assert bytes(ChitchatSyn(digest=DIGEST)) == bytes(Chitchat(version=0) / ChitchatSyn(digest=DIGEST))[4:]
