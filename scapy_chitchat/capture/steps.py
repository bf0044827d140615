# SPDX-License-Identifier: GPL-2.0-or-later
"""What stands between a link layer and an IP packet: EtherTypes and tags, LLC, PPP, MPLS, Cisco HDLC, NSH.

An opener looks at the bytes from a place on and says what comes next and where: a step. Openers are rows of tables, by
EtherType here, by link type in links.py, by IP protocol and UDP port in tunnels.py. One that finds what it does not
know gives None; one that finds less than it needs raises IndexError or struct.error.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

Opener: TypeAlias = "Callable[[bytes, int], Step | None]"

MOST_STEPS = 32
"""Steps from one IP packet to the next: more are a joke at our expense."""


class Step(NamedTuple):
    """What comes next."""

    then: Opener
    at: int
    text: str = ""
    """How to call what was opened, if it is a tunnel."""


def ip(data: bytes, at: int) -> Step | None:
    """The end of the way: an IP packet of either version starts here."""
    return None


def unknown(data: bytes, at: int) -> Step | None:
    """The end of the way: a tunnel whose inside nobody here can read. The step's text says what it is."""
    return None


def u16(data: bytes, at: int) -> int:
    """Two bytes as a number, most significant first. Raises IndexError where there are none."""
    return data[at] << 8 | data[at + 1]


# --- Ethernet ---


def ethernet(data: bytes, at: int) -> Step | None:
    """An Ethernet header: two addresses and an EtherType."""
    return ethertype(data, at + 12)


def ethertype(data: bytes, at: int) -> Step | None:
    """An EtherType, or a length with LLC behind it."""
    kind = u16(data, at)
    if kind < LEAST_ETHERTYPE:
        return Step(llc, at + 2)
    opener = ETHERTYPES.get(kind)
    return Step(opener, at + 2) if opener else None


LEAST_ETHERTYPE = 0x0600
"""The smallest EtherType; a smaller number in its place is the length of an LLC frame."""


def _tag(data: bytes, at: int) -> Step:
    """A VLAN tag: two bytes, and the EtherType of what is tagged."""
    return Step(ethertype, at + 2)


def _vn_tag(data: bytes, at: int) -> Step:
    return Step(ethertype, at + 4)


def _backbone(data: bytes, at: int) -> Step:
    """802.1ah, a frame in a frame: four bytes with the service, then the customer's frame."""
    return Step(ethernet, at + 4, f"pbb {int.from_bytes(data[at + 1 : at + 4], 'big')}")


def _hsr(data: bytes, at: int) -> Step:
    """Redundant rings: path and size, a sequence number, and the EtherType."""
    return Step(ethertype, at + 4)


_MACSEC_CHANNEL, _MACSEC_ENCRYPTED = 0x20, 0x08


def _macsec(data: bytes, at: int) -> Step:
    if data[at] & _MACSEC_ENCRYPTED:
        return Step(unknown, at, "encrypted MACsec")
    return Step(ethertype, at + (14 if data[at] & _MACSEC_CHANNEL else 6))


def _cisco_metadata(data: bytes, at: int) -> Step:
    """Version, length in words, option, tag; then the EtherType."""
    return Step(ethertype, at + 2 + data[at + 1] * 4)


# --- LLC ---

_SNAP, _LLC_IP = b"\xaa\xaa\x03", b"\x06\x06\x03"


def llc(data: bytes, at: int) -> Step | None:
    """IEEE 802.2: SNAP with an EtherType, or IP under its own number."""
    head = data[at : at + 3]
    if head == _SNAP:
        return Step(ethertype, at + 6)
    return Step(ip, at + 3) if head == _LLC_IP else None


# --- PPP and its relatives ---

_PPP = {0x21: ip, 0x57: ip}
_PPP_MPLS = 0x0281


def ppp(data: bytes, at: int) -> Step | None:
    """Perhaps address and control, then a protocol of one or two bytes."""
    if data[at] == 0xFF and data[at + 1] == 0x03:
        at += 2
    kind, size = (data[at], 1) if data[at] & 1 else (u16(data, at), 2)
    if kind == _PPP_MPLS:
        return Step(mpls, at + size)
    opener = _PPP.get(kind)
    return Step(opener, at + size) if opener else None


def cisco_hdlc(data: bytes, at: int) -> Step | None:
    """Address and control, then an EtherType; PPP under its own address."""
    return ppp(data, at) if data[at] == 0xFF else ethertype(data, at + 2)


def pppoe(data: bytes, at: int) -> Step | None:
    """A PPPoE session: version and type, code 0, session, length, then PPP."""
    if data[at] != 0x11 or data[at + 1]:
        return None
    return Step(ppp, at + 6, f"pppoe {u16(data, at + 2)}")


# --- MPLS ---


def mpls(data: bytes, at: int) -> Step | None:
    """Labels, then IP, or an Ethernet frame with or without a control word before it (a pseudowire)."""
    labels = []
    while True:
        (entry,) = struct.unpack_from(">I", data, at)
        labels.append(str(entry >> 12))
        at += 4
        if entry & 0x100:
            break
        if len(labels) == MOST_STEPS:
            return None
    text = f"mpls {'/'.join(labels)}"
    version = data[at] >> 4
    if version in (4, 6) and (fits_ip(data, at) or not leads_to_ip(ethernet, data, at)):
        return Step(ip, at, text)
    if version == 0 and leads_to_ip(ethernet, data, at + 4):
        return Step(ethernet, at + 4, text)
    return Step(ethernet, at, text)


# --- network service header ---

_NSH = {1: ip, 2: ip, 3: ethernet, 5: mpls}


def nsh(data: bytes, at: int) -> Step | None:
    """RFC 8300: two words and metadata before the packet that is steered."""
    opener = _NSH.get(data[at + 3])
    path = int.from_bytes(data[at + 4 : at + 7], "big")
    return Step(opener or unknown, at + (data[at + 1] & 0x3F) * 4, f"nsh {path}")


ETHERTYPES: dict[int, Opener] = {
    0x0800: ip,
    0x86DD: ip,
    0x8100: _tag,
    0x88A8: _tag,
    0x9100: _tag,
    0x9200: _tag,
    0x9300: _tag,
    0x8926: _vn_tag,
    0x88E7: _backbone,
    0x892F: _hsr,
    0x88E5: _macsec,
    0x8909: _cisco_metadata,
    0x6558: ethernet,
    0x880B: ppp,
    0x8847: mpls,
    0x8848: mpls,
    0x8864: pppoe,
    0x894F: nsh,
}
"""What stands behind an EtherType. Others hold no IP."""


# --- proof ---


def fits_ip(data: bytes, at: int) -> bool:
    """Whether an IP packet starts here that is no longer than what there is."""
    left = len(data) - at
    if left < 20:
        return False
    if data[at] >> 4 == 4:
        return (data[at] & 15) >= 5 and 20 <= u16(data, at + 2) <= left
    return data[at] >> 4 == 6 and left >= 40 and 40 + u16(data, at + 4) <= left


def leads_to_ip(opener: Opener, data: bytes, at: int) -> bool:
    """Whether the way from here ends at an IP packet that fits: where a header alone would be no proof."""
    try:
        for _ in range(MOST_STEPS):
            if opener is ip:
                return fits_ip(data, at)
            step = opener(data, at)
            if step is None:
                return False
            opener, at, _text = step
    except (IndexError, struct.error):
        pass
    return False
