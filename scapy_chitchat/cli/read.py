# SPDX-License-Identifier: GPL-2.0-or-later
"""``scapy-chitchat read``: the messages in capture files."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator, Sequence
from copy import copy

from scapy_chitchat.capture import (
    CapturedMessage,
    CaptureError,
    CaptureFile,
    Counters,
    Frame,
    Source,
    expand,
    in_order,
    nothing_readable,
)
from scapy_chitchat.cli.common import (
    BAD_INPUT,
    INTERRUPTED,
    Failure,
    Progress,
    complain,
    counted,
    hush_scapy,
    progress_bar,
    stop_writing,
)
from scapy_chitchat.cli.declaring import Command
from scapy_chitchat.cli.options import Files, ReadOptions
from scapy_chitchat.cli.showing import Output, messages_in
from scapy_chitchat.net.text import printable


def read(files: Files, wish: ReadOptions) -> int:
    """Read the files and show what is wanted. Gives the exit code."""
    hush_scapy()
    output = Output(wish)
    try:
        sources = expand(files)
    except CaptureError as error:
        raise Failure(str(error)) from None
    reading = _Reading(sources if wish.as_given else in_order(sources), output)
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
    output.notes()
    return INTERRUPTED if interrupted else BAD_INPUT if reading.failed else 0


class _Reading:
    """The messages of the files, as parts of one capture; a bad file is complained of and the next one read."""

    def __init__(self, files: Sequence[Source], output: Output) -> None:
        self.files = files
        self.output = output
        self.failed = False
        self._progress: tuple[CaptureFile, Progress] | None = None

    def messages(self) -> Iterator[CapturedMessage]:
        """Every message that passes the filters."""
        return messages_in(self._frames(), self.output, self._show_progress)

    def _frames(self) -> Iterator[Frame]:
        silent = not self.output.wish.prints_messages
        for file in self.files:
            before = copy(self.output.counters)
            try:
                with CaptureFile(file) as frames, progress_bar(frames.name, frames.size or 0, silent=silent) as bar:
                    self._progress = frames, bar
                    yield from frames
            except CaptureError as error:
                self.failed = True
                sys.stdout.flush()
                complain(str(error))
            self.failed |= nothing_readable(self.output.counters, before)

    def _show_progress(self) -> None:
        if self._progress:
            frames, progress = self._progress
            progress.reached(frames.position())


def nothing_found(files: Sequence[str], counters: Counters, ports: Collection[int]) -> str:
    """What to say when there was no message at all."""
    if ports and counters.datagrams:
        named = ", ".join(map(str, sorted(ports)))
        datagrams = counted(counters.datagrams, "UDP datagram")
        return f"nothing from or to port {named} among {datagrams}: leave out --port to see all"
    what = f"no chitchat messages in {printable(', '.join(files))}"
    if counters.datagrams:
        datagrams = counted(counters.datagrams, "UDP datagram")
        return f"{what}, but {datagrams}; if gossip is among them, name its port with --port"
    return f"{what}: {counted(counters.frames, 'frame')} and no UDP datagram"


COMMAND = Command(
    read,
    more="""
FILE is a pcap or pcapng capture, plain or packed (gzip, zstd, xz, lz4); a folder of captures; or - for standard input.
Tunnels are opened and fragments put together, also across files, which are read in the order of their times.
A message is known by its header, on any port.
""",
    examples=(
        "scapy-chitchat read capture.pcap",
        "scapy-chitchat read -v --type SynAck,Ack --node indexer-0 capture.pcap",
        "scapy-chitchat read --json capture.pcapng | jq .delta",
        "scapy-chitchat read --fields frame,time,type,digest.node_id capture.pcap",
        "scapy-chitchat read --summary *.pcap.gz",
        "scapy-chitchat read --dedup captures/",
        "tcpdump -i any -w - udp | scapy-chitchat read -",
    ),
)
