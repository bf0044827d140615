# SPDX-License-Identifier: GPL-2.0-or-later
"""Socket addresses as records have them: one text of an IP address and a port."""

from __future__ import annotations

import struct
from functools import lru_cache

from scapy_chitchat.net.addresses import address_bytes, address_text, join_address, split_address
from scapy_chitchat.records.identity import Identified

_PORT = struct.Struct("<H")


class _SocketAddresses(dict[bytes, str]):
    """Socket addresses as text, by their bytes on the wire: the same few come again in every message."""

    most = 65536

    def __missing__(self, raw: bytes) -> str:
        if len(self) >= self.most:
            self.clear()
        text = self[raw] = join_address(address_text(raw[: -_PORT.size]), _PORT.unpack(raw[-_PORT.size :])[0])
        return text


SOCKET_ADDRESSES = _SocketAddresses()
"""The text of a socket address by its bytes: address and port, as they follow each other on the wire."""


@lru_cache(maxsize=65536)
def split_socket_address(address: str) -> tuple[bytes, int]:
    """The bytes of a socket address and its port. Raises ValueError for what records would write otherwise."""
    ip, port = split_address(address)
    if port is None or join_address(ip, port) != address:
        raise ValueError(f"{address!r} is no IP address with a port")
    return address_bytes(ip), port


def sort_key(entry: Identified) -> tuple[str, int, int, bytes, int]:
    """What a node sorts the entries of a digest by: node_id, generation_id, then IPv4 before IPv6, address, port."""
    ip, port = split_socket_address(entry.gossip_advertise_addr)
    return entry.node_id, entry.generation_id, len(ip), ip, port
