# SPDX-License-Identifier: GPL-2.0-or-later
"""What a made-up cluster answers: the reader's floor, and where the answer ends."""

from __future__ import annotations

import pytest

from scapy_chitchat import Chitchat, ChitchatSyn, KeyValueOp, NodeDigest, NodeOp, encode
from scapy_chitchat.node.members import KeyValue, Member, Membership
from scapy_chitchat.records import classes
from scapy_chitchat.records.sections import sections
from scapy_chitchat.wire.protocol import BLOCK_SIZE, MAX_DATAGRAM
from tests.support.typed import decoded, of_type

ADDRESS = "127.0.0.1:7280"
KEYS = [KeyValue("a", "1", 4), KeyValue("b", "2", 6), KeyValue("c", "3", 9)]


def syn(*digest: NodeDigest) -> classes.Syn:
    return decoded(classes.Syn, bytes(Chitchat() / ChitchatSyn(cluster_id="c", digest=list(digest))))


def told(member: Member, known: int | None) -> list[tuple[object, ...]]:
    """What a reader hears of a member: the floor of each section, then the versions in it."""
    digest = [] if known is None else [NodeDigest(node_id="n", generation_id=1, max_version=known)]
    heard: list[tuple[object, ...]] = []
    for op in of_type(classes.SynAck, Membership("c", [member]).answer(syn(*digest))).delta:
        if isinstance(op, classes.NodeOp):
            heard.append(("from", op.from_version_excluded, op.last_gc_version))
        elif isinstance(op, classes.KeyValueOp):
            heard.append(("key", op.version))
        else:
            heard.append(("max", op.max_version))
    return heard


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        pytest.param(None, [("from", 0, 5), ("key", 4), ("key", 6), ("key", 9)], id="who knows nothing hears all"),
        pytest.param(4, [("from", 0, 5), ("key", 4), ("key", 6), ("key", 9)], id="who missed what was collected"),
        pytest.param(5, [("from", 5, 5), ("key", 6), ("key", 9)], id="who stands where collection does"),
        pytest.param(6, [("from", 6, 5), ("key", 9)], id="who knows some hears the rest"),
        pytest.param(8, [("from", 8, 5), ("key", 9)], id="who knows all but one"),
        pytest.param(9, [], id="who knows all hears nothing"),
        pytest.param(12, [], id="who knows more hears nothing"),
    ],
)
def test_a_section_starts_where_its_reader_stands(known: int | None, expected: list[tuple[object, ...]]) -> None:
    assert told(Member("n", ADDRESS, last_gc_version=5, key_values=list(KEYS)), known) == expected


def test_a_max_version_without_newer_keys_is_told_by_itself() -> None:
    assert told(Member("n", ADDRESS, max_version=20, key_values=list(KEYS)), 9) == [("from", 9, 0), ("max", 20)]


def test_what_another_run_of_a_node_knew_does_not_count() -> None:
    for entry in (
        NodeDigest(node_id="n", generation_id=2, max_version=9),
        NodeDigest(node_id="n", generation_id=1, port=7281, max_version=9),
        NodeDigest(node_id="m", generation_id=1, max_version=9),
    ):
        said = Membership("c", [Member("n", ADDRESS, key_values=list(KEYS))]).answer(syn(entry))
        (section, *_) = sections(of_type(classes.SynAck, said).delta)
        assert section.node.from_version_excluded == 0


def filling(size: int) -> Member:
    """A member whose section is ``size`` bytes long: its Node operation and four keys."""
    start = len(bytes(NodeOp(node_id="n")))
    parts = [(size - start) // 4 + (index < (size - start) % 4) for index in range(4)]
    empty = len(bytes(KeyValueOp(key="0")))
    return Member("n", ADDRESS, key_values=[KeyValue(str(n), "v" * (part - empty)) for n, part in enumerate(parts)])


def test_an_answer_ends_where_a_node_would_end_it() -> None:
    """A node counts operations as if nothing of them were compressed, and three bytes for each block's header."""
    room = MAX_DATAGRAM - len(encode(Membership("c", [Member("n", ADDRESS)]).answer(syn())))
    blocks = room // BLOCK_SIZE + 1
    fits = room - 3 * blocks
    assert (fits // BLOCK_SIZE + 1, blocks) == (4, 4), "both sizes take as many blocks"
    for size, keys in ((fits - 1, 4), (fits, 4), (fits + 1, 3), (room, 3)):
        delta = of_type(classes.SynAck, Membership("c", [filling(size)]).answer(syn())).delta
        assert len(delta) - 1 == keys, size - fits
