# SPDX-License-Identifier: GPL-2.0-or-later
"""Reading field by field, with a name for everything that can go wrong.

This is the careful way through a message. It is taken where the compiled reader (compiler.py) met something odd, so it
may be slow but must know at which byte, in which stream and why a message cannot be read on.

Two kinds of trouble are told apart. Where the framing is lost (a length beyond the end, an unknown tag) nothing after
it can be read: ``BreakOff`` is raised. Where only a value is refused (invalid UTF-8, an unknown status) the reader
could go on: ``Cursor.refuse`` raises the same exception for a strict reader, which wants a node's verdict, and only
notes it for a lenient one, which wants to show as much as there is.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from scapy.packet import Packet

from scapy_chitchat.described.codes import FIELD_SHORT
from scapy_chitchat.described.kinds import FieldValue

if TYPE_CHECKING:
    from scapy_chitchat.described.lists import HeldStream, ItemsField


class BreakOff(ValueError):
    """Where and why a message cannot be read on.

    ``code`` is a finding code, ``offset`` counts in the message's bytes, or, where ``stream`` names a field, in the
    decompressed bytes of that field.
    """

    def __init__(self, code: str, offset: int, reason: str, stream: str | None = None) -> None:
        super().__init__(code, offset, reason, stream)
        self.code = code
        self.offset = offset
        self.reason = reason
        self.stream = stream
        self.placed = False  # whether what could not be read stands in a list of items or blocks already

    def place(self) -> str:
        """The code and where."""
        where = f" of the decompressed {self.stream}" if self.stream else ""
        return f"{self.code} at byte {self.offset}{where}"

    def __str__(self) -> str:
        return f"{self.place()}: {self.reason}"


class Cursor:
    """A place in bytes that are being read: a message, or one decompressed stream of it.

    ``base`` is the offset of ``data`` in the whole message, so that offsets count from the magic number. ``limit``
    bounds the decompressed bytes of one stream. ``refusals`` has the first thing that a lenient reader went on after.
    """

    __slots__ = ("base", "data", "limit", "pos", "refusals", "stream", "strict")

    def __init__(
        self,
        data: bytes,
        *,
        base: int = 0,
        stream: str | None = None,
        strict: bool = False,
        limit: int = sys.maxsize,
        refusals: list[BreakOff] | None = None,
    ) -> None:
        self.data = data
        self.pos = 0
        self.base = base
        self.stream = stream
        self.strict = strict
        self.limit = limit
        self.refusals = [] if refusals is None else refusals

    def left(self) -> int:
        """How many bytes are left."""
        return len(self.data) - self.pos

    def rest(self) -> bytes:
        """The bytes that are left; they count as read from here on."""
        rest = self.data[self.pos :]
        self.pos = len(self.data)
        return rest

    def break_off(self, code: str, reason: str, at: int | None = None) -> BreakOff:
        """The exception to raise for trouble at ``at``, by default at the present place."""
        return BreakOff(code, self.base + (self.pos if at is None else at), reason, self.stream)

    def stop_at(self, at: int, code: str, reason: str) -> BreakOff:
        """The exception to raise where the value that starts at ``at`` cannot be taken: it counts as not read."""
        self.pos = at
        return self.break_off(code, reason)

    def refuse(self, code: str, reason: str, at: int) -> None:
        """A value that a node refuses, read in full: raises BreakOff for a strict reader only."""
        trouble = self.break_off(code, reason, at)
        if self.strict:
            raise trouble
        self.note(trouble)

    def note(self, trouble: BreakOff) -> None:
        """Keep the first trouble of a lenient reader: there may be one in each of a hundred thousand items."""
        if not self.refusals:
            self.refusals.append(trouble)

    def take(self, size: int, name: str, code: str = FIELD_SHORT) -> bytes:
        """The next ``size`` bytes, which field ``name`` wants. Raises BreakOff where there are fewer."""
        if size > self.left():
            raise self.break_off(code, f"{name} needs {size:,} bytes, {self.left():,} are left")
        start = self.pos
        self.pos = start + size
        return self.data[start : self.pos]

    def unpack(self, form: struct.Struct, name: str, code: str = FIELD_SHORT) -> FieldValue:
        """The next value of ``form``, which field ``name`` wants."""
        return form.unpack(self.take(form.size, name, code))[0]


class Scope:
    """The values read so far in one layer, and the scope of the layer around or below it.

    Fields find by name what they depend on: a length, a count, the version in the header.
    """

    __slots__ = ("held", "outer", "values")

    def __init__(self, values: dict[str, FieldValue], outer: Scope | None = None) -> None:
        self.values = values
        self.outer = outer
        self.held: dict[str, HeldStream] = {}  # by the name of the field whose items they are: decompressed streams

    def get(self, name: str, default: object = None) -> FieldValue:
        """The value of field ``name`` in this scope or the nearest one around it."""
        scope: Scope | None = self
        while scope is not None:
            if name in scope.values:
                return scope.values[name]
            scope = scope.outer
        return default


class Sink(Protocol):
    """What a careful read fills: Scapy packets or plain records."""

    def make(
        self, field: ItemsField, layer: type[Packet], values: dict[str, object], carried: tuple[object, ...]
    ) -> object:
        """An item of ``layer`` in a list, with its values and those that it carries of its section."""

    def make_block(self, layer: type[Packet], values: dict[str, object]) -> object:
        """A block of a compressed stream of ``layer`` with these values."""

    def leftover(self, trouble: BreakOff, rest: bytes) -> object:
        """What stands in a list for bytes that could not be read; None for nothing."""

    def read_list(
        self, field: ItemsField, data: bytes, pos: int, count: int | None, carried: tuple[object, ...] = ()
    ) -> tuple[Sequence[object], int]:
        """The items of ``field`` in one go, and where they end. Raises StuckError where anything is odd."""


class LenientSink(Sink, Protocol):
    """A sink for a lenient reader."""

    def read_list_leniently(
        self, field: ItemsField, data: bytes, pos: int, count: int | None, carried: tuple[object, ...] = ()
    ) -> tuple[Sequence[object], int]:
        """As read_list, whatever the values: one that a node refuses has been noted before."""
