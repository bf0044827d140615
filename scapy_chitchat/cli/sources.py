# SPDX-License-Identifier: GPL-2.0-or-later
"""The captures that are named on a command line, as one, with a bar where it takes long."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager

from scapy_chitchat.capture import CaptureError, CaptureFile, Counters, Frame, expand, in_time
from scapy_chitchat.capture.frames import Source
from scapy_chitchat.cli.common import CommandFailed, Progress, complain, counted, progress_bar
from scapy_chitchat.net.text import printable


class Sources:
    """The frames of files; a bad file is complained of, and the next one read."""

    def __init__(self, files: Sequence[str], counters: Counters, *, as_given: bool, silent: bool) -> None:
        """Raises CommandFailed where a folder or a pattern has no captures.

        ``as_given``: one is read behind the other, not by their times. ``silent``: nothing goes to standard output
        meanwhile, so that a progress bar disturbs nobody.
        """
        self.named = files
        self.as_given = as_given
        self.counters = counters
        self.silent = silent
        self.failed = False
        self._progress = Progress()
        self._open: list[CaptureFile] = []
        self._done = 0  # bytes of files that were read
        try:
            self._files = expand(files)
        except CaptureError as error:
            raise CommandFailed(str(error)) from None

    def frames(self) -> Iterator[Frame]:
        """Every frame of every file."""
        size = sum(os.path.getsize(each) for each in self._files if os.path.isfile(each))
        title = self._files[0] if len(self._files) == 1 else counted(len(self._files), "capture")
        with progress_bar(title, size, silent=self.silent) as self._progress:
            yield from in_time(self._files, self._frames, as_given=self.as_given)

    def _frames(self, file: Source) -> Iterator[Frame]:
        """Every frame of one file; what is wrong with it is said."""
        counters = self.counters
        some = readable = False
        try:
            with CaptureFile(file) as frames, self._counted(frames):
                for frame in frames:
                    before = counters.unreadable
                    yield frame  # who takes it has read it when we go on
                    some = True
                    readable = readable or counters.unreadable == before
        except CaptureError as error:
            self.failed = True
            sys.stdout.flush()
            complain(str(error))
        self.failed |= some and not readable

    @contextmanager
    def _counted(self, file: CaptureFile) -> Iterator[None]:
        """While this file is open, and afterwards, it counts for the progress."""
        self._open.append(file)
        try:
            yield
        finally:
            self._open.remove(file)
            self._done += file.size or 0

    def not_among(self, path: str) -> str:
        """The path of a file to write. Raises CommandFailed where it is one of those that are read."""
        for each in self._files:
            if os.path.exists(path) and os.path.exists(each) and os.path.samefile(path, each):
                raise CommandFailed(f"{printable(path)} is one of the captures to read: write another file")
        return path

    def show_progress(self) -> None:
        """Show how far it has come; to be called now and then."""
        self._progress.reached(self._done + sum(each.position() for each in self._open))

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
