# SPDX-License-Identifier: GPL-2.0-or-later
"""What a packet does about fields that are computed from others: lengths, counts, IP versions, blocks.

See packet.py for what of them a packet keeps.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, TypeVar

from scapy.fields import FieldLenField
from scapy.packet import Packet

from scapy_chitchat.described.facts import measured_by
from scapy_chitchat.described.fields import IPVersionField
from scapy_chitchat.described.kinds import BareField, FieldValue, KindTable
from scapy_chitchat.described.lists import BlocksField, HeldStream

Kind = TypeVar("Kind", bound=BareField, contravariant=True)
"""The class of fields that a row is for."""

Measured = TypeVar("Measured")
"""What such a field is computed from."""


class Computed(Protocol[Kind, Measured]):
    """How a kind of field is computed."""

    def measured(self, field: Kind, pkt: Packet) -> Measured:
        """What the field is computed from, in a form that can be kept and compared."""

    def made(self, field: Kind, pkt: Packet, measured: Measured) -> object:
        """Its value, from that."""

    def kept(
        self, field: Kind, pkt: Packet, value: FieldValue, held: Mapping[str, HeldStream]
    ) -> tuple[object, Measured] | None:
        """A value that was read, and what it measured then; None where the computed value is the same."""

    def written(self, field: Kind, pkt: Packet, value: FieldValue) -> str | None:
        """Python for a value that is not what would be computed; None where it is."""

    def why_unbuildable(self, field: Kind, pkt: Packet) -> str | None:
        """Why the value cannot be written, unless what it measures is the trouble."""


class ComputedNumber:
    """A length, a count, or the version of an address."""

    def measured(self, field: BareField, pkt: Packet) -> object:
        """The value it measures; of a list, the number of items."""
        value = pkt.getfieldval(measured_by(field) or "")
        return len(value) if isinstance(value, list) else value

    def made(self, field: BareField, pkt: Packet, measured: object) -> int:
        """The number."""
        number: int = field.i2m(pkt, None)
        return number

    def kept(
        self, field: BareField, pkt: Packet, value: object, held: Mapping[str, HeldStream]
    ) -> tuple[object, object] | None:
        """A number that lies."""
        return None if field.i2m(pkt, None) == value else (value, self.measured(field, pkt))

    def written(self, field: BareField, pkt: Packet, value: object) -> str | None:
        """A number that lies."""
        return None if value == field.i2m(pkt, None) else repr(value)

    def why_unbuildable(self, field: BareField, pkt: Packet) -> str | None:
        """It is larger than its bytes can say."""
        size = _number(field, pkt)
        if size is None:
            return None
        unit = "bytes" if getattr(field, "length_of", None) else "entries"
        return f"{size:,} {unit}, at most {256**field.sz - 1:,} can be announced in {field.name}"


def _number(field: BareField, pkt: Packet) -> int | None:
    """What a computed number says, unless what it measures is the trouble."""
    try:
        return int(field.i2m(pkt, None))
    except (ValueError, TypeError, AttributeError):
        return None


class ComputedBlocks:
    """The blocks of a stream of items."""

    def measured(self, field: BlocksField, pkt: Packet) -> bytes:
        """The bytes of the items."""
        return field.measure(pkt)

    def made(self, field: BlocksField, pkt: Packet, measured: bytes) -> list[Packet]:
        """The blocks that a node would make."""
        return field.make(measured)

    def kept(
        self, field: BlocksField, pkt: Packet, value: list[Packet], held: Mapping[str, HeldStream]
    ) -> tuple[object, bytes] | None:
        """All blocks: another writer may cut them otherwise."""
        return value, bytes(held[field.holds].data)

    def written(self, field: BlocksField, pkt: Packet, value: list[Packet]) -> str | None:
        """Blocks that a node would have made otherwise."""
        if b"".join(map(bytes, value)) == field.encode(field.measure(pkt)):
            return None
        return f"[{','.join(block.command() for block in value)}]"

    def why_unbuildable(self, field: BlocksField, pkt: Packet) -> str | None:
        """The items are the trouble."""
        return None


COMPUTED: KindTable[Computed[Any, Any]] = KindTable(
    "the Scapy packet",
    {FieldLenField: ComputedNumber(), IPVersionField: ComputedNumber(), BlocksField: ComputedBlocks()},
)
"""How each kind of computed field is computed."""


def computes(field: BareField, pkt: Packet, value: object) -> bool:
    """Whether ``value`` is what is computed for the field; None stands for that."""
    return value is None or value == _number(field, pkt)
