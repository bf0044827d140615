# SPDX-License-Identifier: GPL-2.0-or-later
"""The application: asks for a snapshot on a timer, has the screen on top show it, and does what keys want."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from rich.text import Text
from textual.app import App
from textual.binding import Binding
from textual.widgets import Input

from scapy_chitchat.capture.writing import CaptureWriter
from scapy_chitchat.cluster import ClusterState
from scapy_chitchat.net.text import printable
from scapy_chitchat.watch.rows import EventRows, Run
from scapy_chitchat.watch.screens import Help, OneNode, Overview, Peers, Tables
from scapy_chitchat.watch.snapshot import Snapshot, Words
from scapy_chitchat.watch.watcher import Watcher

EVERY = 0.25
"""Seconds between two looks at the engine."""
REST = 3
"""After a drawing so many times as long goes by as it took, until the next one."""
SECOND = 10**9
"""Nanoseconds."""


class Watch(App[None]):
    """The view of what a watcher sees. ``name``: the files or the interface; ``live``: there is no going back."""

    ENABLE_COMMAND_PALETTE = False
    CSS = """
    #title { background: $primary; color: $text; height: 1; text-style: bold; text-wrap: nowrap; }
    #status { background: $surface; height: 1; text-wrap: nowrap; }
    Rows { height: 1fr; border-top: solid $primary; scrollbar-size: 0 1; }
    Rows:focus { border-top: heavy $accent; }
    #line { height: 3; }
    .hidden { display: none; }
    #help { padding: 1 1; }
    """
    BINDINGS = [
        Binding("q", "leave(True)", "back"),
        Binding("escape", "leave(False)", "back", priority=True),
        Binding("question_mark", "help", "help"),
        Binding("space", "hold", "stand still"),
        Binding("slash", "search", "search"),
        Binding("n", "next(1)", "next"),
        Binding("N", "next(-1)", "previous"),
        Binding("f", "filter", "filter"),
        Binding("s", "sort", "sort"),
        Binding("S", "turn", "the other way round"),
        Binding("c", "cluster", "next cluster"),
        Binding("l", "peers", "ladders"),
        Binding("w", "save", "save"),
        Binding("e", "end", "to the end"),
        Binding("t", "time", "to a moment"),
    ]

    def __init__(self, watcher: Watcher, words: Words, name: str, *, live: bool) -> None:
        super().__init__()
        self.watcher, self.words, self.of, self.live = watcher, words, name, live
        self.event_rows = EventRows(words)
        self.snapshot = Snapshot()
        self.cluster_id: str | None = None
        self.held = False
        self.said = ""
        """The answer to the last key, until the next one."""
        self._began = self._not_before = 0.0
        self._then: Callable[[str], None] | None = None
        """What the line that is typed is for."""

    def on_mount(self) -> None:
        """Begin: the engine, the first screen, the timer."""
        self.watcher.start()
        self.push_screen(Overview())
        self.set_interval(EVERY, self.look)

    def on_unmount(self) -> None:
        """The view is over."""
        self.watcher.stop()

    def look(self) -> None:
        """Take the latest snapshot and show it; while a live view is held, nothing."""
        if (self.held and self.live) or time.monotonic() < self._not_before:
            return
        snapshot = self.watcher.ask(ways=isinstance(self.screen, OneNode))
        if snapshot is self.snapshot:
            return
        self.snapshot = snapshot
        self._began = time.thread_time()
        self.show()
        self.call_after_refresh(self._rest)

    def _rest(self) -> None:
        """What was drawn is on the screen: most of the time is to be the engine's, however large the screen is."""
        self._not_before = time.monotonic() + min(REST * (time.thread_time() - self._began), 1.0)

    def show(self) -> None:
        """Have the screen on top show what there is."""
        if self.is_running and isinstance(self.screen, Tables) and self.screen.is_mounted:
            self.screen.refresh_rows()

    @property
    def state(self) -> ClusterState | None:
        """The cluster that is shown: the largest, until another one is chosen."""
        states = self.snapshot.states
        chosen = next((each for each in states if each.cluster_id == self.cluster_id), None)
        if chosen is None and states:
            chosen = max(states, key=lambda each: each.messages)
            self.cluster_id = chosen.cluster_id
        return chosen

    def status(self) -> Text:
        """The last line: time, what goes on, what was lost."""
        now = self.snapshot
        parts = [printable(self.of), self.words.time(now.now, now.first) if now.first else "waiting"]
        if self.said:
            parts.append(self.said)
        if now.failure:
            parts.append(printable(now.failure))
        parts.append(self._going())
        if now.dropped:
            parts.append(f"the kernel dropped {now.dropped:,} frames")
        parts += now.losses
        warns = bool(now.dropped or now.losses or now.failure)
        return Text(" | ".join(filter(None, [*parts, "? for help"])), "bold yellow" if warns else "", no_wrap=True)

    def _going(self) -> str:
        if self.snapshot.seeking:
            return "on the way there"
        if self.snapshot.ended:
            return "the end"
        if self.held:
            return "held: space goes on"
        return "live" if self.live else f"{self.watcher.speed:g}x"

    def say(self, text: str) -> None:
        """Answer a key in the status line."""
        self.said = text
        self.show()

    # --- keys ---

    @property
    def tables(self) -> Tables | None:
        """The screen on top, where it has tables."""
        return self.screen if isinstance(self.screen, Tables) else None

    def action_leave(self, quits: bool) -> None:
        """Out of the line, off the screen; off the first one, with q, out of the program."""
        if self._then is not None:
            self._close_line()
        elif len(self.screen_stack) > 2:
            self.pop_screen()
            self.call_after_refresh(self.show)
        elif quits:
            self.exit()
        elif self.tables and self.tables.active.filter:
            self._filter("")

    def action_help(self) -> None:
        """The page of keys."""
        if not isinstance(self.screen, Help):
            self.push_screen(Help())

    def action_hold(self) -> None:
        """Stand still, or go on."""
        self.held = not self.held
        if not self.live:
            self.watcher.play(not self.held)
        self.say("")

    def action_cluster(self) -> None:
        """The next cluster of the capture."""
        known = [each.cluster_id for each in self.snapshot.states]
        if len(known) < 2 or not isinstance(self.screen, Overview):
            self.say("there is one cluster" if known else "there is no cluster yet")
            return
        self.cluster_id = known[(known.index(self.cluster_id) + 1) % len(known)]
        self.say("")

    def action_peers(self) -> None:
        """With whom the node of the screen, or under the cursor, has spoken."""
        if isinstance(self.screen, OneNode):
            self.push_screen(Peers(self.screen.run))
        elif isinstance(self.screen, Overview) and (current := self.screen.table("members").current):
            node_id, generation_id, address = current.key[1:]
            run: Run = (str(node_id), int(str(generation_id)), str(address))
            self.push_screen(Peers(run))

    def action_sort(self) -> None:
        """Sort by the next column."""
        if self.tables:
            self.say(f"sorted by {self.tables.active.sort_next()}")

    def action_turn(self) -> None:
        """Sort the other way round."""
        if self.tables:
            self.tables.active.turn()

    def action_next(self, step: int) -> None:
        """The next row with what is sought, or the one before."""
        if self.tables and not self.tables.active.seek(step):
            self.say(f"nothing has {printable(self.tables.active.sought)!s}")

    def action_by(self, seconds: int) -> None:
        """So many seconds forth, or back."""
        self._seek(self.snapshot.now + seconds * SECOND)

    def action_end(self) -> None:
        """To the end of the files."""
        self._seek(2**63)

    def _seek(self, moment: int) -> None:
        if self.live:
            self.say("what is live cannot be gone back in: save it with w, and watch the file")
        else:
            self.watcher.seek(moment)
            self.say("")

    # --- the line ---

    def _ask(self, what: str, then: Callable[[str], None]) -> None:
        if self.tables is None:
            return
        self._then = then
        line = self.tables.line
        line.value, line.placeholder = "", what
        line.remove_class("hidden")
        line.focus()

    def _close_line(self) -> None:
        self._then = None
        if self.tables:
            self.tables.line.add_class("hidden")
            self.tables.table(self.tables.COLUMNS[0][0]).focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """The line is typed."""
        then = self._then
        self._close_line()
        if then is not None:
            then(event.value)

    def action_search(self) -> None:
        """Ask what to search for."""
        self._ask("search", self._search)

    def _search(self, text: str) -> None:
        if self.tables and text:
            self.tables.active.sought = text
            self.action_next(1)

    def action_filter(self) -> None:
        """Ask which rows to show."""
        self._ask("only rows with; empty for all", self._filter)

    def _filter(self, text: str) -> None:
        if self.tables:
            self.tables.active.filter = text
            self.tables.active.again()
            self.say(f"only rows with {printable(text)}: Esc for all" if text else "")

    def action_time(self) -> None:
        """Ask for a moment."""
        self._ask("seconds from the start, such as 12.5", self._go_to)

    def _go_to(self, text: str) -> None:
        try:
            self._seek(self.snapshot.first + int(float(text) * SECOND))
        except (ValueError, OverflowError):
            self.say(f"{printable(text)} is no number of seconds, such as 12.5")

    def action_save(self) -> None:
        """Ask for the name of a file."""
        self._ask("file to write the frames to, such as seen.pcapng", self._save)

    def _save(self, path: str) -> None:
        self.run_worker(lambda: self._write(path), thread=True)

    def _write(self, path: str) -> None:
        """Write the frames that are kept; a file that is there is left alone."""
        try:
            if Path(path).exists():
                raise FileExistsError(0, "is there already: name another file")
            with CaptureWriter(path) as writer:
                for frame in self.watcher.frames():
                    writer.frame(frame)
                said = f"{writer.packets:,} frames written to {printable(path)}"
        except OSError as error:
            said = f"{printable(path)}: {error.strerror}"
        self.call_from_thread(self.say, said)
