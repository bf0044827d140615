# SPDX-License-Identifier: GPL-2.0-or-later
"""The fields that chitchat's layers need beyond Scapy's own.

Each says by named parameters what it is: where its length comes from, which value of which field makes it appear, which
finding a refused value is. So a program can read the description as well as a person: the compiler of the fast readers
and the generator of the Wireshark dissector walk these parameters, and there is no function in them to run.

A field of ours has ``pull``, its careful reader (see cursor.py), next to Scapy's ``addfield``, its writer. Stock fields
of a fixed size are pulled by their ``struct`` format. Fields that hold lists of packets are in lists.py.
"""

from __future__ import annotations

import ipaddress
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol, cast

from scapy.fields import (
    ByteEnumField,
    ByteField,
    ConditionalField,
    Field,
    FieldLenField,
    LEShortField,
    RawVal,
    StrLenField,
)
from scapy.packet import Packet
from scapy.volatile import RandChoice, RandIP, RandIP6, RandNum, RandString, VolatileValue

from scapy_chitchat.described.cursor import BreakOff, Cursor, Scope
from scapy_chitchat.net.addresses import ADDRESS_SIZES, address_bytes, address_text
from scapy_chitchat.wire.stream import decompress_block


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


class Sink(Protocol):
    """What a careful read fills: Scapy packets or plain records."""

    def make(self, layer: type[Packet], values: dict[str, Any]) -> Any:
        """An item of ``layer`` with these values."""

    def leftover(self, trouble: BreakOff, rest: bytes) -> Any:
        """What stands in a list for bytes that could not be read; None for nothing."""

    def read_list(self, field: Any, data: bytes, pos: int, count: int | None) -> tuple[list[Any], int]:
        """The items of ``field`` in one go, and where they end. Raises StuckError where anything is odd."""


class LenientSink(Sink, Protocol):
    """A sink for a lenient reader."""

    def read_list_leniently(self, field: Any, data: bytes, pos: int, count: int | None) -> tuple[list[Any], int]:
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
    return getattr(field, "holds", None)  # blocks, see lists.py
