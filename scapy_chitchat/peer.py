# SPDX-License-Identifier: GPL-2.0-or-later
"""Talking to real nodes: a probe, which asks, and an answering machine, which is asked.

A node answers a Syn with an empty digest with all that it knows, and takes nobody into its cluster for it: who probes
has no identity. The answering machine is the other side: a node that takes it for a seed learns of made-up members.
"""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from typing import Any, cast

import msgspec
from scapy.ansmachine import AnsweringMachine
from scapy.config import conf
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.packet import Packet
from scapy.sendrecv import send
from scapy.supersocket import SuperSocket

from scapy_chitchat.fields import join_address, split_address
from scapy_chitchat.layers import Chitchat, ChitchatSyn
from scapy_chitchat.members import BadCluster, Cluster, SynAck
from scapy_chitchat.protocol import MAX_U64, UDP_PORTS, ProtocolVersion
from scapy_chitchat.records import DecodeError, Message, decode, encode
from scapy_chitchat.session import ChitchatSession
from scapy_chitchat.udp import Address, connected_to
from scapy_chitchat.writing import Endpoints, ip_packets

LARGEST = 65535
"""Bytes that are received at the most."""


# --- targets ---


class TargetError(ValueError):
    """The target is no HOST:PORT, or it is not on this machine."""


class ProbeError(Exception):
    """There is no answer, or not the one that was wanted. The message is one line and says what to check."""


class NoAnswerError(ProbeError):
    """Nobody answered in time."""


class BadClusterError(ProbeError):
    """A node answered that it belongs to another cluster."""


class NotChitchatError(ProbeError):
    """Something answered, but with what no node says."""


def split_target(target: str) -> tuple[str, int]:
    """Host and port of ``HOST:PORT`` or ``[IPV6]:PORT``; the port is 7280 unless given. Raises TargetError."""
    try:
        host, port = split_address(target)
    except ValueError as error:
        raise TargetError(str(error)) from None
    if not host or port == 0:
        raise TargetError(f"{target!r} is not HOST:PORT")
    return host, port or UDP_PORTS[0]


def addresses_of(target: str, *, allow_remote: bool = False) -> list[Address]:
    """Each address of a target.

    Raises TargetError where one of them is not on this machine, unless that is allowed, and ProbeError where the name
    has no address.
    """
    host, port = split_target(target)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
    except (OSError, UnicodeError) as error:
        raise ProbeError(f"{host}: {getattr(error, 'strerror', None) or 'no such name'}") from None
    addresses: list[Address] = [address for _, _, _, _, address in found]
    away = [str(address[0]) for address in addresses if not is_here(str(address[0]))]
    if away and not allow_remote:
        raise TargetError(f"{target}: {away[0]} is not on this machine; to send there, add --allow-remote")
    return addresses


def is_here(host: str) -> bool:
    """Whether an IP address is one of this machine's."""
    ip = ip_address(host.partition("%")[0])
    if isinstance(ip, IPv6Address) and ip.ipv4_mapped:
        ip = ip.ipv4_mapped
    return ip.is_loopback or ip.is_unspecified or str(ip) in _own_addresses()


def _own_addresses() -> Iterator[str]:
    for interface in conf.ifaces.values():
        for family in (4, 6):
            yield from (str(ip_address(ip.partition("%")[0])) for ip in interface.ips[family])


# --- probe ---


@dataclass(frozen=True)
class Answer:
    """What a node told."""

    address: str
    """Who answered."""
    version: int
    """The protocol version of the Syn that it answered, and of its answer."""
    seconds: float
    """From that Syn to the answer."""
    size: int
    """Bytes of the answer."""
    cluster: Cluster
    untold: tuple[str, ...]
    """The node_id of each member that has changes of which the answer has none: it was full."""


def probe(
    target: str,
    cluster_id: str,
    *,
    version: int | None = None,
    timeout: float = 0.5,
    tries: int = 4,
    allow_remote: bool = False,
) -> Answer:
    """Ask a node for all that it knows. Joins nothing and changes nothing, but for the node's own heartbeat.

    A Syn with an empty digest is sent up to ``tries`` times, each waited for ``timeout`` seconds. ``version``: 0 or 1;
    None sends one of version 1 first, which a node before 0.12 does not answer, then one of version 0, and so on.
    Raises TargetError for a bad target or one that is not on this machine, unless ``allow_remote``, and ProbeError
    where no answer comes, or another than is wanted.
    """
    versions = (ProtocolVersion.V1, ProtocolVersion.V0) if version is None else (ProtocolVersion(version),)
    trouble: ProbeError | None = None
    for address in addresses_of(target, allow_remote=allow_remote):
        try:
            asking = _Probe(address, cluster_id, timeout)
            return asking.ask([versions[n % len(versions)] for n in range(tries)])
        except NoAnswerError as error:  # of the addresses of a name, perhaps another is listened at
            trouble = trouble or error
    raise trouble or NoAnswerError(f"{target}: no address")


class _Probe:
    """One target's address, and what has come from there."""

    def __init__(self, address: Address, cluster_id: str, timeout: float) -> None:
        self.address = address
        self.name = join_address(address[0], address[1])
        self.cluster_id = cluster_id
        self.timeout = timeout
        self.sent: dict[int, float] = {}  # by version: when the last Syn of it went out
        self.garbage: str | None = None

    def ask(self, versions: Sequence[int]) -> Answer:
        try:
            with connected_to(self.address) as asked:
                for version in versions:
                    self.sent[version] = time.monotonic()
                    asked.send(bytes(Chitchat(version=version) / ChitchatSyn(cluster_id=self.cluster_id)))
                    answer = self._wait(asked, time.monotonic() + self.timeout)
                    if answer:
                        return answer
        except ConnectionRefusedError:
            raise NoAnswerError(
                f"nobody listens at {self.name} on UDP: is the node up, and is this its gossip port?"
            ) from None
        except OSError as error:
            raise NoAnswerError(f"{self.name}: {error.strerror}") from None
        if self.garbage:
            raise NotChitchatError(f"{self.name} answers, but not as a chitchat node does: {self.garbage}")
        kind = " or ".join(f"V{version}" for version in sorted(set(versions)))
        raise NoAnswerError(
            f"no answer from {self.name} to {len(versions)} Syn of {kind}: check address, port and firewalls; nodes "
            "before 0.8 speak another protocol, those before 0.12 only V0, and a node that has panicked is silent"
        )

    def _wait(self, asked: socket.socket, deadline: float) -> Answer | None:
        while (left := deadline - time.monotonic()) > 0:
            asked.settimeout(left)
            try:
                data = asked.recv(LARGEST)
            except TimeoutError:
                return None
            arrived = time.monotonic()
            try:
                message = decode(data)
            except DecodeError as error:
                self.garbage = str(error)
                continue
            if isinstance(message, BadCluster):
                raise BadClusterError(
                    f"{self.name} is a node of another cluster than {self.cluster_id!r} (it answers BadCluster, which "
                    "does not name its own): give the cluster_id of its configuration"
                )
            if isinstance(message, SynAck):
                return self._answer(message, len(data), arrived)
            self.garbage = f"it sent {message.type}"
        return None

    def _answer(self, message: Message, size: int, arrived: float) -> Answer:
        cluster = Cluster.from_syn_ack(self.cluster_id, message)
        told = {(op.node_id, op.generation_id) for op in message.delta if hasattr(op, "from_version_excluded")}
        untold = tuple(
            each.node_id
            for each in cluster.members
            if each.max_version and (each.node_id, each.generation_id) not in told
        )
        seconds = arrived - self.sent.get(message.version, arrived)
        return Answer(self.name, message.version, seconds, size, cluster, untold)


# --- answering machine ---


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

    def recv(self, x: int = LARGEST, **kwargs: Any) -> Packet | None:
        """The next datagram, as a message below IP and UDP."""
        data, sender = self.ins.recvfrom(x)
        own = self.ins.getsockname()
        pkt: Packet = _ip_of(sender[0])(src=sender[0], dst=own[0])
        pkt = pkt / UDP(sport=sender[1], dport=own[1]) / Chitchat(data)
        pkt.time = time.time()
        return pkt

    def send(self, x: Packet) -> int:
        """Send a packet's message to where the packet goes."""
        ip = _ip(x)
        return cast(socket.socket, self.outs).sendto(bytes(x[UDP].payload), (ip.dst, x[UDP].dport))


def _ip_of(host: str) -> type[Packet]:
    return IPv6 if ":" in host else IP


class ChitchatNode_am(AnsweringMachine[Packet]):  # noqa: N801 (as Scapy names them)
    """Answers Syns as a node of a made-up cluster does, so that a real node which has it as a seed lists its members.

    ``cluster``: a Cluster, a dict, or JSON as text or in a file (a Path): see members.py. Each answer raises the
    members' heartbeats. Without root, give it a socket at the address of a member; with root it also answers for
    addresses that nobody listens at:

        with GossipSocket("127.0.0.1:7280") as listening:
            ChitchatNode_am(cluster=cluster, opened_socket=listening)()
        ChitchatNode_am(cluster=cluster, iface="eth0", allow_remote=True)()

    Whoever is not on this machine gets no answer, unless ``allow_remote``.
    """

    function_name = "chitchat_node"
    sniff_options: dict[str, Any] = {"store": 0, "session": ChitchatSession}

    def parse_options(self, cluster: Cluster | dict[str, Any] | str | Path = "{}", allow_remote: bool = False) -> None:
        """What this machine pretends, and to whom."""
        self.cluster = as_cluster(cluster)
        self.allow_remote = allow_remote
        self._last: Packet | None = None

    def is_request(self, req: Packet) -> bool:
        """Whether this is a Syn to one of the members."""
        ip = _ip(req)
        if ip is None or ChitchatSyn not in req or not (self.allow_remote or is_here(ip.src)):
            return False
        if self._socket():
            return True  # it listens where it listens
        if req == self._last:  # the loopback interface shows each packet twice: as it goes out, and as it comes in
            self._last = None
            return False
        self._last = req
        return join_address(ip.dst, req[UDP].dport) in {each.gossip_advertise_addr for each in self.cluster.members}

    def make_reply(self, req: Packet) -> Any:
        """The answer, from where the Syn went; None for a Syn that a node would not take."""
        ip = _ip(req)
        try:
            syn = decode(bytes(req[Chitchat]))
        except DecodeError:
            return None
        for member in self.cluster.members:
            member.heartbeat = min(member.heartbeat + 1, MAX_U64)
        below = type(ip)(src=ip.dst, dst=ip.src) / UDP(sport=req[UDP].dport, dport=req[UDP].sport)
        return below / Chitchat(encode(self.cluster.answer(syn)))

    def send_reply(self, reply: Packet, send_function: Any = None) -> None:
        """Send it by the socket that there is, or, with root, in as many fragments as it takes."""
        listening = self._socket()
        if listening:
            listening.send(reply)
        else:
            (send_function or send)(_fragments(reply), verbose=0)

    def _socket(self) -> SuperSocket | None:
        found: SuperSocket | None = self.optsniff.get("opened_socket") or self.defoptsniff.get("opened_socket")
        return found


def as_cluster(described: Cluster | dict[str, Any] | str | bytes | Path) -> Cluster:
    """The cluster that is described by a Cluster, a dict, JSON, or the path of a file of JSON.

    Raises ValueError where it is none.
    """
    if isinstance(described, Cluster):
        return described
    if isinstance(described, dict):
        return msgspec.convert(described, Cluster)
    return Cluster.from_json(described.read_bytes() if isinstance(described, Path) else described)


MTU = 1500
"""Bytes of an IP packet above which a reply goes out as fragments."""


def _fragments(reply: Packet) -> list[Packet]:
    ip, udp = _ip(reply), reply[UDP]
    ends = Endpoints(ip.src, udp.sport, ip.dst, udp.dport)
    ident = random.randrange(1, 1 << 16)
    return [type(ip)(packet) for packet in ip_packets(ends, bytes(udp.payload), ident, MTU)]


def _ip(pkt: Packet) -> Any:
    return pkt.getlayer(IP) or pkt.getlayer(IPv6)


__all__ = [
    "Answer",
    "BadClusterError",
    "ChitchatNode_am",
    "GossipSocket",
    "NoAnswerError",
    "NotChitchatError",
    "ProbeError",
    "TargetError",
    "addresses_of",
    "as_cluster",
    "is_here",
    "probe",
]
