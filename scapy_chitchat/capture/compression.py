# SPDX-License-Identifier: GPL-2.0-or-later
"""Compressed captures, known by their content: gzip, zstd, xz and lz4.

What is unpacked at a time is bounded by what is asked for, not by what a file announces: every engine here takes
packed bytes in small pieces, or stops at a given size.
"""

from __future__ import annotations

import lzma
import zlib
from collections.abc import Callable
from typing import NamedTuple, Protocol

import zstandard

PIECE = 1 << 18
"""Bytes that are unpacked at a time by the engines that can stop."""
ZSTD_PIECE = 256
"""Packed bytes that zstd gets at a time: its engine cannot stop, and a block of 4 bytes unpacks to 128 KiB."""
MOST_MEMORY = 1 << 27
"""Bytes that a window or a dictionary may have: what the zstd program allows, too."""


class Damaged(Exception):
    """The packed bytes are none, or end too early. The text says which, as what follows "the capture"."""


class _Engine(Protocol):
    """Unpacks one stream."""

    ended: bool
    rest: bytes
    """What comes behind the stream's end."""

    def feed(self, data: bytes) -> bytes:
        """What these packed bytes give, or the first part of it."""

    def wants_input(self) -> bool:
        """Whether there is nothing more to be had without new bytes."""


class _Gzip:
    def __init__(self) -> None:
        self._engine = zlib.decompressobj(31)
        self.ended, self.rest = False, b""

    def feed(self, data: bytes) -> bytes:
        out = self._engine.decompress(self._engine.unconsumed_tail + data, PIECE)
        self.ended, self.rest = self._engine.eof, self._engine.unused_data
        self._full = len(out) == PIECE
        return out

    _full = False

    def wants_input(self) -> bool:
        return not self._engine.unconsumed_tail and not self._full


class _Bounded(Protocol):
    """What the engines of lzma and lz4 have in common."""

    @property
    def eof(self) -> bool:
        """The stream is over."""

    @property
    def needs_input(self) -> bool:
        """Nothing more comes without new bytes."""

    def decompress(self, data: bytes, max_length: int) -> bytes:
        """At most so many bytes."""


class _Stopping:
    def __init__(self, engine: _Bounded) -> None:
        self._engine = engine
        self.ended, self.rest = False, b""

    def feed(self, data: bytes) -> bytes:
        out = self._engine.decompress(data, max_length=PIECE)
        self.ended = self._engine.eof
        self.rest = getattr(self._engine, "unused_data", b"") or b""
        return out

    def wants_input(self) -> bool:
        return self._engine.needs_input


class _Zstd:
    def __init__(self) -> None:
        self._engine = zstandard.ZstdDecompressor(max_window_size=MOST_MEMORY).decompressobj()
        self._waiting, self._at = b"", 0
        self.ended, self.rest = False, b""

    def feed(self, data: bytes) -> bytes:
        if data:
            self._waiting, self._at = self._waiting[self._at :] + data, 0
        end = self._at + ZSTD_PIECE
        out = self._engine.decompress(self._waiting[self._at : end])
        self._at = end
        if self._engine.eof:
            self.ended, self.rest = True, self._engine.unused_data + self._waiting[end:]
        return out

    def wants_input(self) -> bool:
        return self._at >= len(self._waiting)


def _xz() -> _Engine:
    return _Stopping(lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MOST_MEMORY))


def _lz4() -> _Engine:
    from lz4.frame import LZ4FrameDecompressor  # few captures need it

    return _Stopping(LZ4FrameDecompressor())


class Format(NamedTuple):
    """A way to compress."""

    magic: bytes
    engine: Callable[[], _Engine]


FORMATS = (
    Format(b"\x1f\x8b", _Gzip),
    Format(b"\x28\xb5\x2f\xfd", _Zstd),
    Format(b"\xfd7zXZ\0", _xz),
    Format(b"\x04\x22\x4d\x18", _lz4),
)
"""The compressions that are known, by their first bytes."""

_ERRORS = (zlib.error, lzma.LZMAError, zstandard.ZstdError, EOFError, RuntimeError, ValueError, MemoryError)


def format_of(start: bytes) -> Format | None:
    """The compression of what begins so."""
    return next((each for each in FORMATS if start.startswith(each.magic)), None)


class Unpacked:
    """What the packed bytes from ``more`` are, behind ``start``; several streams in a row are one.

    ``more`` gives some packed bytes, none at the end.
    """

    def __init__(self, packing: Format, start: bytes, more: Callable[[], bytes]) -> None:
        self._format = packing
        self._engine = packing.engine()
        self._pending = start
        self._more = more
        self._over = False
        self._out = b""

    def read1(self, size: int) -> bytes:
        """Some bytes, at most ``size``; none at the end. Raises Damaged."""
        while not self._out and not self._over:
            self._out = self._unpack()
        out, self._out = self._out[:size], self._out[size:]
        return out

    def _unpack(self) -> bytes:
        if self._engine.ended:
            return self._next_stream()
        if not self._pending and self._engine.wants_input():
            self._pending = self._more()
            if not self._pending:
                raise Damaged("is cut off")
        data, self._pending = self._pending, b""
        try:
            return self._engine.feed(data)
        except _ERRORS:
            raise Damaged("is damaged") from None

    def _next_stream(self) -> bytes:
        """Go on with the stream behind the one that ended; what is no such stream is padding."""
        rest = self._engine.rest
        while len(rest) < len(self._format.magic) and (got := self._more()):
            rest += got
        if rest.startswith(self._format.magic):
            self._engine, self._pending = self._format.engine(), rest
        else:
            self._over = True
        return b""
