# SPDX-License-Identifier: GPL-2.0-or-later
"""Which captures to read, and their bytes: paths, folders and patterns, standard input, open streams.

A feed gives the bytes of one source in large pieces, as few as are asked for, and never waits for more than it needs:
a pipe that a live capture writes to is shown as it comes. What fails on the way ends the feed and is remembered, so
that who reads can say behind which frame it was.
"""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO, Protocol, TypeAlias

from scapy_chitchat.capture.compression import Damaged, Unpacked, format_of

Source: TypeAlias = "str | os.PathLike[str] | IO[bytes]"
"""A path, ``-`` for standard input, or an open binary stream."""

CHUNK = 1 << 18
"""Bytes that are asked for at a time."""
MOST_PACKINGS = 4
"""How many times over a capture may be compressed."""
LONGEST_MAGIC = 6
"""Bytes by which compressions and captures are known."""


class CaptureError(Exception):
    """The capture could not be read, or not to its end. The message is one line and names the file."""


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes:
        """At most so many bytes; none at the end."""


def name_of(source: Source) -> str:
    """How to call a source in a message to a person."""
    return "standard input" if source == "-" else str(getattr(source, "name", source))


class Feed:
    """The bytes of one source, unpacked if they are compressed. Raises CaptureError where it cannot be opened."""

    def __init__(self, source: Source) -> None:
        self.name = name_of(source)
        self.size: int | None = None
        """Bytes of the file as it lies there; None for what is no file."""
        self.trouble = ""
        """What ended the feed before its end, if something did."""
        self._opened: IO[bytes] | None = None
        stream = self._open(source)
        # an object that can only read to a given size is asked for no more than is needed: it may be a pipe
        self._read: Callable[[int], bytes] | None = getattr(stream, "read1", None)
        self._exactly = stream.read
        self._unpack()

    def _open(self, source: Source) -> _Readable:
        if source == "-":
            return sys.stdin.buffer
        if not isinstance(source, (str, os.PathLike)):
            return source
        try:
            self._opened = Path(source).open("rb")  # noqa: SIM115
            self.size = os.fstat(self._opened.fileno()).st_size
        except OSError as error:
            raise CaptureError(f"{self.name}: {error.strerror}") from None
        return self._opened

    def _unpack(self) -> None:
        """Look at the first bytes, and put what unpacks them before the stream."""
        self.start = self.more(b"", LONGEST_MAGIC)
        for _ in range(MOST_PACKINGS):
            found = format_of(self.start)
            if found is None:
                return
            self._read = Unpacked(found, self.start, _chunks(self._read or self._exactly)).read1
            self.start = self.more(b"", LONGEST_MAGIC)
        if format_of(self.start):
            self.close()
            raise CaptureError(f"{self.name}: compressed more than {MOST_PACKINGS} times over")

    def more(self, rest: bytes, needed: int) -> bytes:
        """``rest`` and what comes behind it: ``needed`` bytes or more, fewer only where the feed ends."""
        parts, have = [rest], len(rest)
        try:
            while have < needed:
                got = self._read(max(CHUNK, needed - have)) if self._read else self._exactly(needed - have)
                if not got:
                    break
                parts.append(got)
                have += len(got)
        except Damaged as error:
            self.trouble = str(error)
        except OSError:
            self.trouble = "cannot be read"
        return b"".join(parts)

    def skip(self, count: int) -> bool:
        """Pass over so many bytes without keeping them; whether there were as many."""
        while count > 0:
            got = self.more(b"", min(count, CHUNK))
            if not got:
                return False
            if len(got) > count:
                self._give_back(got[count:])
            count -= len(got)
        return True

    def _give_back(self, rest: bytes) -> None:
        read, exactly = self._read, self._exactly
        pending = [rest]

        def first_the_rest(size: int) -> bytes:
            if pending:
                return pending.pop()
            self._read = read
            return read(size) if read else exactly(size)

        self._read = first_the_rest

    def error(self, number: int, what: str = "") -> CaptureError:
        """The capture ends behind this frame though it should not: ``what`` is wrong, or the feed's own trouble."""
        return CaptureError(f"{self.name}: the capture {self.trouble or what or 'is cut off'} behind frame {number}")

    def position(self) -> int:
        """How many bytes have been read of a file that was opened here, for a progress bar."""
        return self._opened.tell() if self._opened else 0

    def close(self) -> None:
        """Close the file, if it was opened here."""
        if self._opened:
            self._opened.close()


def _chunks(read: Callable[[int], bytes]) -> Callable[[], bytes]:
    """Packed bytes for who unpacks them, a chunk at a time."""
    return lambda: read(CHUNK)


def expand(names: Iterable[str]) -> list[str]:
    """The files that names stand for: a folder for the captures in it, a pattern (``*.pcap``) for what matches it.

    Raises CaptureError for a folder without captures and a pattern that matches nothing.
    """
    found: list[str] = []
    for name in names:
        if name != "-" and os.path.isdir(name):
            inside = sorted(os.path.join(name, each) for each in os.listdir(name) if not each.startswith("."))
            new = [each for each in inside if os.path.isfile(each) and _begins_as_capture(each)]
            if not new:
                raise CaptureError(f"{name}: no captures in this folder")
        elif glob.has_magic(name) and not os.path.lexists(name):
            new = sorted(glob.glob(name, recursive=True))
            if not new:
                raise CaptureError(f"{name}: no file matches")
        else:
            new = [name]
        found += new
    return found


CAPTURE_MAGICS = tuple(
    bytes.fromhex(each) for each in ("d4c3b2a1", "a1b2c3d4", "4d3cb2a1", "a1b23c4d", "34cdb2a1", "a1b2cd34", "0a0d0d0a")
)
"""How captures begin: pcap in both byte orders with micro- and nanoseconds, modified pcap, pcapng."""


def _begins_as_capture(path: str) -> bool:
    try:
        feed = Feed(path)
    except CaptureError:
        return False
    feed.close()
    return feed.start.startswith(CAPTURE_MAGICS)
