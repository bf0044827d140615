# SPDX-License-Identifier: GPL-2.0-or-later
"""Link types: the numbers in captures that say what a frame begins with, and how to find the IP packet in it.

Numbers and layouts are those of the list of link types at tcpdump.org. What Wireshark reads and we do not stands in
UNREAD, with the reason.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from scapy_chitchat.capture.steps import (
    ETHERTYPES,
    LEAST_ETHERTYPE,
    Opener,
    Step,
    cisco_hdlc,
    ethernet,
    ethertype,
    ip,
    llc,
    mpls,
    ppp,
    pppoe,
    u16,
)
from scapy_chitchat.net.numbers import ETHERNET

# --- the quick way, for what most captures are ---

_IP_TYPES = frozenset({b"\x08\x00", b"\x86\xdd"})


def _quick_ethernet(data: bytes) -> int:
    return 14 if data[12:14] in _IP_TYPES else -1


def _quick_cooked(data: bytes) -> int:
    return 16 if data[14:16] in _IP_TYPES else -1


def _quick_cooked_2(data: bytes) -> int:
    return 20 if data[:2] in _IP_TYPES else -1


def _quick_ip(data: bytes) -> int:
    return 0


QUICK: dict[int, Callable[[bytes], int]] = {
    1: _quick_ethernet,
    12: _quick_ip,
    14: _quick_ip,
    101: _quick_ip,
    113: _quick_cooked,
    228: _quick_ip,
    229: _quick_ip,
    276: _quick_cooked_2,
}
"""Where the IP packet of a plain frame starts; -1 where there is more to it, and LINKS knows."""


# --- openers ---


def _linux_cooked(data: bytes, at: int) -> Step | None:
    return _cooked(u16(data, at + 14), at + 16)


def _linux_cooked_2(data: bytes, at: int) -> Step | None:
    return _cooked(u16(data, at), at + 20)


_COOKED_LLC = 4


def _cooked(kind: int, at: int) -> Step | None:
    """What follows a cooked header: by EtherType, or LLC under a number of Linux's own."""
    if kind < LEAST_ETHERTYPE:
        return Step(llc, at) if kind == _COOKED_LLC else None
    opener = ETHERTYPES.get(kind)
    return Step(opener, at) if opener else None


_FAMILIES = frozenset({2, 10, 23, 24, 26, 28, 30})
"""Address families of IPv4 and IPv6: BSD's, Darwin's, Linux's, Windows' and Solaris' numbers."""


def _bsd_loopback(data: bytes, at: int) -> Step | None:
    """The address family is in the byte order of the machine that captured: one end of the four bytes is 0."""
    return Step(ip, at + 4) if (data[at] or data[at + 3]) in _FAMILIES else None


def _enc(data: bytes, at: int) -> Step | None:
    """OpenBSD's IPsec device: family, SPI and flags."""
    return Step(ip, at + 12) if (data[at] or data[at + 3]) in _FAMILIES else None


def _pflog(data: bytes, at: int) -> Step | None:
    """OpenBSD's packet filter: its header says how long it is."""
    return Step(ip, at + (data[at] + 3) // 4 * 4) if data[at + 1] in _FAMILIES else None


def _token_ring(data: bytes, at: int) -> Step | None:
    """Two bytes of control, two addresses; the route before LLC is there if the sender's first bit is set."""
    routed = data[at + 8] & 0x80
    return Step(llc, at + 14 + (data[at + 14] & 0x1F if routed else 0))


def _fddi(data: bytes, at: int) -> Step | None:
    return Step(llc, at + 13)


def _ip_over_fibre_channel(data: bytes, at: int) -> Step | None:
    return Step(llc, at + 16)


def _ip_over_firewire(data: bytes, at: int) -> Step | None:
    return Step(ethertype, at + 16)


def _ip_over_infiniband(data: bytes, at: int) -> Step | None:
    """A global route header of 40 bytes, the EtherType, and two bytes that are reserved."""
    opener = ETHERTYPES.get(u16(data, at + 40))
    return Step(opener, at + 44) if opener else None


_NLPID_IP, _NLPID_IPV6, _NLPID_SNAP = 0xCC, 0x8E, 0x80


def _frame_relay(data: bytes, at: int) -> Step | None:
    """RFC 2427: an address of two bytes, control, perhaps a pad, and the network layer's number."""
    at += 3
    if data[at] == 0:
        at += 1
    if data[at] in (_NLPID_IP, _NLPID_IPV6):
        return Step(ip, at + 1)
    return Step(ethertype, at + 4) if data[at] == _NLPID_SNAP else None


def _sun_atm(data: bytes, at: int) -> Step | None:
    return Step(llc, at + 4)


def _behind_direction(opener: Opener) -> Opener:
    """One byte that tells who sent it, before what ``opener`` reads."""

    def opened(data: bytes, at: int) -> Step | None:
        return Step(opener, at + 1)

    return opened


def _ppp_with_direction(data: bytes, at: int) -> Step | None:
    """pppd's: the direction stands where the address of 0xff would."""
    return ppp(data, at + 2) if data[at + 1] == 0x03 else ppp(data, at + 1)


# --- wireless ---

_DATA_FRAME, _PROTECTED, _QOS = 2, 0x40, 8


def _wireless(data: bytes, at: int) -> Step | None:
    """IEEE 802.11: a data frame that is not encrypted; four addresses where both directions are set."""
    control, flags = data[at], data[at + 1]
    subtype = control >> 4
    if control >> 2 & 3 != _DATA_FRAME or flags & _PROTECTED or subtype & 4:
        return None
    size = 30 if flags & 3 == 3 else 24
    if subtype & _QOS:
        size += 2 + (4 if flags & 0x80 else 0)
    return Step(llc, at + size)


def _radiotap(data: bytes, at: int) -> Step | None:
    """Radio measurements; bit 5 of their flags tells that the 802.11 header is padded to four bytes."""
    (size,) = struct.unpack_from("<H", data, at + 2)
    return Step(_wireless, at + size)


def _prism(data: bytes, at: int) -> Step | None:
    little, big = struct.unpack_from("<I", data, at + 4)[0], struct.unpack_from(">I", data, at + 4)[0]
    return Step(_wireless, at + min(little, big))


# --- headers that say what is behind them ---

_NFLOG_PAYLOAD = 9


def _nflog(data: bytes, at: int) -> Step | None:
    """Attributes in the byte order of the machine that captured: the right one leads to the end.

    Raises KeyError, as for a link type that is not known, where neither does.
    """
    for order in "<>":
        place = at + 4
        while place + 4 <= len(data):
            size, kind = struct.unpack_from(order + "HH", data, place)
            if size < 4:
                break
            if kind == _NFLOG_PAYLOAD:
                return Step(ip, place + 4)
            place += (size + 3) // 4 * 4
        else:
            if place >= len(data):
                return None
    raise KeyError(_NFLOG)


_NFLOG = 239


def _pktap(data: bytes, at: int) -> Step | None:
    """Apple's: how long the header is, what kind of record, the link type of the frame behind it."""
    size, _, linktype = struct.unpack_from("<III", data, at)
    return Step(LINKS[linktype], at + size)


def _ppi(data: bytes, at: int) -> Step | None:
    size, linktype = struct.unpack_from("<HI", data, at + 2)
    return Step(LINKS[linktype], at + size)


def _ipnet(data: bytes, at: int) -> Step | None:
    """Solaris': version, family, and 22 bytes of zones and interfaces."""
    return Step(ip, at + 24) if data[at + 1] in _FAMILIES else None


_ERF_ETHERNET = {2, 11, 16, 20}
_ERF_HDLC = {1, 10, 15, 19}
_ERF_IP = {22, 23}


def _erf(data: bytes, at: int) -> Step | None:
    """Endace's: sixteen bytes, extensions of eight while the first bit says so, and padding before Ethernet."""
    kind, place = data[at + 8], at + 16
    more = kind & 0x80
    while more:
        more = data[place] & 0x80
        place += 8
    kind &= 0x7F
    if kind in _ERF_ETHERNET:
        return Step(ethernet, place + 2)
    if kind in _ERF_HDLC:
        return Step(cisco_hdlc, place)
    return Step(ip, place) if kind in _ERF_IP else None


def _net_analyzer(data: bytes, at: int) -> Step | None:
    return Step(ethernet, at + 4)


def _net_analyzer_preamble(data: bytes, at: int) -> Step | None:
    return Step(ethernet, at + 12)


LINKS: dict[int, Opener] = {
    0: _bsd_loopback,
    1: ethernet,
    6: _token_ring,
    9: ppp,
    10: _fddi,
    11: llc,
    12: ip,
    14: ip,
    50: cisco_hdlc,
    51: pppoe,
    100: llc,
    101: ip,
    104: cisco_hdlc,
    105: _wireless,
    107: _frame_relay,
    108: _bsd_loopback,
    109: _enc,
    113: _linux_cooked,
    117: _pflog,
    119: _prism,
    122: _ip_over_fibre_channel,
    123: _sun_atm,
    127: _radiotap,
    138: _ip_over_firewire,
    149: _pktap,
    166: _ppp_with_direction,
    192: _ppi,
    197: _erf,
    204: _ppp_with_direction,
    205: _behind_direction(cisco_hdlc),
    206: _behind_direction(_frame_relay),
    219: mpls,
    226: _ipnet,
    228: ip,
    229: ip,
    239: _nflog,
    240: _net_analyzer,
    241: _net_analyzer_preamble,
    242: _ip_over_infiniband,
    258: _pktap,
    276: _linux_cooked_2,
}
"""What a frame of a link type begins with."""


UNREAD: dict[int, tuple[str, str]] = {
    3: ("AX.25", "radio links, no IP seen on them in practice"),
    7: ("ARCNET", "a header of three layouts, which nothing has written for decades"),
    8: ("SLIP", "its header depends on the system that captured"),
    99: ("Symantec firewall", "one vendor's header, which is not described in public"),
    129: ("ARCNET of Linux", "as ARCNET"),
    143: ("DOCSIS", "cable modems: headers of many kinds before Ethernet"),
    147: ("USER0", "what it is stands in nobody's list but the user's"),
    163: ("AVS radio", "given up for radiotap, which is read"),
    189: ("USB", "IP only inside the protocols of network adapters"),
    195: ("IEEE 802.15.4", "IP only as 6LoWPAN, which is compressed"),
    220: ("USB of Linux", "as USB"),
    230: ("IEEE 802.15.4 without checksum", "as IEEE 802.15.4"),
    247: ("InfiniBand", "IP only as IPoIB inside; captures of the IPoIB device are read"),
    249: ("USB of Windows", "as USB"),
    251: ("Bluetooth LE", "IP only as 6LoWPAN, which is compressed"),
    252: ("Wireshark's exported PDUs", "layers that were taken out of their packets"),
    253: ("netlink", "messages of the kernel, not of a network"),
    265: ("NORDIC BLE", "as Bluetooth LE"),
    272: ("Nordic BLE sniffer", "as Bluetooth LE"),
    274: ("Ethernet with preemption", "frames in fragments of their own"),
    280: ("DSA tags of Marvell chips", "a tag whose layout the capture does not tell"),
    281: ("DSA tags of Marvell chips, EDSA", "as DSA tags"),
    283: ("Zigbee radio with TAP", "as IEEE 802.15.4"),
}
"""Link types that Wireshark reads and we do not: how they are called, and why not."""


def link_name(linktype: int) -> str:
    """A link type's number, and its name where it is one of UNREAD."""
    name = UNREAD.get(linktype, ("", ""))[0]
    return f"{linktype} ({name})" if name else str(linktype)


_HEADERS = {1: 14, 113: 16, 276: 20}


def sight_of(linktype: int, data: bytes) -> bytes:
    """What of a frame tells how it was seen, not what is in it: its link layer's addresses, direction, interface."""
    return data[: _HEADERS.get(linktype, 0)]


def link_header(linktype: int, data: bytes) -> bytes:
    """The Ethernet header of a frame, VLAN tags and all; nothing where there is none, or no IP packet behind it."""
    if linktype != ETHERNET:
        return b""
    opener, at = LINKS[linktype], 0
    try:
        while (step := opener(data, at)) and not step.text:
            opener, at, _ = step
            if opener is ip:
                return data[:at]
    except IndexError:
        pass
    return b""
