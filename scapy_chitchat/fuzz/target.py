# SPDX-License-Identifier: GPL-2.0-or-later
"""The node under test: how it is started, sent to, and asked whether it lives.

Cases go out from one socket and probes from another, so that an answer to a case is not taken for an answer to a probe.
A probe is a Syn of the node's own cluster with an empty digest: it asks for all that the node holds, and a node that
can no longer answer that is as good as gone for its peers. What is slow is not dead: a probe is repeated, and waited
for, for as long as the patience lasts. Nor is what answers one protocol version alone: a node before 0.12 knows only
V0, and one of 0.13 that is set to V1 and full leaves V0 unanswered; so an unanswered probe is followed by one of the
other version. A panic on standard error, or the end of the process, ends the waiting.
"""

from __future__ import annotations

import os
import re
import select
import shlex
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import IO

from scapy_chitchat.fuzz.building import entry, syn_ack
from scapy_chitchat.fuzz.draw import Context
from scapy_chitchat.fuzz.finding import SILENCE
from scapy_chitchat.net.addresses import join_address
from scapy_chitchat.net.text import printable
from scapy_chitchat.net.udp import Address, Line, connected_to
from scapy_chitchat.node import asking
from scapy_chitchat.records.classes import Message, Syn, SynAck
from scapy_chitchat.records.codec import DecodeError, decode, encode
from scapy_chitchat.records.identity import ChitchatId, id_of
from scapy_chitchat.wire.headers import ANSWERED_BY, type_of
from scapy_chitchat.wire.protocol import MAX_DATAGRAM, MessageType

START_SECONDS = 20.0
"""How long a started target may take until it answers."""

START_ASK = 0.005
"""Seconds between probes to a target that is about to listen."""

LEARN_TURN, LEARN_TURNS = 0.3, 20
"""To learn the target's cluster_id, a made-up member sends a heartbeat each so many seconds, and so often at the most:
a node gossips to its members once a second, and its Syn tells."""

ASK_AGAIN = 0.25
"""Seconds after which a probe is repeated; each time after twice as long, up to a second."""

QUEUE_MESSAGES, QUEUE_BYTES = 160, 96 * 1024
"""What a node's socket surely holds: Linux gives it 208 KiB, and counts a small datagram as 768 bytes."""


class TargetDownError(Exception):
    """The target cannot be tested; the message is one line and says what to do."""


# --- what happened ---


@dataclass(frozen=True)
class Failure:
    """How a target failed."""

    symptom: str
    """In words, without anything that differs from run to run."""
    place: str = ""
    """Where it panicked, in its package's sources."""
    stderr: str = ""

    @property
    def group(self) -> str:
        """What failures of the same kind have in common."""
        return self.place or self.symptom


_PANIC = re.compile(r"panicked at (?:'(?P<old>.*?)', )?(?P<file>[^\s:]+):(?P<line>\d+)(?::\d+)?:?(?:\n(?P<text>.*))?")


def panic_in(stderr: str) -> tuple[str, str] | None:
    """Place and text of the first panic of a Rust program, if there is one."""
    found = _PANIC.search(stderr)
    if not found:
        return None
    return f"{_within_its_package(found['file'])}:{found['line']}", (found["old"] or found["text"] or "").strip()


def _within_its_package(path: str) -> str:
    """``…/chitchat-0.13.0/src/delta.rs`` as ``chitchat-0.13.0/src/delta.rs``: the same on every machine."""
    package, source, rest = path.rpartition("/src/")
    return f"{package.rpartition('/')[2]}{source}{rest}" if source else path


# --- a process ---

MOST_STDERR = 64 * 1024
"""Bytes of the end of standard error that are looked at."""


class Process:
    """A target that was started here. It gets a session of its own, and is ended with all that it started."""

    def __init__(self, command: str) -> None:
        try:
            words = shlex.split(command)
        except ValueError as error:
            raise TargetDownError(f"cannot start {command!r}: {error}") from None
        if not words:
            raise TargetDownError(f"cannot start {command!r}: no command")
        self._stderr: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115
        try:
            self._process = subprocess.Popen(
                words,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=self._stderr,
                start_new_session=True,
            )
        except OSError as error:
            raise TargetDownError(f"cannot start {command!r}: {error.strerror}") from None
        self._tested_from: int | None = None
        self._looked_at = 0
        self._panicked = False

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._process.poll()

    def stderr(self) -> str:
        """What it wrote, or the end of it."""
        return self._written(0)

    def _written(self, start: int) -> str:
        size = os.fstat(self._stderr.fileno()).st_size
        start = max(size - MOST_STDERR, start)
        return os.pread(self._stderr.fileno(), size - start, start).decode(errors="replace")

    def begin_test(self) -> None:
        """From here on a panic counts. What it wrote before, such as the report of an earlier crash, does not."""
        self._tested_from = self._looked_at = os.fstat(self._stderr.fileno()).st_size

    def has_panicked(self) -> bool:
        """Whether it wrote of a panic since the test began; looks only at what is new."""
        size = os.fstat(self._stderr.fileno()).st_size
        if self._tested_from is not None and size > self._looked_at and not self._panicked:
            start = max(self._looked_at - 200, self._tested_from)
            self._panicked = b"panicked at" in os.pread(self._stderr.fileno(), size - start, start)
            self._looked_at = size
        return self._panicked

    def panic(self) -> tuple[str, str] | None:
        """Place and text of the first panic since the test began, as far as it is still in the end of what it wrote."""
        return panic_in(self._written(self._tested_from or 0))

    def end(self) -> None:
        """End it, and whatever it started."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        if self._process.stdin:
            self._process.stdin.close()
        self._stderr.close()


# --- the target ---


class Target:
    """The node at ``address``. With ``command`` it is started here, as often as a fresh one is wanted."""

    def __init__(
        self, address: Address, command: str = "", cluster_id: str | None = None, patience: float = 5.0
    ) -> None:
        self.address = address
        self.command = command
        self.patience = patience
        self.context = Context(Context().cluster_id if cluster_id is None else cluster_id)
        self.is_node = False
        """Whether it answers as a node does, and not just somehow."""
        self.knows_cluster = False
        self.answer_size = 0
        """Bytes of the last answer to a probe: how much the node holds."""
        self.slowest = 0.0
        """Seconds that the slowest answer to a probe took."""
        self.starts = 0
        self.is_fresh = True
        """Whether it has not been told anything yet: to learn its cluster_id, it is told of a node."""
        self._cluster_is_given = cluster_id is not None
        self._process: Process | None = None
        self._version = 0
        """The protocol version of the next probe: that of the last answer, or the other one after silence."""
        self._cases, self._probes = connected_to(address), Line(address)
        self._cases.setblocking(False)

    # --- life ---

    def start(self) -> None:
        """Have a fresh target, if it is started here, and know what is to be known of it. Raises TargetDownError."""
        self.end()
        if self.command:
            self._process = Process(self.command)
        self.starts += 1
        self.is_fresh = True
        self._wait_until_it_answers()
        if self._process:
            self._process.begin_test()

    def end(self) -> None:
        """End the target, if it was started here."""
        if self._process:
            self._process.end()
            self._process = None

    def close(self) -> None:
        """End the target and close the sockets."""
        self.end()
        self._cases.close()
        self._probes.close()

    def _wait_until_it_answers(self) -> None:
        where = join_address(*self.address[:2])
        until = time.monotonic() + (START_SECONDS if self.command else self.patience)
        while True:
            answer = self._ask(START_ASK if self.command else ASK_AGAIN)
            if answer is not None:
                break
            if self._process and self._process.exit_code is not None:
                said = printable(self._process.stderr().strip().rpartition("\n")[2]) or "it wrote nothing"
                raise TargetDownError(f"the target ended at once, with exit code {self._process.exit_code}: {said}")
            if time.monotonic() > until:
                raise TargetDownError(
                    f"nothing answers at {where}: is a node there, and does it listen at this address?"
                )
        if self.starts == 1:
            self._look_at(answer)
        else:
            self._learn_receiver(answer)

    def _look_at(self, answer: bytes) -> None:
        """Learn from the first answer what this is, and of which cluster."""
        self.is_node = type_of(answer) in ANSWERED_BY[MessageType.Syn]
        if not self.is_node:
            return
        if type_of(answer) is MessageType.BadCluster and not self._cluster_is_given:
            self.knows_cluster = self._learn_cluster()
            answer = self._ask(self.patience) or b""
        self.knows_cluster = type_of(answer) is MessageType.SynAck
        self._learn_receiver(answer)

    def _learn_cluster(self) -> bool:
        """Become a member that the target gossips to: its Syn has the cluster_id. Whether one came."""
        self.is_fresh = False
        here, _, *zone = self._probes.own_address
        with socket.socket(self._cases.family, socket.SOCK_DGRAM) as opened:
            opened.bind((here, 0, *zone))
            observer = ChitchatId("fuzz-observer", time.time_ns(), join_address(here, opened.getsockname()[1]))
            for heartbeat in range(1, LEARN_TURNS + 1):
                with suppress(ConnectionRefusedError):
                    opened.sendto(encode(syn_ack([entry(observer, heartbeat)], ())), self.address)
                syn = _next_syn(opened, LEARN_TURN)
                if syn:
                    self.context = Context(syn.cluster_id, self.context.receiver, self.context.captured)
                    return True
        return False

    def _learn_receiver(self, answer: bytes) -> None:
        """The node's own id: the one in its digest with the address that it is reached at."""
        message = _decoded(answer)
        if not isinstance(message, SynAck) or not message.digest:
            return
        where = join_address(*self.address[:2])
        own = [each for each in message.digest if each.gossip_advertise_addr == where] or list(message.digest)
        newest = max(own, key=lambda each: each.generation_id)
        self.context = Context(self.context.cluster_id, id_of(newest), self.context.captured)

    # --- messages ---

    def send(self, messages: Iterable[bytes], patience: float | None = None) -> None:
        """Send these messages, and no more at a time than its socket can hold; none to a target that is gone."""
        waiting = size = 0
        for message in messages:
            if waiting >= QUEUE_MESSAGES or (waiting and size + len(message) > QUEUE_BYTES):
                if self._ask(self.patience if patience is None else patience) is None:
                    break
                waiting = size = 0
            self._send(message)
            waiting += 1
            size += len(message)
        self._forget_answers()

    def _send(self, data: bytes) -> None:
        for _ in range(3):
            try:
                self._cases.send(data)
                return
            except ConnectionRefusedError:
                continue  # the answer to an earlier datagram: nobody listened
            except BlockingIOError:
                select.select([], [self._cases], [], 0.1)

    def _forget_answers(self) -> None:
        while True:
            try:
                self._cases.recv(MAX_DATAGRAM)
            except BlockingIOError:
                break
            except ConnectionRefusedError:
                continue
        with suppress(OSError):
            while self._probes.receive():
                continue

    # --- health ---

    def probe(self) -> None:
        """Ask the target whether it lives; ``failure`` then waits for the answer."""
        with suppress(OSError):
            asking.send(self._probes, self._question())

    def _question(self) -> bytes:
        return asking.syn(self._version, self.context.cluster_id)

    def _ask(self, patience: float, *, asked: bool = False) -> bytes | None:
        """The answer to a Syn; None where there is none, or no hope of one."""
        started = time.monotonic()
        pause = min(ASK_AGAIN, patience)
        while (left := started + patience - time.monotonic()) > 0:
            question = None if asked else self._question()
            asked = False
            try:
                data = asking.ask(self._probes, question, min(pause, left), self._wanted, hopeless=self._is_gone)
            except OSError:  # nobody listens, or not yet
                data = None
                time.sleep(min(pause, left, asking.LOOK_UP))
            if data is not None:
                self.answer_size = len(data)
                return data
            if self._is_gone():
                return None
            self._version = 1 - self._version
            pause = min(pause * 2, 1.0)
        return None

    def _is_gone(self) -> bool:
        """Whether there is no answer to wait for any more."""
        return self._process is not None and (self._process.exit_code is not None or self._process.has_panicked())

    def _wanted(self, data: bytes, sender: Address) -> bytes | None:
        """The datagram, if it is an answer of the target to a probe."""
        if sender[:2] != self._probes.address[:2]:
            return None
        kinds = (MessageType.SynAck,) if self.knows_cluster else ANSWERED_BY[MessageType.Syn]
        return data if not self.is_node or type_of(data) in kinds else None

    def failure(self, patience: float | None = None, *, asked: bool = False) -> Failure | None:
        """None if the target is well; otherwise what is wrong. ``asked``: a probe is on its way."""
        started = time.monotonic()
        answer = self._ask(self.patience if patience is None else patience, asked=asked)
        if answer is not None and not (self._process and self._process.has_panicked()):
            self.slowest = max(self.slowest, time.monotonic() - started)
            return None
        return self._symptom(answered=answer is not None)

    def _symptom(self, *, answered: bool) -> Failure:
        stderr, code, panic = "", None, None
        if self._process:
            if self._process.has_panicked():
                time.sleep(0.02)  # the text comes in several writes
                panic = self._process.panic()
            stderr, code = self._process.stderr(), self._process.exit_code
        if panic:
            return Failure(f"panicked: {panic[1]}", panic[0], stderr)
        if code is not None:
            return Failure(f"ended with {_exit_words(code)}", "", stderr)
        return Failure("panicked, and still answers" if answered else SILENCE, "", stderr)


def _exit_words(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"signal {signal.Signals(-code).name}"
    except ValueError:  # one of the real-time signals, which have no names
        return f"signal {-code}"


def _next_syn(opened: socket.socket, seconds: float) -> Syn | None:
    """The first Syn that comes within ``seconds``."""
    until = time.monotonic() + seconds
    while (data := asking.next_datagram(opened, until)) is not None:
        message = _decoded(data)
        if isinstance(message, Syn):
            return message
    return None


def _decoded(data: bytes) -> Message | None:
    try:
        return decode(data)
    except DecodeError:
        return None
