# SPDX-License-Identifier: GPL-2.0-or-later
"""Frames of zstd before 0.8, which nodes read as well and nobody writes."""

from __future__ import annotations

import struct


def legacy_frame(data: bytes) -> bytes:
    """Up to 255 bytes as a frame of zstd 0.7: one segment with its size, a raw block, the closing block."""
    size = len(data)
    header = b"\x27\xb5\x2f\xfd" + struct.pack("BB", 0x20, size)
    return header + struct.pack(">BH", 0x40, size) + data + b"\xc0\x00\x00"
