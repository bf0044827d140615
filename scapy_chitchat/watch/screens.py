# SPDX-License-Identifier: GPL-2.0-or-later
"""The screens: the cluster, one node, its peers, one ladder. Each shows tables of one snapshot.

A screen makes its rows of the snapshot that it is given; what it is about it keeps itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, cast

from rich.text import Text
from textual.app import ComposeResult
from textual.screen import Screen
from textual.widgets import Input, Static

from scapy_chitchat.cluster import ClusterState, NodeState
from scapy_chitchat.net.text import printable
from scapy_chitchat.watch import rows
from scapy_chitchat.watch.rows import Row, Run, run_of
from scapy_chitchat.watch.snapshot import Snapshot
from scapy_chitchat.watch.table import Rows

if TYPE_CHECKING:
    from scapy_chitchat.watch.app import Watch


class Line(Static):
    """A line of text, drawn anew only where it says something new."""

    _said: Text | None = None

    def say(self, text: Text) -> None:
        """Show this."""
        if self._said is None or self._said != text or self._said.style != text.style:
            self._said = text
            self.update(text)


class Tables(Screen[None]):
    """A title, tables, a status line, and a line to type in, which is there only while it is wanted."""

    COLUMNS: tuple[tuple[str, Sequence[str]], ...] = ()
    """Name and columns of each table, from top to bottom."""

    def __init__(self) -> None:
        super().__init__()
        self.line = Input(id="line", classes="hidden")
        self._title, self._status = Line(id="title"), Line(id="status")
        self._tables = {name: Rows(columns, id=name) for name, columns in self.COLUMNS}

    def compose(self) -> ComposeResult:
        """The parts, from top to bottom."""
        yield self._title
        yield from self._tables.values()
        yield self._status
        yield self.line

    @property
    def watch_app(self) -> Watch:
        """The application, as what it is."""
        return cast("Watch", self.app)

    def on_mount(self) -> None:
        """The first table has the keys, and shows what there is."""
        self.table(self.COLUMNS[0][0]).focus()
        self.refresh_rows()

    def on_screen_resume(self) -> None:
        """It is on top again."""
        self.refresh_rows()

    def table(self, name: str) -> Rows:
        """One of the tables."""
        return self._tables[name]

    @property
    def active(self) -> Rows:
        """The table that has the keys; else the first one."""
        focused = self.focused
        return focused if isinstance(focused, Rows) else self.table(self.COLUMNS[0][0])

    def refresh_rows(self) -> None:
        """Show the snapshot that the application has now."""
        app = self.watch_app
        state = app.state
        self._title.say(self.title_of(app.snapshot, state))
        self._status.say(app.status())
        if state is not None:
            for name, made in self.rows_of(app.snapshot, state):
                self.table(name).show(made)

    def title_of(self, snapshot: Snapshot, state: ClusterState | None) -> Text:
        """What the screen is about."""
        raise NotImplementedError

    def rows_of(self, snapshot: Snapshot, state: ClusterState) -> Iterator[tuple[str, list[Row]]]:
        """The rows of each table."""
        raise NotImplementedError


class Overview(Tables):
    """Members, and what happened."""

    COLUMNS = (("members", rows.MEMBERS), ("events", rows.EVENTS))

    def title_of(self, snapshot: Snapshot, state: ClusterState | None) -> Text:
        """The cluster, and how many there are."""
        if state is None:
            return Text("no cluster yet: no Syn has been seen")
        place = [each.cluster_id for each in snapshot.states].index(state.cluster_id) + 1
        more = f" ({place} of {len(snapshot.states)}, c for the next)" if len(snapshot.states) > 1 else ""
        current = sum(each.run == "current" for each in state.nodes)
        name = printable(state.cluster_id) if state.cluster_id is not None else "of an unknown cluster_id"
        return Text(f"cluster {name}{more}: {current} members, {state.messages:,} messages", no_wrap=True)

    def rows_of(self, snapshot: Snapshot, state: ClusterState) -> Iterator[tuple[str, list[Row]]]:
        """Of this cluster only."""
        words = self.watch_app.words
        yield "members", rows.members(state, words)
        mine = [each for each in snapshot.events if each.cluster_id == state.cluster_id]
        yield "events", self.watch_app.event_rows.of(mine, snapshot.first)

    def on_rows_selected(self, event: Rows.Selected) -> None:
        """Enter on a member: its keys."""
        current = self.active.current
        state = self.watch_app.state
        if current is None or state is None:
            return
        if current.key[0] == "run":
            self.app.push_screen(OneNode(cast(Run, current.key[1:])))


class OneNode(Tables):
    """The keys of a run, and the way of the one under the cursor."""

    COLUMNS = (("keys", rows.KEYS), ("way", rows.WAY))

    def __init__(self, run: Run) -> None:
        super().__init__()
        self.run = run

    def node(self, state: ClusterState | None) -> NodeState | None:
        """The run in this moment; None where it is not there."""
        return next((each for each in state.nodes if run_of(each) == self.run), None) if state else None

    def title_of(self, snapshot: Snapshot, state: ClusterState | None) -> Text:
        """The node, and of how much nobody knows."""
        node = self.node(state)
        name = f"{printable(self.run[0])}, run of {self.watch_app.words.run(self.run[1])}"
        if node is None:
            return Text(f"{name}: not there at this moment", no_wrap=True)
        more = "" if node.complete else "; there may be more, which nobody sent while the capture ran"
        return Text(f"{name}: {len(node.key_values):,} keys at version {node.max_version:,}{more}", no_wrap=True)

    def rows_of(self, snapshot: Snapshot, state: ClusterState) -> Iterator[tuple[str, list[Row]]]:
        """Its keys, and the way of one."""
        node, words = self.node(state), self.watch_app.words
        yield "keys", rows.keys(node, snapshot.first, words) if node else []
        yield "way", self._way(snapshot)

    def _way(self, snapshot: Snapshot) -> list[Row]:
        current = self.table("keys").current
        if current is None:
            return []
        steps = [each for each in snapshot.steps if each.cluster_id == self.watch_app.cluster_id]
        return rows.way(steps, self.run, str(current.key[1]), snapshot.first, self.watch_app.words)

    def on_rows_moved(self, event: Rows.Moved) -> None:
        """Another key: its way."""
        if event.table == "keys":
            self.table("way").show(self._way(self.watch_app.snapshot))


class Peers(Tables):
    """With whom a node has spoken lately."""

    COLUMNS = (("pairs", rows.PAIRS),)

    def __init__(self, run: Run) -> None:
        super().__init__()
        self.run = run

    def title_of(self, snapshot: Snapshot, state: ClusterState | None) -> Text:
        """The node."""
        return Text(f"{printable(self.run[0])} speaks with: Enter for the ladder", no_wrap=True)

    def rows_of(self, snapshot: Snapshot, state: ClusterState) -> Iterator[tuple[str, list[Row]]]:
        """Its peers."""
        yield "pairs", rows.pairs(snapshot, self.run[2], self.watch_app.words, rows.names_of(state))

    def on_rows_selected(self, event: Rows.Selected) -> None:
        """Enter: the ladder of these two."""
        current = self.active.current
        if current is not None:
            self.app.push_screen(Ladder(self.run[2], str(current.key[1])))


class Ladder(Tables):
    """The messages between two nodes, an arrow each."""

    COLUMNS = (("ladder", rows.LADDER),)

    def __init__(self, left: str, right: str) -> None:
        super().__init__()
        self.left, self.right = left, right

    def title_of(self, snapshot: Snapshot, state: ClusterState | None) -> Text:
        """The two, above the ends of the arrows."""
        names = rows.names_of(state) if state else {}
        left, right = (printable(names.get(each, each)) for each in (self.left, self.right))
        return Text(f"{left} ({self.left})  ◀───▶  {right} ({self.right})", no_wrap=True)

    def rows_of(self, snapshot: Snapshot, state: ClusterState) -> Iterator[tuple[str, list[Row]]]:
        """The messages."""
        yield "ladder", rows.ladder(snapshot, self.left, self.right, self.watch_app.words)


HELP = """\
j k, arrows   down, up                Enter   a node's keys; a ladder
g G           first, last             l       with whom it speaks: ladders
PgUp PgDn     a page                  Esc q   back; q at last quits
< >           columns left, right     tab     the other table
/ n N         search, next, previous  f       only rows with a text
s S           sort by next column,    c       the next cluster
              the other way round     w       save the frames so far
space         stand still, go on      ?       this page

Of a file: left and right go 5 s back and forth, with shift 30 s;
           t to a moment in seconds from the start, e to the end.
Live, space holds the screen only: the engine goes on.

alive for   by how many of those that judge
behind      versions that the worst observers lack
keys        with a +: there may be more, which nobody sent meanwhile
version     with a ?: not certain that it is still there
state       stuck: its next key-value fits no datagram
"""
"""The page of keys."""


class Help(Screen[None]):
    """The keys."""

    def compose(self) -> ComposeResult:
        """One text."""
        yield Static(Text(HELP), id="help")
