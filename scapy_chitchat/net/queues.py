# SPDX-License-Identifier: GPL-2.0-or-later
"""What waits in a UDP socket of this machine, and what the kernel dropped there, as Linux tells it in /proc."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import NamedTuple

from scapy_chitchat.net.addresses import address_bytes
from scapy_chitchat.net.udp import Address


class Queue(NamedTuple):
    """The queue of a socket, or of several at the same address."""

    waiting: int
    """Bytes, with what the kernel needs beside the datagrams: some 768 for a small one."""
    dropped: int
    """Datagrams that found no room since the socket was opened."""


def queue_at(address: Address) -> Queue | None:
    """The queue of whoever listens at an address of this machine; None where nobody does, or where no /proc tells."""
    host, port = str(address[0]).partition("%")[0], int(address[1])
    places = {f"{_hex(each)}:{port:04X}" for each in (address_bytes(host), bytes(4), bytes(16))}
    if ":" not in host:
        mapped = bytes(10) + bytes((255, 255)) + address_bytes(host)
        places.add(f"{_hex(mapped)}:{port:04X}")
    found = [each for name in ("udp", "udp6") for each in _listening(Path("/proc/net") / name, places)]
    return Queue(max(each.waiting for each in found), sum(each.dropped for each in found)) if found else None


def _hex(raw: bytes) -> str:
    """An address as /proc has it: each 32 bits as a number of this machine."""
    return "".join(f"{word:08X}" for word in struct.unpack(f"={len(raw) // 4}I", raw))


def _listening(table: Path, places: set[str]) -> list[Queue]:
    try:
        lines = table.read_text().splitlines()[1:]
    except OSError:
        return []
    found = []
    for line in lines:
        _, local, remote, _, queues, *_, dropped = line.split()
        if local in places and remote.endswith(":0000"):  # it hears everybody
            found.append(Queue(int(queues.partition(":")[2], 16), int(dropped)))
    return found
