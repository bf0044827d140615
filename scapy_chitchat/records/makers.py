# SPDX-License-Identifier: GPL-2.0-or-later
"""What the compiled readers and writers need to know to make records, and to write them (see described/compiler.py).

Which values a record has is said in values.py, the classes are written out in classes.py. Here is also the way back:
the bytes of a record that stands in a list, and what is wrong with one that no wire can hold.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

from scapy.packet import Packet

from scapy_chitchat.described.compiler import ListReader, compile_list_reader
from scapy_chitchat.described.conditions import inner
from scapy_chitchat.described.cursor import BreakOff
from scapy_chitchat.described.facts import FACTS
from scapy_chitchat.described.fields import AddressField, KnownByteField
from scapy_chitchat.described.kinds import BareField, FieldValue
from scapy_chitchat.described.lists import ItemsField
from scapy_chitchat.described.messages import Stream, bodies, type_name
from scapy_chitchat.described.source import PythonSource
from scapy_chitchat.described.writers import FAST_WRITE_FAILED, ItemWriter, compile_writer
from scapy_chitchat.records.addresses import split_socket_address
from scapy_chitchat.records.base import Record
from scapy_chitchat.records.classes import ITEM_CLASSES, MESSAGE_CLASSES, Message
from scapy_chitchat.records.generate import item_source, made_for, message_source
from scapy_chitchat.records.values import Carried, carried_by, message_fields, record_fields
from scapy_chitchat.wire import layers

# --- the classes ---


LAYERS: dict[type[Record], type[Packet]] = {
    made: layer for classes in (ITEM_CLASSES, MESSAGE_CLASSES) for layer, made in classes.items()
}
"""The layer of each class of items and messages."""


def record_class(layer: type[Packet], of: ItemsField | None = None) -> type[Record]:
    """The class of an item's layer; for a layer of another description it is made when it is first asked for.

    ``of``: the list, from whose sections items carry something.
    """
    return ITEM_CLASSES.get(layer) or _item_class(layer, carried_by(layer, of))


@cache
def _item_class(layer: type[Packet], carried: Carried) -> type[Record]:
    return _made_for(layer, item_source(layer, carried), layer.__name__)


@cache
def message_class(layer: type[Packet]) -> type[Record]:
    """The class of a message's layer; for a layer of another description it is made when it is first asked for."""
    return MESSAGE_CLASSES.get(layer) or _made_for(layer, message_source(layer), type_name(layer))


def _made_for(layer: type[Packet], source: str, name: str) -> type[Record]:
    made = made_for(source, name)
    LAYERS[made] = layer
    return made


def json_names(root: type[Packet] = layers.Chitchat) -> dict[str, set[str]]:
    """The names in the JSON of messages behind a header; where there are items, the names in theirs."""
    names: dict[str, set[str]] = {"version": set(), "type": set()}
    for layer in bodies(root).values():
        for field, kind in record_fields(layer):
            below = names.setdefault(kind.name(field), set())
            for item in (record_class(each, kind.items(field)) for each in FACTS.of(field).items(field)):
                tag = item.__struct_config__.tag_field
                below.update(item.__struct_fields__, [tag] if tag else [])
    return names


class Decoded(NamedTuple):
    """A message, where it ends, and its compressed streams."""

    message: Message
    end: int
    streams: tuple[Stream, ...]


# --- items: what the compiled readers and writers need to know ---


class RecordSink:
    """Makes records of what a reader finds, and gives a writer the values of a record."""

    joins_ports = True
    text_errors = "strict"

    def expression(self, field: ItemsField, layer: type[Packet], source: PythonSource) -> str:
        """A call of the record's class."""
        values = [kind.expression(each, source) for each, kind in record_fields(layer)]
        made = source.name(record_class(layer, field), layer.__name__)
        return f"{made}({', '.join([*values, *field.carried_by(layer)])})"

    def message(self, layer: type[Packet], version: int, source: PythonSource, streams: str) -> str:
        """A call of the message's class, with where it ends and its streams."""
        values = [kind.expression(field, source) for field, kind in message_fields(layer)]
        arguments = ", ".join([str(version), repr(type_name(layer)), *values])
        message = f"{source.name(message_class(layer), 'Message')}({arguments})"
        return f"{source.name(Decoded, 'Decoded')}({message}, _pos, {streams})"

    def list_reader(self, field: ItemsField) -> ListReader:
        """The compiled reader of a list."""
        return list_reader(field)

    def item_writers(self, field: ItemsField) -> dict[type[Record], ItemWriter]:
        """The writers of what may stand in a list."""
        return item_writers(field)

    def address(self, field: AddressField, source: PythonSource) -> str | None:
        """Nothing: the address becomes text together with its port."""
        return None

    def opening(self, layer: type[Packet], source: PythonSource) -> None:
        """Split each socket address once."""
        for field in map(inner, layer.fields_desc):
            if type(field) is AddressField:
                split = source.name(split_socket_address, "split")
                source.add(f"_{field.name}, _{field.port} = {split}(_item.{field.joined_as})")

    def value(self, field: BareField, source: PythonSource) -> str:
        """An attribute of the record."""
        return f"_item.{field.name}"

    def known_value(self, field: KnownByteField, source: PythonSource) -> str:
        """The number of a name."""
        return f"{source.name(field.s2i, 'numbers')}[_item.{field.name}]"

    def address_bytes(self, field: BareField, source: PythonSource) -> str:
        """Of the socket address, split."""
        return f"_{field.name}"

    port = address_bytes

    def make(
        self, field: ItemsField, layer: type[Packet], values: dict[str, object], carried: tuple[object, ...]
    ) -> Record:
        """A record of the values of all fields."""
        own = [kind.value(each, values) for each, kind in record_fields(layer)]
        return record_class(layer, field)(*own, *(carried if field.carried_by(layer) else ()))

    def make_block(self, layer: type[Packet], values: dict[str, object]) -> None:
        """Nothing: records know what the blocks hold."""

    def leftover(self, trouble: BreakOff, rest: bytes) -> None:
        """Nothing: a strict reader stops at the first trouble."""

    def read_list(
        self, field: ItemsField, data: bytes, pos: int, count: int | None, carried: tuple[object, ...] = ()
    ) -> tuple[list[Record], int]:
        """The items of ``field`` by its compiled reader."""
        return list_reader(field)(data, pos, count, *carried)


RECORDS = RecordSink()
"""What becomes of what a reader finds: records."""


@cache
def list_reader(field: ItemsField) -> ListReader:
    """The compiled reader of a list, which makes records."""
    return compile_list_reader(field, RECORDS)


# --- the bytes of items ---


class _Writers(dict[type, ItemWriter]):
    """The compiled writer of each class of items; made when first wanted."""

    def __missing__(self, made: type) -> ItemWriter:
        writer = self[made] = compile_writer(LAYERS[made], RECORDS)
        return writer


WRITERS = _Writers()
"""The compiled writer of each class of items. Raises KeyError for what is no such class."""


@cache
def item_writers(field: ItemsField) -> dict[type[Record], ItemWriter]:
    """The writers of what may stand in a list, by its class."""
    return {made: WRITERS[made] for made in (record_class(layer, field) for layer in field.layers)}


def item_bytes(item: Record) -> bytes:
    """The bytes of an item in a list or a stream. Raises ValueError for a value that no wire can hold."""
    try:
        return WRITERS[type(item)](item)
    except FAST_WRITE_FAILED as error:
        raise ValueError(_why_unwritable(item, error)) from None


def _why_unwritable(item: Record, error: Exception) -> str:
    """The value that no wire can hold."""
    layer = LAYERS.get(type(item))
    if layer is None or layer in MESSAGE_CLASSES:
        return f"{item!r} is no item of a digest or a delta"
    values: dict[str, FieldValue] = {}
    for field, kind in record_fields(layer):
        name = kind.name(field)
        try:
            values.update(kind.layer_values(field, getattr(item, name)))
        except ValueError as told:
            return f"{layer.__name__}.{name}: {told}"
    try:
        bytes(layer(**values))  # lengths, and numbers that are too large: the layer knows
    except ValueError as told:
        return str(told)
    return f"{layer.__name__}: {error}"
