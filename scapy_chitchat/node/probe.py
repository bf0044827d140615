# SPDX-License-Identifier: GPL-2.0-or-later
"""A probe: asks one node for all that it knows.

A node answers a Syn with an empty digest with what it knows, as much as a datagram holds, and takes nobody into its
cluster for it: who probes has no identity. It is asked on, with what it has told claimed as known, until nothing is
missing (see told.py for why that changes nothing at the node).

A node that answers no Syn is not silent for certain. One of 0.13 that is set to V1 reckons with the room of V1 and so
leaves a V0 Syn unanswered when it knows much; the other version helps. One of 0.9 reckons with the digest that it is
asked with, and answers no empty one then; but to a SynAck it answers with an Ack, which has no digest.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from typing import TypeAlias, cast

from scapy_chitchat.net.addresses import join_address
from scapy_chitchat.net.targets import NoSuchHostError, addresses_of
from scapy_chitchat.net.udp import Address, Line
from scapy_chitchat.node.asking import ask, syn, telling_nothing
from scapy_chitchat.node.members import Member, Membership
from scapy_chitchat.node.told import Telling, ToldMember
from scapy_chitchat.records.classes import Ack, BadCluster, NodeDigest, SynAck
from scapy_chitchat.records.codec import DecodeError, decode
from scapy_chitchat.wire.protocol import MAX_DATAGRAM, UDP_PORTS, ProtocolVersion

MOST_ANSWERS = 4096
"""After so many answers a node is told from one that makes up ever more."""

MOST_FRUITLESS = 3
"""After so many answers, one after the other, without anything new there will be nothing new."""


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
    """The protocol version of its first answer, and of what it was asked with."""
    seconds: float
    """From the last question before its first answer to that answer."""
    answers: int
    """How many answers it took."""
    size: int
    """Bytes of all answers."""
    watched: float
    """Seconds between its first digest and the last: what moved meanwhile is alive. 0 where it was not watched."""
    cluster: Membership
    """Its members, each a ToldMember."""
    trouble: str
    """Why asking ended before all was told, in one line; nothing where it did not, or where members are stuck."""

    @property
    def members(self) -> list[ToldMember]:
        """Its members, with how much of each was told."""
        return cast("list[ToldMember]", self.cluster.members)

    @property
    def is_complete(self) -> bool:
        """Whether it told all that it knows."""
        return not self.trouble and all(each.complete for each in self.members)


def probe(
    target: str,
    cluster_id: str,
    *,
    version: int | None = None,
    timeout: float = 0.5,
    tries: int = 4,
    watch: float = 0,
    allow_remote: bool = False,
) -> Answer:
    """Ask a node for all that it knows. Joins nothing and changes nothing, but for the node's own heartbeat.

    First a Syn with an empty digest is sent up to ``tries`` times, each waited for ``timeout`` seconds; then as many
    more as it takes to be told all. ``version``: 0 or 1; None sends one of version 1 first, which a node before 0.12
    does not answer, then one of version 0, and so on. ``watch``: ask once more so many seconds later, which tells whose
    heartbeats move. Raises TargetError for a bad target or one that is not on this machine, unless ``allow_remote``,
    and ProbeError where no answer comes, or another than is wanted.
    """
    versions = (ProtocolVersion.V1, ProtocolVersion.V0) if version is None else (ProtocolVersion(version),)
    trouble: ProbeError | None = None
    for address in _addresses(target, allow_remote):
        try:
            return _Probe(address, cluster_id, versions, timeout, tries).tell(watch)
        except NoAnswerError as error:  # of the addresses of a name, perhaps another is listened at
            trouble = trouble or error
    raise trouble or NoAnswerError(f"{target}: no address")


_Told: TypeAlias = SynAck | Ack


@dataclass(frozen=True)
class _Way:
    """A way to ask: with a Syn, or with a SynAck that tells nothing, of a version."""

    version: int
    by_syn: bool = True

    def question(self, cluster_id: str, digest: Sequence[NodeDigest]) -> bytes:
        return syn(self.version, cluster_id, digest) if self.by_syn else telling_nothing(self.version, digest)


class _Probe:
    """One target's address, and what has come from there."""

    def __init__(self, address: Address, cluster_id: str, versions: Sequence[int], timeout: float, tries: int) -> None:
        self.address = address
        self.name = join_address(address[0], address[1])
        self.cluster_id = cluster_id
        self.versions = versions
        self.timeout = timeout
        self.tries = tries
        self.telling = Telling()
        self.answers = self.size = 0
        self.sent = self.arrived = 0.0  # the last question, the last answer
        self.digests: list[float] = []  # when each answer with a digest came
        self.version = versions[0]  # of the last answer
        self.syn_is_silent = self.is_too_large = self.is_news = self.wants_acks = False
        self.garbage = self.stranger = ""

    # --- the course of it ---

    def tell(self, watch: float) -> Answer:
        """Ask for the first time, ask on, and watch. Raises ProbeError where there is no first answer."""
        try:
            with Line(self.address) as self.line:
                self._ask_first()
                version, seconds = self.version, self.arrived - self.sent
                trouble = self._ask_on()
                if watch and self.digests:
                    trouble = self._watch(watch, trouble)
        except ConnectionRefusedError:
            if not self.answers:
                raise NoAnswerError(
                    f"nobody listens at {self.name} on UDP: is the node up, and is this its gossip port?"
                ) from None
            trouble = _STOPPED
        except OSError as error:
            raise NoAnswerError(f"{self.name}: {error.strerror}") from None
        watched = self.digests[-1] - self.digests[0] if watch and self.digests else 0.0
        try:
            members = self.telling.members(watched=watched > 0)
        except ValueError as error:
            raise NotChitchatError(f"{self.name} tells what no node does: {error}") from None
        cluster = Membership(self.cluster_id, cast("list[Member]", members))
        return Answer(self.name, version, seconds, self.answers, self.size, watched, cluster, trouble)

    def _ask_first(self) -> None:
        """Have a first answer, in whichever way. Raises ProbeError where there is none."""
        message = self._exchange(by_syn=True)
        if message is None and not (self.garbage or self.stranger):
            self._ask_in_the_other_version()
            self.syn_is_silent = True
            message = self._exchange(by_syn=False, tries=min(self.tries, 2))
        if message is None:
            raise self._silence()

    def _ask_in_the_other_version(self) -> None:
        """Where one version was wanted, and is not answered: raises NoAnswerError if the other is."""
        for version in set(ProtocolVersion) - set(self.versions if len(self.versions) == 1 else ProtocolVersion):
            if any(self._ask(_Way(version)) for _ in range(2)):
                raise NoAnswerError(
                    f"no answer from {self.name} to {self.tries} Syn of V{self.versions[0]}, but to one of V{version}: "
                    "nodes before 0.12 know only V0, and one that is set to V1 and knows much answers no V0"
                )

    def _ask_on(self) -> str:
        """Ask until all has been told. Why that was not reached, if it was not."""
        by_syn, fruitless, silent = not self.syn_is_silent, 0, False
        while not self.telling.has_digest or self.telling.lacks_something:
            message = self._exchange(by_syn=by_syn)
            if message is None:
                if not by_syn or silent:
                    return self._why_no_more()
                by_syn, silent, self.syn_is_silent = False, True, True
                continue
            by_syn = isinstance(message, SynAck)
            silent = silent and not by_syn
            if self.is_news:
                fruitless = 0
                if self.answers > MOST_ANSWERS:
                    return "it tells ever more"
                continue
            fruitless += 1
            if fruitless > MOST_FRUITLESS:
                return "it tells nothing new any more"
            # what a SynAck has no room for, an Ack may have; what not even an Ack has, nobody gets
            by_syn = not by_syn and (not self.telling.is_stuck_at(message) or not self.syn_is_silent)
        return ""

    def _watch(self, seconds: float, trouble: str) -> str:
        """Ask for one more digest, so many seconds later, and for what is new in it. What is the trouble then."""
        time.sleep(seconds)
        if self._exchange(by_syn=True) is None:
            return trouble or _STOPPED
        return self._ask_on()

    def _why_no_more(self) -> str:
        if self.is_too_large:
            return "it has more members than a question for their keys can name"
        if self.syn_is_silent and not self.telling.has_digest:
            return "it answers no Syn, so members without keys, and heartbeats, are unknown"
        return _STOPPED

    def _silence(self) -> ProbeError:
        """Why there is no answer."""
        if self.stranger:
            return NoAnswerError(
                f"no answer from {self.name}, but one from {self.stranger}: a node that listens at all addresses of "
                "its machine answers from another; ask it there"
            )
        if self.garbage:
            return NotChitchatError(f"{self.name} answers, but not as a chitchat node does: {self.garbage}")
        kind = " or ".join(f"V{version}" for version in sorted(set(islice(cycle(self.versions), self.tries))))
        return NoAnswerError(
            f"no answer from {self.name} to {self.tries} Syn of {kind}: check address, port and firewalls; nodes "
            "before 0.8 speak another protocol, those before 0.12 only V0, and a node that has panicked is silent"
        )

    # --- one question ---

    def _exchange(self, *, by_syn: bool, tries: int = 0) -> _Told | None:
        """Ask for what was not told yet, several times if need be; None where nothing comes back."""
        ordered = sorted(self.versions, key=lambda version: version != self.version)
        for version in islice(cycle(ordered), tries or self.tries):
            message = self._ask(_Way(version, by_syn))
            if message:
                return message
        return None

    def _ask(self, way: _Way) -> _Told | None:
        question = way.question(self.cluster_id, self.telling.digest())
        self.is_too_large = len(question) > MAX_DATAGRAM
        if self.is_too_large:
            return None
        if not way.by_syn:
            self.wants_acks = True
        self.sent = time.monotonic()
        return ask(self.line, question, self.timeout, self._answer)

    def _answer(self, data: bytes, sender: Address) -> _Told | None:
        """The message, if it is an answer, and not a late one that holds nothing new. Raises BadClusterError."""
        is_stranger = sender[:2] != self.line.address[:2]
        try:
            message = decode(data)
        except DecodeError as error:
            self.garbage = self.garbage if is_stranger else str(error)
            return None
        if is_stranger:
            self.stranger = join_address(sender[0], sender[1])
            return None
        if isinstance(message, BadCluster):
            raise BadClusterError(
                f"{self.name} is a node of another cluster than {self.cluster_id!r} (it answers BadCluster, which "
                "does not name its own): give the cluster_id of its configuration"
            )
        if not isinstance(message, (SynAck, Ack) if self.wants_acks else SynAck):
            self.garbage = f"it sent {message.type}"
            return None
        late = self.telling.is_late(message)
        self.is_news = self.telling.hear(message)
        if late and not self.is_news:
            return None
        self.arrived = time.monotonic()
        self.version = message.version
        self.answers += 1
        self.size += len(data)
        if isinstance(message, SynAck):
            self.syn_is_silent = False
            if not late:
                self.digests.append(self.arrived)
        return message


_STOPPED = "it stopped answering"


def _addresses(target: str, allow_remote: bool) -> list[Address]:
    try:
        return addresses_of(target, UDP_PORTS[0], allow_remote=allow_remote)
    except NoSuchHostError as error:
        raise ProbeError(str(error)) from None
