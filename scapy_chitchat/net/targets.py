# SPDX-License-Identifier: GPL-2.0-or-later
"""Where to send to: ``HOST:PORT`` as socket addresses, and whether these are on this machine."""

from __future__ import annotations

import socket
from ipaddress import IPv6Address, ip_address
from typing import cast

from scapy_chitchat.net.addresses import split_address
from scapy_chitchat.net.udp import Address


class TargetError(ValueError):
    """The target is no HOST:PORT, or it is not on this machine."""


class NoSuchHostError(Exception):
    """The target's name has no address. The message is one line."""


def split_target(target: str, default_port: int) -> tuple[str, int]:
    """Host and port of ``HOST:PORT``, ``[IPV6]:PORT`` or a host alone. Raises TargetError."""
    try:
        host, port = split_address(target)
    except ValueError as error:
        raise TargetError(str(error)) from None
    if not host or port == 0:
        raise TargetError(f"{target!r} is not HOST:PORT")
    return host, port or default_port


def addresses_of(target: str, default_port: int, *, allow_remote: bool = False) -> list[Address]:
    """Each address of a target.

    Raises TargetError where one of them is not on this machine, unless that is allowed, and NoSuchHostError.
    """
    host, port = split_target(target, default_port)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
    except (OSError, UnicodeError) as error:
        raise NoSuchHostError(f"{host}: {getattr(error, 'strerror', None) or 'no such name'}") from None
    addresses = [cast(Address, address) for *_, address in found]  # others are for a Python built without IPv6
    away = [str(address[0]) for address in addresses if not is_here(str(address[0]))]
    if away and not allow_remote:
        raise TargetError(f"{target}: {away[0]} is not on this machine; to send there, add --allow-remote")
    return addresses


def is_here(host: str) -> bool:
    """Whether an IP address, maybe with a zone, is one of this machine's."""
    ip = ip_address(host.partition("%")[0])
    if isinstance(ip, IPv6Address) and ip.ipv4_mapped:
        ip = ip.ipv4_mapped
        host = str(ip)
    return ip.is_loopback or ip.is_unspecified or _sends_to_itself(host)


def _sends_to_itself(host: str) -> bool:
    """Whether the system would send from this very address to it, which it does to its own addresses alone."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as asked:
        try:
            asked.connect((host, 9))  # a UDP socket: nothing is sent
        except (OSError, UnicodeError):
            return False
        return ip_address(asked.getsockname()[0].partition("%")[0]) == ip_address(host.partition("%")[0])
