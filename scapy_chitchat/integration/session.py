# SPDX-License-Identifier: GPL-2.0-or-later
"""``sniff(session=ChitchatSession)``: chitchat messages out of packets, live or from a capture.

Scapy's own IPSession knows no IPv6, and loses a datagram whose last fragment comes first; and Scapy opens few tunnels.
So the bytes of each packet go to the reader of captures (capture/datagrams.py), and what it puts together becomes a
packet again.

Scapy dissects frames of a link type that it has no layer for as bytes without a name, and the link type is lost. For
those that the reader of captures knows, a layer that only has a name is registered when this module is imported.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from typing import Any, ClassVar

import scapy.layers.all  # noqa: F401  (it registers Scapy's own link types)
from scapy.config import conf
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.packet import Packet, Raw
from scapy.sessions import DefaultSession
from scapy.supersocket import SuperSocket

from scapy_chitchat.capture import Counters, Datagram, DatagramReader, Frame, MessageFilter, Unwrap
from scapy_chitchat.capture.links import LINKS
from scapy_chitchat.net.numbers import PROTOCOL_UDP, RAW_IP
from scapy_chitchat.wire import binding  # noqa: F401  (it binds the layers)
from scapy_chitchat.wire.layers import Chitchat

MORE_FRAGMENTS = 1
"""The flag of an IP fragment behind which others follow."""
_CHECK_SEQUENCES = (0x24000000, 0x44000000)
"""Upper bits of a capture's link type that say that two or four bytes follow each frame; Scapy leaves them in it."""


class LinkFrame(Packet):
    """A frame of a link type that Scapy has no layer for: bytes, and the number of the link type."""

    linktype: ClassVar[int] = -1
    fields_desc = []


def _register_links() -> None:
    """Give Scapy a name for each link type that it does not know and the reader of captures does."""
    known = conf.l2types.num2layer
    for linktype in LINKS:
        if linktype not in known:
            layer = type(f"LinkFrame{linktype}", (LinkFrame,), {"linktype": linktype, "__module__": __name__})
            conf.l2types.register_num2layer(linktype, layer)
        for bits in _CHECK_SEQUENCES:
            if bits | linktype not in known:
                conf.l2types.register_num2layer(bits | linktype, known[linktype])
    conf.layers.ldict.pop(__name__, None)  # explore() trips over layers outside of Scapy's own package


_register_links()


class ChitchatSession(DefaultSession):
    """Gives one packet a message, and nothing else: fragments put together, tunnels opened, on any port.

    The packet of a message that came in a tunnel is the inner one, from its IP header on; its ``comments`` name the
    tunnels, outermost first.

    ``ports``: only what goes from or to one of these UDP ports, and all of it; otherwise messages are known by their
    header. ``unwrap`` and ``skip_bytes`` as for ``read_messages``. ``counters`` says what was met: fragments,
    incomplete datagrams, datagrams that are no messages.

        sniff(iface="eth0", session=ChitchatSession, prn=lambda p: p.summary())
        sniff(offline="capture.pcap", session=ChitchatSession(ports=[7281]))
    """

    payload: ClassVar[type[Packet]] = Chitchat
    """What the bytes of a message become."""

    def __init__(
        self,
        *args: Any,
        ports: Collection[int] | None = None,
        unwrap: Unwrap | None = None,
        skip_bytes: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.counters = Counters()
        self._reader = DatagramReader(self.counters)
        self._wanted = MessageFilter(ports, unwrap=unwrap, skip_bytes=skip_bytes)

    def process(self, pkt: Packet) -> Packet | None:
        """The message that ``pkt`` is or completes. One that comes without IP, as from a socket, is left as it is."""
        if isinstance(pkt, Chitchat):
            return pkt
        datagram = self._picked(_link_type(pkt), pkt.original or bytes(pkt), float(pkt.time))
        return _packet(pkt, datagram, self.payload) if datagram else None

    def _picked(self, linktype: int, data: bytes, seconds: float) -> Datagram | None:
        """The datagram with a message that a frame is or completes."""
        frame = Frame(self.counters.frames + 1, round(seconds * 10**6), 6, linktype, data, len(data))
        datagram = self._reader.read(frame)
        return self._wanted.pick(datagram, self.counters) if datagram else None


class BytesSession(ChitchatSession):
    """The messages, whatever they hold, as bytes below IP and UDP; Scapy dissects nothing of a frame."""

    payload = Raw

    def recv(self, sock: SuperSocket) -> Iterator[Packet]:
        """The message that the next frame is or completes: before ``process`` gets a packet it has been dissected."""
        if type(sock).recv is not SuperSocket.recv:  # it makes packets of its own
            yield from super().recv(sock)
            return
        layer, data, seconds = sock.recv_raw()
        if layer is None or not data:
            return
        seconds = time.time() if seconds is None else float(seconds)
        linktype = RAW_IP if layer in (IP, IPv6) else conf.l2types.layer2num.get(layer, -1)
        datagram = self._picked(linktype, data, seconds)
        if datagram is not None:
            made = _made(datagram, Raw)
            made.time = seconds
            yield made


def _link_type(pkt: Packet) -> int:
    """The number of what a packet begins with; -1, which no reader knows, for bytes without a name."""
    if isinstance(pkt, (IP, IPv6)):
        return RAW_IP
    if isinstance(pkt, LinkFrame):
        return pkt.linktype
    return conf.l2types.layer2num.get(type(pkt), -1)


def _packet(pkt: Packet, datagram: Datagram, payload: type[Packet]) -> Packet:
    """The packet of a message: as Scapy dissected it, where it did, else made of what was read."""
    ip = pkt.getlayer(IP) or pkt.getlayer(IPv6)
    if ip is not None and not datagram.tunnel and (ip.src, ip.dst) == (datagram.source, datagram.destination):
        return _whole(pkt, ip, datagram, payload)
    made = _made(datagram, payload)
    made.time, made.sniffed_on = pkt.time, pkt.sniffed_on
    made.comments = made.comments or pkt.comments
    return made


def _made(datagram: Datagram, payload: type[Packet]) -> Packet:
    """The packet of a message, made of what was read."""
    header: type[Packet] = IPv6 if ":" in datagram.source else IP
    made: Packet = header(src=datagram.source, dst=datagram.destination)
    made.add_payload(UDP(sport=datagram.source_port, dport=datagram.destination_port) / payload(datagram.data))
    made.comments = [text.encode() for text in datagram.tunnel] or None
    return made


def _whole(pkt: Packet, ip: Packet, datagram: Datagram, payload: type[Packet]) -> Packet:
    """The packet of a message: as it came, or, of the fragment that completed it, the headers."""
    udp = ip.getlayer(UDP)
    if udp is not None and udp.payload.original == datagram.data:
        if not isinstance(udp.payload, (Chitchat, payload)):
            udp.remove_payload()
            udp.add_payload(payload(datagram.data))
        return pkt
    whole: Any = pkt.copy()
    whole.wirelen = None
    header = whole.getlayer(type(ip))
    header.remove_payload()
    _forget_fragments(header)
    header.add_payload(UDP(sport=datagram.source_port, dport=datagram.destination_port) / payload(datagram.data))
    return whole  # type: ignore[no-any-return]


def _forget_fragments(header: Packet) -> None:
    """Make the IP header one of a packet that was never cut; what counts its bytes is worked out again."""
    if isinstance(header, IP):
        header.flags = int(header.flags) & ~MORE_FRAGMENTS
        header.frag = 0
        del header.len, header.chksum
    else:
        header.nh = PROTOCOL_UDP
        del header.plen
