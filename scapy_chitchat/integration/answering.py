# SPDX-License-Identifier: GPL-2.0-or-later
"""An answering machine: a made-up cluster's node, which real nodes can have as a seed.

It is the other side of a probe: who takes it for a seed learns of its members. What comes is read as records and not as
layers, which are for people to look at: a hostile message of 65 KB becomes a tree of layers in 20 seconds.
"""

from __future__ import annotations

import logging
import random
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import msgspec
from scapy.ansmachine import AnsweringMachine
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.packet import Packet, Raw
from scapy.sendrecv import send
from scapy.supersocket import SuperSocket

from scapy_chitchat.integration.session import BytesSession
from scapy_chitchat.net.addresses import join_address, split_address
from scapy_chitchat.net.packets import Endpoints, ip_packets
from scapy_chitchat.net.targets import is_here
from scapy_chitchat.net.udp import LARGEST_DATAGRAM
from scapy_chitchat.node.members import Membership
from scapy_chitchat.records.base import JsonObject
from scapy_chitchat.records.classes import Syn
from scapy_chitchat.records.codec import DecodeError, decode, encode
from scapy_chitchat.wire.headers import type_of
from scapy_chitchat.wire.layers import Chitchat
from scapy_chitchat.wire.protocol import MAX_U64, UDP_PORTS, MessageType


class GossipSocket(SuperSocket):
    """An ordinary UDP socket that gives and takes whole packets, so that an answering machine needs no root.

    ``listen``: ``HOST:PORT`` on this machine; port 0 takes a free one.
    """

    def __init__(self, listen: str) -> None:
        host, port = split_address(listen)
        self.ins = self.outs = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self.ins.bind((host, UDP_PORTS[0] if port is None else port))
        except OSError:
            self.close()
            raise

    def recv(self, x: int = LARGEST_DATAGRAM, **kwargs: object) -> Packet | None:
        """The next datagram, as bytes below IP and UDP."""
        data, sender = self.ins.recvfrom(x)
        own = self.ins.getsockname()
        pkt: Packet = _ip_of(sender[0])(src=sender[0], dst=own[0])
        pkt = pkt / UDP(sport=sender[1], dport=own[1]) / Raw(data)
        pkt.time = time.time()
        return pkt

    def send(self, x: Packet) -> int:
        """Send a packet's message to where the packet goes."""
        ip = _ip(x)
        return cast(socket.socket, self.outs).sendto(bytes(x[UDP].payload), (ip.dst, x[UDP].dport))


def _ip_of(host: str) -> type[Packet]:
    return IPv6 if ":" in host else IP


LARGEST_SYN = 1024 * 1024
"""Bytes of a digest, decompressed, that is answered: more than 10,000 members."""


class ChitchatNode_am(AnsweringMachine[Packet]):  # noqa: N801 (as Scapy names them)
    """Answers Syns as a node of a made-up cluster does, so that a real node which has it as a seed lists its members.

    ``cluster``: a Membership, a dict, or JSON as text or in a file (a Path): see members.py. Each answer raises the
    members' heartbeats. Without root, give it a socket at the address of a member; with root it also answers for
    addresses that nobody listens at:

        with GossipSocket("127.0.0.1:7280") as listening:
            ChitchatNode_am(cluster=cluster, opened_socket=listening)()
        ChitchatNode_am(cluster=cluster, iface="eth0", allow_remote=True)()

    Whoever is not on this machine gets no answer, unless ``allow_remote``.
    """

    function_name = "chitchat_node"
    sniff_options: dict[str, object] = {"store": 0, "session": BytesSession}

    def parse_options(self, cluster: Membership | JsonObject | str | Path = "{}", allow_remote: bool = False) -> None:
        """What this machine pretends, and to whom."""
        self.cluster = as_membership(cluster)
        self.allow_remote = allow_remote
        self._last: Packet | None = None

    def is_request(self, req: Packet) -> bool:
        """Whether this is a Syn to one of the members."""
        if UDP not in req or not (IP in req or IPv6 in req):
            return False
        ip = _ip(req)
        if type_of(_message(req)) is not MessageType.Syn:
            return False
        if not (self.allow_remote or is_here(ip.src)):
            return False
        if self._socket():
            return True  # it listens where it listens
        if req == self._last:  # the loopback interface shows each packet twice: as it goes out, and as it comes in
            self._last = None
            return False
        self._last = req
        return join_address(ip.dst, req[UDP].dport) in {each.gossip_advertise_addr for each in self.cluster.members}

    def make_reply(self, req: Packet) -> Any:  # a packet or None; Scapy's own type has no place for that
        """The answer, from where the Syn went; None for a Syn that a node would not take."""
        ip = _ip(req)
        try:
            syn = decode(_message(req), limit=LARGEST_SYN)
        except DecodeError:
            return None
        if not isinstance(syn, Syn):
            return None
        for member in self.cluster.members:
            member.heartbeat = min(member.heartbeat + 1, MAX_U64)
        below = type(ip)(src=ip.dst, dst=ip.src) / UDP(sport=req[UDP].dport, dport=req[UDP].sport)
        return below / Chitchat(encode(self.cluster.answer(syn)))

    def send_reply(self, reply: Packet, send_function: Callable[..., object] | None = None) -> None:
        """Send it by the socket that there is, or, with root, in as many fragments as it takes.

        What cannot be sent, such as an answer to a sender without a port, is said and forgotten: others wait.
        """
        listening = self._socket()
        try:
            if listening:
                listening.send(reply)
            else:
                (send_function or send)(_fragments(reply), verbose=0)
        except OSError as error:
            where = join_address(_ip(reply).dst, reply[UDP].dport)
            logging.getLogger("scapy.runtime").warning("no answer to %s: %s", where, error.strerror or error)

    def print_reply(self, req: Packet, reply: Packet) -> None:
        """Who asked what, and who was answered what."""
        asked: Packet = type(_ip(req))(src=_ip(req).src, dst=_ip(req).dst)
        super().print_reply(asked / UDP(sport=req[UDP].sport, dport=req[UDP].dport) / Chitchat(_message(req)), reply)

    def _socket(self) -> SuperSocket | None:
        found: SuperSocket | None = self.optsniff.get("opened_socket") or self.defoptsniff.get("opened_socket")
        return found


def as_membership(described: Membership | JsonObject | str | bytes | Path) -> Membership:
    """The cluster that is described by a Membership, a dict, JSON, or the path of a file of JSON.

    Raises ValueError where it is none.
    """
    if isinstance(described, Membership):
        return described
    if isinstance(described, dict):
        return msgspec.convert(described, Membership)
    return Membership.from_json(described.read_bytes() if isinstance(described, Path) else described)


MTU = 1500
"""Bytes of an IP packet above which a reply goes out as fragments."""


def _fragments(reply: Packet) -> list[Packet]:
    ip, udp = _ip(reply), reply[UDP]
    ends = Endpoints(ip.src, udp.sport, ip.dst, udp.dport)
    ident = random.randrange(1, 1 << 16)
    return [type(ip)(packet) for packet in ip_packets(ends, bytes(udp.payload), ident, MTU)]


def _message(pkt: Packet) -> bytes:
    return bytes(pkt[UDP].payload)


def _ip(pkt: Packet) -> Packet:
    """The packet from its IP header on. Raises IndexError, as Scapy does, where it has none."""
    found: Packet = pkt[IP] if IP in pkt else pkt[IPv6]
    return found
