# SPDX-License-Identifier: GPL-2.0-or-later
"""The captures that are named on a command line, one after the other, with a bar where it takes long."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterator, Sequence

from scapy_chitchat.capture import CapturedMessage, CaptureError, CaptureFile, Counters
from scapy_chitchat.cli.common import complain, counted, progress_bar
from scapy_chitchat.net.text import printable

Reader = Callable[[CaptureFile, Callable[[], None]], Iterator[CapturedMessage]]
"""Gives the messages in frames, and calls from time to time what shows how far it has come."""


class Sources:
    """The messages of files; a bad file is complained of, and the next one read."""

    def __init__(self, files: Sequence[str], counters: Counters, *, silent: bool) -> None:
        """``silent``: nothing goes to standard output meanwhile, so that a progress bar disturbs nobody."""
        self.files = files
        self.counters = counters
        self.silent = silent
        self.failed = False

    def each(self, read: Reader) -> Iterator[CapturedMessage]:
        """Every message that ``read`` finds."""
        for file in self.files:
            try:
                with CaptureFile(file) as frames, progress_bar(file, frames.size or 0, silent=self.silent) as progress:

                    def tick(frames: CaptureFile = frames, reached: Callable[[int], None] = progress.reached) -> None:
                        reached(frames.position())

                    yield from read(frames, tick)
            except CaptureError as error:
                self.failed = True
                sys.stdout.flush()
                complain(str(error))

    def nothing_found(self, ports: Collection[int] = ()) -> str:
        """What to say when there was no message at all."""
        counters = self.counters
        if ports and counters.datagrams:
            named = ", ".join(map(str, sorted(ports)))
            datagrams = counted(counters.datagrams, "UDP datagram")
            return f"nothing from or to port {named} among {datagrams}: leave out --port to see all"
        what = f"no chitchat messages in {printable(', '.join(self.files))}"
        if counters.unreadable_links and not counters.datagrams:
            return f"{what}: link type {', '.join(map(str, sorted(counters.unreadable_links)))} cannot be read"
        if counters.old:
            old = counted(counters.old, "datagram")
            return f"{what}, but {old} that may be of chitchat before 0.8, which had no magic number"
        if counters.datagrams:
            datagrams = counted(counters.datagrams, "UDP datagram")
            return f"{what}, but {datagrams}; if gossip is among them, name its port with --port"
        return f"{what}: {counted(counters.frames, 'frame')} and no UDP datagram"
