# SPDX-License-Identifier: GPL-2.0-or-later
"""Messages one by one: as lines, trees, JSON or columns."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Protocol

import typer

from scapy_chitchat.cli.choosing import key_values, rows
from scapy_chitchat.cli.common import is_coloured
from scapy_chitchat.net.text import printable
from scapy_chitchat.wire.protocol import MessageType

if TYPE_CHECKING:
    from scapy_chitchat.capture import CapturedMessage
    from scapy_chitchat.cli.options import MessageOptions, MessageSubjects
    from scapy_chitchat.records.base import JsonObject

TYPE_COLOURS = {
    MessageType.Syn.name: "green",
    MessageType.SynAck.name: "cyan",
    MessageType.Ack.name: "blue",
    MessageType.BadCluster.name: "magenta",
}
"""The colour of a line by the type of its message."""

SEVERITY_COLOURS = {"error": "red", "warning": "yellow", "note": None}
"""The colour of a finding; None: as the terminal has it."""


class Printer(Protocol):
    """Shows messages."""

    def show(self, captured: CapturedMessage) -> None:
        """Show one message."""

    def finish(self) -> None:
        """No more messages: let nothing stay in a buffer."""


def printer_for(show: MessageOptions) -> Printer:
    """The printer that the options ask for."""
    if show.json:
        return JsonPrinter()
    if show.fields:
        return ColumnPrinter(show)
    if show.prints_messages:
        return LinePrinter(
            verbose=show.verbose,
            tree_items=show.tree_items,
            explain=show.findings,
            about=show if show.names_rows else None,
        )
    return Silent()


class Silent:
    """Shows nothing: only tables were asked for."""

    def show(self, captured: CapturedMessage) -> None:
        """Nothing."""

    def finish(self) -> None:
        """Nothing."""


class JsonPrinter:
    """A JSON object a line."""

    def __init__(self) -> None:
        self._write = sys.stdout.buffer.write

    def show(self, captured: CapturedMessage) -> None:
        """One line."""
        self._write(captured.as_json() + b"\n")

    def finish(self) -> None:
        """Flush."""
        sys.stdout.buffer.flush()


def columns(names: str) -> tuple[str, ...]:
    """The names in a list with commas. Raises ValueError where messages have no such value."""
    from scapy_chitchat.records.checks import Finding
    from scapy_chitchat.records.makers import json_names

    known = {**{name: set() for name in _ABOUT_ALL}, **json_names(), "findings": set(Finding._fields)}
    wanted = tuple(name.strip() for name in names.split(",") if name.strip())
    for name in wanted:
        first, dot, rest = name.partition(".")
        if first not in known:
            raise ValueError(f"there is no {name!r}; there are {', '.join(known)}")
        if dot and rest not in known[first]:
            below = ", ".join(f"{first}.{each}" for each in sorted(known[first]))
            raise ValueError(f"there is no {name!r}; there are {below or first}")
    return wanted


_ABOUT_ALL: dict[str, Callable[[CapturedMessage], object]] = {
    "frame": lambda captured: captured.frame,
    "time": lambda captured: captured.time_text,
    "source": lambda captured: captured.source,
    "destination": lambda captured: captured.destination,
    "length": lambda captured: len(captured.data),
    "tunnel": lambda captured: ", ".join(captured.tunnel),
    "error": lambda captured: captured.error.code if captured.error else "",
}
"""What a column may have of any message, whatever its type."""


class ColumnPrinter:
    """Chosen values of the JSON object, tab-separated.

    Several values of one name are joined by commas, or have a row each where rows are asked for; objects and lists stay
    JSON. Columns of one list match: an element that has a value for one of them has a place in all of them.
    """

    def __init__(self, wish: MessageOptions) -> None:
        self.wish = wish
        self.list = next(iter(wish.lists)) if wish.rows else ""
        """Of which each entry has a row; nothing where each message has one."""
        self.paths = [name.partition(".")[::2] for name in wish.fields.split(",")]
        self.together: dict[str, set[str]] = {}
        for first, rest in self.paths:
            self.together.setdefault(first, set()).add(rest)

    def show(self, captured: CapturedMessage) -> None:
        """One line, or one for each row that is meant."""
        values = {
            **{name: value(captured) for name, value in _ABOUT_ALL.items()},
            **captured.values(),
            "findings": [each.as_dict() for each in captured.findings],
        }
        if not self.list:
            print("\t".join(self._column(values, *path) for path in self.paths))
            return
        for row in rows(self.wish, self.list, values):
            if not self.together[self.list].isdisjoint(row):
                print("\t".join(_cell(row.get(rest) if rest else values.get(first)) for first, rest in self.paths))

    def _column(self, values: JsonObject, first: str, rest: str) -> str:
        if not rest:
            return _cell(values.get(first))
        found = [each.get(rest) for each in values.get(first, ()) if not self.together[first].isdisjoint(each)]
        return ",".join(_quoted(_cell(each)) for each in found)

    def finish(self) -> None:
        """Flush."""
        sys.stdout.flush()


def _cell(value: object) -> str:
    if value is None:
        return ""
    return json.dumps(value) if isinstance(value, (dict, list)) else printable(value)


def _quoted(cell: str) -> str:
    """A value among others with commas between them, as in CSV: in quotes where it has a comma or a quote itself."""
    if "," not in cell and '"' not in cell:
        return cell
    doubled = cell.replace('"', '""')
    return f'"{doubled}"'


class LinePrinter:
    """A line a message; below it the whole tree, and the key-values that are asked for."""

    def __init__(
        self, *, verbose: bool, explain: bool, about: MessageSubjects | None = None, tree_items: int = 0
    ) -> None:
        self.verbose = verbose
        self._tree_items = tree_items or sys.maxsize
        self.explain = explain
        self.about = about
        self.colour = is_coloured(sys.stdout)
        if verbose:
            self._prepare_scapy()

    def _prepare_scapy(self) -> None:
        from scapy.config import conf
        from scapy.themes import DefaultTheme, NoTheme

        conf.color_theme = DefaultTheme() if self.colour else NoTheme()

    def show(self, captured: CapturedMessage) -> None:
        """The line, and what else was asked for."""
        print(self.line(captured))
        if self.about:
            for row in key_values(self.about, captured.values()):
                print(f"        {_row(row)}")
        if self.explain:
            for each in captured.findings:
                place = f"{each.stream} " if each.stream else ""
                where = f"{place}byte {each.offset}"
                detail = f" Here: {each.detail}." if each.detail else ""
                print(
                    f"        {self._paint(each.severity, SEVERITY_COLOURS[each.severity])} {each.code} ({where}): "
                    f"{printable(each.text + detail)}"
                )
        if self.verbose:
            for tunnel in captured.tunnel:
                print(f"        in {tunnel}")
            self._show_tree(captured)

    def _show_tree(self, captured: CapturedMessage) -> None:
        """The tree, unless nobody would read it to its end: a few KB may hold 250,000 items, and take many seconds."""
        from scapy_chitchat.wire.layers import Chitchat

        values = captured.values()
        items = len(values.get("digest", ())) + len(values.get("delta", ()))
        if items > self._tree_items:
            print(f"        a tree of {items:,} items is not shown: --limit 0 shows it, --json tells all")
        else:
            Chitchat(captured.data).show()

    def finish(self) -> None:
        """Flush."""
        sys.stdout.flush()

    def line(self, captured: CapturedMessage) -> str:
        """Frame, time, addresses, type, version, size and what the message carries."""
        values = captured.values()
        kind = values.get("type", "?")
        version = f"V{values['version']}" if "version" in values else "-"
        words = [
            f"{captured.frame:>6}",
            _iso(captured),
            f"{captured.source} > {captured.destination}",
            self._paint(f"{kind:<10}", TYPE_COLOURS.get(kind)),
            version,
            f"{len(captured.data):>5} B",
            *_contents(values),
        ]
        for severity in ("error", "warning", "note"):
            codes = dict.fromkeys(each.code for each in captured.findings if each.severity == severity)
            words += [self._paint(f"[{code}]", SEVERITY_COLOURS[severity]) for code in codes]
        return "  ".join(words)

    def _paint(self, text: str, colour: str | None) -> str:
        return typer.style(text, fg=colour) if self.colour and colour else text


def _row(row: JsonObject) -> str:
    """A key-value: whose it is, key, value, version and status, as far as the message has them."""
    node = f"{printable(row['node_id'])}  " if row.get("node_id") is not None else ""
    value = f' = "{printable(row["value"])}"' if "value" in row else ""
    version = f"  version {row['version']}" if "version" in row else ""
    status = f"  {row['status']}" if "status" in row else ""
    return f"{node}{printable(row['key'])}{value}{version}{status}"


def _iso(captured: CapturedMessage) -> str:
    """The time as ISO 8601 in UTC, with the decimals of the capture."""
    seconds, _, decimals = captured.time_text.partition(".")
    try:
        moment = datetime.fromtimestamp(int(seconds), timezone.utc)
    except (OverflowError, ValueError, OSError):
        return captured.time_text
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{decimals}Z"


def _contents(values: JsonObject) -> list[str]:
    words = []
    if "cluster_id" in values:
        words.append(f"cluster={printable(values['cluster_id'])}")
    if "digest" in values:
        words.append(f"digest={len(values['digest'])}")
    if "delta" in values:
        ops = [op["op"] for op in values["delta"]]
        words.append(f"delta={ops.count('Node')} nodes/{ops.count('KeyValue')} keys")
    return words
