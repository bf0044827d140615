# SPDX-License-Identifier: GPL-2.0-or-later
"""A frame, as whatever captures it gives it."""

from __future__ import annotations

from typing import NamedTuple

LARGEST_FRAME = 1 << 20
"""Bytes of a frame that are kept at the most: more than any that can hold a datagram."""


class Frame(NamedTuple):
    """One frame of a capture, as it was captured."""

    number: int
    """1 for the first of the capture, as Wireshark counts."""
    time: int
    """Since the epoch, in units of 10 to the power of ``-decimals`` seconds; 0 where the capture does not tell."""
    decimals: int
    linktype: int
    data: bytes
    length: int
    """Bytes on the wire: more than in ``data`` where the capture's snap length cut the frame."""
    interface: int = 0
    """Which of the capture's interfaces it passed, from 0; always 0 where the format does not tell."""
