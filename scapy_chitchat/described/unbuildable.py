# SPDX-License-Identifier: GPL-2.0-or-later
"""Why a packet cannot be built, in words for whoever set its values."""

from __future__ import annotations

from scapy.fields import AnyField, Field
from scapy.packet import Packet

from scapy_chitchat.described.computed import COMPUTED, computes
from scapy_chitchat.described.conditions import inner
from scapy_chitchat.described.facts import measured_by


class UnbuildableError(ValueError):
    """A value that no wire can hold; the message names the layer and the field."""


def why_unbuildable(pkt: Packet, field: AnyField, value: object, error: Exception) -> str:
    """Layer, field and reason, for the error that building ``field`` of this value raised."""
    bare = inner(field)
    name = field.name
    reason = str(error).split("\n")[0]
    measured = measured_by(bare)
    if measured and computes(bare, pkt, value):  # computed, now or for a value off the wire
        name = measured
        reason = COMPUTED.of(bare).why_unbuildable(bare, pkt) or reason
    elif type(bare).addfield is Field.addfield:
        whole = isinstance(value, int)
        reason = f"{value} does not fit {bare.sz * 8} bits" if whole else f"{value!r} is no whole number"
    return f"{type(pkt).__name__}.{name}: {reason}"
