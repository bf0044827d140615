# SPDX-License-Identifier: GPL-2.0-or-later
"""``sniff(session=ChitchatSession)``: chitchat messages out of packets, live or from a capture.

Scapy's own IPSession knows no IPv6, and loses a datagram whose last fragment comes first. So the IP bytes of each
packet go to the reader of captures (capture/datagrams.py), and what it puts together becomes a packet again.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.packet import Packet
from scapy.sessions import DefaultSession

from scapy_chitchat.capture import Counters, Datagram, DatagramReader, Frame, MessageFilter
from scapy_chitchat.wire.layers import Chitchat

RAW_IP = 101
"""The link type of frames that are IP packets."""
MORE_FRAGMENTS = 1
"""The flag of an IP fragment behind which others follow."""
UDP_HEADER = 17
"""IP's number for UDP."""


class ChitchatSession(DefaultSession):
    """Gives one packet a message, and nothing else: fragments put together, IPv4 and IPv6, on any port.

    ``ports``: only what goes from or to one of these UDP ports, and all of it; otherwise messages are known by their
    header. ``counters`` says what was met: fragments, incomplete datagrams, datagrams that are no messages.

        sniff(iface="eth0", session=ChitchatSession, prn=lambda p: p.summary())
        sniff(offline="capture.pcap", session=ChitchatSession(ports=[7281]))
    """

    def __init__(self, *args: Any, ports: Collection[int] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.counters = Counters()
        self._reader = DatagramReader(self.counters)
        self._wanted = MessageFilter(ports)

    def process(self, pkt: Packet) -> Packet | None:
        """The message that ``pkt`` is or completes. One that comes without IP, as from a socket, is left as it is."""
        if isinstance(pkt, Chitchat):
            return pkt
        ip = pkt.getlayer(IP) or pkt.getlayer(IPv6)
        if ip is None:
            return None
        data = ip.original or bytes(ip)
        time = round(float(pkt.time) * 10**6)
        datagram = self._reader.read(Frame(self.counters.frames + 1, time, 6, RAW_IP, data, len(data)))
        if datagram is None:
            return None
        if not self._wanted.takes(datagram):
            self.counters.other += 1
            return None
        return _whole(pkt, ip, datagram)


def _whole(pkt: Packet, ip: Packet, datagram: Datagram) -> Packet:
    """The packet of a message: as it came, or, of the fragment that completed it, the headers."""
    udp = ip.getlayer(UDP)
    if udp is not None and udp.payload.original == datagram.data:
        if not isinstance(udp.payload, Chitchat):
            udp.remove_payload()
            udp.add_payload(Chitchat(datagram.data))
        return pkt
    whole: Any = pkt.copy()
    whole.wirelen = None
    header = whole.getlayer(type(ip))
    header.remove_payload()
    _forget_fragments(header)
    header.add_payload(UDP(sport=datagram.source_port, dport=datagram.destination_port) / Chitchat(datagram.data))
    return whole  # type: ignore[no-any-return]


def _forget_fragments(header: Packet) -> None:
    """Make the IP header one of a packet that was never cut; what counts its bytes is worked out again."""
    if isinstance(header, IP):
        header.flags = int(header.flags) & ~MORE_FRAGMENTS
        header.frag = 0
        del header.len, header.chksum
    else:
        header.nh = UDP_HEADER
        del header.plen
