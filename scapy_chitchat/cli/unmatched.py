# SPDX-License-Identifier: GPL-2.0-or-later
"""What to say where no message passed the filters: which node ids, keys, clusters and types there are instead.

Names are collected until a message passes, a few of each kind, so that this costs nothing where filters match.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, NamedTuple

from scapy_chitchat.cli.common import counted
from scapy_chitchat.net.text import printable
from scapy_chitchat.records.classes import KeyValueOp, NodeOp, Syn
from scapy_chitchat.records.sections import delta_of, digest_of

if TYPE_CHECKING:
    from scapy_chitchat.capture import CapturedMessage
    from scapy_chitchat.cli.options import MessageOptions

MOST_NAMES = 8
"""Names of a kind that are listed; behind them stands whether there are more."""

LONGEST_NAME = 60
"""Characters of a name that are shown."""


class _Filter(NamedTuple):
    """A filter of the command line, and what else could be asked of it."""

    option: str
    word: Callable[[MessageOptions], str]
    """What its values are called, in the plural."""
    wanted: Callable[[MessageOptions], str]
    """The value on the command line; nothing where the filter is not asked for."""
    names: Callable[[CapturedMessage, MessageOptions], Iterator[str]]
    """What a message has for it."""


def _node_ids(captured: CapturedMessage, wish: MessageOptions) -> Iterator[str]:
    yield from (entry.node_id for entry in digest_of(captured.message))
    yield from (op.node_id for op in delta_of(captured.message) if isinstance(op, NodeOp))


def _keys(captured: CapturedMessage, wish: MessageOptions) -> Iterator[str]:
    """The keys of the nodes that are asked for: a key is looked for in their sections alone."""
    for op in delta_of(captured.message):
        if isinstance(op, KeyValueOp) and (not wish.node or fnmatchcase(op.node_id or "", wish.node)):
            yield op.key


def _cluster_ids(captured: CapturedMessage, wish: MessageOptions) -> Iterator[str]:
    if isinstance(captured.message, Syn):
        yield captured.message.cluster_id


def _types(captured: CapturedMessage, wish: MessageOptions) -> Iterator[str]:
    if captured.message is not None:
        yield captured.message.type


_FILTERS = (
    _Filter("--node", lambda wish: "node ids", lambda wish: wish.node, _node_ids),
    _Filter(
        "--key", lambda wish: f"keys of {printable(wish.node)}" if wish.node else "keys", lambda wish: wish.key, _keys
    ),
    _Filter("--cluster", lambda wish: "cluster_ids", lambda wish: wish.cluster, _cluster_ids),
    _Filter("--type", lambda wish: "types", lambda wish: ",".join(wish.types), _types),
)


class Unmatched:
    """What there is in messages that pass no filter."""

    def __init__(self, wish: MessageOptions) -> None:
        self._wish = wish
        self._asked = [(each, each.wanted(wish)) for each in _FILTERS if each.wanted(wish)]
        self._names: dict[str, dict[str, None]] = {each.option: {} for each, _ in self._asked}
        self._with_findings = 0
        self._passed = False

    def passed(self) -> None:
        """A message passed: nothing is going to be said."""
        self._passed = True

    def add(self, captured: CapturedMessage) -> None:
        """A message did not pass."""
        if self._passed:
            return
        if self._wish.findings:
            self._with_findings += bool(captured.findings)
        for each, _ in self._asked:
            names = self._names[each.option]
            for name in each.names(captured, self._wish):
                if len(names) > MOST_NAMES:
                    break
                names[name] = None

    def line(self, messages: int) -> str | None:
        """What to say of so many messages; None where one passed, or nothing was asked of them."""
        filters = [f"{each.option} {printable(value)}" for each, value in self._asked]
        filters += ["--findings"] if self._wish.findings else []
        if self._passed or not messages or not filters:
            return None
        hints = [self._hint(each) for each, _ in self._asked]
        hints += [f"{self._with_findings:,} of them with findings"] if self._wish.findings else []
        passes = "passes" if messages == 1 else "pass"
        return f"0 of {counted(messages, 'message')} {passes} {' '.join(filters)}: {'; '.join(hints)}"

    def _hint(self, of: _Filter) -> str:
        word, names = of.word(self._wish), sorted(self._names[of.option])
        if not names:
            return f"there are no {word} here"
        shown = ", ".join(printable(_short(name)) for name in names[:MOST_NAMES])
        return f"{word} here are {shown}{' …' if len(names) > MOST_NAMES else ''}"


def _short(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}…"
