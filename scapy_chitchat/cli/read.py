# SPDX-License-Identifier: GPL-2.0-or-later
"""``scapy-chitchat read``: the messages in capture files."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator, Sequence

from scapy_chitchat.capture import CapturedMessage, CaptureError, CaptureFile, Counters
from scapy_chitchat.cli.common import (
    BAD_INPUT,
    INTERRUPTED,
    Progress,
    complain,
    counted,
    hush_scapy,
    progress_bar,
    stop_writing,
)
from scapy_chitchat.cli.declaring import Command
from scapy_chitchat.cli.options import Files, MessageOptions
from scapy_chitchat.cli.showing import Output, messages_in
from scapy_chitchat.net.text import printable


def read(files: Files, wish: MessageOptions) -> int:
    """Read the files and show what is wanted. Gives the exit code."""
    hush_scapy()
    output = Output(wish)
    reading = _Reading(files, output)
    interrupted = False
    try:
        for captured in reading.messages():
            output.show(captured)
        output.flush()
    except KeyboardInterrupt:
        interrupted = True
        output.flush()
    except BrokenPipeError:
        stop_writing()
        return 0
    output.tables()
    if not output.counts.messages and not interrupted and not reading.failed:
        complain(nothing_found(files, output.counters, wish.ports))
    return INTERRUPTED if interrupted else BAD_INPUT if reading.failed else 0


class _Reading:
    """The messages of the files, one file after the other; a bad file is complained of and the next one read."""

    def __init__(self, files: Sequence[str], output: Output) -> None:
        self.files = files
        self.output = output
        self.failed = False

    def messages(self) -> Iterator[CapturedMessage]:
        """Every message that passes the filters."""
        for file in self.files:
            try:
                silent = not self.output.wish.prints_messages
                with CaptureFile(file) as frames, progress_bar(file, frames.size or 0, silent=silent) as progress:
                    yield from self._of(frames, progress)
            except CaptureError as error:
                self.failed = True
                sys.stdout.flush()
                complain(str(error))

    def _of(self, frames: CaptureFile, progress: Progress) -> Iterator[CapturedMessage]:
        return messages_in(frames, self.output, lambda: progress.reached(frames.position()))


def nothing_found(files: Sequence[str], counters: Counters, ports: Collection[int]) -> str:
    """What to say when there was no message at all."""
    if ports and counters.datagrams:
        named = ", ".join(map(str, sorted(ports)))
        datagrams = counted(counters.datagrams, "UDP datagram")
        return f"nothing from or to port {named} among {datagrams}: leave out --port to see all"
    what = f"no chitchat messages in {printable(', '.join(files))}"
    if counters.unreadable_links and not counters.datagrams:
        return f"{what}: link type {', '.join(map(str, sorted(counters.unreadable_links)))} cannot be read"
    if counters.old:
        old = counted(counters.old, "datagram")
        return f"{what}, but {old} that may be of chitchat before 0.8, which had no magic number"
    if counters.datagrams:
        datagrams = counted(counters.datagrams, "UDP datagram")
        return f"{what}, but {datagrams}; if gossip is among them, name its port with --port"
    return f"{what}: {counted(counters.frames, 'frame')} and no UDP datagram"


COMMAND = Command(
    read,
    more="""
FILE is a pcap or pcapng capture, gzip-compressed or not, of any link type that Scapy knows; - is standard input.
Fragments are put together. A message is known by its header, on any port.
""",
    examples=(
        "scapy-chitchat read capture.pcap",
        "scapy-chitchat read -v --type SynAck,Ack --node indexer-0 capture.pcap",
        "scapy-chitchat read --json capture.pcapng | jq .delta",
        "scapy-chitchat read --fields frame,time,type,digest.node_id capture.pcap",
        "scapy-chitchat read --summary *.pcap.gz",
        "tcpdump -i any -w - udp | scapy-chitchat read -",
    ),
)
