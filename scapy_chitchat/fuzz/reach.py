# SPDX-License-Identifier: GPL-2.0-or-later
"""Whom a target would send to: it gossips to whatever address a digest names."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv6Address, ip_address

from scapy_chitchat.net.addresses import split_address
from scapy_chitchat.records.codec import DecodeError, decode
from scapy_chitchat.records.sections import digest_of

LARGEST_LOOKED_INTO = 64 * 1024
"""Bytes of a stream up to which it is looked into; what a bomb grows to takes longer than the node takes for it."""


def names_elsewhere(data: bytes) -> bool:
    """Whether a node that reads this message would gossip to an address that is not on this machine or its link.

    A larger digest than is looked into counts as one that does.
    """
    try:
        message = decode(data, limit=LARGEST_LOOKED_INTO)
    except DecodeError as error:
        if error.code != "stream-limit":
            return False  # the node drops it
        entries = error.partial.get("digest", ())
        return error.stream == "digest" or not all(_stays(each["gossip_advertise_addr"]) for each in entries)
    return not all(_stays(each.gossip_advertise_addr) for each in digest_of(message))


@lru_cache(maxsize=4096)
def _stays(address: str) -> bool:
    """Whether no router forwards what is sent to an address."""
    ip = ip_address(split_address(address)[0])
    if isinstance(ip, IPv6Address) and ip.ipv4_mapped:
        ip = ip.ipv4_mapped
    if ip.is_multicast:
        return bool(ip.packed[:3] == b"\xe0\0\0" if ip.version == 4 else ip.packed[1] & 15 <= 2)
    return bool(ip.is_loopback or ip.is_unspecified or ip.is_link_local or str(ip) == "255.255.255.255")
