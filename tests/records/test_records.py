# SPDX-License-Identifier: GPL-2.0-or-later
"""Plain records: derived from the layers, and as strict as a node."""

from __future__ import annotations

import contextlib
import copy
import pickle
import random
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from scapy.fields import FieldLenField, LEIntField, LELongField

from scapy_chitchat import (
    Chitchat,
    ChitchatAck,
    ChitchatBadCluster,
    ChitchatSyn,
    ChitchatSynAck,
    DecodeError,
    KeyValueOp,
    NodeDigest,
    NodeOp,
    SetMaxVersionOp,
    decode,
    encode,
    read_messages,
)
from scapy_chitchat.described.fields import StringField
from scapy_chitchat.described.lists import ItemsField
from scapy_chitchat.described.packet import PACKETS, WirePacket
from scapy_chitchat.records import classes
from scapy_chitchat.records.makers import RECORDS, record_class
from tests.support import ROOT
from tests.support.typed import decoded

PCAPS = sorted((ROOT / "pcaps").glob("*.pcap*"))

FULL = Chitchat(version=1) / ChitchatSynAck(
    digest=[NodeDigest(node_id="a", generation_id=3, ip="::1", port=1, heartbeat=4, last_gc_version=5, max_version=6)],
    delta=[
        NodeOp(node_id="b", generation_id=7, ip="1.2.3.4", port=8, last_gc_version=9, from_version_excluded=10),
        KeyValueOp(key="k", value="v", version=11, status="DeleteAfterTtl"),
        SetMaxVersionOp(max_version=12),
    ],
)


def test_a_message_as_a_record_and_as_json_has_the_keys_in_their_order() -> None:
    message = decode(bytes(FULL))
    assert list(message.as_dict().items()) == [
        ("version", 1),
        ("type", "SynAck"),
        (
            "digest",
            [
                {
                    "node_id": "a",
                    "generation_id": 3,
                    "gossip_advertise_addr": "[::1]:1",
                    "heartbeat": 4,
                    "last_gc_version": 5,
                    "max_version": 6,
                }
            ],
        ),
        (
            "delta",
            [
                {
                    "op": "Node",
                    "node_id": "b",
                    "generation_id": 7,
                    "gossip_advertise_addr": "1.2.3.4:8",
                    "last_gc_version": 9,
                    "from_version_excluded": 10,
                },
                {"op": "KeyValue", "key": "k", "value": "v", "version": 11, "status": "DeleteAfterTtl"},
                {"op": "SetMaxVersion", "max_version": 12},
            ],
        ),
    ]
    syn = decode(bytes(Chitchat() / ChitchatSyn(cluster_id="c")))
    assert list(syn.as_dict()) == ["version", "type", "cluster_id", "digest"]
    assert decode(bytes(Chitchat() / ChitchatBadCluster())).as_dict() == {"version": 0, "type": "BadCluster"}


def test_records_are_immutable_comparable_and_without_a_dict() -> None:
    message: Any = decode(bytes(FULL))
    assert message == decode(bytes(FULL))
    assert hash(message) == hash(decode(bytes(FULL)))
    with pytest.raises(AttributeError):
        message.version = 0
    assert not hasattr(message.digest[0], "__dict__")


@pytest.mark.parametrize("path", PCAPS, ids=lambda path: path.name)
def test_captured_messages_come_back_byte_for_byte(path: Path) -> None:
    for captured in read_messages(path):
        assert captured.message is not None
        assert encode(captured.message) == captured.data


def test_bytes_behind_a_message_are_ignored_as_a_node_does() -> None:
    assert decode(bytes(FULL) + b"more") == decode(bytes(FULL))


def test_a_refusal_tells_place_reason_and_what_was_read_before() -> None:
    broken = bytes(Chitchat() / ChitchatSyn(cluster_id="prod", digest=[NodeDigest(node_id="a")] * 2))[:-3]
    with pytest.raises(DecodeError) as caught:
        decode(broken)
    error = caught.value
    assert (error.code, error.stream) == ("string-short", None)
    assert error.offset == len(broken) - 1
    assert [entry["node_id"] for entry in error.partial["digest"]] == ["a", "a"]
    assert "cluster_id" not in error.partial


def test_an_offset_in_a_stream_counts_decompressed_bytes_and_says_so() -> None:
    delta = [NodeOp(node_id="n"), KeyValueOp(key="k" * 50, version=2), KeyValueOp(key="l", version=2)]
    with pytest.raises(DecodeError, match="decompressed delta") as caught:
        decode(bytes(Chitchat() / ChitchatAck(delta=delta)))
    assert (caught.value.code, caught.value.stream) == ("version-order", "delta")
    assert caught.value.offset == len(bytes(delta[0])) + len(bytes(delta[1]))


def test_the_limit_of_a_stream_is_kept() -> None:
    delta = [NodeOp(node_id="n"), *(KeyValueOp(key="k", value="v" * 60000, version=i + 1) for i in range(20))]
    data = bytes(Chitchat() / ChitchatAck(delta=delta))
    assert len(decoded(classes.Ack, data).delta) == 21
    with pytest.raises(DecodeError) as caught:
        decode(data, limit=100_000)
    assert caught.value.code == "stream-limit"


def test_a_value_that_no_wire_can_hold_is_refused_by_encode() -> None:
    message = decoded(classes.SynAck, bytes(FULL))
    for change, why in (
        ({"node_id": "x" * 70000}, "NodeDigest.node_id: 70,000 bytes, at most 65,535"),
        ({"heartbeat": -1}, "NodeDigest.heartbeat: -1 does not fit 64 bits"),
        ({"gossip_advertise_addr": "1.2.3:4"}, "NodeDigest.gossip_advertise_addr: '1.2.3'"),
        ({"gossip_advertise_addr": "[::1]:65536"}, "NodeDigest.gossip_advertise_addr: '[::1]:65536': the port is not"),
        ({"gossip_advertise_addr": "[1.2.3.4]:5"}, "'[1.2.3.4]:5' is no IP address with a port"),
        ({"gossip_advertise_addr": "1.2.3.4: 5"}, "the port is not a number"),
        ({"gossip_advertise_addr": "::1:5"}, "'::1:5' is no IP address with a port"),
        ({"gossip_advertise_addr": None}, "NodeDigest.gossip_advertise_addr: None is no text"),
        ({"node_id": "\udcff"}, "NodeDigest.node_id: 'utf-8' codec can't encode"),
        ({"heartbeat": "1"}, "NodeDigest.heartbeat: '1' is no number"),
    ):
        entry = msgspec.structs.replace(message.digest[0], **change)
        with pytest.raises(ValueError, match=re.escape(why)):
            encode(msgspec.structs.replace(message, digest=(entry,)))


def test_records_and_errors_can_be_pickled() -> None:
    message = decode(bytes(FULL))
    assert pickle.loads(pickle.dumps(message)) == copy.copy(message) == message
    with pytest.raises(DecodeError) as caught:
        decode(bytes(FULL)[:30])
    for again in (pickle.loads(pickle.dumps(caught.value)), copy.copy(caught.value)):
        assert str(again) == str(caught.value)
        assert (again.code, again.offset, again.partial) == (
            caught.value.code,
            caught.value.offset,
            caught.value.partial,
        )


def test_a_message_that_no_wire_can_hold_is_refused_by_encode() -> None:
    syn = decoded(classes.Syn, bytes(Chitchat() / ChitchatSyn(cluster_id="c", digest=[NodeDigest(node_id="n")])))
    for change, why in (
        ({"version": 7}, "version: there is no 7"),
        ({"cluster_id": "\udcff"}, "cluster_id: 'utf-8' codec can't encode"),
        ({"cluster_id": "x" * 65536}, "cluster_id: 65,536 is more than cluster_id_len can say"),
        ({"digest": syn.digest * 65536}, "digest: 65,536 is more than digest_count can say"),
        ({"cluster_id": None}, "cluster_id: object of type 'NoneType' has no len()"),
        ({"version": []}, "version: there is no []"),
        ({"digest": (5,)}, "digest: 5 does not belong there"),
        ({"digest": (classes.NodeOp("n", 1, "127.0.0.1:1", 0, 0),)}, "NodeOp(node_id='n', "),
        ({"digest": 5}, "digest: object of type 'int' has no len()"),
    ):
        with pytest.raises(ValueError, match=re.escape(why)):
            encode(msgspec.structs.replace(syn, **change))
    with pytest.raises(ValueError, match="is no message"):
        encode(syn.digest[0])  # type: ignore[arg-type]


def test_a_field_added_to_a_layer_is_in_packets_records_and_json() -> None:
    def layer(name: str, *more: Any) -> Any:
        fields = [
            FieldLenField("word_len", None, length_of="word", fmt="<H"),
            StringField("word", "", length_from="word_len"),
            LELongField("number", 0),
            *more,
        ]
        docs = {field.name: "A value." for field in fields}
        metaclass: Any = type(WirePacket)
        return metaclass(name, (WirePacket,), {"fields_desc": fields, "field_docs": docs})

    before, after = layer("ToyBefore"), layer("ToyAfter", LEIntField("added", 5))
    for toy, expected in ((before, {}), (after, {"added": 9})):
        raw = bytes(toy(word="w", number=2, **expected))
        items = ItemsField("items", [toy], blocks_from="nothing")
        (packet,), _ = PACKETS.read_list(items, raw, 0, None)
        assert bytes(packet) == raw
        assert {name: packet.getfieldval(name) for name in expected} == expected
        (record,), _ = RECORDS.read_list(items, raw, 0, None)
        assert type(record) is record_class(toy)
        assert record.as_dict() == {"word": "w", "number": 2, **expected}


def test_cut_anywhere_a_message_is_refused_and_never_misread() -> None:
    data = bytes(FULL)
    for size in range(len(data)):
        with pytest.raises(DecodeError):
            decode(data[:size])


def test_arbitrary_bytes_raise_nothing_but_decode_errors() -> None:
    chooser = random.Random(1)
    headers = [b"", b"\x53\xb0", *(bytes([0x53, 0xB0, version, kind]) for version in (0, 1) for kind in range(4))]
    for _ in range(3000):
        data = chooser.choice(headers) + chooser.randbytes(chooser.randrange(80))
        with contextlib.suppress(DecodeError):
            decode(data)
