# SPDX-License-Identifier: GPL-2.0-or-later
"""The classes of records, and the bytes of those that stand in lists.

They are made from the layers' fields: computed fields (lengths, counts, blocks) and tags are left out, an address and
its port become one socket address, a number of an enum its name. Here is also what the compiled readers and writers
need to know to make records, and to write them (see compiler.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, Literal, Union, cast

import msgspec
from scapy.packet import Packet

from scapy_chitchat.described.compiler import FAST_WRITE_FAILED, ListReader, Source, compile_list_reader, compile_writer
from scapy_chitchat.described.cursor import BreakOff
from scapy_chitchat.described.fields import (
    AddressField,
    KnownByteField,
    MagicField,
    PortField,
    StringField,
    TagField,
    inner,
    measured_by,
)
from scapy_chitchat.described.lists import ItemsField
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


# --- the classes ---


def _is_plain(field: Any) -> bool:
    """Whether a field says something that no other field says."""
    return not (measured_by(field) or isinstance(field, (TagField, MagicField, PortField)))


def _record_fields(layer: type[Packet]) -> Iterator[tuple[str, Any, Any]]:
    """Name, type and field of each value of a record of ``layer``, in wire order."""
    for field in map(inner, layer.fields_desc):
        if not _is_plain(field):
            continue
        if isinstance(field, AddressField):
            yield field.joined_as, str, field
        elif isinstance(field, StringField):
            yield field.name, str, field
        elif isinstance(field, KnownByteField):
            yield field.name, Literal[tuple(field.i2s.values())], field
        elif isinstance(field, ItemsField):
            yield field.name, _tuple_of(field), field
        else:
            yield field.name, int, field


def _tuple_of(field: ItemsField) -> Any:
    return tuple[Union[tuple(record_class(layer) for layer in field.layers)], ...]  # type: ignore[misc]  # noqa: UP007


@cache
def record_class(layer: type[Packet]) -> type[Record]:
    """The record class of an item's layer: the same name, and in JSON, where the layer has a tag, its ``op``."""
    tag = layer.fields_desc[0]
    tagged: Any = {"tag_field": "op", "tag": tag.default_name()} if isinstance(tag, TagField) else {}
    fields = [(name, kind) for name, kind, _ in _record_fields(layer)]
    made = msgspec.defstruct(layer.__name__, fields, bases=(Record,), module=__name__, frozen=True, gc=False, **tagged)
    return cast(type[Record], made)


@cache
def message_class(layer: type[Packet]) -> type[Message]:
    """The record class of a message's layer. Lists come last."""
    named = sorted(_record_fields(layer), key=lambda entry: isinstance(entry[2], ItemsField))
    name = layers.TYPE_NAMES[layer]
    fields: list[Any] = [("version", int), ("type", Literal[name]), *((name, kind) for name, kind, _ in named)]
    made = msgspec.defstruct(name, fields, bases=(Message,), module=__name__, frozen=True, gc=False)
    return cast(type[Message], made)


def json_names() -> dict[str, set[str]]:
    """The names in the JSON of messages; where there are items, the names in theirs."""
    names: dict[str, set[str]] = {"version": set(), "type": set()}
    for layer in layers.MESSAGES.values():
        for name, _, field in _record_fields(layer):
            below = names.setdefault(name, set())
            for item in map(record_class, field.layers) if isinstance(field, ItemsField) else ():
                tag = item.__struct_config__.tag_field
                below.update(item.__struct_fields__, [tag] if tag else [])
    return names


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
        values = []
        for name, _, field in _record_fields(layer):
            if isinstance(field, AddressField):
                values.append(f"{source.name(_socket_addresses, 'addresses')}[{field.name}_raw]")
            elif isinstance(field, KnownByteField):
                values.append(f"{source.name(field.i2s, 'names')}[{name}]")
            else:
                values.append(name)
        return f"{source.name(record_class(layer), layer.__name__)}({', '.join(values)})"

    def address(self, field: AddressField, source: Source) -> str | None:
        """Nothing: the address becomes text together with its port."""
        return None

    def opening(self, layer: type[Packet], source: Source) -> None:
        """Split the socket address once."""
        for field in layer.fields_desc:
            if isinstance(field, AddressField):
                source.add(f"_ip, _port = {source.name(_split, 'split')}(_item.{field.joined_as})")

    def value(self, field: Any, source: Source) -> str:
        """An attribute of the record, as it is on the wire."""
        if isinstance(field, AddressField):
            return "_ip"
        if isinstance(field, PortField):
            return "_port"
        if isinstance(field, KnownByteField):
            return f"{source.name(field.s2i, 'numbers')}[_item.{field.name}]"
        return f"_item.{field.name}"

    def make(self, layer: type[Packet], values: dict[str, Any]) -> Any:
        """A record of the values of all fields; for a block, of which records know nothing, None."""
        if layer is layers.Block:
            return None
        return record_class(layer)(*_values_of_record(layer, values))

    def leftover(self, trouble: BreakOff, rest: bytes) -> None:
        """Nothing: a strict reader stops at the first trouble."""

    def read_list(self, field: ItemsField, data: bytes, pos: int, count: int | None) -> tuple[list[Any], int]:
        """The items of ``field`` by its compiled reader."""
        return list_reader(field)(data, pos, count)


def _values_of_record(layer: type[Packet], values: dict[str, Any]) -> Iterator[Any]:
    for name, _, field in _record_fields(layer):
        if isinstance(field, AddressField):
            yield join_address(values[field.name], values[field.port])
        elif isinstance(field, KnownByteField):
            yield field.i2s[values[name]]
        else:
            yield values[name]


RECORDS = _RecordSink()
"""What becomes of what a reader finds: records."""


@cache
def list_reader(field: ItemsField) -> ListReader:
    """The compiled reader of a list, which makes records."""
    return compile_list_reader(field, RECORDS)


# --- the bytes of items ---

_ITEM_LAYERS: dict[type[Record], Any] = {record_class(layer): layer for layer in layers.ITEMS}
WRITERS: dict[type[Record], Callable[[Any], bytes]] = {
    record_class(layer): compile_writer(layer, RECORDS) for layer in layers.ITEMS
}
"""The compiled writer of each kind of item."""


def item_bytes(item: Record) -> bytes:
    """The bytes of an item in a list or a stream. Raises ValueError for a value that no wire can hold."""
    try:
        return WRITERS[type(item)](item)
    except FAST_WRITE_FAILED as error:
        raise ValueError(_why_unwritable(item, error)) from None


def _why_unwritable(item: Record, error: Exception) -> str:
    """The value that no wire can hold."""
    layer = _ITEM_LAYERS.get(type(item))
    if layer is None:
        return f"{item!r} is no item of a digest or a delta"
    values: dict[str, Any] = {}
    for name, _, field in _record_fields(layer):
        try:
            values.update(_layer_values(field, getattr(item, name)))
        except ValueError as told:
            return f"{layer.__name__}.{name}: {told}"
    try:
        bytes(layer(**values))  # lengths, and numbers that are too large: the layer knows
    except ValueError as told:
        return str(told)
    return f"{layer.__name__}: {error}"


def _layer_values(field: Any, value: Any) -> dict[str, Any]:
    """What the fields of a layer hold for a value of a record. Raises ValueError for a value of another kind."""
    is_text = isinstance(field, (AddressField, StringField, KnownByteField))
    if not isinstance(value, str if is_text else int):
        raise ValueError(f"{value!r} is no {'text' if is_text else 'number'}")
    if isinstance(field, AddressField):
        raw, port = _split(value)
        return {field.name: address_text(raw), field.port: port}
    if isinstance(field, StringField):
        str(value).encode()
    elif isinstance(field, KnownByteField):
        if value not in field.s2i:
            raise ValueError(f"{value!r} is none of {', '.join(field.s2i)}")
        return {field.name: field.s2i[value]}
    return {field.name: value}


# pickle finds a class by its name in its module
globals().update({made.__name__: made for made in (*_ITEM_LAYERS, *map(message_class, layers.MESSAGES.values()))})
