# SPDX-License-Identifier: GPL-2.0-or-later
"""The classes of records, and the bytes of those that stand in lists.

They are made from the layers' fields: computed fields (lengths, counts, blocks) and tags are left out, an address and
its port become one socket address, a number of an enum its name. Here is also what the compiled readers and writers
need to know to make records, and to write them (see compiler.py).
"""

from __future__ import annotations

from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Union, cast

import msgspec
from scapy.fields import ByteField, FieldLenField, LEIntField, LELongField, LEShortField
from scapy.packet import Packet

from scapy_chitchat.described.compiler import ListReader, compile_list_reader
from scapy_chitchat.described.conditions import inner
from scapy_chitchat.described.cursor import BreakOff
from scapy_chitchat.described.facts import FACTS
from scapy_chitchat.described.fields import (
    AddressField,
    IPVersionField,
    KnownByteField,
    MagicField,
    PortField,
    StringField,
    TagField,
)
from scapy_chitchat.described.kinds import KindTable
from scapy_chitchat.described.lists import BlocksField, ItemsField
from scapy_chitchat.described.messages import Stream, bodies, type_name
from scapy_chitchat.described.source import Source
from scapy_chitchat.described.writers import FAST_WRITE_FAILED, ItemWriter, compile_writer
from scapy_chitchat.net.addresses import address_bytes, address_text, join_address, split_address
from scapy_chitchat.wire import layers


class Record(msgspec.Struct, frozen=True, gc=False):
    """An item of a digest or a delta."""

    def as_dict(self) -> dict[str, Any]:
        """The record as in JSON."""
        return as_in_json(self)


class Message(Record, frozen=True, gc=False):
    """A message; its fields follow its type."""

    if TYPE_CHECKING:  # which of the last three there are depends on the type
        version: int
        type: str
        cluster_id: str
        digest: tuple[Any, ...]
        delta: tuple[Any, ...]

    def as_dict(self) -> dict[str, Any]:
        """The message as in JSON: version, type, and what the type has of cluster_id, digest and delta."""
        return as_in_json(self)


def as_in_json(value: Any) -> dict[str, Any]:
    """A record, or a dict of values of records, as JSON has it."""
    return msgspec.json.decode(msgspec.json.encode(value))  # type: ignore[no-any-return]


# --- what becomes of each kind of field ---


class InRecord:
    """How a kind of field stands in a record. By default it is a number under its own name."""

    is_list = False

    def name(self, field: Any) -> str:
        """The name of the value."""
        return field.name  # type: ignore[no-any-return]

    def type(self, field: Any) -> Any:
        """Its type."""
        return int

    def expression(self, field: Any, source: Source) -> str:
        """Python for the value, from the variables of a compiled reader."""
        return field.name  # type: ignore[no-any-return]

    def value(self, field: Any, values: dict[str, Any]) -> Any:
        """The value, from those that a careful reader found."""
        return values[field.name]

    def layer_values(self, field: Any, value: Any) -> dict[str, Any]:
        """What the fields of a layer hold for it. Raises ValueError for a value of another kind."""
        if not isinstance(value, int):
            raise ValueError(f"{value!r} is no number")
        return {field.name: value}


class _Text(InRecord):
    def type(self, field: Any) -> Any:
        return str

    def layer_values(self, field: Any, value: Any) -> dict[str, Any]:
        if not isinstance(value, str):
            raise ValueError(f"{value!r} is no text")
        value.encode()
        return {field.name: value}


class _Known(InRecord):
    """A number of an enum as its name."""

    def type(self, field: Any) -> Any:
        return Literal[tuple(field.i2s.values())]

    def expression(self, field: Any, source: Source) -> str:
        return f"{source.name(field.i2s, 'names')}[{field.name}]"

    def value(self, field: Any, values: dict[str, Any]) -> Any:
        return field.i2s[values[field.name]]

    def layer_values(self, field: Any, value: Any) -> dict[str, Any]:
        if not isinstance(value, str):
            raise ValueError(f"{value!r} is no text")
        if value not in field.s2i:
            raise ValueError(f"{value!r} is none of {', '.join(field.s2i)}")
        return {field.name: field.s2i[value]}


class _Address(InRecord):
    """An address and its port as one socket address."""

    def name(self, field: Any) -> str:
        return field.joined_as  # type: ignore[no-any-return]

    def type(self, field: Any) -> Any:
        return str

    def expression(self, field: Any, source: Source) -> str:
        return f"{source.name(_socket_addresses, 'addresses')}[{field.name}_raw]"

    def value(self, field: Any, values: dict[str, Any]) -> Any:
        return join_address(values[field.name], values[field.port])

    def layer_values(self, field: Any, value: Any) -> dict[str, Any]:
        if not isinstance(value, str):
            raise ValueError(f"{value!r} is no text")
        raw, port = _split(value)
        return {field.name: address_text(raw), field.port: port}


class _Items(InRecord):
    is_list = True

    def type(self, field: Any) -> Any:
        return tuple[Union[tuple(map(record_class, field.all_layers()))], ...]  # type: ignore[misc]  # noqa: UP007

    def expression(self, field: Any, source: Source) -> str:
        return f"tuple({field.name})"

    def value(self, field: Any, values: dict[str, Any]) -> Any:
        return tuple(values[field.name])

    def layer_values(self, field: Any, value: Any) -> dict[str, Any]:
        for item in value:
            if type(item) not in item_writers(field):
                raise ValueError(f"{item!r} does not belong there")
            item_bytes(item)
        return {field.name: value}


_NUMBER = InRecord()

IN_RECORD: KindTable[InRecord | None] = KindTable(
    "the records",
    {
        ByteField: _NUMBER,
        LEShortField: _NUMBER,
        LEIntField: _NUMBER,
        LELongField: _NUMBER,
        StringField: _Text(),
        KnownByteField: _Known(),
        AddressField: _Address(),
        ItemsField: _Items(),
        # what follows from other values, from the layer, or is part of an address
        FieldLenField: None,
        IPVersionField: None,
        BlocksField: None,
        TagField: None,
        MagicField: None,
        PortField: None,
    },
)
"""How each kind of field stands in a record; None: it says nothing that no other field says."""


def record_fields(layer: type[Packet]) -> list[tuple[Any, InRecord]]:
    """The fields that a record of ``layer`` has a value for, in wire order. Raises UnknownKindError."""
    found = [(field, IN_RECORD.of(field, layer)) for field in map(inner, layer.fields_desc)]
    return [(field, kind) for field, kind in found if kind is not None]


def message_fields(layer: type[Packet]) -> list[tuple[Any, InRecord]]:
    """The same of a message. Lists come last."""
    return sorted(record_fields(layer), key=lambda entry: entry[1].is_list)


# --- the classes ---


LAYERS: dict[type[Record], type[Packet]] = {}
"""The layer of each class of items and messages."""


@cache
def record_class(layer: type[Packet]) -> type[Record]:
    """The record class of an item's layer: the same name, and in JSON, where the layer has a tag, its ``op``."""
    tag = layer.fields_desc[0]
    tagged: Any = {"tag_field": "op", "tag": cast(TagField, tag).default_name()} if FACTS.of(tag).is_tag else {}
    fields = [(kind.name(field), kind.type(field)) for field, kind in record_fields(layer)]
    made = cast(
        type[Record],
        msgspec.defstruct(layer.__name__, fields, bases=(Record,), module=__name__, frozen=True, gc=False, **tagged),
    )
    LAYERS[made] = layer
    return made


@cache
def message_class(layer: type[Packet]) -> type[Message]:
    """The record class of a message's layer. Lists come last."""
    name = type_name(layer)
    values = ((kind.name(field), kind.type(field)) for field, kind in message_fields(layer))
    fields: list[Any] = [("version", int), ("type", Literal[name]), *values]
    made = cast(
        type[Message], msgspec.defstruct(name, fields, bases=(Message,), module=__name__, frozen=True, gc=False)
    )
    LAYERS[made] = layer
    return made


def json_names(root: type[Packet] = layers.Chitchat) -> dict[str, set[str]]:
    """The names in the JSON of messages behind a header; where there are items, the names in theirs."""
    names: dict[str, set[str]] = {"version": set(), "type": set()}
    for layer in bodies(root).values():
        for field, kind in record_fields(layer):
            below = names.setdefault(kind.name(field), set())
            for item in map(record_class, FACTS.of(field).items(field)):
                tag = item.__struct_config__.tag_field
                below.update(item.__struct_fields__, [tag] if tag else [])
    return names


class Decoded(NamedTuple):
    """A message, where it ends, and its compressed streams."""

    message: Message
    end: int
    streams: tuple[Stream, ...]


# --- items: what the compiled readers and writers need to know ---


class _SocketAddresses(dict[bytes, str]):
    """Socket addresses as text, by their bytes on the wire: the same few come again in every message."""

    most = 65536

    def __missing__(self, raw: bytes) -> str:
        if len(self) >= self.most:
            self.clear()
        text = self[raw] = join_address(address_text(raw[: -_PORT.size]), _PORT.unpack(raw[-_PORT.size :])[0])
        return text


_PORT = PortField("port", 0).struct
_socket_addresses = _SocketAddresses()


@lru_cache(maxsize=65536)
def _split(address: str) -> tuple[bytes, int]:
    """The bytes of a socket address and its port. Raises ValueError for what records would write otherwise."""
    ip, port = split_address(address)
    if port is None or join_address(ip, port) != address:
        raise ValueError(f"{address!r} is no IP address with a port")
    return address_bytes(ip), port


def sort_key(entry: Any) -> tuple[Any, ...]:
    """What a node sorts the entries of a digest by: node_id, generation_id, then IPv4 before IPv6, address, port."""
    ip, port = _split(entry.gossip_advertise_addr)
    return entry.node_id, entry.generation_id, len(ip), ip, port


class _RecordSink:
    """Makes records of what a reader finds, and gives a writer the values of a record."""

    joins_ports = True
    text_errors = "strict"

    def expression(self, layer: type[Packet], source: Source) -> str:
        """A call of the record's class."""
        values = [kind.expression(field, source) for field, kind in record_fields(layer)]
        return f"{source.name(record_class(layer), layer.__name__)}({', '.join(values)})"

    def message(self, layer: type[Packet], version: int, source: Source, streams: str) -> str:
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

    def address(self, field: Any, source: Source) -> str | None:
        """Nothing: the address becomes text together with its port."""
        return None

    def opening(self, layer: type[Packet], source: Source) -> None:
        """Split each socket address once."""
        for field in map(inner, layer.fields_desc):
            if type(field) is AddressField:
                split = source.name(_split, "split")
                source.add(f"_{field.name}, _{field.port} = {split}(_item.{field.joined_as})")

    def value(self, field: Any, source: Source) -> str:
        """An attribute of the record."""
        return f"_item.{field.name}"

    def known_value(self, field: Any, source: Source) -> str:
        """The number of a name."""
        return f"{source.name(field.s2i, 'numbers')}[_item.{field.name}]"

    def address_bytes(self, field: Any, source: Source) -> str:
        """Of the socket address, split."""
        return f"_{field.name}"

    port = address_bytes

    def make(self, layer: type[Packet], values: dict[str, Any]) -> Any:
        """A record of the values of all fields."""
        return record_class(layer)(*(kind.value(field, values) for field, kind in record_fields(layer)))

    def make_block(self, layer: type[Packet], values: dict[str, Any]) -> None:
        """Nothing: records know what the blocks hold."""

    def leftover(self, trouble: BreakOff, rest: bytes) -> None:
        """Nothing: a strict reader stops at the first trouble."""

    def read_list(self, field: ItemsField, data: bytes, pos: int, count: int | None) -> tuple[list[Any], int]:
        """The items of ``field`` by its compiled reader."""
        return list_reader(field)(data, pos, count)


RECORDS = _RecordSink()
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
    return {made: WRITERS[made] for made in map(record_class, field.layers)}


def item_bytes(item: Record) -> bytes:
    """The bytes of an item in a list or a stream. Raises ValueError for a value that no wire can hold."""
    try:
        return WRITERS[type(item)](item)
    except FAST_WRITE_FAILED as error:
        raise ValueError(_why_unwritable(item, error)) from None


def _why_unwritable(item: Record, error: Exception) -> str:
    """The value that no wire can hold."""
    layer = LAYERS.get(type(item))
    if layer is None or isinstance(item, Message):
        return f"{item!r} is no item of a digest or a delta"
    values: dict[str, Any] = {}
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


# pickle finds a class by its name in its module
_MADE = (*map(record_class, layers.ITEMS), *map(message_class, layers.MESSAGES.values()))
globals().update({made.__name__: made for made in _MADE})
