# SPDX-License-Identifier: GPL-2.0-or-later
"""What a packet does about fields that are computed from others: lengths, counts, IP versions, blocks.

See packet.py for what of them a packet keeps.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from scapy.fields import FieldLenField
from scapy.packet import Packet

from scapy_chitchat.described.facts import measured_by
from scapy_chitchat.described.fields import IPVersionField
from scapy_chitchat.described.kinds import KindTable
from scapy_chitchat.described.lists import BlocksField, HeldStream


class Computed(Protocol):
    """How a kind of field is computed."""

    def measured(self, field: Any, pkt: Packet) -> Any:
        """What the field is computed from, in a form that can be kept and compared."""

    def made(self, field: Any, pkt: Packet, measured: Any) -> Any:
        """Its value, from that."""

    def kept(self, field: Any, pkt: Packet, value: Any, held: Mapping[str, HeldStream]) -> tuple[Any, Any] | None:
        """A value that was read, and what it measured then; None where the computed value is the same."""

    def written(self, field: Any, pkt: Packet, value: Any) -> str | None:
        """Python for a value that is not what would be computed; None where it is."""

    def why_unbuildable(self, field: Any, pkt: Packet) -> str | None:
        """Why the value cannot be written, unless what it measures is the trouble."""


class ComputedNumber:
    """A length, a count, or the version of an address."""

    def measured(self, field: Any, pkt: Packet) -> Any:
        """The value it measures; of a list, the number of items."""
        value = pkt.getfieldval(measured_by(field) or "")
        return len(value) if isinstance(value, list) else value

    def made(self, field: Any, pkt: Packet, measured: Any) -> Any:
        """The number."""
        return field.i2m(pkt, None)

    def kept(self, field: Any, pkt: Packet, value: Any, held: Mapping[str, HeldStream]) -> tuple[Any, Any] | None:
        """A number that lies."""
        return None if field.i2m(pkt, None) == value else (value, self.measured(field, pkt))

    def written(self, field: Any, pkt: Packet, value: Any) -> str | None:
        """A number that lies."""
        return None if value == field.i2m(pkt, None) else repr(value)

    def why_unbuildable(self, field: Any, pkt: Packet) -> str | None:
        """It is larger than its bytes can say."""
        size = _number(field, pkt)
        if size is None:
            return None
        unit = "bytes" if getattr(field, "length_of", None) else "entries"
        return f"{size:,} {unit}, at most {256**field.sz - 1:,} can be announced in {field.name}"


def _number(field: Any, pkt: Packet) -> int | None:
    """What a computed number says, unless what it measures is the trouble."""
    try:
        return int(field.i2m(pkt, None))
    except (ValueError, TypeError, AttributeError):
        return None


class ComputedBlocks:
    """The blocks of a stream of items."""

    def measured(self, field: Any, pkt: Packet) -> Any:
        """The bytes of the items."""
        return field.measure(pkt)

    def made(self, field: Any, pkt: Packet, measured: Any) -> Any:
        """The blocks that a node would make."""
        return field.make(measured)

    def kept(self, field: Any, pkt: Packet, value: Any, held: Mapping[str, HeldStream]) -> tuple[Any, Any] | None:
        """All blocks: another writer may cut them otherwise."""
        return value, bytes(held[field.holds].data)

    def written(self, field: Any, pkt: Packet, value: Any) -> str | None:
        """Blocks that a node would have made otherwise."""
        if b"".join(map(bytes, value)) == field.encode(field.measure(pkt)):
            return None
        return f"[{','.join(block.command() for block in value)}]"

    def why_unbuildable(self, field: Any, pkt: Packet) -> str | None:
        """The items are the trouble."""
        return None


COMPUTED: KindTable[Computed] = KindTable(
    "the Scapy packet",
    {FieldLenField: ComputedNumber(), IPVersionField: ComputedNumber(), BlocksField: ComputedBlocks()},
)
"""How each kind of computed field is computed."""


def computes(field: Any, pkt: Packet, value: Any) -> bool:
    """Whether ``value`` is what is computed for the field; None stands for that."""
    return value is None or value == _number(field, pkt)
