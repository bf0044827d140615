# SPDX-License-Identifier: GPL-2.0-or-later
"""Which values the record of a layer has.

Computed fields (lengths, counts, blocks) and tags are left out, since they follow from other values; an address and its
port become one socket address, a number of an enum its name, a list a tuple of records. The classes of records
(classes.py) are written from this, and the compiled readers and writers fill and read them by it (makers.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from scapy.packet import Packet

from scapy_chitchat.described.fields import (
    AddressField,
    KnownByteField,
    MagicField,
    PortField,
    StringField,
    TagField,
    inner,
    measured_by,
)
from scapy_chitchat.described.lists import ItemsField


class Value(NamedTuple):
    """A value of a record."""

    name: str
    annotation: str
    """Its type, as Python writes it; of a number of an enum, the name that classes.py gives to ``names_of``."""
    default: str
    """What the layer has unless told otherwise, as Python writes it."""
    field: Any
    """The layer's field, without its condition."""


def values_of(layer: type[Packet]) -> Iterator[Value]:
    """The values of the record of ``layer``, in the order of the wire."""
    for field in map(inner, layer.fields_desc):
        if measured_by(field) or isinstance(field, (TagField, MagicField, PortField)):
            continue
        if isinstance(field, AddressField):
            yield Value(field.joined_as, "str", '""', field)
        elif isinstance(field, StringField):
            yield Value(field.name, "str", _text(field.default), field)
        elif isinstance(field, KnownByteField):
            yield Value(field.name, field.name.title(), _text(field.i2repr(None, field.default)), field)
        elif isinstance(field, ItemsField):
            yield Value(field.name, f"tuple[{' | '.join(each.__name__ for each in field.layers)}, ...]", "()", field)
        else:
            yield Value(field.name, "int", f"{field.default}", field)


def names_of(field: KnownByteField) -> str:
    """The type of a value that is one of the names of an enum, as Python writes it."""
    return f"Literal[{', '.join(map(_text, field.i2s.values()))}]"


def _text(value: Any) -> str:
    """A text as Python code has it."""
    return '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'
