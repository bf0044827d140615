# SPDX-License-Identifier: GPL-2.0-or-later
"""What holds for every message, tried on many."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scapy.config import conf
from scapy.layers.inet import UDP
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
)
from scapy_chitchat.described.careful import pull_fields
from scapy_chitchat.described.conditions import inner
from scapy_chitchat.described.cursor import BreakOff, Cursor, Scope
from scapy_chitchat.described.facts import measured_by
from scapy_chitchat.described.lists import BlocksField, ItemsField, StuckError
from scapy_chitchat.described.packet import PACKETS, PacketSink, WirePacket
from scapy_chitchat.net.addresses import address_bytes

NAMES: dict[str, Any] = {name: getattr(scapy_chitchat, name) for name in scapy_chitchat.__all__} | {"Raw": Raw}

settings.register_profile("ours", deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ours")

U16, U64 = st.integers(0, 2**16 - 1), st.integers(0, 2**64 - 1)
TEXT = st.text(max_size=20) | st.binary(max_size=20).map(lambda data: data.decode("utf-8", "surrogateescape"))
ADDRESS = st.ip_addresses().map(str)
IDENTITY = {"node_id": TEXT, "generation_id": U64, "ip": ADDRESS, "port": U16}
ENTRY = st.builds(NodeDigest, **IDENTITY, heartbeat=U64, last_gc_version=U64, max_version=U64)
OPERATION = st.one_of(
    st.builds(NodeOp, **IDENTITY, last_gc_version=U64, from_version_excluded=U64),
    st.builds(
        KeyValueOp,
        key=TEXT,
        value=TEXT | st.sampled_from([300, 16350, 40000]).map("v".__mul__),
        version=U64,
        status=st.integers(0, 2),
    ),
    st.builds(SetMaxVersionOp, max_version=U64),
)
DIGEST, DELTA = st.lists(ENTRY, max_size=12), st.lists(OPERATION, max_size=12)
BODY = st.one_of(
    st.builds(ChitchatSyn, digest=DIGEST, cluster_id=TEXT),
    st.builds(ChitchatSynAck, digest=DIGEST, delta=DELTA),
    st.builds(ChitchatAck, delta=DELTA),
    st.builds(ChitchatBadCluster),
)
MESSAGE = st.builds(lambda version, body: Chitchat(version=version) / body, st.integers(0, 1), BODY)


def values_of(packet: Packet) -> Any:
    """What a packet says, computed fields aside."""
    values: dict[str, Any] = {}
    for field in packet.fields_desc:
        value = packet.getfieldval(field.name)
        if isinstance(inner(field), ItemsField):
            values[field.name] = [values_of(item) for item in value]
        elif field.name == "ip":
            values[field.name] = address_bytes(value)  # of which there may be several texts
        elif not measured_by(inner(field)):
            values[field.name] = value
    return type(packet).__name__, values, values_of(packet.payload) if packet.payload else None


@st.composite
def broken(draw: st.DrawFn) -> bytes:
    """A message with some of its bytes changed, left out or put in."""
    data = bytearray(bytes(draw(MESSAGE)))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(data)))
        data[at : at + draw(st.integers(0, 5))] = draw(st.binary(max_size=5))
    return bytes(data)


@st.composite
def other_blocks(draw: st.DrawFn) -> bytes:
    """A message whose streams were cut by another writer, or hold anything."""
    whole = b"".join(map(bytes, draw(DELTA)))[:60000]
    stream = draw(st.just(whole) | st.binary(max_size=80))
    cuts = sorted(draw(st.lists(st.integers(0, len(stream)), max_size=4)))
    blocks = [Block(data=stream[start:end]) for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    return bytes(Chitchat() / ChitchatAck(delta_blocks=[*blocks, Block(type=0)]))


ANY = st.one_of(
    st.binary(min_size=1, max_size=200),
    st.binary(max_size=100).map(b"\x53\xb0".__add__),
    st.builds(
        lambda version, kind, rest: bytes([0x53, 0xB0, version, kind]) + rest,
        st.integers(0, 2),
        st.integers(0, 4),
        st.binary(max_size=200),
    ),
    broken(),
    other_blocks(),
).filter(lambda data: 0 < len(data) < 65000)  # what a datagram holds; Scapy takes no bytes for a new packet


@pytest.mark.long
@given(MESSAGE)
def test_what_is_built_is_read_with_the_same_values(message: Packet) -> None:
    read = Chitchat(bytes(message))
    assert values_of(read) == values_of(message)
    assert not read.haslayer(Malformed)
    assert not read.haslayer(Raw)


@given(MESSAGE)
def test_what_is_read_is_built_from_its_values_alone(message: Packet) -> None:
    data = bytes(message)
    read = Chitchat(data)
    for name in ("digest_blocks", "delta_blocks"):
        if name in read.payload.fieldtype:
            delattr(read.payload, name)
    assert bytes(read) == data
    assert bytes(eval(Chitchat(data).command(), NAMES)) == data


@pytest.mark.long
@given(ANY)
def test_nothing_is_raised_and_nothing_lost_whatever_the_bytes(data: bytes) -> None:
    message = Chitchat(data)
    assert bytes(message) == data
    assert bytes(message.copy()) == data
    assert bytes(pickle.loads(pickle.dumps(message))) == data
    assert bytes(eval(message.command(), NAMES)) == data
    assert message.summary()
    assert message.show(dump=True)
    assert message.json()


@given(ANY)
def test_nothing_is_raised_below_udp_with_debug_dissector(data: bytes) -> None:
    datagram = bytes(UDP(sport=7280, dport=7280) / Raw(data))
    before = conf.debug_dissector
    conf.debug_dissector = True
    try:
        assert bytes(UDP(datagram)) == datagram
    finally:
        conf.debug_dissector = before


@given(ANY)
def test_a_stream_is_kept_with_the_bytes_of_its_items(data: bytes) -> None:
    body = Chitchat(data).payload
    for field in map(inner, body.fields_desc):
        if isinstance(field, BlocksField) and field.name in (getattr(body, "as_read", None) or ()):
            assert body.as_read[field.name][1] == field.measure(body)


class CarefulSink(PacketSink):
    """Reads every item field by field."""

    def read_list(
        self, field: ItemsField, data: bytes, pos: int, count: int | None, carried: tuple[Any, ...] = ()
    ) -> tuple[list[Any], int]:
        """Nothing, unless there is nothing to read."""
        if pos == len(data) if count is None else count == 0:
            return [], pos
        raise StuckError([], pos, carried)

    read_list_leniently = read_list


def read_with(sink: PacketSink, data: bytes, layer: type[WirePacket], version: int) -> tuple[Any, ...]:
    cursor = Cursor(data)
    values: dict[str, Any] = {}
    try:
        pull_fields(layer, cursor, Scope(values, Scope({"version": version})), sink)
        trouble = ""
    except BreakOff as broken_off:
        trouble = str(broken_off)
    commands = [item.command() for value in values.values() if isinstance(value, list) for item in value]
    return values, commands, cursor.pos, trouble, list(map(str, cursor.refusals))


@given(ANY, st.sampled_from([ChitchatSyn, ChitchatSynAck, ChitchatAck]), st.integers(0, 1))
def test_the_compiled_and_the_careful_reader_agree(data: bytes, layer: type[WirePacket], version: int) -> None:
    assert read_with(PACKETS, data[4:], layer, version) == read_with(CarefulSink(), data[4:], layer, version)


@pytest.mark.long
@given(st.lists(ENTRY | OPERATION, max_size=8))
def test_the_compiled_writer_and_the_packet_itself_agree(items: list[Packet]) -> None:
    for item in items:
        version = 0 if isinstance(item, NodeDigest) else 1
        body = ChitchatSyn(digest=[item]) if version == 0 else ChitchatAck(delta=[item])
        read = Chitchat(bytes(Chitchat() / body)).payload
        (entry,) = read.digest if version == 0 else read.delta
        assert entry.item_bytes() == entry.build() == item.build() == item.item_bytes()


@pytest.mark.long
@given(MESSAGE, st.data())
def test_an_edit_changes_what_was_edited_and_nothing_else(message: Packet, data: st.DataObject) -> None:
    read = Chitchat(bytes(message))
    lists = [name for name in ("digest", "delta") if read.payload.fieldtype.get(name) and getattr(read.payload, name)]
    if not lists:
        return
    items = getattr(read.payload, data.draw(st.sampled_from(lists)))
    item = items[data.draw(st.integers(0, len(items) - 1))]
    field = data.draw(st.sampled_from([name for name in item.fields if name not in ("ip", "status")]))
    new = data.draw(TEXT if isinstance(item.fields[field], str) else U16)
    setattr(item, field, new)
    wanted = values_of(read)
    assert values_of(Chitchat(bytes(read))) == wanted


@pytest.mark.parametrize("size", [16383, 16384, 16385, 32768, 50000])
def test_items_straddle_blocks_wherever_they_are_cut(size: int) -> None:
    delta = [NodeOp(node_id="n"), KeyValueOp(key="k", value="v" * size), SetMaxVersionOp(max_version=1)]
    read = Chitchat(bytes(Chitchat() / ChitchatAck(delta=delta))).payload
    assert len(read.delta_blocks) == -(-len(b"".join(map(bytes, delta))) // 16384) + 1
    assert [values_of(op) for op in read.delta] == [values_of(op) for op in delta]
