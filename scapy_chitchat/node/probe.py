# SPDX-License-Identifier: GPL-2.0-or-later
"""A probe: asks one node for all that it knows.

A node answers a Syn with an empty digest with all that it knows, and takes nobody into its cluster for it: who probes
has no identity.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass

from scapy_chitchat.net.addresses import join_address
from scapy_chitchat.net.targets import NoSuchHostError, addresses_of
from scapy_chitchat.net.udp import Address, connected_to
from scapy_chitchat.node.asking import next_datagram, question
from scapy_chitchat.node.members import Membership
from scapy_chitchat.records.classes import BadCluster, SynAck
from scapy_chitchat.records.codec import DecodeError, decode
from scapy_chitchat.records.identity import id_of
from scapy_chitchat.records.sections import sections
from scapy_chitchat.wire.protocol import UDP_PORTS, ProtocolVersion


class ProbeError(Exception):
    """There is no answer, or not the one that was wanted. The message is one line and says what to check."""


class NoAnswerError(ProbeError):
    """Nobody answered in time."""


class BadClusterError(ProbeError):
    """A node answered that it belongs to another cluster."""


class NotChitchatError(ProbeError):
    """Something answered, but with what no node says."""


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
    cluster: Membership
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
    for address in _addresses(target, allow_remote):
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
                    asked.send(question(self.cluster_id, version))
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
        while (data := next_datagram(asked, deadline)) is not None:
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

    def _answer(self, message: SynAck, size: int, arrived: float) -> Answer:
        cluster = Membership.from_syn_ack(self.cluster_id, message)
        told = {id_of(section.node) for section in sections(message.delta)}
        untold = tuple(each.node_id for each in cluster.members if each.max_version and each.chitchat_id not in told)
        seconds = arrived - self.sent.get(message.version, arrived)
        return Answer(self.name, message.version, seconds, size, cluster, untold)


def _addresses(target: str, allow_remote: bool) -> list[Address]:
    try:
        return addresses_of(target, UDP_PORTS[0], allow_remote=allow_remote)
    except NoSuchHostError as error:
        raise ProbeError(str(error)) from None
