# SPDX-License-Identifier: GPL-2.0-or-later
"""What was met on the way from frames to messages, and what is to be said of it at the end.

Nothing is lost in silence: whatever is given up, passed over or cannot be read is counted here, and ``notes`` makes a
line of each.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from scapy_chitchat.capture.links import UNREAD, link_name


@dataclass
class Counters:
    """What was met on the way from frames to messages."""

    frames: int = 0
    bytes: int = 0
    fragments: int = 0
    reassembled: int = 0
    """Datagrams put together from fragments."""
    incomplete: int = 0
    """Datagrams given up on: fragments were missing for too long, or too many others waited."""
    first_only: int = 0
    """Of these, datagrams of which the first fragment is there and no other, as a port filter leaves them."""
    datagrams: int = 0
    duplicates: int = 0
    """Messages seen a second time, and dropped on request."""
    other: int = 0
    """Datagrams that are no chitchat messages."""
    old: int = 0
    """Of these, datagrams on a port of chitchat's whose first byte may be a message type of its early formats."""
    strange: int = 0
    """Of these, datagrams on Quickwit's port that look like nothing chitchat has ever sent."""
    magic_at: dict[int, int] = field(default_factory=dict)
    """How many of the strange ones hold a message's header behind so many bytes: a signature, perhaps."""
    cut: int = 0
    """Messages of which the capture holds only the first part."""
    short: int = 0
    """Frames that end within their headers."""
    unreadable: int = 0
    """Frames of a link type that nothing here can read."""
    unreadable_links: set[int] = field(default_factory=set)
    """These link types."""
    tunnels: int = 0
    """Packets of tunnels that were met, whether or not they could be opened."""
    unknown_inside: dict[str, int] = field(default_factory=dict)
    """Packets of tunnels whose inside cannot be read, by what they are."""
    too_deep: int = 0
    """Packets in more tunnels than are followed."""


KEEPS_FRAGMENTS = "or (ip[6:2] & 0x1fff != 0)"
"""What a capture filter on ports needs behind it to keep the later fragments of IPv4."""


def notes(counters: Counters) -> Iterator[str]:
    """What is to be said when a capture was read: one line for each thing that was lost, passed over or not read."""
    yield from _fragments(counters)
    if counters.cut:
        yield f"{_count(counters.cut, 'message')} cut by the capture's snap length: capture with -s 0"
    if counters.short:
        yield f"{_count(counters.short, 'frame')} too short for the headers in them, passed over"
    if counters.unreadable:
        yield f"{_count(counters.unreadable, 'frame')} of link type {_links(counters)} cannot be read"
    for what, count in sorted(counters.unknown_inside.items()):
        yield f"{_count(count, 'packet')} of {what}, whose inside cannot be read"
    if counters.too_deep:
        yield f"{_count(counters.too_deep, 'packet')} in more tunnels than are followed, passed over"
    yield from _datagrams(counters)
    if counters.duplicates:
        yield f"{_count(counters.duplicates, 'message')} captured twice, and dropped once each"


def _fragments(counters: Counters) -> Iterator[str]:
    if counters.first_only:
        what = _count(counters.first_only, "datagram", "whose later fragments are", "s whose later fragments are")
        yield f"{what} not in the capture: capture without a port filter, or put {KEEPS_FRAGMENTS} behind it"
    if rest := counters.incomplete - counters.first_only:
        yield f"{_count(rest, 'datagram')} given up on: fragments are missing"


def _datagrams(counters: Counters) -> Iterator[str]:
    if counters.old:
        what = _count(counters.old, "datagram")
        yield f"{what} passed over that may be of chitchat before 0.8, which had no magic number"
    if counters.strange:
        what = f"{_count(counters.strange, 'datagram')} on chitchat's port that {_are(counters.strange)} no message"
        yield f"{what}: {_looks(counters)}"


def _looks(counters: Counters) -> str:
    if not counters.magic_at:
        return (
            "sealed perhaps, or of something else; if a signature stands before the message, --skip-bytes N passes it"
        )
    at = max(counters.magic_at, key=lambda each: counters.magic_at[each])
    return f"a message's header stands behind {at} bytes, so try --skip-bytes {at}"


def _links(counters: Counters) -> str:
    names = ", ".join(map(link_name, sorted(counters.unreadable_links)))
    reasons = [UNREAD[each][1] for each in sorted(counters.unreadable_links) if each in UNREAD]
    return f"{names} ({'; '.join(reasons)})" if reasons else names


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def _count(count: int, what: str, one: str = "", many: str = "s") -> str:
    """A number and its noun, in the singular or the plural."""
    if count == 1:
        return f"1 {what} {one}".rstrip()
    return f"{count:,} {what}{many}"
