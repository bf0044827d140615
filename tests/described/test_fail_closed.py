# SPDX-License-Identifier: GPL-2.0-or-later
"""A changed description is followed by everything derived from it, or refused by name: never guessed at."""

from __future__ import annotations

import struct
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
from scapy.fields import ByteField, ConditionalField, FieldLenField, IntField, LEIntField, LELongField, LEShortField
from scapy.packet import Packet

from scapy_chitchat.described import careful, compiler, facts, lua_kinds, messages, writers
from scapy_chitchat.described.conditions import Unless, When
from scapy_chitchat.described.fields import AddressField, KnownByteField, PackedField, PortField, as_is
from scapy_chitchat.described.kinds import KindTable, UnknownKindError
from scapy_chitchat.described.lists import BlocksField, ItemsField
from scapy_chitchat.described.lua import generate
from scapy_chitchat.described.lua_kinds import CannotDescribeError
from scapy_chitchat.described.messages import check_codes, compile_message_reader
from scapy_chitchat.described.packet import PACKETS
from scapy_chitchat.records import values
from scapy_chitchat.records.checks import CODES
from scapy_chitchat.records.codec import Codec, DecodeError
from scapy_chitchat.records.makers import RECORDS, json_names
from scapy_chitchat.wire.protocol import STREAM_LIMIT
from tests.support.toys import (
    PORT,
    Block,
    MoreBlocks,
    Toy,
    Why,
    as_pairs,
    description,
    layer,
    string,
    toy,
    unpack_runs,
    word,
)
from tests.support.tsharks import Tshark, dissected, every_tshark, scapy_leaves, tshark_leaves, write_capture


def why() -> KnownByteField:
    return KnownByteField("why", 0, Why, refused_as="bad-status")


def with_term() -> Toy:
    return toy(LELongField("term", 0))


def with_why() -> Toy:
    return toy(why())


def with_zone() -> Toy:
    return toy(in_version={2: [word("WordV2", LELongField("zone", 0))]})


def with_runs() -> Toy:
    return toy(block_types=MoreBlocks, packings={MoreBlocks.Raw: as_is, MoreBlocks.Runs: unpack_runs})


def messages_of(of: Toy, **values: Any) -> list[Packet]:
    """The same greeting in each version."""
    words = [of.word(text="a", count=2**40), of.word(text="é")]
    return [of.message(version, words=words, who="me", **values) for version in (0, 1)]


def term_messages() -> tuple[Toy, list[Packet], dict[str, Any]]:
    of = with_term()
    return of, messages_of(of, term=2**63), {"term": 2**63}


def why_messages() -> tuple[Toy, list[Packet], dict[str, Any]]:
    of = with_why()
    return of, messages_of(of, why="Timer"), {"why": "Timer"}


def zone_messages() -> tuple[Toy, list[Packet], dict[str, Any]]:
    of = with_zone()
    words = of.greeting.fields_desc[2].in_version[2].layers[0]
    newer = of.message(2, words=[words(text="z", count=1, zone=9), words(zone=2**64 - 1)], who="me")
    return of, [*messages_of(of), newer], {}


def runs_messages() -> tuple[Toy, list[Packet], dict[str, Any]]:
    of = with_runs()
    words = bytes(of.word(text="b" * 9))
    packed = of.message(1, blocks=[of.block(type=2, data=as_pairs(words)), of.block(type=0)], who="me")
    return of, [*messages_of(of), packed], {}


CHANGES: list[Callable[[], tuple[Toy, list[Packet], dict[str, Any]]]] = [
    term_messages,
    why_messages,
    zone_messages,
    runs_messages,
]
every_change = pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)


# --- the changes that every derived part follows ---


@every_change
def test_scapy_reads_what_it_builds(change: Callable[[], Any]) -> None:
    of, sent, values = change()
    for message in sent:
        read = of.root(bytes(message))
        assert bytes(read) == bytes(message)
        assert (read.trouble, read.payload.trouble) == (None, None)
        assert read.payload.who == "me"
        for name in values:
            assert read.payload.getfieldval(name) == message.payload.getfieldval(name)


@every_change
def test_records_read_and_write_the_same_bytes(change: Callable[[], Any]) -> None:
    of, sent, values = change()
    codec = Codec(of.root)
    for message in sent:
        data = bytes(message)
        record = codec.read(data, STREAM_LIMIT).message
        assert {name: getattr(record, name) for name in values} == values
        assert codec.read(codec.write(record), STREAM_LIMIT).message == record
        if message.payload.blocks is None or message.payload.blocks[0].type == Block.Raw:
            assert codec.write(record) == data


@every_change
def test_the_careful_reader_makes_the_same_records(change: Callable[[], Any]) -> None:
    of, sent, _ = change()
    codec = Codec(of.root)
    for message in sent:
        quickly = codec.read(bytes(message), STREAM_LIMIT)
        assert codec._read_carefully(bytes(message), STREAM_LIMIT) == quickly


@every_change
def test_json_has_the_names_that_columns_have(change: Callable[[], Any]) -> None:
    of, sent, values = change()
    names = json_names(of.root)
    codec = Codec(of.root)
    for message in sent:
        shown = codec.read(bytes(message), STREAM_LIMIT).message.as_dict()
        assert shown.keys() == names.keys()
        assert {name: shown[name] for name in values} == values
        for each in shown["words"]:
            assert set(each) <= names["words"]
    assert "zone" in names["words"] or change is not zone_messages


def test_a_field_of_a_later_version_is_in_its_items_alone() -> None:
    of, sent, _ = zone_messages()
    codec = Codec(of.root)
    read: list[Any] = [codec.read(bytes(message), STREAM_LIMIT).message for message in sent[1:]]
    older, newer = read
    assert [each.as_dict() for each in newer.words] == [
        {"text": "z", "count": 1, "zone": 9},
        {"text": "", "count": 0, "zone": 2**64 - 1},
    ]
    assert "zone" not in older.words[0].as_dict()
    with pytest.raises(ValueError, match="does not belong there"):
        codec.write(msgspec.structs.replace(newer, words=older.words))


@every_tshark
@every_change
def test_wireshark_shows_what_scapy_shows(change: Callable[[], Any], tshark: Tshark, tmp_path: Path) -> None:
    of, sent, _ = change()
    folder = tmp_path / "parts"
    folder.mkdir()
    script = tmp_path / f"{change.__name__}.lua"
    script.write_text(generate(description(of, folder, unpackers={unpack_runs: "unpack_runs"})))
    capture = write_capture(tmp_path / f"{change.__name__}.pcap", map(bytes, sent), port=PORT)
    output = tshark.run(capture, "-T", "json", "-x", "-J", "frame toy", script=script)
    shown = [list(tshark_leaves(tree)) for _, tree in dissected(output, "toy")]
    assert shown == [list(scapy_leaves(of.root(bytes(message)), "toy")) for message in sent]


@every_tshark
def test_an_unknown_value_in_a_body_is_the_same_finding_everywhere(tshark: Tshark, tmp_path: Path) -> None:
    of = with_why()
    data = bytes(of.message(who="me", why=9))
    assert of.root(data).payload.trouble.code == "bad-status"
    codec = Codec(of.root)
    with pytest.raises(DecodeError) as refused:
        codec.read(data, STREAM_LIMIT)
    assert (refused.value.code, refused.value.offset) == ("bad-status", len(data) - 1)
    assert refused.value.partial["who"] == "me"
    with pytest.raises(ValueError, match=r"^$"):
        compile_message_reader(of.greeting, 0, RECORDS)(data, 4, STREAM_LIMIT)
    good = codec.read(bytes(of.message(who="me")), STREAM_LIMIT).message
    with pytest.raises(ValueError, match="why: 'Boredom' is none of Asked, Timer"):
        codec.write(msgspec.structs.replace(good, why="Boredom"))
    script = tmp_path / "unknown_value.lua"
    script.write_text(generate(description(of, tmp_path)))
    capture = write_capture(tmp_path / "unknown_value.pcap", [data], port=PORT)
    fields = ("toy.bad_status", "toy.why", "_ws.lua.error")
    line = tshark.run(capture, "-T", "fields", *(word for name in fields for word in ("-e", name)), script=script)
    found, value, error = line.rstrip("\n").split("\t")
    assert (bool(found), value, error) == (True, "9", "")


def test_a_number_too_large_for_its_field_is_refused_by_name() -> None:
    of = with_term()
    codec = Codec(of.root)
    record = codec.read(bytes(of.message()), STREAM_LIMIT).message
    for wrong in (-1, 2**64, "1", None):
        with pytest.raises(ValueError, match=r"^term: "):
            codec.write(msgspec.structs.replace(record, term=wrong))


def test_what_cannot_be_unpacked_is_the_finding_that_the_field_names() -> None:
    of = with_runs()
    data = bytes(of.message(1, blocks=[of.block(type=2, data=b"odd"), of.block(type=0)]))
    with pytest.raises(DecodeError, match="half a pair") as refused:
        Codec(of.root).read(data, STREAM_LIMIT)
    assert refused.value.code == "bad-zstd"


# --- what is refused ---


def test_a_condition_in_an_item_is_refused_when_the_class_is_made() -> None:
    entry = word("Word", ConditionalField(LELongField("zone", 0), When("version", 2)))
    with pytest.raises(TypeError, match=r"Word\.zone: items of words have no conditions; .* in_version"):
        layer("Greeting", ItemsField("words", [entry]))
    with pytest.raises(TypeError, match=r"Word\.zone"):
        toy(in_version={2: [entry]})


def test_a_block_type_that_nothing_unpacks_is_refused_when_the_class_is_made() -> None:
    with pytest.raises(TypeError, match=r"Block\.data: packings does not say how what has type 2 \(Runs\) is unpacked"):
        toy(block_types=MoreBlocks)


def test_an_unpacker_without_its_lua_is_refused_by_the_generator(tmp_path: Path) -> None:
    with pytest.raises(CannotDescribeError, match=r"Block\.data: .*unpack_runs, which unpacks type 2 \(Runs\)"):
        generate(description(with_runs(), tmp_path))


class FlagField(ByteField):
    """A kind that nothing knows."""


def test_an_unknown_kind_is_refused_when_the_class_is_made() -> None:
    with pytest.raises(UnknownKindError, match=r"Flagged\.flag: the careful reader has no rule for a FlagField"):
        layer("Flagged", FlagField("flag", 0))


TABLES: dict[str, tuple[KindTable[Any], type]] = {
    "the careful reader": (careful.CAREFUL, ByteField),
    "the description": (facts.FACTS, ByteField),
    "the fast reader": (compiler.ITEM_READ, ByteField),
    "the fast writer": (writers.ITEM_WRITE, ByteField),
    "the records": (values.IN_RECORD, ByteField),
    "the dissector": (lua_kinds.LUA, ByteField),
}


def derive_everything(kind: type, folder: Path) -> None:
    """A protocol with the field in its items and in its body, and all that is made of it."""
    entry = layer("Word", *string("text"), kind("flag", 0))
    of = toy(kind("mood", 0), in_version={1: [entry]})
    Codec(of.root)
    generate(description(of, folder))


@pytest.mark.parametrize("backend", TABLES)
def test_a_kind_that_one_part_does_not_know_is_refused_by_that_part(backend: str, tmp_path: Path) -> None:
    class NewField(ByteField):
        """A kind with a row in every table but one."""

    for name, (table, like) in TABLES.items():
        if name != backend:
            table.add(table.of(like("a field", 0)), NewField)
    with pytest.raises(UnknownKindError, match=rf"(Word\.flag|Greeting\.mood): {backend}.* has no rule for a NewField"):
        derive_everything(NewField, tmp_path)


def test_a_kind_with_a_row_in_every_table_works_everywhere(tmp_path: Path) -> None:
    class NewField(ByteField):
        """A kind with a row in every table."""

    for table, like in TABLES.values():
        table.add(table.of(like("a field", 0)), NewField)
    derive_everything(NewField, tmp_path)


def test_a_kind_has_one_row() -> None:
    table: KindTable[int] = KindTable("a test", {ByteField: 1})
    with pytest.raises(ValueError, match="ByteField already"):
        table.add(2, ByteField)


def test_a_condition_of_a_body_on_anything_but_the_version_is_refused_by_records() -> None:
    of = toy(ByteField("more", 0), ConditionalField(ByteField("extra", 0), When("more", 1)))
    assert of.root(bytes(of.message(more=1, extra=7))).payload.extra == 7
    with pytest.raises(TypeError, match=r"Greeting\.extra: readers of messages know conditions on version only"):
        Codec(of.root)


def test_a_header_without_version_or_type_is_refused_by_records() -> None:
    with pytest.raises(TypeError, match="Bare: the header of a message has a KnownByteField version"):
        Codec(layer("Bare", why()))


def test_a_code_that_is_no_finding_is_refused(tmp_path: Path) -> None:
    of = toy(KnownByteField("why", 0, Why, refused_as="bad-statsu"))
    with pytest.raises(TypeError, match=r"Greeting\.why: there is no finding 'bad-statsu'"):
        check_codes(of.root, CODES)
    with pytest.raises(CannotDescribeError, match=r"Greeting\.why: there is no finding 'bad-statsu'"):
        generate(description(of, tmp_path))
    check_codes(toy().root, CODES)


def test_a_check_that_would_get_lost_is_refused_by_the_generator(tmp_path: Path) -> None:
    of = with_zone()
    with pytest.raises(CannotDescribeError, match="checks are named, but none for WordV2"):
        generate(description(of, tmp_path, checks={of.word: ["text"]}))
    with pytest.raises(CannotDescribeError, match="Greeting: the description speaks of it, and no list has it"):
        generate(description(of, tmp_path, labels={of.greeting: ["who"]}))


def port(name: str) -> PortField:
    return PortField(name, 1)


ADDRESS = AddressField("ip", "127.0.0.1", version_from="v", port="port", joined_as="a")
LAST = When("type", 0)


def block(*fields: Any) -> Callable[[], Any]:
    return lambda: BlocksField("b", None, layer("Odd", *fields), holds="x", last=LAST, split=lambda stream: [])


def kind_of_block(**more: Any) -> KnownByteField:
    return KnownByteField("type", 1, Block, refused_as="bad-block-type", **more)


def packed(**more: Any) -> PackedField:
    given: dict[str, Any] = {
        "length_from": "len",
        "packed_as": "type",
        "packings": {1: as_is},
        "refused_as": "bad-zstd",
    }
    return PackedField("data", b"", **{**given, **more})


LENGTH = FieldLenField("len", None, length_of="data", fmt="<H")
NOT_LAST = Unless("type", 0)
UNFIT: dict[str, tuple[Callable[[], Any], str]] = {
    "a port without its address": (lambda: layer("Odd", port("port")), r"Odd\.port: the address"),
    "a port away from its address": (lambda: layer("Odd", ADDRESS, LEShortField("n", 0), port("port")), r"Odd\.port"),
    "a big-endian number": (lambda: layer("Odd", IntField("n", 0)), r"Odd\.n: .* no rule for a IntField"),
    "a big-endian length": (
        lambda: layer("Odd", FieldLenField("n", None, length_of="s", fmt=">H")),
        r"Odd\.n: is not little-endian",
    ),
    "a length of nothing": (lambda: layer("Odd", FieldLenField("n", None, fmt="<H")), r"Odd\.n: says of no field"),
    "a condition that is a function": (
        lambda: layer("Odd", ConditionalField(ByteField("n", 0), lambda pkt: True)),
        r"Odd\.n: a condition must be a When",
    ),
    "layers without tags": (
        lambda: ItemsField("words", [word("A"), word("B")]),
        "words: its layers are not told apart",
    ),
    "a list in an item": (
        lambda: layer("Odd", ItemsField("outer", [layer("Inner", ItemsField("inner", [word("A")]))])),
        r"Inner\.inner: the fast reader has no rule",
    ),
    "a block of other parts": (block(kind_of_block(breaks=True)), "Odd: a block is a KnownByteField"),
    "a block that goes on after an unknown type": (
        block(kind_of_block(), ConditionalField(LENGTH, NOT_LAST), ConditionalField(packed(), NOT_LAST)),
        r"Odd\.type: what breaks off",
    ),
    "a closing block with data": (
        block(kind_of_block(breaks=True), LENGTH, packed(packings={0: as_is, 1: as_is})),
        r"Odd\.len: not there exactly",
    ),
    "packed as a field that is not there": (lambda: layer("Odd", LENGTH, packed()), r"Odd\.data: packed_as names no"),
}


@pytest.mark.parametrize("name", UNFIT)
def test_a_layer_that_would_be_misread_is_refused_when_it_is_made(name: str) -> None:
    make, reason = UNFIT[name]
    with pytest.raises(TypeError, match=reason):
        make()


# --- generated code ---


def test_a_traceback_shows_the_line_of_a_generated_function() -> None:
    of = toy(LEIntField("n", 0))
    words = of.greeting.fields_desc[2]
    readers: dict[str, Callable[[], Any]] = {
        "_end = len(_data)": lambda: compiler.compile_list_reader(words, PACKETS)(cast(bytes, None), 0, None),
        "_values = _item.fields": lambda: writers.compile_writer(of.word, PACKETS)(None),
        "words_count, = unpack_0(_data, _pos)": lambda: compile_message_reader(of.greeting, 0, RECORDS)(b"", 0, 0),
        "_kind = _data[_pos]": lambda: compile_message_reader(of.greeting, 1, RECORDS)(b"", 0, 0),
        "words = _item.words": lambda: messages.compile_message_writer(of.greeting, 0, b"", RECORDS)(cast(Any, None)),
    }
    for line, run in readers.items():
        with pytest.raises((TypeError, AttributeError, LookupError, struct.error)) as raised:
            run()
        assert traceback.extract_tb(raised.value.__traceback__)[-1].line == line
