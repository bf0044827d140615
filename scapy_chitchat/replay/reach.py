# SPDX-License-Identifier: GPL-2.0-or-later
"""Whom a node would send to for having read a message: it gossips to whatever address it hears of.

An address stays here only if it is surely this machine's own. All others may be somebody's, in whatever form: multicast
and broadcast, an IPv4 address within an IPv6 one, a link-local one without its zone, and the unspecified one, which a
node on another system takes otherwise than Linux does.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv6Address, ip_address

from scapy_chitchat.net.addresses import split_address
from scapy_chitchat.net.targets import is_here
from scapy_chitchat.records.classes import Message, NodeOp
from scapy_chitchat.records.codec import DecodeError, decode
from scapy_chitchat.records.identity import ChitchatId, id_of
from scapy_chitchat.records.sections import delta_of, digest_of

LARGEST_LOOKED_INTO = 64 * 1024
"""Bytes of a stream up to which a hostile one is looked into; what a bomb grows to takes longer than the node takes."""


def named(message: Message | None) -> set[ChitchatId]:
    """Whom a message is about, in its digest and in its delta."""
    nodes = {id_of(entry) for entry in digest_of(message)}
    nodes.update(id_of(part) for part in delta_of(message) if type(part) is NodeOp)
    return nodes


def any_elsewhere(nodes: Iterable[ChitchatId]) -> bool:
    """Whether the gossip address of one of these is not this machine's own."""
    return not all(stays_here(node.gossip_advertise_addr) for node in nodes)


def names_elsewhere(data: bytes) -> bool:
    """Whether a node that reads this message hears of an address that is not this machine's own."""
    try:
        return any_elsewhere(named(decode(data, limit=LARGEST_LOOKED_INTO)))
    except DecodeError as error:
        return tells_elsewhere(error)


def tells_elsewhere(error: DecodeError) -> bool:
    """The same of a message that was not decoded: most a node drops, but not what is too large for us alone.

    A digest that is too large to be looked into counts as one that names such an address.
    """
    if error.code != "stream-limit":
        return False
    parts = (*error.partial.get("digest", ()), *error.partial.get("delta", ()))
    addresses = [part["gossip_advertise_addr"] for part in parts if part.get("gossip_advertise_addr")]
    return error.stream == "digest" or not all(map(stays_here, addresses))


@lru_cache(maxsize=4096)
def stays_here(address: str) -> bool:
    """Whether what is sent to a gossip address (with a port) surely reaches this machine and no other."""
    ip = ip_address(split_address(address)[0])
    if isinstance(ip, IPv6Address) and ip.ipv4_mapped:
        ip = ip.ipv4_mapped
    return not ip.is_unspecified and is_here(str(ip))
