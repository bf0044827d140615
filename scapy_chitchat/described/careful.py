# SPDX-License-Identifier: GPL-2.0-or-later
"""The careful reader of a layer: field by field, each by the rule of its kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from scapy.fields import AnyField, ByteField, FieldLenField, LEIntField, LELongField, LEShortField
from scapy.packet import Packet

from scapy_chitchat.described.conditions import ABSENT, inner, is_present
from scapy_chitchat.described.cursor import BreakOff, Cursor, Scope, Sink
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
from scapy_chitchat.described.kinds import BareField, KindTable

Pull = Callable[[Any, Cursor, Scope, Sink], object]
"""Reads a field, the first argument, whose kind is that of the row, and gives its value."""


def _pull_number(field: BareField, cursor: Cursor, scope: Scope, sink: Sink) -> object:
    return cursor.unpack(field.struct, field.name)


CAREFUL: KindTable[Pull] = KindTable(
    "the careful reader",
    {
        ByteField: _pull_number,
        LEShortField: _pull_number,
        LEIntField: _pull_number,
        LELongField: _pull_number,
        FieldLenField: _pull_number,
        PortField: _pull_number,
        MagicField: MagicField.pull,
        KnownByteField: KnownByteField.pull,
        TagField: TagField.pull,
        IPVersionField: IPVersionField.pull,
        AddressField: AddressField.pull,
        StringField: StringField.pull,
        PackedField: PackedField.pull,
    },
)
"""How each kind of field is read carefully. Lists are in lists.py."""


def _pull(field: AnyField, cursor: Cursor, scope: Scope, sink: Sink) -> object:
    bare = inner(field)
    return CAREFUL.of(bare)(bare, cursor, scope, sink)


def pull_fields(layer: type[Packet], cursor: Cursor, scope: Scope, sink: Sink) -> None:
    """Read the fields of ``layer`` into ``scope.values``.

    Raises BreakOff where they cannot be read on; the fields not reached are then ABSENT in the values.
    """
    fields = iter(layer.fields_desc)
    for field in fields:
        if not is_present(field, scope):
            continue
        try:
            scope.values[field.name] = _pull(field, cursor, scope, sink)
        except BreakOff as trouble:
            cursor.note(trouble)  # before those of what was in the blocks: a node unpacks all before it looks inside
            scope.values.setdefault(field.name, ABSENT)
            for later in fields:
                if is_present(later, scope):
                    held = later.name in scope.held and not cursor.strict
                    scope.values[later.name] = _pull(later, cursor, scope, sink) if held else ABSENT
            raise
