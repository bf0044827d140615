# SPDX-License-Identifier: GPL-2.0-or-later
"""From capture files to frames: the one careful way in which every command opens captures.

pcap.py and pcapng.py know the formats; here a file's first bytes decide between them. Several captures become one
stream of frames: parts of one follow each other, and those that were made at the same time are interleaved.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from heapq import heappop, heappush, heapreplace
from itertools import chain
from typing import IO, cast

from scapy_chitchat.capture.frame import LARGEST_FRAME, Frame
from scapy_chitchat.capture.pcap import pcap_frames
from scapy_chitchat.capture.pcapng import pcapng_frames
from scapy_chitchat.capture.sources import CAPTURE_MAGICS, CaptureError, Feed, Source, name_of

__all__ = ["LARGEST_FRAME", "CaptureError", "CaptureFile", "Frame", "Source", "in_time", "name_of"]

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


def in_time(
    sources: Iterable[Source], read: Callable[[Source], Iterable[Frame]], *, as_given: bool = False
) -> Iterator[Frame]:
    """The frames of captures by their times, as if all had been captured together; ``read`` opens one of them.

    Each capture keeps its own order, and is opened when the time of its first frame has come: of a ring of files that
    follow each other one is open at a time. Captures without a frame, or that cannot be read, come last. Streams
    cannot be looked into: where there is one, or ``as_given``, one capture is read behind the other.
    """
    listed = list(sources)
    if as_given or len(listed) < 2 or any(each == "-" or hasattr(each, "read") for each in listed):
        yield from chain.from_iterable(map(read, listed))
        return
    first = {place: _first_time(source) for place, source in enumerate(listed)}
    waiting = deque(sorted(first, key=first.__getitem__))
    open_: list[tuple[float, int, Frame, Iterator[Frame]]] = []  # by the time of the next frame of each
    while open_ or waiting:
        while waiting and (not open_ or first[waiting[0]] <= open_[0][0]):
            place = waiting.popleft()
            frames = iter(read(listed[place]))
            if (frame := next(frames, None)) is not None:
                heappush(open_, (_time(frame), place, frame, frames))
        if not open_:
            continue
        _, place, frame, frames = open_[0]
        yield frame
        if len(open_) == 1 and not waiting:
            yield from frames
            return
        if (following := next(frames, None)) is None:
            heappop(open_)
        else:
            heapreplace(open_, (_time(following), place, following, frames))


def _time(frame: Frame) -> float:
    return float(frame.time / 10**frame.decimals)


def _first_time(source: Source) -> float:
    try:
        with CaptureFile(source) as frames:
            first = next(iter(frames), None)
    except CaptureError:
        return float("inf")
    return _time(first) if first else float("inf")


def as_sources(sources: Source | Iterable[Source]) -> list[Source]:
    """One source or several, as a list."""
    one = isinstance(sources, str) or hasattr(sources, "__fspath__") or hasattr(sources, "read")
    return [cast("str | IO[bytes]", sources)] if one else list(cast("Iterable[Source]", sources))
