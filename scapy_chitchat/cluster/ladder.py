# SPDX-License-Identifier: GPL-2.0-or-later
"""The way of single versions through the cluster: what ``follow`` shows."""

from __future__ import annotations

from typing import Literal

import msgspec

from scapy_chitchat.cluster._records import ChitchatId
from scapy_chitchat.cluster.events import Json, encode_json, seconds

Why = Literal["no-round", "gap", "stuck", "not-read", "silent"]
"""Why an observer is behind: nobody gossiped the version to it, a section did not fit its replica, the next
key-value fits
no datagram, it was sent but not read, or the observer says nothing any more."""


class Rung(msgspec.Struct, gc=False):
    """When one observer had a version."""

    observer: ChitchatId
    time: int | None
    """Nanoseconds; None: not yet."""
    why: Why | None = None
    """Why it is behind; None where it is not."""


class Step(msgspec.Struct, kw_only=True, gc=False):
    """One version of a followed key, and its way."""

    cluster_id: str | None
    subject: ChitchatId
    key: str
    value: str
    version: int
    status: str
    owner_time: int
    """When its owner had it first, as far as messages show: its first statement of that version or a later one."""
    first_time: int
    """When its content was first sent here."""
    rungs: list[Rung]
    """The observers, the owner aside, in the order in which they had it; those that have it not, last."""
    decimals: int = 6
    """How many decimals of a second the capture has."""

    def as_dict(self) -> dict[str, Json]:
        """The object of ``follow --json``.

        ``time`` is when the owner had the version, ``since`` when its content was first seen; both epoch seconds. Each
        of ``observers`` has ``time`` and ``seconds`` (after the owner), null where it has the version not, and ``why``.
        """
        return {
            "cluster_id": self.cluster_id,
            **self.subject._asdict(),
            "key": self.key,
            "value": self.value,
            "version": self.version,
            "status": self.status,
            "time": seconds(self.owner_time, self.decimals),
            "since": seconds(self.first_time, self.decimals),
            "observers": [self._rung(each) for each in self.rungs],
        }

    def as_json(self) -> bytes:
        """The same as bytes."""
        return encode_json(self.as_dict())

    def _rung(self, rung: Rung) -> Json:
        taken = None if rung.time is None else rung.time - self.owner_time
        return {
            **rung.observer._asdict(),
            "time": None if rung.time is None else seconds(rung.time, self.decimals),
            "seconds": None if taken is None else seconds(taken, self.decimals),
            "why": rung.why,
        }
