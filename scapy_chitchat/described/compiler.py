# SPDX-License-Identifier: GPL-2.0-or-later
"""Fast readers of lists of items, compiled from the layers' fields.

Reading field by field costs a call and a bounds check each. A list of 1,500 items, all of one shape, deserves
better: this module walks the fields of the item's layer once, joins neighbours of fixed size into one ``struct`` call,
writes the source of a function that reads a whole list, and executes it (see source.py). ``source_of`` shows the text.
Writers are in writers.py, readers and writers of whole messages in messages.py.

What a compiled reader makes of an item is up to its maker: packet.py makes Scapy packets, records make records; both
are read by the same code.

The compiled code does not say what is wrong. Where a reader meets anything odd it raises StuckError, and the caller
reads on from that item carefully (see cursor.py), which gives the exact place and reason.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from functools import cache
from itertools import repeat
from typing import Any, Protocol

from scapy.fields import AnyField, ByteField, FieldLenField, LEIntField, LELongField, LEShortField
from scapy.packet import Packet

from scapy_chitchat.described.facts import FACTS
from scapy_chitchat.described.fields import (
    AddressField,
    IPVersionField,
    KnownByteField,
    MagicField,
    PortField,
    StringField,
    TagField,
)
from scapy_chitchat.described.kinds import BareField, KindTable, place_of
from scapy_chitchat.described.lists import FAST_READ_FAILED, ItemsField, StuckError
from scapy_chitchat.described.source import PythonSource
from scapy_chitchat.net.addresses import ADDRESS_SIZES

ListReader = Callable[..., "tuple[list[Any], int]"]
"""Reads items of ``data`` from ``pos``: ``count`` of them, or to the end. Gives the items and where they end.

Its arguments are these three, and the values of the section that the first items are in, as far as items carry them.
What the items are is up to the maker.

Raises StuckError where anything is odd."""


class Maker(Protocol):
    """What becomes of an item's values in a compiled reader."""

    joins_ports: bool
    """Whether the bytes of an address come with those of the port behind it."""

    def expression(self, field: ItemsField, layer: type[Packet], source: PythonSource) -> str:
        """Python for the item; the values are variables with the names of the fields."""

    def address(self, field: AddressField, source: PythonSource) -> str | None:
        """Python for an address whose bytes are in ``ip_raw``; None where ``expression`` sees to it."""


Unpack = Callable[[bytes, int], "tuple[object, ...]"]
"""Gives values that stand at a place in bytes."""


class _ByLength(dict[int, Unpack]):
    """What unpacks a string and the fixed fields behind it, by the string's length; made when first met."""

    most = 4096  # lengths that are kept: a sender could go through all 65,536

    def __init__(self, behind: str) -> None:
        self.behind = behind

    def __missing__(self, length: int) -> Unpack:
        if len(self) >= self.most:
            self.clear()
        unpack = self[length] = struct.Struct(f"<{length}s{self.behind}").unpack_from
        return unpack


def form_of(field: BareField) -> str:
    """The letter of a number's ``struct`` format. Raises TypeError for another byte order than the protocol's."""
    if field.sz > 1 and field.fmt[0] != "<":
        raise TypeError(f"{place_of(field)}: not little-endian, so no fast way")
    return field.fmt[-1]


@cache
def _unpacker(form: str) -> Unpack:
    return struct.Struct(f"<{form}").unpack_from


@cache
def _unpackers_by_length(behind: str) -> _ByLength:
    return _ByLength(behind)


class Run:
    """Neighbouring fields that one ``unpack_from`` reads: maybe a string first, then fields of fixed size.

    One of these may be an address. It has one of two sizes, and what is behind it moves with it: the code takes it for
    an IPv4 address, and unpacks again where the IP version, which stands before it, says otherwise.
    """

    def __init__(self, source: PythonSource) -> None:
        self.source = source
        self.offset = 0  # of the run, from the place where the code stands
        self._begin()

    def _begin(self) -> None:
        self.string: StringField | None = None
        self.address: AddressField | None = None
        self.forms: list[str] = []
        self.targets: list[str] = []

    def add(self, form: str, target: str | None) -> None:
        """A value of ``form``; without a target it is passed over."""
        self.forms.append(form if target else f"{struct.calcsize('<' + form)}x")
        if target:
            self.targets.append(target)

    def add_string(self, field: StringField) -> None:
        """A string, which begins a run; its bytes go into a variable of its name."""
        self.flush()
        self.string = field
        self.targets.append(field.name)

    def add_address(self, field: AddressField) -> None:
        """An address, at most one in a run."""
        if self.address is not None:
            self.flush()
        self.address = field
        self.forms.append("{address}s")
        self.targets.append(f"{field.name}_raw")

    def add_port(self) -> None:
        """The port behind the address, as bytes of the same piece."""
        self.forms[-1] = "{address_and_port}s"

    def flush(self) -> None:
        """Write the code that reads the run, and stand behind it."""
        if self.targets or self.forms:
            sizes = list(ADDRESS_SIZES.items())
            self._unpack(sizes[0][1])
            if self.address is None:
                self._advance(sizes[0][1])
            else:
                self._choose(self.address, sizes)
        self._begin()

    def finish(self) -> None:
        """Flush, and have the code stand behind the run."""
        self.flush()
        if self.offset:
            self.source.add(f"_pos += {self.offset}")
            self.offset = 0

    def _format(self, address_size: int) -> str:
        return "".join(self.forms).format(address=address_size, address_and_port=address_size + 2)

    def _unpack(self, address_size: int) -> None:
        form = self._format(address_size)
        if self.string is None:
            unpack = self.source.name(_unpacker(form), "unpack")
        else:
            table = self.source.name(_unpackers_by_length(form), "by_length")
            unpack = f"{table}[{self.string.length_from}]"
        at = f"_pos + {self.offset}" if self.offset else "_pos"
        if self.targets:
            self.source.add(f"{', '.join(self.targets)}, = {unpack}(_data, {at})")
        else:
            self.source.add(f"if {at} + {struct.calcsize('<' + form)} > len(_data):", "    raise ValueError")

    def _advance(self, address_size: int) -> None:
        """Stand behind the run: a fixed one is only counted, behind a string ``_pos`` must move."""
        self.offset += struct.calcsize("<" + self._format(address_size))
        if self.string is not None:
            self.source.add(f"_pos += {self.offset} + {self.string.length_from}")
            self.offset = 0

    def _choose(self, address: AddressField, sizes: list[tuple[int, int]]) -> None:
        start = self.offset
        for index, (version, size) in enumerate(sizes):
            self.source.add(f"{'elif' if index else 'if'} {address.version_from} == {version}:")
            self.source.depth += 1
            self.offset = start
            if index:
                self._unpack(size)
            self._advance(size)
            if self.offset:
                self.source.add(f"_pos += {self.offset}")
            self.source.depth -= 1
        self.source.add("else:")
        self.source.add("    raise ValueError")
        self.offset = 0


class Reading:
    """The source of a reader as it grows, field by field.

    ``needed`` are the names of the computed fields whose values others need; ``afterwards`` the lines that make values
    of what was read, which stand behind all reading; ``streams`` the variables of streams, by the list that they hold.
    """

    def __init__(self, source: PythonSource, maker: Maker, fields: Sequence[AnyField], *, lenient: bool) -> None:
        self.source = source
        self.maker = maker
        self.lenient = lenient
        self.run = Run(source)
        self.needed = {name for field in fields for name in FACTS.of(field).needs(field)}
        self.afterwards: list[str] = []
        self.streams: dict[str, str] = {}

    def number(self, field: BareField, *, wanted: bool = True) -> None:
        """A number, in a variable of its name where it is ``wanted``."""
        self.run.add(form_of(field), field.name if wanted else None)

    def refuse_unless(self, condition: str) -> None:
        """Values for which this Python does not hold are odd; a lenient reader takes them."""
        if not self.lenient:
            self.afterwards += [f"if not ({condition}):", "    raise ValueError"]

    def finish(self) -> None:
        """Behind the last field."""
        self.run.finish()
        self.source.add(*self.afterwards)


def _read_number(field: BareField, reading: Reading) -> None:
    reading.number(field)


def _read_computed(field: BareField, reading: Reading) -> None:
    reading.number(field, wanted=field.name in reading.needed)


def _read_tag(field: TagField, reading: Reading) -> None:
    reading.number(field, wanted=False)  # it was looked at to find the layer


def _read_known(field: KnownByteField, reading: Reading) -> None:
    reading.number(field)
    reading.refuse_unless(f"{field.name} in {reading.source.name(field.i2s, 'known')}")


def _read_magic(field: MagicField, reading: Reading) -> None:
    reading.number(field)
    reading.refuse_unless(f"{field.name} == {int(field.default)}")


def _read_string(field: StringField, reading: Reading) -> None:
    reading.run.add_string(field)
    errors = "'utf-8', 'surrogateescape'" if reading.lenient else ""
    reading.afterwards.append(f"{field.name} = {field.name}.decode({errors})")


def _read_address(field: AddressField, reading: Reading) -> None:
    reading.run.add_address(field)
    text = reading.maker.address(field, reading.source)
    if text is not None:
        reading.afterwards.append(f"{field.name} = {text}")


def _read_port(field: PortField, reading: Reading) -> None:
    if reading.maker.joins_ports:
        reading.run.add_port()
    else:
        reading.number(field)


Read = Callable[[Any, Reading], None]
"""Adds what reads a field, whose kind is that of the row."""

ITEM_READ: KindTable[Read] = KindTable(
    "the fast reader",
    {
        ByteField: _read_number,
        LEShortField: _read_number,
        LEIntField: _read_number,
        LELongField: _read_number,
        FieldLenField: _read_computed,
        IPVersionField: _read_computed,
        PortField: _read_port,
        TagField: _read_tag,
        KnownByteField: _read_known,
        MagicField: _read_magic,
        StringField: _read_string,
        AddressField: _read_address,
    },
)
"""How each kind of field of an item is read fast."""


def _add_item(of: ItemsField, layer: type[Packet], source: PythonSource, maker: Maker, lenient: bool) -> None:
    """Code that reads one item of ``layer``, moves behind it and appends it to the list."""
    reading = Reading(source, maker, layer.fields_desc, lenient=lenient)
    for field in layer.fields_desc:
        ITEM_READ.of(field, layer)(field, reading)
    reading.finish()
    source.add(f"_append({maker.expression(of, layer, source)})")


def source_of(field: ItemsField, maker: Maker, *, lenient: bool = False) -> PythonSource:
    """The source of the reader of ``field``'s items, and the names that it uses.

    A lenient reader takes any value: invalid UTF-8 as surrogate escapes, numbers that an enum does not have.
    """
    source = PythonSource()
    # what is carried is in the variables that the section's own fields are read into, and no other item's are
    source.add(f"def read_list({', '.join(['_data', '_pos', '_count', *(f'{name}=None' for name in field.carried)])}):")
    source.depth = 1
    source.add("_items = []", "_append = _items.append", "_end = len(_data)", "_at = _pos", "try:")
    source.depth = 2
    source.add(f"for _ in {source.name(repeat, 'repeat')}(None, {field.most} if _count is None else _count):")
    source.depth = 3
    source.add("_at = _pos", "if _pos >= _end:", "    break")
    if not field.by_tag:
        _add_item(field, field.layers[0], source, maker, lenient)
    for index, (tag, layer) in enumerate(field.by_tag.items()):
        if index == 0:
            source.add("_tag = _data[_pos]")
        source.add(f"{'elif' if index else 'if'} _tag == {tag:d}:")
        source.depth += 1
        _add_item(field, layer, source, maker, lenient)
        source.depth -= 1
    if field.by_tag:
        source.add("else:", "    raise ValueError")
    source.depth = 2
    source.add("_at = _pos")
    source.add("if len(_items) != _count if _count is not None else _pos < _end:", "    raise ValueError")
    source.depth = 1
    carried = "".join(f"{name}, " for name in field.carried)
    source.add(f"except {source.name(FAST_READ_FAILED, 'failures')}:")
    source.add(f"    raise {source.name(StuckError, 'StuckError')}(_items, _at, ({carried})) from None")
    source.add("return _items, _pos")
    return source


def compile_list_reader(field: ItemsField, maker: Maker, *, lenient: bool = False) -> ListReader:
    """A function that reads all items of ``field`` at once, a lenient one whatever their values.

    Raises UnknownKindError where a layer has a field of a kind for which there is no rule.
    """
    source = source_of(field, maker, lenient=lenient)
    return source.function("read_list", f"reader of {field.name}")
