# SPDX-License-Identifier: GPL-2.0-or-later
"""Tunnels: packets in packets, by the IP protocol or the UDP port that carries them.

Each opener is one row of a table (see steps.py for what an opener is). A UDP datagram is a tunnel by its port and by
what its header must hold; VXLAN is known by its header on any port, since there it can be proven. What is inside and
cannot be read is named and counted, not guessed.
"""

from __future__ import annotations

import struct

from scapy_chitchat.capture.steps import (
    ETHERTYPES,
    Opener,
    Step,
    ethernet,
    fits_ip,
    ip,
    leads_to_ip,
    mpls,
    nsh,
    ppp,
    u16,
    unknown,
)


def _either_ip(data: bytes, at: int, text: str) -> Step | None:
    """An IP packet of the version that its first half byte says."""
    return Step(ip, at, text) if data[at] >> 4 in (4, 6) else None


# --- directly over IP ---


def _packet(version: int, text: str) -> Opener:
    """A packet of this IP version with nothing before it."""

    def opened(data: bytes, at: int) -> Step | None:
        return Step(ip, at, text) if data[at] >> 4 == version else None

    return opened


_CHECKSUM, _ROUTING, _KEY, _SEQUENCE, _ACKNOWLEDGEMENT = 0x8000, 0x4000, 0x2000, 0x1000, 0x0080
_ERSPAN_2, _ERSPAN_3, _TRANSPARENT_ETHERNET, _PPTP, _WCCP = 0x88BE, 0x22EB, 0x6558, 0x880B, 0x883E


def gre(data: bytes, at: int) -> Step | None:
    """RFC 2784 and 2890, and version 1 with PPP in it (PPTP)."""
    flags, kind = u16(data, at), u16(data, at + 2)
    version, place = flags & 7, at + 4
    if version > 1 or flags & _ROUTING or (version == 1 and kind != _PPTP):
        return None
    if flags & _CHECKSUM:
        place += 4
    key = None
    if flags & _KEY:
        (key,) = struct.unpack_from(">I", data, place)
        place += 4
    if flags & _SEQUENCE:
        place += 4
    if version == 1:
        return Step(ppp, place + (4 if flags & _ACKNOWLEDGEMENT else 0), "pptp")
    if kind == _ERSPAN_2:
        return Step(_erspan_2, place) if flags & _SEQUENCE else Step(ethernet, place, "erspan")
    if kind == _ERSPAN_3:
        return Step(_erspan_3, place)
    if kind == _TRANSPARENT_ETHERNET and key is not None:
        return Step(ethernet, place, f"nvgre {key >> 8}")
    if kind == _WCCP:
        return Step(ip, place if data[place] >> 4 == 4 else place + 4, "gre")
    opener = ETHERTYPES.get(kind)
    if opener is None:
        return Step(unknown, place, f"GRE with protocol 0x{kind:04x}") if kind else None
    return Step(opener, place, "gre" if key is None else f"gre {key}")


def _erspan_2(data: bytes, at: int) -> Step | None:
    return Step(ethernet, at + 8, f"erspan {u16(data, at + 2) & 0x3FF}")


def _erspan_3(data: bytes, at: int) -> Step | None:
    """Twelve bytes, eight more if the last bit says so; the frame in it is Ethernet or, of type 2, IP."""
    size = 20 if data[at + 11] & 1 else 12
    is_ip = data[at + 10] >> 2 & 0x1F == 2
    return Step(ip if is_ip else ethernet, at + size, f"erspan {u16(data, at + 2) & 0x3FF}")


def _ether_ip(data: bytes, at: int) -> Step | None:
    """RFC 3378: version 3, and reserved bits."""
    return Step(ethernet, at + 2, "etherip") if data[at] == 0x30 else None


def _plain_ethernet(data: bytes, at: int) -> Step | None:
    return Step(ethernet, at, "ethernet")


def _mpls_in_ip(data: bytes, at: int) -> Step | None:
    return mpls(data, at)


def _esp(data: bytes, at: int) -> Step | None:
    return Step(unknown, at, "encrypted IPsec (ESP)")


def _l2tp_over_ip(data: bytes, at: int) -> Step | None:
    """Version 3 over IP: a session number that is not 0, then what _l2tp_3 finds."""
    session = int.from_bytes(data[at : at + 4], "big")
    return _l2tp_3(data, at + 4, session) if session else None


OVER_IPV4: dict[int, Opener] = {
    4: _packet(4, "ipip"),
    41: _packet(6, "6in4"),
    47: gre,
    50: _esp,
    97: _ether_ip,
    115: _l2tp_over_ip,
    137: _mpls_in_ip,
    143: _plain_ethernet,
}
"""Tunnels over IPv4, by IP protocol."""

OVER_IPV6: dict[int, Opener] = {**OVER_IPV4, 4: _packet(4, "4in6"), 41: _packet(6, "ip6ip6")}
"""Tunnels over IPv6, by IP protocol."""


# --- over UDP ---


def _vxlan(data: bytes, at: int) -> Step | None:
    """RFC 7348: the flag that says that there is a network, its number; with or without a group policy."""
    if not data[at] & 0x08 or data[at] & 0x04:
        return None
    return Step(ethernet, at + 8, f"vxlan {int.from_bytes(data[at + 4 : at + 7], 'big')}")


def vxlan_on_any_port(data: bytes, at: int) -> Step | None:
    """VXLAN by its header: nothing but what must be in it, and a frame whose IP packet fits."""
    if data[at : at + 4] != VXLAN_START or data[at + 7] or not leads_to_ip(ethernet, data, at + 8):
        return None
    return _vxlan(data, at)


VXLAN_START = b"\x08\0\0\0"
"""How a VXLAN header begins: the flag of a valid identifier, and what is reserved."""

_GPE = {1: ip, 2: ip, 3: ethernet, 4: nsh, 5: mpls}


def _vxlan_gpe(data: bytes, at: int) -> Step | None:
    """VXLAN with a byte that says what is inside."""
    if not data[at] & 0x04:
        return _vxlan(data, at)
    network, kind = int.from_bytes(data[at + 4 : at + 7], "big"), data[at + 3]
    opener = _GPE.get(kind)
    if opener is None:
        return Step(unknown, at, f"VXLAN-GPE with protocol {kind}")
    return Step(opener, at + 8, f"vxlan-gpe {network}")


def _geneve(data: bytes, at: int) -> Step | None:
    """RFC 8926: version 0, the length of the options, what is inside as an EtherType, the network."""
    if data[at] >> 6:
        return None
    network, kind = int.from_bytes(data[at + 4 : at + 7], "big"), u16(data, at + 2)
    opener = ETHERTYPES.get(kind)
    if opener is None:
        return Step(unknown, at, f"Geneve with protocol 0x{kind:04x}")
    return Step(opener, at + 8 + (data[at] & 0x3F) * 4, f"geneve {network}")


def _named(name: str, inside: Step | None) -> Step | None:
    """The step of a protocol of IP's that was found in UDP; what cannot be read keeps its name."""
    return inside if inside is None or inside.then is unknown else inside._replace(text=name)


_GUE_CONTROL = 0x20


def _gue(data: bytes, at: int) -> Step | None:
    """Generic UDP encapsulation: version 0 with a header, or version 1, which is an IP packet itself."""
    version = data[at] >> 6
    if version == 1:
        return _either_ip(data, at, "gue")
    if version or data[at] & _GUE_CONTROL:
        return None
    opener, place = OVER_IPV4.get(data[at + 1]), at + 4 + (data[at] & 0x1F) * 4
    if opener is None:
        return Step(unknown, place, f"GUE with IP protocol {data[at + 1]}")
    return _named("gue", opener(data, place))


def _fou(data: bytes, at: int) -> Step | None:
    """Foo over UDP has no header: IP, or GRE, whichever it can only be."""
    if fits_ip(data, at):
        return Step(ip, at, "fou")
    inside = gre(data, at)
    if inside is None or not leads_to_ip(inside.then, data, inside.at):
        return None
    return _named("fou", inside)


def _gre_in_udp(data: bytes, at: int) -> Step | None:
    return gre(data, at)


_L2TP_CONTROL, _L2TP_LENGTH, _L2TP_SEQUENCE, _L2TP_OFFSET = 0x80, 0x40, 0x08, 0x02


def _l2tp(data: bytes, at: int) -> Step | None:
    """Version 2: perhaps a length, tunnel and session, perhaps sequence numbers and an offset, then PPP."""
    flags, version = data[at], data[at + 1] & 15
    if flags & _L2TP_CONTROL:
        return None
    if version == 3:
        return _l2tp_3(data, at + 8, int.from_bytes(data[at + 4 : at + 8], "big"))
    if version != 2:
        return None
    place = at + (4 if flags & _L2TP_LENGTH else 2)
    text = f"l2tp {u16(data, place)}/{u16(data, place + 2)}"
    place += 4 + (4 if flags & _L2TP_SEQUENCE else 0)
    if flags & _L2TP_OFFSET:
        place += 2 + u16(data, place)
    return Step(ppp, place, text)


def _l2tp_3(data: bytes, at: int, session: int) -> Step | None:
    """Version 3: cookie and sublayer are agreed upon elsewhere; the one size that leads to a fitting packet is it."""
    for size in (0, 4, 8, 12):
        for opener in (ethernet, ppp):
            if leads_to_ip(opener, data, at + size):
                return Step(opener, at + size, f"l2tp {session}")
    return Step(unknown, at, "L2TPv3 with a cookie or a payload that is not known")


_GTP_DATA, _GTP_MORE, _GTP_EXTENSION = 0xFF, 0x07, 0x04


def _gtp_u(data: bytes, at: int) -> Step | None:
    """Version 1, user data: the tunnel's number, and perhaps extension headers."""
    flags = data[at]
    if flags >> 4 != 3 or data[at + 1] != _GTP_DATA:
        return None
    place, following = at + 8, 0
    if flags & _GTP_MORE:
        following = data[at + 11] if flags & _GTP_EXTENSION else 0
        place = at + 12
    while following:
        size = data[place] * 4
        if not size:
            return None
        place += size
        following = data[place - 1]
    return _either_ip(data, place, f"gtp-u 0x{int.from_bytes(data[at + 4 : at + 8], 'big'):08x}")


def _teredo(data: bytes, at: int) -> Step | None:
    """RFC 4380: IPv6, perhaps behind an authentication and where the packet came from."""
    if data[at : at + 2] == b"\0\1":
        at += 4 + data[at + 2] + data[at + 3] + 9
    if data[at : at + 2] == b"\0\0":
        at += 8
    return Step(ip, at, "teredo") if data[at] >> 4 == 6 else None


_TZSP_ETHERNET, _TZSP_END, _TZSP_PADDING = 1, 1, 0


def _tzsp(data: bytes, at: int) -> Step | None:
    """TaZmen Sniffer Protocol: version 1, a packet, what it is; then tags up to the one that ends them."""
    if data[at] != 1 or data[at + 1] > 1:
        return None
    kind, place = u16(data, at + 2), at + 4
    while data[place] != _TZSP_END:
        place += 1 if data[place] == _TZSP_PADDING else 2 + data[place + 1]
    if kind != _TZSP_ETHERNET:
        return Step(unknown, place, f"TZSP with protocol {kind}")
    return Step(ethernet, place + 1, "tzsp")


_LISP_INSTANCE = 0x08


def _lisp(data: bytes, at: int) -> Step | None:
    """RFC 9300: eight bytes, of which three may be the instance."""
    instance = int.from_bytes(data[at + 4 : at + 7], "big") if data[at] & _LISP_INSTANCE else 0
    return _either_ip(data, at + 8, f"lisp {instance}")


def _wireguard(data: bytes, at: int) -> Step | None:
    return Step(unknown, at, "encrypted WireGuard") if data[at : at + 4] == b"\4\0\0\0" else None


PORTS: dict[int, Opener] = {
    1701: _l2tp,
    2152: _gtp_u,
    3544: _teredo,
    4341: _lisp,
    4754: _gre_in_udp,
    4789: _vxlan,
    4790: _vxlan_gpe,
    5555: _fou,
    6080: _gue,
    6081: _geneve,
    6635: mpls,
    6784: _vxlan,
    8472: _vxlan,
    37008: _tzsp,
    51820: _wireguard,
}
"""Tunnels by UDP port."""
