# SPDX-License-Identifier: GPL-2.0-or-later
"""Where items end, without making anything of them: compiled from the layers' fields like their readers (compiler.py).

What goes round a cluster is mostly what went round before. Who knows where an item, or the section of a list, begins
and ends can look its bytes up among those that it has read already. This module writes the code that steps over items:
lengths and addresses' versions are read, all else is passed over. Whether a node would take the values is not looked
at: bytes that are met for the first time are for a reader of items.

The code raises one of FAST_READ_FAILED where bytes are missing or nothing can be stepped over.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import repeat
from typing import Any

from scapy.fields import AnyField, ByteField, FieldLenField, LEIntField, LELongField, LEShortField
from scapy.packet import Packet

from scapy_chitchat.described.compiler import form_of
from scapy_chitchat.described.conditions import inner
from scapy_chitchat.described.facts import FACTS
from scapy_chitchat.described.fields import (
    AddressField,
    IPVersionField,
    KnownByteField,
    PortField,
    StringField,
    TagField,
)
from scapy_chitchat.described.kinds import BareField, KindTable, place_of
from scapy_chitchat.described.lists import ItemsField
from scapy_chitchat.described.source import PythonSource
from scapy_chitchat.net.addresses import ADDRESS_SIZES


class Steps:
    """The source of a walk over the fields of an item, from ``_pos`` in ``_data``."""

    def __init__(self, source: PythonSource, fields: list[BareField]) -> None:
        self.source = source
        self.needed = {name for field in fields for name in FACTS.of(field).needs(field)}
        self._offset = 0  # from the place where the code stands

    def number(self, field: BareField) -> None:
        """A number, which is read where a field behind it needs it."""
        form_of(field)  # raises TypeError for another byte order
        if field.name in self.needed:
            places = range(self._offset, self._offset + field.sz)
            parts = (f"_data[_pos + {at}]" + (f" << {8 * index}" if index else "") for index, at in enumerate(places))
            self.source.add(f"{field.name} = {' | '.join(parts)}")
        self._offset += field.sz

    def string(self, field: StringField) -> None:
        """A string, behind which everything moves."""
        self.source.add(f"_pos += {self._offset} + {field.length_from}")
        self._offset = 0

    def address(self, field: AddressField) -> None:
        """An address, of one of two sizes."""
        for index, (version, size) in enumerate(ADDRESS_SIZES.items()):
            self.source.add(f"{'elif' if index else 'if'} {field.version_from} == {version}:")
            self.source.add(f"    _pos += {self._offset + size}")
        self.source.add("else:", "    raise ValueError")
        self._offset = 0

    def finish(self) -> None:
        """Behind the last field."""
        if self._offset:
            self.source.add(f"_pos += {self._offset}")


Step = Callable[[Any, Steps], None]
"""Adds what steps over a field, whose kind is that of the row."""


def _number(field: BareField, steps: Steps) -> None:
    steps.number(field)


def _string(field: StringField, steps: Steps) -> None:
    steps.string(field)


def _address(field: AddressField, steps: Steps) -> None:
    steps.address(field)


STEP: KindTable[Step] = KindTable(
    "what steps over items",
    {
        ByteField: _number,
        LEShortField: _number,
        LEIntField: _number,
        LELongField: _number,
        FieldLenField: _number,
        IPVersionField: _number,
        PortField: _number,
        TagField: _number,
        KnownByteField: _number,
        StringField: _string,
        AddressField: _address,
    },
)
"""How each kind of field of an item is stepped over."""


def _add_steps(source: PythonSource, layer: type[Packet], fields: list[AnyField]) -> None:
    steps = Steps(source, list(map(inner, fields)))
    for field in map(inner, fields):
        STEP.of(field, layer)(field, steps)
    steps.finish()


End = Callable[[bytes, int], int]
"""Where what begins at a place in bytes ends; it may be behind the last byte, which is for the caller to see."""


def compile_end(layer: type[Packet], fields: list[AnyField]) -> End:
    """A function that gives where these fields of ``layer``, which stand one behind the other, end."""
    source = PythonSource()
    source.add("def end_of(_data, _pos):")
    source.depth = 1
    _add_steps(source, layer, fields)
    source.add("return _pos")
    return source.function("end_of", f"end of {layer.__name__}")


Cutter = Callable[[bytes, int, "int | None"], "tuple[list[bytes], int]"]
"""The bytes of each section of the list that begins at a place, and where the list ends; it goes to the end of all."""


def compile_cutter(field: ItemsField) -> Cutter:
    """A function that cuts a list of items into its sections.

    Raises TypeError for a list without sections, or one that stands behind a count.
    """
    if field.section is None or field.count_from:
        raise TypeError(f"{place_of(field)}: no list of sections that goes to the end of a stream")
    opens = next(tag for tag, layer in field.by_tag.items() if layer is field.section)
    source = PythonSource()
    source.add("def cut(_data, _pos, _count):")
    source.depth = 1
    source.add("_pieces = []", "_append = _pieces.append", "_start = _pos", "_end = len(_data)")
    source.add(f"if _pos < _end and _data[_pos] != {opens:d}:", "    raise ValueError")
    source.add(f"for _ in {source.name(repeat, 'repeat')}(None, {field.most}):")
    source.depth = 2
    source.add("if _pos >= _end:", "    break", "_tag = _data[_pos]")
    for index, (tag, layer) in enumerate(field.by_tag.items()):
        source.add(f"{'elif' if index else 'if'} _tag == {tag:d}:")
        source.depth = 3
        if layer is field.section:
            source.add("if _pos > _start:", "    _append(_data[_start:_pos])", "    _start = _pos")
        _add_steps(source, layer, layer.fields_desc)
        source.depth = 2
    source.add("else:", "    raise ValueError")
    source.depth = 1
    source.add("if _pos != _end:", "    raise ValueError")
    source.add("if _pos > _start:", "    _append(_data[_start:_pos])", "return _pieces, _pos")
    return source.function("cut", f"cutter of {field.name}")
