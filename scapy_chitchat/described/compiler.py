# SPDX-License-Identifier: GPL-2.0-or-later
"""Fast readers and writers of lists of items, compiled from the layers' fields.

Reading field by field costs a call and a bounds check each. A list of 1,500 digest entries, all of one shape, deserves
better: this module walks the fields of the item's layer once, joins neighbours of fixed size into one ``struct`` call,
writes the source of a function that reads a whole list, and executes it, as the standard library's dataclasses do with
their methods. ``source_of`` shows the text.

What a compiled reader makes of an item is up to its maker: packet.py makes Scapy packets, records.py makes records;
both are read by the same code.

The compiled code does not say what is wrong. Where a reader meets anything odd it raises StuckError, and the caller
reads on from that item carefully (see cursor.py), which gives the exact place and reason. Likewise a writer raises one
of FAST_WRITE_FAILED where a value is not a plain one, and the caller lets the packet build itself.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import cache
from itertools import repeat
from typing import Any, Protocol

from scapy.fields import ConditionalField
from scapy.packet import Packet

from scapy_chitchat.described.fields import (
    AddressField,
    IPVersionField,
    KnownByteField,
    PackedField,
    PortField,
    StringField,
    TagField,
    measured_by,
)
from scapy_chitchat.described.lists import FAST_READ_FAILED, ItemsField, StuckError
from scapy_chitchat.net.addresses import ADDRESS_SIZES
from scapy_chitchat.wire.protocol import MOST_ITEMS

ListReader = Callable[[bytes, int, "int | None"], "tuple[list[Any], int]"]
"""Reads items of ``data`` from ``pos``: ``count`` of them, or to the end. Gives the items and where they end.

Raises StuckError where anything is odd."""


class Maker(Protocol):
    """What becomes of an item's values in a compiled reader."""

    joins_ports: bool
    """Whether the bytes of an address come with those of the port behind it."""
    text_errors: str
    """What is made of text that is no UTF-8 when it is written, as ``str.encode`` has it."""

    def expression(self, layer: type[Packet], source: Source) -> str:
        """Python for the item; the values are variables with the names of the fields."""

    def address(self, field: AddressField, source: Source) -> str | None:
        """Python for an address whose bytes are in ``ip_raw``; None where ``expression`` sees to it."""

    def opening(self, layer: type[Packet], source: Source) -> None:
        """Code at the start of a writer that makes ready what ``value`` names, or raises ValueError."""

    def value(self, field: Any, source: Source) -> str:
        """Python for the value of ``field`` of ``item``; for an address the bytes."""


class Source:
    """Lines of Python and the names they use. The code's own names begin with ``_``, fields have theirs."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.names: dict[str, Any] = {}
        self.depth = 0

    def add(self, line: str) -> None:
        """One line at the present depth."""
        self.lines.append("    " * self.depth + line)

    def name(self, value: Any, hint: str) -> str:
        """The name under which the code can use ``value``."""
        for name, known in self.names.items():
            if known is value:
                return name
        name = f"{hint}_{len(self.names)}"
        self.names[name] = value
        return name

    def text(self) -> str:
        """The source."""
        return "\n".join(self.lines) + "\n"


class _ByLength(dict[int, Any]):
    """What unpacks a string and the fixed fields behind it, by the string's length; made when first met."""

    most = 4096  # lengths that are kept: a sender could go through all 65,536

    def __init__(self, behind: str) -> None:
        self.behind = behind

    def __missing__(self, length: int) -> Any:
        if len(self) >= self.most:
            self.clear()
        unpack = self[length] = struct.Struct(f"<{length}s{self.behind}").unpack_from
        return unpack


def _form(field: Any) -> str:
    """The letter of a number's ``struct`` format. Raises TypeError for another byte order than the protocol's."""
    if field.sz > 1 and field.fmt[0] != "<":
        raise TypeError(f"{field.name}: not little-endian, so no fast way")
    return field.fmt[-1]  # type: ignore[no-any-return]


@cache
def _unpacker(form: str) -> Any:
    return struct.Struct(f"<{form}").unpack_from


@cache
def _unpackers_by_length(behind: str) -> _ByLength:
    return _ByLength(behind)


class _Run:
    """Neighbouring fields that one ``unpack_from`` reads: maybe a string first, then fields of fixed size.

    One of these may be an address. It has one of two sizes, and what is behind it moves with it: the code takes it for
    an IPv4 address, and unpacks again where the IP version, which stands before it, says otherwise.
    """

    def __init__(self, source: Source) -> None:
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

    def add_port(self, field: PortField) -> None:
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


def _add_item(layer: type[Packet], source: Source, maker: Maker, lenient: bool) -> None:
    """Code that reads one item of ``layer``, moves behind it and appends it to the list."""
    run = _Run(source)
    fields = list(layer.fields_desc)
    used_lengths = {field.length_from for field in fields if isinstance(field, StringField)}
    used_versions = {field.version_from for field in fields if isinstance(field, AddressField)}
    conversions: list[str] = []
    for field in fields:
        if isinstance(field, (ConditionalField, PackedField, ItemsField)):
            raise TypeError(f"{layer.__name__}.{field.name}: no reader of lists can be compiled for such a field")
        if isinstance(field, StringField):
            run.add_string(field)
            conversions.append(f"{field.name} = {field.name}.decode({_ERRORS if lenient else ''})")
        elif isinstance(field, AddressField):
            run.add_address(field)
            text = maker.address(field, source)
            if text is not None:
                conversions.append(f"{field.name} = {text}")
        elif isinstance(field, PortField) and maker.joins_ports:
            run.add_port(field)
        elif measured_by(field):
            run.add(_form(field), field.name if field.name in used_lengths | used_versions else None)
        elif isinstance(field, TagField):
            run.add(_form(field), None)
        else:
            run.add(_form(field), field.name)
            if isinstance(field, KnownByteField) and not lenient:
                conversions += [f"if {field.name} not in {source.name(field.i2s, 'known')}:", "    raise ValueError"]
    run.flush()
    if run.offset:
        source.add(f"_pos += {run.offset}")
    for line in conversions:
        source.add(line)
    source.add(f"_append({maker.expression(layer, source)})")


_ERRORS = "'utf-8', 'surrogateescape'"


def source_of(field: ItemsField, maker: Maker, *, lenient: bool = False) -> Source:
    """The source of the reader of ``field``'s items, and the names that it uses.

    A lenient reader takes any value: invalid UTF-8 as surrogate escapes, numbers that an enum does not have.
    """
    source = Source()
    source.add("def read_list(_data, _pos, _count):")
    source.depth = 1
    source.add("_items = []")
    source.add("_append = _items.append")
    source.add("_end = len(_data)")
    source.add("_at = _pos")
    source.add("try:")
    source.depth = 2
    source.add(f"for _ in {source.name(repeat, 'repeat')}(None, {MOST_ITEMS} if _count is None else _count):")
    source.depth = 3
    source.add("_at = _pos")
    source.add("if _pos >= _end:")
    source.add("    break")
    if not field.by_tag:
        _add_item(field.layers[0], source, maker, lenient)
    for index, (tag, layer) in enumerate(field.by_tag.items()):
        if index == 0:
            source.add("_tag = _data[_pos]")
        source.add(f"{'elif' if index else 'if'} _tag == {tag:d}:")
        source.depth += 1
        _add_item(layer, source, maker, lenient)
        source.depth -= 1
    if field.by_tag:
        source.add("else:")
        source.add("    raise ValueError")
    source.depth = 2
    source.add("_at = _pos")
    source.add("if len(_items) != _count if _count is not None else _pos < _end:")
    source.add("    raise ValueError")
    source.depth = 1
    source.add(f"except {source.name(FAST_READ_FAILED, 'failures')}:")
    source.add(f"    raise {source.name(StuckError, 'StuckError')}(_items, _at) from None")
    source.add("return _items, _pos")
    return source


def compile_list_reader(field: ItemsField, maker: Maker, *, lenient: bool = False) -> ListReader:
    """A function that reads all items of ``field`` at once, a lenient one whatever their values.

    Raises TypeError where a layer has a field for which there is no fast way.
    """
    source = source_of(field, maker, lenient=lenient)
    names = dict(source.names)
    exec(compile(source.text(), f"<reader of {field.name}>", "exec"), names)  # noqa: S102
    return names["read_list"]  # type: ignore[no-any-return]


# --- writers ---

FAST_WRITE_FAILED = (struct.error, ValueError, TypeError, AttributeError, LookupError)
"""What a compiled writer raises where a value is not as a node would have it."""

ItemWriter = Callable[[Any], bytes]


def writer_source(layer: type[Packet], maker: Maker) -> Source:
    """The source of the writer of one item of ``layer``."""
    source = Source()
    source.add("def write(_item):")
    source.depth = 1
    maker.opening(layer, source)
    parts: list[str] = []
    forms: list[str] = []
    values: list[str] = []

    def flush() -> None:
        if forms:
            pack = source.name(_packer("<" + "".join(forms)), "pack")
            parts.append(f"{pack}({', '.join(values)})")
            forms.clear()
            values.clear()

    for field in layer.fields_desc:
        if isinstance(field, StringField):
            source.add(f"{field.name} = {maker.value(field, source)}.encode('utf-8', {maker.text_errors!r})")
        elif isinstance(field, AddressField):
            source.add(f"{field.name} = {maker.value(field, source)}")
    for field in layer.fields_desc:
        if isinstance(field, (StringField, AddressField)):
            flush()
            parts.append(field.name)
            continue
        forms.append(_form(field))
        measured = measured_by(field)
        if isinstance(field, TagField):
            values.append(f"{field.default:d}")
        elif isinstance(field, IPVersionField):
            values.append(f"6 if len({measured}) == 16 else 4")
        elif measured:
            values.append(f"len({measured})")
        else:
            values.append(maker.value(field, source))
    flush()
    source.add(f"return {' + '.join(parts)}")
    return source


_packers: dict[str, Any] = {}


def _packer(form: str) -> Any:
    return _packers.setdefault(form, struct.Struct(form).pack)


def compile_writer(layer: type[Packet], maker: Maker) -> ItemWriter:
    """A function that gives the bytes of one item of ``layer``."""
    source = writer_source(layer, maker)
    names = dict(source.names)
    exec(compile(source.text(), f"<writer of {layer.__name__}>", "exec"), names)  # noqa: S102
    return names["write"]  # type: ignore[no-any-return]
