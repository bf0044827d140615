# SPDX-License-Identifier: GPL-2.0-or-later
"""What the compiled readers and writers need to know to make records, and to write them (see compiler.py).

Which values a record has is said in values.py, the classes are written out in classes.py. Here is also the way back:
the bytes of a record that stands in a list, and what is wrong with one that no wire can hold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache, lru_cache
from typing import Any

from scapy.packet import Packet

from scapy_chitchat.described.compiler import FAST_WRITE_FAILED, ListReader, Source, compile_list_reader, compile_writer
from scapy_chitchat.described.cursor import BreakOff
from scapy_chitchat.described.fields import (
    AddressField,
    KnownByteField,
    PortField,
    StringField,
)
from scapy_chitchat.described.lists import ItemsField
from scapy_chitchat.net.addresses import address_bytes, address_text, join_address, split_address
from scapy_chitchat.records.base import Record
from scapy_chitchat.records.classes import ITEM_CLASSES
from scapy_chitchat.records.generate import item_source, made_for
from scapy_chitchat.records.values import values_of
from scapy_chitchat.wire import layers

# --- the classes ---


@cache
def record_class(layer: type[Packet]) -> type[Record]:
    """The record class of an item's layer; for one of another description it is made when it is first asked for."""
    return ITEM_CLASSES.get(layer) or made_for(item_source(layer), layer.__name__)


def json_names() -> dict[str, set[str]]:
    """The names in the JSON of messages; where there are items, the names in theirs."""
    names: dict[str, set[str]] = {"version": set(), "type": set()}
    for layer in layers.MESSAGES.values():
        for value in values_of(layer):
            below = names.setdefault(value.name, set())
            for item in map(record_class, value.field.layers) if isinstance(value.field, ItemsField) else ():
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
        for name, _, _, field in values_of(layer):
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
    for name, _, _, field in values_of(layer):
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
    for name, _, _, field in values_of(layer):
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
