# SPDX-License-Identifier: GPL-2.0-or-later
"""The compiled readers and writers: a changed description is enough to change them."""

from __future__ import annotations

import ast
import contextlib
from typing import Any, cast

import pytest
from scapy.fields import LEIntField, LELongField

from scapy_chitchat import (
    ABSENT,
    Chitchat,
    ChitchatSyn,
    KeyValueOp,
    NodeDigest,
    NodeOp,
    SetMaxVersionOp,
    UnbuildableError,
)
from scapy_chitchat.described.compiler import compile_list_reader, source_of
from scapy_chitchat.described.lists import ItemsField, StuckError
from scapy_chitchat.described.packet import PACKETS, WirePacket
from scapy_chitchat.described.writers import FAST_WRITE_FAILED, compile_writer, writer_source
from scapy_chitchat.wire.layers import DELTA, DIGEST

DIGEST_FIELD, DELTA_FIELD = cast(ItemsField, DIGEST[-1]), cast(ItemsField, DELTA[-1])
OPS = [NodeOp(node_id="é", ip="::1"), KeyValueOp(key="k", value="v"), SetMaxVersionOp(max_version=3)]
STREAM = b"".join(map(bytes, OPS))


class Extended(WirePacket):
    """An entry as a later protocol might have it."""

    fields_desc = [LEIntField("shard", 0), *NodeDigest.fields_desc, LELongField("epoch", 0)]


def test_the_compiled_code_is_python_to_read() -> None:
    for field in (DIGEST_FIELD, DELTA_FIELD):
        tree = ast.parse(source_of(field, PACKETS).text())
        assert [each.name for each in tree.body if isinstance(each, ast.FunctionDef)] == ["read_list"]
        for layer in field.layers:
            assert ast.parse(writer_source(layer, PACKETS).text())


def test_all_items_are_read_at_once_with_the_place_where_they_end() -> None:
    items, end = compile_list_reader(DELTA_FIELD, PACKETS)(b"before" + STREAM, 6, None)
    assert [type(item) for item in items] == [NodeOp, KeyValueOp, SetMaxVersionOp]
    assert [item.item_bytes() for item in items] == [bytes(op) for op in OPS]
    assert end == 6 + len(STREAM)


def test_no_more_items_are_read_than_asked_for() -> None:
    data = bytes(NodeDigest(node_id="a")) * 5
    items, end = compile_list_reader(DIGEST_FIELD, PACKETS)(data, 0, 2)
    assert (len(items), end) == (2, len(data) // 5 * 2)


ODD = {
    "cut": STREAM[:-1],
    "a tag": STREAM + b"\x09",
    "a status": STREAM + bytes(KeyValueOp(status=9)),
    "text": STREAM + bytes(KeyValueOp(key=b"\xff")),
    "an IP version": STREAM + bytes(NodeOp(ip_version=5)),
    "a length": STREAM + bytes(KeyValueOp(value_len=9)),
}


@pytest.mark.parametrize("name", ODD)
def test_a_reader_stops_before_an_odd_item_with_those_that_it_has(name: str) -> None:
    with pytest.raises(StuckError) as stuck:
        compile_list_reader(DELTA_FIELD, PACKETS)(ODD[name], 0, None)
    whole = 2 if name == "cut" else 3
    assert len(stuck.value.items) == whole
    assert stuck.value.pos == len(b"".join(map(bytes, OPS[:whole])))


@pytest.mark.parametrize("name", ODD)
def test_a_lenient_reader_minds_no_values(name: str) -> None:
    read = compile_list_reader(DELTA_FIELD, PACKETS, lenient=True)
    if name in ("a status", "text"):
        items, _ = read(ODD[name], 0, None)
        assert b"".join(item.item_bytes() for item in items) == ODD[name]
    else:
        with pytest.raises(StuckError):
            read(ODD[name], 0, None)


def test_a_field_more_in_the_description_is_a_field_more_in_reader_and_writer() -> None:
    field = ItemsField("entries", [Extended], blocks_from="")
    data = bytes(Extended(shard=7, node_id="a", ip="::1", epoch=9)) + bytes(Extended(epoch=2**64 - 1))
    items, end = compile_list_reader(field, PACKETS)(data, 0, None)
    assert end == len(data)
    assert [(item.shard, item.node_id, item.ip, item.epoch) for item in items] == [
        (7, "a", "::1", 9),
        (0, "", "127.0.0.1", 2**64 - 1),
    ]
    assert b"".join(map(compile_writer(Extended, PACKETS), items)) == data


def test_a_string_at_the_end_of_an_item_is_not_read_short() -> None:
    class EndsInText(WirePacket):
        fields_desc = KeyValueOp.fields_desc[1:3]

    read = compile_list_reader(ItemsField("list", [EndsInText], blocks_from=""), PACKETS)
    assert read(b"\x02\x00ab", 0, None)[1] == 4
    with pytest.raises(StuckError):
        read(b"\x03\x00ab", 0, None)


def entry_off_the_wire(**values: Any) -> WirePacket:
    """An entry that was read, with some values set since."""
    entry: WirePacket = Chitchat(bytes(Chitchat() / ChitchatSyn(digest=[NodeDigest(node_id="abc")]))).payload.digest[0]
    for name, value in values.items():
        setattr(entry, name, value)
    return entry


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"node_id_len": 1},
        {"ip_version": 9},
        {"node_id": b"\xff"},
        {"ip": b"\x01"},
        {"port": ABSENT},
        {"node_id": None},
    ],
)
def test_a_writer_writes_as_the_packet_does_or_leaves_it_to_the_packet(values: dict[str, Any]) -> None:
    entry = entry_off_the_wire(**values)
    assert entry.item_bytes() == entry.build()
    if values:
        with contextlib.suppress(*FAST_WRITE_FAILED):
            assert compile_writer(NodeDigest, PACKETS)(entry) == entry.build()
    else:
        assert compile_writer(NodeDigest, PACKETS)(entry) == entry.build()


@pytest.mark.parametrize("values", [{"node_id": 5}, {"ip": "no address"}, {"heartbeat": -1}, {"port": "80"}])
def test_what_a_writer_cannot_write_is_refused_by_the_packet(values: dict[str, Any]) -> None:
    entry = entry_off_the_wire(**values)
    with pytest.raises(FAST_WRITE_FAILED):
        compile_writer(NodeDigest, PACKETS)(entry)
    with pytest.raises(UnbuildableError, match=rf"NodeDigest\.{next(iter(values))}"):
        entry.item_bytes()
