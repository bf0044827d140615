# SPDX-License-Identifier: GPL-2.0-or-later
"""The fields that chitchat's layers need beyond Scapy's own.

Each says by named parameters what it is: where its length comes from, which value of which field makes it appear, which
finding a refused value is. So a program can read the description as well as a person: the compiler of the fast readers
and the generator of the Wireshark dissector walk these parameters, and there is no function in them to run.

A field of this module has ``pull``, its careful reader (see cursor.py), next to Scapy's ``addfield``, its writer.
Stock fields of a fixed size are pulled by their ``struct`` format.
"""

from __future__ import annotations

import ipaddress
import random
import socket
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol, cast

from scapy.fields import (
    ByteEnumField,
    ByteField,
    ConditionalField,
    Field,
    FieldLenField,
    LEShortField,
    PacketListField,
    RawVal,
    StrLenField,
)
from scapy.packet import Packet
from scapy.volatile import RandChoice, RandIP, RandIP6, RandNum, RandString, VolatileValue

from scapy_chitchat.cursor import BreakOff, Cursor, Scope
from scapy_chitchat.protocol import MOST_ITEMS
from scapy_chitchat.stream import ZstdError, decompress_block, split_stream


class _Absent:
    """The value of a field that is not on the wire at all: a message that broke off before it, or one made so."""

    def __repr__(self) -> str:
        return "ABSENT"

    def __bool__(self) -> bool:
        return False

    def __iter__(self) -> Iterator[Any]:
        return iter(())

    def command(self, json: bool = False) -> str | None:
        """How Scapy writes it: its name in Python, null in JSON."""
        return None if json else repr(self)

    def __copy__(self) -> _Absent:
        return self

    def __deepcopy__(self, memo: object) -> _Absent:
        return self

    def __reduce__(self) -> str:
        return "ABSENT"


ABSENT = _Absent()
"""Set a field to this to leave it out: ``ChitchatSyn(cluster_id_len=4, cluster_id=ABSENT)``."""


@dataclass(frozen=True)
class When:
    """The condition of a field: field ``field``, of this layer or the nearest one below, has the value ``equals``.

    A layer that stands alone, with no such field anywhere below it, is read and built as if it were ``assumed``.
    """

    field: str
    equals: int
    assumed: int = 0

    def holds(self, value: Any) -> bool:
        """Whether ``value``, the present value of the field, meets the condition."""
        return bool((self.assumed if value is None or value is ABSENT else value) == self.equals)

    def in_scope(self, scope: Scope) -> bool:
        """Whether the values read so far meet the condition."""
        return self.holds(scope.get(self.field))

    def __call__(self, pkt: Packet) -> bool:
        """Whether a packet, or the nearest layer below it that has the field, meets the condition."""
        layer: Packet | None = pkt
        while layer is not None and not isinstance(layer.fieldtype.get(self.field), KnownByteField):
            layer = layer.underlayer  # IP has a version, too, but not one of the protocol's
        return self.holds(None if layer is None else layer.getfieldval(self.field))


@dataclass(frozen=True)
class Unless(When):
    """The opposite of When: the field has any other value."""

    def holds(self, value: Any) -> bool:
        """Whether ``value``, the present value of the field, meets the condition."""
        return not super().holds(value)


FAST_READ_FAILED = (struct.error, ValueError, LookupError)
"""What a compiled reader raises where the bytes are not as a node would write them."""


class StuckError(ValueError):
    """A compiled reader met something odd in the item at ``pos``; ``items`` are those before it."""

    def __init__(self, items: list[Any], pos: int) -> None:
        super().__init__(pos)
        self.items = items
        self.pos = pos


class Sink(Protocol):
    """What a careful read fills: Scapy packets or plain records."""

    def make(self, layer: type[Packet], values: dict[str, Any]) -> Any:
        """An item of ``layer`` with these values."""

    def leftover(self, trouble: BreakOff, rest: bytes) -> Any:
        """What stands in a list for bytes that could not be read; None for nothing."""

    def read_list(self, field: ItemsField, data: bytes, pos: int, count: int | None) -> tuple[list[Any], int]:
        """The items of ``field`` in one go, and where they end. Raises StuckError where anything is odd."""


class LenientSink(Sink, Protocol):
    """A sink for a lenient reader."""

    def read_list_leniently(self, field: ItemsField, data: bytes, pos: int, count: int | None) -> tuple[list[Any], int]:
        """As read_list, whatever the values: one that a node refuses has been noted before."""


def inner(field: Any) -> Any:
    """The field itself, without its condition."""
    return field.fld if isinstance(field, ConditionalField) else field


def condition(field: Any) -> When | None:
    """When the field is on the wire; None where it always is."""
    return cast(When, field.cond) if isinstance(field, ConditionalField) else None


def is_present(field: Any, scope: Scope) -> bool:
    """Whether ``field`` is on the wire, given the values around it."""
    when = condition(field)
    return when is None or when.in_scope(scope)


def _pull(field: Any, cursor: Cursor, scope: Scope, sink: Sink) -> Any:
    if hasattr(field, "pull"):
        return field.pull(cursor, scope, sink)
    return cursor.unpack(field.struct, field.name)


def pull_fields(layer: type[Packet], cursor: Cursor, scope: Scope, sink: Sink) -> None:
    """Read the fields of ``layer`` into ``scope.values``.

    Raises BreakOff where they cannot be read on; the fields not reached are then ABSENT in the values.
    """
    fields = iter(layer.fields_desc)
    for field in fields:
        if not is_present(field, scope):
            continue
        try:
            scope.values[field.name] = _pull(inner(field), cursor, scope, sink)
        except BreakOff as trouble:
            cursor.note(trouble)  # before those of what was in the blocks: a node unpacks all before it looks inside
            scope.values.setdefault(field.name, ABSENT)
            for later in fields:
                if is_present(later, scope):
                    held = later.name in scope.held and not cursor.strict
                    scope.values[later.name] = _pull(later, cursor, scope, sink) if held else ABSENT
            raise


class MagicField(LEShortField):
    """A number that starts every message. ``room``: how many bytes a node wants to see before it looks at it."""

    __slots__ = ["refused_as", "room", "short_as"]

    def __init__(self, name: str, default: int, *, room: int, short_as: str, refused_as: str) -> None:
        super().__init__(name, default)
        self.room = room
        self.short_as = short_as
        self.refused_as = refused_as

    def pull(self, cursor: Cursor, scope: Scope, sink: Sink) -> int:
        """The number on the wire, whatever it is."""
        if cursor.left() < self.room:
            cursor.refuse(self.short_as, f"{cursor.left()} bytes, a header has at least {self.room}", cursor.pos)
        at = cursor.pos
        value: int = cursor.unpack(self.struct, self.name, self.short_as)
        if value != self.default:
            cursor.refuse(self.refused_as, f"{self.name} is {value}, not {self.default}", at)
        return value

    def randval(self) -> None:  # type: ignore[override]
        """Nothing: a fuzzed magic number would make every packet end at its first check."""


class KnownByteField(ByteEnumField):
    """A byte of which a node knows only the values of ``enum``.

    ``breaks``: nothing after an unknown value can be read.
    """

    __slots__ = ["breaks", "refused_as", "short_as"]
    i2s: dict[int, str]
    s2i: dict[str, int]

    def __init__(
        self,
        name: str,
        default: int | None,
        enum: Any,
        *,
        refused_as: str,
        short_as: str = "field-short",
        breaks: bool = False,
    ) -> None:
        super().__init__(name, default, enum)
        self.refused_as = refused_as
        self.short_as = short_as
        self.breaks = breaks

    def pull(self, cursor: Cursor, scope: Scope, sink: Sink) -> int:
        """The byte on the wire, known or not."""
        at = cursor.pos
        value: int = cursor.unpack(self.struct, self.name, self.short_as)
        if value not in self.i2s:
            known = ", ".join(f"{number} ({name})" for number, name in self.i2s.items())
            reason = f"{self.name} is {value}; a node knows {known}"
            if self.breaks:
                raise cursor.stop_at(at, self.refused_as, reason)
            cursor.refuse(self.refused_as, reason, at)
        return value

    def any2i_one(self, pkt: Packet | None, x: Any) -> Any:
        """A number from a number, a name of the enum, or a member of it. Raises ValueError for an unknown name."""
        try:
            return super().any2i_one(pkt, x)
        except KeyError:
            where = f"{type(pkt).__name__}.{self.name}" if pkt is not None else self.name
            raise ValueError(f"{where}: {x!r} is none of {', '.join(self.s2i)}") from None

    def randval(self) -> RandChoice:
        """One of the known values, at random, and the same again after ``random.seed``, as RandEnumKeys is not."""
        return RandChoice(*self.i2s)


class TagField(KnownByteField):
    """The first byte of an item in a list of several layers: its default tells them apart."""

    def default_name(self) -> str:
        """What the enum calls the default."""
        return self.i2s[cast(int, self.default)]

    def randval(self) -> None:  # type: ignore[override]
        """Nothing: with another tag the bytes of the item are read as those of another layer."""


BYTES = (bytes, bytearray, memoryview)
"""What counts as bytes when a user gives it as a value."""


def utf8_text(data: bytes) -> str:
    """Text of a string on the wire; bytes that are no UTF-8 become surrogate escapes."""
    return str(data, "utf-8", "surrogateescape")


class StringField(StrLenField):
    """UTF-8 text whose length in bytes stands in field ``length_from``. Its value is a ``str``."""

    length_from: Any

    def __init__(self, name: str, default: str, *, length_from: str) -> None:
        super().__init__(name, cast(Any, default))
        self.length_from = length_from

    def pull(self, cursor: Cursor, scope: Scope, sink: Sink) -> str:
        """The text; invalid UTF-8 as surrogate escapes."""
        at = cursor.pos
        data = cursor.take(scope.get(self.length_from), self.name, "string-short")
        try:
            return str(data, "utf-8")
        except UnicodeDecodeError as error:
            cursor.refuse("bad-utf8", f"{self.name} is no UTF-8: {error.reason}", at + error.start)
            return utf8_text(data)

    def h2i(self, pkt: Packet | None, x: Any) -> Any:
        """Text as it is; bytes as text."""
        return utf8_text(bytes(x)) if isinstance(x, BYTES) else x

    def i2h(self, pkt: Packet | None, x: Any) -> Any:
        """The text itself."""
        return x

    any2i = h2i

    def i2m(self, pkt: Packet | None, x: Any) -> bytes:
        """The bytes on the wire. Raises ValueError for what is no text."""
        if x is None or x is ABSENT:
            return b""
        if isinstance(x, VolatileValue):
            x = x._fix()
        if isinstance(x, (*BYTES, RawVal)):
            return bytes(x)
        if not isinstance(x, str):
            raise ValueError(f"{x!r} is no text")
        return x.encode("utf-8", "surrogateescape")

    def i2len(self, pkt: Packet | None, x: Any) -> int:
        """Bytes on the wire."""
        return len(self.i2m(pkt, x))

    def i2repr(self, pkt: Packet | None, x: Any) -> str:
        """The text, quoted, with everything escaped that could move a terminal's cursor or mislead a reader."""
        return repr(x)

    def addfield(self, pkt: Packet | None, s: bytes, val: Any) -> bytes:
        """The bytes, behind ``s``."""
        return s + self.i2m(pkt, val)

    def randval(self) -> Any:
        """Some letters and digits, at random."""
        return RandString(RandNum(0, 40))


@lru_cache(maxsize=8192)
def address_text(raw: bytes) -> str:
    """An IPv4 or IPv6 address of 4 or 16 bytes as text (RFC 5952)."""
    return socket.inet_ntop(socket.AF_INET if len(raw) == 4 else socket.AF_INET6, raw)


@lru_cache(maxsize=8192)
def address_bytes(text: str) -> bytes:
    """The 4 or 16 bytes of an address. Raises ValueError where ``text`` is none, or has a zone, which no wire holds."""
    if not isinstance(text, str) or "%" in text:
        raise ValueError(f"{text!r} is no IPv4 or IPv6 address")
    return ipaddress.ip_address(text).packed


ADDRESS_SIZES = {4: 4, 6: 16}
"""Bytes of an address by the IP version before it."""


class IPVersionField(ByteField):
    """The IP version before an address: 4 or 6. Computed from the address where it is None."""

    __slots__ = ["refused_as", "version_of"]

    def __init__(self, name: str, default: int | None, *, version_of: str, refused_as: str) -> None:
        super().__init__(name, default)
        self.version_of = version_of
        self.refused_as = refused_as

    def pull(self, cursor: Cursor, scope: Scope, sink: Sink) -> int:
        """4 or 6. Raises BreakOff for anything else, since the address has no known length then."""
        at = cursor.pos
        value: int = cursor.unpack(self.struct, self.name)
        if value not in ADDRESS_SIZES:
            raise cursor.stop_at(at, self.refused_as, f"{self.name} is {value}, not 4 or 6")
        return value

    def i2m(self, pkt: Packet | None, x: Any) -> int:
        """The number itself, or the version of the address."""
        if x is not None or pkt is None:
            return x or 0
        field, address = pkt.getfield_and_val(self.version_of)
        return 6 if len(field.i2m(pkt, address)) == 16 else 4

    def randval(self) -> None:  # type: ignore[override]
        """Nothing: a random version would end every packet here."""


class AddressField(Field[Any, bytes]):
    """An IPv4 or IPv6 address as text, of the version that stands in ``version_from``.

    With the port in field ``port`` it makes the socket address that the protocol calls ``joined_as``: records and
    JSON show the two as one. Bytes as a value go out as they are.
    """

    __slots__ = ["joined_as", "port", "version_from"]

    def __init__(self, name: str, default: str, *, version_from: str, port: str, joined_as: str) -> None:
        super().__init__(name, default, "4s")
        self.version_from = version_from
        self.port = port
        self.joined_as = joined_as

    def pull(self, cursor: Cursor, scope: Scope, sink: Sink) -> str:
        """The address as text."""
        return address_text(cursor.take(ADDRESS_SIZES[scope.get(self.version_from)], self.name))

    def h2i(self, pkt: Packet | None, x: Any) -> Any:
        """Text of an address object of the standard library; anything else as it is."""
        if isinstance(x, BYTES):
            return bytes(x)
        return str(x) if isinstance(x, (ipaddress.IPv4Address, ipaddress.IPv6Address)) else x

    def i2m(self, pkt: Packet | None, x: Any) -> bytes:
        """The bytes on the wire. Raises ValueError for what is no address."""
        if x is None or x is ABSENT:
            return b""
        if isinstance(x, VolatileValue):
            x = x._fix()
        return bytes(x) if isinstance(x, (bytes, RawVal)) else address_bytes(self.h2i(pkt, x))

    def i2len(self, pkt: Packet | None, x: Any) -> int:
        """Bytes on the wire."""
        return len(self.i2m(pkt, x))

    def i2repr(self, pkt: Packet | None, x: Any) -> str:
        """The address, bare."""
        return x if isinstance(x, str) else repr(x)

    def addfield(self, pkt: Packet | None, s: bytes, val: Any) -> bytes:
        """The bytes, behind ``s``."""
        return s + self.i2m(pkt, val)

    def randval(self) -> VolatileValue[str]:
        """An address of either version, at random."""
        return RandIP() if random.random() < 0.5 else RandIP6()


class PortField(LEShortField):
    """The port of the socket address whose IP address stands before it."""


class PackedField(StrLenField):
    """The bytes of a block, as on the wire; where ``zstd`` holds they hold compressed data."""

    __slots__ = ["zstd"]
    length_from: Any

    def __init__(self, name: str, default: bytes, *, length_from: str, zstd: When) -> None:
        super().__init__(name, default)
        self.length_from = length_from
        self.zstd = zstd

    def pull(self, cursor: Cursor, scope: Scope, sink: Sink) -> bytes:
        """The bytes as on the wire."""
        return cursor.take(scope.get(self.length_from), self.name, "block-short")

    def any2i(self, pkt: Packet | None, x: Any) -> Any:
        """Bytes of whatever kind, or text, as ``bytes``."""
        return bytes(x) if isinstance(x, BYTES) else super().any2i(pkt, x)

    def i2m(self, pkt: Packet | None, x: Any) -> bytes:
        """The bytes on the wire. Raises ValueError for what is none."""
        if x is None or x is ABSENT:
            return b""
        if isinstance(x, VolatileValue):
            x = x._fix()
        if not isinstance(x, (*BYTES, RawVal)):
            raise ValueError(f"{x!r} is no bytes")
        return bytes(x)

    def i2len(self, pkt: Packet | None, x: Any) -> int:
        """Bytes on the wire."""
        return len(self.i2m(pkt, x))

    def unpacked(self, scope: Scope) -> bytes:
        """What the bytes hold. Raises ZstdError where a node could not tell."""
        data: bytes = scope.get(self.name)
        return decompress_block(data) if self.zstd.in_scope(scope) else data


def _as_list(pkt: Packet | None, x: Any) -> Any:
    """A list from a list, a tuple or one element; the packets in it are told where they are."""
    if x is None or x is ABSENT or isinstance(x, RawVal):
        return x
    items = x if isinstance(x, list) else list(x) if isinstance(x, tuple) else [x]
    for item in items:
        if isinstance(item, Packet) and pkt is not None:
            item.add_parent(pkt)
    return items


class BlocksField(Field[Any, bytes]):
    """The blocks of a compressed stream as they are on the wire, to the first for which ``last`` holds.

    Decompressed and put together they hold the items of field ``holds``. None means made from those items by a node's
    own rule.
    """

    __slots__ = ["block", "holds", "last"]
    islist = 1
    holds_packets = 1
    block: Any

    def __init__(self, name: str, default: None, block: type[Packet], *, holds: str, last: When) -> None:
        super().__init__(name, default)
        self.block = block
        self.holds = holds
        self.last = last

    def pull(self, cursor: Cursor, scope: Scope, sink: Sink) -> list[Any]:
        """The blocks. What they hold is left in the scope for the field that they hold."""
        blocks: list[Any] = []
        scope.values[self.name] = blocks
        held = scope.held[self.holds] = HeldStream(self, cursor)
        finished = False
        while not finished:
            values: dict[str, Any] = {}
            within = Scope(values, scope)
            at = cursor.pos
            try:
                pull_fields(self.block, cursor, within, sink)
            except BreakOff as trouble:
                _keep_what_was_read(blocks, self.block, values, sink, trouble, cursor)
                raise
            blocks.append(sink.make(self.block, values))
            finished = self.last.in_scope(within)
            if not finished:
                held.add(within, at)
        held.end = cursor.pos
        return blocks

    def any2i(self, pkt: Packet | None, x: Any) -> Any:
        """A list from a list or one block."""
        return _as_list(pkt, x)

    def i2repr(self, pkt: Packet | None, x: Any) -> str:
        """The blocks."""
        return repr(x)

    def addfield(self, pkt: Packet, s: bytes, val: Any) -> bytes:
        """The blocks as set, or those that a node would make of the items."""
        return s + (self.encode(self.measure(pkt)) if val is None else items_bytes(val))

    def measure(self, pkt: Packet) -> bytes:
        """The items' bytes, one after the other."""
        _, items = pkt.getfield_and_val(self.holds)
        return items_bytes(items)

    def make(self, stream: bytes) -> list[Packet]:
        """A stream of items as the blocks that a node would make of it, the closing one included."""
        blocks = [self.block(type=int(kind), data=data) for kind, data in split_stream(stream)]
        return [*blocks, self.block(**{self.last.field: self.last.equals})]

    def encode(self, stream: bytes) -> bytes:
        """The bytes of those blocks."""
        kind, length, _ = map(inner, self.block.fields_desc)
        pack = length.struct.pack
        blocks = [bytes((kind_of,)) + pack(len(data)) + data for kind_of, data in split_stream(stream)]
        return b"".join([*blocks, kind.struct.pack(self.last.equals)])


def items_bytes(items: Any) -> bytes:
    """The bytes of the packets in a list, one after the other. Raises ValueError for what is no packet and no bytes."""
    return bytes(items) if isinstance(items, RawVal) else b"".join(map(_item_bytes, items or ()))


def _item_bytes(item: Any) -> bytes:
    if hasattr(type(item), "item_bytes"):
        return item.item_bytes()  # type: ignore[no-any-return]
    if not isinstance(item, (Packet, RawVal, *BYTES)):
        raise ValueError(f"{item!r} is no packet")
    return bytes(item)


class HeldStream:
    """What the blocks of a field hold, as far as it could be decompressed, and where the blocks stand."""

    __slots__ = ("cursor", "data", "end", "field", "start", "trouble")

    def __init__(self, field: BlocksField, cursor: Cursor) -> None:
        self.field = field
        self.cursor = cursor
        self.start = self.end = cursor.pos
        self.data = bytearray()
        self.trouble: BreakOff | None = None

    def add(self, scope: Scope, at: int) -> None:
        """Add what the block at byte ``at`` holds. Raises BreakOff where a strict reader must stop."""
        if self.trouble:
            return
        try:
            parts = map(inner, self.field.block.fields_desc)
            packed = next(part for part in parts if isinstance(part, PackedField))
            self.data += packed.unpacked(scope)
        except ZstdError as error:
            self.stop("bad-zstd", f"{self.field.holds}: {error}", at)
        if len(self.data) > self.cursor.limit:
            del self.data[self.cursor.limit :]
            reason = f"{self.field.holds} holds more than {self.cursor.limit:,} bytes, the rest is left"
            self.stop("stream-limit", reason, at)

    def stop(self, code: str, reason: str, at: int) -> None:
        """Nothing after this can be joined to the stream."""
        self.trouble = self.cursor.break_off(code, reason, at)
        if self.cursor.strict:
            raise self.trouble
        self.cursor.note(self.trouble)


def _keep_what_was_read(
    items: list[Any], layer: type[Packet], values: dict[str, Any], sink: Sink, trouble: BreakOff, cursor: Cursor
) -> None:
    """Put the readable start of a broken item into its list, and the rest behind it."""
    if any(value is not ABSENT for value in values.values()):
        items.append(sink.make(layer, values))
    rest = sink.leftover(trouble, cursor.data[cursor.pos :])
    if rest is not None:
        items.append(rest)
        cursor.rest()
        trouble.placed = True


class ItemsField(PacketListField):
    """A list of items of one layer, or of several told apart by their first byte.

    Where ``blocks_from`` names a field that is on the wire, the items are what its blocks hold and take no bytes of
    their own; otherwise they stand here, as many as ``count_from`` says.
    """

    __slots__ = ["blocks_from", "by_tag", "layers", "refused_as"]
    count_from: Any

    def __init__(
        self,
        name: str,
        layers: Sequence[type[Packet]],
        *,
        blocks_from: str,
        count_from: str | None = None,
        refused_as: str = "bad-tag",
    ) -> None:
        super().__init__(name, [], layers[0])
        self.layers = tuple(layers)
        self.by_tag = {tag.default: layer for layer in layers if isinstance(tag := layer.fields_desc[0], TagField)}
        self.blocks_from = blocks_from
        self.count_from = count_from
        self.refused_as = refused_as

    def any2i(self, pkt: Packet | None, x: Any) -> Any:
        """A list from a list or one item; None is no items."""
        return [] if x is None else _as_list(pkt, x)

    def i2count(self, pkt: Packet | None, val: Any) -> int:
        """How many items there are."""
        return len(val) if isinstance(val, list) else 0

    def i2repr(self, pkt: Packet | None, x: Any) -> str:
        """The items."""
        return repr(x)

    def pull(self, cursor: Cursor, scope: Scope, sink: Sink) -> list[Any]:
        """The items; behind the last readable one what the sink makes of the rest."""
        held = scope.held.get(self.name)
        if held is None:
            return self._pull_items(cursor, scope, sink, scope.get(self.count_from))
        within = Cursor(bytes(held.data), stream=self.name, strict=cursor.strict, refusals=cursor.refusals)
        try:
            items = self._pull_items(within, scope, sink, None)
        except BreakOff:
            if cursor.strict:
                raise
            return scope.values[self.name]  # type: ignore[no-any-return]
        if held.trouble:
            items.append(sink.leftover(held.trouble, b""))
        return items

    def _pull_items(self, cursor: Cursor, scope: Scope, sink: Sink, count: int | None) -> list[Any]:
        items: list[Any] = []
        scope.values[self.name] = items
        while True:
            read = cast(LenientSink, sink).read_list_leniently if cursor.refusals else sink.read_list
            try:
                rest, cursor.pos = read(self, cursor.data, cursor.pos, None if count is None else count - len(items))
                items += rest
                return items
            except StuckError as stuck:
                items += stuck.items
                cursor.pos = stuck.pos
            items.append(self._pull_carefully(cursor, scope, sink, items))

    def _pull_carefully(self, cursor: Cursor, scope: Scope, sink: Sink, items: list[Any]) -> Any:
        """One item, behind those in ``items``, which get what can be read of it where it breaks off."""
        values: dict[str, Any] = {}
        layer = self.layers[0]
        try:
            if len(items) >= MOST_ITEMS:
                raise cursor.break_off("stream-limit", f"{self.name} has more than {MOST_ITEMS:,} items")
            layer = self.layer_at(cursor)
            pull_fields(layer, cursor, Scope(values, scope), sink)
        except BreakOff as trouble:
            if not cursor.strict:
                cursor.note(trouble)
                _keep_what_was_read(items, layer, values, sink, trouble, cursor)
            raise
        return sink.make(layer, values)

    def layer_at(self, cursor: Cursor) -> type[Packet]:
        """The layer of the item that starts here. Raises BreakOff where its first byte is unknown."""
        if not self.by_tag:
            return self.layers[0]
        tag = cursor.data[cursor.pos]
        if tag not in self.by_tag:
            known = ", ".join(f"{number} ({layer.__name__})" for number, layer in self.by_tag.items())
            raise cursor.break_off(self.refused_as, f"tag {tag}; a node knows {known}")
        return self.by_tag[tag]

    def addfield(self, pkt: Packet, s: bytes, val: Any) -> bytes:
        """The items' bytes, unless they are in the blocks."""
        when = condition(pkt.get_field(self.blocks_from))
        if when is None or when(pkt):
            return s
        return s + items_bytes(val)


class NoteField(Field[str, bytes]):
    """Text about a packet that is no part of it: nothing on the wire."""

    def addfield(self, pkt: Packet | None, s: bytes, val: Any) -> bytes:
        """Just ``s``."""
        return s

    def getfield(self, pkt: Packet | None, s: bytes) -> tuple[bytes, str]:
        """Nothing is read."""
        return s, ""

    def randval(self) -> None:  # type: ignore[override]
        """Nothing."""


def measured_by(field: Any) -> str | None:
    """The name of the field that ``field`` is computed from, or None where it is not computed."""
    if isinstance(field, FieldLenField):
        return field.length_of or field.count_of
    if isinstance(field, IPVersionField):
        return field.version_of
    if isinstance(field, BlocksField):
        return field.holds
    return None
