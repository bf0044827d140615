# SPDX-License-Identifier: GPL-2.0-or-later
"""Fast readers and writers of lists of items, compiled from the layers' fields.

Reading field by field costs a call and a bounds check each. A list of 1,500 digest entries, all of one shape, deserves
better: this module walks the fields of the item's layer once, joins neighbours of fixed size into one ``struct`` call,
writes the source of a function that reads a whole list, and executes it, as the standard library's dataclasses do with
their methods. ``source_of`` shows the text.

What a compiled reader makes of an item is up to its maker: packet.py makes Scapy packets, records.py makes records;
both are read by the same code.

The compiled code has no error handling of its own. In a reader anything odd raises one of FAST_READ_FAILED, and the
caller reads the same bytes again carefully (see cursor.py), which gives the exact place and reason. Likewise a writer
raises one of FAST_WRITE_FAILED where a value is not a plain one, and the caller lets the packet build itself.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, Protocol

from scapy.fields import ConditionalField
from scapy.packet import Packet

from scapy_chitchat.fields import (
    ADDRESS_SIZES,
    AddressField,
    IPVersionField,
    ItemsField,
    KnownByteField,
    PackedField,
    StringField,
    TagField,
    measured_by,
)

ListReader = Callable[[bytes, int, "int | None"], "tuple[list[Any], int]"]
"""Reads items of ``data`` from ``pos``: ``count`` of them, or to the end. Gives the items and where they end."""


class Maker(Protocol):
    """What becomes of an item's values in a compiled reader."""

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


class _Run:
    """Neighbouring fields of fixed size, read by one ``unpack_from``."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.forms: list[str] = []
        self.targets: list[str] = []
        self.offset = 0  # of the run, from the place where the code stands
        self.address: AddressField | None = None

    def add(self, form: str, target: str | None) -> None:
        """A value of ``form``; without a target it is passed over."""
        self.forms.append(form if target else f"{struct.calcsize('<' + form)}x")
        if target:
            self.targets.append(target)

    def flush(self) -> None:
        """Write the code that reads the run, and stand behind it."""
        if self.address is not None:
            self._flush_with_address(self.address)
        elif self.forms:
            size = self._unpack("<" + "".join(self.forms))
            self.offset += size
        self.forms, self.targets, self.address = [], [], None

    def _unpack(self, form: str) -> int:
        compiled = struct.Struct(form)
        if self.targets:
            unpack = self.source.name(_unpacker(form), "unpack")
            at = f"_pos + {self.offset}" if self.offset else "_pos"
            self.source.add(f"{', '.join(self.targets)}, = {unpack}(_data, {at})")
        return compiled.size

    def _flush_with_address(self, address: AddressField) -> None:
        """An address has one of two sizes, and the fields behind it move with it."""
        start = self.offset
        for index, (version, length) in enumerate(ADDRESS_SIZES.items()):
            word = "elif" if index else "if"
            self.source.add(f"{word} {address.version_from} == {version}:")
            self.source.depth += 1
            size = self._unpack("<" + "".join([f"{length}s", *self.forms[1:]]))
            self.source.add(f"_pos += {start + size}")
            self.source.depth -= 1
        self.source.add("else:")
        self.source.add("    raise ValueError")
        self.offset = 0


_unpackers: dict[str, Any] = {}


def _unpacker(form: str) -> Any:
    return _unpackers.setdefault(form, struct.Struct(form).unpack_from)


def _add_item(layer: type[Packet], source: Source, maker: Maker) -> None:
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
            run.flush()
            _add_string(field, source, run)
        elif isinstance(field, AddressField):
            run.flush()
            run.address = field
            run.add("4s", f"{field.name}_raw")
            text = maker.address(field, source)
            if text is not None:
                conversions.append(f"{field.name} = {text}")
        elif measured_by(field):
            run.add(field.fmt[-1], field.name if field.name in used_lengths | used_versions else None)
        elif isinstance(field, TagField):
            run.add(field.fmt[-1], None)
        else:
            run.add(field.fmt[-1], field.name)
            if isinstance(field, KnownByteField):
                conversions += [f"if {field.name} not in {source.name(field.i2s, 'known')}:", "    raise ValueError"]
    run.flush()
    if run.offset:
        source.add(f"_pos += {run.offset}")
    for line in conversions:
        source.add(line)
    source.add(f"_append({maker.expression(layer, source)})")


def _add_string(field: StringField, source: Source, run: _Run) -> None:
    start = f"_pos + {run.offset}" if run.offset else "_pos"
    source.add(f"_start = {start}")
    source.add(f"_pos = _start + {field.length_from}")
    source.add("if _pos > _end:")
    source.add("    raise ValueError")
    source.add(f"{field.name} = str(_data[_start:_pos], 'utf-8')")
    run.offset = 0


def source_of(field: ItemsField, maker: Maker) -> Source:
    """The source of the reader of ``field``'s items, and the names that it uses."""
    source = Source()
    source.add("def read_list(_data, _pos, _count):")
    source.depth = 1
    source.add("_items = []")
    source.add("_append = _items.append")
    source.add("_end = len(_data)")
    source.add("while _pos < _end if _count is None else len(_items) < _count:")
    source.depth = 2
    if not field.by_tag:
        _add_item(field.layers[0], source, maker)
    for index, (tag, layer) in enumerate(field.by_tag.items()):
        if index == 0:
            source.add("_tag = _data[_pos]")
        source.add(f"{'elif' if index else 'if'} _tag == {tag:d}:")
        source.depth += 1
        _add_item(layer, source, maker)
        source.depth -= 1
    if field.by_tag:
        source.add("else:")
        source.add("    raise ValueError")
    source.depth = 1
    source.add("return _items, _pos")
    return source


def compile_list_reader(field: ItemsField, maker: Maker) -> ListReader:
    """A function that reads all items of ``field`` at once.

    Raises TypeError where a layer has a field for which there is no fast way.
    """
    source = source_of(field, maker)
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
            source.add(f"{field.name} = {maker.value(field, source)}.encode('utf-8', 'surrogateescape')")
        elif isinstance(field, AddressField):
            source.add(f"{field.name} = {maker.value(field, source)}")
    for field in layer.fields_desc:
        if isinstance(field, (StringField, AddressField)):
            flush()
            parts.append(field.name)
            continue
        forms.append(field.fmt[-1])
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
