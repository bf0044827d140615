# SPDX-License-Identifier: GPL-2.0-or-later
"""What values fields take, and what they say of themselves."""

from __future__ import annotations

import copy
import ipaddress
import pickle
from collections.abc import Callable
from typing import Any, cast

import pytest
from scapy.base_classes import Net
from scapy.fields import ByteField, ConditionalField, LELongField
from scapy.layers.inet import IP, UDP
from scapy.packet import Packet
from scapy.volatile import RandIP6, RandString

from scapy_chitchat import ABSENT, Block, Chitchat, ChitchatAck, ChitchatSyn, KeyValueOp, NodeDigest
from scapy_chitchat.described.careful import pull_fields
from scapy_chitchat.described.conditions import Unless, When, condition, inner
from scapy_chitchat.described.cursor import BreakOff, Cursor, Scope
from scapy_chitchat.described.facts import measured_by
from scapy_chitchat.described.fields import AddressField, KnownByteField, PackedField, StringField, TagField, as_is
from scapy_chitchat.described.packet import PACKETS
from scapy_chitchat.net.addresses import address_bytes, address_text
from scapy_chitchat.wire import layers


class SubStr(str):
    """As some libraries give."""


# --- strings ---


@pytest.mark.parametrize(
    "value", ["clé", SubStr("clé"), b"cl\xc3\xa9", bytearray(b"cl\xc3\xa9"), memoryview(b"cl\xc3\xa9")]
)
def test_text_and_bytes_of_any_kind_are_strings(value: Any) -> None:
    entry = NodeDigest(node_id=value)
    assert entry.node_id == "clé"
    assert bytes(entry)[:6] == b"\x04\x00cl\xc3\xa9"


def test_bytes_that_are_no_text_survive_as_text_and_in_commands() -> None:
    entry = NodeDigest(node_id=b"\xff\x00a\xe2\x82")
    assert entry.node_id == "\udcff\x00a\udce2\udc82"
    assert bytes(entry)[:7] == b"\x05\x00\xff\x00a\xe2\x82"
    assert bytes(eval(entry.command())) == bytes(entry)


def test_a_string_is_shown_with_nothing_that_moves_a_terminal() -> None:
    shown = str(NodeDigest(node_id="a\x1b[2J\u202eb\udcff").show(dump=True))
    assert r"'a\x1b[2J\u202eb\udcff'" in shown
    assert "\x1b[2J" not in shown


def test_the_longest_string_that_can_be_announced_is_built() -> None:
    assert bytes(KeyValueOp(value="x" * 65535))[3:5] == b"\xff\xff"


def test_a_length_counts_bytes_and_not_letters() -> None:
    read = Chitchat(bytes(Chitchat() / ChitchatSyn(cluster_id="日本"))).payload
    assert (read.cluster_id, read.cluster_id_len) == ("日本", 6)


# --- addresses ---


@pytest.mark.parametrize(
    ("value", "version", "packed"),
    [
        ("10.0.0.1", 4, "0a000001"),
        (SubStr("10.0.0.1"), 4, "0a000001"),
        (ipaddress.ip_address("10.0.0.1"), 4, "0a000001"),
        (b"\x0a\x00\x00\x01", 4, "0a000001"),
        (memoryview(b"\x0a\x00\x00\x01"), 4, "0a000001"),
        ("::1", 6, "00" * 15 + "01"),
        (ipaddress.ip_address("::ffff:1.2.3.4"), 6, "00" * 10 + "ffff01020304"),
        (bytearray(15) + b"\x01", 6, "00" * 15 + "01"),
        (b"\x0a\x00", 4, "0a00"),
        (None, 4, ""),
    ],
)
def test_an_address_is_text_an_object_or_bytes_and_gives_its_version(value: Any, version: int, packed: str) -> None:
    entry = NodeDigest(node_id="", ip=value, port=0x5555)
    assert bytes(entry)[10:].hex().startswith(f"{version:02x}{packed}5555")


def test_a_network_gives_an_entry_for_each_address() -> None:
    assert [each.ip for each in NodeDigest(ip=Net("10.0.0.0/30"))] == [f"10.0.0.{n}" for n in range(4)]


@pytest.mark.parametrize("text", ["", "host", "1.2.3", "1.2.3.4.5", "01.2.3.4", "::1%lo", ":::", "1.2.3.4:80", 7, None])
def test_what_is_no_address_is_refused(text: Any) -> None:
    with pytest.raises(ValueError, match=r"IPv4|address"):
        address_bytes(text)


@pytest.mark.parametrize("text", ["0.0.0.0", "255.255.255.255", "::", "2001:db8::1", "::ffff:1.2.3.4", "fe80::1"])
def test_addresses_are_written_as_the_standard_library_writes_them(text: str) -> None:
    assert address_text(address_bytes(text)) == text
    assert address_bytes(text) == ipaddress.ip_address(text).packed


# --- ABSENT ---


def test_absent_is_one_thing_however_it_is_copied() -> None:
    assert (
        copy.copy(ABSENT) is copy.deepcopy(ABSENT) is pickle.loads(pickle.dumps(ABSENT)) is eval(repr(ABSENT)) is ABSENT
    )
    assert not ABSENT
    assert list(ABSENT) == []


@pytest.mark.parametrize(
    ("name", "size"), [("node_id_len", 2), ("node_id", 3), ("ip_version", 1), ("ip", 16), ("port", 2), ("heartbeat", 8)]
)
def test_a_field_left_out_takes_its_bytes_with_it(name: str, size: int) -> None:
    entry = NodeDigest(node_id="abc", ip="::1")
    without = entry.copy()
    setattr(without, name, ABSENT)
    assert len(entry) - len(without) == size
    delattr(without, name)
    assert len(without) == len(
        NodeDigest(node_id="" if name == "node_id" else "abc", ip="1.1.1.1" if name == "ip" else "::1")
    )


# --- conditions ---


def test_conditions_look_at_the_nearest_layer_below_that_has_the_field() -> None:
    v1 = When("version", 1)
    body = ChitchatAck()
    assert not v1(body)
    message: Packet = Chitchat(version=1) / body
    assert v1(message.payload)
    assert not v1((IP(version=1) / UDP() / body)[ChitchatAck])
    assert Unless("version", 1)(body)


def test_a_condition_counts_an_unknown_value_as_the_assumed_one() -> None:
    assert When("version", 3, assumed=3).holds(None)
    assert When("version", 3, assumed=3).holds(ABSENT)
    assert not Unless("version", 3, assumed=3).holds(None)


# --- what a generator reads ---

LAYERS: tuple[type[Packet], ...] = (*layers.MESSAGES.values(), *layers.ITEMS, Block, Chitchat)


def test_every_field_says_by_parameters_what_it_depends_on() -> None:
    for layer in LAYERS:
        names = [field.name for field in layer.fields_desc]
        for field in map(inner, layer.fields_desc):
            depends = [
                getattr(field, parameter)
                for parameter in ("length_from", "version_from", "version_of", "blocks_from", "holds", "port")
                if getattr(field, parameter, None)
            ]
            assert set(depends) <= set(names), (layer, field.name)
            assert measured_by(field) is None or measured_by(field) in names


def test_no_condition_is_a_function_that_only_python_can_run() -> None:
    for layer in LAYERS:
        for field in layer.fields_desc:
            assert condition(field) is None or isinstance(condition(field), When)


# --- reading carefully ---


def pull(field: Any, data: bytes, values: dict[str, Any], **cursor: Any) -> Any:
    return field.pull(Cursor(data, **cursor), Scope(values), PACKETS)


TAG = {0: "Node", 1: "KeyValue"}
READERS: list[tuple[Any, dict[str, Any], bytes, str]] = [
    (StringField("s", "", length_from="n"), {"n": 3}, b"ab", "string-short"),
    (StringField("s", "", length_from="n"), {"n": 2}, b"a\xff", "bad-utf8"),
    (AddressField("a", "::", version_from="v", port="p", joined_as="j"), {"v": 6}, bytes(15), "field-short"),
    (
        PackedField("d", b"", length_from="n", packed_as="t", packings={1: as_is}, refused_as="bad-zstd"),
        {"n": 2},
        b"x",
        "block-short",
    ),
    (KnownByteField("k", 0, TAG, refused_as="bad-status"), {}, b"\x02", "bad-status"),
    (KnownByteField("k", 0, TAG, refused_as="bad-status"), {}, b"", "field-short"),
    (TagField("t", 0, TAG, refused_as="bad-tag"), {}, b"\x09", "bad-tag"),
]


@pytest.mark.parametrize(("field", "values", "data", "code"), READERS)
def test_a_strict_reader_stops_at_what_a_node_refuses(
    field: Any, values: dict[str, Any], data: bytes, code: str
) -> None:
    with pytest.raises(BreakOff) as stopped:
        pull(field, data, values, strict=True, base=100, stream="delta")
    assert stopped.value.code == code
    assert stopped.value.offset >= 100
    assert "of the decompressed delta" in str(stopped.value)


def test_a_lenient_reader_goes_on_and_keeps_the_first_refusal() -> None:
    cursor = Cursor(b"\x01\x00\xff\x01\x00\xfe" + bytes(8) + b"\x09", strict=False)
    values: dict[str, Any] = {"tag": 1}

    class Untagged(KeyValueOp):
        fields_desc = KeyValueOp.fields_desc[1:]

    pull_fields(Untagged, cursor, Scope(values), PACKETS)
    assert (values["key"], values["value"], values["status"]) == ("\udcff", "\udcfe", 9)
    assert [(refusal.code, refusal.offset) for refusal in cursor.refusals] == [("bad-utf8", 2)]


def test_a_byte_that_breaks_off_is_not_read() -> None:
    field = KnownByteField("type", 0, TAG, refused_as="bad-block-type", breaks=True)
    cursor = Cursor(b"\x00\x07rest")
    cursor.pos = 1
    with pytest.raises(BreakOff, match="type is 7; a node knows 0"):
        field.pull(cursor, Scope({}), PACKETS)
    assert cursor.rest() == b"\x07rest"


# --- random values ---


@pytest.mark.parametrize(
    ("field", "check"),
    [
        (KnownByteField("k", 0, TAG, refused_as="x"), lambda value: value in TAG),
        (StringField("s", "", length_from="n"), lambda value: isinstance(str(value), str)),
        (AddressField("a", "::", version_from="v", port="p", joined_as="j"), address_bytes),
    ],
)
def test_a_random_value_is_one_that_a_node_takes(field: Any, check: Callable[[Any], Any]) -> None:
    for _ in range(50):
        assert check(field.randval()._fix()) is not False


def test_what_tells_layers_and_lengths_apart_has_no_random_value() -> None:
    for field in KeyValueOp.fields_desc:
        if isinstance(field, TagField):
            assert cast(Any, field).randval() is None
    assert inner(NodeDigest.fields_desc[3]).randval() is None
    assert Chitchat.fields_desc[0].randval() is None


def test_random_values_have_the_lengths_of_what_goes_out() -> None:
    for _ in range(20):
        entry = Chitchat(bytes(Chitchat() / ChitchatSyn(digest=[NodeDigest(node_id=RandString(7), ip=RandIP6())])))
        assert entry.payload.trouble is None
        assert (entry.payload.digest[0].node_id_len, entry.payload.digest[0].ip_version) == (7, 6)


def test_stock_fields_of_a_fixed_size_are_read_too() -> None:
    class Extended(NodeDigest):
        fields_desc = [
            LELongField("first", 0),
            ConditionalField(ByteField("second", 0), When("first", 5)),
            *NodeDigest.fields_desc,
        ]

    values: dict[str, Any] = {}
    pull_fields(Extended, Cursor(b"\x05" + bytes(7) + b"\x09" + bytes(NodeDigest())), Scope(values), PACKETS)
    assert (values["first"], values["second"], values["ip"]) == (5, 9, "127.0.0.1")
