# SPDX-License-Identifier: GPL-2.0-or-later
"""Tables with one row for each kind of field.

A *kind* is a class of fields. Whatever is derived from a description (packets, readers, writers, records, a dissector)
says in a table what it makes of each kind that it knows. It looks a field up by its own class, not by those that it
inherits from: a subclass may read its bytes otherwise. A kind without a row is refused, by name, before any bytes are
read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Generic, TypeAlias, TypeVar

from scapy.fields import AnyField, Field
from scapy.packet import Packet

Row = TypeVar("Row")
"""What a table says of a kind."""

BareField: TypeAlias = Field[Any, Any]
"""A field without a condition around it. Scapy does not say of what type the values of a field are."""

FieldValue: TypeAlias = Any
"""A value of a field as Scapy hands it about: what was read or what a user set, of a type that only the field knows."""

FieldKind = TypeVar("FieldKind", bound=BareField)
"""The class of fields that a row of a table is for."""


class UnknownKindError(TypeError):
    """A kind of field that something derived from the description has no rule for."""


class KindTable(Generic[Row]):
    """What ``backend`` makes of each kind of field. Rows that it lacks are looked for in the table ``beside`` it."""

    def __init__(self, backend: str, rows: Mapping[type, Row], beside: KindTable[Row] | None = None) -> None:
        self.backend = backend
        self.beside = beside
        self._rows = dict(rows)

    def add(self, row: Row, *kinds: type) -> None:
        """The row of kinds that are defined elsewhere. Raises ValueError for a kind that has one."""
        for kind in kinds:
            if kind in self._rows:
                raise ValueError(f"{self.backend} has a rule for {kind.__name__} already")
            self._rows[kind] = row

    def knows(self, field: AnyField) -> bool:
        """Whether there is a row for the field's kind."""
        return type(field) in self._rows or (self.beside is not None and self.beside.knows(field))

    def of(self, field: AnyField, layer: type[Packet] | None = None) -> Row:
        """The row of a field, of ``layer`` if that is known. Raises UnknownKindError where there is none."""
        try:
            return self._rows[type(field)]  # a packet asks for every field that it reads
        except KeyError:
            if self.beside is not None and self.beside.knows(field):
                return self.beside.of(field, layer)
        raise UnknownKindError(
            f"{place_of(field, layer)}: {self.backend} has no rule for a {type(field).__name__}"
        ) from None


def place_of(field: AnyField, layer: type[Packet] | None = None) -> str:
    """Layer and field, for people."""
    owner = layer or next(iter(field.owners), None)
    return f"{owner.__name__}.{field.name}" if owner else str(field.name)
