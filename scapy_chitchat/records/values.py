# SPDX-License-Identifier: GPL-2.0-or-later
"""Which values the record of a layer has, and what they have to do with the layer's fields.

Computed fields (lengths, counts, blocks) and tags are left out, since they follow from other values; an address and its
port become one socket address, a number of an enum its name, a list a tuple of records. The classes of records
(classes.py) are written from this, and the compiled readers and writers fill and read them by it (makers.py).
"""

from __future__ import annotations

from typing import Any, NamedTuple

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
from scapy_chitchat.described.kinds import KindTable
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


class InRecord:
    """How a kind of field stands in a record. By default it is a number under its own name."""

    is_list = False

    def name(self, field: Any) -> str:
        """The name of the value."""
        return field.name  # type: ignore[no-any-return]

    def annotation(self, field: Any) -> str:
        """Its type, as Python writes it."""
        return "int"

    def alias(self, field: Any) -> Alias | None:
        """The named type that the annotation speaks of; None where it speaks of none."""
        return None

    def default(self, field: Any) -> str:
        """What the layer has unless told otherwise, as Python writes it."""
        return f"{field.default}"

    def expression(self, field: Any, source: PythonSource) -> str:
        """Python for the value, from the variables of a compiled reader."""
        return field.name  # type: ignore[no-any-return]

    def value(self, field: Any, values: dict[str, Any]) -> Any:
        """The value, from those that a careful reader found."""
        return values[field.name]

    def layer_values(self, field: Any, value: Any) -> dict[str, Any]:
        """What the fields of a layer hold for it. Raises ValueError for a value of another kind."""
        if not isinstance(value, int):
            raise ValueError(f"{value!r} is no number")
        return {field.name: value}


class _Text(InRecord):
    def annotation(self, field: Any) -> str:
        return "str"

    def default(self, field: Any) -> str:
        return _quoted(field.default)

    def layer_values(self, field: Any, value: Any) -> dict[str, Any]:
        if not isinstance(value, str):
            raise ValueError(f"{value!r} is no text")
        value.encode()
        return {field.name: value}


class _Known(InRecord):
    """A number of an enum as its name."""

    def annotation(self, field: Any) -> str:
        return self.alias(field).name

    def alias(self, field: Any) -> Alias:
        names = ", ".join(map(_quoted, field.i2s.values()))
        return Alias(field.name.title(), f"Literal[{names}]", f"What a {field.name} may be.")

    def default(self, field: Any) -> str:
        return _quoted(field.i2s[field.default])

    def expression(self, field: Any, source: PythonSource) -> str:
        return f"{source.name(field.i2s, 'names')}[{field.name}]"

    def value(self, field: Any, values: dict[str, Any]) -> Any:
        return field.i2s[values[field.name]]

    def layer_values(self, field: Any, value: Any) -> dict[str, Any]:
        if not isinstance(value, str):
            raise ValueError(f"{value!r} is no text")
        if value not in field.s2i:
            raise ValueError(f"{value!r} is none of {', '.join(field.s2i)}")
        return {field.name: field.s2i[value]}


class _Address(InRecord):
    """An address and its port as one socket address."""

    def name(self, field: Any) -> str:
        return field.joined_as  # type: ignore[no-any-return]

    def annotation(self, field: Any) -> str:
        return "str"

    def default(self, field: Any) -> str:
        return '""'

    def expression(self, field: Any, source: PythonSource) -> str:
        return f"{source.name(SOCKET_ADDRESSES, 'addresses')}[{field.name}_raw]"

    def value(self, field: Any, values: dict[str, Any]) -> Any:
        return join_address(values[field.name], values[field.port])

    def layer_values(self, field: Any, value: Any) -> dict[str, Any]:
        if not isinstance(value, str):
            raise ValueError(f"{value!r} is no text")
        raw, port = split_socket_address(value)
        return {field.name: address_text(raw), field.port: port}


class _Items(InRecord):
    is_list = True

    def annotation(self, field: Any) -> str:
        alias = self.alias(field)
        return f"tuple[{alias.name if alias else field.all_layers()[0].__name__}, ...]"

    def alias(self, field: Any) -> Alias | None:
        names = [each.__name__ for each in field.all_layers()]
        if len(names) == 1:
            return None
        return Alias(f"{field.name.title()}Item", " | ".join(names), f"What may stand in a {field.name}.")

    def default(self, field: Any) -> str:
        return "()"

    def expression(self, field: Any, source: PythonSource) -> str:
        return f"tuple({field.name})"

    def value(self, field: Any, values: dict[str, Any]) -> Any:
        return tuple(values[field.name])


_NUMBER = InRecord()

IN_RECORD: KindTable[InRecord | None] = KindTable(
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


def record_fields(layer: type[Packet]) -> list[tuple[Any, InRecord]]:
    """The fields that a record of ``layer`` has a value for, in wire order. Raises UnknownKindError."""
    found = [(field, IN_RECORD.of(field, layer)) for field in map(inner, layer.fields_desc)]
    return [(field, kind) for field, kind in found if kind is not None]


def message_fields(layer: type[Packet]) -> list[tuple[Any, InRecord]]:
    """The same of a message. Lists come last."""
    return sorted(record_fields(layer), key=lambda entry: entry[1].is_list)


class Carried(NamedTuple):
    """What an item says of the section that it stands in, behind its own values."""

    section: type[Packet] | None = None
    names: tuple[str, ...] = ()

    def fields(self) -> list[tuple[Any, InRecord]]:
        """The section's fields that are carried."""
        own = record_fields(self.section) if self.section else []
        return [(field, kind) for field, kind in own if kind.name(field) in self.names]


NOTHING_CARRIED = Carried()


def carried_by(layer: type[Packet], of: ItemsField | None) -> Carried:
    """What an item of ``layer`` carries in a list."""
    names = of.carried_by(layer) if of else ()
    return Carried(of.section, names) if of and names else NOTHING_CARRIED


def _quoted(text: str) -> str:
    """A text as Python code has it."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
