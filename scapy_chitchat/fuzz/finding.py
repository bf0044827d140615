# SPDX-License-Identifier: GPL-2.0-or-later
"""What the fuzzer leaves on disk: a folder for each way in which a target failed.

``case.pcapng`` and ``case.py`` are the messages, as packets and as the layers that build them; ``stderr.txt`` is what
the target wrote; ``finding.json`` is all the rest, for ``fuzz reproduce`` and ``fuzz minimize``; ``README.txt`` says it
to a person.
"""

from __future__ import annotations

import re
import time
from pathlib import Path

import msgspec
from scapy.packet import Packet

from scapy_chitchat.capture import read_messages
from scapy_chitchat.capture.writing import CaptureWriter
from scapy_chitchat.fuzz.registry import CaseMessages
from scapy_chitchat.net.addresses import join_address, split_address
from scapy_chitchat.net.packets import Endpoints
from scapy_chitchat.net.text import printable
from scapy_chitchat.net.udp import Address
from scapy_chitchat.records.codec import DecodeError, decode
from scapy_chitchat.records.identity import ChitchatId
from scapy_chitchat.wire.layers import Chitchat

CASE_PORT = 7281
"""From where the packets of a case seem to come; the port tells them from nothing else."""


SILENCE = "no longer answers a Syn"
"""How a target failed that neither panicked nor ended."""


class CampaignFinding(msgspec.Struct):
    """One way in which a target failed, and the smallest case that makes it."""

    group: str
    symptom: str
    strategy: str
    """Of the cases among which it was found."""
    seed: int
    first_case: int
    """The number of the first of these cases."""
    to: str
    spawn: str
    cluster_id: str
    receiver: ChitchatId
    """The target's own id when the case was made: in a case for another target it is exchanged."""
    messages: CaseMessages = ()
    reproduced: int = 0
    tries: int = 0
    """How often the case was tried on a fresh target, and how often it failed."""
    seen: int = 1
    """How often the fuzzer met it."""
    after_seconds: float = 0.0
    """When it was met first."""
    stderr: str = ""
    folder: str = ""

    @property
    def is_silence(self) -> bool:
        """Whether the failure shows in nothing but that no answer comes."""
        return self.group == SILENCE

    @property
    def size(self) -> int:
        """Bytes of its messages."""
        return sum(map(len, self.messages))

    @property
    def confirmed(self) -> bool:
        """Whether its case fails every time."""
        return bool(self.tries) and self.reproduced == self.tries


def folder_name(index: int, group: str) -> str:
    """``01-delta.rs-398`` for a panic there."""
    words = re.sub(r"[^A-Za-z0-9.]+", "-", group.rpartition("/")[2]).strip("-")
    return f"{index:02}-{words[:40]}"


def write_finding(finding: CampaignFinding, folder: Path) -> None:
    """Write the folder, or write it anew."""
    folder.mkdir(parents=True, exist_ok=True)
    finding.folder = str(folder)
    host, port = _place(finding)
    source = "::1" if ":" in host else "127.0.0.1"
    with CaptureWriter(folder / "case.pcapng") as out:
        for number, message in enumerate(finding.messages):
            comment = f"{finding.strategy} seed={finding.seed}: {finding.symptom}"
            moment = time.time_ns() + number * 1000
            out.datagram(Endpoints(source, CASE_PORT, host, port), message, moment, comment)
    (folder / "case.py").write_text(as_python(finding.messages, finding.symptom))
    (folder / "stderr.txt").write_text(finding.stderr)
    plain = msgspec.to_builtins(finding)
    del plain["messages"], plain["stderr"], plain["folder"]
    (folder / "finding.json").write_bytes(msgspec.json.format(msgspec.json.encode(plain), indent=2) + b"\n")
    (folder / "README.txt").write_text(_readme(finding, folder))


def read_finding(folder: Path) -> CampaignFinding:
    """A finding from its folder. Raises ValueError where it is none."""
    try:
        plain = msgspec.json.decode((folder / "finding.json").read_bytes())
        finding = msgspec.convert(plain, CampaignFinding)
        _, port = _place(finding)
        messages = tuple(captured.data for captured in read_messages(folder / "case.pcapng", [port]))
    except (OSError, msgspec.MsgspecError, ValueError) as error:
        raise ValueError(f"{folder}: no folder of a finding: {error}") from None
    return msgspec.structs.replace(finding, messages=messages, folder=str(folder))


def _place(finding: CampaignFinding) -> tuple[str, int]:
    """Host and port of the target. Raises ValueError where there is none."""
    host, port = split_address(finding.to)
    if port is None:
        raise ValueError(f"{finding.to!r} is not HOST:PORT")
    return host, port


def _readme(finding: CampaignFinding, folder: Path) -> str:
    lines = [
        printable(finding.symptom),
        *([f"at {finding.group}"] if finding.group != finding.symptom else []),
        f"found by strategy {finding.strategy}, seed {finding.seed}, among the cases from {finding.first_case} on, "
        f"after {finding.after_seconds:.0f} s",
        f"{len(finding.messages)} messages; failed {finding.reproduced} of {finding.tries} times on a fresh target",
        "",
        "reproduce it with:",
        f"  scapy-chitchat fuzz reproduce {folder}",
        "",
        "the target was:",
        f"  {finding.spawn or 'at ' + finding.to}",
    ]
    return "\n".join(lines) + "\n"


# --- as Python ---


def as_python(messages: CaseMessages, symptom: str) -> str:
    """A program that builds the messages from layers, and prints them in hex."""
    parts = [
        f"# {printable(symptom)}",
        "",
        "from scapy_chitchat import *",
        "",
        "MESSAGES = [",
        *(f"    {_expression(message)}," for message in messages),
        "]",
        "",
        'if __name__ == "__main__":',
        "    for message in MESSAGES:",
        "        print(bytes(message).hex())",
    ]
    return "\n".join(parts) + "\n"


def _expression(message: bytes) -> str:
    """The layers of a message, as far as they give the same bytes; otherwise the bytes."""
    as_bytes = f"bytes.fromhex({message.hex()!r})"
    try:
        decode(message, limit=LARGEST_READABLE)
    except DecodeError as error:
        if error.code == "stream-limit":
            return as_bytes
    text = pretty(Chitchat(message))
    return text if built(text) == message else as_bytes


LARGEST_READABLE = 256 * 1024
"""Bytes of a stream above which nobody wants to read a message as layers."""


def built(text: str) -> bytes:
    """The bytes of an expression that ``pretty`` wrote."""
    import scapy_chitchat

    names: dict[str, object] = {name: getattr(scapy_chitchat, name) for name in scapy_chitchat.__all__}
    try:
        return bytes(eval(text, {"__builtins__": {}}, names))
    except Exception:
        return b""


def pretty(packet: Packet) -> str:
    """Scapy's command(), with a line for each item of a list."""
    text: str = packet.command()
    for item in ("NodeDigest(", "NodeOp(", "KeyValueOp(", "SetMaxVersionOp(", "Block("):
        text = re.sub(rf"(?<=[\[,]) ?{re.escape(item)}", f"\n            {item}", text)
    return re.sub(r" +\n", "\n", text)


def place_of(address: Address) -> str:
    """A socket address as text."""
    return join_address(*address[:2])
