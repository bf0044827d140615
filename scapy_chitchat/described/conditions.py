# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether a field is there: conditions that a program can read, and what stands for a field that is not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

from scapy.fields import AnyField, ConditionalField
from scapy.packet import Packet

from scapy_chitchat.described.cursor import Scope
from scapy_chitchat.described.kinds import BareField, place_of


class _Absent:
    """The value of a field that is not on the wire at all: a message that broke off before it, or one made so."""

    def __repr__(self) -> str:
        return "ABSENT"

    def __bool__(self) -> bool:
        return False

    def __iter__(self) -> Iterator[object]:
        return iter(())

    def command(self, json: bool = False) -> str | None:
        """How Scapy writes it: its name in Python, null in JSON."""
        return None if json else repr(self)

    def __copy__(self) -> _Absent:
        return self

    def __deepcopy__(self, memo: object) -> _Absent:
        return self

    def __reduce__(self) -> str:
        return "ABSENT"


ABSENT = _Absent()
"""Set a field to this to leave it out: ``Greeting(who_len=4, who=ABSENT)``."""


@dataclass(frozen=True)
class When:
    """The condition of a field: field ``field``, of this layer or the nearest one below, has the value ``equals``.

    A layer that stands alone, with no such field anywhere below it, is read and built as if it were ``assumed``.
    """

    field: str
    equals: int
    assumed: int = 0

    def holds(self, value: object) -> bool:
        """Whether ``value``, the present value of the field, meets the condition."""
        return bool((self.assumed if value is None or value is ABSENT else value) == self.equals)

    def in_scope(self, scope: Scope) -> bool:
        """Whether the values read so far meet the condition."""
        return self.holds(scope.get(self.field))

    def __call__(self, pkt: Packet) -> bool:
        """Whether a packet, or the nearest described layer below it that has the field, meets the condition."""
        layer: Packet | None = pkt
        while layer is not None and self.field not in layer.fieldtype:
            below = layer.underlayer  # IP has a version, too, but not one of the protocol's
            layer = below if getattr(type(below), "is_described", False) else None
        return self.holds(None if layer is None else layer.getfieldval(self.field))


@dataclass(frozen=True)
class Unless(When):
    """The opposite of When: the field has any other value."""

    def holds(self, value: object) -> bool:
        """Whether ``value``, the present value of the field, meets the condition."""
        return not super().holds(value)


def inner(field: AnyField) -> BareField:
    """The field itself, without its condition."""
    # no cast, which costs a call for each field of each packet; no table has a row for Scapy's other containers
    return field.fld if isinstance(field, ConditionalField) else field  # type: ignore[return-value]


def condition(field: AnyField, layer: type[Packet] | None = None) -> When | None:
    """When the field is on the wire; None where it always is.

    Raises TypeError, with the name of ``layer``, for a condition that only Python can run.
    """
    if not isinstance(field, ConditionalField):
        return None
    if not isinstance(field.cond, When):
        raise TypeError(f"{place_of(field.fld, layer)}: a condition must be a When or an Unless, no function")
    return field.cond


def is_present(field: AnyField, scope: Scope) -> bool:
    """Whether ``field``, of a layer whose conditions were looked at, is on the wire, given the values around it."""
    return not isinstance(field, ConditionalField) or cast(When, field.cond).in_scope(scope)


def is_in(field: AnyField, pkt: Packet) -> bool:
    """Whether ``field`` is on the wire in a packet."""
    when = condition(field)
    return when is None or when(pkt)
