# SPDX-License-Identifier: GPL-2.0-or-later
"""Fast writers of items, compiled from the layers' fields as their readers are (compiler.py).

A writer raises one of FAST_WRITE_FAILED where a value is not a plain one; the caller then lets the packet build itself,
or says what is wrong.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any, Generic, Protocol

from scapy.fields import AnyField, ByteField, FieldLenField, LEIntField, LELongField, LEShortField
from scapy.packet import Packet

from scapy_chitchat.described.compiler import form_of
from scapy_chitchat.described.conditions import condition, inner
from scapy_chitchat.described.facts import FACTS
from scapy_chitchat.described.fields import (
    AddressField,
    IPVersionField,
    KnownByteField,
    MagicField,
    PackedField,
    PortField,
    StringField,
    TagField,
)
from scapy_chitchat.described.kinds import BareField, FieldKind, KindTable
from scapy_chitchat.described.source import PythonSource

FAST_WRITE_FAILED = (struct.error, ValueError, TypeError, AttributeError, LookupError)
"""What a compiled writer raises where a value is not as a node would have it."""

ItemWriter = Callable[[object], bytes]
"""Gives the bytes of one item."""


class Giver(Protocol):
    """Where a compiled writer gets the values of ``_item``: Python for each, as a number, text or bytes."""

    text_errors: str
    """What is made of text that is no UTF-8, as ``str.encode`` has it."""

    def opening(self, layer: type[Packet], source: PythonSource) -> None:
        """Code at the start of a writer that makes ready what the others name, or raises ValueError."""

    def value(self, field: BareField, source: PythonSource) -> str:
        """A number, or text."""

    def known_value(self, field: KnownByteField, source: PythonSource) -> str:
        """The number of one of an enum's values."""

    def address_bytes(self, field: AddressField, source: PythonSource) -> str:
        """The bytes of an address."""

    def port(self, field: PortField, source: PythonSource) -> str:
        """The number of a port."""


class Writing:
    """The source of a writer as it grows: first what is made ready, then the parts of the bytes."""

    def __init__(self, source: PythonSource, giver: Giver) -> None:
        self.source = source
        self.giver = giver
        self.parts: list[str] = []
        self.in_blocks: set[str] = set()  # the lists whose bytes the blocks before them hold
        self._forms: list[str] = []
        self._values: list[str] = []

    def number(self, field: BareField, value: str) -> None:
        """A number; neighbours are packed in one go."""
        self._forms.append(form_of(field))
        self._values.append(value)

    def piece(self, value: str) -> None:
        """Bytes."""
        if self._forms:
            pack = self.source.name(_packer("<" + "".join(self._forms)), "pack")
            self.parts.append(f"{pack}({', '.join(self._values)})")
            self._forms, self._values = [], []
        if value:
            self.parts.append(value)

    def finish(self) -> None:
        """Behind the last field."""
        self.piece("")
        self.source.add(f"return {' + '.join(self.parts) or repr(b'')}")


@cache
def _packer(form: str) -> Callable[..., bytes]:
    return struct.Struct(form).pack


class Write(Generic[FieldKind]):
    """How a kind of field is written. By default it is a number that the giver has."""

    def prepare(self, field: FieldKind, writing: Writing) -> None:
        """Lines that stand before all writing: others may be computed from this field."""

    def write(self, field: FieldKind, writing: Writing) -> None:
        """The field's bytes, in their place."""
        writing.number(field, writing.giver.value(field, writing.source))


class _WriteKnown(Write[KnownByteField]):
    def write(self, field: KnownByteField, writing: Writing) -> None:
        writing.number(field, writing.giver.known_value(field, writing.source))


class _WritePort(Write[PortField]):
    def write(self, field: PortField, writing: Writing) -> None:
        writing.number(field, writing.giver.port(field, writing.source))


class _WriteDefault(Write[BareField]):
    def write(self, field: BareField, writing: Writing) -> None:
        writing.number(field, f"{field.default:d}")


class _WriteLength(Write[FieldLenField]):
    def write(self, field: FieldLenField, writing: Writing) -> None:
        writing.number(field, f"len({field.length_of or field.count_of})")


class _WriteIPVersion(Write[IPVersionField]):
    def write(self, field: IPVersionField, writing: Writing) -> None:
        writing.number(field, f"6 if len({field.version_of}) == 16 else 4")


class _WriteString(Write[StringField]):
    def prepare(self, field: StringField, writing: Writing) -> None:
        giver = writing.giver
        text = giver.value(field, writing.source)
        writing.source.add(f"{field.name} = {text}.encode('utf-8', {giver.text_errors!r})")

    def write(self, field: StringField, writing: Writing) -> None:
        writing.piece(field.name)


class _WriteAddress(Write[AddressField]):
    def prepare(self, field: AddressField, writing: Writing) -> None:
        writing.source.add(f"{field.name} = {writing.giver.address_bytes(field, writing.source)}")

    def write(self, field: AddressField, writing: Writing) -> None:
        writing.piece(field.name)


_NUMBER: Write[BareField] = Write()

ITEM_WRITE: KindTable[Write[Any]] = KindTable(
    "the fast writer",
    {
        ByteField: _NUMBER,
        LEShortField: _NUMBER,
        LEIntField: _NUMBER,
        LELongField: _NUMBER,
        FieldLenField: _WriteLength(),
        IPVersionField: _WriteIPVersion(),
        PortField: _WritePort(),
        TagField: _WriteDefault(),
        MagicField: _WriteDefault(),
        KnownByteField: _WriteKnown(),
        StringField: _WriteString(),
        AddressField: _WriteAddress(),
    },
)
"""How each kind of field of an item is written fast."""


def has_fast_way(layer: type[Packet]) -> bool:
    """Whether a layer is one straight run of values, as items are: no conditions, no packed bytes, no lists."""
    return all(
        condition(field) is None and type(field) is not PackedField and not FACTS.of(field).holds_packets
        for field in layer.fields_desc
    )


def write_fields(fields: Iterable[AnyField], table: KindTable[Write[Any]], writing: Writing) -> None:
    """The code that writes fields, without their conditions, one after the other."""
    bare = list(map(inner, fields))
    for field in bare:
        table.of(field).prepare(field, writing)
    for field in bare:
        table.of(field).write(field, writing)
    writing.finish()


def writer_source(layer: type[Packet], giver: Giver) -> PythonSource:
    """The source of the writer of one item of ``layer``."""
    source = PythonSource()
    source.add("def write(_item):")
    source.depth = 1
    giver.opening(layer, source)
    write_fields(layer.fields_desc, ITEM_WRITE, Writing(source, giver))
    return source


def compile_writer(layer: type[Packet], giver: Giver) -> ItemWriter:
    """A function that gives the bytes of one item of ``layer``.

    Raises UnknownKindError where the layer has a field of a kind for which there is no rule.
    """
    return writer_source(layer, giver).function("write", f"writer of {layer.__name__}")
