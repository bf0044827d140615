# SPDX-License-Identifier: GPL-2.0-or-later
"""Fast readers and writers of whole messages, compiled from the layers as those of items are (compiler.py, writers.py).

A message is a header, the first layer, and a body, the layer bound behind it. The header names the type of the body and
the version of the protocol, on which alone the conditions of a body's fields may hang. So there is one reader and one
writer for each type in each version, and they are straight-line code.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from functools import cache
from typing import Any, NamedTuple, Protocol, cast

from scapy.packet import Packet

from scapy_chitchat.described.compiler import ITEM_READ, Maker, Read, Reading
from scapy_chitchat.described.conditions import condition, inner
from scapy_chitchat.described.facts import FACTS, codes_of
from scapy_chitchat.described.fields import KnownByteField, as_is
from scapy_chitchat.described.kinds import BareField, FieldValue, KindTable, place_of
from scapy_chitchat.described.lists import VERSION, BlocksField, ItemsField
from scapy_chitchat.described.source import PythonSource
from scapy_chitchat.described.writers import ITEM_WRITE, Giver, ItemWriter, Write, Writing, write_fields

TYPE = "type"
"""The field of a message's header that says which body follows."""


class Stream(NamedTuple):
    """What the blocks of a field hold, and the bytes that they take in the message."""

    field: BlocksField
    held: bytes
    start: int
    end: int


MessageReader = Callable[[bytes, int, int], Any]
"""Reads the body at ``pos``, with a bound on the unpacked bytes of each stream. Raises one of FAST_READ_FAILED."""


PartReader = Callable[[bytes, int, "int | None"], "tuple[object, int]"]
"""Reads a list as a compiled reader of lists does (ListReader); what it makes of the items together is its matter."""


class MessageMaker(Maker, Giver, Protocol):
    """What becomes of messages and their items, and where a writer gets their values."""

    def list_reader(self, field: ItemsField) -> PartReader:
        """The reader of a list."""

    def item_writers(self, field: ItemsField) -> Mapping[type, ItemWriter]:
        """The writers of what may stand in a list, by its class."""

    def message(self, layer: type[Packet], version: int, source: PythonSource, streams: str) -> str:
        """Python for a message, which ends at ``_pos``; values are variables, ``streams`` is Python for a tuple."""


# --- what messages there are ---


def headers(root: type[Packet]) -> dict[bytes, tuple[type[Packet], int]]:
    """Every header that a node takes: the layer of the body and the version.

    Raises TypeError where the first layer has no type or no version.
    """
    versions = _names(root, VERSION)
    return {
        bytes(root(**_header(version, kind))): (layer, int(version))
        for kind, layer in bodies(root).items()
        for version in versions
    }


def _header(version: int, kind: int) -> dict[str, FieldValue]:
    return {VERSION: version, TYPE: kind}


def _names(root: type[Packet], name: str) -> dict[int, str]:
    """What the values of a header's field are called."""
    for field in root.fields_desc:
        if field.name == name and type(field) is KnownByteField:
            return field.i2s
    raise TypeError(f"{root.__name__}: the header of a message has a KnownByteField {name}")


def bodies(root: type[Packet]) -> dict[int, type[Packet]]:
    """The layers of bodies by type, in the order in which they were bound: those of the types that a node knows."""
    found: dict[int, type[Packet]] = {}
    for when, layer in root.payload_guess:
        if when.keys() == {TYPE} and when[TYPE] in _names(root, TYPE):
            found.setdefault(int(when[TYPE]), layer)
    return found


def check_codes(root: type[Packet], known: Container[str]) -> None:
    """Raise TypeError where careful reading of messages can give a finding code that is not ``known``."""
    for code, field, layer in codes_of([root, *bodies(root).values()]):
        if code not in known:
            raise TypeError(f"{place_of(field, layer)}: there is no finding {code!r}")


@cache
def type_name(body: type[Packet]) -> str:
    """What the protocol calls the type of a body's layer."""
    root, values = next((root, values) for root, values in body().overload_fields.items() if TYPE in values)
    return _names(root, TYPE)[int(values[TYPE])]


def fields_in(layer: type[Packet], version: int) -> list[BareField]:
    """The fields of a body in messages of ``version``, without their conditions, lists as they are in that version.

    Raises TypeError for a condition on anything else.
    """
    present = []
    for field in layer.fields_desc:
        when = condition(field, layer)
        if when is not None and when.field != VERSION:
            raise TypeError(f"{place_of(inner(field), layer)}: readers of messages know conditions on {VERSION} only")
        if when is None or when.holds(version):
            present.append(FACTS.of(inner(field), layer).in_version(inner(field), version))
    return present


# --- readers ---


def _block_reader(field: BlocksField) -> Callable[[bytes, int, int], tuple[bytes, int]]:
    """A function that reads the blocks of a stream and gives what they hold, and where they end."""
    kind, length, packed = field.kind, field.length, field.data
    source = PythonSource()
    unpack = source.name(length.struct.unpack_from, "unpack")
    source.add("def read_blocks(_data, _pos, _limit):")
    source.depth = 1
    source.add("_parts, _end = [], len(_data)", "while True:")
    source.depth = 2
    source.add("_kind = _data[_pos]", f"if _kind == {int(field.last.equals)}:", "    break")
    source.add(f"_size, = {unpack}(_data, _pos + {kind.sz})", f"_start = _pos + {kind.sz + length.sz}")
    source.add("_pos = _start + _size", "if _pos > _end:", "    raise ValueError")
    for index, (value, unpacker) in enumerate(packed.packings.items()):
        data = "_data[_start:_pos]"
        part = data if unpacker is as_is else f"{source.name(unpacker, 'unpacker')}({data})"
        source.add(f"{'elif' if index else 'if'} _kind == {value}:", f"    _parts.append({part})")
    source.add("else:", "    raise ValueError")
    source.add("_limit -= len(_parts[-1])", "if _limit < 0:", "    raise ValueError")
    source.depth = 1
    source.add(f"return b''.join(_parts), _pos + {kind.sz}")
    return source.function("read_blocks", f"reader of {field.name}")


def _read_blocks(field: BlocksField, reading: Reading) -> None:
    reading.run.finish()
    source, held = reading.source, field.holds
    read = source.name(_block_reader(field), f"read_{field.name}")
    source.add("_start = _pos", f"_{held}_held, _pos = {read}(_data, _pos, _limit)")
    stream = f"{source.name(Stream, 'Stream')}({source.name(field, field.name)}, _{held}_held, _start, _pos)"
    source.add(f"_{held}_stream = {stream}")
    reading.streams[held] = f"_{held}_stream"


def _read_items(field: ItemsField, reading: Reading) -> None:
    reading.run.finish()
    maker = cast(MessageMaker, reading.maker)
    read = reading.source.name(maker.list_reader(field), f"read_{field.name}")
    if field.name in reading.streams:
        reading.source.add(f"{field.name}, _ = {read}(_{field.name}_held, 0, None)")
    else:
        reading.source.add(f"{field.name}, _pos = {read}(_data, _pos, {field.count_from})")


MESSAGE_READ: KindTable[Read] = KindTable(
    "the fast reader of messages", {BlocksField: _read_blocks, ItemsField: _read_items}, beside=ITEM_READ
)
"""How each kind of field of a body is read fast."""


def message_source(layer: type[Packet], version: int, maker: MessageMaker) -> PythonSource:
    """The source of the reader of one type of message in one version, and the names that it uses."""
    source = PythonSource()
    source.add("def read_message(_data, _pos, _limit):")
    source.depth = 1
    fields = fields_in(layer, version)
    reading = Reading(source, maker, fields, lenient=False)
    for field in fields:
        MESSAGE_READ.of(field, layer)(field, reading)
    reading.finish()
    kept = "".join(f"{stream}, " for stream in reading.streams.values())
    source.add(f"return {maker.message(layer, version, source, f'({kept})')}")
    return source


def compile_message_reader(layer: type[Packet], version: int, maker: MessageMaker) -> MessageReader:
    """A function that reads the body of one type of message in one version.

    Raises TypeError where the layer has a field for which there is no rule.
    """
    source = message_source(layer, version, maker)
    return source.function("read_message", f"reader of {layer.__name__}")


# --- writers ---


class _WriteItems(Write[ItemsField]):
    def prepare(self, field: ItemsField, writing: Writing) -> None:
        giver = cast(MessageMaker, writing.giver)
        writers = writing.source.name(giver.item_writers(field), "writers")
        writing.source.add(f"{field.name} = {giver.value(field, writing.source)}")
        each = f"{writers}[type(_each)](_each)"
        writing.source.add(f"_{field.name}_bytes = b''.join([{each} for _each in {field.name}])")

    def write(self, field: ItemsField, writing: Writing) -> None:
        if field.name not in writing.in_blocks:
            writing.piece(f"_{field.name}_bytes")


class _WriteBlocks(Write[BlocksField]):
    def prepare(self, field: BlocksField, writing: Writing) -> None:
        writing.in_blocks.add(field.holds)

    def write(self, field: BlocksField, writing: Writing) -> None:
        writing.piece(f"{writing.source.name(field.encode, 'blocks')}(_{field.holds}_bytes)")


MESSAGE_WRITE: KindTable[Write[Any]] = KindTable(
    "the fast writer of messages", {BlocksField: _WriteBlocks(), ItemsField: _WriteItems()}, beside=ITEM_WRITE
)
"""How each kind of field of a body is written fast."""


def compile_message_writer(
    layer: type[Packet], version: int, header: bytes, maker: MessageMaker
) -> Callable[[object], bytes]:
    """A function that gives the bytes of a message of one type and version, behind its ``header``.

    Raises TypeError where the layer has a field for which there is no rule.
    """
    source = PythonSource()
    source.add("def write_message(_item):")
    source.depth = 1
    maker.opening(layer, source)
    writing = Writing(source, maker)
    writing.piece(repr(header))
    fields = fields_in(layer, version)
    for field in fields:
        MESSAGE_WRITE.of(field, layer)
    write_fields(fields, MESSAGE_WRITE, writing)
    return source.function("write_message", f"writer of {layer.__name__}")
