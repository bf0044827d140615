# SPDX-License-Identifier: GPL-2.0-or-later
"""What happened: one event is one line of ``timeline --json``.

An event has what all have (time, frame, kind, cluster, observer, the run it is about) and what its kind adds; names and
meanings are those of the JSON. What a kind does not have is UNSET and is not in its JSON.
"""

from __future__ import annotations

import builtins
from decimal import Decimal
from typing import TYPE_CHECKING, Literal

import msgspec
from msgspec import UNSET, UnsetType

from scapy_chitchat.net.text import harmless_json

if TYPE_CHECKING:
    from scapy_chitchat.cluster._records import ChitchatId

Json = str | int | float | bool | Decimal | None | list["Json"] | dict[str, "Json"]
"""A value of JSON; times are decimals, so that no digit of the capture's is lost."""

Kind = Literal[
    "joined",
    "restarted",
    "alive",
    "dead",
    "dropped",
    "forgotten",
    "changed",
    "deleted",
    "collected",
    "propagated",
    "reset",
    "gap",
    "inapplicable",
    "stuck",
    "unanswered",
    "not-read",
    "not-captured",
    "oversized-answer",
    "silent",
    "bad-cluster",
    "digest-near-limit",
    "odd-address",
    "contested",
    "contradiction",
]
"""The kinds of events."""

_ENCODER = msgspec.json.Encoder(decimal_format="number")


def seconds(time: int, decimals: int) -> Decimal:
    """Nanoseconds since the epoch as seconds, with as many decimals as the capture has."""
    return Decimal(time // 10 ** (9 - decimals)).scaleb(-decimals)


def encode_json(value: Json) -> bytes:
    """JSON in which decimals are numbers."""
    return harmless_json(_ENCODER.encode(value))


class Event(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Something that happened, as far as messages show it."""

    time: int
    """Nanoseconds since the epoch."""
    decimals: int
    """How many decimals of a second the capture has."""
    frame: int | None
    """The frame that showed it; None where it is known from the end of the capture only."""
    event: Kind
    cluster_id: str | None
    observer: ChitchatId | None = None
    """The run in whose view it happened; None where it happened to the subject itself."""
    node_id: str | None = None
    generation_id: int | None = None
    earlier_generation_id: int | UnsetType = UNSET
    phi: float | UnsetType | None = UNSET
    key: str | UnsetType = UNSET
    value: str | UnsetType = UNSET
    earlier: str | UnsetType | None = UNSET
    version: int | UnsetType = UNSET
    status: str | UnsetType = UNSET
    seconds: float | UnsetType = UNSET
    first: str | UnsetType = UNSET
    last: str | UnsetType = UNSET
    from_version_excluded: int | UnsetType = UNSET
    max_version: int | UnsetType = UNSET
    last_gc_version: int | UnsetType = UNSET
    behind: int | UnsetType = UNSET
    to: str | UnsetType = UNSET
    source: str | UnsetType = UNSET
    type: str | UnsetType = UNSET
    count: int | UnsetType = UNSET
    other_cluster: str | UnsetType | None = UNSET
    bytes: int | UnsetType = UNSET
    entries: int | UnsetType = UNSET
    why: str | UnsetType = UNSET
    what: str | UnsetType = UNSET
    silent: Literal["subject", "observer"] | UnsetType = UNSET

    def as_dict(self) -> dict[str, Json]:
        """The event as in JSON; ``time`` is a decimal number, ``observer`` a node_id."""
        values = {name: getattr(self, name) for name in self.__struct_fields__}
        values["time"] = seconds(self.time, self.decimals)
        values["observer"] = self.observer.node_id if self.observer else None
        del values["decimals"]
        if self.observer:
            values["observer_generation_id"] = self.observer.generation_id
        return {name: value for name, value in values.items() if value is not UNSET}

    def as_json(self) -> builtins.bytes:
        """A line of ``timeline --json``, without the line's end."""
        return encode_json(self.as_dict())
