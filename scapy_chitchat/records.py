# SPDX-License-Identifier: GPL-2.0-or-later
"""Messages as plain records: what a node would read, fast.

Scapy packets are for hands; captures of millions of messages want something lighter. Nothing of the wire format stands
in this module. The record classes are made from the layers' fields: computed fields (lengths, counts, blocks) and tags
are left out, an address and its port become one socket address, a number of an enum its name. The decoder and the
encoder are compiled from the same fields, in the same way as the readers that fill Scapy packets (see compiler.py).

``decode`` accepts what a chitchat 0.13 node accepts, within the limits of protocol.py. The compiled decoder knows only
the good way; whatever it stumbles over is read again field by field by the strict careful reader (see cursor.py), which
tells code, offset and reason, and what could be read before.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Union, cast

import msgspec
from scapy.packet import Packet

from scapy_chitchat import layers
from scapy_chitchat.compiler import FAST_WRITE_FAILED, ListReader, Source, compile_list_reader, compile_writer
from scapy_chitchat.cursor import BreakOff, Cursor, Scope
from scapy_chitchat.fields import (
    ABSENT,
    AddressField,
    KnownByteField,
    MagicField,
    PackedField,
    PortField,
    StringField,
    TagField,
    address_bytes,
    address_text,
    condition,
    inner,
    join_address,
    measured_by,
    pull_fields,
    split_address,
)
from scapy_chitchat.lists import FAST_READ_FAILED, BlocksField, ItemsField
from scapy_chitchat.protocol import STREAM_LIMIT, ProtocolVersion
from scapy_chitchat.stream import decompress_block


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
        return _as_in_json(self._read)


class Record(msgspec.Struct, frozen=True, gc=False):
    """An item of a digest or a delta."""

    def as_dict(self) -> dict[str, Any]:
        """The record as in JSON."""
        return _as_in_json(self)


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
        return _as_in_json(self)


def _as_in_json(value: Any) -> dict[str, Any]:
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
        return _list_reader(field)(data, pos, count)


def _values_of_record(layer: type[Packet], values: dict[str, Any]) -> Iterator[Any]:
    for name, _, field in _record_fields(layer):
        if isinstance(field, AddressField):
            yield join_address(values[field.name], values[field.port])
        elif isinstance(field, KnownByteField):
            yield field.i2s[values[name]]
        else:
            yield values[name]


_RECORDS = _RecordSink()


@cache
def _list_reader(field: ItemsField) -> ListReader:
    return compile_list_reader(field, _RECORDS)


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
            read = source.name(_list_reader(bare), f"read_{bare.name}")
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
    made = message_class(layer)
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


HEADERS: dict[bytes, tuple[type[Packet], int]] = {
    bytes(layers.Chitchat(version=version, type=kind)): (layer, int(version))
    for kind, layer in layers.MESSAGES.items()
    for version in ProtocolVersion
}
"""Every header that a node takes: the layer of the body and the version."""

HEADER_SIZE = len(next(iter(HEADERS)))
"""Bytes before the body of a message."""
_READERS: dict[bytes, MessageReader] = {
    header: _compiled(_message_source(layer, version), "read_message") for header, (layer, version) in HEADERS.items()
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
            _check_sequence(decoded.message.delta)
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
        pull_fields(layers.Chitchat, cursor, Scope(header), _RECORDS)
        layer = layers.MESSAGES[header["type"]]
        scope = Scope(body, Scope(header))
        pull_fields(layer, cursor, scope, _RECORDS)
        message = message_class(layer)(*_arguments(layer, header, body))
        streams = (Stream(held.field, bytes(held.data), held.start, held.end) for held in scope.held.values())
        return Decoded(message, cursor.pos, tuple(streams))
    except BreakOff as trouble:
        raise DecodeError.of(trouble, _as_far_as_read(layer, header, body)) from None


def _arguments(layer: type[Packet], header: dict[str, Any], body: dict[str, Any]) -> Iterator[Any]:
    yield header["version"]
    yield layers.TYPE_NAMES[layer]
    for name in message_class(layer).__struct_fields__[2:]:
        yield tuple(body[name]) if _is_list(layer, name) else body[name]


def _as_far_as_read(layer: type[Packet] | None, header: dict[str, Any], body: dict[str, Any]) -> dict[str, Any]:
    """What was read of a message that a node refuses, in the order of its JSON."""
    if layer is None:
        return {}
    names = message_class(layer).__struct_fields__[2:]
    read = {name: body[name] for name in names if body.get(name, ABSENT) is not ABSENT}
    return {"version": header["version"], "type": layers.TYPE_NAMES[layer], **read}


# --- operations as a sequence ---

_NodeOp, _KeyValueOp, _SetMaxVersionOp = map(record_class, (layers.NodeOp, layers.KeyValueOp, layers.SetMaxVersionOp))


def _check_sequence(delta: Sequence[Any]) -> None:
    """What a node wants of the operations of a delta as a whole (delta.rs, DeltaBuilder).

    A section starts with a Node operation, of a node that has none yet; the versions of its key-values rise, from above
    0 or above the SetMaxVersion before them. Raises BreakOff at the first operation that does not fit.
    """
    known = set()
    highest = None
    for index, op in enumerate(delta):
        kind = type(op)
        if kind is _NodeOp:
            identity = (op.node_id, op.generation_id, op.gossip_advertise_addr)
            if identity in known:
                raise _out_of_sequence(delta, index, "duplicate-node", f"a second section of node {op.node_id!r}")
            known.add(identity)
            highest = 0
        elif highest is None:
            raise _out_of_sequence(delta, index, "no-node", "there is no Node operation before this one")
        elif kind is _SetMaxVersionOp:
            highest = op.max_version
        else:
            if op.version <= highest:
                reason = f"version {op.version} of key {op.key!r} is not above {highest}, the highest of its section"
                raise _out_of_sequence(delta, index, "version-order", reason)
            highest = op.version


def _out_of_sequence(delta: Sequence[Any], index: int, code: str, reason: str) -> BreakOff:
    return BreakOff(code, sum(len(item_bytes(op)) for op in delta[:index]), reason, "delta")


# --- the encoder ---

_ITEM_LAYERS: dict[type[Record], Any] = {record_class(layer): layer for layer in layers.ITEMS}
_WRITERS = {record_class(layer): compile_writer(layer, _RECORDS) for layer in layers.ITEMS}


def item_bytes(item: Record) -> bytes:
    """The bytes of an item in a list or a stream. Raises ValueError for a value that no wire can hold."""
    try:
        return _WRITERS[type(item)](item)
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


def _writers_of(field: ItemsField) -> dict[type[Record], Callable[[Any], bytes]]:
    """The writers of what may stand in a list."""
    return {kind: _WRITERS[kind] for kind in map(record_class, field.layers)}


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


_MESSAGE_LAYERS = {message_class(layer): layer for layer in layers.MESSAGES.values()}
_HEADER_BYTES = {key: header for header, key in HEADERS.items()}
_MESSAGE_WRITERS: dict[tuple[type[Message], int], Callable[[Message], bytes]] = {
    (message_class(layer), version): _compiled(_writing_source(layer, version), "write_message")
    for layer, version in HEADERS.values()
}

# pickle finds a class by its name in its module
globals().update({made.__name__: made for made in (*_ITEM_LAYERS, *_MESSAGE_LAYERS)})
