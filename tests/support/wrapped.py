# SPDX-License-Identifier: GPL-2.0-or-later
"""One message inside of each tunnel and behind each link type that the reader of captures knows, built with Scapy.

Headers that Scapy has no layer for are written byte by byte.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from scapy.contrib.erspan import ERSPAN_II
from scapy.contrib.geneve import GENEVE, GeneveOptions
from scapy.contrib.gtp import GTP_U_Header
from scapy.contrib.mpls import MPLS
from scapy.layers.dot11 import Dot11, Dot11QoS, RadioTap
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.ipsec import AH
from scapy.layers.l2 import GRE, LLC, SNAP, CookedLinux, CookedLinuxV2, Dot1AD, Dot1Q, Dot3, Ether
from scapy.layers.ppp import HDLC, PPP, PPPoE
from scapy.layers.vxlan import VXLAN
from scapy.packet import Packet, Raw

from scapy_chitchat import Chitchat, ChitchatSyn, NodeDigest

SYN = bytes(Chitchat() / ChitchatSyn(cluster_id="c", digest=[NodeDigest(node_id="a")]))
CARRIED = "192.168.1.10 > 192.168.1.11"
CARRIED_6 = "fd02::1 > fd02::2"


def inner4() -> Packet:
    return IP(src="10.244.1.5", dst="10.244.2.7", id=7) / UDP(sport=7280, dport=7280) / Raw(SYN)


def inner6() -> Packet:
    return IPv6(src="fd00::1", dst="fd00::2") / UDP(sport=7280, dport=7280) / Raw(SYN)


class Wrapped(NamedTuple):
    """A frame around the message, and the tunnels that are to be told of."""

    name: str
    linktype: int
    frame: bytes
    tunnel: tuple[str, ...] = ()
    source: str = "10.244.1.5:7280"


def mac() -> Packet:
    return Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")


def outer() -> Packet:
    return mac() / IP(src="192.168.1.10", dst="192.168.1.11")


def outer6() -> Packet:
    return mac() / IPv6(src="fd02::1", dst="fd02::2")


def over_udp(port: int, header: bytes, inside: Packet) -> Packet:
    return outer() / UDP(sport=54321, dport=port) / Raw(header + bytes(inside))


def over_ip(protocol: int, header: bytes, inside: Packet) -> Packet:
    packet: Packet = outer() / Raw(header + bytes(inside))
    packet[IP].proto = protocol
    return packet


def typed(ethertype: int, header: bytes, inside: Packet | bytes) -> Packet:
    frame = mac()
    frame.type = ethertype
    return frame / Raw(header + bytes(inside))


IP4, SIX = bytes(inner4()), "[fd00::1]:7280"
FRAME4 = mac() / inner4()
MACS = bytes(mac())[:12]
SNAP4 = bytes.fromhex("aaaa03000000 0800")


def tunnels() -> list[Wrapped]:
    """Every tunnel, over IPv4 but where it says otherwise."""
    rows = [
        ("vxlan", outer() / UDP(sport=1, dport=4789) / VXLAN(vni=42, flags=8) / FRAME4, "vxlan 42"),
        ("vxlan 8472", over_udp(8472, b"\x08\0\0\0\0\0\x2a\0", FRAME4), "vxlan 42"),
        ("vxlan 6784", over_udp(6784, b"\x08\0\0\0\0\0\x2a\0", FRAME4), "vxlan 42"),
        ("vxlan, any port", over_udp(5000, b"\x08\0\0\0\0\0\x2a\0", FRAME4), "vxlan 42"),
        ("vxlan, group policy", over_udp(4789, b"\x88\0\0\x07\0\0\x2a\0", FRAME4), "vxlan 42"),
        ("vxlan-gpe, IPv4", over_udp(4790, b"\x0c\0\0\x01\0\0\x2a\0", inner4()), "vxlan-gpe 42"),
        ("vxlan-gpe, Ethernet", over_udp(4790, b"\x0c\0\0\x03\0\0\x2a\0", FRAME4), "vxlan-gpe 42"),
        (
            "geneve with options",
            outer() / UDP(sport=1, dport=6081) / GENEVE(vni=42, options=[GeneveOptions(data=b"abcd")]) / FRAME4,
            "geneve 42",
        ),
        ("gre", outer() / GRE() / inner4(), "gre"),
        ("gre, key", outer() / GRE(key_present=1, key=9) / inner4(), "gre 9"),
        (
            "gre, checksum, key, sequence",
            outer() / GRE(chksum_present=1, key_present=1, key=9, seqnum_present=1, sequence_number=3) / inner4(),
            "gre 9",
        ),
        ("nvgre", over_ip(47, bytes.fromhex("20006558 00002a00"), FRAME4), "nvgre 42"),
        ("gre, Ethernet", over_ip(47, bytes.fromhex("00006558"), FRAME4), "gre"),
        ("pptp", over_ip(47, bytes.fromhex("3001880b 0030 0001 00000001 0021"), inner4()), "pptp"),
        ("erspan I", over_ip(47, bytes.fromhex("000088be"), FRAME4), "erspan"),
        (
            "erspan II",
            outer() / GRE(proto=0x88BE, seqnum_present=1, sequence_number=1) / ERSPAN_II(session_id=5) / FRAME4,
            "erspan 5",
        ),
        (
            "erspan III",
            over_ip(47, bytes.fromhex("100022eb 00000001 20000005 00000000 00000000"), FRAME4),
            "erspan 5",
        ),
        ("ipip", outer() / inner4(), "ipip"),
        ("6in4", outer() / inner6(), "6in4"),
        ("4in6", outer6() / inner4(), "4in6"),
        ("ip6ip6", outer6() / inner6(), "ip6ip6"),
        ("etherip", over_ip(97, b"\x30\0", FRAME4), "etherip"),
        ("fou", over_udp(5555, b"", inner4()), "fou"),
        ("fou, gre", over_udp(5555, bytes.fromhex("00000800"), inner4()), "fou"),
        ("gue", over_udp(6080, bytes.fromhex("00040000"), inner4()), "gue"),
        ("gue, no header", over_udp(6080, b"", inner4()), "gue"),
        ("mpls in UDP", over_udp(6635, bytes(MPLS(label=100, s=1, ttl=9)), inner4()), "mpls 100"),
        ("mpls in IP", over_ip(137, bytes(MPLS(label=100, s=1, ttl=9)), inner4()), "mpls 100"),
        ("l2tp", over_udp(1701, bytes.fromhex("0002 0001 0002 ff03 0021"), inner4()), "l2tp 1/2"),
        (
            "l2tp, length and sequence",
            over_udp(1701, bytes.fromhex("4802 0000 0001 0002 0000 0000 0021"), inner4()),
            "l2tp 1/2",
        ),
        ("l2tp 3", over_udp(1701, bytes.fromhex("0003 0000 00000007 00000000"), FRAME4), "l2tp 7"),
        ("l2tp 3 over IP, cookie", over_ip(115, bytes.fromhex("00000007 0102030405060708"), FRAME4), "l2tp 7"),
        ("gtp-u", outer() / UDP(sport=1, dport=2152) / GTP_U_Header(teid=7) / inner4(), "gtp-u 0x00000007"),
        (
            "gtp-u, extension",
            over_udp(2152, bytes.fromhex("34ff 0048 00000007 00000085 01001000"), inner4()),
            "gtp-u 0x00000007",
        ),
        ("teredo", over_udp(3544, b"", inner6()), "teredo"),
        ("teredo, origin", over_udp(3544, bytes.fromhex("0000 0102 03040506"), inner6()), "teredo"),
        ("tzsp", over_udp(37008, bytes.fromhex("01000001 0a0100 01"), FRAME4), "tzsp"),
        ("lisp", over_udp(4341, bytes.fromhex("08000000 00000700"), inner4()), "lisp 7"),
    ]
    return [
        Wrapped(
            name,
            1,
            bytes(frame),
            (f"{text} {CARRIED_6 if IPv6 in frame and name in ('4in6', 'ip6ip6') else CARRIED}",),
            SIX if name in ("6in4", "ip6ip6", "teredo", "teredo, origin") else "10.244.1.5:7280",
        )
        for name, frame, text in rows
    ] + _without_ends()


def _without_ends() -> list[Wrapped]:
    """Wrappings below IP, tunnels in tunnels, and headers that are no tunnel."""
    label = MPLS(label=100, s=1, ttl=9)
    return [
        Wrapped("mpls", 1, bytes(typed(0x8847, bytes(label), inner4())), ("mpls 100",)),
        Wrapped(
            "mpls, two labels",
            1,
            bytes(typed(0x8847, bytes(MPLS(label=7, s=0, ttl=9)) + bytes(label), inner4())),
            ("mpls 7/100",),
        ),
        Wrapped("mpls pseudowire", 1, bytes(typed(0x8847, bytes(label) + b"\0\0\0\0", FRAME4)), ("mpls 100",)),
        Wrapped("mpls pseudowire, no control word", 1, bytes(typed(0x8847, bytes(label), FRAME4)), ("mpls 100",)),
        Wrapped("pppoe", 1, bytes(mac() / PPPoE(sessionid=7) / PPP() / inner4()), ("pppoe 7",)),
        Wrapped("pbb", 1, bytes(typed(0x88E7, bytes.fromhex("00000007"), FRAME4)), ("pbb 7",)),
        Wrapped(
            "vxlan in ipip",
            1,
            bytes(
                outer()
                / IP(src="10.0.0.1", dst="10.0.0.2")
                / UDP(sport=1, dport=4789)
                / Raw(b"\x08\0\0\0\0\0\x2a\0" + bytes(FRAME4))
            ),
            (f"ipip {CARRIED}", "vxlan 42 10.0.0.1 > 10.0.0.2"),
        ),
        Wrapped(
            "AH",
            1,
            bytes(outer() / AH(nh=4, payloadlen=4, spi=1, seq=1, icv=b"x" * 12) / inner4()),
            (f"ipip {CARRIED}",),
        ),
        Wrapped(
            "AH, transport",
            1,
            bytes(
                mac()
                / IP(src="10.244.1.5", dst="10.244.2.7")
                / AH(nh=17, payloadlen=4, spi=1, seq=1, icv=b"x" * 12)
                / UDP(sport=7280, dport=7280)
                / Raw(SYN)
            ),
        ),
    ]


def links() -> list[Wrapped]:
    """Every link type, and what stands between Ethernet and IP."""
    nflog = bytes([2, 0, 0, 0]) + struct.pack("<HHBBxx", 8, 1, 0, 0) + struct.pack("<HH", 4 + len(IP4), 9) + IP4
    pktap = struct.pack("<III", 108, 1, 1) + bytes(96) + bytes(FRAME4)
    infiniband = bytes(40) + b"\x08\0\0\0" + IP4
    erf = bytes(8) + struct.pack(">BBHHH", 2, 4, 18 + len(FRAME4), 0, len(FRAME4)) + b"\0\0" + bytes(FRAME4)
    ring = b"\x10\x40" + MACS[:6] + bytes([MACS[6] | 0x80]) + MACS[7:] + b"\x02\0" + SNAP4 + IP4
    radio: Packet = RadioTap() / Dot11(type=2, subtype=8, FCfield=1) / Dot11QoS() / LLC() / SNAP(code=0x800) / inner4()
    rows: list[tuple[str, int, Packet | bytes]] = [
        ("Ethernet", 1, FRAME4),
        ("VLAN", 1, mac() / Dot1Q(vlan=5) / inner4()),
        ("QinQ", 1, mac() / Dot1AD(vlan=5) / Dot1Q(vlan=6) / inner4()),
        ("VLAN 0x9100", 1, typed(0x9100, bytes.fromhex("0005 0800"), IP4)),
        ("VLAN 0x9200", 1, typed(0x9200, bytes.fromhex("0005 0800"), IP4)),
        ("VN-tag", 1, typed(0x8926, bytes.fromhex("00000000 0800"), IP4)),
        ("HSR", 1, typed(0x892F, bytes.fromhex("1034 0001 0800"), IP4)),
        (
            "MACsec, not encrypted",
            1,
            typed(0x88E5, bytes.fromhex("2000 00000001 020000000001 0001 0800"), IP4 + bytes(16)),
        ),
        ("Cisco metadata", 1, typed(0x8909, bytes.fromhex("0101 0001 0007 0800"), IP4)),
        ("LLC/SNAP", 1, Dot3(src="02:00:00:00:00:01", dst="02:00:00:00:00:02") / LLC() / SNAP(code=0x800) / inner4()),
        ("BSD null", 0, b"\2\0\0\0" + IP4),
        ("BSD null, big-endian", 0, b"\0\0\0\2" + IP4),
        ("token ring, routed", 6, ring),
        ("PPP", 9, b"\xff\x03\0\x21" + IP4),
        ("PPP, protocol of one byte", 9, b"\x21" + IP4),
        ("FDDI", 10, b"\x50" + MACS + SNAP4 + IP4),
        ("LLC of ATM", 11, SNAP4 + IP4),
        ("PPP in HDLC", 50, HDLC() / PPP() / inner4()),
        ("PPPoE", 51, bytes.fromhex("1100 0007") + struct.pack(">H", 2 + len(IP4)) + b"\0\x21" + IP4),
        ("raw IP", 101, IP4),
        ("Cisco HDLC", 104, bytes.fromhex("0f00 0800") + IP4),
        ("IEEE 802.11", 105, radio[Dot11]),
        ("frame relay", 107, bytes.fromhex("1841 03 cc") + IP4),
        ("OpenBSD loopback", 108, b"\0\0\0\2" + IP4),
        ("OpenBSD IPsec", 109, b"\2\0\0\0" + bytes(8) + IP4),
        ("Linux cooked", 113, CookedLinux(proto=0x0800) / inner4()),
        ("PF log", 117, bytes([61, 2]) + bytes(62) + IP4),
        ("SunATM", 123, bytes(4) + SNAP4 + IP4),
        ("radiotap", 127, radio),
        ("IP over FireWire", 138, bytes(16) + b"\x08\0" + IP4),
        ("PKTAP, old number", 149, pktap),
        ("PPI", 192, struct.pack("<BBHI", 0, 0, 8, 1) + bytes(FRAME4)),
        ("ERF", 197, erf),
        ("PPP with direction", 204, b"\0\xff\x03\0\x21" + IP4),
        ("Cisco HDLC with direction", 205, b"\0" + bytes.fromhex("0f00 0800") + IP4),
        ("MPLS", 219, bytes(MPLS(label=100, s=1, ttl=9)) + IP4),
        ("IPNET", 226, b"\1\2" + bytes(22) + IP4),
        ("raw IPv4", 228, IP4),
        ("NFLOG", 239, nflog),
        ("netANALYZER", 240, bytes(4) + bytes(FRAME4)),
        ("IPoIB", 242, infiniband),
        ("PKTAP", 258, pktap),
        ("Linux cooked 2", 276, CookedLinuxV2(proto=0x0800) / inner4()),
    ]
    return [Wrapped(name, linktype, bytes(frame), _OF_LINKS.get(name, ())) for name, linktype, frame in rows]


_OF_LINKS = {"MPLS": ("mpls 100",), "PPPoE": ("pppoe 7",)}
