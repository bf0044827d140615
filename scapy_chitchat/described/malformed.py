# SPDX-License-Identifier: GPL-2.0-or-later
"""The packet for bytes that could not be read."""

from __future__ import annotations

from scapy.fields import StrField
from scapy.packet import Packet

from scapy_chitchat.described.cursor import BreakOff
from scapy_chitchat.described.fields import NoteField
from scapy_chitchat.described.kinds import FieldValue


class Malformed(Packet):
    """Bytes that could not be read on, and why. Only ``load`` is on the wire."""

    name = "Malformed"
    fields_desc = [
        NoteField("code", ""),
        NoteField("reason", ""),
        StrField("load", b""),
    ]

    def mysummary(self) -> tuple[str, list[type[Packet]]]:  # type: ignore[override]  # Scapy takes such a pair as well
        """The finding code and the number of bytes, behind the summaries of the layers that could be read."""
        return f"Malformed {self.code} ({len(self.load)} bytes)", _wire_layers_below(self)

    def __reduce__(self) -> tuple[object, ...]:
        return _unpickled_malformed, (dict(self.fields), self.payload or None)


def _unpickled_malformed(values: dict[str, FieldValue], payload: Packet | None) -> Malformed:
    pkt = Malformed(**values)
    if payload is not None:
        pkt.add_payload(payload)
    return pkt


def _wire_layers_below(pkt: Packet) -> list[type[Packet]]:
    below = pkt.underlayer
    if below is None or not getattr(type(below), "is_described", False):
        return []
    return [type(below), *_wire_layers_below(below)]


def malformed(trouble: BreakOff, rest: bytes) -> Malformed:
    """The packet that stands for ``rest``, which ``trouble`` kept from being read."""
    return Malformed(code=trouble.code, reason=str(trouble), load=rest)
