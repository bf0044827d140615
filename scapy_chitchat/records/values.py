# SPDX-License-Identifier: GPL-2.0-or-later
"""Which values the record of a layer has, and what they have to do with the layer's fields.

Computed fields (lengths, counts, blocks) and tags are left out, since they follow from other values; an address and its
port become one socket address, a number of an enum its name, a list a tuple of records. The classes of records
(classes.py) are written from this, and the compiled readers and writers fill and read them by it (makers.py).
"""

from __future__ import annotations

from typing import Any, Generic, NamedTuple, cast

from scapy.fields import ByteField, FieldLenField, LEIntField, LELongField, LEShortField
from scapy.packet import Packet

from scapy_chitchat.described.conditions import inner
from scapy_chitchat.described.fields import (
    AddressField,
    IPVersionField,
    KnownByteField,
    MagicField,
    PortField,
    StringField,
    TagField,
)
from scapy_chitchat.described.kinds import BareField, FieldKind, FieldValue, KindTable
from scapy_chitchat.described.lists import BlocksField, ItemsField
from scapy_chitchat.described.source import PythonSource
from scapy_chitchat.net.addresses import address_text, join_address
from scapy_chitchat.records.addresses import SOCKET_ADDRESSES, split_socket_address


class Alias(NamedTuple):
    """A type with a name of its own."""

    name: str
    meaning: str
    """As Python writes it."""
    doc: str


class InRecord(Generic[FieldKind]):
    """How a kind of field stands in a record. By default it is a number under its own name."""

    def items(self, field: FieldKind) -> ItemsField | None:
        """The field, if its value is a list of items."""
        return None

    def name(self, field: FieldKind) -> str:
        """The name of the value."""
        return field.name

    def annotation(self, field: FieldKind) -> str:
        """Its type, as Python writes it."""
        return "int"

    def alias(self, field: FieldKind) -> Alias | None:
        """The named type that the annotation speaks of; None where it speaks of none."""
        return None

    def default(self, field: FieldKind) -> str:
        """What the layer has unless told otherwise, as Python writes it."""
        return f"{field.default}"

    def expression(self, field: FieldKind, source: PythonSource) -> str:
        """Python for the value, from the variables of a compiled reader."""
        return field.name

    def value(self, field: FieldKind, values: dict[str, FieldValue]) -> object:
        """The value, from those that a careful reader found."""
        return values[field.name]

    def layer_values(self, field: FieldKind, value: object) -> dict[str, int | str]:
        """What the fields of a layer hold for it. Raises ValueError for a value of another kind."""
        if not isinstance(value, int):
            raise ValueError(f"{value!r} is no number")
        return {field.name: value}


class _Text(InRecord[StringField]):
    def annotation(self, field: StringField) -> str:
        return "str"

    def default(self, field: StringField) -> str:
        return _quoted(field.default)

    def layer_values(self, field: StringField, value: object) -> dict[str, int | str]:
        if not isinstance(value, str):
            raise ValueError(f"{value!r} is no text")
        value.encode()
        return {field.name: value}


class _Known(InRecord[KnownByteField]):
    """A number of an enum as its name."""

    def annotation(self, field: KnownByteField) -> str:
        return self.alias(field).name

    def alias(self, field: KnownByteField) -> Alias:
        names = ", ".join(map(_quoted, field.i2s.values()))
        return Alias(field.name.title(), f"Literal[{names}]", f"What a {field.name} may be.")

    def default(self, field: KnownByteField) -> str:
        return _quoted(field.i2s[cast(int, field.default)])  # None is for what follows from another layer

    def expression(self, field: KnownByteField, source: PythonSource) -> str:
        return f"{source.name(field.i2s, 'names')}[{field.name}]"

    def value(self, field: KnownByteField, values: dict[str, FieldValue]) -> object:
        return field.i2s[values[field.name]]

    def layer_values(self, field: KnownByteField, value: object) -> dict[str, int | str]:
        if not isinstance(value, str):
            raise ValueError(f"{value!r} is no text")
        if value not in field.s2i:
            raise ValueError(f"{value!r} is none of {', '.join(field.s2i)}")
        return {field.name: field.s2i[value]}


class _Address(InRecord[AddressField]):
    """An address and its port as one socket address."""

    def name(self, field: AddressField) -> str:
        return field.joined_as

    def annotation(self, field: AddressField) -> str:
        return "str"

    def default(self, field: AddressField) -> str:
        return '""'

    def expression(self, field: AddressField, source: PythonSource) -> str:
        return f"{source.name(SOCKET_ADDRESSES, 'addresses')}[{field.name}_raw]"

    def value(self, field: AddressField, values: dict[str, FieldValue]) -> object:
        return join_address(values[field.name], values[field.port])

    def layer_values(self, field: AddressField, value: object) -> dict[str, int | str]:
        if not isinstance(value, str):
            raise ValueError(f"{value!r} is no text")
        raw, port = split_socket_address(value)
        return {field.name: address_text(raw), field.port: port}


class _Items(InRecord[ItemsField]):
    def items(self, field: ItemsField) -> ItemsField:
        return field

    def annotation(self, field: ItemsField) -> str:
        alias = self.alias(field)
        return f"tuple[{alias.name if alias else field.all_layers()[0].__name__}, ...]"

    def alias(self, field: ItemsField) -> Alias | None:
        names = [each.__name__ for each in field.all_layers()]
        if len(names) == 1:
            return None
        return Alias(f"{field.name.title()}Item", " | ".join(names), f"What may stand in a {field.name}.")

    def default(self, field: ItemsField) -> str:
        return "()"

    def expression(self, field: ItemsField, source: PythonSource) -> str:
        return f"tuple({field.name})"

    def value(self, field: ItemsField, values: dict[str, FieldValue]) -> object:
        return tuple(values[field.name])


_NUMBER: InRecord[BareField] = InRecord()

IN_RECORD: KindTable[InRecord[Any] | None] = KindTable(
    "the records",
    {
        ByteField: _NUMBER,
        LEShortField: _NUMBER,
        LEIntField: _NUMBER,
        LELongField: _NUMBER,
        StringField: _Text(),
        KnownByteField: _Known(),
        AddressField: _Address(),
        ItemsField: _Items(),
        # what follows from other values, from the layer, or is part of an address
        FieldLenField: None,
        IPVersionField: None,
        BlocksField: None,
        TagField: None,
        MagicField: None,
        PortField: None,
    },
)
"""How each kind of field stands in a record; None: it says nothing that no other field says."""


RecordField = tuple[BareField, InRecord[Any]]
"""A field that a record has a value for, and how it stands there."""


def record_fields(layer: type[Packet]) -> list[RecordField]:
    """The fields that a record of ``layer`` has a value for, in wire order. Raises UnknownKindError."""
    found = [(field, IN_RECORD.of(field, layer)) for field in map(inner, layer.fields_desc)]
    return [(field, kind) for field, kind in found if kind is not None]


def message_fields(layer: type[Packet]) -> list[RecordField]:
    """The same of a message. Lists come last."""
    return sorted(record_fields(layer), key=lambda entry: entry[1].items(entry[0]) is not None)


class Carried(NamedTuple):
    """What an item says of the section that it stands in, behind its own values."""

    section: type[Packet] | None = None
    names: tuple[str, ...] = ()

    def fields(self) -> list[RecordField]:
        """The section's fields that are carried."""
        own = record_fields(self.section) if self.section else []
        return [(field, kind) for field, kind in own if kind.name(field) in self.names]


NOTHING_CARRIED = Carried()
"""Of a list without sections, and of what opens one."""


def carried_by(layer: type[Packet], of: ItemsField | None) -> Carried:
    """What an item of ``layer`` carries in a list."""
    names = of.carried_by(layer) if of else ()
    return Carried(of.section, names) if of and names else NOTHING_CARRIED


def _quoted(text: str) -> str:
    """A text as Python code has it."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
