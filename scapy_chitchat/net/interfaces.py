# SPDX-License-Identifier: GPL-2.0-or-later
"""Network interfaces as the kernel has them, asked by ioctl: in our own network namespace, whatever /sys shows.

Linux only.
"""

from __future__ import annotations

import os
import socket
import struct

_SIOCGIFHWADDR, _SIOCGIFMTU = 0x8927, 0x8921
_REQUEST = struct.Struct("@16s24x")

ETHERNET_HARDWARE, LOOPBACK_HARDWARE = 1, 772
"""Kinds of hardware, as ``hardware`` gives them."""


def hardware(name: str) -> int:
    """What kind of hardware an interface is, by the numbers of ARP. Raises OSError where there is no such interface."""
    kind: int = struct.unpack_from("@H", _asked(name, _SIOCGIFHWADDR), 16)[0]
    return kind


def mtu(name: str) -> int:
    """The most bytes that a packet on an interface may have. Raises OSError where there is no such interface."""
    size: int = struct.unpack_from("@i", _asked(name, _SIOCGIFMTU), 16)[0]
    return size


def _asked(name: str, request: int) -> bytes:
    import fcntl  # which not every system has

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        return fcntl.ioctl(asked, request, _REQUEST.pack(os.fsencode(name)))
