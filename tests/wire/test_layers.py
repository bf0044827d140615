# SPDX-License-Identifier: GPL-2.0-or-later
"""The wire format: against bytes written out by hand, and what breaks off."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from scapy.layers.inet import IP, UDP
from scapy.packet import Packet, Raw

import scapy_chitchat
from scapy_chitchat import (
    Block,
    Chitchat,
    ChitchatAck,
    ChitchatBadCluster,
    ChitchatSyn,
    ChitchatSynAck,
    KeyValueOp,
    Malformed,
    NodeDigest,
    NodeOp,
    SetMaxVersionOp,
    bind,
)
from scapy_chitchat.described.packet import WirePacket
from tests.support.debug_text import as_a_node_keeps_it, parse
from tests.support.plain import plain

NAMES: dict[str, Any] = {name: getattr(scapy_chitchat, name) for name in scapy_chitchat.__all__} | {"Raw": Raw}


def wire(text: str) -> bytes:
    """Bytes from lines of hex digits with comments."""
    return bytes.fromhex("".join(line.partition("#")[0] for line in text.splitlines()))


# --- by hand ---

# No two neighbouring bytes are alike anywhere, so that zstd has nothing to compress and a node writes raw blocks.

ENTRY = """
    0200 6e31                                # node_id_len, node_id: "n1"
    0102030405060708                         # generation_id
    04 0a0b0c0d                              # ip_version, ip
    701c                                     # port: 7280
    1112131415161718                         # heartbeat
    2122232425262728                         # last_gc_version
    3132333435363738                         # max_version
"""
NODE = """
    00                                       # tag: Node
    0200 6e32                                # node_id_len, node_id: "n2"
    4142434445464748                         # generation_id
    06 808182838485868788898a8b8c8d8e8f      # ip_version, ip
    1027                                     # port: 10000
    5152535455565758                         # last_gc_version
    6162636465666768                         # from_version_excluded
"""
KEY_VALUE = """
    01                                       # tag: KeyValue
    0300 6b6579                              # key_len, key: "key"
    0500 76616c7565                          # value_len, value: "value"
    7172737475767778                         # version
    01                                       # status: Delete
"""
SET_MAX_VERSION = """
    02                                       # tag: SetMaxVersion
    9192939495969798                         # max_version
"""


def digest() -> list[NodeDigest]:
    return [
        NodeDigest(
            node_id="n1",
            generation_id=0x0807060504030201,
            ip="10.11.12.13",
            port=7280,
            heartbeat=0x1817161514131211,
            last_gc_version=0x2827262524232221,
            max_version=0x3837363534333231,
        )
    ]


def delta() -> list[Packet]:
    return [
        NodeOp(
            node_id="n2",
            generation_id=0x4847464544434241,
            ip="8081:8283:8485:8687:8889:8a8b:8c8d:8e8f",
            port=10000,
            last_gc_version=0x5857565554535251,
            from_version_excluded=0x6867666564636261,
        ),
        KeyValueOp(key="key", value="value", version=0x7877767574737271, status="Delete"),
        SetMaxVersionOp(max_version=0x9897969594939291),
    ]


STREAM = f"""
    02 4f00                                  # a raw block of 79 bytes: 48 + 22 + 9
    {NODE} {KEY_VALUE} {SET_MAX_VERSION}
    00                                       # no more blocks
"""

BY_HAND: dict[str, tuple[Packet, str]] = {
    "Syn V0, empty": (
        Chitchat() / ChitchatSyn(),
        """
        53b0 00 00                           # magic, version, type
        0000                                 # digest_count
        0000                                 # cluster_id_len
        """,
    ),
    "Syn V1, empty": (
        Chitchat(version=1) / ChitchatSyn(),
        """
        53b0 01 00                           # magic, version, type
        00                                   # digest_blocks: no more blocks
        0000                                 # cluster_id_len
        """,
    ),
    "SynAck V0, empty": (
        Chitchat() / ChitchatSynAck(),
        """
        53b0 00 01                           # magic, version, type
        0000                                 # digest_count
        00                                   # delta_blocks: no more blocks
        """,
    ),
    "SynAck V1, empty": (
        Chitchat(version=1) / ChitchatSynAck(),
        """
        53b0 01 01                           # magic, version, type
        00                                   # digest_blocks: no more blocks
        00                                   # delta_blocks: no more blocks
        """,
    ),
    "Ack V0, empty": (Chitchat() / ChitchatAck(), "53b0 00 02  00  # header, no more blocks"),
    "Ack V1, empty": (Chitchat(version=1) / ChitchatAck(), "53b0 01 02  00  # header, no more blocks"),
    "BadCluster V0": (Chitchat() / ChitchatBadCluster(), "53b0 00 03  # header"),
    "BadCluster V1": (Chitchat(version=1) / ChitchatBadCluster(), "53b0 01 03  # header"),
    "Syn V0": (
        Chitchat() / ChitchatSyn(digest=digest(), cluster_id="clé"),
        f"""
        53b0 00 00                           # magic, version, type
        0100                                 # digest_count
        {ENTRY}
        0400 636cc3a9                        # cluster_id_len in bytes, cluster_id
        """,
    ),
    "Syn V1": (
        Chitchat(version=1) / ChitchatSyn(digest=digest(), cluster_id="clé"),
        f"""
        53b0 01 00                           # magic, version, type
        02 2b00                              # a raw block of 43 bytes
        {ENTRY}
        00                                   # no more blocks
        0400 636cc3a9                        # cluster_id_len in bytes, cluster_id
        """,
    ),
    "SynAck V0": (
        Chitchat() / ChitchatSynAck(digest=digest(), delta=delta()),
        f"""
        53b0 00 01                           # magic, version, type
        0100                                 # digest_count
        {ENTRY} {STREAM}
        """,
    ),
    "SynAck V1": (
        Chitchat(version=1) / ChitchatSynAck(digest=digest(), delta=delta()),
        f"""
        53b0 01 01                           # magic, version, type
        02 2b00                              # a raw block of 43 bytes
        {ENTRY}
        00                                   # no more blocks
        {STREAM}
        """,
    ),
    "Ack V0": (Chitchat() / ChitchatAck(delta=delta()), f"53b0 00 02 {STREAM}"),
    "Ack V1": (Chitchat(version=1) / ChitchatAck(delta=delta()), f"53b0 01 02 {STREAM}"),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_each_message_is_built_as_written_by_hand(name: str) -> None:
    message, text = BY_HAND[name]
    assert bytes(message).hex() == wire(text).hex()


@pytest.mark.parametrize("name", BY_HAND)
def test_each_message_written_by_hand_is_read_with_its_values(name: str) -> None:
    message, text = BY_HAND[name]
    read = Chitchat(wire(text))
    assert plain(read) == plain(message)
    assert type(read.payload) is type(message.payload)
    assert not read.payload.payload


def test_the_node_takes_what_is_written_by_hand_and_writes_the_same(
    ask_node: Callable[[list[bytes]], list[dict[str, Any]]],
) -> None:
    # SetMaxVersion behind a higher key-value version is not what a node writes, but all of this it reads
    answers = ask_node([wire(text) for _, text in BY_HAND.values()])
    for (message, _), answer in zip(BY_HAND.values(), answers, strict=True):
        assert answer["ok"]
        assert parse(answer["debug"]) == as_a_node_keeps_it(plain(message))
        if not has_set_max_version(message):
            assert answer["hex"] == bytes(message).hex()


def has_set_max_version(message: Packet) -> bool:
    return bool(message.haslayer(SetMaxVersionOp))


STRADDLING = """
    53b0 01 02                               # magic, version, type
    01 0d00                                  # a compressed block of 13 bytes:
    28b52ffd 20 04 210000 02919293           #   a zstd frame of 4 bytes, not compressed: the start of a SetMaxVersion
    01 1700                                  # a compressed block of 23 bytes:
    28b52ffd 20 03 190000 949596             #   a frame with the next 3 bytes
    28b52ffd 20 02 110000 9798               #   and one with the last 2
    01 0800                                  # a compressed block of 8 bytes:
    502a4d18 00000000                        #   a skippable frame, so nothing
    00                                       # no more blocks
"""


def test_compressed_blocks_are_unpacked_and_items_that_straddle_them_put_together() -> None:
    message = Chitchat(wire(STRADDLING)).payload
    assert [(block.type, block.len) for block in message.delta_blocks[:-1]] == [(1, 13), (1, 23), (1, 8)]
    assert [op.max_version for op in message.delta] == [0x9897969594939291]
    assert bytes(message) == wire(STRADDLING)[4:]


LENGTHS = [
    (Chitchat() / ChitchatSyn(cluster_id="cluster-a"), 17),
    (Chitchat() / ChitchatSynAck(), 7),
    (Chitchat() / ChitchatAck(), 5),
    (Chitchat() / ChitchatBadCluster(), 4),
    (Chitchat() / ChitchatSyn(digest=[NodeDigest(node_id="node-10001", ip="127.0.0.1")], cluster_id="cluster-a"), 68),
]


@pytest.mark.parametrize(("message", "length"), LENGTHS)
def test_lengths_worth_knowing(message: Packet, length: int) -> None:
    assert len(message) == length


# --- what breaks off ---


@pytest.mark.parametrize(
    ("data", "code", "offset"),
    [
        ("53", "too-short", 0),
        ("53b0", "too-short", 0),
        ("53b000", "bad-type", 3),
        ("54b00003", "bad-magic", 0),
        ("53b00203", "bad-version", 2),
        ("53b00004", "bad-type", 3),
        ("53b00000", "field-short", 4),
        ("53b000000100", "field-short", 6),
        ("53b000000000 0500 6162", "string-short", 8),
        ("53b000000000 0200 61ff", "bad-utf8", 9),
        ("53b000000100 0000 0000000000000000 05", "bad-ip-version", 16),
        ("53b000000100 0000 0000000000000000 04 7f00", "field-short", 17),
        ("53b0010203", "bad-block-type", 4),
        ("53b0010201", "field-short", 5),
        ("53b00102 02 0500 0102", "block-short", 7),
        ("53b00102 01 0100 00 00", "bad-zstd", 4),
        ("53b00102 02 0100 02", "field-short", 8),
    ],
)
def test_a_message_that_breaks_off_says_where_and_why(data: str, code: str, offset: int) -> None:
    message = Chitchat(bytes.fromhex(data))
    trouble = message.trouble or message.payload.trouble
    assert (trouble.code, trouble.offset, trouble.stream) == (code, offset, None)
    assert bytes(message) == bytes.fromhex(data)
    if code != "bad-utf8":  # after which it can be read on
        assert message[Malformed].code == code
        assert str(trouble) == message[Malformed].reason


@pytest.mark.parametrize(
    ("stream", "code", "offset", "read"),
    [
        ("03", "bad-tag", 0, 0),
        ("02 0100000000000000 09", "bad-tag", 9, 1),
        ("02 0100000000000000 02 01", "field-short", 10, 2),
        ("01 0000 0000 0100000000000000 07", "bad-status", 13, 1),
        ("01 0100 ff 0000 0100000000000000 00", "bad-utf8", 3, 1),
    ],
)
def test_an_offset_in_a_stream_counts_its_decompressed_bytes(stream: str, code: str, offset: int, read: int) -> None:
    data = bytes.fromhex(stream)
    message = Chitchat(
        bytes(Chitchat() / ChitchatAck(delta_blocks=[Block(data=data[:4]), Block(data=data[4:]), Block(type=0)]))
    )
    trouble = message.payload.trouble
    assert (trouble.code, trouble.offset, trouble.stream) == (code, offset, "delta")
    assert sum(isinstance(op, WirePacket) for op in message.payload.delta) == read
    assert [block.data for block in message.payload.delta_blocks[:2]] == [data[:4], data[4:]]


def test_values_that_a_node_refuses_are_shown_and_the_rest_read_on() -> None:
    message = Chitchat(wire("53b00000 0000 0200 61ff"))
    assert message.payload.cluster_id == "a\udcff"
    ops = Chitchat(
        bytes(
            Chitchat()
            / ChitchatAck(delta=[KeyValueOp(key=b"\xff"), KeyValueOp(status=9), SetMaxVersionOp(max_version=4)])
        )
    ).payload.delta
    assert (ops[0].key, ops[1].status, ops[2].max_version) == ("\udcff", 9, 4)


def test_the_items_before_the_broken_one_are_kept() -> None:
    data = bytes(Chitchat() / ChitchatSyn(digest=[NodeDigest(node_id=str(number)) for number in range(300)]))
    message = Chitchat(data[:-30])
    *whole, partial, rest = message.payload.digest
    assert [entry.node_id for entry in whole] == [str(number) for number in range(299)]
    assert partial.node_id == "299"
    assert isinstance(rest, Malformed)
    assert bytes(message) == data[:-30]


def test_bytes_behind_a_whole_message_stay() -> None:
    for name, (_, text) in BY_HAND.items():
        message = Chitchat(wire(text) + b"behind")
        assert message.payload.payload == Raw(b"behind"), name
        assert message.payload.trouble is None


# --- in Scapy ---


@pytest.mark.parametrize("ports", [(7280, 7280), (7280, 40000), (40000, 7280), (10000, 5), (5, 10000)])
def test_messages_are_found_on_their_ports(ports: tuple[int, int]) -> None:
    datagram = UDP(sport=ports[0], dport=ports[1]) / Raw(bytes(Chitchat() / ChitchatBadCluster()))
    assert ChitchatBadCluster in UDP(bytes(datagram))


def test_other_ports_can_be_bound() -> None:
    datagram = bytes(UDP(sport=45678, dport=45679) / Raw(bytes(Chitchat() / ChitchatAck())))
    assert ChitchatAck not in UDP(datagram)
    bind(45679)
    assert ChitchatAck in UDP(datagram)


@pytest.mark.parametrize(
    ("message", "summary"),
    [
        (
            Chitchat(version=1) / ChitchatSynAck(digest=digest() * 5, delta=delta()),
            "SynAck digest=5 delta=1 nodes/1 keys",
        ),
        (Chitchat(version=1) / ChitchatSyn(cluster_id="a\x1b[2J"), "Syn cluster=a\\x1b[2J digest=0"),
        (Chitchat(version=1) / ChitchatAck(), "Ack delta=0 nodes/0 keys"),
        (Chitchat(version=1) / ChitchatBadCluster(), "BadCluster"),
    ],
)
def test_a_summary_is_one_line_that_says_what_a_message_carries(message: Packet, summary: str) -> None:
    assert message.summary() == f"Chitchat V1 {summary}"
    assert message.payload.summary() == f"Chitchat {summary}"
    datagram = IP(src="1.1.1.1", dst="2.2.2.2") / UDP(sport=7280, dport=7280) / message
    assert datagram.summary() == f"IP / UDP 1.1.1.1:7280 > 2.2.2.2:7280 / Chitchat V1 {summary}"


def test_the_summary_of_a_broken_message_says_why() -> None:
    datagram = UDP(bytes(UDP(sport=7280, dport=7280) / Raw(bytes.fromhex("53b0010004"))))
    assert datagram.summary().endswith("Chitchat V1 Syn cluster=ABSENT digest=0 (bad-block-type at byte 4)")
    assert (
        UDP(bytes(UDP(sport=7280, dport=7280) / Raw(b"S")))
        .summary()
        .endswith("7280 / Chitchat version=ABSENT / Malformed too-short (1 bytes)")
    )


SYN, SYN_ACK, ACK, BAD = ChitchatSyn(), ChitchatSynAck(), ChitchatAck(), ChitchatBadCluster()


@pytest.mark.parametrize("off_the_wire", [False, True])
@pytest.mark.parametrize(
    ("question", "answer", "pairs"),
    [
        (SYN, SYN_ACK, True),
        (SYN, BAD, True),
        (SYN_ACK, ACK, True),
        (SYN, ACK, False),
        (SYN, SYN, False),
        (SYN_ACK, SYN, False),
        (ACK, SYN, False),
        (BAD, SYN, False),
    ],
)
def test_answers_pair_the_steps_of_a_handshake(
    question: Packet, answer: Packet, pairs: bool, off_the_wire: bool
) -> None:
    there: Any = IP(src="1.1.1.1", dst="2.2.2.2") / UDP(sport=7280, dport=7281) / Chitchat() / question
    back: Any = IP(src="2.2.2.2", dst="1.1.1.1") / UDP(sport=7281, dport=7280) / Chitchat() / answer
    stray: Any = IP(src="2.2.2.2", dst="1.1.1.1") / UDP(sport=7281, dport=9999) / Chitchat() / answer
    if off_the_wire:
        there, back, stray = (IP(bytes(packet)) for packet in (there, back, stray))
    assert bool(back.answers(there)) is pairs
    assert not stray.answers(there)
    assert back.hashret() == there.hashret()
