# SPDX-License-Identifier: GPL-2.0-or-later
"""The fields that a described protocol needs beyond Scapy's own.

Each says by named parameters what it is: where its length comes from, which value of which field makes it appear, which
finding a refused value is. So a program can read the description as well as a person: the compilers of fast readers and
writers and the generator of the Wireshark dissector walk these parameters, and there is no function in them to run.

A field of ours has ``pull``, its careful reader (see careful.py), next to Scapy's ``addfield``, its writer. Fields that
hold lists of packets are in lists.py.
"""

from __future__ import annotations

import ipaddress
import random
from collections.abc import Callable, Mapping
from enum import IntEnum
from typing import cast

from scapy.fields import ByteEnumField, ByteField, Field, LEShortField, RawVal, StrLenField
from scapy.packet import Packet
from scapy.volatile import RandChoice, RandIP, RandIP6, RandNum, RandString, VolatileValue

from scapy_chitchat.described.codes import BAD_UTF8, BLOCK_SHORT, FIELD_SHORT, STRING_SHORT
from scapy_chitchat.described.conditions import ABSENT
from scapy_chitchat.described.cursor import Cursor, Scope, Sink
from scapy_chitchat.described.kinds import FieldValue
from scapy_chitchat.net.addresses import ADDRESS_SIZES, address_bytes, address_text


class MagicField(LEShortField):
    """A number that starts every message. ``room``: how many bytes a node wants to see before it looks at it."""

    __slots__ = ["refused_as", "room", "short_as"]
    default: int

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
    default: int | None
    i2s: dict[int, str]
    s2i: dict[str, int]

    def __init__(
        self,
        name: str,
        default: int | None,
        enum: dict[int, str] | type[IntEnum],
        *,
        refused_as: str,
        short_as: str = FIELD_SHORT,
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

    def any2i_one(self, pkt: Packet | None, x: FieldValue) -> FieldValue:
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

    default: int

    def default_name(self) -> str:
        """What the enum calls the default."""
        return self.i2s[self.default]

    def randval(self) -> None:  # type: ignore[override]
        """Nothing: with another tag the bytes of the item are read as those of another layer."""


BYTES = (bytes, bytearray, memoryview)
"""What counts as bytes when a user gives it as a value."""


def utf8_text(data: bytes) -> str:
    """Text of a string on the wire; bytes that are no UTF-8 become surrogate escapes."""
    return str(data, "utf-8", "surrogateescape")


class StringField(StrLenField):
    """UTF-8 text whose length in bytes stands in field ``length_from``. Its value is a ``str``."""

    default: str  # type: ignore[assignment]  # Scapy's is bytes
    length_from: str  # type: ignore[assignment]  # Scapy's is a function, which no program can read

    def __init__(self, name: str, default: str, *, length_from: str) -> None:
        super().__init__(name, cast(bytes, default))
        self.length_from = length_from

    def pull(self, cursor: Cursor, scope: Scope, sink: Sink) -> str:
        """The text; invalid UTF-8 as surrogate escapes."""
        at = cursor.pos
        data = cursor.take(scope.get(self.length_from), self.name, STRING_SHORT)
        try:
            return str(data, "utf-8")
        except UnicodeDecodeError as error:
            cursor.refuse(BAD_UTF8, f"{self.name} is no UTF-8: {error.reason}", at + error.start)
            return utf8_text(data)

    def h2i(self, pkt: Packet | None, x: object) -> FieldValue:
        """Text as it is; bytes as text."""
        return utf8_text(bytes(x)) if isinstance(x, BYTES) else x

    def i2h(self, pkt: Packet | None, x: FieldValue) -> FieldValue:
        """The text itself."""
        return x

    any2i = h2i

    def i2m(self, pkt: Packet | None, x: object) -> bytes:
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

    def i2len(self, pkt: Packet | None, x: object) -> int:
        """Bytes on the wire."""
        return len(self.i2m(pkt, x))

    def i2repr(self, pkt: Packet | None, x: object) -> str:
        """The text, quoted, with everything escaped that could move a terminal's cursor or mislead a reader."""
        return repr(x)

    def addfield(self, pkt: Packet | None, s: bytes, val: object) -> bytes:
        """The bytes, behind ``s``."""
        return s + self.i2m(pkt, val)

    def randval(self) -> RandString:  # type: ignore[override]  # Scapy's is of bytes
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

    def i2m(self, pkt: Packet | None, x: int | None) -> int:
        """The number itself, or the version of the address."""
        if x is not None or pkt is None:
            return x or 0
        field, address = pkt.getfield_and_val(self.version_of)
        return 6 if len(field.i2m(pkt, address)) == 16 else 4

    def randval(self) -> None:  # type: ignore[override]
        """Nothing: a random version would end every packet here."""


class AddressField(Field[FieldValue, bytes]):
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

    def h2i(self, pkt: Packet | None, x: object) -> FieldValue:
        """Text of an address object of the standard library; anything else as it is."""
        if isinstance(x, BYTES):
            return bytes(x)
        return str(x) if isinstance(x, (ipaddress.IPv4Address, ipaddress.IPv6Address)) else x

    def i2m(self, pkt: Packet | None, x: object) -> bytes:
        """The bytes on the wire. Raises ValueError for what is no address."""
        if x is None or x is ABSENT:
            return b""
        if isinstance(x, VolatileValue):
            x = x._fix()
        return bytes(x) if isinstance(x, (bytes, RawVal)) else address_bytes(self.h2i(pkt, x))

    def i2len(self, pkt: Packet | None, x: object) -> int:
        """Bytes on the wire."""
        return len(self.i2m(pkt, x))

    def i2repr(self, pkt: Packet | None, x: object) -> str:
        """The address, bare."""
        return x if isinstance(x, str) else repr(x)

    def addfield(self, pkt: Packet | None, s: bytes, val: object) -> bytes:
        """The bytes, behind ``s``."""
        return s + self.i2m(pkt, val)

    def randval(self) -> VolatileValue[str]:
        """An address of either version, at random."""
        return RandIP() if random.random() < 0.5 else RandIP6()


class PortField(LEShortField):
    """The port of the socket address whose IP address stands before it."""


class UnpackError(ValueError):
    """Packed bytes cannot be unpacked; the message says why."""


Unpacker = Callable[[bytes], bytes]
"""What packed bytes hold. Raises UnpackError where a node could not tell."""


def as_is(data: bytes) -> bytes:
    """What bytes hold that are not packed: themselves."""
    return data


class PackedField(StrLenField):
    """The bytes of a block, as on the wire. How they are packed is the value of field ``packed_as``.

    ``packings`` has the unpacker of each value, ``as_is`` for what is not packed.
    """

    __slots__ = ["packed_as", "packings", "refused_as"]
    length_from: str  # type: ignore[assignment]  # Scapy's is a function, which no program can read

    def __init__(
        self,
        name: str,
        default: bytes,
        *,
        length_from: str,
        packed_as: str,
        packings: Mapping[int, Unpacker],
        refused_as: str,
    ) -> None:
        super().__init__(name, default)
        self.length_from = length_from
        self.packed_as = packed_as
        self.packings = {int(value): unpack for value, unpack in packings.items()}
        self.refused_as = refused_as

    def pull(self, cursor: Cursor, scope: Scope, sink: Sink) -> bytes:
        """The bytes as on the wire."""
        return cursor.take(scope.get(self.length_from), self.name, BLOCK_SHORT)

    def any2i(self, pkt: Packet | None, x: object) -> FieldValue:
        """Bytes of whatever kind, or text, as ``bytes``."""
        return bytes(x) if isinstance(x, BYTES) else super().any2i(pkt, x)

    def i2m(self, pkt: Packet | None, x: object) -> bytes:
        """The bytes on the wire. Raises ValueError for what is none."""
        if x is None or x is ABSENT:
            return b""
        if isinstance(x, VolatileValue):
            x = x._fix()
        if not isinstance(x, (*BYTES, RawVal)):
            raise ValueError(f"{x!r} is no bytes")
        return bytes(x)

    def i2len(self, pkt: Packet | None, x: object) -> int:
        """Bytes on the wire."""
        return len(self.i2m(pkt, x))

    def unpacked(self, scope: Scope) -> bytes:
        """What the bytes hold. Raises UnpackError where a node could not tell."""
        return self.packings[scope.get(self.packed_as)](scope.get(self.name))


class NoteField(Field[str, bytes]):
    """Text about a packet that is no part of it: nothing on the wire."""

    def addfield(self, pkt: Packet | None, s: bytes, val: object) -> bytes:
        """Just ``s``."""
        return s

    def getfield(self, pkt: Packet | None, s: bytes) -> tuple[bytes, str]:
        """Nothing is read."""
        return s, ""

    def randval(self) -> None:  # type: ignore[override]
        """Nothing."""
