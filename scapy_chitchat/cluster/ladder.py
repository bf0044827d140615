# SPDX-License-Identifier: GPL-2.0-or-later
"""The way of single versions through the cluster: what ``follow`` shows."""

from __future__ import annotations

from typing import Literal

import msgspec

from scapy_chitchat.cluster._records import ChitchatId

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
