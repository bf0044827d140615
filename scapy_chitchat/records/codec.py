# SPDX-License-Identifier: GPL-2.0-or-later
"""Messages as plain records: what a node would read, fast.

Scapy packets are for hands; captures of millions of messages want something lighter. Nothing of the wire format stands
in this module. The classes of records are made from the layers' fields (see record_classes.py); the decoder and the
encoder are compiled from the same fields, in the same way as the readers that fill Scapy packets (see compiler.py).

``decode`` accepts what a chitchat 0.13 node accepts, within the limits of protocol.py. The compiled decoder knows only
the good way; whatever it stumbles over is read again field by field by the strict careful reader (see cursor.py), which
tells code, offset and reason, and what could be read before.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import msgspec
from scapy.packet import Packet

from scapy_chitchat.described.compiler import FAST_WRITE_FAILED, Source
from scapy_chitchat.described.cursor import BreakOff, Cursor, Scope
from scapy_chitchat.described.fields import (
    ABSENT,
    KnownByteField,
    PackedField,
    StringField,
    condition,
    inner,
    measured_by,
    pull_fields,
)
from scapy_chitchat.described.lists import FAST_READ_FAILED, BlocksField, ItemsField
from scapy_chitchat.records.base import Record, as_in_json
from scapy_chitchat.records.classes import MESSAGE_CLASSES, Message
from scapy_chitchat.records.makers import (
    RECORDS,
    WRITERS,
    item_bytes,
    list_reader,
    record_class,
)
from scapy_chitchat.records.sequence import check_sequence
from scapy_chitchat.wire import layers
from scapy_chitchat.wire.headers import HEADER_SIZE, HEADERS
from scapy_chitchat.wire.protocol import STREAM_LIMIT, ProtocolVersion
from scapy_chitchat.wire.stream import decompress_block


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
        self._read: dict[str, Any] = {}

    @classmethod
    def of(cls, trouble: BreakOff, read: dict[str, Any]) -> DecodeError:
        """The error for this trouble, behind what was ``read`` before."""
        error = cls(trouble.code, trouble.offset, trouble.reason, trouble.stream)
        error._read = read
        return error

    def __str__(self) -> str:
        return str(BreakOff(self.code, self.offset, self.reason, self.stream))

    @property
    def partial(self) -> dict[str, Any]:
        """What was read before; worked out when asked for."""
        return as_in_json(self._read)


# --- messages: the compiled decoder ---


class Stream(NamedTuple):
    """What the blocks of a field hold, and the bytes that they take in the message."""

    field: BlocksField
    held: bytes
    start: int
    end: int


class Decoded(NamedTuple):
    """A message, where it ends, and its compressed streams."""

    message: Message
    end: int
    streams: tuple[Stream, ...]


MessageReader = Callable[[bytes, int, int], Decoded]
"""Reads the body at ``pos``, with a bound on each stream."""


def _blocks_source(field: BlocksField) -> Source:
    """The source of a function that reads the blocks of a stream and gives what they hold."""
    kind, length, packed = (inner(each) for each in field.block.fields_desc)
    if not (isinstance(kind, KnownByteField) and measured_by(length) and isinstance(packed, PackedField)):
        raise TypeError(f"{field.block.__name__}: not a type, a length and data")
    source = Source()
    unpack = source.name(length.struct.unpack_from, "unpack")
    source.add("def read_blocks(_data, _pos, _limit):")
    source.depth = 1
    source.add("_parts, _end = [], len(_data)")
    source.add("while True:")
    source.depth = 2
    source.add("_kind = _data[_pos]")
    source.add(f"if _kind == {int(field.last.equals)}:")
    source.add("    break")
    source.add(f"_size, = {unpack}(_data, _pos + {kind.sz})")
    source.add(f"_start = _pos + {kind.sz + length.sz}")
    source.add("_pos = _start + _size")
    source.add("if _pos > _end:")
    source.add("    raise ValueError")
    source.add(f"if _kind == {int(packed.zstd.equals)}:")
    source.add(f"    _parts.append({source.name(decompress_block, 'decompress_block')}(_data[_start:_pos]))")
    source.add(f"elif _kind in {source.name(kind.i2s, 'known')}:")
    source.add("    _parts.append(_data[_start:_pos])")
    source.add("else:")
    source.add("    raise ValueError")
    source.add("_limit -= len(_parts[-1])")
    source.add("if _limit < 0:")
    source.add("    raise ValueError")
    source.depth = 1
    source.add(f"return b''.join(_parts), _pos + {kind.sz}")
    return source


def _message_source(layer: type[Packet], version: int) -> Source:
    """The source of the reader of one type of message in one version."""
    source = Source()
    source.add("def read_message(_data, _pos, _limit):")
    source.depth = 1
    streams: dict[str, str] = {}
    for bare in _present(layer, version):
        if isinstance(bare, BlocksField):
            read = source.name(_compiled(_blocks_source(bare), "read_blocks"), "read_blocks")
            stream, field = source.name(Stream, "Stream"), source.name(bare, bare.name)
            source.add("_start = _pos")
            source.add(f"_held, _pos = {read}(_data, _pos, _limit)")
            source.add(f"_{bare.holds}_stream = {stream}({field}, _held, _start, _pos)")
            streams[bare.holds] = f"_{bare.holds}_stream"
        elif isinstance(bare, ItemsField):
            read = source.name(list_reader(bare), f"read_{bare.name}")
            if bare.name in streams:
                source.add(f"{bare.name}, _ = {read}(_held, 0, None)")
            else:
                source.add(f"{bare.name}, _pos = {read}(_data, _pos, {bare.count_from})")
        elif isinstance(bare, StringField):
            source.add("_start = _pos")
            source.add(f"_pos += {bare.length_from}")
            source.add("if _pos > len(_data):")
            source.add("    raise ValueError")
            source.add(f"{bare.name} = str(_data[_start:_pos], 'utf-8')")
        else:
            source.add(f"{bare.name}, = {source.name(bare.struct.unpack_from, 'unpack')}(_data, _pos)")
            source.add(f"_pos += {bare.sz}")
    made = MESSAGE_CLASSES[layer]
    values = [f"tuple({name})" if _is_list(layer, name) else name for name in made.__struct_fields__[2:]]
    arguments = ", ".join([str(version), repr(layers.TYPE_NAMES[layer]), *values])
    message = f"{source.name(made, 'Message')}({arguments})"
    kept = "".join(f"{stream}, " for stream in streams.values())
    source.add(f"return {source.name(Decoded, 'Decoded')}({message}, _pos, ({kept}))")
    return source


def _present(layer: type[Packet], version: int) -> Iterator[Any]:
    """The fields that are on the wire in messages of ``version``, without their conditions."""
    for field in layer.fields_desc:
        when = condition(field)
        if when is None or when.holds(version):
            yield inner(field)


def _is_list(layer: type[Packet], name: str) -> bool:
    return any(isinstance(inner(field), ItemsField) and field.name == name for field in layer.fields_desc)


def _compiled(source: Source, name: str) -> Any:
    names = dict(source.names)
    exec(compile(source.text(), f"<{name}>", "exec"), names)  # noqa: S102
    return names[name]


_READERS: dict[bytes, MessageReader] = {
    header: _compiled(_message_source(layers.MESSAGES[kind], version), "read_message")
    for header, (kind, version) in HEADERS.items()
}


def decode(data: bytes, *, limit: int = STREAM_LIMIT) -> Message:
    """The message in a datagram, when a chitchat 0.13 node would take it.

    Bytes behind a whole message are ignored, as a node does. ``limit`` bounds the decompressed bytes of each stream.
    Raises DecodeError, with the code of the first thing that a node refuses, or ``stream-limit``, which is no node's
    verdict, where a stream holds more than ``limit`` bytes or 250,000 items.
    """
    return decode_whole(data, limit).message


def decode_whole(data: bytes, limit: int = STREAM_LIMIT) -> Decoded:
    """As decode, with all that was met on the way."""
    try:
        decoded = _READERS[data[:HEADER_SIZE]](data, HEADER_SIZE, limit)
    except (*FAST_READ_FAILED, TypeError):
        decoded = None
    if decoded is None:
        decoded = _decode_carefully(bytes(data), limit)
    if decoded.streams and hasattr(decoded.message, "delta"):
        try:
            check_sequence(decoded.message.delta)
        except BreakOff as trouble:
            raise DecodeError.of(trouble, msgspec.structs.asdict(decoded.message)) from None
    return decoded


def _decode_carefully(data: bytes, limit: int) -> Decoded:
    """Read field by field. Raises DecodeError with the exact place."""
    cursor = Cursor(data, strict=True, limit=limit)
    header: dict[str, Any] = {}
    body: dict[str, Any] = {}
    layer: type[Packet] | None = None
    try:
        pull_fields(layers.Chitchat, cursor, Scope(header), RECORDS)
        layer = layers.MESSAGES[header["type"]]
        scope = Scope(body, Scope(header))
        pull_fields(layer, cursor, scope, RECORDS)
        message = MESSAGE_CLASSES[layer](*_arguments(layer, header, body))
        streams = (Stream(held.field, bytes(held.data), held.start, held.end) for held in scope.held.values())
        return Decoded(message, cursor.pos, tuple(streams))
    except BreakOff as trouble:
        raise DecodeError.of(trouble, _as_far_as_read(layer, header, body)) from None


def _arguments(layer: type[Packet], header: dict[str, Any], body: dict[str, Any]) -> Iterator[Any]:
    yield header["version"]
    yield layers.TYPE_NAMES[layer]
    for name in MESSAGE_CLASSES[layer].__struct_fields__[2:]:
        yield tuple(body[name]) if _is_list(layer, name) else body[name]


def _as_far_as_read(layer: type[Packet] | None, header: dict[str, Any], body: dict[str, Any]) -> dict[str, Any]:
    """What was read of a message that a node refuses, in the order of its JSON."""
    if layer is None:
        return {}
    names = MESSAGE_CLASSES[layer].__struct_fields__[2:]
    read = {name: body[name] for name in names if body.get(name, ABSENT) is not ABSENT}
    return {"version": header["version"], "type": layers.TYPE_NAMES[layer], **read}


# --- the encoder ---


def _writers_of(field: ItemsField) -> dict[type[Record], Callable[[Any], bytes]]:
    """The writers of what may stand in a list."""
    return {kind: WRITERS[kind] for kind in map(record_class, field.layers)}


def _writing_source(layer: type[Packet], version: int) -> Source:
    """The source of the writer of one type of message in one version."""
    source = Source()
    source.add("def write_message(_message):")
    source.depth = 1
    present = list(_present(layer, version))
    in_blocks = {field.holds for field in present if isinstance(field, BlocksField)}
    parts = [repr(_HEADER_BYTES[layer, version])]
    sized: dict[str, str] = {}  # by the name of a field: the local variable whose length is written before it
    for field in present:
        if isinstance(field, StringField):
            source.add(f"{field.name} = _message.{field.name}.encode()")
            sized[field.name] = field.name
        elif isinstance(field, ItemsField):
            writers = source.name(_writers_of(field), "writers")
            source.add(f"{field.name} = _message.{field.name}")
            source.add(f"_{field.name}_bytes = b''.join([{writers}[type(_item)](_item) for _item in {field.name}])")
            sized[field.name] = f"_{field.name}_bytes" if field.name in in_blocks else field.name
    for field in present:
        if isinstance(field, BlocksField):
            parts.append(f"{source.name(field.encode, 'blocks')}({sized[field.holds]})")
        elif isinstance(field, ItemsField):
            parts.extend([] if field.name in in_blocks else [f"_{field.name}_bytes"])
        elif measured := measured_by(field):
            parts.append(f"{source.name(field.struct.pack, 'pack')}(len({sized[measured]}))")
        else:
            parts.append(field.name)
    source.add(f"return {' + '.join(parts)}")
    return source


def encode(message: Message) -> bytes:
    """The bytes that a node would have sent for this message: the blocks of its streams by the node's own rule.

    Raises ValueError for a value that no wire can hold.
    """
    try:
        return _MESSAGE_WRITERS[type(message), message.version](message)
    except FAST_WRITE_FAILED as error:
        raise ValueError(_why_unencodable(message, error)) from None


def _why_unencodable(message: Message, error: Exception) -> str:
    """The first value that no wire can hold."""
    layer = _MESSAGE_LAYERS.get(type(message))
    if layer is None:
        return f"{message!r} is no message"
    if message.version not in list(ProtocolVersion):
        return f"version: there is no {message.version!r}"
    for field in _present(layer, message.version):
        try:
            _write_alone(field, message)
        except ValueError as told:
            return str(told)
    return str(error)


def _write_alone(field: Any, message: Message) -> None:
    """Raises ValueError where this field of a message cannot be written."""
    measured = measured_by(field)
    if isinstance(field, ItemsField):
        for item in getattr(message, field.name):
            if type(item) not in _writers_of(field):
                raise ValueError(f"{field.name}: {item!r} does not belong there")
            item_bytes(item)
    elif measured and not isinstance(field, BlocksField):
        value = getattr(message, measured)
        try:
            size = len(value.encode() if isinstance(value, str) else value)
            field.struct.pack(size)
        except (UnicodeEncodeError, TypeError) as told:
            raise ValueError(f"{measured}: {told}") from None
        except struct.error:
            raise ValueError(f"{measured}: {size:,} is more than {field.name} can say") from None


_MESSAGE_LAYERS = {made: layer for layer, made in MESSAGE_CLASSES.items()}
_HEADER_BYTES: dict[tuple[type[Packet], int], bytes] = {
    (layers.MESSAGES[kind], version): header for header, (kind, version) in HEADERS.items()
}
_MESSAGE_WRITERS: dict[tuple[type[Message], int], Callable[[Message], bytes]] = {
    (MESSAGE_CLASSES[layer], version): _compiled(_writing_source(layer, version), "write_message")
    for layer, version in _HEADER_BYTES
}
