# SPDX-License-Identifier: GPL-2.0-or-later
"""Messages as plain records: what a node would read, fast.

Scapy packets are for hands; captures of millions of messages want something lighter. Nothing of the wire format stands
in this module. The classes of records are made from the layers' fields (see makers.py); the decoder and the
encoder are compiled from the same fields, in the same way as the readers that fill Scapy packets (see messages.py).

``decode`` accepts what a chitchat 0.13 node accepts, within the limits of protocol.py. The compiled decoder knows only
the good way; whatever it stumbles over is read again field by field by the strict careful reader (see cursor.py), which
tells code, offset and reason, and what could be read before.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from typing import cast

import msgspec
from scapy.packet import Packet

from scapy_chitchat.described.careful import pull_fields
from scapy_chitchat.described.conditions import ABSENT
from scapy_chitchat.described.cursor import BreakOff, Cursor, Scope
from scapy_chitchat.described.facts import FACTS, measured_by
from scapy_chitchat.described.kinds import BareField, FieldValue
from scapy_chitchat.described.lists import FAST_READ_FAILED, ItemsField
from scapy_chitchat.described.messages import (
    Stream,
    bodies,
    compile_message_reader,
    compile_message_writer,
    fields_in,
    headers,
    type_name,
)
from scapy_chitchat.described.writers import FAST_WRITE_FAILED
from scapy_chitchat.records.base import JsonObject, Record, as_in_json
from scapy_chitchat.records.classes import Message
from scapy_chitchat.records.makers import (
    LAYERS,
    RECORDS,
    Decoded,
    item_bytes,
    item_writers,
    message_class,
)
from scapy_chitchat.records.sequence import check_sequence
from scapy_chitchat.records.values import IN_RECORD, InRecord, message_fields
from scapy_chitchat.wire import layers
from scapy_chitchat.wire.protocol import STREAM_LIMIT


class DecodeError(ValueError):
    """A node refuses the message.

    ``code`` is one of the finding codes, ``offset`` counts in the message or, where ``stream`` names a field, in the
    decompressed bytes of that field. ``partial`` is what was read before, with the keys of the message's JSON.
    """

    def __init__(self, code: str, offset: int, reason: str, stream: str | None = None) -> None:
        super().__init__(code, offset, reason, stream)
        self.code = code
        self.offset = offset
        self.reason = reason
        self.stream = stream
        self._read: dict[str, object] = {}

    @classmethod
    def of(cls, trouble: BreakOff, read: dict[str, object]) -> DecodeError:
        """The error for this trouble, behind what was ``read`` before."""
        error = cls(trouble.code, trouble.offset, trouble.reason, trouble.stream)
        error._read = read
        return error

    def __str__(self) -> str:
        return str(BreakOff(self.code, self.offset, self.reason, self.stream))

    @property
    def partial(self) -> JsonObject:
        """What was read before; worked out when asked for."""
        return as_in_json(self._read)


class Codec:
    """Messages of one description, by its first layer, as records and back.

    Raises TypeError where something in the layers has no rule.
    """

    def __init__(self, root: type[Packet]) -> None:
        self.root = root
        self.headers = headers(root)
        self._header_size = len(next(iter(self.headers)))
        self._bodies = bodies(root)
        self._readers = {
            header: compile_message_reader(layer, version, RECORDS) for header, (layer, version) in self.headers.items()
        }
        self._writers: dict[tuple[type, int], Callable[[object], bytes]] = {
            (message_class(layer), version): compile_message_writer(layer, version, header, RECORDS)
            for header, (layer, version) in self.headers.items()
        }

    def read(self, data: bytes, limit: int) -> Decoded:
        """The message in a datagram. Raises DecodeError with the exact place."""
        try:
            return self._readers[data[: self._header_size]](data, self._header_size, limit)  # type: ignore[no-any-return]
        except (*FAST_READ_FAILED, TypeError):  # bytes of another kind cannot be looked up
            pass
        return self._read_carefully(bytes(data), limit)

    def _read_carefully(self, data: bytes, limit: int) -> Decoded:
        cursor = Cursor(data, strict=True, limit=limit)
        header: dict[str, FieldValue] = {}
        body: dict[str, object] = {}
        layer: type[Packet] | None = None
        try:
            pull_fields(self.root, cursor, Scope(header), RECORDS)
            layer = self._bodies[header["type"]]
            scope = Scope(body, Scope(header))
            pull_fields(layer, cursor, scope, RECORDS)
            values = (kind.value(field, body) for field, kind in message_fields(layer))
            message = cast(Message, message_class(layer)(header["version"], type_name(layer), *values))
            streams = (Stream(held.field, bytes(held.data), held.start, held.end) for held in scope.held.values())
            return Decoded(message, cursor.pos, tuple(streams))
        except BreakOff as trouble:
            raise DecodeError.of(trouble, _as_far_as_read(layer, header, body)) from None

    def write(self, message: Message) -> bytes:
        """The bytes that a node would have sent. Raises ValueError for a value that no wire can hold."""
        try:
            return self._writers[type(message), message.version](message)
        except FAST_WRITE_FAILED as error:
            raise ValueError(self._why_unencodable(message, error)) from None

    def _why_unencodable(self, message: Message, error: Exception) -> str:
        """The first value that no wire can hold."""
        layer = LAYERS.get(type(message))
        if layer is None or layer not in self._bodies.values():
            return f"{message!r} is no message"
        if message.version not in [version for _, version in self.headers.values()]:
            return f"version: there is no {message.version!r}"
        for field in fields_in(layer, message.version):
            try:
                _write_alone(field, message)
            except ValueError as told:
                return str(told)
        return str(error)


def _as_far_as_read(
    layer: type[Packet] | None, header: dict[str, FieldValue], body: dict[str, object]
) -> dict[str, object]:
    """What was read of a message that a node refuses, in the order of its JSON."""
    if layer is None:
        return {}
    read = {
        kind.name(field): kind.value(field, body)
        for field, kind in message_fields(layer)
        if body.get(field.name, ABSENT) is not ABSENT
    }
    return {"version": header["version"], "type": type_name(layer), **read}


def _write_alone(field: BareField, message: Message) -> None:
    """Raises ValueError where this field of a message cannot be written."""
    kind = IN_RECORD.of(field)
    measured = measured_by(field)
    items = None if kind is None else kind.items(field)
    if kind is not None and items is not None:
        _write_items(items, getattr(message, kind.name(field)))
    elif kind is not None:
        _write_value(field, kind, getattr(message, kind.name(field)))
    elif measured and not FACTS.of(field).holds_packets and hasattr(message, measured):
        value = getattr(message, measured)
        try:
            size = len(value.encode() if isinstance(value, str) else value)
            field.struct.pack(size)
        except (UnicodeEncodeError, TypeError) as told:
            raise ValueError(f"{measured}: {told}") from None
        except struct.error:
            raise ValueError(f"{measured}: {size:,} is more than {field.name} can say") from None


def _write_items(field: ItemsField, items: Iterable[Record]) -> None:
    for item in items:
        if type(item) not in item_writers(field):
            raise ValueError(f"{field.name}: {item!r} does not belong there")
        item_bytes(item)


def _write_value(field: BareField, kind: InRecord[BareField], value: object) -> None:
    try:
        for number in kind.layer_values(field, value).values():
            if isinstance(number, int):
                field.struct.pack(number)
    except (ValueError, struct.error) as told:
        raise ValueError(f"{kind.name(field)}: {told}") from None


# --- messages of chitchat ---

_CHITCHAT = Codec(layers.Chitchat)


def decode(data: bytes, *, limit: int = STREAM_LIMIT) -> Message:
    """The message in a datagram, when a chitchat 0.13 node would take it.

    Bytes behind a whole message are ignored, as a node does. ``limit`` bounds the decompressed bytes of each stream.
    Raises DecodeError, with the code of the first thing that a node refuses, or ``stream-limit``, which is no node's
    verdict, where a stream holds more than ``limit`` bytes or 250,000 items.
    """
    return decode_whole(data, limit).message


def decode_whole(data: bytes, limit: int = STREAM_LIMIT) -> Decoded:
    """As decode, with all that was met on the way."""
    decoded = _CHITCHAT.read(data, limit)
    if decoded.streams and hasattr(decoded.message, "delta"):
        try:
            check_sequence(decoded.message.delta)
        except BreakOff as trouble:
            raise DecodeError.of(trouble, msgspec.structs.asdict(decoded.message)) from None
    return decoded


def encode(message: Message) -> bytes:
    """The bytes that a node would have sent for this message: the blocks of its streams by the node's own rule.

    Raises ValueError for a value that no wire can hold.
    """
    return _CHITCHAT.write(message)
