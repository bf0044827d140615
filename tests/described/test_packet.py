# SPDX-License-Identifier: GPL-2.0-or-later
"""Editing messages, lying in them, and what is refused: what people do at Scapy's prompt."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
import zstandard
from scapy.fields import RawVal
from scapy.layers.inet import IP, UDP
from scapy.packet import Packet

from scapy_chitchat import (
    ABSENT,
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
    UnbuildableError,
)
from tests.support.packets import NAMES, VERSIONS, again, built, dissected

# --- editing ---


@VERSIONS
def test_an_edit_at_any_depth_goes_out_with_lengths_counts_and_blocks(version: int) -> None:
    message: Any = IP(bytes(IP() / UDP(sport=7280, dport=7280) / built(version)))
    message[ChitchatSynAck].delta[1].value = "longer" * 1000
    message[NodeDigest:2].node_id = "another"
    message[ChitchatSynAck].digest[0].heartbeat += 1
    message[ChitchatSynAck].digest[0].ip = "::7"
    del message[IP].len, message[UDP].len, message[IP].chksum, message[UDP].chksum
    read: Any = IP(bytes(message))
    assert read[ChitchatSynAck].delta[1].value == "longer" * 1000
    assert read[NodeDigest].heartbeat == 2
    assert (read[NodeDigest].ip, read[NodeDigest].ip_version) == ("::7", 6)
    assert (read[NodeDigest:2].node_id, read[NodeDigest:2].node_id_len) == ("another", 7)
    assert read[ChitchatSynAck].trouble is None
    assert Malformed not in read


@VERSIONS
def test_items_can_be_added_and_taken_away_in_place(version: int) -> None:
    message = dissected(version)
    body = message.payload
    body.digest.append(NodeDigest(node_id="c"))
    body.digest.insert(0, body.digest.pop(1))
    body.delta += [NodeOp(node_id="d"), SetMaxVersionOp(max_version=3)]
    del body.delta[1:3]
    read = again(message).payload
    assert [entry.node_id for entry in read.digest] == ["b", "a", "c"]
    assert [type(op) for op in read.delta] == [NodeOp, NodeOp, SetMaxVersionOp, NodeOp, SetMaxVersionOp]
    assert read.digest_count == (3 if version == 0 else None)
    body.delta.clear()
    body.digest = []
    assert (again(message).payload.digest, again(message).payload.delta) == ([], [])
    assert len(message) == (7 if version == 0 else 6)


@VERSIONS
def test_a_list_can_be_one_item_a_tuple_or_none(version: int) -> None:
    header = Chitchat(version=version)
    one = bytes(header / ChitchatAck(delta=[NodeOp()]))
    assert bytes(header / ChitchatAck(delta=NodeOp())) == one
    assert bytes(header / ChitchatAck(delta=(NodeOp(),))) == one
    assert bytes(header / ChitchatAck(delta=[bytes(NodeOp())])) == one
    assert bytes(header / ChitchatAck(delta=RawVal(bytes(NodeOp())))) == one
    empty = bytes(header / ChitchatSyn())
    assert bytes(header / ChitchatSyn(digest=None)) == empty
    assert bytes(header / ChitchatSyn(digest=ABSENT)) == empty


def test_the_version_of_a_dissected_message_can_be_changed() -> None:
    for version in (0, 1):
        message = dissected(version)
        message.version = 1 - version
        assert bytes(message) == bytes(built(1 - version))
        message.version = version
        assert bytes(message) == bytes(built(version))


def test_a_body_is_written_for_the_header_that_it_gets() -> None:
    for version in (0, 1):
        body = dissected(version).payload
        assert bytes(Chitchat(version=1 - version) / body) == bytes(built(1 - version))
        header = again(Chitchat(version=1 - version) / ChitchatBadCluster())
        header.payload = body.copy()
        assert bytes(header) == bytes(built(1 - version))
        header = again(Chitchat(version=1 - version) / ChitchatBadCluster())
        header[ChitchatBadCluster] = body.copy()
        assert bytes(header) == bytes(built(1 - version))


def test_the_type_follows_when_the_body_is_exchanged_unless_it_was_set() -> None:
    message = dissected(1)
    message.payload = ChitchatBadCluster()
    assert (message.type, bytes(message).hex()) == (3, "53b00103")
    message.type = "Ack"
    assert bytes(message).hex() == "53b00102"
    message.type = None
    assert bytes(message).hex() == "53b00103"
    assert bytes(Chitchat(type=None) / ChitchatAck()).hex() == "53b0000200"


def test_a_body_under_ip_alone_does_not_take_ips_version_for_its_own() -> None:
    assert bytes(IP() / UDP() / ChitchatSyn())[28:] == bytes(ChitchatSyn())


# --- lies ---


def test_blocks_set_by_hand_win_over_the_list() -> None:
    message: Any = Chitchat() / ChitchatAck(delta=[NodeOp()], delta_blocks=[Block(type=1, data=b"not zstd")])
    assert bytes(message).hex() == "53b00002" + "010800" + b"not zstd".hex()
    message.payload.delta[0].node_id = "changed"
    assert bytes(message).hex() == "53b00002" + "010800" + b"not zstd".hex()
    message.payload.delta_blocks = None
    assert again(message).payload.delta[0].node_id == "changed"


@VERSIONS
def test_blocks_of_a_dissected_message_edited_in_place_go_out_as_edited(version: int) -> None:
    message = dissected(version)
    blocks = message.payload.delta_blocks
    blocks[0].data = b"\x01\x02"
    blocks.insert(0, Block(data=b""))
    end = "02 0000" + "01 0200 0102" + "00"
    assert bytes(message).hex().endswith(bytes.fromhex(end).hex())
    message.payload.delta[1].value = "an edit of the list makes new blocks"
    assert again(message).payload.delta[1].value == "an edit of the list makes new blocks"


def test_lengths_and_counts_set_by_hand_stay_whatever_they_measure() -> None:
    message = dissected(0)
    message.payload.digest_count = 9
    message.payload.digest[0].node_id_len = 5
    message.payload.digest[0].node_id = "much longer"
    message.payload.digest.pop()
    start = bytes.fromhex("53b00001 0900 0500") + b"much longer"
    for same in (message, message.copy(), pickle.loads(pickle.dumps(message)), eval(message.command(), NAMES)):
        assert bytes(same).startswith(start)


def test_a_wrong_length_off_the_wire_stays_until_what_it_measures_changes() -> None:
    message = Chitchat(bytes.fromhex("53b00000 0000 0900 6162"))
    body = message.payload
    assert body.cluster_id_len == 9
    assert bytes(message).hex() == "53b0000000000900" + "6162"
    del body.payload
    body.cluster_id = "abc"
    assert body.cluster_id_len == 3
    assert bytes(message).hex() == "53b0000000000300" + "616263"


def test_a_wrong_count_off_the_wire_stays_until_the_list_changes() -> None:
    message = Chitchat(bytes(Chitchat() / ChitchatSyn(digest_count=2, digest=[NodeDigest(node_id="a")])))
    assert message.payload.digest_count == 2
    message.payload.digest[0].heartbeat = 7
    assert bytes(message)[4:6] == b"\x02\x00"
    message.payload.digest = message.payload.digest[:1]
    assert message.payload.digest_count == 1


def test_blocks_that_another_writer_cut_otherwise_stay_until_the_list_changes() -> None:
    op = bytes(SetMaxVersionOp(max_version=5))
    blocks = [Block(data=op[:2]), Block(data=b""), Block(type=1, data=zstandard.compress(op[2:], 19)), Block(type=0)]
    data = bytes(Chitchat() / ChitchatAck(delta_blocks=blocks))
    message = Chitchat(data)
    assert message.payload.delta == [Chitchat(data).payload.delta[0]]
    assert bytes(message) == bytes(message.copy()) == bytes(eval(message.command(), NAMES)) == data
    message.payload.delta[0].max_version = 6
    assert bytes(message) == bytes(Chitchat() / ChitchatAck(delta=[SetMaxVersionOp(max_version=6)]))


@pytest.mark.parametrize(
    ("packet", "data"),
    [
        (ChitchatSyn(cluster_id=RawVal(b"\xff\xfe")), "0000 0200 fffe"),
        (ChitchatSyn(cluster_id_len=RawVal(b"x"), cluster_id="y"), "0000 78 79"),
        (ChitchatSyn(cluster_id_len=4, cluster_id=ABSENT), "0000 0400"),
        (ChitchatSyn(digest_count=ABSENT, cluster_id="y"), "0100 79"),
        (SetMaxVersionOp(tag=RawVal(b"\x99\x98"), max_version=ABSENT), "9998"),
        (KeyValueOp(key=None, value=None, version=None, status=None), "01 0000 0000 0000000000000000 00"),
        (Block(data=None), "02 0000"),
        (Block(type=0, data=b"not there"), "00"),
        (Block(type=7, data="text"), "07 0400 74657874"),
    ],
)
def test_what_is_set_goes_out_however_wrong(packet: Packet, data: str) -> None:
    assert bytes(packet).hex() == bytes.fromhex(data).hex()


# --- refusals ---


@pytest.mark.parametrize(
    ("packet", "why"),
    [
        (ChitchatSyn(cluster_id="x" * 65536), "ChitchatSyn.cluster_id: 65,536 bytes, at most 65,535"),
        (ChitchatSyn(cluster_id=5), "ChitchatSyn.cluster_id: 5 is no text"),
        (ChitchatSyn(cluster_id="\ud800"), "ChitchatSyn.cluster_id: 'utf-8' codec"),
        (ChitchatSyn(cluster_id_len=-1), "ChitchatSyn.cluster_id_len: -1 does not fit 16 bits"),
        pytest.param(
            ChitchatSyn(digest=[NodeDigest()] * 65536),
            "ChitchatSyn.digest: 65,536 entries, at most 65,535",
            marks=pytest.mark.long,
        ),
        (ChitchatSyn(digest=[5]), "ChitchatSyn.digest: 5 is no packet"),
        (ChitchatSyn(digest=[NodeDigest]), "ChitchatSyn.digest: .*is no packet"),
        (ChitchatSyn(digest="text"), "ChitchatSyn.digest: 'text' is no packet"),
        (ChitchatSyn(digest=[NodeDigest(node_id="é" * 32768)]), "NodeDigest.node_id: 65,536 bytes"),
        (ChitchatSyn(digest=[NodeDigest(node_id=1.5)]), "NodeDigest.node_id: 1.5 is no text"),
        (ChitchatSyn(digest=[NodeDigest(ip="localhost")]), "NodeDigest.ip: 'localhost'"),
        (ChitchatSyn(digest=[NodeDigest(ip="")]), "NodeDigest.ip: ''"),
        (ChitchatSyn(digest=[NodeDigest(ip="fe80::1%eth0")]), "NodeDigest.ip: 'fe80::1%eth0'"),
        (ChitchatSyn(digest=[NodeDigest(ip=167772161)]), "NodeDigest.ip: 167772161"),
        (
            ChitchatSyn(digest=[NodeDigest(heartbeat=2**64)]),
            "NodeDigest.heartbeat: 18446744073709551616 does not fit 64",
        ),
        (ChitchatSyn(digest=[NodeDigest(port=-1)]), "NodeDigest.port: -1 does not fit 16 bits"),
        (ChitchatSyn(digest=[NodeDigest(port="80")]), "NodeDigest.port: '80' is no whole number"),
        (ChitchatAck(delta=[KeyValueOp(status=256)]), "KeyValueOp.status: 256 does not fit 8 bits"),
        (ChitchatAck(delta=[None]), "ChitchatAck.delta: None is no packet"),
        (ChitchatAck(delta_blocks=[5]), "ChitchatAck.delta_blocks: 5 is no packet"),
        (ChitchatAck(delta_blocks=[Block(data=bytes(65536))]), "Block.data: 65,536 bytes"),
        (ChitchatAck(delta_blocks=[Block(data=7)]), "Block.data: 7 is no bytes"),
    ],
)
@VERSIONS
def test_what_no_wire_can_hold_is_refused_with_layer_and_field(packet: Packet, why: str, version: int) -> None:
    if version == 1 and "entries" in why:  # a stream has no count
        assert Chitchat(bytes(Chitchat(version=1) / packet)).payload.trouble.code == "stream-limit"
        return
    with pytest.raises(UnbuildableError, match=why):
        bytes(UDP(dport=1) / Chitchat(version=version) / packet)


def test_what_was_dissected_and_grew_too_long_is_refused_by_its_own_name() -> None:
    message = Chitchat(bytes(Chitchat() / ChitchatAck(delta=[NodeOp(node_id="n"), KeyValueOp(key="k", version=1)])))
    message.payload.delta[1].value = "x" * 70_000
    with pytest.raises(UnbuildableError, match=r"KeyValueOp\.value: 70,000 bytes, at most 65,535 can be announced"):
        bytes(message)


def test_a_name_that_an_enum_does_not_have_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match=r"KeyValueOp.status: 'Sat' is none of Set, Delete, DeleteAfterTtl"):
        KeyValueOp(status="Sat")


def test_a_refused_value_can_be_put_right() -> None:
    message = dissected(1)
    before = bytes(message)
    entry = message.payload.digest[0]
    for name, value in {"heartbeat": -1, "node_id": 5, "ip": "no address"}.items():
        good = getattr(entry, name)
        setattr(entry, name, value)
        with pytest.raises(UnbuildableError, match=f"NodeDigest.{name}"):
            bytes(message)
        shown = str(message.show(dump=True))
        assert repr(value) in shown or str(value) in shown
        setattr(entry, name, good)
    assert bytes(message) == before
