# SPDX-License-Identifier: GPL-2.0-or-later
"""The captures that are named on a command line, as parts of one, with a bar where it takes long."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Iterator, Sequence
from copy import copy

from scapy_chitchat.capture import CaptureError, CaptureFile, Counters, Frame, expand, in_order, nothing_readable
from scapy_chitchat.cli.common import CommandFailed, Progress, complain, counted, progress_bar
from scapy_chitchat.net.text import printable


class Sources:
    """The frames of files; a bad file is complained of, and the next one read."""

    def __init__(self, files: Sequence[str], counters: Counters, *, as_given: bool, silent: bool) -> None:
        """Raises CommandFailed where a folder or a pattern has no captures.

        ``as_given``: read in this order, not in that of their times. ``silent``: nothing goes to standard output
        meanwhile, so that a progress bar disturbs nobody.
        """
        self.named = files
        self.counters = counters
        self.silent = silent
        self.failed = False
        self._progress: tuple[CaptureFile, Progress] | None = None
        try:
            found = expand(files)
        except CaptureError as error:
            raise CommandFailed(str(error)) from None
        self._files = found if as_given else in_order(found)

    def frames(self) -> Iterator[Frame]:
        """Every frame of every file."""
        for file in self._files:
            before = copy(self.counters)
            try:
                with (
                    CaptureFile(file) as frames,
                    progress_bar(frames.name, frames.size or 0, silent=self.silent) as bar,
                ):
                    self._progress = frames, bar
                    yield from frames
            except CaptureError as error:
                self.failed = True
                sys.stdout.flush()
                complain(str(error))
            self.failed |= nothing_readable(self.counters, before)

    def not_among(self, path: str) -> str:
        """The path of a file to write. Raises CommandFailed where it is one of those that are read."""
        for each in map(str, self._files):
            if os.path.exists(path) and os.path.exists(each) and os.path.samefile(path, each):
                raise CommandFailed(f"{printable(path)} is one of the captures to read: write another file")
        return path

    def show_progress(self) -> None:
        """Show how far it has come; to be called now and then."""
        if self._progress:
            frames, progress = self._progress
            progress.reached(frames.position())

    def nothing_found(self, ports: Collection[int] = ()) -> str:
        """What to say when there was no message at all."""
        counters = self.counters
        if ports and counters.datagrams:
            named = ", ".join(map(str, sorted(ports)))
            datagrams = counted(counters.datagrams, "UDP datagram")
            return f"nothing from or to port {named} among {datagrams}: leave out --port to see all"
        what = f"no chitchat messages in {printable(', '.join(self.named))}"
        if counters.datagrams:
            datagrams = counted(counters.datagrams, "UDP datagram")
            return f"{what}, but {datagrams}; if gossip is among them, name its port with --port"
        return f"{what}: {counted(counters.frames, 'frame')} and no UDP datagram"
