# SPDX-License-Identifier: GPL-2.0-or-later
"""IP addresses and socket addresses: their bytes, and their text as a node writes it."""

from __future__ import annotations

import ipaddress
import socket
from functools import lru_cache


@lru_cache(maxsize=8192)
def address_text(raw: bytes) -> str:
    """An IPv4 or IPv6 address of 4 or 16 bytes as text (RFC 5952), as a node writes it."""
    if len(raw) == 16 and not any(raw[:12]):
        # the C library would write the last four bytes dotted, which is deprecated and no node does
        high, low = raw[12] << 8 | raw[13], raw[14] << 8 | raw[15]
        return f"::{high:x}:{low:x}" if high else f"::{low:x}" if low else "::"
    return socket.inet_ntop(socket.AF_INET if len(raw) == 4 else socket.AF_INET6, raw)


@lru_cache(maxsize=8192)
def address_bytes(text: str) -> bytes:
    """The 4 or 16 bytes of an address. Raises ValueError where ``text`` is none, or has a zone, which no wire holds."""
    if not isinstance(text, str) or "%" in text:
        raise ValueError(f"{text!r} is no IPv4 or IPv6 address")
    return ipaddress.ip_address(text).packed


def split_address(text: str) -> tuple[str, int | None]:
    """Address and port of a text; None where it has no port. Raises ValueError for a port that is none."""
    ip, colon, port = text.rpartition(":")
    bracketed = ip.startswith("[") and ip.endswith("]")
    if not colon or (":" in ip and not bracketed):
        return text.removeprefix("[").removesuffix("]"), None
    if not (port.isascii() and port.isdecimal()) or int(port) > 65535:
        raise ValueError(f"{text!r}: the port is not a number up to 65535")
    return ip.removeprefix("[").removesuffix("]"), int(port)


def join_address(ip: str, port: int) -> str:
    """Address and port as one text."""
    return f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"


ADDRESS_SIZES = {4: 4, 6: 16}
"""Bytes of an address by the IP version before it."""
