# SPDX-License-Identifier: GPL-2.0-or-later
"""From capture files to frames: the one careful way in which every command opens captures.

pcap.py and pcapng.py know the formats; here a file's first bytes decide between them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import IO, cast

from scapy_chitchat.capture.frame import LARGEST_FRAME, Frame
from scapy_chitchat.capture.pcap import pcap_frames
from scapy_chitchat.capture.pcapng import pcapng_frames
from scapy_chitchat.capture.sources import CAPTURE_MAGICS, CaptureError, Feed, Source, name_of

__all__ = ["LARGEST_FRAME", "CaptureError", "CaptureFile", "Frame", "Source", "in_order", "name_of"]

_PCAPNG = CAPTURE_MAGICS[-1]


class CaptureFile:
    """The frames of one capture: an iterator, and a context manager that closes what it opened.

    Raises CaptureError at once where the source cannot be opened or is no capture, and while iterating, behind the
    last whole frame, where it is cut off or damaged.
    """

    def __init__(self, source: Source) -> None:
        self._feed = Feed(source)
        self.name = self._feed.name
        self.size = self._feed.size
        """Bytes of the file as it lies there; None for what is no file."""
        start = self._feed.start
        read = pcapng_frames if start.startswith(_PCAPNG) else pcap_frames
        if not start.startswith(CAPTURE_MAGICS):
            self.close()
            raise CaptureError(f"{self.name}: no pcap or pcapng capture")
        try:
            self._frames = read(self._feed)
        except CaptureError:
            self.close()
            raise

    def position(self) -> int:
        """How many bytes have been read of a file that was opened here, for a progress bar."""
        return self._feed.position()

    def close(self) -> None:
        """Close the file, if it was opened here."""
        self._feed.close()

    def __enter__(self) -> CaptureFile:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[Frame]:
        return self._frames


def in_order(sources: Iterable[Source]) -> list[Source]:
    """Captures in the order of the time of their first frames, as the parts of one long capture follow each other.

    Captures without a frame, or that cannot be read, come last. Streams cannot be looked into: where there is one,
    all stay in the order they are in.
    """
    listed = list(sources)
    if len(listed) < 2 or any(each == "-" or hasattr(each, "read") for each in listed):
        return listed
    return sorted(listed, key=_first_time)


def _first_time(source: Source) -> float:
    try:
        with CaptureFile(source) as frames:
            first = next(iter(frames), None)
    except CaptureError:
        return float("inf")
    return first.time / 10**first.decimals if first else float("inf")


def as_sources(sources: Source | Iterable[Source]) -> list[Source]:
    """One source or several, as a list."""
    one = isinstance(sources, str) or hasattr(sources, "__fspath__") or hasattr(sources, "read")
    return [cast("str | IO[bytes]", sources)] if one else list(cast("Iterable[Source]", sources))
