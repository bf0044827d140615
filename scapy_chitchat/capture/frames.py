# SPDX-License-Identifier: GPL-2.0-or-later
"""From capture files to frames.

Scapy's raw readers know pcap and pcapng. What they do not tell is whether a capture ended where it should: they take
a file that breaks off for one that ends. So they get a stream that watches them read.
"""

from __future__ import annotations

import gzip
import os
import struct
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple, TypeAlias, cast

from scapy.error import Scapy_Exception
from scapy.utils import RawPcapNgReader

Source: TypeAlias = "str | os.PathLike[str] | IO[bytes]"
"""A path, ``-`` for standard input, or an open binary stream."""

LARGEST_FRAME = 1 << 20
"""Bytes of a frame that are read at the most: more than any that can hold a datagram."""


class CaptureError(Exception):
    """The capture could not be read, or not to its end. The message is one line and names the file."""


class Frame(NamedTuple):
    """One frame of a capture, as it was captured."""

    number: int
    """1 for the first of the capture, as Wireshark counts."""
    time: int
    """Since the epoch, in units of 10 to the power of ``-decimals`` seconds."""
    decimals: int
    linktype: int
    data: bytes
    length: int
    """Bytes on the wire: more than in ``data`` where the capture's snap length cut the frame."""


class _Watched:
    """A stream that tells a clean end from one in the middle of something.

    ``reads`` is set to 0 before each record: an end at the first read after that is clean.
    """

    def __init__(self, start: bytes, stream: IO[bytes]) -> None:
        self.start = start
        self.stream = stream
        self.reads = 0
        self.broken = False

    def read(self, size: int) -> bytes:
        try:
            data = self._read(size)
        except (EOFError, OSError, zlib.error):
            self.broken = True
            return b""
        if len(data) < size and (data or self.reads):
            self.broken = True
        self.reads += 1
        return data

    def _read(self, size: int) -> bytes:
        if not self.start:
            return self.stream.read(size)
        data, self.start = self.start[:size], self.start[size:]
        return data + self.stream.read(size - len(data)) if len(data) < size else data


def name_of(source: Source) -> str:
    """How to call a source in a message to a person."""
    return "standard input" if source == "-" else str(getattr(source, "name", source))


class CaptureFile:
    """The frames of one capture: an iterator, and a context manager that closes what it opened.

    Raises CaptureError at once where the source cannot be opened or is no capture, and while iterating, behind the
    last whole frame, where it is cut off or damaged.
    """

    def __init__(self, source: Source) -> None:
        self.name = name_of(source)
        self.size: int | None = None
        self._opened: IO[bytes] | None = None
        self._stream = self._open(source)
        start = self._stream.read(4)
        if start[:2] == b"\x1f\x8b":
            unzipped = gzip.GzipFile(fileobj=cast(Any, _Watched(start, self._stream)))
            self._watched = _Watched(b"", cast(Any, unzipped))
        else:
            self._watched = _Watched(start, self._stream)
        try:
            self._reader: Any = RawPcapNgReader(self._watched)  # type: ignore[arg-type]
        except (Scapy_Exception, EOFError, struct.error):
            self.close()
            raise CaptureError(f"{self.name}: no pcap or pcapng capture") from None

    def _open(self, source: Source) -> IO[bytes]:
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

    def position(self) -> int:
        """How many bytes have been read of a file that was opened here, for a progress bar."""
        return self._opened.tell() if self._opened else 0

    def close(self) -> None:
        """Close the file, if it was opened here."""
        if self._opened:
            self._opened.close()

    def __enter__(self) -> CaptureFile:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[Frame]:
        reader, watched = self._reader, self._watched
        by_block = hasattr(reader, "_read_block")
        read = reader._read_block if by_block else reader._read_packet
        decimals = 9 if getattr(reader, "nano", False) else 6
        linktype = getattr(reader, "linktype", 0)
        number = 0
        while True:
            watched.reads = 0
            try:
                found = read(size=LARGEST_FRAME)
            except (EOFError, Scapy_Exception, struct.error):
                if watched.broken or watched.reads > 1:
                    self._complain(number)
                return
            if watched.broken:
                self._complain(number)
            if found is None:
                continue
            number += 1
            data, meta = found
            if by_block:
                linktype = meta.linktype
                time, decimals = _pcapng_time(meta)
            else:
                time = meta.sec * 10**decimals + meta.usec
            yield Frame(number, time, decimals, linktype, data, meta.wirelen)

    def _complain(self, number: int) -> None:
        what = "is cut off" if self._watched.broken else "is damaged"
        raise CaptureError(f"{self.name}: the capture {what} behind frame {number}")


def _pcapng_time(meta: Any) -> tuple[int, int]:
    """Time and decimals of a pcapng record; a resolution that is a power of two is given in nanoseconds."""
    ticks = (meta.tshigh or 0) << 32 | (meta.tslow or 0)
    if meta.tsresol == 1_000_000:
        return ticks, 6
    decimals = len(str(meta.tsresol)) - 1
    if meta.tsresol == 10**decimals:
        return ticks, decimals
    return ticks * 10**9 // meta.tsresol, 9
