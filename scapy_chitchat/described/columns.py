# SPDX-License-Identifier: GPL-2.0-or-later
"""Lists of items that are each a head and some numbers, read column by column.

The items of such a list begin with what they are about, its head, which rarely changes, and end with numbers, which
always do. Lists of the same heads have all bytes at the same places: one ``struct`` call reads such a list whole. Where
the heads turn out to be other ones the items are stepped over one by one (extents.py), and the place of everything is
remembered for the next list. Bytes are read by a remembered layout only where all its heads stand in them; since a head
has the lengths of its own parts in it, what it holds is then where the layout says.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Generic, TypeAlias, TypeVar

from scapy.fields import AnyField, LELongField
from scapy.packet import Packet

from scapy_chitchat.described.compiler import form_of
from scapy_chitchat.described.conditions import inner
from scapy_chitchat.described.extents import compile_end
from scapy_chitchat.described.kinds import place_of
from scapy_chitchat.described.lists import ItemsField

Head = TypeVar("Head")
"""What a head is taken for."""

MOST_REMEMBERED = 100_000
"""The most heads in the layouts that are remembered."""


class Layout(Generic[Head]):
    """The heads of a list, in their order, and how a list with these heads is read."""

    __slots__ = ("heads", "raw", "size", "unpack")

    def __init__(self, raw: tuple[bytes, ...], heads: tuple[Head, ...], numbers: str) -> None:
        form = struct.Struct("<" + "".join(f"{len(head)}s{numbers}" for head in raw))
        self.raw = raw
        self.heads = heads
        self.size = form.size
        self.unpack = form.unpack_from


Columns: TypeAlias = tuple[Layout[Head], tuple[int, ...]]
"""A list as it was read: its layout and, of each item, its head's bytes and its numbers, all in a row."""


def numbers_behind(layer: type[Packet]) -> tuple[list[AnyField], list[AnyField]]:
    """The fields of the head and the numbers behind it: the last fields that are eight bytes and take any value."""
    fields = list(layer.fields_desc)
    place = len(fields)
    while place and type(fields[place - 1]) is LELongField:
        place -= 1
    return fields[:place], fields[place:]


class ColumnReader(Generic[Head]):
    """Reads lists of ``field`` as columns: called as a reader of lists is, it gives the columns and where they end.

    ``head_of`` makes of the bytes of a head what it is taken for, and raises one of FAST_READ_FAILED for a head that a
    node would refuse. Raises TypeError for a list of items that do not fall into a head and numbers.
    """

    def __init__(self, field: ItemsField, head_of: Callable[[bytes], Head]) -> None:
        if len(field.layers) != 1 or field.section or field.carried:
            raise TypeError(f"{place_of(field)}: no list of items of one kind")
        (layer,) = field.layers
        head, numbers = numbers_behind(layer)
        if not head or not numbers:
            raise TypeError(f"{layer.__name__}: no head with numbers behind it")
        self.names = tuple(inner(each).name for each in numbers)
        """What the numbers are called, in the order of the columns."""
        self.stride = 1 + len(numbers)
        """How many values an item has in a row of them."""
        self._most = field.most
        self._numbers = "".join(form_of(inner(each)) for each in numbers)
        self._size = struct.calcsize("<" + self._numbers)
        self._end = compile_end(layer, head)
        self._head_of = head_of
        self._nothing: Columns[Head] = Layout[Head]((), (), self._numbers), ()
        self._layouts: dict[tuple[int, bytes], Layout[Head]] = {}
        self._remembered = 0

    def __call__(self, data: bytes, pos: int, count: int | None) -> tuple[Columns[Head], int]:
        """``count`` items from ``pos`` on, or all. Raises one of FAST_READ_FAILED where anything is odd."""
        left = len(data) - pos
        if not (left if count is None else count):
            return self._nothing, pos
        key = (left if count is None else -count, data[pos : self._end(data, pos)])
        layout = self._layouts.get(key)
        if layout is not None and layout.size <= left:
            values = layout.unpack(data, pos)
            if values[:: self.stride] == layout.raw:
                return (layout, values), pos + layout.size
        layout = self._layouts[key] = self._found(data, pos, count)
        return (layout, layout.unpack(data, pos)), pos + layout.size

    def _found(self, data: bytes, pos: int, count: int | None) -> Layout[Head]:
        """The layout of a list whose heads are other ones than before."""
        raw: list[bytes] = []
        end, end_of, size = len(data), self._end, self._size
        while len(raw) != count and (count is not None or pos != end):
            behind = end_of(data, pos)
            raw.append(data[pos:behind])
            pos = behind + size
            if pos > end or len(raw) > self._most:
                raise ValueError
        layout = Layout(tuple(raw), tuple(map(self._head_of, raw)), self._numbers)
        self._remembered += len(raw)
        if self._remembered > MOST_REMEMBERED:
            self._layouts.clear()
            self._remembered = len(raw)
        return layout
