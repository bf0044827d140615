# SPDX-License-Identifier: GPL-2.0-or-later
"""The engine at work: a thread that feeds it and never waits for whoever looks on.

The view asks for a snapshot; the thread makes one between two messages and publishes it, as one object that never
changes. Making snapshots takes a tenth of the thread's time: the larger the cluster, the rarer they are, but for one a
second. A file is played at a multiple of its speed. To go back in time the capture is read again from its start, so
that what is known then is what was known there at first. Only the time of a verdict may differ, by less than a round:
the engine judges when a node speaks again, or earlier where it is asked for a snapshot meanwhile.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator

from scapy_chitchat.capture import CapturedMessage, CaptureError, Counters, Frame, notes
from scapy_chitchat.cluster import Cluster, Event, Settings
from scapy_chitchat.watch.snapshot import Frames, Snapshot

EVENTS, RECENT = 500, 5000
"""So many of the latest events and messages are kept for the view."""
STEPS = 2000
"""The ways of so many versions are kept."""
KEPT_BYTES = 64 << 20
"""Bytes of the latest frames that are kept, to be saved."""
SHARE = 9
"""After a snapshot so many times as long goes by as it took, until the next one is made."""
MOST_WAIT = 1.0
"""Seconds until the next one at the most, however large the cluster is."""
SWITCH = 0.0002
"""Seconds after which a thread that draws lets the engine go on, instead of Python's 0.005."""
PAUSE = 0.05
"""Seconds for which the thread waits at a time, where it waits."""

Open = Callable[[], Iterable["Frame | None"]]
"""Opens what is to be watched, anew each time; None comes in quiet moments."""
Read = Callable[[Iterable[Frame], Counters], Iterator[CapturedMessage]]
"""The messages in frames, each with its frames."""


class Watcher:
    """Feeds the engine from a thread; gives snapshots.

    ``speed``: how many times as fast as it was captured a file is played; None: live, as it comes. ``dropped``: asks
    how many frames the kernel has dropped.
    """

    def __init__(
        self,
        open_: Open,
        read: Read,
        settings: Settings,
        *,
        speed: float | None = None,
        dropped: Callable[[], int] = lambda: 0,
    ) -> None:
        self._open, self._read, self._settings = open_, read, settings
        self.speed = speed
        self._dropped = dropped
        self.failure: str | None = None
        """Why reading ended before its end."""
        self.at_end = False
        """Nothing more comes, unless one goes back."""
        self._snapshot = Snapshot()
        self._asked = False
        self._wants_ways = False
        self._not_before = 0.0
        self._stopped = False
        self._playing = True
        self._goal: int | None = None
        """The moment to go to without pausing."""
        self._again = False
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._reset()

    def _reset(self) -> None:
        """As before the first message."""
        self.cluster = Cluster(self._settings)
        self.counters = Counters()
        self._events: deque[Event] = deque(maxlen=EVENTS)
        self._recent: deque[CapturedMessage] = deque(maxlen=RECENT)
        self._frames: deque[Frames] = deque()
        self._kept = 0
        self._messages = self._first = self._now = 0
        self._anchor: tuple[float, int] | None = None
        """A moment of the clock, and that of the capture which belongs to it."""

    # --- for the view: nothing here waits ---

    def start(self) -> None:
        """Begin."""
        # whoever reads a packet gives the interpreter away, and would wait for it as long as the view may have it
        sys.setswitchinterval(SWITCH)
        self._thread.start()

    def stop(self) -> None:
        """End; what the thread holds is let go."""
        self._stopped = True
        self._wake.set()

    def join(self) -> None:
        """Wait until the thread has ended."""
        self._thread.join()

    def ask(self, *, ways: bool = False) -> Snapshot:
        """The latest snapshot; a newer one is made soon. ``ways``: with the ways of versions."""
        self._wants_ways = ways
        self._asked = True
        return self._snapshot

    def play(self, playing: bool) -> None:
        """Go on, or stand still; of a file only."""
        self._playing = playing
        self._anchor = None
        self._wake.set()

    def seek(self, moment: int) -> None:
        """Go to this moment of the file, forwards or back; nanoseconds since the epoch."""
        self._goal = max(moment, self._first)
        self._again = self._again or self._goal < self._now
        self._wake.set()

    def frames(self) -> list[Frame]:
        """The frames of the messages so far, as far as they are kept."""
        return [frame for frames in self._frames.copy() for frame in frames]

    # --- the thread ---

    def _run(self) -> None:
        while not self._stopped:
            self._again = False
            try:
                for message in self._read(self._paced(), self.counters):
                    self._take(message)
            except CaptureError as error:
                self.failure = str(error)
            if not self._again:
                self._at_the_end()
            if self._again:
                self._reset()

    def _take(self, message: CapturedMessage) -> None:
        self._messages += 1
        self._now = max(self._now, message.datagram.nanoseconds)
        self._events.extend(self.cluster.feed(message))
        self._recent.append(message)
        frames = message.datagram.frames
        self._frames.append(frames)
        self._kept += sum(len(each.data) for each in frames)
        while self._kept > KEPT_BYTES:
            self._kept -= sum(len(each.data) for each in self._frames.popleft())
        if self._asked:
            self._publish()

    def _paced(self) -> Iterator[Frame]:
        """The frames, each when its time has come."""
        for frame in self._open():
            if frame is None:
                self._publish(time.time_ns())
            else:
                moment = frame.time * 10**9 // 10**frame.decimals
                self._first = self._first or moment
                if self.speed is not None:
                    self._wait_for(moment)
                yield frame
            if self._stopped or self._again:
                return

    def _wait_for(self, moment: int) -> None:
        """Wait until the playing has come to this moment."""
        assert self.speed is not None
        while not (self._stopped or self._again):
            if self._goal is not None:
                if moment <= self._goal:
                    return
                self._now, self._goal, self._anchor = max(self._now, self._goal), None, None
            clock = time.monotonic()
            if not self._playing:
                self._anchor = None
            else:
                since, at = self._anchor = self._anchor or (clock, self._now or moment)
                reached = at + int((clock - since) * self.speed * 1e9)
                if reached >= moment:
                    return
                self._now = max(self._now, reached)
            self._publish(self._now)
            self._rest()

    def _rest(self) -> None:
        self._wake.wait(PAUSE)
        self._wake.clear()

    def _at_the_end(self) -> None:
        """Nothing more comes: answer, until the view goes back in time or is closed."""
        self._events.extend(self.cluster.finish())
        self._goal = None
        self.at_end = True
        while not (self._stopped or self._again):
            self._publish()
            self._rest()
        self.at_end = False

    def _publish(self, now: int | None = None) -> None:
        """Make a snapshot, if one is asked for and the last one is long enough ago."""
        if not self._asked or time.monotonic() < self._not_before:
            return
        self._asked = False
        if self._goal is not None:  # the engine is asked again when it is there
            self._snapshot = self._snapshot._replace(seeking=True, messages=self._messages, now=self._now)
            return
        began = time.thread_time()
        self._snapshot = Snapshot(
            states=tuple(self.cluster.at(now)),
            events=tuple(self._events),
            recent=tuple(self._recent),
            steps=tuple(self.cluster.followed()) if self._wants_ways else (),
            messages=self._messages,
            first=self._first,
            now=max(now or 0, self._now),
            losses=tuple(notes(self.counters)),
            dropped=self._dropped(),
            playing=self._playing,
            ended=self.at_end,
            failure=self.failure or "",
        )
        self._not_before = time.monotonic() + min(SHARE * (time.thread_time() - began), MOST_WAIT)
