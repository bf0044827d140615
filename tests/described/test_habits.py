# SPDX-License-Identifier: GPL-2.0-or-later
"""Messages do all that Scapy's packets do: copied, pickled, shown, found, compared, drawn at random, kept in files."""

from __future__ import annotations

import copy
import json
import pickle
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from scapy.config import conf
from scapy.layers.inet import IP, UDP
from scapy.packet import Packet, Raw, fuzz, ls
from scapy.plist import PacketList
from scapy.sendrecv import sniff
from scapy.utils import hexdump, rdpcap, wrpcap
from scapy.volatile import RandIP, RandLong, RandString

import scapy_chitchat
from scapy_chitchat import (
    Block,
    Chitchat,
    ChitchatSyn,
    ChitchatSynAck,
    KeyValueOp,
    Malformed,
    NodeDigest,
    NodeOp,
    SetMaxVersionOp,
)
from tests.support.packets import NAMES, VERSIONS, again, built, dissected

# --- Scapy's habits ---

PARTS: dict[str, Callable[[Packet], Packet]] = {
    "datagram": lambda message: IP(bytes(IP() / UDP(sport=7280, dport=7280) / message)),
    "message": lambda message: message,
    "header": lambda message: Chitchat(version=message.version),
    "body": lambda message: message.payload,
    "entry": lambda message: message.payload.digest[1],
    "operation": lambda message: message.payload.delta[1],
    "block": lambda message: message.payload.delta_blocks[0],
    "broken message": lambda message: Chitchat(bytes(message)[:40]),
    "stump": lambda message: Chitchat(b"S"),
}
EACH_PART = pytest.mark.parametrize("part", PARTS)


@EACH_PART
@VERSIONS
def test_each_part_survives_copying_and_pickling(part: str, version: int) -> None:
    packet = PARTS[part](dissected(version))
    for same in (packet.copy(), copy.deepcopy(packet), copy.copy(packet), pickle.loads(pickle.dumps(packet))):
        assert same == packet
        assert bytes(same) == bytes(packet)
        assert same.command() == packet.command()
        assert same is not packet


@EACH_PART
@VERSIONS
def test_each_part_can_be_looked_at(part: str, version: int, capsys: pytest.CaptureFixture[str]) -> None:
    packet = PARTS[part](dissected(version))
    assert packet.show2(dump=True)
    if part != "header":  # of which show does not say what is computed
        assert packet.show(dump=True) == packet.show2(dump=True)
    ls(packet)
    assert all(field.name in capsys.readouterr().out for field in packet.fields_desc[:1])
    assert json.loads(packet.json())
    assert type(packet).__name__ in repr(packet)
    assert str(hexdump(packet, dump=True)).startswith("0000")
    assert packet.summary()
    assert set(packet.fieldtype) <= set(dir(packet))
    assert b"".join(part for _, _, part in packet.build_ps()[1][-1][1]) == packet.self_build()


@EACH_PART
def test_each_part_has_all_that_a_packet_has(part: str) -> None:
    packet: Any = PARTS[part](dissected(1))
    packet.time = 5.0
    packet.comment = b"seen"
    assert (packet.copy().time, packet.copy().comment) == (5.0, b"seen")
    assert packet.layers()[0] is type(packet)
    assert packet.firstlayer() is not None
    assert packet.lastlayer() is not None
    assert next(packet.iterpayloads()) is packet
    assert [bytes(same) for same in packet] == [bytes(packet)]
    assert packet.sprintf("%" + type(packet).__name__ + ".time%")
    assert packet.answers(packet) in (True, False, 0, 1)
    assert packet.hashret() is not None
    assert len(packet) == len(bytes(packet))
    assert packet * 2 == [packet, packet]
    packet.clear_cache()
    behind: Any = packet.copy() / Raw(b"behind")
    assert bytes(behind) == bytes(packet) + b"behind"
    assert Raw in behind
    behind.lastlayer().underlayer.remove_payload()
    before = bytes(packet)
    packet.hide_defaults()
    assert bytes(packet) == before


@VERSIONS
def test_a_copy_shares_nothing(version: int) -> None:
    message = dissected(version)
    before = bytes(message)
    twin: Any = message.copy()
    twin.payload.digest[0].node_id = "changed"
    twin.payload.delta.pop()
    twin.payload.delta_blocks[0].data = b""
    twin.version = 1 - version
    assert bytes(message) == before


def test_what_is_absent_is_null_in_json() -> None:
    stump = json.loads(Chitchat(b"\x53\xb0").json())
    assert (stump["magic"], stump["version"], stump["type"]) == (45139, None, None)


def test_parts_are_found_by_layer_name_and_value() -> None:
    message: Any = dissected(1)
    assert NodeDigest in message
    assert "SetMaxVersionOp" in message
    assert Block in message
    assert Malformed not in message
    assert message[NodeOp:2].node_id == "b"
    assert message.getlayer(NodeDigest, ip="::2").node_id == "b"
    assert message["KeyValueOp"].key == "k"
    assert message.sprintf("%Chitchat.version% %Chitchat.type% {ChitchatSynAck:both}") == "V1 SynAck both"
    assert message.sprintf("%r,Chitchat.type%") == "1"


def test_messages_with_the_same_values_are_equal() -> None:
    assert dissected(1) == dissected(1)
    assert dissected(1) != dissected(0)
    other = dissected(1)
    other.payload.delta[0].node_id = "x"
    assert other != dissected(1)


def test_enum_values_can_be_names_numbers_and_members() -> None:
    status = scapy_chitchat.wire.protocol.DeletionStatus.Delete
    ops = [KeyValueOp(status="Delete"), KeyValueOp(status=1), KeyValueOp(status=status)]
    assert len({bytes(op) for op in ops}) == 1
    assert {op.command() for op in ops} == {"KeyValueOp(status=1)"}


def test_a_set_of_values_gives_a_packet_each() -> None:
    messages: Any = Chitchat(version=[0, 1]) / ChitchatSyn(cluster_id=["a", "b"])
    assert [bytes(each).hex() for each in messages] == [
        "53b00000" + "0000" + "010061",
        "53b00000" + "0000" + "010062",
        "53b00100" + "00" + "010061",
        "53b00100" + "00" + "010062",
    ]
    assert len({bytes(entry) for entry in NodeDigest(heartbeat=[1, 2, 3])}) == 3


@VERSIONS
def test_random_values_in_items_are_new_in_each_packet_and_consistent_in_one(version: int) -> None:
    entry = NodeDigest(node_id=RandString(12), heartbeat=RandLong(), ip=RandIP())
    message = Chitchat(version=version) / ChitchatSyn(digest=[entry, entry])
    first, second = again(message), again(message)
    assert bytes(first) != bytes(second)
    assert first.payload.trouble is None
    assert [each.node_id_len for each in first.payload.digest] == [12, 12]


def test_random_values_in_a_dissected_item_are_new_in_each_packet() -> None:
    message = dissected(1)
    message.payload.digest[0].node_id = RandString(9)
    message.payload.digest[0].ip = RandIP()
    assert bytes(message) != bytes(message)
    assert again(message).payload.digest[0].node_id_len == 9


@pytest.mark.parametrize("name", ["ChitchatSyn", "ChitchatSynAck", "ChitchatAck", "ChitchatBadCluster"])
def test_fuzz_keeps_a_message_readable_and_is_repeatable(name: str) -> None:
    body: Packet = NAMES[name]()
    if "digest" in body.fieldtype:
        body.digest = [NodeDigest(), NodeDigest()]
    if "delta" in body.fieldtype:
        body.delta = [NodeOp(), KeyValueOp(), SetMaxVersionOp()]
    random.seed(1)
    fuzzed: Any = fuzz(IP() / UDP() / Chitchat() / body)
    messages = [bytes(fuzzed[Chitchat]) for _ in range(40)]
    assert len(set(messages)) > (1 if name == "ChitchatBadCluster" else 30)
    for data in messages:
        read = Chitchat(data)
        assert type(read.payload) is type(body)
        assert read.payload.trouble is None
    random.seed(1)
    again_fuzzed: Any = fuzz(IP() / UDP() / Chitchat() / body)
    assert [bytes(again_fuzzed[Chitchat]) for _ in range(40)] == messages
    assert len({bytes(pickle.loads(pickle.dumps(fuzzed[Chitchat]))) for _ in range(40)}) > 1


def test_messages_come_back_from_capture_files(tmp_path: Path) -> None:
    path = str(tmp_path / "messages.pcap")
    datagrams = [IP(src="1.1.1.1", dst="2.2.2.2") / UDP(sport=7280, dport=7280) / built(version) for version in (0, 1)]
    wrpcap(path, datagrams)
    for read in (rdpcap(path), sniff(offline=path, quiet=True)):
        assert [bytes(datagram[Chitchat]) for datagram in read] == [bytes(built(0)), bytes(built(1))]
        assert len(read.filter(lambda datagram: ChitchatSynAck in datagram)) == 2
    again = pickle.loads(pickle.dumps(PacketList(list(rdpcap(path)))))
    assert [bytes(datagram) for datagram in again] == [bytes(datagram) for datagram in rdpcap(path)]


def test_bytes_of_any_kind_are_read() -> None:
    data = bytes(built(1))
    kinds: tuple[Callable[[bytes], Any], ...] = (bytes, bytearray, memoryview)
    for kind in kinds:
        assert bytes(Chitchat(kind(data))) == data
        assert Chitchat(kind(data)) == Chitchat(data)


def test_long_lists_are_read_whatever_scapys_limit_of_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conf, "max_list_count", 3)
    message = Chitchat() / ChitchatSyn(digest=[NodeDigest(node_id="")] * 1500)
    assert len(again(message).payload.digest) == 1500
